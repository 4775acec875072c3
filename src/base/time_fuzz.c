#include "base/clock.h"
#include "base/fuzz.h"
#include "base/str.h"

/* Times of four-digit years must survive being printed and read again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MW_AUTOFREE char *text = strndup((const char *)data, size);
    char printed[MW_RFC3339_SIZE];
    int64_t ms, again;

    if (!text || mw_time_parse(text, 1795255200123, &ms) < 0)
        return 0;
    if (ms < 0 || ms > 253402300799999)
        return 0;
    mw_clock_rfc3339(ms, printed);
    if (mw_time_parse(printed, 0, &again) < 0 || again != ms)
        abort();
    return 0;
}
