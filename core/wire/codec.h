/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec.h: values as bytes, for frames and for cached artifacts.
 *
 * Everything a value carries goes over: text, tag, style, origin, setter,
 * marks. Contents go as id and length. The form is for one machine and one
 * version of kilter; what outlives an upgrade is stored as JSON instead.
 */
#ifndef KL_WIRE_CODEC_H
#define KL_WIRE_CODEC_H

#include <kilter/value.h>

/* Appends the encoded value. 0 or the buffer's failure. */
int kl_value_encode(struct kilter_buf *out, const struct kilter_value *value);

/* Makes the content handle for an id; called by the decoder. NULL: the reading of it fails later. */
typedef struct kilter_content *(*kl_content_resolver)(void *data, struct kilter_arena *arena, struct kilter_str id,
                                                      uint64_t length);

/* Decodes one value that must fill `bytes` exactly. Texts are copied into the arena. Never trusts its input:
 * KILTER_E_INVALID on anything that the encoder does not write, KILTER_E_LIMIT beyond 200 levels.
 * `resolver` may be NULL: contents then keep id and length only. */
int kl_value_decode(struct kilter_arena *arena, struct kilter_str bytes, kl_content_resolver resolver,
                    void *resolver_data, struct kilter_value **ret, struct kilter_error *err);

#endif
