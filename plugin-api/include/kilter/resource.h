/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resource.h: what renderers make and targets take, and the reading of its
 * common parts.
 */
#ifndef KILTER_RESOURCE_H
#define KILTER_RESOURCE_H

#include <kilter/value.h>

KILTER_BEGIN_DECLS

/* Names a resource. Two ids are the same resource when group (api_version up to the slash), kind,
 * name_space and name are equal: the version does not count. */
struct kilter_id {
    struct kilter_str api_version; /* "file.kilter.dev/v1" */
    struct kilter_str kind;
    struct kilter_str name_space; /* empty: none */
    struct kilter_str name;
};

/* A document with apiVersion, kind and metadata.name, and where it came from. */
struct kilter_resource {
    size_t size; /* sizeof(struct kilter_resource) */
    struct kilter_id id;
    struct kilter_origin origin;
    struct kilter_value *document;
};

KILTER_API bool kilter_id_equal(const struct kilter_id *a, const struct kilter_id *b);
/* The part of an apiVersion before the slash; empty for the core group. */
KILTER_API struct kilter_str kilter_api_group(struct kilter_str api_version);
/* "File/motd", "Deployment.apps/shop/web": Kind[.group]/[namespace/]name, as people type it. The group
 * is left out for kinds of kilter's own targets. */
KILTER_API int kilter_id_format(struct kilter_buf *out, const struct kilter_id *id);
/* Fills a resource from a document; texts are views into it. Diagnostics when apiVersion, kind or
 * metadata.name is missing, empty or no string. */
KILTER_API int kilter_resource_init(struct kilter_resource *ret, struct kilter_value *document,
                                    struct kilter_diags *diags);
/* The text of an annotation, or absent. */
KILTER_API struct kilter_str kilter_annotation(const struct kilter_value *document, const char *name);

/* The annotations that work on every target. A wrong value is a diagnostic. */
#define KILTER_ANNOTATION_PRUNE "kilter.dev/prune"         /* disabled: never deleted, forgotten instead */
#define KILTER_ANNOTATION_RECONCILE "kilter.dev/reconcile" /* disabled: left alone altogether */
#define KILTER_ANNOTATION_WAVE "kilter.dev/wave"           /* integer, -1000 to 1000; lower ones first */
#define KILTER_ANNOTATION_FORCE "kilter.dev/force"         /* enabled: replaced where it cannot be changed */

struct kilter_directives {
    size_t size;
    bool no_prune, no_reconcile, force;
    int32_t wave;
};

KILTER_API int kilter_directives_read(const struct kilter_value *document, struct kilter_directives *ret,
                                      struct kilter_diags *diags);

KILTER_END_DECLS

#endif
