/* Faults, counters and who waits for them: what the rest of the sandbox asks. The HTTP side is
 * control_http.c. */
#include "sandbox/control.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "sandbox/control_http.h"
#include "sandbox/server.h"

int sb_control_init(struct sb_control *c, struct sb_server *sv)
{
    *c = (struct sb_control){.sv = sv, .refuse_retry_after = -1};
    mw_map_init(&c->calls, free);
    mw_map_init(&c->groups, sb_group_free);
    return 0;
}

static void rule_free(struct sb_rule *r)
{
    free(r->method);
    free(r->prefix);
    free(r->body);
    free(r->content_type);
    free(r->location);
    free(r);
}

void sb_control_deinit(struct sb_control *c)
{
    if (!c->sv)
        return;
    c->gone = true;
    mw_httpd_free(take_ptr(c->httpd)); /* frees the waiters and floods, which are requests' data */
    while (c->rules) {
        struct sb_rule *r = c->rules;

        c->rules = r->next;
        rule_free(r);
    }
    free(c->refuse_body);
    mw_map_deinit(&c->calls);
    mw_map_deinit(&c->groups);
}

void sb_control_count(struct sb_control *c, const char *key)
{
    uint64_t *n = mw_map_get(&c->calls, key);

    c->n_calls++;
    if (!n) {
        n = calloc(1, sizeof(*n));
        if (!n)
            return;
        if (mw_map_put(&c->calls, key, n) < 0) {
            free(n);
            return;
        }
    }
    (*n)++;
    sb_control_kick(c);
}

struct sb_rule *sb_control_rule(struct sb_control *c, const char *method, const char *path,
                                const char *user_id)
{
    for (struct sb_rule *r = c->rules; r; r = r->next) {
        if (!r->count || (r->method && !mw_streq(r->method, method)) ||
            !mw_starts_with(path, r->prefix ? r->prefix : "") ||
            (r->user_id[0] && !mw_streq(r->user_id, user_id)))
            continue;
        if (r->skip > 0) {
            r->skip--;
            continue;
        }
        if (r->count > 0)
            r->count--;
        r->hits++;
        sb_control_kick(c);
        return r;
    }
    return NULL;
}

/* A bucket of burst + 1 tokens that fills at per_sec, which is what the throttle library that the
 * real server uses comes to. */
bool sb_control_rate(struct sb_control *c, struct sb_rate *ret)
{
    int64_t now = mw_clock_mono();
    double limit = c->rate_burst + 1;
    bool pass;

    c->rate_tokens =
        fmin(limit, c->rate_tokens + (double)(now - c->rate_at) * c->rate_per_sec / 1000);
    c->rate_at = now;
    pass = c->rate_tokens >= 1;
    if (pass)
        c->rate_tokens -= 1;
    else
        c->rate_refused++;
    *ret = (struct sb_rate){
        .limit = (long)limit,
        .remaining = (long)c->rate_tokens,
        .reset = (long)ceil((limit - c->rate_tokens) / c->rate_per_sec),
        .retry_after = pass ? -1 : (long)fmax(1, ceil((1 - c->rate_tokens) / c->rate_per_sec)),
    };
    return pass;
}

void sb_control_kick(struct sb_control *c)
{
    if (!c->gone && c->waiters)
        sb_waiters_check(c);
}
