/*
 * The sandbox: a small Mattermost-compatible server in one process, for trying bots without a
 * Mattermost and for tests. The handbook chapter is docs/sandbox.md.
 *
 * It is an independent peer: it shares no protocol code with src/mattermost, so that the two check
 * each other.
 */
#ifndef SB_SANDBOX_H
#define SB_SANDBOX_H

#include "base/macros.h"

#define SB_DEFAULT_LISTEN "127.0.0.1:8065"

struct sb_options {
    const char *listen; /* "host:port", "port" or ":port"; port 0 = any; NULL = SB_DEFAULT_LISTEN */
    const char *control;     /* address of the fault switches; NULL = off */
    const char *database;    /* SQLite file that keeps the state; NULL = memory only */
    const char *seed;        /* world of an empty start: "demo" (also NULL) or "none" */
    const char *version;     /* shapes: "11.6" (also NULL) or "5.37" */
    const char *const *bots; /* more bots, each "NAME" or "NAME:TOKEN-FILE" (written 0600); the
                                seeded bot is `helper`. NULL-terminated; may be NULL */
    bool quiet;              /* log nothing but errors */
    int ready_fd;            /* gets the ready line instead of standard output; < 0 = stdout */
};

/*
 * Runs until SIGINT or SIGTERM. Prints "sandbox control http://HOST:PORT" (with `control`) and then
 * "sandbox ready http://HOST:PORT" once it listens. Returns an exit status: 0, 1 (could not start
 * or run), 2 (wrong options). Logs, because it is a program's edge.
 */
int sb_main(const struct sb_options *options);

#endif
