/*
 * Type `chat`: a turn is one or more calls of an OpenAI-compatible server. See
 * docs/handlers-chat.md.
 *
 *   start --> history --> request --> text ------------------------> end
 *                            ^ |  `-> tool calls --> programs --.
 *                            | `-> 429: wait once               |
 *                            '----------------------------------'
 */
#include "base/clock.h"
#include "base/str.h"
#include "gateway/gateway.h"
#include "handlers/chat_codec.h"
#include "handlers/chat_history.h"
#include "handlers/chat_prompt.h"
#include "handlers/chat_tools.h"
#include "handlers/handlers.h"
#include "handlers/web.h"
#include "io/handle.h"

#define MAX_ANSWER      (1024 * 1024)
#define MAX_BODY        (16 * 1024 * 1024) /* of a streamed answer, with all that is around the text */
#define MAX_ROUNDS      8                  /* of tool calls in a turn */
#define BYTES_PER_TOKEN 4
#define LATEST          100 /* posts of the journal, to find the newest by time */

struct gw_handler_instance {
    const struct gw_handler_host *host;
    struct mw_http *http;
    char *url, *scope; /* of gw_state_* */
    cJSON *tools;
    /* What the server turned out not to know. */
    bool no_stream_options, no_max_tokens;
    int64_t requests, tokens_in, tokens_out;
    unsigned waiting; /* runs that the server told to wait */
};

enum step { BEGIN, UNDER_WAY, WAIT, CANCELED };

struct gw_handler_run {
    struct gw_handler_instance *in;
    struct gw_turn turn; /* a copy: only what it points to lives as long */
    const struct gw_turn_ops *ops;
    void *userdata;
    struct mw_timer *timer;
    enum step step; /* what the timer does */
    int64_t deadline, since;
    struct gw_chat_history *history;
    struct mw_http_call *call;
    struct gw_chat_tools *tools;
    struct gw_chat_reply reply;
    int reply_error; /* of feeding it */
    cJSON *messages;
    struct mw_buf said;
    bool gap; /* between what was said before the tools and after them */
    unsigned rounds, next_id;
    bool waited, canceled;
    bool with_stream_options, with_max_tokens; /* in the request under way */
};

static void run_free(struct gw_handler_run *run)
{
    if (!run)
        return;
    gw_chat_history_forget(run->history);
    gw_chat_reply_deinit(&run->reply);
    cJSON_Delete(run->messages);
    mw_buf_deinit(&run->said);
    mw_timer_free(run->timer);
    free(run);
}

/* ---- The end ---- */

static void end(struct gw_handler_run *run, enum gw_handler_end how, struct mw_error *err)
{
    struct gw_handler_answer a = {.end = how, .text = ""};

    if (how == GW_HANDLER_ANSWERED)
        a.text = mw_buf_str(&run->said);
    mw_error_move(&a.err, err);
    run->ops->end(run->userdata, &a);
    mw_error_reset(&a.err);
    run_free(run);
}

static void fail(struct gw_handler_run *run, int code, const char *sentence)
{
    struct mw_error err = MW_ERROR_INIT;

    mw_error_set(&err, code, "%s", sentence);
    end(run, code == -ETIMEDOUT ? GW_HANDLER_TIMEOUT : GW_HANDLER_FAILED, &err);
}

static void out_of_memory(struct gw_handler_run *run)
{
    fail(run, -ENOMEM, "out of memory");
}

static bool said_something(const struct gw_handler_run *run)
{
    const char *text = mw_buf_str(&run->said);

    return text[strspn(text, " \t\r\n")] != '\0';
}

/* The answer is not as it should be: what was said stands, with a note; else it is a failure. */
static void end_short(struct gw_handler_run *run, const char *note, int code, const char *sentence)
{
    struct mw_error err = MW_ERROR_INIT;

    if (!said_something(run)) {
        fail(run, code, sentence);
        return;
    }
    mw_error_set(&err, code, "%s", sentence);
    run->said.limit = 0;
    mw_buf_printf(&run->said, "\n\n*(%s)*", note);
    end(run, GW_HANDLER_ANSWERED, &err);
}

/* ---- Text ---- */

static void say(struct gw_handler_run *run, const char *text, size_t len)
{
    if (!mw_buf_append(&run->said, text, len))
        run->ops->text(run->userdata, text, len);
}

static void on_text(const char *text, size_t len, void *userdata)
{
    struct gw_handler_run *run = userdata;

    if (run->canceled)
        return;
    while (len && (!run->said.len || run->gap) && strchr(" \t\r\n", *text)) {
        text++; /* models like to begin with empty lines */
        len--;
    }
    if (!len)
        return;
    if (run->gap)
        say(run, "\n\n", 2);
    run->gap = false;
    say(run, text, len);
}

static int on_data(int status, const char *data, size_t len, void *userdata)
{
    struct gw_handler_run *run = userdata;

    run->reply_error = gw_chat_reply_feed(&run->reply, data, len);
    return run->reply_error;
}

/* ---- Requests ---- */

static void on_answer(const struct mw_http_response *r, void *userdata);

static cJSON *request_json(struct gw_handler_run *run)
{
    const struct gw_handler_instance *in = run->in;
    const struct gw_handler_config *c = in->host->config;
    MW_AUTOJSON *o = cJSON_CreateObject(), *options = cJSON_CreateObject();

    run->with_stream_options = !in->no_stream_options;
    run->with_max_tokens = !in->no_max_tokens;
    if (!o || !options || mw_json_add_str(o, "model", c->model) ||
        !cJSON_AddItemReferenceToObject(o, "messages", run->messages) ||
        mw_json_add_bool(o, "stream", true) || mw_json_add_bool(options, "include_usage", true))
        return NULL;
    if (run->with_stream_options && mw_json_add(o, "stream_options", take_ptr(options)))
        return NULL;
    if (c->max_tokens &&
        mw_json_add_i64(o, run->with_max_tokens ? "max_tokens" : "max_completion_tokens",
                        c->max_tokens))
        return NULL;
    if (c->n_tools && !cJSON_AddItemReferenceToObject(o, "tools", in->tools))
        return NULL;
    /* After the last round it has to answer. */
    if (c->n_tools && run->rounds == MAX_ROUNDS && mw_json_add_str(o, "tool_choice", "none"))
        return NULL;
    return take_ptr(o);
}

static void send_request(struct gw_handler_run *run)
{
    struct gw_handler_instance *in = run->in;
    const struct gw_handler_config *c = in->host->config;
    MW_AUTOJSON *o = request_json(run);
    struct gw_headers headers = {0};
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOBUF body = {0};

    gw_chat_reply_deinit(&run->reply);
    gw_chat_reply_init(&run->reply, MAX_ANSWER, on_text, run);
    run->reply_error = 0;
    run->gap = run->said.len > 0;
    if (!o || mw_json_write(&body, o) || gw_headers_add_config(&headers, &c->headers) ||
        gw_header_add(&headers, "Accept: text/event-stream, application/json") ||
        (c->api_key && gw_header_add(&headers, "Authorization: Bearer %s", c->api_key))) {
        gw_headers_deinit(&headers);
        out_of_memory(run);
        return;
    }
    const struct mw_http_request req = {
        .method = "POST",
        .url = in->url,
        .headers = (const char *const *)headers.lines,
        .body = mw_buf_str(&body),
        .body_len = body.len,
        .on_data = on_data,
        .max_body = MAX_BODY,
        .timeout_ms = gw_web_timeout(&run->turn),
        .cb = on_answer,
        .userdata = run,
    };
    int rc = mw_http_start(in->http, &req, &run->call, &err);

    gw_headers_deinit(&headers);
    in->requests += !rc;
    if (rc)
        fail(run, rc, mw_error_text(&err));
}

static void prepare(struct gw_handler_run *run, const cJSON *before)
{
    const struct gw_handler_host *host = run->in->host;
    const struct gw_bot *bot = gw_find_bot(host->gw, run->turn.ev->bot, NULL);
    const struct gw_chat_prompt p = {
        .system = host->config->system,
        .bot = bot ? gw_bot_user_name(bot) : "",
        .turn = &run->turn,
        .before = before,
        .max_before = (size_t)host->config->history_tokens * BYTES_PER_TOKEN,
        .since = run->since,
    };

    if (gw_chat_messages(&p, &run->messages))
        out_of_memory(run);
    else
        send_request(run);
}

static void on_history(const cJSON *events, void *userdata)
{
    struct gw_handler_run *run = userdata;

    run->history = NULL;
    prepare(run, events);
}

static void begin(struct gw_handler_run *run)
{
    const struct gw_handler_host *host = run->in->host;
    MW_AUTOFREE char *since = NULL;

    if (gw_state_get(host->gw, run->in->scope, run->turn.conversation, &since) == 0)
        run->since = strtoll(since, NULL, 10);
    if (!host->config->history_tokens)
        prepare(run, NULL);
    else if (gw_chat_history_start(host->gw, &run->turn, on_history, run, &run->history))
        out_of_memory(run);
}

/* ---- Answers ---- */

static void on_tools_done(int rc, void *userdata)
{
    struct gw_handler_run *run = userdata;
    MW_AUTOERROR err = MW_ERROR_INIT;

    run->tools = NULL;
    if (run->canceled)
        end(run, GW_HANDLER_CANCELED, &err);
    else if (rc)
        out_of_memory(run);
    else
        send_request(run);
}

static void call_tools(struct gw_handler_run *run)
{
    cJSON *message;

    if (run->rounds == MAX_ROUNDS) {
        end_short(run, "The answer ends here: too many tool calls.", -EPROTO,
                  "the model called tools in more than 8 rounds without an answer");
        return;
    }
    message = gw_chat_reply_message(&run->reply, &run->next_id);
    const struct gw_chat_tools_params p = {
        .host = run->in->host,
        .turn = &run->turn,
        .ops = run->ops,
        .userdata = run->userdata,
        .calls = run->reply.calls,
        .n_calls = run->reply.n_calls,
        .round = ++run->rounds,
    };
    if (mw_json_push(run->messages, message) ||
        gw_chat_tools_start(&p, run->messages, on_tools_done, run, &run->tools))
        out_of_memory(run);
}

static void take_reply(struct gw_handler_run *run)
{
    MW_AUTOERROR err = MW_ERROR_INIT;

    switch (run->reply.finish) {
    case GW_CHAT_TOOLS:
        call_tools(run);
        return;
    case GW_CHAT_LENGTH:
        end_short(run, "The answer ends here: the limit of tokens is reached.", -E2BIG,
                  "the limit of tokens was reached before the answer was done");
        return;
    case GW_CHAT_FILTERED:
        end_short(run, "The answer ends here: the server's content filter stopped it.", -EPERM,
                  "the server's content filter stopped the answer");
        return;
    case GW_CHAT_OPEN:
    case GW_CHAT_STOP:
        end(run, said_something(run) ? GW_HANDLER_ANSWERED : GW_HANDLER_EMPTY, &err);
        return;
    }
}

/* Once, and when there is time for it. */
static bool wait_for_server(struct gw_handler_run *run, const struct mw_http_response *r)
{
    if ((r->status != 429 && r->status != 503) || r->retry_after_ms < 0 || run->waited ||
        mw_clock_mono() + r->retry_after_ms >= run->deadline)
        return false;
    run->waited = true;
    run->in->waiting++;
    run->step = WAIT;
    mw_timer_start(run->timer, MW_MAX(r->retry_after_ms, 1));
    return true;
}

/* The server may not know a field that the request can do without. True: it was sent again. */
static bool adapt(struct gw_handler_run *run, const char *body)
{
    struct gw_handler_instance *in = run->in;

    if (run->with_stream_options &&
        (!body[0] || strstr(body, "stream_options") || strstr(body, "include_usage")))
        in->no_stream_options = true;
    else if (in->host->config->max_tokens && run->with_max_tokens &&
             strstr(body, "max_completion_tokens"))
        in->no_max_tokens = true;
    else
        return false;
    send_request(run);
    return true;
}

static void take_refusal(struct gw_handler_run *run, const struct mw_http_response *r)
{
    MW_AUTOJSON *tree = NULL;
    MW_AUTOERROR err = MW_ERROR_INIT;

    if (wait_for_server(run, r))
        return;
    if ((r->status == 400 || r->status == 422) && adapt(run, mw_buf_str(&r->body)))
        return;
    if (r->body.len)
        (void)!mw_json_parse(r->body.data, r->body.len, &tree, NULL);
    gw_web_refusal(r, gw_chat_error_text(tree), run->in->host->config->api_key, &err);
    if (r->retry_after_ms >= 0)
        mw_error_prefix(&err, "the server asks to wait %lld s",
                        (long long)(r->retry_after_ms / 1000));
    end_short(run, "The answer was cut off.", -EIO, mw_error_text(&err));
}

static void on_answer(const struct mw_http_response *r, void *userdata)
{
    struct gw_handler_run *run = userdata;
    struct gw_handler_instance *in = run->in;
    int rc;

    run->call = NULL;
    if (run->canceled)
        return;                   /* the timer ends it */
    if (r->error == -ECANCELED) { /* the client goes away */
        run->step = CANCELED;
        mw_timer_start(run->timer, 0);
        return;
    }
    if (!r->error && (r->status < 200 || r->status >= 300)) {
        take_refusal(run, r);
        return;
    }
    rc = run->reply_error ? run->reply_error : gw_chat_reply_end(&run->reply);
    in->tokens_in += run->reply.tokens_in;
    in->tokens_out += run->reply.tokens_out;
    if (mw_buf_error(&run->said))
        fail(run, -E2BIG, "the answer is too long");
    else if (!rc) /* what is whole counts, whatever became of the connection */
        take_reply(run);
    else if (r->error && !run->reply_error)
        end_short(run, "The answer was cut off.", r->error, mw_error_text(&r->err));
    else if (rc == 1)
        end_short(run, "The answer was cut off.", -EPROTO,
                  "the model's server ended the stream before the answer was done");
    else
        end_short(run, "The answer was cut off.", rc, mw_error_text(&run->reply.err));
}

static void on_timer(void *userdata)
{
    struct gw_handler_run *run = userdata;
    MW_AUTOERROR err = MW_ERROR_INIT;

    switch (run->step) {
    case BEGIN:
        run->step = UNDER_WAY;
        begin(run);
        return;
    case UNDER_WAY:
        return;
    case WAIT:
        run->step = UNDER_WAY;
        run->in->waiting--;
        send_request(run);
        return;
    case CANCELED:
        end(run, GW_HANDLER_CANCELED, &err);
        return;
    }
}

/* ---- The type ---- */

static void close_chat(struct gw_handler_instance *in)
{
    if (!in)
        return;
    mw_http_free(in->http);
    cJSON_Delete(in->tools);
    free(in->url);
    free(in->scope);
    free(in);
}

static char *completions_url(const char *url)
{
    static const char path[] = "/chat/completions";
    size_t len = strlen(url);

    while (len && url[len - 1] == '/')
        len--;
    if (len >= sizeof(path) - 1 && !strncmp(url + len - (sizeof(path) - 1), path, sizeof(path) - 1))
        return strdup(url);
    return mw_asprintf("%.*s%s", (int)len, url, path);
}

static int open_chat(const struct gw_handler_host *host, struct gw_handler_instance **ret,
                     struct mw_error *err)
{
    struct gw_handler_instance *in = calloc(1, sizeof(*in));
    int rc = -ENOMEM;

    if (in) {
        in->host = host;
        in->url = completions_url(host->config->url);
        in->scope = mw_asprintf("chat:%s", host->config->name);
        in->tools = gw_chat_tools_json(host->config);
        if (in->url && in->scope && in->tools)
            rc = gw_web_client(host, &in->http, err);
    }
    if (rc) {
        close_chat(in);
        return mw_error_set(err, rc, "out of memory");
    }
    *ret = in;
    return 0;
}

static int start(struct gw_handler_instance *in, const struct gw_turn *turn,
                 const struct gw_turn_ops *ops, void *userdata, struct gw_handler_run **ret,
                 struct mw_error *err)
{
    struct gw_handler_run *run = calloc(1, sizeof(*run));

    if (!run || mw_timer_new(in->host->loop, on_timer, run, &run->timer)) {
        free(run);
        return mw_error_set(err, -ENOMEM, "out of memory");
    }
    run->in = in;
    run->turn = *turn;
    run->ops = ops;
    run->userdata = userdata;
    run->deadline = mw_clock_mono() + gw_web_timeout(turn);
    mw_buf_init(&run->said, MAX_ANSWER);
    mw_timer_start(run->timer, 0); /* the end may come at once, but not within this */
    *ret = run;
    return 0;
}

static void cancel(struct gw_handler_run *run)
{
    bool again = run->canceled;

    if (!again && run->step == WAIT)
        run->in->waiting--;
    run->canceled = true;
    gw_chat_history_forget(take_ptr(run->history));
    if (run->call)
        mw_http_cancel(run->call);
    if (run->tools && !again) {
        gw_chat_tools_cancel(run->tools);
        return;
    }
    if (run->tools)
        gw_chat_tools_drop(take_ptr(run->tools));
    run->step = CANCELED;
    mw_timer_start(run->timer, 0);
}

/* What was posted up to now is not shown to the model any more. By the server's clock, as the times
 * of the posts; the last row may be an older post that was caught up. */
static bool take_time(const struct mw_event *ev, void *userdata)
{
    int64_t *newest = userdata;

    *newest = MW_MAX(*newest, ev->at + 1);
    return true;
}

static void reset(struct gw_handler_instance *in, const char *conversation)
{
    const struct mw_event_filter f = {
        .kinds = 1u << MW_EVENT_POST, .newest_first = true, .limit = LATEST};
    int64_t at = 0;
    char text[32];

    (void)!mw_store_events(gw_store(in->host->gw), &f, take_time, &at, NULL);
    snprintf(text, sizeof(text), "%lld", (long long)(at ? at : mw_clock_now()));
    (void)!gw_state_set(in->host->gw, in->scope, conversation, text);
}

static void status(const struct gw_handler_instance *in, cJSON *object)
{
    (void)!(mw_json_add_i64(object, "requests", in->requests) |
            mw_json_add_i64(object, "tokens_in", in->tokens_in) |
            mw_json_add_i64(object, "tokens_out", in->tokens_out) |
            mw_json_add_i64(object, "told_to_wait", in->waiting));
}

const struct gw_handler_type gw_chat_handler = {
    .name = "chat",
    .open = open_chat,
    .close = close_chat,
    .start = start,
    .cancel = cancel,
    .reset = reset,
    .status = status,
};
