#include "gateway/fetch.h"

#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/str.h"
#include "gateway/content.h"
#include "gateway/internal.h"
#include "io/digest.h"
#include "mattermost/transfer.h"

#define MAX_JOBS 256

struct gw_files {
    struct gw *gw;
    struct gw_content *content;
    struct mw_map jobs; /* by file id */
    bool stopped;
    int64_t fetched, hits, joined, failed;
    char *last_error;
    int64_t last_error_at;
};

/*
 * One file on its way. Found in the folder: its use is recorded. Else: what the server says of it,
 * room, download, hash (in a thread of libuv's), its place and its record.
 */
struct job {
    struct gw_files *files; /* NULL: nobody is left, only the thread has to end */
    struct mm_client *client;
    struct gw_fetch *waiters;
    struct mw_timer *timer; /* tells later what was known at once */
    uv_work_t work;
    char id[MW_ID_SIZE], hash[MW_SHA256_HEX];
    char *name, *type, *path, *part;
    int64_t size, reserved;
    int hash_error;
    /* The outcome, once there is one. */
    enum gw_code code;
    bool again;
    char *sentence;
};

struct gw_fetch {
    struct gw_fetch *next;
    struct job *job;
    gw_fetched_cb cb;
    void *userdata;
};

/* ---- The end ---- */

static void job_free(struct job *j)
{
    if (!j)
        return;
    mw_timer_free(j->timer);
    free(j->name);
    free(j->type);
    free(j->path);
    free(j->part);
    free(j->sentence);
    free(j);
}

static void count(struct gw_files *files, const struct job *j)
{
    if (j->code == GW_OK)
        return;
    files->failed++;
    files->last_error_at = mw_clock_now();
    (void)!mw_str_set(&files->last_error, j->sentence);
    mw_log_warning("a file could not be fetched", MW_F_STR("file", j->id),
                   MW_F_STR("reason", j->sentence));
}

static void tell(struct job *j)
{
    const struct mw_file file = {
        .id = j->id,
        .hash = j->hash,
        .name = j->name ? j->name : "",
        .type = j->type ? j->type : "",
        .size = j->size,
    };
    const struct gw_fetched f = {
        .code = j->code,
        .sentence = j->sentence ? j->sentence : "out of memory",
        .again = j->again,
        .path = j->path,
        .file = &file,
    };

    /* One may cancel another one. */
    while (j->waiters) {
        struct gw_fetch *w = j->waiters;

        j->waiters = w->next;
        w->cb(&f, w->userdata);
        free(w);
    }
}

/* Frees the job. Never from within gw_fetch_file. */
static void end(struct job *j)
{
    struct gw_files *files = j->files;

    mw_map_remove(&files->jobs, j->id);
    gw_content_release(files->content, j->reserved);
    count(files, j);
    tell(j);
    job_free(j);
}

static void set_outcome(struct job *j, enum gw_code code, bool again, const char *fmt, ...)
    MW_PRINTF(4, 5);

static void set_outcome(struct job *j, enum gw_code code, bool again, const char *fmt, ...)
{
    va_list ap;

    j->code = code;
    j->again = again;
    free(j->sentence);
    va_start(ap, fmt);
    if (vasprintf(&j->sentence, fmt, ap) < 0)
        j->sentence = NULL;
    va_end(ap);
}

/* What is not whole is of no use to anybody. */
static void drop_part(const struct job *j)
{
    const char *slash = j->part ? strrchr(j->part, '/') : NULL;
    MW_AUTOFREE char *hidden =
        slash ? mw_asprintf("%.*s/.%s.part", (int)(slash - j->part), j->part, j->id) : NULL;

    if (j->part)
        unlink(j->part);
    if (hidden)
        unlink(hidden);
}

#define FAIL(j, code, again, ...)                                                                  \
    do {                                                                                           \
        set_outcome((j), (code), (again), __VA_ARGS__);                                            \
        drop_part(j);                                                                              \
        end(j);                                                                                    \
    } while (0)

static void fail_result(struct job *j, const struct mm_result *r)
{
    bool again =
        r->outcome == MM_UNREACHABLE || r->outcome == MM_AMBIGUOUS || r->outcome == MM_CANCELED;

    if (r->outcome == MM_CANCELED)
        FAIL(j, GW_OFFLINE, again, "the bot's connection was closed");
    else if (r->outcome == MM_OK)
        FAIL(j, GW_OFFLINE, false, "the server's answer is not what was asked for");
    else
        FAIL(j, gw_code_of(r->outcome), again, "%s", mw_error_text(&r->err));
}

static void fail_errno(struct job *j, int r, const struct mw_error *err)
{
    if (r == -ENOMEM)
        FAIL(j, GW_INTERNAL, true, "out of memory");
    else
        FAIL(j, GW_REFUSED, r == -ENOSPC || r == -EDQUOT || r == -EMFILE, "%s",
             mw_error_is_set(err) ? mw_error_text(err) : strerror(-r));
}

/* ---- What is wanted ---- */

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);

    return n >= m && strcasecmp(s + n - m, tail) == 0;
}

bool gw_file_type_wanted(const struct gw_strings *types, const char *name, const char *mime)
{
    size_t len = strcspn(mime, "; "); /* "text/plain; charset=utf-8" */

    for (size_t i = 0; i < types->n; i++) {
        const char *t = types->items[i];
        size_t n = strlen(t);

        if (t[0] == '.'            ? ends_with(name, t)
            : n && t[n - 1] == '*' ? len >= n - 1 && strncasecmp(mime, t, n - 1) == 0
                                   : len == n && strncasecmp(mime, t, n) == 0)
            return true;
    }
    return types->n == 0;
}

/* Returns 0, or 1 with a sentence. */
static int check_limits(const struct job *j, struct mw_error *err)
{
    const struct gw_files_config *config = &j->files->gw->config->daemon.files;

    if (j->size > config->max_size)
        return mw_error_set(err, 1, "it has %lld bytes, daemon.files.max_size is %lld",
                            (long long)j->size, (long long)config->max_size);
    if (!gw_file_type_wanted(&config->types, j->name, j->type))
        return mw_error_set(err, 1, "%s is not among daemon.files.types",
                            j->type[0] ? j->type : "a file of an unknown type");
    return 0;
}

/* ---- The way ---- */

static void on_recorded(int error, void *userdata)
{
    struct job *j = userdata;

    if (error)
        FAIL(j, GW_INTERNAL, true, "it could not be recorded: %s", strerror(-error));
    else
        end(j);
}

static void place(struct job *j)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    const struct mw_file f = {
        .id = j->id,
        .hash = j->hash,
        .name = j->name,
        .type = j->type,
        .size = j->size,
        .used_at = mw_clock_now(),
    };
    int r = j->hash_error;

    if (r == 0 && !(j->path = gw_content_path(j->files->content, j->hash)))
        r = -ENOMEM;
    if (r == 0)
        r = gw_content_place(j->files->content, &f, j->part, on_recorded, j, &err);
    if (r < 0) {
        fail_errno(j, r, &err);
        return;
    }
    j->files->fetched++;
    gw_content_release(j->files->content, j->reserved);
    j->reserved = 0;
}

static void hash_in_thread(uv_work_t *work)
{
    struct job *j = MW_CONTAINER_OF(work, struct job, work);

    j->hash_error = mw_file_sha256(j->part, j->hash);
}

static void on_hashed(uv_work_t *work, int status)
{
    struct job *j = MW_CONTAINER_OF(work, struct job, work);

    if (j->files) {
        place(j);
        return;
    }
    drop_part(j);
    job_free(j);
}

static void on_downloaded(struct mm_result *r, void *userdata)
{
    struct job *j = userdata;

    if (r->outcome != MM_OK)
        fail_result(j, r);
    else if (uv_queue_work(j->files->gw->loop, &j->work, hash_in_thread, on_hashed))
        fail_errno(j, -ENOMEM, NULL);
    else
        j->client = NULL;
}

static void on_info(struct mm_result *r, void *userdata)
{
    struct job *j = userdata;
    struct gw_files *files = j->files;
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mm_download from;
    int rc;

    j->size = mw_json_i64(r->body, "size", -1);
    if (r->outcome != MM_OK || j->size < 0) {
        fail_result(j, r);
        return;
    }
    if (mw_str_set(&j->name, mw_json_str_or(r->body, "name", "")) ||
        mw_str_set(&j->type, mw_json_str_or(r->body, "mime_type", ""))) {
        fail_errno(j, -ENOMEM, NULL);
        return;
    }
    rc = check_limits(j, &err);
    if (rc == 0) {
        rc = gw_content_reserve(files->content, files->gw->config->daemon.files.quota, j->size,
                                &err);
        j->reserved = rc == 0 ? j->size : 0;
    }
    if (rc == 0)
        rc = gw_content_part(files->content, j->id, &j->part, &err);
    if (rc == 0) {
        from = (struct mm_download){
            .file_id = j->id, .size = j->size, .path = j->part, .replace = true};
        rc = mm_download_file(j->client, &from, on_downloaded, j);
    }
    if (rc > 0)
        FAIL(j, GW_REFUSED, false, "%s", mw_error_text(&err));
    else if (rc == -ENOBUFS)
        FAIL(j, GW_OFFLINE, true, "too many calls are waiting");
    else if (rc < 0)
        fail_errno(j, rc, &err);
}

/* ---- The start ---- */

static void found(const struct mw_file *f, void *userdata)
{
    struct job *j = userdata;

    snprintf(j->hash, sizeof(j->hash), "%s", f->hash);
    j->size = f->size;
    j->path = gw_content_path(j->files->content, f->hash);
    if (mw_str_set(&j->name, f->name) || mw_str_set(&j->type, f->type) || !j->path)
        j->hash[0] = '\0'; /* no memory: it is fetched again, or fails */
}

static void on_used(int error, void *userdata)
{
    /* It is there, whatever the record says of its use. */
    end(userdata);
}

static void on_timer(void *userdata)
{
    end(userdata);
}

/* Sets the job off; a failure is told from the loop. */
static void start(struct job *j, struct gw_bot *bot)
{
    struct gw_files *files = j->files;
    int r = gw_content_find(files->content, j->id, found, j);

    if (r == 0 && j->hash[0]) {
        files->hits++;
        r = gw_content_use(files->content, j->id, mw_clock_now(), on_used, j);
    } else if (r >= 0) {
        MW_AUTOFREE char *path = mw_asprintf("/files/%s/info", j->id);

        j->client = bot->client;
        if (!j->client || !*mm_client_user_id(j->client)) {
            set_outcome(j, GW_OFFLINE, true, "%s", gw_bot_trouble(bot));
            mw_timer_start(j->timer, 0);
            return;
        }
        r = path ? mm_call(j->client, "GET", path, NULL, on_info, j) : -ENOMEM;
    }
    if (r < 0) {
        set_outcome(j, GW_INTERNAL, true, "%s", strerror(-r));
        mw_timer_start(j->timer, 0);
    }
}

static struct job *job_new(struct gw_files *files, const char *file_id)
{
    struct job *j = calloc(1, sizeof(*j));

    if (!j)
        return NULL;
    j->files = files;
    snprintf(j->id, sizeof(j->id), "%s", file_id);
    if (mw_timer_new(files->gw->loop, on_timer, j, &j->timer) ||
        mw_map_put(&files->jobs, j->id, j)) {
        job_free(j);
        return NULL;
    }
    return j;
}

int gw_fetch_file(struct gw_bot *bot, const char *file_id, gw_fetched_cb cb, void *userdata,
                  struct gw_fetch **ret)
{
    struct gw_files *files = bot->gw->files;
    struct gw_fetch *w = calloc(1, sizeof(*w));
    struct job *j = mw_map_get(&files->jobs, file_id);
    bool fresh = !j;

    if (w && fresh)
        j = job_new(files, file_id);
    if (!w || !j) {
        free(w);
        return -ENOMEM;
    }
    *w = (struct gw_fetch){.next = j->waiters, .job = j, .cb = cb, .userdata = userdata};
    j->waiters = w;
    *ret = w;
    if (!fresh) {
        files->joined++;
        return 0;
    }
    if (files->stopped || !mw_id_valid(file_id) || files->jobs.count > MAX_JOBS) {
        if (files->stopped)
            set_outcome(j, GW_OFFLINE, true, "the daemon is stopping");
        else if (!mw_id_valid(file_id))
            set_outcome(j, GW_BAD_PARAMS, false, "\"%s\" is not the id of a file", file_id);
        else
            set_outcome(j, GW_OFFLINE, true, "too many files are being fetched");
        mw_timer_start(j->timer, 0);
    } else {
        start(j, bot);
    }
    return 0;
}

void gw_fetch_cancel(struct gw_fetch *f)
{
    struct gw_fetch **at;

    if (!f)
        return;
    for (at = &f->job->waiters; *at != f; at = &(*at)->next)
        ;
    *at = f->next;
    free(f);
}

/* ---- Life ---- */

int gw_files_new(struct gw *gw, const char *folder, struct gw_files **ret, struct mw_error *err)
{
    struct gw_files *files = calloc(1, sizeof(*files));
    int r;

    if (!files)
        return mw_error_set(err, -ENOMEM, "out of memory");
    files->gw = gw;
    mw_map_init(&files->jobs, NULL);
    r = gw_content_new(gw->loop, gw->store, folder, &files->content, err);
    if (r < 0) {
        gw_files_free(files);
        return r;
    }
    *ret = files;
    return 0;
}

void gw_files_stop(struct gw_files *files)
{
    size_t it = 0;
    void *value;

    if (!files)
        return;
    files->stopped = true;
    gw_content_stop(files->content);
    while (mw_map_next(&files->jobs, &it, NULL, &value)) {
        struct job *j = value;

        if (!j->sentence)
            set_outcome(j, GW_OFFLINE, true, "the daemon is stopping");
        tell(j);
    }
}

void gw_files_free(struct gw_files *files)
{
    size_t it = 0;
    void *value;

    if (!files)
        return;
    /* Clients and store are gone, and their calls with them. */
    while (mw_map_next(&files->jobs, &it, NULL, &value)) {
        struct job *j = value;

        if (mw_timer_active(j->timer))
            job_free(j);
        else
            j->files = NULL;
    }
    mw_map_deinit(&files->jobs);
    gw_content_free(files->content);
    free(files->last_error);
    free(files);
}

cJSON *gw_files_json(const struct gw_files *files, const struct gw_files_config *config)
{
    MW_AUTOJSON *o = cJSON_CreateObject();
    struct gw_content_stats st;

    if (!o)
        return NULL;
    gw_content_get_stats(files->content, &st);
    if (mw_json_add_str(o, "folder", config->folder) | mw_json_add_i64(o, "files", st.contents) |
        mw_json_add_i64(o, "bytes", st.bytes) | mw_json_add_i64(o, "quota", config->quota) |
        mw_json_add_i64(o, "fetching", (int64_t)files->jobs.count) |
        mw_json_add_i64(o, "fetched", files->fetched) | mw_json_add_i64(o, "hits", files->hits) |
        mw_json_add_i64(o, "joined", files->joined) | mw_json_add_i64(o, "failed", files->failed) |
        mw_json_add_i64(o, "evicted", st.evicted) | mw_json_add_i64(o, "swept", st.swept))
        return NULL;
    if (files->last_error && (mw_json_add_str(o, "last_error", files->last_error) |
                              mw_json_add_i64(o, "last_error_at", files->last_error_at)))
        return NULL;
    return take_ptr(o);
}
