// SPDX-License-Identifier: Apache-2.0
/* The JSON writer. */
#include <inttypes.h>
#include <stdlib.h>

#include "text.h"
#include "value_number.h"
#include "yaml_output.h"

struct writer {
    struct kilter_buf *out;
    struct kl_output output;
};

static int write_value(struct writer *w, const struct kilter_value *value, unsigned depth);

static void put_escape(struct kilter_buf *out, unsigned char c)
{
    static const char names[] = "btn\0fr"; /* of the control characters 8 to 13 */
    if (c == '"' || c == '\\')
        kilter_buf_printf(out, "\\%c", c);
    else if (c >= 8 && c <= 13 && names[c - 8])
        kilter_buf_printf(out, "\\%c", names[c - 8]);
    else
        kilter_buf_printf(out, "\\u%04x", c);
}

/* What is no UTF-8 has no form in JSON: each such byte becomes U+FFFD, as in Go's encoder. */
static int put_string(struct kilter_buf *out, struct kilter_str text)
{
    size_t from = 0, at = 0;
    bool valid = kilter_str_is_utf8(text);
    kilter_buf_char(out, '"');
    while (at < text.len) {
        unsigned char c = (unsigned char)text.ptr[at];
        uint32_t character;
        size_t size = valid || c < 0x80 ? 1 : kl_utf8_decode(kilter_str_sub(text, at, 4), &character);
        if (size && c >= 0x20 && c != '"' && c != '\\') {
            at += size;
            continue;
        }
        kilter_buf_append(out, text.ptr + from, at - from);
        if (size)
            put_escape(out, c);
        else
            kilter_buf_c(out, "\\ufffd");
        from = ++at;
    }
    kilter_buf_append(out, text.ptr + from, text.len - from);
    return kilter_buf_char(out, '"');
}

/* A line of its own at a depth, where lines are wanted. */
static void break_line(struct writer *w, unsigned depth)
{
    if (!(w->output.flags & KILTER_WRITE_PRETTY))
        return;
    kilter_buf_char(w->out, '\n');
    kilter_buf_fill(w->out, ' ', 2 * (size_t)depth);
}

static int put_number(struct kilter_buf *out, const struct kilter_scalar *scalar)
{
    bool is_float;
    char text[KL_NUMBER_MAX];
    if (kl_is_json_number(scalar->text, &is_float))
        return kilter_buf_str(out, scalar->text);
    if (scalar->kind == KILTER_INT)
        return kilter_buf_printf(out, "%" PRId64, scalar->as.integer);
    if (scalar->kind == KILTER_UINT)
        return kilter_buf_printf(out, "%" PRIu64, scalar->as.unsigned_integer);
    if (scalar->as.number - scalar->as.number != 0)
        return put_string(out, scalar->text);
    return kilter_buf_c(out, kl_format_double_json(scalar->as.number, text));
}

static int write_scalar(struct writer *w, const struct kilter_value *value)
{
    struct kilter_scalar scalar;
    int status = kl_output_scalar(&w->output, value, &scalar);
    if (status < 0)
        return status;
    switch (scalar.kind) {
    case KILTER_NULL:
        return kilter_buf_c(w->out, "null");
    case KILTER_BOOL:
        return kilter_buf_c(w->out, scalar.as.boolean ? "true" : "false");
    case KILTER_STRING:
        return put_string(w->out, scalar.text);
    default:
        return put_number(w->out, &scalar);
    }
}

static int write_list(struct writer *w, const struct kilter_value *list, unsigned depth)
{
    int status = 0;
    kilter_buf_char(w->out, '[');
    for (uint32_t i = 0; i < list->count && status == 0; i++) {
        if (i)
            kilter_buf_char(w->out, ',');
        break_line(w, depth + 1);
        status = write_value(w, list->as.items[i], depth + 1);
    }
    if (list->count)
        break_line(w, depth);
    kilter_buf_char(w->out, ']');
    return status;
}

static int write_map(struct writer *w, const struct kilter_value *map, unsigned depth)
{
    bool pretty = w->output.flags & KILTER_WRITE_PRETTY;
    uint32_t count = 0;
    struct kl_output_entry *entries =
        kl_output_entries(&w->output, map, w->output.flags & KILTER_WRITE_SORTED ? kilter_str_cmp : NULL, &count);
    int status = entries ? 0 : KILTER_E_NOMEM;
    kilter_buf_char(w->out, '{');
    for (uint32_t i = 0; i < count && status == 0; i++) {
        if (i)
            kilter_buf_char(w->out, ',');
        break_line(w, depth + 1);
        put_string(w->out, entries[i].key);
        kilter_buf_c(w->out, pretty ? ": " : ":");
        status = write_value(w, entries[i].item, depth + 1);
    }
    if (map->count)
        break_line(w, depth);
    kilter_buf_char(w->out, '}');
    free(entries);
    return status;
}

static int write_content(struct writer *w, const struct kilter_value *content, unsigned depth)
{
    if (!(w->output.flags & KILTER_WRITE_CONTENT))
        return KILTER_E_INVALID;
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kilter_value *map = arena ? kl_output_content(arena, content) : NULL;
    int status = map ? write_map(w, map, depth) : KILTER_E_NOMEM;
    kilter_arena_free(arena);
    return status;
}

static int write_value(struct writer *w, const struct kilter_value *value, unsigned depth)
{
    struct kilter_str stand_in = kl_output_stand_in(&w->output, value);
    if (depth > KL_MAX_DEPTH)
        return KILTER_E_LIMIT;
    if (w->out->failed)
        return w->out->failed;
    if (stand_in.ptr)
        return put_string(w->out, stand_in);
    switch (kilter_type_of(value)) {
    case KILTER_LIST:
        return write_list(w, value, depth);
    case KILTER_MAP:
        return write_map(w, value, depth);
    case KILTER_CONTENT:
        return write_content(w, value, depth);
    default:
        return write_scalar(w, value);
    }
}

int kilter_json_write(struct kilter_buf *out, const struct kilter_value *value, enum kilter_schema schema,
                      uint32_t flags)
{
    struct writer w = { .out = out, .output = KL_OUTPUT_INIT(schema, flags) };
    int status = write_value(&w, value, 0);
    kl_output_release(&w.output);
    return status < 0 ? status : out->failed;
}
