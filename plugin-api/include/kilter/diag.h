/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diag.h: diagnostics, what is wrong with the user's input and what to do.
 *
 * An error (base.h) says that something failed and unwinds; diagnostics pile
 * up, so that the user sees all problems of a file at once. A list owns copies
 * of every text added to it. Not thread-safe.
 */
#ifndef KILTER_DIAG_H
#define KILTER_DIAG_H

#include <kilter/arena.h>

KILTER_BEGIN_DECLS

/* Where in the user's input. `file` empty: no file; line and column count from 1, 0: unknown. */
struct kilter_origin {
    struct kilter_str file;
    uint32_t line;
    uint32_t column;
};

enum kilter_severity { KILTER_ERROR = 1, KILTER_WARNING = 2, KILTER_NOTE = 3 };

struct kilter_diag {
    enum kilter_severity severity;
    struct kilter_str code; /* stable, for programs and docs: "yaml.duplicate-key" */
    struct kilter_origin origin;
    struct kilter_str message; /* what is wrong, and what was expected */
    struct kilter_str hint;    /* what to do; may be empty */
};

struct kilter_diags;

/* Keeps at most `max` diagnostics (0: 1000) and counts the rest. NULL when out of memory. */
KILTER_API struct kilter_diags *kilter_diags_new(size_t max);
KILTER_API void kilter_diags_free(struct kilter_diags *diags);
KILTER_API void kilter_diags_clear(struct kilter_diags *diags);

/* Adds one. `hint` may be NULL. The format makes the message. A NULL list is allowed and drops it. */
KILTER_API void kilter_diag_add(struct kilter_diags *diags, enum kilter_severity severity, const char *code,
                                struct kilter_origin origin, const char *hint, const char *format, ...)
    KILTER_PRINTF(6, 7);
/* Copies one in as it stands (from another list, or from a frame). */
KILTER_API void kilter_diag_copy(struct kilter_diags *diags, const struct kilter_diag *diag);

KILTER_API size_t kilter_diags_count(const struct kilter_diags *diags);  /* those kept */
KILTER_API size_t kilter_diags_errors(const struct kilter_diags *diags); /* errors, dropped ones included */
KILTER_API size_t kilter_diags_dropped(const struct kilter_diags *diags);
KILTER_API const struct kilter_diag *kilter_diags_at(const struct kilter_diags *diags, size_t index);

/* Compilers' form, which editors parse, a line each and an indented hint:
 *     apps.yaml:12:5: error: unknown key "sorce" [manifest.unknown-key]
 *         did you mean "source"? */
KILTER_API int kilter_diag_format(struct kilter_buf *out, const struct kilter_diag *diag);
KILTER_API int kilter_diags_format(struct kilter_buf *out, const struct kilter_diags *diags);

KILTER_END_DECLS

#endif
