/*
 * Type `lua`: a script with `on_event(event)` in a sandbox (base/lua.h). See docs/handlers-lua.md.
 *
 * The script is loaded by the first turn and again when its file changed. A new version that is
 * broken does not take the old one's place; the old one goes when its last turn is over. A turn is
 * a coroutine, which runs in slices and waits for HTTP. What it posts goes into the outbox.
 *
 *   lua.c       versions of the script, turns
 *   lua_api.c   what a script can call
 *   lua_http.c  http.*
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>

#include "base/log.h"
#include "base/str.h"
#include "gateway/gateway.h"
#include "handlers/handlers.h"
#include "handlers/lua_internal.h"
#include "handlers/turn.h"
#include "handlers/web.h"

#define MAX_SCRIPT  ((size_t)1024 * 1024)
#define MAX_STEPS   INT64_C(20000000) /* instructions of a turn: about a quarter of a second */
#define MAX_TIME_MS 1000              /* in which a turn runs, without its waits */
#define SLICE_MS    5                 /* then the daemon's other work has its turn */

static const char key_env, key_instance;

struct gw_handler_instance *gw_lua_instance(lua_State *L)
{
    struct gw_handler_instance *in;

    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_instance);
    in = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return in;
}

struct gw_handler_run *gw_lua_run(lua_State *L)
{
    struct gw_handler_run *run = gw_lua_instance(L)->run;

    if (!run)
        luaL_error(L, "this can only be called while on_event runs");
    return run;
}

/* ---- The script ---- */

static void script_release(struct gw_lua_script *s)
{
    if (!s || --s->refs)
        return;
    mw_lua_free(s->lua);
    free(s);
}

struct loading {
    struct gw_handler_instance *in;
    const char *text;
    size_t len;
    const char *name;
};

static int load(lua_State *L)
{
    struct loading *l = lua_touserdata(L, 1);

    lua_pushlightuserdata(L, l->in);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key_instance);
    mw_lua_push_env(L);
    gw_lua_push_api(L);
    mw_lua_load(L, -1, l->name, l->text, l->len);
    lua_call(L, 0, 0);
    if (lua_getfield(L, -1, "on_event") != LUA_TFUNCTION)
        return luaL_error(L, "%s: it has no function on_event(event)", l->name);
    lua_pop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key_env);
    return 0;
}

static int read_script(const char *path, struct mw_buf *text, struct stat *st, struct mw_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), r = 0;

    if (fd < 0 || fstat(fd, st))
        r = -errno;
    while (!r) {
        char *p = mw_buf_reserve(text, 16384);
        ssize_t n = p ? read(fd, p, 16384) : 0;

        if (!p)
            r = mw_buf_error(text);
        else if (n < 0)
            r = -errno;
        else if (n == 0)
            break;
        else
            mw_buf_commit(text, (size_t)n);
    }
    if (fd >= 0)
        close(fd);
    return r ? mw_error_set(err, r, "%s cannot be read: %s", path, strerror(-r)) : 0;
}

static int load_file(struct gw_handler_instance *in, struct mw_error *err)
{
    const struct gw_handler_config *c = in->host->config;
    const struct mw_lua_limits limits = {.memory = (size_t)(c->memory_mb ? c->memory_mb : 32) << 20,
                                         .steps = MAX_STEPS,
                                         .time_ms = MAX_TIME_MS,
                                         .slice_ms = SLICE_MS};
    const char *slash = strrchr(c->script, '/');
    MW_AUTOBUF text = {.limit = MAX_SCRIPT};
    struct loading l = {.in = in, .name = slash ? slash + 1 : c->script};
    struct gw_lua_script *script;
    int r = read_script(c->script, &text, &in->file, err);

    if (r)
        return r;
    script = calloc(1, sizeof(*script));
    if (!script)
        return mw_error_set(err, -ENOMEM, "out of memory");
    script->refs = 1;
    in->lines = 0;
    l.text = mw_buf_str(&text);
    l.len = text.len;
    r = mw_lua_new(&limits, &script->lua, err);
    if (!r)
        r = mw_lua_call(script->lua, load, &l, err);
    if (r) {
        script_release(script);
        return r;
    }
    script_release(in->script);
    in->script = script;
    in->loads++;
    return 0;
}

static bool has_changed(const struct gw_handler_instance *in)
{
    struct stat st;

    return !stat(in->host->config->script, &st) &&
           (st.st_mtim.tv_sec != in->file.st_mtim.tv_sec ||
            st.st_mtim.tv_nsec != in->file.st_mtim.tv_nsec || st.st_size != in->file.st_size ||
            st.st_ino != in->file.st_ino);
}

/* Loads what has to be loaded. A broken new version is told by the log, once, and by status; the
 * old one goes on. */
static int refresh(struct gw_handler_instance *in, struct mw_error *err)
{
    MW_AUTOERROR why = MW_ERROR_INIT;
    int r;

    if (in->script && !has_changed(in))
        return 0;
    r = load_file(in, &why);
    if (r && in->script && !mw_streq(in->problem, mw_error_text(&why)))
        mw_log_warning("a new version of a script is broken, the one before goes on",
                       MW_F_STR("handler", in->host->config->name),
                       MW_F_STR("reason", mw_error_text(&why)));
    if (mw_str_set(&in->problem, r ? mw_error_text(&why) : NULL))
        return mw_error_set(err, -ENOMEM, "out of memory");
    if (r && !in->script)
        mw_error_move(err, &why);
    return in->script ? 0 : r;
}

/* ---- A turn ---- */

/* Called with the coroutine's stack: the run, on_event's result. */
static int take_result(lua_State *L, int status, lua_KContext ctx)
{
    struct gw_handler_run *run = lua_touserdata(L, 1);
    MW_AUTOERROR err = MW_ERROR_INIT;

    if (!lua_isnil(L, -1) && mw_lua_to_json(L, -1, &run->result, &err) < 0) {
        mw_error_prefix(&err, "what on_event returns cannot be posted");
        return mw_lua_throw(L, &err);
    }
    return 0;
}

static int call_script(lua_State *L)
{
    struct gw_handler_run *run = lua_touserdata(L, 1);

    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_env);
    lua_getfield(L, -1, "on_event");
    mw_lua_push_json(L, run->event);
    lua_callk(L, 1, 1, 0, take_result);
    return take_result(L, LUA_OK, 0);
}

/* The coroutine lives in the registry, under the address of the run. */
static int make_coroutine(lua_State *L)
{
    struct gw_handler_run *run = lua_touserdata(L, 1);

    run->co = lua_newthread(L);
    lua_pushcfunction(run->co, call_script);
    lua_pushlightuserdata(run->co, run);
    lua_rawsetp(L, LUA_REGISTRYINDEX, run);
    return 0;
}

static int drop_coroutine(lua_State *L)
{
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, lua_touserdata(L, 1));
    return 0;
}

static void run_free(struct gw_handler_run *run)
{
    if (!run)
        return;
    gw_lua_effects_leave(run);
    if (run->co)
        mw_lua_call(run->script->lua, drop_coroutine, run, NULL);
    script_release(run->script);
    gw_lua_response_deinit(&run->response);
    mw_timer_free(run->timer);
    cJSON_Delete(run->event);
    cJSON_Delete(run->result);
    mw_error_reset(&run->err);
    mw_error_reset(&run->lost);
    free(run);
}

static void end(struct gw_handler_run *run)
{
    struct gw_handler_answer a = {.end = GW_HANDLER_ANSWERED, .text = ""};
    int r = run->outcome;

    if (!r && mw_error_is_set(&run->lost)) {
        r = -EAGAIN;
        mw_error_move(&run->err, &run->lost);
    }
    if (run->canceled || r == -ENOMEM || (r == -EAGAIN && gw_is_stopping(run->in->host->gw)))
        a.end = GW_HANDLER_CANCELED; /* the event is given again */
    else if (r)
        a.end = GW_HANDLER_FAILED;
    else if (!run->result)
        a.end = GW_HANDLER_EMPTY;
    else if (cJSON_IsString(run->result))
        a.text = run->result->valuestring;
    else
        a.json = run->result;
    if (!run->canceled)
        mw_error_move(&a.err, &run->err);
    run->in->errors += a.end == GW_HANDLER_FAILED;
    run->ops->end(run->userdata, &a);
    mw_error_reset(&a.err);
    run_free(run);
}

/* on_event is over, or could not be called. The end of the turn is committed behind what it posts.
 */
static void done(struct gw_handler_run *run, int outcome)
{
    if (!outcome && run->result && !cJSON_IsString(run->result) && !cJSON_IsObject(run->result))
        outcome = mw_error_set(&run->err, -EINVAL, "on_event must return a text, a table or nil");
    run->outcome = outcome;
    run->done = true;
    if (!run->unrecorded)
        end(run);
}

static int begin(struct gw_handler_run *run)
{
    struct gw_handler_instance *in = run->in;
    int r = refresh(in, &run->err);

    if (r)
        return r;
    run->script = in->script;
    run->script->refs++;
    run->left = mw_lua_full(run->script->lua);
    return mw_lua_call(run->script->lua, make_coroutine, run, &run->err);
}

static void go_on(struct gw_handler_run *run)
{
    int n = run->co ? 0 : 1, results = 0;
    int r = run->co ? 0 : begin(run);

    if (!r) {
        run->in->run = run;
        r = mw_lua_resume(run->script->lua, run->co, n, &run->left, &results, &run->err);
        run->in->run = NULL;
    }
    if (r == MW_LUA_SLICE)
        mw_timer_start(run->timer, 1); /* 0 would be the same round of the loop */
    else if (r != MW_LUA_YIELD)
        done(run, r);
}

static void on_timer(void *userdata)
{
    struct gw_handler_run *run = userdata;

    if (run->canceled || run->done)
        end(run);
    else
        go_on(run);
}

static int start(struct gw_handler_instance *in, const struct gw_turn *turn,
                 const struct gw_turn_ops *ops, void *userdata, struct gw_handler_run **ret,
                 struct mw_error *err)
{
    struct gw_handler_run *run = calloc(1, sizeof(*run));
    MW_AUTOBUF event = {0};

    if (!run || mw_timer_new(in->host->loop, on_timer, run, &run->timer) ||
        gw_turn_write_json(&event, turn, false) ||
        mw_json_parse(mw_buf_str(&event), event.len, &run->event, NULL)) {
        run_free(run);
        return mw_error_set(err, -ENOMEM, "out of memory");
    }
    run->in = in;
    run->turn = *turn;
    run->ops = ops;
    run->userdata = userdata;
    mw_timer_start(run->timer, 0);
    *ret = run;
    return 0;
}

static void cancel(struct gw_handler_run *run)
{
    run->canceled = true;
    if (run->call)
        mw_http_cancel(run->call);
    mw_timer_start(run->timer, 0);
}

static int open_lua(const struct gw_handler_host *host, struct gw_handler_instance **ret,
                    struct mw_error *err)
{
    struct gw_handler_instance *in = calloc(1, sizeof(*in));
    char *scope = mw_asprintf("lua/%s", host->config->name);
    int r = in && scope ? 0 : -ENOMEM;

    if (!r && host->config->http_hosts.n)
        r = gw_web_client(host, &in->http, err);
    if (r) {
        free(in);
        free(scope);
        return mw_error_set(err, r, "out of memory");
    }
    in->host = host;
    in->scope = scope;
    *ret = in;
    return 0;
}

static void close_lua(struct gw_handler_instance *in)
{
    script_release(in->script);
    mw_http_free(in->http);
    free(in->scope);
    free(in->problem);
    free(in);
}

static void status(const struct gw_handler_instance *in, cJSON *object)
{
    mw_json_add_i64(object, "memory", in->script ? (int64_t)mw_lua_memory(in->script->lua) : 0);
    mw_json_add_i64(object, "loads", in->loads);
    mw_json_add_i64(object, "errors", in->errors);
    mw_json_add_i64(object, "requests", in->requests);
    if (in->problem)
        mw_json_add_str(object, "problem", in->problem);
}

const struct gw_handler_type gw_lua_handler = {
    .name = "lua",
    .open = open_lua,
    .close = close_lua,
    .start = start,
    .cancel = cancel,
    .status = status,
};
