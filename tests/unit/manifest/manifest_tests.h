/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of manifests share: plugins, a host, a directory, and loading a text. */
#ifndef MANIFEST_TESTS_H
#define MANIFEST_TESTS_H

#include <check.h>

#include "manifest/manifest.h"

/* yaml (renderer, detects), files (renderer), file (target with allow), cluster (target with a secret). */
const struct kl_plugin_schemas *fixture_lookup(void *data, struct kilter_str name, struct kilter_str file);
extern const struct kl_named_schemas fixture_plugins[4];
/* A host called edge1 that knows everything but its codename. */
extern const struct kl_host_facts fixture_host;
struct kl_manifest_options fixture_options(void);

/* The head of a manifest, up to its sections. */
#define HEAD                                                                                                       \
    "apiVersion: kilter.dev/v1\nkind: Manifest\nmetadata: {name: acme}\nplugins: [yaml, files, file, cluster]\n"
#define SOURCES "sources:\n  infra: {url: 'https://git.example.com/infra.git', ref: {branch: main}}\n"
#define TARGETS                                                                                                    \
    "targets:\n  etc: {plugin: file, options: {root: /}}\n  cluster: {plugin: cluster, options: {context: "        \
    "'c-${env:=none}'}}\n"

/* Loads a text with the fixtures; the test fails when it is refused. */
struct kl_manifest *load(const char *text);
/* Loads a text that must be refused; the formatted diagnostics, the caller's to free. */
char *refused(const char *text);
const struct kl_app *app(const struct kl_manifest *manifest, const char *name);

/* A directory of the test's own, removed with everything in it by directory_remove. */
const char *directory_make(void);
void directory_remove(void);
/* A file in it; directories are made. */
const char *directory_write(const char *name, const char *text);

void add_golden_tests(Suite *suite);
void add_model_tests(Suite *suite);
void add_include_tests(Suite *suite);
void add_secret_tests(Suite *suite);
void add_diff_tests(Suite *suite);
void add_schema_tests(Suite *suite);

#endif
