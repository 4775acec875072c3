/* The handler types of this build, as a table for gw_new. */
#ifndef MW_HANDLERS_HANDLERS_H
#define MW_HANDLERS_HANDLERS_H

#include "gateway/handler.h"

/* Ends with NULL. */
extern const struct gw_handler_type *const gw_handler_types[];

/* Type `command`: one process for each event. */
extern const struct gw_handler_type gw_command_handler;
/* Names of the variables that it sets, for the reference; NULL behind the last one. */
const char *gw_command_variable(size_t i);

/* Type `process`: a program that runs on. */
extern const struct gw_handler_type gw_process_handler;

/* Type `chat`: any OpenAI-compatible server. */
extern const struct gw_handler_type gw_chat_handler;

/* Type `acp`: an agent of the Agent Client Protocol. */
extern const struct gw_handler_type gw_acp_handler;

/* Type `http`: one POST for each event, the answer in the body. */
extern const struct gw_handler_type gw_http_handler;

/* Type `lua`: a script in a sandbox. */
extern const struct gw_handler_type gw_lua_handler;

#endif
