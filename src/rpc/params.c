#include <math.h>

#include "base/clock.h"
#include "base/str.h"
#include "rpc/methods.h"

const char *rpc_type_name(enum rpc_type type)
{
    static const char *const names[] = {
        [RPC_STRING] = "string",
        [RPC_INT] = "integer",
        [RPC_BOOL] = "boolean",
        [RPC_OBJECT] = "object",
        [RPC_STRINGS] = "array of strings",
        [RPC_DURATION] = "duration",
        [RPC_TIME] = "time",
    };

    return names[type];
}

const struct rpc_method *rpc_method_find(const char *name)
{
    for (size_t i = 0; i < rpc_method_count(); i++)
        if (strcmp(rpc_method_at(i)->name, name) == 0)
            return rpc_method_at(i);
    return NULL;
}

const char *rpc_method_nearest(const char *name)
{
    struct mw_nearest nearest = {.name = name};

    for (size_t i = 0; i < rpc_method_count(); i++)
        mw_nearest_offer(&nearest, rpc_method_at(i)->name);
    return mw_nearest_get(&nearest);
}

static const struct rpc_param *find_param(const struct rpc_method *m, const char *name)
{
    for (size_t i = 0; i < m->n_params; i++)
        if (strcmp(m->params[i].name, name) == 0)
            return &m->params[i];
    return NULL;
}

static bool is_integer(const cJSON *v)
{
    /* Beyond 2^53 a double no longer tells neighbours apart. */
    return cJSON_IsNumber(v) && v->valuedouble == floor(v->valuedouble) &&
           fabs(v->valuedouble) <= 9007199254740992.0;
}

static bool is_strings(const cJSON *v)
{
    const cJSON *item;

    if (!cJSON_IsArray(v))
        return false;
    cJSON_ArrayForEach(item, v)
    {
        if (!cJSON_IsString(item))
            return false;
    }
    return true;
}

static int check_value(const struct rpc_param *p, const cJSON *v, struct mw_error *err)
{
    bool good = false;
    int64_t ignored;

    switch (p->type) {
    case RPC_STRING:
        good = cJSON_IsString(v);
        break;
    case RPC_BOOL:
        good = cJSON_IsBool(v);
        break;
    case RPC_OBJECT:
        good = cJSON_IsObject(v);
        break;
    case RPC_STRINGS:
        good = is_strings(v);
        break;
    case RPC_INT:
        good = is_integer(v);
        if (good && p->min != p->max &&
            (v->valuedouble < (double)p->min || v->valuedouble > (double)p->max))
            return mw_error_set(err, 1, "`%s` must be between %lld and %lld", p->name,
                                (long long)p->min, (long long)p->max);
        break;
    case RPC_DURATION:
        if (cJSON_IsString(v) && mw_duration_parse(v->valuestring, &ignored) < 0)
            return mw_error_set(err, 1, "`%s` must be a duration such as 500ms, 30s or 5m",
                                p->name);
        good = cJSON_IsString(v) || (is_integer(v) && v->valuedouble >= 0);
        break;
    case RPC_TIME:
        if (cJSON_IsString(v) && mw_time_parse(v->valuestring, mw_clock_now(), &ignored) < 0)
            return mw_error_set(
                err, 1, "`%s` must be a time such as 2h (ago) or 2026-11-21T10:00:00Z", p->name);
        good = cJSON_IsString(v) || (is_integer(v) && v->valuedouble >= 0);
        break;
    }
    if (good)
        return 0;
    return mw_error_set(err, 1, "`%s` must be of type %s", p->name, rpc_type_name(p->type));
}

static int unknown_param(const struct rpc_method *m, const char *name, struct mw_error *err)
{
    struct mw_nearest nearest = {.name = name};

    for (size_t i = 0; i < m->n_params; i++)
        mw_nearest_offer(&nearest, m->params[i].name);
    if (mw_nearest_get(&nearest))
        return mw_error_set(err, 1, "unknown parameter `%.64s`; did you mean `%s`?", name,
                            mw_nearest_get(&nearest));
    return mw_error_set(err, 1, "`%s` has no parameter `%.64s`", m->name, name);
}

int rpc_params_check(const struct rpc_method *m, const cJSON *params, const char **ret_param,
                     struct mw_error *err)
{
    const cJSON *v;

    cJSON_ArrayForEach(v, params)
    {
        const struct rpc_param *p = find_param(m, v->string);

        *ret_param = v->string;
        if (!p)
            return unknown_param(m, v->string, err);
        if (!cJSON_IsNull(v) && check_value(p, v, err))
            return 1;
    }
    for (size_t i = 0; i < m->n_params; i++) {
        v = mw_json_get(params, m->params[i].name);
        *ret_param = m->params[i].name;
        if (m->params[i].required && (!v || cJSON_IsNull(v)))
            return mw_error_set(err, 1, "`%s` needs the parameter `%s`", m->name,
                                m->params[i].name);
    }
    *ret_param = NULL;
    return 0;
}

int64_t rpc_param_duration(const cJSON *params, const char *name, int64_t fallback)
{
    const char *text = mw_json_str(params, name);
    int64_t ms = fallback;

    if (!text)
        return mw_json_i64(params, name, fallback);
    return mw_duration_parse(text, &ms) < 0 ? fallback : ms;
}

int64_t rpc_param_time(const cJSON *params, const char *name, int64_t fallback)
{
    const char *text = mw_json_str(params, name);
    int64_t ms = fallback;

    if (!text)
        return mw_json_i64(params, name, fallback);
    return mw_time_parse(text, mw_clock_now(), &ms) < 0 ? fallback : ms;
}

static cJSON *method_json(const struct rpc_method *m)
{
    MW_AUTOJSON *o = cJSON_CreateObject();
    MW_AUTOJSON *params = cJSON_CreateArray();

    if (!o || !params)
        return NULL;
    for (size_t i = 0; i < m->n_params; i++) {
        MW_AUTOJSON *p = cJSON_CreateObject();

        if (!p || mw_json_add_str(p, "name", m->params[i].name) |
                      mw_json_add_str(p, "type", rpc_type_name(m->params[i].type)) |
                      mw_json_add_bool(p, "required", m->params[i].required) |
                      mw_json_add_str(p, "doc", m->params[i].doc))
            return NULL;
        if (mw_json_push(params, take_ptr(p)))
            return NULL;
    }
    if (mw_json_add_str(o, "name", m->name) | mw_json_add_str(o, "doc", m->doc) |
        mw_json_add(o, "params", take_ptr(params)) | mw_json_add_str(o, "result", m->result))
        return NULL;
    return take_ptr(o);
}

cJSON *rpc_methods_json(void)
{
    MW_AUTOJSON *all = cJSON_CreateArray();

    for (size_t i = 0; all && i < rpc_method_count(); i++)
        if (mw_json_push(all, method_json(rpc_method_at(i))))
            return NULL;
    return take_ptr(all);
}
