// SPDX-License-Identifier: Apache-2.0
#include "api_tests.h"

#include <stdio.h>

/* --- what is read ----------------------------------------------------------------- */
struct read_case {
    const char *yaml, *json; /* each document in JSON, one after another */
};

static const struct read_case reads[] = {
    { "", "" },
    { "# only a comment\n", "" },
    { "---\n---\n--- a\n", "\"a\"" },
    { "a: 1\n---\nb: 2\n...\n---\n- c\n", "{\"a\":1}{\"b\":2}[\"c\"]" },
    { "\xef\xbb\xbf"
      "a: 1\n",
      "{\"a\":1}" },
    { "a: 1\r\nb: |\r\n  x\r\n  y\r\n", "{\"a\":1,\"b\":\"x\\ny\\n\"}" },
    { "a:\n- 1\n- - 2\n  - 3\n", "{\"a\":[1,[2,3]]}" },
    { "{a: [1, {b: c}], \"d\": }", "{\"a\":[1,{\"b\":\"c\"}],\"d\":null}" },
    { "a: >-\n  one\n  two\n\n  three\n", "{\"a\":\"one two\\nthree\"}" },
    { "a: |+\n  x\n\n", "{\"a\":\"x\\n\\n\"}" },
    { "a: \"\\x41\\u00e9\\U0001F600\\n\\\n  b\"", "{\"a\":\"A\xc3\xa9\xf0\x9f\x98\x80\\nb\"}" },
    { "a: 'it''s'", "{\"a\":\"it's\"}" },
    { "a: &x 1\nb: *x\n", "{\"a\":1,\"b\":1}" },
    { "a: &x {q: [1]}\nb: *x\n", "{\"a\":{\"q\":[1]},\"b\":{\"q\":[1]}}" },
    { "- &x 1\n- &x 2\n- *x\n", "[1,2,2]" },
    { "&k key: 1\nother: *k\n", "{\"key\":1,\"other\":\"key\"}" },
    { "a: &k v\n*k : 1\n", "{\"a\":\"v\",\"v\":1}" },
    { "base: &b {x: 1, v: 2}\nm:\n  v: 3\n  <<: *b\n", "{\"base\":{\"x\":1,\"v\":2},\"m\":{\"v\":3,\"x\":1}}" },
    { "a: &a {x: 1}\nb: &b {x: 2, v: 2}\nm: {<<: [*a, *b], z: 3}\n",
      "{\"a\":{\"x\":1},\"b\":{\"x\":2,\"v\":2},\"m\":{\"z\":3,\"x\":1,\"v\":2}}" },
    { "m: {<<: {x: 1}, x: 2}", "{\"m\":{\"x\":2}}" },
    { "m: {\"<<\": 1}", "{\"m\":{\"<<\":1}}" },
    { "a: &a {<<: {x: 1}}\nb: {<<: *a}", "{\"a\":{\"x\":1},\"b\":{\"x\":1}}" },
    { "? a\n: b\n", "{\"a\":\"b\"}" },
    { "%YAML 1.2\n---\na: 1\n", "{\"a\":1}" },
    { "text", "\"text\"" },
    { "~", "null" },
    { "a: !!binary aGk=", "{\"a\":\"hi\"}" },
    { "yes: no", "{\"true\":false}" },
    { "0x10: 1.0", "{\"16\":1.0}" },
};

START_TEST(yaml_is_read)
{
    struct kilter_buf out = KILTER_BUF_INIT(10000);
    struct kilter_value *documents = api_documents(reads[_i].yaml);
    for (size_t i = 0; i < kilter_list_size(documents); i++)
        kilter_buf_c(&out, api_to_json(kilter_list_at(documents, i)));
    ck_assert_view_eq(kilter_buf_view(&out), reads[_i].json);
    ck_assert_uint_eq(kilter_diags_count(diags), 0);
    kilter_buf_release(&out);
}
END_TEST

START_TEST(styles_tags_and_positions_are_kept)
{
    struct kilter_value *map = api_yaml("plain: a\nsingle: 'a'\ndouble: \"a\"\nliteral: |\n  a\nfolded: >\n  a\n"
                                        "flow: [1]\nblock:\n  - !own \xc3\xa9\xc3\xa9\n  - !!str x\n");
    ck_assert_int_eq(kilter_style_of(kilter_get(map, "plain")), KILTER_STYLE_PLAIN);
    ck_assert_int_eq(kilter_style_of(kilter_get(map, "single")), KILTER_STYLE_SINGLE_QUOTED);
    ck_assert_int_eq(kilter_style_of(kilter_get(map, "double")), KILTER_STYLE_DOUBLE_QUOTED);
    ck_assert_int_eq(kilter_style_of(kilter_get(map, "literal")), KILTER_STYLE_LITERAL);
    ck_assert_int_eq(kilter_style_of(kilter_get(map, "folded")), KILTER_STYLE_FOLDED);
    ck_assert_int_eq(kilter_style_of(kilter_get(map, "flow")), KILTER_STYLE_FLOW);
    ck_assert_int_eq(kilter_style_of(kilter_get(map, "block")), KILTER_STYLE_BLOCK);
    struct kilter_value *own = kilter_list_at(kilter_get(map, "block"), 0);
    ck_assert_view_eq(kilter_tag_of(own), "!own");
    ck_assert_view_eq(kilter_tag_of(kilter_list_at(kilter_get(map, "block"), 1)), "!!str");
    ck_assert_uint_eq(kilter_origin_of(own).line, 10);
    ck_assert_uint_eq(kilter_origin_of(own).column, 5);
    ck_assert_uint_eq(kilter_origin_of(kilter_map_key_at(map, 1)).line, 2);
    ck_assert_uint_eq(kilter_origin_of(kilter_map_key_at(map, 1)).column, 1);
}
END_TEST

START_TEST(file_and_first_line_are_in_positions)
{
    struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
    struct kilter_value *documents = NULL;
    options.file = KILTER_STR("dir/f.yaml");
    options.first_line = 40;
    ck_assert_int_eq(kilter_yaml_read(arena, KILTER_STR("a:\n  b: 1\n"), &options, &documents, diags), 0);
    struct kilter_origin origin = kilter_origin_of(kilter_get(kilter_get(kilter_list_at(documents, 0), "a"), "b"));
    ck_assert_view_eq(origin.file, "dir/f.yaml");
    ck_assert_uint_eq(origin.line, 41);
    ck_assert_uint_eq(origin.column, 6);
    ck_assert_int_lt(kilter_yaml_read(arena, KILTER_STR("a: 1\na: 2\n"), &options, &documents, diags), 0);
    ck_assert_str_eq(api_diags(), "dir/f.yaml:41:1: error: key \"a\" is there twice, first on line 40 "
                                  "[yaml.duplicate-key]\n    remove one of the two\n");
}
END_TEST

START_TEST(aliases_are_copies)
{
    struct kilter_value *map = api_yaml("a: &x {n: 1}\nb: *x\n");
    kilter_set(arena, kilter_get(map, "a"), "n", kilter_int(arena, 2));
    ck_assert_view_eq(kilter_text(kilter_get(kilter_get(map, "b"), "n")), "1");
}
END_TEST

START_TEST(anchors_end_with_their_document)
{
    struct kilter_value *documents = NULL;
    ck_assert_int_eq(kilter_yaml_read(arena, KILTER_STR("a: &x 1\n---\nb: *x\n"), NULL, &documents, diags),
                     KILTER_E_INVALID);
}
END_TEST

START_TEST(last_key_wins_where_asked)
{
    struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
    struct kilter_value *documents = NULL;
    options.flags = KILTER_PARSE_LAST_KEY_WINS;
    ck_assert_int_eq(kilter_yaml_read(arena, KILTER_STR("a: 1\nb: 2\na: 3\n"), &options, &documents, diags), 0);
    ck_assert_str_eq(api_to_json(kilter_list_at(documents, 0)), "{\"a\":3,\"b\":2}");
    ck_assert_uint_eq(kilter_diags_count(diags), 0);
}
END_TEST

START_TEST(duplicates_are_found_in_large_maps)
{
    struct kilter_buf text = KILTER_BUF_INIT(1 << 20);
    struct kilter_value *documents = NULL;
    for (int i = 0; i < 5000; i++)
        kilter_buf_printf(&text, "key%d: %d\n", i, i);
    kilter_buf_c(&text, "key4321: again\nkey0: again\n");
    ck_assert_int_eq(kilter_yaml_read(arena, kilter_buf_view(&text), NULL, &documents, diags), KILTER_E_INVALID);
    ck_assert_uint_eq(kilter_diags_count(diags), 2);
    ck_assert_uint_eq(kilter_diags_at(diags, 0)->origin.line, 5001);
    kilter_buf_release(&text);
}
END_TEST

/* --- what is refused ---------------------------------------------------------------- */
struct refusal {
    const char *yaml, *code;
    uint32_t line, column;
    const char *part; /* of the message or hint */
};

static const struct refusal refusals[] = {
    { "a: b: c\n", "yaml.syntax", 1, 5, "\":\" is not expected" },
    { "a: 1\n b: 2\n", "yaml.syntax", 2, 3, "indentation" },
    { "a:\n\tb: 1\n", "yaml.tab", 2, 1, "tab" },
    { "a:\n  b: 1\n\tc: 2\n", "yaml.tab", 3, 1, "blanks" },
    { "key\nother: 1\n", "yaml.syntax", 2, 6, "the line before it for a missing \":\"" },
    { "a: 1\n\"key\"\nother: 1\n", "yaml.syntax", 2, 1, "expected \":\" after this key" },
    { "a: [1, 2\nb: 3\n", "yaml.syntax", 2, 2, "\"]\" in the list that begins on line 1" },
    { "a: {b: 1\nc: 2\n", "yaml.syntax", 2, 2, "\"}\" in the map that begins on line 1" },
    { "a: 'no end\nb: 1\n", "yaml.syntax", 1, 4, "no closing quote" },
    { "a: \"no end\n---\n", "yaml.syntax", 1, 4, "no closing quote" },
    { "a: \"\\q\"\n", "yaml.syntax", 1, 5, "backslash twice" },
    { "a: \"\\xzz\"\n", "yaml.syntax", 1, 7, "hexadecimal" },
    { "a: @home\n", "yaml.syntax", 1, 4, "begin with \"@\"" },
    { "a: `x`\n", "yaml.syntax", 1, 4, "quotes" },
    { "a: - b\n", "yaml.syntax", 1, 4, "list item" },
    { "a: \"x\" y\n", "yaml.syntax", 1, 8, "expected a key" },
    { "- a\nb: 1\n", "yaml.syntax", 2, 1, "expected \"- \"" },
    { "a: |x\n  y\n", "yaml.syntax", 1, 5, "end of the line" },
    { "a: *nope\n", "yaml.alias", 1, 4, "no anchor" },
    { "a: &name 1\nb: *nam\n", "yaml.alias", 2, 4, "did you mean \"*name\"?" },
    { "a: &x [*x]\n", "yaml.alias", 1, 8, "inside of what it names" },
    { "a: 1\nb: 2\na: 3\n", "yaml.duplicate-key", 3, 1, "first on line 1" },
    { "a: {x: 1, x: 2}\n", "yaml.duplicate-key", 1, 11, "\"x\"" },
    { "m: {<<: 1}\n", "yaml.merge", 1, 9, "map or a list of maps" },
    { "m: {<<: [{a: 1}, 2]}\n", "yaml.merge", 1, 9, "map or a list of maps" },
    { "m: {<<: {a: 1}, <<: {b: 1}}\n", "yaml.duplicate-key", 1, 17, "\"<<\" is there twice" },
    { "{a: 1}: b\n", "yaml.key", 1, 1, "key must be a text" },
    { "x: {{ template }}\n", "yaml.key", 1, 5, "quotes" },
    { "a: !x!y z\n", "yaml.tag", 1, 4, "not declared" },
    { "a: b\xff\n", "yaml.encoding", 1, 5, "0xff" },
    { "a: b\n\n\x01\n", "yaml.encoding", 3, 1, "U+0001" },
    { "a: %x\n", "yaml.syntax", 1, 4, "begin with \"%\"" },
};

static void check_refusal(const struct refusal *c)
{
    struct kilter_value *documents = NULL;
    int status = kilter_yaml_read(arena, kilter_str_c(c->yaml), NULL, &documents, diags);
    ck_assert_int_eq(status, KILTER_E_INVALID);
    ck_assert_ptr_null(documents);
    const struct kilter_diag *diag = kilter_diags_at(diags, 0);
    const char *shown = api_diags();
    ck_assert_msg(kilter_str_eq_c(diag->code, c->code), "%s: %s", c->yaml, shown);
    ck_assert_msg(diag->origin.line == c->line && diag->origin.column == c->column, "%s: %s", c->yaml, shown);
    ck_assert_msg(strstr(shown, c->part), "%s: %s", c->yaml, shown);
}

START_TEST(wrong_yaml_is_refused_with_place_and_reason)
{
    check_refusal(&refusals[_i]);
}
END_TEST

START_TEST(all_problems_of_a_file_are_told_at_once)
{
    struct kilter_value *documents = NULL;
    const char *text = "a: 1\na: 2\nb: *x\n---\nc: [1\n---\nd: 1\nd: 2\n---\ne: f: g\n";
    ck_assert_int_eq(kilter_yaml_read(arena, kilter_str_c(text), NULL, &documents, diags), KILTER_E_INVALID);
    ck_assert_uint_eq(kilter_diags_count(diags), 5);
    static const uint32_t lines[] = { 3, 2, 6, 8, 10 };
    for (size_t i = 0; i < 5; i++)
        ck_assert_msg(kilter_diags_at(diags, i)->origin.line == lines[i], "%s", api_diags());
}
END_TEST

/* --- budgets --------------------------------------------------------------------------- */
static int read_limited(const char *text, struct kilter_parse_options options)
{
    struct kilter_value *documents = NULL;
    int status = kilter_yaml_read(arena, kilter_str_c(text), &options, &documents, diags);
    ck_assert(status == 0 || kilter_str_eq_c(kilter_diags_at(diags, 0)->code, "yaml.limit"));
    return status;
}

START_TEST(budgets_of_bytes_depth_and_nodes_hold)
{
    struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
    options.max_bytes = 5;
    ck_assert_int_eq(read_limited("a: 1\n", options), 0);
    ck_assert_int_eq(read_limited("a: 12\n", options), KILTER_E_LIMIT);
    options = (struct kilter_parse_options)KILTER_PARSE_OPTIONS_INIT;
    options.max_depth = 2;
    ck_assert_int_eq(read_limited("[[1]]", options), 0);
    kilter_diags_clear(diags);
    ck_assert_int_eq(read_limited("[[[1]]]", options), KILTER_E_LIMIT);
    ck_assert_uint_eq(kilter_diags_at(diags, 0)->origin.column, 3);
    kilter_diags_clear(diags);
    options.max_nodes = 5;
    ck_assert_int_eq(read_limited("[1, 2, 3, 4]", options), 0);
    ck_assert_int_eq(read_limited("[1, 2, 3, 4, 5]", options), KILTER_E_LIMIT);
}
END_TEST

START_TEST(default_depth_is_200_and_never_above_1000)
{
    struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
    char text[2001];
    memset(text, '[', 1000);
    memset(text + 1000, ']', 1000);
    text[2000] = 0;
    ck_assert_int_eq(read_limited(text, options), KILTER_E_LIMIT);
    ck_assert_uint_eq(kilter_diags_at(diags, 0)->origin.column, 201);
    kilter_diags_clear(diags);
    options.max_depth = 100000;
    ck_assert_int_eq(read_limited(text, options), 0);
}
END_TEST

START_TEST(billion_laughs_stay_few)
{
    struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
    struct kilter_buf text = KILTER_BUF_INIT(1 << 20);
    kilter_buf_c(&text, "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for (int i = 1; i < 10; i++) {
        kilter_buf_printf(&text, "a%d: &a%d [", i, i);
        for (int j = 0; j < 9; j++)
            kilter_buf_printf(&text, "%s*a%d", j ? ", " : "", i - 1);
        kilter_buf_c(&text, "]\n");
    }
    ck_assert_int_eq(read_limited(text.ptr, options), KILTER_E_LIMIT);
    ck_assert_uint_lt(kilter_arena_size(arena), 64 << 20);
    kilter_buf_release(&text);
    kilter_diags_clear(diags);
    options.max_alias_nodes = 3;
    ck_assert_int_eq(read_limited("a: &x [1]\nb: *x\nc: 1\n", options), 0);
    ck_assert_int_eq(read_limited("a: &x [1]\nb: *x\nc: *x\n", options), KILTER_E_LIMIT);
}
END_TEST

START_TEST(many_anchors_are_found_in_time)
{
    struct kilter_buf text = KILTER_BUF_INIT(8 << 20);
    struct kilter_value *documents = NULL;
    for (int i = 0; i < 90000; i++)
        kilter_buf_printf(&text, "- &n%d %d\n", i, i);
    for (int i = 0; i < 90000; i++)
        kilter_buf_printf(&text, "- *n%d\n", i);
    ck_assert_int_eq(kilter_yaml_read(arena, kilter_buf_view(&text), NULL, &documents, diags), 0);
    ck_assert_view_eq(kilter_text(kilter_list_at(kilter_list_at(documents, 0), 90005)), "5");
    kilter_buf_release(&text);
}
END_TEST

START_TEST(options_of_an_older_header_are_read_as_far_as_they_go)
{
    struct kilter_parse_options options;
    memset(&options, 0xff, sizeof options);
    options.size = offsetof(struct kilter_parse_options, first_line);
    options.file = KILTER_STR("old");
    struct kilter_value *documents = NULL;
    ck_assert_int_eq(kilter_yaml_read(arena, KILTER_STR("a: 1\na: 2\n"), &options, &documents, diags),
                     KILTER_E_INVALID);
    ck_assert_uint_eq(kilter_diags_at(diags, 0)->origin.line, 2);
}
END_TEST

Suite *api_yaml_read_suite(void)
{
    Suite *suite = suite_create("yaml-read");
    TCase *tcase = api_case(suite, "yaml-read");
    tcase_add_loop_test(tcase, yaml_is_read, 0, sizeof reads / sizeof reads[0]);
    tcase_add_test(tcase, styles_tags_and_positions_are_kept);
    tcase_add_test(tcase, file_and_first_line_are_in_positions);
    tcase_add_test(tcase, aliases_are_copies);
    tcase_add_test(tcase, anchors_end_with_their_document);
    tcase_add_test(tcase, last_key_wins_where_asked);
    tcase_add_test(tcase, duplicates_are_found_in_large_maps);
    tcase_add_loop_test(tcase, wrong_yaml_is_refused_with_place_and_reason, 0,
                        sizeof refusals / sizeof refusals[0]);
    tcase_add_test(tcase, all_problems_of_a_file_are_told_at_once);
    tcase_add_test(tcase, budgets_of_bytes_depth_and_nodes_hold);
    tcase_add_test(tcase, default_depth_is_200_and_never_above_1000);
    tcase_add_test(tcase, billion_laughs_stay_few);
    tcase_add_test(tcase, many_anchors_are_found_in_time);
    tcase_add_test(tcase, options_of_an_older_header_are_read_as_far_as_they_go);
    return suite;
}
