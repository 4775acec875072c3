/* The values of the config: variables, paths, secret files, addresses, defaults. */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "gateway/config_internal.h"

#define VALUE_MAX  (64 * 1024) /* bytes of an expanded value */
#define SECRET_MAX 4096

char *gw_expand(struct gw_binder *b, struct gw_mark at, const char *text, size_t len)
{
    struct mw_buf out;
    size_t i = 0;
    char *result;
    bool bad = false;

    mw_buf_init(&out, VALUE_MAX);
    while (i < len) {
        size_t start, n = 0;
        bool braces;
        char name[128];
        const char *value;

        if (text[i] != '$') {
            mw_buf_putc(&out, text[i++]);
            continue;
        }
        if (i + 1 < len && text[i + 1] == '$') {
            mw_buf_putc(&out, '$');
            i += 2;
            continue;
        }
        braces = i + 1 < len && text[i + 1] == '{';
        start = i + 1 + braces;
        while (start + n < len &&
               (isalpha((unsigned char)text[start + n]) || text[start + n] == '_' ||
                (n && isdigit((unsigned char)text[start + n]))))
            n++;
        if (!n || n >= sizeof(name) || (braces && (start + n >= len || text[start + n] != '}'))) {
            gw_problem_add(b, at,
                           "`$` must be followed by the name of a variable ($NAME or ${NAME}); "
                           "write `$$` for a dollar sign");
            bad = true;
            break;
        }
        memcpy(name, text + start, n);
        name[n] = 0;
        i = start + n + braces;
        value = getenv(name);
        if (value) {
            mw_buf_puts(&out, value);
        } else {
            gw_problem_add(b, at, "the environment has no variable %s (export %s=... first)", name,
                           name);
            bad = true;
        }
    }
    if (mw_buf_error(&out) == -E2BIG) {
        gw_problem_add(b, at, "the value is longer than %d bytes", VALUE_MAX);
        bad = true;
    }
    result = bad ? NULL : mw_buf_take(&out);
    if (!result && !bad)
        b->error = -ENOMEM;
    mw_buf_deinit(&out);
    return result;
}

char *gw_absolute_path(struct gw_binder *b, const char *path)
{
    const char *home = getenv("HOME");
    char *result;

    if (path[0] == '/')
        result = strdup(path);
    else if (path[0] == '~' && (path[1] == '/' || !path[1]) && home)
        result = mw_asprintf("%s%s", home, path + 1);
    else if (strcmp(path, ".") == 0)
        result = strdup(b->dir);
    else
        result = mw_asprintf("%s/%s", strcmp(b->dir, "/") == 0 ? "" : b->dir,
                             mw_starts_with(path, "./") ? path + 2 : path);
    if (!result)
        b->error = -ENOMEM;
    return result;
}

/* Container runtimes mount secrets here, readable for everybody inside. */
static bool is_mounted_secret(const char *path)
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");

    return mw_starts_with(path, "/run/secrets/") ||
           (credentials && *credentials && mw_starts_with(path, credentials));
}

/* An open descriptor, or -1 with a problem. */
static int open_checked(struct gw_binder *b, struct gw_mark at, const char *path, bool private_file)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    if (fd < 0) {
        gw_problem_add(b, at, "cannot read %s: %s", path, strerror(errno));
        return -1;
    }
    if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode)) {
        gw_problem_add(b, at, "%s is not a file", path);
    } else if (private_file && (st.st_mode & (S_IWGRP | S_IRWXO)) && !is_mounted_secret(path)) {
        gw_problem_add(b, at, "other users can %s the secret file %s: chmod 600 %s",
                       st.st_mode & (S_IWGRP | S_IWOTH) ? "change" : "read", path, path);
    } else {
        return fd;
    }
    close(fd);
    return -1;
}

bool gw_file_check(struct gw_binder *b, struct gw_mark at, const char *path, bool private_file)
{
    int fd = open_checked(b, at, path, private_file);

    if (fd < 0)
        return false;
    close(fd);
    return true;
}

char *gw_secret_read(struct gw_binder *b, struct gw_mark at, const char *path)
{
    char text[SECRET_MAX + 1];
    char *secret = NULL;
    size_t len = 0;
    ssize_t n;
    int fd = open_checked(b, at, path, true);

    if (fd < 0)
        return NULL;
    while ((n = read(fd, text + len, sizeof(text) - len)) > 0)
        len += (size_t)n;
    if (n < 0)
        gw_problem_add(b, at, "cannot read %s: %s", path, strerror(errno));
    close(fd);
    while (len > 0 && n >= 0 && isspace((unsigned char)text[len - 1]))
        len--;
    if (n < 0)
        ;
    else if (len > SECRET_MAX)
        gw_problem_add(b, at, "%s is longer than %d bytes: that is no secret", path, SECRET_MAX);
    else if (len == 0)
        gw_problem_add(b, at, "%s is empty", path);
    else if (memchr(text, 0, len) || memchr(text, '\n', len))
        gw_problem_add(b, at, "%s has more than one line of text: it must hold the secret only",
                       path);
    else if (!(secret = strndup(text, len)))
        b->error = -ENOMEM;
    explicit_bzero(text, sizeof(text));
    return secret;
}

static bool host_valid(const char *host, size_t len)
{
    if (len >= 2 && host[0] == '[')
        return host[len - 1] == ']' && strspn(host + 1, "0123456789abcdefABCDEF:.") == len - 2;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)host[i]) && !strchr(".-_", host[i]) &&
            !((unsigned char)host[i] & 0x80))
            return false;
    return len > 0;
}

void gw_url_check(struct gw_binder *b, struct gw_mark at, const char *key, const char *url)
{
    const char *authority, *port, *colon;
    size_t len, host_len;

    if (mw_starts_with(url, "ws://") || mw_starts_with(url, "wss://")) {
        gw_problem_add(b, at, "`%s` must begin with https:// or http://: did you mean \"http%s\"?",
                       key, url + 2);
        return;
    }
    if (!mw_starts_with(url, "https://") && !mw_starts_with(url, "http://")) {
        if (strchr(url, '@')) /* maybe a password */
            gw_problem_add(b, at,
                           "`%s` must be the address of a server such as "
                           "https://mattermost.example.com",
                           key);
        else if (strstr(url, "://") || !host_valid(url, strcspn(url, ":/")))
            gw_problem_add(b, at,
                           "`%s` must be the address of a server such as "
                           "https://mattermost.example.com, not \"%s\"",
                           key, url);
        else
            gw_problem_add(b, at,
                           "`%s` must begin with https:// or http://: did you mean "
                           "\"https://%s\"?",
                           key, url);
        return;
    }
    authority = strstr(url, "://") + 3;
    len = strcspn(authority, "/?#");
    if (memchr(authority, '@', len)) {
        gw_problem_add(b, at,
                       "`%s` must not hold a user or password: use bot_token, or login and "
                       "password",
                       key);
        return;
    }
    if (strpbrk(authority, "?#") || strpbrk(url, " \t\r\n\\\"<>")) {
        gw_problem_add(b, at, "`%s` must be an address without query, fragment and spaces", key);
        return;
    }
    port = memchr(authority, ']', len);
    colon =
        memchr(port ? port : authority, ':', len - (size_t)((port ? port : authority) - authority));
    host_len = colon ? (size_t)(colon - authority) : len;
    if (!host_valid(authority, host_len)) {
        gw_problem_add(b, at, "`%s` has no valid host name: \"%.*s\"", key, (int)host_len,
                       authority);
        return;
    }
    if (colon) {
        size_t digits = len - host_len - 1;
        long n = strtol(colon + 1, NULL, 10);

        if (digits == 0 || digits > 5 || strspn(colon + 1, "0123456789") < digits || n < 1 ||
            n > 65535)
            gw_problem_add(b, at, "`%s` has no valid port: \"%.*s\"", key, (int)digits, colon + 1);
    }
}

static const char *env_or_null(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

char *gw_default_socket(void)
{
    const char *dir = env_or_null("XDG_RUNTIME_DIR");

    if (dir)
        return mw_asprintf("%s/matterwire.sock", dir);
    if (geteuid() == 0)
        return strdup(GW_SYSTEM_SOCKET);
    return mw_asprintf("/tmp/matterwire-%u/matterwire.sock", (unsigned)geteuid());
}

char *gw_default_database(void)
{
    const char *dir = env_or_null("XDG_STATE_HOME"), *home = env_or_null("HOME");

    if (dir)
        return mw_asprintf("%s/matterwire/state.db", dir);
    if (geteuid() == 0)
        return strdup("/var/lib/matterwire/state.db");
    return home ? mw_asprintf("%s/.local/state/matterwire/state.db", home) : NULL;
}
