/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "git/semver.h"
#include "git/url.h"

/* --- versions ------------------------------------------------------------------- */
START_TEST(versions_are_read_strictly_but_for_a_leading_v)
{
    static const char *const good[] = {
        "0.0.0",   "1.2.3",       "v1.2.3",    "V1.2.3",      "1.2.3-rc.1",
        "1.2.3-0", "1.2.3-a-b.c", "1.2.3+001", "1.2.3-x+y.z", "18446744073709551615.0.0"
    };
    static const char *const bad[] = { "",
                                       "1",
                                       "1.2",
                                       "1.2.3.4",
                                       "01.2.3",
                                       "1.02.3",
                                       "1.2.3-",
                                       "1.2.3-01",
                                       "1.2.3+",
                                       "1.2.3-a..b",
                                       "1.2.3 ",
                                       " 1.2.3",
                                       "a1.2.3",
                                       "vv1.2.3",
                                       "1.2.3-ä",
                                       "-1.2.3",
                                       "18446744073709551616.0.0",
                                       "release-1.2.3" };
    struct kl_semver version;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        ck_assert_msg(kl_semver_parse(kilter_str_c(good[i]), &version) == 0, "%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(kl_semver_parse(kilter_str_c(bad[i]), &version) == KILTER_E_INVALID, "%s", bad[i]);
}
END_TEST

START_TEST(precedence_is_the_specifications)
{
    /* Section 11 of Semantic Versioning 2.0.0, in rising order. */
    static const char *const rising[] = { "0.9.0",      "1.0.0-alpha",  "1.0.0-alpha.1", "1.0.0-alpha.beta",
                                          "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",
                                          "1.0.0",      "1.0.1",        "1.2.0",         "1.10.0",
                                          "2.0.0-0",    "2.0.0" };
    size_t count = sizeof(rising) / sizeof(rising[0]);

    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++) {
            struct kl_semver a, b;
            ck_assert_int_eq(kl_semver_parse(kilter_str_c(rising[i]), &a), 0);
            ck_assert_int_eq(kl_semver_parse(kilter_str_c(rising[j]), &b), 0);
            int order = kl_semver_compare(&a, &b);
            ck_assert_msg((order < 0) == (i < j) && (order > 0) == (i > j), "%s %s", rising[i], rising[j]);
        }
}
END_TEST

static const struct {
    const char *range, *in, *out; /* blank-separated */
} ranges[] = {
    { "1.4.2", "1.4.2 v1.4.2 1.4.2+build", "1.4.1 1.4.3 1.4.2-rc.1" },
    { "=1.4.2", "1.4.2", "1.4.3" },
    { ">=1.4.0 <2.0.0", "1.4.0 1.9.9", "1.3.9 2.0.0 2.0.0-rc.1 1.5.0-rc.1" },
    { ">= 1.4.0, < 2.0.0", "1.4.0 1.9.9", "1.3.9 2.0.0" },
    { ">1.4", "1.5.0 2.0.0", "1.4.0 1.4.9 1.5.0-rc.1" },
    { "<=1.4", "1.4.0 1.4.99 0.1.0", "1.5.0 1.5.0-rc.1" },
    { "<2", "1.9.9 0.0.1", "2.0.0 2.0.0-rc.1" },
    { "^1.4.2", "1.4.2 1.9.0", "1.4.1 2.0.0 2.0.0-0" },
    { "^0.4.2", "0.4.2 0.4.9", "0.5.0 0.4.1 1.0.0" },
    { "^0.0.3", "0.0.3", "0.0.4 0.0.2" },
    { "^0.0", "0.0.0 0.0.9", "0.1.0" },
    { "^0", "0.0.0 0.9.9", "1.0.0" },
    { "^1", "1.0.0 1.9.9", "2.0.0 0.9.9" },
    { "^1.x", "1.0.0 1.9.9", "2.0.0" },
    { "~1.4.2", "1.4.2 1.4.9", "1.5.0 1.4.1" },
    { "~1.4", "1.4.0 1.4.9", "1.5.0 1.3.9" },
    { "~1", "1.0.0 1.9.9", "2.0.0" },
    { "~>1.4", "1.4.0", "1.5.0" },
    { "1.4.x", "1.4.0 1.4.9", "1.5.0 1.3.0 1.4.0-rc.1" },
    { "1.x", "1.0.0 1.9.9", "2.0.0" },
    { "1", "1.0.0 1.9.9", "2.0.0" },
    { "*", "0.0.0 99.0.0", "1.0.0-rc.1" },
    { "x", "0.0.0 99.0.0", "1.0.0-rc.1" },
    { ">=*", "0.0.0 99.0.0", "1.0.0-rc.1" },
    { "v1.4 || ^3", "1.4.7 3.1.0", "1.5.0 2.0.0 4.0.0" },
    { "1.2||2.3", "1.2.0 2.3.9", "1.3.0" },
    { "1.2 - 2.3", "1.2.0 2.0.0 2.3.9", "1.1.9 2.4.0" },
    { "1.2.3 - 2.3.4", "1.2.3 2.3.4", "1.2.2 2.3.5" },
    { ">=1.5.0-rc.1", "1.5.0-rc.1 1.5.0-rc.2 1.5.0 1.6.0", "1.5.0-beta 1.6.0-rc.1" },
    { ">=1.5.0-0", "1.5.0-alpha 1.5.0", "1.6.0-rc.1 1.4.9" },
    { "^1.5.0-rc.1", "1.5.0-rc.1 1.9.0", "2.0.0-rc.1 1.6.0-rc.1" },
    { ">=1.0.0 !=1.4.2", "1.4.1 1.4.3", "1.4.2 0.9.0" },
};

static void expect(const struct kl_semver_range *range, const char *text, const char *list, bool expected)
{
    char copy[256], *rest = copy;

    snprintf(copy, sizeof(copy), "%s", list);
    for (const char *word; (word = strsep(&rest, " "));) {
        struct kl_semver version;
        ck_assert_int_eq(kl_semver_parse(kilter_str_c(word), &version), 0);
        ck_assert_msg(kl_semver_matches(range, &version) == expected, "\"%s\" and %s", text, word);
    }
}

START_TEST(ranges_take_what_their_table_says)
{
    struct kl_semver_range range;
    const char *why = NULL;

    ck_assert_msg(kl_semver_range_parse(kilter_str_c(ranges[_i].range), &range, &why, NULL) == 0, "%s: %s",
                  ranges[_i].range, why);
    expect(&range, ranges[_i].range, ranges[_i].in, true);
    expect(&range, ranges[_i].range, ranges[_i].out, false);
}
END_TEST

START_TEST(broken_ranges_are_refused_with_the_place)
{
    static const struct {
        const char *range;
        size_t at;
    } broken[] = { { "", 0 },        { ">=", 2 },     { "1.4 ||", 6 }, { "|| 1", 0 },  { "1.x.3", 4 },
                   { ">=1 | 2", 4 }, { "1.4.2-", 6 }, { "latest", 0 }, { "1.4;2", 3 }, { "!=1.4", 5 },
                   { "01.2", 0 },    { ">*", 2 },     { "1.2.3.4", 5 } };

    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct kl_semver_range range;
        const char *why = NULL;
        size_t at = 999;
        ck_assert_msg(kl_semver_range_parse(kilter_str_c(broken[i].range), &range, &why, &at) == KILTER_E_INVALID,
                      "%s", broken[i].range);
        ck_assert_ptr_nonnull(why);
        ck_assert_msg(at == broken[i].at, "%s: at %zu (%s)", broken[i].range, at, why);
    }
}
END_TEST

START_TEST(a_range_has_a_limit)
{
    char text[1024] = "1";
    struct kl_semver_range range;

    for (int i = 0; i < KL_SEMVER_MAX_TERMS; i++)
        strcat(text, " || 1");
    ck_assert_int_eq(kl_semver_range_parse(kilter_str_c(text), &range, NULL, NULL), KILTER_E_LIMIT);
}
END_TEST

/* --- URLs -------------------------------------------------------------------------- */
START_TEST(urls_are_taken_apart)
{
    static const struct {
        const char *text;
        enum kl_git_scheme scheme;
        const char *user, *host;
        unsigned port;
        const char *path;
    } urls[] = {
        { "https://git.example.com/a/b.git", KL_GIT_HTTPS, "", "git.example.com", 0, "/a/b.git" },
        { "HTTPS://git.example.com:8443/a/", KL_GIT_HTTPS, "", "git.example.com", 8443, "/a" },
        { "https://[::1]:8443/a", KL_GIT_HTTPS, "", "::1", 8443, "/a" },
        { "http://127.0.0.1/a", KL_GIT_HTTP, "", "127.0.0.1", 0, "/a" },
        { "ssh://git@host/a/b.git", KL_GIT_SSH, "git", "host", 0, "/a/b.git" },
        { "ssh://host:2222/~me/b%20c.git", KL_GIT_SSH, "", "host", 2222, "~me/b c.git" },
        { "git@host:a/b.git", KL_GIT_SSH, "git", "host", 0, "a/b.git" },
        { "host:/a/b.git", KL_GIT_SSH, "", "host", 0, "/a/b.git" },
        { "file:///srv/a%25.git", KL_GIT_FILE, "", "", 0, "/srv/a%.git" },
        { "/srv/a:b.git", KL_GIT_FILE, "", "", 0, "/srv/a:b.git" },
    };

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct kl_git_url url;
        struct kilter_error err = KILTER_ERROR_INIT;
        ck_assert_msg(kl_git_url_parse(kilter_str_c(urls[i].text), &url, &err) == 0, "%s", err.message);
        ck_assert_int_eq(url.scheme, urls[i].scheme);
        ck_assert_str_eq(url.user, urls[i].user);
        ck_assert_str_eq(url.host, urls[i].host);
        ck_assert_uint_eq(url.port, urls[i].port);
        ck_assert_str_eq(url.path, urls[i].path);
    }
}
END_TEST

START_TEST(hostile_and_broken_urls_are_refused)
{
    static const char *const urls[] = {
        "",
        "-x",
        "--upload-pack=x",
        "ssh://-x/a",
        "ssh://-l@host/a",
        "git@-x:a",
        "h:-a",
        "ext::sh",
        "ssh://h",
        "ssh://h/",
        "ssh://h/a%0ab",
        "ssh://h/a%zz",
        "https://h",
        "https://h/",
        "https:///a",
        "https://u@h/a",
        "https://u:p@h/a",
        "ssh://u:p@h/a",
        "ssh://h:x/a",
        "ssh://h:0/a",
        "git://h/a",
        "ftp://h/a",
        "a/b",
        "./a",
        "file://a/b",
        "file://",
        "https://h/a?b",
        "https://h/a#b",
        "https://h /a",
        "ssh://h;id/a",
        "ssh://$(id)@h/a",
        "ssh://[::1/a",
        "\"x\":y",
    };

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct kl_git_url url;
        struct kilter_error err = KILTER_ERROR_INIT;
        ck_assert_msg(kl_git_url_parse(kilter_str_c(urls[i]), &url, &err) == KILTER_E_INVALID, "%s", urls[i]);
        ck_assert_msg(strncmp(err.message, "url \"", 5) == 0, "%s", err.message);
    }
    struct kl_git_url url;
    ck_assert_int_eq(kl_git_url_parse(KILTER_STR("https://h/a\nb"), &url, NULL), KILTER_E_INVALID);
    ck_assert_int_eq(kl_git_url_parse(KILTER_STR("https://h/a\0b"), &url, NULL), KILTER_E_INVALID);
}
END_TEST

START_TEST(masked_urls_hold_no_secret_and_are_one_line)
{
    static const char *const urls[][2] = {
        { "https://user:s3cret@host/a", "https://***@host/a" },
        { "https://s3cret@host/a", "https://***@host/a" },
        { "ssh://git@host/a", "ssh://git@host/a" },
        { "ssh://git:s3cret@host/a", "ssh://***@host/a" },
        { "https://host/a?token=s3cret", "https://host/a" },
        { "https://host/a\nb", "https://host/a?b" },
        { "git@host:a", "git@host:a" },
        { "a\nb://host/x", "a?b://host/x" },
        { "https://a@host/x", "https://***@host/x" },
        { "https://a:b@c:d@host/x@y", "https://***@host/x@y" },
    };
    char text[100], small[8];

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        ck_assert_str_eq(kl_git_url_mask(kilter_str_c(urls[i][0]), text, sizeof(text)), urls[i][1]);
    ck_assert_str_eq(kl_git_url_mask(KILTER_STR("https://host/a"), small, sizeof(small)), "https:/");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("git-text");
    TCase *tests = tcase_create("text");

    tcase_add_test(tests, versions_are_read_strictly_but_for_a_leading_v);
    tcase_add_test(tests, precedence_is_the_specifications);
    tcase_add_loop_test(tests, ranges_take_what_their_table_says, 0, sizeof(ranges) / sizeof(ranges[0]));
    tcase_add_test(tests, broken_ranges_are_refused_with_the_place);
    tcase_add_test(tests, a_range_has_a_limit);
    tcase_add_test(tests, urls_are_taken_apart);
    tcase_add_test(tests, hostile_and_broken_urls_are_refused);
    tcase_add_test(tests, masked_urls_hold_no_secret_and_are_one_line);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
