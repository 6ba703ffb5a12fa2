/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/substitute.h"

#include "worker/harness.h"

static struct kilter_arena *arena;
static struct kilter_diags *diags;
static struct kilter_value *variables, *inputs;

static struct kilter_value *yaml(const char *text)
{
    struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
    struct kilter_value *documents = NULL;
    options.file = KILTER_STR("doc.yaml");
    ck_assert_int_eq(kilter_yaml_read(arena, kilter_str_c(text), &options, &documents, diags), 0);
    return kilter_list_at(documents, 0);
}

static void set_up(void)
{
    arena = kilter_arena_new(0);
    diags = kilter_diags_new(0);
    variables = yaml("{name: web, env: prod, empty: '', host.name: box, n: '3'}");
    inputs = yaml("{token: s3cret}");
}

static void tear_down(void)
{
    kilter_diags_free(diags);
    kilter_arena_free(arena);
}

static const struct {
    const char *text, *expected; /* NULL: refused */
} texts[] = {
    { "plain", "plain" },
    { "${name}", "web" },
    { "a-${name}-b-${env}", "a-web-b-prod" },
    { "${host.name}", "box" },
    { "${nothing:=default}", "default" },
    { "${nothing:-other}", "other" },
    { "${name:=default}", "web" },
    { "${empty:=default}", "default" },
    { "${empty}", "" },
    { "${nothing:=}", "" },
    { "${nothing:=${name}}", "web" },
    { "${nothing:=${other:=deep}}", "deep" },
    { "$${name}", "${name}" },
    { "$$", "$" },
    { "cost $5, $name", "cost $5, $name" },
    { "$", "$" },
    { "${nothing:=$${x}}", "${x}" },
    { "${nothing}", NULL },
    { "${name", NULL },
    { "${}", NULL },
    { "${1name}", NULL },
    { "${name?}", NULL },
    { "${name:x}", NULL },
};

START_TEST(a_text_is_substituted_as_flux_does)
{
    struct kilter_value *document = kilter_map(arena), *ret = NULL;
    kilter_set(arena, document, "key", kilter_string_c(arena, texts[_i].text));
    int rc = kl_substitute(arena, document, variables, inputs, &ret, diags);
    ck_assert_msg(rc == (texts[_i].expected ? 0 : KILTER_E_INVALID), "%s", texts[_i].text);
    if (texts[_i].expected)
        ck_assert_str_eq(text_at(ret, "key"), texts[_i].expected);
    else
        ck_assert_uint_eq(kilter_diags_errors(diags), 1);
}
END_TEST

START_TEST(an_unknown_name_is_an_error_at_its_line_with_the_nearest)
{
    struct kilter_value *ret;
    ck_assert_int_eq(kl_substitute(arena, yaml("a: 1\nscript: |\n  one\n  ${nmae}\nother: ${hots.name}\n"),
                                   variables, inputs, &ret, diags),
                     KILTER_E_INVALID);
    ck_assert_uint_eq(kilter_diags_errors(diags), 2);
    ck_assert_uint_eq(kilter_diags_at(diags, 0)->origin.line, 4);
    ck_assert(kilter_str_eq_c(kilter_diags_at(diags, 0)->hint, "did you mean \"name\"?"));
    ck_assert_uint_eq(kilter_diags_at(diags, 1)->origin.line, 5);
}
END_TEST

START_TEST(keys_lists_and_numbers_are_substituted_too)
{
    struct kilter_value *ret = NULL;
    struct kilter_value *document =
        yaml("{replicas: '${n}', list: [x, '${name}'], '${env}-key': {deep: '${name}'}}");
    struct kilter_value *plain = yaml("replicas: ${n}\nkeep: {a: 1}\n");
    ck_assert_int_eq(kl_substitute(arena, document, variables, inputs, &ret, diags), 0);
    ck_assert_str_eq(text_at(ret, "list.0"), "x");
    ck_assert_str_eq(text_at(ret, "list.1"), "web");
    ck_assert_str_eq(text_at(ret, "prod-key.deep"), "web");
    struct kilter_scalar scalar;
    ck_assert_int_eq(kilter_resolve(kilter_get(ret, "replicas"), KILTER_SCHEMA_KUBERNETES, &scalar), 0);
    ck_assert_int_eq(scalar.kind, KILTER_STRING); /* it was quoted */
    ck_assert_int_eq(kl_substitute(arena, plain, variables, inputs, &ret, diags), 0);
    ck_assert_int_eq(kilter_resolve(kilter_get(ret, "replicas"), KILTER_SCHEMA_KUBERNETES, &scalar), 0);
    ck_assert_int_eq(scalar.kind, KILTER_INT);
    ck_assert_ptr_eq(kilter_get(ret, "keep"), kilter_get(plain, "keep")); /* shared, not copied */
}
END_TEST

START_TEST(what_an_input_gave_is_secret)
{
    struct kilter_value *ret = NULL;
    ck_assert_int_eq(kl_substitute(arena, yaml("{a: 'x${token}', b: '${name}'}"), variables, inputs, &ret, diags),
                     0);
    ck_assert_str_eq(text_at(ret, "a"), "xs3cret");
    ck_assert_uint_eq(kilter_marks_of(kilter_get(ret, "a")), KILTER_VALUE_SECRET);
    ck_assert_uint_eq(kilter_marks_of(kilter_get(ret, "b")), 0);
}
END_TEST

START_TEST(keys_that_become_equal_are_refused)
{
    struct kilter_value *ret = NULL;
    ck_assert_int_eq(kl_substitute(arena, yaml("{'${name}': 1, web: 2}"), variables, inputs, &ret, diags),
                     KILTER_E_INVALID);
}
END_TEST

Suite *substitute_suite(void)
{
    Suite *suite = suite_create("substitute");
    TCase *tests = tcase_create("substitute");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, a_text_is_substituted_as_flux_does, 0, sizeof texts / sizeof texts[0]);
    tcase_add_test(tests, an_unknown_name_is_an_error_at_its_line_with_the_nearest);
    tcase_add_test(tests, keys_lists_and_numbers_are_substituted_too);
    tcase_add_test(tests, what_an_input_gave_is_secret);
    tcase_add_test(tests, keys_that_become_equal_are_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
