/* Groups of people, which a real server has with a licence only: they come from the control
 * address, and with the first one the server counts as licensed. Not kept in the database file. */
#include <inttypes.h>

#include "base/str.h"
#include "sandbox/control_http.h"
#include "sandbox/handlers.h"

struct sb_group {
    char id[MW_ID_SIZE];
    int64_t create_at;
    char *name, *display_name;
    struct mw_map members; /* user id -> the group */
};

void sb_group_free(void *group)
{
    struct sb_group *g = group;

    if (!g)
        return;
    mw_map_deinit(&g->members);
    free(g->name);
    free(g->display_name);
    free(g);
}

static struct sb_group *group_new(struct sb_server *sv, const char *name, const char *display_name)
{
    struct sb_group *g = calloc(1, sizeof(*g));

    if (!g)
        return NULL;
    mw_map_init(&g->members, NULL);
    g->create_at = sb_now(&sv->state);
    g->name = strdup(name);
    g->display_name = strdup(display_name);
    if (g->name && g->display_name && !mw_id_new(g->id))
        return g;
    sb_group_free(g);
    return NULL;
}

/* POST /groups {"name", "display_name"?, "members": [user, ...]}: makes or replaces it. */
int sb_ctl_group(struct sb_ctl *x)
{
    const char *name = mw_json_str_or(x->json, "name", "");
    struct sb_group *g;
    const cJSON *item;

    if (!name[0])
        return sb_ctl_fail(x, 400, "a group needs a name");
    g = group_new(x->sv, name, mw_json_str_or(x->json, "display_name", name));
    if (!g)
        return -ENOMEM;
    cJSON_ArrayForEach(item, mw_json_arr(x->json, "members"))
    {
        struct sb_user *u = sb_ctl_user(x, cJSON_IsString(item) ? item->valuestring : "");

        if (!u) {
            sb_group_free(g);
            return 0;
        }
        if (mw_map_put(&g->members, u->id, g)) {
            sb_group_free(g);
            return -ENOMEM;
        }
    }
    if (mw_map_put(&x->control->groups, name, g)) {
        sb_group_free(g);
        return -ENOMEM;
    }
    mw_buf_putc(&x->out, '{');
    sb_put_str(&x->out, "id", g->id);
    mw_buf_putc(&x->out, '}');
    return sb_ctl_reply(x, 200);
}

static void put_group(struct mw_buf *b, const struct sb_group *g)
{
    mw_buf_printf(b, "{\"id\":\"%s\",", g->id);
    sb_put_str(b, "name", g->name);
    mw_buf_putc(b, ',');
    sb_put_str(b, "display_name", g->display_name);
    mw_buf_printf(
        b,
        ",\"description\":\"\",\"source\":\"custom\",\"remote_id\":null,\"create_at\":%" PRId64
        ",\"update_at\":%" PRId64 ",\"delete_at\":0,\"has_syncables\":false,"
        "\"member_count\":%zu,\"allow_reference\":true}",
        g->create_at, g->create_at, g->members.count);
}

/* Those that the user is in; NULL = all. */
static int reply_groups(struct sb_req *q, const struct sb_user *member)
{
    size_t it = 0, start;
    void *v;

    mw_buf_putc(&q->out, '[');
    start = q->out.len;
    while (mw_map_next(&q->sv->control.groups, &it, NULL, &v)) {
        const struct sb_group *g = v;

        if (member && !mw_map_get(&g->members, member->id))
            continue;
        sb_comma(&q->out, start);
        put_group(&q->out, g);
    }
    mw_buf_putc(&q->out, ']');
    return sb_reply(q, 200);
}

int sb_h_groups(struct sb_req *q)
{
    return sb_licensed(q->sv) ? reply_groups(q, NULL) : sb_fail_license(q);
}

/* A system administrator is told of everybody, others of themselves. */
int sb_h_user_groups(struct sb_req *q)
{
    struct sb_user *u;

    if (!sb_licensed(q->sv))
        return sb_fail_license(q);
    u = sb_path_user(q, 0);
    if (!u)
        return 0;
    return u == q->user || sb_is_admin(q->user) ? reply_groups(q, u) : sb_fail_permission(q);
}
