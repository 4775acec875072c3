#include "gateway/pair.h"

#include <strings.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/str.h"

#define PENDING_MAX 3
#define TRIES_MAX   5
#define GOOD_MS     (3600 * 1000)
#define CODE_LEN    8
/* No letters that look like digits, or like each other. */
#define CODE_CHARS "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

/* ---- The state: one JSON object of a bot ----
 * {"pending": [...], "tries": n, "people": [...]} */

static char *scope_of(const char *bot)
{
    return mw_asprintf("pair:%s", bot);
}

static void drop_expired(cJSON *pending)
{
    int64_t now = mw_clock_now();

    for (int i = cJSON_GetArraySize(pending) - 1; i >= 0; i--) {
        if (mw_json_i64(cJSON_GetArrayItem(pending, i), "expires_at", 0) <= now)
            cJSON_DeleteItemFromArray(pending, i);
    }
}

static int load(struct gw *gw, const char *bot, cJSON **ret)
{
    static const char *const lists[] = {"pending", "people"};
    MW_AUTOFREE char *scope = scope_of(bot), *text = NULL;
    MW_AUTOJSON *state = NULL;
    int rc = scope ? gw_state_get(gw, scope, "state", &text) : -ENOMEM;

    if (rc == 0 && mw_json_parse(text, strlen(text), &state, NULL) == -ENOMEM)
        rc = -ENOMEM; /* else it is begun anew */
    if (rc < 0)
        return rc;
    if (!state && !(state = cJSON_CreateObject()))
        return -ENOMEM;
    for (size_t i = 0; i < MW_ARRAY_LEN(lists); i++) {
        if (!mw_json_arr(state, lists[i]) && mw_json_add(state, lists[i], cJSON_CreateArray()))
            return -ENOMEM;
    }
    drop_expired(cJSON_GetObjectItemCaseSensitive(state, "pending"));
    *ret = take_ptr(state);
    return 0;
}

static int save(struct gw *gw, const char *bot, const cJSON *state)
{
    MW_AUTOFREE char *scope = scope_of(bot), *text = mw_json_print(state);

    return scope && text ? gw_state_set(gw, scope, "state", text) : -ENOMEM;
}

static cJSON *list_of(cJSON *state, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(state, name);
}

static int find(const cJSON *list, const char *member, const char *value)
{
    for (int i = 0; i < cJSON_GetArraySize(list); i++) {
        const char *s = mw_json_str(cJSON_GetArrayItem(list, i), member);

        if (s && !strcasecmp(s, value))
            return i;
    }
    return -1;
}

static void set_tries(cJSON *state, int64_t n)
{
    cJSON_DeleteItemFromObjectCaseSensitive(state, "tries");
    (void)!mw_json_add_i64(state, "tries", n);
}

/* ---- Asking to be let in ---- */

static bool make_code(char code[CODE_LEN + 2])
{
    unsigned char r[CODE_LEN];
    size_t n = 0;

    if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
        return false;
    for (size_t i = 0; i < CODE_LEN; i++) {
        if (i == CODE_LEN / 2)
            code[n++] = '-';
        code[n++] = CODE_CHARS[r[i] % (sizeof(CODE_CHARS) - 1)];
    }
    code[n] = 0;
    return true;
}

int gw_pair_request(struct gw *gw, const char *bot, const char *user_id, const char *user_name,
                    char **ret_text)
{
    char code[CODE_LEN + 2];
    MW_AUTOJSON *state = NULL, *entry = NULL;
    cJSON *pending;
    int rc = load(gw, bot, &state);

    if (rc)
        return rc;
    *ret_text = NULL;
    pending = list_of(state, "pending");
    if (find(pending, "user_id", user_id) >= 0 || cJSON_GetArraySize(pending) >= PENDING_MAX)
        return 0;
    entry = cJSON_CreateObject();
    if (!make_code(code) || !entry || mw_json_add_str(entry, "code", code) ||
        mw_json_add_str(entry, "user_id", user_id) ||
        mw_json_add_str(entry, "user_name", user_name) ||
        mw_json_add_i64(entry, "expires_at", mw_clock_now() + GOOD_MS) ||
        mw_json_push(pending, take_ptr(entry)) || save(gw, bot, state))
        return -ENOMEM;
    *ret_text = mw_asprintf("I do not know you yet. Give this code to whoever operates me, within "
                            "an hour: **%s**",
                            code);
    return *ret_text ? 0 : -ENOMEM;
}

int gw_paired(struct gw *gw, const char *bot, const char *user_id)
{
    MW_AUTOJSON *state = NULL;
    int rc = load(gw, bot, &state);

    return rc < 0 ? rc : find(list_of(state, "people"), "user_id", user_id) >= 0;
}

/* ---- By hand ---- */

cJSON *gw_pair_json(struct gw *gw, const char *bot)
{
    MW_AUTOJSON *state = NULL;

    if (load(gw, bot, &state))
        return NULL;
    cJSON_DeleteItemFromObjectCaseSensitive(state, "tries");
    return mw_json_add_str(state, "bot", bot) ? NULL : take_ptr(state);
}

/* "abcd2345" for "ABCD-2345". */
static bool same_code(const char *code, const char *given)
{
    while (*code || *given) {
        if (*code == '-')
            code++;
        else if (*given == '-' || *given == ' ')
            given++;
        else if (strncasecmp(code++, given++, 1) != 0)
            return false;
    }
    return true;
}

static int find_code(const cJSON *pending, const char *given)
{
    for (int i = 0; i < cJSON_GetArraySize(pending); i++) {
        if (same_code(mw_json_str_or(cJSON_GetArrayItem(pending, i), "code", ""), given))
            return i;
    }
    return -1;
}

static int wrong_code(struct gw *gw, const char *bot, cJSON *state, const char *code,
                      struct mw_error *err)
{
    int64_t tries = mw_json_i64(state, "tries", 0) + 1;
    cJSON *pending = list_of(state, "pending");
    bool none = !cJSON_GetArraySize(pending), voided = !none && tries >= TRIES_MAX;

    if (none)
        return mw_error_set(err, 1, "no code waits for approval by bot \"%s\"", bot);
    if (voided) {
        while (cJSON_GetArraySize(pending))
            cJSON_DeleteItemFromArray(pending, 0);
        tries = 0;
    }
    set_tries(state, tries);
    if (save(gw, bot, state))
        return mw_error_set(err, -ENOMEM, "out of memory");
    return mw_error_set(err, 1, "no code %s waits for approval by bot \"%s\"%s", code, bot,
                        voided ? "; that was the fifth wrong one, so all that waited are void"
                               : "");
}

static cJSON *person_json(const cJSON *entry)
{
    MW_AUTOJSON *o = cJSON_CreateObject();

    if (!o || mw_json_add_str(o, "user_id", mw_json_str_or(entry, "user_id", "")) ||
        mw_json_add_str(o, "user_name", mw_json_str_or(entry, "user_name", "")))
        return NULL;
    return take_ptr(o);
}

int gw_pair_approve(struct gw *gw, const char *bot, const char *code, cJSON **ret,
                    struct mw_error *err)
{
    MW_AUTOJSON *state = NULL, *person = NULL, *answer = NULL;
    cJSON *pending;
    int at, rc = load(gw, bot, &state);

    if (rc)
        return mw_error_set(err, rc, "the state could not be read");
    pending = list_of(state, "pending");
    at = find_code(pending, code);
    if (at < 0)
        return wrong_code(gw, bot, state, code, err);
    person = person_json(cJSON_GetArrayItem(pending, at));
    answer = person ? cJSON_Duplicate(person, true) : NULL;
    cJSON_DeleteItemFromArray(pending, at);
    set_tries(state, 0);
    if (!answer || mw_json_add_i64(person, "since", mw_clock_now()) ||
        mw_json_push(list_of(state, "people"), take_ptr(person)) || save(gw, bot, state))
        return mw_error_set(err, -ENOMEM, "out of memory");
    *ret = take_ptr(answer);
    return 0;
}

int gw_pair_revoke(struct gw *gw, const char *bot, const char *person, cJSON **ret,
                   struct mw_error *err)
{
    MW_AUTOJSON *state = NULL, *answer = NULL;
    const char *name = person + (person[0] == '@');
    cJSON *list;
    int at, rc = load(gw, bot, &state);

    if (rc)
        return mw_error_set(err, rc, "the state could not be read");
    list = list_of(state, "people");
    at = find(list, "user_name", name);
    if (at < 0)
        at = find(list, "user_id", name);
    if (at < 0) {
        list = list_of(state, "pending");
        at = find_code(list, person);
    }
    if (at < 0)
        return mw_error_set(err, 1,
                            "nobody called \"%s\" was let in by a code of bot \"%s\", and no such "
                            "code waits",
                            person, bot);
    answer = person_json(cJSON_GetArrayItem(list, at));
    cJSON_DeleteItemFromArray(list, at);
    if (!answer || save(gw, bot, state))
        return mw_error_set(err, -ENOMEM, "out of memory");
    *ret = take_ptr(answer);
    return 0;
}
