/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest.h: the manifest, loaded and checked.
 *
 * A manifest is made by kl_manifest_load in one piece or not at all, and never
 * changes afterwards. It owns an arena in which everything that is reachable
 * from it lives, and a count of references: who keeps a pointer to one of its
 * apps, sources or targets keeps a reference. One thread: the count is not
 * atomic, and looking up in values builds indices.
 *
 * What users write once for many environments is multiplied out here: an app
 * that lists environments is one struct kl_app for each ("payment-service@prod"),
 * and so is a target or source whose definition differs by environment. Texts
 * have their ${...} substituted. All durations are nanoseconds. All texts are
 * NUL-terminated beyond their length; an empty text means that nothing was said.
 */
#ifndef KL_MANIFEST_MANIFEST_H
#define KL_MANIFEST_MANIFEST_H

#include <kilter/plugin.h>

#include "manifest/secret.h"

#define KL_DIGEST_TEXT 65 /* 64 hexadecimal digits of a SHA-256 and a NUL */

/* Limits of one manifest; beyond them it is refused. */
#define KL_MANIFEST_MAX_FILES 1000u
#define KL_MANIFEST_MAX_FILE_BYTES (4u << 20)
#define KL_MANIFEST_MAX_ENVIRONMENTS 100u
#define KL_MANIFEST_MAX_APPS 10000u /* every environment counted */

/* --- plugins ------------------------------------------------------------------ */
struct kl_manifest_plugin {
    struct kilter_str name;
    struct kilter_str file;            /* absolute path; empty: by name from the plugin path */
    const struct kilter_value *config; /* plugin-wide options, or NULL */
    struct kilter_origin origin;
};

/* What a plugin says about itself, as far as checking a manifest needs it. */
struct kl_plugin_schemas {
    bool is_renderer;
    bool is_target;
    bool detects;                                /* a renderer that can be chosen for an app that names none */
    const struct kilter_config_schema *config;   /* of the plugins: entry; NULL: takes none */
    const struct kilter_config_schema *renderer; /* of an app's renderer: entry; NULL: takes none */
    const struct kilter_config_schema *target;   /* of a target's options:; NULL: takes none */
    const struct kilter_config_schema *allow;    /* of a target's allow:; NULL: takes none */
    const char *summary;
};

/* --- sources ------------------------------------------------------------------ */
enum kl_ref_kind {
    KL_REF_BRANCH = 1,
    KL_REF_TAG = 2,
    KL_REF_SEMVER = 3, /* the highest tag within a range */
    KL_REF_NAME = 4,   /* a full name: refs/... */
    KL_REF_COMMIT = 5, /* 40 hexadecimal digits */
};

struct kl_credentials {
    struct kilter_str username;       /* https */
    struct kl_secret_ref password;    /* https, with username */
    struct kl_secret_ref token;       /* https, as bearer */
    struct kl_secret_ref certificate; /* https, client certificate, PEM */
    struct kl_secret_ref key;         /* https, its key, PEM */
    struct kl_secret_ref identity;    /* ssh, private key */
    struct kl_secret_ref known_hosts; /* ssh; none: the system's and the user's known_hosts */
};

struct kl_source {
    struct kilter_str name;        /* "infra", or "infra@prod" where the environment changes it */
    struct kilter_str base;        /* "infra" */
    struct kilter_str environment; /* "prod", or empty */
    struct kilter_str url;
    enum kl_ref_kind ref_kind;
    struct kilter_str ref;
    int64_t interval_ns;
    int64_t timeout_ns;       /* of one fetch */
    int64_t stall_timeout_ns; /* without a byte from the server */
    struct kl_credentials credentials;
    struct kilter_str proxy; /* URL; empty: the environment's */
    struct kl_secret_ref ca; /* PEM, instead of the system's; file or credential */
    bool allow_insecure;     /* http:// without TLS is wanted */
    char digest[KL_DIGEST_TEXT];
    struct kilter_origin origin;
};

/* --- targets ------------------------------------------------------------------ */
struct kl_target {
    struct kilter_str name;        /* "etc", or "cluster@prod" when it mentions ${env} */
    struct kilter_str base;        /* "cluster" */
    struct kilter_str environment; /* "prod", or empty */
    const struct kl_manifest_plugin *plugin;
    const struct kilter_value *options; /* a map, or NULL */
    const struct kilter_value *allow;   /* a map, or NULL: no bounds were given */
    uint32_t concurrency;               /* apps that are planned or applied on it at once */
    char digest[KL_DIGEST_TEXT];        /* the plugin's entry included */
    struct kilter_origin origin;
};

/* --- policies ----------------------------------------------------------------- */
enum kl_sync { KL_SYNC_AUTO = 0, KL_SYNC_MANUAL = 1 };
enum kl_drift { KL_DRIFT_REPORT = 0, KL_DRIFT_CORRECT = 1, KL_DRIFT_IGNORE = 2 };
enum kl_adopt { KL_ADOPT_IF_EQUAL = 0, KL_ADOPT_ALWAYS = 1, KL_ADOPT_NEVER = 2 };
enum kl_on_remove { KL_ON_REMOVE_KEEP = 0, KL_ON_REMOVE_DELETE = 1 };
enum kl_on_unhealthy { KL_ON_UNHEALTHY_KEEP = 0, KL_ON_UNHEALTHY_ROLLBACK = 1 };

/* A number of deletions, or a percentage of what the app owns (which counts above 5 deletions). */
struct kl_delete_limit {
    bool percent;
    uint32_t value;
};

/* Fully resolved: nothing in it means "as elsewhere". */
struct kl_policy {
    struct kilter_str name; /* as the manifest names it; "default"; with "+" behind it when the app changes some */
    enum kl_sync sync;
    enum kl_drift drift;
    bool prune;
    struct kl_delete_limit max_deletes;
    enum kl_adopt adopt;
    enum kl_on_remove on_remove;
    enum kl_on_unhealthy on_unhealthy;
    int64_t drift_interval_ns;
    int64_t timeout_ns; /* of each phase */
    int64_t retry_first_ns;
    int64_t retry_max_ns;
};

/* Whether a plan with this many deletions, for an app that owns this many things, may go without asking. */
bool kl_policy_allows_deletes(const struct kl_policy *policy, size_t deletes, size_t owned);

/* --- apps --------------------------------------------------------------------- */
struct kl_input {
    struct kilter_str name;
    struct kl_secret_ref ref;
    bool secret; /* true unless the manifest says otherwise */
};

struct kl_health_check {
    int64_t window_ns;      /* how long it must stay healthy after an apply; 0: one look */
    struct kilter_str http; /* URL that must answer 2xx; empty: none */
};

struct kl_app {
    struct kilter_str name;        /* "payment-service@prod" */
    struct kilter_str base;        /* "payment-service" */
    struct kilter_str environment; /* "prod", or empty */
    const struct kl_source *source;
    struct kilter_str path;     /* normalised, relative to the root of the tree, "" is the root */
    struct kilter_str renderer; /* plugin's name; empty: the plugin that detects */
    const struct kl_manifest_plugin *renderer_plugin; /* NULL when detected */
    const struct kilter_value *renderer_options;      /* a map, or NULL */
    const struct kl_target *target;
    struct kl_policy policy;
    const struct kl_app *const *depends_on;
    size_t depends_count;
    const struct kl_input *inputs;
    size_t input_count;
    struct kilter_str moved_from;         /* the instance's old name, "payments@prod"; empty: none */
    bool allow_empty;                     /* a render without resources may prune */
    bool suspend;                         /* the manifest itself holds it */
    bool substitute;                      /* ${...} in documents */
    const struct kilter_value *variables; /* for documents: a map of strings; NULL unless substitute */
    struct kl_health_check health;
    /* Moves when anything that matters to the app does: its own entry, the url and ref of its source, its target,
     * plugins and policy. Not with the source's interval and credentials, movedFrom, comments, order or place. */
    char digest[KL_DIGEST_TEXT];
    /* Of what the render takes besides the commit and the contents of secrets: path, renderer and its plugin entry,
     * options, references of the inputs, variables. */
    char render_digest[KL_DIGEST_TEXT];
    struct kilter_origin origin;
};

/* --- daemon ------------------------------------------------------------------- */
struct kl_daemon_config {
    struct kilter_str state_directory;
    struct kilter_str socket_path;
    struct kilter_str socket_group; /* empty: the daemon's own group */
    uint32_t socket_mode;
    int log_level;         /* enum kilter_log_level */
    uint32_t workers;      /* worker processes at once; 0: as many as processors, at least 2 */
    uint32_t concurrency;  /* apps rendered at once, and applied at once; 0: as many as workers */
    int64_t worker_memory; /* bytes */
};

/* --- the whole ---------------------------------------------------------------- */
struct kl_manifest {
    uint32_t references; /* use kl_manifest_ref and kl_manifest_unref */
    struct kilter_arena *arena;
    struct kilter_str path;         /* as it was given */
    struct kilter_str installation; /* metadata.name */
    struct kl_daemon_config daemon;
    const struct kl_manifest_plugin
        *plugins; /* in the manifest's order: of equally sure renderers the first wins */
    size_t plugin_count;
    const struct kl_source *sources; /* those that an app uses; sorted by name, as are the next two */
    size_t source_count;
    const struct kl_target *targets; /* those that an app uses */
    size_t target_count;
    const struct kl_app *apps; /* use depends_on for order: there are no cycles */
    size_t app_count;
    const struct kilter_str *files; /* that were read, absolute, the manifest first */
    size_t file_count;
    /* A directory that an include looks into is not there. Whatever the manifest misses then may only be
     * gone with it: remove no app that the store knows and this manifest does not. */
    bool include_missing;
    char digest[KL_DIGEST_TEXT]; /* of all apps' digests and the daemon's section */
};

/* What ${host.…} means. Empty texts: not known here, and then using one is an error. */
struct kl_host_facts {
    struct kilter_str name;        /* host.name: up to the first dot */
    struct kilter_str machine_id;  /* host.machineId: /etc/machine-id */
    struct kilter_str arch;        /* host.arch: as uname -m says: x86_64, aarch64 */
    struct kilter_str os_id;       /* host.os: ID of os-release: debian */
    struct kilter_str os_version;  /* host.osVersion: VERSION_ID: 12 */
    struct kilter_str os_codename; /* host.osCodename: VERSION_CODENAME: bookworm */
};

struct kl_manifest_options {
    /* The tables of a plugin that the manifest lists, or NULL: not known, its options are not looked at.
     * Asked once for each. `file` is empty for a plugin by name. What it returns must live until the load is over.
     * To learn which plugins there are, load once without a lookup. */
    const struct kl_plugin_schemas *(*plugin_lookup)(void *data, struct kilter_str name, struct kilter_str file);
    void *plugin_data;
    const struct kl_host_facts *host; /* NULL: this host */
    /* The manifest that runs now, or NULL. An include that brought files then and brings none now is an error
     * and not a removal. */
    const struct kl_manifest *previous;
    bool no_include; /* reads no other file: for a text that is checked by itself */
};

#define KL_MANIFEST_OPTIONS_INIT                                                                                   \
    {                                                                                                              \
        NULL, NULL, NULL, NULL, false                                                                              \
    }

/* Reads the manifest with everything it includes and checks it whole: every problem is a diagnostic with its
 * place, unreadable files included. Warnings do not fail. `options` may be NULL.
 * KILTER_E_INVALID or KILTER_E_NOMEM; *ret is set on success only. */
int kl_manifest_load(const char *path, const struct kl_manifest_options *options, struct kl_manifest **ret,
                     struct kilter_diags *diags);
/* As above for a text that is already there; includes are relative to the directory of `path`. */
int kl_manifest_load_text(struct kilter_str text, const char *path, const struct kl_manifest_options *options,
                          struct kl_manifest **ret, struct kilter_diags *diags);
struct kl_manifest *kl_manifest_ref(struct kl_manifest *manifest);
void kl_manifest_unref(struct kl_manifest *manifest); /* takes NULL */

/* By full name; NULL when there is none. */
const struct kl_app *kl_manifest_app(const struct kl_manifest *manifest, struct kilter_str name);
const struct kl_source *kl_manifest_source(const struct kl_manifest *manifest, struct kilter_str name);
const struct kl_target *kl_manifest_target(const struct kl_manifest *manifest, struct kilter_str name);
const struct kl_manifest_plugin *kl_manifest_plugin(const struct kl_manifest *manifest, struct kilter_str name);
/* The app's name nearest to what a person typed, or the absent string. */
struct kilter_str kl_manifest_nearest_app(const struct kl_manifest *manifest, struct kilter_str name);

/* The words of enumerations as the manifest writes them: "branch", "if-equal". */
const char *kl_ref_kind_word(enum kl_ref_kind kind);
const char *kl_sync_word(enum kl_sync sync);
const char *kl_drift_word(enum kl_drift drift);
const char *kl_adopt_word(enum kl_adopt adopt);
const char *kl_on_remove_word(enum kl_on_remove on_remove);
const char *kl_on_unhealthy_word(enum kl_on_unhealthy on_unhealthy);

/* The credentials of a source as the fetch job takes them: username, password, token, certificate, key, identity,
 * knownHosts; the values marked secret but for username. *ret is NULL when it has none. */
int kl_credentials_resolve(struct kilter_arena *arena, const struct kl_source *source, struct kilter_value **ret,
                           struct kilter_diags *diags, struct kilter_error *err);

/* --- reload -------------------------------------------------------------------- */
enum kl_manifest_moved {
    KL_MOVED_NOT = 0, /* same name, same digest: do not disturb */
    KL_MOVED_CHANGED = 1,
    KL_MOVED_ADDED = 2,   /* before NULL */
    KL_MOVED_REMOVED = 3, /* after NULL */
    KL_MOVED_RENAMED = 4, /* movedFrom names `before`; compare the digests for whether more changed */
};

/* One app, source or target; the pointers are to structs of that kind. */
struct kl_manifest_move {
    enum kl_manifest_moved moved;
    const void *before;
    const void *after;
};

struct kl_manifest_diff {
    struct kl_manifest_move *apps, *sources, *targets;
    size_t app_count, source_count, target_count;
    bool daemon_changed;  /* the daemon section: needs a restart */
    bool plugins_changed; /* a plugin was added, removed or has another file or config */
};

/* From one manifest to the next; `before` may be NULL: everything is added. The result points into both, which
 * must outlive it. KILTER_E_NOMEM. */
int kl_manifest_diff(const struct kl_manifest *before, const struct kl_manifest *after,
                     struct kl_manifest_diff *ret);
void kl_manifest_diff_release(struct kl_manifest_diff *diff);

/* --- the command line's part ----------------------------------------------------- */
/* `kilter validate`: loads, and appends a line that says what is in it: "kilter.yaml: 5 apps, 3 sources, 4
 * targets". */
int kl_manifest_validate(const char *path, const struct kl_manifest_options *options, struct kilter_buf *summary,
                         struct kilter_diags *diags);

/* A plugin whose options the schema and the reference include. */
struct kl_named_schemas {
    const char *name;
    const struct kl_plugin_schemas *schemas;
};

/* `kilter schema`: JSON Schema (2020-12) of the manifest, for editors, made from the tables that load it. */
int kl_manifest_schema_write(struct kilter_buf *out, const struct kl_named_schemas *plugins, size_t count);
/* The reference of all keys as Markdown, made from the same tables. */
int kl_manifest_reference_write(struct kilter_buf *out);

#endif
