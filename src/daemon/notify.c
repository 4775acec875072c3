/* The protocol is one datagram a message, fixed by sd_notify(3) for programs that speak it
 * themselves; decision 0005 says why we do. */
#include "daemon/notify.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "io/handle.h"

static void tell(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = path ? strlen(path) : 0;
    int fd;

    if (len < 2 || len >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, len);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* the abstract name space */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    /* Nobody is told when it fails: the manager's own time limits see to that. */
    (void)!sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    close(fd);
}

void notify_ready(void)
{
    tell("READY=1");
}

void notify_reloading(void)
{
    struct timespec now;
    char text[96];

    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    tell(text);
}

void notify_stopping(void)
{
    tell("STOPPING=1");
}

struct watchdog {
    struct mw_timer *timer;
    int64_t every_ms;
};

static struct watchdog watchdog;

static void on_timer(void *userdata)
{
    struct watchdog *w = userdata;

    tell("WATCHDOG=1");
    mw_timer_start(w->timer, w->every_ms);
}

/* A number in the environment; 0 = none. */
static int64_t env_number(const char *name)
{
    const char *value = getenv(name);
    long long n = value ? strtoll(value, NULL, 10) : 0;

    return n > 0 ? n : 0;
}

struct mw_timer *notify_watchdog(uv_loop_t *loop)
{
    int64_t usec = env_number("WATCHDOG_USEC"), pid = env_number("WATCHDOG_PID");

    if (!usec || (pid && pid != getpid()) ||
        mw_timer_new(loop, on_timer, &watchdog, &watchdog.timer))
        return NULL;
    watchdog.every_ms = usec / 2000; /* twice as often as is asked for */
    mw_timer_start(watchdog.timer, 0);
    return watchdog.timer;
}
