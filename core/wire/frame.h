/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.h: framed messages between kilterd and a worker, over a socketpair.
 *
 * A frame is a header of 12 bytes (length of the payload, type, job; all
 * little-endian) and a payload, one encoded value (codec.h). Both sides check
 * every limit: a peer that breaks one is not talked to any more. The reader is
 * fed bytes as they come and owns one buffer; nothing here blocks or sends.
 */
#ifndef KL_WIRE_FRAME_H
#define KL_WIRE_FRAME_H

#include <kilter/value.h>

#define KL_WIRE_VERSION 1u       /* in HELLO; both must be the same */
#define KL_FRAME_HEADER 12u      /* bytes */
#define KL_FRAME_MAX (16u << 20) /* bytes of one payload */

enum kl_frame_type {
    KL_FRAME_HELLO = 1, /* worker: {wire, version, pid} once, first of all */
    KL_FRAME_JOB = 2,
    KL_FRAME_DATA = 3,
    KL_FRAME_START = 4,
    KL_FRAME_CANCEL = 5,
    KL_FRAME_PHASE = 6,
    KL_FRAME_LOG = 7,
    KL_FRAME_DIAG = 8,
    KL_FRAME_ITEM = 9,
    KL_FRAME_DONE = 10,
};

struct kl_frame {
    enum kl_frame_type type;
    uint32_t job;
    struct kilter_str payload; /* a view into the reader's buffer, until the next call of it */
};

struct kl_frame_reader {
    struct kilter_buf buf;
    size_t taken; /* bytes of the buffer already handed out */
};

/* clang-format off */
#define KL_FRAME_READER_INIT { KILTER_BUF_INIT(KL_FRAME_MAX + KL_FRAME_HEADER + 65536u), 0 }
/* clang-format on */

void kl_frame_reader_release(struct kl_frame_reader *reader);
/* Adds bytes that were received. KILTER_E_LIMIT or KILTER_E_NOMEM. */
int kl_frame_feed(struct kl_frame_reader *reader, const void *bytes, size_t len);
/* 1 and a frame, 0 when no whole frame is there yet, KILTER_E_INVALID when the peer sends nonsense
 * (unknown type, too long), with the reason in err. */
int kl_frame_next(struct kl_frame_reader *reader, struct kl_frame *ret, struct kilter_error *err);
/* Appends a frame to `out`. */
int kl_frame_write(struct kilter_buf *out, enum kl_frame_type type, uint32_t job, struct kilter_str payload);
const char *kl_frame_type_name(enum kl_frame_type type);

#endif
