#include "sandbox/seed.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "sandbox/domain.h"

static const struct {
    const char *username, *first_name, *last_name;
} people[] = {{"anna", "Anna", "Arendt"}, {"ben", "Ben", "Brandt"}, {"carl", "Carl", "Conrad"}};

static int outcome(int r, const struct sb_refusal *refusal, const char *what, struct mw_error *err)
{
    if (r > 0)
        return mw_error_set(err, -EINVAL, "%s: %s", what, refusal->message);
    return r < 0 ? mw_error_set(err, r, "%s: %s", what, strerror(-r)) : 0;
}

int sb_seed(struct sb_server *sv, struct mw_error *err)
{
    struct sb_refusal refusal;
    struct sb_user *first = NULL, *u;
    struct sb_team *team = NULL;
    int r = 0;

    for (size_t i = 0; i < MW_ARRAY_LEN(people) && r == 0; i++) {
        char email[64];
        struct sb_new_user in = {
            .username = people[i].username,
            .email = email,
            .password = SB_SEED_PASSWORD,
            .first_name = people[i].first_name,
            .last_name = people[i].last_name,
        };

        snprintf(email, sizeof(email), "%s@sandbox.example.com", people[i].username);
        r = outcome(sb_make_user(sv, &in, &u, &refusal), &refusal, people[i].username, err);
        if (r < 0)
            break;
        if (!first) {
            first = u;
            r = outcome(sb_make_team(sv, u, "demo", "Demo", "O", &team, &refusal), &refusal, "demo",
                        err);
        } else {
            r = outcome(sb_join_team(sv, team, u, NULL, false), &refusal, people[i].username, err);
        }
    }
    if (r == 0) {
        team->allow_open_invite = true;
        sb_save_team(&sv->state, team);
    }
    return r;
}

static struct sb_user *any_admin(const struct sb_server *sv)
{
    MW_AUTOFREE void **list = NULL;
    int n = sb_sorted(&sv->state.users, offsetof(struct sb_user, create_at), &list);

    for (int i = 0; i < n; i++)
        if (sb_is_admin(list[i]))
            return list[i];
    return NULL;
}

/* The file is whole and private from the moment it has its name. */
static int write_token(const char *path, const char *token, struct mw_error *err)
{
    MW_AUTOFREE char *temporary = mw_asprintf("%s.new", path);
    size_t len = strlen(token);
    int fd, r = 0;

    if (!temporary)
        return -ENOMEM;
    unlink(temporary);
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return mw_error_set(err, -errno, "cannot write %s: %s", path, strerror(errno));
    if (write(fd, token, len) != (ssize_t)len || write(fd, "\n", 1) != 1)
        r = -EIO;
    if (close(fd) < 0 || r < 0 || rename(temporary, path) < 0) {
        unlink(temporary);
        return mw_error_set(err, -EIO, "cannot write %s", path);
    }
    return 0;
}

static struct sb_session *token_of(const struct sb_state *s, const struct sb_user *u)
{
    size_t it = 0;
    void *v;

    while (mw_map_next(&s->sessions, &it, NULL, &v)) {
        struct sb_session *x = v;

        if (x->access_token && x->is_active && mw_streq(x->user_id, u->id))
            return x;
    }
    return NULL;
}

int sb_seed_bot(struct sb_server *sv, const char *spec, struct mw_error *err)
{
    const char *path = strchr(spec, ':');
    MW_AUTOFREE char *name = path ? strndup(spec, (size_t)(path - spec)) : strdup(spec);
    struct sb_user *u, *owner = any_admin(sv);
    struct sb_refusal refusal;
    struct sb_session *x;
    size_t it = 0;
    void *v;
    int r = 0;

    if (!name)
        return -ENOMEM;
    if (!owner)
        return mw_error_set(err, -EINVAL, "a bot needs an administrator who owns it");
    u = sb_user_by_name(&sv->state, name);
    if (!u)
        r = outcome(sb_make_user(sv,
                                 &(struct sb_new_user){.username = name,
                                                       .first_name = name,
                                                       .bot_description = "A bot of the sandbox",
                                                       .bot_owner = owner},
                                 &u, &refusal),
                    &refusal, name, err);
    while (r == 0 && mw_map_next(&sv->state.teams, &it, NULL, &v))
        if (!((struct sb_team *)v)->delete_at)
            r = sb_join_team(sv, v, u, owner, false);
    if (r < 0 || !path)
        return r;
    x = token_of(&sv->state, u);
    if (!x)
        r = sb_make_session(sv, u, "sandbox", &x);
    return r < 0 ? r : write_token(path + 1, x->token, err);
}
