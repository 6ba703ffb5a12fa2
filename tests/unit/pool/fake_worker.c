/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker that misbehaves on demand, for what the real one never does: wrong
 * frames, no HELLO, deaths at chosen moments. The verb of a job says what to
 * do; the --read option stands for a misbehaviour before the first job.
 */
#include "base/cleanup.h"
#include "wire/codec.h"
#include "wire/frame.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#define SOCKET 3

static struct kilter_arena *arena;
static uint32_t job_id;
static struct kl_frame_reader reader = KL_FRAME_READER_INIT;

static void write_all(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            _exit(0);
        at += n;
        len -= (size_t)n;
    }
}

static void send_frame(enum kl_frame_type type, uint32_t job, const struct kilter_value *value)
{
    struct kilter_buf payload = KILTER_BUF_INIT(KL_FRAME_MAX), out = KILTER_BUF_INIT(2 * KL_FRAME_MAX);
    kl_value_encode(&payload, value);
    kl_frame_write(&out, type, job, kilter_buf_view(&payload));
    write_all(SOCKET, out.ptr, out.len);
    kilter_buf_release(&payload);
    kilter_buf_release(&out);
}

static struct kilter_value *text_map(const char *key, const char *text)
{
    struct kilter_value *map = kilter_map(arena);
    if (key)
        kilter_set(arena, map, key, kilter_string_c(arena, text));
    return map;
}

static void send_phase(const char *plugin, const char *callback)
{
    struct kilter_value *map = text_map(plugin ? "plugin" : NULL, plugin);
    if (callback)
        kilter_set(arena, map, "callback", kilter_string_c(arena, callback));
    send_frame(KL_FRAME_PHASE, job_id, map);
}

static void send_done(int status, const char *message)
{
    struct kilter_value *map = kilter_map(arena);
    kilter_set(arena, map, "status", kilter_int(arena, status));
    kilter_set(arena, map, "pid", kilter_int(arena, getpid()));
    if (message)
        kilter_set(arena, map, "message", kilter_string_c(arena, message));
    send_frame(KL_FRAME_DONE, job_id, map);
}

static void send_hello(int64_t wire)
{
    struct kilter_value *map = kilter_map(arena);
    kilter_set(arena, map, "wire", kilter_int(arena, wire));
    kilter_set(arena, map, "pid", kilter_int(arena, getpid()));
    send_frame(KL_FRAME_HELLO, 0, map);
}

static void send_log(const char *message)
{
    struct kilter_value *map = text_map("message", message);
    kilter_set(arena, map, "level", kilter_int(arena, 6));
    send_frame(KL_FRAME_LOG, job_id, map);
}

/* The next frame; the process ends with its socket. */
static struct kl_frame next_frame(void)
{
    struct kl_frame frame;
    char bytes[65536];
    while (kl_frame_next(&reader, &frame, NULL) != 1) {
        ssize_t n = read(SOCKET, bytes, sizeof(bytes));
        if (n <= 0)
            _exit(0);
        kl_frame_feed(&reader, bytes, (size_t)n);
    }
    return frame;
}

static void sleep_for_ever(void)
{
    for (;;)
        pause();
}

static void wait_for_cancel(void)
{
    while (next_frame().type != KL_FRAME_CANCEL)
        ;
}

/* A child that outlives everything, in our group or in its own session; says its number. */
static void leave_child(bool own_session)
{
    int ready[2];
    char c;
    if (pipe(ready) < 0)
        _exit(9);
    pid_t pid = fork();
    if (pid == 0) {
        if (own_session)
            setsid();
        write_all(ready[1], "x", 1);
        sleep_for_ever();
    }
    if (read(ready[0], &c, 1) != 1)
        _exit(9);
    struct kilter_value *map = kilter_map(arena);
    kilter_set(arena, map, "child", kilter_int(arena, pid));
    send_frame(KL_FRAME_ITEM, job_id, map);
}

static void flood(const char *verb)
{
    static char text[60000];
    memset(text, 'x', sizeof(text) - 2);
    text[100] = '\n';
    for (;;) {
        kilter_arena_reset(arena);
        if (strcmp(verb, "flood-log") == 0)
            send_log(text);
        else if (strcmp(verb, "flood-print") == 0)
            write_all(1, text, sizeof(text) - 1);
        else if (strcmp(verb, "flood-items") == 0)
            send_frame(KL_FRAME_ITEM, job_id, kilter_map(arena));
        else
            send_frame(KL_FRAME_ITEM, job_id, text_map("text", text));
    }
}

static void send_header(uint32_t length, uint32_t type, uint32_t job)
{
    uint32_t header[3] = { length, type, job };
    write_all(SOCKET, header, sizeof(header));
}

static void misbehave_on_the_wire(const char *verb)
{
    if (strcmp(verb, "garbage") == 0) {
        for (int i = 0; i < 1000; i++)
            write_all(SOCKET, "Hello from printf, are you well?\n", 33);
    } else if (strcmp(verb, "long-frame") == 0) {
        send_header(KL_FRAME_MAX + 1, KL_FRAME_ITEM, job_id);
    } else if (strcmp(verb, "undecodable") == 0) {
        send_header(4, KL_FRAME_ITEM, job_id);
        write_all(SOCKET, "\xff\xff\xff\xff", 4);
    } else if (strcmp(verb, "not-a-map") == 0) {
        send_frame(KL_FRAME_ITEM, job_id, kilter_string_c(arena, "text"));
    } else if (strcmp(verb, "wrong-job") == 0) {
        send_frame(KL_FRAME_DONE, job_id + 1, kilter_map(arena));
    } else if (strcmp(verb, "daemons-frame") == 0) {
        send_frame(KL_FRAME_START, job_id, kilter_map(arena));
    } else if (strcmp(verb, "second-hello") == 0) {
        send_hello(KL_WIRE_VERSION);
    } else if (strcmp(verb, "close") == 0) {
        close(SOCKET);
    } else if (strcmp(verb, "half-frame") == 0) {
        send_header(100, KL_FRAME_DONE, job_id);
        write_all(SOCKET, "half", 4);
        _exit(0);
    } else {
        _exit(99);
    }
    sleep_for_ever();
}

static void die(const char *verb)
{
    signal(SIGSEGV, SIG_DFL);
    signal(SIGABRT, SIG_DFL);
    if (strcmp(verb, "segv") == 0)
        raise(SIGSEGV);
    if (strcmp(verb, "abort") == 0)
        raise(SIGABRT);
    if (strcmp(verb, "xcpu") == 0)
        raise(SIGXCPU);
    if (strcmp(verb, "oom-killer") == 0)
        raise(SIGKILL);
    _exit(3);
}

static bool answer_well(const char *verb, const struct kilter_value *arguments)
{
    int64_t number = 0;
    if (strcmp(verb, "ok") == 0) {
        send_done(0, NULL);
    } else if (strcmp(verb, "status") == 0) {
        kilter_get_int(arguments, "status", &number);
        send_done((int)number, "so it is");
    } else if (strcmp(verb, "slow") == 0) {
        kilter_get_int(arguments, "ms", &number);
        usleep((useconds_t)number * 1000);
        send_done(0, NULL);
    } else if (strcmp(verb, "obey-cancel") == 0) {
        wait_for_cancel();
        send_done(KILTER_E_CANCELLED, "cancelled");
    } else if (strcmp(verb, "done-late") == 0) {
        wait_for_cancel();
        send_done(0, NULL);
    } else if (strcmp(verb, "done-and-exit") == 0) {
        send_done(0, NULL);
        _exit(0);
    } else if (strcmp(verb, "done-and-crash") == 0) {
        send_done(0, NULL);
        usleep(20000);
        die("segv");
    } else if (strcmp(verb, "print") == 0) {
        write_all(1, "to stdout\npart", 14);
        write_all(2, "ial\x1b line", 9);
        send_log("to the log");
        send_done(0, NULL);
    } else if (strcmp(verb, "tell-secret") == 0) {
        static const char line[] = "the password is hunter2, and again hunter2hunter2!\n";
        write_all(2, line, sizeof(line) - 1);
        send_done(0, NULL);
    } else if (strcmp(verb, "child") == 0 || strcmp(verb, "child-session") == 0) {
        leave_child(strcmp(verb, "child-session") == 0);
        send_done(0, NULL);
    } else if (strcmp(verb, "environment") == 0) {
        struct kilter_value *map = text_map("secret", getenv("KILTER_TEST_SECRET") ? "seen" : "unseen");
        kilter_set(arena, map, "home", kilter_string_c(arena, getenv("HOME") ? "seen" : "unseen"));
        kilter_set(arena, map, "status", kilter_int(arena, 0));
        send_frame(KL_FRAME_DONE, job_id, map);
    } else {
        return false;
    }
    return true;
}

/* Sends each DATA back as an ITEM, byte by byte, and one of everything else. */
static void echo(struct kilter_value *data)
{
    struct kilter_buf out = KILTER_BUF_INIT(1 << 20), payload = KILTER_BUF_INIT(1 << 20);
    for (size_t i = 0; i < kilter_list_size(data); i++) {
        kilter_buf_clear(&payload);
        kl_value_encode(&payload, kilter_list_at(data, i));
        kl_frame_write(&out, KL_FRAME_ITEM, job_id, kilter_buf_view(&payload));
    }
    for (size_t i = 0; i < out.len; i++)
        write_all(SOCKET, out.ptr + i, 1);
    kilter_buf_release(&out);
    kilter_buf_release(&payload);
    struct kilter_value *diag = text_map("message", "wrong");
    kilter_set(arena, diag, "severity", kilter_string_c(arena, "warning"));
    kilter_set(arena, diag, "code", kilter_string_c(arena, "test.wrong"));
    kilter_set(arena, diag, "file", kilter_string_c(arena, "a.yaml"));
    kilter_set(arena, diag, "line", kilter_int(arena, 7));
    send_frame(KL_FRAME_DIAG, job_id, diag);
    send_log("echoed");
    send_done(0, NULL);
}

static void run_job(const char *verb, const struct kilter_value *arguments, struct kilter_value *data)
{
    if (strcmp(verb, "echo") == 0) {
        echo(data);
        return;
    }
    if (answer_well(verb, arguments))
        return;
    send_phase("fake", "render");
    if (strncmp(verb, "flood", 5) == 0)
        flood(verb);
    if (strcmp(verb, "hang") == 0)
        sleep_for_ever();
    if (strcmp(verb, "item-and-hang") == 0) {
        wait_for_cancel();
        send_frame(KL_FRAME_ITEM, job_id, text_map("kind", "result"));
        sleep_for_ever();
    }
    if (strcmp(verb, "child-and-crash") == 0) {
        leave_child(true);
        die("segv");
    }
    if (strcmp(verb, "outside") == 0) {
        send_phase(NULL, NULL);
        die("segv");
    }
    if (strcmp(verb, "segv") == 0 || strcmp(verb, "abort") == 0 || strcmp(verb, "xcpu") == 0 ||
        strcmp(verb, "oom-killer") == 0 || strcmp(verb, "exit") == 0)
        die(verb);
    misbehave_on_the_wire(verb);
}

static struct kilter_value *decode(struct kl_frame frame)
{
    struct kilter_value *value = NULL;
    if (kl_value_decode(arena, frame.payload, NULL, NULL, &value, NULL) < 0)
        _exit(98);
    return value;
}

static void serve(void)
{
    for (;;) {
        kilter_arena_reset(arena);
        struct kl_frame frame = next_frame();
        if (frame.type == KL_FRAME_CANCEL)
            continue;
        if (frame.type != KL_FRAME_JOB)
            _exit(97);
        job_id = frame.job;
        struct kilter_value *arguments = decode(frame), *data = kilter_list(arena);
        while ((frame = next_frame()).type == KL_FRAME_DATA)
            kilter_list_add(arena, data, decode(frame));
        char verb[64]; /* outlives what a flood does with the arena */
        snprintf(verb, sizeof(verb), "%.*s", KILTER_STR_ARG(kilter_get_text(arguments, "verb")));
        run_job(verb, arguments, data);
    }
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 && strcmp(argv[argc - 2], "--read") == 0 ? argv[argc - 1] : "";
    arena = kilter_arena_new(0);
    if (strcmp(mode, "no-hello") == 0)
        sleep_for_ever();
    if (strcmp(mode, "exit") == 0)
        return 42;
    if (strcmp(mode, "other-version") == 0)
        send_hello(KL_WIRE_VERSION + 1);
    else if (strcmp(mode, "not-a-worker") == 0)
        write_all(SOCKET, "HTTP/1.1 400 Bad Request\r\n", 26);
    else
        send_hello(KL_WIRE_VERSION);
    serve();
}
