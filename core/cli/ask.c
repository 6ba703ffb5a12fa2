/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that ask one thing and print it: why, history, events, tree, state, version. */
#include "cli/api.h"
#include "cli/plan_text.h"
#include "cli/story.h"
#include "cli/text.h"

static int print_or(struct kl_cli *cli, const struct kilter_value *value,
                    void (*print)(struct kl_cli *cli, const struct kilter_value *value),
                    const struct kilter_value *part)
{
    if (cli->args.form != KL_FORM_TEXT)
        return kl_cli_print_value(cli, value) < 0 ? KL_EXIT_ERROR : KL_EXIT_REACHED;
    print(cli, part);
    return KL_EXIT_REACHED;
}

int kl_cli_why(struct kl_cli *cli)
{
    struct kilter_str app, resource;
    struct kilter_value *story = NULL;
    kl_api_split(cli->args.items[0], &app, &resource);
    const char *path = resource.len ? kl_api_app_path(cli, app, "/why?resource=%s", kl_api_encode(cli, resource))
                                    : kl_api_app_path(cli, app, "%s", "/why");
    if (kl_api_get(cli, path, &story) < 0)
        return KL_EXIT_ERROR;
    return print_or(cli, story, kl_story_why, story);
}

int kl_cli_history(struct kl_cli *cli)
{
    struct kilter_value *list = NULL;
    int64_t limit = cli->args.limit >= 0 ? cli->args.limit : 20;
    const char *path = kl_api_app_path(cli, kilter_str_c(cli->args.items[0]), "%s", "/history");
    if (!path || kl_api_list(cli, path, false, limit, &list) < 0)
        return KL_EXIT_ERROR;
    return print_or(cli, list, kl_story_history, kilter_get(list, "items"));
}

int kl_cli_tree(struct kl_cli *cli)
{
    struct kilter_value *tree = NULL;
    if (kl_api_get(cli, kl_api_app_path(cli, kilter_str_c(cli->args.items[0]), "%s", "/tree"), &tree) < 0)
        return KL_EXIT_ERROR;
    return print_or(cli, tree, kl_story_tree, tree);
}

/* --- events ------------------------------------------------------------------------------ */

static const char *events_query(struct kl_cli *cli, const char *first)
{
    const struct kl_args *args = &cli->args;
    const char *app = args->item_count ? kl_api_encode(cli, kilter_str_c(args->items[0])) : NULL;
    const char *kind = args->kind ? kl_api_encode(cli, kilter_str_c(args->kind)) : NULL;
    return kilter_arena_printf(cli->arena, "/api/v1/events?%s%s%s%s%s", first, app ? "&app=" : "", app ? app : "",
                               kind ? "&kind=" : "", kind ? kind : "");
}

static int print_event(struct kl_cli *cli, struct kilter_value *event)
{
    int r = 0;
    if (cli->args.form == KL_FORM_TEXT)
        kl_story_event(cli, event);
    else
        r = kl_cli_print_value(cli, event);
    if (cli->args.form == KL_FORM_YAML)
        fputs("---\n", cli->out);
    if (fflush(cli->out) != 0)
        return KILTER_E_IO;
    return r;
}

static int follow(struct kl_cli *cli, struct kilter_str after)
{
    const char *from = after.len ? kl_api_encode(cli, after) : NULL;
    const char *first = kilter_arena_printf(cli->arena, "follow=true%s%s", from ? "&after=" : "", from ? from : "");
    const char *path = first ? events_query(cli, first) : NULL;
    int r = path ? kl_api_follow(cli, path, print_event) : KILTER_E_NOMEM;
    if (r == 0) {
        kl_cli_complain(cli, "the daemon ended the stream");
        return KL_EXIT_NOT;
    }
    return r == KILTER_E_CANCELLED ? KL_EXIT_REACHED : KL_EXIT_ERROR;
}

int kl_cli_events(struct kl_cli *cli)
{
    int64_t tail = cli->args.limit >= 0 ? cli->args.limit : 50;
    struct kilter_value *list = NULL;
    const char *first = kilter_arena_printf(cli->arena, "tail=%lld", (long long)(tail > 1000 ? 1000 : tail));
    const char *path = first ? events_query(cli, first) : NULL;
    if (!path || kl_api_get(cli, path, &list) < 0)
        return KL_EXIT_ERROR;
    const struct kilter_value *items = kilter_get(list, "items");
    size_t count = kilter_list_size(items);
    if (!cli->args.follow && cli->args.form != KL_FORM_TEXT)
        return kl_cli_print_value(cli, list) < 0 ? KL_EXIT_ERROR : KL_EXIT_REACHED;
    for (size_t i = 0; i < count; i++)
        if (print_event(cli, kilter_list_at(items, i)) < 0)
            return KL_EXIT_ERROR;
    if (!cli->args.follow)
        return KL_EXIT_REACHED;
    return follow(cli, count ? kilter_get_text(kilter_list_at(items, count - 1), "id") : KILTER_STR("0"));
}

/* --- state --------------------------------------------------------------------------------- */

int kl_cli_state_list(struct kl_cli *cli)
{
    struct kilter_value *list = NULL;
    const char *path = kl_api_app_path(cli, kilter_str_c(cli->args.items[0]), "%s", "/records");
    if (!path || kl_api_list(cli, path, false, -1, &list) < 0)
        return KL_EXIT_ERROR;
    return print_or(cli, list, kl_story_records, kilter_get(list, "items"));
}

/* Splits "APP/RESOURCE" for a verb that needs both. */
static bool split_whole(struct kl_cli *cli, struct kilter_str *ret_app, struct kilter_str *ret_resource)
{
    kl_api_split(cli->args.items[0], ret_app, ret_resource);
    if (ret_resource->len)
        return true;
    kl_cli_complain(cli, "\"%s\" names an app; name a resource of it: %s/KIND/NAME", cli->args.items[0],
                    cli->args.items[0]);
    kl_cli_hint(cli, "kilter state list %s shows them", cli->args.items[0]);
    return false;
}

int kl_cli_state_show(struct kl_cli *cli)
{
    struct kilter_str app, resource;
    struct kilter_value *list = NULL;
    if (!split_whole(cli, &app, &resource))
        return KL_EXIT_ERROR;
    const char *path = kl_api_app_path(cli, app, "/records?resource=%s", kl_api_encode(cli, resource));
    if (!path || kl_api_list(cli, path, true, -1, &list) < 0)
        return KL_EXIT_ERROR;
    const struct kilter_value *items = kilter_get(list, "items");
    if (kilter_list_size(items) == 0) {
        kl_cli_complain(cli, "%.*s owns no %.*s", KILTER_STR_ARG(app), KILTER_STR_ARG(resource));
        kl_cli_hint(cli, "kilter state list %.*s shows what it owns", KILTER_STR_ARG(app));
        return KL_EXIT_ERROR;
    }
    if (cli->args.form == KL_FORM_TEXT)
        cli->args.form = KL_FORM_YAML;
    return kl_cli_print_value(cli, kilter_list_at(items, 0)) < 0 ? KL_EXIT_ERROR : KL_EXIT_REACHED;
}

int kl_cli_state_rm(struct kl_cli *cli)
{
    struct kilter_str app, resource;
    struct kilter_value *answer = NULL, *body = kilter_map(cli->arena);
    if (!split_whole(cli, &app, &resource) || !body ||
        kilter_set(cli->arena, body, "resource", kilter_string(cli->arena, resource)) < 0)
        return KL_EXIT_ERROR;
    const char *question = kilter_arena_printf(cli->arena, "Stop owning %.*s of %.*s? What is live stays.",
                                               KILTER_STR_ARG(resource), KILTER_STR_ARG(app));
    if (!question || (!cli->args.yes && !kl_cli_confirm(cli, question)))
        return KL_EXIT_ERROR;
    if (kl_api_post(cli, kl_api_app_path(cli, app, "%s", "/records/remove"), body, &answer) < 0)
        return KL_EXIT_ERROR;
    if (cli->args.form != KL_FORM_TEXT)
        return kl_cli_print_value(cli, answer) < 0 ? KL_EXIT_ERROR : KL_EXIT_REACHED;
    kl_put_text(cli->out, kilter_get_text(kilter_get(answer, "result"), "message"));
    putc('\n', cli->out);
    return KL_EXIT_REACHED;
}

/* --- version -------------------------------------------------------------------------------- */

static void print_version(struct kl_cli *cli, const struct kilter_value *value)
{
    const struct kilter_value *daemon = kilter_get(value, "daemon");
    fprintf(cli->out, "kilter %s (libkilter %s, plugin interface %d.%u)\n", KILTER_PROGRAM_VERSION,
            kilter_version(), KILTER_ABI_MAJOR, kilter_abi_minor());
    if (daemon) {
        fputs("kilterd ", cli->out);
        kl_put_text(cli->out, kilter_get_text(daemon, "version"));
        putc('\n', cli->out);
    }
}

int kl_cli_version(struct kl_cli *cli)
{
    struct kilter_value *value = kilter_map(cli->arena), *daemon = NULL;
    int r = kl_api_try(cli, "/api/v1/version", &daemon);
    if (!value ||
        kilter_set(cli->arena, value, "version", kilter_string_c(cli->arena, KILTER_PROGRAM_VERSION)) < 0 ||
        kilter_set(cli->arena, value, "libkilter", kilter_string_c(cli->arena, kilter_version())) < 0 ||
        kilter_set(cli->arena, value, "abiMajor", kilter_int(cli->arena, KILTER_ABI_MAJOR)) < 0 ||
        kilter_set(cli->arena, value, "abiMinor", kilter_int(cli->arena, kilter_abi_minor())) < 0 ||
        (r == 0 && kilter_set(cli->arena, value, "daemon", daemon) < 0))
        return KL_EXIT_ERROR;
    return print_or(cli, value, print_version, value);
}
