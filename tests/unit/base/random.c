/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include "base_tests.h"

START_TEST(jitter_stays_within_its_percentage_and_reaches_both_sides)
{
    bool below = false, above = false;
    for (int i = 0; i < 2000; i++) {
        int64_t moved = kl_random_jitter(1000, 10);
        ck_assert_int_ge(moved, 900);
        ck_assert_int_le(moved, 1100);
        below |= moved < 1000;
        above |= moved > 1000;
    }
    ck_assert(below && above);
}
END_TEST

START_TEST(jitter_of_extremes_neither_overflows_nor_goes_negative)
{
    ck_assert_int_eq(kl_random_jitter(0, 50), 0);
    ck_assert_int_eq(kl_random_jitter(7, 0), 7);
    for (int i = 0; i < 200; i++) {
        ck_assert_int_ge(kl_random_jitter(3, 1000), 0);
        ck_assert_int_gt(kl_random_jitter(INT64_MAX, 10), INT64_MAX / 2);
    }
}
END_TEST

START_TEST(hex_has_two_digits_a_byte_and_does_not_repeat)
{
    char a[65], b[65];
    ck_assert_uint_eq(strlen(kl_random_hex(16, a)), 32);
    ck_assert_uint_eq(strlen(kl_random_hex(99, b)), 64);
    kl_random_hex(16, b);
    ck_assert_str_ne(a, b);
}
END_TEST

TCase *base_random_case(void)
{
    TCase *tc = tcase_create("random");
    tcase_add_test(tc, jitter_stays_within_its_percentage_and_reaches_both_sides);
    tcase_add_test(tc, jitter_of_extremes_neither_overflows_nor_goes_negative);
    tcase_add_test(tc, hex_has_two_digits_a_byte_and_does_not_repeat);
    return tc;
}
