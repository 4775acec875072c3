#include "handlers/chat_prompt.h"

#include <unistd.h>

#include "base/str.h"
#include "base/test.h"

struct fixture {
    struct mw_event ev;
    struct gw_turn turn;
    struct gw_chat_prompt p;
    char dir[64];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->ev = (struct mw_event){
        .id = 9,
        .bot = "b",
        .kind = MW_EVENT_POST,
        .flags = MW_EVENT_MENTION,
        .at = 1000,
        .object = "p9",
        .post_id = "p9",
        .root_id = "p1",
        .channel_id = "c1",
        .channel_name = "town",
        .channel_type = "O",
        .team_id = "t1",
        .team_name = "dev",
        .user_id = "u1",
        .user_name = "ada",
        .text = "@helper and now?",
        .files = "",
        .detail = "",
        .raw = "",
    };
    f->turn = (struct gw_turn){
        .ev = &f->ev, .text = "and now?", .conversation = "c1/p1", .root_id = "p1"};
    f->p = (struct gw_chat_prompt){
        .system = "Be brief.", .bot = "helper", .turn = &f->turn, .max_before = 1000};
    snprintf(f->dir, sizeof(f->dir), "/tmp/chat_prompt_test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    MW_AUTOFREE char *command = mw_asprintf("rm -r %s", f->dir);

    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

/* The messages behind the first one, as "role: content / role: content". */
static char *messages(const struct fixture *f, const char *before)
{
    MW_AUTOJSON *tree = NULL, *events = NULL;
    struct gw_chat_prompt p = f->p;
    struct mw_buf b = {0};
    const cJSON *m;

    if (before)
        assert_int_equal(mw_json_parse(before, strlen(before), &events, NULL), 0);
    p.before = events;
    assert_int_equal(gw_chat_messages(&p, &tree), 0);
    assert_string_equal(mw_json_str(tree->child, "role"), "system");
    for (m = tree->child->next; m; m = m->next) {
        const char *content = mw_json_str(m, "content");
        MW_AUTOFREE char *parts = content ? NULL : mw_json_print(mw_json_get(m, "content"));

        mw_buf_printf(&b, "%s%s: %s", b.len ? " / " : "", mw_json_str(m, "role"),
                      content ? content : parts);
    }
    return mw_buf_take(&b);
}

static void expect(const struct fixture *f, const char *before, const char *expected)
{
    MW_AUTOFREE char *got = messages(f, before);

    assert_string_equal(got, expected);
}

#define POST(id, at, name, text)                                                                   \
    "{\"kind\":\"post\",\"post_id\":\"" id "\",\"at\":" #at ",\"user_id\":\"u-" name               \
    "\",\"user_name\":\"" name "\",\"text\":\"" text "\"}"
#define OWN(id, at, text)                                                                          \
    "{\"kind\":\"post\",\"post_id\":\"" id "\",\"at\":" #at                                        \
    ",\"own\":true,\"user_name\":\"helper\",\"text\":\"" text "\"}"

static void who_and_where(void **state)
{
    struct fixture *f = *state;
    static const struct {
        unsigned flags;
        const char *part;
    } rows[] = {
        {0, "in the channel town of the team dev."},
        {MW_EVENT_DIRECT, "in a direct message with one person."},
        {MW_EVENT_GROUP, "in a group message."},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        MW_AUTOJSON *tree = NULL;
        const char *text;

        f->ev.flags = rows[i].flags;
        assert_int_equal(gw_chat_messages(&f->p, &tree), 0);
        text = mw_json_str(tree->child, "content");
        assert_true(mw_starts_with(text, "Be brief.\n\nYou are @helper, a bot"));
        assert_non_null(strstr(text, rows[i].part));
    }
}

static void what_was_said(void **state)
{
    struct fixture *f = *state;

    expect(f, NULL, "user: ada: and now?");
    expect(f, "[]", "user: ada: and now?");
    /* In order, by name, neighbours together; not the turn itself, not what came later, nothing of
     * the system; but a late answer of the bot. */
    expect(
        f,
        "[" POST("p1", 1, "bob", "one") "," POST("p2", 2, "ada", "two") "," OWN(
            "p3", 3,
            "three") "," POST("p4", 4, "eve",
                              "four") ",{\"kind\":\"post\",\"post_id\":\"p5\",\"at\":5,"
                                      "\"system\":true,\"text\":\"joined\"},{\"kind\":\"reaction_"
                                      "added\",\"post_id\":\"p1\","
                                      "\"at\":6,\"text\":\"smile\"}," POST(
                                          "p9", 1000, "ada",
                                          "@helper and now?") "," POST("p10", 1001, "eve",
                                                                       "later") "," OWN("p11", 1002,
                                                                                        "late") "]",
        "user: bob: one\n\nada: two / assistant: three / user: eve: four / assistant: late / "
        "user: ada: and now?");
    /* A post that is but a file. */
    expect(
        f,
        "[{\"kind\":\"post\",\"post_id\":\"p1\",\"at\":1,\"user_name\":\"bob\",\"files\":[\"f\"]}"
        ",{\"kind\":\"post\",\"post_id\":\"p2\",\"at\":2,\"user_name\":\"bob\"}]",
        "user: bob: (a file)\n\nada: and now?");
    f->p.since = 2;
    expect(f, "[" POST("p1", 1, "bob", "one") "," POST("p2", 2, "ada", "two") "]",
           "user: ada: two\n\nada: and now?");
    /* Of the bot's own what follows directly is about the past. */
    expect(f,
           "[" OWN("p1", 1, "one") "," OWN("p2", 2, "starts anew") "," POST(
               "p3", 3, "bob", "three") "," OWN("p4", 4, "four") "]",
           "user: bob: three / assistant: four / user: ada: and now?");
}

static void bounded_to_whole_posts(void **state)
{
    static const char before[] = "[" OWN("p1", 1, "aaaa") "," POST("p2", 2, "bob", "bbbb") "," OWN(
        "p3", 3, "cccc") "," OWN("p4", 4, "dddd") "]";
    struct fixture *f = *state;
    static const struct {
        size_t max;
        const char *expected;
    } rows[] = {
        {0, "user: ada: and now?"},
        {11, "user: ada: and now?"},
        {12, "assistant: dddd / user: ada: and now?"},
        {32, "assistant: cccc\n\ndddd / user: ada: and now?"},
        {33, "user: bob: bbbb / assistant: cccc\n\ndddd / user: ada: and now?"},
        {1000, "assistant: aaaa / user: bob: bbbb / assistant: cccc\n\ndddd / user: ada: and now?"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        f->p.max_before = rows[i].max;
        expect(f, before, rows[i].expected);
    }
}

/* An earlier attempt may have died while it was shown. */
static void its_own_half_of_an_answer_is_not_history(void **state)
{
    struct fixture *f = *state;

    f->turn.key = "p9.1.0";
    expect(
        f,
        "[" POST("p1", 10, "bob", "hello") ",{\"kind\":\"post\",\"post_id\":\"p10\",\"at\":1001,"
                                           "\"own\":true,\"text\":\"half an\",\"raw\":{\"props\":"
                                           "{\"matterwire_key\":\"p9.1.0.preview\"}}}]",
        "user: bob: hello\n\nada: and now?");
}

/* Quick messages that are one turn are not shown a second time. */
static void joined_messages(void **state)
{
    struct fixture *f = *state;

    f->ev.text = "two";
    f->ev.user_id = "u-ada";
    f->turn.text = "one\n\ntwo";
    expect(f, "[" POST("p1", 1, "bob", "one") "," POST("p2", 2, "ada", "one") "]",
           "user: bob: one\n\nada: one\n\ntwo");
}

static void other_kinds(void **state)
{
    struct fixture *f = *state;

    f->ev.kind = MW_EVENT_REACTION_ADDED;
    f->ev.user_name = "";
    f->turn.text = "eyes";
    expect(f, NULL, "user: somebody: [reaction_added] eyes");
}

static void places(void **state)
{
    struct fixture *f = *state;
    struct gw_chat_place place = gw_chat_place(&f->turn);

    assert_string_equal(place.root_id, "p1"); /* a reply: its thread */
    assert_null(place.channel_id);
    f->ev.root_id = "";
    f->turn.root_id = "p9";
    place = gw_chat_place(&f->turn); /* it begins a thread */
    assert_true(!place.root_id && !place.channel_id);
    f->ev.flags = MW_EVENT_DIRECT;
    place = gw_chat_place(&f->turn);
    assert_string_equal(place.channel_id, "c1");
    f->ev.flags = 0;
    f->turn.root_id = ""; /* the answer goes to the channel */
    place = gw_chat_place(&f->turn);
    assert_string_equal(place.channel_id, "c1");
}

static char *write_file(const struct fixture *f, const char *name, const char *data, size_t len)
{
    char *path = mw_asprintf("%s/%s", f->dir, name);
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    return path;
}

static void files_of_the_turn(void **state)
{
    struct fixture *f = *state;
    MW_AUTOFREE char *image = write_file(f, "a.png", "PNG!", 4);
    MW_AUTOFREE char *text = write_file(f, "b.txt", "hello\n", 6);
    MW_AUTOFREE char *binary = write_file(f, "c.bin", "a\0b", 3);
    MW_AUTOFREE char *long_data = calloc(1, 70000), *large = NULL;

    memset(long_data, 'x', 70000);
    large = write_file(f, "d.txt", long_data, 70000);
    const struct gw_turn_file files[] = {
        {.id = "1", .name = "b.txt", .mime = "text/plain", .path = text, .size = 6},
        {.id = "2", .name = "c.bin", .mime = "application/x", .path = binary, .size = 3},
        {.id = "3", .name = "d.txt", .mime = "", .path = large, .size = 70000},
        {.id = "4", .name = "e", .mime = "text/plain", .problem = "too large", .size = 9},
        {.id = "5", .name = "a.png", .mime = "image/png", .path = image, .size = 4},
    };

    f->turn.files = files;
    f->turn.n_files = 4;
    expect(f, NULL,
           "user: ada: and now?\n\n[file b.txt]\nhello\n\n[end of file b.txt]\n\n"
           "[file c.bin, application/x, 3 bytes: its content is not shown here]\n\n"
           "[file d.txt, unknown type, 70000 bytes: its content is not shown here]\n\n"
           "[file e, text/plain, 9 bytes: too large]");
    f->turn.files = &files[4];
    f->turn.n_files = 1;
    expect(f, NULL,
           "user: [{\"type\":\"text\",\"text\":\"ada: and now?\"},{\"type\":\"image_url\","
           "\"image_url\":{\"url\":\"data:image/png;base64,UE5HIQ==\"}}]");
    assert_int_equal(unlink(image), 0);
    expect(
        f, NULL,
        "user: ada: and now?\n\n[file a.png, image/png, 4 bytes: its content is not shown here]");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(its_own_half_of_an_answer_is_not_history),
        T(who_and_where),
        T(what_was_said),
        T(bounded_to_whole_posts),
        T(joined_messages),
        T(other_kinds),
        T(places),
        T(files_of_the_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
