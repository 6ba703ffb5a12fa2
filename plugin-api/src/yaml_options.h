/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_options.h: a reader's options with their defaults filled in, and the
 * positions and codes that both readers share.
 */
#ifndef KL_YAML_OPTIONS_H
#define KL_YAML_OPTIONS_H

#include <kilter/yaml.h>

/* What the caller knew of the options (its struct may be older and shorter), zeros replaced. NULL is all
 * defaults. The depth is never above KL_MAX_DEPTH. */
struct kilter_parse_options kl_parse_options(const struct kilter_parse_options *given);

/* Adds "yaml.limit" or "json.limit" for a text that is too long. */
int kl_check_size(struct kilter_str text, const struct kilter_parse_options *options, const char *code,
                  struct kilter_diags *diags);

/* Line and column (from 1; characters, not bytes) of a byte of the text. */
struct kilter_origin kl_origin_at(struct kilter_str text, size_t offset,
                                  const struct kilter_parse_options *options);

/* Says that `key` is there already, as `first`. */
void kl_duplicate_key(struct kilter_diags *diags, const char *code, const struct kilter_value *key,
                      const struct kilter_value *first);

#endif
