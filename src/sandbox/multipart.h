/* multipart/form-data (RFC 7578), on a body that is whole. Pure. */
#ifndef SB_MULTIPART_H
#define SB_MULTIPART_H

#include "base/macros.h"

struct sb_part {
    char name[128];
    char filename[256]; /* "" = a plain field */
    char content_type[128];
    const char *data; /* points into the body */
    size_t len;
};

/* Finds the boundary in a Content-Type header; false when it is not multipart/form-data. */
bool sb_multipart_boundary(const char *content_type, char *buf, size_t size);

/* Calls `part` for each part in order until it returns other than 0. Returns that, 0 at the closing
 * boundary, or -EINVAL for a body that is not well formed. */
int sb_multipart_parse(const char *boundary, const char *body, size_t len,
                       int (*part)(const struct sb_part *p, void *arg), void *arg);

#endif
