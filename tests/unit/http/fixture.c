/* SPDX-License-Identifier: Apache-2.0 */
#include "http/fixture.h"

#include "base/clock.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* --- routes ---------------------------------------------------------------------- */

static void answer_text(struct kl_request *request, const char *key, struct kilter_str text)
{
    struct kilter_arena *arena = kl_request_arena(request);
    struct kilter_value *map = kilter_map(arena);
    kilter_set(arena, map, key, kilter_string(arena, text));
    kl_request_json(request, 200, map);
}

static void on_hello(struct kl_request *request, void *data)
{
    struct kilter_str name = kl_request_query(request, "name");
    (void)data;
    answer_text(request, "hello", name.ptr ? name : KILTER_STR("nobody"));
}

static void on_item(struct kl_request *request, void *data)
{
    answer_text(request, data, kl_request_param(request, "name"));
}

static void on_numbers(struct kl_request *request, void *data)
{
    int64_t limit, timeout;
    bool on;
    (void)data;
    if (kl_request_query_int(request, "limit", 1, 1000, 100, &limit) < 0 ||
        kl_request_query_bool(request, "on", false, &on) < 0 ||
        kl_request_query_duration(request, "timeout", INT64_C(600000000000), 0, &timeout) < 0)
        return;
    struct kilter_arena *arena = kl_request_arena(request);
    struct kilter_value *map = kilter_map(arena);
    kilter_set(arena, map, "limit", kilter_int(arena, limit));
    kilter_set(arena, map, "on", kilter_bool(arena, on));
    kilter_set(arena, map, "timeout", kilter_int(arena, timeout / 1000000));
    kl_request_json(request, 200, map);
}

static void on_peer(struct kl_request *request, void *data)
{
    struct kl_peer peer = kl_request_peer(request);
    struct kilter_arena *arena = kl_request_arena(request);
    struct kilter_value *map = kilter_map(arena);
    (void)data;
    kilter_set(arena, map, "uid", kilter_int(arena, peer.uid));
    kilter_set(arena, map, "pid", kilter_int(arena, peer.pid));
    kl_request_json(request, 200, map);
}

static void on_echo(struct kl_request *request, void *data)
{
    static const char *const known[] = { "wait", "prune", "text", NULL };
    struct kilter_value *body;
    (void)data;
    if (kl_request_body_json(request, known, &body) == 0)
        kl_request_json(request, 200, body);
}

static void on_size(struct kl_request *request, void *data)
{
    struct kilter_arena *arena = kl_request_arena(request);
    struct kilter_value *map = kilter_map(arena);
    (void)data;
    kilter_set(arena, map, "size", kilter_uint(arena, kl_request_body(request).len));
    kl_request_json(request, 200, map);
}

static void on_gone(struct kl_request *request, void *data)
{
    struct fixture *fixture = data;
    (void)request;
    atomic_fetch_add(&fixture->gone, 1);
}

static void on_late(struct kl_request *request, void *data)
{
    (void)data;
    answer_text(request, "result", KILTER_STR("late"));
}

static void on_later(struct kl_request *request, void *data)
{
    int64_t ms;
    if (kl_request_query_int(request, "ms", 0, 10000, 0, &ms) < 0)
        return;
    kl_request_on_gone(request, on_gone, data);
    kl_request_deadline(request, (uint64_t)ms, on_late, NULL);
}

static void on_hold(struct kl_request *request, void *data)
{
    kl_request_on_gone(request, on_gone, data);
}

/* Two lines, 400 ms apart. */
static void on_second_line(struct kl_request *request, void *data)
{
    (void)data;
    kl_request_stream_write(request, KILTER_STR("{\"line\":2}\n"));
    kl_request_stream_end(request);
}

static void on_lines(struct kl_request *request, void *data)
{
    kl_request_on_gone(request, on_gone, data);
    if (kl_request_stream_begin(request, 200, "application/jsonl", NULL) < 0)
        return;
    kl_request_stream_write(request, KILTER_STR("{\"line\":1}\n"));
    kl_request_deadline(request, 400, on_second_line, NULL);
}

/* More than a slow reader may leave unread. */
static void on_flood(struct kl_request *request, void *data)
{
    struct fixture *fixture = data;
    static char block[65536];
    kl_request_on_gone(request, on_gone, data);
    if (kl_request_stream_begin(request, 200, "text/plain", NULL) < 0)
        return;
    memset(block, 'x', sizeof(block));
    int r = 0;
    for (int i = 0; r == 0 && i < 1000; i++)
        r = kl_request_stream_write(request, kilter_str_n(block, sizeof(block)));
    if (r == KILTER_E_LIMIT)
        atomic_fetch_add(&fixture->refused, 1);
    kl_request_stream_end(request);
}

/* A body that does not fit into any socket buffer. */
static void on_big(struct kl_request *request, void *data)
{
    size_t size = 8u << 20;
    char *bytes = malloc(size);
    (void)data;
    memset(bytes, 'b', size);
    kl_request_respond(request, 200, "text/plain", kilter_str_n(bytes, size));
    free(bytes);
}

static void add_routes(struct fixture *fixture)
{
    static char fixed[] = "fixed", item[] = "item";
    kl_http_route(fixture->http, "GET", "/hello", on_hello, fixture);
    kl_http_route(fixture->http, "GET", "/parts/{name}", on_item, item);
    kl_http_route(fixture->http, "GET", "/parts/fixed", on_item, fixed);
    kl_http_route(fixture->http, "GET", "/numbers", on_numbers, fixture);
    kl_http_route(fixture->http, "GET", "/peer", on_peer, fixture);
    kl_http_route(fixture->http, "POST", "/echo", on_echo, fixture);
    kl_http_route(fixture->http, "POST", "/size", on_size, fixture);
    kl_http_route(fixture->http, "GET", "/later", on_later, fixture);
    kl_http_route(fixture->http, "GET", "/hold", on_hold, fixture);
    kl_http_route(fixture->http, "GET", "/lines", on_lines, fixture);
    kl_http_route(fixture->http, "GET", "/flood", on_flood, fixture);
    kl_http_route(fixture->http, "GET", "/big", on_big, fixture);
}

/* --- the server ---------------------------------------------------------------------- */

static void on_closed(void *data)
{
    struct fixture *fixture = data;
    atomic_fetch_add(&fixture->closed, 1);
}

static void on_stop(uv_async_t *async)
{
    struct fixture *fixture = async->data;
    kl_http_close(fixture->http, on_closed, fixture);
    uv_close((uv_handle_t *)async, NULL);
}

static void *run(void *data)
{
    struct fixture *fixture = data;
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    return NULL;
}

void fixture_start(struct fixture *fixture, struct kl_http_options options)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    memset(fixture, 0, sizeof(*fixture));
    strcpy(fixture->directory, "/tmp/kilter-http-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(fixture->directory));
    snprintf(fixture->path, sizeof(fixture->path), "%s/socket", fixture->directory);
    if (options.listen_fd < 0)
        options.socket_path = fixture->path;
    ck_assert_int_eq(uv_loop_init(&fixture->loop), 0);
    int r = kl_http_new(&fixture->loop, &options, &fixture->http, &err);
    ck_assert_msg(r == 0, "%s", err.message);
    add_routes(fixture);
    ck_assert_int_eq(uv_async_init(&fixture->loop, &fixture->stop, on_stop), 0);
    fixture->stop.data = fixture;
    ck_assert_int_eq(pthread_create(&fixture->thread, NULL, run, fixture), 0);
}

void fixture_stop(struct fixture *fixture)
{
    uv_async_send(&fixture->stop);
    pthread_join(fixture->thread, NULL);
    ck_assert_int_eq(atomic_load(&fixture->closed), 1);
    ck_assert_int_eq(uv_loop_close(&fixture->loop), 0);
    unlink(fixture->path);
    ck_assert_int_eq(rmdir(fixture->directory), 0);
}

/* --- clients --------------------------------------------------------------------------- */

unsigned fixture_call(struct fixture *fixture, const char *method, const char *target, const char *body,
                      const char **ret_body)
{
    static _Thread_local struct kl_client_response response;
    struct kl_client_request request = KL_CLIENT_REQUEST_INIT;
    struct kilter_error err = KILTER_ERROR_INIT;
    kl_client_response_release(&response);
    request.socket_path = fixture->path;
    request.method = method;
    request.target = target;
    request.body = kilter_str_c(body);
    request.timeout_ms = 5000;
    int r = kl_client_call(&request, &response, &err);
    ck_assert_msg(r == 0, "%s %s: %s", method, target, err.message);
    if (ret_body)
        *ret_body = response.body.ptr ? response.body.ptr : "";
    return response.status;
}

int fixture_connect(struct fixture *fixture)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strcpy(address.sun_path, fixture->path);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

void fixture_send(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

size_t fixture_read(int fd, char *bytes, size_t size, int ms)
{
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    size_t len = 0;
    while (len + 1 < size && poll(&ready, 1, ms) == 1) {
        ssize_t n = recv(fd, bytes + len, size - 1 - len, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    bytes[len] = '\0';
    return len;
}

void fixture_read_until(int fd, char *bytes, size_t size, const char *text)
{
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    size_t len = 0;
    bytes[0] = '\0';
    while (!strstr(bytes, text) && len + 1 < size && poll(&ready, 1, 5000) == 1) {
        ssize_t n = recv(fd, bytes + len, size - 1 - len, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
        bytes[len] = '\0';
    }
    ck_assert_msg(strstr(bytes, text) != NULL, "no %s in: %s", text, bytes);
}

void fixture_await(const atomic_int *counter, int value)
{
    for (int i = 0; i < 2000 && atomic_load(counter) != value; i++)
        poll(NULL, 0, 5);
    ck_assert_int_eq(atomic_load(counter), value);
}

int64_t fixture_now_ms(void)
{
    return kl_clock_monotonic_ns() / 1000000;
}
