/* A program that runs on: everything that it may say, and its bad ends. */
#include "base/str.h"
#include "base/test.h"
#include "handlers/handlers.h"
#include "io/handle.h"

struct fixture {
    uv_loop_t loop;
    struct mw_timer *alarm;
    struct gw_handler_config config;
    struct gw_handler_host host;
    struct gw_handler_instance *in;
    char *argv[3];
};

struct turn {
    struct fixture *f;
    struct gw_handler_run *run;
    struct mw_event ev;
    struct mw_buf text, activity;
    int done;
    enum gw_handler_end end;
    char answer[2048], error[1024];
};

static void on_alarm(void *userdata)
{
    fail_msg("the program does not answer");
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    uv_loop_init(&f->loop);
    assert_int_equal(mw_timer_new(&f->loop, on_alarm, f, &f->alarm), 0);
    f->config = (struct gw_handler_config){
        .name = (char *)"h", .type = (char *)"process", .workdir = (char *)"/"};
    f->host = (struct gw_handler_host){.loop = &f->loop, .config = &f->config};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    if (f->in)
        gw_process_handler.close(f->in);
    mw_timer_free(f->alarm);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f);
    return 0;
}

static void on_text(void *turn, const char *text, size_t len)
{
    struct turn *t = turn;

    assert_int_equal(t->done, 0);
    mw_buf_append(&t->text, text, len);
    mw_buf_putc(&t->text, '|');
}

static void on_activity(void *turn, const struct gw_activity *a)
{
    struct turn *t = turn;

    mw_buf_printf(&t->activity, "%s %s %d|", a->id, a->title, a->state);
}

static void on_end(void *turn, const struct gw_handler_answer *a)
{
    struct turn *t = turn;
    MW_AUTOFREE char *json = a->json ? mw_json_print(a->json) : NULL;

    t->done++;
    t->end = a->end;
    snprintf(t->answer, sizeof(t->answer), "%s", json ? json : a->text);
    snprintf(t->error, sizeof(t->error), "%s",
             mw_error_is_set(&a->err) ? mw_error_text(&a->err) : "");
}

static const struct gw_turn_ops ops = {.text = on_text, .activity = on_activity, .end = on_end};

static void program(struct fixture *f, const char *script)
{
    f->argv[0] = (char *)"/bin/sh";
    f->argv[1] = (char *)"-c";
    f->argv[2] = (char *)script;
    f->config.command = (struct gw_strings){.items = f->argv, .n = 3};
    if (!f->in)
        assert_int_equal(gw_process_handler.open(&f->host, &f->in, NULL), 0);
}

static int try_start(struct fixture *f, struct turn *t, const char *text, struct mw_error *err)
{
    *t = (struct turn){.f = f};
    t->ev = (struct mw_event){
        .id = 42,
        .bot = "b",
        .kind = MW_EVENT_POST,
        .object = "p1",
        .post_id = "p1",
        .root_id = "",
        .channel_id = "c1",
        .channel_name = "town",
        .channel_type = "O",
        .team_id = "",
        .team_name = "",
        .user_id = "u1",
        .user_name = "ada",
        .text = text,
        .files = "",
        .detail = "",
        .raw = "",
    };
    const struct gw_turn_file files[] = {
        {.id = "f1", .name = "a.txt", .mime = "text/plain", .path = "/tmp/a.txt", .size = 5},
        {.id = "f2", .name = "b.txt", .problem = "too large"},
    };
    const struct gw_turn turn = {
        .ev = &t->ev,
        .text = text,
        .conversation = "conv",
        .root_id = "p1",
        .files = files,
        .n_files = 2,
        .timeout_ms = 1000,
    };
    return gw_process_handler.start(f->in, &turn, &ops, t, &t->run, err);
}

static void begin(struct fixture *f, struct turn *t, const char *text)
{
    assert_int_equal(try_start(f, t, text, NULL), 0);
    assert_int_equal(t->done, 0);
}

static void wait_end(struct turn *t)
{
    mw_timer_start(t->f->alarm, 20000);
    while (!t->done)
        uv_run(&t->f->loop, UV_RUN_ONCE);
    mw_timer_stop(t->f->alarm);
}

static void turn_free(struct turn *t)
{
    assert_int_equal(t->done, 1);
    mw_buf_deinit(&t->text);
    mw_buf_deinit(&t->activity);
}

/* Says what it is told: @ stands for the id of the question, ' for a quote, ; for the end of a
 * line. */
#define SAYS                                                                                       \
    "while read -r line; do id=${line#*:}; id=${id%%,*}; text=${line##*'\"text\":\"'};"            \
    "text=${text%%'\",\"conversation'*};"                                                          \
    "printf '%s\\n' \"$text\" | sed \"s/@/$id/g; s/'/\\\"/g\" | tr ';' '\\n'; done"

static void what_it_may_say(void **state)
{
    static const struct {
        const char *says;
        enum gw_handler_end end;
        const char *answer, *error, *text, *activity;
    } rows[] = {
        {"{'id':@,'text':'hi'}", GW_HANDLER_ANSWERED, "hi", "", "", ""},
        {"{'id':@,'text':'  '}", GW_HANDLER_EMPTY, "", "", "", ""},
        {"{'id':@,'none':true}", GW_HANDLER_EMPTY, "", "", "", ""},
        {"{'id':@,'error':'no luck'}", GW_HANDLER_FAILED, "", "no luck", "", ""},
        {"{'id':@,'error':''}", GW_HANDLER_FAILED, "", "the program says that it failed", "", ""},
        {"{'id':@,'text':'hi','files':['a']}", GW_HANDLER_ANSWERED,
         "{\"text\":\"hi\",\"files\":[\"a\"]}", "", "", ""},
        {"{'id':@,'delta':'ha'};{'id':@,'delta':'llo'};{'id':@,'done':true}", GW_HANDLER_ANSWERED,
         "hallo", "", "ha|llo|", ""},
        {"{'id':@,'delta':'ha'};{'id':@,'delta':'!','done':true}", GW_HANDLER_ANSWERED, "ha!", "",
         "ha|!|", ""},
        {"{'id':@,'delta':'ha'};{'id':@,'text':'better'}", GW_HANDLER_ANSWERED, "better", "", "ha|",
         ""},
        {"{'id':@,'done':true}", GW_HANDLER_EMPTY, "", "", "", ""},
        {"{'id':@,'activity':{'id':'a','title':'look'}};"
         "{'id':@,'activity':{'id':'a','title':'look','state':'done'}};{'id':@,'text':'x'}",
         GW_HANDLER_ANSWERED, "x", "", "", "a look 1|a look 2|"},
        {"{'id':@,'activity':{}};{'id':@,'activity':{'title':'t','state':'failed'}};"
         "{'id':@,'text':'x'}",
         GW_HANDLER_ANSWERED, "x", "", "", "t t 3|"},
        {"{'id':@}", GW_HANDLER_FAILED, "", "it sent an answer with nothing in it", "", ""},
        {"garbage;7;{'id':999,'text':'who'};{'text':'no id'};{'id':@,'text':'hi'}",
         GW_HANDLER_ANSWERED, "hi", "", "", ""},
    };
    struct fixture *f = *state;

    program(f, SAYS);
    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        struct turn t;

        begin(f, &t, rows[i].says);
        wait_end(&t);
        assert_int_equal(t.end, rows[i].end);
        assert_string_equal(t.answer, rows[i].answer);
        assert_string_equal(t.error, rows[i].error);
        assert_string_equal(mw_buf_str(&t.text), rows[i].text);
        assert_string_equal(mw_buf_str(&t.activity), rows[i].activity);
        turn_free(&t);
    }
    MW_AUTOJSON *o = cJSON_CreateObject();
    gw_process_handler.status(f->in, o);
    assert_int_equal(mw_json_i64(o, "garbage", -1), 2);
    assert_int_equal(mw_json_i64(o, "unexpected", -1), 2);
    assert_int_equal(mw_json_i64(o, "restarts", -1), 0);
}

static void what_it_gets(void **state)
{
    struct fixture *f = *state;
    MW_AUTOJSON *answer = NULL;
    struct turn t;

    program(f, "read -r line; printf '{\"id\":1,\"got\":%s}\\n' \"$line\"; cat >/dev/null");
    begin(f, &t, "it's \"$HOME\"");
    wait_end(&t);
    assert_int_equal(t.end, GW_HANDLER_ANSWERED);
    assert_int_equal(mw_json_parse(t.answer, strlen(t.answer), &answer, NULL), 0);
    const cJSON *got = mw_json_obj(answer, "got");
    assert_int_equal(mw_json_i64(got, "id", 0), 1);
    assert_string_equal(mw_json_str(got, "text"), "it's \"$HOME\"");
    assert_string_equal(mw_json_str(got, "conversation"), "conv");
    assert_string_equal(mw_json_str(mw_json_obj(got, "event"), "user_name"), "ada");
    const cJSON *files = mw_json_arr(got, "files");
    assert_int_equal(cJSON_GetArraySize(files), 2);
    assert_string_equal(mw_json_str(cJSON_GetArrayItem(files, 0), "path"), "/tmp/a.txt");
    assert_string_equal(mw_json_str(cJSON_GetArrayItem(files, 1), "problem"), "too large");
    turn_free(&t);
}

static void several_at_once(void **state)
{
    struct fixture *f = *state;
    struct turn a, b;

    program(f, "read -r a; read -r b; echo '{\"id\":2,\"text\":\"two\"}';"
               "echo '{\"id\":1,\"text\":\"one\"}'; cat >/dev/null");
    begin(f, &a, "a");
    begin(f, &b, "b");
    wait_end(&b);
    wait_end(&a);
    assert_string_equal(a.answer, "one");
    assert_string_equal(b.answer, "two");
    turn_free(&a);
    turn_free(&b);
}

static void dies_and_is_given_the_same_again(void **state)
{
    struct fixture *f = *state;
    char folder[] = "/tmp/process-test-XXXXXX";
    MW_AUTOFREE char *script = NULL;
    struct turn t;

    assert_non_null(mkdtemp(folder));
    /* The first one dies in the middle of an answer, the second says it all. */
    script = mw_asprintf("read -r line; echo '{\"id\":1,\"delta\":\"hal\"}'; cd %s;"
                         "mkdir once && exit 1; rmdir once; cd /; rmdir %s;"
                         "echo '{\"id\":1,\"delta\":\"lo\"}';"
                         "echo '{\"id\":1,\"done\":true}'; cat >/dev/null",
                         folder, folder);
    program(f, script);
    begin(f, &t, "x");
    wait_end(&t);
    assert_int_equal(t.end, GW_HANDLER_ANSWERED);
    assert_string_equal(t.answer, "hallo");
    assert_string_equal(mw_buf_str(&t.text), "hal|lo|");
    MW_AUTOJSON *o = cJSON_CreateObject();
    gw_process_handler.status(f->in, o);
    assert_int_equal(mw_json_i64(o, "restarts", -1), 1);
    turn_free(&t);
}

static void dies_again_and_again(void **state)
{
    struct fixture *f = *state;
    struct turn t;

    program(f, "read -r line; echo oops >&2; exit 7");
    begin(f, &t, "x");
    wait_end(&t);
    assert_int_equal(t.end, GW_HANDLER_FAILED);
    assert_string_equal(t.error,
                        "the program ended 3 times over this event; at last: exit status 7: oops");
    turn_free(&t);
}

/* One event kills each program. Those that were open beside it are not to blame. */
static void dies_of_one_of_several(void **state)
{
    struct fixture *f = *state;
    struct turn a, b, poison, late;
    MW_AUTOJSON *o = cJSON_CreateObject();

    program(f, "while read -r line; do id=${line#*:}; id=${id%%,*}; case $line in"
               " *'\"text\":\"poison\",\"conv'*) exit 3;;"
               " *) (sleep 0.05; echo \"{\\\"id\\\":$id,\\\"text\\\":\\\"fine\\\"}\") & ;;"
               " esac; done; wait");
    begin(f, &a, "a");
    begin(f, &poison, "poison");
    begin(f, &b, "b");
    wait_end(&a);
    begin(f, &late, "late");
    wait_end(&poison);
    wait_end(&b);
    wait_end(&late);
    assert_int_equal(poison.end, GW_HANDLER_FAILED);
    assert_string_equal(poison.error,
                        "the program ended 3 times over this event; at last: exit status 3");
    assert_string_equal(a.answer, "fine");
    assert_string_equal(b.answer, "fine");
    assert_string_equal(late.answer, "fine");
    gw_process_handler.status(f->in, o);
    assert_int_equal(mw_json_i64(o, "restarts", -1),
                     4); /* with all of them, and three times alone */
    turn_free(&a);
    turn_free(&b);
    turn_free(&poison);
    turn_free(&late);
}

/* Nothing spins when it dies whatever it is given. */
static void dies_of_all_of_several(void **state)
{
    struct fixture *f = *state;
    struct turn a, b;
    MW_AUTOJSON *o = cJSON_CreateObject();

    program(f, "read -r line; exit 3");
    begin(f, &a, "a");
    begin(f, &b, "b");
    gw_process_handler.cancel(b.run);
    wait_end(&b);
    assert_int_equal(b.end, GW_HANDLER_CANCELED);
    wait_end(&a);
    assert_int_equal(a.end, GW_HANDLER_FAILED);
    gw_process_handler.status(f->in, o);
    assert_in_range(mw_json_i64(o, "restarts", -1), 2, 3);
    turn_free(&a);
    turn_free(&b);
}

static void cannot_be_started(void **state)
{
    struct fixture *f = *state;
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct turn t;

    program(f, "");
    f->argv[0] = (char *)"/no/such/program";
    assert_int_equal(try_start(f, &t, "x", &err), -ENOENT);
    assert_string_equal(mw_error_text(&err), "there is no program /no/such/program");
    /* Later it is the wait that fails. */
    begin(f, &t, "x");
    wait_end(&t);
    assert_int_equal(t.end, GW_HANDLER_FAILED);
    assert_non_null(strstr(t.error, "there is no program /no/such/program"));
    turn_free(&t);
}

static void can_be_canceled(void **state)
{
    struct fixture *f = *state;
    struct turn t;

    /* It heeds the request ... */
    program(f, "read -r a; read -r b; case $b in *'\"cancel\":true'*)"
               " echo '{\"id\":1,\"text\":\"so far\"}';; esac; cat >/dev/null");
    begin(f, &t, "x");
    gw_process_handler.cancel(t.run);
    assert_int_equal(t.done, 0);
    wait_end(&t);
    assert_int_equal(t.end, GW_HANDLER_ANSWERED);
    assert_string_equal(t.answer, "so far");
    turn_free(&t);
    /* ... or does not, and twice is at once. */
    begin(f, &t, "y");
    gw_process_handler.cancel(t.run);
    gw_process_handler.cancel(t.run);
    assert_int_equal(t.done, 0);
    wait_end(&t);
    assert_int_equal(t.end, GW_HANDLER_CANCELED);
    turn_free(&t);
}

static void is_canceled_while_it_waits(void **state)
{
    struct fixture *f = *state;
    struct turn t;

    program(f, "exit 1");
    begin(f, &t, "x");
    gw_process_handler.cancel(t.run);
    wait_end(&t);
    assert_int_equal(t.end, GW_HANDLER_CANCELED);
    turn_free(&t);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_it_may_say),        TEST(what_it_gets),
        TEST(several_at_once),        TEST(dies_and_is_given_the_same_again),
        TEST(dies_again_and_again),   TEST(cannot_be_started),
        TEST(can_be_canceled),        TEST(is_canceled_while_it_waits),
        TEST(dies_of_one_of_several), TEST(dies_of_all_of_several),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
