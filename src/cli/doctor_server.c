/* `doctor`: what the server says: version, account, channels, people. */
#include <inttypes.h>

#include "base/clock.h"
#include "base/str.h"
#include "cli/doctor.h"

#define CLOCK_SKEW_MS 60000 /* more is a warning */

/* ---- Calls ---- */

struct answer {
    bool done;
    enum mm_outcome outcome;
    int status;
    int64_t date_ms;
    cJSON *body;
    char *error;
};

static void answer_deinit(struct answer *a)
{
    cJSON_Delete(a->body);
    free(a->error);
}

#define AUTOANSWER MW_CLEANUP(answer_deinit) struct answer

static void on_answer(struct mm_result *r, void *userdata)
{
    struct answer *a = userdata;

    a->done = true;
    a->outcome = r->outcome;
    a->status = r->status;
    a->date_ms = r->date_ms;
    a->body = take_ptr(r->body);
    if (r->outcome != MM_OK)
        a->error = strdup(mw_error_text(&r->err));
}

/* Runs the loop until the call that `r` began has ended. */
static bool await(struct doctor *d, int r, struct answer *a)
{
    if (r < 0) {
        a->outcome = MM_CANCELED;
        a->error = strdup(strerror(-r));
        return false;
    }
    while (!a->done)
        uv_run(&d->loop, UV_RUN_ONCE);
    return a->outcome == MM_OK;
}

static bool call(struct doctor *d, const char *method, char *path, cJSON *body, struct answer *a)
{
    MW_AUTOFREE char *owned = path;

    if (!owned) {
        cJSON_Delete(body);
        d->no_memory = true;
        return false;
    }
    return await(d, mm_call(d->client, method, owned, body, on_answer, a), a);
}

static char *error_of(const struct answer *a)
{
    return strdup(a->error ? a->error : "it did not work");
}

/* ---- Server ---- */

static void check_clock(struct doctor *d, int64_t date_ms)
{
    int64_t skew = mw_clock_now() - date_ms;
    char span[48];

    if (!date_ms || llabs((long long)skew) < CLOCK_SKEW_MS)
        return;
    doctor_report(d, DOCTOR_WARNING, "clock",
                  mw_asprintf("this machine's clock is %s %s the server's",
                              cli_span(llabs((long long)skew), span, sizeof(span)),
                              skew > 0 ? "ahead of" : "behind"),
                  strdup("set the clock, best by NTP"));
}

bool doctor_server(struct doctor *d)
{
    AUTOANSWER a = {0};

    /* Signing in by password comes with the first call; what it says belongs to the account. */
    if (!d->bot->bot_token)
        return true;
    if (call(d, "GET", strdup("/system/ping"), NULL, &a)) {
        check_clock(d, a.date_ms);
        return true;
    }
    if (a.outcome == MM_UNAUTHORIZED)
        return true;
    doctor_report(d, DOCTOR_BAD, "server", error_of(&a),
                  a.outcome == MM_NOT_FOUND || a.outcome == MM_BAD_ANSWER
                      ? strdup("this does not look like Mattermost: is the address right, and is "
                               "a sub-path missing in `endpoint`?")
                      : NULL);
    return false;
}

/* ---- Account ---- */

static void report_unauthorized(struct doctor *d, const struct answer *a)
{
    if (d->bot->bot_token)
        doctor_report(d, DOCTOR_BAD, "token", error_of(a),
                      strdup("is the whole token in bot_token, and is the bot enabled? A new one "
                             "is made under Integrations > Bot Accounts > Create New Token"));
    else
        doctor_report(d, DOCTOR_BAD, "login", error_of(a),
                      strdup("check login and password; accounts with a second factor, or that "
                             "sign in elsewhere (SAML, LDAP ...), need a token instead"));
}

bool doctor_account(struct doctor *d)
{
    AUTOANSWER a = {0};
    struct mm_server_info info;

    if (!await(d, mm_client_start(d->client, on_answer, &a), &a)) {
        if (a.outcome == MM_UNAUTHORIZED || a.outcome == MM_FORBIDDEN)
            report_unauthorized(d, &a);
        else
            doctor_report(d, DOCTOR_BAD, "server", error_of(&a), NULL);
        return false;
    }
    mm_client_server(d->client, &info);
    doctor_report(d, DOCTOR_GOOD, "server",
                  mw_asprintf("Mattermost %s, posts of up to %zu characters",
                              info.version[0] ? info.version : "(version unknown)",
                              info.max_post_chars),
                  NULL);
    doctor_report(d, DOCTOR_GOOD, d->bot->bot_token ? "token" : "login",
                  mw_asprintf("@%s, %s", mm_client_user_name(d->client),
                              mm_client_is_bot(d->client) ? "a bot account" : "a person's account"),
                  NULL);
    return true;
}

/* ---- Channels ---- */

static int add_roles(cJSON *list, const char *roles)
{
    for (const char *p = roles; *p;) {
        size_t n = strcspn(p, " ");
        MW_AUTOFREE char *role = n ? strndup(p, n) : NULL;

        if (n && (!role || mw_json_push(list, cJSON_CreateString(role))))
            return -ENOMEM;
        p += n;
        p += strspn(p, " ");
    }
    return 0;
}

static void add_roles_of(struct doctor *d, cJSON *list, char *path)
{
    AUTOANSWER a = {0};

    if (call(d, "GET", path, NULL, &a) && add_roles(list, mw_json_str_or(a.body, "roles", "")) < 0)
        d->no_memory = true;
}

/* 1 = may post, 0 = may not, -1 = the server does not tell. */
static int may_post(struct doctor *d, const cJSON *channel, const char *member_roles)
{
    const char *team = mw_json_str_or(channel, "team_id", "");
    MW_AUTOJSON *names = cJSON_CreateArray();
    AUTOANSWER a = {0};
    const cJSON *role, *permission;

    if (!names || add_roles(names, member_roles) < 0) {
        d->no_memory = true;
        return -1;
    }
    add_roles_of(d, names, strdup("/users/me"));
    if (*team)
        add_roles_of(d, names, mw_asprintf("/teams/%s/members/me", team));
    if (!call(d, "POST", strdup("/roles/names"), take_ptr(names), &a) || !cJSON_IsArray(a.body) ||
        cJSON_GetArraySize(a.body) == 0)
        return -1;
    cJSON_ArrayForEach(role, a.body)
    {
        cJSON_ArrayForEach(permission, mw_json_arr(role, "permissions"))
        {
            if (mw_streq(permission->valuestring, "create_post"))
                return 1;
        }
    }
    return 0;
}

static void check_channel(struct doctor *d, const char *name)
{
    AUTOANSWER found = {0};
    AUTOANSWER member = {0};
    AUTOANSWER channel = {0};
    const char *id;

    if (!await(d, mm_resolve_channel(d->client, name, d->bot->team, on_answer, &found), &found)) {
        doctor_report(d, DOCTOR_BAD, "channel", mw_asprintf("%s: %s", name, found.error), NULL);
        return;
    }
    id = mw_json_str_or(found.body, "channel_id", "");
    if (!call(d, "GET", mw_asprintf("/channels/%s/members/me", id), NULL, &member)) {
        doctor_report(d, DOCTOR_BAD, "channel",
                      mw_asprintf("%s: the bot is not in this channel, or it does not exist", name),
                      mw_asprintf("somebody who is in it writes there: /invite @%s",
                                  mm_client_user_name(d->client)));
        return;
    }
    if (!call(d, "GET", mw_asprintf("/channels/%s", id), NULL, &channel)) {
        doctor_report(d, DOCTOR_BAD, "channel", mw_asprintf("%s: %s", name, channel.error), NULL);
        return;
    }
    if (mw_json_i64(channel.body, "delete_at", 0))
        doctor_report(d, DOCTOR_WARNING, "channel", mw_asprintf("%s is archived", name), NULL);
    else if (may_post(d, channel.body, mw_json_str_or(member.body, "roles", "")) == 0)
        doctor_report(d, DOCTOR_BAD, "channel",
                      mw_asprintf("%s: the bot hears it, but has no right to post there", name),
                      strdup("the channel is moderated, or the bot's role lacks create_post: its "
                             "administrator can change that"));
    else
        doctor_report(d, DOCTOR_GOOD, "channel", mw_asprintf("%s: the bot is in it", name), NULL);
}

void doctor_channels(struct doctor *d)
{
    AUTOANSWER teams = {0};

    for (size_t i = 0; i < d->bot->channels.n; i++)
        check_channel(d, d->bot->channels.items[i]);
    if (d->bot->channels.n)
        return;
    if (!call(d, "GET", strdup("/users/me/teams"), NULL, &teams))
        doctor_report(d, DOCTOR_BAD, "channels", error_of(&teams), NULL);
    else if (cJSON_GetArraySize(teams.body) == 0)
        doctor_report(
            d, DOCTOR_WARNING, "channels",
            strdup("the bot is in no team: it hears direct messages only"),
            mw_asprintf("add @%s to a team, and then to channels", mm_client_user_name(d->client)));
    else
        doctor_report(d, DOCTOR_GOOD, "channels",
                      mw_asprintf("every channel it is in, of %d %s",
                                  cJSON_GetArraySize(teams.body),
                                  cJSON_GetArraySize(teams.body) == 1 ? "team" : "teams"),
                      NULL);
}

/* ---- People ---- */

void doctor_people(struct doctor *d)
{
    const struct gw_strings *users = &d->bot->allowed_users;

    if (d->bot->handler && users->n == 0)
        doctor_report(d, DOCTOR_WARNING, "people",
                      mw_asprintf("nobody may trigger the handler %s: allowed_users is empty",
                                  d->bot->handler),
                      strdup("name them, such as [\"@alice\"], or \"*\" for everyone"));
    for (size_t i = 0; i < users->n; i++) {
        AUTOANSWER a = {0};

        if (strcmp(users->items[i], "*") == 0)
            continue;
        if (!await(d, mm_resolve_user(d->client, users->items[i], on_answer, &a), &a))
            doctor_report(d, DOCTOR_BAD, "people",
                          mw_asprintf("%s: %s", users->items[i], a.error ? a.error : "?"), NULL);
    }
}
