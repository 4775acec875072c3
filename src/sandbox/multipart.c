#include "sandbox/multipart.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MAX_BOUNDARY 70 /* RFC 2046 */

/* Copies the value of `key` in "form-data; name=\"x\"; filename=\"y\"". False when it is not there
 * or does not fit. */
static bool parameter(const char *line, size_t len, const char *key, char *buf, size_t size)
{
    size_t key_len = strlen(key);

    for (size_t i = 0; i + key_len + 1 < len; i++) {
        size_t n = 0;
        bool quoted;

        if (line[i] != ';' && line[i] != ' ')
            continue;
        if (strncasecmp(line + i + 1, key, key_len) != 0 || line[i + 1 + key_len] != '=')
            continue;
        i += key_len + 2;
        quoted = i < len && line[i] == '"';
        for (i += quoted; i < len && (quoted ? line[i] != '"' : line[i] != ';' && line[i] != ' ');
             i++) {
            if (quoted && line[i] == '\\' && i + 1 < len && strchr("\"\\", line[i + 1]))
                i++;
            if (n + 1 >= size || line[i] == '\0')
                return false;
            buf[n++] = line[i];
        }
        buf[n] = '\0';
        return true;
    }
    return false;
}

bool sb_multipart_boundary(const char *content_type, char *buf, size_t size)
{
    static const char type[] = "multipart/form-data";

    if (!content_type || strncasecmp(content_type, type, sizeof(type) - 1) != 0)
        return false;
    return parameter(content_type, strlen(content_type), "boundary", buf, size) && *buf &&
           strlen(buf) <= MAX_BOUNDARY;
}

static void header_line(const char *line, size_t len, struct sb_part *p)
{
    static const char disposition[] = "content-disposition:", type[] = "content-type:";

    if (len >= sizeof(disposition) - 1 &&
        strncasecmp(line, disposition, sizeof(disposition) - 1) == 0) {
        parameter(line, len, "name", p->name, sizeof(p->name));
        parameter(line, len, "filename", p->filename, sizeof(p->filename));
    } else if (len >= sizeof(type) - 1 && strncasecmp(line, type, sizeof(type) - 1) == 0) {
        line += sizeof(type) - 1;
        len -= sizeof(type) - 1;
        while (len && *line == ' ') {
            line++;
            len--;
        }
        if (len < sizeof(p->content_type) && !memchr(line, '\0', len)) {
            memcpy(p->content_type, line, len);
            p->content_type[len] = '\0';
        }
    }
}

int sb_multipart_parse(const char *boundary, const char *body, size_t len,
                       int (*part)(const struct sb_part *p, void *arg), void *arg)
{
    char delimiter[MAX_BOUNDARY + 5];
    int n = snprintf(delimiter, sizeof(delimiter), "\r\n--%s", boundary);
    const char *p = body, *end = body + len;
    size_t d = (size_t)n;

    if (d >= sizeof(delimiter))
        return -EINVAL;
    /* The first one may stand at the very start. */
    if (len >= d - 2 && memcmp(p, delimiter + 2, d - 2) == 0)
        p += d - 2;
    else if ((p = memmem(body, len, delimiter, d)))
        p += d;
    else
        return -EINVAL;
    for (;;) {
        struct sb_part x = {0};
        const char *data_end;
        int r;

        if (end - p >= 2 && memcmp(p, "--", 2) == 0)
            return 0;
        if (end - p < 2 || memcmp(p, "\r\n", 2) != 0)
            return -EINVAL;
        p += 2;
        for (;;) { /* headers, up to an empty line */
            const char *eol = memmem(p, (size_t)(end - p), "\r\n", 2);

            if (!eol)
                return -EINVAL;
            if (eol == p)
                break;
            header_line(p, (size_t)(eol - p), &x);
            p = eol + 2;
        }
        x.data = p + 2;
        /* An empty part: its data's end is the line end we stand on. */
        data_end = memmem(p, (size_t)(end - p), delimiter, d);
        if (!data_end)
            return -EINVAL;
        x.len = data_end > x.data ? (size_t)(data_end - x.data) : 0;
        r = part(&x, arg);
        if (r != 0)
            return r;
        p = data_end + d;
    }
}
