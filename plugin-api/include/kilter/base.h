/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base.h: version, visibility, string views, status codes and the error object.
 *
 * Everything here is plain data on the caller's stack. Nothing allocates, and
 * nothing is shared between threads.
 */
#ifndef KILTER_BASE_H
#define KILTER_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The ABI's major version is part of the plugin entry point's name (plugin.h).
 * The minor version counts additions to libkilter and to the tables. */
#define KILTER_ABI_MAJOR 1
#define KILTER_ABI_MINOR 0

#if defined(__GNUC__)
#define KILTER_API __attribute__((visibility("default")))
#define KILTER_PRINTF(format_at, first) __attribute__((__format__(__printf__, format_at, first)))
#define KILTER_NODISCARD __attribute__((warn_unused_result))
#else
#define KILTER_API
#define KILTER_PRINTF(format_at, first)
#define KILTER_NODISCARD
#endif

#ifdef __cplusplus
#define KILTER_BEGIN_DECLS extern "C" {
#define KILTER_END_DECLS }
#else
#define KILTER_BEGIN_DECLS
#define KILTER_END_DECLS
#endif

KILTER_BEGIN_DECLS

/* What a function that can fail returns: KILTER_OK or one of these. */
enum kilter_status {
    KILTER_OK = 0,
    KILTER_E_NOMEM = -1,        /* out of memory, or an arena or buffer is at its maximum */
    KILTER_E_INVALID = -2,      /* the user's input is wrong; the diagnostics say how */
    KILTER_E_LIMIT = -3,        /* a budget is used up: bytes, depth, nodes, output */
    KILTER_E_IO = -4,           /* a system call failed; sys_errno of the error says which way */
    KILTER_E_NOT_FOUND = -5,    /* the thing asked for is not there */
    KILTER_E_CONFLICT = -6,     /* the world is not what the caller expected */
    KILTER_E_CANCELLED = -7,    /* the call was cancelled */
    KILTER_E_TIMEOUT = -8,      /* the deadline passed */
    KILTER_E_NEED = -9,         /* another repository is needed first (renderer.h) */
    KILTER_E_UNSUPPORTED = -10, /* a known thing that this build or system cannot do */
    KILTER_E_PERMISSION = -11,  /* the system or a policy forbids it */
    KILTER_E_INTERNAL = -12,    /* a defect: an invariant does not hold */
};

/* Why an operation failed, in words. Lives on the caller's stack, is written
 * only on failure, and is wrapped with context on the way up:
 *
 *     struct kilter_error err = KILTER_ERROR_INIT;
 *     if (read_state(path, &state, &err) < 0)
 *         return kilter_error_wrap(&err, "loading %s", path);
 *
 * Every function that takes one accepts NULL. */
struct kilter_error {
    int code;      /* enum kilter_status; KILTER_OK while nothing failed */
    int sys_errno; /* errno of the failed system call, or 0 */
    char message[496];
};

/* clang-format off */
#define KILTER_ERROR_INIT { 0, 0, { 0 } }
/* clang-format on */

/* Fills `err` and returns `code`, so that it can end a function. */
KILTER_API int kilter_error_set(struct kilter_error *err, int code, const char *format, ...) KILTER_PRINTF(3, 4);

/* As kilter_error_set with KILTER_E_IO (KILTER_E_NOT_FOUND for ENOENT, KILTER_E_PERMISSION for
 * EACCES and EPERM, KILTER_E_NOMEM for ENOMEM); appends ": <text of sys_errno>". */
KILTER_API int kilter_error_errno(struct kilter_error *err, int sys_errno, const char *format, ...)
    KILTER_PRINTF(3, 4);

/* Puts "<context>: " before the message that is there; returns the code that is there. */
KILTER_API int kilter_error_wrap(struct kilter_error *err, const char *format, ...) KILTER_PRINTF(2, 3);

/* The name of a status as a person reads it: "out of memory", "not found". Never NULL. */
KILTER_API const char *kilter_status_text(int code);

/* The version of the libkilter that runs, "1.0.0", and its ABI minor. */
KILTER_API const char *kilter_version(void);
KILTER_API uint32_t kilter_abi_minor(void);

/* --- string views --------------------------------------------------------
 * A pointer and a length; never owned, not NUL-terminated, may hold NUL. An
 * absent string has ptr NULL; an empty one has ptr set and len 0. */
struct kilter_str {
    const char *ptr;
    size_t len;
};

/* For a string literal (C: also as a constant initializer through KILTER_STR_INIT). */
/* clang-format off */
#define KILTER_STR_INIT(literal) { ("" literal), sizeof(literal) - 1 }
/* clang-format on */
#define KILTER_STR(literal) kilter_str_n(("" literal), sizeof(literal) - 1)
#define KILTER_STR_NONE kilter_str_n(NULL, 0)

/* For printf: printf("%.*s", KILTER_STR_ARG(s)). */
#define KILTER_STR_ARG(s) ((int)((s).len > 0x7fffffffu ? 0x7fffffff : (s).len)), ((s).ptr ? (s).ptr : "")

static inline struct kilter_str kilter_str_n(const char *ptr, size_t len)
{
    struct kilter_str s;
    s.ptr = ptr;
    s.len = len;
    return s;
}

/* A view of a NUL-terminated string; of NULL, the absent string. */
static inline struct kilter_str kilter_str_c(const char *text)
{
    return kilter_str_n(text, text ? strlen(text) : 0);
}

static inline bool kilter_str_eq(struct kilter_str a, struct kilter_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool kilter_str_eq_c(struct kilter_str a, const char *b)
{
    return kilter_str_eq(a, kilter_str_c(b));
}

/* Bytewise order, the shorter first when one begins the other. */
static inline int kilter_str_cmp(struct kilter_str a, struct kilter_str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n ? memcmp(a.ptr, b.ptr, n) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static inline bool kilter_str_starts(struct kilter_str s, struct kilter_str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool kilter_str_ends(struct kilter_str s, struct kilter_str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

/* The part from `from` on, at most `len` bytes; clamped to the string. */
static inline struct kilter_str kilter_str_sub(struct kilter_str s, size_t from, size_t len)
{
    if (from > s.len)
        from = s.len;
    if (len > s.len - from)
        len = s.len - from;
    return kilter_str_n(s.ptr ? s.ptr + from : NULL, len);
}

/* Index of the first `c` at or after `from`, or -1. */
KILTER_API ptrdiff_t kilter_str_find(struct kilter_str s, char c, size_t from);
KILTER_API ptrdiff_t kilter_str_rfind(struct kilter_str s, char c);
/* Without blanks, tabs, CR and LF at both ends. */
KILTER_API struct kilter_str kilter_str_trim(struct kilter_str s);
/* Whether the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
KILTER_API bool kilter_str_is_utf8(struct kilter_str s);
/* Shell-style match of a '/'-separated path: '?' and '*' stay inside one segment, '**' spans any
 * number of them, '[...]' is a class with '!' or '^' for its complement, '\\' quotes. A pattern
 * without '/' is matched against the last segment. Linear in pattern times path. */
KILTER_API bool kilter_glob_match(struct kilter_str pattern, struct kilter_str path);
/* The candidate nearest to `word` by edit distance, when near enough to be what was meant
 * (at most a third of the longer one's length, at least 1); else the absent string. */
KILTER_API struct kilter_str kilter_nearest(struct kilter_str word, const struct kilter_str *candidates,
                                            size_t count);

KILTER_END_DECLS

#endif
