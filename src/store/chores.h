/*
 * What the writer does while nobody waits for it: it indexes the journal's text for search, and
 * deletes what is older than the journal is to keep. Small database transactions, each of a few
 * milliseconds; they are not synced on their own, because whatever a power cut undoes is done
 * again.
 *
 * While events keep coming, chores get at most about a twentieth of the writer's time; so the index
 * lags under a burst and catches up after it. A failure rolls back the step, is told in the report,
 * and the step is tried again later: commits meet the same trouble and tell it loudly.
 *
 * Writer's thread only.
 */
#ifndef MW_STORE_CHORES_H
#define MW_STORE_CHORES_H

#include <sqlite3.h>

#include "base/error.h"

enum mw_chore_statement {
    MW_CH_BEGIN,
    MW_CH_COMMIT,
    MW_CH_INDEXED,
    MW_CH_SET_INDEXED,
    MW_CH_READ,
    MW_CH_INDEX,
    MW_CH_UNINDEX,
    MW_CH_COUNTED,
    MW_CH_KEPT,
    MW_CH_WALK,
    MW_CH_HELD,
    MW_CH_DELETE,
    MW_CH_HORIZON,
    MW_CH_LOWEST_CURSOR,
    MW_CH_NEXT,
    MW_CH_OLD_TASKS,
    MW_CH_OLD_OUTBOX,
    MW_CH_EXPIRED,
    MW_CH_COUNT,
};

/* See mw_store_params. */
struct mw_retention {
    int64_t keep_ms;       /* of events; 0 = for ever */
    int64_t keep_events;   /* of each bot; 0 = all */
    int64_t keep_at_least; /* ms */
    int64_t keep_done_ms;  /* of finished work; -1 = for ever */
    int64_t interval_ms;   /* between two rounds */
};

struct mw_chores_report {
    int64_t indexed_id;    /* the journal is indexed up to here */
    int64_t pruned_events; /* since the start, as is the next one */
    int64_t pruned_work;   /* state that expired, too */
    bool held; /* the last round kept events that were due, for a consumer that has not read them */
    char trouble[160]; /* why the last step failed, "" = it did not */
};

struct mw_chore_bot {
    int64_t kept;  /* its indexed rows */
    int64_t from;  /* it has no rows that could go up to here */
    int64_t quota; /* how many of its rows are too many, in this round */
    bool stuck;    /* this round has passed one of its rows that must stay */
};

struct mw_chores {
    sqlite3 *db; /* the writer's */
    sqlite3_stmt *statements[MW_CH_COUNT];
    struct mw_retention keep;
    bool full; /* commits of others are synced */
    struct mw_chores_report report;

    bool loaded;
    int64_t newest;            /* last event that is committed */
    struct mw_chore_bot *bots; /* by number */
    size_t n_bots;

    enum { MW_ROUND_NONE, MW_ROUND_EVENTS, MW_ROUND_WORK } round;
    int64_t walked;  /* this round is through with the events up to here */
    int64_t barrier; /* and must not pass this one */

    int64_t next_at;    /* monotonic: the next step, if it is quiet then; INT64_MAX = none is due */
    int64_t overdue_at; /* the next step in any case */
    int64_t next_round;
    int64_t failures;
};

/* Does not take over db, which must outlive it. newest: the journal's last event. */
int mw_chores_init(struct mw_chores *c, sqlite3 *db, const struct mw_retention *keep, bool full,
                   int64_t newest, struct mw_error *err);
void mw_chores_deinit(struct mw_chores *c);

/* A batch was committed; newest 0 = it had no events. */
void mw_chores_committed(struct mw_chores *c, int64_t newest, int64_t now);
/* One step outside of any transaction; sets the times anew. `now` is monotonic. */
void mw_chores_step(struct mw_chores *c, int64_t now);

#endif
