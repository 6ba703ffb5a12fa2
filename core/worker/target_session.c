/* SPDX-License-Identifier: Apache-2.0 */
/* The open target: one a worker, kept between the jobs that have the same plugin, options and allow. */
#include "worker/target.h"

#include <kilter/yaml.h>
#include <stdlib.h>

struct kl_target_session {
    struct kl_plugin *plugin;
    struct kilter_arena *arena; /* of the options, which the handle may point into */
    const void *config;         /* the plugin-wide options, filled */
    void *handle;
    uint8_t key[KILTER_SHA256_SIZE];
};

void kl_target_session_close(struct kl_worker *worker)
{
    struct kl_target_session *session = worker->session;
    worker->session = NULL;
    if (!session)
        return;
    if (worker->job)
        kl_job_phase(worker->job, session->plugin->table.name, "close");
    session->plugin->target.close(session->handle);
    if (worker->job)
        kl_job_phase(worker->job, NULL, NULL);
    kilter_arena_free(session->arena);
    free(session);
}

/* What makes two jobs jobs on the same target. A digest, because options hold secrets. */
static int session_key(struct kl_job *job, uint8_t ret_key[KILTER_SHA256_SIZE])
{
    static const char *const parts[] = { "plugin", "target", "options", "allow" };
    struct kilter_buf json = KILTER_BUF_INIT(64u << 20);
    struct kilter_sha256 sha;
    int rc = 0;
    kilter_sha256_init(&sha);
    for (size_t i = 0; rc == 0 && i < sizeof parts / sizeof parts[0]; i++) {
        const struct kilter_value *part = kilter_get(job->args, parts[i]);
        kilter_buf_clear(&json);
        if (part)
            rc = kilter_json_write(&json, part, KILTER_SCHEMA_KUBERNETES,
                                   KILTER_WRITE_REVEAL | KILTER_WRITE_SORTED | KILTER_WRITE_CONTENT);
        kilter_sha256_update(&sha, json.ptr ? json.ptr : "", json.len);
        kilter_sha256_update(&sha, "\n", 1);
    }
    if (json.ptr)
        explicit_bzero(json.ptr, json.cap);
    kilter_buf_release(&json);
    kilter_sha256_final(&sha, ret_key);
    return rc < 0 ? kilter_error_set(&job->error, rc, "the target's options: %s", kilter_status_text(rc)) : 0;
}

/* A part of the arguments in the session's arena, filled by its schema. */
static int fill(struct kl_job *job, struct kl_target_session *session, const struct kilter_config_schema *schema,
                const struct kilter_value *options, const char *what, const void **ret)
{
    struct kilter_value *copy = kilter_value_copy(session->arena, options);
    const char *target = kl_job_text(job, "target");
    const char *whole = kilter_arena_printf(session->arena, "%s %s", what, target ? target : "");
    if (!whole || (options && !copy))
        return kilter_error_set(&job->error, KILTER_E_NOMEM, "out of memory");
    return kl_worker_fill(job, schema, copy, whole, session->arena, ret);
}

static int open_handle(struct kl_job *job, struct kl_target_session *session)
{
    const struct kl_plugin *plugin = session->plugin;
    const struct kilter_value *config_value = kilter_get(kilter_get(job->args, "plugin"), "config");
    const void *config, *options, *allow;
    /* All three, so that the user sees the problems of all. */
    int rc = fill(job, session, plugin->table.config, config_value, "option of the plugin of target", &config);
    int rc2 =
        fill(job, session, plugin->target.options, kilter_get(job->args, "options"), "option of target", &options);
    int rc3 = fill(job, session, plugin->target.allow, kilter_get(job->args, "allow"), "allow of target", &allow);
    if (rc < 0 || rc2 < 0 || rc3 < 0)
        return rc < 0 ? rc : rc2 < 0 ? rc2 : rc3;

    session->config = config;
    struct kl_call call;
    struct kl_services services = kl_worker_services(job);
    kl_call_init(&call, plugin, config, &services, session->arena, job->diags, job->deadline_ns, &job->error);
    kl_call_begin(&call, "open");
    return kl_call_end(&call, plugin->target.open(&call.call, options, allow, &session->handle));
}

static int open_session(struct kl_job *job, struct kl_plugin *plugin, const uint8_t key[KILTER_SHA256_SIZE])
{
    struct kl_target_session *session = calloc(1, sizeof *session);
    struct kilter_arena *arena = kilter_arena_new(0);
    int rc = session && arena ? 0 : kilter_error_set(&job->error, KILTER_E_NOMEM, "out of memory");
    if (rc == 0) {
        session->plugin = plugin;
        session->arena = arena;
        memcpy(session->key, key, sizeof session->key);
        rc = open_handle(job, session);
    }
    if (rc < 0) {
        kilter_arena_free(arena);
        free(session);
        return rc;
    }
    job->worker->session = session;
    return 0;
}

const void *kl_target_config(const struct kl_worker *worker)
{
    return worker->session->config;
}

int kl_target_open(struct kl_job *job, struct kl_target_job *ret)
{
    struct kl_worker *worker = job->worker;
    struct kl_plugin *plugin;
    uint8_t key[KILTER_SHA256_SIZE];
    kl_job_hide_all(job, job->args, false);
    int rc = kl_worker_plugin(job, kilter_get(job->args, "plugin"), &plugin);
    if (rc < 0)
        return rc;
    if (!plugin->table.target)
        return kilter_error_set(&job->error, KILTER_E_INVALID, "plugin %s is no target", plugin->table.name);
    rc = kl_worker_confine(job, plugin->table.needs);
    if (rc == 0)
        rc = session_key(job, key);
    if (rc < 0)
        return rc;
    if (worker->session && memcmp(worker->session->key, key, sizeof key) != 0)
        kl_target_session_close(worker);
    if (!worker->session && (rc = open_session(job, plugin, key)) < 0)
        return rc;

    *ret = (struct kl_target_job){ .job = job,
                                   .plugin = plugin,
                                   .table = &plugin->target,
                                   .handle = worker->session->handle,
                                   .services = kl_worker_services(job),
                                   .owner = kilter_get_text(job->args, "owner"),
                                   .target = kilter_get_text(job->args, "target") };
    return 0;
}
