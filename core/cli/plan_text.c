/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/plan_text.h"

#include "cli/text.h"

static bool verb_is(const struct kilter_value *change, const char *verb)
{
    return kilter_str_eq_c(kilter_get_text(change, "verb"), verb);
}

static bool is_held(const struct kilter_value *change)
{
    bool held = false;
    kilter_get_bool(change, "held", &held);
    return held;
}

bool kl_plan_has_changes(const struct kilter_value *plan)
{
    const struct kilter_value *changes = kilter_get(plan, "changes");
    for (size_t i = 0; i < kilter_list_size(changes); i++)
        if (!verb_is(kilter_list_at(changes, i), "none") && !verb_is(kilter_list_at(changes, i), "read"))
            return true;
    return false;
}

bool kl_plan_names(struct kilter_str id, struct kilter_str typed)
{
    if (!kilter_str_ends(id, typed))
        return false;
    return id.len == typed.len || id.ptr[id.len - typed.len - 1] == '/';
}

/* --- values ------------------------------------------------------------------------ */

/* A value on one line: texts as they are, the rest as JSON. */
static void put_value(struct kl_cli *cli, const struct kilter_value *value)
{
    struct kilter_buf text = KILTER_BUF_INIT(2048);
    kilter_json_write(&text, value, KILTER_SCHEMA_JSON, KILTER_WRITE_CONTENT);
    struct kilter_str shown = kilter_buf_view(&text);
    bool cuts = text.failed || shown.len > 160;
    kl_put_text(cli->out, cuts ? kilter_str_sub(shown, 0, 157) : shown);
    fputs(cuts ? "..." : "", cli->out);
    kilter_buf_release(&text);
}

static void put_difference(struct kl_cli *cli, const struct kilter_value *item)
{
    const struct kilter_value *before = kilter_get(item, "before"), *after = kilter_get(item, "after");
    if (!before && !after)
        return; /* its difference is the unified one below */
    enum kl_tint tint = !before ? KL_GREEN : !after ? KL_RED : KL_YELLOW;
    fprintf(cli->out, "      %s%s ", kl_tint_on(cli, tint), !before ? "+" : !after ? "-" : "~");
    kl_put_text(cli->out, kilter_get_text(item, "path"));
    fprintf(cli->out, "%s: ", kl_tint_off(cli, tint));
    if (before)
        put_value(cli, before);
    if (before && after)
        fputs(" -> ", cli->out);
    if (after)
        put_value(cli, after);
    putc('\n', cli->out);
}

/* A unified diff, its lines in their colours. */
static void put_unified(struct kl_cli *cli, struct kilter_str text)
{
    size_t at = 0;
    while (at < text.len) {
        ptrdiff_t feed = kilter_str_find(text, '\n', at);
        size_t end = feed < 0 ? text.len : (size_t)feed;
        char first = end > at ? text.ptr[at] : ' ';
        enum kl_tint tint = first == '+' ? KL_GREEN : first == '-' ? KL_RED : first == '@' ? KL_BLUE : KL_PLAIN;
        fprintf(cli->out, "      %s", kl_tint_on(cli, tint));
        kl_put_text(cli->out, kilter_str_sub(text, at, end - at));
        fprintf(cli->out, "%s\n", kl_tint_off(cli, tint));
        at = end + 1;
    }
}

/* What a unified diff of the content says better. */
static bool said_by_text(const struct kilter_value *difference)
{
    struct kilter_str path = kilter_get_text(difference, "path");
    return kilter_str_eq_c(path, "sha256") || kilter_str_eq_c(path, "size");
}

static void put_differences(struct kl_cli *cli, const struct kilter_value *change)
{
    const struct kilter_value *diff = kilter_get(change, "diff");
    struct kilter_str text = kilter_get_text(change, "text");
    for (size_t i = 0; i < kilter_list_size(diff); i++)
        if (!text.len || !said_by_text(kilter_list_at(diff, i)))
            put_difference(cli, kilter_list_at(diff, i));
    put_unified(cli, text);
}

/* --- changes -------------------------------------------------------------------------- */

static const char *sign_of(struct kilter_str verb)
{
    static const struct {
        const char *verb, *sign;
    } signs[] = { { "create", "+" }, { "adopt", "+" },  { "update", "~" },  { "move", ">" },    { "replace", "!" },
                  { "delete", "-" }, { "forget", "-" }, { "blocked", "x" }, { "deferred", "?" } };
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
        if (kilter_str_eq_c(verb, signs[i].verb))
            return signs[i].sign;
    return " ";
}

static void put_note(struct kl_cli *cli, enum kl_tint tint, const char *before, struct kilter_str text,
                     const char *after)
{
    fprintf(cli->out, "      %s%s", kl_tint_on(cli, tint), before);
    kl_put_text(cli->out, text);
    fprintf(cli->out, "%s%s\n", after, kl_tint_off(cli, tint));
}

static void put_effects(struct kl_cli *cli, const struct kilter_value *effects)
{
    for (size_t i = 0; i < kilter_list_size(effects); i++) {
        const struct kilter_value *effect = kilter_list_at(effects, i);
        struct kilter_str cause = kilter_get_text(effect, "cause");
        const char *text = kilter_arena_printf(
            cli->arena, "then %.*s %.*s%s%.*s", KILTER_STR_ARG(kilter_get_text(effect, "verb")),
            KILTER_STR_ARG(kilter_get_text(effect, "subject")), cause.len ? ": " : "", KILTER_STR_ARG(cause));
        put_note(cli, KL_BLUE, "", kilter_str_c(text), "");
    }
}

/* "undoes a manual change seen 14:02 (kubectl-edit)" where a commit meets a hotfix, and the like. */
static void put_drift(struct kl_cli *cli, const struct kilter_value *change)
{
    const struct kilter_value *flags = kilter_get(change, "flags");
    struct kilter_str by = kilter_get_text(change, "driftBy");
    bool drifted = false;
    char clock[32];
    for (size_t i = 0; i < kilter_list_size(flags); i++)
        drifted |= kilter_str_eq_c(kilter_text(kilter_list_at(flags, i)), "drifted");
    if (!drifted)
        return;
    kl_text_clock(cli, kilter_get_text(change, "driftSince"), clock);
    const char *text = kilter_arena_printf(cli->arena, "%s a manual change%s%s%s%.*s%s",
                                           is_held(change) ? "leaves alone" : "undoes", clock[0] ? " seen " : "",
                                           clock, by.len ? " (" : "", KILTER_STR_ARG(by), by.len ? ")" : "");
    put_note(cli, KL_YELLOW, "", kilter_str_c(text), "");
}

static void put_change(struct kl_cli *cli, const struct kilter_value *change)
{
    struct kilter_str verb = kilter_get_text(change, "verb"), file = kilter_get_text(change, "file");
    struct kilter_str reason = kilter_get_text(change, "reason"), why = kilter_get_text(change, "heldReason");
    struct kilter_str owner = kilter_get_text(change, "foreignOwner"), from = kilter_get_text(change, "movedFrom");
    enum kl_tint tint = is_held(change) ? KL_DIM : kl_tint_of_verb(verb);
    int64_t line = 0;
    fprintf(cli->out, "  %s%s %.*s ", kl_tint_on(cli, tint), sign_of(verb), KILTER_STR_ARG(verb));
    kl_put_text(cli->out, kilter_get_text(change, "id"));
    fputs(kl_tint_off(cli, tint), cli->out);
    if (file.len) {
        fprintf(cli->out, "  %s", kl_tint_on(cli, KL_DIM));
        kl_put_text(cli->out, file);
        if (kilter_get_int(change, "line", &line) == 0 && line > 0)
            fprintf(cli->out, ":%lld", (long long)line);
        fputs(kl_tint_off(cli, KL_DIM), cli->out);
    }
    putc('\n', cli->out);
    if (from.len)
        put_note(cli, KL_PLAIN, "was ", from, "");
    if (reason.len)
        put_note(cli, KL_PLAIN, "", reason, "");
    if (is_held(change))
        put_note(cli, KL_YELLOW, "not done: ", why.len ? why : KILTER_STR("the policy holds it back"), "");
    if (owner.len)
        put_note(cli, KL_YELLOW, "it is owned by ", owner, "");
    put_drift(cli, change);
    put_effects(cli, kilter_get(change, "effects"));
    put_differences(cli, change);
}

/* --- the whole ------------------------------------------------------------------------- */

static void put_decision(struct kl_cli *cli, const struct kilter_value *plan)
{
    struct kilter_str decision = kilter_get_text(plan, "decision"), reason = kilter_get_text(plan, "reason");
    struct kilter_str message = kilter_get_text(plan, "message");
    if (!kilter_str_eq_c(decision, "wait"))
        return;
    fprintf(cli->out, "%sWaits", kl_tint_on(cli, KL_YELLOW));
    if (reason.len)
        fprintf(cli->out, ": %.*s", KILTER_STR_ARG(reason));
    fputs(message.len ? ", " : "", cli->out);
    kl_put_text(cli->out, message);
    fprintf(cli->out, "%s\n", kl_tint_off(cli, KL_YELLOW));
}

/* "Plan 5e1f00ab12cd: 2 to create, 1 to delete." */
static void put_summary(struct kl_cli *cli, const struct kilter_value *plan)
{
    struct kilter_str digest = kilter_str_sub(kilter_get_text(plan, "digest"), 0, 12);
    if (!kl_plan_has_changes(plan)) {
        fputs("Nothing to do.\n", cli->out);
        return;
    }
    fprintf(cli->out, "\n%sPlan %.*s:%s %s.\n", kl_tint_on(cli, KL_BOLD), KILTER_STR_ARG(digest),
            kl_tint_off(cli, KL_BOLD), kl_text_summary(cli, kilter_get(plan, "summary")));
}

void kl_plan_print(struct kl_cli *cli, const struct kilter_value *plan, bool all)
{
    const struct kilter_value *changes = kilter_get(plan, "changes"), *commit = kilter_get(plan, "commit");
    struct kilter_str app = kilter_get_text(plan, "app"), id = kl_text_commit(commit);
    fputs(kl_tint_on(cli, KL_BOLD), cli->out);
    kl_put_text(cli->out, app);
    fputs(kl_tint_off(cli, KL_BOLD), cli->out);
    if (id.len) {
        fprintf(cli->out, " at %.*s ", KILTER_STR_ARG(id));
        kl_put_text(cli->out, kilter_get_text(commit, "subject"));
    }
    putc('\n', cli->out);
    for (size_t i = 0; i < kilter_list_size(changes); i++) {
        const struct kilter_value *change = kilter_list_at(changes, i);
        if (all || !verb_is(change, "none"))
            put_change(cli, change);
    }
    put_summary(cli, plan);
    put_decision(cli, plan);
}

size_t kl_plan_print_diff(struct kl_cli *cli, const struct kilter_value *plan, struct kilter_str resource)
{
    const struct kilter_value *changes = kilter_get(plan, "changes");
    size_t count = 0;
    for (size_t i = 0; i < kilter_list_size(changes); i++) {
        const struct kilter_value *change = kilter_list_at(changes, i);
        struct kilter_str verb = kilter_get_text(change, "verb"), id = kilter_get_text(change, "id");
        if (verb_is(change, "none") || verb_is(change, "read") || (resource.len && !kl_plan_names(id, resource)))
            continue;
        enum kl_tint tint = kl_tint_of_verb(verb);
        fprintf(cli->out, "%s%s ", kl_tint_on(cli, tint), sign_of(verb));
        kl_put_text(cli->out, id);
        fprintf(cli->out, "%s\n", kl_tint_off(cli, tint));
        if (kilter_list_size(kilter_get(change, "diff")) == 0 && !kilter_get_text(change, "text").len)
            put_note(cli, KL_PLAIN, "", kilter_get_text(change, "reason"), "");
        put_differences(cli, change);
        count++;
    }
    return count;
}
