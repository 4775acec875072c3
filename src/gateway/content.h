/*
 * The folder of fetched files: each content once, at FOLDER/ab/cdef... by its SHA-256, readable for
 * the daemon's user only, with what is known of it in the store.
 *
 * A content is written under another name, flushed to the disk, then renamed, then recorded. After
 * a crash it may lie there without a record (the sweep at the next start deletes it), or its record
 * may be there without it (then the id is not known). Loop's thread; nothing here waits for more
 * than the disk.
 */
#ifndef MW_GATEWAY_CONTENT_H
#define MW_GATEWAY_CONTENT_H

#include "store/file.h"

struct gw_content;

/* Nothing is made before it is needed. The store has to outlive what is under way, not this: free
 * it when the store is closed. Returns 0 or a negative errno. */
int gw_content_new(uv_loop_t *loop, struct mw_store *store, const char *folder,
                   struct gw_content **ret, struct mw_error *err);
void gw_content_free(struct gw_content *c);
/* Before the store is closed: nothing is looked for any more. */
void gw_content_stop(struct gw_content *c);

/* Where a content lies. Allocated; NULL = no memory. */
char *gw_content_path(const struct gw_content *c, const char *hash);

/* Looks for the content of an id; cb comes at most once, before this returns. Returns 1 when it is
 * not here. */
int gw_content_find(struct gw_content *c, const char *id, mw_file_row_cb cb, void *userdata);

/* Makes room for so many bytes more within the quota and holds it until gw_content_release. What
 * was not used for the longest time goes first; what a pending task needs stays. Returns 0, 1 with
 * a sentence, or a negative errno. */
int gw_content_reserve(struct gw_content *c, int64_t quota, int64_t bytes, struct mw_error *err);
void gw_content_release(struct gw_content *c, int64_t bytes);

/* Where to download to: a name in a folder that is emptied at the start. Allocated. */
int gw_content_part(struct gw_content *c, const char *id, char **ret, struct mw_error *err);

/* Moves the part to its place and records it; f->used_at counts as its first use. done (0 or a
 * negative errno) comes once, later. Returns 0, or a negative errno: done does not come. */
int gw_content_place(struct gw_content *c, const struct mw_file *f, const char *part,
                     void (*done)(int error, void *userdata), void *userdata, struct mw_error *err);
/* Records a use. done comes once, later; -ENOMEM: it does not. */
int gw_content_use(struct gw_content *c, const char *id, int64_t at,
                   void (*done)(int error, void *userdata), void *userdata);

struct gw_content_stats {
    int64_t contents, bytes;
    int64_t reserved;       /* bytes on their way */
    int64_t evicted, swept; /* contents, since the start: for room; left by a crash */
    bool sweeping;
};
void gw_content_get_stats(const struct gw_content *c, struct gw_content_stats *ret);

#endif
