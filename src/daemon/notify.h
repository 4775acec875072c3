/* What the service manager is told (sd_notify(3)); nothing happens without one. Loop's thread. */
#ifndef MW_DAEMON_NOTIFY_H
#define MW_DAEMON_NOTIFY_H

#include <uv.h>

#include "base/macros.h"

void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);

/* Tells the watchdog that the loop turns, as often as the manager wants; freed with notify_free.
 * NULL when there is no watchdog. */
struct mw_timer *notify_watchdog(uv_loop_t *loop);

#endif
