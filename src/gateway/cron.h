/*
 * Schedules as cron writes them: "minute hour day-of-month month day-of-week", or @hourly, @daily,
 * @weekly, @monthly. Pure: no clock, no timer.
 *
 * Fields: *, numbers, lists (1,15), ranges (9-17), steps (9-17/2, also behind a star), names
 * (jan-dec, mon-sun; 0 and 7 are Sunday). A day is right when day-of-month and day-of-week both
 * are; where neither begins with *, one of them is enough, as cron does it.
 *
 * When clocks change: where neither minute nor hour begins with *, a slot that the clock leaps over
 * comes once, at the first moment behind the leap; a slot in an hour that comes twice comes the
 * first time only. Other schedules follow real time: an hour that is not there has no slots, one
 * that comes twice has them twice.
 */
#ifndef MW_GATEWAY_CRON_H
#define MW_GATEWAY_CRON_H

#include "gateway/zone.h"

struct gw_cron {
    uint64_t minutes;
    uint32_t hours, days, months; /* bit sets; days and months from bit 1 */
    uint8_t weekdays;             /* bit 0 = Sunday */
    bool real_time;               /* minute or hour begins with * */
    bool either;                  /* day-of-month or day-of-week */
};

/* Returns 0, or 1 with a sentence that names the field. */
int gw_cron_parse(const char *text, struct gw_cron *ret, struct mw_error *err);
/* The first slot behind after_ms, wall clock milliseconds; -1 = none in the next ten years. */
int64_t gw_cron_next(const struct gw_cron *c, const struct gw_zone *zone, int64_t after_ms);

#endif
