/* SPDX-License-Identifier: Apache-2.0 */
/* Options of plugins: the table that checks, fills and refuses. */
#include <inttypes.h>
#include <kilter/plugin.h>
#include <stdio.h>

#include "worker/harness.h"

struct options {
    struct kilter_str text, path, secret;
    bool flag;
    int64_t number, time, bytes;
    int32_t choice;
    uint32_t mode;
    struct kilter_strs list;
    struct kilter_pairs map;
    const struct kilter_value *value;
};

static const char *const choices[] = { "never", "always", "if-equal", NULL };

#define AT(member) .offset = offsetof(struct options, member), .summary = "Of the test."

static const struct kilter_option rows[] = {
    { .name = "text", .type = KILTER_OPTION_STRING, .default_text = "hello", AT(text) },
    { .name = "path", .type = KILTER_OPTION_STRING, .flags = KILTER_OPTION_ABSOLUTE_PATH, AT(path) },
    { .name = "secret", .type = KILTER_OPTION_SECRET, AT(secret) },
    { .name = "flag", .type = KILTER_OPTION_BOOL, .default_text = "true", AT(flag) },
    { .name = "number",
      .type = KILTER_OPTION_INT,
      .flags = KILTER_OPTION_REQUIRED,
      .minimum = -5,
      .maximum = 10,
      AT(number) },
    { .name = "time",
      .type = KILTER_OPTION_DURATION,
      .default_text = "90s",
      .minimum = 1000000,
      .maximum = INT64_C(3600000000000),
      AT(time) },
    { .name = "bytes", .type = KILTER_OPTION_SIZE, .default_text = "64Ki", AT(bytes) },
    { .name = "choice", .type = KILTER_OPTION_ENUM, .default_text = "if-equal", .choices = choices, AT(choice) },
    { .name = "mode", .type = KILTER_OPTION_MODE, .default_text = "0644", AT(mode) },
    { .name = "list", .type = KILTER_OPTION_LIST, .default_text = "[a, b]", AT(list) },
    { .name = "map", .type = KILTER_OPTION_MAP, AT(map) },
    { .name = "value", .type = KILTER_OPTION_VALUE, AT(value) },
};

static const struct kilter_config_schema schema = {
    sizeof schema, sizeof(struct kilter_option), sizeof(struct options), rows, sizeof rows / sizeof rows[0],
};

static struct kilter_arena *arena;
static struct kilter_diags *diags;

static void set_up(void)
{
    arena = kilter_arena_new(0);
    diags = kilter_diags_new(0);
}

static void tear_down(void)
{
    kilter_diags_free(diags);
    kilter_arena_free(arena);
}

static struct kilter_value *yaml(const char *text)
{
    struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
    struct kilter_value *documents = NULL;
    ck_assert_int_eq(kilter_yaml_read(arena, kilter_str_c(text), &options, &documents, diags), 0);
    return kilter_list_at(documents, 0);
}

static const struct options *fill(struct kilter_value *config)
{
    void *ret = NULL;
    int rc = kilter_config_fill(&schema, config, "option of target etc", arena, &ret, diags);
    struct kilter_buf text = KILTER_BUF_INIT(1 << 16);
    kilter_diags_format(&text, diags);
    ck_assert_msg(rc == 0, "%s", text.ptr ? text.ptr : "");
    kilter_buf_release(&text);
    return ret;
}

START_TEST(absent_options_get_their_defaults)
{
    const struct options *o = fill(yaml("{number: 3}"));
    ck_assert(kilter_str_eq_c(o->text, "hello"));
    ck_assert_ptr_null(o->path.ptr);
    ck_assert_ptr_null(o->secret.ptr);
    ck_assert(o->flag);
    ck_assert_int_eq(o->number, 3);
    ck_assert_int_eq(o->time, INT64_C(90000000000));
    ck_assert_int_eq(o->bytes, 65536);
    ck_assert_int_eq(o->choice, 2);
    ck_assert_uint_eq(o->mode, 0644);
    ck_assert_uint_eq(o->list.count, 2);
    ck_assert(kilter_str_eq_c(o->list.items[1], "b"));
    ck_assert_uint_eq(o->map.count, 0);
    ck_assert_ptr_null(o->value);
}
END_TEST

START_TEST(given_options_are_read_by_their_type)
{
    struct kilter_value *config =
        yaml("{text: 1.10, path: /etc, flag: false, number: -5, time: 1m30s, bytes: 10M, "
             "choice: never, mode: 2750, list: one, map: {b: x, a: 1}, value: {deep: [1]}}");
    struct kilter_value *secret = kilter_string_c(arena, "hunter22");
    kilter_set_marks(secret, KILTER_VALUE_SECRET);
    kilter_set(arena, config, "secret", secret);
    const struct options *o = fill(config);
    ck_assert(kilter_str_eq_c(o->text, "1.10"));
    ck_assert(kilter_str_eq_c(o->path, "/etc"));
    ck_assert(kilter_str_eq_c(o->secret, "hunter22"));
    ck_assert(!o->flag);
    ck_assert_int_eq(o->number, -5);
    ck_assert_int_eq(o->time, INT64_C(90000000000));
    ck_assert_int_eq(o->bytes, 10000000);
    ck_assert_int_eq(o->choice, 0);
    ck_assert_uint_eq(o->mode, 02750);
    ck_assert_uint_eq(o->list.count, 1);
    ck_assert(kilter_str_eq_c(o->map.items[0].key, "b"));
    ck_assert(kilter_str_eq_c(o->map.items[1].value, "1"));
    ck_assert_str_eq(text_at(o->value, "deep.0"), "1");
}
END_TEST

static const struct {
    const char *config, *message, *hint;
} wrongs[] = {
    { "{}", "option of target etc \"number\" is required", NULL },
    { "{number: ~}", "\"number\" is required", NULL },
    { "{number: 1, nubmer: 2}", "unknown option of target etc: \"nubmer\"", "did you mean \"number\"?" },
    { "{number: 1, zzzzzz: 2}", "unknown option of target etc: \"zzzzzz\"", NULL },
    { "{number: 11}", "\"number\": 11 is not within -5 and 10", NULL },
    { "{number: 1.5}", "\"number\": expected a whole number, found \"1.5\"", NULL },
    { "{number: [1]}", "\"number\": expected a whole number, found a list", NULL },
    { "{number: 99999999999999999999}", "expected a whole number", NULL },
    { "{number: 1, flag: maybe}", "\"flag\": expected true or false, found \"maybe\"", NULL },
    { "{number: 1, flag: 'true'}", "\"flag\": expected true or false", NULL },
    { "{number: 1, path: etc}", "\"path\": expected an absolute path, found \"etc\"", NULL },
    { "{number: 1, text: {a: b}}", "\"text\": expected a string, found a map", NULL },
    { "{number: 1, time: 90}", "\"time\": expected a duration", NULL },
    { "{number: 1, time: 2h}", "\"time\": 2h is not within 1ms and 1h", NULL },
    { "{number: 1, bytes: 64KB}", "\"bytes\": expected a size", NULL },
    { "{number: 1, choice: allways}", "\"choice\": \"allways\" is none of never, always, if-equal",
      "did you mean \"always\"?" },
    { "{number: 1, mode: 0999}", "\"mode\": expected permission bits", NULL },
    { "{number: 1, mode: 17777}", "\"mode\": expected permission bits", NULL },
    { "{number: 1, list: {a: b}}", "\"list\": expected a list of strings, found a map", NULL },
    { "{number: 1, list: [[a]]}", "\"list\": expected a list of strings, found a list", NULL },
    { "{number: 1, map: [a]}", "\"map\": expected a map of strings, found a list", NULL },
    { "{number: 1, secret: hunter22}", "\"secret\": a secret is not written here", "move it to a file" },
    { "{number: 1, secret: {file: /x, env: Y}}", "\"secret\": expected a reference to a secret", NULL },
    { "{number: 1, secret: {flie: /x}}", "\"secret\": expected a reference to a secret", NULL },
    { "[number]", "option of target etc: expected a map of options", NULL },
};

START_TEST(what_is_wrong_is_said_with_what_was_expected)
{
    ck_assert_int_eq(kilter_config_check(&schema, yaml(wrongs[_i].config), "option of target etc", diags),
                     KILTER_E_INVALID);
    ck_assert_uint_eq(kilter_diags_errors(diags), 1);
    const struct kilter_diag *diag = kilter_diags_at(diags, 0);
    char text[1024];
    snprintf(text, sizeof text, "%.*s", KILTER_STR_ARG(diag->message));
    ck_assert_msg(strstr(text, wrongs[_i].message) != NULL, "\"%s\" does not say \"%s\"", text, wrongs[_i].message);
    ck_assert_msg(strstr(text, "hunter22") == NULL, "%s", text);
    snprintf(text, sizeof text, "%.*s", KILTER_STR_ARG(diag->hint));
    ck_assert_msg(wrongs[_i].hint ? strstr(text, wrongs[_i].hint) != NULL : text[0] == '\0', "hint: %s", text);
}
END_TEST

START_TEST(all_problems_are_said_at_once_with_their_places)
{
    struct kilter_value *config = yaml("number: 99\nflag: 7\ntxet: x\nlist: [1, {a: b}, [c]]\n");
    ck_assert_int_eq(kilter_config_check(&schema, config, "option", diags), KILTER_E_INVALID);
    ck_assert_uint_eq(kilter_diags_errors(diags), 5);
    uint32_t lines = 0;
    for (size_t i = 0; i < 5; i++)
        lines |= 1u << kilter_diags_at(diags, i)->origin.line;
    ck_assert_uint_eq(lines, 1u << 1 | 1u << 2 | 1u << 3 | 1u << 4);
}
END_TEST

START_TEST(a_reference_to_a_secret_is_fine_until_it_must_be_resolved)
{
    struct kilter_value *config = yaml("{number: 1, secret: {file: /etc/token}}");
    void *ret;
    ck_assert_int_eq(kilter_config_check(&schema, config, "option", diags), 0);
    ck_assert_int_eq(kilter_config_fill(&schema, config, "option", arena, &ret, diags), KILTER_E_INVALID);
}
END_TEST

static const struct {
    const char *text;
    int64_t ns;       /* -1: refused */
    const char *back; /* NULL: as it is */
} times[] = {
    { "0", 0, "0s" },
    { "0s", 0, NULL },
    { "1ns", 1, NULL },
    { "250ms", 250000000, NULL },
    { "90s", INT64_C(90000000000), "1m30s" },
    { "1h30m", INT64_C(5400000000000), NULL },
    { "2d", INT64_C(172800000000000), NULL },
    { "36h", INT64_C(129600000000000), "1d12h" },
    { "1us500ns", 1500, NULL },
    { "106751d23h47m16s854ms775us807ns", INT64_MAX, NULL },
    { "106751d23h47m16s854ms775us808ns", -1, NULL },
    { "", -1, NULL },
    { "5", -1, NULL },
    { "s", -1, NULL },
    { "-5s", -1, NULL },
    { "1.5h", -1, NULL },
    { "5 s", -1, NULL },
    { "5S", -1, NULL },
    { "5sm", -1, NULL },
    { "99999999999999999999s", -1, NULL },
    { "999999999d", -1, NULL },
};

START_TEST(durations_are_read_and_written_exactly)
{
    int64_t ns = 42;
    int rc = kilter_parse_duration(kilter_str_c(times[_i].text), &ns);
    ck_assert_msg(rc == (times[_i].ns < 0 ? KILTER_E_INVALID : 0), "%s", times[_i].text);
    if (rc < 0)
        return;
    char text[32];
    ck_assert_int_eq(ns, times[_i].ns);
    ck_assert_str_eq(kilter_format_duration(ns, text), times[_i].back ? times[_i].back : times[_i].text);
}
END_TEST

START_TEST(negative_durations_are_written_within_their_bytes)
{
    char text[33];
    text[32] = 'x';
    ck_assert_str_eq(kilter_format_duration(-INT64_C(90000000000), text), "-1m30s");
    kilter_format_duration(INT64_MIN, text);
    ck_assert_int_eq(text[32], 'x');
    ck_assert_uint_lt(strlen(text), 32);
}
END_TEST

static const struct {
    const char *text;
    int64_t bytes; /* -1: refused */
} sizes[] = {
    { "0", 0 },
    { "10", 10 },
    { "64Ki", 65536 },
    { "10M", 10000000 },
    { "1K", 1000 },
    { "2Gi", INT64_C(2) << 30 },
    { "1T", INT64_C(1000000000000) },
    { "7Ti", INT64_C(7) << 40 },
    { "8388607Ti", INT64_C(8388607) << 40 },
    { "8388608Ti", -1 },
    { "", -1 },
    { "Ki", -1 },
    { "1KB", -1 },
    { "1k", -1 },
    { "-1", -1 },
    { "1 K", -1 },
    { "1.5M", -1 },
    { "99999999999999999999", -1 },
};

START_TEST(sizes_are_read_exactly)
{
    int64_t bytes = 42;
    int rc = kilter_parse_size(kilter_str_c(sizes[_i].text), &bytes);
    ck_assert_msg(rc == (sizes[_i].bytes < 0 ? KILTER_E_INVALID : 0), "%s", sizes[_i].text);
    if (rc == 0)
        ck_assert_int_eq(bytes, sizes[_i].bytes);
}
END_TEST

Suite *config_suite(void)
{
    Suite *suite = suite_create("config");
    TCase *tests = tcase_create("config");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, absent_options_get_their_defaults);
    tcase_add_test(tests, given_options_are_read_by_their_type);
    tcase_add_loop_test(tests, what_is_wrong_is_said_with_what_was_expected, 0, sizeof wrongs / sizeof wrongs[0]);
    tcase_add_test(tests, all_problems_are_said_at_once_with_their_places);
    tcase_add_test(tests, a_reference_to_a_secret_is_fine_until_it_must_be_resolved);
    tcase_add_loop_test(tests, durations_are_read_and_written_exactly, 0, sizeof times / sizeof times[0]);
    tcase_add_test(tests, negative_durations_are_written_within_their_bytes);
    tcase_add_loop_test(tests, sizes_are_read_exactly, 0, sizeof sizes / sizeof sizes[0]);
    suite_add_tcase(suite, tests);
    return suite;
}
