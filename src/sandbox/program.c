/* The sandbox on its own, for its tests: matterwire-sandbox LISTEN CONTROL [DATABASE|-] [VERSION]
 * [BOT...]. People use `matterwire sandbox`. */
#include <stdio.h>

#include "base/str.h"
#include "sandbox/sandbox.h"

int main(int argc, char **argv)
{
    struct sb_options o = {.ready_fd = -1, .quiet = true};

    if (argc < 3) {
        fputs("usage: matterwire-sandbox LISTEN CONTROL [DATABASE|-] [VERSION] [BOT...]\n", stderr);
        return 2;
    }
    o.listen = argv[1];
    o.control = mw_streq(argv[2], "-") ? NULL : argv[2];
    if (argc > 3 && !mw_streq(argv[3], "-"))
        o.database = argv[3];
    if (argc > 4)
        o.version = argv[4];
    if (argc > 5)
        o.bots = (const char *const *)(argv + 5);
    return sb_main(&o);
}
