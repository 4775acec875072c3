#include "gateway/rates.h"

#include <errno.h>
#include <stdlib.h>

#define SWEEP_AT 1024 /* keys, before old ones are looked for */

struct window {
    int64_t begin, span;
    unsigned n;
    bool told;
};

void gw_limits_init(struct gw_limits *l)
{
    mw_map_init(&l->windows, free);
}

void gw_limits_deinit(struct gw_limits *l)
{
    mw_map_deinit(&l->windows);
}

static bool is_over(const struct window *w, int64_t now)
{
    return now < w->begin || now >= w->begin + w->span;
}

/* Whoever was here once must not stay in memory for ever. */
static void sweep(struct gw_limits *l, int64_t now)
{
    const char *key;
    size_t it = 0;
    void *value;

    if (l->windows.count < SWEEP_AT)
        return;
    while (mw_map_next(&l->windows, &it, &key, &value)) {
        if (is_over(value, now))
            mw_map_remove(&l->windows, key);
    }
}

enum gw_limit gw_limits_take(struct gw_limits *l, const char *key, unsigned max, int64_t span_ms,
                             int64_t now_ms)
{
    struct window *w = mw_map_get(&l->windows, key);

    if (!w) {
        sweep(l, now_ms);
        w = calloc(1, sizeof(*w));
        if (!w || mw_map_put(&l->windows, key, w)) {
            free(w);
            return GW_LIMIT_FREE;
        }
        w->begin = now_ms;
    }
    if (w->span != span_ms || is_over(w, now_ms))
        *w = (struct window){.begin = now_ms, .span = span_ms};
    if (w->n < max) {
        w->n++;
        return GW_LIMIT_FREE;
    }
    if (w->told)
        return GW_LIMIT_OVER;
    w->told = true;
    return GW_LIMIT_FIRST;
}
