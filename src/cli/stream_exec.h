/* `stream --exec`: a program for each event. */
#ifndef CLI_STREAM_EXEC_H
#define CLI_STREAM_EXEC_H

#include <signal.h>

#include "base/macros.h"

struct cli_exec {
    char **argv;   /* program and arguments, NULL-terminated */
    int64_t tries; /* for one event; 0 = without end */
    /* Signals come only while we wait; they set *stop. */
    const sigset_t *while_waiting;
    volatile sig_atomic_t *stop;
};

/* Runs the program with the event's JSON on standard input until it exits with 0; waits longer
 * before each further try. Returns an exit status: CLI_FAILED (the sentence was printed) when it
 * cannot be started or all tries failed. *ret_taken: it exited with 0; a signal ends the wait with
 * CLI_DONE and without that, after it was passed on to a program that runs. */
int cli_exec_event(const struct cli_exec *e, const char *json, int64_t id, bool *ret_taken);

#endif
