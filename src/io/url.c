#include "io/url.h"

#include <curl/curl.h>
#include <string.h>

#include "base/str.h"

static int code_of(CURLUcode code)
{
    return code == CURLUE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
}

/* Copies one part out of libcurl's memory; a part that is absent stays NULL. */
static int get_part(CURLU *u, CURLUPart part, unsigned flags, char **ret)
{
    char *text;
    CURLUcode code = curl_url_get(u, part, &text, flags);
    int r;

    switch (code) {
    case CURLUE_OK:
        r = mw_str_set(ret, text);
        if (part == CURLUPART_PASSWORD)
            explicit_bzero(text, strlen(text));
        curl_free(text);
        return r;
    case CURLUE_NO_SCHEME:
    case CURLUE_NO_USER:
    case CURLUE_NO_PASSWORD:
    case CURLUE_NO_PORT:
    case CURLUE_NO_QUERY:
        return 0;
    default:
        return code_of(code);
    }
}

static int split(CURLU *u, uint16_t default_port, struct mw_url *url)
{
    MW_AUTOFREE char *port = NULL, *path = NULL, *query = NULL;
    size_t len;
    int r;

    if ((r = get_part(u, CURLUPART_SCHEME, 0, &url->scheme)) < 0 ||
        (r = get_part(u, CURLUPART_USER, CURLU_URLDECODE, &url->user)) < 0 ||
        (r = get_part(u, CURLUPART_PASSWORD, CURLU_URLDECODE, &url->password)) < 0 ||
        (r = get_part(u, CURLUPART_HOST, 0, &url->host)) < 0 ||
        (r = get_part(u, CURLUPART_PORT, 0, &port)) < 0 ||
        (r = get_part(u, CURLUPART_PATH, 0, &path)) < 0 ||
        (r = get_part(u, CURLUPART_QUERY, 0, &query)) < 0)
        return r;
    if (!url->scheme || !url->host || !url->host[0])
        return -EINVAL;
    url->port_given = port != NULL;
    url->port = port ? (uint16_t)strtoul(port, NULL, 10) : default_port;
    len = strlen(url->host);
    if (url->host[0] == '[' && url->host[len - 1] == ']') {
        memmove(url->host, url->host + 1, len - 2);
        url->host[len - 2] = '\0';
    }
    url->target =
        mw_asprintf("%s%s%s", path && path[0] ? path : "/", query ? "?" : "", query ? query : "");
    return url->target ? 0 : -ENOMEM;
}

int mw_url_parse(const char *text, uint16_t default_port, struct mw_url *ret)
{
    struct mw_url url = {0};
    CURLU *u = curl_url();
    CURLUcode code;
    int r;

    if (!u)
        return -ENOMEM;
    code = curl_url_set(u, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME);
    r = code == CURLUE_OK ? split(u, default_port, &url) : code_of(code);
    curl_url_cleanup(u);
    if (r < 0) {
        mw_url_deinit(&url);
        return r;
    }
    *ret = url;
    return 0;
}

void mw_url_deinit(struct mw_url *url)
{
    free(url->scheme);
    free(url->user);
    mw_secret_free(url->password);
    free(url->host);
    free(url->target);
    *url = (struct mw_url){0};
}
