#include "mattermost/budget.h"

#include <ctype.h>
#include <math.h>

#include "base/clock.h"
#include "base/str.h"
#include "io/handle.h"

enum {
    HOLD_MS = 1000, /* after a 429 that names no time */
    HOLD_MAX_MS = 10 * 60 * 1000,
    WAIT_MIN_MS = 20, /* for the budget to grow */
    WAIT_MAX_MS = 10 * 1000,
    OLD_MS = 10 * 1000,           /* who waited that long takes a turn whatever its class */
    EPOCH_S = 1000 * 1000 * 1000, /* a Reset beyond it is a date, as other servers send it */
};
#define MIN_PER_SECOND 1.0 /* until the rate is known; the server says no when that is too much */

/* Percent of the limit that a class leaves to those before it. */
static const unsigned reserve[MM_CLASSES] = {
    [MM_CLASS_ANSWER] = 0,
    [MM_CLASS_CHANGE] = 5,
    [MM_CLASS_READ] = 10,
    [MM_CLASS_SIGN] = 25,
};

static const char *const names[MM_CLASSES] = {
    [MM_CLASS_ANSWER] = "answers",
    [MM_CLASS_CHANGE] = "changes",
    [MM_CLASS_READ] = "reads",
    [MM_CLASS_SIGN] = "signs",
};

struct mm_budget {
    struct mm_budget_member *first, *last; /* who sent last is last */
    struct mw_timer *timer;
    int64_t limit, remaining; /* -1 = none */
    int64_t at;               /* monotonic: when the server said so */
    uint64_t told_by;         /* the number of the call that it said it to */
    uint64_t sent;            /* the number of the newest call */
    double per_second;        /* at least; 0 = not known */
    int64_t held_until;       /* monotonic */
    int64_t refused;
    unsigned in_flight;
    bool was_old; /* the last turn went to what had waited for long */
};

/* ---- Classes ---- */

/* The first row that fits counts. */
static const struct {
    const char *method, *prefix, *suffix; /* suffix NULL = any */
    enum mm_class class;
} classes[] = {
    {"GET", "/", NULL, MM_CLASS_READ},
    {"POST", "/posts", "", MM_CLASS_ANSWER},
    {"POST", "/posts/ephemeral", "", MM_CLASS_ANSWER},
    {"POST", "/files", NULL, MM_CLASS_ANSWER},
    {"POST", "/uploads", NULL, MM_CLASS_ANSWER},
    {"POST", "/channels/direct", "", MM_CLASS_ANSWER},
    {"POST", "/channels/group", "", MM_CLASS_ANSWER},
    {"POST", "/users/ids", NULL, MM_CLASS_READ},
    {"POST", "/users/usernames", NULL, MM_CLASS_READ},
    {"POST", "/users/login", NULL, MM_CLASS_READ},
    {"POST", "/posts/ids", NULL, MM_CLASS_READ},
    {"POST", "/", "/search", MM_CLASS_READ},
    {"POST", "/reactions", NULL, MM_CLASS_SIGN},
    {"POST", "/users/", "/typing", MM_CLASS_SIGN},
    {"POST", "/channels/members/", "/view", MM_CLASS_SIGN},
};

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);

    return n >= k && strcmp(s + n - k, end) == 0;
}

enum mm_class mm_class_of(const char *method, const char *path)
{
    if (mw_streq(method, "DELETE") && strstr(path, "/reactions/"))
        return MM_CLASS_SIGN;
    for (size_t i = 0; i < MW_ARRAY_LEN(classes); i++) {
        const char *suffix = classes[i].suffix;
        bool fits = mw_streq(classes[i].method, method) && mw_starts_with(path, classes[i].prefix);

        /* An empty suffix: exactly this path. */
        if (fits && suffix)
            fits = *suffix ? ends_with(path, suffix) : strlen(path) == strlen(classes[i].prefix);
        if (fits)
            return classes[i].class;
    }
    return MM_CLASS_CHANGE;
}

const char *mm_class_name(enum mm_class c)
{
    return c < MM_CLASSES ? names[c] : "?";
}

/* ---- What there is ---- */

static double rate(const struct mm_budget *b)
{
    return MW_MAX(b->per_second, MIN_PER_SECOND);
}

static double grown(const struct mm_budget *b, int64_t now)
{
    return fmin((double)b->limit, (double)b->remaining + (double)(now - b->at) * rate(b) / 1000);
}

/* How many calls the server would take now. It has not told us yet about those that were sent after
 * the one that it told us by, nor maybe about earlier ones that still have no answer: calls side by
 * side overtake each other. One more is kept for those whose answers do.
 */
static double available(const struct mm_budget *b, int64_t now)
{
    uint64_t untold = MW_MAX(b->sent - b->told_by, (uint64_t)b->in_flight);

    return grown(b, now) - (double)untold - (b->in_flight > 0);
}

/* Milliseconds until a call of this class may go; 0 = now. */
static int64_t wait_for(const struct mm_budget *b, enum mm_class c, bool old, int64_t now)
{
    double kept = old ? 0 : floor((double)b->limit * reserve[c] / 100), lacking;

    if (b->limit < 0)
        return 0;
    lacking = kept + 1 - available(b, now);
    if (lacking <= 0)
        return 0;
    return MW_MIN(MW_MAX((int64_t)ceil(lacking / rate(b) * 1000), WAIT_MIN_MS), WAIT_MAX_MS);
}

/* ---- Turns ---- */

struct turn {
    struct mm_budget_member *member;
    enum mm_class class;
    int64_t since;
    bool old;
};

/* The first member with a call of the class; false = none. */
static bool first_of(struct mm_budget *b, enum mm_class c, struct turn *ret)
{
    for (struct mm_budget_member *m = b->first; m; m = m->next) {
        int64_t since = 0;

        if (m->ops->ready(m) && m->ops->waiting(m, c, &since)) {
            *ret = (struct turn){.member = m, .class = c, .since = since};
            return true;
        }
    }
    return false;
}

/* Whose turn it is; false = nobody waits who could send. */
static bool next_turn(struct mm_budget *b, int64_t now, struct turn *ret)
{
    struct turn best = {0}, oldest = {0}, t;

    for (enum mm_class c = 0; c < MM_CLASSES; c++) {
        if (!first_of(b, c, &t))
            continue;
        if (!best.member)
            best = t;
        if (!oldest.member || t.since < oldest.since)
            oldest = t;
    }
    if (!best.member)
        return false;
    *ret = b->was_old || now - oldest.since < OLD_MS ? best : oldest;
    ret->old = now - ret->since >= OLD_MS;
    return true;
}

/* Who sent goes behind the others. */
static void to_the_end(struct mm_budget *b, struct mm_budget_member *m)
{
    const struct mm_budget_ops *ops = m->ops;

    mm_budget_leave(m);
    mm_budget_join(b, m, ops);
}

/* A lower class may have less to leave than its turn needs: when the best must wait, so must all
 * others, for none is asked for less. */
void mm_budget_pump(struct mm_budget *b)
{
    struct turn t;

    for (;;) {
        int64_t now = mw_clock_mono(), wait;

        if (!next_turn(b, now, &t)) {
            mw_timer_stop(b->timer);
            return;
        }
        wait = now < b->held_until ? b->held_until - now : wait_for(b, t.class, t.old, now);
        if (wait > 0) {
            mw_timer_start(b->timer, wait);
            return;
        }
        b->was_old = t.old && !b->was_old;
        if (t.member->ops->send(t.member, t.class, b->sent + 1)) {
            b->sent++;
            b->in_flight++;
            to_the_end(b, t.member);
        }
    }
}

static void on_timer(void *userdata)
{
    mm_budget_pump(userdata);
}

/* ---- Answers ---- */

static bool number(const struct mw_http_response *r, const char *name, int64_t *ret)
{
    const char *value = r->header(r, name);

    if (!value || !isdigit((unsigned char)*value))
        return false;
    *ret = strtoll(value, NULL, 10);
    return true;
}

static void hold(struct mm_budget *b, const struct mw_http_response *r, int64_t reset, int64_t now)
{
    int64_t wait = r->retry_after_ms;

    if (wait < 0 && reset > EPOCH_S)
        reset = MW_MAX(reset - (r->date_ms ? r->date_ms : mw_clock_now()) / 1000, 0);
    if (wait < 0)
        wait = reset > 0 ? MW_MIN(reset, HOLD_MAX_MS) * 1000 : HOLD_MS;
    wait = MW_MIN(MW_MAX(wait, 100), HOLD_MAX_MS);
    b->held_until = MW_MAX(b->held_until, now + wait);
    b->refused++;
    b->per_second = 0; /* what we believed was too much */
}

/* What the server says counts calls up to this one; an answer that was overtaken says nothing new.
 */
static void learn(struct mm_budget *b, uint64_t call, int64_t limit, int64_t remaining,
                  int64_t reset, int64_t now)
{
    b->limit = limit;
    if (call < b->told_by)
        return;
    b->told_by = call;
    b->remaining = MW_MIN(remaining, limit);
    b->at = now;
    /* Whole seconds, rounded up: what follows is the least that the rate can be. */
    if (reset > 0 && reset < EPOCH_S)
        b->per_second = fmax(b->per_second, (double)(limit - b->remaining) / (double)reset);
}

static void read_answer(struct mm_budget *b, uint64_t call, const struct mw_http_response *r,
                        int64_t now)
{
    int64_t limit = 0, remaining = 0, reset = 0;
    bool told = number(r, "X-Ratelimit-Limit", &limit) &&
                number(r, "X-Ratelimit-Remaining", &remaining) && limit > 0;

    (void)number(r, "X-Ratelimit-Reset", &reset);
    if (r->status == 429)
        hold(b, r, reset, now);
    if (told)
        learn(b, call, limit, remaining, reset, now);
    else if (r->status == 429)
        learn(b, call, MW_MAX(b->limit, 1), 0, 0, now);
    else if (r->status >= 200 && r->status < 300)
        b->limit = b->remaining = -1; /* it is switched off */
}

void mm_budget_ended(struct mm_budget *b, uint64_t call, const struct mw_http_response *r)
{
    int64_t now = mw_clock_mono();

    b->in_flight--;
    if (r->error == 0 && r->header)
        read_answer(b, call, r, now);
    if (b->in_flight == 0 && b->told_by != b->sent) {
        /* The last ones were lost, or overtaken. They count. */
        if (b->limit >= 0)
            b->remaining = (int64_t)fmax(grown(b, now) - (double)(b->sent - b->told_by), 0);
        b->at = now;
        b->told_by = b->sent;
    }
}

/* ---- Members ---- */

int mm_budget_new(uv_loop_t *loop, struct mm_budget **ret)
{
    struct mm_budget *b = calloc(1, sizeof(*b));

    if (!b)
        return -ENOMEM;
    b->limit = b->remaining = -1;
    if (mw_timer_new(loop, on_timer, b, &b->timer)) {
        free(b);
        return -ENOMEM;
    }
    *ret = b;
    return 0;
}

void mm_budget_free(struct mm_budget *b)
{
    if (!b)
        return;
    mw_timer_free(b->timer);
    free(b);
}

void mm_budget_join(struct mm_budget *b, struct mm_budget_member *m,
                    const struct mm_budget_ops *ops)
{
    *m = (struct mm_budget_member){.budget = b, .ops = ops, .prev = b->last};
    *(b->last ? &b->last->next : &b->first) = m;
    b->last = m;
}

void mm_budget_leave(struct mm_budget_member *m)
{
    struct mm_budget *b = m->budget;

    if (!b)
        return;
    *(m->prev ? &m->prev->next : &b->first) = m->next;
    *(m->next ? &m->next->prev : &b->last) = m->prev;
    m->budget = NULL;
}

void mm_budget_get_stats(const struct mm_budget *b, struct mm_budget_stats *ret)
{
    int64_t now = mw_clock_mono();

    *ret = (struct mm_budget_stats){
        .limit = b->limit,
        .remaining = b->remaining,
        .per_second = b->limit >= 0 ? b->per_second : 0,
        .refused = b->refused,
        .held_until = now < b->held_until ? mw_clock_now() + b->held_until - now : 0,
        .in_flight = b->in_flight,
    };
    for (struct mm_budget_member *m = b->first; m; m = m->next) {
        ret->members++;
        for (enum mm_class c = 0; c < MM_CLASSES; c++) {
            int64_t since;

            ret->waiting[c] += m->ops->waiting(m, c, &since);
        }
    }
}
