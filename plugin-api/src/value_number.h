/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value_number.h: numbers in texts, the same in every locale.
 */
#ifndef KL_VALUE_NUMBER_H
#define KL_VALUE_NUMBER_H

#include <kilter/arena.h>

/* Enough for any double in any form here. */
#define KL_NUMBER_MAX 40

/* The double nearest to a text that is a decimal number by its grammar already. False when it is beyond
 * the largest one, or out of memory. */
bool kl_parse_double(struct kilter_str text, double *ret);

/* The shortest decimal that reads back as the same double, finite. As Go's encoding/json prints it:
 * exponents below 1e-6 and from 1e21 on. Returns `out`. */
const char *kl_format_double_json(double value, char out[KL_NUMBER_MAX]);

/* As Go's YAML encoders print it: exponents below 1e-4 and from 1e6 on, of two digits at least. */
const char *kl_format_double_yaml(double value, char out[KL_NUMBER_MAX]);

/* Whether a text is a number by RFC 8259; says whether it has a fraction or an exponent. */
bool kl_is_json_number(struct kilter_str text, bool *ret_is_float);

#endif
