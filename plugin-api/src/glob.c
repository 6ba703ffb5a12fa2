// SPDX-License-Identifier: Apache-2.0
/*
 * Glob matching without recursion. Both levels, segments in a path and
 * characters in a segment, use the same argument: when a later star is reached,
 * an earlier one never needs to give back what it took, so one place to return to
 * is enough and each pair of pattern and path positions is met once per star.
 */
#include "text.h"

/* A character, or one byte where the text is no UTF-8 (then above every Unicode character). */
static size_t next_character(struct kilter_str s, uint32_t *ret)
{
    size_t size = kl_utf8_decode(s, ret);
    if (size)
        return size;
    *ret = 0x110000u + (unsigned char)s.ptr[0];
    return 1;
}

/* The end of the class that begins at `pattern`'s "[", past its "]"; 0 when it has none. */
static size_t class_end(struct kilter_str pattern)
{
    size_t at = 1;
    if (at < pattern.len && (pattern.ptr[at] == '!' || pattern.ptr[at] == '^'))
        at++;
    if (at < pattern.len && pattern.ptr[at] == ']')
        at++;
    while (at < pattern.len && pattern.ptr[at] != ']')
        at += pattern.ptr[at] == '\\' && at + 1 < pattern.len ? 2 : 1;
    return at < pattern.len ? at + 1 : 0;
}

static size_t class_character(struct kilter_str body, size_t at, uint32_t *ret)
{
    if (body.ptr[at] == '\\' && at + 1 < body.len)
        at++;
    return at + next_character(kilter_str_sub(body, at, body.len), ret);
}

/* `body` is what stands between the brackets. */
static bool class_holds(struct kilter_str body, uint32_t character)
{
    bool inverted = body.len && (body.ptr[0] == '!' || body.ptr[0] == '^');
    bool found = false;
    for (size_t at = inverted; at < body.len;) {
        uint32_t low, high;
        at = class_character(body, at, &low);
        high = low;
        if (at + 1 < body.len && body.ptr[at] == '-')
            at = class_character(body, at + 1, &high);
        found = found || (character >= low && character <= high);
    }
    return found != inverted;
}

/* Matches one pattern element that is no star against the character at the start of `text`. Returns the
 * pattern's bytes used, 0 for no match. */
static size_t match_one(struct kilter_str pattern, uint32_t character)
{
    uint32_t expected;
    if (pattern.ptr[0] == '?')
        return 1;
    if (pattern.ptr[0] == '[') {
        size_t end = class_end(pattern);
        if (end)
            return class_holds(kilter_str_sub(pattern, 1, end - 2), character) ? end : 0;
    }
    size_t quoted = pattern.ptr[0] == '\\' && pattern.len > 1;
    size_t size = next_character(kilter_str_sub(pattern, quoted, pattern.len), &expected);
    return expected == character ? quoted + size : 0;
}

static bool match_segment(struct kilter_str pattern, struct kilter_str text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, star_text = 0;
    while (t < text.len) {
        uint32_t character;
        size_t size = next_character(kilter_str_sub(text, t, text.len), &character);
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = ++p;
            star_text = t;
            continue;
        }
        size_t used = p < pattern.len ? match_one(kilter_str_sub(pattern, p, pattern.len), character) : 0;
        if (used) {
            p += used;
            t += size;
        } else if (star != SIZE_MAX) {
            p = star;
            t = star_text += next_character(kilter_str_sub(text, star_text, text.len), &character);
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

/* The segment that begins at *at; moves *at past its slash, or past the end after the last one. */
static struct kilter_str next_segment(struct kilter_str path, size_t *at)
{
    ptrdiff_t slash = kilter_str_find(path, '/', *at);
    size_t end = slash < 0 ? path.len : (size_t)slash;
    struct kilter_str segment = kilter_str_sub(path, *at, end - *at);
    *at = end + 1;
    return segment;
}

static bool match_path(struct kilter_str pattern, struct kilter_str path)
{
    size_t p = 0, t = 0, star = SIZE_MAX, star_text = 0;
    while (t <= path.len) {
        size_t next_p = p, next_t = t;
        struct kilter_str want = KILTER_STR_NONE;
        if (p <= pattern.len)
            want = next_segment(pattern, &next_p);
        if (want.len == 2 && memcmp(want.ptr, "**", 2) == 0) {
            p = star = next_p;
            star_text = t;
            continue;
        }
        struct kilter_str segment = next_segment(path, &next_t);
        if (p <= pattern.len && match_segment(want, segment)) {
            p = next_p;
            t = next_t;
        } else if (star != SIZE_MAX) {
            next_segment(path, &star_text);
            p = star;
            t = star_text;
        } else {
            return false;
        }
    }
    while (p <= pattern.len) {
        struct kilter_str want = next_segment(pattern, &p);
        if (!kilter_str_eq_c(want, "**"))
            return false;
    }
    return true;
}

bool kilter_glob_match(struct kilter_str pattern, struct kilter_str path)
{
    if (kilter_str_find(pattern, '/', 0) < 0) {
        ptrdiff_t slash = kilter_str_rfind(path, '/');
        return match_segment(pattern, kilter_str_sub(path, (size_t)(slash + 1), path.len));
    }
    if (pattern.ptr[0] == '/' && !(path.len && path.ptr[0] == '/'))
        pattern = kilter_str_sub(pattern, 1, pattern.len);
    return match_path(pattern, path);
}
