#include "sandbox/rest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "sandbox/pages.h"

#define API "/api/v4"

const char *sb_version_id(const struct sb_server *sv)
{
    if (sb_licensed(sv))
        return sv->old ? SB_VERSION_OLD ".sandbox.0.true" : SB_VERSION_NEW ".sandbox.0.true";
    return sv->old ? SB_VERSION_OLD ".sandbox.0.false" : SB_VERSION_NEW ".sandbox.0.false";
}

/* --- answers -----------------------------------------------------------------------------------
 */

int sb_escape_html(struct mw_buf *b)
{
    MW_AUTOBUF out = {0};
    const char *s = mw_buf_str(b);
    size_t n;

    if (mw_buf_error(b))
        return mw_buf_error(b);
    n = strcspn(s, "<>&");
    if (!s[n])
        return 0;
    while (s[n]) {
        mw_buf_append(&out, s, n);
        mw_buf_printf(&out, "\\u%04x", (unsigned)(unsigned char)s[n]);
        s += n + 1;
        n = strcspn(s, "<>&");
    }
    mw_buf_append(&out, s, n);
    if (mw_buf_error(&out))
        return mw_buf_error(&out);
    mw_buf_clear(b);
    return mw_buf_append(b, mw_buf_str(&out), out.len);
}

static void common_headers(struct sb_req *q)
{
    int r = mw_httpd_add_header(q->http, "X-Request-Id", q->id);

    r |= mw_httpd_add_header(q->http, "X-Version-Id", sb_version_id(q->sv));
    r |= mw_httpd_add_header(q->http, "X-Content-Type-Options", "nosniff");
    r |= mw_httpd_add_header(q->http, "Referrer-Policy", "no-referrer");
    if (mw_streq(q->method, "GET"))
        r |= mw_httpd_add_header(q->http, "Expires", "0");
    (void)r; /* an answer without a header beats none when memory runs out */
}

static void retry_after_header(struct sb_req *q, int64_t seconds)
{
    char text[24];

    if (seconds < 0)
        return;
    snprintf(text, sizeof(text), "%" PRId64, seconds);
    if (mw_httpd_add_header(q->http, "Retry-After", text) < 0)
        return; /* as above */
}

/* The answer that a fault puts in the place of the right one. */
static int reply_fault(struct sb_req *q, const struct sb_rule *rule)
{
    const char *body = rule->body;
    MW_AUTOBUF json = {0};

    retry_after_header(q, rule->retry_after);
    if (rule->action == SB_RULE_REDIRECT &&
        mw_httpd_add_header(q->http, "Location", rule->location ? rule->location : "/") < 0)
        return -ENOMEM;
    if (rule->action == SB_RULE_HTML && !body)
        body = "<!DOCTYPE html><html><head><title>Bad gateway</title></head><body><h1>502 Bad "
               "gateway</h1></body></html>\n";
    if (!body) {
        mw_buf_printf(&json,
                      "{\"id\":\"sandbox.fault.app_error\",\"message\":\"The sandbox was told to "
                      "fail.\",\"detailed_error\":\"\",\"request_id\":\"%s\",\"status_code\":%d}",
                      q->id, rule->status);
        body = mw_buf_str(&json);
    }
    mw_httpd_respond(q->http, rule->status,
                     rule->content_type             ? rule->content_type
                     : rule->action == SB_RULE_HTML ? "text/html; charset=utf-8"
                                                    : NULL,
                     body, strlen(body));
    return 0;
}

int sb_reply_raw(struct sb_req *q, int status, const char *content_type, const void *body,
                 size_t len)
{
    const struct sb_rule *rule = q->rule;

    if (rule && rule->action == SB_RULE_TWICE && !q->repeated) {
        q->repeated = true; /* run_and_check does it once more */
        return 0;
    }
    common_headers(q);
    if (rule && rule->action == SB_RULE_STORE_FAIL)
        return reply_fault(q, rule);
    if (rule && rule->action == SB_RULE_ABORT) {
        mw_httpd_abort(q->http);
        return 0;
    }
    if (rule && rule->action == SB_RULE_CUT) {
        mw_httpd_respond_cut(q->http, status, content_type, body, len, rule->at);
        return 0;
    }
    mw_httpd_respond(q->http, status, content_type, body, len);
    return 0;
}

/* Any tag will do that changes with the answer. */
static bool etag_matches(struct sb_req *q)
{
    const char *known = mw_httpd_header(q->http, "If-None-Match");
    uint64_t h = 0xcbf29ce484222325ULL;
    char tag[48];

    for (size_t i = 0; i < q->out.len; i++)
        h = (h ^ (unsigned char)q->out.data[i]) * 0x100000001b3ULL;
    snprintf(tag, sizeof(tag), "%s.%016" PRIx64, sb_version(q->sv), h);
    if (mw_httpd_add_header(q->http, "ETag", tag) < 0)
        return false;
    return mw_streq(known, tag);
}

int sb_reply(struct sb_req *q, int status)
{
    int r = sb_escape_html(&q->out);

    if (r < 0)
        return r;
    if (status == 200 && q->route && (q->route->flags & SB_ETAG) && !sb_query(q, "since") &&
        etag_matches(q))
        return sb_reply_raw(q, 304, NULL, "", 0);
    return sb_reply_raw(q, status, q->route || !q->sv->old ? NULL : "text/plain; charset=utf-8",
                        mw_buf_str(&q->out), q->out.len);
}

int sb_reply_ok(struct sb_req *q)
{
    mw_buf_clear(&q->out);
    mw_buf_puts(&q->out, "{\"status\":\"OK\"}");
    return sb_reply(q, 200);
}

static int fail(struct sb_req *q, int status, const char *id, const char *message,
                const char *detail)
{
    mw_buf_clear(&q->out);
    mw_buf_putc(&q->out, '{');
    sb_put_str(&q->out, "id", id);
    mw_buf_putc(&q->out, ',');
    sb_put_str(&q->out, "message", message);
    mw_buf_putc(&q->out, ',');
    sb_put_str(&q->out, "detailed_error", detail);
    if (status != 404 || !*detail) /* the router's own error has no request id */
        mw_buf_printf(&q->out, ",\"request_id\":\"%s\"", q->id);
    mw_buf_printf(&q->out, ",\"status_code\":%d}", status);
    return sb_reply(q, status);
}

int sb_fail(struct sb_req *q, int status, const char *id, const char *message)
{
    return fail(q, status, id, message, "");
}

int sb_fail_param(struct sb_req *q, const char *name)
{
    char text[128];

    snprintf(text, sizeof(text), "Invalid or missing %s in request body.", name);
    return sb_fail(q, 400, "api.context.invalid_body_param.app_error", text);
}

int sb_fail_url(struct sb_req *q, const char *name)
{
    char text[128];

    snprintf(text, sizeof(text), "Invalid or missing %s parameter in request URL.", name);
    return sb_fail(q, 400, "api.context.invalid_url_param.app_error", text);
}

int sb_fail_permission(struct sb_req *q)
{
    return sb_fail(q, 403, "api.context.permissions.app_error",
                   "You do not have the appropriate permissions.");
}

int sb_fail_license(struct sb_req *q)
{
    return sb_fail(q, 501, "api.license_error",
                   "Your license does not support this feature. Contact your System "
                   "Administrator.");
}

int sb_fail_refusal(struct sb_req *q, const struct sb_refusal *r)
{
    return sb_fail(q, r->status, r->id, r->message);
}

int sb_refuse(struct sb_refusal *ret, int status, const char *id, const char *message)
{
    *ret = (struct sb_refusal){status, id, message};
    return 1;
}

/* --- what came in ------------------------------------------------------------------------------
 */

static const cJSON *body_json(struct sb_req *q)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    size_t len;
    const char *body = mw_httpd_body(q->http, &len);

    if (!q->json && len <= SB_MAX_JSON_BODY && mw_json_parse(body, len, &q->json, &err) < 0)
        return NULL;
    return q->json;
}

const cJSON *sb_body(struct sb_req *q, const char *what)
{
    const cJSON *json = body_json(q);

    if (json && (cJSON_IsObject(json) || cJSON_IsArray(json)))
        return json;
    sb_fail_param(q, what);
    return NULL;
}

const cJSON *sb_body_strings(struct sb_req *q)
{
    const cJSON *json = body_json(q), *item;

    if (!cJSON_IsArray(json)) {
        sb_fail(q, 400, "api.payload.parse.error", "Unable to parse the payload.");
        return NULL;
    }
    cJSON_ArrayForEach(item, json)
    {
        if (!cJSON_IsString(item)) {
            sb_fail(q, 400, "api.payload.parse.error", "Unable to parse the payload.");
            return NULL;
        }
    }
    if (!json->child) {
        sb_fail_param(q, "ids");
        return NULL;
    }
    return json;
}

const char *sb_query(struct sb_req *q, const char *name)
{
    return mw_httpd_query(q->http, name);
}

bool sb_query_true(struct sb_req *q, const char *name)
{
    return mw_streq(sb_query(q, name), "true");
}

int64_t sb_query_int(struct sb_req *q, const char *name, int64_t fallback)
{
    const char *s = sb_query(q, name);
    char *end;
    long long v;

    if (!s || !*s)
        return fallback;
    v = strtoll(s, &end, 10);
    return *end ? fallback : v;
}

/* web/params.go: 60 a page, more than 200 is 200, nonsense is the default. */
void sb_paging(struct sb_req *q, size_t *ret_page, size_t *ret_per_page)
{
    int64_t page = sb_query_int(q, "page", 0), per_page = sb_query_int(q, "per_page", 60);

    *ret_page = page < 0 || page > INT32_MAX ? 0 : (size_t)page;
    *ret_per_page = per_page < 0 ? 60 : (size_t)MW_MIN(per_page, 200);
}

struct sb_user *sb_path_user(struct sb_req *q, int i)
{
    struct sb_user *u;

    if (mw_streq(q->p[i], "me"))
        return q->user;
    if (!mw_id_valid(q->p[i])) {
        sb_fail_url(q, "user_id");
        return NULL;
    }
    u = sb_user_by_id(&q->sv->state, q->p[i]);
    if (!u)
        sb_fail(q, 404, "app.user.missing_account.const", "Unable to find the user.");
    return u;
}

struct sb_user *sb_path_self(struct sb_req *q, int i)
{
    struct sb_user *u = sb_path_user(q, i);

    if (u && u != q->user && !sb_is_admin(q->user) &&
        !(u->is_bot && mw_streq(u->owner_id, q->user->id))) {
        sb_fail_permission(q);
        return NULL;
    }
    return u;
}

struct sb_team *sb_path_team(struct sb_req *q, int i)
{
    struct sb_team *t;

    if (!mw_id_valid(q->p[i])) {
        sb_fail_url(q, "team_id");
        return NULL;
    }
    t = mw_map_get(&q->sv->state.teams, q->p[i]);
    if (!t)
        sb_fail(q, 404, "app.team.get.find.app_error", "Unable to find the existing team.");
    return t;
}

struct sb_channel *sb_path_channel(struct sb_req *q, int i)
{
    struct sb_channel *c;

    if (!mw_id_valid(q->p[i])) {
        sb_fail_url(q, "channel_id");
        return NULL;
    }
    c = mw_map_get(&q->sv->state.channels, q->p[i]);
    if (!c)
        sb_fail(q, 404, "app.channel.get.existing.app_error",
                "Unable to find the existing channel.");
    return c;
}

bool sb_can_read(const struct sb_server *sv, const struct sb_user *u, const struct sb_channel *c)
{
    const struct sb_team *t;

    if (sb_member_of(c, u->id) || sb_is_admin(u))
        return true;
    t = *c->team_id ? mw_map_get(&sv->state.teams, c->team_id) : NULL;
    return sb_is_type(c, 'O') && t && sb_team_member_of(t, u->id);
}

struct sb_channel *sb_path_readable(struct sb_req *q, int i)
{
    struct sb_channel *c = sb_path_channel(q, i);

    if (c && !sb_can_read(q->sv, q->user, c)) {
        sb_fail_permission(q);
        return NULL;
    }
    return c;
}

struct sb_post *sb_path_post(struct sb_req *q, int i)
{
    struct sb_post *p;

    if (!mw_id_valid(q->p[i])) {
        sb_fail_url(q, "post_id");
        return NULL;
    }
    p = mw_map_get(&q->sv->state.posts, q->p[i]);
    if (!p || p->delete_at) {
        sb_fail(q, 404, "app.post.get.app_error", "Unable to get the post.");
        return NULL;
    }
    if (!sb_can_read(q->sv, q->user, p->channel)) {
        sb_fail_permission(q);
        return NULL;
    }
    return p;
}

/* --- the way of a request ----------------------------------------------------------------------
 */

/* app/authentication.go: the cookie wins over the header. Returns the length, 0 = none. */
static size_t find_token(struct sb_req *q, char *buf, size_t size)
{
    const char *cookie = mw_httpd_header(q->http, "Cookie");
    const char *auth = mw_httpd_header(q->http, "Authorization");
    const char *at = cookie ? strstr(cookie, "MMAUTHTOKEN=") : NULL;
    size_t len = 0;

    if (at && (at == cookie || at[-1] == ' ' || at[-1] == ';')) {
        at += strlen("MMAUTHTOKEN=");
        len = strcspn(at, "; ");
    } else if (auth && strncasecmp(auth, "bearer ", 7) == 0) {
        at = auth + 7;
        len = strlen(at);
    } else if (auth && strncasecmp(auth, "token ", 6) == 0) {
        at = auth + 6;
        len = strlen(at);
    }
    len = MW_MIN(len, size - 1);
    if (len)
        memcpy(buf, at, len);
    buf[len] = '\0';
    return len;
}

static void authenticate(struct sb_req *q)
{
    char token[51];
    struct sb_session *x;
    struct sb_user *u;

    q->session = NULL;
    q->user = NULL;
    if (!find_token(q, token, sizeof(token)))
        return;
    x = mw_map_get(&q->sv->state.sessions, token);
    if (!x || !x->is_active)
        return;
    u = sb_user_by_id(&q->sv->state, x->user_id);
    if (!u || u->delete_at)
        return;
    q->session = x;
    q->user = u;
}

static void req_free(void *p)
{
    struct sb_req *q = p;

    if (q->timer)
        uv_close((uv_handle_t *)q->timer, (uv_close_cb)free);
    cJSON_Delete(q->json);
    mw_buf_deinit(&q->out);
    free(q->path);
    free(q);
}

static int run(struct sb_req *q)
{
    const struct sb_rule *rule = q->rule;
    char detail[256];

    if (rule && (rule->action == SB_RULE_FAIL || rule->action == SB_RULE_HTML ||
                 rule->action == SB_RULE_REDIRECT)) {
        common_headers(q);
        return reply_fault(q, rule);
    }
    if (!q->route) {
        snprintf(detail, sizeof(detail),
                 "There doesn't appear to be an api call for the url='%.120s'.  Typo? are you "
                 "missing a team_id or user_id as part of the url?",
                 mw_httpd_path(q->http));
        return fail(q, 404, "api.context.404.app_error", "Sorry, we could not find the page.",
                    detail);
    }
    authenticate(q);
    if (!(q->route->flags & SB_OPEN)) {
        if (!q->user && sb_query(q, "access_token"))
            return sb_fail(q, 401, "api.context.token_provided.app_error",
                           "Session is not OAuth but token was provided in the query string.");
        if (!q->user)
            return sb_fail(q, 401, "api.context.session_expired.app_error",
                           "Invalid or expired session, please login again.");
        if ((q->route->flags & SB_ADMIN) && !sb_is_admin(q->user))
            return sb_fail_permission(q);
    }
    return q->route->handler(q);
}

static void run_and_check(struct sb_req *q)
{
    struct mw_httpd_request *http = q->http;
    struct sb_control *control = &q->sv->control;
    /* An answer frees the request, so that only the first half of this rule leaves it there. */
    bool twice = q->rule && q->rule->action == SB_RULE_TWICE;
    int r = run(q);

    if (r == 0 && twice && q->repeated) {
        mw_buf_clear(&q->out);
        cJSON_Delete(take_ptr(q->json));
        r = run(q);
    }
    if (r < 0) {
        static const char text[] =
            "{\"id\":\"sandbox.error\",\"message\":\"The sandbox could not do it.\","
            "\"detailed_error\":\"\",\"status_code\":500}";

        mw_httpd_respond(http, 500, NULL, text, sizeof(text) - 1);
    }
    sb_control_kick(control);
}

static void on_delayed(uv_timer_t *timer)
{
    struct sb_req *q = timer->data;

    uv_close((uv_handle_t *)take_ptr(q->timer), (uv_close_cb)free);
    if (q->restarts == q->sv->control.restarts)
        run_and_check(q);
    else
        mw_httpd_abort(q->http);
}

static int delay(struct sb_req *q, int64_t ms)
{
    q->timer = malloc(sizeof(*q->timer));
    if (!q->timer)
        return -ENOMEM;
    uv_timer_init(&q->sv->loop, q->timer);
    q->timer->data = q;
    q->restarts = q->sv->control.restarts;
    return uv_timer_start(q->timer, on_delayed, (uint64_t)ms, 0);
}

static int header_long(struct sb_req *q, const char *name, long value)
{
    char text[24];

    snprintf(text, sizeof(text), "%ld", value);
    return mw_httpd_add_header(q->http, name, text);
}

/* app/ratelimit.go. Returns whether the request was refused. */
static bool rate_limited(struct sb_req *q)
{
    static const char text[] = "limit exceeded\n";
    struct sb_rate rate;
    bool pass;

    const char *only = q->sv->control.rate_user_id;

    if (!q->sv->control.rate_on || (only[0] && !(q->user && mw_streq(q->user->id, only))))
        return false;
    pass = sb_control_rate(&q->sv->control, &rate);
    if (header_long(q, "X-Ratelimit-Limit", rate.limit) |
        header_long(q, "X-Ratelimit-Remaining", rate.remaining) |
        header_long(q, "X-Ratelimit-Reset", rate.reset))
        return false;
    if (pass)
        return false;
    retry_after_header(q, rate.retry_after);
    mw_httpd_respond(q->http, 429, "text/plain; charset=utf-8", text, sizeof(text) - 1);
    return true;
}

static int start(struct sb_server *sv, struct mw_httpd_request *http, struct sb_req *q)
{
    const char *path = mw_httpd_path(http);
    char key[160];

    q->path = strdup(path + strlen(API));
    if (!q->path || mw_id_new(q->id) < 0)
        return -ENOMEM;
    q->route = sb_route_find(sb_routes, q->method, q->path, q->p);
    snprintf(key, sizeof(key), "%s " API "%s", q->method, q->route ? q->route->pattern : "/?");
    sb_control_count(&sv->control, key);
    authenticate(q);
    if (rate_limited(q))
        return 0;
    q->rule = sb_control_rule(&sv->control, q->method, path, q->user ? q->user->id : "");
    if (q->rule && q->rule->action == SB_RULE_HANG)
        return 0;
    if (q->rule && q->rule->action == SB_RULE_DELAY)
        return delay(q, q->rule->delay_ms);
    run_and_check(q);
    return 0;
}

void sb_rest_request(struct mw_httpd_request *http, void *userdata)
{
    struct sb_server *sv = userdata;
    struct sb_req *q;

    if (!mw_starts_with(mw_httpd_path(http), API "/")) {
        sb_page_request(sv, http);
        return;
    }
    q = calloc(1, sizeof(*q));
    if (!q) {
        mw_httpd_abort(http);
        return;
    }
    q->sv = sv;
    q->http = http;
    q->method = mw_httpd_method(http);
    mw_httpd_set_data(http, q, req_free);
    if (start(sv, http, q) < 0)
        mw_httpd_abort(http);
}
