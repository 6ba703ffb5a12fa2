/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"

#include <stdio.h>

/* The members that each kind takes. */
static const struct kilter_str file_members[] = {
    KILTER_STR_INIT("path"),  KILTER_STR_INIT("content"), KILTER_STR_INIT("contentBase64"),
    KILTER_STR_INIT("owner"), KILTER_STR_INIT("group"),   KILTER_STR_INIT("mode"),
};
static const struct kilter_str directory_members[] = {
    KILTER_STR_INIT("path"), KILTER_STR_INIT("owner"),  KILTER_STR_INIT("group"),
    KILTER_STR_INIT("mode"), KILTER_STR_INIT("shared"),
};
static const struct kilter_str symlink_members[] = {
    KILTER_STR_INIT("path"),
    KILTER_STR_INIT("target"),
    KILTER_STR_INIT("owner"),
    KILTER_STR_INIT("group"),
};

static const struct kind {
    struct kilter_str name;
    enum kilter_fs_type type;
    const struct kilter_str *members;
    size_t member_count;
} kinds[] = {
    { KILTER_STR_INIT("File"), KILTER_FS_FILE, file_members, sizeof file_members / sizeof *file_members },
    { KILTER_STR_INIT("Directory"), KILTER_FS_DIRECTORY, directory_members,
      sizeof directory_members / sizeof *directory_members },
    { KILTER_STR_INIT("Symlink"), KILTER_FS_SYMLINK, symlink_members,
      sizeof symlink_members / sizeof *symlink_members },
};

struct reading {
    struct kilter_call *call;
    struct file_target *target;
    const struct kilter_resource *resource;
    const struct kilter_value *spec;
    struct file_wanted *wanted;
    bool failed;
};

static struct kilter_origin origin_of(const struct reading *reading, const struct kilter_value *value)
{
    struct kilter_origin origin = value ? kilter_origin_of(value) : reading->resource->origin;
    return origin.line ? origin : reading->resource->origin;
}

static void complain(struct reading *reading, const struct kilter_value *value, const char *code, const char *hint,
                     const char *message)
{
    kilter_diag_add(reading->call->diags, KILTER_ERROR, code, origin_of(reading, value), hint, "%.*s \"%.*s\": %s",
                    KILTER_STR_ARG(reading->resource->id.kind), KILTER_STR_ARG(reading->resource->id.name),
                    message);
    reading->failed = true;
}

static const struct kind *kind_of(struct reading *reading)
{
    const struct kilter_id *id = &reading->resource->id;
    char text[160];
    if (!kilter_str_eq_c(id->api_version, FILE_API_VERSION)) {
        snprintf(text, sizeof text, "apiVersion \"%.60s\" is none of target \"file\"",
                 id->api_version.ptr ? kilter_arena_str(reading->call->arena, id->api_version).ptr : "");
        complain(reading, kilter_get(reading->resource->document, "apiVersion"), "file.api-version",
                 "it takes " FILE_API_VERSION "; another app with another target takes the rest", text);
        return NULL;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kilter_str_eq(kinds[i].name, id->kind))
            return &kinds[i];
    complain(reading, kilter_get(reading->resource->document, "kind"), "file.kind", "File, Directory or Symlink",
             "target \"file\" has no such kind");
    return NULL;
}

static void check_members(struct reading *reading, const struct kind *kind)
{
    for (size_t i = 0; i < kilter_map_size(reading->spec); i++) {
        const struct kilter_value *key = kilter_map_key_at(reading->spec, i);
        struct kilter_str name = kilter_text(key);
        bool known = false;
        for (size_t m = 0; m < kind->member_count; m++)
            known |= kilter_str_eq(kind->members[m], name);
        if (known)
            continue;
        struct kilter_str near = kilter_nearest(name, kind->members, kind->member_count);
        char hint[64] = "", text[128];
        if (near.ptr)
            snprintf(hint, sizeof hint, "did you mean \"%.*s\"?", KILTER_STR_ARG(near));
        snprintf(text, sizeof text, "spec has an unknown member \"%.*s\"",
                 KILTER_STR_ARG(kilter_str_sub(name, 0, 60)));
        complain(reading, key, "file.unknown-member", near.ptr ? hint : NULL, text);
    }
}

/* The text at a member that must be a scalar; absent when it is not there. */
static struct kilter_str text_at(struct reading *reading, const char *member)
{
    const struct kilter_value *value = kilter_get(reading->spec, member);
    char text[96];
    if (!value || kilter_is_null(value, KILTER_SCHEMA_KUBERNETES))
        return KILTER_STR_NONE;
    if (kilter_type_of(value) == KILTER_SCALAR)
        return kilter_text(value);
    snprintf(text, sizeof text, "spec.%s must be a text", member);
    complain(reading, value, "file.type", NULL, text);
    return KILTER_STR_NONE;
}

static void read_path(struct reading *reading)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    const struct kilter_value *value = kilter_get(reading->spec, "path");
    struct kilter_str path = text_at(reading, "path");
    if (!path.ptr)
        complain(reading, value ? value : reading->spec, "file.path", "path: /etc/example.conf",
                 "spec.path is missing");
    else if (kilter_fs_check_path(path, &err) < 0)
        complain(reading, value, "file.path", NULL, err.message);
    reading->wanted->path = path;
}

/* The mode as written: "0644", or 0644 without quotes, which stays its text. */
static void read_mode(struct reading *reading)
{
    const struct kilter_value *value = kilter_get(reading->spec, "mode");
    struct kilter_str text = text_at(reading, "mode");
    uint32_t mode = 0;
    if (!text.ptr)
        return;
    if (text.len > 2 && text.ptr[0] == '0' && text.ptr[1] == 'o')
        text = kilter_str_sub(text, 2, text.len);
    struct file_map one = file_map_new(reading->call->arena);
    file_put_text(&one, "mode", text);
    if (file_get_mode(one.map, "mode", &mode))
        reading->wanted->mode = mode;
    else
        complain(reading, value, "file.mode", "three to five octal digits: \"0644\"", "spec.mode is no octal mode");
}

static void read_owner(struct reading *reading, const char *member, bool group, int64_t *ret)
{
    struct kilter_str text = text_at(reading, member);
    bool (*find)(struct file_names *, struct kilter_str, int64_t *) = group ? file_gid_of : file_uid_of;
    if (!text.ptr || find(reading->target->names, text, ret))
        return;
    *ret = KILTER_FS_KEEP;
    reading->wanted->problem = kilter_arena_printf(reading->call->arena, "this host has no %s \"%.*s\"",
                                                   group ? "group" : "user", KILTER_STR_ARG(text));
}

static void decode(struct reading *reading, const struct kilter_value *value)
{
    struct kilter_buf out = KILTER_BUF_INIT((size_t)64 << 20);
    if (kilter_base64_decode(&out, kilter_text(value)) < 0)
        complain(reading, value, "file.base64", NULL, "spec.contentBase64 is no base64 (RFC 4648)");
    reading->wanted->bytes = kilter_arena_str(reading->call->arena, kilter_buf_view(&out));
    kilter_buf_release(&out);
}

static void read_content(struct reading *reading)
{
    struct file_wanted *wanted = reading->wanted;
    const struct kilter_value *plain = kilter_get(reading->spec, "content");
    const struct kilter_value *encoded = kilter_get(reading->spec, "contentBase64");
    if (plain && encoded)
        complain(reading, encoded, "file.content", NULL, "spec has both content and contentBase64");
    /* "content:" with nothing behind it is null: too easily an accident to make an empty file of. */
    plain = plain && kilter_is_null(plain, KILTER_SCHEMA_KUBERNETES) ? NULL : plain;
    encoded = encoded && kilter_is_null(encoded, KILTER_SCHEMA_KUBERNETES) ? NULL : encoded;
    wanted->value = plain ? plain : encoded;
    wanted->encoded = !plain && encoded;
    if (!wanted->value) {
        complain(reading, reading->spec, "file.content", "content: \"\" makes an empty file",
                 "spec needs content or contentBase64");
        return;
    }
    wanted->secret = kilter_has_mark(wanted->value, KILTER_VALUE_SECRET);
    wanted->content = kilter_content_of(wanted->value);
    if (wanted->content)
        return;
    if (kilter_type_of(wanted->value) != KILTER_SCALAR)
        complain(reading, wanted->value, "file.type", NULL, "the content must be a text");
    else if (wanted->encoded)
        decode(reading, wanted->value);
    else
        wanted->bytes = kilter_text(wanted->value);
}

static void read_target(struct reading *reading)
{
    const struct kilter_value *value = kilter_get(reading->spec, "target");
    reading->wanted->target = text_at(reading, "target");
    struct kilter_str target = reading->wanted->target;
    if (target.len == 0)
        complain(reading, value ? value : reading->spec, "file.target", NULL, "spec.target is missing or empty");
    else if (target.len > 4095 || memchr(target.ptr, 0, target.len))
        complain(reading, value, "file.target", NULL, "spec.target is no path");
}

static void read_spec(struct reading *reading, const struct kind *kind)
{
    struct file_wanted *wanted = reading->wanted;
    check_members(reading, kind);
    read_path(reading);
    read_mode(reading);
    read_owner(reading, "owner", false, &wanted->uid);
    read_owner(reading, "group", true, &wanted->gid);
    if (wanted->type == KILTER_FS_FILE)
        read_content(reading);
    else if (wanted->type == KILTER_FS_SYMLINK)
        read_target(reading);
    else if (kilter_get(reading->spec, "shared") && kilter_get_bool(reading->spec, "shared", &wanted->shared) < 0)
        complain(reading, kilter_get(reading->spec, "shared"), "file.type", NULL, "spec.shared is true or false");
    if (wanted->shared && (wanted->mode >= 0 || wanted->uid >= 0 || wanted->gid >= 0))
        complain(reading, kilter_get(reading->spec, "shared"), "file.shared", "leave `shared` out to manage it",
                 "a shared directory keeps its mode and owner");
}

int file_wanted_read(struct kilter_call *call, struct file_target *target, const struct kilter_resource *resource,
                     struct file_wanted *ret)
{
    struct reading reading = { call, target, resource, kilter_get(resource->document, "spec"), ret, false };
    struct kilter_directives directives = { .size = sizeof directives };
    memset(ret, 0, sizeof *ret);
    ret->resource = resource;
    ret->mode = ret->uid = ret->gid = KILTER_FS_KEEP;
    const struct kind *kind = kind_of(&reading);
    if (!kind)
        return KILTER_E_INVALID;
    ret->type = kind->type;
    if (!reading.spec || kilter_type_of(reading.spec) != KILTER_MAP)
        complain(&reading, reading.spec, "file.spec", NULL, "spec is missing or no map");
    else
        read_spec(&reading, kind);
    if (kilter_directives_read(resource->document, &directives, NULL) == KILTER_OK) {
        ret->force = directives.force;
        ret->wave = directives.wave;
    }
    if (!reading.failed && !file_allowed(target, ret->path))
        ret->problem = kilter_arena_printf(call->arena, "%.*s is outside of what the target's `allow.paths` names",
                                           KILTER_STR_ARG(ret->path));
    return reading.failed ? KILTER_E_INVALID : KILTER_OK;
}

int file_wanted_hash(struct file_wanted *wanted, struct kilter_error *err)
{
    struct kilter_sha256 ctx;
    char chunk[16384];
    size_t got = 1;
    if (wanted->hashed || wanted->type != KILTER_FS_FILE)
        return KILTER_OK;
    kilter_sha256_init(&ctx);
    wanted->length = wanted->bytes.len;
    if (wanted->content)
        wanted->length = 0;
    else
        kilter_sha256_update(&ctx, wanted->bytes.ptr, wanted->bytes.len);
    while (wanted->content && got > 0) {
        int code = kilter_content_read(wanted->content, wanted->length, chunk, sizeof chunk, &got, err);
        if (code < 0)
            return code;
        kilter_sha256_update(&ctx, chunk, got);
        wanted->length += got;
    }
    kilter_sha256_final(&ctx, wanted->digest);
    wanted->hashed = true;
    return KILTER_OK;
}

/* A prefix covers the path itself and what is below it; with '*', '?' or '[' it is a glob. */
static bool covers(struct kilter_str allowed, struct kilter_str path)
{
    if (memchr(allowed.ptr, '*', allowed.len) || memchr(allowed.ptr, '?', allowed.len) ||
        memchr(allowed.ptr, '[', allowed.len))
        return kilter_glob_match(allowed, path);
    while (allowed.len > 0 && allowed.ptr[allowed.len - 1] == '/')
        allowed.len--;
    return kilter_str_starts(path, allowed) && (path.len == allowed.len || path.ptr[allowed.len] == '/');
}

bool file_allowed(const struct file_target *target, struct kilter_str path)
{
    for (size_t i = 0; i < target->allowed.count; i++)
        if (covers(target->allowed.items[i], path))
            return true;
    return !target->allowed.items;
}
