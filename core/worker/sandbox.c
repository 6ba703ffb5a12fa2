/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/sandbox.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- seccomp --------------------------------------------------------------------------- */
/* Nothing that kilter runs has to do these. io_uring is among them because it does everything else unseen. */
static const char *const never[] = {
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "kcmp",
    "pidfd_getfd",
    "perf_event_open",
    "bpf",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "mount",
    "umount2",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsmount",
    "fsconfig",
    "fspick",
    "mount_setattr",
    "pivot_root",
    "chroot",
    "setns",
    "unshare",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    "quotactl",
    "quotactl_fd",
    "settimeofday",
    "clock_settime",
    "adjtimex",
    "clock_adjtime",
    "sethostname",
    "setdomainname",
    "iopl",
    "ioperm",
    "personality",
    "add_key",
    "request_key",
    "keyctl",
    "open_by_handle_at",
    "name_to_handle_at",
    "syslog",
    "vhangup",
    "lookup_dcookie",
    "nfsservctl",
};

static const char *const network[] = { "socket", "socketpair", "connect", "bind", "listen", "accept", "accept4" };
static const char *const programs[] = { "execve", "execveat", "fork", "vfork" };

static int deny(scmp_filter_ctx filter, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int number = seccomp_syscall_resolve_name(names[i]);
        if (number == __NR_SCMP_ERROR)
            continue; /* newer than this libseccomp, or not of this machine */
        int rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0);
        if (rc < 0 && rc != -EDOM)
            return rc;
    }
    return 0;
}

/* Threads may be made, processes not. clone3 hides its flags from us; glibc falls back to clone. */
static int deny_processes(scmp_filter_ctx filter)
{
    int rc = deny(filter, programs, COUNT(programs));
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return rc;
}

static int fill_filter(scmp_filter_ctx filter, uint32_t needs)
{
    int rc = deny(filter, never, COUNT(never));
    if (rc == 0 && !(needs & KILTER_NEED_NETWORK))
        rc = deny(filter, network, COUNT(network));
    if (rc == 0 && !(needs & KILTER_NEED_EXEC))
        rc = deny_processes(filter);
    return rc;
}

static int enter_seccomp(uint32_t needs, void (*warn)(void *data, const char *what), void *data,
                         struct kilter_error *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter)
        return kilter_error_set(err, KILTER_E_NOMEM, "no memory for a seccomp filter");
    /* All threads; and a system call of another architecture's numbers is refused, not let through. */
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM));
    int rc = fill_filter(filter, needs);
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    if (rc == -EINVAL || rc == -ENOSYS || rc == -EFAULT) {
        warn(data, "this kernel has no seccomp filters: plugins can open sockets and run programs");
        return 0;
    }
    return rc < 0 ? kilter_error_errno(err, -rc, "setting up the seccomp filter") : 0;
}

/* --- landlock ---------------------------------------------------------------------------- */
/* From the kernel's documentation; the packaged header is older than the kernels we run on. */
#define FS_EXECUTE (1ULL << 0)
#define FS_WRITE_FILE (1ULL << 1)
#define FS_READ_FILE (1ULL << 2)
#define FS_READ_DIR (1ULL << 3)
#define FS_ALL(abi) ((abi) >= 5 ? 0xffffULL : (abi) >= 3 ? 0x7fffULL : (abi) == 2 ? 0x3fffULL : 0x1fffULL)
#define NET_BIND_AND_CONNECT 3ULL           /* from 4 on */
#define SCOPE_ABSTRACT_UNIX_AND_SIGNAL 3ULL /* from 6 on */
#define RULE_PATH_BENEATH 1
#define ASK_VERSION 1u

struct ruleset {
    uint64_t handled_fs, handled_net, scoped;
};

struct path_rule {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

/* What every program reads before and while it runs, and has no secret in it. */
static const char *const system_files[] = {
    "/usr",
    "/lib",
    "/lib64",
    "/bin",
    "/sbin",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
    "/sys/devices/system/cpu",
    "/proc/sys/vm/overcommit_memory",
    "/proc/meminfo",
    "/proc/cpuinfo",
};

/* What name resolution and TLS read. */
static const char *const network_files[] = {
    "/etc/resolv.conf", "/run/systemd/resolve", "/etc/hosts", "/etc/host.conf",       "/etc/gai.conf",
    "/etc/services",    "/etc/protocols",       "/etc/ssl",   "/etc/ca-certificates", "/etc/pki",
};

/* A path that is not there needs no rule. */
static int allow_path(int ruleset, const char *path, uint64_t rights)
{
    KL_CLEANUP(kl_closep) int fd = open(path, O_PATH | O_CLOEXEC);
    struct stat meta;
    if (fd < 0 || fstat(fd, &meta) < 0)
        return 0;
    if (!S_ISDIR(meta.st_mode))
        rights &= FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE;
    struct path_rule rule = { rights, fd };
    return syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

static int allow_paths(int ruleset, const char *const *paths, size_t count, uint64_t rights)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = allow_path(ruleset, paths[i], rights);
    return rc;
}

static int allow_files(int ruleset, const struct kl_sandbox *sandbox)
{
    const uint64_t reading = FS_READ_FILE | FS_READ_DIR;
    bool exec = sandbox->needs & KILTER_NEED_EXEC;
    int rc = allow_paths(ruleset, system_files, COUNT(system_files), reading | (exec ? FS_EXECUTE : 0));
    if (rc == 0 && sandbox->needs & KILTER_NEED_NETWORK)
        rc = allow_paths(ruleset, network_files, COUNT(network_files), reading);
    if (rc == 0)
        rc = allow_paths(ruleset, sandbox->read, sandbox->read_count, reading);
    if (rc == 0)
        rc = allow_path(ruleset, "/dev/null", FS_READ_FILE | FS_WRITE_FILE);
#if defined(__SANITIZE_ADDRESS__)
    if (rc == 0)
        rc = allow_path(ruleset, "/proc", reading); /* the sanitizer's own */
#endif
    return rc;
}

static int enter_landlock(const struct kl_sandbox *sandbox, void (*warn)(void *data, const char *what), void *data,
                          struct kilter_error *err)
{
    bool network_too = sandbox->needs & KILTER_NEED_NETWORK;
    bool files_too = sandbox->needs & KILTER_NEED_FILESYSTEM;
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, ASK_VERSION);
    if (abi < 1) {
        if (!files_too)
            warn(data, "this kernel has no landlock: plugins can read and write files of the daemon's user");
        return 0;
    }
    struct ruleset rules = { .handled_fs = files_too ? 0 : FS_ALL(abi),
                             .handled_net = abi >= 4 && !network_too ? NET_BIND_AND_CONNECT : 0,
                             .scoped = abi >= 6 && !network_too ? SCOPE_ABSTRACT_UNIX_AND_SIGNAL : 0 };
    if (!rules.handled_fs && !rules.handled_net && !rules.scoped)
        return 0;
    size_t size = abi >= 6 ? sizeof rules : abi >= 4 ? offsetof(struct ruleset, scoped) : sizeof rules.handled_fs;
    KL_CLEANUP(kl_closep) int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
    int rc = ruleset < 0 ? -errno : 0;
    if (rc == 0 && !files_too)
        rc = allow_files(ruleset, sandbox);
    if (rc == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        rc = -errno;
    return rc < 0 ? kilter_error_errno(err, -rc, "setting up landlock") : 0;
}

int kl_sandbox_enter(const struct kl_sandbox *sandbox, void (*warn)(void *data, const char *what), void *data,
                     struct kilter_error *err)
{
    int rc = enter_landlock(sandbox, warn, data, err);
    return rc < 0 ? rc : enter_seccomp(sandbox->needs, warn, data, err);
}
