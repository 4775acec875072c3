#include "base/id.h"

#include <sys/random.h>

bool mw_id_valid(const char *s)
{
    size_t n = 0;

    for (; s[n]; n++) {
        char c = s[n];

        if (n == MW_ID_LEN)
            return false;
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')))
            return false;
    }
    return n == MW_ID_LEN;
}

int mw_id_new(char *buf)
{
    static const char alphabet[] = "ybndrfg8ejkmcpqxot1uwisza345h769";
    unsigned char raw[17] = {0};

    if (getrandom(raw, 16, 0) != 16)
        return errno ? -errno : -EIO;
    for (unsigned i = 0; i < MW_ID_LEN; i++) {
        unsigned bit = i * 5, shift = bit % 8;
        unsigned window = (unsigned)raw[bit / 8] << 8 | raw[bit / 8 + 1];

        buf[i] = alphabet[window >> (11 - shift) & 31];
    }
    buf[MW_ID_LEN] = '\0';
    return 0;
}
