/* Small macros that the whole tree uses. No functions, no state. */
#ifndef MW_BASE_MACROS_H
#define MW_BASE_MACROS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define MW_ARRAY_LEN(a)    (sizeof(a) / sizeof((a)[0]))
#define MW_PRINTF(fmt, va) __attribute__((format(printf, fmt, va)))
#define MW_UNUSED          __attribute__((unused))
#define MW_MUST_CHECK      __attribute__((warn_unused_result))

#define MW_CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define MW_MIN(a, b) ((a) < (b) ? (a) : (b))
#define MW_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Runs `fn(&variable)` when the variable leaves its scope. */
#define MW_CLEANUP(fn) __attribute__((cleanup(fn)))

/* Defines `name_p`, a cleanup function for a pointer whose destructor is `fn`. Destructors accept
 * NULL. */
#define MW_DEFINE_CLEANUP(type, fn, name_p)                                                        \
    static inline void name_p(type *p)                                                             \
    {                                                                                              \
        if (*p)                                                                                    \
            fn(*p);                                                                                \
    }

static inline void mw_free_p(void *p)
{
    free(*(void **)p);
}

/* `MW_AUTOFREE char *s = ...;` is freed when it leaves its scope. */
#define MW_AUTOFREE MW_CLEANUP(mw_free_p)

/* Moves a pointer out of its variable, so that a cleanup attribute no longer owns it. */
#define take_ptr(p)                                                                                \
    ({                                                                                             \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })

#endif
