/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Git over ssh, by the system's ssh: users get their configuration, agent,
 * hardware keys and jump hosts. The program is started in its own process group
 * and dies with us; host keys are always checked; a given key or list of hosts
 * is a file in memory that no kill leaves behind.
 */
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/random.h"
#include "git/conn.h"

#define MAX_ARGUMENTS 48
#define MAX_ERRORS 8192u /* bytes of ssh's own words that are kept */
#define GRACE_NS (2 * KL_NS_PER_S)

/* A text that ssh reads as a file. */
struct text_file {
    int fd;
    char path[128];
    bool remove; /* a real file, to be removed */
};

struct kl_ssh {
    struct kl_conn *conn;
    pid_t pid;
    int in, out, err; /* our ends: its standard input, output and error */
    struct text_file identity, known_hosts;
    struct kilter_buf errors;
    uint64_t received;
    bool any; /* something came from the other side */
};

/* --- texts as files ----------------------------------------------------------------- */
/* Keys come with all sorts of line ends; ssh takes only one. */
static int write_text(int fd, struct kilter_str text)
{
    KL_CLEANUP(kl_freep) char *clean = malloc(text.len + 1);
    size_t len = 0, done = 0;

    if (!clean)
        return -1;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != '\r')
            clean[len++] = text.ptr[i];
    if (len == 0 || clean[len - 1] != '\n')
        clean[len++] = '\n';
    while (done < len) {
        ssize_t wrote = write(fd, clean + done, len - done);
        if (wrote < 0 && errno != EINTR)
            break;
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    explicit_bzero(clean, text.len + 1);
    return done == len ? 0 : -1;
}

/* ssh closes what it inherits, so it reaches the memory through our /proc entry; where that is barred (a process
 * that may not be dumped is closed to its own children), through a private file that is removed right after. */
static int make_text_file(struct kl_conn *conn, struct text_file *file, const char *name, struct kilter_str text)
{
    static const char *const places[] = { "/run", "/dev/shm", "/tmp" };
    char random[65];

    file->fd = -1;
    if (prctl(PR_GET_DUMPABLE) == 1) {
        file->fd = memfd_create(name, MFD_CLOEXEC);
        snprintf(file->path, sizeof(file->path), "/proc/%ld/fd/%d", (long)getpid(), file->fd);
    }
    for (size_t i = 0; file->fd < 0 && i < sizeof(places) / sizeof(places[0]); i++) {
        snprintf(file->path, sizeof(file->path), "%s/kilter-%s-%s", places[i], name, kl_random_hex(8, random));
        file->fd = open(file->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        file->remove = file->fd >= 0;
    }
    if (file->fd < 0 || fchmod(file->fd, 0600) < 0 || write_text(file->fd, text) < 0)
        return kl_conn_fail(conn, KILTER_E_IO, "cannot hand the %s to ssh: %s", name, strerror(errno));
    return 0;
}

static void drop_text_file(struct text_file *file)
{
    if (file->remove)
        unlink(file->path);
    kl_closep(&file->fd);
}

/* --- the program ---------------------------------------------------------------------- */
/* 'text' for the shell at the other end, as git quotes it: single quotes, with ' and ! outside of them. */
static void quote(struct kilter_buf *out, const char *text)
{
    kilter_buf_char(out, '\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '!')
            kilter_buf_printf(out, "'\\%c'", *text);
        else
            kilter_buf_char(out, *text);
    }
    kilter_buf_char(out, '\'');
}

struct arguments {
    char *items[MAX_ARGUMENTS + 1];
    size_t count;
    struct kilter_arena *arena;
    bool failed;
};

static void add(struct arguments *arguments, const char *format, ...) KILTER_PRINTF(2, 3);
static void add(struct arguments *arguments, const char *format, ...)
{
    char text[4096];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    struct kilter_str copy = kilter_arena_str(arguments->arena, kilter_str_c(text));
    if (len < 0 || (size_t)len >= sizeof(text) || !copy.ptr || arguments->count == MAX_ARGUMENTS) {
        arguments->failed = true;
        return;
    }
    char *item;
    memcpy(&item, &copy.ptr, sizeof(item)); /* the arena's own memory; execve wants it writable */
    arguments->items[arguments->count++] = item;
}

static void add_option(struct arguments *arguments, const char *option)
{
    add(arguments, "-o");
    add(arguments, "%s", option);
}

static void make_arguments(struct kl_ssh *ssh, struct arguments *arguments)
{
    static const char *const options[] = {
        "BatchMode=yes",         "StrictHostKeyChecking=yes",
        "UpdateHostKeys=no",     "PasswordAuthentication=no",
        "ForwardAgent=no",       "ForwardX11=no",
        "PermitLocalCommand=no", "ClearAllForwardings=yes",
        "RequestTTY=no",         "EscapeChar=none",
        "SendEnv=GIT_PROTOCOL",  "LogLevel=ERROR",
        "ControlMaster=no",      "ServerAliveInterval=15",
        "ServerAliveCountMax=4",
    };
    const struct kl_conn *conn = ssh->conn;
    const struct kl_git_url *url = &conn->url;
    struct kilter_str login = conn->request->credentials.username;
    char connect[64];

    add(arguments, "ssh");
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        add_option(arguments, options[i]);
    snprintf(connect, sizeof(connect), "ConnectTimeout=%lld",
             (long long)((conn->stall_ns + KL_NS_PER_S - 1) / KL_NS_PER_S));
    add_option(arguments, connect);
    if (ssh->known_hosts.fd >= 0) {
        add(arguments, "-oUserKnownHostsFile=%s", ssh->known_hosts.path);
        add_option(arguments, "GlobalKnownHostsFile=/dev/null");
    }
    if (ssh->identity.fd >= 0) {
        add_option(arguments, "IdentitiesOnly=yes");
        add_option(arguments, "IdentityAgent=none");
        add(arguments, "-oIdentityFile=%s", ssh->identity.path);
    }
    if (url->port)
        add(arguments, "-p%u", url->port);
    if (*url->user)
        add(arguments, "-l%s", url->user);
    else if (login.len)
        add(arguments, "-l%.*s", KILTER_STR_ARG(login));
    add(arguments, "--");
    add(arguments, "%s", url->host);
    struct kilter_buf command = KILTER_BUF_INIT(16384);
    kilter_buf_c(&command, "git-upload-pack ");
    quote(&command, url->path);
    arguments->failed |= command.failed != 0;
    add(arguments, "%s", command.ptr ? command.ptr : "");
    kilter_buf_release(&command);
}

/* A small environment: what ssh and its agent need, and the protocol's version. */
static void make_environment(struct arguments *environment, bool v2)
{
    static const char *const passed[] = { "HOME",       "USER",          "LOGNAME",
                                          "PATH",       "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR",
                                          "KRB5CCNAME", "TMPDIR" };

    for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++) {
        const char *value = getenv(passed[i]);
        if (value && strlen(value) < 2048)
            add(environment, "%s=%s", passed[i], value);
    }
    add(environment, "LC_ALL=C"); /* its messages are read below */
    if (v2)
        add(environment, "GIT_PROTOCOL=version=2");
}

/* Between fork and exec: system calls only. */
static void become_ssh(char *const *arguments, char *const *environment, const int ends[3], pid_t parent)
{
    sigset_t none;

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    for (int i = 0; i < 3; i++)
        if (dup2(ends[i], i) < 0)
            _exit(127);
    syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC); /* the daemon's socket is not for others */
    execvpe("ssh", arguments, environment);
    _exit(errno == ENOENT ? 126 : 127);
}

static int spawn(struct kl_ssh *ssh, char *const *arguments, char *const *environment)
{
    int in[2] = { -1, -1 }, out[2] = { -1, -1 }, errors[2] = { -1, -1 };
    pid_t parent = getpid();
    int status = 0;

    /* Our ends are above 2 in any sane process; dup2 in the child then clears O_CLOEXEC. */
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(errors, O_CLOEXEC) < 0 ||
        (ssh->pid = fork()) < 0)
        status = kl_conn_fail(ssh->conn, KILTER_E_IO, "cannot start ssh: %s", strerror(errno));
    else if (ssh->pid == 0)
        become_ssh(arguments, environment, (int[]){ in[0], out[1], errors[1] }, parent);
    else
        setpgid(ssh->pid, ssh->pid);
    kl_closep(&in[0]);
    kl_closep(&out[1]);
    kl_closep(&errors[1]);
    ssh->in = in[1];
    ssh->out = out[0];
    ssh->err = errors[0];
    if (status == 0 && (fcntl(ssh->in, F_SETFL, O_NONBLOCK) < 0 || fcntl(ssh->out, F_SETFL, O_NONBLOCK) < 0 ||
                        fcntl(ssh->err, F_SETFL, O_NONBLOCK) < 0))
        status = kl_conn_fail(ssh->conn, KILTER_E_IO, "cannot start ssh: %s", strerror(errno));
    return status;
}

static int start_program(struct kl_ssh *ssh, bool v2)
{
    KL_CLEANUP(kl_arena_freep) struct kilter_arena *arena = kilter_arena_new(0);
    struct arguments arguments = { .arena = arena }, environment = { .arena = arena };

    if (!arena)
        return kl_conn_fail(ssh->conn, KILTER_E_NOMEM, "out of memory");
    make_arguments(ssh, &arguments);
    make_environment(&environment, v2);
    if (arguments.failed || environment.failed)
        return kl_conn_fail(ssh->conn, KILTER_E_LIMIT, "%s: too long for ssh", ssh->conn->masked);
    return spawn(ssh, arguments.items, environment.items);
}

/* --- its end --------------------------------------------------------------------------- */
static void take_errors(struct kl_ssh *ssh)
{
    char bytes[1024];
    ssize_t got;

    while (ssh->err >= 0 && (got = read(ssh->err, bytes, sizeof(bytes))) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return;
        if (!ssh->errors.failed)
            kilter_buf_append(&ssh->errors, bytes, (size_t)got);
    }
    kl_closep(&ssh->err);
}

/* Waits for the program for a moment, then kills its group. The exit status, or -1. */
static int reap(struct kl_ssh *ssh, bool at_once)
{
    int64_t until = kl_clock_monotonic_ns() + (at_once ? 0 : GRACE_NS);
    int status = 0;

    if (ssh->pid <= 0)
        return -1;
    for (;;) {
        take_errors(ssh);
        pid_t got = waitpid(ssh->pid, &status, WNOHANG);
        if (got == ssh->pid || (got < 0 && errno != EINTR))
            break;
        if (kl_clock_monotonic_ns() >= until) {
            kill(-ssh->pid, SIGKILL);
            while (waitpid(ssh->pid, &status, 0) < 0 && errno == EINTR)
                ;
            break;
        }
        nanosleep(&(struct timespec){ .tv_nsec = KL_NS_PER_MS / 2 }, NULL);
    }
    /* What it started, a jump host's ssh for one, may outlive it. */
    kill(-ssh->pid, SIGKILL);
    take_errors(ssh);
    ssh->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void kl_ssh_stop(struct kl_conn *conn)
{
    struct kl_ssh *ssh = conn->ssh;

    if (!ssh)
        return;
    conn->ssh = NULL;
    kl_closep(&ssh->in);
    kl_closep(&ssh->out);
    /* At the end of its input the server's git ends, and ssh with it; but nobody needs to wait for that. */
    reap(ssh, true);
    kl_closep(&ssh->err);
    drop_text_file(&ssh->identity);
    drop_text_file(&ssh->known_hosts);
    kilter_buf_release(&ssh->errors);
    free(ssh);
}

static bool said(const struct kl_ssh *ssh, const char *words)
{
    struct kilter_str errors = kilter_buf_view(&ssh->errors);
    return memmem(errors.ptr, errors.len, words, strlen(words)) != NULL;
}

/* The last line that says something, without what a terminal would act on. */
static void last_words(const struct kl_ssh *ssh, char *text, size_t size)
{
    struct kilter_str rest = kilter_str_trim(kilter_buf_view(&ssh->errors));
    ptrdiff_t newline = kilter_str_rfind(rest, '\n');
    struct kilter_str line = kilter_str_trim(kilter_str_sub(rest, (size_t)(newline + 1), rest.len));

    snprintf(text, size, "%.*s", (int)(line.len < 200 ? line.len : 200), line.ptr);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
}

/* The program ended before the answer did. */
static int ended(struct kl_ssh *ssh)
{
    struct kl_conn *conn = ssh->conn;
    bool own_key = ssh->identity.fd >= 0, own_hosts = ssh->known_hosts.fd >= 0;
    int exit_status = reap(ssh, false);
    char words[256], port[16] = "";

    if (conn->url.port)
        snprintf(port, sizeof(port), "-p %u ", conn->url.port);
    last_words(ssh, words, sizeof(words));
    if (exit_status == 126)
        return kl_conn_fail(conn, KILTER_E_UNSUPPORTED,
                            "%s: there is no ssh program on this machine; install "
                            "openssh-client",
                            conn->masked);
    if (said(ssh, "HOST IDENTIFICATION HAS CHANGED"))
        return kl_conn_fail(
            conn, KILTER_E_PERMISSION,
            "%s: the host key of %s is another one than %s; if the host was set up anew, replace the "
            "key there, else somebody may be listening",
            conn->masked, conn->url.host, own_hosts ? "knownHosts has" : "known_hosts has");
    if (said(ssh, "Host key verification failed") || said(ssh, "host key is known for"))
        return kl_conn_fail(conn, KILTER_E_PERMISSION,
                            "%s: the host key of %s is unknown; see that it is the right one and add it to %s "
                            "(ssh-keyscan %s%s prints it)",
                            conn->masked, conn->url.host, own_hosts ? "knownHosts" : "knownHosts or known_hosts",
                            port, conn->url.host);
    if (said(ssh, "error in libcrypto") || said(ssh, "invalid format"))
        return kl_conn_fail(conn, KILTER_E_PERMISSION,
                            "%s: the ssh key cannot be read: is it a whole private key, without a passphrase?",
                            conn->masked);
    if (said(ssh, "Permission denied ("))
        return kl_conn_fail(conn, KILTER_E_PERMISSION,
                            "%s: %s refuses %s; add its public half there, with the right to read this repository",
                            conn->masked, conn->url.host, own_key ? "the ssh key" : "every ssh key of this user");
    if (said(ssh, "Could not resolve hostname"))
        return kl_conn_fail(conn, KILTER_E_NOT_FOUND,
                            "%s: the host name %s does not resolve; is it right, and does DNS work here?",
                            conn->masked, conn->url.host);
    if (said(ssh, "timed out"))
        return kl_conn_fail(conn, KILTER_E_TIMEOUT, "%s: %s", conn->masked, words);
    if (said(ssh, "does not appear to be a git repository") || said(ssh, "not found") ||
        said(ssh, "does not exist"))
        return kl_conn_fail(conn, KILTER_E_NOT_FOUND,
                            "%s: there is no repository at \"%s\", or the key may not see it (%s)", conn->masked,
                            conn->url.path, words);
    if (ssh->any && !*words)
        return kl_conn_fail(conn, KILTER_E_IO,
                            "%s: the connection broke off before all was there; it is tried again", conn->masked);
    return kl_conn_fail(conn, KILTER_E_IO, "%s: ssh failed%s%s", conn->masked, *words ? ": " : "", words);
}

/* --- bytes -------------------------------------------------------------------------------- */
static int wait_for(struct kl_ssh *ssh, int fd, short events, int64_t since_ns)
{
    struct pollfd fds[2] = { { .fd = fd, .events = events }, { .fd = ssh->err, .events = POLLIN } };

    for (;;) {
        int status = kl_conn_check_stall(ssh->conn, since_ns);
        if (status < 0)
            return status;
        if (poll(fds, 2, 100) < 0 && errno != EINTR)
            return kl_conn_fail(ssh->conn, KILTER_E_IO, "%s: %s", ssh->conn->masked, strerror(errno));
        if (fds[1].revents) {
            take_errors(ssh);
            fds[1].fd = ssh->err;
        }
        if (fds[0].revents)
            return 0;
    }
}

int kl_ssh_start(struct kl_conn *conn, bool v2)
{
    const struct kl_git_credentials *given = &conn->request->credentials;
    int status = 0;

    kl_ssh_stop(conn);
    struct kilter_str login = given->username;
    if (login.len && (login.ptr[0] == '-' || login.len > 100 || memchr(login.ptr, '\0', login.len)))
        return kl_conn_fail(conn, KILTER_E_INVALID, "the user name for ssh is none that could be one");
    struct kl_ssh *ssh = calloc(1, sizeof(*ssh));
    if (!ssh)
        return kl_conn_fail(conn, KILTER_E_NOMEM, "out of memory");
    conn->ssh = ssh;
    ssh->conn = conn;
    ssh->in = ssh->out = ssh->err = ssh->identity.fd = ssh->known_hosts.fd = -1;
    ssh->errors = (struct kilter_buf)KILTER_BUF_INIT(MAX_ERRORS);
    if (given->identity.len)
        status = make_text_file(conn, &ssh->identity, "identity", given->identity);
    if (status == 0 && given->known_hosts.len)
        status = make_text_file(conn, &ssh->known_hosts, "known-hosts", given->known_hosts);
    if (status == 0)
        status = start_program(ssh, v2);
    if (status < 0)
        kl_ssh_stop(conn);
    return status;
}

int kl_ssh_write(struct kl_conn *conn, struct kilter_str request)
{
    struct kl_ssh *ssh = conn->ssh;
    int64_t since = kl_clock_monotonic_ns();
    int status = 0;

    while (request.len > 0 && status == 0) {
        ssize_t wrote = write(ssh->in, request.ptr, request.len);
        if (wrote > 0) {
            request = kilter_str_sub(request, (size_t)wrote, request.len);
            since = kl_clock_monotonic_ns();
        } else if (wrote < 0 && errno == EAGAIN) {
            status = wait_for(ssh, ssh->in, POLLOUT, since);
        } else if (wrote < 0 && errno != EINTR) {
            status = errno == EPIPE ? ended(ssh)
                                    : kl_conn_fail(conn, KILTER_E_IO, "%s: %s", conn->masked, strerror(errno));
        }
    }
    return status;
}

int kl_ssh_read(struct kl_conn *conn, char *bytes, size_t len, size_t *ret_len)
{
    struct kl_ssh *ssh = conn->ssh;
    int64_t since = kl_clock_monotonic_ns();

    for (;;) {
        ssize_t got = read(ssh->out, bytes, len);
        if (got > 0) {
            ssh->any = true;
            ssh->received += (uint64_t)got;
            if (ssh->received > conn->max_bytes)
                return kl_conn_fail(conn, KILTER_E_LIMIT,
                                    "%s sends more than %llu bytes at once, which is the limit", conn->masked,
                                    (unsigned long long)conn->max_bytes);
            *ret_len = (size_t)got;
            return 0;
        }
        if (got == 0)
            return ended(ssh);
        if (errno == EAGAIN) {
            int status = wait_for(ssh, ssh->out, POLLIN, since);
            if (status < 0)
                return status;
        } else if (errno != EINTR) {
            return kl_conn_fail(conn, KILTER_E_IO, "%s: %s", conn->masked, strerror(errno));
        }
    }
}
