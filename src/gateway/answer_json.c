#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "gateway/answer.h"
#include "gateway/cards.h"
#include "gateway/files.h"

static void words_free(char **words)
{
    for (size_t i = 0; words && words[i]; i++)
        free(words[i]);
    free(words);
}

void gw_answer_deinit(struct gw_answer *a)
{
    free(a->text);
    cJSON_Delete(a->props);
    words_free(a->files);
    words_free(a->reactions);
    *a = (struct gw_answer){0};
}

bool gw_answer_has_post(const struct gw_answer *a)
{
    return (a->text && a->text[strspn(a->text, " \t\r\n")]) || a->files ||
           (a->props && mw_json_arr(a->props, "attachments"));
}

/* ---- Members ---- */

struct parsing {
    const struct gw_config *config;
    const char *folder;
    struct gw_answer *a;
    cJSON *buttons; /* a card of them; NULL = none */
    struct mw_error *err;
};

typedef int (*member_fn)(const cJSON *value, struct parsing *p);

static int wrong(struct parsing *p, const cJSON *value, const char *expected)
{
    return mw_error_set(p->err, 1, "`%s` of the answer must be %s", value->string, expected);
}

static int take_text(const cJSON *v, struct parsing *p)
{
    if (!cJSON_IsString(v))
        return wrong(p, v, "text");
    return mw_str_set(&p->a->text, v->valuestring);
}

static int put_prop(struct parsing *p, const char *name, const cJSON *value)
{
    if (!p->a->props && !(p->a->props = cJSON_CreateObject()))
        return -ENOMEM;
    cJSON_DeleteItemFromObjectCaseSensitive(p->a->props, name);
    return mw_json_add(p->a->props, name, cJSON_Duplicate(value, true));
}

static int take_props(const cJSON *v, struct parsing *p)
{
    const cJSON *item, *cards = cJSON_GetObjectItemCaseSensitive(v, "attachments");
    int rc;

    if (!cJSON_IsObject(v))
        return wrong(p, v, "an object");
    rc = cards && !cJSON_IsNull(cards) ? gw_cards_check(cards, p->err) : 0;
    if (rc)
        return rc;
    cJSON_ArrayForEach(item, v)
    {
        /* Where `attachments` is given too, that one counts. */
        if (p->a->props && cJSON_GetObjectItemCaseSensitive(p->a->props, item->string))
            continue;
        if (put_prop(p, item->string, item))
            return -ENOMEM;
    }
    return 0;
}

static int take_attachments(const cJSON *v, struct parsing *p)
{
    int rc = gw_cards_check(v, p->err);

    return rc ? rc : put_prop(p, "attachments", v);
}

/* They become a card behind the others, when those are known. */
static int take_buttons(const cJSON *v, struct parsing *p)
{
    return cJSON_IsArray(v) && !cJSON_GetArraySize(v) ? 0 : gw_buttons_card(v, &p->buttons, p->err);
}

static int add_buttons(struct parsing *p)
{
    cJSON *cards = cJSON_GetObjectItemCaseSensitive(p->a->props, "attachments");

    if (!p->buttons)
        return 0;
    if (!p->a->props && !(p->a->props = cJSON_CreateObject()))
        return -ENOMEM;
    if (!cards && !(cards = cJSON_AddArrayToObject(p->a->props, "attachments")))
        return -ENOMEM;
    if (cJSON_GetArraySize(cards) >= GW_CARDS_MAX)
        return mw_error_set(p->err, 1, "the answer has too many cards for its `buttons`");
    return mw_json_push(cards, take_ptr(p->buttons));
}

/* The file that an answer names, inside of the handler's folder. */
static int resolve_file(struct parsing *p, const char *given, char **ret)
{
    char path[PATH_MAX], folder[PATH_MAX];
    MW_AUTOFREE char *joined =
        given[0] == '/' ? strdup(given) : mw_asprintf("%s/%s", p->folder, given);
    size_t n;

    if (!joined)
        return -ENOMEM;
    if (!realpath(joined, path))
        return mw_error_set(p->err, 1, "the file %s of the answer: %s", given, strerror(errno));
    if (!realpath(p->folder, folder))
        return mw_error_set(p->err, 1, "the folder %s: %s", p->folder, strerror(errno));
    n = strlen(folder);
    if (n > 1 && (strncmp(path, folder, n) != 0 || path[n] != '/'))
        return mw_error_set(
            p->err, 1, "the file %s of the answer is not in the handler's folder (workdir)", given);
    return gw_attach_check(p->config, path, ret, p->err);
}

static int take_files(const cJSON *v, struct parsing *p)
{
    const cJSON *item;
    int n = 0, rc = 0;

    if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) > GW_ANSWER_FILES_MAX)
        return wrong(p, v, "a list of at most 10 paths");
    if (!cJSON_GetArraySize(v))
        return 0;
    p->a->files = calloc((size_t)cJSON_GetArraySize(v) + 1, sizeof(char *));
    if (!p->a->files)
        return -ENOMEM;
    cJSON_ArrayForEach(item, v)
    {
        if (!cJSON_IsString(item) || !item->valuestring[0])
            return wrong(p, v, "a list of paths");
        rc = resolve_file(p, item->valuestring, &p->a->files[n]);
        if (rc)
            return rc;
        n++;
    }
    return 0;
}

static int take_reactions(const cJSON *v, struct parsing *p)
{
    const cJSON *item;
    int n = 0;

    if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) > GW_ANSWER_FILES_MAX)
        return wrong(p, v, "a list of at most 10 names of emoji");
    p->a->reactions = calloc((size_t)cJSON_GetArraySize(v) + 1, sizeof(char *));
    if (!p->a->reactions)
        return -ENOMEM;
    cJSON_ArrayForEach(item, v)
    {
        const char *name = cJSON_IsString(item) ? item->valuestring : "";
        size_t len;

        name += *name == ':';
        len = strcspn(name, ":");
        if (!len || strcspn(name, " /\\") < len || name[len + (name[len] == ':')])
            return wrong(p, v, "a list of names of emoji, such as [\"tada\"]");
        p->a->reactions[n] = strndup(name, len);
        if (!p->a->reactions[n++])
            return -ENOMEM;
    }
    return 0;
}

static int take_ephemeral(const cJSON *v, struct parsing *p)
{
    if (!cJSON_IsBool(v))
        return wrong(p, v, "true or false");
    p->a->ephemeral = cJSON_IsTrue(v);
    return 0;
}

static int take_thread(const cJSON *v, struct parsing *p)
{
    static const struct {
        const char *word;
        enum gw_thread_place place;
    } places[] = {{"thread", GW_THREAD}, {"same", GW_THREAD_SAME}, {"channel", GW_THREAD_CHANNEL}};

    for (size_t i = 0; cJSON_IsString(v) && i < MW_ARRAY_LEN(places); i++) {
        if (!mw_streq(v->valuestring, places[i].word))
            continue;
        p->a->has_place = true;
        p->a->place = places[i].place;
        return 0;
    }
    return wrong(p, v, "\"thread\", \"same\" or \"channel\"");
}

static int take_none(const cJSON *v, struct parsing *p)
{
    return cJSON_IsBool(v) ? 0 : wrong(p, v, "true or false");
}

/* docs/answers.md tells the same. */
static const struct {
    const char *name;
    member_fn take;
} members[] = {
    {"text", take_text},           {"attachments", take_attachments},
    {"props", take_props},         {"files", take_files},
    {"reactions", take_reactions}, {"ephemeral", take_ephemeral},
    {"thread", take_thread},       {"none", take_none},
    {"buttons", take_buttons},
};

static int take_member(const cJSON *v, struct parsing *p)
{
    struct mw_nearest nearest = {.name = v->string};

    for (size_t i = 0; i < MW_ARRAY_LEN(members); i++) {
        if (mw_streq(v->string, members[i].name))
            return members[i].take(v, p);
        mw_nearest_offer(&nearest, members[i].name);
    }
    if (mw_nearest_get(&nearest))
        return mw_error_set(p->err, 1, "an answer has no `%s`; did you mean `%s`?", v->string,
                            mw_nearest_get(&nearest));
    return mw_error_set(p->err, 1,
                        "an answer has no `%s`; it may have text, attachments, props, files, "
                        "buttons, reactions, ephemeral, thread and none",
                        v->string);
}

int gw_answer_parse(const cJSON *json, const struct gw_config *config, const char *folder,
                    struct gw_answer *ret, struct mw_error *err)
{
    struct gw_answer a = {0};
    struct parsing p = {.config = config, .folder = folder, .a = &a, .err = err};
    const cJSON *item;
    int rc = 0;

    if (!cJSON_IsObject(json))
        return mw_error_set(err, 1, "an answer in JSON must be an object");
    cJSON_ArrayForEach(item, json)
    {
        if (cJSON_GetObjectItemCaseSensitive(json, item->string) != item)
            rc = mw_error_set(err, 1, "the answer has `%s` twice", item->string);
        else if (!cJSON_IsNull(item))
            rc = take_member(item, &p);
        if (rc)
            break;
    }
    if (!rc)
        rc = add_buttons(&p);
    cJSON_Delete(p.buttons);
    if (!rc && mw_json_bool(json, "none") && gw_answer_has_post(&a))
        rc = mw_error_set(err, 1, "the answer says `none`, but has something to post");
    if (!rc && a.ephemeral && a.files)
        rc = mw_error_set(err, 1, "an ephemeral answer cannot have files");
    if (rc) {
        gw_answer_deinit(&a);
        return rc;
    }
    *ret = a;
    return 0;
}
