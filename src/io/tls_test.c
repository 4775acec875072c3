/* TLS streams against a server of OpenSSL's in a thread, with certificates made on the spot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "io/loopback.h"
#include "io/stream.h"
#include "io/test_ca.h"

/* One connection: takes the handshake, echoes what comes, ends when the client does. */
struct server {
    pthread_t thread;
    int fd;
    uint16_t port;
    SSL_CTX *ctx;
    bool plain; /* speaks no TLS */
    bool cut;   /* ends without a TLS close after the first bytes */
    char sni[64];
};

static struct test_ca ca;

static void *serve(void *userdata)
{
    struct server *s = userdata;
    int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC), n;
    SSL *ssl = SSL_new(s->ctx);
    char data[65536];
    const char *name;

    if (s->plain) {
        if (send(fd, "220 mail.example ESMTP\r\n", 24, MSG_NOSIGNAL) > 0)
            while (recv(fd, data, sizeof(data), 0) > 0)
                ;
    } else {
        SSL_set_fd(ssl, fd);
        if (SSL_accept(ssl) == 1) {
            name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
            snprintf(s->sni, sizeof(s->sni), "%s", name ? name : "");
            while ((n = SSL_read(ssl, data, sizeof(data))) > 0 && SSL_write(ssl, data, n) == n)
                if (s->cut)
                    break;
            if (!s->cut)
                SSL_shutdown(ssl);
        }
    }
    SSL_free(ssl);
    close(fd);
    return NULL;
}

static void server_start(struct server *s, X509 *cert)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);

    s->ctx = SSL_CTX_new(TLS_server_method());
    assert_non_null(s->ctx);
    assert_int_equal(SSL_CTX_use_certificate(s->ctx, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(s->ctx, ca.key), 1);
    X509_free(cert);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(s->fd, 1), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&sa, &len), 0);
    s->port = ntohs(sa.sin_port);
}

struct fixture {
    struct test_loop loop;
    struct server server;
    struct mw_tls *tls;
    struct mw_tls_params tls_params;
    struct mw_stream *stream;
    unsigned opened, closed;
    size_t received, expected;
    bool same;
    enum mw_stream_stage stage;
    int code;
    char sentence[512];
    char subject[128], version[16];
    int64_t not_after;
};

#define PATTERN(i) ((char)((i)*7 + (i) / 251))

static void on_open(struct mw_stream *s, void *userdata)
{
    struct fixture *f = userdata;

    f->opened++;
    uv_stop(&f->loop.uv);
}

static void on_data(struct mw_stream *s, const char *data, size_t len, void *userdata)
{
    struct fixture *f = userdata;

    for (size_t i = 0; i < len; i++)
        f->same &= data[i] == PATTERN(f->received + i);
    f->received += len;
    if (f->received >= f->expected)
        uv_stop(&f->loop.uv);
}

static void on_close(struct mw_stream *s, enum mw_stream_stage stage, const struct mw_error *err,
                     void *userdata)
{
    struct fixture *f = userdata;
    struct mw_stream_info info;

    mw_stream_get_info(s, &info);
    snprintf(f->subject, sizeof(f->subject), "%s", info.cert_subject ? info.cert_subject : "");
    f->closed++;
    f->stage = stage;
    f->code = err->code;
    snprintf(f->sentence, sizeof(f->sentence), "%s", mw_error_text(err));
    uv_stop(&f->loop.uv);
}

static const struct mw_stream_ops ops = {
    .on_open = on_open, .on_data = on_data, .on_close = on_close};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    test_loop_init(&f->loop);
    f->tls_params.ca_file = ca.ca_file;
    f->same = true;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    mw_stream_free(f->stream);
    pthread_join(f->server.thread, NULL);
    close(f->server.fd);
    SSL_CTX_free(f->server.ctx);
    mw_tls_free(f->tls);
    test_loop_deinit(&f->loop);
    free(f);
    return 0;
}

/* Connects to a server with that certificate and runs until it is open or has failed. */
static void dial(struct fixture *f, const char *host, X509 *cert)
{
    struct mw_stream_params params = {
        .host = host, .ops = &ops, .userdata = f, .write_limit = 4 << 20};
    MW_AUTOERROR err = MW_ERROR_INIT;

    if (!f->server.ctx)
        server_start(&f->server, cert);
    assert_int_equal(pthread_create(&f->server.thread, NULL, serve, &f->server), 0);
    if (mw_tls_new(&f->tls_params, &f->tls, &err) < 0)
        fail_msg("%s", mw_error_text(&err));
    params.tls = f->tls;
    params.port = f->server.port;
    if (mw_stream_connect(&f->loop.uv, &params, &f->stream, &err) < 0)
        fail_msg("%s", mw_error_text(&err));
    test_loop_run(&f->loop);
}

static void assert_refused(const struct fixture *f, int code, const char *part)
{
    assert_int_equal(f->opened, 0);
    assert_int_equal(f->closed, 1);
    assert_int_equal(f->stage, MW_STAGE_TLS);
    assert_int_equal(f->code, code);
    if (!strstr(f->sentence, part))
        fail_msg("\"%s\" is not in \"%s\"", part, f->sentence);
}

static void echo(struct fixture *f, size_t len)
{
    char *data = malloc(len);

    assert_non_null(data);
    for (size_t i = 0; i < len; i++)
        data[i] = PATTERN(f->received + i);
    f->expected = f->received + len;
    assert_int_equal(mw_stream_write(f->stream, data, len), 0);
    free(data);
    while (f->received < f->expected)
        test_loop_run(&f->loop);
    assert_true(f->same);
}

static void test_by_name(void **state)
{
    struct fixture *f = *state;
    struct mw_stream_info info;

    dial(f, "localhost", test_ca_issue(&ca, "DNS:localhost", 86400, false));
    assert_string_equal(f->sentence, "");
    assert_int_equal(f->opened, 1);
    echo(f, 10);
    echo(f, 3 << 20);
    mw_stream_get_info(f->stream, &info);
    assert_string_equal(info.tls_version, "TLSv1.3");
    assert_string_equal(info.cert_subject, "/CN=a server");
    assert_string_equal(info.cert_issuer, "/CN=the authority");
    assert_true(info.cert_not_after > mw_clock_now());
    mw_stream_shutdown(f->stream);
    test_loop_run(&f->loop);
    assert_int_equal(f->code, 0);
    assert_string_equal(f->server.sni, "localhost");
}

static void test_by_address(void **state)
{
    struct fixture *f = *state;

    dial(f, "127.0.0.1", test_ca_issue(&ca, "IP:127.0.0.1", 86400, false));
    assert_int_equal(f->opened, 1);
    echo(f, 10);
    assert_string_equal(f->server.sni, "");
}

static void test_tls_1_2(void **state)
{
    struct fixture *f = *state;
    struct mw_stream_info info;

    server_start(&f->server, test_ca_issue(&ca, "DNS:localhost", 86400, false));
    SSL_CTX_set_max_proto_version(f->server.ctx, TLS1_2_VERSION);
    dial(f, "localhost", NULL);
    echo(f, 100000);
    mw_stream_get_info(f->stream, &info);
    assert_string_equal(info.tls_version, "TLSv1.2");
}

static void test_pause_keeps_what_openssl_holds(void **state)
{
    struct fixture *f = *state;

    dial(f, "localhost", test_ca_issue(&ca, "DNS:localhost", 86400, false));
    mw_stream_pause(f->stream);
    f->expected = 40;
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(mw_stream_write(f->stream, (char[]){PATTERN(i)}, 1), 0);
    for (int i = 0; i < 5; i++)
        uv_run(&f->loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(f->received, 0);
    mw_stream_resume(f->stream);
    while (f->received < 40)
        test_loop_run(&f->loop);
    assert_true(f->same);
}

static void test_other_name(void **state)
{
    struct fixture *f = *state;

    dial(f, "localhost", test_ca_issue(&ca, "DNS:example.com", 86400, false));
    assert_refused(f, -EKEYREJECTED, "is for another host name (/CN=a server)");
    assert_string_equal(f->subject, "/CN=a server");
}

static void test_other_address(void **state)
{
    struct fixture *f = *state;

    dial(f, "127.0.0.1", test_ca_issue(&ca, "DNS:localhost", 86400, false));
    assert_refused(f, -EKEYREJECTED, "is for another host name");
}

static void test_expired(void **state)
{
    struct fixture *f = *state;

    dial(f, "localhost", test_ca_issue(&ca, "DNS:localhost", -60, false));
    assert_refused(f, -EKEYEXPIRED, "has expired");
}

static void test_self_signed(void **state)
{
    struct fixture *f = *state;

    dial(f, "localhost", test_ca_issue(&ca, "DNS:localhost", 86400, true));
    assert_refused(f, -EKEYREJECTED, "is self-signed");
}

static void test_unknown_authority(void **state)
{
    struct fixture *f = *state;

    f->tls_params.ca_file = NULL; /* the system's */
    dial(f, "localhost", test_ca_issue(&ca, "DNS:localhost", 86400, false));
    assert_refused(f, -EKEYREJECTED, "from an unknown authority (/CN=the authority)");
}

static void test_insecure(void **state)
{
    struct fixture *f = *state;

    f->tls_params = (struct mw_tls_params){.insecure = true};
    dial(f, "localhost", test_ca_issue(&ca, "DNS:example.com", -60, true));
    assert_int_equal(f->opened, 1);
    echo(f, 10);
}

static void demand_client_certificate(struct fixture *f)
{
    server_start(&f->server, test_ca_issue(&ca, "DNS:localhost", 86400, false));
    SSL_CTX_load_verify_locations(f->server.ctx, ca.ca_file, NULL);
    SSL_CTX_set_verify(f->server.ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
}

static void test_client_certificate(void **state)
{
    struct fixture *f = *state;

    f->tls_params.cert_file = ca.client_file;
    demand_client_certificate(f);
    dial(f, "localhost", NULL);
    assert_int_equal(f->opened, 1);
    echo(f, 10);
}

/* With TLS 1.3 the client learns of it only when it reads. */
static void test_client_certificate_missing(void **state)
{
    struct fixture *f = *state;

    demand_client_certificate(f);
    dial(f, "localhost", NULL);
    if (!f->closed)
        test_loop_run(&f->loop);
    assert_int_equal(f->closed, 1);
    assert_int_equal(f->code, -EACCES);
    assert_non_null(strstr(f->sentence, "demands a client certificate"));
}

static void test_no_tls_there(void **state)
{
    struct fixture *f = *state;

    f->server.plain = true;
    dial(f, "localhost", test_ca_issue(&ca, "DNS:localhost", 86400, false));
    assert_refused(f, -EPROTO, "it does not speak TLS on this port");
}

static void test_cut_without_close(void **state)
{
    struct fixture *f = *state;

    f->server.cut = true;
    dial(f, "localhost", test_ca_issue(&ca, "DNS:localhost", 86400, false));
    echo(f, 1);
    if (!f->closed)
        test_loop_run(&f->loop);
    assert_int_equal(f->code, -ECONNRESET);
    assert_non_null(strstr(f->sentence, "the connection was cut"));
}

static void test_bad_files(void **state)
{
    struct mw_tls_params params = {.ca_file = "/no/such/file.pem"};
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mw_tls *tls = NULL;

    assert_int_equal(mw_tls_new(&params, &tls, &err), -EINVAL);
    assert_non_null(strstr(mw_error_text(&err), "CA file /no/such/file.pem"));
    params = (struct mw_tls_params){.cert_file = ca.ca_file};
    mw_error_reset(&err);
    assert_int_equal(mw_tls_new(&params, &tls, &err), -EINVAL); /* there is no key in it */
    assert_non_null(strstr(mw_error_text(&err), "client key"));
    assert_null(tls);
}

/* A key with a passphrase is refused; nobody is asked for it on the terminal. */
static void test_key_with_a_passphrase(void **state)
{
    struct mw_tls_params params = {.cert_file = ca.client_file};
    char path[] = "/tmp/mw-key-XXXXXX", secret[] = "secret";
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mw_tls *tls = NULL;
    FILE *file = fdopen(mkstemp(path), "w");
    int saved = dup(STDIN_FILENO), fds[2];

    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, ca.key, EVP_aes_128_cbc(), (unsigned char *)secret,
                                          6, NULL, NULL),
                     1);
    fclose(file);
    /* Without a terminal OpenSSL would take it from standard input. */
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "secret\n", 7), 7);
    close(fds[1]);
    dup2(fds[0], STDIN_FILENO);
    params.key_file = path;
    assert_int_equal(mw_tls_new(&params, &tls, &err), -EINVAL);
    assert_non_null(strstr(mw_error_text(&err), "passphrase"));
    assert_int_equal(read(fds[0], secret, 6), 6);
    dup2(saved, STDIN_FILENO);
    close(saved);
    close(fds[0]);
    unlink(path);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_by_name),
        TEST(test_by_address),
        TEST(test_tls_1_2),
        TEST(test_pause_keeps_what_openssl_holds),
        TEST(test_other_name),
        TEST(test_other_address),
        TEST(test_expired),
        TEST(test_self_signed),
        TEST(test_unknown_authority),
        TEST(test_insecure),
        TEST(test_client_certificate),
        TEST(test_client_certificate_missing),
        TEST(test_no_tls_there),
        TEST(test_cut_without_close),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_key_with_a_passphrase),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
