/* Between directory.c (lists) and channel.c (changes of channels). */
#ifndef MW_GATEWAY_DIRECTORY_INTERNAL_H
#define MW_GATEWAY_DIRECTORY_INTERNAL_H

#include "base/id.h"
#include "gateway/directory.h"
#include "gateway/query.h"

struct gw_directory {
    struct gw_query q;
    char *team, *channel, *search; /* as given */
    char team_id[MW_ID_SIZE], channel_id[MW_ID_SIZE];
    void (*with_team)(struct gw_directory *d);
    bool all;
    unsigned page, limit;
    cJSON *list;           /* the server's objects */
    struct mw_map members; /* ids of channels that the bot is in */
    cJSON *body;           /* of a call, kept while another one is made */

    /* channel.c */
    enum gw_channel_action action;
    cJSON *users; /* names, still to be dealt with */
};

/* NULL: cb was told why. */
struct gw_directory *gw_directory_new(struct gw_bot *bot, gw_cb cb, void *userdata);
void gw_directory_free(struct gw_query *q);
/* Sets a string; false without memory: that ended the query. */
bool gw_directory_set(struct gw_directory *d, char **slot, const char *value);
/* Finds team_id for d->team (NULL: the only team), then goes on. */
void gw_directory_team(struct gw_directory *d, void (*with_team)(struct gw_directory *d));

#endif
