#include "gateway/query.h"

#include <stdio.h>

#include "base/str.h"

/* Frees the query, then tells: the callback may start the next one. */
static void end(struct gw_query *q, enum gw_code code, const char *sentence, cJSON *result)
{
    struct gw_reply r = {.code = code, .result = result};
    gw_cb cb = q->cb;
    void *userdata = q->userdata;

    free(q->doing);
    q->free_fn(q);
    if (code == GW_OK)
        cb(&r, userdata);
    else
        gw_reply_error(cb, userdata, code, sentence);
    cJSON_Delete(r.result);
}

bool gw_query_start(struct gw_query *q, struct gw_bot *bot, gw_cb cb, void *userdata,
                    void (*free_fn)(struct gw_query *q))
{
    *q = (struct gw_query){
        .client = bot->client, .cb = cb, .userdata = userdata, .free_fn = free_fn};
    if (bot->client && *mm_client_user_id(bot->client))
        return true;
    end(q, GW_OFFLINE, gw_bot_trouble(bot), NULL);
    return false;
}

void gw_query_no_memory(gw_cb cb, void *userdata)
{
    gw_reply_error(cb, userdata, GW_INTERNAL, NULL);
}

void gw_query_done(struct gw_query *q, cJSON *result)
{
    end(q, result ? GW_OK : GW_INTERNAL, "out of memory", result);
}

void gw_query_fail(struct gw_query *q, enum gw_code code, const char *fmt, ...)
{
    MW_AUTOFREE char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    end(q, code, text ? text : "out of memory", NULL);
}

void gw_query_fail_result(struct gw_query *q, struct mm_result *r)
{
    if (r->outcome == MM_CANCELED)
        gw_query_fail(q, GW_OFFLINE, "the bot's connection was closed");
    else if (r->outcome == MM_OK)
        gw_query_fail(q, GW_OFFLINE, "the server's answer is not what was asked for");
    else if (r->outcome == MM_FORBIDDEN && q->doing && q->right)
        gw_query_fail(
            q, GW_FORBIDDEN,
            "%s may not %s: it lacks the right %s. %s has it; a system administrator gives "
            "it to others in the System Console under Permissions",
            mm_client_user_name(q->client), q->doing, q->right, q->holder);
    else if (r->status >= 400 && r->outcome == MM_REFUSED && q->doing)
        gw_query_fail(q, GW_REFUSED, "cannot %s: %s", q->doing,
                      mw_json_str_or(r->body, "message", mw_error_text(&r->err)));
    else
        gw_query_fail(q, gw_code_of(r->outcome), "%s", mw_error_text(&r->err));
}

bool gw_query_started(struct gw_query *q, int rc)
{
    if (rc == -ENOMEM)
        gw_query_fail(q, GW_INTERNAL, "out of memory");
    else if (rc < 0)
        gw_query_fail(q, GW_OFFLINE, "too many calls are waiting");
    return rc >= 0;
}

void gw_query_call(struct gw_query *q, const char *method, char *path, cJSON *body, mm_cb cb)
{
    MW_AUTOFREE char *owned = path;
    MW_AUTOJSON *owned_body = body;

    gw_query_started(q, owned ? mm_call(q->client, method, owned, take_ptr(owned_body), cb, q)
                              : -ENOMEM);
}
