#include "base/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t mw_clock_now(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t mw_clock_mono(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

char *mw_clock_rfc3339(int64_t ms, char *buf)
{
    time_t secs = (time_t)(ms / 1000);
    int milli = (int)(ms % 1000);
    struct tm tm;
    size_t n;

    if (milli < 0) {
        milli += 1000;
        secs--;
    }
    gmtime_r(&secs, &tm);
    n = strftime(buf, MW_RFC3339_SIZE - 5, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(buf + n, MW_RFC3339_SIZE - n, ".%03dZ", milli);
    return buf;
}

int mw_duration_parse(const char *s, int64_t *ret_ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"", 1000},   {"ms", 1},        {"s", 1000},
                 {"m", 60000}, {"h", 3600000LL}, {"d", 86400000LL}};
    int64_t value = 0;
    const char *p = s;

    if (!isdigit((unsigned char)*p))
        return -EINVAL;
    for (; isdigit((unsigned char)*p); p++) {
        if (value > (INT64_MAX - 9) / 10)
            return -EINVAL;
        value = value * 10 + (*p - '0');
    }
    for (size_t i = 0; i < MW_ARRAY_LEN(units); i++) {
        if (strcmp(p, units[i].unit) != 0)
            continue;
        if (value > INT64_MAX / units[i].ms)
            return -EINVAL;
        *ret_ms = value * units[i].ms;
        return 0;
    }
    return -EINVAL;
}

/* Reads exactly `digits` digits; moves *s behind them. */
static bool take_number(const char **s, unsigned digits, int *ret)
{
    int value = 0;

    for (; digits; digits--, (*s)++) {
        if (!isdigit((unsigned char)**s))
            return false;
        value = value * 10 + (**s - '0');
    }
    *ret = value;
    return true;
}

static bool take_char(const char **s, char c)
{
    if (**s != c)
        return false;
    (*s)++;
    return true;
}

static bool take_date(const char **s, struct tm *tm)
{
    int year, month;

    if (!take_number(s, 4, &year) || !take_char(s, '-') || !take_number(s, 2, &month) ||
        !take_char(s, '-') || !take_number(s, 2, &tm->tm_mday))
        return false;
    tm->tm_year = year - 1900;
    tm->tm_mon = month - 1;
    return month >= 1 && month <= 12 && tm->tm_mday >= 1 && tm->tm_mday <= 31;
}

static bool take_clock(const char **s, struct tm *tm, int *milli)
{
    if (!take_number(s, 2, &tm->tm_hour) || !take_char(s, ':') || !take_number(s, 2, &tm->tm_min) ||
        !take_char(s, ':') || !take_number(s, 2, &tm->tm_sec))
        return false;
    if (take_char(s, '.')) {
        int scale = 100;

        if (!isdigit((unsigned char)**s))
            return false;
        for (; isdigit((unsigned char)**s); (*s)++, scale /= 10)
            *milli += (**s - '0') * scale;
    }
    return tm->tm_hour <= 23 && tm->tm_min <= 59 && tm->tm_sec <= 59;
}

static bool take_zone(const char **s, int *minutes)
{
    int sign = **s == '-' ? -1 : 1, hours, mins;

    if (take_char(s, 'Z') || take_char(s, 'z'))
        return true;
    if (!take_char(s, '+') && !take_char(s, '-'))
        return false;
    if (!take_number(s, 2, &hours) || !take_char(s, ':') || !take_number(s, 2, &mins))
        return false;
    *minutes = sign * (hours * 60 + mins);
    return hours <= 23 && mins <= 59;
}

static int parse_rfc3339(const char *s, int64_t *ret_ms)
{
    struct tm tm = {0};
    int milli = 0, zone = 0, day;
    time_t secs;

    if (!take_date(&s, &tm))
        return -EINVAL;
    if (take_char(&s, 'T') || take_char(&s, 't') || take_char(&s, ' '))
        if (!take_clock(&s, &tm, &milli) || !take_zone(&s, &zone))
            return -EINVAL;
    if (*s)
        return -EINVAL;
    day = tm.tm_mday;
    secs = timegm(&tm);
    if (tm.tm_mday != day)
        return -EINVAL; /* 31 February and the like */
    *ret_ms = ((int64_t)secs - (int64_t)zone * 60) * 1000 + milli;
    return 0;
}

int mw_time_parse(const char *s, int64_t now, int64_t *ret_ms)
{
    int64_t ago;

    if (mw_duration_parse(s, &ago) == 0) {
        *ret_ms = now - ago;
        return 0;
    }
    return parse_rfc3339(s, ret_ms);
}
