/* The world of an empty start: team demo, anna (admin), ben and carl, the bot helper. */
#ifndef SB_SEED_H
#define SB_SEED_H

#include "sandbox/server.h"

#define SB_SEED_PASSWORD "Password-1"

/* Returns 0 or a negative errno. */
int sb_seed(struct sb_server *sv, struct mw_error *err);

/* Makes the bot "NAME" or "NAME:TOKEN-FILE" unless it exists, puts it into every team, and writes a
 * token of its own to the file (0600). */
int sb_seed_bot(struct sb_server *sv, const char *spec, struct mw_error *err);

#endif
