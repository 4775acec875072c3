/* A turn as JSON: what handlers get that are told more than the event. */
#ifndef MW_HANDLERS_TURN_H
#define MW_HANDLERS_TURN_H

#include "gateway/handler.h"

/* The event's object (docs/events.md) with these members more:
 *   prompt        what was said, without the mention of the bot
 *   conversation  see struct gw_turn
 *   local_files   [{"id","name","mime","size","path" | "problem"}], when there are files
 * One line without a newline. Appends; returns 0, -ENOMEM or -E2BIG. */
int gw_turn_write_json(struct mw_buf *b, const struct gw_turn *turn, bool with_raw);

/* The array of files alone, as in local_files. Appends; returns as above. */
int gw_turn_write_files(struct mw_buf *b, const struct gw_turn *turn);

#endif
