/*
 * Mattermost's objects as far as we use them, read from JSON. Unknown fields are ignored, missing
 * ones are "" or 0. Strings point into the JSON tree they were read from and live as long as it
 * does. Facts: the wire reference, sections 1 and 3; field lists from mattermost-server model/.
 */
#ifndef MW_MATTERMOST_MODEL_H
#define MW_MATTERMOST_MODEL_H

#include "base/json.h"

struct mm_post {
    const char *id, *user_id, *channel_id, *root_id, *message, *type, *pending_post_id;
    const char *original_id; /* not "": what that post was before an edit, no post of its own */
    int64_t create_at, update_at, edit_at, delete_at;
    const cJSON *props;    /* object or NULL */
    const cJSON *file_ids; /* array or NULL */
    const cJSON *metadata; /* object or NULL */
};
struct mm_channel {
    const char *id, *team_id, *type, *name, *display_name;
    int64_t last_post_at, delete_at, total_msg_count, create_at;
};
struct mm_user {
    const char *id, *username, *first_name, *last_name, *nickname, *email, *roles;
    int64_t delete_at;
    bool is_bot;
};
struct mm_team {
    const char *id, *name, *display_name;
    int64_t delete_at;
};
struct mm_reaction {
    const char *user_id, *post_id, *emoji_name, *channel_id;
    int64_t create_at;
};

/* All return 0, or -EINVAL with a sentence when the object lacks its id or is no object. */
int mm_post_read(const cJSON *json, struct mm_post *ret, struct mw_error *err);
int mm_channel_read(const cJSON *json, struct mm_channel *ret, struct mw_error *err);
int mm_user_read(const cJSON *json, struct mm_user *ret, struct mw_error *err);
int mm_team_read(const cJSON *json, struct mm_team *ret, struct mw_error *err);
int mm_reaction_read(const cJSON *json, struct mm_reaction *ret, struct mw_error *err);

bool mm_post_is_system(const struct mm_post *p);
bool mm_post_from_webhook(const struct mm_post *p);

/* True when `message` mentions `@username` as the server finds mentions: split at anything but
 * letters, digits and `:.-_@`, trailing `.-:_` trimmed, compared without case, code spans and
 * blocks skipped (reference, section 6, "Mention parser"). */
bool mm_mentions(const char *message, const char *username);

#endif
