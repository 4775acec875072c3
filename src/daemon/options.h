/* The options of matterwired as data; the man page is made from them too. No state. */
#ifndef MW_DAEMON_OPTIONS_H
#define MW_DAEMON_OPTIONS_H

#include "base/options.h"

struct daemon_options {
    const char *config, *log_level;
    bool check, version, help;
};

extern const struct mw_option daemon_option_table[]; /* for struct daemon_options */
extern const char daemon_summary[];                  /* what the program does, a paragraph */

#endif
