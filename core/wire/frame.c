/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/frame.h"

static uint32_t get_u32(const char *bytes)
{
    const unsigned char *b = (const unsigned char *)bytes;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static void put_u32(unsigned char *bytes, uint32_t value)
{
    bytes[0] = (unsigned char)value;
    bytes[1] = (unsigned char)(value >> 8);
    bytes[2] = (unsigned char)(value >> 16);
    bytes[3] = (unsigned char)(value >> 24);
}

const char *kl_frame_type_name(enum kl_frame_type type)
{
    static const char *const names[] = {
        [KL_FRAME_HELLO] = "HELLO", [KL_FRAME_JOB] = "JOB",       [KL_FRAME_DATA] = "DATA",
        [KL_FRAME_START] = "START", [KL_FRAME_CANCEL] = "CANCEL", [KL_FRAME_PHASE] = "PHASE",
        [KL_FRAME_LOG] = "LOG",     [KL_FRAME_DIAG] = "DIAG",     [KL_FRAME_ITEM] = "ITEM",
        [KL_FRAME_DONE] = "DONE",
    };

    if (type < KL_FRAME_HELLO || type > KL_FRAME_DONE)
        return "unknown";
    return names[type];
}

void kl_frame_reader_release(struct kl_frame_reader *reader)
{
    kilter_buf_release(&reader->buf);
    reader->taken = 0;
}

/* Moves what is not handed out yet to the front, so that the buffer's maximum bounds one frame and not a stream. */
static void drop_taken(struct kl_frame_reader *reader)
{
    if (reader->taken == 0)
        return;
    reader->buf.len -= reader->taken;
    memmove(reader->buf.ptr, reader->buf.ptr + reader->taken, reader->buf.len);
    reader->buf.ptr[reader->buf.len] = '\0';
    reader->taken = 0;
}

int kl_frame_feed(struct kl_frame_reader *reader, const void *bytes, size_t len)
{
    drop_taken(reader);
    return kilter_buf_append(&reader->buf, bytes, len);
}

int kl_frame_next(struct kl_frame_reader *reader, struct kl_frame *ret, struct kilter_error *err)
{
    size_t have = reader->buf.len - reader->taken;
    if (have < KL_FRAME_HEADER)
        return 0;

    const char *header = reader->buf.ptr + reader->taken;
    uint32_t length = get_u32(header);
    uint32_t type = get_u32(header + 4);
    if (type < KL_FRAME_HELLO || type > KL_FRAME_DONE)
        return kilter_error_set(err, KILTER_E_INVALID, "a frame of the unknown type %u", type);
    if (length > KL_FRAME_MAX)
        return kilter_error_set(err, KILTER_E_INVALID, "a %s frame of %u bytes is longer than %u",
                                kl_frame_type_name((enum kl_frame_type)type), length, KL_FRAME_MAX);
    if (have - KL_FRAME_HEADER < length)
        return 0;

    ret->type = (enum kl_frame_type)type;
    ret->job = get_u32(header + 8);
    ret->payload = kilter_str_n(header + KL_FRAME_HEADER, length);
    reader->taken += KL_FRAME_HEADER + length;
    return 1;
}

int kl_frame_write(struct kilter_buf *out, enum kl_frame_type type, uint32_t job, struct kilter_str payload)
{
    if (payload.len > KL_FRAME_MAX) {
        if (!out->failed)
            out->failed = KILTER_E_LIMIT;
        return out->failed;
    }

    unsigned char header[KL_FRAME_HEADER];
    put_u32(header, (uint32_t)payload.len);
    put_u32(header + 4, (uint32_t)type);
    put_u32(header + 8, job);
    kilter_buf_append(out, header, sizeof header);
    return kilter_buf_append(out, payload.ptr ? payload.ptr : "", payload.len);
}
