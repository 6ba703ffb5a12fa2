/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tables.h: the manifest's keys, and the structs that they fill.
 *
 * These structs are what the text says, before names are looked up; they live
 * on the stack of the loader. A new key is a row in tables.c, a member here,
 * and the code that gives it its effect.
 */
#ifndef KL_MANIFEST_TABLES_H
#define KL_MANIFEST_TABLES_H

#include "manifest/keys.h"

struct kl_raw_metadata {
    struct kilter_str name;
};

struct kl_raw_file {
    struct kilter_str api_version, kind;
    struct kl_raw_metadata metadata;
    struct kl_daemon_config daemon;
    const struct kilter_value *plugins, *include, *sources, *environments, *targets, *policies, *apps;
};

struct kl_raw_plugin {
    struct kilter_str name, file;
    const struct kilter_value *config;
};

struct kl_raw_ref {
    struct kilter_str branch, tag, semver, name, commit;
};

struct kl_raw_source {
    struct kilter_str url;
    struct kl_raw_ref ref;
    int64_t interval_ns, timeout_ns, stall_timeout_ns;
    struct kl_credentials credentials;
    struct kilter_str proxy;
    struct kl_secret_ref ca;
    bool allow_insecure;
    const struct kilter_value *verify;
};

struct kl_raw_environment {
    struct kilter_str policy;
    const struct kilter_value *sources, *variables;
};

struct kl_raw_target {
    struct kilter_str plugin;
    const struct kilter_value *options, *allow;
    uint32_t concurrency;
};

struct kl_raw_retry {
    int64_t first_ns, max_ns;
};

struct kl_raw_policy {
    int sync, drift, adopt, on_remove, on_unhealthy;
    bool prune;
    struct kl_delete_limit max_deletes;
    int64_t drift_interval_ns, timeout_ns;
    struct kl_raw_retry retry;
};

struct kl_raw_renderer {
    struct kilter_str name;
};

struct kl_raw_input {
    struct kilter_str file, credential, env;
    bool secret;
};

struct kl_raw_app {
    struct kilter_str source, path, target;
    const struct kilter_value *renderer, *environments, *policy, *depends_on, *inputs, *moved_from, *substitute;
    bool allow_empty, suspend;
    struct kl_health_check health;
};

extern const struct kl_table kl_table_manifest; /* the first file; struct kl_raw_file */
extern const struct kl_table kl_table_included; /* a file that is included; struct kl_raw_file */
extern const struct kl_table kl_table_plugin;
extern const struct kl_table kl_table_source;
extern const struct kl_table kl_table_source_override; /* in an environment: the same, nothing required */
extern const struct kl_table kl_table_environment;
extern const struct kl_table kl_table_target;
extern const struct kl_table kl_table_policy;
extern const struct kl_table kl_table_app;
extern const struct kl_table kl_table_renderer;
extern const struct kl_table kl_table_input;

/* All tables in the order in which the reference shows them; NULL-terminated. */
extern const struct kl_table *const kl_tables[];

#endif
