/* SPDX-License-Identifier: Apache-2.0 */
/* Sources: when to look at the remote, and which apps a new commit touches. */
#include <kilter/yaml.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "daemon/engine.h"
#include "daemon/maintain.h"
#include "daemon/pass.h"

#define MAINTAIN_EVERY 200 /* fetches that brought something */
#define FAILURE_DELAY_MAX_NS (300 * KL_NS_PER_S)
#define TREE_CHANGES_MAX 200000u

struct kl_source_waiter {
    struct kl_source_waiter *next;
    kl_source_fn done;
    void *data;
    bool later; /* waits for the look after the one that runs */
};

static void start_fetch(struct kl_source_state *source, bool person);

/* --- making ------------------------------------------------------------------------------ */
/* A name for the mirror's directory that no other definition of a source has: the URL's digest. */
static char *mirror_path(const struct kl_engine *engine, const struct kl_source *def)
{
    uint8_t digest[KILTER_SHA256_SIZE];
    char hex[2 * KILTER_SHA256_SIZE + 1];
    struct kilter_sha256 sha;
    kilter_sha256_init(&sha);
    kilter_sha256_update(&sha, def->url.ptr, def->url.len);
    kilter_sha256_final(&sha, digest);
    kilter_hex(digest, sizeof digest, hex);
    char *path = NULL;
    /* One mirror for each URL: sources that differ in their ref only share the objects. */
    if (asprintf(&path, "%s/mirrors/%.32s.git", engine->state_directory, hex) < 0)
        return NULL;
    return path;
}

static void on_timer(uv_timer_t *timer)
{
    kl_source_poll(timer->data, false, NULL, NULL);
}

static void schedule(struct kl_source_state *source, int64_t delay_ns)
{
    if (source->closing || source->engine->options.passive)
        return;
    int64_t ms = kl_random_jitter(delay_ns, 10) / KL_NS_PER_MS;
    source->next_ms = kl_clock_wall_ms() + ms;
    uv_timer_start(&source->timer, on_timer, (uint64_t)(ms > 0 ? ms : 0), 0);
}

struct kl_source_state *kl_source_new(struct kl_engine *engine, const struct kl_source *def)
{
    struct kl_source_state *source = calloc(1, sizeof *source);
    if (!source)
        return NULL;
    source->engine = engine;
    source->name = strdup(def->name.ptr);
    if (!source->name || kl_map_put(&engine->sources, def->name, source, NULL) < 0) {
        free(source->name);
        free(source);
        return NULL;
    }
    uv_timer_init(engine->loop, &source->timer);
    source->timer.data = source;
    engine->open_handles++;
    kl_source_define(source, def);
    return source;
}

/* Of what is followed: its URL and ref. */
static void digest_followed(const struct kl_source *def, char ret[KL_DIGEST_TEXT])
{
    uint8_t digest[KILTER_SHA256_SIZE];
    char kind = (char)('0' + def->ref_kind);
    struct kilter_sha256 sha;
    kilter_sha256_init(&sha);
    kilter_sha256_update(&sha, def->url.ptr, def->url.len + 1);
    kilter_sha256_update(&sha, &kind, 1);
    kilter_sha256_update(&sha, def->ref.ptr, def->ref.len);
    kilter_sha256_final(&sha, digest);
    kilter_hex(digest, sizeof digest, ret);
}

/* Another URL or ref: what is known of the old one does not count, and neither does what is just fetched of it. */
static void follow(struct kl_source_state *source, const struct kl_source *def, const char *digest)
{
    source->commit = (struct kl_commit){ 0 };
    source->failures = 0;
    source->error[0] = '\0';
    memcpy(source->digest, digest, sizeof source->digest);
    free(source->mirror);
    source->mirror = mirror_path(source->engine, def);
    if (source->job) {
        source->outdated = source->again = true;
        kl_job_cancel(source->job);
    }
}

void kl_source_define(struct kl_source_state *source, const struct kl_source *def)
{
    char digest[KL_DIGEST_TEXT];
    bool changed = !source->def || strcmp(source->def->digest, def->digest) != 0;
    source->def = def;
    if (!changed)
        return;
    digest_followed(def, digest);
    if (strcmp(source->digest, digest) != 0)
        follow(source, def, digest);
    if (!source->engine->options.passive)
        kl_source_poll(source, false, NULL, NULL);
}

static void on_closed(uv_handle_t *handle)
{
    struct kl_source_state *source = handle->data;
    struct kl_engine *engine = source->engine;
    kilter_arena_free(source->changes_arena);
    free(source->changes);
    free(source->mirror);
    free(source->name);
    free(source);
    kl_engine_handle_closed(engine);
}

static void call_waiters(struct kl_source_state *source, bool all)
{
    struct kl_source_waiter *waiter = source->waiters;
    source->waiters = NULL;
    while (waiter) {
        struct kl_source_waiter *next = waiter->next;
        if (waiter->later && !all) {
            waiter->later = false;
            waiter->next = source->waiters;
            source->waiters = waiter;
        } else {
            waiter->done(waiter->data, source);
            free(waiter);
        }
        waiter = next;
    }
}

void kl_source_close(struct kl_source_state *source)
{
    if (source->closing)
        return;
    source->closing = true;
    kl_map_remove(&source->engine->sources, kilter_str_c(source->name));
    call_waiters(source, true);
    uv_timer_stop(&source->timer);
    if (source->job)
        kl_job_cancel(source->job); /* whose end closes the timer */
    else
        uv_close((uv_handle_t *)&source->timer, on_closed);
}

/* --- state ----------------------------------------------------------------------------------- */
static void save(struct kl_source_state *source, struct kl_txn *txn)
{
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kilter_buf text = KILTER_BUF_INIT(65536);
    struct kilter_value *map = arena ? kilter_map(arena) : NULL;
    if (map) {
        kilter_set(arena, map, "commit", kl_commit_value(arena, &source->commit));
        kilter_set(arena, map, "refName", kilter_string_c(arena, source->ref_name));
        kilter_set(arena, map, "digest", kilter_string_c(arena, source->digest));
        kilter_set(arena, map, "fetched", kilter_int(arena, source->fetched_ms));
        if (kilter_json_write(&text, map, KILTER_SCHEMA_JSON, 0) == 0)
            kl_txn_put_source(txn, kilter_str_c(source->name), kilter_buf_view(&text));
    }
    kilter_buf_release(&text);
    kilter_arena_free(arena);
}

void kl_source_restore(struct kl_source_state *source, struct kilter_str json)
{
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kilter_value *map;
    /* What was fetched under another definition, or whose mirror was removed since, is fetched anew. */
    if (arena && access(source->mirror, F_OK) == 0 && kilter_json_read(arena, json, NULL, &map, NULL) == 0 &&
        kilter_str_eq_c(kilter_get_text(map, "digest"), source->digest)) {
        kl_commit_read(kilter_get(map, "commit"), &source->commit);
        snprintf(source->ref_name, sizeof source->ref_name, "%.*s",
                 KILTER_STR_ARG(kilter_get_text(map, "refName")));
        kilter_get_int(map, "fetched", &source->fetched_ms);
    }
    kilter_arena_free(arena);
}

/* --- who works on a new commit ------------------------------------------------------------------ */
/* Apps whose answers did not move are at the new commit without any work. */
static void spread(struct kl_source_state *source, const struct kl_commit *before, bool all)
{
    struct kilter_str key;
    void *value;
    for (size_t at = 0; kl_map_next(&source->engine->apps, &at, &key, &value);) {
        struct kl_app_state *app = value;
        if (app->source != source || app->pin.commit.id[0] || app->removal != KL_REMOVAL_NONE)
            continue;
        struct kl_artifact *artifact = app->artifact;
        const struct kl_tree_change *moved = NULL;
        bool known = !all && artifact && strcmp(artifact->commit, before->id) == 0 && !app->stuck;
        if (known)
            moved = kl_asked_set_moved(artifact->asked, source->changes, source->change_count);
        if (known && !moved && !app->pass) {
            snprintf(artifact->commit, sizeof artifact->commit, "%s", source->commit.id);
            artifact->moved = true;
            if (strcmp(app->applied.id, before->id) == 0)
                app->applied = source->commit;
            if (strcmp(app->last_good.id, before->id) == 0)
                app->last_good = source->commit;
            kl_engine_touch(source->engine, app);
            continue;
        }
        if (app->pass && strcmp(app->pass->commit.id, source->commit.id) == 0 && !app->pass->plan_done)
            continue; /* it has begun with the new commit already */
        char note[160] = "";
        if (moved)
            snprintf(note, sizeof note, "%.*s moved", KILTER_STR_ARG(moved->path));
        if (!source->engine->options.passive)
            kl_app_trigger(app, KL_TRIGGER_COMMIT, source->name, note);
    }
}

/* Apps that wait for the source's first success. */
static void show_unavailable(struct kl_source_state *source)
{
    struct kilter_str key;
    void *value;
    for (size_t at = 0; kl_map_next(&source->engine->apps, &at, &key, &value);) {
        struct kl_app_state *app = value;
        if (app->source == source && !app->pass && !kl_app_wanted(app)->id[0])
            kl_app_show(app, KL_PHASE_FAILED, KL_REASON_SOURCE_UNAVAILABLE, "source '%s': %s", source->name,
                        source->error);
    }
}

/* --- one writer at a time on a mirror --------------------------------------------------------------- */
static bool mirror_busy(const struct kl_source_state *source)
{
    struct kilter_str key;
    void *value;
    for (size_t at = 0; kl_map_next(&source->engine->sources, &at, &key, &value);) {
        const struct kl_source_state *other = value;
        if ((other->job && strcmp(other->mirror, source->mirror) == 0) ||
            (other->maintaining && strcmp(other->maintaining, source->mirror) == 0))
            return true;
    }
    return false;
}

void kl_source_mirror_free(struct kl_engine *engine, const char *mirror)
{
    struct kilter_str key;
    void *value;
    for (size_t at = 0; kl_map_next(&engine->sources, &at, &key, &value);) {
        struct kl_source_state *other = value;
        if (other->again && !other->job && strcmp(other->mirror, mirror) == 0) {
            other->again = false;
            start_fetch(other, true);
            return;
        }
    }
}

/* --- fetching --------------------------------------------------------------------------------------- */
static void on_change(void *data, const struct kilter_value *item, struct kilter_str encoded)
{
    struct kl_source_state *source = data;
    (void)encoded;
    if (!kilter_str_eq_c(kilter_get_text(item, "kind"), "change") || !source->changes_arena ||
        source->change_count >= TREE_CHANGES_MAX)
        return;
    if (source->change_count == source->change_capacity) {
        size_t capacity = source->change_capacity ? source->change_capacity * 2 : 64;
        struct kl_tree_change *changes = realloc(source->changes, capacity * sizeof *changes);
        if (!changes) {
            source->changes_lost = true;
            return;
        }
        source->changes = changes;
        source->change_capacity = capacity;
    }
    struct kl_tree_change *change = &source->changes[source->change_count++];
    *change =
        (struct kl_tree_change){ .path = kilter_arena_str(source->changes_arena, kilter_get_text(item, "path")),
                                 .before = kl_entry_type_of(kilter_get_text(item, "before")),
                                 .after = kl_entry_type_of(kilter_get_text(item, "after")) };
    kilter_get_bool(item, "list", &change->list);
    source->changes_lost |= !change->path.ptr;
}

static void fetched(struct kl_source_state *source, const struct kilter_value *done)
{
    struct kl_commit before = source->commit, now;
    bool forced = false, all = false;
    kilter_get_bool(done, "forced", &forced);
    kilter_get_bool(done, "all", &all);
    memset(&now, 0, sizeof now);
    snprintf(now.id, sizeof now.id, "%.*s", KILTER_STR_ARG(kilter_get_text(done, "commit")));
    snprintf(now.author, sizeof now.author, "%.*s", KILTER_STR_ARG(kilter_get_text(done, "author")));
    snprintf(now.email, sizeof now.email, "%.*s", KILTER_STR_ARG(kilter_get_text(done, "email")));
    snprintf(now.subject, sizeof now.subject, "%.*s", KILTER_STR_ARG(kilter_get_text(done, "subject")));
    kilter_get_int(done, "time", &now.time);
    snprintf(source->ref_name, sizeof source->ref_name, "%.*s", KILTER_STR_ARG(kilter_get_text(done, "refName")));
    bool recovered = source->failures > 0;
    source->failures = 0;
    source->error[0] = '\0';
    source->fetched_ms = kl_clock_wall_ms();
    bool moved = strcmp(before.id, now.id) != 0;
    if (recovered)
        kl_engine_log_event(source->engine, NULL, "sourceRecovered", KL_INFO, "timer", "source '%s' answers again",
                            source->name);
    if (moved) {
        struct kl_txn *txn = kl_txn_new(source->engine->store);
        source->commit = now;
        source->fetches++;
        save(source, txn);
        kl_engine_event(txn, NULL, "fetched", forced ? KL_WARNING : KL_INFO, "timer", &now,
                        "source '%s': %s%.12s by %s: %s", source->name, forced ? "history was rewritten, now " : "",
                        now.id, now.author, now.subject);
        kl_engine_commit(source->engine, txn, KL_RELAXED);
    }
    /* First those who asked, so that what they want and what the commit brings is one pass. */
    call_waiters(source, false);
    if (moved && !source->closing)
        spread(source, &before,
               all || !before.id[0] || source->changes_lost || source->change_count >= TREE_CHANGES_MAX);
}

static void fetch_failed(struct kl_source_state *source, const struct kl_job_outcome *outcome)
{
    if (strcmp(source->error, outcome->message) != 0) {
        kl_log(KILTER_LOG_WARNING, "source '%s': %s", source->name, outcome->message);
        kl_engine_log_event(source->engine, NULL, "sourceFailed", KL_ERROR, "timer", "source '%s': %s",
                            source->name, outcome->message);
    }
    source->failures++;
    snprintf(source->error, sizeof source->error, "%s", outcome->message);
    call_waiters(source, false);
    show_unavailable(source);
}

/* What was fetched is not wanted any more; the mirror it was for may be what others wait for. */
static void drop_fetched(struct kl_source_state *source)
{
    struct kilter_str key;
    void *value;
    source->outdated = false;
    for (size_t at = 0; kl_map_next(&source->engine->sources, &at, &key, &value);) {
        struct kl_source_state *other = value;
        if (other->again && !other->job) {
            other->again = false;
            start_fetch(other, true);
        }
    }
}

static void on_fetched(void *data, const struct kl_job_outcome *outcome)
{
    struct kl_source_state *source = data;
    source->job = NULL;
    if (source->closing) {
        kl_source_mirror_free(source->engine, source->mirror); /* who waited for it goes on */
        uv_close((uv_handle_t *)&source->timer, on_closed);
        return;
    }
    if (source->outdated) {
        drop_fetched(source);
        return;
    }
    if (outcome->status == KILTER_OK && outcome->done)
        fetched(source, outcome->done);
    else
        fetch_failed(source, outcome);
    kl_engine_touch(source->engine, NULL);
    if (source->closing)
        return;
    if (source->fetches >= MAINTAIN_EVERY) {
        source->fetches = 0;
        kl_maintain_begin(source);
    }
    kl_source_mirror_free(source->engine, source->mirror);
    if (source->job || source->again)
        return;
    int64_t delay = source->def->interval_ns;
    for (unsigned i = 1; i < source->failures && delay < FAILURE_DELAY_MAX_NS; i++)
        delay *= 2;
    schedule(source, delay < FAILURE_DELAY_MAX_NS || !source->failures ? delay : FAILURE_DELAY_MAX_NS);
}

static int put_secret(struct kilter_arena *arena, struct kilter_value *map, const char *key,
                      const struct kl_secret_ref *ref, struct kilter_error *err)
{
    if (ref->kind == KL_SECRET_NONE)
        return 0;
    struct kilter_buf text = KILTER_BUF_INIT(KL_SECRET_MAX);
    int rc = kl_secret_resolve(ref, &text, NULL, err);
    if (rc == 0)
        kilter_set(arena, map, key, kilter_string(arena, kilter_buf_view(&text)));
    kl_secret_wipe(&text);
    return rc;
}

static int fetch_arguments(const struct kl_source_state *source, struct kilter_arena *arena,
                           struct kilter_value **ret, struct kilter_error *err)
{
    const struct kl_source *def = source->def;
    struct kilter_value *map = kilter_map(arena), *ref = kilter_map(arena), *credentials = NULL;
    int rc = kl_credentials_resolve(arena, def, &credentials, NULL, err);
    if (rc == 0)
        rc = put_secret(arena, map, "ca", &def->ca, err);
    if (rc < 0)
        return rc;
    kilter_set(arena, ref, "kind", kilter_string_c(arena, kl_ref_kind_word(def->ref_kind)));
    kilter_set(arena, ref, "value", kilter_string(arena, def->ref));
    kilter_set(arena, map, "url", kilter_string(arena, def->url));
    kilter_set(arena, map, "ref", ref);
    kilter_set(arena, map, "mirror", kilter_string_c(arena, source->mirror));
    if (credentials)
        kilter_set(arena, map, "credentials", credentials);
    if (def->proxy.len)
        kilter_set(arena, map, "proxy", kilter_string(arena, def->proxy));
    if (def->allow_insecure)
        kilter_set(arena, map, "allowInsecure", kilter_bool(arena, true));
    kilter_set(arena, map, "timeoutMs", kilter_int(arena, def->timeout_ns / KL_NS_PER_MS));
    kilter_set(arena, map, "stallMs", kilter_int(arena, def->stall_timeout_ns / KL_NS_PER_MS));
    if (source->commit.id[0])
        kilter_set(arena, map, "known", kilter_string_c(arena, source->commit.id));
    *ret = map;
    return 0;
}

static int submit(struct kl_source_state *source, struct kilter_arena *arena, bool person, struct kilter_error *err)
{
    struct kilter_value *arguments;
    int rc = fetch_arguments(source, arena, &arguments, err);
    if (rc < 0)
        return rc;
    struct kl_job_spec spec = {
        .role = KL_ROLE_FETCH,
        .key = KILTER_STR("git"),
        .verb = KILTER_STR("fetch"),
        .arguments = arguments,
        /* The worker keeps the time itself and answers with what it waited for; this is for one that hangs. */
        .deadline_ms = source->def->timeout_ns / KL_NS_PER_MS + 5000,
        .priority = person ? KL_PRIORITY_PERSON : KL_PRIORITY_COMMIT,
        .handler = { .on_item = on_change, .on_done = on_fetched },
        .data = source,
    };
    return kl_pool_submit(source->engine->pool, &spec, &source->job, err);
}

static void start_fetch(struct kl_source_state *source, bool person)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kilter_arena *arena = kilter_arena_new(0);
    if (mirror_busy(source)) {
        source->again = true;
        kilter_arena_free(arena);
        return;
    }
    uv_timer_stop(&source->timer);
    source->change_count = 0;
    source->changes_lost = false;
    kilter_arena_free(source->changes_arena);
    source->changes_arena = kilter_arena_new(0);
    int rc = arena ? submit(source, arena, person, &err) : kilter_error_set(&err, KILTER_E_NOMEM, "out of memory");
    kilter_arena_free(arena);
    if (rc == 0)
        return;
    struct kl_job_outcome outcome = { .status = rc, .message = err.message };
    on_fetched(source, &outcome);
}

void kl_source_poll(struct kl_source_state *source, bool person, kl_source_fn done, void *data)
{
    bool running = source->job != NULL;
    if (done) {
        struct kl_source_waiter *waiter = calloc(1, sizeof *waiter);
        if (!waiter) {
            done(data, source);
            return;
        }
        *waiter = (struct kl_source_waiter){ source->waiters, done, data, running };
        source->waiters = waiter;
    }
    if (running)
        source->again |= person; /* it may have looked before what the person means was there */
    else
        start_fetch(source, person);
}
