/* SPDX-License-Identifier: Apache-2.0 */
/* libkilter's fs module by itself: walking, looking, batches, what is left behind. */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct world world;
static struct kilter_fs *fs;

static void begin(void)
{
    world_begin(&world);
    ck_assert_int_eq(kilter_fs_open(kilter_str_c(world.root), 0, &fs, NULL), KILTER_OK);
}

static void end(void)
{
    syscalls_fail_all(NULL, 0);
    kilter_fs_close(fs);
    world_end(&world);
}

static struct kilter_fs_op write_op(const char *path, const char *bytes)
{
    struct kilter_fs_op op = KILTER_FS_OP_INIT;
    op.path = kilter_str_c(path);
    op.bytes = kilter_str_c(bytes);
    op.flags = KILTER_FS_MAKE_PARENTS;
    return op;
}

/* Runs one operation by itself. */
static enum kilter_fs_obstacle run_one(const struct kilter_fs_op *op)
{
    struct kilter_fs_result result = { .size = sizeof result };
    size_t index;
    struct kilter_fs_batch *batch = kilter_fs_batch_new(fs, NULL, NULL);
    ck_assert_int_eq(kilter_fs_batch_add(batch, op, &index), KILTER_OK);
    kilter_fs_batch_run(batch, NULL);
    kilter_fs_batch_result(batch, index, &result);
    ck_assert((result.status == KILTER_OK) == (result.obstacle == KILTER_FS_CLEAR));
    ck_assert((result.message == NULL) == (result.status == KILTER_OK));
    kilter_fs_batch_free(batch);
    return result.obstacle;
}

static struct kilter_fs_entry look(const char *path)
{
    struct kilter_fs_entry entry = KILTER_FS_ENTRY_INIT;
    ck_assert_int_eq(kilter_fs_observe(fs, kilter_str_c(path), &entry, NULL), KILTER_OK);
    return entry;
}

START_TEST(a_root_must_be_there_be_absolute_and_be_a_directory)
{
    struct kilter_fs *other = NULL;
    struct kilter_error err = KILTER_ERROR_INIT;
    world_write(&world, "file", "");
    ck_assert_int_eq(kilter_fs_open(KILTER_STR("tmp"), 0, &other, &err), KILTER_E_INVALID);
    ck_assert_int_eq(kilter_fs_open(kilter_str_c(world_path(&world, "none")), 0, &other, &err), KILTER_E_NOT_FOUND);
    ck_assert_int_eq(kilter_fs_open(kilter_str_c(world_path(&world, "file")), 0, &other, &err), KILTER_E_INVALID);
    ck_assert_ptr_null(other);
}
END_TEST

START_TEST(both_ways_of_walking_answer_the_same)
{
    static const uint32_t ways[] = { 0, KILTER_FS_NO_OPENAT2 };
    ck_assert_int_eq(mkdir(world_path(&world, "d"), 0755), 0);
    world_write(&world, "d/f", "x");
    ck_assert_int_eq(symlink("d", world_path(&world, "l")), 0);
    ck_assert_int_eq(symlink("/etc/passwd", world_path(&world, "d/l")), 0);
    for (size_t i = 0; i < 2; i++) {
        struct kilter_error err = KILTER_ERROR_INIT;
        struct kilter_fs_entry entry = KILTER_FS_ENTRY_INIT;
        kilter_fs_close(fs);
        ck_assert_int_eq(kilter_fs_open(kilter_str_c(world.root), ways[i], &fs, NULL), KILTER_OK);
        ck_assert_int_eq(look("/d/f").type, KILTER_FS_FILE);
        ck_assert_int_eq(look("/d").type, KILTER_FS_DIRECTORY);
        ck_assert_int_eq(look("/d/l").type, KILTER_FS_SYMLINK);
        ck_assert_int_eq(look("/d/none").type, KILTER_FS_ABSENT);
        ck_assert_int_eq(look("/none/at/all").type, KILTER_FS_ABSENT);
        ck_assert_int_eq(kilter_fs_observe(fs, KILTER_STR("/l/f"), &entry, &err), KILTER_E_CONFLICT);
        ck_assert_str_eq(err.message, "/l is a symbolic link, which kilter does not follow");
        ck_assert_int_eq(kilter_fs_observe(fs, KILTER_STR("/d/f/x"), &entry, &err), KILTER_E_CONFLICT);
        ck_assert_str_eq(err.message, "/d/f is no directory");
        struct kilter_fs_op op = write_op("/l/new", "x");
        ck_assert_int_eq(run_one(&op), KILTER_FS_BAD_PARENT);
        op = write_op("/d/deep/new", "x");
        ck_assert_int_eq(run_one(&op), i == 0 ? KILTER_FS_CLEAR : KILTER_FS_STALE);
    }
}
END_TEST

START_TEST(looking_tells_bytes_digest_and_link)
{
    uint8_t digest[KILTER_SHA256_SIZE];
    char hex[65];
    struct kilter_str target;
    struct kilter_buf bytes = KILTER_BUF_INIT(4);
    world_write(&world, "f", "abc");
    ck_assert_int_eq(symlink("a target", world_path(&world, "l")), 0);
    ck_assert_int_eq(kilter_fs_digest(fs, KILTER_STR("/f"), digest, NULL, NULL), KILTER_OK);
    kilter_hex(digest, sizeof digest, hex);
    ck_assert_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    ck_assert_int_eq(kilter_fs_digest(fs, KILTER_STR("/l"), digest, NULL, NULL), KILTER_E_CONFLICT);
    ck_assert_int_eq(kilter_fs_digest(fs, KILTER_STR("/x"), digest, NULL, NULL), KILTER_E_NOT_FOUND);
    ck_assert_int_eq(kilter_fs_read_link(fs, KILTER_STR("/l"), world.arena, &target, NULL), KILTER_OK);
    ck_assert(kilter_str_eq_c(target, "a target"));
    ck_assert_int_eq(kilter_fs_read(fs, KILTER_STR("/f"), &bytes, NULL), KILTER_OK);
    ck_assert(kilter_str_eq_c(kilter_buf_view(&bytes), "abc"));
    ck_assert_int_eq(kilter_fs_read(fs, KILTER_STR("/f"), &bytes, NULL), KILTER_E_LIMIT);
    kilter_buf_release(&bytes);
}
END_TEST

START_TEST(a_new_file_never_replaces_one_that_appeared)
{
    struct kilter_fs_op op = write_op("/f", "ours");
    world_write(&world, "f", "theirs");
    ck_assert_int_eq(run_one(&op), KILTER_FS_STALE);
    ck_assert_str_eq(world_read(&world, "f"), "theirs");
    ck_assert_uint_eq(world_leftovers(&world), 0);
}
END_TEST

START_TEST(a_file_is_replaced_only_as_it_was_seen)
{
    struct kilter_fs_op op = write_op("/f", "ours");
    world_write(&world, "f", "seen");
    struct kilter_fs_entry seen = look("/f");
    op.expect = &seen;
    world_write(&world, "f", "sEEn");
    ck_assert_int_eq(run_one(&op), KILTER_FS_STALE);
    seen = look("/f");
    ck_assert_int_eq(run_one(&op), KILTER_FS_CLEAR);
    ck_assert_str_eq(world_read(&world, "f"), "ours");
}
END_TEST

START_TEST(without_exchange_and_noreplace_the_result_is_the_same)
{
    struct kilter_fs_op op = write_op("/d/f", "one");
    syscalls_fail_all("renameat2", EINVAL);
    ck_assert_int_eq(run_one(&op), KILTER_FS_CLEAR);
    ck_assert_int_eq(run_one(&op), KILTER_FS_STALE);
    struct kilter_fs_entry seen = look("/d/f");
    op = write_op("/d/f", "two");
    op.expect = &seen;
    ck_assert_int_eq(run_one(&op), KILTER_FS_CLEAR);
    ck_assert_str_eq(world_read(&world, "d/f"), "two");
    seen = look("/d/f");
    op.action = KILTER_FS_MAKE_DIRECTORY;
    ck_assert_int_eq(run_one(&op), KILTER_FS_CLEAR);
    ck_assert_int_eq(look("/d/f").type, KILTER_FS_DIRECTORY);
    ck_assert_uint_eq(world_leftovers(&world), 0);
}
END_TEST

START_TEST(a_directory_with_entries_is_replaced_only_on_demand)
{
    struct kilter_fs_op op = write_op("/d", "file now");
    ck_assert_int_eq(mkdir(world_path(&world, "d"), 0755), 0);
    world_write(&world, "d/f", "x");
    struct kilter_fs_entry seen = look("/d");
    op.expect = &seen;
    ck_assert_int_eq(run_one(&op), KILTER_FS_NOT_EMPTY);
    ck_assert_str_eq(world_read(&world, "d/f"), "x");
    op.flags |= KILTER_FS_REPLACE_TREE;
    ck_assert_int_eq(run_one(&op), KILTER_FS_CLEAR);
    ck_assert_str_eq(world_read(&world, "d"), "file now");
    ck_assert_uint_eq(world_leftovers(&world), 0);
}
END_TEST

START_TEST(content_that_is_not_what_was_planned_is_not_put_in_place)
{
    uint8_t other[KILTER_SHA256_SIZE] = { 1 };
    struct kilter_fs_op op = write_op("/f", "x");
    op.digest = other;
    ck_assert_int_eq(run_one(&op), KILTER_FS_FAILED);
    ck_assert(!world_there(&world, "f"));
    ck_assert_uint_eq(world_leftovers(&world), 0);
}
END_TEST

START_TEST(a_set_group_id_directory_hands_its_group_down)
{
    if (geteuid() != 0)
        return;
    struct stat st;
    struct kilter_fs_op op = write_op("/d/sub/f", "x");
    ck_assert_int_eq(mkdir(world_path(&world, "d"), 0755), 0);
    ck_assert_int_eq(chown(world_path(&world, "d"), 0, 42), 0);
    ck_assert_int_eq(chmod(world_path(&world, "d"), 02755), 0);
    ck_assert_int_eq(run_one(&op), KILTER_FS_CLEAR);
    ck_assert_uint_eq(world_mode(&world, "d/sub"), 02755);
    ck_assert_int_eq(stat(world_path(&world, "d/sub/f"), &st), 0);
    ck_assert_uint_eq(st.st_gid, 42);
}
END_TEST

START_TEST(a_batch_of_many_directories_keeps_few_open)
{
    struct kilter_fs_batch *batch = kilter_fs_batch_new(fs, NULL, NULL);
    char(*paths)[32] = calloc(300, sizeof *paths);
    size_t index;
    for (int i = 0; i < 300; i++) {
        snprintf(paths[i], sizeof *paths, "/d%d/e/f", i % 150 + (i / 150) * 1000);
        struct kilter_fs_op op = write_op(paths[i], "x");
        ck_assert_int_eq(kilter_fs_batch_add(batch, &op, &index), KILTER_OK);
    }
    ck_assert_int_eq(kilter_fs_batch_run(batch, NULL), KILTER_OK);
    for (size_t i = 0; i < 300; i++) {
        struct kilter_fs_result result = { .size = sizeof result };
        kilter_fs_batch_result(batch, i, &result);
        ck_assert_msg(result.status == KILTER_OK, "%s", result.message);
        ck_assert_uint_eq(result.made_parents, 2);
    }
    int fd = open("/dev/null", O_RDONLY);
    ck_assert_int_lt(fd, 100);
    close(fd);
    kilter_fs_batch_free(batch);
    free(paths);
}
END_TEST

START_TEST(sweeping_takes_what_the_dead_left_and_spares_the_living)
{
    size_t removed;
    pid_t child = fork();
    if (child == 0) {
        struct kilter_fs *own;
        struct kilter_fs_op op = write_op("/f", "x");
        if (kilter_fs_open(kilter_str_c(world.root), 0, &own, NULL) == KILTER_OK) {
            kilter_fs_close(fs);
            fs = own;
            syscalls_kill_at(5);
            run_one(&op);
        }
        _exit(0);
    }
    /* Dead, although nobody has asked for its end yet. */
    siginfo_t info;
    ck_assert_int_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    ck_assert_int_eq(info.si_code, CLD_KILLED);
    ck_assert_uint_eq(world_leftovers(&world), 1);
    world_write(&world, ".kilter-tmp.00000000.1.1.1", "of another boot");
    char own[80];
    char boot[9] = "";
    FILE *id = fopen("/proc/sys/kernel/random/boot_id", "r");
    ck_assert_int_eq(fscanf(id, "%8[0-9a-f]", boot), 1);
    fclose(id);
    snprintf(own, sizeof own, ".kilter-tmp.%s.%ld.0.1", boot, (long)getpid());
    world_write(&world, own, "of the living");
    ck_assert_int_eq(kilter_fs_sweep(fs, KILTER_STR("/"), &removed, NULL), KILTER_OK);
    ck_assert_uint_eq(removed, 2);
    ck_assert(world_there(&world, own));
    ck_assert_int_eq(kilter_fs_sweep(fs, KILTER_STR("/none"), &removed, NULL), KILTER_OK);
    waitpid(child, NULL, 0);
}
END_TEST

TCase *fs_case(void)
{
    TCase *tests = tcase_create("fs");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, a_root_must_be_there_be_absolute_and_be_a_directory);
    tcase_add_test(tests, both_ways_of_walking_answer_the_same);
    tcase_add_test(tests, looking_tells_bytes_digest_and_link);
    tcase_add_test(tests, a_new_file_never_replaces_one_that_appeared);
    tcase_add_test(tests, a_file_is_replaced_only_as_it_was_seen);
    tcase_add_test(tests, without_exchange_and_noreplace_the_result_is_the_same);
    tcase_add_test(tests, a_directory_with_entries_is_replaced_only_on_demand);
    tcase_add_test(tests, content_that_is_not_what_was_planned_is_not_put_in_place);
    tcase_add_test(tests, a_set_group_id_directory_hands_its_group_down);
    tcase_add_test(tests, a_batch_of_many_directories_keeps_few_open);
    tcase_add_test(tests, sweeping_takes_what_the_dead_left_and_spares_the_living);
    return tests;
}
