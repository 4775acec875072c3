#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/str.h"
#include "gateway/config.h"
#include "gateway/config_schema.h"

static char dir[] = "/tmp/matterwire-config-XXXXXX";

static void write_file(const char *name, const char *text, mode_t mode)
{
    MW_AUTOFREE char *path = mw_asprintf("%s/%s", dir, name);
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static int setup(void **state)
{
    if (!mkdtemp(dir))
        return -1;
    write_file("token", "s3cret\n", 0600);
    write_file("open", "s3cret\n", 0644);
    write_file("writable", "s3cret\n", 0620);
    write_file("shared", "s3cret\n", 0640);
    write_file("empty", "\n", 0600);
    write_file("lines", "a\nb\n", 0600);
    setenv("HOME", "/home/alice", 1);
    setenv("TOKEN", "t0ken", 1);
    setenv("EMPTY", "", 1);
    unsetenv("UNSET");
    unsetenv("CREDENTIALS_DIRECTORY");
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"token", "open", "writable", "shared", "empty", "lines"};

    for (size_t i = 0; i < MW_ARRAY_LEN(names); i++) {
        MW_AUTOFREE char *path = mw_asprintf("%s/%s", dir, names[i]);

        unlink(path);
    }
    return rmdir(dir);
}

static int parse(const char *text, struct gw_config **ret, struct gw_problems *problems)
{
    MW_AUTOFREE char *path = mw_asprintf("%s/config.yaml", dir);

    return gw_config_parse(path, text, strlen(text), ret, problems);
}

/* Parses what must be valid. */
static struct gw_config *good(const char *text)
{
    struct gw_problems problems = {0};
    struct gw_config *c = NULL;
    int r = parse(text, &c, &problems);

    for (size_t i = 0; i < problems.n; i++)
        print_error("%u:%u: %s\n", problems.items[i].line, problems.items[i].column,
                    problems.items[i].message);
    gw_problems_deinit(&problems);
    assert_int_equal(r, 0);
    return c;
}

/* Parses what must not be valid; the problems as "LINE:COLUMN: message" lines. */
static char *bad(const char *text)
{
    struct gw_problems problems = {0};
    struct gw_config *c = NULL;
    struct mw_buf b;
    char *result;

    mw_buf_init(&b, 0);
    assert_int_equal(parse(text, &c, &problems), 1);
    assert_null(c);
    for (size_t i = 0; i < problems.n; i++)
        mw_buf_printf(&b, "%u:%u: %s\n", problems.items[i].line, problems.items[i].column,
                      problems.items[i].message);
    gw_problems_deinit(&problems);
    result = mw_buf_take(&b);
    assert_non_null(result);
    return result;
}

#define BOT "bots:\n- name: a\n  endpoint: https://h\n  bot_token: x\n"

#include "gateway/config_test_rows.h"

static void test_mistakes(void **state)
{
    bool failed = false;

    for (size_t i = 0; i < MW_ARRAY_LEN(mistakes); i++) {
        MW_AUTOFREE char *found = bad(mistakes[i].text);
        MW_AUTOFREE char *want = strdup(mistakes[i].problems);

        /* DIR stands for the folder of the test. */
        for (char *at; (at = strstr(found, dir));) {
            memcpy(at, "DIR", 3);
            memmove(at + 3, at + strlen(dir), strlen(at + strlen(dir)) + 1);
        }
        if (strcmp(found, want) != 0) {
            print_error("row %zu:\n%s--- found:\n%s--- wanted:\n%s\n", i, mistakes[i].text, found,
                        want);
            failed = true;
        }
    }
    assert_false(failed);
}

static void test_newcomer(void **state)
{
    struct gw_config *c;

    setenv("MATTERMOST_BOT_TOKEN", "abc", 1);
    c = good("bots:\n"
             "  - name: my-mattermost-bot\n"
             "    type: mattermost\n"
             "    bot_token: $MATTERMOST_BOT_TOKEN\n"
             "    endpoint: https://mattermost.example.com\n"
             "    channels:\n"
             "      - a1b2c3d4e5f6g7h8i9j0klmnop\n");
    assert_int_equal(c->n_bots, 1);
    assert_string_equal(c->bots[0].name, "my-mattermost-bot");
    assert_string_equal(c->bots[0].type, "mattermost");
    assert_string_equal(c->bots[0].bot_token, "abc");
    assert_string_equal(c->bots[0].endpoint, "https://mattermost.example.com");
    assert_int_equal(c->bots[0].channels.n, 1);
    assert_string_equal(c->bots[0].channels.items[0], "a1b2c3d4e5f6g7h8i9j0klmnop");
    assert_int_equal(c->bots[0].policy.allowed_users.n, 0);
    assert_null(c->bots[0].handler);
    assert_int_equal(c->bots[0].transport, GW_TRANSPORT_WEBSOCKET);
    assert_true(c->bots[0].policy.mention_only);
    assert_int_equal(c->bots[0].policy.thread_replies, GW_THREAD);
    assert_int_equal(c->bots[0].timeout_ms, 30000);
    assert_int_equal(c->bots[0].poll_interval_ms, 3000);
    assert_false(c->bots[0].tls.insecure);
    assert_non_null(c->daemon.socket);
    assert_non_null(c->daemon.database);
    assert_int_equal(c->daemon.log_level, MW_LOG_INFO);
    gw_config_free(c);
}

static void test_all_keys(void **state)
{
    MW_AUTOFREE char *pem = mw_asprintf("%s/open", dir), *run = mw_asprintf("%s/run.sh", dir);
    MW_AUTOFREE char *socket = mw_asprintf("%s/s.sock", dir);
    struct gw_config *c =
        good("bots:\n"
             "- &common\n"
             "  name: a\n"
             "  endpoint: 'http://h:8065/mm/'\n"
             "  login: me\n"
             "  password_file: token\n"
             "  team: eng\n"
             "  transport: poll\n"
             "  poll_interval: 500ms\n"
             "  channels: town-square\n"
             "  allowed_users: '*'\n"
             "  mention_only: false\n"
             "  thread_replies: false\n"
             "  handler: h\n"
             "  tls: {ca_file: open, cert_file: ./open, key_file: token, insecure: true}\n"
             "  proxy: http://p:1\n"
             "  timeout: 5\n"
             "- {<<: *common, name: b, channels: []}\n"
             "handlers:\n"
             "  h:\n"
             "    type: command\n"
             "    command: [./run.sh, '', $TOKEN, a$$b]\n"
             "    timeout: 1h\n"
             "    env: {A: 1, B: 'x=${TOKEN}'}\n"
             "    env_inherit: [PATH, HOME]\n"
             "    workdir: ~/work\n"
             "    concurrency: 9\n"
             "    attempts: 3\n"
             "daemon: {socket: s.sock, database: 'sqlite:///var/x.db', log_level: debug}\n");
    const struct gw_bot_config *a = gw_config_bot(c, "a"), *b = gw_config_bot(c, "b");
    const struct gw_handler_config *h = gw_config_handler(c, "h");

    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(h);
    assert_null(gw_config_bot(c, "c"));
    assert_string_equal(a->password, "s3cret");
    assert_string_equal(a->login, "me");
    assert_string_equal(a->team, "eng");
    assert_int_equal(a->transport, GW_TRANSPORT_POLL);
    assert_int_equal(a->poll_interval_ms, 500);
    assert_int_equal(a->channels.n, 1);
    assert_string_equal(a->policy.allowed_users.items[0], "*");
    assert_false(a->policy.mention_only);
    assert_int_equal(a->policy.thread_replies, GW_THREAD_SAME);
    assert_string_equal(a->handler, "h");
    assert_string_equal(a->tls.ca_file, pem);
    assert_string_equal(a->tls.cert_file, pem);
    assert_true(a->tls.insecure);
    assert_string_equal(a->proxy, "http://p:1");
    assert_int_equal(a->timeout_ms, 5000);
    assert_string_equal(b->endpoint, a->endpoint);
    assert_int_equal(b->channels.n, 0);
    assert_int_equal(h->command.n, 4);
    assert_string_equal(h->command.items[0], run);
    assert_string_equal(h->command.items[1], "");
    assert_string_equal(h->command.items[2], "$TOKEN"); /* nobody reads secrets by ps */
    assert_string_equal(h->command.items[3], "a$$b");
    assert_int_equal(h->timeout_ms, 3600000);
    assert_string_equal(h->env.items[0], "A=1");
    assert_string_equal(h->env.items[1], "B=x=t0ken");
    assert_string_equal(h->env_inherit.items[1], "HOME");
    assert_string_equal(h->workdir, "/home/alice/work");
    assert_int_equal(h->concurrency, 9);
    assert_int_equal(h->attempts, 3);
    assert_string_equal(c->daemon.socket, socket);
    assert_string_equal(c->daemon.database, "/var/x.db");
    assert_int_equal(c->daemon.log_level, MW_LOG_DEBUG);
    gw_config_free(c);
}

/* Every change of a value shows, and nothing else does. */
static void test_equal(void **state)
{
    static const char *const variants[] = {
        BOT,
        BOT "  team: x\n",
        BOT "  channels: [a]\n",
        BOT "  channels: [b]\n",
        BOT "  channels: [a, b]\n",
        BOT "  mention_only: false\n",
        BOT "  transport: poll\n",
        BOT "  timeout: 31s\n",
        BOT "  tls: {insecure: true}\n",
        BOT "  tls: {ca_file: open}\n",
        "bots:\n- name: a\n  endpoint: https://h\n  bot_token: y\n",
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(variants); i++) {
        for (size_t j = 0; j < MW_ARRAY_LEN(variants); j++) {
            struct gw_config *a = good(variants[i]), *b = good(variants[j]);

            assert_int_equal(gw_bot_config_equal(&a->bots[0], &b->bots[0]), i == j);
            gw_config_free(a);
            gw_config_free(b);
        }
    }
}

static void test_handler_equal(void **state)
{
    struct gw_config *a = good(BOT "handlers:\n"
                                   "  x: {type: command, command: [a]}\n"
                                   "  y: {type: command, command: [a]}\n"
                                   "  z: {type: command, command: [a], concurrency: 5}\n");
    struct gw_config *b = good(BOT "handlers:\n"
                                   "  z: {type: command, command: [a], concurrency: 6}\n"
                                   "  x: {type: command, command: [a]}\n");

    assert_true(gw_handler_config_equal(gw_config_handler(a, "x"), gw_config_handler(b, "x")));
    assert_false(gw_handler_config_equal(gw_config_handler(a, "x"), gw_config_handler(a, "y")));
    assert_false(gw_handler_config_equal(gw_config_handler(a, "z"), gw_config_handler(b, "z")));
    gw_config_free(a);
    gw_config_free(b);
}

static void test_many_problems(void **state)
{
    MW_AUTOFREE char *found = NULL;
    MW_AUTOBUF b = {0};

    mw_buf_init(&b, 0);
    mw_buf_puts(&b, "bots:\n");
    for (int i = 0; i < 150; i++)
        mw_buf_puts(&b, "- 5\n");
    found = bad(mw_buf_str(&b));
    assert_non_null(strstr(found, "0:0: there are 50 more problems\n"));
}

static void test_secret_is_not_told(void **state)
{
    MW_AUTOFREE char *found = bad("bots:\n- name: a\n  endpoint: https://u:hunter2@h\n"
                                  "  bot_token_file: open\n  password: hunter2$\n");

    assert_null(strstr(found, "hunter2"));
    assert_null(strstr(found, "s3cret"));
}

static void test_group_may_read(void **state)
{
    struct gw_config *c =
        good("bots:\n- name: a\n  endpoint: https://h\n  bot_token_file: shared\n");

    assert_string_equal(c->bots[0].bot_token, "s3cret");
    gw_config_free(c);
}

static void test_load(void **state)
{
    struct gw_problems problems = {0};
    struct gw_config *c = NULL;
    MW_AUTOFREE char *path = mw_asprintf("%s/missing.yaml", dir);

    assert_int_equal(gw_config_load(path, &c, &problems), 1);
    assert_int_equal(problems.n, 1);
    assert_non_null(strstr(problems.items[0].message, "no such file"));
    gw_problems_deinit(&problems);

    assert_int_equal(gw_config_load(dir, &c, &problems), 1);
    assert_non_null(strstr(problems.items[0].message, "cannot read it"));
    gw_problems_deinit(&problems);
}

static void test_socket(void **state)
{
    MW_AUTOFREE char *path = mw_asprintf("%s/lines", dir), *want = mw_asprintf("%s/x.sock", dir);
    MW_AUTOFREE char *missing = mw_asprintf("%s/missing.yaml", dir);
    MW_AUTOFREE char *socket = NULL, *fallback = NULL;
    static const char *const broken[] = {
        "bots: [@a]\ndaemon: {socket: x.sock, a: b}\n",
        "bots: [@a]\ndaemon:\n  socket: \"x.sock\" # here\n",
        "{\"bots\": [,\n\"websocket\": 1, \"daemon\": {\"socket\": \"x.sock\"}",
    };

    /* Found although a variable of the bot is not there. */
    write_file("lines", "bots: [{bot_token: $UNSET}]\ndaemon: {socket: x.sock}\n", 0600);
    socket = gw_config_socket(path);
    assert_string_equal(socket, want);
    /* Nor is a file needed that is whole. */
    for (size_t i = 0; i < MW_ARRAY_LEN(broken); i++) {
        MW_AUTOFREE char *found = NULL;

        write_file("lines", broken[i], 0600);
        found = gw_config_socket(path);
        assert_string_equal(found, want);
    }
    fallback = gw_config_socket(missing);
    assert_non_null(strstr(fallback, "matterwire.sock"));
}

/* Wherever the daemon was started. */
static void test_path_is_absolute(void **state)
{
    static const char text[] = "bots: [{name: a, endpoint: 'http://x', bot_token: t}]\n";
    MW_AUTOFREE char *cwd = getcwd(NULL, 0), *want = mw_asprintf("%s/sub/x.yaml", cwd);
    struct gw_problems problems = {0};
    const struct {
        const char *path, *want;
    } rows[] = {{"sub/x.yaml", want}, {"/x.yaml", "/x.yaml"}, {"/a/x.yaml", "/a/x.yaml"}};

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        struct gw_config *c = NULL;

        assert_int_equal(gw_config_parse(rows[i].path, text, strlen(text), &c, &problems), 0);
        assert_string_equal(c->path, rows[i].want);
        gw_config_free(c);
    }
}

static void test_path(void **state)
{
    MW_AUTOFREE char *explicit_path = gw_config_path("x.yaml"), *env = NULL, *xdg = NULL,
                     *home = NULL;

    assert_string_equal(explicit_path, "x.yaml");
    setenv("MATTERWIRE_CONFIG", "/y.yaml", 1);
    env = gw_config_path(NULL);
    assert_string_equal(env, "/y.yaml");
    unsetenv("MATTERWIRE_CONFIG");
    setenv("XDG_CONFIG_HOME", "/xdg", 1);
    xdg = gw_config_path(NULL);
    unsetenv("XDG_CONFIG_HOME");
    home = gw_config_path(NULL);
    if (access("/etc/matterwire/config.yaml", F_OK) < 0) {
        assert_string_equal(xdg, "/xdg/matterwire/config.yaml");
        assert_string_equal(home, "/home/alice/.config/matterwire/config.yaml");
    }
}

/* A row without documentation or with an example that is no valid YAML value does not get in. */
static void check_rows(const struct gw_section *s)
{
    assert_true(s->n <= GW_SECTION_KEYS_MAX);
    assert_non_null(s->doc);
    for (size_t i = 0; i < s->n; i++) {
        const struct gw_key *key = &s->keys[i];

        assert_non_null(key->doc);
        assert_int_equal(key->doc[strlen(key->doc) - 1], '.');
        assert_non_null(key->example);
        if (key->type == GW_KEY_CHOICE)
            assert_non_null(key->choices);
        if (key->type == GW_KEY_COUNT || key->type == GW_KEY_DURATION || key->type == GW_KEY_BYTES)
            assert_true(key->min < key->max);
        if (key->section)
            check_rows(key->section);
    }
}

static void test_schema(void **state)
{
    check_rows(&gw_config_schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_newcomer),
        cmocka_unit_test(test_all_keys),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_handler_equal),
        cmocka_unit_test(test_many_problems),
        cmocka_unit_test(test_secret_is_not_told),
        cmocka_unit_test(test_group_may_read),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_path_is_absolute),
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_schema),
        cmocka_unit_test(test_socket),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
