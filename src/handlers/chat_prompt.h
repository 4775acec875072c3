/*
 * What a model is told: messages made of the handler's config, of what was said before, and of the
 * turn. Reads the turn's files; no other I/O.
 */
#ifndef MW_HANDLERS_CHAT_PROMPT_H
#define MW_HANDLERS_CHAT_PROMPT_H

#include "gateway/handler.h"

/* Where the earlier posts are. */
struct gw_chat_place {
    const char *channel_id, *root_id; /* one of them is NULL; both = there is nothing before */
};
struct gw_chat_place gw_chat_place(const struct gw_turn *turn);

struct gw_chat_prompt {
    const char *system; /* the config's; NULL = none */
    const char *bot;    /* user name of the bot; "" = not known */
    const struct gw_turn *turn;
    const cJSON *before; /* events as in docs/events.md, oldest first; may have the turn's own */
    size_t max_before;   /* bytes of what is shown of them */
    int64_t since;       /* those from before this time were to be forgotten; ms */
};

/* [{"role","content"}]: system, then what was said in order, at last the turn. Neighbours of one
 * role are one message: there are models that want the roles to alternate. Returns 0 or -ENOMEM. */
int gw_chat_messages(const struct gw_chat_prompt *p, cJSON **ret);

#endif
