#include "cli/kinds.h"

#include "base/str.h"
#include "cli/cli.h"
#include "store/event.h"

int cli_add_kinds(cJSON *params, const struct mw_option_list *kinds)
{
    MW_AUTOJSON *list = cJSON_CreateArray();

    for (size_t i = 0; list && i < kinds->n; i++) {
        struct mw_nearest nearest = {.name = kinds->items[i]};
        enum mw_event_kind kind;

        if (mw_event_kind_parse(kinds->items[i], &kind) == 0) {
            if (mw_json_push(list, cJSON_CreateString(kinds->items[i])))
                return cli_no_memory();
            continue;
        }
        for (int k = 1; mw_event_kind_doc(k); k++)
            mw_nearest_offer(&nearest, mw_event_kind_name(k));
        if (mw_nearest_get(&nearest))
            return cli_error(CLI_USAGE, "there is no kind \"%s\"; did you mean \"%s\"?",
                             kinds->items[i], mw_nearest_get(&nearest));
        return cli_error(CLI_USAGE, "there is no kind \"%s\"; docs/events.md lists them",
                         kinds->items[i]);
    }
    if (kinds->n && mw_json_add(params, "kinds", take_ptr(list)))
        return cli_no_memory();
    return list || kinds->n ? CLI_DONE : cli_no_memory();
}
