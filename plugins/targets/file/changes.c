/* SPDX-License-Identifier: Apache-2.0 */
/* changes.c: the request of an apply, read and checked before anything is done. */
#include "apply.h"

#include <stdlib.h>

/* --- reading a change ------------------------------------------------------------------------ */
static enum kilter_fs_type type_named(struct kilter_str name)
{
    for (int type = KILTER_FS_FILE; type <= KILTER_FS_SYMLINK; type++)
        if (kilter_str_eq_c(name, kilter_fs_type_name((enum kilter_fs_type)type)))
            return (enum kilter_fs_type)type;
    return KILTER_FS_ABSENT;
}

static enum phase phase_of(const struct job *job)
{
    switch (job->change->verb) {
    case KILTER_VERB_CREATE:
    case KILTER_VERB_UPDATE:
    case KILTER_VERB_REPLACE:
    case KILTER_VERB_ADOPT:
    case KILTER_VERB_MOVE:
        return job->type == KILTER_FS_DIRECTORY ? DIRECTORIES : FILES;
    case KILTER_VERB_DELETE:
    case KILTER_VERB_FORGET:
        return job->type == KILTER_FS_DIRECTORY ? DIRECTORY_REMOVALS : REMOVALS;
    default:
        return SETTLED;
    }
}

static void read_job(struct apply *apply, struct job *job, size_t index)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    job->index = index;
    job->change = &apply->request->changes[index];
    job->data = job->change->private_data;
    job->path = kilter_get_text(job->data, "path");
    job->type = type_named(kilter_get_text(job->data, "type"));
    job->secret = file_get_flag(job->data, "secret");
    job->shared = file_get_flag(job->data, "shared");
    job->phase = phase_of(job);
    if (job->change->verb == KILTER_VERB_BLOCKED) {
        struct kilter_str why = kilter_arena_str(apply->call->arena, job->change->reason);
        file_give(apply, job, KILTER_RESULT_BLOCKED, why.ptr, NULL);
    } else if (job->phase == SETTLED || (job->change->verb == KILTER_VERB_FORGET && !job->path.ptr)) {
        file_give(apply, job, job->phase == SETTLED ? KILTER_RESULT_UNCHANGED : KILTER_RESULT_DONE, NULL, NULL);
    } else if (kilter_fs_check_path(job->path, &err) < 0) {
        file_give_error(apply, job, KILTER_RESULT_TERMINAL, &err);
    } else if (job->change->verb != KILTER_VERB_FORGET && !file_allowed(apply->target, job->path)) {
        file_give(apply, job, KILTER_RESULT_TERMINAL, "is outside of what the target's `allow.paths` names", NULL);
    } else if (job->phase < REMOVALS && job->type == KILTER_FS_ABSENT) {
        file_give(apply, job, KILTER_RESULT_STALE, "the plan does not say what it is to be", NULL);
    }
}

static int by_job_path(const void *a, const void *b)
{
    struct job *const *left = a, *const *right = b;
    return kilter_str_cmp((*left)->path, (*right)->path);
}

int file_read_jobs(struct apply *apply)
{
    size_t count = apply->request->change_count;
    apply->jobs = kilter_arena_calloc(apply->call->arena, count, sizeof *apply->jobs);
    apply->by_path = kilter_arena_calloc(apply->call->arena, count, sizeof(struct job *));
    if (!apply->jobs || !apply->by_path)
        return kilter_error_set(apply->call->error, KILTER_E_NOMEM, "applying: out of memory");
    apply->count = count;
    for (size_t i = 0; i < count; i++) {
        apply->by_path[i] = &apply->jobs[i];
        read_job(apply, &apply->jobs[i], i);
    }
    qsort(apply->by_path, count, sizeof(struct job *), by_job_path);
    return KILTER_OK;
}

static bool is_removed(const struct apply *apply, struct kilter_str path)
{
    struct job key = { .path = path }, *pointer = &key;
    struct job **found = bsearch(&pointer, apply->by_path, apply->count, sizeof(struct job *), by_job_path);
    return found && (*found)->change->verb == KILTER_VERB_DELETE;
}

void file_read_records(struct apply *apply, struct paths *directories)
{
    for (size_t i = 0; i < apply->request->record_count; i++) {
        struct file_recorded recorded;
        file_recorded_read(apply->call->arena, &apply->request->records[i], &recorded);
        if (!recorded.known)
            continue;
        file_paths_add(apply, directories, file_parent_of(recorded.path));
        for (size_t p = 0; p < recorded.parents.count; p++)
            file_paths_add(apply, &apply->made, recorded.parents.items[p]);
        if (!is_removed(apply, recorded.path))
            file_paths_add(apply, &apply->kept, recorded.path);
    }
    for (size_t i = 0; i < apply->count; i++) {
        struct kilter_strs parents = file_get_texts(apply->call->arena, apply->jobs[i].data, "parents");
        for (size_t p = 0; p < parents.count; p++)
            file_paths_add(apply, &apply->made, parents.items[p]);
        /* Missing parents are made under temporary names as well, so that any of them may hold one. */
        for (struct kilter_str at = apply->jobs[i].path; at.len > 0; at = file_parent_of(at))
            file_paths_add(apply, directories, file_parent_of(at));
    }
    file_paths_sort(&apply->made);
    file_paths_sort(&apply->kept);
    file_paths_sort(directories);
}

/* --- content ----------------------------------------------------------------------------------- */
static int open_handle(struct apply *apply, struct job *job, const struct kilter_value *value)
{
    struct kilter_content *carried = kilter_content_of(value);
    if (carried->id.len && apply->call->host->content_open(apply->call, carried->id, &job->content) == KILTER_OK &&
        job->content)
        return KILTER_OK;
    job->content = carried->ops && carried->ops->read ? carried : NULL;
    return job->content ? KILTER_OK : KILTER_E_NOT_FOUND;
}

static int decode(struct apply *apply, struct job *job, struct kilter_str text)
{
    struct kilter_buf out = KILTER_BUF_INIT((size_t)64 << 20);
    int code = kilter_base64_decode(&out, text);
    if (code == KILTER_OK)
        job->bytes = kilter_arena_str(apply->call->arena, kilter_buf_view(&out));
    kilter_buf_release(&out);
    return code == KILTER_OK && !job->bytes.ptr ? KILTER_E_NOMEM : code;
}

static int find_content(struct apply *apply, struct job *job)
{
    const struct kilter_value *handle = kilter_get(job->data, "content");
    const struct kilter_value *text = kilter_get(job->change->after, "content");
    const struct kilter_value *encoded = kilter_get(job->change->after, "contentBase64");
    if (handle && kilter_content_of(handle))
        return open_handle(apply, job, handle);
    if (text && kilter_content_of(text))
        return open_handle(apply, job, text);
    if (encoded)
        return decode(apply, job, kilter_text(encoded));
    job->bytes = kilter_text(text);
    /* A stored plan keeps no secrets: where one was, its mask is. */
    if (!job->bytes.ptr || (job->secret && kilter_str_eq_c(job->bytes, KILTER_MASK)))
        return KILTER_E_NOT_FOUND;
    return KILTER_OK;
}

bool file_load_content(struct apply *apply, struct job *job)
{
    if (job->type != KILTER_FS_FILE)
        return true;
    int code = find_content(apply, job);
    if (code < 0) {
        file_give(apply, job, KILTER_RESULT_STALE, "the plan does not hold its content any more; plan again", NULL);
        return false;
    }
    job->has_digest = file_get_hex(job->data, "sha256", job->digest, sizeof job->digest);
    if (!job->has_digest && !job->content) {
        struct kilter_sha256 ctx;
        kilter_sha256_init(&ctx);
        kilter_sha256_update(&ctx, job->bytes.ptr, job->bytes.len);
        kilter_sha256_final(&ctx, job->digest);
        job->has_digest = true;
    }
    return true;
}
