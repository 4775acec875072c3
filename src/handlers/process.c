/*
 * Type `process`: one program that runs on; events and answers as JSON, one object a line
 * (docs/handlers-process.md).
 *
 *   to it     {"id":1,"event":{...},"text":"...","conversation":"...","files":[...]}
 *             {"id":1,"cancel":true}
 *   from it   {"id":1,"text":"..."} or any other member of docs/answers.md: the answer
 *             {"id":1,"delta":"..."} more of the answer, {"id":1,"done":true} that was all
 *             {"id":1,"activity":{"id":"x","title":"...","state":"running"}}
 *             {"id":1,"none":true} no answer, {"id":1,"error":"..."} a failure
 *
 * When it ends, what it has not answered is given to the next one, by itself, so that an event
 * counts only the ends that were its own; TRIES times in all.
 */
#include "base/log.h"
#include "base/str.h"
#include "handlers/child.h"
#include "handlers/handlers.h"
#include "handlers/turn.h"
#include "io/handle.h"

#define TRIES       3
#define CANCEL_MS   1000 /* to answer after all */
#define MAX_ANSWER  (1024 * 1024)
#define LINE_LIMIT  (16 * 1024 * 1024)
#define QUEUE_LIMIT (16 * 1024 * 1024)

struct gw_handler_run {
    struct gw_handler_run *next;
    struct gw_handler_instance *in;
    const struct gw_turn_ops *ops;
    void *turn;
    int64_t id;
    struct mw_timer *timer; /* the end of a canceled run */
    struct mw_buf line;     /* what it was given, to be given again */
    struct mw_buf text;     /* the deltas */
    size_t shown;           /* of the deltas, also of those before a restart */
    unsigned tries;         /* programs that ended with nothing else open */
    bool given;             /* to the program that runs */
    bool suspect;           /* a program ended with it open */
    bool canceled;
};

struct gw_handler_instance {
    struct gw_handler_host host;
    struct gw_child *child;
    struct gw_handler_run *runs;
    int64_t last_id;
    int64_t unexpected; /* answers to nothing that is asked */
    bool garbage_logged;
};

/* ---- The end of a run ---- */

static void run_free(struct gw_handler_run *run)
{
    mw_timer_free(run->timer);
    mw_buf_deinit(&run->line);
    mw_buf_deinit(&run->text);
    free(run);
}

static void give(struct gw_handler_instance *in);

static void end(struct gw_handler_run *run, struct gw_handler_answer *a)
{
    struct gw_handler_instance *in = run->in;
    struct gw_handler_run **at = &in->runs;

    while (*at != run)
        at = &(*at)->next;
    *at = run->next;
    if (!a->text)
        a->text = "";
    run->ops->end(run->turn, a);
    mw_error_reset(&a->err);
    run_free(run);
    give(in); /* what waited for it */
}

static void fail(struct gw_handler_run *run, const char *why)
{
    struct gw_handler_answer a = {.end = GW_HANDLER_FAILED};

    mw_error_set(&a.err, -EIO, "%s", why);
    end(run, &a);
}

static void end_canceled(struct gw_handler_run *run)
{
    struct gw_handler_answer a = {.end = GW_HANDLER_CANCELED};

    end(run, &a);
}

static void end_text(struct gw_handler_run *run, const char *text)
{
    struct gw_handler_answer a = {.end = GW_HANDLER_EMPTY};

    if (text[strspn(text, " \t\r\n")]) {
        a.end = GW_HANDLER_ANSWERED;
        a.text = text;
    }
    end(run, &a);
}

/* ---- What the program says ---- */

static void take_delta(struct gw_handler_run *run, const char *delta)
{
    size_t at;

    if (mw_buf_puts(&run->text, delta)) {
        fail(run, run->text.error == -E2BIG ? "the answer is longer than 1 MiB" : "out of memory");
        return;
    }
    /* A program that answers again does not say again what people have seen. */
    for (at = run->shown; at < run->text.len && (run->text.data[at] & 0xc0) == 0x80;)
        at++;
    if (at >= run->text.len)
        return;
    run->ops->text(run->turn, run->text.data + at, run->text.len - at);
    run->shown = run->text.len;
}

static void take_activity(struct gw_handler_run *run, const cJSON *o)
{
    static const char *const states[] = {
        [GW_ACTIVITY_PENDING] = "pending",
        [GW_ACTIVITY_RUNNING] = "running",
        [GW_ACTIVITY_DONE] = "done",
        [GW_ACTIVITY_FAILED] = "failed",
    };
    const char *title = mw_json_str(o, "title"), *state = mw_json_str(o, "state");
    struct gw_activity a = {
        .id = mw_json_str_or(o, "id", title),
        .title = title,
        .state = GW_ACTIVITY_RUNNING,
    };

    if (!title)
        return;
    for (size_t i = 0; state && i < MW_ARRAY_LEN(states); i++) {
        if (mw_streq(states[i], state))
            a.state = (enum gw_activity_state)i;
    }
    run->ops->activity(run->turn, &a);
}

/* The answer is all of the message but what is between the program and us. */
static void take_answer(struct gw_handler_run *run, const cJSON *msg)
{
    struct gw_handler_answer a = {.end = GW_HANDLER_ANSWERED};
    MW_AUTOJSON *json = cJSON_Duplicate(msg, true);

    cJSON_DeleteItemFromObjectCaseSensitive(json, "id");
    cJSON_DeleteItemFromObjectCaseSensitive(json, "done");
    if (json && cJSON_GetArraySize(json) == 1 && mw_json_str(json, "text")) {
        end_text(run, mw_json_str(json, "text"));
        return;
    }
    if (json && cJSON_GetArraySize(json) == 0) {
        fail(run, "it sent an answer with nothing in it");
        return;
    }
    if (!json) {
        fail(run, "out of memory");
        return;
    }
    a.json = json;
    end(run, &a);
}

static struct gw_handler_run *find_run(struct gw_handler_instance *in, const cJSON *msg)
{
    int64_t id = mw_json_i64(msg, "id", 0);
    struct gw_handler_run *run = in->runs;

    while (run && run->id != id)
        run = run->next;
    return run;
}

static void on_message(void *owner, const cJSON *msg)
{
    struct gw_handler_instance *in = owner;
    struct gw_handler_run *run = find_run(in, msg);
    const char *error = mw_json_str(msg, "error"), *delta = mw_json_str(msg, "delta");
    const cJSON *activity = mw_json_obj(msg, "activity");

    if (!run) {
        in->unexpected++;
    } else if (error) {
        fail(run, error[0] ? error : "the program says that it failed");
    } else if (mw_json_bool(msg, "none")) {
        end_text(run, "");
    } else if (activity) {
        take_activity(run, activity);
    } else if (delta) {
        take_delta(run, delta);
        if (mw_json_bool(msg, "done") && (run = find_run(in, msg)))
            end_text(run, mw_buf_str(&run->text));
    } else if (mw_json_bool(msg, "done") && !mw_json_get(msg, "text")) {
        end_text(run, mw_buf_str(&run->text));
    } else {
        take_answer(run, msg);
    }
}

static void on_garbage(void *owner, const char *why)
{
    struct gw_handler_instance *in = owner;

    if (in->garbage_logged)
        return;
    in->garbage_logged = true;
    mw_log_warning(
        "a handler's program prints what is no answer; its log belongs to standard error",
        MW_F_STR("handler", in->host.config->name), MW_F_STR("reason", why));
}

/* ---- What it is told ---- */

static int make_line(struct gw_handler_run *run, const struct gw_turn *turn)
{
    struct mw_buf *b = &run->line;
    int r;

    mw_buf_printf(b, "{\"id\":%lld,\"event\":", (long long)run->id);
    r = mw_event_write_json(b, turn->ev, true);
    if (r)
        return r;
    mw_buf_puts(b, ",\"text\":");
    mw_buf_put_json_string(b, turn->text ? turn->text : "");
    mw_buf_puts(b, ",\"conversation\":");
    mw_buf_put_json_string(b, turn->conversation ? turn->conversation : "");
    mw_buf_puts(b, ",\"files\":");
    gw_turn_write_files(b, turn);
    return mw_buf_putc(b, '}');
}

/* Whoever was open when a program ended is alone with the next one until it is through. The oldest
 * of them; NULL = there is none. */
static const struct gw_handler_run *first_suspect(const struct gw_handler_instance *in)
{
    const struct gw_handler_run *first = NULL;

    for (const struct gw_handler_run *run = in->runs; run; run = run->next) {
        if (run->suspect && (!first || run->id < first->id))
            first = run;
    }
    return first;
}

/* The next one that the program may be given now. */
static struct gw_handler_run *next_to_give(const struct gw_handler_instance *in)
{
    const struct gw_handler_run *alone = first_suspect(in);
    struct gw_handler_run *next = NULL;

    for (struct gw_handler_run *run = in->runs; run; run = run->next) {
        if (!run->given && !run->canceled && (!alone || run == alone) &&
            (!next || run->id < next->id))
            next = run;
    }
    return next;
}

static void give(struct gw_handler_instance *in)
{
    struct gw_handler_run *run;

    while (gw_child_runs(in->child) && (run = next_to_give(in))) {
        int r = gw_child_send(in->child, run->line.data, run->line.len);

        if (r == -EPIPE)
            return; /* `gone` comes */
        if (r) {
            fail(run, r == -ENOBUFS ? "the program does not read what it is given"
                                    : "out of memory"); /* the rest is given by its end */
            return;
        }
        run->given = true;
    }
}

static void on_started(void *owner)
{
    give(owner);
}

/* Who has to answer for the end of a program. One that was never given anything could not be
 * started: that concerns everybody. */
static void blame(struct gw_handler_instance *in)
{
    unsigned n = 0;

    for (const struct gw_handler_run *run = in->runs; run; run = run->next)
        n += run->given;
    for (struct gw_handler_run *run = in->runs; run; run = run->next) {
        run->tries += n == 0 || (n == 1 && run->given);
        run->suspect |= run->given;
        run->given = false;
        mw_buf_clear(&run->text);
    }
}

static struct gw_handler_run *find_over(const struct gw_handler_instance *in)
{
    struct gw_handler_run *run = in->runs;

    while (run && !run->canceled && run->tries < TRIES)
        run = run->next;
    return run;
}

static void on_gone(void *owner, const char *why)
{
    struct gw_handler_instance *in = owner;
    struct gw_handler_run *run;
    MW_AUTOFREE char *text = NULL;
    MW_AUTOERROR err = MW_ERROR_INIT;
    int r;

    mw_log_warning("a handler's program ended", MW_F_STR("handler", in->host.config->name),
                   MW_F_STR("reason", why));
    blame(in);
    text = mw_asprintf("the program ended %d times over this event; at last: %s", TRIES, why);
    while ((run = find_over(in))) {
        if (run->canceled)
            end_canceled(run);
        else
            fail(run, text ? text : why);
    }
    if (!in->runs)
        return;
    r = gw_child_start(in->child, &err);
    if (r == 0)
        give(in);
    while (r < 0 && in->runs)
        fail(in->runs, mw_error_text(&err));
}

static const struct gw_child_ops child_ops = {
    .started = on_started,
    .message = on_message,
    .garbage = on_garbage,
    .gone = on_gone,
};

/* ---- The type ---- */

static int open_process(const struct gw_handler_host *host, struct gw_handler_instance **ret,
                        struct mw_error *err)
{
    struct gw_handler_instance *in = calloc(1, sizeof(*in));
    struct gw_child_params p = {
        .loop = host->loop,
        .config = host->config,
        .ops = &child_ops,
        .owner = in,
        .max_line = LINE_LIMIT,
        .max_input = QUEUE_LIMIT,
    };

    if (!in || gw_child_new(&p, &in->child)) {
        free(in);
        return mw_error_set(err, -ENOMEM, "out of memory");
    }
    in->host = *host;
    *ret = in;
    return 0;
}

static void close_process(struct gw_handler_instance *in)
{
    gw_child_free(in->child);
    free(in);
}

static void on_timer(void *userdata)
{
    end_canceled(userdata);
}

static int start(struct gw_handler_instance *in, const struct gw_turn *turn,
                 const struct gw_turn_ops *ops, void *userdata, struct gw_handler_run **ret,
                 struct mw_error *err)
{
    struct gw_handler_run *run = calloc(1, sizeof(*run));
    int r = -ENOMEM;

    if (!run)
        return mw_error_set(err, -ENOMEM, "out of memory");
    run->in = in;
    run->ops = ops;
    run->turn = userdata;
    run->id = ++in->last_id;
    run->text.limit = MAX_ANSWER;
    if (mw_timer_new(in->host.loop, on_timer, run, &run->timer) || make_line(run, turn)) {
        mw_error_set(err, r, "out of memory");
    } else {
        r = gw_child_start(in->child, err);
        if (r == 0 && !first_suspect(in)) {
            r = gw_child_send(in->child, run->line.data, run->line.len);
            run->given = r == 0;
        }
        if (r == -ENOBUFS)
            r = mw_error_set(err, -EAGAIN, "the program does not read what it is given");
        else if (r == -EPIPE)
            r = 0; /* it is about to end; then this is given to the next one */
    }
    if (r < 0) {
        run_free(run);
        return mw_error_set(err, r, "the program cannot be talked to: %s", strerror(-r));
    }
    run->next = in->runs;
    in->runs = run;
    *ret = run;
    return 0;
}

static void cancel(struct gw_handler_run *run)
{
    MW_AUTOFREE char *line = NULL;

    if (run->canceled || !run->given) {
        run->canceled = true;
        mw_timer_start(run->timer, 0);
        return;
    }
    run->canceled = true;
    line = mw_asprintf("{\"id\":%lld,\"cancel\":true}", (long long)run->id);
    /* One that cannot be told finishes for nothing. */
    if (line && gw_child_send(run->in->child, line, strlen(line)) == 0)
        mw_timer_start(run->timer, CANCEL_MS);
    else
        mw_timer_start(run->timer, 0);
}

static void status(const struct gw_handler_instance *in, cJSON *object)
{
    (void)!gw_child_status(in->child, object);
    (void)!mw_json_add_i64(object, "unexpected", in->unexpected);
}

const struct gw_handler_type gw_process_handler = {
    .name = "process",
    .open = open_process,
    .close = close_process,
    .start = start,
    .cancel = cancel,
    .status = status,
};
