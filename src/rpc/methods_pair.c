/* The methods about people who were let in by a code. */
#include "base/str.h"
#include "gateway/pair.h"
#include "rpc/internal.h"

static void answer(struct rpc_call *call, int rc, cJSON *result, const struct mw_error *err)
{
    if (rc == 0)
        rpc_call_json(call, result);
    else
        rpc_call_error(call, rc == 1 ? GW_NOT_FOUND : GW_INTERNAL, mw_error_text(err), NULL);
}

static void run_list(struct rpc_call *call, const cJSON *params)
{
    struct gw_bot *bot = rpc_call_bot(call, params);

    if (bot)
        rpc_call_json(call, gw_pair_json(rpc_call_gw(call), gw_bot_name(bot)));
}

static void run_approve(struct rpc_call *call, const cJSON *params)
{
    struct gw_bot *bot = rpc_call_bot(call, params);
    MW_AUTOERROR err = MW_ERROR_INIT;
    cJSON *result = NULL;
    int rc;

    if (!bot)
        return;
    rc = gw_pair_approve(rpc_call_gw(call), gw_bot_name(bot), mw_json_str(params, "code"), &result,
                         &err);
    answer(call, rc, result, &err);
}

static void run_revoke(struct rpc_call *call, const cJSON *params)
{
    struct gw_bot *bot = rpc_call_bot(call, params);
    MW_AUTOERROR err = MW_ERROR_INIT;
    cJSON *result = NULL;
    int rc;

    if (!bot)
        return;
    rc = gw_pair_revoke(rpc_call_gw(call), gw_bot_name(bot), mw_json_str(params, "person"), &result,
                        &err);
    answer(call, rc, result, &err);
}

/* ---- The table ---- */

#define BOT                                                                                        \
    {                                                                                              \
        .name = "bot", .type = RPC_STRING, .doc = "The bot; not needed when there is only one."    \
    }

static const struct rpc_param list_params[] = {BOT};
static const struct rpc_param approve_params[] = {
    {.name = "code", .type = RPC_STRING, .required = true, .doc = "The code that was shown."},
    BOT,
};
static const struct rpc_param revoke_params[] = {
    {.name = "person",
     .type = RPC_STRING,
     .required = true,
     .doc = "A user's name or id, or a code that waits."},
    BOT,
};

static const struct rpc_method methods[] = {
    {.name = "pair.list",
     .doc = "Lists who waits with a code, and who was let in by one.",
     RPC_PARAMS(list_params),
     .result = "An object: `bot`, `pending` (objects with `code`, `user_id`, `user_name`, "
               "`expires_at`), `people` (`user_id`, `user_name`, `since`).",
     .run = run_list},
    {.name = "pair.approve",
     .doc = "Lets in the person who was shown this code. Five wrong codes void all that wait.",
     RPC_PARAMS(approve_params),
     .result = "An object: `user_id`, `user_name`.",
     .run = run_approve},
    {.name = "pair.revoke",
     .doc = "Takes back what a code allowed, or voids a code that waits.",
     RPC_PARAMS(revoke_params),
     .result = "An object: `user_id`, `user_name`.",
     .run = run_revoke},
};
const struct rpc_method_table rpc_methods_pair = RPC_METHOD_TABLE(methods);
