/*
 * Type `lua`: a script with `on_event(event)` in a sandbox (base/lua.h). See docs/handlers-lua.md.
 *
 * The script is loaded by the first turn and again when its file changed. A new version that is
 * broken does not take the old one's place. A turn is one call, which does not wait for anything:
 * what it posts goes into the outbox.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>

#include "base/log.h"
#include "base/lua.h"
#include "base/str.h"
#include "base/utf8.h"
#include "gateway/gateway.h"
#include "handlers/handlers.h"
#include "handlers/turn.h"
#include "io/handle.h"

#define MAX_SCRIPT  ((size_t)1024 * 1024)
#define MAX_STEPS   INT64_C(20000000) /* instructions of a turn: about a quarter of a second */
#define MAX_TIME_MS 1000              /* the daemon does nothing else meanwhile */
#define MAX_POSTS   20                /* of one turn */
#define MAX_LINES   100               /* in the log, of one turn */
#define KEY_SIZE    512
#define MAX_LINE    2000 /* characters */

struct gw_handler_instance {
    const struct gw_handler_host *host;
    struct mw_lua *lua; /* NULL = not loaded yet */
    struct stat file;   /* as it was when it was last read, well or not */
    char *scope;        /* of what it keeps */
    char *problem;      /* of the newest version of the file, NULL = none */
    int64_t loads, errors;
    struct gw_handler_run *run; /* under way in Lua */
    unsigned lines;             /* of this turn, in the log */
};

struct gw_handler_run {
    struct gw_handler_instance *in;
    struct mw_timer *timer;
    struct gw_turn turn; /* a copy: what it points to lives until the end */
    const struct gw_turn_ops *ops;
    void *userdata;
    bool canceled;
    unsigned posts;
    cJSON *event, *result; /* result: NULL = none */
};

static const char key_env, key_instance;

static struct gw_handler_instance *instance_of(lua_State *L)
{
    struct gw_handler_instance *in;

    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_instance);
    in = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return in;
}

/* ---- What a script can call ---- */

static struct gw_handler_run *run_of(lua_State *L)
{
    struct gw_handler_run *run = instance_of(L)->run;

    if (!run)
        luaL_error(L, "this can only be called while on_event runs");
    return run;
}

/* The same for the same event and place in the script, also when the daemon died in between. The
 * server remembers keys, too, so the number of an event will not do: it begins anew with a
 * database. */
static void make_key(lua_State *L, struct gw_handler_run *run, char *key, size_t size)
{
    if (run->posts >= MAX_POSTS)
        luaL_error(L, "a turn may post and react %d times at most", MAX_POSTS);
    if (snprintf(key, size, "%s.lua%u", run->turn.key, ++run->posts) >= (int)size)
        luaL_error(L, "the key of the event is too long");
}

/* What is in the outbox is told by the outbox; what did not get there, nowhere else. */
static void on_sent(struct gw_reply *reply, void *userdata)
{
    if (reply->code != GW_OK && reply->code != GW_PENDING)
        mw_log_warning("what a script posts could not be sent",
                       MW_F_STR("reason", mw_error_text(&reply->err)));
}

static int send_post(lua_State *L, const char *channel, const char *root, const char *text)
{
    struct gw_handler_run *run = run_of(L);
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct gw *gw = run->in->host->gw;
    struct gw_bot *bot = gw_find_bot(gw, run->turn.ev->bot, &err);
    char key[KEY_SIZE];

    if (!bot)
        return mw_lua_throw(L, &err);
    make_key(L, run, key, sizeof(key));
    const struct gw_send req = {
        .channel = root ? NULL : channel, .root = root, .text = text, .key = key};
    gw_send(gw, bot, &req, on_sent, NULL);
    return 0;
}

static int api_reply(lua_State *L)
{
    const struct gw_turn *turn = &run_of(L)->turn;
    const char *root = turn->root_id && turn->root_id[0] ? turn->root_id : NULL;

    return send_post(L, turn->ev->channel_id, root, luaL_checkstring(L, 1));
}

static int api_post(lua_State *L)
{
    return send_post(L, luaL_checkstring(L, 1), luaL_optstring(L, 3, NULL), luaL_checkstring(L, 2));
}

static int api_react(lua_State *L)
{
    struct gw_handler_run *run = run_of(L);
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct gw *gw = run->in->host->gw;
    struct gw_bot *bot = gw_find_bot(gw, run->turn.ev->bot, &err);
    char key[KEY_SIZE];
    struct gw_act req = {.action = GW_REACT,
                         .emoji = luaL_checkstring(L, 1),
                         .post = luaL_optstring(L, 2, run->turn.ev->post_id),
                         .key = key};

    if (!bot)
        return mw_lua_throw(L, &err);
    make_key(L, run, key, sizeof(key));
    gw_act(gw, bot, &req, on_sent, NULL);
    return 0;
}

static int api_log(lua_State *L)
{
    struct gw_handler_instance *in = instance_of(L);
    int n = lua_gettop(L);
    const char *text;
    size_t len;
    luaL_Buffer b;

    if (in->lines++ >= MAX_LINES)
        return luaL_error(L, "a turn may log %d lines at most", MAX_LINES);
    luaL_buffinit(L, &b);
    for (int i = 1; i <= n; i++) {
        if (i > 1)
            luaL_addchar(&b, ' ');
        luaL_tolstring(L, i, &len);
        mw_lua_charge(L, (int64_t)(len / 16));
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    text = lua_tostring(L, -1);
    text = lua_pushlstring(L, text, mw_utf8_offset(text, MAX_LINE));
    mw_log_info("a script says", MW_F_STR("handler", in->host->config->name),
                MW_F_STR("text", text));
    return 0;
}

static void delete_json(void *json)
{
    cJSON_Delete(json);
}

static int decode(lua_State *L, const char *text, size_t len)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    void **box = mw_lua_box(L, delete_json);

    mw_lua_charge(L, (int64_t)(len / 16));
    if (mw_json_parse(text, len, (cJSON **)box, &err) < 0)
        return mw_lua_throw(L, &err);
    mw_lua_push_json(L, *box);
    return 1;
}

/* Pushes a box with the value at `index` as JSON text. */
static const char *encode(lua_State *L, int index)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    void **text = mw_lua_box(L, free);
    cJSON *json = NULL;

    if (mw_lua_to_json(L, index, &json, &err) < 0) {
        mw_lua_throw(L, &err);
        return NULL;
    }
    *text = mw_json_print(json);
    cJSON_Delete(json);
    if (!*text)
        luaL_error(L, "out of memory");
    mw_lua_charge(L, (int64_t)(strlen(*text) / 16));
    return *text;
}

static int api_encode(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushstring(L, encode(L, 1));
    return 1;
}

static int api_decode(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);

    return decode(L, text, len);
}

static int api_array(lua_State *L)
{
    if (lua_isnoneornil(L, 1))
        lua_newtable(L);
    luaL_checktype(L, -1, LUA_TTABLE);
    mw_lua_mark_array(L);
    return 1;
}

static int api_get(lua_State *L)
{
    struct gw_handler_instance *in = instance_of(L);
    const char *key = luaL_checkstring(L, 1);
    void **box = mw_lua_box(L, free);
    int r = gw_state_get(in->host->gw, in->scope, key, (char **)box);

    if (r < 0)
        return luaL_error(L, "what is kept cannot be read: %s", strerror(-r));
    if (r || !*box) {
        lua_pushnil(L);
        return 1;
    }
    return decode(L, *box, strlen(*box));
}

static int api_set(lua_State *L)
{
    struct gw_handler_instance *in = instance_of(L);
    const char *key = luaL_checkstring(L, 1);
    const char *value = lua_isnoneornil(L, 2) ? NULL : encode(L, 2);

    if (gw_state_set(in->host->gw, in->scope, key, value) < 0)
        return luaL_error(L, "out of memory");
    return 0;
}

static void push_api(lua_State *L)
{
    static const luaL_Reg plain[] = {{"reply", api_reply},
                                     {"post", api_post},
                                     {"react", api_react},
                                     {"log", api_log},
                                     {NULL, NULL}};
    static const luaL_Reg state[] = {{"get", api_get}, {"set", api_set}, {NULL, NULL}};
    static const luaL_Reg json[] = {
        {"encode", api_encode}, {"decode", api_decode}, {"array", api_array}, {NULL, NULL}};

    luaL_setfuncs(L, plain, 0);
    luaL_newlib(L, state);
    mw_lua_lock(L);
    lua_setfield(L, -2, "state");
    luaL_newlib(L, json);
    mw_lua_push_null(L);
    lua_setfield(L, -2, "null");
    mw_lua_lock(L);
    lua_setfield(L, -2, "json");
}

/* ---- The script ---- */

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
    push_api(L);
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
                                         .time_ms = MAX_TIME_MS};
    const char *slash = strrchr(c->script, '/');
    MW_AUTOBUF text = {.limit = MAX_SCRIPT};
    struct loading l = {.in = in, .name = slash ? slash + 1 : c->script};
    struct mw_lua *lua = NULL;
    int r = read_script(c->script, &text, &in->file, err);

    if (r)
        return r;
    l.text = mw_buf_str(&text);
    l.len = text.len;
    r = mw_lua_new(&limits, &lua, err);
    if (!r)
        r = mw_lua_call(lua, load, &l, err);
    if (r) {
        mw_lua_free(lua);
        return r;
    }
    mw_lua_free(in->lua);
    in->lua = lua;
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

    if (in->lua && !has_changed(in))
        return 0;
    r = load_file(in, &why);
    if (r && in->lua && !mw_streq(in->problem, mw_error_text(&why)))
        mw_log_warning("a new version of a script is broken, the one before goes on",
                       MW_F_STR("handler", in->host->config->name),
                       MW_F_STR("reason", mw_error_text(&why)));
    if (mw_str_set(&in->problem, r ? mw_error_text(&why) : NULL))
        return mw_error_set(err, -ENOMEM, "out of memory");
    if (r && !in->lua)
        mw_error_move(err, &why);
    return in->lua ? 0 : r;
}

/* ---- A turn ---- */

static int call_script(lua_State *L)
{
    struct gw_handler_run *run = lua_touserdata(L, 1);
    MW_AUTOERROR err = MW_ERROR_INIT;

    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_env);
    lua_getfield(L, -1, "on_event");
    mw_lua_push_json(L, run->event);
    lua_call(L, 1, 1);
    if (!lua_isnil(L, -1) && mw_lua_to_json(L, -1, &run->result, &err) < 0) {
        mw_error_prefix(&err, "what on_event returns cannot be posted");
        return mw_lua_throw(L, &err);
    }
    return 0;
}

static void run_script(struct gw_handler_run *run, struct gw_handler_answer *a)
{
    struct gw_handler_instance *in = run->in;
    int r;

    in->lines = 0;
    r = refresh(in, &a->err);
    if (!r) {
        in->run = run;
        r = mw_lua_call(in->lua, call_script, run, &a->err);
        in->run = NULL;
    }
    a->end = GW_HANDLER_ANSWERED;
    if (r)
        a->end = GW_HANDLER_FAILED;
    else if (!run->result)
        a->end = GW_HANDLER_EMPTY;
    else if (cJSON_IsString(run->result))
        a->text = run->result->valuestring;
    else if (cJSON_IsObject(run->result))
        a->json = run->result;
    else
        a->end = GW_HANDLER_FAILED;
    if (a->end == GW_HANDLER_FAILED && !r)
        mw_error_set(&a->err, -EINVAL, "on_event must return a text, a table or nil");
    in->errors += a->end == GW_HANDLER_FAILED;
}

static void run_free(struct gw_handler_run *run)
{
    if (!run)
        return;
    mw_timer_free(run->timer);
    cJSON_Delete(run->event);
    cJSON_Delete(run->result);
    free(run);
}

static void on_turn(void *userdata)
{
    struct gw_handler_run *run = userdata;
    struct gw_handler_answer a = {.end = GW_HANDLER_CANCELED, .text = ""};

    if (!run->canceled)
        run_script(run, &a);
    run->ops->end(run->userdata, &a);
    mw_error_reset(&a.err);
    run_free(run);
}

static int start(struct gw_handler_instance *in, const struct gw_turn *turn,
                 const struct gw_turn_ops *ops, void *userdata, struct gw_handler_run **ret,
                 struct mw_error *err)
{
    struct gw_handler_run *run = calloc(1, sizeof(*run));
    MW_AUTOBUF event = {0};

    if (!run || mw_timer_new(in->host->loop, on_turn, run, &run->timer) ||
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
}

static int open_lua(const struct gw_handler_host *host, struct gw_handler_instance **ret,
                    struct mw_error *err)
{
    struct gw_handler_instance *in = calloc(1, sizeof(*in));
    char *scope = mw_asprintf("lua/%s", host->config->name);

    if (!in || !scope) {
        free(in);
        free(scope);
        return mw_error_set(err, -ENOMEM, "out of memory");
    }
    in->host = host;
    in->scope = scope;
    *ret = in;
    return 0;
}

static void close_lua(struct gw_handler_instance *in)
{
    mw_lua_free(in->lua);
    free(in->scope);
    free(in->problem);
    free(in);
}

static void status(const struct gw_handler_instance *in, cJSON *object)
{
    mw_json_add_i64(object, "memory", in->lua ? (int64_t)mw_lua_memory(in->lua) : 0);
    mw_json_add_i64(object, "loads", in->loads);
    mw_json_add_i64(object, "errors", in->errors);
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
