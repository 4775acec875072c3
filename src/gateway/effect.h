/*
 * The kinds of outbound effects, as a table: how each is put to the server and what its answers
 * mean. A new kind is a row here.
 *
 * Payloads (JSON objects in the outbox):
 *   post             {"message", "root_id"?, "props"?, "files"?: [{"name", "path" | "inline"}],
 *                     "file_ids"?: [...] (uploaded so far), "parts"?: of how many the message
 *                     is, "part"?: which one this is, from 1 on; not in the first}
 *   edit             {"post_id", "message"?, "props"?}
 *   delete           {"post_id"}
 *   reaction_add     {"post_id", "emoji_name"}
 *   reaction_remove  {"post_id", "emoji_name"}
 *   pin, unpin       {"post_id"}
 *   ephemeral        {"user_id", "message", "root_id"?, "props"?}
 * Instead of "post_id": "post_key", the key of the row whose post is meant; that row is before this
 * one in the same conversation.
 * Facts: reference, sections 1.5 and 1.6.
 */
#ifndef MW_GATEWAY_EFFECT_H
#define MW_GATEWAY_EFFECT_H

#include "mattermost/budget.h"
#include "mattermost/client.h"

/* The member of a payload that tells of a row that failed with 403. */
#define GW_FORBIDDEN_MARK "forbidden"
/* For a person, after a 403 for a file. */
extern const char gw_upload_rights[];

/* The member of a post's props that carries the outbox key. */
#define GW_KEY_PROP "matterwire_key"

struct gw_effect {
    const char *key;
    const char *channel_id;
    cJSON *payload;
};

struct gw_effect_kind {
    const char *name;
    enum mm_class class; /* of its calls */
    /* Doing it twice would show: after an unclear outcome look for the key first. */
    bool look;
    /* 404 means that what was wanted is so already. */
    bool gone_is_done;
    /* For a person, after a 403: which right is missing and who can give it. */
    const char *forbidden;
    /* Starts the call; returns 0, or a negative errno and then cb never comes. -EINVAL: the payload
     * is not usable. */
    int (*call)(struct mm_client *c, const struct gw_effect *e, mm_cb cb, void *userdata);
};

/* NULL = no such kind. */
const struct gw_effect_kind *gw_effect_kind_find(const char *name);

/* Does this post (a JSON object) carry the key and come from the account? */
bool gw_effect_is_post(const cJSON *post, const char *user_id, const char *key);

/* The next file that has to go up before a post; false when there is none. */
bool gw_effect_next_file(const struct gw_effect *e, const char **ret_name, const char **ret_path,
                         const char **ret_inline);
/* Notes the id of the file that went up. Returns 0 or -ENOMEM. */
int gw_effect_file_done(struct gw_effect *e, const char *file_id);

#endif
