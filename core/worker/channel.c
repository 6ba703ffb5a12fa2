/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/channel.h"

#include "wire/codec.h"
#include "worker/proc.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

void kl_channel_init(struct kl_channel *channel, int fd)
{
    *channel = (struct kl_channel){ .fd = fd,
                                    .reader = KL_FRAME_READER_INIT,
                                    .payload = KILTER_BUF_INIT(KL_FRAME_MAX),
                                    .out = KILTER_BUF_INIT(KL_FRAME_MAX + KL_FRAME_HEADER + KL_CHANNEL_HOLD) };
}

static _Noreturn void give_up(const char *why)
{
    fprintf(stderr, "kilter-worker: %s\n", why);
    fflush(NULL);
    kl_proc_end(3);
}

/* Reads once. False when nothing is there and it may not wait. */
static bool fill(struct kl_channel *channel, int flags)
{
    char bytes[65536];
    ssize_t len = recv(channel->fd, bytes, sizeof bytes, flags);
    if (len < 0 && errno == EINTR)
        return true;
    if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return false;
    if (len <= 0)
        kl_proc_end(0); /* the daemon is gone: the end of every worker */
    if (kl_frame_feed(&channel->reader, bytes, (size_t)len) < 0)
        give_up("out of memory for a frame");
    return true;
}

static bool next(struct kl_channel *channel, struct kl_frame *ret)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    int rc = kl_frame_next(&channel->reader, ret, &err);
    if (rc < 0)
        give_up(err.message);
    return rc == 1;
}

void kl_channel_receive(struct kl_channel *channel, struct kl_frame *ret)
{
    while (!next(channel, ret))
        fill(channel, 0);
}

bool kl_channel_poll(struct kl_channel *channel, struct kl_frame *ret)
{
    while (!next(channel, ret))
        if (!fill(channel, MSG_DONTWAIT))
            return false;
    return true;
}

int kl_channel_write(struct kl_channel *channel, enum kl_frame_type type, uint32_t job,
                     const struct kilter_value *value, size_t *ret_bytes)
{
    kilter_buf_clear(&channel->payload);
    int rc = kl_value_encode(&channel->payload, value);
    if (rc < 0)
        return rc;
    size_t before = channel->out.len;
    if (before + KL_FRAME_HEADER + channel->payload.len > channel->out.max)
        kl_channel_flush(channel);
    rc = kl_frame_write(&channel->out, type, job, kilter_buf_view(&channel->payload));
    if (rc < 0)
        give_up("out of memory for an answer"); /* half a frame may be in the buffer */
    if (ret_bytes)
        *ret_bytes = KL_FRAME_HEADER + channel->payload.len;
    if (channel->out.len >= KL_CHANNEL_HOLD)
        kl_channel_flush(channel);
    return 0;
}

void kl_channel_flush(struct kl_channel *channel)
{
    size_t sent = 0;
    while (sent < channel->out.len) {
        ssize_t len = send(channel->fd, channel->out.ptr + sent, channel->out.len - sent, MSG_NOSIGNAL);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            kl_proc_end(0);
        sent += (size_t)len;
    }
    kilter_buf_clear(&channel->out);
}
