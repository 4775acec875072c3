/* Frames and posts as events: what a recording does not show, or shows only among other things. */
#include "mattermost/normalise.h"

#include "base/str.h"
#include "base/test.h"

#define POST    "postpostpostpostpostpostpo"
#define ADA     "adaadaadaadaadaadaadaadaad"
#define CHANNEL "chanchanchanchanchanchanch"

struct fixture {
    uv_loop_t loop;
    struct mm_client *client;
    struct mm_normaliser n;
    struct mm_item item;
    bool made; /* `item` is one */
    char error[256];
};

static int setup(void **state)
{
    const struct mm_client_params p = {.endpoint = "http://127.0.0.1:1", .token = "t"};
    struct fixture *f = calloc(1, sizeof(*f));

    uv_loop_init(&f->loop);
    assert_int_equal(mm_client_new(&f->loop, &p, &f->client, NULL), 0);
    mm_normaliser_init(&f->n, f->client, "test");
    *state = f;
    return 0;
}

static void drop_item(struct fixture *f)
{
    if (f->made)
        mm_item_deinit(&f->item);
    f->made = false;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    drop_item(f);
    mm_client_free(f->client);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f);
    return 0;
}

/* Reads a frame; f->item is filled in when it returns 0. */
static int frame(struct fixture *f, const char *text)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mm_frame fr;
    int r;

    drop_item(f);
    assert_int_equal(mm_frame_parse(text, strlen(text), &fr, NULL), 0);
    r = mm_item_from_frame(&f->n, &fr, 5000, &f->item, &err);
    f->made = r == 0;
    snprintf(f->error, sizeof(f->error), "%s", r < 0 ? mw_error_text(&err) : "");
    if (r == 0)
        assert_int_equal(mm_item_fill(&f->n, &f->item), 0);
    mm_frame_deinit(&fr);
    return r;
}

/* Reads a post of REST. */
static int post(struct fixture *f, const char *members, int64_t since, int64_t new_from)
{
    MW_AUTOFREE char *text =
        mw_asprintf("{\"id\":\"" POST "\",\"user_id\":\"" ADA "\",\"channel_id\":\"" CHANNEL
                    "\",\"message\":\"hello\"%s%s}",
                    *members ? "," : "", members);
    cJSON *json = NULL;
    int r;

    drop_item(f);
    assert_int_equal(mw_json_parse(text, strlen(text), &json, NULL), 0);
    r = mm_item_from_post(&f->n, json, since, new_from, &f->item, NULL);
    f->made = r == 0;
    if (r == 0)
        assert_int_equal(mm_item_fill(&f->n, &f->item), 0);
    return r;
}

#define POSTED(message, more)                                                                      \
    "{\"event\":\"posted\",\"data\":{\"channel_name\":\"ops\",\"channel_type\":\"O\","             \
    "\"sender_name\":\"@ada\",\"post\":\"{\\\"id\\\":\\\"" POST                                    \
    "\\\",\\\"create_at\\\":100,\\\"user_id\\\":\\\"" ADA "\\\",\\\"channel_id\\\":\\\"" CHANNEL   \
    "\\\",\\\"message\\\":\\\"" message "\\\"" more                                                \
    "}\"},\"broadcast\":{\"channel_id\":\"" CHANNEL "\"},\"seq\":1}"

static void a_post(void **state)
{
    struct fixture *f = *state;
    const struct mw_event *ev = &f->item.ev;

    assert_int_equal(frame(f, POSTED("hi", "")), 0);
    assert_int_equal(ev->kind, MW_EVENT_POST);
    assert_string_equal(ev->bot, "test");
    assert_string_equal(ev->object, POST);
    assert_string_equal(ev->post_id, POST);
    assert_string_equal(ev->channel_name, "ops");
    assert_string_equal(ev->channel_type, "O");
    assert_string_equal(ev->text, "hi");
    assert_string_equal(ev->root_id, "");
    assert_string_equal(ev->files, "");
    assert_int_equal(ev->at, 100);
    assert_int_equal(ev->revision, 0);
    assert_int_equal(ev->flags, 0);
    assert_non_null(strstr(ev->raw, POST));
}

static void marks_of_a_post(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(frame(f, POSTED("x", ",\\\"type\\\":\\\"system_join_channel\\\"")), 0);
    assert_int_equal(f->item.ev.flags, MW_EVENT_SYSTEM);
    assert_int_equal(frame(f, POSTED("x", ",\\\"props\\\":{\\\"from_webhook\\\":\\\"true\\\"}")),
                     0);
    assert_int_equal(f->item.ev.flags, MW_EVENT_FROM_WEBHOOK);
}

/* Who is a bot is told by the account; what a client writes counts while that is not known. */
static void who_is_a_bot(void **state)
{
    static const char claim[] = POSTED("x", ",\\\"props\\\":{\\\"from_bot\\\":\\\"true\\\"}");
    struct mm_user ada = {.id = ADA, .username = "ada"};
    struct fixture *f = *state;

    assert_int_equal(frame(f, claim), 0);
    assert_int_equal(f->item.ev.flags, MW_EVENT_FROM_BOT);
    assert_int_equal(mm_learn_user(f->client, &ada), 0);
    assert_int_equal(frame(f, claim), 0);
    assert_int_equal(f->item.ev.flags, 0);
    ada.is_bot = true;
    assert_int_equal(mm_learn_user(f->client, &ada), 0);
    assert_int_equal(frame(f, POSTED("x", "")), 0);
    assert_int_equal(f->item.ev.flags, MW_EVENT_FROM_BOT);
}

static void files_of_a_post(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(frame(f, POSTED("x", ",\\\"file_ids\\\":[\\\"f1\\\",\\\"f2\\\"]")), 0);
    assert_string_equal(f->item.ev.files, "[\"f1\",\"f2\"]");
}

static void what_is_no_event(void **state)
{
    static const char *const frames[] = {
        "{\"event\":\"status_change\",\"data\":{},\"broadcast\":{},\"seq\":1}",
        "{\"event\":\"of_a_later_version\",\"data\":{},\"broadcast\":{},\"seq\":1}",
        "{\"event\":\"ephemeral_message\",\"data\":{\"post\":\"{}\"},\"broadcast\":{},\"seq\":1}",
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < MW_ARRAY_LEN(frames); i++)
        assert_int_equal(frame(f, frames[i]), 1);
}

static void what_cannot_be_read(void **state)
{
    static const char *const frames[] = {
        "{\"event\":\"posted\",\"data\":{},\"broadcast\":{},\"seq\":1}",
        "{\"event\":\"posted\",\"data\":{\"post\":\"{\"},\"broadcast\":{},\"seq\":1}",
        "{\"event\":\"posted\",\"data\":{\"post\":\"{\\\"id\\\":5}\"},\"broadcast\":{},\"seq\":1}",
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < MW_ARRAY_LEN(frames); i++) {
        assert_int_equal(frame(f, frames[i]), -EINVAL);
        assert_true(strlen(f->error) > 5);
    }
}

/* Of a post that catch-up finds: what happened to it since then. */
static void posts_of_rest(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(post(f, "\"create_at\":100", 50, 50), 0);
    assert_true(f->item.observed);
    assert_int_equal(f->item.ev.kind, MW_EVENT_POST);
    assert_int_equal(f->item.ev.revision, 0);

    assert_int_equal(post(f, "\"create_at\":100,\"edit_at\":120", 50, 50), 0);
    assert_true(f->item.observed);
    assert_int_equal(f->item.ev.revision, 120);

    assert_int_equal(post(f, "\"create_at\":100,\"delete_at\":130", 50, 50), 0);
    assert_true(f->item.observed);
    assert_int_equal(f->item.deleted_at, 130);

    /* Older than what is new: its edit, its deletion. */
    assert_int_equal(post(f, "\"create_at\":10,\"edit_at\":120", 50, 50), 0);
    assert_int_equal(f->item.ev.kind, MW_EVENT_POST_EDITED);
    assert_int_equal(f->item.ev.revision, 120);
    assert_int_equal(post(f, "\"create_at\":10,\"delete_at\":130", 50, 50), 0);
    assert_int_equal(f->item.ev.kind, MW_EVENT_POST_DELETED);

    /* A pin or a preview is no edit. */
    assert_int_equal(post(f, "\"create_at\":10,\"update_at\":120", 50, 50), 1);
}

static void what_is_missing_is_named(void **state)
{
    struct fixture *f = *state;
    struct mm_missing missing;

    assert_int_equal(post(f, "\"create_at\":100", 50, 50), 0);
    assert_true(mm_item_missing(&f->n, &f->item, &missing));
    assert_string_equal(missing.user_id, ADA);
    assert_string_equal(missing.channel_id, CHANNEL);
    assert_string_equal(f->item.ev.user_name, "");

    assert_int_equal(mm_learn_user(f->client, &(struct mm_user){.id = ADA, .username = "ada"}), 0);
    assert_int_equal(mm_learn_channel(f->client, &(struct mm_channel){.id = CHANNEL,
                                                                      .name = "ops",
                                                                      .display_name = "Ops",
                                                                      .type = "D",
                                                                      .team_id = ""}),
                     0);
    assert_false(mm_item_missing(&f->n, &f->item, &missing));
    assert_int_equal(mm_item_fill(&f->n, &f->item), 0);
    assert_string_equal(f->item.ev.user_name, "ada");
    assert_string_equal(f->item.ev.channel_name, "ops");
    assert_int_equal(f->item.ev.flags & MW_EVENT_DIRECT, MW_EVENT_DIRECT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_post),          TEST(marks_of_a_post),          TEST(who_is_a_bot),
        TEST(files_of_a_post), TEST(what_is_no_event),         TEST(what_cannot_be_read),
        TEST(posts_of_rest),   TEST(what_is_missing_is_named),
    };

    return cmocka_run_group_tests_name("normalise", tests, NULL, NULL);
}
