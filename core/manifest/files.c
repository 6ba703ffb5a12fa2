/* SPDX-License-Identifier: Apache-2.0 */
/* The manifest's files: the first, and what it includes. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <kilter/yaml.h>

#include "base/cleanup.h"
#include "manifest/load.h"

/* A file that waits to be read. */
struct pending {
    struct kilter_str path;      /* as messages name it */
    struct kilter_origin origin; /* of the include; without a file for the first */
};

struct queue {
    struct kl_load *load;
    struct pending *items;
    size_t count;
    struct kilter_str *absolute; /* the manifest's files */
    size_t absolute_count;
    struct kl_map seen; /* "device:inode" */
};

static void problem(struct queue *q, struct kilter_origin origin, const char *hint, const char *what,
                    const char *why)
{
    kl_report_add(&q->load->report, KILTER_ERROR, "manifest.include", origin, hint, "%s: %s", what, why);
}

/* --- one file -------------------------------------------------------------------- */
static int read_text(int fd, const char *path, struct kilter_buf *out, struct kilter_error *err)
{
    for (;;) {
        char *room = kilter_buf_reserve(out, 65536);
        if (!room)
            return out->failed == KILTER_E_LIMIT
                       ? kilter_error_set(err, KILTER_E_LIMIT, "%s is longer than a manifest may be (4 MiB)", path)
                       : kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
        ssize_t n = read(fd, room, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return kilter_error_errno(err, errno, "cannot read %s", path);
        if (n == 0)
            break;
        out->len += (size_t)n;
    }
    if (out->len > KL_MANIFEST_MAX_FILE_BYTES)
        return kilter_error_set(err, KILTER_E_LIMIT, "%s is longer than a manifest may be (4 MiB)", path);
    return 0;
}

/* 0, 1 when this file was read already, or an error. */
static int open_file(struct queue *q, const char *path, int *ret_fd, struct kilter_error *err)
{
    struct stat st;
    char id[64];

    KL_CLEANUP(kl_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return kilter_error_errno(err, errno, "cannot open %s", path);
    if (fstat(fd, &st) < 0)
        return kilter_error_errno(err, errno, "cannot look at %s", path);
    if (!S_ISREG(st.st_mode))
        return kilter_error_set(err, KILTER_E_INVALID, "%s is no regular file", path);
    snprintf(id, sizeof id, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    if (kl_map_has(&q->seen, kilter_str_c(id)))
        return 1;
    kl_load_put(q->load, &q->seen, kilter_str_c(id), q);
    *ret_fd = kl_steal_fd(&fd);
    return 0;
}

static void note_file(struct queue *q, const char *path)
{
    char absolute[PATH_MAX];
    struct kilter_str name = kilter_str_c(realpath(path, absolute) ? absolute : path);

    q->absolute[q->absolute_count++] = kilter_arena_str(q->load->arena, name);
}

/* --- what is in it ------------------------------------------------------------------ */
static void check_head(struct queue *q, const struct kl_raw_file *raw, const struct kilter_value *document)
{
    struct kl_report *report = &q->load->report;

    if (raw->api_version.len && !kilter_str_eq_c(raw->api_version, "kilter.dev/v1"))
        kl_report_add(report, KILTER_ERROR, "manifest.version",
                      kilter_origin_of(kilter_get(document, "apiVersion")), NULL,
                      "apiVersion is \"%.*s\"; this kilter reads \"kilter.dev/v1\"",
                      KILTER_STR_ARG(kilter_str_sub(raw->api_version, 0, 100)));
    if (raw->kind.len && !kilter_str_eq_c(raw->kind, "Manifest"))
        kl_report_add(report, KILTER_ERROR, "manifest.version", kilter_origin_of(kilter_get(document, "kind")),
                      NULL, "kind is \"%.*s\"; expected \"Manifest\"",
                      KILTER_STR_ARG(kilter_str_sub(raw->kind, 0, 100)));
}

/* Whether the manifest that runs now has a file below this directory, or at this path. */
static bool brought_files(const struct kl_load *load, const char *pattern_directory)
{
    const struct kl_manifest *previous = load->options.previous;
    char absolute[PATH_MAX];

    /* A directory that is gone has no real path any more: its own name, as it was written, must do. */
    struct kilter_str directory =
        kilter_str_c(realpath(pattern_directory, absolute) ? absolute : pattern_directory);
    for (size_t i = 1; previous && i < previous->file_count; i++) {
        struct kilter_str file = previous->files[i];
        if (kilter_str_eq(file, directory) ||
            (kilter_str_starts(file, directory) && file.len > directory.len && file.ptr[directory.len] == '/'))
            return true;
    }
    return false;
}

/* Where a pattern looks, up to its first wildcard, as an absolute path in the arena. */
static const char *pattern_root(struct kl_load *load, const char *directory, struct kilter_str pattern)
{
    char base[PATH_MAX];
    size_t plain = 0;

    for (size_t i = 0; i < pattern.len && !strchr("*?[", pattern.ptr[i]); i++)
        if (pattern.ptr[i] == '/')
            plain = i;
    if (pattern.ptr[0] == '/')
        return kilter_arena_printf(load->arena, "%.*s", (int)plain, pattern.ptr);
    return kilter_arena_printf(load->arena, "%s%s%.*s",
                               realpath(directory[0] ? directory : ".", base) ? base : directory, plain ? "/" : "",
                               (int)plain, pattern.ptr);
}

static void no_match(struct queue *q, const struct kilter_value *value, const char *directory, bool missing)
{
    struct kilter_str pattern = kilter_text(value);
    const char *root = pattern_root(q->load, directory, pattern);
    char what[300];

    snprintf(what, sizeof what, "include \"%.*s\"", KILTER_STR_ARG(kilter_str_sub(pattern, 0, 200)));
    if (root && brought_files(q->load, root)) {
        problem(q, kilter_origin_of(value), "to remove apps, take the include out of the manifest", what,
                "matched files before and matches none now; a lost include removes nothing");
    } else if (missing) {
        q->load->manifest->include_missing = true;
        kl_report_add(&q->load->report, KILTER_WARNING, "manifest.include", kilter_origin_of(value),
                      "create the directory, or take the include out; until then no app is removed",
                      "%s: there is no directory for it", what);
    }
}

static void queue_file(struct queue *q, struct kilter_str path, struct kilter_origin origin)
{
    if (q->count == KL_MANIFEST_MAX_FILES) {
        problem(q, origin, NULL, "include", "there are more than 1000 files");
        return;
    }
    q->items[q->count++] = (struct pending){ path, origin };
}

static void queue_include(struct queue *q, const struct kilter_value *value, const char *directory)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kilter_str pattern = kilter_text(value);
    struct kl_include found;
    char what[300];

    if (!kl_value_is_text(value) || pattern.len == 0 || pattern.len > 1024)
        return;
    snprintf(what, sizeof what, "include \"%.*s\"", KILTER_STR_ARG(kilter_str_sub(pattern, 0, 200)));
    if (kl_include_expand(q->load->arena, directory, pattern, KL_MANIFEST_MAX_FILES, &found, &err) < 0)
        problem(q, kilter_origin_of(value), NULL, what, err.message);
    else if (found.count == 0)
        no_match(q, value, directory, found.directory_missing);
    for (size_t i = 0; err.code == 0 && i < found.count; i++)
        queue_file(q, found.paths[i], kilter_origin_of(value));
}

static const char *directory_of(struct kl_load *load, struct kilter_str path)
{
    ptrdiff_t slash = kilter_str_rfind(path, '/');
    struct kilter_str directory = slash < 0 ? KILTER_STR("") : kilter_str_sub(path, 0, slash ? (size_t)slash : 1);
    struct kilter_str copy = kilter_arena_str(load->arena, directory);
    return copy.ptr ? copy.ptr : "";
}

static void take_document(struct queue *q, const struct kilter_value *document, struct kilter_str path, bool first)
{
    struct kl_load *load = q->load;
    struct kl_raw_file raw = { 0 };
    const char *directory = directory_of(load, path);

    if (first)
        kl_table_defaults(&load->report, &kl_table_manifest, &raw);
    kl_table_fill(&load->report, first ? &kl_table_manifest : &kl_table_included, document,
                  first ? "the manifest" : "the included file", true, &raw);
    check_head(q, &raw, document);
    if (first) {
        load->manifest->installation = raw.metadata.name;
        load->manifest->daemon = raw.daemon;
        load->plugin_list = raw.plugins;
        load->daemon_section = kilter_get(document, "daemon");
        if (raw.metadata.name.len)
            kl_load_check_name(load, raw.metadata.name,
                               kilter_origin_of(kilter_get(kilter_get(document, "metadata"), "name")),
                               "an installation");
    }
    kl_load_enter(load, &load->sources, raw.sources);
    kl_load_enter(load, &load->environments, raw.environments);
    kl_load_enter(load, &load->targets, raw.targets);
    kl_load_enter(load, &load->policies, raw.policies);
    kl_load_enter(load, &load->apps, raw.apps);
    for (size_t i = 0; !load->options.no_include && i < kl_strings_count(raw.include); i++)
        queue_include(q, kl_strings_at(raw.include, i), directory);
}

static void parse(struct queue *q, struct kilter_str text, struct kilter_str path, bool first)
{
    struct kl_load *load = q->load;
    struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
    struct kilter_value *documents = NULL;

    options.file = path;
    options.max_bytes = KL_MANIFEST_MAX_FILE_BYTES;
    options.max_depth = 64;
    options.max_nodes = 500000;
    int rc = kilter_yaml_read(load->arena, text, &options, &documents, load->report.scratch);
    kl_report_flush(&load->report);
    if (rc == KILTER_E_NOMEM)
        kl_report_nomem(&load->report);
    if (rc < 0)
        return;
    size_t count = kilter_list_size(documents);
    struct kilter_origin origin = { path, 1, 1 };
    if (count > 1)
        kl_report_add(&load->report, KILTER_ERROR, "manifest.documents",
                      kilter_origin_of(kilter_list_at(documents, 1)), "use \"include\" for more files",
                      "a manifest is one document; here are %zu", count);
    else if (count == 0 && first)
        kl_report_add(&load->report, KILTER_ERROR, "manifest.documents", origin,
                      "it begins with: apiVersion: kilter.dev/v1", "the manifest is empty");
    else if (count == 1)
        take_document(q, kilter_list_at(documents, 0), path, first);
}

/* An include that fails is an error: what it would bring must never look removed. */
static void read_pending(struct queue *q, const struct pending *item, bool first)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kilter_buf text = KILTER_BUF_INIT(KL_MANIFEST_MAX_FILE_BYTES + 131072);
    KL_CLEANUP(kl_closep) int fd = -1;
    const char *path = item->path.ptr;

    int rc = open_file(q, path, &fd, &err);
    if (rc == 0)
        rc = read_text(fd, path, &text, &err);
    if (rc < 0)
        problem(q, first ? (struct kilter_origin){ item->path, 0, 0 } : item->origin,
                first ? "name the manifest with --manifest" : NULL, first ? "the manifest" : "include",
                err.message);
    if (rc == 0) {
        note_file(q, path);
        parse(q, kilter_buf_view(&text), item->path, first);
    }
    kilter_buf_release(&text);
}

void kl_load_files(struct kl_load *load, const char *path, const struct kilter_str *text)
{
    struct kilter_str *files = kl_load_alloc(load, (KL_MANIFEST_MAX_FILES + 1) * sizeof *files);
    struct queue q = { .load = load, .absolute = files };

    q.items = kl_load_alloc(load, (KL_MANIFEST_MAX_FILES + 1) * sizeof *q.items);
    load->manifest->path = kilter_arena_str(load->arena, kilter_str_c(path));
    if (!files || !q.items || !load->manifest->path.ptr) {
        kl_report_nomem(&load->report);
        return;
    }
    q.items[q.count++] = (struct pending){ .path = load->manifest->path };
    if (text) {
        note_file(&q, path);
        parse(&q, *text, load->manifest->path, true);
    }
    for (size_t i = text ? 1 : 0; i < q.count; i++)
        read_pending(&q, &q.items[i], i == 0);
    kl_map_release(&q.seen, NULL);
    load->manifest->files = files;
    load->manifest->file_count = q.absolute_count;
}
