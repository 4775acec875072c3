/*
 * The tool calls of one reply: the configured programs run side by side, their output becomes
 * messages for the model.
 */
#ifndef MW_HANDLERS_CHAT_TOOLS_H
#define MW_HANDLERS_CHAT_TOOLS_H

#include "gateway/handler.h"
#include "handlers/chat_codec.h"

struct gw_chat_tools;

struct gw_chat_tools_params {
    const struct gw_handler_host *host;
    const struct gw_turn *turn;
    const struct gw_turn_ops *ops;    /* is told of each call */
    void *userdata;                   /* of ops */
    const struct gw_chat_call *calls; /* with ids; valid until the end */
    size_t n_calls;
    unsigned round; /* makes the ids of activities unique in the turn */
};

/* Adds {"role":"tool","tool_call_id","content"} for each call to `messages`, in their order. rc: 0
 * or -ENOMEM. After it the object is gone. */
typedef void (*gw_chat_tools_cb)(int rc, void *userdata);

/* cb comes exactly once, never before this returns. A call that cannot be made is told to the
 * model; only -ENOMEM makes this fail. */
int gw_chat_tools_start(const struct gw_chat_tools_params *params, cJSON *messages,
                        gw_chat_tools_cb cb, void *userdata, struct gw_chat_tools **ret);
/* Ends the programs; cb comes when they have ended. */
void gw_chat_tools_cancel(struct gw_chat_tools *t);
/* Kills them at once; cb does not come. Not from within cb. */
void gw_chat_tools_drop(struct gw_chat_tools *t);

/* `tools` of a request: [{"type":"function","function":{...}}]; NULL when memory ran out. */
cJSON *gw_chat_tools_json(const struct gw_handler_config *c);

#endif
