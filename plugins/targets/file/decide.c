/* SPDX-License-Identifier: Apache-2.0 */
/* decide.c: what differs between Git, record and host, and what follows from it. */
#include "plan.h"

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

int file_plan_compare(struct plan *plan, struct view *view, struct kilter_error *err)
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
    if (view->live.entry.type == KILTER_FS_ABSENT)
        return;
    /* Nobody need own a directory that is shared; a link or a file in its place (/lib -> usr/lib) is somebody's. */
    if (view->wanted->shared && view->live.entry.type == KILTER_FS_DIRECTORY)
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

void file_plan_decide(struct plan *plan, struct view *view)
{
    decide_flags(plan, view);
    decide_verb(view);
    view->reason = reason_of(plan, view);
}

const char *file_plan_obstacle(const struct view *view)
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
