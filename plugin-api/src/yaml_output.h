/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_output.h: what both writers, YAML and JSON, do before they put text.
 *
 * An output lives for one call of a writer.
 */
#ifndef KL_YAML_OUTPUT_H
#define KL_YAML_OUTPUT_H

#include <kilter/yaml.h>

#include "value.h"

#define KL_UNKNOWN_TEXT "(known after apply)"

struct kl_output {
    enum kilter_schema schema;
    uint32_t flags;
    struct kilter_buf scratch;     /* of the scalar that is being written */
    struct kilter_arena *key_room; /* of keys that are not written as they stand; NULL until needed */
};

#define KL_OUTPUT_INIT(a_schema, some_flags)                                                                       \
    {                                                                                                              \
        (a_schema), (some_flags), KILTER_BUF_INIT(SIZE_MAX), NULL                                                  \
    }

void kl_output_release(struct kl_output *output);

/* What stands in for a value that is not shown: the mask of a secret, or of what is not known yet; absent
 * when the value is to be shown. */
struct kilter_str kl_output_stand_in(const struct kl_output *output, const struct kilter_value *value);

/* What a scalar (or NULL) is and the text to write for a string; the text may lie in the scratch buffer. */
int kl_output_scalar(struct kl_output *output, const struct kilter_value *value, struct kilter_scalar *ret);

/* An entry of a map with its key as it is written. */
struct kl_output_entry {
    struct kilter_str key;
    const struct kilter_value *item;
};

/* The entries of a map, sorted unless `compare` is NULL. malloc'd, the caller frees. NULL without memory. */
struct kl_output_entry *kl_output_entries(struct kl_output *output, const struct kilter_value *map,
                                          int (*compare)(struct kilter_str a, struct kilter_str b),
                                          uint32_t *ret_count);

/* A content's id and length as a map of two entries, in `arena`. */
struct kilter_value *kl_output_content(struct kilter_arena *arena, const struct kilter_value *content);

/* The order of keys that go-yaml v2 prints: runs of digits count as numbers, letters come after the rest. */
int kl_natural_order(struct kilter_str a, struct kilter_str b);

#endif
