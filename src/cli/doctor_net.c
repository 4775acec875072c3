/* `doctor`: the way to the server: each check goes one layer further than the one before. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netdb.h>

#include "base/clock.h"
#include "base/str.h"
#include "cli/doctor.h"
#include "io/stream.h"

#define DAY_MS           (24 * 3600 * 1000LL)
#define CERTIFICATE_DAYS 21 /* less is a warning */
#define PROXY_PORT       1080

static bool is_local(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           mw_starts_with(host, "127.");
}

static const char *sub_path(const struct doctor *d)
{
    return strcmp(d->url.target, "/") == 0 ? "" : d->url.target;
}

void doctor_address(struct doctor *d)
{
    const struct gw_bot_config *bot = d->bot;
    MW_AUTOERROR err = MW_ERROR_INIT;
    const struct mm_client_params params = {
        .endpoint = bot->endpoint,
        .token = bot->bot_token,
        .login = bot->login,
        .password = bot->password,
        .tls = bot->tls,
        .proxy = bot->proxy,
        .timeout_ms = d->timeout_ms,
    };

    if (mm_client_new(&d->loop, &params, &d->client, &err) < 0) {
        doctor_report(d, DOCTOR_BAD, strdup(mw_error_text(&err)),
                      strdup("correct `endpoint`, `tls` or `proxy` of this bot"));
        return;
    }
    d->secure = mw_starts_with(mm_client_endpoint(d->client), "https:");
    if (mw_url_parse(mm_client_endpoint(d->client), d->secure ? 443 : 80, &d->url) < 0)
        doctor_report(d, DOCTOR_BAD, mw_asprintf("%s is not an address", bot->endpoint),
                      strdup("`endpoint` is what people open in the browser, such as "
                             "https://chat.example.com"));
    else if (!d->secure && !is_local(d->url.host))
        doctor_report(d, DOCTOR_WARNING,
                      strdup("http:// is not encrypted: whoever sits in between can read the "
                             "token"),
                      strdup("use https:// in `endpoint`"));
    else
        doctor_report(d, DOCTOR_GOOD,
                      mw_asprintf("%s port %u, %s%s%s", d->url.host, d->url.port,
                                  d->secure ? "with TLS" : "without TLS",
                                  *sub_path(d) ? ", sub-path " : "", sub_path(d)),
                      NULL);
}

/* ---- Name ---- */

/* Where the first connection goes to: the proxy, if there is one. */
static int first_hop(struct doctor *d, struct mw_url *ret)
{
    if (d->bot->proxy)
        return mw_url_parse(d->bot->proxy, PROXY_PORT, ret);
    ret->host = strdup(d->url.host);
    ret->port = d->url.port;
    return ret->host ? 0 : -ENOMEM;
}

static void report_addresses(struct doctor *d, const char *host, const struct addrinfo *list)
{
    char text[INET6_ADDRSTRLEN] = "?";
    unsigned n = 0;

    for (const struct addrinfo *a = list; a; a = a->ai_next, n++) {
        const void *in =
            a->ai_family == AF_INET6
                ? (const void *)&((const struct sockaddr_in6 *)(const void *)a->ai_addr)->sin6_addr
                : (const void *)&((const struct sockaddr_in *)(const void *)a->ai_addr)->sin_addr;

        if (n == 0)
            inet_ntop(a->ai_family, in, text, sizeof(text));
    }
    if (strcmp(text, host) == 0)
        doctor_report(d, DOCTOR_GOOD, mw_asprintf("%s needs no name server", host), NULL);
    else if (n > 1)
        doctor_report(d, DOCTOR_GOOD, mw_asprintf("%s is %s and %u more", host, text, n - 1), NULL);
    else
        doctor_report(d, DOCTOR_GOOD, mw_asprintf("%s is %s", host, text), NULL);
}

void doctor_name(struct doctor *d)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct mw_url hop = {0};
    uv_getaddrinfo_t req = {0};
    int r = first_hop(d, &hop);

    if (r == 0) {
        r = uv_getaddrinfo(&d->loop, &req, NULL, hop.host, NULL, &hints);
        if (r == 0)
            report_addresses(d, hop.host, req.addrinfo);
        else
            doctor_report(d, DOCTOR_BAD,
                          mw_asprintf("cannot resolve %s: %s", hop.host, uv_strerror(r)),
                          mw_asprintf("is it spelled right in `%s`, and does this machine's name "
                                      "server know it?",
                                      d->bot->proxy ? "proxy" : "endpoint"));
        uv_freeaddrinfo(req.addrinfo);
    } else {
        doctor_report(d, DOCTOR_BAD, strdup("`proxy` is not an address"),
                      strdup("such as http://proxy.example.com:3128"));
    }
    mw_url_deinit(&hop);
}

/* ---- TCP, proxy, TLS ---- */

struct probe {
    uv_loop_t *loop;
    bool done, open;
    enum mw_stream_stage stage;
    int code;
    int64_t ms;
    char *error;
    char *peer, *issuer;
    const char *tls_version;
    int64_t not_after;
};

static void on_open(struct mw_stream *s, void *userdata)
{
    struct probe *p = userdata;

    p->open = p->done = true;
    doctor_wake(p->loop);
}

static void on_data(struct mw_stream *s, const char *data, size_t len, void *userdata)
{
}

static void on_close(struct mw_stream *s, enum mw_stream_stage stage, const struct mw_error *err,
                     void *userdata)
{
    struct probe *p = userdata;

    p->done = true;
    p->stage = stage;
    doctor_wake(p->loop);
    p->code = err->code;
    p->error = strdup(err->code ? mw_error_text(err)
                                : "the other side closed the connection at "
                                  "once");
}

static const struct mw_stream_ops probe_ops = {
    .on_open = on_open,
    .on_data = on_data,
    .on_close = on_close,
};

static void probe_deinit(struct probe *p)
{
    free(p->error);
    free(p->peer);
    free(p->issuer);
}
#define AUTOPROBE MW_CLEANUP(probe_deinit) struct probe

static void run_probe(struct doctor *d, const char *host, uint16_t port, const char *proxy,
                      struct mw_tls *tls, struct probe *p)
{
    struct mw_stream *stream = NULL;
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mw_stream_info info;
    int64_t start = mw_clock_mono();
    const struct mw_stream_params params = {
        .host = host,
        .port = port,
        .tls = tls,
        .proxy = proxy,
        .connect_timeout_ms = d->timeout_ms,
        .ops = &probe_ops,
        .userdata = p,
    };

    p->loop = &d->loop;
    if (mw_stream_connect(&d->loop, &params, &stream, &err) < 0) {
        p->error = strdup(mw_error_text(&err));
        return;
    }
    while (!p->done)
        uv_run(&d->loop, UV_RUN_ONCE);
    mw_stream_get_info(stream, &info);
    p->ms = mw_clock_mono() - start;
    p->peer = info.peer ? strdup(info.peer) : NULL;
    p->issuer = info.cert_issuer ? strdup(info.cert_issuer) : NULL;
    p->tls_version = info.tls_version;
    p->not_after = info.cert_not_after;
    mw_stream_free(stream);
}

void doctor_connect(struct doctor *d)
{
    AUTOPROBE p = {0};
    struct mw_url hop = {0};

    if (first_hop(d, &hop) < 0) {
        d->no_memory = true;
        return;
    }
    run_probe(d, hop.host, hop.port, NULL, NULL, &p);
    if (p.open)
        doctor_report(d, DOCTOR_GOOD,
                      mw_asprintf("%s%s answers after %" PRId64 " ms",
                                  d->bot->proxy ? "proxy " : "", p.peer ? p.peer : hop.host, p.ms),
                      NULL);
    else
        doctor_report(d, DOCTOR_BAD, p.error ? strdup(p.error) : NULL,
                      p.code == -ECONNREFUSED
                          ? mw_asprintf("nothing listens there: is the %s running, and is port %u "
                                        "right?",
                                        d->bot->proxy ? "proxy" : "server", hop.port)
                          : strdup("does a firewall let this machine through, is the port right, "
                                   "is a `proxy` needed?"));
    mw_url_deinit(&hop);
}

void doctor_proxy(struct doctor *d)
{
    AUTOPROBE p = {0};

    if (!d->bot->proxy)
        return;
    run_probe(d, d->url.host, d->url.port, d->bot->proxy, NULL, &p);
    if (p.open)
        doctor_report(d, DOCTOR_GOOD,
                      mw_asprintf("it opens the way to %s port %u", d->url.host, d->url.port),
                      NULL);
    else
        doctor_report(d, DOCTOR_BAD, p.error ? strdup(p.error) : NULL,
                      p.code == -EACCES
                          ? strdup("user and password belong into `proxy`: http://user:password@"
                                   "host:port")
                          : strdup("`proxy` must be an HTTP proxy that allows CONNECT to the "
                                   "server's port"));
}

static char *tls_fix(const struct probe *p)
{
    switch (p->code) {
    case -EKEYEXPIRED:
        return strdup("the server's administrator has to renew it (if it is new: is this "
                      "machine's clock right?)");
    case -EKEYREJECTED:
        /* The reason is in the sentence only. */
        if (p->error && strstr(p->error, "another host name"))
            return strdup("`endpoint` must name a host that the certificate is for");
        return strdup("a company's own authority goes into tls.ca_file; the server must send its "
                      "whole chain");
    case -EACCES:
        return strdup("tls.cert_file and tls.key_file: a client certificate that the server takes");
    case -EPROTO:
        return strdup("wrong scheme or port: write http:// in `endpoint` if the server has no "
                      "TLS, else the port where it has");
    default:
        return strdup("something between here and the server breaks TLS off: a firewall, a proxy?");
    }
}

static void report_certificate(struct doctor *d, const struct probe *p)
{
    int64_t days = (p->not_after - mw_clock_now()) / DAY_MS;
    const char *version = p->tls_version ? p->tls_version : "TLS";

    if (d->bot->tls.insecure)
        doctor_report(d, DOCTOR_WARNING,
                      mw_asprintf("%s, but insecure: true takes any certificate: whoever sits in "
                                  "between can read the token",
                                  version),
                      strdup("name the server's authority with tls.ca_file instead"));
    else if (days < CERTIFICATE_DAYS)
        doctor_report(d, DOCTOR_WARNING,
                      mw_asprintf("%s; the certificate ends in %" PRId64 " days", version, days),
                      strdup("the server's administrator should renew it now"));
    else
        doctor_report(d, DOCTOR_GOOD,
                      mw_asprintf("%s; chain and host name are good, for another %" PRId64 " days",
                                  version, days),
                      NULL);
}

void doctor_tls(struct doctor *d)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    AUTOPROBE p = {0};

    /* The WebSocket needs the context too, also where it is not used. */
    if (mw_tls_new(&d->bot->tls, &d->tls, &err) < 0) {
        doctor_report(d, DOCTOR_BAD, strdup(mw_error_text(&err)),
                      strdup("correct `tls` of this bot"));
        return;
    }
    if (!d->secure)
        return;
    run_probe(d, d->url.host, d->url.port, d->bot->proxy, d->tls, &p);
    if (p.open)
        report_certificate(d, &p);
    else
        doctor_report(d, DOCTOR_BAD, p.error ? strdup(p.error) : NULL, tls_fix(&p));
}

bool doctor_speaks_tls(struct doctor *d)
{
    const struct mw_tls_params any = {.insecure = true};
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mw_tls *tls = NULL;
    AUTOPROBE p = {0};

    if (mw_tls_new(&any, &tls, &err) < 0)
        return false;
    run_probe(d, d->url.host, d->url.port, d->bot->proxy, tls, &p);
    mw_tls_free(tls);
    return p.open;
}
