// SPDX-License-Identifier: Apache-2.0
/* The order of a map's keys in go-yaml's output. */
#include <locale.h>
#include <wctype.h>

#include "text.h"
#include "yaml_output.h"

static uint32_t character_at(struct kilter_str s, size_t at, size_t *ret_size)
{
    uint32_t character = 0xfffd;
    *ret_size = kl_utf8_decode(kilter_str_sub(s, at, 4), &character);
    if (!*ret_size)
        *ret_size = 1;
    return character;
}

static locale_t unicode_locale(void)
{
    static locale_t kept;
    locale_t known = __atomic_load_n(&kept, __ATOMIC_ACQUIRE);
    if (known)
        return known;
    locale_t made = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (made && !__atomic_compare_exchange_n(&kept, &known, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        freelocale(made);
        made = known;
    }
    return made;
}

static bool is_letter(uint32_t c)
{
    if (c < 0x80)
        return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
    locale_t locale = unicode_locale();
    return locale && iswalpha_l((wint_t)c, locale);
}

/* The value of the digits from `at` on, behind a first value; wraps where it is too long, as Go's does. */
static uint64_t read_run(struct kilter_str s, size_t at, uint64_t value, size_t *ret_end)
{
    for (; at < s.len && kl_is_digit(s.ptr[at]); at++)
        value = value * 10 + (uint64_t)(s.ptr[at] - '0');
    *ret_end = at;
    return value;
}

/* Whether the digits just before `at` have one that is not 0: then what follows is inside of a number, and
 * a 0 there counts. */
static bool inside_number(struct kilter_str s, size_t at)
{
    while (at > 0 && kl_is_digit(s.ptr[at - 1])) {
        if (s.ptr[--at] != '0')
            return true;
    }
    return false;
}

static int order_at(struct kilter_str a, struct kilter_str b, size_t at, uint32_t x, uint32_t y)
{
    bool x_letter = is_letter(x), y_letter = is_letter(y);
    int by_character = x < y ? -1 : 1;
    if (x_letter && y_letter)
        return by_character;
    if (x_letter || y_letter)
        return y_letter ? -1 : 1;
    uint64_t first = (x == '0' || y == '0') && inside_number(a, at);
    size_t a_end, b_end;
    int64_t a_number = (int64_t)read_run(a, at, first, &a_end), b_number = (int64_t)read_run(b, at, first, &b_end);
    if (a_number != b_number)
        return a_number < b_number ? -1 : 1;
    if (a_end != b_end)
        return a_end < b_end ? -1 : 1;
    return by_character;
}

int kl_natural_order(struct kilter_str a, struct kilter_str b)
{
    for (size_t at = 0; at < a.len && at < b.len;) {
        size_t a_size, b_size;
        uint32_t x = character_at(a, at, &a_size), y = character_at(b, at, &b_size);
        if (x != y)
            return order_at(a, b, at, x, y);
        at += a_size;
    }
    return (a.len > b.len) - (a.len < b.len);
}
