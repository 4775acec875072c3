#include "mattermost/frame.h"

#include <ctype.h>
#include <string.h>

#include "base/str.h"

static const struct {
    const char *name;
    enum mm_frame_event event;
} events[] = {
    {"posted", MM_FRAME_POSTED},
    {"post_edited", MM_FRAME_POST_EDITED},
    {"post_deleted", MM_FRAME_POST_DELETED},
    {"reaction_added", MM_FRAME_REACTION_ADDED},
    {"reaction_removed", MM_FRAME_REACTION_REMOVED},
    {"typing", MM_FRAME_TYPING},
    {"hello", MM_FRAME_HELLO},
    {"channel_created", MM_FRAME_CHANNEL_CREATED},
    {"channel_updated", MM_FRAME_CHANNEL_UPDATED},
    {"channel_converted", MM_FRAME_CHANNEL_CONVERTED},
    {"channel_deleted", MM_FRAME_CHANNEL_DELETED},
    {"channel_restored", MM_FRAME_CHANNEL_RESTORED},
    {"direct_added", MM_FRAME_DIRECT_ADDED},
    {"group_added", MM_FRAME_GROUP_ADDED},
    {"user_added", MM_FRAME_USER_ADDED},
    {"user_removed", MM_FRAME_USER_REMOVED},
    {"user_updated", MM_FRAME_USER_UPDATED},
    {"added_to_team", MM_FRAME_ADDED_TO_TEAM},
    {"leave_team", MM_FRAME_LEAVE_TEAM},
    {"update_team", MM_FRAME_UPDATE_TEAM},
};

static enum mm_frame_event find_event(const char *name, size_t len)
{
    for (size_t i = 0; i < MW_ARRAY_LEN(events); i++)
        if (strlen(events[i].name) == len && memcmp(events[i].name, name, len) == 0)
            return events[i].event;
    return MM_FRAME_OTHER;
}

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && strchr(" \t\r\n", *p) && *p)
        p++;
    return p;
}

static const char *skip_text(const char *p, const char *end, const char *text)
{
    size_t n = strlen(text);

    p = skip_space(p, end);
    return (size_t)(end - p) >= n && memcmp(p, text, n) == 0 ? p + n : NULL;
}

/* The name when the frame begins with {"event":"NAME", as every server writes it. */
static bool peek_event(const char *data, const char *end, const char **ret, size_t *ret_len)
{
    const char *p = skip_text(data, end, "{"), *q;

    if (!p || !(p = skip_text(p, end, "\"event\"")) || !(p = skip_text(p, end, ":")) ||
        !(p = skip_text(p, end, "\"")))
        return false;
    for (q = p; q < end && (islower((unsigned char)*q) || *q == '_' || isdigit((unsigned char)*q));
         q++)
        ;
    if (q == end || *q != '"')
        return false;
    *ret = p;
    *ret_len = (size_t)(q - p);
    return true;
}

/* The number when the frame ends with ,"seq":N}. That can only be a member of the outermost object:
 * the last brace closes it, and the comma in front of the quote keeps it from being the end of
 * another key. */
static bool peek_seq(const char *data, const char *end, int64_t *ret)
{
    static const char key[] = ",\"seq\":";
    const char *p, *q;
    int64_t seq = 0;

    while (end > data && strchr(" \t\r\n", end[-1]))
        end--;
    if (end == data || end[-1] != '}')
        return false;
    q = p = end - 1;
    while (p > data && isdigit((unsigned char)p[-1]))
        p--;
    if (p == q || q - p > 15)
        return false;
    for (const char *d = p; d < q; d++)
        seq = seq * 10 + (*d - '0');
    while (p > data && p[-1] == ' ')
        p--;
    if ((size_t)(p - data) < sizeof(key) - 1)
        return false;
    /* Newer servers put spaces behind comma and colon. */
    if (memcmp(p - (sizeof(key) - 1), key, sizeof(key) - 1) != 0 &&
        ((size_t)(p - data) < sizeof(key) ||
         memcmp(p - sizeof(key), ", \"seq\":", sizeof(key)) != 0))
        return false;
    *ret = seq;
    return true;
}

int mm_json_parse(const char *data, size_t len, cJSON **ret, struct mw_error *err)
{
    MW_AUTOFREE char *copy = NULL;
    int r = mw_json_parse(data, len, ret, NULL);

    if (r == 0)
        return 0;
    if (r == -ENOMEM)
        return mw_error_set(err, r, "out of memory");
    copy = malloc(len + 1);
    if (!copy)
        return mw_error_set(err, -ENOMEM, "out of memory");
    memcpy(copy, data, len);
    copy[len] = '\0';
    for (size_t i = 0; i + 6 <= len; i++) {
        if (copy[i] != '\\')
            continue;
        if (memcmp(copy + i, "\\u0000", 6) == 0)
            memcpy(copy + i, "\\ufffd", 6);
        else
            i++;
    }
    return mw_json_parse(copy, len, ret, err);
}

int mm_frame_parse(const char *data, size_t len, struct mm_frame *ret, struct mw_error *err)
{
    struct mm_frame f = {.seq = -1, .seq_reply = -1};
    MW_AUTOJSON *tree = NULL;
    const char *name;
    size_t name_len;
    int r;

    if (peek_event(data, data + len, &name, &name_len) &&
        find_event(name, name_len) == MM_FRAME_OTHER && peek_seq(data, data + len, &f.seq)) {
        f.event = MM_FRAME_OTHER;
        *ret = f;
        return 0;
    }
    r = mm_json_parse(data, len, &tree, err);
    if (r < 0) {
        mw_error_prefix(err, "a WebSocket message of the server");
        return r;
    }
    name = mw_json_str(tree, "event");
    if (name) {
        f.event = find_event(name, strlen(name));
        f.seq = mw_json_i64(tree, "seq", -1);
        f.data = mw_json_obj(tree, "data");
        f.broadcast = mw_json_obj(tree, "broadcast");
        if (f.seq < 0)
            return mw_error_set(err, -EINVAL, "the server sent an event without a sequence number");
    } else {
        const char *status = mw_json_str(tree, "status");

        f.event = MM_FRAME_REPLY;
        f.seq_reply = mw_json_i64(tree, "seq_reply", -1);
        f.failed = !mw_streq(status, "OK");
        f.data = mw_json_obj(tree, "data");
        if (!status)
            return mw_error_set(err, -EINVAL,
                                "the server sent a message that is neither event nor reply");
    }
    f.tree = take_ptr(tree);
    *ret = f;
    return 0;
}

void mm_frame_deinit(struct mm_frame *f)
{
    if (!f)
        return;
    cJSON_Delete(f->tree);
    *f = (struct mm_frame){0};
}
