/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"

static const struct kilter_option file_option_rows[] = {
    { .name = "root",
      .type = KILTER_OPTION_STRING,
      .flags = KILTER_OPTION_ABSOLUTE_PATH,
      .default_text = "/",
      .offset = offsetof(struct file_options, root),
      .summary = "The directory that the paths of resources begin at; it must exist." },
};

static const struct kilter_config_schema file_options_schema = {
    .size = sizeof file_options_schema,
    .option_size = sizeof(struct kilter_option),
    .struct_size = sizeof(struct file_options),
    .options = file_option_rows,
    .option_count = sizeof file_option_rows / sizeof *file_option_rows,
};

static const struct kilter_option file_allow_rows[] = {
    { .name = "paths",
      .type = KILTER_OPTION_LIST,
      .offset = offsetof(struct file_allow, paths),
      .summary = "Absolute paths below the root, or globs of them; a path covers everything in it. Without the "
                 "list everything is allowed, with an empty one nothing." },
};

static const struct kilter_config_schema file_allow_schema = {
    .size = sizeof file_allow_schema,
    .option_size = sizeof(struct kilter_option),
    .struct_size = sizeof(struct file_allow),
    .options = file_allow_rows,
    .option_count = sizeof file_allow_rows / sizeof *file_allow_rows,
};

static int take_allowed(struct kilter_call *call, struct file_target *target, const struct file_allow *allow)
{
    if (!allow || !allow->paths.items)
        return KILTER_OK;
    struct kilter_str *items = kilter_arena_calloc(target->arena, allow->paths.count, sizeof *items);
    for (size_t i = 0; items && i < allow->paths.count; i++) {
        items[i] = kilter_arena_str(target->arena, allow->paths.items[i]);
        if (items[i].len == 0 || items[i].ptr[0] != '/')
            return kilter_error_set(call->error, KILTER_E_INVALID, "allow.paths: \"%.*s\" does not begin with '/'",
                                    KILTER_STR_ARG(allow->paths.items[i]));
    }
    target->allowed.items = items;
    target->allowed.count = allow->paths.count;
    return items ? KILTER_OK
                 : kilter_error_set(call->error, KILTER_E_NOMEM, "opening target \"file\": out of memory");
}

static void file_close(void *handle)
{
    struct file_target *target = handle;
    if (!target)
        return;
    struct kilter_arena *arena = target->arena;
    kilter_fs_close(target->fs);
    kilter_arena_free(arena);
}

static int file_open(struct kilter_call *call, const void *options, const void *allow, void **ret_handle)
{
    const struct file_options *chosen = options;
    struct kilter_arena *arena = kilter_arena_new(0);
    struct file_target *target = arena ? kilter_arena_alloc(arena, sizeof *target) : NULL;
    if (!target) {
        kilter_arena_free(arena);
        return kilter_error_set(call->error, KILTER_E_NOMEM, "opening target \"file\": out of memory");
    }
    target->arena = arena;
    target->names = file_names_new(arena);
    struct kilter_str root = chosen && chosen->root.len ? chosen->root : KILTER_STR("/");
    int code = take_allowed(call, target, allow);
    if (code == KILTER_OK)
        code = kilter_fs_open(root, 0, &target->fs, call->error);
    if (code == KILTER_OK)
        code = kilter_machine_id(target->machine, call->error);
    if (code < 0)
        file_close(target);
    else
        *ret_handle = target;
    return code;
}

static int file_identity(struct kilter_call *call, void *handle, struct kilter_str *ret_identity)
{
    const struct file_target *target = handle;
    const char *text = kilter_arena_printf(call->arena, "host:%s:%.*s", target->machine,
                                           KILTER_STR_ARG(kilter_fs_root(target->fs)));
    *ret_identity = kilter_str_c(text);
    return text ? KILTER_OK : kilter_error_set(call->error, KILTER_E_NOMEM, "identity: out of memory");
}

int file_claim(struct file_target *target, struct kilter_arena *arena, struct kilter_str path,
               struct kilter_str *ret_claim)
{
    struct kilter_str root = kilter_fs_root(target->fs);
    if (root.len == 1)
        root.len = 0;
    const char *text =
        kilter_arena_printf(arena, "file:%s:%.*s%.*s", target->machine, KILTER_STR_ARG(root), KILTER_STR_ARG(path));
    *ret_claim = kilter_str_c(text);
    return text ? KILTER_OK : KILTER_E_NOMEM;
}

static int file_claims(struct kilter_call *call, void *handle, const struct kilter_resource *resources,
                       size_t count, struct kilter_claim_sink *sink)
{
    struct file_target *target = handle;
    bool failed = false;
    for (size_t i = 0; i < count; i++) {
        struct file_wanted wanted;
        struct kilter_str claim;
        if (file_wanted_read(call, target, &resources[i], &wanted) < 0) {
            failed = true;
            continue;
        }
        if (wanted.shared)
            continue;
        int code = file_claim(target, call->arena, wanted.path, &claim);
        if (code == KILTER_OK)
            code = sink->emit(sink, i, claim);
        if (code < 0)
            return code;
    }
    return failed ? kilter_error_set(call->error, KILTER_E_INVALID, "resources that target \"file\" cannot take")
                  : KILTER_OK;
}

static const struct kilter_target file_target = {
    .size = sizeof file_target,
    .options = &file_options_schema,
    .allow = &file_allow_schema,
    .open = file_open,
    .close = file_close,
    .identity = file_identity,
    .claims = file_claims,
    .plan = file_plan,
    .apply = file_apply,
    .refresh = file_refresh,
    .health = file_health,
    .import = file_import,
};

static const struct kilter_plugin file_plugin = {
    .size = sizeof file_plugin,
    .abi_minor = KILTER_ABI_MINOR,
    .name = "file",
    .version = "0.1.0",
    .summary = "Files, directories and symbolic links of this host.",
    .needs = KILTER_NEED_FILESYSTEM,
    .threads = KILTER_THREADS_PER_HANDLE,
    .target = &file_target,
};

const struct kilter_plugin *kilter_plugin_v1(void)
{
    return &file_plugin;
}
