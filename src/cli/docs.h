/* Pages that are made from the tables. Each appends to b and returns 0 or -ENOMEM. */
#ifndef CLI_DOCS_H
#define CLI_DOCS_H

#include "base/buf.h"

int docs_config(struct mw_buf *b);   /* docs/config.md */
int docs_events(struct mw_buf *b);   /* docs/events.md */
int docs_commands(struct mw_buf *b); /* docs/commands.md */

int docs_man_matterwired(struct mw_buf *b); /* matterwired.8 */
int docs_man_matterwire(struct mw_buf *b);  /* matterwire.1 */
int docs_man_config(struct mw_buf *b);      /* matterwire.yaml.5 */

#endif
