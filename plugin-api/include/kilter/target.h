/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target.h: a system that is observed, planned for and changed.
 *
 * A target compares three things: what Git wants (resources), what kilter did
 * last (records, the inventory) and what is there (live). It says what would
 * have to change and why; the core decides by policy which of it happens, and
 * gives exactly these changes back to `apply`, perhaps days later and in
 * another process. Applying twice is harmless.
 */
#ifndef KILTER_TARGET_H
#define KILTER_TARGET_H

#include <kilter/plugin.h>
#include <kilter/resource.h>

KILTER_BEGIN_DECLS

/* --- inventory ------------------------------------------------------------------ */
enum kilter_record_status {
    KILTER_RECORD_PENDING = 1, /* an apply was started and not heard of again: look at what is there */
    KILTER_RECORD_OWNED = 2,
    KILTER_RECORD_DELETING = 3, /* a delete was started */
    KILTER_RECORD_TAINTED = 4,  /* half made: replace it */
    KILTER_RECORD_DEPOSED = 5,  /* replaced by a newer one and not yet deleted */
};

/* What an app owns: one row of the inventory. */
struct kilter_record {
    size_t size;
    struct kilter_id id;
    const struct kilter_str *claims; /* the real-world things behind it */
    size_t claim_count;
    enum kilter_record_status status;
    uint32_t schema_version;               /* of the attributes */
    const struct kilter_value *attributes; /* the target's: what was applied and how to recognise it.
                                            * A map; never secrets in clear. NULL while pending. */
};

/* --- plan ------------------------------------------------------------------------ */
enum kilter_verb {
    KILTER_VERB_NONE = 1, /* nothing to do; emitted so that status can count and show it */
    KILTER_VERB_CREATE = 2,
    KILTER_VERB_UPDATE = 3,
    KILTER_VERB_REPLACE = 4, /* delete and create; counts as a deletion */
    KILTER_VERB_DELETE = 5,
    KILTER_VERB_ADOPT = 6,  /* it is there, as wanted, and nobody's: only recorded */
    KILTER_VERB_FORGET = 7, /* stop owning; only the record and the mark go */
    KILTER_VERB_MOVE = 8,   /* the same thing under another id */
    KILTER_VERB_READ = 9,
    KILTER_VERB_DEFERRED = 10, /* cannot be planned before something else was applied */
    KILTER_VERB_BLOCKED = 11,  /* must not or cannot be changed; the reason says why */
};

/* Why a change is there. WANTED and DRIFTED together: a commit meets a manual change. */
#define KILTER_CHANGE_WANTED 1u     /* what Git wants differs from what was applied last */
#define KILTER_CHANGE_DRIFTED 2u    /* live differs from what was applied last */
#define KILTER_CHANGE_UNOWNED 4u    /* it is there already and no record says that it is ours */
#define KILTER_CHANGE_FOREIGN 8u    /* it carries another owner's mark; `foreign_owner` names it */
#define KILTER_CHANGE_ASK 16u       /* of a sort that a person must always confirm (a whole directory) */
#define KILTER_CHANGE_UNHEALTHY 32u /* in place, but must be acted on to become healthy again */

enum kilter_effect_verb { KILTER_EFFECT_RESTART = 1, KILTER_EFFECT_RELOAD = 2, KILTER_EFFECT_RUN = 3 };

/* What else happens with a change. */
struct kilter_effect {
    enum kilter_effect_verb verb;
    struct kilter_str subject; /* "edge-proxy.service" */
    struct kilter_str cause;   /* "its EnvironmentFile /etc/edge/env changes" */
};

#define KILTER_CHANGE_PRIVATE_MAX 65536u /* bytes of the private document, as JSON */

/* One line of a plan. Self-contained: nothing in it points outside but contents, which are named by id. */
struct kilter_change {
    size_t size;
    enum kilter_verb verb;
    uint32_t flags; /* KILTER_CHANGE_... */
    struct kilter_id id;
    struct kilter_id moved_from; /* KILTER_VERB_MOVE */
    const struct kilter_str *claims;
    size_t claim_count;
    struct kilter_origin origin; /* of the resource, when there is one */
    /* Live and wanted state in comparable form, a map each or NULL; the host makes the diff of them.
     * Members marked secret are masked, members marked unknown are shown as such. */
    const struct kilter_value *before;
    const struct kilter_value *after;
    struct kilter_str reason;        /* one line: "content and mode differ from what was applied" */
    struct kilter_str drift_by;      /* who moved it, as far as the system tells; may be empty */
    struct kilter_str foreign_owner; /* KILTER_CHANGE_FOREIGN: "acme-edge/edge-base" */
    /* What must still be true when it is applied; the target checks it again right before it acts and
     * answers KILTER_RESULT_STALE when it is not. */
    const struct kilter_value *preconditions;
    int32_t wave;                  /* lower ones first; a wave ends before the next begins */
    const uint32_t *after_changes; /* indices, in this plan, of changes that must have succeeded before */
    size_t after_count;
    const struct kilter_effect *effects;
    size_t effect_count;
    const struct kilter_value *private_data; /* the target's own, bounded by KILTER_CHANGE_PRIVATE_MAX */
};

enum kilter_plan_mode {
    KILTER_PLAN_SYNC = 1,    /* bring the target to the resources, and delete what is recorded but not wanted */
    KILTER_PLAN_DESTROY = 2, /* delete everything recorded; no resources are given */
};

struct kilter_plan_request {
    size_t size;
    enum kilter_plan_mode mode;
    struct kilter_str owner;                 /* "<installation>/<app>", the mark on the live system */
    const struct kilter_resource *resources; /* those with reconcile disabled are left out */
    size_t resource_count;
    const struct kilter_record *records;
    size_t record_count;
    bool thorough; /* trust no short cut (timestamps, caches): compare the real thing */
};

struct kilter_plan_sink {
    size_t size;
    int (*emit)(struct kilter_plan_sink *sink, const struct kilter_change *change);
    void *host_data;
};

struct kilter_claim_sink {
    size_t size;
    /* `resource` is an index of the request. A resource may claim several things. A claim is a text that
     * names the thing the same way from every target: "file:<machine id>:/etc/motd". */
    int (*emit)(struct kilter_claim_sink *sink, size_t resource, struct kilter_str claim);
    void *host_data;
};

/* --- apply ------------------------------------------------------------------------- */
enum kilter_result_class {
    KILTER_RESULT_DONE = 1,      /* as the plan said */
    KILTER_RESULT_UNCHANGED = 2, /* it was so already */
    KILTER_RESULT_STALE = 3,     /* a precondition does not hold any more: plan again */
    KILTER_RESULT_TRANSIENT = 4, /* failed, worth trying again */
    KILTER_RESULT_TERMINAL = 5,  /* failed, and will until the commit or the manifest moves */
    KILTER_RESULT_BLOCKED = 6,   /* something else is in the way; the message says what or who */
    KILTER_RESULT_SKIPPED = 7,   /* one that it comes after did not succeed, or the call was cancelled */
};

struct kilter_result {
    size_t size;
    size_t change; /* index in the request */
    enum kilter_result_class result;
    struct kilter_str message;             /* empty when done */
    const struct kilter_value *attributes; /* of the record from now on; NULL: as before, or none */
    uint32_t schema_version;
    bool tainted;           /* half made */
    int64_t retry_after_ns; /* TRANSIENT: not sooner than this; 0: the core decides */
};

struct kilter_apply_request {
    size_t size;
    struct kilter_str owner;
    const struct kilter_change *changes; /* of one wave, in the plan's order */
    size_t change_count;
    const struct kilter_record *records; /* the inventory, those of the changes included as PENDING */
    size_t record_count;
};

struct kilter_result_sink {
    size_t size;
    /* To be called as each change finishes: what was emitted is recorded, whatever happens after. */
    int (*emit)(struct kilter_result_sink *sink, const struct kilter_result *result);
    void *host_data;
};

/* --- health, refresh, watch ---------------------------------------------------------- */
enum kilter_health {
    KILTER_HEALTHY = 1,
    KILTER_PROGRESSING = 2,
    KILTER_DEGRADED = 3,
    KILTER_HEALTH_SUSPENDED = 4,
    KILTER_MISSING = 5,
    KILTER_HEALTH_UNKNOWN = 6,
};

struct kilter_state_request {
    size_t size;
    struct kilter_str owner;
    const struct kilter_record *records;
    size_t record_count;
};

struct kilter_state_sink {
    size_t size;
    /* health: the state of one record. `result` is DONE, or why it failed (TERMINAL: it will not become
     * healthy by waiting). */
    int (*health)(struct kilter_state_sink *sink, size_t record, enum kilter_health health,
                  enum kilter_result_class result, struct kilter_str message);
    /* refresh: the attributes as they are now; NULL: it is gone. */
    int (*attributes)(struct kilter_state_sink *sink, size_t record, const struct kilter_value *attributes,
                      uint32_t schema_version);
    /* watch: this record may have drifted. SIZE_MAX: anything may. */
    int (*moved)(struct kilter_state_sink *sink, size_t record, struct kilter_str message);
    void *host_data;
};

struct kilter_target {
    size_t size;
    const struct kilter_config_schema *options; /* of a manifest's `targets:` entry, or NULL */
    const struct kilter_config_schema *allow;   /* of its `allow:`, or NULL when it takes none */
    /* Opens the target. `allow` is filled like the options; everything beyond it must be refused by
     * `plan` as BLOCKED and by `apply` as TERMINAL. */
    int (*open)(struct kilter_call *call, const void *options, const void *allow, void **ret_handle);
    void (*close)(void *handle);
    /* Which real system this is: "cluster:<uid of kube-system>", "host:<machine id>:<root>". When it
     * changes, the core plans nothing until a person says so. */
    int (*identity)(struct kilter_call *call, void *handle, struct kilter_str *ret_identity);
    int (*claims)(struct kilter_call *call, void *handle, const struct kilter_resource *resources, size_t count,
                  struct kilter_claim_sink *sink);
    /* Observes and emits a change for each resource and for each record that is not wanted any more.
     * Never changes anything. */
    int (*plan)(struct kilter_call *call, void *handle, const struct kilter_plan_request *request,
                struct kilter_plan_sink *sink);
    /* Applies; emits exactly one result for each change. An error return means that the rest could not
     * even be tried. */
    int (*apply)(struct kilter_call *call, void *handle, const struct kilter_apply_request *request,
                 struct kilter_result_sink *sink);
    int (*refresh)(struct kilter_call *call, void *handle, const struct kilter_state_request *request,
                   struct kilter_state_sink *sink);
    /* One look, without waiting; the core asks again. */
    int (*health)(struct kilter_call *call, void *handle, const struct kilter_state_request *request,
                  struct kilter_state_sink *sink);

    /* Optional from here on. */

    /* Reports moves until cancelled. */
    int (*watch)(struct kilter_call *call, void *handle, const struct kilter_state_request *request,
                 struct kilter_state_sink *sink);
    /* The attributes of the live thing behind a resource, for `kilter state import`. */
    int (*import)(struct kilter_call *call, void *handle, const struct kilter_resource *resource,
                  const struct kilter_value **ret_attributes, uint32_t *ret_schema_version);
    /* Attributes of an older schema version in the form of the newest. Without it, records of another
     * version are given as they are. */
    int (*upgrade_state)(struct kilter_call *call, uint32_t from_version, const struct kilter_value *attributes,
                         const struct kilter_value **ret_attributes, uint32_t *ret_version);
};

KILTER_END_DECLS

#endif
