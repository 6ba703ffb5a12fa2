// SPDX-License-Identifier: Apache-2.0
/* Numbers from and to texts, without the process's locale. */
#include "value_number.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "text.h"

/* Made once and kept: the C locale whatever the process has set. */
static locale_t c_locale(void)
{
    static locale_t kept;
    locale_t known = __atomic_load_n(&kept, __ATOMIC_ACQUIRE);
    if (known)
        return known;
    locale_t made = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (made && !__atomic_compare_exchange_n(&kept, &known, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        freelocale(made);
        made = known;
    }
    return made;
}

static double convert(const char *text)
{
    locale_t locale = c_locale();
    return locale ? strtod_l(text, NULL, locale) : strtod(text, NULL);
}

bool kl_parse_double(struct kilter_str text, double *ret)
{
    char small[128];
    char *copy = text.len < sizeof small ? small : malloc(text.len + 1);
    if (!copy)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    double value = convert(copy);
    if (copy != small)
        free(copy);
    if (!isfinite(value))
        return false;
    *ret = value;
    return true;
}

/* --- printing ----------------------------------------------------------------- */
struct decimal {
    bool negative;
    int count; /* of digits, no trailing zeros but for zero itself */
    int point; /* the decimal point is behind this many digits; may lie outside of them */
    char digits[20];
};

/* Takes printf's "d.ddde+xx" apart; the point may be any text of the locale. */
static void read_digits(const char *text, struct decimal *to)
{
    to->count = 0;
    to->negative = *text == '-';
    for (text += to->negative; *text && *text != 'e'; text++) {
        if (kl_is_digit(*text))
            to->digits[to->count++] = *text;
    }
    to->point = *text ? atoi(text + 1) + 1 : 1;
    while (to->count > 1 && to->digits[to->count - 1] == '0')
        to->count--;
}

static double read_back(const struct decimal *from)
{
    char text[40];
    snprintf(text, sizeof text, "%s0.%.*se%d", from->negative ? "-" : "", from->count, from->digits, from->point);
    return convert(text);
}

/* Fifteen digits hold every decimal that short; what needs more needs one or two more. Below the smallest
 * normal double there are fewer to hold. */
static void shortest(double value, struct decimal *ret)
{
    for (int digits = fabs(value) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
        char text[40];
        snprintf(text, sizeof text, "%.*e", digits - 1, value);
        read_digits(text, ret);
        if (read_back(ret) == value)
            return;
    }
}

static void put_plain(const struct decimal *from, char *out)
{
    if (from->negative)
        *out++ = '-';
    if (from->point <= 0) {
        *out++ = '0';
        *out++ = '.';
        for (int i = from->point; i < 0; i++)
            *out++ = '0';
    }
    for (int i = 0; i < from->count || i < from->point; i++) {
        if (i == from->point && i > 0)
            *out++ = '.';
        *out++ = i < from->count ? from->digits[i] : '0';
    }
    *out = 0;
}

static void put_exponent(const struct decimal *from, int least_digits, char *out)
{
    int exponent = from->point - 1;
    if (from->negative)
        *out++ = '-';
    *out++ = from->digits[0];
    if (from->count > 1) {
        *out++ = '.';
        memcpy(out, from->digits + 1, (size_t)from->count - 1);
        out += from->count - 1;
    }
    sprintf(out, "e%c%0*d", exponent < 0 ? '-' : '+', least_digits, abs(exponent));
}

const char *kl_format_double_json(double value, char out[KL_NUMBER_MAX])
{
    struct decimal decimal;
    shortest(value, &decimal);
    double size = fabs(value);
    if (size != 0 && (size < 1e-6 || size >= 1e21))
        put_exponent(&decimal, 1, out);
    else
        put_plain(&decimal, out);
    return out;
}

const char *kl_format_double_yaml(double value, char out[KL_NUMBER_MAX])
{
    struct decimal decimal;
    shortest(value, &decimal);
    int exponent = decimal.point - 1;
    if (value != 0 && (exponent < -4 || exponent >= 6))
        put_exponent(&decimal, 2, out);
    else
        put_plain(&decimal, out);
    return out;
}

static size_t skip_digits(struct kilter_str text, size_t at)
{
    while (at < text.len && kl_is_digit(text.ptr[at]))
        at++;
    return at;
}

bool kl_is_json_number(struct kilter_str text, bool *ret_is_float)
{
    size_t start = text.len && text.ptr[0] == '-';
    size_t at = skip_digits(text, start);
    if (at == start || (text.ptr[start] == '0' && at > start + 1))
        return false;
    *ret_is_float = at < text.len;
    if (at < text.len && text.ptr[at] == '.') {
        size_t digits = at + 1;
        at = skip_digits(text, digits);
        if (at == digits)
            return false;
    }
    if (at < text.len && (text.ptr[at] == 'e' || text.ptr[at] == 'E')) {
        at++;
        if (at < text.len && (text.ptr[at] == '+' || text.ptr[at] == '-'))
            at++;
        size_t digits = at;
        at = skip_digits(text, digits);
        if (at == digits)
            return false;
    }
    return at == text.len;
}
