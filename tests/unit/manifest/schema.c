/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON Schema and the reference are made from the tables. */
#include "manifest_tests.h"

#include <jansson.h>

#include "manifest/tables.h"

static json_t *schema(void)
{
    struct kilter_buf text = KILTER_BUF_INIT(1 << 20);
    json_error_t error;

    ck_assert_int_eq(kl_manifest_schema_write(&text, fixture_plugins, 4), 0);
    json_t *root = json_loads(text.ptr, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(root != NULL, "%d: %s", error.line, error.text);
    kilter_buf_release(&text);
    return root;
}

static json_t *definition(json_t *root, const char *name)
{
    json_t *found = json_object_get(json_object_get(root, "$defs"), name);

    ck_assert_msg(json_is_object(found), "no definition of %s", name);
    return found;
}

START_TEST(every_key_of_every_table_is_in_the_schema)
{
    json_t *root = schema();

    ck_assert_str_eq(json_string_value(json_object_get(root, "$schema")),
                     "https://json-schema.org/draft/2020-12/schema");
    for (size_t i = 0; kl_tables[i]; i++) {
        json_t *properties = json_object_get(definition(root, kl_tables[i]->name), "properties");
        ck_assert_uint_eq(json_object_size(properties), kl_tables[i]->count);
        for (size_t k = 0; k < kl_tables[i]->count; k++)
            ck_assert_ptr_nonnull(
                json_object_get(json_object_get(properties, kl_tables[i]->keys[k].name), "description"));
    }
    json_decref(root);
}
END_TEST

/* Every "$ref" leads to a definition. */
static void check_refs(json_t *root, json_t *node)
{
    const char *key;
    json_t *child;
    size_t index;

    json_object_foreach(node, key, child)
    {
        if (!strcmp(key, "$ref"))
            definition(root, json_string_value(child) + strlen("#/$defs/"));
        check_refs(root, child);
    }
    json_array_foreach(node, index, child) check_refs(root, child);
}

START_TEST(every_reference_in_the_schema_leads_somewhere)
{
    json_t *root = schema();

    check_refs(root, root);
    json_decref(root);
}
END_TEST

START_TEST(the_schema_knows_defaults_choices_and_what_is_required)
{
    json_t *root = schema();
    json_t *policy = json_object_get(definition(root, "policy"), "properties");

    ck_assert_str_eq(json_string_value(json_object_get(json_object_get(policy, "sync"), "default")), "auto");
    ck_assert_uint_eq(json_array_size(json_object_get(json_object_get(policy, "drift"), "enum")), 3);
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(policy, "maxDeletes"), "default")), 10);
    ck_assert(json_is_false(json_object_get(json_object_get(policy, "prune"), "default")));
    ck_assert_uint_eq(json_array_size(json_object_get(definition(root, "app"), "required")), 3);
    ck_assert(json_is_false(json_object_get(definition(root, "app"), "additionalProperties")));
    ck_assert_int_eq(json_integer_value(json_object_get(definition(root, "source.ref"), "maxProperties")), 1);
    json_decref(root);
}
END_TEST

START_TEST(the_options_of_plugins_are_part_of_the_schema)
{
    json_t *root = schema();
    json_t *targets = json_object_get(definition(root, "target"), "allOf");
    json_t *then = json_object_get(json_array_get(targets, 0), "then");
    json_t *options = json_object_get(json_object_get(then, "properties"), "options");

    ck_assert_uint_eq(json_array_size(targets), 2);
    ck_assert_uint_eq(json_array_size(json_object_get(definition(root, "app.renderer"), "allOf")), 2);
    ck_assert_ptr_nonnull(json_object_get(json_object_get(options, "properties"), "root"));
    ck_assert_uint_eq(json_array_size(json_object_get(options, "required")), 1);
    json_decref(root);
}
END_TEST

START_TEST(defaults_of_the_tables_can_be_read_by_the_tables)
{
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kl_report report;
    union {
        struct kl_raw_file file;
        struct kl_raw_app app;
        struct kl_raw_source source;
        struct kl_raw_policy policy;
        struct kl_raw_target target;
        struct kl_daemon_config daemon;
    } any;

    ck_assert_int_eq(kl_report_init(&report, arena), 0);
    for (size_t i = 0; kl_tables[i]; i++) {
        memset(&any, 0, sizeof any);
        kl_table_defaults(&report, kl_tables[i], &any);
        ck_assert_msg(report.status == 0 && report.errors == 0, "a default of %s is wrong", kl_tables[i]->name);
    }
    kl_report_release(&report);
    kilter_arena_free(arena);
}
END_TEST

void add_schema_tests(Suite *suite)
{
    TCase *tests = tcase_create("schema");

    tcase_add_test(tests, every_key_of_every_table_is_in_the_schema);
    tcase_add_test(tests, every_reference_in_the_schema_leads_somewhere);
    tcase_add_test(tests, the_schema_knows_defaults_choices_and_what_is_required);
    tcase_add_test(tests, the_options_of_plugins_are_part_of_the_schema);
    tcase_add_test(tests, defaults_of_the_tables_can_be_read_by_the_tables);
    suite_add_tcase(suite, tests);
}
