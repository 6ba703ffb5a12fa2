/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value.h: the one document model for renderers, targets and core.
 *
 * A value is a scalar, a list, a map or a content handle, allocated from an
 * arena and never freed by itself. A scalar keeps the text of its source, its
 * tag and style, so that what was read is written back as it stood; what the
 * text means (null, boolean, number, string) is a question asked with a schema
 * as parameter, not a property of the parsed document. Lists and maps keep the
 * order of their source. Values may be shared inside one arena as long as
 * nobody changes them. Not thread-safe.
 */
#ifndef KILTER_VALUE_H
#define KILTER_VALUE_H

#include <kilter/diag.h>

KILTER_BEGIN_DECLS

struct kilter_value;
struct kilter_content;

enum kilter_type { KILTER_SCALAR = 1, KILTER_LIST = 2, KILTER_MAP = 3, KILTER_CONTENT = 4 };

enum kilter_style {
    KILTER_STYLE_ANY = 0, /* the writer chooses */
    KILTER_STYLE_PLAIN = 1,
    KILTER_STYLE_SINGLE_QUOTED = 2,
    KILTER_STYLE_DOUBLE_QUOTED = 3,
    KILTER_STYLE_LITERAL = 4,
    KILTER_STYLE_FOLDED = 5,
    KILTER_STYLE_BLOCK = 6, /* lists and maps */
    KILTER_STYLE_FLOW = 7,
};

/* How a plain scalar's text is understood. */
enum kilter_schema {
    /* sigs.k8s.io/yaml (go-yaml v2): YAML 1.1's booleans true/false/yes/no/on/off/y/n in the three
     * cases, octal 0o17 and 017, binary, underscores, sexagesimal not, null as null, ~, "" */
    KILTER_SCHEMA_KUBERNETES = 1,
    /* kyaml (go-yaml v3): as 1.2, with 1.1's octal and booleans only where the decode target is bool */
    KILTER_SCHEMA_KUSTOMIZE = 2,
    /* RFC 8259: true, false, null and JSON numbers; everything else is a string */
    KILTER_SCHEMA_JSON = 3,
};

enum kilter_scalar_kind {
    KILTER_NULL = 1,
    KILTER_BOOL = 2,
    KILTER_INT = 3,  /* fits int64 */
    KILTER_UINT = 4, /* above INT64_MAX, fits uint64 */
    KILTER_FLOAT = 5,
    KILTER_STRING = 6,
};

struct kilter_scalar {
    enum kilter_scalar_kind kind;
    union {
        bool boolean;
        int64_t integer;
        uint64_t unsigned_integer;
        double number;
    } as;
    struct kilter_str text; /* always the exact text */
};

/* Marks of a value. A secret mark on a list or map covers what is in it. */
#define KILTER_VALUE_SECRET 1u  /* never printed or stored in clear */
#define KILTER_VALUE_UNKNOWN 2u /* known only after the apply */

/* --- making ----------------------------------------------------------------
 * Each returns NULL when the arena is at its maximum. Texts are copied. */
KILTER_API struct kilter_value *kilter_null(struct kilter_arena *arena);
KILTER_API struct kilter_value *kilter_bool(struct kilter_arena *arena, bool value);
KILTER_API struct kilter_value *kilter_int(struct kilter_arena *arena, int64_t value);
KILTER_API struct kilter_value *kilter_uint(struct kilter_arena *arena, uint64_t value);
/* A string whatever its text looks like: the writers quote it where a reader would take "1" for a number. */
KILTER_API struct kilter_value *kilter_string(struct kilter_arena *arena, struct kilter_str text);
KILTER_API struct kilter_value *kilter_string_c(struct kilter_arena *arena, const char *text);
/* A plain scalar: its text decides what it is. `tag` may be absent. */
KILTER_API struct kilter_value *kilter_plain(struct kilter_arena *arena, struct kilter_str text);
KILTER_API struct kilter_value *kilter_scalar_new(struct kilter_arena *arena, struct kilter_str text,
                                                  struct kilter_str tag, enum kilter_style style);
KILTER_API struct kilter_value *kilter_list(struct kilter_arena *arena);
KILTER_API struct kilter_value *kilter_map(struct kilter_arena *arena);
/* The handle is referenced, not copied; it must live as long as the arena. */
KILTER_API struct kilter_value *kilter_content_value(struct kilter_arena *arena, struct kilter_content *content);
/* A deep copy, with origins, setters and marks. NULL for NULL. */
KILTER_API struct kilter_value *kilter_value_copy(struct kilter_arena *arena, const struct kilter_value *value);

/* --- asking ---------------------------------------------------------------- */
KILTER_API enum kilter_type kilter_type_of(const struct kilter_value *value);
KILTER_API enum kilter_style kilter_style_of(const struct kilter_value *value);
KILTER_API void kilter_set_style(struct kilter_value *value, enum kilter_style style);
/* The explicit tag as written ("!!str", "!custom"), or absent. */
KILTER_API struct kilter_str kilter_tag_of(const struct kilter_value *value);
KILTER_API void kilter_set_tag(struct kilter_arena *arena, struct kilter_value *value, struct kilter_str tag);
KILTER_API struct kilter_origin kilter_origin_of(const struct kilter_value *value);
/* The file name is referenced, not copied: it must live as long as the arena. */
KILTER_API void kilter_set_origin(struct kilter_value *value, struct kilter_origin origin);
/* Who set this value last, for `render --explain`: a text in the arena, absent when nobody said. */
KILTER_API struct kilter_str kilter_setter_of(const struct kilter_value *value);
KILTER_API void kilter_set_setter(struct kilter_value *value, struct kilter_str setter);
KILTER_API uint32_t kilter_marks_of(const struct kilter_value *value);
KILTER_API void kilter_set_marks(struct kilter_value *value, uint32_t marks);
/* Whether the value or anything in it is marked. */
KILTER_API bool kilter_has_mark(const struct kilter_value *value, uint32_t mark);

/* The text of a scalar; absent for NULL and for anything else. */
KILTER_API struct kilter_str kilter_text(const struct kilter_value *value);
/* What a scalar means. KILTER_E_INVALID when it is no scalar, or when its tag and its text disagree. */
KILTER_API int kilter_resolve(const struct kilter_value *value, enum kilter_schema schema,
                              struct kilter_scalar *ret);
/* Whether it is a scalar that resolves to null (also for NULL). */
KILTER_API bool kilter_is_null(const struct kilter_value *value, enum kilter_schema schema);
/* The handle of a content value, else NULL. */
KILTER_API struct kilter_content *kilter_content_of(const struct kilter_value *value);

/* Whether both mean the same: scalars by kind and value, lists in order, maps in any order, contents by id. */
KILTER_API bool kilter_value_equal(const struct kilter_value *a, const struct kilter_value *b,
                                   enum kilter_schema schema);

/* --- lists ------------------------------------------------------------------
 * Adding returns KILTER_E_NOMEM at the arena's maximum. Indices beyond the end answer NULL. */
KILTER_API size_t kilter_list_size(const struct kilter_value *list);
KILTER_API struct kilter_value *kilter_list_at(const struct kilter_value *list, size_t index);
KILTER_API int kilter_list_add(struct kilter_arena *arena, struct kilter_value *list, struct kilter_value *item);
KILTER_API int kilter_list_insert(struct kilter_arena *arena, struct kilter_value *list, size_t index,
                                  struct kilter_value *item);
KILTER_API void kilter_list_set(struct kilter_value *list, size_t index, struct kilter_value *item);
KILTER_API void kilter_list_remove(struct kilter_value *list, size_t index);

/* --- maps -------------------------------------------------------------------
 * Keys are values too (they have an origin and a style), compared by text. Looking up in a large map
 * builds an index on first use. */
KILTER_API size_t kilter_map_size(const struct kilter_value *map);
KILTER_API struct kilter_value *kilter_map_key_at(const struct kilter_value *map, size_t index);
KILTER_API struct kilter_value *kilter_map_at(const struct kilter_value *map, size_t index);
/* NULL when absent, or when `map` is NULL or no map. */
KILTER_API struct kilter_value *kilter_map_get(const struct kilter_value *map, struct kilter_str key);
KILTER_API struct kilter_value *kilter_get(const struct kilter_value *map, const char *key);
/* The index of a key, or -1. */
KILTER_API ptrdiff_t kilter_map_find(const struct kilter_value *map, struct kilter_str key);
/* Replaces the value of an existing key in place, else appends. */
KILTER_API int kilter_map_set(struct kilter_arena *arena, struct kilter_value *map, struct kilter_str key,
                              struct kilter_value *item);
KILTER_API int kilter_set(struct kilter_arena *arena, struct kilter_value *map, const char *key,
                          struct kilter_value *item);
/* Appends a key that is a value itself; the caller vouches that it is new. */
KILTER_API int kilter_map_add(struct kilter_arena *arena, struct kilter_value *map, struct kilter_value *key,
                              struct kilter_value *item);
KILTER_API bool kilter_map_remove(struct kilter_value *map, struct kilter_str key);
/* Stable sort of the entries by key, bytewise; not recursive. */
KILTER_API void kilter_map_sort(struct kilter_value *map);

/* --- short cuts for reading documents (schema: Kubernetes) ------------------- */
/* The text of the string at `key`, or absent (also for null). */
KILTER_API struct kilter_str kilter_get_text(const struct kilter_value *map, const char *key);
/* 0 and the number, KILTER_E_NOT_FOUND, or KILTER_E_INVALID when it is no int64. */
KILTER_API int kilter_get_int(const struct kilter_value *map, const char *key, int64_t *ret);
KILTER_API int kilter_get_bool(const struct kilter_value *map, const char *key, bool *ret);

/* --- content handles --------------------------------------------------------
 * Large or binary content: never bytes in a frame, always this. Valid in
 * render, plan and apply; the id names the same bytes in each. */
struct kilter_content_ops {
    size_t size; /* sizeof(struct kilter_content_ops) */
    /* Reads up to `len` bytes at `offset`; *ret_len 0 at the end. */
    int (*read)(struct kilter_content *content, uint64_t offset, void *bytes, size_t len, size_t *ret_len,
                struct kilter_error *err);
    void (*close)(struct kilter_content *content); /* may be NULL */
};

struct kilter_content {
    const struct kilter_content_ops *ops;
    struct kilter_str id; /* "<git object id>": equal ids, equal bytes; KILTER_SECRET contents have none */
    uint64_t length;      /* bytes */
    void *data;           /* the maker's */
};

KILTER_API int kilter_content_read(struct kilter_content *content, uint64_t offset, void *bytes, size_t len,
                                   size_t *ret_len, struct kilter_error *err);
/* The whole content into `out`; KILTER_E_LIMIT when it is longer than the buffer's maximum. */
KILTER_API int kilter_content_read_all(struct kilter_content *content, struct kilter_buf *out,
                                       struct kilter_error *err);
/* A handle over bytes in memory, which must live as long; its id is "sha256:<hex>" of the bytes. */
KILTER_API struct kilter_content *kilter_content_bytes(struct kilter_arena *arena, struct kilter_str bytes);

KILTER_END_DECLS

#endif
