#include "sandbox/fields.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "base/str.h"

static bool field_is_empty(const struct sb_field *f, const void *at)
{
    switch (f->type) {
    case SB_STR: {
        const char *s = *(char *const *)at;

        return !s || !*s;
    }
    case SB_RAW: {
        const char *s = *(char *const *)at;

        return !s || strcmp(s, "{}") == 0 || strcmp(s, "[]") == 0;
    }
    case SB_CHARS:
        return *(const char *)at == '\0';
    case SB_I64:
        return *(const int64_t *)at == 0;
    case SB_BOOL:
        return !*(const bool *)at;
    case SB_CONST:
        return false;
    }
    return false;
}

static bool field_is_wanted(const struct sb_field *f, unsigned view)
{
    if (view & SB_VIEW_STORE)
        return f->type != SB_CONST && !(f->flags & SB_WIRE);
    if (f->flags & SB_KEEP)
        return false;
    if ((f->flags & SB_NEW) && (view & SB_VIEW_OLD))
        return false;
    if ((f->flags & SB_OLD) && !(view & SB_VIEW_OLD))
        return false;
    return !(f->flags & SB_OWN) || (view & SB_VIEW_OWN);
}

void sb_write_fields(struct mw_buf *b, const struct sb_field *fields, const void *obj,
                     unsigned view)
{
    bool first = true;

    for (const struct sb_field *f = fields; f->key; f++) {
        const void *at = (const char *)obj + f->offset;
        const char *s;

        if (!field_is_wanted(f, view))
            continue;
        if (((f->flags & SB_OMIT) || (view & SB_VIEW_STORE)) && field_is_empty(f, at))
            continue;
        if (!first)
            mw_buf_putc(b, ',');
        first = false;
        mw_buf_putc(b, '"');
        mw_buf_puts(b, f->key);
        mw_buf_append(b, "\":", 2);
        switch (f->type) {
        case SB_STR:
            s = *(char *const *)at;
            mw_buf_put_json_string(b, s ? s : "");
            break;
        case SB_CHARS: /* an id: nothing in it needs an escape */
            mw_buf_putc(b, '"');
            mw_buf_puts(b, at);
            mw_buf_putc(b, '"');
            break;
        case SB_I64: {
            char num[24];
            int n = snprintf(num, sizeof(num), "%" PRId64, *(const int64_t *)at);

            mw_buf_append(b, num, (size_t)n);
            break;
        }
        case SB_BOOL:
            mw_buf_puts(b, *(const bool *)at ? "true" : "false");
            break;
        case SB_RAW:
            s = *(char *const *)at;
            mw_buf_puts(b, s ? s : f->text);
            break;
        case SB_CONST:
            mw_buf_puts(b, f->text);
            break;
        }
    }
}

void sb_write_object(struct mw_buf *b, const struct sb_field *fields, const void *obj,
                     unsigned view)
{
    mw_buf_putc(b, '{');
    sb_write_fields(b, fields, obj, view);
    mw_buf_putc(b, '}');
}

static int read_field(const struct sb_field *f, void *at, const cJSON *json)
{
    const cJSON *v = mw_json_get(json, f->key);

    if (!v)
        return 0;
    switch (f->type) {
    case SB_STR:
        return cJSON_IsString(v) ? mw_str_set(at, v->valuestring) : 0;
    case SB_CHARS:
        if (cJSON_IsString(v) && strlen(v->valuestring) < MW_ID_SIZE)
            memcpy(at, v->valuestring, strlen(v->valuestring) + 1);
        return 0;
    case SB_I64:
        *(int64_t *)at = mw_json_i64(json, f->key, *(int64_t *)at);
        return 0;
    case SB_BOOL:
        if (cJSON_IsBool(v))
            *(bool *)at = cJSON_IsTrue(v);
        return 0;
    case SB_RAW: {
        char *text = mw_json_print(v);

        if (!text)
            return -ENOMEM;
        free(*(char **)at);
        *(char **)at = text;
        return 0;
    }
    case SB_CONST:
        return 0;
    }
    return 0;
}

int sb_read_fields(const struct sb_field *fields, void *obj, const cJSON *json)
{
    for (const struct sb_field *f = fields; f->key; f++) {
        int r = f->type == SB_CONST ? 0 : read_field(f, (char *)obj + f->offset, json);

        if (r < 0)
            return r;
    }
    return 0;
}

void sb_free_fields(const struct sb_field *fields, void *obj)
{
    for (const struct sb_field *f = fields; f->key; f++) {
        char **slot = (char **)((char *)obj + f->offset);

        if (f->type == SB_STR || f->type == SB_RAW) {
            free(*slot);
            *slot = NULL;
        }
    }
}

void sb_put_str(struct mw_buf *b, const char *key, const char *value)
{
    mw_buf_putc(b, '"');
    mw_buf_puts(b, key);
    mw_buf_append(b, "\":", 2);
    mw_buf_put_json_string(b, value ? value : "");
}
