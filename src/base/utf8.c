#include "base/utf8.h"

#include <string.h>

size_t mw_utf8_char_len(const char *s, size_t len)
{
    const unsigned char *p = (const unsigned char *)s;
    unsigned char low = 0x80, high = 0xbf;
    size_t n;

    if (len == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (len < n)
        return 0;
    /* The second byte's range depends on the first: overlong forms, surrogates, the end of Unicode.
     */
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

bool mw_utf8_valid(const char *s, size_t len)
{
    while (len) {
        uint64_t word;
        size_t n;

        /* Most text is ASCII: eight characters at a time. */
        while (len >= sizeof(word)) {
            memcpy(&word, s, sizeof(word));
            if (word & 0x8080808080808080ULL)
                break;
            s += sizeof(word);
            len -= sizeof(word);
        }
        if (len == 0)
            return true;
        n = mw_utf8_char_len(s, len);
        if (n == 0)
            return false;
        s += n;
        len -= n;
    }
    return true;
}

static size_t step(const char *s)
{
    size_t n = mw_utf8_char_len(s, strnlen(s, 4));

    return n ? n : 1;
}

size_t mw_utf8_count(const char *s)
{
    size_t n = 0;

    for (; *s; s += step(s))
        n++;
    return n;
}

size_t mw_utf8_offset(const char *s, size_t n)
{
    const char *p = s;

    for (; *p && n; n--)
        p += step(p);
    return (size_t)(p - s);
}
