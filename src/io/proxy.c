#include "io/proxy.h"

#include <openssl/evp.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/buf.h"
#include "base/str.h"
#include "io/head.h"
#include "io/url.h"

struct mw_proxy {
    struct mw_url url;
    char *name;
    char *target;
    char *request; /* holds the credentials */
    size_t request_len, sent;
    char answer[MW_HEAD_LIMIT];
    size_t answer_len;
};

void mw_proxy_free(struct mw_proxy *p)
{
    if (!p)
        return;
    mw_url_deinit(&p->url);
    free(p->name);
    free(p->target);
    mw_secret_free(p->request);
    free(p);
}

static char *basic_credentials(const struct mw_url *url)
{
    char *plain = mw_asprintf("%s:%s", url->user, url->password ? url->password : "");
    size_t len = plain ? strlen(plain) : 0;
    char *text = plain ? malloc(len / 3 * 4 + 5) : NULL;

    if (text)
        EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)plain, (int)len);
    mw_secret_free(plain);
    return text;
}

static int build(struct mw_proxy *p, const char *host, uint16_t port)
{
    bool ipv6 = strchr(host, ':') != NULL;
    char *credentials = NULL;

    p->name = mw_asprintf("%s port %u", p->url.host, p->url.port);
    p->target = mw_asprintf("%s%s%s:%u", ipv6 ? "[" : "", host, ipv6 ? "]" : "", port);
    if (!p->name || !p->target)
        return -ENOMEM;
    if (p->url.user) {
        credentials = basic_credentials(&p->url);
        if (!credentials)
            return -ENOMEM;
    }
    p->request = mw_asprintf("CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s%s%s\r\n", p->target, p->target,
                             credentials ? "Proxy-Authorization: Basic " : "",
                             credentials ? credentials : "", credentials ? "\r\n" : "");
    mw_secret_free(credentials);
    if (!p->request)
        return -ENOMEM;
    p->request_len = strlen(p->request);
    return 0;
}

int mw_proxy_new(const char *url, const char *host, uint16_t port, struct mw_proxy **ret,
                 struct mw_error *err)
{
    struct mw_proxy *p;
    int r;

    if (host[strcspn(host, "\r\n ")])
        return mw_error_set(err, -EINVAL, "not a host name");
    p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    r = mw_url_parse(url, 1080, &p->url);
    if (r == 0 && strcmp(p->url.scheme, "http") != 0)
        r = -EINVAL;
    if (r == 0)
        r = build(p, host, port);
    if (r < 0) {
        mw_proxy_free(p); /* the URL may hold a password: it is not quoted */
        return mw_error_set(err, r,
                            r == -ENOMEM
                                ? "out of memory"
                                : "the proxy is not of the form http://[user:password@]host:port");
    }
    *ret = p;
    return 0;
}

const char *mw_proxy_host(const struct mw_proxy *p, uint16_t *ret_port)
{
    *ret_port = p->url.port;
    return p->url.host;
}

const char *mw_proxy_name(const struct mw_proxy *p)
{
    return p->name;
}

static int failed(const struct mw_proxy *p, int code, struct mw_error *err)
{
    return mw_error_set(err, -code, "the connection to the proxy %s failed: %s", p->name,
                        strerror(code));
}

static int send_request(struct mw_proxy *p, int fd, int *ret_event, struct mw_error *err)
{
    while (p->sent < p->request_len) {
        ssize_t n = send(fd, p->request + p->sent, p->request_len - p->sent, MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return failed(p, errno, err);
        if (n < 0) {
            *ret_event = UV_WRITABLE;
            return -EAGAIN;
        }
        p->sent += (size_t)n;
    }
    return 0;
}

static int judge(const struct mw_proxy *p, const struct mw_head *head, struct mw_error *err)
{
    if (head->status / 100 == 2)
        return 0;
    return mw_error_set(err, head->status == 407 ? -EACCES : -ECONNREFUSED,
                        "the proxy %s refused the tunnel to %s: %d %.*s", p->name, p->target,
                        head->status, (int)MW_MIN(head->reason_len, 100), head->reason);
}

int mw_proxy_step(struct mw_proxy *p, int fd, int *ret_event, struct mw_error *err)
{
    struct mw_head head;
    int r = send_request(p, fd, ret_event, err);

    if (r < 0)
        return r;
    for (;;) {
        char *room = p->answer + p->answer_len;
        size_t before = p->answer_len;
        ssize_t n = recv(fd, room, sizeof(p->answer) - before, MSG_PEEK);
        enum mw_head_result result;

        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return failed(p, errno, err);
        if (n < 0) {
            *ret_event = UV_READABLE;
            return -EAGAIN;
        }
        if (n == 0)
            return mw_error_set(err, -ECONNRESET, "the proxy %s ended the connection", p->name);
        result = mw_head_parse(p->answer, before + (size_t)n, &head);
        if (result == MW_HEAD_BAD)
            return mw_error_set(err, -EPROTO, "the proxy %s does not answer as an HTTP proxy does",
                                p->name);
        /* Takes from the socket what belongs to the head, and no byte behind. */
        if (result == MW_HEAD_OK)
            n = (ssize_t)(head.size - before);
        n = recv(fd, room, (size_t)n, 0);
        if (n < 0)
            return failed(p, errno, err);
        p->answer_len += (size_t)n;
        if (result == MW_HEAD_OK)
            return judge(p, &head, err);
    }
}
