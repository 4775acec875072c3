/*
 * Users, channels and teams that are known, by id and by name. Plain memory, no I/O, one thread.
 *
 * Bounded: when a kind reaches its limit the whole kind is forgotten and learned anew, which keeps
 * the common case (everybody fits) without bookkeeping per look-up. Learning may therefore
 * invalidate pointers that were got before: learn first, then look up.
 */
#ifndef MW_MATTERMOST_CACHE_H
#define MW_MATTERMOST_CACHE_H

#include "base/map.h"
#include "mattermost/client.h"

struct mm_cache {
    struct mw_map users, user_ids; /* id -> info; name -> the same info, not owned */
    struct mw_map channels, teams; /* id -> info */
    size_t limit;                  /* entries of each kind */
};

void mm_cache_init(struct mm_cache *c, size_t limit);
void mm_cache_deinit(struct mm_cache *c);
void mm_cache_forget_users(struct mm_cache *c);
/* Return 0 or -ENOMEM. */
int mm_cache_user(struct mm_cache *c, const struct mm_user *u);
int mm_cache_channel(struct mm_cache *c, const struct mm_channel *ch);
int mm_cache_team(struct mm_cache *c, const struct mm_team *t);

#endif
