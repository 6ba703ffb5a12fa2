// SPDX-License-Identifier: Apache-2.0
/*
 * The YAML writer. Both forms are the output of the same encoder, go-yaml v2 in
 * sigs.k8s.io/yaml, behind JSON: block style throughout, sorted keys, lists not
 * indented under their key. They differ in how plain text that was read is understood.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "value_number.h"
#include "value_resolve.h"
#include "yaml_output.h"
#include "yaml_text.h"

#define STEP 2
#define SIMPLE_KEY_MAX 128 /* bytes; a longer key is written behind "? " */

/* Where a value stands decides where its own lines begin. */
enum place { PLACE_ROOT, PLACE_ITEM, PLACE_ENTRY };

struct writer {
    struct kl_page page;
    struct kl_output output;
};

static int write_value(struct writer *w, const struct kilter_value *value, int indent, enum place place,
                       unsigned depth);

/* Scalars are always one step in, at the root as well. */
static int text_indent(int indent)
{
    return indent < 0 ? STEP : indent + STEP;
}

/* A double has gone through JSON, where a whole number has no point: it comes back as an integer. */
static void put_float(struct kl_page *page, double value)
{
    char text[KL_NUMBER_MAX];
    struct kilter_scalar again;
    if (isnan(value)) {
        kl_page_plain(page, KILTER_STR(".nan"));
        return;
    }
    if (isinf(value)) {
        kl_page_plain(page, value < 0 ? KILTER_STR("-.inf") : KILTER_STR(".inf"));
        return;
    }
    kl_format_double_json(value, text);
    kl_resolve_plain(kilter_str_c(text), KILTER_SCHEMA_JSON, &again);
    if (again.kind == KILTER_FLOAT)
        kl_format_double_yaml(value, text);
    else if (again.kind == KILTER_INT && again.as.integer == 0)
        strcpy(text, "0");
    kl_page_plain(page, kilter_str_c(text));
}

static void put_integer(struct kl_page *page, const struct kilter_scalar *scalar)
{
    char text[KL_NUMBER_MAX];
    if (scalar->kind == KILTER_INT)
        snprintf(text, sizeof text, "%" PRId64, scalar->as.integer);
    else
        snprintf(text, sizeof text, "%" PRIu64, scalar->as.unsigned_integer);
    kl_page_plain(page, kilter_str_c(text));
}

static int write_scalar(struct writer *w, const struct kilter_value *value, int indent)
{
    struct kilter_scalar scalar;
    int status = kl_output_scalar(&w->output, value, &scalar);
    if (status < 0)
        return status;
    switch (scalar.kind) {
    case KILTER_NULL:
        kl_page_plain(&w->page, KILTER_STR("null"));
        break;
    case KILTER_BOOL:
        kl_page_plain(&w->page, scalar.as.boolean ? KILTER_STR("true") : KILTER_STR("false"));
        break;
    case KILTER_FLOAT:
        put_float(&w->page, scalar.as.number);
        break;
    case KILTER_STRING:
        kl_page_string(&w->page, scalar.text, text_indent(indent), false);
        break;
    default:
        put_integer(&w->page, &scalar);
    }
    return w->page.out->failed;
}

static void put_empty(struct kl_page *page, const char *opening, const char *closing)
{
    kl_page_indicator(page, opening, true, true, false);
    kl_page_indicator(page, closing, false, false, false);
}

static int write_list(struct writer *w, const struct kilter_value *list, int indent, enum place place,
                      unsigned depth)
{
    int status = 0;
    if (indent < 0)
        indent = 0;
    else if (place != PLACE_ENTRY || w->page.indentation)
        indent += STEP;
    for (uint32_t i = 0; i < list->count && status == 0; i++) {
        kl_page_indent(&w->page, indent);
        kl_page_indicator(&w->page, "-", true, false, true);
        status = write_value(w, list->as.items[i], indent, PLACE_ITEM, depth + 1);
    }
    return status;
}

static void write_key(struct writer *w, struct kilter_str key, int indent)
{
    bool simple = key.len <= SIMPLE_KEY_MAX && !kl_text_look(key).multiline;
    kl_page_indent(&w->page, indent);
    if (!simple)
        kl_page_indicator(&w->page, "?", true, false, true);
    kl_page_string(&w->page, key, text_indent(indent), simple);
    if (!simple)
        kl_page_indent(&w->page, indent);
    kl_page_indicator(&w->page, ":", !simple, false, !simple);
}

static int write_map(struct writer *w, const struct kilter_value *map, int indent, unsigned depth)
{
    uint32_t count = 0;
    struct kl_output_entry *entries = kl_output_entries(&w->output, map, kl_natural_order, &count);
    int status = entries ? 0 : KILTER_E_NOMEM;
    indent = indent < 0 ? 0 : indent + STEP;
    for (uint32_t i = 0; i < count && status == 0; i++) {
        write_key(w, entries[i].key, indent);
        status = write_value(w, entries[i].item, indent, PLACE_ENTRY, depth + 1);
    }
    free(entries);
    return status;
}

static int write_content(struct writer *w, const struct kilter_value *content, int indent, unsigned depth)
{
    if (!(w->output.flags & KILTER_WRITE_CONTENT))
        return KILTER_E_INVALID;
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kilter_value *map = arena ? kl_output_content(arena, content) : NULL;
    int status = map ? write_map(w, map, indent, depth) : KILTER_E_NOMEM;
    kilter_arena_free(arena);
    return status;
}

static int write_value(struct writer *w, const struct kilter_value *value, int indent, enum place place,
                       unsigned depth)
{
    struct kilter_str stand_in = kl_output_stand_in(&w->output, value);
    if (depth > KL_MAX_DEPTH)
        return KILTER_E_LIMIT;
    if (w->page.out->failed)
        return w->page.out->failed;
    if (stand_in.ptr) {
        kl_page_string(&w->page, stand_in, text_indent(indent), false);
        return 0;
    }
    switch (kilter_type_of(value)) {
    case KILTER_LIST:
        if (value->count)
            return write_list(w, value, indent, place, depth);
        put_empty(&w->page, "[", "]");
        return 0;
    case KILTER_MAP:
        if (value->count)
            return write_map(w, value, indent, depth);
        put_empty(&w->page, "{", "}");
        return 0;
    case KILTER_CONTENT:
        return write_content(w, value, indent, depth);
    default:
        return write_scalar(w, value, indent);
    }
}

int kilter_yaml_write(struct kilter_buf *out, const struct kilter_value *value, enum kilter_yaml_form form,
                      uint32_t flags)
{
    enum kilter_schema schema = form == KILTER_YAML_KUBECTL ? KILTER_SCHEMA_KUBERNETES : KILTER_SCHEMA_KUSTOMIZE;
    struct writer w = { .page = KL_PAGE_INIT(out), .output = KL_OUTPUT_INIT(schema, flags) };
    int status = write_value(&w, value, -1, PLACE_ROOT, 0);
    kl_page_indent(&w.page, 0);
    kl_output_release(&w.output);
    return status < 0 ? status : out->failed;
}
