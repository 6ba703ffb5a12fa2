/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files.c: renderer "files". A directory of the tree, laid over the host: each file becomes a File, each link a
 * Symlink, each directory a shared Directory, which on the host keeps its mode and owner when it is there already.
 * Contents are handles to Git's objects and never copied.
 */
#include <kilter/kilter.h>

#include <stdio.h>

#define MAX_DEPTH 128
/* Ciphertext is looked for in files up to this size; what people encrypt in Git is far smaller. */
#define INSPECT_MAX (1u << 20)

struct files_options {
    struct kilter_pairs modes;
    struct kilter_str owner, group, prefix;
    struct kilter_strs include, exclude;
};

struct rendering {
    struct kilter_call *call;
    struct kilter_tree *tree;
    const struct files_options *options;
    struct kilter_render_sink *sink;
    struct kilter_str base; /* in the tree */
    bool invalid;
};

/* A directory on the way down; it is emitted when the first thing in it is. */
struct level {
    struct level *parent;
    struct kilter_str path; /* in the tree */
    int depth;
    bool emitted;
};

static bool any_matches(const struct kilter_strs *globs, struct kilter_str path)
{
    for (size_t i = 0; i < globs->count; i++)
        if (kilter_glob_match(globs->items[i], path))
            return true;
    return false;
}

static struct kilter_str relative(const struct rendering *rendering, struct kilter_str path)
{
    size_t skip = rendering->base.len ? rendering->base.len + 1 : 0;
    return kilter_str_sub(path, skip, path.len);
}

static void complain(struct rendering *rendering, struct kilter_str file, const char *code, const char *hint,
                     const char *message)
{
    struct kilter_origin origin = { file, 0, 0 };
    kilter_diag_add(rendering->call->diags, KILTER_ERROR, code, origin, hint, "%s", message);
    rendering->invalid = true;
}

static int out_of_memory(struct rendering *rendering)
{
    return kilter_error_set(rendering->call->error, KILTER_E_NOMEM, "rendering: out of memory");
}

/* --- names and modes -------------------------------------------------------------------- */
static bool host_path(struct rendering *rendering, struct kilter_str path, struct kilter_str *ret)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kilter_str prefix = rendering->options->prefix, inside = relative(rendering, path);
    while (prefix.len > 0 && prefix.ptr[prefix.len - 1] == '/')
        prefix.len--;
    *ret = kilter_str_c(
        kilter_arena_printf(rendering->call->arena, "%.*s/%.*s", KILTER_STR_ARG(prefix), KILTER_STR_ARG(inside)));
    if (ret->ptr && ret->len == prefix.len + 1 + inside.len && kilter_fs_check_path(*ret, &err) == KILTER_OK)
        return true;
    complain(rendering, path, "files.path", "rename it, or exclude it",
             err.code ? err.message : "the name holds NUL");
    return false;
}

static bool is_mode(struct kilter_str text)
{
    if (text.len < 3 || text.len > 5 || (text.len == 5 && text.ptr[0] != '0'))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > '7')
            return false;
    return true;
}

static void check_modes(struct rendering *rendering)
{
    const struct kilter_pairs *modes = &rendering->options->modes;
    for (size_t i = 0; i < modes->count; i++) {
        char text[160];
        if (is_mode(modes->items[i].value))
            continue;
        snprintf(text, sizeof text, "modes: \"%.60s\" is no octal mode", modes->items[i].value.ptr);
        complain(rendering, KILTER_STR(""), "files.mode", "three to five octal digits: \"0600\"", text);
    }
}

/* Git knows 644 and 755; of several globs that match the last one counts. */
static struct kilter_str mode_of(const struct rendering *rendering, struct kilter_str path,
                                 enum kilter_entry_type type)
{
    const struct kilter_pairs *modes = &rendering->options->modes;
    for (size_t i = modes->count; i > 0; i--)
        if (kilter_glob_match(modes->items[i - 1].key, relative(rendering, path)))
            return modes->items[i - 1].value;
    return type == KILTER_ENTRY_EXECUTABLE ? KILTER_STR("0755") : KILTER_STR("0644");
}

/* --- resources --------------------------------------------------------------------------- */
static int emit(struct rendering *rendering, const char *kind, struct kilter_str path, struct kilter_str host,
                struct kilter_value *spec)
{
    struct kilter_arena *arena = rendering->call->arena;
    struct kilter_resource resource = { .size = sizeof resource };
    struct kilter_value *document = kilter_map(arena), *metadata = kilter_map(arena);
    struct kilter_str name = kilter_str_sub(host, 1, host.len); /* the path on the host, without its first '/' */
    if (!document || !metadata || !spec || !name.ptr ||
        kilter_set(arena, metadata, "name", kilter_string(arena, name)) < 0 ||
        kilter_set(arena, document, "apiVersion", kilter_string_c(arena, "file.kilter.dev/v1")) < 0 ||
        kilter_set(arena, document, "kind", kilter_string_c(arena, kind)) < 0 ||
        kilter_set(arena, document, "metadata", metadata) < 0 || kilter_set(arena, document, "spec", spec) < 0)
        return out_of_memory(rendering);
    kilter_set_origin(document, (struct kilter_origin){ path, 0, 0 });
    if (kilter_resource_init(&resource, document, rendering->call->diags) < 0)
        return kilter_error_set(rendering->call->error, KILTER_E_INTERNAL, "%.*s makes no resource",
                                KILTER_STR_ARG(path));
    resource.origin = (struct kilter_origin){ path, 0, 0 };
    return rendering->sink->emit(rendering->sink, &resource);
}

/* Adds a text member; a spec that is NULL already, or an absent text, stays as it is. */
static struct kilter_value *with(struct rendering *rendering, struct kilter_value *spec, const char *key,
                                 struct kilter_str text)
{
    struct kilter_arena *arena = rendering->call->arena;
    if (!spec || !text.ptr || (text.len == 0 && !strcmp(key, "owner")) || (text.len == 0 && !strcmp(key, "group")))
        return spec;
    return kilter_set(arena, spec, key, kilter_string(arena, text)) < 0 ? NULL : spec;
}

static int emit_levels(struct rendering *rendering, struct level *level)
{
    struct kilter_arena *arena = rendering->call->arena;
    struct kilter_str host;
    if (!level || level->emitted || !level->parent)
        return KILTER_OK;
    int code = emit_levels(rendering, level->parent);
    level->emitted = true;
    if (code < 0 || !host_path(rendering, level->path, &host))
        return code;
    struct kilter_value *spec = with(rendering, kilter_map(arena), "path", host);
    if (!spec || kilter_set(arena, spec, "shared", kilter_bool(arena, true)) < 0)
        return out_of_memory(rendering);
    return emit(rendering, "Directory", level->path, host, spec);
}

/* --- contents -------------------------------------------------------------------------------- */
static bool holds(struct kilter_str text, const char *part)
{
    return text.len && memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

/* The forms that SOPS writes: YAML, JSON (also around binary files), dotenv, INI. */
static bool is_sops(struct kilter_str text)
{
    if (!holds(text, "ENC[AES256_GCM,"))
        return false;
    return holds(text, "\nsops:") || kilter_str_starts(text, KILTER_STR("sops:")) || holds(text, "\"sops\"") ||
           holds(text, "sops_mac=") || holds(text, "[sops]");
}

static bool is_lfs_pointer(struct kilter_str text)
{
    return kilter_str_starts(text, KILTER_STR("version https://git-lfs.github.com/spec/")) ||
           kilter_str_starts(text, KILTER_STR("version https://hawser.github.com/spec/"));
}

/* 1 when the content is one, 0 when it is refused. */
static int inspect(struct rendering *rendering, struct kilter_str path, struct kilter_content *content)
{
    struct kilter_buf bytes = KILTER_BUF_INIT(INSPECT_MAX + 1);
    if (content->length > INSPECT_MAX)
        return 1;
    int code = kilter_content_read_all(content, &bytes, rendering->call->error);
    if (code == KILTER_OK) {
        code = 1;
        if (is_lfs_pointer(kilter_buf_view(&bytes))) {
            complain(rendering, path, "files.lfs", "exclude it, or commit the file itself",
                     "the file is a Git LFS pointer; its content is not in the repository");
            code = 0;
        } else if (is_sops(kilter_buf_view(&bytes))) {
            complain(rendering, path, "files.sops",
                     "exclude it, or take it out of the path, until kilter can decrypt",
                     "the file is encrypted with SOPS; ciphertext is never applied");
            code = 0;
        }
    }
    kilter_buf_release(&bytes);
    return code;
}

static int render_file(struct rendering *rendering, struct level *level, struct kilter_str path,
                       enum kilter_entry_type type)
{
    struct kilter_arena *arena = rendering->call->arena;
    struct kilter_content *content;
    struct kilter_str host;
    int code = kilter_tree_open(rendering->tree, path, &content, rendering->call->error);
    if (code == KILTER_OK)
        code = inspect(rendering, path, content);
    if (code <= 0 || !host_path(rendering, path, &host))
        return code < 0 ? code : KILTER_OK;
    struct kilter_value *spec = with(rendering, kilter_map(arena), "path", host);
    spec = with(rendering, spec, "mode", mode_of(rendering, path, type));
    spec = with(rendering, spec, "owner", rendering->options->owner);
    spec = with(rendering, spec, "group", rendering->options->group);
    if (!spec || kilter_set(arena, spec, "content", kilter_content_value(arena, content)) < 0)
        return out_of_memory(rendering);
    code = emit_levels(rendering, level);
    return code < 0 ? code : emit(rendering, "File", path, host, spec);
}

static int render_link(struct rendering *rendering, struct level *level, struct kilter_str path)
{
    struct kilter_arena *arena = rendering->call->arena;
    struct kilter_str host, target;
    int code = kilter_tree_read_link(rendering->tree, path, arena, &target, rendering->call->error);
    if (code < 0 || !host_path(rendering, path, &host))
        return code < 0 ? code : KILTER_OK;
    struct kilter_value *spec = with(rendering, kilter_map(arena), "path", host);
    spec = with(rendering, spec, "target", target);
    spec = with(rendering, spec, "owner", rendering->options->owner);
    spec = with(rendering, spec, "group", rendering->options->group);
    code = emit_levels(rendering, level);
    return code < 0 ? code : emit(rendering, "Symlink", path, host, spec);
}

/* --- walking ---------------------------------------------------------------------------------- */
/* Git's own files steer Git and are no content; .gitkeep only keeps its directory. */
static bool is_gits_own(struct kilter_str name)
{
    return kilter_str_eq_c(name, ".git") || kilter_str_eq_c(name, ".gitignore") ||
           kilter_str_eq_c(name, ".gitattributes") || kilter_str_eq_c(name, ".gitmodules");
}

static int render_directory(struct rendering *rendering, struct level *level);

static int render_entry(struct rendering *rendering, struct level *level, const struct kilter_entry *entry)
{
    const struct files_options *options = rendering->options;
    struct kilter_str path;
    int code = kilter_path_join(rendering->call->arena, level->path, entry->name, &path, rendering->call->error);
    if (code < 0)
        return code;
    struct kilter_str inside = relative(rendering, path);
    if (is_gits_own(entry->name) || any_matches(&options->exclude, inside))
        return KILTER_OK;
    if (entry->type == KILTER_ENTRY_DIRECTORY) {
        struct level below = { level, path, level->depth + 1, false };
        return render_directory(rendering, &below);
    }
    if (options->include.count && !any_matches(&options->include, inside))
        return KILTER_OK;
    if (kilter_str_eq_c(entry->name, ".gitkeep"))
        return emit_levels(rendering, level);
    switch (entry->type) {
    case KILTER_ENTRY_LINK:
        return render_link(rendering, level, path);
    case KILTER_ENTRY_SUBMODULE:
        complain(rendering, path, "files.submodule", "exclude it",
                 "a submodule's content is not in the repository");
        return KILTER_OK;
    default:
        return render_file(rendering, level, path, entry->type);
    }
}

static int render_directory(struct rendering *rendering, struct level *level)
{
    struct kilter_call *call = rendering->call;
    const struct kilter_entry *entries;
    size_t count;
    if (level->depth > MAX_DEPTH)
        return kilter_error_set(call->error, KILTER_E_LIMIT, "%.*s: more than %d directories deep",
                                KILTER_STR_ARG(level->path), MAX_DEPTH);
    if (kilter_cancelled(call))
        return kilter_error_set(call->error, KILTER_E_CANCELLED, "rendering was cancelled");
    int code = kilter_tree_list(rendering->tree, level->path, call->arena, &entries, &count, call->error);
    for (size_t i = 0; code == KILTER_OK && i < count; i++)
        code = render_entry(rendering, level, &entries[i]);
    return code;
}

static int files_render(struct kilter_call *call, struct kilter_tree *tree, struct kilter_str path,
                        const void *options, struct kilter_render_sink *sink)
{
    struct rendering rendering = { call, tree, options, sink, { NULL, 0 }, false };
    enum kilter_entry_type type = KILTER_ENTRY_ABSENT;
    struct kilter_str resolved;
    int code = kilter_tree_resolve(tree, path, call->arena, &resolved, call->error);
    if (code == KILTER_OK)
        code = kilter_tree_stat(tree, resolved, &type, call->error);
    if (code < 0 && code != KILTER_E_NOT_FOUND)
        return code;
    if (type != KILTER_ENTRY_DIRECTORY)
        return kilter_error_set(call->error, KILTER_E_NOT_FOUND, "path \"%.*s\" is no directory of the tree",
                                KILTER_STR_ARG(path));
    struct level top = { NULL, resolved, 0, true };
    rendering.base = resolved;
    check_modes(&rendering);
    code = render_directory(&rendering, &top);
    if (code == KILTER_OK && rendering.invalid)
        code = kilter_error_set(call->error, KILTER_E_INVALID, "files under \"%.*s\" cannot be used",
                                KILTER_STR_ARG(path));
    return code;
}

/* --- descriptor ------------------------------------------------------------------------------- */
static const struct kilter_option files_rows[] = {
    { .name = "modes",
      .type = KILTER_OPTION_MAP,
      .offset = offsetof(struct files_options, modes),
      .summary = "Octal modes by glob, relative to the path: {\"**/*.key\": \"0600\"}; the last one that matches "
                 "counts, and without any Git's 0644 or 0755." },
    { .name = "owner",
      .type = KILTER_OPTION_STRING,
      .offset = offsetof(struct files_options, owner),
      .summary =
          "User, by name or number, that files and links belong to; without it existing files keep theirs." },
    { .name = "group",
      .type = KILTER_OPTION_STRING,
      .offset = offsetof(struct files_options, group),
      .summary =
          "Group, by name or number, that files and links belong to; without it existing files keep theirs." },
    { .name = "prefix",
      .type = KILTER_OPTION_STRING,
      .flags = KILTER_OPTION_ABSOLUTE_PATH,
      .default_text = "/",
      .offset = offsetof(struct files_options, prefix),
      .summary = "The directory of the host that the path is laid over." },
    { .name = "include",
      .type = KILTER_OPTION_LIST,
      .offset = offsetof(struct files_options, include),
      .summary = "Globs, relative to the path, of the files and links to take; without any, all." },
    { .name = "exclude",
      .type = KILTER_OPTION_LIST,
      .offset = offsetof(struct files_options, exclude),
      .summary = "Globs, relative to the path, of files, links and directories to leave out; they win over "
                 "`include`." },
};

static const struct kilter_config_schema files_schema = {
    .size = sizeof files_schema,
    .option_size = sizeof(struct kilter_option),
    .struct_size = sizeof(struct files_options),
    .options = files_rows,
    .option_count = sizeof files_rows / sizeof *files_rows,
};

static const struct kilter_renderer files_renderer = {
    .size = sizeof files_renderer,
    .options = &files_schema,
    .render = files_render,
};

static const struct kilter_plugin files_plugin = {
    .size = sizeof files_plugin,
    .abi_minor = KILTER_ABI_MINOR,
    .name = "files",
    .version = "0.1.0",
    .summary = "A directory of Git, laid over a directory of the host.",
    .threads = KILTER_THREADS_PER_HANDLE,
    .renderer = &files_renderer,
};

const struct kilter_plugin *kilter_plugin_v1(void)
{
    return &files_plugin;
}
