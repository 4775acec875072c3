/* Lists that take several calls: the account's channels over all its teams, and users by id. */
#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "mattermost/client_impl.h"

/* ---- Channels ---- */

struct list_op {
    struct mm_op op;
    cJSON *teams;       /* the answer of /users/me/teams */
    const cJSON *team;  /* the one whose channels are asked for */
    cJSON *channels;    /* result */
    struct mw_map seen; /* ids in it */
};

static void free_list(struct mm_op *op)
{
    struct list_op *l = (struct list_op *)op;

    cJSON_Delete(l->teams);
    cJSON_Delete(l->channels);
    mw_map_deinit(&l->seen);
    free(l);
}

/* Moves the channels of one answer to the result: direct messages appear once a team. */
static int take_channels(struct list_op *l, cJSON *answer)
{
    cJSON *item, *next;

    for (item = answer ? answer->child : NULL; item; item = next) {
        struct mm_channel ch;

        next = item->next;
        if (mm_channel_read(item, &ch, NULL) < 0 || ch.delete_at > 0 || mw_map_get(&l->seen, ch.id))
            continue;
        if (mm_learn_channel(l->op.c, &ch) < 0 || mw_map_put(&l->seen, ch.id, l) < 0 ||
            mw_json_push(l->channels, cJSON_DetachItemViaPointer(answer, item)) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* "No channels" is an error for the server: 404 with an id of its own. */
static bool is_empty_list(const struct mm_result *r)
{
    return r->outcome == MM_NOT_FOUND && strstr(r->error_id, "get_channels.not_found");
}

static void next_team(struct list_op *l);

static void finish_list(struct list_op *l)
{
    mm_op_finish_body(&l->op, take_ptr(l->channels));
}

static void on_team_channels(struct mm_result *r, void *userdata)
{
    struct list_op *l = userdata;

    /* 403 and 404: the account left this team just now. */
    if (r->outcome != MM_OK && r->outcome != MM_NOT_FOUND && r->outcome != MM_FORBIDDEN) {
        mm_op_finish(&l->op, r);
        return;
    }
    if (r->outcome == MM_OK && take_channels(l, r->body) < 0) {
        mm_op_fail(&l->op, MM_UNREACHABLE, -ENOMEM, "out of memory");
        return;
    }
    l->team = l->team->next;
    next_team(l);
}

static void next_team(struct list_op *l)
{
    char path[128];
    int r;

    while (l->team && !mw_id_valid(mw_json_str_or(l->team, "id", "")))
        l->team = l->team->next;
    if (!l->team) {
        finish_list(l);
        return;
    }
    snprintf(path, sizeof(path), "/users/me/teams/%s/channels", mw_json_str(l->team, "id"));
    r = mm_call(l->op.c, "GET", path, NULL, on_team_channels, l);
    if (r < 0)
        mm_op_fail(&l->op, MM_UNREACHABLE, r, "cannot ask for the channels");
}

static void on_all_channels(struct mm_result *r, void *userdata)
{
    struct list_op *l = userdata;

    if (r->outcome == MM_OK && cJSON_IsArray(r->body)) {
        if (take_channels(l, r->body) < 0)
            mm_op_fail(&l->op, MM_UNREACHABLE, -ENOMEM, "out of memory");
        else
            finish_list(l);
    } else if (is_empty_list(r)) {
        finish_list(l);
    } else if (r->outcome == MM_NOT_FOUND || r->outcome == MM_REFUSED ||
               r->outcome == MM_UNAVAILABLE) {
        l->op.c->has_all_channels_route = false;
        next_team(l);
    } else if (r->outcome == MM_OK) {
        mm_op_fail(&l->op, MM_BAD_ANSWER, -EPROTO, "the server's list of channels is no list");
    } else {
        mm_op_finish(&l->op, r);
    }
}

static void on_teams(struct mm_result *r, void *userdata)
{
    struct list_op *l = userdata;
    const cJSON *item;
    int k;

    if (r->outcome != MM_OK) {
        mm_op_finish(&l->op, r);
        return;
    }
    cJSON_ArrayForEach(item, r->body)
    {
        struct mm_team team;

        if (mm_team_read(item, &team, NULL) == 0 && mm_learn_team(l->op.c, &team) < 0) {
            mm_op_fail(&l->op, MM_UNREACHABLE, -ENOMEM, "out of memory");
            return;
        }
    }
    l->teams = take_ptr(r->body);
    l->team = cJSON_IsArray(l->teams) ? l->teams->child : NULL;
    if (!l->op.c->has_all_channels_route) {
        next_team(l);
        return;
    }
    k = mm_call(l->op.c, "GET", "/users/me/channels", NULL, on_all_channels, l);
    if (k < 0)
        mm_op_fail(&l->op, MM_UNREACHABLE, k, "cannot ask for the channels");
}

int mm_list_channels(struct mm_client *c, mm_cb cb, void *userdata)
{
    struct list_op *l = calloc(1, sizeof(*l));
    int r;

    if (!l)
        return -ENOMEM;
    mm_op_init(&l->op, c, cb, userdata, free_list);
    mw_map_init(&l->seen, NULL);
    l->channels = cJSON_CreateArray();
    r = l->channels ? mm_call(c, "GET", "/users/me/teams", NULL, on_teams, l) : -ENOMEM;
    if (r < 0)
        mm_op_drop(&l->op);
    return r;
}

/* ---- Users ---- */

enum { USERS_PER_CALL = 100 };

struct users_op {
    struct mm_op op;
    cJSON *ids; /* still to be asked for */
};

static void free_users(struct mm_op *op)
{
    cJSON_Delete(((struct users_op *)op)->ids);
    free(op);
}

static int ask_users(struct users_op *u);

static void on_users(struct mm_result *r, void *userdata)
{
    struct users_op *u = userdata;
    const cJSON *item;
    int k;

    if (r->outcome != MM_OK) {
        mm_op_finish(&u->op, r);
        return;
    }
    cJSON_ArrayForEach(item, r->body)
    {
        struct mm_user user;

        if (mm_user_read(item, &user, NULL) == 0 && mm_learn_user(u->op.c, &user) < 0) {
            mm_op_fail(&u->op, MM_UNREACHABLE, -ENOMEM, "out of memory");
            return;
        }
    }
    if (!u->ids->child) {
        mm_op_finish_body(&u->op, cJSON_CreateObject());
        return;
    }
    k = ask_users(u);
    if (k < 0)
        mm_op_fail(&u->op, MM_UNREACHABLE, k, "cannot ask for users");
}

static int ask_users(struct users_op *u)
{
    cJSON *batch = cJSON_CreateArray();

    for (int i = 0; batch && i < USERS_PER_CALL && u->ids->child; i++)
        cJSON_AddItemToArray(batch, cJSON_DetachItemViaPointer(u->ids, u->ids->child));
    return batch ? mm_call(u->op.c, "POST", "/users/ids", batch, on_users, u) : -ENOMEM;
}

int mm_fetch_users(struct mm_client *c, const char *const *ids, size_t n, mm_cb cb, void *userdata)
{
    struct users_op *u = calloc(1, sizeof(*u));
    struct mw_map seen;
    int r = 0;

    if (!u)
        return -ENOMEM;
    mm_op_init(&u->op, c, cb, userdata, free_users);
    mw_map_init(&seen, NULL);
    u->ids = cJSON_CreateArray();
    if (!u->ids)
        r = -ENOMEM;
    for (size_t i = 0; i < n && r == 0; i++) {
        if (!mw_id_valid(ids[i]) || mm_cached_user(c, ids[i]) || mw_map_get(&seen, ids[i]))
            continue;
        r = mw_map_put(&seen, ids[i], u);
        if (r == 0)
            r = mw_json_push(u->ids, cJSON_CreateString(ids[i]));
    }
    mw_map_deinit(&seen);
    if (r == 0 && u->ids->child) {
        r = ask_users(u);
    } else if (r == 0) {
        r = mm_answer_later(c, cJSON_CreateObject(), cb, userdata);
        mm_op_drop(&u->op);
        return r;
    }
    if (r < 0)
        mm_op_drop(&u->op);
    return r;
}
