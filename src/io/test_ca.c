#include <stdbool.h>

#include "io/test_ca.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

static X509 *make(const char *subject, X509 *issuer, EVP_PKEY *key, long end_seconds, int ext,
                  const char *ext_value)
{
    X509 *cert = X509_new();
    X509_NAME *name;
    X509_EXTENSION *extension;
    static long serial;

    assert_non_null(cert);
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(cert), -86400);
    X509_gmtime_adj(X509_getm_notAfter(cert), end_seconds);
    X509_set_pubkey(cert, key);
    name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)subject, -1, -1,
                               0);
    X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : name);
    extension = X509V3_EXT_conf_nid(NULL, NULL, ext, ext_value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    return cert;
}

X509 *test_ca_issue(const struct test_ca *ca, const char *name, long end_seconds, bool self_signed)
{
    return make("a server", self_signed ? NULL : ca->ca, ca->key, end_seconds, NID_subject_alt_name,
                name);
}

void test_ca_init(struct test_ca *ca)
{
    X509 *client;
    FILE *f;

    snprintf(ca->dir, sizeof(ca->dir), "/tmp/mw-test-ca-XXXXXX");
    assert_non_null(mkdtemp(ca->dir));
    snprintf(ca->ca_file, sizeof(ca->ca_file), "%s/ca.pem", ca->dir);
    snprintf(ca->client_file, sizeof(ca->client_file), "%s/client.pem", ca->dir);
    ca->key = EVP_EC_gen("P-256");
    assert_non_null(ca->key);
    ca->ca = make("the authority", NULL, ca->key, 86400, NID_basic_constraints, "CA:TRUE");
    f = fopen(ca->ca_file, "w");
    assert_non_null(f);
    PEM_write_X509(f, ca->ca);
    fclose(f);
    client = test_ca_issue(ca, "DNS:client", 86400, false);
    f = fopen(ca->client_file, "w");
    assert_non_null(f);
    PEM_write_X509(f, client);
    PEM_write_PrivateKey(f, ca->key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
    X509_free(client);
}

void test_ca_deinit(struct test_ca *ca)
{
    unlink(ca->ca_file);
    unlink(ca->client_file);
    rmdir(ca->dir);
    X509_free(ca->ca);
    EVP_PKEY_free(ca->key);
}
