#include "mattermost/cache.h"

#include "base/str.h"

void mm_cache_init(struct mm_cache *c, size_t limit)
{
    mw_map_init(&c->users, free);
    mw_map_init(&c->user_ids, NULL);
    mw_map_init(&c->channels, free);
    mw_map_init(&c->teams, free);
    c->limit = limit;
}

void mm_cache_deinit(struct mm_cache *c)
{
    mw_map_deinit(&c->user_ids);
    mw_map_deinit(&c->users);
    mw_map_deinit(&c->channels);
    mw_map_deinit(&c->teams);
}

void mm_cache_forget_users(struct mm_cache *c)
{
    mw_map_clear(&c->user_ids);
    mw_map_clear(&c->users);
}

/* Copies a string to *p and moves *p behind it. */
static const char *put(char **p, const char *s)
{
    size_t n = strlen(s) + 1;
    char *at = *p;

    memcpy(at, s, n);
    *p += n;
    return at;
}

int mm_cache_user(struct mm_cache *c, const struct mm_user *u)
{
    struct mm_user_info *old = mw_map_get(&c->users, u->id), *info;
    char *p;

    if (old && strcmp(old->username, u->username) == 0 && old->is_bot == u->is_bot)
        return 0;
    if (!old && c->users.count >= c->limit)
        mm_cache_forget_users(c);
    info = malloc(sizeof(*info) + strlen(u->id) + strlen(u->username) + 2);
    if (!info)
        return -ENOMEM;
    p = (char *)(info + 1);
    info->id = put(&p, u->id);
    info->username = put(&p, u->username);
    info->is_bot = u->is_bot;
    if (old && mw_map_get(&c->user_ids, old->username) == old)
        mw_map_remove(&c->user_ids, old->username);
    if (mw_map_put(&c->users, info->id, info) < 0) {
        free(info);
        return -ENOMEM;
    }
    return *info->username ? mw_map_put(&c->user_ids, info->username, info) : 0;
}

int mm_cache_channel(struct mm_cache *c, const struct mm_channel *ch)
{
    struct mm_channel_info *old = mw_map_get(&c->channels, ch->id), *info;
    char *p;

    if (old && strcmp(old->name, ch->name) == 0 && strcmp(old->type, ch->type) == 0 &&
        strcmp(old->display_name, ch->display_name) == 0 && strcmp(old->team_id, ch->team_id) == 0)
        return 0;
    if (!old && c->channels.count >= c->limit)
        mw_map_clear(&c->channels);
    info = malloc(sizeof(*info) + strlen(ch->id) + strlen(ch->name) + strlen(ch->display_name) +
                  strlen(ch->type) + strlen(ch->team_id) + 5);
    if (!info)
        return -ENOMEM;
    p = (char *)(info + 1);
    info->id = put(&p, ch->id);
    info->name = put(&p, ch->name);
    info->display_name = put(&p, ch->display_name);
    info->type = put(&p, ch->type);
    info->team_id = put(&p, ch->team_id);
    if (mw_map_put(&c->channels, info->id, info) < 0) {
        free(info);
        return -ENOMEM;
    }
    return 0;
}

int mm_cache_team(struct mm_cache *c, const struct mm_team *t)
{
    struct mm_team_info *old = mw_map_get(&c->teams, t->id), *info;
    char *p;

    if (old && strcmp(old->name, t->name) == 0)
        return 0;
    if (!old && c->teams.count >= c->limit)
        mw_map_clear(&c->teams);
    info = malloc(sizeof(*info) + strlen(t->id) + strlen(t->name) + 2);
    if (!info)
        return -ENOMEM;
    p = (char *)(info + 1);
    info->id = put(&p, t->id);
    info->name = put(&p, t->name);
    if (mw_map_put(&c->teams, info->id, info) < 0) {
        free(info);
        return -ENOMEM;
    }
    return 0;
}
