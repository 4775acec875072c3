#include "base/test.h"
#include "mattermost/model.h"

static const struct {
    const char *text;
    bool mentions;
} cases[] = {
    {"@bot", true},
    {"hello @bot", true},
    {"@BoT do it", true},
    {"@bot.", true},
    {"@bot...", true},
    {"@bot:", true},
    {"@bot_", true},
    {"@bot-:._ x", true},
    {"(@bot)", true},
    {"**@bot**", true},
    {"@bot, please", true},
    {"@bot\nplease", true},
    {"@bot's", true},
    {"done.@bot", true},
    {"-@bot", true},
    {"> @bot", true},
    {"- @bot", true},
    {"@bot\xef\xbc\x8c\xe4\xbd\xa0\xe5\xa5\xbd", true}, /* a full-width comma ends the word */
    {"bot", false},
    {"me@bot", false},
    {"me@bot.com", false},
    {"@bot.foo", false},
    {"@bott", false},
    {"@robot", false},
    {"@bot1", false},
    {"@bot\xe4\xbd\xa0", false}, /* a letter goes on with the word */
    {"\xc3\xa9@bot", false},
    {":@bot:", false},
    {"@", false},
    {"", false},
    {"`@bot`", false},
    {"`a` @bot `b`", true},
    {"`a @bot", true},
    {"\\`@bot`", true},
    {"`` `@bot` ``", false},
    {"``@bot`", true},
    {"`x\n@bot`", false},
    {"`x\n\n@bot`", true}, /* a span does not reach over a blank line */
    {"```\n@bot\n```", false},
    {"```\n@bot", false},
    {"```\n```\n@bot", true},
    {"```sh\n@bot\n````\n", false},
    {"```\nx\n```\n@bot", true},
    {"~~~\n@bot\n```\n@bot\n~~~", false},
    {"text\n```\n@bot\n```", false},
    {"``` a`b\n@bot", true}, /* no fence: its info string holds a backtick */
    {"    @bot", false},
    {"\t@bot", false},
    {"text\n    @bot", true}, /* goes on with the paragraph */
    {"text\n\n    @bot", false},
    {"- item\n\n    @bot", true}, /* belongs to the item */
    {"> ```\n> @bot\n> ```", false},
    {"> ```\n@bot", true}, /* the quote ends and its fence with it */
    {"1. ```\n   @bot\n   ```", false},
};

static void test_cases(void **state)
{
    for (size_t i = 0; i < MW_ARRAY_LEN(cases); i++)
        if (mm_mentions(cases[i].text, "bot") != cases[i].mentions)
            fail_msg("wrong for \"%s\"", cases[i].text);
}

static void test_names(void **state)
{
    assert_true(mm_mentions("hi @build-bot.", "build-bot"));
    assert_false(mm_mentions("hi @build-bot", "build"));
    assert_true(mm_mentions("hi @bot_.", "bot_"));
    assert_true(mm_mentions("hi @a.b: x", "a.b"));
    assert_false(mm_mentions("hi @", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
