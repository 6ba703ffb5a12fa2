/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeping a mirror small. Two kinds of work: when commits are no longer kept
 * and nothing else reaches them, everything that is kept is packed anew and
 * the rest removed; else the small packs that fetches leave are joined, so that
 * each object is copied a logarithmic number of times.
 *
 * A new pack is whole and on disk before an old one goes, and an index goes
 * before its pack: a reader finds each object in one or the other, looking
 * again where libgit2 does not find it at first.
 */
#include <fcntl.h>
#include <git2/sys/odb_backend.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "git/internal.h"

#define GRACE_S 3600 /* a commit kept within this time stays without a pin */
#define LOCK_WAIT_S 60
#define MANY_PACKS 8u /* joined from here on */

struct pack {
    char name[5 + KL_OID_HEX + 1]; /* "pack-<hash>" */
    uint64_t bytes;
};

struct packs {
    struct pack *items;
    size_t count;
};

struct maintenance {
    struct kl_mirror *mirror;
    char objects[KL_PATH_SIZE]; /* <mirror>/objects/pack */
    const char *const *pins;
    size_t pin_count;
    bool (*cancelled)(void *data);
    void *data;
    struct kilter_error *err;
    git_oid *kept, *dropped;
    size_t kept_count, dropped_count;
};

static void maintenance_release(struct maintenance *work)
{
    free(work->kept);
    free(work->dropped);
    kl_mirror_close(work->mirror);
}

static void packs_release(struct packs *packs)
{
    free(packs->items);
}

/* --- sizes ------------------------------------------------------------------------ */
static int compare_packs(const void *a, const void *b)
{
    const struct pack *left = a, *right = b;
    return (left->bytes > right->bytes) - (left->bytes < right->bytes);
}

/* All packs, the smallest first. */
static int list_packs(struct maintenance *work, struct packs *ret)
{
    KL_CLEANUP(kl_closedirp) DIR *stream = opendir(work->objects);
    struct dirent *entry;
    struct stat stat;

    if (!stream)
        return kilter_error_errno(work->err, errno, "%s", work->objects);
    while ((entry = readdir(stream))) {
        size_t len = strlen(entry->d_name);
        if (len != 5 + KL_OID_HEX + 5 || strncmp(entry->d_name, "pack-", 5) != 0 ||
            strcmp(entry->d_name + len - 5, ".pack") != 0 || fstatat(dirfd(stream), entry->d_name, &stat, 0) < 0)
            continue;
        struct pack *grown = reallocarray(ret->items, ret->count + 1, sizeof(*grown));
        if (!grown)
            return kilter_error_set(work->err, KILTER_E_NOMEM, "out of memory");
        ret->items = grown;
        snprintf(grown[ret->count].name, sizeof(grown->name), "%.*s", 5 + KL_OID_HEX, entry->d_name);
        grown[ret->count++].bytes = (uint64_t)stat.st_size;
    }
    if (ret->count > 1)
        qsort(ret->items, ret->count, sizeof(*ret->items), compare_packs);
    return 0;
}

static uint64_t directory_size(int parent, const char *name, unsigned depth)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    KL_CLEANUP(kl_closedirp) DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    struct stat stat;
    uint64_t total = 0;

    while (stream && (entry = readdir(stream))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(dirfd(stream), entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (S_ISDIR(stat.st_mode))
            total += depth > 0 ? directory_size(dirfd(stream), entry->d_name, depth - 1) : 0;
        else
            total += (uint64_t)stat.st_size;
    }
    return total;
}

/* --- what is kept ------------------------------------------------------------------- */
static bool is_pinned(const struct maintenance *work, const char *hex)
{
    for (size_t i = 0; i < work->pin_count; i++)
        if (strcmp(work->pins[i], hex) == 0)
            return true;
    return false;
}

static bool is_recent(const struct maintenance *work, const char *hex)
{
    char name[sizeof(KL_KEEP_PREFIX) + KL_OID_HEX], path[KL_PATH_SIZE];
    struct stat stat;

    snprintf(name, sizeof(name), KL_KEEP_PREFIX "%s", hex);
    return kl_mirror_path(work->mirror->dir, name, path) && lstat(path, &stat) == 0 &&
           stat.st_mtim.tv_sec > time(NULL) - GRACE_S;
}

static int add_id(struct maintenance *work, git_oid **ids, size_t *count, const git_oid *id)
{
    git_oid *grown = reallocarray(*ids, *count + 1, sizeof(*grown));

    if (!grown)
        return kilter_error_set(work->err, KILTER_E_NOMEM, "out of memory");
    *ids = grown;
    grown[(*count)++] = *id;
    return 0;
}

static int sort_kept(void *data, const git_oid *id)
{
    struct maintenance *work = data;
    char hex[KL_OID_HEX + 1];

    git_oid_tostr(hex, sizeof(hex), id);
    if (is_pinned(work, hex) || is_recent(work, hex))
        return add_id(work, &work->kept, &work->kept_count, id);
    return add_id(work, &work->dropped, &work->dropped_count, id);
}

/* Whether all that was dropped is in the history of what is kept: then no object became garbage. */
static bool all_reachable(const struct maintenance *work)
{
    for (size_t i = 0; i < work->dropped_count; i++)
        if (git_graph_reachable_from_any(work->mirror->repo, &work->dropped[i], work->kept, work->kept_count) != 1)
            return false;
    return true;
}

static int drop_refs(struct maintenance *work)
{
    char hex[KL_OID_HEX + 1], name[sizeof(KL_KEEP_PREFIX) + KL_OID_HEX];
    int status = 0;

    /* The mark comes first: killed between the two, the next one still knows that there is garbage. */
    if (work->dropped_count > 0 && !all_reachable(work))
        status = kl_mirror_mark_garbage(work->mirror->dir, work->err);
    for (size_t i = 0; i < work->dropped_count && status == 0; i++) {
        git_oid_tostr(hex, sizeof(hex), &work->dropped[i]);
        snprintf(name, sizeof(name), KL_KEEP_PREFIX "%s", hex);
        if (git_reference_remove(work->mirror->repo, name) < 0)
            status = kl_git_fail(work->err, KILTER_E_IO, "dropping %s", name);
    }
    return status;
}

/* --- packing -------------------------------------------------------------------------- */
static int on_progress(int stage, uint32_t current, uint32_t total, void *data)
{
    struct maintenance *work = data;

    (void)stage;
    (void)current;
    (void)total;
    return work->cancelled && work->cancelled(work->data) ? -1 : 0;
}

static int packing_failed(struct maintenance *work)
{
    if (work->cancelled && work->cancelled(work->data))
        return kilter_error_set(work->err, KILTER_E_CANCELLED, "cancelled while packing %s", work->mirror->dir);
    return kl_git_fail(work->err, KILTER_E_IO, "packing the mirror %s", work->mirror->dir);
}

static int new_builder(struct maintenance *work, git_packbuilder **ret)
{
    if (git_packbuilder_new(ret, work->mirror->repo) < 0 ||
        git_packbuilder_set_callbacks(*ret, on_progress, work) < 0)
        return packing_failed(work);
    return 0;
}

static int sync_file(int dir, const char *name)
{
    KL_CLEANUP(kl_closep) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -1 : fsync(fd);
}

/* Writes the pack; it is on the disk, and its index lists as many objects as were put in, when this is 0. */
static int write_pack(struct maintenance *work, git_packbuilder *builder, char ret_name[5 + KL_OID_HEX + 1])
{
    char file[64];

    if (git_packbuilder_write(builder, work->objects, 0, NULL, NULL) < 0)
        return packing_failed(work);
    if (git_packbuilder_written(builder) != git_packbuilder_object_count(builder))
        return kilter_error_set(work->err, KILTER_E_INTERNAL, "packing %s: objects are missing", work->mirror->dir);
    snprintf(ret_name, 5 + KL_OID_HEX + 1, "pack-%s", git_packbuilder_name(builder));
    KL_CLEANUP(kl_closep) int dir = open(work->objects, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    snprintf(file, sizeof(file), "%s.pack", ret_name);
    if (dir < 0 || sync_file(dir, file) < 0)
        return kilter_error_errno(work->err, errno, "syncing %s", file);
    snprintf(file, sizeof(file), "%s.idx", ret_name);
    if (sync_file(dir, file) < 0 || fsync(dir) < 0)
        return kilter_error_errno(work->err, errno, "syncing %s", file);
    return 0;
}

static void remove_packs(const struct maintenance *work, const struct packs *packs, size_t count,
                         const char *spared)
{
    static const char *const endings[] = { "idx", "pack", "rev", "bitmap", "keep" };
    KL_CLEANUP(kl_closep) int dir = open(work->objects, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char file[64];

    for (size_t i = 0; i < count; i++) {
        if (strcmp(packs->items[i].name, spared) == 0)
            continue;
        for (size_t j = 0; j < sizeof(endings) / sizeof(endings[0]); j++) {
            snprintf(file, sizeof(file), "%s.%s", packs->items[i].name, endings[j]);
            unlinkat(dir, file, 0);
        }
    }
    fsync(dir);
}

/* Every kept commit and its tree must be found in the new pack alone before the old ones go. */
static int verify(struct maintenance *work, const char *name)
{
    KL_CLEANUP(kl_git_odb_freep) git_odb *odb = NULL;
    git_odb_backend *backend = NULL;
    char index[KL_PATH_SIZE];

    if (snprintf(index, sizeof(index), "%s/%s.idx", work->objects, name) >= (int)sizeof(index) ||
        git_odb_new(&odb) < 0 || git_odb_backend_one_pack(&backend, index) < 0)
        return packing_failed(work);
    if (git_odb_add_backend(odb, backend, 1) < 0) {
        backend->free(backend);
        return packing_failed(work);
    }
    for (size_t i = 0; i < work->kept_count; i++) {
        KL_CLEANUP(kl_git_commit_freep) git_commit *commit = NULL;
        if (git_commit_lookup(&commit, work->mirror->repo, &work->kept[i]) < 0 ||
            !git_odb_exists(odb, &work->kept[i]) || !git_odb_exists(odb, git_commit_tree_id(commit)))
            return kilter_error_set(work->err, KILTER_E_INTERNAL,
                                    "the new pack of %s lacks commit %s; it is not used", work->mirror->dir,
                                    git_oid_tostr_s(&work->kept[i]));
    }
    return 0;
}

/* Packs all that the kept commits need, and removes everything else. */
static int repack(struct maintenance *work, const struct packs *packs)
{
    KL_CLEANUP(kl_git_packbuilder_freep) git_packbuilder *builder = NULL;
    KL_CLEANUP(kl_git_revwalk_freep) git_revwalk *walk = NULL;
    char name[5 + KL_OID_HEX + 1] = "";
    int status = new_builder(work, &builder);

    if (status < 0)
        return status;
    if (git_revwalk_new(&walk, work->mirror->repo) < 0)
        return packing_failed(work);
    for (size_t i = 0; i < work->kept_count; i++)
        if (git_revwalk_push(walk, &work->kept[i]) < 0)
            return packing_failed(work);
    if (work->kept_count > 0) {
        if (git_packbuilder_insert_walk(builder, walk) < 0)
            return packing_failed(work);
        status = write_pack(work, builder, name);
        if (status == 0)
            status = verify(work, name);
        if (status < 0)
            return status;
    }
    remove_packs(work, packs, packs->count, name);
    return 0;
}

static int insert_object(const git_oid *id, void *data)
{
    return git_packbuilder_insert(data, id, NULL);
}

static int insert_pack(struct maintenance *work, git_packbuilder *builder, const struct pack *pack)
{
    KL_CLEANUP(kl_git_odb_freep) git_odb *odb = NULL;
    git_odb_backend *backend = NULL;
    char index[KL_PATH_SIZE];

    if (snprintf(index, sizeof(index), "%s/%s.idx", work->objects, pack->name) >= (int)sizeof(index) ||
        git_odb_new(&odb) < 0 || git_odb_backend_one_pack(&backend, index) < 0)
        return packing_failed(work);
    if (git_odb_add_backend(odb, backend, 1) < 0) {
        backend->free(backend);
        return packing_failed(work);
    }
    return git_odb_foreach(odb, insert_object, builder) < 0 ? packing_failed(work) : 0;
}

/* How many of the smallest packs to join: until the next one is more than twice what they weigh together. */
static size_t count_small(const struct packs *packs)
{
    uint64_t sum = 0;
    size_t count = 0;

    while (count < packs->count && (count < 2 || packs->items[count].bytes <= 2 * sum))
        sum += packs->items[count++].bytes;
    return count;
}

static int join_small(struct maintenance *work, const struct packs *packs)
{
    KL_CLEANUP(kl_git_packbuilder_freep) git_packbuilder *builder = NULL;
    char name[5 + KL_OID_HEX + 1];
    size_t count = count_small(packs);
    int status = new_builder(work, &builder);

    for (size_t i = 0; i < count && status == 0; i++)
        status = insert_pack(work, builder, &packs->items[i]);
    if (status == 0)
        status = write_pack(work, builder, name);
    if (status == 0)
        remove_packs(work, packs, count, name);
    return status;
}

static int run(struct maintenance *work, struct kl_maintain_result *result)
{
    KL_CLEANUP(packs_release) struct packs packs = { 0 };
    const char *dir = work->mirror->dir;
    char mark[KL_PATH_SIZE];
    int status = kl_mirror_each_kept(work->mirror, sort_kept, work);

    if (status == 0)
        status = drop_refs(work);
    if (status == 0)
        status = list_packs(work, &packs);
    if (status < 0)
        return status;
    result->dropped = work->dropped_count;
    if (kl_mirror_path(dir, KL_GARBAGE_MARK, mark) && access(mark, F_OK) == 0) {
        status = repack(work, &packs);
        if (status == 0 && unlink(mark) < 0)
            status = kilter_error_errno(work->err, errno, "%s", mark);
    } else if (packs.count >= MANY_PACKS) {
        status = join_small(work, &packs);
    }
    return status;
}

int kl_mirror_maintain(const char *dir, const char *const *pins, size_t pin_count, bool (*cancelled)(void *data),
                       void *data, struct kl_maintain_result *ret, struct kilter_error *err)
{
    KL_CLEANUP(kl_closep) int lock = -1;
    KL_CLEANUP(maintenance_release)
    struct maintenance work = {
        .pins = pins, .pin_count = pin_count, .cancelled = cancelled, .data = data, .err = err
    };
    struct kl_maintain_result result = { 0 };
    int status =
        kl_mirror_lock(dir, kl_clock_monotonic_ns() + LOCK_WAIT_S * KL_NS_PER_S, cancelled, data, &lock, err);

    if (status < 0)
        return status;
    if (!kl_mirror_path(dir, "objects/pack", work.objects))
        return kilter_error_set(err, KILTER_E_LIMIT, "the mirror's path is too long");
    result.before = directory_size(AT_FDCWD, dir, 8);
    kl_mirror_sweep(dir);
    status = kl_mirror_open(dir, &work.mirror, err);
    if (status == 0)
        status = run(&work, &result);
    if (status < 0)
        return status;
    result.after = directory_size(AT_FDCWD, dir, 8);
    *ret = result;
    return 0;
}
