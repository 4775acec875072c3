#include "gateway/route.h"

#include "base/str.h"

static const char *const verdict_names[] = {
    [GW_RUN] = "run",
    [GW_SKIP_KIND] = "not_a_post",
    [GW_SKIP_OWN] = "own",
    [GW_SKIP_SYSTEM] = "system",
    [GW_SKIP_WEBHOOK] = "webhook",
    [GW_SKIP_BOT] = "bot",
    [GW_SKIP_NO_HANDLER] = "no_handler",
    [GW_SKIP_NOT_ADDRESSED] = "not_addressed",
    [GW_SKIP_NOT_ALLOWED] = "not_allowed",
};

const char *gw_verdict_name(enum gw_verdict v)
{
    return (unsigned)v < MW_ARRAY_LEN(verdict_names) ? verdict_names[v] : "unknown";
}

/* What never triggers a handler, whoever is allowed. Own posts come first: a bot is a bot too. */
static const struct {
    unsigned flag;
    enum gw_verdict verdict;
} never[] = {
    {MW_EVENT_OWN, GW_SKIP_OWN},
    {MW_EVENT_SYSTEM, GW_SKIP_SYSTEM},
    {MW_EVENT_FROM_WEBHOOK, GW_SKIP_WEBHOOK},
    {MW_EVENT_FROM_BOT, GW_SKIP_BOT},
};

enum gw_verdict gw_decide(const struct gw_route *r, const struct mw_event *ev)
{
    if (ev->kind != MW_EVENT_POST)
        return GW_SKIP_KIND;
    for (size_t i = 0; i < MW_ARRAY_LEN(never); i++) {
        if (ev->flags & never[i].flag)
            return never[i].verdict;
    }
    if (!r->handler)
        return GW_SKIP_NO_HANDLER;
    if (r->mention_only && !(ev->flags & (MW_EVENT_DIRECT | MW_EVENT_MENTION)))
        return GW_SKIP_NOT_ADDRESSED;
    if (!r->everyone && !mw_map_get(&r->allowed, ev->user_id))
        return GW_SKIP_NOT_ALLOWED;
    return GW_RUN;
}

const char *gw_answer_root(const struct gw_route *r, const struct mw_event *ev)
{
    if (ev->root_id[0])
        return ev->root_id;
    return r->thread_replies ? ev->post_id : "";
}

char *gw_conversation_key(const struct gw_route *r, const struct mw_event *ev)
{
    const char *root = gw_answer_root(r, ev);

    /* Two messages of one person in a direct channel are one conversation, even when each is
     * answered in a thread of its own. */
    if (!root[0] || (!ev->root_id[0] && (ev->flags & MW_EVENT_DIRECT)))
        return strdup(ev->channel_id);
    return mw_asprintf("%s/%s", ev->channel_id, root);
}
