// SPDX-License-Identifier: Apache-2.0
#include "api_tests.h"

#include <stdlib.h>

struct kilter_arena *arena;
struct kilter_diags *diags;
static struct kilter_buf text = KILTER_BUF_INIT(SIZE_MAX);

void api_setup(void)
{
    arena = kilter_arena_new(0);
    diags = kilter_diags_new(0);
    ck_assert_ptr_nonnull(arena);
    ck_assert_ptr_nonnull(diags);
}

void api_teardown(void)
{
    kilter_buf_release(&text);
    kilter_diags_free(diags);
    kilter_arena_free(arena);
}

TCase *api_case(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, api_setup, api_teardown);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return tcase;
}

struct kilter_value *api_documents(const char *source)
{
    struct kilter_value *documents = NULL;
    int status = kilter_yaml_read(arena, kilter_str_c(source), NULL, &documents, diags);
    ck_assert_msg(status == 0, "%s", api_diags());
    return documents;
}

struct kilter_value *api_yaml(const char *source)
{
    return kilter_list_at(api_documents(source), 0);
}

struct kilter_value *api_json(const char *source)
{
    struct kilter_value *value = NULL;
    int status = kilter_json_read(arena, kilter_str_c(source), NULL, &value, diags);
    ck_assert_msg(status == 0, "%s", api_diags());
    return value;
}

static const char *finish(int status)
{
    ck_assert_int_eq(status, 0);
    return text.ptr ? text.ptr : "";
}

const char *api_to_json(const struct kilter_value *value)
{
    kilter_buf_clear(&text);
    return finish(kilter_json_write(&text, value, KILTER_SCHEMA_KUBERNETES, 0));
}

const char *api_to_yaml(const struct kilter_value *value)
{
    kilter_buf_clear(&text);
    return finish(kilter_yaml_write(&text, value, KILTER_YAML_KUSTOMIZE, 0));
}

const char *api_diags(void)
{
    kilter_buf_clear(&text);
    return finish(kilter_diags_format(&text, diags));
}

int main(void)
{
    SRunner *runner = srunner_create(api_base_suite());
    srunner_add_suite(runner, api_arena_suite());
    srunner_add_suite(runner, api_buf_suite());
    srunner_add_suite(runner, api_diag_suite());
    srunner_add_suite(runner, api_value_suite());
    srunner_add_suite(runner, api_resolve_suite());
    srunner_add_suite(runner, api_yaml_read_suite());
    srunner_add_suite(runner, api_yaml_write_suite());
    srunner_add_suite(runner, api_json_suite());
    srunner_add_suite(runner, api_resource_suite());
    srunner_add_suite(runner, api_tree_suite());
    srunner_add_suite(runner, api_torture_suite());
    srunner_add_suite(runner, api_conformance_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
