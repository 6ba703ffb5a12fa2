/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel.h: the worker's end of the socket to the daemon.
 *
 * Owns a read and a write buffer; the socket is the program's. When the daemon
 * is gone, or talks nonsense, the process ends (proc.h) and the function does
 * not return. One thread.
 */
#ifndef KL_WORKER_CHANNEL_H
#define KL_WORKER_CHANNEL_H

#include "wire/frame.h"

#define KL_CHANNEL_HOLD 65536u /* bytes that may be held back */

struct kl_channel {
    int fd;
    struct kl_frame_reader reader;
    struct kilter_buf payload; /* of the frame that is written */
    struct kilter_buf out;     /* frames that are not sent yet */
};

void kl_channel_init(struct kl_channel *channel, int fd);
/* The next frame; waits for it. */
void kl_channel_receive(struct kl_channel *channel, struct kl_frame *ret);
/* The next frame that is there already: true and the frame, or false. Never waits. */
bool kl_channel_poll(struct kl_channel *channel, struct kl_frame *ret);
/* Puts a frame with a value behind those held back, and sends them when they are many. KILTER_E_LIMIT when the
 * value is too large for a frame, KILTER_E_NOMEM; nothing was written then. ret_bytes (may be NULL): its size. */
int kl_channel_write(struct kl_channel *channel, enum kl_frame_type type, uint32_t job,
                     const struct kilter_value *value, size_t *ret_bytes);
/* Sends all that is held back. */
void kl_channel_flush(struct kl_channel *channel);

#endif
