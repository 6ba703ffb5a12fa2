// SPDX-License-Identifier: Apache-2.0
/* What both writers share: masks, the meaning of scalars, keys and their order. */
#include "yaml_output.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "value_number.h"
#include "value_resolve.h"

void kl_output_release(struct kl_output *output)
{
    kilter_buf_release(&output->scratch);
    kilter_arena_free(output->key_room);
}

struct kilter_str kl_output_stand_in(const struct kl_output *output, const struct kilter_value *value)
{
    uint32_t marks = kilter_marks_of(value);
    if ((marks & KILTER_VALUE_SECRET) && !(output->flags & KILTER_WRITE_REVEAL))
        return KILTER_STR(KILTER_MASK);
    return marks & KILTER_VALUE_UNKNOWN ? KILTER_STR(KL_UNKNOWN_TEXT) : KILTER_STR_NONE;
}

static bool has_tag(const struct kilter_value *value, const char *tag)
{
    return value->tag && kilter_str_eq_c(*value->tag, tag);
}

/* Kustomize reads an unquoted moment as one, and prints it in one form. */
static bool is_moment(const struct kl_output *output, const struct kilter_value *value,
                      struct kl_timestamp *ret_timestamp)
{
    bool plain = !value->tag && value->style == KILTER_STYLE_PLAIN;
    return output->schema == KILTER_SCHEMA_KUSTOMIZE && (plain || has_tag(value, "!!timestamp")) &&
           kl_parse_timestamp(kl_text(value), ret_timestamp);
}

int kl_output_scalar(struct kl_output *output, const struct kilter_value *value, struct kilter_scalar *ret)
{
    struct kl_timestamp timestamp;
    ret->kind = KILTER_NULL;
    if (!value)
        return 0;
    if (kilter_resolve(value, output->schema, ret) < 0)
        ret->kind = KILTER_STRING; /* the text as it stands: writing is not the place to refuse it */
    if (ret->kind != KILTER_STRING)
        return 0;
    kilter_buf_clear(&output->scratch);
    if (has_tag(value, "!!binary") && kilter_base64_decode(&output->scratch, ret->text) == 0) {
        ret->text = kilter_buf_view(&output->scratch);
    } else if (is_moment(output, value, &timestamp)) {
        char text[48];
        kl_format_timestamp(&timestamp, text);
        kilter_buf_clear(&output->scratch);
        kilter_buf_c(&output->scratch, text);
        ret->text = kilter_buf_view(&output->scratch);
    }
    return output->scratch.failed == KILTER_E_NOMEM ? KILTER_E_NOMEM : 0;
}

/* --- keys --------------------------------------------------------------------- */

/* A key that is no string becomes one; Kubernetes' reader knows numbers and booleans there. */
static int key_text(struct kl_output *output, const struct kilter_value *key, struct kilter_str *ret)
{
    struct kilter_scalar scalar;
    char number[KL_NUMBER_MAX];
    *ret = kl_text(key);
    if (output->schema != KILTER_SCHEMA_KUBERNETES || key->style != KILTER_STYLE_PLAIN ||
        kilter_resolve(key, output->schema, &scalar) < 0)
        return 0;
    if (scalar.kind == KILTER_STRING || scalar.kind == KILTER_NULL)
        return 0;
    if (scalar.kind == KILTER_BOOL) {
        *ret = scalar.as.boolean ? KILTER_STR("true") : KILTER_STR("false");
        return 0;
    }
    if (scalar.kind == KILTER_INT)
        snprintf(number, sizeof number, "%" PRId64, scalar.as.integer);
    else if (scalar.kind == KILTER_UINT)
        snprintf(number, sizeof number, "%" PRIu64, scalar.as.unsigned_integer);
    else if (scalar.as.number - scalar.as.number == 0)
        kl_format_double_yaml(scalar.as.number, number);
    else
        return 0;
    if (!output->key_room)
        output->key_room = kilter_arena_new(0);
    if (output->key_room)
        *ret = kilter_arena_str(output->key_room, kilter_str_c(number));
    return output->key_room && ret->ptr ? 0 : KILTER_E_NOMEM;
}

typedef int key_order(struct kilter_str a, struct kilter_str b);

static int compare_entries(const void *a, const void *b, void *order)
{
    const struct kl_output_entry *x = a, *y = b;
    key_order *const *compare = order;
    return (*compare)(x->key, y->key);
}

/* Keys that differ as written may be one key as read (0x1 and 1): the last one wins, as in Go's reader. */
static int drop_equal_keys(struct kl_output *output, struct kl_output_entry *entries, uint32_t *count)
{
    struct kilter_value *seen = kilter_map(output->key_room), *nothing = kilter_null(output->key_room);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *count && seen; i++) {
        ptrdiff_t at = kilter_map_find(seen, entries[i].key);
        if (at < 0 && kilter_map_set(output->key_room, seen, entries[i].key, nothing) < 0)
            return KILTER_E_NOMEM;
        entries[at < 0 ? kept++ : (uint32_t)at] = entries[i];
    }
    *count = kept;
    return seen ? 0 : KILTER_E_NOMEM;
}

/* Fills in the keys as they are written. */
static int fill_entries(struct kl_output *output, const struct kilter_value *map, struct kl_output_entry *entries,
                        uint32_t *ret_count)
{
    bool changed = false;
    *ret_count = map->count;
    for (uint32_t i = 0; i < map->count; i++) {
        entries[i].item = map->as.entries[i].item;
        if (key_text(output, map->as.entries[i].key, &entries[i].key) < 0)
            return KILTER_E_NOMEM;
        changed = changed || entries[i].key.ptr != map->as.entries[i].key->as.text;
    }
    if (!changed)
        return 0;
    if (!output->key_room)
        output->key_room = kilter_arena_new(0);
    return output->key_room ? drop_equal_keys(output, entries, ret_count) : KILTER_E_NOMEM;
}

struct kl_output_entry *kl_output_entries(struct kl_output *output, const struct kilter_value *map,
                                          int (*compare)(struct kilter_str a, struct kilter_str b),
                                          uint32_t *ret_count)
{
    struct kl_output_entry *entries = malloc((map->count + (size_t)1) * sizeof *entries);
    if (!entries || fill_entries(output, map, entries, ret_count) < 0) {
        free(entries);
        return NULL;
    }
    bool sorted = true;
    for (uint32_t i = 1; i < *ret_count && compare && sorted; i++)
        sorted = compare(entries[i - 1].key, entries[i].key) <= 0;
    if (!sorted)
        qsort_r(entries, *ret_count, sizeof *entries, compare_entries, &compare);
    return entries;
}

struct kilter_value *kl_output_content(struct kilter_arena *arena, const struct kilter_value *content)
{
    struct kilter_value *map = kilter_map(arena);
    const struct kilter_content *handle = content->as.content;
    if (!map || kilter_set(arena, map, "$content", kilter_string(arena, handle->id)) < 0 ||
        kilter_set(arena, map, "size", kilter_uint(arena, handle->length)) < 0)
        return NULL;
    return map;
}
