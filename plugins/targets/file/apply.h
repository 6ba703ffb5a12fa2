/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply.h: what the parts of an apply share: changes.c reads the request, apply.c does it, paths.c keeps sets
 * of paths. All of it lives for one call.
 */
#ifndef FILE_TARGET_APPLY_H
#define FILE_TARGET_APPLY_H

#include "file.h"

enum phase { DIRECTORIES = 0, FILES = 1, REMOVALS = 2, DIRECTORY_REMOVALS = 3, SETTLED = 4 };

struct job { /* one change */
    const struct kilter_change *change;
    size_t index;
    const struct kilter_value *data; /* its private document */
    struct kilter_str path;
    enum kilter_fs_type type;
    enum phase phase;
    bool secret, shared;
    struct file_live live;
    struct kilter_content *content;
    struct kilter_str bytes;
    uint8_t digest[KILTER_SHA256_SIZE]; /* of the wanted content */
    bool has_digest, queued, done;
    size_t op;
    struct file_state state; /* once it is done */
};

struct paths { /* sorted, each once, after paths_sort */
    struct kilter_str *items;
    size_t count, capacity;
};

struct apply {
    struct kilter_call *call;
    struct file_target *target;
    const struct kilter_apply_request *request;
    struct kilter_result_sink *sink;
    struct job *jobs;
    struct job **by_path;
    size_t count;
    struct paths made;    /* directories that kilter made as parents, then or now */
    struct paths kept;    /* what other records hold */
    struct paths failed;  /* directories of this request that could not be made */
    struct paths emptied; /* made parents of what was removed */
    struct paths coming;  /* directories of the batch that comes; sorted as they are added */
    struct kilter_fs_batch *batch;
    bool deferred; /* a directory waits for another one that is about to take a file's place */
    bool broken;   /* the sink failed, or memory */
};

/* --- paths.c ------------------------------------------------------------------------------- */
/* Marks the apply as broken when out of memory. */
void file_paths_add(struct apply *apply, struct paths *paths, struct kilter_str path);
void file_paths_sort(struct paths *paths);
bool file_paths_have(const struct paths *paths, struct kilter_str path);
/* The directory that a path is in; empty: the root. */
struct kilter_str file_parent_of(struct kilter_str path);

/* --- changes.c ------------------------------------------------------------------------------ */
/* Reads the changes into jobs; those that are done without a look at the host are answered. */
int file_read_jobs(struct apply *apply);
/* Reads what the records say of parents and places, and which directories an earlier run may have left
 * something in. */
void file_read_records(struct apply *apply, struct paths *directories);
/* Finds the content of a file; false when the job was answered because it is not there. */
bool file_load_content(struct apply *apply, struct job *job);

/* --- apply.c -------------------------------------------------------------------------------- */
/* Answers a job, once. */
void file_give(struct apply *apply, struct job *job, enum kilter_result_class result, const char *message,
               const struct kilter_value *attributes);
void file_give_error(struct apply *apply, struct job *job, enum kilter_result_class result,
                     const struct kilter_error *err);

#endif
