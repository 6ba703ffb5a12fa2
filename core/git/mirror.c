/* SPDX-License-Identifier: Apache-2.0 */
#include "git/mirror.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/random.h"
#include "git/internal.h"

#define MARKER "kilter-mirror" /* says that a directory is ours to replace when it is broken */

/* --- libgit2 -------------------------------------------------------------------- */
static int initialised;

int kl_git_init(struct kilter_error *err)
{
    if (initialised)
        return 0;
    if (git_libgit2_init() < 0)
        return kl_git_fail(err, KILTER_E_INTERNAL, "libgit2 does not start");
    /* Nobody's configuration but the repository's own. */
    for (int level = GIT_CONFIG_LEVEL_PROGRAMDATA; level <= GIT_CONFIG_LEVEL_GLOBAL; level++)
        git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, "");
    git_libgit2_opts(GIT_OPT_SET_TEMPLATE_PATH, "");
    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
    /* A worker's memory is limited: no windows of a gigabyte, which is the default. */
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_SIZE, (size_t)32 << 20);
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, (size_t)256 << 20);
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_FILE_LIMIT, (size_t)128);
    git_libgit2_opts(GIT_OPT_SET_CACHE_MAX_SIZE, (ssize_t)64 << 20);
    initialised = 1;
    return 0;
}

void kl_git_shutdown(void)
{
    if (initialised)
        git_libgit2_shutdown();
    initialised = 0;
}

int kl_git_fail(struct kilter_error *err, int code, const char *format, ...)
{
    const git_error *last = git_error_last();
    char text[320];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (!last || !last->message || !*last->message)
        return kilter_error_set(err, code, "%s", text);
    return kilter_error_set(err, last->klass == GIT_ERROR_NOMEMORY ? KILTER_E_NOMEM : code, "%s: %s", text,
                            last->message);
}

/* --- files of a mirror ------------------------------------------------------------ */
bool kl_mirror_path(const char *dir, const char *rest, char text[KL_PATH_SIZE])
{
    return snprintf(text, KL_PATH_SIZE, "%s/%s", dir, rest) < KL_PATH_SIZE;
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *where)
{
    (void)stat;
    (void)type;
    (void)where;
    return remove(path);
}

static void remove_tree(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static int touch(const char *path, struct kilter_error *err)
{
    KL_CLEANUP(kl_closep) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    return fd < 0 ? kilter_error_errno(err, errno, "%s", path) : 0;
}

int kl_mirror_mark_garbage(const char *dir, struct kilter_error *err)
{
    char path[KL_PATH_SIZE];
    return kl_mirror_path(dir, KL_GARBAGE_MARK, path) ? touch(path, err) : KILTER_E_LIMIT;
}

int kl_mirror_lock(const char *dir, int64_t deadline_ns, bool (*cancelled)(void *data), void *data, int *ret_fd,
                   struct kilter_error *err)
{
    char path[KL_PATH_SIZE];

    if (snprintf(path, sizeof(path), "%s.lock", dir) >= (int)sizeof(path))
        return kilter_error_set(err, KILTER_E_LIMIT, "%.100s...: the mirror's path is too long", dir);
    KL_CLEANUP(kl_closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return kilter_error_errno(err, errno, "%s", path);
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return kilter_error_errno(err, errno, "locking %s", path);
        if (cancelled && cancelled(data))
            return kilter_error_set(err, KILTER_E_CANCELLED, "cancelled while waiting for %s", path);
        if (kl_clock_monotonic_ns() >= deadline_ns)
            return kilter_error_set(err, KILTER_E_CONFLICT,
                                    "another process has been working on the mirror %s all the time", dir);
        nanosleep(&(struct timespec){ .tv_nsec = 10 * KL_NS_PER_MS }, NULL);
    }
    *ret_fd = kl_steal_fd(&fd);
    return 0;
}

static bool is_pack_name(const char *name)
{
    return strncmp(name, "pack-", 5) == 0 && strspn(name + 5, "0123456789abcdef") == KL_OID_HEX &&
           name[5 + KL_OID_HEX] == '.';
}

/* Whether a file of objects/pack is what a killed writer left: a temporary name, or one half of a pair. */
static bool is_left_over(int dir, const char *name)
{
    char other[64];
    struct stat stat;

    if (!is_pack_name(name) || strlen(name) >= sizeof(other))
        return true;
    const char *extension = name + 5 + KL_OID_HEX;
    if (strcmp(extension, ".pack") != 0 && strcmp(extension, ".idx") != 0)
        return strchr(extension + 1, '.') != NULL; /* ".idx.lock" */
    snprintf(other, sizeof(other), "%.*s%s", 5 + KL_OID_HEX, name,
             strcmp(extension, ".idx") == 0 ? ".pack" : ".idx");
    return fstatat(dir, other, &stat, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

static bool is_lock(int dir, const char *name)
{
    size_t len = strlen(name);
    (void)dir;
    return len > 5 && strcmp(name + len - 5, ".lock") == 0;
}

static void sweep_directory(const char *dir, const char *rest, bool (*left_over)(int dir, const char *name))
{
    char path[KL_PATH_SIZE];
    struct dirent *entry;

    if (!kl_mirror_path(dir, rest, path))
        return;
    KL_CLEANUP(kl_closedirp) DIR *stream = opendir(path);
    while (stream && (entry = readdir(stream)))
        if (entry->d_name[0] != '.' && left_over(dirfd(stream), entry->d_name))
            unlinkat(dirfd(stream), entry->d_name, 0);
}

void kl_mirror_sweep(const char *dir)
{
    sweep_directory(dir, "objects/pack", is_left_over);
    sweep_directory(dir, "refs/kilter/keep", is_lock);
    sweep_directory(dir, ".", is_lock);
}

/* --- opening and creating ---------------------------------------------------------- */
int kl_mirror_open(const char *dir, struct kl_mirror **ret, struct kilter_error *err)
{
    int status = kl_git_init(err);
    if (status < 0)
        return status;
    KL_CLEANUP(kl_mirror_closep) struct kl_mirror *mirror = calloc(1, sizeof(*mirror));
    if (!mirror || !(mirror->dir = strdup(dir)))
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    status = git_repository_open_bare(&mirror->repo, dir);
    if (status < 0)
        return kl_git_fail(err, status == GIT_ENOTFOUND ? KILTER_E_NOT_FOUND : KILTER_E_IO, "opening the mirror %s",
                           dir);
    if (git_repository_odb(&mirror->odb, mirror->repo) < 0)
        return kl_git_fail(err, KILTER_E_IO, "opening the objects of the mirror %s", dir);
    status = kl_blobs_new(mirror->odb, &mirror->blobs, err);
    if (status == 0)
        *ret = kl_steal(mirror);
    return status;
}

void kl_mirror_close(struct kl_mirror *mirror)
{
    if (!mirror)
        return;
    kl_blobs_free(mirror->blobs);
    git_odb_free(mirror->odb);
    git_repository_free(mirror->repo);
    free(mirror->dir);
    free(mirror);
}

/* Siblings "<name>.new-..." and "<name>.broken-..." of killed writers. */
static void sweep_siblings(const char *dir)
{
    const char *slash = strrchr(dir, '/'), *name = slash ? slash + 1 : dir;
    size_t len = strlen(name);
    char parent[KL_PATH_SIZE], path[KL_PATH_SIZE];
    struct dirent *entry;

    snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - dir + 1) : 1, slash ? dir : ".");
    KL_CLEANUP(kl_closedirp) DIR *stream = opendir(parent);
    while (stream && (entry = readdir(stream)))
        if (strncmp(entry->d_name, name, len) == 0 &&
            (strncmp(entry->d_name + len, ".new-", 5) == 0 || strncmp(entry->d_name + len, ".broken-", 8) == 0))
            if (kl_mirror_path(parent, entry->d_name, path))
                remove_tree(path);
}

static bool is_empty_directory(const char *path)
{
    KL_CLEANUP(kl_closedirp) DIR *stream = opendir(path);
    struct dirent *entry;

    if (!stream)
        return false;
    while ((entry = readdir(stream)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            return false;
    return true;
}

/* Puts what is at `dir` out of the way, when it is ours or nothing. */
static int clear_place(const char *dir, struct kilter_error *err)
{
    char marker[KL_PATH_SIZE], aside[KL_PATH_SIZE], random[65];
    struct stat stat;

    if (lstat(dir, &stat) < 0)
        return errno == ENOENT ? 0 : kilter_error_errno(err, errno, "%s", dir);
    if (is_empty_directory(dir))
        return 0; /* rename replaces it */
    if (!kl_mirror_path(dir, MARKER, marker) || lstat(marker, &stat) < 0)
        return kilter_error_set(err, KILTER_E_CONFLICT,
                                "%s is there and is no mirror of kilter's; move it away or name another directory",
                                dir);
    if (snprintf(aside, sizeof(aside), "%s.broken-%s", dir, kl_random_hex(4, random)) >= (int)sizeof(aside) ||
        rename(dir, aside) < 0)
        return kilter_error_errno(err, errno, "moving the broken mirror %s away", dir);
    remove_tree(aside);
    return 0;
}

static int make_repository(const char *dir, struct kilter_error *err)
{
    KL_CLEANUP(kl_git_repository_freep) git_repository *repo = NULL;
    git_repository_init_options options;
    char path[KL_PATH_SIZE];

    git_repository_init_options_init(&options, GIT_REPOSITORY_INIT_OPTIONS_VERSION);
    options.flags = GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_NO_REINIT | GIT_REPOSITORY_INIT_MKDIR;
    options.mode = GIT_REPOSITORY_INIT_SHARED_UMASK;
    options.initial_head = "kilter";
    if (git_repository_init_ext(&repo, dir, &options) < 0)
        return kl_git_fail(err, KILTER_E_IO, "creating the mirror %s", dir);
    if (!kl_mirror_path(dir, "refs/kilter", path) || mkdir(path, 0755) < 0 ||
        !kl_mirror_path(dir, "refs/kilter/keep", path) || mkdir(path, 0755) < 0)
        return kilter_error_errno(err, errno, "%s", path);
    return kl_mirror_path(dir, MARKER, path) ? touch(path, err) : KILTER_E_LIMIT;
}

int kl_mirror_create_locked(const char *dir, struct kl_mirror **ret, struct kilter_error *err)
{
    char fresh[KL_PATH_SIZE], random[65];
    int status = kl_mirror_open(dir, ret, NULL);

    if (status == 0 || status == KILTER_E_NOMEM)
        return status;
    status = kl_git_init(err);
    if (status < 0)
        return status;
    sweep_siblings(dir);
    if (snprintf(fresh, sizeof(fresh), "%s.new-%s", dir, kl_random_hex(4, random)) >= (int)sizeof(fresh))
        return kilter_error_set(err, KILTER_E_LIMIT, "%.100s...: the mirror's path is too long", dir);
    status = clear_place(dir, err);
    if (status == 0)
        status = make_repository(fresh, err);
    if (status == 0 && rename(fresh, dir) < 0)
        status = kilter_error_errno(err, errno, "renaming %s", fresh);
    if (status < 0) {
        remove_tree(fresh);
        return status;
    }
    return kl_mirror_open(dir, ret, err);
}

int kl_mirror_create(const char *dir, struct kl_mirror **ret, struct kilter_error *err)
{
    KL_CLEANUP(kl_closep) int lock = -1;
    int status = kl_mirror_lock(dir, kl_clock_monotonic_ns() + 30 * KL_NS_PER_S, NULL, NULL, &lock, err);
    return status < 0 ? status : kl_mirror_create_locked(dir, ret, err);
}

/* --- kept commits ------------------------------------------------------------------- */
bool kl_mirror_has(struct kl_mirror *mirror, const char *commit)
{
    KL_CLEANUP(kl_git_commit_freep) git_commit *found = NULL;
    git_oid id;

    return strlen(commit) == KL_OID_HEX && git_oid_fromstr(&id, commit) == 0 &&
           git_commit_lookup(&found, mirror->repo, &id) == 0 &&
           git_odb_exists(mirror->odb, git_commit_tree_id(found));
}

int kl_mirror_keep(struct kl_mirror *mirror, const char *commit, struct kilter_error *err)
{
    KL_CLEANUP(kl_git_reference_freep) git_reference *ref = NULL;
    char name[sizeof(KL_KEEP_PREFIX) + KL_OID_HEX], path[KL_PATH_SIZE];
    git_oid id, old;

    if (!kl_mirror_has(mirror, commit))
        return kilter_error_set(err, KILTER_E_NOT_FOUND, "commit %.40s is not in the mirror %s", commit,
                                mirror->dir);
    git_oid_fromstr(&id, commit);
    snprintf(name, sizeof(name), KL_KEEP_PREFIX "%s", git_oid_tostr_s(&id));
    /* Its time tells kl_mirror_maintain that the commit was wanted a moment ago. */
    if (git_reference_name_to_id(&old, mirror->repo, name) == 0 && git_oid_equal(&old, &id) &&
        kl_mirror_path(mirror->dir, name, path) && utimensat(AT_FDCWD, path, NULL, 0) == 0)
        return 0;
    if (git_reference_create(&ref, mirror->repo, name, &id, 1, NULL) < 0)
        return kl_git_fail(err, KILTER_E_IO, "keeping commit %.12s in the mirror", commit);
    return 0;
}

int kl_mirror_each_kept(struct kl_mirror *mirror, int (*each)(void *data, const git_oid *id), void *data)
{
    KL_CLEANUP(kl_git_reference_iterator_freep) git_reference_iterator *kept = NULL;
    const char *name;
    int status = 0;

    if (git_reference_iterator_glob_new(&kept, mirror->repo, KL_KEEP_PREFIX "*") < 0)
        return KILTER_E_IO;
    while (status == 0 && git_reference_next_name(&name, kept) == 0) {
        git_oid id;
        if (git_oid_fromstr(&id, name + strlen(KL_KEEP_PREFIX)) == 0)
            status = each(data, &id);
    }
    return status;
}

static int drop_if_broken(void *data, const git_oid *id)
{
    struct kl_mirror *mirror = ((void **)data)[0];
    size_t *count = ((void **)data)[1];
    char hex[KL_OID_HEX + 1], name[sizeof(KL_KEEP_PREFIX) + KL_OID_HEX];

    git_oid_tostr(hex, sizeof(hex), id);
    if (!kl_mirror_has(mirror, hex)) {
        snprintf(name, sizeof(name), KL_KEEP_PREFIX "%s", hex);
        git_reference_remove(mirror->repo, name);
        (*count)++;
    }
    return 0;
}

size_t kl_mirror_drop_broken(struct kl_mirror *mirror)
{
    size_t count = 0;
    void *both[] = { mirror, &count };

    kl_mirror_each_kept(mirror, drop_if_broken, both);
    return count;
}

/* --- contents ------------------------------------------------------------------------ */
static bool blob_id(struct kilter_str text, git_oid *ret)
{
    return text.len == KL_OID_HEX && git_oid_fromstrn(ret, text.ptr, text.len) == 0;
}

struct kilter_content *kl_mirror_content(struct kl_mirror *mirror, struct kilter_arena *arena, struct kilter_str id,
                                         uint64_t length)
{
    git_oid oid;
    return blob_id(id, &oid) ? kl_blobs_content(mirror->blobs, arena, &oid, length) : NULL;
}

int kl_mirror_content_open(struct kl_mirror *mirror, struct kilter_arena *arena, struct kilter_str id,
                           struct kilter_content **ret, struct kilter_error *err)
{
    git_oid oid;

    if (!blob_id(id, &oid))
        return kilter_error_set(err, KILTER_E_INVALID, "\"%.*s\" is no object's id", KILTER_STR_ARG(id));
    return kl_blobs_open(mirror->blobs, arena, &oid, ret, err);
}
