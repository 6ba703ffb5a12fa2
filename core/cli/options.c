/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include <kilter/plugin.h>
#include <stdlib.h>

const struct argp_option kl_global_options[] = {
    { "socket", KL_KEY_SOCKET, "PATH", 0,
      "The daemon's socket (default: $KILTER_SOCKET, else /run/kilter/kilterd.sock)", 90 },
    { 0 },
};

static enum kl_form parse_form(const char *text, struct argp_state *state)
{
    if (strcmp(text, "json") == 0)
        return KL_FORM_JSON;
    if (strcmp(text, "yaml") == 0)
        return KL_FORM_YAML;
    if (strcmp(text, "text") != 0)
        argp_error(state, "--output is \"%s\"; it must be text, json or yaml", text);
    return KL_FORM_TEXT;
}

static int64_t parse_duration(const char *name, const char *text, struct argp_state *state)
{
    int64_t ns = 0;
    if (kilter_parse_duration(kilter_str_c(text), &ns) < 0 || ns <= 0)
        argp_error(state, "%s is \"%s\"; it must be a duration like 90s, 5m or 1h30m", name, text);
    return ns;
}

static int64_t parse_count(const char *text, struct argp_state *state)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || *end || end == text || value < 0)
        argp_error(state, "--limit is \"%s\"; it must be a number", text);
    return value;
}

static void add_option(struct kl_args *args, const char *text, struct argp_state *state)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        argp_error(state, "--option is \"%s\"; it must be NAME=VALUE", text);
    else if (args->option_count == KL_CLI_ARGS_MAX)
        argp_error(state, "more than %d --option", KL_CLI_ARGS_MAX);
    else
        args->options[args->option_count++] = text;
}

static void add_item(struct kl_args *args, const char *text, struct argp_state *state)
{
    if (args->item_count == KL_CLI_ARGS_MAX)
        argp_error(state, "more than %d arguments", KL_CLI_ARGS_MAX);
    else
        args->items[args->item_count++] = text;
}

/* The options that are only remembered as a text. */
static const char **text_member(struct kl_args *args, int key)
{
    switch (key) {
    case KL_KEY_SOCKET:
        return &args->socket;
    case KL_KEY_MANIFEST:
        return &args->manifest;
    case KL_KEY_COMMIT:
        return &args->commit;
    case KL_KEY_DIGEST:
        return &args->digest;
    case KL_KEY_REASON:
        return &args->reason;
    case KL_KEY_OUT:
        return &args->out;
    case KL_KEY_KIND:
        return &args->kind;
    case KL_KEY_RENDERER:
        return &args->renderer;
    case KL_KEY_UNTIL:
        return &args->condition;
    default:
        return NULL;
    }
}

static bool *switch_member(struct kl_args *args, int key)
{
    switch (key) {
    case KL_KEY_WATCH:
        return &args->watch;
    case KL_KEY_FOLLOW:
        return &args->follow;
    case KL_KEY_YES:
        return &args->yes;
    case KL_KEY_VERBOSE:
        return &args->verbose;
    case KL_KEY_NO_WAIT:
        return &args->no_wait;
    case KL_KEY_CACHED:
        return &args->cached;
    case KL_KEY_DESTROY:
        return &args->destroy;
    case KL_KEY_PRUNE:
        return &args->prune;
    case KL_KEY_CORRECT:
        return &args->correct;
    case KL_KEY_ALL:
        return &args->all;
    default:
        return NULL;
    }
}

error_t kl_option_parse(int key, char *arg, struct argp_state *state)
{
    struct kl_cli *cli = state->input;
    const char **text = text_member(&cli->args, key);
    bool *on = switch_member(&cli->args, key);
    if (text) {
        *text = arg;
        return 0;
    }
    if (on) {
        *on = true;
        return 0;
    }
    switch (key) {
    case ARGP_KEY_INIT:
        if (state->child_inputs)
            state->child_inputs[0] = cli; /* the global options fill the same struct */
        return 0;
    case KL_KEY_OUTPUT:
        cli->args.form = parse_form(arg, state);
        return 0;
    case KL_KEY_TIMEOUT:
        cli->args.timeout_ns = parse_duration("--timeout", arg, state);
        return 0;
    case KL_KEY_FOR:
        parse_duration("--for", arg, state);
        cli->args.duration = arg;
        return 0;
    case KL_KEY_LIMIT:
        cli->args.limit = parse_count(arg, state);
        return 0;
    case KL_KEY_OPTION:
        add_option(&cli->args, arg, state);
        return 0;
    case ARGP_KEY_ARG:
        add_item(&cli->args, arg, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}
