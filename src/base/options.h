/*
 * Command line options as data: one table parses, makes the help text, the man page and the shell
 * completion.
 *
 * A table is a static array of `struct mw_option` that ends with a row without a name. Values go
 * into the caller's struct at the row's offset; the struct holds the defaults before the parse.
 * `--name value`, `--name=value`, `-n value`, `-nvalue` and joined flags (`-abc`) are understood;
 * `--` ends the options; `-` alone is an argument. Strings are not copied: they point into argv.
 * Not thread safe per target struct.
 */
#ifndef MW_BASE_OPTIONS_H
#define MW_BASE_OPTIONS_H

#include "base/buf.h"
#include "base/error.h"

enum mw_option_type {
    MW_OPT_FLAG,     /* bool: set to true, no argument */
    MW_OPT_STRING,   /* const char * */
    MW_OPT_LIST,     /* struct mw_option_list: may be given several times */
    MW_OPT_INT,      /* int64_t, within min..max when they differ */
    MW_OPT_DURATION, /* int64_t milliseconds: "500ms", "30s", "5m", "2h", "7d" */
};

/* What an argument names, so that a shell can complete it. */
enum mw_option_complete {
    MW_COMPLETE_NONE,
    MW_COMPLETE_FILE,
    MW_COMPLETE_DIR,
    MW_COMPLETE_BOT, /* name of a configured bot */
};

struct mw_option {
    const char *name; /* long name without dashes; NULL ends the table */
    char letter;      /* short name, 0 = none */
    enum mw_option_type type;
    const char *arg;     /* what the argument is called in the help: "FILE"; NULL for flags */
    const char *help;    /* what it does, a sentence without the final stop */
    size_t offset;       /* of the value in the target struct */
    int64_t min, max;    /* MW_OPT_INT */
    const char *choices; /* MW_OPT_STRING and MW_OPT_LIST: the only values, "a b c"; NULL = any */
    enum mw_option_complete complete;
};

/*
 * A row and the end of a table:
 *     static const struct mw_option options[] = {
 *         MW_OPTION("limit", 'n', MW_OPT_INT, "N", "at most so many", struct my, limit, .max = 9),
 *         MW_OPTIONS_END,
 *     };
 */
#define MW_OPTION(name_, letter_, type_, arg_, help_, struct_, member_, ...)                       \
    {                                                                                              \
        .name = (name_), .letter = (letter_), .type = (type_), .arg = (arg_), .help = (help_),     \
        .offset = offsetof(struct_, member_), ##__VA_ARGS__                                        \
    }
#define MW_OPTIONS_END                                                                             \
    {                                                                                              \
        .name = NULL                                                                               \
    }

struct mw_option_list {
    const char **items; /* allocated, freed by mw_option_list_deinit */
    size_t n;
};
void mw_option_list_deinit(struct mw_option_list *l);

enum mw_options_mode {
    MW_OPTIONS_PERMUTE, /* options and arguments in any order */
    MW_OPTIONS_STOP,    /* the first argument ends the options (programs with verbs) */
};

/*
 * Parses argv[0..argc) (without the program's name). Arguments that are no options are moved to the
 * front of argv, in their order; *ret_n tells how many. Returns 0, 1 for a mistake on the command
 * line (err has the sentence, with the nearest valid option), or -ENOMEM. On failure the target may
 * be half filled (lists still have to be freed).
 */
int mw_options_parse(const struct mw_option *table, int argc, char **argv,
                     enum mw_options_mode mode, void *target, int *ret_n, struct mw_error *err);

/* The names of a row as the help shows them: "-c, --config FILE". Appends to b. */
int mw_option_write_names(struct mw_buf *b, const struct mw_option *o);

/* The option list of a help text: names left, wrapped sentences right. Appends to b. */
int mw_options_write_help(struct mw_buf *b, const struct mw_option *table, unsigned width);

/* Appends text with its words wrapped at `width` columns; following lines are indented by `indent`
 * columns; `column` is where the first line begins. Ends with a newline. A newline in the text
 * stays one. */
int mw_buf_wrap(struct mw_buf *b, const char *text, unsigned column, unsigned indent,
                unsigned width);

/* Columns of the terminal at fd (at least 40), 80 when it is none. */
unsigned mw_terminal_width(int fd);

#endif
