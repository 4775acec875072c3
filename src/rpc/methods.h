/* The methods as data: their names, parameters, documentation and functions. No state. */
#ifndef RPC_METHODS_H
#define RPC_METHODS_H

#include "base/json.h"

enum rpc_type {
    RPC_STRING,
    RPC_INT,
    RPC_BOOL,
    RPC_OBJECT,
    RPC_STRINGS,  /* array of strings */
    RPC_DURATION, /* milliseconds, or "15s" */
    RPC_TIME,     /* milliseconds since 1970, RFC 3339, or "2h" = that long ago */
};
const char *rpc_type_name(enum rpc_type type);

struct rpc_param {
    const char *name;
    enum rpc_type type;
    bool required;
    int64_t min, max; /* RPC_INT, when they differ */
    const char *doc;
};

struct rpc_call;

struct rpc_method {
    const char *name;
    const char *doc;
    const struct rpc_param *params;
    size_t n_params;
    const char *result; /* what comes back, a sentence */
    /* Leads to exactly one rpc_call_* answer, now or later. Parameters are checked; NULL = none. */
    void (*run)(struct rpc_call *call, const cJSON *params);
};

/* The methods are several tables, one for each area; methods.c lists them. */
struct rpc_method_table {
    const struct rpc_method *methods;
    size_t n;
};
#define RPC_METHOD_TABLE(array)                                                                    \
    {                                                                                              \
        .methods = (array), .n = MW_ARRAY_LEN(array)                                               \
    }
#define RPC_PARAMS(array) .params = (array), .n_params = MW_ARRAY_LEN(array)
extern const struct rpc_method_table rpc_file_methods;      /* files.c */
extern const struct rpc_method_table rpc_directory_methods; /* directory.c */
/* All methods in the order of the reference. */
size_t rpc_method_count(void);
const struct rpc_method *rpc_method_at(size_t i);

const struct rpc_method *rpc_method_find(const char *name);
/* The name that was probably meant, or NULL. */
const char *rpc_method_nearest(const char *name);

/* Checks parameters by their table. Returns 0; or 1 with a sentence, *ret_param then names the
 * parameter (it points into params or the table). */
int rpc_params_check(const struct rpc_method *m, const cJSON *params, const char **ret_param,
                     struct mw_error *err);

/* Values of parameters that were checked; NULL or the fallback when absent. */
int64_t rpc_param_duration(const cJSON *params, const char *name, int64_t fallback);
int64_t rpc_param_time(const cJSON *params, const char *name, int64_t fallback);

/* The methods as JSON (`rpc.methods`); NULL when memory ran out. */
cJSON *rpc_methods_json(void);

#endif
