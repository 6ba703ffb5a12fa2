/* SPDX-License-Identifier: Apache-2.0 */
/* The jobs about mirrors: fetch and maintain. All work is done in core/git. */
#include "git/fetch.h"
#include "wire/jobs.h"
#include "worker/job.h"

/* Members are set until one fails; then the map is NULL, which the sender answers for. */
static void put(struct kilter_arena *arena, struct kilter_value **map, const char *key, struct kilter_value *value)
{
    if (*map && (!value || kilter_set(arena, *map, key, value) < 0))
        *map = NULL;
}

static int done(struct kl_job *job, struct kilter_value *map)
{
    if (!map)
        return kilter_error_set(&job->error, KILTER_E_NOMEM, "out of memory for the answer");
    kl_job_done(job, 0, map);
    return 0;
}

/* The commits of a list of texts, NUL-terminated in the job's arena. What is no text is left out. */
static int read_pins(struct kl_job *job, const char ***ret_pins, size_t *ret_count)
{
    const struct kilter_value *list = kilter_get(job->args, "pins");
    size_t size = kilter_list_size(list), count = 0;
    const char **pins = kilter_arena_calloc(job->arena, size + 1, sizeof(*pins));

    for (size_t i = 0; pins && i < size; i++) {
        struct kilter_str pin = kilter_text(kilter_list_at(list, i));
        if (pin.ptr && !(pins[count++] = kilter_arena_str(job->arena, pin).ptr))
            pins = NULL;
    }
    if (!pins)
        return kilter_error_set(&job->error, KILTER_E_NOMEM, "out of memory");
    *ret_pins = pins;
    *ret_count = count;
    return 0;
}

/* --- fetch ----------------------------------------------------------------------- */
struct fetching {
    struct kl_job *job;
    struct kilter_arena *scratch; /* of one item */
};

static int on_change(void *data, const struct kl_tree_change *change)
{
    struct fetching *fetching = data;
    struct kilter_arena *arena = fetching->scratch;
    struct kilter_value *item = kilter_map(arena);

    put(arena, &item, "kind", kilter_string_c(arena, "change"));
    put(arena, &item, "path", kilter_string(arena, change->path));
    if (change->list) {
        put(arena, &item, "list", kilter_bool(arena, true));
    } else {
        put(arena, &item, "before", kilter_string_c(arena, kl_entry_type_word(change->before)));
        put(arena, &item, "after", kilter_string_c(arena, kl_entry_type_word(change->after)));
    }
    int status = kl_job_item(fetching->job, item);
    kilter_arena_reset(arena);
    return status;
}

static bool on_cancelled(void *data)
{
    struct fetching *fetching = data;
    return kl_job_stopped(fetching->job);
}

static void read_credentials(struct kl_job *job, struct kl_git_credentials *ret)
{
    const struct kilter_value *map = kilter_get(job->args, "credentials");

    static const char *const secret[] = { "password", "token", "key", "identity" };

    for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++)
        kl_job_hide(job, kilter_get_text(map, secret[i]));
    ret->username = kilter_get_text(map, "username");
    ret->password = kilter_get_text(map, "password");
    ret->token = kilter_get_text(map, "token");
    ret->certificate = kilter_get_text(map, "certificate");
    ret->key = kilter_get_text(map, "key");
    ret->identity = kilter_get_text(map, "identity");
    ret->known_hosts = kilter_get_text(map, "knownHosts");
}

static int read_request(struct kl_job *job, struct kl_fetch_request *ret)
{
    const struct kilter_value *ref = kilter_get(job->args, "ref");
    const char *url = kl_job_require(job, "url");
    const char **pins = NULL;

    if (!url || !(ret->mirror = kl_job_require(job, "mirror")))
        return KILTER_E_INVALID;
    ret->url = kilter_str_c(url);
    ret->kind = kl_fetch_ref_of(kilter_get_text(ref, "kind"));
    ret->ref = kilter_get_text(ref, "value");
    if (!ret->kind || !ret->ref.ptr)
        return kilter_error_set(&job->error, KILTER_E_INVALID, "fetch: ref needs kind and value");
    read_credentials(job, &ret->credentials);
    ret->timeout_ms = kl_job_int(job, "timeoutMs", 0);
    ret->stall_ms = kl_job_int(job, "stallMs", 0);
    ret->proxy = kilter_get_text(job->args, "proxy");
    ret->ca = kilter_get_text(job->args, "ca");
    kilter_get_bool(job->args, "allowInsecure", &ret->allow_http);
    ret->known = kl_job_text(job, "known");
    int status = read_pins(job, &pins, &ret->pin_count);
    ret->pins = pins;
    return status;
}

static struct kilter_value *result_value(struct kilter_arena *arena, const struct kl_fetch_result *result)
{
    struct kilter_value *map = kilter_map(arena);

    put(arena, &map, "commit", kilter_string_c(arena, result->commit));
    put(arena, &map, "refName", kilter_string_c(arena, result->ref_name));
    put(arena, &map, "moved", kilter_bool(arena, result->moved));
    put(arena, &map, "forced", kilter_bool(arena, result->forced));
    put(arena, &map, "all", kilter_bool(arena, result->all));
    put(arena, &map, "author", kilter_string_c(arena, result->author));
    put(arena, &map, "email", kilter_string_c(arena, result->email));
    put(arena, &map, "time", kilter_int(arena, result->time));
    put(arena, &map, "subject", kilter_string_c(arena, result->subject));
    return map;
}

int kl_job_fetch(struct kl_job *job)
{
    struct fetching fetching = { .job = job };
    struct kl_fetch_events events = { .change = on_change, .cancelled = on_cancelled, .data = &fetching };
    struct kl_fetch_request request = { 0 };
    struct kl_fetch_result result;
    int status = read_request(job, &request);

    if (status < 0)
        return status;
    fetching.scratch = kilter_arena_new(0);
    if (!fetching.scratch)
        return kilter_error_set(&job->error, KILTER_E_NOMEM, "out of memory");
    status = kl_fetch(&request, &result, &events, &job->error);
    kilter_arena_free(fetching.scratch);
    return status < 0 ? status : done(job, result_value(job->arena, &result));
}

/* --- maintain ---------------------------------------------------------------------- */
int kl_job_maintain(struct kl_job *job)
{
    struct kl_maintain_result result;
    const char *mirror = kl_job_require(job, "mirror");
    const char **pins = NULL;
    size_t count = 0;
    int status = mirror ? read_pins(job, &pins, &count) : KILTER_E_INVALID;

    if (status == 0)
        status = kl_mirror_maintain(mirror, pins, count, kl_job_stopped, job, &result, &job->error);
    if (status < 0)
        return status;
    struct kilter_value *map = kilter_map(job->arena);
    put(job->arena, &map, "before", kilter_int(job->arena, (int64_t)result.before));
    put(job->arena, &map, "after", kilter_int(job->arena, (int64_t)result.after));
    return done(job, map);
}
