/*
 * A post whose request, or whose answer, is cut at each byte in its turn: it is on the server once,
 * and the sender knows its id. The server of this test takes what it gets, without remembering
 * `pending_post_id`s: only the sender's own look keeps it from posting twice.
 */
#include "base/str.h"
#include "base/test.h"
#include "gateway/effect.h"
#include "gateway/outbox.h"
#include "gateway/test_server.h"
#include "io/test_relay.h"

struct outcome {
    int done;
    bool sent;
    char post_id[64];
};

static void on_delivery(const struct gw_delivery *d, void *userdata)
{
    struct outcome *o = userdata;

    o->done++;
    o->sent = d->sent;
    snprintf(o->post_id, sizeof(o->post_id), "%s", d->post_id);
}

static void on_started(struct mm_result *r, void *userdata)
{
    assert_int_equal(r->outcome, MM_OK);
    *(int *)userdata = 1;
}

static struct mm_client *client_behind(struct server *s, const struct test_relay *relay)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOFREE char *endpoint = mw_asprintf("http://127.0.0.1:%d", relay->port);
    const struct mm_client_params p = {.endpoint = endpoint, .token = "t"};
    struct mm_client *client = NULL;
    int started = 0;

    if (mm_client_new(&s->loop, &p, &client, &err))
        fail_msg("%s", mw_error_text(&err));
    assert_int_equal(mm_client_start(client, on_started, &started), 0);
    server_wait(s, &started);
    return client;
}

static void add_post(struct server *s, const char *key)
{
    struct mw_tx *tx = mw_tx_new(s->store);
    const struct mw_outbox row = {
        .bot = "bot",
        .key = key,
        .kind = "post",
        .conversation = "c",
        .channel_id = CHANNEL,
        .payload = "{\"message\":\"hello\",\"root_id\":\"\"}",
    };

    assert_int_equal(mw_tx_outbox_add(tx, &row), 0);
    server_commit(s, tx);
}

/* Posts once, cut after n bytes; returns whether it came so far. */
static bool post_cut(struct server *s, size_t n, bool upstream)
{
    static struct test_relay relay;
    struct outcome o = {0};
    const struct gw_sender_params p = {
        .store = s->store,
        .bot = "bot",
        .retry_min_ms = 1,
        .retry_max_ms = 10,
        .on_delivery = on_delivery,
        .userdata = &o,
    };
    struct gw_sender *sender = NULL;
    struct mm_client *client;
    char key[32];

    relay = (struct test_relay){.upstream = upstream, .reset = n & 1, .cut_at = SIZE_MAX};
    test_relay_open(&relay, &s->loop, s->port);
    client = client_behind(s, &relay);
    relay.passed = 0;
    relay.cut_at = n;
    cJSON_Delete(s->posts);
    s->posts = cJSON_CreateArray();
    snprintf(key, sizeof(key), "%s-%zu", upstream ? "up" : "down", n);
    add_post(s, key);
    assert_int_equal(gw_sender_new(&s->loop, &p, &sender), 0);
    gw_sender_set_client(sender, client);
    server_wait(s, &o.done);
    while (gw_sender_busy(sender))
        uv_run(&s->loop, UV_RUN_ONCE);
    gw_sender_free(sender);
    mm_client_free(client);
    test_relay_close(&relay);
    for (int i = 0; i < 10; i++)
        uv_run(&s->loop, UV_RUN_NOWAIT);

    assert_true(o.sent);
    assert_int_equal(o.done, 1);
    assert_string_equal(server_messages(s), "hello");
    assert_string_equal(o.post_id, mw_json_str(cJSON_GetArrayItem(s->posts, 0), "id"));
    return relay.cut;
}

/* Durability is not what is tested here: without waits for the disk. */
static int setup(void **state)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mw_store_params p = {.synchronous_full = 0};
    struct server *s;
    int r = server_setup(state);

    s = *state;
    p.path = s->path;
    mw_store_close(take_ptr(s->store));
    uv_run(&s->loop, UV_RUN_NOWAIT);
    if (mw_store_open(&s->loop, &p, &s->store, &err))
        fail_msg("%s", mw_error_text(&err));
    return r;
}

static void test_answer(void **state)
{
    size_t n = 0;

    while (post_cut(*state, n, false))
        n++;
    print_message("cut at each of %zu bytes\n", n);
    assert_true(n > 200);
}

static void test_request(void **state)
{
    size_t n = 0;

    while (post_cut(*state, n, true))
        n++;
    print_message("cut at each of %zu bytes\n", n);
    assert_true(n > 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answer, setup, server_teardown),
        cmocka_unit_test_setup_teardown(test_request, setup, server_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
