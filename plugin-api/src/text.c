// SPDX-License-Identifier: Apache-2.0
/* String views: searching, trimming, UTF-8, and the nearest of several words. */
#include "text.h"

ptrdiff_t kilter_str_find(struct kilter_str s, char c, size_t from)
{
    if (from >= s.len)
        return -1;
    const char *hit = memchr(s.ptr + from, c, s.len - from);
    return hit ? hit - s.ptr : -1;
}

ptrdiff_t kilter_str_rfind(struct kilter_str s, char c)
{
    if (!s.len)
        return -1;
    const char *hit = memrchr(s.ptr, c, s.len);
    return hit ? hit - s.ptr : -1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct kilter_str kilter_str_trim(struct kilter_str s)
{
    while (s.len && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

size_t kl_utf8_decode(struct kilter_str s, uint32_t *ret_character)
{
    if (!s.len)
        return 0;
    const unsigned char *bytes = (const unsigned char *)s.ptr;
    unsigned char first = bytes[0];
    if (first < 0x80) {
        *ret_character = first;
        return 1;
    }
    size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    if (first < 0xc2 || first > 0xf4 || s.len < size)
        return 0;
    uint32_t character = first & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        character = character << 6 | (bytes[i] & 0x3f);
    }
    if (character < smallest[size] || character > 0x10ffff || (character >= 0xd800 && character <= 0xdfff))
        return 0;
    *ret_character = character;
    return size;
}

size_t kl_utf8_encode(uint32_t character, char *out)
{
    if (character < 0x80) {
        out[0] = (char)character;
        return 1;
    }
    if (character < 0x800) {
        out[0] = (char)(0xc0 | character >> 6);
        out[1] = (char)(0x80 | (character & 0x3f));
        return 2;
    }
    if (character < 0x10000) {
        out[0] = (char)(0xe0 | character >> 12);
        out[1] = (char)(0x80 | (character >> 6 & 0x3f));
        out[2] = (char)(0x80 | (character & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | character >> 18);
    out[1] = (char)(0x80 | (character >> 12 & 0x3f));
    out[2] = (char)(0x80 | (character >> 6 & 0x3f));
    out[3] = (char)(0x80 | (character & 0x3f));
    return 4;
}

/* Skips the ASCII bytes at the start, eight at a time. */
static size_t ascii_run(struct kilter_str s)
{
    size_t at = 0;
    while (at + sizeof(uint64_t) <= s.len) {
        uint64_t word;
        memcpy(&word, s.ptr + at, sizeof word);
        if (word & UINT64_C(0x8080808080808080))
            break;
        at += sizeof word;
    }
    while (at < s.len && !((unsigned char)s.ptr[at] & 0x80))
        at++;
    return at;
}

bool kilter_str_is_utf8(struct kilter_str s)
{
    while (s.len) {
        size_t step = ascii_run(s);
        if (!step) {
            uint32_t character;
            step = kl_utf8_decode(s, &character);
            if (!step)
                return false;
        }
        s = kilter_str_sub(s, step, s.len);
    }
    return true;
}

/* --- the nearest word ------------------------------------------------------- */
#define NEAREST_MAX 128 /* longer words are not what somebody mistyped */

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;
    return least < c ? least : c;
}

/* Edits (insert, delete, replace, swap of neighbours) that turn one into the other. */
static unsigned edit_distance(struct kilter_str a, struct kilter_str b)
{
    uint16_t rows[3][NEAREST_MAX + 1];
    uint16_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= b.len; j++)
        last[j] = (uint16_t)j;
    for (size_t i = 1; i <= a.len; i++) {
        now[0] = (uint16_t)i;
        for (size_t j = 1; j <= b.len; j++) {
            bool same = a.ptr[i - 1] == b.ptr[j - 1];
            unsigned best = min3(last[j] + 1u, now[j - 1] + 1u, last[j - 1] + !same);
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1] &&
                before[j - 2] + 1u < best)
                best = before[j - 2] + 1u;
            now[j] = (uint16_t)best;
        }
        uint16_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b.len];
}

struct kilter_str kilter_nearest(struct kilter_str word, const struct kilter_str *candidates, size_t count)
{
    struct kilter_str nearest = KILTER_STR_NONE;
    unsigned least = UINT16_MAX;
    if (word.len > NEAREST_MAX)
        return nearest;
    for (size_t i = 0; i < count; i++) {
        struct kilter_str candidate = candidates[i];
        if (!candidate.len || candidate.len > NEAREST_MAX)
            continue;
        size_t longer = word.len > candidate.len ? word.len : candidate.len;
        unsigned allowed = longer / 3 > 1 ? (unsigned)(longer / 3) : 1;
        unsigned distance = edit_distance(word, candidate);
        if (distance <= allowed && distance < least) {
            least = distance;
            nearest = candidate;
        }
    }
    return nearest;
}
