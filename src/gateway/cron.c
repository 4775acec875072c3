#include "gateway/cron.h"

#include <ctype.h>
#include <strings.h>

#include "base/str.h"

#define DAY     86400
#define HORIZON ((int64_t)3660 * DAY)

struct field {
    const char *name;
    int min, max;
    const char *names; /* three letters each, from min on */
};

enum { MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK, N_FIELDS };

static const struct field fields[N_FIELDS] = {
    [MINUTE] = {"minute", 0, 59, ""},
    [HOUR] = {"hour", 0, 23, ""},
    [DAY_OF_MONTH] = {"day of month", 1, 31, ""},
    [MONTH] = {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
    [DAY_OF_WEEK] = {"day of week", 0, 7, "sunmontuewedthufrisat"},
};

/* ---- Parsing ---- */

static int bad_value(const struct field *f, const char *p, struct mw_error *err)
{
    return mw_error_set(err, 1, "%s: \"%.*s\" is not a number from %d to %d%s", f->name,
                        (int)strcspn(p, ",-/ \t"), p, f->min, f->max,
                        f->names[0] ? ", nor a name of three letters" : "");
}

static int read_value(const struct field *f, const char **p, int *ret, struct mw_error *err)
{
    size_t len = strcspn(*p, ",-/ \t");
    int n = 0;

    if (len == 3 && isalpha((unsigned char)**p)) {
        for (int i = 0; f->names[(size_t)i * 3]; i++) {
            if (!strncasecmp(*p, f->names + (size_t)i * 3, 3)) {
                *p += 3;
                *ret = f->min + i;
                return 0;
            }
        }
        return bad_value(f, *p, err);
    }
    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)(*p)[i]) || i > 3)
            return bad_value(f, *p, err);
        n = n * 10 + ((*p)[i] - '0');
    }
    if (!len || n < f->min || n > f->max)
        return bad_value(f, *p, err);
    *p += len;
    *ret = n;
    return 0;
}

/* One part of a list. */
static int read_part(const struct field *f, const char **p, uint64_t *bits, struct mw_error *err)
{
    const char *part = *p;
    int from = f->min, to = f->max, step = 1, r;
    bool range = true;

    if (**p == '*') {
        (*p)++;
    } else {
        r = read_value(f, p, &from, err);
        if (r)
            return r;
        to = from;
        range = **p == '-';
        if (range) {
            (*p)++;
            r = read_value(f, p, &to, err);
            if (r)
                return r;
            if (f == &fields[DAY_OF_WEEK] && to == 0 && from > 0)
                to = 7; /* fri-sun */
            if (to < from)
                return mw_error_set(err, 1, "%s: the range \"%.*s\" ends before it begins", f->name,
                                    (int)(*p - part), part);
        }
    }
    if (**p == '/') {
        size_t digits = strspn(*p + 1, "0123456789");

        step = digits && digits < 4 ? (int)strtol(*p + 1, NULL, 10) : 0;
        if (step < 1)
            return mw_error_set(err, 1, "%s: a step is a number from 1 on, as in */5", f->name);
        *p += 1 + digits;
        if (!range)
            to = f->max; /* 5/10: from 5 on */
    }
    if (**p && !strchr(", \t", **p))
        return mw_error_set(err, 1, "%s: \"%.*s\" is not understood", f->name,
                            (int)strcspn(part, ", \t"), part);
    for (int i = from; i <= to; i += step)
        *bits |= UINT64_C(1) << i;
    return 0;
}

static int read_field(const struct field *f, const char **p, uint64_t *bits, struct mw_error *err)
{
    int r;

    for (;;) {
        r = read_part(f, p, bits, err);
        if (r || **p != ',')
            return r;
        (*p)++;
    }
}

/* 30 February has no slots, and nobody would see why. */
static bool is_possible(const struct gw_cron *c, bool any_weekday_alone)
{
    static const int days[] = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    for (int m = 1; m <= 12; m++) {
        if (!(c->months & (1u << m)))
            continue;
        for (int d = 1; d <= days[m]; d++) {
            if (c->days & (1u << d))
                return true;
        }
    }
    return any_weekday_alone;
}

static const char *expand(const char *text)
{
    static const char *const names[][2] = {
        {"@hourly", "0 * * * *"},
        {"@daily", "0 0 * * *"},
        {"@weekly", "0 0 * * 0"},
        {"@monthly", "0 0 1 * *"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(names); i++) {
        size_t len = strlen(names[i][0]);

        if (!strncmp(text, names[i][0], len) && !text[len + strspn(text + len, " \t")])
            return names[i][1];
    }
    return text;
}

int gw_cron_parse(const char *text, struct gw_cron *ret, struct mw_error *err)
{
    const char *p = text + strspn(text, " \t");
    uint64_t bits[N_FIELDS] = {0};
    bool star[N_FIELDS] = {false};
    struct gw_cron c;

    if (*p == '@') {
        p = expand(p);
        if (*p == '@')
            return mw_error_set(err, 1, "\"%s\": use @hourly, @daily, @weekly or @monthly", p);
    }
    for (int i = 0; i < N_FIELDS; i++) {
        int r;

        if (!*p)
            return mw_error_set(err, 1,
                                "%s: missing; a schedule has five fields: minute, hour, day of "
                                "month, month, day of week",
                                fields[i].name);
        star[i] = *p == '*';
        r = read_field(&fields[i], &p, &bits[i], err);
        if (r)
            return r;
        p += strspn(p, " \t");
    }
    if (*p)
        return mw_error_set(err, 1,
                            "\"%s\" is too much: a schedule has five fields: minute, hour, day of "
                            "month, month, day of week",
                            p);
    c = (struct gw_cron){
        .minutes = bits[MINUTE],
        .hours = (uint32_t)bits[HOUR],
        .days = (uint32_t)bits[DAY_OF_MONTH],
        .months = (uint32_t)bits[MONTH],
        .weekdays = (uint8_t)((bits[DAY_OF_WEEK] | bits[DAY_OF_WEEK] >> 7) & 0x7f),
        .real_time = star[MINUTE] || star[HOUR],
        .either = !star[DAY_OF_MONTH] && !star[DAY_OF_WEEK],
    };
    if (!is_possible(&c, c.either))
        return mw_error_set(err, 1, "day of month: there is no such day in the months given");
    *ret = c;
    return 0;
}

/* ---- Slots ---- */

static bool is_day(const struct gw_cron *c, int64_t days)
{
    int64_t year;
    int month, day, weekday = (int)(((days + 4) % 7 + 7) % 7);
    bool by_day, by_week;

    gw_date_of_days(days, &year, &month, &day);
    if (!(c->months & (1u << month)))
        return false;
    by_day = (c->days & (1u << day)) != 0;
    by_week = (c->weekdays & (1u << weekday)) != 0;
    return c->either ? by_day || by_week : by_day && by_week;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* The first slot in local time from `from` on, before `to`; `to` = none. */
static int64_t next_local(const struct gw_cron *c, int64_t from, int64_t to)
{
    for (int64_t day = floor_div(from, DAY); day * DAY < to; day++) {
        if (!is_day(c, day))
            continue;
        for (int h = 0; h < 24; h++) {
            if (!(c->hours & (1u << h)))
                continue;
            for (int m = 0; m < 60; m++) {
                int64_t at = day * DAY + h * 3600 + m * 60;

                if ((c->minutes & (UINT64_C(1) << m)) && at >= from)
                    return MW_MIN(at, to);
            }
        }
    }
    return to;
}

int64_t gw_cron_next(const struct gw_cron *c, const struct gw_zone *zone, int64_t after_ms)
{
    int64_t from = floor_div(after_ms, 1000) + 1, last = from + HORIZON;
    int64_t begin = from; /* of what is looked through, within one offset */
    /* Local times before this one were there already (or are not wanted). */
    int64_t seen = INT64_MIN;
    int before = gw_zone_offset(zone, from - 1);
    int64_t change;

    /* The first one behind a change that is near: what came before it counts. */
    for (change = gw_zone_next_change(zone, from - 2 * DAY); change < from;
         change = gw_zone_next_change(zone, change)) {
        int64_t old_end = change + gw_zone_offset(zone, change - 1);

        seen = MW_MAX(seen, old_end);
    }
    while (begin < last) {
        int offset = gw_zone_offset(zone, begin);
        int64_t end = MW_MIN(gw_zone_next_change(zone, begin), last), first = begin + offset, slot;

        if (!c->real_time) {
            int64_t leap = begin + before; /* local time that the clock showed last */

            if (offset > before && leap >= seen && next_local(c, leap, first) < first)
                return begin * 1000;
            if (offset < before)
                seen = MW_MAX(seen, leap);
            first = MW_MAX(first, seen);
        }
        slot = next_local(c, first, end + offset);
        if (slot < end + offset)
            return (slot - offset) * 1000;
        before = offset;
        begin = end;
    }
    return -1;
}
