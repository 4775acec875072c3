#include "sandbox/control_http.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "sandbox/rest.h"

int sb_ctl_reply(struct sb_ctl *x, int status)
{
    if (mw_buf_error(&x->out))
        return mw_buf_error(&x->out);
    mw_buf_putc(&x->out, '\n');
    mw_httpd_respond(x->http, status, NULL, mw_buf_str(&x->out), x->out.len);
    return 0;
}

int sb_ctl_fail(struct sb_ctl *x, int status, const char *fmt, ...)
{
    MW_AUTOBUF text = {0};
    va_list ap;

    va_start(ap, fmt);
    mw_buf_vprintf(&text, fmt, ap);
    va_end(ap);
    mw_buf_clear(&x->out);
    mw_buf_putc(&x->out, '{');
    sb_put_str(&x->out, "error", mw_buf_str(&text));
    mw_buf_putc(&x->out, '}');
    return sb_ctl_reply(x, status);
}

static int reply_count(struct sb_ctl *x, const char *what, size_t n)
{
    mw_buf_printf(&x->out, "{\"%s\":%zu}", what, n);
    return sb_ctl_reply(x, 200);
}

struct sb_user *sb_ctl_user(struct sb_ctl *x, const char *name)
{
    struct sb_user *u = sb_user_by_name(&x->sv->state, name);

    if (!u)
        u = sb_user_by_id(&x->sv->state, name);
    if (!u)
        sb_ctl_fail(x, 404, "there is no user '%s'", name);
    return u;
}

/* --- sockets -----------------------------------------------------------------------------------
 */

struct socket_order {
    int64_t at, count;
};

static bool act_drop(struct sb_conn *c, const struct socket_order *o)
{
    if (!c->ws)
        return false;
    sb_conn_drop(c, false);
    return true;
}

static bool act_reset(struct sb_conn *c, const struct socket_order *o)
{
    if (!c->ws)
        return false;
    sb_conn_drop(c, true);
    return true;
}

static bool act_close(struct sb_conn *c, const struct socket_order *o)
{
    if (!c->ws)
        return false;
    mw_ws_close(c->ws, (int)(o->at ? o->at : 1000));
    return true;
}

static bool act_freeze(struct sb_conn *c, const struct socket_order *o)
{
    sb_conn_freeze(c, true);
    return c->ws != NULL;
}

static bool act_thaw(struct sb_conn *c, const struct socket_order *o)
{
    sb_conn_freeze(c, false);
    return c->ws != NULL;
}

static bool act_forget(struct sb_conn *c, const struct socket_order *o)
{
    if (c->ws)
        return false;
    sb_conn_free(c);
    return true;
}

static bool act_lose(struct sb_conn *c, const struct socket_order *o)
{
    sb_conn_free(c);
    return true;
}

static bool act_skip(struct sb_conn *c, const struct socket_order *o)
{
    c->seq += o->count;
    return true;
}

static bool act_hello(struct sb_conn *c, const struct socket_order *o)
{
    return c->user && sb_conn_hello(c, true) == 0;
}

static bool act_cut(struct sb_conn *c, const struct socket_order *o)
{
    c->cut_at = o->at;
    return c->ws != NULL;
}

static const struct {
    const char *name;
    bool (*run)(struct sb_conn *c, const struct socket_order *o);
} socket_actions[] = {
    {"drop", act_drop},   {"reset", act_reset},   {"close", act_close}, {"freeze", act_freeze},
    {"thaw", act_thaw},   {"forget", act_forget}, {"lose", act_lose},   {"skip", act_skip},
    {"hello", act_hello}, {"cut", act_cut},
};

/* POST /sockets {"action", "user"?, "at"?, "count"?} */
static int ctl_sockets(struct sb_ctl *x)
{
    const char *action = mw_json_str_or(x->json, "action", "");
    const char *name = mw_json_str(x->json, "user");
    struct socket_order order = {mw_json_i64(x->json, "at", 0), mw_json_i64(x->json, "count", 1)};
    struct sb_user *u = name ? sb_ctl_user(x, name) : NULL;
    struct sb_conn *next;
    size_t n = 0;

    if (name && !u)
        return 0;
    for (size_t i = 0; i < MW_ARRAY_LEN(socket_actions); i++) {
        if (!mw_streq(action, socket_actions[i].name))
            continue;
        for (struct sb_conn *c = x->sv->hub.conns; c; c = next) {
            next = c->next;
            if (!u || c->user == u)
                n += socket_actions[i].run(c, &order);
        }
        return reply_count(x, "sockets", n);
    }
    return sb_ctl_fail(x, 400, "unknown action '%s'", action);
}

/* POST /upgrades {"action": "refuse" | "hang_up" | "accept", "count"?, "status"?, "body"?,
 * "retry_after"?} */
static int ctl_upgrades(struct sb_ctl *x)
{
    struct sb_control *c = x->control;
    const char *action = mw_json_str_or(x->json, "action", "");
    int64_t count = mw_json_i64(x->json, "count", -1);

    if (mw_streq(action, "refuse")) {
        if (mw_str_set(&c->refuse_body, mw_json_str(x->json, "body")) < 0)
            return -ENOMEM;
        c->refuse_upgrades = count;
        c->refuse_status = (int)mw_json_i64(x->json, "status", 503);
        c->refuse_retry_after = mw_json_i64(x->json, "retry_after", -1);
    } else if (mw_streq(action, "hang_up")) {
        c->hang_up = count < 0 ? INT64_MAX : count;
    } else if (mw_streq(action, "accept")) {
        c->refuse_upgrades = c->hang_up = 0;
    } else {
        return sb_ctl_fail(x, 400, "unknown action '%s'", action);
    }
    return reply_count(x, "ok", 1);
}

/* --- rules -------------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    enum sb_rule_action action;
    int status; /* when none is given */
} rule_actions[] = {
    {"fail", SB_RULE_FAIL, 500},         {"store_fail", SB_RULE_STORE_FAIL, 500},
    {"cut", SB_RULE_CUT, 200},           {"abort", SB_RULE_ABORT, 200},
    {"delay", SB_RULE_DELAY, 200},       {"html", SB_RULE_HTML, 502},
    {"redirect", SB_RULE_REDIRECT, 302}, {"hang", SB_RULE_HANG, 200},
    {"twice", SB_RULE_TWICE, 200},
};

static void put_rule(struct mw_buf *b, const struct sb_rule *r)
{
    mw_buf_printf(b, "{\"id\":\"%s\",", r->id);
    sb_put_str(b, "method", r->method);
    mw_buf_putc(b, ',');
    sb_put_str(b, "path", r->prefix);
    for (size_t i = 0; i < MW_ARRAY_LEN(rule_actions); i++)
        if (rule_actions[i].action == r->action)
            mw_buf_printf(b, ",\"action\":\"%s\"", rule_actions[i].name);
    mw_buf_printf(b, ",\"count\":%" PRId64 ",\"hits\":%" PRIu64 "}", r->count, r->hits);
}

static int fill_rule(struct sb_rule *r, const cJSON *json)
{
    if (mw_str_set(&r->method, mw_json_str(json, "method")) < 0 ||
        mw_str_set(&r->prefix, mw_json_str_or(json, "path", "/api/v4")) < 0 ||
        mw_str_set(&r->body, mw_json_str(json, "body")) < 0 ||
        mw_str_set(&r->content_type, mw_json_str(json, "content_type")) < 0 ||
        mw_str_set(&r->location, mw_json_str(json, "location")) < 0)
        return -ENOMEM;
    r->status = (int)mw_json_i64(json, "status", r->status);
    r->count = mw_json_i64(json, "count", 1);
    r->skip = mw_json_i64(json, "skip", 0);
    r->retry_after = mw_json_i64(json, "retry_after", -1);
    r->delay_ms = MW_MAX(0, mw_json_i64(json, "delay_ms", 0));
    r->at = (size_t)MW_MAX(0, mw_json_i64(json, "at", 0));
    return 0;
}

/* POST /rules {"action", "method"?, "path"?, "count"?, ...}; the newest rule is asked last. */
static int ctl_rule_add(struct sb_ctl *x)
{
    const char *action = mw_json_str_or(x->json, "action", "");
    const char *name = mw_json_str(x->json, "user");
    struct sb_user *u = name ? sb_ctl_user(x, name) : NULL;
    struct sb_rule *r, **end = &x->control->rules;

    if (name && !u)
        return 0;

    for (size_t i = 0; i < MW_ARRAY_LEN(rule_actions); i++) {
        if (!mw_streq(action, rule_actions[i].name))
            continue;
        r = calloc(1, sizeof(*r));
        if (!r)
            return -ENOMEM;
        while (*end)
            end = &(*end)->next;
        *end = r; /* freed with the list */
        r->action = rule_actions[i].action;
        r->status = rule_actions[i].status;
        snprintf(r->id, sizeof(r->id), "r%u", ++x->control->next_rule % 100000);
        if (u)
            snprintf(r->user_id, sizeof(r->user_id), "%s", u->id);
        if (fill_rule(r, x->json) < 0)
            return -ENOMEM;
        put_rule(&x->out, r);
        return sb_ctl_reply(x, 200);
    }
    return sb_ctl_fail(x, 400, "unknown action '%s'", action);
}

static int ctl_rules(struct sb_ctl *x)
{
    mw_buf_putc(&x->out, '[');
    for (const struct sb_rule *r = x->control->rules; r; r = r->next) {
        sb_comma(&x->out, 1);
        put_rule(&x->out, r);
    }
    mw_buf_putc(&x->out, ']');
    return sb_ctl_reply(x, 200);
}

/* Requests under way may still use a rule, so it only stops to apply. */
static void clear_rules(struct sb_control *c)
{
    for (struct sb_rule *r = c->rules; r; r = r->next)
        r->count = 0;
}

static int ctl_rules_clear(struct sb_ctl *x)
{
    clear_rules(x->control);
    return reply_count(x, "ok", 1);
}

/* --- the rest ----------------------------------------------------------------------------------
 */

/* POST /rate {"per_second", "burst"?, "user"?}; per_second 0 = off. */
static int ctl_rate(struct sb_ctl *x)
{
    struct sb_control *c = x->control;
    const cJSON *per_second = mw_json_get(x->json, "per_second");
    const char *name = mw_json_str(x->json, "user");
    struct sb_user *u = name ? sb_ctl_user(x, name) : NULL;

    if (name && !u)
        return 0;
    snprintf(c->rate_user_id, sizeof(c->rate_user_id), "%s", u ? u->id : "");
    c->rate_per_sec = cJSON_IsNumber(per_second) ? per_second->valuedouble : 0;
    c->rate_burst = (double)MW_MAX(0, mw_json_i64(x->json, "burst", 100));
    c->rate_on = c->rate_per_sec > 0;
    c->rate_tokens = c->rate_burst + 1;
    c->rate_at = mw_clock_mono();
    return reply_count(x, "ok", 1);
}

/* POST /tokens {"action": "revoke" | "restore", "user" | "token"} */
static int ctl_tokens(struct sb_ctl *x)
{
    const char *action = mw_json_str_or(x->json, "action", "");
    const char *name = mw_json_str(x->json, "user"), *token = mw_json_str(x->json, "token");
    bool on = mw_streq(action, "restore");
    struct sb_user *u = name ? sb_ctl_user(x, name) : NULL;
    size_t it = 0, n = 0;
    void *v;

    if (name && !u)
        return 0;
    if (!on && !mw_streq(action, "revoke"))
        return sb_ctl_fail(x, 400, "unknown action '%s'", action);
    while (mw_map_next(&x->sv->state.sessions, &it, NULL, &v)) {
        struct sb_session *s = v;

        if ((u && !mw_streq(s->user_id, u->id)) || (token && !mw_streq(s->token, token)))
            continue;
        s->is_active = on;
        sb_save_session(&x->sv->state, s);
        if (!on)
            sb_hub_kick(&x->sv->hub, s->user_id, s->id);
        n++;
    }
    return reply_count(x, "tokens", n);
}

/* POST /version {"version": "5.37" | "11.6"} */
static int ctl_version(struct sb_ctl *x)
{
    const char *version = mw_json_str_or(x->json, "version", "");

    if (!mw_streq(version, "5.37") && !mw_streq(version, "11.6"))
        return sb_ctl_fail(x, 400, "unknown version '%s'", version);
    x->sv->old = mw_streq(version, "5.37");
    return reply_count(x, "ok", 1);
}

/* POST /restart: what is lost when a server restarts. */
static int ctl_restart(struct sb_ctl *x)
{
    size_t n = x->sv->hub.n_conns;

    while (x->sv->hub.conns)
        sb_conn_free(x->sv->hub.conns);
    mw_map_clear(&x->sv->pending);
    x->control->restarts++; /* calls that are delayed die with it */
    return reply_count(x, "sockets", n);
}

/* POST /reset: all faults off, and the licence. */
static int ctl_reset(struct sb_ctl *x)
{
    struct sb_control *c = x->control;

    clear_rules(c);
    c->refuse_upgrades = c->hang_up = 0;
    c->rate_on = false;
    mw_map_clear(&c->groups);
    for (struct sb_conn *conn = x->sv->hub.conns; conn; conn = conn->next) {
        conn->cut_at = -1;
        sb_conn_freeze(conn, false);
    }
    return reply_count(x, "ok", 1);
}

static void put_conns(struct sb_ctl *x)
{
    size_t start = x->out.len;

    for (const struct sb_conn *c = x->sv->hub.conns; c; c = c->next) {
        sb_comma(&x->out, start);
        mw_buf_putc(&x->out, '{');
        sb_put_str(&x->out, "id", c->id);
        mw_buf_putc(&x->out, ',');
        sb_put_str(&x->out, "user", c->user ? c->user->username : "");
        mw_buf_printf(&x->out,
                      ",\"open\":%s,\"frozen\":%s,\"seq\":%" PRId64 ",\"queued\":%zu,\"sent\":%zu}",
                      c->ws ? "true" : "false", c->frozen ? "true" : "false", c->seq, c->active_len,
                      c->dead_len);
    }
}

static int ctl_state(struct sb_ctl *x)
{
    const struct sb_hub *hub = &x->sv->hub;
    size_t it = 0, start;
    const char *key;
    void *v;

    mw_buf_printf(&x->out, "{\"version\":\"%s\",\"calls\":%" PRIu64 ",\"routes\":{",
                  sb_version(x->sv), x->control->n_calls);
    start = x->out.len;
    while (mw_map_next(&x->control->calls, &it, &key, &v)) {
        sb_comma(&x->out, start);
        mw_buf_put_json_string(&x->out, key);
        mw_buf_printf(&x->out, ":%" PRIu64, *(uint64_t *)v);
    }
    mw_buf_puts(&x->out, "},\"sockets\":[");
    put_conns(x);
    mw_buf_printf(&x->out,
                  "],\"posts\":%zu,\"events\":%" PRIu64 ",\"frames\":%" PRIu64
                  ",\"dropped\":%" PRIu64 ",\"overflowed\":%" PRIu64 ",\"rate_refused\":%" PRIu64
                  "}",
                  x->sv->state.posts.count, hub->events, hub->frames, hub->dropped, hub->overflowed,
                  x->control->rate_refused);
    return sb_ctl_reply(x, 200);
}

static const struct {
    const char *method, *path;
    int (*run)(struct sb_ctl *x);
} switches[] = {
    {"GET", "/state", ctl_state},
    {"GET", "/wait", sb_ctl_wait},
    {"GET", "/rules", ctl_rules},
    {"POST", "/rules", ctl_rule_add},
    {"POST", "/rules/clear", ctl_rules_clear},
    {"POST", "/sockets", ctl_sockets},
    {"POST", "/upgrades", ctl_upgrades},
    {"POST", "/rate", ctl_rate},
    {"POST", "/tokens", ctl_tokens},
    {"POST", "/version", ctl_version},
    {"POST", "/restart", ctl_restart},
    {"POST", "/reset", ctl_reset},
    {"POST", "/flood", sb_ctl_flood},
    {"POST", "/groups", sb_ctl_group},
};

static void ctl_free(void *p)
{
    struct sb_ctl *x = p;

    if (x->free_more)
        x->free_more(x);
    cJSON_Delete(x->json);
    mw_buf_deinit(&x->out);
    free(x);
}

static int run(struct sb_ctl *x)
{
    size_t len;
    const char *body = mw_httpd_body(x->http, &len);
    MW_AUTOERROR err = MW_ERROR_INIT;

    if (len && (mw_json_parse(body, len, &x->json, &err) < 0 || !cJSON_IsObject(x->json)))
        return sb_ctl_fail(x, 400, "the body is not a JSON object: %s", mw_error_text(&err));
    if (!x->json)
        x->json = cJSON_CreateObject();
    if (!x->json)
        return -ENOMEM;
    for (size_t i = 0; i < MW_ARRAY_LEN(switches); i++)
        if (mw_streq(mw_httpd_method(x->http), switches[i].method) &&
            mw_streq(mw_httpd_path(x->http), switches[i].path))
            return switches[i].run(x);
    return sb_ctl_fail(x, 404, "no such switch");
}

void sb_control_request(struct mw_httpd_request *http, void *userdata)
{
    struct sb_server *sv = userdata;
    struct sb_ctl *x = calloc(1, sizeof(*x));

    if (!x) {
        mw_httpd_abort(http);
        return;
    }
    x->control = &sv->control;
    x->sv = sv;
    x->http = http;
    mw_httpd_set_data(http, x, ctl_free);
    if (run(x) < 0)
        mw_httpd_abort(http);
    sb_control_kick(&sv->control);
}
