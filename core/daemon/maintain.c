/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/maintain.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

#define HISTORY_PINNED 1000 /* entries of an app's history whose commits stay */
#define MAINTAIN_DEADLINE_MS (30 * 60 * 1000)

struct maintain {
    struct kl_engine *engine;
    char *source, *mirror;
    struct kilter_arena *arena;
    struct kilter_value *pins;
    struct kl_map seen;
    unsigned queries; /* that are still to be answered */
    bool failed;
};

static void release(struct maintain *work)
{
    kl_map_release(&work->seen, NULL);
    kilter_arena_free(work->arena);
    free(work->source);
    free(work->mirror);
    free(work);
}

static void pin(struct maintain *work, struct kilter_str commit)
{
    if (!commit.len || kl_map_has(&work->seen, commit))
        return;
    kl_map_put(&work->seen, commit, work, NULL);
    kilter_list_add(work->arena, work->pins, kilter_string(work->arena, commit));
}

static void over(struct maintain *work)
{
    struct kl_engine *engine = work->engine;
    struct kl_source_state *source = kl_engine_source(engine, kilter_str_c(work->source));
    if (source)
        source->maintaining = NULL;
    kl_source_mirror_free(engine, work->mirror);
    release(work);
}

static void on_done(void *data, const struct kl_job_outcome *outcome)
{
    struct maintain *work = data;
    int64_t before = 0, after = 0;
    kilter_get_int(outcome->done, "before", &before);
    kilter_get_int(outcome->done, "after", &after);
    if (outcome->status < 0)
        kl_log(KILTER_LOG_WARNING, "source '%s': repacking its mirror: %s", work->source, outcome->message);
    else
        kl_log(KILTER_LOG_INFO, "source '%s': its mirror was repacked, %lld KiB before and %lld KiB now",
               work->source, (long long)(before >> 10), (long long)(after >> 10));
    over(work);
}

static void submit(struct maintain *work)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kilter_value *arguments = kilter_map(work->arena);
    struct kl_job *job;
    kilter_set(work->arena, arguments, "mirror", kilter_string_c(work->arena, work->mirror));
    kilter_set(work->arena, arguments, "pins", work->pins);
    struct kl_job_spec spec = {
        .role = KL_ROLE_FETCH,
        .key = KILTER_STR("git"),
        .verb = KILTER_STR("maintain"),
        .arguments = arguments,
        .deadline_ms = MAINTAIN_DEADLINE_MS,
        .priority = KL_PRIORITY_DRIFT,
        .handler = { .on_done = on_done },
        .data = work,
    };
    /* A pin that could not be read might be dropped: then nothing is done this time. */
    if (work->failed || kl_pool_submit(work->engine->pool, &spec, &job, &err) < 0)
        over(work);
}

static void on_history(void *data, const struct kilter_error *err, struct kl_rows *rows)
{
    struct maintain *work = data;
    work->failed |= err->code != KILTER_OK;
    for (size_t i = 0; rows && i < rows->history_count; i++) {
        pin(work, rows->history[i].commit);
        pin(work, rows->history[i].previous_commit);
    }
    kl_rows_free(rows);
    if (--work->queries == 0)
        submit(work);
}

static void pin_states(struct maintain *work)
{
    struct kilter_str key;
    void *value;
    for (size_t at = 0; kl_map_next(&work->engine->sources, &at, &key, &value);) {
        const struct kl_source_state *source = value;
        if (strcmp(source->mirror, work->mirror) == 0)
            pin(work, kilter_str_c(source->commit.id));
    }
    for (size_t at = 0; kl_map_next(&work->engine->apps, &at, &key, &value);) {
        const struct kl_app_state *app = value;
        if (!app->source || strcmp(app->source->mirror, work->mirror) != 0)
            continue;
        pin(work, kilter_str_c(app->applied.id));
        pin(work, kilter_str_c(app->last_good.id));
        pin(work, kilter_str_c(app->last_bad.id));
        pin(work, kilter_str_c(app->pin.commit.id));
        work->queries++;
        kl_store_list_history(work->engine->store, app->id, 0, HISTORY_PINNED, on_history, work);
    }
}

void kl_maintain_begin(struct kl_source_state *source)
{
    struct maintain *work = calloc(1, sizeof *work);
    if (!work)
        return;
    work->engine = source->engine;
    work->arena = kilter_arena_new(0);
    work->source = strdup(source->name);
    work->mirror = strdup(source->mirror);
    work->pins = work->arena ? kilter_list(work->arena) : NULL;
    if (!work->pins || !work->source || !work->mirror) {
        release(work);
        return;
    }
    source->maintaining = work->mirror; /* lives as long as the work */
    pin_states(work);
    if (work->queries == 0)
        submit(work);
}

/* --- mirrors of sources that are gone ------------------------------------------------------------- */
#define GONE ".gone"

struct sweep {
    uv_work_t work;
    char *directory;
};

static bool mirror_used(const struct kl_engine *engine, const char *directory, const char *name)
{
    char path[4096];
    struct kilter_str key;
    void *value;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    for (size_t at = 0; kl_map_next(&engine->sources, &at, &key, &value);)
        if (strcmp(((const struct kl_source_state *)value)->mirror, path) == 0)
            return true;
    return false;
}

static bool ends_with(const char *text, const char *end)
{
    return kilter_str_ends(kilter_str_c(text), kilter_str_c(end));
}

/* Sets unused mirrors aside by a rename, so that one that is wanted again meanwhile begins anew. */
static void set_aside(const struct kl_engine *engine, const char *directory)
{
    KL_CLEANUP(kl_closedirp) DIR *dir = opendir(directory);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char from[4096], to[4096];
        if (!ends_with(entry->d_name, ".git") || mirror_used(engine, directory, entry->d_name))
            continue;
        snprintf(from, sizeof from, "%s/%s", directory, entry->d_name);
        snprintf(to, sizeof to, "%s/%s" GONE, directory, entry->d_name);
        if (rename(from, to) < 0)
            kl_log(KILTER_LOG_WARNING, "%s: %s", from, strerror(errno));
        snprintf(from, sizeof from, "%s/%s.lock", directory, entry->d_name);
        unlink(from);
    }
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    remove(path);
    return 0;
}

static void remove_set_aside(uv_work_t *work)
{
    struct sweep *sweep = work->data;
    KL_CLEANUP(kl_closedirp) DIR *dir = opendir(sweep->directory);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char path[4096];
        if (!ends_with(entry->d_name, GONE))
            continue;
        snprintf(path, sizeof path, "%s/%s", sweep->directory, entry->d_name);
        nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    }
}

static void on_swept(uv_work_t *work, int status)
{
    struct sweep *sweep = work->data;
    (void)status;
    free(sweep->directory);
    free(sweep);
}

void kl_mirrors_sweep(struct kl_engine *engine)
{
    struct sweep *sweep = calloc(1, sizeof *sweep);
    if (!sweep || asprintf(&sweep->directory, "%s/mirrors", engine->state_directory) < 0) {
        free(sweep);
        return;
    }
    set_aside(engine, sweep->directory);
    sweep->work.data = sweep;
    if (uv_queue_work(engine->loop, &sweep->work, remove_set_aside, on_swept) < 0)
        on_swept(&sweep->work, 0);
}
