#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "handlers/acp_internal.h"

#define MAX_SESSIONS 200 /* at a time; the agent holds each in memory */

/* An id is stored for so long after the last prompt, and stored anew at the first one of a day. */
#define DAY_MS  ((int64_t)24 * 3600 * 1000)
#define KEEP_MS (30 * DAY_MS)

static void session_free(struct gw_handler_instance *in, struct acp_session *s)
{
    struct acp_session **at = &in->sessions;

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    acp_agent_forget(in->agent, s);
    free(s->conversation);
    free(s->id);
    free(s);
}

void acp_sessions_free(struct gw_handler_instance *in)
{
    while (in->sessions)
        session_free(in, in->sessions);
}

static struct acp_session *by_conversation(struct gw_handler_instance *in, const char *conversation)
{
    struct acp_session *s = in->sessions;

    while (s && !mw_streq(s->conversation, conversation))
        s = s->next;
    return s;
}

struct acp_session *acp_session_get(struct gw_handler_instance *in, const char *conversation)
{
    struct acp_session *s = by_conversation(in, conversation);

    if (s)
        return s;
    s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->conversation = strdup(conversation);
    if (!s->conversation || gw_state_get(in->host.gw, in->scope, conversation, &s->id) < 0) {
        free(s->conversation);
        free(s);
        return NULL;
    }
    s->next = in->sessions;
    in->sessions = s;
    return s;
}

static int keep(struct gw_handler_instance *in, struct acp_session *s)
{
    int64_t now = mw_clock_now();
    int rc = gw_state_set_until(in->host.gw, in->scope, s->conversation, s->id, now + KEEP_MS);

    if (!rc)
        s->kept = now;
    return rc;
}

void acp_session_used(struct gw_handler_instance *in, struct acp_session *s)
{
    int64_t age = mw_clock_now() - s->kept;

    /* Without memory for it: with the next prompt. */
    if (age < 0 || age >= DAY_MS)
        (void)!keep(in, s);
}

struct acp_session *acp_session_by_id(struct gw_handler_instance *in, const char *id)
{
    struct acp_session *s = in->sessions;

    while (s && !(s->id && mw_streq(s->id, id)))
        s = s->next;
    return s;
}

void acp_session_closed(struct acp_session *s)
{
    s->state = ACP_CLOSED;
    s->prompting = false;
    s->prompt_run = NULL;
}

void acp_session_lose(struct gw_handler_instance *in, struct acp_session *s, const char *why)
{
    mw_log_warning("an agent's session could not be continued, so a new one begins",
                   MW_F_STR("handler", in->host.config->name),
                   MW_F_STR("conversation", s->conversation), MW_F_STR("session", s->id),
                   MW_F_STR("reason", why));
    acp_agent_forget(in->agent, s);
    free(take_ptr(s->id));
    acp_session_closed(s);
}

/* What went wrong is said to the turn that waits, if one does. */
static void not_opened(struct gw_handler_instance *in, struct acp_session *s, const char *why)
{
    s->state = ACP_CLOSED;
    if (s->run)
        acp_run_fail(s->run, "%s", why);
}

static void opened(struct gw_handler_instance *in, struct acp_session *s)
{
    s->state = ACP_OPEN;
    s->used = mw_clock_mono();
    acp_sessions_trim(in);
    if (s->run)
        acp_run_advance(s->run);
}

static void on_error(struct gw_handler_instance *in, struct acp_session *s, const struct acp_msg *m)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOFREE char *why = NULL;

    if (m->code == ACP_AUTH_REQUIRED) {
        s->state = ACP_CLOSED;
        if (acp_agent_sign_in(in->agent, &err))
            not_opened(in, s, mw_error_text(&err));
        return; /* otherwise all sessions go on when that is done */
    }
    why = mw_asprintf("the agent could not make a session: %s (%d)", m->message, m->code);
    not_opened(in, s, why ? why : "out of memory");
}

static void on_made(void *owner, void *subject, const struct acp_msg *m)
{
    struct gw_handler_instance *in = owner;
    struct acp_session *s = subject;
    const char *id = mw_json_str(m->result, "sessionId");

    if (m->kind == ACP_ERROR) {
        on_error(in, s, m);
        return;
    }
    if (!id || !id[0] || mw_str_set(&s->id, id) || keep(in, s)) {
        not_opened(in, s, id ? "out of memory" : "the agent made a session without an id");
        return;
    }
    opened(in, s);
}

static void on_continued(void *owner, void *subject, const struct acp_msg *m)
{
    struct gw_handler_instance *in = owner;
    struct acp_session *s = subject;

    if (m->kind != ACP_ERROR) {
        opened(in, s);
    } else if (m->code == ACP_AUTH_REQUIRED) {
        on_error(in, s, m);
    } else {
        acp_session_lose(in, s, m->message);
        acp_session_open(in, s);
    }
}

void acp_session_open(struct gw_handler_instance *in, struct acp_session *s)
{
    const struct acp_agent_info *agent = acp_agent_info(in->agent);
    const struct gw_handler_config *config = in->host.config;
    const char *method = "session/new";
    size_t left_out = 0;
    cJSON *params;

    if (s->id && !agent->load && !agent->resume)
        acp_session_lose(in, s, "the agent cannot load sessions");
    if (s->id)
        method = agent->resume ? "session/resume" : "session/load";
    params = acp_session_params(s->id, config, agent->mcp_http, &left_out);
    if (params && left_out)
        mw_log_warning("the agent cannot use MCP servers over HTTP, so it is not told of them",
                       MW_F_STR("handler", config->name), MW_F_INT("servers", left_out));
    s->state = ACP_OPENING;
    if (acp_agent_call(in->agent, method, params, s->id ? on_continued : on_made, s))
        not_opened(in, s, "the agent does not take a session");
}

/* Tells the agent that nobody needs it any more. */
static void dismiss(struct gw_handler_instance *in, const struct acp_session *s, bool forever)
{
    const struct acp_agent_info *agent = acp_agent_info(in->agent);
    const char *method = forever && agent->remove ? "session/delete"
                         : agent->close           ? "session/close"
                                                  : NULL;

    if (method && s->id && s->state == ACP_OPEN && acp_agent_ready(in->agent))
        (void)!acp_agent_call(in->agent, method, acp_one_member("sessionId", s->id), NULL, NULL);
}

void acp_session_reset(struct gw_handler_instance *in, const char *conversation)
{
    struct acp_session *s = by_conversation(in, conversation);

    (void)!gw_state_set(in->host.gw, in->scope, conversation, NULL);
    if (!s)
        return;
    dismiss(in, s, true);
    if (!s->run)
        session_free(in, s);
}

void acp_sessions_trim(struct gw_handler_instance *in)
{
    struct acp_session *oldest = NULL;
    size_t n = 0;

    for (struct acp_session *s = in->sessions; s; s = s->next, n++) {
        if (!s->run && !s->prompting && (!oldest || s->used < oldest->used))
            oldest = s;
    }
    if (n <= MAX_SESSIONS || !oldest)
        return;
    dismiss(in, oldest, false);
    session_free(in, oldest); /* its id is in the store */
}
