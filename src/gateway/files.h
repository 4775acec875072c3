/*
 * Files: what may go out, uploads without a post, downloads.
 *
 * The daemon reads and writes them, as its own user: a front end gives absolute paths. Only that
 * user and root can talk to the daemon, so nobody reaches through it what they could not reach
 * anyway; `daemon.attach_roots` narrows it down for programs that act on what others write. All
 * calls on the loop's thread; strings are copied; cb comes exactly once, maybe before the function
 * returns.
 */
#ifndef MW_GATEWAY_FILES_H
#define MW_GATEWAY_FILES_H

#include "gateway/gateway.h"

/* May this file go out? It has to be a readable file with content, not one of the daemon's own
 * (configuration, database), and when attach_roots are set inside one of them, links resolved.
 * Returns 0 and the resolved path (allocated), 1 with a sentence, or -ENOMEM. */
int gw_attach_check(const struct gw_config *config, const char *path, char **ret_real,
                    struct mw_error *err);

typedef void (*gw_progress_cb)(int64_t done, int64_t total, void *userdata);

struct gw_upload {
    const char *channel, *path;
    const char *name;        /* NULL = that of the path */
    gw_progress_cb progress; /* may be NULL */
};
/* result: {"file_id","name","size","channel_id"} */
void gw_upload(struct gw *gw, struct gw_bot *bot, const struct gw_upload *req, gw_cb cb,
               void *userdata);

struct gw_download {
    const char *what;        /* post (id or permalink) or file id */
    const char *folder;      /* absolute, exists */
    bool replace;            /* files that are there */
    gw_progress_cb progress; /* of one file; may be NULL */
};
/* result: [{"file_id","name","path","size","type"}] */
void gw_download(struct gw *gw, struct gw_bot *bot, const struct gw_download *req, gw_cb cb,
                 void *userdata);

/* A name as it may be on a disk, from one as others wrote it: no folder, no control character, not
 * hidden, at most 200 bytes; `id` where nothing is left. Allocated; NULL = no memory. */
char *gw_safe_file_name(const char *name, const char *id);

#endif
