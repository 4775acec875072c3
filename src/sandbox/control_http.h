/* The HTTP side of the control address. */
#ifndef SB_CONTROL_HTTP_H
#define SB_CONTROL_HTTP_H

#include "sandbox/control.h"
#include "sandbox/rest.h"

/* One request of the control address. Freed when it is answered. */
struct sb_ctl {
    struct sb_control *control;
    struct sb_server *sv;
    struct mw_httpd_request *http;
    cJSON *json; /* the body; an empty object when there is none */
    struct mw_buf out;
    void (*free_more)(struct sb_ctl *x); /* for waiters and floods */
    void *more;
};

/* Both end the request and return 0. */
int sb_ctl_reply(struct sb_ctl *x, int status);
int sb_ctl_fail(struct sb_ctl *x, int status, const char *fmt, ...) MW_PRINTF(3, 4);

/* GET /wait, POST /flood, POST /groups. */
int sb_ctl_wait(struct sb_ctl *x);
int sb_ctl_flood(struct sb_ctl *x);
int sb_ctl_group(struct sb_ctl *x);
/* Answers the waiters whose condition holds. */
void sb_waiters_check(struct sb_control *c);

/* A person by name or id; answers and returns NULL when there is none. */
struct sb_user *sb_ctl_user(struct sb_ctl *x, const char *name);

#endif
