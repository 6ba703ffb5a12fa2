/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world.h: a small host for one plugin, in this process: a directory that is the managed root, an inventory,
 * and a plan-and-apply loop that does everything a plan says. Changes and results go through the wire's
 * encoding and attributes through JSON, as they do between real processes.
 *
 * A world is made by world_begin and removed, with its directory, by world_end. One world, one thread.
 */
#ifndef TESTS_PLUGINS_WORLD_H
#define TESTS_PLUGINS_WORLD_H

#include <check.h>
#include <kilter/kilter.h>

#define WORLD_MAX 4096

struct world_row { /* of the inventory */
    char *api_version, *kind, *name, *claim;
    char *attributes; /* JSON, or NULL */
    enum kilter_record_status status;
};

struct world {
    char dir[64];  /* everything of this test */
    char root[80]; /* the managed root */
    struct kilter_arena *arena;
    struct kilter_diags *diags;
    struct kilter_error error;
    struct kilter_host host;
    struct kilter_call call;
    bool cancel;
    const struct kilter_plugin *plugin;
    void *handle;
    const char *owner; /* "test/app" */
    struct kilter_resource *resources;
    size_t resource_count;
    struct kilter_content *contents[WORLD_MAX]; /* that content_open knows */
    size_t content_count;
    struct world_row rows[WORLD_MAX];
    size_t row_count;
    struct kilter_change changes[WORLD_MAX]; /* of the last plan */
    size_t change_count;
    struct kilter_result results[WORLD_MAX]; /* of the last apply, by index of the change; size 0: none */
    int plan_code, apply_code;
};

const struct kilter_plugin *world_plugin(const char *name);
void world_begin(struct world *world);
/* Opens target "file" again; the allow list is NULL or NULL-terminated. */
void world_reopen(struct world *world, const char *const *allowed);
void world_end(struct world *world);
/* Forgets documents, plans and results, as between two reconciles; the inventory stays. */
void world_forget(struct world *world);

/* What Git wants from now on: a stream of YAML documents. */
void world_want(struct world *world, const char *yaml);
/* Adds one document with a content handle at spec.content. */
void world_want_handle(struct world *world, const char *name, const char *path, const char *bytes);
/* Plans; answers the number of changes that are not NONE. */
size_t world_plan(struct world *world, bool thorough);
size_t world_destroy(struct world *world);
/* Applies the last plan wave by wave and keeps the inventory. */
void world_apply(struct world *world);
/* Both, with what Git wants. */
void world_sync(struct world *world, const char *yaml);
/* What the core does right before an apply that is then killed. */
void world_mark_pending(struct world *world);

/* The change of a resource in the last plan; fails the test when there is none. */
const struct kilter_change *world_change(struct world *world, const char *name);
const struct kilter_result *world_result(struct world *world, const char *name);
struct world_row *world_row_of(struct world *world, const char *name);
/* Records as the plugin gets them. */
struct kilter_record *world_records(struct world *world, size_t *ret_count);

/* The host's side, below the root: "etc/motd". */
const char *world_path(struct world *world, const char *path);
void world_write(struct world *world, const char *path, const char *bytes);
char *world_read(struct world *world, const char *path); /* in the arena; NULL when it is not there */
bool world_there(struct world *world, const char *path);
unsigned int world_mode(struct world *world, const char *path);
/* How many entries below the root have a temporary name. */
size_t world_leftovers(struct world *world);

/* The cases, a file each. */
TCase *fs_case(void);
TCase *fs_refusals_case(void);
TCase *file_case(void);
TCase *file_rules_case(void);
TCase *file_attacks_case(void);
TCase *crash_case(void);
TCase *yaml_case(void);
TCase *files_case(void);

/* System calls of libkilter come through here (syscalls.c): die at, or fail, the n-th from now. */
void syscalls_kill_at(long n); /* 0: never */
void syscalls_fail_at(long n, int error);
/* Every call of this name fails from now on; NULL: none. */
void syscalls_fail_all(const char *name, int error);
/* What uname says from now on; NULL: the truth. */
void syscalls_kernel(const char *release);
/* Runs once, right before the next call of this name. */
void syscalls_before(const char *name, void (*act)(void));
long syscalls_count(void); /* since one of the above was called */

#endif
