/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"

int file_live_read(struct kilter_call *call, struct file_target *target, struct kilter_str path,
                   struct file_live *ret, struct kilter_error *err)
{
    memset(ret, 0, sizeof *ret);
    ret->path = path;
    ret->entry.size = sizeof ret->entry;
    int code = kilter_fs_observe(target->fs, path, &ret->entry, err);
    if (code == KILTER_OK && ret->entry.type == KILTER_FS_SYMLINK)
        code = kilter_fs_read_link(target->fs, path, call->arena, &ret->target, err);
    return code;
}

int file_live_hash(struct file_target *target, struct file_live *live, struct kilter_error *err)
{
    if (live->hashed || live->entry.type != KILTER_FS_FILE)
        return KILTER_OK;
    int code = kilter_fs_digest(target->fs, live->path, live->digest, &live->entry, err);
    live->hashed = code == KILTER_OK;
    return code;
}

int file_live_moved(struct file_target *target, struct file_live *live, const struct file_recorded *recorded,
                    bool thorough, uint32_t *ret_differences, struct kilter_error *err)
{
    const struct kilter_fs_entry *entry = &live->entry;
    *ret_differences = 0;
    if (entry->type != recorded->type) {
        *ret_differences = FILE_DIFF_TYPE;
        return KILTER_OK;
    }
    /* A directory that was there before and of which nothing was declared is its owner's. */
    if (recorded->shared)
        return KILTER_OK;
    if (entry->uid != recorded->uid || entry->gid != recorded->gid)
        *ret_differences |= FILE_DIFF_OWNER;
    if (entry->type == KILTER_FS_SYMLINK) {
        if (!kilter_str_eq(live->target, recorded->target))
            *ret_differences |= FILE_DIFF_TARGET;
        return KILTER_OK;
    }
    if (entry->mode != recorded->mode)
        *ret_differences |= FILE_DIFF_MODE;
    if (entry->type == KILTER_FS_DIRECTORY)
        return KILTER_OK;
    bool stands = recorded->has_stamp && recorded->stamp.settled && kilter_fs_same(entry, &recorded->stamp);
    if (stands && !thorough)
        return KILTER_OK;
    int code = file_live_hash(target, live, err);
    if (code == KILTER_OK && !file_recorded_is(target, recorded, live->digest))
        *ret_differences |= FILE_DIFF_CONTENT;
    return code;
}

const char *file_differences_text(struct kilter_arena *arena, uint32_t differences)
{
    static const char *const words[] = { "type", "content", "mode", "owner", "target", "path" };
    struct kilter_buf text = KILTER_BUF_INIT(256);
    uint32_t left = differences;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!(differences & 1u << i))
            continue;
        left &= ~(1u << i);
        kilter_buf_c(&text, text.len == 0 ? "" : left ? ", " : " and ");
        kilter_buf_c(&text, words[i]);
    }
    struct kilter_str kept = kilter_arena_str(arena, kilter_buf_view(&text));
    kilter_buf_release(&text);
    return kept.ptr ? kept.ptr : "";
}

struct kilter_str file_live_mark(struct kilter_call *call, struct file_target *target, const struct file_live *live,
                                 bool *ret_possible)
{
    struct kilter_str mark = KILTER_STR_NONE;
    *ret_possible = false;
    if (live->entry.type != KILTER_FS_FILE && live->entry.type != KILTER_FS_DIRECTORY)
        return mark;
    int code = kilter_fs_get_xattr(target->fs, live->path, FILE_MARK, call->arena, &mark, NULL);
    *ret_possible = code == KILTER_OK || code == KILTER_E_NOT_FOUND;
    return code == KILTER_OK ? mark : KILTER_STR_NONE;
}

int file_live_state(struct file_target *target, struct file_live *live, struct file_state *ret,
                    struct kilter_error *err)
{
    memset(ret, 0, sizeof *ret);
    int code = file_live_hash(target, live, err);
    ret->path = live->path;
    ret->entry = live->entry;
    ret->target = live->target;
    memcpy(ret->digest, live->digest, sizeof ret->digest);
    return code;
}

/* --- preconditions -------------------------------------------------------------------- */
const struct kilter_value *file_preconditions(struct kilter_arena *arena, const struct file_live *live, bool secret)
{
    struct file_map map = file_map_new(arena);
    const struct kilter_fs_entry *entry = &live->entry;
    file_put_text(&map, "type", kilter_str_c(kilter_fs_type_name(entry->type)));
    if (entry->type == KILTER_FS_ABSENT)
        return map.map;
    file_put_uint(&map, "dev", entry->dev);
    file_put_uint(&map, "ino", entry->ino);
    file_put_mode(&map, "mode", entry->mode);
    file_put_int(&map, "uid", entry->uid);
    file_put_int(&map, "gid", entry->gid);
    if (entry->type == KILTER_FS_SYMLINK)
        file_put_text(&map, "target", live->target);
    if (entry->type != KILTER_FS_FILE)
        return map.map;
    file_put_uint(&map, "size", entry->length);
    file_put_int(&map, "mtimeNs", entry->mtime_ns);
    file_put_int(&map, "ctimeNs", entry->ctime_ns);
    if (live->hashed && !secret)
        file_put_digest(&map, "sha256", live->digest);
    return map.map;
}

static bool number_is(const struct kilter_value *map, const char *key, uint64_t number)
{
    uint64_t wanted;
    return file_get_uint(map, key, &wanted) && wanted == number;
}

static bool stamp_holds(const struct kilter_value *map, const struct kilter_fs_entry *entry)
{
    int64_t mtime, ctime;
    return number_is(map, "dev", entry->dev) && number_is(map, "ino", entry->ino) &&
           number_is(map, "size", entry->length) && kilter_get_int(map, "mtimeNs", &mtime) == KILTER_OK &&
           mtime == entry->mtime_ns && kilter_get_int(map, "ctimeNs", &ctime) == KILTER_OK &&
           ctime == entry->ctime_ns;
}

int file_precondition_holds(struct file_target *target, const struct kilter_value *preconditions,
                            struct file_live *live, struct kilter_error *err)
{
    const struct kilter_fs_entry *entry = &live->entry;
    const char *type = kilter_fs_type_name(entry->type);
    struct kilter_str wanted = kilter_get_text(preconditions, "type");
    uint8_t digest[KILTER_SHA256_SIZE];
    uint32_t mode = 0;
    if (!kilter_str_eq_c(wanted, type))
        return kilter_error_set(err, KILTER_E_CONFLICT, "it was %.*s when the plan was made and is %s now",
                                KILTER_STR_ARG(wanted), type);
    if (entry->type == KILTER_FS_ABSENT)
        return KILTER_OK;
    if (!file_get_mode(preconditions, "mode", &mode) || mode != entry->mode ||
        !number_is(preconditions, "uid", entry->uid) || !number_is(preconditions, "gid", entry->gid))
        return kilter_error_set(err, KILTER_E_CONFLICT, "its mode or owner changed since the plan was made");
    if (entry->type == KILTER_FS_SYMLINK && !kilter_str_eq(kilter_get_text(preconditions, "target"), live->target))
        return kilter_error_set(err, KILTER_E_CONFLICT, "the link changed since the plan was made");
    if (entry->type != KILTER_FS_FILE || stamp_holds(preconditions, entry))
        return KILTER_OK;
    /* Touched or written again with the same bytes: nothing is lost. */
    if (file_get_hex(preconditions, "sha256", digest, sizeof digest) &&
        file_live_hash(target, live, err) == KILTER_OK && memcmp(digest, live->digest, sizeof digest) == 0)
        return KILTER_OK;
    return kilter_error_set(err, KILTER_E_CONFLICT, "its content changed since the plan was made");
}
