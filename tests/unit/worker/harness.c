/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire/codec.h"

const char *build_path(const char *format, ...)
{
    static char paths[16][4096];
    static unsigned next;
    char *path = paths[next++ % 16];
    const char *build = getenv("KILTER_BUILD_DIR");
    ck_assert_msg(build != NULL, "KILTER_BUILD_DIR is not set");
    int n = snprintf(path, sizeof paths[0], "%s/", build);
    va_list args;
    va_start(args, format);
    vsnprintf(path + n, sizeof paths[0] - (size_t)n, format, args);
    va_end(args);
    return path;
}

const char *make_dir(void)
{
    static char dirs[8][64];
    static unsigned next;
    char *dir = dirs[next++ % 8];
    strcpy(dir, "/tmp/kilter-worker-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    return dir;
}

void write_file(const char *dir, const char *name, const char *text)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static int remove_one(const char *path, const struct stat *meta, int type, struct FTW *ftw)
{
    (void)meta, (void)type, (void)ftw;
    return remove(path);
}

void remove_dir(const char *dir)
{
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* --- the process ---------------------------------------------------------------------- */
/* Nothing of Check may be called here: its own pipe is where the socket goes. */
static _Noreturn void exec_worker(const char *program, int socket, int output, const char *role,
                                  const char *const *more)
{
    const char *argv[32] = { "kilter-worker", "--role", role };
    size_t count = 3;
    for (; more && *more && count < 31; more++)
        argv[count++] = *more;
    dup2(output, 1);
    dup2(output, 2);
    if (socket == 3)
        fcntl(3, F_SETFD, 0);
    else
        dup2(socket, 3);
    union {
        const char **in;
        char *const *out;
    } args = { argv };
    execv(program, args.out);
    perror("execv");
    _exit(127);
}

struct worker *worker_start(const char *role, const char *const *more)
{
    struct worker *worker = calloc(1, sizeof *worker);
    int sockets[2], pipes[2];
    const char *program = build_path("libexec/kilter/kilter-worker");
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
    worker->pid = fork();
    ck_assert_int_ge(worker->pid, 0);
    if (worker->pid == 0)
        exec_worker(program, sockets[1], pipes[1], role, more);
    close(sockets[1]);
    close(pipes[1]);
    worker->socket = sockets[0];
    worker->output = pipes[0];
    worker->arena = kilter_arena_new(0);
    worker->reader = (struct kl_frame_reader)KL_FRAME_READER_INIT;

    enum kl_frame_type type;
    struct kilter_value *hello;
    ck_assert_msg(worker_frame(worker, &type, &hello), "the worker ended at once");
    ck_assert_int_eq(type, KL_FRAME_HELLO);
    ck_assert_str_eq(text_at(hello, "wire"), "1");
    ck_assert_int_eq(atoi(text_at(hello, "pid")), worker->pid);
    return worker;
}

void worker_stop(struct worker *worker)
{
    close(worker->socket);
    close(worker->output);
    if (worker->pid > 0)
        waitpid(worker->pid, NULL, 0);
    kl_frame_reader_release(&worker->reader);
    kilter_arena_free(worker->arena);
    free(worker);
}

/* --- talking to it ------------------------------------------------------------------------ */
struct kilter_value *worker_yaml(struct worker *worker, const char *text)
{
    struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
    struct kilter_value *documents = NULL;
    struct kilter_diags *diags = kilter_diags_new(0);
    int rc = kilter_yaml_read(worker->arena, kilter_str_c(text), &options, &documents, diags);
    kilter_diags_free(diags);
    ck_assert_msg(rc == 0, "the test's YAML is wrong: %s", text);
    return documents;
}

static void send_frame(struct worker *worker, enum kl_frame_type type, const struct kilter_value *value)
{
    struct kilter_buf payload = KILTER_BUF_INIT(KL_FRAME_MAX), out = KILTER_BUF_INIT(2 * KL_FRAME_MAX);
    ck_assert_int_eq(kl_value_encode(&payload, value), 0);
    ck_assert_int_eq(kl_frame_write(&out, type, worker->job, kilter_buf_view(&payload)), 0);
    for (size_t sent = 0; sent < out.len;) {
        ssize_t len = send(worker->socket, out.ptr + sent, out.len - sent, MSG_NOSIGNAL);
        ck_assert_msg(len > 0, "the worker does not listen: %s", strerror(errno));
        sent += (size_t)len;
    }
    kilter_buf_release(&payload);
    kilter_buf_release(&out);
}

void worker_send_values(struct worker *worker, struct kilter_value *arguments, struct kilter_value *data)
{
    worker->job++;
    send_frame(worker, KL_FRAME_JOB, arguments);
    for (size_t i = 0; i < kilter_list_size(data); i++)
        send_frame(worker, KL_FRAME_DATA, kilter_list_at(data, i));
    send_frame(worker, KL_FRAME_START, kilter_map(worker->arena));
}

void worker_send(struct worker *worker, const char *arguments, const char *data)
{
    worker_send_values(worker, kilter_list_at(worker_yaml(worker, arguments), 0),
                       data ? worker_yaml(worker, data) : NULL);
}

void worker_cancel(struct worker *worker)
{
    send_frame(worker, KL_FRAME_CANCEL, kilter_map(worker->arena));
}

bool worker_frame(struct worker *worker, enum kl_frame_type *ret_type, struct kilter_value **ret_value)
{
    struct kl_frame frame;
    struct kilter_error err = KILTER_ERROR_INIT;
    int rc;
    while ((rc = kl_frame_next(&worker->reader, &frame, &err)) == 0) {
        char bytes[65536];
        ssize_t len = recv(worker->socket, bytes, sizeof bytes, 0);
        if (len <= 0)
            return false;
        ck_assert_int_eq(kl_frame_feed(&worker->reader, bytes, (size_t)len), 0);
    }
    ck_assert_msg(rc == 1, "the worker talks nonsense: %s", err.message);
    ck_assert_int_eq(kl_value_decode(worker->arena, frame.payload, NULL, NULL, ret_value, &err), 0);
    *ret_type = frame.type;
    return true;
}

struct answer worker_answer(struct worker *worker)
{
    struct answer answer = { .items = kilter_list(worker->arena),
                             .logs = kilter_list(worker->arena),
                             .diags = kilter_list(worker->arena),
                             .phases = kilter_list(worker->arena) };
    enum kl_frame_type type;
    struct kilter_value *value;
    while (!answer.done && worker_frame(worker, &type, &value)) {
        struct kilter_value *list = type == KL_FRAME_ITEM    ? answer.items
                                    : type == KL_FRAME_LOG   ? answer.logs
                                    : type == KL_FRAME_DIAG  ? answer.diags
                                    : type == KL_FRAME_PHASE ? answer.phases
                                                             : NULL;
        if (list)
            kilter_list_add(worker->arena, list, value);
        else if (type == KL_FRAME_DONE)
            answer.done = value;
        else
            ck_abort_msg("unexpected %s", kl_frame_type_name(type));
    }
    if (!answer.done) {
        waitpid(worker->pid, &answer.exit_status, 0);
        worker->pid = 0;
    }
    return answer;
}

struct answer worker_run(struct worker *worker, const char *arguments, const char *data)
{
    worker_send(worker, arguments, data);
    return worker_answer(worker);
}

/* --- looking at answers ------------------------------------------------------------------------ */
const char *text_at(const struct kilter_value *value, const char *path)
{
    static char texts[16][8192];
    static unsigned next;
    char *text = texts[next++ % 16], *part, *rest;
    char copy[512];
    snprintf(copy, sizeof copy, "%s", path);
    for (rest = copy; value && (part = strsep(&rest, "."));)
        value = kilter_type_of(value) == KILTER_LIST ? kilter_list_at(value, (size_t)atoi(part))
                                                     : kilter_get(value, part);
    snprintf(text, sizeof texts[0], "%.*s", KILTER_STR_ARG(value ? kilter_text(value) : KILTER_STR("")));
    return text;
}

int answer_status(const struct answer *answer)
{
    int64_t status = 1;
    return answer->done && kilter_get_int(answer->done, "status", &status) == 0 ? (int)status : 1;
}

const char *answer_message(const struct answer *answer)
{
    return text_at(answer->done, "message");
}

size_t answer_count(const struct answer *answer, const char *kind)
{
    size_t count = 0;
    while (answer_item(answer, kind, count))
        count++;
    return count;
}

struct kilter_value *answer_item(const struct answer *answer, const char *kind, size_t index)
{
    for (size_t i = 0; i < kilter_list_size(answer->items); i++) {
        struct kilter_value *item = kilter_list_at(answer->items, i);
        if (kilter_str_eq_c(kilter_get_text(item, "kind"), kind) && index-- == 0)
            return item;
    }
    return NULL;
}
