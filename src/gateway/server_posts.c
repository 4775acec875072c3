/* gw_server_posts: pages of posts from the server, as events. */
#include "base/str.h"
#include "gateway/internal.h"
#include "gateway/read.h"
#include "mattermost/normalise.h"
#include "mattermost/page.h"

#define PER_PAGE  200
#define MAX_PAGES 50

struct fetch {
    struct mm_client *client; /* its calls end, as canceled, before it goes */
    char *bot;
    gw_cb cb;
    void *userdata;
    char *query;
    char channel_id[64], root_id[64], user_id[64];
    int64_t since, until;
    unsigned limit, page;
    bool raw, more;
    cJSON *teams; /* for a query */
    int team;
    cJSON **posts; /* newest first */
    size_t n;
};

static void fetch_free(struct fetch *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n; i++)
        cJSON_Delete(f->posts[i]);
    free(f->posts);
    cJSON_Delete(f->teams);
    free(f->bot);
    free(f->query);
    free(f);
}

static void end_error(struct fetch *f, enum gw_code code, const char *sentence)
{
    gw_cb cb = f->cb;
    void *userdata = f->userdata;

    fetch_free(f);
    gw_reply_error(cb, userdata, code, sentence);
}

static void end_errno(struct fetch *f, int rc)
{
    if (rc == -ENOMEM)
        end_error(f, GW_INTERNAL, "out of memory");
    else if (rc == -EINVAL)
        end_error(f, GW_INTERNAL, "the server's list of posts is malformed");
    else
        end_error(f, GW_OFFLINE, "too many calls are waiting");
}

static bool went_well(struct fetch *f, const struct mm_result *r)
{
    MW_AUTOFREE char *sentence = NULL;

    if (r->outcome == MM_OK)
        return true;
    if (r->outcome == MM_CANCELED) {
        end_error(f, GW_OFFLINE, "the bot's connection was closed");
        return false;
    }
    sentence = r->outcome == MM_FORBIDDEN
                   ? mw_asprintf("%s: the bot must be a member of the channel (any member can add "
                                 "it by /invite)",
                                 mw_error_text(&r->err))
                   : strdup(mw_error_text(&r->err));
    end_error(f, gw_code_of(r->outcome), sentence ? sentence : "out of memory");
    return false;
}

/* ---- The result ---- */

static int push_event(struct mm_normaliser *n, cJSON **post, bool raw, cJSON *events)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOFREE char *text = NULL;
    struct mm_item item;
    MW_AUTOBUF b = {0};
    int rc = mm_item_from_post(n, take_ptr(*post), 0, 0, &item, &err);

    if (rc)
        return rc == -ENOMEM ? rc : 0; /* what is no post of people is left out */
    mw_buf_init(&b, 0);
    rc = mm_item_fill(n, &item);
    item.ev.flags &= ~(unsigned)MW_EVENT_CAUGHT_UP;
    item.ev.received_at = 0;
    if (!rc && !mw_event_write_json(&b, &item.ev, raw))
        text = mw_buf_take(&b);
    mm_item_deinit(&item);
    return !text || mw_json_push(events, cJSON_CreateRaw(text)) ? -ENOMEM : 0;
}

static void end(struct fetch *f)
{
    struct gw_reply reply = {.code = GW_OK, .result = cJSON_CreateObject()};
    MW_AUTOJSON *events = cJSON_CreateArray();
    struct mm_normaliser n;
    gw_cb cb = f->cb;
    void *userdata = f->userdata;
    int rc = reply.result && events ? 0 : -ENOMEM;

    mm_normaliser_init(&n, f->client, f->bot);
    for (size_t i = 0; !rc && i < f->n; i++)
        rc = push_event(&n, &f->posts[f->query ? i : f->n - 1 - i], f->raw, events);
    if (rc || mw_json_add(reply.result, "events", take_ptr(events)) ||
        mw_json_add_bool(reply.result, "more", f->more)) {
        cJSON_Delete(reply.result);
        end_error(f, GW_INTERNAL, "out of memory");
        return;
    }
    fetch_free(f);
    cb(&reply, userdata);
    cJSON_Delete(reply.result);
}

static void on_users(struct mm_result *r, void *userdata)
{
    struct fetch *f = userdata;

    if (went_well(f, r))
        end(f);
}

static int newest_first(const void *a, const void *b)
{
    int64_t x = mw_json_i64(*(cJSON *const *)a, "create_at", 0);
    int64_t y = mw_json_i64(*(cJSON *const *)b, "create_at", 0);

    return x > y ? -1 : x < y;
}

/* All are here: their authors' names. */
static void ask_users(struct fetch *f)
{
    MW_AUTOFREE const char **ids = calloc(f->n + 1, sizeof(*ids));
    int rc;

    if (!ids) {
        end_errno(f, -ENOMEM);
        return;
    }
    if (f->n)
        qsort(f->posts, f->n, sizeof(*f->posts), newest_first);
    while (f->n > f->limit) {
        cJSON_Delete(f->posts[--f->n]);
        f->more = true;
    }
    for (size_t i = 0; i < f->n; i++)
        ids[i] = mw_json_str_or(f->posts[i], "user_id", "");
    rc = mm_fetch_users(f->client, ids, f->n, on_users, f);
    if (rc)
        end_errno(f, rc);
}

/* ---- Pages ---- */

static bool wanted(const struct fetch *f, const cJSON *post)
{
    int64_t at = mw_json_i64(post, "create_at", 0);

    if (f->user_id[0] && !mw_streq(mw_json_str(post, "user_id"), f->user_id))
        return false;
    if (f->channel_id[0] && !mw_streq(mw_json_str(post, "channel_id"), f->channel_id))
        return false;
    if (mw_json_i64(post, "delete_at", 0))
        return false;
    for (size_t i = 0; i < f->n; i++) {
        if (mw_streq(mw_json_str(f->posts[i], "id"), mw_json_str(post, "id")))
            return false;
    }
    return at >= f->since && (!f->until || at < f->until);
}

/* Takes over what is wanted. Returns the number of posts listed, or a negative errno. */
static int take_page(struct fetch *f, cJSON *answer, bool *ret_passed)
{
    struct mm_page page;
    int rc = mm_page_read(answer, &page);

    if (rc)
        return rc;
    for (size_t i = page.n; i-- > 0;) {
        cJSON **grown;

        if (f->since && page.posts[i].create_at < f->since)
            *ret_passed = true;
        if (!wanted(f, page.posts[i].json))
            continue;
        grown = reallocarray(f->posts, f->n + 1, sizeof(*f->posts));
        if (!grown) {
            mm_page_deinit(&page);
            return -ENOMEM;
        }
        f->posts = grown;
        f->posts[f->n++] = mm_page_take(&page, i);
    }
    rc = (int)page.listed;
    mm_page_deinit(&page);
    return rc;
}

static void ask_page(struct fetch *f);
static void ask_team(struct fetch *f);

static void on_page(struct mm_result *r, void *userdata)
{
    struct fetch *f = userdata;
    bool passed = false;
    int n;

    if (!went_well(f, r))
        return;
    n = take_page(f, r->body, &passed);
    if (n < 0) {
        end_errno(f, n);
    } else if (f->query) {
        f->team++;
        ask_team(f);
    } else if (f->root_id[0] || passed || n < PER_PAGE || f->n > f->limit) {
        ask_users(f);
    } else if (++f->page == MAX_PAGES) {
        f->more = true;
        ask_users(f);
    } else {
        ask_page(f);
    }
}

static void ask_page(struct fetch *f)
{
    MW_AUTOFREE char *path = f->root_id[0] ? mw_asprintf("/posts/%s/thread", f->root_id)
                                           : mw_asprintf("/channels/%s/posts?page=%u&per_page=%d",
                                                         f->channel_id, f->page, PER_PAGE);
    int rc = path ? mm_call(f->client, "GET", path, NULL, on_page, f) : -ENOMEM;

    if (rc)
        end_errno(f, rc);
}

/* ---- The server's search ---- */

static char *search_terms(const struct fetch *f)
{
    const struct mm_channel_info *ch =
        f->channel_id[0] ? mm_cached_channel(f->client, f->channel_id) : NULL;
    const struct mm_user_info *user = f->user_id[0] ? mm_cached_user(f->client, f->user_id) : NULL;

    return mw_asprintf("%s%s%s%s%s", f->query, ch && ch->name[0] ? " in:" : "",
                       ch && ch->name[0] ? ch->name : "", user ? " from:" : "",
                       user ? user->username : "");
}

static void ask_team(struct fetch *f)
{
    const char *id = mw_json_str(cJSON_GetArrayItem(f->teams, f->team), "id");
    MW_AUTOFREE char *path = NULL, *terms = NULL;
    MW_AUTOJSON *body = NULL;
    int rc;

    if (!id) {
        ask_users(f);
        return;
    }
    path = mw_asprintf("/teams/%s/posts/search", id);
    terms = search_terms(f);
    body = cJSON_CreateObject();
    if (!path || !terms || !body || mw_json_add_str(body, "terms", terms) ||
        mw_json_add_bool(body, "is_or_search", false) || mw_json_add_i64(body, "page", 0) ||
        mw_json_add_i64(body, "per_page", PER_PAGE))
        rc = -ENOMEM;
    else
        rc = mm_call(f->client, "POST", path, take_ptr(body), on_page, f);
    if (rc)
        end_errno(f, rc);
}

static void on_teams(struct mm_result *r, void *userdata)
{
    struct fetch *f = userdata;

    if (!went_well(f, r))
        return;
    f->teams = take_ptr(r->body);
    if (!cJSON_GetArraySize(f->teams))
        end_error(f, GW_REFUSED,
                  "the bot is in no team, so the server searches nothing for it; a team's member "
                  "can add it");
    else
        ask_team(f);
}

void gw_server_posts(struct gw *gw, struct gw_bot *bot, const struct gw_server_posts *req, gw_cb cb,
                     void *userdata)
{
    struct fetch *f;
    int rc = 0;

    if (!req->channel_id && !req->root_id && !req->query) {
        gw_reply_error(cb, userdata, GW_BAD_PARAMS,
                       "the server is asked about a channel or a thread: name one");
        return;
    }
    if (!bot->client) {
        gw_reply_error(cb, userdata, GW_OFFLINE, gw_bot_trouble(bot));
        return;
    }
    f = calloc(1, sizeof(*f));
    if (!f || mw_str_set(&f->bot, bot->name) || mw_str_set(&f->query, req->query)) {
        fetch_free(f);
        gw_reply_error(cb, userdata, GW_INTERNAL, "out of memory");
        return;
    }
    f->client = bot->client;
    f->cb = cb;
    f->userdata = userdata;
    snprintf(f->channel_id, sizeof(f->channel_id), "%s", req->channel_id ? req->channel_id : "");
    snprintf(f->root_id, sizeof(f->root_id), "%s", req->root_id ? req->root_id : "");
    snprintf(f->user_id, sizeof(f->user_id), "%s", req->user_id ? req->user_id : "");
    f->since = req->since;
    f->until = req->until;
    f->limit = req->limit ? MW_MIN(req->limit, 1000) : 50;
    f->raw = req->raw;
    if (f->query)
        rc = mm_call(f->client, "GET", "/users/me/teams", NULL, on_teams, f);
    else
        ask_page(f);
    if (rc)
        end_errno(f, rc);
}
