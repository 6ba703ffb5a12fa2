// SPDX-License-Identifier: Apache-2.0
#include "api_tests.h"

#include <locale.h>
#include <stdio.h>

/* What a plain text is, in a letter: n null, b boolean, i int, u uint, f float, s string. */
static const char kinds[] = "?nbiufs";

struct resolve_case {
    const char *text;
    char kubernetes, kustomize, json;
};

static const struct resolve_case resolves[] = {
    { "", 'n', 'n', 's' },
    { "~", 'n', 'n', 's' },
    { "null", 'n', 'n', 'n' },
    { "Null", 'n', 'n', 's' },
    { "nULL", 's', 's', 's' },
    { "true", 'b', 'b', 'b' },
    { "TRUE", 'b', 'b', 's' },
    { "tRUE", 's', 's', 's' },
    { "yes", 'b', 's', 's' },
    { "Off", 'b', 's', 's' },
    { "y", 'b', 's', 's' },
    { "N", 'b', 's', 's' },
    { "oN", 's', 's', 's' },
    { "0", 'i', 'i', 'i' },
    { "-0", 'i', 'i', 'i' },
    { "+5", 'i', 'i', 's' },
    { "007", 'i', 'i', 's' },
    { "08", 'f', 'f', 's' },
    { "0o17", 'i', 'i', 's' },
    { "0O17", 'i', 'i', 's' },
    { "0x1F", 'i', 'i', 's' },
    { "0xG", 's', 's', 's' },
    { "0x", 's', 's', 's' },
    { "0b11", 'i', 'i', 's' },
    { "0b12", 's', 's', 's' },
    { "-0b11", 'i', 'i', 's' },
    { "0b-1", 'i', 'i', 's' },
    { "0o-7", 's', 'i', 's' },
    { "1_000", 'i', 'i', 's' },
    { "_1", 's', 's', 's' },
    { "+-5", 's', 's', 's' },
    { "9223372036854775807", 'i', 'i', 'i' },
    { "9223372036854775808", 'u', 'u', 'u' },
    { "18446744073709551615", 'u', 'u', 'u' },
    { "+18446744073709551615", 'f', 'f', 's' },
    { "18446744073709551616", 'f', 'f', 'f' },
    { "-9223372036854775808", 'i', 'i', 'i' },
    { "-9223372036854775809", 'f', 'f', 'f' },
    { "1.0", 'f', 'f', 'f' },
    { "1.", 'f', 'f', 's' },
    { ".5", 'f', 'f', 's' },
    { ".5_0", 'f', 'f', 's' },
    { "._5", 's', 's', 's' },
    { ".5_", 's', 's', 's' },
    { ".", 's', 's', 's' },
    { "1e3", 'f', 'f', 'f' },
    { "1e", 's', 's', 's' },
    { "1E+3", 'f', 'f', 'f' },
    { "1e999", 's', 's', 'f' },
    { "1e-999", 'f', 'f', 'f' },
    { ".inf", 'f', 'f', 's' },
    { "-.INF", 'f', 'f', 's' },
    { "+.Inf", 'f', 'f', 's' },
    { ".nan", 'f', 'f', 's' },
    { "-.nan", 's', 's', 's' },
    { "1:20", 's', 's', 's' },
    { "2001-01-01", 's', 's', 's' },
    { "5m", 's', 's', 's' },
    { "-", 's', 's', 's' },
    { "0x1p-2", 's', 's', 's' },
    { "1,000", 's', 's', 's' },
    { "<<", 's', 's', 's' },
    { "01", 'i', 'i', 's' },
    { "1.5.2", 's', 's', 's' },
    { "tru", 's', 's', 's' },
    { "nullx", 's', 's', 's' },
    { "\xc3\xa9", 's', 's', 's' },
};

static char kind_of(const char *text, enum kilter_schema schema)
{
    struct kilter_scalar scalar;
    ck_assert_int_eq(kilter_resolve(kilter_plain(arena, kilter_str_c(text)), schema, &scalar), 0);
    ck_assert_view_eq(scalar.text, text);
    return kinds[scalar.kind];
}

START_TEST(plain_text_is_understood_by_schema)
{
    const struct resolve_case *c = &resolves[_i];
    ck_assert_msg(kind_of(c->text, KILTER_SCHEMA_KUBERNETES) == c->kubernetes, "%s for Kubernetes", c->text);
    ck_assert_msg(kind_of(c->text, KILTER_SCHEMA_KUSTOMIZE) == c->kustomize, "%s for Kustomize", c->text);
    ck_assert_msg(kind_of(c->text, KILTER_SCHEMA_JSON) == c->json, "%s for JSON", c->text);
}
END_TEST

START_TEST(integers_have_their_value)
{
    static const struct {
        const char *text;
        int64_t value;
    } cases[] = { { "0x1F", 31 }, { "0777", 511 }, { "0o17", 15 },
                  { "0b101", 5 }, { "-0b11", -3 }, { "1_000", 1000 },
                  { "+7", 7 },    { "0b-1", -1 },  { "-0x8000000000000000", INT64_MIN } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kilter_scalar scalar;
        kilter_resolve(kilter_plain(arena, kilter_str_c(cases[i].text)), KILTER_SCHEMA_KUBERNETES, &scalar);
        ck_assert_int_eq(scalar.kind, KILTER_INT);
        ck_assert_int_eq(scalar.as.integer, cases[i].value);
    }
}
END_TEST

START_TEST(quoted_text_is_a_string)
{
    for (int style = KILTER_STYLE_SINGLE_QUOTED; style <= KILTER_STYLE_FOLDED; style++) {
        struct kilter_scalar scalar;
        kilter_resolve(kilter_scalar_new(arena, KILTER_STR("1"), KILTER_STR_NONE, (enum kilter_style)style),
                       KILTER_SCHEMA_KUBERNETES, &scalar);
        ck_assert_int_eq(scalar.kind, KILTER_STRING);
    }
}
END_TEST

START_TEST(tags_decide_and_refuse)
{
    static const struct {
        const char *yaml;
        char kind; /* '!' for a refusal */
    } cases[] = {
        { "!!str 1", 's' },
        { "! 1", 's' },
        { "!own 1", 's' },
        { "!!int '3'", 'i' },
        { "!!int 3.5", '!' },
        { "!!float 3", 'f' },
        { "!!float x", '!' },
        { "!!bool 'true'", 'b' },
        { "!!bool maybe", '!' },
        { "!!null ''", 'n' },
        { "!!null x", '!' },
        { "!!binary aGk=", 's' },
        { "!!binary ???", '!' },
        { "!!timestamp 2001-01-01", 's' },
        { "!!timestamp x", '!' },
        { "!!int 18446744073709551615", 'u' },
        { "!<tag:yaml.org,2002:str> 1", 's' },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kilter_scalar scalar;
        int status = kilter_resolve(api_yaml(cases[i].yaml), KILTER_SCHEMA_KUBERNETES, &scalar);
        ck_assert_msg(status < 0 ? cases[i].kind == '!' && status == KILTER_E_INVALID
                                 : kinds[scalar.kind] == cases[i].kind,
                      "%s", cases[i].yaml);
    }
}
END_TEST

START_TEST(numbers_do_not_hang_on_the_locale)
{
    struct kilter_scalar scalar;
    if (!setlocale(LC_ALL, "de_DE.UTF-8") && !setlocale(LC_ALL, "fr_FR.UTF-8"))
        printf("no locale with a comma here: only the C locale is tried\n");
    kilter_resolve(api_yaml("1.5"), KILTER_SCHEMA_KUBERNETES, &scalar);
    ck_assert_double_eq(scalar.as.number, 1.5);
    ck_assert_str_eq(api_to_yaml(api_yaml("1.25e1")), "12.5\n");
    setlocale(LC_ALL, "C");
}
END_TEST

START_TEST(very_long_number_is_read_in_time)
{
    struct kilter_scalar scalar;
    struct kilter_buf buf = KILTER_BUF_INIT(1 << 20);
    kilter_buf_fill(&buf, '1', 1 << 19);
    kilter_resolve(kilter_plain(arena, kilter_buf_view(&buf)), KILTER_SCHEMA_KUBERNETES, &scalar);
    ck_assert_int_eq(scalar.kind, KILTER_STRING);
    kilter_resolve(kilter_plain(arena, kilter_buf_view(&buf)), KILTER_SCHEMA_JSON, &scalar);
    ck_assert_int_eq(scalar.kind, KILTER_FLOAT);
    kilter_buf_release(&buf);
}
END_TEST

Suite *api_resolve_suite(void)
{
    Suite *suite = suite_create("resolve");
    TCase *tcase = api_case(suite, "resolve");
    tcase_add_loop_test(tcase, plain_text_is_understood_by_schema, 0, sizeof resolves / sizeof resolves[0]);
    tcase_add_test(tcase, integers_have_their_value);
    tcase_add_test(tcase, quoted_text_is_a_string);
    tcase_add_test(tcase, tags_decide_and_refuse);
    tcase_add_test(tcase, numbers_do_not_hang_on_the_locale);
    tcase_add_test(tcase, very_long_number_is_read_in_time);
    return suite;
}
