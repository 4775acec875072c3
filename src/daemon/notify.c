#include "daemon/notify.h"

#include "io/handle.h"

#ifdef HAVE_SYSTEMD
#include <stdio.h>
#include <systemd/sd-daemon.h>
#include <time.h>

void notify_ready(void)
{
    sd_notify(0, "READY=1");
}

void notify_reloading(void)
{
    struct timespec now;
    char text[96];

    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    sd_notify(0, text);
}

void notify_stopping(void)
{
    sd_notify(0, "STOPPING=1");
}

struct watchdog {
    struct mw_timer *timer;
    int64_t every_ms;
};

static struct watchdog watchdog;

static void on_timer(void *userdata)
{
    struct watchdog *w = userdata;

    sd_notify(0, "WATCHDOG=1");
    mw_timer_start(w->timer, w->every_ms);
}

struct mw_timer *notify_watchdog(uv_loop_t *loop)
{
    uint64_t usec;

    if (sd_watchdog_enabled(0, &usec) <= 0 ||
        mw_timer_new(loop, on_timer, &watchdog, &watchdog.timer))
        return NULL;
    watchdog.every_ms = (int64_t)(usec / 2000);
    mw_timer_start(watchdog.timer, 0);
    return watchdog.timer;
}

#else

void notify_ready(void)
{
}

void notify_reloading(void)
{
}

void notify_stopping(void)
{
}

struct mw_timer *notify_watchdog(uv_loop_t *loop)
{
    return NULL;
}

#endif
