#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int mw_error_set(struct mw_error *err, int code, const char *fmt, ...)
{
    va_list ap;

    if (!err || err->code != 0)
        return code;
    err->code = code;
    va_start(ap, fmt);
    if (vasprintf(&err->message, fmt, ap) < 0)
        err->message = NULL;
    va_end(ap);
    return code;
}

void mw_error_prefix(struct mw_error *err, const char *fmt, ...)
{
    MW_AUTOFREE char *prefix = NULL;
    char *joined = NULL;
    va_list ap;
    int r;

    if (!mw_error_is_set(err))
        return;
    va_start(ap, fmt);
    r = vasprintf(&prefix, fmt, ap);
    va_end(ap);
    if (r < 0) {
        prefix = NULL;
        return;
    }
    if (asprintf(&joined, "%s: %s", prefix, mw_error_text(err)) < 0)
        return;
    free(err->message);
    err->message = joined;
}

const char *mw_error_text(const struct mw_error *err)
{
    if (!err || err->code == 0)
        return "no error";
    if (err->message)
        return err->message;
    return err->code < 0 ? strerror(-err->code) : "unknown error";
}

void mw_error_move(struct mw_error *dst, struct mw_error *src)
{
    if (dst && dst->code == 0)
        *dst = *src;
    else
        free(src->message);
    *src = (struct mw_error)MW_ERROR_INIT;
}

void mw_error_reset(struct mw_error *err)
{
    if (!err)
        return;
    free(err->message);
    *err = (struct mw_error)MW_ERROR_INIT;
}
