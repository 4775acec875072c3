/*
 * The handlers of the config at run time: instances, and how they outlive a reload.
 *
 * A run keeps the instance that it was started with. When the config of a handler changes, the old
 * instance retires: it takes no new runs and is closed after its last one.
 */
#include "base/str.h"
#include "gateway/internal.h"

struct gw_handler_slot {
    struct gw_handler_slot *next;
    struct gw_handler *h;
    const struct gw_handler_type *type;
    struct gw_handler_instance *instance;
    struct gw_handler_host host;
    struct gw_config *config; /* what host.config points into */
    unsigned runs;
    bool retired;
};

static void slot_free(struct gw_handler_slot *s)
{
    if (s->type->close)
        s->type->close(s->instance);
    gw_config_free(s->config);
    free(s);
}

struct gw_handler *gw_handler_new(const char *name)
{
    struct gw_handler *h = calloc(1, sizeof(*h));

    if (!h)
        return NULL;
    h->name = strdup(name);
    if (!h->name) {
        free(h);
        return NULL;
    }
    return h;
}

void gw_handler_free(void *handler)
{
    struct gw_handler *h = handler;

    if (!h)
        return;
    gw_handler_retire(h);
    free(h->name);
    free(h->last_error);
    free(h);
}

/* Closes what has retired and is idle. */
static void sweep(struct gw_handler *h)
{
    struct gw_handler_slot **at = &h->slots;

    while (*at) {
        struct gw_handler_slot *s = *at;

        if (s->retired && !s->runs) {
            *at = s->next;
            slot_free(s);
        } else {
            at = &s->next;
        }
    }
}

void gw_handler_retire(struct gw_handler *h)
{
    for (struct gw_handler_slot *s = h->slots; s; s = s->next)
        s->retired = true;
    sweep(h);
}

static struct gw_handler_slot *newest(const struct gw_handler *h)
{
    return h->slots && !h->slots->retired ? h->slots : NULL;
}

/* The instance of the config in force, opened when it is not yet. */
static int current(struct gw *gw, struct gw_handler *h, struct gw_handler_slot **ret,
                   struct mw_error *err)
{
    struct gw_handler_slot *s = newest(h);
    int rc;

    if (s) {
        *ret = s;
        return 0;
    }
    s = calloc(1, sizeof(*s));
    if (!s) {
        mw_error_set(err, -ENOMEM, "out of memory");
        return -ENOMEM;
    }
    s->h = h;
    s->type = h->type;
    s->host = (struct gw_handler_host){.loop = gw->loop, .gw = gw, .config = h->config};
    rc = s->type->open(&s->host, &s->instance, err);
    if (rc) {
        free(s);
        return rc;
    }
    s->config = gw_config_ref(gw->config);
    s->next = h->slots;
    h->slots = s;
    *ret = s;
    return 0;
}

int gw_handler_start(struct gw *gw, struct gw_handler *h, const struct gw_turn *turn,
                     const struct gw_turn_ops *ops, void *userdata, struct gw_handler_slot **ret,
                     struct gw_handler_run **ret_run, struct mw_error *err)
{
    struct gw_handler_slot *s = NULL;
    int rc = current(gw, h, &s, err);

    if (!rc)
        rc = s->type->start(s->instance, turn, ops, userdata, ret_run, err);
    if (rc)
        return rc;
    s->runs++;
    *ret = s;
    return 0;
}

void gw_handler_ended(struct gw_handler_slot *s)
{
    struct gw_handler *h = s->h;

    s->runs--;
    if (s->retired)
        sweep(h);
}

const struct gw_handler_type *gw_handler_slot_type(const struct gw_handler_slot *s)
{
    return s->type;
}

const struct gw_handler_config *gw_handler_slot_config(const struct gw_handler_slot *s)
{
    return s->host.config;
}

void gw_handler_reset(struct gw *gw, struct gw_handler *h, const char *conversation)
{
    struct gw_handler_slot *s = NULL;
    MW_AUTOERROR err = MW_ERROR_INIT;

    /* Opening is cheap, and only the type knows what it keeps where. */
    if (h->config && h->type->reset && !current(gw, h, &s, &err))
        s->type->reset(s->instance, conversation);
}

void gw_handler_status(const struct gw_handler *h, cJSON *object)
{
    const struct gw_handler_slot *s = newest(h);

    if (s && s->type->status)
        s->type->status(s->instance, object);
}
