/* SPDX-License-Identifier: Apache-2.0 */
/* The file target's rules of ownership: adoption, marks, shared directories, replacing, secrets, what is allowed.
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static struct world world;

static void begin(void)
{
    world_begin(&world);
}

static void end(void)
{
    world_end(&world);
}

#define DOC(kind, name, spec)                                                                                      \
    "apiVersion: file.kilter.dev/v1\nkind: " kind "\nmetadata: {name: " name "}\nspec: {" spec "}\n---\n"

static bool has_mark(const char *path, const char *mark)
{
    char value[64] = "";
    ssize_t len = getxattr(world_path(&world, path), "user.kilter.owner", value, sizeof value - 1);
    return mark ? len == (ssize_t)strlen(mark) && strcmp(value, mark) == 0 : len < 0;
}

/* Filesystems of old kernels' tmpfs and the like have no user attributes. */
static bool marks_work(void)
{
    world_write(&world, "probe", "");
    bool work = setxattr(world_path(&world, "probe"), "user.kilter.owner", "x", 1, 0) == 0;
    unlink(world_path(&world, "probe"));
    return work;
}

static const struct kilter_change *plan(const char *yaml, const char *name)
{
    world_forget(&world);
    world_want(&world, yaml);
    world_plan(&world, false);
    ck_assert_msg(world.plan_code == KILTER_OK, "%s", world.error.message);
    return world_change(&world, name);
}

START_TEST(an_equal_file_that_is_nobodys_is_adopted_and_marked)
{
    world_write(&world, "f", "x");
    chmod(world_path(&world, "f"), 0600);
    world_sync(&world, DOC("File", "f", "path: /f, content: x"));
    ck_assert_int_eq(world_change(&world, "f")->verb, KILTER_VERB_ADOPT);
    ck_assert_uint_eq(world_change(&world, "f")->flags & KILTER_CHANGE_UNOWNED, KILTER_CHANGE_UNOWNED);
    ck_assert_uint_eq(world_mode(&world, "f"), 0600);
    ck_assert(!marks_work() || has_mark("f", "test/app"));
    world_forget(&world);
    world_want(&world, DOC("File", "f", "path: /f, content: x"));
    ck_assert_uint_eq(world_plan(&world, false), 0);
}
END_TEST

START_TEST(a_different_file_that_is_nobodys_is_an_update_of_what_is_unowned)
{
    world_write(&world, "f", "theirs");
    const struct kilter_change *change = plan(DOC("File", "f", "path: /f, content: ours"), "f");
    ck_assert_int_eq(change->verb, KILTER_VERB_UPDATE);
    ck_assert_uint_eq(change->flags, KILTER_CHANGE_UNOWNED | KILTER_CHANGE_WANTED);
}
END_TEST

START_TEST(another_installations_mark_is_respected)
{
    if (!marks_work())
        return;
    world_write(&world, "f", "x");
    ck_assert_int_eq(setxattr(world_path(&world, "f"), "user.kilter.owner", "other/app", 9, 0), 0);
    const struct kilter_change *change = plan(DOC("File", "f", "path: /f, content: x"), "f");
    ck_assert_int_eq(change->verb, KILTER_VERB_BLOCKED);
    ck_assert(change->flags & KILTER_CHANGE_FOREIGN);
    ck_assert(kilter_str_eq_c(change->foreign_owner, "other/app"));
}
END_TEST

START_TEST(a_mark_set_after_the_plan_blocks_the_apply)
{
    if (!marks_work())
        return;
    world_write(&world, "f", "x");
    plan(DOC("File", "f", "path: /f, content: y"), "f");
    ck_assert_int_eq(setxattr(world_path(&world, "f"), "user.kilter.owner", "other/app", 9, 0), 0);
    world_apply(&world);
    ck_assert_int_eq(world_result(&world, "f")->result, KILTER_RESULT_BLOCKED);
    ck_assert_str_eq(world_read(&world, "f"), "x");
}
END_TEST

START_TEST(forgetting_removes_our_mark_and_nothing_else)
{
    if (!marks_work())
        return;
    ck_assert_int_eq(mkdir(world_path(&world, "d"), 0700), 0);
    world_sync(&world, DOC("Directory", "d", "path: /d"));
    ck_assert(has_mark("d", "test/app"));
    world_sync(&world, "");
    ck_assert_int_eq(world_change(&world, "d")->verb, KILTER_VERB_FORGET);
    ck_assert(has_mark("d", NULL));
    ck_assert_uint_eq(world_mode(&world, "d"), 0700);
}
END_TEST

START_TEST(an_existing_shared_directory_keeps_mode_and_owner_and_is_never_removed)
{
    const char *tree = DOC("Directory", "d", "path: /d, shared: true") DOC("File", "f", "path: /d/f, content: x");
    ck_assert_int_eq(mkdir(world_path(&world, "d"), 0711), 0);
    world_sync(&world, tree);
    ck_assert_int_eq(world_change(&world, "d")->verb, KILTER_VERB_ADOPT);
    ck_assert_uint_eq(world_change(&world, "d")->flags & KILTER_CHANGE_UNOWNED, 0);
    ck_assert_uint_eq(world_change(&world, "d")->claim_count, 0);
    ck_assert(has_mark("d", NULL));
    chmod(world_path(&world, "d"), 0751);
    world_forget(&world);
    world_want(&world, tree);
    ck_assert_uint_eq(world_plan(&world, false), 0);
    world_sync(&world, "");
    ck_assert_uint_eq(world_mode(&world, "d"), 0751);
    ck_assert(!world_there(&world, "d/f"));
}
END_TEST

START_TEST(a_link_where_a_shared_directory_would_go_is_somebodys)
{
    ck_assert_int_eq(mkdir(world_path(&world, "usr"), 0755), 0);
    ck_assert_int_eq(symlink("usr", world_path(&world, "lib")), 0);
    world_want(&world,
               DOC("Directory", "lib", "path: /lib, shared: true") DOC("File", "f", "path: /lib/f, content: x"));
    world_plan(&world, false);
    ck_assert_int_eq(world_change(&world, "lib")->verb, KILTER_VERB_REPLACE);
    ck_assert_uint_eq(world_change(&world, "lib")->flags & KILTER_CHANGE_UNOWNED, KILTER_CHANGE_UNOWNED);
}
END_TEST

START_TEST(a_shared_directory_that_kilter_made_goes_when_it_is_empty)
{
    world_sync(&world, DOC("Directory", "d", "path: /d, shared: true") DOC("File", "f", "path: /d/f, content: x"));
    world_sync(&world, "");
    ck_assert(!world_there(&world, "d"));
}
END_TEST

START_TEST(an_existing_file_keeps_its_owner)
{
    if (geteuid() != 0)
        return;
    struct stat st;
    world_write(&world, "f", "theirs");
    ck_assert_int_eq(chown(world_path(&world, "f"), 12, 13), 0);
    world_sync(&world, DOC("File", "f", "path: /f, content: ours, mode: \"0644\""));
    ck_assert_int_eq(stat(world_path(&world, "f"), &st), 0);
    ck_assert_uint_eq(st.st_uid, 12);
    ck_assert_uint_eq(st.st_gid, 13);
    ck_assert_str_eq(world_read(&world, "f"), "ours");
}
END_TEST

START_TEST(a_file_becomes_a_directory_with_files_in_it)
{
    world_sync(&world, DOC("File", "conf", "path: /conf, content: x"));
    world_sync(&world, DOC("Directory", "conf", "path: /conf") DOC("File", "in", "path: /conf/in, content: y"));
    ck_assert_str_eq(world_read(&world, "conf/in"), "y");
    ck_assert_uint_eq(world.row_count, 2);
    ck_assert_uint_eq(world_leftovers(&world), 0);
}
END_TEST

START_TEST(a_file_becomes_directories_within_each_other)
{
    world_sync(&world, DOC("File", "conf", "path: /conf, content: x"));
    world_sync(&world,
               DOC("Directory", "conf", "path: /conf") DOC("Directory", "d", "path: /conf/d")
                   DOC("Directory", "e", "path: /conf/d/e") DOC("File", "in", "path: /conf/d/e/in, content: y"));
    ck_assert_str_eq(world_read(&world, "conf/d/e/in"), "y");
    ck_assert_uint_eq(world.row_count, 4);
    ck_assert_uint_eq(world_leftovers(&world), 0);
}
END_TEST

START_TEST(a_directory_is_replaced_only_when_a_person_agrees)
{
    world_sync(&world, DOC("Directory", "conf", "path: /conf") DOC("File", "in", "path: /conf/in, content: y"));
    const struct kilter_change *change = plan(DOC("File", "conf2", "path: /conf, content: x"), "conf2");
    ck_assert_int_eq(change->verb, KILTER_VERB_REPLACE);
    ck_assert(change->flags & KILTER_CHANGE_ASK);
    world_apply(&world);
    ck_assert_int_eq(world_result(&world, "conf2")->result, KILTER_RESULT_DONE);
    ck_assert_str_eq(world_read(&world, "conf"), "x");
    ck_assert_uint_eq(world.row_count, 1);
    ck_assert_uint_eq(world_leftovers(&world), 0);
}
END_TEST

START_TEST(a_link_becomes_a_file_and_what_it_pointed_to_stays)
{
    world_write(&world, "theirs", "precious");
    world_sync(&world, DOC("Symlink", "l", "path: /l, target: theirs"));
    world_sync(&world, DOC("File", "f", "path: /l, content: x"));
    ck_assert_int_eq(world_change(&world, "f")->verb, KILTER_VERB_REPLACE);
    ck_assert_str_eq(world_read(&world, "l"), "x");
    ck_assert_str_eq(world_read(&world, "theirs"), "precious");
}
END_TEST

START_TEST(the_same_thing_under_another_name_moves_without_a_write)
{
    struct stat before, after;
    world_sync(&world, DOC("File", "old", "path: /f, content: x"));
    ck_assert_int_eq(stat(world_path(&world, "f"), &before), 0);
    world_sync(&world, DOC("File", "new", "path: /f, content: x"));
    ck_assert_int_eq(world_change(&world, "new")->verb, KILTER_VERB_MOVE);
    ck_assert(kilter_str_eq_c(world_change(&world, "new")->moved_from.name, "old"));
    ck_assert_uint_eq(world.change_count, 1);
    ck_assert_uint_eq(world.row_count, 1);
    ck_assert_int_eq(stat(world_path(&world, "f"), &after), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
}
END_TEST

START_TEST(what_took_a_files_place_is_not_removed_with_the_old_record_after_a_kill)
{
    world_sync(&world, DOC("File", "f", "path: /f, content: x"));
    world_want(&world, DOC("Symlink", "l", "path: /f, target: y"));
    world_plan(&world, false);
    world_mark_pending(&world);
    world_plan(&world, false);
    ck_assert_int_eq(world_change(&world, "f")->verb, KILTER_VERB_FORGET);
    world_apply(&world);
    ck_assert_int_eq(world_result(&world, "l")->result, KILTER_RESULT_DONE);
    world_sync(&world, DOC("Symlink", "l", "path: /f, target: y"));
    ck_assert(world_there(&world, "f"));
    ck_assert_uint_eq(world.row_count, 1);
}
END_TEST

START_TEST(another_path_is_written_before_the_old_one_is_removed)
{
    world_sync(&world, DOC("File", "f", "path: /a/f, content: x"));
    world_sync(&world, DOC("File", "f", "path: /b/f, content: x"));
    ck_assert_int_eq(world_change(&world, "f")->verb, KILTER_VERB_REPLACE);
    ck_assert_str_eq(world_read(&world, "b/f"), "x");
    ck_assert(!world_there(&world, "a/f"));
}
END_TEST

START_TEST(two_resources_that_swap_their_paths_lose_nothing)
{
    world_sync(&world, DOC("File", "a", "path: /1, content: x") DOC("File", "b", "path: /2, content: y"));
    world_sync(&world, DOC("File", "a", "path: /2, content: x") DOC("File", "b", "path: /1, content: y"));
    world_sync(&world, DOC("File", "a", "path: /2, content: x") DOC("File", "b", "path: /1, content: y"));
    ck_assert_str_eq(world_read(&world, "2"), "x");
    ck_assert_str_eq(world_read(&world, "1"), "y");
}
END_TEST

/* A document whose content the core marked secret. */
static void want_secret(const char *content)
{
    world_forget(&world);
    world_want(&world, DOC("File", "s", "path: /s, content: placeholder, mode: \"0600\""));
    struct kilter_value *spec = kilter_get(world.resources[0].document, "spec");
    struct kilter_value *value = kilter_string_c(world.arena, content);
    kilter_set_marks(value, KILTER_VALUE_SECRET);
    kilter_set(world.arena, spec, "content", value);
}

START_TEST(a_secret_is_written_and_nowhere_else_to_be_found)
{
    want_secret("hunter2");
    world_plan(&world, false);
    const struct kilter_change *change = world_change(&world, "s");
    ck_assert(kilter_has_mark(kilter_get(change->after, "content"), KILTER_VALUE_SECRET));
    ck_assert_ptr_null(kilter_get(change->after, "sha256"));
    struct kilter_buf text = KILTER_BUF_INIT(1 << 20);
    ck_assert_int_eq(kilter_json_write(&text, change->private_data, KILTER_SCHEMA_JSON, KILTER_WRITE_REVEAL), 0);
    world_apply(&world);
    ck_assert_str_eq(world_read(&world, "s"), "hunter2");
    kilter_buf_c(&text, world_row_of(&world, "s")->attributes);
    ck_assert_ptr_null(strstr(text.ptr, "hunter2"));
    /* sha256 of it, which a short secret could be guessed from */
    ck_assert_ptr_null(strstr(text.ptr, "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7"));
    kilter_buf_release(&text);
    want_secret("hunter2");
    ck_assert_uint_eq(world_plan(&world, true), 0);
    want_secret("hunter3");
    ck_assert_uint_eq(world_plan(&world, false), 1);
    ck_assert_ptr_null(kilter_get(world_change(&world, "s")->before, "content"));
}
END_TEST

START_TEST(a_stored_plan_without_its_secret_is_stale)
{
    want_secret("hunter2");
    world_plan(&world, false);
    struct kilter_change *change = &world.changes[0];
    struct kilter_value *after = kilter_value_copy(world.arena, change->after);
    kilter_set(world.arena, after, "content", kilter_string_c(world.arena, KILTER_MASK));
    change->after = after;
    world_apply(&world);
    ck_assert_int_eq(world_result(&world, "s")->result, KILTER_RESULT_STALE);
    ck_assert(!world_there(&world, "s"));
}
END_TEST

START_TEST(what_is_not_allowed_is_blocked_in_the_plan_and_terminal_in_the_apply)
{
    static const char *const allowed[] = { "/etc/edge", "/srv/*.conf", NULL };
    const char *docs = DOC("File", "in", "path: /etc/edge/f, content: x")
        DOC("File", "glob", "path: /srv/a.conf, content: x") DOC("File", "out", "path: /etc/passwd, content: x")
            DOC("File", "near", "path: /etc/edgeless, content: x");
    plan(docs, "in");
    world_reopen(&world, allowed);
    world_apply(&world);
    ck_assert_int_eq(world_result(&world, "in")->result, KILTER_RESULT_DONE);
    ck_assert_int_eq(world_result(&world, "glob")->result, KILTER_RESULT_DONE);
    ck_assert_int_eq(world_result(&world, "out")->result, KILTER_RESULT_TERMINAL);
    ck_assert_int_eq(world_result(&world, "near")->result, KILTER_RESULT_TERMINAL);
    ck_assert(!world_there(&world, "etc/passwd"));
    ck_assert_int_eq(plan(docs, "out")->verb, KILTER_VERB_BLOCKED);
    ck_assert_int_eq(world_change(&world, "in")->verb, KILTER_VERB_NONE);
}
END_TEST

START_TEST(an_unknown_user_blocks_one_resource_only)
{
    const char *docs = DOC("File", "a", "path: /a, content: x, owner: no-such-user-here")
        DOC("File", "b", "path: /b, content: x, owner: root, group: \"0\"");
    ck_assert_int_eq(plan(docs, "a")->verb, KILTER_VERB_BLOCKED);
    ck_assert_int_eq(world_change(&world, "b")->verb, KILTER_VERB_CREATE);
}
END_TEST

START_TEST(wrong_documents_are_diagnostics_all_at_once)
{
    world_want(&world, DOC("File", "a", "path: relative, content: x") DOC("File", "b", "path: /b, contents: x")
                           DOC("Fiel", "c", "path: /c") DOC("File", "d", "path: /a/../b, content: x")
                               DOC("File", "e", "path: /e, content: x, mode: rw-r") DOC("Symlink", "f", "path: /f")
                                   DOC("File", "g", "path: /g, content: "));
    world_plan(&world, false);
    ck_assert_int_eq(world.plan_code, KILTER_E_INVALID);
    ck_assert_uint_eq(kilter_diags_errors(world.diags), 8);
    ck_assert_uint_gt(kilter_diags_at(world.diags, 0)->origin.line, 0);
}
END_TEST

START_TEST(two_resources_of_one_path_are_told_apart_from_the_rest)
{
    const char *docs = DOC("File", "a", "path: /x, content: 1") DOC("File", "b", "path: /x, content: 2")
        DOC("File", "c", "path: /x/c, content: 3");
    ck_assert_int_eq(plan(docs, "b")->verb, KILTER_VERB_BLOCKED);
    ck_assert_int_eq(world_change(&world, "c")->verb, KILTER_VERB_BLOCKED);
    ck_assert_int_eq(world_change(&world, "a")->verb, KILTER_VERB_CREATE);
}
END_TEST

START_TEST(a_file_below_a_directory_that_cannot_be_made_is_skipped)
{
    const char *docs = DOC("Directory", "d", "path: /d") DOC("File", "f", "path: /d/f, content: x");
    plan(docs, "d");
    world_write(&world, "d", "in the way");
    world_apply(&world);
    ck_assert_int_eq(world_result(&world, "d")->result, KILTER_RESULT_STALE);
    ck_assert_int_eq(world_result(&world, "f")->result, KILTER_RESULT_SKIPPED);
}
END_TEST

START_TEST(a_cancelled_apply_skips_what_it_has_not_begun)
{
    plan(DOC("File", "f", "path: /f, content: x"), "f");
    world.cancel = true;
    world_apply(&world);
    ck_assert_int_eq(world_result(&world, "f")->result, KILTER_RESULT_SKIPPED);
    ck_assert(!world_there(&world, "f"));
    ck_assert_uint_eq(world_leftovers(&world), 0);
}
END_TEST

START_TEST(identity_and_claims_name_the_machine_and_the_real_path)
{
    struct kilter_str identity;
    char id[KILTER_MACHINE_ID_SIZE], expected[256];
    ck_assert_int_eq(kilter_machine_id(id, NULL), KILTER_OK);
    ck_assert_int_eq(world.plugin->target->identity(&world.call, world.handle, &identity), KILTER_OK);
    snprintf(expected, sizeof expected, "host:%s:%s", id, world.root);
    ck_assert(kilter_str_eq_c(identity, expected));
    const struct kilter_change *change = plan(DOC("File", "f", "path: /etc/f, content: x"), "f");
    snprintf(expected, sizeof expected, "file:%s:%s/etc/f", id, world.root);
    ck_assert_uint_eq(change->claim_count, 1);
    ck_assert(kilter_str_eq_c(change->claims[0], expected));
}
END_TEST

START_TEST(an_extended_attribute_and_the_acl_of_a_file_survive_its_update)
{
    if (!marks_work())
        return;
    /* Version 2, then {tag, rights, id}: the owner rw, user 1234 r, the group r, the mask r, others none. */
    static const unsigned char acl[] = { 2, 0,   0,   0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,  4,
                                         0, 210, 4,   0,   0,   4,   0,  4, 0,   255, 255, 255, 255, 16, 0,
                                         4, 0,   255, 255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255 };
    unsigned char value[64];
    world_sync(&world, DOC("File", "f", "path: /f, content: x, mode: \"0640\""));
    ck_assert_int_eq(setxattr(world_path(&world, "f"), "user.note", "keep", 4, 0), 0);
    bool acls = setxattr(world_path(&world, "f"), "system.posix_acl_access", acl, sizeof acl, 0) == 0;
    world_sync(&world, DOC("File", "f", "path: /f, content: y, mode: \"0640\""));
    ck_assert_str_eq(world_read(&world, "f"), "y");
    ck_assert_int_eq(getxattr(world_path(&world, "f"), "user.note", value, sizeof value), 4);
    ssize_t len = getxattr(world_path(&world, "f"), "system.posix_acl_access", value, sizeof value);
    ck_assert(!acls || (len == (ssize_t)sizeof acl && memcmp(value, acl, sizeof acl) == 0));
    ck_assert_uint_eq(world_mode(&world, "f"), 0640);
    ck_assert(has_mark("f", "test/app"));
}
END_TEST

TCase *file_rules_case(void)
{
    TCase *tests = tcase_create("file-rules");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, an_equal_file_that_is_nobodys_is_adopted_and_marked);
    tcase_add_test(tests, a_different_file_that_is_nobodys_is_an_update_of_what_is_unowned);
    tcase_add_test(tests, another_installations_mark_is_respected);
    tcase_add_test(tests, a_mark_set_after_the_plan_blocks_the_apply);
    tcase_add_test(tests, forgetting_removes_our_mark_and_nothing_else);
    tcase_add_test(tests, an_existing_shared_directory_keeps_mode_and_owner_and_is_never_removed);
    tcase_add_test(tests, a_link_where_a_shared_directory_would_go_is_somebodys);
    tcase_add_test(tests, a_shared_directory_that_kilter_made_goes_when_it_is_empty);
    tcase_add_test(tests, an_existing_file_keeps_its_owner);
    tcase_add_test(tests, a_file_becomes_a_directory_with_files_in_it);
    tcase_add_test(tests, a_file_becomes_directories_within_each_other);
    tcase_add_test(tests, a_directory_is_replaced_only_when_a_person_agrees);
    tcase_add_test(tests, a_link_becomes_a_file_and_what_it_pointed_to_stays);
    tcase_add_test(tests, the_same_thing_under_another_name_moves_without_a_write);
    tcase_add_test(tests, what_took_a_files_place_is_not_removed_with_the_old_record_after_a_kill);
    tcase_add_test(tests, another_path_is_written_before_the_old_one_is_removed);
    tcase_add_test(tests, two_resources_that_swap_their_paths_lose_nothing);
    tcase_add_test(tests, a_secret_is_written_and_nowhere_else_to_be_found);
    tcase_add_test(tests, a_stored_plan_without_its_secret_is_stale);
    tcase_add_test(tests, what_is_not_allowed_is_blocked_in_the_plan_and_terminal_in_the_apply);
    tcase_add_test(tests, an_unknown_user_blocks_one_resource_only);
    tcase_add_test(tests, wrong_documents_are_diagnostics_all_at_once);
    tcase_add_test(tests, two_resources_of_one_path_are_told_apart_from_the_rest);
    tcase_add_test(tests, a_file_below_a_directory_that_cannot_be_made_is_skipped);
    tcase_add_test(tests, a_cancelled_apply_skips_what_it_has_not_begun);
    tcase_add_test(tests, identity_and_claims_name_the_machine_and_the_real_path);
    tcase_add_test(tests, an_extended_attribute_and_the_acl_of_a_file_survive_its_update);
    return tests;
}
