// SPDX-License-Identifier: Apache-2.0
/*
 * Timestamps of YAML 1.1 in the forms that Go's readers take:
 * 2001-1-2, 2001-1-2 3:4:5.6, 2001-01-02T03:04:05.6Z and with an offset of hours and minutes.
 */
#include <stdio.h>

#include "text.h"
#include "value_resolve.h"

/* One or two digits at *at. */
static bool take_number(struct kilter_str text, size_t *at, int least, int most, int *ret)
{
    size_t from = *at;
    int value = 0;
    while (*at < text.len && *at < from + 2 && kl_is_digit(text.ptr[*at]))
        value = value * 10 + (text.ptr[(*at)++] - '0');
    *ret = value;
    return *at > from && value >= least && value <= most;
}

static bool take_char(struct kilter_str text, size_t *at, char c)
{
    if (*at >= text.len || text.ptr[*at] != c)
        return false;
    ++*at;
    return true;
}

static bool take_date(struct kilter_str text, size_t *at, struct kl_timestamp *ret)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (text.len < 6)
        return false;
    ret->year = 0;
    for (*at = 0; *at < 4; ++*at) {
        if (!kl_is_digit(text.ptr[*at]))
            return false;
        ret->year = ret->year * 10 + (text.ptr[*at] - '0');
    }
    if (!take_char(text, at, '-') || !take_number(text, at, 1, 12, &ret->month) || !take_char(text, at, '-') ||
        !take_number(text, at, 1, 31, &ret->day))
        return false;
    bool leap = ret->year % 4 == 0 && (ret->year % 100 != 0 || ret->year % 400 == 0);
    return ret->day <= days[ret->month - 1] + (leap && ret->month == 2);
}

/* Digits of a second behind the point; those beyond nine are read over. */
static bool take_fraction(struct kilter_str text, size_t *at, uint32_t *ret)
{
    uint32_t scale = 100000000;
    size_t from = *at;
    *ret = 0;
    for (; *at < text.len && kl_is_digit(text.ptr[*at]); ++*at) {
        *ret += (uint32_t)(text.ptr[*at] - '0') * scale;
        scale /= 10;
    }
    return *at > from;
}

static bool take_time(struct kilter_str text, size_t *at, struct kl_timestamp *ret)
{
    if (!take_number(text, at, 0, 23, &ret->hour) || !take_char(text, at, ':') ||
        !take_number(text, at, 0, 59, &ret->minute) || !take_char(text, at, ':') ||
        !take_number(text, at, 0, 59, &ret->second))
        return false;
    ret->nanosecond = 0;
    bool point = *at < text.len && (text.ptr[*at] == '.' || text.ptr[*at] == ',');
    if (!point)
        return true;
    ++*at;
    return take_fraction(text, at, &ret->nanosecond);
}

static bool take_offset(struct kilter_str text, size_t *at, int *ret)
{
    int hours, minutes;
    *ret = 0;
    if (take_char(text, at, 'Z'))
        return true;
    int sign = *at < text.len && text.ptr[*at] == '-' ? -1 : 1;
    size_t from = ++*at;
    if (from > text.len || (text.ptr[from - 1] != '+' && text.ptr[from - 1] != '-') ||
        !take_number(text, at, 0, 24, &hours) || *at != from + 2 || !take_char(text, at, ':') ||
        !take_number(text, at, 0, 60, &minutes) || *at != from + 5)
        return false;
    *ret = sign * (hours * 60 + minutes);
    return true;
}

bool kl_parse_timestamp(struct kilter_str text, struct kl_timestamp *ret)
{
    size_t at = 0;
    memset(ret, 0, sizeof *ret);
    if (!take_date(text, &at, ret))
        return false;
    if (at == text.len)
        return true;
    if (take_char(text, &at, ' '))
        return take_time(text, &at, ret) && at == text.len;
    if (!take_char(text, &at, 'T') && !take_char(text, &at, 't'))
        return false;
    return take_time(text, &at, ret) && take_offset(text, &at, &ret->offset) && at == text.len;
}

void kl_format_timestamp(const struct kl_timestamp *t, char out[48])
{
    int len = snprintf(out, 48, "%04d-%02d-%02dT%02d:%02d:%02d", t->year, t->month, t->day, t->hour, t->minute,
                       t->second);
    if (t->nanosecond) {
        len += snprintf(out + len, 48 - (size_t)len, ".%09u", t->nanosecond);
        while (out[len - 1] == '0')
            len--;
    }
    int offset = t->offset < 0 ? -t->offset : t->offset;
    if (offset)
        snprintf(out + len, 48 - (size_t)len, "%c%02d:%02d", t->offset < 0 ? '-' : '+', offset / 60, offset % 60);
    else
        snprintf(out + len, 48 - (size_t)len, "Z");
}
