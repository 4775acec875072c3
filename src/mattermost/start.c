/* What has to be known before anything else: who we are, and the server's version and limits. */
#include <string.h>

#include "base/str.h"
#include "mattermost/client_impl.h"

static void free_start(struct mm_op *op)
{
    free(op);
}

/* The values of the client config are all strings, numbers and booleans too. */
static int64_t config_i64(const cJSON *config, const char *key, int64_t fallback)
{
    const char *s = mw_json_str(config, key);
    char *end;
    long long v;

    if (!s || !*s)
        return fallback;
    v = strtoll(s, &end, 10);
    return *end == '\0' && v > 0 ? (int64_t)v : fallback;
}

static int read_config(struct mm_client *c, const cJSON *config)
{
    const char *version = mw_json_str_or(config, "Version", "");

    c->max_post_chars = (size_t)config_i64(config, "MaxPostSize", (int64_t)c->max_post_chars);
    c->max_file_bytes = config_i64(config, "MaxFileSize", c->max_file_bytes);
    c->file_attachments = !mw_streq(mw_json_str(config, "EnableFileAttachments"), "false");
    if (mw_str_set(&c->site_url, mw_json_str_or(config, "SiteURL", "")) < 0)
        return -ENOMEM;
    return *version ? mw_str_set(&c->version, version) : 0;
}

static void on_config(struct mm_result *r, void *userdata)
{
    struct mm_op *op = userdata;

    if (r->outcome == MM_OK && read_config(op->c, r->body) < 0) {
        mm_op_fail(op, MM_UNREACHABLE, -ENOMEM, "out of memory");
        return;
    }
    /* A server that keeps its config to itself is used with careful defaults. */
    switch (r->outcome) {
    case MM_FORBIDDEN:
    case MM_NOT_FOUND:
    case MM_REFUSED:
    case MM_UNAVAILABLE:
        mm_op_finish_body(op, cJSON_CreateObject());
        break;
    default:
        mm_op_finish(op, r);
    }
}

static int learn_me(struct mm_client *c, const cJSON *json, struct mw_error *err)
{
    struct mm_user me;
    int r = mm_user_read(json, &me, err);

    if (r < 0)
        return r;
    /* An answer to another question, such as a confused proxy gives, must not change who we are. */
    if (!*me.username)
        return mw_error_set(err, -EPROTO, "the answer about the bot's account has no username");
    if (c->user_id && !mw_streq(c->user_id, me.id))
        return mw_error_set(err, -EPROTO, "the account behind the token is another one now");
    mm_cache_forget_users(&c->cache); /* who was renamed meanwhile, nobody told us */
    if (mw_str_set(&c->user_id, me.id) < 0 || mw_str_set(&c->user_name, me.username) < 0 ||
        mm_learn_user(c, &me) < 0)
        return mw_error_set(err, -ENOMEM, "out of memory");
    c->is_bot = me.is_bot;
    return 0;
}

static void on_me(struct mm_result *r, void *userdata)
{
    struct mm_op *op = userdata;
    MW_AUTOERROR err = MW_ERROR_INIT;
    int k;

    if (r->outcome != MM_OK) {
        mm_op_finish(op, r);
        return;
    }
    k = learn_me(op->c, r->body, &err);
    if (k < 0) {
        mm_op_fail(op, MM_BAD_ANSWER, k, "%s", mw_error_text(&err));
        return;
    }
    /* Without format=old, servers before 11 answer 501. */
    k = mm_call(op->c, "GET", "/config/client?format=old", NULL, on_config, op);
    if (k < 0)
        mm_op_fail(op, MM_UNREACHABLE, k, "cannot ask for the server's config");
}

int mm_client_start(struct mm_client *c, mm_cb cb, void *userdata)
{
    struct mm_op *op = calloc(1, sizeof(*op));
    int r;

    if (!op)
        return -ENOMEM;
    mm_op_init(op, c, cb, userdata, free_start);
    r = mm_call(c, "GET", "/users/me", NULL, on_me, op);
    if (r < 0)
        mm_op_drop(op);
    return r;
}
