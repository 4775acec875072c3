/* What a script can call, but for http. */
#include <lauxlib.h>

#include "base/log.h"
#include "base/str.h"
#include "base/utf8.h"
#include "handlers/lua_internal.h"

#define MAX_POSTS 20  /* of one turn */
#define MAX_LINES 100 /* in the log, of one turn */
#define KEY_SIZE  512
#define MAX_KEYS  10000 /* in state */
#define MAX_KEPT  (INT64_C(8) << 20)
#define MAX_LINE  2000 /* characters */

/* ---- Posts and reactions ---- */

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

/* The turn waits for the last one. */
static void one_less(struct gw_handler_run *run)
{
    if (--run->unrecorded == 0 && run->done)
        mw_timer_start(run->timer, 0);
}

static void on_recorded(void *userdata)
{
    struct gw_lua_effect *e = userdata;

    e->recorded = true;
    if (e->run)
        one_less(e->run);
}

static void unlink_effect(struct gw_lua_effect *e)
{
    struct gw_lua_effect **at;

    for (at = &e->run->effects; *at != e; at = &(*at)->next)
        ;
    *at = e->next;
}

/* What is in the outbox is told by the outbox. What did not get there is told here when the server
 * has no such place; when it only cannot be asked now, the turn has failed. */
static void on_sent(struct gw_reply *reply, void *userdata)
{
    struct gw_lua_effect *e = userdata;
    struct gw_handler_run *run = e->run;
    bool later = reply->code == GW_OFFLINE || reply->code == GW_INTERNAL;

    if (run && !e->recorded && later)
        mw_error_set(&run->lost, -EAGAIN, "what it posts could not be recorded: %s",
                     mw_error_text(&reply->err));
    else if (reply->code != GW_OK && reply->code != GW_PENDING)
        mw_log_warning("what a script posts could not be sent",
                       MW_F_STR("reason", mw_error_text(&reply->err)));
    if (run) {
        unlink_effect(e);
        if (!e->recorded)
            one_less(run);
    }
    free(e);
}

void gw_lua_effects_leave(struct gw_handler_run *run)
{
    for (struct gw_lua_effect *e = run->effects; e; e = e->next)
        e->run = NULL;
    run->effects = NULL;
}

static struct gw_lua_effect *new_effect(lua_State *L, struct gw_handler_run *run)
{
    struct gw_lua_effect *e = calloc(1, sizeof(*e));

    if (!e) {
        luaL_error(L, "out of memory");
        return NULL;
    }
    e->run = run;
    e->next = run->effects;
    run->effects = e;
    run->unrecorded++;
    return e;
}

static struct gw_bot *bot_of(lua_State *L, const struct gw_handler_run *run)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct gw_bot *bot = gw_find_bot(run->in->host->gw, run->turn.ev->bot, &err);

    if (!bot)
        mw_lua_throw(L, &err);
    return bot;
}

static int send_post(lua_State *L, const char *channel, const char *root, const char *text)
{
    struct gw_handler_run *run = gw_lua_run(L);
    struct gw_bot *bot = bot_of(L, run);
    char key[KEY_SIZE];

    make_key(L, run, key, sizeof(key));
    const struct gw_send req = {.channel = root ? NULL : channel,
                                .root = root,
                                .text = text,
                                .key = key,
                                .recorded = on_recorded};
    gw_send(run->in->host->gw, bot, &req, on_sent, new_effect(L, run));
    return 0;
}

static int api_reply(lua_State *L)
{
    const struct gw_turn *turn = &gw_lua_run(L)->turn;
    const char *root = turn->root_id && turn->root_id[0] ? turn->root_id : NULL;

    return send_post(L, turn->ev->channel_id, root, luaL_checkstring(L, 1));
}

static int api_post(lua_State *L)
{
    return send_post(L, luaL_checkstring(L, 1), luaL_optstring(L, 3, NULL), luaL_checkstring(L, 2));
}

static int api_react(lua_State *L)
{
    struct gw_handler_run *run = gw_lua_run(L);
    struct gw_bot *bot = bot_of(L, run);
    char key[KEY_SIZE];
    const struct gw_act req = {.action = GW_REACT,
                               .emoji = luaL_checkstring(L, 1),
                               .post = luaL_optstring(L, 2, run->turn.ev->post_id),
                               .key = key,
                               .recorded = on_recorded};

    make_key(L, run, key, sizeof(key));
    gw_act(run->in->host->gw, bot, &req, on_sent, new_effect(L, run));
    return 0;
}

/* ---- Log, JSON, state ---- */

static int api_log(lua_State *L)
{
    struct gw_handler_instance *in = gw_lua_instance(L);
    unsigned *lines = in->run ? &in->run->lines : &in->lines;
    int n = lua_gettop(L);
    const char *text;
    size_t len;
    luaL_Buffer b;

    if ((*lines)++ >= MAX_LINES)
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

const char *gw_lua_encode(lua_State *L, int index)
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
    lua_pushstring(L, gw_lua_encode(L, 1));
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
    struct gw_handler_instance *in = gw_lua_instance(L);
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
    static const struct gw_state_quota quota = {.keys = MAX_KEYS, .bytes = MAX_KEPT};
    struct gw_handler_instance *in = gw_lua_instance(L);
    const char *key = luaL_checkstring(L, 1);
    const char *value = lua_isnoneornil(L, 2) ? NULL : gw_lua_encode(L, 2);

    switch (gw_state_set_within(in->host->gw, in->scope, key, value, &quota)) {
    case 0:
        return 0;
    case 1:
        return luaL_error(L, "state may have %d keys at most: delete some, with nil", MAX_KEYS);
    case 2:
        return luaL_error(L, "state may have %d MiB at most: delete some of it, with nil",
                          (int)(MAX_KEPT >> 20));
    case -ENOMEM:
        return luaL_error(L, "out of memory");
    default:
        return luaL_error(L, "what is kept cannot be read");
    }
}

void gw_lua_push_api(lua_State *L)
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
    gw_lua_push_http(L);
    lua_setfield(L, -2, "http");
}
