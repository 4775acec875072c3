#include "handlers/acp_agent.h"

#include "base/log.h"
#include "base/str.h"
#include "io/handle.h"

/* A first start may fetch the whole agent from somewhere. */
#define GREETING_MS (300 * 1000)
#define LINE_LIMIT  (32 * 1024 * 1024) /* a tool's content may have files in it */
#define QUEUE_LIMIT (64 * 1024 * 1024) /* images of many turns */

struct call {
    struct call *next;
    int64_t id;
    acp_reply_cb cb;
    void *subject;
    bool forgotten;
};

enum sign_in { SIGN_IN_NONE, SIGN_IN_UNDER_WAY, SIGN_IN_DONE };

struct acp_agent {
    const struct gw_handler_host *host;
    const struct acp_agent_ops *ops;
    void *owner;
    struct gw_child *child;
    struct mw_timer *timer; /* of the greeting */
    struct call *calls;
    int64_t last_id;
    bool greeted, ready;
    enum sign_in sign_in;
    cJSON *greeting; /* what `info` points into; also of an agent that is gone */
    struct acp_agent_info info;
    char *refusal; /* why it is of no use */
    bool garbage_logged;
};

/* ---- Calls ---- */

static int send_line(struct acp_agent *a, int r, const struct mw_buf *line)
{
    return r < 0 ? r : gw_child_send(a->child, line->data, line->len);
}

int acp_agent_call(struct acp_agent *a, const char *method, cJSON *params, acp_reply_cb cb,
                   void *subject)
{
    struct call *c = calloc(1, sizeof(*c));
    MW_AUTOBUF line = {0};
    int r = acp_write_call(&line, a->last_id + 1, method, params);

    r = send_line(a, c ? r : -ENOMEM, &line);
    if (r < 0) {
        free(c);
        return r;
    }
    *c = (struct call){.next = a->calls, .id = ++a->last_id, .cb = cb, .subject = subject};
    a->calls = c;
    return 0;
}

int acp_agent_notify(struct acp_agent *a, const char *method, cJSON *params)
{
    MW_AUTOBUF line = {0};
    int r = acp_write_call(&line, 0, method, params);

    return send_line(a, r, &line);
}

int acp_agent_answer(struct acp_agent *a, const cJSON *rpc_id, cJSON *result)
{
    MW_AUTOBUF line = {0};
    int r = acp_write_result(&line, rpc_id, result);

    return send_line(a, r, &line);
}

int acp_agent_refuse(struct acp_agent *a, const cJSON *rpc_id, int code, const char *message)
{
    MW_AUTOBUF line = {0};
    int r = acp_write_error(&line, rpc_id, code, message);

    return send_line(a, r, &line);
}

void acp_agent_forget(struct acp_agent *a, const void *subject)
{
    for (struct call *c = a->calls; c; c = c->next)
        c->forgotten |= c->subject == subject;
}

static void drop_calls(struct acp_agent *a)
{
    while (a->calls) {
        struct call *c = a->calls;

        a->calls = c->next;
        free(c);
    }
}

static void take_reply(struct acp_agent *a, const struct acp_msg *m)
{
    struct call **at = &a->calls, *c;

    while (*at && (*at)->id != m->id)
        at = &(*at)->next;
    c = *at;
    if (!c)
        return;
    *at = c->next;
    if (!c->forgotten && c->cb)
        c->cb(a->owner, c->subject, m);
    free(c);
}

/* ---- The greeting ---- */

/* Nothing can be done with this one. */
static void refuse(struct acp_agent *a, char *why)
{
    free(a->refusal);
    a->refusal = why;
    gw_child_break(a->child, why ? why : "out of memory");
}

static void on_initialized(void *owner, void *subject, const struct acp_msg *m)
{
    struct acp_agent *a = subject;

    mw_timer_stop(a->timer);
    if (m->kind == ACP_ERROR) {
        refuse(a, mw_asprintf("the agent refused the connection: %s (%d)", m->message, m->code));
        return;
    }
    cJSON_Delete(take_ptr(a->greeting));
    a->info = (struct acp_agent_info){.name = "", .release = ""};
    a->greeting = cJSON_Duplicate(m->result, true);
    if (!a->greeting) {
        gw_child_break(a->child, m->result ? "out of memory" : "its greeting is empty");
        return;
    }
    acp_read_initialize(a->greeting, &a->info);
    if (a->info.version != ACP_VERSION) {
        refuse(a, mw_asprintf("the agent speaks version %lld of the Agent Client Protocol, and "
                              "Matterwire speaks version %d",
                              (long long)a->info.version, ACP_VERSION));
        return;
    }
    a->ready = true;
    a->ops->ready(a->owner);
}

static void greet(struct acp_agent *a)
{
    if (a->greeted)
        return;
    a->greeted = true;
    if (acp_agent_call(a, "initialize", acp_initialize_params(MW_VERSION), on_initialized, a))
        gw_child_break(a->child, "it could not be greeted");
    else
        mw_timer_start(a->timer, GREETING_MS);
}

static void on_timer(void *userdata)
{
    struct acp_agent *a = userdata;

    gw_child_break(a->child, "it did not answer the greeting (initialize) within 300 s");
}

static void on_signed_in(void *owner, void *subject, const struct acp_msg *m)
{
    struct acp_agent *a = subject;
    MW_AUTOFREE char *why = NULL;

    a->sign_in = m->kind == ACP_ERROR ? SIGN_IN_NONE : SIGN_IN_DONE;
    if (m->kind == ACP_ERROR)
        why = mw_asprintf("the agent could not sign in: %s", m->message);
    a->ops->signed_in(a->owner, m->kind != ACP_ERROR ? NULL : why ? why : "out of memory");
}

int acp_agent_sign_in(struct acp_agent *a, struct mw_error *err)
{
    MW_AUTOBUF names = {.limit = 1000};
    const char *method;

    if (a->sign_in == SIGN_IN_UNDER_WAY)
        return 0;
    if (a->sign_in == SIGN_IN_DONE) {
        mw_error_set(err, 1, "the agent wants to be signed in, though it has just been");
        return 1;
    }
    method = acp_auth_method(a->info.auth, &names);
    if (!method) {
        mw_error_set(err, 1,
                     "the agent has to be signed in by a person: run it once by hand as the user "
                     "of the daemon (ways to sign in: %s)",
                     names.len ? mw_buf_str(&names) : "it names none");
        return 1;
    }
    if (acp_agent_call(a, "authenticate", acp_one_member("methodId", method), on_signed_in, a)) {
        mw_error_set(err, 1, "the agent wants to be signed in, and does not listen");
        return 1;
    }
    a->sign_in = SIGN_IN_UNDER_WAY;
    return 0;
}

/* ---- The program ---- */

static void on_started(void *owner)
{
    greet(owner);
}

static void on_garbage(void *owner, const char *why)
{
    struct acp_agent *a = owner;

    if (a->garbage_logged)
        return;
    a->garbage_logged = true;
    mw_log_warning("an agent prints what is no message; its log belongs to standard error",
                   MW_F_STR("handler", a->host->config->name), MW_F_STR("reason", why));
}

static void on_message(void *owner, const cJSON *tree)
{
    struct acp_agent *a = owner;
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct acp_msg m;

    if (acp_read(tree, &m, &err)) {
        on_garbage(a, mw_error_text(&err));
        return;
    }
    if (m.kind == ACP_REQUEST)
        a->ops->request(a->owner, &m);
    else if (m.kind == ACP_NOTIFICATION)
        a->ops->notification(a->owner, &m);
    else
        take_reply(a, &m);
}

static void on_gone(void *owner, const char *why)
{
    struct acp_agent *a = owner;
    MW_AUTOFREE char *refusal = take_ptr(a->refusal);

    mw_timer_stop(a->timer);
    drop_calls(a);
    a->ready = a->greeted = false;
    a->sign_in = SIGN_IN_NONE;
    mw_log_warning("an agent ended", MW_F_STR("handler", a->host->config->name),
                   MW_F_STR("reason", refusal ? refusal : why));
    a->ops->gone(a->owner, refusal ? refusal : why, refusal != NULL);
}

static const struct gw_child_ops child_ops = {
    .started = on_started,
    .message = on_message,
    .garbage = on_garbage,
    .gone = on_gone,
};

int acp_agent_start(struct acp_agent *a, struct mw_error *err)
{
    int r = gw_child_start(a->child, err);

    if (r)
        return r;
    greet(a);
    return !a->ready;
}

bool acp_agent_ready(const struct acp_agent *a)
{
    return a->ready && gw_child_runs(a->child);
}

void acp_agent_break(struct acp_agent *a, const char *why)
{
    gw_child_break(a->child, why);
}

int acp_agent_new(const struct gw_handler_host *host, const struct acp_agent_ops *ops, void *owner,
                  struct acp_agent **ret)
{
    struct acp_agent *a = calloc(1, sizeof(*a));
    const struct gw_child_params p = {
        .loop = host->loop,
        .config = host->config,
        .ops = &child_ops,
        .owner = a,
        .max_line = LINE_LIMIT,
        .max_input = QUEUE_LIMIT,
    };

    if (!a)
        return -ENOMEM;
    *a = (struct acp_agent){
        .host = host, .ops = ops, .owner = owner, .info = {.name = "", .release = ""}};
    if (mw_timer_new(host->loop, on_timer, a, &a->timer) || gw_child_new(&p, &a->child)) {
        acp_agent_free(a);
        return -ENOMEM;
    }
    *ret = a;
    return 0;
}

void acp_agent_free(struct acp_agent *a)
{
    if (!a)
        return;
    gw_child_free(a->child);
    mw_timer_free(a->timer);
    drop_calls(a);
    cJSON_Delete(a->greeting);
    free(a->refusal);
    free(a);
}

const struct acp_agent_info *acp_agent_info(const struct acp_agent *a)
{
    return &a->info;
}

int acp_agent_status(const struct acp_agent *a, cJSON *object)
{
    if (gw_child_status(a->child, object) ||
        (a->info.name[0] && mw_json_add_str(object, "agent", a->info.name)) ||
        (a->info.release[0] && mw_json_add_str(object, "agent_version", a->info.release)))
        return -ENOMEM;
    return 0;
}
