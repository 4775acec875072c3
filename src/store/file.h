/*
 * What is known of the files that were fetched from a server: which content a file id stands for.
 * The content itself lies in a folder that is no business of the store's, under its hash; two ids
 * may have the same content. Loop's thread.
 */
#ifndef MW_STORE_FILE_H
#define MW_STORE_FILE_H

#include "store/store.h"

struct mw_file {
    const char *id;   /* the server's */
    const char *hash; /* of the content */
    const char *name; /* as it was uploaded */
    const char *type; /* MIME, "" = not known */
    int64_t size;     /* bytes */
    int64_t used_at;  /* wall clock ms */
};
/* Adds or replaces what is known of the id. */
int mw_tx_file_put(struct mw_tx *tx, const struct mw_file *f);
/* Notes a use; nothing when the id is not known. */
int mw_tx_file_used(struct mw_tx *tx, const char *id, int64_t used_at);
/* Forgets every id that stands for this content. */
int mw_tx_file_forget(struct mw_tx *tx, const char *hash);

typedef void (*mw_file_row_cb)(const struct mw_file *f, void *userdata);
/* Returns 1 when the id is not known. */
int mw_store_file(struct mw_store *s, const char *id, mw_file_row_cb cb, void *userdata);
/* Returns 0 when an id stands for this content, 1 when none does. */
int mw_store_file_content(struct mw_store *s, const char *hash);
/* How many contents there are, and their bytes. */
int mw_store_file_totals(struct mw_store *s, int64_t *ret_count, int64_t *ret_bytes);

typedef bool (*mw_file_idle_cb)(const char *hash, int64_t size, void *userdata);
/* Each content once, the least recently used first; not those whose file is attached to the event
 * of a task that is pending. Looks at all rows. */
int mw_store_file_idle(struct mw_store *s, mw_file_idle_cb cb, void *userdata);

#endif
