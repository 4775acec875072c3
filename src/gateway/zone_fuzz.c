#include "base/fuzz.h"
#include "gateway/cron.h"

/* Whatever is accepted as a zone answers for every time, and schedules go forward in it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t times[] = {INT64_MIN,  -4000000000,  0,        1774746000,
                                    4102444800, 250000000000, INT64_MAX};
    struct gw_zone *z = NULL;
    struct gw_cron c;
    int64_t at = INT64_C(1774746000000);

    if (gw_zone_parse(data, size, &z, NULL))
        return 0;
    for (size_t i = 0; i < MW_ARRAY_LEN(times); i++) {
        if (abs(gw_zone_offset(z, times[i])) >= 2 * 86400)
            abort();
        if (gw_zone_next_change(z, times[i]) <= times[i] && times[i] != INT64_MAX)
            abort();
    }
    if (gw_cron_parse("30 2 * * *", &c, NULL))
        abort();
    for (int i = 0; i < 20; i++) {
        int64_t next = gw_cron_next(&c, z, at);

        if (next < 0)
            break;
        if (next <= at)
            abort();
        at = next;
    }
    gw_zone_free(z);
    return 0;
}
