/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"

#include <stdio.h>

struct file_map file_map_new(struct kilter_arena *arena)
{
    return (struct file_map){ arena, kilter_map(arena) };
}

void file_put(struct file_map *map, const char *key, struct kilter_value *value)
{
    if (map->map && (!value || kilter_set(map->arena, map->map, key, value) < 0))
        map->map = NULL;
}

void file_put_text(struct file_map *map, const char *key, struct kilter_str text)
{
    file_put(map, key, kilter_string(map->arena, text));
}

void file_put_int(struct file_map *map, const char *key, int64_t number)
{
    file_put(map, key, kilter_int(map->arena, number));
}

void file_put_uint(struct file_map *map, const char *key, uint64_t number)
{
    file_put(map, key, kilter_uint(map->arena, number));
}

void file_put_bool(struct file_map *map, const char *key, bool truth)
{
    file_put(map, key, kilter_bool(map->arena, truth));
}

void file_put_mode(struct file_map *map, const char *key, uint32_t mode)
{
    char text[16];
    snprintf(text, sizeof text, "%04o", mode);
    file_put(map, key, kilter_string_c(map->arena, text));
}

void file_put_digest(struct file_map *map, const char *key, const uint8_t digest[KILTER_SHA256_SIZE])
{
    char text[2 * KILTER_SHA256_SIZE + 1];
    kilter_hex(digest, KILTER_SHA256_SIZE, text);
    file_put(map, key, kilter_string_c(map->arena, text));
}

void file_put_texts(struct file_map *map, const char *key, const struct kilter_str *texts, size_t count)
{
    struct kilter_value *list = kilter_list(map->arena);
    for (size_t i = 0; list && i < count; i++) {
        struct kilter_value *text = kilter_string(map->arena, texts[i]);
        if (!text || kilter_list_add(map->arena, list, text) < 0)
            list = NULL;
    }
    file_put(map, key, list);
}

bool file_get_uint(const struct kilter_value *map, const char *key, uint64_t *ret)
{
    struct kilter_scalar scalar;
    const struct kilter_value *value = kilter_get(map, key);
    if (!value || kilter_resolve(value, KILTER_SCHEMA_JSON, &scalar) < 0)
        return false;
    if (scalar.kind == KILTER_INT && scalar.as.integer >= 0)
        *ret = (uint64_t)scalar.as.integer;
    else if (scalar.kind == KILTER_UINT)
        *ret = scalar.as.unsigned_integer;
    else
        return false;
    return true;
}

bool file_get_mode(const struct kilter_value *map, const char *key, uint32_t *ret)
{
    struct kilter_str text = kilter_text(kilter_get(map, key));
    uint32_t mode = 0;
    if (text.len < 3 || text.len > 5)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '7')
            return false;
        mode = mode * 8 + (uint32_t)(text.ptr[i] - '0');
    }
    *ret = mode;
    return mode <= 07777;
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool file_get_hex(const struct kilter_value *map, const char *key, uint8_t *ret, size_t size)
{
    struct kilter_str text = kilter_get_text(map, key);
    if (text.len != 2 * size)
        return false;
    for (size_t i = 0; i < size; i++) {
        int high = nibble(text.ptr[2 * i]), low = nibble(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}

bool file_get_flag(const struct kilter_value *map, const char *key)
{
    bool truth = false;
    return kilter_get_bool(map, key, &truth) == KILTER_OK && truth;
}

struct kilter_strs file_get_texts(struct kilter_arena *arena, const struct kilter_value *map, const char *key)
{
    struct kilter_strs none = { NULL, 0 };
    const struct kilter_value *list = kilter_get(map, key);
    if (!list || kilter_type_of(list) != KILTER_LIST)
        return none;
    size_t count = kilter_list_size(list);
    struct kilter_str *items = kilter_arena_calloc(arena, count, sizeof *items);
    if (!items)
        return none;
    for (size_t i = 0; i < count; i++)
        items[i] = kilter_text(kilter_list_at(list, i));
    return (struct kilter_strs){ items, count };
}
