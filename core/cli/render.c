/* SPDX-License-Identifier: Apache-2.0 */
/* render: what a directory renders to, in this process and with one plugin only. */
#include "worker/render.h"

#include "base/cleanup.h"
#include "base/paths.h"
#include "cli/api.h"
#include "cli/text.h"
#include "git/tree.h"

#include <limits.h>
#include <sys/stat.h>

#define CONTENT_MAX (64u << 20) /* bytes of one file that is printed */

struct rendering {
    struct kl_cli *cli;
    struct kl_plugin *plugin;
    struct kilter_value *options;
    struct kilter_buf out;      /* printed once all of it is there */
    struct kilter_value *items; /* for --output json */
    size_t count;
    struct kilter_error error;
};

static void freep_plugin(struct kl_plugin **plugin)
{
    kl_plugin_close(*plugin);
}

static void closep_tree(struct kilter_tree **tree)
{
    kl_tree_close(*tree);
}

/* --- contents in place of their handles ------------------------------------------- */

/* The bytes as a text, or as base64 under the key with "Base64" behind it. */
static int inline_entry(struct rendering *rendering, struct kilter_value *map, size_t at)
{
    struct kilter_arena *arena = rendering->cli->arena;
    struct kilter_value *item = kilter_map_at(map, at), *key = kilter_map_key_at(map, at);
    struct kilter_buf bytes = KILTER_BUF_INIT(CONTENT_MAX), encoded = KILTER_BUF_INIT(2 * CONTENT_MAX);
    struct kilter_str name = kilter_text(key);
    int r = kilter_content_read_all(kilter_content_of(item), &bytes, &rendering->error);
    if (r == 0 && kilter_str_is_utf8(kilter_buf_view(&bytes))) {
        r = kilter_map_set(arena, map, name, kilter_string(arena, kilter_buf_view(&bytes)));
    } else if (r == 0) {
        const char *other = kilter_arena_printf(arena, "%.*sBase64", KILTER_STR_ARG(name));
        kilter_map_remove(map, name);
        r = kilter_base64_encode(&encoded, kilter_buf_view(&bytes));
        if (r == 0 && other)
            r = kilter_set(arena, map, other, kilter_string(arena, kilter_buf_view(&encoded)));
    }
    kilter_buf_release(&bytes);
    kilter_buf_release(&encoded);
    return r;
}

static int inline_contents(struct rendering *rendering, struct kilter_value *value)
{
    int r = 0;
    if (kilter_type_of(value) == KILTER_LIST) {
        for (size_t i = 0; r == 0 && i < kilter_list_size(value); i++)
            r = inline_contents(rendering, kilter_list_at(value, i));
    } else if (kilter_type_of(value) == KILTER_MAP) {
        /* From the end: an entry that moves to another key goes behind what is still to be done. */
        for (size_t i = kilter_map_size(value); r == 0 && i-- > 0;) {
            struct kilter_value *item = kilter_map_at(value, i);
            r = kilter_type_of(item) == KILTER_CONTENT ? inline_entry(rendering, value, i)
                                                       : inline_contents(rendering, item);
        }
    }
    return r;
}

/* --- resources ------------------------------------------------------------------------ */

static int on_resource(void *data, const struct kilter_resource *resource)
{
    struct rendering *rendering = data;
    struct kilter_value *document = kilter_value_copy(rendering->cli->arena, resource->document);
    int r = document ? inline_contents(rendering, document) : KILTER_E_NOMEM;
    if (r == 0 && rendering->cli->args.form == KL_FORM_JSON)
        return kilter_list_add(rendering->cli->arena, rendering->items, document);
    if (r == 0 && rendering->count++ > 0)
        r = kilter_buf_c(&rendering->out, "---\n");
    if (r == 0)
        r = kilter_yaml_write(&rendering->out, document, KILTER_YAML_KUSTOMIZE, 0);
    return r;
}

static void on_log(void *data, enum kilter_log_level level, struct kilter_str message)
{
    struct rendering *rendering = data;
    if (level > KILTER_LOG_WARNING)
        return;
    fputs(level <= KILTER_LOG_ERROR ? "error: " : "warning: ", rendering->cli->err);
    kl_put_text(rendering->cli->err, message);
    putc('\n', rendering->cli->err);
}

/* --- options ------------------------------------------------------------------------------ */

/* "modes={'*.key': '0600'}" is read as YAML, everything else is a text. */
static struct kilter_value *read_option(struct kl_cli *cli, struct kilter_str text)
{
    struct kilter_value *documents = NULL;
    if (text.len == 0 || (text.ptr[0] != '{' && text.ptr[0] != '['))
        return kilter_plain(cli->arena, text);
    if (kilter_yaml_read(cli->arena, text, NULL, &documents, NULL) < 0 || kilter_list_size(documents) != 1)
        return NULL;
    return kilter_list_at(documents, 0);
}

/* An option that is given again becomes a list. */
static int add_option(struct kl_cli *cli, struct kilter_value *map, struct kilter_str name,
                      struct kilter_value *value)
{
    struct kilter_value *present = kilter_map_get(map, name);
    if (!present)
        return kilter_map_set(cli->arena, map, name, value);
    if (kilter_type_of(present) == KILTER_LIST)
        return kilter_list_add(cli->arena, present, value);
    struct kilter_value *list = kilter_list(cli->arena);
    if (!list || kilter_list_add(cli->arena, list, present) < 0 || kilter_list_add(cli->arena, list, value) < 0)
        return KILTER_E_NOMEM;
    return kilter_map_set(cli->arena, map, name, list);
}

static int read_options(struct kl_cli *cli, struct kilter_value **ret)
{
    struct kilter_value *map = kilter_map(cli->arena);
    for (size_t i = 0; map && i < cli->args.option_count; i++) {
        const char *text = cli->args.options[i], *equals = strchr(text, '=');
        struct kilter_value *value = read_option(cli, kilter_str_c(equals + 1));
        if (!value) {
            kl_cli_complain(cli, "--option %s: what follows the = is not well-formed YAML", text);
            return KILTER_E_INVALID;
        }
        if (add_option(cli, map, kilter_str_n(text, (size_t)(equals - text)), value) < 0)
            return KILTER_E_NOMEM;
    }
    *ret = map;
    return map ? 0 : KILTER_E_NOMEM;
}

/* --- where it is --------------------------------------------------------------------------- */

/* Whether `path` is `root` or below it; the rest without a slash. */
static bool is_below(const char *root, const char *path, const char **ret_rest)
{
    size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(path, root, len) != 0 || (path[len] != '/' && path[len] != '\0'))
        return false;
    *ret_rest = path[len] ? path + len + 1 : path + len;
    return true;
}

/* The nearest directory at or above `path` that has a .git; NULL when there is none. */
static char *find_repository(const char *path)
{
    KL_CLEANUP(kl_freep) char *root = strdup(path);
    while (root && root[0]) {
        char git[PATH_MAX];
        struct stat st;
        if (snprintf(git, sizeof(git), "%s/.git", root) < (int)sizeof(git) && lstat(git, &st) == 0)
            return kl_steal(root);
        *strrchr(root, '/') = '\0';
    }
    return NULL;
}

/* The root of the tree: the repository that the directory is in; else the working directory when it is below
 * that; else itself. Bases that lie beside it are found so, and nothing outside of the root is ever read. */
static int find_root(struct kl_cli *cli, const char *directory, char **ret_root, char **ret_path)
{
    KL_CLEANUP(kl_freep) char *path = realpath(directory, NULL);
    struct stat st;
    if (!path || stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
        kl_cli_complain(cli, "%s: %s", directory, path ? "is no directory" : strerror(errno));
        return KILTER_E_NOT_FOUND;
    }
    KL_CLEANUP(kl_freep) char *repository = find_repository(path);
    KL_CLEANUP(kl_freep) char *working = getcwd(NULL, 0);
    const char *rest = "", *root = path;
    if (repository && is_below(repository, path, &rest))
        root = repository;
    else if (working && is_below(working, path, &rest))
        root = working;
    *ret_root = strdup(root);
    *ret_path = strdup(rest);
    return *ret_root && *ret_path ? 0 : KILTER_E_NOMEM;
}

/* The renderer of a directory for which none is named: the one whose marker is there, else plain YAML. All
 * plugins are not loaded for this: it would cost more than the render. */
static const char *default_renderer(struct kilter_tree *tree, const char *path, struct kilter_arena *arena)
{
    static const char *const markers[] = { "kustomization.yaml", "kustomization.yml", "Kustomization" };
    for (size_t i = 0; i < sizeof(markers) / sizeof(markers[0]); i++) {
        enum kilter_entry_type type;
        struct kilter_str file;
        if (kilter_path_join(arena, kilter_str_c(path), kilter_str_c(markers[i]), &file, NULL) == 0 &&
            kilter_tree_stat(tree, file, &type, NULL) == 0 && type != KILTER_ENTRY_ABSENT)
            return "kustomize";
    }
    return "yaml";
}

static int load_renderer(struct rendering *rendering, const char *name)
{
    struct kl_cli *cli = rendering->cli;
    struct kilter_error err = KILTER_ERROR_INIT;
    KL_CLEANUP(kl_freep) char *file = NULL;
    int r = kl_plugin_find(kilter_str_c(name), &file, &err);
    if (r == 0)
        r = kl_plugin_load(file, strchr(name, '/') ? NULL : name, &rendering->plugin, &err);
    if (r == 0 && !rendering->plugin->table.renderer)
        r = kilter_error_set(&err, KILTER_E_UNSUPPORTED, "plugin %s is no renderer", name);
    if (r < 0)
        kl_cli_complain(cli, "%s", err.message);
    return r;
}

/* --- rendering -------------------------------------------------------------------------------- */

/* Diagnostics name files from the root on; people want them from where they are. */
static void print_diagnostics(struct kl_cli *cli, const struct kilter_diags *diags, const char *root)
{
    KL_CLEANUP(kl_freep) char *working = getcwd(NULL, 0);
    struct kilter_buf text = KILTER_BUF_INIT(16u << 20);
    const char *prefix = root;
    const char *rest;
    if (working && is_below(working, root, &rest))
        prefix = rest;
    for (size_t i = 0; i < kilter_diags_count(diags); i++) {
        struct kilter_diag diag = *kilter_diags_at(diags, i);
        const char *file = kilter_arena_printf(cli->arena, "%s%s%.*s", prefix, prefix[0] ? "/" : "",
                                               KILTER_STR_ARG(diag.origin.file));
        if (diag.origin.file.len && file)
            diag.origin.file = kilter_str_c(file);
        kilter_diag_format(&text, &diag);
    }
    kl_put_block(cli->err, kilter_buf_view(&text), "");
    kilter_buf_release(&text);
}

static int render_directory(struct rendering *rendering, const char *directory)
{
    struct kl_cli *cli = rendering->cli;
    KL_CLEANUP(kl_freep) char *root = NULL;
    KL_CLEANUP(kl_freep) char *path = NULL;
    KL_CLEANUP(closep_tree) struct kilter_tree *tree = NULL;
    KL_CLEANUP(kl_diags_freep) struct kilter_diags *diags = kilter_diags_new(0);
    KL_CLEANUP(freep_plugin) struct kl_plugin *loaded = NULL;
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kl_render_result result;
    int r = find_root(cli, directory, &root, &path);
    if (r < 0)
        return r;
    r = kl_tree_open_dir(root, &tree, &err);
    if (r < 0) {
        kl_cli_complain(cli, "%s", err.message);
        return r;
    }
    const char *name = cli->args.renderer ? cli->args.renderer : default_renderer(tree, path, cli->arena);
    r = load_renderer(rendering, name);
    if (r < 0)
        return r;
    loaded = rendering->plugin;
    struct kl_services services = { .log = on_log, .data = rendering };
    struct kl_render_events events = { .resource = on_resource, .data = rendering };
    struct kl_render_request request = {
        .plugin = loaded, .options = rendering->options, .tree = tree, .path = kilter_str_c(path)
    };
    r = kl_render(&request, &services, &events, cli->arena, &result, diags, &err);
    print_diagnostics(cli, diags, root);
    if (r < 0 && rendering->error.code)
        kl_cli_complain(cli, "%s", rendering->error.message);
    else if (r < 0 && kilter_diags_errors(diags) == 0)
        kl_cli_complain(cli, "%s: %s", directory, err.message[0] ? err.message : kilter_status_text(r));
    return r;
}

int kl_cli_render(struct kl_cli *cli)
{
    struct rendering rendering = { .cli = cli, .out = KILTER_BUF_INIT(SIZE_MAX / 2), .error = KILTER_ERROR_INIT };
    rendering.items = kilter_list(cli->arena);
    int r = read_options(cli, &rendering.options);
    for (size_t i = 0; r == 0 && i < cli->args.item_count; i++)
        r = render_directory(&rendering, cli->args.items[i]);
    if (r == 0 && cli->args.form == KL_FORM_JSON)
        r = kl_cli_print_value(cli, rendering.items);
    else if (r == 0 && rendering.out.len)
        fwrite(rendering.out.ptr, 1, rendering.out.len, cli->out);
    kilter_buf_release(&rendering.out);
    return r < 0 ? KL_EXIT_ERROR : 0;
}
