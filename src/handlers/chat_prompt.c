#include "handlers/chat_prompt.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include "base/str.h"
#include "base/utf8.h"
#include "gateway/effect.h"

#define MAX_IMAGE  (8 * 1024 * 1024)
#define MAX_IMAGES (16 * 1024 * 1024) /* all of a turn */
#define MAX_TEXT   (64 * 1024)        /* of a file that is shown */
#define MAX_TEXTS  (256 * 1024)

struct gw_chat_place gw_chat_place(const struct gw_turn *turn)
{
    const struct mw_event *ev = turn->ev;

    if (ev->root_id[0])
        return (struct gw_chat_place){.root_id = ev->root_id};
    /* The messages of a direct channel are one conversation; elsewhere a post that is answered by a
     * thread of its own begins one. */
    if (ev->channel_id[0] && ((ev->flags & MW_EVENT_DIRECT) || !turn->root_id[0]))
        return (struct gw_chat_place){.channel_id = ev->channel_id};
    return (struct gw_chat_place){0};
}

/* ---- What was said before ---- */

static const char *name_of(const cJSON *event)
{
    const char *name = mw_json_str_or(event, "user_name", "");

    return name[0] ? name : mw_json_str_or(event, "user_id", "somebody");
}

static const char *text_of(const cJSON *event)
{
    const char *text = mw_json_str_or(event, "text", "");

    return text[0] || !mw_json_arr(event, "files") ? text : "(a file)";
}

/* Of several messages that are one turn, the earlier ones are also among the posts. */
static bool in_turn(const struct gw_turn *turn, const cJSON *event)
{
    return strlen(turn->text) > strlen(turn->ev->text) &&
           mw_streq(mw_json_str(event, "user_id"), turn->ev->user_id) &&
           strstr(turn->text, mw_json_str_or(event, "text", ""));
}

/* What an earlier attempt at this very turn left behind. */
static bool is_attempt(const struct gw_turn *turn, const cJSON *event)
{
    const cJSON *props = mw_json_obj(mw_json_obj(event, "raw"), "props");

    return turn->key && mw_starts_with(mw_json_str_or(props, GW_KEY_PROP, ""), turn->key);
}

static bool belongs(const struct gw_chat_prompt *p, const cJSON *event)
{
    const struct mw_event *ev = p->turn->ev;
    int64_t at = mw_json_i64(event, "at", 0);
    bool own = mw_json_bool(event, "own");

    if (!mw_streq(mw_json_str(event, "kind"), "post") || mw_json_bool(event, "system") ||
        mw_streq(mw_json_str(event, "post_id"), ev->post_id) || at < p->since)
        return false;
    /* What people wrote since is for the next turns; an answer to what they wrote before may come
     * late. */
    if (own && is_attempt(p->turn, event))
        return false;
    return text_of(event)[0] && (own || (at <= ev->at && !in_turn(p->turn, event)));
}

static size_t cost(const cJSON *event)
{
    return strlen(text_of(event)) + strlen(name_of(event)) + 2;
}

/* Adds to the last message when it has the same role. */
static int say(cJSON *messages, const char *role, const char *name, const char *text)
{
    cJSON *last = cJSON_GetArrayItem(messages, cJSON_GetArraySize(messages) - 1);
    bool joins = mw_streq(mw_json_str(last, "role"), role);
    MW_AUTOFREE char *content =
        mw_asprintf("%s%s%s%s%s", joins ? mw_json_str_or(last, "content", "") : "",
                    joins ? "\n\n" : "", name ? name : "", name ? ": " : "", text);
    cJSON *item = content ? cJSON_CreateString(content) : NULL;
    MW_AUTOJSON *message = NULL;

    if (!item)
        return -ENOMEM;
    if (joins) {
        if (cJSON_ReplaceItemInObjectCaseSensitive(last, "content", item))
            return 0;
        cJSON_Delete(item);
        return -ENOMEM;
    }
    message = cJSON_CreateObject();
    if (!message || mw_json_add_str(message, "role", role)) {
        cJSON_Delete(item);
        return -ENOMEM;
    }
    if (mw_json_add(message, "content", item))
        return -ENOMEM;
    return mw_json_push(messages, take_ptr(message));
}

/* Newest first, whole posts, as far as there is room; then in order. */
static int add_before(const struct gw_chat_prompt *p, cJSON *messages)
{
    const cJSON *first = p->before ? p->before->child : NULL, *event;
    size_t left = p->max_before;
    int rc = 0;

    if (!first)
        return 0;
    for (event = first->prev; event; event = event == first ? NULL : event->prev) {
        if (!belongs(p, event))
            continue;
        if (cost(event) > left)
            break;
        left -= cost(event);
    }
    for (event = event ? event->next : first; event && !rc; event = event->next) {
        if (!belongs(p, event))
            continue;
        /* Behind a reset comes our word about it, and perhaps a late answer to what is forgotten.
         */
        if (p->since && mw_json_bool(event, "own") && cJSON_GetArraySize(messages) == 1)
            continue;
        if (mw_json_bool(event, "own"))
            rc = say(messages, "assistant", NULL, text_of(event));
        else
            rc = say(messages, "user", name_of(event), text_of(event));
    }
    return rc;
}

/* ---- Files ---- */

/* Returns 0, 1 (it cannot be read or is larger than max), or -ENOMEM. */
static int read_whole(const char *path, size_t max, struct mw_buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int rc = 0;

    if (fd < 0)
        return 1;
    for (;;) {
        char *room = mw_buf_reserve(out, 65536);
        ssize_t n = room ? read(fd, room, 65536) : -1;

        if (!room)
            rc = -ENOMEM;
        else if (n < 0 && errno == EINTR)
            continue;
        else if (n < 0 || out->len + (size_t)n > max)
            rc = 1;
        if (rc || n <= 0)
            break;
        mw_buf_commit(out, (size_t)n);
    }
    close(fd);
    return rc;
}

static bool is_image(const char *mime)
{
    static const char *const types[] = {"image/png", "image/jpeg", "image/gif", "image/webp"};

    for (size_t i = 0; i < MW_ARRAY_LEN(types); i++) {
        if (mime && !strcasecmp(mime, types[i]))
            return true;
    }
    return false;
}

/* {"type":"image_url","image_url":{"url":"data:..."}} */
static cJSON *image_part(const char *mime, const struct mw_buf *data)
{
    MW_AUTOJSON *part = cJSON_CreateObject(), *url = cJSON_CreateObject();
    MW_AUTOBUF text = {0};
    size_t size = 4 * ((data->len + 2) / 3);
    char *room;

    mw_buf_printf(&text, "data:%s;base64,", mime);
    room = mw_buf_reserve(&text, size + 1);
    if (!part || !url || !room)
        return NULL;
    EVP_EncodeBlock((unsigned char *)room, (const unsigned char *)data->data, (int)data->len);
    mw_buf_commit(&text, size);
    if (mw_json_add_str(url, "url", mw_buf_str(&text)) ||
        mw_json_add_str(part, "type", "image_url") || mw_json_add(part, "image_url", take_ptr(url)))
        return NULL;
    return take_ptr(part);
}

struct files {
    cJSON *images; /* parts */
    size_t image_bytes, text_bytes;
    struct mw_buf text; /* what is said of the others */
};

static int add_image(struct files *f, const struct gw_turn_file *file, bool *ret_done)
{
    MW_AUTOBUF data = {0};
    int rc = read_whole(file->path, MW_MIN(MAX_IMAGE, MAX_IMAGES - f->image_bytes), &data);

    if (rc)
        return rc < 0 ? rc : 0;
    *ret_done = true;
    f->image_bytes += data.len;
    return mw_json_push(f->images, image_part(file->mime, &data));
}

static int add_text(struct files *f, const struct gw_turn_file *file, bool *ret_done)
{
    MW_AUTOBUF data = {0};
    int rc = read_whole(file->path, MW_MIN(MAX_TEXT, MAX_TEXTS - f->text_bytes), &data);

    if (rc || memchr(mw_buf_str(&data), '\0', data.len) ||
        !mw_utf8_valid(mw_buf_str(&data), data.len))
        return rc < 0 ? rc : 0;
    *ret_done = true;
    f->text_bytes += data.len;
    return mw_buf_printf(&f->text, "\n\n[file %s]\n%s\n[end of file %s]", file->name,
                         mw_buf_str(&data), file->name);
}

static int add_files(const struct gw_turn *turn, struct files *f)
{
    for (size_t i = 0; i < turn->n_files; i++) {
        const struct gw_turn_file *file = &turn->files[i];
        bool done = false;
        int rc = 0;

        if (file->path && is_image(file->mime))
            rc = add_image(f, file, &done);
        else if (file->path)
            rc = add_text(f, file, &done);
        if (!rc && !done)
            rc = mw_buf_printf(&f->text, "\n\n[file %s, %s, %lld bytes: %s]",
                               file->name[0] ? file->name : "of unknown name",
                               file->mime && file->mime[0] ? file->mime : "unknown type",
                               (long long)file->size,
                               file->path      ? "its content is not shown here"
                               : file->problem ? file->problem
                                               : "it could not be fetched");
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- The turn ---- */

/* With images the content is a list of parts: the text, then the images. */
static int attach_images(cJSON *messages, cJSON *images)
{
    cJSON *last = cJSON_GetArrayItem(messages, cJSON_GetArraySize(messages) - 1);
    MW_AUTOJSON *text = cJSON_CreateObject();

    if (!text || mw_json_add_str(text, "type", "text") ||
        mw_json_add_str(text, "text", mw_json_str_or(last, "content", "")) ||
        !cJSON_InsertItemInArray(images, 0, text)) {
        cJSON_Delete(images);
        return -ENOMEM;
    }
    text = NULL;
    if (!cJSON_ReplaceItemInObjectCaseSensitive(last, "content", images)) {
        cJSON_Delete(images);
        return -ENOMEM;
    }
    return 0;
}

static int add_turn(const struct gw_turn *turn, cJSON *messages)
{
    const struct mw_event *ev = turn->ev;
    struct files files = {.images = cJSON_CreateArray()};
    MW_AUTOFREE char *content = NULL;
    int rc = files.images ? add_files(turn, &files) : -ENOMEM;

    if (!rc && ev->kind == MW_EVENT_POST)
        content = mw_asprintf("%s%s", turn->text, mw_buf_str(&files.text));
    else if (!rc)
        content = mw_asprintf("[%s] %s", mw_event_kind_name(ev->kind), turn->text);
    if (!content || say(messages, "user", ev->user_name[0] ? ev->user_name : "somebody", content))
        rc = -ENOMEM;
    if (!rc && cJSON_GetArraySize(files.images))
        rc = attach_images(messages, take_ptr(files.images));
    cJSON_Delete(files.images);
    mw_buf_deinit(&files.text);
    return rc;
}

/* One line: who the model is, and where. */
static int add_system(const struct gw_chat_prompt *p, cJSON *messages)
{
    const struct mw_event *ev = p->turn->ev;
    MW_AUTOBUF b = {0};

    if (p->system && p->system[0])
        mw_buf_printf(&b, "%s\n\n", p->system);
    mw_buf_puts(&b, "You are ");
    if (p->bot[0])
        mw_buf_printf(&b, "@%s, ", p->bot);
    mw_buf_puts(&b, "a bot on the chat server Mattermost, ");
    if (ev->flags & MW_EVENT_DIRECT)
        mw_buf_puts(&b, "in a direct message with one person");
    else if (ev->flags & MW_EVENT_GROUP)
        mw_buf_puts(&b, "in a group message");
    else
        mw_buf_printf(&b, "in the channel %s%s%s", ev->channel_name,
                      ev->team_name[0] ? " of the team " : "", ev->team_name);
    mw_buf_puts(&b, ". What people wrote begins with their user name and a colon; your own answers "
                    "do not. Answer in Markdown.");
    if (mw_buf_error(&b))
        return -ENOMEM;
    return say(messages, "system", NULL, mw_buf_str(&b));
}

int gw_chat_messages(const struct gw_chat_prompt *p, cJSON **ret)
{
    MW_AUTOJSON *messages = cJSON_CreateArray();

    if (!messages || add_system(p, messages) || add_before(p, messages) ||
        add_turn(p->turn, messages))
        return -ENOMEM;
    *ret = take_ptr(messages);
    return 0;
}
