#include "base/fuzz.h"
#include "gateway/config.h"

/* Never crashes and never leaves a mistake without a sentence; a config equals itself. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gw_problems problems = {0};
    struct gw_config *config = NULL;
    int r =
        gw_config_parse("/nonexistent/config.yaml", (const char *)data, size, &config, &problems);

    if (r == 0)
        for (size_t i = 0; i < config->n_bots; i++)
            if (!gw_bot_config_equal(&config->bots[i], &config->bots[i]))
                abort();
    if (r == 1 && problems.n == 0)
        abort();
    for (size_t i = 0; i < problems.n; i++)
        if (!problems.items[i].message[0])
            abort();
    gw_config_free(config);
    gw_problems_deinit(&problems);
    return 0;
}
