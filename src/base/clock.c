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

static int parse_rfc3339(const char *s, int64_t *ret_ms)
{
    int year, month, day, hour, min, sec, n = 0, milli = 0, offset = 0;
    struct tm tm;
    time_t secs;

    if (sscanf(s, "%4d-%2d-%2d%n", &year, &month, &day, &n) != 3 || n != 10)
        return -EINVAL;
    s += n;
    hour = min = sec = 0;
    if (*s == 'T' || *s == 't' || *s == ' ') {
        if (sscanf(s + 1, "%2d:%2d:%2d%n", &hour, &min, &sec, &n) != 3 || n != 8)
            return -EINVAL;
        s += 9;
        if (*s == '.') {
            int scale = 100;

            if (!isdigit((unsigned char)*++s))
                return -EINVAL;
            for (; isdigit((unsigned char)*s); s++, scale /= 10)
                milli += (*s - '0') * scale;
        }
        if (*s == 'Z' || *s == 'z') {
            s++;
        } else if (*s == '+' || *s == '-') {
            int oh, om;

            if (sscanf(s + 1, "%2d:%2d%n", &oh, &om, &n) != 2 || n != 5 || oh > 23 || om > 59)
                return -EINVAL;
            offset = (oh * 60 + om) * (*s == '-' ? -1 : 1);
            s += 6;
        } else {
            return -EINVAL;
        }
    }
    if (*s || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || min > 59 || sec > 60)
        return -EINVAL;
    tm = (struct tm){.tm_year = year - 1900,
                     .tm_mon = month - 1,
                     .tm_mday = day,
                     .tm_hour = hour,
                     .tm_min = min,
                     .tm_sec = sec};
    secs = timegm(&tm);
    if (tm.tm_mday != day)
        return -EINVAL; /* 31 February and the like */
    *ret_ms = ((int64_t)secs - (int64_t)offset * 60) * 1000 + milli;
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
