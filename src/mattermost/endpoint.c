#include "mattermost/endpoint.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

/* Bytes of "http://" or "https://" at the start, 0 = neither. */
static size_t scheme_len(const char *s)
{
    if (strncasecmp(s, "http://", 7) == 0)
        return 7;
    return strncasecmp(s, "https://", 8) == 0 ? 8 : 0;
}

static bool valid_port(const char *s, size_t len)
{
    unsigned long port = 0;

    if (len == 0 || len > 5)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)s[i]))
            return false;
        port = port * 10 + (unsigned long)(s[i] - '0');
    }
    return port > 0 && port < 65536;
}

/* "host", "host:port", "[v6]", "[v6]:port" */
static bool valid_authority(const char *s, size_t len)
{
    const char *end = s + len, *p = s;

    if (len > 0 && *s == '[') {
        p = memchr(s, ']', len);
        if (!p || p == s + 1)
            return false;
        for (const char *c = s + 1; c < p; c++)
            if (!isxdigit((unsigned char)*c) && *c != ':' && *c != '.')
                return false;
        p++;
    } else {
        while (p < end && (isalnum((unsigned char)*p) || strchr("-._", *p) || (*p & 0x80)))
            p++;
        if (p == s)
            return false;
    }
    return p == end || (*p == ':' && valid_port(p + 1, (size_t)(end - p) - 1));
}

int mm_endpoint_parse(const char *text, char **ret, struct mw_error *err)
{
    static const char api[] = "/api/v4";
    size_t scheme = scheme_len(text), len = strlen(text), host;
    char *copy;

    if (scheme == 0)
        return mw_error_set(err, -EINVAL,
                            "the endpoint must begin with https:// or http://, as in "
                            "https://mattermost.example.com");
    host = strcspn(text + scheme, "/?#");
    if (memchr(text + scheme, '@', host))
        return mw_error_set(err, -EINVAL,
                            "the endpoint must not hold a user name or password: use bot_token, "
                            "or login and password");
    if (!valid_authority(text + scheme, host))
        return mw_error_set(err, -EINVAL,
                            "the endpoint has no valid host name, as in "
                            "https://mattermost.example.com:8065/path");
    for (const char *p = text + scheme; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f || strchr("?#\\\"<>", *p))
            return mw_error_set(err, -EINVAL,
                                "the endpoint must be the plain address of the server, without "
                                "spaces, query or fragment");
    while (len > scheme && text[len - 1] == '/')
        len--;
    if (len - scheme > sizeof(api) - 1 &&
        memcmp(text + len - (sizeof(api) - 1), api, sizeof(api) - 1) == 0)
        len -= sizeof(api) - 1;
    while (len > scheme && text[len - 1] == '/')
        len--;
    copy = strndup(text, len);
    if (!copy)
        return mw_error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < scheme + host && copy[i]; i++)
        copy[i] = (char)tolower((unsigned char)copy[i]);
    *ret = copy;
    return 0;
}

bool mm_permalink_parse(const char *endpoint, const char *text, char *post_id)
{
    size_t scheme = scheme_len(text), len;
    const char *base = endpoint + scheme_len(endpoint), *pl = NULL;

    if (scheme) {
        len = strlen(base);
        if (strncasecmp(text + scheme, base, len) != 0 || text[scheme + len] != '/')
            return false;
        text += scheme + len;
    }
    for (const char *p = text; (p = strstr(p, "/pl/")); p++)
        pl = p + 4;
    if (!pl || strlen(pl) < MW_ID_LEN)
        return false;
    /* What a browser leaves behind the id. */
    if (pl[MW_ID_LEN] && !strchr("/?#", pl[MW_ID_LEN]))
        return false;
    for (int i = 0; i < MW_ID_LEN; i++)
        if (!isalnum((unsigned char)pl[i]))
            return false;
    memcpy(post_id, pl, MW_ID_LEN);
    post_id[MW_ID_LEN] = '\0';
    return true;
}

static bool read_name(const char *s, size_t len, char *ret, size_t size)
{
    if (len == 0 || len >= size)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];

        if (!isalnum(c) && !strchr("-_.", c))
            return false;
        ret[i] = (char)tolower(c);
    }
    ret[len] = '\0';
    return true;
}

int mm_ref_parse(const char *endpoint, const char *text, struct mm_ref *ret, struct mw_error *err)
{
    struct mm_ref ref = {.kind = MM_REF_NAME};
    const char *slash = strchr(text, '/');
    bool ok;

    if (mm_permalink_parse(endpoint, text, ref.id)) {
        ref.kind = MM_REF_PERMALINK;
        ok = true;
    } else if (mw_id_valid(text)) {
        ref.kind = MM_REF_ID;
        memcpy(ref.id, text, MW_ID_SIZE);
        ok = true;
    } else if (scheme_len(text)) {
        return mw_error_set(err, -EINVAL, "%s is no permalink of the server %s", text, endpoint);
    } else if (*text == '@') {
        ref.kind = MM_REF_USER;
        ok = read_name(text + 1, strlen(text + 1), ref.name, sizeof(ref.name));
    } else if (slash) {
        ref.kind = MM_REF_TEAM_NAME;
        slash += slash[1] == '~' || slash[1] == '#';
        ok = read_name(text, (size_t)(strchr(text, '/') - text), ref.team, sizeof(ref.team)) &&
             read_name(slash + 1, strlen(slash + 1), ref.name, sizeof(ref.name));
    } else {
        text += *text == '~' || *text == '#';
        ok = read_name(text, strlen(text), ref.name, sizeof(ref.name));
    }
    if (!ok)
        return mw_error_set(err, -EINVAL,
                            "\"%.80s\" is no channel: write its name, team/name, @user for a "
                            "direct message, an id or a permalink",
                            text);
    *ret = ref;
    return 0;
}
