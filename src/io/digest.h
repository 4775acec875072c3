/* Hashes of files. Any thread; blocks while it reads. */
#ifndef MW_IO_DIGEST_H
#define MW_IO_DIGEST_H

#include "base/macros.h"

#define MW_SHA256_HEX 65 /* bytes of its text, with the NUL */

/* Writes the SHA-256 of a file as 64 small hexadecimal digits. Returns 0 or a negative errno. */
int mw_file_sha256(const char *path, char *ret_hex) MW_MUST_CHECK;

#endif
