/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/diff.h"

#include "git/mirror.h"

#include <ctype.h>
#include <git2.h>
#include <kilter/yaml.h>
#include <stdio.h>

#define MAX_LEVELS 200u
#define UNKNOWN "(known after apply)"

struct differ {
    struct kilter_arena *arena;
    struct kl_diff *ret;
    struct kilter_buf path;
    struct kilter_buf text;
    size_t left_out;   /* fields beyond the limit */
    size_t lines;      /* of text so far */
    size_t lines_left; /* out */
    int rc;
};

static void no_memory(struct differ *d)
{
    d->rc = KILTER_E_NOMEM;
}

/* --- fields -------------------------------------------------------------------------- */
static void put(struct differ *d, struct kilter_value *map, const char *key, struct kilter_value *value)
{
    if (!value || kilter_set(d->arena, map, key, value) < 0)
        no_memory(d);
}

/* Adds {path, before?, after?}. */
static void add_field(struct differ *d, struct kilter_value *before, struct kilter_value *after)
{
    if (!d->ret->fields && !(d->ret->fields = kilter_list(d->arena)))
        no_memory(d);
    if (kilter_list_size(d->ret->fields) >= KL_DIFF_MAX_FIELDS) {
        d->left_out++;
        return;
    }
    struct kilter_value *map = kilter_map(d->arena);
    if (!map || !d->ret->fields || kilter_list_add(d->arena, d->ret->fields, map) < 0) {
        no_memory(d);
        return;
    }
    put(d, map, "path", kilter_string(d->arena, kilter_buf_view(&d->path)));
    if (before)
        put(d, map, "before", before);
    if (after)
        put(d, map, "after", after);
}

static struct kilter_value *cut(struct differ *d, struct kilter_str text, const struct kilter_value *like)
{
    struct kilter_value *copy;
    if (text.len <= KL_DIFF_MAX_LINE) {
        copy = like ? kilter_value_copy(d->arena, like) : kilter_string(d->arena, text);
    } else {
        const char *shortened =
            kilter_arena_printf(d->arena, "%.*s… (%zu bytes)", (int)KL_DIFF_MAX_LINE, text.ptr, text.len);
        copy = shortened ? kilter_string_c(d->arena, shortened) : NULL;
    }
    if (!copy)
        no_memory(d);
    return copy;
}

/* A list or map that meets something else, on one line; what is secret in it is masked by the writer. */
static struct kilter_value *shown_as_json(struct differ *d, const struct kilter_value *value)
{
    struct kilter_buf json = KILTER_BUF_INIT(KL_DIFF_MAX_TEXT);
    struct kilter_value *copy = NULL;
    if (kilter_json_write(&json, value, KILTER_SCHEMA_KUBERNETES, KILTER_WRITE_CONTENT) < 0)
        copy = kilter_string_c(d->arena, "(too large to be shown)");
    else if (json.len == 2) /* empty */
        copy = kilter_type_of(value) == KILTER_LIST ? kilter_list(d->arena) : kilter_map(d->arena);
    else
        copy = cut(d, kilter_buf_view(&json), NULL);
    kilter_buf_release(&json);
    return copy;
}

/* One side of a field as it is shown; NULL when there is none. */
static struct kilter_value *shown(struct differ *d, const struct kilter_value *value, uint32_t marks)
{
    struct kilter_content *content = kilter_content_of(value);
    if (!value)
        return NULL;
    if (marks & KILTER_VALUE_SECRET)
        return kilter_string_c(d->arena, KILTER_MASK);
    if (marks & KILTER_VALUE_UNKNOWN)
        return kilter_string_c(d->arena, UNKNOWN);
    if (content) {
        const char *text = kilter_arena_printf(d->arena, "(%llu bytes, %.*s)", (unsigned long long)content->length,
                                               KILTER_STR_ARG(kilter_str_sub(content->id, 0, 80)));
        return text ? kilter_string_c(d->arena, text) : NULL;
    }
    return kilter_type_of(value) == KILTER_SCALAR ? cut(d, kilter_text(value), value) : shown_as_json(d, value);
}

/* --- texts ------------------------------------------------------------------------------- */
struct side {
    struct kilter_str text; /* ptr NULL: not shown as text */
    struct kilter_buf buf;  /* owns it, when it was read */
};

static bool is_binary(struct kilter_str text)
{
    return text.len && memchr(text.ptr, '\0', text.len < 8000 ? text.len : 8000);
}

/* The text of a side, as far as it is one; an absent side is an empty text. */
static void read_side(const struct kilter_value *value, struct side *side)
{
    struct kilter_content *content = kilter_content_of(value);
    side->buf = (struct kilter_buf)KILTER_BUF_INIT(KL_DIFF_MAX_TEXT);
    side->text = KILTER_STR_NONE;
    if (!value)
        side->text = KILTER_STR("");
    else if (kilter_type_of(value) == KILTER_SCALAR)
        side->text = kilter_text(value);
    else if (content && content->length <= KL_DIFF_MAX_TEXT &&
             kilter_content_read_all(content, &side->buf, NULL) == 0)
        side->text = kilter_buf_view(&side->buf);
    if (side->text.len > KL_DIFF_MAX_TEXT || is_binary(side->text))
        side->text = KILTER_STR_NONE;
}

static void add_line(struct differ *d, char sign, struct kilter_str line)
{
    if (d->lines >= KL_DIFF_MAX_LINES) {
        d->lines_left++;
        return;
    }
    d->lines++;
    if (line.len && line.ptr[line.len - 1] == '\n')
        line.len--;
    if (sign)
        kilter_buf_char(&d->text, sign);
    kilter_buf_str(&d->text, kilter_str_sub(line, 0, KL_DIFF_MAX_LINE));
    if (line.len > KL_DIFF_MAX_LINE)
        kilter_buf_c(&d->text, "…");
    kilter_buf_char(&d->text, '\n');
}

static int on_hunk(const git_diff_delta *delta, const git_diff_hunk *hunk, void *data)
{
    (void)delta;
    add_line(data, '\0', kilter_str_n(hunk->header, hunk->header_len));
    return 0;
}

static int on_line(const git_diff_delta *delta, const git_diff_hunk *hunk, const git_diff_line *line, void *data)
{
    (void)delta, (void)hunk;
    switch (line->origin) {
    case GIT_DIFF_LINE_CONTEXT:
    case GIT_DIFF_LINE_ADDITION:
    case GIT_DIFF_LINE_DELETION:
        add_line(data, line->origin, kilter_str_n(line->content, line->content_len));
        break;
    case GIT_DIFF_LINE_CONTEXT_EOFNL:
    case GIT_DIFF_LINE_ADD_EOFNL:
    case GIT_DIFF_LINE_DEL_EOFNL:
        add_line(data, '\0', KILTER_STR("\\ No newline at end of file"));
        break;
    default:
        break;
    }
    return 0;
}

static void add_header(struct differ *d, const char *sign, bool present)
{
    char line[KL_DIFF_MAX_LINE];
    snprintf(line, sizeof line, "%s %.*s", sign, KILTER_STR_ARG(kilter_buf_view(&d->path)));
    add_line(d, '\0',
             present ? kilter_str_c(line) : kilter_str_c(sign[0] == '-' ? "--- (absent)" : "+++ (absent)"));
}

static int diff_texts(struct differ *d, const struct kilter_value *before, struct kilter_str old,
                      const struct kilter_value *after, struct kilter_str now)
{
    git_diff_options options;
    int rc = git_diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION);
    options.flags |= GIT_DIFF_FORCE_TEXT;
    add_header(d, "---", before != NULL);
    add_header(d, "+++", after != NULL);
    if (rc == 0)
        rc = git_diff_buffers(old.ptr, old.len, "before", now.ptr, now.len, "after", &options, NULL, NULL, on_hunk,
                              on_line, d);
    return rc < 0 ? KILTER_E_INTERNAL : 0;
}

/* Whether a difference of several lines was shown as text. */
static bool show_text(struct differ *d, const struct kilter_value *before, const struct kilter_value *after)
{
    struct side old, now;
    size_t len = d->text.len, lines = d->lines, lines_left = d->lines_left;
    read_side(before, &old);
    read_side(after, &now);
    bool done = old.text.ptr && now.text.ptr &&
                (kilter_str_find(old.text, '\n', 0) >= 0 || kilter_str_find(now.text, '\n', 0) >= 0 ||
                 kilter_content_of(before) || kilter_content_of(after)) &&
                diff_texts(d, before, old.text, after, now.text) == 0;
    if (!done && d->text.ptr) {
        d->text.len = len;
        d->text.ptr[len] = '\0';
        d->lines = lines;
        d->lines_left = lines_left;
    }
    kilter_buf_release(&old.buf);
    kilter_buf_release(&now.buf);
    return done;
}

/* --- walking --------------------------------------------------------------------------------- */
static void walk(struct differ *d, const struct kilter_value *before, uint32_t before_marks,
                 const struct kilter_value *after, uint32_t after_marks, unsigned level);

static bool is_plain_key(struct kilter_str key)
{
    for (size_t i = 0; i < key.len; i++)
        if (!isalnum((unsigned char)key.ptr[i]) && key.ptr[i] != '_' && key.ptr[i] != '-')
            return false;
    return key.len > 0;
}

static void walk_key(struct differ *d, struct kilter_str key, const struct kilter_value *before,
                     uint32_t before_marks, const struct kilter_value *after, uint32_t after_marks, unsigned level)
{
    size_t len = d->path.len;
    if (is_plain_key(key))
        kilter_buf_printf(&d->path, "%s%.*s", len ? "." : "", KILTER_STR_ARG(key));
    else
        kilter_buf_printf(&d->path, "[\"%.*s\"]", KILTER_STR_ARG(key));
    walk(d, kilter_map_get(before, key), before_marks, kilter_map_get(after, key), after_marks, level);
    d->path.len = len;
}

/* The order is that of `before`, then what is new in that of `after`. */
static void walk_maps(struct differ *d, const struct kilter_value *before, uint32_t before_marks,
                      const struct kilter_value *after, uint32_t after_marks, unsigned level)
{
    for (size_t i = 0; i < kilter_map_size(before); i++)
        walk_key(d, kilter_text(kilter_map_key_at(before, i)), before, before_marks, after, after_marks, level);
    for (size_t i = 0; i < kilter_map_size(after); i++) {
        struct kilter_str key = kilter_text(kilter_map_key_at(after, i));
        if (!kilter_map_get(before, key))
            walk_key(d, key, before, before_marks, after, after_marks, level);
    }
}

static void walk_lists(struct differ *d, const struct kilter_value *before, uint32_t before_marks,
                       const struct kilter_value *after, uint32_t after_marks, unsigned level)
{
    size_t count =
        kilter_list_size(before) > kilter_list_size(after) ? kilter_list_size(before) : kilter_list_size(after);
    for (size_t i = 0; i < count; i++) {
        size_t len = d->path.len;
        kilter_buf_printf(&d->path, "[%zu]", i);
        walk(d, kilter_list_at(before, i), before_marks, kilter_list_at(after, i), after_marks, level);
        d->path.len = len;
    }
}

/* Whether there is something inside to be walked through. */
static bool is_full(const struct kilter_value *value, enum kilter_type type)
{
    return value && kilter_type_of(value) == type && (kilter_list_size(value) || kilter_map_size(value));
}

static bool fits(const struct kilter_value *value, enum kilter_type type)
{
    return !value || kilter_type_of(value) == type;
}

static void walk(struct differ *d, const struct kilter_value *before, uint32_t before_marks,
                 const struct kilter_value *after, uint32_t after_marks, unsigned level)
{
    before_marks |= before ? kilter_marks_of(before) : 0;
    after_marks |= after ? kilter_marks_of(after) : 0;
    if (level > MAX_LEVELS || (!before && !after))
        return;
    bool open = !(before_marks | after_marks); /* marked ones are compared and shown as a whole */
    if (open && fits(before, KILTER_MAP) && fits(after, KILTER_MAP) &&
        (is_full(before, KILTER_MAP) || is_full(after, KILTER_MAP))) {
        walk_maps(d, before, before_marks, after, after_marks, level + 1);
        return;
    }
    if (open && fits(before, KILTER_LIST) && fits(after, KILTER_LIST) &&
        (is_full(before, KILTER_LIST) || is_full(after, KILTER_LIST))) {
        walk_lists(d, before, before_marks, after, after_marks, level + 1);
        return;
    }
    bool unknown = (before_marks | after_marks) & KILTER_VALUE_UNKNOWN;
    if (before && after && !unknown && kilter_value_equal(before, after, KILTER_SCHEMA_KUBERNETES))
        return;
    if (open && show_text(d, before, after))
        add_field(d, NULL, NULL);
    else
        add_field(d, shown(d, before, before_marks), shown(d, after, after_marks));
}

static void say_left_out(struct differ *d)
{
    if (d->left_out) {
        struct kilter_value *map = kilter_map(d->arena);
        const char *text = kilter_arena_printf(d->arena, "… %zu more fields", d->left_out);
        if (!map || !text || kilter_list_add(d->arena, d->ret->fields, map) < 0)
            no_memory(d);
        else
            put(d, map, "path", kilter_string_c(d->arena, text));
    }
    if (d->lines_left)
        kilter_buf_printf(&d->text, "… %zu more lines\n", d->lines_left);
}

int kl_diff_make(struct kilter_arena *arena, const struct kilter_value *before, const struct kilter_value *after,
                 struct kl_diff *ret)
{
    struct kl_diff diff = { NULL, { NULL, 0 } };
    struct differ d = {
        .arena = arena, .ret = &diff, .path = KILTER_BUF_INIT(1 << 20), .text = KILTER_BUF_INIT(4u << 20)
    };
    d.rc = kl_git_init(NULL);
    if (d.rc == 0) {
        walk(&d, before, 0, after, 0, 1);
        say_left_out(&d);
    }
    if (d.text.len) {
        diff.text = kilter_arena_str(arena, kilter_buf_view(&d.text));
        if (!diff.text.ptr)
            no_memory(&d);
    }
    kilter_buf_release(&d.path);
    kilter_buf_release(&d.text);
    if (d.rc == 0)
        *ret = diff;
    return d.rc;
}
