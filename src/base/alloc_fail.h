/*
 * For tests: makes one allocation fail, every one of a scenario in its turn.
 *
 * A test program that has alloc_fail_dep among its dependencies (src/base/meson.build) is linked so
 * that malloc, calloc, realloc, reallocarray, strdup, strndup, asprintf and vasprintf, called from
 * our own code or from the test, go through here. What a library allocates by itself does not,
 * unless the library lets its allocator be replaced and the test asks for it:
 *   - cJSON always counts, because base/json.h promises -ENOMEM for it;
 *   - SQLite and libcurl count when the test hands them mw_alloc_fail_malloc and its like, before
 *     their first use (sqlite3_config, curl_global_init_mem);
 *   - libuv does not: it ends the process where its tables cannot grow;
 *   - OpenSSL, libmicrohttpd, wslay and libc's own (getaddrinfo, stdio) do not: they are libraries
 *     whose behaviour under lack of memory is not ours to mend.
 *
 * Allocations of all threads count. Leaks are found by running under AddressSanitizer.
 */
#ifndef MW_BASE_ALLOC_FAIL_H
#define MW_BASE_ALLOC_FAIL_H

#include "base/macros.h"

/*
 * The scenario does its work from start to end, frees all it made and returns 0 or the negative
 * errno with which the work failed. Its own allocations fail too. mw_alloc_fail_hit tells
 * at any time whether the failure has happened.
 */
typedef int (*mw_alloc_fail_scenario)(void *userdata);

enum mw_alloc_fail_mode {
    MW_ALLOC_FAIL_ONCE, /* the n-th allocation fails, those behind it work */
    MW_ALLOC_FAIL_REST, /* the n-th and all behind it fail */
};

/*
 * Runs the scenario with n = 1, 2, 3 ... until a run asked for fewer than n allocations. That run
 * must return 0. The others must return -ENOMEM, or 0 where the lack was got over, or `other`
 * (a negative errno, 0 = none: a clean failure of another name, such as a connection that ended).
 * Fails the test otherwise. Returns how many allocations were made to fail.
 */
unsigned mw_alloc_fail_each(enum mw_alloc_fail_mode mode, mw_alloc_fail_scenario scenario,
                            void *userdata, int other);

/* The next mw_alloc_fail_each takes only every k-th n: for scenarios that allocate thousands of
 * times inside a library. */
void mw_alloc_fail_every(unsigned k);

/* True once the allocation of this run has failed. */
bool mw_alloc_fail_hit(void);

/* The counted functions as pointers, for a library's own hooks. free() frees what they give. */
void *mw_alloc_fail_malloc(size_t size);
void *mw_alloc_fail_calloc(size_t n, size_t size);
void *mw_alloc_fail_realloc(void *p, size_t size);
char *mw_alloc_fail_strdup(const char *s);

/* realloc that neither counts nor fails. */
void *mw_alloc_fail_never(void *p, size_t size);

/* Between these two nothing fails and nothing counts, in any thread; they can be nested. For what
 * the scenario needs and does not test. */
void mw_alloc_fail_suspend(void);
void mw_alloc_fail_resume(void);

#endif
