/* Frames from a peer, through a whole socket pair: the first byte picks how they are cut. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fuzz.h"
#include "base/utf8.h"
#include "io/ws.h"

struct end {
    bool closed;
};

static void on_message(struct mw_ws *ws, bool text, const char *data, size_t len, void *userdata)
{
    if (len > 4096 || (text && !mw_utf8_valid(data, len)))
        abort();
}

static void on_close(struct mw_ws *ws, const struct mw_ws_close *how, void *userdata)
{
    struct end *end = userdata;

    if (end->closed || !mw_error_is_set(how->err))
        abort();
    end->closed = true;
}

static const struct mw_ws_ops ops = {NULL, on_message, NULL, on_close};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct end end = {false};
    struct mw_ws_params params = {.max_message = 4096, .ops = &ops, .userdata = &end};
    struct mw_ws *ws = NULL;
    size_t early;
    uv_loop_t loop;
    int fds[2];

    if (size == 0 || size > 60000)
        return 0;
    early = (size - 1) * data[0] / 255;
    if (uv_loop_init(&loop) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        abort();
    if (mw_ws_accept(&loop, fds[0], (const char *)data + 1, early, &params, &ws) < 0)
        abort();
    if (send(fds[1], data + 1 + early, size - 1 - early, MSG_NOSIGNAL) < 0)
        abort();
    shutdown(fds[1], SHUT_WR);
    while (!end.closed && uv_run(&loop, UV_RUN_ONCE))
        ;
    if (!end.closed)
        abort();
    mw_ws_free(ws);
    close(fds[1]);
    uv_run(&loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&loop) < 0)
        abort();
    return 0;
}
