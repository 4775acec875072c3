/* http.get, http.post and http.request of a script: the coroutine waits, the daemon does not. */
#include <ctype.h>
#include <strings.h>

#include <lauxlib.h>

#include "base/str.h"
#include "handlers/lua_internal.h"
#include "handlers/web.h"
#include "io/url.h"

#define MAX_CALLS          20 /* of one turn */
#define MAX_BODY           ((size_t)1024 * 1024)
#define MAX_HEADERS        50 /* of a request */
#define DEFAULT_TIMEOUT_MS 30000

void gw_lua_response_deinit(struct gw_lua_response *r)
{
    mw_buf_deinit(&r->body);
    mw_buf_deinit(&r->headers);
    mw_error_reset(&r->err);
    *r = (struct gw_lua_response){0};
}

/* ---- The way there ---- */

/* What it points to lies on the Lua stack. */
struct request {
    const char *method, *url, *body, *type;
    size_t body_len;
    const char *headers[MAX_HEADERS + 1];
    size_t n_headers;
    int64_t timeout_ms;
};

static bool is_host(const struct mw_url *url, const char *item, int *error)
{
    MW_AUTOFREE char *text = mw_asprintf("http://%s", item);
    struct mw_url allowed = {0};
    bool same;

    *error = text ? mw_url_parse(text, 0, &allowed) : -ENOMEM;
    if (*error)
        return false;
    same = !strcasecmp(allowed.host, url->host) &&
           (allowed.port_given ? allowed.port == url->port : url->port == 80 || url->port == 443);
    mw_url_deinit(&allowed);
    return same;
}

/* Returns 0, or a negative errno with a sentence. */
static int check_host(const struct gw_handler_instance *in, const char *text, struct mw_error *err)
{
    const struct gw_strings *hosts = &in->host->config->http_hosts;
    struct mw_url url = {0};
    int r = mw_url_parse(text, 0, &url);
    bool allowed = false, tls = !r && !strcmp(url.scheme, "https");

    if (!r && !tls && strcmp(url.scheme, "http") != 0)
        r = -EINVAL;
    if (r) {
        mw_url_deinit(&url);
        return mw_error_set(err, r,
                            r == -ENOMEM ? "out of memory" : "not an http:// or https:// address");
    }
    if (!url.port_given)
        url.port = tls ? 443 : 80;
    for (size_t i = 0; i < hosts->n && !allowed && r != -ENOMEM; i++)
        allowed = is_host(&url, hosts->items[i], &r);
    if (!allowed && r == -ENOMEM)
        mw_error_set(err, r, "out of memory");
    else if (!allowed)
        r = mw_error_set(err, -EACCES,
                         "%s:%u is not among the hosts that this handler may reach (`http_hosts`)",
                         url.host, url.port);
    mw_url_deinit(&url);
    return allowed ? 0 : r;
}

static const char *check_method(lua_State *L, const char *method)
{
    static const char *const methods[] = {"GET",   "HEAD",   "POST",   "PUT",
                                          "PATCH", "DELETE", "OPTIONS"};

    for (size_t i = 0; i < MW_ARRAY_LEN(methods); i++) {
        if (mw_streq(methods[i], method))
            return methods[i];
    }
    luaL_error(L, "http knows no method \"%s\"", method);
    return NULL;
}

/* What frames the request, and where it goes, is not for scripts to say. */
static void check_header(lua_State *L, const char *name, const char *value)
{
    static const char *const refused[] = {"Host", "Content-Length", "Transfer-Encoding",
                                          "Connection", "Expect"};
    bool good = name[0] != '\0';

    for (const char *p = name; *p; p++)
        good &= isalnum((unsigned char)*p) || strchr("!#$%&'*+-.^_`|~", *p);
    if (!good)
        luaL_error(L, "the name of a header is not valid");
    for (const char *p = value; *p; p++)
        good &= (unsigned char)*p >= ' ' || *p == '\t';
    if (!good)
        luaL_error(L, "the header %s has a line break or control character in it", name);
    for (size_t i = 0; i < MW_ARRAY_LEN(refused); i++) {
        if (!strcasecmp(refused[i], name))
            luaL_error(L, "the header %s cannot be set", refused[i]);
    }
}

/* A member of the table at `index` (0 = no table); what it pushes stays. */
static int get_member(lua_State *L, int index, const char *name)
{
    if (index)
        return lua_getfield(L, index, name);
    lua_pushnil(L);
    return LUA_TNIL;
}

static void take_headers(lua_State *L, int options, struct request *req)
{
    int type = get_member(L, options, "headers"), table = lua_gettop(L);

    if (type == LUA_TNIL)
        return;
    if (type != LUA_TTABLE)
        luaL_error(L, "headers must be a table");
    luaL_checkstack(L, MAX_HEADERS + 10, "too many headers");
    lua_pushnil(L);
    while (lua_next(L, table)) {
        const char *name, *value;

        if (lua_type(L, -2) != LUA_TSTRING ||
            (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER))
            luaL_error(L, "headers must be texts under texts");
        if (req->n_headers == MAX_HEADERS)
            luaL_error(L, "a request may have %d headers at most", MAX_HEADERS);
        name = lua_tostring(L, -2);
        value = lua_tostring(L, -1);
        check_header(L, name, value);
        if (!strcasecmp(name, "Content-Type")) {
            req->type = lua_pushstring(L, value);
        } else {
            /* curl takes a header without a value for one that is not to be sent. */
            req->headers[req->n_headers++] =
                lua_pushfstring(L, value[0] ? "%s: %s" : "%s;", name, value);
        }
        lua_insert(L, -3); /* it stays; the key goes back to the top */
        lua_pop(L, 1);
    }
}

static void take_body(lua_State *L, int index, struct request *req)
{
    switch (lua_type(L, index)) {
    case LUA_TNONE:
    case LUA_TNIL:
        return;
    case LUA_TTABLE:
        req->body = gw_lua_encode(L, index);
        req->body_len = strlen(req->body);
        if (!req->type)
            req->type = "application/json";
        return;
    case LUA_TSTRING:
        req->body = lua_tolstring(L, index, &req->body_len);
        if (!req->type)
            req->type = "text/plain; charset=utf-8";
        return;
    default:
        luaL_error(L, "the body must be a text, or a table, which is sent as JSON");
    }
}

static void take_timeout(lua_State *L, int options, const struct gw_turn *turn, struct request *req)
{
    int64_t most = gw_web_timeout(turn);

    req->timeout_ms = DEFAULT_TIMEOUT_MS;
    if (get_member(L, options, "timeout") != LUA_TNIL) {
        lua_Number s = lua_tonumber(L, -1);

        if (!(s > 0))
            luaL_error(L, "timeout must be a number of seconds");
        req->timeout_ms = s * 1000 < (lua_Number)most ? (int64_t)(s * 1000) : most;
    }
    req->timeout_ms = MW_MAX(MW_MIN(req->timeout_ms, most), 1);
}

/* ---- The way back ---- */

static int keep_headers(const struct mw_http_response *r, struct mw_buf *b)
{
    const char *name, *value;

    for (size_t at = 0; r->next_header(r, &at, &name, &value);) {
        for (const char *p = name; *p; p++)
            mw_buf_putc(b, (char)tolower((unsigned char)*p));
        mw_buf_putc(b, '\0');
        mw_buf_append(b, value, strlen(value) + 1);
    }
    return mw_buf_error(b);
}

static void on_response(const struct mw_http_response *r, void *userdata)
{
    struct gw_handler_run *run = userdata;
    struct gw_lua_response *to = &run->response;

    run->call = NULL;
    if (r->error) {
        mw_error_set(&to->err, r->error, "%s", mw_error_text(&r->err));
    } else if (keep_headers(r, &to->headers) ||
               mw_buf_append(&to->body, r->body.data, r->body.len)) {
        mw_error_set(&to->err, -ENOMEM, "out of memory");
    }
    to->status = r->status;
    mw_timer_start(run->timer, 0);
}

static void push_headers(lua_State *L, const struct mw_buf *b)
{
    const char *end = b->data + b->len;

    lua_newtable(L);
    for (const char *name = b->data; name && name < end;) {
        const char *value = name + strlen(name) + 1;

        if (lua_getfield(L, -1, name) == LUA_TSTRING)
            lua_pushfstring(L, "%s, %s", lua_tostring(L, -1), value);
        else
            lua_pushstring(L, value);
        lua_setfield(L, -3, name);
        lua_pop(L, 1);
        name = value + strlen(value) + 1;
    }
}

static int fail(lua_State *L, struct mw_error *err)
{
    lua_pushnil(L);
    lua_pushstring(L, mw_error_text(err));
    return 2;
}

/* The coroutine goes on. */
static int after_wait(lua_State *L, int status, lua_KContext ctx)
{
    const struct gw_lua_response *r = &gw_lua_run(L)->response;

    if (mw_error_is_set(&r->err))
        return fail(L, (struct mw_error *)&r->err);
    mw_lua_charge(L, (int64_t)((r->body.len + r->headers.len) / 16));
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, r->status);
    lua_setfield(L, -2, "status");
    lua_pushlstring(L, r->body.len ? r->body.data : "", r->body.len);
    lua_setfield(L, -2, "body");
    push_headers(L, &r->headers);
    lua_setfield(L, -2, "headers");
    return 1;
}

static int send_request(lua_State *L, const struct request *req)
{
    struct gw_handler_run *run = gw_lua_run(L);
    struct gw_handler_instance *in = run->in;
    const struct mw_http_request call = {
        .method = req->method,
        .url = req->url,
        .headers = req->headers,
        .body = req->body,
        .body_len = req->body_len,
        .content_type = req->type,
        .max_body = MAX_BODY,
        .timeout_ms = req->timeout_ms,
        .cb = on_response,
        .userdata = run,
    };
    struct mw_error *err = &run->response.err;

    if (!lua_isyieldable(L))
        return luaL_error(L, "http cannot wait inside of a function that another function of the "
                             "library calls");
    if (run->calls++ >= MAX_CALLS)
        return luaL_error(L, "a turn may make %d requests at most", MAX_CALLS);
    gw_lua_response_deinit(&run->response);
    if (check_host(in, req->url, err) || mw_http_start(in->http, &call, &run->call, err))
        return fail(L, err);
    in->requests++;
    return lua_yieldk(L, 0, 0, after_wait);
}

/* method, url at 1, options at 2 */
static int api_get(lua_State *L)
{
    struct request req = {.method = "GET", .url = luaL_checkstring(L, 1)};
    int options = lua_isnoneornil(L, 2) ? 0 : 2;

    if (options)
        luaL_checktype(L, options, LUA_TTABLE);
    take_headers(L, options, &req);
    take_timeout(L, options, &gw_lua_run(L)->turn, &req);
    return send_request(L, &req);
}

static int api_post(lua_State *L)
{
    struct request req = {.method = "POST", .url = luaL_checkstring(L, 1)};
    int options = lua_isnoneornil(L, 3) ? 0 : 3;

    if (options)
        luaL_checktype(L, options, LUA_TTABLE);
    luaL_checkany(L, 2);
    take_headers(L, options, &req);
    take_body(L, 2, &req);
    take_timeout(L, options, &gw_lua_run(L)->turn, &req);
    return send_request(L, &req);
}

static int api_request(lua_State *L)
{
    struct request req = {0};

    luaL_checktype(L, 1, LUA_TTABLE);
    if (lua_getfield(L, 1, "url") != LUA_TSTRING)
        return luaL_error(L, "http.request needs a url");
    req.url = lua_tostring(L, -1);
    lua_getfield(L, 1, "method");
    req.method = check_method(L, luaL_optstring(L, -1, "GET"));
    take_headers(L, 1, &req);
    lua_getfield(L, 1, "body");
    take_body(L, lua_gettop(L), &req);
    take_timeout(L, 1, &gw_lua_run(L)->turn, &req);
    return send_request(L, &req);
}

void gw_lua_push_http(lua_State *L)
{
    static const luaL_Reg http[] = {
        {"get", api_get}, {"post", api_post}, {"request", api_request}, {NULL, NULL}};

    luaL_newlib(L, http);
    mw_lua_lock(L);
}
