/*
 * A child process: no shell, its own process group, standard input given at once or bit by bit,
 * standard output collected up to a limit or told as it comes, the end of standard error kept,
 * killed with its whole group at the time limit. All calls on
 * the loop's thread. The environment is exactly what is given. The child has no descriptor of ours
 * but the three, and default signal actions. SIGPIPE is ignored in our process from the first start
 * on (see io/handle.h).
 *
 * The object frees itself after its callback. A child of the child that holds the output open after
 * the child's exit is given a quarter of a second, then the group is killed; one that left the
 * group is not waited for.
 */
#ifndef MW_IO_PROCESS_H
#define MW_IO_PROCESS_H

#include <uv.h>

#include "base/buf.h"
#include "base/error.h"

struct mw_process;

/* Standard output as it comes; len 0 = its end, told once. May call anything of this header. */
typedef void (*mw_process_output_cb)(struct mw_process *p, const char *data, size_t len,
                                     void *userdata);

struct mw_process_params {
    const char *const *argv; /* NULL-terminated; argv[0] is looked up in the PATH given in env, or
                                ours; with a slash it is relative to workdir */
    const char *const *env;  /* "NAME=value", NULL-terminated */
    const char *workdir;     /* NULL = ours */
    const char *input;       /* written to standard input, which is then closed; copied */
    size_t input_len;
    /* Standard input stays open for mw_process_write until mw_process_close_input. */
    bool keep_input;
    size_t max_input; /* bytes that may wait for the child to read them; 0 = 1 MiB */
    /* Set: result.out stays empty and max_stdout does not count. */
    mw_process_output_cb on_output;
    int64_t timeout_ms;    /* 0 = no limit. SIGTERM to the group, SIGKILL after kill_after_ms */
    int64_t kill_after_ms; /* 0 = 2000 */
    size_t max_stdout;     /* bytes; 0 = 1 MiB. Over it the group is killed at once */
    size_t max_stderr;     /* bytes kept (the last ones); 0 = 16 KiB */
};

enum mw_process_end {
    MW_PROCESS_EXITED,   /* see exit_code */
    MW_PROCESS_SIGNALED, /* see signal */
    MW_PROCESS_TIMEOUT,
    MW_PROCESS_FLOODED, /* more output than max_stdout */
    MW_PROCESS_CANCELED,
};

struct mw_process_result {
    enum mw_process_end end;
    int exit_code;            /* of the child, however it came to its end */
    int signal;               /* 0 = it exited by itself */
    const struct mw_buf *out; /* valid during the call; at most max_stdout bytes */
    const struct mw_buf *err;
};

typedef void (*mw_process_cb)(struct mw_process *p, const struct mw_process_result *r,
                              void *userdata);

/* Comes back once the child runs; cb comes exactly once when it has ended and its output is read
 * (or its group was killed), never before this returns. Returns 0 or a negative errno with a
 * sentence (-ENOENT: no such program or working directory); cb does not come then. */
int mw_process_start(uv_loop_t *loop, const struct mw_process_params *params, mw_process_cb cb,
                     void *userdata, struct mw_process **ret, struct mw_error *err);

/* Adds to what goes to standard input; all of it or nothing. Returns 0, -ENOBUFS (max_input: the
 * child does not read), -EPIPE (its input is closed, by either side) or -ENOMEM. */
int mw_process_write(struct mw_process *p, const char *data, size_t len);
/* Closes standard input once all of it is written. */
void mw_process_close_input(struct mw_process *p);

/* Asks it to end (SIGTERM, then SIGKILL, to the group); cb comes with MW_PROCESS_CANCELED, or with
 * the reason for which it was being ended already. */
void mw_process_cancel(struct mw_process *p);

/* Kills the group at once and forgets the process; cb does not come. Not from within cb. */
void mw_process_drop(struct mw_process *p);

int mw_process_pid(const struct mw_process *p);

#endif
