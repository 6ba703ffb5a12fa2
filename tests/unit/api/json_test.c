// SPDX-License-Identifier: Apache-2.0
#include "api_tests.h"

#include <jansson.h>
#include <stdlib.h>

/* --- jansson as the oracle ------------------------------------------------------------ */
static bool same(const struct kilter_value *value, const json_t *other);

static bool same_scalar(const struct kilter_value *value, const json_t *other)
{
    struct kilter_scalar scalar;
    ck_assert_int_eq(kilter_resolve(value, KILTER_SCHEMA_JSON, &scalar), 0);
    switch (scalar.kind) {
    case KILTER_NULL:
        return json_is_null(other);
    case KILTER_BOOL:
        return json_is_boolean(other) && json_is_true(other) == scalar.as.boolean;
    case KILTER_INT:
        return json_is_integer(other) ? json_integer_value(other) == scalar.as.integer
                                      : json_real_value(other) == (double)scalar.as.integer;
    case KILTER_STRING:
        return json_is_string(other) && scalar.text.len == json_string_length(other) &&
               memcmp(scalar.text.ptr, json_string_value(other), scalar.text.len) == 0;
    default:
        return json_is_number(other);
    }
}

static bool same_list(const struct kilter_value *list, const json_t *other)
{
    bool equal = json_is_array(other) && json_array_size(other) == kilter_list_size(list);
    for (size_t i = 0; equal && i < kilter_list_size(list); i++)
        equal = same(kilter_list_at(list, i), json_array_get(other, i));
    return equal;
}

static bool same_map(const struct kilter_value *map, const json_t *other)
{
    bool equal = json_is_object(other) && json_object_size(other) == kilter_map_size(map);
    for (size_t i = 0; equal && i < kilter_map_size(map); i++) {
        const json_t *item = json_object_get(other, kilter_text(kilter_map_key_at(map, i)).ptr);
        equal = item && same(kilter_map_at(map, i), item);
    }
    return equal;
}

static bool same(const struct kilter_value *value, const json_t *other)
{
    if (kilter_type_of(value) == KILTER_LIST)
        return same_list(value, other);
    return kilter_type_of(value) == KILTER_MAP ? same_map(value, other) : same_scalar(value, other);
}

static const char *const right[] = {
    "null",
    "true",
    "false",
    "0",
    "-0",
    "12",
    "-12",
    "1.5",
    "1e3",
    "1E+3",
    "1.5e-7",
    "\"\"",
    "\"text\"",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
    "\"\\u0041\\u00e9\\u20ac\"",
    "\"\\ud83d\\ude00\"",
    "\"\xc3\xa9\xf0\x9f\x98\x80\"",
    "[]",
    "{}",
    "[1,[2,[3,[]]],{}]",
    " [ 1 , 2 ]\n",
    "{\"a\":1,\"b\":{\"c\":[true,false,null]}}",
    "\t{ \"a\" :\r\n 1 }",
    "9223372036854775807",
    "-9223372036854775808",
    "{\"\":\"\"}",
    "\"\x7f\"",
    "{\"a\":{\"a\":{\"a\":1}}}",
    "[\"\\u001f\"]",
};

START_TEST(right_json_is_read_as_jansson_does)
{
    json_error_t error;
    json_t *oracle = json_loads(right[_i], JSON_DECODE_ANY, &error);
    ck_assert_ptr_nonnull(oracle);
    struct kilter_value *value = api_json(right[_i]);
    ck_assert_msg(same(value, oracle), "%s", right[_i]);
    /* and written again, jansson reads the same, in every form */
    for (uint32_t flags = 0; flags < 8; flags++) {
        struct kilter_buf out = KILTER_BUF_INIT(10000);
        ck_assert_int_eq(kilter_json_write(&out, value, KILTER_SCHEMA_JSON, flags), 0);
        json_t *again = json_loads(out.ptr, JSON_DECODE_ANY, &error);
        ck_assert_msg(again && json_equal(oracle, again), "%s became %s", right[_i], out.ptr);
        json_decref(again);
        kilter_buf_release(&out);
    }
    json_decref(oracle);
}
END_TEST

struct refusal {
    const char *json, *code;
    uint32_t line, column;
    const char *part;
};

static const struct refusal refusals[] = {
    { "", "json.syntax", 1, 1, "expected a value" },
    { " \n ", "json.syntax", 2, 2, "end of the text" },
    { "[1,]", "json.syntax", 1, 4, "remove the comma" },
    { "{\"a\":1,}", "json.syntax", 1, 8, "remove the comma" },
    { "[1 2]", "json.syntax", 1, 4, "expected \",\" or \"]\"" },
    { "{\"a\" 1}", "json.syntax", 1, 6, "expected \":\"" },
    { "{\"a\":1 \"b\":2}", "json.syntax", 1, 8, "expected \",\" or \"}\"" },
    { "{a: 1}", "json.syntax", 1, 2, "double quotes" },
    { "{'a': 1}", "json.syntax", 1, 2, "double quotes" },
    { "['a']", "json.syntax", 1, 2, "double quotes" },
    { "// c\n1", "json.syntax", 1, 1, "comments" },
    { "1 // c", "json.syntax", 1, 3, "nothing more" },
    { "1 2", "json.syntax", 1, 3, "nothing more" },
    { "01", "json.syntax", 1, 1, "no JSON number" },
    { "+1", "json.syntax", 1, 1, "no JSON number" },
    { ".5", "json.syntax", 1, 1, "no JSON number" },
    { "1.", "json.syntax", 1, 1, "no JSON number" },
    { "1e", "json.syntax", 1, 1, "no JSON number" },
    { "-", "json.syntax", 1, 1, "no JSON number" },
    { "0x10", "json.syntax", 1, 1, "no JSON number" },
    { "NaN", "json.syntax", 1, 1, "expected a value" },
    { "True", "json.syntax", 1, 1, "perhaps true" },
    { "nul", "json.syntax", 1, 1, "perhaps null" },
    { "\"abc", "json.syntax", 1, 5, "no closing quote" },
    { "\"a\nb\"", "json.syntax", 1, 3, "control character" },
    { "\"a\tb\"", "json.syntax", 1, 3, "control character" },
    { "\"\\q\"", "json.syntax", 1, 3, "unknown escape" },
    { "\"\\u12g4\"", "json.syntax", 1, 6, "four hexadecimal" },
    { "\"\\ud800\"", "json.syntax", 1, 8, "surrogate" },
    { "\"\\ud800\\u0041\"", "json.syntax", 1, 14, "surrogate" },
    { "\"\\udc00\"", "json.syntax", 1, 8, "surrogate" },
    { "\"\\", "json.syntax", 1, 3, "escape" },
    { "[", "json.syntax", 1, 2, "end of the text" },
    { "{\"a\":", "json.syntax", 1, 6, "end of the text" },
    { "{\"a\":1,\n\"a\":2}", "json.duplicate-key", 2, 1, "first on line 1" },
    { "{\"a\":1,\"\\u0061\":2}", "json.duplicate-key", 1, 8, "\"a\"" },
    { "\"\xff\"", "json.encoding", 1, 2, "0xff" },
    { "\"\xc3\xa9\xed\xa0\x80\"", "json.encoding", 1, 3, "UTF-8" },
    { "\xef\xbb\xbf"
      "1",
      "json.syntax", 1, 1, "expected a value" },
    { "]", "json.syntax", 1, 1, "expected a value" },
};

START_TEST(wrong_json_is_refused_with_place_and_reason)
{
    const struct refusal *c = &refusals[_i];
    struct kilter_value *value = NULL;
    ck_assert_int_eq(kilter_json_read(arena, kilter_str_c(c->json), NULL, &value, diags), KILTER_E_INVALID);
    ck_assert_ptr_null(value);
    const struct kilter_diag *diag = kilter_diags_at(diags, 0);
    const char *shown = api_diags();
    ck_assert_msg(kilter_str_eq_c(diag->code, c->code), "%s: %s", c->json, shown);
    ck_assert_msg(diag->origin.line == c->line && diag->origin.column == c->column, "%s: %s", c->json, shown);
    ck_assert_msg(strstr(shown, c->part), "%s: %s", c->json, shown);
}
END_TEST

START_TEST(numbers_keep_their_text)
{
    static const char text[] = "[1.0,1e3,-0,0.10,123456789012345678901234567890,1E400]";
    struct kilter_buf out = KILTER_BUF_INIT(1000);
    ck_assert_int_eq(kilter_json_write(&out, api_json(text), KILTER_SCHEMA_JSON, 0), 0);
    ck_assert_view_eq(kilter_buf_view(&out), text);
    kilter_buf_release(&out);
}
END_TEST

START_TEST(yaml_numbers_become_json_numbers)
{
    ck_assert_str_eq(api_to_json(api_yaml("[0x10, 0777, 1_000, +5, .5, 1., 08, .inf, -.INF, .nan]")),
                     "[16,511,1000,5,0.5,1,8,\".inf\",\"-.INF\",\".nan\"]");
}
END_TEST

START_TEST(json_has_forms_for_programs_and_people)
{
    struct kilter_value *value = api_json("{\"b\":[1,{}],\"a\":{\"x\":[]}}");
    struct kilter_buf out = KILTER_BUF_INIT(1000);
    kilter_json_write(&out, value, KILTER_SCHEMA_JSON, KILTER_WRITE_PRETTY | KILTER_WRITE_SORTED);
    ck_assert_view_eq(kilter_buf_view(&out),
                      "{\n  \"a\": {\n    \"x\": []\n  },\n  \"b\": [\n    1,\n    {}\n  ]\n}");
    kilter_buf_release(&out);
    ck_assert_str_eq(api_to_json(kilter_string_c(arena, "a\"\\\n\t\x01\x7f\xc3\xa9/")),
                     "\"a\\\"\\\\\\n\\t\\u0001\x7f\xc3\xa9/\"");
}
END_TEST

static int read_limited(const char *text, struct kilter_parse_options options)
{
    struct kilter_value *value = NULL;
    int status = kilter_json_read(arena, kilter_str_c(text), &options, &value, diags);
    ck_assert(status == 0 || kilter_str_eq_c(kilter_diags_at(diags, 0)->code, "json.limit"));
    return status;
}

START_TEST(json_budgets_hold)
{
    struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
    options.max_bytes = 3;
    ck_assert_int_eq(read_limited("123", options), 0);
    ck_assert_int_eq(read_limited("1234", options), KILTER_E_LIMIT);
    options = (struct kilter_parse_options)KILTER_PARSE_OPTIONS_INIT;
    options.max_depth = 2;
    ck_assert_int_eq(read_limited("[[1]]", options), 0);
    kilter_diags_clear(diags);
    ck_assert_int_eq(read_limited("[[{}]]", options), KILTER_E_LIMIT);
    options.max_nodes = 4;
    ck_assert_int_eq(read_limited("[1,2,3]", options), 0);
    kilter_diags_clear(diags);
    ck_assert_int_eq(read_limited("[1,2,3,4]", options), KILTER_E_LIMIT);
    options = (struct kilter_parse_options)KILTER_PARSE_OPTIONS_INIT;
    options.flags = KILTER_PARSE_LAST_KEY_WINS;
    ck_assert_int_eq(read_limited("{\"a\":1,\"a\":2}", options), 0);
}
END_TEST

START_TEST(long_line_is_read_in_time)
{
    struct kilter_buf text = KILTER_BUF_INIT(16 << 20);
    kilter_buf_char(&text, '[');
    for (int i = 0; i < 300000; i++)
        kilter_buf_c(&text, "\"some text\",");
    kilter_buf_c(&text, "1]");
    struct kilter_value *list = api_json(text.ptr);
    ck_assert_uint_eq(kilter_origin_of(kilter_list_at(list, 300000)).column, 300000 * 12 + 2);
    kilter_buf_release(&text);
}
END_TEST

Suite *api_json_suite(void)
{
    Suite *suite = suite_create("json");
    TCase *tcase = api_case(suite, "json");
    tcase_add_loop_test(tcase, right_json_is_read_as_jansson_does, 0, sizeof right / sizeof right[0]);
    tcase_add_loop_test(tcase, wrong_json_is_refused_with_place_and_reason, 0,
                        sizeof refusals / sizeof refusals[0]);
    tcase_add_test(tcase, numbers_keep_their_text);
    tcase_add_test(tcase, yaml_numbers_become_json_numbers);
    tcase_add_test(tcase, json_has_forms_for_programs_and_people);
    tcase_add_test(tcase, json_budgets_hold);
    tcase_add_test(tcase, long_line_is_read_in_time);
    return suite;
}
