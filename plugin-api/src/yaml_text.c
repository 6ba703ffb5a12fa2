// SPDX-License-Identifier: Apache-2.0
/* Scalars on a YAML page. */
#include "yaml_text.h"

#include <stdlib.h>

#include "text.h"
#include "value_resolve.h"

#define WIDTH 80         /* a line longer than this is broken at its next single blank */
#define INDENT_DIGIT "2" /* what a literal's header says where its first line begins with a blank */
#define BINARY_LINE 70   /* characters of base64 on a line */
#define BOM "\xef\xbb\xbf"

/* --- the page --------------------------------------------------------------------- */
static void put_char(struct kl_page *page, char c)
{
    kilter_buf_char(page->out, c);
    page->column++;
}

static void put_break(struct kl_page *page)
{
    kilter_buf_char(page->out, '\n');
    page->column = 0;
}

void kl_page_indent(struct kl_page *page, int indent)
{
    if (indent < 0)
        indent = 0;
    if (!page->indentation || page->column > indent || (page->column == indent && !page->blank))
        put_break(page);
    if (page->column < indent) {
        kilter_buf_fill(page->out, ' ', (size_t)(indent - page->column));
        page->column = indent;
    }
    page->blank = true;
    page->indentation = true;
}

void kl_page_indicator(struct kl_page *page, const char *text, bool apart, bool opens, bool indents)
{
    if (apart && !page->blank)
        put_char(page, ' ');
    kilter_buf_c(page->out, text);
    page->column += (int)strlen(text);
    page->blank = opens;
    page->indentation = page->indentation && indents;
}

/* --- characters -------------------------------------------------------------------- */
struct character {
    size_t size;
    uint32_t code;
};

/* The character at `at`; the text is valid UTF-8 and goes on there. */
static struct character character_at(struct kilter_str text, size_t at)
{
    struct character c = { 1, (unsigned char)text.ptr[at] };
    if (c.code >= 0x80)
        c.size = kl_utf8_decode(kilter_str_sub(text, at, 4), &c.code);
    return c;
}

static bool is_printable(uint32_t c)
{
    return c == '\n' || (c >= 0x20 && c <= 0x7e) || (c >= 0xa0 && c <= 0xfffd && c != 0xfeff);
}

static bool is_break(uint32_t c)
{
    return c == '\n' || c == '\r' || c == 0x85 || c == 0x2028 || c == 0x2029;
}

static bool is_space_at(struct kilter_str text, size_t at)
{
    return at < text.len && text.ptr[at] == ' ';
}

static bool is_blank_at(struct kilter_str text, size_t at)
{
    return at < text.len && (text.ptr[at] == ' ' || text.ptr[at] == '\t');
}

static void put_character(struct kl_page *page, struct kilter_str text, size_t at, size_t size)
{
    kilter_buf_append(page->out, text.ptr + at, size);
    page->column++;
}

/* A line break of the text itself, which ends the page's line as well. */
static void put_break_character(struct kl_page *page, struct kilter_str text, size_t at, size_t size)
{
    kilter_buf_append(page->out, text.ptr + at, size);
    page->column = 0;
}

/* --- what a text is like --------------------------------------------------------------- */

/* Whether the character at `at` would mean something to a reader of plain text. */
static bool is_indicator(struct kilter_str text, size_t at, bool after_blank)
{
    char c = text.ptr[at];
    bool before_blank = at + 1 >= text.len || is_blank_at(text, at + 1);
    if (c == ':')
        return before_blank;
    if (at == 0)
        return strchr("#,[]{}&*!|>'\"%@`", c) || ((c == '?' || c == '-') && before_blank);
    return c == '#' && after_blank;
}

/* The traits that hang on neighbours: blanks beside line breaks, and both at the ends. */
struct edges {
    bool leading, trailing, trailing_space, break_space, space_break;
    bool after_space, after_break;
};

static void look_at_space(struct edges *edges, bool first, bool last)
{
    edges->leading |= first;
    edges->trailing |= last;
    edges->trailing_space |= last;
    edges->break_space |= edges->after_break;
    edges->after_space = true;
    edges->after_break = false;
}

static void look_at_break(struct edges *edges, bool first, bool last)
{
    edges->leading |= first;
    edges->trailing |= last;
    edges->space_break |= edges->after_space;
    edges->after_space = false;
    edges->after_break = true;
}

struct kl_text_traits kl_text_look(struct kilter_str text)
{
    struct edges edges = { 0 };
    bool special = false, breaks = false, after_blank = true;
    bool indicators = kilter_str_starts(text, KILTER_STR("---")) || kilter_str_starts(text, KILTER_STR("..."));
    for (size_t at = 0; at < text.len;) {
        struct character c = character_at(text, at);
        bool first = at == 0, last = at + c.size == text.len;
        indicators = indicators || (c.code && c.code < 0x80 && is_indicator(text, at, after_blank));
        special = special || !is_printable(c.code);
        if (c.code == ' ') {
            look_at_space(&edges, first, last);
        } else if (is_break(c.code)) {
            breaks = true;
            look_at_break(&edges, first, last);
        } else {
            edges.after_space = edges.after_break = false;
        }
        after_blank = c.code == ' ' || c.code == '\t' || c.code == 0 || is_break(c.code);
        at += c.size;
    }
    bool broken = edges.space_break || special;
    return (struct kl_text_traits){
        .plain_allowed =
            !edges.leading && !edges.trailing && !edges.break_space && !broken && !breaks && !indicators,
        .single_quoted_allowed = !edges.break_space && !broken,
        .literal_allowed = text.len && !edges.trailing_space && !broken,
        .multiline = breaks,
    };
}

/* --- styles ------------------------------------------------------------------------------ */

/* Whether the line is long enough to be broken at the blank at `at`. */
static bool breaks_here(const struct kl_page *page, struct kilter_str text, size_t at, bool after_space)
{
    return !after_space && page->column > WIDTH && !is_space_at(text, at + 1);
}

static void put_plain(struct kl_page *page, struct kilter_str text, int indent, bool key)
{
    bool after_space = false;
    if (!page->blank)
        put_char(page, ' ');
    for (size_t at = 0; at < text.len;) {
        struct character c = character_at(text, at);
        if (c.code == ' ' && !key && breaks_here(page, text, at, after_space))
            kl_page_indent(page, indent);
        else
            put_character(page, text, at, c.size);
        after_space = c.code == ' ';
        if (!after_space)
            page->indentation = false;
        at += c.size;
    }
    page->blank = false;
    page->indentation = false;
}

static void put_single_quoted(struct kl_page *page, struct kilter_str text, int indent, bool key)
{
    bool after_space = false, after_break = false;
    kl_page_indicator(page, "'", true, false, false);
    for (size_t at = 0; at < text.len;) {
        struct character c = character_at(text, at);
        bool inner = at > 0 && at + 1 < text.len;
        if (c.code == ' ') {
            if (!key && inner && breaks_here(page, text, at, after_space))
                kl_page_indent(page, indent);
            else
                put_char(page, ' ');
            after_space = true;
        } else if (is_break(c.code)) {
            put_break_character(page, text, at, c.size);
            page->indentation = true;
            after_break = true;
        } else {
            if (after_break)
                kl_page_indent(page, indent);
            if (c.code == '\'')
                put_char(page, '\'');
            put_character(page, text, at, c.size);
            page->indentation = after_space = after_break = false;
        }
        at += c.size;
    }
    kl_page_indicator(page, "'", false, false, false);
}

static void put_escape(struct kl_page *page, uint32_t c)
{
    static const struct {
        uint32_t code;
        char name;
    } named[] = {
        { 0, '0' },     { 7, 'a' },    { 8, 'b' },    { 9, 't' },      { 10, 'n' },
        { 11, 'v' },    { 12, 'f' },   { 13, 'r' },   { 27, 'e' },     { '"', '"' },
        { '\\', '\\' }, { 0x85, 'N' }, { 0xa0, '_' }, { 0x2028, 'L' }, { 0x2029, 'P' },
    };
    size_t before = page->out->len;
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        if (named[i].code == c) {
            put_char(page, '\\');
            put_char(page, named[i].name);
            return;
        }
    }
    if (c <= 0xff)
        kilter_buf_printf(page->out, "\\x%02X", (unsigned)c);
    else if (c <= 0xffff)
        kilter_buf_printf(page->out, "\\u%04X", (unsigned)c);
    else
        kilter_buf_printf(page->out, "\\U%08X", (unsigned)c);
    page->column += (int)(page->out->len - before);
}

static void put_double_quoted(struct kl_page *page, struct kilter_str text, int indent, bool key)
{
    bool after_space = false, escape_all = kilter_str_starts(text, KILTER_STR(BOM));
    kl_page_indicator(page, "\"", true, false, false);
    for (size_t at = 0; at < text.len;) {
        struct character c = character_at(text, at);
        bool inner = at > 0 && at + 1 < text.len;
        if (escape_all || !is_printable(c.code) || is_break(c.code) || c.code == '"' || c.code == '\\') {
            put_escape(page, c.code);
            after_space = false;
        } else if (c.code == ' ' && !key && inner && !after_space && page->column > WIDTH) {
            kl_page_indent(page, indent);
            if (is_space_at(text, at + 1))
                put_char(page, '\\');
            after_space = true;
        } else {
            put_character(page, text, at, c.size);
            after_space = c.code == ' ';
        }
        at += c.size;
    }
    kl_page_indicator(page, "\"", false, false, false);
}

/* The last character that begins before `end`. */
static uint32_t last_character(struct kilter_str text, size_t end, size_t *ret_at)
{
    *ret_at = kl_utf8_floor(text.ptr, end - 1);
    return character_at(text, *ret_at).code;
}

static void put_literal_header(struct kl_page *page, struct kilter_str text)
{
    size_t last, before;
    kl_page_indicator(page, "|", true, false, false);
    if (text.ptr[0] == ' ' || is_break(character_at(text, 0).code))
        kl_page_indicator(page, INDENT_DIGIT, false, false, false);
    if (!is_break(last_character(text, text.len, &last)))
        kl_page_indicator(page, "-", false, false, false);
    else if (last == 0 || is_break(last_character(text, last, &before)))
        kl_page_indicator(page, "+", false, false, false);
}

static void put_literal(struct kl_page *page, struct kilter_str text, int indent)
{
    bool after_break = true;
    put_literal_header(page, text);
    put_break(page);
    page->indentation = page->blank = true;
    for (size_t at = 0; at < text.len;) {
        struct character c = character_at(text, at);
        if (is_break(c.code)) {
            put_break_character(page, text, at, c.size);
            page->indentation = after_break = true;
        } else {
            if (after_break)
                kl_page_indent(page, indent);
            put_character(page, text, at, c.size);
            page->indentation = after_break = false;
        }
        at += c.size;
    }
}

/* Bytes that are no text: tagged, in base64, as go-yaml writes them. */
static void put_binary(struct kl_page *page, struct kilter_str bytes, int indent)
{
    struct kilter_buf text = KILTER_BUF_INIT(SIZE_MAX), lines = KILTER_BUF_INIT(SIZE_MAX);
    kilter_base64_encode(&text, bytes);
    bool several = text.len > BINARY_LINE;
    for (size_t at = 0; at < text.len; at += BINARY_LINE) {
        kilter_buf_str(&lines, kilter_str_sub(kilter_buf_view(&text), at, BINARY_LINE));
        if (several)
            kilter_buf_char(&lines, '\n');
    }
    kl_page_indicator(page, "!!binary", true, false, false);
    if (text.failed || lines.failed)
        page->out->failed = KILTER_E_NOMEM;
    else if (several)
        put_literal(page, kilter_buf_view(&lines), indent);
    else
        put_plain(page, kilter_buf_view(&lines), indent, true);
    kilter_buf_release(&text);
    kilter_buf_release(&lines);
}

void kl_page_plain(struct kl_page *page, struct kilter_str text)
{
    put_plain(page, text, 0, true);
}

/* Go's encoder writes a key "<<" without quotes, and then its reader takes it for a merge: the one place
 * where its bytes are not followed, because the meaning would be another one. */
static bool is_merge_key(struct kilter_str text, bool key)
{
    return key && kilter_str_eq_c(text, "<<");
}

void kl_page_string(struct kl_page *page, struct kilter_str text, int indent, bool key)
{
    if (!kilter_str_is_utf8(text)) {
        put_binary(page, text, indent);
        return;
    }
    struct kl_text_traits traits = kl_text_look(text);
    bool lines = kilter_str_find(text, '\n', 0) >= 0;
    if (lines && !key && traits.literal_allowed)
        put_literal(page, text, indent);
    else if (lines || (key && traits.multiline) || is_merge_key(text, key) || kl_looks_typed(text))
        put_double_quoted(page, text, indent, key);
    else if (traits.plain_allowed)
        put_plain(page, text, indent, key);
    else if (traits.single_quoted_allowed)
        put_single_quoted(page, text, indent, key);
    else
        put_double_quoted(page, text, indent, key);
}
