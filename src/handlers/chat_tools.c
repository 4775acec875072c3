#include "handlers/chat_tools.h"

#include "base/str.h"
#include "handlers/program.h"
#include "handlers/web.h"
#include "io/handle.h"

#define MAX_OUTPUT (256 * 1024)

struct job {
    struct gw_chat_tools *t;
    const struct gw_chat_call *call;
    const struct gw_tool_config *tool; /* NULL = there is none of that name */
    struct mw_process *process;
    struct mw_buf result;
    char id[32];
};

struct gw_chat_tools {
    struct gw_chat_tools_params p;
    cJSON *messages;
    gw_chat_tools_cb cb;
    void *userdata;
    struct mw_timer *timer; /* ends it when no program could be started */
    bool canceled;
    size_t running;
    struct job jobs[];
};

cJSON *gw_chat_tools_json(const struct gw_handler_config *c)
{
    MW_AUTOJSON *array = cJSON_CreateArray();

    for (size_t i = 0; i < c->n_tools; i++) {
        const struct gw_tool_config *tool = &c->tools[i];
        const char *schema =
            tool->parameters ? tool->parameters : "{\"type\":\"object\",\"properties\":{}}";
        MW_AUTOJSON *function = cJSON_CreateObject(), *item = cJSON_CreateObject();
        cJSON *parameters = NULL;

        if (!array || !function || !item ||
            mw_json_parse(schema, strlen(schema), &parameters, NULL) ||
            mw_json_add(function, "parameters", parameters) ||
            mw_json_add_str(function, "name", tool->name) ||
            mw_json_add_str(function, "description", tool->description) ||
            mw_json_add_str(item, "type", "function") ||
            mw_json_add(item, "function", take_ptr(function)) ||
            mw_json_push(array, take_ptr(item)))
            return NULL;
    }
    return take_ptr(array);
}

static void tools_free(struct gw_chat_tools *t)
{
    for (size_t i = 0; i < t->p.n_calls; i++)
        mw_buf_deinit(&t->jobs[i].result);
    mw_timer_free(t->timer);
    free(t);
}

static void show(struct job *job, enum gw_activity_state state)
{
    struct gw_activity a = {.id = job->id, .state = state};
    MW_AUTOBUF title = {0};

    mw_buf_puts(&title, job->call->name ? job->call->name : "?");
    if (job->call->args.len > 2) { /* more than {} */
        mw_buf_putc(&title, ' ');
        gw_web_excerpt(job->call->args.data, job->call->args.len, NULL, &title);
    }
    a.title = mw_buf_str(&title);
    job->t->p.ops->activity(job->t->p.userdata, &a);
}

static int add_message(struct gw_chat_tools *t, struct job *job)
{
    MW_AUTOJSON *message = cJSON_CreateObject();

    if (!message || mw_buf_error(&job->result) == -ENOMEM ||
        mw_json_add_str(message, "role", "tool") ||
        mw_json_add_str(message, "tool_call_id", job->call->id) ||
        mw_json_add_str(message, "content", mw_buf_str(&job->result)))
        return -ENOMEM;
    return mw_json_push(t->messages, take_ptr(message));
}

static void finish(void *userdata)
{
    struct gw_chat_tools *t = userdata;
    gw_chat_tools_cb cb = t->cb;
    void *owner = t->userdata;
    int rc = 0;

    for (size_t i = 0; !rc && i < t->p.n_calls; i++)
        rc = add_message(t, &t->jobs[i]);
    tools_free(t);
    cb(rc, owner);
}

static void on_end(struct mw_process *p, const struct mw_process_result *r, void *userdata)
{
    struct job *job = userdata;
    MW_AUTOERROR err = MW_ERROR_INIT;
    enum gw_handler_end end = gw_program_end(r, job->tool->timeout_ms, MAX_OUTPUT, &err);
    bool good = end == GW_HANDLER_ANSWERED || end == GW_HANDLER_EMPTY;

    job->process = NULL;
    if (!good)
        mw_buf_printf(&job->result, "error: %s%s",
                      end == GW_HANDLER_CANCELED ? "stopped" : mw_error_text(&err),
                      r->out->len ? "\n\n" : "");
    if (end != GW_HANDLER_CANCELED)
        gw_clean_text(r->out->data, r->out->len, &job->result);
    show(job, good ? GW_ACTIVITY_DONE : GW_ACTIVITY_FAILED);
    if (--job->t->running == 0)
        finish(job->t);
}

/* Returns 0, or a negative errno with a sentence for the model. */
static int start_job(struct job *job, const struct gw_env *env, struct mw_error *err)
{
    const struct gw_chat_tools_params *p = &job->t->p;
    const struct gw_tool_config *tool = job->tool;
    const char *args = mw_buf_str(&job->call->args);
    MW_AUTOJSON *tree = NULL;
    MW_AUTOFREE const char **argv = NULL;
    int rc;

    if (!tool)
        return mw_error_set(err, -ENOENT, "there is no tool \"%.64s\"",
                            job->call->name ? job->call->name : "");
    rc = mw_json_parse(args, strlen(args), &tree, err);
    if (!rc && !cJSON_IsObject(tree))
        rc = mw_error_set(err, -EINVAL, "not an object");
    if (rc) {
        mw_error_prefix(err, "the arguments are no JSON object");
        return rc;
    }
    argv = gw_argv(&tool->command);
    if (!argv)
        return mw_error_set(err, -ENOMEM, "out of memory");
    const struct mw_process_params params = {
        .argv = argv,
        .env = (const char *const *)env->items,
        .workdir = p->host->config->workdir,
        .input = args,
        .input_len = strlen(args),
        .timeout_ms = tool->timeout_ms,
        .max_stdout = MAX_OUTPUT,
    };
    return mw_process_start(p->host->loop, &params, on_end, job, &job->process, err);
}

static const struct gw_tool_config *tool_named(const struct gw_handler_config *c, const char *name)
{
    for (size_t i = 0; i < c->n_tools; i++) {
        if (mw_streq(c->tools[i].name, name))
            return &c->tools[i];
    }
    return NULL;
}

static void start_or_say_why(struct job *job, const struct gw_env *env)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    int rc =
        job->t->canceled ? mw_error_set(&err, -ECANCELED, "stopped") : start_job(job, env, &err);

    if (rc)
        mw_buf_printf(&job->result, "error: %s", mw_error_text(&err));
    else
        job->t->running++;
    show(job, rc ? GW_ACTIVITY_FAILED : GW_ACTIVITY_RUNNING);
}

int gw_chat_tools_start(const struct gw_chat_tools_params *params, cJSON *messages,
                        gw_chat_tools_cb cb, void *userdata, struct gw_chat_tools **ret)
{
    const struct gw_handler_config *c = params->host->config;
    struct gw_chat_tools *t = calloc(1, sizeof(*t) + params->n_calls * sizeof(t->jobs[0]));
    struct gw_env env = {0};

    if (!t || mw_timer_new(params->host->loop, finish, t, &t->timer) ||
        gw_env_make(&env, c, params->turn)) {
        gw_env_deinit(&env);
        if (t)
            mw_timer_free(t->timer);
        free(t);
        return -ENOMEM;
    }
    t->p = *params;
    t->messages = messages;
    t->cb = cb;
    t->userdata = userdata;
    *ret = t;
    for (size_t i = 0; i < params->n_calls; i++) {
        struct job *job = &t->jobs[i];

        job->t = t;
        job->call = &params->calls[i];
        job->tool = tool_named(c, job->call->name);
        mw_buf_init(&job->result, 2 * MAX_OUTPUT);
        snprintf(job->id, sizeof(job->id), "tool-%u-%zu", params->round, i + 1);
    }
    for (size_t i = 0; i < params->n_calls; i++)
        start_or_say_why(&t->jobs[i], &env);
    if (!t->running)
        mw_timer_start(t->timer, 0);
    gw_env_deinit(&env);
    return 0;
}

void gw_chat_tools_cancel(struct gw_chat_tools *t)
{
    t->canceled = true;
    for (size_t i = 0; i < t->p.n_calls; i++) {
        if (t->jobs[i].process)
            mw_process_cancel(t->jobs[i].process);
    }
}

void gw_chat_tools_drop(struct gw_chat_tools *t)
{
    for (size_t i = 0; i < t->p.n_calls; i++) {
        if (t->jobs[i].process)
            mw_process_drop(t->jobs[i].process);
    }
    tools_free(t);
}
