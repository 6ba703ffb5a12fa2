// SPDX-License-Identifier: Apache-2.0
#include "api_tests.h"

/* Read, then written: what Kubernetes' own tools print for the same text. */
struct write_case {
    const char *yaml, *written;
};

static const struct write_case kustomize_cases[] = {
    { "b: 1\na: 2\n", "a: 2\nb: 1\n" },
    { "a:\n  - 1\n  - x: 1\n    y: 2\n  - - 3\n    - 4\n", "a:\n- 1\n- x: 1\n  \"y\": 2\n- - 3\n  - 4\n" },
    { "- - - 1\n", "- - - 1\n" },
    { "- a:\n    - 1\n", "- a:\n  - 1\n" },
    { "a: {}\nb: []\nc: ~\n", "a: {}\nb: []\nc: null\n" },
    { "{}", "{}\n" },
    { "[]", "[]\n" },
    { "text", "text\n" },
    { "[[], {}]", "- []\n- {}\n" },
    { "k10: 1\nk2: 1\nK: 1\n_: 1\n\"\": 1\na02: 1\na2: 1\na b: 1\n",
      "\"\": 1\n_: 1\nK: 1\na b: 1\na2: 1\na02: 1\nk2: 1\nk10: 1\n" },
    { "- 0x10\n- 0777\n- 1_000\n- +5\n- 1.0\n- 1.5e3\n- 1e20\n- 1234567.5\n- 1e-5\n- -0.0\n- "
      "18446744073709551615\n",
      "- 16\n- 511\n- 1000\n- 5\n- 1\n- 1500\n- 1e+20\n- 1.2345675e+06\n- 1e-05\n- 0\n- 18446744073709551615\n" },
    { "- 5e-324\n- 0.1\n- 123456.5\n- 0.0001\n- 1.7976931348623157e308\n",
      "- 5e-324\n- 0.1\n- 123456.5\n- 0.0001\n- 1.7976931348623157e+308\n" },
    { "- yes\n- 'true'\n- '1'\n- 'null'\n- '~'\n- ''\n- '1:20'\n- '2001-01-01'\n- '0b1'\n- '.5'\n",
      "- \"yes\"\n- \"true\"\n- \"1\"\n- \"null\"\n- \"~\"\n- \"\"\n- \"1:20\"\n- \"2001-01-01\"\n- \"0b1\"\n- "
      "\".5\"\n" },
    { "- '='\n- '<<'\n- '.'\n- '--'\n- '1e'\n- 5m\n- '-'\n- '- x'\n- 'a: b'\n- 'a #b'\n- ' x'\n- 'x '\n- '---'\n- "
      "'a:'\n",
      "- =\n- <<\n- .\n- --\n- 1e\n- 5m\n- '-'\n- '- x'\n- 'a: b'\n- 'a #b'\n- ' x'\n- 'x '\n- '---'\n- 'a:'\n" },
    { "- \"tab\\there\"\n- \"bell\\a\"\n- \"a \\nb\"\n- \"\\uFEFFab\"\n- \"\\U0001F600\"\n- "
      "\"caf\\u00e9\\u00a0\"\n",
      "- \"tab\\there\"\n- \"bell\\a\"\n- \"a \\nb\"\n- \"\\uFEFF\\x61\\x62\"\n- \"\\U0001F600\"\n- "
      "caf\xc3\xa9\xc2\xa0\n" },
    { "a: \"x\\ny\\n\"\nb: \"x\\ny\"\nc: \"x\\n\\n\"\nd: \"\\n x\"\n",
      "a: |\n  x\n  y\nb: |-\n  x\n  y\nc: |+\n  x\n\nd: |2-\n\n   x\n" },
    { "a: 2001-01-01\nb: 2001-01-01T01:02:03.50+01:00\n",
      "a: \"2001-01-01T00:00:00Z\"\nb: \"2001-01-01T01:02:03.5+01:00\"\n" },
    { "a: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb cccccc dddd\n",
      "a: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n  cccccc dddd\n" },
    { "? \"two\\nlines\"\n: 1\n", "? |-\n  two\n  lines\n: 1\n" },
    { "? \"two\\nlines\"\n: [1]\n", "? |-\n  two\n  lines\n: - 1\n" },
    { "a: !!binary aGk=\n", "a: hi\n" },
    { "'<<': {a: 1}\n", "\"<<\":\n  a: 1\n" }, /* not as go-yaml, which would read it as a merge */
    { "1: a\ntrue: b\n", "\"1\": a\n\"true\": b\n" },
};

START_TEST(kustomize_form_is_what_kustomize_prints)
{
    ck_assert_str_eq(api_to_yaml(api_yaml(kustomize_cases[_i].yaml)), kustomize_cases[_i].written);
}
END_TEST

static const struct write_case kubectl_cases[] = {
    { "- yes\n- 2001-01-01\n- 0o-7\n", "- true\n- \"2001-01-01\"\n- 0o-7\n" },
    { "1: a\n0x1: b\n2: c\n", "\"1\": b\n\"2\": c\n" }, /* one key as read: the last wins */
    { "yes: 1\n0x10: 2\n", "\"16\": 2\n\"true\": 1\n" },
};

START_TEST(kubectl_form_reads_plain_text_as_kubernetes_does)
{
    struct kilter_buf out = KILTER_BUF_INIT(1000);
    ck_assert_int_eq(kilter_yaml_write(&out, api_yaml(kubectl_cases[_i].yaml), KILTER_YAML_KUBECTL, 0), 0);
    ck_assert_view_eq(kilter_buf_view(&out), kubectl_cases[_i].written);
    kilter_buf_release(&out);
}
END_TEST

START_TEST(long_key_stands_behind_a_question_mark)
{
    struct kilter_value *map = kilter_map(arena);
    char key[130];
    memset(key, 'k', sizeof key);
    kilter_map_set(arena, map, kilter_str_n(key, 128), kilter_int(arena, 1));
    ck_assert(api_to_yaml(map)[0] == 'k');
    map = kilter_map(arena);
    kilter_map_set(arena, map, kilter_str_n(key, 129), kilter_int(arena, 1));
    ck_assert(memcmp(api_to_yaml(map), "? k", 3) == 0);
}
END_TEST

START_TEST(bytes_that_are_no_text_become_binary)
{
    struct kilter_value *map = kilter_map(arena);
    char bytes[100];
    memset(bytes, 0xff, sizeof bytes);
    kilter_set(arena, map, "a", kilter_string(arena, KILTER_STR("\xff\xfe")));
    ck_assert_str_eq(api_to_yaml(map), "a: !!binary //4=\n");
    ck_assert_str_eq(api_to_json(map), "{\"a\":\"\\ufffd\\ufffd\"}");
    kilter_set(arena, map, "a", kilter_string(arena, kilter_str_n(bytes, sizeof bytes)));
    const char *text = api_to_yaml(map);
    ck_assert(memcmp(text, "a: !!binary |\n  //", 18) == 0);
    struct kilter_value *again = kilter_get(api_yaml(text), "a");
    struct kilter_buf out = KILTER_BUF_INIT(1000);
    ck_assert_int_eq(kilter_base64_decode(&out, kilter_text(again)), 0);
    ck_assert_uint_eq(out.len, 100);
    kilter_buf_release(&out);
}
END_TEST

START_TEST(strings_are_quoted_where_they_would_be_read_as_something_else)
{
    static const char *const texts[] = { "1",    "true", "no",         "null", "",    "~",    "1.5",
                                         "0x1",  ".inf", "2001-01-01", "a",    "- a", "'",    "\"",
                                         "a\nb", "a\n",  " a",         "\ta",  "#",   "\x01", "\xe2\x80\xa8" };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct kilter_value *value = kilter_string_c(arena, texts[i]);
        struct kilter_value *again = api_yaml(api_to_yaml(value));
        ck_assert_msg(kilter_value_equal(value, again, KILTER_SCHEMA_KUBERNETES), "%s", api_to_yaml(value));
    }
}
END_TEST

/* --- marks and contents -------------------------------------------------------------- */
static struct kilter_value *with_secrets(void)
{
    struct kilter_value *map = api_yaml("open: 1\nscalar: hunter2\nmap: {user: me, pass: hunter2}\nlater: x\n");
    kilter_set_marks(kilter_get(map, "scalar"), KILTER_VALUE_SECRET);
    kilter_set_marks(kilter_get(map, "map"), KILTER_VALUE_SECRET);
    kilter_set_marks(kilter_get(map, "later"), KILTER_VALUE_UNKNOWN);
    return map;
}

START_TEST(secrets_are_masked_and_unknowns_named)
{
    struct kilter_value *map = with_secrets();
    ck_assert_str_eq(api_to_yaml(map), "later: (known after apply)\nmap: (sensitive value)\nopen: 1\n"
                                       "scalar: (sensitive value)\n");
    ck_assert_str_eq(api_to_json(map), "{\"open\":1,\"scalar\":\"(sensitive value)\",\"map\":\"(sensitive value)\","
                                       "\"later\":\"(known after apply)\"}");
}
END_TEST

START_TEST(secrets_are_in_clear_only_where_asked)
{
    struct kilter_buf out = KILTER_BUF_INIT(1000);
    ck_assert_int_eq(kilter_yaml_write(&out, with_secrets(), KILTER_YAML_KUBECTL, KILTER_WRITE_REVEAL), 0);
    ck_assert_view_eq(kilter_buf_view(&out),
                      "later: (known after apply)\nmap:\n  pass: hunter2\n  user: me\nopen: 1\n"
                      "scalar: hunter2\n");
    kilter_buf_release(&out);
}
END_TEST

START_TEST(content_is_written_by_id_or_not_at_all)
{
    struct kilter_buf out = KILTER_BUF_INIT(1000);
    struct kilter_content content = { .id = KILTER_STR_INIT("abc"), .length = 12 };
    struct kilter_value *map = kilter_map(arena);
    kilter_set(arena, map, "data", kilter_content_value(arena, &content));
    ck_assert_int_eq(kilter_yaml_write(&out, map, KILTER_YAML_KUSTOMIZE, 0), KILTER_E_INVALID);
    ck_assert_int_eq(kilter_json_write(&out, map, KILTER_SCHEMA_JSON, 0), KILTER_E_INVALID);
    kilter_buf_clear(&out);
    ck_assert_int_eq(kilter_yaml_write(&out, map, KILTER_YAML_KUSTOMIZE, KILTER_WRITE_CONTENT), 0);
    ck_assert_view_eq(kilter_buf_view(&out), "data:\n  $content: abc\n  size: 12\n");
    kilter_buf_clear(&out);
    ck_assert_int_eq(kilter_json_write(&out, map, KILTER_SCHEMA_JSON, KILTER_WRITE_CONTENT), 0);
    ck_assert_view_eq(kilter_buf_view(&out), "{\"data\":{\"$content\":\"abc\",\"size\":12}}");
    kilter_buf_release(&out);
}
END_TEST

START_TEST(full_buffer_and_endless_depth_are_errors)
{
    struct kilter_buf small = KILTER_BUF_INIT(3), out = KILTER_BUF_INIT(1 << 20);
    ck_assert_int_eq(kilter_yaml_write(&small, api_yaml("a: long text"), KILTER_YAML_KUSTOMIZE, 0), KILTER_E_LIMIT);
    ck_assert_int_eq(kilter_json_write(&small, api_yaml("a: long text"), KILTER_SCHEMA_JSON, 0), KILTER_E_LIMIT);
    struct kilter_value *ring = kilter_list(arena);
    kilter_list_add(arena, ring, ring);
    ck_assert_int_eq(kilter_yaml_write(&out, ring, KILTER_YAML_KUSTOMIZE, 0), KILTER_E_LIMIT);
    kilter_buf_clear(&out);
    ck_assert_int_eq(kilter_json_write(&out, ring, KILTER_SCHEMA_JSON, 0), KILTER_E_LIMIT);
    ck_assert_ptr_null(kilter_value_copy(arena, ring));
    ck_assert(kilter_has_mark(ring, KILTER_VALUE_SECRET)); /* cannot be sure, so it is not printed */
    kilter_buf_release(&small);
    kilter_buf_release(&out);
}
END_TEST

Suite *api_yaml_write_suite(void)
{
    Suite *suite = suite_create("yaml-write");
    TCase *tcase = api_case(suite, "yaml-write");
    tcase_add_loop_test(tcase, kustomize_form_is_what_kustomize_prints, 0,
                        sizeof kustomize_cases / sizeof kustomize_cases[0]);
    tcase_add_loop_test(tcase, kubectl_form_reads_plain_text_as_kubernetes_does, 0,
                        sizeof kubectl_cases / sizeof kubectl_cases[0]);
    tcase_add_test(tcase, long_key_stands_behind_a_question_mark);
    tcase_add_test(tcase, bytes_that_are_no_text_become_binary);
    tcase_add_test(tcase, strings_are_quoted_where_they_would_be_read_as_something_else);
    tcase_add_test(tcase, secrets_are_masked_and_unknowns_named);
    tcase_add_test(tcase, secrets_are_in_clear_only_where_asked);
    tcase_add_test(tcase, content_is_written_by_id_or_not_at_all);
    tcase_add_test(tcase, full_buffer_and_endless_depth_are_errors);
    return suite;
}
