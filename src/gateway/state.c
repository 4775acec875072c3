/* What handlers and the gateway keep in the store between turns: a value that was set is seen at
 * once, though it is committed a little later. */
#include "base/str.h"
#include "gateway/internal.h"

/* A value on its way to the store. */
struct pending {
    char *value; /* NULL = deleted */
    unsigned commits;
};

/* Of a scope with a quota, with what is on its way. */
struct usage {
    int64_t keys, bytes;
};

struct commit {
    struct gw *gw;
    char *id;
};

static void pending_free(void *value)
{
    struct pending *p = value;

    if (p)
        free(p->value);
    free(p);
}

void gw_state_init(struct gw *gw)
{
    mw_map_init(&gw->state, pending_free);
    mw_map_init(&gw->state_usage, free);
}

void gw_state_deinit(struct gw *gw)
{
    mw_map_deinit(&gw->state);
    mw_map_deinit(&gw->state_usage);
}

static char *id_of(const char *scope, const char *key)
{
    return mw_asprintf("%s\n%s", scope, key);
}

int gw_state_get(struct gw *gw, const char *scope, const char *key, char **ret)
{
    MW_AUTOFREE char *id = id_of(scope, key);
    const struct pending *p = id ? mw_map_get(&gw->state, id) : NULL;

    if (!id)
        return -ENOMEM;
    if (!p)
        return mw_store_get(gw->store, scope, key, ret);
    if (!p->value)
        return 1;
    *ret = strdup(p->value);
    return *ret ? 0 : -ENOMEM;
}

/* The store keeps what it took; a commit fails only when the database refuses it or is closed, and
 * then what is in memory goes with the process. */
static void on_committed(const struct mw_tx_result *res, void *userdata)
{
    struct commit *c = userdata;
    struct pending *p = mw_map_get(&c->gw->state, c->id);

    if (p && !--p->commits && !res->error)
        mw_map_remove(&c->gw->state, c->id);
    free(c->id);
    free(c);
}

int gw_state_set(struct gw *gw, const char *scope, const char *key, const char *value)
{
    return gw_state_set_until(gw, scope, key, value, 0);
}

int gw_state_set_until(struct gw *gw, const char *scope, const char *key, const char *value,
                       int64_t expires_at)
{
    struct mw_tx *tx = mw_tx_new(gw->store);
    struct commit *c = calloc(1, sizeof(*c));
    struct pending *p = NULL;
    char *copy = value ? strdup(value) : NULL;

    if (c)
        c->id = id_of(scope, key);
    if (!tx || !c || !c->id || (value && !copy) ||
        mw_tx_set_until(tx, scope, key, value, expires_at))
        goto nomem;
    c->gw = gw;
    p = mw_map_get(&gw->state, c->id);
    if (!p) {
        p = calloc(1, sizeof(*p));
        if (!p || mw_map_put(&gw->state, c->id, p)) {
            free(p);
            goto nomem;
        }
    }
    free(p->value);
    p->value = copy;
    p->commits++;
    mw_tx_commit(tx, on_committed, c);
    return 0;
nomem:
    mw_tx_free(tx);
    if (c)
        free(c->id);
    free(c);
    free(copy);
    return -ENOMEM;
}

/* Counted once in the life of the daemon, before anything of the scope is set. NULL: *ret_error. */
static struct usage *usage_of(struct gw *gw, const char *scope, int *ret_error)
{
    struct usage *u = mw_map_get(&gw->state_usage, scope);
    int r;

    if (u)
        return u;
    u = calloc(1, sizeof(*u));
    r = u ? mw_store_usage(gw->store, scope, &u->keys, &u->bytes) : -ENOMEM;
    if (!r)
        r = mw_map_put(&gw->state_usage, scope, u);
    if (!r)
        return u;
    free(u);
    *ret_error = r;
    return NULL;
}

int gw_state_set_within(struct gw *gw, const char *scope, const char *key, const char *value,
                        const struct gw_state_quota *quota)
{
    MW_AUTOFREE char *old = NULL;
    int r = 0;
    struct usage *u = usage_of(gw, scope, &r), now;

    if (u)
        r = gw_state_get(gw, scope, key, &old);
    if (!u || r < 0)
        return r;
    now = *u;
    if (old) {
        now.keys--;
        now.bytes -= (int64_t)(strlen(key) + strlen(old));
    }
    if (value) {
        now.keys++;
        now.bytes += (int64_t)(strlen(key) + strlen(value));
    }
    if (now.keys > MW_MAX(quota->keys, u->keys))
        return 1;
    if (now.bytes > MW_MAX(quota->bytes, u->bytes))
        return 2;
    r = gw_state_set(gw, scope, key, value);
    if (!r)
        *u = now;
    return r;
}
