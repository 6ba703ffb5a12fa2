/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/text.h"

#include "base/clock.h"

#include <time.h>

static const char *const tints[KL_TINTS] = {
    [KL_PLAIN] = "",         [KL_BOLD] = "\033[1m",    [KL_DIM] = "\033[2m",   [KL_RED] = "\033[31m",
    [KL_GREEN] = "\033[32m", [KL_YELLOW] = "\033[33m", [KL_BLUE] = "\033[34m",
};

const char *kl_tint_on(const struct kl_cli *cli, enum kl_tint tint)
{
    return cli->colour ? tints[tint] : "";
}

const char *kl_tint_off(const struct kl_cli *cli, enum kl_tint tint)
{
    return cli->colour && tint != KL_PLAIN ? "\033[0m" : "";
}

struct word_tint {
    const char *word;
    enum kl_tint tint;
};

static enum kl_tint look_up(const struct word_tint *table, struct kilter_str word)
{
    for (; table->word; table++)
        if (kilter_str_eq_c(word, table->word))
            return table->tint;
    return KL_PLAIN;
}

enum kl_tint kl_tint_of_state(struct kilter_str word)
{
    static const struct word_tint table[] = {
        { "Synced", KL_GREEN },     { "OutOfSync", KL_YELLOW }, { "Healthy", KL_GREEN },
        { "Progressing", KL_BLUE }, { "Degraded", KL_RED },     { "Missing", KL_RED },
        { "Suspended", KL_YELLOW }, { "Failed", KL_RED },       { "Waiting", KL_YELLOW },
        { "Drifted", KL_YELLOW },   { "Prunable", KL_YELLOW },  { "Blocked", KL_RED },
        { "Quarantined", KL_RED },  { "Ready", KL_GREEN },      { "succeeded", KL_GREEN },
        { "failed", KL_RED },       { "superseded", KL_DIM },   { "rejected", KL_YELLOW },
        { "waiting", KL_YELLOW },   { "terminal", KL_RED },     { "transient", KL_YELLOW },
        { "blocked", KL_RED },      { "done", KL_GREEN },       { "ok", KL_GREEN },
        { "owned", KL_GREEN },      { "tainted", KL_RED },      { "pending", KL_YELLOW },
        { "deleting", KL_YELLOW },  { "Unknown", KL_DIM },      { "skipped", KL_DIM },
        { "error", KL_RED },        { "warning", KL_YELLOW },   { NULL, KL_PLAIN },
    };
    return look_up(table, word);
}

enum kl_tint kl_tint_of_verb(struct kilter_str verb)
{
    static const struct word_tint table[] = {
        { "create", KL_GREEN }, { "adopt", KL_GREEN }, { "update", KL_YELLOW }, { "move", KL_YELLOW },
        { "replace", KL_RED },  { "delete", KL_RED },  { "forget", KL_YELLOW }, { "blocked", KL_RED },
        { "deferred", KL_DIM }, { "none", KL_DIM },    { NULL, KL_PLAIN },
    };
    return look_up(table, verb);
}

/* --- text from outside ---------------------------------------------------------- */

/* The length of the well-formed UTF-8 character at `at`, 0 when there is none. */
static size_t character_at(struct kilter_str text, size_t at)
{
    unsigned char c = (unsigned char)text.ptr[at];
    size_t len = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 0;
    if (len == 0 || at + len > text.len || !kilter_str_is_utf8(kilter_str_sub(text, at, len)))
        return 0;
    /* U+0080 to U+009F are control characters that terminals act on. */
    if (len == 2 && c == 0xc2 && (unsigned char)text.ptr[at + 1] < 0xa0)
        return 0;
    return len;
}

/* One character, or '?' in its place; returns how many bytes of the text it took. */
static size_t put_character(FILE *out, struct kilter_str text, size_t at)
{
    size_t len = character_at(text, at);
    unsigned char c = (unsigned char)text.ptr[at];
    if (len == 0 || c < 0x20 || c == 0x7f)
        putc(len == 1 && (c == '\n' || c == '\t') ? ' ' : '?', out);
    else
        fwrite(text.ptr + at, 1, len, out);
    return len ? len : 1;
}

void kl_put_text(FILE *out, struct kilter_str text)
{
    for (size_t at = 0; at < text.len;)
        at += put_character(out, text, at);
}

void kl_put_block(FILE *out, struct kilter_str text, const char *indent)
{
    size_t at = 0;
    while (at < text.len) {
        fputs(indent, out);
        while (at < text.len && text.ptr[at] != '\n') {
            if (text.ptr[at] == '\t') {
                putc('\t', out);
                at++;
            } else {
                at += put_character(out, text, at);
            }
        }
        putc('\n', out);
        at++;
    }
}

/* --- times ------------------------------------------------------------------------- */

const char *kl_text_age(const struct kl_cli *cli, struct kilter_str time, char text[32])
{
    static const struct {
        int64_t seconds;
        char unit;
    } units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
    int64_t then;
    text[0] = '\0';
    if (!time.ptr || kl_clock_parse(time, &then) < 0)
        return text;
    int64_t seconds = (cli->now_ms > then ? cli->now_ms - then : then - cli->now_ms) / 1000;
    /* Two of the smaller unit still: "90m" tells more than "1h". */
    for (size_t i = 0; i < 4; i++) {
        if (seconds >= 2 * units[i].seconds || i == 3) {
            snprintf(text, 32, "%lld%c", (long long)(seconds / units[i].seconds), units[i].unit);
            break;
        }
    }
    return text;
}

static bool local_time(struct kilter_str time, struct tm *ret)
{
    int64_t ms;
    if (!time.ptr || kl_clock_parse(time, &ms) < 0)
        return false;
    time_t seconds = (time_t)(ms / 1000);
    return localtime_r(&seconds, ret) != NULL;
}

const char *kl_text_time(struct kilter_str time, char text[32])
{
    struct tm tm;
    text[0] = '\0';
    if (local_time(time, &tm))
        strftime(text, 32, "%Y-%m-%d %H:%M:%S", &tm);
    return text;
}

const char *kl_text_clock(const struct kl_cli *cli, struct kilter_str time, char text[32])
{
    struct tm tm, today;
    time_t now = (time_t)(cli->now_ms / 1000);
    text[0] = '\0';
    if (!local_time(time, &tm) || !localtime_r(&now, &today))
        return text;
    bool same = tm.tm_yday == today.tm_yday && tm.tm_year == today.tm_year;
    strftime(text, 32, same ? "%H:%M" : "%Y-%m-%d %H:%M", &tm);
    return text;
}

/* --- parts of answers ------------------------------------------------------------------ */

struct kilter_str kl_text_commit(const struct kilter_value *commit)
{
    return kilter_str_sub(kilter_get_text(commit, "id"), 0, 7);
}

static const struct {
    const char *verb, *words;
} summary_words[] = {
    { "create", "to create" },   { "adopt", "to adopt" },    { "update", "to update" },
    { "replace", "to replace" }, { "move", "to move" },      { "delete", "to delete" },
    { "forget", "to forget" },   { "deferred", "deferred" }, { "blocked", "blocked" },
};

const char *kl_text_summary(struct kl_cli *cli, const struct kilter_value *summary)
{
    struct kilter_buf out = KILTER_BUF_INIT(512);
    for (size_t i = 0; i < sizeof(summary_words) / sizeof(summary_words[0]); i++) {
        int64_t count = 0;
        if (kilter_get_int(summary, summary_words[i].verb, &count) < 0 || count == 0)
            continue;
        kilter_buf_printf(&out, "%s%lld %s", out.len ? ", " : "", (long long)count, summary_words[i].words);
    }
    const char *text = kilter_arena_printf(cli->arena, "%s", out.len ? out.ptr : "nothing to do");
    kilter_buf_release(&out);
    return text ? text : "";
}

static void add_part(struct kilter_buf *out, const char *text)
{
    if (text && text[0])
        kilter_buf_printf(out, "%s%s", out->len ? "; " : "", text);
}

static const char *suspended_text(struct kl_cli *cli, const struct kilter_value *suspended)
{
    char clock[32];
    struct kilter_str until = kilter_get_text(suspended, "until"), by = kilter_get_text(suspended, "by");
    struct kilter_str reason = kilter_get_text(suspended, "reason");
    kl_text_clock(cli, until, clock);
    return kilter_arena_printf(cli->arena, "Suspended%s%s%s%.*s%s%.*s", clock[0] ? " until " : "", clock,
                               by.len ? " by " : "", KILTER_STR_ARG(by), reason.len ? ": " : "",
                               KILTER_STR_ARG(reason));
}

static const char *pinned_text(struct kl_cli *cli, const struct kilter_value *pinned)
{
    struct kilter_str commit = kilter_str_sub(kilter_get_text(pinned, "commit"), 0, 7);
    struct kilter_str by = kilter_get_text(pinned, "by");
    return kilter_arena_printf(cli->arena, "Pinned at %.*s%s%.*s", KILTER_STR_ARG(commit), by.len ? " by " : "",
                               KILTER_STR_ARG(by));
}

/* "Waiting: ApprovalRequired, 2 to create", "Applying, 3 of 12 applied", "Failed: RenderFailed, again in 10s". */
static const char *phase_text(struct kl_cli *cli, const struct kilter_value *app)
{
    struct kilter_str phase = kilter_get_text(app, "phase"), reason = kilter_get_text(app, "reason");
    struct kilter_str message = kilter_get_text(app, "message"), next = kilter_get_text(app, "nextAttempt");
    const struct kilter_value *progress = kilter_get(app, "progress");
    int64_t done = 0, total = 0;
    char age[32];
    if (kilter_str_eq_c(phase, "Applying") && kilter_get_int(progress, "total", &total) == 0) {
        kilter_get_int(progress, "done", &done);
        return kilter_arena_printf(cli->arena, "Applying, %lld of %lld applied", (long long)done, (long long)total);
    }
    if (kilter_str_eq_c(phase, "Idle") && !reason.len)
        return "";
    /* What the line has said already as pin or suspension is not said twice. */
    if (kilter_str_eq_c(reason, "Suspended") || kilter_str_eq_c(reason, "Pinned"))
        return "";
    bool again = kilter_str_eq_c(phase, "Failed") && next.len;
    kl_text_age(cli, next, age);
    return kilter_arena_printf(cli->arena, "%.*s%s%.*s%s%s%s%.*s", KILTER_STR_ARG(phase), reason.len ? ": " : "",
                               KILTER_STR_ARG(reason), again ? ", again in " : "", again ? age : "",
                               message.len ? " - " : "", KILTER_STR_ARG(message));
}

static const char *count_text(struct kl_cli *cli, const struct kilter_value *resources, const char *key,
                              const char *words)
{
    int64_t count = 0;
    if (kilter_get_int(resources, key, &count) < 0 || count == 0)
        return "";
    return kilter_arena_printf(cli->arena, "%lld %s", (long long)count, words);
}

const char *kl_text_app_state(struct kl_cli *cli, const struct kilter_value *app)
{
    struct kilter_buf out = KILTER_BUF_INIT(8192);
    const struct kilter_value *suspended = kilter_get(app, "suspended"), *pinned = kilter_get(app, "pinned");
    const struct kilter_value *resources = kilter_get(app, "resources");
    struct kilter_str wanted = kl_text_commit(kilter_get(app, "wantedCommit"));
    bool removing = false;
    kilter_get_bool(app, "removing", &removing);
    if (removing)
        add_part(&out, "being removed");
    if (suspended)
        add_part(&out, suspended_text(cli, suspended));
    if (pinned)
        add_part(&out, pinned_text(cli, pinned));
    add_part(&out, phase_text(cli, app));
    if (wanted.len)
        add_part(&out, kilter_arena_printf(cli->arena, "%.*s pending", KILTER_STR_ARG(wanted)));
    add_part(&out, count_text(cli, resources, "drifted", "drifted"));
    add_part(&out, count_text(cli, resources, "prunable", "would be pruned"));
    const char *text = out.len ? kilter_arena_printf(cli->arena, "%s", out.ptr) : "";
    kilter_buf_release(&out);
    return text ? text : "";
}

static enum kilter_severity severity_of(struct kilter_str word)
{
    if (kilter_str_eq_c(word, "warning"))
        return KILTER_WARNING;
    return kilter_str_eq_c(word, "note") ? KILTER_NOTE : KILTER_ERROR;
}

void kl_put_diagnostics(FILE *out, const struct kilter_value *list, const char *indent)
{
    for (size_t i = 0; i < kilter_list_size(list); i++) {
        const struct kilter_value *item = kilter_list_at(list, i);
        struct kilter_buf text = KILTER_BUF_INIT(1u << 20);
        int64_t line = 0, column = 0;
        kilter_get_int(item, "line", &line);
        kilter_get_int(item, "column", &column);
        struct kilter_diag diag = {
            .severity = severity_of(kilter_get_text(item, "severity")),
            .code = kilter_get_text(item, "code"),
            .origin = { kilter_get_text(item, "file"), (uint32_t)line, (uint32_t)column },
            .message = kilter_get_text(item, "message"),
            .hint = kilter_get_text(item, "hint"),
        };
        kilter_diag_format(&text, &diag);
        kl_put_block(out, kilter_buf_view(&text), indent);
        kilter_buf_release(&text);
    }
}

/* --- tables ---------------------------------------------------------------------------------- */

void kl_table_init(struct kl_table *table, struct kl_cli *cli, const char *const *titles)
{
    memset(table, 0, sizeof(*table));
    table->cli = cli;
    table->indent = "";
    while (titles[table->columns] && table->columns < KL_TABLE_COLUMNS) {
        table->titles[table->columns] = titles[table->columns];
        table->columns++;
    }
}

struct kl_cell *kl_table_row(struct kl_table *table)
{
    if (table->rows == table->capacity) {
        size_t capacity = table->capacity ? 2 * table->capacity : 16;
        struct kl_cell *cells = kilter_arena_calloc(table->cli->arena, capacity * table->columns, sizeof(*cells));
        if (!cells)
            return NULL;
        if (table->rows)
            memcpy(cells, table->cells, table->rows * table->columns * sizeof(*cells));
        table->cells = cells;
        table->capacity = capacity;
    }
    return table->cells + table->columns * table->rows++;
}

/* How many columns of a terminal it takes: a character each, as kl_put_text prints it. */
static size_t width_of(struct kilter_str text)
{
    size_t width = 0;
    for (size_t at = 0; at < text.len; width++) {
        size_t len = character_at(text, at);
        at += len ? len : 1;
    }
    return width;
}

/* The part of a text that fits into `width` columns. */
static struct kilter_str cut(struct kilter_str text, size_t width)
{
    size_t at = 0;
    while (at < text.len && width-- > 0) {
        size_t len = character_at(text, at);
        at += len ? len : 1;
    }
    return kilter_str_sub(text, 0, at);
}

struct layout {
    size_t widths[KL_TABLE_COLUMNS]; /* 0: the column is left out */
    size_t last;                     /* column that is shown */
    size_t room;                     /* of the last column; SIZE_MAX: no limit */
};

static void lay_out(const struct kl_table *table, struct layout *ret)
{
    memset(ret, 0, sizeof(*ret));
    size_t used = strlen(table->indent);
    for (size_t column = 0; column < table->columns; column++) {
        size_t widest = 0;
        for (size_t row = 0; row < table->rows; row++) {
            size_t width = width_of(table->cells[row * table->columns + column].text);
            widest = width > widest ? width : widest;
        }
        size_t title = strlen(table->titles[column]);
        if (widest == 0)
            continue;
        ret->widths[column] = widest > title ? widest : title;
        ret->last = column;
    }
    for (size_t column = 0; column < ret->last; column++)
        used += ret->widths[column] ? ret->widths[column] + 2 : 0;
    ret->room = table->cli->columns == 0          ? SIZE_MAX
                : table->cli->columns > used + 24 ? table->cli->columns - used
                                                  : 24;
}

static void print_cell(const struct kl_table *table, const struct layout *layout, size_t column,
                       struct kl_cell cell)
{
    FILE *out = table->cli->out;
    size_t width = width_of(cell.text);
    if (layout->widths[column] == 0)
        return;
    if (column == layout->last) {
        bool cuts = width > layout->room;
        fputs(kl_tint_on(table->cli, cell.tint), out);
        kl_put_text(out, cuts ? cut(cell.text, layout->room - 3) : cell.text);
        fputs(cuts ? "..." : "", out);
        fputs(kl_tint_off(table->cli, cell.tint), out);
        putc('\n', out);
        return;
    }
    fputs(kl_tint_on(table->cli, cell.tint), out);
    kl_put_text(out, cell.text);
    fputs(kl_tint_off(table->cli, cell.tint), out);
    fprintf(out, "%*s", (int)(layout->widths[column] - width + 2), "");
}

/* The last column of this row that has something, so that no line ends in blanks. */
static void print_row(const struct kl_table *table, const struct layout *layout, const struct kl_cell *cells)
{
    struct layout own = *layout;
    while (own.last > 0 && (own.widths[own.last] == 0 || cells[own.last].text.len == 0))
        own.last--;
    if (own.last != layout->last)
        own.room = SIZE_MAX;
    fputs(table->indent, table->cli->out);
    for (size_t column = 0; column <= own.last; column++)
        print_cell(table, &own, column, cells[column]);
}

void kl_table_print(const struct kl_table *table)
{
    struct kl_cell titles[KL_TABLE_COLUMNS];
    struct layout layout;
    if (table->rows == 0)
        return;
    lay_out(table, &layout);
    for (size_t column = 0; column < table->columns; column++)
        titles[column] = (struct kl_cell){ kilter_str_c(table->titles[column]), KL_DIM };
    if (table->titles[0][0])
        print_row(table, &layout, titles);
    for (size_t row = 0; row < table->rows; row++)
        print_row(table, &layout, table->cells + row * table->columns);
}
