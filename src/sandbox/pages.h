/* The chat page: its files, built into the program, and the two calls that only the page uses. */
#ifndef SB_PAGES_H
#define SB_PAGES_H

#include "sandbox/server.h"

struct sb_page {
    const char *name; /* "index.html"; NULL ends the table */
    const char *content_type;
    const unsigned char *data;
    size_t len;
};

extern const struct sb_page sb_pages[]; /* made at build time from ui/sandbox/ */

/* Answers everything outside /api/v4. */
void sb_page_request(struct sb_server *sv, struct mw_httpd_request *http);

#endif
