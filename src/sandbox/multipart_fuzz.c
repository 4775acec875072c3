#include "sandbox/multipart.h"

#include <string.h>

#include "base/fuzz.h"

static int use_part(const struct sb_part *p, void *arg)
{
    size_t *sum = arg;

    *sum += strlen(p->name) + strlen(p->filename) + strlen(p->content_type);
    for (size_t i = 0; i < p->len; i++)
        *sum += (unsigned char)p->data[i];
    return 0;
}

/* The first line is the Content-Type, the rest the body. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *eol = size ? memchr(data, '\n', size) : NULL;
    char type[256], boundary[80];
    size_t sum = 0, len = eol ? (size_t)(eol - data) : 0;

    if (!eol || len >= sizeof(type))
        return 0;
    memcpy(type, data, len);
    type[len] = '\0';
    if (!sb_multipart_boundary(type, boundary, sizeof(boundary)))
        return 0;
    sb_multipart_parse(boundary, (const char *)eol + 1, size - len - 1, use_part, &sum);
    return 0;
}
