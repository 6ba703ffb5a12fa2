/* SPDX-License-Identifier: Apache-2.0 */
/* The table of verbs: what --help says, what the parser takes, and what the tests hold the manual pages and the
 * completion against. */
#include "cli/options.h"

#define OUTPUT                                                                                                     \
    {                                                                                                              \
        "output", KL_KEY_OUTPUT, "FORM", 0, "text, json or yaml (default: text)", 1                                \
    }
#define TIMEOUT(what)                                                                                              \
    {                                                                                                              \
        "timeout", KL_KEY_TIMEOUT, "DURATION", 0, what, 2                                                          \
    }
#define NO_WAIT                                                                                                    \
    {                                                                                                              \
        "no-wait", KL_KEY_NO_WAIT, NULL, 0, "Ask for it and leave, without waiting for the result", 2              \
    }
#define REASON(what)                                                                                               \
    {                                                                                                              \
        "reason", KL_KEY_REASON, "TEXT", 0, what, 1                                                                \
    }
#define YES                                                                                                        \
    {                                                                                                              \
        "yes", KL_KEY_YES, NULL, 0, "Do not ask", 1                                                                \
    }
#define WAIT_LONG "How long to wait for the result, 10m at most (default: 5m)"
#define MANIFEST_ALONE                                                                                             \
    {                                                                                                              \
        "manifest", KL_KEY_MANIFEST, "FILE", 0, "Work from this manifest, with no daemon running", 3               \
    }
#define END                                                                                                        \
    {                                                                                                              \
        0                                                                                                          \
    }

static const struct argp_option output_only[] = { OUTPUT, END };

static const struct argp_option status_options[] = {
    OUTPUT,
    { "watch", KL_KEY_WATCH, NULL, 0, "Go on, and show every change", 1 },
    END,
};

static const struct argp_option show_options[] = {
    OUTPUT,
    { "watch", KL_KEY_WATCH, NULL, 0, "Go on, and show every change", 1 },
    END,
};

static const struct argp_option plan_options[] = {
    OUTPUT,
    { "out", KL_KEY_OUT, "FILE", 0, "Save the plan for `kilter apply FILE`", 1 },
    { "cached", KL_KEY_CACHED, NULL, 0, "The plan of the last pass, without a new look", 1 },
    { "commit", KL_KEY_COMMIT, "ID", 0, "Plan at this commit (all 40 digits)", 1 },
    { "destroy", KL_KEY_DESTROY, NULL, 0, "What `kilter delete` would do", 1 },
    { "verbose", KL_KEY_VERBOSE, NULL, 0, "Also what is in line", 1 },
    TIMEOUT("How long the plan may take, 10m at most (default: 5m)"),
    MANIFEST_ALONE,
    END,
};

static const struct argp_option diff_options[] = {
    OUTPUT,
    { "cached", KL_KEY_CACHED, NULL, 0, "Compare with what the last pass saw, without looking again", 1 },
    TIMEOUT("How long the comparison may take, 10m at most (default: 5m)"),
    END,
};

static const struct argp_option sync_options[] = {
    OUTPUT,
    { "all", KL_KEY_ALL, NULL, 0, "Every app", 1 },
    { "prune", KL_KEY_PRUNE, NULL, 0, "This once, delete what is no longer in Git though the policy does not", 1 },
    { "correct", KL_KEY_CORRECT, NULL, 0, "This once, undo manual changes though the policy only reports them", 1 },
    NO_WAIT,
    TIMEOUT(WAIT_LONG),
    MANIFEST_ALONE,
    END,
};

static const struct argp_option approve_options[] = {
    OUTPUT,  { "digest", KL_KEY_DIGEST, "DIGEST", 0, "Only this plan, as `kilter plan` names it", 1 },
    NO_WAIT, TIMEOUT(WAIT_LONG),
    END,
};

static const struct argp_option reject_options[] = {
    OUTPUT,
    { "digest", KL_KEY_DIGEST, "DIGEST", 0, "Only this plan, as `kilter plan` names it", 1 },
    REASON("Why, for the log"),
    END,
};

static const struct argp_option action_options[] = { OUTPUT, NO_WAIT, TIMEOUT(WAIT_LONG), END };

static const struct argp_option rollback_options[] = {
    OUTPUT, REASON("Why, for the log and for `status`"), NO_WAIT, TIMEOUT(WAIT_LONG), END,
};

static const struct argp_option suspend_options[] = {
    OUTPUT,
    { "for", KL_KEY_FOR, "DURATION", 0, "Ends by itself after this time (default: until `resume`)", 1 },
    REASON("Why, for the log and for `status`"),
    END,
};

static const struct argp_option removal_options[] = { OUTPUT, YES, NO_WAIT, TIMEOUT(WAIT_LONG), END };

static const struct argp_option wait_options[] = {
    OUTPUT,
    { "until", KL_KEY_UNTIL, "STATE", 0, "ready (synced and healthy), synced, healthy or idle (default: ready)",
      1 },
    TIMEOUT("How long (default: 5m)"),
    END,
};

static const struct argp_option history_options[] = {
    OUTPUT,
    { "limit", KL_KEY_LIMIT, "N", 0, "How many passes (default: 20)", 1 },
    END,
};

static const struct argp_option events_options[] = {
    OUTPUT,
    { "follow", KL_KEY_FOLLOW, NULL, 0, "Go on, and print events as they happen", 1 },
    { "kind", KL_KEY_KIND, "KINDS", 0, "Only these kinds, separated by commas", 1 },
    { "limit", KL_KEY_LIMIT, "N", 0, "The last N events (default: 50)", 1 },
    END,
};

static const struct argp_option render_options[] = {
    OUTPUT,
    { "renderer", KL_KEY_RENDERER, "NAME", 0, "The renderer (default: the one that knows the directory)", 1 },
    { "option", KL_KEY_OPTION, "NAME=VALUE", 0, "An option of the renderer; may be given again", 1 },
    END,
};

static const struct argp_option validate_options[] = { OUTPUT, END };

static const struct argp_option rm_options[] = { OUTPUT, YES, END };

static const struct argp_option no_options[] = { END };

static const struct kl_verb state_verbs[] = {
    { "list", NULL, "APP", "List what the app owns", NULL, output_only, 1, 1, kl_cli_state_list, NULL },
    { "show", NULL, "APP/RESOURCE", "Show one resource as the inventory has it", NULL, output_only, 1, 1,
      kl_cli_state_show, NULL },
    { "rm", NULL, "APP/RESOURCE", "Stop owning one resource; what is live stays", NULL, rm_options, 1, 1,
      kl_cli_state_rm, NULL },
    { 0 },
};

static const struct kl_verb plugin_verbs[] = {
    { "list", NULL, "", "List the plugins that are installed", "Each is looked at in a process of its own.",
      output_only, 0, 0, kl_cli_plugin_list, NULL },
    { "describe", NULL, "NAME", "Print a plugin's options",
      "NAME is the name of an installed plugin or the path of a shared object.", output_only, 1, 1,
      kl_cli_plugin_describe, NULL },
    { "release", NULL, "NAME", "Lift a plugin's quarantine", NULL, output_only, 1, 1, kl_cli_plugin_release, NULL },
    { 0 },
};

const struct kl_verb kl_verbs[] = {
    { "status", "get", "[APP...]", "Show the apps and how they are",
      "Exit status: 0 when all of them are synced and healthy, 1 when not, 2 on errors.", status_options, 0,
      KL_CLI_ARGS_MAX, kl_cli_status, NULL },
    { "show", NULL, "APP", "Show one app with all its resources", NULL, show_options, 1, 1, kl_cli_show, NULL },
    { "why", NULL, "APP[/RESOURCE]", "Tell the story of the last pass",
      "What began it, which commit, what moved, what the policy decided, what came of it, and when the next one is "
      "due.",
      output_only, 1, 1, kl_cli_why, NULL },
    { "plan", NULL, "APP", "Show what would be done, and why",
      "Changes nothing by itself; a daemon that learns of a new commit this way acts on it as its policy says.\n"
      "Exit status: 0 nothing to do, 2 there are changes, 1 on errors.",
      plan_options, 1, 1, kl_cli_plan, NULL },
    { "diff", NULL, "APP[/RESOURCE]", "Compare what is live with Git",
      "Exit status: 0 the same, 1 it differs, 2 on errors.", diff_options, 1, 1, kl_cli_diff, NULL },
    { "sync", "reconcile", "APP...", "Bring apps in line with Git, now",
      "Looks for new commits first. Counts as the approval that `sync: manual` asks for.\n"
      "Leaves manual changes alone unless the policy or --correct says otherwise.\n"
      "Exit status: 0 in line, 1 not, 2 on errors.",
      sync_options, 0, KL_CLI_ARGS_MAX, kl_cli_sync, NULL },
    { "approve", NULL, "APP", "Let the waiting plan go on",
      "The approval is for the plan that waits now, and void when the commit or the live state moves.",
      approve_options, 1, 1, kl_cli_approve, NULL },
    { "reject", NULL, "APP", "Drop the waiting plan", "The same plan is not offered again.", reject_options, 1, 1,
      kl_cli_reject, NULL },
    { "apply", NULL, "FILE", "Apply a plan that `kilter plan --out FILE` saved",
      "The daemon plans again at the plan's commit, and goes on only when the result is the same plan.",
      action_options, 1, 1, kl_cli_apply, NULL },
    { "wait", NULL, "APP...", "Wait until apps reach a state",
      "Exit status: 0 reached, 1 not within the time, 2 on errors.", wait_options, 1, KL_CLI_ARGS_MAX, kl_cli_wait,
      NULL },
    { "history", NULL, "APP", "List what was applied, newest first", NULL, history_options, 1, 1, kl_cli_history,
      NULL },
    { "rollback", NULL, "APP [COMMIT]", "Go back to an earlier commit and stay there",
      "Without a commit, to the last good one before the present. The app is pinned until `kilter resume`. "
      "Needs no network.",
      rollback_options, 1, 2, kl_cli_rollback, NULL },
    { "suspend", NULL, "APP", "Leave an app alone for a while", NULL, suspend_options, 1, 1, kl_cli_suspend, NULL },
    { "resume", NULL, "APP", "End a suspension or a pin", NULL, action_options, 1, 1, kl_cli_resume, NULL },
    { "forget", NULL, "APP", "Stop owning what an app owns; what is live stays", NULL, removal_options, 1, 1,
      kl_cli_forget, NULL },
    { "delete", NULL, "APP", "Destroy what an app owns", "Shows what would go, and asks.", removal_options, 1, 1,
      kl_cli_delete, NULL },
    { "accept", NULL, "APP", "Accept that the app's target is another system now",
      "For a target whose identity changed, a cluster that was rebuilt for example.", removal_options, 1, 1,
      kl_cli_accept, NULL },
    { "events", NULL, "[APP]", "Show the log of what happened", NULL, events_options, 0, 1, kl_cli_events, NULL },
    { "tree", NULL, "APP", "Show an app with what it depends on and consists of", NULL, output_only, 1, 1,
      kl_cli_tree, NULL },
    { "render", NULL, "DIR...", "Print what a directory renders to",
      "Needs no daemon and no repository. Prints YAML and nothing else.", render_options, 1, KL_CLI_ARGS_MAX,
      kl_cli_render, NULL },
    { "validate", NULL, "[FILE]", "Check a manifest and everything it includes",
      "The default is /etc/kilter/kilter.yaml. Needs no daemon.", validate_options, 0, 1, kl_cli_validate, NULL },
    { "reload", NULL, "", "Have the daemon read its manifest again", NULL, output_only, 0, 0, kl_cli_reload, NULL },
    { "state", NULL, "list|show|rm", "Look into the inventory", NULL, no_options, 0, 0, NULL, state_verbs },
    { "plugin", NULL, "list|describe|release", "Look at plugins", NULL, no_options, 0, 0, NULL, plugin_verbs },
    { "schema", NULL, "[PLUGIN...]", "Print the manifest's JSON Schema, for editors",
      "Without names, the options of all installed plugins are in it.", no_options, 0, KL_CLI_ARGS_MAX,
      kl_cli_schema, NULL },
    { "version", NULL, "", "Print versions, the daemon's too when it runs", NULL, output_only, 0, 0, kl_cli_version,
      NULL },
    { 0 },
};

const struct kl_verb *kl_verb_find(const struct kl_verb *table, const char *name)
{
    for (; table->name; table++)
        if (strcmp(table->name, name) == 0 || (table->alias && strcmp(table->alias, name) == 0))
            return table;
    return NULL;
}
