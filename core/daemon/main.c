/* SPDX-License-Identifier: Apache-2.0 */
/* kilterd: the program around the engine: options, signals, the life of the process. */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/api.h"
#include "daemon/engine.h"
#include "daemon/notify.h"
#include "daemon/reload.h"
#include "http/server.h"

#define DRAIN_MS 30000
#define LISTEN_FD 3 /* sd_listen_fds(3): the first descriptor that systemd hands over */

struct options {
    const char *manifest, *state, *socket, *log_level;
    bool once, json;
};

struct program {
    struct options options;
    uv_loop_t loop;
    struct kl_engine *engine;
    struct kl_http *http;
    struct kl_api *api;
    uv_signal_t signals[3];
    uv_timer_t watchdog;
    bool watched, ending, failed, reload_later;
    int listen_fd; /* of systemd's socket unit, or -1 */
    int parent_fd; /* --once: ends when this end of file comes */
    uv_pipe_t parent;
};

/* --- options ------------------------------------------------------------------------------------- */
static const struct argp_option option_table[] = {
    { "manifest", 'm', "FILE", 0, "The manifest (/etc/kilter/kilter.yaml)", 0 },
    { "state-dir", 'd', "DIR", 0, "Where state and mirrors are kept (the manifest's daemon.stateDirectory)", 0 },
    { "socket", 's', "PATH", 0, "The API's unix socket (the manifest's daemon.socket)", 0 },
    { "once", 'o', NULL, 0,
      "Begin nothing by itself: serve what is asked for over the socket, and end when standard input does", 0 },
    { "log-level", 'l', "LEVEL", 0, "error, warning, info or debug (the manifest's daemon.logLevel)", 0 },
    { "log-json", 'j', NULL, 0, "Log one JSON object a line", 0 },
    { 0 }
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case 'm':
        options->manifest = arg;
        return 0;
    case 'd':
        options->state = arg;
        return 0;
    case 's':
        options->socket = arg;
        return 0;
    case 'o':
        options->once = true;
        return 0;
    case 'l':
        options->log_level = arg;
        return 0;
    case 'j':
        options->json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    option_table,
    parse_option,
    NULL,
    "kilterd keeps targets in line with Git, as its manifest says.\vSIGHUP reads the manifest again; a bad one "
    "changes nothing. SIGTERM ends after the changes under way. See kilterd(8) and kilter.yaml(5).",
    NULL,
    NULL,
    NULL
};

static void print_version(FILE *stream, struct argp_state *state)
{
    (void)state;
    fprintf(stream, "kilterd %s\n", KILTER_VERSION);
}

/* --- ending ------------------------------------------------------------------------------------------ */
static void close_handle(uv_handle_t *handle, void *data)
{
    (void)data;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void on_engine_closed(void *data)
{
    struct program *program = data;
    program->engine = NULL;
    for (size_t i = 0; i < 3; i++)
        close_handle((uv_handle_t *)&program->signals[i], NULL);
    if (program->watched)
        close_handle((uv_handle_t *)&program->watchdog, NULL);
    if (program->parent.type)
        close_handle((uv_handle_t *)&program->parent, NULL);
}

static void end(struct program *program, const char *why)
{
    if (program->ending)
        return;
    program->ending = true;
    kl_log(KILTER_LOG_INFO, "ending: %s", why);
    kl_notify("STOPPING=1\nSTATUS=%s", why);
    kl_api_free(program->api);
    program->api = NULL;
    kl_http_close(program->http, NULL, NULL);
    program->http = NULL;
    if (program->engine)
        kl_engine_close(program->engine, DRAIN_MS, on_engine_closed, program);
    else
        on_engine_closed(program);
}

/* --- signals ------------------------------------------------------------------------------------------ */
static void on_reloaded(void *data, const char *error, const struct kilter_diags *diags)
{
    (void)data;
    (void)diags;
    kl_notify("READY=1\nSTATUS=%s", error ? error : "running");
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct program *program = handle->data;
    if (number == SIGHUP && !program->api) {
        program->reload_later = true; /* it has not read its manifest yet, or is ending */
    } else if (number == SIGHUP && !program->ending) {
        kl_notify("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(kl_clock_monotonic_ns() / 1000));
        kl_reload(program->engine, "SIGHUP", on_reloaded, program);
    } else if (number != SIGHUP) {
        end(program, number == SIGTERM ? "SIGTERM" : "SIGINT");
    }
}

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    kl_notify("WATCHDOG=1");
}

static void watch(struct program *program)
{
    static const int numbers[] = { SIGHUP, SIGTERM, SIGINT };
    for (size_t i = 0; i < 3; i++) {
        uv_signal_init(&program->loop, &program->signals[i]);
        program->signals[i].data = program;
        uv_signal_start(&program->signals[i], on_signal, numbers[i]);
    }
    uint64_t every = kl_notify_watchdog_ms();
    if (every) {
        uv_timer_init(&program->loop, &program->watchdog);
        uv_timer_start(&program->watchdog, on_watchdog, every, every);
        program->watched = true;
    }
}

static void on_parent_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    static char bytes[256];
    (void)handle;
    (void)size;
    *buf = uv_buf_init(bytes, sizeof bytes);
}

static void on_parent(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    (void)buf;
    if (nread < 0)
        end(stream->data, "whoever asked is gone");
}

/* --once: the program lives as long as its standard input. */
static void follow_parent(struct program *program)
{
    if (uv_pipe_init(&program->loop, &program->parent, 0) == 0) {
        program->parent.data = program;
        if (uv_pipe_open(&program->parent, STDIN_FILENO) == 0)
            uv_read_start((uv_stream_t *)&program->parent, on_parent_alloc, on_parent);
    }
}

/* --- starting -------------------------------------------------------------------------------------------- */
/* Asked before anything else is opened: a number that systemd names and does not hand over would be something of
 * our own later. -1: none. */
static int inherited_socket(void)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    if (!pid || !count || strtol(pid, NULL, 10) != (long)getpid() || strtol(count, NULL, 10) < 1)
        return -1;
    int listens = 0;
    socklen_t size = sizeof listens;
    if (getsockopt(LISTEN_FD, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0 || !listens) {
        fprintf(stderr, "kilterd: LISTEN_FDS names descriptor %d, which is no listening socket\n", LISTEN_FD);
        exit(1);
    }
    fcntl(LISTEN_FD, F_SETFD, FD_CLOEXEC);
    return LISTEN_FD;
}

static int listen_api(struct program *program, const struct kl_daemon_config *config, struct kilter_error *err)
{
    struct kl_http_options http = KL_HTTP_OPTIONS_INIT;
    http.listen_fd = program->listen_fd;
    http.socket_path = program->options.socket ? program->options.socket : config->socket_path.ptr;
    http.group = config->socket_group.len && !program->options.once ? config->socket_group.ptr : NULL;
    http.mode = config->socket_mode;
    if (http.listen_fd < 0 && !program->options.socket) {
        char *directory = strdup(http.socket_path), *slash = directory ? strrchr(directory, '/') : NULL;
        if (slash && slash != directory) {
            *slash = '\0';
            mkdir(directory, 0755);
        }
        free(directory);
    }
    int rc = kl_http_new(&program->loop, &http, &program->http, err);
    if (rc == 0)
        rc = kl_api_new(program->engine, program->http, &program->api, err);
    return rc;
}

static void on_ready(void *data, const char *error)
{
    struct program *program = data;
    struct kilter_error err = KILTER_ERROR_INIT;
    if (program->ending)
        return;
    if (!error && listen_api(program, &program->engine->manifest->daemon, &err) < 0)
        error = err.message;
    if (error) {
        kl_log(KILTER_LOG_ERROR, "%s", error);
        program->failed = true;
        end(program, "it could not start");
        return;
    }
    kl_log(KILTER_LOG_INFO, "kilterd %s: installation '%s', %zu apps", KILTER_VERSION,
           program->engine->manifest->installation.ptr, program->engine->manifest->app_count);
    kl_notify("READY=1\nSTATUS=running");
    if (program->reload_later)
        kl_reload(program->engine, "SIGHUP", on_reloaded, program);
}

static void set_up_log(const struct options *options, const struct kl_daemon_config *config)
{
    enum kilter_log_level level =
        config && config->log_level ? (enum kilter_log_level)config->log_level : KILTER_LOG_INFO;
    if (options->log_level && kl_log_level_parse(kilter_str_c(options->log_level), &level) < 0) {
        fprintf(stderr, "kilterd: --log-level: error, warning, info or debug, not '%s'\n", options->log_level);
        exit(2);
    }
    kl_log_setup(level, options->json ? KL_LOG_JSON : KL_LOG_TEXT);
}

static int start(struct program *program)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kilter_diags *diags = kilter_diags_new(0);
    struct kl_manifest *draft;
    const struct options *options = &program->options;
    if (kl_manifest_load(options->manifest, NULL, &draft, diags) < 0) {
        struct kilter_buf text = KILTER_BUF_INIT(1u << 20);
        kilter_diags_format(&text, diags);
        fprintf(stderr, "%s", text.ptr ? text.ptr : "out of memory\n");
        kilter_buf_release(&text);
        kilter_diags_free(diags);
        return -1;
    }
    kilter_diags_free(diags);
    set_up_log(options, &draft->daemon);
    struct kl_engine_options engine = { options->manifest, options->state, options->once };
    if (kl_engine_start(&program->loop, &engine, draft, on_ready, program, &program->engine, &err) < 0) {
        kl_log(KILTER_LOG_ERROR, "%s", err.message);
        program->failed = true;
        end(program, "it could not start");
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct program program = { .options = { .manifest = "/etc/kilter/kilter.yaml" } };
    program.listen_fd = inherited_socket();
    argp_program_version_hook = print_version;
    argp_parse(&argp, argc, argv, 0, NULL, &program.options);
    signal(SIGPIPE, SIG_IGN);
    umask(0027);
    set_up_log(&program.options, NULL);
    uv_loop_init(&program.loop);
    watch(&program);
    if (program.options.once)
        follow_parent(&program);
    if (start(&program) < 0)
        return 1;
    uv_run(&program.loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&program.loop) != 0)
        kl_log(KILTER_LOG_WARNING, "a handle was left open");
    return program.failed ? 1 : 0;
}
