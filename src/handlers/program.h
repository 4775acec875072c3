/*
 * What all handlers that run programs share: the environment of a program, and what its end means.
 */
#ifndef MW_HANDLERS_PROGRAM_H
#define MW_HANDLERS_PROGRAM_H

#include "gateway/handler.h"
#include "io/process.h"

struct gw_env {
    char **items; /* "NAME=value", NULL-terminated; NULL = empty */
    size_t n, cap;
};

/* PATH, what `env_inherit` and `env` name, and the MATTERWIRE_* variables of the turn (NULL =
 * without them). Returns 0 or -ENOMEM; to be freed in both cases. */
int gw_env_make(struct gw_env *e, const struct gw_handler_config *c, const struct gw_turn *turn);
void gw_env_deinit(struct gw_env *e);

/* The strings as a NULL-terminated array that the caller frees; NULL when memory ran out. */
const char **gw_argv(const struct gw_strings *command);

/* "exit status 3: no such table", "ended by signal 9 (Killed)", with the last lines of standard
 * error, on one line; appended to out. For a program that ended, whatever made it. */
void gw_describe_exit(const struct mw_process_result *r, struct mw_buf *out);

/* How a program ended, with a sentence (the last lines of standard error in it) for all but success
 * and cancel. */
enum gw_handler_end gw_program_end(const struct mw_process_result *r, int64_t timeout_ms,
                                   size_t max_output, struct mw_error *err);

/* Programs and servers send what they like, a post is text: what is not UTF-8, and NUL, becomes
 * U+FFFD. Appends; returns 0, -ENOMEM or -E2BIG. */
int gw_clean_text(const char *data, size_t len, struct mw_buf *out);

#endif
