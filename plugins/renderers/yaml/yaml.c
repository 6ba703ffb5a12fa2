/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml.c: renderer "yaml". Files or directories of plain documents, as they are: each document of each file
 * becomes a resource, lists are taken apart, and what only looks like content (ciphertext, pointers to it) is
 * refused by name. All problems of all files are told at once.
 */
#include <kilter/kilter.h>

#include <stdio.h>

#define MAX_DEPTH 64
#define MAX_LISTS 8 /* of lists in one another */

struct yaml_options {
    bool recurse;
    struct kilter_strs include, exclude;
};

struct rendering {
    struct kilter_call *call;
    struct kilter_tree *tree;
    const struct yaml_options *options;
    struct kilter_render_sink *sink;
    struct kilter_str base; /* what globs are relative to */
    bool invalid;
};

/* --- which files ------------------------------------------------------------------------ */
static bool any_matches(const struct kilter_strs *globs, struct kilter_str path)
{
    for (size_t i = 0; i < globs->count; i++)
        if (kilter_glob_match(globs->items[i], path))
            return true;
    return false;
}

static bool is_document_name(struct kilter_str name)
{
    return kilter_str_ends(name, KILTER_STR(".yaml")) || kilter_str_ends(name, KILTER_STR(".yml")) ||
           kilter_str_ends(name, KILTER_STR(".json"));
}

static struct kilter_str relative(const struct rendering *rendering, struct kilter_str path)
{
    size_t skip = rendering->base.len ? rendering->base.len + 1 : 0;
    return kilter_str_sub(path, skip, path.len);
}

static bool is_chosen(const struct rendering *rendering, struct kilter_str path, struct kilter_str name)
{
    struct kilter_str inside = relative(rendering, path);
    if (any_matches(&rendering->options->exclude, inside))
        return false;
    if (rendering->options->include.count)
        return any_matches(&rendering->options->include, inside);
    return is_document_name(name) && name.ptr[0] != '.';
}

/* --- documents ---------------------------------------------------------------------------- */
static void complain(struct rendering *rendering, struct kilter_origin origin, const char *code, const char *hint,
                     const char *message)
{
    kilter_diag_add(rendering->call->diags, KILTER_ERROR, code, origin, hint, "%s", message);
    rendering->invalid = true;
}

static int emit_document(struct rendering *rendering, struct kilter_value *document, int lists);

/* Items of a typed list (ConfigMapList) may leave out what the list says already. */
static int fill_item(struct rendering *rendering, const struct kilter_value *list, struct kilter_value *item)
{
    struct kilter_arena *arena = rendering->call->arena;
    struct kilter_str kind = kilter_get_text(list, "kind");
    if (kind.len <= 4 || kilter_type_of(item) != KILTER_MAP)
        return KILTER_OK;
    kind.len -= 4;
    int code = KILTER_OK;
    if (!kilter_get(item, "kind"))
        code = kilter_set(arena, item, "kind", kilter_string(arena, kind));
    if (code == KILTER_OK && !kilter_get(item, "apiVersion"))
        code = kilter_set(arena, item, "apiVersion", kilter_string(arena, kilter_get_text(list, "apiVersion")));
    return code;
}

static int emit_items(struct rendering *rendering, const struct kilter_value *list, int lists)
{
    const struct kilter_value *items = kilter_get(list, "items");
    if (lists == MAX_LISTS) {
        complain(rendering, kilter_origin_of(list), "yaml.list-depth", NULL, "more than 8 lists in one another");
        return KILTER_OK;
    }
    int code = KILTER_OK;
    for (size_t i = 0; code == KILTER_OK && i < kilter_list_size(items); i++) {
        struct kilter_value *item = kilter_list_at(items, i);
        code = fill_item(rendering, list, item);
        if (code == KILTER_OK)
            code = emit_document(rendering, item, lists + 1);
    }
    return code;
}

static bool is_list(const struct kilter_value *document)
{
    const struct kilter_value *items = kilter_get(document, "items");
    return kilter_str_ends(kilter_get_text(document, "kind"), KILTER_STR("List")) && items &&
           (kilter_type_of(items) == KILTER_LIST || kilter_is_null(items, KILTER_SCHEMA_KUBERNETES));
}

static int emit_document(struct rendering *rendering, struct kilter_value *document, int lists)
{
    struct kilter_resource resource = { .size = sizeof resource };
    struct kilter_origin origin = kilter_origin_of(document);
    if (kilter_is_null(document, KILTER_SCHEMA_KUBERNETES))
        return KILTER_OK;
    const struct kilter_value *sops = kilter_get(document, "sops");
    if (sops && kilter_type_of(sops) == KILTER_MAP) {
        complain(rendering, origin, "yaml.sops", "take it out of the path, or exclude it, until kilter can decrypt",
                 "the document is encrypted with SOPS; ciphertext is never applied");
        return KILTER_OK;
    }
    if (is_list(document))
        return emit_items(rendering, document, lists);
    if (kilter_resource_init(&resource, document, rendering->call->diags) < 0) {
        rendering->invalid = true;
        return KILTER_OK;
    }
    if (!resource.origin.file.len)
        resource.origin = origin;
    return rendering->sink->emit(rendering->sink, &resource);
}

/* --- files ----------------------------------------------------------------------------------- */
static bool is_lfs_pointer(struct kilter_str text)
{
    return kilter_str_starts(text, KILTER_STR("version https://git-lfs.github.com/spec/")) ||
           kilter_str_starts(text, KILTER_STR("version https://hawser.github.com/spec/"));
}

static int parse(struct rendering *rendering, struct kilter_str path, struct kilter_str text,
                 struct kilter_value **ret_documents)
{
    struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
    struct kilter_call *call = rendering->call;
    options.file = path;
    if (!kilter_str_ends(path, KILTER_STR(".json")))
        return kilter_yaml_read(call->arena, text, &options, ret_documents, call->diags);
    struct kilter_value *document, *list = kilter_list(call->arena);
    int code = kilter_json_read(call->arena, text, &options, &document, call->diags);
    if (code == KILTER_OK)
        code = list ? kilter_list_add(call->arena, list, document) : KILTER_E_NOMEM;
    *ret_documents = list;
    return code;
}

static int render_file(struct rendering *rendering, struct kilter_str path)
{
    struct kilter_call *call = rendering->call;
    struct kilter_origin origin = { path, 0, 0 };
    struct kilter_value *documents;
    struct kilter_str text;
    if (kilter_cancelled(call))
        return kilter_error_set(call->error, KILTER_E_CANCELLED, "rendering was cancelled");
    int code = kilter_tree_read(rendering->tree, path, call->arena, 0, &text, call->error);
    if (code < 0)
        return code;
    if (is_lfs_pointer(text)) {
        complain(rendering, origin, "yaml.lfs", "exclude it, or commit the file itself",
                 "the file is a Git LFS pointer; its content is not in the repository");
        return KILTER_OK;
    }
    code = parse(rendering, path, text, &documents);
    if (code == KILTER_E_INVALID || code == KILTER_E_LIMIT) {
        rendering->invalid = true;
        return KILTER_OK;
    }
    if (code < 0)
        return kilter_error_set(call->error, code, "%.*s: %s", KILTER_STR_ARG(path), kilter_status_text(code));
    for (size_t i = 0; code == KILTER_OK && i < kilter_list_size(documents); i++)
        code = emit_document(rendering, kilter_list_at(documents, i), 0);
    return code;
}

/* A link counts as the file that it leads to inside the tree; links to directories are not gone into. */
static int type_behind(struct rendering *rendering, struct kilter_str path, enum kilter_entry_type *type)
{
    struct kilter_call *call = rendering->call;
    struct kilter_str resolved;
    if (*type != KILTER_ENTRY_LINK)
        return KILTER_OK;
    int code = kilter_tree_resolve(rendering->tree, path, call->arena, &resolved, call->error);
    if (code == KILTER_OK)
        code = kilter_tree_stat(rendering->tree, resolved, type, call->error);
    if (code == KILTER_OK && *type == KILTER_ENTRY_DIRECTORY)
        *type = KILTER_ENTRY_LINK;
    return code;
}

static int render_directory(struct rendering *rendering, struct kilter_str path, int depth);

static int render_entry(struct rendering *rendering, struct kilter_str directory, const struct kilter_entry *entry,
                        int depth)
{
    struct kilter_call *call = rendering->call;
    enum kilter_entry_type type = entry->type;
    struct kilter_str path;
    int code = kilter_path_join(call->arena, directory, entry->name, &path, call->error);
    if (code < 0)
        return code;
    if (type == KILTER_ENTRY_DIRECTORY) {
        bool left_out = entry->name.ptr[0] == '.' || !rendering->options->recurse ||
                        any_matches(&rendering->options->exclude, relative(rendering, path));
        return left_out ? KILTER_OK : render_directory(rendering, path, depth + 1);
    }
    if (type == KILTER_ENTRY_SUBMODULE || !is_chosen(rendering, path, entry->name))
        return KILTER_OK;
    code = type_behind(rendering, path, &type);
    if (code < 0)
        return code;
    return type == KILTER_ENTRY_FILE || type == KILTER_ENTRY_EXECUTABLE ? render_file(rendering, path) : KILTER_OK;
}

static int render_directory(struct rendering *rendering, struct kilter_str path, int depth)
{
    struct kilter_call *call = rendering->call;
    const struct kilter_entry *entries;
    size_t count;
    if (depth > MAX_DEPTH)
        return kilter_error_set(call->error, KILTER_E_LIMIT, "%.*s: more than %d directories deep",
                                KILTER_STR_ARG(path), MAX_DEPTH);
    int code = kilter_tree_list(rendering->tree, path, call->arena, &entries, &count, call->error);
    for (size_t i = 0; code == KILTER_OK && i < count; i++)
        code = render_entry(rendering, path, &entries[i], depth);
    return code;
}

static int yaml_render(struct kilter_call *call, struct kilter_tree *tree, struct kilter_str path,
                       const void *options, struct kilter_render_sink *sink)
{
    struct rendering rendering = { call, tree, options, sink, { NULL, 0 }, false };
    enum kilter_entry_type type;
    struct kilter_str resolved;
    int code = kilter_tree_resolve(tree, path, call->arena, &resolved, call->error);
    if (code == KILTER_OK)
        code = kilter_tree_stat(tree, resolved, &type, call->error);
    if (code == KILTER_E_NOT_FOUND || (code == KILTER_OK && type == KILTER_ENTRY_ABSENT))
        return kilter_error_set(call->error, KILTER_E_NOT_FOUND, "path \"%.*s\" is not in the tree",
                                KILTER_STR_ARG(path));
    if (code < 0)
        return code;
    if (type == KILTER_ENTRY_SUBMODULE)
        return kilter_error_set(call->error, KILTER_E_UNSUPPORTED, "path \"%.*s\" is a submodule",
                                KILTER_STR_ARG(path));
    rendering.base = resolved;
    code = type == KILTER_ENTRY_DIRECTORY ? render_directory(&rendering, resolved, 0)
                                          : render_file(&rendering, resolved);
    if (code == KILTER_OK && rendering.invalid)
        code = kilter_error_set(call->error, KILTER_E_INVALID, "documents under \"%.*s\" cannot be used",
                                KILTER_STR_ARG(path));
    return code;
}

/* Any directory that has documents: the least sure answer, so that every other renderer may be surer. */
static int yaml_detect(struct kilter_call *call, struct kilter_tree *tree, struct kilter_str path)
{
    const struct kilter_entry *entries;
    enum kilter_entry_type type;
    size_t count;
    if (kilter_tree_stat(tree, path, &type, NULL) < 0)
        return 0;
    if (type == KILTER_ENTRY_FILE || type == KILTER_ENTRY_EXECUTABLE)
        return is_document_name(path);
    if (type != KILTER_ENTRY_DIRECTORY || kilter_tree_list(tree, path, call->arena, &entries, &count, NULL) < 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        if (entries[i].type != KILTER_ENTRY_DIRECTORY && is_document_name(entries[i].name))
            return 1;
    return 0;
}

/* --- descriptor ------------------------------------------------------------------------------- */
static const struct kilter_option yaml_rows[] = {
    { .name = "recurse",
      .type = KILTER_OPTION_BOOL,
      .default_text = "true",
      .offset = offsetof(struct yaml_options, recurse),
      .summary = "Whether directories below the path are read, too; those whose name begins with '.' never are." },
    { .name = "include",
      .type = KILTER_OPTION_LIST,
      .offset = offsetof(struct yaml_options, include),
      .summary = "Globs, relative to the path, of the files to read; without any, *.yaml, *.yml and *.json whose "
                 "name does not begin with '.'." },
    { .name = "exclude",
      .type = KILTER_OPTION_LIST,
      .offset = offsetof(struct yaml_options, exclude),
      .summary = "Globs, relative to the path, of files and directories to leave out; they win over `include`." },
};

static const struct kilter_config_schema yaml_schema = {
    .size = sizeof yaml_schema,
    .option_size = sizeof(struct kilter_option),
    .struct_size = sizeof(struct yaml_options),
    .options = yaml_rows,
    .option_count = sizeof yaml_rows / sizeof *yaml_rows,
};

static const struct kilter_renderer yaml_renderer = {
    .size = sizeof yaml_renderer,
    .options = &yaml_schema,
    .detect = yaml_detect,
    .render = yaml_render,
};

static const struct kilter_plugin yaml_plugin = {
    .size = sizeof yaml_plugin,
    .abi_minor = KILTER_ABI_MINOR,
    .name = "yaml",
    .version = "0.1.0",
    .summary = "Plain YAML and JSON documents, as they are in Git.",
    .threads = KILTER_THREADS_PER_HANDLE,
    .renderer = &yaml_renderer,
};

const struct kilter_plugin *kilter_plugin_v1(void)
{
    return &yaml_plugin;
}
