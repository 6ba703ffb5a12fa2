/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h: the diagnostics of one load, each said once.
 *
 * An app that exists in five environments is checked five times; what is wrong
 * with its text is to be said once, and in the order in which a person reads
 * the text. A report keeps what it has not kept before, remembers whether there
 * was an error, and in the end gives all of it to a list of diagnostics. It
 * lives on the stack of one load.
 */
#ifndef KL_MANIFEST_REPORT_H
#define KL_MANIFEST_REPORT_H

#include <kilter/diag.h>

#include "base/map.h"

struct kl_report {
    struct kilter_arena *arena;   /* for hints */
    struct kilter_diags *kept;    /* what is to be said */
    struct kilter_diags *scratch; /* for functions that take a list themselves: give them this, then flush */
    struct kl_map seen;
    size_t errors;
    int status; /* KILTER_E_NOMEM once memory ran out, else 0 */
};

int kl_report_init(struct kl_report *report, struct kilter_arena *arena);
void kl_report_release(struct kl_report *report);
/* Gives everything to `diags` (may be NULL) in the order of the text: `first` before the other files. */
void kl_report_finish(struct kl_report *report, struct kilter_str first, struct kilter_diags *diags);

/* As kilter_diag_add. */
void kl_report_add(struct kl_report *report, enum kilter_severity severity, const char *code,
                   struct kilter_origin origin, const char *hint, const char *format, ...) KILTER_PRINTF(6, 7);
/* Passes on what is in `scratch`, and empties it. */
void kl_report_flush(struct kl_report *report);
void kl_report_nomem(struct kl_report *report);

/* A hint for a word that is none of `names`: the nearest, or what there is: `the sources are: infra, hosts`.
 * `plural` is what they are. In the report's arena. */
const char *kl_report_nearest(struct kl_report *report, struct kilter_str word, const struct kilter_str *names,
                              size_t count, const char *plural);
/* "kilter.yaml:12:5", in the report's arena. */
const char *kl_report_place(struct kl_report *report, struct kilter_origin origin);

#endif
