/* The sender against a server that fails in every way that matters. */
#include "gateway/outbox.h"

#include "base/clock.h"
#include "base/str.h"
#include "base/test.h"
#include "gateway/effect.h"
#include "gateway/test_server.h"

struct outcome {
    struct gw_sender *sender;
    int ended, sent, wanted;
    int done; /* ended == wanted */
    char post_id[64], error[256], order[256];
};

static void on_delivery(const struct gw_delivery *d, void *userdata)
{
    struct outcome *o = userdata;
    size_t len = strlen(o->order);

    o->ended++;
    o->sent += d->sent;
    snprintf(o->post_id, sizeof(o->post_id), "%s", d->post_id);
    snprintf(o->error, sizeof(o->error), "%s", d->error);
    snprintf(o->order + len, sizeof(o->order) - len, "%s%s", len ? " " : "", d->key);
    o->done = o->ended >= o->wanted;
}

static void start_sender(struct server *s, struct outcome *o)
{
    const struct gw_sender_params p = {
        .store = s->store,
        .bot = "bot",
        .retry_min_ms = 1,
        .retry_max_ms = 10,
        .on_delivery = on_delivery,
        .userdata = o,
    };

    assert_int_equal(gw_sender_new(&s->loop, &p, &o->sender), 0);
    gw_sender_set_client(o->sender, s->client);
}

static void add_row(struct server *s, const char *key, const char *kind, const char *conversation,
                    const char *payload)
{
    struct mw_tx *tx = mw_tx_new(s->store);
    const struct mw_outbox row = {
        .bot = "bot",
        .key = key,
        .kind = kind,
        .conversation = conversation,
        .channel_id = CHANNEL,
        .payload = payload,
    };

    assert_int_equal(mw_tx_outbox_add(tx, &row), 0);
    server_commit(s, tx);
}

static void add_post(struct server *s, const char *key, const char *conversation)
{
    MW_AUTOFREE char *payload = mw_asprintf("{\"message\":\"%s\",\"root_id\":\"\"}", key);

    add_row(s, key, "post", conversation, payload);
}

static bool take_state(const struct mw_outbox *row, void *userdata)
{
    *(int *)userdata = row->state;
    return false;
}

static int state_of(struct server *s, const char *key)
{
    int state = 0;

    assert_int_equal(mw_store_outbox_key(s->store, "bot", key, take_state, &state), 0);
    return state;
}

static bool take_id(const struct mw_outbox *row, void *userdata)
{
    *(int64_t *)userdata = row->id;
    return false;
}

static int64_t id_of(struct server *s, const char *key)
{
    int64_t id = 0;

    assert_int_equal(mw_store_outbox_key(s->store, "bot", key, take_id, &id), 0);
    return id;
}

static void finish_sender(struct server *s, struct outcome *o)
{
    /* The server had it; now the record. */
    while (gw_sender_busy(o->sender))
        uv_run(&s->loop, UV_RUN_ONCE);
}

static void stop_sender(struct outcome *o)
{
    assert_false(gw_sender_busy(o->sender));
    gw_sender_free(o->sender);
}

/* Sends one post under a script; afterwards the row's state and what the server holds are told. */
static void send_one(struct server *s, struct outcome *o, const char *script)
{
    s->script = script;
    o->wanted = 1;
    add_post(s, "k1", "c");
    start_sender(s, o);
    server_wait(s, &o->done);
    finish_sender(s, o);
}

static void sends(void **state)
{
    struct server *s = *state;
    struct outcome o = {0};
    const cJSON *post;

    send_one(s, &o, "");
    assert_int_equal(o.sent, 1);
    assert_string_equal(server_messages(s), "k1");
    assert_int_equal(state_of(s, "k1"), MW_OUTBOX_SENT);
    post = cJSON_GetArrayItem(s->posts, 0);
    assert_string_equal(mw_json_str(mw_json_obj(post, "props"), GW_KEY_PROP), "k1");
    assert_true(mw_starts_with(mw_json_str(post, "pending_post_id"), BOT_ID ":"));
    assert_string_equal(o.post_id, mw_json_str(post, "id"));
    stop_sender(&o);
}

/* Scripts under which the post arrives once; `looks`: whether the key had to be looked for. */
static void survives(void **state)
{
    static const struct {
        const char *script;
        bool looks;
    } cases[] = {
        {"d", true},  {"x", true},  {"6", true},      {"5", true}, {"xxd", true}, {"p", false},
        {"u", false}, {"l", false}, {"pul5x6", true}, {"e", true}, {"1", false},
    };
    struct server *s = *state;

    for (size_t i = 0; i < MW_ARRAY_LEN(cases); i++) {
        struct outcome o = {.wanted = 1};
        MW_AUTOFREE char *key = mw_asprintf("key%zu", i);
        int before = cJSON_GetArraySize(s->posts), looks = s->looks;

        s->script = cases[i].script;
        add_post(s, key, "c");
        start_sender(s, &o);
        server_wait(s, &o.done);
        finish_sender(s, &o);
        assert_int_equal(o.sent, 1);
        assert_int_equal(cJSON_GetArraySize(s->posts), before + 1);
        if ((s->looks > looks) != cases[i].looks)
            fail_msg("script %s: %d looks", cases[i].script, s->looks - looks);
        assert_string_equal(o.post_id, mw_json_str(cJSON_GetArrayItem(s->posts, before), "id"));
        stop_sender(&o);
    }
}

/* After an unclear try a clear "not now" says nothing about the first one. */
static void looks_until_it_is_clear(void **state)
{
    struct server *s = *state;
    struct outcome o = {0};

    send_one(s, &o, "xu");
    assert_int_equal(s->looks, 2);
    assert_string_equal(server_messages(s), "k1");
    stop_sender(&o);
}

static bool take_wait(const struct mw_outbox *row, void *userdata)
{
    *(int64_t *)userdata = row->not_before - mw_clock_now();
    return false;
}

/* A Retry-After of a year is a mistake of whoever stands in front of the server. */
static void waits_ten_minutes_at_most(void **state)
{
    struct server *s = *state;
    struct outcome o = {.wanted = 1};
    int64_t wait = 0;

    s->script = "w";
    add_post(s, "k1", "c");
    start_sender(s, &o);
    while (!s->tries || gw_sender_busy(o.sender))
        uv_run(&s->loop, UV_RUN_ONCE);
    assert_int_equal(mw_store_outbox_key(s->store, "bot", "k1", take_wait, &wait), 0);
    assert_in_range(wait, 1, 10 * 60 * 1000);
    gw_sender_retry(o.sender);
    server_wait(s, &o.done);
    finish_sender(s, &o);
    assert_string_equal(server_messages(s), "k1");
    stop_sender(&o);
}

static void gives_up_when_refused(void **state)
{
    struct server *s = *state;
    struct outcome o = {.wanted = 3};

    s->script = "rfo";
    add_post(s, "k1", "c");
    add_post(s, "k2", "c");
    add_post(s, "k3", "c");
    start_sender(s, &o);
    server_wait(s, &o.done);
    finish_sender(s, &o);
    assert_int_equal(o.sent, 1);
    assert_int_equal(state_of(s, "k1"), MW_OUTBOX_FAILED);
    assert_int_equal(state_of(s, "k2"), MW_OUTBOX_FAILED);
    assert_int_equal(state_of(s, "k3"), MW_OUTBOX_SENT);
    assert_string_equal(server_messages(s), "k3");
    stop_sender(&o);
}

/* What waits in a conversation waits for its first; other conversations do not. */
static void keeps_order(void **state)
{
    struct server *s = *state;
    struct outcome o = {.wanted = 6};

    s->script = "xo5o";
    for (int i = 0; i < 6; i++) {
        MW_AUTOFREE char *key = mw_asprintf("k%d", i);

        add_post(s, key, i % 2 ? "odd" : "even");
    }
    start_sender(s, &o);
    server_wait(s, &o.done);
    finish_sender(s, &o);
    assert_int_equal(o.sent, 6);
    assert_true(strstr(o.order, "k0") < strstr(o.order, "k2"));
    assert_true(strstr(o.order, "k2") < strstr(o.order, "k4"));
    assert_true(strstr(o.order, "k1") < strstr(o.order, "k3"));
    assert_true(strstr(o.order, "k3") < strstr(o.order, "k5"));
    assert_int_equal(cJSON_GetArraySize(s->posts), 6);
    stop_sender(&o);
}

static void waits_for_a_server_that_is_away(void **state)
{
    struct server *s = *state;
    struct outcome o = {.wanted = 1};
    struct gw_sender_stats st = {0};

    server_close(s);
    add_post(s, "k1", "c");
    start_sender(s, &o);
    while (st.retries < 2) {
        uv_run(&s->loop, UV_RUN_ONCE);
        gw_sender_get_stats(o.sender, &st);
    }
    assert_non_null(st.last_error);
    assert_int_equal(o.ended, 0);
    server_listen(s);
    gw_sender_retry(o.sender);
    server_wait(s, &o.done);
    finish_sender(s, &o);
    assert_int_equal(o.sent, 1);
    assert_string_equal(server_messages(s), "k1");
    stop_sender(&o);
}

/* The row that a dead daemon left behind. */
static void leave_row(struct server *s, const char *key)
{
    struct mw_tx *tx = mw_tx_new(s->store);
    int64_t id = 0;

    add_post(s, key, "c");
    assert_int_equal(mw_store_outbox_count(s->store, NULL, MW_OUTBOX_PENDING, &id), 0);
    assert_int_equal(id, 1);
    assert_int_equal(
        mw_tx_outbox_update(tx, 1, MW_OUTBOX_SENDING, 1, 0, mw_clock_now(), "", "", NULL), 0);
    server_commit(s, tx);
}

static void restart_not_there(void **state)
{
    struct server *s = *state;
    struct outcome o = {.wanted = 1};

    leave_row(s, "k1");
    start_sender(s, &o);
    server_wait(s, &o.done);
    finish_sender(s, &o);
    assert_int_equal(s->looks, 1);
    assert_int_equal(s->tries, 1);
    assert_string_equal(server_messages(s), "k1");
    stop_sender(&o);
}

/* 250 posts of others, one of them ours. */
static void fill(struct server *s, int ours, const char *key)
{
    int64_t now = mw_clock_now();

    for (int i = 0; i < 250; i++) {
        cJSON *post = cJSON_CreateObject(), *props = cJSON_CreateObject();
        MW_AUTOFREE char *id = mw_asprintf("p%025d", i);

        mw_json_add_str(post, "id", id);
        mw_json_add_str(post, "user_id", i == ours ? BOT_ID : "somebody");
        /* The same key by somebody else is not ours. */
        mw_json_add_str(props, GW_KEY_PROP, i == ours || i == 200 ? key : "other");
        mw_json_add(post, "props", props);
        mw_json_add_i64(post, "create_at", now + i);
        cJSON_AddItemToArray(s->posts, post);
    }
}

static void finds(struct server *s, const char *post_id)
{
    struct outcome o = {.wanted = 1};
    struct gw_sender_stats st;

    start_sender(s, &o);
    server_wait(s, &o.done);
    finish_sender(s, &o);
    assert_int_equal(s->looks, 2);
    assert_int_equal(s->tries, 0);
    assert_string_equal(o.post_id, post_id);
    gw_sender_get_stats(o.sender, &st);
    assert_int_equal(st.found, 1);
    stop_sender(&o);
}

/* The post is behind a page of others. */
static void restart_there(void **state)
{
    struct server *s = *state;

    leave_row(s, "k1");
    fill(s, 7, "k1");
    finds(s, "p0000000000000000000000007");
}

/* It is the first one behind the page, and of the page some are deleted. */
static void restart_there_while_others_go(void **state)
{
    struct server *s = *state;

    leave_row(s, "k1");
    fill(s, 49, "k1");
    s->remove_after_look = 3;
    finds(s, "p0000000000000000000000049");
}

/* The post that the next page was asked by went for good. */
static void restart_there_without_anchor(void **state)
{
    struct server *s = *state;
    struct outcome o = {.wanted = 1};

    leave_row(s, "k1");
    fill(s, 7, "k1");
    s->lose_anchor = true;
    start_sender(s, &o);
    server_wait(s, &o.done);
    finish_sender(s, &o);
    assert_int_equal(s->tries, 0);
    assert_string_equal(o.post_id, "p0000000000000000000000007");
    stop_sender(&o);
}

static void restart_seen_in_journal(void **state)
{
    struct server *s = *state;
    struct outcome o = {.wanted = 1};
    struct mw_tx *tx;
    const struct mw_event ev = {
        .bot = "bot",
        .kind = MW_EVENT_POST,
        .flags = MW_EVENT_OWN,
        .at = mw_clock_now(),
        .received_at = mw_clock_now(),
        .object = "p9",
        .post_id = "p9",
        .root_id = "",
        .channel_id = CHANNEL,
        .channel_name = "",
        .channel_type = "O",
        .team_id = "",
        .team_name = "",
        .user_id = BOT_ID,
        .user_name = "bot",
        .text = "k1",
        .files = "",
        .detail = "",
        .raw = "{\"id\":\"p9\",\"user_id\":\"" BOT_ID "\",\"props\":{\"" GW_KEY_PROP "\":\"k1\"}}",
    };

    leave_row(s, "k1");
    tx = mw_tx_new(s->store);
    assert_int_equal(mw_tx_event(tx, &ev), 0);
    server_commit(s, tx);
    start_sender(s, &o);
    server_wait(s, &o.done);
    finish_sender(s, &o);
    assert_int_equal(s->looks + s->tries, 0);
    assert_string_equal(o.post_id, "p9");
    stop_sender(&o);
}

static void other_kinds(void **state)
{
    static const struct {
        const char *kind, *payload, *method, *path;
        bool sent;
    } cases[] = {
        {"edit", "{\"post_id\":\"p1\",\"message\":\"new\"}", "PUT", "/api/v4/posts/p1/patch", true},
        {"delete", "{\"post_id\":\"p1\"}", "DELETE", "/api/v4/posts/p1", true},
        {"delete", "{\"post_id\":\"gone\"}", "DELETE", "/api/v4/posts/gone", true},
        {"reaction_add", "{\"post_id\":\"p1\",\"emoji_name\":\"+1\"}", "POST", "/api/v4/reactions",
         true},
        {"reaction_remove", "{\"post_id\":\"p1\",\"emoji_name\":\"+1\"}", "DELETE",
         "/api/v4/users/" BOT_ID "/posts/p1/reactions/+1", true},
        {"reaction_remove", "{\"post_id\":\"p1\",\"emoji_name\":\"a/b\"}", NULL, NULL, false},
        {"edit", "{}", NULL, NULL, false},
        {"sing", "{}", NULL, NULL, false},
        {"post", "no JSON", NULL, NULL, false},
    };
    struct server *s = *state;

    for (size_t i = 0; i < MW_ARRAY_LEN(cases); i++) {
        struct outcome o = {.wanted = 1};
        MW_AUTOFREE char *key = mw_asprintf("kind%zu", i);

        add_row(s, key, cases[i].kind, "c", cases[i].payload);
        start_sender(s, &o);
        server_wait(s, &o.done);
        finish_sender(s, &o);
        assert_int_equal(o.sent, cases[i].sent);
        if (cases[i].sent) {
            assert_string_equal(s->last_method, cases[i].method);
            assert_string_equal(s->last_path, cases[i].path);
        } else {
            assert_true(o.error[0]);
        }
        stop_sender(&o);
    }
}

static void uploads_first(void **state)
{
    struct server *s = *state;
    struct outcome o = {.wanted = 2};
    const cJSON *post, *ids;

    s->script = "x";
    add_row(s, "k1", "post", "c",
            "{\"message\":\"see\",\"files\":[{\"name\":\"answer.md\",\"inline\":\"long text\"},"
            "{\"name\":\"passwd\",\"path\":\"/etc/hostname\"}]}");
    add_row(s, "k2", "post", "c",
            "{\"message\":\"see\",\"files\":[{\"name\":\"a\",\"path\":\"/does/not/exist\"}]}");
    start_sender(s, &o);
    server_wait(s, &o.done);
    finish_sender(s, &o);
    assert_int_equal(s->uploads, 2); /* not again after the cut connection */
    assert_int_equal(cJSON_GetArraySize(s->posts), 1);
    post = cJSON_GetArrayItem(s->posts, 0);
    ids = mw_json_arr(post, "file_ids");
    assert_int_equal(cJSON_GetArraySize(ids), 2);
    assert_string_equal(cJSON_GetArrayItem(ids, 0)->valuestring, "file1");
    assert_int_equal(state_of(s, "k2"), MW_OUTBOX_FAILED);
    assert_non_null(strstr(o.error, "/does/not/exist"));
    stop_sender(&o);
}

static void on_other_call(struct mm_result *r, void *userdata)
{
    ++*(int *)userdata;
}

/* That the client has too much to do for now says nothing about the file. */
static void uploads_later(void **state)
{
    struct server *s = *state;
    struct outcome o = {.wanted = 1};
    int others = 0, answered = 0;

    add_row(s, "k1", "post", "c",
            "{\"message\":\"see\",\"files\":[{\"name\":\"a\",\"inline\":\"text\"}]}");
    while (mm_call(s->client, "GET", "/other", NULL, on_other_call, &answered) == 0)
        others++;
    start_sender(s, &o);
    server_wait(s, &o.done);
    finish_sender(s, &o);
    assert_int_equal(o.sent, 1);
    assert_int_equal(s->uploads, 1);
    while (answered < others)
        uv_run(&s->loop, UV_RUN_ONCE);
    stop_sender(&o);
}

/* What is tried again by hand goes behind what waits: also behind what is about it. */
static void does_not_wait_for_what_is_behind(void **state)
{
    struct server *s = *state;
    struct outcome o = {.wanted = 2};
    struct mw_tx *tx;

    add_post(s, "k1", "c");
    add_row(s, "k2", "edit", "c", "{\"post_key\":\"k1\",\"message\":\"new\"}");
    tx = mw_tx_new(s->store);
    assert_int_equal(mw_tx_outbox_drop(tx, id_of(s, "k1")), 0);
    server_commit(s, tx);
    tx = mw_tx_new(s->store);
    assert_int_equal(mw_tx_outbox_retry(tx, id_of(s, "k1")), 0);
    server_commit(s, tx);
    start_sender(s, &o);
    server_wait(s, &o.done);
    finish_sender(s, &o);
    assert_int_equal(state_of(s, "k1"), MW_OUTBOX_SENT);
    assert_int_equal(state_of(s, "k2"), MW_OUTBOX_FAILED);
    stop_sender(&o);
}

/* The bot was removed and came back while the store stood still. */
static void drop_of_an_earlier_life(void **state)
{
    struct server *s = *state;
    struct outcome o = {.wanted = 1};

    start_sender(s, &o);
    gw_sender_drop_end(o.sender, 1, true);
    add_post(s, "k1", "c");
    gw_sender_wake(o.sender);
    server_wait(s, &o.done);
    finish_sender(s, &o);
    assert_string_equal(server_messages(s), "k1");
    stop_sender(&o);
}

/* More rows than fit into the window. */
static void reads_on(void **state)
{
    struct server *s = *state;
    struct outcome o = {.wanted = 30};
    const struct gw_sender_params p = {
        .store = s->store,
        .bot = "bot",
        .window = 4,
        .on_delivery = on_delivery,
        .userdata = &o,
    };

    for (int i = 0; i < 30; i++) {
        MW_AUTOFREE char *key = mw_asprintf("k%d", i);

        add_post(s, key, i % 3 ? "a" : "b");
    }
    assert_int_equal(gw_sender_new(&s->loop, &p, &o.sender), 0);
    gw_sender_set_client(o.sender, s->client);
    server_wait(s, &o.done);
    finish_sender(s, &o);
    assert_int_equal(o.sent, 30);
    assert_int_equal(cJSON_GetArraySize(s->posts), 30);
    stop_sender(&o);
}

/* Nothing gets through in one conversation, and more waits there than fits into the window: the
 * others go on, and it keeps its order when it can go on, too. */
static void stuck_conversation(void **state)
{
    struct server *s = *state;
    struct outcome o = {.wanted = 40};
    const struct gw_sender_params p = {
        .store = s->store,
        .bot = "bot",
        .window = 75,
        .retry_min_ms = 1,
        .retry_max_ms = 10,
        .on_delivery = on_delivery,
        .userdata = &o,
    };
    MW_AUTOBUF expected = {0};

    s->unwanted = "no";
    for (int i = 0; i < 200; i++) {
        MW_AUTOFREE char *key = mw_asprintf("no%d", i);

        add_post(s, key, "a");
    }
    assert_int_equal(gw_sender_new(&s->loop, &p, &o.sender), 0);
    gw_sender_set_client(o.sender, s->client);
    for (int i = 0; i < 40; i++) {
        MW_AUTOFREE char *key = mw_asprintf("b%d", i);

        add_post(s, key, "b");
        mw_buf_printf(&expected, "%sb%d", i ? "|" : "", i);
        gw_sender_wake(o.sender);
    }
    server_wait(s, &o.done);
    assert_string_equal(server_messages(s), mw_buf_str(&expected));
    for (int i = 0; i < 200; i++)
        mw_buf_printf(&expected, "|no%d", i);
    o.done = 0;
    o.wanted = 240;
    s->unwanted = NULL;
    server_wait(s, &o.done);
    finish_sender(s, &o);
    assert_string_equal(server_messages(s), mw_buf_str(&expected));
    stop_sender(&o);
}

/* The account goes away in the middle of a call; another one finds what the first one did. */
static void changes_account(void **state)
{
    struct server *s = *state;
    struct outcome o = {.wanted = 1};

    add_post(s, "k1", "c");
    start_sender(s, &o);
    while (!s->tries)
        uv_run(&s->loop, UV_RUN_ONCE);
    gw_sender_set_client(o.sender, NULL);
    mm_client_free(s->client);
    server_connect(s);
    gw_sender_set_client(o.sender, s->client);
    server_wait(s, &o.done);
    finish_sender(s, &o);
    assert_int_equal(o.sent, 1);
    assert_string_equal(server_messages(s), "k1");
    stop_sender(&o);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, server_setup, server_teardown)
    const struct CMUnitTest tests[] = {
        TEST(sends),
        TEST(survives),
        TEST(looks_until_it_is_clear),
        TEST(waits_ten_minutes_at_most),
        TEST(gives_up_when_refused),
        TEST(keeps_order),
        TEST(waits_for_a_server_that_is_away),
        TEST(restart_not_there),
        TEST(restart_there),
        TEST(restart_there_while_others_go),
        TEST(restart_there_without_anchor),
        TEST(restart_seen_in_journal),
        TEST(other_kinds),
        TEST(uploads_first),
        TEST(uploads_later),
        TEST(does_not_wait_for_what_is_behind),
        TEST(drop_of_an_earlier_life),
        TEST(reads_on),
        TEST(stuck_conversation),
        TEST(changes_account),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
