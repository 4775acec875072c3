#include "io/handle.h"

#include <signal.h>

struct mw_timer {
    uv_timer_t uv;
    void (*cb)(void *userdata);
    void *userdata;
};

struct mw_watch {
    uv_poll_t uv;
    mw_watch_cb cb;
    void *userdata;
    int events;
};

/* Both structures start with their handle. */
static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_timer(uv_timer_t *uv)
{
    struct mw_timer *t = (struct mw_timer *)uv;

    t->cb(t->userdata);
}

int mw_timer_new(uv_loop_t *loop, void (*cb)(void *userdata), void *userdata, struct mw_timer **ret)
{
    struct mw_timer *t = calloc(1, sizeof(*t));

    if (!t)
        return -ENOMEM;
    uv_timer_init(loop, &t->uv);
    t->cb = cb;
    t->userdata = userdata;
    *ret = t;
    return 0;
}

void mw_timer_free(struct mw_timer *t)
{
    if (t)
        uv_close((uv_handle_t *)&t->uv, on_closed);
}

void mw_timer_start(struct mw_timer *t, int64_t ms)
{
    uv_timer_start(&t->uv, on_timer, ms > 0 ? (uint64_t)ms : 0, 0);
}

void mw_timer_stop(struct mw_timer *t)
{
    uv_timer_stop(&t->uv);
}

bool mw_timer_active(const struct mw_timer *t)
{
    return uv_is_active((const uv_handle_t *)&t->uv);
}

static void on_poll(uv_poll_t *uv, int status, int events)
{
    struct mw_watch *w = (struct mw_watch *)uv;

    if (status < 0)
        w->events = 0; /* libuv stopped it */
    w->cb(status, status < 0 ? 0 : events, w->userdata);
}

int mw_watch_new(uv_loop_t *loop, int fd, mw_watch_cb cb, void *userdata, struct mw_watch **ret)
{
    struct mw_watch *w = calloc(1, sizeof(*w));
    int r;

    if (!w)
        return -ENOMEM;
    r = uv_poll_init(loop, &w->uv, fd);
    if (r < 0) {
        free(w);
        return r;
    }
    w->cb = cb;
    w->userdata = userdata;
    *ret = w;
    return 0;
}

void mw_watch_free(struct mw_watch *w)
{
    if (w)
        uv_close((uv_handle_t *)&w->uv, on_closed);
}

int mw_watch_set(struct mw_watch *w, int events)
{
    int r;

    if (w->events == events)
        return 0;
    r = events ? uv_poll_start(&w->uv, events, on_poll) : uv_poll_stop(&w->uv);
    w->events = r < 0 ? 0 : events;
    return r;
}

void mw_ignore_sigpipe(void)
{
    struct sigaction old;

    if (sigaction(SIGPIPE, NULL, &old) == 0 && !(old.sa_flags & SA_SIGINFO) &&
        old.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}
