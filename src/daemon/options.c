#include "daemon/options.h"

#define OPTION(name, letter, type, arg, help, member, ...)                                         \
    MW_OPTION(name, letter, type, arg, help, struct daemon_options, member, ##__VA_ARGS__)

const struct mw_option daemon_option_table[] = {
    OPTION("config", 'c', MW_OPT_STRING, "FILE", "read this configuration file", config,
           .complete = MW_COMPLETE_FILE),
    OPTION("check", 0, MW_OPT_FLAG, NULL, "check the configuration and stop", check),
    OPTION("log-level", 'l', MW_OPT_STRING, "LEVEL", "log so much, whatever the file says",
           log_level, .choices = "error warning info debug"),
    OPTION("version", 'V', MW_OPT_FLAG, NULL, "print the version and stop", version),
    OPTION("help", 'h', MW_OPT_FLAG, NULL, "print this help and stop", help),
    MW_OPTIONS_END,
};

const char daemon_summary[] =
    "Connects the bots of the configuration to their servers, records what they see, runs handlers "
    "and delivers their answers.";
