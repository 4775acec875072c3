/*
 * What the server does, below REST: making people, teams, channels and posts, joining and leaving,
 * with the events and system posts that belong to each (the server's app folder).
 *
 * Return 0, a negative errno, or 1 with *refusal filled in where one is taken.
 */
#ifndef SB_DOMAIN_H
#define SB_DOMAIN_H

#include "sandbox/events.h"
#include "sandbox/rest.h"

struct sb_pending { /* what a pending_post_id has become */
    char post_id[MW_ID_SIZE];
    int64_t expires; /* mono ms */
};

struct sb_new_user {
    const char *username, *email, *password, *first_name, *last_name, *nickname, *position;
    const char *bot_description;
    const struct sb_user *bot_owner; /* not NULL: a bot */
};
int sb_make_user(struct sb_server *sv, const struct sb_new_user *in, struct sb_user **ret,
                 struct sb_refusal *refusal);
bool sb_username_valid(const char *name);

/* A session, or an access token when `description` is not NULL. */
int sb_make_session(struct sb_server *sv, const struct sb_user *u, const char *description,
                    struct sb_session **ret);

int sb_make_team(struct sb_server *sv, struct sb_user *creator, const char *name,
                 const char *display_name, const char *type, struct sb_team **ret,
                 struct sb_refusal *refusal);
/* `by` NULL = on their own. Does nothing for a member. Joins the default channels too. */
int sb_join_team(struct sb_server *sv, struct sb_team *t, struct sb_user *u, struct sb_user *by,
                 bool admin);
int sb_leave_team(struct sb_server *sv, struct sb_team *t, struct sb_user *u, struct sb_user *by);

struct sb_new_channel {
    const char *team_id, *type, *name, *display_name, *header, *purpose;
    struct sb_user *creator; /* may be NULL; becomes a member */
};
int sb_make_channel(struct sb_server *sv, const struct sb_new_channel *in, struct sb_channel **ret,
                    struct sb_refusal *refusal);
int sb_direct_channel(struct sb_server *sv, struct sb_user *a, struct sb_user *b,
                      struct sb_channel **ret);
/* 3 to 8 different users. */
int sb_group_channel(struct sb_server *sv, struct sb_user **users, size_t n,
                     struct sb_user *creator, struct sb_channel **ret);
int sb_join_channel(struct sb_server *sv, struct sb_channel *c, struct sb_user *u,
                    struct sb_user *by);
int sb_leave_channel(struct sb_server *sv, struct sb_channel *c, struct sb_user *u,
                     struct sb_user *by);

struct sb_new_post {
    struct sb_channel *channel;
    struct sb_user *author;
    const char *message, *type, *root_id, *pending_post_id;
    const cJSON *props, *file_ids; /* NULL = none */
    int64_t create_at;             /* 0 = now */
    bool flood;                    /* may share its millisecond with others */
};
int sb_make_post(struct sb_server *sv, const struct sb_new_post *in, struct sb_post **ret,
                 struct sb_refusal *refusal);
/* A post of the server's own, in the name of `actor`. `props` is taken over. */
int sb_system_post(struct sb_server *sv, struct sb_channel *c, struct sb_user *actor,
                   const char *type, cJSON *props, const char *fmt, ...) MW_PRINTF(6, 7);
void sb_delete_post(struct sb_server *sv, struct sb_post *p, const struct sb_user *by);
/* Where the buttons and menus of a post lead: out of the props, into the post. */
int sb_take_actions(struct sb_post *p, cJSON *props);
/* The `update` of an integration, with what it changes; answers nothing. */
int sb_update_post(struct sb_req *q, struct sb_post *p, const cJSON *update);

/* The channel is read up to its end. */
void sb_mark_viewed(struct sb_server *sv, struct sb_channel *c, struct sb_user *u);
int sb_follow_thread(struct sb_server *sv, struct sb_post *root, const struct sb_user *u, bool on);

#endif
