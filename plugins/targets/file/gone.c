/* SPDX-License-Identifier: Apache-2.0 */
/* gone.c: what is recorded and not wanted any more, from the inside out. */
#include "plan.h"

/* After everything that a resource's own wave can be (resource.h: 1000 at most). */
#define WAVE_REMOVALS 1001

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
    return file_plan_emit(plan, &change, recorded->shared ? KILTER_STR_NONE : past->path);
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

int file_plan_removals(struct plan *plan)
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
