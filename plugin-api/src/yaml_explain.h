/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_explain.h: what is wrong with a YAML text, in words that help.
 */
#ifndef KL_YAML_EXPLAIN_H
#define KL_YAML_EXPLAIN_H

#include <kilter/yaml.h>
#include <yaml.h>

/* Turns the error of a libyaml parser into a diagnostic. `text` is what the parser read from its first
 * byte on. Returns the byte at which parsing failed. */
size_t kl_yaml_explain(const yaml_parser_t *parser, struct kilter_str text,
                       const struct kilter_parse_options *options, struct kilter_diags *diags);

#endif
