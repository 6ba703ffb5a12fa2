/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kilter-document TEMPLATE: prints a template with its marks replaced by what the tables of the programs say, so
 * that manual pages and completion are never behind them. A mark stands alone in its line:
 *     @verbs.man@    the verbs of `kilter` with their options, as roff
 *     @verbs.bash@   the same as lines of a shell function's here-document
 *     @keys.man@     the keys of a manifest, as roff
 */
#include <ctype.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "manifest/manifest.h"

/* --- roff --------------------------------------------------------------------------- */

/* Text of ours as roff: backslashes and dashes escaped, `code` in bold, [text](link) as text. */
static void put_roff(struct kilter_str text)
{
    bool bold = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        ptrdiff_t end = c == '[' ? kilter_str_find(text, ']', i) : -1;
        if (end > 0 && (size_t)end + 1 < text.len && text.ptr[end + 1] == '(') {
            put_roff(kilter_str_sub(text, i + 1, (size_t)end - i - 1));
            ptrdiff_t close = kilter_str_find(text, ')', (size_t)end);
            i = close > 0 ? (size_t)close : text.len;
        } else if (c == '`') {
            bold = !bold;
            fputs(bold ? "\\fB" : "\\fR", stdout);
        } else if (c == '\\') {
            fputs("\\e", stdout);
        } else if (c == '-') {
            fputs("\\-", stdout);
        } else if ((c == '.' || c == '\'') && i == 0) {
            printf("\\&%c", c);
        } else if (c == '\n') {
            fputs("\n.br\n", stdout);
        } else {
            putchar(c);
        }
    }
}

static void put_roff_c(const char *text)
{
    put_roff(kilter_str_c(text));
}

static void man_option(const struct argp_option *option)
{
    puts(".TP");
    fputs(".B ", stdout);
    if (option->key > 0 && option->key < 0x80 && isalpha(option->key))
        printf("\\-%c, ", option->key);
    fputs("\\-\\-", stdout);
    put_roff_c(option->name);
    if (option->arg)
        printf("=\\fI%s\\fR", option->arg);
    putchar('\n');
    put_roff_c(option->doc);
    putchar('\n');
}

static void man_verb(const char *before, const struct kl_verb *verb)
{
    printf(".SS \"%s%s", before, verb->name);
    fputs(verb->args[0] ? " " : "", stdout);
    put_roff_c(verb->args);
    puts("\"");
    put_roff_c(verb->summary);
    puts(".");
    if (verb->alias)
        printf("Also spelt\n.BR %s .\n", verb->alias);
    if (verb->doc) {
        puts(".PP");
        put_roff_c(verb->doc);
        putchar('\n');
    }
    for (const struct argp_option *option = verb->options; option->name; option++)
        man_option(option);
}

static void man_verbs(void)
{
    for (const struct kl_verb *verb = kl_verbs; verb->name; verb++) {
        if (!verb->children)
            man_verb("", verb);
        for (const struct kl_verb *child = verb->children; child && child->name; child++) {
            char before[32];
            snprintf(before, sizeof(before), "%s ", verb->name);
            man_verb(before, child);
        }
    }
}

/* --- keys ------------------------------------------------------------------------------- */

/* "| `key` | takes | default | meaning |" */
static void man_key(struct kilter_str row)
{
    struct kilter_str cells[4] = { { NULL, 0 } };
    size_t at = 1;
    for (size_t i = 0; i < 4; i++) {
        ptrdiff_t bar = kilter_str_find(row, '|', at);
        size_t end = bar < 0 ? row.len : (size_t)bar;
        cells[i] = kilter_str_trim(kilter_str_sub(row, at, end - at));
        at = end + 1;
    }
    bool required = kilter_str_eq_c(cells[2], "*required*");
    puts(".TP");
    put_roff(cells[0]);
    fputs(" (", stdout);
    put_roff(cells[1]);
    fputs(required ? ", required" : cells[2].len ? "; " : "", stdout);
    if (!required)
        put_roff(cells[2]);
    puts(")");
    put_roff(cells[3]);
    putchar('\n');
}

/* The Markdown of manifest-reference as roff. */
static int man_keys(void)
{
    struct kilter_buf text = KILTER_BUF_INIT(1u << 20);
    if (kl_manifest_reference_write(&text) < 0)
        return 1;
    struct kilter_str all = kilter_buf_view(&text);
    for (size_t at = 0; at < all.len;) {
        ptrdiff_t feed = kilter_str_find(all, '\n', at);
        size_t end = feed < 0 ? all.len : (size_t)feed;
        struct kilter_str line = kilter_str_sub(all, at, end - at);
        at = end + 1;
        if (kilter_str_starts(line, KILTER_STR("### "))) {
            fputs(".SS ", stdout);
            put_roff(kilter_str_sub(line, 4, line.len));
            putchar('\n');
        } else if (kilter_str_starts(line, KILTER_STR("| `"))) {
            man_key(line);
        } else if (line.len && line.ptr[0] != '|' && line.ptr[0] != '<') {
            put_roff(line);
            putchar('\n');
        }
    }
    kilter_buf_release(&text);
    return 0;
}

/* --- bash --------------------------------------------------------------------------------- */

/* "plan app -o --output= --out= ...": what the verb's arguments are, then its options; a "=" takes a value. */
static void bash_verb(const char *before, const struct kl_verb *verb, const char *name)
{
    static const struct {
        const char *begins, *kind;
    } kinds[] = { { "APP", "app" },       { "[APP", "app" },    { "FILE", "file" },     { "[FILE", "file" },
                  { "DIR", "directory" }, { "NAME", "plugin" }, { "[PLUGIN", "plugin" } };
    const char *kind = "none";
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strncmp(verb->args, kinds[i].begins, strlen(kinds[i].begins)) == 0)
            kind = kinds[i].kind;
    printf("%s%s %s", before, name, kind);
    const struct argp_option *const tables[] = { verb->options, kl_global_options };
    for (size_t i = 0; i < 2; i++) {
        for (const struct argp_option *option = tables[i]; option->name; option++) {
            printf(" --%s%s", option->name, option->arg ? "=" : "");
            if (option->key < 0x80)
                printf(" -%c%s", option->key, option->arg ? "=" : "");
        }
    }
    puts(" --help");
}

static void bash_verbs(void)
{
    for (const struct kl_verb *verb = kl_verbs; verb->name; verb++) {
        if (!verb->children)
            bash_verb("", verb, verb->name);
        if (verb->alias)
            bash_verb("", verb, verb->alias);
        if (!verb->children)
            continue;
        printf("%s words", verb->name);
        for (const struct kl_verb *child = verb->children; child->name; child++)
            printf(" %s", child->name);
        putchar('\n');
        for (const struct kl_verb *child = verb->children; child->name; child++) {
            char before[32];
            snprintf(before, sizeof(before), "%s.", verb->name);
            bash_verb(before, child, child->name);
        }
    }
}

int main(int argc, char **argv)
{
    KL_CLEANUP(kl_fclosep) FILE *file = argc == 2 ? fopen(argv[1], "re") : NULL;
    char line[4096];
    int status = 0;
    if (!file) {
        fprintf(stderr, "kilter-document: cannot read %s\n", argc == 2 ? argv[1] : "a template: none is named");
        return 1;
    }
    while (status == 0 && fgets(line, sizeof(line), file)) {
        if (strcmp(line, "@verbs.man@\n") == 0)
            man_verbs();
        else if (strcmp(line, "@verbs.bash@\n") == 0)
            bash_verbs();
        else if (strcmp(line, "@keys.man@\n") == 0)
            status = man_keys();
        else
            fputs(line, stdout);
    }
    return status || fflush(stdout) != 0 || ferror(stdout);
}
