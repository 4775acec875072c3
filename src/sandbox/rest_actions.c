/* Buttons and menus of cards: where they lead is kept from clients, and called when one presses. */
#include "base/str.h"
#include "io/http.h"
#include "sandbox/domain.h"
#include "sandbox/handlers.h"

#define ANSWER_MAX (1024 * 1024)

int sb_take_actions(struct sb_post *p, cJSON *props)
{
    MW_AUTOJSON *all = cJSON_CreateObject();
    cJSON *card, *action;

    if (!all)
        return -ENOMEM;
    cJSON_ArrayForEach(card, cJSON_GetObjectItemCaseSensitive(props, "attachments"))
    {
        cJSON_ArrayForEach(action, cJSON_GetObjectItemCaseSensitive(card, "actions"))
        {
            cJSON *to = cJSON_DetachItemFromObjectCaseSensitive(action, "integration");
            const char *id = mw_json_str(action, "id");
            char fresh[MW_ID_SIZE];

            if (!to)
                continue;
            if (!id || !*id) {
                cJSON_DeleteItemFromObjectCaseSensitive(action, "id");
                if (mw_id_new(fresh) < 0 || mw_json_add_str(action, "id", fresh) < 0) {
                    cJSON_Delete(to);
                    return -ENOMEM;
                }
                id = fresh;
            }
            if (mw_json_get(all, id))
                cJSON_Delete(to); /* the first one counts */
            else if (mw_json_add(all, id, to) < 0)
                return -ENOMEM;
        }
    }
    free(take_ptr(p->actions));
    if (!all->child)
        return 0;
    p->actions = mw_json_print(all);
    return p->actions ? 0 : -ENOMEM;
}

/* ---- A press ---- */

static int refuse(struct sb_req *q)
{
    return sb_fail(q, 400, "api.post.do_action.action_integration.app_error",
                   "Action integration error.");
}

static void on_answer(const struct mw_http_response *r, void *userdata)
{
    struct sb_req *q = userdata;
    struct sb_post *p = mw_map_get(&q->sv->state.posts, q->p[0]);
    MW_AUTOJSON *json = NULL;
    const cJSON *update;

    if (q->restarts != q->sv->control.restarts) {
        mw_httpd_abort(q->http);
        return;
    }
    if (r->error || r->status != 200) {
        (void)refuse(q);
        return;
    }
    if (r->body.len && mw_json_parse(r->body.data, r->body.len, &json, NULL)) {
        (void)refuse(q);
        return;
    }
    update = mw_json_obj(json, "update");
    if (update && p && !p->delete_at && sb_update_post(q, p, update) < 0) {
        mw_httpd_abort(q->http);
        return;
    }
    mw_buf_puts(&q->out, "{\"status\":\"OK\",\"trigger_id\":\"c2FuZGJveA==\"}");
    (void)sb_reply(q, 200);
}

/* What the integration is told. */
static char *make_body(struct sb_req *q, const struct sb_post *p, const cJSON *integration)
{
    const cJSON *given = mw_json_obj(integration, "context");
    const char *chosen = mw_json_str(q->json, "selected_option");
    const struct sb_team *team = mw_map_get(&q->sv->state.teams, p->channel->team_id);
    MW_AUTOJSON *o = cJSON_CreateObject();
    cJSON *context = given ? cJSON_Duplicate(given, true) : cJSON_CreateObject();

    if (mw_json_add(o, "context", context) < 0 ||
        (chosen && mw_json_add_str(context, "selected_option", chosen) < 0))
        return NULL;
    if (mw_json_add_str(o, "user_id", q->user->id) |
        mw_json_add_str(o, "user_name", q->user->username) |
        mw_json_add_str(o, "channel_id", p->channel_id) |
        mw_json_add_str(o, "channel_name", p->channel->name) |
        mw_json_add_str(o, "team_id", p->channel->team_id) |
        mw_json_add_str(o, "team_domain", team ? team->name : "") |
        mw_json_add_str(o, "post_id", p->id) | mw_json_add_str(o, "trigger_id", "c2FuZGJveA==") |
        mw_json_add_str(o, "type", chosen ? "select" : "button") |
        mw_json_add_str(o, "data_source", ""))
        return NULL;
    return mw_json_print(o);
}

static int call(struct sb_req *q, const char *url, const char *body)
{
    struct sb_server *sv = q->sv;
    const struct mw_http_params params = {.user_agent = "matterwire sandbox"};
    const struct mw_http_request req = {
        .method = "POST",
        .url = url,
        .body = body,
        .body_len = strlen(body),
        .max_body = ANSWER_MAX,
        .cb = on_answer,
        .userdata = q,
    };
    struct mw_http_call *under_way;
    int r = sv->http ? 0 : mw_http_new(&sv->loop, &params, &sv->http, NULL);

    q->restarts = sv->control.restarts;
    return r < 0 ? r : mw_http_start(sv->http, &req, &under_way, NULL);
}

int sb_h_post_action(struct sb_req *q)
{
    struct sb_post *p = sb_path_post(q, 0);
    MW_AUTOFREE char *body = NULL;
    MW_AUTOJSON *all = NULL;
    const cJSON *integration;
    size_t len;
    const char *text = mw_httpd_body(q->http, &len);

    if (!p)
        return 0;
    if (len && mw_json_parse(text, len, &q->json, NULL))
        return sb_fail_param(q, "action");
    if (p->actions && mw_json_parse(p->actions, strlen(p->actions), &all, NULL))
        return -ENOMEM;
    integration = mw_json_obj(all, q->p[1]);
    if (!mw_json_str(integration, "url"))
        return sb_fail(q, 404, "api.post.do_action.action_id.app_error", "Invalid action id.");
    body = make_body(q, p, integration);
    if (!body)
        return -ENOMEM;
    return call(q, mw_json_str(integration, "url"), body) < 0 ? refuse(q) : 0;
}
