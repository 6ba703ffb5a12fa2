// SPDX-License-Identifier: Apache-2.0
#include "api_tests.h"

#include <stdio.h>

START_TEST(made_scalars_resolve_to_what_they_were_made_from)
{
    struct kilter_scalar scalar;
    ck_assert_int_eq(kilter_resolve(kilter_null(arena), KILTER_SCHEMA_JSON, &scalar), 0);
    ck_assert_int_eq(scalar.kind, KILTER_NULL);
    kilter_resolve(kilter_bool(arena, true), KILTER_SCHEMA_JSON, &scalar);
    ck_assert_int_eq(scalar.kind, KILTER_BOOL);
    ck_assert(scalar.as.boolean);
    kilter_resolve(kilter_int(arena, INT64_MIN), KILTER_SCHEMA_KUBERNETES, &scalar);
    ck_assert_int_eq(scalar.kind, KILTER_INT);
    ck_assert_int_eq(scalar.as.integer, INT64_MIN);
    kilter_resolve(kilter_uint(arena, UINT64_MAX), KILTER_SCHEMA_KUSTOMIZE, &scalar);
    ck_assert_int_eq(scalar.kind, KILTER_UINT);
    ck_assert_uint_eq(scalar.as.unsigned_integer, UINT64_MAX);
    kilter_resolve(kilter_string_c(arena, "123"), KILTER_SCHEMA_KUBERNETES, &scalar);
    ck_assert_int_eq(scalar.kind, KILTER_STRING);
    kilter_resolve(kilter_plain(arena, KILTER_STR("123")), KILTER_SCHEMA_KUBERNETES, &scalar);
    ck_assert_int_eq(scalar.kind, KILTER_INT);
    ck_assert_view_eq(scalar.text, "123");
}
END_TEST

START_TEST(string_survives_text_tag_and_style)
{
    /* What a frame carries of a scalar must be enough to make it again. */
    struct kilter_value *string = kilter_string_c(arena, "true");
    struct kilter_value *again =
        kilter_scalar_new(arena, kilter_text(string), kilter_tag_of(string), kilter_style_of(string));
    ck_assert(kilter_value_equal(string, again, KILTER_SCHEMA_KUBERNETES));
    ck_assert(!kilter_value_equal(string, kilter_bool(arena, true), KILTER_SCHEMA_KUBERNETES));
}
END_TEST

START_TEST(no_value_is_nothing_everywhere)
{
    struct kilter_scalar scalar;
    ck_assert_int_eq((int)kilter_type_of(NULL), 0);
    ck_assert_ptr_null(kilter_text(NULL).ptr);
    ck_assert(kilter_is_null(NULL, KILTER_SCHEMA_JSON));
    ck_assert_int_eq(kilter_resolve(NULL, KILTER_SCHEMA_JSON, &scalar), KILTER_E_INVALID);
    ck_assert_ptr_null(kilter_get(NULL, "x"));
    ck_assert_ptr_null(kilter_get(kilter_list(arena), "x"));
    ck_assert_ptr_null(kilter_list_at(kilter_map(arena), 0));
    ck_assert_uint_eq(kilter_map_size(NULL) + kilter_list_size(NULL), 0);
    ck_assert_ptr_null(kilter_value_copy(arena, NULL));
    ck_assert_ptr_null(kilter_content_of(kilter_map(arena)));
    ck_assert(!kilter_has_mark(NULL, KILTER_VALUE_SECRET));
    kilter_set_marks(NULL, 1);
    kilter_set_style(NULL, KILTER_STYLE_FLOW);
    kilter_map_sort(NULL);
    ck_assert(!kilter_map_remove(NULL, KILTER_STR("x")));
    ck_assert_int_eq(kilter_list_add(arena, kilter_list(arena), NULL), KILTER_E_NOMEM);
    ck_assert_int_eq(kilter_set(arena, kilter_map(arena), "x", NULL), KILTER_E_NOMEM);
    ck_assert_int_eq(kilter_set(arena, kilter_list(arena), "x", kilter_null(arena)), KILTER_E_INVALID);
    ck_assert_int_eq(kilter_list_add(arena, kilter_map(arena), kilter_null(arena)), KILTER_E_INVALID);
    ck_assert_int_eq(kilter_map_add(arena, kilter_map(arena), kilter_list(arena), kilter_null(arena)),
                     KILTER_E_INVALID);
}
END_TEST

START_TEST(lists_are_changed_in_every_place)
{
    struct kilter_value *list = kilter_list(arena);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(kilter_list_add(arena, list, kilter_int(arena, i)), 0);
    kilter_list_insert(arena, list, 0, kilter_string_c(arena, "first"));
    kilter_list_insert(arena, list, 50, kilter_string_c(arena, "middle"));
    kilter_list_insert(arena, list, 999, kilter_string_c(arena, "last"));
    ck_assert_uint_eq(kilter_list_size(list), 103);
    ck_assert_view_eq(kilter_text(kilter_list_at(list, 0)), "first");
    ck_assert_view_eq(kilter_text(kilter_list_at(list, 1)), "0");
    ck_assert_view_eq(kilter_text(kilter_list_at(list, 50)), "middle");
    ck_assert_view_eq(kilter_text(kilter_list_at(list, 102)), "last");
    kilter_list_remove(list, 0);
    kilter_list_remove(list, 999);
    kilter_list_set(list, 0, kilter_string_c(arena, "zero"));
    kilter_list_set(list, 999, kilter_string_c(arena, "nowhere"));
    ck_assert_uint_eq(kilter_list_size(list), 102);
    ck_assert_view_eq(kilter_text(kilter_list_at(list, 0)), "zero");
    ck_assert_ptr_null(kilter_list_at(list, 102));
}
END_TEST

static struct kilter_str numbered(char *room, size_t size, int i)
{
    return kilter_str_n(room, (size_t)snprintf(room, size, "key-%d", i));
}

START_TEST(maps_of_any_size_find_their_keys)
{
    char room[32];
    struct kilter_value *map = kilter_map(arena);
    for (int i = 0; i < 2000; i++) {
        ck_assert_int_eq(kilter_map_find(map, numbered(room, sizeof room, i)), -1);
        ck_assert_int_eq(kilter_map_set(arena, map, numbered(room, sizeof room, i), kilter_int(arena, i)), 0);
        ck_assert_int_eq(kilter_map_find(map, numbered(room, sizeof room, i)), i);
        ck_assert_int_eq(kilter_map_find(map, numbered(room, sizeof room, i / 2)), i / 2);
    }
    kilter_map_set(arena, map, KILTER_STR("key-7"), kilter_string_c(arena, "seven"));
    ck_assert_uint_eq(kilter_map_size(map), 2000);
    ck_assert_view_eq(kilter_text(kilter_map_at(map, 7)), "seven");
    ck_assert_view_eq(kilter_text(kilter_map_key_at(map, 7)), "key-7");
    ck_assert(kilter_map_remove(map, KILTER_STR("key-7")));
    ck_assert(!kilter_map_remove(map, KILTER_STR("key-7")));
    ck_assert_int_eq(kilter_map_find(map, KILTER_STR("key-8")), 7);
    ck_assert_int_eq(kilter_map_find(map, KILTER_STR("key-1999")), 1998);
    ck_assert_ptr_null(kilter_map_get(map, KILTER_STR_NONE));
    ck_assert_ptr_null(kilter_map_key_at(map, 1999));
}
END_TEST

START_TEST(first_of_two_equal_keys_is_found)
{
    for (int others = 0; others < 40; others += 39) {
        struct kilter_value *map = kilter_map(arena);
        char room[32];
        kilter_map_add(arena, map, kilter_string_c(arena, "k"), kilter_int(arena, 1));
        kilter_map_add(arena, map, kilter_string_c(arena, "k"), kilter_int(arena, 2));
        for (int i = 0; i < others; i++)
            kilter_map_set(arena, map, numbered(room, sizeof room, i), kilter_null(arena));
        ck_assert_view_eq(kilter_text(kilter_get(map, "k")), "1");
    }
}
END_TEST

START_TEST(empty_key_is_a_key)
{
    struct kilter_value *map = kilter_map(arena);
    kilter_set(arena, map, "", kilter_int(arena, 1));
    ck_assert_view_eq(kilter_text(kilter_get(map, "")), "1");
}
END_TEST

START_TEST(sorting_is_stable_and_keeps_the_index_true)
{
    for (int size = 5; size < 200; size += 97) {
        char room[32];
        struct kilter_value *map = kilter_map(arena);
        kilter_map_add(arena, map, kilter_string_c(arena, "same"), kilter_int(arena, 1));
        for (int i = size; i > 0; i--)
            kilter_map_set(arena, map, numbered(room, sizeof room, i), kilter_int(arena, i));
        kilter_map_add(arena, map, kilter_string_c(arena, "same"), kilter_int(arena, 2));
        kilter_map_find(map, KILTER_STR("x"));
        kilter_map_sort(map);
        for (size_t i = 1; i < kilter_map_size(map); i++)
            ck_assert_int_le(
                kilter_str_cmp(kilter_text(kilter_map_key_at(map, i - 1)), kilter_text(kilter_map_key_at(map, i))),
                0);
        size_t last = kilter_map_size(map) - 1;
        ck_assert_view_eq(kilter_text(kilter_map_at(map, last - 1)), "1");
        ck_assert_view_eq(kilter_text(kilter_map_at(map, last)), "2");
        ck_assert_view_eq(kilter_text(kilter_map_get(map, KILTER_STR("key-3"))), "3");
    }
}
END_TEST

START_TEST(copy_is_deep_and_whole)
{
    struct kilter_value *value = api_yaml("a: !x [1, {b: 'c'}]\nd: |\n  e\n");
    struct kilter_value *b = kilter_get(kilter_list_at(kilter_get(value, "a"), 1), "b");
    kilter_set_setter(b, KILTER_STR("somebody"));
    kilter_set_marks(b, KILTER_VALUE_SECRET);
    struct kilter_arena *other = kilter_arena_new(0);
    struct kilter_value *copy = kilter_value_copy(other, value);
    ck_assert(kilter_value_equal(value, copy, KILTER_SCHEMA_KUBERNETES));
    kilter_set(arena, value, "d", kilter_null(arena));
    kilter_list_remove(kilter_get(value, "a"), 0);
    const struct kilter_value *copied = kilter_get(kilter_list_at(kilter_get(copy, "a"), 1), "b");
    ck_assert_view_eq(kilter_text(copied), "c");
    ck_assert_view_eq(kilter_setter_of(copied), "somebody");
    ck_assert_uint_eq(kilter_marks_of(copied), KILTER_VALUE_SECRET);
    ck_assert_uint_eq(kilter_origin_of(copied).column, 15);
    ck_assert_int_eq(kilter_style_of(copied), KILTER_STYLE_SINGLE_QUOTED);
    ck_assert_view_eq(kilter_tag_of(kilter_get(copy, "a")), "!x");
    ck_assert_view_eq(kilter_text(kilter_get(copy, "d")), "e\n");
    kilter_arena_free(other);
}
END_TEST

START_TEST(equality_is_of_meaning)
{
    struct kilter_value *a = api_yaml("{x: 1, y: [true, null], z: 'text'}");
    struct kilter_value *b = api_json("{\"z\": \"text\", \"y\": [true, null], \"x\": 1}");
    ck_assert(kilter_value_equal(a, b, KILTER_SCHEMA_KUBERNETES));
    ck_assert(kilter_value_equal(api_yaml("0x10"), api_yaml("16"), KILTER_SCHEMA_KUBERNETES));
    ck_assert(!kilter_value_equal(api_yaml("0x10"), api_yaml("16"), KILTER_SCHEMA_JSON));
    ck_assert(!kilter_value_equal(api_yaml("'1'"), api_yaml("1"), KILTER_SCHEMA_KUBERNETES));
    ck_assert(!kilter_value_equal(api_yaml("[1, 2]"), api_yaml("[2, 1]"), KILTER_SCHEMA_KUBERNETES));
    ck_assert(!kilter_value_equal(api_yaml("[1]"), api_yaml("[1, 2]"), KILTER_SCHEMA_KUBERNETES));
    ck_assert(!kilter_value_equal(api_yaml("{a: 1}"), api_yaml("{b: 1}"), KILTER_SCHEMA_KUBERNETES));
    ck_assert(!kilter_value_equal(api_yaml("{a: 1}"), api_yaml("[1]"), KILTER_SCHEMA_KUBERNETES));
    ck_assert(kilter_value_equal(api_yaml(".nan"), api_yaml(".NaN"), KILTER_SCHEMA_KUBERNETES));
    ck_assert(kilter_value_equal(NULL, kilter_null(arena), KILTER_SCHEMA_KUBERNETES));
    ck_assert(!kilter_value_equal(NULL, a, KILTER_SCHEMA_KUBERNETES));
}
END_TEST

START_TEST(marks_are_found_below)
{
    struct kilter_value *value = api_yaml("a: [{b: 1}]");
    ck_assert(!kilter_has_mark(value, KILTER_VALUE_SECRET));
    kilter_set_marks(kilter_get(kilter_list_at(kilter_get(value, "a"), 0), "b"), KILTER_VALUE_SECRET);
    ck_assert(kilter_has_mark(value, KILTER_VALUE_SECRET));
    ck_assert(!kilter_has_mark(value, KILTER_VALUE_UNKNOWN));
}
END_TEST

START_TEST(short_cuts_read_documents)
{
    struct kilter_value *map = api_yaml("s: text\nn: 7\nb: yes\nz: null\nf: 1.5\nu: 18446744073709551615\n");
    int64_t number = 0;
    bool flag = false;
    ck_assert_view_eq(kilter_get_text(map, "s"), "text");
    ck_assert_ptr_null(kilter_get_text(map, "n").ptr);
    ck_assert_ptr_null(kilter_get_text(map, "z").ptr);
    ck_assert_ptr_null(kilter_get_text(map, "missing").ptr);
    ck_assert_int_eq(kilter_get_int(map, "n", &number), 0);
    ck_assert_int_eq(number, 7);
    ck_assert_int_eq(kilter_get_int(map, "s", &number), KILTER_E_INVALID);
    ck_assert_int_eq(kilter_get_int(map, "f", &number), KILTER_E_INVALID);
    ck_assert_int_eq(kilter_get_int(map, "u", &number), KILTER_E_INVALID);
    ck_assert_int_eq(kilter_get_int(map, "z", &number), KILTER_E_NOT_FOUND);
    ck_assert_int_eq(kilter_get_int(map, "missing", &number), KILTER_E_NOT_FOUND);
    ck_assert_int_eq(kilter_get_bool(map, "b", &flag), 0);
    ck_assert(flag);
    ck_assert_int_eq(kilter_get_bool(map, "n", &flag), KILTER_E_INVALID);
}
END_TEST

/* --- contents ------------------------------------------------------------------- */
START_TEST(content_of_bytes_reads_back)
{
    struct kilter_content *content = kilter_content_bytes(arena, KILTER_STR("hello"));
    struct kilter_buf buf = KILTER_BUF_INIT(5);
    char bytes[3];
    size_t len = 0;
    ck_assert_view_eq(content->id, "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    ck_assert_int_eq(kilter_content_read(content, 3, bytes, 3, &len, NULL), 0);
    ck_assert_uint_eq(len, 2);
    ck_assert_int_eq(kilter_content_read(content, 99, bytes, 3, &len, NULL), 0);
    ck_assert_uint_eq(len, 0);
    ck_assert_int_eq(kilter_content_read_all(content, &buf, NULL), 0);
    ck_assert_view_eq(kilter_buf_view(&buf), "hello");
    ck_assert_int_eq(kilter_content_read_all(content, &buf, NULL), KILTER_E_LIMIT);
    kilter_buf_release(&buf);
    struct kilter_value *a = kilter_content_value(arena, content);
    struct kilter_value *b = kilter_content_value(arena, kilter_content_bytes(arena, KILTER_STR("hello")));
    struct kilter_value *c = kilter_content_value(arena, kilter_content_bytes(arena, KILTER_STR("other")));
    ck_assert(kilter_value_equal(a, b, KILTER_SCHEMA_JSON));
    ck_assert(!kilter_value_equal(a, c, KILTER_SCHEMA_JSON));
    ck_assert_ptr_eq(kilter_content_of(kilter_value_copy(arena, a)), content);
    ck_assert_ptr_null(kilter_content_value(arena, NULL));
}
END_TEST

static int short_read(struct kilter_content *content, uint64_t offset, void *bytes, size_t len, size_t *ret_len,
                      struct kilter_error *err)
{
    (void)content, (void)err;
    *ret_len = offset < 4 && len ? 1 : 0;
    if (*ret_len)
        *(char *)bytes = 'x';
    return 0;
}

static int lying_read(struct kilter_content *content, uint64_t offset, void *bytes, size_t len, size_t *ret_len,
                      struct kilter_error *err)
{
    (void)content, (void)offset, (void)bytes, (void)err;
    *ret_len = len + 1;
    return 0;
}

START_TEST(content_that_ends_early_or_lies_is_an_error)
{
    struct kilter_content_ops ops = { .size = sizeof ops, .read = short_read };
    struct kilter_content content = { .ops = &ops, .length = 9 };
    struct kilter_buf buf = KILTER_BUF_INIT(100);
    struct kilter_error err = KILTER_ERROR_INIT;
    ck_assert_int_eq(kilter_content_read_all(&content, &buf, &err), KILTER_E_IO);
    ck_assert_str_eq(err.message, "content ends after 4 of 9 bytes");
    ops.read = lying_read;
    ck_assert_int_eq(kilter_content_read_all(&content, &buf, &err), KILTER_E_INTERNAL);
    ops.read = NULL;
    ck_assert_int_eq(kilter_content_read_all(&content, &buf, &err), KILTER_E_INTERNAL);
    kilter_buf_release(&buf);
}
END_TEST

Suite *api_value_suite(void)
{
    Suite *suite = suite_create("value");
    TCase *tcase = api_case(suite, "value");
    tcase_add_test(tcase, made_scalars_resolve_to_what_they_were_made_from);
    tcase_add_test(tcase, string_survives_text_tag_and_style);
    tcase_add_test(tcase, no_value_is_nothing_everywhere);
    tcase_add_test(tcase, lists_are_changed_in_every_place);
    tcase_add_test(tcase, maps_of_any_size_find_their_keys);
    tcase_add_test(tcase, first_of_two_equal_keys_is_found);
    tcase_add_test(tcase, empty_key_is_a_key);
    tcase_add_test(tcase, sorting_is_stable_and_keeps_the_index_true);
    tcase_add_test(tcase, copy_is_deep_and_whole);
    tcase_add_test(tcase, equality_is_of_meaning);
    tcase_add_test(tcase, marks_are_found_below);
    tcase_add_test(tcase, short_cuts_read_documents);
    tcase_add_test(tcase, content_of_bytes_reads_back);
    tcase_add_test(tcase, content_that_ends_early_or_lies_is_an_error);
    return suite;
}
