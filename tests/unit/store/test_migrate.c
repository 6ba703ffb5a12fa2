/* SPDX-License-Identifier: Apache-2.0 */
#include "store/fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A store as version 1 made it, with something in every table. Written down here once and never changed: what
 * was released must go on being opened. */
static const char version_1[] =
    "CREATE TABLE meta ( key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE apps ( id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, target TEXT NOT"
    " NULL, identity TEXT NOT NULL, state TEXT NOT NULL, removed INTEGER NOT NULL CHECK (removed IN (0, "
    "1)), created INTEGER NOT NULL) STRICT;"
    "CREATE TABLE inventory ( app INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE, key TEXT NOT "
    "NULL, api_version TEXT NOT NULL, kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, "
    "status INTEGER NOT NULL CHECK (status BETWEEN 1 AND 5), schema_version INTEGER NOT NULL, attributes "
    "TEXT NOT NULL, directives TEXT NOT NULL, dependencies TEXT NOT NULL, last_good TEXT NOT NULL, "
    "last_bad TEXT NOT NULL, updated INTEGER NOT NULL, PRIMARY KEY (app, key)) STRICT;"
    "CREATE TABLE claims ( claim TEXT PRIMARY KEY NOT NULL, app INTEGER NOT NULL, key TEXT NOT NULL, "
    "FOREIGN KEY (app, key) REFERENCES inventory (app, key) ON DELETE CASCADE) STRICT, WITHOUT ROWID;"
    "CREATE INDEX claims_by_record ON claims (app, key);"
    "CREATE TABLE sources ( name TEXT PRIMARY KEY NOT NULL, state TEXT NOT NULL) STRICT;"
    "CREATE TABLE asked ( app INTEGER PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE, commit_id TEXT "
    "NOT NULL, artifact TEXT NOT NULL, answers BLOB NOT NULL) STRICT;"
    "CREATE TABLE artifacts ( key TEXT PRIMARY KEY NOT NULL, app INTEGER REFERENCES apps (id) ON DELETE "
    "CASCADE, size INTEGER NOT NULL, created INTEGER NOT NULL, used INTEGER NOT NULL, content BLOB NOT "
    "NULL) STRICT;"
    "CREATE INDEX artifacts_by_app ON artifacts (app);"
    "CREATE INDEX artifacts_by_use ON artifacts (used, size);"
    "CREATE TABLE history ( id INTEGER PRIMARY KEY AUTOINCREMENT, app INTEGER NOT NULL REFERENCES apps "
    "(id) ON DELETE CASCADE, started INTEGER NOT NULL, finished INTEGER NOT NULL, commit_id TEXT NOT "
    "NULL, previous_commit TEXT NOT NULL, author TEXT NOT NULL, subject TEXT NOT NULL, cause TEXT NOT "
    "NULL, actor TEXT NOT NULL, result TEXT NOT NULL, reason TEXT NOT NULL, counts TEXT NOT NULL, "
    "plan_digest TEXT NOT NULL, message TEXT NOT NULL, summary TEXT NOT NULL) STRICT;"
    "CREATE INDEX history_by_app ON history (app, id);"
    "CREATE INDEX history_unfinished ON history (id) WHERE finished = 0;"
    "CREATE TABLE events ( id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, app INTEGER NOT "
    "NULL, app_name TEXT NOT NULL, kind TEXT NOT NULL, actor TEXT NOT NULL, commit_id TEXT NOT NULL, "
    "author TEXT NOT NULL, severity INTEGER NOT NULL, message TEXT NOT NULL, data TEXT NOT NULL) STRICT;"
    "CREATE INDEX events_by_app ON events (app, id);"
    "CREATE INDEX events_by_app_name ON events (app_name, id);"
    "CREATE INDEX events_by_kind ON events (kind, id);"
    "CREATE TRIGGER events_are_final BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are never "
    "changed'); END;"
    "CREATE TABLE approvals ( app INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE, plan_digest "
    "TEXT NOT NULL, commit_id TEXT NOT NULL, actor TEXT NOT NULL, time INTEGER NOT NULL, void INTEGER NOT"
    " NULL CHECK (void IN (0, 1)), PRIMARY KEY (app, plan_digest)) STRICT;"
    "CREATE TABLE pairs ( key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) STRICT;"
    "PRAGMA application_id=1263293522;"
    "PRAGMA user_version=1;"
    "INSERT INTO meta VALUES ('installation', 'acme'), ('lineage', '6c1a6a3e-54c9-4a0e-8ae5-0f1d2c3b4a59'),"
    " ('open', '0');"
    "INSERT INTO apps VALUES (7, 'shop@prod', 'host', 'host:1:/', '{\"phase\":\"Idle\"}', 0, 1700000000000);"
    "INSERT INTO inventory VALUES (7, 'file.kilter.dev/File//motd', 'file.kilter.dev/v1', 'File', '', 'motd', 2, 1,"
    " '{\"mode\":\"0644\"}', '{}', '[]', 'abc', '', 1700000000000);"
    "INSERT INTO claims VALUES ('file:m:/etc/motd', 7, 'file.kilter.dev/File//motd');"
    "INSERT INTO sources VALUES ('main', '{}');"
    "INSERT INTO asked VALUES (7, 'abc', 'k', x'010203');"
    "INSERT INTO artifacts VALUES ('k', 7, 3, 1700000000000, 1700000000000000, x'010203');"
    "INSERT INTO history VALUES (9, 7, 1, 2, 'abc', 'aaa', 'ana', 'subject', 'commit', 'timer', 'Synced', '', '{}',"
    " 'd', '', '{}');"
    "INSERT INTO events VALUES (3, 4000000000000, 7, 'shop@prod', 'synced', 'timer', 'abc', 'ana', 2, 'm', '{}');"
    "INSERT INTO approvals VALUES (7, 'd', 'abc', 'ana', 1, 0);"
    "INSERT INTO pairs VALUES ('key', 'value');";

static void check_content(void)
{
    struct kilter_str claim = S("file:m:/etc/motd");
    struct kl_event_filter filter = KL_EVENT_FILTER_INIT;
    struct kl_rows *load = ASK(kl_store_load), *owners = ASK(kl_store_find_owners, &claim, (size_t)1);
    struct kl_rows *records = ASK(kl_store_list_records, 7), *history = ASK(kl_store_list_history, 7, 0, 0);
    struct kl_rows *events = ASK(kl_store_list_events, &filter), *approvals = ASK(kl_store_list_approvals, 7);
    struct kl_rows *asked = ASK(kl_store_get_asked, 7), *artifacts = ASK(kl_store_get_artifact, S("k"));
    struct kl_rows *pairs = ASK(kl_store_list_pairs, S(""));
    ck_assert_uint_eq(load->app_count, 1);
    ck_assert_int_eq(load->apps[0].id, 7);
    ck_assert_str(load->apps[0].name, "shop@prod");
    ck_assert_uint_eq(load->source_count, 1);
    ck_assert_str(owners->owners[0].app_name, "shop@prod");
    ck_assert_str(records->records[0].attributes, "{\"mode\":\"0644\"}");
    ck_assert_uint_eq(history->history_count, 1);
    ck_assert_uint_eq(events->event_count, 1);
    ck_assert_uint_eq(approvals->approval_count, 1);
    ck_assert_str(asked->asked[0].blob, "\1\2\3");
    ck_assert_str(artifacts->artifacts[0].blob, "\1\2\3");
    ck_assert_str(pairs->pairs[0].value, "value");
    ck_assert_int_eq(kl_store_new_id(world.store), 10);
    struct kl_rows *all[] = { load, owners, records, history, events, approvals, asked, artifacts, pairs };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        kl_rows_free(all[i]);
}

/* A list of steps that begins with the real ones and goes on. */
static const char *steps[16];
static struct kl_schema later = { steps, 0 };

static void make_schema(uint32_t extra)
{
    static const char *const more[] = {
        "ALTER TABLE apps ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue';",
        "CREATE TABLE pairs_new (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) STRICT;"
        "INSERT INTO pairs_new SELECT key, value FROM pairs; DROP TABLE pairs;"
        "ALTER TABLE pairs_new RENAME TO pairs;",
    };
    later.version = kl_schema_current.version + extra;
    for (uint32_t i = 0; i < later.version; i++)
        steps[i] = i < kl_schema_current.version ? kl_schema_current.steps[i] : more[i - kl_schema_current.version];
}

static int open_as(const struct kl_schema *schema, struct kilter_error *err)
{
    return kl_store_open_schema(&world.loop, world.path, NULL, schema, &world.store, err);
}

static int64_t version_of(const char *path)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    ck_assert_int_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &statement, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    int64_t version = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return version;
}

START_TEST(a_store_of_version_1_opens)
{
    run_sql(world.path, version_1);
    world_open();
    const struct kl_store_info *info = kl_store_info(world.store);
    ck_assert_str_eq(info->installation, "acme");
    ck_assert_str_eq(info->lineage, "6c1a6a3e-54c9-4a0e-8ae5-0f1d2c3b4a59");
    ck_assert_uint_eq(info->migrated_from, 1);
    ck_assert_uint_eq(info->schema, kl_schema_current.version);
    ck_assert_int_eq(info->backup != NULL, kl_schema_current.version > 1);
    check_content();
}
END_TEST

/* Names and texts of a file's tables, blanks squeezed: what CREATE said does not depend on its layout. */
static char *schema_text(const char *path)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    struct kilter_buf out = KILTER_BUF_INIT(1 << 20);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name", -1,
                                        &statement, NULL),
                     SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        for (; *text; text++)
            if (*text != ' ')
                kilter_buf_char(&out, *text);
        kilter_buf_char(&out, '\n');
    }
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return out.ptr;
}

START_TEST(the_first_step_is_still_what_it_was)
{
    char fixture[160];
    snprintf(fixture, sizeof(fixture), "%s/v1.db", world.dir);
    run_sql(fixture, version_1);
    struct kl_schema first = { kl_schema_current.steps, 1 };
    ck_assert_int_eq(open_as(&first, NULL), 0);
    world_close();
    char *made = schema_text(world.path), *released = schema_text(fixture);
    ck_assert_str_eq(made, released);
    free(made);
    free(released);
}
END_TEST

START_TEST(every_version_migrates_to_the_newest)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    run_sql(world.path, version_1);
    if (_i > 0) {
        make_schema((uint32_t)_i);
        ck_assert_msg(open_as(&later, &err) == 0, "%s", err.message);
        world_close();
    }
    int64_t from = version_of(world.path);
    make_schema(2);
    ck_assert_msg(open_as(&later, &err) == 0, "%s", err.message);
    const struct kl_store_info *info = kl_store_info(world.store);
    ck_assert_int_eq(info->migrated_from, from);
    ck_assert_uint_eq(info->schema, later.version);
    ck_assert_int_eq(info->backup != NULL, from < later.version);
    check_content();
    world_close();
    ck_assert_int_eq(version_of(world.path), later.version);
}
END_TEST

START_TEST(a_backup_is_made_before_migrating_and_is_a_store)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct stat st;
    run_sql(world.path, version_1);
    make_schema(2);
    ck_assert_msg(open_as(&later, &err) == 0, "%s", err.message);
    char *backup = strdup(kl_store_info(world.store)->backup);
    world_close();
    ck_assert_int_eq(stat(backup, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(version_of(backup), 1);
    ck_assert_int_eq(rename(backup, world.path), 0);
    world_open();
    check_content();
    free(backup);
}
END_TEST

START_TEST(a_newer_store_is_refused_with_both_versions)
{
    char theirs[32], ours[32];
    make_schema(2);
    ck_assert_int_eq(open_as(&later, NULL), 0);
    world_close();
    size_t before_len, after_len;
    char *before = read_file(world.path, &before_len);
    struct kilter_error err = world_refusal();
    ck_assert_int_eq(err.code, KILTER_E_UNSUPPORTED);
    snprintf(theirs, sizeof(theirs), "version %u", later.version);
    snprintf(ours, sizeof(ours), "version %u", kl_schema_current.version);
    ck_assert_msg(strstr(err.message, theirs) && strstr(err.message, ours), "%s", err.message);
    ck_assert_ptr_nonnull(strstr(err.message, "backup"));
    char *after = read_file(world.path, &after_len);
    ck_assert(before_len == after_len && memcmp(before, after, after_len) == 0);
    free(before);
    free(after);
}
END_TEST

START_TEST(a_migration_that_fails_changes_nothing)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    run_sql(world.path, version_1);
    make_schema(2);
    steps[later.version - 1] = "DELETE FROM pairs; INSERT INTO no_such_table VALUES (1);";
    ck_assert_int_lt(open_as(&later, &err), 0);
    ck_assert_msg(strstr(err.message, "nothing was changed") && strstr(err.message, ".backup-v1-"), "%s",
                  err.message);
    ck_assert_msg(strstr(err.message, "no_such_table") != NULL, "%s", err.message);
    ck_assert_int_eq(version_of(world.path), 1);
    world_open();
    check_content();
}
END_TEST

START_TEST(a_migration_that_breaks_references_changes_nothing)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    run_sql(world.path, version_1);
    make_schema(1);
    steps[later.version - 1] = "DELETE FROM apps;";
    ck_assert_int_lt(open_as(&later, &err), 0);
    ck_assert_int_eq(version_of(world.path), 1);
    world_open();
    check_content();
}
END_TEST

START_TEST(without_a_version_it_is_damaged)
{
    run_sql(world.path, version_1);
    run_sql(world.path, "PRAGMA user_version=0");
    ck_assert_int_eq(world_refusal().sys_errno, EUCLEAN);
}
END_TEST

Suite *suite_migrate(void)
{
    Suite *suite = suite_create("store: migrations");
    TCase *tc = tcase_create("migrate");
    tcase_add_checked_fixture(tc, world_setup, world_teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_store_of_version_1_opens);
    tcase_add_test(tc, the_first_step_is_still_what_it_was);
    tcase_add_loop_test(tc, every_version_migrates_to_the_newest, 0, 3);
    tcase_add_test(tc, a_backup_is_made_before_migrating_and_is_a_store);
    tcase_add_test(tc, a_newer_store_is_refused_with_both_versions);
    tcase_add_test(tc, a_migration_that_fails_changes_nothing);
    tcase_add_test(tc, a_migration_that_breaks_references_changes_nothing);
    tcase_add_test(tc, without_a_version_it_is_damaged);
    suite_add_tcase(suite, tc);
    return suite;
}
