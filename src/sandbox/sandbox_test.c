/* The pure parts: routes, mentions, search terms, multipart bodies, pages of posts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "sandbox/mention.h"
#include "sandbox/multipart.h"
#include "sandbox/postlist.h"
#include "sandbox/rest.h"
#include "sandbox/searchterms.h"

/* --- routes ------------------------------------------------------------------------------------
 */

static const char *route_of(const char *method, const char *path, const char **p)
{
    static char copy[256];
    const struct sb_route *r;

    snprintf(copy, sizeof(copy), "%s", path);
    r = sb_route_find(sb_routes, method, copy, p);
    return r ? r->pattern : NULL;
}

static void test_routes(void **state)
{
    const char *p[SB_MAX_PARAMS] = {0};

    assert_string_equal(route_of("GET", "/users/me", p), "/users/{user_id}");
    assert_string_equal(p[0], "me");
    assert_string_equal(route_of("GET", "/users/known", p), "/users/known");
    assert_string_equal(route_of("GET", "/users/u/teams/t/threads/x/", p),
                        "/users/{user_id}/teams/{team_id}/threads/{thread_id}");
    assert_string_equal(p[1], "t");
    assert_string_equal(p[2], "x");
    assert_null(route_of("PATCH", "/users/me", p));
    assert_null(route_of("GET", "/users//teams", p));
    assert_null(route_of("GET", "/a/b/c/d/e/f/g/h/i/j/k/l/m/n", p));
}

/* --- mentions ----------------------------------------------------------------------------------
 */

struct heard {
    const char *known;
    int hits;
};

static bool on_word(const char *word, void *arg)
{
    struct heard *h = arg;

    if (!mw_streq(word, h->known))
        return false;
    h->hits++;
    return true;
}

static int mentions(const char *text, const char *known)
{
    struct heard h = {known, 0};

    assert_int_equal(sb_mentions(text, on_word, &h), 0);
    return h.hits;
}

static void test_mentions(void **state)
{
    assert_int_equal(mentions("hello @ben.", "@ben"), 1);
    assert_int_equal(mentions("@Ben: what?", "@ben"), 1);
    assert_int_equal(mentions("(@ben_2-)", "@ben_2"), 1);
    assert_int_equal(mentions("x:@ben", "@ben"), 1);
    assert_int_equal(mentions("mail ben@example.com", "@ben"), 0);
    assert_int_equal(mentions("`@ben` and ```\n@ben\n```", "@ben"), 0);
    assert_int_equal(mentions("an open ` tick @ben", "@ben"), 1);
    assert_int_equal(mentions("@benno", "@ben"), 0);
}

static void test_hashtags(void **state)
{
    MW_AUTOBUF b = {0};

    sb_hashtags(&b, "#one and #two-. but not a#three, #12 or #ab");
    assert_string_equal(mw_buf_str(&b), "#one #two");
}

/* --- search ------------------------------------------------------------------------------------
 */

static bool finds(const char *terms, bool any, const char *message)
{
    MW_CLEANUP(sb_terms_deinit) struct sb_terms t = {0};

    assert_int_equal(sb_terms_parse(terms, any, 0, &t), 0);
    return sb_terms_match(&t, message);
}

static void test_terms(void **state)
{
    MW_CLEANUP(sb_terms_deinit) struct sb_terms t = {0};

    assert_true(finds("red fox", false, "The red FOX"));
    assert_false(finds("red fox", false, "the red dog"));
    assert_true(finds("red fox", true, "the red dog"));
    assert_false(finds("red -dog", false, "the red dog"));
    assert_true(finds("\"red dog\"", false, "a red dog"));
    assert_false(finds("\"red dog\"", false, "a dog, red"));
    assert_false(finds("re", false, "red"));
    assert_true(finds("re*", false, "red"));
    assert_int_equal(sb_terms_parse("from:@anna in:~ops -from:ben on:2026-11-21 x", false, 0, &t),
                     0);
    assert_string_equal(t.from.words[0], "anna");
    assert_string_equal(t.in.words[0], "ops");
    assert_string_equal(t.not_from.words[0], "ben");
    assert_int_equal(t.words.n, 1);
    assert_int_equal(t.before - t.after, 86400000);
}

/* --- multipart ---------------------------------------------------------------------------------
 */

struct parts {
    struct sb_part p[4];
    size_t n;
};

static int keep_part(const struct sb_part *p, void *arg)
{
    struct parts *x = arg;

    assert_true(x->n < 4);
    x->p[x->n++] = *p;
    return 0;
}

static void test_multipart(void **state)
{
    static const char body[] = "--B\r\nContent-Disposition: form-data; name=\"channel_id\"\r\n\r\n"
                               "abc\r\n--B\r\nContent-Disposition: form-data; name=\"files\"; "
                               "filename=\"a \\\"b\\\".txt\"\r\nContent-Type: text/plain\r\n\r\n"
                               "one\r\ntwo\r\n--B--\r\n";
    struct parts x = {0};
    char boundary[80];

    assert_true(
        sb_multipart_boundary("multipart/form-data; boundary=\"B\"", boundary, sizeof(boundary)));
    assert_string_equal(boundary, "B");
    assert_false(sb_multipart_boundary("application/json", boundary, sizeof(boundary)));
    assert_int_equal(sb_multipart_parse("B", body, sizeof(body) - 1, keep_part, &x), 0);
    assert_int_equal(x.n, 2);
    assert_string_equal(x.p[0].name, "channel_id");
    assert_int_equal(x.p[0].len, 3);
    assert_string_equal(x.p[1].filename, "a \"b\".txt");
    assert_string_equal(x.p[1].content_type, "text/plain");
    assert_int_equal(x.p[1].len, 8);
    assert_memory_equal(x.p[1].data, "one\r\ntwo", 8);
    for (size_t len = 0; len < sizeof(body) - 6; len++) {
        x.n = 0;
        assert_int_equal(sb_multipart_parse("B", body, len, keep_part, &x), -EINVAL);
    }
}

/* --- pages of posts ----------------------------------------------------------------------------
 */

#define N_POSTS 10

struct world {
    struct sb_channel c;
    struct sb_post posts[N_POSTS];
    struct sb_post *list[N_POSTS];
};

/* Posts 0 to 9 at 100, 110 ...; 5 and 6 in the same millisecond; 3 is deleted. */
static void make_world(struct world *w)
{
    *w = (struct world){0};
    for (int i = 0; i < N_POSTS; i++) {
        snprintf(w->posts[i].id, sizeof(w->posts[i].id), "%d", i);
        w->posts[i].create_at = w->posts[i].update_at = 100 + 10 * (i == 6 ? 5 : i);
        w->list[i] = &w->posts[i];
    }
    w->posts[3].delete_at = w->posts[3].update_at = 500;
    w->c.posts = w->list;
    w->c.n_posts = N_POSTS;
}

static void assert_page(struct world *w, struct sb_page_query q, const char *ids, const char *next,
                        const char *prev)
{
    MW_CLEANUP(sb_page_result_deinit) struct sb_page_result r = {0};
    char got[2 * N_POSTS + 1] = "";

    assert_int_equal(sb_post_page(&w->c, &q, &r), 0);
    for (size_t i = 0; i < r.n; i++)
        strcat(got, r.posts[i]->id);
    assert_string_equal(got, ids);
    assert_string_equal(r.next_id, next);
    assert_string_equal(r.prev_id, prev);
}

static void test_pages(void **state)
{
    struct world w;

    make_world(&w);
    assert_page(&w, (struct sb_page_query){.per_page = 3}, "987", "", "6");
    assert_page(&w, (struct sb_page_query){.per_page = 3, .page = 1}, "654", "7", "2");
    assert_page(&w, (struct sb_page_query){.per_page = 3, .after = &w.posts[1]}, "542", "7", "1");
    /* The post of the same millisecond is not after it. */
    assert_page(&w, (struct sb_page_query){.per_page = 9, .after = &w.posts[5]}, "987", "", "5");
    assert_page(&w, (struct sb_page_query){.per_page = 9, .before = &w.posts[4]}, "210", "4", "");
    assert_page(&w, (struct sb_page_query){.per_page = 9, .after = &w.posts[3]}, "987654", "", "3");
    assert_page(&w, (struct sb_page_query){.per_page = 9, .since = 170}, "983", "", "");
    w.posts[9].root = &w.posts[0];
    assert_page(&w, (struct sb_page_query){.per_page = 2, .crt = true}, "87", "", "6");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_routes),    cmocka_unit_test(test_mentions),
        cmocka_unit_test(test_hashtags),  cmocka_unit_test(test_terms),
        cmocka_unit_test(test_multipart), cmocka_unit_test(test_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
