/*
 * The first line is a key, the second a value, the rest a file. No change may crash, fail without a
 * sentence, or lose a line that it is not about: a bot that is added and removed again leaves the
 * text as it was, but for a newline at its end.
 */
#include "base/fuzz.h"
#include "base/str.h"
#include "gateway/config_edit.h"

static void judge(int r, const char *changed, const struct mw_error *err)
{
    if (r == 1 && !*mw_error_text(err))
        abort();
    if (r == 0 && !changed)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MW_AUTOFREE char *text = strndup((const char *)data, size), *changed = NULL, *added = NULL,
                     *removed = NULL;
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOJSON *list = NULL;
    char *value = text ? strchr(text, '\n') : NULL, *file = value ? strchr(value + 1, '\n') : NULL;
    const struct gw_new_bot bot = {.name = "-new", .endpoint = "http://x", .token_env = "T"};
    int r;

    if (!file)
        return 0;
    *value++ = 0;
    *file++ = 0;
    r = gw_config_set(file, text, value, &changed, &err);
    judge(r, changed, &err);
    judge(gw_config_list(file, &list, &err), "", &err);
    r = gw_config_add_bot(file, &bot, &added, &err);
    judge(r, added, &err);
    if (r == 0) {
        r = gw_config_remove_bot(added, "-new", &removed, &err);
        judge(r, removed, &err);
        if (r == 0 && !mw_starts_with(removed, file))
            abort();
    }
    return 0;
}
