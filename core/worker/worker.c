/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

#include "base/clock.h"
#include "git/mirror.h"
#include "wire/codec.h"
#include "worker/sandbox.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_DATA 1000000u /* DATA frames of one job */

/* --- plugins --------------------------------------------------------------------------- */
struct kl_loaded {
    struct kl_plugin *plugin;
    char *file;
    struct timespec modified;
    ino_t inode;
};

static bool is_fresh(const struct kl_loaded *loaded, const struct stat *meta)
{
    return loaded->inode == meta->st_ino && loaded->modified.tv_sec == meta->st_mtim.tv_sec &&
           loaded->modified.tv_nsec == meta->st_mtim.tv_nsec;
}

static void unload(struct kl_worker *worker, size_t index)
{
    kl_target_session_close(worker); /* it may be this plugin's */
    kl_plugin_close(worker->plugins[index]->plugin);
    free(worker->plugins[index]->file);
    free(worker->plugins[index]);
    worker->plugins[index] = worker->plugins[--worker->plugin_count];
}

static int load(struct kl_job *job, const char *file, const char *name, const struct stat *meta,
                struct kl_plugin **ret)
{
    struct kl_worker *worker = job->worker;
    if (worker->plugin_count == KL_WORKER_MAX_PLUGINS)
        return kilter_error_set(&job->error, KILTER_E_LIMIT, "this worker has loaded %u plugins",
                                KL_WORKER_MAX_PLUGINS);
    struct kl_loaded *loaded = calloc(1, sizeof *loaded);
    char *copy = strdup(file);
    int rc = loaded && copy ? 0 : kilter_error_set(&job->error, KILTER_E_NOMEM, "out of memory");
    if (rc == 0) {
        kl_job_phase(job, name ? name : file, "load"); /* constructors run */
        rc = kl_plugin_load(file, name, &loaded->plugin, &job->error);
        kl_job_phase(job, NULL, NULL);
    }
    if (rc < 0) {
        free(loaded);
        free(copy);
        return rc;
    }
    loaded->file = copy;
    loaded->modified = meta->st_mtim;
    loaded->inode = meta->st_ino;
    worker->plugins[worker->plugin_count++] = loaded;
    *ret = loaded->plugin;
    return 0;
}

int kl_worker_plugin(struct kl_job *job, const struct kilter_value *argument, struct kl_plugin **ret)
{
    struct kl_worker *worker = job->worker;
    const char *file = kl_job_text_of(job, argument, "file");
    const char *name = kl_job_text_of(job, argument, "name");
    struct stat meta;
    if (!file)
        return kilter_error_set(&job->error, KILTER_E_INVALID, "the job names no plugin file");
    if (stat(file, &meta) < 0)
        return kilter_error_errno(&job->error, errno, "plugin %s", file);
    for (size_t i = 0; i < worker->plugin_count; i++) {
        struct kl_loaded *loaded = worker->plugins[i];
        if (strcmp(loaded->file, file) != 0)
            continue;
        if (is_fresh(loaded, &meta) && (!name || strcmp(name, loaded->plugin->table.name) == 0)) {
            *ret = loaded->plugin;
            return 0;
        }
        unload(worker, i);
        break;
    }
    return load(job, file, name, &meta, ret);
}

/* --- sandbox ------------------------------------------------------------------------------- */
static void warn(void *data, const char *what)
{
    kl_job_log(data, KILTER_LOG_WARNING, kilter_str_c(what));
}

/* Other plugins are beside the ones that are loaded already. */
static size_t readable(struct kl_job *job, const char **paths)
{
    struct kl_worker *worker = job->worker;
    size_t count = 0;
    for (size_t i = 0; i < worker->read_count; i++)
        paths[count++] = worker->read[i];
    for (size_t i = 0; i < worker->plugin_count; i++) {
        char *copy = kilter_arena_printf(job->arena, "%s", worker->plugins[i]->plugin->file);
        if (copy)
            paths[count++] = dirname(copy);
    }
    const char *directory = kl_job_text(job, "directory");
    if (directory)
        paths[count++] = directory;
    return count;
}

int kl_worker_confine(struct kl_job *job, uint32_t needs)
{
    struct kl_worker *worker = job->worker;
    if (worker->confined && needs & ~worker->needs)
        return kilter_error_set(&job->error, KILTER_E_CONFLICT,
                                "this worker is confined for another plugin that needs less");
    if (worker->confined)
        return 0;
    const char *paths[KL_WORKER_MAX_READ + KL_WORKER_MAX_PLUGINS + 1];
    struct kl_sandbox sandbox = { .needs = needs, .read = paths, .read_count = readable(job, paths) };
    int rc = kl_sandbox_enter(&sandbox, warn, job, &job->error);
    if (rc == 0) {
        worker->confined = true;
        worker->needs = needs;
    }
    return rc;
}

/* --- services of a job ------------------------------------------------------------------------ */
int kl_worker_mirror(struct kl_job *job, struct kl_mirror **ret, struct kilter_error *err)
{
    if (!job->mirror) {
        const char *dir = kl_job_text(job, "mirror");
        if (!dir)
            return kilter_error_set(err, KILTER_E_NOT_FOUND, "the job names no mirror");
        int rc = kl_mirror_open(dir, &job->mirror, err);
        if (rc < 0)
            return rc;
    }
    *ret = job->mirror;
    return 0;
}

static void service_log(void *data, enum kilter_log_level level, struct kilter_str message)
{
    kl_job_log(data, level, message);
}

static void service_phase(void *data, const char *plugin, const char *callback)
{
    kl_job_phase(data, plugin, callback);
}

static int service_content(void *data, struct kilter_arena *arena, struct kilter_str id,
                           struct kilter_content **ret, struct kilter_error *err)
{
    struct kl_mirror *mirror = NULL;
    int rc = kl_worker_mirror(data, &mirror, err);
    return rc < 0 ? rc : kl_mirror_content_open(mirror, arena, id, ret, err);
}

struct kl_services kl_worker_services(struct kl_job *job)
{
    return (struct kl_services){ service_log, kl_job_stopped, service_content, service_phase, job };
}

int kl_worker_fill(struct kl_job *job, const struct kilter_config_schema *schema,
                   const struct kilter_value *options, const char *what, struct kilter_arena *arena,
                   const void **ret)
{
    void *filled = NULL;
    *ret = NULL;
    if (!schema && !kilter_map_size(options))
        return 0;
    if (!schema)
        return kilter_error_set(&job->error, KILTER_E_INVALID, "%s: the plugin takes none", what);
    int rc = kilter_config_fill(schema, options, what, arena, &filled, job->diags);
    if (rc < 0)
        return kilter_error_set(&job->error, rc, "%s: the options are wrong", what);
    *ret = filled;
    return 0;
}

/* --- jobs ------------------------------------------------------------------------------------------ */
static const struct {
    const char *verb;
    unsigned roles; /* bits of enum kl_worker_role */
    int (*run)(struct kl_job *job);
} verbs[] = {
    { "fetch", 1u << KL_WORKER_FETCH, kl_job_fetch },     { "maintain", 1u << KL_WORKER_FETCH, kl_job_maintain },
    { "probe", 1u << KL_WORKER_FETCH, kl_job_probe },     { "describe", 1u << KL_WORKER_INSPECT, kl_job_describe },
    { "render", 1u << KL_WORKER_RENDER, kl_job_render },  { "detect", 1u << KL_WORKER_RENDER, kl_job_detect },
    { "identity", 1u << KL_WORKER_APPLY, kl_job_target }, { "plan", 1u << KL_WORKER_APPLY, kl_job_target },
    { "apply", 1u << KL_WORKER_APPLY, kl_job_target },    { "health", 1u << KL_WORKER_APPLY, kl_job_target },
    { "refresh", 1u << KL_WORKER_APPLY, kl_job_target },  { "import", 1u << KL_WORKER_APPLY, kl_job_target },
    { "watch", 1u << KL_WORKER_APPLY, kl_job_target },
};

#define FETCH_NEEDS (KILTER_NEED_NETWORK | KILTER_NEED_EXEC | KILTER_NEED_FILESYSTEM)

static int run_verb(struct kl_job *job)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (!kilter_str_eq_c(job->verb, verbs[i].verb))
            continue;
        if (!(verbs[i].roles & 1u << job->worker->role))
            return kilter_error_set(&job->error, KILTER_E_INVALID, "a worker of this role does no %s",
                                    verbs[i].verb);
        /* Fetching takes network, programs and files; what it never takes is refused all the same. */
        int rc = job->worker->role == KL_WORKER_FETCH ? kl_worker_confine(job, FETCH_NEEDS) : 0;
        return rc < 0 ? rc : verbs[i].run(job);
    }
    return kilter_error_set(&job->error, KILTER_E_UNSUPPORTED, "unknown verb \"%.*s\"", KILTER_STR_ARG(job->verb));
}

static struct kilter_content *resolve_content(void *data, struct kilter_arena *arena, struct kilter_str id,
                                              uint64_t length)
{
    struct kl_mirror *mirror = NULL;
    if (kl_worker_mirror(data, &mirror, NULL) < 0)
        return NULL; /* reading it fails then, and says so */
    return kl_mirror_content(mirror, arena, id, length);
}

static _Noreturn void protocol(const char *what)
{
    fprintf(stderr, "kilter-worker: %s\n", what);
    fflush(NULL);
    kl_proc_end(3);
}

static struct kilter_value *decode(struct kl_job *job, struct kilter_str payload)
{
    struct kilter_value *value;
    struct kilter_error err = KILTER_ERROR_INIT;
    if (kl_value_decode(job->arena, payload, resolve_content, job, &value, &err) < 0)
        protocol(err.message);
    if (kilter_type_of(value) != KILTER_MAP)
        protocol("a message that is no map");
    return value;
}

static void add_data(struct kl_job *job, struct kilter_str payload, size_t *capacity)
{
    if (job->data_count == *capacity) {
        size_t more = *capacity ? *capacity * 2 : 64;
        const struct kilter_value **data =
            more <= 2 * MAX_DATA ? kilter_arena_calloc(job->arena, more, sizeof *data) : NULL;
        if (!data)
            protocol("more data than fits into memory");
        if (job->data_count)
            memcpy(data, job->data, job->data_count * sizeof *data);
        job->data = data;
        *capacity = more;
    }
    job->data[job->data_count++] = decode(job, payload);
}

static void begin(struct kl_worker *worker, struct kl_job *job, const struct kl_frame *frame)
{
    *job = (struct kl_job){ .id = frame->job,
                            .worker = worker,
                            .channel = &worker->channel,
                            .arena = kilter_arena_new(0),
                            .diags = kilter_diags_new(0),
                            .max_output = worker->max_output };
    if (!job->arena || !job->diags)
        protocol("out of memory for a job");
    job->args = decode(job, frame->payload);
    job->verb = kilter_get_text(job->args, "verb");
}

static void finish(struct kl_job *job)
{
    kl_mirror_close(job->mirror);
    kilter_diags_free(job->diags);
    kilter_arena_free(job->arena);
}

/* Takes DATA until START; a CANCEL before it is remembered. */
static void collect(struct kl_worker *worker, struct kl_job *job)
{
    size_t capacity = 0;
    for (;;) {
        struct kl_frame frame;
        kl_channel_receive(&worker->channel, &frame);
        if (frame.job != job->id && frame.type != KL_FRAME_CANCEL)
            protocol("a message for a job that is not there");
        if (frame.type == KL_FRAME_START)
            return;
        if (frame.type == KL_FRAME_DATA)
            add_data(job, frame.payload, &capacity);
        else if (frame.type == KL_FRAME_CANCEL)
            job->cancelled |= frame.job == job->id;
        else
            protocol("an unexpected message");
    }
}

static void run_job(struct kl_worker *worker, const struct kl_frame *frame)
{
    struct kl_job job;
    begin(worker, &job, frame);
    collect(worker, &job);
    int64_t budget = kl_job_int(&job, "deadlineMs", 0);
    if (budget > 0 && budget < INT64_MAX / (2 * KL_NS_PER_MS))
        job.deadline_ns = kl_clock_monotonic_ns() + budget * KL_NS_PER_MS;
    kl_proc_begin_job(&worker->limits);

    worker->job = &job;
    int rc = kl_job_check(&job);
    if (rc == 0)
        rc = run_verb(&job);
    if (rc < 0 && job.error.code == 0 && !kilter_diags_errors(job.diags))
        kilter_error_set(&job.error, rc, "%s", kilter_status_text(rc));
    fflush(NULL); /* what a plugin printed belongs to this job */
    kl_job_done(&job, rc, NULL);
    worker->job = NULL;
    finish(&job);
}

static void hello(struct kl_worker *worker)
{
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kilter_value *map = arena ? kilter_map(arena) : NULL;
    if (!map || kilter_set(arena, map, "wire", kilter_int(arena, KL_WIRE_VERSION)) < 0 ||
        kilter_set(arena, map, "version", kilter_string_c(arena, kilter_version())) < 0 ||
        kilter_set(arena, map, "pid", kilter_int(arena, getpid())) < 0 ||
        kl_channel_write(&worker->channel, KL_FRAME_HELLO, 0, map, NULL) < 0)
        protocol("out of memory for a greeting");
    kl_channel_flush(&worker->channel);
    kilter_arena_free(arena);
}

_Noreturn void kl_worker_run(struct kl_worker *worker, int socket)
{
    kl_channel_init(&worker->channel, socket);
    hello(worker);
    for (;;) {
        struct kl_frame frame;
        kl_channel_receive(&worker->channel, &frame);
        if (frame.type == KL_FRAME_JOB)
            run_job(worker, &frame);
        else if (frame.type != KL_FRAME_CANCEL) /* one that crossed our DONE is no news */
            protocol("an unexpected message");
    }
}

void kl_worker_explain_exit(struct kl_worker *worker)
{
    struct kl_job *job = worker->job;
    if (!job || job->done)
        return;
    if (job->plugin)
        kilter_error_set(&job->error, KILTER_E_INTERNAL,
                         "defect of the plugin %s: its %s callback ended the process by exit()", job->plugin,
                         job->callback);
    else
        kilter_error_set(&job->error, KILTER_E_INTERNAL, "the worker was ended by exit()");
    kl_job_done(job, KILTER_E_INTERNAL, NULL);
}
