/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/substitute.h"

#define MAX_TEXT (1u << 20) /* bytes of one text, substituted */
#define MAX_NAMES 64u

/* One ${...} at `at`: its end, name and default. False when it is not closed. */
struct reference {
    struct kilter_str name, fallback;
    bool has_fallback;
    size_t end; /* behind the brace */
};

static bool read_reference(struct kilter_str text, size_t at, struct reference *ret)
{
    ptrdiff_t close = kilter_str_find(text, '}', at);

    if (close < 0)
        return false;
    struct kilter_str inner = kilter_str_sub(text, at + 2, (size_t)close - at - 2);
    *ret = (struct reference){ .name = inner, .end = (size_t)close + 1 };
    ptrdiff_t colon = kilter_str_find(inner, ':', 0);
    if (colon >= 0 && (size_t)colon + 1 < inner.len && inner.ptr[colon + 1] == '=') {
        ret->name = kilter_str_sub(inner, 0, (size_t)colon);
        ret->fallback = kilter_str_sub(inner, (size_t)colon + 2, inner.len);
        ret->has_fallback = true;
    }
    return true;
}

static struct kilter_str name_of(const struct kl_variable *variable)
{
    return variable->name ? kilter_str_c(variable->name) : variable->key;
}

static const struct kl_variable *find(const struct kl_scope *scope, struct kilter_str name)
{
    for (size_t i = 0; i < scope->count; i++)
        if (kilter_str_eq(name_of(&scope->variables[i]), name))
            return &scope->variables[i];
    return NULL;
}

static void unknown(struct kl_report *report, const struct kl_scope *scope, struct kilter_str name,
                    struct kilter_origin origin, const struct kl_variable *known)
{
    struct kilter_str names[MAX_NAMES];
    size_t count = 0;

    if (known) {
        kl_report_add(report, KILTER_ERROR, "manifest.variable", origin, "give a default: ${NAME:=DEFAULT}",
                      "\"${%.*s}\" has no value here: %s", KILTER_STR_ARG(kilter_str_sub(name, 0, 100)),
                      known->missing);
        return;
    }
    for (size_t i = 0; i < scope->count && count < MAX_NAMES; i++)
        names[count++] = name_of(&scope->variables[i]);
    kl_report_add(report, KILTER_ERROR, "manifest.variable", origin,
                  kl_report_nearest(report, name, names, count, "variables"),
                  "unknown variable \"%.*s\"; for a dollar sign write $$",
                  KILTER_STR_ARG(kilter_str_sub(name, 0, 100)));
}

static void expand_reference(struct kl_report *report, const struct kl_scope *scope, const struct reference *ref,
                             struct kilter_origin origin, struct kilter_buf *out)
{
    const struct kl_variable *variable = find(scope, ref->name);

    if (variable && variable->value.ptr && (variable->value.len || !ref->has_fallback))
        kilter_buf_str(out, variable->value);
    else if (ref->has_fallback && (variable || ref->name.len))
        kilter_buf_str(out, ref->fallback);
    else
        unknown(report, scope, ref->name, origin, variable);
}

static void expand(struct kl_report *report, const struct kl_scope *scope, struct kilter_str text,
                   struct kilter_origin origin, struct kilter_buf *out)
{
    for (size_t i = 0; i < text.len;) {
        char next = i + 1 < text.len ? text.ptr[i + 1] : '\0';
        struct reference ref;
        if (text.ptr[i] != '$' || (next != '$' && next != '{')) {
            kilter_buf_char(out, text.ptr[i++]);
        } else if (next == '$') {
            kilter_buf_char(out, '$');
            i += 2;
        } else if (read_reference(text, i, &ref)) {
            expand_reference(report, scope, &ref, origin, out);
            i = ref.end;
        } else {
            kl_report_add(report, KILTER_ERROR, "manifest.variable", origin, "for a dollar sign write $$",
                          "\"${\" without \"}\"");
            return;
        }
    }
}

static struct kilter_value *substitute_scalar(struct kl_report *report, const struct kl_scope *scope,
                                              const struct kilter_value *value)
{
    struct kilter_buf out = KILTER_BUF_INIT(MAX_TEXT);
    struct kilter_value *made;

    expand(report, scope, kilter_text(value), kilter_origin_of(value), &out);
    if (out.failed == KILTER_E_LIMIT)
        kl_report_add(report, KILTER_ERROR, "manifest.limit", kilter_origin_of(value), NULL,
                      "the text is longer than 1 MiB after substitution");
    if (out.failed == KILTER_E_NOMEM) {
        kilter_buf_release(&out);
        kl_report_nomem(report);
        return NULL;
    }
    made = kilter_scalar_new(report->arena, kilter_buf_view(&out), kilter_tag_of(value), kilter_style_of(value));
    kilter_buf_release(&out);
    if (!made) {
        kl_report_nomem(report);
        return NULL;
    }
    if (kilter_is_null(made, KILTER_SCHEMA_KUBERNETES)) /* an empty value is an empty text, not nothing */
        kilter_set_style(made, KILTER_STYLE_DOUBLE_QUOTED);
    kilter_set_origin(made, kilter_origin_of(value));
    kilter_set_marks(made, kilter_marks_of(value));
    return made;
}

/* Whether there is a dollar in it, so that something may have to be done. */
static bool is_touched(const struct kilter_value *value)
{
    switch (kilter_type_of(value)) {
    case KILTER_SCALAR:
        return kilter_str_find(kilter_text(value), '$', 0) >= 0;
    case KILTER_LIST:
        for (size_t i = 0; i < kilter_list_size(value); i++)
            if (is_touched(kilter_list_at(value, i)))
                return true;
        return false;
    case KILTER_MAP:
        for (size_t i = 0; i < kilter_map_size(value); i++)
            if (is_touched(kilter_map_at(value, i)))
                return true;
        return false;
    default:
        return false;
    }
}

static int substitute_in(struct kl_report *report, const struct kl_scope *scope, struct kilter_value *copy);

/* What takes the place of an item: a new scalar, or the list or map itself, changed. NULL out of memory. */
static struct kilter_value *substituted(struct kl_report *report, const struct kl_scope *scope,
                                        struct kilter_value *item)
{
    if (kilter_type_of(item) == KILTER_SCALAR)
        return is_touched(item) ? substitute_scalar(report, scope, item) : item;
    return substitute_in(report, scope, item) < 0 ? NULL : item;
}

/* `copy` is the caller's to change. */
static int substitute_in(struct kl_report *report, const struct kl_scope *scope, struct kilter_value *copy)
{
    bool list = kilter_type_of(copy) == KILTER_LIST;
    size_t count = list ? kilter_list_size(copy) : kilter_map_size(copy);

    for (size_t i = 0; i < count; i++) {
        struct kilter_value *made =
            substituted(report, scope, list ? kilter_list_at(copy, i) : kilter_map_at(copy, i));
        if (!made)
            return KILTER_E_NOMEM;
        if (list)
            kilter_list_set(copy, i, made);
        else if (kilter_map_set(report->arena, copy, kilter_text(kilter_map_key_at(copy, i)), made) < 0)
            return KILTER_E_NOMEM;
    }
    return 0;
}

const struct kilter_value *kl_substitute(struct kl_report *report, const struct kl_scope *scope,
                                         const struct kilter_value *value)
{
    if (!value || !is_touched(value))
        return value;
    if (kilter_type_of(value) == KILTER_SCALAR)
        return substitute_scalar(report, scope, value);
    struct kilter_value *copy = kilter_value_copy(report->arena, value);
    if (!copy || substitute_in(report, scope, copy) < 0) {
        kl_report_nomem(report);
        return NULL;
    }
    return copy;
}

static bool text_mentions(const struct kl_scope *scope, struct kilter_str text)
{
    for (size_t i = 0; i + 1 < text.len; i++) {
        struct reference ref;
        if (text.ptr[i] != '$')
            continue;
        if (text.ptr[i + 1] == '{' && read_reference(text, i, &ref)) {
            const struct kl_variable *variable = find(scope, ref.name);
            if (variable && variable->by_environment)
                return true;
        }
        i++; /* also over the second dollar of two */
    }
    return false;
}

bool kl_mentions_environment(const struct kl_scope *scope, const struct kilter_value *value)
{
    switch (value ? kilter_type_of(value) : KILTER_CONTENT) {
    case KILTER_SCALAR:
        return text_mentions(scope, kilter_text(value));
    case KILTER_LIST:
        for (size_t i = 0; i < kilter_list_size(value); i++)
            if (kl_mentions_environment(scope, kilter_list_at(value, i)))
                return true;
        return false;
    case KILTER_MAP:
        for (size_t i = 0; i < kilter_map_size(value); i++)
            if (kl_mentions_environment(scope, kilter_map_at(value, i)))
                return true;
        return false;
    default:
        return false;
    }
}
