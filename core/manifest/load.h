/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.h: the inside of loading a manifest, shared by the files that do it.
 *
 * The way: files.c reads the manifest and its includes and enters every named
 * thing into its section; load.c does the parts that exist once; app.c makes
 * each app in each of its environments, and asks source.c, target.c and
 * policy.c for what it names; graph.c ties apps to one another; digest.c sums
 * up. Nothing stops at a problem that does not have to.
 */
#ifndef KL_MANIFEST_LOAD_H
#define KL_MANIFEST_LOAD_H

#include "base/map.h"
#include "manifest/manifest.h"
#include "manifest/report.h"
#include "manifest/substitute.h"
#include "manifest/tables.h"

/* One named thing as it is written. */
struct kl_entry {
    struct kilter_str name;
    const struct kilter_value *key, *value;
    bool used;
};

struct kl_section {
    const char *word;      /* "source" */
    const char *plural;    /* "sources" */
    struct kl_map entries; /* name -> struct kl_entry *, in the arena */
};

/* One environment, or with an empty name what is outside of all. */
struct kl_stage {
    struct kilter_str name;
    const struct kl_entry *entry; /* NULL outside of all */
    struct kl_raw_environment raw;
    bool sources_wrong; /* what it changes in sources is not to be used */
    struct kl_scope scope;
};

/* An app that is being made, with what is looked up last. */
struct kl_draft {
    struct kl_app app;
    const struct kilter_value *depends_on;
    struct kilter_origin moved_origin;
};

struct kl_load {
    struct kl_manifest *manifest;
    struct kilter_arena *arena; /* the manifest's */
    struct kl_manifest_options options;
    struct kl_report report;
    struct kl_host_facts host;
    struct kl_section sources, environments, targets, policies, apps;
    struct kl_map plugins;          /* name -> struct kl_manifest_plugin * */
    struct kl_map schemas;          /* name -> what the lookup said, asked once */
    struct kl_map stages;           /* name -> struct kl_stage * */
    struct kl_map policies_made;    /* name -> struct kl_policy *; NULL: it is wrong */
    struct kl_map source_instances; /* full name -> struct kl_source *, those that are sound */
    struct kl_map target_instances; /* likewise */
    struct kl_map drafts;           /* full name -> struct kl_draft * */
    const struct kilter_value *plugin_list, *daemon_section; /* of the first file */
};

/* Memory in the arena; NULL is noted in the report. */
void *kl_load_alloc(struct kl_load *load, size_t size);
/* `base`, or `base@environment`. */
struct kilter_str kl_load_full_name(struct kl_load *load, struct kilter_str base, struct kilter_str environment);
/* As kl_map_put; running out of memory is noted in the report. */
void kl_load_put(struct kl_load *load, struct kl_map *map, struct kilter_str key, void *value);

/* files.c: reads everything; fills the sections, and of the manifest path, files, installation. */
void kl_load_files(struct kl_load *load, const char *path, const struct kilter_str *text);
/* include.c: the paths that a pattern names, sorted, in the arena. */
struct kl_include {
    struct kilter_str *paths;
    size_t count;
    bool wild;              /* the pattern has wildcards: to match nothing is no error */
    bool directory_missing; /* the directory before the first wildcard is not there */
};
/* KILTER_E_IO and the like for a directory that cannot be read, KILTER_E_LIMIT beyond `max` paths. */
int kl_include_expand(struct kilter_arena *arena, const char *directory, struct kilter_str pattern, size_t max,
                      struct kl_include *ret, struct kilter_error *err);

/* names.c: sections and what is in them. */
void kl_load_enter(struct kl_load *load, struct kl_section *section, const struct kilter_value *map);
/* The entry that a value names, or NULL: then it has been reported. `whose` is who names it: "app \"web\"". */
struct kl_entry *kl_load_named(struct kl_load *load, struct kl_section *section, const struct kilter_value *name,
                               const char *whose);
/* Whether it can be the name of something; reports when not. */
bool kl_load_check_name(struct kl_load *load, struct kilter_str name, struct kilter_origin origin,
                        const char *what);
/* The plugin that a value names, or NULL, reported. */
const struct kl_manifest_plugin *kl_load_plugin(struct kl_load *load, const struct kilter_value *name,
                                                const char *whose);
/* Its tables, or NULL when they are not known. */
const struct kl_plugin_schemas *kl_load_schemas(struct kl_load *load, const struct kl_manifest_plugin *plugin);
/* Checks options by a plugin's table; without one, that there are none. */
void kl_load_check_options(struct kl_load *load, const struct kilter_config_schema *schema,
                           const struct kilter_value *options, const char *what);

/* stage.c */
void kl_load_stages(struct kl_load *load);
const struct kl_stage *kl_load_stage(struct kl_load *load, struct kilter_str name);
/* As kl_substitute in the stage's scope. */
const struct kilter_value *kl_load_substitute(struct kl_load *load, const struct kl_stage *stage,
                                              const struct kilter_value *value);

/* Each NULL when it is wrong or not there, reported. */
const struct kl_source *kl_load_source(struct kl_load *load, const struct kilter_value *name,
                                       const struct kl_stage *stage, const char *whose);
const struct kl_target *kl_load_target(struct kl_load *load, const struct kilter_value *name,
                                       const struct kl_stage *stage, const char *whose);
/* The policy of an app: what its own key says, else its environment's, else default. */
bool kl_load_policy(struct kl_load *load, const struct kilter_value *value, const struct kl_stage *stage,
                    const char *whose, struct kl_policy *ret);
void kl_load_policies(struct kl_load *load);
/* Checks sources and targets that no app uses, and warns of them. */
void kl_load_unused_sources(struct kl_load *load);
void kl_load_unused_targets(struct kl_load *load);

/* app.c, graph.c, digest.c */
void kl_load_apps(struct kl_load *load);
/* Turns instances and drafts into the manifest's arrays, ties dependsOn, and checks movedFrom and cycles. */
void kl_load_graph(struct kl_load *load);
void kl_source_digest(struct kl_load *load, struct kl_source *source);
void kl_target_digest(struct kl_load *load, struct kl_target *target);
/* After dependsOn is tied: only names of dependencies go in, so the order does not matter. */
void kl_load_digests(struct kl_load *load, struct kl_app *apps, size_t count);

#endif
