/* SPDX-License-Identifier: Apache-2.0 */
#include "store/internal.h"

#include "base/clock.h"

/* Approvals that are void are kept for a while, so that `why` can tell; no more than this for each app. */
#define KEPT_APPROVALS "50"

static int no_app(struct kilter_error *err, int64_t app)
{
    return kilter_error_set(err, KILTER_E_NOT_FOUND, "app %lld is not in the store", (long long)app);
}

/* --- apps ------------------------------------------------------------------------------------ */

/* Two apps with one name: says so with the name, where SQLite would say "UNIQUE constraint". */
static int check_name(struct kl_db *db, int64_t app, struct kilter_str name, struct kilter_error *err)
{
    int64_t other = 0;
    int status =
        kl_db_number(db, &other, 0, err, "SELECT id FROM apps WHERE name = ? AND id <> ?", "ti", name, app);
    if (status == 0 && other != 0)
        return kilter_error_set(err, KILTER_E_CONFLICT, "there is another app named %.*s (app %lld)",
                                KILTER_STR_ARG(name), (long long)other);
    return status;
}

/* The end of an update of one app. */
static int updated(struct kl_db *db, int64_t app, int status, struct kilter_error *err)
{
    return status == 0 && sqlite3_changes64(db->handle) == 0 ? no_app(err, app) : status;
}

int kl_ops_put_app(struct kl_db *db, const struct kl_op *op, struct kilter_error *err)
{
    const struct kl_app_row *app = op->item;
    int status = check_name(db, app->id, app->name, err);
    if (status < 0)
        return status;
    return kl_db_run(
        db, err,
        "INSERT INTO apps (id, name, target, identity, state, removed, created)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
        " ON CONFLICT (id) DO UPDATE SET name = ?2, target = ?3, identity = ?4, state = ?5, removed = ?6",
        "ittttii", app->id, app->name, app->target, app->identity, app->state, (int64_t)app->removed,
        app->created_ms);
}

int kl_ops_rename_app(struct kl_db *db, const struct kl_op *op, struct kilter_error *err)
{
    int status = check_name(db, op->app, op->key, err);
    if (status == 0)
        status = kl_db_run(db, err, "UPDATE apps SET name = ? WHERE id = ?", "ti", op->key, op->app);
    return updated(db, op->app, status, err);
}

int kl_ops_set_app_removed(struct kl_db *db, const struct kl_op *op, struct kilter_error *err)
{
    int status = kl_db_run(db, err, "UPDATE apps SET removed = ? WHERE id = ?", "ii", op->number, op->app);
    return updated(db, op->app, status, err);
}

int kl_ops_put_app_state(struct kl_db *db, const struct kl_op *op, struct kilter_error *err)
{
    int status = kl_db_run(db, err, "UPDATE apps SET state = ? WHERE id = ?", "ti", op->value, op->app);
    return updated(db, op->app, status, err);
}

int kl_ops_put_app_identity(struct kl_db *db, const struct kl_op *op, struct kilter_error *err)
{
    int status = kl_db_run(db, err, "UPDATE apps SET identity = ? WHERE id = ?", "ti", op->value, op->app);
    return updated(db, op->app, status, err);
}

int kl_ops_delete_app(struct kl_db *db, const struct kl_op *op, struct kilter_error *err)
{
    return kl_db_run(db, err, "DELETE FROM apps WHERE id = ?", "i", op->app);
}

/* --- inventory --------------------------------------------------------------------------------- */

int kl_ops_release_record(struct kl_db *db, const struct kl_op *op, struct kilter_error *err)
{
    return kl_db_run(db, err, "DELETE FROM claims WHERE app = ? AND key = ?", "it", op->app, op->key);
}

static int refuse_claim(struct kl_db *db, sqlite3_stmt *owner, struct kilter_str claim, struct kilter_error *err)
{
    (void)db;
    int status = kilter_error_set(err, KILTER_E_CONFLICT, "%.*s belongs to app %s already (as %s/%s%s%s)",
                                  KILTER_STR_ARG(claim), sqlite3_column_text(owner, 0),
                                  sqlite3_column_text(owner, 1), sqlite3_column_text(owner, 2),
                                  sqlite3_column_bytes(owner, 2) > 0 ? "/" : "", sqlite3_column_text(owner, 3));
    kl_db_done(owner);
    return status;
}

static int take_claim(struct kl_db *db, const struct kl_op *op, struct kilter_str claim, struct kilter_error *err)
{
    sqlite3_stmt *owner;
    int status = kl_db_query(db, &owner, err,
                             "SELECT a.name, i.kind, i.namespace, i.name FROM claims c JOIN apps a ON a.id = c.app"
                             " JOIN inventory i ON i.app = c.app AND i.key = c.key"
                             " WHERE c.claim = ?1 AND NOT (c.app = ?2 AND c.key = ?3)",
                             "tit", claim, op->app, op->key);
    if (status == 0)
        status = kl_db_next(db, owner, err);
    if (status > 0)
        return refuse_claim(db, owner, claim, err);
    if (status < 0)
        return status;
    return kl_db_run(db, err,
                     "INSERT INTO claims (claim, app, key) VALUES (?, ?, ?) ON CONFLICT (claim) DO NOTHING", "tit",
                     claim, op->app, op->key);
}

int kl_ops_put_record(struct kl_db *db, const struct kl_op *op, struct kilter_error *err)
{
    const struct kl_record_row *record = op->item;
    /* Once more: the same record may be put twice in one transaction. */
    int status = kl_ops_release_record(db, op, err);
    if (status == 0)
        status = kl_db_run(
            db, err,
            "INSERT INTO inventory (app, key, api_version, kind, namespace, name, status, schema_version,"
            "  attributes, directives, dependencies, last_good, last_bad, updated)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
            " ON CONFLICT (app, key) DO UPDATE SET api_version = ?3, status = ?7, schema_version = ?8,"
            "  attributes = ?9, directives = ?10, dependencies = ?11, last_good = ?12, last_bad = ?13,"
            "  updated = ?14",
            "ittttt"
            "iittttti",
            op->app, op->key, record->id.api_version, record->id.kind, record->id.name_space, record->id.name,
            (int64_t)record->status, (int64_t)record->schema_version, record->attributes, record->directives,
            record->dependencies, record->last_good, record->last_bad, record->updated_ms);
    for (size_t i = 0; status == 0 && i < record->claim_count; i++)
        status = take_claim(db, op, record->claims[i], err);
    return status == KILTER_E_NOT_FOUND ? no_app(err, op->app) : status;
}

int kl_ops_put_record_status(struct kl_db *db, const struct kl_op *op, struct kilter_error *err)
{
    int status = kl_db_run(db, err, "UPDATE inventory SET status = ?, updated = ? WHERE app = ? AND key = ?",
                           "iiit", op->number, kl_clock_wall_ms(), op->app, op->key);
    if (status == 0 && sqlite3_changes64(db->handle) == 0)
        return kilter_error_set(err, KILTER_E_NOT_FOUND, "app %lld has no record of %.*s", (long long)op->app,
                                KILTER_STR_ARG(op->key));
    return status;
}

int kl_ops_delete_record(struct kl_db *db, const struct kl_op *op, struct kilter_error *err)
{
    return kl_db_run(db, err, "DELETE FROM inventory WHERE app = ? AND key = ?", "it", op->app, op->key);
}

/* --- sources, renders ------------------------------------------------------------------------------ */

int kl_ops_put_source(struct kl_db *db, const struct kl_op *op, struct kilter_error *err)
{
    return kl_db_run(db, err, "INSERT OR REPLACE INTO sources (name, state) VALUES (?, ?)", "tt", op->key,
                     op->value);
}

int kl_ops_delete_source(struct kl_db *db, const struct kl_op *op, struct kilter_error *err)
{
    return kl_db_run(db, err, "DELETE FROM sources WHERE name = ?", "t", op->key);
}

int kl_ops_put_asked(struct kl_db *db, const struct kl_op *op, struct kilter_error *err)
{
    const struct kl_asked_row *asked = op->item;
    return kl_db_run(db, err,
                     "INSERT OR REPLACE INTO asked (app, commit_id, artifact, answers) VALUES (?, ?, ?, ?)", "ittb",
                     op->app, asked->commit, asked->artifact, asked->blob);
}

int kl_ops_delete_asked(struct kl_db *db, const struct kl_op *op, struct kilter_error *err)
{
    return kl_db_run(db, err, "DELETE FROM asked WHERE app = ?", "i", op->app);
}

/* Evicts until `more` bytes fit: what was unused for the longest time first. */
static int make_room(struct kl_db *db, int64_t more, struct kilter_error *err)
{
    int64_t total = 0;
    int status = kl_db_number(db, &total, 0, err, "SELECT sum(size) FROM artifacts", "");
    while (status == 0 && total > 0 && total + more > (int64_t)db->max_artifact_bytes) {
        int64_t oldest = 0, size = 0;
        status = kl_db_number(db, &oldest, 0, err, "SELECT min(used) FROM artifacts", "");
        if (status == 0)
            status = kl_db_number(db, &size, 0, err, "SELECT sum(size) FROM artifacts WHERE used = ?", "i", oldest);
        if (status == 0)
            status = kl_db_run(db, err, "DELETE FROM artifacts WHERE used = ?", "i", oldest);
        total -= size;
    }
    return status;
}

int kl_ops_put_artifact(struct kl_db *db, const struct kl_op *op, struct kilter_error *err)
{
    int status = kl_ops_delete_artifact(db, op, err);
    int64_t size = (int64_t)op->value.len;
    if (status < 0 || op->value.len > db->max_artifact_bytes)
        return status;
    status = make_room(db, size, err);
    if (status < 0)
        return status;
    return kl_db_run(db, err,
                     "INSERT INTO artifacts (key, app, size, created, used, content) VALUES (?, ?, ?, ?, ?, ?)",
                     "tziiib", op->key, op->app, size, kl_clock_wall_ms(), kl_db_use_time(db), op->value);
}

int kl_ops_delete_artifact(struct kl_db *db, const struct kl_op *op, struct kilter_error *err)
{
    return kl_db_run(db, err, "DELETE FROM artifacts WHERE key = ?", "t", op->key);
}

/* --- history, events, approvals --------------------------------------------------------------------- */

static int trim_history(struct kl_db *db, int64_t app, struct kilter_error *err)
{
    return kl_db_run(db, err,
                     "DELETE FROM history WHERE app = ?1 AND finished <> 0 AND id <= (SELECT id FROM history"
                     " WHERE app = ?1 AND finished <> 0 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                     "ii", app, (int64_t)db->max_history);
}

int kl_ops_put_history(struct kl_db *db, const struct kl_op *op, struct kilter_error *err)
{
    const struct kl_history_row *h = op->item;
    int status = kl_db_run(
        db, err,
        "INSERT INTO history (id, app, started, finished, commit_id, previous_commit, author,"
        "  subject, cause, actor, result, reason, counts, plan_digest, message, summary)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"
        " ON CONFLICT (id) DO UPDATE SET started = ?3, finished = ?4, commit_id = ?5,"
        "  previous_commit = ?6, author = ?7, subject = ?8, cause = ?9, actor = ?10, result = ?11,"
        "  reason = ?12, counts = ?13, plan_digest = ?14, message = ?15, summary = ?16",
        "iiii"
        "tttttttttttt",
        h->id, op->app, h->started_ms, h->finished_ms, h->commit, h->previous_commit, h->author, h->subject,
        h->trigger, h->actor, h->result, h->reason, h->counts, h->plan_digest, h->message, h->summary);
    if (status == KILTER_E_NOT_FOUND)
        return no_app(err, op->app);
    return status == 0 && h->finished_ms ? trim_history(db, op->app, err) : status;
}

int kl_ops_add_event(struct kl_db *db, const struct kl_op *op, struct kilter_error *err)
{
    const struct kl_event_row *e = op->item;
    int status =
        kl_db_run(db, err,
                  "INSERT INTO events (time, app, app_name, kind, actor, commit_id, author, severity, message,"
                  "  data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                  "iitttttitt", e->time_ms, op->app, e->app_name, e->kind, e->actor, e->commit, e->author,
                  (int64_t)e->severity, e->message, e->data);
    if (status == 0) {
        db->last_event = sqlite3_last_insert_rowid(db->handle);
        db->events_added++;
    }
    return status;
}

int kl_ops_put_approval(struct kl_db *db, const struct kl_op *op, struct kilter_error *err)
{
    const struct kl_approval_row *approval = op->item;
    int status = kl_db_run(db, err,
                           "INSERT OR REPLACE INTO approvals (app, plan_digest, commit_id, actor, time, void)"
                           " VALUES (?, ?, ?, ?, ?, ?)",
                           "itttii", op->app, approval->plan_digest, approval->commit, approval->actor,
                           approval->time_ms, (int64_t)approval->is_void);
    if (status == 0)
        status = kl_db_run(db, err,
                           "DELETE FROM approvals WHERE app = ?1 AND void = 1 AND rowid NOT IN (SELECT rowid FROM"
                           " approvals WHERE app = ?1 ORDER BY time DESC, rowid DESC LIMIT " KEPT_APPROVALS ")",
                           "i", op->app);
    return status == KILTER_E_NOT_FOUND ? no_app(err, op->app) : status;
}

int kl_ops_void_approval(struct kl_db *db, const struct kl_op *op, struct kilter_error *err)
{
    return kl_db_run(db, err, "UPDATE approvals SET void = 1 WHERE app = ?1 AND (?2 IS NULL OR plan_digest = ?2)",
                     "in", op->app, op->key);
}

int kl_ops_put_pair(struct kl_db *db, const struct kl_op *op, struct kilter_error *err)
{
    if (!op->value.ptr)
        return kl_db_run(db, err, "DELETE FROM pairs WHERE key = ?", "t", op->key);
    return kl_db_run(db, err, "INSERT OR REPLACE INTO pairs (key, value) VALUES (?, ?)", "tt", op->key, op->value);
}
