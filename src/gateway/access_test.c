/* Lists of people: what is known at once, and what has to be asked. Where the answers come from is
 * in the system tests of routes; what a verdict makes of them in route_test.c. */
#include "gateway/access.h"

#include "base/str.h"
#include "base/test.h"

#define ADA "adaadaadaadaadaadaadaadaad"
#define BOB "bobbobbobbobbobbobbobbobbo"
#define EVE "eveeveeveeveeveeveeveeveev"

struct list {
    struct gw_config *config;
    struct gw_names names;
    struct gw_members members;
    struct gw_access access;
};

/* @ada is known, @nobody is not on the server, @later was not asked about yet. */
static void know(struct gw_names *names)
{
    for (size_t i = 0; i < names->n; i++) {
        struct gw_name *n = &names->items[i];

        if (mw_streq(n->given, "@ada"))
            assert_int_equal(mw_str_set(&n->id, ADA), 0);
        if (mw_streq(n->given, "@nobody"))
            n->state = GW_NAME_MISSING;
    }
}

static void list_open(struct list *l, const char *words)
{
    MW_AUTOFREE char *text =
        mw_asprintf("bots:\n- {name: b, endpoint: 'https://h', bot_token: x, allowed_users: %s}\n"
                    "groups: {friends: ['@ada', " BOB "]}\n"
                    "handlers: {h: {type: command, command: [x]}}\n",
                    words);
    struct gw_problems problems = {0};
    int rc = gw_config_parse("c.yaml", text, strlen(text), &l->config, &problems);

    if (rc)
        fail_msg("%s: %s", words, problems.n ? problems.items[0].message : "?");
    assert_int_equal(gw_names_init(&l->names, l->config, &l->config->bots[0]), 0);
    know(&l->names);
    gw_members_init(&l->members);
    assert_int_equal(
        gw_access_init(&l->access, l->config, &l->config->bots[0].policy.allowed_users, &l->names),
        0);
}

static void list_close(struct list *l)
{
    gw_access_deinit(&l->access);
    gw_members_deinit(&l->members);
    gw_names_deinit(&l->names);
    gw_config_free(l->config);
}

static void who_is_in(void **state)
{
    static const struct {
        const char *words, *user;
        unsigned flags;
        enum gw_has has;
        const char *question;
    } rows[] = {
        {.words = "[]", .user = ADA, .has = GW_NO},
        {.words = "['*']", .user = EVE, .has = GW_YES},
        {.words = "['*']", .user = "", .has = GW_YES},
        {.words = "[" BOB "]", .user = BOB, .has = GW_YES},
        {.words = "[" BOB "]", .user = EVE, .has = GW_NO},
        {.words = "['@ada']", .user = ADA, .has = GW_YES},
        {.words = "['@ada']", .user = EVE, .has = GW_NO},
        /* A name that nobody has is nobody, also whoever is called so by an event. */
        {.words = "['@nobody', '@later']", .user = EVE, .has = GW_NO},
        {.words = "['@nobody']", .user = "", .has = GW_NO},
        /* Groups of the file come before those of the server. */
        {.words = "['group:friends']", .user = ADA, .has = GW_YES},
        {.words = "['group:friends']", .user = BOB, .has = GW_YES},
        {.words = "['group:friends']", .user = EVE, .has = GW_NO},
        {.words = "['group:devs']", .user = EVE, .has = GW_ASK, .question = "group devs " EVE},
        {.words = "['group:devs']", .user = "", .has = GW_NO},
        {.words = "['team:eng']", .user = EVE, .has = GW_ASK, .question = "team eng " EVE},
        {.words = "['team:eng', '@ada']", .user = ADA, .has = GW_YES},
        {.words = "['team:eng', 'group:devs']",
         .user = EVE,
         .has = GW_ASK,
         .question = "team eng " EVE},
        /* What would be another question, or another path. */
        {.words = "['team:eng " EVE "']", .user = EVE, .has = GW_NO},
        {.words = "['team:../users']", .user = EVE, .has = GW_NO},
        {.words = "['group:a/b']", .user = EVE, .has = GW_NO},
        {.words = "['channel-admins']", .user = EVE, .has = GW_ASK, .question = "admin chan " EVE},
        {.words = "['channel-admins']", .user = EVE, .flags = MW_EVENT_DIRECT, .has = GW_NO},
        {.words = "['channel-admins']", .user = EVE, .flags = MW_EVENT_GROUP, .has = GW_NO},
        {.words = "['channel-admins', 'team:eng']",
         .user = EVE,
         .flags = MW_EVENT_DIRECT,
         .has = GW_ASK,
         .question = "team eng " EVE},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        const struct mw_event ev = {.kind = MW_EVENT_POST,
                                    .flags = rows[i].flags,
                                    .channel_id = "chan",
                                    .user_id = rows[i].user,
                                    .user_name = "nobody"};
        struct gw_question q = {0};
        struct list l = {0};
        enum gw_has has;

        list_open(&l, rows[i].words);
        has = gw_access_has(&l.access, &l.members, &ev, &q);
        if (has != rows[i].has)
            fail_msg("row %zu, %s: %d instead of %d", i, rows[i].words, has, rows[i].has);
        assert_string_equal(q.text, rows[i].question ? rows[i].question : "");
        list_close(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
