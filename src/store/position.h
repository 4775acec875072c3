/* How far a bot has seen a channel. Times are the server's, wall clock milliseconds. */
#ifndef MW_STORE_POSITION_H
#define MW_STORE_POSITION_H

#include "base/macros.h"

struct mw_position {
    int64_t seen_at;  /* newest create, update or delete time seen there; 0 = never */
    char post_id[64]; /* newest post by create_at, "" = none */
    int64_t post_at;  /* its create_at */
    int64_t from_at;  /* the channel is followed from then on: what was posted before is not new */
    bool confirmed; /* a paging fetch (not only live events) has covered everything up to seen_at */
};

#endif
