/*
 * Exponential backoff with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"):
 * the n-th wait is random in [min, min(max, min * 2^n)], never 0. It goes back to the start only
 * after the thing has been healthy for `reset_after` ms, so that a peer that accepts and hangs up
 * at once is not hammered. Times are monotonic milliseconds (mw_clock_mono). Not thread safe.
 */
#ifndef MW_BASE_BACKOFF_H
#define MW_BASE_BACKOFF_H

#include "base/macros.h"

struct mw_backoff {
    int64_t min_ms, max_ms, reset_after_ms;
    unsigned failures;
    int64_t healthy_since; /* 0 = not healthy */
};

/* min_ms below 1 is read as 1, max_ms below min_ms as min_ms. */
void mw_backoff_init(struct mw_backoff *b, int64_t min_ms, int64_t max_ms, int64_t reset_after_ms);

/* The thing works from `now` on. */
void mw_backoff_healthy(struct mw_backoff *b, int64_t now);

/* The thing failed at `now`: how many ms to wait before the next try. */
int64_t mw_backoff_next(struct mw_backoff *b, int64_t now);

#endif
