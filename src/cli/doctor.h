/*
 * `doctor`: one check after the other, a line each, with what to do about it.
 *
 * Checks are plain calls that run the loop until their answer is there: nothing else goes on in
 * this process.
 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include <uv.h>

#include "cli/cli.h"
#include "gateway/config.h"
#include "mattermost/client.h"

enum doctor_verdict { DOCTOR_GOOD, DOCTOR_WARNING, DOCTOR_BAD };

struct doctor {
    struct cli *cli;
    uv_loop_t loop;
    const struct gw_config *config;
    const struct gw_bot_config *bot; /* the one that is looked at; NULL = the machine as a whole */
    struct mm_client *client;        /* of this bot */
    int64_t timeout_ms;              /* of one step */
    cJSON *checks;                   /* in JSON */
    unsigned bad, warnings;
    bool no_memory;
};

/* Reports a check. `check` is its short name; fix (NULL = none) is taken over, as is sentence. */
void doctor_report(struct doctor *d, enum doctor_verdict v, const char *check, char *sentence,
                   char *fix);

/* The steps. Each reports, and returns false when the next ones make no sense. */
bool doctor_connect(struct doctor *d);   /* name, TCP, proxy, TLS */
bool doctor_server(struct doctor *d);    /* is it Mattermost, its clock */
bool doctor_account(struct doctor *d);   /* token */
void doctor_channels(struct doctor *d);  /* membership, right to post */
void doctor_people(struct doctor *d);    /* allowed_users */
void doctor_websocket(struct doctor *d); /* upgrade, hello */

#endif
