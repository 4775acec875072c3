/*
 * One message of Mattermost's WebSocket -> an event or a reply. Sans-I/O.
 *
 * Events that nobody here needs (statuses, preferences, drafts ...) are recognised by their first
 * bytes and give their `seq` without a parse. Facts: wire reference, sections 3.2 and 3.6.
 */
#ifndef MW_MATTERMOST_FRAME_H
#define MW_MATTERMOST_FRAME_H

#include "base/json.h"

enum mm_frame_event {
    MM_FRAME_REPLY, /* the answer to an action of ours */
    MM_FRAME_OTHER, /* an event that is not in this list: only seq is set */
    MM_FRAME_HELLO,
    MM_FRAME_POSTED,
    MM_FRAME_POST_EDITED,
    MM_FRAME_POST_DELETED,
    MM_FRAME_REACTION_ADDED,
    MM_FRAME_REACTION_REMOVED,
    MM_FRAME_TYPING,
    MM_FRAME_CHANNEL_CREATED,
    MM_FRAME_CHANNEL_UPDATED,
    MM_FRAME_CHANNEL_CONVERTED,
    MM_FRAME_CHANNEL_DELETED,
    MM_FRAME_CHANNEL_RESTORED,
    MM_FRAME_DIRECT_ADDED,
    MM_FRAME_GROUP_ADDED,
    MM_FRAME_USER_ADDED,
    MM_FRAME_USER_REMOVED,
    MM_FRAME_USER_UPDATED,
    MM_FRAME_ADDED_TO_TEAM,
    MM_FRAME_LEAVE_TEAM,
    MM_FRAME_UPDATE_TEAM,
};

struct mm_frame {
    enum mm_frame_event event;
    int64_t seq;            /* of an event; -1 = none */
    int64_t seq_reply;      /* of a reply; -1 = none */
    bool failed;            /* a reply that is no "OK" */
    const cJSON *data;      /* object or NULL */
    const cJSON *broadcast; /* object or NULL */
    cJSON *tree;            /* owns the above; NULL for MM_FRAME_OTHER. May be taken */
};

/* Returns 0, -EINVAL with a sentence (not JSON, neither event nor reply, an event without seq) or
 * -ENOMEM. */
int mm_frame_parse(const char *data, size_t len, struct mm_frame *ret, struct mw_error *err);
void mm_frame_deinit(struct mm_frame *f);

/* Parses JSON in which "\u0000" may occur (a server on MySQL can have it in a message): it is read
 * as U+FFFD. Returns as mw_json_parse. */
int mm_json_parse(const char *data, size_t len, cJSON **ret, struct mw_error *err);

#endif
