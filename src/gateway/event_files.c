/* An event's files, before its handler starts. */
#include "base/backoff.h"
#include "base/clock.h"
#include "base/str.h"
#include "gateway/fetch.h"
#include "gateway/internal.h"

#define TRIES        8 /* of a file that cannot be reached: about a minute */
#define MIN_RETRY_MS 1000
#define MAX_RETRY_MS 30000

struct item {
    struct gw_event_files *w;
    struct gw_fetch *fetch; /* under way */
    /* What became of it; strings in turn_file point to these. */
    char *id, *path, *name, *mime, *problem;
    bool again;
};

struct gw_event_files {
    struct gw_bot *bot;
    void (*cb)(int error, void *userdata); /* NULL = was told */
    void *userdata;
    struct item *items;
    struct gw_turn_file *files;
    size_t n;
    unsigned under_way, tries;
    bool no_memory;
    struct mw_backoff backoff;
    struct mw_timer *timer;
};

static bool wanted(const struct gw_bot *bot, const struct mw_event *ev)
{
    static const unsigned flags[] = {
        [GW_DOWNLOAD_NONE] = 0,
        [GW_DOWNLOAD_DIRECT] = MW_EVENT_DIRECT,
        [GW_DOWNLOAD_MENTIONED] = MW_EVENT_DIRECT | MW_EVENT_MENTION,
        [GW_DOWNLOAD_ALL] = 0,
    };
    enum gw_download_rule rule = bot->gw->config->daemon.files.download;

    return ev->files[0] && (rule == GW_DOWNLOAD_ALL || (ev->flags & flags[rule]));
}

void gw_event_files_free(struct gw_event_files *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->n; i++) {
        struct item *it = &w->items[i];

        gw_fetch_cancel(it->fetch);
        free(it->id);
        free(it->path);
        free(it->name);
        free(it->mime);
        free(it->problem);
    }
    mw_timer_free(w->timer);
    free(w->items);
    free(w->files);
    free(w);
}

bool gw_event_files_waiting(const struct gw_event_files *w)
{
    return w && w->cb;
}

void gw_event_files_get(const struct gw_event_files *w, struct gw_turn *turn)
{
    if (!w)
        return;
    turn->files = w->files;
    turn->n_files = w->n;
}

/* ---- The end ---- */

static void all_done(struct gw_event_files *w)
{
    take_ptr(w->cb)(w->no_memory ? -ENOMEM : 0, w->userdata);
}

static void round_over(struct gw_event_files *w)
{
    bool again = false;

    for (size_t i = 0; i < w->n; i++)
        again = again || w->items[i].again;
    if (!again || w->no_memory || ++w->tries >= TRIES)
        all_done(w);
    else
        mw_timer_start(w->timer, mw_backoff_next(&w->backoff, mw_clock_mono()));
}

/* ---- One file ---- */

static void on_fetched(const struct gw_fetched *f, void *userdata)
{
    struct item *it = userdata;
    struct gw_event_files *w = it->w;
    bool good = f->code == GW_OK;

    it->fetch = NULL;
    it->again = f->again && !good;
    if (mw_str_set(&it->path, good ? f->path : NULL) ||
        mw_str_set(&it->problem, good ? NULL : f->sentence) ||
        mw_str_set(&it->name, f->file->name) || mw_str_set(&it->mime, f->file->type))
        w->no_memory = true;
    w->files[it - w->items] = (struct gw_turn_file){
        .id = it->id,
        .name = it->name,
        .mime = it->mime,
        .path = it->path,
        .problem = it->problem,
        .size = f->file->size,
    };
    if (--w->under_way == 0)
        round_over(w);
}

/* Starts those that are not here. */
static void fetch_all(struct gw_event_files *w)
{
    for (size_t i = 0; i < w->n; i++) {
        struct item *it = &w->items[i];

        if (it->name && !it->again)
            continue;
        if (gw_fetch_file(w->bot, it->id, on_fetched, it, &it->fetch))
            w->no_memory = true;
        else
            w->under_way++;
    }
}

static void on_timer(void *userdata)
{
    struct gw_event_files *w = userdata;

    fetch_all(w);
    if (w->under_way == 0)
        all_done(w);
}

/* ---- The start ---- */

static int make_items(struct gw_event_files *w, const char *files)
{
    MW_AUTOJSON *ids = NULL;
    const cJSON *id;
    size_t room;

    if (mw_json_parse(files, strlen(files), &ids, NULL) == -ENOMEM)
        return -ENOMEM;
    room = (size_t)cJSON_GetArraySize(ids) + 1;
    w->items = calloc(room, sizeof(*w->items));
    w->files = calloc(room, sizeof(*w->files));
    if (!w->items || !w->files)
        return -ENOMEM;
    cJSON_ArrayForEach(id, ids)
    {
        struct item *it = &w->items[w->n];

        if (!cJSON_IsString(id))
            continue;
        it->w = w;
        it->id = strdup(id->valuestring);
        if (!it->id)
            return -ENOMEM;
        w->n++;
    }
    return 0;
}

int gw_event_files_start(struct gw_bot *bot, const struct mw_event *ev,
                         void (*cb)(int error, void *userdata), void *userdata,
                         struct gw_event_files **ret)
{
    struct gw_event_files *w;

    if (!wanted(bot, ev))
        return 0;
    w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    *w = (struct gw_event_files){.bot = bot, .cb = cb, .userdata = userdata};
    mw_backoff_init(&w->backoff, MIN_RETRY_MS, MAX_RETRY_MS, 0);
    if (make_items(w, ev->files) || mw_timer_new(bot->gw->loop, on_timer, w, &w->timer)) {
        gw_event_files_free(w);
        return -ENOMEM;
    }
    fetch_all(w);
    if (w->under_way == 0) {
        int r = w->no_memory ? -ENOMEM : 0;

        gw_event_files_free(w);
        return r;
    }
    *ret = w;
    return 1;
}
