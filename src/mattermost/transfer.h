/*
 * Files to and from the server, of any size: pieces, resumed where the connection broke.
 *
 * All calls on the loop's thread, which reads and writes the files piece by piece. Callbacks come
 * as those of the client. Facts: wire reference, section 2 (files, upload sessions); Range as in
 * RFC 9110.
 */
#ifndef MW_MATTERMOST_TRANSFER_H
#define MW_MATTERMOST_TRANSFER_H

#include "mattermost/client.h"

#define MM_PIECE (5 * 1024 * 1024) /* bytes; the least that a server takes as a first piece */

/* How much of it is done; only told for what takes more than one piece. */
typedef void (*mm_progress_cb)(int64_t done, int64_t total, void *userdata);

/* Uploads a local file. Up to MM_PIECE in one go, else as an upload session: after a broken
 * connection the server is asked how far it came. The body is as that of POST /files:
 * {"file_infos":[...]}; MM_AMBIGUOUS: it may be there, and has to go up again. progress may be
 * NULL. Returns 0 or a negative errno (-ENOENT ...). */
int mm_upload_file(struct mm_client *c, const char *channel_id, const char *path,
                   const char *filename, mm_progress_cb progress, mm_cb cb,
                   void *userdata) MW_MUST_CHECK;

struct mm_download {
    const char *file_id;
    int64_t size;     /* from its info */
    const char *path; /* where to; created 0600 */
    bool replace;     /* what is there; else that is an error */
    mm_progress_cb progress;
};
/* Downloads into a hidden part file beside `path`, which takes its place when it is whole. A part
 * file that is there from before is continued: files on the server never change. Strings are
 * copied. */
int mm_download_file(struct mm_client *c, const struct mm_download *d, mm_cb cb,
                     void *userdata) MW_MUST_CHECK;

#endif
