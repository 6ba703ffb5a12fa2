/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/diff.h"

#include <stdio.h>

#include "worker/harness.h"

static struct kilter_arena *arena;

static struct kilter_value *yaml(const char *text)
{
    struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
    struct kilter_value *documents = NULL;
    ck_assert_int_eq(kilter_yaml_read(arena, kilter_str_c(text), &options, &documents, NULL), 0);
    return kilter_list_at(documents, 0);
}

static void set_up(void)
{
    arena = kilter_arena_new(0);
}

static void tear_down(void)
{
    kilter_arena_free(arena);
}

static struct kl_diff diff(struct kilter_value *before, struct kilter_value *after)
{
    struct kl_diff ret;
    ck_assert_int_eq(kl_diff_make(arena, before, after, &ret), 0);
    return ret;
}

START_TEST(equal_states_differ_in_nothing)
{
    struct kl_diff d = diff(yaml("{a: 1, b: [x, {c: d}], e: {}}"), yaml("{b: [x, {c: d}], a: 1, e: {}}"));
    ck_assert_ptr_null(d.fields);
    ck_assert_ptr_null(d.text.ptr);
}
END_TEST

START_TEST(fields_are_named_by_path_with_both_sides)
{
    struct kl_diff d =
        diff(yaml("{mode: '0644', gone: 1, ports: [{port: 80}], labels: {a.b/c: x}}"),
             yaml("{mode: '0600', ports: [{port: 81}, {port: 82}], labels: {a.b/c: y}, new: {z: 1}}"));
    ck_assert_str_eq(text_at(d.fields, "0.path"), "mode");
    ck_assert_str_eq(text_at(d.fields, "0.before"), "0644");
    ck_assert_str_eq(text_at(d.fields, "0.after"), "0600");
    ck_assert_str_eq(text_at(d.fields, "1.path"), "gone");
    ck_assert_ptr_null(kilter_get(kilter_list_at(d.fields, 1), "after"));
    ck_assert_str_eq(text_at(d.fields, "2.path"), "ports[0].port");
    ck_assert_str_eq(text_at(d.fields, "3.path"), "ports[1].port");
    ck_assert_str_eq(text_at(d.fields, "4.path"), "labels[\"a.b/c\"]");
    ck_assert_str_eq(text_at(d.fields, "5.path"), "new.z");
    ck_assert_uint_eq(kilter_list_size(d.fields), 6);
}
END_TEST

START_TEST(texts_of_several_lines_become_a_unified_diff)
{
    struct kl_diff d = diff(yaml("{content: \"a\\nb\\nc\\n\"}"), yaml("{content: \"a\\nB\\nc\"}"));
    char text[512];
    snprintf(text, sizeof text, "%.*s", KILTER_STR_ARG(d.text));
    ck_assert_str_eq(text, "--- content\n+++ content\n@@ -1,3 +1,3 @@\n a\n-b\n-c\n+B\n+c\n"
                           "\\ No newline at end of file\n");
    ck_assert_str_eq(text_at(d.fields, "0.path"), "content");
    ck_assert_ptr_null(kilter_get(kilter_list_at(d.fields, 0), "before"));
}
END_TEST

START_TEST(contents_are_compared_as_text_when_they_are_text)
{
    struct kilter_value *before = kilter_map(arena), *after = kilter_map(arena);
    kilter_set(arena, before, "text",
               kilter_content_value(arena, kilter_content_bytes(arena, KILTER_STR("one\n"))));
    kilter_set(arena, after, "text", kilter_content_value(arena, kilter_content_bytes(arena, KILTER_STR("two\n"))));
    kilter_set(arena, before, "bin", kilter_content_value(arena, kilter_content_bytes(arena, KILTER_STR("\0a"))));
    kilter_set(arena, after, "bin", kilter_content_value(arena, kilter_content_bytes(arena, KILTER_STR("\0bc"))));
    struct kl_diff d = diff(before, after);
    ck_assert_ptr_nonnull(strstr(d.text.ptr, "-one\n+two\n"));
    ck_assert_str_eq(text_at(d.fields, "1.path"), "bin");
    ck_assert_ptr_nonnull(strstr(text_at(d.fields, "1.before"), "(2 bytes, sha256:"));
    ck_assert_ptr_nonnull(strstr(text_at(d.fields, "1.after"), "(3 bytes, sha256:"));
}
END_TEST

START_TEST(secrets_are_masked_wherever_the_mark_is)
{
    struct kilter_value *before = yaml("{data: {password: old}, script: \"a\\nold\\n\"}");
    struct kilter_value *after = yaml("{data: {password: hunter22}, script: \"a\\nhunter22\\n\"}");
    kilter_set_marks(kilter_get(after, "data"), KILTER_VALUE_SECRET); /* of the map covers what is in it */
    kilter_set_marks(kilter_get(after, "script"), KILTER_VALUE_SECRET);
    struct kl_diff d = diff(before, after);
    struct kilter_buf json = KILTER_BUF_INIT(1 << 16);
    ck_assert_int_eq(kilter_json_write(&json, d.fields, KILTER_SCHEMA_JSON, KILTER_WRITE_REVEAL), 0);
    ck_assert_ptr_null(strstr(json.ptr, "hunter22"));
    ck_assert_ptr_nonnull(strstr(json.ptr, KILTER_MASK));
    ck_assert_ptr_null(d.text.ptr);
    kilter_buf_release(&json);
}
END_TEST

START_TEST(what_is_known_after_the_apply_says_so)
{
    struct kilter_value *after = yaml("{uid: x}");
    kilter_set_marks(kilter_get(after, "uid"), KILTER_VALUE_UNKNOWN);
    struct kl_diff d = diff(yaml("{uid: x}"), after);
    ck_assert_str_eq(text_at(d.fields, "0.after"), "(known after apply)");
}
END_TEST

START_TEST(long_diffs_are_cut_and_say_how_much_is_left)
{
    struct kilter_value *before = kilter_map(arena), *after = kilter_map(arena);
    struct kilter_buf lines = KILTER_BUF_INIT(1 << 20);
    for (int i = 0; i < 1000; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%03d", i);
        kilter_set(arena, after, key, kilter_int(arena, i));
        kilter_buf_printf(&lines, "line %d\n", i);
    }
    kilter_set(arena, after, "text", kilter_string(arena, kilter_buf_view(&lines)));
    struct kl_diff d = diff(before, after);
    ck_assert_uint_eq(kilter_list_size(d.fields), KL_DIFF_MAX_FIELDS + 1);
    ck_assert_str_eq(text_at(d.fields, "200.path"), "… 801 more fields");
    ck_assert(kilter_str_ends(d.text, KILTER_STR("… 603 more lines\n")));
    kilter_buf_release(&lines);
}
END_TEST

START_TEST(a_map_that_meets_a_scalar_is_shown_whole)
{
    struct kl_diff d = diff(yaml("{a: {b: 1}}"), yaml("{a: none}"));
    ck_assert_str_eq(text_at(d.fields, "0.before"), "{\"b\":1}");
    ck_assert_str_eq(text_at(d.fields, "0.after"), "none");
}
END_TEST

Suite *diff_suite(void)
{
    Suite *suite = suite_create("diff");
    TCase *tests = tcase_create("diff");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, equal_states_differ_in_nothing);
    tcase_add_test(tests, fields_are_named_by_path_with_both_sides);
    tcase_add_test(tests, texts_of_several_lines_become_a_unified_diff);
    tcase_add_test(tests, contents_are_compared_as_text_when_they_are_text);
    tcase_add_test(tests, secrets_are_masked_wherever_the_mark_is);
    tcase_add_test(tests, what_is_known_after_the_apply_says_so);
    tcase_add_test(tests, long_diffs_are_cut_and_say_how_much_is_left);
    tcase_add_test(tests, a_map_that_meets_a_scalar_is_shown_whole);
    suite_add_tcase(suite, tests);
    return suite;
}
