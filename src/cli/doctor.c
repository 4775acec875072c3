#include "cli/doctor.h"

#include <langinfo.h>
#include <unistd.h>

#include "base/str.h"
#include "io/handle.h"

#define STEP_MS 15000 /* nobody waits longer for one line */
#define COLUMN  17    /* where sentences begin */

static const struct doctor_check machine_checks[] = {
    {"config", {NULL}, doctor_config},         {"secrets", {"config"}, doctor_secrets},
    {"handlers", {"config"}, doctor_handlers}, {"open files", {"config"}, doctor_descriptors},
    {"database", {"config"}, doctor_database}, {"daemon", {"config"}, doctor_daemon},
};

static const struct doctor_check bot_checks[] = {
    {"address", {NULL}, doctor_address},
    {"name", {"address"}, doctor_name},
    {"connect", {"name"}, doctor_connect},
    {"proxy", {"connect"}, doctor_proxy},
    {"TLS", {"connect", "proxy"}, doctor_tls},
    {"server", {"connect", "proxy", "TLS"}, doctor_server},
    {"clock", {"server"}, doctor_clock},
    {"token", {"server"}, doctor_account},
    {"expiry", {"token"}, doctor_expiry},
    {"teams", {"token"}, doctor_teams},
    {"channels", {"token"}, doctor_channels},
    {"people", {"token"}, doctor_people},
    {"direct", {"token"}, doctor_direct},
    {"WebSocket", {"token"}, doctor_websocket},
    {"events", {"WebSocket"}, doctor_events},
    {"post", {"token"}, doctor_post},
    {"post size", {"token"}, doctor_post_size},
    {"file size", {"token"}, doctor_file_size},
    {"edit time", {"token"}, doctor_edit_time},
    {"rate limit", {"token"}, doctor_rate},
    {"stability", {"address"}, doctor_stability},
};

/* ---- Reports ---- */

static const struct {
    const char *name, *mark, *word; /* word: where the terminal has no UTF-8 */
    enum cli_color color;
} looks[] = {
    [DOCTOR_GOOD] = {"good", "✓", "ok  ", CLI_GREEN},
    [DOCTOR_WARNING] = {"warning", "!", "warn", CLI_YELLOW},
    [DOCTOR_BAD] = {"bad", "✗", "BAD ", CLI_RED},
    [DOCTOR_SKIPPED] = {"skipped", "·", "-   ", CLI_DIM},
};

static void print_line(const struct doctor *d, enum doctor_verdict v, const char *check,
                       const char *sentence, const char *fix)
{
    bool utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    unsigned width = MW_MIN(mw_terminal_width(STDOUT_FILENO), 100);
    unsigned column = COLUMN - (utf8 ? 2 : 0) + (utf8 ? 0 : 1);
    const char *dim = v == DOCTOR_SKIPPED ? cli_color(d->cli, CLI_DIM) : "";
    MW_AUTOBUF b = {0}, clean = {0};

    mw_buf_init(&b, 0);
    mw_buf_init(&clean, 0);
    mw_buf_printf(&b, "  %s%s%s %s%-10s ", cli_color(d->cli, looks[v].color),
                  utf8 ? looks[v].mark : looks[v].word, cli_color(d->cli, CLI_PLAIN), dim, check);
    cli_write_clean(&clean, sentence, false);
    mw_buf_wrap(&b, mw_buf_str(&clean), column, column, width);
    if (fix) {
        mw_buf_clear(&clean);
        cli_write_clean(&clean, fix, false);
        mw_buf_printf(&b, "%*s%s%s%s ", (int)column, "", cli_color(d->cli, CLI_BOLD),
                      utf8 ? "→" : ">", cli_color(d->cli, CLI_PLAIN));
        mw_buf_wrap(&b, mw_buf_str(&clean), column + 2, column + 2, width);
    }
    /* The colour ends with the text, not in the next line. */
    printf("%.*s%s\n", (int)(b.len ? b.len - 1 : 0), mw_buf_str(&b),
           *dim ? cli_color(d->cli, CLI_PLAIN) : "");
    fflush(stdout);
}

static int add_json(struct doctor *d, enum doctor_verdict v, const char *check,
                    const char *sentence, const char *fix)
{
    MW_AUTOJSON *o = cJSON_CreateObject();

    if (!o || (d->bot && mw_json_add_str(o, "bot", d->bot->name)) ||
        mw_json_add_str(o, "check", check) || mw_json_add_str(o, "verdict", looks[v].name) ||
        mw_json_add_str(o, "message", sentence) || (fix && mw_json_add_str(o, "fix", fix)))
        return -ENOMEM;
    return mw_json_push(d->checks, take_ptr(o));
}

void doctor_report(struct doctor *d, enum doctor_verdict v, char *sentence, char *fix)
{
    MW_AUTOFREE char *owned = sentence, *owned_fix = fix;

    d->good += v == DOCTOR_GOOD;
    d->warnings += v == DOCTOR_WARNING;
    d->bad += v == DOCTOR_BAD;
    d->check_failed |= v == DOCTOR_BAD;
    if (!sentence)
        d->no_memory = true;
    else if (!d->cli->json)
        print_line(d, v, d->check->name, sentence, fix);
    else if (add_json(d, v, d->check->name, sentence, fix) < 0)
        d->no_memory = true;
}

void doctor_wake(uv_loop_t *loop)
{
    uv_stop(loop);
}

/* ---- The table ---- */

/* On a terminal, checks that cannot run for the same reason share a line. */
static void flush_skipped(struct doctor *d)
{
    MW_AUTOFREE char *sentence = NULL;

    if (!d->skipped_for)
        return;
    sentence = mw_asprintf("%s: not without %s", mw_buf_str(&d->skipped), d->skipped_for);
    if (sentence)
        print_line(d, DOCTOR_SKIPPED, "skipped", sentence, NULL);
    else
        d->no_memory = true;
    mw_buf_clear(&d->skipped);
    d->skipped_for = NULL;
}

static void skip(struct doctor *d, const char *failed)
{
    if (d->cli->json) {
        doctor_report(d, DOCTOR_SKIPPED, mw_asprintf("cannot be checked without %s", failed), NULL);
        return;
    }
    if (d->skipped_for && strcmp(d->skipped_for, failed) != 0)
        flush_skipped(d);
    if (mw_buf_printf(&d->skipped, "%s%s", d->skipped_for ? ", " : "", d->check->name) < 0)
        d->no_memory = true;
    d->skipped_for = failed;
}

static size_t find(const struct doctor_check *table, const char *name)
{
    size_t i = 0;

    while (strcmp(table[i].name, name) != 0)
        i++;
    return i;
}

/* For each row, the check whose failure stops those that need it: itself, or what it waits for. */
static void run_table(struct doctor *d, const struct doctor_check *table, size_t n)
{
    const char *failed[MW_MAX(MW_ARRAY_LEN(machine_checks), MW_ARRAY_LEN(bot_checks))] = {NULL};

    for (size_t i = 0; i < n; i++) {
        d->check = &table[i];
        d->check_failed = false;
        for (size_t k = 0; k < MW_ARRAY_LEN(table[i].needs) && table[i].needs[k] && !failed[i]; k++)
            failed[i] = failed[find(table, table[i].needs[k])];
        if (failed[i]) {
            skip(d, failed[i]);
            continue;
        }
        flush_skipped(d);
        table[i].run(d);
        if (d->check_failed)
            failed[i] = table[i].name;
    }
    flush_skipped(d);
}

static void check_bot(struct doctor *d, const struct gw_bot_config *bot)
{
    d->bot = bot;
    d->timeout_ms = MW_MIN(bot->timeout_ms, STEP_MS);
    if (!d->cli->json)
        printf("\n%s%s%s %s\n", cli_color(d->cli, CLI_BOLD), bot->name,
               cli_color(d->cli, CLI_PLAIN), bot->endpoint);
    run_table(d, bot_checks, MW_ARRAY_LEN(bot_checks));
    doctor_socket_close(d);
    mm_client_free(take_ptr(d->client));
    mw_url_deinit(&d->url);
    mw_tls_free(take_ptr(d->tls));
    cJSON_Delete(take_ptr(d->server_config));
    cJSON_Delete(take_ptr(d->permissions));
    d->date_ms = 0;
    d->channel_id[0] = '\0';
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
        printf("\n%s%u %s wrong.%s\n", cli_color(d->cli, CLI_RED), d->bad,
               d->bad == 1 ? "thing is" : "things are", cli_color(d->cli, CLI_PLAIN));
    else if (d->warnings)
        printf("\nNothing is wrong; %u %s.\n", d->warnings,
               d->warnings == 1 ? "warning" : "warnings");
    else
        printf("\n%sNothing is wrong.%s\n", cli_color(d->cli, CLI_GREEN),
               cli_color(d->cli, CLI_PLAIN));
    return cli_flush(CLI_DONE);
}

int cli_run_doctor(struct cli *cli, const void *options, int argc, char **argv)
{
    const struct cli_doctor_options *o = options;
    MW_AUTOFREE char *path = gw_config_path(cli->options.config);
    struct doctor d = {
        .cli = cli,
        .config_path = path,
        .only_bot = o->bot,
        .may_post = o->post,
        .checks = cJSON_CreateArray(),
    };
    int code;

    mw_buf_init(&d.skipped, 0);
    if (!path || !d.checks || uv_loop_init(&d.loop) < 0) {
        cJSON_Delete(d.checks);
        return cli_no_memory();
    }
    mw_ignore_sigpipe();
    run_table(&d, machine_checks, MW_ARRAY_LEN(machine_checks));
    for (size_t i = 0; d.config && !d.config_bad && i < d.config->n_bots; i++)
        if (!o->bot || mw_streq(d.config->bots[i].name, o->bot))
            check_bot(&d, &d.config->bots[i]);
    code = finish(&d);
    if (code == CLI_DONE && d.bad)
        code = d.config_bad ? CLI_USAGE : CLI_FAILED;
    gw_config_free(d.config);
    cJSON_Delete(d.checks);
    cJSON_Delete(d.status);
    mw_buf_deinit(&d.skipped);
    uv_run(&d.loop, UV_RUN_DEFAULT);
    uv_loop_close(&d.loop);
    return code;
}
