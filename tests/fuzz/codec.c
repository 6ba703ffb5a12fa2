/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever decodes must be written again as the same bytes. */
#include "wire/codec.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kilter_arena *arena = kilter_arena_new(64u << 20);
    struct kilter_buf out = KILTER_BUF_INIT(SIZE_MAX);
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kilter_value *value = NULL;
    if (kl_value_decode(arena, kilter_str_n((const char *)data, size), NULL, NULL, &value, &err) == 0)
        if (kl_value_encode(&out, value) < 0 || out.len != size || memcmp(out.ptr, data, size) != 0)
            abort();
    kilter_buf_release(&out);
    kilter_arena_free(arena);
    return 0;
}
