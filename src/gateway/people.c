/* gw_people_channel: names -> ids -> the channel of these people. */
#include "base/str.h"
#include "gateway/internal.h"

struct people {
    struct mm_client *client; /* its calls end, as canceled, before it goes */
    mm_cb cb;
    void *userdata;
    char **names;
    size_t n, at;
    cJSON *ids;
};

static int next_step(struct people *p);

static void people_free(struct people *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->names[i]);
    free(p->names);
    cJSON_Delete(p->ids);
    free(p);
}

static void finish(struct people *p, struct mm_result *r)
{
    mm_cb cb = p->cb;
    void *userdata = p->userdata;

    people_free(p);
    cb(r, userdata);
}

static void finish_errno(struct people *p, int rc)
{
    struct mm_result r = {
        .outcome = MM_UNREACHABLE, .error_id = "", .request_id = "", .retry_after_ms = -1};

    mw_error_set(&r.err, rc, "%s", rc == -ENOMEM ? "out of memory" : "too many calls are waiting");
    finish(p, &r);
    mw_error_reset(&r.err);
}

static void on_channel(struct mm_result *r, void *userdata)
{
    struct people *p = userdata;
    const char *id = mw_json_str(r->body, "id");
    MW_AUTOJSON *body = NULL;
    struct mm_channel ch;

    if (r->outcome == MM_OK) {
        body = cJSON_CreateObject();
        if (!id || !body || mw_json_add_str(body, "channel_id", id)) {
            finish_errno(p, -ENOMEM);
            return;
        }
        if (!mm_channel_read(r->body, &ch, NULL))
            (void)mm_learn_channel(p->client, &ch);
        cJSON_Delete(r->body);
        r->body = take_ptr(body);
    }
    finish(p, r);
}

static void on_user(struct mm_result *r, void *userdata)
{
    struct people *p = userdata;
    const char *id = mw_json_str(r->body, "user_id");
    bool known = false;
    const cJSON *other;
    int rc = 0;

    if (r->outcome != MM_OK) {
        finish(p, r);
        return;
    }
    cJSON_ArrayForEach(other, p->ids)
    {
        known |= mw_streq(other->valuestring, id);
    }
    if (!id || (!known && mw_json_push(p->ids, cJSON_CreateString(id))))
        rc = -ENOMEM;
    p->at++;
    if (!rc)
        rc = next_step(p);
    if (rc)
        finish_errno(p, rc);
}

/* Two of them have a direct channel, more a group. */
static int open_channel(struct people *p)
{
    bool direct = cJSON_GetArraySize(p->ids) == 1;
    const char *me = mm_client_user_id(p->client);

    if (direct && mw_json_push(p->ids, cJSON_CreateString(me)))
        return -ENOMEM;
    return mm_call(p->client, "POST", direct ? "/channels/direct" : "/channels/group",
                   take_ptr(p->ids), on_channel, p);
}

static int next_step(struct people *p)
{
    return p->at < p->n ? mm_resolve_user(p->client, p->names[p->at], on_user, p) : open_channel(p);
}

int gw_people_channel(struct mm_client *c, const char *const *users, size_t n, mm_cb cb,
                      void *userdata)
{
    struct people *p = calloc(1, sizeof(*p));
    int rc = -ENOMEM;

    if (!p)
        return rc;
    p->client = c;
    p->cb = cb;
    p->userdata = userdata;
    p->ids = cJSON_CreateArray();
    p->names = calloc(n + 1, sizeof(*p->names));
    while (p->names && p->n < n && (p->names[p->n] = strdup(users[p->n])))
        p->n++;
    if (p->ids && p->names && p->n == n)
        rc = next_step(p);
    if (rc)
        people_free(p);
    return rc;
}
