/* Uploads, in one go or by an upload session. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "base/str.h"
#include "mattermost/client_impl.h"
#include "mattermost/transfer.h"

#define TRIES 3 /* without any progress between them */

struct upload_op {
    struct mm_op op;
    int fd;
    int64_t size, done;
    unsigned failures;
    char id[MW_ID_SIZE]; /* of the session */
    mm_progress_cb progress;
};

static void free_upload(struct mm_op *op)
{
    struct upload_op *u = (struct upload_op *)op;

    if (u->fd >= 0)
        close(u->fd);
    free(u);
}

static void go_on(struct upload_op *u, int rc)
{
    if (rc < 0)
        mm_op_fail(&u->op, MM_UNREACHABLE, rc, "cannot upload: %s", strerror(-rc));
}

static void send_piece(struct upload_op *u);

/* A call of the session failed for good. The server forgets a session once the file is whole: when
 * that answer was lost, the file is not refused, it only has to go up again. */
static void fail(struct upload_op *u, struct mm_result *r)
{
    if (r->outcome == MM_NOT_FOUND)
        mm_op_fail(&u->op, MM_AMBIGUOUS, -ESTALE,
                   "the server does not know the upload any more, it has to begin again");
    else
        mm_op_finish(&u->op, r);
}

static void on_offset(struct mm_result *r, void *userdata)
{
    struct upload_op *u = userdata;
    int64_t offset = mw_json_i64(r->body, "file_offset", -1);

    if (r->outcome != MM_OK) {
        fail(u, r);
        return;
    }
    if (offset < 0 || offset > u->size) {
        mm_op_fail(&u->op, MM_BAD_ANSWER, -EPROTO, "the server does not know how far the file is");
        return;
    }
    if (offset > u->done)
        u->failures = 0;
    u->done = offset;
    send_piece(u);
}

static void ask_offset(struct upload_op *u)
{
    char path[64];

    snprintf(path, sizeof(path), "/uploads/%s", u->id);
    go_on(u, mm_call(u->op.c, "GET", path, NULL, on_offset, u));
}

/* The last piece is answered with the file's info. */
static void finish(struct upload_op *u, struct mm_result *r)
{
    MW_AUTOJSON *body = cJSON_CreateObject();
    cJSON *infos = cJSON_CreateArray();

    if (!infos || !body || mw_json_push(infos, take_ptr(r->body))) {
        cJSON_Delete(infos);
        mm_op_finish_body(&u->op, NULL);
        return;
    }
    if (mw_json_add(body, "file_infos", infos)) {
        mm_op_finish_body(&u->op, NULL);
        return;
    }
    mm_op_finish_body(&u->op, take_ptr(body));
}

static void on_piece(struct mm_result *r, void *userdata)
{
    struct upload_op *u = userdata;
    bool broken = r->outcome == MM_UNREACHABLE || r->outcome == MM_AMBIGUOUS;

    if (broken && ++u->failures < TRIES) {
        ask_offset(u);
        return;
    }
    if (r->outcome != MM_OK) {
        fail(u, r);
        return;
    }
    u->failures = 0;
    u->done += MW_MIN(MM_PIECE, u->size - u->done);
    if (u->progress && u->op.cb)
        u->progress(u->done, u->size, u->op.userdata);
    if (mw_json_str(r->body, "id"))
        finish(u, r);
    else if (u->done >= u->size)
        mm_op_fail(&u->op, MM_BAD_ANSWER, -EPROTO, "the server did not say that the file is whole");
    else
        send_piece(u);
}

static void send_piece(struct upload_op *u)
{
    size_t want = (size_t)MW_MIN(MM_PIECE, u->size - u->done), got = 0;
    MW_AUTOFREE char *data = malloc(want + 1);
    char path[64];

    while (data && got < want) {
        ssize_t n = pread(u->fd, data + got, want - got, (off_t)u->done + (off_t)got);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            mm_op_fail(&u->op, MM_REFUSED, n < 0 ? -errno : -ESTALE,
                       "the file changed while it was uploaded");
            return;
        }
        got += (size_t)n;
    }
    snprintf(path, sizeof(path), "/uploads/%s", u->id);
    go_on(u, data ? mm_call_bytes(u->op.c, path, data, want, on_piece, u) : -ENOMEM);
}

static void on_session(struct mm_result *r, void *userdata)
{
    struct upload_op *u = userdata;
    const char *id = mw_json_str_or(r->body, "id", "");

    if (r->outcome != MM_OK) {
        mm_op_finish(&u->op, r);
        return;
    }
    if (!mw_id_valid(id)) {
        mm_op_fail(&u->op, MM_BAD_ANSWER, -EPROTO, "the server's upload session has no id");
        return;
    }
    snprintf(u->id, sizeof(u->id), "%s", id);
    send_piece(u);
}

static int start_session(struct upload_op *u, const char *channel_id, const char *filename)
{
    MW_AUTOJSON *body = cJSON_CreateObject();

    if (!body || mw_json_add_str(body, "channel_id", channel_id) ||
        mw_json_add_str(body, "filename", filename) || mw_json_add_i64(body, "file_size", u->size))
        return -ENOMEM;
    return mm_call(u->op.c, "POST", "/uploads", take_ptr(body), on_session, u);
}

int mm_upload_file(struct mm_client *c, const char *channel_id, const char *path,
                   const char *filename, mm_progress_cb progress, mm_cb cb, void *userdata)
{
    struct upload_op *u;
    struct stat st;
    int r;

    if (stat(path, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if (st.st_size <= MM_PIECE)
        return mm_upload(c, channel_id, path, filename, cb, userdata);
    u = calloc(1, sizeof(*u));
    if (!u)
        return -ENOMEM;
    mm_op_init(&u->op, c, cb, userdata, free_upload);
    u->size = st.st_size;
    u->progress = progress;
    u->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    r = u->fd < 0 ? -errno : start_session(u, channel_id, filename);
    if (r < 0)
        mm_op_drop(&u->op);
    return r;
}
