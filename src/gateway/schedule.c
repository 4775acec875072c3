#include "gateway/schedule.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "gateway/internal.h"

#define LATE_MS     120000  /* noticed later than this is missed */
#define SET_BACK_MS 3600000 /* clocks that are put back by more than this are believed */
#define TICK_MS     60000   /* so that changes of the clock are noticed */

/* ---- The pure part ---- */

void gw_schedule_look(const struct gw_cron *cron, const struct gw_zone *zone, int64_t position,
                      int64_t now, struct gw_schedule_due *ret)
{
    int64_t low, high;

    *ret = (struct gw_schedule_due){.slot = -1, .position = position};
    if (position - now > SET_BACK_MS)
        ret->position = now;
    ret->next = gw_cron_next(cron, zone, ret->position);
    if (ret->next < 0 || ret->next > now)
        return;
    /* The last moment behind which something has come: what comes behind it is the newest. */
    low = ret->position;
    high = now;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2, slot = gw_cron_next(cron, zone, middle);

        *(slot >= 0 && slot <= now ? &low : &high) = middle;
    }
    ret->slot = gw_cron_next(cron, zone, low);
    ret->older = ret->slot != ret->next;
    ret->missed = now - ret->slot > LATE_MS;
    ret->position = ret->slot;
    ret->next = gw_cron_next(cron, zone, ret->slot);
}

/* ---- One schedule ---- */

struct entry {
    struct gw_schedule *s;
    char *route;  /* its name */
    char *what;   /* schedule and zone; a change of them is another schedule */
    size_t index; /* in the bot's config */
    struct gw_cron cron;
    struct gw_zone *zone;
    int64_t position, last, next;
    int64_t waiting; /* the time that has come and is not in the journal; -1 = none */
    bool started;    /* looked at since the daemon runs */
    bool resolving;
    char *problem; /* why it waits; NULL = nothing known */
};

struct gw_schedule {
    struct gw_bot *bot;
    char *scope;
    struct mw_timer *timer;
    struct entry *entries;
    size_t n;
    bool stopped;
};

static void entries_free(struct entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(entries[i].route);
        free(entries[i].what);
        free(entries[i].problem);
        gw_zone_free(entries[i].zone);
    }
    free(entries);
}

static const struct gw_route_config *config_of(const struct entry *e)
{
    return &e->s->bot->config->routes[e->index];
}

/* Puts the event, if there is one, and how far the schedule is into the journal. */
static int record(struct entry *e, const struct mw_event *ev)
{
    MW_AUTOFREE char *value =
        mw_asprintf("%" PRId64 " %" PRId64 " %s", e->position, e->last, e->what);

    if (!value)
        return -ENOMEM;
    gw_bot_record(e->s->bot, ev, e->s->scope, e->route, value);
    return 0;
}

/* Returns 0, 1 (nothing is known of this schedule) or a negative errno. */
static int read_state(const struct gw_schedule *s, struct entry *e)
{
    MW_AUTOFREE char *value = NULL;
    int64_t position, last;
    char *end;
    int rc = mw_store_get(s->bot->gw->store, s->scope, e->route, &value);

    if (rc)
        return rc;
    position = strtoll(value, &end, 10);
    last = strtoll(end, &end, 10);
    if (*end != ' ' || !mw_streq(end + 1, e->what))
        return 1;
    e->position = position;
    e->last = last;
    return 0;
}

/* ---- The time has come ---- */

static void fire(struct entry *e, const struct mm_channel_info *ch, const char *channel_id)
{
    struct gw_bot *bot = e->s->bot;
    const struct gw_route_config *c = config_of(e);
    const struct mm_team_info *team =
        ch && ch->team_id[0] ? mm_cached_team(bot->client, ch->team_id) : NULL;
    MW_AUTOFREE char *object = mw_asprintf("%s/%" PRId64, e->route, e->waiting);
    MW_AUTOFREE char *detail = NULL;
    MW_AUTOJSON *json = cJSON_CreateObject();
    struct mw_event ev;
    int64_t last = e->last, slot = e->waiting;

    if (json && !mw_json_add_str(json, "route", e->route))
        detail = mw_json_print(json);
    if (!object || !detail)
        return; /* the next tick tries again */
    mw_event_init(&ev);
    ev.bot = bot->name;
    ev.kind = MW_EVENT_SCHEDULE;
    ev.at = e->waiting;
    ev.received_at = mw_clock_now();
    ev.object = object;
    ev.channel_id = channel_id;
    if (ch) {
        ev.channel_name = ch->name;
        ev.channel_type = ch->type;
        ev.team_id = ch->team_id;
        ev.flags = *ch->type == 'D' ? MW_EVENT_DIRECT : *ch->type == 'G' ? MW_EVENT_GROUP : 0;
    }
    if (team)
        ev.team_name = team->name;
    ev.text = c->prompt ? c->prompt : c->text;
    ev.detail = detail;
    e->last = slot;
    e->waiting = -1;
    free(take_ptr(e->problem));
    if (record(e, &ev)) {
        e->last = last;
        e->waiting = slot;
        return;
    }
    mw_log_info("the time of a schedule has come", MW_F_STR("bot", bot->name),
                MW_F_STR("route", e->route), MW_F_INT("at", slot));
}

static void on_channel(struct mm_result *r, void *userdata)
{
    struct entry *e = userdata;
    const char *id = r->outcome == MM_OK ? mw_json_str(r->body, "channel_id") : NULL;
    const char *why = mw_error_text(&r->err);

    e->resolving = false;
    if (r->outcome == MM_CANCELED || e->s->stopped || e->waiting < 0)
        return;
    if (id) {
        fire(e, mm_cached_channel(e->s->bot->client, id), id);
        return;
    }
    if (!mw_streq(e->problem, why)) {
        mw_log_error("the channel of a schedule cannot be found, trying again each minute",
                     MW_F_STR("bot", e->s->bot->name), MW_F_STR("route", e->route),
                     MW_F_STR("channel", config_of(e)->channel), MW_F_STR("reason", why));
        (void)!mw_str_set(&e->problem, why);
    }
}

static void resolve(struct entry *e)
{
    struct gw_bot *bot = e->s->bot;

    if (e->resolving || e->waiting < 0 || !bot->client || bot->state != MM_SESSION_ONLINE)
        return;
    e->resolving = true;
    if (mm_resolve_channel(bot->client, config_of(e)->channel, bot->config->team, on_channel, e))
        e->resolving = false;
}

static void look(struct entry *e, int64_t now)
{
    struct gw_schedule_due due;
    bool missed;

    gw_schedule_look(&e->cron, e->zone, e->position, now, &due);
    /* What came while the daemon was not there is missed, however short that was. */
    missed = due.missed || !e->started;
    e->started = true;
    e->position = due.position;
    e->next = due.next;
    if (due.slot < 0)
        return;
    if (missed && config_of(e)->missed == GW_MISSED_SKIP) {
        mw_log_warning("a time of a schedule was missed and is left out",
                       MW_F_STR("bot", e->s->bot->name), MW_F_STR("route", e->route),
                       MW_F_INT("at", due.slot));
        if (e->waiting < 0)
            (void)!record(e, NULL);
        return;
    }
    if (due.older || e->waiting >= 0)
        mw_log_warning("earlier times of a schedule are left out, the last one counts",
                       MW_F_STR("bot", e->s->bot->name), MW_F_STR("route", e->route),
                       MW_F_INT("at", due.slot));
    e->waiting = due.slot;
}

static void tick(struct gw_schedule *s)
{
    int64_t now = mw_clock_now(), wait = TICK_MS;

    if (s->stopped || !s->n || !s->bot->config || s->bot->gw->stopping)
        return;
    for (size_t i = 0; i < s->n; i++) {
        struct entry *e = &s->entries[i];

        look(e, now);
        resolve(e);
        if (e->next >= 0)
            wait = MW_MIN(wait, e->next - now);
    }
    mw_timer_start(s->timer, MW_MAX(wait, 1));
}

static void on_timer(void *userdata)
{
    tick(userdata);
}

/* ---- The config ---- */

static const struct entry *find(const struct gw_schedule *s, const struct entry *like)
{
    for (size_t i = 0; i < s->n; i++) {
        if (mw_streq(s->entries[i].route, like->route) && mw_streq(s->entries[i].what, like->what))
            return &s->entries[i];
    }
    return NULL;
}

static int entry_init(struct gw_schedule *s, struct entry *e, size_t index)
{
    const struct gw_route_config *c = &s->bot->config->routes[index];
    MW_AUTOERROR err = MW_ERROR_INIT;
    const struct entry *was;
    int rc;

    e->s = s;
    e->index = index;
    e->waiting = e->next = -1;
    e->route = strdup(c->name);
    e->what = mw_asprintf("%s|%s", c->schedule, c->timezone ? c->timezone : "");
    if (!e->route || !e->what)
        return -ENOMEM;
    rc = gw_cron_parse(c->schedule, &e->cron, &err);
    if (!rc)
        rc = gw_zone_load(c->timezone, &e->zone, &err);
    if (rc)
        return rc < 0 ? rc : -EINVAL; /* the check of the config let it pass a moment ago */
    was = find(s, e);
    if (was) {
        e->position = was->position;
        e->last = was->last;
        e->waiting = was->waiting;
        e->started = was->started;
        return 0;
    }
    return read_state(s, e);
}

int gw_schedule_configure(struct gw_schedule *s)
{
    const struct gw_bot_config *c = s->bot->config;
    struct entry *entries = calloc(c->n_routes + 1, sizeof(*entries));
    bool *fresh = calloc(c->n_routes + 1, sizeof(*fresh));
    size_t n = 0;
    int rc = entries && fresh ? 0 : -ENOMEM;

    for (size_t i = 0; i < c->n_routes && rc >= 0; i++) {
        if (!c->routes[i].schedule)
            continue;
        rc = entry_init(s, &entries[n], i);
        fresh[n] = rc == 1;
        n++;
    }
    if (rc < 0) {
        if (entries)
            entries_free(entries, n);
        free(fresh);
        return rc;
    }
    entries_free(s->entries, s->n);
    s->entries = entries;
    s->n = n;
    for (size_t i = 0; i < n; i++) {
        if (!fresh[i])
            continue;
        /* Seen for the first time, it has missed nothing. */
        entries[i].position = mw_clock_now();
        entries[i].last = 0;
        entries[i].started = true;
        (void)!record(&entries[i], NULL);
    }
    free(fresh);
    mw_timer_stop(s->timer);
    if (n)
        mw_timer_start(s->timer, 0);
    return 0;
}

void gw_schedule_wake(struct gw_schedule *s)
{
    tick(s);
}

void gw_schedule_again(struct gw_schedule *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct entry *e = &s->entries[i];
        int64_t fired = e->last, position = e->position;

        e->last = 0;
        (void)!read_state(s, e);
        e->position = position;
        /* If it is in the journal after all, that takes no second one. */
        if (e->last < fired && e->waiting < 0)
            e->waiting = fired;
    }
    if (s->n && !s->stopped)
        mw_timer_start(s->timer, TICK_MS);
}

/* ---- Life ---- */

int gw_schedule_new(struct gw_bot *bot, struct gw_schedule **ret)
{
    struct gw_schedule *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->bot = bot;
    s->scope = mw_asprintf("schedule:%s", bot->name);
    if (!s->scope || mw_timer_new(bot->gw->loop, on_timer, s, &s->timer)) {
        gw_schedule_free(s);
        return -ENOMEM;
    }
    *ret = s;
    return 0;
}

void gw_schedule_free(struct gw_schedule *s)
{
    if (!s)
        return;
    mw_timer_free(s->timer);
    entries_free(s->entries, s->n);
    free(s->scope);
    free(s);
}

void gw_schedule_stop(struct gw_schedule *s)
{
    s->stopped = true;
    mw_timer_stop(s->timer);
}

/* ---- For people ---- */

static int entry_json(const struct entry *e, cJSON *o)
{
    const struct gw_route_config *c = config_of(e);

    if (mw_json_add_str(o, "bot", e->s->bot->name) | mw_json_add_str(o, "route", e->route) |
        mw_json_add_str(o, "schedule", c->schedule) | mw_json_add_str(o, "channel", c->channel))
        return -ENOMEM;
    if ((c->timezone && mw_json_add_str(o, "timezone", c->timezone)) ||
        (e->next >= 0 && mw_json_add_i64(o, "next", e->next)) ||
        (e->last > 0 && mw_json_add_i64(o, "last", e->last)) ||
        (e->waiting >= 0 && mw_json_add_i64(o, "waiting", e->waiting)) ||
        (e->problem && mw_json_add_str(o, "problem", e->problem)))
        return -ENOMEM;
    return 0;
}

int gw_schedule_json(const struct gw_schedule *s, cJSON *array)
{
    for (size_t i = 0; s->bot->config && i < s->n; i++) {
        cJSON *o = cJSON_CreateObject();

        if (mw_json_push(array, o) || entry_json(&s->entries[i], o))
            return -ENOMEM;
    }
    return 0;
}
