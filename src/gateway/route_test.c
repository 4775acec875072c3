#include "gateway/route.h"

#include "base/str.h"
#include "base/test.h"

static struct mw_event post(unsigned flags)
{
    return (struct mw_event){
        .id = 7,
        .bot = "bot",
        .kind = MW_EVENT_POST,
        .flags = flags,
        .object = "p1",
        .post_id = "p1",
        .root_id = "",
        .channel_id = "c1",
        .user_id = "ada",
    };
}

/* Who: allowed user ("" = nobody, "*" = everyone). */
static void decides(void **state)
{
    static const struct {
        enum mw_event_kind kind;
        unsigned flags;
        const char *handler, *allowed;
        bool mention_only;
        enum gw_verdict verdict;
    } rows[] = {
        {MW_EVENT_POST, 0, "h", "*", false, GW_RUN},
        {MW_EVENT_POST, 0, "h", "ada", false, GW_RUN},
        {MW_EVENT_POST, 0, "h", "", false, GW_SKIP_NOT_ALLOWED},
        {MW_EVENT_POST, 0, "h", "bob", false, GW_SKIP_NOT_ALLOWED},
        {MW_EVENT_POST, 0, NULL, "*", false, GW_SKIP_NO_HANDLER},
        {MW_EVENT_POST, 0, "h", "*", true, GW_SKIP_NOT_ADDRESSED},
        {MW_EVENT_POST, MW_EVENT_MENTION, "h", "*", true, GW_RUN},
        {MW_EVENT_POST, MW_EVENT_DIRECT, "h", "*", true, GW_RUN},
        {MW_EVENT_POST, MW_EVENT_GROUP, "h", "*", true, GW_SKIP_NOT_ADDRESSED},
        {MW_EVENT_POST, MW_EVENT_CAUGHT_UP, "h", "*", false, GW_RUN},
        {MW_EVENT_POST, MW_EVENT_DIRECT, "h", "", true, GW_SKIP_NOT_ALLOWED},
        {MW_EVENT_POST, MW_EVENT_OWN, "h", "*", false, GW_SKIP_OWN},
        {MW_EVENT_POST, MW_EVENT_OWN | MW_EVENT_FROM_BOT, "h", "*", false, GW_SKIP_OWN},
        {MW_EVENT_POST, MW_EVENT_FROM_BOT, "h", "*", false, GW_SKIP_BOT},
        {MW_EVENT_POST, MW_EVENT_FROM_BOT | MW_EVENT_MENTION, "h", "*", true, GW_SKIP_BOT},
        {MW_EVENT_POST, MW_EVENT_FROM_WEBHOOK, "h", "*", false, GW_SKIP_WEBHOOK},
        {MW_EVENT_POST, MW_EVENT_SYSTEM, "h", "*", false, GW_SKIP_SYSTEM},
        {MW_EVENT_POST_EDITED, 0, "h", "*", false, GW_SKIP_KIND},
        {MW_EVENT_POST_DELETED, 0, "h", "*", false, GW_SKIP_KIND},
        {MW_EVENT_REACTION_ADDED, 0, "h", "*", false, GW_SKIP_KIND},
        {MW_EVENT_CONNECTION, 0, "h", "*", false, GW_SKIP_KIND},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        struct mw_event ev = post(rows[i].flags);
        struct gw_route r = {
            .handler = rows[i].handler,
            .mention_only = rows[i].mention_only,
            .everyone = mw_streq(rows[i].allowed, "*"),
        };
        enum gw_verdict v;

        ev.kind = rows[i].kind;
        mw_map_init(&r.allowed, NULL);
        assert_int_equal(mw_map_put(&r.allowed, rows[i].allowed, &r), 0);
        v = gw_decide(&r, &ev);
        mw_map_deinit(&r.allowed);
        if (v != rows[i].verdict)
            fail_msg("row %zu: %s instead of %s", i, gw_verdict_name(v),
                     gw_verdict_name(rows[i].verdict));
    }
}

static void places(void **state)
{
    static const struct {
        unsigned flags;
        const char *root;
        bool thread_replies;
        const char *answer_root, *key;
    } rows[] = {
        {0, "", true, "p1", "c1/p1"},
        {0, "", false, "", "c1"},
        {0, "r1", true, "r1", "c1/r1"},
        {0, "r1", false, "r1", "c1/r1"},
        {MW_EVENT_DIRECT, "", true, "p1", "c1"},
        {MW_EVENT_DIRECT, "", false, "", "c1"},
        {MW_EVENT_DIRECT, "r1", true, "r1", "c1/r1"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        struct mw_event ev = post(rows[i].flags);
        const struct gw_route r = {.handler = "h", .thread_replies = rows[i].thread_replies};
        MW_AUTOFREE char *key = NULL;

        ev.root_id = rows[i].root;
        key = gw_conversation_key(&r, &ev);
        assert_string_equal(gw_answer_root(&r, &ev), rows[i].answer_root);
        assert_string_equal(key, rows[i].key);
    }
}

static void names_every_verdict(void **state)
{
    for (int v = 0; v < GW_VERDICTS; v++)
        assert_string_not_equal(gw_verdict_name(v), "unknown");
    assert_string_equal(gw_verdict_name(GW_VERDICTS), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decides),
        cmocka_unit_test(places),
        cmocka_unit_test(names_every_verdict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
