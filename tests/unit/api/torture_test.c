// SPDX-License-Identifier: Apache-2.0
/* Everything again with an arena or buffer of every small size: no crash, and no success that is not whole. */
#include "api_tests.h"

static const char yaml_text[] =
    "a: &x {n: [1, 2, 'three'], t: !own v}\nb: *x\nm: {<<: *x, k: \"e\\n\"}\n"
    "long: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]\n"
    "---\nmany: {a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7, h: 8, i: 9, j: 1, k: 2, l: 3, "
    "m: 4, n: 5, o: 6, p: 7, q: 8, r: 9}\n";
static const char json_text[] = "{\"a\":[1,2,{\"b\":\"\\u0041text\"}],\"c\":null,\"d\":[[],{}]}";

#define STEPS 1200
#define STEP 24

static size_t whole_yaml(size_t max)
{
    struct kilter_arena *small = kilter_arena_new(max);
    struct kilter_value *documents = NULL, *copy;
    size_t done = 0;
    int status = kilter_yaml_read(small, kilter_str_c(yaml_text), NULL, &documents, NULL);
    ck_assert(status == 0 || status == KILTER_E_NOMEM);
    ck_assert(status == 0 ? kilter_list_size(documents) == 2 : documents == NULL);
    done += status == 0;
    copy = status == 0 ? kilter_value_copy(small, documents) : NULL;
    ck_assert(!copy || kilter_value_equal(copy, documents, KILTER_SCHEMA_KUBERNETES));
    done += copy != NULL;
    ck_assert_uint_le(kilter_arena_size(small), max > 128 ? max : 128);
    kilter_arena_free(small);
    return done;
}

START_TEST(yaml_reads_whole_or_not_at_all)
{
    size_t done = 0;
    for (size_t i = 1; i < STEPS; i++) {
        size_t now = whole_yaml(i * STEP);
        ck_assert_uint_ge(now, done); /* what fits in less fits in more */
        done = now;
    }
    ck_assert_uint_eq(done, 2);
}
END_TEST

START_TEST(json_reads_whole_or_not_at_all)
{
    bool done = false;
    for (size_t i = 1; i < STEPS; i++) {
        struct kilter_arena *small = kilter_arena_new(i * STEP);
        struct kilter_value *value = NULL;
        int status = kilter_json_read(small, kilter_str_c(json_text), NULL, &value, NULL);
        ck_assert(status == 0 || status == KILTER_E_NOMEM);
        ck_assert(status == 0 ? kilter_map_size(value) == 3 : value == NULL);
        ck_assert(status == 0 || !done);
        done = status == 0;
        kilter_arena_free(small);
    }
    ck_assert(done);
}
END_TEST

/* Builds with every maker, unchecked until the end, as a careless plugin would. */
static int build(struct kilter_arena *small)
{
    struct kilter_value *map = kilter_map(small), *list = kilter_list(small);
    int status = map && list ? 0 : KILTER_E_NOMEM;
    for (int i = 0; i < 40 && status == 0; i++) {
        status = kilter_list_add(small, list, kilter_int(small, i));
        if (status == 0)
            status = kilter_map_set(small, map, kilter_str_c(kilter_arena_printf(small, "k%d", i)),
                                    kilter_string_c(small, "text"));
        ck_assert(status == 0 || status == KILTER_E_NOMEM);
    }
    if (status == 0)
        status = kilter_set(small, map, "list", list);
    if (status == 0)
        status =
            kilter_set(small, map, "c", kilter_content_value(small, kilter_content_bytes(small, KILTER_STR("x"))));
    if (status == 0)
        status = kilter_set(small, map, "s",
                            kilter_scalar_new(small, KILTER_STR("v"), KILTER_STR("!t"), KILTER_STYLE_PLAIN));
    return status;
}

START_TEST(building_fails_cleanly_at_every_size)
{
    bool done = false;
    for (size_t i = 1; i < STEPS; i++) {
        struct kilter_arena *small = kilter_arena_new(i * STEP);
        int status = build(small);
        ck_assert(status == 0 || status == KILTER_E_NOMEM);
        done = status == 0;
        kilter_arena_free(small);
    }
    ck_assert(done);
}
END_TEST

START_TEST(writers_stop_at_every_buffer_size)
{
    struct kilter_value *documents = api_documents(yaml_text);
    for (int form = 0; form < 3; form++) {
        for (size_t max = 0; max < 1000; max++) {
            struct kilter_buf out = KILTER_BUF_INIT(max);
            int status = form ? kilter_yaml_write(&out, documents, (enum kilter_yaml_form)form, 0)
                              : kilter_json_write(&out, documents, KILTER_SCHEMA_JSON, KILTER_WRITE_PRETTY);
            ck_assert(status == 0 || status == KILTER_E_LIMIT);
            ck_assert_uint_le(out.len, max);
            kilter_buf_release(&out);
        }
    }
}
END_TEST

START_TEST(parse_budgets_of_every_size_hold)
{
    struct kilter_value *documents;
    for (uint64_t i = 1; i < 120; i++) {
        struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
        options.max_nodes = i;
        int status = kilter_yaml_read(arena, kilter_str_c(yaml_text), &options, &documents, diags);
        ck_assert(status == 0 || status == KILTER_E_LIMIT);
        options.max_nodes = 0;
        options.max_alias_nodes = i;
        status = kilter_yaml_read(arena, kilter_str_c(yaml_text), &options, &documents, diags);
        ck_assert(status == 0 || status == KILTER_E_LIMIT);
    }
}
END_TEST

Suite *api_torture_suite(void)
{
    Suite *suite = suite_create("torture");
    TCase *tcase = api_case(suite, "torture");
    tcase_add_test(tcase, yaml_reads_whole_or_not_at_all);
    tcase_add_test(tcase, json_reads_whole_or_not_at_all);
    tcase_add_test(tcase, building_fails_cleanly_at_every_size);
    tcase_add_test(tcase, writers_stop_at_every_buffer_size);
    tcase_add_test(tcase, parse_budgets_of_every_size_hold);
    return suite;
}
