/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply.c: the changes of a wave as batches of libkilter's fs module: directories from the outside in, then
 * files and links, then removals of these, then of directories from the inside out. Each change is compared with
 * what is there right before its batch, and by the batch once more right before its rename.
 */
#include "apply.h"

#include <unistd.h>

/* --- results ------------------------------------------------------------------------------ */
void file_give(struct apply *apply, struct job *job, enum kilter_result_class result, const char *message,
               const struct kilter_value *attributes)
{
    struct kilter_result out = { .size = sizeof out,
                                 .change = job->index,
                                 .result = result,
                                 .message = kilter_str_c(message ? message : ""),
                                 .attributes = attributes,
                                 .schema_version = FILE_SCHEMA_VERSION };
    job->phase = SETTLED;
    if (result > KILTER_RESULT_UNCHANGED && job->type == KILTER_FS_DIRECTORY) {
        file_paths_add(apply, &apply->failed, job->path);
        file_paths_sort(&apply->failed);
    }
    if (apply->sink->emit(apply->sink, &out) < 0)
        apply->broken = true;
}

void file_give_error(struct apply *apply, struct job *job, enum kilter_result_class result,
                     const struct kilter_error *err)
{
    struct kilter_str text = kilter_arena_str(apply->call->arena, kilter_str_c(err->message));
    file_give(apply, job, result, text.ptr, NULL);
}

static enum kilter_result_class class_of(const struct kilter_fs_result *result)
{
    switch (result->obstacle) {
    case KILTER_FS_CLEAR:
        return KILTER_RESULT_DONE;
    case KILTER_FS_STALE:
        return KILTER_RESULT_STALE;
    case KILTER_FS_IS_IMMUTABLE:
    case KILTER_FS_IS_READ_ONLY:
    case KILTER_FS_IS_BUSY:
    case KILTER_FS_HAS_LINKS:
    case KILTER_FS_IS_SPECIAL:
    case KILTER_FS_UNSAFE_PARENT:
    case KILTER_FS_BAD_PARENT:
    case KILTER_FS_NOT_EMPTY:
        return KILTER_RESULT_BLOCKED;
    case KILTER_FS_DENIED:
    case KILTER_FS_BAD_PATH:
        return KILTER_RESULT_TERMINAL;
    case KILTER_FS_STOPPED:
        return KILTER_RESULT_SKIPPED;
    case KILTER_FS_NO_SPACE:
    case KILTER_FS_FAILED:
        break;
    }
    return result->status == KILTER_E_CONFLICT ? KILTER_RESULT_TERMINAL : KILTER_RESULT_TRANSIENT;
}

/* Parents that kilter made, from the outside in: found in the request's records, the plan or this very run. */
static struct kilter_strs made_parents(struct apply *apply, const struct job *job)
{
    struct kilter_str found[256];
    size_t count = 0;
    for (struct kilter_str at = file_parent_of(job->path); at.len > 0 && count < 256; at = file_parent_of(at))
        if (file_paths_have(&apply->made, at))
            found[count++] = at;
    struct kilter_str *items = kilter_arena_calloc(apply->call->arena, count, sizeof *items);
    for (size_t i = 0; items && i < count; i++)
        items[i] = found[count - 1 - i];
    return (struct kilter_strs){ items, items ? count : 0 };
}

static void give_done(struct apply *apply, struct job *job, enum kilter_result_class result, const char *message)
{
    enum kilter_verb verb = job->change->verb;
    struct file_state *state = &job->state;
    state->path = job->path;
    state->secret = job->secret;
    state->shared = job->shared;
    state->created = verb == KILTER_VERB_REPLACE || (verb == KILTER_VERB_CREATE && result == KILTER_RESULT_DONE) ||
                     file_get_flag(job->data, "created") || file_paths_have(&apply->made, job->path);
    state->parents = made_parents(apply, job);
    if (job->content && !job->secret)
        state->content_id = job->content->id;
    const struct kilter_value *attributes = file_state_attributes(apply->target, apply->call->arena, state);
    if (!attributes)
        apply->broken = true;
    file_give(apply, job, result, message, attributes);
}

/* --- leftovers --------------------------------------------------------------------------- */
/* What an earlier run left when it was killed can only be where files of ours are or were to be. */
static void sweep(struct apply *apply, const struct paths *directories)
{
    size_t removed, total = 0;
    for (size_t i = 0; i < directories->count; i++) {
        struct kilter_str directory = directories->items[i].len ? directories->items[i] : KILTER_STR("/");
        if (kilter_fs_sweep(apply->target->fs, directory, &removed, NULL) == KILTER_OK)
            total += removed;
    }
    if (total)
        kilter_log(apply->call, KILTER_LOG_INFO, "removed %zu temporary entries that an interrupted apply had left",
                   total);
}

/* --- comparing ------------------------------------------------------------------------------------- */
static void wanted_attributes(const struct job *job, int64_t *mode, int64_t *uid, int64_t *gid)
{
    uint32_t bits;
    uint64_t id;
    *mode = file_get_mode(job->data, "mode", &bits) ? (int64_t)bits : KILTER_FS_KEEP;
    *uid = file_get_uint(job->data, "uid", &id) ? (int64_t)id : KILTER_FS_KEEP;
    *gid = file_get_uint(job->data, "gid", &id) ? (int64_t)id : KILTER_FS_KEEP;
}

static bool has_wanted_content(struct apply *apply, struct job *job)
{
    if (job->live.entry.type != KILTER_FS_FILE || !job->has_digest)
        return false;
    return file_live_hash(apply->target, &job->live, NULL) == KILTER_OK &&
           memcmp(job->live.digest, job->digest, sizeof job->digest) == 0;
}

static bool is_as_wanted(struct apply *apply, struct job *job)
{
    const struct kilter_fs_entry *entry = &job->live.entry;
    int64_t mode, uid, gid;
    wanted_attributes(job, &mode, &uid, &gid);
    if (entry->type != job->type)
        return false;
    if (job->shared)
        return true;
    if ((uid >= 0 && uid != entry->uid) || (gid >= 0 && gid != entry->gid))
        return false;
    if (job->type == KILTER_FS_SYMLINK)
        return kilter_str_eq(job->live.target, kilter_get_text(job->change->after, "target"));
    if (mode >= 0 && mode != entry->mode)
        return false;
    return job->type == KILTER_FS_DIRECTORY || has_wanted_content(apply, job);
}

/* Within one installation the store knows the owner; a mark may be left from an app that was renamed. */
static bool is_of_this_installation(const struct apply *apply, struct kilter_str mark)
{
    struct kilter_str owner = apply->request->owner;
    ptrdiff_t slash = kilter_str_find(owner, '/', 0);
    return kilter_str_starts(mark, kilter_str_sub(owner, 0, slash < 0 ? owner.len : (size_t)slash + 1));
}

static bool mark_is_foreign(struct apply *apply, struct job *job)
{
    bool possible;
    struct kilter_str mark = file_live_mark(apply->call, apply->target, &job->live, &possible);
    if (!mark.ptr || is_of_this_installation(apply, mark))
        return false;
    file_give(
        apply, job, KILTER_RESULT_BLOCKED,
        kilter_arena_printf(apply->call->arena, "belongs to %.*s by its mark " FILE_MARK, KILTER_STR_ARG(mark)),
        NULL);
    return true;
}

static bool below_any(const struct paths *paths, const struct job *job)
{
    for (struct kilter_str at = file_parent_of(job->path); at.len > 0; at = file_parent_of(at))
        if (file_paths_have(paths, at))
            return true;
    return false;
}

/* --- operations ---------------------------------------------------------------------------------------- */
/* Mode or owner of a file alone is changed in place; anything more becomes a new file, in one step. */
static bool only_attributes(struct apply *apply, struct job *job, const struct kilter_fs_op *op)
{
    const struct kilter_fs_entry *entry = &job->live.entry;
    if (job->type == KILTER_FS_DIRECTORY)
        return entry->type == KILTER_FS_DIRECTORY;
    if (job->type != KILTER_FS_FILE || entry->type != KILTER_FS_FILE || entry->nlink != 1)
        return false;
    bool moded = op->mode >= 0 && op->mode != entry->mode;
    bool owned = (op->uid >= 0 && op->uid != entry->uid) || (op->gid >= 0 && op->gid != entry->gid);
    /* Whoever owns it now may hold it open for writing and go on doing so. */
    bool trusted = entry->uid == 0 || entry->uid == (uint32_t)geteuid() || op->uid == entry->uid;
    return trusted && !(moded && owned) && !(owned && (entry->mode & 06000)) && has_wanted_content(apply, job);
}

static enum kilter_fs_action action_of(struct apply *apply, struct job *job, const struct kilter_fs_op *op)
{
    enum kilter_verb verb = job->change->verb;
    if (verb == KILTER_VERB_ADOPT || verb == KILTER_VERB_MOVE || only_attributes(apply, job, op))
        return KILTER_FS_SET_ATTRIBUTES;
    if (job->type == KILTER_FS_DIRECTORY)
        return KILTER_FS_MAKE_DIRECTORY;
    return job->type == KILTER_FS_SYMLINK ? KILTER_FS_MAKE_SYMLINK : KILTER_FS_WRITE_FILE;
}

static void queue(struct apply *apply, struct job *job, const struct kilter_fs_op *op)
{
    if (kilter_fs_batch_add(apply->batch, op, &job->op) < 0)
        apply->broken = true;
    else
        job->queued = true;
    if (job->type == KILTER_FS_DIRECTORY && job->phase == DIRECTORIES)
        file_paths_add(apply, &apply->coming, job->path);
}

static void queue_write(struct apply *apply, struct job *job)
{
    struct kilter_fs_op op = KILTER_FS_OP_INIT;
    wanted_attributes(job, &op.mode, &op.uid, &op.gid);
    op.path = job->path;
    op.expect = &job->live.entry;
    op.flags = KILTER_FS_MAKE_PARENTS | (file_get_flag(job->data, "force") ? KILTER_FS_BREAK_LINKS : 0) |
               (job->change->flags & KILTER_CHANGE_ASK ? KILTER_FS_REPLACE_TREE : 0);
    op.bytes = job->bytes;
    op.content = job->content;
    op.digest = job->has_digest ? job->digest : NULL;
    op.target = kilter_get_text(job->change->after, "target");
    op.action = action_of(apply, job, &op);
    if (!job->shared && job->type != KILTER_FS_SYMLINK) {
        op.xattr_name = FILE_MARK;
        op.xattr_value = apply->request->owner;
    }
    queue(apply, job, &op);
}

/* Recording only; the mark is set where there can be one. */
static void prepare_adoption(struct apply *apply, struct job *job)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    bool file = job->type == KILTER_FS_FILE, plain = job->shared || job->type == KILTER_FS_SYMLINK;
    if (file_live_state(apply->target, &job->live, &job->state, &err) < 0) {
        file_give_error(apply, job, KILTER_RESULT_TRANSIENT, &err);
    } else if (!is_as_wanted(apply, job)) {
        file_give(apply, job, KILTER_RESULT_STALE, "is not as wanted any more", NULL);
    } else if (plain || (file && job->live.entry.nlink > 1)) {
        give_done(apply, job, KILTER_RESULT_DONE, NULL);
    } else {
        bool possible = false;
        struct kilter_str mark = file_live_mark(apply->call, apply->target, &job->live, &possible);
        if (!possible || kilter_str_eq(mark, apply->request->owner) ||
            (job->live.entry.flags & (KILTER_FS_IMMUTABLE | KILTER_FS_APPEND_ONLY)))
            give_done(apply, job, KILTER_RESULT_DONE, NULL);
        else
            queue_write(apply, job);
    }
}

static void prepare_write(struct apply *apply, struct job *job)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    enum kilter_verb verb = job->change->verb;
    if (below_any(&apply->failed, job)) {
        file_give(apply, job, KILTER_RESULT_SKIPPED, "the directory that it goes into could not be made", NULL);
        return;
    }
    if (file_live_read(apply->call, apply->target, job->path, &job->live, &err) < 0) {
        if (err.code == KILTER_E_CONFLICT && below_any(&apply->coming, job))
            apply->deferred = true;
        else
            file_give_error(apply, job,
                            err.code == KILTER_E_CONFLICT ? KILTER_RESULT_BLOCKED : KILTER_RESULT_TRANSIENT, &err);
        return;
    }
    if (!file_load_content(apply, job) || (!job->shared && mark_is_foreign(apply, job)))
        return;
    if (verb == KILTER_VERB_ADOPT || verb == KILTER_VERB_MOVE) {
        prepare_adoption(apply, job);
        return;
    }
    if (file_precondition_holds(apply->target, job->change->preconditions, &job->live, &err) == KILTER_OK)
        queue_write(apply, job);
    else if (is_as_wanted(apply, job) && file_live_state(apply->target, &job->live, &job->state, NULL) == KILTER_OK)
        give_done(apply, job, KILTER_RESULT_UNCHANGED, NULL);
    else
        file_give_error(apply, job, KILTER_RESULT_STALE, &err);
}

static void note_emptied(struct apply *apply, const struct job *job)
{
    struct kilter_strs parents = file_get_texts(apply->call->arena, job->data, "parents");
    for (size_t i = 0; i < parents.count; i++)
        if (!file_paths_have(&apply->kept, parents.items[i]) &&
            kilter_fs_check_path(parents.items[i], NULL) == KILTER_OK)
            file_paths_add(apply, &apply->emptied, parents.items[i]);
}

/* Only our own mark goes, and nothing else changes. */
static void prepare_forget(struct apply *apply, struct job *job)
{
    struct kilter_fs_op op = KILTER_FS_OP_INIT;
    bool possible = false;
    if (file_get_flag(job->data, "gone"))
        note_emptied(apply, job);
    bool there = !file_get_flag(job->data, "keepMark") && file_allowed(apply->target, job->path) &&
                 file_live_read(apply->call, apply->target, job->path, &job->live, NULL) == KILTER_OK;
    struct kilter_str mark =
        there ? file_live_mark(apply->call, apply->target, &job->live, &possible) : KILTER_STR_NONE;
    if (!mark.ptr || !is_of_this_installation(apply, mark)) {
        file_give(apply, job, KILTER_RESULT_DONE, NULL, NULL);
        return;
    }
    op.action = KILTER_FS_SET_ATTRIBUTES;
    op.path = job->path;
    op.expect = &job->live.entry;
    op.xattr_name = FILE_MARK;
    queue(apply, job, &op);
}

static void prepare_removal(struct apply *apply, struct job *job)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kilter_fs_op op = KILTER_FS_OP_INIT;
    if (job->change->verb == KILTER_VERB_FORGET) {
        prepare_forget(apply, job);
        return;
    }
    int code = file_live_read(apply->call, apply->target, job->path, &job->live, &err);
    if (code == KILTER_E_CONFLICT || (code == KILTER_OK && job->live.entry.type == KILTER_FS_ABSENT)) {
        note_emptied(apply, job);
        file_give(apply, job, KILTER_RESULT_UNCHANGED, "was gone already", NULL);
    } else if (code < 0) {
        file_give_error(apply, job, KILTER_RESULT_TRANSIENT, &err);
    } else if (file_precondition_holds(apply->target, job->change->preconditions, &job->live, &err) < 0) {
        file_give_error(apply, job, KILTER_RESULT_STALE, &err);
    } else {
        op.action = KILTER_FS_REMOVE;
        op.path = job->path;
        op.expect = &job->live.entry;
        queue(apply, job, &op);
    }
}

/* --- finishing ------------------------------------------------------------------------------------------ */
static void finish_removal(struct apply *apply, struct job *job, const struct kilter_fs_result *result)
{
    bool deleting = job->change->verb == KILTER_VERB_DELETE;
    if (deleting && result->status == KILTER_OK)
        note_emptied(apply, job);
    if (deleting && result->obstacle == KILTER_FS_NOT_EMPTY)
        file_give(apply, job, KILTER_RESULT_DONE, "kept: the directory is not empty; kilter no longer owns it",
                  NULL);
    /* A mark that cannot be removed must not keep anybody from forgetting. */
    else if (!deleting && result->status < 0 && result->obstacle != KILTER_FS_STOPPED)
        file_give(apply, job, KILTER_RESULT_DONE, result->message, NULL);
    else
        file_give(apply, job, class_of(result), result->message, NULL);
}

static void finish_write(struct apply *apply, struct job *job, const struct kilter_fs_result *result)
{
    if (result->status < 0) {
        file_give(apply, job, class_of(result), result->message, NULL);
        return;
    }
    job->state.entry = *result->entry;
    job->state.target = kilter_get_text(job->change->after, "target");
    bool written = job->change->verb != KILTER_VERB_ADOPT && job->change->verb != KILTER_VERB_MOVE;
    if (written) {
        static const uint8_t none[KILTER_SHA256_SIZE];
        bool hashed = memcmp(result->digest, none, sizeof none) != 0;
        memcpy(job->state.digest, hashed ? result->digest : job->digest, sizeof job->digest);
    }
    struct kilter_str at = job->path;
    for (size_t i = 0; i < result->made_parents; i++) {
        at = file_parent_of(at);
        file_paths_add(apply, &apply->made, at);
    }
    job->done = true;
}

static bool ask_stop(void *data)
{
    struct kilter_call *call = data;
    return kilter_cancelled(call);
}

static void fail_flush(struct apply *apply, struct job *job, const struct kilter_error *err)
{
    if (job->phase != SETTLED)
        file_give_error(apply, job, KILTER_RESULT_TRANSIENT, err);
    job->done = false;
}

/* The text that a result lives by must outlive the batch. */
static struct kilter_fs_result result_of(struct apply *apply, const struct job *job)
{
    struct kilter_fs_result result = { .size = sizeof result };
    kilter_fs_batch_result(apply->batch, job->op, &result);
    if (result.message)
        result.message = kilter_arena_str(apply->call->arena, kilter_str_c(result.message)).ptr;
    return result;
}

static void run_phase(struct apply *apply, enum phase phase)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    size_t count = apply->count;
    apply->coming.count = 0;
    apply->batch = kilter_fs_batch_new(apply->target->fs, ask_stop, apply->call);
    if (!apply->batch) {
        apply->broken = true;
        return;
    }
    for (size_t i = 0; i < count && !apply->broken; i++) {
        struct job *job = apply->by_path[phase >= REMOVALS ? count - 1 - i : i];
        if (job->phase != phase)
            continue;
        if (phase >= REMOVALS)
            prepare_removal(apply, job);
        else
            prepare_write(apply, job);
    }
    int flushed = apply->broken ? KILTER_OK : kilter_fs_batch_run(apply->batch, &err);
    for (size_t i = 0; i < count && !apply->broken; i++) {
        struct job *job = apply->by_path[phase >= REMOVALS ? count - 1 - i : i];
        if (job->phase != phase || !job->queued)
            continue;
        struct kilter_fs_result result = result_of(apply, job);
        if (phase >= REMOVALS)
            finish_removal(apply, job, &result);
        else
            finish_write(apply, job, &result);
        if (flushed < 0)
            fail_flush(apply, job, &err);
    }
    file_paths_sort(&apply->made);
    kilter_fs_batch_free(apply->batch);
    apply->batch = NULL;
}

/* --- what follows -------------------------------------------------------------------------------------- */
/* One removal by itself. */
static struct kilter_fs_result remove_one(struct apply *apply, struct kilter_str path,
                                          const struct kilter_fs_entry *expect)
{
    struct kilter_fs_op op = KILTER_FS_OP_INIT;
    struct kilter_fs_result result = { .size = sizeof result,
                                       .obstacle = KILTER_FS_FAILED,
                                       .status = KILTER_E_NOMEM };
    size_t index;
    struct kilter_fs_batch *batch = kilter_fs_batch_new(apply->target->fs, NULL, NULL);
    op.action = KILTER_FS_REMOVE;
    op.path = path;
    op.expect = expect;
    if (batch && kilter_fs_batch_add(batch, &op, &index) == KILTER_OK) {
        kilter_fs_batch_run(batch, NULL);
        kilter_fs_batch_result(batch, index, &result);
    }
    if (result.message)
        result.message = kilter_arena_str(apply->call->arena, kilter_str_c(result.message)).ptr;
    kilter_fs_batch_free(batch);
    return result;
}

static void give_relocated(struct apply *apply, struct job *job, struct kilter_str old,
                           const struct kilter_fs_result *result)
{
    const char *why = result->message ? result->message : "out of memory";
    bool lasting = result->obstacle == KILTER_FS_STALE || result->obstacle == KILTER_FS_NOT_EMPTY;
    if (result->status == KILTER_OK)
        give_done(apply, job, KILTER_RESULT_DONE, NULL);
    else if (lasting)
        give_done(apply, job, KILTER_RESULT_DONE,
                  kilter_arena_printf(apply->call->arena, "%.*s is kept: %s", KILTER_STR_ARG(old), why));
    else /* the record goes on naming the old place, so that the next plan comes back to it */
        file_give(apply, job, class_of(result), why, NULL);
}

/* A resource whose path moved: the old place is cleared once the new one is there. */
static void finish_job(struct apply *apply, struct job *job)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kilter_fs_result result = { .size = sizeof result };
    struct file_live live;
    struct kilter_str path = kilter_get_text(job->data, "oldPath");
    int code = KILTER_OK;
    if (path.ptr && file_allowed(apply->target, path)) {
        code = file_live_read(apply->call, apply->target, path, &live, &err);
        if (code == KILTER_OK && live.entry.type != KILTER_FS_ABSENT) {
            const struct kilter_value *must = kilter_get(job->data, "oldPreconditions");
            code = file_precondition_holds(apply->target, must, &live, &err);
            if (code == KILTER_OK)
                result = remove_one(apply, path, &live.entry);
        }
    }
    if (code < 0) {
        result.status = code;
        result.obstacle = KILTER_FS_STALE;
        result.message = kilter_arena_str(apply->call->arena, kilter_str_c(err.message)).ptr;
    }
    give_relocated(apply, job, path, &result);
}

static void give_written(struct apply *apply, enum phase phase)
{
    for (size_t i = 0; i < apply->count && !apply->broken; i++) {
        struct job *job = apply->by_path[i];
        if (job->phase == phase && job->done)
            finish_job(apply, job);
    }
}

/* Parents that were made for files that are gone go as well, once they are empty; those that are not stay. */
static void remove_emptied(struct apply *apply)
{
    file_paths_sort(&apply->emptied);
    size_t count = apply->emptied.count, index;
    struct file_live *lives = kilter_arena_calloc(apply->call->arena, count, sizeof *lives);
    struct kilter_fs_batch *batch = count && lives ? kilter_fs_batch_new(apply->target->fs, NULL, NULL) : NULL;
    for (size_t i = count; batch && i > 0; i--) {
        struct kilter_fs_op op = KILTER_FS_OP_INIT;
        struct file_live *live = &lives[i - 1];
        op.action = KILTER_FS_REMOVE;
        op.path = apply->emptied.items[i - 1];
        op.expect = &live->entry;
        if (file_live_read(apply->call, apply->target, op.path, live, NULL) == KILTER_OK &&
            live->entry.type == KILTER_FS_DIRECTORY && kilter_fs_batch_add(batch, &op, &index) < 0)
            apply->broken = true;
    }
    if (batch)
        kilter_fs_batch_run(batch, NULL);
    kilter_fs_batch_free(batch);
}

int file_apply(struct kilter_call *call, void *handle, const struct kilter_apply_request *request,
               struct kilter_result_sink *sink)
{
    struct apply apply = { .call = call, .target = handle, .request = request, .sink = sink };
    struct paths directories = { NULL, 0, 0 };
    int code = file_read_jobs(&apply);
    if (code < 0)
        return code;
    file_read_records(&apply, &directories);
    sweep(&apply, &directories);
    do {
        apply.deferred = false;
        run_phase(&apply, DIRECTORIES);
        give_written(&apply, DIRECTORIES);
    } while (apply.deferred && !apply.broken);
    run_phase(&apply, FILES);
    give_written(&apply, FILES);
    run_phase(&apply, REMOVALS);
    remove_emptied(&apply);
    run_phase(&apply, DIRECTORY_REMOVALS);
    remove_emptied(&apply);
    if (apply.broken)
        return kilter_error_set(call->error, KILTER_E_NOMEM, "applying: out of memory, or nobody listens");
    return KILTER_OK;
}
