#include "base/test.h"
#include "mattermost/endpoint.h"

#define ID "a1b2c3d4e5f6g7h8i9j0klmnop"

static void test_endpoints(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"https://mm.example.com", "https://mm.example.com"},
        {"https://mm.example.com/", "https://mm.example.com"},
        {"HTTPS://MM.Example.com:8065//", "https://mm.example.com:8065"},
        {"http://127.0.0.1:8065/Chat/", "http://127.0.0.1:8065/Chat"},
        {"http://[::1]:8065/a/b", "http://[::1]:8065/a/b"},
        {"https://mm.example.com/api/v4/", "https://mm.example.com"},
        {"https://mm.example.com/sub/api/v4", "https://mm.example.com/sub"},
        {"http://localhost", "http://localhost"},
        {"", NULL},
        {"mm.example.com", NULL},
        {"ftp://x", NULL},
        {"https://", NULL},
        {"https:///x", NULL},
        {"https://user:secret@host", NULL},
        {"https://host:0", NULL},
        {"https://host:99999", NULL},
        {"https://host:80x", NULL},
        {"https://ho st", NULL},
        {"https://host/?a=b", NULL},
        {"https://host/#x", NULL},
        {"https://host/a\nb", NULL},
        {"https://[::1", NULL},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(cases); i++) {
        MW_AUTOERROR err = MW_ERROR_INIT;
        MW_AUTOFREE char *got = NULL;
        int r = mm_endpoint_parse(cases[i].text, &got, &err);

        if (cases[i].want) {
            assert_int_equal(r, 0);
            assert_string_equal(got, cases[i].want);
        } else {
            assert_int_equal(r, -EINVAL);
            assert_null(strstr(mw_error_text(&err), "secret"));
        }
    }
}

static void test_permalinks(void **state)
{
    static const char *const good[] = {"https://mm.example.com/chat/team/pl/" ID,
                                       "http://mm.example.com/chat/_redirect/pl/" ID,
                                       "https://MM.example.com/chat/t/pl/" ID "/", "/team/pl/" ID,
                                       "https://mm.example.com/chat/t/pl/" ID "?x"};
    static const char *const bad[] = {"https://other.example.com/chat/team/pl/" ID,
                                      "https://mm.example.com/chatter/team/pl/" ID,
                                      "https://mm.example.com/chat/team/pl/a1b2",
                                      "/team/pl/" ID "x",
                                      ID,
                                      ""};
    char id[MW_ID_SIZE];

    for (size_t i = 0; i < MW_ARRAY_LEN(good); i++) {
        assert_true(mm_permalink_parse("https://mm.example.com/chat", good[i], id));
        assert_string_equal(id, ID);
    }
    for (size_t i = 0; i < MW_ARRAY_LEN(bad); i++)
        assert_false(mm_permalink_parse("https://mm.example.com/chat", bad[i], id));
}

static void test_refs(void **state)
{
    static const struct {
        const char *text;
        int kind; /* -1 = refused */
        const char *team, *name;
    } cases[] = {
        {"town-square", MM_REF_NAME, "", "town-square"},
        {"~Town-Square", MM_REF_NAME, "", "town-square"},
        {"#dev", MM_REF_NAME, "", "dev"},
        {"ops/alerts", MM_REF_TEAM_NAME, "ops", "alerts"},
        {"ops/~alerts", MM_REF_TEAM_NAME, "ops", "alerts"},
        {"@alice", MM_REF_USER, "", "alice"},
        {ID, MM_REF_ID, "", ""},
        {"/ops/pl/" ID, MM_REF_PERMALINK, "", ""},
        {"", -1, "", ""},
        {"@", -1, "", ""},
        {"a b", -1, "", ""},
        {"a/b/c", -1, "", ""},
        {"/x", -1, "", ""},
        {"x/", -1, "", ""},
        {"https://elsewhere/x/pl/" ID, -1, "", ""},
        {"../../users", -1, "", ""},
        {"a?b", -1, "", ""},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(cases); i++) {
        MW_AUTOERROR err = MW_ERROR_INIT;
        struct mm_ref ref;
        int r = mm_ref_parse("https://mm.example.com", cases[i].text, &ref, &err);

        if (cases[i].kind < 0) {
            assert_int_equal(r, -EINVAL);
            assert_true(mw_error_is_set(&err));
            continue;
        }
        assert_int_equal(r, 0);
        assert_int_equal(ref.kind, cases[i].kind);
        assert_string_equal(ref.team, cases[i].team);
        assert_string_equal(ref.name, cases[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_permalinks),
        cmocka_unit_test(test_refs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
