/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "pool/private.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

const char *kl_outcome_size(uint64_t bytes, char text[32])
{
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
    size_t unit = 0;
    while (unit < 4 && bytes >= 1024 && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    while (unit < 4 && bytes >= 10240) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, 32, "%" PRIu64 " %s", bytes, units[unit]);
    return text;
}

const char *kl_outcome_blamed(const struct kl_worker *worker, const struct kl_job *job)
{
    return worker->phase_plugin[0] ? worker->phase_plugin : job ? job->plugin : worker->plugin;
}

char *kl_outcome_subject(const struct kl_worker *worker, const struct kl_job *job)
{
    char *subject;
    const char *plugin = kl_outcome_blamed(worker, job);
    int rc = plugin[0] ? asprintf(&subject, "plugin '%s'", plugin)
                       : asprintf(&subject, "the %s worker", kl_role_name(worker->role));
    return rc < 0 ? NULL : subject;
}

/* " in render", " outside of its callbacks", ... */
static void describe_place(const struct kl_worker *worker, const struct kl_job *job, char *text, size_t size)
{
    if (worker->phase_callback[0])
        snprintf(text, size, " in %s", worker->phase_callback);
    else if (job && job->plugin[0])
        snprintf(text, size, " outside of its callbacks, during %s", job->verb);
    else if (job)
        snprintf(text, size, " during %s", job->verb);
    else
        snprintf(text, size, " between two jobs");
}

static bool may_be_memory(int signal)
{
    return signal == SIGSEGV || signal == SIGBUS || signal == SIGABRT || signal == SIGTRAP || signal == SIGILL;
}

/* How a process that nobody told to end did end. */
static char *describe_death(const struct kl_worker *worker, const struct kl_child_end *end, const char *subject,
                            const char *place)
{
    const struct kl_pool_options *options = &worker->pool->options;
    char *text = NULL, memory[32], used[32];
    int rc;
    if (end->signal == 0)
        rc = asprintf(&text, "%s called exit(%d)%s", subject, end->exit_status, place);
    else if (end->signal == SIGXCPU)
        rc = asprintf(&text, "%s used more than %us of processor time%s and was killed", subject,
                      options->cpu_seconds, place);
    else if (end->signal == SIGXFSZ)
        rc = asprintf(&text, "%s wrote a larger file than it may%s and was killed", subject, place);
    else if (end->signal == SIGSYS)
        rc =
            asprintf(&text, "%s made a system call that it must not make%s and was killed: SIGSYS", subject, place);
    else if (end->signal == SIGKILL)
        rc = asprintf(&text, "%s was killed from outside%s: SIGKILL (the system may have been out of memory)",
                      subject, place);
    else if (may_be_memory(end->signal) && end->max_rss >= options->memory / 10 * 9)
        rc = asprintf(&text, "%s used more than %s of memory%s and crashed: SIG%s", subject,
                      kl_outcome_size(options->memory, memory), place, sigabbrev_np(end->signal));
    else if (may_be_memory(end->signal) && end->max_rss >= options->memory / 2)
        rc = asprintf(&text, "%s crashed%s: SIG%s (it held %s of the %s of memory that it may use)", subject, place,
                      sigabbrev_np(end->signal), kl_outcome_size(end->max_rss, used),
                      kl_outcome_size(options->memory, memory));
    else if (sigabbrev_np(end->signal))
        rc = asprintf(&text, "%s crashed%s: SIG%s", subject, place, sigabbrev_np(end->signal));
    else
        rc = asprintf(&text, "%s crashed%s: signal %d", subject, place, end->signal);
    return rc < 0 ? NULL : text;
}

/* What a worker that died before HELLO says of itself is on its standard error, and so in the log. */
static char *describe_no_hello(const struct kl_worker *worker, const struct kl_child_end *end)
{
    const char *path = worker->pool->worker_path;
    char *text = NULL;
    int rc;
    if (worker->end == KL_END_HELLO)
        rc = asprintf(&text, "%s did not start within %" PRId64 "ms and was killed", path,
                      worker->pool->options.hello_ms);
    else if (worker->end == KL_END_PROTOCOL)
        rc = asprintf(&text, "%s is no worker for this kilterd: %s", path, worker->error.message);
    else if (end->signal == 0)
        rc = asprintf(&text, "%s ended before it could take a job: exit status %d (its log says more)", path,
                      end->exit_status);
    else
        rc = asprintf(&text, "%s ended before it could take a job: signal %d (%s)", path, end->signal,
                      strsignal(end->signal));
    return rc < 0 ? NULL : text;
}

/* What we killed it for. NULL: we did not, it died by itself. */
static char *describe_kill(const struct kl_worker *worker, const struct kl_job *job, const char *subject,
                           const char *place)
{
    const struct kl_pool_options *options = &worker->pool->options;
    char *text = NULL, size[32], duration[32];
    int rc = 0;
    switch (worker->end) {
    case KL_END_DEADLINE:
        kilter_format_duration(job->deadline_ms * KL_NS_PER_MS, duration);
        rc = asprintf(&text, "%s did not answer within %s%s and was killed", subject, duration, place);
        break;
    case KL_END_EOF:
        rc = asprintf(&text, "%s closed its connection to kilterd%s and was killed", subject, place);
        break;
    case KL_END_EXIT:
        rc = asprintf(&text, "%s called exit()%s, did not end by it and was killed", subject, place);
        break;
    case KL_END_PROTOCOL:
        rc = asprintf(&text, "%s broke the protocol%s and was killed: %s", subject, place, worker->error.message);
        break;
    case KL_END_LOGGED:
    case KL_END_PRINTED:
        kl_outcome_size(options->output * KL_POOL_FLOOD_FACTOR, size);
        rc = asprintf(&text, "%s %s more than %s%s and was killed", subject,
                      worker->end == KL_END_LOGGED ? "logged" : "printed", size, place);
        break;
    case KL_END_ITEMS:
        rc = asprintf(&text, "%s sent more than %" PRIu64 " items%s and was killed", subject, options->max_items,
                      place);
        break;
    case KL_END_BYTES:
        kl_outcome_size(options->max_bytes, size);
        rc = asprintf(&text, "%s sent more than %s of results%s and was killed", subject, size, place);
        break;
    case KL_END_NONE:
    case KL_END_RETIRED:
    case KL_END_CANCELLED:
    case KL_END_HELLO:
        break;
    }
    return rc < 0 ? NULL : text;
}

static int status_of_end(enum kl_end end)
{
    switch (end) {
    case KL_END_DEADLINE:
        return KILTER_E_TIMEOUT;
    case KL_END_CANCELLED:
        return KILTER_E_CANCELLED;
    case KL_END_LOGGED:
    case KL_END_PRINTED:
    case KL_END_ITEMS:
    case KL_END_BYTES:
        return KILTER_E_LIMIT;
    case KL_END_NONE:
    case KL_END_RETIRED:
    case KL_END_HELLO:
    case KL_END_EOF:
    case KL_END_EXIT:
    case KL_END_PROTOCOL:
        break;
    }
    return KILTER_E_INTERNAL;
}

char *kl_outcome_of_end(const struct kl_worker *worker, const struct kl_job *job, const struct kl_child_end *end,
                        struct kl_job_outcome *ret)
{
    char place[KL_PHASE_MAX + 64], *message = NULL;
    char *subject = kl_outcome_subject(worker, job);
    bool told = worker->end != KL_END_NONE && worker->end != KL_END_RETIRED && worker->end != KL_END_EOF &&
                worker->end != KL_END_EXIT;
    /* A signal that is not ours came before ours: that is what there is to tell. */
    bool by_itself = (!worker->killed && !told) || (end->signal != 0 && end->signal != SIGKILL);
    describe_place(worker, job, place, sizeof(place));
    ret->status = status_of_end(worker->end);
    ret->fault = job && kl_outcome_blamed(worker, job)[0] != '\0' && worker->end != KL_END_CANCELLED;
    if (job && job->cancelled) {
        ret->status = KILTER_E_CANCELLED;
        ret->fault = false;
        message = strdup("cancelled");
    } else if (worker->jobs == 0) {
        ret->status = KILTER_E_INTERNAL;
        ret->fault = false;
        message = describe_no_hello(worker, end);
    } else if (by_itself && subject) {
        ret->status = end->signal == SIGXCPU ? KILTER_E_TIMEOUT : KILTER_E_INTERNAL;
        message = describe_death(worker, end, subject, place);
    } else if (subject) {
        message = describe_kill(worker, job, subject, place);
    }
    free(subject);
    ret->class = worker->end == KL_END_ITEMS || worker->end == KL_END_BYTES ? KL_JOB_TERMINAL : KL_JOB_TRANSIENT;
    ret->message = message ? message : "the worker died";
    return message;
}

enum kl_job_class kl_outcome_class(int status)
{
    switch (status) {
    case KILTER_OK:
        return KL_JOB_OK;
    case KILTER_E_INVALID:
    case KILTER_E_LIMIT:
    case KILTER_E_NOT_FOUND:
    case KILTER_E_UNSUPPORTED:
    case KILTER_E_PERMISSION:
        return KL_JOB_TERMINAL;
    default:
        return KL_JOB_TRANSIENT;
    }
}

static char *late(const struct kl_worker *worker, const struct kl_job *job)
{
    char duration[32], place[KL_PHASE_MAX + 64], *message;
    char *subject = kl_outcome_subject(worker, job);
    snprintf(place, sizeof(place), " in %s", worker->phase_callback[0] ? worker->phase_callback : job->verb);
    kilter_format_duration(job->deadline_ms * KL_NS_PER_MS, duration);
    int rc = asprintf(&message, "%s did not finish within %s%s", subject ? subject : "the worker", duration, place);
    free(subject);
    return rc < 0 ? NULL : message;
}

static char *out_of_memory(const struct kl_worker *worker, const struct kl_job *job, struct kilter_str said)
{
    char limit[32], *message;
    int rc = asprintf(&message, "plugin '%s' ran out of memory in %s, of which it may use %s%s%.*s", job->plugin,
                      job->verb, kl_outcome_size(worker->pool->options.memory, limit), said.len ? ": " : "",
                      KILTER_STR_ARG(said));
    return rc < 0 ? NULL : message;
}

char *kl_outcome_of_done(const struct kl_worker *worker, const struct kl_job *job, const struct kilter_value *done,
                         struct kl_job_outcome *ret)
{
    int64_t status = KILTER_E_INTERNAL;
    kilter_get_int(done, "status", &status);
    struct kilter_str said = kilter_get_text(done, "message");
    char *message = NULL;
    ret->status = status <= KILTER_OK && status >= KILTER_E_INTERNAL ? (int)status : KILTER_E_INTERNAL;
    ret->class = kl_outcome_class(ret->status);
    ret->done = done;
    ret->message = "";
    if (ret->status == KILTER_OK)
        return NULL;
    if (job->cancelled) {
        ret->status = KILTER_E_CANCELLED;
        ret->class = KL_JOB_TRANSIENT;
        message = strdup("cancelled");
    } else if ((ret->status == KILTER_E_CANCELLED && job->deadline_ms > 0) ||
               (ret->status == KILTER_E_TIMEOUT && worker->end == KL_END_DEADLINE)) {
        /* Nobody cancelled it: the worker did, at its deadline, which may be a moment before ours. */
        ret->status = KILTER_E_TIMEOUT;
        message = late(worker, job);
    } else if (ret->status == KILTER_E_NOMEM && job->plugin[0]) {
        message = out_of_memory(worker, job, said);
    } else {
        message = said.len ? strndup(said.ptr, said.len) : strdup(kilter_status_text(ret->status));
    }
    ret->fault = ret->status == KILTER_E_INTERNAL && job->plugin[0]; /* it broke the contract */
    ret->message = message ? message : kilter_status_text(ret->status);
    return message;
}
