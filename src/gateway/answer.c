#include "base/str.h"
#include "gateway/effect.h"
#include "gateway/internal.h"
#include "mattermost/split.h"

#define LONG_TEXT "The answer is too long for a message; it is in the attached file."
#define LONG_NAME "answer.md"

char *gw_part_key(const char *key, size_t n)
{
    return n ? mw_asprintf("%s.%zu", key, n) : strdup(key);
}

int gw_effect_add(struct mw_tx *tx, const struct gw_new_effect *e)
{
    MW_AUTOFREE char *text = mw_json_print(e->payload);

    if (!text)
        return -ENOMEM;
    const struct mw_outbox row = {
        .bot = e->bot,
        .key = e->key,
        .kind = e->kind,
        .conversation = e->conversation,
        .channel_id = e->channel_id,
        .payload = text,
        .event_id = e->event_id,
        .state = MW_OUTBOX_PENDING,
        .result_id = "",
        .error = "",
    };
    return mw_tx_outbox_add(tx, &row);
}

static int add_files(cJSON *payload, const struct gw_post *post, const char *inline_text)
{
    MW_AUTOJSON *files = cJSON_CreateArray();

    if (!files)
        return -ENOMEM;
    for (size_t i = 0; post->files && post->files[i]; i++) {
        const char *slash = strrchr(post->files[i], '/');
        MW_AUTOJSON *file = cJSON_CreateObject();

        if (!file || mw_json_add_str(file, "name", slash ? slash + 1 : post->files[i]) ||
            mw_json_add_str(file, "path", post->files[i]) || mw_json_push(files, take_ptr(file)))
            return -ENOMEM;
    }
    if (inline_text) {
        MW_AUTOJSON *file = cJSON_CreateObject();

        if (!file || mw_json_add_str(file, "name", LONG_NAME) ||
            mw_json_add_str(file, "inline", inline_text) || mw_json_push(files, take_ptr(file)))
            return -ENOMEM;
    }
    if (!cJSON_GetArraySize(files))
        return 0;
    return mw_json_add(payload, "files", take_ptr(files));
}

/* One row; files go with the last part. */
static int add_row(struct mw_tx *tx, const struct gw_post *post, size_t n, size_t parts,
                   const char *message, const char *inline_text)
{
    MW_AUTOFREE char *key = gw_part_key(post->key, n);
    MW_AUTOJSON *payload = cJSON_CreateObject();

    if (!key || !payload || mw_json_add_str(payload, "message", message) ||
        mw_json_add_str(payload, "root_id", post->root_id) ||
        mw_json_add_i64(payload, "parts", (int64_t)parts) ||
        (n && mw_json_add_i64(payload, "part", (int64_t)n)) ||
        (post->props && mw_json_add(payload, "props", cJSON_Duplicate(post->props, true))) ||
        (n + 1 == parts && add_files(payload, post, inline_text)))
        return -ENOMEM;
    return gw_effect_add(tx, &(struct gw_new_effect){.bot = post->bot,
                                                     .key = key,
                                                     .kind = "post",
                                                     .conversation = post->conversation,
                                                     .channel_id = post->channel_id,
                                                     .event_id = post->event_id,
                                                     .payload = payload});
}

int gw_post_add(struct mw_tx *tx, const struct gw_post *post, size_t *ret_parts)
{
    struct mm_parts parts = {0};
    size_t n;
    int rc = mm_split(post->text, post->max_chars, &parts);

    if (rc)
        return rc;
    n = parts.n;
    if (!n && ((post->files && post->files[0]) || post->props)) {
        n = 1;
        rc = add_row(tx, post, 0, 1, "", NULL);
    } else if (n > GW_MAX_PARTS && post->long_as_file) {
        n = 1;
        rc = add_row(tx, post, 0, 1, LONG_TEXT, post->text);
    } else {
        for (size_t i = 0; i < n && !rc; i++)
            rc = add_row(tx, post, i, n, parts.text[i], NULL);
    }
    mm_parts_deinit(&parts);
    if (!rc && ret_parts)
        *ret_parts = n;
    return rc;
}
