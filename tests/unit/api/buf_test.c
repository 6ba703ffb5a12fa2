// SPDX-License-Identifier: Apache-2.0
#include "api_tests.h"

START_TEST(buffer_grows_to_its_maximum_and_no_further)
{
    struct kilter_buf buf = KILTER_BUF_INIT(100);
    ck_assert_int_eq(kilter_buf_fill(&buf, 'x', 99), 0);
    ck_assert_int_eq(kilter_buf_char(&buf, 'y'), 0);
    ck_assert_uint_eq(buf.len, 100);
    ck_assert_int_eq(kilter_buf_char(&buf, 'z'), KILTER_E_LIMIT);
    ck_assert_uint_eq(buf.len, 100);
    ck_assert_int_eq(buf.ptr[100], 0);
    kilter_buf_release(&buf);
    ck_assert_uint_eq(buf.max, 100);
}
END_TEST

START_TEST(failed_buffer_stays_failed_until_cleared)
{
    struct kilter_buf buf = KILTER_BUF_INIT(4);
    ck_assert_int_eq(kilter_buf_c(&buf, "12345"), KILTER_E_LIMIT);
    ck_assert_int_eq(kilter_buf_c(&buf, "1"), KILTER_E_LIMIT);
    ck_assert_int_eq(kilter_buf_printf(&buf, "%d", 1), KILTER_E_LIMIT);
    ck_assert_ptr_null(kilter_buf_reserve(&buf, 1));
    kilter_buf_clear(&buf);
    ck_assert_int_eq(kilter_buf_c(&buf, "1234"), 0);
    ck_assert_str_eq(buf.ptr, "1234");
    kilter_buf_release(&buf);
}
END_TEST

START_TEST(empty_buffer_has_an_empty_view)
{
    struct kilter_buf buf = KILTER_BUF_INIT(0);
    ck_assert_ptr_nonnull(kilter_buf_view(&buf).ptr);
    ck_assert_int_eq(kilter_buf_append(&buf, NULL, 0), 0);
    ck_assert_int_eq(kilter_buf_char(&buf, 'x'), KILTER_E_LIMIT);
    kilter_buf_release(&buf);
}
END_TEST

START_TEST(formatted_text_of_any_length_is_appended)
{
    struct kilter_buf buf = KILTER_BUF_INIT(1 << 20);
    for (int width = 250; width < 260; width++) {
        kilter_buf_clear(&buf);
        kilter_buf_printf(&buf, "%*d", width, 1);
        ck_assert_uint_eq(buf.len, (size_t)width);
        ck_assert_uint_eq(strlen(buf.ptr), (size_t)width);
    }
    kilter_buf_release(&buf);
}
END_TEST

static const struct {
    const char *text, *base64;
} base64_cases[] = {
    { "", "" },
    { "f", "Zg==" },
    { "fo", "Zm8=" },
    { "foo", "Zm9v" },
    { "foob", "Zm9vYg==" },
    { "fooba", "Zm9vYmE=" },
    { "foobar", "Zm9vYmFy" },
    { "\xff\xfe\xfd", "//79" },
};

START_TEST(base64_goes_both_ways)
{
    struct kilter_buf buf = KILTER_BUF_INIT(100);
    kilter_base64_encode(&buf, kilter_str_c(base64_cases[_i].text));
    ck_assert_view_eq(kilter_buf_view(&buf), base64_cases[_i].base64);
    kilter_buf_clear(&buf);
    ck_assert_int_eq(kilter_base64_decode(&buf, kilter_str_c(base64_cases[_i].base64)), 0);
    ck_assert_view_eq(kilter_buf_view(&buf), base64_cases[_i].text);
    kilter_buf_release(&buf);
}
END_TEST

START_TEST(base64_takes_line_breaks_and_nothing_else)
{
    static const char *const bad[] = { "Zg=",  "Zg",   "Z",    "Zg==Zg==", "Zm9v=", "Z-9v",
                                       "====", "Zg=a", "Zh==", "Zm9=",     "Zg\v==" };
    struct kilter_buf buf = KILTER_BUF_INIT(100);
    ck_assert_int_eq(kilter_base64_decode(&buf, KILTER_STR(" Zm\r\n9v\tYg\n= =\n")), 0);
    ck_assert_view_eq(kilter_buf_view(&buf), "foob");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(kilter_base64_decode(&buf, kilter_str_c(bad[i])) == KILTER_E_INVALID, "%s", bad[i]);
    kilter_buf_release(&buf);
}
END_TEST

START_TEST(digests_are_those_of_the_standards)
{
    uint8_t digest[KILTER_SHA256_SIZE];
    char text[2 * KILTER_SHA256_SIZE + 1], key[131];
    struct kilter_sha256 ctx;
    kilter_sha256_init(&ctx);
    kilter_sha256_update(&ctx, "a", 1);
    kilter_sha256_update(&ctx, "", 0);
    kilter_sha256_update(&ctx, "bc", 2);
    kilter_sha256_final(&ctx, digest);
    kilter_hex(digest, sizeof digest, text);
    ck_assert_str_eq(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    /* RFC 4231, cases 2 and 6 */
    kilter_hmac_sha256(KILTER_STR("Jefe"), KILTER_STR("what do ya want for nothing?"), digest);
    kilter_hex(digest, sizeof digest, text);
    ck_assert_str_eq(text, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    kilter_hmac_sha256(kilter_str_n(key, sizeof key),
                       KILTER_STR("Test Using Larger Than Block-Size Key - Hash Key First"), digest);
    kilter_hex(digest, sizeof digest, text);
    ck_assert_str_eq(text, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}
END_TEST

Suite *api_buf_suite(void)
{
    Suite *suite = suite_create("buf");
    TCase *tcase = api_case(suite, "buf");
    tcase_add_test(tcase, buffer_grows_to_its_maximum_and_no_further);
    tcase_add_test(tcase, failed_buffer_stays_failed_until_cleared);
    tcase_add_test(tcase, empty_buffer_has_an_empty_view);
    tcase_add_test(tcase, formatted_text_of_any_length_is_appended);
    tcase_add_loop_test(tcase, base64_goes_both_ways, 0, sizeof base64_cases / sizeof base64_cases[0]);
    tcase_add_test(tcase, base64_takes_line_breaks_and_nothing_else);
    tcase_add_test(tcase, digests_are_those_of_the_standards);
    return suite;
}
