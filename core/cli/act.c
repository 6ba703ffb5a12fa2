/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that have the daemon do something. */
#include "cli/act.h"

#include "cli/api.h"
#include "cli/plan_text.h"
#include "cli/private.h"
#include "cli/progress.h"
#include "cli/text.h"

#include <kilter/plugin.h>

struct kilter_value *kl_act_body(struct kl_cli *cli, bool waits)
{
    struct kilter_value *body = kilter_map(cli->arena);
    int64_t ns = cli->args.timeout_ns ? cli->args.timeout_ns : KL_ACT_TIMEOUT_NS;
    char text[32];
    if (body && waits && !cli->args.no_wait &&
        kl_act_set(cli, body, "wait", kilter_str_c(kilter_format_duration(ns, text))) < 0)
        return NULL;
    return body;
}

int kl_act_set(struct kl_cli *cli, struct kilter_value *body, const char *key, struct kilter_str text)
{
    return text.len ? kilter_set(cli->arena, body, key, kilter_string(cli->arena, text)) : 0;
}

static bool outcome_is(const struct kilter_value *answer, const char *word)
{
    return kilter_str_eq_c(kilter_get_text(kilter_get(answer, "result"), "outcome"), word);
}

int kl_act_print(struct kl_cli *cli, const struct kilter_value *answer)
{
    const struct kilter_value *result = kilter_get(answer, "result"), *app = kilter_get(answer, "app");
    struct kilter_str message = kilter_get_text(result, "message"), hint = kilter_get_text(result, "hint");
    bool fine = outcome_is(answer, "done") || outcome_is(answer, "accepted");
    enum kl_tint tint = fine ? KL_GREEN : outcome_is(answer, "failed") ? KL_RED : KL_YELLOW;
    FILE *out = cli->out;
    if (cli->args.form != KL_FORM_TEXT)
        return kl_cli_print_value(cli, answer) < 0 ? KL_EXIT_ERROR : fine ? KL_EXIT_REACHED : KL_EXIT_NOT;
    fputs(kl_tint_on(cli, KL_BOLD), out);
    kl_put_text(out, kilter_get_text(app, "name"));
    fprintf(out, "%s: %s", kl_tint_off(cli, KL_BOLD), kl_tint_on(cli, tint));
    kl_put_text(out, message.len ? message : kilter_get_text(result, "outcome"));
    fprintf(out, "%s\n", kl_tint_off(cli, tint));
    if (outcome_is(answer, "failed"))
        kl_put_diagnostics(out, kilter_get(kilter_get(app, "lastError"), "diagnostics"), "  ");
    if (hint.len)
        fprintf(out, "  %.*s\n", KILTER_STR_ARG(hint));
    return fine ? KL_EXIT_REACHED : KL_EXIT_NOT;
}

int kl_act(struct kl_cli *cli, struct kilter_str app, const char *action, const struct kilter_value *body)
{
    struct kilter_value *answer = NULL;
    struct kl_progress *progress = kilter_get(body, "wait") ? kl_progress_start(cli, app) : NULL;
    int r = kl_api_post(cli, kl_api_app_path(cli, app, "/%s", action), body, &answer);
    kl_progress_stop(progress);
    return r < 0 ? KL_EXIT_ERROR : kl_act_print(cli, answer);
}

/* --- sync ------------------------------------------------------------------------------ */

static int sync_one(struct kl_cli *cli, struct kilter_str app)
{
    struct kilter_value *body = kl_act_body(cli, true), *yes = kilter_bool(cli->arena, true);
    if (!body || (cli->args.prune && kilter_set(cli->arena, body, "prune", yes) < 0) ||
        (cli->args.correct && kilter_set(cli->arena, body, "correct", yes) < 0))
        return KL_EXIT_ERROR;
    return kl_act(cli, app, "sync", body);
}

static int sync_all(struct kl_cli *cli)
{
    struct kilter_value *list = NULL;
    int status = KL_EXIT_REACHED;
    if (kl_api_list(cli, "/api/v1/apps", false, -1, &list) < 0)
        return KL_EXIT_ERROR;
    const struct kilter_value *items = kilter_get(list, "items");
    for (size_t i = 0; i < kilter_list_size(items); i++) {
        int one = sync_one(cli, kilter_get_text(kilter_list_at(items, i), "name"));
        status = one > status ? one : status;
    }
    return status;
}

int kl_cli_sync(struct kl_cli *cli)
{
    const struct kl_args *args = &cli->args;
    int status = KL_EXIT_REACHED;
    if (args->all == (args->item_count > 0)) {
        kl_cli_complain(cli, args->all ? "sync: name apps or give --all, not both" : "sync: which app?");
        kl_cli_hint(cli, "kilter sync APP...   or   kilter sync --all");
        return KL_EXIT_ERROR;
    }
    if (args->manifest && kl_private_start(cli, args->manifest, &cli->private_daemon) < 0)
        return KL_EXIT_ERROR;
    if (args->manifest && args->no_wait) {
        kl_cli_complain(cli, "sync: with --manifest the daemon ends with this command; --no-wait cannot be");
        return KL_EXIT_ERROR;
    }
    if (args->all)
        return sync_all(cli);
    for (size_t i = 0; i < args->item_count; i++) {
        int one = sync_one(cli, kilter_str_c(args->items[i]));
        status = one > status ? one : status;
    }
    return status;
}

/* --- approve and reject ------------------------------------------------------------------ */

/* The digest to bind to: the waiting plan's; one that the user typed may be cut short, 8 digits at least. */
static int find_digest(struct kl_cli *cli, struct kilter_str name, struct kilter_str *ret)
{
    struct kilter_value *app = NULL;
    struct kilter_str typed = kilter_str_c(cli->args.digest);
    int r = kl_api_get(cli, kl_api_app_path(cli, name, "%s", ""), &app);
    if (r < 0)
        return r;
    struct kilter_str digest = kilter_get_text(kilter_get(app, "plan"), "digest");
    bool is_short = typed.len >= 8 && kilter_str_starts(digest, typed);
    *ret = typed.len && !is_short ? typed : digest;
    return 0;
}

int kl_cli_approve(struct kl_cli *cli)
{
    struct kilter_str name = kilter_str_c(cli->args.items[0]), digest;
    struct kilter_value *body = kl_act_body(cli, true);
    if (!body || find_digest(cli, name, &digest) < 0 || kl_act_set(cli, body, "digest", digest) < 0)
        return KL_EXIT_ERROR;
    return kl_act(cli, name, "approve", body);
}

int kl_cli_reject(struct kl_cli *cli)
{
    struct kilter_str name = kilter_str_c(cli->args.items[0]), digest;
    struct kilter_value *body = kl_act_body(cli, false);
    if (!body || find_digest(cli, name, &digest) < 0 || kl_act_set(cli, body, "digest", digest) < 0 ||
        kl_act_set(cli, body, "reason", kilter_str_c(cli->args.reason)) < 0)
        return KL_EXIT_ERROR;
    return kl_act(cli, name, "reject", body);
}

/* --- the rest -------------------------------------------------------------------------------- */

int kl_cli_rollback(struct kl_cli *cli)
{
    const struct kl_args *args = &cli->args;
    struct kilter_value *body = kl_act_body(cli, true);
    if (!body || kl_act_set(cli, body, "reason", kilter_str_c(args->reason)) < 0 ||
        (args->item_count > 1 && kl_act_set(cli, body, "commit", kilter_str_c(args->items[1])) < 0))
        return KL_EXIT_ERROR;
    return kl_act(cli, kilter_str_c(args->items[0]), "rollback", body);
}

int kl_cli_suspend(struct kl_cli *cli)
{
    const struct kl_args *args = &cli->args;
    struct kilter_value *body = kl_act_body(cli, false);
    if (!body || kl_act_set(cli, body, "for", kilter_str_c(args->duration)) < 0 ||
        kl_act_set(cli, body, "reason", kilter_str_c(args->reason)) < 0)
        return KL_EXIT_ERROR;
    return kl_act(cli, kilter_str_c(args->items[0]), "suspend", body);
}

int kl_cli_resume(struct kl_cli *cli)
{
    struct kilter_value *body = kl_act_body(cli, true);
    return body ? kl_act(cli, kilter_str_c(cli->args.items[0]), "resume", body) : KL_EXIT_ERROR;
}

int kl_cli_forget(struct kl_cli *cli)
{
    const char *app = cli->args.items[0];
    struct kilter_value *body = kl_act_body(cli, true);
    const char *question =
        kilter_arena_printf(cli->arena, "Stop owning everything of %s? What is live stays.", app);
    if (!body || !question || (!cli->args.yes && !kl_cli_confirm(cli, question)))
        return KL_EXIT_ERROR;
    return kl_act(cli, kilter_str_c(app), "forget", body);
}

int kl_cli_delete(struct kl_cli *cli)
{
    struct kilter_str app = kilter_str_c(cli->args.items[0]);
    struct kilter_value *plan = NULL, *body = kl_act_body(cli, true);
    int r = kl_api_get(cli, kl_api_app_path(cli, app, "%s", "/plan?destroy=true&refresh=true"), &plan);
    if (r < 0 || !body)
        return KL_EXIT_ERROR;
    /* With --output, standard output is the result's alone. */
    if (cli->args.form == KL_FORM_TEXT || !cli->args.yes) {
        FILE *out = cli->out;
        cli->out = cli->args.form == KL_FORM_TEXT ? cli->out : cli->err;
        kl_plan_print(cli, plan, false);
        cli->out = out;
    }
    if (!kl_plan_has_changes(plan))
        return KL_EXIT_REACHED;
    const char *question = kilter_arena_printf(cli->arena, "Destroy all this, on the live system?");
    if (!question || (!cli->args.yes && !kl_cli_confirm(cli, question)) ||
        kl_act_set(cli, body, "digest", kilter_get_text(plan, "digest")) < 0)
        return KL_EXIT_ERROR;
    return kl_act(cli, app, "delete", body);
}

/* The identity that is accepted is the one that was shown. */
int kl_cli_accept(struct kl_cli *cli)
{
    struct kilter_str name = kilter_str_c(cli->args.items[0]);
    struct kilter_value *app = NULL, *list = NULL, *body = kl_act_body(cli, true);
    int r = kl_api_get(cli, kl_api_app_path(cli, name, "%s", ""), &app);
    if (r == 0)
        r = kl_api_list(cli, "/api/v1/targets", false, -1, &list);
    if (r < 0 || !body)
        return KL_EXIT_ERROR;
    const struct kilter_value *items = kilter_get(list, "items"), *target = NULL;
    for (size_t i = 0; i < kilter_list_size(items) && !target; i++)
        if (kilter_str_eq(kilter_get_text(kilter_list_at(items, i), "name"), kilter_get_text(app, "target")))
            target = kilter_list_at(items, i);
    struct kilter_str now = kilter_get_text(target, "identity"),
                      before = kilter_get_text(target, "acceptedIdentity");
    if (!cli->args.yes) {
        fprintf(cli->err, "The target of %.*s is now  %.*s\n", KILTER_STR_ARG(name), KILTER_STR_ARG(now));
        if (before.len)
            fprintf(cli->err, "What it owns was made on  %.*s\n", KILTER_STR_ARG(before));
        if (!kl_cli_confirm(cli, "Go on with the new one?"))
            return KL_EXIT_ERROR;
    }
    return kl_act_set(cli, body, "identity", now) < 0 ? KL_EXIT_ERROR : kl_act(cli, name, "accept", body);
}

int kl_cli_reload(struct kl_cli *cli)
{
    struct kilter_value *status = NULL;
    if (kl_api_post(cli, "/api/v1/reload", NULL, &status) < 0)
        return KL_EXIT_ERROR;
    if (cli->args.form != KL_FORM_TEXT)
        return kl_cli_print_value(cli, status) < 0 ? KL_EXIT_ERROR : KL_EXIT_REACHED;
    fputs("Loaded ", cli->out);
    kl_put_text(cli->out, kilter_get_text(kilter_get(status, "manifest"), "path"));
    fputs(".\n", cli->out);
    return KL_EXIT_REACHED;
}
