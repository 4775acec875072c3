/* One row's way to the server: look for it, upload its files, mark it, send it, record what came
 * out. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "gateway/outbox_internal.h"
#include "mattermost/page.h"
#include "mattermost/transfer.h"

/* The server's clock is known to a second; a key is looked for from so long before the first try.
 */
#define LOOK_MARGIN_MS (2 * 60 * 1000)
#define LOOK_PAGE      200
/* What a server may ask us to wait for. */
#define RETRY_AFTER_MAX_MS (10 * 60 * 1000)

static void send_row(struct gw_row *r);

/* ---- Ends of a try ---- */

static struct gw_sender *leave(struct gw_row *r)
{
    struct gw_sender *s = r->lane->s;

    r->busy = false;
    s->active--;
    return s;
}

static void progress(struct gw_sender *s)
{
    if (gw_sender_may_load(s))
        gw_sender_load(s);
    gw_sender_pump(s);
    if (s->on_progress)
        s->on_progress(s->userdata);
}

static void set_error(struct gw_row *r, const char *text)
{
    /* Without memory the old sentence stays: it is for people only. */
    (void)!mw_str_set(&r->error, text);
}

/* Waits before the row's next try. */
static void back_off(struct gw_row *r, int64_t at_least)
{
    int64_t now = mw_clock_mono(), wait = mw_backoff_next(&r->backoff, now);

    wait = MW_MAX(wait, at_least);
    r->due = now + wait;
    r->not_before = mw_clock_now() + wait;
    r->lane->s->stats.retries++;
}

/* Waits before the next try of anything. */
static void hold_all(struct gw_sender *s, int64_t at_least)
{
    int64_t now = mw_clock_mono(), wait;

    if (now < s->hold_until)
        return; /* calls that ran side by side failed together: that is one failure */
    wait = mw_backoff_next(&s->hold, now);
    s->hold_until = now + MW_MAX(wait, at_least);
}

static void on_recorded(const struct mw_tx_result *res, void *userdata)
{
    struct gw_row *r = userdata;
    struct gw_sender *s = leave(r);

    if (res->error) {
        /* The store keeps what it accepted; this is lack of memory or a broken file. The outcome is
         * still known here, so only the record is made again. */
        back_off(r, 1000);
        progress(s);
        return;
    }
    r->unrecorded = false;
    r->payload_changed = false;
    if (r->state == MW_OUTBOX_SENT || r->state == MW_OUTBOX_FAILED) {
        gw_lane_pop(r->lane);
        if (r->state == MW_OUTBOX_FAILED) {
            s->stats.failed++;
            gw_row_tell(s, r); /* its lane may be gone */
        }
        gw_row_free(r);
    }
    progress(s);
}

static int record_tx(struct gw_row *r, mw_tx_cb cb)
{
    struct gw_sender *s = r->lane->s;
    MW_AUTOFREE char *payload = NULL;
    struct mw_tx *tx = mw_tx_new(s->store);

    if (!tx)
        return -ENOMEM;
    if (r->payload_changed)
        payload = mw_json_print(r->payload);
    if ((r->payload_changed && !payload) ||
        mw_tx_outbox_update(tx, r->id, r->state, r->attempts, r->not_before, r->first_tried_at,
                            r->result_id ? r->result_id : "", r->error ? r->error : "", payload)) {
        mw_tx_free(tx);
        return -ENOMEM;
    }
    mw_tx_commit(tx, cb, r);
    return 0;
}

/* Commits what is known of the row. It is busy before and stays so until that is done. */
static void record(struct gw_row *r)
{
    r->unrecorded = true;
    if (record_tx(r, on_recorded)) {
        struct gw_sender *s = leave(r);

        back_off(r, 1000);
        gw_sender_pump(s);
    }
}

static void end_sent(struct gw_row *r, const char *post_id, bool found)
{
    if (mw_str_set(&r->result_id, post_id)) {
        /* It is there, and the look will find it again. */
        struct gw_sender *s = leave(r);

        r->unsure = true;
        back_off(r, 1000);
        gw_sender_pump(s);
        return;
    }
    (void)!mw_str_set(&r->error, NULL);
    r->state = MW_OUTBOX_SENT;
    r->lane->s->stats.sent++;
    r->lane->s->stats.found += found;
    record(r);
    /* It is there: whoever waits need not wait for the record, too. If we die before that is
     * committed, the key will be found. */
    gw_row_tell(r->lane->s, r);
}

static void end_failed(struct gw_row *r, const char *why)
{
    set_error(r, why);
    r->state = MW_OUTBOX_FAILED;
    record(r);
}

/* `rights`: for a person, after a 403; may be NULL. */
static void end_refused(struct gw_row *r, const struct mm_result *res, const char *rights)
{
    MW_AUTOFREE char *sentence = NULL;

    if (res->outcome == MM_FORBIDDEN) {
        if (rights)
            sentence = mw_asprintf("%s: %s", mw_error_text(&res->err), rights);
        /* Without memory for the mark it is a refusal like others. */
        if (!mw_json_add_bool(r->payload, GW_FORBIDDEN_MARK, true))
            r->payload_changed = true;
    }
    end_failed(r, sentence ? sentence : mw_error_text(&res->err));
}

enum verdict {
    DONE,
    AGAIN,   /* certainly not done; this row waits */
    HOLD,    /* certainly not done; everything waits */
    UNSURE,  /* maybe done */
    GIVE_UP, /* a clear no */
    CANCELED,
};

static enum verdict judge(const struct mm_result *res, const struct gw_effect_kind *kind)
{
    bool theirs = res->error_id && res->error_id[0];

    if (res->status == 429 || res->status == 408)
        return HOLD;
    if (res->status == 413)
        return GIVE_UP;
    /* The "no" of a proxy on the way: the server never saw it. */
    if (res->status >= 400 && res->status < 500 && res->status != 401 && !theirs)
        return AGAIN;
    if (res->status == 501 && !theirs)
        return HOLD;
    switch (res->outcome) {
    case MM_OK:
        return DONE;
    case MM_UNREACHABLE:
    case MM_UNAUTHORIZED:
        return HOLD;
    case MM_AMBIGUOUS:
    case MM_BAD_ANSWER:
        return UNSURE;
    case MM_NOT_FOUND:
        return kind->gone_is_done ? DONE : GIVE_UP;
    case MM_FORBIDDEN:
    case MM_REFUSED:
    case MM_UNAVAILABLE:
        return GIVE_UP;
    case MM_CANCELED:
        return CANCELED;
    }
    return UNSURE;
}

/* A try that did not get through: when to go on. True when the row should be recorded. */
static void postpone(struct gw_row *r, const struct mm_result *res, enum verdict v)
{
    struct gw_sender *s = r->lane->s;
    int64_t asked = MW_MIN(res->retry_after_ms, RETRY_AFTER_MAX_MS);

    set_error(r, mw_error_text(&res->err));
    /* 500 may be this post's own; without an answer, or with a gateway's, the server is in trouble.
     */
    if (v == HOLD || (v == UNSURE && res->status != 500) || asked > 0)
        hold_all(s, asked);
    back_off(r, v == HOLD ? 0 : asked);
    if (v == HOLD)
        r->due = s->hold_until;
}

static void on_called(struct mm_result *res, void *userdata)
{
    struct gw_row *r = userdata;
    struct gw_sender *s = r->lane->s;
    enum verdict v = judge(res, r->kind);
    const char *post_id = mw_json_str_or(res->body, "id", "");

    /* Something on the way said yes: perhaps the server did, too. */
    if (v == DONE && r->kind->look && !*post_id) {
        mw_error_set(&res->err, -EPROTO, "the server answered %d without the post", res->status);
        v = UNSURE;
    }
    switch (v) {
    case DONE:
        mw_backoff_healthy(&s->hold, mw_clock_mono());
        end_sent(r, post_id, false);
        return;
    case GIVE_UP:
        end_refused(r, res, r->kind->forbidden);
        return;
    case CANCELED:
        r->unsure = true;
        leave(r);
        progress(s);
        return;
    case AGAIN:
    case HOLD:
        /* What an earlier try did may still show up. */
        if (!r->unsure)
            r->state = MW_OUTBOX_PENDING;
        break;
    case UNSURE:
        r->unsure = true;
        break;
    }
    postpone(r, res, v);
    record(r);
}

/* ---- Looking for a key ---- */

struct seek {
    const char *user_id, *key;
    char post_id[64];
};

static bool seek_in_event(const struct mw_event *ev, void *userdata)
{
    struct seek *k = userdata;
    MW_AUTOJSON *post = NULL;

    if (!strstr(ev->raw, k->key) || mw_json_parse(ev->raw, strlen(ev->raw), &post, NULL))
        return true;
    if (!gw_effect_is_post(post, k->user_id, k->key))
        return true;
    snprintf(k->post_id, sizeof(k->post_id), "%s", ev->post_id);
    return false;
}

/* The journal has the echo of our own posts. */
static bool seek_journal(struct gw_row *r, struct seek *k)
{
    struct gw_sender *s = r->lane->s;
    const struct mw_event_filter f = {
        .bot = s->bot,
        .channel_id = r->channel_id,
        .user_id = k->user_id,
        .kinds = 1u << MW_EVENT_POST,
        .since = r->look_since,
    };

    return mw_store_events(s->store, &f, seek_in_event, k, NULL) >= 0 && k->post_id[0];
}

static void look_page(struct gw_row *r);

/* Newest first, until the time of the first try is reached. */
static void take_page(struct gw_row *r, const struct mm_page *page)
{
    const char *user_id = mm_client_user_id(r->lane->s->client);

    for (size_t i = 0; i < page->n; i++) {
        if (gw_effect_is_post(page->posts[i].json, user_id, r->key)) {
            end_sent(r, page->posts[i].id, true);
            return;
        }
    }
    /* There was a post before the one that we asked by, so it is that one which is gone. */
    if (!page->listed && r->look_anchor[0] && !r->look_page) {
        r->look_anchor[0] = '\0';
        look_page(r);
        return;
    }
    if (page->listed < LOOK_PAGE || (page->n && page->posts[0].create_at < r->look_since)) {
        send_row(r);
        return;
    }
    mm_page_anchor_back(page, r->look_anchor, &r->look_page);
    look_page(r);
}

static void take_look(struct gw_row *r, const struct mm_result *res)
{
    enum verdict v = r->lane->s->client ? judge(res, r->kind) : CANCELED;
    struct mm_page page;
    int k;

    if (v == CANCELED) {
        leave(r);
        return;
    }
    if (v == GIVE_UP) {
        send_row(r); /* a channel that cannot be read will say no to the post, too */
        return;
    }
    k = v == DONE ? mm_page_read(res->body, &page) : -EINVAL;
    if (k < 0) {
        postpone(r, res, v == DONE ? UNSURE : v);
        record(r);
        return;
    }
    take_page(r, &page);
    mm_page_deinit(&page);
}

static void on_looked(struct mm_result *res, void *userdata)
{
    struct gw_row *r = userdata;
    struct gw_sender *s = r->lane->s;

    take_look(r, res);
    if (!r->busy)
        progress(s);
}

/* Pages are counted from a post, not from the newest: whatever comes or goes meanwhile moves
 * nothing across their borders. */
static void look_page(struct gw_row *r)
{
    struct gw_sender *s = r->lane->s;
    MW_AUTOFREE char *path =
        mw_asprintf("/channels/%s/posts?page=%u&per_page=%d%s%s", r->channel_id, r->look_page,
                    LOOK_PAGE, r->look_anchor[0] ? "&before=" : "", r->look_anchor);

    if (!s->client || !path || mm_call(s->client, "GET", path, NULL, on_looked, r)) {
        leave(r);
        back_off(r, 1000);
    }
}

static void look(struct gw_row *r)
{
    struct seek k = {.user_id = mm_client_user_id(r->lane->s->client), .key = r->key};

    r->look_since = MW_MAX(r->first_tried_at - LOOK_MARGIN_MS, 1);
    r->look_page = 0;
    r->look_anchor[0] = '\0';
    if (seek_journal(r, &k))
        end_sent(r, k.post_id, true);
    else
        look_page(r);
}

/* ---- Sending ---- */

/* The call itself: the row is marked, and nothing of it is on the server. */
static void send_row(struct gw_row *r)
{
    struct gw_sender *s = r->lane->s;
    const struct gw_effect e = {.key = r->key, .channel_id = r->channel_id, .payload = r->payload};
    int rc;

    if (!s->client) {
        r->unsure = true;
        leave(r);
        return;
    }
    rc = r->kind->call(s->client, &e, on_called, r);
    if (rc == -EINVAL) {
        end_failed(r, "the stored payload is not usable for this kind");
    } else if (rc) {
        leave(r);
        back_off(r, 1000);
    }
}

static void on_marked(const struct mw_tx_result *res, void *userdata)
{
    struct gw_row *r = userdata;
    struct gw_sender *s = r->lane->s;

    if (res->error) {
        r->state = MW_OUTBOX_PENDING;
        leave(r);
        back_off(r, 1000);
        progress(s);
        return;
    }
    r->payload_changed = false;
    send_row(r);
    if (!r->busy)
        progress(s);
}

/* From here on a death of ours leaves a row that is looked for first. */
static void mark(struct gw_row *r)
{
    struct gw_sender *s = r->lane->s;
    struct mm_server_info info;

    mm_client_server(s->client, &info);
    r->state = MW_OUTBOX_SENDING;
    r->attempts++;
    if (!r->first_tried_at)
        r->first_tried_at = mw_clock_now() + info.clock_skew_ms;
    if (record_tx(r, on_marked)) {
        r->state = MW_OUTBOX_PENDING;
        leave(r);
        back_off(r, 1000);
    }
}

/* ---- Files go up before their post; a file that went up twice is not seen by anybody. ---- */

static void upload(struct gw_row *r, const char *name, const char *path, const char *inline_text);

static void next_part(struct gw_row *r)
{
    const struct gw_effect e = {.key = r->key, .channel_id = r->channel_id, .payload = r->payload};
    const char *name, *path, *inline_text;

    if (gw_effect_next_file(&e, &name, &path, &inline_text))
        upload(r, name, path, inline_text);
    else if (r->state == MW_OUTBOX_SENDING)
        send_row(r);
    else
        mark(r);
}

static void on_uploaded(struct mm_result *res, void *userdata)
{
    struct gw_row *r = userdata;
    struct gw_sender *s = r->lane->s;
    struct gw_effect e = {.key = r->key, .channel_id = r->channel_id, .payload = r->payload};
    enum verdict v = judge(res, r->kind);
    const char *id =
        mw_json_str(cJSON_GetArrayItem((cJSON *)mw_json_arr(res->body, "file_infos"), 0), "id");

    if (r->upload_fd >= 0)
        close(r->upload_fd);
    r->upload_fd = -1;
    if (v == CANCELED) {
        leave(r);
        progress(s);
        return;
    }
    if (v == GIVE_UP) {
        mw_error_prefix(&res->err, "the file could not be uploaded");
        end_refused(r, res, gw_upload_rights);
        return;
    }
    if (v != DONE || !id || gw_effect_file_done(&e, id)) {
        postpone(r, res, v == DONE ? AGAIN : v);
        record(r);
        return;
    }
    r->payload_changed = true;
    if (!s->client) {
        leave(r);
        progress(s);
        return;
    }
    next_part(r);
    if (!r->busy)
        progress(s);
}

/* Text of our own goes up from memory: a file without a name in any folder. */
static int inline_file(struct gw_row *r, const char *text, char *buf, size_t size)
{
    size_t len = strlen(text), done = 0;
    int fd = memfd_create("matterwire-upload", MFD_CLOEXEC);

    if (fd < 0)
        return -errno;
    while (done < len) {
        ssize_t n = write(fd, text + done, len - done);

        if (n < 0 && errno != EINTR) {
            int rc = -errno;

            close(fd);
            return rc;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    r->upload_fd = fd;
    snprintf(buf, size, "/proc/self/fd/%d", fd);
    return 0;
}

/* Does the error tell of the file itself? All others are troubles of the moment. */
static bool is_final(int rc)
{
    static const int errors[] = {ENOENT, EACCES, EPERM, ENOTDIR,
                                 EISDIR, EINVAL, ELOOP, ENAMETOOLONG};

    for (size_t i = 0; i < MW_ARRAY_LEN(errors); i++) {
        if (rc == -errors[i])
            return true;
    }
    return false;
}

static void upload(struct gw_row *r, const char *name, const char *path, const char *inline_text)
{
    struct gw_sender *s = r->lane->s;
    MW_AUTOERROR err = MW_ERROR_INIT;
    char buf[64];
    int rc = 0;

    if (!path && inline_text) {
        rc = inline_file(r, inline_text, buf, sizeof(buf));
        path = buf;
    } else if (path && access(path, R_OK)) {
        rc = -errno;
    }
    if (!rc)
        rc = path ? mm_upload_file(s->client, r->channel_id, path, name, NULL, on_uploaded, r)
                  : -EINVAL;
    if (!rc)
        return;
    if (r->upload_fd >= 0)
        close(r->upload_fd);
    r->upload_fd = -1;
    if (!is_final(rc)) {
        leave(r);
        back_off(r, 1000);
        return;
    }
    mw_error_set(&err, rc, "the file %s could not be read: %s", path ? path : name, strerror(-rc));
    end_failed(r, mw_error_text(&err));
}

/* ---- A row about the post of another row ---- */

struct target {
    int64_t id;
    enum mw_outbox_state state;
    char post_id[64];
};

static bool take_target(const struct mw_outbox *o, void *userdata)
{
    struct target *t = userdata;

    t->id = o->id;
    t->state = o->state;
    snprintf(t->post_id, sizeof(t->post_id), "%s", o->result_id);
    return false;
}

/* Fills in "post_id" by "post_key". The other row is before this one in the same lane, so it is
 * over; unless somebody tried it again by hand, which put it behind: then neither may wait for the
 * other. Returns 0, 1 (there is no such post, or not yet), or a negative errno. */
static int find_target(struct gw_row *r)
{
    const char *key = mw_json_str(r->payload, "post_key");
    struct target t = {0};
    int rc;

    if (!key || mw_json_str(r->payload, "post_id"))
        return 0;
    rc = mw_store_outbox_key(r->lane->s->store, r->lane->s->bot, key, take_target, &t);
    if (rc < 0)
        return rc;
    if (rc == 1 || t.state == MW_OUTBOX_FAILED || t.state == MW_OUTBOX_DROPPED) {
        end_failed(r, "the post that this is about was not sent");
        return 1;
    }
    if (t.state != MW_OUTBOX_SENT && t.id > r->id) {
        end_failed(r, "the post that this is about was tried again by hand, behind this");
        return 1;
    }
    if (t.state != MW_OUTBOX_SENT)
        return -EAGAIN;
    if (!t.post_id[0]) {
        end_failed(r, "the server did not tell the id of the post that this is about");
        return 1;
    }
    if (mw_json_add_str(r->payload, "post_id", t.post_id))
        return -ENOMEM;
    r->payload_changed = true;
    return 0;
}

void gw_row_try(struct gw_row *r)
{
    struct gw_sender *s = r->lane->s;
    int rc;

    r->busy = true;
    s->active++;
    if (r->unrecorded) {
        record(r);
        return;
    }
    if (!r->kind) {
        end_failed(r, "this version does not know this kind of effect");
        return;
    }
    rc = find_target(r);
    if (rc < 0) {
        leave(r);
        back_off(r, 1000);
        return;
    }
    if (rc)
        return;
    if (r->unsure && r->kind->look)
        look(r);
    else
        next_part(r);
}
