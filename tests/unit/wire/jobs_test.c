/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/jobs.h"

#include <kilter/yaml.h>

#include "wire/wire_tests.h"

static struct kilter_arena *arena;

static void set_up(void)
{
    arena = kilter_arena_new(0);
}

static void tear_down(void)
{
    kilter_arena_free(arena);
}

static struct kilter_value *yaml(const char *text)
{
    struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
    struct kilter_value *documents = NULL;
    ck_assert_int_eq(kilter_yaml_read(arena, kilter_str_c(text), &options, &documents, NULL), 0);
    return kilter_list_at(documents, 0);
}

#define EVERY(first, last, word, of)                                                                               \
    for (int i = (first); i <= (last); i++)                                                                        \
    ck_assert_int_eq((int)of(kilter_str_c(word(i))), i)

START_TEST(words_of_enumerations_are_read_back)
{
    EVERY(KILTER_VERB_NONE, KILTER_VERB_BLOCKED, kl_verb_word, kl_verb_of);
    EVERY(KILTER_RESULT_DONE, KILTER_RESULT_SKIPPED, kl_result_word, kl_result_of);
    EVERY(KILTER_RECORD_PENDING, KILTER_RECORD_DEPOSED, kl_record_status_word, kl_record_status_of);
    EVERY(KILTER_HEALTHY, KILTER_HEALTH_UNKNOWN, kl_health_word, kl_health_of);
    ck_assert_str_eq(kl_verb_word(KILTER_VERB_CREATE), "create");
    ck_assert_str_eq(kl_verb_word((enum kilter_verb)99), "unknown");
    ck_assert_int_eq(kl_verb_of(KILTER_STR("cretae")), 0);
    ck_assert_int_eq(kl_result_of(KILTER_STR_NONE), 0);
}
END_TEST

START_TEST(a_resource_goes_over)
{
    struct kilter_resource resource = { .size = sizeof resource,
                                        .id = { KILTER_STR("apps/v1"), KILTER_STR("Deployment"), KILTER_STR("shop"),
                                                KILTER_STR("web") },
                                        .origin = { KILTER_STR("web.yaml"), 12, 3 },
                                        .document = yaml("{kind: Deployment}") },
                           ret;
    ck_assert_int_eq(kl_resource_read(arena, kl_resource_value(arena, &resource), &ret), 0);
    ck_assert(kilter_id_equal(&ret.id, &resource.id));
    ck_assert(kilter_str_eq_c(ret.id.api_version, "apps/v1"));
    ck_assert(kilter_str_eq_c(ret.origin.file, "web.yaml"));
    ck_assert_uint_eq(ret.origin.line, 12);
    ck_assert(kilter_value_equal(ret.document, resource.document, KILTER_SCHEMA_JSON));
    ck_assert_ptr_ne(ret.document, resource.document);
}
END_TEST

START_TEST(a_record_goes_over)
{
    const struct kilter_str claims[] = { KILTER_STR_INIT("file:x:/etc/a"), KILTER_STR_INIT("file:x:/etc/b") };
    struct kilter_record record = { .size = sizeof record,
                                    .id = { KILTER_STR("file.kilter.dev/v1"), KILTER_STR("File"), KILTER_STR(""),
                                            KILTER_STR("a") },
                                    .claims = claims,
                                    .claim_count = 2,
                                    .status = KILTER_RECORD_TAINTED,
                                    .schema_version = 3,
                                    .attributes = yaml("{sha256: abc}") },
                         ret;
    ck_assert_int_eq(kl_record_read(arena, kl_record_value(arena, &record), &ret), 0);
    ck_assert_uint_eq(ret.claim_count, 2);
    ck_assert(kilter_str_eq(ret.claims[1], claims[1]));
    ck_assert_int_eq(ret.status, KILTER_RECORD_TAINTED);
    ck_assert_uint_eq(ret.schema_version, 3);
    ck_assert(kilter_value_equal(ret.attributes, record.attributes, KILTER_SCHEMA_JSON));

    record.attributes = NULL;
    record.claim_count = 0;
    ck_assert_int_eq(kl_record_read(arena, kl_record_value(arena, &record), &ret), 0);
    ck_assert_ptr_null(ret.attributes);
    ck_assert_uint_eq(ret.claim_count, 0);
}
END_TEST

START_TEST(a_change_goes_over_whole)
{
    const struct kilter_str claims[] = { KILTER_STR_INIT("unit:edge") };
    const uint32_t after[] = { 0, 4 };
    const struct kilter_effect effects[] = { { KILTER_EFFECT_RESTART, KILTER_STR_INIT("edge.service"),
                                               KILTER_STR_INIT("its file changes") } };
    struct kilter_change change = { .size = sizeof change,
                                    .verb = KILTER_VERB_MOVE,
                                    .flags = KILTER_CHANGE_WANTED | KILTER_CHANGE_DRIFTED,
                                    .id = { KILTER_STR("a/v1"), KILTER_STR("K"), KILTER_STR("ns"),
                                            KILTER_STR("new") },
                                    .moved_from = { KILTER_STR("a/v1"), KILTER_STR("K"), KILTER_STR("ns"),
                                                    KILTER_STR("old") },
                                    .claims = claims,
                                    .claim_count = 1,
                                    .origin = { KILTER_STR("k.yaml"), 5, 1 },
                                    .before = yaml("{mode: '0644'}"),
                                    .after = yaml("{mode: '0600'}"),
                                    .reason = KILTER_STR("mode differs"),
                                    .drift_by = KILTER_STR("kubectl-edit"),
                                    .foreign_owner = KILTER_STR("other/app"),
                                    .preconditions = yaml("{sha256: abc}"),
                                    .wave = -7,
                                    .after_changes = after,
                                    .after_count = 2,
                                    .effects = effects,
                                    .effect_count = 1,
                                    .private_data = yaml("[1, 2]") },
                         ret;
    ck_assert_int_eq(kl_change_read(arena, kl_change_value(arena, &change), &ret), 0);
    ck_assert_int_eq(ret.verb, KILTER_VERB_MOVE);
    ck_assert_uint_eq(ret.flags, change.flags);
    ck_assert(kilter_id_equal(&ret.id, &change.id));
    ck_assert(kilter_id_equal(&ret.moved_from, &change.moved_from));
    ck_assert(kilter_str_eq(ret.claims[0], claims[0]));
    ck_assert_uint_eq(ret.origin.line, 5);
    ck_assert(kilter_value_equal(ret.before, change.before, KILTER_SCHEMA_JSON));
    ck_assert(kilter_value_equal(ret.after, change.after, KILTER_SCHEMA_JSON));
    ck_assert(kilter_str_eq(ret.reason, change.reason));
    ck_assert(kilter_str_eq(ret.drift_by, change.drift_by));
    ck_assert(kilter_str_eq(ret.foreign_owner, change.foreign_owner));
    ck_assert(kilter_value_equal(ret.preconditions, change.preconditions, KILTER_SCHEMA_JSON));
    ck_assert_int_eq(ret.wave, -7);
    ck_assert_uint_eq(ret.after_count, 2);
    ck_assert_uint_eq(ret.after_changes[1], 4);
    ck_assert_uint_eq(ret.effect_count, 1);
    ck_assert_int_eq(ret.effects[0].verb, KILTER_EFFECT_RESTART);
    ck_assert(kilter_str_eq(ret.effects[0].cause, effects[0].cause));
    ck_assert(kilter_value_equal(ret.private_data, change.private_data, KILTER_SCHEMA_JSON));
}
END_TEST

START_TEST(a_result_goes_over)
{
    struct kilter_result result = { .size = sizeof result,
                                    .change = 3,
                                    .result = KILTER_RESULT_TRANSIENT,
                                    .message = KILTER_STR("busy"),
                                    .attributes = yaml("{a: 1}"),
                                    .schema_version = 2,
                                    .tainted = true,
                                    .retry_after_ns = 1500000001 },
                         ret;
    ck_assert_int_eq(kl_result_read(arena, kl_result_value(arena, &result), &ret), 0);
    ck_assert_uint_eq(ret.change, 3);
    ck_assert_int_eq(ret.result, KILTER_RESULT_TRANSIENT);
    ck_assert(kilter_str_eq(ret.message, result.message));
    ck_assert(ret.tainted);
    ck_assert_int_eq(ret.retry_after_ns, 1501000000); /* milliseconds, never sooner than asked */
}
END_TEST

static const struct {
    char kind; /* whose reader */
    const char *yaml;
} wrongs[] = {
    { 'r', "[]" },
    { 'r', "{kind: record}" },
    { 'r', "{kind: resource, apiVersion: v1, resourceKind: K, name: n}" },
    { 'r', "{kind: resource, apiVersion: v1, resourceKind: K, name: n, document: []}" },
    { 'r', "{kind: resource, apiVersion: v1, resourceKind: K, document: {}}" },
    { 'r', "{kind: resource, apiVersion: [v1], resourceKind: K, name: n, document: {}}" },
    { 'r', "{kind: resource, apiVersion: v1, resourceKind: K, name: n, line: -1, document: {}}" },
    { 'e', "{kind: record, apiVersion: v1, resourceKind: K, name: n}" },
    { 'e', "{kind: record, apiVersion: v1, resourceKind: K, name: n, status: gone}" },
    { 'e', "{kind: record, apiVersion: v1, resourceKind: K, name: n, status: owned, claims: {}}" },
    { 'e', "{kind: record, apiVersion: v1, resourceKind: K, name: n, status: owned, claims: [[]]}" },
    { 'e', "{kind: record, apiVersion: v1, resourceKind: K, name: n, status: owned, attributes: 3}" },
    { 'c', "{kind: change, apiVersion: v1, resourceKind: K, name: n, verb: create}" },
    { 'c', "{kind: change, v: 2, apiVersion: v1, resourceKind: K, name: n, verb: create}" },
    { 'c', "{kind: change, v: 1, apiVersion: v1, resourceKind: K, name: n, verb: explode}" },
    { 'c', "{kind: change, v: 1, apiVersion: v1, resourceKind: K, name: n, verb: create, afterChanges: [-1]}" },
    { 'c',
      "{kind: change, v: 1, apiVersion: v1, resourceKind: K, name: n, verb: create, effects: [{verb: sing}]}" },
    { 'c', "{kind: change, v: 1, apiVersion: v1, resourceKind: K, name: n, verb: create, movedFrom: {name: x}}" },
    { 'c', "{kind: change, v: 1, apiVersion: v1, resourceKind: K, name: n, verb: create, wave: 99999999999}" },
    { 's', "{kind: result, result: done}" },
    { 's', "{kind: result, change: 1, result: fine}" },
    { 's', "{kind: result, change: -1, result: done}" },
    { 's', "{kind: result, change: 1, result: done, retryAfterMs: -4}" },
    { 's', "{kind: result, change: 1, result: done, tainted: perhaps}" },
};

START_TEST(a_map_of_the_wrong_shape_is_refused)
{
    const struct kilter_value *map = yaml(wrongs[_i].yaml);
    struct kilter_resource resource;
    struct kilter_record record;
    struct kilter_change change;
    struct kilter_result result;
    int rc = wrongs[_i].kind == 'r'   ? kl_resource_read(arena, map, &resource)
             : wrongs[_i].kind == 'e' ? kl_record_read(arena, map, &record)
             : wrongs[_i].kind == 'c' ? kl_change_read(arena, map, &change)
                                      : kl_result_read(arena, map, &result);
    ck_assert_msg(rc == KILTER_E_INVALID, "%s", wrongs[_i].yaml);
}
END_TEST

START_TEST(a_full_arena_is_no_crash)
{
    struct kilter_resource resource = { .size = sizeof resource,
                                        .id = { KILTER_STR("v1"), KILTER_STR("K"), KILTER_STR(""),
                                                KILTER_STR("n") },
                                        .document = yaml("{a: [b, c, d], e: {f: g}}") };
    for (size_t limit = 1; limit < 40000; limit += 257) {
        struct kilter_arena *tight = kilter_arena_new(limit);
        struct kilter_resource ret;
        if (!tight)
            continue;
        struct kilter_value *map = kl_resource_value(tight, &resource);
        int rc = kl_resource_read(tight, map ? map : kl_resource_value(arena, &resource), &ret);
        ck_assert(rc == 0 || rc == KILTER_E_NOMEM || rc == KILTER_E_INVALID);
        kilter_arena_free(tight);
    }
}
END_TEST

Suite *jobs_suite(void)
{
    Suite *suite = suite_create("jobs");
    TCase *tests = tcase_create("jobs");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, words_of_enumerations_are_read_back);
    tcase_add_test(tests, a_resource_goes_over);
    tcase_add_test(tests, a_record_goes_over);
    tcase_add_test(tests, a_change_goes_over_whole);
    tcase_add_test(tests, a_result_goes_over);
    tcase_add_loop_test(tests, a_map_of_the_wrong_shape_is_refused, 0, sizeof wrongs / sizeof wrongs[0]);
    tcase_add_test(tests, a_full_arena_is_no_crash);
    suite_add_tcase(suite, tests);
    return suite;
}
