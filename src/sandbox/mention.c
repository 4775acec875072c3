#include "sandbox/mention.h"

#include <ctype.h>
#include <string.h>

static bool is_word(unsigned char c)
{
    return isalnum(c) || c >= 0x80 || strchr(":.-_@", c) != NULL;
}

/* The message with code spans and blocks blanked out. */
static int without_code(struct mw_buf *b, const char *text)
{
    while (*text) {
        size_t ticks = strspn(text, "`");

        if (ticks) {
            const char *end = text + ticks;

            /* The same number of ticks closes it. */
            while ((end = strchr(end, '`')) && strspn(end, "`") != ticks)
                end += strspn(end, "`");
            if (end) {
                mw_buf_putc(b, ' ');
                text = end + ticks;
                continue;
            }
            mw_buf_append(b, text, ticks);
            text += ticks;
            continue;
        }
        mw_buf_append(b, text, strcspn(text, "`"));
        text += strcspn(text, "`");
    }
    return mw_buf_error(b);
}

static bool try_parts(char *word, bool (*found)(const char *word, void *arg), void *arg)
{
    char *save = NULL;
    bool any = false;

    for (char *part = strtok_r(word, ".-:", &save); part; part = strtok_r(NULL, ".-:", &save))
        any = found(part, arg) || any;
    return any;
}

static void try_word(char *word, bool (*found)(const char *word, void *arg), void *arg)
{
    size_t len = strlen(word);

    if (found(word, arg))
        return;
    while (len && strchr(".-:_", word[len - 1])) {
        word[--len] = '\0';
        if (len && found(word, arg))
            return;
    }
    if (len && word[0] != '@')
        try_parts(word, found, arg);
}

int sb_mentions(const char *text, bool (*found)(const char *word, void *arg), void *arg)
{
    MW_AUTOBUF plain = {0};
    char *p;
    int r;

    if (!strchr(text, '@'))
        return 0;
    r = without_code(&plain, text);
    if (r < 0)
        return r;
    for (p = plain.data; p && *p;) {
        char *end = p, kept;

        while (*end && is_word((unsigned char)*end)) {
            *end = (char)tolower((unsigned char)*end);
            end++;
        }
        if (end == p) {
            p++;
            continue;
        }
        kept = *end;
        *end = '\0';
        if (strchr(p, '@'))
            try_word(p, found, arg);
        if (!kept)
            break;
        p = end + 1;
    }
    return 0;
}

static bool is_tag(unsigned char c)
{
    return isalnum(c) || c >= 0x80 || c == '-' || c == '_' || c == '.';
}

void sb_hashtags(struct mw_buf *b, const char *text)
{
    size_t start = b->len;

    for (const char *p = strchr(text, '#'); p; p = strchr(p + 1, '#')) {
        size_t n = 1;

        if (p > text && !isspace((unsigned char)p[-1]))
            continue;
        while (is_tag((unsigned char)p[n]))
            n++;
        while (n > 1 && strchr("-_.", p[n - 1]))
            n--;
        if (n < 4 || !(isalpha((unsigned char)p[1]) || (unsigned char)p[1] >= 0x80) ||
            b->len - start + n >= 1000)
            continue;
        if (b->len > start)
            mw_buf_putc(b, ' ');
        mw_buf_append(b, p, n);
    }
}
