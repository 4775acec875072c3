#include <lauxlib.h>

#include "base/fuzz.h"
#include "base/lua.h"
#include "base/str.h"

struct input {
    const char *data;
    size_t len;
};

static int run(lua_State *L)
{
    const struct input *in = lua_touserdata(L, 1);
    cJSON *json = NULL;

    mw_lua_push_env(L);
    mw_lua_load(L, -1, "fuzz", in->data, in->len);
    lua_call(L, 0, 1);
    if (mw_lua_to_json(L, -1, &json, NULL) == 0)
        cJSON_Delete(json);
    return 0;
}

/* Any script at all: it must end, within its memory, and the state must be good for the next. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mw_lua_limits limits = {
        .memory = (size_t)512 * 1024, .steps = 20000, .time_ms = 5000};
    struct input in = {.data = (const char *)data, .len = size}, good = {.data = "return 1"};
    struct mw_lua *lua = NULL;

    good.len = strlen(good.data);
    if (mw_lua_new(&limits, &lua, NULL))
        abort();
    mw_lua_call(lua, run, &in, NULL);
    if (mw_lua_memory(lua) > limits.memory || mw_lua_call(lua, run, &good, NULL))
        abort();
    mw_lua_free(lua);
    return 0;
}
