/* SPDX-License-Identifier: Apache-2.0 */
/*
 * substitute.h: ${name} in the manifest's texts.
 *
 * `${name}` stands for a variable's value, `${name:=default}` for the default
 * when the variable has none or an empty one, `$$` for a dollar sign; any other
 * dollar stands for itself. An unknown variable is an error. Values are text:
 * what a plain scalar becomes is read as if it had been written so. A scope and
 * everything it points to live as long as the load.
 */
#ifndef KL_MANIFEST_SUBSTITUTE_H
#define KL_MANIFEST_SUBSTITUTE_H

#include "manifest/manifest.h"
#include "manifest/report.h"

struct kl_variable {
    const char *name; /* may be NULL: then `key` */
    struct kilter_str key;
    struct kilter_str value; /* absent: known by name, but not here; `missing` says why */
    const char *missing;
    bool by_environment; /* its value differs by environment */
};

struct kl_scope {
    const struct kl_variable *variables;
    size_t count;
};

/* A copy of the value with all texts substituted; the value itself where there is nothing to do. Keys of maps stay
 * as they are. NULL for NULL, and when memory ran out. */
const struct kilter_value *kl_substitute(struct kl_report *report, const struct kl_scope *scope,
                                         const struct kilter_value *value);
/* Whether a text in the value names a variable that differs by environment. */
bool kl_mentions_environment(const struct kl_scope *scope, const struct kilter_value *value);

/* This host's facts, in the arena. */
void kl_host_read(struct kilter_arena *arena, struct kl_host_facts *ret);
/* What ID=... of an os-release text says, unquoted; absent when it does not say. */
struct kilter_str kl_os_release_get(struct kilter_str text, const char *key);

#endif
