/* A script's answers, its errors, and a new version of its file. */
#include <unistd.h>

#include "base/str.h"
#include "base/test.h"
#include "handlers/handlers.h"
#include "io/handle.h"

struct fixture {
    uv_loop_t loop;
    struct gw_handler_config config;
    struct gw_handler_host host;
    struct gw_handler_instance *in;
    char path[64];
    int version;
    int ended; /* turns */
};

struct turn {
    int done;
    int *nth, place; /* how many ended, and which of them it was */
    enum gw_handler_end end;
    char answer[1024], error[1024];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    int fd;

    assert_int_equal(uv_loop_init(&f->loop), 0);
    strcpy(f->path, "/tmp/matterwire-lua-test-XXXXXX");
    fd = mkstemp(f->path);
    assert_true(fd >= 0);
    close(fd);
    f->config = (struct gw_handler_config){
        .name = (char *)"h", .type = (char *)"lua", .script = f->path, .memory_mb = 4};
    f->host = (struct gw_handler_host){.loop = &f->loop, .config = &f->config};
    assert_int_equal(gw_lua_handler.open(&f->host, &f->in, NULL), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    gw_lua_handler.close(f->in);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    unlink(f->path);
    free(f);
    return 0;
}

/* As an editor does it: another file in its place, so the change shows whatever the clock says. */
static void write_script(struct fixture *f, const char *text)
{
    MW_AUTOFREE char *other = mw_asprintf("%s.new", f->path);
    FILE *file = fopen(other, "we");

    assert_non_null(file);
    fprintf(file, "%s\n--%*d\n", text, ++f->version, 0);
    fclose(file);
    assert_int_equal(rename(other, f->path), 0);
}

static void on_end(void *userdata, const struct gw_handler_answer *a)
{
    struct turn *t = userdata;
    MW_AUTOFREE char *json = a->json ? mw_json_print(a->json) : NULL;

    t->done++;
    t->place = ++*t->nth;
    t->end = a->end;
    snprintf(t->answer, sizeof(t->answer), "%s", json ? json : a->text);
    snprintf(t->error, sizeof(t->error), "%s",
             mw_error_is_set(&a->err) ? mw_error_text(&a->err) : "");
}

static const struct gw_turn_ops ops = {.end = on_end};

static struct gw_handler_run *begin(struct fixture *f, const char *text, struct turn *t)
{
    static struct mw_event ev = {.id = 7,
                                 .bot = "b",
                                 .kind = MW_EVENT_POST,
                                 .object = "",
                                 .post_id = "p",
                                 .root_id = "",
                                 .channel_id = "c",
                                 .channel_name = "town-square",
                                 .channel_type = "O",
                                 .team_id = "",
                                 .team_name = "",
                                 .user_id = "u",
                                 .user_name = "ada",
                                 .files = "",
                                 .detail = "",
                                 .raw = ""};
    struct gw_turn turn = {.ev = &ev,
                           .text = text,
                           .conversation = "s/c/p",
                           .key = "p.1.0",
                           .root_id = "p",
                           .timeout_ms = 1000};
    struct gw_handler_run *run = NULL;

    ev.text = text;
    *t = (struct turn){.nth = &f->ended};
    assert_int_equal(gw_lua_handler.start(f->in, &turn, &ops, t, &run, NULL), 0);
    assert_int_equal(t->done, 0);
    return run;
}

static struct turn give(struct fixture *f, const char *text, bool cancel)
{
    struct turn t;
    struct gw_handler_run *run = begin(f, text, &t);

    if (cancel)
        gw_lua_handler.cancel(run);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(t.done, 1);
    return t;
}

static void test_answers(void **state)
{
    static const struct {
        const char *script;
        enum gw_handler_end end;
        const char *answer, *error;
    } rows[] = {
        {"function on_event(e) return 'Hello @' .. e.user_name .. ': ' .. e.prompt end",
         GW_HANDLER_ANSWERED, "Hello @ada: hi", ""},
        {"function on_event(e) return e.conversation end", GW_HANDLER_ANSWERED, "s/c/p", ""},
        {"function on_event(e) return {text = e.text} end", GW_HANDLER_ANSWERED,
         "{\"text\":\"hi\"}", ""},
        {"function on_event(e) end", GW_HANDLER_EMPTY, "", ""},
        {"function on_event(e) return json.encode(json.decode('[1,{}]')) end", GW_HANDLER_ANSWERED,
         "[1,{}]", ""},
        {"function on_event(e) return json.encode({json.array(), json.null}) end",
         GW_HANDLER_ANSWERED, "[[],null]", ""},
        {"function on_event(e) return 7 end", GW_HANDLER_FAILED, "",
         "on_event must return a text, a table or nil"},
        {"function on_event(e) return print end", GW_HANDLER_EMPTY, "", ""},
        {"function on_event(e) return type end", GW_HANDLER_FAILED, "", "cannot be posted"},
        {"function on_event(e)\n return e.x.y end", GW_HANDLER_FAILED, "", ":2: attempt to index"},
        {"function on_event(e) while true do end end", GW_HANDLER_FAILED, "", "it ran for more"},
        {"function on_event(e) return ('x'):rep(1e8) end", GW_HANDLER_FAILED, "", "memory"},
        {"function on_event(e) return json.decode('{') end", GW_HANDLER_FAILED, "", ":1: "},
        {"function on_event(e) return assert(http.get('http://127.0.0.1/')) end", GW_HANDLER_FAILED,
         "", "127.0.0.1:80 is not among the hosts"},
        {"function on_event(e) return assert(http.get('file:///etc/passwd')) end",
         GW_HANDLER_FAILED, "", "not an http:// or https:// address"},
        {"function on_event(e) http.post('http://x/', function() end) end", GW_HANDLER_FAILED, "",
         "the body must be a text, or a table"},
        {"function on_event(e) http.get('http://x/', {headers = {a = 'b\\r\\nc: d'}}) end",
         GW_HANDLER_FAILED, "", "the header a has a line break or control character in it"},
        {"function on_event(e) http.get('http://x/', {headers = {['a b'] = 'c'}}) end",
         GW_HANDLER_FAILED, "", "the name of a header is not valid"},
        {"function on_event(e) http.get('http://x/', {headers = {hOst = 'y'}}) end",
         GW_HANDLER_FAILED, "", "the header Host cannot be set"},
        {"function on_event(e) http.get('http://x/', {timeout = 0}) end", GW_HANDLER_FAILED, "",
         "timeout must be a number of seconds"},
        {"function on_event(e) http.request{url = 'http://x/', method = 'BREW'} end",
         GW_HANDLER_FAILED, "", "http knows no method \"BREW\""},
        {"function on_event(e) ('x'):gsub('x', function() http.get('http://x/') end) end",
         GW_HANDLER_FAILED, "", "http cannot wait inside of a function"},
        {"function on_event(e) for i = 1, 30 do http.get('http://x/') end end", GW_HANDLER_FAILED,
         "", "a turn may make 20 requests at most"},
        {"function on_event(e) log('one', 2, nil) log() end", GW_HANDLER_EMPTY, "", ""},
        {"function on_event(e) for i = 1, 101 do log(i) end end", GW_HANDLER_FAILED, "",
         "a turn may log 100 lines at most"},
        {"n = 0 function on_event(e) n = n + 1 return '' .. n end", GW_HANDLER_ANSWERED, "1", ""},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        struct turn t;

        write_script(f, rows[i].script);
        t = give(f, "hi", false);
        if (t.end != rows[i].end || strcmp(t.answer, rows[i].answer) != 0 ||
            !strstr(t.error, rows[i].error))
            fail_msg("%s: %d \"%s\" \"%s\"", rows[i].script, t.end, t.answer, t.error);
    }
    /* Its globals last as long as the file stays as it is. */
    assert_string_equal(give(f, "hi", false).answer, "2");
    assert_int_equal(give(f, "hi", true).end, GW_HANDLER_CANCELED);
}

static void test_versions(void **state)
{
    struct fixture *f = *state;
    MW_AUTOJSON *status = cJSON_CreateObject(), *later = cJSON_CreateObject();
    struct turn t;

    write_script(f, "http.get('http://127.0.0.1/') function on_event(e) end");
    t = give(f, "hi", false);
    assert_non_null(strstr(t.error, "this can only be called while on_event runs"));

    write_script(f, "function on_event(e) retrun 1 end");
    t = give(f, "hi", false);
    assert_int_equal(t.end, GW_HANDLER_FAILED);
    assert_non_null(strstr(t.error, ":1: syntax error near"));

    write_script(f, "function on_event(e) return 'one' end");
    assert_string_equal(give(f, "hi", false).answer, "one");

    write_script(f, "function on_evnet(e) return 'two' end");
    assert_string_equal(give(f, "hi", false).answer, "one");
    gw_lua_handler.status(f->in, status);
    assert_non_null(strstr(mw_json_str_or(status, "problem", ""), "no function on_event(event)"));
    assert_int_equal(mw_json_i64(status, "loads", 0), 1);

    write_script(f, "function on_event(e) return 'three' end");
    assert_string_equal(give(f, "hi", false).answer, "three");
    gw_lua_handler.status(f->in, later);
    assert_null(mw_json_str(later, "problem"));
    assert_int_equal(mw_json_i64(later, "loads", 0), 2);
    assert_true(mw_json_i64(later, "memory", 0) > 1000);

    /* While it is gone the old one goes on. */
    unlink(f->path);
    assert_string_equal(give(f, "hi", false).answer, "three");
}

/* One turn waits in a loop for what the next one does: it is left now and then. */
static void test_slices(void **state)
{
    struct fixture *f = *state;
    struct turn first, second, third;
    struct gw_handler_run *run;

    write_script(f, "function on_event(e)\n"
                    "  if e.prompt == 'tell' then told = true return 'told' end\n"
                    "  while not told do end\n"
                    "  return 'heard'\n"
                    "end");
    begin(f, "wait", &first);
    begin(f, "tell", &second);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_string_equal(first.answer, "heard");
    assert_string_equal(second.answer, "told");
    assert_int_equal(second.place, 1);

    /* Between its slices a turn can be stopped, and a new version takes nothing from it. */
    write_script(f, "function on_event(e) while true do end end");
    run = begin(f, "wait", &first);
    begin(f, "wait", &second);
    uv_run(&f->loop, UV_RUN_ONCE); /* both began */
    write_script(f, "function on_event(e) return 'new' end");
    gw_lua_handler.cancel(run);
    uv_run(&f->loop, UV_RUN_ONCE);
    assert_int_equal(first.end, GW_HANDLER_CANCELED);
    begin(f, "wait", &third);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_string_equal(third.answer, "new");
    assert_int_equal(second.end, GW_HANDLER_FAILED);
    assert_non_null(strstr(second.error, "it ran for more than"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slices, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
