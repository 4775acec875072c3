#include "handlers/handlers.h"

const struct gw_handler_type *const gw_handler_types[] = {
    &gw_command_handler,
    &gw_process_handler,
    &gw_http_handler,
    NULL,
};
