#include "handlers/web.h"

#include <stdarg.h>

#include "base/str.h"
#include "base/utf8.h"

#define EXCERPT            200
#define DEFAULT_TIMEOUT_MS (120 * 1000)
#define GRACE_MS           5000

static int add_line(struct gw_headers *h, char *line)
{
    if (!line)
        return -ENOMEM;
    if (h->n + 2 > h->cap) {
        size_t cap = h->cap ? h->cap * 2 : 8;
        char **lines = reallocarray(h->lines, cap, sizeof(*lines));

        if (!lines) {
            mw_secret_free(line);
            return -ENOMEM;
        }
        h->lines = lines;
        h->cap = cap;
    }
    h->lines[h->n++] = line;
    h->lines[h->n] = NULL;
    return 0;
}

int gw_header_add(struct gw_headers *h, const char *fmt, ...)
{
    MW_AUTOBUF line = {0};
    va_list ap;

    va_start(ap, fmt);
    mw_buf_vprintf(&line, fmt, ap);
    va_end(ap);
    return add_line(h, mw_buf_take(&line));
}

int gw_headers_add_config(struct gw_headers *h, const struct gw_strings *headers)
{
    for (size_t i = 0; i < headers->n; i++) {
        const char *item = headers->items[i];
        int name = (int)strcspn(item, "=");

        if (gw_header_add(h, "%.*s: %s", name, item, item[name] ? item + name + 1 : ""))
            return -ENOMEM;
    }
    return 0;
}

void gw_headers_deinit(struct gw_headers *h)
{
    for (size_t i = 0; i < h->n; i++)
        mw_secret_free(h->lines[i]);
    free(h->lines);
    *h = (struct gw_headers){0};
}

int gw_web_client(const struct gw_handler_host *host, struct mw_http **ret, struct mw_error *err)
{
    const struct gw_handler_config *c = host->config;
    const struct mw_http_params params = {
        .tls = c->tls,
        .proxy = c->proxy,
        .user_agent = "matterwire/" MW_VERSION,
        .max_connections = MW_MAX(c->concurrency, 1),
    };

    return mw_http_new(host->loop, &params, ret, err);
}

int64_t gw_web_timeout(const struct gw_turn *turn)
{
    return (turn->timeout_ms ? turn->timeout_ms : DEFAULT_TIMEOUT_MS) + GRACE_MS;
}

void gw_web_excerpt(const char *body, size_t len, const char *secret, struct mw_buf *out)
{
    size_t start = out->len, n;
    bool space = false;

    if (!len || (secret && secret[0] && memmem(body, len, secret, strlen(secret))))
        return;
    for (size_t i = 0; i < len; i += n ? n : 1) {
        n = mw_utf8_char_len(body + i, len - i);
        if (out->len - start >= EXCERPT) {
            mw_buf_puts(out, "...");
            return;
        }
        if (!n || (unsigned char)body[i] <= ' ' || body[i] == 0x7f) {
            space = out->len > start;
            continue;
        }
        if (space)
            mw_buf_putc(out, ' ');
        space = false;
        mw_buf_append(out, body + i, n);
    }
}

void gw_web_refusal(const struct mw_http_response *r, const char *detail, const char *secret,
                    struct mw_error *err)
{
    const char *location = r->header(r, "Location");
    MW_AUTOBUF text = {.limit = 4 * EXCERPT};

    if (r->status >= 300 && r->status < 400) {
        /* What is behind the question mark may be a secret of the server's. */
        if (location)
            gw_web_excerpt(location, strcspn(location, "?#"), secret, &text);
        mw_error_set(err, -EIO,
                     "HTTP status %d%s%s: redirects are not followed, set the handler's "
                     "`url` to the right address",
                     r->status, text.len ? " to " : "", mw_buf_str(&text));
        return;
    }
    if (detail)
        gw_web_excerpt(detail, strlen(detail), secret, &text);
    else
        gw_web_excerpt(r->body.data, r->body.len, secret, &text);
    mw_error_set(err, -EIO, "HTTP status %d%s%s", r->status, text.len ? ": " : "",
                 mw_buf_str(&text));
}
