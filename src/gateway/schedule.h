/*
 * The schedules of one bot's routes: when a time has come, an event of kind schedule goes into the
 * journal, and everything else is the dispatcher's.
 *
 * The event's object is "ROUTE/TIME", so the database takes it once, whatever happens to the daemon
 * or to the clock. How far a schedule is stands beside it, written in the same transaction: scope
 * "schedule:BOT", key ROUTE, "POSITION LAST WHAT"; with another schedule or zone it starts anew.
 *
 * What is not noticed within two minutes (the daemon was down, the machine slept, the clock was put
 * forward) was missed: `missed` says what becomes of it. All calls on the loop's thread.
 */
#ifndef MW_GATEWAY_SCHEDULE_H
#define MW_GATEWAY_SCHEDULE_H

#include "base/json.h"
#include "gateway/cron.h"

struct gw_bot;
struct gw_schedule;

/* ---- The pure part; times are wall clock milliseconds ---- */

struct gw_schedule_due {
    int64_t slot;     /* the newest one that has come; -1 = none */
    bool older;       /* it is not the only one */
    bool missed;      /* it comes late */
    int64_t position; /* from where to look next time */
    int64_t next;     /* the first one still to come; -1 = never */
};
/* What has come behind `position`. When the clock was put back by more than an hour, the times that
 * it shows count from there on; by less, none comes a second time. */
void gw_schedule_look(const struct gw_cron *cron, const struct gw_zone *zone, int64_t position,
                      int64_t now, struct gw_schedule_due *ret);

/* ---- At run time ---- */

/* Returns 0 or -ENOMEM. */
int gw_schedule_new(struct gw_bot *bot, struct gw_schedule **ret);
void gw_schedule_free(struct gw_schedule *s);
/* Takes the routes of the bot's config, while the bot has no client. Returns 0 or a negative errno;
 * then nothing changed. */
int gw_schedule_configure(struct gw_schedule *s);
/* The bot is online, or somebody wants it looked at: what waits for its channel is tried now. */
void gw_schedule_wake(struct gw_schedule *s);
/* Events of ours may not be in the journal: go back to what the store knows. */
void gw_schedule_again(struct gw_schedule *s);
void gw_schedule_stop(struct gw_schedule *s);

/* Appends objects: bot, route, schedule, timezone?, channel, next?, last?, waiting? (the time that
 * has come), problem?. Returns 0 or -ENOMEM. */
int gw_schedule_json(const struct gw_schedule *s, cJSON *array);

#endif
