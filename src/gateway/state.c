/* What handlers and the gateway keep in the store between turns: a value that was set is seen at
 * once, though it is committed a little later. */
#include "base/str.h"
#include "gateway/internal.h"

/* A value on its way to the store. */
struct pending {
    char *value; /* NULL = deleted */
    unsigned commits;
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
}

void gw_state_deinit(struct gw *gw)
{
    mw_map_deinit(&gw->state);
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
