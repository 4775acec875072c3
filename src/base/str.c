#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>

char *mw_asprintf(const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    int r;

    va_start(ap, fmt);
    r = vasprintf(&s, fmt, ap);
    va_end(ap);
    return r < 0 ? NULL : s;
}

int mw_str_set(char **slot, const char *value)
{
    char *copy = NULL;

    if (value) {
        copy = strdup(value);
        if (!copy)
            return -ENOMEM;
    }
    free(*slot);
    *slot = copy;
    return 0;
}

int mw_bytes_parse(const char *s, int64_t *ret)
{
    static const struct {
        const char *unit;
        int64_t bytes;
    } units[] = {
        {"", 1},
        {"B", 1},
        {"K", 1ll << 10},
        {"KiB", 1ll << 10},
        {"kB", 1000},
        {"KB", 1000},
        {"M", 1ll << 20},
        {"MiB", 1ll << 20},
        {"MB", 1000 * 1000},
        {"G", 1ll << 30},
        {"GiB", 1ll << 30},
        {"GB", 1000ll * 1000 * 1000},
        {"T", 1ll << 40},
        {"TiB", 1ll << 40},
        {"TB", 1000ll * 1000 * 1000 * 1000},
    };
    long long value;
    char *end;

    if (*s < '0' || *s > '9')
        return -EINVAL;
    errno = 0;
    value = strtoll(s, &end, 10);
    if (errno)
        return -EINVAL;
    end += strspn(end, " ");
    for (size_t i = 0; i < MW_ARRAY_LEN(units); i++) {
        if (strcmp(end, units[i].unit) != 0)
            continue;
        if (value > INT64_MAX / units[i].bytes)
            return -EINVAL;
        *ret = value * units[i].bytes;
        return 0;
    }
    return -EINVAL;
}

void mw_secret_free(char *secret)
{
    if (!secret)
        return;
    explicit_bzero(secret, strlen(secret));
    free(secret);
}

bool mw_secret_equal(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    unsigned char diff = la != lb;

    for (size_t i = 0; i < la; i++)
        diff |= (unsigned char)(a[i] ^ (lb ? b[i % lb] : 1));
    return diff == 0;
}

#define DISTANCE_MAX 64

unsigned mw_str_distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    unsigned rows[3][DISTANCE_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];

    if (la > DISTANCE_MAX || lb > DISTANCE_MAX)
        return 1000;
    for (size_t j = 0; j <= lb; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned *swap = before;

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned cost = a[i - 1] != b[j - 1];
            unsigned best = MW_MIN(MW_MIN(last[j] + 1, row[j - 1] + 1), last[j - 1] + cost);

            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = MW_MIN(best, before[j - 2] + 1);
            row[j] = best;
        }
        before = last;
        last = row;
        row = swap;
    }
    return last[lb];
}

void mw_nearest_offer(struct mw_nearest *n, const char *candidate)
{
    size_t len = strlen(n->name);
    unsigned d = mw_str_distance(n->name, candidate);

    if (len >= 2 && strncmp(n->name, candidate, len) == 0)
        d = 1;
    if (d > MW_MAX(len / 3, 1u) || d >= len)
        return;
    if (!n->best || d < n->distance) {
        n->best = candidate;
        n->distance = d;
    }
}

const char *mw_nearest_get(const struct mw_nearest *n)
{
    return n->best;
}
