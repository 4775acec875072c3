/* What the tests of the HTTP client share: a server that answers by a script, and calls that are
 * waited for. */
#ifndef MW_IO_TEST_HTTP_H
#define MW_IO_TEST_HTTP_H

#include "io/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "io/httpd.h"

/* A server that answers each request by the next line of a script. */
struct step {
    const char *reply; /* NULL: none */
    enum { KEEP, CLOSE, RESET } then;
};

struct peer {
    uv_tcp_t tcp;
    struct fixture *f;
    struct mw_buf in;
};

struct fixture {
    uv_loop_t loop;
    uv_tcp_t listener;
    uint16_t port;
    const struct step *script;
    size_t at, n_steps;
    unsigned connections;
    unsigned requests;
    struct mw_buf seen; /* all requests */
    struct mw_http *http;
    struct mw_httpd *httpd;
    char *dir;

    unsigned done; /* callbacks that came */
    int error, status;
    enum mw_http_phase phase;
    char text[256];
    char type[64];
    char custom[64];
    char *body;
    size_t body_len;
    int64_t retry_after_ms, date_ms;
    bool free_in_callback;

    /* A streamed answer. */
    uv_stream_t *last_peer;
    const char *const *more; /* what the server sends after each piece; NULL = it closes */
    char streamed[256];
    unsigned pieces;
    struct mw_http_call *cancel_in_data;
    bool free_in_data;
    int data_result;
};

/* cmocka fixture functions; *state is a struct fixture with the server and a client. */
int setup(void **state);
int teardown(void **state);
/* For closing a connection of the server. */
void on_peer_closed(uv_handle_t *handle);
/* Of the server; valid until the next call. */
char *url(struct fixture *f, const char *path);
/* For a request that a test starts itself: notes the answer. */
void on_done(const struct mw_http_response *r, void *userdata);
/* Starts a call (no URL: to the server); `call` waits until it is done. */
void start(struct fixture *f, const struct mw_http_request *req);
void call(struct fixture *f, const struct mw_http_request *req);
/* The sentence has `needle` in it, and no secret. */
void expect_sentence(struct fixture *f, const char *needle);
void expect_failure(struct fixture *f, int error, enum mw_http_phase phase, const char *sentence);
/* A real server in place of the script: echoes bodies, breaks off /abort. */
void start_httpd(struct fixture *f);

#define SCRIPT(f, ...)                                                                             \
    static const struct step script_[] = {__VA_ARGS__};                                            \
    (f)->script = script_;                                                                         \
    (f)->at = 0;                                                                                   \
    (f)->n_steps = MW_ARRAY_LEN(script_)

#define OK_REPLY "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static const char *const secret_headers[] = {"Authorization: Bearer hunter2", NULL};
static const struct mw_http_request get = {.method = "GET", .headers = secret_headers};
static const struct mw_http_request post = {
    .method = "POST", .headers = secret_headers, .body = "{\"a\":1}", .body_len = 7};

#endif
