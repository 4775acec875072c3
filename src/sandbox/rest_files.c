/* Files: uploads in one go and in pieces, downloads. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "sandbox/domain.h"
#include "sandbox/handlers.h"
#include "sandbox/multipart.h"
#include "sandbox/upload.h"

#define FIRST_PIECE (5 * 1024 * 1024)

static const struct {
    const char *extension, *type;
} types[] = {
    {"txt", "text/plain; charset=utf-8"},
    {"md", "text/markdown; charset=utf-8"},
    {"log", "text/plain; charset=utf-8"},
    {"html", "text/html; charset=utf-8"},
    {"css", "text/css; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"js", "text/javascript"},
    {"json", "application/json"},
    {"pdf", "application/pdf"},
    {"zip", "application/zip"},
    {"png", "image/png"},
    {"jpg", "image/jpeg"},
    {"jpeg", "image/jpeg"},
    {"gif", "image/gif"},
    {"svg", "image/svg+xml"},
};

static const char *type_of(const char *extension)
{
    for (size_t i = 0; i < MW_ARRAY_LEN(types); i++)
        if (strcasecmp(types[i].extension, extension) == 0)
            return types[i].type;
    return "application/octet-stream";
}

/* Width and height of a PNG, from its header. */
static void measure(struct sb_file *f)
{
    const unsigned char *d = (const unsigned char *)f->data;

    if (f->size < 24 || memcmp(d, "\x89PNG\r\n\x1a\n", 8) != 0)
        return;
    f->width = (int64_t)d[16] << 24 | d[17] << 16 | d[18] << 8 | d[19];
    f->height = (int64_t)d[20] << 24 | d[21] << 16 | d[22] << 8 | d[23];
}

static int store_file(struct sb_req *q, const char *channel_id, const char *name, const char *data,
                      size_t len, struct sb_file **ret)
{
    struct sb_file *f = calloc(1, sizeof(*f));
    const char *slash = strrchr(name, '/'), *dot;
    int r;

    if (!f)
        return -ENOMEM;
    if (slash)
        name = slash + 1;
    dot = strrchr(name, '.');
    memcpy(f->user_id, q->user->id, sizeof(f->user_id));
    snprintf(f->channel_id, sizeof(f->channel_id), "%s", channel_id);
    f->create_at = f->update_at = sb_now(&q->sv->state);
    f->size = (int64_t)len;
    f->data = malloc(len + 1);
    if (!f->data || mw_id_new(f->id) < 0 || mw_str_set(&f->name, name) < 0 ||
        mw_str_set(&f->extension, dot ? dot + 1 : "") < 0 ||
        mw_str_set(&f->mime_type, type_of(dot ? dot + 1 : "")) < 0) {
        free(f->data);
        sb_free_fields(sb_file_fields, f);
        free(f);
        return -ENOMEM;
    }
    for (char *p = f->extension; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    if (len)
        memcpy(f->data, data, len);
    measure(f);
    r = sb_add_file(&q->sv->state, f);
    if (r == 0)
        *ret = f;
    return r;
}

/* --- upload in one go --------------------------------------------------------------------------
 */

static int too_large(struct sb_req *q)
{
    return sb_fail(q, 413, "api.file.upload_file.too_large_detailed.app_error",
                   "Unable to upload the file. Its size is too large.");
}

/* May the caller upload there? Answers when not. */
static bool check_channel(struct sb_req *q, const char *id)
{
    const struct sb_channel *c = id ? mw_map_get(&q->sv->state.channels, id) : NULL;

    if (!id || !mw_id_valid(id)) {
        sb_fail_url(q, "channel_id");
        return false;
    }
    if (!c || (!sb_member_of(c, q->user->id) && !sb_is_admin(q->user))) {
        sb_fail_permission(q);
        return false;
    }
    return true;
}

struct form {
    char channel_id[MW_ID_SIZE];
    size_t n_files, n_client_ids;
    struct mw_buf client_ids;
    const char *bad_field;
};

/* First look: the fields, before anything is stored. */
static int look_at_part(const struct sb_part *p, void *arg)
{
    struct form *f = arg;

    if (*p->filename) {
        f->n_files++;
    } else if (mw_streq(p->name, "channel_id")) {
        if (p->len == MW_ID_LEN)
            memcpy(f->channel_id, p->data, MW_ID_LEN);
    } else if (mw_streq(p->name, "client_ids")) {
        MW_AUTOFREE char *id = strndup(p->data, p->len);

        if (!id)
            return -ENOMEM;
        if (f->n_client_ids++)
            mw_buf_putc(&f->client_ids, ',');
        mw_buf_put_json_string(&f->client_ids, id);
    } else {
        f->bad_field = "multipart_form";
    }
    return 0;
}

struct storing {
    struct sb_req *q;
    const char *channel_id;
    size_t start;
};

static int store_part(const struct sb_part *p, void *arg)
{
    struct storing *s = arg;
    struct sb_file *f;
    int r;

    if (!*p->filename)
        return 0;
    r = store_file(s->q, s->channel_id, p->filename, p->data, p->len, &f);
    if (r < 0)
        return r;
    sb_comma(&s->q->out, s->start);
    sb_put_file(s->q->sv, &s->q->out, f);
    return 0;
}

static void form_deinit(struct form *f)
{
    mw_buf_deinit(&f->client_ids);
}

static int upload_form(struct sb_req *q, const char *boundary, const char *body, size_t len)
{
    MW_CLEANUP(form_deinit) struct form form = {0};
    const char *channel = sb_query(q, "channel_id");
    struct storing s = {.q = q};
    int r = sb_multipart_parse(boundary, body, len, look_at_part, &form);

    if (r == -EINVAL)
        return sb_fail(q, 400, "api.file.upload_file.read_form_value.app_error",
                       "Unable to read the multipart form.");
    if (r < 0)
        return r;
    s.channel_id = channel && *channel ? channel : form.channel_id;
    if (form.bad_field)
        return sb_fail_param(q, form.bad_field);
    if (!form.n_files || (form.n_client_ids && form.n_client_ids != form.n_files))
        return sb_fail(q, 400, "api.file.upload_file.incorrect_number_of_client_ids.app_error",
                       "Unable to upload file(s). Number of files and of client ids differ.");
    if (!check_channel(q, s.channel_id))
        return 0;
    mw_buf_puts(&q->out, "{\"file_infos\":[");
    s.start = q->out.len;
    r = sb_multipart_parse(boundary, body, len, store_part, &s);
    if (r < 0)
        return r;
    mw_buf_printf(&q->out, "],\"client_ids\":[%s]}", mw_buf_str(&form.client_ids));
    return sb_reply(q, 201);
}

int sb_h_file_upload(struct sb_req *q)
{
    const char *type = mw_httpd_header(q->http, "Content-Type");
    char boundary[80];
    struct sb_file *f;
    const char *name;
    size_t len;
    const char *body = mw_httpd_body(q->http, &len);
    int r;

    if (len == 0)
        return sb_fail(q, 400, "api.file.upload_file.read_request.app_error",
                       "Unable to upload file(s). Error reading or parsing request data.");
    if (len > SB_MAX_FILE_SIZE)
        return too_large(q);
    if (sb_multipart_boundary(type, boundary, sizeof(boundary)))
        return upload_form(q, boundary, body, len);
    name = sb_query(q, "filename");
    if (!name || !*name)
        return sb_fail_url(q, "filename");
    if (!check_channel(q, sb_query(q, "channel_id")))
        return 0;
    r = store_file(q, sb_query(q, "channel_id"), name, body, len, &f);
    if (r < 0)
        return r;
    mw_buf_puts(&q->out, "{\"file_infos\":[");
    sb_put_file(q->sv, &q->out, f);
    mw_buf_puts(&q->out, "],\"client_ids\":[");
    if (sb_query(q, "client_ids"))
        mw_buf_put_json_string(&q->out, sb_query(q, "client_ids"));
    mw_buf_puts(&q->out, "]}");
    return sb_reply(q, 201);
}

/* --- downloads ---------------------------------------------------------------------------------
 */

/* A file that the caller may see: own, or posted in a channel that may be read. */
static struct sb_file *path_file(struct sb_req *q)
{
    struct sb_file *f = mw_map_get(&q->sv->state.files, q->p[0]);
    const struct sb_channel *c;

    if (!mw_id_valid(q->p[0])) {
        sb_fail_url(q, "file_id");
        return NULL;
    }
    if (!f || f->delete_at) {
        sb_fail(q, 404, "app.file_info.get.app_error", "Unable to get the file info.");
        return NULL;
    }
    c = mw_map_get(&q->sv->state.channels, f->channel_id);
    if (!mw_streq(f->user_id, q->user->id) &&
        (!f->post_id[0] || !c || !sb_can_read(q->sv, q->user, c))) {
        sb_fail_permission(q);
        return NULL;
    }
    return f;
}

/* One range of bytes ("bytes=10-19", "bytes=10-", "bytes=-5"). False = send it whole. */
static bool parse_range(const char *s, int64_t size, int64_t *ret_from, int64_t *ret_to)
{
    char *end;

    if (!s || !mw_starts_with(s, "bytes=") || strchr(s, ','))
        return false;
    s += 6;
    if (*s == '-') {
        int64_t n = strtoll(s + 1, &end, 10);

        *ret_from = MW_MAX(0, size - n);
        *ret_to = size - 1;
        return n > 0 && !*end;
    }
    *ret_from = strtoll(s, &end, 10);
    if (end == s || *end != '-')
        return false;
    s = end + 1;
    *ret_to = *s ? MW_MIN(strtoll(s, &end, 10), size - 1) : size - 1;
    return (!*s || !*end) && *ret_from >= 0 && *ret_from <= *ret_to;
}

int sb_h_file_get(struct sb_req *q)
{
    struct sb_file *f = path_file(q);
    MW_AUTOFREE char *disposition = NULL;
    const char *type;
    char range[80];
    int64_t from, to;
    bool safe, save;

    if (!f)
        return 0;
    type = f->mime_type ? f->mime_type : "application/octet-stream";
    safe = mw_starts_with(type, "image/") && !strstr(type, "svg");
    save = mw_streq(sb_query(q, "download"), "1") || mw_streq(sb_query(q, "download"), "true") ||
           !(safe || mw_starts_with(type, "text/plain") || mw_streq(type, "application/pdf"));
    /* Nothing that a browser would run. */
    if (strstr(type, "html") || strstr(type, "script") || strstr(type, "svg"))
        type = "text/plain";
    disposition =
        mw_asprintf("%s; filename=\"%s\"", save ? "attachment" : "inline", f->name ? f->name : "");
    if (!disposition)
        return -ENOMEM;
    for (char *p = disposition; *p; p++)
        if (iscntrl((unsigned char)*p))
            *p = '_';
    if (mw_httpd_add_header(q->http, "Content-Disposition", disposition) < 0 ||
        mw_httpd_add_header(q->http, "Accept-Ranges", "bytes") < 0)
        return -ENOMEM;
    if (!parse_range(mw_httpd_header(q->http, "Range"), f->size, &from, &to))
        return sb_reply_raw(q, 200, type, f->data, (size_t)f->size);
    snprintf(range, sizeof(range), "bytes %" PRId64 "-%" PRId64 "/%" PRId64, from, to, f->size);
    if (mw_httpd_add_header(q->http, "Content-Range", range) < 0)
        return -ENOMEM;
    return sb_reply_raw(q, 206, type, f->data + from, (size_t)(to - from + 1));
}

int sb_h_file_info(struct sb_req *q)
{
    struct sb_file *f = path_file(q);

    if (!f)
        return 0;
    sb_put_file(q->sv, &q->out, f);
    return sb_reply(q, 200);
}

int sb_h_file_link(struct sb_req *q)
{
    return path_file(q) ? sb_fail(q, 403, "api.file.get_public_link.disabled.app_error",
                                  "Public links have been disabled.")
                        : 0;
}

int sb_h_file_thumbnail(struct sb_req *q)
{
    return path_file(q) ? sb_fail(q, 400, "api.file.get_file_thumbnail.no_thumbnail.app_error",
                                  "File doesn't have a thumbnail image.")
                        : 0;
}

int sb_h_post_files(struct sb_req *q)
{
    struct sb_post *p = sb_path_post(q, 0);
    MW_AUTOJSON *ids = NULL;
    const cJSON *id;

    if (!p)
        return 0;
    if (p->file_ids && mw_json_parse(p->file_ids, strlen(p->file_ids), &ids, NULL) == -ENOMEM)
        return -ENOMEM;
    mw_buf_putc(&q->out, '[');
    cJSON_ArrayForEach(id, ids)
    {
        struct sb_file *f = mw_map_get(&q->sv->state.files, id->valuestring);

        if (!f)
            continue;
        sb_comma(&q->out, 1);
        sb_put_file(q->sv, &q->out, f);
    }
    mw_buf_putc(&q->out, ']');
    return sb_reply(q, 200);
}

/* --- uploads in pieces -------------------------------------------------------------------------
 */

void sb_upload_free(void *p)
{
    struct sb_upload *u = p;

    if (!u)
        return;
    free(u->filename);
    mw_buf_deinit(&u->data);
    free(u);
}

static void put_upload(struct sb_req *q, const struct sb_upload *u)
{
    mw_buf_printf(&q->out,
                  "{\"id\":\"%s\",\"type\":\"attachment\",\"create_at\":%" PRId64
                  ",\"user_id\":\"%s\",\"channel_id\":\"%s\",",
                  u->id, u->create_at, u->user_id, u->channel_id);
    sb_put_str(&q->out, "filename", u->filename);
    mw_buf_printf(&q->out,
                  ",\"file_size\":%" PRId64 ",\"file_offset\":%zu,\"remote_id\":\"\","
                  "\"req_file_id\":\"\"}",
                  u->file_size, u->data.len);
}

int sb_h_upload_create(struct sb_req *q)
{
    const cJSON *body = sb_body(q, "upload");
    struct sb_upload *u;
    int64_t size;
    int r;

    if (!body)
        return 0;
    size = mw_json_i64(body, "file_size", 0);
    if (size > SB_MAX_FILE_SIZE)
        return sb_fail(q, 413, "api.upload.create.upload_too_large.app_error",
                       "Unable to upload the file. Its size is too large.");
    if (size <= 0 || !*mw_json_str_or(body, "filename", ""))
        return sb_fail(q, 400, "model.upload_session.is_valid.file_size.app_error",
                       "Invalid value for FileSize");
    if (!check_channel(q, mw_json_str(body, "channel_id")))
        return 0;
    u = calloc(1, sizeof(*u));
    if (!u)
        return -ENOMEM;
    mw_buf_init(&u->data, (size_t)size);
    u->file_size = size;
    u->create_at = sb_now(&q->sv->state);
    memcpy(u->user_id, q->user->id, sizeof(u->user_id));
    snprintf(u->channel_id, sizeof(u->channel_id), "%s", mw_json_str(body, "channel_id"));
    if (mw_str_set(&u->filename, mw_json_str(body, "filename")) < 0 || mw_id_new(u->id) < 0) {
        sb_upload_free(u);
        return -ENOMEM;
    }
    r = mw_map_put(&q->sv->uploads, u->id, u);
    if (r < 0) {
        sb_upload_free(u);
        return r;
    }
    put_upload(q, u);
    return sb_reply(q, 201);
}

static struct sb_upload *path_upload(struct sb_req *q)
{
    struct sb_upload *u = mw_map_get(&q->sv->uploads, q->p[0]);

    if (!u) {
        sb_fail(q, 404, "app.upload.get.app_error", "Failed to get upload.");
        return NULL;
    }
    if (!mw_streq(u->user_id, q->user->id) && !sb_is_admin(q->user)) {
        sb_fail_permission(q);
        return NULL;
    }
    return u;
}

int sb_h_upload_get(struct sb_req *q)
{
    struct sb_upload *u = path_upload(q);

    if (!u)
        return 0;
    put_upload(q, u);
    return sb_reply(q, 200);
}

int sb_h_uploads_of(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);
    size_t it = 0;
    void *v;

    if (!u)
        return 0;
    mw_buf_putc(&q->out, '[');
    while (mw_map_next(&q->sv->uploads, &it, NULL, &v)) {
        const struct sb_upload *x = v;

        if (!mw_streq(x->user_id, u->id))
            continue;
        sb_comma(&q->out, 1);
        put_upload(q, x);
    }
    mw_buf_putc(&q->out, ']');
    return sb_reply(q, 200);
}

/* The only part of a form, as the piece. */
static int take_piece(const struct sb_part *p, void *arg)
{
    *(struct sb_part *)arg = *p;
    return *p->filename ? 1 : 0;
}

int sb_h_upload_data(struct sb_req *q)
{
    struct sb_upload *u = path_upload(q);
    struct sb_part form = {0};
    char boundary[80];
    struct sb_file *f;
    size_t len;
    const char *body = mw_httpd_body(q->http, &len);
    int r;

    if (!u)
        return 0;
    if (sb_multipart_boundary(mw_httpd_header(q->http, "Content-Type"), boundary,
                              sizeof(boundary)) &&
        sb_multipart_parse(boundary, body, len, take_piece, &form) == 1) {
        body = form.data;
        len = form.len;
    }
    if (u->data.len == 0 && (int64_t)len < u->file_size && len < FIRST_PIECE)
        return sb_fail(q, 400, "app.upload.upload_data.first_part_too_small.app_error",
                       "Failed to upload data. First part must be at least 5242880 Bytes.");
    r = mw_buf_append(&u->data, body, len);
    if (r == -E2BIG)
        return sb_fail(q, 400, "app.upload.upload_data.save.app_error", "Failed to save upload.");
    if (r < 0)
        return r;
    if ((int64_t)u->data.len < u->file_size)
        return sb_reply_raw(q, 204, NULL, "", 0);
    r = store_file(q, u->channel_id, u->filename, mw_buf_str(&u->data), u->data.len, &f);
    if (r < 0)
        return r;
    mw_map_remove(&q->sv->uploads, q->p[0]);
    sb_put_file(q->sv, &q->out, f);
    return sb_reply(q, 200);
}
