/*
 * Letting in people who are not in the config: somebody unknown who writes to the bot directly is
 * shown a code, and who operates the daemon approves it. A code is good for an hour, three may wait
 * at a time, and after five wrong ones all that wait are void. All calls on the loop's thread.
 */
#ifndef MW_GATEWAY_PAIR_H
#define MW_GATEWAY_PAIR_H

#include "gateway/gateway.h"

/* What to tell the person (allocated); NULL = nothing: he was told before, or too many wait.
 * Returns 0 or a negative errno. */
int gw_pair_request(struct gw *gw, const char *bot, const char *user_id, const char *user_name,
                    char **ret_text);
/* Returns 1, 0, or a negative errno. */
int gw_paired(struct gw *gw, const char *bot, const char *user_id);

/* {"bot", "pending": [{"code","user_id","user_name","expires_at"}], "people":
 * [{"user_id","user_name","since"}]}; NULL without memory. */
cJSON *gw_pair_json(struct gw *gw, const char *bot);
/* Return 0; 1 with a sentence; or a negative errno. *ret: {"user_id","user_name"}. */
int gw_pair_approve(struct gw *gw, const char *bot, const char *code, cJSON **ret,
                    struct mw_error *err);
/* `person`: a user's name (with or without @) or id that was let in, or a code that waits. */
int gw_pair_revoke(struct gw *gw, const char *bot, const char *person, cJSON **ret,
                   struct mw_error *err);

#endif
