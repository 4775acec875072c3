/* What an HTTP answer means. */
#include <ctype.h>
#include <string.h>

#include "base/str.h"
#include "mattermost/client_impl.h"
#include "mattermost/frame.h"

/* Not by the type alone: unknown routes are answered with JSON as text/plain. */
static bool looks_like_json(const struct mw_http_response *r, const struct mw_buf *body)
{
    const char *p = mw_buf_str(body);

    while (isspace((unsigned char)*p))
        p++;
    return *p == '{' || *p == '[' || mw_starts_with(r->content_type, "application/json");
}

static enum mm_outcome outcome_of_status(int status)
{
    switch (status) {
    case 401:
        return MM_UNAUTHORIZED;
    case 403:
        return MM_FORBIDDEN;
    case 404:
        return MM_NOT_FOUND;
    case 501:
        return MM_UNAVAILABLE;
    }
    if (status >= 500)
        return MM_AMBIGUOUS;
    return status >= 400 ? MM_REFUSED : MM_BAD_ANSWER;
}

/* "https://host" of a Location: the rest of it may hold anything. */
static void say_redirect(const struct mm_question *q, int status, const char *location,
                         struct mw_error *err)
{
    const char *host = location ? strstr(location, "://") : NULL;
    size_t n = host ? (size_t)(host - location) + 3 : 0;

    if (host)
        n += strcspn(location + n, "/?#");
    if (!host || memchr(location, '@', n))
        mw_error_set(err, -EPROTO,
                     "the server at %s answered %s with a redirect (%d): is the sub-path of the "
                     "endpoint right?",
                     q->endpoint, q->path, status);
    else
        mw_error_set(err, -EPROTO,
                     "the server at %s redirects to %.*s (%d): the endpoint has the wrong scheme, "
                     "host or sub-path",
                     q->endpoint, (int)MW_MIN(n, 200), location, status);
}

/* An answer in JSON, as nearly all are. */
static void read_json(const struct mm_question *q, const struct mw_http_response *r,
                      struct mw_buf *body, struct mm_result *res)
{
    bool is_json = looks_like_json(r, body);
    const char *html =
        strstr(r->content_type, "html") ? "an HTML page" : "something else than JSON";
    struct mw_error why = MW_ERROR_INIT;
    int parsed = is_json ? mm_json_parse(mw_buf_str(body), body->len, &res->body, &why) : -EINVAL;

    if (r->status >= 200 && r->status < 300) {
        if (parsed == 0 || r->status == 204) {
            res->outcome = MM_OK;
        } else {
            res->outcome = MM_BAD_ANSWER;
            if (parsed == -ENOMEM)
                mw_error_set(&res->err, parsed, "no memory for the answer of the server at %s",
                             q->endpoint);
            else if (is_json)
                mw_error_set(&res->err, -EPROTO, "the server at %s answered %s with %s",
                             q->endpoint, q->path, mw_error_text(&why));
            else
                mw_error_set(&res->err, -EPROTO,
                             "the server at %s answered %s with %s: is the endpoint right, is a "
                             "proxy in between?",
                             q->endpoint, q->path, html);
        }
        mw_error_reset(&why);
        return;
    }
    res->outcome = outcome_of_status(r->status);
    if (r->status >= 300 && r->status < 400) {
        say_redirect(q, r->status, r->header(r, "Location"), &res->err);
    } else if (parsed == 0) {
        const char *message = mw_json_str_or(res->body, "message", "");

        res->error_id = mw_json_str_or(res->body, "id", "");
        if (!*res->request_id)
            res->request_id = mw_json_str_or(res->body, "request_id", "");
        mw_error_set(&res->err, -EREMOTEIO, "%s %s: the server answered %d%s%.300s%s%.100s%s",
                     q->method, q->path, r->status, *message ? ": " : "", message,
                     *res->error_id ? " (" : "", res->error_id, *res->error_id ? ")" : "");
    } else {
        /* Not from Mattermost: whatever stands in front of it. Only these two mean the same from a
         * proxy: the request as such is too large, or it does not work right now. */
        if (r->status < 500 && r->status != 413 && r->status != 414)
            res->outcome = MM_BAD_ANSWER;
        mw_error_set(&res->err, -EPROTO, "the server at %s answered %d with %s: %s", q->endpoint,
                     r->status, html,
                     r->status >= 500 ? "Mattermost or a proxy in front of it does not work"
                                      : "is the endpoint right, is a proxy in between?");
    }
    mw_error_reset(&why);
}

void mm_read_answer(const struct mm_question *q, const struct mw_http_response *r,
                    struct mw_buf *body, struct mm_result *res)
{
    if (q->bytes && (r->status == 200 || r->status == 206)) {
        res->outcome = MM_OK;
        res->data = body->data;
        res->data_len = body->len;
        return;
    }
    read_json(q, r, body, res);
}
