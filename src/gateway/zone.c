#include "gateway/zone.h"

#include <ctype.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/str.h"

#define FOLDER     "/usr/share/zoneinfo"
#define LOCAL      "/etc/localtime"
#define MAX_FILE   ((size_t)256 * 1024)
#define HEADER     44
#define MAX_OFFSET (48 * 3600 - 1)
#define DAY        86400
#define HORIZON    INT64_C(253402300800) /* the year 10000: behind it nothing changes */

/* When the clock is changed each year: the end of a TZif file, as in POSIX's TZ. */
struct rule {
    enum { BY_WEEK, BY_DAY, BY_DAY_WITHOUT_LEAP } form;
    int month, week, day; /* BY_WEEK: Mmonth.week.day; else day */
    int time;             /* seconds of the local time before it; may be negative */
};

struct gw_zone {
    int64_t *at; /* sorted */
    int *offset; /* from at[i] on */
    size_t n;
    int first; /* offset before at[0] */
    bool tail; /* behind the last at */
    bool tail_changes;
    int standard, summer;
    struct rule to_summer, to_standard;
};

/* ---- The calendar ---- */

int64_t gw_days_of_date(int64_t year, int month, int day)
{
    /* Years that begin in March, so that the leap day is a year's last. */
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void gw_date_of_days(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day)
{
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, d = z - era * 146097;
    int64_t y = (d - d / 1460 + d / 36524 - d / 146096) / 365;
    int64_t of_year = d - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;

    *ret_day = (int)(of_year - (153 * m + 2) / 5 + 1);
    *ret_month = (int)(m < 10 ? m + 3 : m - 9);
    *ret_year = y + era * 400 + (*ret_month <= 2);
}

static bool is_leap(int64_t y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

/* ---- The rule for all the years to come ---- */

static bool read_number(const char **p, int min, int max, int *ret)
{
    int n = 0;

    if (!isdigit((unsigned char)**p))
        return false;
    for (; isdigit((unsigned char)**p) && n <= max; (*p)++)
        n = n * 10 + (**p - '0');
    *ret = n;
    return n >= min && n <= max;
}

/* [+-]h[:m[:s]] */
static bool read_time(const char **p, int *ret)
{
    int h = 0, m = 0, s = 0;
    bool minus = **p == '-';

    if (**p == '-' || **p == '+')
        (*p)++;
    if (!read_number(p, 0, 167, &h))
        return false;
    if (**p == ':' && ((*p)++, !read_number(p, 0, 59, &m)))
        return false;
    if (**p == ':' && ((*p)++, !read_number(p, 0, 59, &s)))
        return false;
    *ret = (h * 3600 + m * 60 + s) * (minus ? -1 : 1);
    return true;
}

static bool skip_name(const char **p)
{
    const char *from = *p;

    if (**p == '<') {
        *p += strcspn(*p, ">");
        if (!**p)
            return false;
        (*p)++;
        return true;
    }
    while (isalpha((unsigned char)**p))
        (*p)++;
    return *p - from >= 3;
}

static bool read_rule(const char **p, struct rule *r)
{
    bool good;

    if (*(*p)++ != ',')
        return false;
    if (**p == 'M') {
        (*p)++;
        r->form = BY_WEEK;
        good = read_number(p, 1, 12, &r->month) && *(*p)++ == '.' &&
               read_number(p, 1, 5, &r->week) && *(*p)++ == '.' && read_number(p, 0, 6, &r->day);
    } else if (**p == 'J') {
        (*p)++;
        r->form = BY_DAY_WITHOUT_LEAP;
        good = read_number(p, 1, 365, &r->day);
    } else {
        r->form = BY_DAY;
        good = read_number(p, 0, 365, &r->day);
    }
    r->time = 2 * 3600;
    if (good && **p == '/') {
        (*p)++;
        good = read_time(p, &r->time);
    }
    return good;
}

/* "CET-1CEST,M3.5.0,M10.5.0/3" */
static bool read_tail(struct gw_zone *z, const char *p)
{
    int west;

    if (!skip_name(&p) || !read_time(&p, &west))
        return false;
    z->standard = -west;
    z->summer = z->standard + 3600;
    z->tail = true;
    if (*p) {
        if (!skip_name(&p))
            return false;
        if (*p && *p != ',') {
            if (!read_time(&p, &west))
                return false;
            z->summer = -west;
        }
        if (!read_rule(&p, &z->to_summer) || !read_rule(&p, &z->to_standard))
            return false;
        z->tail_changes = true;
    }
    return !*p && abs(z->standard) <= MAX_OFFSET && abs(z->summer) <= MAX_OFFSET;
}

/* The moment in a year, as local time. */
static int64_t rule_in(const struct rule *r, int64_t year)
{
    int64_t days = gw_days_of_date(year, 1, 1);

    if (r->form == BY_WEEK) {
        int64_t first = gw_days_of_date(year, r->month, 1), next;
        int weekday = (int)(((first + 4) % 7 + 7) % 7); /* 1970 began on a Thursday */

        days = first + (r->day - weekday + 7) % 7 + (int64_t)(r->week - 1) * 7;
        next = gw_days_of_date(r->month == 12 ? year + 1 : year, r->month % 12 + 1, 1);
        if (days >= next)
            days -= 7; /* 5 = the last */
    } else if (r->form == BY_DAY) {
        days += r->day;
    } else {
        days += r->day - 1 + (is_leap(year) && r->day >= 60);
    }
    return days * DAY + r->time;
}

static int64_t year_of(int64_t at)
{
    int64_t year;
    int month, day;

    gw_date_of_days(at >= 0 ? at / DAY : (at - DAY + 1) / DAY, &year, &month, &day);
    return year;
}

/* The changes of the rule around a moment: the last one not behind it, the first one behind it. */
static void around(const struct gw_zone *z, int64_t at, int *ret_offset, int64_t *ret_next)
{
    int64_t year = year_of(at), last = INT64_MIN;

    *ret_offset = z->standard;
    *ret_next = INT64_MAX;
    for (int64_t y = year - 2; y <= year + 2; y++) {
        const struct {
            int64_t at;
            int offset;
        } changes[] = {{rule_in(&z->to_summer, y) - z->standard, z->summer},
                       {rule_in(&z->to_standard, y) - z->summer, z->standard}};

        for (size_t i = 0; i < 2; i++) {
            if (changes[i].at <= at && changes[i].at >= last) {
                last = changes[i].at;
                *ret_offset = changes[i].offset;
            } else if (changes[i].at > at && changes[i].at < *ret_next) {
                *ret_next = changes[i].at;
            }
        }
    }
}

/* ---- Questions ---- */

/* How many of the listed changes are not behind `at`. */
static size_t passed(const struct gw_zone *z, int64_t at)
{
    size_t low = 0, high = z->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (z->at[mid] <= at)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static int64_t in_range(int64_t at)
{
    return MW_MAX(MW_MIN(at, HORIZON), -HORIZON);
}

int gw_zone_offset(const struct gw_zone *z, int64_t at)
{
    size_t k = passed(z, at);
    int offset;
    int64_t next;

    if (k < z->n || !z->tail)
        return k ? z->offset[k - 1] : z->first;
    if (!z->tail_changes)
        return z->standard;
    around(z, in_range(at), &offset, &next);
    return offset;
}

int64_t gw_zone_next_change(const struct gw_zone *z, int64_t at)
{
    size_t k = passed(z, at);
    int offset;
    int64_t next;

    if (k < z->n)
        return z->at[k];
    if (!z->tail_changes || at >= HORIZON)
        return INT64_MAX;
    around(z, in_range(at), &offset, &next);
    return next;
}

/* ---- Files ---- */

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t get64(const uint8_t *p)
{
    return (int64_t)((uint64_t)get32(p) << 32 | get32(p + 4));
}

struct counts {
    size_t utc, wall, leap, times, types, chars;
};

/* The bytes of the data behind the header, for times of `width` bytes; false = damaged. */
static bool read_header(const uint8_t *p, size_t len, unsigned width, struct counts *c,
                        size_t *ret_size)
{
    if (len < HEADER || memcmp(p, "TZif", 4) != 0)
        return false;
    *c = (struct counts){get32(p + 20), get32(p + 24), get32(p + 28),
                         get32(p + 32), get32(p + 36), get32(p + 40)};
    if (c->utc > MAX_FILE || c->wall > MAX_FILE || c->leap > MAX_FILE || c->times > MAX_FILE ||
        c->types > MAX_FILE || c->chars > MAX_FILE)
        return false;
    *ret_size = c->times * width + c->times + c->types * 6 + c->chars + c->leap * (width + 4) +
                c->wall + c->utc;
    return len - HEADER >= *ret_size && c->types > 0;
}

static int damaged(struct mw_error *err)
{
    return mw_error_set(err, 1, "the file of the time zone is damaged");
}

static int read_times(struct gw_zone *z, const uint8_t *p, const struct counts *c, unsigned width,
                      struct mw_error *err)
{
    const uint8_t *index = p + c->times * width, *types = index + c->times;

    z->at = calloc(c->times + 1, sizeof(*z->at));
    z->offset = calloc(c->times + 1, sizeof(*z->offset));
    if (!z->at || !z->offset)
        return mw_error_set(err, -ENOMEM, "out of memory");
    z->first = (int32_t)get32(types);
    if (z->first < -MAX_OFFSET || z->first > MAX_OFFSET)
        return damaged(err);
    for (size_t i = 0; i < c->times; i++) {
        int64_t at = width == 8 ? get64(p + i * 8) : (int64_t)(int32_t)get32(p + i * 4);
        int offset;

        if (index[i] >= c->types || (i && at <= z->at[i - 1]))
            return damaged(err);
        offset = (int32_t)get32(types + (size_t)index[i] * 6);
        if (offset < -MAX_OFFSET || offset > MAX_OFFSET)
            return damaged(err);
        z->at[i] = at;
        z->offset[i] = offset;
    }
    z->n = c->times;
    return 0;
}

static int parse(struct gw_zone *z, const uint8_t *p, size_t len, struct mw_error *err)
{
    struct counts c;
    size_t size;
    char tail[128];
    const uint8_t *end;
    int r;

    if (len > MAX_FILE || !read_header(p, len, 4, &c, &size))
        return damaged(err);
    if (p[4] < '2')
        return read_times(z, p + HEADER, &c, 4, err);
    /* The same again with wider times. */
    p += HEADER + size;
    len -= HEADER + size;
    if (!read_header(p, len, 8, &c, &size))
        return damaged(err);
    r = read_times(z, p + HEADER, &c, 8, err);
    if (r)
        return r;
    p += HEADER + size;
    len -= HEADER + size;
    if (len < 2 || p[0] != '\n')
        return damaged(err);
    end = memchr(p + 1, '\n', len - 1);
    if (!end || (size_t)(end - p) > sizeof(tail))
        return damaged(err);
    memcpy(tail, p + 1, (size_t)(end - p - 1));
    tail[end - p - 1] = 0;
    /* An empty one: nobody knows what comes; it stays as it is. */
    return !tail[0] || read_tail(z, tail) ? 0 : damaged(err);
}

int gw_zone_parse(const void *data, size_t len, struct gw_zone **ret, struct mw_error *err)
{
    struct gw_zone *z = calloc(1, sizeof(*z));
    int r = z ? parse(z, data, len, err) : mw_error_set(err, -ENOMEM, "out of memory");

    if (r) {
        gw_zone_free(z);
        return r;
    }
    *ret = z;
    return 0;
}

void gw_zone_free(struct gw_zone *z)
{
    if (!z)
        return;
    free(z->at);
    free(z->offset);
    free(z);
}

/* A name goes into a path: words of letters, digits, _ + and -, with slashes between them. */
static bool is_name(const char *name)
{
    bool begin = true;

    if (strlen(name) > 100)
        return false;
    for (const char *p = name; *p; p++) {
        if (*p == '/' ? begin : !isalnum((unsigned char)*p) && !strchr("_+-", *p))
            return false;
        begin = *p == '/';
    }
    return !begin;
}

static int read_file(const char *path, char *data, size_t size, size_t *ret_len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), r = 0;
    size_t len = 0;

    if (fd < 0)
        return -errno;
    while (len < size) {
        ssize_t n = read(fd, data + len, size - len);

        if (n < 0)
            r = -errno;
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    close(fd);
    *ret_len = len;
    return r;
}

int gw_zone_load(const char *name, struct gw_zone **ret, struct mw_error *err)
{
    bool local = !name || !name[0];
    MW_AUTOFREE char *path = NULL;
    MW_AUTOFREE char *data = NULL;
    size_t len = 0;
    int r;

    if (!local && !is_name(name))
        return mw_error_set(err, 1, "\"%s\" is no time zone; use a name such as Europe/Berlin",
                            name);
    path = local ? strdup(LOCAL) : mw_asprintf(FOLDER "/%s", name);
    data = malloc(MAX_FILE);
    if (!path || !data)
        return mw_error_set(err, -ENOMEM, "out of memory");
    r = read_file(path, data, MAX_FILE, &len);
    if (r && local)
        return gw_zone_load("UTC", ret, err); /* what libc does */
    if (r == -ENOENT || r == -EISDIR || r == -ENOTDIR)
        return mw_error_set(err, 1,
                            access(FOLDER, R_OK) ? "\"%s\" is not known: there is no " FOLDER
                                                   " (package tzdata)"
                                                 : "there is no time zone \"%s\" in " FOLDER,
                            name);
    if (r)
        return mw_error_set(err, r, "%s cannot be read: %s", path, strerror(-r));
    return gw_zone_parse(data, len, ret, err);
}
