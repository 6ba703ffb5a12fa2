// SPDX-License-Identifier: Apache-2.0
/* Content handles: the checked way to their operations, and the one over memory. */
#include <kilter/value.h>

#define PIECE ((size_t)64 << 10)

int kilter_content_read(struct kilter_content *content, uint64_t offset, void *bytes, size_t len, size_t *ret_len,
                        struct kilter_error *err)
{
    size_t got = 0;
    if (!content->ops || !content->ops->read)
        return kilter_error_set(err, KILTER_E_INTERNAL, "a content handle has no reader");
    int status = content->ops->read(content, offset, bytes, len, &got, err);
    if (status < 0)
        return status;
    if (got > len)
        return kilter_error_set(err, KILTER_E_INTERNAL, "a content reader gave more than it was asked for");
    *ret_len = got;
    return 0;
}

int kilter_content_read_all(struct kilter_content *content, struct kilter_buf *out, struct kilter_error *err)
{
    uint64_t offset = 0;
    if (out->failed)
        return kilter_error_set(err, out->failed, "reading content: the buffer has failed before");
    if (content->length > out->max - out->len)
        return kilter_error_set(err, KILTER_E_LIMIT, "content of %llu bytes is longer than %zu",
                                (unsigned long long)content->length, out->max);
    while (offset < content->length) {
        uint64_t left = content->length - offset;
        size_t want = left < PIECE ? (size_t)left : PIECE, got = 0;
        char *room = kilter_buf_reserve(out, want);
        if (!room)
            return kilter_error_set(err, out->failed, "reading content of %llu bytes",
                                    (unsigned long long)content->length);
        int status = kilter_content_read(content, offset, room, want, &got, err);
        if (status < 0)
            return status;
        if (!got)
            return kilter_error_set(err, KILTER_E_IO, "content ends after %llu of %llu bytes",
                                    (unsigned long long)offset, (unsigned long long)content->length);
        out->len += got;
        out->ptr[out->len] = 0;
        offset += got;
    }
    return 0;
}

static int read_bytes(struct kilter_content *content, uint64_t offset, void *bytes, size_t len, size_t *ret_len,
                      struct kilter_error *err)
{
    (void)err;
    *ret_len = 0;
    if (offset >= content->length)
        return 0;
    uint64_t left = content->length - offset;
    *ret_len = len < left ? len : (size_t)left;
    memcpy(bytes, (const char *)content->data + offset, *ret_len);
    return 0;
}

static const struct kilter_content_ops bytes_ops = {
    .size = sizeof(struct kilter_content_ops),
    .read = read_bytes,
};

struct kilter_content *kilter_content_bytes(struct kilter_arena *arena, struct kilter_str bytes)
{
    static const char prefix[] = "sha256:";
    struct kilter_content *content = kilter_arena_alloc(arena, sizeof *content);
    char *id = kilter_arena_alloc(arena, sizeof prefix + 2 * KILTER_SHA256_SIZE);
    if (!content || !id)
        return NULL;
    struct kilter_sha256 ctx;
    uint8_t digest[KILTER_SHA256_SIZE];
    kilter_sha256_init(&ctx);
    kilter_sha256_update(&ctx, bytes.ptr, bytes.len);
    kilter_sha256_final(&ctx, digest);
    memcpy(id, prefix, sizeof prefix);
    kilter_hex(digest, sizeof digest, id + sizeof prefix - 1);
    content->ops = &bytes_ops;
    content->id = kilter_str_c(id);
    content->length = bytes.len;
    content->data = (void *)(uintptr_t)bytes.ptr;
    return content;
}
