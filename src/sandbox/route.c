#include <string.h>

#include "base/str.h"
#include "sandbox/rest.h"

#define MAX_SEGMENTS 12

/* Cuts "/a/b/c" at its slashes. Returns the number of segments, -1 when there are too many. */
static int cut(char *path, char **segments)
{
    int n = 0;

    while (*path == '/')
        path++;
    while (*path) {
        char *slash = strchr(path, '/');

        if (n == MAX_SEGMENTS)
            return -1;
        segments[n++] = path;
        if (!slash)
            break;
        *slash = '\0';
        path = slash + 1;
        if (!*path) /* a slash at the end does not count */
            break;
    }
    return n;
}

static bool match(const char *pattern, char *const *segments, int n, const char **p)
{
    int params = 0;

    for (int i = 0; i < n; i++) {
        size_t len;

        if (*pattern != '/')
            return false;
        pattern++;
        len = strcspn(pattern, "/");
        if (*pattern == '{') {
            if (!*segments[i] || params == SB_MAX_PARAMS)
                return false;
            p[params++] = segments[i];
        } else if (strlen(segments[i]) != len || memcmp(pattern, segments[i], len) != 0) {
            return false;
        }
        pattern += len;
    }
    return *pattern == '\0';
}

const struct sb_route *sb_route_find(const struct sb_route *routes, const char *method, char *path,
                                     const char **p)
{
    char *segments[MAX_SEGMENTS];
    int n = cut(path, segments);

    if (n < 0)
        return NULL;
    for (const struct sb_route *r = routes; r->method; r++)
        if (mw_streq(r->method, method) && match(r->pattern, segments, n, p))
            return r;
    return NULL;
}
