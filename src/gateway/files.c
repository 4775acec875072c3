#include "gateway/files.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "base/str.h"
#include "base/utf8.h"
#include "gateway/query.h"
#include "mattermost/transfer.h"

#define NAME_MAX_BYTES 200

/* ---- What may go out ---- */

static bool inside(const char *path, const char *root)
{
    size_t n = strlen(root);

    while (n > 1 && root[n - 1] == '/')
        n--;
    if (n == 1 && root[0] == '/')
        return true;
    return strncmp(path, root, n) == 0 && (path[n] == '/' || path[n] == 0);
}

static bool same_file(const struct stat *st, const char *path)
{
    struct stat other;

    return path && stat(path, &other) == 0 && other.st_dev == st->st_dev &&
           other.st_ino == st->st_ino;
}

/* The journal and the tokens are nobody's attachment. Returns 0, 1 or -ENOMEM. */
static int is_own(const struct gw_config *config, const struct stat *st)
{
    MW_AUTOFREE char *wal = NULL;

    if (same_file(st, config->path) || same_file(st, config->daemon.database))
        return 1;
    if (!config->daemon.database)
        return 0;
    wal = mw_asprintf("%s-wal", config->daemon.database);
    if (!wal)
        return -ENOMEM;
    return same_file(st, wal);
}

static int check_roots(const struct gw_config *config, const char *given, const char *real,
                       struct mw_error *err)
{
    const struct gw_strings *roots = &config->daemon.attach_roots;

    if (roots->n == 0)
        return 0;
    for (size_t i = 0; i < roots->n; i++) {
        MW_AUTOFREE char *root = realpath(roots->items[i], NULL);

        if (root && inside(real, root))
            return 0;
        if (!root && errno == ENOMEM)
            return -ENOMEM;
    }
    return mw_error_set(err, 1,
                        "the file %s may not be sent: it is in none of the folders of "
                        "daemon.attach_roots%s%s",
                        given, strcmp(given, real) == 0 ? "" : ", but at ",
                        strcmp(given, real) == 0 ? "" : real);
}

int gw_attach_check(const struct gw_config *config, const char *path, char **ret_real,
                    struct mw_error *err)
{
    MW_AUTOFREE char *real = NULL;
    struct stat st;
    int r;

    if (path[0] != '/')
        return mw_error_set(err, 1, "the path of a file must be absolute: %s", path);
    real = realpath(path, NULL);
    if (!real && errno == ENOMEM)
        return -ENOMEM;
    /* What is outside is not told about, not even that it does not exist. */
    r = check_roots(config, path, real ? real : path, err);
    if (r)
        return r;
    if (!real || stat(real, &st) < 0 || access(real, R_OK) < 0)
        return mw_error_set(err, 1, "the file %s cannot be read: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_size == 0)
        return mw_error_set(err, 1, "%s is not a file with content", path);
    r = is_own(config, &st);
    if (r < 0)
        return r;
    if (r > 0)
        return mw_error_set(err, 1, "%s belongs to the daemon itself and is not sent", path);
    *ret_real = take_ptr(real);
    return 0;
}

/* ---- Names ---- */

char *gw_safe_file_name(const char *name, const char *id)
{
    MW_AUTOBUF b = {0};
    const char *base = name;

    for (const char *p = name; *p; p++)
        if (*p == '/' || *p == '\\')
            base = p + 1;
    while (*base == '.' || *base == ' ')
        base++;
    for (size_t len = strlen(base); len && b.len < NAME_MAX_BYTES - 4;) {
        size_t n = mw_utf8_char_len(base, len);
        unsigned char c = (unsigned char)*base;
        /* C0, DEL, C1, and what is no UTF-8. */
        bool bad = n == 0 || c < 0x20 || c == 0x7F || (c == 0xC2 && (unsigned char)base[1] < 0xA0);

        if (bad)
            mw_buf_putc(&b, '_');
        else
            mw_buf_append(&b, base, n);
        base += n ? n : 1;
        len -= n ? n : 1;
    }
    if (b.len == 0 && !mw_buf_error(&b))
        mw_buf_puts(&b, id);
    return mw_buf_take(&b);
}

/* ---- Uploads ---- */

struct upload {
    struct gw_query q;
    char *path, *name, *channel_id;
    int64_t size;
    gw_progress_cb progress;
};

static void free_upload(struct gw_query *q)
{
    struct upload *u = (struct upload *)q;

    free(u->path);
    free(u->name);
    free(u->channel_id);
    free(u);
}

static void on_upload_progress(int64_t done, int64_t total, void *userdata)
{
    struct upload *u = userdata;

    if (u->progress)
        u->progress(done, total, u->q.userdata);
}

static void on_uploaded(struct mm_result *r, void *userdata)
{
    struct upload *u = userdata;
    const cJSON *info = cJSON_GetArrayItem((cJSON *)mw_json_arr(r->body, "file_infos"), 0);
    MW_AUTOJSON *o = cJSON_CreateObject();

    if (r->outcome != MM_OK || !mw_json_str(info, "id"))
        gw_query_fail_result(&u->q, r);
    else if (!o || mw_json_add_str(o, "file_id", mw_json_str(info, "id")) ||
             mw_json_add_str(o, "name", mw_json_str_or(info, "name", u->name)) ||
             mw_json_add_i64(o, "size", mw_json_i64(info, "size", u->size)) ||
             mw_json_add_str(o, "channel_id", u->channel_id))
        gw_query_done(&u->q, NULL);
    else
        gw_query_done(&u->q, take_ptr(o));
}

static void on_upload_channel(struct mm_result *r, void *userdata)
{
    struct upload *u = userdata;
    const char *id = mw_json_str(r->body, "channel_id");
    int k;

    if (r->outcome != MM_OK || !id) {
        gw_query_fail_result(&u->q, r);
        return;
    }
    if (mw_str_set(&u->channel_id, id)) {
        gw_query_done(&u->q, NULL);
        return;
    }
    k = mm_upload_file(u->q.client, id, u->path, u->name, on_upload_progress, on_uploaded, u);
    if (k < 0)
        gw_query_fail(&u->q, k == -ENOBUFS ? GW_OFFLINE : GW_BAD_PARAMS,
                      "the file %s cannot be uploaded: %s", u->path, strerror(-k));
}

/* What the server would refuse after it has taken it all. Returns 0 or 1 with a sentence. */
static int check_limits(const struct upload *u, struct mw_error *err)
{
    struct mm_server_info server;

    mm_client_server(u->q.client, &server);
    if (!server.file_attachments)
        return mw_error_set(err, 1, "the server at %s takes no files: they are switched off",
                            mm_client_endpoint(u->q.client));
    if (server.max_file_bytes > 0 && u->size > server.max_file_bytes)
        return mw_error_set(
            err, 1, "%s has %lld bytes, %lld more than the %lld that the server takes", u->path,
            (long long)u->size, (long long)(u->size - server.max_file_bytes),
            (long long)server.max_file_bytes);
    return 0;
}

void gw_upload(struct gw *gw, struct gw_bot *bot, const struct gw_upload *req, gw_cb cb,
               void *userdata)
{
    struct upload *u = calloc(1, sizeof(*u));
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOFREE char *doing = NULL;
    const char *slash;
    struct stat st;
    int r;

    if (!u) {
        gw_query_no_memory(cb, userdata);
        return;
    }
    if (!gw_query_start(&u->q, bot, cb, userdata, free_upload))
        return;
    u->progress = req->progress;
    r = gw_attach_check(gw_get_config(gw), req->path, &u->path, &err);
    if (r == 0) {
        slash = strrchr(req->path, '/');
        doing = strdup("upload a file");
        if (mw_str_set(&u->name, req->name ? req->name : slash + 1) || !doing)
            r = -ENOMEM;
    }
    if (r == 0) {
        u->size = stat(u->path, &st) == 0 ? (int64_t)st.st_size : 0;
        r = check_limits(u, &err);
    }
    if (r < 0) {
        gw_query_done(&u->q, NULL);
        return;
    }
    if (r > 0) {
        gw_query_fail(&u->q, GW_BAD_PARAMS, "%s", mw_error_text(&err));
        return;
    }
    u->q.doing = take_ptr(doing);
    u->q.right = "upload_file";
    u->q.holder = "Every member of the channel usually";
    gw_query_started(&u->q, mm_resolve_channel(u->q.client, req->channel, bot->config->team,
                                               on_upload_channel, u));
}

/* ---- Downloads ---- */

struct download {
    struct gw_query q;
    char *what, *folder;
    cJSON *infos; /* still to come; the first one is under way */
    cJSON *done;
    bool replace;
    gw_progress_cb progress;
};

static void free_download(struct gw_query *q)
{
    struct download *d = (struct download *)q;

    free(d->what);
    free(d->folder);
    cJSON_Delete(d->infos);
    cJSON_Delete(d->done);
    free(d);
}

static void on_download_progress(int64_t done, int64_t total, void *userdata)
{
    struct download *d = userdata;

    if (d->progress)
        d->progress(done, total, d->q.userdata);
}

static void next_file(struct download *d);

static void on_downloaded(struct mm_result *r, void *userdata)
{
    struct download *d = userdata;

    if (r->outcome != MM_OK) {
        gw_query_fail_result(&d->q, r);
        return;
    }
    if (mw_json_push(d->done, cJSON_DetachItemFromArray(d->infos, 0)))
        gw_query_done(&d->q, NULL);
    else
        next_file(d);
}

static void next_file(struct download *d)
{
    const cJSON *file = d->infos->child;
    struct mm_download from;
    int r;

    if (!file) {
        gw_query_done(&d->q, take_ptr(d->done));
        return;
    }
    from = (struct mm_download){
        .file_id = mw_json_str_or(file, "file_id", ""),
        .size = mw_json_i64(file, "size", 0),
        .path = mw_json_str_or(file, "path", ""),
        .replace = d->replace,
        .progress = on_download_progress,
    };
    r = mm_download_file(d->q.client, &from, on_downloaded, d);
    if (r == -EWOULDBLOCK)
        gw_query_fail(&d->q, GW_REFUSED, "%s is being downloaded already", from.path);
    else if (r < 0 && r != -ENOMEM && r != -ENOBUFS)
        gw_query_fail(&d->q, GW_REFUSED, "the daemon cannot write %s: %s", from.path, strerror(-r));
    else
        gw_query_started(&d->q, r);
}

static bool is_taken(const cJSON *files, const char *path)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, files)
    {
        if (mw_streq(mw_json_str(item, "path"), path))
            return true;
    }
    return false;
}

/* Two files of one post may have the same name. */
static char *path_for(const struct download *d, const cJSON *files, const cJSON *info)
{
    MW_AUTOFREE char *name =
        gw_safe_file_name(mw_json_str_or(info, "name", ""), mw_json_str_or(info, "id", ""));
    char *path = name ? mw_asprintf("%s/%s", d->folder, name) : NULL;

    for (int n = 2; path && is_taken(files, path); n++) {
        const char *dot = strrchr(name, '.');
        int stem = dot && dot != name ? (int)(dot - name) : (int)strlen(name);

        free(path);
        path = mw_asprintf("%s/%.*s-%d%s", d->folder, stem, name, n, name + stem);
    }
    return path;
}

/* The file in our words, with its place on the disk. */
static cJSON *file_json(const struct download *d, const cJSON *files, const cJSON *info)
{
    MW_AUTOJSON *o = cJSON_CreateObject();
    MW_AUTOFREE char *path = path_for(d, files, info);

    if (!o || !path || mw_json_add_str(o, "file_id", mw_json_str_or(info, "id", "")) ||
        mw_json_add_str(o, "name", mw_json_str_or(info, "name", "")) ||
        mw_json_add_str(o, "path", path) ||
        mw_json_add_i64(o, "size", mw_json_i64(info, "size", 0)) ||
        mw_json_add_str(o, "type", mw_json_str_or(info, "mime_type", "")))
        return NULL;
    return take_ptr(o);
}

/* All or nothing: what is in the way is said before anything is fetched. */
static void start_files(struct download *d, const cJSON *infos)
{
    MW_AUTOJSON *files = cJSON_CreateArray();
    const cJSON *item;

    cJSON_ArrayForEach(item, infos)
    {
        if (!files || mw_json_push(files, file_json(d, files, item))) {
            gw_query_done(&d->q, NULL);
            return;
        }
    }
    if (!files || !files->child) {
        gw_query_fail(&d->q, GW_NOT_FOUND, "the post %s has no files", d->what);
        return;
    }
    cJSON_ArrayForEach(item, files)
    {
        const char *path = mw_json_str_or(item, "path", "");

        if (!d->replace && access(path, F_OK) == 0) {
            gw_query_fail(&d->q, GW_REFUSED,
                          "%s is there already: nothing was downloaded; --force replaces it", path);
            return;
        }
    }
    d->infos = take_ptr(files);
    next_file(d);
}

static void on_file_info(struct mm_result *r, void *userdata)
{
    struct download *d = userdata;
    MW_AUTOJSON *infos = NULL;

    if (r->outcome == MM_NOT_FOUND) {
        gw_query_fail(&d->q, GW_NOT_FOUND, "there is no post and no file %s that %s can see",
                      d->what, mm_client_user_name(d->q.client));
        return;
    }
    if (r->outcome != MM_OK) {
        gw_query_fail_result(&d->q, r);
        return;
    }
    infos = cJSON_CreateArray();
    if (!infos || mw_json_push(infos, take_ptr(r->body)))
        gw_query_done(&d->q, NULL);
    else
        start_files(d, infos);
}

static void on_post_files(struct mm_result *r, void *userdata)
{
    struct download *d = userdata;

    if (r->outcome == MM_OK && cJSON_IsArray(r->body))
        start_files(d, r->body);
    else
        gw_query_fail_result(&d->q, r);
}

static void on_post(struct mm_result *r, void *userdata)
{
    struct download *d = userdata;
    const char *id = mw_json_str_or(r->body, "id", "");

    if (r->outcome == MM_OK && mw_id_valid(id))
        gw_query_call(&d->q, "GET", mw_asprintf("/posts/%s/files/info", id), NULL, on_post_files);
    else if ((r->outcome == MM_NOT_FOUND || r->outcome == MM_FORBIDDEN) && mw_id_valid(d->what))
        gw_query_call(&d->q, "GET", mw_asprintf("/files/%s/info", d->what), NULL, on_file_info);
    else
        gw_query_fail_result(&d->q, r);
}

void gw_download(struct gw *gw, struct gw_bot *bot, const struct gw_download *req, gw_cb cb,
                 void *userdata)
{
    struct download *d = calloc(1, sizeof(*d));
    struct stat st;

    if (!d) {
        gw_query_no_memory(cb, userdata);
        return;
    }
    if (!gw_query_start(&d->q, bot, cb, userdata, free_download))
        return;
    d->progress = req->progress;
    d->replace = req->replace;
    d->done = cJSON_CreateArray();
    if (!d->done || mw_str_set(&d->what, req->what) || mw_str_set(&d->folder, req->folder) ||
        mw_str_set(&d->q.doing, "download it")) {
        gw_query_done(&d->q, NULL);
        return;
    }
    d->q.right = "read_channel";
    d->q.holder = "Every member of the channel";
    if (req->folder[0] != '/')
        gw_query_fail(&d->q, GW_BAD_PARAMS, "the path of the folder must be absolute: %s",
                      req->folder);
    else if (stat(req->folder, &st) < 0)
        gw_query_fail(&d->q, GW_BAD_PARAMS, "the daemon cannot use the folder %s: %s", req->folder,
                      strerror(errno));
    else if (!S_ISDIR(st.st_mode))
        gw_query_fail(&d->q, GW_BAD_PARAMS, "%s is no folder", req->folder);
    else
        gw_query_started(&d->q, mm_resolve_post(d->q.client, req->what, on_post, d));
}
