#include "io/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "io/handle.h"

struct mw_tls {
    SSL_CTX *ctx;
};

/* OpenSSL's reason for what failed last; empties its queue. */
static const char *last_reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = NULL;

    if (ERR_SYSTEM_ERROR(code))
        reason = strerror(ERR_GET_REASON(code));
    else if (code)
        reason = ERR_reason_error_string(code);
    ERR_clear_error();
    return reason ? reason : "unknown TLS error";
}

/* A file that cannot be read makes OpenSSL say less than errno does. */
static int load_failed(struct mw_error *err, const char *what, const char *path)
{
    ERR_clear_error();
    return mw_error_set(err, -EINVAL,
                        "cannot use the %s %s: it does not exist, is not readable, "
                        "or is not valid PEM without a passphrase",
                        what, path);
}

static void note_certificate(struct mw_tls_facts *facts, X509 *cert)
{
    char text[512];
    struct tm tm;

    mw_tls_facts_deinit(facts);
    facts->subject = strdup(X509_NAME_oneline(X509_get_subject_name(cert), text, sizeof(text)));
    facts->issuer = strdup(X509_NAME_oneline(X509_get_issuer_name(cert), text, sizeof(text)));
    if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1)
        facts->not_after = (int64_t)timegm(&tm) * 1000;
}

static int on_verify(int ok, X509_STORE_CTX *ctx)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct mw_tls_facts *facts = SSL_get_app_data(ssl);
    X509 *leaf = X509_STORE_CTX_get0_cert(ctx);

    if (leaf && !facts->subject)
        note_certificate(facts, leaf);
    return ok || SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE;
}

void mw_tls_facts_deinit(struct mw_tls_facts *facts)
{
    free(facts->subject);
    free(facts->issuer);
    *facts = (struct mw_tls_facts){.version = facts->version};
}

/* OpenSSL's own would ask for the passphrase on the terminal and hold up the loop. */
static int no_passphrase(char *buf, int size, int writing, void *userdata)
{
    return 0;
}

static int load(SSL_CTX *ctx, const struct mw_tls_params *params, struct mw_error *err)
{
    const char *key = params->key_file ? params->key_file : params->cert_file;

    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1); /* many records a system call */
    SSL_CTX_set_verify(ctx, params->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, on_verify);
    if (params->ca_file) {
        if (SSL_CTX_load_verify_locations(ctx, params->ca_file, NULL) != 1)
            return load_failed(err, "CA file", params->ca_file);
    } else if (SSL_CTX_set_default_verify_paths(ctx) != 1) {
        return mw_error_set(err, -EIO, "cannot use the system's trust store: %s", last_reason());
    }
    if (!params->cert_file)
        return 0;
    if (SSL_CTX_use_certificate_chain_file(ctx, params->cert_file) != 1)
        return load_failed(err, "client certificate", params->cert_file);
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        return load_failed(err, "client key", key);
    if (SSL_CTX_check_private_key(ctx) != 1) {
        ERR_clear_error();
        return mw_error_set(err, -EINVAL, "the key %s does not belong to the certificate %s", key,
                            params->cert_file);
    }
    return 0;
}

int mw_tls_new(const struct mw_tls_params *params, struct mw_tls **ret, struct mw_error *err)
{
    struct mw_tls *tls = calloc(1, sizeof(*tls));
    int r;

    mw_ignore_sigpipe();
    if (tls)
        tls->ctx = SSL_CTX_new(TLS_client_method());
    if (!tls || !tls->ctx) {
        free(tls);
        ERR_clear_error();
        return mw_error_set(err, -ENOMEM, "out of memory");
    }
    r = load(tls->ctx, params, err);
    if (r < 0) {
        mw_tls_free(tls);
        return r;
    }
    *ret = tls;
    return 0;
}

void mw_tls_free(struct mw_tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->ctx);
    free(tls);
}

int mw_tls_open(struct mw_tls *tls, int fd, const char *host, struct mw_tls_facts *facts, SSL **ret)
{
    unsigned char address[sizeof(struct in6_addr)];
    bool numeric =
        inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    SSL *ssl = SSL_new(tls->ctx);
    bool ok = ssl && SSL_set_fd(ssl, fd) == 1;

    if (ok && numeric)
        ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    else if (ok)
        ok = SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
    if (!ok) {
        SSL_free(ssl);
        ERR_clear_error();
        return -ENOMEM;
    }
    SSL_set_app_data(ssl, facts);
    SSL_set_connect_state(ssl);
    *ret = ssl;
    return 0;
}

static int certificate_error(long verdict, const char *name, const struct mw_tls_facts *facts,
                             struct mw_error *err)
{
    const char *subject = facts->subject ? facts->subject : "?";
    const char *issuer = facts->issuer ? facts->issuer : "?";
    char date[MW_RFC3339_SIZE];

    switch (verdict) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return mw_error_set(err, -EKEYEXPIRED,
                            "the certificate of %s (%s) or of its issuer has "
                            "expired; its own end is %s",
                            name, subject, mw_clock_rfc3339(facts->not_after, date));
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return mw_error_set(err, -EKEYREJECTED,
                            "the certificate of %s (%s) is not valid yet; is "
                            "the clock of this machine right?",
                            name, subject);
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return mw_error_set(err, -EKEYREJECTED,
                            "the certificate of %s is for another host name "
                            "(%s)",
                            name, subject);
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return mw_error_set(err, -EKEYREJECTED,
                            "the certificate of %s (%s) is self-signed; name "
                            "it as the CA file if you trust it",
                            name, subject);
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return mw_error_set(err, -EKEYREJECTED,
                            "the certificate of %s is from an unknown "
                            "authority (%s); name its CA file if you trust it",
                            name, issuer);
    default:
        return mw_error_set(err, -EKEYREJECTED, "the certificate of %s (%s) is refused: %s", name,
                            subject, X509_verify_cert_error_string(verdict));
    }
}

/* Reasons whose own words would puzzle a reader. */
static const struct {
    int reason;
    int code;
    const char *text;
} reasons[] = {
    {SSL_R_WRONG_VERSION_NUMBER, -EPROTO, "it does not speak TLS on this port"},
    {SSL_R_PACKET_LENGTH_TOO_LONG, -EPROTO, "it does not speak TLS on this port"},
    {SSL_R_HTTP_REQUEST, -EPROTO, "it does not speak TLS on this port"},
    {SSL_R_UNSUPPORTED_PROTOCOL, -EPROTO, "it offers only versions of TLS below 1.2"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, -EPROTO, "it offers only versions of TLS below 1.2"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, -EACCES, "it demands a client certificate"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, -EACCES, "it refuses the client certificate"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, -EACCES, "it does not know the client certificate's authority"},
    {SSL_R_UNEXPECTED_EOF_WHILE_READING, -ECONNRESET, "the connection was cut"},
};

static int protocol_error(SSL *ssl, const char *name, const struct mw_tls_facts *facts,
                          struct mw_error *err)
{
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_REASON(code);
    long verdict = SSL_get_verify_result(ssl);

    if (ERR_GET_LIB(code) == ERR_LIB_SSL && reason == SSL_R_CERTIFICATE_VERIFY_FAILED &&
        verdict != X509_V_OK) {
        ERR_clear_error();
        return certificate_error(verdict, name, facts, err);
    }
    for (size_t i = 0; i < MW_ARRAY_LEN(reasons); i++) {
        if (ERR_GET_LIB(code) != ERR_LIB_SSL || reasons[i].reason != reason)
            continue;
        ERR_clear_error();
        return mw_error_set(err, reasons[i].code, "TLS with %s failed: %s", name, reasons[i].text);
    }
    return mw_error_set(err, -EPROTO, "TLS with %s failed: %s", name, last_reason());
}

int mw_tls_result(SSL *ssl, int r, const char *name, const struct mw_tls_facts *facts,
                  int *ret_event, struct mw_error *err)
{
    int code = errno;

    switch (SSL_get_error(ssl, r)) {
    case SSL_ERROR_WANT_READ:
        *ret_event = UV_READABLE;
        return -EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        *ret_event = UV_WRITABLE;
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        ERR_clear_error();
        code = code ? -code : -ECONNRESET;
        return mw_error_set(err, code, "the connection to %s failed: %s", name, strerror(-code));
    default:
        return protocol_error(ssl, name, facts, err);
    }
}
