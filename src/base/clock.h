/* Time. All values are int64 milliseconds unless a name says otherwise. Thread safe. */
#ifndef MW_BASE_CLOCK_H
#define MW_BASE_CLOCK_H

#include "base/macros.h"

/* Wall clock, milliseconds since 1970 (what Mattermost uses). Jumps when somebody sets the clock.
 */
int64_t mw_clock_now(void);

/* Monotonic clock for measuring and for time limits. Never compare it with the wall clock. */
int64_t mw_clock_mono(void);

#define MW_RFC3339_SIZE 32
/* "2026-11-21T10:00:00.123Z"; buf has MW_RFC3339_SIZE bytes. Returns buf. */
char *mw_clock_rfc3339(int64_t ms, char *buf);

/* Parses "500ms", "30s", "5m", "2h", "7d" or a bare number of seconds into milliseconds.
 * Returns 0 or -EINVAL (also for negative values and overflow). */
int mw_duration_parse(const char *s, int64_t *ret_ms);

/* Parses an RFC 3339 time, or a duration read as "that long ago", into wall clock milliseconds.
 * Returns 0 or -EINVAL. */
int mw_time_parse(const char *s, int64_t now, int64_t *ret_ms);

#endif
