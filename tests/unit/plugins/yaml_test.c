/* SPDX-License-Identifier: Apache-2.0 */
#include "rendering.h"

#include <sys/stat.h>
#include <unistd.h>

static struct world world;
static struct rendering r;

static void begin(void)
{
    world_begin(&world);
    ck_assert_int_eq(mkdir(world_path(&world, "app"), 0755), 0);
    ck_assert_int_eq(mkdir(world_path(&world, "app/sub"), 0755), 0);
}

static void end(void)
{
    world_end(&world);
}

#define CM(name) "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " name "\n"

START_TEST(every_document_of_every_file_becomes_a_resource_with_its_origin)
{
    world_write(&world, "app/a.yaml", CM("one") "---\n# nothing\n---\n" CM("two"));
    world_write(&world, "app/b.json",
                "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"three\"}}");
    world_write(&world, "app/sub/c.yml", CM("four"));
    world_write(&world, "app/README.md", "# not a document");
    rendering_run(&r, &world, "yaml", "app", "{}");
    ck_assert_msg(r.code == KILTER_OK, "%s", world.error.message);
    ck_assert_uint_eq(r.count, 4);
    const struct kilter_resource *two = rendering_find(&r, "ConfigMap", "two");
    ck_assert_ptr_nonnull(two);
    ck_assert(kilter_str_eq_c(two->origin.file, "app/a.yaml"));
    ck_assert_uint_eq(two->origin.line, 8);
}
END_TEST

START_TEST(a_single_file_is_a_path_too)
{
    world_write(&world, "app/a.yaml", CM("one"));
    world_write(&world, "app/b.yaml", CM("two"));
    rendering_run(&r, &world, "yaml", "app/a.yaml", "{}");
    ck_assert_uint_eq(r.count, 1);
    rendering_run(&r, &world, "yaml", "none", "{}");
    ck_assert_int_eq(r.code, KILTER_E_NOT_FOUND);
}
END_TEST

START_TEST(recursion_include_and_exclude_choose_the_files)
{
    world_write(&world, "app/a.yaml", CM("one"));
    world_write(&world, "app/b.tmpl", CM("two"));
    world_write(&world, "app/.hidden.yaml", CM("three"));
    world_write(&world, "app/sub/c.yaml", CM("four"));
    rendering_run(&r, &world, "yaml", "app", "{recurse: false}");
    ck_assert_uint_eq(r.count, 1);
    rendering_run(&r, &world, "yaml", "app", "{exclude: [sub]}");
    ck_assert_uint_eq(r.count, 1);
    rendering_run(&r, &world, "yaml", "app", "{include: ['*.tmpl', 'sub/**']}");
    ck_assert_uint_eq(r.count, 2);
    ck_assert_ptr_nonnull(rendering_find(&r, "ConfigMap", "two"));
    ck_assert_ptr_nonnull(rendering_find(&r, "ConfigMap", "four"));
}
END_TEST

START_TEST(lists_are_taken_apart_and_typed_items_completed)
{
    world_write(&world, "app/a.yaml",
                "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: one}\n"
                "- apiVersion: v1\n  kind: SecretList\n  items:\n  - metadata: {name: two}\n---\n"
                "apiVersion: v1\nkind: ConfigMapList\nitems: []\n");
    rendering_run(&r, &world, "yaml", "app", "{}");
    ck_assert_int_eq(r.code, KILTER_OK);
    ck_assert_uint_eq(r.count, 2);
    ck_assert_ptr_nonnull(rendering_find(&r, "Secret", "two"));
}
END_TEST

START_TEST(all_problems_of_all_files_are_told_with_file_and_line)
{
    world_write(&world, "app/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n---\n" CM("good"));
    world_write(&world, "app/b.yaml", "a: [1\n");
    world_write(&world, "app/c.yaml", "- just\n- a list\n");
    rendering_run(&r, &world, "yaml", "app", "{}");
    ck_assert_int_eq(r.code, KILTER_E_INVALID);
    ck_assert_uint_ge(kilter_diags_errors(world.diags), 3);
    ck_assert(rendering_complains(&r, "resource.missing", "app/a.yaml", 0));
    ck_assert(rendering_complains(&r, "resource.type", "app/c.yaml", 1));
}
END_TEST

START_TEST(ciphertext_and_pointers_are_refused_by_name)
{
    world_write(&world, "app/a.yaml", CM("x") "sops:\n  mac: ENC[AES256_GCM,data:x]\n");
    world_write(&world, "app/b.json", "{\"data\": \"ENC[x]\", \"sops\": {\"mac\": \"y\"}}");
    world_write(&world, "app/c.yaml", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n");
    rendering_run(&r, &world, "yaml", "app", "{}");
    ck_assert_int_eq(r.code, KILTER_E_INVALID);
    ck_assert_uint_eq(r.count, 0);
    ck_assert(rendering_complains(&r, "yaml.sops", "app/a.yaml", 1));
    ck_assert(rendering_complains(&r, "yaml.sops", "app/b.json", 0));
    ck_assert(rendering_complains(&r, "yaml.lfs", "app/c.yaml", 0));
}
END_TEST

START_TEST(links_to_files_inside_count_and_links_out_are_refused)
{
    world_write(&world, "shared.yaml", CM("shared"));
    ck_assert_int_eq(symlink("../shared.yaml", world_path(&world, "app/l.yaml")), 0);
    ck_assert_int_eq(symlink("..", world_path(&world, "app/loop")), 0);
    rendering_run(&r, &world, "yaml", "app", "{}");
    ck_assert_msg(r.code == KILTER_OK, "%s", world.error.message);
    ck_assert_uint_eq(r.count, 1);
    ck_assert_int_eq(symlink("/etc/passwd", world_path(&world, "app/out.yaml")), 0);
    rendering_run(&r, &world, "yaml", "app", "{}");
    ck_assert_int_lt(r.code, 0);
}
END_TEST

TCase *yaml_case(void)
{
    TCase *tests = tcase_create("yaml");
    tcase_set_timeout(tests, 60);
    if (!rendering_possible("renderer yaml"))
        return tests;
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, every_document_of_every_file_becomes_a_resource_with_its_origin);
    tcase_add_test(tests, a_single_file_is_a_path_too);
    tcase_add_test(tests, recursion_include_and_exclude_choose_the_files);
    tcase_add_test(tests, lists_are_taken_apart_and_typed_items_completed);
    tcase_add_test(tests, all_problems_of_all_files_are_told_with_file_and_line);
    tcase_add_test(tests, ciphertext_and_pointers_are_refused_by_name);
    tcase_add_test(tests, links_to_files_inside_count_and_links_out_are_refused);
    return tests;
}
