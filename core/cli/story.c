/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/story.h"

#include "cli/text.h"

/* --- why ------------------------------------------------------------------------------ */

static void put_title(struct kl_cli *cli, const char *title)
{
    fprintf(cli->out, "%s%-10s%s", kl_tint_on(cli, KL_DIM), title, kl_tint_off(cli, KL_DIM));
}

static void put_line(struct kl_cli *cli, const char *title, const char *text)
{
    if (!text || !text[0])
        return;
    put_title(cli, title);
    kl_put_text(cli->out, kilter_str_c(text));
    putc('\n', cli->out);
}

static void put_trigger(struct kl_cli *cli, const struct kilter_value *trigger)
{
    static const struct {
        const char *kind, *words;
    } kinds[] = {
        { "commit", "a new commit" },
        { "timer", "its interval" },
        { "drift", "something moved on the target" },
        { "person", "asked for" },
        { "manifest", "the manifest moved" },
        { "start", "the daemon started" },
        { "retry", "another try after a failure" },
        { "dependency", "something it depends on got ready" },
        { "renderer", "the renderer is another version" },
    };
    struct kilter_str kind = kilter_get_text(trigger, "kind"), by = kilter_get_text(trigger, "by");
    struct kilter_str message = kilter_get_text(trigger, "message"), words = kind;
    char time[32], age[32];
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kilter_str_eq_c(kind, kinds[i].kind))
            words = kilter_str_c(kinds[i].words);
    kl_text_time(kilter_get_text(trigger, "time"), time);
    kl_text_age(cli, kilter_get_text(trigger, "time"), age);
    put_line(cli, "Began",
             kilter_arena_printf(cli->arena, "%s (%s ago): %.*s%s%.*s%s%.*s", time, age, KILTER_STR_ARG(words),
                                 by.len ? " by " : "", KILTER_STR_ARG(by), message.len ? ", " : "",
                                 KILTER_STR_ARG(message)));
}

static void put_commit(struct kl_cli *cli, const struct kilter_value *commit)
{
    struct kilter_str id = kl_text_commit(commit), author = kilter_get_text(commit, "author");
    char age[32];
    if (!id.len)
        return;
    kl_text_age(cli, kilter_get_text(commit, "time"), age);
    put_line(cli, "Commit",
             kilter_arena_printf(cli->arena, "%.*s %.*s%s%.*s%s%s%s", KILTER_STR_ARG(id),
                                 KILTER_STR_ARG(kilter_get_text(commit, "subject")), author.len ? ", by " : "",
                                 KILTER_STR_ARG(author), age[0] ? ", " : "", age, age[0] ? " ago" : ""));
}

static void put_moved(struct kl_cli *cli, const struct kilter_value *moved)
{
    size_t count = kilter_list_size(moved);
    for (size_t i = 0; i < count && i < 20; i++) {
        put_title(cli, i == 0 ? "Moved" : "");
        kl_put_text(cli->out, kilter_text(kilter_list_at(moved, i)));
        putc('\n', cli->out);
    }
    if (count > 20)
        put_line(cli, "", kilter_arena_printf(cli->arena, "and %zu more", count - 20));
}

static void put_steps(struct kl_cli *cli, const struct kilter_value *steps)
{
    for (size_t i = 0; i < kilter_list_size(steps); i++) {
        const struct kilter_value *step = kilter_list_at(steps, i);
        struct kilter_str result = kilter_get_text(step, "result");
        enum kl_tint tint = kilter_str_eq_c(result, "ok") ? KL_PLAIN : kl_tint_of_state(result);
        int64_t ms;
        put_title(cli, i == 0 ? "Steps" : "");
        fprintf(cli->out, "%-10.*s ", KILTER_STR_ARG(kilter_get_text(step, "phase")));
        if (kilter_get_int(step, "durationMs", &ms) == 0)
            fprintf(cli->out, "%6lld ms  ", (long long)ms);
        else
            fprintf(cli->out, "%11s", "");
        fputs(kl_tint_on(cli, tint), cli->out);
        kl_put_text(cli->out, kilter_get_text(step, "message"));
        fprintf(cli->out, "%s\n", kl_tint_off(cli, tint));
    }
}

static void put_decision(struct kl_cli *cli, const struct kilter_value *decision)
{
    struct kilter_str word = kilter_get_text(decision, "decision"), reason = kilter_get_text(decision, "reason");
    struct kilter_str message = kilter_get_text(decision, "message");
    if (word.len)
        put_line(cli, "Policy",
                 kilter_arena_printf(cli->arena, "%.*s%s%.*s%s%.*s", KILTER_STR_ARG(word), reason.len ? ": " : "",
                                     KILTER_STR_ARG(reason), message.len ? ", " : "", KILTER_STR_ARG(message)));
}

static void put_changes(struct kl_cli *cli, const struct kilter_value *changes)
{
    static const char *const titles[] = { "CHANGE", "RESOURCE", "RESULT", "WHY", NULL };
    struct kl_table table;
    kl_table_init(&table, cli, titles);
    for (size_t i = 0; i < kilter_list_size(changes); i++) {
        const struct kilter_value *change = kilter_list_at(changes, i);
        struct kilter_str verb = kilter_get_text(change, "verb"), result = kilter_get_text(change, "result");
        struct kilter_str message = kilter_get_text(change, "message"),
                          held = kilter_get_text(change, "heldReason");
        struct kl_cell *row = kl_table_row(&table);
        if (!row)
            return;
        row[0] = (struct kl_cell){ verb, kl_tint_of_verb(verb) };
        row[1].text = kilter_get_text(change, "id");
        row[2] = (struct kl_cell){ held.len ? KILTER_STR("held back") : result, kl_tint_of_state(result) };
        row[3].text = message.len ? message : held.len ? held : kilter_get_text(change, "reason");
    }
    if (table.rows)
        putc('\n', cli->out);
    kl_table_print(&table);
}

void kl_story_why(struct kl_cli *cli, const struct kilter_value *story)
{
    struct kilter_str resource = kilter_get_text(story, "resource"), result = kilter_get_text(story, "result");
    char age[32];
    put_title(cli, "App");
    fputs(kl_tint_on(cli, KL_BOLD), cli->out);
    kl_put_text(cli->out, kilter_get_text(story, "app"));
    fprintf(cli->out, "%s%s", kl_tint_off(cli, KL_BOLD), resource.len ? "/" : "");
    kl_put_text(cli->out, resource);
    putc('\n', cli->out);
    if (kilter_get(story, "trigger"))
        put_trigger(cli, kilter_get(story, "trigger"));
    else
        put_line(cli, "Began", "there was no pass yet");
    put_commit(cli, kilter_get(story, "commit"));
    put_moved(cli, kilter_get(story, "moved"));
    put_steps(cli, kilter_get(story, "steps"));
    put_decision(cli, kilter_get(story, "decision"));
    if (result.len)
        put_line(cli, "Result", kilter_arena_printf(cli->arena, "%.*s", KILTER_STR_ARG(result)));
    kl_text_age(cli, kilter_get_text(story, "nextAttempt"), age);
    if (age[0])
        put_line(cli, "Next", kilter_arena_printf(cli->arena, "in %s", age));
    put_changes(cli, kilter_get(story, "changes"));
}

/* --- history ------------------------------------------------------------------------------ */

static const char *history_text(struct kl_cli *cli, const struct kilter_value *entry)
{
    struct kilter_str message = kilter_get_text(entry, "message"), reason = kilter_get_text(entry, "reason");
    struct kilter_str subject = kilter_get_text(kilter_get(entry, "commit"), "subject");
    bool plain = kilter_str_eq_c(kilter_get_text(entry, "result"), "succeeded") && !reason.len && subject.len;
    if (!plain && (message.len || reason.len))
        return kilter_arena_printf(cli->arena, "%.*s%s%.*s", KILTER_STR_ARG(reason),
                                   reason.len && message.len ? ": " : "", KILTER_STR_ARG(message));
    return kilter_arena_printf(cli->arena, "%.*s", KILTER_STR_ARG(subject));
}

/* "+2 ~1 -1" of a summary. */
static const char *counts_text(struct kl_cli *cli, const struct kilter_value *summary)
{
    static const struct {
        const char *verb, *sign;
    } signs[] = { { "create", "+" },  { "adopt", "=" }, { "update", "~" },
                  { "replace", "!" }, { "move", ">" },  { "delete", "-" } };
    struct kilter_buf out = KILTER_BUF_INIT(256);
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        int64_t count = 0;
        if (kilter_get_int(summary, signs[i].verb, &count) == 0 && count > 0)
            kilter_buf_printf(&out, "%s%s%lld", out.len ? " " : "", signs[i].sign, (long long)count);
    }
    const char *text = kilter_arena_printf(cli->arena, "%s", out.ptr ? out.ptr : "");
    kilter_buf_release(&out);
    return text;
}

void kl_story_history(struct kl_cli *cli, const struct kilter_value *entries)
{
    static const char *const titles[] = { "", "WHEN", "COMMIT", "RESULT", "CHANGES", "BY", "WHAT", NULL };
    struct kl_table table;
    kl_table_init(&table, cli, titles);
    for (size_t i = 0; i < kilter_list_size(entries); i++) {
        const struct kilter_value *entry = kilter_list_at(entries, i);
        struct kilter_str result = kilter_get_text(entry, "result"), by = kilter_get_text(entry, "by");
        struct kl_cell *row = kl_table_row(&table);
        char *time = kilter_arena_alloc(cli->arena, 32);
        bool current = false;
        if (!row || !time)
            return;
        kilter_get_bool(entry, "current", &current);
        kl_text_time(kilter_get_text(entry, "time"), time);
        row[0].text = kilter_str_c(current ? "*" : " ");
        row[1].text = kilter_str_c(time);
        row[2].text = kl_text_commit(kilter_get(entry, "commit"));
        row[3] = (struct kl_cell){ result, kl_tint_of_state(result) };
        row[4].text = kilter_str_c(counts_text(cli, kilter_get(entry, "summary")));
        row[5].text = by.len ? by : kilter_get_text(entry, "trigger");
        row[6].text = kilter_str_c(history_text(cli, entry));
    }
    table.titles[0] = "  ";
    kl_table_print(&table);
    if (table.rows == 0)
        fputs("Nothing was applied yet.\n", cli->out);
}

/* --- events ---------------------------------------------------------------------------------- */

void kl_story_event(struct kl_cli *cli, const struct kilter_value *event)
{
    struct kilter_str severity = kilter_get_text(event, "severity"), app = kilter_get_text(event, "app");
    struct kilter_str resource = kilter_get_text(event, "resource"), actor = kilter_get_text(event, "actor");
    enum kl_tint tint = kl_tint_of_state(severity);
    char time[32];
    kl_text_time(kilter_get_text(event, "time"), time);
    fprintf(cli->out, "%s%s%s  %s%-18.*s%s ", kl_tint_on(cli, KL_DIM), time, kl_tint_off(cli, KL_DIM),
            kl_tint_on(cli, tint), KILTER_STR_ARG(kilter_get_text(event, "kind")), kl_tint_off(cli, tint));
    if (app.len) {
        fputs(kl_tint_on(cli, KL_BOLD), cli->out);
        kl_put_text(cli->out, app);
        fputs(kl_tint_off(cli, KL_BOLD), cli->out);
        fputs(resource.len ? "/" : "", cli->out);
        kl_put_text(cli->out, resource);
        fputs(": ", cli->out);
    }
    kl_put_text(cli->out, kilter_get_text(event, "message"));
    if (actor.len) {
        fprintf(cli->out, "  %s(", kl_tint_on(cli, KL_DIM));
        kl_put_text(cli->out, actor);
        fprintf(cli->out, ")%s", kl_tint_off(cli, KL_DIM));
    }
    putc('\n', cli->out);
}

/* --- tree ---------------------------------------------------------------------------------------- */

#define TREE_DEPTH 60

static void put_state(struct kl_cli *cli, struct kilter_str word)
{
    enum kl_tint tint = kl_tint_of_state(word);
    if (!word.len)
        return;
    fprintf(cli->out, "  %s", kl_tint_on(cli, tint));
    kl_put_text(cli->out, word);
    fputs(kl_tint_off(cli, tint), cli->out);
}

static void put_node(struct kl_cli *cli, const struct kilter_value *node, const char *note)
{
    struct kilter_str id = kilter_get_text(node, "id"), message = kilter_get_text(node, "message");
    fputs(note, cli->out);
    if (id.len) {
        kl_put_text(cli->out, id);
    } else {
        kl_put_text(cli->out, kilter_get_text(node, "kind"));
        putc('/', cli->out);
        kl_put_text(cli->out, kilter_get_text(node, "name"));
    }
    put_state(cli, kilter_get_text(node, "sync"));
    put_state(cli, kilter_get_text(node, "health"));
    if (message.len) {
        fputs("  ", cli->out);
        kl_put_text(cli->out, message);
    }
    putc('\n', cli->out);
}

static void put_branch(struct kl_cli *cli, const struct kilter_value *node, const char *prefix, int depth);

static void put_twigs(struct kl_cli *cli, const struct kilter_value *list, const char *prefix, const char *note,
                      bool more, int depth)
{
    size_t count = kilter_list_size(list);
    for (size_t i = 0; i < count; i++) {
        bool last = !more && i + 1 == count;
        const struct kilter_value *child = kilter_list_at(list, i);
        const char *below = kilter_arena_printf(cli->arena, "%s%s", prefix, last ? "    " : "\u2502   ");
        fprintf(cli->out, "%s%s", prefix, last ? "\u2514\u2500\u2500 " : "\u251c\u2500\u2500 ");
        put_node(cli, child, note);
        if (below)
            put_branch(cli, child, below, depth + 1);
    }
}

static void put_branch(struct kl_cli *cli, const struct kilter_value *node, const char *prefix, int depth)
{
    const struct kilter_value *children = kilter_get(node, "children");
    if (depth > TREE_DEPTH)
        return;
    put_twigs(cli, kilter_get(node, "dependsOn"), prefix, "after ", kilter_list_size(children) > 0, depth);
    put_twigs(cli, children, prefix, "", false, depth);
}

void kl_story_tree(struct kl_cli *cli, const struct kilter_value *node)
{
    put_node(cli, node, "");
    put_branch(cli, node, "", 0);
}

/* --- records ---------------------------------------------------------------------------------------- */

void kl_story_records(struct kl_cli *cli, const struct kilter_value *records)
{
    static const char *const titles[] = { "RESOURCE", "STATUS", "COMMIT", "CHANGED", "CLAIM", NULL };
    struct kl_table table;
    kl_table_init(&table, cli, titles);
    for (size_t i = 0; i < kilter_list_size(records); i++) {
        const struct kilter_value *record = kilter_list_at(records, i), *claims = kilter_get(record, "claims");
        struct kilter_str status = kilter_get_text(record, "status");
        struct kl_cell *row = kl_table_row(&table);
        char *age = kilter_arena_alloc(cli->arena, 32);
        if (!row || !age)
            return;
        kl_text_age(cli, kilter_get_text(record, "changed"), age);
        row[0].text = kilter_get_text(record, "id");
        row[1] = (struct kl_cell){ status, kl_tint_of_state(status) };
        row[2].text = kilter_str_sub(kilter_get_text(record, "commit"), 0, 7);
        row[3].text = kilter_str_c(age);
        row[4].text = kilter_text(kilter_list_at(claims, 0));
    }
    kl_table_print(&table);
    if (table.rows == 0)
        fputs("It owns nothing.\n", cli->out);
}
