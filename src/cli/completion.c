/*
 * `completion`. The scripts are made from the tables and know the verbs, their options and the
 * values that are known beforehand; bots' names they ask the daemon for.
 */
#include "base/str.h"
#include "cli/cli.h"

#define BOTS_COMMAND                                                                               \
    "matterwire bots --json 2>/dev/null | grep -o '\"name\":\"[^\"]*\",\"type\"' | cut -d'\"' -f4"

static void write_option_words(struct mw_buf *b, const struct mw_option *table)
{
    for (const struct mw_option *o = table; o && o->name; o++) {
        mw_buf_printf(b, " --%s", o->name);
        if (o->letter)
            mw_buf_printf(b, " -%c", o->letter);
    }
}

/* bash: what completes the argument of each option; the same name means the same thing in every
 * verb, so one list of cases is enough. */
static void write_bash_values(struct mw_buf *b, const struct mw_option *table, const char *verb)
{
    for (const struct mw_option *o = table; o && o->name; o++) {
        if (o->type == MW_OPT_FLAG)
            continue;
        mw_buf_printf(b, "        %s:--%s", verb, o->name);
        if (o->letter)
            mw_buf_printf(b, "|%s:-%c", verb, o->letter);
        mw_buf_puts(b, ") ");
        if (o->choices)
            mw_buf_printf(b, "COMPREPLY=($(compgen -W \"%s\" -- \"$cur\"))", o->choices);
        else if (o->complete == MW_COMPLETE_FILE || o->complete == MW_COMPLETE_DIR)
            mw_buf_printf(b, "COMPREPLY=($(compgen -%c -- \"$cur\"))",
                          o->complete == MW_COMPLETE_FILE ? 'f' : 'd');
        else if (o->complete == MW_COMPLETE_BOT)
            mw_buf_puts(b, "COMPREPLY=($(compgen -W \"$(" BOTS_COMMAND ")\" -- \"$cur\"))");
        else
            mw_buf_puts(b, "COMPREPLY=()");
        mw_buf_puts(b, "; return ;;\n");
    }
}

static int write_bash(struct mw_buf *b)
{
    mw_buf_puts(b, "# bash completion for matterwire, made by `matterwire completion bash`\n"
                   "_matterwire() {\n"
                   "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} "
                   "verb= i\n"
                   "    COMPREPLY=()\n"
                   "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                   "        case ${COMP_WORDS[i]} in\n"
                   "        -c|--config|--socket) ((i++)) ;;\n"
                   "        -*) ;;\n"
                   "        *) verb=${COMP_WORDS[i]}; break ;;\n"
                   "        esac\n"
                   "    done\n"
                   "    case $verb:$prev in\n");
    for (size_t i = 0; i < cli_verb_count(); i++)
        if (!cli_verb_at(i)->hidden)
            write_bash_values(b, cli_verb_at(i)->options, cli_verb_at(i)->name);
    write_bash_values(b, cli_common_options, "*");
    mw_buf_puts(b, "    esac\n    local words\n    case $verb in\n    '') words=\"");
    for (size_t i = 0; i < cli_verb_count(); i++)
        if (!cli_verb_at(i)->hidden)
            mw_buf_printf(b, "%s ", cli_verb_at(i)->name);
    mw_buf_puts(b, "\" ;;\n    help) words=\"");
    for (size_t i = 0; i < cli_verb_count(); i++)
        if (!cli_verb_at(i)->hidden)
            mw_buf_printf(b, "%s ", cli_verb_at(i)->name);
    mw_buf_puts(b, "\" ;;\n");
    for (size_t i = 0; i < cli_verb_count(); i++) {
        const struct cli_verb *v = cli_verb_at(i);

        if (v->hidden || (!v->options && !v->words && !v->files))
            continue;
        mw_buf_printf(b, "    %s) words=\"", v->name);
        write_option_words(b, v->options);
        mw_buf_putc(b, '"');
        if (v->words)
            mw_buf_printf(b, "; ((COMP_CWORD == i + 1)) && words=\"%s\"", v->words);
        if (v->files)
            mw_buf_puts(b,
                        "; [[ $cur == -* ]] || { COMPREPLY=($(compgen -f -- \"$cur\")); return; }");
        mw_buf_puts(b, " ;;\n");
    }
    mw_buf_puts(b, "    esac\n    [[ $cur == -* ]] && words+=\"");
    write_option_words(b, cli_common_options);
    return mw_buf_puts(b, "\"\n"
                          "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                          "}\n"
                          "complete -F _matterwire matterwire\n");
}

/* In single quotes, for zsh and fish; zsh's _arguments also wants : and [] escaped. */
static void write_quoted(struct mw_buf *b, const char *text, bool zsh)
{
    for (; *text; text++) {
        if (*text == '\'')
            mw_buf_puts(b, zsh ? "'\\''" : "\\'");
        else if (zsh && strchr("[]:", *text))
            mw_buf_printf(b, "\\%c", *text);
        else
            mw_buf_putc(b, *text);
    }
}

static void write_zsh_options(struct mw_buf *b, const struct mw_option *table)
{
    for (const struct mw_option *o = table; o && o->name; o++) {
        mw_buf_puts(b, " \\\n            ");
        if (o->type == MW_OPT_LIST)
            mw_buf_puts(b, "'*'");
        if (o->letter && o->type == MW_OPT_LIST)
            mw_buf_printf(b, "{-%c,--%s}", o->letter, o->name);
        else if (o->letter)
            mw_buf_printf(b, "'(-%c --%s)'{-%c,--%s}", o->letter, o->name, o->letter, o->name);
        else
            mw_buf_printf(b, "--%s", o->name);
        mw_buf_puts(b, "'[");
        write_quoted(b, o->help, true);
        mw_buf_putc(b, ']');
        if (o->arg) {
            mw_buf_putc(b, ':');
            write_quoted(b, o->arg, true);
            mw_buf_putc(b, ':');
        }
        if (o->choices)
            mw_buf_printf(b, "(%s)", o->choices);
        else if (o->complete == MW_COMPLETE_FILE)
            mw_buf_puts(b, "_files");
        else if (o->complete == MW_COMPLETE_DIR)
            mw_buf_puts(b, "_directories");
        else if (o->complete == MW_COMPLETE_BOT)
            mw_buf_puts(b, "_matterwire_bots");
        mw_buf_putc(b, '\'');
    }
}

static int write_zsh(struct mw_buf *b)
{
    mw_buf_puts(b, "#compdef matterwire\n"
                   "# made by `matterwire completion zsh`\n"
                   "_matterwire_bots() {\n"
                   "    compadd -- ${(f)\"$(" BOTS_COMMAND ")\"}\n"
                   "}\n"
                   "_matterwire_verbs() {\n"
                   "    local -a verbs=(\n");
    for (size_t i = 0; i < cli_verb_count(); i++) {
        if (cli_verb_at(i)->hidden)
            continue;
        mw_buf_printf(b, "        '%s:", cli_verb_at(i)->name);
        write_quoted(b, cli_verb_at(i)->summary, true);
        mw_buf_puts(b, "'\n");
    }
    mw_buf_puts(b, "    )\n"
                   "    _describe verb verbs\n"
                   "}\n"
                   "_matterwire() {\n"
                   "    local context state state_descr line\n"
                   "    typeset -A opt_args\n"
                   "    _arguments -C");
    write_zsh_options(b, cli_common_options);
    mw_buf_puts(b, " \\\n            '1: :_matterwire_verbs' '*::argument:->rest'\n"
                   "    [[ $state == rest ]] || return\n"
                   "    case $line[1] in\n"
                   "    help) _arguments '1: :_matterwire_verbs' ;;\n");
    for (size_t i = 0; i < cli_verb_count(); i++) {
        if (cli_verb_at(i)->hidden || strcmp(cli_verb_at(i)->name, "help") == 0)
            continue;
        mw_buf_printf(b, "    %s) _arguments", cli_verb_at(i)->name);
        write_zsh_options(b, cli_verb_at(i)->options);
        write_zsh_options(b, cli_common_options);
        if (cli_verb_at(i)->words)
            mw_buf_printf(b, " '1: :(%s)'", cli_verb_at(i)->words);
        if (cli_verb_at(i)->files)
            mw_buf_puts(b, " '*:file:_files'");
        mw_buf_puts(b, " ;;\n");
    }
    return mw_buf_puts(b, "    esac\n}\n_matterwire \"$@\"\n");
}

static void write_fish_options(struct mw_buf *b, const struct mw_option *table, const char *verb)
{
    for (const struct mw_option *o = table; o && o->name; o++) {
        mw_buf_puts(b, "complete -c matterwire");
        if (verb)
            mw_buf_printf(b, " -n '__fish_seen_subcommand_from %s'", verb);
        mw_buf_printf(b, " -l %s", o->name);
        if (o->letter)
            mw_buf_printf(b, " -s %c", o->letter);
        if (o->choices)
            mw_buf_printf(b, " -x -a '%s'", o->choices);
        else if (o->complete == MW_COMPLETE_FILE || o->complete == MW_COMPLETE_DIR)
            mw_buf_puts(b, " -r -F");
        else if (o->complete == MW_COMPLETE_BOT)
            mw_buf_puts(b, " -x -a '(__matterwire_bots)'");
        else if (o->type != MW_OPT_FLAG)
            mw_buf_puts(b, " -x");
        mw_buf_puts(b, " -d '");
        write_quoted(b, o->help, false);
        mw_buf_puts(b, "'\n");
    }
}

static int write_fish(struct mw_buf *b)
{
    mw_buf_puts(b, "# fish completion for matterwire, made by `matterwire completion fish`\n"
                   "function __matterwire_bots\n    " BOTS_COMMAND "\nend\n"
                   "complete -c matterwire -f\n");
    for (size_t i = 0; i < cli_verb_count(); i++) {
        if (cli_verb_at(i)->hidden)
            continue;
        mw_buf_printf(b, "complete -c matterwire -n '__fish_use_subcommand' -a %s -d '",
                      cli_verb_at(i)->name);
        write_quoted(b, cli_verb_at(i)->summary, false);
        mw_buf_puts(b, "'\n");
    }
    write_fish_options(b, cli_common_options, NULL);
    for (size_t i = 0; i < cli_verb_count(); i++) {
        const struct cli_verb *v = cli_verb_at(i);

        if (v->hidden)
            continue;
        write_fish_options(b, v->options, v->name);
        if (v->words)
            mw_buf_printf(b, "complete -c matterwire -n '__fish_seen_subcommand_from %s' -a '%s'\n",
                          v->name, v->words);
        if (v->files)
            mw_buf_printf(b, "complete -c matterwire -n '__fish_seen_subcommand_from %s' -F\n",
                          v->name);
    }
    return mw_buf_error(b);
}

int cli_write_completion(struct mw_buf *b, const char *shell)
{
    static const struct {
        const char *shell;
        int (*write)(struct mw_buf *b);
    } rows[] = {{"bash", write_bash}, {"zsh", write_zsh}, {"fish", write_fish}};

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].shell, shell) == 0)
            return rows[i].write(b);
    return 1;
}

int cli_run_completion(struct cli *cli, const void *options, int argc, char **argv)
{
    MW_AUTOBUF b = {0};
    int r;

    mw_buf_init(&b, 0);
    r = cli_write_completion(&b, argv[0]);
    if (r < 0)
        return cli_no_memory();
    if (r > 0)
        return cli_error(CLI_USAGE,
                         "there is no completion for \"%s\": there is bash, zsh and fish", argv[0]);
    fputs(mw_buf_str(&b), stdout);
    return cli_flush(CLI_DONE);
}
