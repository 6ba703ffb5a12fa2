/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/private.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/paths.h"
#include "cli/api.h"
#include "cli/text.h"
#include "http/client.h"
#include "manifest/manifest.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define START_NS (INT64_C(30) * KL_NS_PER_S)
#define END_NS (INT64_C(20) * KL_NS_PER_S)

extern char **environ;

struct kl_private {
    pid_t pid; /* 0: it has ended */
    int leash; /* its standard input: it ends when this closes, however we end */
    char *directory, *socket, *log;
    char *held; /* the socket of the daemon that holds the store; NULL: this one is in charge */
};

const char *kl_private_socket(const struct kl_private *daemon)
{
    return daemon->held ? daemon->held : daemon->socket;
}

static void nap(int ms)
{
    poll(NULL, 0, ms);
}

/* --- starting -------------------------------------------------------------------- */

static int make_directory(struct kl_private *daemon, struct kl_cli *cli)
{
    const char *base = getenv("XDG_RUNTIME_DIR");
    if (!base || base[0] != '/' || access(base, W_OK) < 0)
        base = "/tmp";
    if (asprintf(&daemon->directory, "%s/kilter-XXXXXX", base) < 0)
        return KILTER_E_NOMEM;
    if (!mkdtemp(daemon->directory)) {
        kl_cli_complain(cli, "cannot make a directory in %s: %s", base, strerror(errno));
        free(kl_steal(daemon->directory));
        return KILTER_E_IO;
    }
    if (asprintf(&daemon->socket, "%s/kilterd.sock", daemon->directory) < 0 ||
        asprintf(&daemon->log, "%s/log", daemon->directory) < 0)
        return KILTER_E_NOMEM;
    return 0;
}

static int spawn_daemon(struct kl_private *daemon, const char *program, const char *manifest)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int leash[2];
    if (pipe2(leash, O_CLOEXEC) < 0)
        return errno;
    daemon->leash = leash[1];
    char *argv[] = { strdup(program),
                     strdup("--manifest"),
                     strdup(manifest),
                     strdup("--once"),
                     strdup("--socket"),
                     strdup(daemon->socket),
                     NULL };
    int r = posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    /* A group of its own: the terminal's interrupt comes to us, and we end it in order. */
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawn_file_actions_adddup2(&actions, leash[0], STDIN_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, daemon->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND,
                                     0600);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    if (r == 0)
        r = posix_spawn(&daemon->pid, program, &actions, &attributes, argv, environ);
    if (r != 0)
        daemon->pid = 0;
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(leash[0]);
    for (size_t i = 0; argv[i]; i++)
        free(argv[i]);
    return r;
}

/* Whether it answers yet. */
static bool answers(const struct kl_private *daemon)
{
    struct kl_client_request request = KL_CLIENT_REQUEST_INIT;
    struct kl_client_response response = KL_CLIENT_RESPONSE_INIT;
    request.socket_path = daemon->socket;
    request.target = "/healthz";
    request.timeout_ms = 1000;
    bool yes = kl_client_call(&request, &response, NULL) == 0 && response.status == 200;
    kl_client_response_release(&response);
    return yes;
}

static bool has_ended(struct kl_private *daemon)
{
    int status;
    if (daemon->pid == 0)
        return true;
    pid_t pid = waitpid(daemon->pid, &status, WNOHANG);
    if (pid == 0 || (pid < 0 && errno == EINTR))
        return false;
    daemon->pid = 0;
    return true;
}

static bool is_cancelled(const struct kl_cli *cli)
{
    struct pollfd fd = { .fd = cli->cancel_fd, .events = POLLIN };
    return cli->cancel_fd >= 0 && poll(&fd, 1, 0) == 1;
}

/* Whether a daemon at `socket` works on the store of this manifest. */
static bool holds_store(struct kl_cli *cli, const char *socket, const struct kl_manifest *manifest)
{
    const char *named = cli->args.socket;
    struct kilter_value *status = NULL;
    cli->args.socket = socket;
    int r = kl_api_try(cli, "/api/v1/status", &status);
    cli->args.socket = named;
    return r == 0 && kilter_str_starts(kilter_get_text(status, "store"), manifest->daemon.state_directory);
}

/* The socket of the daemon that holds the store; NULL when there is none, and ours ended for another reason. */
static char *find_holder(struct kl_cli *cli, const char *path)
{
    struct kilter_diags *diags = kilter_diags_new(1);
    struct kl_manifest *manifest = NULL;
    char *holder = NULL;
    if (kl_manifest_load(path, NULL, &manifest, diags) == 0) {
        const char *const sockets[] = { manifest->daemon.socket_path.ptr, kl_api_socket(cli) };
        for (size_t i = 0; i < 2 && !holder; i++)
            if (sockets[i] && holds_store(cli, sockets[i], manifest))
                holder = strdup(sockets[i]);
    }
    kl_manifest_unref(manifest);
    kilter_diags_free(diags);
    return holder;
}

/* What it said before it ended: its diagnostics are the answer to the user. */
static void show_log(struct kl_cli *cli, const struct kl_private *daemon)
{
    KL_CLEANUP(kl_fclosep) FILE *file = fopen(daemon->log, "re");
    char line[8192];
    while (file && fgets(line, sizeof(line), file))
        kl_put_block(cli->err, kilter_str_c(line), "  ");
}

static int await_daemon(struct kl_cli *cli, struct kl_private *daemon, const char *manifest)
{
    int64_t end = kl_clock_monotonic_ns() + START_NS;
    while (!answers(daemon)) {
        if (has_ended(daemon)) {
            daemon->held = find_holder(cli, manifest);
            if (daemon->held)
                return 0;
            kl_cli_complain(cli, "kilterd could not work with this manifest:");
            show_log(cli, daemon);
            return KILTER_E_INVALID;
        }
        if (is_cancelled(cli))
            return KILTER_E_CANCELLED;
        if (kl_clock_monotonic_ns() > end) {
            kl_cli_complain(cli, "kilterd did not get ready within 30s:");
            show_log(cli, daemon);
            return KILTER_E_TIMEOUT;
        }
        nap(5);
    }
    return 0;
}

static char *find_program(void)
{
    KL_CLEANUP(kl_freep) char *directory = NULL;
    char *program = NULL;
    if (kl_program_dir(&directory, NULL) < 0 || asprintf(&program, "%s/kilterd", directory) < 0)
        return NULL;
    return program;
}

int kl_private_start(struct kl_cli *cli, const char *manifest, struct kl_private **ret)
{
    KL_CLEANUP(kl_freep) char *program = find_program();
    struct kl_private *daemon = calloc(1, sizeof(*daemon));
    if (!program || !daemon) {
        free(daemon);
        return KILTER_E_NOMEM;
    }
    daemon->leash = -1;
    int r = make_directory(daemon, cli);
    if (r == 0) {
        int code = spawn_daemon(daemon, program, manifest);
        if (code) {
            kl_cli_complain(cli, "cannot run %s: %s", program, strerror(code));
            r = KILTER_E_IO;
        }
    }
    if (r == 0)
        r = await_daemon(cli, daemon, manifest);
    if (r < 0) {
        kl_private_stop(daemon);
        return r;
    }
    *ret = daemon;
    return 0;
}

/* --- ending -------------------------------------------------------------------------- */

static void end_process(struct kl_private *daemon)
{
    int64_t end = kl_clock_monotonic_ns() + END_NS;
    if (daemon->pid == 0)
        return;
    kill(daemon->pid, SIGTERM);
    while (!has_ended(daemon)) {
        if (kl_clock_monotonic_ns() > end) {
            kill(daemon->pid, SIGKILL);
            while (waitpid(daemon->pid, NULL, 0) < 0 && errno == EINTR)
                ;
            daemon->pid = 0;
            return;
        }
        nap(5);
    }
}

void kl_private_stop(struct kl_private *daemon)
{
    if (!daemon)
        return;
    end_process(daemon);
    kl_closep(&daemon->leash);
    const char *const files[] = { daemon->socket, daemon->log };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (files[i])
            unlink(files[i]);
    if (daemon->directory)
        rmdir(daemon->directory);
    free(daemon->directory);
    free(daemon->socket);
    free(daemon->log);
    free(daemon->held);
    free(daemon);
}
