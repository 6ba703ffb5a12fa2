// SPDX-License-Identifier: Apache-2.0
/* Values: making, asking, copying, comparing. */
#include "value.h"

#include <inttypes.h>
#include <stdio.h>

#include "arena.h"

struct kilter_value *kl_value_new(struct kilter_arena *arena, enum kilter_type type)
{
    struct kilter_value *value = kl_arena_take(arena, sizeof *value, _Alignof(struct kilter_value));
    if (!value)
        return NULL;
    memset(value, 0, sizeof *value);
    value->type = (uint8_t)type;
    return value;
}

struct kilter_value *kl_scalar_of(struct kilter_arena *arena, const char *text, size_t len, enum kilter_style style)
{
    if (!text || len > UINT32_MAX)
        return NULL;
    struct kilter_value *value = kl_value_new(arena, KILTER_SCALAR);
    if (!value)
        return NULL;
    value->as.text = text;
    value->count = (uint32_t)len;
    value->style = (uint8_t)style;
    return value;
}

static struct kilter_value *new_scalar(struct kilter_arena *arena, struct kilter_str text, enum kilter_style style)
{
    return kl_scalar_of(arena, kl_arena_copy(arena, text.ptr, text.len), text.len, style);
}

struct kilter_value *kilter_null(struct kilter_arena *arena)
{
    return kl_scalar_of(arena, "null", 4, KILTER_STYLE_PLAIN);
}

struct kilter_value *kilter_bool(struct kilter_arena *arena, bool value)
{
    return kl_scalar_of(arena, value ? "true" : "false", value ? 4 : 5, KILTER_STYLE_PLAIN);
}

struct kilter_value *kilter_int(struct kilter_arena *arena, int64_t value)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRId64, value);
    return new_scalar(arena, kilter_str_n(text, (size_t)len), KILTER_STYLE_PLAIN);
}

struct kilter_value *kilter_uint(struct kilter_arena *arena, uint64_t value)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRIu64, value);
    return new_scalar(arena, kilter_str_n(text, (size_t)len), KILTER_STYLE_PLAIN);
}

/* A scalar without a tag whose style is not plain is a string; so this style says "a string". */
struct kilter_value *kilter_string(struct kilter_arena *arena, struct kilter_str text)
{
    return new_scalar(arena, text, KILTER_STYLE_ANY);
}

struct kilter_value *kilter_string_c(struct kilter_arena *arena, const char *text)
{
    return new_scalar(arena, kilter_str_c(text), KILTER_STYLE_ANY);
}

struct kilter_value *kilter_plain(struct kilter_arena *arena, struct kilter_str text)
{
    return new_scalar(arena, text, KILTER_STYLE_PLAIN);
}

static const struct kilter_str *new_tag(struct kilter_arena *arena, struct kilter_str tag)
{
    struct kilter_str *copy = kl_arena_take(arena, sizeof *copy, _Alignof(struct kilter_str));
    if (!copy)
        return NULL;
    *copy = kilter_arena_str(arena, tag);
    return copy->ptr ? copy : NULL;
}

struct kilter_value *kilter_scalar_new(struct kilter_arena *arena, struct kilter_str text, struct kilter_str tag,
                                       enum kilter_style style)
{
    struct kilter_value *value = new_scalar(arena, text, style);
    if (!value || !tag.len)
        return value;
    value->tag = new_tag(arena, tag);
    return value->tag ? value : NULL;
}

struct kilter_value *kilter_list(struct kilter_arena *arena)
{
    return kl_value_new(arena, KILTER_LIST);
}

struct kilter_value *kilter_map(struct kilter_arena *arena)
{
    return kl_value_new(arena, KILTER_MAP);
}

struct kilter_value *kilter_content_value(struct kilter_arena *arena, struct kilter_content *content)
{
    struct kilter_value *value = content ? kl_value_new(arena, KILTER_CONTENT) : NULL;
    if (value)
        value->as.content = content;
    return value;
}

/* --- asking ------------------------------------------------------------------ */
enum kilter_type kilter_type_of(const struct kilter_value *value)
{
    return value ? (enum kilter_type)value->type : (enum kilter_type)0;
}

enum kilter_style kilter_style_of(const struct kilter_value *value)
{
    return value ? (enum kilter_style)value->style : KILTER_STYLE_ANY;
}

void kilter_set_style(struct kilter_value *value, enum kilter_style style)
{
    if (value)
        value->style = (uint8_t)style;
}

struct kilter_str kilter_tag_of(const struct kilter_value *value)
{
    return value && value->tag ? *value->tag : KILTER_STR_NONE;
}

void kilter_set_tag(struct kilter_arena *arena, struct kilter_value *value, struct kilter_str tag)
{
    if (value)
        value->tag = tag.len ? new_tag(arena, tag) : NULL;
}

struct kilter_origin kilter_origin_of(const struct kilter_value *value)
{
    struct kilter_origin origin = { { NULL, 0 }, 0, 0 };
    if (value) {
        origin.file = kilter_str_n(value->file, value->file_len);
        origin.line = value->line;
        origin.column = value->column;
    }
    return origin;
}

void kilter_set_origin(struct kilter_value *value, struct kilter_origin origin)
{
    if (!value)
        return;
    value->file = origin.file.ptr;
    value->file_len = (uint32_t)origin.file.len;
    value->line = origin.line;
    value->column = origin.column;
}

struct kilter_str kilter_setter_of(const struct kilter_value *value)
{
    return value ? kilter_str_n(value->setter, value->setter_len) : KILTER_STR_NONE;
}

void kilter_set_setter(struct kilter_value *value, struct kilter_str setter)
{
    if (!value)
        return;
    value->setter = setter.ptr;
    value->setter_len = (uint32_t)setter.len;
}

uint32_t kilter_marks_of(const struct kilter_value *value)
{
    return value ? value->marks : 0;
}

void kilter_set_marks(struct kilter_value *value, uint32_t marks)
{
    if (value)
        value->marks = (uint8_t)marks;
}

/* Too deep to be sure counts as marked: what cannot be checked is not printed. */
static bool has_mark(const struct kilter_value *value, uint32_t mark, unsigned depth)
{
    if (!value)
        return false;
    if ((value->marks & mark) || depth > KL_MAX_DEPTH)
        return true;
    for (uint32_t i = 0; i < value->count && value->type == KILTER_LIST; i++) {
        if (has_mark(value->as.items[i], mark, depth + 1))
            return true;
    }
    for (uint32_t i = 0; i < value->count && value->type == KILTER_MAP; i++) {
        if (has_mark(value->as.entries[i].key, mark, depth + 1) ||
            has_mark(value->as.entries[i].item, mark, depth + 1))
            return true;
    }
    return false;
}

bool kilter_has_mark(const struct kilter_value *value, uint32_t mark)
{
    return has_mark(value, mark, 0);
}

struct kilter_str kilter_text(const struct kilter_value *value)
{
    return kl_is(value, KILTER_SCALAR) ? kl_text(value) : KILTER_STR_NONE;
}

bool kilter_is_null(const struct kilter_value *value, enum kilter_schema schema)
{
    struct kilter_scalar scalar;
    if (!value)
        return true;
    return kilter_resolve(value, schema, &scalar) == 0 && scalar.kind == KILTER_NULL;
}

struct kilter_content *kilter_content_of(const struct kilter_value *value)
{
    return kl_is(value, KILTER_CONTENT) ? value->as.content : NULL;
}

/* --- copying ------------------------------------------------------------------ */
static struct kilter_value *copy(struct kilter_arena *arena, const struct kilter_value *value, unsigned depth);

static bool copy_text(struct kilter_arena *arena, struct kilter_value *to)
{
    to->as.text = kl_arena_copy(arena, to->as.text, to->count);
    return to->as.text != NULL;
}

static bool copy_items(struct kilter_arena *arena, struct kilter_value *to, const struct kilter_value *from,
                       unsigned depth)
{
    to->capacity = from->count;
    to->as.items = kl_arena_take(arena, (from->count + (size_t)1) * sizeof *to->as.items, _Alignof(void *));
    if (!to->as.items)
        return false;
    for (uint32_t i = 0; i < from->count; i++) {
        to->as.items[i] = copy(arena, from->as.items[i], depth + 1);
        if (!to->as.items[i] && from->as.items[i])
            return false;
    }
    return true;
}

static bool copy_entries(struct kilter_arena *arena, struct kilter_value *to, const struct kilter_value *from,
                         unsigned depth)
{
    to->capacity = from->count;
    to->indexed = false;
    to->as.entries = kl_entries_new(arena, from->count);
    if (!to->as.entries)
        return false;
    for (uint32_t i = 0; i < from->count; i++) {
        const struct kl_entry *entry = &from->as.entries[i];
        to->as.entries[i].key = copy(arena, entry->key, depth + 1);
        to->as.entries[i].item = copy(arena, entry->item, depth + 1);
        if (!to->as.entries[i].key || (entry->item && !to->as.entries[i].item))
            return false;
    }
    return true;
}

/* The file name is only referenced by values and stays so; it outlives the arena's values by contract. */
static bool copy_labels(struct kilter_arena *arena, struct kilter_value *to)
{
    if (to->setter) {
        to->setter = kl_arena_copy(arena, to->setter, to->setter_len);
        if (!to->setter)
            return false;
    }
    if (to->tag) {
        to->tag = new_tag(arena, *to->tag);
        if (!to->tag)
            return false;
    }
    return true;
}

static struct kilter_value *copy(struct kilter_arena *arena, const struct kilter_value *value, unsigned depth)
{
    if (!value || depth > KL_MAX_DEPTH)
        return NULL;
    struct kilter_value *to = kl_arena_take(arena, sizeof *to, _Alignof(struct kilter_value));
    if (!to)
        return NULL;
    *to = *value;
    bool whole = copy_labels(arena, to);
    if (value->type == KILTER_SCALAR)
        whole = whole && copy_text(arena, to);
    else if (value->type == KILTER_LIST)
        whole = whole && copy_items(arena, to, value, depth);
    else if (value->type == KILTER_MAP)
        whole = whole && copy_entries(arena, to, value, depth);
    return whole ? to : NULL;
}

struct kilter_value *kilter_value_copy(struct kilter_arena *arena, const struct kilter_value *value)
{
    return copy(arena, value, 0);
}

/* --- comparing ---------------------------------------------------------------- */
static bool equal(const struct kilter_value *a, const struct kilter_value *b, enum kilter_schema schema,
                  unsigned depth);

static bool equal_scalars(const struct kilter_value *a, const struct kilter_value *b, enum kilter_schema schema)
{
    struct kilter_scalar x, y;
    int x_status = kilter_resolve(a, schema, &x), y_status = kilter_resolve(b, schema, &y);
    if (x_status < 0 || y_status < 0)
        return x_status == y_status && kilter_str_eq(kl_text(a), kl_text(b)) &&
               kilter_str_eq(kilter_tag_of(a), kilter_tag_of(b));
    if (x.kind != y.kind)
        return false;
    switch (x.kind) {
    case KILTER_NULL:
        return true;
    case KILTER_BOOL:
        return x.as.boolean == y.as.boolean;
    case KILTER_INT:
        return x.as.integer == y.as.integer;
    case KILTER_UINT:
        return x.as.unsigned_integer == y.as.unsigned_integer;
    case KILTER_FLOAT: /* a NaN is the same value as another one here, or nothing would ever converge */
        return x.as.number == y.as.number || (x.as.number != x.as.number && y.as.number != y.as.number);
    case KILTER_STRING:
        return kilter_str_eq(x.text, y.text);
    }
    return false;
}

static bool equal_lists(const struct kilter_value *a, const struct kilter_value *b, enum kilter_schema schema,
                        unsigned depth)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        if (!equal(a->as.items[i], b->as.items[i], schema, depth + 1))
            return false;
    }
    return true;
}

static bool equal_maps(const struct kilter_value *a, const struct kilter_value *b, enum kilter_schema schema,
                       unsigned depth)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        struct kilter_str key = kl_text(a->as.entries[i].key);
        /* Nearly always the same order: try the same place first. */
        ptrdiff_t at = kilter_str_eq(kl_text(b->as.entries[i].key), key) ? (ptrdiff_t)i : kilter_map_find(b, key);
        if (at < 0 || !equal(a->as.entries[i].item, b->as.entries[at].item, schema, depth + 1))
            return false;
    }
    return true;
}

static bool equal_contents(const struct kilter_content *a, const struct kilter_content *b)
{
    return a == b || (a->id.len && kilter_str_eq(a->id, b->id));
}

static bool equal(const struct kilter_value *a, const struct kilter_value *b, enum kilter_schema schema,
                  unsigned depth)
{
    if (a == b)
        return true;
    if (!a || !b)
        return kilter_is_null(a, schema) && kilter_is_null(b, schema);
    if (a->type != b->type || depth > KL_MAX_DEPTH)
        return false;
    switch ((enum kilter_type)a->type) {
    case KILTER_SCALAR:
        return equal_scalars(a, b, schema);
    case KILTER_LIST:
        return equal_lists(a, b, schema, depth);
    case KILTER_MAP:
        return equal_maps(a, b, schema, depth);
    case KILTER_CONTENT:
        return equal_contents(a->as.content, b->as.content);
    }
    return false;
}

bool kilter_value_equal(const struct kilter_value *a, const struct kilter_value *b, enum kilter_schema schema)
{
    return equal(a, b, schema, 0);
}

/* --- short cuts ---------------------------------------------------------------- */
struct kilter_str kilter_get_text(const struct kilter_value *map, const char *key)
{
    struct kilter_scalar scalar;
    if (kilter_resolve(kilter_get(map, key), KILTER_SCHEMA_KUBERNETES, &scalar) < 0 || scalar.kind != KILTER_STRING)
        return KILTER_STR_NONE;
    return scalar.text;
}

/* Resolves the scalar at `key`; null counts as not there. */
static int get_scalar(const struct kilter_value *map, const char *key, struct kilter_scalar *ret)
{
    const struct kilter_value *value = kilter_get(map, key);
    if (!value)
        return KILTER_E_NOT_FOUND;
    if (kilter_resolve(value, KILTER_SCHEMA_KUBERNETES, ret) < 0)
        return KILTER_E_INVALID;
    return ret->kind == KILTER_NULL ? KILTER_E_NOT_FOUND : 0;
}

int kilter_get_int(const struct kilter_value *map, const char *key, int64_t *ret)
{
    struct kilter_scalar scalar;
    int status = get_scalar(map, key, &scalar);
    if (status < 0)
        return status;
    if (scalar.kind != KILTER_INT)
        return KILTER_E_INVALID;
    *ret = scalar.as.integer;
    return 0;
}

int kilter_get_bool(const struct kilter_value *map, const char *key, bool *ret)
{
    struct kilter_scalar scalar;
    int status = get_scalar(map, key, &scalar);
    if (status < 0)
        return status;
    if (scalar.kind != KILTER_BOOL)
        return KILTER_E_INVALID;
    *ret = scalar.as.boolean;
    return 0;
}
