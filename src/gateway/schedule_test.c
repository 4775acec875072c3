#include "gateway/schedule.h"

#include "base/clock.h"
#include "base/test.h"

static int64_t ms(const char *time)
{
    int64_t ret = -1;

    if (time)
        assert_int_equal(mw_time_parse(time, 0, &ret), 0);
    return ret;
}

static void due_and_missed(void **state)
{
    static const struct {
        const char *cron, *zone, *position, *now;
        const char *slot; /* NULL = none */
        bool older, missed;
        const char *next;
    } rows[] = {
        /* Before, at, and behind the time. */
        {"0 9 * * *", "UTC", "2026-11-20T08:00:00Z", "2026-11-20T08:59:59.999Z", NULL, false, false,
         "2026-11-20T09:00:00Z"},
        {"0 9 * * *", "UTC", "2026-11-20T08:00:00Z", "2026-11-20T09:00:00Z", "2026-11-20T09:00:00Z",
         false, false, "2026-11-21T09:00:00Z"},
        {"0 9 * * *", "UTC", "2026-11-20T08:00:00Z", "2026-11-20T09:02:00Z", "2026-11-20T09:00:00Z",
         false, false, "2026-11-21T09:00:00Z"},
        {"0 9 * * *", "UTC", "2026-11-20T08:00:00Z", "2026-11-20T09:02:00.001Z",
         "2026-11-20T09:00:00Z", false, true, "2026-11-21T09:00:00Z"},
        /* Once is enough. */
        {"0 9 * * *", "UTC", "2026-11-20T09:00:00Z", "2026-11-20T09:00:00Z", NULL, false, false,
         "2026-11-21T09:00:00Z"},
        /* Of several the newest, however long ago. */
        {"0 9 * * mon-fri", "UTC", "2026-11-17T09:00:00Z", "2026-11-22T12:00:00Z",
         "2026-11-20T09:00:00Z", true, true, "2026-11-23T09:00:00Z"},
        {"* * * * *", "UTC", "2025-11-20T09:00:00Z", "2026-11-20T09:00:30Z", "2026-11-20T09:00:00Z",
         true, false, "2026-11-20T09:01:00Z"},
        {"* * 1 jan *", "UTC", "2020-01-01T00:00:00Z", "2026-11-20T09:00:30Z",
         "2026-01-01T23:59:00Z", true, true, "2027-01-01T00:00:00Z"},
        /* The hour that comes twice in Berlin: the first time only, or both. */
        {"30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", NULL, false,
         false, "2026-10-26T01:30:00Z"},
        {"30 * * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z",
         "2026-10-25T01:30:00Z", false, false, "2026-10-25T02:30:00Z"},
        /* The one that is not there: at its end. */
        {"30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z",
         "2026-03-29T01:00:00Z", false, false, "2026-03-30T00:30:00Z"},
        /* The clock was put back, a little and by a day. */
        {"0 9 * * *", "UTC", "2026-11-20T09:00:00Z", "2026-11-20T08:30:00Z", NULL, false, false,
         "2026-11-21T09:00:00Z"},
        {"0 9 * * *", "UTC", "2026-11-20T09:00:00Z", "2026-11-19T08:30:00Z", NULL, false, false,
         "2026-11-19T09:00:00Z"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        struct gw_schedule_due due;
        struct gw_zone *zone = NULL;
        struct gw_cron cron;

        print_message("row %zu: %s\n", i, rows[i].cron);
        assert_int_equal(gw_cron_parse(rows[i].cron, &cron, NULL), 0);
        assert_int_equal(gw_zone_load(rows[i].zone, &zone, NULL), 0);
        gw_schedule_look(&cron, zone, ms(rows[i].position), ms(rows[i].now), &due);
        assert_int_equal(due.slot, ms(rows[i].slot));
        assert_int_equal(due.older, rows[i].older);
        assert_int_equal(due.missed, rows[i].missed);
        assert_int_equal(due.next, ms(rows[i].next));
        gw_zone_free(zone);
    }
}

/* Looking again at any moment brings each time once and in order. */
static void looked_at_again_and_again(void **state)
{
    static const char *const crons[] = {"*/7 1-3 * * *", "15 2 * * *", "@hourly"};
    struct gw_zone *zone = NULL;

    assert_int_equal(gw_zone_load("Europe/Berlin", &zone, NULL), 0);
    for (size_t i = 0; i < MW_ARRAY_LEN(crons); i++) {
        int64_t begin = ms("2026-10-24T12:00:00Z"), end = ms("2026-10-26T12:00:00Z");
        int64_t position = begin, expected;
        struct gw_cron cron;

        assert_int_equal(gw_cron_parse(crons[i], &cron, NULL), 0);
        expected = gw_cron_next(&cron, zone, begin);
        for (int64_t now = begin; now < end; now += 31000) {
            struct gw_schedule_due due;

            gw_schedule_look(&cron, zone, position, now, &due);
            position = due.position;
            if (due.slot < 0)
                continue;
            assert_int_equal(due.slot, expected);
            assert_false(due.older);
            assert_false(due.missed);
            assert_true(due.slot <= now);
            expected = gw_cron_next(&cron, zone, expected);
            assert_int_equal(due.next, expected);
        }
        assert_true(expected >= end);
    }
    gw_zone_free(zone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(due_and_missed),
        cmocka_unit_test(looked_at_again_and_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
