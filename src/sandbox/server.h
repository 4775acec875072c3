/* The one struct that everything in the sandbox hangs on. Single-threaded, on one loop. */
#ifndef SB_SERVER_H
#define SB_SERVER_H

#include <uv.h>

#include "io/httpd.h"
#include "sandbox/control.h"
#include "sandbox/hub.h"
#include "sandbox/sandbox.h"
#include "sandbox/state.h"

#define SB_VERSION_NEW "11.6.0"
#define SB_VERSION_OLD "5.37.0"

#define SB_MAX_POST_RUNES     16383
#define SB_MAX_FILE_SIZE      (100 * 1024 * 1024)
#define SB_MAX_JSON_BODY      (300000 + 512)
#define SB_DEDUP_MS           30000
#define SB_MAX_EMOJI_PER_POST 50

struct sb_server {
    uv_loop_t loop;
    struct sb_state state;
    struct sb_hub hub;
    struct sb_control control;
    struct mw_httpd *httpd;
    struct mw_http *http;  /* to integrations; NULL until one is called */
    struct mw_map pending; /* pending_post_id -> struct sb_pending; owned */
    struct mw_map uploads; /* id -> struct sb_upload; owned */
    bool old;              /* 5.37 shapes */
    bool quiet;
    char url[96]; /* our own address */
    int exit_status;
};

/* Switched on by the first group; see control.h. */
static inline bool sb_licensed(const struct sb_server *sv)
{
    return sv->control.groups.count > 0;
}

/* "11.6.0.sandbox.0.false": X-Version-Id and hello.server_version. */
const char *sb_version_id(const struct sb_server *sv);
static inline const char *sb_version(const struct sb_server *sv)
{
    return sv->old ? SB_VERSION_OLD : SB_VERSION_NEW;
}
static inline unsigned sb_view(const struct sb_server *sv)
{
    return sv->old ? SB_VIEW_OLD : 0;
}

#endif
