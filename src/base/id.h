/* Mattermost ids: 26 letters and digits (mattermost-server model/utils.go). Thread safe. */
#ifndef MW_BASE_ID_H
#define MW_BASE_ID_H

#include "base/macros.h"

#define MW_ID_LEN  26
#define MW_ID_SIZE (MW_ID_LEN + 1)

/* True when s is exactly 26 letters and digits. */
bool mw_id_valid(const char *s);

/* Writes a new random id (128 bits from the kernel, z-base-32) into buf[MW_ID_SIZE].
 * Returns 0 or a negative errno when the kernel has no randomness to give. */
int mw_id_new(char *buf);

#endif
