#include "base/json.h"

#include <math.h>
#include <string.h>

#include "base/utf8.h"

/* cJSON does not tell lack of memory from bad input, so its allocations are watched. Set before
 * main: changing hooks while another thread uses cJSON would race. */
static _Thread_local bool out_of_memory;

static void *json_malloc(size_t size)
{
    void *p = malloc(size);

    out_of_memory |= !p;
    return p;
}

__attribute__((constructor)) static void watch_memory(void)
{
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = json_malloc, .free_fn = free});
}

/* cJSON strings end at NUL, so an escaped NUL would silently cut a message short. */
static const char *find_nul_escape(const char *data, size_t len)
{
    const char *p = data, *end = data + len;

    while (p < end && (p = memchr(p, '\\', (size_t)(end - p)))) {
        if (end - p >= 6 && memcmp(p, "\\u0000", 6) == 0)
            return p;
        p += 2;
    }
    return NULL;
}

int mw_json_parse(const char *data, size_t len, cJSON **ret, struct mw_error *err)
{
    const char *end = NULL, *nul;
    cJSON *tree;

    if (!mw_utf8_valid(data, len))
        return mw_error_set(err, -EINVAL, "invalid JSON: the text is not valid UTF-8");
    nul = find_nul_escape(data, len);
    if (nul)
        return mw_error_set(err, -EINVAL,
                            "invalid JSON at byte %zu: a string holds a NUL character",
                            (size_t)(nul - data));
    out_of_memory = false;
    tree = cJSON_ParseWithLengthOpts(data, len, &end, false);
    if (!tree) {
        size_t at = end && end >= data ? (size_t)(end - data) : 0;

        if (out_of_memory)
            return mw_error_set(err, -ENOMEM, "out of memory");
        return mw_error_set(err, -EINVAL, "invalid JSON at byte %zu", at < len ? at : len);
    }
    while (end < data + len && (*end == ' ' || *end == '\t' || *end == '\r' || *end == '\n'))
        end++;
    if (end < data + len) {
        cJSON_Delete(tree);
        return mw_error_set(err, -EINVAL, "invalid JSON at byte %zu: text after the value",
                            (size_t)(end - data));
    }
    *ret = tree;
    return 0;
}

const cJSON *mw_json_get(const cJSON *obj, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(obj, key);
}

const char *mw_json_str(const cJSON *obj, const char *key)
{
    const cJSON *item = mw_json_get(obj, key);

    return cJSON_IsString(item) ? item->valuestring : NULL;
}

const char *mw_json_str_or(const cJSON *obj, const char *key, const char *fallback)
{
    const char *s = mw_json_str(obj, key);

    return s ? s : fallback;
}

int64_t mw_json_i64(const cJSON *obj, const char *key, int64_t fallback)
{
    const cJSON *item = mw_json_get(obj, key);

    if (!cJSON_IsNumber(item) || isnan(item->valuedouble))
        return fallback;
    if (item->valuedouble >= 9223372036854775807.0)
        return INT64_MAX;
    if (item->valuedouble <= -9223372036854775808.0)
        return INT64_MIN;
    return (int64_t)item->valuedouble;
}

bool mw_json_bool(const cJSON *obj, const char *key)
{
    return cJSON_IsTrue(mw_json_get(obj, key));
}

const cJSON *mw_json_obj(const cJSON *obj, const char *key)
{
    const cJSON *item = mw_json_get(obj, key);

    return cJSON_IsObject(item) ? item : NULL;
}

const cJSON *mw_json_arr(const cJSON *obj, const char *key)
{
    const cJSON *item = mw_json_get(obj, key);

    return cJSON_IsArray(item) ? item : NULL;
}

int mw_json_add(cJSON *obj, const char *key, cJSON *item)
{
    if (item && cJSON_AddItemToObject(obj, key, item))
        return 0;
    cJSON_Delete(item);
    return -ENOMEM;
}

int mw_json_push(cJSON *arr, cJSON *item)
{
    if (item && cJSON_AddItemToArray(arr, item))
        return 0;
    cJSON_Delete(item);
    return -ENOMEM;
}

int mw_json_add_str(cJSON *obj, const char *key, const char *value)
{
    return mw_json_add(obj, key, value ? cJSON_CreateString(value) : cJSON_CreateNull());
}

int mw_json_add_i64(cJSON *obj, const char *key, int64_t value)
{
    return mw_json_add(obj, key, cJSON_CreateNumber((double)value));
}

int mw_json_add_bool(cJSON *obj, const char *key, bool value)
{
    return mw_json_add(obj, key, cJSON_CreateBool(value));
}

char *mw_json_print(const cJSON *value)
{
    return cJSON_PrintUnformatted(value);
}

int mw_json_write(struct mw_buf *b, const cJSON *value)
{
    MW_AUTOFREE char *text = mw_json_print(value);

    if (!text)
        return b->error ? b->error : (b->error = -ENOMEM);
    return mw_buf_puts(b, text);
}
