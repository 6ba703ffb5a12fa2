// SPDX-License-Identifier: Apache-2.0
/* The list of diagnostics, and their form for people and editors. */
#include <kilter/diag.h>

#include <stdio.h>
#include <stdlib.h>

#include "text.h"

#define DEFAULT_MAX 1000

struct kilter_diags {
    struct kilter_arena *arena; /* texts */
    struct kilter_diag *items;
    size_t count, capacity, max;
    size_t errors, dropped;
};

struct kilter_diags *kilter_diags_new(size_t max)
{
    struct kilter_diags *diags = calloc(1, sizeof *diags);
    if (!diags)
        return NULL;
    diags->max = max ? max : DEFAULT_MAX;
    diags->arena = kilter_arena_new(0);
    if (!diags->arena) {
        free(diags);
        return NULL;
    }
    return diags;
}

void kilter_diags_free(struct kilter_diags *diags)
{
    if (!diags)
        return;
    kilter_arena_free(diags->arena);
    free(diags->items);
    free(diags);
}

void kilter_diags_clear(struct kilter_diags *diags)
{
    if (!diags)
        return;
    diags->count = diags->errors = diags->dropped = 0;
    kilter_arena_reset(diags->arena);
}

static struct kilter_diag *new_item(struct kilter_diags *diags)
{
    if (diags->count >= diags->max)
        return NULL;
    if (diags->count == diags->capacity) {
        size_t capacity = diags->capacity ? diags->capacity * 2 : 16;
        struct kilter_diag *items = reallocarray(diags->items, capacity, sizeof *items);
        if (!items)
            return NULL;
        diags->items = items;
        diags->capacity = capacity;
    }
    return &diags->items[diags->count];
}

/* A file's problems come one after another: its name is copied once. */
static struct kilter_str copy_file(struct kilter_diags *diags, struct kilter_str file)
{
    if (diags->count && kilter_str_eq(diags->items[diags->count - 1].origin.file, file))
        return diags->items[diags->count - 1].origin.file;
    return kilter_arena_str(diags->arena, file);
}

void kilter_diag_copy(struct kilter_diags *diags, const struct kilter_diag *diag)
{
    if (!diags)
        return;
    diags->errors += diag->severity == KILTER_ERROR;
    struct kilter_diag *item = new_item(diags);
    if (!item) {
        diags->dropped++;
        return;
    }
    *item = *diag;
    item->origin.file = copy_file(diags, diag->origin.file);
    item->code = kilter_arena_str(diags->arena, diag->code);
    item->message = kilter_arena_str(diags->arena, diag->message);
    item->hint = kilter_arena_str(diags->arena, diag->hint);
    if (diag->message.ptr && !item->message.ptr)
        diags->dropped++;
    else
        diags->count++;
}

void kilter_diag_add(struct kilter_diags *diags, enum kilter_severity severity, const char *code,
                     struct kilter_origin origin, const char *hint, const char *format, ...)
{
    if (!diags)
        return;
    char small[512];
    char *large = NULL;
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (len >= (int)sizeof small && vasprintf(&large, format, again) < 0)
        large = NULL;
    va_end(again);
    struct kilter_diag diag = {
        .severity = severity,
        .code = kilter_str_c(code),
        .origin = origin,
        .message = kilter_str_c(large     ? large
                                : len < 0 ? format
                                          : small),
        .hint = kilter_str_c(hint),
    };
    kilter_diag_copy(diags, &diag);
    free(large);
}

size_t kilter_diags_count(const struct kilter_diags *diags)
{
    return diags ? diags->count : 0;
}

size_t kilter_diags_errors(const struct kilter_diags *diags)
{
    return diags ? diags->errors : 0;
}

size_t kilter_diags_dropped(const struct kilter_diags *diags)
{
    return diags ? diags->dropped : 0;
}

const struct kilter_diag *kilter_diags_at(const struct kilter_diags *diags, size_t index)
{
    return diags && index < diags->count ? &diags->items[index] : NULL;
}

/* User's text goes to terminals and logs: control characters are shown, not sent. */
static void put_clean(struct kilter_buf *out, struct kilter_str text)
{
    size_t from = 0;
    for (size_t at = 0; at < text.len;) {
        uint32_t character = 0;
        size_t size = kl_utf8_decode(kilter_str_sub(text, at, text.len), &character);
        bool bad = !size || character < 0x20 || (character >= 0x7f && character < 0xa0);
        if (!bad) {
            at += size;
            continue;
        }
        kilter_buf_str(out, kilter_str_sub(text, from, at - from));
        if (!size)
            kilter_buf_printf(out, "\\x%02x", (unsigned char)text.ptr[at]);
        else if (character == '\n')
            kilter_buf_c(out, "\\n");
        else if (character == '\t')
            kilter_buf_c(out, "\\t");
        else
            kilter_buf_printf(out, "\\x%02x", (unsigned)character);
        at += size ? size : 1;
        from = at;
    }
    kilter_buf_str(out, kilter_str_sub(text, from, text.len));
}

static void put_hint(struct kilter_buf *out, struct kilter_str hint)
{
    while (hint.len) {
        ptrdiff_t end = kilter_str_find(hint, '\n', 0);
        size_t len = end < 0 ? hint.len : (size_t)end;
        kilter_buf_c(out, "    ");
        put_clean(out, kilter_str_sub(hint, 0, len));
        kilter_buf_char(out, '\n');
        hint = kilter_str_sub(hint, len + 1, hint.len);
    }
}

int kilter_diag_format(struct kilter_buf *out, const struct kilter_diag *diag)
{
    if (diag->origin.file.len) {
        put_clean(out, diag->origin.file);
        kilter_buf_char(out, ':');
    }
    if (diag->origin.line) {
        kilter_buf_printf(out, "%u:", diag->origin.line);
        if (diag->origin.column)
            kilter_buf_printf(out, "%u:", diag->origin.column);
    }
    if (diag->origin.file.len || diag->origin.line)
        kilter_buf_char(out, ' ');
    kilter_buf_c(out, diag->severity == KILTER_ERROR     ? "error: "
                      : diag->severity == KILTER_WARNING ? "warning: "
                                                         : "note: ");
    put_clean(out, diag->message);
    if (diag->code.len) {
        kilter_buf_c(out, " [");
        put_clean(out, diag->code);
        kilter_buf_char(out, ']');
    }
    kilter_buf_char(out, '\n');
    put_hint(out, diag->hint);
    return out->failed;
}

int kilter_diags_format(struct kilter_buf *out, const struct kilter_diags *diags)
{
    for (size_t i = 0; i < kilter_diags_count(diags); i++)
        kilter_diag_format(out, kilter_diags_at(diags, i));
    if (kilter_diags_dropped(diags))
        kilter_buf_printf(out, "%zu more not shown\n", kilter_diags_dropped(diags));
    return out->failed;
}
