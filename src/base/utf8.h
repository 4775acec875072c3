/* UTF-8 as RFC 3629 defines it: no surrogates, nothing above U+10FFFF, no overlong forms. */
#ifndef MW_BASE_UTF8_H
#define MW_BASE_UTF8_H

#include "base/macros.h"

/* Bytes of the valid character at s (1 to 4), 0 when the bytes there are not one. len = bytes
 * available. */
size_t mw_utf8_char_len(const char *s, size_t len);

/* True when all `len` bytes are valid UTF-8. */
bool mw_utf8_valid(const char *s, size_t len);

/* Characters (code points, Go's runes) in a NUL-terminated string; an invalid byte counts as one.
 */
size_t mw_utf8_count(const char *s);

/* Byte offset of the `n`th character, or of the end when there are fewer. */
size_t mw_utf8_offset(const char *s, size_t n);

#endif
