/* `doctor`: what the server says: version, clock, account, limits. */
#include <inttypes.h>

#include "base/clock.h"
#include "base/str.h"
#include "cli/doctor.h"

#define CLOCK_SKEW_MS 60000 /* more is a warning */
#define DAY_MS        (24 * 3600 * 1000LL)
#define TOKEN_CHARS   26
#define SESSION_YEARS 10 /* the session of an access token is good for longer: for ever */
#define EXPIRY_DAYS   14 /* less is a warning */
#define LOW_RATE      20 /* a limiter that lets less through in a burst is worth a warning */

/* ---- Calls ---- */

void doctor_answer_deinit(struct doctor_answer *a)
{
    cJSON_Delete(a->body);
    free(a->error);
}

void doctor_on_answer(struct mm_result *r, void *userdata)
{
    struct doctor_answer *a = userdata;

    a->done = true;
    a->outcome = r->outcome;
    a->status = r->status;
    a->date_ms = r->date_ms;
    a->body = take_ptr(r->body);
    if (r->outcome != MM_OK)
        a->error = strdup(mw_error_text(&r->err));
    if (a->loop)
        doctor_wake(a->loop);
}

bool doctor_await(struct doctor *d, int r, struct doctor_answer *a)
{
    if (r < 0) {
        a->outcome = MM_CANCELED;
        a->error = strdup(strerror(-r));
        return false;
    }
    a->loop = &d->loop;
    while (!a->done)
        uv_run(&d->loop, UV_RUN_ONCE);
    return a->outcome == MM_OK;
}

bool doctor_call(struct doctor *d, const char *method, char *path, cJSON *body,
                 struct doctor_answer *a)
{
    MW_AUTOFREE char *owned = path;

    if (!owned) {
        cJSON_Delete(body);
        d->no_memory = true;
        return false;
    }
    return doctor_await(d, mm_call(d->client, method, owned, body, doctor_on_answer, a), a);
}

char *doctor_error_of(const struct doctor_answer *a)
{
    return strdup(a->error ? a->error : "it did not work");
}

/* ---- Server ---- */

static char *server_fix(struct doctor *d, const struct doctor_answer *a)
{
    if (!d->secure && doctor_speaks_tls(d))
        return strdup("wrong scheme: this port speaks TLS. Write https:// in `endpoint`");
    if (a->status >= 300 && a->status < 400)
        return strdup("wrong scheme, host or sub-path: `endpoint` must be the address where "
                      "redirects end");
    if (a->outcome == MM_NOT_FOUND || a->outcome == MM_BAD_ANSWER)
        return strdup("this is not Mattermost: is the host right, and is a sub-path missing (or "
                      "too much) in `endpoint`?");
    if (a->status >= 500)
        return strdup("Mattermost is down, or the proxy in front of it cannot reach it: its "
                      "administrator");
    return strdup("the connection stands, but no answer comes: is the server overloaded, does a "
                  "firewall drop the traffic?");
}

void doctor_server(struct doctor *d)
{
    AUTOANSWER a = {0};

    /* Signing in by password comes with the first call; a refusal belongs to the account. */
    if (!doctor_call(d, "GET", strdup("/system/ping"), NULL, &a) && a.outcome != MM_UNAUTHORIZED &&
        a.outcome != MM_FORBIDDEN) {
        doctor_report(d, DOCTOR_BAD, doctor_error_of(&a), server_fix(d, &a));
        return;
    }
    d->date_ms = a.date_ms;
    d->date_seen_ms = mw_clock_now();
    if (a.outcome == MM_OK && !mw_json_str(a.body, "status")) {
        doctor_report(d, DOCTOR_BAD, strdup("it answers JSON, but not as Mattermost does"),
                      strdup("is the host right, is a sub-path missing in `endpoint`?"));
        return;
    }
    {
        struct mm_server_info info;

        mm_client_server(d->client, &info);
        doctor_report(
            d, DOCTOR_GOOD,
            mw_asprintf("Mattermost %s", info.version[0] ? info.version : "(it hides its version)"),
            NULL);
    }
}

void doctor_clock(struct doctor *d)
{
    int64_t skew = d->date_seen_ms - d->date_ms;
    char span[48];

    if (!d->date_ms)
        doctor_report(d, DOCTOR_GOOD, strdup("the server does not tell its time"), NULL);
    else if (llabs((long long)skew) < CLOCK_SKEW_MS)
        doctor_report(d, DOCTOR_GOOD, strdup("the same here and on the server"), NULL);
    else
        doctor_report(d, DOCTOR_WARNING,
                      mw_asprintf("this machine's clock is %s %s the server's",
                                  cli_span(llabs((long long)skew), span, sizeof(span)),
                                  skew > 0 ? "ahead of" : "behind"),
                      strdup("set the clock, best by NTP (timedatectl set-ntp true)"));
}

/* ---- Account ---- */

static bool well_formed(const char *token)
{
    size_t n = strspn(token, "abcdefghijklmnopqrstuvwxyz0123456789");

    return n == TOKEN_CHARS && token[n] == '\0';
}

static void report_unauthorized(struct doctor *d, const struct doctor_answer *a)
{
    const char *token = d->bot->bot_token;

    if (!token)
        doctor_report(d, DOCTOR_BAD, doctor_error_of(a),
                      strdup("check login and password; accounts with a second factor, or that "
                             "sign in elsewhere (SAML, LDAP ...), need a token instead"));
    else if (!well_formed(token))
        doctor_report(d, DOCTOR_BAD,
                      mw_asprintf("the server refuses it (401), and it has not the form of a "
                                  "token: %zu characters instead of %d small letters and digits",
                                  strlen(token), TOKEN_CHARS),
                      strdup("copy the whole token, not the token's id, into bot_token"));
    else
        doctor_report(d, DOCTOR_BAD,
                      strdup("the server refuses it (401): the token has expired, "
                             "was revoked, or its account is disabled"),
                      strdup("enable the bot, or make a new token: Integrations > Bot Accounts > "
                             "Create New Token; then `matterwire reload`"));
}

static void learn_server(struct doctor *d)
{
    AUTOANSWER a = {0};
    AUTOANSWER me = {0};

    if (doctor_call(d, "GET", strdup("/config/client?format=old"), NULL, &a) &&
        cJSON_IsObject(a.body))
        d->server_config = take_ptr(a.body);
    if (doctor_call(d, "GET", strdup("/users/me"), NULL, &me))
        d->permissions = doctor_permissions(d, mw_json_str_or(me.body, "roles", ""));
}

void doctor_account(struct doctor *d)
{
    AUTOANSWER a = {0};
    bool bot;

    if (!doctor_await(d, mm_client_start(d->client, doctor_on_answer, &a), &a)) {
        if (a.outcome == MM_UNAUTHORIZED || a.outcome == MM_FORBIDDEN)
            report_unauthorized(d, &a);
        else
            doctor_report(d, DOCTOR_BAD, doctor_error_of(&a), NULL);
        return;
    }
    learn_server(d);
    bot = mm_client_is_bot(d->client);
    doctor_report(d, DOCTOR_GOOD,
                  mw_asprintf("of @%s, %s", mm_client_user_name(d->client),
                              bot ? "a bot account" : "a person's account"),
                  NULL);
}

/* When the sessions of this account end: 0 = never, -1 = the server does not tell. */
static int64_t session_end(struct doctor *d)
{
    AUTOANSWER a = {0};
    const cJSON *session;
    int64_t end = -1, newest = -1;

    if (!doctor_call(d, "GET", strdup("/users/me/sessions"), NULL, &a) || !cJSON_IsArray(a.body))
        return -1;
    /* Ours is the one that was in use last: just now. */
    cJSON_ArrayForEach(session, a.body)
    {
        const cJSON *props = mw_json_obj(session, "props");
        int64_t at = mw_json_i64(session, "last_activity_at", 0);

        if (at <= newest)
            continue;
        newest = at;
        end = mw_json_i64(session, "expires_at", 0);
        if (mw_streq(mw_json_str(props, "type"), "UserAccessToken"))
            end = 0;
    }
    return end - mw_clock_now() > SESSION_YEARS * 365 * DAY_MS ? 0 : end;
}

void doctor_expiry(struct doctor *d)
{
    int64_t end, left;
    char text[MW_RFC3339_SIZE], span[48];

    if (!d->bot->bot_token) {
        doctor_report(d, DOCTOR_GOOD,
                      strdup("login and password sign in again when a session "
                             "ends"),
                      NULL);
        return;
    }
    if (mm_client_is_bot(d->client)) {
        doctor_report(d, DOCTOR_GOOD, strdup("a bot's token ends only when somebody revokes it"),
                      NULL);
        return;
    }
    end = session_end(d);
    left = end - mw_clock_now();
    if (end < 0)
        doctor_report(d, DOCTOR_GOOD, strdup("the server does not tell when it ends"), NULL);
    else if (end == 0)
        doctor_report(d, DOCTOR_GOOD,
                      strdup("a personal access token ends only when it is revoked"), NULL);
    else
        doctor_report(d, left < EXPIRY_DAYS * DAY_MS ? DOCTOR_WARNING : DOCTOR_GOOD,
                      mw_asprintf("this is a session's token: it ends in %s (%s)",
                                  cli_span(MW_MAX(left, 0), span, sizeof(span)),
                                  mw_clock_rfc3339(end, text)),
                      left < EXPIRY_DAYS * DAY_MS ? strdup("use a bot account's token, or login "
                                                           "and password: they do not end")
                                                  : NULL);
}

/* ---- Permissions ---- */

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

cJSON *doctor_permissions(struct doctor *d, const char *roles)
{
    MW_AUTOJSON *names = cJSON_CreateArray();
    MW_AUTOJSON *all = cJSON_CreateArray();
    AUTOANSWER a = {0};
    const cJSON *role, *permission;

    if (!names || !all || add_roles(names, roles) < 0) {
        d->no_memory = true;
        return NULL;
    }
    if (!names->child || !doctor_call(d, "POST", strdup("/roles/names"), take_ptr(names), &a) ||
        !cJSON_IsArray(a.body) || !a.body->child)
        return NULL;
    cJSON_ArrayForEach(role, a.body)
    {
        cJSON_ArrayForEach(permission, mw_json_arr(role, "permissions"))
        {
            if (permission->valuestring &&
                mw_json_push(all, cJSON_CreateString(permission->valuestring)) < 0)
                d->no_memory = true;
        }
    }
    return take_ptr(all);
}

bool doctor_has(const cJSON *permissions, const char *name)
{
    const cJSON *p;

    cJSON_ArrayForEach(p, permissions)
    {
        if (mw_streq(p->valuestring, name))
            return true;
    }
    return false;
}

/* ---- Limits ---- */

void doctor_post_size(struct doctor *d)
{
    struct mm_server_info info;

    mm_client_server(d->client, &info);
    doctor_report(d, DOCTOR_GOOD,
                  mw_asprintf("up to %zu characters; longer answers become several posts",
                              info.max_post_chars),
                  NULL);
}

void doctor_file_size(struct doctor *d)
{
    struct mm_server_info info;
    char size[32];

    mm_client_server(d->client, &info);
    if (!info.file_attachments)
        doctor_report(d, DOCTOR_WARNING, strdup("attachments are switched off on this server"),
                      strdup("System Console > File Sharing and Downloads"));
    else if (info.max_file_bytes <= 0)
        doctor_report(d, DOCTOR_GOOD, strdup("the server does not tell its limit"), NULL);
    else
        doctor_report(d, DOCTOR_GOOD,
                      mw_asprintf("attachments of up to %s",
                                  doctor_bytes(info.max_file_bytes, size, sizeof(size))),
                      NULL);
}

void doctor_edit_time(struct doctor *d)
{
    const char *text = mw_json_str(d->server_config, "PostEditTimeLimit");
    long long seconds = text ? strtoll(text, NULL, 10) : 0;
    char span[48];

    if (!text)
        doctor_report(d, DOCTOR_GOOD, strdup("the server does not tell"), NULL);
    else if (seconds < 0)
        doctor_report(d, DOCTOR_GOOD, strdup("posts can be edited at any time"), NULL);
    else if (seconds == 0)
        doctor_report(d, DOCTOR_WARNING, strdup("posts cannot be edited on this server"),
                      strdup("PostEditTimeLimit is 0; its administrator can raise it"));
    else
        doctor_report(
            d, DOCTOR_GOOD,
            mw_asprintf("posts can be edited for %s", cli_span(seconds * 1000, span, sizeof(span))),
            NULL);
}

void doctor_rate(struct doctor *d)
{
    struct mm_client_stats st;

    mm_client_get_stats(d->client, &st);
    if (st.rate_limited)
        doctor_report(d, DOCTOR_WARNING,
                      mw_asprintf("the server limited the rate of these very checks (429, %" PRId64
                                  " times)",
                                  st.rate_limited),
                      strdup("nothing is lost, but all is slow: raise RateLimitSettings, or give "
                             "this machine a limit of its own"));
    else if (st.rate_limit < 0)
        doctor_report(d, DOCTOR_GOOD, strdup("none seen"), NULL);
    else
        doctor_report(d, st.rate_limit < LOW_RATE ? DOCTOR_WARNING : DOCTOR_GOOD,
                      mw_asprintf("bursts of %" PRId64 " calls, %" PRId64 " of them left just now",
                                  st.rate_limit, st.rate_remaining),
                      st.rate_limit < LOW_RATE ? strdup("raise RateLimitSettings.MaxBurst") : NULL);
}
