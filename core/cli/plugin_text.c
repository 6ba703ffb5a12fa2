/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/plugin_text.h"

#include "cli/text.h"

#include <kilter/plugin.h>

static const char *provides(const struct kilter_value *descriptor)
{
    bool renderer = kilter_get(descriptor, "renderer"), target = kilter_get(descriptor, "target");
    return renderer && target ? "renderer, target" : renderer ? "renderer" : target ? "target" : "";
}

void kl_plugin_print_list(struct kl_cli *cli, const struct kilter_value *items)
{
    static const char *const titles[] = { "PLUGIN", "VERSION", "PROVIDES", "SUMMARY", NULL };
    struct kl_table table;
    kl_table_init(&table, cli, titles);
    for (size_t i = 0; i < kilter_list_size(items); i++) {
        const struct kilter_value *item = kilter_list_at(items, i);
        struct kilter_str error = kilter_get_text(item, "error");
        struct kl_cell *row = kl_table_row(&table);
        if (!row)
            return;
        row[0] = (struct kl_cell){ kilter_get_text(item, "name"), KL_BOLD };
        row[1].text = kilter_get_text(item, "version");
        row[2].text = kilter_str_c(provides(item));
        row[3] =
            (struct kl_cell){ error.len ? error : kilter_get_text(item, "summary"), error.len ? KL_RED : KL_PLAIN };
    }
    kl_table_print(&table);
    if (table.rows == 0)
        fputs("No plugins are installed.\n", cli->out);
}

/* --- one plugin ---------------------------------------------------------------------- */

static const char *limit_text(struct kl_cli *cli, struct kilter_str type, int64_t value)
{
    char text[32];
    if (kilter_str_eq_c(type, "duration"))
        return kilter_arena_printf(cli->arena, "%s", kilter_format_duration(value, text));
    return kilter_arena_printf(cli->arena, "%lld", (long long)value);
}

/* "duration, 1s to 1h", "one of a, b". */
static const char *type_text(struct kl_cli *cli, const struct kilter_value *option)
{
    struct kilter_str type = kilter_get_text(option, "type");
    const struct kilter_value *choices = kilter_get(option, "choices");
    int64_t minimum = 0, maximum = 0, flags = 0;
    struct kilter_buf out = KILTER_BUF_INIT(4096);
    kilter_get_int(option, "minimum", &minimum);
    kilter_get_int(option, "maximum", &maximum);
    kilter_get_int(option, "flags", &flags);
    for (size_t i = 0; i < kilter_list_size(choices); i++)
        kilter_buf_printf(&out, "%s%.*s", i ? "|" : "", KILTER_STR_ARG(kilter_text(kilter_list_at(choices, i))));
    if (out.len == 0)
        kilter_buf_str(&out, flags & KILTER_OPTION_ABSOLUTE_PATH ? KILTER_STR("absolute path") : type);
    if (minimum || maximum)
        kilter_buf_printf(&out, " %s..%s", limit_text(cli, type, minimum), limit_text(cli, type, maximum));
    const char *text = kilter_arena_printf(cli->arena, "%s", out.ptr ? out.ptr : "");
    kilter_buf_release(&out);
    return text;
}

static void print_options(struct kl_cli *cli, const char *title, const struct kilter_value *options)
{
    static const char *const titles[] = { "NAME", "TYPE", "DEFAULT", "SUMMARY", NULL };
    struct kl_table table;
    if (kilter_list_size(options) == 0)
        return;
    fprintf(cli->out, "\n%s%s%s\n", kl_tint_on(cli, KL_BOLD), title, kl_tint_off(cli, KL_BOLD));
    kl_table_init(&table, cli, titles);
    table.indent = "  ";
    for (size_t i = 0; i < kilter_list_size(options); i++) {
        const struct kilter_value *option = kilter_list_at(options, i);
        struct kl_cell *row = kl_table_row(&table);
        int64_t flags = 0;
        if (!row)
            return;
        kilter_get_int(option, "flags", &flags);
        row[0].text = kilter_get_text(option, "name");
        row[1].text = kilter_str_c(type_text(cli, option));
        row[2].text =
            flags & KILTER_OPTION_REQUIRED ? KILTER_STR("(required)") : kilter_get_text(option, "default");
        row[3].text = kilter_get_text(option, "summary");
    }
    kl_table_print(&table);
}

static void print_needs(struct kl_cli *cli, const struct kilter_value *needs)
{
    size_t count = kilter_list_size(needs);
    fputs("Needs:    ", cli->out);
    for (size_t i = 0; i < count; i++) {
        fputs(i ? ", " : "", cli->out);
        kl_put_text(cli->out, kilter_text(kilter_list_at(needs, i)));
    }
    fputs(count ? "\n" : "nothing\n", cli->out);
}

void kl_plugin_print(struct kl_cli *cli, const struct kilter_value *descriptor)
{
    const struct kilter_value *renderer = kilter_get(descriptor, "renderer"),
                              *target = kilter_get(descriptor, "target");
    fputs(kl_tint_on(cli, KL_BOLD), cli->out);
    kl_put_text(cli->out, kilter_get_text(descriptor, "name"));
    fprintf(cli->out, "%s ", kl_tint_off(cli, KL_BOLD));
    kl_put_text(cli->out, kilter_get_text(descriptor, "version"));
    fputs("\n", cli->out);
    kl_put_text(cli->out, kilter_get_text(descriptor, "summary"));
    fprintf(cli->out, "\n\nProvides: %s\n", provides(descriptor));
    print_needs(cli, kilter_get(descriptor, "needs"));
    fputs("File:     ", cli->out);
    kl_put_text(cli->out, kilter_get_text(descriptor, "file"));
    putc('\n', cli->out);
    print_options(cli, "Options of its entry in plugins:", kilter_get(descriptor, "config"));
    print_options(cli, "Options of an app's renderer:", kilter_get(renderer, "options"));
    print_options(cli, "Options of a target:", kilter_get(target, "options"));
    print_options(cli, "Limits in a target's allow:", kilter_get(target, "allow"));
}
