/*
 * The `when` of a route: one Lua expression over an event, compiled once.
 *
 * Names are checked when it is compiled: a variable, method or library function that is not there
 * is an error with its place, however seldom that part would be reached. Functions cannot be
 * defined, so an expression cannot change anything and always ends; instructions and memory are
 * limited all the same (base/lua.h). `true`, `false`, `direct` and `mentioned` alone need no Lua.
 *
 * The result counts as in Lua: everything but false and nil is true. One thread at a time.
 */
#ifndef MW_GATEWAY_WHEN_H
#define MW_GATEWAY_WHEN_H

#include "base/error.h"
#include "store/event.h"

struct gw_when;

struct gw_when_input {
    const struct mw_event *ev;
    const char *text; /* without the mention at its beginning; NULL = as in the event */
    bool thread;      /* in a thread that the bot takes part in; MW_EVENT_THREAD counts as well */
    bool reply_to_me; /* the post replies to the bot's own */
};

#define GW_WHEN_MAX 2000 /* bytes of an expression */

/* Returns 0; 1 when the expression is wrong: "line 1, column 5: ..."; or -ENOMEM. */
int gw_when_compile(const char *text, struct gw_when **ret, struct mw_error *err);
/* Returns 0; 1 when it failed on this event (a limit, a value of the wrong type) with a sentence;
 * or -ENOMEM. */
int gw_when_eval(struct gw_when *w, const struct gw_when_input *in, bool *ret,
                 struct mw_error *err);
void gw_when_free(struct gw_when *w);

/* The variables, for the reference: iterate from 0 until NULL. */
const char *gw_when_variable(size_t i, const char **ret_doc);

#endif
