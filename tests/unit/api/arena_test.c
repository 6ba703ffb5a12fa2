// SPDX-License-Identifier: Apache-2.0
#include "api_tests.h"

#include <stdint.h>

START_TEST(memory_is_zeroed_and_aligned)
{
    for (size_t size = 0; size < 3000; size += 7) {
        unsigned char *memory = kilter_arena_alloc(arena, size);
        ck_assert_ptr_nonnull(memory);
        ck_assert_uint_eq((uintptr_t)memory % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++)
            ck_assert_uint_eq(memory[i], 0);
        memset(memory, 0xff, size);
        kilter_arena_str(arena, KILTER_STR("odd")); /* to unalign what follows */
    }
}
END_TEST

START_TEST(reset_gives_zeroed_memory_again)
{
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 200; i++) {
            unsigned char *memory = kilter_arena_alloc(arena, 300);
            for (size_t at = 0; at < 300; at++)
                ck_assert_uint_eq(memory[at], 0);
            memset(memory, 0xff, 300);
        }
        size_t before = kilter_arena_size(arena);
        kilter_arena_reset(arena);
        ck_assert_uint_le(kilter_arena_size(arena), before);
    }
}
END_TEST

START_TEST(maximum_is_kept)
{
    struct kilter_arena *small = kilter_arena_new(100000);
    size_t count = 0;
    while (kilter_arena_alloc(small, 1000))
        count++;
    ck_assert_uint_ge(count, 80);
    ck_assert_uint_le(count, 100);
    ck_assert_uint_le(kilter_arena_size(small), 100000);
    ck_assert_ptr_null(kilter_arena_alloc(small, 200000));
    ck_assert_ptr_null(kilter_arena_str(small, kilter_str_n((char[70000]){ 0 }, 70000)).ptr);
    kilter_arena_reset(small);
    ck_assert_ptr_nonnull(kilter_arena_alloc(small, 1000));
    kilter_arena_free(small);
    kilter_arena_free(NULL);
}
END_TEST

START_TEST(tiny_arena_fails_without_harm)
{
    for (size_t max = 1; max < 400; max++) {
        struct kilter_arena *tiny = kilter_arena_new(max);
        ck_assert_ptr_nonnull(tiny);
        char *memory = kilter_arena_alloc(tiny, 16);
        if (memory)
            memset(memory, 1, 16);
        kilter_arena_printf(tiny, "%100s", "x");
        kilter_arena_reset(tiny);
        kilter_arena_free(tiny);
    }
}
END_TEST

START_TEST(absurd_sizes_are_refused)
{
    ck_assert_ptr_null(kilter_arena_alloc(arena, SIZE_MAX));
    ck_assert_ptr_null(kilter_arena_alloc(arena, SIZE_MAX / 2));
    ck_assert_ptr_null(kilter_arena_calloc(arena, SIZE_MAX / 2, 3));
    ck_assert_ptr_nonnull(kilter_arena_calloc(arena, 0, 8));
}
END_TEST

START_TEST(strings_are_copied_and_terminated)
{
    char source[] = "abc";
    struct kilter_str copy = kilter_arena_str(arena, kilter_str_n(source, 2));
    source[0] = 'X';
    ck_assert_view_eq(copy, "ab");
    ck_assert_int_eq(copy.ptr[2], 0);
    ck_assert_ptr_null(kilter_arena_str(arena, KILTER_STR_NONE).ptr);
    ck_assert_ptr_nonnull(kilter_arena_str(arena, KILTER_STR("")).ptr);
    ck_assert_str_eq(kilter_arena_printf(arena, "%d-%s", 7, "x"), "7-x");
    ck_assert_uint_eq(strlen(kilter_arena_printf(arena, "%5000d", 1)), 5000);
}
END_TEST

START_TEST(large_pieces_leave_the_open_block_usable)
{
    char *first = kilter_arena_alloc(arena, 100);
    kilter_arena_alloc(arena, 5 << 20);
    char *second = kilter_arena_alloc(arena, 100);
    ck_assert_int_lt(second > first ? second - first : first - second, 8192);
}
END_TEST

Suite *api_arena_suite(void)
{
    Suite *suite = suite_create("arena");
    TCase *tcase = api_case(suite, "arena");
    tcase_add_test(tcase, memory_is_zeroed_and_aligned);
    tcase_add_test(tcase, reset_gives_zeroed_memory_again);
    tcase_add_test(tcase, maximum_is_kept);
    tcase_add_test(tcase, tiny_arena_fails_without_harm);
    tcase_add_test(tcase, absurd_sizes_are_refused);
    tcase_add_test(tcase, strings_are_copied_and_terminated);
    tcase_add_test(tcase, large_pieces_leave_the_open_block_usable);
    return suite;
}
