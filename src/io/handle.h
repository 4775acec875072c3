/*
 * Timers and descriptor watches of libuv that may be freed at any time, also inside their own
 * callback: the handle closes on its own later, and nothing is called after the free.
 *
 * Owner: whoever made it. All calls on the loop's thread.
 */
#ifndef MW_IO_HANDLE_H
#define MW_IO_HANDLE_H

#include <uv.h>

#include "base/macros.h"

struct mw_timer;

/* Returns 0 or -ENOMEM. */
int mw_timer_new(uv_loop_t *loop, void (*cb)(void *userdata), void *userdata,
                 struct mw_timer **ret);
void mw_timer_free(struct mw_timer *t);

/* Fires once after `ms` (0 or less = in the next round of the loop); replaces an earlier start. */
void mw_timer_start(struct mw_timer *t, int64_t ms);
void mw_timer_stop(struct mw_timer *t);
bool mw_timer_active(const struct mw_timer *t);

struct mw_watch;

/* events: UV_READABLE | UV_WRITABLE. On an error of the descriptor status is negative, events is 0
 * and the watch stands still until it is set again. */
typedef void (*mw_watch_cb)(int status, int events, void *userdata);

/* Watches fd, which stays the caller's: free the watch before closing it. Returns 0 or a negative
 * errno. */
int mw_watch_new(uv_loop_t *loop, int fd, mw_watch_cb cb, void *userdata, struct mw_watch **ret);
void mw_watch_free(struct mw_watch *w);

/* What to wait for from now on; 0 = nothing. Setting the same again costs nothing. */
int mw_watch_set(struct mw_watch *w, int events);

/*
 * A broken pipe must not kill the program. Sockets of ours are written with MSG_NOSIGNAL, but
 * OpenSSL and libuv write to descriptors by themselves, so SIGPIPE is ignored for the whole process
 * as soon as one of them is used. A handler that somebody installed stays. Children start with the
 * default action.
 */
void mw_ignore_sigpipe(void);

#endif
