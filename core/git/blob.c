/* SPDX-License-Identifier: Apache-2.0 */
/* Contents of blobs. libgit2 cannot unpack a packed blob in pieces, so one whole blob is held at a time. */
#include "git/internal.h"

struct kl_blobs {
    git_odb *odb;
    git_odb_object *held;
};

struct blob {
    struct kilter_content content;
    struct kl_blobs *blobs;
    git_oid id;
};

int kl_blobs_new(git_odb *odb, struct kl_blobs **ret, struct kilter_error *err)
{
    struct kl_blobs *blobs = calloc(1, sizeof(*blobs));

    if (!blobs)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    blobs->odb = odb;
    *ret = blobs;
    return 0;
}

void kl_blobs_free(struct kl_blobs *blobs)
{
    if (!blobs)
        return;
    git_odb_object_free(blobs->held);
    free(blobs);
}

static int missing(struct kilter_error *err, const git_oid *id, int status)
{
    if (status == GIT_ENOTFOUND)
        return kilter_error_set(err, KILTER_E_NOT_FOUND,
                                "object %s is not in the mirror; it is of a commit that is no longer kept, or the "
                                "mirror is damaged: remove its directory and it is fetched again",
                                git_oid_tostr_s(id));
    return kl_git_fail(err, KILTER_E_IO, "reading object %s of the mirror", git_oid_tostr_s(id));
}

static int hold(struct kl_blobs *blobs, const git_oid *id, struct kilter_error *err)
{
    if (blobs->held && git_oid_equal(git_odb_object_id(blobs->held), id))
        return 0;
    git_odb_object_free(blobs->held);
    blobs->held = NULL;
    int status = git_odb_read(&blobs->held, blobs->odb, id);
    return status < 0 ? missing(err, id, status) : 0;
}

static int blob_read(struct kilter_content *content, uint64_t offset, void *bytes, size_t len, size_t *ret_len,
                     struct kilter_error *err)
{
    struct blob *blob = content->data;
    int status = hold(blob->blobs, &blob->id, err);

    if (status < 0)
        return status;
    size_t size = git_odb_object_size(blob->blobs->held);
    if (size != content->length || git_odb_object_type(blob->blobs->held) != GIT_OBJECT_BLOB)
        return kilter_error_set(err, KILTER_E_CONFLICT, "object %s is not the file of %llu bytes that was expected",
                                git_oid_tostr_s(&blob->id), (unsigned long long)content->length);
    if (offset > size)
        offset = size;
    if (len > size - offset)
        len = size - (size_t)offset;
    if (len)
        memcpy(bytes, (const char *)git_odb_object_data(blob->blobs->held) + offset, len);
    *ret_len = len;
    return 0;
}

static const struct kilter_content_ops blob_ops = { .size = sizeof(blob_ops), .read = blob_read };

struct kilter_content *kl_blobs_content(struct kl_blobs *blobs, struct kilter_arena *arena, const git_oid *id,
                                        uint64_t length)
{
    struct blob *blob = kilter_arena_alloc(arena, sizeof(*blob));
    char hex[KL_OID_HEX + 1];

    if (!blob)
        return NULL;
    blob->blobs = blobs;
    blob->id = *id;
    blob->content.ops = &blob_ops;
    blob->content.id = kilter_arena_str(arena, kilter_str_c(git_oid_tostr(hex, sizeof(hex), id)));
    blob->content.length = length;
    blob->content.data = blob;
    return blob->content.id.ptr ? &blob->content : NULL;
}

int kl_blobs_open(struct kl_blobs *blobs, struct kilter_arena *arena, const git_oid *id,
                  struct kilter_content **ret, struct kilter_error *err)
{
    git_object_t type;
    size_t length;
    int status = git_odb_read_header(&length, &type, blobs->odb, id);

    if (status < 0)
        return missing(err, id, status);
    if (type != GIT_OBJECT_BLOB)
        return kilter_error_set(err, KILTER_E_CONFLICT, "object %s is no file", git_oid_tostr_s(id));
    *ret = kl_blobs_content(blobs, arena, id, length);
    return *ret ? 0 : kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
}
