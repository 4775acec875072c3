/*
 * REST client for one account on one server. Knows the protocol, not our config.
 *
 * Signs in (token, or login and password with renewal when the session ended), keeps the server's
 * facts (version, limits) and caches users, channels and teams by id and name; caches are fed by
 * REST answers and by the session's events, so a known name costs no call. Keeps to the server's
 * rate limit (budget.h): calls wait, people's answers before the rest, and none is dropped. Nothing
 * else is retried here (but once with a renewed session token): the outbox and the session decide
 * that. All calls on the loop's thread. Callbacks come exactly once, never before the call returns,
 * and all remaining ones with MM_CANCELED from mm_client_free.
 *
 * Limits: 8 calls at a time (params), 1024 waiting (params; then calls fail with -ENOBUFS), 16 MiB
 * an answer, 50,000 cached objects of a kind. Facts: the wire reference, sections 0 to 2.
 */
#ifndef MW_MATTERMOST_CLIENT_H
#define MW_MATTERMOST_CLIENT_H

#include <uv.h>

#include "io/http.h"
#include "mattermost/model.h"

struct mm_client;
struct mm_budget;

struct mm_client_params {
    const char *endpoint; /* http(s)://host[:port][/sub/path][/] */
    const char *token;    /* bot or personal access token, or NULL */
    const char *login;    /* with password, when token is NULL */
    const char *password;
    struct mw_tls_params tls;
    const char *proxy;
    int64_t timeout_ms;       /* 0 = 30 s */
    unsigned max_concurrent;  /* calls at a time; 0 = 8 */
    unsigned max_pending;     /* calls waiting for their turn; 0 = 1024 */
    const char *user_agent;   /* NULL = "matterwire" */
    struct mm_budget *budget; /* shared by all clients of the endpoint, outlives them; NULL = own */
};

/* Checks the endpoint's form. Strings are copied, secrets wiped when freed. */
int mm_client_new(uv_loop_t *loop, const struct mm_client_params *params, struct mm_client **ret,
                  struct mw_error *err);
void mm_client_free(struct mm_client *c);
/* Called when a new session token took the place of one that the server had ended (login and
 * password only): what was opened with the old one, such as a socket, may be cut off by now. From
 * within the client: only note it there. cb NULL = nobody. */
void mm_client_on_renewal(struct mm_client *c, void (*cb)(void *userdata), void *userdata);

/* Outcome of a call. `outcome` is what a caller decides by; `err` is the sentence for a person. */
enum mm_outcome {
    MM_OK,
    MM_UNREACHABLE,  /* not sent: resolve, connect, TLS */
    MM_AMBIGUOUS,    /* sent, no complete answer: the server may have done it; also 5xx */
    MM_UNAUTHORIZED, /* 401 */
    MM_FORBIDDEN,    /* 403 */
    MM_NOT_FOUND,    /* 404 */
    MM_REFUSED,      /* any other 4xx: asking again changes nothing */
    MM_UNAVAILABLE,  /* 501: off on this server */
    MM_BAD_ANSWER,   /* not what the protocol says (HTML, wrong type) */
    MM_CANCELED,
};

struct mm_result {
    enum mm_outcome outcome;
    struct mw_error err;
    int status;             /* HTTP, 0 = none */
    const char *error_id;   /* Mattermost's `id`, "" = none */
    const char *request_id; /* X-Request-Id, "" = none */
    int64_t retry_after_ms; /* -1 = none */
    int64_t date_ms;        /* Date header, 0 = none */
    cJSON *body;            /* may be taken with take_ptr; NULL when not JSON */
    const char *data;       /* mm_call_range only: the bytes */
    size_t data_len;
};
typedef void (*mm_cb)(struct mm_result *r, void *userdata);

/* What a sentence begins with in logs and tables: "unreachable", "unauthorized" ... */
const char *mm_outcome_name(enum mm_outcome o);

/* Any call. `path` without /api/v4, e.g. "/users/me". `body` is taken over (NULL = none). */
int mm_call(struct mm_client *c, const char *method, const char *path, cJSON *body, mm_cb cb,
            void *userdata) MW_MUST_CHECK;
/* POST of bytes, which are copied. */
int mm_call_bytes(struct mm_client *c, const char *path, const void *data, size_t len, mm_cb cb,
                  void *userdata) MW_MUST_CHECK;
/* Bytes `from` to `to` (both included) of a file, at most 16 MiB; status 206, or 200 when it is all
 * of it. */
int mm_call_range(struct mm_client *c, const char *path, int64_t from, int64_t to, mm_cb cb,
                  void *userdata) MW_MUST_CHECK;
/* Uploads a local file to a channel in one go; body is the answer of POST /files. */
int mm_upload(struct mm_client *c, const char *channel_id, const char *path, const char *filename,
              mm_cb cb, void *userdata) MW_MUST_CHECK;

/* Forgets the callbacks of all calls that were started with this userdata: they do not come any
 * more. A call on the wire may still be carried out by the server. */
void mm_cancel(struct mm_client *c, const void *userdata);

/* Signs in if needed and learns who we are, the server's version and limits; names of users that
 * were cached are asked for anew. Safe to repeat. */
int mm_client_start(struct mm_client *c, mm_cb cb, void *userdata) MW_MUST_CHECK;

struct mm_server_info {
    const char *version; /* "5.37.0", "" before mm_client_start */
    const char *site_url;
    size_t max_post_chars; /* characters; 4000 until known */
    int64_t max_file_bytes;
    bool file_attachments;
    int64_t clock_skew_ms; /* server minus local, from Date; good to a second */
};
struct mm_client_stats {
    int64_t calls, failures; /* finished; finished other than MM_OK */
    /* Of the budget, which other clients may share. */
    int64_t rate_limited; /* 429 answers */
    /* What X-Ratelimit-Limit and -Remaining said last; -1 = the server sent none. */
    int64_t rate_limit, rate_remaining;
    int64_t waiting_until; /* wall clock ms until which all calls wait after a 429; 0 = they do
                              not */
    unsigned in_flight, pending;
};
void mm_client_get_stats(const struct mm_client *c, struct mm_client_stats *ret);
void mm_client_server(const struct mm_client *c, struct mm_server_info *ret);
/* The server's wall clock, good to a second; the local one until the server has told its time. Does
 * not jump when somebody sets the local clock. */
int64_t mm_client_server_now(const struct mm_client *c);
/* Own account; "" before mm_client_start. */
const char *mm_client_user_id(const struct mm_client *c);
const char *mm_client_user_name(const struct mm_client *c);
bool mm_client_is_bot(const struct mm_client *c);
const char *mm_client_endpoint(const struct mm_client *c); /* normalised, no trailing slash */
/* For the session: the current token ("" = none yet) and connection options. */
const char *mm_client_token(const struct mm_client *c);

/* Cached objects; valid until the loop runs again. NULL = not known. */
struct mm_user_info {
    const char *id, *username;
    bool is_bot;
};
struct mm_channel_info {
    const char *id, *name, *display_name, *type, *team_id;
};
struct mm_team_info {
    const char *id, *name;
};
const struct mm_user_info *mm_cached_user(const struct mm_client *c, const char *id);
const struct mm_channel_info *mm_cached_channel(const struct mm_client *c, const char *id);
const struct mm_team_info *mm_cached_team(const struct mm_client *c, const char *id);
/* Feeds the caches. Return 0 or -ENOMEM. */
int mm_learn_user(struct mm_client *c, const struct mm_user *u);
int mm_learn_channel(struct mm_client *c, const struct mm_channel *ch);
int mm_learn_team(struct mm_client *c, const struct mm_team *t);
void mm_forget_channel(struct mm_client *c, const char *id);

/* All channels that the account is a member of, archived ones left out: body is an array of the
 * server's channel objects, each once. Learns them and the teams. Below 6.0 a server lists direct
 * messages only for accounts that are in a team: there they are missing for a bot without one. */
int mm_list_channels(struct mm_client *c, mm_cb cb, void *userdata) MW_MUST_CHECK;
/* Learns the users with these ids that are not cached, by one call per 100. Ids that the server
 * does not know stay unknown. The ids are copied. */
int mm_fetch_users(struct mm_client *c, const char *const *ids, size_t n, mm_cb cb,
                   void *userdata) MW_MUST_CHECK;

/* Names in: `channel`, `~channel`, `#channel`, `team/channel`, `@user` (a direct message, made if
 * needed), a 26-character id, a permalink. cb gets the id in r->body as {"channel_id":...,
 * "post_id"?:..., "root_id"?:...}. A name in two teams is MM_REFUSED with a sentence that lists
 * both; an unknown one MM_NOT_FOUND that lists near names. `team` (may be NULL) is tried first. */
int mm_resolve_channel(struct mm_client *c, const char *name, const char *team, mm_cb cb,
                       void *userdata) MW_MUST_CHECK;
/* `@name`, `name` or an id -> body {"user_id":..., "username":..., "is_bot":...}. */
int mm_resolve_user(struct mm_client *c, const char *name, mm_cb cb, void *userdata) MW_MUST_CHECK;
/* Post id or permalink -> the post's JSON. */
int mm_resolve_post(struct mm_client *c, const char *ref, mm_cb cb, void *userdata) MW_MUST_CHECK;
/* "https://host/team/pl/ID"; freed by the caller; NULL when memory ran out. `team_name` "" =
 * "_redirect". */
char *mm_permalink(const struct mm_client *c, const char *team_name, const char *post_id);

#endif
