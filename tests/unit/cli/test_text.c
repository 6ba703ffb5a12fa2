/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/plan_text.h"
#include "cli/text.h"
#include "tests.h"

static const char *age_of(const char *time)
{
    static char text[32];
    struct kl_cli cli = { .now_ms = INT64_C(1772374200000) }; /* 2026-03-01T14:10:00Z */
    return kl_text_age(&cli, kilter_str_c(time), text);
}

START_TEST(an_age_is_one_number_and_the_same_to_both_sides)
{
    ck_assert_str_eq(age_of("2026-03-01T14:09:55Z"), "5s");
    ck_assert_str_eq(age_of("2026-03-01T14:10:05Z"), "5s");
    ck_assert_str_eq(age_of("2026-03-01T14:08:31Z"), "89s");
    ck_assert_str_eq(age_of("2026-03-01T14:08:00Z"), "2m");
    ck_assert_str_eq(age_of("2026-03-01T12:40:00Z"), "90m");
    ck_assert_str_eq(age_of("2026-03-01T09:10:00Z"), "5h");
    ck_assert_str_eq(age_of("2026-02-20T14:10:00Z"), "9d");
    ck_assert_str_eq(age_of("soon"), "");
    ck_assert_str_eq(age_of(NULL), "");
}
END_TEST

static void put(struct capture *capture, const char *text, size_t len)
{
    capture_begin(capture);
    kl_put_text(capture->cli.out, kilter_str_n(text, len));
    capture_end(capture);
}

START_TEST(text_from_outside_cannot_steer_the_terminal)
{
    struct capture capture;
    put(&capture,
        "a\033[2Jb\x7f\xc2\x9b"
        "c\xff\n\td\xc3\xa9",
        16);
    ck_assert_str_eq(capture.out, "a?[2Jb???c?  d\xc3\xa9");
    capture_free(&capture);
}
END_TEST

START_TEST(a_resource_is_named_by_its_end)
{
    struct kilter_str id = KILTER_STR("Deployment.apps/shop/web");
    ck_assert(kl_plan_names(id, KILTER_STR("Deployment.apps/shop/web")));
    ck_assert(kl_plan_names(id, KILTER_STR("shop/web")));
    ck_assert(kl_plan_names(id, KILTER_STR("web")));
    ck_assert(!kl_plan_names(id, KILTER_STR("eb")));
    ck_assert(!kl_plan_names(id, KILTER_STR("x/Deployment.apps/shop/web")));
}
END_TEST

START_TEST(columns_fit_wide_characters_and_lines_end_without_blanks)
{
    static const char *const titles[] = { "A", "EMPTY", "B", NULL };
    struct capture capture;
    struct kl_table table;
    capture_begin(&capture);
    kl_table_init(&table, &capture.cli, titles);
    kl_table_row(&table)[0].text = KILTER_STR("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9");
    struct kl_cell *row = kl_table_row(&table);
    row[0].text = KILTER_STR("ab");
    row[2].text = KILTER_STR("x");
    kl_table_print(&table);
    capture_end(&capture);
    ck_assert_str_eq(capture.out, "A     B\n\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\nab    x\n");
    capture_free(&capture);
}
END_TEST

Suite *suite_text(void)
{
    Suite *suite = suite_create("cli text");
    TCase *tcase = tcase_create("text");
    tcase_add_test(tcase, an_age_is_one_number_and_the_same_to_both_sides);
    tcase_add_test(tcase, text_from_outside_cannot_steer_the_terminal);
    tcase_add_test(tcase, a_resource_is_named_by_its_end);
    tcase_add_test(tcase, columns_fit_wide_characters_and_lines_end_without_blanks);
    suite_add_tcase(suite, tcase);
    return suite;
}
