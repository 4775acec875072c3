/* The folder of fetched files: same content twice, the quota, what a crash leaves. */
#include "gateway/content.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "io/digest.h"
#include "store/test_store.h"

struct test {
    struct fixture *f;
    void *store_state;
    char folder[128];
    struct gw_content *content;
    struct gw_content_stats stats;
};

static void open_content(struct test *t)
{
    MW_AUTOERROR err = MW_ERROR_INIT;

    if (gw_content_new(&t->f->loop, t->f->store, t->folder, &t->content, &err))
        fail_msg("%s", mw_error_text(&err));
}

/* The daemon ends, however, and starts again. */
static void restart(struct test *t)
{
    gw_content_stop(t->content);
    test_close(t->f);
    gw_content_free(take_ptr(t->content));
    test_open(t->f);
    open_content(t);
}

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));

    assert_non_null(t);
    assert_int_equal(test_setup(&t->store_state), 0);
    t->f = t->store_state;
    snprintf(t->folder, sizeof(t->folder), "%s/files", t->f->dir);
    open_content(t);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    MW_AUTOFREE char *command = mw_asprintf("rm -rf '%s'", t->folder);

    gw_content_stop(t->content);
    test_close(t->f);
    gw_content_free(t->content);
    uv_run(&t->f->loop, UV_RUN_DEFAULT);
    assert_int_equal(system(command), 0);
    assert_int_equal(test_teardown(&t->store_state), 0);
    free(t);
    return 0;
}

static const struct gw_content_stats *stats(struct test *t)
{
    gw_content_get_stats(t->content, &t->stats);
    return &t->stats;
}

static void write_file(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static void on_done(int error, void *userdata)
{
    *(int *)userdata = error ? error : 1;
}

/* Stores a file as a download would. */
static void put(struct test *t, const char *id, const char *text, int64_t used_at)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOFREE char *part = NULL;
    char hash[MW_SHA256_HEX];
    int done = 0;
    struct mw_file f = {.id = id,
                        .hash = hash,
                        .name = "n",
                        .type = "t",
                        .size = (int64_t)strlen(text),
                        .used_at = used_at};

    assert_int_equal(gw_content_part(t->content, id, &part, &err), 0);
    write_file(part, text);
    assert_int_equal(mw_file_sha256(part, hash), 0);
    assert_int_equal(gw_content_place(t->content, &f, part, on_done, &done, &err), 0);
    while (!done)
        uv_run(&t->f->loop, UV_RUN_ONCE);
    assert_int_equal(done, 1);
    assert_false(exists(part));
}

static void note_path(const struct mw_file *f, void *userdata)
{
    snprintf(userdata, MW_SHA256_HEX, "%s", f->hash);
}

/* The path of an id's content; NULL when it is not here. Freed by the caller. */
static char *path_of(struct test *t, const char *id)
{
    char hash[MW_SHA256_HEX];
    int r = gw_content_find(t->content, id, note_path, hash);

    assert_true(r >= 0);
    return r ? NULL : gw_content_path(t->content, hash);
}

static bool is_here(struct test *t, const char *id)
{
    MW_AUTOFREE char *path = path_of(t, id);

    return path != NULL;
}

static void stored_under_its_hash_for_the_owner_only(void **state)
{
    struct test *t = *state;
    MW_AUTOFREE char *path = NULL, *want = NULL;
    struct stat st;

    assert_false(is_here(t, "f1"));
    umask(0);
    put(t, "f1", "abc", 1);
    path = path_of(t, "f1");
    want = mw_asprintf("%s/ba/7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                       t->folder);
    assert_string_equal(path, want);
    *strrchr(path, '/') = '\0';
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(stat(t->folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void same_content_twice_is_there_once(void **state)
{
    struct test *t = *state;

    put(t, "f1", "same", 1);
    put(t, "f2", "same", 2);
    put(t, "f1", "same", 3);
    assert_int_equal(stats(t)->contents, 1);
    assert_int_equal(stats(t)->bytes, 4);
    restart(t);
    assert_true(is_here(t, "f1") && is_here(t, "f2"));
    assert_int_equal(stats(t)->contents, 1);
    assert_int_equal(stats(t)->bytes, 4);
}

static void the_quota_evicts_what_was_not_used_longest(void **state)
{
    struct test *t = *state;
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOFREE char *path = NULL;
    int done = 0;

    put(t, "f1", "1111", 1);
    put(t, "f2", "2222", 2);
    put(t, "f3", "3333", 3);
    path = path_of(t, "f2");
    assert_int_equal(gw_content_use(t->content, "f1", 9, on_done, &done), 0);
    while (!done)
        uv_run(&t->f->loop, UV_RUN_ONCE);

    assert_int_equal(gw_content_reserve(t->content, 14, 2, &err), 0); /* fits */
    assert_int_equal(stats(t)->evicted, 0);
    assert_int_equal(gw_content_reserve(t->content, 14, 2, &err), 0); /* f2 goes */
    assert_int_equal(stats(t)->evicted, 1);
    assert_int_equal(stats(t)->bytes, 8);
    assert_int_equal(stats(t)->reserved, 4);
    assert_false(exists(path));
    assert_true(is_here(t, "f1") && !is_here(t, "f2") && is_here(t, "f3"));
    /* Its row is still there; it is not counted twice. */
    assert_int_equal(gw_content_reserve(t->content, 14, 6, &err), 0); /* f3 goes */
    assert_int_equal(stats(t)->evicted, 2);
    assert_true(is_here(t, "f1") && !is_here(t, "f3"));
    gw_content_release(t->content, 10);

    restart(t);
    assert_int_equal(stats(t)->contents, 1);
    assert_int_equal(stats(t)->bytes, 4);
}

static void what_is_needed_stays(void **state)
{
    struct test *t = *state;
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mw_event ev = test_post("p1", 1);
    struct mw_tx *tx = test_tx(t->f);

    ev.files = "[\"f1\"]";
    put(t, "f1", "1111", 1);
    put(t, "f2", "2222", 2);
    assert_int_equal(
        mw_tx_task_add(tx, &(struct mw_task){.event_id = test_event(t->f, &ev), .bot = "b1"}), 0);
    assert_int_equal(test_commit(t->f, tx), 0);
    assert_int_equal(gw_content_reserve(t->content, 9, 5, &err), 0);
    assert_true(is_here(t, "f1") && !is_here(t, "f2"));
    assert_int_equal(gw_content_reserve(t->content, 9, 1, &err), 1);
    assert_non_null(strstr(mw_error_text(&err), "all that is there is needed"));
    assert_true(is_here(t, "f1"));
    mw_error_reset(&err);
    assert_int_equal(gw_content_reserve(t->content, 9, 10, &err), 1);
    assert_non_null(strstr(mw_error_text(&err), "it has 10 bytes, the quota of"));
}

/* Evicted, and fetched again before the eviction is on the disk. */
static void evicted_and_back(void **state)
{
    struct test *t = *state;
    MW_AUTOERROR err = MW_ERROR_INIT;

    put(t, "f1", "1111", 1);
    assert_int_equal(gw_content_reserve(t->content, 4, 4, &err), 0);
    gw_content_release(t->content, 4);
    put(t, "f1", "1111", 2);
    assert_true(is_here(t, "f1"));
    assert_int_equal(stats(t)->bytes, 4);
    restart(t);
    assert_true(is_here(t, "f1"));
    assert_int_equal(stats(t)->contents, 1);
}

static void a_crash_leaves_nothing(void **state)
{
    struct test *t = *state;
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOFREE char *part = NULL, *hidden = NULL, *orphan = NULL, *foreign = NULL, *gone = NULL;
    char hash[] = "ba00000000000000000000000000000000000000000000000000000000000000";

    put(t, "f1", "abc", 1);
    put(t, "f2", "lost", 2);
    /* Half a download, a content that was not recorded, a file of somebody else; and a record
     * without its content. */
    assert_int_equal(gw_content_part(t->content, "f3", &part, &err), 0);
    write_file(part, "half");
    hidden = mw_asprintf("%s/parts/.f3.part", t->folder);
    write_file(hidden, "half");
    orphan = gw_content_path(t->content, hash);
    write_file(orphan, "orphan");
    foreign = mw_asprintf("%s/ba/README", t->folder);
    write_file(foreign, "mine");
    gone = path_of(t, "f2");
    assert_int_equal(unlink(gone), 0);

    restart(t);
    while (stats(t)->sweeping)
        uv_run(&t->f->loop, UV_RUN_ONCE);
    assert_int_equal(stats(t)->swept, 1);
    assert_false(exists(part) || exists(hidden) || exists(orphan));
    assert_true(exists(foreign));
    assert_true(is_here(t, "f1") && !is_here(t, "f2"));
    put(t, "f2", "lost", 3);
    assert_true(is_here(t, "f2"));
    assert_int_equal(stats(t)->contents, 2);
    assert_int_equal(stats(t)->bytes, 7);
}

static void a_content_of_another_size_is_not_it(void **state)
{
    struct test *t = *state;
    MW_AUTOFREE char *path = NULL;

    put(t, "f1", "abc", 1);
    path = path_of(t, "f1");
    write_file(path, "abcd");
    assert_false(is_here(t, "f1"));
    assert_false(exists(path));
    assert_int_equal(stats(t)->contents, 0);
    assert_int_equal(stats(t)->bytes, 0);
    put(t, "f1", "abc", 2);
    assert_true(is_here(t, "f1"));
    assert_int_equal(stats(t)->contents, 1);
    assert_int_equal(stats(t)->bytes, 3);
    assert_int_equal(stats(t)->evicted, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stored_under_its_hash_for_the_owner_only, setup, teardown),
        cmocka_unit_test_setup_teardown(same_content_twice_is_there_once, setup, teardown),
        cmocka_unit_test_setup_teardown(the_quota_evicts_what_was_not_used_longest, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_needed_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(evicted_and_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_crash_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_content_of_another_size_is_not_it, setup, teardown),
    };

    return cmocka_run_group_tests_name("content", tests, NULL, NULL);
}
