/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"

/* Inline content that has no other way into the apply than the plan. */
#define UNNAMED_MAX (1u << 20)

static void show_attributes(struct file_target *target, struct file_map *map, enum kilter_fs_type type,
                            int64_t mode, int64_t uid, int64_t gid)
{
    if (type != KILTER_FS_SYMLINK && mode >= 0)
        file_put_mode(map, "mode", (uint32_t)mode);
    if (uid >= 0)
        file_put_text(map, "owner", file_user_text(target->names, (uint32_t)uid));
    if (gid >= 0)
        file_put_text(map, "group", file_group_text(target->names, (uint32_t)gid));
}

static bool is_text(struct kilter_str bytes)
{
    return bytes.len <= FILE_TEXT_MAX && (bytes.len == 0 || !memchr(bytes.ptr, 0, bytes.len)) &&
           kilter_str_is_utf8(bytes);
}

static void show_live_text(struct file_target *target, struct file_map *map, const struct file_live *live)
{
    struct kilter_buf text = KILTER_BUF_INIT(FILE_TEXT_MAX + 1);
    if (live->entry.length <= FILE_TEXT_MAX && kilter_fs_read(target->fs, live->path, &text, NULL) == KILTER_OK &&
        is_text(kilter_buf_view(&text)))
        file_put_text(map, "content", kilter_buf_view(&text));
    kilter_buf_release(&text);
}

const struct kilter_value *file_show_live(struct kilter_call *call, struct file_target *target,
                                          struct file_live *live, bool secret)
{
    const struct kilter_fs_entry *entry = &live->entry;
    if (entry->type == KILTER_FS_ABSENT)
        return NULL;
    struct file_map map = file_map_new(call->arena);
    file_put_text(&map, "type", kilter_str_c(kilter_fs_type_name(entry->type)));
    show_attributes(target, &map, entry->type, entry->mode, entry->uid, entry->gid);
    if (entry->type == KILTER_FS_SYMLINK)
        file_put_text(&map, "target", live->target);
    if (entry->type != KILTER_FS_FILE)
        return map.map;
    file_put_uint(&map, "size", entry->length);
    if (!secret && file_live_hash(target, live, NULL) == KILTER_OK)
        file_put_digest(&map, "sha256", live->digest);
    if (!secret)
        show_live_text(target, &map, live);
    return map.map;
}

static int read_handle(struct file_wanted *wanted, size_t max, struct kilter_buf *out, struct kilter_error *err)
{
    out->max = max;
    return kilter_content_read_all(wanted->content, out, err);
}

/* A handle's bytes: texts are shown; what has no id to be found again by must travel in the plan itself. */
static int show_handle(struct file_map *map, struct file_wanted *wanted, struct kilter_error *err)
{
    struct kilter_buf bytes = KILTER_BUF_INIT(0);
    bool named = wanted->content->id.len > 0;
    if (wanted->length > (named ? FILE_TEXT_MAX : UNNAMED_MAX)) {
        return named ? KILTER_OK
                     : kilter_error_set(err, KILTER_E_LIMIT, "secret content of more than 1 MiB cannot be planned");
    }
    int code = read_handle(wanted, UNNAMED_MAX, &bytes, err);
    if (code == KILTER_OK && is_text(kilter_buf_view(&bytes))) {
        file_put_text(map, "content", kilter_buf_view(&bytes));
    } else if (code == KILTER_OK && !named) {
        struct kilter_buf text = KILTER_BUF_INIT(2 * UNNAMED_MAX);
        if (kilter_base64_encode(&text, kilter_buf_view(&bytes)) == KILTER_OK)
            file_put_text(map, "contentBase64", kilter_buf_view(&text));
        kilter_buf_release(&text);
    }
    kilter_buf_release(&bytes);
    return code;
}

static int show_content(struct file_map *map, struct file_wanted *wanted, struct kilter_error *err)
{
    const char *key = wanted->encoded ? "contentBase64" : "content";
    int code = file_wanted_hash(wanted, err);
    if (code < 0)
        return code;
    file_put_uint(map, "size", wanted->length);
    if (!wanted->secret)
        file_put_digest(map, "sha256", wanted->digest);
    if (wanted->content)
        code = show_handle(map, wanted, err);
    else
        file_put_text(map, key, kilter_text(wanted->value));
    if (code == KILTER_OK && wanted->secret && map->map) {
        struct kilter_value *shown = kilter_get(map->map, "content");
        shown = shown ? shown : kilter_get(map->map, "contentBase64");
        if (shown)
            kilter_set_marks(shown, KILTER_VALUE_SECRET);
    }
    return code;
}

int file_show_wanted(struct kilter_call *call, struct file_target *target, struct file_wanted *wanted, int64_t mode,
                     int64_t uid, int64_t gid, const struct kilter_value **ret, struct kilter_error *err)
{
    struct file_map map = file_map_new(call->arena);
    int code = KILTER_OK;
    file_put_text(&map, "type", kilter_str_c(kilter_fs_type_name(wanted->type)));
    show_attributes(target, &map, wanted->type, mode, uid, gid);
    if (wanted->type == KILTER_FS_SYMLINK)
        file_put_text(&map, "target", wanted->target);
    else if (wanted->type == KILTER_FS_FILE)
        code = show_content(&map, wanted, err);
    *ret = map.map;
    if (code == KILTER_OK && !map.map)
        code = kilter_error_set(err, KILTER_E_NOMEM, "planning: out of memory");
    return code;
}
