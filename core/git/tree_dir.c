/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree view of a plain directory. The kernel resolves every path beneath
 * the root and follows no link for us, so that a link that is exchanged while
 * we look leads nowhere.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "git/tree_base.h"

#define SMALL_FILE (1u << 20) /* bytes; up to this a file is read when it is opened */

struct dir_tree {
    struct kl_tree_base base;
    int root;
};

/* A file too large to be kept in memory: read again by its path, and only while it is the same. */
struct dir_content {
    struct kilter_content content;
    struct dir_tree *dir;
    const char *path;
    struct stat stat;
};

static struct dir_tree *dir_of(struct kl_tree_base *base)
{
    return (struct dir_tree *)(void *)base;
}

/* A descriptor, or -1 and errno. */
static int open_beneath(const struct dir_tree *dir, const char *path, uint64_t flags)
{
    struct open_how how = { .flags = flags | O_CLOEXEC,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };

    for (int attempt = 0;; attempt++) {
        int fd = (int)syscall(SYS_openat2, dir->root, *path ? path : ".", &how, sizeof(how));
        if (fd >= 0 || errno != EAGAIN || attempt == 100)
            return fd;
    }
}

static int failed(struct kilter_str path, struct kilter_error *err)
{
    if (errno == ENOSYS)
        return kilter_error_set(err, KILTER_E_UNSUPPORTED,
                                "this kernel has no openat2 (Linux 5.6), which reading a directory safely needs");
    return kilter_error_errno(err, errno, "%.*s", KILTER_STR_ARG(path));
}

static bool is_git_directory(struct kilter_str name)
{
    return kilter_str_eq_c(name, ".git");
}

static enum kilter_entry_type type_of_mode(mode_t mode)
{
    if (S_ISDIR(mode))
        return KILTER_ENTRY_DIRECTORY;
    if (S_ISLNK(mode))
        return KILTER_ENTRY_LINK;
    if (S_ISREG(mode))
        return mode & S_IXUSR ? KILTER_ENTRY_EXECUTABLE : KILTER_ENTRY_FILE;
    return KILTER_ENTRY_ABSENT;
}

static char *terminated(struct kl_tree_base *base, struct kilter_str path, struct kilter_error *err)
{
    char *text = kilter_arena_printf(base->arena, "%.*s", KILTER_STR_ARG(path));
    if (!text)
        kilter_error_set(err, KILTER_E_NOMEM, "out of memory while reading the tree");
    return text;
}

static int dir_look(struct kl_tree_base *base, struct kilter_str path, struct kl_node *node,
                    struct kilter_error *err)
{
    struct kilter_str name = kilter_str_sub(path, (size_t)(kilter_str_rfind(path, '/') + 1), path.len);
    const char *text = terminated(base, path, err);
    struct stat stat;

    if (!text)
        return KILTER_E_NOMEM;
    node->type = KILTER_ENTRY_ABSENT;
    if (is_git_directory(name))
        return 0;
    KL_CLEANUP(kl_closep) int fd = open_beneath(dir_of(base), text, O_PATH | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG || errno == ELOOP ? 0
                                                                                              : failed(path, err);
    if (fstat(fd, &stat) < 0)
        return failed(path, err);
    node->type = type_of_mode(stat.st_mode);
    return 0;
}

/* Reads the entries of an open directory; `entries` grows in the arena by doubling. */
static int read_entries(DIR *stream, struct kilter_str path, struct kilter_arena *arena,
                        struct kilter_entry **ret_entries, size_t *ret_count, struct kilter_error *err)
{
    struct kilter_entry *entries = NULL;
    size_t count = 0, capacity = 0;
    struct dirent *entry;
    struct stat stat;

    while (errno = 0, (entry = readdir(stream))) {
        struct kilter_str name = kilter_str_c(entry->d_name);
        if (kilter_str_eq_c(name, ".") || kilter_str_eq_c(name, "..") || is_git_directory(name))
            continue;
        if (fstatat(dirfd(stream), entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) < 0) {
            if (errno == ENOENT) /* removed while we look */
                continue;
            return failed(path, err);
        }
        if (type_of_mode(stat.st_mode) == KILTER_ENTRY_ABSENT)
            continue;
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 32;
            struct kilter_entry *grown = kilter_arena_calloc(arena, capacity, sizeof(*grown));
            if (!grown)
                return kilter_error_set(err, KILTER_E_NOMEM, "%.*s: too many entries", KILTER_STR_ARG(path));
            if (count)
                memcpy(grown, entries, count * sizeof(*grown));
            entries = grown;
        }
        entries[count].name = kilter_arena_str(arena, name);
        entries[count].type = type_of_mode(stat.st_mode);
        if (!entries[count++].name.ptr)
            return kilter_error_set(err, KILTER_E_NOMEM, "%.*s: too many entries", KILTER_STR_ARG(path));
    }
    if (errno)
        return failed(path, err);
    *ret_entries = entries;
    *ret_count = count;
    return 0;
}

static int dir_list(struct kl_tree_base *base, struct kilter_str path, const struct kl_node *node,
                    struct kilter_arena *arena, struct kilter_entry **ret_entries, size_t *ret_count,
                    struct kilter_error *err)
{
    const char *text = terminated(base, path, err);
    int fd;

    (void)node;
    if (!text)
        return KILTER_E_NOMEM;
    fd = open_beneath(dir_of(base), text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (fd < 0)
        return failed(path, err);
    KL_CLEANUP(kl_closedirp) DIR *stream = fdopendir(fd);
    if (!stream) {
        close(fd);
        return failed(path, err);
    }
    return read_entries(stream, path, arena, ret_entries, ret_count, err);
}

/* "sha256:" and the hash, in the arena. */
static struct kilter_str digest_id(struct kilter_arena *arena, struct kilter_sha256 *hash)
{
    uint8_t digest[KILTER_SHA256_SIZE];
    char text[2 * KILTER_SHA256_SIZE + 1];

    kilter_sha256_final(hash, digest);
    kilter_hex(digest, sizeof(digest), text);
    return kilter_str_c(kilter_arena_printf(arena, "sha256:%s", text));
}

static int dir_read_link(struct kl_tree_base *base, struct kilter_str path, struct kl_node *node,
                         struct kilter_error *err)
{
    const char *text = terminated(base, path, err);
    char target[KL_TREE_LINK_MAX + 1];
    struct kilter_sha256 hash;

    if (!text)
        return KILTER_E_NOMEM;
    KL_CLEANUP(kl_closep) int fd = open_beneath(dir_of(base), text, O_PATH | O_NOFOLLOW);
    if (fd < 0)
        return failed(path, err);
    ssize_t len = readlinkat(fd, "", target, sizeof(target));
    if (len < 0)
        return failed(path, err);
    if ((size_t)len > KL_TREE_LINK_MAX)
        return kilter_error_set(err, KILTER_E_LIMIT, "%.*s: the link is too long", KILTER_STR_ARG(path));
    kilter_sha256_init(&hash);
    kilter_sha256_update(&hash, target, (size_t)len);
    node->id = digest_id(base->arena, &hash);
    node->target = kilter_arena_str(base->arena, kilter_str_n(target, (size_t)len));
    if (!node->id.ptr || !node->target.ptr)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory while reading the tree");
    return 0;
}

/* --- contents ------------------------------------------------------------------ */
static int read_fully(int fd, void *bytes, size_t len, uint64_t offset, size_t *ret_len)
{
    size_t used = 0;

    while (used < len) {
        ssize_t got = pread(fd, (char *)bytes + used, len - used, (off_t)(offset + used));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        used += (size_t)got;
    }
    *ret_len = used;
    return 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int large_read(struct kilter_content *content, uint64_t offset, void *bytes, size_t len, size_t *ret_len,
                      struct kilter_error *err)
{
    struct dir_content *large = content->data;
    struct kilter_str path = kilter_str_c(large->path);
    struct stat stat;
    KL_CLEANUP(kl_closep) int fd = open_beneath(large->dir, large->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &stat) < 0)
        return failed(path, err);
    if (!same_file(&stat, &large->stat))
        return kilter_error_set(err, KILTER_E_CONFLICT, "%s: changed while it was being read; try again",
                                large->path);
    if (offset >= content->length)
        len = 0;
    else if (len > content->length - offset)
        len = (size_t)(content->length - offset);
    if (read_fully(fd, bytes, len, offset, ret_len) < 0)
        return failed(path, err);
    return 0;
}

static const struct kilter_content_ops large_ops = { .size = sizeof(large_ops), .read = large_read };

static int open_small(struct kl_tree_base *base, struct kilter_str path, int fd, size_t size,
                      struct kilter_content **ret, struct kilter_error *err)
{
    char *bytes = kilter_arena_alloc(base->arena, size + 1);
    size_t len;

    if (!bytes)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory while reading the tree");
    if (read_fully(fd, bytes, size, 0, &len) < 0)
        return failed(path, err);
    *ret = kilter_content_bytes(base->arena, kilter_str_n(bytes, len));
    return *ret ? 0 : kilter_error_set(err, KILTER_E_NOMEM, "out of memory while reading the tree");
}

static int hash_file(int fd, uint64_t size, struct kilter_sha256 *hash)
{
    KL_CLEANUP(kl_freep) char *chunk = malloc(SMALL_FILE);
    size_t len = 0;

    if (!chunk)
        return -1;
    kilter_sha256_init(hash);
    for (uint64_t at = 0; at < size; at += len) {
        if (read_fully(fd, chunk, SMALL_FILE, at, &len) < 0)
            return -1;
        if (len == 0)
            break;
        kilter_sha256_update(hash, chunk, len);
    }
    return 0;
}

static int open_large(struct kl_tree_base *base, struct kilter_str path, int fd, const struct stat *stat,
                      struct kilter_content **ret, struct kilter_error *err)
{
    struct dir_content *large = kilter_arena_alloc(base->arena, sizeof(*large));
    struct kilter_sha256 hash;

    if (!large)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory while reading the tree");
    if (hash_file(fd, (uint64_t)stat->st_size, &hash) < 0)
        return failed(path, err);
    large->dir = dir_of(base);
    large->path = terminated(base, path, err);
    large->stat = *stat;
    large->content.ops = &large_ops;
    large->content.id = digest_id(base->arena, &hash);
    large->content.length = (uint64_t)stat->st_size;
    large->content.data = large;
    if (!large->path || !large->content.id.ptr)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory while reading the tree");
    *ret = &large->content;
    return 0;
}

static int dir_open(struct kl_tree_base *base, struct kilter_str path, const struct kl_node *node,
                    struct kilter_content **ret, struct kilter_error *err)
{
    const char *text = terminated(base, path, err);
    struct stat stat;

    (void)node;
    if (!text)
        return KILTER_E_NOMEM;
    KL_CLEANUP(kl_closep) int fd = open_beneath(dir_of(base), text, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &stat) < 0)
        return failed(path, err);
    if (!S_ISREG(stat.st_mode))
        return kilter_error_set(err, KILTER_E_CONFLICT, "%s: changed while it was being read; try again", text);
    if (stat.st_size <= SMALL_FILE)
        return open_small(base, path, fd, (size_t)stat.st_size, ret, err);
    return open_large(base, path, fd, &stat, ret, err);
}

static void dir_close(struct kl_tree_base *base)
{
    struct dir_tree *dir = dir_of(base);

    if (dir->root >= 0)
        close(dir->root);
    kl_tree_base_release(base);
    free(dir);
}

static const struct kl_tree_form dir_form = {
    .look = dir_look,
    .list = dir_list,
    .read_link = dir_read_link,
    .open = dir_open,
    .close = dir_close,
};

int kl_tree_open_dir(const char *path, struct kilter_tree **ret, struct kilter_error *err)
{
    struct dir_tree *dir = calloc(1, sizeof(*dir));
    int status;

    if (!dir)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    dir->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir->root < 0)
        status = errno == ENOTDIR ? kilter_error_set(err, KILTER_E_CONFLICT, "%s: is no directory", path)
                                  : kilter_error_errno(err, errno, "%s", path);
    else
        status = kl_tree_base_init(&dir->base, &dir_form, err);
    if (status < 0) {
        dir_close(&dir->base);
        return status;
    }
    *ret = &dir->base.tree;
    return 0;
}
