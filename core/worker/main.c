/* SPDX-License-Identifier: Apache-2.0 */
/* kilter-worker: runs plugins for kilterd, which starts it with its socket as descriptor 3. */
#include "worker/worker.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define SOCKET 3

static struct kl_worker worker;

enum { OPT_ROLE = 256, OPT_MEMORY, OPT_CPU, OPT_FILES, OPT_OUTPUT, OPT_READ };

static const struct argp_option options[] = {
    { "role", OPT_ROLE, "ROLE", 0, "fetch, render, apply or inspect", 0 },
    { "memory", OPT_MEMORY, "BYTES", 0, "Most memory for data", 0 },
    { "cpu", OPT_CPU, "SECONDS", 0, "Most processor time of one job", 0 },
    { "files", OPT_FILES, "N", 0, "Most open files", 0 },
    { "output", OPT_OUTPUT, "BYTES", 0, "Most bytes that one job may answer", 0 },
    { "read", OPT_READ, "DIR", 0, "What plugins may read in any case; may be repeated", 0 },
    { 0 },
};

static enum kl_worker_role role_of(const char *word)
{
    static const char *const words[] = { "", "fetch", "render", "apply", "inspect" };
    for (size_t i = 1; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(word, words[i]) == 0)
            return (enum kl_worker_role)i;
    return 0;
}

static int64_t number_of(const char *text, struct argp_state *state)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno || end == text || *end || number < 0)
        argp_error(state, "\"%s\" is no number", text);
    return number;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    switch (key) {
    case OPT_ROLE:
        worker.role = role_of(text);
        if (!worker.role)
            argp_error(state, "\"%s\" is no role", text);
        return 0;
    case OPT_MEMORY:
        worker.limits.memory = number_of(text, state);
        return 0;
    case OPT_CPU:
        worker.limits.cpu_seconds = number_of(text, state);
        return 0;
    case OPT_FILES:
        worker.limits.files = number_of(text, state);
        return 0;
    case OPT_OUTPUT:
        worker.max_output = (uint64_t)number_of(text, state);
        return 0;
    case OPT_READ:
        if (worker.read_count == KL_WORKER_MAX_READ)
            argp_error(state, "too many --read");
        worker.read[worker.read_count++] = text;
        return 0;
    case ARGP_KEY_END:
        if (!worker.role)
            argp_error(state, "--role is missing");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void at_exit(void)
{
    kl_worker_explain_exit(&worker);
}

int main(int argc, char **argv)
{
    static const struct argp argp = { options, parse, NULL, "Runs plugins for kilterd, which starts it.",
                                      NULL,    NULL,  NULL };
    struct kilter_error err = KILTER_ERROR_INIT;
    int type;
    socklen_t size = sizeof type;

    argp_parse(&argp, argc, argv, 0, NULL, NULL);
    if (getsockopt(SOCKET, SOL_SOCKET, SO_TYPE, &type, &size) < 0) {
        fprintf(stderr, "kilter-worker: descriptor %d is no socket: kilterd starts this program, people do not\n",
                SOCKET);
        return 2;
    }
    worker.limits.no_files = worker.role == KL_WORKER_RENDER || worker.role == KL_WORKER_INSPECT;
    if (kl_proc_setup(&worker.limits, SOCKET, &err) < 0 || atexit(at_exit) != 0) {
        fprintf(stderr, "kilter-worker: %s\n", err.message);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0); /* a plugin's last words count */
    kl_worker_run(&worker, SOCKET);
}
