/*
 * Lua 5.4 in a sandbox: for expressions in the config and for scripts of a handler.
 *
 * A script sees a choice of the standard library that reaches neither files, processes nor other
 * code: assert, error, getmetatable, ipairs, next, pairs, pcall, rawequal, rawget, rawlen, select,
 * setmetatable (without __gc), tonumber, tostring, type, and string (without dump and pack), table,
 * math, utf8. The libraries cannot be changed by a script. Patterns are matched by a matcher of
 * ours (lua_pattern.c), because Lua's own cannot be stopped.
 *
 * Limits hold for each mw_lua_call, and for a coroutine over all its mw_lua_resume: instructions
 * (work inside of library functions is charged too), time as the last resort, and memory for the
 * state as a whole. A script cannot catch the end of its instructions: pcall returns, the next
 * instruction fails again.
 *
 * Lua tells errors by longjmp. So: what can raise an error runs inside a lua_CFunction that
 * mw_lua_call or a script calls; no such function may hold memory of malloc while it calls what
 * raises, but in a box (mw_lua_box). Not thread safe; a state belongs to one thread at a time.
 */
#ifndef MW_BASE_LUA_H
#define MW_BASE_LUA_H

#include <lua.h>

#include "base/error.h"
#include "base/json.h"

struct mw_lua_limits {
    size_t memory;   /* bytes, of the whole state (an empty one has about 25 KB) */
    int64_t steps;   /* instructions of one call */
    int64_t time_ms; /* of one call; also true of a slow machine, so be generous */
    /* A resume comes back after so long with MW_LUA_SLICE, as soon as the coroutine can be left:
     * not inside of a function that table.sort or string.gsub calls. 0 = when it ends or yields. */
    int64_t slice_ms;
};

/* What a coroutine has left of its limits. */
struct mw_lua_left {
    int64_t steps, time_ms;
};

struct mw_lua;

/* What a call came to, beside 0 and -ENOMEM (the machine's memory, not the limit). */
enum mw_lua_outcome {
    MW_LUA_ERROR = 1, /* the script is wrong; the sentence names its line */
    MW_LUA_LIMIT,     /* instructions or time */
    MW_LUA_MEMORY,    /* the limit of memory */
    MW_LUA_YIELD,     /* mw_lua_resume only: it waits */
    MW_LUA_SLICE,     /* mw_lua_resume only: it wants to go on, with 0 arguments */
};

/* Returns 0, -ENOMEM, or MW_LUA_MEMORY when the limit is too small for an empty state. */
int mw_lua_new(const struct mw_lua_limits *limits, struct mw_lua **ret, struct mw_error *err);
void mw_lua_free(struct mw_lua *lua);

/* Calls fn with `arg` as its one argument, a light userdata: the door to everything below. Returns
 * 0, a negative errno or an enum mw_lua_outcome with a sentence. May not be nested. */
int mw_lua_call(struct mw_lua *lua, lua_CFunction fn, void *arg, struct mw_error *err);

/* Goes on with a coroutine (lua_newthread) on whose stack are the function, when it begins, and n
 * arguments. MW_LUA_YIELD or 0: *ret_n values are on its stack. MW_LUA_SLICE: leave its stack
 * alone. Else it is dead. `left` belongs to the coroutine: mw_lua_full before the first resume. */
int mw_lua_resume(struct mw_lua *lua, lua_State *co, int n, struct mw_lua_left *left, int *ret_n,
                  struct mw_error *err);
struct mw_lua_left mw_lua_full(const struct mw_lua *lua);

/* Bytes in use. */
size_t mw_lua_memory(const struct mw_lua *lua);

/* ---- Inside of such a call: all of these may raise an error, unless it says otherwise. ---- */

/* Pushes a new table of globals that falls back on the library. */
void mw_lua_push_env(lua_State *L);
/* Compiles text (never bytecode) with the table at index `env` as its globals, pushes the function.
 * `name` is what errors call it. */
void mw_lua_load(lua_State *L, int env, const char *name, const char *text, size_t len);
/* Charges work that was done, or will be, outside of Lua. */
void mw_lua_charge(lua_State *L, int64_t steps);
/* Makes the table on the top read-only for scripts: replaces it by one that stands for it. */
void mw_lua_lock(lua_State *L);
/* Raises `err` as an error of the script, with its line, and frees it. */
int mw_lua_throw(lua_State *L, struct mw_error *err);

/* Pushes a box; what is put into *box is given to free_value when the box is collected. */
void **mw_lua_box(lua_State *L, void (*free_value)(void *value));

/* null is a value of its own: mw_lua_is_null; as a member of an object it is left out. */
void mw_lua_push_json(lua_State *L, const cJSON *value);
void mw_lua_push_null(lua_State *L);
bool mw_lua_is_null(lua_State *L, int index);
/* Marks the table on the top as an array, also when it is empty. */
void mw_lua_mark_array(lua_State *L);
/* The value at `index` as JSON: a table with the keys 1 to n is an array, an empty one an object.
 * Metamethods are not asked. Raises nothing. Returns 0, -ENOMEM, or -EINVAL with a sentence. */
int mw_lua_to_json(lua_State *L, int index, cJSON **ret, struct mw_error *err);

#endif
