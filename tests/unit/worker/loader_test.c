/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/harness.h"
#include "worker/render.h"

#include <stdio.h>

static const char *fixture(const char *name)
{
    return build_path("tests/plugins/abi-%s.so", name);
}

static struct kl_plugin *load(const char *name)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kl_plugin *plugin = NULL;
    int rc = kl_plugin_load(fixture(name), NULL, &plugin, &err);
    ck_assert_msg(rc == 0, "%s", err.message);
    return plugin;
}

static int count_resources(void *data, const struct kilter_resource *resource)
{
    int *count = data;
    ck_assert(kilter_str_eq_c(resource->id.name, "still-works"));
    ++*count;
    return 0;
}

START_TEST(a_plugin_with_an_older_smaller_descriptor_still_renders)
{
    struct kl_plugin *plugin = load("older-renderer");
    ck_assert_ptr_null(plugin->table.target);
    ck_assert_uint_eq(plugin->table.size, sizeof(struct kilter_plugin));

    int count = 0;
    struct kl_render_request request = { .plugin = plugin };
    struct kl_render_events events = { count_resources, NULL, &count };
    struct kl_render_result result;
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kilter_diags *diags = kilter_diags_new(0);
    ck_assert_int_eq(kl_render(&request, NULL, &events, arena, &result, diags, &err), 0);
    ck_assert_int_eq(count, 1);
    ck_assert_uint_eq(strlen(result.digest), 64);
    kilter_diags_free(diags);
    kilter_arena_free(arena);
    kl_plugin_close(plugin);
}
END_TEST

START_TEST(callbacks_that_an_older_target_does_not_know_are_absent)
{
    struct kl_plugin *plugin = load("older-target");
    ck_assert_ptr_nonnull(plugin->table.target->health);
    ck_assert_ptr_null(plugin->table.target->watch);
    ck_assert_ptr_null(plugin->table.target->import);
    ck_assert_ptr_null(plugin->table.target->upgrade_state);
    kl_plugin_close(plugin);
}
END_TEST

START_TEST(an_unknown_tail_of_every_table_is_ignored)
{
    struct kl_plugin *plugin = load("unknown-tail");
    const struct kilter_config_schema *schema = plugin->table.renderer->options;
    ck_assert_uint_eq(schema->option_size, sizeof(struct kilter_option));
    ck_assert_uint_eq(schema->option_count, 2);
    ck_assert_str_eq(schema->options[1].name, "count");

    struct kl_render_request request = { .plugin = plugin };
    struct kl_render_events events = { NULL, NULL, NULL };
    struct kl_render_result result;
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kilter_diags *diags = kilter_diags_new(0);
    ck_assert_int_eq(kl_render(&request, NULL, &events, arena, &result, diags, &err), KILTER_E_NOT_FOUND);
    ck_assert_str_eq(err.message, "hello 3");
    kilter_diags_free(diags);
    kilter_arena_free(arena);
    kl_plugin_close(plugin);
}
END_TEST

static const struct {
    const char *name;
    int code;
    const char *says[3];
} refused[] = {
    { "newer-minor", KILTER_E_UNSUPPORTED, { "abi-newer-minor.so", "needs libkilter 1.99", "this is 1.0" } },
    { "wrong-major", KILTER_E_UNSUPPORTED, { "abi-wrong-major.so", "interface 2", "speaks 1" } },
    { "no-symbol", KILTER_E_INVALID, { "abi-no-symbol.so", "does not export kilter_plugin_v1", "" } },
    { "no-table", KILTER_E_INVALID, { "returns no descriptor", "", "" } },
    { "too-small", KILTER_E_INVALID, { "descriptor is too small", "", "" } },
    { "renderer-too-small", KILTER_E_INVALID, { "renderer table is too small", "", "" } },
    { "no-render", KILTER_E_INVALID, { "no render callback", "", "" } },
    { "nothing", KILTER_E_INVALID, { "neither a renderer nor a target", "", "" } },
    { "bad-name", KILTER_E_INVALID, { "its name", "", "" } },
    { "bad-offset", KILTER_E_INVALID, { "outside of the struct", "", "" } },
    { "bad-default", KILTER_E_INVALID, { "default is wrong", "", "" } },
    { "missing-symbol", KILTER_E_INVALID, { "kilter_invented_later", "newer libkilter", "" } },
};

START_TEST(a_plugin_that_cannot_be_used_is_refused_with_the_reason)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kl_plugin *plugin = NULL;
    int rc = kl_plugin_load(fixture(refused[_i].name), NULL, &plugin, &err);
    ck_assert_msg(rc == refused[_i].code, "%s: %d %s", refused[_i].name, rc, err.message);
    ck_assert_ptr_null(plugin);
    for (size_t i = 0; i < 3; i++)
        ck_assert_msg(strstr(err.message, refused[_i].says[i]) != NULL, "\"%s\" does not say \"%s\"", err.message,
                      refused[_i].says[i]);
}
END_TEST

START_TEST(a_file_that_is_absent_or_no_object_is_refused_by_name)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kl_plugin *plugin = NULL;
    ck_assert_int_eq(kl_plugin_load("/nonexistent/x.so", NULL, &plugin, &err), KILTER_E_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.message, "/nonexistent/x.so"));
    ck_assert_int_eq(kl_plugin_load("/etc/passwd", NULL, &plugin, &err), KILTER_E_INVALID);
    ck_assert_ptr_nonnull(strstr(err.message, "/etc/passwd"));
}
END_TEST

START_TEST(a_plugin_under_another_name_is_refused)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kl_plugin *plugin = NULL;
    ck_assert_int_eq(kl_plugin_load(fixture("older-target"), "file", &plugin, &err), KILTER_E_INVALID);
    ck_assert_ptr_nonnull(strstr(err.message, "is the plugin \"older-target\", not \"file\""));
}
END_TEST

START_TEST(a_worker_describes_a_plugin)
{
    struct worker *worker = worker_start("inspect", NULL);
    char arguments[4200];
    snprintf(arguments, sizeof arguments, "{verb: describe, plugin: {file: %s}}", fixture("unknown-tail"));
    struct answer answer = worker_run(worker, arguments, NULL);
    ck_assert_msg(answer_status(&answer) == 0, "%s", answer_message(&answer));
    ck_assert_str_eq(text_at(answer.done, "plugin.name"), "unknown-tail");
    ck_assert_str_eq(text_at(answer.done, "plugin.version"), "7.0.0");
    ck_assert_str_eq(text_at(answer.done, "plugin.renderer.options.1.name"), "count");
    ck_assert_str_eq(text_at(answer.done, "plugin.renderer.options.1.type"), "int");
    ck_assert_str_eq(text_at(answer.done, "plugin.renderer.options.1.maximum"), "9");
    ck_assert_ptr_null(kilter_get(kilter_get(answer.done, "plugin"), "target"));
    ck_assert_str_eq(text_at(answer.phases, "0.callback"), "load");
    worker_stop(worker);
}
END_TEST

Suite *loader_suite(void)
{
    Suite *suite = suite_create("loader");
    TCase *tests = tcase_create("loader");
    tcase_add_test(tests, a_plugin_with_an_older_smaller_descriptor_still_renders);
    tcase_add_test(tests, callbacks_that_an_older_target_does_not_know_are_absent);
    tcase_add_test(tests, an_unknown_tail_of_every_table_is_ignored);
    tcase_add_loop_test(tests, a_plugin_that_cannot_be_used_is_refused_with_the_reason, 0,
                        sizeof refused / sizeof refused[0]);
    tcase_add_test(tests, a_file_that_is_absent_or_no_object_is_refused_by_name);
    tcase_add_test(tests, a_plugin_under_another_name_is_refused);
    tcase_add_test(tests, a_worker_describes_a_plugin);
    suite_add_tcase(suite, tests);
    return suite;
}
