/* People, bots, sessions and teams. */
#include <ctype.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/domain.h"

/* model/user.go, IsValidUsername. */
bool sb_username_valid(const char *name)
{
    static const char *const reserved[] = {"all", "channel", "matterbot", "system", "here"};
    size_t len = strlen(name);

    if (len < 1 || len > 64)
        return false;
    for (size_t i = 0; i < MW_ARRAY_LEN(reserved); i++)
        if (mw_streq(name, reserved[i]))
            return false;
    for (size_t i = 0; i < len; i++)
        if (!islower((unsigned char)name[i]) && !isdigit((unsigned char)name[i]) &&
            !strchr(".-_", name[i]))
            return false;
    return true;
}

static bool any_admin(const struct sb_server *sv)
{
    size_t it = 0;
    void *v;

    while (mw_map_next(&sv->state.users, &it, NULL, &v))
        if (sb_is_admin(v))
            return true;
    return false;
}

static int fill_user(struct sb_server *sv, struct sb_user *u, const struct sb_new_user *in)
{
    MW_AUTOFREE char *bot_email = NULL;
    const char *email = in->email;

    if (mw_id_new(u->id) < 0)
        return -EIO;
    u->create_at = u->update_at = sb_now(&sv->state);
    if (in->bot_owner) {
        u->is_bot = true;
        memcpy(u->owner_id, in->bot_owner->id, sizeof(u->owner_id));
        bot_email = mw_asprintf("%s@localhost", in->username);
        if (!bot_email)
            return -ENOMEM;
        email = bot_email;
    } else {
        u->last_password_update = u->create_at;
    }
    if (in->password) {
        u->password = sb_password_make(in->password);
        if (!u->password)
            return -ENOMEM;
    }
    if (mw_str_set(&u->username, in->username) < 0 || mw_str_set(&u->email, email) < 0 ||
        mw_str_set(&u->first_name, in->first_name) < 0 ||
        mw_str_set(&u->last_name, in->last_name) < 0 ||
        mw_str_set(&u->nickname, in->nickname) < 0 || mw_str_set(&u->position, in->position) < 0 ||
        mw_str_set(&u->bot_description, in->bot_description) < 0 ||
        mw_str_set(&u->locale, "en") < 0)
        return -ENOMEM;
    return mw_str_set(&u->roles, !in->bot_owner && !any_admin(sv) ? "system_admin system_user"
                                                                  : "system_user");
}

int sb_make_user(struct sb_server *sv, const struct sb_new_user *in, struct sb_user **ret,
                 struct sb_refusal *refusal)
{
    struct sb_user *u;
    int r;

    if (!sb_username_valid(in->username))
        return sb_refuse(refusal, 400, "model.user.is_valid.username.app_error",
                         "Username must begin with a letter and contain between 3 and 22 "
                         "characters including numbers, lowercase letters, and the symbols.");
    if (!in->bot_owner && (!in->email || !strchr(in->email, '@')))
        return sb_refuse(refusal, 400, "model.user.is_valid.email.app_error", "Invalid email.");
    if (!in->bot_owner && (!in->password || strlen(in->password) < 5))
        return sb_refuse(refusal, 400, "model.user.is_valid.pwd.app_error",
                         "Your password must contain at least 5 characters.");
    if (sb_user_by_name(&sv->state, in->username))
        return sb_refuse(refusal, 400, "app.user.save.username_exists.app_error",
                         "An account with that username already exists.");
    if (in->email && sb_user_by_email(&sv->state, in->email))
        return sb_refuse(refusal, 400, "app.user.save.email_exists.app_error",
                         "An account with that email already exists.");
    u = calloc(1, sizeof(*u));
    if (!u)
        return -ENOMEM;
    r = fill_user(sv, u, in);
    if (r < 0) {
        sb_free_fields(sb_user_fields, u);
        free(u);
        return r;
    }
    r = sb_add_user(&sv->state, u);
    if (r < 0)
        return r;
    sb_event(sv, "new_user", &(struct sb_broadcast){0}, "\"user_id\":\"%s\"", u->id);
    *ret = u;
    return 0;
}

int sb_make_session(struct sb_server *sv, const struct sb_user *u, const char *description,
                    struct sb_session **ret)
{
    struct sb_session *x = calloc(1, sizeof(*x));
    char token[MW_ID_SIZE];
    int r;

    if (!x)
        return -ENOMEM;
    if (mw_id_new(x->id) < 0 || mw_id_new(token) < 0 || mw_str_set(&x->token, token) < 0 ||
        mw_str_set(&x->description, description) < 0) {
        sb_free_fields(sb_session_fields, x);
        free(x);
        return -ENOMEM;
    }
    memcpy(x->user_id, u->id, sizeof(x->user_id));
    x->access_token = description != NULL;
    x->is_active = true;
    x->create_at = sb_now(&sv->state);
    r = sb_add_session(&sv->state, x);
    if (r == 0)
        *ret = x;
    return r;
}

/* --- teams -------------------------------------------------------------------------------------
 */

static const struct {
    const char *name, *display_name;
} default_channels[] = {{"town-square", "Town Square"}, {"off-topic", "Off-Topic"}};

static int fill_team(struct sb_server *sv, struct sb_team *t, const struct sb_user *creator,
                     const char *name, const char *display_name, const char *type)
{
    if (mw_id_new(t->id) < 0 || mw_id_new(t->invite_id) < 0)
        return -EIO;
    t->create_at = t->update_at = sb_now(&sv->state);
    if (mw_str_set(&t->name, name) < 0 || mw_str_set(&t->display_name, display_name) < 0)
        return -ENOMEM;
    if (creator && mw_str_set(&t->email, creator->email) < 0)
        return -ENOMEM;
    return mw_str_set(&t->type, type);
}

int sb_make_team(struct sb_server *sv, struct sb_user *creator, const char *name,
                 const char *display_name, const char *type, struct sb_team **ret,
                 struct sb_refusal *refusal)
{
    struct sb_team *t;
    int r;

    if (sb_team_by_name(&sv->state, name))
        return sb_refuse(refusal, 400, "app.team.save.app_error",
                         "A team with that name already exists.");
    t = calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    r = fill_team(sv, t, creator, name, display_name, type);
    if (r < 0) {
        sb_free_fields(sb_team_fields, t);
        free(t);
        return r;
    }
    r = sb_add_team(&sv->state, t);
    if (r < 0)
        return r;
    for (size_t i = 0; i < MW_ARRAY_LEN(default_channels) && r == 0; i++) {
        struct sb_channel *c;
        struct sb_new_channel in = {
            .team_id = t->id,
            .type = "O",
            .name = default_channels[i].name,
            .display_name = default_channels[i].display_name,
        };

        r = sb_make_channel(sv, &in, &c, refusal);
    }
    if (r == 0 && creator)
        r = sb_join_team(sv, t, creator, NULL, true);
    if (r == 0)
        *ret = t;
    return r;
}

static int file_team_member(struct sb_server *sv, struct sb_team *t, struct sb_user *u, bool admin)
{
    struct sb_team_member *m = mw_map_get(&t->members, u->id);

    if (m) { /* comes back */
        m->delete_at = 0;
        sb_save_team_member(&sv->state, m);
        return 0;
    }
    m = calloc(1, sizeof(*m));
    if (!m)
        return -ENOMEM;
    memcpy(m->team_id, t->id, sizeof(m->team_id));
    memcpy(m->user_id, u->id, sizeof(m->user_id));
    m->scheme_admin = admin;
    m->create_at = sb_now(&sv->state);
    return sb_add_team_member(&sv->state, m);
}

int sb_join_team(struct sb_server *sv, struct sb_team *t, struct sb_user *u, struct sb_user *by,
                 bool admin)
{
    struct sb_broadcast to = {.user_id = u->id};
    int r;

    if (sb_team_member_of(t, u->id))
        return 0;
    r = file_team_member(sv, t, u, admin);
    if (r < 0)
        return r;
    sb_event(sv, "added_to_team", &to, "\"team_id\":\"%s\",\"user_id\":\"%s\"", t->id, u->id);
    u->update_at = sb_now(&sv->state);
    sb_save_user(&sv->state, u);
    for (size_t i = 0; i < MW_ARRAY_LEN(default_channels); i++) {
        struct sb_channel *c = sb_channel_by_name(&sv->state, t->id, default_channels[i].name);

        if (!c)
            continue;
        r = sb_join_channel(sv, c, u, by);
        if (r != 0)
            return r;
    }
    return 0;
}

int sb_leave_team(struct sb_server *sv, struct sb_team *t, struct sb_user *u, struct sb_user *by)
{
    struct sb_team_member *m = sb_team_member_of(t, u->id);
    struct sb_broadcast to_team = {.team_id = t->id, .team = t, .omit_user = u->id};
    struct sb_broadcast to_user = {.user_id = u->id};
    size_t it = 0;
    void *v;

    if (!m)
        return 0;
    while (mw_map_next(&sv->state.channels, &it, NULL, &v)) {
        struct sb_channel *c = v;

        if (mw_streq(c->team_id, t->id) && sb_member_of(c, u->id)) {
            sb_remove_member(&sv->state, c, u->id);
            sb_event_user_removed(sv, c, u, by);
        }
    }
    sb_event(sv, "leave_team", &to_team, "\"team_id\":\"%s\",\"user_id\":\"%s\"", t->id, u->id);
    sb_event(sv, "leave_team", &to_user, "\"team_id\":\"%s\",\"user_id\":\"%s\"", t->id, u->id);
    m->delete_at = sb_now(&sv->state);
    sb_save_team_member(&sv->state, m);
    return 0;
}
