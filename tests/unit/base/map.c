/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "base_tests.h"

#include <stdio.h>
#include <stdlib.h>

static struct kilter_str key_of(int i, char text[16])
{
    snprintf(text, 16, "key-%d", i);
    return kilter_str_c(text);
}

static void fill(struct kl_map *map, int *numbers, int count)
{
    char text[16];
    for (int i = 0; i < count; i++) {
        numbers[i] = i;
        ck_assert_int_eq(kl_map_put(map, key_of(i, text), &numbers[i], NULL), KILTER_OK);
    }
}

START_TEST(an_empty_map_answers_everything)
{
    struct kl_map map = KL_MAP_INIT;
    size_t at = 0;
    ck_assert_ptr_null(kl_map_get(&map, KILTER_STR("a")));
    ck_assert_ptr_null(kl_map_remove(&map, KILTER_STR("a")));
    ck_assert(!kl_map_next(&map, &at, NULL, NULL));
    ck_assert_uint_eq(kl_map_count(&map), 0);
    kl_map_release(&map, free);
}
END_TEST

START_TEST(what_was_put_is_found_and_replaced)
{
    struct kl_map map = KL_MAP_INIT;
    int numbers[5000], other = -1;
    char text[16];
    void *old;
    fill(&map, numbers, 5000);
    for (int i = 0; i < 5000; i++)
        ck_assert_ptr_eq(kl_map_get(&map, key_of(i, text)), &numbers[i]);
    ck_assert_ptr_null(kl_map_get(&map, KILTER_STR("key-5000")));
    ck_assert_int_eq(kl_map_put(&map, KILTER_STR("key-7"), &other, &old), KILTER_OK);
    ck_assert_ptr_eq(old, &numbers[7]);
    ck_assert_ptr_eq(kl_map_get(&map, KILTER_STR("key-7")), &other);
    ck_assert_uint_eq(kl_map_count(&map), 5000);
    kl_map_release(&map, NULL);
}
END_TEST

START_TEST(keys_are_bytes_and_may_hold_nul_or_be_empty)
{
    struct kl_map map = KL_MAP_INIT;
    int a, b, c;
    kl_map_put(&map, kilter_str_n("x\0y", 3), &a, NULL);
    kl_map_put(&map, kilter_str_n("x\0z", 3), &b, NULL);
    kl_map_put(&map, KILTER_STR(""), &c, NULL);
    ck_assert_ptr_eq(kl_map_get(&map, kilter_str_n("x\0y", 3)), &a);
    ck_assert_ptr_eq(kl_map_get(&map, kilter_str_n("x\0z", 3)), &b);
    ck_assert_ptr_eq(kl_map_get(&map, KILTER_STR_NONE), &c);
    kl_map_release(&map, NULL);
}
END_TEST

START_TEST(walking_goes_in_the_order_of_insertion_and_allows_removal)
{
    struct kl_map map = KL_MAP_INIT;
    int numbers[300], expected = 0;
    fill(&map, numbers, 300);
    size_t at = 0;
    struct kilter_str key;
    void *value;
    while (kl_map_next(&map, &at, &key, &value)) {
        ck_assert_ptr_eq(value, &numbers[expected++]);
        if (*(int *)value % 3 != 0)
            ck_assert_ptr_eq(kl_map_remove(&map, key), value);
    }
    ck_assert_int_eq(expected, 300);
    ck_assert_uint_eq(kl_map_count(&map), 100);
    at = 0;
    for (expected = 0; kl_map_next(&map, &at, NULL, &value); expected += 3)
        ck_assert_ptr_eq(value, &numbers[expected]);
    kl_map_release(&map, NULL);
}
END_TEST

START_TEST(a_map_that_is_filled_and_emptied_for_ever_does_not_grow)
{
    struct kl_map map = KL_MAP_INIT;
    char text[16];
    int value;
    for (int i = 0; i < 100000; i++) {
        ck_assert_int_eq(kl_map_put(&map, key_of(i, text), &value, NULL), KILTER_OK);
        if (i >= 5)
            ck_assert_ptr_eq(kl_map_remove(&map, key_of(i - 5, text)), &value);
    }
    ck_assert_uint_eq(kl_map_count(&map), 5);
    ck_assert_uint_le(map.capacity, 32);
    kl_map_release(&map, NULL);
}
END_TEST

START_TEST(release_frees_the_values_and_leaves_an_empty_map)
{
    struct kl_map map = KL_MAP_INIT;
    kl_map_put(&map, KILTER_STR("a"), strdup("a"), NULL);
    kl_map_put(&map, KILTER_STR("b"), strdup("b"), NULL);
    free(kl_map_remove(&map, KILTER_STR("a")));
    kl_map_release(&map, free);
    ck_assert_uint_eq(kl_map_count(&map), 0);
    ck_assert_ptr_null(kl_map_get(&map, KILTER_STR("b")));
}
END_TEST

TCase *base_map_case(void)
{
    TCase *tc = tcase_create("map");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, an_empty_map_answers_everything);
    tcase_add_test(tc, what_was_put_is_found_and_replaced);
    tcase_add_test(tc, keys_are_bytes_and_may_hold_nul_or_be_empty);
    tcase_add_test(tc, walking_goes_in_the_order_of_insertion_and_allows_removal);
    tcase_add_test(tc, a_map_that_is_filled_and_emptied_for_ever_does_not_grow);
    tcase_add_test(tc, release_frees_the_values_and_leaves_an_empty_map);
    return tc;
}
