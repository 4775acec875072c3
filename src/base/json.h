/*
 * JSON: cJSON, with the checks at the edge that it leaves to its user.
 *
 * Trees are cJSON's own (`cJSON *`, freed with cJSON_Delete). Getters never fail: a missing member
 * or one of another type gives NULL, the fallback, or false, because Mattermost adds and drops
 * fields with every version. Strings belong to the tree. Not thread safe per tree.
 */
#ifndef MW_BASE_JSON_H
#define MW_BASE_JSON_H

#include <cjson/cJSON.h>

#include "base/buf.h"
#include "base/error.h"

MW_DEFINE_CLEANUP(cJSON *, cJSON_Delete, mw_json_delete_p)
#define MW_AUTOJSON MW_CLEANUP(mw_json_delete_p) cJSON

/* Parses exactly one JSON value (white space around it is fine). Refuses invalid UTF-8, text after
 * the value, "\u0000" inside strings and nesting deeper than cJSON's limit (1000). Returns 0,
 * -EINVAL (err says where) or -ENOMEM. */
int mw_json_parse(const char *data, size_t len, cJSON **ret, struct mw_error *err);

const cJSON *mw_json_get(const cJSON *obj, const char *key); /* member whatever its type, or NULL */
const char *mw_json_str(const cJSON *obj, const char *key);  /* string or NULL */
const char *mw_json_str_or(const cJSON *obj, const char *key, const char *fallback);
int64_t mw_json_i64(const cJSON *obj, const char *key, int64_t fallback); /* saturates */
bool mw_json_bool(const cJSON *obj, const char *key);        /* false unless it is `true` */
const cJSON *mw_json_obj(const cJSON *obj, const char *key); /* object or NULL */
const cJSON *mw_json_arr(const cJSON *obj, const char *key); /* array or NULL */

/*
 * Building. All return 0 or -ENOMEM. `item` is taken over in every case, also on failure (and when
 * it is NULL because its making failed, -ENOMEM comes back), so calls can be chained with `|`: if
 * (mw_json_add_str(o, "a", x) | mw_json_add(o, "b", cJSON_CreateArray())) return -ENOMEM;
 */
int mw_json_add(cJSON *obj, const char *key, cJSON *item);
int mw_json_push(cJSON *arr, cJSON *item);
int mw_json_add_str(cJSON *obj, const char *key, const char *value); /* NULL becomes null */
int mw_json_add_i64(cJSON *obj, const char *key, int64_t value);
int mw_json_add_bool(cJSON *obj, const char *key, bool value);

/* Compact text, freed by the caller with free(); NULL when memory ran out. */
char *mw_json_print(const cJSON *value);

/* Appends compact text to b. Returns 0, -ENOMEM or -E2BIG. */
int mw_json_write(struct mw_buf *b, const cJSON *value);

#endif
