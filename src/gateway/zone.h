/*
 * Time zones, several in one process: read from the system's TZif files (RFC 9636; Debian's
 * tzdata), without TZ and tzset, which belong to the whole process.
 *
 * A zone is immutable once loaded. It does not notice when the file changes. Times are seconds
 * since 1970 in UTC, offsets are seconds east of it.
 */
#ifndef MW_GATEWAY_ZONE_H
#define MW_GATEWAY_ZONE_H

#include "base/error.h"

struct gw_zone;

/* By its IANA name ("Europe/Berlin"); NULL or "" = the machine's own. Returns 0; 1 with a sentence
 * when there is none of that name; or a negative errno. */
int gw_zone_load(const char *name, struct gw_zone **ret, struct mw_error *err);
/* From the bytes of a TZif file. Returns 0, 1 (no such file, or damaged) or -ENOMEM. */
int gw_zone_parse(const void *data, size_t len, struct gw_zone **ret, struct mw_error *err);
void gw_zone_free(struct gw_zone *z);

/* East of UTC at that moment, less than two days. */
int gw_zone_offset(const struct gw_zone *z, int64_t at);
/* The first moment behind `at` at which the offset may change; INT64_MAX = never again. */
int64_t gw_zone_next_change(const struct gw_zone *z, int64_t at);

/* Days since 1970 of a date of the Gregorian calendar (month and day from 1), and back. */
int64_t gw_days_of_date(int64_t year, int month, int day);
void gw_date_of_days(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day);

#endif
