/*
 * Cards of an answer (message attachments) and the buttons and menus in them.
 *
 * The Mattermost server calls a button's address itself: a program that wants to be called gives
 * its own. Errors are sentences for whoever wrote the program. No state, any thread.
 */
#ifndef MW_GATEWAY_CARDS_H
#define MW_GATEWAY_CARDS_H

#include "base/error.h"
#include "base/json.h"

#define GW_CARDS_MAX        20
#define GW_CARD_ACTIONS_MAX 20
#define GW_CARD_CONTEXT_MAX 4096 /* bytes of JSON */
#define GW_CARD_URL_MAX     2048
#define GW_CARD_NAME_MAX    100 /* bytes */
#define GW_CARD_ACTION_ID   64
#define GW_CARD_OPTIONS_MAX 100

/* Returns 0; 1 with a sentence; -ENOMEM. */
int gw_cards_check(const cJSON *cards, struct mw_error *err);

/* A card of its own for [{"text", "url", "context"?, "style"?}]. Returns as gw_cards_check. */
int gw_buttons_card(const cJSON *buttons, cJSON **ret, struct mw_error *err);

#endif
