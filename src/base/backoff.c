#include "base/backoff.h"

#include <sys/random.h>

void mw_backoff_init(struct mw_backoff *b, int64_t min_ms, int64_t max_ms, int64_t reset_after_ms)
{
    b->failures = 0;
    b->healthy_since = 0;
    b->reset_after_ms = reset_after_ms;
    b->min_ms = MW_MAX(min_ms, 1); /* a wait of 0 would be a storm */
    b->max_ms = MW_MAX(max_ms, b->min_ms);
}

void mw_backoff_healthy(struct mw_backoff *b, int64_t now)
{
    if (b->healthy_since == 0)
        b->healthy_since = now ? now : 1;
}

int64_t mw_backoff_next(struct mw_backoff *b, int64_t now)
{
    int64_t top = b->min_ms;
    uint64_t dice = 0;

    if (b->healthy_since && now - b->healthy_since >= b->reset_after_ms)
        b->failures = 0;
    b->healthy_since = 0;
    for (unsigned i = 0; i < b->failures && top < b->max_ms; i++)
        top *= 2;
    top = MW_MIN(top * 2, b->max_ms);
    if (b->failures < 32)
        b->failures++;
    if (getrandom(&dice, sizeof(dice), GRND_NONBLOCK) < 0)
        dice = (uint64_t)now * 0x9e3779b97f4a7c15ULL;
    return b->min_ms + (int64_t)(dice % (uint64_t)(top - b->min_ms + 1));
}
