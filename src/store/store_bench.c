/*
 * How fast the journal takes events, beside what the same disk does with bare fsync.
 *
 *   store_bench FOLDER [EVENTS [BACKLOG]]
 *
 * Writes EVENTS (default 200000) events with raw JSON of about 600 bytes in as many channels as a
 * team has, each a transaction of its own, with at most BACKLOG of them under way (default: what
 * the store's queue takes), then single events one after the other. Prints one line a figure;
 * removes its files.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/id.h"
#include "base/str.h"
#include "store/store.h"

static struct {
    uv_loop_t loop;
    struct mw_store *store;
    char raw[1024];
    char channels[50][MW_ID_SIZE];
    long submitted, done, backlog;
    int failures;
    int64_t submit_ns;
} bench;

static int64_t now_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void bench_fsync(const char *folder)
{
    MW_AUTOFREE char *path = mw_asprintf("%s/fsync", folder);
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    int64_t start = now_ns(CLOCK_MONOTONIC);
    static char page[4096];
    long n = 0;

    while (fd >= 0 && n < 2000 && write(fd, page, sizeof(page)) == sizeof(page) &&
           fdatasync(fd) == 0)
        n++;
    printf("fsync of 4 KiB appended:   %.0f/s\n",
           (double)n * 1e9 / (double)(now_ns(CLOCK_MONOTONIC) - start));
    if (fd >= 0)
        close(fd);
    if (path)
        unlink(path);
}

static void on_done(const struct mw_tx_result *r, void *userdata)
{
    bench.done++;
    bench.failures += r->error != 0 || r->event_id == 0;
}

static void submit(void)
{
    char id[MW_ID_SIZE];
    struct mw_event ev = {
        .bot = "support",
        .kind = MW_EVENT_POST,
        .at = 1700000000000 + bench.submitted,
        .object = id,
        .post_id = id,
        .channel_id = bench.channels[bench.submitted % (long)MW_ARRAY_LEN(bench.channels)],
        .channel_name = "town-square",
        .channel_type = "O",
        .team_id = bench.channels[0],
        .team_name = "engineering",
        .user_id = bench.channels[1],
        .user_name = "ada.lovelace",
        .text = "the deploy of the new version went through, thanks everybody",
        .raw = bench.raw,
    };
    struct mw_tx *tx;
    int64_t start;

    if (mw_id_new(id) < 0)
        exit(1);
    start = now_ns(CLOCK_THREAD_CPUTIME_ID);
    tx = mw_tx_new(bench.store);
    if (!tx || mw_tx_event(tx, &ev) < 0)
        exit(1);
    mw_tx_commit(tx, on_done, NULL);
    bench.submit_ns += now_ns(CLOCK_THREAD_CPUTIME_ID) - start;
    bench.submitted++;
}

static void run_to(long total)
{
    while (bench.done < total) {
        while (bench.submitted < total && !mw_store_full(bench.store) &&
               bench.submitted - bench.done < bench.backlog)
            submit();
        uv_run(&bench.loop, UV_RUN_ONCE);
    }
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

static void bench_single(void)
{
    static int64_t took[1000];
    const int64_t *median = &took[MW_ARRAY_LEN(took) / 2];
    const int64_t *slow = &took[MW_ARRAY_LEN(took) * 99 / 100];

    bench.backlog = 1;
    for (size_t i = 0; i < MW_ARRAY_LEN(took); i++) {
        int64_t start = now_ns(CLOCK_MONOTONIC);

        run_to(bench.done + 1);
        took[i] = now_ns(CLOCK_MONOTONIC) - start;
    }
    qsort(took, MW_ARRAY_LEN(took), sizeof(took[0]), compare);
    printf("one event at a time:       p50 %.2f ms, p99 %.2f ms\n", (double)*median / 1e6,
           (double)*slow / 1e6);
}

int main(int argc, char **argv)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOFREE char *path = argc > 1 ? mw_asprintf("%s/bench.db", argv[1]) : NULL;
    MW_AUTOFREE char *lock = argc > 1 ? mw_asprintf("%s/bench.db.lock", argv[1]) : NULL;
    struct mw_store_params params = {.path = path, .synchronous_full = -1};
    long events = argc > 2 ? strtol(argv[2], NULL, 10) : 200000;
    struct mw_store_stats stats;
    int64_t start, cpu, wall;

    if (!path || !lock || events <= 0) {
        fprintf(stderr, "usage: store_bench FOLDER [EVENTS [BACKLOG]]\n");
        return 2;
    }
    bench.backlog = argc > 3 ? strtol(argv[3], NULL, 10) : LONG_MAX;
    memset(bench.raw, 'x', 600);
    memcpy(bench.raw, "{\"message\":\"", 12);
    memcpy(bench.raw + 598, "\"}", 3);
    for (size_t i = 0; i < MW_ARRAY_LEN(bench.channels); i++)
        if (mw_id_new(bench.channels[i]) < 0)
            return 1;
    bench_fsync(argv[1]);
    uv_loop_init(&bench.loop);
    if (mw_store_open(&bench.loop, &params, &bench.store, &err) < 0) {
        fprintf(stderr, "%s\n", mw_error_text(&err));
        return 1;
    }
    start = now_ns(CLOCK_MONOTONIC);
    cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    run_to(events);
    wall = now_ns(CLOCK_MONOTONIC) - start;
    cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    mw_store_get_stats(bench.store, &stats);
    printf("events, durable:           %.0f/s (%ld events, %.0f in a commit, %.1f us CPU each)\n",
           (double)events * 1e9 / (double)wall, events, (double)events / (double)stats.commits,
           (double)cpu / 1e3 / (double)events);
    printf("loop's thread per event:   %.2f us\n", (double)bench.submit_ns / 1e3 / (double)events);
    printf("file and WAL per event:    %.0f bytes\n",
           (double)stats.file_bytes / (double)stats.events_written);
    bench_single();
    mw_store_close(bench.store);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    uv_loop_close(&bench.loop);
    unlink(path);
    unlink(lock);
    if (bench.failures)
        fprintf(stderr, "%d events were not written\n", bench.failures);
    return bench.failures ? 1 : 0;
}
