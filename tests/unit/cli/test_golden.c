/* SPDX-License-Identifier: Apache-2.0 */
/* What people see for a fixed answer of the daemon: golden/NAME.json gives golden/NAME.txt. With
 * KILTER_GOLDEN_WRITE set the .txt is written instead of compared. */
#include "cli/act.h"
#include "cli/plan_text.h"
#include "cli/plugin_text.h"
#include "cli/status.h"
#include "cli/story.h"
#include "tests.h"

#include <stdlib.h>

static struct kilter_str read_golden(const char *name, const char *suffix, struct kilter_buf *out)
{
    char path[512], bytes[4096];
    size_t n;
    const char *source = getenv("KILTER_SOURCE_DIR");
    ck_assert_msg(source != NULL, "KILTER_SOURCE_DIR is not set; run by ctest");
    snprintf(path, sizeof(path), "%s/tests/unit/cli/golden/%s.%s", source, name, suffix);
    FILE *file = fopen(path, "re");
    ck_assert_msg(file != NULL, "%s is missing", path);
    while ((n = fread(bytes, 1, sizeof(bytes), file)) > 0)
        kilter_buf_append(out, bytes, n);
    fclose(file);
    return kilter_buf_view(out);
}

static void write_golden(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/tests/unit/cli/golden/%s.txt", getenv("KILTER_SOURCE_DIR"), name);
    FILE *file = fopen(path, "we");
    fputs(text, file);
    fclose(file);
}

static void print_status(struct kl_cli *cli, const struct kilter_value *value)
{
    kl_status_head(cli, kilter_get(value, "status"));
    kl_status_apps(cli, kilter_get(value, "items"));
}

static void print_app(struct kl_cli *cli, const struct kilter_value *value)
{
    kl_status_app(cli, value);
    kl_status_resources(cli, kilter_get(value, "items"));
}

static void print_plan(struct kl_cli *cli, const struct kilter_value *value)
{
    kl_plan_print(cli, value, false);
}

static void print_diff(struct kl_cli *cli, const struct kilter_value *value)
{
    ck_assert_uint_eq(kl_plan_print_diff(cli, value, KILTER_STR("motd")), 1);
}

static void print_history(struct kl_cli *cli, const struct kilter_value *value)
{
    kl_story_history(cli, kilter_get(value, "items"));
}

static void print_events(struct kl_cli *cli, const struct kilter_value *value)
{
    const struct kilter_value *items = kilter_get(value, "items");
    for (size_t i = 0; i < kilter_list_size(items); i++)
        kl_story_event(cli, kilter_list_at(items, i));
}

static void print_records(struct kl_cli *cli, const struct kilter_value *value)
{
    kl_story_records(cli, kilter_get(value, "items"));
}

static void print_action(struct kl_cli *cli, const struct kilter_value *value)
{
    ck_assert_int_eq(kl_act_print(cli, value), KL_EXIT_NOT);
}

static void print_plugins(struct kl_cli *cli, const struct kilter_value *value)
{
    kl_plugin_print_list(cli, kilter_get(value, "items"));
    kl_plugin_print(cli, kilter_list_at(kilter_get(value, "items"), 0));
}

static const struct {
    const char *name; /* of the .txt */
    const char *input;
    void (*print)(struct kl_cli *cli, const struct kilter_value *value);
    bool colour;
    unsigned columns;
} cases[] = {
    { "status", "status", print_status, false, 0 },
    { "status-colour", "status", print_status, true, 0 },
    { "status-narrow", "status", print_status, false, 60 },
    { "show", "show", print_app, false, 0 },
    { "plan", "plan", print_plan, false, 0 },
    { "plan-colour", "plan", print_plan, true, 0 },
    { "plan-empty", "plan-empty", print_plan, false, 0 },
    { "diff", "plan", print_diff, false, 0 },
    { "why", "why", kl_story_why, false, 0 },
    { "history", "history", print_history, false, 0 },
    { "events", "events", print_events, false, 0 },
    { "tree", "tree", kl_story_tree, false, 0 },
    { "records", "records", print_records, false, 0 },
    { "action", "action", print_action, false, 0 },
    { "plugins", "plugins", print_plugins, false, 0 },
};

START_TEST(a_fixed_answer_looks_as_agreed)
{
    struct kilter_buf json = KILTER_BUF_INIT(1u << 20), want = KILTER_BUF_INIT(1u << 20);
    struct kilter_value *value = NULL;
    struct capture capture;
    capture_begin(&capture);
    struct kilter_str text = read_golden(cases[_i].input, "json", &json);
    ck_assert_int_eq(kilter_json_read(capture.cli.arena, text, NULL, &value, NULL), 0);
    capture.cli.colour = cases[_i].colour;
    capture.cli.columns = cases[_i].columns;
    cases[_i].print(&capture.cli, value);
    capture_end(&capture);
    if (getenv("KILTER_GOLDEN_WRITE"))
        write_golden(cases[_i].name, capture.out);
    read_golden(cases[_i].name, "txt", &want);
    ck_assert_str_eq(capture.out, want.ptr ? want.ptr : "");
    ck_assert_str_eq(capture.err, "");
    kilter_buf_release(&json);
    kilter_buf_release(&want);
    capture_free(&capture);
}
END_TEST

Suite *suite_golden(void)
{
    Suite *suite = suite_create("cli golden");
    TCase *tcase = tcase_create("golden");
    tcase_add_loop_test(tcase, a_fixed_answer_looks_as_agreed, 0, (int)(sizeof(cases) / sizeof(cases[0])));
    suite_add_tcase(suite, tcase);
    return suite;
}
