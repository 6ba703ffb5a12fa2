// SPDX-License-Identifier: Apache-2.0
/* The growable buffer, and base64 into it. */
#include <kilter/arena.h>

#include <stdio.h>
#include <stdlib.h>

#define FIRST_CAPACITY 64

void kilter_buf_release(struct kilter_buf *buf)
{
    free(buf->ptr);
    buf->ptr = NULL;
    buf->len = buf->cap = 0;
    buf->failed = 0;
}

void kilter_buf_clear(struct kilter_buf *buf)
{
    buf->len = 0;
    buf->failed = 0;
    if (buf->ptr)
        buf->ptr[0] = 0;
}

/* Makes room for `len` more bytes and the NUL. */
static int grow(struct kilter_buf *buf, size_t len)
{
    if (buf->failed)
        return buf->failed;
    if (len > buf->max || buf->len > buf->max - len)
        return buf->failed = KILTER_E_LIMIT;
    size_t needed = buf->len + len;
    if (needed < buf->cap)
        return 0;
    size_t capacity = buf->cap ? buf->cap : FIRST_CAPACITY;
    while (capacity <= needed)
        capacity = capacity > SIZE_MAX / 2 ? SIZE_MAX : capacity * 2;
    if (buf->max < SIZE_MAX && capacity > buf->max + 1)
        capacity = buf->max + 1;
    char *ptr = realloc(buf->ptr, capacity);
    if (!ptr)
        return buf->failed = KILTER_E_NOMEM;
    buf->ptr = ptr;
    buf->cap = capacity;
    return 0;
}

char *kilter_buf_reserve(struct kilter_buf *buf, size_t len)
{
    if (grow(buf, len) < 0)
        return NULL;
    buf->ptr[buf->len] = 0;
    buf->ptr[buf->len + len] = 0;
    return buf->ptr + buf->len;
}

int kilter_buf_append(struct kilter_buf *buf, const void *bytes, size_t len)
{
    int status = grow(buf, len);
    if (status < 0)
        return status;
    if (len)
        memcpy(buf->ptr + buf->len, bytes, len);
    buf->len += len;
    buf->ptr[buf->len] = 0;
    return 0;
}

int kilter_buf_str(struct kilter_buf *buf, struct kilter_str s)
{
    return kilter_buf_append(buf, s.ptr, s.len);
}

int kilter_buf_c(struct kilter_buf *buf, const char *text)
{
    return kilter_buf_append(buf, text, strlen(text));
}

int kilter_buf_char(struct kilter_buf *buf, char c)
{
    return kilter_buf_append(buf, &c, 1);
}

int kilter_buf_fill(struct kilter_buf *buf, char c, size_t count)
{
    char *room = kilter_buf_reserve(buf, count);
    if (!room)
        return buf->failed;
    memset(room, c, count);
    buf->len += count;
    return 0;
}

int kilter_buf_printf(struct kilter_buf *buf, const char *format, ...)
{
    char small[256];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    int status;
    if (len < 0) {
        status = buf->failed = buf->failed ? buf->failed : KILTER_E_NOMEM;
    } else if ((size_t)len < sizeof small) {
        status = kilter_buf_append(buf, small, (size_t)len);
    } else {
        char *room = kilter_buf_reserve(buf, (size_t)len);
        if (room) {
            vsnprintf(room, (size_t)len + 1, format, again);
            buf->len += (size_t)len;
        }
        status = buf->failed;
    }
    va_end(again);
    return status;
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int kilter_base64_encode(struct kilter_buf *out, struct kilter_str bytes)
{
    if (bytes.len > SIZE_MAX / 2)
        return out->failed = KILTER_E_LIMIT;
    size_t size = (bytes.len + 2) / 3 * 4;
    char *to = kilter_buf_reserve(out, size);
    if (!to)
        return out->failed;
    const unsigned char *from = (const unsigned char *)bytes.ptr;
    for (size_t i = 0; i < bytes.len; i += 3, to += 4) {
        size_t left = bytes.len - i;
        uint32_t group = (uint32_t)from[i] << 16;
        if (left > 1)
            group |= (uint32_t)from[i + 1] << 8;
        if (left > 2)
            group |= from[i + 2];
        to[0] = base64_digits[group >> 18];
        to[1] = base64_digits[group >> 12 & 63];
        to[2] = left > 1 ? base64_digits[group >> 6 & 63] : '=';
        to[3] = left > 2 ? base64_digits[group & 63] : '=';
    }
    out->len += size;
    return 0;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Writes what a full group of four characters stands for; `padding` of them were '='. */
static int base64_group(struct kilter_buf *out, uint32_t group, unsigned padding)
{
    /* Bits that no byte takes must be zero, so that one text only stands for the bytes. */
    if (padding > 2 || (padding == 1 && (group & 0xff)) || (padding == 2 && (group & 0xffff)))
        return KILTER_E_INVALID;
    char bytes[3] = { (char)(group >> 16), (char)(group >> 8), (char)group };
    return kilter_buf_append(out, bytes, 3 - padding);
}

int kilter_base64_decode(struct kilter_buf *out, struct kilter_str text)
{
    if (out->failed)
        return out->failed;
    uint32_t group = 0;
    unsigned filled = 0, padding = 0;
    bool ended = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '\n' || c == '\r' || c == ' ' || c == '\t')
            continue;
        int value = c == '=' ? 0 : base64_value(c);
        if (value < 0 || ended || (padding && c != '='))
            return KILTER_E_INVALID;
        padding += c == '=';
        group = group << 6 | (uint32_t)value;
        if (++filled < 4)
            continue;
        int status = base64_group(out, group, padding);
        if (status < 0)
            return status;
        ended = padding > 0;
        group = filled = 0;
    }
    return filled ? KILTER_E_INVALID : 0;
}
