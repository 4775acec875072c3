/* Certificates for tests, made on the spot in a folder of their own. */
#ifndef MW_IO_TEST_CA_H
#define MW_IO_TEST_CA_H

#include <openssl/ssl.h>

struct test_ca {
    char dir[64];
    char ca_file[96], client_file[96]; /* the CA; a client's certificate with its key */
    EVP_PKEY *key;                     /* one key for all */
    X509 *ca;
};

void test_ca_init(struct test_ca *ca);
void test_ca_deinit(struct test_ca *ca);

/* A certificate for `name` (a subjectAltName such as "DNS:localhost") whose validity ends
 * `end_seconds` from now; signed by itself when self_signed. */
X509 *test_ca_issue(const struct test_ca *ca, const char *name, long end_seconds, bool self_signed);

#endif
