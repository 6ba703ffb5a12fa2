// SPDX-License-Identifier: Apache-2.0
#include "api_tests.h"

static struct kilter_id id(const char *api_version, const char *kind, const char *name_space, const char *name)
{
    struct kilter_id made = { kilter_str_c(api_version), kilter_str_c(kind), kilter_str_c(name_space),
                              kilter_str_c(name) };
    return made;
}

START_TEST(ids_are_equal_whatever_the_version)
{
    struct kilter_id a = id("apps/v1", "Deployment", "shop", "web"), b = id("apps/v2", "Deployment", "shop", "web");
    struct kilter_id other = id("batch/v1", "Deployment", "shop", "web"), none = id("v1", "Pod", NULL, "x");
    struct kilter_id empty = id("v1beta1", "Pod", "", "x");
    ck_assert(kilter_id_equal(&a, &b));
    ck_assert(!kilter_id_equal(&a, &other));
    ck_assert(kilter_id_equal(&none, &empty));
    ck_assert_view_eq(kilter_api_group(KILTER_STR("v1")), "");
    ck_assert_view_eq(kilter_api_group(KILTER_STR("apps/v1")), "apps");
}
END_TEST

START_TEST(ids_are_written_as_people_type_them)
{
    static const struct {
        const char *api_version, *kind, *name_space, *name, *text;
    } cases[] = {
        { "file.kilter.dev/v1", "File", "", "motd", "File/motd" },
        { "apps/v1", "Deployment", "shop", "web", "Deployment.apps/shop/web" },
        { "v1", "Namespace", NULL, "shop", "Namespace/shop" },
        { "x.kilter.dev.example/v1", "File", "", "motd", "File.x.kilter.dev.example/motd" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kilter_buf out = KILTER_BUF_INIT(200);
        struct kilter_id made = id(cases[i].api_version, cases[i].kind, cases[i].name_space, cases[i].name);
        ck_assert_int_eq(kilter_id_format(&out, &made), 0);
        ck_assert_view_eq(kilter_buf_view(&out), cases[i].text);
        kilter_buf_release(&out);
    }
}
END_TEST

START_TEST(resource_is_read_from_its_document)
{
    struct kilter_resource resource;
    struct kilter_value *document = api_yaml("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n"
                                             "  namespace: shop\n  annotations: {a: b, n: 1}\n");
    ck_assert_int_eq(kilter_resource_init(&resource, document, diags), 0);
    ck_assert_view_eq(resource.id.api_version, "apps/v1");
    ck_assert_view_eq(resource.id.kind, "Deployment");
    ck_assert_view_eq(resource.id.name_space, "shop");
    ck_assert_view_eq(resource.id.name, "web");
    ck_assert_ptr_eq(resource.document, document);
    ck_assert_uint_eq(resource.origin.line, 1);
    ck_assert_uint_eq(resource.size, sizeof resource);
    ck_assert_view_eq(kilter_annotation(document, "a"), "b");
    ck_assert_ptr_null(kilter_annotation(document, "missing").ptr);
    ck_assert_ptr_null(kilter_annotation(NULL, "a").ptr);
}
END_TEST

static const struct {
    const char *yaml;
    size_t problems;
    const char *part;
} wrong[] = {
    { "[]", 1, "a resource is a map" },
    { "{}", 3, "apiVersion is missing" },
    { "{apiVersion: v1, kind: X}", 1, "metadata.name is missing" },
    { "{apiVersion: v1, kind: X, metadata: []}", 1, "metadata must be a map" },
    { "{apiVersion: v1, kind: X, metadata: {name: ''}}", 1, "metadata.name is empty" },
    { "{apiVersion: v1, kind: X, metadata: {name: 12}}", 1, "metadata.name must be a string" },
    { "{apiVersion: v1, kind: [], metadata: {name: a}}", 1, "kind must be a string" },
    { "{apiVersion: 1.0, kind: ~, metadata: {name: a, namespace: 1}}", 3, "metadata.namespace must be a string" },
};

START_TEST(what_a_resource_lacks_is_told)
{
    struct kilter_resource resource;
    ck_assert_int_eq(kilter_resource_init(&resource, api_yaml(wrong[_i].yaml), diags), KILTER_E_INVALID);
    ck_assert_msg(kilter_diags_errors(diags) == wrong[_i].problems, "%s", api_diags());
    ck_assert_msg(strstr(api_diags(), wrong[_i].part), "%s", api_diags());
}
END_TEST

static int directives(const char *annotations, struct kilter_directives *ret)
{
    struct kilter_buf text = KILTER_BUF_INIT(1000);
    kilter_buf_printf(&text, "metadata:\n  annotations: {%s}\n", annotations);
    int status = kilter_directives_read(api_yaml(text.ptr), ret, diags);
    kilter_buf_release(&text);
    return status;
}

START_TEST(directives_are_read)
{
    struct kilter_directives d;
    ck_assert_int_eq(
        directives("kilter.dev/prune: disabled, kilter.dev/reconcile: disabled, kilter.dev/force: enabled, "
                   "kilter.dev/wave: '-12', other: x",
                   &d),
        0);
    ck_assert(d.no_prune && d.no_reconcile && d.force);
    ck_assert_int_eq(d.wave, -12);
    ck_assert_int_eq(directives("", &d), 0);
    ck_assert(!d.no_prune && !d.no_reconcile && !d.force && d.wave == 0);
    ck_assert_int_eq(directives("kilter.dev/wave: 1000", &d), 0);
    ck_assert_int_eq(d.wave, 1000);
    ck_assert_uint_eq(kilter_diags_count(diags), 0);
}
END_TEST

START_TEST(wrong_directives_are_told)
{
    static const char *const bad[] = { "kilter.dev/prune: no",     "kilter.dev/reconcile: enabled",
                                       "kilter.dev/force: 1",      "kilter.dev/wave: 1001",
                                       "kilter.dev/wave: '-1001'", "kilter.dev/wave: x",
                                       "kilter.dev/wave: ''",      "kilter.dev/wave: '-'",
                                       "kilter.dev/wave: 1.5",     "kilter.dev/wave: 99999999999999999999",
                                       "kilter.dev/wave: []" };
    struct kilter_directives d;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(directives(bad[i], &d) == KILTER_E_INVALID, "%s", bad[i]);
    ck_assert_uint_eq(kilter_diags_errors(diags), sizeof bad / sizeof bad[0]);
}
END_TEST

START_TEST(misspelt_directive_is_warned_of)
{
    struct kilter_directives d;
    ck_assert_int_eq(directives("kilter.dev/prun: disabled", &d), 0);
    ck_assert_int_eq(kilter_diags_at(diags, 0)->severity, KILTER_WARNING);
    ck_assert_view_eq(kilter_diags_at(diags, 0)->hint, "did you mean \"kilter.dev/prune\"?");
}
END_TEST

Suite *api_resource_suite(void)
{
    Suite *suite = suite_create("resource");
    TCase *tcase = api_case(suite, "resource");
    tcase_add_test(tcase, ids_are_equal_whatever_the_version);
    tcase_add_test(tcase, ids_are_written_as_people_type_them);
    tcase_add_test(tcase, resource_is_read_from_its_document);
    tcase_add_loop_test(tcase, what_a_resource_lacks_is_told, 0, sizeof wrong / sizeof wrong[0]);
    tcase_add_test(tcase, directives_are_read);
    tcase_add_test(tcase, wrong_directives_are_told);
    tcase_add_test(tcase, misspelt_directive_is_warned_of);
    return suite;
}
