/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h: memory that lives and dies together, and one growable buffer.
 *
 * An arena owns everything allocated from it until kilter_arena_free or
 * kilter_arena_reset. It has a maximum: an allocation beyond it returns NULL,
 * and the caller answers KILTER_E_NOMEM. Not thread-safe: one arena, one thread.
 */
#ifndef KILTER_ARENA_H
#define KILTER_ARENA_H

#include <kilter/base.h>

KILTER_BEGIN_DECLS

struct kilter_arena;

/* `max_bytes` bounds what the arena takes from the system; 0 means no bound of its own.
 * NULL when out of memory. */
KILTER_API struct kilter_arena *kilter_arena_new(size_t max_bytes);
/* Takes NULL. */
KILTER_API void kilter_arena_free(struct kilter_arena *arena);
/* Forgets everything allocated; keeps one block for reuse. */
KILTER_API void kilter_arena_reset(struct kilter_arena *arena);
/* Bytes taken from the system. */
KILTER_API size_t kilter_arena_size(const struct kilter_arena *arena);

/* Zeroed memory, aligned for any type. NULL beyond the maximum; a size of 0 gives a valid pointer. */
KILTER_API void *kilter_arena_alloc(struct kilter_arena *arena, size_t size);
/* As above for an array; also NULL when count * size overflows. */
KILTER_API void *kilter_arena_calloc(struct kilter_arena *arena, size_t count, size_t size);
/* A copy, NUL-terminated beyond its length. ptr is NULL when out of memory, and for an absent string. */
KILTER_API struct kilter_str kilter_arena_str(struct kilter_arena *arena, struct kilter_str s);
/* A formatted string, NUL-terminated; NULL when out of memory. */
KILTER_API char *kilter_arena_printf(struct kilter_arena *arena, const char *format, ...) KILTER_PRINTF(2, 3);

/* --- buffer ----------------------------------------------------------------
 * A byte string that is built. It never grows beyond `max`; once an append
 * failed the buffer stays failed, so that a writer can append many times and
 * check once. `ptr` is always NUL-terminated once something was appended.
 *
 *     struct kilter_buf out = KILTER_BUF_INIT(1 << 20);
 *     kilter_buf_str(&out, name);
 *     kilter_buf_printf(&out, ": %d\n", n);
 *     if (out.failed) ...
 *     kilter_buf_release(&out);
 */
struct kilter_buf {
    char *ptr; /* malloc'd, owned by the buffer */
    size_t len;
    size_t cap;
    size_t max;
    int failed; /* 0, KILTER_E_NOMEM or KILTER_E_LIMIT */
};

/* clang-format off */
#define KILTER_BUF_INIT(maximum) { NULL, 0, 0, (maximum), 0 }
/* clang-format on */

KILTER_API void kilter_buf_release(struct kilter_buf *buf); /* empties and frees; keeps max */
KILTER_API void kilter_buf_clear(struct kilter_buf *buf);   /* empties, forgets a failure */
/* Each returns 0 or the buffer's failure. */
KILTER_API int kilter_buf_append(struct kilter_buf *buf, const void *bytes, size_t len);
KILTER_API int kilter_buf_str(struct kilter_buf *buf, struct kilter_str s);
KILTER_API int kilter_buf_c(struct kilter_buf *buf, const char *text);
KILTER_API int kilter_buf_char(struct kilter_buf *buf, char c);
KILTER_API int kilter_buf_fill(struct kilter_buf *buf, char c, size_t count);
KILTER_API int kilter_buf_printf(struct kilter_buf *buf, const char *format, ...) KILTER_PRINTF(2, 3);
/* Room for `len` more bytes at the returned pointer, NULL on failure; the caller then adds to len. */
KILTER_API char *kilter_buf_reserve(struct kilter_buf *buf, size_t len);

static inline struct kilter_str kilter_buf_view(const struct kilter_buf *buf)
{
    return kilter_str_n(buf->ptr ? buf->ptr : "", buf->len);
}

/* --- digests and text forms of bytes -------------------------------------- */
#define KILTER_SHA256_SIZE 32

struct kilter_sha256 {
    uint64_t opaque[32];
};

KILTER_API void kilter_sha256_init(struct kilter_sha256 *ctx);
KILTER_API void kilter_sha256_update(struct kilter_sha256 *ctx, const void *bytes, size_t len);
KILTER_API void kilter_sha256_final(struct kilter_sha256 *ctx, uint8_t ret_digest[KILTER_SHA256_SIZE]);
/* HMAC-SHA256 (RFC 2104), for fingerprints of secrets that must not be guessable. */
KILTER_API void kilter_hmac_sha256(struct kilter_str key, struct kilter_str text,
                                   uint8_t ret_digest[KILTER_SHA256_SIZE]);
/* Lower-case hexadecimal, 2 * len characters and a NUL into ret_text. */
KILTER_API void kilter_hex(const void *bytes, size_t len, char *ret_text);
/* RFC 4648 with padding. Decoding takes no white space but LF, CR, blank and tab between characters;
 * KILTER_E_INVALID otherwise. */
KILTER_API int kilter_base64_encode(struct kilter_buf *out, struct kilter_str bytes);
KILTER_API int kilter_base64_decode(struct kilter_buf *out, struct kilter_str text);

KILTER_END_DECLS

#endif
