/* Downloads, piece by piece into a part file. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "base/str.h"
#include "mattermost/client_impl.h"
#include "mattermost/transfer.h"

#define TRIES 3 /* without any progress between them */

struct download_op {
    struct mm_op op;
    int fd;
    char file_id[MW_ID_SIZE];
    char *path, *part;
    int64_t size, done;
    unsigned failures;
    bool replace;
    mm_progress_cb progress;
};

static void free_download(struct mm_op *op)
{
    struct download_op *d = (struct download_op *)op;

    if (d->fd >= 0)
        close(d->fd);
    free(d->path);
    free(d->part);
    free(d);
}

/* What is not our own or not there any more is not touched. */
static void finish(struct download_op *d)
{
    int r = 0;

    if (fsync(d->fd) < 0)
        r = -errno;
    if (r == 0)
        r = renameat2(AT_FDCWD, d->part, AT_FDCWD, d->path, d->replace ? 0 : RENAME_NOREPLACE) < 0
                ? -errno
                : 0;
    if (r == -EINVAL && !d->replace) {
        /* A file system without that flag. */
        r = link(d->part, d->path) < 0 ? -errno : 0;
        if (r == 0)
            unlink(d->part);
    }
    if (r == 0)
        mm_op_finish_body(&d->op, cJSON_CreateObject());
    else
        mm_op_fail(&d->op, MM_REFUSED, r, "cannot write %s: %s", d->path, strerror(-r));
}

static void ask(struct download_op *d);

static int write_all(struct download_op *d, const char *data, size_t len)
{
    while (len) {
        ssize_t n = pwrite(d->fd, data, len, (off_t)d->done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        data += n;
        len -= (size_t)n;
        d->done += n;
    }
    return 0;
}

static void on_bytes(struct mm_result *r, void *userdata)
{
    struct download_op *d = userdata;
    bool broken = r->outcome == MM_UNREACHABLE || r->outcome == MM_AMBIGUOUS;
    bool right = r->status == 206 || (r->status == 200 && d->done == 0);
    int k;

    if (broken && ++d->failures < TRIES) {
        ask(d);
        return;
    }
    if (r->outcome != MM_OK) {
        mm_op_finish(&d->op, r);
        return;
    }
    if (!right || r->data_len == 0 || (int64_t)r->data_len > d->size - d->done) {
        mm_op_fail(&d->op, MM_BAD_ANSWER, -EPROTO,
                   "the server gave another part of the file than it was asked for");
        return;
    }
    d->failures = 0;
    k = write_all(d, r->data, r->data_len);
    if (k < 0) {
        mm_op_fail(&d->op, MM_REFUSED, k, "cannot write %s: %s", d->path, strerror(-k));
        return;
    }
    if (d->progress && d->op.cb && d->size > MM_PIECE)
        d->progress(d->done, d->size, d->op.userdata);
    ask(d);
}

static void ask(struct download_op *d)
{
    char path[64];
    int r;

    if (d->done >= d->size) {
        finish(d);
        return;
    }
    snprintf(path, sizeof(path), "/files/%s", d->file_id);
    r = mm_call_range(d->op.c, path, d->done, MW_MIN(d->done + MM_PIECE, d->size) - 1, on_bytes, d);
    if (r < 0)
        mm_op_fail(&d->op, MM_UNREACHABLE, r, "cannot download: %s", strerror(-r));
}

static int open_part(struct download_op *d)
{
    const char *slash = strrchr(d->path, '/');
    struct stat st;

    d->part = mw_asprintf("%.*s/.%s.part", (int)(slash ? slash - d->path : 1),
                          slash ? d->path : ".", d->file_id);
    if (!d->part)
        return -ENOMEM;
    d->fd = open(d->part, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    if (d->fd < 0 || fstat(d->fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    /* Somebody else downloads the same file to the same place. */
    if (flock(d->fd, LOCK_EX | LOCK_NB) < 0)
        return -errno;
    d->done = st.st_size <= d->size ? st.st_size : 0;
    return ftruncate(d->fd, (off_t)d->done) < 0 ? -errno : 0;
}

static void on_whole(struct mm_result *r, void *userdata)
{
    struct download_op *d = userdata;

    if (r->outcome == MM_OK)
        finish(d);
    else
        mm_op_finish(&d->op, r);
}

int mm_download_file(struct mm_client *c, const struct mm_download *from, mm_cb cb, void *userdata)
{
    struct download_op *d;
    int r;

    if (!mw_id_valid(from->file_id) || from->size < 0)
        return -EINVAL;
    d = calloc(1, sizeof(*d));
    if (!d)
        return -ENOMEM;
    mm_op_init(&d->op, c, cb, userdata, free_download);
    d->fd = -1;
    d->size = from->size;
    d->replace = from->replace;
    d->progress = from->progress;
    snprintf(d->file_id, sizeof(d->file_id), "%s", from->file_id);
    r = mw_str_set(&d->path, from->path);
    if (r == 0)
        r = open_part(d);
    if (r < 0) {
        mm_op_drop(&d->op);
        return r;
    }
    if (d->done == d->size) {
        r = mm_answer_later(c, NULL, on_whole, d);
    } else {
        char path[64];

        snprintf(path, sizeof(path), "/files/%s", d->file_id);
        r = mm_call_range(c, path, d->done, MW_MIN(d->done + MM_PIECE, d->size) - 1, on_bytes, d);
    }
    if (r < 0)
        mm_op_drop(&d->op);
    return r;
}
