// SPDX-License-Identifier: Apache-2.0
/*
 * From libyaml's events to values. The composer keeps the open lists and maps on
 * a stack of frames and their finished children on one common stack; when a list or
 * map ends, its children move into the arena in one piece.
 */
#include <stdio.h>
#include <stdlib.h>

#include "arena.h"
#include "value.h"
#include "yaml_explain.h"
#include "yaml_options.h"

#define LONG_TAG "tag:yaml.org,2002:"

struct anchor {
    struct kilter_value *value; /* NULL while it is still open */
    uint64_t nodes;             /* in it, its aliases expanded */
};

struct frame {
    struct kilter_value *value;
    size_t first;          /* of its children on the common stack; a map's alternate key, item */
    struct anchor *anchor; /* its own, or NULL */
    uint64_t node_start;   /* the count of nodes before it */
};

struct composer {
    yaml_parser_t parser;
    struct kilter_arena *arena;
    struct kilter_diags *diags;
    struct kilter_parse_options options;
    struct kilter_value *documents;

    struct frame *frames;
    size_t depth, frame_capacity;
    struct kilter_value **children;
    size_t child_count, child_capacity;
    struct kilter_value *anchor_names; /* of this document: a map, for its index; NULL without anchors */
    struct anchor **anchors;           /* for each of the names the last one */
    size_t anchor_capacity;

    uint64_t nodes, alias_nodes;
    int status; /* the first failure that does not end the reading */
};

/* The array with room for one more item, perhaps moved; NULL when out of memory, then it is as it was. */
static void *grown(void *array, size_t item_size, size_t count, size_t *capacity)
{
    if (count < *capacity)
        return array;
    size_t larger = *capacity ? *capacity * 2 : 64;
    void *items = reallocarray(array, larger, item_size);
    if (items)
        *capacity = larger;
    return items;
}

static struct kilter_origin mark_origin(const struct composer *c, const yaml_mark_t *mark)
{
    struct kilter_origin origin = { c->options.file, (uint32_t)mark->line + c->options.first_line,
                                    (uint32_t)mark->column + 1 };
    return origin;
}

/* A problem that lets the reading go on, so that the next ones are told as well. */
#define complain(c, code, origin, hint, ...)                                                                       \
    do {                                                                                                           \
        kilter_diag_add((c)->diags, KILTER_ERROR, code, origin, hint, __VA_ARGS__);                                \
        (c)->status = KILTER_E_INVALID;                                                                            \
    } while (0)

static int over_limit(struct composer *c, const yaml_mark_t *mark, const char *what, uint64_t limit)
{
    kilter_diag_add(c->diags, KILTER_ERROR, "yaml.limit", mark_origin(c, mark), NULL, "more than %llu %s",
                    (unsigned long long)limit, what);
    return KILTER_E_LIMIT;
}

static int count_nodes(struct composer *c, const yaml_mark_t *mark, uint64_t nodes)
{
    if (nodes > c->options.max_nodes - c->nodes)
        return over_limit(c, mark, "values in one text", c->options.max_nodes);
    c->nodes += nodes;
    return 0;
}

static void place(const struct composer *c, struct kilter_value *value, const yaml_mark_t *mark)
{
    value->file = c->options.file.ptr;
    value->file_len = (uint32_t)c->options.file.len;
    value->line = (uint32_t)mark->line + c->options.first_line;
    value->column = (uint32_t)mark->column + 1;
}

static int set_tag(struct composer *c, struct kilter_value *value, const yaml_char_t *text)
{
    if (!text)
        return 0;
    const char *tag = (const char *)text;
    size_t prefix = sizeof LONG_TAG - 1;
    if (strncmp(tag, LONG_TAG, prefix) == 0) {
        char *shorter = kilter_arena_printf(c->arena, "!!%s", tag + prefix);
        kilter_set_tag(c->arena, value, kilter_str_c(shorter));
    } else {
        kilter_set_tag(c->arena, value, kilter_str_c(tag));
    }
    return value->tag || !*tag ? 0 : KILTER_E_NOMEM;
}

/* --- anchors ----------------------------------------------------------------- */

/* Gives a value its name; a name may be given again, then aliases mean the last one. */
static int add_anchor(struct composer *c, const yaml_char_t *text, struct kilter_value *value, struct anchor **ret)
{
    *ret = NULL;
    if (!text)
        return 0;
    if (!c->anchor_names)
        c->anchor_names = kilter_map(c->arena);
    struct kilter_str name = kilter_str_c((const char *)text);
    struct anchor *anchor = kilter_arena_alloc(c->arena, sizeof *anchor);
    int status = c->anchor_names && anchor ? kilter_map_set(c->arena, c->anchor_names, name, kilter_null(c->arena))
                                           : KILTER_E_NOMEM;
    if (status < 0)
        return status;
    size_t at = (size_t)kilter_map_find(c->anchor_names, name);
    struct anchor **anchors = grown(c->anchors, sizeof(struct anchor *), at, &c->anchor_capacity);
    if (!anchors)
        return KILTER_E_NOMEM;
    c->anchors = anchors;
    anchors[at] = *ret = anchor;
    anchor->value = value;
    anchor->nodes = 1;
    return 0;
}

static const struct anchor *find_anchor(const struct composer *c, const char *name)
{
    ptrdiff_t at = kilter_map_find(c->anchor_names, kilter_str_c(name));
    return at < 0 ? NULL : c->anchors[at];
}

static void unknown_alias(struct composer *c, const char *name, const yaml_mark_t *mark)
{
    struct kilter_str names[32], nearest;
    size_t count = 0;
    for (size_t i = 0; i < kilter_map_size(c->anchor_names) && count < 32; i++)
        names[count++] = kilter_text(kilter_map_key_at(c->anchor_names, i));
    nearest = kilter_nearest(kilter_str_c(name), names, count);
    char hint[128] = "put the text in quotes if it is no alias";
    if (nearest.len)
        snprintf(hint, sizeof hint, "did you mean \"*%.*s\"?", KILTER_STR_ARG(nearest));
    complain(c, "yaml.alias", mark_origin(c, mark), hint, "no anchor \"&%.100s\" before this alias", name);
}

/* --- children ----------------------------------------------------------------- */
static struct frame *top(struct composer *c)
{
    return c->depth ? &c->frames[c->depth - 1] : NULL;
}

/* Whether the next child of the open map is a key. */
static bool at_key(struct composer *c)
{
    struct frame *frame = top(c);
    return frame && frame->value->type == KILTER_MAP && (c->child_count - frame->first) % 2 == 0;
}

static bool is_empty_document(const struct kilter_value *value)
{
    return value->type == KILTER_SCALAR && !value->count && value->style == KILTER_STYLE_PLAIN && !value->tag;
}

/* A finished value becomes the next child of what is open, or a document. */
static int add_child(struct composer *c, struct kilter_value *value)
{
    if (!value)
        return KILTER_E_NOMEM;
    if (!c->depth)
        return is_empty_document(value) ? 0 : kilter_list_add(c->arena, c->documents, value);
    struct kilter_value **children =
        grown(c->children, sizeof(struct kilter_value *), c->child_count, &c->child_capacity);
    if (!children)
        return KILTER_E_NOMEM;
    c->children = children;
    children[c->child_count++] = value;
    return 0;
}

static enum kilter_style scalar_style(yaml_scalar_style_t style)
{
    switch (style) {
    case YAML_SINGLE_QUOTED_SCALAR_STYLE:
        return KILTER_STYLE_SINGLE_QUOTED;
    case YAML_DOUBLE_QUOTED_SCALAR_STYLE:
        return KILTER_STYLE_DOUBLE_QUOTED;
    case YAML_LITERAL_SCALAR_STYLE:
        return KILTER_STYLE_LITERAL;
    case YAML_FOLDED_SCALAR_STYLE:
        return KILTER_STYLE_FOLDED;
    default:
        return KILTER_STYLE_PLAIN;
    }
}

static int on_scalar(struct composer *c, const yaml_event_t *event)
{
    size_t len = event->data.scalar.length;
    struct anchor *anchor;
    int status = count_nodes(c, &event->start_mark, 1);
    if (status < 0)
        return status;
    struct kilter_value *value =
        kl_scalar_of(c->arena, kl_arena_copy(c->arena, (const char *)event->data.scalar.value, len), len,
                     scalar_style(event->data.scalar.style));
    if (!value)
        return KILTER_E_NOMEM;
    place(c, value, &event->start_mark);
    status = set_tag(c, value, event->data.scalar.tag);
    if (status == 0)
        status = add_anchor(c, event->data.scalar.anchor, value, &anchor);
    return status < 0 ? status : add_child(c, value);
}

static int on_alias(struct composer *c, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    const struct anchor *anchor = find_anchor(c, name);
    if (!anchor || !anchor->value) {
        if (anchor)
            complain(c, "yaml.alias", mark_origin(c, &event->start_mark), NULL,
                     "alias \"*%.100s\" stands inside of what it names", name);
        else
            unknown_alias(c, name, &event->start_mark);
        return add_child(c, kilter_null(c->arena));
    }
    if (anchor->nodes > c->options.max_alias_nodes - c->alias_nodes)
        return over_limit(c, &event->start_mark, "values from aliases in one text", c->options.max_alias_nodes);
    int status = count_nodes(c, &event->start_mark, anchor->nodes);
    if (status < 0)
        return status;
    c->alias_nodes += anchor->nodes;
    if (at_key(c) && anchor->value->type != KILTER_SCALAR)
        complain(c, "yaml.key", mark_origin(c, &event->start_mark), NULL,
                 "a key must be a text, not a list or map");
    return add_child(c, kilter_value_copy(c->arena, anchor->value));
}

/* --- lists and maps ------------------------------------------------------------ */
static int open_frame(struct composer *c, const yaml_event_t *event, enum kilter_type type,
                      const yaml_char_t *anchor, const yaml_char_t *tag, bool flow)
{
    if (c->depth >= c->options.max_depth)
        return over_limit(c, &event->start_mark, "lists and maps in one another", c->options.max_depth);
    int status = count_nodes(c, &event->start_mark, 1);
    if (status < 0)
        return status;
    if (at_key(c))
        complain(c, "yaml.key", mark_origin(c, &event->start_mark),
                 "put a text that begins with a bracket or brace in quotes",
                 "a key must be a text, not a list or map");
    struct kilter_value *value = kl_value_new(c->arena, type);
    struct frame *frames = grown(c->frames, sizeof *frames, c->depth, &c->frame_capacity);
    if (frames)
        c->frames = frames;
    if (!value || !frames)
        return KILTER_E_NOMEM;
    place(c, value, &event->start_mark);
    value->style = flow ? KILTER_STYLE_FLOW : KILTER_STYLE_BLOCK;
    struct frame frame = { .value = value, .first = c->child_count, .node_start = c->nodes - 1 };
    status = set_tag(c, value, tag);
    if (status == 0)
        status = add_anchor(c, anchor, NULL, &frame.anchor);
    if (status < 0)
        return status;
    c->frames[c->depth++] = frame;
    return 0;
}

static int close_list(struct composer *c, const struct frame *frame)
{
    struct kilter_value *list = frame->value;
    size_t count = c->child_count - frame->first;
    if (!count)
        return 0;
    list->as.items = kl_arena_take(c->arena, count * sizeof *list->as.items, _Alignof(void *));
    if (!list->as.items)
        return KILTER_E_NOMEM;
    memcpy(list->as.items, c->children + frame->first, count * sizeof *list->as.items);
    list->count = list->capacity = (uint32_t)count;
    return 0;
}

static bool is_merge_key(const struct kilter_value *key)
{
    if (key->tag)
        return kilter_str_eq_c(*key->tag, "!!merge");
    return key->style == KILTER_STYLE_PLAIN && key->count == 2 && memcmp(key->as.text, "<<", 2) == 0;
}

/* Adds an entry of the source at the map's end, unless its key is there. */
static void put_entry(struct composer *c, struct kilter_value *map, struct kilter_value *key,
                      struct kilter_value *item)
{
    ptrdiff_t first = kl_map_find_or_index(map, kl_text(key), map->count);
    if (first < 0) {
        map->as.entries[map->count].key = key;
        map->as.entries[map->count++].item = item;
    } else if (c->options.flags & KILTER_PARSE_LAST_KEY_WINS) {
        map->as.entries[first].key = key;
        map->as.entries[first].item = item;
    } else {
        kl_duplicate_key(c->diags, "yaml.duplicate-key", key, map->as.entries[first].key);
        c->status = KILTER_E_INVALID;
    }
}

/* Own entries that the map has already win, and so does what was merged before. */
static void merge_map(struct kilter_value *map, const struct kilter_value *from)
{
    for (uint32_t i = 0; i < from->count; i++) {
        if (kl_map_find_or_index(map, kl_text(from->as.entries[i].key), map->count) < 0)
            map->as.entries[map->count++] = from->as.entries[i];
    }
}

static void merge_value(struct composer *c, struct kilter_value *map, const struct kilter_value *from)
{
    if (from->type == KILTER_MAP) {
        merge_map(map, from);
        return;
    }
    for (uint32_t i = 0; i < from->count; i++) {
        if (from->type == KILTER_LIST && from->as.items[i]->type == KILTER_MAP)
            merge_map(map, from->as.items[i]);
    }
    bool usable = from->type == KILTER_LIST;
    for (uint32_t i = 0; usable && i < from->count; i++)
        usable = from->as.items[i]->type == KILTER_MAP;
    if (!usable)
        complain(c, "yaml.merge", kilter_origin_of(from), "\"<<: *name\" or \"<<: [*one, *two]\"",
                 "\"<<\" takes a map or a list of maps");
}

/* The most entries that a merge can add. */
static size_t merge_size(const struct kilter_value *from)
{
    size_t total = from->type == KILTER_MAP ? from->count : 0;
    for (uint32_t i = 0; from->type == KILTER_LIST && i < from->count; i++)
        total += kilter_map_size(from->as.items[i]);
    return total;
}

static int close_map(struct composer *c, const struct frame *frame)
{
    struct kilter_value *map = frame->value;
    struct kilter_value **children = c->children ? c->children + frame->first : NULL; /* none yet: none here */
    size_t count = c->child_count - frame->first, capacity = count / 2;
    const struct kilter_value *merged = NULL;
    for (size_t i = 0; i < count; i += 2) {
        if (children[i]->type == KILTER_SCALAR && is_merge_key(children[i]))
            capacity += merge_size(children[i + 1]);
    }
    if (!capacity)
        return 0;
    if (capacity > UINT32_MAX / 8 || !(map->as.entries = kl_entries_new(c->arena, (uint32_t)capacity)))
        return KILTER_E_NOMEM;
    map->capacity = (uint32_t)capacity;
    kl_map_index_clear(map);
    for (size_t i = 0; i < count; i += 2) {
        if (children[i]->type != KILTER_SCALAR)
            continue; /* told when it began */
        if (!is_merge_key(children[i])) {
            put_entry(c, map, children[i], children[i + 1]);
            continue;
        }
        if (merged && !(c->options.flags & KILTER_PARSE_LAST_KEY_WINS))
            complain(c, "yaml.duplicate-key", kilter_origin_of(children[i]),
                     "one \"<<\" takes a list of maps: [*one, *two]", "\"<<\" is there twice");
        merged = children[i + 1];
    }
    if (merged)
        merge_value(c, map, merged);
    map->indexed = map->capacity >= KL_INDEX_MIN;
    return 0;
}

static int close_frame(struct composer *c)
{
    struct frame frame = *top(c);
    int status = frame.value->type == KILTER_LIST ? close_list(c, &frame) : close_map(c, &frame);
    if (status < 0)
        return status;
    c->child_count = frame.first;
    c->depth--;
    if (frame.anchor) {
        frame.anchor->value = frame.value;
        frame.anchor->nodes = c->nodes - frame.node_start;
    }
    return add_child(c, frame.value);
}

static int on_event(struct composer *c, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return on_scalar(c, event);
    case YAML_ALIAS_EVENT:
        return on_alias(c, event);
    case YAML_SEQUENCE_START_EVENT:
        return open_frame(c, event, KILTER_LIST, event->data.sequence_start.anchor, event->data.sequence_start.tag,
                          event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE);
    case YAML_MAPPING_START_EVENT:
        return open_frame(c, event, KILTER_MAP, event->data.mapping_start.anchor, event->data.mapping_start.tag,
                          event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return close_frame(c);
    case YAML_DOCUMENT_START_EVENT:
        c->anchor_names = NULL;
        return 0;
    default:
        return 0;
    }
}

/* --- streams --------------------------------------------------------------------- */

/* The next line that begins a document, or the end of the text. */
static size_t next_document(struct kilter_str text, size_t from)
{
    for (;;) {
        ptrdiff_t end = kilter_str_find(text, '\n', from);
        if (end < 0)
            return text.len;
        from = (size_t)end + 1;
        struct kilter_str mark = kilter_str_sub(text, from, 4);
        if (kilter_str_starts(mark, KILTER_STR("---")) &&
            (mark.len == 3 || mark.ptr[3] == ' ' || mark.ptr[3] == '\n' || mark.ptr[3] == '\r'))
            return from;
    }
}

static void forget_open(struct composer *c)
{
    c->depth = 0;
    c->child_count = 0;
    c->anchor_names = NULL;
}

/* Reads until the end of the stream or a syntax error, whose place it gives. */
static int read_stream(struct composer *c, struct kilter_str text, size_t *ret_failed_at)
{
    bool ended = false;
    int status = 0;
    if (!yaml_parser_initialize(&c->parser))
        return KILTER_E_NOMEM;
    yaml_parser_set_input_string(&c->parser, (const unsigned char *)text.ptr, text.len);
    while (status == 0 && !ended) {
        yaml_event_t event;
        if (!yaml_parser_parse(&c->parser, &event)) {
            status = c->parser.error == YAML_MEMORY_ERROR ? KILTER_E_NOMEM : KILTER_E_INVALID;
            if (status == KILTER_E_INVALID)
                *ret_failed_at = kl_yaml_explain(&c->parser, text, &c->options, c->diags);
            break;
        }
        ended = event.type == YAML_STREAM_END_EVENT;
        status = on_event(c, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&c->parser);
    return status;
}

static uint32_t count_lines(struct kilter_str text, size_t until)
{
    struct kilter_parse_options from_zero = { .first_line = 0 };
    return kl_origin_at(text, until, &from_zero).line;
}

/* Reads all of the text. After a syntax error the next document is tried, for what is wrong there. */
static int read_text(struct composer *c, struct kilter_str text)
{
    for (;;) {
        size_t failed_at = 0;
        int status = read_stream(c, text, &failed_at);
        if (status != KILTER_E_INVALID)
            return status < 0 ? status : c->status;
        c->status = KILTER_E_INVALID;
        size_t next = next_document(text, failed_at ? failed_at - 1 : 0);
        if (next >= text.len)
            return c->status;
        forget_open(c);
        c->options.first_line += count_lines(text, next);
        text = kilter_str_sub(text, next, text.len);
    }
}

int kilter_yaml_read(struct kilter_arena *arena, struct kilter_str text, const struct kilter_parse_options *options,
                     struct kilter_value **ret_documents, struct kilter_diags *diags)
{
    struct composer c = {
        .arena = arena,
        .diags = diags,
        .options = kl_parse_options(options),
        .documents = kilter_list(arena),
    };
    if (!c.documents)
        return KILTER_E_NOMEM;
    int status = kl_check_size(text, &c.options, "yaml.limit", diags);
    if (status < 0)
        return status;
    if (kilter_str_starts(text, KILTER_STR("\xef\xbb\xbf")))
        text = kilter_str_sub(text, 3, text.len);
    if (!text.ptr)
        text = KILTER_STR("");
    status = read_text(&c, text);
    free(c.frames);
    free(c.children);
    free(c.anchors);
    if (status < 0)
        return status;
    *ret_documents = c.documents;
    return 0;
}
