/* SPDX-License-Identifier: Apache-2.0 */
/*
 * harness.h: a real kilter-worker at the other end of a socketpair.
 *
 * A test asks for a worker of a role, runs jobs on it, and looks at what came
 * back. Everything that a job answered lives until the worker is stopped.
 */
#ifndef TEST_WORKER_HARNESS_H
#define TEST_WORKER_HARNESS_H

#include <check.h>
#include <kilter/yaml.h>
#include <sys/types.h>

#include "wire/frame.h"

struct worker {
    pid_t pid;
    int socket;
    int output; /* its stdout and stderr */
    uint32_t job;
    struct kl_frame_reader reader;
    struct kilter_arena *arena;
};

struct answer {
    struct kilter_value *items; /* lists of the payloads */
    struct kilter_value *logs, *diags, *phases;
    struct kilter_value *done; /* NULL: the worker ended without one */
    int exit_status;           /* as waitpid says, when it ended */
};

/* `more`: NULL-terminated further arguments, or NULL. Waits for its HELLO. */
struct worker *worker_start(const char *role, const char *const *more);
/* Closes the socket and waits for its end. */
void worker_stop(struct worker *worker);
/* YAML text as a value of the worker's arena. */
struct kilter_value *worker_yaml(struct worker *worker, const char *text);
/* Starts a job: arguments and data as YAML, one document for each DATA. */
void worker_send(struct worker *worker, const char *arguments, const char *data);
void worker_send_values(struct worker *worker, struct kilter_value *arguments, struct kilter_value *data);
void worker_cancel(struct worker *worker);
/* Reads until DONE or the end of the worker. */
struct answer worker_answer(struct worker *worker);
/* Reads one frame; false at the end. */
bool worker_frame(struct worker *worker, enum kl_frame_type *ret_type, struct kilter_value **ret_value);
struct answer worker_run(struct worker *worker, const char *arguments, const char *data);

/* The status of DONE; 1 when there was none. */
int answer_status(const struct answer *answer);
const char *answer_message(const struct answer *answer);
/* The count of items of a kind, and one of them. */
size_t answer_count(const struct answer *answer, const char *kind);
struct kilter_value *answer_item(const struct answer *answer, const char *kind, size_t index);
/* A member at "a.b.c" of maps, as text; "" when absent. NUL-terminated. */
const char *text_at(const struct kilter_value *value, const char *path);

/* Paths of what the build made: "plugins/probe.so" below tests/, "lib/..." below the build tree. */
const char *build_path(const char *format, ...) KILTER_PRINTF(1, 2);
/* A fresh directory, and its removal. */
const char *make_dir(void);
void write_file(const char *dir, const char *name, const char *text);
void remove_dir(const char *dir);

Suite *loader_suite(void);
Suite *render_suite(void);
Suite *target_suite(void);
Suite *sandbox_suite(void);
Suite *process_suite(void);
Suite *substitute_suite(void);
Suite *diff_suite(void);
Suite *config_suite(void);

#endif
