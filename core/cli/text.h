/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.h: how things look: colours, ages, short commits, tables.
 *
 * Nothing here asks the daemon anything or keeps state; all of it writes what
 * it is given to cli->out, the same bytes for the same input and clock.
 */
#ifndef KL_CLI_TEXT_H
#define KL_CLI_TEXT_H

#include "cli/cli.h"

enum kl_tint { KL_PLAIN = 0, KL_BOLD, KL_DIM, KL_RED, KL_GREEN, KL_YELLOW, KL_BLUE, KL_TINTS };

/* The escape sequence, or "" when there are no colours. */
const char *kl_tint_on(const struct kl_cli *cli, enum kl_tint tint);
const char *kl_tint_off(const struct kl_cli *cli, enum kl_tint tint);
/* The tint of a word of state: "Synced", "Degraded", "failed". */
enum kl_tint kl_tint_of_state(struct kilter_str word);
enum kl_tint kl_tint_of_verb(struct kilter_str verb);
/* Text from outside as one harmless line: control characters and broken UTF-8 as '?'. */
void kl_put_text(FILE *out, struct kilter_str text);
/* As above, keeping line feeds and tabs; each line begins with `indent`. */
void kl_put_block(FILE *out, struct kilter_str text, const char *indent);

/* "5s", "3m", "2h", "4d" from the RFC 3339 text until now, or from now until it; "" when absent. */
const char *kl_text_age(const struct kl_cli *cli, struct kilter_str time, char text[32]);
/* "2026-03-01 14:02:09" in local time; "" when absent. */
const char *kl_text_time(struct kilter_str time, char text[32]);
/* The clock only when it is today's: "14:02". */
const char *kl_text_clock(const struct kl_cli *cli, struct kilter_str time, char text[32]);
/* The first 7 characters of a commit map's id; absent for NULL. */
struct kilter_str kl_text_commit(const struct kilter_value *commit);
/* "2 to create, 1 to delete" of a plan's summary, in the arena; "nothing to do" when there is nothing. */
const char *kl_text_summary(struct kl_cli *cli, const struct kilter_value *summary);
/* One line on what an app does or waits for, in the arena; "" when it is idle and all is well. */
const char *kl_text_app_state(struct kl_cli *cli, const struct kilter_value *app);

/* A list of diagnostics of the API in compilers' form, each line behind `indent`. */
void kl_put_diagnostics(FILE *out, const struct kilter_value *list, const char *indent);

/* --- tables ------------------------------------------------------------------------ */
#define KL_TABLE_COLUMNS 10

struct kl_cell {
    struct kilter_str text;
    enum kl_tint tint;
};

struct kl_table {
    struct kl_cli *cli;
    const char *titles[KL_TABLE_COLUMNS];
    size_t columns;
    struct kl_cell *cells; /* in the arena */
    size_t rows, capacity;
    const char *indent;
};

/* `titles` ends with NULL. */
void kl_table_init(struct kl_table *table, struct kl_cli *cli, const char *const *titles);
/* Adds a row of empty cells; NULL when out of memory. */
struct kl_cell *kl_table_row(struct kl_table *table);
/* Prints it: columns as wide as their widest cell, empty columns left out, the last one cut at the edge of the
 * terminal. Nothing at all for a table without rows. */
void kl_table_print(const struct kl_table *table);

#endif
