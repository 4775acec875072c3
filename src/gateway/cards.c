#include "gateway/cards.h"

#include <ctype.h>
#include <stdio.h>

#include "base/str.h"
#include "io/url.h"

#define NO_ADDRESS                                                                                 \
    "the server calls it when somebody presses the button. A button that comes back to the "       \
    "handler itself needs an HTTP address of the daemon, which this version does not have"

/* ---- Members of an action ---- */

static int check_url(const char *what, const char *text, struct mw_error *err)
{
    struct mw_url url = {0};
    int rc = strlen(text) <= GW_CARD_URL_MAX ? mw_url_parse(text, 80, &url) : -EINVAL;
    bool good = rc == 0 && url.host && url.host[0] &&
                (mw_streq(url.scheme, "http") || mw_streq(url.scheme, "https"));

    mw_url_deinit(&url);
    if (rc == -ENOMEM)
        return rc;
    return good ? 0
                : mw_error_set(err, 1, "the `url` of %s must be an http or https address", what);
}

static int check_context(const char *what, const cJSON *context, struct mw_error *err)
{
    MW_AUTOFREE char *text = NULL;

    if (!context)
        return 0;
    if (!cJSON_IsObject(context))
        return mw_error_set(err, 1, "the `context` of %s must be an object", what);
    text = mw_json_print(context);
    if (!text)
        return -ENOMEM;
    if (strlen(text) > GW_CARD_CONTEXT_MAX)
        return mw_error_set(err, 1, "the `context` of %s has more than %d bytes", what,
                            GW_CARD_CONTEXT_MAX);
    return 0;
}

static int check_name(const char *what, const char *member, const cJSON *name, struct mw_error *err)
{
    size_t len = cJSON_IsString(name) ? strlen(name->valuestring) : 0;

    if (len && len <= GW_CARD_NAME_MAX && name->valuestring[strspn(name->valuestring, " \t\r\n")])
        return 0;
    return mw_error_set(err, 1, "the `%s` of %s must be text of 1 to %d bytes", member, what,
                        GW_CARD_NAME_MAX);
}

static int check_style(const char *what, const cJSON *style, struct mw_error *err)
{
    static const char *const styles[] = {"default", "primary", "success",
                                         "good",    "warning", "danger"};
    const char *s = cJSON_IsString(style) ? style->valuestring : "";

    if (!style)
        return 0;
    for (size_t i = 0; i < MW_ARRAY_LEN(styles); i++) {
        if (mw_streq(s, styles[i]))
            return 0;
    }
    if (*s == '#' && (strlen(s) == 4 || strlen(s) == 7) &&
        strspn(s + 1, "0123456789abcdefABCDEF") == strlen(s + 1))
        return 0;
    return mw_error_set(err, 1,
                        "the `style` of %s must be default, primary, success, good, warning, "
                        "danger or a colour such as #2e7d32",
                        what);
}

/* The server's route takes nothing else. */
static int check_id(const char *what, const cJSON *id, struct mw_error *err)
{
    const char *s = cJSON_IsString(id) ? id->valuestring : "";
    size_t n = 0;

    if (!id)
        return 0; /* the server makes one */
    while (isalnum((unsigned char)s[n]))
        n++;
    if (!n || s[n] || n > GW_CARD_ACTION_ID)
        return mw_error_set(err, 1, "the `id` of %s must be 1 to %d letters and digits", what,
                            GW_CARD_ACTION_ID);
    return 0;
}

static int check_options(const char *what, const cJSON *action, struct mw_error *err)
{
    const cJSON *options = mw_json_get(action, "options"), *o;
    const char *source = mw_json_str(action, "data_source");

    if (mw_streq(source, "users") || mw_streq(source, "channels"))
        return 0;
    if (!cJSON_IsArray(options) || !cJSON_GetArraySize(options) ||
        cJSON_GetArraySize(options) > GW_CARD_OPTIONS_MAX)
        return mw_error_set(err, 1,
                            "%s is a select: it needs 1 to %d `options`, or a `data_source` of "
                            "users or channels",
                            what, GW_CARD_OPTIONS_MAX);
    cJSON_ArrayForEach(o, options)
    {
        if (!mw_json_str(o, "text") || !mw_json_str(o, "value"))
            return mw_error_set(err, 1, "each of the `options` of %s needs `text` and `value`",
                                what);
    }
    return 0;
}

/* ---- Cards ---- */

static int check_action(const cJSON *action, int card, int n, struct mw_error *err)
{
    const cJSON *integration = mw_json_obj(action, "integration");
    const char *url = mw_json_str(integration, "url"), *type = mw_json_str(action, "type");
    char what[64];
    int rc;

    snprintf(what, sizeof(what), "action %d of card %d", n, card);
    if (!cJSON_IsObject(action))
        return mw_error_set(err, 1, "%s must be an object", what);
    if (!mw_streq(type, "button") && !mw_streq(type, "select"))
        return mw_error_set(err, 1, "the `type` of %s must be button or select", what);
    if (!url)
        return mw_error_set(err, 1, "%s needs `integration` with the `url` of your program: %s",
                            what, NO_ADDRESS);
    rc = check_name(what, "name", mw_json_get(action, "name"), err);
    if (!rc)
        rc = check_id(what, mw_json_get(action, "id"), err);
    if (!rc)
        rc = check_url(what, url, err);
    if (!rc)
        rc = check_context(what, mw_json_get(integration, "context"), err);
    if (!rc)
        rc = check_style(what, mw_json_get(action, "style"), err);
    if (!rc && mw_streq(type, "select"))
        rc = check_options(what, action, err);
    return rc;
}

/* The server knows an action by its id alone, whichever card of the post it is in. */
static bool is_used(const cJSON *cards, const cJSON *action)
{
    const char *id = mw_json_str(action, "id");
    const cJSON *card, *a;

    cJSON_ArrayForEach(card, cards)
    {
        cJSON_ArrayForEach(a, mw_json_arr(card, "actions"))
        {
            if (a == action)
                return false;
            if (id && mw_streq(mw_json_str(a, "id"), id))
                return true;
        }
    }
    return false;
}

static int check_actions(const cJSON *cards, const cJSON *actions, int card, struct mw_error *err)
{
    const cJSON *a;
    int n = 0, rc;

    if (cJSON_IsNull(actions) || !actions)
        return 0;
    if (!cJSON_IsArray(actions) || cJSON_GetArraySize(actions) > GW_CARD_ACTIONS_MAX)
        return mw_error_set(err, 1, "the `actions` of card %d must be a list of at most %d", card,
                            GW_CARD_ACTIONS_MAX);
    cJSON_ArrayForEach(a, actions)
    {
        rc = check_action(a, card, ++n, err);
        if (rc)
            return rc;
        if (is_used(cards, a))
            return mw_error_set(err, 1, "two actions of the answer have the `id` %s",
                                mw_json_str_or(a, "id", ""));
    }
    return 0;
}

int gw_cards_check(const cJSON *cards, struct mw_error *err)
{
    const cJSON *card;
    int n = 0, rc;

    if (!cJSON_IsArray(cards) || cJSON_GetArraySize(cards) > GW_CARDS_MAX)
        return mw_error_set(
            err, 1, "`attachments` of the answer must be a list of at most %d cards", GW_CARDS_MAX);
    cJSON_ArrayForEach(card, cards)
    {
        if (!cJSON_IsObject(card))
            return mw_error_set(err, 1,
                                "`attachments` of the answer must be a list of cards (objects)");
        rc = check_actions(cards, mw_json_get(card, "actions"), ++n, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- Buttons ---- */

static int add_button(cJSON *actions, const cJSON *b, int n, struct mw_error *err)
{
    static const char *const known[] = {"text", "url", "context", "style"};
    const char *url = mw_json_str(b, "url");
    const cJSON *item, *context = mw_json_get(b, "context"), *style = mw_json_get(b, "style");
    cJSON *action, *integration;
    char what[64];
    int rc;

    snprintf(what, sizeof(what), "button %d", n);
    if (!cJSON_IsObject(b))
        return mw_error_set(err, 1, "%s of the answer must be an object", what);
    cJSON_ArrayForEach(item, b)
    {
        size_t i = 0;

        while (i < MW_ARRAY_LEN(known) && !mw_streq(item->string, known[i]))
            i++;
        if (i == MW_ARRAY_LEN(known))
            return mw_error_set(err, 1,
                                "%s of the answer has no `%s`; it may have text, url, context and "
                                "style",
                                what, item->string);
    }
    if (!url)
        return mw_error_set(err, 1, "%s of the answer needs the `url` of your program: %s", what,
                            NO_ADDRESS);
    rc = check_name(what, "text", mw_json_get(b, "text"), err);
    if (!rc)
        rc = check_url(what, url, err);
    if (!rc)
        rc = check_context(what, context, err);
    if (!rc)
        rc = check_style(what, style, err);
    if (rc)
        return rc;
    action = cJSON_CreateObject();
    if (mw_json_push(actions, action) || mw_json_add_str(action, "type", "button") ||
        mw_json_add_str(action, "name", mw_json_str(b, "text")) ||
        (style && mw_json_add(action, "style", cJSON_Duplicate(style, true))))
        return -ENOMEM;
    integration = cJSON_CreateObject();
    if (mw_json_add(action, "integration", integration) ||
        mw_json_add_str(integration, "url", url) ||
        (context && mw_json_add(integration, "context", cJSON_Duplicate(context, true))))
        return -ENOMEM;
    return 0;
}

int gw_buttons_card(const cJSON *buttons, cJSON **ret, struct mw_error *err)
{
    MW_AUTOJSON *card = cJSON_CreateObject();
    cJSON *actions = card ? cJSON_AddArrayToObject(card, "actions") : NULL;
    const cJSON *b;
    int n = 0, rc;

    if (!actions)
        return -ENOMEM;
    if (!cJSON_IsArray(buttons) || !cJSON_GetArraySize(buttons) ||
        cJSON_GetArraySize(buttons) > GW_CARD_ACTIONS_MAX)
        return mw_error_set(err, 1, "`buttons` of the answer must be a list of 1 to %d buttons",
                            GW_CARD_ACTIONS_MAX);
    cJSON_ArrayForEach(b, buttons)
    {
        rc = add_button(actions, b, ++n, err);
        if (rc)
            return rc;
    }
    *ret = take_ptr(card);
    return 0;
}
