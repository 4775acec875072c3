/*
 * What the gateway knows of a handler: give it an event, get back what to answer, once.
 * A handler type is a row in handlers.c; types know nothing of each other, nor of bots and
 * delivery. All calls on the loop's thread.
 */
#ifndef MW_GATEWAY_HANDLER_H
#define MW_GATEWAY_HANDLER_H

#include <uv.h>

#include "base/error.h"
#include "gateway/config.h"
#include "store/event.h"

enum gw_handler_end {
    GW_HANDLER_ANSWERED,
    GW_HANDLER_EMPTY,  /* ended well, said nothing */
    GW_HANDLER_FAILED, /* could not start, non-zero exit, signal, flood */
    GW_HANDLER_TIMEOUT,
    GW_HANDLER_CANCELED, /* by gw_handler_cancel: the task is to be given again */
};

struct gw_handler_answer {
    enum gw_handler_end end;
    const char *text;    /* Markdown, valid during the call; "" unless answered */
    struct mw_error err; /* sentence for the log and `status` */
};
typedef void (*gw_handler_cb)(const struct gw_handler_answer *a, void *userdata);

struct gw_handler_run; /* one event under way */

struct gw_handler_type {
    const char *name; /* `type:` in the config */
    /* cb comes exactly once, never before this returns 0. Negative errno: could not start, cb never
     * comes. */
    int (*start)(uv_loop_t *loop, const struct gw_handler_config *config, const struct mw_event *ev,
                 gw_handler_cb cb, void *userdata, struct gw_handler_run **ret,
                 struct mw_error *err);
    void (*cancel)(struct gw_handler_run *run);
};

#endif
