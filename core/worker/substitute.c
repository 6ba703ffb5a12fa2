/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/substitute.h"

#include <ctype.h>
#include <stdio.h>

#define MAX_TEXT (16u << 20) /* bytes of one scalar afterwards */
#define MAX_NESTED 8u        /* defaults inside of defaults */

struct substitution {
    struct kilter_arena *arena;
    const struct kilter_value *variables, *inputs;
    struct kilter_diags *diags;
    const struct kilter_value *scalar; /* at hand */
    bool secret;                       /* an input went into it */
    int rc;
};

/* --- one text --------------------------------------------------------------------- */
/* Where in the file a place of the scalar's text is, as well as its style lets us know. */
static struct kilter_origin place(const struct kilter_value *scalar, size_t at)
{
    struct kilter_origin origin = kilter_origin_of(scalar);
    struct kilter_str before = kilter_str_sub(kilter_text(scalar), 0, at);
    if (kilter_style_of(scalar) != KILTER_STYLE_LITERAL || !origin.line)
        return origin;
    origin.line++; /* the text begins below its '|' */
    origin.column = 0;
    for (size_t i = 0; i < before.len; i++)
        origin.line += before.ptr[i] == '\n';
    return origin;
}

static void complain(struct substitution *s, size_t at, const char *code, const char *hint, const char *message,
                     struct kilter_str name)
{
    kilter_diag_add(s->diags, KILTER_ERROR, code, place(s->scalar, at), hint, "%s \"%.*s\"", message,
                    KILTER_STR_ARG(kilter_str_sub(name, 0, 100)));
    if (s->rc == 0)
        s->rc = KILTER_E_INVALID;
}

static void complain_unknown(struct substitution *s, size_t at, struct kilter_str name)
{
    struct kilter_str names[256];
    char hint[200];
    size_t count = 0;
    const struct kilter_value *maps[] = { s->variables, s->inputs };
    for (size_t m = 0; m < 2; m++)
        for (size_t i = 0; i < kilter_map_size(maps[m]) && count < 256; i++)
            names[count++] = kilter_text(kilter_map_key_at(maps[m], i));
    struct kilter_str near = kilter_nearest(name, names, count);
    if (near.ptr)
        snprintf(hint, sizeof hint, "did you mean \"%.*s\"?", KILTER_STR_ARG(near));
    else
        snprintf(hint, sizeof hint, "give it a default, ${name:=default}, or write $${ for a literal ${");
    complain(s, at, "substitute.unknown", hint, "unknown variable", name);
}

static size_t name_length(struct kilter_str text)
{
    size_t n = 0;
    while (n < text.len && (isalpha((unsigned char)text.ptr[n]) || text.ptr[n] == '_' ||
                            (n && (isdigit((unsigned char)text.ptr[n]) || text.ptr[n] == '.'))))
        n++;
    return n;
}

/* The length of what stands between "${" and its "}", or -1. */
static ptrdiff_t expression_length(struct kilter_str text)
{
    size_t open = 1;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '$' && i + 1 < text.len && (text.ptr[i + 1] == '{' || text.ptr[i + 1] == '$'))
            open += text.ptr[++i] == '{';
        else if (text.ptr[i] == '}' && --open == 0)
            return (ptrdiff_t)i;
    }
    return -1;
}

static bool look_up(struct substitution *s, struct kilter_str name, struct kilter_str *ret)
{
    const struct kilter_value *input = kilter_map_get(s->inputs, name);
    const struct kilter_value *value = input ? input : kilter_map_get(s->variables, name);
    *ret = kilter_text(value);
    if (input && ret->len)
        s->secret = true;
    return value != NULL;
}

static void expand(struct substitution *s, struct kilter_str text, size_t at, unsigned nested,
                   struct kilter_buf *out);

/* `inside` is "name" or "name:=default"; `at`: where it stands in the scalar. */
static void expand_one(struct substitution *s, struct kilter_str inside, size_t at, unsigned nested,
                       struct kilter_buf *out)
{
    size_t length = name_length(inside);
    struct kilter_str name = kilter_str_sub(inside, 0, length);
    struct kilter_str rest = kilter_str_sub(inside, length, SIZE_MAX);
    bool has_default = kilter_str_starts(rest, KILTER_STR(":=")) || kilter_str_starts(rest, KILTER_STR(":-"));
    struct kilter_str value;

    if (!length || (rest.len && !has_default)) {
        complain(s, at, "substitute.syntax", "write ${name}, ${name:=default}, or $${ for a literal ${",
                 "cannot be substituted:", inside);
        return;
    }
    bool known = look_up(s, name, &value);
    if (value.len || (known && !has_default))
        kilter_buf_str(out, value);
    else if (has_default && nested < MAX_NESTED)
        expand(s, kilter_str_sub(rest, 2, SIZE_MAX), at + length + 2, nested + 1, out);
    else if (has_default)
        complain(s, at, "substitute.syntax", NULL, "too many defaults inside of one another:", inside);
    else
        complain_unknown(s, at, name);
}

/* `at`: where `text` stands in the scalar's own text. */
static void expand(struct substitution *s, struct kilter_str text, size_t at, unsigned nested,
                   struct kilter_buf *out)
{
    size_t from = 0;
    for (ptrdiff_t next; (next = kilter_str_find(text, '$', from)) >= 0;) {
        size_t dollar = (size_t)next;
        char after = dollar + 1 < text.len ? text.ptr[dollar + 1] : '\0';
        kilter_buf_str(out, kilter_str_sub(text, from, dollar - from));
        if (after != '{') { /* "$$" is one '$', and a single one is itself */
            kilter_buf_char(out, '$');
            from = dollar + (after == '$' ? 2 : 1);
            continue;
        }
        struct kilter_str rest = kilter_str_sub(text, dollar + 2, SIZE_MAX);
        ptrdiff_t length = expression_length(rest);
        if (length < 0) {
            complain(s, at + dollar, "substitute.syntax", "write $${ for a literal ${", "no } closes", rest);
            return;
        }
        expand_one(s, kilter_str_sub(rest, 0, (size_t)length), at + dollar + 2, nested, out);
        from = dollar + 2 + (size_t)length + 1;
    }
    kilter_buf_str(out, kilter_str_sub(text, from, SIZE_MAX));
}

/* --- the document -------------------------------------------------------------------- */
static void inherit(struct substitution *s, struct kilter_value *copy, const struct kilter_value *original,
                    uint32_t more_marks)
{
    kilter_set_origin(copy, kilter_origin_of(original));
    kilter_set_setter(copy, kilter_setter_of(original));
    kilter_set_marks(copy, kilter_marks_of(original) | more_marks);
    if (kilter_type_of(original) != KILTER_SCALAR) {
        kilter_set_style(copy, kilter_style_of(original));
        if (kilter_tag_of(original).ptr)
            kilter_set_tag(s->arena, copy, kilter_tag_of(original));
    }
}

static struct kilter_value *replace_scalar(struct substitution *s, struct kilter_value *scalar)
{
    struct kilter_str text = kilter_text(scalar);
    if (!text.len || !memchr(text.ptr, '$', text.len))
        return scalar;

    struct kilter_buf out = KILTER_BUF_INIT(MAX_TEXT);
    struct kilter_value *copy = NULL;
    s->scalar = scalar;
    s->secret = false;
    expand(s, text, 0, 0, &out);
    if (!out.failed)
        copy = kilter_scalar_new(s->arena, kilter_buf_view(&out), kilter_tag_of(scalar), kilter_style_of(scalar));
    if (copy)
        inherit(s, copy, scalar, s->secret ? KILTER_VALUE_SECRET : 0);
    else
        s->rc = out.failed ? out.failed : KILTER_E_NOMEM;
    kilter_buf_release(&out);
    return copy ? copy : scalar;
}

static struct kilter_value *replace(struct substitution *s, struct kilter_value *value);

static struct kilter_value *replace_list(struct substitution *s, struct kilter_value *list)
{
    struct kilter_value *copy = NULL;
    for (size_t i = 0; i < kilter_list_size(list); i++) {
        struct kilter_value *item = kilter_list_at(list, i);
        struct kilter_value *replaced = replace(s, item);
        if (replaced == item && !copy)
            continue;
        if (!copy) { /* the first that differs: a list of our own, with what came before */
            copy = kilter_list(s->arena);
            for (size_t k = 0; copy && k < i; k++)
                if (kilter_list_add(s->arena, copy, kilter_list_at(list, k)) < 0)
                    copy = NULL;
        }
        if (!copy || kilter_list_add(s->arena, copy, replaced) < 0) {
            s->rc = KILTER_E_NOMEM;
            return list;
        }
    }
    if (copy)
        inherit(s, copy, list, 0);
    return copy ? copy : list;
}

static bool add_entry(struct substitution *s, struct kilter_value *map, struct kilter_value *key,
                      struct kilter_value *item)
{
    if (kilter_map_find(map, kilter_text(key)) >= 0) {
        s->scalar = key;
        complain(s, 0, "substitute.duplicate-key", NULL,
                 "after the substitution a key is there twice:", kilter_text(key));
        return true;
    }
    if (kilter_map_add(s->arena, map, key, item) == 0)
        return true;
    s->rc = KILTER_E_NOMEM;
    return false;
}

static struct kilter_value *replace_map(struct substitution *s, struct kilter_value *map)
{
    size_t count = kilter_map_size(map);
    bool changed = false;
    struct kilter_value **entries = kilter_arena_calloc(s->arena, count, 2 * sizeof *entries);
    if (!entries) {
        s->rc = KILTER_E_NOMEM;
        return map;
    }
    for (size_t i = 0; i < count; i++) {
        entries[2 * i] = replace(s, kilter_map_key_at(map, i));
        entries[2 * i + 1] = replace(s, kilter_map_at(map, i));
        changed |= entries[2 * i] != kilter_map_key_at(map, i) || entries[2 * i + 1] != kilter_map_at(map, i);
    }
    if (!changed)
        return map;

    struct kilter_value *copy = kilter_map(s->arena);
    if (!copy)
        s->rc = KILTER_E_NOMEM;
    for (size_t i = 0; copy && i < count; i++)
        if (!add_entry(s, copy, entries[2 * i], entries[2 * i + 1]))
            return map;
    if (copy)
        inherit(s, copy, map, 0);
    return copy ? copy : map;
}

static struct kilter_value *replace(struct substitution *s, struct kilter_value *value)
{
    switch (kilter_type_of(value)) {
    case KILTER_SCALAR:
        return replace_scalar(s, value);
    case KILTER_LIST:
        return replace_list(s, value);
    case KILTER_MAP:
        return replace_map(s, value);
    case KILTER_CONTENT:
        break;
    }
    return value;
}

int kl_substitute(struct kilter_arena *arena, struct kilter_value *document, const struct kilter_value *variables,
                  const struct kilter_value *inputs, struct kilter_value **ret, struct kilter_diags *diags)
{
    struct substitution s = { .arena = arena, .variables = variables, .inputs = inputs, .diags = diags };
    struct kilter_value *replaced = replace(&s, document);
    if (s.rc == 0)
        *ret = replaced;
    return s.rc;
}
