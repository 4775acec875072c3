/*
 * `doctor`: one check after the other, a line each, with what to do about it.
 *
 * The checks are rows of two tables (doctor.c): those of the machine, run once, and those of a bot,
 * run for each. A row names the checks that it needs; where one of them failed, it is not run but
 * reported as skipped, with the reason. Checks are plain calls that run the loop until their answer
 * is there: nothing else goes on in this process.
 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include <uv.h>

#include "cli/cli.h"
#include "gateway/config.h"
#include "io/url.h"
#include "mattermost/client.h"

enum doctor_verdict { DOCTOR_GOOD, DOCTOR_WARNING, DOCTOR_BAD, DOCTOR_SKIPPED };

struct doctor;
struct doctor_socket; /* the WebSocket that is open while its checks run; doctor_ws.c */

struct doctor_check {
    const char *name;              /* stable: part of the JSON */
    const char *needs[3];          /* checks of the same table, above this one */
    void (*run)(struct doctor *d); /* reports at least once, or nothing when it is not concerned */
};

struct doctor {
    struct cli *cli;
    uv_loop_t loop;
    const char *config_path, *only_bot; /* only_bot NULL = all */
    bool may_post;
    struct gw_config *config;
    cJSON *status;                    /* of the running daemon; NULL = none answers */
    const struct doctor_check *check; /* the one that runs */
    cJSON *checks;                    /* in JSON */
    struct mw_buf skipped;            /* names of the checks with the same reason, for a line */
    const char *skipped_for;
    unsigned good, warnings, bad;
    bool check_failed; /* the one that runs */
    bool config_bad;   /* exit status 2 */
    bool no_memory;

    /* The bot that is looked at. */
    const struct gw_bot_config *bot;
    int64_t timeout_ms; /* of one step */
    struct mm_client *client;
    struct mw_url url; /* of the endpoint */
    bool secure;       /* https */
    struct mw_tls *tls;
    int64_t date_ms, date_seen_ms; /* the server's Date, and the local time when it came */
    cJSON *server_config;          /* GET /config/client; NULL = it does not tell */
    cJSON *permissions;            /* those that the account has everywhere; NULL = not known */
    char channel_id[32];           /* one where it may post; "" = none */
    struct doctor_socket *socket;
};

/* Reports about the check that runs. sentence and fix (NULL = none) are taken over; no sentence
 * means that memory ran out. */
void doctor_report(struct doctor *d, enum doctor_verdict v, char *sentence, char *fix);
/* Whoever waits for an answer looks again. A round of the loop that began with a timer would go on
 * to wait for the next event otherwise, however late that comes. */
void doctor_wake(uv_loop_t *loop);

const char *doctor_bytes(int64_t n, char *buf, size_t size); /* "12 MiB" */
/* One call of the daemon, if one runs; params is taken over. */
bool doctor_ask_daemon(struct doctor *d, const char *method, cJSON *params, cJSON **ret);

/* ---- Calls to the server ---- */

struct doctor_answer {
    uv_loop_t *loop; /* set while it is awaited */
    bool done;
    enum mm_outcome outcome;
    int status;
    int64_t date_ms;
    cJSON *body;
    char *error;
};
void doctor_answer_deinit(struct doctor_answer *a);
#define AUTOANSWER MW_CLEANUP(doctor_answer_deinit) struct doctor_answer
void doctor_on_answer(struct mm_result *r, void *userdata);
/* Runs the loop until the call that `r` began has ended. */
bool doctor_await(struct doctor *d, int r, struct doctor_answer *a);
/* path and body are taken over. */
bool doctor_call(struct doctor *d, const char *method, char *path, cJSON *body,
                 struct doctor_answer *a);
char *doctor_error_of(const struct doctor_answer *a);
/* The permissions of a list of roles, as an array of names; NULL = the server does not tell. */
cJSON *doctor_permissions(struct doctor *d, const char *roles);
bool doctor_has(const cJSON *permissions, const char *name);

/* ---- The checks ---- */

void doctor_config(struct doctor *d);
void doctor_secrets(struct doctor *d);
void doctor_handlers(struct doctor *d);
void doctor_descriptors(struct doctor *d);
void doctor_database(struct doctor *d);
void doctor_daemon(struct doctor *d);

void doctor_address(struct doctor *d);
void doctor_name(struct doctor *d);
void doctor_connect(struct doctor *d);
void doctor_proxy(struct doctor *d);
void doctor_tls(struct doctor *d);
/* Does the server begin TLS at the endpoint's port, with whatever certificate? */
bool doctor_speaks_tls(struct doctor *d);

void doctor_server(struct doctor *d);
void doctor_clock(struct doctor *d);
void doctor_account(struct doctor *d);
void doctor_expiry(struct doctor *d);
void doctor_post_size(struct doctor *d);
void doctor_file_size(struct doctor *d);
void doctor_edit_time(struct doctor *d);
void doctor_rate(struct doctor *d);

void doctor_teams(struct doctor *d);
void doctor_channels(struct doctor *d);
void doctor_people(struct doctor *d);
void doctor_direct(struct doctor *d);

void doctor_websocket(struct doctor *d);
void doctor_events(struct doctor *d);
void doctor_post(struct doctor *d);
void doctor_stability(struct doctor *d);
void doctor_socket_close(struct doctor *d);

#endif
