/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.c: the attributes of a record, schema version 1. docs/reference/target-file.md lists the members.
 *
 * The content of a secret is never here, and neither is its plain digest, which would let short secrets be
 * guessed: in its place stands an HMAC whose key is this machine's id and a salt of the record.
 */
#include "file.h"

#include <sys/random.h>

static void keyed_digest(const struct file_target *target, const uint8_t salt[FILE_SALT_SIZE],
                         const uint8_t digest[KILTER_SHA256_SIZE], uint8_t ret[KILTER_SHA256_SIZE])
{
    char key[KILTER_MACHINE_ID_SIZE + FILE_SALT_SIZE];
    size_t len = strlen(target->machine);
    memcpy(key, target->machine, len);
    memcpy(key + len, salt, FILE_SALT_SIZE);
    kilter_hmac_sha256(kilter_str_n(key, len + FILE_SALT_SIZE),
                       kilter_str_n((const char *)digest, KILTER_SHA256_SIZE), ret);
}

/* --- reading ------------------------------------------------------------------------ */
static enum kilter_fs_type type_named(struct kilter_str name)
{
    for (int type = KILTER_FS_FILE; type <= KILTER_FS_SYMLINK; type++)
        if (kilter_str_eq_c(name, kilter_fs_type_name((enum kilter_fs_type)type)))
            return (enum kilter_fs_type)type;
    return KILTER_FS_ABSENT;
}

static bool read_number(const struct kilter_value *map, const char *key, uint32_t *ret)
{
    uint64_t number;
    if (!file_get_uint(map, key, &number) || number > UINT32_MAX)
        return false;
    *ret = (uint32_t)number;
    return true;
}

static bool read_stamp(const struct kilter_value *map, struct file_recorded *recorded)
{
    struct kilter_fs_entry *stamp = &recorded->stamp;
    *stamp = (struct kilter_fs_entry)KILTER_FS_ENTRY_INIT;
    stamp->type = recorded->type;
    stamp->mode = recorded->mode;
    stamp->uid = recorded->uid;
    stamp->gid = recorded->gid;
    stamp->settled = file_get_flag(map, "settled");
    return file_get_uint(map, "dev", &stamp->dev) && file_get_uint(map, "ino", &stamp->ino) &&
           file_get_uint(map, "size", &stamp->length) && file_get_uint(map, "nlink", &stamp->nlink) &&
           kilter_get_int(map, "mtimeNs", &stamp->mtime_ns) == KILTER_OK &&
           kilter_get_int(map, "ctimeNs", &stamp->ctime_ns) == KILTER_OK;
}

static bool read_content(const struct kilter_value *map, struct file_recorded *ret)
{
    ret->content_id = kilter_get_text(map, "contentId");
    ret->secret = kilter_get(map, "hmacSha256") != NULL;
    if (!ret->secret)
        return file_get_hex(map, "sha256", ret->digest, sizeof ret->digest);
    return file_get_hex(map, "hmacSha256", ret->digest, sizeof ret->digest) &&
           file_get_hex(map, "salt", ret->salt, sizeof ret->salt);
}

void file_recorded_read(struct kilter_arena *arena, const struct kilter_record *record, struct file_recorded *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->record = record;
    if (!record || !record->attributes)
        return;
    const struct kilter_value *map = record->attributes;
    ret->unreadable = record->schema_version > FILE_SCHEMA_VERSION;
    if (ret->unreadable)
        return;
    ret->type = type_named(kilter_get_text(map, "type"));
    ret->path = kilter_get_text(map, "path");
    ret->target = kilter_get_text(map, "target");
    ret->shared = file_get_flag(map, "shared");
    ret->created = file_get_flag(map, "created");
    ret->parents = file_get_texts(arena, map, "parents");
    bool owned = read_number(map, "uid", &ret->uid) && read_number(map, "gid", &ret->gid);
    bool moded = ret->type == KILTER_FS_SYMLINK || file_get_mode(map, "mode", &ret->mode);
    bool filled = ret->type == KILTER_FS_FILE ? read_content(map, ret) : ret->type != KILTER_FS_ABSENT;
    ret->known = owned && moded && filled && kilter_fs_check_path(ret->path, NULL) == KILTER_OK;
    ret->has_stamp = ret->known && read_stamp(kilter_get(map, "stamp"), ret);
}

bool file_recorded_is(const struct file_target *target, const struct file_recorded *recorded,
                      const uint8_t digest[KILTER_SHA256_SIZE])
{
    uint8_t keyed[KILTER_SHA256_SIZE];
    if (!recorded->secret)
        return memcmp(recorded->digest, digest, KILTER_SHA256_SIZE) == 0;
    keyed_digest(target, recorded->salt, digest, keyed);
    return memcmp(recorded->digest, keyed, sizeof keyed) == 0;
}

/* --- writing ------------------------------------------------------------------------ */
static void put_content(const struct file_target *target, struct file_map *map, const struct file_state *state)
{
    uint8_t salt[FILE_SALT_SIZE], keyed[KILTER_SHA256_SIZE];
    char text[2 * FILE_SALT_SIZE + 1];
    file_put_uint(map, "size", state->entry.length);
    if (!state->secret) {
        file_put_digest(map, "sha256", state->digest);
        if (state->content_id.len)
            file_put_text(map, "contentId", state->content_id);
        return;
    }
    if (getrandom(salt, sizeof salt, 0) != (ssize_t)sizeof salt) {
        map->map = NULL;
        return;
    }
    keyed_digest(target, salt, state->digest, keyed);
    kilter_hex(salt, sizeof salt, text);
    file_put_digest(map, "hmacSha256", keyed);
    file_put_text(map, "salt", kilter_str_c(text));
}

static struct kilter_value *stamp_value(struct kilter_arena *arena, const struct kilter_fs_entry *entry)
{
    struct file_map map = file_map_new(arena);
    file_put_uint(&map, "dev", entry->dev);
    file_put_uint(&map, "ino", entry->ino);
    file_put_uint(&map, "size", entry->length);
    file_put_uint(&map, "nlink", entry->nlink);
    file_put_int(&map, "mtimeNs", entry->mtime_ns);
    file_put_int(&map, "ctimeNs", entry->ctime_ns);
    file_put_bool(&map, "settled", entry->settled);
    return map.map;
}

const struct kilter_value *file_state_attributes(const struct file_target *target, struct kilter_arena *arena,
                                                 const struct file_state *state)
{
    struct file_map map = file_map_new(arena);
    file_put_text(&map, "path", state->path);
    file_put_text(&map, "type", kilter_str_c(kilter_fs_type_name(state->entry.type)));
    if (state->entry.type == KILTER_FS_SYMLINK)
        file_put_text(&map, "target", state->target);
    else
        file_put_mode(&map, "mode", state->entry.mode);
    file_put_int(&map, "uid", state->entry.uid);
    file_put_int(&map, "gid", state->entry.gid);
    if (state->entry.type == KILTER_FS_FILE) {
        put_content(target, &map, state);
        file_put(&map, "stamp", stamp_value(arena, &state->entry));
    }
    if (state->shared)
        file_put_bool(&map, "shared", true);
    file_put_bool(&map, "created", state->created);
    if (state->parents.count)
        file_put_texts(&map, "parents", state->parents.items, state->parents.count);
    return map.map;
}
