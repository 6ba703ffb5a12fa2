/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts.c: renderer "hosts". A table of machines becomes one hosts file:
 *
 *     # address, name, further names
 *     10.0.0.1, gate
 *     10.0.0.2, shop, www
 *
 * The path of the app is such a file, or a directory, of which every *.csv is taken, in order of name. Built out of
 * kilter's tree, against the installed package; docs/guide/plugins.md walks through it.
 */
#include <kilter/kilter.h>

#include <arpa/inet.h>

#define TABLE_MAX (4u << 20)
#define TABLE_SUFFIX ".csv"

/* --- options: of an app's `renderer:` entry ------------------------------------------------ */
struct hosts_options {
    struct kilter_str file, domain, mode;
};

static const struct kilter_option option_rows[] = {
    { .name = "file",
      .type = KILTER_OPTION_STRING,
      .flags = KILTER_OPTION_ABSOLUTE_PATH,
      .default_text = "/etc/hosts",
      .offset = offsetof(struct hosts_options, file),
      .summary = "The file to write, as its target sees it." },
    { .name = "domain",
      .type = KILTER_OPTION_STRING,
      .offset = offsetof(struct hosts_options, domain),
      .summary = "Names without a dot are written with this domain first, and then alone." },
    { .name = "mode",
      .type = KILTER_OPTION_STRING,
      .default_text = "0644",
      .offset = offsetof(struct hosts_options, mode),
      .summary = "Permission bits of the file, in octal." },
};

static const struct kilter_config_schema options_schema = {
    .size = sizeof options_schema,
    .option_size = sizeof(struct kilter_option),
    .struct_size = sizeof(struct hosts_options),
    .options = option_rows,
    .option_count = sizeof option_rows / sizeof *option_rows,
};

/* --- reading tables -------------------------------------------------------------------------- */
struct rendering {
    struct kilter_call *call;
    struct kilter_tree *tree;
    const struct hosts_options *options;
    struct kilter_value *seen; /* name -> the value whose origin is where it was given first */
    struct kilter_buf out;
    bool invalid;
};

static int out_of_memory(struct rendering *rendering)
{
    return kilter_error_set(rendering->call->error, KILTER_E_NOMEM, "rendering: out of memory");
}

/* Whatever is wrong with the user's input is a diagnostic, with its place; reading goes on, so that all is said. */
static void complain(struct rendering *rendering, struct kilter_origin origin, const char *code, const char *hint,
                     const char *message, struct kilter_str subject)
{
    kilter_diag_add(rendering->call->diags, KILTER_ERROR, code, origin, hint, "\"%.*s\" %s",
                    KILTER_STR_ARG(subject), message);
    rendering->invalid = true;
}

static bool is_address(struct kilter_str text)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    char copy[INET6_ADDRSTRLEN];
    if (text.len >= sizeof copy)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return inet_pton(AF_INET, copy, bytes) == 1 || inet_pton(AF_INET6, copy, bytes) == 1;
}

static bool is_host_name(struct kilter_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool edge = i == 0 || i + 1 == text.len || text.ptr[i - 1] == '.';
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && (edge || (c != '-' && c != '.')))
            return false;
    }
    return text.len > 0 && text.len < 254;
}

static int add_name(struct rendering *rendering, struct kilter_str name, struct kilter_origin origin)
{
    struct kilter_arena *arena = rendering->call->arena;
    const struct kilter_value *first = kilter_map_get(rendering->seen, name);
    if (!is_host_name(name)) {
        complain(rendering, origin, "hosts.name", "letters, digits, '-' and '.'", "is no name of a host", name);
        return KILTER_OK;
    }
    if (first) {
        struct kilter_origin at = kilter_origin_of(first);
        const char *hint =
            kilter_arena_printf(arena, "it is in %.*s, line %u, already", KILTER_STR_ARG(at.file), at.line);
        complain(rendering, origin, "hosts.duplicate", hint, "is there twice", name);
        return KILTER_OK;
    }
    struct kilter_value *place = kilter_null(arena);
    if (!place || kilter_map_set(arena, rendering->seen, name, place) < 0)
        return out_of_memory(rendering);
    kilter_set_origin(place, origin);
    if (rendering->options->domain.len && kilter_str_find(name, '.', 0) < 0)
        kilter_buf_printf(&rendering->out, "%.*s.%.*s ", KILTER_STR_ARG(name),
                          KILTER_STR_ARG(rendering->options->domain));
    kilter_buf_printf(&rendering->out, "%.*s ", KILTER_STR_ARG(name));
    return KILTER_OK;
}

/* One line: fields between commas. Views into the table's text, which lives as long as the call. */
static int read_line(struct rendering *rendering, struct kilter_str line, struct kilter_origin origin)
{
    int code = KILTER_OK;
    struct kilter_str start = kilter_str_trim(line);
    size_t fields = 0;
    if (start.len == 0 || start.ptr[0] == '#')
        return KILTER_OK;
    for (size_t from = 0; code == KILTER_OK && from <= line.len; fields++) {
        ptrdiff_t comma = kilter_str_find(line, ',', from);
        size_t end = comma < 0 ? line.len : (size_t)comma;
        struct kilter_str field = kilter_str_trim(kilter_str_sub(line, from, end - from));
        origin.column = (uint32_t)(field.len ? field.ptr - line.ptr : (ptrdiff_t)from) + 1;
        if (fields > 0)
            code = add_name(rendering, field, origin);
        else if (is_address(field))
            kilter_buf_printf(&rendering->out, "%.*s\t", KILTER_STR_ARG(field));
        else
            complain(rendering, origin, "hosts.address", "such as 10.0.0.1 or fd00::1", "is no address", field);
        from = end + 1;
    }
    if (fields == 1)
        complain(rendering, origin, "hosts.no-name", "ADDRESS, NAME, ...", "has no name", start);
    if (rendering->out.len && rendering->out.ptr[rendering->out.len - 1] == ' ')
        rendering->out.ptr[rendering->out.len - 1] = '\n';
    return code;
}

static int read_table(struct rendering *rendering, struct kilter_str path)
{
    struct kilter_origin origin = { kilter_arena_str(rendering->call->arena, path), 0, 0 };
    struct kilter_str text;
    int code =
        kilter_tree_read(rendering->tree, path, rendering->call->arena, TABLE_MAX, &text, rendering->call->error);
    for (size_t from = 0; code == KILTER_OK && from < text.len;) {
        ptrdiff_t newline = kilter_str_find(text, '\n', from);
        size_t end = newline < 0 ? text.len : (size_t)newline;
        origin.line++;
        code = read_line(rendering, kilter_str_sub(text, from, end - from), origin);
        from = end + 1;
    }
    return code;
}

/* Only what is asked of the tree is a dependency: the list of the directory, and the tables. A commit that changes
 * neither costs this app nothing. */
static int read_tables(struct rendering *rendering, struct kilter_str path)
{
    const struct kilter_entry *entries;
    enum kilter_entry_type type;
    size_t count = 0;
    int code = kilter_tree_stat(rendering->tree, path, &type, rendering->call->error);
    if (code < 0 || type != KILTER_ENTRY_DIRECTORY)
        return code < 0 ? code : read_table(rendering, path);
    code =
        kilter_tree_list(rendering->tree, path, rendering->call->arena, &entries, &count, rendering->call->error);
    for (size_t i = 0; code == KILTER_OK && i < count; i++) {
        struct kilter_str inside;
        if (!kilter_str_ends(entries[i].name, KILTER_STR(TABLE_SUFFIX)))
            continue;
        code = kilter_path_join(rendering->call->arena, path, entries[i].name, &inside, rendering->call->error);
        if (code == KILTER_OK)
            code = read_table(rendering, inside);
    }
    return code;
}

/* --- the resource ------------------------------------------------------------------------------ */
static int emit_file(struct rendering *rendering, struct kilter_str path, struct kilter_render_sink *sink)
{
    const struct hosts_options *options = rendering->options;
    struct kilter_arena *arena = rendering->call->arena;
    struct kilter_value *document = kilter_map(arena), *metadata = kilter_map(arena), *spec = kilter_map(arena);
    struct kilter_resource resource = { .size = sizeof resource };
    if (!document || !metadata || !spec ||
        kilter_set(arena, document, "apiVersion", kilter_string_c(arena, "file.kilter.dev/v1")) < 0 ||
        kilter_set(arena, document, "kind", kilter_string_c(arena, "File")) < 0 ||
        kilter_set(arena, metadata, "name", kilter_string_c(arena, "hosts")) < 0 ||
        kilter_set(arena, document, "metadata", metadata) < 0 ||
        kilter_set(arena, spec, "path", kilter_string(arena, options->file)) < 0 ||
        kilter_set(arena, spec, "mode", kilter_string(arena, options->mode)) < 0 ||
        kilter_set(arena, spec, "content", kilter_string(arena, kilter_buf_view(&rendering->out))) < 0 ||
        kilter_set(arena, document, "spec", spec) < 0)
        return out_of_memory(rendering);
    int code = kilter_resource_init(&resource, document, rendering->call->diags);
    resource.origin.file = kilter_arena_str(arena, path);
    return code < 0 ? code : sink->emit(sink, &resource);
}

static int hosts_render(struct kilter_call *call, struct kilter_tree *tree, struct kilter_str path,
                        const void *options, struct kilter_render_sink *sink)
{
    struct rendering rendering = {
        .call = call, .tree = tree, .options = options, .out = KILTER_BUF_INIT(TABLE_MAX)
    };
    rendering.seen = kilter_map(call->arena);
    if (!rendering.seen)
        return out_of_memory(&rendering);
    kilter_buf_c(&rendering.out,
                 "# Made from Git by kilter; changes here are drift.\n127.0.0.1\tlocalhost\n::1\tlocalhost\n");
    int code = read_tables(&rendering, path);
    if (code == KILTER_OK && rendering.invalid)
        code = kilter_error_set(call->error, KILTER_E_INVALID, "the tables under \"%.*s\" cannot be used",
                                KILTER_STR_ARG(path));
    if (code == KILTER_OK && rendering.out.failed)
        code =
            kilter_error_set(call->error, rendering.out.failed, "the hosts file grows beyond %u bytes", TABLE_MAX);
    if (code == KILTER_OK)
        code = emit_file(&rendering, path, sink);
    kilter_buf_release(&rendering.out);
    return code;
}

/* --- the descriptor ------------------------------------------------------------------------------ */
static const struct kilter_renderer hosts_renderer = {
    .size = sizeof hosts_renderer,
    .options = &options_schema,
    .render = hosts_render,
};

static const struct kilter_plugin hosts_plugin = {
    .size = sizeof hosts_plugin,
    .abi_minor = KILTER_ABI_MINOR,
    .name = "hosts",
    .version = "1.0.0",
    .summary = "Makes a hosts file from tables of addresses and names.",
    .renderer = &hosts_renderer,
};

const struct kilter_plugin *kilter_plugin_v1(void)
{
    return &hosts_plugin;
}
