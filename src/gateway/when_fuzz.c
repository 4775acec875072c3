#include "base/fuzz.h"
#include "base/str.h"
#include "gateway/when.h"

/* What compiles can be asked, and says the same twice. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mw_event ev = {
        .kind = MW_EVENT_POST,
        .flags = MW_EVENT_MENTION,
        .channel_id = "c1",
        .channel_name = "ops",
        .user_name = "ada",
        .text = "deploy web",
    };
    struct gw_when_input in = {.ev = &ev};
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOFREE char *text = strndup((const char *)data, size);
    struct gw_when *w = NULL;
    bool first = false, second = false;
    int r;

    if (!text || gw_when_compile(text, &w, &err))
        return 0;
    r = gw_when_eval(w, &in, &first, NULL);
    /* A random number is the one thing that may differ. */
    if (!strstr(text, "random") && (gw_when_eval(w, &in, &second, NULL) != r || first != second))
        abort();
    gw_when_free(w);
    return 0;
}
