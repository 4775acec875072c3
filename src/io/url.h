/* URLs, split by libcurl's parser. Thread safe. */
#ifndef MW_IO_URL_H
#define MW_IO_URL_H

#include "base/macros.h"

struct mw_url {
    char *scheme;          /* lower case */
    char *user, *password; /* decoded; NULL = none */
    char *host;            /* without the brackets of an IPv6 address */
    uint16_t port;
    bool port_given;
    char *target; /* path and query as a request line wants them, never empty */
};

/* Any scheme is taken; default_port is for a URL without one. Returns 0, -EINVAL or -ENOMEM. */
int mw_url_parse(const char *text, uint16_t default_port, struct mw_url *ret);
void mw_url_deinit(struct mw_url *url);

#endif
