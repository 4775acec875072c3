/* Of the gateway, what the server's own tests do without: the directory, files, work. */
#include "gateway/directory.h"
#include "gateway/fetch.h"
#include "gateway/files.h"
#include "gateway/work.h"

static void refuse(gw_cb cb, void *userdata)
{
    struct gw_reply reply = {.code = GW_OFFLINE};

    mw_error_set(&reply.err, 1, "there is no server in this test");
    cb(&reply, userdata);
    mw_error_reset(&reply.err);
}

#define REFUSED(name, ...)                                                                         \
    void name(struct gw *gw, struct gw_bot *bot, ##__VA_ARGS__, gw_cb cb, void *userdata)          \
    {                                                                                              \
        refuse(cb, userdata);                                                                      \
    }
REFUSED(gw_channels, const char *team, bool all)
REFUSED(gw_channel_change, const struct gw_channel_change *change)
REFUSED(gw_users, const struct gw_users_query *query)
REFUSED(gw_user, const char *name)
REFUSED(gw_teams)
REFUSED(gw_groups)
REFUSED(gw_upload, const struct gw_upload *req)
REFUSED(gw_download, const struct gw_download *req)

cJSON *gw_work_json(struct gw *gw, enum gw_work work, const struct gw_work_filter *f)
{
    return NULL;
}

void gw_work_by_hand(struct gw *gw, enum gw_work work, enum gw_by_hand what, const char *bot,
                     const char *const *names, size_t n, gw_cb cb, void *userdata)
{
    refuse(cb, userdata);
}

void gw_consumer_delete(struct gw *gw, const char *name, gw_cb cb, void *userdata)
{
    refuse(cb, userdata);
}

int gw_fetch_file(struct gw_bot *bot, const char *file_id, gw_fetched_cb cb, void *userdata,
                  struct gw_fetch **ret)
{
    return -ENOMEM;
}
