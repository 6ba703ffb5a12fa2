/* SPDX-License-Identifier: Apache-2.0 */
/* The reference of all keys as Markdown, from the tables that load them. */
#include "manifest/tables.h"

/* As renderers of Markdown make an anchor of a heading. */
static void write_anchor(struct kilter_buf *out, const char *heading)
{
    for (; *heading; heading++)
        if (*heading != '.')
            kilter_buf_char(out, *heading == ' ' ? '-' : *heading);
}

static void write_link(struct kilter_buf *out, const struct kl_table *table)
{
    const char *name = table == &kl_table_source_override ? kl_table_source.name : table->name;

    kilter_buf_printf(out, " ([%s](#", name);
    write_anchor(out, name);
    kilter_buf_c(out, "))");
}

/* A '|' would end the cell. */
static void write_cell(struct kilter_buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            kilter_buf_char(out, '\\');
        kilter_buf_char(out, *text);
    }
}

static void write_limits(struct kilter_buf *out, const struct kl_key *key)
{
    char low[32], high[32];

    if (key->type == KL_KEY_DURATION && key->maximum)
        kilter_buf_printf(out, ", %s to %s", kilter_format_duration(key->minimum, low),
                          kilter_format_duration(key->maximum, high));
    else if (key->type == KL_KEY_COUNT && key->maximum)
        kilter_buf_printf(out, ", %d to %d", (int)key->minimum, (int)key->maximum);
    else if (key->type == KL_KEY_SIZE && key->minimum)
        kilter_buf_printf(out, ", at least %dMi", (int)(key->minimum >> 20));
}

static void write_key(struct kilter_buf *out, const struct kl_key *key)
{
    struct kilter_buf takes = KILTER_BUF_INIT(1024);

    kl_key_takes(key, &takes);
    kilter_buf_printf(out, "| `%s` | ", key->name);
    write_cell(out, takes.ptr ? takes.ptr : "");
    write_limits(out, key);
    if (key->table)
        write_link(out, key->table);
    if (key->flags & KL_KEY_REQUIRED)
        kilter_buf_c(out, " | *required*");
    else if (key->default_text)
        kilter_buf_printf(out, " | `%s`", key->default_text);
    else
        kilter_buf_c(out, " |");
    kilter_buf_c(out, " | ");
    write_cell(out, key->summary);
    kilter_buf_c(out, " |\n");
    kilter_buf_release(&takes);
}

int kl_manifest_reference_write(struct kilter_buf *out)
{
    for (size_t i = 0; kl_tables[i]; i++) {
        const struct kl_table *table = kl_tables[i];
        kilter_buf_printf(out, "%s### %s\n\n%s%s\n\n", i ? "\n" : "", table->name, table->summary,
                          table->flags & KL_TABLE_OPEN ? " Other keys are the plugin's options." : "");
        kilter_buf_c(out, "| key | takes | default | meaning |\n| --- | --- | --- | --- |\n");
        for (size_t k = 0; k < table->count; k++)
            write_key(out, &table->keys[k]);
    }
    return out->failed;
}
