// SPDX-License-Identifier: Apache-2.0
/*
 * The JSON reader: RFC 8259 and nothing beside it. It descends with the nesting,
 * which the depth limit bounds, and keeps finished children on one stack until their
 * list or map ends.
 */
#include <stdlib.h>

#include "arena.h"
#include "text.h"
#include "value.h"
#include "value_number.h"
#include "yaml_options.h"

struct reader {
    struct kilter_str text;
    size_t at;
    uint32_t line;
    size_t column_at; /* the byte up to which columns are counted on this line */
    uint32_t column;  /* the column of that byte */
    uint32_t depth;
    uint64_t nodes;
    struct kilter_arena *arena;
    struct kilter_diags *diags;
    struct kilter_parse_options options;
    struct kilter_value **children;
    size_t child_count, child_capacity;
    bool duplicates;
};

/* The position of the byte at `at`, which is on this line and not before one asked for earlier. */
static struct kilter_origin here(struct reader *r)
{
    for (; r->column_at < r->at; r->column_at++)
        r->column += ((unsigned char)r->text.ptr[r->column_at] & 0xc0) != 0x80;
    struct kilter_origin origin = { r->options.file, r->line, r->column };
    return origin;
}

static int refuse(struct reader *r, const char *message, const char *hint)
{
    kilter_diag_add(r->diags, KILTER_ERROR, "json.syntax", here(r), hint, "%s", message);
    return KILTER_E_INVALID;
}

static int over_limit(struct reader *r, const char *what, uint64_t limit)
{
    kilter_diag_add(r->diags, KILTER_ERROR, "json.limit", here(r), NULL, "more than %llu %s",
                    (unsigned long long)limit, what);
    return KILTER_E_LIMIT;
}

static int peek(const struct reader *r)
{
    return r->at < r->text.len ? (unsigned char)r->text.ptr[r->at] : -1;
}

static void skip_blanks(struct reader *r)
{
    for (;; r->at++) {
        int c = peek(r);
        if (c == '\n') {
            r->line++;
            r->column_at = r->at + 1;
            r->column = 1;
        } else if (c != ' ' && c != '\t' && c != '\r') {
            return;
        }
    }
}

static int place(struct reader *r, struct kilter_value *value, struct kilter_origin origin)
{
    if (!value)
        return KILTER_E_NOMEM;
    if (++r->nodes > r->options.max_nodes)
        return over_limit(r, "values in one text", r->options.max_nodes);
    kilter_set_origin(value, origin);
    return 0;
}

/* --- strings -------------------------------------------------------------------- */

/* The end of the run of bytes that stand for themselves. */
static size_t plain_run(struct kilter_str text, size_t at)
{
    while (at < text.len) {
        unsigned char c = (unsigned char)text.ptr[at];
        if (c == '"' || c == '\\' || c < 0x20)
            break;
        at++;
    }
    return at;
}

static int read_unit(struct reader *r, uint32_t *ret)
{
    *ret = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        int c = peek(r), digit = c < 0 ? -1 : kl_hex_value((char)c);
        if (digit < 0)
            return refuse(r, "expected four hexadecimal digits after \\u", NULL);
        *ret = *ret << 4 | (uint32_t)digit;
    }
    return 0;
}

/* Behind "\u": one unit, or two that make a character beyond the first plane. */
static int read_unicode(struct reader *r, uint32_t *ret)
{
    uint32_t low;
    int status = read_unit(r, ret);
    if (status < 0 || *ret < 0xd800 || *ret > 0xdfff)
        return status;
    if (*ret > 0xdbff || peek(r) != '\\' || r->at + 1 >= r->text.len || r->text.ptr[r->at + 1] != 'u')
        return refuse(r, "half of a surrogate pair in a string", "write both halves, or the character itself");
    r->at += 2;
    status = read_unit(r, &low);
    if (status < 0)
        return status;
    if (low < 0xdc00 || low > 0xdfff)
        return refuse(r, "half of a surrogate pair in a string", "write both halves, or the character itself");
    *ret = 0x10000 + ((*ret - 0xd800) << 10) + (low - 0xdc00);
    return 0;
}

static int read_escape(struct reader *r, uint32_t *ret)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    int c = peek(r);
    if (c == 'u') {
        r->at++;
        return read_unicode(r, ret);
    }
    const char *name = c > 0 ? strchr(names, c) : NULL;
    if (!name)
        return refuse(r, "unknown escape in a string", "write a backslash as \\\\");
    *ret = (unsigned char)values[name - names];
    r->at++;
    return 0;
}

/* Decodes up to the closing quote. `room` is as long as the text that is left of the string at most. */
static int decode(struct reader *r, char *room, size_t *ret_len)
{
    size_t len = 0;
    for (;;) {
        size_t end = plain_run(r->text, r->at);
        memcpy(room + len, r->text.ptr + r->at, end - r->at);
        len += end - r->at;
        r->at = end;
        int c = peek(r);
        if (c == '"')
            break;
        if (c < 0)
            return refuse(r, "this string has no closing quote", NULL);
        if (c != '\\')
            return refuse(r, "control character in a string", "write it as an escape: \\n, \\t, \\u0000");
        r->at++;
        uint32_t character;
        int status = read_escape(r, &character);
        if (status < 0)
            return status;
        len += kl_utf8_encode(character, room + len);
    }
    r->at++;
    *ret_len = len;
    return 0;
}

/* The closing quote's place by a look that skips escapes; the text's end without one. */
static size_t string_end(const struct reader *r)
{
    size_t at = r->at;
    for (;;) {
        at = plain_run(r->text, at);
        if (at >= r->text.len || r->text.ptr[at] == '"')
            return at;
        at += r->text.ptr[at] == '\\' && at + 1 < r->text.len ? 2 : 1;
    }
}

static int read_string(struct reader *r, struct kilter_value **ret)
{
    struct kilter_origin origin = here(r);
    r->at++;
    size_t end = string_end(r), len = 0;
    char *text = kl_arena_take(r->arena, end - r->at + 1, 1);
    if (!text)
        return KILTER_E_NOMEM;
    int status = decode(r, text, &len);
    if (status < 0)
        return status;
    text[len] = 0;
    *ret = kl_scalar_of(r->arena, text, len, KILTER_STYLE_DOUBLE_QUOTED);
    return place(r, *ret, origin);
}

/* --- numbers and words ------------------------------------------------------------- */
static bool ends_word(int c)
{
    return c < 0 || strchr(" \t\r\n,:[]{}\"", c);
}

static int refuse_word(struct reader *r, struct kilter_str word)
{
    static const struct kilter_str words[] = { KILTER_STR_INIT("true"), KILTER_STR_INIT("false"),
                                               KILTER_STR_INIT("null") };
    struct kilter_str nearest = kilter_nearest(word, words, 3);
    int c = word.len ? (unsigned char)word.ptr[0] : peek(r);
    if (c == '/' || c == '#')
        return refuse(r, "JSON has no comments", NULL);
    if (c == '\'')
        return refuse(r, "a string must be in double quotes", NULL);
    if (c == '-' || c == '+' || c == '.' || (c >= '0' && c <= '9'))
        return refuse(r, "this is no JSON number", "no leading zero or plus, digits on both sides of a point");
    if (nearest.len) {
        kilter_diag_add(r->diags, KILTER_ERROR, "json.syntax", here(r), NULL, "unknown word \"%.*s\", perhaps %.*s",
                        KILTER_STR_ARG(word), KILTER_STR_ARG(nearest));
        return KILTER_E_INVALID;
    }
    return refuse(r, "expected a value here",
                  c == ',' || c == ']' || c == '}' ? "remove the comma before it" : NULL);
}

static int read_word(struct reader *r, struct kilter_value **ret)
{
    struct kilter_origin origin = here(r);
    size_t from = r->at, end = from;
    bool is_float;
    while (!ends_word(end < r->text.len ? (unsigned char)r->text.ptr[end] : -1))
        end++;
    struct kilter_str word = kilter_str_sub(r->text, from, end - from);
    if (!kilter_str_eq_c(word, "true") && !kilter_str_eq_c(word, "false") && !kilter_str_eq_c(word, "null") &&
        !kl_is_json_number(word, &is_float))
        return refuse_word(r, word);
    r->at = end;
    *ret = kl_scalar_of(r->arena, kl_arena_copy(r->arena, word.ptr, word.len), word.len, KILTER_STYLE_PLAIN);
    return place(r, *ret, origin);
}

/* --- lists and maps ----------------------------------------------------------------- */
static int read_value(struct reader *r, struct kilter_value **ret);

static int push(struct reader *r, struct kilter_value *value)
{
    if (r->child_count == r->child_capacity) {
        size_t capacity = r->child_capacity ? r->child_capacity * 2 : 64;
        struct kilter_value **children = reallocarray(r->children, capacity, sizeof(struct kilter_value *));
        if (!children)
            return KILTER_E_NOMEM;
        r->children = children;
        r->child_capacity = capacity;
    }
    r->children[r->child_count++] = value;
    return 0;
}

/* An empty list or map at an opening bracket, which is taken. */
static int open_value(struct reader *r, enum kilter_type type, struct kilter_value **ret)
{
    if (++r->depth > r->options.max_depth)
        return over_limit(r, "lists and maps in one another", r->options.max_depth);
    *ret = kl_value_new(r->arena, type);
    int status = place(r, *ret, here(r));
    if (status < 0)
        return status;
    (*ret)->style = KILTER_STYLE_FLOW;
    r->at++;
    skip_blanks(r);
    return 0;
}

/* Behind a child: a comma (then *ret_end is false) or the closing bracket. */
static int read_separator(struct reader *r, char closing, bool *ret_end)
{
    skip_blanks(r);
    int c = peek(r);
    *ret_end = c == closing;
    if (c != ',' && c != closing)
        return refuse(r, closing == ']' ? "expected \",\" or \"]\"" : "expected \",\" or \"}\"", NULL);
    r->at++;
    skip_blanks(r);
    return 0;
}

static int finish_list(struct reader *r, size_t first, struct kilter_value *list)
{
    size_t count = r->child_count - first;
    list->as.items = kl_arena_take(r->arena, count * sizeof *list->as.items, _Alignof(void *));
    if (!list->as.items)
        return KILTER_E_NOMEM;
    memcpy(list->as.items, r->children + first, count * sizeof *list->as.items);
    list->count = list->capacity = (uint32_t)count;
    return 0;
}

static int read_list(struct reader *r, struct kilter_value **ret)
{
    size_t first = r->child_count;
    int status = open_value(r, KILTER_LIST, ret);
    bool ended = status == 0 && peek(r) == ']';
    if (ended)
        r->at++;
    while (status == 0 && !ended) {
        struct kilter_value *item = NULL;
        status = read_value(r, &item);
        if (status == 0)
            status = push(r, item);
        if (status == 0)
            status = read_separator(r, ']', &ended);
    }
    if (status == 0 && r->child_count > first)
        status = finish_list(r, first, *ret);
    r->child_count = first;
    r->depth--;
    return status;
}

static void put_entry(struct reader *r, struct kilter_value *map, struct kilter_value *key,
                      struct kilter_value *item)
{
    ptrdiff_t there = kl_map_find_or_index(map, kl_text(key), map->count);
    if (there < 0) {
        map->as.entries[map->count].key = key;
        map->as.entries[map->count++].item = item;
    } else if (r->options.flags & KILTER_PARSE_LAST_KEY_WINS) {
        map->as.entries[there].key = key;
        map->as.entries[there].item = item;
    } else {
        kl_duplicate_key(r->diags, "json.duplicate-key", key, map->as.entries[there].key);
        r->duplicates = true;
    }
}

static int finish_map(struct reader *r, size_t first, struct kilter_value *map)
{
    size_t capacity = (r->child_count - first) / 2;
    if (capacity > UINT32_MAX / 8 || !(map->as.entries = kl_entries_new(r->arena, (uint32_t)capacity)))
        return KILTER_E_NOMEM;
    map->capacity = (uint32_t)capacity;
    kl_map_index_clear(map);
    for (size_t i = first; i < r->child_count; i += 2)
        put_entry(r, map, r->children[i], r->children[i + 1]);
    map->indexed = map->capacity >= KL_INDEX_MIN;
    return 0;
}

static int read_entry(struct reader *r)
{
    struct kilter_value *key = NULL, *item = NULL;
    if (peek(r) != '"')
        return refuse(r, "expected a key in double quotes", peek(r) == '}' ? "remove the comma before it" : NULL);
    int status = read_string(r, &key);
    if (status < 0)
        return status;
    skip_blanks(r);
    if (peek(r) != ':')
        return refuse(r, "expected \":\" after the key", NULL);
    r->at++;
    skip_blanks(r);
    status = read_value(r, &item);
    if (status == 0)
        status = push(r, key);
    return status < 0 ? status : push(r, item);
}

static int read_map(struct reader *r, struct kilter_value **ret)
{
    size_t first = r->child_count;
    int status = open_value(r, KILTER_MAP, ret);
    bool ended = status == 0 && peek(r) == '}';
    if (ended)
        r->at++;
    while (status == 0 && !ended) {
        status = read_entry(r);
        if (status == 0)
            status = read_separator(r, '}', &ended);
    }
    if (status == 0 && r->child_count > first)
        status = finish_map(r, first, *ret);
    r->child_count = first;
    r->depth--;
    return status;
}

static int read_value(struct reader *r, struct kilter_value **ret)
{
    switch (peek(r)) {
    case '{':
        return read_map(r, ret);
    case '[':
        return read_list(r, ret);
    case '"':
        return read_string(r, ret);
    case -1:
        return refuse(r, "expected a value here, not the end of the text", NULL);
    default:
        return read_word(r, ret);
    }
}

/* The first byte that is not part of well-formed UTF-8. */
static size_t bad_utf8(struct kilter_str text)
{
    size_t at = 0, size = 1;
    uint32_t character;
    while (size) {
        size = kl_utf8_decode(kilter_str_sub(text, at, text.len), &character);
        at += size;
    }
    return at;
}

static int check_encoding(struct reader *r)
{
    if (kilter_str_is_utf8(r->text))
        return 0;
    size_t at = bad_utf8(r->text);
    kilter_diag_add(r->diags, KILTER_ERROR, "json.encoding", kl_origin_at(r->text, at, &r->options),
                    "save the file as UTF-8", "byte 0x%02x is not UTF-8 here", (unsigned char)r->text.ptr[at]);
    return KILTER_E_INVALID;
}

static int read_all(struct reader *r, struct kilter_value **ret)
{
    int status = check_encoding(r);
    if (status < 0)
        return status;
    skip_blanks(r);
    status = read_value(r, ret);
    if (status < 0)
        return status;
    skip_blanks(r);
    if (peek(r) >= 0)
        return refuse(r, "expected nothing more after the value", NULL);
    return r->duplicates ? KILTER_E_INVALID : 0;
}

int kilter_json_read(struct kilter_arena *arena, struct kilter_str text, const struct kilter_parse_options *options,
                     struct kilter_value **ret_value, struct kilter_diags *diags)
{
    struct reader r = {
        .text = text,
        .column = 1,
        .arena = arena,
        .diags = diags,
        .options = kl_parse_options(options),
    };
    struct kilter_value *value = NULL;
    r.line = r.options.first_line;
    int status = kl_check_size(text, &r.options, "json.limit", diags);
    if (status == 0)
        status = read_all(&r, &value);
    free(r.children);
    if (status == 0)
        *ret_value = value;
    return status;
}
