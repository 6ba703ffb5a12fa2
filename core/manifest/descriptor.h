/* SPDX-License-Identifier: Apache-2.0 */
/*
 * descriptor.h: what a plugin said about itself (wire/jobs.h, describe) as the
 * tables that its options are checked by.
 */
#ifndef KL_MANIFEST_DESCRIPTOR_H
#define KL_MANIFEST_DESCRIPTOR_H

#include "manifest/manifest.h"

/* The tables that a descriptor stands for, in the arena, for checking and describing options; they fill nothing.
 * NULL when out of memory. */
const struct kl_plugin_schemas *kl_plugin_schemas_of(struct kilter_arena *arena,
                                                     const struct kilter_value *descriptor);

#endif
