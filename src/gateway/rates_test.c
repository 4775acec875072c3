#include "gateway/rates.h"

#include <stdio.h>

#include "base/test.h"

#define MINUTE 60000

static void lets_so_many_through_and_tells_once(void **state)
{
    struct gw_limits l;

    gw_limits_init(&l);
    for (int i = 0; i < 3; i++)
        assert_int_equal(gw_limits_take(&l, "ada", 3, MINUTE, 1000 + i), GW_LIMIT_FREE);
    assert_int_equal(gw_limits_take(&l, "ada", 3, MINUTE, 1010), GW_LIMIT_FIRST);
    assert_int_equal(gw_limits_take(&l, "ada", 3, MINUTE, 1020), GW_LIMIT_OVER);
    assert_int_equal(gw_limits_take(&l, "bob", 3, MINUTE, 1020), GW_LIMIT_FREE);
    /* The span begins with the first that counted. */
    assert_int_equal(gw_limits_take(&l, "ada", 3, MINUTE, 999 + MINUTE), GW_LIMIT_OVER);
    assert_int_equal(gw_limits_take(&l, "ada", 3, MINUTE, 1000 + MINUTE), GW_LIMIT_FREE);
    /* Time that goes back begins a new one, rather than to lock anybody out. */
    assert_int_equal(gw_limits_take(&l, "ada", 1, MINUTE, 500), GW_LIMIT_FREE);
    assert_int_equal(gw_limits_take(&l, "ada", 1, MINUTE, 600), GW_LIMIT_FIRST);
    /* Another limit, after a reload. */
    assert_int_equal(gw_limits_take(&l, "ada", 1, MINUTE * 2, 700), GW_LIMIT_FREE);
    gw_limits_deinit(&l);
}

static void forgets_who_was_here_once(void **state)
{
    struct gw_limits l;

    gw_limits_init(&l);
    for (int i = 0; i < 5000; i++) {
        char key[16];

        snprintf(key, sizeof(key), "%d", i);
        assert_int_equal(gw_limits_take(&l, key, 1, 10, i), GW_LIMIT_FREE);
    }
    assert_true(l.windows.count <= 1100);
    gw_limits_deinit(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lets_so_many_through_and_tells_once),
        cmocka_unit_test(forgets_who_was_here_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
