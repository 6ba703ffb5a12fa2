/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "http/internal.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static int socket_address(const char *path, struct sockaddr_un *ret, struct kilter_error *err)
{
    size_t len = strlen(path);
    memset(ret, 0, sizeof(*ret));
    ret->sun_family = AF_UNIX;
    if (len >= sizeof(ret->sun_path))
        return kilter_error_set(err, KILTER_E_LIMIT, "socket path %s is %zu bytes long; the system takes %zu", path,
                                len, sizeof(ret->sun_path) - 1);
    memcpy(ret->sun_path, path, len + 1);
    return 0;
}

/* Whether somebody accepts connections at the address. */
static bool is_listened_on(const struct sockaddr_un *address)
{
    KL_CLEANUP(kl_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return true; /* not known: never take a socket away on a guess */
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
        return true;
    return errno != ECONNREFUSED && errno != ENOENT;
}

/* Removes the socket file that a dead process left behind. */
static int remove_stale(const char *path, const struct sockaddr_un *address, struct kilter_error *err)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : kilter_error_errno(err, errno, "looking at socket path %s", path);
    if (!S_ISSOCK(st.st_mode))
        return kilter_error_set(err, KILTER_E_CONFLICT,
                                "%s is there and is no socket; remove it or name another path", path);
    if (is_listened_on(address))
        return kilter_error_set(err, KILTER_E_CONFLICT, "another process listens on %s", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return kilter_error_errno(err, errno, "removing the stale socket %s", path);
    return 0;
}

static int set_owner(const char *path, const struct kl_http_options *options, struct kilter_error *err)
{
    if (options->group) {
        const struct group *group = getgrnam(options->group);
        if (!group)
            return kilter_error_set(err, KILTER_E_NOT_FOUND, "group %s of socket %s does not exist", options->group,
                                    path);
        if (lchown(path, (uid_t)-1, group->gr_gid) < 0)
            return kilter_error_errno(err, errno, "giving socket %s to group %s", path, options->group);
    }
    if (chmod(path, options->mode ? options->mode : 0660) < 0)
        return kilter_error_errno(err, errno, "setting the mode of socket %s", path);
    return 0;
}

/* Two servers that start at once must not take the same stale file away from one another: the directory is
 * locked from the look to the bind. A directory that cannot be opened is reported by bind. */
static int lock_directory(const char *path)
{
    KL_CLEANUP(kl_freep) char *directory = strdup(path);
    char *slash = directory ? strrchr(directory, '/') : NULL;
    if (slash)
        slash[slash == directory] = '\0';
    int fd = open(slash ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        while (flock(fd, LOCK_EX) < 0 && errno == EINTR)
            ;
    return fd;
}

int kl_http_listen(const struct kl_http_options *options, int *ret_fd, struct kilter_error *err)
{
    const char *path = options->socket_path;
    struct sockaddr_un address;
    int r = socket_address(path, &address, err);
    if (r < 0)
        return r;
    KL_CLEANUP(kl_closep) int lock = -1;
    lock = lock_directory(path);
    r = remove_stale(path, &address, err);
    if (r < 0)
        return r;
    KL_CLEANUP(kl_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return kilter_error_errno(err, errno, "making a socket");
    /* Nobody else may connect between bind and chmod. */
    mode_t before = umask(0177);
    r = bind(fd, (const struct sockaddr *)&address, sizeof(address));
    int bind_errno = errno;
    umask(before);
    if (r < 0)
        return kilter_error_errno(err, bind_errno, "binding socket %s", path);
    r = set_owner(path, options, err);
    if (r == 0 && listen(fd, 128) < 0)
        r = kilter_error_errno(err, errno, "listening on %s", path);
    if (r < 0) {
        unlink(path);
        return r;
    }
    *ret_fd = kl_steal_fd(&fd);
    return 0;
}
