/* SPDX-License-Identifier: Apache-2.0 */
#include "rendering.h"

#include <sys/stat.h>
#include <unistd.h>

static struct world world;
static struct rendering r;

static void begin(void)
{
    world_begin(&world);
    ck_assert_int_eq(mkdir(world_path(&world, "host"), 0755), 0);
    ck_assert_int_eq(mkdir(world_path(&world, "host/etc"), 0755), 0);
    ck_assert_int_eq(mkdir(world_path(&world, "host/etc/ssl"), 0755), 0);
    world_write(&world, "host/etc/motd", "hello\n");
    world_write(&world, "host/etc/ssl/a.key", "key\n");
    world_write(&world, "host/etc/run", "#!/bin/sh\n");
    chmod(world_path(&world, "host/etc/run"), 0755);
    ck_assert_int_eq(symlink("../motd", world_path(&world, "host/etc/ssl/link")), 0);
}

static void end(void)
{
    world_end(&world);
}

static struct kilter_str spec_text(const char *kind, const char *name, const char *member)
{
    const struct kilter_resource *resource = rendering_find(&r, kind, name);
    ck_assert_msg(resource != NULL, "no %s %s", kind, name);
    return kilter_get_text(kilter_get(resource->document, "spec"), member);
}

START_TEST(a_tree_becomes_files_links_and_shared_directories)
{
    rendering_run(&r, &world, "files", "host", "{}");
    ck_assert_msg(r.code == KILTER_OK, "%s", world.error.message);
    ck_assert_uint_eq(r.count, 6);
    ck_assert(kilter_str_eq_c(spec_text("File", "etc/motd", "path"), "/etc/motd"));
    ck_assert(kilter_str_eq_c(spec_text("File", "etc/motd", "mode"), "0644"));
    ck_assert(kilter_str_eq_c(spec_text("File", "etc/run", "mode"), "0755"));
    ck_assert(kilter_str_eq_c(spec_text("Symlink", "etc/ssl/link", "target"), "../motd"));
    bool shared = false;
    const struct kilter_resource *etc = rendering_find(&r, "Directory", "etc");
    ck_assert_int_eq(kilter_get_bool(kilter_get(etc->document, "spec"), "shared", &shared), KILTER_OK);
    ck_assert(shared);
    const struct kilter_resource *motd = rendering_find(&r, "File", "etc/motd");
    ck_assert(kilter_str_eq_c(motd->origin.file, "host/etc/motd"));
    ck_assert_ptr_nonnull(kilter_content_of(kilter_get(kilter_get(motd->document, "spec"), "content")));
}
END_TEST

START_TEST(modes_owner_and_prefix_are_laid_over)
{
    rendering_run(&r, &world, "files", "host/etc",
                  "{modes: {'**/*.key': '0640', 'ssl/a.key': '0600'}, owner: root, group: '5', prefix: /opt/x/}");
    ck_assert_msg(r.code == KILTER_OK, "%s", world.error.message);
    ck_assert(kilter_str_eq_c(spec_text("File", "opt/x/ssl/a.key", "path"), "/opt/x/ssl/a.key"));
    ck_assert(kilter_str_eq_c(spec_text("File", "opt/x/ssl/a.key", "mode"), "0600"));
    ck_assert(kilter_str_eq_c(spec_text("File", "opt/x/motd", "owner"), "root"));
    ck_assert(kilter_str_eq_c(spec_text("Symlink", "opt/x/ssl/link", "group"), "5"));
    ck_assert_ptr_null(spec_text("Directory", "opt/x/ssl", "owner").ptr);
}
END_TEST

START_TEST(what_is_left_out_makes_no_directory_either)
{
    rendering_run(&r, &world, "files", "host", "{exclude: ['etc/ssl']}");
    ck_assert_uint_eq(r.count, 3);
    rendering_run(&r, &world, "files", "host", "{include: ['*.key']}");
    ck_assert_uint_eq(r.count, 3);
    ck_assert_ptr_nonnull(rendering_find(&r, "Directory", "etc/ssl"));
}
END_TEST

START_TEST(gits_own_files_are_no_content_but_keep_their_directory)
{
    ck_assert_int_eq(mkdir(world_path(&world, "host/empty"), 0755), 0);
    world_write(&world, "host/empty/.gitkeep", "");
    world_write(&world, "host/.gitattributes", "* text");
    rendering_run(&r, &world, "files", "host", "{}");
    ck_assert_uint_eq(r.count, 7);
    ck_assert_ptr_nonnull(rendering_find(&r, "Directory", "empty"));
}
END_TEST

START_TEST(ciphertext_pointers_and_bad_modes_are_refused_by_name)
{
    world_write(&world, "host/etc/lfs.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n");
    world_write(&world, "host/etc/s.env", "A=ENC[AES256_GCM,data:x]\nsops_mac=ENC[AES256_GCM,data:y]\n");
    world_write(&world, "host/etc/s.yaml", "a: ENC[AES256_GCM,data:x]\nsops:\n  mac: x\n");
    world_write(&world, "host/etc/talk.md", "SOPS writes ENC[AES256_GCM,...] into files\n");
    rendering_run(&r, &world, "files", "host", "{modes: {'*': rw}}");
    ck_assert_int_eq(r.code, KILTER_E_INVALID);
    ck_assert(rendering_complains(&r, "files.lfs", "host/etc/lfs.bin", 0));
    ck_assert(rendering_complains(&r, "files.sops", "host/etc/s.env", 0));
    ck_assert(rendering_complains(&r, "files.sops", "host/etc/s.yaml", 0));
    ck_assert(!rendering_complains(&r, "files.sops", "host/etc/talk.md", 0));
    ck_assert(rendering_complains(&r, "files.mode", "", 0));
}
END_TEST

START_TEST(a_name_that_no_host_path_can_have_is_a_diagnostic)
{
    world_write(&world, "host/a\tb", "");
    rendering_run(&r, &world, "files", "host", "{}");
    ck_assert_int_eq(r.code, KILTER_E_INVALID);
    ck_assert(rendering_complains(&r, "files.path", "host/a\tb", 0));
}
END_TEST

START_TEST(what_it_renders_the_file_target_applies)
{
    ck_assert_int_eq(mkdir(world_path(&world, "out"), 0755), 0);
    rendering_run(&r, &world, "files", "host", "{prefix: /out}");
    world.resources = r.resources;
    world.resource_count = r.count;
    for (size_t i = 0; i < r.count; i++) {
        struct kilter_value *content = kilter_get(kilter_get(r.resources[i].document, "spec"), "content");
        if (content)
            world.contents[world.content_count++] = kilter_content_of(content);
    }
    ck_assert_uint_eq(world_plan(&world, false), 6);
    world_apply(&world);
    ck_assert_str_eq(world_read(&world, "out/etc/motd"), "hello\n");
    ck_assert_uint_eq(world_mode(&world, "out/etc/run"), 0755);
    ck_assert_uint_eq(world_plan(&world, false), 0);
}
END_TEST

TCase *files_case(void)
{
    TCase *tests = tcase_create("files");
    tcase_set_timeout(tests, 60);
    if (!rendering_possible("renderer files"))
        return tests;
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, a_tree_becomes_files_links_and_shared_directories);
    tcase_add_test(tests, modes_owner_and_prefix_are_laid_over);
    tcase_add_test(tests, what_is_left_out_makes_no_directory_either);
    tcase_add_test(tests, gits_own_files_are_no_content_but_keep_their_directory);
    tcase_add_test(tests, ciphertext_pointers_and_bad_modes_are_refused_by_name);
    tcase_add_test(tests, a_name_that_no_host_path_can_have_is_a_diagnostic);
    tcase_add_test(tests, what_it_renders_the_file_target_applies);
    return tests;
}
