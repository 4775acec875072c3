/* The option --kind of `history` and `stream`. */
#ifndef CLI_KINDS_H
#define CLI_KINDS_H

#include "base/json.h"
#include "base/options.h"

/* Checks the kinds and adds them to the parameters of a call. Returns an exit status; what is wrong
 * was printed. */
int cli_add_kinds(cJSON *params, const struct mw_option_list *kinds);

#endif
