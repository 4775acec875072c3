#include "cli/stream_exec.h"

#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/str.h"
#include "cli/cli.h"

#define RETRY_MIN_MS 500
#define RETRY_MAX_MS 30000

/* The event as a file without a name, read from its beginning. Returns a descriptor or -errno. */
static int event_file(const char *json)
{
    size_t left = strlen(json);
    int fd = memfd_create("matterwire-event", MFD_CLOEXEC);

    if (fd < 0)
        return -errno;
    while (left) {
        ssize_t n = write(fd, json, left);

        if (n < 0 && errno != EINTR) {
            int rc = -errno;

            close(fd);
            return rc;
        }
        json += n > 0 ? n : 0;
        left -= n > 0 ? (size_t)n : 0;
    }
    if (lseek(fd, 0, SEEK_SET) < 0) {
        close(fd);
        return -EIO;
    }
    return fd;
}

static int spawn(const struct cli_exec *e, int input, pid_t *ret)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    int rc = posix_spawn_file_actions_init(&actions);

    if (rc)
        return -rc;
    rc = posix_spawnattr_init(&attr);
    if (rc) {
        posix_spawn_file_actions_destroy(&actions);
        return -rc;
    }
    rc = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    if (!rc)
        rc = posix_spawnattr_setsigmask(&attr, e->while_waiting);
    if (!rc)
        rc = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    if (!rc)
        rc = posix_spawnp(ret, e->argv[0], &actions, &attr, e->argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return -rc;
}

/* Waits for its end; a signal of ours is passed on. Returns its wait status. */
static int await_end(const struct cli_exec *e, pid_t pid)
{
    struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
    int status = 0;

    while (end.fd >= 0 && !(end.revents & POLLIN)) {
        if (ppoll(&end, 1, NULL, e->while_waiting) < 0) {
            end.revents = 0;
            if (errno != EINTR)
                break;
            if (*e->stop)
                kill(pid, SIGTERM);
        }
    }
    if (end.fd >= 0)
        close(end.fd);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

/* One try. Returns 0 with the wait status, or -errno when it cannot be started. */
static int run_once(const struct cli_exec *e, const char *json, int *ret_status)
{
    int input = event_file(json), rc;
    pid_t pid;

    if (input < 0)
        return input;
    rc = spawn(e, input, &pid);
    close(input);
    if (rc == 0)
        *ret_status = await_end(e, pid);
    return rc;
}

static const char *how_it_ended(int status, char *buf, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(buf, size, "ended by signal %d", WTERMSIG(status));
    else
        snprintf(buf, size, "exit status %d", WEXITSTATUS(status));
    return buf;
}

int cli_exec_event(const struct cli_exec *e, const char *json, int64_t id, bool *ret_taken)
{
    struct mw_backoff backoff;
    int64_t failures = 0;
    char how[48];

    *ret_taken = false;
    mw_backoff_init(&backoff, RETRY_MIN_MS, RETRY_MAX_MS, 0);
    for (;;) {
        struct timespec wait;
        int64_t ms;
        int status = 0, rc = run_once(e, json, &status);

        if (rc)
            return cli_error(CLI_FAILED, "cannot run %s: %s", e->argv[0], strerror(-rc));
        if (status == 0) {
            *ret_taken = true;
            return CLI_DONE;
        }
        if (*e->stop)
            return CLI_DONE;
        how_it_ended(status, how, sizeof(how));
        if (++failures == e->tries)
            return cli_error(CLI_FAILED,
                             "%s failed %lld times for event %lld (%s): the stream stops before "
                             "this event",
                             e->argv[0], (long long)failures, (long long)id, how);
        ms = mw_backoff_next(&backoff, mw_clock_mono());
        cli_error(CLI_FAILED, "%s failed for event %lld (%s); it is tried again", e->argv[0],
                  (long long)id, how);
        wait = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
        ppoll(NULL, 0, &wait, e->while_waiting);
        if (*e->stop)
            return CLI_DONE;
    }
}
