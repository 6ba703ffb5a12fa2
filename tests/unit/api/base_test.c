// SPDX-License-Identifier: Apache-2.0
#include "api_tests.h"

#include <errno.h>

START_TEST(error_is_filled_and_its_code_returned)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    ck_assert_int_eq(kilter_error_set(&err, KILTER_E_LIMIT, "%d of %d", 3, 2), KILTER_E_LIMIT);
    ck_assert_int_eq(err.code, KILTER_E_LIMIT);
    ck_assert_str_eq(err.message, "3 of 2");
    ck_assert_int_eq(kilter_error_set(NULL, KILTER_E_IO, "nobody listens"), KILTER_E_IO);
}
END_TEST

START_TEST(error_of_errno_tells_the_reason_and_picks_the_code)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    ck_assert_int_eq(kilter_error_errno(&err, ENOENT, "opening %s", "x"), KILTER_E_NOT_FOUND);
    ck_assert_str_eq(err.message, "opening x: No such file or directory");
    ck_assert_int_eq(err.sys_errno, ENOENT);
    ck_assert_int_eq(kilter_error_errno(&err, EACCES, "x"), KILTER_E_PERMISSION);
    ck_assert_int_eq(kilter_error_errno(&err, EPERM, "x"), KILTER_E_PERMISSION);
    ck_assert_int_eq(kilter_error_errno(&err, ENOMEM, "x"), KILTER_E_NOMEM);
    ck_assert_int_eq(kilter_error_errno(&err, EIO, "x"), KILTER_E_IO);
    ck_assert_int_eq(kilter_error_errno(&err, 99999, "x"), KILTER_E_IO);
    ck_assert_str_eq(err.message, "x: system error 99999");
    ck_assert_int_eq(kilter_error_errno(NULL, EPERM, "x"), KILTER_E_PERMISSION);
}
END_TEST

START_TEST(error_is_wrapped_with_context_in_front)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    kilter_error_set(&err, KILTER_E_CONFLICT, "inner");
    ck_assert_int_eq(kilter_error_wrap(&err, "outer %d", 1), KILTER_E_CONFLICT);
    ck_assert_str_eq(err.message, "outer 1: inner");
    kilter_error_set(&err, KILTER_E_IO, "again: %s", err.message);
    ck_assert_str_eq(err.message, "again: outer 1: inner");
    ck_assert_int_lt(kilter_error_wrap(NULL, "nobody listens"), 0);
}
END_TEST

START_TEST(long_error_is_cut_between_characters)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    kilter_error_set(&err, KILTER_E_IO, "%494s\xc3\xa9", "");
    ck_assert_uint_eq(strlen(err.message), 494);
    ck_assert(kilter_str_is_utf8(kilter_str_c(err.message)));
    for (int i = 0; i < 50; i++)
        kilter_error_wrap(&err, "%s", "context that goes on and on");
    ck_assert_uint_lt(strlen(err.message), sizeof err.message);
}
END_TEST

START_TEST(every_status_has_a_text)
{
    for (int code = KILTER_E_INTERNAL; code <= 0; code++)
        ck_assert_str_ne(kilter_status_text(code), "unknown status");
    ck_assert_str_eq(kilter_status_text(12), "unknown status");
    ck_assert_str_eq(kilter_version(), "1.0.0");
    ck_assert_uint_eq(kilter_abi_minor(), KILTER_ABI_MINOR);
}
END_TEST

START_TEST(views_are_searched_and_trimmed)
{
    struct kilter_str s = KILTER_STR("a/b/c");
    ck_assert_int_eq(kilter_str_find(s, '/', 0), 1);
    ck_assert_int_eq(kilter_str_find(s, '/', 2), 3);
    ck_assert_int_eq(kilter_str_find(s, '/', 4), -1);
    ck_assert_int_eq(kilter_str_find(s, '/', 99), -1);
    ck_assert_int_eq(kilter_str_find(KILTER_STR_NONE, '/', 0), -1);
    ck_assert_int_eq(kilter_str_rfind(s, '/'), 3);
    ck_assert_int_eq(kilter_str_rfind(KILTER_STR_NONE, '/'), -1);
    ck_assert_view_eq(kilter_str_trim(KILTER_STR(" \t\r\n x y \n")), "x y");
    ck_assert_uint_eq(kilter_str_trim(KILTER_STR(" \n ")).len, 0);
    ck_assert_view_eq(kilter_str_sub(s, 2, 99), "b/c");
    ck_assert_view_eq(kilter_str_sub(s, 99, 1), "");
    ck_assert_int_lt(kilter_str_cmp(KILTER_STR("ab"), KILTER_STR("abc")), 0);
    ck_assert_int_eq(kilter_str_cmp(KILTER_STR_NONE, KILTER_STR("")), 0);
}
END_TEST

START_TEST(utf8_is_told_from_other_bytes)
{
    static const struct {
        const char *text;
        size_t len;
        bool valid;
    } cases[] = {
        { "", 0, true },
        { "plain ascii that is longer than a word", 38, true },
        { "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, true },
        { "a\0b", 3, true },
        { "\xc0\x80", 2, false },         /* overlong */
        { "\xe0\x80\x80", 3, false },     /* overlong */
        { "\xf0\x80\x80\x80", 4, false }, /* overlong */
        { "\xed\xa0\x80", 3, false },     /* surrogate */
        { "\xf4\x90\x80\x80", 4, false }, /* above U+10FFFF */
        { "\xf8\x88\x80\x80\x80", 5, false },
        { "\x80", 1, false },
        { "\xc3", 1, false },
        { "\xe2\x82", 2, false },
        { "12345678\xff", 9, false },
        { "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", 10, true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_msg(kilter_str_is_utf8(kilter_str_n(cases[i].text, cases[i].len)) == cases[i].valid, "case %zu",
                      i);
}
END_TEST

struct glob_case {
    const char *pattern, *path;
    bool matches;
};

static const struct glob_case globs[] = {
    { "*.yaml", "a.yaml", true },
    { "*.yaml", "dir/sub/a.yaml", true }, /* no slash: the last segment */
    { "*.yaml", "a.yaml/b", false },
    { "*.yaml", "a.yml", false },
    { "a*b*c", "aXXbYYc", true },
    { "a*b*c", "aXXbYY", false },
    { "dir/*", "dir/a", true },
    { "dir/*", "dir/a/b", false },
    { "dir/**", "dir/a/b", true },
    { "dir/**", "dir", true },
    { "**/a", "a", true },
    { "**/a", "x/y/a", true },
    { "**/a", "x/y/ab", false },
    { "a/**/b", "a/b", true },
    { "a/**/b", "a/x/y/b", true },
    { "a/**/b/**/c", "a/b/b/x/c", true },
    { "a/**/b/**/c", "a/x/c", false },
    { "**/x*/y", "a/x1/b/x2/y", true },
    { "?", "a", true },
    { "?", "\xc3\xa9", true }, /* one character, not one byte */
    { "??", "\xc3\xa9", false },
    { "?/?", "a/b", true },
    { "a?b", "a/b", false },
    { "[a-c]x", "bx", true },
    { "[a-c]x", "dx", false },
    { "[!a-c]x", "dx", true },
    { "[^a-c]x", "ax", false },
    { "[]]", "]", true },
    { "[!]]", "]", false },
    { "[a-]", "-", true },
    { "[\\]]", "]", true },
    { "[\xc3\xa0-\xc3\xbf]", "\xc3\xa9", true },
    { "[a", "[a", true }, /* no class without its end */
    { "\\*", "*", true },
    { "\\*", "x", false },
    { "\\", "\\", true },
    { "", "", true },
    { "", "a", false },
    { "*", "", true },
    { "**", "a/b", true },
    { "/a", "a", true },
    { "/a", "b/a", false },
    { "\xff*", "\xff\xfe", true },
};

START_TEST(globs_match_as_a_shell_would)
{
    const struct glob_case *c = &globs[_i];
    ck_assert_msg(kilter_glob_match(kilter_str_c(c->pattern), kilter_str_c(c->path)) == c->matches,
                  "\"%s\" against \"%s\"", c->pattern, c->path);
}
END_TEST

START_TEST(hostile_glob_ends_soon)
{
    char pattern[2001], path[4001];
    for (size_t i = 0; i < 2000; i += 2)
        memcpy(pattern + i, "*a", 2);
    pattern[2000] = 0;
    memset(path, 'a', 3999);
    path[3999] = 'b';
    ck_assert(!kilter_glob_match(kilter_str_n(pattern, 2000), kilter_str_n(path, 4000)));
    for (size_t i = 0; i < 1998; i += 3)
        memcpy(pattern + i, "**/", 3);
    for (size_t i = 0; i < 4000; i++)
        path[i] = i % 2 ? '/' : 'a';
    memcpy(pattern + 1998, "b", 2);
    ck_assert(!kilter_glob_match(kilter_str_n(pattern, 1999), kilter_str_n(path, 3999)));
}
END_TEST

START_TEST(nearest_word_is_what_was_meant)
{
    static const struct kilter_str words[] = { KILTER_STR_INIT("source"), KILTER_STR_INIT("target"),
                                               KILTER_STR_INIT("policy"), KILTER_STR_INIT("if") };
    ck_assert_view_eq(kilter_nearest(KILTER_STR("sorce"), words, 4), "source");
    ck_assert_view_eq(kilter_nearest(KILTER_STR("tragte"), words, 4), "target");
    ck_assert_view_eq(kilter_nearest(KILTER_STR("Policy"), words, 4), "policy");
    ck_assert_view_eq(kilter_nearest(KILTER_STR("fi"), words, 4), "if");
    ck_assert_ptr_null(kilter_nearest(KILTER_STR("completely"), words, 4).ptr);
    ck_assert_ptr_null(kilter_nearest(KILTER_STR("x"), words, 0).ptr);
    char longer[500];
    memset(longer, 'x', sizeof longer);
    ck_assert_ptr_null(kilter_nearest(kilter_str_n(longer, sizeof longer), words, 4).ptr);
}
END_TEST

Suite *api_base_suite(void)
{
    Suite *suite = suite_create("base");
    TCase *tcase = api_case(suite, "base");
    tcase_add_test(tcase, error_is_filled_and_its_code_returned);
    tcase_add_test(tcase, error_of_errno_tells_the_reason_and_picks_the_code);
    tcase_add_test(tcase, error_is_wrapped_with_context_in_front);
    tcase_add_test(tcase, long_error_is_cut_between_characters);
    tcase_add_test(tcase, every_status_has_a_text);
    tcase_add_test(tcase, views_are_searched_and_trimmed);
    tcase_add_test(tcase, utf8_is_told_from_other_bytes);
    tcase_add_loop_test(tcase, globs_match_as_a_shell_would, 0, sizeof globs / sizeof globs[0]);
    tcase_add_test(tcase, hostile_glob_ends_soon);
    tcase_add_test(tcase, nearest_word_is_what_was_meant);
    return suite;
}
