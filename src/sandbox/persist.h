/* The database file behind sb_state: one table of (kind, id, json, data). Every call does nothing
 * when there is no file. For state.c only. */
#ifndef SB_PERSIST_H
#define SB_PERSIST_H

#include "sandbox/state.h"

void sb_persist_close(struct sb_state *s);
void sb_persist_delete(struct sb_state *s, const char *kind, const char *id);
void sb_persist_delete2(struct sb_state *s, const char *kind, const char *id, const char *id2);
void sb_persist_reaction(struct sb_state *s, const struct sb_reaction *r);
void sb_persist_reaction_gone(struct sb_state *s, const struct sb_reaction *r);
void sb_persist_pref(struct sb_state *s, const char *key, const struct sb_pref *p);
void sb_persist_file(struct sb_state *s, const struct sb_file *f, bool with_data);

#endif
