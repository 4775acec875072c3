/* The budget of calls of each server: bots with the same endpoint share one. */
#include "base/str.h"
#include "gateway/internal.h"
#include "mattermost/budget.h"
#include "mattermost/endpoint.h"

void gw_budget_free(void *budget)
{
    mm_budget_free(budget);
}

int gw_budget(struct gw *gw, const char *endpoint, struct mm_budget **ret, struct mw_error *err)
{
    MW_AUTOFREE char *key = NULL;
    struct mm_budget *b;
    int rc = mm_endpoint_parse(endpoint, &key, err);

    if (rc)
        return rc;
    b = mw_map_get(&gw->budgets, key);
    if (!b) {
        if (mm_budget_new(gw->loop, &b))
            return mw_error_set(err, -ENOMEM, "out of memory");
        if (mw_map_put(&gw->budgets, key, b)) {
            mm_budget_free(b);
            return mw_error_set(err, -ENOMEM, "out of memory");
        }
    }
    *ret = b;
    return 0;
}

static cJSON *server_json(const char *endpoint, const struct mm_budget_stats *st)
{
    MW_AUTOJSON *o = cJSON_CreateObject();
    MW_AUTOJSON *waiting = cJSON_CreateObject();

    for (enum mm_class c = 0; waiting && c < MM_CLASSES; c++) {
        if (mw_json_add_i64(waiting, mm_class_name(c), st->waiting[c]))
            return NULL;
    }
    if (!o ||
        (mw_json_add_str(o, "endpoint", endpoint) | mw_json_add_i64(o, "in_flight", st->in_flight) |
         mw_json_add(o, "waiting", take_ptr(waiting)) |
         mw_json_add_i64(o, "rate_limited", st->refused)))
        return NULL;
    if (st->limit >= 0 && (mw_json_add_i64(o, "rate_limit", st->limit) |
                           mw_json_add_i64(o, "rate_remaining", st->remaining)))
        return NULL;
    if (st->held_until && mw_json_add_i64(o, "held_until", st->held_until))
        return NULL;
    return take_ptr(o);
}

cJSON *gw_servers_json(struct gw *gw)
{
    MW_AUTOJSON *array = cJSON_CreateArray();
    size_t it = 0;
    const char *endpoint;
    void *value;

    while (array && mw_map_next(&gw->budgets, &it, &endpoint, &value)) {
        struct mm_budget_stats st;

        mm_budget_get_stats(value, &st);
        if (st.members && mw_json_push(array, server_json(endpoint, &st)))
            return NULL;
    }
    return take_ptr(array);
}
