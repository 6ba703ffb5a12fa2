/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: global options, the verb, the verb's options; and the few things that all verbs say. */
#include "cli/cli.h"

#include "cli/options.h"
#include "cli/text.h"

#include <stdlib.h>
#include <unistd.h>

void kl_cli_complain(struct kl_cli *cli, const char *format, ...)
{
    char *message = NULL;
    va_list arguments;
    va_start(arguments, format);
    int len = vasprintf(&message, format, arguments);
    va_end(arguments);
    fputs("kilter: ", cli->err);
    kl_put_text(cli->err, len < 0 ? KILTER_STR("out of memory") : kilter_str_c(message));
    putc('\n', cli->err);
    if (len >= 0)
        free(message);
}

void kl_cli_hint(struct kl_cli *cli, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("    ", cli->err);
    vfprintf(cli->err, format, arguments);
    putc('\n', cli->err);
    va_end(arguments);
}

bool kl_cli_confirm(struct kl_cli *cli, const char *question)
{
    char answer[16];
    if (!isatty(STDIN_FILENO)) {
        kl_cli_complain(cli, "this needs a confirmation, and there is no terminal to ask on");
        kl_cli_hint(cli, "give --yes to go on without being asked");
        return false;
    }
    fflush(cli->out);
    fprintf(cli->err, "%s [y/N] ", question);
    fflush(cli->err);
    if (!fgets(answer, sizeof(answer), stdin))
        return false;
    return strcasecmp(answer, "y\n") == 0 || strcasecmp(answer, "yes\n") == 0;
}

int kl_cli_print_value(struct kl_cli *cli, const struct kilter_value *value)
{
    struct kilter_buf text = KILTER_BUF_INIT(SIZE_MAX / 2);
    int r;
    if (cli->args.form == KL_FORM_YAML)
        r = kilter_yaml_write(&text, value, KILTER_YAML_KUSTOMIZE, KILTER_WRITE_CONTENT);
    else
        r = kilter_json_write(&text, value, KILTER_SCHEMA_JSON,
                              KILTER_WRITE_CONTENT |
                                  (cli->args.watch || cli->args.follow ? 0 : KILTER_WRITE_PRETTY));
    if (r == 0 && text.len && text.ptr[text.len - 1] != '\n')
        r = kilter_buf_char(&text, '\n');
    if (r < 0)
        kl_cli_complain(cli, "out of memory");
    else
        fwrite(text.ptr, 1, text.len, cli->out);
    kilter_buf_release(&text);
    return r;
}

/* --- help --------------------------------------------------------------------------- */

static void print_verbs(FILE *out)
{
    fputs("Usage: kilter VERB [OPTION...] [ARGUMENT...]\n"
          "Keeps real systems in line with Git: see how apps are, what would be done, and why.\n\nVerbs:\n",
          out);
    for (const struct kl_verb *verb = kl_verbs; verb->name; verb++)
        fprintf(out, "  %-10s %s%s%s%s\n", verb->name, verb->summary, verb->alias ? " (also: " : "",
                verb->alias ? verb->alias : "", verb->alias ? ")" : "");
    fputs("\nEverywhere:\n"
          "  -s, --socket=PATH   The daemon's socket (default: $KILTER_SOCKET, else /run/kilter/kilterd.sock)\n"
          "      --help          This list; after a verb, what the verb takes\n"
          "  -V, --version       The version\n\n"
          "Begin with `kilter status`. `kilter VERB --help` tells more, and so does `man kilter`.\n",
          out);
}

/* --- parsing -------------------------------------------------------------------------- */

static void suggest_verb(struct kl_cli *cli, const struct kl_verb *table, const char *word)
{
    struct kilter_str names[64];
    size_t count = 0;
    for (; table->name && count < 62; table++) {
        names[count++] = kilter_str_c(table->name);
        if (table->alias)
            names[count++] = kilter_str_c(table->alias);
    }
    struct kilter_str nearest = kilter_nearest(kilter_str_c(word), names, count);
    if (nearest.ptr)
        kl_cli_hint(cli, "did you mean \"%.*s\"?", KILTER_STR_ARG(nearest));
    else
        kl_cli_hint(cli, "`kilter --help` lists them");
}

static int check_items(struct kl_cli *cli, const struct kl_verb *verb, const char *name)
{
    size_t count = cli->args.item_count;
    if (count >= verb->min_items && count <= verb->max_items)
        return 0;
    if (count < verb->min_items)
        kl_cli_complain(cli, "%s: something is missing: kilter %s %s", name, name, verb->args);
    else
        kl_cli_complain(cli, "%s: \"%s\" is too much: kilter %s %s", name, cli->args.items[verb->max_items], name,
                        verb->args);
    kl_cli_hint(cli, "`kilter %s --help` tells more", name);
    return argp_err_exit_status;
}

/* Parses what follows the verb (argv[0] is the verb) and runs it. `name` is the verb as it was typed. */
static int run_verb(struct kl_cli *cli, const struct kl_verb *verb, const char *name, int argc, char **argv)
{
    struct argp globals = { .options = kl_global_options, .parser = kl_option_parse };
    struct argp_child children[] = { { &globals, 0, NULL, 0 }, { 0 } };
    char *doc = NULL, *program = NULL, *first = argv[0];
    if (asprintf(&doc, "%s.%s%s", verb->summary, verb->doc ? "\v" : "", verb->doc ? verb->doc : "") < 0)
        return KL_EXIT_ERROR;
    if (asprintf(&program, "kilter %s", name) < 0) {
        free(doc);
        return KL_EXIT_ERROR;
    }
    /* --help of the C library leaks a little for a table that is empty. */
    struct argp argp = { .options = verb->options->name ? verb->options : NULL,
                         .parser = kl_option_parse,
                         .args_doc = verb->args,
                         .doc = doc,
                         .children = children };
    argp_err_exit_status = verb->run == kl_cli_plan ? 1 : KL_EXIT_ERROR; /* plan's 2 means changes */
    argv[0] = program;                                                   /* what argp says begins with it */
    int r = argp_parse(&argp, argc, argv, 0, NULL, cli) == 0 ? check_items(cli, verb, name) : KL_EXIT_ERROR;
    argv[0] = first;
    free(program);
    free(doc);
    return r ? r : verb->run(cli);
}

/* A verb with words of its own below: "plugin list". */
static int run_child(struct kl_cli *cli, const struct kl_verb *verb, int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : NULL;
    bool help = word && (strcmp(word, "--help") == 0 || strcmp(word, "-?") == 0);
    if (!word || help) {
        FILE *out = help ? cli->out : cli->err;
        fprintf(out, "Usage: kilter %s %s\n%s.\n\n", verb->name, verb->args, verb->summary);
        for (const struct kl_verb *child = verb->children; child->name; child++)
            fprintf(out, "  %-10s %-14s %s\n", child->name, child->args, child->summary);
        return help ? 0 : KL_EXIT_ERROR;
    }
    const struct kl_verb *child = kl_verb_find(verb->children, word);
    if (!child) {
        kl_cli_complain(cli, "%s has no \"%s\"", verb->name, word);
        suggest_verb(cli, verb->children, word);
        return KL_EXIT_ERROR;
    }
    char name[64];
    snprintf(name, sizeof(name), "%s %s", verb->name, child->name);
    return run_verb(cli, child, name, argc - 1, argv + 1);
}

/* The options before the verb. Returns the verb's index, 0 when there is none left to run (*ret_status says how it
 * ended). */
static int parse_leading(struct kl_cli *cli, int argc, char **argv, int *ret_status)
{
    int at = 1;
    *ret_status = KL_EXIT_ERROR;
    for (; at < argc && argv[at][0] == '-'; at++) {
        const char *word = argv[at];
        if (strcmp(word, "--help") == 0 || strcmp(word, "-?") == 0 || strcmp(word, "-h") == 0) {
            print_verbs(cli->out);
            *ret_status = 0;
            return 0;
        }
        if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
            fprintf(cli->out, "kilter %s\n", KILTER_PROGRAM_VERSION);
            *ret_status = 0;
            return 0;
        }
        if (strncmp(word, "--socket=", 9) == 0) {
            cli->args.socket = word + 9;
        } else if ((strcmp(word, "--socket") == 0 || strcmp(word, "-s") == 0) && at + 1 < argc) {
            cli->args.socket = argv[++at];
        } else {
            kl_cli_complain(cli, "%s is no option before the verb", word);
            kl_cli_hint(cli, "options of a verb come after it: kilter VERB %s", word);
            return 0;
        }
    }
    if (at == argc)
        print_verbs(cli->err);
    return at < argc ? at : 0;
}

int kl_cli_main(struct kl_cli *cli, int argc, char **argv)
{
    int status;
    cli->args.limit = -1;
    int at = parse_leading(cli, argc, argv, &status);
    if (at == 0)
        return status;
    const struct kl_verb *verb = kl_verb_find(kl_verbs, argv[at]);
    if (!verb && strcmp(argv[at], "help") == 0) {
        print_verbs(cli->out);
        return 0;
    }
    if (!verb) {
        kl_cli_complain(cli, "there is no verb \"%s\"", argv[at]);
        suggest_verb(cli, kl_verbs, argv[at]);
        return KL_EXIT_ERROR;
    }
    if (verb->children)
        return run_child(cli, verb, argc - at, argv + at);
    return run_verb(cli, verb, verb->name, argc - at, argv + at);
}
