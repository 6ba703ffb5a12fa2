/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The form of a value, numbers being unsigned LEB128 in their shortest form and texts a length and bytes:
 *
 *     head     1 byte: the type in the low nibble, HAS_... in the high one
 *     style    1 byte, not for contents
 *     tag      text                                     with HAS_TAG
 *     origin   file, line, column                       with HAS_ORIGIN; file: 0 for the file of the origin
 *                                                       before, or 1 and a text
 *     setter   text                                     with HAS_SETTER
 *     marks    1 byte                                   with HAS_MARKS
 *     body     scalar: text; list: count and values; map: count and pairs, keys being scalars;
 *              content: id and length
 *
 * There is one way to write a value, so that equal bytes are equal values and the decoder can refuse the rest.
 */
#include "wire/codec.h"

#include <stdlib.h>

#define HAS_TAG 0x10u
#define HAS_ORIGIN 0x20u
#define HAS_SETTER 0x40u
#define HAS_MARKS 0x80u
#define KNOWN_MARKS (KILTER_VALUE_SECRET | KILTER_VALUE_UNKNOWN)
#define MAX_LEVELS 200u
#define LEAST_VALUE 3u /* bytes of the smallest value: head, style, empty text or count */

/* --- writing ----------------------------------------------------------------- */
struct encoder {
    struct kilter_buf *out;
    struct kilter_str file; /* of the origin written last */
};

static void put_number(struct kilter_buf *out, uint64_t number)
{
    while (number >= 0x80) {
        kilter_buf_char(out, (char)(0x80 | (number & 0x7f)));
        number >>= 7;
    }
    kilter_buf_char(out, (char)number);
}

static void put_text(struct kilter_buf *out, struct kilter_str text)
{
    put_number(out, text.len);
    kilter_buf_append(out, text.ptr ? text.ptr : "", text.len);
}

static void put_origin(struct encoder *enc, struct kilter_origin origin)
{
    if (kilter_str_eq(origin.file, enc->file)) {
        put_number(enc->out, 0);
    } else {
        put_number(enc->out, 1);
        put_text(enc->out, origin.file);
        enc->file = origin.file;
    }
    put_number(enc->out, origin.line);
    put_number(enc->out, origin.column);
}

static bool style_fits(enum kilter_type type, unsigned style)
{
    return style == KILTER_STYLE_ANY ||
           (type == KILTER_SCALAR ? style <= KILTER_STYLE_FOLDED
                                  : style == KILTER_STYLE_BLOCK || style == KILTER_STYLE_FLOW);
}

static void put_head(struct encoder *enc, const struct kilter_value *value)
{
    struct kilter_str tag = kilter_tag_of(value);
    struct kilter_str setter = kilter_setter_of(value);
    struct kilter_origin origin = kilter_origin_of(value);
    uint32_t marks = kilter_marks_of(value) & KNOWN_MARKS;
    bool has_origin = origin.file.len || origin.line || origin.column;
    enum kilter_type type = kilter_type_of(value);
    enum kilter_style style = kilter_style_of(value);

    kilter_buf_char(enc->out, (char)((unsigned)type | (tag.len ? HAS_TAG : 0) | (has_origin ? HAS_ORIGIN : 0) |
                                     (setter.len ? HAS_SETTER : 0) | (marks ? HAS_MARKS : 0)));
    if (type != KILTER_CONTENT)
        kilter_buf_char(enc->out, (char)(style_fits(type, style) ? style : KILTER_STYLE_ANY));
    if (tag.len)
        put_text(enc->out, tag);
    if (has_origin)
        put_origin(enc, origin);
    if (setter.len)
        put_text(enc->out, setter);
    if (marks)
        kilter_buf_char(enc->out, (char)marks);
}

static void put_value(struct encoder *enc, const struct kilter_value *value, unsigned level);

static void put_entries(struct encoder *enc, const struct kilter_value *map, unsigned level)
{
    put_number(enc->out, kilter_map_size(map));
    for (size_t i = 0; i < kilter_map_size(map); i++) {
        const struct kilter_value *key = kilter_map_key_at(map, i);
        if (kilter_type_of(key) != KILTER_SCALAR && !enc->out->failed)
            enc->out->failed = KILTER_E_INVALID;
        put_value(enc, key, level + 1);
        put_value(enc, kilter_map_at(map, i), level + 1);
    }
}

static void put_content(struct encoder *enc, const struct kilter_value *value)
{
    const struct kilter_content *content = kilter_content_of(value);
    put_text(enc->out, content ? content->id : KILTER_STR_NONE);
    put_number(enc->out, content ? content->length : 0);
}

static void put_value(struct encoder *enc, const struct kilter_value *value, unsigned level)
{
    if (enc->out->failed)
        return;
    if (level > MAX_LEVELS) {
        enc->out->failed = KILTER_E_LIMIT;
        return;
    }
    if (!value) { /* an entry without a value reads as null */
        static const char null_value[] = { KILTER_SCALAR, KILTER_STYLE_PLAIN, 4, 'n', 'u', 'l', 'l' };
        kilter_buf_append(enc->out, null_value, sizeof null_value);
        return;
    }

    put_head(enc, value);
    switch (kilter_type_of(value)) {
    case KILTER_SCALAR:
        put_text(enc->out, kilter_text(value));
        return;
    case KILTER_LIST:
        put_number(enc->out, kilter_list_size(value));
        for (size_t i = 0; i < kilter_list_size(value); i++)
            put_value(enc, kilter_list_at(value, i), level + 1);
        return;
    case KILTER_MAP:
        put_entries(enc, value, level);
        return;
    case KILTER_CONTENT:
        put_content(enc, value);
        return;
    }
    if (!enc->out->failed)
        enc->out->failed = KILTER_E_INVALID;
}

int kl_value_encode(struct kilter_buf *out, const struct kilter_value *value)
{
    struct encoder enc = { .out = out, .file = KILTER_STR("") };
    put_value(&enc, value, 1);
    return out->failed;
}

/* --- reading ----------------------------------------------------------------- */
struct decoder {
    struct kilter_arena *arena;
    struct kilter_str rest;
    struct kilter_str file; /* of the origin read last, in the arena */
    kl_content_resolver resolver;
    void *resolver_data;
    struct kilter_error *err;
};

static int bad(struct decoder *dec, const char *what)
{
    return kilter_error_set(dec->err, KILTER_E_INVALID, "an encoded value is damaged: %s", what);
}

static int no_memory(struct decoder *dec)
{
    return kilter_error_set(dec->err, KILTER_E_NOMEM, "no memory for an encoded value");
}

static int get_byte(struct decoder *dec, unsigned *ret)
{
    if (dec->rest.len == 0)
        return bad(dec, "it ends too soon");
    *ret = (unsigned char)dec->rest.ptr[0];
    dec->rest = kilter_str_sub(dec->rest, 1, SIZE_MAX);
    return 0;
}

static int get_number(struct decoder *dec, uint64_t max, uint64_t *ret)
{
    uint64_t number = 0;
    for (unsigned shift = 0;; shift += 7) {
        unsigned byte = 0;
        if (get_byte(dec, &byte) < 0)
            return KILTER_E_INVALID;
        if (shift == 63 && byte > 1)
            return bad(dec, "a number is too large");
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (byte == 0 && shift > 0)
                return bad(dec, "a number is longer than it has to be");
            break;
        }
    }
    if (number > max)
        return bad(dec, "a number is too large");
    *ret = number;
    return 0;
}

/* A view into the input. */
static int get_text(struct decoder *dec, struct kilter_str *ret)
{
    uint64_t length;
    int rc = get_number(dec, UINT64_MAX, &length);
    if (rc < 0)
        return rc;
    if (length > dec->rest.len)
        return bad(dec, "a text is longer than what is there");
    *ret = kilter_str_sub(dec->rest, 0, (size_t)length);
    dec->rest = kilter_str_sub(dec->rest, (size_t)length, SIZE_MAX);
    return 0;
}

static int get_count(struct decoder *dec, size_t least_bytes, size_t *ret)
{
    uint64_t count = 0;
    int rc = get_number(dec, UINT64_MAX, &count);
    if (rc < 0)
        return rc;
    if (count > dec->rest.len / least_bytes)
        return bad(dec, "a list or map has more entries than there are bytes");
    *ret = (size_t)count;
    return 0;
}

static int get_origin(struct decoder *dec, struct kilter_origin *ret)
{
    uint64_t new_file, line, column;
    int rc = get_number(dec, 1, &new_file);
    if (rc == 0 && new_file) {
        struct kilter_str file;
        if ((rc = get_text(dec, &file)) < 0)
            return rc;
        if (kilter_str_eq(file, dec->file))
            return bad(dec, "a file is named twice in a row");
        dec->file = kilter_arena_str(dec->arena, file);
        if (!dec->file.ptr)
            return no_memory(dec);
    }
    if (rc < 0 || (rc = get_number(dec, UINT32_MAX, &line)) < 0 || (rc = get_number(dec, UINT32_MAX, &column)) < 0)
        return rc;
    if (!dec->file.len && !line && !column)
        return bad(dec, "an origin says nothing");
    *ret = (struct kilter_origin){ dec->file, (uint32_t)line, (uint32_t)column };
    return 0;
}

struct head {
    enum kilter_type type;
    enum kilter_style style;
    struct kilter_str tag, setter;
    bool has_origin;
    struct kilter_origin origin;
    unsigned marks;
};

static int get_head(struct decoder *dec, struct head *ret)
{
    unsigned byte = 0, style = 0;
    int rc = get_byte(dec, &byte);
    if (rc < 0)
        return rc;
    *ret = (struct head){ .type = (enum kilter_type)(byte & 0x0f), .has_origin = byte & HAS_ORIGIN };
    if (ret->type < KILTER_SCALAR || ret->type > KILTER_CONTENT)
        return bad(dec, "a value of an unknown type");
    if (ret->type != KILTER_CONTENT && (rc = get_byte(dec, &style)) < 0)
        return rc;
    if (!style_fits(ret->type, style))
        return bad(dec, "a style does not fit its value");
    ret->style = (enum kilter_style)style;

    if ((byte & HAS_TAG && (rc = get_text(dec, &ret->tag)) < 0) ||
        (byte & HAS_ORIGIN && (rc = get_origin(dec, &ret->origin)) < 0) ||
        (byte & HAS_SETTER && (rc = get_text(dec, &ret->setter)) < 0) ||
        (byte & HAS_MARKS && (rc = get_byte(dec, &ret->marks)) < 0))
        return rc;
    if ((byte & HAS_TAG && !ret->tag.len) || (byte & HAS_SETTER && !ret->setter.len))
        return bad(dec, "an empty tag or setter");
    if (byte & HAS_MARKS && (!ret->marks || ret->marks & ~KNOWN_MARKS))
        return bad(dec, "unknown marks");
    return 0;
}

static int apply_head(struct decoder *dec, const struct head *head, struct kilter_value *value)
{
    if (head->tag.len && head->type != KILTER_SCALAR)
        kilter_set_tag(dec->arena, value, head->tag);
    if (head->type == KILTER_LIST || head->type == KILTER_MAP)
        kilter_set_style(value, head->style);
    if (head->has_origin)
        kilter_set_origin(value, head->origin);
    if (head->setter.len) {
        struct kilter_str setter = kilter_arena_str(dec->arena, head->setter);
        if (!setter.ptr)
            return no_memory(dec);
        kilter_set_setter(value, setter);
    }
    kilter_set_marks(value, head->marks);
    return 0;
}

static int get_value(struct decoder *dec, unsigned level, struct kilter_value **ret);

static int get_items(struct decoder *dec, unsigned level, struct kilter_value *list)
{
    size_t count = 0;
    int rc = get_count(dec, LEAST_VALUE, &count);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct kilter_value *item;
        if ((rc = get_value(dec, level + 1, &item)) == 0 && kilter_list_add(dec->arena, list, item) < 0)
            rc = no_memory(dec);
    }
    return rc;
}

static int order_texts(const void *a, const void *b)
{
    return kilter_str_cmp(*(const struct kilter_str *)a, *(const struct kilter_str *)b);
}

static int check_keys_differ(struct decoder *dec, const struct kilter_value *map)
{
    size_t count = kilter_map_size(map);
    struct kilter_str few[32];
    struct kilter_str *keys = count <= 32 ? few : malloc(count * sizeof *keys);
    if (!keys)
        return no_memory(dec);
    for (size_t i = 0; i < count; i++)
        keys[i] = kilter_text(kilter_map_key_at(map, i));
    qsort(keys, count, sizeof *keys, order_texts);

    int rc = 0;
    for (size_t i = 1; rc == 0 && i < count; i++)
        if (kilter_str_eq(keys[i - 1], keys[i]))
            rc = bad(dec, "a key is there twice");
    if (keys != few)
        free(keys);
    return rc;
}

static int get_entries(struct decoder *dec, unsigned level, struct kilter_value *map)
{
    size_t count = 0;
    int rc = get_count(dec, (size_t)LEAST_VALUE * 2, &count);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct kilter_value *key, *item;
        if ((rc = get_value(dec, level + 1, &key)) < 0)
            break;
        if (kilter_type_of(key) != KILTER_SCALAR)
            return bad(dec, "a key that is no scalar");
        if ((rc = get_value(dec, level + 1, &item)) == 0 && kilter_map_add(dec->arena, map, key, item) < 0)
            rc = no_memory(dec);
    }
    return rc < 0 ? rc : check_keys_differ(dec, map);
}

static int unresolved_read(struct kilter_content *content, uint64_t offset, void *bytes, size_t len,
                           size_t *ret_len, struct kilter_error *err)
{
    (void)offset, (void)bytes, (void)len, (void)ret_len;
    return kilter_error_set(err, KILTER_E_NOT_FOUND, "the content %.*s is not at hand here",
                            KILTER_STR_ARG(content->id));
}

static const struct kilter_content_ops unresolved_ops = { sizeof unresolved_ops, unresolved_read, NULL };

static struct kilter_content *make_content(struct decoder *dec, struct kilter_str id, uint64_t length)
{
    struct kilter_content *content = NULL;
    if (dec->resolver && id.len)
        content = dec->resolver(dec->resolver_data, dec->arena, id, length);
    if (content)
        return content;

    content = kilter_arena_alloc(dec->arena, sizeof *content);
    if (!content)
        return NULL;
    content->ops = &unresolved_ops;
    content->length = length;
    if (id.len && !(content->id = kilter_arena_str(dec->arena, id)).ptr)
        return NULL;
    return content;
}

static int get_content(struct decoder *dec, struct kilter_value **ret)
{
    struct kilter_str id;
    uint64_t length;
    int rc;
    if ((rc = get_text(dec, &id)) < 0 || (rc = get_number(dec, UINT64_MAX, &length)) < 0)
        return rc;
    struct kilter_content *content = make_content(dec, id, length);
    *ret = content ? kilter_content_value(dec->arena, content) : NULL;
    return *ret ? 0 : no_memory(dec);
}

static int get_scalar(struct decoder *dec, const struct head *head, struct kilter_value **ret)
{
    struct kilter_str text;
    int rc = get_text(dec, &text);
    if (rc < 0)
        return rc;
    *ret = kilter_scalar_new(dec->arena, text, head->tag, head->style);
    return *ret ? 0 : no_memory(dec);
}

static int get_value(struct decoder *dec, unsigned level, struct kilter_value **ret)
{
    struct head head;
    if (level > MAX_LEVELS)
        return kilter_error_set(dec->err, KILTER_E_LIMIT, "an encoded value is nested deeper than %u levels",
                                MAX_LEVELS);
    int rc = get_head(dec, &head);
    if (rc < 0)
        return rc;

    struct kilter_value *value = NULL;
    switch (head.type) {
    case KILTER_SCALAR:
        rc = get_scalar(dec, &head, &value);
        break;
    case KILTER_LIST:
        value = kilter_list(dec->arena);
        rc = value ? get_items(dec, level, value) : no_memory(dec);
        break;
    case KILTER_MAP:
        value = kilter_map(dec->arena);
        rc = value ? get_entries(dec, level, value) : no_memory(dec);
        break;
    case KILTER_CONTENT:
        rc = get_content(dec, &value);
        break;
    }
    if (rc == 0)
        rc = apply_head(dec, &head, value);
    if (rc == 0)
        *ret = value;
    return rc;
}

int kl_value_decode(struct kilter_arena *arena, struct kilter_str bytes, kl_content_resolver resolver,
                    void *resolver_data, struct kilter_value **ret, struct kilter_error *err)
{
    struct decoder dec = { .arena = arena,
                           .rest = bytes,
                           .file = KILTER_STR(""),
                           .resolver = resolver,
                           .resolver_data = resolver_data,
                           .err = err };
    struct kilter_value *value;
    int rc = get_value(&dec, 1, &value);
    if (rc == 0 && dec.rest.len)
        rc = bad(&dec, "something follows it");
    if (rc == 0)
        *ret = value;
    return rc;
}
