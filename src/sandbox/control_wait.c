/* Waiting for a condition, and floods: the requests of the control address that take a while. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "sandbox/control_http.h"
#include "sandbox/domain.h"

#define WAIT_MS        30000
#define FLOOD_TURN     256 /* posts a turn of the loop at most */
#define FLOOD_TICK_MS  1
#define FLOOD_MAX_SIZE 16000

/* --- waiting -----------------------------------------------------------------------------------
 */

struct sb_waiter {
    struct sb_waiter *next;
    struct sb_ctl *x;
    uv_timer_t *timer;
};

static void close_timer(uv_timer_t *timer)
{
    if (timer)
        uv_close((uv_handle_t *)timer, (uv_close_cb)free);
}

static void waiter_free(struct sb_ctl *x)
{
    struct sb_waiter *w = x->more;

    for (struct sb_waiter **p = &x->control->waiters; *p; p = &(*p)->next) {
        if (*p == w) {
            *p = w->next;
            break;
        }
    }
    close_timer(w->timer);
    free(w);
}

static int64_t number(struct sb_ctl *x, const char *name, int64_t fallback)
{
    const char *s = mw_httpd_query(x->http, name);

    return s && *s ? strtoll(s, NULL, 10) : fallback;
}

/* Every condition that is asked for must hold. */
static bool holds(struct sb_ctl *x)
{
    const char *sockets = mw_httpd_query(x->http, "sockets");
    const char *user = mw_httpd_query(x->http, "user");
    const char *call = mw_httpd_query(x->http, "call");
    const char *posts = mw_httpd_query(x->http, "posts");
    const char *channel = mw_httpd_query(x->http, "channel");
    const char *rule = mw_httpd_query(x->http, "rule");

    if (sockets) {
        const struct sb_user *u = user ? sb_user_by_name(&x->sv->state, user) : NULL;

        if ((int64_t)sb_hub_count(&x->sv->hub, u) != number(x, "sockets", 0))
            return false;
    }
    if (call) {
        const uint64_t *n = mw_map_get(&x->control->calls, call);

        if ((n ? (int64_t)*n : 0) < number(x, "count", 1))
            return false;
    }
    if (posts) {
        const struct sb_channel *c = channel ? mw_map_get(&x->sv->state.channels, channel) : NULL;
        size_t n = channel ? (c ? c->n_posts : 0) : x->sv->state.posts.count;

        if ((int64_t)n < number(x, "posts", 0))
            return false;
    }
    if (rule) {
        const struct sb_rule *r = x->control->rules;

        while (r && !mw_streq(r->id, rule))
            r = r->next;
        if (!r || (int64_t)r->hits < number(x, "hits", 1))
            return false;
    }
    return true;
}

static int reply_waited(struct sb_ctl *x, bool ok)
{
    mw_buf_printf(&x->out, "{\"ok\":%s}", ok ? "true" : "false");
    return sb_ctl_reply(x, ok ? 200 : 408);
}

void sb_waiters_check(struct sb_control *c)
{
    struct sb_waiter *next;

    for (struct sb_waiter *w = c->waiters; w; w = next) {
        struct sb_ctl *x = w->x;

        next = w->next;
        if (holds(x) && reply_waited(x, true) < 0)
            mw_httpd_abort(x->http);
    }
}

static void on_wait_over(uv_timer_t *timer)
{
    struct sb_ctl *x = timer->data;

    if (reply_waited(x, false) < 0)
        mw_httpd_abort(x->http);
}

int sb_ctl_wait(struct sb_ctl *x)
{
    struct sb_waiter *w;
    const char *user = mw_httpd_query(x->http, "user");

    if (user && !sb_ctl_user(x, user))
        return 0;
    if (holds(x))
        return reply_waited(x, true);
    w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->timer = malloc(sizeof(*w->timer));
    if (!w->timer) {
        free(w);
        return -ENOMEM;
    }
    uv_timer_init(&x->sv->loop, w->timer);
    w->timer->data = x;
    w->x = x;
    w->next = x->control->waiters;
    x->control->waiters = w;
    x->more = w;
    x->free_more = waiter_free;
    return uv_timer_start(w->timer, on_wait_over,
                          (uint64_t)MW_MAX(0, number(x, "timeout_ms", WAIT_MS)), 0);
}

/* --- floods ------------------------------------------------------------------------------------
 */

struct sb_flood {
    struct sb_ctl *x;
    uv_timer_t *timer;
    struct sb_channel *channel;
    struct sb_user *author;
    char *message; /* the number is written over its first bytes */
    int64_t count, sent, started;
    double rate; /* posts a second; 0 = as fast as the sockets take them */
};

#define NUMBER_LEN 10

static void flood_free(struct sb_ctl *x)
{
    struct sb_flood *f = x->more;

    x->sv->hub.flood = false;
    close_timer(f->timer);
    free(f->message);
    free(f);
}

static int flood_one(struct sb_flood *f)
{
    struct sb_new_post in = {.channel = f->channel,
                             .author = f->author,
                             .message = f->message,
                             .type = "",
                             .flood = true};
    struct sb_refusal refusal;
    struct sb_post *p;
    char number_text[24];

    snprintf(number_text, sizeof(number_text), "%0*" PRId64, NUMBER_LEN, f->sent % 9999999999);
    memcpy(f->message, number_text, NUMBER_LEN);
    f->sent++;
    return sb_make_post(f->x->sv, &in, &p, &refusal) < 0 ? -ENOMEM : 0;
}

static int64_t due(const struct sb_flood *f)
{
    int64_t left = f->count - f->sent;

    if (f->rate > 0)
        left = MW_MIN(left,
                      (int64_t)((double)(mw_clock_mono() - f->started) * f->rate / 1000) - f->sent);
    return MW_MIN(left, FLOOD_TURN);
}

static void on_flood(uv_timer_t *timer)
{
    struct sb_flood *f = timer->data;
    struct sb_ctl *x = f->x;

    /* A frame that waits in a queue means that the socket is full: then the flood waits too. */
    for (int64_t n = due(f); n > 0 && sb_hub_backlog(&x->sv->hub, f->channel) == 0; n--) {
        if (flood_one(f) < 0) {
            mw_httpd_abort(x->http);
            return;
        }
    }
    if (f->sent < f->count) {
        uv_timer_start(timer, on_flood, FLOOD_TICK_MS, 0);
        return;
    }
    mw_buf_printf(&x->out, "{\"sent\":%" PRId64 ",\"elapsed_ms\":%" PRId64 "}", f->sent,
                  mw_clock_mono() - f->started);
    if (sb_ctl_reply(x, 200) < 0)
        mw_httpd_abort(x->http);
}

/* POST /flood {"channel_id", "user_id", "count", "rate"?, "size"?}; answers when it is over. */
int sb_ctl_flood(struct sb_ctl *x)
{
    const char *channel = mw_json_str_or(x->json, "channel_id", "");
    struct sb_user *u = sb_ctl_user(x, mw_json_str_or(x->json, "user_id", ""));
    int64_t size = mw_json_i64(x->json, "size", 100);
    const cJSON *rate = mw_json_get(x->json, "rate");
    struct sb_flood *f;

    if (!u)
        return 0;
    if (!mw_map_get(&x->sv->state.channels, channel))
        return sb_ctl_fail(x, 404, "there is no channel '%s'", channel);
    if (x->sv->hub.flood)
        return sb_ctl_fail(x, 409, "a flood is under way");
    if (size < NUMBER_LEN || size > FLOOD_MAX_SIZE)
        return sb_ctl_fail(x, 400, "size must be %d to %d", NUMBER_LEN, FLOOD_MAX_SIZE);
    f = calloc(1, sizeof(*f));
    if (!f)
        return -ENOMEM;
    f->x = x;
    f->message = malloc((size_t)size + 1);
    f->timer = malloc(sizeof(*f->timer));
    if (!f->message || !f->timer) {
        free(f->message);
        free(f->timer);
        free(f);
        return -ENOMEM;
    }
    memset(f->message, 'x', (size_t)size);
    f->message[size] = '\0';
    f->channel = mw_map_get(&x->sv->state.channels, channel);
    f->author = u;
    f->count = MW_MAX(0, mw_json_i64(x->json, "count", 1));
    f->rate = cJSON_IsNumber(rate) ? rate->valuedouble : 0;
    f->started = mw_clock_mono();
    uv_timer_init(&x->sv->loop, f->timer);
    f->timer->data = f;
    x->more = f;
    x->free_more = flood_free;
    x->sv->hub.flood = true;
    return uv_timer_start(f->timer, on_flood, 0, 0);
}
