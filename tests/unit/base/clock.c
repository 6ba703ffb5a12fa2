/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "base_tests.h"

static int64_t parse(const char *text)
{
    int64_t ms = -1;
    ck_assert_msg(kl_clock_parse(kilter_str_c(text), &ms) == KILTER_OK, "%s", text);
    return ms;
}

START_TEST(times_are_written_as_rfc_3339_in_utc)
{
    char text[32];
    ck_assert_str_eq(kl_clock_format(0, text), "1970-01-01T00:00:00.000Z");
    ck_assert_str_eq(kl_clock_format(1772373729120, text), "2026-03-01T14:02:09.120Z");
    ck_assert_str_eq(kl_clock_format_seconds(1772373729999, text), "2026-03-01T14:02:09Z");
    ck_assert_str_eq(kl_clock_format(-1, text), "1969-12-31T23:59:59.999Z");
    ck_assert_str_eq(kl_clock_format(INT64_MAX, text), "9999-12-31T23:59:59.999Z");
    ck_assert_str_eq(kl_clock_format(INT64_MIN, text), "0000-01-01T00:00:00.000Z");
}
END_TEST

START_TEST(times_are_read_with_any_offset_and_any_number_of_decimals)
{
    ck_assert_int_eq(parse("2026-03-01T14:02:09Z"), 1772373729000);
    ck_assert_int_eq(parse("2026-03-01t14:02:09.1z"), 1772373729100);
    ck_assert_int_eq(parse("2026-03-01 15:02:09.123456789+01:00"), 1772373729123);
    ck_assert_int_eq(parse("2026-03-01T08:32:09-05:30"), 1772373729000);
    ck_assert_int_eq(parse("2000-02-29T00:00:00Z"), 951782400000);
    ck_assert_int_eq(parse("2016-12-31T23:59:60Z"), parse("2016-12-31T23:59:59Z"));
}
END_TEST

START_TEST(what_is_written_reads_back_the_same)
{
    char text[32];
    for (int64_t ms = -62167219200000; ms <= 253402300799999; ms += 86400000LL * 261 + 12345678)
        ck_assert_int_eq(parse(kl_clock_format(ms, text)), ms);
}
END_TEST

START_TEST(what_is_no_time_is_refused)
{
    static const char *const wrong[] = {
        "",
        "2026",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00+0100",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00Zx",
        "2026-1-01T00:00:00Z",
        " 2026-01-01T00:00:00Z",
    };
    int64_t ms = 42;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        ck_assert_msg(kl_clock_parse(kilter_str_c(wrong[i]), &ms) == KILTER_E_INVALID, "%s", wrong[i]);
    ck_assert_int_eq(ms, 42);
    ck_assert_int_eq(kl_clock_parse(kilter_str_n("2026-01-01T00:00:00\0", 20), &ms), KILTER_E_INVALID);
}
END_TEST

START_TEST(the_monotonic_clock_moves_forward)
{
    int64_t before = kl_clock_monotonic_ns();
    ck_assert_int_ge(kl_clock_monotonic_ns(), before);
    ck_assert_int_gt(kl_clock_wall_ms(), parse("2020-01-01T00:00:00Z"));
}
END_TEST

TCase *base_clock_case(void)
{
    TCase *tc = tcase_create("clock");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, times_are_written_as_rfc_3339_in_utc);
    tcase_add_test(tc, times_are_read_with_any_offset_and_any_number_of_decimals);
    tcase_add_test(tc, what_is_written_reads_back_the_same);
    tcase_add_test(tc, what_is_no_time_is_refused);
    tcase_add_test(tc, the_monotonic_clock_moves_forward);
    return tc;
}
