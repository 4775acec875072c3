/* `doctor`: the way to the server, and the WebSocket over it. */
#include <inttypes.h>

#include "base/clock.h"
#include "base/str.h"
#include "cli/doctor.h"
#include "io/stream.h"
#include "io/url.h"
#include "io/ws.h"

#define DAY_MS           (24 * 3600 * 1000LL)
#define CERTIFICATE_DAYS 21 /* less is a warning */

/* ---- Name, TCP, proxy, TLS ---- */

struct probe {
    struct doctor *d;
    bool done, open;
    enum mw_stream_stage stage;
    char *error;
};

static void on_open(struct mw_stream *s, void *userdata)
{
    struct probe *p = userdata;

    p->open = p->done = true;
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
    p->error = strdup(err->code ? mw_error_text(err) : "the server closed the connection at once");
}

static const struct mw_stream_ops probe_ops = {
    .on_open = on_open,
    .on_data = on_data,
    .on_close = on_close,
};

static void report_failure(struct doctor *d, const struct probe *p, const char *host)
{
    char *sentence = p->error ? strdup(p->error) : NULL;

    switch (p->stage) {
    case MW_STAGE_RESOLVE:
        doctor_report(d, DOCTOR_BAD, "name", sentence,
                      mw_asprintf("is \"%s\" spelled right in `endpoint`, and does this machine's "
                                  "name server know it?",
                                  host));
        return;
    case MW_STAGE_CONNECT:
        doctor_report(d, DOCTOR_BAD, "connect", sentence,
                      strdup("is the server running, is the port right, does a firewall let this "
                             "machine through?"));
        return;
    case MW_STAGE_PROXY:
        doctor_report(d, DOCTOR_BAD, "proxy", sentence,
                      strdup("check `proxy`: its address, its user and password, and that it may "
                             "connect to the server"));
        return;
    case MW_STAGE_TLS:
        doctor_report(d, DOCTOR_BAD, "TLS", sentence,
                      strdup("a company's own authority goes into tls.ca_file; the server must "
                             "send its whole chain; `endpoint` must name the host that the "
                             "certificate is for"));
        return;
    case MW_STAGE_OPEN:
        break;
    }
    doctor_report(d, DOCTOR_BAD, "connect", sentence, NULL);
}

static void report_certificate(struct doctor *d, const struct mw_stream_info *info)
{
    int64_t days = (info->cert_not_after - mw_clock_now()) / DAY_MS;
    const char *version = info->tls_version ? info->tls_version : "TLS";

    if (!info->cert_not_after)
        doctor_report(d, DOCTOR_GOOD, "TLS", strdup(version), NULL);
    else if (days < 0)
        doctor_report(d, DOCTOR_BAD, "TLS", strdup("the server's certificate has expired"),
                      strdup("the server's administrator has to renew it"));
    else
        doctor_report(
            d, days < CERTIFICATE_DAYS ? DOCTOR_WARNING : DOCTOR_GOOD, "TLS",
            mw_asprintf("%s, the certificate is good for another %" PRId64 " days", version, days),
            NULL);
}

static bool run_probe(struct doctor *d, const struct mw_url *url, struct mw_tls *tls)
{
    struct probe p = {.d = d};
    struct mw_stream *stream = NULL;
    MW_AUTOERROR err = MW_ERROR_INIT;
    int64_t start = mw_clock_mono();
    struct mw_stream_info info;
    const struct mw_stream_params params = {
        .host = url->host,
        .port = url->port,
        .tls = tls,
        .proxy = d->bot->proxy,
        .connect_timeout_ms = d->timeout_ms,
        .ops = &probe_ops,
        .userdata = &p,
    };

    if (mw_stream_connect(&d->loop, &params, &stream, &err) < 0) {
        doctor_report(d, DOCTOR_BAD, "connect", strdup(mw_error_text(&err)), NULL);
        return false;
    }
    while (!p.done)
        uv_run(&d->loop, UV_RUN_ONCE);
    if (p.open) {
        mw_stream_get_info(stream, &info);
        doctor_report(d, DOCTOR_GOOD, "connect",
                      mw_asprintf("%s answers at %s%s after %" PRId64 " ms", url->host,
                                  info.peer ? info.peer : "?",
                                  d->bot->proxy ? ", through the proxy," : "",
                                  mw_clock_mono() - start),
                      NULL);
        if (tls)
            report_certificate(d, &info);
    } else {
        report_failure(d, &p, url->host);
    }
    mw_stream_free(stream);
    free(p.error);
    return p.open;
}

bool doctor_connect(struct doctor *d)
{
    bool secure = mw_starts_with(mm_client_endpoint(d->client), "https:");
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mw_url url = {0};
    struct mw_tls *tls = NULL;
    bool good = false;

    if (mw_url_parse(mm_client_endpoint(d->client), secure ? 443 : 80, &url) < 0) {
        doctor_report(d, DOCTOR_BAD, "config", strdup("the endpoint is not an address"), NULL);
    } else if (secure && mw_tls_new(&d->bot->tls, &tls, &err) < 0) {
        doctor_report(d, DOCTOR_BAD, "TLS", strdup(mw_error_text(&err)), NULL);
    } else {
        if (!secure && strcmp(url.host, "localhost") != 0 && !mw_starts_with(url.host, "127."))
            doctor_report(d, DOCTOR_WARNING, "TLS",
                          strdup("http:// is not encrypted: whoever sits in between can read the "
                                 "token"),
                          strdup("use https:// in `endpoint`"));
        good = run_probe(d, &url, tls);
    }
    mw_tls_free(tls);
    mw_url_deinit(&url);
    return good;
}

/* ---- WebSocket ---- */

struct hello {
    bool done;
    int64_t opened_at, hello_at;
    enum mw_ws_end end;
    int http_status, close_code;
    char *error;
};

static void on_ws_open(struct mw_ws *ws, void *userdata)
{
    struct hello *h = userdata;

    h->opened_at = mw_clock_mono();
}

static void on_ws_message(struct mw_ws *ws, bool text, const char *data, size_t len, void *userdata)
{
    struct hello *h = userdata;
    MW_AUTOJSON *message = NULL;

    if (mw_json_parse(data, len, &message, NULL) == 0 &&
        mw_streq(mw_json_str(message, "event"), "hello")) {
        h->hello_at = mw_clock_mono();
        h->done = true;
    }
}

static void on_ws_close(struct mw_ws *ws, const struct mw_ws_close *how, void *userdata)
{
    struct hello *h = userdata;

    h->done = true;
    h->end = how->end;
    h->http_status = how->http_status;
    h->close_code = how->close_code;
    h->error = strdup(how->err ? mw_error_text(how->err) : "it was closed");
}

static const struct mw_ws_ops ws_ops = {
    .on_open = on_ws_open,
    .on_message = on_ws_message,
    .on_close = on_ws_close,
};

static void report_hello(struct doctor *d, const struct hello *h, int64_t start)
{
    const char *fix = NULL;

    if (h->hello_at) {
        doctor_report(d, DOCTOR_GOOD, "WebSocket",
                      mw_asprintf("hello came after %" PRId64 " ms", h->hello_at - start), NULL);
        return;
    }
    if (h->end == MW_WS_END_REFUSED && (h->http_status == 401 || h->http_status == 403))
        fix = "the server does not let this account open a WebSocket: is the token still valid?";
    else if (h->end == MW_WS_END_REFUSED || h->end == MW_WS_END_HANDSHAKE)
        fix =
            "a proxy in front of the server does not pass the upgrade on: it must send "
            "`Upgrade` and `Connection` for /api/v4/websocket. Until then `transport: poll` works";
    else if (h->opened_at)
        fix = "the upgrade works, but no hello came: a proxy may hold the frames back, or the "
              "server is overloaded. Until then `transport: poll` works";
    doctor_report(d, DOCTOR_BAD, "WebSocket", h->error ? strdup(h->error) : NULL,
                  fix ? strdup(fix) : NULL);
}

void doctor_websocket(struct doctor *d)
{
    MW_AUTOFREE char *url = mw_asprintf("%s/api/v4/websocket", mm_client_endpoint(d->client));
    MW_AUTOFREE char *header = mw_asprintf("Authorization: Bearer %s", mm_client_token(d->client));
    const char *headers[] = {header, NULL};
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct hello h = {0};
    struct mw_tls *tls = NULL;
    struct mw_ws *ws = NULL;
    int64_t start = mw_clock_mono();
    const struct mw_ws_params params = {
        .url = url,
        .headers = headers,
        .proxy = d->bot->proxy,
        .handshake_timeout_ms = d->timeout_ms,
        .read_timeout_ms = d->timeout_ms,
        .ops = &ws_ops,
        .userdata = &h,
    };
    struct mw_ws_params with_tls = params;

    if (d->bot->transport == GW_TRANSPORT_POLL) {
        doctor_report(d, DOCTOR_GOOD, "WebSocket", strdup("not used: transport is poll"), NULL);
        return;
    }
    if (!url || !header) {
        d->no_memory = true;
        return;
    }
    if (mw_tls_new(&d->bot->tls, &tls, &err) == 0) {
        with_tls.tls = tls;
        if (mw_ws_connect(&d->loop, &with_tls, &ws, &err) == 0) {
            while (!h.done)
                uv_run(&d->loop, UV_RUN_ONCE);
            report_hello(d, &h, start);
        }
    }
    if (mw_error_is_set(&err))
        doctor_report(d, DOCTOR_BAD, "WebSocket", strdup(mw_error_text(&err)), NULL);
    mw_ws_free(ws);
    mw_tls_free(tls);
    free(h.error);
    explicit_bzero(header, strlen(header));
}
