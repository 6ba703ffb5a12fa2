/* SPDX-License-Identifier: Apache-2.0 */
/* plugin list, describe and release; validate and schema, which need the plugins' options. */
#include "base/cleanup.h"
#include "base/paths.h"
#include "cli/api.h"
#include "cli/inspect.h"
#include "cli/plugin_text.h"
#include "cli/text.h"
#include "manifest/descriptor.h"

#define DEFAULT_MANIFEST "/etc/kilter/kilter.yaml"

static void pathsp_free(char ***paths)
{
    kl_paths_free(*paths);
}

/* The descriptor of an installed plugin, or of a file. */
static int describe(struct kl_cli *cli, struct kilter_str name, struct kilter_value **ret, struct kilter_error *err)
{
    KL_CLEANUP(kl_freep) char *file = NULL;
    bool is_path = kilter_str_find(name, '/', 0) >= 0;
    int r = kl_plugin_find(name, &file, err);
    return r < 0 ? r : kl_inspect(file, is_path ? KILTER_STR_NONE : name, cli->arena, ret, err);
}

/* A plugin that cannot be described, as an item of the list. */
static struct kilter_value *broken(struct kl_cli *cli, const char *name, const char *message)
{
    struct kilter_value *item = kilter_map(cli->arena);
    if (!item || kilter_set(cli->arena, item, "name", kilter_string_c(cli->arena, name)) < 0 ||
        kilter_set(cli->arena, item, "error", kilter_string_c(cli->arena, message)) < 0)
        return NULL;
    return item;
}

int kl_cli_plugin_list(struct kl_cli *cli)
{
    KL_CLEANUP(pathsp_free) char **names = NULL;
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kilter_value *whole = kilter_map(cli->arena), *items = kilter_list(cli->arena);
    int status = 0;
    if (!whole || !items || kilter_set(cli->arena, whole, "items", items) < 0)
        return KL_EXIT_ERROR;
    if (kl_plugin_names(&names, &err) < 0) {
        kl_cli_complain(cli, "%s", err.message);
        return KL_EXIT_ERROR;
    }
    for (size_t i = 0; names[i]; i++) {
        struct kilter_value *item = NULL;
        if (describe(cli, kilter_str_c(names[i]), &item, &err) < 0) {
            item = broken(cli, names[i], err.message);
            status = KL_EXIT_NOT;
        }
        if (!item || kilter_list_add(cli->arena, items, item) < 0)
            return KL_EXIT_ERROR;
    }
    if (cli->args.form != KL_FORM_TEXT)
        return kl_cli_print_value(cli, whole) < 0 ? KL_EXIT_ERROR : status;
    kl_plugin_print_list(cli, items);
    return status;
}

int kl_cli_plugin_describe(struct kl_cli *cli)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kilter_value *descriptor = NULL;
    if (describe(cli, kilter_str_c(cli->args.items[0]), &descriptor, &err) < 0) {
        kl_cli_complain(cli, "%s", err.message);
        return KL_EXIT_ERROR;
    }
    if (cli->args.form != KL_FORM_TEXT)
        return kl_cli_print_value(cli, descriptor) < 0 ? KL_EXIT_ERROR : 0;
    kl_plugin_print(cli, descriptor);
    return 0;
}

int kl_cli_plugin_release(struct kl_cli *cli)
{
    const char *name = kl_api_encode(cli, kilter_str_c(cli->args.items[0]));
    struct kilter_value *plugin = NULL;
    const char *path = name ? kilter_arena_printf(cli->arena, "/api/v1/plugins/%s/release", name) : NULL;
    if (!path || kl_api_post(cli, path, NULL, &plugin) < 0)
        return KL_EXIT_ERROR;
    if (cli->args.form != KL_FORM_TEXT)
        return kl_cli_print_value(cli, plugin) < 0 ? KL_EXIT_ERROR : 0;
    kl_put_text(cli->out, kilter_get_text(plugin, "name"));
    fputs(": may be used again\n", cli->out);
    return 0;
}

/* --- validate ---------------------------------------------------------------------- */

struct looker {
    struct kl_cli *cli;
    struct kilter_diags *diags;
};

/* A plugin that cannot be looked at is an error of the manifest that names it. */
static const struct kl_plugin_schemas *look_up(void *data, struct kilter_str name, struct kilter_str file)
{
    struct looker *looker = data;
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kilter_value *descriptor = NULL;
    struct kilter_origin nowhere = { { NULL, 0 }, 0, 0 };
    KL_CLEANUP(kl_freep) char *found = NULL;
    int r = kl_plugin_find(file.len ? file : name, &found, &err);
    if (r == 0)
        r = kl_inspect(found, name, looker->cli->arena, &descriptor, &err);
    if (r == 0)
        return kl_plugin_schemas_of(looker->cli->arena, descriptor);
    kilter_diag_add(looker->diags, KILTER_ERROR, "manifest.plugin", nowhere, NULL, "plugin %.*s: %s",
                    KILTER_STR_ARG(name), err.message);
    return NULL;
}

static struct kilter_value *diags_value(struct kl_cli *cli, const struct kilter_diags *diags)
{
    static const char *const severities[] = { "error", "error", "warning", "note" };
    struct kilter_value *list = kilter_list(cli->arena);
    for (size_t i = 0; list && i < kilter_diags_count(diags); i++) {
        const struct kilter_diag *diag = kilter_diags_at(diags, i);
        struct kilter_value *map = kilter_map(cli->arena);
        if (!map || kilter_list_add(cli->arena, list, map) < 0)
            return NULL;
        kilter_set(cli->arena, map, "severity", kilter_string_c(cli->arena, severities[diag->severity & 3]));
        kilter_set(cli->arena, map, "code", kilter_string(cli->arena, diag->code));
        if (diag->origin.file.len)
            kilter_set(cli->arena, map, "file", kilter_string(cli->arena, diag->origin.file));
        if (diag->origin.line)
            kilter_set(cli->arena, map, "line", kilter_int(cli->arena, diag->origin.line));
        if (diag->origin.column)
            kilter_set(cli->arena, map, "column", kilter_int(cli->arena, diag->origin.column));
        kilter_set(cli->arena, map, "message", kilter_string(cli->arena, diag->message));
        if (diag->hint.len)
            kilter_set(cli->arena, map, "hint", kilter_string(cli->arena, diag->hint));
    }
    return list;
}

static int print_validation(struct kl_cli *cli, bool valid, const struct kilter_diags *diags)
{
    struct kilter_value *map = kilter_map(cli->arena);
    if (!map || kilter_set(cli->arena, map, "valid", kilter_bool(cli->arena, valid)) < 0 ||
        kilter_set(cli->arena, map, "diagnostics", diags_value(cli, diags)) < 0)
        return KILTER_E_NOMEM;
    return kl_cli_print_value(cli, map);
}

int kl_cli_validate(struct kl_cli *cli)
{
    KL_CLEANUP(kl_diags_freep) struct kilter_diags *diags = kilter_diags_new(0);
    struct kl_manifest_options options = KL_MANIFEST_OPTIONS_INIT;
    struct looker looker = { cli, diags };
    struct kilter_buf summary = KILTER_BUF_INIT(65536), text = KILTER_BUF_INIT(64u << 20);
    const char *path = cli->args.item_count ? cli->args.items[0] : DEFAULT_MANIFEST;
    options.plugin_lookup = look_up;
    options.plugin_data = &looker;
    int r = kl_manifest_validate(path, &options, &summary, diags);
    bool valid = r == 0 && kilter_diags_errors(diags) == 0;
    int status = valid ? KL_EXIT_REACHED : KL_EXIT_NOT;
    if (cli->args.form != KL_FORM_TEXT) {
        status = print_validation(cli, valid, diags) < 0 ? KL_EXIT_ERROR : status;
    } else {
        kilter_diags_format(&text, diags);
        kl_put_block(cli->err, kilter_buf_view(&text), "");
        if (valid)
            kl_put_block(cli->out, kilter_buf_view(&summary), "");
        else if (r < 0 && kilter_diags_count(diags) == 0)
            kl_cli_complain(cli, "%s: %s", path, kilter_status_text(r));
    }
    kilter_buf_release(&summary);
    kilter_buf_release(&text);
    return status;
}

/* --- schema -------------------------------------------------------------------------- */

int kl_cli_schema(struct kl_cli *cli)
{
    KL_CLEANUP(pathsp_free) char **installed = NULL;
    struct kilter_error err = KILTER_ERROR_INIT;
    const char *const *names = cli->args.items;
    struct kl_named_schemas plugins[KL_CLI_ARGS_MAX];
    struct kilter_buf out = KILTER_BUF_INIT(16u << 20);
    size_t count = 0;
    if (cli->args.item_count == 0) {
        if (kl_plugin_names(&installed, &err) < 0) {
            kl_cli_complain(cli, "%s", err.message);
            return KL_EXIT_ERROR;
        }
        names = (const char *const *)installed;
    }
    for (size_t i = 0; i < KL_CLI_ARGS_MAX && names[i]; i++) {
        struct kilter_value *descriptor = NULL;
        if (describe(cli, kilter_str_c(names[i]), &descriptor, &err) < 0) {
            kl_cli_complain(cli, "%s", err.message);
            return KL_EXIT_ERROR;
        }
        const char *name = kilter_arena_str(cli->arena, kilter_get_text(descriptor, "name")).ptr;
        plugins[count++] = (struct kl_named_schemas){ name, kl_plugin_schemas_of(cli->arena, descriptor) };
    }
    int r = kl_manifest_schema_write(&out, plugins, count);
    if (r == 0)
        fwrite(out.ptr, 1, out.len, cli->out);
    kilter_buf_release(&out);
    return r < 0 ? KL_EXIT_ERROR : 0;
}
