#include "base/alloc_fail.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/test.h"

/* The linker's --wrap gives us the calls to X as __wrap_X, and the real one as __real_X. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t len);
int __real_vasprintf(char **ret, const char *fmt, va_list ap);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t len);
int __wrap_vasprintf(char **ret, const char *fmt, va_list ap) MW_PRINTF(2, 0);
int __wrap_asprintf(char **ret, const char *fmt, ...) MW_PRINTF(2, 3);

static atomic_uint made;      /* allocations of this run so far */
static atomic_uint fail_at;   /* which of them fails; 0 = none */
static atomic_bool fail_rest; /* also those behind it */
static atomic_bool hit;
static atomic_int suspended;

/* A place for a debugger's breakpoint: the stack shows whose allocation fails. */
static __attribute__((noinline)) bool fails_here(void)
{
    atomic_store(&hit, true);
    errno = ENOMEM;
    return true;
}

static bool fails(void)
{
    unsigned n, at = atomic_load(&fail_at);

    if (at == 0 || atomic_load(&suspended) > 0)
        return false;
    n = atomic_fetch_add(&made, 1) + 1;
    if (n == at || (n > at && atomic_load(&fail_rest)))
        return fails_here();
    return false;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
    return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t len)
{
    return fails() ? NULL : __real_strndup(s, len);
}

int __wrap_vasprintf(char **ret, const char *fmt, va_list ap)
{
    if (!fails())
        return __real_vasprintf(ret, fmt, ap);
    *ret = (char *)(uintptr_t)0xdead; /* undefined after a failure: whoever frees it shall crash */
    return -1;
}

int __wrap_asprintf(char **ret, const char *fmt, ...)
{
    va_list ap;
    int r;

    va_start(ap, fmt);
    r = __wrap_vasprintf(ret, fmt, ap);
    va_end(ap);
    return r;
}

void *mw_alloc_fail_malloc(size_t size)
{
    return __wrap_malloc(size);
}

void *mw_alloc_fail_calloc(size_t n, size_t size)
{
    return __wrap_calloc(n, size);
}

void *mw_alloc_fail_realloc(void *p, size_t size)
{
    return __wrap_realloc(p, size);
}

char *mw_alloc_fail_strdup(const char *s)
{
    return __wrap_strdup(s);
}

void *mw_alloc_fail_never(void *p, size_t size)
{
    return __real_realloc(p, size);
}

bool mw_alloc_fail_hit(void)
{
    return atomic_load(&hit);
}

void mw_alloc_fail_suspend(void)
{
    atomic_fetch_add(&suspended, 1);
}

void mw_alloc_fail_resume(void)
{
    atomic_fetch_sub(&suspended, 1);
}

static unsigned step = 1;

void mw_alloc_fail_every(unsigned k)
{
    step = k;
}

unsigned mw_alloc_fail_each(enum mw_alloc_fail_mode mode, mw_alloc_fail_scenario scenario,
                            void *userdata, int other)
{
    unsigned failed = 0, k = step;
    int r;

    step = 1;
    for (unsigned n = 1;; n += k) {
        atomic_store(&made, 0);
        atomic_store(&hit, false);
        atomic_store(&fail_rest, mode == MW_ALLOC_FAIL_REST);
        atomic_store(&fail_at, n);
        r = scenario(userdata);
        atomic_store(&fail_at, 0);
        if (!mw_alloc_fail_hit()) {
            if (r != 0)
                fail_msg("without a failed allocation the scenario ends with %d", r);
            return failed;
        }
        failed++;
        if (r != 0 && r != -ENOMEM && (other == 0 || r != other))
            fail_msg("with allocation %u failed the scenario ends with %d (%s)", n, r,
                     strerror(r < 0 ? -r : 0));
    }
}
