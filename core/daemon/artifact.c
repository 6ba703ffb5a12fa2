/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/artifact.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "daemon/engine.h"
#include "wire/codec.h"
#include "wire/frame.h"

#define ASKED_MAX (64u << 20)     /* bytes of what was asked, encoded */
#define ARTIFACT_MAX (256u << 20) /* bytes of the resources */

/* --- in memory ------------------------------------------------------------------------------------ */
struct kl_artifact *kl_artifact_new(void)
{
    struct kl_artifact *artifact = calloc(1, sizeof *artifact);
    if (!artifact)
        return NULL;
    artifact->references = 1;
    artifact->asked = kl_asked_set_new();
    if (!artifact->asked) {
        free(artifact);
        return NULL;
    }
    return artifact;
}

struct kl_artifact *kl_artifact_ref(struct kl_artifact *artifact)
{
    artifact->references++;
    return artifact;
}

void kl_artifact_unref(struct kl_artifact *artifact)
{
    if (!artifact || --artifact->references)
        return;
    for (size_t i = 0; i < artifact->count; i++) {
        union {
            const char *read;
            char *owned;
        } bytes = { artifact->resources[i].ptr };
        if (artifact->secret)
            explicit_bzero(bytes.owned, artifact->resources[i].len);
        free(bytes.owned);
    }
    free(artifact->resources);
    kl_asked_set_free(artifact->asked);
    free(artifact);
}

int kl_artifact_add(struct kl_artifact *artifact, struct kilter_str encoded)
{
    if (artifact->count == artifact->capacity) {
        size_t capacity = artifact->capacity ? artifact->capacity * 2 : 16;
        struct kilter_str *resources = realloc(artifact->resources, capacity * sizeof *resources);
        if (!resources)
            return KILTER_E_NOMEM;
        artifact->resources = resources;
        artifact->capacity = capacity;
    }
    char *bytes = malloc(encoded.len ? encoded.len : 1);
    if (!bytes)
        return KILTER_E_NOMEM;
    memcpy(bytes, encoded.ptr, encoded.len);
    artifact->resources[artifact->count++] = kilter_str_n(bytes, encoded.len);
    return 0;
}

/* --- into the store ----------------------------------------------------------------------------------
 * asked: one encoded map. artifact: for each resource its length, 4 bytes in this machine's order, and its bytes.
 * Both are of this version of kilter only: `form` says so. */
static const char *form(void)
{
    return KILTER_VERSION " wire 1";
}

_Static_assert(KL_WIRE_VERSION == 1, "the form of kept artifacts names the wire's version");

static struct kilter_value *asked_value(const struct kl_artifact *artifact, struct kilter_arena *arena)
{
    struct kilter_value *map = kilter_map(arena), *asked = kilter_list(arena);
    kilter_set(arena, map, "form", kilter_string_c(arena, form()));
    kilter_set(arena, map, "renderDigest", kilter_string_c(arena, artifact->render_digest));
    kilter_set(arena, map, "renderer", kilter_string_c(arena, artifact->renderer));
    kilter_set(arena, map, "version", kilter_string_c(arena, artifact->version));
    kilter_set(arena, map, "count", kilter_int(arena, (int64_t)artifact->count));
    for (size_t i = 0; i < artifact->asked->count; i++) {
        const struct kl_asked_entry *entry = &artifact->asked->entries[i];
        struct kilter_value *item = kilter_map(arena);
        kilter_set(arena, item, "question", kilter_string_c(arena, kl_question_word(entry->question)));
        kilter_set(arena, item, "path", kilter_string(arena, entry->path));
        if (kilter_list_add(arena, asked, item) < 0)
            return NULL;
    }
    return kilter_set(arena, map, "asked", asked) == 0 ? map : NULL;
}

static void put_asked(const struct kl_artifact *artifact, int64_t app, struct kl_txn *txn)
{
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kilter_buf bytes = KILTER_BUF_INIT(ASKED_MAX);
    struct kilter_value *map = arena ? asked_value(artifact, arena) : NULL;
    if (map && kl_value_encode(&bytes, map) == 0) {
        struct kl_asked_row row = { .app = app,
                                    .commit = kilter_str_c(artifact->commit),
                                    .artifact = kilter_str_c(artifact->digest),
                                    .blob = kilter_buf_view(&bytes) };
        kl_txn_put_asked(txn, &row);
    }
    kilter_buf_release(&bytes);
    kilter_arena_free(arena);
}

void kl_artifact_keep(struct kl_artifact *artifact, int64_t app, struct kl_txn *txn)
{
    artifact->moved = false;
    if (artifact->secret) {
        kl_txn_delete_asked(txn, app);
        return;
    }
    struct kilter_buf bytes = KILTER_BUF_INIT(ARTIFACT_MAX);
    for (size_t i = 0; i < artifact->count; i++) {
        uint32_t length = (uint32_t)artifact->resources[i].len;
        kilter_buf_append(&bytes, &length, sizeof length);
        kilter_buf_str(&bytes, artifact->resources[i]);
    }
    if (!bytes.failed) {
        struct kl_artifact_row row = { .key = kilter_str_c(artifact->digest),
                                       .app = app,
                                       .blob = kilter_buf_view(&bytes) };
        kl_txn_put_artifact(txn, &row, false);
        put_asked(artifact, app, txn);
    }
    kilter_buf_release(&bytes);
}

void kl_artifacts_save(struct kl_engine *engine)
{
    struct kl_txn *txn = kl_txn_new(engine->store);
    struct kilter_str key;
    void *value;
    for (size_t at = 0; kl_map_next(&engine->apps, &at, &key, &value);) {
        struct kl_app_state *app = value;
        if (app->artifact && app->artifact->moved && !app->artifact->secret)
            put_asked(app->artifact, app->id, txn);
    }
    kl_engine_commit(engine, txn, KL_RELAXED);
}

/* --- out of the store ---------------------------------------------------------------------------------- */
struct restoring {
    struct kl_engine *engine;
    void (*done)(void *data);
    void *data;
    unsigned left;
};

struct restore {
    struct restoring *all;
    char *app;
    struct kl_artifact *artifact; /* without its resources yet */
    size_t count;
};

static void one_less(struct restoring *all)
{
    if (--all->left)
        return;
    all->done(all->data);
    free(all);
}

static void copy(char *to, size_t size, struct kilter_str text)
{
    snprintf(to, size, "%.*s", KILTER_STR_ARG(text));
}

/* What was asked, from its row; NULL when it is of another version or does not read. */
static struct kl_artifact *read_asked(const struct kl_asked_row *row, size_t *ret_count)
{
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kl_artifact *artifact = kl_artifact_new();
    struct kilter_value *map = NULL;
    int64_t count = 0;
    int rc = arena && artifact ? kl_value_decode(arena, row->blob, NULL, NULL, &map, NULL) : KILTER_E_NOMEM;
    if (rc == 0 && !kilter_str_eq_c(kilter_get_text(map, "form"), form()))
        rc = KILTER_E_UNSUPPORTED;
    if (rc == 0)
        rc = kilter_get_int(map, "count", &count);
    const struct kilter_value *asked = kilter_get(map, "asked");
    for (size_t i = 0; rc == 0 && i < kilter_list_size(asked); i++)
        rc = kl_asked_set_add(artifact->asked, kilter_list_at(asked, i));
    if (rc == 0) {
        kl_asked_set_seal(artifact->asked);
        copy(artifact->commit, sizeof artifact->commit, row->commit);
        copy(artifact->digest, sizeof artifact->digest, row->artifact);
        copy(artifact->render_digest, sizeof artifact->render_digest, kilter_get_text(map, "renderDigest"));
        copy(artifact->renderer, sizeof artifact->renderer, kilter_get_text(map, "renderer"));
        copy(artifact->version, sizeof artifact->version, kilter_get_text(map, "version"));
        *ret_count = (size_t)count;
    } else {
        kl_artifact_unref(artifact);
        artifact = NULL;
    }
    kilter_arena_free(arena);
    return artifact;
}

static int read_resources(struct kl_artifact *artifact, struct kilter_str blob, size_t count)
{
    size_t at = 0;
    while (at < blob.len) {
        uint32_t length;
        if (blob.len - at < sizeof length)
            return KILTER_E_INVALID;
        memcpy(&length, blob.ptr + at, sizeof length);
        at += sizeof length;
        if (length > blob.len - at)
            return KILTER_E_INVALID;
        if (kl_artifact_add(artifact, kilter_str_n(blob.ptr + at, length)) < 0)
            return KILTER_E_NOMEM;
        at += length;
    }
    return artifact->count == count ? 0 : KILTER_E_INVALID;
}

static void on_artifact(void *data, const struct kilter_error *err, struct kl_rows *rows)
{
    struct restore *restore = data;
    struct kl_app_state *app = kl_engine_app(restore->all->engine, kilter_str_c(restore->app));
    bool there = err->code == KILTER_OK && rows->artifact_count == 1;
    if (there && app && !app->artifact && !app->pass &&
        read_resources(restore->artifact, rows->artifacts[0].blob, restore->count) == 0) {
        app->artifact = kl_artifact_ref(restore->artifact);
        if (strcmp(app->applied_digest, app->artifact->digest) == 0)
            app->good_artifact = kl_artifact_ref(app->artifact);
    }
    kl_rows_free(rows);
    kl_artifact_unref(restore->artifact);
    one_less(restore->all);
    free(restore->app);
    free(restore);
}

static bool fits(const struct kl_app_state *app, const struct kl_artifact *artifact)
{
    return app->def && app->def->input_count == 0 && strcmp(kl_app_wanted(app)->id, artifact->commit) == 0 &&
           strcmp(app->def->render_digest, artifact->render_digest) == 0;
}

static void restore_one(struct restoring *all, struct kl_app_state *app, const struct kl_asked_row *row)
{
    size_t count = 0;
    struct kl_artifact *artifact = read_asked(row, &count);
    struct restore *restore = artifact && fits(app, artifact) ? calloc(1, sizeof *restore) : NULL;
    char *name = restore ? strdup(app->name) : NULL;
    if (!name) {
        kl_artifact_unref(artifact);
        free(restore);
        return;
    }
    *restore = (struct restore){ all, name, artifact, count };
    all->left++;
    kl_store_get_artifact(all->engine->store, row->artifact, on_artifact, restore);
}

static void on_asked(void *data, const struct kilter_error *err, struct kl_rows *rows)
{
    struct restoring *all = data;
    struct kilter_str key;
    void *value;
    struct kl_map by_id = KL_MAP_INIT;
    if (err->code)
        kl_log(KILTER_LOG_WARNING, "the kept renders cannot be read, so all is rendered again: %s", err->message);
    for (size_t i = 0; rows && i < rows->asked_count; i++)
        kl_map_put(&by_id, kilter_str_n((const char *)&rows->asked[i].app, sizeof rows->asked[i].app),
                   (void *)(uintptr_t)(i + 1), NULL);
    for (size_t at = 0; kl_map_next(&all->engine->apps, &at, &key, &value);) {
        struct kl_app_state *app = value;
        size_t index = (size_t)(uintptr_t)kl_map_get(&by_id, kilter_str_n((const char *)&app->id, sizeof app->id));
        if (index)
            restore_one(all, app, &rows->asked[index - 1]);
    }
    kl_map_release(&by_id, NULL);
    kl_rows_free(rows);
    one_less(all);
}

void kl_artifacts_restore(struct kl_engine *engine, void (*done)(void *data), void *data)
{
    struct restoring *all = calloc(1, sizeof *all);
    if (!all) {
        done(data);
        return;
    }
    *all = (struct restoring){ engine, done, data, 1 };
    kl_store_get_asked(engine->store, 0, on_asked, all);
}
