/*
 * Type `acp`: an agent of the Agent Client Protocol, version 1, over standard input and output
 * (docs/handlers-acp.md). One program for the handler, one session for each conversation; prompts
 * of different conversations run side by side.
 *
 * A turn: wait for the agent -> wait for the session (made, or loaded when the conversation had
 * one) -> prompt -> updates -> end. When the agent ends meanwhile, the turn begins again as long as
 * nothing of it was shown.
 */
#include <stdarg.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/utf8.h"
#include "handlers/acp_internal.h"
#include "handlers/acp_prompt.h"
#include "handlers/handlers.h"

#define TRIES      3
#define CANCEL_MS  1000  /* for the agent to end a prompt that was cancelled */
#define STUCK_MS   10000 /* then the next turn of the conversation does without that session */
#define MAX_ANSWER (1024 * 1024)
#define MAX_TITLE  200

/* ---- The end of a run ---- */

static void title_free(void *title)
{
    free(title);
}

static void run_free(struct gw_handler_run *run)
{
    mw_timer_free(run->timer);
    mw_buf_deinit(&run->text);
    mw_map_deinit(&run->titles);
    free(run->message_id);
    free(run);
}

static void run_end(struct gw_handler_run *run, struct gw_handler_answer *a)
{
    struct gw_handler_run **at = &run->in->runs;

    acp_ask_cancel_all(run);
    while (*at != run)
        at = &(*at)->next;
    *at = run->next;
    if (run->session->run == run)
        run->session->run = NULL;
    if (run->session->prompt_run == run)
        run->session->prompt_run = NULL;
    if (!a->text)
        a->text = "";
    run->ops->end(run->userdata, a);
    mw_error_reset(&a->err);
    run_free(run);
}

void acp_run_fail(struct gw_handler_run *run, const char *fmt, ...)
{
    struct gw_handler_answer a = {.end = run->canceled ? GW_HANDLER_CANCELED : GW_HANDLER_FAILED};
    MW_AUTOBUF text = {.limit = 16384};
    va_list ap;

    va_start(ap, fmt);
    mw_buf_vprintf(&text, fmt, ap);
    va_end(ap);
    if (!run->canceled)
        mw_error_set(&a.err, -EIO, "%s", mw_buf_str(&text));
    run_end(run, &a);
}

static void run_canceled(struct gw_handler_run *run)
{
    struct gw_handler_answer a = {.end = GW_HANDLER_CANCELED};

    run_end(run, &a);
}

/* Begins again with nothing said. */
static void run_rewind(struct gw_handler_run *run)
{
    run->prompted = false;
    run->paragraph = false;
    run->plan = 0;
    mw_buf_clear(&run->text);
    mw_map_clear(&run->titles);
    free(take_ptr(run->message_id));
}

/* ---- What the agent says ---- */

static void take_text(struct gw_handler_run *run, const struct acp_update *u)
{
    size_t before = run->text.len;
    const char *end = before ? run->text.data + before - 1 : NULL;
    bool other = u->message_id && run->message_id && !mw_streq(u->message_id, run->message_id);

    if (!u->text[0])
        return;
    /* A message that goes on after a tool call, or a new one, is a new paragraph. */
    if (end && (run->paragraph || other) && *end != '\n' && u->text[0] != '\n')
        mw_buf_puts(&run->text, "\n\n");
    run->paragraph = false;
    if (mw_buf_puts(&run->text, u->text) ||
        (u->message_id && mw_str_set(&run->message_id, u->message_id))) {
        (void)!acp_agent_notify(run->in->agent, "session/cancel",
                                acp_one_member("sessionId", run->session->id));
        acp_run_fail(run, run->text.error == -E2BIG ? "the answer is longer than 1 MiB"
                                                    : "out of memory");
        return;
    }
    run->shown = true;
    run->ops->text(run->userdata, run->text.data + before, run->text.len - before);
}

static void tell_activity(struct gw_handler_run *run, const char *id, const char *title,
                          enum gw_activity_state state)
{
    const struct gw_activity a = {.id = id, .title = title, .state = state};

    run->shown = true;
    run->ops->activity(run->userdata, &a);
}

static void take_tool(struct gw_handler_run *run, const struct acp_update *u)
{
    const char *title = u->title;
    MW_AUTOFREE char *copy = NULL;

    run->paragraph = true;
    if (title && title[0]) {
        copy = strndup(title, mw_utf8_offset(title, MAX_TITLE));
        if (copy && mw_map_put(&run->titles, u->tool_id, copy) == 0)
            copy = NULL;
    }
    title = mw_map_get(&run->titles, u->tool_id);
    tell_activity(run, u->tool_id, title ? title : "Tool",
                  u->state < 0 ? GW_ACTIVITY_RUNNING : (enum gw_activity_state)u->state);
}

/* A plan is told whole each time; entries that are gone are done. */
static void take_plan(struct gw_handler_run *run, const cJSON *entries)
{
    const cJSON *entry;
    size_t n = 0;
    char id[32];

    run->paragraph = true;
    cJSON_ArrayForEach(entry, entries)
    {
        enum gw_activity_state state;
        const char *content = acp_plan_entry(entry, &state);

        if (!content)
            continue;
        snprintf(id, sizeof(id), "plan/%zu", n++);
        tell_activity(run, id, content, state);
    }
    for (size_t i = n; i < run->plan; i++) {
        snprintf(id, sizeof(id), "plan/%zu", i);
        tell_activity(run, id, "", GW_ACTIVITY_DONE);
    }
    run->plan = n;
}

static void on_notification(void *owner, const struct acp_msg *m)
{
    struct gw_handler_instance *in = owner;
    struct acp_update u;
    struct acp_session *s;

    if (!mw_streq(m->method, "session/update") || acp_read_update(m->params, &u))
        return;
    s = acp_session_by_id(in, u.session);
    /* What a session says while it is loaded is its past. */
    if (!s || !s->prompt_run)
        return;
    switch (u.kind) {
    case ACP_UPDATE_TEXT:
        take_text(s->prompt_run, &u);
        break;
    case ACP_UPDATE_THOUGHT:
        s->prompt_run->paragraph = true;
        break;
    case ACP_UPDATE_TOOL:
        take_tool(s->prompt_run, &u);
        break;
    case ACP_UPDATE_PLAN:
        take_plan(s->prompt_run, u.entries);
        break;
    case ACP_UPDATE_OTHER:
        break;
    }
}

static void on_request(void *owner, const struct acp_msg *m)
{
    struct gw_handler_instance *in = owner;

    if (mw_streq(m->method, "session/request_permission"))
        acp_ask(in, m);
    else
        (void)!acp_agent_refuse(in->agent, m->rpc_id, ACP_UNKNOWN_METHOD,
                                "Matterwire does not offer this method");
}

/* ---- The prompt ---- */

static bool blank(const char *s)
{
    return !s[strspn(s, " \t\r\n")];
}

static void finish(struct gw_handler_run *run, const char *reason)
{
    static const struct {
        const char *reason;
        const char *note;  /* goes below the answer; NULL = all is well */
        const char *alone; /* the answer when there is none */
    } rows[] = {
        {"max_tokens", "The agent stopped here: its limit of tokens is reached.",
         "The agent reached its limit of tokens before it said anything."},
        {"max_turn_requests", "The agent stopped here: its limit of steps is reached.",
         "The agent reached its limit of steps before it said anything."},
        {"refusal", "The agent refused to go on.", "The agent refused to answer."},
        {"cancelled", "The agent stopped here by itself.", NULL},
    };
    struct gw_handler_answer a = {.end = GW_HANDLER_ANSWERED};
    bool silent = blank(mw_buf_str(&run->text)), stopped = mw_streq(reason, "cancelled");
    const char *note = NULL;

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        if (mw_streq(rows[i].reason, reason))
            note = silent ? rows[i].alone : rows[i].note;
    }
    if (silent ? stopped || run->canceled : stopped && run->canceled) {
        acp_run_fail(run, "the agent stopped by itself");
        return;
    }
    if (note) {
        run->text.limit = 0;
        if (silent)
            mw_buf_clear(&run->text);
        mw_buf_printf(&run->text, "%s*%s*", silent ? "" : "\n\n", note);
        mw_error_set(&a.err, -EIO, "the agent ended with \"%s\"", reason);
    } else if (silent) {
        a.end = GW_HANDLER_EMPTY;
    }
    a.text = mw_buf_str(&run->text);
    run_end(run, &a);
}

/* The error of a prompt: begin again where that can help, once. */
static void prompt_failed(struct gw_handler_run *run, const struct acp_msg *m)
{
    struct gw_handler_instance *in = run->in;
    MW_AUTOERROR err = MW_ERROR_INIT;
    bool can = !run->canceled && !run->again && !run->shown;

    if (can && m->code == ACP_AUTH_REQUIRED) {
        run->again = true;
        run_rewind(run);
        if (acp_agent_sign_in(in->agent, &err))
            acp_run_fail(run, "%s", mw_error_text(&err));
    } else if (can && m->code == ACP_NOT_FOUND) {
        run->again = true;
        run_rewind(run);
        acp_session_lose(in, run->session, m->message);
        acp_run_advance(run);
    } else {
        acp_run_fail(run, "the agent says: %s (%d)", m->message, m->code);
    }
}

static void on_prompted(void *owner, void *subject, const struct acp_msg *m)
{
    struct acp_session *s = subject;
    struct gw_handler_run *run = s->prompt_run;

    s->prompting = false;
    s->prompt_run = NULL;
    s->used = mw_clock_mono();
    if (!run) {
        /* It had ended before; now the next one may begin. */
        if (s->run)
            acp_run_advance(s->run);
    } else if (m->kind == ACP_ERROR) {
        prompt_failed(run, m);
    } else {
        finish(run, mw_json_str_or(m->result, "stopReason", ""));
    }
}

static void prompt(struct gw_handler_run *run)
{
    struct gw_handler_instance *in = run->in;
    struct acp_session *s = run->session;
    cJSON *content = acp_prompt_content(&run->turn, acp_agent_info(in->agent));

    mw_timer_stop(run->timer);
    run->patient = false;
    run->prompted = true;
    s->prompting = true;
    s->prompt_run = run;
    acp_session_used(in, s);
    if (acp_agent_call(in->agent, "session/prompt", acp_prompt_params(s->id, content), on_prompted,
                       s)) {
        s->prompting = false;
        acp_run_fail(run, "the agent does not take the prompt");
    }
}

/* The prompt before this one was cancelled, and the agent is still at it. */
static void impatient(struct gw_handler_run *run)
{
    struct gw_handler_instance *in = run->in;
    bool others = false;

    run->patient = false;
    for (struct acp_session *s = in->sessions; s; s = s->next)
        others |= s->prompt_run != NULL;
    if (!others) {
        acp_agent_break(in->agent, "it did not heed session/cancel");
        return;
    }
    acp_session_lose(in, run->session, "the agent did not heed session/cancel");
    acp_run_advance(run);
}

void acp_run_advance(struct gw_handler_run *run)
{
    struct acp_session *s = run->session;

    if (run->prompted || run->canceled || !acp_agent_ready(run->in->agent))
        return;
    if (s->state == ACP_CLOSED) {
        acp_session_open(run->in, s);
    } else if (s->state == ACP_OPEN && !s->prompting) {
        prompt(run);
    } else if (s->state == ACP_OPEN && !run->patient) {
        run->patient = true;
        mw_timer_start(run->timer, STUCK_MS);
    }
}

/* ---- The agent comes and goes ---- */

static void advance_all(struct gw_handler_instance *in)
{
    struct gw_handler_run *next;

    for (struct gw_handler_run *run = in->runs; run; run = next) {
        next = run->next;
        acp_run_advance(run);
    }
}

static void on_ready(void *owner)
{
    advance_all(owner);
}

static void on_signed_in(void *owner, const char *problem)
{
    struct gw_handler_instance *in = owner;
    struct gw_handler_run *next;

    if (!problem) {
        advance_all(in);
        return;
    }
    for (struct gw_handler_run *run = in->runs; run; run = next) {
        next = run->next;
        if (!run->prompted && run->session->state == ACP_CLOSED)
            acp_run_fail(run, "%s", problem);
    }
}

/* What becomes of a run whose agent has ended. */
static void run_bereft(struct gw_handler_run *run, const char *why, bool final)
{
    if (run->canceled) {
        run_canceled(run);
    } else if (final) {
        acp_run_fail(run, "%s", why);
    } else if (run->prompted && (run->shown || run->again)) {
        acp_run_fail(run, "the agent ended in the middle of the answer: %s", why);
    } else if (run->prompted) {
        run->again = true;
        run_rewind(run);
    } else if (++run->tries >= TRIES) {
        acp_run_fail(run, "the agent ended %d times before it could be asked; at last: %s", TRIES,
                     why);
    }
}

static void on_gone(void *owner, const char *why, bool final)
{
    struct gw_handler_instance *in = owner;
    struct gw_handler_run *next;
    MW_AUTOERROR err = MW_ERROR_INIT;
    int r;

    for (struct acp_session *s = in->sessions; s; s = s->next)
        acp_session_closed(s);
    for (struct gw_handler_run *run = in->runs; run; run = next) {
        next = run->next;
        run_bereft(run, why, final);
    }
    if (!in->runs)
        return;
    r = acp_agent_start(in->agent, &err);
    while (r < 0 && in->runs)
        acp_run_fail(in->runs, "%s", mw_error_text(&err));
}

static const struct acp_agent_ops agent_ops = {
    .ready = on_ready,
    .signed_in = on_signed_in,
    .request = on_request,
    .notification = on_notification,
    .gone = on_gone,
};

/* ---- The type ---- */

static void close_acp(struct gw_handler_instance *in)
{
    if (in->agent)
        acp_sessions_free(in);
    acp_agent_free(in->agent);
    free(in->scope);
    free(in);
}

static int open_acp(const struct gw_handler_host *host, struct gw_handler_instance **ret,
                    struct mw_error *err)
{
    struct gw_handler_instance *in = calloc(1, sizeof(*in));

    if (!in)
        return mw_error_set(err, -ENOMEM, "out of memory");
    in->host = *host;
    in->scope = mw_asprintf("acp:%s", host->config->name);
    if (!in->scope || acp_agent_new(&in->host, &agent_ops, in, &in->agent)) {
        close_acp(in);
        return mw_error_set(err, -ENOMEM, "out of memory");
    }
    *ret = in;
    return 0;
}

static void on_timer(void *userdata)
{
    struct gw_handler_run *run = userdata;

    if (run->canceled)
        run_canceled(run);
    else if (run->patient)
        impatient(run);
    else
        acp_run_advance(run);
}

static int start(struct gw_handler_instance *in, const struct gw_turn *turn,
                 const struct gw_turn_ops *ops, void *userdata, struct gw_handler_run **ret,
                 struct mw_error *err)
{
    struct gw_handler_run *run = calloc(1, sizeof(*run));
    int r;

    if (!run || mw_timer_new(in->host.loop, on_timer, run, &run->timer)) {
        free(run);
        return mw_error_set(err, -ENOMEM, "out of memory");
    }
    mw_map_init(&run->titles, title_free);
    run->in = in;
    run->ops = ops;
    run->userdata = userdata;
    run->turn = *turn;
    run->text.limit = MAX_ANSWER;
    run->session = acp_session_get(in, turn->conversation);
    r = run->session ? acp_agent_start(in->agent, err)
                     : mw_error_set(err, -ENOMEM, "out of memory");
    if (!run->session || r < 0) {
        run_free(run);
        return r;
    }
    run->next = in->runs;
    in->runs = run;
    run->session->run = run;
    *ret = run;
    /* A failure of it would tell the end before this returned. */
    mw_timer_start(run->timer, 0);
    return 0;
}

static void cancel(struct gw_handler_run *run)
{
    struct gw_handler_instance *in = run->in;

    if (run->canceled || !run->prompted) {
        run->canceled = true;
        mw_timer_start(run->timer, 0);
        return;
    }
    run->canceled = true;
    if (acp_agent_notify(in->agent, "session/cancel",
                         acp_one_member("sessionId", run->session->id)))
        mw_timer_start(run->timer, 0);
    else
        mw_timer_start(run->timer, CANCEL_MS);
    acp_ask_cancel_all(run);
}

static void permitted(struct gw_handler_run *run, int ask, const char *option)
{
    acp_ask_decided(run, ask, option);
}

static void reset(struct gw_handler_instance *in, const char *conversation)
{
    acp_session_reset(in, conversation);
}

static void status(const struct gw_handler_instance *in, cJSON *object)
{
    int64_t open = 0;

    for (const struct acp_session *s = in->sessions; s; s = s->next)
        open += s->state == ACP_OPEN;
    (void)!acp_agent_status(in->agent, object);
    (void)!mw_json_add_i64(object, "sessions", open);
}

const struct gw_handler_type gw_acp_handler = {
    .name = "acp",
    .open = open_acp,
    .close = close_acp,
    .start = start,
    .cancel = cancel,
    .permitted = permitted,
    .reset = reset,
    .status = status,
};
