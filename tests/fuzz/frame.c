/* SPDX-License-Identifier: Apache-2.0 */
/* However a stream is cut into pieces, the same frames come out. The first byte says how it is cut. */
#include "wire/frame.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct summary {
    uint64_t frames, bytes, jobs;
    bool nonsense;
};

static void drain(struct kl_frame_reader *reader, struct summary *sum)
{
    struct kl_frame frame;
    int rc = 0;
    while (!sum->nonsense && (rc = kl_frame_next(reader, &frame, NULL)) == 1) {
        sum->frames++;
        sum->jobs = sum->jobs * 31 + frame.job;
        for (size_t i = 0; i < frame.payload.len; i++)
            sum->bytes = sum->bytes * 31 + (unsigned char)frame.payload.ptr[i];
    }
    sum->nonsense |= rc < 0;
}

static struct summary read_in_pieces(const uint8_t *data, size_t size, size_t piece)
{
    struct kl_frame_reader reader = KL_FRAME_READER_INIT;
    struct summary sum = { 0 };
    for (size_t at = 0; at < size; at += piece) {
        if (kl_frame_feed(&reader, data + at, size - at < piece ? size - at : piece) < 0)
            abort();
        drain(&reader, &sum);
    }
    kl_frame_reader_release(&reader);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct summary whole = read_in_pieces(data + 1, size - 1, size);
    struct summary cut = read_in_pieces(data + 1, size - 1, (size_t)data[0] + 1);
    if (whole.frames != cut.frames || whole.bytes != cut.bytes || whole.jobs != cut.jobs ||
        whole.nonsense != cut.nonsense)
        abort();
    return 0;
}
