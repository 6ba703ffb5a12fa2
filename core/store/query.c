/* SPDX-License-Identifier: Apache-2.0 */
#include "store/internal.h"

#include <stdlib.h>

#define DEFAULT_PAGE 100
#define LARGEST_PAGE 1000

/* --- reading rows into a result ------------------------------------------------------------ */

/* A list that grows in the result's arena. */
struct rows {
    struct kl_rows *result;
    sqlite3_stmt *statement;
    void *items;
    size_t count;
    size_t room;
    bool failed; /* the arena is at its maximum */
};

static void *add_row(struct rows *rows, size_t size)
{
    if (rows->count == rows->room) {
        size_t room = rows->room ? rows->room * 2 : 16;
        void *items = kilter_arena_calloc(rows->result->arena, room, size);
        if (!items) {
            rows->failed = true;
            return NULL;
        }
        if (rows->count)
            memcpy(items, rows->items, rows->count * size);
        rows->items = items;
        rows->room = room;
    }
    return (char *)rows->items + size * rows->count++;
}

static struct kilter_str text(struct rows *rows, int column)
{
    struct kilter_str s;
    if (!kl_db_text(rows->result->arena, rows->statement, column, &s))
        rows->failed = true;
    return s;
}

static int64_t number(struct rows *rows, int column)
{
    return sqlite3_column_int64(rows->statement, column);
}

/* Reads all rows of a statement; `read` makes an item of the row at hand. */
static int read_rows(struct kl_db *db, struct rows *rows, void (*read)(struct rows *rows), struct kilter_error *err)
{
    int status;
    while ((status = kl_db_next(db, rows->statement, err)) > 0) {
        read(rows);
        if (rows->failed) {
            kl_db_done(rows->statement);
            return kilter_error_set(err, KILTER_E_LIMIT, "the answer is larger than the store gives at once");
        }
    }
    return status;
}

static void read_app(struct rows *rows)
{
    struct kl_app_row *app = add_row(rows, sizeof(*app));
    if (!app)
        return;
    app->id = number(rows, 0);
    app->name = text(rows, 1);
    app->target = text(rows, 2);
    app->identity = text(rows, 3);
    app->state = text(rows, 4);
    app->removed = number(rows, 5) != 0;
    app->created_ms = number(rows, 6);
}

static void read_source(struct rows *rows)
{
    struct kl_source_row *source = add_row(rows, sizeof(*source));
    if (!source)
        return;
    source->name = text(rows, 0);
    source->state = text(rows, 1);
}

static void read_record(struct rows *rows)
{
    struct kl_record_row *record = add_row(rows, sizeof(*record));
    if (!record)
        return;
    record->app = number(rows, 0);
    record->id.api_version = text(rows, 1);
    record->id.kind = text(rows, 2);
    record->id.name_space = text(rows, 3);
    record->id.name = text(rows, 4);
    record->status = (enum kilter_record_status)number(rows, 5);
    record->schema_version = (uint32_t)number(rows, 6);
    record->attributes = text(rows, 7);
    record->directives = text(rows, 8);
    record->dependencies = text(rows, 9);
    record->last_good = text(rows, 10);
    record->last_bad = text(rows, 11);
    record->updated_ms = number(rows, 12);
}

static void read_owner(struct rows *rows)
{
    struct kl_owner_row *owner = add_row(rows, sizeof(*owner));
    if (!owner)
        return;
    owner->claim = text(rows, 0);
    owner->app = number(rows, 1);
    owner->app_name = text(rows, 2);
    owner->id.api_version = text(rows, 3);
    owner->id.kind = text(rows, 4);
    owner->id.name_space = text(rows, 5);
    owner->id.name = text(rows, 6);
}

static void read_asked(struct rows *rows)
{
    struct kl_asked_row *asked = add_row(rows, sizeof(*asked));
    if (!asked)
        return;
    asked->app = number(rows, 0);
    asked->commit = text(rows, 1);
    asked->artifact = text(rows, 2);
    asked->blob = text(rows, 3);
}

static void read_artifact(struct rows *rows)
{
    struct kl_artifact_row *artifact = add_row(rows, sizeof(*artifact));
    if (!artifact)
        return;
    artifact->key = text(rows, 0);
    artifact->app = number(rows, 1);
    artifact->blob = text(rows, 2);
    artifact->created_ms = number(rows, 3);
    artifact->used_ms = number(rows, 4) / 1000;
}

#define HISTORY_COLUMNS                                                                                            \
    "id, app, started, finished, commit_id, previous_commit, author, subject, cause, actor, result, reason,"       \
    " counts, plan_digest, message"

static void read_history(struct rows *rows)
{
    struct kl_history_row *h = add_row(rows, sizeof(*h));
    if (!h)
        return;
    h->id = number(rows, 0);
    h->app = number(rows, 1);
    h->started_ms = number(rows, 2);
    h->finished_ms = number(rows, 3);
    h->commit = text(rows, 4);
    h->previous_commit = text(rows, 5);
    h->author = text(rows, 6);
    h->subject = text(rows, 7);
    h->trigger = text(rows, 8);
    h->actor = text(rows, 9);
    h->result = text(rows, 10);
    h->reason = text(rows, 11);
    h->counts = text(rows, 12);
    h->plan_digest = text(rows, 13);
    h->message = text(rows, 14);
    h->summary = text(rows, 15);
}

static void read_event(struct rows *rows)
{
    struct kl_event_row *e = add_row(rows, sizeof(*e));
    if (!e)
        return;
    e->id = number(rows, 0);
    e->time_ms = number(rows, 1);
    e->app = number(rows, 2);
    e->app_name = text(rows, 3);
    e->kind = text(rows, 4);
    e->actor = text(rows, 5);
    e->commit = text(rows, 6);
    e->author = text(rows, 7);
    e->severity = (enum kl_severity)number(rows, 8);
    e->message = text(rows, 9);
    e->data = text(rows, 10);
}

static void read_approval(struct rows *rows)
{
    struct kl_approval_row *approval = add_row(rows, sizeof(*approval));
    if (!approval)
        return;
    approval->app = number(rows, 0);
    approval->plan_digest = text(rows, 1);
    approval->commit = text(rows, 2);
    approval->actor = text(rows, 3);
    approval->time_ms = number(rows, 4);
    approval->is_void = number(rows, 5) != 0;
}

static void read_pair(struct rows *rows)
{
    struct kl_pair_row *pair = add_row(rows, sizeof(*pair));
    if (!pair)
        return;
    pair->key = text(rows, 0);
    pair->value = text(rows, 1);
}

/* --- the queries, on the store's thread -------------------------------------------------------- */

static int load(struct kl_db *db, const struct kl_query *query, struct kl_rows *result, struct kilter_error *err)
{
    (void)query;
    struct rows apps = { .result = result }, sources = { .result = result }, history = { .result = result };
    int status =
        kl_db_query(db, &apps.statement, err,
                    "SELECT id, name, target, identity, state, removed, created FROM apps ORDER BY name", "");
    if (status == 0)
        status = read_rows(db, &apps, read_app, err);
    if (status == 0)
        status = kl_db_query(db, &sources.statement, err, "SELECT name, state FROM sources ORDER BY name", "");
    if (status == 0)
        status = read_rows(db, &sources, read_source, err);
    if (status == 0)
        status = kl_db_query(db, &history.statement, err,
                             "SELECT " HISTORY_COLUMNS ", summary FROM history WHERE finished = 0 ORDER BY id", "");
    if (status == 0)
        status = read_rows(db, &history, read_history, err);
    result->apps = apps.items;
    result->app_count = apps.count;
    result->sources = sources.items;
    result->source_count = sources.count;
    result->history = history.items;
    result->history_count = history.count;
    return status;
}

/* The claims of a record come as rows that begin with its key. Both lists are in the order of keys. */
struct claim_row {
    struct kilter_str key;
    struct kilter_str claim;
};

static void read_claim(struct rows *rows)
{
    struct claim_row *row = add_row(rows, sizeof(*row));
    if (!row)
        return;
    row->key = text(rows, 0);
    row->claim = text(rows, 1);
}

static void read_key(struct rows *rows)
{
    struct kilter_str *key = add_row(rows, sizeof(*key));
    if (key)
        *key = text(rows, 0);
}

/* Gives each record its part of the claims. */
static int distribute_claims(struct rows *records, struct rows *keys, struct rows *claims, struct kilter_error *err)
{
    struct kilter_str *texts = kilter_arena_calloc(records->result->arena, claims->count + 1, sizeof(*texts));
    if (!texts)
        return kilter_error_set(err, KILTER_E_LIMIT, "the answer is larger than the store gives at once");
    const struct claim_row *rows = claims->items;
    const struct kilter_str *key = keys->items;
    struct kl_record_row *record = records->items;
    size_t at = 0;
    for (size_t i = 0; i < records->count; i++) {
        record[i].claims = &texts[at];
        for (; at < claims->count && kilter_str_eq(rows[at].key, key[i]); at++, record[i].claim_count++)
            texts[at] = rows[at].claim;
    }
    return 0;
}

static int list_records(struct kl_db *db, const struct kl_query *query, struct kl_rows *result,
                        struct kilter_error *err)
{
    struct rows rows = { .result = result }, keys = { .result = result }, claims = { .result = result };
    int status = kl_db_query(db, &rows.statement, err,
                             "SELECT app, api_version, kind, namespace, name, status, schema_version, attributes,"
                             " directives, dependencies, last_good, last_bad, updated FROM inventory WHERE app = ?"
                             " ORDER BY key",
                             "i", query->number);
    if (status == 0)
        status = read_rows(db, &rows, read_record, err);
    if (status == 0)
        status = kl_db_query(db, &keys.statement, err, "SELECT key FROM inventory WHERE app = ? ORDER BY key", "i",
                             query->number);
    if (status == 0)
        status = read_rows(db, &keys, read_key, err);
    if (status == 0)
        status = kl_db_query(db, &claims.statement, err,
                             "SELECT key, claim FROM claims WHERE app = ? ORDER BY key, claim", "i", query->number);
    if (status == 0)
        status = read_rows(db, &claims, read_claim, err);
    if (status == 0)
        status = distribute_claims(&rows, &keys, &claims, err);
    result->records = rows.items;
    result->record_count = rows.count;
    return status;
}

static int find_owners(struct kl_db *db, const struct kl_query *query, struct kl_rows *result,
                       struct kilter_error *err)
{
    struct rows rows = { .result = result };
    int status = 0;
    for (size_t i = 0; status == 0 && i < query->count; i++) {
        status =
            kl_db_query(db, &rows.statement, err,
                        "SELECT c.claim, c.app, a.name, i.api_version, i.kind, i.namespace, i.name FROM claims c"
                        " JOIN apps a ON a.id = c.app JOIN inventory i ON i.app = c.app AND i.key = c.key"
                        " WHERE c.claim = ?",
                        "t", query->texts[i]);
        if (status == 0)
            status = read_rows(db, &rows, read_owner, err);
    }
    result->owners = rows.items;
    result->owner_count = rows.count;
    return status;
}

static int get_asked(struct kl_db *db, const struct kl_query *query, struct kl_rows *result,
                     struct kilter_error *err)
{
    struct rows rows = { .result = result };
    int status = kl_db_query(db, &rows.statement, err,
                             "SELECT app, commit_id, artifact, answers FROM asked WHERE ?1 = 0 OR app = ?1"
                             " ORDER BY app",
                             "i", query->number);
    if (status == 0)
        status = read_rows(db, &rows, read_asked, err);
    result->asked = rows.items;
    result->asked_count = rows.count;
    return status;
}

static int get_artifact(struct kl_db *db, const struct kl_query *query, struct kl_rows *result,
                        struct kilter_error *err)
{
    struct rows rows = { .result = result };
    /* When the disk is full the use is not remembered, and the artifact is there all the same. */
    if (kl_db_set_sync(db, false, NULL) == 0)
        kl_db_run(db, NULL, "UPDATE artifacts SET used = ? WHERE key = ?", "it", kl_db_use_time(db), query->text);
    int status =
        kl_db_query(db, &rows.statement, err,
                    "SELECT key, app, content, created, used FROM artifacts WHERE key = ?", "t", query->text);
    if (status == 0)
        status = read_rows(db, &rows, read_artifact, err);
    result->artifacts = rows.items;
    result->artifact_count = rows.count;
    return status;
}

/* One row more than the page was asked for, to see whether there is another page. */
static size_t cut_page(const struct kl_query *query, struct kl_rows *result, size_t count)
{
    result->more = count > query->limit;
    return result->more ? query->limit : count;
}

static int list_history(struct kl_db *db, const struct kl_query *query, struct kl_rows *result,
                        struct kilter_error *err)
{
    struct rows rows = { .result = result };
    int status = kl_db_query(db, &rows.statement, err,
                             "SELECT " HISTORY_COLUMNS ", '' FROM history WHERE app = ?1 AND (?2 = 0 OR id < ?2)"
                             " ORDER BY id DESC LIMIT ?3",
                             "iii", query->filter.app, query->filter.before, (int64_t)query->limit + 1);
    if (status == 0)
        status = read_rows(db, &rows, read_history, err);
    result->history = rows.items;
    result->history_count = cut_page(query, result, rows.count);
    return status;
}

static int get_history(struct kl_db *db, const struct kl_query *query, struct kl_rows *result,
                       struct kilter_error *err)
{
    struct rows rows = { .result = result };
    int status = kl_db_query(db, &rows.statement, err,
                             "SELECT " HISTORY_COLUMNS ", summary FROM history WHERE id = ?", "i", query->number);
    if (status == 0)
        status = read_rows(db, &rows, read_history, err);
    result->history = rows.items;
    result->history_count = rows.count;
    return status;
}

/* A text for each way to walk, so that SQLite uses the index that fits: by app, by app's name, by kind, all. A
 * '+' keeps it from using an index for that term. */
#define EVENTS(first, order)                                                                                       \
    "SELECT id, time, app, app_name, kind, actor, commit_id, author, severity, message, data FROM events"          \
    " WHERE " first " AND (?1 = 0 OR +app = ?1) AND (?2 IS NULL OR +app_name = ?2) AND (?3 IS NULL OR +kind = ?3)" \
    " AND severity >= ?4 AND id > ?5 AND id < ?6 ORDER BY id " order " LIMIT ?7"

static const char *const event_queries[4][2] = {
    { EVENTS("app = ?1", "DESC"), EVENTS("app = ?1", "ASC") },
    { EVENTS("app_name = ?2", "DESC"), EVENTS("app_name = ?2", "ASC") },
    { EVENTS("kind = ?3", "DESC"), EVENTS("kind = ?3", "ASC") },
    { EVENTS("1", "DESC"), EVENTS("1", "ASC") },
};

static int list_events(struct kl_db *db, const struct kl_query *query, struct kl_rows *result,
                       struct kilter_error *err)
{
    const struct kl_event_filter *filter = &query->filter;
    struct rows rows = { .result = result };
    int way = filter->app ? 0 : filter->app_name.ptr ? 1 : filter->kind.ptr ? 2 : 3;
    int ascending = filter->follow || filter->after != 0;
    int status = kl_db_query(db, &rows.statement, err, event_queries[way][ascending], "inniiii", filter->app,
                             filter->app_name, filter->kind, (int64_t)filter->severity, filter->after,
                             filter->before ? filter->before : INT64_MAX, (int64_t)query->limit + 1);
    if (status == 0)
        status = read_rows(db, &rows, read_event, err);
    result->events = rows.items;
    result->event_count = cut_page(query, result, rows.count);
    return status;
}

static int list_approvals(struct kl_db *db, const struct kl_query *query, struct kl_rows *result,
                          struct kilter_error *err)
{
    struct rows rows = { .result = result };
    int status = kl_db_query(db, &rows.statement, err,
                             "SELECT app, plan_digest, commit_id, actor, time, void FROM approvals WHERE app = ?"
                             " ORDER BY time DESC, rowid DESC",
                             "i", query->number);
    if (status == 0)
        status = read_rows(db, &rows, read_approval, err);
    result->approvals = rows.items;
    result->approval_count = rows.count;
    return status;
}

static int list_pairs(struct kl_db *db, const struct kl_query *query, struct kl_rows *result,
                      struct kilter_error *err)
{
    struct rows rows = { .result = result };
    int status = kl_db_query(db, &rows.statement, err,
                             "SELECT key, value FROM pairs WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key", "t",
                             query->text);
    if (status == 0)
        status = read_rows(db, &rows, read_pair, err);
    result->pairs = rows.items;
    result->pair_count = rows.count;
    return status;
}

void kl_query_run(struct kl_db *db, struct kl_query *query, uint64_t max_bytes)
{
    struct kilter_arena *arena = kilter_arena_new(max_bytes);
    struct kl_rows *result = arena ? kilter_arena_alloc(arena, sizeof(*result)) : NULL;
    if (!result) {
        kilter_arena_free(arena);
        kilter_error_set(&query->job.err, KILTER_E_NOMEM, "out of memory");
        return;
    }
    result->arena = arena;
    if (query->run(db, query, result, &query->job.err) < 0)
        kl_rows_free(result);
    else
        query->result = result;
}

void kl_rows_free(struct kl_rows *result)
{
    if (result)
        kilter_arena_free(result->arena);
}

/* --- asking, on the loop's thread ----------------------------------------------------------------- */

void kl_query_free(struct kl_query *query)
{
    kl_rows_free(query->result);
    kilter_arena_free(query->arena);
    free(query);
}

static struct kilter_str copy(struct kl_query *query, struct kilter_str s)
{
    struct kilter_str copied = kilter_arena_str(query->arena, s);
    if (s.ptr && !copied.ptr)
        kilter_error_set(&query->job.err, KILTER_E_NOMEM, "out of memory");
    return copied;
}

static struct kl_query *new_query(int (*run)(struct kl_db *, const struct kl_query *, struct kl_rows *,
                                             struct kilter_error *),
                                  int64_t argument, kl_query_fn callback, void *data)
{
    struct kl_query *query = calloc(1, sizeof(*query));
    if (query)
        query->arena = kilter_arena_new(0);
    if (!query || !query->arena) {
        free(query);
        struct kilter_error err = KILTER_ERROR_INIT;
        kilter_error_set(&err, KILTER_E_NOMEM, "out of memory");
        callback(data, &err, NULL);
        return NULL;
    }
    query->job.is_query = true;
    query->run = run;
    query->number = argument;
    query->callback = callback;
    query->data = data;
    return query;
}

static uint32_t page_limit(uint32_t limit)
{
    if (limit == 0)
        return DEFAULT_PAGE;
    return limit < LARGEST_PAGE ? limit : LARGEST_PAGE;
}

static void submit(struct kl_store *store, struct kl_query *query)
{
    if (query)
        kl_store_submit(store, &query->job);
}

static void submit_text(struct kl_store *store, struct kl_query *query, struct kilter_str argument)
{
    if (query)
        query->text = copy(query, argument);
    submit(store, query);
}

void kl_store_load(struct kl_store *store, kl_query_fn callback, void *data)
{
    submit(store, new_query(load, 0, callback, data));
}

void kl_store_list_records(struct kl_store *store, int64_t app, kl_query_fn callback, void *data)
{
    submit(store, new_query(list_records, app, callback, data));
}

void kl_store_find_owners(struct kl_store *store, const struct kilter_str *claims, size_t count,
                          kl_query_fn callback, void *data)
{
    struct kl_query *query = new_query(find_owners, 0, callback, data);
    if (!query)
        return;
    struct kilter_str *texts = kilter_arena_calloc(query->arena, count + 1, sizeof(*texts));
    if (!texts)
        kilter_error_set(&query->job.err, KILTER_E_NOMEM, "out of memory");
    for (size_t i = 0; texts && i < count; i++)
        texts[i] = copy(query, claims[i]);
    query->texts = texts;
    query->count = texts ? count : 0;
    submit(store, query);
}

void kl_store_get_asked(struct kl_store *store, int64_t app, kl_query_fn callback, void *data)
{
    submit(store, new_query(get_asked, app, callback, data));
}

void kl_store_get_artifact(struct kl_store *store, struct kilter_str key, kl_query_fn callback, void *data)
{
    submit_text(store, new_query(get_artifact, 0, callback, data), key);
}

void kl_store_list_history(struct kl_store *store, int64_t app, int64_t before, uint32_t limit,
                           kl_query_fn callback, void *data)
{
    struct kl_query *query = new_query(list_history, 0, callback, data);
    if (!query)
        return;
    query->filter.app = app;
    query->filter.before = before;
    query->limit = page_limit(limit);
    submit(store, query);
}

void kl_store_get_history(struct kl_store *store, int64_t id, kl_query_fn callback, void *data)
{
    submit(store, new_query(get_history, id, callback, data));
}

void kl_store_list_events(struct kl_store *store, const struct kl_event_filter *filter, kl_query_fn callback,
                          void *data)
{
    struct kl_query *query = new_query(list_events, 0, callback, data);
    if (!query)
        return;
    query->filter = *filter;
    query->filter.app_name = copy(query, filter->app_name);
    query->filter.kind = copy(query, filter->kind);
    query->limit = page_limit(filter->limit);
    submit(store, query);
}

void kl_store_list_approvals(struct kl_store *store, int64_t app, kl_query_fn callback, void *data)
{
    submit(store, new_query(list_approvals, app, callback, data));
}

void kl_store_list_pairs(struct kl_store *store, struct kilter_str prefix, kl_query_fn callback, void *data)
{
    submit_text(store, new_query(list_pairs, 0, callback, data), prefix);
}
