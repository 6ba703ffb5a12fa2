// SPDX-License-Identifier: Apache-2.0
/* SHA-256 by libmd, HMAC on top of it, hexadecimal. */
#include <kilter/arena.h>

#include <sha2.h>

_Static_assert(sizeof(SHA2_CTX) <= sizeof(struct kilter_sha256), "libmd's context fits the public struct");
_Static_assert(_Alignof(SHA2_CTX) <= _Alignof(struct kilter_sha256), "and is aligned in it");

static SHA2_CTX *context(struct kilter_sha256 *ctx)
{
    return (SHA2_CTX *)(void *)ctx->opaque;
}

void kilter_sha256_init(struct kilter_sha256 *ctx)
{
    SHA256Init(context(ctx));
}

void kilter_sha256_update(struct kilter_sha256 *ctx, const void *bytes, size_t len)
{
    if (len)
        SHA256Update(context(ctx), bytes, len);
}

void kilter_sha256_final(struct kilter_sha256 *ctx, uint8_t ret_digest[KILTER_SHA256_SIZE])
{
    SHA256Final(ret_digest, context(ctx));
    explicit_bzero(ctx, sizeof *ctx);
}

void kilter_hmac_sha256(struct kilter_str key, struct kilter_str text, uint8_t ret_digest[KILTER_SHA256_SIZE])
{
    uint8_t block[SHA256_BLOCK_LENGTH] = { 0 };
    struct kilter_sha256 ctx;
    if (key.len > sizeof block) {
        kilter_sha256_init(&ctx);
        kilter_sha256_update(&ctx, key.ptr, key.len);
        kilter_sha256_final(&ctx, block);
    } else if (key.len) {
        memcpy(block, key.ptr, key.len);
    }
    for (size_t i = 0; i < sizeof block; i++)
        block[i] ^= 0x36;
    kilter_sha256_init(&ctx);
    kilter_sha256_update(&ctx, block, sizeof block);
    kilter_sha256_update(&ctx, text.ptr, text.len);
    kilter_sha256_final(&ctx, ret_digest);
    for (size_t i = 0; i < sizeof block; i++)
        block[i] ^= 0x36 ^ 0x5c;
    kilter_sha256_init(&ctx);
    kilter_sha256_update(&ctx, block, sizeof block);
    kilter_sha256_update(&ctx, ret_digest, KILTER_SHA256_SIZE);
    kilter_sha256_final(&ctx, ret_digest);
    explicit_bzero(block, sizeof block);
}

void kilter_hex(const void *bytes, size_t len, char *ret_text)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *from = bytes;
    for (size_t i = 0; i < len; i++) {
        *ret_text++ = digits[from[i] >> 4];
        *ret_text++ = digits[from[i] & 15];
    }
    *ret_text = 0;
}
