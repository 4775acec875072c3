#include "handlers/acp_prompt.h"

#include <stdio.h>

#include "base/str.h"
#include "base/utf8.h"

/* Returns 0, 1 (cannot be read, or larger than max) or -ENOMEM. */
static int read_file(const char *path, size_t max, struct mw_buf *out)
{
    FILE *f = fopen(path, "re");
    char chunk[16384];
    size_t n;
    int r = f ? 0 : 1;

    while (f && r == 0 && (n = fread(chunk, 1, sizeof(chunk), f)) > 0) {
        if (out->len + n > max)
            r = 1;
        else
            r = mw_buf_append(out, chunk, n);
    }
    if (f && ferror(f))
        r = 1;
    if (f)
        (void)!fclose(f);
    return r;
}

static bool is_image(const char *mime)
{
    /* What agents can be expected to know; anything else is linked to. */
    static const char *const known[] = {"image/png", "image/jpeg", "image/gif", "image/webp"};

    for (size_t i = 0; i < MW_ARRAY_LEN(known); i++) {
        if (mw_streq(known[i], mime))
            return true;
    }
    return false;
}

static bool is_text(const char *mime)
{
    return mw_starts_with(mime, "text/") || mw_starts_with(mime, "application/json") ||
           mw_starts_with(mime, "application/xml") || mw_starts_with(mime, "application/yaml");
}

static int add_file(cJSON *content, const struct gw_turn_file *f,
                    const struct acp_agent_info *agent)
{
    const char *mime = f->mime ? f->mime : "";
    MW_AUTOBUF data = {0};
    int r = 1;

    if (!f->path) {
        mw_buf_printf(&data, "(%s%s is attached, but could not be fetched: %s)",
                      f->name[0] ? "The file " : "A file", f->name,
                      f->problem ? f->problem : "no reason is known");
        return mw_buf_error(&data) ? -ENOMEM : acp_add_text(content, mw_buf_str(&data));
    }
    if (agent->image && is_image(mime) && f->size <= ACP_MAX_IMAGE) {
        r = read_file(f->path, ACP_MAX_IMAGE, &data);
        if (r == 0)
            return acp_add_image(content, mime, mw_buf_str(&data), data.len);
    } else if (agent->embedded && is_text(mime) && f->size <= ACP_MAX_TEXT) {
        r = read_file(f->path, ACP_MAX_TEXT, &data);
        if (r == 0 && mw_utf8_valid(mw_buf_str(&data), data.len) &&
            strlen(mw_buf_str(&data)) == data.len)
            return acp_add_resource(content, f, mw_buf_str(&data));
    }
    return r < 0 ? r : acp_add_link(content, f);
}

cJSON *acp_prompt_content(const struct gw_turn *turn, const struct acp_agent_info *agent)
{
    MW_AUTOJSON *content = cJSON_CreateArray();

    if (!content || acp_add_text(content, turn->text ? turn->text : ""))
        return NULL;
    for (size_t i = 0; i < turn->n_files; i++) {
        if (add_file(content, &turn->files[i], agent))
            return NULL;
    }
    return take_ptr(content);
}
