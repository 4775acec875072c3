/* Events as lines for a person. */
#include "base/str.h"
#include "cli/cli.h"

/* What happened, where it is not somebody saying something. */
static const char *phrase(const char *kind)
{
    static const struct {
        const char *kind, *phrase;
    } rows[] = {
        {"post_edited", "edited: "},
        {"post_deleted", "deleted a post: "},
        {"reaction_added", "reacted with :"},
        {"reaction_removed", "took back :"},
        {"channel_created", "created the channel"},
        {"channel_updated", "changed the channel: "},
        {"channel_deleted", "archived the channel"},
        {"channel_restored", "restored the channel"},
        {"user_added", "was added"},
        {"user_removed", "left"},
        {"team_added", "joined the team"},
        {"team_removed", "left the team"},
        {"typing", "is typing"},
        {"schedule", "is due: "},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].kind, kind) == 0)
            return rows[i].phrase;
    return "";
}

static void write_place(struct mw_buf *b, const cJSON *event)
{
    const char *type = mw_json_str_or(event, "channel_type", "");
    const char *name = mw_json_str_or(event, "channel_name", "");
    const char *team = mw_json_str_or(event, "team_name", "");

    if (strcmp(type, "D") == 0) {
        mw_buf_puts(b, "direct");
        return;
    }
    if (strcmp(type, "G") == 0) {
        mw_buf_puts(b, "group");
        return;
    }
    if (*team) {
        cli_write_clean(b, team, false);
        mw_buf_putc(b, '/');
    }
    cli_write_clean(b, *name ? name : mw_json_str_or(event, "channel_id", ""), false);
}

static void write_connection(struct mw_buf *b, const struct cli *cli, const cJSON *event)
{
    const cJSON *detail = mw_json_obj(event, "detail");
    const char *state = mw_json_str_or(detail, "state", "changed");
    const char *reason = mw_json_str(detail, "reason");
    bool good = strcmp(state, "online") == 0;

    mw_buf_printf(b, "%s* %s is %s%s%s", cli_color(cli, good ? CLI_GREEN : CLI_YELLOW),
                  mw_json_str_or(event, "bot", ""), state, reason ? ": " : "",
                  cli_color(cli, CLI_PLAIN));
    if (reason)
        cli_write_clean(b, reason, false);
    mw_buf_putc(b, '\n');
}

/* The same post, edit or reaction, as another bot saw it? */
bool cli_repeated(struct cli_repeats *r, const cJSON *event)
{
    static const char *const members[] = {"kind", "post_id", "channel_id", "user_id", "text"};
    uint64_t hash = 14695981039346656037ull; /* FNV-1a */

    if (!mw_json_str(event, "post_id"))
        return false;
    /* When a post was deleted the server does not tell, each bot has its own word for it. */
    if (strcmp(mw_json_str_or(event, "kind", ""), "post_deleted") != 0)
        hash ^= (uint64_t)mw_json_i64(event, "at", 0);
    for (size_t i = 0; i < MW_ARRAY_LEN(members); i++) {
        for (const char *p = mw_json_str_or(event, members[i], ""); *p; p++)
            hash = (hash ^ (unsigned char)*p) * 1099511628211ull;
        hash = (hash ^ '\n') * 1099511628211ull;
    }
    for (size_t i = 0; i < MW_ARRAY_LEN(r->hashes); i++)
        if (r->hashes[i] == hash)
            return true;
    r->hashes[r->next++ % MW_ARRAY_LEN(r->hashes)] = hash;
    return false;
}

int cli_write_event(struct mw_buf *b, const struct cli *cli, const cJSON *event)
{
    const char *kind = mw_json_str_or(event, "kind", "");
    const char *text = mw_json_str_or(event, "text", "");
    const char *who = mw_json_str_or(event, "user_name", "(somebody)");
    bool reaction = mw_starts_with(kind, "reaction_");
    int files = cJSON_GetArraySize(mw_json_arr(event, "files"));
    char when[32], count[32];

    mw_buf_printf(b, "%s%s%s  ", cli_color(cli, CLI_DIM),
                  cli_time(mw_json_i64(event, "at", 0), when, sizeof(when)),
                  cli_color(cli, CLI_PLAIN));
    if (strcmp(kind, "connection") == 0) {
        write_connection(b, cli, event);
        return mw_buf_error(b);
    }
    if (cli->ids)
        mw_buf_printf(b, "%-26s  ", mw_json_str_or(event, "post_id", "-"));
    write_place(b, event);
    mw_buf_printf(b, "%s  %s%s", mw_json_str(event, "root_id") ? " (thread)" : "",
                  cli_color(cli, CLI_BOLD), mw_json_str(event, "user_name") ? "@" : "");
    /* Nobody did that: the route stands for its time. */
    if (strcmp(kind, "schedule") == 0)
        who = mw_json_str_or(mw_json_obj(event, "detail"), "route", kind);
    cli_write_clean(b, who, false);
    mw_buf_puts(b, cli_color(cli, CLI_PLAIN));
    if (strcmp(kind, "post") == 0)
        mw_buf_puts(b, ": ");
    else
        mw_buf_printf(b, " %s", phrase(kind));
    cli_write_clean(b, text, false);
    if (reaction)
        mw_buf_putc(b, ':');
    if (files > 0)
        mw_buf_printf(b, " [%s]", cli_count(files, "file", "files", count, sizeof(count)));
    return mw_buf_putc(b, '\n');
}

int cli_print_events(const struct cli *cli, const cJSON *events)
{
    struct cli_repeats repeats = {0};
    const cJSON *event;

    cJSON_ArrayForEach(event, events)
    {
        MW_AUTOBUF b = {0};

        if (cli_repeated(&repeats, event))
            continue;
        mw_buf_init(&b, 0);
        if (cli_write_event(&b, cli, event) < 0)
            return cli_no_memory();
        fputs(mw_buf_str(&b), stdout);
    }
    if (cJSON_GetArraySize(events) == 0)
        fprintf(stderr, "matterwire: there is nothing\n");
    return cli_flush(CLI_DONE);
}
