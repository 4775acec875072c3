#include "io/handshake.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/str.h"
#include "base/utf8.h"
#include "io/head.h"
#include "io/ws.h"

#define BODY_READ  1024 /* bytes of a refusal's body that are looked at */
#define BODY_SHOWN 200  /* bytes of it in the sentence */

int mw_ws_accept_key(const char *key, char *buf)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 section 1.3 */
    char text[64 + sizeof(guid)];
    unsigned char digest[EVP_MAX_MD_SIZE];
    size_t len = strlen(key);
    unsigned size;

    if (len == 0 || len > 64)
        return -EINVAL;
    memcpy(text, key, len);
    memcpy(text + len, guid, sizeof(guid));
    if (EVP_Digest(text, len + sizeof(guid) - 1, digest, &size, EVP_sha1(), NULL) != 1)
        return -EINVAL;
    EVP_EncodeBlock((unsigned char *)buf, digest, (int)size);
    return 0;
}

int mw_handshake_key(char *key)
{
    unsigned char random[16];

    if (RAND_bytes(random, sizeof(random)) != 1)
        return -EIO;
    EVP_EncodeBlock((unsigned char *)key, random, sizeof(random));
    return 0;
}

int mw_handshake_request(struct mw_buf *out, const struct mw_url *url, const char *key,
                         const char *const *headers, struct mw_error *err)
{
    bool ipv6 = strchr(url->host, ':') != NULL;

    mw_buf_printf(out, "GET %s HTTP/1.1\r\nHost: %s%s%s", url->target, ipv6 ? "[" : "", url->host,
                  ipv6 ? "]" : "");
    if (url->port_given)
        mw_buf_printf(out, ":%u", url->port);
    mw_buf_printf(out,
                  "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n",
                  key);
    for (; headers && *headers; headers++) {
        const char *colon = strchr(*headers, ':');

        if (!colon || colon == *headers || (*headers)[strcspn(*headers, "\r\n")])
            return mw_error_set(err, -EINVAL, "a header is not of the form \"Name: value\"");
        mw_buf_puts(out, *headers);
        mw_buf_puts(out, "\r\n");
    }
    return mw_buf_puts(out, "\r\n");
}

/* One line of text without markup and control characters; cut at BODY_SHOWN bytes. */
static void put_excerpt(struct mw_buf *out, const char *body, size_t len)
{
    size_t start = out->len;
    bool gap = false, tag = false;

    for (size_t i = 0; i < len && out->len - start < BODY_SHOWN;) {
        size_t n = mw_utf8_char_len(body + i, len - i);
        const char *c = body + i;

        i += n ? n : 1;
        if (*c == '<' || tag) {
            tag = *c != '>';
            gap = true;
        } else if ((unsigned char)*c <= ' ' || *c == 0x7f) {
            gap = true;
        } else {
            if (gap && out->len > start)
                mw_buf_putc(out, ' ');
            gap = false;
            mw_buf_append(out, n ? c : "?", n ? n : 1);
        }
    }
}

static size_t body_length(const struct mw_head *head)
{
    size_t len, value = 0;
    const char *text = mw_head_get(head, "Content-Length", &len);

    if (!text)
        return BODY_READ;
    for (size_t i = 0; i < len && text[i] >= '0' && text[i] <= '9' && value < BODY_READ; i++)
        value = value * 10 + (size_t)(text[i] - '0');
    return MW_MIN(value, BODY_READ);
}

static void refuse(const struct mw_head *head, const char *body, size_t body_len,
                   const char *server, struct mw_error *err)
{
    MW_AUTOBUF reason = {0}, excerpt = {0};

    put_excerpt(&reason, head->reason, head->reason_len);
    put_excerpt(&excerpt, body, MW_MIN(body_len, BODY_READ));
    mw_error_set(err, -ECONNREFUSED, "%s refused the WebSocket: %d%s%s%s%s", server, head->status,
                 reason.len ? " " : "", mw_buf_str(&reason), excerpt.len ? ": " : "",
                 mw_buf_str(&excerpt));
}

/* NULL when the answer is a valid switch to WebSocket, otherwise what is wrong with it. */
static const char *fault_of(const struct mw_head *head, const char *key)
{
    char accept[32];
    size_t len = 0;
    const char *value;

    if (!mw_head_has_token(head, "Upgrade", "websocket"))
        return "it switches, but not to WebSocket";
    if (!mw_head_has_token(head, "Connection", "upgrade"))
        return "its Connection field does not say \"upgrade\"";
    value = mw_head_get(head, "Sec-WebSocket-Accept", &len);
    if (!value || mw_ws_accept_key(key, accept) < 0 || len != strlen(accept) ||
        memcmp(value, accept, len) != 0)
        return "its Sec-WebSocket-Accept does not fit the key that was sent";
    value = mw_head_get(head, "Sec-WebSocket-Extensions", &len);
    if (value && len)
        return "it uses an extension that was not asked for";
    return NULL;
}

enum mw_handshake_result mw_handshake_judge(const char *data, size_t len, const char *key,
                                            const char *server, int64_t now,
                                            struct mw_handshake_answer *ret, struct mw_error *err)
{
    struct mw_head head;
    const char *fault;
    size_t body_len, wanted;

    switch (mw_head_parse(data, len, &head)) {
    case MW_HEAD_MORE:
        return MW_HANDSHAKE_MORE;
    case MW_HEAD_BAD:
        mw_error_set(err, -EPROTO, "%s did not answer the WebSocket upgrade as HTTP has it",
                     server);
        return MW_HANDSHAKE_BAD;
    default:
        break;
    }
    *ret = (struct mw_handshake_answer){.size = head.size,
                                        .status = head.status,
                                        .retry_after_ms = mw_head_retry_after(&head, now)};
    if (head.status != 101) {
        body_len = len - head.size;
        wanted = body_length(&head);
        ret->body_wanted = wanted > body_len ? wanted - body_len : 0;
        refuse(&head, data + head.size, body_len, server, err);
        return MW_HANDSHAKE_REFUSED;
    }
    fault = fault_of(&head, key);
    if (!fault)
        return MW_HANDSHAKE_OK;
    mw_error_set(err, -EPROTO, "%s did not switch to WebSocket: %s", server, fault);
    return MW_HANDSHAKE_BAD;
}
