/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h: what the verbs of `kilter` share.
 *
 * One invocation, one struct kl_cli on main's stack: what was asked (args),
 * where the output goes, and an arena that all answers live in until the
 * program ends. One thread, but for the progress line (progress.h).
 */
#ifndef KL_CLI_CLI_H
#define KL_CLI_CLI_H

#include <argp.h>
#include <kilter/yaml.h>
#include <stdio.h>

/* Exit statuses. plan and diff have their own meanings of 1 and 2, as their manual says. */
enum kl_exit {
    KL_EXIT_REACHED = 0,
    KL_EXIT_NOT = 1,
    KL_EXIT_ERROR = 2,
};

enum kl_form { KL_FORM_TEXT = 0, KL_FORM_JSON, KL_FORM_YAML };

#define KL_CLI_ARGS_MAX 64

/* What the command line said; which members a verb takes is in its table of options (verbs.c). */
struct kl_args {
    const char *socket;   /* --socket */
    const char *manifest; /* --manifest */
    enum kl_form form;    /* --output */
    bool watch, cached, destroy, prune, correct, all, follow, yes, no_wait, verbose;
    const char *commit, *digest, *reason, *out, *duration, *kind, *condition, *renderer;
    int64_t timeout_ns;                   /* --timeout; 0: the verb's own */
    int64_t limit;                        /* --limit; -1: not given */
    const char *options[KL_CLI_ARGS_MAX]; /* --option, in order */
    size_t option_count;
    const char *items[KL_CLI_ARGS_MAX]; /* what is no option */
    size_t item_count;
};

struct kl_private;

struct kl_cli {
    struct kl_args args;
    struct kilter_arena *arena;
    FILE *out, *err;
    bool colour;                       /* on `out` */
    bool terminal;                     /* `out` is one */
    unsigned columns;                  /* of the terminal; 0: no limit */
    int64_t now_ms;                    /* for "5m ago" */
    int cancel_fd;                     /* readable once SIGINT or SIGTERM came; -1: not set up */
    struct kl_private *private_daemon; /* private.h; NULL: none was started */
};

struct kl_verb {
    const char *name;
    const char *alias;   /* or NULL */
    const char *args;    /* as --help shows them: "APP[/RESOURCE]" */
    const char *summary; /* a line, for the list of verbs */
    const char *doc;     /* what --help says besides */
    const struct argp_option *options;
    size_t min_items, max_items;
    int (*run)(struct kl_cli *cli); /* returns the exit status */
    const struct kl_verb *children; /* of "plugin" and "state": the words that may follow */
};

/* All verbs, ended by one without a name. */
extern const struct kl_verb kl_verbs[];
/* Options that every verb takes. */
extern const struct argp_option kl_global_options[];
/* By name or alias, within a table; NULL when there is none. */
const struct kl_verb *kl_verb_find(const struct kl_verb *table, const char *name);

/* Parses and runs; returns the exit status. */
int kl_cli_main(struct kl_cli *cli, int argc, char **argv);

/* --- the verbs, each in the file of its name --------------------------------------- */
int kl_cli_status(struct kl_cli *cli);
int kl_cli_show(struct kl_cli *cli);
int kl_cli_why(struct kl_cli *cli);
int kl_cli_plan(struct kl_cli *cli);
int kl_cli_diff(struct kl_cli *cli);
int kl_cli_apply(struct kl_cli *cli);
int kl_cli_sync(struct kl_cli *cli);
int kl_cli_approve(struct kl_cli *cli);
int kl_cli_reject(struct kl_cli *cli);
int kl_cli_rollback(struct kl_cli *cli);
int kl_cli_suspend(struct kl_cli *cli);
int kl_cli_resume(struct kl_cli *cli);
int kl_cli_forget(struct kl_cli *cli);
int kl_cli_delete(struct kl_cli *cli);
int kl_cli_accept(struct kl_cli *cli);
int kl_cli_reload(struct kl_cli *cli);
int kl_cli_wait(struct kl_cli *cli);
int kl_cli_history(struct kl_cli *cli);
int kl_cli_events(struct kl_cli *cli);
int kl_cli_tree(struct kl_cli *cli);
int kl_cli_state_list(struct kl_cli *cli);
int kl_cli_state_show(struct kl_cli *cli);
int kl_cli_state_rm(struct kl_cli *cli);
int kl_cli_plugin_list(struct kl_cli *cli);
int kl_cli_plugin_describe(struct kl_cli *cli);
int kl_cli_plugin_release(struct kl_cli *cli);
int kl_cli_render(struct kl_cli *cli);
int kl_cli_validate(struct kl_cli *cli);
int kl_cli_schema(struct kl_cli *cli);
int kl_cli_version(struct kl_cli *cli);

/* --- saying things -------------------------------------------------------------------- */
/* "kilter: message" on standard error. */
void kl_cli_complain(struct kl_cli *cli, const char *format, ...) KILTER_PRINTF(2, 3);
/* An indented line below a complaint: what to do. */
void kl_cli_hint(struct kl_cli *cli, const char *format, ...) KILTER_PRINTF(2, 3);
/* Asks on the terminal; false without one (saying that --yes is needed) and for anything but y or yes. */
bool kl_cli_confirm(struct kl_cli *cli, const char *question);
/* The value on standard output as --output says (json or yaml). */
int kl_cli_print_value(struct kl_cli *cli, const struct kilter_value *value);

#endif
