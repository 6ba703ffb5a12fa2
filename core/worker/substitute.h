/* SPDX-License-Identifier: Apache-2.0 */
/*
 * substitute.h: ${name} in documents, in the form that Flux uses.
 *
 *     ${name}             the variable; unknown is an error at its file and line
 *     ${name:=default}    the default when it is unknown or empty; so is ${name:-default}
 *     $$                  one '$'
 *
 * A name is a letter or '_', then letters, digits, '_' and '.'. Keys and
 * values of every scalar are taken, whatever their style; a plain scalar is
 * understood anew afterwards, so that `replicas: ${n}` gives a number. What
 * came from an input is marked secret.
 */
#ifndef KL_WORKER_SUBSTITUTE_H
#define KL_WORKER_SUBSTITUTE_H

#include <kilter/value.h>

/* The document with everything replaced; parts without a '$' are shared with the original. Either map may be
 * NULL. KILTER_E_INVALID (diagnostics added) or KILTER_E_NOMEM. */
int kl_substitute(struct kilter_arena *arena, struct kilter_value *document, const struct kilter_value *variables,
                  const struct kilter_value *inputs, struct kilter_value **ret, struct kilter_diags *diags);

#endif
