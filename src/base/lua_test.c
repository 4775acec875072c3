#include "base/lua.h"

#include <lauxlib.h>
#include <lualib.h>

#include "base/buf.h"
#include "base/str.h"
#include "base/test.h"

static const struct mw_lua_limits small = {
    .memory = 1024 * 1024, .steps = 100000, .time_ms = 20000};

struct job {
    const char *script;
    char result[256];
};

/* Runs the script; what it returns becomes text. */
static int run_script(lua_State *L)
{
    struct job *job = lua_touserdata(L, 1);

    mw_lua_push_env(L);
    mw_lua_load(L, -1, "test", job->script, strlen(job->script));
    lua_call(L, 0, 1);
    luaL_tolstring(L, -1, NULL);
    snprintf(job->result, sizeof(job->result), "%s", lua_tostring(L, -1));
    return 0;
}

struct row {
    const char *script;
    int outcome;
    const char *text; /* what is returned, or what is in the sentence */
};

static void check_rows(const struct row *rows, size_t n)
{
    struct mw_lua *lua = NULL;

    assert_int_equal(mw_lua_new(&small, &lua, NULL), 0);
    for (size_t i = 0; i < n; i++) {
        MW_AUTOERROR err = MW_ERROR_INIT;
        struct job job = {.script = rows[i].script};
        int r = mw_lua_call(lua, run_script, &job, &err);

        if (r != rows[i].outcome)
            print_error("%s: %d %s\n", rows[i].script, r, mw_error_text(&err));
        assert_int_equal(r, rows[i].outcome);
        if (r == 0)
            assert_string_equal(job.result, rows[i].text);
        else if (!strstr(mw_error_text(&err), rows[i].text))
            fail_msg("%s: %s", rows[i].script, mw_error_text(&err));
    }
    mw_lua_free(lua);
}

static void test_library(void **state)
{
    static const struct row rows[] = {
        {"return 1 + 1", 0, "2"},
        {"return ('Deploy web'):lower():match('^deploy (%w+)')", 0, "web"},
        {"return string.format('%d-%s', 7, 'x')", 0, "7-x"},
        {"return ('ab'):rep(3, ',')", 0, "ab,ab,ab"},
        {"return (''):rep(1e15) .. #('x'):rep(0)", 0, "0"},
        {"local t = {3, 1, 2} table.sort(t) return table.concat(t, ' ')", 0, "1 2 3"},
        {"local t = {1, 2} table.insert(t, 1, 0) table.remove(t) return #t .. t[1]", 0, "20"},
        {"return table.unpack(table.move({1, 2, 3}, 2, 3, 1))", 0, "2"},
        {"return utf8.len('\xc3\xa9t\xc3\xa9') .. math.floor(2.5)", 0, "32"},
        {"x = 1 return x + (y or 1)", 0, "2"},
        {"local n = 0 for w in ('a b c'):gmatch('%a') do n = n + 1 end return n", 0, "3"},
        {"return (('hello'):gsub('l', {l = 'L'}))", 0, "heLLo"},
        {"return (('hello'):gsub('(h)(e)', '%2%1'))", 0, "ehllo"},
        {"return (('abc'):gsub('%w', function(c) return c .. c end))", 0, "aabbcc"},
        {"return select(2, pcall(error, 'x'))", 0, "x"},
        {"return setmetatable({}, {__index = function(_, k) return k end}).name", 0, "name"},
        {"return getmetatable('').__index", MW_LUA_ERROR, "index a boolean"},
        {"return tostring(pcall(function() local t <close> = setmetatable({}, {__close = "
         "function() end}) end))",
         0, "true"},
    };
    check_rows(rows, MW_ARRAY_LEN(rows));
}

static void test_escapes(void **state)
{
    static const struct row rows[] = {
        {"return load", 0, "nil"},
        {"return loadstring or loadfile or dofile or require or collectgarbage or print", 0, "nil"},
        {"return io or os or debug or package or coroutine or xpcall or rawset or _G or warn", 0,
         "nil"},
        {"return string.dump or string.pack or string.unpack or math.randomseed", 0, "nil"},
        {"string.match = nil", MW_LUA_ERROR, "test:1: this table cannot be changed"},
        {"string.more = 1", MW_LUA_ERROR, "cannot be changed"},
        {"setmetatable(string, {})", MW_LUA_ERROR, "cannot be changed"},
        {"setmetatable(_ENV, nil)", MW_LUA_ERROR, "cannot be changed"},
        {"return getmetatable(_ENV)", 0, "false"},
        {"return getmetatable(string)", 0, "false"},
        {"setmetatable({}, {__gc = function() end})", MW_LUA_ERROR, "__gc"},
        {"local m = {} local t = setmetatable({}, m) m.__gc = function() error('ran') end t = nil "
         "for i = 1, 2000 do local _ = {} end return 'fine'",
         0, "fine"},
        /* A name that the script gave itself does not change what the next one sees. */
        {"assert = nil type = nil", 0, "nil"},
        {"return type(assert)", 0, "function"},
        {"\x1bLua", MW_LUA_ERROR, "binary chunk"},
        {"error({})", MW_LUA_ERROR, "no text but a table"},
        {"error(7)", MW_LUA_ERROR, "error 7"},
        {"error('a\\nb\\255c')", MW_LUA_ERROR, "test:1: a b?c"},
        {"error(nil)", MW_LUA_ERROR, "nil"},
        {"x = = 1", MW_LUA_ERROR, "test:1: unexpected symbol near '='"},
        {"\n\nlocal t = nil\nreturn t.x", MW_LUA_ERROR, "test:4: attempt to index a nil value"},
        {"return ('x'):match('(')", MW_LUA_ERROR, "no ) behind it"},
        {"return ('x'):match('%')", MW_LUA_ERROR, "single %"},
        {"return ('x'):match('[a')", MW_LUA_ERROR, "no ]"},
        {"return ('x'):match('%1')", MW_LUA_ERROR, "capture"},
        {"return ('x'):gsub('x', '%2')", MW_LUA_ERROR, "capture"},
    };
    check_rows(rows, MW_ARRAY_LEN(rows));
}

static void test_endless(void **state)
{
    static const struct row rows[] = {
        {"while true do end", MW_LUA_LIMIT, "test:1: it ran for more than 100000 instructions"},
        {"while true do pcall(function() while true do end end) end", MW_LUA_LIMIT,
         "100000 instructions"},
        {"local function f() pcall(f) f() end f()", MW_LUA_LIMIT, "instructions"},
        {"local t <close> = setmetatable({}, {__close = function() while true do end end}) while "
         "true do end",
         MW_LUA_LIMIT, "instructions"},
        {"setmetatable({}, {__index = function(t, k) return t[k + 1] end})[1] = nil return "
         "setmetatable({}, {__index = function(t, k) return t[k + 1] end})[1]",
         MW_LUA_ERROR, "overflow"},
        {"local function f() return 1 + f() end return f()", MW_LUA_MEMORY, "1024 KiB of memory"},
        {"local function f() return f() end return f()", MW_LUA_LIMIT, "instructions"},
        {"local s = 'x' while true do s = s .. s end", MW_LUA_MEMORY, "memory"},
        {"local t = {} for i = 1, 1e9 do t[i] = {} end", MW_LUA_MEMORY, "memory"},
        {"local s = ('x'):rep(100000) while true do local _ = s .. 'y' end", MW_LUA_LIMIT,
         "instructions"},
        {"return ('x'):rep(1e9)", MW_LUA_ERROR, "limit of memory"},
        {"return ('x'):rep(1 << 62, 'yy')", MW_LUA_ERROR, "limit of memory"},
        {"return table.move({}, 1, 1 << 62, 2)", MW_LUA_ERROR, "too many"},
        {"return table.move({}, 1, 2000000000, 2)", MW_LUA_LIMIT, "instructions"},
        {"return table.insert(setmetatable({}, {__len = function() return 1 << 60 end}), 1, 1)",
         MW_LUA_ERROR, "__len"},
        {"return table.unpack({}, 1, 1e8)", MW_LUA_ERROR, "too many results"},
        {"return table.concat({}, '', 1, 1e9)", MW_LUA_ERROR, "nil"},
        {"local t = {} for i = 1, 5000 do t[i] = i end while true do table.insert(t, 1, 0) "
         "table.remove(t, 1) end",
         MW_LUA_LIMIT, "instructions"},
        /* Each of these takes hours with Lua's own functions. */
        {"return ('a'):rep(5000):match('.-.-.-.-.-b')", MW_LUA_LIMIT, "instructions"},
        {"return ('a'):rep(5000):find('a*a*a*a*a*b')", MW_LUA_LIMIT, "instructions"},
        {"return ('a'):rep(50000):gsub('.-.-.-b', '')", MW_LUA_LIMIT, "instructions"},
        {"return ('('):rep(50000):find('%b()')", MW_LUA_LIMIT, "instructions"},
        {"for x in ('a'):rep(5000):gmatch('.-.-.-b') do end", MW_LUA_LIMIT, "instructions"},
        {"return ('a'):rep(200000):find(('a'):rep(100000) .. 'b', 1, true)", 0, "nil"},
        {"return ('a'):rep(16000):match('^a*b')", 0, "nil"},
        {"return ('x'):find(('a?'):rep(249) .. 'b')", 0, "nil"},
        {"return ('x'):find(('a'):rep(501) .. '.')", MW_LUA_ERROR, "500 bytes"},
        {"return #('x'):rep(50000):gsub('.', '%0%0')", 0, "100000"},
        {"return 'still alive'", 0, "still alive"},
    };
    check_rows(rows, MW_ARRAY_LEN(rows));
}

/* Time is the last resort. */
static void test_time(void **state)
{
    static const struct mw_lua_limits limits = {
        .memory = 1024 * 1024, .steps = INT64_C(1) << 60, .time_ms = 20};
    struct mw_lua *lua = NULL;
    MW_AUTOERROR err = MW_ERROR_INIT, again = MW_ERROR_INIT;
    struct job job = {.script = "while true do pcall(function() while true do end end) end"};

    assert_int_equal(mw_lua_new(&limits, &lua, NULL), 0);
    assert_int_equal(mw_lua_call(lua, run_script, &job, &err), MW_LUA_LIMIT);
    assert_string_equal(mw_error_text(&err), "test:1: it ran for more than 20 ms");
    job.script = "return ('a'):rep(100000):find('.-.-.-.-b')";
    assert_int_equal(mw_lua_call(lua, run_script, &job, &again), MW_LUA_LIMIT);
    mw_lua_free(lua);
}

/* ---- The matcher against Lua's own ---- */

static void compare(lua_State *own, struct mw_lua *lua, const char *call)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct job job = {.script = call};
    int r = mw_lua_call(lua, run_script, &job, &err);

    if (luaL_dostring(own, call) != LUA_OK) {
        assert_int_equal(r, MW_LUA_ERROR);
    } else if (r || strcmp(job.result, lua_tostring(own, -1)) != 0) {
        fail_msg("%s\nours: %s\nLua's: %s", call, r ? mw_error_text(&err) : job.result,
                 lua_tostring(own, -1));
    }
    lua_settop(own, 0);
}

static void test_same_as_lua(void **state)
{
    static const char *const patterns[] = {
        "",         "a",         "^a",           "a$",      "^$",       "$",           "b+",
        ".-b",      "(a*)(b-)c", "()b()",        "%a+",     "%A",       "[a-c]+",      "[^a-c]",
        "[]]",      "[^]]+",     "[%]x]",        "[a-]",    "[%a-z]",   "%b()",        "%bxy",
        "%f[%w]%w", "%f[%W]",    "(a)%1",        "(.).-%1", "a?b?c?",   "%s*(%S+)",    "((a)(b))",
        "^(.-)%s*", "%d+%.?%d*", "[0-9a-fA-F]+", "x-$",     "%$",       "^^a",         "a-",
        "(()a())",  "[%w_]+",    "%.",           ".",       "(.*)(%d)", "(%w+)=(%w+)", "%g+%c*",
        "%u%l",     "%p",        "%x%X",         "[^%s]+",  "a.c",      "\xc3\xa9",    "(b)(%1)",
    };
    static const char *const subjects[] = {
        "",
        "a",
        "abc",
        "aabbcc",
        "hello world from lua",
        "(a(b)c)",
        "x1.5 y",
        "[]-]",
        "key=value, k2=v2",
        "  padded  ",
        "AbC dEf",
        "^a$",
        "xaybxy",
        "THE (quick) fox",
        "12 3456",
        "\xc3\xa9t\xc3\xa9",
        "aXbXc\tz\n",
    };
    static const char *const calls[] = {
        "return table.concat({tostring(%s:find(%s)), (select('#', %s:find(%s)))}, ' ')",
        "local t = table.pack(%s:match(%s)) for i = 1, t.n do t[i] = tostring(t[i]) end return "
        "table.concat(t, '|')",
        "local r = '' for a, b in %s:gmatch(%s) do r = r .. '[' .. tostring(a) .. ',' .. "
        "tostring(b) .. ']' end return r",
        "local s, n = %s:gsub(%s, '<%%0>') return s .. n",
        "local s, n = %s:gsub(%s, function(a, b) return b end, 2) return s .. n",
        "return tostring((%s:find(%s, 3)))",
        "return tostring((%s:match(%s, -2)))",
    };
    struct mw_lua *lua = NULL;
    lua_State *own = luaL_newstate();
    unsigned n = 0;

    assert_non_null(own);
    luaL_openlibs(own);
    assert_int_equal(mw_lua_new(&small, &lua, NULL), 0);
    for (size_t p = 0; p < MW_ARRAY_LEN(patterns); p++) {
        for (size_t s = 0; s < MW_ARRAY_LEN(subjects); s++) {
            for (size_t c = 0; c < MW_ARRAY_LEN(calls); c++) {
                MW_AUTOFREE char *subject = mw_asprintf("([[%s]])", subjects[s]);
                MW_AUTOFREE char *pattern = mw_asprintf("[=[%s]=]", patterns[p]);
                MW_AUTOBUF call = {0};
                bool first = true;

                for (const char *t = calls[c]; *t; t++) {
                    if (t[0] == '%' && t[1] == 's') {
                        mw_buf_puts(&call, first ? subject : pattern);
                        first = !first;
                        t++;
                    } else if (t[0] == '%' && t[1] == '%') {
                        mw_buf_putc(&call, *t++);
                    } else {
                        mw_buf_putc(&call, *t);
                    }
                }
                compare(own, lua, mw_buf_str(&call));
                n++;
            }
        }
    }
    assert_true(n > 5000);
    mw_lua_free(lua);
    lua_close(own);
}

/* ---- JSON ---- */

struct json_job {
    const cJSON *in;
    const char *script;
    cJSON *out;
    int r;
    struct mw_error err;
};

static int run_json(lua_State *L)
{
    struct json_job *job = lua_touserdata(L, 1);

    mw_lua_push_env(L);
    if (job->in) {
        mw_lua_push_json(L, job->in);
        lua_setfield(L, -2, "v");
    }
    mw_lua_push_null(L);
    lua_setfield(L, -2, "null");
    mw_lua_load(L, -1, "test", job->script, strlen(job->script));
    lua_call(L, 0, 1);
    job->r = mw_lua_to_json(L, -1, &job->out, &job->err);
    if (lua_gettop(L) != 3)
        return luaL_error(L, "the stack is not as it was");
    return 0;
}

static void test_json(void **state)
{
    static const struct {
        const char *in, *script, *out;
    } rows[] = {
        {"{\"a\":[1,2.5,\"x\",true,null],\"b\":{}}", "return v",
         "{\"a\":[1,2.5,\"x\",true,null],\"b\":{}}"},
        {"[]", "return v", "[]"},
        {"{\"a\":null}", "return v.a == nil", "true"},
        {"[null]", "return v[1] == null", "true"},
        {"null", "return {v, 1}", "[null,1]"},
        {"1", "return {}", "{}"},
        {"1", "return {1, 2, x = 3}", NULL},
        {"1", "return {[3] = 1}", "{\"3\":1}"},
        {"1", "return {[1.5] = 1}", NULL},
        {"1", "return print", "null"},
        {"1", "return type", NULL},
        {"1", "return 0/0", NULL},
        {"1", "return '\\255'", NULL},
        {"1", "return 'a\\0b'", NULL},
        {"1", "local t = {} t[1] = t return t", NULL},
        {"1", "local t = {1} for i = 1, 60 do t = {t, t} end return t", NULL},
        {"1700000000123", "return v // 1000", "1700000000"},
    };
    struct mw_lua *lua = NULL;

    assert_int_equal(mw_lua_new(&small, &lua, NULL), 0);
    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        MW_AUTOJSON *in = NULL;
        MW_AUTOERROR err = MW_ERROR_INIT;
        MW_AUTOJSON *wanted = NULL;
        struct json_job job = {.script = rows[i].script};

        assert_int_equal(mw_json_parse(rows[i].in, strlen(rows[i].in), &in, NULL), 0);
        job.in = in;
        if (mw_lua_call(lua, run_json, &job, &err))
            fail_msg("%s: %s", rows[i].script, mw_error_text(&err));
        if (rows[i].out) {
            assert_int_equal(job.r, 0);
            wanted = cJSON_Parse(rows[i].out);
            assert_true(cJSON_Compare(job.out, wanted, true));
        } else if (i != 6) { /* a mixed table is an object */
            assert_int_equal(job.r, -EINVAL);
        }
        cJSON_Delete(job.out);
        mw_error_reset(&job.err);
    }
    mw_lua_free(lua);
}

/* ---- Coroutines and boxes ---- */

static int wait_here(lua_State *L)
{
    return lua_yield(L, lua_gettop(L));
}

static int make_thread(lua_State *L)
{
    lua_State **co = lua_touserdata(L, 1);
    static const char script[] =
        "local a = wait('one') local ok, b = pcall(wait, 'two') if b == 'loop' then while true do "
        "end end return a .. b";

    *co = lua_newthread(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, co);
    mw_lua_push_env(L);
    lua_pushcfunction(L, wait_here);
    lua_setfield(L, -2, "wait");
    mw_lua_load(L, -1, "test", script, strlen(script));
    lua_xmove(L, *co, 1);
    return 0;
}

static void test_coroutine(void **state)
{
    struct mw_lua *lua = NULL;

    assert_int_equal(mw_lua_new(&small, &lua, NULL), 0);
    for (int loop = 0; loop < 2; loop++) {
        MW_AUTOERROR err = MW_ERROR_INIT;
        lua_State *co = NULL;
        struct mw_lua_left left = mw_lua_full(lua);
        int n = 0;

        assert_int_equal(mw_lua_call(lua, make_thread, &co, &err), 0);
        assert_int_equal(mw_lua_resume(lua, co, 0, &left, &n, &err), MW_LUA_YIELD);
        assert_int_equal(n, 1);
        assert_string_equal(lua_tostring(co, -1), "one");
        lua_pop(co, n);
        lua_pushliteral(co, "x");
        assert_int_equal(mw_lua_resume(lua, co, 1, &left, &n, &err), MW_LUA_YIELD);
        lua_pop(co, n);
        lua_pushstring(co, loop ? "loop" : "y");
        assert_int_equal(mw_lua_resume(lua, co, 1, &left, &n, &err), loop ? MW_LUA_LIMIT : 0);
        if (!loop)
            assert_string_equal(lua_tostring(co, -1), "xy");
    }
    mw_lua_free(lua);
}

/* A coroutine of this script, whose globals are the library and wait(). */
struct thread {
    const char *script;
    lua_State *co;
};

static int start_thread(lua_State *L)
{
    struct thread *t = lua_touserdata(L, 1);

    t->co = lua_newthread(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, t);
    mw_lua_push_env(L);
    mw_lua_load(L, -1, "test", t->script, strlen(t->script));
    lua_xmove(L, t->co, 1);
    return 0;
}

/* Two coroutines take turns; the limits of each hold for all its slices together. */
static void test_slices(void **state)
{
    static const struct mw_lua_limits limits = {
        .memory = 1 << 20, .steps = INT64_C(4000000), .time_ms = 60000, .slice_ms = 1};
    static const struct {
        const char *script;
        int end;
        const char *text; /* what it returns, or a part of the sentence */
        bool whole;       /* it cannot be left */
    } rows[] = {
        {"local n = 0 for i = 1, 1e6 do n = n + i end return n .. ''", 0, "500000500000", false},
        {"while true do end", MW_LUA_LIMIT, "it ran for more than 4000000 instructions", false},
        {"while true do pcall(function() while true do end end) end", MW_LUA_LIMIT,
         "it ran for more than 4000000 instructions", false},
        {"local ok, e = pcall(function() for i = 1, 1e6 do end error('x', 0) end) return e", 0, "x",
         false},
        {"local t = setmetatable({}, {__index = function() for i = 1, 1e6 do end return 'm' end}) "
         "return t.x .. t.y",
         0, "mm", false},
        {"return (('x'):gsub('x', function() for i = 1, 1e6 do end return 'g' end))", 0, "g", true},
        {"return (('x'):gsub('x', function() while true do end end))", MW_LUA_LIMIT,
         "it ran for more than", true},
    };
    struct mw_lua *lua = NULL;

    assert_int_equal(mw_lua_new(&limits, &lua, NULL), 0);
    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        struct thread t[2] = {{.script = rows[i].script}, {.script = rows[i].script}};
        struct mw_lua_left left[2] = {mw_lua_full(lua), mw_lua_full(lua)};
        bool over[2] = {false, false};
        int slices = 0, n;

        assert_int_equal(mw_lua_call(lua, start_thread, &t[0], NULL), 0);
        assert_int_equal(mw_lua_call(lua, start_thread, &t[1], NULL), 0);
        for (int k = 0; !over[0] || !over[1]; k = !k) {
            MW_AUTOERROR err = MW_ERROR_INIT;
            int r = over[k] ? MW_LUA_SLICE : mw_lua_resume(lua, t[k].co, 0, &left[k], &n, &err);

            if (r == MW_LUA_SLICE) {
                slices++;
                continue;
            }
            over[k] = true;
            if (r != rows[i].end)
                fail_msg("%s: %d %s", rows[i].script, r, r ? mw_error_text(&err) : "");
            assert_non_null(
                strstr(r ? mw_error_text(&err) : lua_tostring(t[k].co, -1), rows[i].text));
        }
        /* A million instructions take longer than one slice on any machine. */
        if (!rows[i].whole)
            assert_true(slices > 1);
    }
    mw_lua_free(lua);
}

static int freed;

static void count_free(void *value)
{
    freed++;
    free(value);
}

static int use_box(lua_State *L)
{
    *mw_lua_box(L, count_free) = strdup("held");
    mw_lua_box(L, count_free);
    return luaL_error(L, "no");
}

static void test_box(void **state)
{
    struct mw_lua *lua = NULL;

    assert_int_equal(mw_lua_new(&small, &lua, NULL), 0);
    assert_int_equal(mw_lua_call(lua, use_box, NULL, NULL), MW_LUA_ERROR);
    assert_true(mw_lua_memory(lua) > 1000);
    mw_lua_free(lua);
    assert_int_equal(freed, 1);
    assert_int_equal(
        mw_lua_new(&(struct mw_lua_limits){.memory = 9000, .steps = 1, .time_ms = 1}, &lua, NULL),
        MW_LUA_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_library),     cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_endless),     cmocka_unit_test(test_time),
        cmocka_unit_test(test_same_as_lua), cmocka_unit_test(test_json),
        cmocka_unit_test(test_coroutine),   cmocka_unit_test(test_slices),
        cmocka_unit_test(test_box),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
