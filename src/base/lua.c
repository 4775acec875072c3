#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "base/clock.h"
#include "base/lua_internal.h"
#include "base/utf8.h"

#define HOOK_EVERY      100 /* instructions */
#define BYTES_A_STEP    64  /* of memory that is asked for */
#define ELEMENTS_A_STEP 16  /* of a table that a function of the library walks through */
#define SORT_STEPS      20  /* comparisons of an element */
#define MAX_SENTENCE    500

struct mw_lua {
    lua_State *L;
    struct mw_lua_limits limits;
    size_t used;
    lua_State *running; /* the thread of the call under way; NULL = none */
    int64_t steps;      /* left */
    int64_t deadline;   /* monotonic, as is the next one */
    int64_t slice_end;  /* 0 = none */
    bool sliced;        /* the coroutine was left for that */
    bool stopped;       /* instructions or time are used up */
    bool late;          /* it was the time */
    bool full;          /* the limit of memory was met */
    bool no_memory;     /* the machine has none */
};

const char mw_lua_key_library, mw_lua_key_array;
static const char key_box;

static struct mw_lua *owner(lua_State *L)
{
    void *lua;

    lua_getallocf(L, &lua);
    return lua;
}

/* ---- Limits ---- */

static void hook(lua_State *L, lua_Debug *ar);

/* The next instruction will not run: the hook raises an error before it, each time. */
static void stop(struct mw_lua *lua)
{
    lua->stopped = true;
    if (lua->running)
        lua_sethook(lua->running, hook, LUA_MASKCOUNT, 1);
}

static void use(struct mw_lua *lua, int64_t steps)
{
    lua->steps -= MW_MIN(steps, lua->steps + 1);
    if (lua->steps < 0 && !lua->stopped)
        stop(lua);
}

static void raise_stopped(lua_State *L, struct mw_lua *lua, int level)
{
    lua_Debug ar;

    luaL_where(L, level);
    /* In the hook the function that is stopped is level 0. */
    if (level == 0 && lua_getstack(L, 0, &ar) && lua_getinfo(L, "Sl", &ar) && ar.currentline > 0) {
        lua_pop(L, 1);
        lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
    }
    if (lua->late)
        lua_pushfstring(L, "it ran for more than %d ms", (int)lua->limits.time_ms);
    else
        lua_pushfstring(L, "it ran for more than %I instructions", (LUAI_UACINT)lua->limits.steps);
    lua_concat(L, 2);
    lua_error(L);
}

static void hook(lua_State *L, lua_Debug *ar)
{
    struct mw_lua *lua = owner(L);
    int64_t now = mw_clock_mono();

    if (!lua->stopped) {
        use(lua, HOOK_EVERY);
        if (now > lua->deadline) {
            lua->late = true;
            stop(lua);
        }
    }
    if (lua->stopped)
        raise_stopped(L, lua, 0);
    if (lua->slice_end && now >= lua->slice_end && lua_isyieldable(L)) {
        lua->sliced = true;
        lua_yield(L, 0); /* within a hook it returns, and what called the hook yields */
    }
}

void mw_lua_charge(lua_State *L, int64_t steps)
{
    struct mw_lua *lua = owner(L);

    use(lua, steps);
    if (lua->running && !lua->stopped && mw_clock_mono() > lua->deadline) {
        lua->late = true;
        stop(lua);
    }
    if (lua->stopped)
        raise_stopped(L, lua, 1);
}

static void *allocate(void *userdata, void *p, size_t old_size, size_t size)
{
    struct mw_lua *lua = userdata;
    size_t had = p ? old_size : 0; /* for a new block it is a type */
    void *r;

    if (size == 0) {
        lua->used -= had;
        free(p);
        return NULL;
    }
    if (size > had && size - had > lua->limits.memory - MW_MIN(lua->used, lua->limits.memory)) {
        lua->full = true;
        return NULL;
    }
    r = realloc(p, size);
    if (!r && size <= had)
        return p; /* Lua takes it for granted that a block can become smaller */
    if (!r) {
        lua->no_memory = true;
        return NULL;
    }
    lua->used += size - had;
    use(lua, size > had ? (int64_t)((size - had) / BYTES_A_STEP) : 0);
    return r;
}

/* ---- The library ---- */

/* rep of Lua goes round for ever when the text is empty. */
static int string_rep(lua_State *L)
{
    size_t len, sep_len, most = owner(L)->limits.memory;
    const char *s = luaL_checklstring(L, 1, &len);
    lua_Integer n = luaL_checkinteger(L, 2);
    const char *sep = luaL_optlstring(L, 3, "", &sep_len);
    luaL_Buffer b;

    if (n <= 0 || len + sep_len == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    if ((uint64_t)n > most / (len + sep_len))
        return luaL_error(L, "the repeated text is longer than the limit of memory");
    mw_lua_charge(L, n / ELEMENTS_A_STEP);
    luaL_buffinitsize(L, &b, (size_t)n * (len + sep_len));
    while (n-- > 0) {
        luaL_addlstring(&b, s, len);
        if (n > 0)
            luaL_addlstring(&b, sep, sep_len);
    }
    luaL_pushresult(&b);
    return 1;
}

/* In front of a function of Lua's table library: what it may walk through is charged first, and its
 * length must be a true one. Upvalues: the function, steps for each element. */
static int table_charged(lua_State *L)
{
    int64_t steps = lua_tointeger(L, lua_upvalueindex(2));

    luaL_checktype(L, 1, LUA_TTABLE);
    if (luaL_getmetafield(L, 1, "__len") != LUA_TNIL)
        return luaL_error(L, "this function takes no table with __len");
    mw_lua_charge(L, (int64_t)lua_rawlen(L, 1) * steps / ELEMENTS_A_STEP);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* From, to: arguments 2 and 3. Lua's own moves nothing from nowhere to nowhere for ever. */
static int table_move(lua_State *L)
{
    lua_Integer from = luaL_checkinteger(L, 2), to = luaL_checkinteger(L, 3);

    luaL_checktype(L, 1, LUA_TTABLE);
    if (to >= from) {
        if ((uint64_t)to - (uint64_t)from > INT32_MAX)
            return luaL_error(L, "too many elements to move");
        mw_lua_charge(L, (to - from) / ELEMENTS_A_STEP);
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

/* A finaliser would run without limits. Lua looks for __gc only here. */
static int set_metatable(lua_State *L)
{
    int type = lua_type(L, 2);

    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "this metatable cannot be changed");
    if (type == LUA_TTABLE) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "__gc is not to be had here");
    }
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

static int refuse_change(lua_State *L)
{
    return luaL_error(L, "this table cannot be changed");
}

void mw_lua_lock(lua_State *L)
{
    lua_newtable(L);
    lua_createtable(L, 0, 3);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse_change);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_remove(L, -2);
}

/* What of a library of Lua is passed on. */
static const struct {
    const char *library;
    const char *names[24];
} choice[] = {
    {"_G",
     {"assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget",
      "rawlen", "select", "tonumber", "tostring", "type"}},
    {LUA_STRLIBNAME, {"byte", "char", "format", "len", "lower", "reverse", "sub", "upper"}},
    {LUA_TABLIBNAME, {"concat", "insert", "move", "pack", "remove", "sort", "unpack"}},
    {LUA_MATHLIBNAME, {"abs",    "ceil", "cos",        "exp", "floor",      "fmod", "huge",
                       "log",    "max",  "maxinteger", "min", "mininteger", "modf", "pi",
                       "random", "sin",  "sqrt",       "tan", "tointeger",  "type", "ult"}},
    {LUA_UTF8LIBNAME, {"char", "charpattern", "codepoint", "codes", "len", "offset"}},
};

/* Copies the chosen members of the table at the top into a new one, which takes its place. */
static void choose(lua_State *L, const char *const *names, size_t n)
{
    lua_newtable(L);
    for (size_t i = 0; i < n && names[i]; i++) {
        lua_getfield(L, -2, names[i]);
        lua_setfield(L, -2, names[i]);
    }
    lua_remove(L, -2);
}

static void charge_tables(lua_State *L)
{
    static const struct {
        const char *name;
        int steps;
    } charged[] = {{"concat", 1}, {"insert", 1}, {"remove", 1}, {"sort", SORT_STEPS}};

    for (size_t i = 0; i < MW_ARRAY_LEN(charged); i++) {
        lua_getfield(L, -1, charged[i].name);
        lua_pushinteger(L, charged[i].steps);
        lua_pushcclosure(L, table_charged, 2);
        lua_setfield(L, -2, charged[i].name);
    }
    lua_getfield(L, -1, "move");
    lua_pushcclosure(L, table_move, 1);
    lua_setfield(L, -2, "move");
}

/* Methods of texts: the table at the top. */
static void open_string_methods(lua_State *L)
{
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
}

static int free_box(lua_State *L)
{
    void **box = lua_touserdata(L, 1);
    void (*free_value)(void *) = (void (*)(void *))box[1];

    if (box[0])
        free_value(take_ptr(box[0]));
    return 0;
}

static void open_registry(lua_State *L)
{
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, free_box);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key_box);
    lua_createtable(L, 0, 1);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &mw_lua_key_array);
}

static int open_all(lua_State *L)
{
    static const luaL_Reg libraries[] = {
        {"_G", luaopen_base},
        {LUA_STRLIBNAME, luaopen_string},
        {LUA_TABLIBNAME, luaopen_table},
        {LUA_MATHLIBNAME, luaopen_math},
        {LUA_UTF8LIBNAME, luaopen_utf8},
    };

    open_registry(L);
    lua_newtable(L); /* the library, as scripts see it */
    for (size_t i = 0; i < MW_ARRAY_LEN(libraries); i++) {
        lua_pushcfunction(L, libraries[i].func);
        lua_pushstring(L, libraries[i].name);
        lua_call(L, 1, 1);
        choose(L, choice[i].names, MW_ARRAY_LEN(choice[i].names));
        if (i == 0) {
            lua_replace(L, -2);
            lua_pushcfunction(L, set_metatable);
            lua_setfield(L, -2, "setmetatable");
            lua_pushliteral(L, LUA_VERSION);
            lua_setfield(L, -2, "_VERSION");
            continue;
        }
        if (!strcmp(libraries[i].name, LUA_STRLIBNAME)) {
            mw_lua_open_patterns(L);
            lua_pushcfunction(L, string_rep);
            lua_setfield(L, -2, "rep");
            open_string_methods(L);
        } else if (!strcmp(libraries[i].name, LUA_TABLIBNAME)) {
            charge_tables(L);
        }
        mw_lua_lock(L);
        lua_setfield(L, -2, libraries[i].name);
    }
    lua_rawsetp(L, LUA_REGISTRYINDEX, &mw_lua_key_library);
    /* Nothing of ours looks there; what Lua's libraries left is not to be found. */
    lua_newtable(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    return 0;
}

void mw_lua_push_env(lua_State *L)
{
    lua_newtable(L);
    lua_createtable(L, 0, 2);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &mw_lua_key_library);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}

void mw_lua_load(lua_State *L, int env, const char *name, const char *text, size_t len)
{
    env = lua_absindex(L, env);
    lua_pushfstring(L, "=%s", name);
    if (luaL_loadbufferx(L, text, len, lua_tostring(L, -1), "t") != LUA_OK)
        lua_error(L);
    lua_pushvalue(L, env);
    if (!lua_setupvalue(L, -2, 1))
        lua_pop(L, 1); /* no global is used */
    lua_remove(L, -2);
}

void **mw_lua_box(lua_State *L, void (*free_value)(void *value))
{
    void **box = lua_newuserdatauv(L, 2 * sizeof(*box), 0);

    box[0] = NULL;
    box[1] = (void *)free_value;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_box);
    lua_setmetatable(L, -2);
    return box;
}

int mw_lua_throw(lua_State *L, struct mw_error *err)
{
    char text[MAX_SENTENCE];
    const char *message = mw_error_text(err);
    size_t len = MW_MIN(strlen(message), sizeof(text) - 1);

    memcpy(text, message, len);
    text[len] = 0;
    mw_error_reset(err);
    return luaL_error(L, "%s", text);
}

/* ---- Calls ---- */

/* A script can raise any bytes as its error; a sentence is one line of text. */
static void set_sentence(struct mw_error *err, int code, const char *s, size_t len)
{
    char text[MAX_SENTENCE + 4];
    size_t n = 0;

    for (size_t i = 0, width; i < len && s[i] && n < MAX_SENTENCE; i += width ? width : 1) {
        width = mw_utf8_char_len(s + i, len - i);
        if (!width || (unsigned char)s[i] < ' ' || s[i] == 0x7f) {
            text[n++] = width ? ' ' : '?';
        } else {
            memcpy(text + n, s + i, width);
            n += width;
        }
    }
    text[n] = 0;
    mw_error_set(err, code, "%s", text);
}

static void begin(struct mw_lua *lua, lua_State *L, struct mw_lua_left left)
{
    lua->running = L;
    lua->steps = left.steps;
    lua->deadline = mw_clock_mono() + left.time_ms;
    lua->slice_end = 0;
    lua->sliced = false;
    lua->stopped = lua->late = lua->full = lua->no_memory = false;
    lua_sethook(L, hook, LUA_MASKCOUNT, HOOK_EVERY);
}

/* The outcome of a call that ended with an error, whose value is on the top of L. */
static int judge(struct mw_lua *lua, lua_State *L, int status, struct mw_error *err)
{
    int code = lua->stopped ? MW_LUA_LIMIT : status == LUA_ERRMEM ? MW_LUA_MEMORY : MW_LUA_ERROR;
    int type = lua_type(L, -1);

    if (status == LUA_ERRMEM && lua->no_memory)
        return mw_error_set(err, -ENOMEM, "out of memory");
    if (status == LUA_ERRMEM && code == MW_LUA_MEMORY)
        mw_error_set(err, code, "it needs more than %zu KiB of memory", lua->limits.memory / 1024);
    else if (type == LUA_TSTRING)
        set_sentence(err, code, lua_tostring(L, -1), lua_rawlen(L, -1));
    else if (type == LUA_TNUMBER) /* not lua_tostring, which allocates */
        mw_error_set(err, code, "error %.14g", (double)lua_tonumber(L, -1));
    else
        mw_error_set(err, code, "error with a value that is no text but a %s",
                     lua_typename(L, type));
    return code;
}

/* A deep recursion leaves a chain of records behind, which each collection makes half as long. */
static void clean_up(struct mw_lua *lua, int outcome)
{
    for (int i = 0; i < 6 && outcome != MW_LUA_ERROR; i++)
        lua_gc(lua->L, LUA_GCCOLLECT);
}

struct mw_lua_left mw_lua_full(const struct mw_lua *lua)
{
    return (struct mw_lua_left){lua->limits.steps, lua->limits.time_ms};
}

int mw_lua_call(struct mw_lua *lua, lua_CFunction fn, void *arg, struct mw_error *err)
{
    lua_State *L = lua->L;
    int status, r = 0;

    lua_pushcfunction(L, fn);
    lua_pushlightuserdata(L, arg);
    begin(lua, L, mw_lua_full(lua));
    status = lua_pcall(L, 1, 0, 0);
    lua->running = NULL;
    if (status != LUA_OK) {
        r = judge(lua, L, status, err);
        lua_pop(L, 1);
        clean_up(lua, r);
    }
    return r;
}

int mw_lua_resume(struct mw_lua *lua, lua_State *co, int n, struct mw_lua_left *left, int *ret_n,
                  struct mw_error *err)
{
    int status, results = 0;

    begin(lua, co, *left);
    if (lua->limits.slice_ms)
        lua->slice_end = mw_clock_mono() + lua->limits.slice_ms;
    status = lua_resume(co, lua->L, n, &results);
    lua->running = NULL;
    if (status != LUA_OK && status != LUA_YIELD) {
        status = judge(lua, co, status, err);
        clean_up(lua, status);
        return status;
    }
    left->steps = lua->steps;
    left->time_ms = lua->deadline - mw_clock_mono();
    *ret_n = results;
    return status == LUA_OK ? 0 : lua->sliced ? MW_LUA_SLICE : MW_LUA_YIELD;
}

int mw_lua_new(const struct mw_lua_limits *limits, struct mw_lua **ret, struct mw_error *err)
{
    struct mw_lua *lua = calloc(1, sizeof(*lua));
    int r;

    if (!lua)
        return mw_error_set(err, -ENOMEM, "out of memory");
    lua->limits = *limits;
    lua->limits.steps = INT32_MAX; /* while it is made */
    lua->limits.time_ms = INT32_MAX;
    lua->L = lua_newstate(allocate, lua);
    if (!lua->L) {
        r = lua->full ? MW_LUA_MEMORY : -ENOMEM;
        free(lua);
        return mw_error_set(err, r, r < 0 ? "out of memory" : "too little memory for Lua");
    }
    r = mw_lua_call(lua, open_all, NULL, err);
    if (r) {
        mw_lua_free(lua);
        return r;
    }
    lua->limits = *limits;
    *ret = lua;
    return 0;
}

void mw_lua_free(struct mw_lua *lua)
{
    if (!lua)
        return;
    lua_close(lua->L);
    free(lua);
}

size_t mw_lua_memory(const struct mw_lua *lua)
{
    return lua->used;
}
