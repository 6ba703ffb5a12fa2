// SPDX-License-Identifier: Apache-2.0
/*
 * The arena: a chain of blocks, memory handed out from the newest by moving a
 * pointer. Blocks double up to a size where the system's own allocator is no
 * longer felt; what is large against a block gets one of its own.
 */
#include "arena.h"

#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define POISONING 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONING 1
#endif
#endif

#ifdef POISONING
#include <sanitizer/asan_interface.h>
#define GAP 16 /* between two allocations, so that an overrun is seen */
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define GAP 0
#endif

#define ALIGNMENT 16
#define FIRST_BLOCK ((size_t)8 << 10)
#define LAST_BLOCK ((size_t)1 << 20)

struct block {
    struct block *next;
    size_t size; /* of the memory that follows */
};

_Static_assert(sizeof(struct block) % ALIGNMENT == 0, "memory after a block's header is aligned");

struct kilter_arena {
    size_t max;
    size_t taken; /* from the system, headers included */
    size_t next_size;
    struct block *blocks; /* the first one is the one handed out from */
    char *at, *end;
};

static char *block_memory(struct block *block)
{
    return (char *)(block + 1);
}

struct kilter_arena *kilter_arena_new(size_t max_bytes)
{
    struct kilter_arena *arena = calloc(1, sizeof *arena);
    if (!arena)
        return NULL;
    arena->max = max_bytes ? max_bytes : SIZE_MAX;
    arena->taken = sizeof *arena;
    arena->next_size = FIRST_BLOCK;
    return arena;
}

static void free_blocks(struct block *block)
{
    while (block) {
        struct block *next = block->next;
        ASAN_UNPOISON_MEMORY_REGION(block_memory(block), block->size);
        free(block);
        block = next;
    }
}

void kilter_arena_free(struct kilter_arena *arena)
{
    if (!arena)
        return;
    free_blocks(arena->blocks);
    free(arena);
}

static void open_block(struct kilter_arena *arena, struct block *block)
{
    arena->at = block_memory(block);
    arena->end = arena->at + block->size;
    ASAN_POISON_MEMORY_REGION(arena->at, block->size);
}

void kilter_arena_reset(struct kilter_arena *arena)
{
    struct block *kept = arena->blocks;
    if (!kept)
        return;
    free_blocks(kept->next);
    kept->next = NULL;
    arena->taken = sizeof *arena + sizeof *kept + kept->size;
    open_block(arena, kept);
}

size_t kilter_arena_size(const struct kilter_arena *arena)
{
    return arena->taken;
}

static struct block *new_block(struct kilter_arena *arena, size_t size)
{
    struct block *block = malloc(sizeof *block + size);
    if (!block)
        return NULL;
    block->size = size;
    arena->taken += sizeof *block + size;
    return block;
}

/* What may still be taken for a block's memory. */
static size_t room(const struct kilter_arena *arena)
{
    size_t used = arena->taken + sizeof(struct block);
    return used < arena->max ? arena->max - used : 0;
}

/* `size` bytes where the open block has no room for them. */
static char *take_from_new(struct kilter_arena *arena, size_t size)
{
    size_t left = room(arena);
    if (size > left)
        return NULL;
    bool own = arena->blocks && size > arena->next_size / 4;
    size_t wanted = own || size > arena->next_size ? size : arena->next_size;
    struct block *block = new_block(arena, wanted < left ? wanted : left);
    if (!block)
        return NULL;
    if (own) {
        block->next = arena->blocks->next;
        arena->blocks->next = block;
        return block_memory(block);
    }
    block->next = arena->blocks;
    arena->blocks = block;
    if (arena->next_size < LAST_BLOCK)
        arena->next_size *= 2;
    open_block(arena, block);
    char *memory = arena->at;
    arena->at += size;
    return memory;
}

void *kl_arena_take(struct kilter_arena *arena, size_t size, size_t align)
{
    if (size > SIZE_MAX / 4)
        return NULL;
    size_t gap = (size_t) - (uintptr_t)arena->at & (align - 1);
    char *memory;
    if ((size_t)(arena->end - arena->at) >= gap + size + GAP) {
        memory = arena->at + gap;
        arena->at = memory + size + GAP;
    } else {
        memory = take_from_new(arena, size + GAP);
        if (!memory)
            return NULL;
    }
    ASAN_UNPOISON_MEMORY_REGION(memory, size);
    return memory;
}

void *kilter_arena_alloc(struct kilter_arena *arena, size_t size)
{
    void *memory = kl_arena_take(arena, size ? size : 1, ALIGNMENT);
    if (memory)
        memset(memory, 0, size);
    return memory;
}

void *kilter_arena_calloc(struct kilter_arena *arena, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    return kilter_arena_alloc(arena, total);
}

const char *kl_arena_copy(struct kilter_arena *arena, const char *text, size_t len)
{
    if (len >= SIZE_MAX / 4)
        return NULL;
    char *copy = kl_arena_take(arena, len + 1, 1);
    if (!copy)
        return NULL;
    if (len)
        memcpy(copy, text, len);
    copy[len] = 0;
    return copy;
}

struct kilter_str kilter_arena_str(struct kilter_arena *arena, struct kilter_str s)
{
    if (!s.ptr)
        return KILTER_STR_NONE;
    const char *copy = kl_arena_copy(arena, s.ptr, s.len);
    return kilter_str_n(copy, copy ? s.len : 0);
}

char *kilter_arena_printf(struct kilter_arena *arena, const char *format, ...)
{
    char small[256];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    char *text = len < 0 ? NULL : kl_arena_take(arena, (size_t)len + 1, 1);
    if (text && (size_t)len < sizeof small)
        memcpy(text, small, (size_t)len + 1);
    else if (text)
        vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return text;
}
