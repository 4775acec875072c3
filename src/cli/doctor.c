#include "cli/doctor.h"

#include <langinfo.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "io/handle.h"

#define STEP_MS 15000 /* nobody waits longer for one line */

static const char *const verdict_names[] = {
    [DOCTOR_GOOD] = "good",
    [DOCTOR_WARNING] = "warning",
    [DOCTOR_BAD] = "bad",
};

static void print_line(const struct doctor *d, enum doctor_verdict v, const char *check,
                       const char *sentence, const char *fix)
{
    static const enum cli_color colors[] = {CLI_GREEN, CLI_YELLOW, CLI_RED};
    static const char *const marks[] = {"✓", "!", "✗"}, *const words[] = {"ok  ", "warn", "BAD "};
    bool utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    unsigned width = MW_MIN(mw_terminal_width(STDOUT_FILENO), 100);
    MW_AUTOBUF b = {0}, clean = {0};

    mw_buf_init(&b, 0);
    mw_buf_init(&clean, 0);
    mw_buf_printf(&b, "  %s%s%s %-10s ", cli_color(d->cli, colors[v]), (utf8 ? marks : words)[v],
                  cli_color(d->cli, CLI_PLAIN), check);
    cli_write_clean(&clean, sentence, false);
    mw_buf_wrap(&b, mw_buf_str(&clean), 15, 15, width);
    if (fix) {
        mw_buf_printf(&b, "%15s%s ", "", utf8 ? "→" : "->");
        mw_buf_wrap(&b, fix, 17, 17, width);
    }
    fputs(mw_buf_str(&b), stdout);
    fflush(stdout);
}

static int add_json(struct doctor *d, enum doctor_verdict v, const char *check,
                    const char *sentence, const char *fix)
{
    MW_AUTOJSON *o = cJSON_CreateObject();

    if (!o || (d->bot && mw_json_add_str(o, "bot", d->bot->name)) ||
        mw_json_add_str(o, "check", check) || mw_json_add_str(o, "verdict", verdict_names[v]) ||
        mw_json_add_str(o, "message", sentence) || (fix && mw_json_add_str(o, "fix", fix)))
        return -ENOMEM;
    return mw_json_push(d->checks, take_ptr(o));
}

void doctor_report(struct doctor *d, enum doctor_verdict v, const char *check, char *sentence,
                   char *fix)
{
    MW_AUTOFREE char *owned = sentence, *owned_fix = fix;

    d->bad += v == DOCTOR_BAD;
    d->warnings += v == DOCTOR_WARNING;
    if (!sentence)
        d->no_memory = true;
    else if (!d->cli->json)
        print_line(d, v, check, sentence, fix);
    else if (add_json(d, v, check, sentence, fix) < 0)
        d->no_memory = true;
}

/* ---- What concerns the machine ---- */

/* A token that stands in the file itself is as secret as the file. */
static void check_file_mode(struct doctor *d)
{
    struct stat st;
    MW_AUTOBUF b = {0};
    FILE *f;
    size_t n;

    mw_buf_init(&b, 1024 * 1024);
    if (stat(d->config->path, &st) < 0 || !(st.st_mode & 077))
        return;
    f = fopen(d->config->path, "re");
    if (!f)
        return;
    while (mw_buf_reserve(&b, 4096) && (n = fread(b.data + b.len, 1, 4096, f)) > 0)
        mw_buf_commit(&b, n);
    fclose(f);
    for (size_t i = 0; i < d->config->n_bots; i++) {
        const struct gw_bot_config *bot = &d->config->bots[i];

        if ((bot->bot_token && strstr(mw_buf_str(&b), bot->bot_token)) ||
            (bot->password && strstr(mw_buf_str(&b), bot->password))) {
            doctor_report(d, DOCTOR_WARNING, "secrets",
                          mw_asprintf("others on this machine can read %s, and a secret stands in "
                                      "it",
                                      d->config->path),
                          mw_asprintf("chmod 600 %s", d->config->path));
            break;
        }
    }
    explicit_bzero(b.data, b.len);
}

static void check_handlers(struct doctor *d)
{
    for (size_t i = 0; i < d->config->n_handlers; i++) {
        const struct gw_handler_config *h = &d->config->handlers[i];
        const char *program = h->command.n ? h->command.items[0] : "";

        if (access(h->workdir, X_OK) < 0)
            doctor_report(d, DOCTOR_BAD, "handler",
                          mw_asprintf("%s cannot run in the folder %s: %s", h->name, h->workdir,
                                      strerror(errno)),
                          NULL);
        if (!strchr(program, '/'))
            continue;
        if (access(program, X_OK) == 0)
            doctor_report(d, DOCTOR_GOOD, "handler", mw_asprintf("%s can run %s", h->name, program),
                          NULL);
        else
            doctor_report(d, DOCTOR_BAD, "handler",
                          mw_asprintf("%s cannot run %s: %s", h->name, program, strerror(errno)),
                          errno == EACCES ? mw_asprintf("chmod +x %s", program) : NULL);
    }
}

static int load_config(struct doctor *d, const char *path, struct gw_config **ret)
{
    struct gw_problems problems = {0};
    int r = gw_config_load(path, ret, &problems);

    if (r < 0)
        d->no_memory = true;
    for (size_t i = 0; i < problems.n; i++) {
        const struct gw_problem *p = &problems.items[i];

        if (p->line)
            doctor_report(d, DOCTOR_BAD, "config",
                          mw_asprintf("%s:%u:%u: %s", path, p->line, p->column, p->message), NULL);
        else
            doctor_report(d, DOCTOR_BAD, "config", mw_asprintf("%s: %s", path, p->message), NULL);
    }
    gw_problems_deinit(&problems);
    if (r == 0) {
        d->config = *ret;
        doctor_report(d, DOCTOR_GOOD, "config", mw_asprintf("%s has no mistakes", path), NULL);
    }
    return r;
}

/* ---- A bot ---- */

static bool make_client(struct doctor *d)
{
    const struct gw_bot_config *bot = d->bot;
    MW_AUTOERROR err = MW_ERROR_INIT;
    const struct mm_client_params params = {
        .endpoint = bot->endpoint,
        .token = bot->bot_token,
        .login = bot->login,
        .password = bot->password,
        .tls = bot->tls,
        .proxy = bot->proxy,
        .timeout_ms = d->timeout_ms,
    };

    if (mm_client_new(&d->loop, &params, &d->client, &err) == 0)
        return true;
    doctor_report(d, DOCTOR_BAD, "config", strdup(mw_error_text(&err)), NULL);
    return false;
}

static void check_bot(struct doctor *d, const struct gw_bot_config *bot)
{
    d->bot = bot;
    d->timeout_ms = MW_MIN(bot->timeout_ms, STEP_MS);
    if (!d->cli->json)
        printf("\n%s%s%s %s\n", cli_color(d->cli, CLI_BOLD), bot->name,
               cli_color(d->cli, CLI_PLAIN), bot->endpoint);
    if (bot->tls.insecure)
        doctor_report(d, DOCTOR_WARNING, "TLS",
                      strdup("insecure: true accepts any certificate: whoever sits in between can "
                             "read the token"),
                      strdup("name the server's authority with tls.ca_file instead"));
    if (make_client(d) && doctor_connect(d) && doctor_server(d) && doctor_account(d)) {
        doctor_channels(d);
        doctor_people(d);
        doctor_websocket(d);
    }
    mm_client_free(take_ptr(d->client));
    d->bot = NULL;
}

static int finish(struct doctor *d)
{
    if (d->no_memory)
        return cli_no_memory();
    if (d->cli->json) {
        MW_AUTOJSON *o = cJSON_CreateObject();

        if (!o || mw_json_add_bool(o, "good", d->bad == 0) ||
            mw_json_add(o, "checks", take_ptr(d->checks)))
            return cli_no_memory();
        return cli_print_json(d->cli, take_ptr(o)) ? CLI_FAILED : CLI_DONE;
    }
    if (d->bad)
        printf("\n%u %s wrong.\n", d->bad, d->bad == 1 ? "thing is" : "things are");
    else if (d->warnings)
        printf("\nNothing is wrong; %u %s.\n", d->warnings,
               d->warnings == 1 ? "warning" : "warnings");
    else
        puts("\nNothing is wrong.");
    return cli_flush(CLI_DONE);
}

int cli_run_doctor(struct cli *cli, const void *options, int argc, char **argv)
{
    const struct cli_doctor_options *o = options;
    MW_AUTOFREE char *path = gw_config_path(cli->options.config);
    struct doctor d = {.cli = cli, .checks = cJSON_CreateArray()};
    struct gw_config *config = NULL;
    int code, r;

    if (!path || !d.checks || uv_loop_init(&d.loop) < 0) {
        cJSON_Delete(d.checks);
        return cli_no_memory();
    }
    mw_ignore_sigpipe();
    r = load_config(&d, path, &config);
    if (r == 0 && o->bot && !gw_config_bot(config, o->bot)) {
        r = 1;
        doctor_report(&d, DOCTOR_BAD, "config", mw_asprintf("there is no bot \"%s\"", o->bot),
                      NULL);
    }
    if (r == 0) {
        check_file_mode(&d);
        check_handlers(&d);
        for (size_t i = 0; i < config->n_bots; i++)
            if (!o->bot || mw_streq(config->bots[i].name, o->bot))
                check_bot(&d, &config->bots[i]);
    }
    code = finish(&d);
    if (code == CLI_DONE && d.bad)
        code = r ? CLI_USAGE : CLI_FAILED;
    gw_config_free(config);
    cJSON_Delete(d.checks);
    uv_run(&d.loop, UV_RUN_DEFAULT);
    uv_loop_close(&d.loop);
    return code;
}
