#include "sandbox/pages.h"

#include <string.h>

#include "base/str.h"
#include "sandbox/domain.h"

static void respond_text(struct mw_httpd_request *http, int status, const char *text)
{
    mw_httpd_respond(http, status, "text/plain; charset=utf-8", text, strlen(text));
}

static bool serve_file(struct mw_httpd_request *http, const char *name)
{
    for (const struct sb_page *p = sb_pages; p->name; p++) {
        if (!mw_streq(p->name, name))
            continue;
        if (mw_httpd_add_header(http, "Cache-Control", "no-cache") |
            mw_httpd_add_header(http, "X-Content-Type-Options", "nosniff") |
            mw_httpd_add_header(http, "Content-Security-Policy",
                                "default-src 'self'; img-src 'self' data: blob:"))
            return false;
        mw_httpd_respond(http, 200, p->content_type, p->data, p->len);
        return true;
    }
    return false;
}

/* GET /sandbox/people: whom a tab can be. */
static void people(struct sb_server *sv, struct mw_httpd_request *http)
{
    MW_AUTOFREE void **list = NULL;
    MW_AUTOBUF b = {0};
    int n = sb_sorted(&sv->state.users, offsetof(struct sb_user, create_at), &list);

    mw_buf_putc(&b, '[');
    for (int i = 0; i < n; i++) {
        const struct sb_user *u = list[i];

        if (u->delete_at)
            continue;
        sb_comma(&b, 1);
        mw_buf_printf(&b, "{\"id\":\"%s\",", u->id);
        sb_put_str(&b, "username", u->username);
        mw_buf_printf(&b, ",\"is_bot\":%s,", u->is_bot ? "true" : "false");
        sb_put_str(&b, "first_name", u->first_name);
        mw_buf_putc(&b, ',');
        sb_put_str(&b, "last_name", u->last_name);
        mw_buf_putc(&b, '}');
    }
    mw_buf_putc(&b, ']');
    if (n < 0 || mw_buf_error(&b))
        mw_httpd_abort(http);
    else
        mw_httpd_respond(http, 200, NULL, mw_buf_str(&b), b.len);
}

/* POST /sandbox/session {"username"}: signs in without a password. Everybody who reaches the
 * sandbox may be anybody: that is its purpose. A page elsewhere must not, so the call wants JSON,
 * which a foreign page cannot send without asking, and our own origin. */
static void session(struct sb_server *sv, struct mw_httpd_request *http)
{
    const char *origin = mw_httpd_header(http, "Origin"), *host = mw_httpd_header(http, "Host");
    const char *name = origin ? strstr(origin, "://") : NULL;
    MW_AUTOJSON *json = NULL;
    MW_AUTOBUF b = {0};
    struct sb_session *x;
    struct sb_user *u;
    size_t len;
    const char *body = mw_httpd_body(http, &len);

    if (origin && (!name || !mw_streq(name + 3, host))) {
        respond_text(http, 403, "not from here\n");
        return;
    }
    if (mw_json_parse(body, len, &json, NULL) < 0) {
        respond_text(http, 400, "not JSON\n");
        return;
    }
    u = sb_user_by_name(&sv->state, mw_json_str(json, "username"));
    if (!u || u->delete_at) {
        respond_text(http, 404, "no such person\n");
        return;
    }
    if (sb_make_session(sv, u, NULL, &x) < 0) {
        mw_httpd_abort(http);
        return;
    }
    mw_buf_printf(&b, "{\"token\":\"%s\",\"user\":", x->token);
    sb_put_user(sv, &b, u, u);
    mw_buf_putc(&b, '}');
    if (mw_buf_error(&b))
        mw_httpd_abort(http);
    else
        mw_httpd_respond(http, 200, NULL, mw_buf_str(&b), b.len);
}

void sb_page_request(struct sb_server *sv, struct mw_httpd_request *http)
{
    static const char prefix[] = "/sandbox/page/";
    const char *path = mw_httpd_path(http);
    bool get = mw_streq(mw_httpd_method(http), "GET");

    if (get && mw_streq(path, "/") && serve_file(http, "index.html"))
        return;
    if (get && mw_starts_with(path, prefix) && serve_file(http, path + sizeof(prefix) - 1))
        return;
    if (get && mw_streq(path, "/sandbox/people"))
        people(sv, http);
    else if (mw_streq(mw_httpd_method(http), "POST") && mw_streq(path, "/sandbox/session"))
        session(sv, http);
    else
        respond_text(http, 404, "no such page\n");
}
