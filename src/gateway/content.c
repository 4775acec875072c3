#include "gateway/content.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"
#include "base/str.h"
#include "io/digest.h"
#include "io/handle.h"

#define HASH_LEN (MW_SHA256_HEX - 1)
#define PARTS    "parts" /* the folder of what is not whole yet */
#define PREFIXES 256
#define SWEEP_MS 20 /* between two folders of the sweep */

struct gw_content {
    struct mw_store *store;
    char *folder;
    /* What the store does not show yet, by hash: placed, not recorded; deleted, still recorded. */
    struct mw_map placed, deleted;
    struct mw_timer *sweep_timer;
    int sweep_at; /* the next prefix */
    struct gw_content_stats stats;
};

/* ---- Names ---- */

static bool hash_valid(const char *hash)
{
    return strlen(hash) == HASH_LEN && strspn(hash, "0123456789abcdef") == HASH_LEN;
}

char *gw_content_path(const struct gw_content *c, const char *hash)
{
    return mw_asprintf("%s/%.2s/%s", c->folder, hash, hash + 2);
}

static int make_folder(const char *path, struct mw_error *err)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return mw_error_set(err, -errno, "cannot make the folder %s: %s", path, strerror(errno));
    return 0;
}

/* FOLDER/NAME. */
static int make_inner_folder(const struct gw_content *c, const char *name, struct mw_error *err)
{
    MW_AUTOFREE char *path = mw_asprintf("%s/%s", c->folder, name);
    int r;

    if (!path)
        return -ENOMEM;
    r = make_folder(c->folder, err);
    return r < 0 ? r : make_folder(path, err);
}

int gw_content_part(struct gw_content *c, const char *id, char **ret, struct mw_error *err)
{
    MW_AUTOFREE char *path = mw_asprintf("%s/" PARTS "/%s", c->folder, id);
    int r = path ? make_inner_folder(c, PARTS, err) : -ENOMEM;

    if (r < 0)
        return r;
    *ret = take_ptr(path);
    return 0;
}

/* ---- Room ---- */

struct eviction {
    struct gw_content *c;
    struct mw_tx *tx;
    char (*hashes)[MW_SHA256_HEX];
    size_t n, cap;
    int64_t missing; /* bytes still to free */
    int error;
};

static bool evict_next(const char *hash, int64_t size, void *userdata)
{
    struct eviction *e = userdata;

    if (e->missing <= 0)
        return false;
    if (!hash_valid(hash) || mw_map_get(&e->c->deleted, hash) || mw_map_get(&e->c->placed, hash))
        return true;
    if (e->n == e->cap) {
        size_t cap = e->cap ? e->cap * 2 : 16;
        void *bigger = reallocarray(e->hashes, cap, sizeof(*e->hashes));

        if (!bigger) {
            e->error = -ENOMEM;
            return false;
        }
        e->hashes = bigger;
        e->cap = cap;
    }
    if (mw_tx_file_forget(e->tx, hash) || mw_map_put(&e->c->deleted, hash, e->c)) {
        e->error = -ENOMEM;
        return false;
    }
    snprintf(e->hashes[e->n++], MW_SHA256_HEX, "%s", hash);
    e->missing -= size;
    e->c->stats.bytes -= size;
    return true;
}

struct forgetting {
    struct gw_content *c;
    char (*hashes)[MW_SHA256_HEX];
    size_t n;
};

static void on_forgotten(const struct mw_tx_result *res, void *userdata)
{
    struct forgetting *f = userdata;

    /* Should the records have stayed, their ids are not known all the same: the content is gone. */
    for (size_t i = 0; i < f->n; i++)
        mw_map_remove(&f->c->deleted, f->hashes[i]);
    free(f->hashes);
    free(f);
}

/* The content goes first: a record without it does no harm. */
static void delete_all(struct gw_content *c, const struct eviction *e)
{
    for (size_t i = 0; i < e->n; i++) {
        MW_AUTOFREE char *path = gw_content_path(c, e->hashes[i]);

        /* What cannot be deleted now is no longer known, so the next sweep finds it. */
        if (path)
            unlink(path);
        c->stats.contents--;
    }
}

/* Those that were chosen go, whatever became of the rest. */
static void eviction_end(struct eviction *e, struct forgetting *f)
{
    if (e->n == 0 || !f) {
        mw_tx_free(e->tx);
        free(e->hashes);
        free(f);
        return;
    }
    delete_all(e->c, e);
    *f = (struct forgetting){.c = e->c, .hashes = e->hashes, .n = e->n};
    mw_tx_commit(e->tx, on_forgotten, f);
}

static int evict(struct gw_content *c, int64_t missing, int64_t *ret_missing)
{
    struct eviction e = {.c = c, .tx = mw_tx_new(c->store), .missing = missing};
    struct forgetting *f = calloc(1, sizeof(*f));
    int r = e.tx && f ? mw_store_file_idle(c->store, evict_next, &e) : -ENOMEM;

    if (r == 0)
        r = e.error;
    *ret_missing = e.missing;
    c->stats.evicted += (int64_t)e.n;
    eviction_end(&e, f);
    return r;
}

/* Somebody else has deleted it, or changed it. Without memory that is found out again. */
static void forget_lost(struct gw_content *c, const char *hash, int64_t size)
{
    struct eviction e = {.c = c, .tx = mw_tx_new(c->store), .missing = 1};
    struct forgetting *f = calloc(1, sizeof(*f));

    if (e.tx && f)
        evict_next(hash, size, &e);
    eviction_end(&e, f);
}

int gw_content_reserve(struct gw_content *c, int64_t quota, int64_t bytes, struct mw_error *err)
{
    int64_t missing = c->stats.bytes + c->stats.reserved + bytes - quota;
    int r = 0;

    if (bytes > quota)
        return mw_error_set(err, 1, "it has %lld bytes, the quota of %s is %lld", (long long)bytes,
                            c->folder, (long long)quota);
    if (missing > 0)
        r = evict(c, missing, &missing);
    if (r < 0)
        return r;
    if (missing > 0)
        return mw_error_set(err, 1,
                            "there is no room for %lld bytes in %s: all that is there is needed "
                            "(quota %lld)",
                            (long long)bytes, c->folder, (long long)quota);
    c->stats.reserved += bytes;
    return 0;
}

void gw_content_release(struct gw_content *c, int64_t bytes)
{
    c->stats.reserved -= bytes;
}

/* ---- Looking ---- */

struct finding {
    struct gw_content *c;
    mw_file_row_cb cb;
    void *userdata;
    int r;
    char lost[MW_SHA256_HEX]; /* recorded, but not there, or not whole */
    int64_t lost_size;
};

static void look(const struct mw_file *f, void *userdata)
{
    struct finding *fi = userdata;
    MW_AUTOFREE char *path = hash_valid(f->hash) ? gw_content_path(fi->c, f->hash) : NULL;
    struct stat st;

    if (path && lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == f->size) {
        fi->r = 0;
        fi->cb(f, fi->userdata);
    } else if (path && !mw_map_get(&fi->c->deleted, f->hash)) {
        snprintf(fi->lost, sizeof(fi->lost), "%s", f->hash);
        fi->lost_size = f->size;
    }
}

int gw_content_find(struct gw_content *c, const char *id, mw_file_row_cb cb, void *userdata)
{
    struct finding fi = {.c = c, .cb = cb, .userdata = userdata, .r = 1};
    int r = mw_store_file(c->store, id, look, &fi);

    if (fi.lost[0])
        forget_lost(c, fi.lost, fi.lost_size);
    return r ? r : fi.r;
}

/* ---- Records ---- */

struct recording {
    struct gw_content *c;
    char hash[MW_SHA256_HEX]; /* "" = of no new content */
    void (*done)(int error, void *userdata);
    void *userdata;
};

static void on_recorded(const struct mw_tx_result *res, void *userdata)
{
    struct recording *rec = userdata;

    if (rec->hash[0])
        mw_map_remove(&rec->c->placed, rec->hash);
    rec->done(res->error, rec->userdata);
    free(rec);
}

static struct recording *recording_new(struct gw_content *c,
                                       void (*done)(int error, void *userdata), void *userdata)
{
    struct recording *rec = calloc(1, sizeof(*rec));

    if (rec)
        *rec = (struct recording){.c = c, .done = done, .userdata = userdata};
    return rec;
}

int gw_content_use(struct gw_content *c, const char *id, int64_t at,
                   void (*done)(int error, void *userdata), void *userdata)
{
    struct recording *rec = recording_new(c, done, userdata);
    struct mw_tx *tx = mw_tx_new(c->store);

    if (!rec || !tx || mw_tx_file_used(tx, id, at)) {
        free(rec);
        mw_tx_free(tx);
        return -ENOMEM;
    }
    mw_tx_commit(tx, on_recorded, rec);
    return 0;
}

static int rename_into(struct gw_content *c, const char *part, const struct mw_file *f,
                       struct mw_error *err)
{
    MW_AUTOFREE char *path = gw_content_path(c, f->hash);
    char prefix[3] = {f->hash[0], f->hash[1], 0};
    /* Is it among the contents? Its file may be gone all the same, deleted by hand. */
    bool counted =
        mw_map_get(&c->placed, f->hash) ||
        (!mw_map_get(&c->deleted, f->hash) && mw_store_file_content(c->store, f->hash) == 0);
    int r = path ? make_inner_folder(c, prefix, err) : -ENOMEM;

    if (r < 0)
        return r;
    if (rename(part, path) < 0)
        return mw_error_set(err, -errno, "cannot write %s: %s", path, strerror(errno));
    if (!counted) {
        c->stats.contents++;
        c->stats.bytes += f->size;
    }
    return 0;
}

int gw_content_place(struct gw_content *c, const struct mw_file *f, const char *part,
                     void (*done)(int error, void *userdata), void *userdata, struct mw_error *err)
{
    struct recording *rec = recording_new(c, done, userdata);
    struct mw_tx *tx = mw_tx_new(c->store);
    int r = rec && tx && hash_valid(f->hash) ? mw_tx_file_put(tx, f) : -ENOMEM;

    if (r == 0)
        r = rename_into(c, part, f, err);
    if (r == 0) {
        snprintf(rec->hash, sizeof(rec->hash), "%s", f->hash);
        /* Without it the sweep could take it for a leftover: one download for nothing. */
        (void)!mw_map_put(&c->placed, f->hash, c);
        mw_tx_commit(tx, on_recorded, rec);
        return 0;
    }
    free(rec);
    mw_tx_free(tx);
    return r;
}

/* ---- What a crash left ---- */

static void empty_parts(struct gw_content *c)
{
    MW_AUTOFREE char *path = mw_asprintf("%s/" PARTS, c->folder);
    DIR *dir = path ? opendir(path) : NULL;
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        unlinkat(dirfd(dir), entry->d_name, 0); /* not "." and "..", which are folders */
    if (dir)
        closedir(dir);
}

static void sweep_folder(struct gw_content *c, int prefix)
{
    MW_AUTOFREE char *path = mw_asprintf("%s/%02x", c->folder, (unsigned)prefix);
    DIR *dir = path ? opendir(path) : NULL;
    const struct dirent *entry;
    char hash[MW_SHA256_HEX];

    while (dir && (entry = readdir(dir))) {
        if (strlen(entry->d_name) != HASH_LEN - 2)
            continue;
        snprintf(hash, sizeof(hash), "%02x%.62s", (unsigned)prefix, entry->d_name);
        if (hash_valid(hash) && !mw_map_get(&c->placed, hash) &&
            mw_store_file_content(c->store, hash) == 1 &&
            unlinkat(dirfd(dir), entry->d_name, 0) == 0)
            c->stats.swept++;
    }
    if (dir)
        closedir(dir);
}

static void on_sweep(void *userdata)
{
    struct gw_content *c = userdata;

    sweep_folder(c, c->sweep_at++);
    c->stats.sweeping = c->sweep_at < PREFIXES;
    if (c->stats.sweeping)
        mw_timer_start(c->sweep_timer, SWEEP_MS);
}

/* ---- Life ---- */

int gw_content_new(uv_loop_t *loop, struct mw_store *store, const char *folder,
                   struct gw_content **ret, struct mw_error *err)
{
    struct gw_content *c = calloc(1, sizeof(*c));
    int r;

    if (!c)
        return mw_error_set(err, -ENOMEM, "out of memory");
    c->store = store;
    mw_map_init(&c->placed, NULL);
    mw_map_init(&c->deleted, NULL);
    if (mw_str_set(&c->folder, folder) || mw_timer_new(loop, on_sweep, c, &c->sweep_timer)) {
        gw_content_free(c);
        return mw_error_set(err, -ENOMEM, "out of memory");
    }
    r = mw_store_file_totals(store, &c->stats.contents, &c->stats.bytes);
    if (r < 0) {
        gw_content_free(c);
        return mw_error_set(err, r, "what is known of fetched files could not be read");
    }
    empty_parts(c);
    if (access(folder, F_OK) == 0) {
        c->stats.sweeping = true;
        mw_timer_start(c->sweep_timer, 0);
    }
    *ret = c;
    return 0;
}

void gw_content_stop(struct gw_content *c)
{
    mw_timer_stop(c->sweep_timer);
}

void gw_content_free(struct gw_content *c)
{
    if (!c)
        return;
    mw_timer_free(c->sweep_timer);
    mw_map_deinit(&c->placed);
    mw_map_deinit(&c->deleted);
    free(c->folder);
    free(c);
}

void gw_content_get_stats(const struct gw_content *c, struct gw_content_stats *ret)
{
    *ret = c->stats;
}
