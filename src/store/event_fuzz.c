/* Whatever is in an event's strings, its JSON form is one valid line that a parser reads back. */
#include "base/fuzz.h"
#include "base/str.h"
#include "base/utf8.h"
#include "store/event.h"

/* The next NUL-terminated piece of the input, "" at its end. */
static const char *piece(const char **at, const char *end)
{
    const char *s = *at;

    if (s >= end)
        return "";
    *at += strlen(s) + 1;
    return s;
}

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MW_AUTOFREE char *text = malloc(size + 1);
    MW_AUTOFREE struct mw_event *copy = NULL;
    MW_AUTOJSON *json = NULL;
    const char *at = text, *end = text + size;
    struct mw_event ev = {0};
    enum mw_event_kind kind;
    MW_AUTOBUF b = {0};

    mw_buf_init(&b, 0);
    require(text);
    memcpy(text, data, size);
    text[size] = '\0';
    ev.kind = mw_event_kind_parse(piece(&at, end), &kind) == 0 ? kind : MW_EVENT_POST;
    ev.flags = size;
    ev.id = (int64_t)size;
    ev.bot = piece(&at, end);
    ev.text = piece(&at, end);
    ev.user_name = piece(&at, end);
    ev.channel_name = piece(&at, end);

    copy = mw_event_dup(&ev);
    require(copy != NULL);
    require(mw_event_write_json(&b, copy, true) == 0);
    require(!strpbrk(mw_buf_str(&b), "\n\r"));
    require(mw_json_parse(b.data, b.len, &json, NULL) == 0);
    if (mw_utf8_valid(ev.text, strlen(ev.text)))
        require(mw_streq(mw_json_str_or(json, "text", ""), ev.text));
    return 0;
}
