/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.c: the three-way comparison. For each resource its record and what is there are looked at; what is
 * recorded and not wanted any more comes last, from the inside out.
 */
#include "plan.h"

#include <stdlib.h>

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

/* The first of the records at a path, of which there may be several after an apply that was interrupted. */
static size_t first_past_at(const struct plan *plan, struct kilter_str path)
{
    size_t low = 0, high = plan->by_path_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (kilter_str_cmp(plan->by_path[middle]->path, path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct past *next_past_at(const struct plan *plan, struct kilter_str path, size_t *at)
{
    if (*at >= plan->by_path_count || !kilter_str_eq(plan->by_path[*at]->path, path))
        return NULL;
    return plan->by_path[(*at)++];
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
        struct entry *entry = &plan->entries[i];
        size_t at = first_past_at(plan, entry->wanted.path);
        for (struct past *past; !entry->wanted.problem && (past = next_past_at(plan, entry->wanted.path, &at));)
            if (!past->matched && !past->heir)
                past->heir = entry;
    }
}

static struct past *inherited_by(const struct plan *plan, const struct entry *entry)
{
    size_t at = first_past_at(plan, entry->wanted.path);
    struct past *past;
    do
        past = next_past_at(plan, entry->wanted.path, &at);
    while (past && past->heir != entry);
    return past;
}

/* --- emitting ----------------------------------------------------------------------------- */
int file_plan_emit(struct plan *plan, struct kilter_change *change, struct kilter_str path)
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
    return file_plan_emit(plan, &change, wanted->shared ? KILTER_STR_NONE : wanted->path);
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

/* --- one resource --------------------------------------------------------------------------------- */
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
    if (!view.past)
        view.past = inherited_by(plan, entry);
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
        return emit_blocked(plan, &view, file_plan_obstacle(&view));
    code = file_plan_compare(plan, &view, &err);
    if (code < 0)
        return emit_blocked_error(plan, &view, &err);
    file_plan_decide(plan, &view);
    const char *why = file_plan_obstacle(&view);
    return why ? emit_blocked(plan, &view, why) : emit_view(plan, &view);
}

/* --- the callback ------------------------------------------------------------------------------------------- */
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
    return code < 0 ? code : file_plan_removals(&plan);
}
