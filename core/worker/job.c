/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/job.h"

#include "base/clock.h"
#include "worker/channel.h"
#include "worker/proc.h"

#include <kilter/yaml.h>
#include <stdio.h>
#include <stdlib.h>

#define LOG_MAX_COUNT 1000u /* lines of one job */
#define LOG_MAX_BYTES (256u << 10)
#define LOG_MAX_LINE 4096u
#define HIDDEN_LEAST 4u /* bytes; shorter secrets would mask half of every message */
#define MESSAGE_MAX (64u << 10)

/* --- arguments ---------------------------------------------------------------------- */
const char *kl_job_text_of(struct kl_job *job, const struct kilter_value *map, const char *key)
{
    struct kilter_str text = kilter_get_text(map, key);
    if (!text.len || memchr(text.ptr, '\0', text.len))
        return NULL;
    return kilter_arena_str(job->arena, text).ptr;
}

const char *kl_job_text(struct kl_job *job, const char *key)
{
    return kl_job_text_of(job, job->args, key);
}

int64_t kl_job_int(struct kl_job *job, const char *key, int64_t otherwise)
{
    int64_t number;
    return kilter_get_int(job->args, key, &number) == 0 ? number : otherwise;
}

const char *kl_job_require(struct kl_job *job, const char *key)
{
    const char *text = kl_job_text(job, key);
    if (!text)
        kilter_error_set(&job->error, KILTER_E_INVALID, "the %.*s job has no argument %s",
                         KILTER_STR_ARG(job->verb), key);
    return text;
}

/* --- what must not be said -------------------------------------------------------------- */
void kl_job_hide(struct kl_job *job, struct kilter_str secret)
{
    secret = kilter_str_trim(secret);
    if (secret.len < HIDDEN_LEAST)
        return;
    if (job->secret_count == job->secret_capacity) {
        size_t capacity = job->secret_capacity ? job->secret_capacity * 2 : 16;
        struct kilter_str *more = kilter_arena_calloc(job->arena, capacity, sizeof *more);
        if (!more)
            return;
        if (job->secret_count)
            memcpy(more, job->secrets, job->secret_count * sizeof *more);
        job->secrets = more;
        job->secret_capacity = capacity;
    }
    job->secrets[job->secret_count++] = secret;
}

void kl_job_hide_all(struct kl_job *job, const struct kilter_value *value, bool all)
{
    if (!value)
        return;
    all = all || kilter_marks_of(value) & KILTER_VALUE_SECRET;
    if (all && kilter_type_of(value) == KILTER_SCALAR)
        kl_job_hide(job, kilter_text(value));
    for (size_t i = 0; i < kilter_list_size(value); i++)
        kl_job_hide_all(job, kilter_list_at(value, i), all);
    for (size_t i = 0; i < kilter_map_size(value); i++)
        kl_job_hide_all(job, kilter_map_at(value, i), all);
}

static const struct kilter_str *secret_at(const struct kl_job *job, struct kilter_str rest)
{
    const struct kilter_str *longest = NULL;
    for (size_t i = 0; i < job->secret_count; i++)
        if (kilter_str_starts(rest, job->secrets[i]) && (!longest || job->secrets[i].len > longest->len))
            longest = &job->secrets[i];
    return longest;
}

/* The text with secrets masked, as a string value in `arena`. */
static struct kilter_value *told(struct kl_job *job, struct kilter_arena *arena, struct kilter_str text)
{
    struct kilter_buf out = KILTER_BUF_INIT(2 * MESSAGE_MAX);
    text = kilter_str_sub(text, 0, MESSAGE_MAX);
    for (size_t i = 0; job->secret_count && i < text.len;) {
        const struct kilter_str *secret = secret_at(job, kilter_str_sub(text, i, SIZE_MAX));
        if (secret)
            kilter_buf_c(&out, KILTER_MASK);
        else
            kilter_buf_char(&out, text.ptr[i]);
        i += secret ? secret->len : 1;
    }
    struct kilter_value *value = kilter_string(arena, job->secret_count ? kilter_buf_view(&out)
                                                      : text.ptr        ? text
                                                                        : KILTER_STR(""));
    kilter_buf_release(&out);
    return value;
}

/* --- whether to stop ---------------------------------------------------------------------- */
/* While a job runs, nothing but CANCEL may come. */
static void take_frames(struct kl_job *job)
{
    struct kl_frame frame;
    while (!job->cancelled && kl_channel_poll(job->channel, &frame)) {
        if (frame.type != KL_FRAME_CANCEL) {
            fprintf(stderr, "kilter-worker: %s while a job runs\n", kl_frame_type_name(frame.type));
            fflush(NULL);
            kl_proc_end(3);
        }
        job->cancelled = frame.job == job->id;
    }
}

int kl_job_check(struct kl_job *job)
{
    int64_t now = kl_clock_monotonic_ns();
    if (!job->cancelled && job->channel && now >= job->look_ns) {
        take_frames(job);
        job->look_ns = now + KL_NS_PER_MS; /* a system call each millisecond at most */
    }
    if (job->cancelled)
        return KILTER_E_CANCELLED;
    return job->deadline_ns && now >= job->deadline_ns ? KILTER_E_TIMEOUT : KILTER_OK;
}

bool kl_job_stopped(void *data)
{
    return kl_job_check(data) < 0;
}

/* --- answers ---------------------------------------------------------------------------------- */
/* Small maps that are sent and forgotten. */
struct note {
    struct kilter_arena *arena;
    struct kilter_value *map;
};

static struct note note_new(void)
{
    struct note note = { kilter_arena_new(0), NULL };
    if (note.arena)
        note.map = kilter_map(note.arena);
    return note;
}

static void note_put(struct note *note, const char *key, struct kilter_value *value)
{
    if (note->map && (!value || kilter_set(note->arena, note->map, key, value) < 0))
        note->map = NULL;
}

static void note_send(struct kl_job *job, struct note *note, enum kl_frame_type type)
{
    if (note->map)
        kl_channel_write(job->channel, type, job->id, note->map, NULL);
    kilter_arena_free(note->arena);
}

void kl_job_phase(struct kl_job *job, const char *plugin, const char *callback)
{
    struct note note = note_new();
    job->plugin = plugin;
    job->callback = callback;
    if (plugin) {
        note_put(&note, "plugin", kilter_string_c(note.arena, plugin));
        note_put(&note, "callback", kilter_string_c(note.arena, callback));
    }
    note_send(job, &note, KL_FRAME_PHASE);
    if (plugin) /* before its code runs: it may be the last we say */
        kl_channel_flush(job->channel);
}

static void send_log(struct kl_job *job, enum kilter_log_level level, struct kilter_str message)
{
    struct note note = note_new();
    note_put(&note, "level", kilter_int(note.arena, level));
    note_put(&note, "message", note.arena ? told(job, note.arena, message) : NULL);
    note_send(job, &note, KL_FRAME_LOG);
    kl_channel_flush(job->channel);
}

void kl_job_log(struct kl_job *job, enum kilter_log_level level, struct kilter_str message)
{
    if (job->log_count >= LOG_MAX_COUNT || job->log_bytes >= LOG_MAX_BYTES) {
        job->log_dropped++;
        return;
    }
    message = kilter_str_sub(message, 0, LOG_MAX_LINE);
    job->log_count++;
    job->log_bytes += message.len;
    send_log(job, level, message);
}

int kl_job_item(struct kl_job *job, const struct kilter_value *item)
{
    size_t bytes = 0;
    if (!item)
        return kilter_error_set(&job->error, KILTER_E_NOMEM, "out of memory for an answer");
    if (job->done)
        return KILTER_E_INTERNAL;
    int rc = kl_channel_write(job->channel, KL_FRAME_ITEM, job->id, item, &bytes);
    job->output += bytes;
    if (rc == KILTER_E_LIMIT)
        return kilter_error_set(&job->error, rc, "one %.*s is larger than a message may be (%u bytes)",
                                KILTER_STR_ARG(kilter_get_text(item, "kind")), KL_FRAME_MAX);
    if (rc < 0)
        return kilter_error_set(&job->error, rc, "an answer cannot be sent: %s", kilter_status_text(rc));
    if (job->max_output && job->output > job->max_output)
        return kilter_error_set(&job->error, KILTER_E_LIMIT, "the job's output is larger than %llu bytes",
                                (unsigned long long)job->max_output);
    return 0;
}

void kl_job_flush(struct kl_job *job)
{
    kl_channel_flush(job->channel);
}

static const char *severity_word(enum kilter_severity severity)
{
    return severity == KILTER_ERROR ? "error" : severity == KILTER_WARNING ? "warning" : "note";
}

static void send_diag(struct kl_job *job, const struct kilter_diag *diag)
{
    struct note note = note_new();
    if (note.arena) {
        note_put(&note, "severity", kilter_string_c(note.arena, severity_word(diag->severity)));
        note_put(&note, "code", kilter_string(note.arena, diag->code));
        note_put(&note, "file", kilter_string(note.arena, diag->origin.file));
        note_put(&note, "line", kilter_int(note.arena, diag->origin.line));
        note_put(&note, "column", kilter_int(note.arena, diag->origin.column));
        note_put(&note, "message", told(job, note.arena, diag->message));
        note_put(&note, "hint", told(job, note.arena, diag->hint));
    }
    note_send(job, &note, KL_FRAME_DIAG);
}

static void put_members(struct note *note, const struct kilter_value *more)
{
    for (size_t i = 0; note->map && i < kilter_map_size(more); i++)
        if (kilter_map_set(note->arena, note->map, kilter_text(kilter_map_key_at(more, i)),
                           kilter_map_at(more, i)) < 0)
            note->map = NULL;
}

static int send_done(struct kl_job *job, int status, const struct kilter_value *more)
{
    struct note note = note_new();
    const char *message = job->error.message[0] ? job->error.message : kilter_status_text(status);
    if (note.arena) {
        note_put(&note, "status", kilter_int(note.arena, status));
        if (status < 0)
            note_put(&note, "message", told(job, note.arena, kilter_str_c(message)));
    }
    put_members(&note, more);
    int rc = note.map ? kl_channel_write(job->channel, KL_FRAME_DONE, job->id, note.map, NULL) : KILTER_E_NOMEM;
    kilter_arena_free(note.arena);
    return rc;
}

void kl_job_done(struct kl_job *job, int status, struct kilter_value *more)
{
    if (job->done)
        return;
    for (size_t i = 0; job->diags && i < kilter_diags_count(job->diags); i++)
        send_diag(job, kilter_diags_at(job->diags, i));
    if (job->log_dropped) {
        char message[64];
        snprintf(message, sizeof message, "%zu more lines of log were dropped", job->log_dropped);
        send_log(job, KILTER_LOG_WARNING, kilter_str_c(message));
    }
    job->done = true;
    if (send_done(job, status, more) < 0) {
        kilter_error_set(&job->error, KILTER_E_LIMIT, "the answer of the %.*s job is too large to be sent",
                         KILTER_STR_ARG(job->verb));
        send_done(job, KILTER_E_LIMIT, NULL);
    }
    kl_channel_flush(job->channel);
}
