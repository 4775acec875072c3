#include "handlers/http_codec.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/str.h"
#include "handlers/program.h"

int gw_http_sign(const char *secret, int64_t timestamp_s, const char *body, size_t len,
                 char ret[GW_SIGNATURE_SIZE])
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int mac_len = 0;
    MW_AUTOBUF signed_text = {0};

    mw_buf_printf(&signed_text, "v1:%lld:", (long long)timestamp_s);
    if (mw_buf_append(&signed_text, body, len) ||
        !HMAC(EVP_sha256(), secret, (int)strlen(secret), (unsigned char *)signed_text.data,
              signed_text.len, mac, &mac_len))
        return -ENOMEM;
    memcpy(ret, "v1=", 4);
    for (unsigned i = 0; i < 32; i++) {
        ret[3 + 2 * i] = "0123456789abcdef"[mac[i] >> 4];
        ret[4 + 2 * i] = "0123456789abcdef"[mac[i] & 15];
    }
    ret[GW_SIGNATURE_SIZE - 1] = '\0';
    return 0;
}

char *gw_http_event_key(const struct mw_event *ev)
{
    /* What has no object (a connection state) has its local number only. */
    if (!ev->object[0])
        return mw_asprintf("%s.event.%lld", ev->bot, (long long)ev->id);
    return mw_asprintf("%s.%s.%d.%lld", ev->bot, ev->object, (int)ev->kind,
                       (long long)ev->revision);
}

/* ---- The form of outgoing webhooks ---- */

static void put_escaped(struct mw_buf *b, const char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            strchr("-_.~", c))
            mw_buf_putc(b, *s);
        else if (c == ' ')
            mw_buf_putc(b, '+');
        else
            mw_buf_printf(b, "%%%02X", c);
    }
}

/* `files` of an event, a JSON array, as a list with commas. */
static int file_ids(const struct mw_event *ev, struct mw_buf *out)
{
    MW_AUTOJSON *ids = NULL;
    const cJSON *id;
    int rc = ev->files[0] ? mw_json_parse(ev->files, strlen(ev->files), &ids, NULL) : 0;

    if (rc == -ENOMEM)
        return rc;
    cJSON_ArrayForEach(id, ids)
    {
        if (cJSON_IsString(id))
            mw_buf_printf(out, "%s%s", out->len ? "," : "", id->valuestring);
    }
    return mw_buf_error(out);
}

/* The word that made the bot answer, as far as there is one: the mention at the beginning. */
static void trigger_word(const struct mw_event *ev, struct mw_buf *out)
{
    const char *s = ev->text + strspn(ev->text, " \t\r\n");

    if ((ev->flags & MW_EVENT_MENTION) && *s == '@')
        mw_buf_append(out, s, strcspn(s, " \t\r\n"));
}

int gw_http_form(struct mw_buf *b, const struct gw_turn *turn, const char *token)
{
    const struct mw_event *ev = turn->ev;
    MW_AUTOBUF files = {0}, word = {0};
    char seconds[32];
    /* In the order in which Mattermost encodes them. */
    const struct {
        const char *name, *value;
    } fields[] = {
        {"channel_id", ev->channel_id},
        {"channel_name", ev->channel_name},
        {"file_ids", (file_ids(ev, &files), mw_buf_str(&files))},
        {"post_id", ev->post_id},
        {"team_domain", ev->team_name},
        {"team_id", ev->team_id},
        {"text", ev->text},
        {"timestamp", seconds},
        {"token", token ? token : ""},
        {"trigger_word", (trigger_word(ev, &word), mw_buf_str(&word))},
        {"user_id", ev->user_id},
        {"user_name", ev->user_name},
    };

    snprintf(seconds, sizeof(seconds), "%lld", (long long)(ev->at / 1000));
    for (size_t i = 0; i < MW_ARRAY_LEN(fields); i++) {
        mw_buf_printf(b, "%s%s=", i ? "&" : "", fields[i].name);
        put_escaped(b, fields[i].value);
    }
    return mw_buf_error(&files) || mw_buf_error(&word) ? -ENOMEM : mw_buf_error(b);
}

/* ---- Answers ---- */

void gw_http_answer_deinit(struct gw_http_answer *a)
{
    mw_buf_deinit(&a->text);
    cJSON_Delete(a->json);
    *a = (struct gw_http_answer){0};
}

static bool is_type(const char *content_type, const char *type)
{
    size_t len = strlen(type);

    return !strncasecmp(content_type, type, len) &&
           (!content_type[len] || strchr("; \t", content_type[len]));
}

/* An answer of an outgoing webhook becomes one of ours. Returns 0 or -ENOMEM. */
static int from_webhook(cJSON *o)
{
    /* A bot's posts have its own name and picture; the rest is nothing that a post shows. */
    static const char *const dropped[] = {
        "username", "icon_url",           "icon_emoji",    "response_type", "type",
        "priority", "skip_slack_parsing", "goto_location", "trigger_id",    "props",
    };
    const char *kind = mw_json_str(o, "response_type");
    cJSON *props = cJSON_GetObjectItemCaseSensitive(o, "props");
    int rc = 0;

    if (cJSON_HasObjectItem(props, "attachments") && !cJSON_HasObjectItem(o, "attachments"))
        rc = mw_json_add(o, "attachments",
                         cJSON_DetachItemFromObjectCaseSensitive(props, "attachments"));
    if (!rc && kind && !cJSON_HasObjectItem(o, "thread")) {
        if (mw_streq(kind, "comment"))
            rc = mw_json_add_str(o, "thread", "thread");
        else if (mw_streq(kind, "post") || mw_streq(kind, "in_channel"))
            rc = mw_json_add_str(o, "thread", "channel");
        else if (mw_streq(kind, "ephemeral"))
            rc = mw_json_add_bool(o, "ephemeral", true);
    }
    for (size_t i = 0; i < MW_ARRAY_LEN(dropped); i++)
        cJSON_DeleteItemFromObjectCaseSensitive(o, dropped[i]);
    return rc;
}

static bool is_webhook(const cJSON *o)
{
    static const char *const members[] = {"response_type", "username", "icon_url", "props"};

    for (size_t i = 0; i < MW_ARRAY_LEN(members); i++) {
        if (mw_json_get(o, members[i]))
            return true;
    }
    return false;
}

static bool says_something(const cJSON *o)
{
    const cJSON *member;

    cJSON_ArrayForEach(member, o)
    {
        if (!cJSON_IsNull(member) && !(cJSON_IsString(member) && !member->valuestring[0]) &&
            !mw_streq(member->string, "thread"))
            return true;
    }
    return false;
}

static int read_json(enum gw_http_format format, const char *body, size_t len,
                     struct gw_http_answer *ret, struct mw_error *err)
{
    int rc = mw_json_parse(body, len, &ret->json, err);

    if (rc) {
        mw_error_prefix(err, "the answer is no JSON");
        return rc;
    }
    if (cJSON_IsNull(ret->json))
        return 0;
    if (!cJSON_IsObject(ret->json))
        return mw_error_set(err, -EINVAL, "the answer is JSON, but no object");
    if ((format == GW_HTTP_OUTGOING_WEBHOOK || is_webhook(ret->json)) && from_webhook(ret->json))
        return mw_error_set(err, -ENOMEM, "out of memory");
    if (says_something(ret->json))
        ret->end = GW_HANDLER_ANSWERED;
    return 0;
}

static int read_text(const char *body, size_t len, struct gw_http_answer *ret, struct mw_error *err)
{
    const char *text;

    if (gw_clean_text(body, len, &ret->text))
        return mw_error_set(err, -ENOMEM, "out of memory");
    text = mw_buf_str(&ret->text);
    if (text[strspn(text, " \t\r\n")])
        ret->end = GW_HANDLER_ANSWERED;
    return 0;
}

void gw_http_read(enum gw_http_format format, const char *content_type, const char *body,
                  size_t len, struct gw_http_answer *ret, struct mw_error *err)
{
    bool json = is_type(content_type, "application/json");
    int rc = 0;

    *ret = (struct gw_http_answer){.end = GW_HANDLER_EMPTY};
    while (len && strchr(" \t\r\n", *body)) {
        body++;
        len--;
    }
    if (!len)
        return;
    if (format == GW_HTTP_OUTGOING_WEBHOOK && !json && *body != '{')
        return; /* "ok": Mattermost looks for JSON, and posts nothing else */
    if (json || format == GW_HTTP_OUTGOING_WEBHOOK)
        rc = read_json(format, body, len, ret, err);
    else if (!content_type[0] || is_type(content_type, "text/plain") ||
             is_type(content_type, "text/markdown"))
        rc = read_text(body, len, ret, err);
    else
        rc = mw_error_set(err, -EINVAL,
                          "the answer is of type %.60s; it must be text/markdown, text/plain or "
                          "application/json",
                          content_type);
    if (rc)
        ret->end = GW_HANDLER_FAILED;
}
