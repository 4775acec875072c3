/*
 * Who may trigger what: the words of `allowed_users` and `denied_users`, made into ids.
 *
 *   @name, id        a person, by id once the name was looked up
 *   group:NAME       the people of a group of the config, else a group of the server
 *   team:NAME        the members of a team
 *   channel-admins   who administers the channel of the event
 *   *                everyone
 *
 * Membership of a team, of a server's group and of the admins is asked of the server when it is
 * needed, and remembered for five minutes. A server without a licence has no groups; one that has
 * them tells only a system administrator of other people's. All calls on the loop's thread.
 */
#ifndef MW_GATEWAY_ACCESS_H
#define MW_GATEWAY_ACCESS_H

#include "base/map.h"
#include "gateway/config.h"
#include "gateway/names.h"
#include "mattermost/client.h"
#include "store/event.h"

/* ---- What the server was asked about people ---- */

#define GW_QUESTION_MAX 256

/* "KIND NAME USER": one question to the server, and the key of its answer. */
struct gw_question {
    char text[GW_QUESTION_MAX];
};

struct gw_members {
    struct mw_map known; /* question -> answer */
    struct mm_client *client;
    bool busy;
    struct gw_question asked;
    void (*done)(bool answered, void *userdata);
    void *userdata;
    bool told; /* that the server does not tell, in the log */
};

void gw_members_init(struct gw_members *m);
void gw_members_deinit(struct gw_members *m);
void gw_members_clear(struct gw_members *m);
/* Asks the server, then calls done; false: there was no answer, try later. Nothing while another
 * one is under way. When the client is freed, done comes as for any other trouble. */
void gw_members_ask(struct gw_members *m, struct mm_client *client, const struct gw_question *q,
                    void (*done)(bool answered, void *userdata), void *userdata);

/* ---- A list of words ---- */

struct gw_access {
    bool everyone, channel_admins;
    struct mw_map users;            /* ids; values are not used */
    const struct gw_strings *words; /* of the config, for teams and groups */
    const struct gw_config *config;
};

enum gw_has {
    GW_NO,
    GW_YES,
    GW_ASK,     /* the question is in *ret */
    GW_UNKNOWN, /* the server does not tell the bot: no for those who are allowed, yes for denied */
};

/* Takes the ids from `names`, where they are known already. `words` and `config` must live on.
 * Returns 0 or -ENOMEM. */
int gw_access_init(struct gw_access *a, const struct gw_config *config,
                   const struct gw_strings *words, const struct gw_names *names);
void gw_access_deinit(struct gw_access *a);
enum gw_has gw_access_has(const struct gw_access *a, const struct gw_members *m,
                          const struct mw_event *ev, struct gw_question *ret);

#endif
