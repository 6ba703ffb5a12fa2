/* SPDX-License-Identifier: Apache-2.0 */
/*
 * renderer.h: a tree of one commit in, resources out.
 *
 * A renderer reads nothing but the tree. Every question it asks is recorded
 * with its answer, and this record is the exact set of things whose change
 * makes kilter render again; so a renderer has no annotation to maintain and
 * must not remember anything between calls.
 */
#ifndef KILTER_RENDERER_H
#define KILTER_RENDERER_H

#include <kilter/plugin.h>
#include <kilter/resource.h>

KILTER_BEGIN_DECLS

/* --- tree ---------------------------------------------------------------------
 * Read-only view of one commit (or of a plain directory, for `kilter render
 * DIR`). Paths are relative to the root, '/'-separated, "" is the root;
 * "." and ".." segments and empty ones are resolved on the text first, and a
 * path that leaves the root is KILTER_E_PERMISSION. Links are followed inside
 * the tree only, at most 40 of them, KILTER_E_PERMISSION when they lead out. */
enum kilter_entry_type {
    KILTER_ENTRY_ABSENT = 0,
    KILTER_ENTRY_FILE = 1,
    KILTER_ENTRY_EXECUTABLE = 2,
    KILTER_ENTRY_DIRECTORY = 3,
    KILTER_ENTRY_LINK = 4,
    KILTER_ENTRY_SUBMODULE = 5, /* content is not there */
};

struct kilter_entry {
    struct kilter_str name; /* one segment, in the call's arena */
    enum kilter_entry_type type;
};

struct kilter_tree;

struct kilter_tree_ops {
    size_t size;
    /* What is at `path`, without following a link in its last segment. Absence is an answer, not an error. */
    int (*stat)(struct kilter_tree *tree, struct kilter_str path, enum kilter_entry_type *ret_type,
                struct kilter_error *err);
    /* The file at `path`, links followed. KILTER_E_NOT_FOUND when there is none, KILTER_E_CONFLICT when
     * it is a directory. The handle lives as long as the tree. */
    int (*open)(struct kilter_tree *tree, struct kilter_str path, struct kilter_content **ret,
                struct kilter_error *err);
    /* The entries of a directory, links followed, sorted by name bytewise. */
    int (*list)(struct kilter_tree *tree, struct kilter_str path, struct kilter_arena *arena,
                const struct kilter_entry **ret_entries, size_t *ret_count, struct kilter_error *err);
    /* The text of a link. KILTER_E_NOT_FOUND when there is nothing, KILTER_E_CONFLICT when it is no link. */
    int (*read_link)(struct kilter_tree *tree, struct kilter_str path, struct kilter_arena *arena,
                     struct kilter_str *ret_target, struct kilter_error *err);
    /* The path with every link resolved, relative to the root; KILTER_E_NOT_FOUND when it leads nowhere. */
    int (*resolve)(struct kilter_tree *tree, struct kilter_str path, struct kilter_arena *arena,
                   struct kilter_str *ret_path, struct kilter_error *err);
};

struct kilter_tree {
    const struct kilter_tree_ops *ops;
    void *data; /* the maker's */
};

KILTER_API int kilter_tree_stat(struct kilter_tree *tree, struct kilter_str path, enum kilter_entry_type *ret_type,
                                struct kilter_error *err);
KILTER_API int kilter_tree_open(struct kilter_tree *tree, struct kilter_str path, struct kilter_content **ret,
                                struct kilter_error *err);
KILTER_API int kilter_tree_list(struct kilter_tree *tree, struct kilter_str path, struct kilter_arena *arena,
                                const struct kilter_entry **ret_entries, size_t *ret_count,
                                struct kilter_error *err);
KILTER_API int kilter_tree_read_link(struct kilter_tree *tree, struct kilter_str path, struct kilter_arena *arena,
                                     struct kilter_str *ret_target, struct kilter_error *err);
KILTER_API int kilter_tree_resolve(struct kilter_tree *tree, struct kilter_str path, struct kilter_arena *arena,
                                   struct kilter_str *ret_path, struct kilter_error *err);
/* Opens and reads a whole text into the arena, at most `max` bytes (0: 64 MiB). */
KILTER_API int kilter_tree_read(struct kilter_tree *tree, struct kilter_str path, struct kilter_arena *arena,
                                size_t max, struct kilter_str *ret_text, struct kilter_error *err);
/* Joins and normalises: ("a/b", "../c") gives "a/c". KILTER_E_PERMISSION when it leaves the root. */
KILTER_API int kilter_path_join(struct kilter_arena *arena, struct kilter_str base, struct kilter_str path,
                                struct kilter_str *ret, struct kilter_error *err);

/* --- render -------------------------------------------------------------------- */
struct kilter_render_sink {
    size_t size;
    /* Takes one resource, at once: the document may be reused afterwards. The host refuses a second
     * resource of the same id, naming both origins. */
    int (*emit)(struct kilter_render_sink *sink, const struct kilter_resource *resource);
    /* Asks for another repository (a remote base): its tree when the core has it; else KILTER_E_NEED,
     * which the renderer passes on at the end, after asking for all it needs: the core fetches and
     * renders again. KILTER_E_PERMISSION when the app does not allow it. */
    int (*need)(struct kilter_render_sink *sink, struct kilter_str url, struct kilter_str ref,
                struct kilter_tree **ret_tree);
    void *host_data;
};

struct kilter_renderer {
    size_t size;
    const struct kilter_config_schema *options; /* of an app's `renderer:` entry, or NULL */
    /* Whether this renderer is the natural one for a path of which the app names none; 0 no, higher is
     * surer (1: any directory of YAML, 10: its own marker file is there). May be NULL. */
    int (*detect)(struct kilter_call *call, struct kilter_tree *tree, struct kilter_str path);
    /* Renders `path`. KILTER_E_INVALID with diagnostics when the input is wrong. */
    int (*render)(struct kilter_call *call, struct kilter_tree *tree, struct kilter_str path, const void *options,
                  struct kilter_render_sink *sink);
};

KILTER_END_DECLS

#endif
