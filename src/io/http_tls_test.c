/* The HTTP client over TLS, against a server of OpenSSL's in a thread. */
#include "io/http.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "io/test_ca.h"

static struct test_ca ca;

/* Serves connections one after the other until its socket is shut down. */
struct server {
    pthread_t thread;
    int fd;
    uint16_t port;
    SSL_CTX *ctx;
    unsigned answers; /* requests to answer on a connection before it is closed without a word */
    unsigned requests;
};

static bool read_request(SSL *ssl)
{
    char data[8192];
    size_t have = 0;
    int n;

    while (have < sizeof(data) - 1) {
        n = SSL_read(ssl, data + have, (int)(sizeof(data) - 1 - have));
        if (n <= 0)
            return false;
        have += (size_t)n;
        data[have] = '\0';
        if (strstr(data, "\r\n\r\n") && (!strstr(data, "POST ") || strstr(data, "{\"a\":1}")))
            return true;
    }
    return false;
}

static void *serve(void *userdata)
{
    static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    struct server *s = userdata;
    int fd;

    while ((fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        SSL *ssl = SSL_new(s->ctx);

        SSL_set_fd(ssl, fd);
        if (SSL_accept(ssl) == 1) {
            for (unsigned i = 0; read_request(ssl); i++) {
                s->requests++;
                if (i >= s->answers || SSL_write(ssl, reply, sizeof(reply) - 1) <= 0)
                    break;
            }
        }
        SSL_free(ssl);
        close(fd);
    }
    return NULL;
}

struct fixture {
    uv_loop_t loop;
    struct server server;
    struct mw_http *http;
    unsigned done;
    int error, status;
    enum mw_http_phase phase;
    char text[512];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    uv_loop_init(&f->loop);
    f->server.answers = 100;
    *state = f;
    return 0;
}

static void start(struct fixture *f, X509 *cert, bool want_client, const struct mw_tls_params *tls)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct mw_http_params params = {.tls = *tls};
    struct server *s = &f->server;
    socklen_t len = sizeof(sa);

    s->ctx = SSL_CTX_new(TLS_server_method());
    assert_non_null(s->ctx);
    assert_int_equal(SSL_CTX_use_certificate(s->ctx, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(s->ctx, ca.key), 1);
    X509_free(cert);
    if (want_client) {
        assert_int_equal(SSL_CTX_load_verify_locations(s->ctx, ca.ca_file, NULL), 1);
        SSL_CTX_set_verify(s->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(s->fd, 4), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&sa, &len), 0);
    s->port = ntohs(sa.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    assert_int_equal(mw_http_new(&f->loop, &params, &f->http, NULL), 0);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    mw_http_free(f->http);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    shutdown(f->server.fd, SHUT_RDWR);
    pthread_join(f->server.thread, NULL);
    close(f->server.fd);
    SSL_CTX_free(f->server.ctx);
    free(f);
    return 0;
}

static void on_done(const struct mw_http_response *r, void *userdata)
{
    struct fixture *f = userdata;

    f->done++;
    f->error = r->error;
    f->status = r->status;
    f->phase = r->phase;
    snprintf(f->text, sizeof(f->text), "%s", r->error ? mw_error_text(&r->err) : "");
}

static void post(struct fixture *f)
{
    MW_AUTOFREE char *url = mw_asprintf("https://localhost:%u/p?secret=tooth", f->server.port);
    struct mw_http_request req = {.method = "POST",
                                  .url = url,
                                  .body = "{\"a\":1}",
                                  .body_len = 7,
                                  .cb = on_done,
                                  .userdata = f};
    unsigned before = f->done;

    assert_int_equal(mw_http_start(f->http, &req, NULL, NULL), 0);
    while (f->done == before)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_null(strstr(f->text, "tooth"));
}

static void expect(struct fixture *f, int error, enum mw_http_phase phase, const char *sentence)
{
    if (f->error != error || f->phase != phase || !strstr(f->text, sentence))
        fail_msg("error %d, phase %d: %s", f->error, (int)f->phase, f->text);
}

static void test_trusted(void **state)
{
    struct fixture *f = *state;
    struct mw_tls_params tls = {.ca_file = ca.ca_file};

    start(f, test_ca_issue(&ca, "DNS:localhost", 3600, false), false, &tls);
    post(f);
    expect(f, 0, MW_HTTP_ANSWERED, "");
    post(f);
    expect(f, 0, MW_HTTP_ANSWERED, "");
    assert_int_equal(f->status, 200);
}

static void test_client_certificate(void **state)
{
    struct fixture *f = *state;
    struct mw_tls_params tls = {.ca_file = ca.ca_file, .cert_file = ca.client_file};

    start(f, test_ca_issue(&ca, "DNS:localhost", 3600, false), true, &tls);
    post(f);
    expect(f, 0, MW_HTTP_ANSWERED, "");
}

static void test_other_name(void **state)
{
    struct fixture *f = *state;
    struct mw_tls_params tls = {.ca_file = ca.ca_file};

    start(f, test_ca_issue(&ca, "DNS:other.example", 3600, false), false, &tls);
    post(f);
    expect(f, -EPROTO, MW_HTTP_NOT_SENT, "no TLS connection to localhost:");
    assert_int_equal(f->server.requests, 0);
}

static void test_expired(void **state)
{
    struct fixture *f = *state;
    struct mw_tls_params tls = {.ca_file = ca.ca_file};

    start(f, test_ca_issue(&ca, "DNS:localhost", -60, false), false, &tls);
    post(f);
    expect(f, -EPROTO, MW_HTTP_NOT_SENT, "expired");
}

static void test_unknown_authority(void **state)
{
    struct fixture *f = *state;
    struct mw_tls_params tls = {.ca_file = NULL};

    start(f, test_ca_issue(&ca, "DNS:localhost", 3600, true), false, &tls);
    post(f);
    expect(f, -EPROTO, MW_HTTP_NOT_SENT, "certificate");
    assert_int_equal(f->server.requests, 0);
}

static void test_insecure(void **state)
{
    struct fixture *f = *state;
    struct mw_tls_params tls = {.insecure = true};

    start(f, test_ca_issue(&ca, "DNS:other.example", -60, true), false, &tls);
    post(f);
    expect(f, 0, MW_HTTP_ANSWERED, "");
}

static void test_missing_ca_file(void **state)
{
    struct fixture *f = *state;
    struct mw_tls_params tls = {.ca_file = "/nonexistent/ca.pem"};

    start(f, test_ca_issue(&ca, "DNS:localhost", 3600, false), false, &tls);
    post(f);
    expect(f, -EPROTO, MW_HTTP_NOT_SENT, "/nonexistent/ca.pem");
}

static void test_closed_without_an_answer(void **state)
{
    struct fixture *f = *state;
    struct mw_tls_params tls = {.ca_file = ca.ca_file};

    f->server.answers = 1;
    start(f, test_ca_issue(&ca, "DNS:localhost", 3600, false), false, &tls);
    post(f);
    expect(f, 0, MW_HTTP_ANSWERED, "");
    /* On the kept connection: not sent again on another one. */
    post(f);
    expect(f, -ECONNRESET, MW_HTTP_AMBIGUOUS, "without an answer");
    assert_int_equal(f->server.requests, 2);
}

static int group_setup(void **state)
{
    test_ca_init(&ca);
    return 0;
}

static int group_teardown(void **state)
{
    test_ca_deinit(&ca);
    return 0;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_trusted),         T(test_client_certificate),       T(test_other_name),
        T(test_expired),         T(test_unknown_authority),        T(test_insecure),
        T(test_missing_ca_file), T(test_closed_without_an_answer),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
