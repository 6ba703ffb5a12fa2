/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Target "settings" without a daemon: its callbacks are plain functions, and a call is a struct. Each test has a
 * directory of its own, says what Git wants and what was applied last as JSON, and looks at changes and file.
 */
#include <kilter/kilter.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHANGES_MAX 8

static struct kilter_arena *arena;
static struct kilter_error error;
static struct kilter_diags *diags;
static const struct kilter_target *target;
static void *handle;
static char directory[] = "/tmp/kilter-settings.XXXXXX", file[64];

/* What the callbacks emitted. */
static struct kilter_change changes[CHANGES_MAX];
static struct kilter_result results[CHANGES_MAX];
static size_t change_count, result_count;

/* --- the host's side of a call ------------------------------------------------------------------ */
static void log_nothing(struct kilter_call *call, enum kilter_log_level level, struct kilter_str message)
{
    (void)call;
    (void)level;
    (void)message;
}

static bool never_cancelled(struct kilter_call *call)
{
    (void)call;
    return false;
}

static int no_content(struct kilter_call *call, struct kilter_str id, struct kilter_content **ret)
{
    (void)call;
    (void)id;
    *ret = NULL;
    return KILTER_E_NOT_FOUND;
}

static const struct kilter_host host = { sizeof host, log_nothing, never_cancelled, no_content };

static struct kilter_call *new_call(void)
{
    static struct kilter_call call;
    error = (struct kilter_error)KILTER_ERROR_INIT;
    kilter_diags_clear(diags);
    call =
        (struct kilter_call){ .size = sizeof call, .host = &host, .arena = arena, .diags = diags, .error = &error };
    return &call;
}

static struct kilter_value *json(const char *text)
{
    struct kilter_value *value;
    ck_assert_int_eq(kilter_json_read(arena, kilter_str_c(text), NULL, &value, NULL), KILTER_OK);
    return value;
}

static void open_target(const char *allow)
{
    void *options, *bounds;
    const char *text = kilter_arena_printf(arena, "{\"root\": \"%s\", \"file\": \"/sysctl.conf\"}", directory);
    ck_assert_int_eq(kilter_config_fill(target->options, json(text), "option", arena, &options, diags), KILTER_OK);
    ck_assert_int_eq(kilter_config_fill(target->allow, json(allow), "allow", arena, &bounds, diags), KILTER_OK);
    ck_assert_int_eq(target->open(new_call(), options, bounds, &handle), KILTER_OK);
}

static void set_up(void)
{
    memcpy(strrchr(directory, '.'), ".XXXXXX", 7);
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(file, sizeof file, "%s/sysctl.conf", directory);
    arena = kilter_arena_new(0);
    diags = kilter_diags_new(0);
    target = kilter_plugin_v1()->target;
    open_target("{}");
}

static void tear_down(void)
{
    target->close(handle);
    kilter_diags_free(diags);
    kilter_arena_free(arena);
    unlink(file);
    ck_assert_int_eq(rmdir(directory), 0); /* nothing temporary was left */
}

static void write_live(const char *text)
{
    FILE *stream = fopen(file, "w");
    ck_assert_ptr_nonnull(stream);
    fputs(text, stream);
    fclose(stream);
}

static void assert_live(const char *text)
{
    char bytes[512];
    FILE *stream = fopen(file, "r");
    ck_assert_ptr_nonnull(stream);
    bytes[fread(bytes, 1, sizeof bytes - 1, stream)] = '\0';
    fclose(stream);
    ck_assert_str_eq(bytes, text);
}

/* --- plan and apply -------------------------------------------------------------------------------- */
static struct kilter_resource wanted(const char *key, const char *value)
{
    const char *text = kilter_arena_printf(arena,
                                           "{\"apiVersion\": \"settings.example.org/v1\", \"kind\": \"Setting\", "
                                           "\"metadata\": {\"name\": \"one\"}, "
                                           "\"spec\": {\"key\": \"%s\", \"value\": %s}}",
                                           key, value);
    struct kilter_resource resource = { .size = sizeof resource };
    ck_assert_int_eq(kilter_resource_init(&resource, json(text), diags), KILTER_OK);
    return resource;
}

static struct kilter_record applied(const char *attributes)
{
    static const struct kilter_str claim = KILTER_STR_INIT("setting:x:/sysctl.conf#vm.swappiness");
    struct kilter_resource resource = wanted("vm.swappiness", "\"0\"");
    struct kilter_record record = { .size = sizeof record, .id = resource.id, .claims = &claim, .claim_count = 1 };
    record.status = attributes ? KILTER_RECORD_OWNED : KILTER_RECORD_PENDING;
    record.attributes = attributes ? json(attributes) : NULL;
    return record;
}

/* Sinks copy what they keep: claims live as long as the call's arena here, the rest is by value. */
static int take_change(struct kilter_plan_sink *sink, const struct kilter_change *change)
{
    (void)sink;
    ck_assert_uint_lt(change_count, CHANGES_MAX);
    changes[change_count] = *change;
    changes[change_count].claims = NULL;
    changes[change_count++].claim_count = 0;
    return KILTER_OK;
}

static int take_result(struct kilter_result_sink *sink, const struct kilter_result *result)
{
    (void)sink;
    ck_assert_uint_lt(result_count, CHANGES_MAX);
    results[result_count++] = *result;
    return KILTER_OK;
}

static int plan(const struct kilter_resource *resource, const struct kilter_record *record)
{
    struct kilter_plan_sink sink = { sizeof sink, take_change, NULL };
    struct kilter_plan_request request = { .size = sizeof request,
                                           .mode = resource ? KILTER_PLAN_SYNC : KILTER_PLAN_DESTROY,
                                           .owner = KILTER_STR("test/app"),
                                           .resources = resource,
                                           .resource_count = resource != NULL,
                                           .records = record,
                                           .record_count = record != NULL };
    change_count = 0;
    return target->plan(new_call(), handle, &request, &sink);
}

static enum kilter_result_class apply(void)
{
    struct kilter_result_sink sink = { sizeof sink, take_result, NULL };
    struct kilter_apply_request request = {
        .size = sizeof request, .owner = KILTER_STR("test/app"), .changes = changes, .change_count = change_count
    };
    result_count = 0;
    ck_assert_int_eq(target->apply(new_call(), handle, &request, &sink), KILTER_OK);
    ck_assert_uint_eq(result_count, 1);
    return results[0].result;
}

/* One change of this verb and with these flags, for the wanted value (NULL: none) and the record (NULL: none). */
static void assert_plan(const char *value, const struct kilter_record *record, enum kilter_verb verb,
                        uint32_t flags)
{
    struct kilter_resource resource = wanted("vm.swappiness", value ? value : "\"0\"");
    ck_assert_int_eq(plan(value ? &resource : NULL, record), KILTER_OK);
    ck_assert_uint_eq(change_count, 1);
    ck_assert_int_eq(changes[0].verb, verb);
    ck_assert_uint_eq(changes[0].flags, flags);
}

#define TEN "{\"key\": \"vm.swappiness\", \"value\": \"10\"}"
#define WANTED KILTER_CHANGE_WANTED
#define DRIFTED KILTER_CHANGE_DRIFTED
#define UNOWNED KILTER_CHANGE_UNOWNED

START_TEST(wanted_recorded_and_live_make_the_change)
{
    struct kilter_record ten = applied(TEN), pending = applied(NULL);
    write_live("vm.swappiness=10\n");
    assert_plan("\"10\"", &ten, KILTER_VERB_NONE, 0);
    assert_plan("\"20\"", &ten, KILTER_VERB_UPDATE, WANTED);
    assert_plan("\"10\"", NULL, KILTER_VERB_ADOPT, WANTED | UNOWNED);
    assert_plan("\"20\"", NULL, KILTER_VERB_UPDATE, WANTED | UNOWNED);
    assert_plan(NULL, &ten, KILTER_VERB_DELETE, WANTED);
    write_live("vm.swappiness=30\n");
    assert_plan("\"10\"", &ten, KILTER_VERB_UPDATE, DRIFTED);
    assert_plan("\"20\"", &ten, KILTER_VERB_UPDATE, WANTED | DRIFTED);
    assert_plan("\"30\"", &ten, KILTER_VERB_ADOPT, WANTED);
    assert_plan(NULL, &ten, KILTER_VERB_DELETE, WANTED | DRIFTED);
    write_live("");
    assert_plan("\"10\"", &ten, KILTER_VERB_CREATE, DRIFTED);
    assert_plan("\"10\"", NULL, KILTER_VERB_CREATE, WANTED);
    assert_plan(NULL, &ten, KILTER_VERB_FORGET, WANTED);
    assert_plan(NULL, &pending, KILTER_VERB_FORGET, WANTED);
}
END_TEST

START_TEST(an_apply_that_was_killed_is_looked_at_again)
{
    struct kilter_record pending = applied(NULL);
    write_live("vm.swappiness=10\n");
    assert_plan("\"10\"", &pending, KILTER_VERB_ADOPT, WANTED);
    assert_plan("\"20\"", &pending, KILTER_VERB_UPDATE, WANTED | UNOWNED);
    assert_plan(NULL, &pending, KILTER_VERB_DELETE, WANTED | DRIFTED);
}
END_TEST

START_TEST(the_rest_of_the_file_stays_as_it_is)
{
    struct kilter_record ten = applied(TEN);
    write_live("# by hand = 1\n;vm.swappiness=1\n  vm.swappiness = 10\nno newline=1");
    assert_plan("\"20\"", &ten, KILTER_VERB_UPDATE, WANTED);
    ck_assert_int_eq(apply(), KILTER_RESULT_DONE);
    assert_live("# by hand = 1\n;vm.swappiness=1\nvm.swappiness=20\nno newline=1");
    assert_plan(NULL, &ten, KILTER_VERB_DELETE, WANTED | DRIFTED);
    ck_assert_int_eq(apply(), KILTER_RESULT_DONE);
    assert_plan("\"a=b c\"", NULL, KILTER_VERB_CREATE, WANTED);
    ck_assert_int_eq(apply(), KILTER_RESULT_DONE);
    assert_live("# by hand = 1\n;vm.swappiness=1\nno newline=1\nvm.swappiness=a=b c\n");
}
END_TEST

START_TEST(the_file_is_made_and_its_mode_is_kept)
{
    struct kilter_record ten = applied(TEN);
    struct stat meta;
    assert_plan("\"10\"", NULL, KILTER_VERB_CREATE, WANTED);
    ck_assert_int_eq(apply(), KILTER_RESULT_DONE);
    ck_assert_str_eq(kilter_get_text(results[0].attributes, "value").ptr, "10");
    assert_live("vm.swappiness=10\n");
    ck_assert_int_eq(chmod(file, 0600), 0);
    assert_plan("\"20\"", &ten, KILTER_VERB_UPDATE, WANTED);
    ck_assert_int_eq(apply(), KILTER_RESULT_DONE);
    ck_assert_int_eq(stat(file, &meta), 0);
    ck_assert_uint_eq(meta.st_mode & 07777, 0600);
}
END_TEST

START_TEST(applying_twice_is_harmless)
{
    assert_plan("\"10\"", NULL, KILTER_VERB_CREATE, WANTED);
    ck_assert_int_eq(apply(), KILTER_RESULT_DONE);
    ck_assert_int_eq(apply(), KILTER_RESULT_UNCHANGED);
    assert_live("vm.swappiness=10\n");
}
END_TEST

START_TEST(what_moved_since_the_plan_is_stale_and_untouched)
{
    struct kilter_record ten = applied(TEN);
    write_live("vm.swappiness=10\n");
    assert_plan("\"20\"", &ten, KILTER_VERB_UPDATE, WANTED);
    write_live("vm.swappiness=30\n");
    ck_assert_int_eq(apply(), KILTER_RESULT_STALE);
    assert_live("vm.swappiness=30\n");
}
END_TEST

START_TEST(what_allow_does_not_name_is_blocked_and_refused)
{
    struct kilter_record ten = applied(TEN);
    assert_plan("\"10\"", NULL, KILTER_VERB_CREATE, WANTED);
    target->close(handle);
    open_target("{\"keys\": [\"net.*\"]}");
    write_live("vm.swappiness=1\n");
    ck_assert_int_eq(apply(), KILTER_RESULT_TERMINAL);
    assert_plan("\"10\"", NULL, KILTER_VERB_BLOCKED, WANTED | UNOWNED);
    assert_plan(NULL, &ten, KILTER_VERB_BLOCKED, WANTED);
    assert_live("vm.swappiness=1\n");
}
END_TEST

START_TEST(a_value_that_is_no_line_is_a_diagnostic)
{
    static const char *const values[] = { "\"two\\nlines\"", "\" blank\"", "null", "[1]" };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct kilter_resource resource = wanted("vm.swappiness", values[i]);
        ck_assert_int_eq(plan(&resource, NULL), KILTER_E_INVALID);
        ck_assert_uint_eq(kilter_diags_errors(diags), 1);
    }
    struct kilter_resource resource = wanted("vm.a=b", "\"1\"");
    ck_assert_int_eq(plan(&resource, NULL), KILTER_E_INVALID);
}
END_TEST

START_TEST(a_secret_is_not_written_where_everybody_reads)
{
    struct kilter_resource resource = wanted("vm.swappiness", "\"10\"");
    kilter_set_marks(kilter_get(kilter_get(resource.document, "spec"), "value"), KILTER_VALUE_SECRET);
    ck_assert_int_eq(plan(&resource, NULL), KILTER_OK);
    ck_assert_int_eq(changes[0].verb, KILTER_VERB_BLOCKED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("settings");
    TCase *tcase = tcase_create("settings");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, wanted_recorded_and_live_make_the_change);
    tcase_add_test(tcase, an_apply_that_was_killed_is_looked_at_again);
    tcase_add_test(tcase, the_rest_of_the_file_stays_as_it_is);
    tcase_add_test(tcase, the_file_is_made_and_its_mode_is_kept);
    tcase_add_test(tcase, applying_twice_is_harmless);
    tcase_add_test(tcase, what_moved_since_the_plan_is_stale_and_untouched);
    tcase_add_test(tcase, what_allow_does_not_name_is_blocked_and_refused);
    tcase_add_test(tcase, a_value_that_is_no_line_is_a_diagnostic);
    tcase_add_test(tcase, a_secret_is_not_written_where_everybody_reads);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
