/* Inside of the client: shared by client.c (calls), read_answer.c, start.c, lists.c, resolve.c. */
#ifndef MW_MATTERMOST_CLIENT_IMPL_H
#define MW_MATTERMOST_CLIENT_IMPL_H

#include "mattermost/budget.h"
#include "mattermost/cache.h"
#include "mattermost/client.h"

struct mm_call;

struct mm_call_list {
    struct mm_call *first, *last;
    unsigned n;
};

/* An operation made of several calls; the first member of its own struct. */
struct mm_op {
    struct mm_op *prev, *next;
    struct mm_client *c;
    mm_cb cb; /* NULL = nobody waits any more */
    void *userdata;
    void (*free_fn)(struct mm_op *op);
};

struct mm_client {
    uv_loop_t *loop;
    uv_timer_t timer; /* runs the queue from the loop; gives deferred answers */
    struct mw_http *http;
    char *endpoint, *token, *login, *password, *auth_header, *user_agent;
    int64_t timeout_ms;
    unsigned max_concurrent, max_pending;
    bool dead;
    bool signing_in;
    void (*on_renewal)(void *userdata);
    void *renewal_userdata;
    unsigned token_generation;   /* counts sign-ins, so that a 401 renews the token only once */
    int64_t login_refused_until; /* monotonic: no sign-in is tried before */
    struct mw_error login_error; /* why */
    enum mm_outcome login_outcome;
    struct mm_budget_member member;
    struct mm_budget *own_budget;            /* NULL = it was given one */
    struct mm_call_list pending[MM_CLASSES]; /* wait for their turn */
    struct mm_call_list running;             /* on the wire */
    struct mm_call_list answered; /* have their result without the wire; told by the timer */
    struct mm_op *ops;
    struct mm_cache cache;
    struct mm_client_stats stats;
    /* What mm_client_start learned. */
    char *user_id, *user_name, *version, *site_url;
    bool is_bot, file_attachments;
    bool has_all_channels_route; /* GET /users/me/channels: not before 6.0 */
    size_t max_post_chars;
    int64_t max_file_bytes;
    int64_t server_ms, server_mono; /* the server's time, and when that was; 0 = not known */
};

/* ---- read_answer.c ---- */
struct mm_question {
    const char *endpoint, *method, *path;
    bool bytes; /* a part of a file was asked for, not JSON */
};
/* Reads what the server answered (body may be taken from) into an empty result. */
void mm_read_answer(const struct mm_question *q, const struct mw_http_response *r,
                    struct mw_buf *body, struct mm_result *res);

/* An empty result with this outcome. */
void mm_result_init(struct mm_result *r, enum mm_outcome outcome);

/* Gives a result (body taken over, may be NULL) from the loop, as if it had come by wire. */
int mm_answer_later(struct mm_client *c, cJSON *body, mm_cb cb, void *userdata) MW_MUST_CHECK;

void mm_op_init(struct mm_op *op, struct mm_client *c, mm_cb cb, void *userdata,
                void (*free_fn)(struct mm_op *op));
/* Gives the result to whoever waits and frees the operation. */
void mm_op_finish(struct mm_op *op, struct mm_result *r);
void mm_op_finish_body(struct mm_op *op, cJSON *body); /* MM_OK; body is taken over */
void mm_op_fail(struct mm_op *op, enum mm_outcome outcome, int code, const char *fmt, ...)
    MW_PRINTF(4, 5);
/* Frees without telling: only before the operation's start was reported as successful. */
void mm_op_drop(struct mm_op *op);

/* s with everything but letters, digits and `-._~` as %XX; NULL when memory ran out. */
char *mm_url_escape(const char *s);

#endif
