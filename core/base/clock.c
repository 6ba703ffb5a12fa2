/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

#define MS_PER_DAY INT64_C(86400000)
#define FIRST_MS INT64_C(-62167219200000) /* 0000-01-01T00:00:00.000Z */
#define LAST_MS INT64_C(253402300799999)  /* 9999-12-31T23:59:59.999Z */

static int64_t read_clock(clockid_t id)
{
    struct timespec now = { 0, 0 };
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * KL_NS_PER_S + now.tv_nsec;
}

int64_t kl_clock_monotonic_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t kl_clock_wall_ms(void)
{
    return read_clock(CLOCK_REALTIME) / KL_NS_PER_MS;
}

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar. Years are counted from March, so that
 * the leap day is a year's last. */
static int64_t days_of_date(int64_t year, int month, int day)
{
    if (month <= 2)
        year--;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static const char *format(int64_t wall_ms, bool with_ms, char text[32])
{
    if (wall_ms < FIRST_MS)
        wall_ms = FIRST_MS;
    if (wall_ms > LAST_MS)
        wall_ms = LAST_MS;
    int64_t ms = wall_ms % 1000;
    time_t seconds = (time_t)(wall_ms / 1000);
    if (ms < 0) {
        ms += 1000;
        seconds--;
    }
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t len = strftime(text, 32, "%H:%M:%S", &tm);
    char clock[16];
    memcpy(clock, text, len + 1);
    int n = snprintf(text, 32, "%04u-%02u-%02uT%s", (unsigned)(tm.tm_year + 1900) % 10000u,
                     (unsigned)(tm.tm_mon + 1) % 100u, (unsigned)tm.tm_mday % 100u, clock);
    if (with_ms)
        snprintf(text + n, 32 - (size_t)n, ".%03uZ", (unsigned)ms % 1000u);
    else
        snprintf(text + n, 32 - (size_t)n, "Z");
    return text;
}

const char *kl_clock_format(int64_t wall_ms, char text[32])
{
    return format(wall_ms, true, text);
}

const char *kl_clock_format_seconds(int64_t wall_ms, char text[32])
{
    return format(wall_ms, false, text);
}

/* Takes exactly `count` digits. */
static bool take_digits(struct kilter_str *text, size_t count, int *ret)
{
    if (text->len < count)
        return false;
    *ret = 0;
    for (size_t i = 0; i < count; i++) {
        char c = text->ptr[i];
        if (c < '0' || c > '9')
            return false;
        *ret = *ret * 10 + (c - '0');
    }
    *text = kilter_str_sub(*text, count, text->len);
    return true;
}

static bool take_char(struct kilter_str *text, const char *any_of)
{
    if (text->len == 0 || text->ptr[0] == '\0' || !strchr(any_of, text->ptr[0]))
        return false;
    *text = kilter_str_sub(*text, 1, text->len);
    return true;
}

static bool take_fraction(struct kilter_str *text, int *ret_ms)
{
    *ret_ms = 0;
    if (!take_char(text, "."))
        return true;
    int digits = 0, digit, scale = 100;
    while (take_digits(text, 1, &digit)) {
        *ret_ms += digit * scale;
        scale /= 10;
        digits++;
    }
    return digits > 0;
}

static bool take_offset(struct kilter_str *text, int64_t *ret_ms)
{
    *ret_ms = 0;
    if (take_char(text, "Zz"))
        return true;
    bool west = text->len > 0 && text->ptr[0] == '-';
    int hours, minutes;
    if (!take_char(text, "+-") || !take_digits(text, 2, &hours) || !take_char(text, ":") ||
        !take_digits(text, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *ret_ms = (hours * 60 + minutes) * INT64_C(60000) * (west ? -1 : 1);
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

int kl_clock_parse(struct kilter_str text, int64_t *ret_wall_ms)
{
    int year, month, day, hour, minute, second, ms;
    int64_t offset;
    if (!take_digits(&text, 4, &year) || !take_char(&text, "-") || !take_digits(&text, 2, &month) ||
        !take_char(&text, "-") || !take_digits(&text, 2, &day) || !take_char(&text, "Tt ") ||
        !take_digits(&text, 2, &hour) || !take_char(&text, ":") || !take_digits(&text, 2, &minute) ||
        !take_char(&text, ":") || !take_digits(&text, 2, &second) || !take_fraction(&text, &ms) ||
        !take_offset(&text, &offset) || text.len != 0)
        return KILTER_E_INVALID;
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 || minute > 59 ||
        second > 60)
        return KILTER_E_INVALID;
    if (second == 60)
        second = 59;
    int64_t of_day = ((hour * 60 + minute) * INT64_C(60) + second) * 1000 + ms;
    *ret_wall_ms = days_of_date(year, month, day) * MS_PER_DAY + of_day - offset;
    return KILTER_OK;
}
