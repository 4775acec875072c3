/*
 * The names in a bot's config, made into ids: its `channels`, and the people of its routes.
 *
 * People and channels are renamed, so names are resolved once per start and by id from then on. A
 * name that does not resolve is kept with the reason; the others work. All calls on the loop's
 * thread.
 */
#ifndef MW_GATEWAY_NAMES_H
#define MW_GATEWAY_NAMES_H

#include "gateway/config.h"
#include "mattermost/client.h"

enum gw_name_state {
    GW_NAME_UNKNOWN, /* not asked yet, or the server could not be asked */
    GW_NAME_OK,
    GW_NAME_OUTSIDE, /* the channel exists, but the bot is not in it (or may not see it) */
    GW_NAME_MISSING, /* no such name, or an ambiguous one */
};

struct gw_name {
    bool is_user;
    enum gw_name_state state;
    char *given;   /* as in the config */
    char *id;      /* NULL until known */
    char *problem; /* sentence, unless OK; NULL = none */
};

struct gw_names {
    struct gw_name *items;
    size_t n;
    size_t at; /* the one being asked about */
    bool busy;
    char *team;
    struct mm_client *client;
    void (*done)(void *userdata); /* a pass ended, whatever came out */
    void *userdata;
};

/* Copies the names, those of the config's groups too. Ids are known at once. Returns 0 or -ENOMEM.
 */
int gw_names_init(struct gw_names *names, const struct gw_config *config,
                  const struct gw_bot_config *bot);
void gw_names_deinit(struct gw_names *names);

/* Every name has an id, or the server said that it has none. */
bool gw_names_settled(const struct gw_names *names);
/* Every name is as it should be. */
bool gw_names_good(const struct gw_names *names);

/* Asks the server for what is not OK, one by one, then calls done. Does nothing while a pass is
 * under way. Free the client (its calls end) before the names. */
void gw_names_resolve(struct gw_names *names, struct mm_client *client,
                      void (*done)(void *userdata), void *userdata);

#endif
