#include "io/head.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* The line at p without its end; *ret_next is where the next one starts, NULL when it is not whole.
 */
static size_t line_at(const char *p, const char *end, const char **ret_next)
{
    const char *nl = memchr(p, '\n', (size_t)(end - p));

    *ret_next = nl ? nl + 1 : NULL;
    if (!nl)
        return 0;
    return (size_t)(nl - p) - (nl > p && nl[-1] == '\r');
}

static bool parse_status_line(const char *p, size_t len, struct mw_head *h)
{
    if (len < 12 || memcmp(p, "HTTP/1.", 7) != 0 || p[7] < '0' || p[7] > '9' || p[8] != ' ')
        return false;
    for (int i = 9; i < 12; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        h->status = h->status * 10 + (p[i] - '0');
    }
    if (h->status < 100 || (len > 12 && p[12] != ' '))
        return false;
    h->reason = p + MW_MIN(len, 13);
    h->reason_len = len - MW_MIN(len, 13);
    return true;
}

enum mw_head_result mw_head_parse(const char *data, size_t len, struct mw_head *ret)
{
    const char *end = data + MW_MIN(len, MW_HEAD_LIMIT), *p = data, *next;
    struct mw_head h = {0};
    size_t n = line_at(p, end, &next);

    if (memcmp(data, "HTTP/1.", MW_MIN(len, 7)) != 0)
        return MW_HEAD_BAD; /* no need to wait for a line's end that may never come */
    if (next && !parse_status_line(p, n, &h))
        return MW_HEAD_BAD;
    h.fields = next;
    while (next) {
        p = next;
        n = line_at(p, end, &next);
        if (!next)
            break;
        if (n == 0) {
            h.fields_len = (size_t)(p - h.fields);
            h.size = (size_t)(next - data);
            *ret = h;
            return MW_HEAD_OK;
        }
        if (memchr(p, '\0', n) || is_space(*p) || *p == ':' || !memchr(p, ':', n))
            return MW_HEAD_BAD;
    }
    return len >= MW_HEAD_LIMIT ? MW_HEAD_BAD : MW_HEAD_MORE;
}

/* The next field of that name from *pos on. */
static const char *next_field(const struct mw_head *head, const char *name, const char **pos,
                              size_t *ret_len)
{
    const char *end = head->fields + head->fields_len, *p = *pos, *next;
    size_t name_len = strlen(name);

    for (; p && p < end; p = next) {
        size_t n = line_at(p, end, &next);

        if (n <= name_len || p[name_len] != ':' || strncasecmp(p, name, name_len) != 0)
            continue;
        p += name_len + 1;
        n -= name_len + 1;
        while (n && is_space(*p))
            p++, n--;
        while (n && is_space(p[n - 1]))
            n--;
        *pos = next;
        *ret_len = n;
        return p;
    }
    return NULL;
}

const char *mw_head_get(const struct mw_head *head, const char *name, size_t *ret_len)
{
    const char *pos = head->fields;

    return next_field(head, name, &pos, ret_len);
}

bool mw_head_has_token(const struct mw_head *head, const char *name, const char *token)
{
    const char *pos = head->fields, *value;
    size_t token_len = strlen(token), len;

    while ((value = next_field(head, name, &pos, &len))) {
        const char *end = value + len;

        while (value < end) {
            const char *comma = memchr(value, ',', (size_t)(end - value));
            const char *stop = comma ? comma : end, *next = comma ? comma + 1 : end;

            while (value < stop && is_space(*value))
                value++;
            while (stop > value && is_space(stop[-1]))
                stop--;
            if ((size_t)(stop - value) == token_len && strncasecmp(value, token, token_len) == 0)
                return true;
            value = next;
        }
    }
    return false;
}

int64_t mw_head_retry_after(const struct mw_head *head, int64_t now)
{
    size_t len;
    const char *value = mw_head_get(head, "Retry-After", &len);
    char text[64];
    int64_t seconds = 0;
    time_t date;
    size_t i;

    if (!value || len == 0 || len >= sizeof(text))
        return -1;
    memcpy(text, value, len);
    text[len] = '\0';
    for (i = 0; text[i] >= '0' && text[i] <= '9' && i < 10; i++)
        seconds = seconds * 10 + (text[i] - '0');
    if (text[i] == '\0')
        return seconds * 1000;
    date = curl_getdate(text, NULL);
    return date < 0 ? -1 : MW_MAX((int64_t)date * 1000 - now, 0);
}
