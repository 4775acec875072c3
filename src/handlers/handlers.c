#include "handlers/handlers.h"

const struct gw_handler_type *const gw_handler_types[] = {
    &gw_acp_handler,
    &gw_chat_handler,
    &gw_command_handler,
    &gw_http_handler,
    &gw_lua_handler,
    &gw_process_handler,
    NULL,
};
