/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value_resolve.h: what plain text means, beyond <kilter/value.h>.
 */
#ifndef KL_VALUE_RESOLVE_H
#define KL_VALUE_RESOLVE_H

#include <kilter/value.h>

/* What a plain scalar of this text is in a schema. Never fails: in doubt it is a string. */
void kl_resolve_plain(struct kilter_str text, enum kilter_schema schema, struct kilter_scalar *ret);

/* Whether go-yaml v2's encoder would quote this string, because a YAML 1.1 reader takes it for
 * something else. */
bool kl_looks_typed(struct kilter_str text);

/* A moment as YAML 1.1 writes it in the forms that Go's readers accept. */
struct kl_timestamp {
    int year, month, day, hour, minute, second;
    uint32_t nanosecond;
    int offset; /* minutes east of Greenwich */
};

bool kl_parse_timestamp(struct kilter_str text, struct kl_timestamp *ret);

/* RFC 3339 with as many digits of a second as needed, as Go prints it; NUL-terminated. */
void kl_format_timestamp(const struct kl_timestamp *timestamp, char out[48]);

#endif
