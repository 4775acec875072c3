/*
 * What is on a bot's server: channels, people, teams and groups, and the changes to channels.
 *
 * Nothing of it is stored; each call asks the server. Names resolve as everywhere, a miss lists
 * near names. A 403 says which right is missing and who can give it. All calls on the loop's
 * thread; strings are copied; cb comes exactly once, maybe before the function returns. What a
 * result holds is described in docs/rpc.md.
 */
#ifndef MW_GATEWAY_DIRECTORY_H
#define MW_GATEWAY_DIRECTORY_H

#include "gateway/gateway.h"

#define GW_LIST_MAX 10000 /* items of a list; a longer one is an error, never cut */

/* The bot's channels, or with `all` the public ones of a team. `team` NULL: for the bot's channels
 * all teams; else the team of the config or the only one. */
void gw_channels(struct gw *gw, struct gw_bot *bot, const char *team, bool all, gw_cb cb,
                 void *userdata);

enum gw_channel_action {
    GW_CHANNEL_CREATE,
    GW_CHANNEL_JOIN,
    GW_CHANNEL_LEAVE,
    GW_CHANNEL_INVITE,
    GW_CHANNEL_KICK,
    GW_CHANNEL_TOPIC,
    GW_CHANNEL_PURPOSE,
    GW_CHANNEL_ARCHIVE,
};
struct gw_channel_change {
    enum gw_channel_action action;
    const char *channel; /* any name; CREATE: the new one, NAME or TEAM/NAME */
    const char *team;    /* NULL = the config's, or the only one */
    const cJSON *users;  /* INVITE, KICK: array of names */
    const char *text;    /* TOPIC, PURPOSE: the new one, "" = none */
    /* CREATE; NULL = none */
    const char *display_name, *topic, *purpose;
    bool is_private;
};
void gw_channel_change(struct gw *gw, struct gw_bot *bot, const struct gw_channel_change *change,
                       gw_cb cb, void *userdata);

struct gw_users_query {
    const char *search; /* part of a name; NULL = all */
    const char *team, *channel;
    unsigned limit; /* the first so many; 0 = 100 */
};
void gw_users(struct gw *gw, struct gw_bot *bot, const struct gw_users_query *query, gw_cb cb,
              void *userdata);
/* One of them, by name or id, with its status. */
void gw_user(struct gw *gw, struct gw_bot *bot, const char *name, gw_cb cb, void *userdata);
void gw_teams(struct gw *gw, struct gw_bot *bot, gw_cb cb, void *userdata);
void gw_groups(struct gw *gw, struct gw_bot *bot, gw_cb cb, void *userdata);

#endif
