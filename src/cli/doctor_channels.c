/* `doctor`: teams, channels and people: what the account may hear and say. */
#include "base/str.h"
#include "cli/doctor.h"

/* ---- Teams ---- */

static bool is_in_team(const cJSON *teams, const char *name)
{
    const cJSON *team;

    cJSON_ArrayForEach(team, teams)
    {
        if (mw_streq(mw_json_str(team, "name"), name) || mw_streq(mw_json_str(team, "id"), name))
            return true;
    }
    return false;
}

static char *names_of(const cJSON *teams)
{
    const cJSON *team;
    struct mw_buf b;
    int n = 0;

    mw_buf_init(&b, 0);
    cJSON_ArrayForEach(team, teams)
    {
        if (++n > 5)
            break;
        mw_buf_printf(&b, "%s%s", n > 1 ? ", " : "", mw_json_str_or(team, "name", "?"));
    }
    if (cJSON_GetArraySize(teams) > 5)
        mw_buf_printf(&b, " and %d more", cJSON_GetArraySize(teams) - 5);
    return mw_buf_take(&b);
}

void doctor_teams(struct doctor *d)
{
    const char *user = mm_client_user_name(d->client);
    MW_AUTOFREE char *names = NULL;
    AUTOANSWER a = {0};
    char *fix = NULL;

    if (!doctor_call(d, "GET", strdup("/users/me/teams"), NULL, &a) || !cJSON_IsArray(a.body)) {
        doctor_report(d, DOCTOR_BAD, doctor_error_of(&a), NULL);
        return;
    }
    names = names_of(a.body);
    if (!names)
        d->no_memory = true;
    else if (!a.body->child || (d->bot->team && !is_in_team(a.body, d->bot->team)))
        fix = mw_asprintf("somebody of the team adds it: the team's menu > Invite People > @%s",
                          user);
    if (fix && d->bot->team)
        doctor_report(d, DOCTOR_BAD, mw_asprintf("@%s is not in the team %s", user, d->bot->team),
                      fix);
    else if (fix)
        doctor_report(d, DOCTOR_WARNING,
                      mw_asprintf("@%s is in no team: it hears direct messages at the most", user),
                      fix);
    else
        doctor_report(d, DOCTOR_GOOD, mw_asprintf("@%s is in %s", user, names), NULL);
}

/* ---- Channels ---- */

/* 1 = may post, 0 = may not, -1 = the server does not tell. */
static int may_post(struct doctor *d, const cJSON *channel, const char *member_roles)
{
    const char *team = mw_json_str_or(channel, "team_id", "");
    MW_AUTOJSON *permissions = NULL;
    MW_AUTOFREE char *roles = NULL;
    AUTOANSWER a = {0};

    if (doctor_has(d->permissions, "create_post"))
        return 1;
    if (*team)
        (void)doctor_call(d, "GET", mw_asprintf("/teams/%s/members/me", team), NULL, &a);
    roles = mw_asprintf("%s %s", member_roles, mw_json_str_or(a.body, "roles", ""));
    if (!roles) {
        d->no_memory = true;
        return -1;
    }
    permissions = doctor_permissions(d, roles);
    return permissions ? doctor_has(permissions, "create_post") : -1;
}

static void report_outside(struct doctor *d, const char *name, const struct doctor_answer *channel)
{
    const char *user = mm_client_user_name(d->client);

    if (channel->outcome == MM_OK)
        doctor_report(d, DOCTOR_BAD, mw_asprintf("%s: the bot is not in this channel", name),
                      mw_asprintf("somebody who is in it writes there: /invite @%s", user));
    else if (channel->outcome == MM_NOT_FOUND)
        doctor_report(
            d, DOCTOR_BAD, mw_asprintf("%s: there is no such channel", name),
            strdup("correct `channels`: a name, team/name or an id from the channel's menu > "
                   "View Info"));
    else
        doctor_report(d, DOCTOR_BAD,
                      mw_asprintf("%s: the bot is not in this channel, and not in its team, or the "
                                  "channel is private",
                                  name),
                      mw_asprintf("first into the team (Invite People), then in the channel: "
                                  "/invite @%s",
                                  user));
}

static void check_rights(struct doctor *d, const char *name, const char *id, const cJSON *channel,
                         const cJSON *member)
{
    AUTOANSWER posts = {0};
    int post;

    if (mw_json_i64(channel, "delete_at", 0)) {
        doctor_report(d, DOCTOR_WARNING, mw_asprintf("%s is archived", name),
                      strdup("somebody unarchives it, or take it out of `channels`"));
        return;
    }
    if (!doctor_call(d, "GET", mw_asprintf("/channels/%s/posts?per_page=1", id), NULL, &posts)) {
        doctor_report(d, DOCTOR_BAD,
                      mw_asprintf("%s: the bot is in it, but may not read: %s", name,
                                  posts.error ? posts.error : "?"),
                      strdup("the bot's role lacks read_channel: the system administrator"));
        return;
    }
    post = may_post(d, channel, mw_json_str_or(member, "roles", ""));
    if (post == 0) {
        doctor_report(d, DOCTOR_BAD,
                      mw_asprintf("%s: the bot may read, but cannot post there", name),
                      strdup("the channel is moderated, or the bot's role lacks create_post: its "
                             "administrator can change that"));
        return;
    }
    if (!d->channel_id[0])
        snprintf(d->channel_id, sizeof(d->channel_id), "%s", id);
    doctor_report(
        d, DOCTOR_GOOD,
        mw_asprintf("%s: the bot is in it, may read%s", name,
                    post > 0 ? " and post" : "; the server does not tell whether it may post"),
        NULL);
}

static void check_channel(struct doctor *d, const char *name)
{
    AUTOANSWER found = {0};
    AUTOANSWER member = {0};
    AUTOANSWER channel = {0};
    const char *id;

    if (!doctor_await(d,
                      mm_resolve_channel(d->client, name, d->bot->team, doctor_on_answer, &found),
                      &found)) {
        if (found.outcome == MM_FORBIDDEN) {
            report_outside(d, name, &found);
            return;
        }
        doctor_report(d, DOCTOR_BAD,
                      mw_asprintf("%s: %s", name, found.error ? found.error : "not found"),
                      mw_asprintf("is it spelled right, and is @%s in its team? A private channel "
                                  "is found only by its members",
                                  mm_client_user_name(d->client)));
        return;
    }
    id = mw_json_str_or(found.body, "channel_id", "");
    (void)doctor_call(d, "GET", mw_asprintf("/channels/%s", id), NULL, &channel);
    if (!doctor_call(d, "GET", mw_asprintf("/channels/%s/members/me", id), NULL, &member))
        report_outside(d, name, &channel);
    else if (channel.outcome != MM_OK)
        doctor_report(d, DOCTOR_BAD, mw_asprintf("%s: %s", name, channel.error), NULL);
    else
        check_rights(d, name, id, channel.body, member.body);
}

void doctor_channels(struct doctor *d)
{
    AUTOANSWER a = {0};
    const cJSON *channel;
    int n = 0;

    for (size_t i = 0; i < d->bot->channels.n; i++)
        check_channel(d, d->bot->channels.items[i]);
    if (d->bot->channels.n)
        return;
    if (!doctor_await(d, mm_list_channels(d->client, doctor_on_answer, &a), &a)) {
        doctor_report(d, DOCTOR_BAD, doctor_error_of(&a), NULL);
        return;
    }
    cJSON_ArrayForEach(channel, a.body)
    {
        const char *type = mw_json_str_or(channel, "type", "");

        n += strcmp(type, "D") != 0 && strcmp(type, "G") != 0;
    }
    if (n == 0)
        doctor_report(d, DOCTOR_WARNING,
                      strdup("the bot is in no channel: no events come but direct messages"),
                      mw_asprintf("somebody writes in each one that it shall hear: /invite @%s",
                                  mm_client_user_name(d->client)));
    else
        doctor_report(d, DOCTOR_GOOD,
                      n == 1 ? strdup("the only one that it is in")
                             : mw_asprintf("all %d that it is in", n),
                      NULL);
}

/* ---- People ---- */

void doctor_people(struct doctor *d)
{
    const struct gw_strings *users = &d->bot->policy.allowed_users;
    bool everyone = false;
    size_t known = 0;

    for (size_t i = 0; i < users->n; i++) {
        AUTOANSWER a = {0};

        if (strcmp(users->items[i], "*") == 0)
            everyone = true;
        else if (doctor_await(d, mm_resolve_user(d->client, users->items[i], doctor_on_answer, &a),
                              &a))
            known++;
        else
            doctor_report(d, DOCTOR_BAD,
                          mw_asprintf("%s: %s", users->items[i], a.error ? a.error : "not found"),
                          strdup("correct `allowed_users`"));
    }
    if (!d->bot->handler)
        doctor_report(d, DOCTOR_GOOD, strdup("no handler: it listens and answers nobody"), NULL);
    else if (!users->n)
        doctor_report(d, DOCTOR_WARNING,
                      mw_asprintf("nobody may trigger the handler %s: allowed_users is empty",
                                  d->bot->handler),
                      strdup("name them, such as [\"@alice\"], or \"*\" for everyone"));
    else if (everyone || known)
        doctor_report(
            d, DOCTOR_GOOD,
            mw_asprintf("%s trigger %s%s", everyone ? "everyone may" : "those named may",
                        d->bot->handler,
                        d->bot->policy.mention_only ? ", in channels by mentioning the bot" : ""),
            NULL);
}

void doctor_direct(struct doctor *d)
{
    const char *who = mw_json_str_or(d->server_config, "RestrictDirectMessage", "");

    if (d->permissions && !doctor_has(d->permissions, "create_direct_channel"))
        doctor_report(d, DOCTOR_WARNING, strdup("the bot may not begin direct messages"),
                      strdup("its role lacks create_direct_channel: the system administrator. It "
                             "can answer those that others begin"));
    else if (strcmp(who, "team") == 0)
        doctor_report(d, DOCTOR_GOOD, strdup("with people who share a team with the bot"), NULL);
    else
        doctor_report(d, DOCTOR_GOOD, strdup("the bot may write to everyone"), NULL);
}
