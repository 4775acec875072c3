#include <string.h>

#include "base/fuzz.h"
#include "gateway/cron.h"

/* What is accepted as a schedule has slots, one behind the other. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gw_zone *zone;
    char text[200];
    struct gw_cron c;
    int64_t at = INT64_C(1767225600000);

    if (size >= sizeof(text))
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    if (!zone && gw_zone_load("Europe/Berlin", &zone, NULL))
        abort();
    if (gw_cron_parse(text, &c, NULL))
        return 0;
    for (int i = 0; i < 10; i++) {
        int64_t next = gw_cron_next(&c, zone, at);

        /* An hour that is there on one day of the year only may be one that is leapt over. */
        if (next < 0)
            return 0;
        if (next <= at)
            abort();
        at = next;
    }
    return 0;
}
