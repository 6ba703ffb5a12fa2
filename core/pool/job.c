/* SPDX-License-Identifier: Apache-2.0 */
/* A job before it runs: its record, and its input as frames. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "pool/private.h"
#include "wire/codec.h"

#define FRAMES_MAX (1u << 30) /* bytes of one job's input */
#define DIAGS_KEPT 1000
#define SECRET_LEAST 4u /* bytes; masking shorter ones would mask everything */

static const int64_t handicap_ns[] = {
    [KL_PRIORITY_PERSON] = 0,
    [KL_PRIORITY_COMMIT] = 30 * KL_NS_PER_S,
    [KL_PRIORITY_DRIFT] = 120 * KL_NS_PER_S,
};

/* --- keys --------------------------------------------------------------------------------------------- */
void kl_key_free(void *value)
{
    struct kl_key *key = value;
    if (key)
        free(key->name);
    free(key);
}

/* The key's record, with one job more. NULL when out of memory. */
static struct kl_key *key_take(struct kl_pool *pool, enum kl_role role, struct kilter_str text)
{
    KL_CLEANUP(kl_freep) char *name = NULL;
    if (asprintf(&name, "%s:%.*s", kl_role_name(role), KILTER_STR_ARG(text)) < 0) {
        name = NULL;
        return NULL;
    }
    struct kl_key *key = kl_map_get(&pool->keys, kilter_str_c(name));
    if (!key) {
        key = calloc(1, sizeof(*key));
        if (!key || kl_map_put(&pool->keys, kilter_str_c(name), key, NULL) < 0) {
            kl_key_free(key);
            return NULL;
        }
        key->name = kl_steal(name);
        key->role = role;
    }
    key->jobs++;
    return key;
}

/* Deaths are remembered beyond the last job: they delay the next worker. */
static void key_give_back(struct kl_pool *pool, struct kl_key *key)
{
    if (--key->jobs > 0 || key->deaths > 0)
        return;
    kl_map_remove(&pool->keys, kilter_str_c(key->name));
    kl_key_free(key);
}

/* --- jobs ----------------------------------------------------------------------------------------------- */
void kl_job_free(struct kl_job *job)
{
    if (!job)
        return;
    if (job->key)
        key_give_back(job->pool, job->key);
    kilter_buf_release(&job->frames);
    kilter_diags_free(job->diags);
    for (size_t i = 0; i < job->secret_count; i++) {
        explicit_bzero(job->secrets[i], strlen(job->secrets[i]));
        free(job->secrets[i]);
    }
    free(job->secrets);
    free(job->plugin);
    free(job->verb);
    free(job);
}

/* Encodes a value as a frame's payload; `scratch` is reused. */
static int add_frame(struct kl_job *job, enum kl_frame_type type, const struct kl_payload *payload,
                     struct kilter_buf *scratch)
{
    struct kilter_str bytes = payload->encoded;
    if (payload->value) {
        kilter_buf_clear(scratch);
        kl_value_encode(scratch, payload->value);
        if (scratch->failed)
            return scratch->failed;
        bytes = kilter_buf_view(scratch);
    }
    return kl_frame_write(&job->frames, type, job->id, bytes);
}

/* The arguments, and what each job has. */
static struct kilter_value *job_map(struct kilter_arena *arena, const struct kl_job_spec *spec)
{
    struct kilter_value *map = kilter_map(arena);
    int rc = map ? KILTER_OK : KILTER_E_NOMEM;
    for (size_t i = 0; i < kilter_map_size(spec->arguments) && rc == KILTER_OK; i++)
        rc = kilter_map_add(arena, map, kilter_map_key_at(spec->arguments, i), kilter_map_at(spec->arguments, i));
    if (rc == KILTER_OK)
        rc = kilter_set(arena, map, "verb", kilter_string(arena, spec->verb));
    if (rc == KILTER_OK && spec->deadline_ms > 0)
        rc = kilter_set(arena, map, "deadlineMs", kilter_int(arena, spec->deadline_ms));
    return rc == KILTER_OK ? map : NULL;
}

static int encode_frames(struct kl_job *job, const struct kl_job_spec *spec, struct kilter_arena *arena,
                         struct kilter_buf *scratch)
{
    struct kl_payload arguments = { job_map(arena, spec), KILTER_STR_NONE };
    struct kl_payload start = { kilter_map(arena), KILTER_STR_NONE };
    if (!arguments.value || !start.value)
        return KILTER_E_NOMEM;
    int rc = add_frame(job, KL_FRAME_JOB, &arguments, scratch);
    for (size_t i = 0; i < spec->payload_count && rc == KILTER_OK; i++)
        rc = add_frame(job, KL_FRAME_DATA, &spec->payloads[i], scratch);
    return rc == KILTER_OK ? add_frame(job, KL_FRAME_START, &start, scratch) : rc;
}

static int encode_job(struct kl_job *job, const struct kl_job_spec *spec, struct kilter_error *err)
{
    KL_CLEANUP(kl_arena_freep) struct kilter_arena *arena = kilter_arena_new(0);
    struct kilter_buf scratch = KILTER_BUF_INIT(KL_FRAME_MAX);
    job->frames = (struct kilter_buf)KILTER_BUF_INIT(FRAMES_MAX);
    int rc = arena ? encode_frames(job, spec, arena, &scratch) : KILTER_E_NOMEM;
    kilter_buf_release(&scratch);
    if (rc == KILTER_E_LIMIT)
        return kilter_error_set(err, rc,
                                "the job's input is too large: %u MiB may go in one document, %u MiB in all",
                                KL_FRAME_MAX >> 20, FRAMES_MAX >> 20);
    return rc < 0 ? kilter_error_set(err, rc, "preparing a job for a worker: %s", kilter_status_text(rc)) : rc;
}

static struct kl_job *job_new(struct kl_pool *pool, const struct kl_job_spec *spec)
{
    struct kl_job *job = calloc(1, sizeof(*job));
    if (!job)
        return NULL;
    job->pool = pool;
    job->id = ++pool->next_job ? pool->next_job : ++pool->next_job;
    job->role = spec->role;
    job->handler = spec->handler;
    job->data = spec->data;
    job->deadline_ms = spec->deadline_ms;
    job->priority = spec->priority;
    job->max_parallel = spec->max_parallel ? spec->max_parallel : pool->options.max_of_key[spec->role];
    job->long_lived = spec->long_lived;
    job->raw_items = spec->raw_items;
    job->queued_ns = kl_clock_monotonic_ns();
    job->rank_ns = job->queued_ns + handicap_ns[spec->priority];
    job->plugin = spec->plugin.len ? strndup(spec->plugin.ptr, spec->plugin.len) : strdup("");
    job->verb = strndup(spec->verb.ptr, spec->verb.len);
    job->diags = kilter_diags_new(DIAGS_KEPT);
    job->key = key_take(pool, spec->role, spec->key);
    if (job->plugin && job->verb && job->diags && job->key)
        return job;
    kl_job_free(job);
    return NULL;
}

/* --- secrets ------------------------------------------------------------------------------------------- */
static int add_secret(struct kl_job *job, struct kilter_str text)
{
    text = kilter_str_trim(text);
    if (text.len < SECRET_LEAST || memchr(text.ptr, '\0', text.len))
        return KILTER_OK;
    char **secrets = realloc(job->secrets, (job->secret_count + 1) * sizeof(*secrets));
    if (!secrets)
        return KILTER_E_NOMEM;
    job->secrets = secrets;
    secrets[job->secret_count] = strndup(text.ptr, text.len);
    return secrets[job->secret_count] ? (job->secret_count++, KILTER_OK) : KILTER_E_NOMEM;
}

/* What is printed is looked at line by line, so a key of several lines is several secrets. */
static int add_secret_lines(struct kl_job *job, struct kilter_str text)
{
    int rc = KILTER_OK;
    while (text.len > 0 && rc == KILTER_OK) {
        ptrdiff_t end = kilter_str_find(text, '\n', 0);
        size_t len = end < 0 ? text.len : (size_t)end;
        rc = add_secret(job, kilter_str_sub(text, 0, len));
        text = kilter_str_sub(text, len + 1, text.len);
    }
    return rc;
}

/* All strings of a value that are marked secret; `all`: marked or not. */
static int collect_secrets(struct kl_job *job, const struct kilter_value *value, bool all)
{
    int rc = KILTER_OK;
    all = all || kilter_marks_of(value) & KILTER_VALUE_SECRET;
    if (all && kilter_type_of(value) == KILTER_SCALAR)
        rc = add_secret_lines(job, kilter_text(value));
    for (size_t i = 0; i < kilter_list_size(value) && rc == KILTER_OK; i++)
        rc = collect_secrets(job, kilter_list_at(value, i), all);
    for (size_t i = 0; i < kilter_map_size(value) && rc == KILTER_OK; i++) {
        struct kilter_str key = kilter_text(kilter_map_key_at(value, i));
        bool by_name = kilter_str_eq_c(key, "credentials") || kilter_str_eq_c(key, "inputs");
        rc = collect_secrets(job, kilter_map_at(value, i), all || by_name);
    }
    return rc;
}

int kl_job_new(struct kl_pool *pool, const struct kl_job_spec *spec, struct kl_job **ret, struct kilter_error *err)
{
    struct kl_job *job = job_new(pool, spec);
    if (!job || (spec->arguments && collect_secrets(job, spec->arguments, false) < 0)) {
        kl_job_free(job);
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    }
    int rc = encode_job(job, spec, err);
    if (rc < 0) {
        kl_job_free(job);
        return rc;
    }
    *ret = job;
    return KILTER_OK;
}
