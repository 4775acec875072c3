/*
 * A program that runs on and speaks JSON, one object a line, in both directions. It is started by
 * the first need, and started again, with a growing wait, by the need that follows its end.
 *
 * Owner: the instance of a handler. All calls on the loop's thread. Callbacks come from the loop,
 * never from within a call; the object must not be freed in one.
 *
 * What ends it by our hand: a line longer than `max_line`, GW_CHILD_GARBAGE lines in a row that are
 * no JSON object, the end of its standard output, and gw_child_break.
 */
#ifndef MW_HANDLERS_CHILD_H
#define MW_HANDLERS_CHILD_H

#include "base/json.h"
#include "gateway/config.h"
#include "handlers/program.h"

#define GW_CHILD_GARBAGE 100

struct gw_child;

struct gw_child_ops {
    /* It runs: after gw_child_start returned 1. */
    void (*started)(void *owner);
    /* One object that it wrote; the tree stays the child's. */
    void (*message)(void *owner, const cJSON *msg);
    /* A line that is no JSON object; `why` is a sentence. */
    void (*garbage)(void *owner, const char *why);
    /* It ended, or the start that gw_child_start put off failed. `why` is a sentence, with the last
     * lines of its standard error. Nothing that was sent to it counts any more. */
    void (*gone)(void *owner, const char *why);
};

struct gw_child_params {
    uv_loop_t *loop;
    const struct gw_handler_config *config; /* command, environment, folder; until it is freed */
    const struct gw_child_ops *ops;
    void *owner;
    size_t max_line;  /* bytes of a line from it */
    size_t max_input; /* bytes that may wait to be read by it */
};

/* Starts nothing. Returns 0 or -ENOMEM. */
int gw_child_new(const struct gw_child_params *params, struct gw_child **ret);
/* Closes its standard input; when it does not end by that, SIGTERM after half a second and SIGKILL
 * as much later, all in the background. No callback comes any more. */
void gw_child_free(struct gw_child *c);

/* Returns 0: it runs; 1: it will be started after a wait, `started` or `gone` tells; or a negative
 * errno with a sentence: it cannot be started. */
int gw_child_start(struct gw_child *c, struct mw_error *err) MW_MUST_CHECK;

/* Writes a line (without its end). Returns 0, -ENOBUFS: it does not read, -EPIPE: it does not run
 * or listen, or -ENOMEM. */
int gw_child_send(struct gw_child *c, const char *line, size_t len) MW_MUST_CHECK;

/* Ends it (SIGTERM, then SIGKILL); nothing of it is heard any more until `gone` comes, with this
 * sentence. */
void gw_child_break(struct gw_child *c, const char *why);

bool gw_child_runs(const struct gw_child *c);

/* For `status`: pid, restarts, garbage lines. */
int gw_child_status(const struct gw_child *c, cJSON *object);

#endif
