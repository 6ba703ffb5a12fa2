/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.h: the daemon's heart: what it knows of sources and apps, and when
 * it works on which.
 *
 * The engine owns the running manifest, one kl_source_state for each source
 * and one kl_app_state for each app; it is the only writer of the store. It
 * runs no plugin code: every piece of work is a job of the pool. Everything
 * here belongs to the loop's thread and nothing blocks.
 *
 * A reconcile is a `pass` (pass.h). An app has at most one at a time; what
 * asks for another meanwhile is merged into its `wish`.
 */
#ifndef KL_DAEMON_ENGINE_H
#define KL_DAEMON_ENGINE_H

#include <uv.h>

#include "base/map.h"
#include "daemon/artifact.h"
#include "daemon/plan.h"
#include "daemon/policy.h"
#include "daemon/state.h"
#include "manifest/manifest.h"
#include "pool/pool.h"
#include "store/store.h"

struct kl_engine;
struct kl_pass;

/* --- commits ------------------------------------------------------------------ */
struct kl_commit {
    char id[41]; /* hex; empty: none */
    char author[128];
    char email[128];
    char subject[256];
    int64_t time; /* seconds since 1970 */
};

struct kilter_value *kl_commit_value(struct kilter_arena *arena, const struct kl_commit *commit);
void kl_commit_read(const struct kilter_value *map, struct kl_commit *ret);

/* --- sources ------------------------------------------------------------------ */
struct kl_source_state {
    struct kl_engine *engine;
    const struct kl_source *def; /* of engine->manifest */
    char *name;
    char *mirror; /* directory */
    struct kl_commit commit;
    char ref_name[256];
    struct kl_job *job;      /* the fetch that runs, or NULL */
    bool again;              /* another look is wanted as soon as nothing writes to the mirror */
    bool outdated;           /* the fetch that runs is of another URL or ref */
    const char *maintaining; /* the mirror that is being repacked on its behalf, or NULL */
    uv_timer_t timer;        /* next poll */
    struct kl_source_waiter *waiters;
    unsigned failures;  /* in a row */
    int64_t fetched_ms; /* last success */
    int64_t next_ms;    /* next poll */
    char error[512];    /* of the last try; empty: it succeeded */
    char digest[KL_DIGEST_TEXT];
    bool closing;
    unsigned fetches; /* that brought something, since the mirror was repacked */
    /* Collected while a fetch runs. */
    struct kilter_arena *changes_arena;
    struct kl_tree_change *changes;
    size_t change_count, change_capacity;
    bool changes_lost; /* memory was short: anything may have changed */
};

/* --- apps --------------------------------------------------------------------- */
/* What the next pass is asked for. */
struct kl_wish {
    enum kl_trigger trigger; /* KL_TRIGGER_NONE: nothing is asked */
    bool prune, correct;     /* by a person, this once */
    bool thorough;
    char approve[65]; /* digest of the plan that is approved; empty: none */
    char actor[80];   /* who or what */
    char note[160];   /* what moved */
};

enum kl_result {
    KL_RESULT_NONE,
    KL_RESULT_SUCCEEDED,
    KL_RESULT_WAITING,
    KL_RESULT_FAILED,
    KL_RESULT_SUPERSEDED,
};

/* One step of the last pass, for `why`. */
struct kl_step {
    int64_t at_ms;
    int64_t took_ms;
    enum kl_phase phase;
    const char *result; /* "ok", "failed", "waiting", "skipped" */
    char message[256];
};

#define KL_STORY_STEPS 24

struct kl_story {
    int64_t pass; /* history id, or 0 */
    struct kl_wish wish;
    int64_t at_ms;
    struct kl_commit commit;
    struct kl_step steps[KL_STORY_STEPS];
    size_t step_count;
    enum kl_result result;
};

struct kl_suspension {
    bool on;
    bool after_removal;         /* set by `forget` or `delete` itself */
    int64_t since_ms, until_ms; /* until 0: until resumed */
    char by[80], reason[256];
};

struct kl_pin {
    struct kl_commit commit; /* empty id: not pinned */
    int64_t since_ms;
    char by[80], reason[256];
};

/* What is remembered of one resource beside the inventory; by resource key. */
struct kl_resource_note {
    int64_t drift_since_ms;
    enum kilter_health health;
    char health_message[160];
    enum kilter_result_class result; /* of the last apply; 0: none */
    char result_message[256];
};

enum kl_removal { KL_REMOVAL_NONE, KL_REMOVAL_FORGET, KL_REMOVAL_DELETE };

struct kl_app_state {
    struct kl_engine *engine;
    int64_t id;
    char *name;
    const struct kl_app *def;          /* of engine->manifest, or of `orphan` */
    struct kl_manifest *orphan;        /* the manifest that knew it last, while it is being removed */
    struct kilter_arena *orphan_arena; /* or a definition from the store, when it was removed while nothing ran */
    struct kl_source_state *source;    /* NULL while it is being removed */
    enum kl_removal removal;
    bool lost;               /* not in the manifest, but maybe in an include that is not there: left alone */
    bool keep_after_removal; /* `forget` and `delete` of an app that is still in the manifest */
    int64_t revision;

    /* Kept over restarts. */
    struct kl_commit applied;   /* brought to the target whole */
    struct kl_commit last_good; /* applied and healthy */
    struct kl_commit last_bad;  /* rolled back from; not tried again until Git moves */
    struct kl_pin pin;
    struct kl_suspension suspension;
    char applied_digest[KL_DIGEST_TEXT]; /* of the artifact that was applied */
    char applied_renderer[130];          /* "name version" */
    char approved[65];       /* digest of the plan that a person approved, until it is applied or void */
    char rejected[65];       /* digest of the plan that a person rejected */
    char identity[256];      /* of the target that the inventory belongs to */
    char seen_identity[256]; /* of the target that was looked at last */
    bool rebuilt;            /* the inventory was rebuilt: the first prune asks */

    /* Shown. */
    enum kl_sync_state sync;
    enum kilter_health health;
    enum kl_phase phase;
    enum kl_reason reason;
    char message[512];
    int64_t since_ms, last_pass_ms, next_ms;
    unsigned retries;
    struct {
        int64_t time_ms;
        enum kl_reason reason;
        char message[512], plugin[64], callback[32];
    } error;
    struct kilter_diags *diags; /* of the last failure */
    size_t done, total;         /* progress of an apply */
    struct kl_story story;

    struct kl_artifact *artifact;      /* of the wanted commit, as last rendered */
    struct kl_artifact *good_artifact; /* that was applied last; NULL after a start, until then */
    struct kl_plan *plan;              /* the last one */
    struct kl_decision decision;
    int64_t plan_ms;
    struct kl_map notes; /* resource key -> struct kl_resource_note */

    struct kl_pass *pass;  /* the one that runs, or NULL */
    struct kl_pass *queue; /* plans that wait for it to end */
    uint64_t begun, ended; /* passes so far */
    struct kl_wish wish;
    uv_timer_t timer; /* next drift check, retry, or end of a suspension */
    char *saved;      /* the state document that the store has */
    bool stuck;       /* terminal failure: no retry before commit or manifest move */
    bool closing;
};

/* --- engine -------------------------------------------------------------------- */
struct kl_engine_options {
    const char *manifest_path;
    const char *state_directory; /* NULL: the manifest's */
    bool passive;                /* `--once`: nothing starts by itself, only what is asked for over the API */
};

struct kl_engine {
    uv_loop_t *loop;
    struct kl_engine_options options;
    struct kl_manifest *manifest;
    struct kl_store *store;
    struct kl_pool *pool;
    struct kl_map apps;    /* name -> struct kl_app_state */
    struct kl_map sources; /* name -> struct kl_source_state */
    struct kl_map plugins; /* name -> struct kl_plugin_state, plugins.h */
    char *state_directory;
    int64_t revision;
    int64_t started_ms, loaded_ms;
    bool draining;
    unsigned open_handles;      /* timers of apps and sources */
    struct kl_closing *closing; /* waits for the last of them */
    struct kl_reload *reload;   /* the one under way, or NULL */
    char reload_error[512];
    struct kilter_diags *reload_diags; /* of the last failed reload */
    void (*moved)(void *data);         /* the API's: the revision moved */
    void *moved_data;
};

/* Of engine.c. */
/* Opens the store and starts the pool for a manifest that was loaded without its plugins' tables (taken over).
 * `ready` is called when all apps are known and work has begun, or with a message when that failed; the engine is
 * to be closed then all the same. */
int kl_engine_start(uv_loop_t *loop, const struct kl_engine_options *options, struct kl_manifest *draft,
                    void (*ready)(void *data, const char *error), void *data, struct kl_engine **ret,
                    struct kilter_error *err);
/* Lets running applies end at their next boundary, ends everything else, closes store and pool, calls `closed`. */
void kl_engine_close(struct kl_engine *engine, int64_t drain_ms, void (*closed)(void *data), void *data);
struct kl_app_state *kl_engine_app(struct kl_engine *engine, struct kilter_str name);
struct kl_source_state *kl_engine_source(struct kl_engine *engine, struct kilter_str name);
/* Counts a change of what the API shows and wakes who waits for one. `app` may be NULL. */
void kl_engine_touch(struct kl_engine *engine, struct kl_app_state *app);
/* Adds an event to a transaction. `app` may be NULL. */
void kl_engine_event(struct kl_txn *txn, struct kl_app_state *app, const char *kind, enum kl_severity severity,
                     const char *actor, const struct kl_commit *commit, const char *format, ...)
    KILTER_PRINTF(7, 8);
/* A transaction with one event, committed at once. */
void kl_engine_log_event(struct kl_engine *engine, struct kl_app_state *app, const char *kind,
                         enum kl_severity severity, const char *actor, const char *format, ...) KILTER_PRINTF(6, 7);
/* The timer of an app or source is closed. */
void kl_engine_handle_closed(struct kl_engine *engine);
/* Commits, and logs a failure. */
void kl_engine_commit(struct kl_engine *engine, struct kl_txn *txn, enum kl_durability durability);

/* Of source.c. */
struct kl_source_state *kl_source_new(struct kl_engine *engine, const struct kl_source *def);
void kl_source_define(struct kl_source_state *source, const struct kl_source *def);
void kl_source_close(struct kl_source_state *source); /* frees it when its handles are closed */
/* Looks at the remote now, or right after the look that runs. `done` (may be NULL) is called when that look is
 * over, whatever came of it, before any app begins to work on what it brought. */
typedef void (*kl_source_fn)(void *data, struct kl_source_state *source);
void kl_source_poll(struct kl_source_state *source, bool person, kl_source_fn done, void *data);
/* Nothing writes to a mirror any more: who waited for that goes on. */
void kl_source_mirror_free(struct kl_engine *engine, const char *mirror);
void kl_source_restore(struct kl_source_state *source, struct kilter_str json);

/* Of app.c. */
struct kl_app_state *kl_app_new(struct kl_engine *engine, int64_t id, const struct kl_app *def, const char *name);
void kl_app_define(struct kl_app_state *app, const struct kl_app *def);
/* Ends its pass and frees it: takes it out of the engine at once. */
void kl_app_close(struct kl_app_state *app);
/* Its last part, once no pass runs. */
void kl_app_dispose(struct kl_app_state *app);
/* Asks for a pass; merged with what was asked before, begun as soon as none runs. */
void kl_app_want(struct kl_app_state *app, const struct kl_wish *wish);
void kl_app_trigger(struct kl_app_state *app, enum kl_trigger trigger, const char *actor, const char *note);
/* Shows another phase, reason and message. */
void kl_app_show(struct kl_app_state *app, enum kl_phase phase, enum kl_reason reason, const char *format, ...)
    KILTER_PRINTF(4, 5);
/* Sets the timer for the next pass of this trigger. */
void kl_app_schedule(struct kl_app_state *app, int64_t delay_ns);
/* Puts the state document into a transaction when it differs from what the store has. */
void kl_app_save(struct kl_app_state *app, struct kl_txn *txn);
void kl_app_restore(struct kl_app_state *app, struct kilter_str json);
/* The commit that the app is to be at: its pin, else its source's. Empty id: none yet. */
const struct kl_commit *kl_app_wanted(const struct kl_app_state *app);
/* Whether the app is in line with its wanted commit and healthy. */
bool kl_app_ready(const struct kl_app_state *app);
/* Whether its dependencies let it go to a new commit; names the one that does not. */
bool kl_app_dependencies_ready(const struct kl_app_state *app, const char **ret_blocker);
struct kl_resource_note *kl_app_note(struct kl_app_state *app, struct kilter_str key); /* made when absent */

#endif
