#include <math.h>
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "base/lua_internal.h"
#include "base/str.h"
#include "base/utf8.h"

/* The same table can be in many places: without limits a small value could become a huge text. */
#define MAX_DEPTH  64
#define MAX_VALUES 100000
#define MAX_BYTES  ((size_t)8 * 1024 * 1024)

struct conversion {
    lua_State *L;
    struct mw_error *err;
    unsigned values;
    size_t bytes;
};

/* ---- JSON to Lua ---- */

static const char null_value;

void mw_lua_push_null(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&null_value);
}

bool mw_lua_is_null(lua_State *L, int index)
{
    return lua_touserdata(L, index) == &null_value;
}

void mw_lua_mark_array(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &mw_lua_key_array);
    lua_setmetatable(L, -2);
}

static void push_number(lua_State *L, double d)
{
    if (d == floor(d) && fabs(d) < 9007199254740992.0)
        lua_pushinteger(L, (lua_Integer)d);
    else
        lua_pushnumber(L, d);
}

void mw_lua_push_json(lua_State *L, const cJSON *value)
{
    lua_Integer n = 0;

    luaL_checkstack(L, 4, "JSON is nested too deeply");
    if (cJSON_IsObject(value) || cJSON_IsArray(value)) {
        bool array = cJSON_IsArray(value);
        const cJSON *member;

        lua_newtable(L);
        cJSON_ArrayForEach(member, value)
        {
            if (array) {
                mw_lua_push_json(L, member);
                lua_rawseti(L, -2, ++n);
            } else if (!cJSON_IsNull(member)) {
                mw_lua_push_json(L, member);
                lua_setfield(L, -2, member->string);
            }
        }
        if (array && n == 0)
            mw_lua_mark_array(L);
    } else if (cJSON_IsString(value)) {
        lua_pushstring(L, value->valuestring);
    } else if (cJSON_IsNumber(value)) {
        push_number(L, value->valuedouble);
    } else if (cJSON_IsBool(value)) {
        lua_pushboolean(L, cJSON_IsTrue(value));
    } else {
        mw_lua_push_null(L);
    }
}

/* ---- Lua to JSON ---- */

static int to_json(struct conversion *c, int index, int depth, cJSON **ret);

static int out_of_memory(struct conversion *c)
{
    return mw_error_set(c->err, -ENOMEM, "out of memory");
}

static bool is_marked(lua_State *L, int index)
{
    bool r = false;

    if (lua_getmetatable(L, index)) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &mw_lua_key_array);
        r = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
    }
    return r;
}

static int text_of(struct conversion *c, int index, const char **ret)
{
    size_t len;
    const char *s = lua_tolstring(c->L, index, &len); /* is a string: allocates nothing */

    c->bytes += len;
    if (c->bytes > MAX_BYTES)
        return mw_error_set(c->err, -EINVAL, "the value is too big for JSON");
    if (strlen(s) != len || !mw_utf8_valid(s, len))
        return mw_error_set(c->err, -EINVAL, "a text is not UTF-8, or has a NUL in it");
    *ret = s;
    return 0;
}

static int array_to_json(struct conversion *c, int index, lua_Integer n, int depth, cJSON **ret)
{
    MW_AUTOJSON *array = cJSON_CreateArray();

    if (!array)
        return out_of_memory(c);
    for (lua_Integer i = 1; i <= n; i++) {
        cJSON *member = NULL;
        int r;

        lua_rawgeti(c->L, index, i);
        r = to_json(c, lua_gettop(c->L), depth, &member);
        lua_pop(c->L, 1);
        if (r < 0)
            return r;
        if (mw_json_push(array, member))
            return out_of_memory(c);
    }
    *ret = take_ptr(array);
    return 0;
}

static int member_to_json(struct conversion *c, cJSON *object, int depth)
{
    int top = lua_gettop(c->L), r;
    const char *key = NULL;
    char number[32];
    cJSON *member = NULL;

    if (lua_type(c->L, top - 1) == LUA_TSTRING) {
        r = text_of(c, top - 1, &key);
        if (r < 0)
            return r;
    } else if (lua_isinteger(c->L, top - 1)) {
        snprintf(number, sizeof(number), "%lld", (long long)lua_tointeger(c->L, top - 1));
        key = number;
    } else {
        return mw_error_set(c->err, -EINVAL, "a key of a table is a %s, which JSON has not",
                            luaL_typename(c->L, top - 1));
    }
    r = to_json(c, top, depth, &member);
    if (r < 0)
        return r;
    return mw_json_add(object, key, member) ? out_of_memory(c) : 0;
}

static int object_to_json(struct conversion *c, int index, int depth, cJSON **ret)
{
    MW_AUTOJSON *object = cJSON_CreateObject();

    if (!object)
        return out_of_memory(c);
    lua_pushnil(c->L);
    while (lua_next(c->L, index)) {
        int r = member_to_json(c, object, depth);

        if (r < 0) {
            lua_pop(c->L, 2);
            return r;
        }
        lua_pop(c->L, 1);
    }
    *ret = take_ptr(object);
    return 0;
}

/* An array has the keys 1 to n and no other. */
static bool is_array(lua_State *L, int index, lua_Integer *ret_n)
{
    lua_Integer n = (lua_Integer)lua_rawlen(L, index), count = 0;

    *ret_n = n;
    if (n == 0)
        return is_marked(L, index);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        if (++count > n) {
            lua_pop(L, 1);
            return false;
        }
    }
    return count == n;
}

static int table_to_json(struct conversion *c, int index, int depth, cJSON **ret)
{
    lua_Integer n;

    if (depth == MAX_DEPTH || !lua_checkstack(c->L, 8))
        return mw_error_set(c->err, -EINVAL, "tables are nested more than %d deep", MAX_DEPTH);
    return is_array(c->L, index, &n) ? array_to_json(c, index, n, depth + 1, ret)
                                     : object_to_json(c, index, depth + 1, ret);
}

static int to_json(struct conversion *c, int index, int depth, cJSON **ret)
{
    lua_State *L = c->L;
    const char *s = NULL;
    cJSON *item = NULL;
    int r;

    if (++c->values > MAX_VALUES)
        return mw_error_set(c->err, -EINVAL, "the value is too big for JSON");
    switch (lua_type(L, index)) {
    case LUA_TTABLE:
        return table_to_json(c, index, depth, ret);
    case LUA_TSTRING:
        r = text_of(c, index, &s);
        if (r < 0)
            return r;
        item = cJSON_CreateString(s);
        break;
    case LUA_TNUMBER:
        if (!isfinite((double)lua_tonumber(L, index)))
            return mw_error_set(c->err, -EINVAL, "a number is not finite, which JSON has not");
        item = cJSON_CreateNumber((double)lua_tonumber(L, index));
        break;
    case LUA_TBOOLEAN:
        item = cJSON_CreateBool(lua_toboolean(L, index));
        break;
    case LUA_TNIL:
        item = cJSON_CreateNull();
        break;
    default:
        if (!mw_lua_is_null(L, index))
            return mw_error_set(c->err, -EINVAL, "a %s cannot become JSON",
                                luaL_typename(L, index));
        item = cJSON_CreateNull();
    }
    if (!item)
        return out_of_memory(c);
    *ret = item;
    return 0;
}

int mw_lua_to_json(lua_State *L, int index, cJSON **ret, struct mw_error *err)
{
    struct conversion c = {.L = L, .err = err};

    if (!lua_checkstack(L, 8))
        return mw_error_set(err, -ENOMEM, "out of memory");
    return to_json(&c, lua_absindex(L, index), 0, ret);
}
