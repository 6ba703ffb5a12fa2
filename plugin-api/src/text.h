/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.h: characters of UTF-8 text, for libkilter's own files.
 *
 * Pure functions on the caller's bytes.
 */
#ifndef KL_TEXT_H
#define KL_TEXT_H

#include <kilter/base.h>

/* Decodes the character at the start of `s`; returns its bytes (1 to 4), or 0 when they are not
 * well-formed UTF-8 (RFC 3629) or `s` is empty. */
size_t kl_utf8_decode(struct kilter_str s, uint32_t *ret_character);

/* Appends a character (a Unicode scalar value) at `out`, which has room for 4 bytes; returns its bytes. */
size_t kl_utf8_encode(uint32_t character, char *out);

/* The largest length up to `at` that does not cut a character of `text` in two. */
static inline size_t kl_utf8_floor(const char *text, size_t at)
{
    while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80)
        at--;
    return at;
}

static inline bool kl_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The value of a hexadecimal digit, or -1. */
static inline int kl_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

#endif
