#include "base/log.h"
#include "base/str.h"
#include "handlers/acp_internal.h"

/* The gateway ends a question when its time is over, and says so in its post; this is for when it
 * does not. */
#define LATE_MS 2000

static void answer(struct gw_handler_instance *in, const cJSON *rpc_id, const char *option)
{
    (void)!acp_agent_answer(in->agent, rpc_id, acp_outcome(option));
}

static void ask_free(struct acp_ask *a)
{
    struct acp_ask **at = &a->run->asks;

    while (*at && *at != a)
        at = &(*at)->next;
    if (*at)
        *at = a->next;
    mw_timer_free(a->timer);
    cJSON_Delete(a->rpc_id);
    free(a->reject);
    free(a);
}

static void on_timer(void *userdata)
{
    struct acp_ask *a = userdata;

    acp_ask_decided(a->run, a->id, NULL);
}

void acp_ask_decided(struct gw_handler_run *run, int id, const char *option)
{
    struct acp_ask *a = run->asks;

    while (a && a->id != id)
        a = a->next;
    if (!a)
        return; /* answered already */
    answer(run->in, a->rpc_id, option ? option : run->canceled ? NULL : a->reject);
    ask_free(a);
}

void acp_ask_cancel_all(struct gw_handler_run *run)
{
    while (run->asks) {
        answer(run->in, run->asks->rpc_id, NULL);
        ask_free(run->asks);
    }
}

/* Returns whether people are asked now. */
static bool ask_people(struct gw_handler_run *run, const struct acp_msg *m,
                       const struct acp_permission *p)
{
    struct acp_ask *a = calloc(1, sizeof(*a));
    const char *known = mw_map_get(&run->titles, p->tool_id), *reject = acp_choose(p, false);
    MW_AUTOBUF details = {.limit = 64 * 1024};
    const struct gw_permission ask = {
        .title = p->title ? p->title
                 : known  ? known
                          : "The agent asks for permission",
        .options = p->options,
        .n_options = p->n_options,
        .timeout_ms = run->in->host.config->approval_timeout_ms,
    };
    struct gw_permission q = ask;

    if (!a)
        return false;
    a->run = run;
    a->rpc_id = cJSON_Duplicate(m->rpc_id, true);
    (void)!acp_permission_details(p->tool, &details); /* what is too long is cut */
    q.details = mw_buf_str(&details);
    if (!a->rpc_id || (reject && mw_str_set(&a->reject, reject)) ||
        mw_timer_new(run->in->host.loop, on_timer, a, &a->timer)) {
        ask_free(a);
        return false;
    }
    a->id = run->ops->ask(run->userdata, &q);
    if (a->id <= 0) {
        mw_log_warning("nobody could be asked for a permission, so it is refused",
                       MW_F_STR("handler", run->in->host.config->name),
                       MW_F_STR("reason", strerror(-a->id)));
        ask_free(a);
        return false;
    }
    run->shown = true;
    a->next = run->asks;
    run->asks = a;
    mw_timer_start(a->timer, run->in->host.config->approval_timeout_ms + LATE_MS);
    return true;
}

void acp_ask(struct gw_handler_instance *in, const struct acp_msg *m)
{
    const struct gw_handler_config *config = in->host.config;
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct acp_permission p;
    struct acp_session *s;
    struct gw_handler_run *run;

    if (acp_read_permission(m->params, &p, &err)) {
        (void)!acp_agent_refuse(in->agent, m->rpc_id, ACP_INVALID_PARAMS, mw_error_text(&err));
        return;
    }
    s = acp_session_by_id(in, p.session);
    run = s ? s->prompt_run : NULL;
    if (!run || run->canceled)
        answer(in, m->rpc_id, NULL);
    else if (config->approval == GW_APPROVAL_APPROVE)
        answer(in, m->rpc_id, acp_choose(&p, true));
    else if (config->approval == GW_APPROVAL_REJECT || !p.n_options || !ask_people(run, m, &p))
        answer(in, m->rpc_id, acp_choose(&p, false));
}
