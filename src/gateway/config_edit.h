/*
 * Changes of a configuration's text. What a change is not about stays as it is, to the byte:
 * comments, order, blank lines. Works on text in memory; nothing is validated but the place of the
 * change (gw_config_parse does that).
 *
 * All return 0 and the new text (allocated), 1 with a sentence, or -ENOMEM.
 */
#ifndef MW_GATEWAY_CONFIG_EDIT_H
#define MW_GATEWAY_CONFIG_EDIT_H

#include "base/json.h"

/* KEY is daemon.KEY, bots.NAME.KEY or handlers.NAME.KEY, deeper ones (tls.ca_file) too. The value
 * is YAML in one line; text that would be something else in YAML is quoted. */
int gw_config_set(const char *text, const char *key, const char *value, char **ret,
                  struct mw_error *err);

struct gw_new_bot {
    const char *name, *endpoint;
    const char *token_file, *token_env; /* one of them: a file, or the name of a variable */
    const char *team;                   /* NULL = none */
};
int gw_config_add_bot(const char *text, const struct gw_new_bot *bot, char **ret,
                      struct mw_error *err);
int gw_config_remove_bot(const char *text, const char *name, char **ret, struct mw_error *err);

/* All values as an array of {"key","value","line"}. Secrets that stand in the file are not told:
 * their value is null. */
int gw_config_list(const char *text, cJSON **ret, struct mw_error *err);

#endif
