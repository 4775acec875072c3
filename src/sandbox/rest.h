/*
 * REST: one table of routes, one request struct, answers and errors as Mattermost makes them.
 *
 * A handler returns 0 once it has answered (or has arranged for a later answer), or a negative
 * errno, which becomes a 500. After an answer the request must not be touched: it is gone. The
 * helpers that check something return NULL or false after having answered with the right error, so
 * that a handler goes `if (!c) return 0;`.
 */
#ifndef SB_REST_H
#define SB_REST_H

#include "sandbox/server.h"

#define SB_MAX_PARAMS 4

struct sb_req;

enum sb_route_flags {
    SB_OPEN = 1,  /* no session needed */
    SB_ADMIN = 2, /* needs the role system_admin */
    SB_ETAG = 4,
    SB_FILES = 8, /* the body is a file: its limit is the file limit */
};

struct sb_route {
    const char *method;
    const char *pattern; /* "/users/{user_id}": a brace takes one segment */
    int (*handler)(struct sb_req *q);
    unsigned flags;
};

/* The table, behind /api/v4; ends with a NULL method. First match wins. */
extern const struct sb_route sb_routes[];

struct sb_req {
    struct sb_server *sv;
    struct mw_httpd_request *http;
    const struct sb_route *route;
    const char *method;
    char *path;                   /* own copy; cut into segments */
    const char *p[SB_MAX_PARAMS]; /* what the braces took */
    struct sb_user *user;         /* NULL on open routes without a session */
    struct sb_session *session;
    cJSON *json;          /* see sb_body */
    struct mw_buf out;    /* the answer's body */
    char id[MW_ID_SIZE];  /* X-Request-Id */
    struct sb_rule *rule; /* a fault to apply to the answer, or NULL */
    unsigned restarts;    /* of the server, when a delay began */
    bool repeated;        /* SB_RULE_TWICE: it was done once */
    int64_t sequence;     /* of an upgrade: what the client wants next; -1 = bad */
    uv_timer_t *timer;    /* while it is delayed */
};

void sb_rest_request(struct mw_httpd_request *http, void *userdata);

/* Matches `method` and `path` (behind /api/v4, without a slash at the end; it is cut up). Fills
 * `p`. NULL when no route takes it. */
const struct sb_route *sb_route_find(const struct sb_route *routes, const char *method, char *path,
                                     const char **p);

/* Answers. All return what a handler returns. */
int sb_reply(struct sb_req *q, int status); /* with q->out as JSON */
int sb_reply_ok(struct sb_req *q);          /* {"status":"OK"} */
int sb_reply_raw(struct sb_req *q, int status, const char *content_type, const void *body,
                 size_t len);
int sb_fail(struct sb_req *q, int status, const char *id, const char *message);
int sb_fail_param(struct sb_req *q, const char *name); /* 400, a bad body parameter */
int sb_fail_url(struct sb_req *q, const char *name);   /* 400, a bad path or query parameter */
int sb_fail_permission(struct sb_req *q);              /* 403 */
int sb_fail_license(struct sb_req *q);                 /* 501 */

/* A refusal by the logic below REST. */
struct sb_refusal {
    int status;
    const char *id, *message; /* constants */
};
int sb_fail_refusal(struct sb_req *q, const struct sb_refusal *r);
/* Sets *ret and returns 1. */
int sb_refuse(struct sb_refusal *ret, int status, const char *id, const char *message);

/* The body as an object or array; NULL after a 400 that names `what`. */
const cJSON *sb_body(struct sb_req *q, const char *what);
/* The body as a non-empty array of strings; NULL after a 400. */
const cJSON *sb_body_strings(struct sb_req *q);

const char *sb_query(struct sb_req *q, const char *name); /* NULL = absent */
bool sb_query_true(struct sb_req *q, const char *name);
int64_t sb_query_int(struct sb_req *q, const char *name, int64_t fallback);
void sb_paging(struct sb_req *q, size_t *ret_page, size_t *ret_per_page);

/* What a path parameter names; NULL after the fitting error. "me" is understood. */
struct sb_user *sb_path_user(struct sb_req *q, int i);
/* ... and it is the caller, or the caller is an admin (or, of a bot, its owner). */
struct sb_user *sb_path_self(struct sb_req *q, int i);
struct sb_team *sb_path_team(struct sb_req *q, int i);
struct sb_channel *sb_path_channel(struct sb_req *q, int i);  /* any */
struct sb_channel *sb_path_readable(struct sb_req *q, int i); /* that the caller may read */
struct sb_post *sb_path_post(struct sb_req *q, int i);        /* readable and not deleted */

bool sb_can_read(const struct sb_server *sv, const struct sb_user *u, const struct sb_channel *c);
static inline bool sb_is_type(const struct sb_channel *c, char type)
{
    return c->type && c->type[0] == type;
}
static inline bool sb_is_direct(const struct sb_channel *c)
{
    return sb_is_type(c, 'D') || sb_is_type(c, 'G');
}

/* Shapes. They append; errors stick in the buffer. */
void sb_put_user(struct sb_server *sv, struct mw_buf *b, const struct sb_user *u,
                 const struct sb_user *reader);
void sb_put_bot(struct sb_server *sv, struct mw_buf *b, const struct sb_user *u);
void sb_put_team(struct sb_server *sv, struct mw_buf *b, const struct sb_team *t,
                 const struct sb_user *reader);
void sb_put_team_member(struct sb_server *sv, struct mw_buf *b, const struct sb_team_member *m);
void sb_put_channel(struct sb_server *sv, struct mw_buf *b, const struct sb_channel *c);
void sb_put_member(struct sb_server *sv, struct mw_buf *b, const struct sb_member *m,
                   const struct sb_user *reader);
void sb_put_reaction(struct sb_server *sv, struct mw_buf *b, const struct sb_reaction *r,
                     const struct sb_post *p);
void sb_put_file(struct sb_server *sv, struct mw_buf *b, const struct sb_file *f);
void sb_put_status(struct sb_server *sv, struct mw_buf *b, const struct sb_user *u);
/* `crt`: with the thread's summary as collapsed threads show it to `reader`. */
void sb_put_post(struct sb_server *sv, struct mw_buf *b, const struct sb_post *p, bool crt,
                 const struct sb_user *reader);

/* Puts a comma unless the list that began at `start` is still empty. */
static inline void sb_comma(struct mw_buf *b, size_t start)
{
    if (b->len > start)
        mw_buf_putc(b, ',');
}

/* Go's encoder writes <, > and & as \u003c, \u003e, \u0026. Does so to finished JSON. */
int sb_escape_html(struct mw_buf *b);

#endif
