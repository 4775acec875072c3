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

#define ADA "adaadaadaadaadaadaadaadaad"

/* A bot's routes as its config makes them. */
struct routes {
    struct gw_config *config;
    struct gw_names names;
    struct gw_members members;
    struct gw_routes routes;
};

static void routes_open(struct routes *r, const char *keys)
{
    MW_AUTOFREE char *text =
        mw_asprintf("bots:\n- {name: b, endpoint: 'https://h', bot_token: x, %s}\n"
                    "groups: {friends: [" ADA "]}\n"
                    "handlers:\n  h: {type: command, command: [x]}\n"
                    "  g: {type: command, command: [x]}\n",
                    keys);
    struct gw_problems problems = {0};
    int rc = gw_config_parse("c.yaml", text, strlen(text), &r->config, &problems);

    if (rc)
        fail_msg("%s: %s", keys, problems.n ? problems.items[0].message : "?");
    assert_int_equal(gw_names_init(&r->names, r->config, &r->config->bots[0]), 0);
    gw_members_init(&r->members);
    assert_int_equal(gw_routes_init(&r->routes, r->config, &r->config->bots[0], &r->names), 0);
}

static void routes_close(struct routes *r)
{
    gw_routes_deinit(&r->routes);
    gw_members_deinit(&r->members);
    gw_names_deinit(&r->names);
    gw_config_free(r->config);
}

#define ALL          "handler: h, allowed_users: '*', mention_only: false"
#define ROUTES(list) "allowed_users: '*', mention_only: false, handler: h, routes: [" list "]"

static void decides(void **state)
{
    static const struct {
        enum mw_event_kind kind;
        unsigned flags;
        const char *keys;
        enum gw_verdict verdict;
        const char *handler;
        bool followed, paired;
    } rows[] = {
        {.kind = MW_EVENT_POST, .flags = 0, .keys = ALL, .verdict = GW_RUN, .handler = "h"},
        {.kind = MW_EVENT_POST,
         .flags = 0,
         .keys = "handler: h, mention_only: false, allowed_users: " ADA,
         .verdict = GW_RUN,
         .handler = "h"},
        {.kind = MW_EVENT_POST,
         .flags = 0,
         .keys = "handler: h, mention_only: false, allowed_users: group:friends",
         .verdict = GW_RUN,
         .handler = "h"},
        {.kind = MW_EVENT_POST,
         .flags = 0,
         .keys = "handler: h, mention_only: false",
         .verdict = GW_SKIP_NOT_ALLOWED},
        {.kind = MW_EVENT_POST,
         .flags = 0,
         .keys = "handler: h, mention_only: false",
         .verdict = GW_RUN,
         .handler = "h",
         .paired = true},
        {.kind = MW_EVENT_POST,
         .flags = 0,
         .keys = "handler: h, mention_only: false, allowed_users: bobbobbobbobbobbobbobbobbo",
         .verdict = GW_SKIP_NOT_ALLOWED},
        {.kind = MW_EVENT_POST,
         .flags = 0,
         .keys = ALL ", denied_users: " ADA,
         .verdict = GW_SKIP_NOT_ALLOWED},
        {.kind = MW_EVENT_POST,
         .flags = 0,
         .keys = ALL ", denied_users: " ADA,
         .verdict = GW_SKIP_NOT_ALLOWED,
         .paired = true},
        {.kind = MW_EVENT_POST,
         .flags = 0,
         .keys = "handler: h, mention_only: false, allowed_users: team:eng",
         .verdict = GW_UNDECIDED},
        {.kind = MW_EVENT_POST,
         .flags = 0,
         .keys = "handler: h, mention_only: false, allowed_users: channel-admins",
         .verdict = GW_UNDECIDED},
        {.kind = MW_EVENT_POST,
         .flags = MW_EVENT_DIRECT,
         .keys = "handler: h, allowed_users: channel-admins",
         .verdict = GW_SKIP_NOT_ALLOWED},
        {.kind = MW_EVENT_POST,
         .flags = 0,
         .keys = ALL ", denied_users: group:elsewhere",
         .verdict = GW_UNDECIDED},
        {.kind = MW_EVENT_POST,
         .flags = 0,
         .keys = "allowed_users: '*'",
         .verdict = GW_SKIP_NO_HANDLER},
        {.kind = MW_EVENT_POST,
         .flags = 0,
         .keys = "handler: h, allowed_users: '*'",
         .verdict = GW_SKIP_NOT_ADDRESSED},
        {.kind = MW_EVENT_POST,
         .flags = 0,
         .keys = "handler: h, allowed_users: '*'",
         .verdict = GW_RUN,
         .handler = "h",
         .followed = true},
        {.kind = MW_EVENT_POST,
         .flags = MW_EVENT_MENTION,
         .keys = "handler: h, allowed_users: '*'",
         .verdict = GW_RUN,
         .handler = "h"},
        {.kind = MW_EVENT_POST,
         .flags = MW_EVENT_DIRECT,
         .keys = "handler: h, allowed_users: '*'",
         .verdict = GW_RUN,
         .handler = "h"},
        {.kind = MW_EVENT_POST,
         .flags = MW_EVENT_GROUP,
         .keys = "handler: h, allowed_users: '*'",
         .verdict = GW_SKIP_NOT_ADDRESSED},
        {.kind = MW_EVENT_POST,
         .flags = MW_EVENT_CAUGHT_UP,
         .keys = ALL,
         .verdict = GW_RUN,
         .handler = "h"},
        {.kind = MW_EVENT_POST, .flags = MW_EVENT_OWN, .keys = ALL, .verdict = GW_SKIP_OWN},
        {.kind = MW_EVENT_POST,
         .flags = MW_EVENT_OWN | MW_EVENT_FROM_BOT,
         .keys = ALL ", allow_bots: all",
         .verdict = GW_SKIP_OWN},
        {.kind = MW_EVENT_POST, .flags = MW_EVENT_FROM_BOT, .keys = ALL, .verdict = GW_SKIP_BOT},
        {.kind = MW_EVENT_POST,
         .flags = MW_EVENT_FROM_BOT,
         .keys = ALL ", allow_bots: mentions",
         .verdict = GW_SKIP_BOT},
        {.kind = MW_EVENT_POST,
         .flags = MW_EVENT_FROM_BOT | MW_EVENT_MENTION,
         .keys = ALL ", allow_bots: mentions",
         .verdict = GW_RUN,
         .handler = "h"},
        {.kind = MW_EVENT_POST,
         .flags = MW_EVENT_FROM_BOT,
         .keys = ALL ", allow_bots: all",
         .verdict = GW_RUN,
         .handler = "h"},
        {.kind = MW_EVENT_POST,
         .flags = MW_EVENT_FROM_WEBHOOK,
         .keys = ALL,
         .verdict = GW_SKIP_WEBHOOK},
        {.kind = MW_EVENT_POST, .flags = MW_EVENT_SYSTEM, .keys = ALL, .verdict = GW_SKIP_SYSTEM},
        {.kind = MW_EVENT_POST_EDITED, .flags = 0, .keys = ALL, .verdict = GW_SKIP_KIND},
        {.kind = MW_EVENT_REACTION_ADDED, .flags = 0, .keys = ALL, .verdict = GW_SKIP_KIND},
        {.kind = MW_EVENT_CONNECTION, .flags = 0, .keys = ALL, .verdict = GW_SKIP_KIND},
        /* The first route that fits decides, whatever it decides. */
        {.kind = MW_EVENT_POST,
         .flags = MW_EVENT_DIRECT,
         .keys = ROUTES("{when: direct, handler: g}"),
         .verdict = GW_RUN,
         .handler = "g"},
        {.kind = MW_EVENT_POST,
         .flags = 0,
         .keys = ROUTES("{when: direct, handler: g}"),
         .verdict = GW_RUN,
         .handler = "h"},
        {.kind = MW_EVENT_POST,
         .flags = 0,
         .keys = ROUTES("{handler: g, allowed_users: []}, {handler: h}"),
         .verdict = GW_SKIP_NOT_ALLOWED},
        {.kind = MW_EVENT_POST,
         .flags = 0,
         .keys = ROUTES("{handler: g, mention_only: true}"),
         .verdict = GW_SKIP_NOT_ADDRESSED},
        {.kind = MW_EVENT_POST,
         .flags = 0,
         .keys = "allowed_users: '*', routes: [{when: direct, handler: h}]",
         .verdict = GW_SKIP_NO_ROUTE},
        {.kind = MW_EVENT_POST,
         .flags = 0,
         .keys = "mention_only: false, routes: [{allowed_users: [], handler: h}]",
         .verdict = GW_SKIP_NOT_ALLOWED,
         .paired = true},
        {.kind = MW_EVENT_REACTION_ADDED,
         .flags = 0,
         .keys = ROUTES("{kinds: reaction_added, handler: g}"),
         .verdict = GW_RUN,
         .handler = "g"},
        {.kind = MW_EVENT_POST,
         .flags = 0,
         .keys = ROUTES("{kinds: reaction_added, handler: g}"),
         .verdict = GW_RUN,
         .handler = "h"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        struct mw_event ev = post(rows[i].flags);
        struct routes r = {0};
        struct gw_decision d;
        struct gw_facts facts = {.followed = rows[i].followed, .paired = rows[i].paired};

        ev.kind = rows[i].kind;
        ev.user_id = ADA;
        routes_open(&r, rows[i].keys);
        facts.members = &r.members;
        gw_decide(&r.routes, &facts, &ev, &d);
        if (d.verdict != rows[i].verdict)
            fail_msg("row %zu: %s instead of %s", i, gw_verdict_name(d.verdict),
                     gw_verdict_name(rows[i].verdict));
        if (rows[i].handler)
            assert_string_equal(d.route->config->handler, rows[i].handler);
        routes_close(&r);
    }
}

static void places(void **state)
{
    static const struct {
        unsigned flags;
        const char *root;
        enum gw_thread_place place;
        const char *answer_root, *key;
    } rows[] = {
        {0, "", GW_THREAD, "p1", "c1/p1"},
        {0, "", GW_THREAD_SAME, "", "c1"},
        {0, "", GW_THREAD_CHANNEL, "", "c1"},
        {0, "r1", GW_THREAD, "r1", "c1/r1"},
        {0, "r1", GW_THREAD_SAME, "r1", "c1/r1"},
        {0, "r1", GW_THREAD_CHANNEL, "", "c1/r1"},
        {MW_EVENT_DIRECT, "", GW_THREAD, "p1", "c1"},
        {MW_EVENT_DIRECT, "", GW_THREAD_SAME, "", "c1"},
        {MW_EVENT_DIRECT, "r1", GW_THREAD, "r1", "c1/r1"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        struct mw_event ev = post(rows[i].flags);
        const struct gw_policy p = {.thread_replies = (int)rows[i].place};
        MW_AUTOFREE char *key = NULL;

        ev.root_id = rows[i].root;
        key = gw_conversation_key(&p, &ev);
        assert_string_equal(gw_answer_root(&p, &ev), rows[i].answer_root);
        assert_string_equal(key, rows[i].key);
    }
}

static void leaves_out_the_mention(void **state)
{
    static const struct {
        const char *text, *said;
    } rows[] = {
        {"hello", "hello"},
        {"@bot hello", "hello"},
        {"  @Bot: hello", "hello"},
        {"@bot", ""},
        {"@bot, what is @bot?", "what is @bot?"},
        {"@bot.other hello", "@bot.other hello"},
        {"@bot-2 hello", "@bot-2 hello"},
        {"@bots hello", "@bots hello"},
        {"ask @bot", "ask @bot"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        struct mw_event ev = post(0);

        ev.text = rows[i].text;
        assert_string_equal(gw_said(&ev, "bot"), rows[i].said);
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
        cmocka_unit_test(leaves_out_the_mention),
        cmocka_unit_test(names_every_verdict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
