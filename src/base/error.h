/*
 * Human text for a failure.
 *
 * House rule: a function returns 0 for success, a negative errno for a fatal failure that is only
 * passed up (-ENOMEM, -EIO ...), and a positive enum of its own module for an outcome that the
 * direct caller must handle. The sentence that a person reads travels beside it in a `struct
 * mw_error`. Libraries fill the error in and never log; the edge logs it once.
 *
 * Every setter accepts err == NULL and then does nothing but return the code. The first error wins:
 * setting an error that is set already keeps the first text (use mw_error_prefix to add context).
 * Not thread safe; an error belongs to its owner.
 */
#ifndef MW_BASE_ERROR_H
#define MW_BASE_ERROR_H

#include "base/macros.h"

struct mw_error {
    int code; /* what the function returned; 0 = no error */
    char
        *message; /* one sentence without a final newline; NULL when unset or when memory ran out */
};

#define MW_ERROR_INIT                                                                              \
    {                                                                                              \
        0, NULL                                                                                    \
    }

/* Sets the error and returns `code`, so that `return mw_error_set(err, -EINVAL, "...")` reads well.
 */
int mw_error_set(struct mw_error *err, int code, const char *fmt, ...) MW_PRINTF(3, 4);

/* Puts "prefix: " before the message that is there. Does nothing when no error is set. */
void mw_error_prefix(struct mw_error *err, const char *fmt, ...) MW_PRINTF(2, 3);

/* The sentence, or the text of the errno behind a negative code; never NULL. Valid until reset. */
const char *mw_error_text(const struct mw_error *err);

static inline bool mw_error_is_set(const struct mw_error *err)
{
    return err && err->code != 0;
}

/* Moves `src` into `*dst` (which may be NULL: then src is dropped) and leaves src empty. */
void mw_error_move(struct mw_error *dst, struct mw_error *src);

/* Frees the text; the error can be used again. */
void mw_error_reset(struct mw_error *err);

#define MW_AUTOERROR MW_CLEANUP(mw_error_reset) struct mw_error

#endif
