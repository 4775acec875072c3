/*
 * Files that others posted, on the daemon's disk: fetched once, kept in a folder with a quota
 * (content.h), by the rules of `daemon.files`. Handlers get them from here. Loop's thread.
 */
#ifndef MW_GATEWAY_FETCH_H
#define MW_GATEWAY_FETCH_H

#include "gateway/gateway.h"
#include "store/file.h"

struct gw_files;
struct gw_fetch; /* somebody who waits for a file */

int gw_files_new(struct gw *gw, const char *folder, struct gw_files **ret, struct mw_error *err);
/* Tells all who wait that nothing comes any more. */
void gw_files_stop(struct gw_files *files);
void gw_files_free(struct gw_files *files); /* once the store is closed */
cJSON *gw_files_json(const struct gw_files *files, const struct gw_files_config *config);

struct gw_fetched {
    enum gw_code code;          /* GW_OK: the file is there */
    const char *sentence;       /* else: why it is not */
    bool again;                 /* and whether a later try may succeed */
    const char *path;           /* readable for the daemon's user, not to be changed. It stays while
                                 * a pending task's event has the file, else until room is needed */
    const struct mw_file *file; /* what is known of it */
};
typedef void (*gw_fetched_cb)(const struct gw_fetched *f, void *userdata);

/* The local path of a file that the bot can see: at hand, or fetched now. Who asks for a file that
 * is on its way waits for the same. All that is given to cb is valid during the call; cb comes
 * once, never before this returns, unless gw_fetch_cancel was called. Returns 0 or -ENOMEM.
 * Limit: 256 files at a time; beyond that the answer is to try again. */
int gw_fetch_file(struct gw_bot *bot, const char *file_id, gw_fetched_cb cb, void *userdata,
                  struct gw_fetch **ret) MW_MUST_CHECK;
void gw_fetch_cancel(struct gw_fetch *f);

/* Would the configuration have this type of file? Patterns: see config_schema.c. */
bool gw_file_type_wanted(const struct gw_strings *types, const char *name, const char *mime);

/* ---- event_files.c: what a handler waits for ---- */

struct gw_event_files;
/* Fetches the files of an event where `daemon.files.download` says so. Returns 0: there is nothing
 * to fetch; 1: cb comes later, once, unless it is freed before (error: -ENOMEM); or -ENOMEM. A file
 * that cannot be reached now is tried again for about a minute. */
int gw_event_files_start(struct gw_bot *bot, const struct mw_event *ev,
                         void (*cb)(int error, void *userdata), void *userdata,
                         struct gw_event_files **ret) MW_MUST_CHECK;
bool gw_event_files_waiting(const struct gw_event_files *w);
/* Sets turn->files: valid until it is freed. NULL = none. */
void gw_event_files_get(const struct gw_event_files *w, struct gw_turn *turn);
void gw_event_files_free(struct gw_event_files *w);

#endif
