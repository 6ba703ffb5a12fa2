/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h: what the parts of a plan share: plan.c walks through resources and emits, decide.c compares and
 * decides, gone.c plans what is not wanted any more. All of it lives for one call.
 */
#ifndef FILE_TARGET_PLAN_H
#define FILE_TARGET_PLAN_H

#include "file.h"

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

/* Gives a change to the host, with the claim of its path when there is one. */
int file_plan_emit(struct plan *plan, struct kilter_change *change, struct kilter_str path);
/* Compares the three sides of a resource whose live entry was read. */
int file_plan_compare(struct plan *plan, struct view *view, struct kilter_error *err);
/* Flags, verb and reason of a resource that was compared. */
void file_plan_decide(struct plan *plan, struct view *view);
/* What no plan can get past; NULL when nothing is in the way. */
const char *file_plan_obstacle(const struct view *view);
/* Plans every record that no resource goes with. */
int file_plan_removals(struct plan *plan);

#endif
