#include "gateway/internal.h"

enum gw_code gw_code_of(enum mm_outcome outcome)
{
    switch (outcome) {
    case MM_OK:
        return GW_OK;
    case MM_NOT_FOUND:
        return GW_NOT_FOUND;
    case MM_FORBIDDEN:
        return GW_FORBIDDEN;
    case MM_REFUSED:
        return GW_BAD_PARAMS;
    case MM_UNAVAILABLE:
        return GW_REFUSED;
    case MM_UNREACHABLE:
    case MM_AMBIGUOUS:
    case MM_UNAUTHORIZED:
    case MM_BAD_ANSWER:
    case MM_CANCELED:
        break;
    }
    return GW_OFFLINE;
}

void gw_reply_error(gw_cb cb, void *userdata, enum gw_code code, const char *sentence)
{
    struct gw_reply r = {.code = code};

    mw_error_set(&r.err, (int)code, "%s", sentence ? sentence : "out of memory");
    cb(&r, userdata);
    mw_error_reset(&r.err);
}
