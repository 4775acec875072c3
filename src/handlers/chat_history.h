/*
 * The posts before a turn: as the server has them, or as the journal has them when the server
 * cannot be asked.
 */
#ifndef MW_HANDLERS_CHAT_HISTORY_H
#define MW_HANDLERS_CHAT_HISTORY_H

#include "gateway/handler.h"

struct gw_chat_history;

/* events: an array as in docs/events.md, oldest first, valid during the call; NULL = none. */
typedef void (*gw_chat_history_cb)(const cJSON *events, void *userdata);

/* cb comes exactly once, maybe before this returns (*ret is set before). Returns 0 or -ENOMEM. */
int gw_chat_history_start(struct gw *gw, const struct gw_turn *turn, gw_chat_history_cb cb,
                          void *userdata, struct gw_chat_history **ret);
/* cb does not come any more. */
void gw_chat_history_forget(struct gw_chat_history *h);

#endif
