/* What the client knows of its server, its account and the names it met. */
#include "base/clock.h"
#include "base/str.h"
#include "mattermost/client_impl.h"

void mm_client_get_stats(const struct mm_client *c, struct mm_client_stats *ret)
{
    struct mm_budget_stats b = {.limit = -1, .remaining = -1};

    *ret = c->stats;
    ret->in_flight = c->running.n;
    for (enum mm_class k = 0; k < MM_CLASSES; k++)
        ret->pending += c->pending[k].n;
    if (c->member.budget)
        mm_budget_get_stats(c->member.budget, &b);
    ret->rate_limited = b.refused;
    ret->rate_limit = b.limit;
    ret->rate_remaining = b.remaining;
    ret->waiting_until = b.held_until;
}

void mm_client_server(const struct mm_client *c, struct mm_server_info *ret)
{
    *ret = (struct mm_server_info){
        .version = c->version ? c->version : "",
        .site_url = c->site_url ? c->site_url : "",
        .max_post_chars = c->max_post_chars,
        .max_file_bytes = c->max_file_bytes,
        .file_attachments = c->file_attachments,
        .clock_skew_ms = mm_client_server_now(c) - mw_clock_now(),
    };
}

int64_t mm_client_server_now(const struct mm_client *c)
{
    return c->server_ms ? c->server_ms + mw_clock_mono() - c->server_mono : mw_clock_now();
}

const char *mm_client_user_id(const struct mm_client *c)
{
    return c->user_id ? c->user_id : "";
}

const char *mm_client_user_name(const struct mm_client *c)
{
    return c->user_name ? c->user_name : "";
}

bool mm_client_is_bot(const struct mm_client *c)
{
    return c->is_bot;
}

const char *mm_client_endpoint(const struct mm_client *c)
{
    return c->endpoint;
}

const char *mm_client_token(const struct mm_client *c)
{
    return c->token ? c->token : "";
}

const struct mm_user_info *mm_cached_user(const struct mm_client *c, const char *id)
{
    return mw_map_get(&c->cache.users, id);
}

const struct mm_channel_info *mm_cached_channel(const struct mm_client *c, const char *id)
{
    return mw_map_get(&c->cache.channels, id);
}

const struct mm_team_info *mm_cached_team(const struct mm_client *c, const char *id)
{
    return mw_map_get(&c->cache.teams, id);
}

int mm_learn_user(struct mm_client *c, const struct mm_user *u)
{
    if (mw_streq(u->id, c->user_id) && *u->username && mw_str_set(&c->user_name, u->username) < 0)
        return -ENOMEM; /* what people mention us by */
    return mm_cache_user(&c->cache, u);
}

int mm_learn_channel(struct mm_client *c, const struct mm_channel *ch)
{
    return mm_cache_channel(&c->cache, ch);
}

int mm_learn_team(struct mm_client *c, const struct mm_team *t)
{
    return mm_cache_team(&c->cache, t);
}

void mm_forget_channel(struct mm_client *c, const char *id)
{
    mw_map_remove(&c->cache.channels, id);
}

char *mm_permalink(const struct mm_client *c, const char *team_name, const char *post_id)
{
    return mw_asprintf("%s/%s/pl/%s", c->endpoint, *team_name ? team_name : "_redirect", post_id);
}
