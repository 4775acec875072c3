#include "gateway/cron.h"

#include <time.h>

#include "base/alloc_fail.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/test.h"

static void test_slots(void **state)
{
    static const struct {
        const char *cron, *zone, *after, *slots[4]; /* in UTC */
    } rows[] = {
        {"0 9 * * mon-fri",
         "UTC",
         "2026-11-20T08:59:59.999Z",
         {"2026-11-20T09:00:00.000Z", "2026-11-23T09:00:00.000Z", "2026-11-24T09:00:00.000Z"}},
        {"0 9 * * mon-fri", "UTC", "2026-11-20T09:00:00.000Z", {"2026-11-23T09:00:00.000Z"}},
        {"0 9 * * fri-sun",
         "UTC",
         "2026-11-20T09:00:00.000Z",
         {"2026-11-21T09:00:00.000Z", "2026-11-22T09:00:00.000Z", "2026-11-27T09:00:00.000Z"}},
        {"*/20 9-10 * * *",
         "Europe/Berlin",
         "2026-11-20T09:00:00.000Z",
         {"2026-11-20T09:20:00.000Z", "2026-11-20T09:40:00.000Z", "2026-11-21T08:00:00.000Z"}},
        {"5/25,7 0 1 jan,JUL *",
         "UTC",
         "2026-11-20T09:00:00.000Z",
         {"2027-01-01T00:05:00.000Z", "2027-01-01T00:07:00.000Z", "2027-01-01T00:30:00.000Z",
          "2027-01-01T00:55:00.000Z"}},
        {"0 0 29 2 *",
         "UTC",
         "2026-01-01T00:00:00.000Z",
         {"2028-02-29T00:00:00.000Z", "2032-02-29T00:00:00.000Z"}},
        {"0 0 29 2 *", "UTC", "2096-03-01T00:00:00.000Z", {"2104-02-29T00:00:00.000Z"}},
        /* Both days given: either; with a star: both. */
        {"0 12 13 * fri",
         "UTC",
         "2026-11-01T00:00:00.000Z",
         {"2026-11-06T12:00:00.000Z", "2026-11-13T12:00:00.000Z", "2026-11-20T12:00:00.000Z"}},
        {"0 12 */2 * fri",
         "UTC",
         "2026-11-01T00:00:00.000Z",
         {"2026-11-13T12:00:00.000Z", "2026-11-27T12:00:00.000Z"}},
        {"0 0 30 2 mon", "UTC", "2026-01-31T00:00:00.000Z", {"2026-02-02T00:00:00.000Z"}},
        {"@hourly",
         "Asia/Kolkata",
         "2026-11-20T09:00:00.000Z",
         {"2026-11-20T09:30:00.000Z", "2026-11-20T10:30:00.000Z"}},
        {" @daily ", "Asia/Kolkata", "2026-11-20T09:00:00.000Z", {"2026-11-20T18:30:00.000Z"}},
        {"@weekly", "UTC", "2026-11-20T09:00:00.000Z", {"2026-11-22T00:00:00.000Z"}},
        {"@monthly", "America/New_York", "2026-11-20T09:00:00.000Z", {"2026-12-01T05:00:00.000Z"}},
        {"0 0 * * 7", "UTC", "2026-11-20T09:00:00.000Z", {"2026-11-22T00:00:00.000Z"}},

        /* Berlin, 29 March 2026: from 2 to 3 o'clock at 01:00 UTC. */
        {"30 2 * * *",
         "Europe/Berlin",
         "2026-03-28T00:00:00.000Z",
         {"2026-03-28T01:30:00.000Z", "2026-03-29T01:00:00.000Z", "2026-03-30T00:30:00.000Z"}},
        {"0,30 2 * * *",
         "Europe/Berlin",
         "2026-03-28T12:00:00.000Z",
         {"2026-03-29T01:00:00.000Z", "2026-03-30T00:00:00.000Z"}},
        {"0 2,3 * * *",
         "Europe/Berlin",
         "2026-03-28T12:00:00.000Z",
         {"2026-03-29T01:00:00.000Z", "2026-03-30T00:00:00.000Z"}},
        {"30 2 29 3 *", "Europe/Berlin", "2026-03-29T01:00:00.000Z", {"2027-03-29T00:30:00.000Z"}},
        {"30 * * * *",
         "Europe/Berlin",
         "2026-03-29T00:00:00.000Z",
         {"2026-03-29T00:30:00.000Z", "2026-03-29T01:30:00.000Z"}},
        {"*/30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00.000Z", {"2026-03-30T00:00:00.000Z"}},
        /* Berlin, 25 October 2026: from 3 to 2 o'clock at 01:00 UTC. */
        {"30 2 * * *",
         "Europe/Berlin",
         "2026-10-24T12:00:00.000Z",
         {"2026-10-25T00:30:00.000Z", "2026-10-26T01:30:00.000Z"}},
        {"30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00.000Z", {"2026-10-26T01:30:00.000Z"}},
        {"0 3 * * *",
         "Europe/Berlin",
         "2026-10-24T12:00:00.000Z",
         {"2026-10-25T02:00:00.000Z", "2026-10-26T02:00:00.000Z"}},
        {"30 * * * *",
         "Europe/Berlin",
         "2026-10-25T00:00:00.000Z",
         {"2026-10-25T00:30:00.000Z", "2026-10-25T01:30:00.000Z", "2026-10-25T02:30:00.000Z"}},
        /* New York, 8 March and 1 November 2026. */
        {"30 2 * * *",
         "America/New_York",
         "2026-03-07T12:00:00.000Z",
         {"2026-03-08T07:00:00.000Z", "2026-03-09T06:30:00.000Z"}},
        {"30 1 * * *",
         "America/New_York",
         "2026-10-31T12:00:00.000Z",
         {"2026-11-01T05:30:00.000Z", "2026-11-02T06:30:00.000Z"}},
        {"0 9 * * *",
         "America/New_York",
         "2026-10-31T12:00:00.000Z",
         {"2026-10-31T13:00:00.000Z", "2026-11-01T14:00:00.000Z"}},
        /* Lord Howe: half an hour. 4 October 2026 02:00 +10:30 becomes 02:30 +11. */
        {"15 2 * * *",
         "Australia/Lord_Howe",
         "2026-10-03T00:00:00.000Z",
         {"2026-10-03T15:30:00.000Z", "2026-10-04T15:15:00.000Z"}},
        /* 5 April 2026 02:00 +11 becomes 01:30 +10:30. */
        {"45 1 * * *",
         "Australia/Lord_Howe",
         "2026-04-04T00:00:00.000Z",
         {"2026-04-04T14:45:00.000Z", "2026-04-05T15:15:00.000Z"}},
        {"45 1 * * *",
         "Australia/Lord_Howe",
         "2026-04-04T15:01:00.000Z",
         {"2026-04-05T15:15:00.000Z"}},
        {"*/15 * * * *",
         "Australia/Lord_Howe",
         "2026-04-04T14:40:00.000Z",
         {"2026-04-04T14:45:00.000Z", "2026-04-04T15:00:00.000Z", "2026-04-04T15:15:00.000Z"}},
        /* Far behind what the file lists. */
        {"30 2 * * *",
         "Europe/Berlin",
         "2090-03-25T12:00:00.000Z",
         {"2090-03-26T01:00:00.000Z", "2090-03-27T00:30:00.000Z"}},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        MW_AUTOERROR err = MW_ERROR_INIT;
        struct gw_cron c;
        struct gw_zone *zone = NULL;
        int64_t at = 0;

        if (gw_cron_parse(rows[i].cron, &c, &err) || gw_zone_load(rows[i].zone, &zone, &err))
            fail_msg("%s %s: %s", rows[i].cron, rows[i].zone, mw_error_text(&err));
        assert_int_equal(mw_time_parse(rows[i].after, 0, &at), 0);
        for (size_t k = 0; k < 4 && rows[i].slots[k]; k++) {
            char text[MW_RFC3339_SIZE];

            at = gw_cron_next(&c, zone, at);
            if (strcmp(mw_clock_rfc3339(at, text), rows[i].slots[k]) != 0)
                fail_msg("%s in %s after %s: slot %zu is %s, not %s", rows[i].cron, rows[i].zone,
                         rows[i].after, k, text, rows[i].slots[k]);
        }
        gw_zone_free(zone);
    }
}

/* However it is asked, the answer is the same: the next slot does not depend on where one starts.
 */
static void test_consistent(void **state)
{
    static const char *const zones[] = {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
                                        "Asia/Kolkata", "UTC"};
    static const char *const crons[] = {"15 1-3 * * *", "*/15 2 * * *", "45 1 * * *", "0 3 * * *"};

    for (size_t z = 0; z < MW_ARRAY_LEN(zones); z++) {
        struct gw_zone *zone = NULL;

        assert_int_equal(gw_zone_load(zones[z], &zone, NULL), 0);
        for (size_t k = 0; k < MW_ARRAY_LEN(crons); k++) {
            struct gw_cron c;
            int64_t from = INT64_C(1772323200000), next; /* 1 March 2026 */

            assert_int_equal(gw_cron_parse(crons[k], &c, NULL), 0);
            next = gw_cron_next(&c, zone, from);
            for (int64_t at = from; at < from + INT64_C(250) * 86400000; at += 599999) {
                if (at >= next)
                    next = gw_cron_next(&c, zone, next);
                assert_true(next > at - 86400000);
                if (next > at)
                    assert_int_equal(gw_cron_next(&c, zone, at), next);
            }
        }
        gw_zone_free(zone);
    }
}

static void test_errors(void **state)
{
    static const struct {
        const char *cron, *error;
    } rows[] = {
        {"60 * * * *", "minute: \"60\" is not a number from 0 to 59"},
        {"* 24 * * *", "hour: \"24\" is not a number from 0 to 23"},
        {"* * 0 * *", "day of month: \"0\" is not a number from 1 to 31"},
        {"* * * foo *", "month: \"foo\" is not a number from 1 to 12, nor a name of three letters"},
        {"* * * * mo", "day of week: \"mo\" is not a number from 0 to 7, nor a name of three "
                       "letters"},
        {"* * * *", "day of week: missing; a schedule has five fields: minute, hour, day of month, "
                    "month, day of week"},
        {"", "minute: missing; a schedule has five fields: minute, hour, day of month, month, day "
             "of week"},
        {"0 9 * * * *", "\"*\" is too much: a schedule has five fields: minute, hour, day of "
                        "month, month, day of week"},
        {"17-9 * * * *", "minute: the range \"17-9\" ends before it begins"},
        {"*/0 * * * *", "minute: a step is a number from 1 on, as in */5"},
        {"*/x * * * *", "minute: a step is a number from 1 on, as in */5"},
        {"1, * * * *", "minute: \"\" is not a number from 0 to 59"},
        {"*5 * * * *", "minute: \"*5\" is not understood"},
        {"1-2-3 * * * *", "minute: \"1-2-3\" is not understood"},
        {"@yearly", "\"@yearly\": use @hourly, @daily, @weekly or @monthly"},
        {"0 0 30 2 *", "day of month: there is no such day in the months given"},
        {"0 0 31 4,6,9,11 *", "day of month: there is no such day in the months given"},
        {"99999999999999 * * * *", "minute: \"99999999999999\" is not a number from 0 to 59"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        MW_AUTOERROR err = MW_ERROR_INIT;
        struct gw_cron c;

        assert_int_equal(gw_cron_parse(rows[i].cron, &c, &err), 1);
        assert_string_equal(mw_error_text(&err), rows[i].error);
    }
}

/* Against libc, hour by hour for 70 years. */
static void test_zones(void **state)
{
    static const char *const zones[] = {
        "Europe/Berlin", "America/New_York",  "Asia/Kolkata",  "Australia/Lord_Howe",
        "UTC",           "Africa/Casablanca", "Europe/Dublin", "America/Santiago",
        "Asia/Gaza"};

    for (size_t i = 0; i < MW_ARRAY_LEN(zones); i++) {
        MW_AUTOERROR err = MW_ERROR_INIT;
        struct gw_zone *z = NULL;

        if (gw_zone_load(zones[i], &z, &err))
            fail_msg("%s: %s", zones[i], mw_error_text(&err));
        setenv("TZ", zones[i], 1);
        tzset();
        for (int64_t at = 0; at < INT64_C(70) * 365 * 86400; at += 3600 * 5 + 1) {
            time_t t = (time_t)at;
            struct tm tm;

            localtime_r(&t, &tm);
            if (gw_zone_offset(z, at) != tm.tm_gmtoff)
                fail_msg("%s at %lld: %d, not %ld", zones[i], (long long)at, gw_zone_offset(z, at),
                         tm.tm_gmtoff);
            assert_true(gw_zone_next_change(z, at) > at);
        }
        gw_zone_free(z);
    }
}

static void test_zone_errors(void **state)
{
    static const char *const names[] = {
        "Europe/Berlim", "../etc/passwd", "/etc/localtime", "Europe",
        "Europe/",       "a//b",          "zone.tab",       "."};
    struct gw_zone *z = NULL;

    for (size_t i = 0; i < MW_ARRAY_LEN(names); i++) {
        MW_AUTOERROR err = MW_ERROR_INIT;

        assert_int_equal(gw_zone_load(names[i], &z, &err), 1);
        assert_non_null(strstr(mw_error_text(&err), names[i]));
    }
    assert_int_equal(gw_zone_parse("TZif2", 5, &z, NULL), 1);
    assert_int_equal(gw_zone_load(NULL, &z, NULL), 0);
    gw_zone_free(z);
}

static int load_zone(void *userdata)
{
    struct gw_zone *z = NULL;
    int r = gw_zone_load("Europe/Berlin", &z, NULL);

    gw_zone_free(z);
    return r;
}

static void test_allocations(void **state)
{
    assert_true(mw_alloc_fail_each(MW_ALLOC_FAIL_ONCE, load_zone, NULL, 0) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots),       cmocka_unit_test(test_consistent),
        cmocka_unit_test(test_errors),      cmocka_unit_test(test_zones),
        cmocka_unit_test(test_zone_errors), cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
