/* What the store's tests share: a folder, a loop, a store, and waiting for transactions. */
#ifndef MW_STORE_TEST_STORE_H
#define MW_STORE_TEST_STORE_H

#include "store/store.h"

struct fixture {
    char dir[64];
    char path[96];
    uv_loop_t loop;
    struct mw_store *store;
    struct mw_store_params params; /* of the next test_open */
    /* What the ops and callbacks told. */
    struct mw_tx_result result; /* of the last test_commit */
    char message[256];          /* its sentence */
    int64_t committed;
    int commits, drains, stalls, recoveries;
    char reason[256];
};

/* cmocka fixture functions; *state is a struct fixture with an open store. */
int test_setup(void **state);
int test_teardown(void **state);

void test_open(struct fixture *f);
void test_close(struct fixture *f);
void test_reopen(struct fixture *f);

/* Commits and waits for the callback; f->result is its result. Returns its error. */
int test_commit(struct fixture *f, struct mw_tx *tx);
struct mw_tx *test_tx(struct fixture *f);

/* A post by ada in channel c1, seen by bot b1. */
struct mw_event test_post(const char *id, int64_t at);

/* Commits one event; returns its id, 0 = duplicate. */
int64_t test_event(struct fixture *f, const struct mw_event *ev);
int64_t test_observed(struct fixture *f, const struct mw_event *ev, int64_t deleted_at);

/* Waits until the index holds all that is committed. */
void test_indexed(struct fixture *f);
/* Runs the loop for a moment, so that what the writer does on its own can be seen. */
void test_turn(struct fixture *f);

/* "post:p1:0 post_edited:p1:7 ..." of the rows that match, "" when there are none. Valid until the
 * next call. */
const char *test_events(struct fixture *f, const struct mw_event_filter *filter);

#endif
