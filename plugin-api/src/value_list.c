// SPDX-License-Identifier: Apache-2.0
/* Lists. */
#include "arena.h"
#include "value.h"

size_t kilter_list_size(const struct kilter_value *list)
{
    return kl_is(list, KILTER_LIST) ? list->count : 0;
}

struct kilter_value *kilter_list_at(const struct kilter_value *list, size_t index)
{
    return index < kilter_list_size(list) ? list->as.items[index] : NULL;
}

static int make_room(struct kilter_arena *arena, struct kilter_value *list)
{
    if (list->count < list->capacity)
        return 0;
    if (list->count > UINT32_MAX / 4)
        return KILTER_E_NOMEM;
    uint32_t capacity = list->count ? list->count * 2 : 4;
    struct kilter_value **items = kl_arena_take(arena, capacity * sizeof *items, _Alignof(void *));
    if (!items)
        return KILTER_E_NOMEM;
    if (list->count)
        memcpy(items, list->as.items, list->count * sizeof *items);
    list->as.items = items;
    list->capacity = capacity;
    return 0;
}

int kilter_list_insert(struct kilter_arena *arena, struct kilter_value *list, size_t index,
                       struct kilter_value *item)
{
    if (!item) /* an allocation that failed, passed on without a check of its own */
        return KILTER_E_NOMEM;
    if (!kl_is(list, KILTER_LIST))
        return KILTER_E_INVALID;
    int status = make_room(arena, list);
    if (status < 0)
        return status;
    if (index > list->count)
        index = list->count;
    memmove(list->as.items + index + 1, list->as.items + index, (list->count - index) * sizeof *list->as.items);
    list->as.items[index] = item;
    list->count++;
    return 0;
}

int kilter_list_add(struct kilter_arena *arena, struct kilter_value *list, struct kilter_value *item)
{
    return kilter_list_insert(arena, list, SIZE_MAX, item);
}

void kilter_list_set(struct kilter_value *list, size_t index, struct kilter_value *item)
{
    if (index < kilter_list_size(list) && item)
        list->as.items[index] = item;
}

void kilter_list_remove(struct kilter_value *list, size_t index)
{
    if (index >= kilter_list_size(list))
        return;
    list->count--;
    memmove(list->as.items + index, list->as.items + index + 1, (list->count - index) * sizeof *list->as.items);
}
