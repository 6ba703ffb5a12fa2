/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "store/fixture.h"

#include <stdio.h>
#include <unistd.h>

/* --- apps ----------------------------------------------------------------------------------- */

START_TEST(a_start_loads_apps_sources_and_unfinished_history)
{
    world_open();
    int64_t shop = add_app("shop"), edge = add_app("edge");
    struct kl_txn *txn = kl_txn_new(world.store);
    kl_txn_put_app_state(txn, shop, S("{\"phase\":\"Idle\"}"));
    kl_txn_put_app_identity(txn, shop, S("host:1:/"));
    kl_txn_set_app_removed(txn, edge, true);
    kl_txn_put_source(txn, S("main"), S("{\"commit\":\"abc\"}"));
    struct kl_history_row done = {
        .id = kl_store_new_id(world.store), .app = shop, .started_ms = 1, .finished_ms = 2
    };
    struct kl_history_row open = { .id = kl_store_new_id(world.store), .app = shop, .started_ms = 3 };
    kl_txn_put_history(txn, &done);
    kl_txn_put_history(txn, &open);
    commit_ok(txn);
    world_close();
    world_open();
    struct kl_rows *rows = ASK(kl_store_load);
    ck_assert_uint_eq(rows->app_count, 2);
    ck_assert_int_eq(rows->apps[0].id, edge);
    ck_assert(rows->apps[0].removed);
    ck_assert_int_eq(rows->apps[1].id, shop);
    ck_assert_str(rows->apps[1].name, "shop");
    ck_assert_str(rows->apps[1].target, "host");
    ck_assert_str(rows->apps[1].identity, "host:1:/");
    ck_assert_str(rows->apps[1].state, "{\"phase\":\"Idle\"}");
    ck_assert_int_gt(rows->apps[1].created_ms, 0);
    ck_assert_uint_eq(rows->source_count, 1);
    ck_assert_str(rows->sources[0].state, "{\"commit\":\"abc\"}");
    ck_assert_uint_eq(rows->history_count, 1);
    ck_assert_int_eq(rows->history[0].id, open.id);
    kl_rows_free(rows);
}
END_TEST

START_TEST(two_apps_cannot_have_one_name)
{
    world_open();
    add_app("shop");
    int64_t other = add_app("other");
    struct kl_txn *txn = kl_txn_new(world.store);
    kl_txn_rename_app(txn, other, S("shop"));
    struct kilter_error err = commit(txn, KL_DURABLE);
    ck_assert_int_eq(err.code, KILTER_E_CONFLICT);
    ck_assert_ptr_nonnull(strstr(err.message, "shop"));
}
END_TEST

START_TEST(a_rename_keeps_what_the_app_owns)
{
    struct kilter_str claim = S("file:m:/etc/motd");
    world_open();
    int64_t app = add_app("old-name");
    struct kl_record_row record = record_of(app, "motd", &claim, 1);
    struct kl_txn *txn = kl_txn_new(world.store);
    kl_txn_put_record(txn, &record);
    commit_ok(txn);
    txn = kl_txn_new(world.store);
    kl_txn_rename_app(txn, app, S("new-name"));
    commit_ok(txn);
    world_close();
    world_open();
    struct kl_rows *rows = ASK(kl_store_list_records, app);
    ck_assert_uint_eq(rows->record_count, 1);
    kl_rows_free(rows);
    rows = ASK(kl_store_find_owners, &claim, (size_t)1);
    ck_assert_uint_eq(rows->owner_count, 1);
    ck_assert_int_eq(rows->owners[0].app, app);
    ck_assert_str(rows->owners[0].app_name, "new-name");
    kl_rows_free(rows);
}
END_TEST

START_TEST(a_deleted_app_leaves_only_its_events)
{
    struct kilter_str claim = S("file:m:/etc/motd");
    world_open();
    int64_t app = add_app("shop");
    struct kl_record_row record = record_of(app, "motd", &claim, 1);
    struct kl_history_row history = { .id = kl_store_new_id(world.store), .app = app, .started_ms = 1 };
    struct kl_approval_row approval = { .app = app, .plan_digest = S("d1") };
    struct kl_asked_row asked = { .app = app, .blob = S("x") };
    struct kl_artifact_row artifact = { .key = S("k"), .app = app, .blob = S("x") };
    struct kl_txn *txn = kl_txn_new(world.store);
    kl_txn_put_record(txn, &record);
    kl_txn_put_history(txn, &history);
    kl_txn_put_approval(txn, &approval);
    kl_txn_put_asked(txn, &asked);
    kl_txn_put_artifact(txn, &artifact, false);
    commit_ok(txn);
    add_event("synced", app, 0);
    txn = kl_txn_new(world.store);
    kl_txn_delete_app(txn, app);
    commit_ok(txn);
    struct kl_rows *owners = ASK(kl_store_find_owners, &claim, (size_t)1);
    struct kl_rows *records = ASK(kl_store_list_records, app), *histories = ASK(kl_store_list_history, app, 0, 0);
    struct kl_rows *approvals = ASK(kl_store_list_approvals, app), *questions = ASK(kl_store_get_asked, app);
    struct kl_rows *artifacts = ASK(kl_store_get_artifact, S("k"));
    ck_assert_uint_eq(owners->owner_count + records->record_count + histories->history_count +
                          approvals->approval_count + questions->asked_count + artifacts->artifact_count,
                      0);
    struct kl_event_filter filter = KL_EVENT_FILTER_INIT;
    filter.app_name = S("shop");
    struct kl_rows *events = ASK(kl_store_list_events, &filter);
    ck_assert_uint_eq(events->event_count, 1);
    kl_rows_free(owners);
    kl_rows_free(records);
    kl_rows_free(histories);
    kl_rows_free(approvals);
    kl_rows_free(questions);
    kl_rows_free(artifacts);
    kl_rows_free(events);
}
END_TEST

/* --- inventory -------------------------------------------------------------------------------- */

START_TEST(a_record_reads_back_as_it_was_put)
{
    struct kilter_str claims[] = { S("file:m:/b"), S("file:m:/a") };
    world_open();
    int64_t app = add_app("shop");
    struct kl_record_row record = record_of(app, "/etc/motd", claims, 2);
    record.id.name_space = S("a/b");
    record.last_bad = S("bad456");
    struct kl_txn *txn = kl_txn_new(world.store);
    kl_txn_put_record(txn, &record);
    commit_ok(txn);
    struct kl_rows *rows = ASK(kl_store_list_records, app);
    ck_assert_uint_eq(rows->record_count, 1);
    const struct kl_record_row *read = &rows->records[0];
    ck_assert(kilter_id_equal(&read->id, &record.id));
    ck_assert_str(read->id.api_version, "file.kilter.dev/v1");
    ck_assert_int_eq(read->status, KILTER_RECORD_OWNED);
    ck_assert_uint_eq(read->schema_version, 3);
    ck_assert_str(read->attributes, "{\"mode\":\"0644\"}");
    ck_assert_str(read->directives, "{}");
    ck_assert_str(read->dependencies, "[]");
    ck_assert_str(read->last_good, "abc123");
    ck_assert_str(read->last_bad, "bad456");
    ck_assert_int_gt(read->updated_ms, 0);
    ck_assert_uint_eq(read->claim_count, 2);
    ck_assert_str(read->claims[0], "file:m:/a");
    ck_assert_str(read->claims[1], "file:m:/b");
    kl_rows_free(rows);
}
END_TEST

START_TEST(another_version_of_a_resource_replaces_its_record)
{
    struct kilter_str claims[] = { S("one"), S("two") };
    world_open();
    int64_t app = add_app("shop");
    struct kl_record_row record = record_of(app, "motd", claims, 2);
    struct kl_txn *txn = kl_txn_new(world.store);
    kl_txn_put_record(txn, &record);
    commit_ok(txn);
    record.id.api_version = S("file.kilter.dev/v2");
    record.claim_count = 1;
    txn = kl_txn_new(world.store);
    kl_txn_put_record(txn, &record);
    commit_ok(txn);
    struct kl_rows *rows = ASK(kl_store_list_records, app);
    ck_assert_uint_eq(rows->record_count, 1);
    ck_assert_str(rows->records[0].id.api_version, "file.kilter.dev/v2");
    ck_assert_uint_eq(rows->records[0].claim_count, 1);
    kl_rows_free(rows);
    rows = ASK(kl_store_find_owners, claims, (size_t)2);
    ck_assert_uint_eq(rows->owner_count, 1);
    kl_rows_free(rows);
}
END_TEST

START_TEST(keys_tell_resources_apart)
{
    struct kilter_buf a = KILTER_BUF_INIT(4096), b = KILTER_BUF_INIT(4096);
    struct kilter_id one = { S("apps/v1"), S("K"), S("a/b"), S("c") };
    struct kilter_id two = { S("apps/v1"), S("K"), S("a"), S("b/c") };
    ck_assert_int_eq(kl_record_key(&a, &one), 0);
    ck_assert_int_eq(kl_record_key(&b, &two), 0);
    ck_assert_str(kilter_buf_view(&a), "apps/K/a%2Fb/c");
    ck_assert_str(kilter_buf_view(&b), "apps/K/a/b/c");
    kilter_buf_release(&a);
    kilter_buf_release(&b);
}
END_TEST

START_TEST(a_claim_of_another_app_is_refused_with_its_name)
{
    struct kilter_str claim = S("file:m:/etc/motd");
    world_open();
    int64_t shop = add_app("shop@prod"), edge = add_app("edge");
    struct kl_record_row record = record_of(shop, "motd", &claim, 1);
    struct kl_txn *txn = kl_txn_new(world.store);
    kl_txn_put_record(txn, &record);
    commit_ok(txn);
    record.app = edge;
    txn = kl_txn_new(world.store);
    kl_txn_put_pair(txn, S("with it"), S("v"));
    kl_txn_put_record(txn, &record);
    struct kilter_error err = commit(txn, KL_DURABLE);
    ck_assert_int_eq(err.code, KILTER_E_CONFLICT);
    ck_assert_msg(strstr(err.message, "shop@prod") != NULL, "%s", err.message);
    ck_assert_msg(strstr(err.message, "file:m:/etc/motd") != NULL, "%s", err.message);
    struct kl_rows *rows = ASK(kl_store_list_records, edge), *pairs = ASK(kl_store_list_pairs, S(""));
    ck_assert_uint_eq(rows->record_count, 0);
    ck_assert_uint_eq(pairs->pair_count, 0);
    kl_rows_free(rows);
    kl_rows_free(pairs);
}
END_TEST

START_TEST(two_records_of_an_app_cannot_share_a_claim)
{
    struct kilter_str claim = S("file:m:/etc/motd");
    world_open();
    int64_t app = add_app("shop");
    struct kl_record_row one = record_of(app, "one", &claim, 1), two = record_of(app, "two", &claim, 1);
    struct kl_txn *txn = kl_txn_new(world.store);
    kl_txn_put_record(txn, &one);
    kl_txn_put_record(txn, &two);
    ck_assert_int_eq(commit(txn, KL_DURABLE).code, KILTER_E_CONFLICT);
}
END_TEST

START_TEST(claims_move_in_one_transaction_whatever_its_order)
{
    struct kilter_str claims[] = { S("a"), S("b") };
    world_open();
    int64_t shop = add_app("shop"), edge = add_app("edge");
    struct kl_record_row one = record_of(shop, "one", &claims[0], 1), two = record_of(shop, "two", &claims[1], 1);
    struct kl_txn *txn = kl_txn_new(world.store);
    kl_txn_put_record(txn, &one);
    kl_txn_put_record(txn, &two);
    commit_ok(txn);
    one.claims = &claims[1];
    struct kl_record_row taken = record_of(edge, "taken", &claims[0], 1);
    txn = kl_txn_new(world.store);
    kl_txn_put_record(txn, &taken);
    kl_txn_put_record(txn, &one);
    kl_txn_delete_record(txn, shop, &two.id);
    commit_ok(txn);
    struct kl_rows *rows = ASK(kl_store_find_owners, claims, (size_t)2);
    ck_assert_uint_eq(rows->owner_count, 2);
    ck_assert_int_eq(rows->owners[0].app, edge);
    ck_assert_str(rows->owners[1].id.name, "one");
    kl_rows_free(rows);
}
END_TEST

START_TEST(a_status_changes_alone)
{
    struct kilter_str claim = S("a");
    world_open();
    int64_t app = add_app("shop");
    struct kl_record_row record = record_of(app, "motd", &claim, 1);
    struct kl_txn *txn = kl_txn_new(world.store);
    kl_txn_put_record(txn, &record);
    kl_txn_put_record_status(txn, app, &record.id, KILTER_RECORD_DELETING);
    commit_ok(txn);
    struct kl_rows *rows = ASK(kl_store_list_records, app);
    ck_assert_int_eq(rows->records[0].status, KILTER_RECORD_DELETING);
    ck_assert_uint_eq(rows->records[0].claim_count, 1);
    kl_rows_free(rows);
    txn = kl_txn_new(world.store);
    kl_txn_delete_record(txn, app, &record.id);
    kl_txn_delete_record(txn, app, &record.id);
    commit_ok(txn);
    rows = ASK(kl_store_find_owners, &claim, (size_t)1);
    ck_assert_uint_eq(rows->owner_count, 0);
    kl_rows_free(rows);
    txn = kl_txn_new(world.store);
    kl_txn_put_record_status(txn, app, &record.id, KILTER_RECORD_OWNED);
    ck_assert_int_eq(commit(txn, KL_DURABLE).code, KILTER_E_NOT_FOUND);
}
END_TEST

START_TEST(what_belongs_to_an_unknown_app_is_refused)
{
    world_open();
    struct kl_record_row record = record_of(77, "motd", NULL, 0);
    struct kl_history_row history = { .id = kl_store_new_id(world.store), .app = 77 };
    struct kl_approval_row approval = { .app = 77, .plan_digest = S("d") };
    struct kl_txn *txns[4];
    for (int i = 0; i < 4; i++)
        txns[i] = kl_txn_new(world.store);
    kl_txn_put_record(txns[0], &record);
    kl_txn_put_history(txns[1], &history);
    kl_txn_put_approval(txns[2], &approval);
    kl_txn_put_app_state(txns[3], 77, S("{}"));
    for (int i = 0; i < 4; i++) {
        struct kilter_error err = commit(txns[i], KL_DURABLE);
        ck_assert_int_eq(err.code, KILTER_E_NOT_FOUND);
        ck_assert_msg(strstr(err.message, "77") != NULL, "%s", err.message);
    }
}
END_TEST

START_TEST(texts_are_kept_byte_for_byte)
{
    static const char bytes[] = "nul \0 quote ' percent % invalid \xff end";
    struct kilter_str value = kilter_str_n(bytes, sizeof(bytes) - 1);
    world_open();
    struct kl_txn *txn = kl_txn_new(world.store);
    kl_txn_put_pair(txn, S("odd"), value);
    kl_txn_put_pair(txn, S("empty"), S(""));
    kl_txn_put_pair(txn, S("gone"), S("v"));
    kl_txn_put_pair(txn, S("gone"), KILTER_STR_NONE);
    commit_ok(txn);
    struct kl_rows *rows = ASK(kl_store_list_pairs, S(""));
    ck_assert_uint_eq(rows->pair_count, 2);
    ck_assert_str(rows->pairs[0].key, "empty");
    ck_assert_uint_eq(rows->pairs[0].value.len, 0);
    ck_assert(kilter_str_eq(rows->pairs[1].value, value));
    kl_rows_free(rows);
}
END_TEST

/* --- renders ------------------------------------------------------------------------------------ */

START_TEST(what_a_render_asked_is_kept_for_each_app)
{
    world_open();
    int64_t shop = add_app("shop"), edge = add_app("edge");
    struct kl_asked_row one = { .app = shop, .commit = S("c1"), .artifact = S("k1"), .blob = S("\1\2\3") };
    struct kl_asked_row two = { .app = edge, .commit = S("c2"), .blob = S("") };
    struct kl_txn *txn = kl_txn_new(world.store);
    kl_txn_put_asked(txn, &one);
    kl_txn_put_asked(txn, &two);
    commit_ok(txn);
    struct kl_rows *rows = ASK(kl_store_get_asked, shop);
    ck_assert_uint_eq(rows->asked_count, 1);
    ck_assert_str(rows->asked[0].commit, "c1");
    ck_assert_str(rows->asked[0].artifact, "k1");
    ck_assert_str(rows->asked[0].blob, "\1\2\3");
    kl_rows_free(rows);
    rows = ASK(kl_store_get_asked, 0);
    ck_assert_uint_eq(rows->asked_count, 2);
    kl_rows_free(rows);
    txn = kl_txn_new(world.store);
    kl_txn_delete_asked(txn, shop);
    commit_ok(txn);
    rows = ASK(kl_store_get_asked, 0);
    ck_assert_uint_eq(rows->asked_count, 1);
    kl_rows_free(rows);
}
END_TEST

static void put_artifact(const char *key, size_t size, bool secret)
{
    static char bytes[4096];
    memset(bytes, 'x', sizeof(bytes));
    struct kl_artifact_row artifact = { .key = kilter_str_c(key), .blob = kilter_str_n(bytes, size) };
    struct kl_txn *txn = kl_txn_new(world.store);
    kl_txn_put_artifact(txn, &artifact, secret);
    commit_ok(txn);
}

static bool has_artifact(const char *key)
{
    struct kl_rows *rows = ASK(kl_store_get_artifact, kilter_str_c(key));
    bool there = rows->artifact_count == 1;
    kl_rows_free(rows);
    return there;
}

START_TEST(the_cache_drops_what_was_unused_for_longest)
{
    struct kl_store_options options = KL_STORE_OPTIONS_INIT;
    options.max_artifact_bytes = 3000;
    world_open_with(&options);
    put_artifact("a", 1000, false);
    put_artifact("b", 1000, false);
    put_artifact("c", 1000, false);
    ck_assert(has_artifact("a"));
    put_artifact("d", 1000, false);
    ck_assert(!has_artifact("b"));
    ck_assert(has_artifact("a") && has_artifact("c") && has_artifact("d"));
    world_close();
    world_open_with(&options);
    put_artifact("e", 2000, false);
    ck_assert(!has_artifact("a") && !has_artifact("c"));
    ck_assert(has_artifact("d") && has_artifact("e"));
    put_artifact("too large", 3001, false);
    ck_assert(!has_artifact("too large"));
    ck_assert(has_artifact("d") && has_artifact("e"));
}
END_TEST

START_TEST(a_secret_render_is_never_stored)
{
    world_open();
    put_artifact("k", 100, false);
    ck_assert(has_artifact("k"));
    put_artifact("k", 100, true);
    ck_assert(!has_artifact("k"));
}
END_TEST

START_TEST(an_answer_that_is_too_large_is_an_error)
{
    struct kl_store_options options = KL_STORE_OPTIONS_INIT;
    options.max_result_bytes = 64 << 10;
    struct answer answer = { 0 };
    world_open_with(&options);
    for (int i = 0; i < 40; i++) {
        char key[16];
        static char bytes[4000];
        memset(bytes, 'x', sizeof(bytes));
        snprintf(key, sizeof(key), "key-%02d", i);
        struct kl_txn *txn = kl_txn_new(world.store);
        kl_txn_put_pair(txn, kilter_str_c(key), kilter_str_n(bytes, sizeof(bytes)));
        commit_ok(txn);
    }
    kl_store_list_pairs(world.store, S(""), answer_query, &answer);
    await(&answer);
    ck_assert_int_eq(answer.err.code, KILTER_E_LIMIT);
    ck_assert_ptr_null(answer.rows);
    kl_rows_free(ASK(kl_store_list_pairs, S("key-01")));
}
END_TEST

/* --- history, events, approvals ------------------------------------------------------------------ */

START_TEST(history_is_updated_and_read_whole)
{
    world_open();
    int64_t app = add_app("shop");
    struct kl_history_row h = { .id = kl_store_new_id(world.store),
                                .app = app,
                                .started_ms = 10,
                                .commit = S("c1"),
                                .previous_commit = S("c0"),
                                .author = S("ana"),
                                .subject = S("raise the limit"),
                                .trigger = S("commit"),
                                .actor = S("timer") };
    struct kl_txn *txn = kl_txn_new(world.store);
    kl_txn_put_history(txn, &h);
    commit_ok(txn);
    h.finished_ms = 20;
    h.result = S("Synced");
    h.reason = S("ApplyFailed");
    h.counts = S("{\"created\":1}");
    h.plan_digest = S("d1");
    h.message = S("3 of 12 applied");
    h.summary = S("[1,2]");
    txn = kl_txn_new(world.store);
    kl_txn_put_history(txn, &h);
    commit_ok(txn);
    struct kl_rows *rows = ASK(kl_store_get_history, h.id);
    ck_assert_uint_eq(rows->history_count, 1);
    const struct kl_history_row *read = &rows->history[0];
    ck_assert_int_eq(read->started_ms, 10);
    ck_assert_int_eq(read->finished_ms, 20);
    ck_assert_str(read->commit, "c1");
    ck_assert_str(read->previous_commit, "c0");
    ck_assert_str(read->author, "ana");
    ck_assert_str(read->subject, "raise the limit");
    ck_assert_str(read->trigger, "commit");
    ck_assert_str(read->actor, "timer");
    ck_assert_str(read->result, "Synced");
    ck_assert_str(read->reason, "ApplyFailed");
    ck_assert_str(read->counts, "{\"created\":1}");
    ck_assert_str(read->plan_digest, "d1");
    ck_assert_str(read->message, "3 of 12 applied");
    ck_assert_str(read->summary, "[1,2]");
    kl_rows_free(rows);
    rows = ASK(kl_store_list_history, app, 0, 0);
    ck_assert_uint_eq(rows->history_count, 1);
    ck_assert_str(rows->history[0].summary, "");
    kl_rows_free(rows);
}
END_TEST

static void add_history(int64_t app, int count, int64_t finished)
{
    struct kl_txn *txn = kl_txn_new(world.store);
    for (int i = 0; i < count; i++) {
        struct kl_history_row h = {
            .id = kl_store_new_id(world.store), .app = app, .started_ms = i + 1, .finished_ms = finished
        };
        kl_txn_put_history(txn, &h);
    }
    commit_ok(txn);
}

START_TEST(history_comes_in_pages_newest_first)
{
    world_open();
    int64_t app = add_app("shop"), other = add_app("other");
    add_history(app, 12, 1);
    add_history(other, 3, 1);
    add_history(app, 13, 1);
    int64_t before = 0;
    size_t seen = 0, pages = 0;
    bool more = true;
    while (more) {
        struct kl_rows *rows = ASK(kl_store_list_history, app, before, 10);
        for (size_t i = 0; i < rows->history_count; i++) {
            ck_assert(before == 0 || rows->history[i].id < before);
            ck_assert_int_eq(rows->history[i].app, app);
            before = rows->history[i].id;
            seen++;
        }
        more = rows->more;
        pages++;
        kl_rows_free(rows);
    }
    ck_assert_uint_eq(seen, 25);
    ck_assert_uint_eq(pages, 3);
}
END_TEST

START_TEST(finished_history_is_kept_up_to_its_limit)
{
    struct kl_store_options options = KL_STORE_OPTIONS_INIT;
    options.max_history = 5;
    world_open_with(&options);
    int64_t app = add_app("shop"), other = add_app("other");
    add_history(other, 4, 1);
    add_history(app, 2, 0);
    add_history(app, 9, 1);
    struct kl_rows *mine = ASK(kl_store_list_history, app, 0, 0), *others = ASK(kl_store_list_history, other, 0, 0);
    ck_assert_uint_eq(mine->history_count, 7);
    ck_assert_int_eq(mine->history[6].finished_ms, 0);
    ck_assert_uint_eq(others->history_count, 4);
    kl_rows_free(mine);
    kl_rows_free(others);
}
END_TEST

static size_t count_events(struct kl_event_filter filter)
{
    filter.limit = 1000;
    struct kl_rows *rows = ASK(kl_store_list_events, &filter);
    size_t count = rows->event_count;
    kl_rows_free(rows);
    return count;
}

START_TEST(an_event_reads_back_as_it_was_added)
{
    struct kl_event_row event = { .time_ms = kl_clock_wall_ms() - 1000,
                                  .app = 5,
                                  .app_name = S("shop"),
                                  .kind = S("approve"),
                                  .actor = S("uid:1000"),
                                  .commit = S("c1"),
                                  .author = S("ana"),
                                  .severity = KL_WARNING,
                                  .message = S("approved"),
                                  .data = S("{\"a\":1}") };
    struct kl_event_filter filter = KL_EVENT_FILTER_INIT;
    world_open();
    struct kl_txn *txn = kl_txn_new(world.store);
    kl_txn_add_event(txn, &event);
    commit_ok(txn);
    struct kl_rows *rows = ASK(kl_store_list_events, &filter);
    ck_assert_uint_eq(rows->event_count, 1);
    const struct kl_event_row *read = &rows->events[0];
    ck_assert_int_gt(read->id, 0);
    ck_assert_int_eq(read->time_ms, event.time_ms);
    ck_assert_int_eq(read->app, 5);
    ck_assert_str(read->app_name, "shop");
    ck_assert_str(read->kind, "approve");
    ck_assert_str(read->actor, "uid:1000");
    ck_assert_str(read->commit, "c1");
    ck_assert_str(read->author, "ana");
    ck_assert_int_eq(read->severity, KL_WARNING);
    ck_assert_str(read->message, "approved");
    ck_assert_str(read->data, "{\"a\":1}");
    kl_rows_free(rows);
}
END_TEST

START_TEST(events_are_filtered)
{
    struct kl_event_filter all = KL_EVENT_FILTER_INIT, by_app = all, by_name = all, by_kind = all, by_both = all,
                           severe = all;
    world_open();
    for (int i = 0; i < 12; i++)
        add_event(i % 3 ? "synced" : "failed", i % 2 + 1, 0);
    by_app.app = 2;
    by_kind.kind = S("failed");
    by_both.app = 2;
    by_both.kind = S("failed");
    by_name.app_name = S("nobody");
    severe.severity = KL_WARNING;
    ck_assert_uint_eq(count_events(all), 12);
    ck_assert_uint_eq(count_events(by_app), 6);
    ck_assert_uint_eq(count_events(by_kind), 4);
    ck_assert_uint_eq(count_events(by_both), 2);
    ck_assert_uint_eq(count_events(by_name), 0);
    ck_assert_uint_eq(count_events(severe), 0);
    by_name.app_name = S("shop");
    severe.severity = KL_INFO;
    ck_assert_uint_eq(count_events(by_name), 12);
    ck_assert_uint_eq(count_events(severe), 12);
}
END_TEST

START_TEST(events_come_in_pages_both_ways)
{
    struct kl_event_filter filter = KL_EVENT_FILTER_INIT;
    world_open();
    for (int i = 0; i < 25; i++)
        add_event("synced", 1, 0);
    filter.limit = 10;
    struct kl_rows *rows = ASK(kl_store_list_events, &filter);
    ck_assert_uint_eq(rows->event_count, 10);
    ck_assert(rows->more);
    int64_t newest = rows->events[0].id;
    filter.before = rows->events[9].id;
    kl_rows_free(rows);
    rows = ASK(kl_store_list_events, &filter);
    ck_assert_int_eq(rows->events[0].id, filter.before - 1);
    kl_rows_free(rows);
    filter = (struct kl_event_filter){ .follow = true, .limit = 10 };
    int64_t seen = 0;
    do {
        rows = ASK(kl_store_list_events, &filter);
        for (size_t i = 0; i < rows->event_count; i++) {
            ck_assert_int_gt(rows->events[i].id, filter.after);
            filter.after = rows->events[i].id;
            seen++;
        }
        bool more = rows->more;
        kl_rows_free(rows);
        if (!more)
            break;
    } while (seen < 100);
    ck_assert_int_eq(seen, 25);
    ck_assert_int_eq(filter.after, newest);
}
END_TEST

START_TEST(the_oldest_events_go_by_count)
{
    struct kl_store_options options = KL_STORE_OPTIONS_INIT;
    options.max_events = 32;
    struct kl_event_filter filter = KL_EVENT_FILTER_INIT;
    world_open_with(&options);
    for (int i = 0; i < 100; i++)
        add_event("synced", 1, 0);
    ck_assert_uint_ge(count_events(filter), 32);
    ck_assert_uint_le(count_events(filter), 32 + 3);
    filter.limit = 1;
    struct kl_rows *rows = ASK(kl_store_list_events, &filter);
    ck_assert_int_eq(rows->events[0].id, 100);
    kl_rows_free(rows);
}
END_TEST

START_TEST(the_oldest_events_go_by_age)
{
    struct kl_store_options options = KL_STORE_OPTIONS_INIT;
    struct kl_event_filter filter = KL_EVENT_FILTER_INIT;
    options.max_event_age_ms = 60000;
    world_open_with(&options);
    for (int i = 0; i < 5; i++)
        add_event("old", 1, kl_clock_wall_ms() - 120000);
    for (int i = 0; i < 3; i++)
        add_event("young", 1, 0);
    world_close();
    world_open_with(&options);
    ck_assert_uint_eq(count_events(filter), 3);
    filter.kind = S("old");
    ck_assert_uint_eq(count_events(filter), 0);
}
END_TEST

START_TEST(events_cannot_be_changed)
{
    world_open();
    add_event("synced", 1, 0);
    world_close();
    sqlite3 *db = NULL;
    ck_assert_int_eq(sqlite3_open(world.path, &db), SQLITE_OK);
    ck_assert_int_ne(sqlite3_exec(db, "UPDATE events SET actor = 'nobody'", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}
END_TEST

START_TEST(approvals_are_given_and_voided)
{
    world_open();
    int64_t app = add_app("shop");
    struct kl_approval_row one = {
        .app = app, .plan_digest = S("d1"), .commit = S("c1"), .actor = S("ana"), .time_ms = 1
    };
    struct kl_approval_row two = one;
    two.plan_digest = S("d2");
    two.time_ms = 2;
    struct kl_txn *txn = kl_txn_new(world.store);
    kl_txn_put_approval(txn, &one);
    kl_txn_put_approval(txn, &two);
    kl_txn_void_approval(txn, app, S("d1"));
    commit_ok(txn);
    struct kl_rows *rows = ASK(kl_store_list_approvals, app);
    ck_assert_uint_eq(rows->approval_count, 2);
    ck_assert_str(rows->approvals[0].plan_digest, "d2");
    ck_assert(!rows->approvals[0].is_void);
    ck_assert_str(rows->approvals[0].actor, "ana");
    ck_assert(rows->approvals[1].is_void);
    kl_rows_free(rows);
    txn = kl_txn_new(world.store);
    kl_txn_void_approval(txn, app, KILTER_STR_NONE);
    commit_ok(txn);
    rows = ASK(kl_store_list_approvals, app);
    ck_assert(rows->approvals[0].is_void && rows->approvals[1].is_void);
    kl_rows_free(rows);
}
END_TEST

static void add_app_tests(Suite *suite)
{
    TCase *tc = tcase_create("apps and inventory");
    tcase_add_checked_fixture(tc, world_setup, world_teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_start_loads_apps_sources_and_unfinished_history);
    tcase_add_test(tc, two_apps_cannot_have_one_name);
    tcase_add_test(tc, a_rename_keeps_what_the_app_owns);
    tcase_add_test(tc, a_deleted_app_leaves_only_its_events);
    tcase_add_test(tc, a_record_reads_back_as_it_was_put);
    tcase_add_test(tc, another_version_of_a_resource_replaces_its_record);
    tcase_add_test(tc, keys_tell_resources_apart);
    tcase_add_test(tc, a_claim_of_another_app_is_refused_with_its_name);
    tcase_add_test(tc, two_records_of_an_app_cannot_share_a_claim);
    tcase_add_test(tc, claims_move_in_one_transaction_whatever_its_order);
    tcase_add_test(tc, a_status_changes_alone);
    tcase_add_test(tc, what_belongs_to_an_unknown_app_is_refused);
    tcase_add_test(tc, texts_are_kept_byte_for_byte);
    suite_add_tcase(suite, tc);
}

static void add_render_tests(Suite *suite)
{
    TCase *tc = tcase_create("renders");
    tcase_add_checked_fixture(tc, world_setup, world_teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, what_a_render_asked_is_kept_for_each_app);
    tcase_add_test(tc, the_cache_drops_what_was_unused_for_longest);
    tcase_add_test(tc, a_secret_render_is_never_stored);
    tcase_add_test(tc, an_answer_that_is_too_large_is_an_error);
    suite_add_tcase(suite, tc);
}

Suite *suite_rows(void)
{
    Suite *suite = suite_create("store: rows");
    add_app_tests(suite);
    add_render_tests(suite);
    TCase *tc = tcase_create("history, events, approvals");
    tcase_add_checked_fixture(tc, world_setup, world_teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, history_is_updated_and_read_whole);
    tcase_add_test(tc, history_comes_in_pages_newest_first);
    tcase_add_test(tc, finished_history_is_kept_up_to_its_limit);
    tcase_add_test(tc, an_event_reads_back_as_it_was_added);
    tcase_add_test(tc, events_are_filtered);
    tcase_add_test(tc, events_come_in_pages_both_ways);
    tcase_add_test(tc, the_oldest_events_go_by_count);
    tcase_add_test(tc, the_oldest_events_go_by_age);
    tcase_add_test(tc, events_cannot_be_changed);
    tcase_add_test(tc, approvals_are_given_and_voided);
    suite_add_tcase(suite, tc);
    return suite;
}
