/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <errno.h>
#include <kilter/arena.h>
#include <stdlib.h>
#include <sys/random.h>

void kl_random_bytes(void *bytes, size_t len)
{
    unsigned char *at = bytes;
    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);
        if (n < 0 && errno != EINTR)
            abort();
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
}

uint64_t kl_random_u64(void)
{
    uint64_t value;
    kl_random_bytes(&value, sizeof(value));
    return value;
}

int64_t kl_random_jitter(int64_t value, unsigned percent)
{
    if (percent > 100)
        percent = 100;
    int64_t range = value / 100 * percent + value % 100 * percent / 100;
    if (range <= 0)
        return value;
    int64_t moved = (int64_t)(kl_random_u64() % ((uint64_t)range * 2 + 1)) - range;
    return moved > 0 && value > INT64_MAX - moved ? INT64_MAX : value + moved;
}

const char *kl_random_hex(size_t bytes, char text[65])
{
    unsigned char raw[32];
    if (bytes > sizeof(raw))
        bytes = sizeof(raw);
    kl_random_bytes(raw, bytes);
    kilter_hex(raw, bytes, text);
    return text;
}
