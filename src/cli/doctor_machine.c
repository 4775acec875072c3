/* `doctor`: what concerns the machine, whatever the server says. */
#include <inttypes.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/doctor.h"
#include "store/check.h"

#define DESCRIPTORS_PER_BOT 12  /* a socket for events, up to 8 for calls, a resolver's */
#define DESCRIPTORS_BASE    128 /* database, log, clients of the local socket ... */
#define PER_RUN             4   /* pipes of a handler's run */
#define LOW_DISK            (256LL * 1024 * 1024)
#define NO_DISK             (16LL * 1024 * 1024)
#define DAEMON_SECONDS      5

/* ---- Configuration ---- */

void doctor_config(struct doctor *d)
{
    struct gw_problems problems = {0};
    const char *path = d->config_path;
    int r = gw_config_load(path, &d->config, &problems);

    d->config_bad = r != 0;
    if (r < 0)
        d->no_memory = true;
    for (size_t i = 0; i < problems.n; i++) {
        const struct gw_problem *p = &problems.items[i];

        if (p->line)
            doctor_report(d, DOCTOR_BAD,
                          mw_asprintf("%s:%u:%u: %s", path, p->line, p->column, p->message), NULL);
        else
            doctor_report(d, DOCTOR_BAD, mw_asprintf("%s: %s", path, p->message), NULL);
    }
    gw_problems_deinit(&problems);
    if (r)
        return;
    if (d->only_bot && !gw_config_bot(d->config, d->only_bot)) {
        d->config_bad = true;
        doctor_report(d, DOCTOR_BAD, mw_asprintf("there is no bot \"%s\" in %s", d->only_bot, path),
                      strdup("`matterwire bots` lists the names"));
        return;
    }
    doctor_report(d, DOCTOR_GOOD,
                  mw_asprintf("%s has no mistakes: %zu %s", path, d->config->n_bots,
                              d->config->n_bots == 1 ? "bot" : "bots"),
                  NULL);
}

/* ---- Secrets ---- */

static bool holds_a_secret(const struct doctor *d, const char *text)
{
    for (size_t i = 0; i < d->config->n_bots; i++) {
        const struct gw_bot_config *bot = &d->config->bots[i];

        if ((bot->bot_token && strstr(text, bot->bot_token)) ||
            (bot->password && strstr(text, bot->password)))
            return true;
    }
    return false;
}

/* A token that stands in the file itself is as secret as the file. */
static bool secret_in_config(struct doctor *d)
{
    FILE *f = fopen(d->config->path, "re");
    bool found = false;
    MW_AUTOBUF b = {0};
    size_t n;

    if (!f)
        return false;
    mw_buf_init(&b, 1024 * 1024);
    while (mw_buf_reserve(&b, 4096) && (n = fread(b.data + b.len, 1, 4096, f)) > 0)
        mw_buf_commit(&b, n);
    fclose(f);
    if (b.data) {
        found = holds_a_secret(d, mw_buf_str(&b));
        explicit_bzero(b.data, b.len);
    }
    return found;
}

static bool others_may_read(const char *path)
{
    struct stat st;

    return path && stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077);
}

static unsigned report_exposed(struct doctor *d, const char *path, const char *what)
{
    if (!others_may_read(path))
        return 0;
    doctor_report(d, DOCTOR_WARNING,
                  mw_asprintf("others on this machine can read %s, and %s", path, what),
                  mw_asprintf("chmod 600 %s", path));
    return 1;
}

void doctor_secrets(struct doctor *d)
{
    unsigned n = 0;

    if (secret_in_config(d))
        n += report_exposed(d, d->config->path, "a secret stands in it");
    n += report_exposed(d, d->config->daemon.database, "it holds what was said");
    for (size_t i = 0; i < d->config->n_bots; i++) {
        const struct mw_tls_params *tls = &d->config->bots[i].tls;

        n += report_exposed(d, tls->key_file ? tls->key_file : tls->cert_file,
                            "it holds the key of a client certificate");
    }
    if (!n)
        doctor_report(d, DOCTOR_GOOD, strdup("no file with a secret can be read by others"), NULL);
}

/* ---- Handlers ---- */

/* In one of the folders of PATH, as the daemon looks for it. */
static bool in_path(const char *program)
{
    const char *path = getenv("PATH");

    for (const char *p = path ? path : ""; *p;) {
        size_t n = strcspn(p, ":");
        MW_AUTOFREE char *file = mw_asprintf("%.*s/%s", (int)n, p, program);

        if (!file || access(file, X_OK) == 0)
            return true;
        p += n + (p[n] == ':');
    }
    return false;
}

static void check_handler(struct doctor *d, const struct gw_handler_config *h)
{
    const char *program = h->command.n ? h->command.items[0] : "";

    if (access(h->workdir, X_OK) < 0)
        doctor_report(
            d, DOCTOR_BAD,
            mw_asprintf("%s cannot run in the folder %s: %s", h->name, h->workdir, strerror(errno)),
            strdup("make the folder, or correct `workdir`"));
    else if (!strchr(program, '/') && !in_path(program))
        doctor_report(d, DOCTOR_BAD,
                      mw_asprintf("%s cannot run %s: it is in no folder of PATH", h->name, program),
                      strdup("install it, or write its whole path in `command`"));
    else if (!strchr(program, '/'))
        doctor_report(d, DOCTOR_GOOD, mw_asprintf("%s runs %s from PATH", h->name, program), NULL);
    else if (access(program, X_OK) == 0)
        doctor_report(d, DOCTOR_GOOD, mw_asprintf("%s can run %s", h->name, program), NULL);
    else
        doctor_report(
            d, DOCTOR_BAD, mw_asprintf("%s cannot run %s: %s", h->name, program, strerror(errno)),
            errno == EACCES ? mw_asprintf("chmod +x %s", program) : strdup("correct `command`"));
}

void doctor_handlers(struct doctor *d)
{
    for (size_t i = 0; i < d->config->n_handlers; i++)
        check_handler(d, &d->config->handlers[i]);
}

/* ---- File descriptors ---- */

void doctor_descriptors(struct doctor *d)
{
    rlim_t need = DESCRIPTORS_BASE + d->config->n_bots * DESCRIPTORS_PER_BOT;
    struct rlimit limit;

    for (size_t i = 0; i < d->config->n_handlers; i++)
        need += (rlim_t)d->config->handlers[i].concurrency * PER_RUN;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        doctor_report(d, DOCTOR_WARNING, mw_asprintf("not known: %s", strerror(errno)), NULL);
    else if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= need)
        doctor_report(d, DOCTOR_GOOD,
                      mw_asprintf("up to %llu may be open; these bots need %llu at the most",
                                  (unsigned long long)limit.rlim_cur, (unsigned long long)need),
                      NULL);
    else
        doctor_report(d, limit.rlim_cur < need / 2 ? DOCTOR_BAD : DOCTOR_WARNING,
                      mw_asprintf("only %llu may be open; these bots can need %llu",
                                  (unsigned long long)limit.rlim_cur, (unsigned long long)need),
                      mw_asprintf("LimitNOFILE=%llu in the service, or `ulimit -n`",
                                  (unsigned long long)need));
}

/* ---- Database ---- */

const char *doctor_bytes(int64_t n, char *buf, size_t size)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double value = (double)n / 1024;
    size_t u = 0;

    while (value >= 1024 && u + 1 < MW_ARRAY_LEN(units)) {
        value /= 1024;
        u++;
    }
    snprintf(buf, size, value < 10 ? "%.1f %s" : "%.0f %s", value, units[u]);
    return buf;
}

/* There is none yet: can it be made? */
static void check_folder(struct doctor *d, const char *path)
{
    MW_AUTOFREE char *folder = strdup(path);
    char *slash = folder ? strrchr(folder, '/') : NULL;

    if (slash)
        *slash = '\0';
    /* The daemon makes the folders that are missing. */
    while (slash && *folder && access(folder, F_OK) < 0 && (slash = strrchr(folder, '/')))
        *slash = '\0';
    if (folder && access(*folder ? folder : "/", W_OK) < 0)
        doctor_report(
            d, DOCTOR_BAD,
            mw_asprintf("%s cannot be made: %s: %s", path, *folder ? folder : "/", strerror(errno)),
            strdup("give the daemon's user the folder, or set daemon.database"));
    else
        doctor_report(d, DOCTOR_GOOD, mw_asprintf("%s will be made at the first start", path),
                      NULL);
}

static void report_store(struct doctor *d, const char *path, const struct mw_store_check *c)
{
    char size[32], left[32];

    doctor_bytes(c->file_bytes + c->wal_bytes, size, sizeof(size));
    doctor_bytes(c->disk_free, left, sizeof(left));
    if (c->integrity == MW_INTEGRITY_DAMAGED)
        doctor_report(d, DOCTOR_BAD, mw_asprintf("%s is damaged: %s", path, c->problem),
                      mw_asprintf("stop the daemon, keep a copy, then: sqlite3 %s .recover | "
                                  "sqlite3 new.db",
                                  path));
    else if (c->schema > c->newest_schema)
        doctor_report(d, DOCTOR_BAD,
                      mw_asprintf("%s was written by a newer Matterwire (schema %d; this one knows "
                                  "%d)",
                                  path, c->schema, c->newest_schema),
                      strdup("install the newer version again"));
    else if (c->disk_free < LOW_DISK)
        doctor_report(d, c->disk_free < NO_DISK ? DOCTOR_BAD : DOCTOR_WARNING,
                      mw_asprintf("only %s are free on the disk of %s", left, path),
                      strdup("make room: while it is full nothing is taken in, and nothing lost"));
    else
        doctor_report(
            d, DOCTOR_GOOD,
            mw_asprintf("%s, %s, %s free on the disk",
                        c->integrity == MW_INTEGRITY_GOOD ? "sound" : "no fault found in 5 s", size,
                        left),
            NULL);
}

void doctor_database(struct doctor *d)
{
    const char *path = d->config->daemon.database;
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mw_store_check check;
    int r = mw_store_check(path, &(struct mw_store_check_params){0}, &check, &err);

    if (r == -ENOENT)
        check_folder(d, path);
    else if (r < 0)
        doctor_report(d, DOCTOR_BAD, strdup(mw_error_text(&err)),
                      r == -EACCES ? strdup("it belongs to the daemon's user: run doctor as that "
                                            "user, or as root")
                                   : strdup("is daemon.database the right file? Put it back from "
                                            "a copy, or move it away: an empty one is made"));
    else
        report_store(d, path, &check);
}

/* ---- The daemon ---- */

bool doctor_ask_daemon(struct doctor *d, const char *method, cJSON *params, cJSON **ret)
{
    const struct timeval limit = {.tv_sec = DAEMON_SECONDS};
    MW_AUTOFREE char *path = NULL;
    MW_AUTOJSON *owned = params;
    struct cli_conn c;
    int r = cli_try_connect(d->cli, &c, &path);

    if (r < 0)
        return false;
    (void)setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    r = cli_call(&c, method, take_ptr(owned), ret);
    cli_conn_deinit(&c);
    return r == CLI_DONE;
}

void doctor_daemon(struct doctor *d)
{
    MW_AUTOFREE char *path = NULL;
    struct cli_conn c = {.fd = -1};
    char span[48];
    int r = cli_try_connect(d->cli, &c, &path);

    if (r == 0)
        cli_conn_deinit(&c);
    if (r == -ENOMEM)
        d->no_memory = true;
    else if (r == -EACCES)
        doctor_report(d, DOCTOR_BAD, mw_asprintf("the daemon at %s belongs to another user", path),
                      strdup("use the daemon's user, or root"));
    else if (r == -ENOENT || r == -ECONNREFUSED)
        doctor_report(d, DOCTOR_WARNING, mw_asprintf("no daemon listens on %s", path),
                      mw_asprintf("start it: matterwired --config %s", d->config_path));
    else if (r < 0)
        doctor_report(d, DOCTOR_BAD, mw_asprintf("%s: %s", path, strerror(-r)),
                      strdup("set daemon.socket to another path, such as in /run or /tmp"));
    else if (!doctor_ask_daemon(d, "status", NULL, &d->status))
        doctor_report(d, DOCTOR_BAD, mw_asprintf("the daemon at %s does not answer", path),
                      strdup("look at its log; restart it"));
    else if (mw_streq(mw_json_str(mw_json_obj(d->status, "store"), "state"), "stalled"))
        doctor_report(d, DOCTOR_BAD,
                      mw_asprintf("it runs, but cannot write to its database: %s",
                                  mw_json_str_or(mw_json_obj(d->status, "store"), "reason", "?")),
                      strdup("make room on the disk; it goes on by itself and nothing is lost"));
    else
        doctor_report(
            d, DOCTOR_GOOD,
            mw_asprintf("version %s has run for %s", mw_json_str_or(d->status, "version", "?"),
                        cli_span(mw_json_i64(d->status, "uptime_ms", 0), span, sizeof(span))),
            NULL);
}
