/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/codec.h"

#include <kilter/yaml.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/wire_tests.h"

static struct kilter_arena *arena;
static struct kilter_buf out;

static void set_up(void)
{
    arena = kilter_arena_new(0);
    out = (struct kilter_buf)KILTER_BUF_INIT(SIZE_MAX);
}

static void tear_down(void)
{
    kilter_buf_release(&out);
    kilter_arena_free(arena);
}

static int decode(const void *bytes, size_t len, struct kilter_value **ret)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    return kl_value_decode(arena, kilter_str_n(bytes, len), NULL, NULL, ret, &err);
}

static struct kilter_value *round_trip(const struct kilter_value *value)
{
    struct kilter_value *ret = NULL;
    kilter_buf_clear(&out);
    ck_assert_int_eq(kl_value_encode(&out, value), 0);
    ck_assert_int_eq(decode(out.ptr, out.len, &ret), 0);
    return ret;
}

/* Whether two values are the same in everything that one can ask of them. */
static void expect_same(const struct kilter_value *a, const struct kilter_value *b)
{
    ck_assert_int_eq(kilter_type_of(a), kilter_type_of(b));
    ck_assert_int_eq(kilter_style_of(a), kilter_style_of(b));
    ck_assert(kilter_str_eq(kilter_tag_of(a), kilter_tag_of(b)));
    ck_assert_int_eq(kilter_tag_of(a).ptr == NULL, kilter_tag_of(b).ptr == NULL);
    ck_assert(kilter_str_eq(kilter_setter_of(a), kilter_setter_of(b)));
    ck_assert_uint_eq(kilter_marks_of(a), kilter_marks_of(b));
    struct kilter_origin x = kilter_origin_of(a), y = kilter_origin_of(b);
    ck_assert(kilter_str_eq(x.file, y.file) && x.line == y.line && x.column == y.column);
    ck_assert(kilter_str_eq(kilter_text(a), kilter_text(b)));
    ck_assert_uint_eq(kilter_list_size(a), kilter_list_size(b));
    ck_assert_uint_eq(kilter_map_size(a), kilter_map_size(b));
    for (size_t i = 0; i < kilter_list_size(a); i++)
        expect_same(kilter_list_at(a, i), kilter_list_at(b, i));
    for (size_t i = 0; i < kilter_map_size(a); i++) {
        expect_same(kilter_map_key_at(a, i), kilter_map_key_at(b, i));
        expect_same(kilter_map_at(a, i), kilter_map_at(b, i));
    }
}

/* A document with every style, tag and kind of place. */
static struct kilter_value *document(void)
{
    static const char text[] =
        "plain: word\nsingle: 'quoted'\ndouble: \"q\\u00e4\"\nliteral: |\n  a\n  b\n"
        "folded: >\n  c\n  d\ntagged: !custom x\nnull: ~\nflow: {a: [1, 2.50, 0x10], b: {}}\n"
        "? 'quoted key'\n: [[], {}]\nempty: ''\nbig: 18446744073709551615\n";
    struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
    struct kilter_value *documents = NULL;
    options.file = KILTER_STR("apps/web.yaml");
    ck_assert_int_eq(kilter_yaml_read(arena, kilter_str_c(text), &options, &documents, NULL), 0);
    struct kilter_value *map = kilter_list_at(documents, 0);
    kilter_set_marks(kilter_get(map, "single"), KILTER_VALUE_SECRET);
    kilter_set_marks(kilter_get(map, "flow"), KILTER_VALUE_SECRET | KILTER_VALUE_UNKNOWN);
    kilter_set_setter(kilter_get(map, "plain"), KILTER_STR("overlays/prod"));
    kilter_set_origin(kilter_get(map, "double"), (struct kilter_origin){ KILTER_STR("other.yaml"), 7, 0 });
    kilter_set_origin(kilter_get(map, "empty"), (struct kilter_origin){ KILTER_STR(""), 0, 9 });
    return map;
}

START_TEST(everything_that_a_value_carries_goes_over)
{
    struct kilter_value *map = document();
    expect_same(map, round_trip(map));
}
END_TEST

START_TEST(made_values_go_over)
{
    struct kilter_value *list = kilter_list(arena);
    kilter_list_add(arena, list, kilter_null(arena));
    kilter_list_add(arena, list, kilter_bool(arena, true));
    kilter_list_add(arena, list, kilter_int(arena, INT64_MIN));
    kilter_list_add(arena, list, kilter_uint(arena, UINT64_MAX));
    kilter_list_add(arena, list, kilter_string(arena, KILTER_STR("nul \0 and \xff byte")));
    kilter_list_add(arena, list, kilter_string(arena, KILTER_STR("")));
    kilter_list_add(arena, list, kilter_list(arena));
    kilter_list_add(arena, list, kilter_map(arena));
    expect_same(list, round_trip(list));
    ck_assert(kilter_value_equal(list, round_trip(list), KILTER_SCHEMA_JSON));
}
END_TEST

START_TEST(equal_values_have_equal_bytes)
{
    struct kilter_value *again = round_trip(document());
    struct kilter_buf first = out;
    out = (struct kilter_buf)KILTER_BUF_INIT(SIZE_MAX);
    ck_assert_int_eq(kl_value_encode(&out, again), 0);
    ck_assert(kilter_str_eq(kilter_buf_view(&first), kilter_buf_view(&out)));
    kilter_buf_release(&first);
}
END_TEST

START_TEST(a_truncated_value_is_refused_at_each_byte)
{
    struct kilter_value *ret = NULL;
    ck_assert_int_eq(kl_value_encode(&out, document()), 0);
    for (size_t len = 0; len < out.len; len++) {
        char *exact = malloc(len + !len); /* so that a sanitizer sees a read beyond */
        memcpy(exact, out.ptr, len);
        ck_assert_int_eq(decode(exact, len, &ret), KILTER_E_INVALID);
        free(exact);
    }
    ck_assert_ptr_null(ret);
    kilter_buf_char(&out, '\0');
    ck_assert_int_eq(decode(out.ptr, out.len, &ret), KILTER_E_INVALID); /* and one byte too many */
}
END_TEST

START_TEST(a_flipped_byte_never_gives_a_value_that_is_written_otherwise)
{
    ck_assert_int_eq(kl_value_encode(&out, document()), 0);
    for (size_t at = 0; at < out.len; at++)
        for (int bit = 0; bit < 8; bit++) {
            struct kilter_value *ret = NULL;
            struct kilter_buf again = KILTER_BUF_INIT(SIZE_MAX);
            out.ptr[at] = (char)(out.ptr[at] ^ 1 << bit);
            if (decode(out.ptr, out.len, &ret) == 0) {
                ck_assert_int_eq(kl_value_encode(&again, ret), 0);
                ck_assert(kilter_str_eq(kilter_buf_view(&out), kilter_buf_view(&again)));
            }
            out.ptr[at] = (char)(out.ptr[at] ^ 1 << bit);
            kilter_buf_release(&again);
        }
}
END_TEST

static const struct {
    const char *name;
    struct kilter_str bytes;
} hostile[] = {
    { "nothing", KILTER_STR_INIT("") },
    { "no type", KILTER_STR_INIT("\x00\x00\x00") },
    { "an unknown type", KILTER_STR_INIT("\x05\x00\x00") },
    { "a scalar in block style", KILTER_STR_INIT("\x01\x06\x01x") },
    { "a list in literal style", KILTER_STR_INIT("\x02\x04\x00") },
    { "an unknown style", KILTER_STR_INIT("\x01\x63\x01x") },
    { "a text of 2^63 bytes", KILTER_STR_INIT("\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\x7f") },
    { "a number of 70 bits", KILTER_STR_INIT("\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f") },
    { "a number that never ends", KILTER_STR_INIT("\x01\x00\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01") },
    { "a number longer than it has to be", KILTER_STR_INIT("\x01\x00\x81\x00x") },
    { "a list of 2^32 items", KILTER_STR_INIT("\x02\x00\x80\x80\x80\x80\x10\x01\x00\x00") },
    { "a list of more items than bytes", KILTER_STR_INIT("\x02\x00\x02\x01\x00\x00") },
    { "a map of more entries than bytes", KILTER_STR_INIT("\x03\x00\x01\x01\x00\x01x") },
    { "a key that is a list", KILTER_STR_INIT("\x03\x00\x01\x02\x00\x00\x01\x00\x01x") },
    { "a key that is there twice",
      KILTER_STR_INIT("\x03\x00\x02\x01\x00\x01k\x01\x00\x00\x01\x00\x01k\x01\x00\x00") },
    { "marks that are none", KILTER_STR_INIT("\x81\x00\x00\x01x") },
    { "marks that are unknown", KILTER_STR_INIT("\x81\x00\x04\x01x") },
    { "an origin that says nothing", KILTER_STR_INIT("\x21\x00\x00\x00\x00\x01x") },
    { "an origin with an unknown flag", KILTER_STR_INIT("\x21\x00\x02\x01\x01\x01x") },
    { "an empty file that is named", KILTER_STR_INIT("\x21\x00\x01\x00\x01\x01\x01x") },
    { "a line beyond 32 bits", KILTER_STR_INIT("\x21\x00\x00\x80\x80\x80\x80\x10\x01\x01x") },
    { "a content without its length", KILTER_STR_INIT("\x04\x02id") },
    { "a tag that is empty", KILTER_STR_INIT("\x11\x00\x00\x01x") },
    { "a setter that is empty", KILTER_STR_INIT("\x41\x00\x00\x01x") },
    { "two values", KILTER_STR_INIT("\x01\x00\x00\x01\x00\x00") },
};

START_TEST(what_the_encoder_does_not_write_is_refused)
{
    struct kilter_value *ret = NULL;
    ck_assert_msg(decode(hostile[_i].bytes.ptr, hostile[_i].bytes.len, &ret) == KILTER_E_INVALID, "%s",
                  hostile[_i].name);
    ck_assert_ptr_null(ret);
}
END_TEST

START_TEST(depth_is_limited_on_both_sides)
{
    struct kilter_value *ret = NULL, *deep = kilter_list(arena);
    for (int i = 1; i < 200; i++) {
        struct kilter_value *outer = kilter_list(arena);
        kilter_list_add(arena, outer, deep);
        deep = outer;
    }
    expect_same(deep, round_trip(deep));

    struct kilter_value *outer = kilter_list(arena);
    kilter_list_add(arena, outer, deep);
    kilter_buf_clear(&out);
    ck_assert_int_eq(kl_value_encode(&out, outer), KILTER_E_LIMIT);

    kilter_buf_clear(&out);
    for (int i = 0; i < 300; i++)
        kilter_buf_append(&out, "\x02\x00\x01", 3);
    kilter_buf_append(&out, "\x02\x00\x00", 3);
    ck_assert_int_eq(decode(out.ptr, out.len, &ret), KILTER_E_LIMIT);
}
END_TEST

static struct kilter_content *resolve(void *data, struct kilter_arena *into, struct kilter_str id, uint64_t length)
{
    int *calls = data;
    ++*calls;
    ck_assert(kilter_str_starts(id, KILTER_STR("sha256:")));
    ck_assert_uint_eq(length, 5);
    return kilter_content_bytes(into, KILTER_STR("hello"));
}

START_TEST(contents_go_by_id_and_length_and_are_resolved_on_arrival)
{
    struct kilter_value *value = kilter_content_value(arena, kilter_content_bytes(arena, KILTER_STR("hello"))),
                        *ret = NULL;
    struct kilter_buf bytes = KILTER_BUF_INIT(100);
    struct kilter_error err = KILTER_ERROR_INIT;
    int calls = 0;
    ck_assert_int_eq(kl_value_encode(&out, value), 0);
    ck_assert_ptr_null(memmem(out.ptr, out.len, "hello", 5));

    ck_assert_int_eq(kl_value_decode(arena, kilter_buf_view(&out), resolve, &calls, &ret, &err), 0);
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(kilter_content_read_all(kilter_content_of(ret), &bytes, &err), 0);
    ck_assert(kilter_str_eq_c(kilter_buf_view(&bytes), "hello"));
    kilter_buf_release(&bytes);

    ck_assert_int_eq(decode(out.ptr, out.len, &ret), 0); /* nobody to resolve it: id and length stay */
    ck_assert(kilter_str_eq(kilter_content_of(ret)->id, kilter_content_of(value)->id));
    ck_assert_uint_eq(kilter_content_of(ret)->length, 5);
    ck_assert_int_eq(kilter_content_read_all(kilter_content_of(ret), &bytes, &err), KILTER_E_NOT_FOUND);
    kilter_buf_release(&bytes);
}
END_TEST

START_TEST(a_buffer_that_is_too_small_fails_and_an_arena_too)
{
    struct kilter_value *ret = NULL, *map = document();
    struct kilter_buf small = KILTER_BUF_INIT(20);
    ck_assert_int_eq(kl_value_encode(&small, map), KILTER_E_LIMIT);
    kilter_buf_release(&small);

    struct kilter_value *text = kilter_string(arena, kilter_str_n(kilter_arena_alloc(arena, 1 << 20), 1 << 20));
    struct kilter_arena *tight = kilter_arena_new(64 << 10);
    struct kilter_error err = KILTER_ERROR_INIT;
    ck_assert_int_eq(kl_value_encode(&out, text), 0);
    ck_assert_int_eq(kl_value_decode(tight, kilter_buf_view(&out), NULL, NULL, &ret, &err), KILTER_E_NOMEM);
    kilter_arena_free(tight);
}
END_TEST

START_TEST(the_file_of_origins_is_written_once)
{
    struct kilter_value *list = kilter_list(arena);
    for (uint32_t i = 0; i < 100; i++) {
        struct kilter_value *item = kilter_int(arena, 1);
        kilter_set_origin(item, (struct kilter_origin){ KILTER_STR("a/very/long/path/of/a/file.yaml"), i + 1, 1 });
        kilter_list_add(arena, list, item);
    }
    expect_same(list, round_trip(list));
    ck_assert_uint_lt(out.len, 1000);
}
END_TEST

Suite *codec_suite(void)
{
    Suite *suite = suite_create("codec");
    TCase *tests = tcase_create("codec");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, everything_that_a_value_carries_goes_over);
    tcase_add_test(tests, made_values_go_over);
    tcase_add_test(tests, equal_values_have_equal_bytes);
    tcase_add_test(tests, a_truncated_value_is_refused_at_each_byte);
    tcase_add_test(tests, a_flipped_byte_never_gives_a_value_that_is_written_otherwise);
    tcase_add_loop_test(tests, what_the_encoder_does_not_write_is_refused, 0, sizeof hostile / sizeof hostile[0]);
    tcase_add_test(tests, depth_is_limited_on_both_sides);
    tcase_add_test(tests, contents_go_by_id_and_length_and_are_resolved_on_arrival);
    tcase_add_test(tests, a_buffer_that_is_too_small_fails_and_an_arena_too);
    tcase_add_test(tests, the_file_of_origins_is_written_once);
    suite_add_tcase(suite, tests);
    return suite;
}
