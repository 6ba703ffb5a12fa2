/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.c: the three-way comparison. For each resource its record and what is there are looked at; what is
 * recorded and not wanted any more comes last, from the inside out.
 */
#include "file.h"

#include <stdio.h>
#include <stdlib.h>

/* After everything that a resource's own wave can be (resource.h: 1000 at most). */
#define WAVE_REMOVALS 1001

struct entry { /* one wanted resource on its way through the plan */
    struct file_wanted wanted;
    enum kilter_verb verb;
    size_t change; /* its index in the plan */
};

struct past { /* one record */
    struct file_recorded recorded;
    struct kilter_str path;   /* known, or read from its claim; else absent */
    bool matched;             /* a resource of the same id is wanted */
    const struct entry *heir; /* a resource of another id takes its path over */
    bool moved;               /* and nothing but the id changes */
};

struct plan {
    struct kilter_call *call;
    struct file_target *target;
    const struct kilter_plan_request *request;
    struct kilter_plan_sink *sink;
    struct entry *entries; /* by path */
    size_t entry_count;
    struct past *pasts; /* by id */
    size_t past_count;
    struct past **by_path; /* those with a path */
    size_t by_path_count;
    size_t changes;
};

/* What is found out about one resource. */
struct view {
    struct entry *entry;
    struct file_wanted *wanted;
    struct past *past;
    const struct file_recorded *recorded; /* NULL: no record */
    struct file_live live;
    struct file_live old; /* at the recorded path, when that is another one */
    bool relocated;
    int64_t mode, uid, gid; /* that it is to have; KILTER_FS_KEEP: what the system gives */
    uint32_t wants;         /* wanted and recorded differ in */
    uint32_t moved;         /* live and recorded */
    uint32_t differs;       /* live and wanted */
    enum kilter_verb verb;
    uint32_t flags;
    const char *reason;
    struct kilter_str foreign;
};

/* --- finding ------------------------------------------------------------------------- */
static int compare_ids(const struct kilter_id *a, const struct kilter_id *b)
{
    int order = kilter_str_cmp(a->name, b->name);
    if (order == 0)
        order = kilter_str_cmp(a->kind, b->kind);
    if (order == 0)
        order = kilter_str_cmp(a->name_space, b->name_space);
    return order ? order : kilter_str_cmp(kilter_api_group(a->api_version), kilter_api_group(b->api_version));
}

static int by_id(const void *a, const void *b)
{
    const struct past *left = a, *right = b;
    return compare_ids(&left->recorded.record->id, &right->recorded.record->id);
}

static int by_wanted_path(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;
    int order = kilter_str_cmp(left->wanted.path, right->wanted.path);
    return order ? order : compare_ids(&left->wanted.resource->id, &right->wanted.resource->id);
}

static int by_past_path(const void *a, const void *b)
{
    struct past *const *left = a, *const *right = b;
    return kilter_str_cmp((*left)->path, (*right)->path);
}

static struct past *past_of(const struct plan *plan, const struct kilter_id *id)
{
    size_t low = 0, high = plan->past_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_ids(&plan->pasts[middle].recorded.record->id, id);
        if (order == 0)
            return &plan->pasts[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static struct past *past_at(const struct plan *plan, struct kilter_str path)
{
    struct past key = { .path = path }, *pointer = &key;
    struct past **found = plan->by_path_count ? bsearch(&pointer, plan->by_path, plan->by_path_count,
                                                        sizeof *plan->by_path, by_past_path)
                                              : NULL;
    return found ? *found : NULL;
}

static struct entry *entry_at(const struct plan *plan, struct kilter_str path)
{
    size_t low = 0, high = plan->entry_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = kilter_str_cmp(plan->entries[middle].wanted.path, path);
        if (order == 0)
            return &plan->entries[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static struct kilter_str parent_of(struct kilter_str path)
{
    ptrdiff_t slash = kilter_str_rfind(path, '/');
    return kilter_str_sub(path, 0, slash > 0 ? (size_t)slash : 0);
}

static struct entry *nearest_parent(const struct plan *plan, struct kilter_str path)
{
    struct entry *found = NULL;
    for (path = parent_of(path); path.len > 0 && !found; path = parent_of(path))
        found = entry_at(plan, path);
    return found;
}

/* The path behind "file:<machine>:<root>/etc/motd", for records that say nothing else. */
static struct kilter_str path_of_claim(const struct plan *plan, const struct kilter_record *record)
{
    for (size_t i = 0; i < record->claim_count; i++) {
        struct kilter_str root;
        if (file_claim(plan->target, plan->call->arena, KILTER_STR("/"), &root) < 0)
            break;
        struct kilter_str path = kilter_str_sub(record->claims[i], root.len - 1, record->claims[i].len);
        if (kilter_str_starts(record->claims[i], root) && kilter_fs_check_path(path, NULL) == KILTER_OK)
            return path;
    }
    return KILTER_STR_NONE;
}

/* --- reading the request ------------------------------------------------------------------ */
static int read_wanted(struct plan *plan)
{
    const struct kilter_plan_request *request = plan->request;
    size_t count = request->mode == KILTER_PLAN_DESTROY ? 0 : request->resource_count;
    bool failed = false;
    plan->entries = kilter_arena_calloc(plan->call->arena, count, sizeof *plan->entries);
    if (!plan->entries)
        return kilter_error_set(plan->call->error, KILTER_E_NOMEM, "planning: out of memory");
    for (size_t i = 0; i < count; i++)
        failed |= file_wanted_read(plan->call, plan->target, &request->resources[i], &plan->entries[i].wanted) < 0;
    if (failed)
        return kilter_error_set(plan->call->error, KILTER_E_INVALID, "resources that target \"file\" cannot take");
    plan->entry_count = count;
    qsort(plan->entries, count, sizeof *plan->entries, by_wanted_path);
    return KILTER_OK;
}

static int read_records(struct plan *plan)
{
    struct kilter_arena *arena = plan->call->arena;
    size_t count = plan->request->record_count;
    plan->pasts = kilter_arena_calloc(arena, count, sizeof *plan->pasts);
    plan->by_path = kilter_arena_calloc(arena, count, sizeof *plan->by_path);
    if (!plan->pasts || !plan->by_path)
        return kilter_error_set(plan->call->error, KILTER_E_NOMEM, "planning: out of memory");
    plan->past_count = count;
    for (size_t i = 0; i < count; i++) {
        struct past *past = &plan->pasts[i];
        const struct kilter_record *record = &plan->request->records[i];
        file_recorded_read(arena, record, &past->recorded);
        past->path = past->recorded.known ? past->recorded.path : path_of_claim(plan, record);
    }
    qsort(plan->pasts, count, sizeof *plan->pasts, by_id);
    for (size_t i = 0; i < count; i++)
        if (plan->pasts[i].path.ptr)
            plan->by_path[plan->by_path_count++] = &plan->pasts[i];
    qsort(plan->by_path, plan->by_path_count, sizeof *plan->by_path, by_past_path);
    return KILTER_OK;
}

/* Resources that get in each other's way. */
static void find_clashes(struct plan *plan)
{
    for (size_t i = 0; i < plan->entry_count; i++) {
        struct file_wanted *wanted = &plan->entries[i].wanted;
        const struct file_wanted *before = i ? &plan->entries[i - 1].wanted : NULL;
        if (before && kilter_str_eq(before->path, wanted->path) && !(before->shared && wanted->shared))
            wanted->problem = kilter_arena_printf(plan->call->arena, "%.*s \"%.*s\" has the same path",
                                                  KILTER_STR_ARG(before->resource->id.kind),
                                                  KILTER_STR_ARG(before->resource->id.name));
        const struct entry *parent = nearest_parent(plan, wanted->path);
        if (parent && parent->wanted.type != KILTER_FS_DIRECTORY)
            wanted->problem =
                kilter_arena_printf(plan->call->arena, "%.*s is to be a %s, so that nothing can be in it",
                                    KILTER_STR_ARG(parent->wanted.path), kilter_fs_type_name(parent->wanted.type));
    }
}

/* Which resource goes with which record: by id, else by path. */
static void match(struct plan *plan)
{
    for (size_t i = 0; i < plan->entry_count; i++) {
        struct past *past = past_of(plan, &plan->entries[i].wanted.resource->id);
        if (past)
            past->matched = true;
    }
    for (size_t i = 0; i < plan->entry_count; i++) {
        struct past *past = past_at(plan, plan->entries[i].wanted.path);
        if (past && !past->matched && !past->heir && !plan->entries[i].wanted.problem)
            past->heir = &plan->entries[i];
    }
}

/* --- emitting ----------------------------------------------------------------------------- */
static int emit(struct plan *plan, struct kilter_change *change, struct kilter_str path)
{
    struct kilter_str claim;
    change->size = sizeof *change;
    if (path.ptr && file_claim(plan->target, plan->call->arena, path, &claim) == KILTER_OK) {
        change->claims = &claim;
        change->claim_count = 1;
    }
    plan->changes++;
    return plan->sink->emit(plan->sink, change);
}

static int64_t next_mode(const struct view *view)
{
    if (view->mode >= 0)
        return view->mode;
    return view->wanted->type == KILTER_FS_DIRECTORY ? 0755 : 0644;
}

static struct kilter_value *private_of(struct plan *plan, const struct view *view)
{
    const struct file_wanted *wanted = view->wanted;
    struct file_map map = file_map_new(plan->call->arena);
    bool there = view->live.entry.type == wanted->type;
    file_put_text(&map, "path", wanted->path);
    file_put_text(&map, "type", kilter_str_c(kilter_fs_type_name(wanted->type)));
    if (view->mode >= 0)
        file_put_mode(&map, "mode", (uint32_t)view->mode);
    if (view->uid >= 0)
        file_put_int(&map, "uid", view->uid);
    if (view->gid >= 0)
        file_put_int(&map, "gid", view->gid);
    if (wanted->shared)
        file_put_bool(&map, "shared", true);
    if (wanted->secret)
        file_put_bool(&map, "secret", true);
    if (wanted->force)
        file_put_bool(&map, "force", true);
    file_put_bool(&map, "created", view->recorded && view->recorded->known ? view->recorded->created : !there);
    if (view->recorded && view->recorded->parents.count)
        file_put_texts(&map, "parents", view->recorded->parents.items, view->recorded->parents.count);
    if (wanted->type == KILTER_FS_FILE && wanted->hashed && !wanted->secret)
        file_put_digest(&map, "sha256", wanted->digest);
    if (wanted->content && wanted->content->id.len)
        file_put(&map, "content", kilter_content_value(plan->call->arena, wanted->content));
    /* What another resource is put at stays, of course. */
    if (view->relocated && view->old.entry.type != KILTER_FS_ABSENT && !entry_at(plan, view->old.path)) {
        file_put_text(&map, "oldPath", view->old.path);
        const struct kilter_value *must = file_preconditions(plan->call->arena, &view->old, view->recorded->secret);
        file_put(&map, "oldPreconditions", kilter_value_copy(plan->call->arena, must));
    }
    return map.map;
}

static int emit_view(struct plan *plan, struct view *view)
{
    struct kilter_call *call = plan->call;
    struct file_wanted *wanted = view->wanted;
    const struct entry *parent = nearest_parent(plan, wanted->path);
    bool secret = wanted->secret || (view->recorded && view->recorded->secret);
    uint32_t after = 0;
    struct kilter_change change = { .verb = view->verb,
                                    .flags = view->flags,
                                    .id = wanted->resource->id,
                                    .origin = wanted->resource->origin,
                                    .foreign_owner = view->foreign,
                                    .reason = kilter_str_c(view->reason),
                                    .wave = wanted->wave };
    /* A shared directory is made by the first that needs it, whatever becomes of its own change. */
    bool made = parent && (parent->verb == KILTER_VERB_CREATE || parent->verb == KILTER_VERB_REPLACE);
    if (made && !parent->wanted.shared && parent->wanted.wave <= wanted->wave) {
        after = (uint32_t)parent->change;
        change.after_changes = &after;
        change.after_count = 1;
    }
    if (view->verb == KILTER_VERB_MOVE)
        change.moved_from = view->past->recorded.record->id;
    if (view->verb != KILTER_VERB_NONE && view->verb != KILTER_VERB_BLOCKED) {
        int64_t uid = view->uid >= 0 ? view->uid : -1, gid = view->gid >= 0 ? view->gid : -1;
        change.before = file_show_live(call, plan->target, &view->live, secret);
        int code =
            file_show_wanted(call, plan->target, wanted, next_mode(view), uid, gid, &change.after, call->error);
        if (code < 0)
            return code;
        change.preconditions = file_preconditions(call->arena, &view->live, secret);
        change.private_data = private_of(plan, view);
        if (!change.preconditions || !change.private_data)
            return kilter_error_set(call->error, KILTER_E_NOMEM, "planning: out of memory");
    }
    view->entry->verb = view->verb;
    view->entry->change = plan->changes;
    return emit(plan, &change, wanted->shared ? KILTER_STR_NONE : wanted->path);
}

static int emit_blocked(struct plan *plan, struct view *view, const char *reason)
{
    view->verb = KILTER_VERB_BLOCKED;
    view->reason = reason;
    return emit_view(plan, view);
}

static int emit_blocked_error(struct plan *plan, struct view *view, const struct kilter_error *err)
{
    struct kilter_str reason = kilter_arena_str(plan->call->arena, kilter_str_c(err->message));
    return emit_blocked(plan, view, reason.ptr ? reason.ptr : "");
}

/* --- comparing one resource ------------------------------------------------------------------- */
/* Not said in Git: as it was applied last, else as it is there. */
static void choose_attributes(struct view *view)
{
    const struct file_wanted *wanted = view->wanted;
    const struct file_recorded *recorded = view->recorded;
    bool recalled = recorded && recorded->known && recorded->type == wanted->type;
    bool there = view->live.entry.type == wanted->type;
    view->mode = wanted->mode >= 0 ? wanted->mode
                 : recalled        ? (int64_t)recorded->mode
                 : there           ? (int64_t)view->live.entry.mode
                                   : KILTER_FS_KEEP;
    view->uid = wanted->uid >= 0 ? wanted->uid
                : recalled       ? (int64_t)recorded->uid
                : there          ? (int64_t)view->live.entry.uid
                                 : KILTER_FS_KEEP;
    view->gid = wanted->gid >= 0 ? wanted->gid
                : recalled       ? (int64_t)recorded->gid
                : there          ? (int64_t)view->live.entry.gid
                                 : KILTER_FS_KEEP;
}

static int compare_content(struct plan *plan, struct view *view, struct kilter_error *err)
{
    struct file_wanted *wanted = view->wanted;
    const struct file_recorded *recorded = view->recorded;
    if (wanted->secret != recorded->secret)
        view->wants |= FILE_DIFF_CONTENT;
    if (wanted->content && wanted->content->id.len && kilter_str_eq(wanted->content->id, recorded->content_id))
        return KILTER_OK;
    int code = file_wanted_hash(wanted, err);
    if (code == KILTER_OK && !file_recorded_is(plan->target, recorded, wanted->digest))
        view->wants |= FILE_DIFF_CONTENT;
    return code;
}

/* Git against what was applied last. */
static int compare_recorded(struct plan *plan, struct view *view, struct kilter_error *err)
{
    const struct file_wanted *wanted = view->wanted;
    const struct file_recorded *recorded = view->recorded;
    view->relocated = !kilter_str_eq(wanted->path, recorded->path);
    view->wants = view->relocated ? FILE_DIFF_PATH : 0;
    if (wanted->type != recorded->type) {
        view->wants |= FILE_DIFF_TYPE;
        return KILTER_OK;
    }
    if (wanted->shared && recorded->shared)
        return KILTER_OK;
    if (view->uid != recorded->uid || view->gid != recorded->gid || wanted->shared != recorded->shared)
        view->wants |= FILE_DIFF_OWNER;
    if (wanted->type == KILTER_FS_SYMLINK)
        view->wants |= kilter_str_eq(wanted->target, recorded->target) ? 0 : FILE_DIFF_TARGET;
    else if (view->mode != recorded->mode)
        view->wants |= FILE_DIFF_MODE;
    return wanted->type == KILTER_FS_FILE ? compare_content(plan, view, err) : KILTER_OK;
}

/* Git against what is there. */
static int compare_live(struct plan *plan, struct view *view, struct kilter_error *err)
{
    struct file_wanted *wanted = view->wanted;
    struct file_live *live = &view->live;
    view->differs = 0;
    if (live->entry.type != wanted->type) {
        view->differs = FILE_DIFF_TYPE;
        return KILTER_OK;
    }
    if (wanted->shared)
        return KILTER_OK;
    if ((view->uid >= 0 && view->uid != live->entry.uid) || (view->gid >= 0 && view->gid != live->entry.gid))
        view->differs |= FILE_DIFF_OWNER;
    if (wanted->type == KILTER_FS_SYMLINK) {
        view->differs |= kilter_str_eq(wanted->target, live->target) ? 0 : FILE_DIFF_TARGET;
        return KILTER_OK;
    }
    if (view->mode >= 0 && view->mode != live->entry.mode)
        view->differs |= FILE_DIFF_MODE;
    if (wanted->type != KILTER_FS_FILE)
        return KILTER_OK;
    bool recalled = view->recorded && view->recorded->known && !view->relocated;
    if (recalled && !((view->wants | view->moved) & FILE_DIFF_CONTENT))
        return KILTER_OK;
    int code = file_wanted_hash(wanted, err);
    if (code == KILTER_OK)
        code = file_live_hash(plan->target, live, err);
    if (code == KILTER_OK && memcmp(wanted->digest, live->digest, sizeof live->digest) != 0)
        view->differs |= FILE_DIFF_CONTENT;
    return code;
}

static int compare(struct plan *plan, struct view *view, struct kilter_error *err)
{
    bool recalled = view->recorded && view->recorded->known;
    int code = KILTER_OK;
    choose_attributes(view);
    if (recalled)
        code = compare_recorded(plan, view, err);
    if (code == KILTER_OK && recalled && view->relocated) {
        code = file_live_read(plan->call, plan->target, view->recorded->path, &view->old, err);
        if (code == KILTER_OK && view->old.entry.type != KILTER_FS_ABSENT)
            code = file_live_moved(plan->target, &view->old, view->recorded, plan->request->thorough, &view->moved,
                                   err);
    } else if (code == KILTER_OK && recalled && view->live.entry.type != KILTER_FS_ABSENT) {
        code =
            file_live_moved(plan->target, &view->live, view->recorded, plan->request->thorough, &view->moved, err);
    }
    return code < 0 ? code : compare_live(plan, view, err);
}

/* --- deciding ------------------------------------------------------------------------------------- */
static struct kilter_str installation_of(struct kilter_str owner)
{
    ptrdiff_t slash = kilter_str_find(owner, '/', 0);
    return kilter_str_sub(owner, 0, slash < 0 ? owner.len : (size_t)slash);
}

/* The other installation that a mark names; absent when there is none. Within one installation the store
 * knows the owner, and a mark may be left from an app that was renamed. */
static struct kilter_str foreign_owner(struct plan *plan, const struct file_live *live, bool *ret_ours,
                                       bool *ret_possible)
{
    struct kilter_str mark = file_live_mark(plan->call, plan->target, live, ret_possible);
    *ret_ours = mark.ptr && kilter_str_eq(mark, plan->request->owner);
    if (!mark.ptr || kilter_str_eq(installation_of(mark), installation_of(plan->request->owner)))
        return KILTER_STR_NONE;
    return mark;
}

static void decide_flags(struct plan *plan, struct view *view)
{
    bool recalled = view->recorded && view->recorded->known;
    bool ours = false, possible = false;
    if (recalled && !view->relocated) {
        view->flags = (view->wants ? KILTER_CHANGE_WANTED : 0) | (view->moved ? KILTER_CHANGE_DRIFTED : 0);
        if (view->live.entry.type == KILTER_FS_ABSENT)
            view->flags |= KILTER_CHANGE_DRIFTED;
        return;
    }
    view->flags = KILTER_CHANGE_WANTED | (view->moved ? KILTER_CHANGE_DRIFTED : 0);
    if (view->live.entry.type == KILTER_FS_ABSENT || view->wanted->shared)
        return;
    view->foreign = foreign_owner(plan, &view->live, &ours, &possible);
    /* A record without attributes: writing it was begun. What bears no mark although it could was there
     * before; where no mark can be set the record's word must do. */
    bool unowned = !ours && (!view->recorded || possible || view->relocated);
    if (view->foreign.ptr)
        view->flags |= KILTER_CHANGE_FOREIGN | KILTER_CHANGE_UNOWNED;
    else if (unowned && !(view->relocated && !view->differs))
        view->flags |= KILTER_CHANGE_UNOWNED;
}

static void decide_verb(struct view *view)
{
    bool clean = !view->wants && !view->moved && view->recorded && view->recorded->known;
    bool settled = view->recorded && view->recorded->record->status == KILTER_RECORD_OWNED;
    if (view->relocated && view->old.entry.type != KILTER_FS_ABSENT)
        view->verb = KILTER_VERB_REPLACE;
    else if (view->live.entry.type == KILTER_FS_ABSENT)
        view->verb = KILTER_VERB_CREATE;
    else if (view->differs & FILE_DIFF_TYPE)
        view->verb = KILTER_VERB_REPLACE;
    else if (view->differs)
        view->verb = KILTER_VERB_UPDATE;
    else if (view->past && view->past->heir == view->entry)
        view->verb = KILTER_VERB_MOVE;
    else
        view->verb = clean && settled ? KILTER_VERB_NONE : KILTER_VERB_ADOPT;
    /* Somebody made by hand what Git wants now: nothing of his is undone. */
    if (view->verb == KILTER_VERB_ADOPT || view->verb == KILTER_VERB_MOVE)
        view->flags = (view->flags & ~KILTER_CHANGE_DRIFTED) | KILTER_CHANGE_WANTED;
    if (view->verb == KILTER_VERB_REPLACE && view->live.entry.type == KILTER_FS_DIRECTORY)
        view->flags |= KILTER_CHANGE_ASK;
    if (view->past && view->past->heir == view->entry)
        view->past->moved = view->verb == KILTER_VERB_MOVE;
}

static const char *reason_of(struct plan *plan, const struct view *view)
{
    struct kilter_arena *arena = plan->call->arena;
    const char *wants = file_differences_text(arena, view->wants),
               *moved = file_differences_text(arena, view->moved);
    const char *text = NULL;
    if (view->foreign.ptr)
        text = kilter_arena_printf(arena, "belongs to %.*s by its mark " FILE_MARK, KILTER_STR_ARG(view->foreign));
    else if (view->verb == KILTER_VERB_NONE)
        text = "";
    else if (view->verb == KILTER_VERB_MOVE)
        text = "the same thing under another name";
    else if (view->verb == KILTER_VERB_ADOPT)
        text = "is there as wanted";
    else if (view->verb == KILTER_VERB_CREATE)
        text = view->recorded && view->recorded->known ? "was removed from the host" : "is not there yet";
    else if (view->relocated)
        text = kilter_arena_printf(arena, "moves here from %.*s", KILTER_STR_ARG(view->recorded->path));
    else if (view->flags & KILTER_CHANGE_UNOWNED)
        text = kilter_arena_printf(arena, "is there already, is nobody's, and differs in %s",
                                   file_differences_text(arena, view->differs));
    else if (view->wants && view->moved)
        text = kilter_arena_printf(arena, "Git changes %s; on the host %s differs from what was applied", wants,
                                   moved);
    else if (view->moved)
        text = kilter_arena_printf(arena, "%s differs from what was applied", moved);
    else if (view->wants)
        text = kilter_arena_printf(arena, "Git changes %s", wants);
    else
        text = kilter_arena_printf(arena, "%s is not as wanted", file_differences_text(arena, view->differs));
    return text ? text : "";
}

/* What no plan can get past; NULL when nothing is in the way. */
static const char *obstacle(const struct view *view)
{
    const struct kilter_fs_entry *entry = &view->live.entry;
    if (view->verb == KILTER_VERB_NONE)
        return NULL;
    if (view->foreign.ptr)
        return view->reason;
    if (entry->type == KILTER_FS_SPECIAL)
        return "a device, a named pipe or a socket is in its place; kilter leaves those alone";
    if (view->verb == KILTER_VERB_ADOPT || view->verb == KILTER_VERB_MOVE)
        return NULL;
    if (entry->flags & (KILTER_FS_IMMUTABLE | KILTER_FS_APPEND_ONLY))
        return "is immutable or append-only (chattr); kilter does not clear that";
    if ((entry->flags & KILTER_FS_MOUNTED) && entry->type != KILTER_FS_DIRECTORY)
        return "something is mounted there";
    if (entry->type == KILTER_FS_FILE && entry->nlink > 1 && !view->wanted->force)
        return "has other hard links, which would keep the old content; annotate kilter.dev/force: enabled to part "
               "them";
    return NULL;
}

/* A directory that takes the place of a link or a file makes room for what is wanted below it. */
static bool parent_gives_way(const struct plan *plan, struct kilter_str path)
{
    for (const struct entry *parent; (parent = nearest_parent(plan, path)); path = parent->wanted.path)
        if (parent->verb == KILTER_VERB_REPLACE)
            return true;
    return false;
}

static int plan_entry(struct plan *plan, struct entry *entry)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct view view = { .entry = entry, .wanted = &entry->wanted, .reason = "" };
    view.past = past_of(plan, &entry->wanted.resource->id);
    struct past *taken = past_at(plan, entry->wanted.path);
    if (!view.past && taken && taken->heir == entry)
        view.past = taken;
    view.recorded = view.past ? &view.past->recorded : NULL;
    if (entry->wanted.problem)
        return emit_blocked(plan, &view, entry->wanted.problem);
    if (view.recorded && view.recorded->unreadable)
        return emit_blocked(plan, &view, "its record was written by a newer version of target \"file\"");
    int code = file_live_read(plan->call, plan->target, entry->wanted.path, &view.live, &err);
    if (code == KILTER_E_CONFLICT && parent_gives_way(plan, entry->wanted.path))
        view.live.entry.type = KILTER_FS_ABSENT;
    else if (code < 0)
        return emit_blocked_error(plan, &view, &err);
    if (view.live.entry.type == KILTER_FS_SPECIAL)
        return emit_blocked(plan, &view, obstacle(&view));
    code = compare(plan, &view, &err);
    if (code < 0)
        return emit_blocked_error(plan, &view, &err);
    decide_flags(plan, &view);
    decide_verb(&view);
    view.reason = reason_of(plan, &view);
    const char *why = obstacle(&view);
    return why ? emit_blocked(plan, &view, why) : emit_view(plan, &view);
}

/* --- what is not wanted any more ------------------------------------------------------------------------ */
static int emit_gone(struct plan *plan, const struct past *past, enum kilter_verb verb, uint32_t flags,
                     struct file_live *live, const char *reason)
{
    const struct file_recorded *recorded = &past->recorded;
    struct kilter_change change = { .verb = verb,
                                    .flags = flags,
                                    .id = recorded->record->id,
                                    .reason = kilter_str_c(reason),
                                    .wave = WAVE_REMOVALS };
    if (verb == KILTER_VERB_DELETE || verb == KILTER_VERB_FORGET) {
        struct file_map map = file_map_new(plan->call->arena);
        if (past->path.ptr)
            file_put_text(&map, "path", past->path);
        file_put_text(&map, "type", kilter_str_c(kilter_fs_type_name(live->entry.type)));
        if (past->heir)
            file_put_bool(&map, "keepMark", true);
        if (verb == KILTER_VERB_FORGET && !past->heir && live->entry.type == KILTER_FS_ABSENT)
            file_put_bool(&map, "gone", true);
        if (recorded->parents.count)
            file_put_texts(&map, "parents", recorded->parents.items, recorded->parents.count);
        change.private_data = map.map;
        /* What is only forgotten stays as it is: no side of it differs. */
        if (verb == KILTER_VERB_DELETE)
            change.before = file_show_live(plan->call, plan->target, live, recorded->secret);
        change.preconditions = file_preconditions(plan->call->arena, live, recorded->secret);
        if (!change.private_data || !change.preconditions)
            return kilter_error_set(plan->call->error, KILTER_E_NOMEM, "planning: out of memory");
    }
    return emit(plan, &change, recorded->shared ? KILTER_STR_NONE : past->path);
}

/* Of what was begun and not heard of again nothing is known but its path. */
static int plan_unknown_gone(struct plan *plan, const struct past *past, struct file_live *live)
{
    bool possible = false;
    struct kilter_str mark = file_live_mark(plan->call, plan->target, live, &possible);
    if (mark.ptr && kilter_str_eq(mark, plan->request->owner))
        return emit_gone(plan, past, KILTER_VERB_DELETE, KILTER_CHANGE_WANTED, live,
                         "was being written when kilter stopped, and is not in Git any more");
    if (possible || live->entry.type == KILTER_FS_DIRECTORY)
        return emit_gone(plan, past, KILTER_VERB_FORGET, KILTER_CHANGE_WANTED, live,
                         "kilter had not written it yet; what is there is somebody else's");
    return emit_gone(plan, past, KILTER_VERB_DELETE, KILTER_CHANGE_WANTED | KILTER_CHANGE_DRIFTED, live,
                     "was being written when kilter stopped; whether it is kilter's cannot be told here");
}

static int plan_known_gone(struct plan *plan, const struct past *past, struct file_live *live)
{
    const struct file_recorded *recorded = &past->recorded;
    struct kilter_error err = KILTER_ERROR_INIT;
    uint32_t moved = 0;
    if (recorded->type == KILTER_FS_DIRECTORY && !recorded->created)
        return emit_gone(plan, past, KILTER_VERB_FORGET, KILTER_CHANGE_WANTED, live,
                         "was there before kilter, so that it stays");
    if (live->entry.type != recorded->type &&
        (live->entry.type == KILTER_FS_DIRECTORY || live->entry.type == KILTER_FS_SPECIAL))
        return emit_gone(plan, past, KILTER_VERB_FORGET, KILTER_CHANGE_WANTED | KILTER_CHANGE_DRIFTED, live,
                         "something else is in its place now, which stays");
    if (live->entry.flags & (KILTER_FS_IMMUTABLE | KILTER_FS_APPEND_ONLY | KILTER_FS_MOUNTED))
        return emit_gone(plan, past, KILTER_VERB_BLOCKED, KILTER_CHANGE_WANTED, live,
                         "is immutable, append-only or mounted");
    if (recorded->type == KILTER_FS_DIRECTORY)
        return emit_gone(plan, past, KILTER_VERB_DELETE, KILTER_CHANGE_WANTED, live,
                         "is not in Git any more; it goes when it is empty");
    if (file_live_moved(plan->target, live, recorded, plan->request->thorough, &moved, &err) < 0)
        return emit_gone(plan, past, KILTER_VERB_BLOCKED, KILTER_CHANGE_WANTED, live,
                         kilter_arena_str(plan->call->arena, kilter_str_c(err.message)).ptr);
    if (moved)
        return emit_gone(plan, past, KILTER_VERB_DELETE, KILTER_CHANGE_WANTED | KILTER_CHANGE_DRIFTED, live,
                         kilter_arena_printf(plan->call->arena,
                                             "is not in Git any more; %s differs from what was applied",
                                             file_differences_text(plan->call->arena, moved)));
    return emit_gone(plan, past, KILTER_VERB_DELETE, KILTER_CHANGE_WANTED, live, "is not in Git any more");
}

static int plan_gone(struct plan *plan, const struct past *past)
{
    struct file_live live = { .entry = KILTER_FS_ENTRY_INIT };
    struct kilter_error err = KILTER_ERROR_INIT;
    live.path = past->path;
    if (past->moved)
        return KILTER_OK;
    if (past->recorded.unreadable)
        return emit_gone(plan, past, KILTER_VERB_BLOCKED, 0, &live,
                         "its record was written by a newer version of target \"file\"");
    if (past->heir || !past->path.ptr)
        return emit_gone(plan, past, KILTER_VERB_FORGET, KILTER_CHANGE_WANTED, &live,
                         past->heir ? "another resource has its path now" : "nothing is known of it");
    if (!file_allowed(plan->target, past->path))
        return emit_gone(plan, past, KILTER_VERB_BLOCKED, KILTER_CHANGE_WANTED, &live,
                         "is outside of what the target's `allow.paths` names");
    int code = file_live_read(plan->call, plan->target, past->path, &live, &err);
    if (code == KILTER_E_CONFLICT || (code == KILTER_OK && live.entry.type == KILTER_FS_ABSENT)) {
        live.entry.type = KILTER_FS_ABSENT;
        return emit_gone(plan, past, KILTER_VERB_FORGET, KILTER_CHANGE_WANTED, &live, "is gone already");
    }
    if (code < 0)
        return emit_gone(plan, past, KILTER_VERB_BLOCKED, KILTER_CHANGE_WANTED, &live,
                         kilter_arena_str(plan->call->arena, kilter_str_c(err.message)).ptr);
    return past->recorded.known ? plan_known_gone(plan, past, &live) : plan_unknown_gone(plan, past, &live);
}

/* --- the callback ------------------------------------------------------------------------------------------- */
static int plan_removals(struct plan *plan)
{
    int code = KILTER_OK;
    for (size_t i = 0; code == KILTER_OK && i < plan->past_count; i++)
        if (!plan->pasts[i].path.ptr && !plan->pasts[i].matched)
            code = plan_gone(plan, &plan->pasts[i]);
    for (size_t i = plan->by_path_count; code == KILTER_OK && i > 0; i--)
        if (!plan->by_path[i - 1]->matched)
            code = plan_gone(plan, plan->by_path[i - 1]);
    return code;
}

int file_plan(struct kilter_call *call, void *handle, const struct kilter_plan_request *request,
              struct kilter_plan_sink *sink)
{
    struct plan plan = { .call = call, .target = handle, .request = request, .sink = sink };
    int code = read_wanted(&plan);
    if (code == KILTER_OK)
        code = read_records(&plan);
    if (code < 0)
        return code;
    find_clashes(&plan);
    match(&plan);
    for (size_t i = 0; code == KILTER_OK && i < plan.entry_count; i++)
        code = kilter_cancelled(call) ? kilter_error_set(call->error, KILTER_E_CANCELLED, "planning was cancelled")
                                      : plan_entry(&plan, &plan.entries[i]);
    return code < 0 ? code : plan_removals(&plan);
}
