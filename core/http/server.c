/* SPDX-License-Identifier: Apache-2.0 */
#include "http/server.h"

#include "base/cleanup.h"
#include "http/internal.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* --- turns of libmicrohttpd on the loop ------------------------------------------ */

static void on_timer(uv_timer_t *timer);

static void arm_timer(struct kl_http *http)
{
    MHD_UNSIGNED_LONG_LONG ms = 0;
    if (http->again || MHD_get_timeout(http->daemon, &ms) == MHD_YES)
        uv_timer_start(&http->timer, on_timer, http->again ? 0 : ms, 0);
    else
        uv_timer_stop(&http->timer);
    http->again = false;
}

static void turn(struct kl_http *http)
{
    MHD_run(http->daemon);
    arm_timer(http);
}

static void on_timer(uv_timer_t *timer)
{
    turn(timer->data);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    turn(poll->data);
}

/* --- handles of a request ----------------------------------------------------------- */

static void free_server(struct kl_http *http)
{
    void (*closed)(void *data) = http->closed;
    void *data = http->closed_data;
    free(http->routes);
    free(http->socket_path);
    free(http);
    if (closed)
        closed(data);
}

static void drop_handle(struct kl_http *http)
{
    if (--http->handles == 0)
        free_server(http);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct kl_http_handle *owned = handle->data;
    drop_handle(owned->http);
    free(owned);
}

static struct kl_http_handle *handle_new(struct kl_request *request)
{
    struct kl_http_handle *handle = calloc(1, sizeof(*handle));
    if (!handle)
        return NULL;
    handle->http = request->http;
    handle->request = request;
    request->http->handles++;
    return handle;
}

/* Closes the handle at *at, if there is one. */
static void handle_close(struct kl_http_handle **at)
{
    struct kl_http_handle *handle = kl_steal(*at);
    if (!handle)
        return;
    handle->request = NULL;
    uv_close((uv_handle_t *)&handle->as, on_handle_closed);
}

static void on_late(uv_timer_t *timer)
{
    struct kl_http_handle *handle = timer->data;
    struct kl_request *request = handle->request;
    void (*late)(struct kl_request * request, void *data) = request->late;
    handle_close(&request->timer);
    late(request, request->late_data);
}

int kl_request_deadline(struct kl_request *request, uint64_t ms,
                        void (*late)(struct kl_request *request, void *data), void *data)
{
    handle_close(&request->timer);
    request->late = late;
    request->late_data = data;
    if (!late)
        return 0;
    struct kl_http_handle *handle = handle_new(request);
    if (!handle)
        return KILTER_E_NOMEM;
    uv_timer_init(request->http->loop, &handle->as.timer);
    handle->as.timer.data = handle;
    request->timer = handle;
    uv_timer_start(&handle->as.timer, on_late, ms, 0);
    return 0;
}

bool kl_request_let_go(struct kl_request *request)
{
    bool held = request->held;
    request->held = false;
    handle_close(&request->timer);
    return held;
}

/* --- sleeping and waking --------------------------------------------------------------- */

static int connection_fd(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

void kl_request_wake(struct kl_request *request)
{
    if (!request->suspended)
        return;
    request->suspended = false;
    handle_close(&request->watch);
    MHD_resume_connection(request->connection);
    /* Without a turn of its own a resumed connection sleeps until something else happens. */
    request->http->again = true;
    uv_timer_start(&request->http->timer, on_timer, 0, 0);
}

static void lose_client(struct kl_request *request)
{
    request->dead = true;
    if (kl_request_let_go(request) && request->gone)
        request->gone(request, request->gone_data);
    kl_request_wake(request);
}

static void on_hangup(uv_poll_t *poll_handle, int status, int events)
{
    struct kl_http_handle *handle = poll_handle->data;
    struct kl_request *request = handle->request;
    struct pollfd state = { .fd = connection_fd(request->connection), .events = 0 };
    (void)events;
    /* A client that only closed its sending side still waits for the answer. */
    if (status == 0 && poll(&state, 1, 0) == 0)
        uv_poll_stop(poll_handle);
    else
        lose_client(request);
}

/* libmicrohttpd does not look at a suspended connection's socket; this does. */
static void watch_client(struct kl_request *request)
{
    struct kl_http_handle *handle = handle_new(request);
    if (!handle)
        return;
    if (uv_poll_init(request->http->loop, &handle->as.poll, connection_fd(request->connection)) < 0) {
        request->http->handles--;
        free(handle);
        return;
    }
    handle->as.poll.data = handle;
    request->watch = handle;
    uv_poll_start(&handle->as.poll, UV_DISCONNECT, on_hangup);
}

void kl_request_sleep(struct kl_request *request)
{
    request->suspended = true;
    MHD_suspend_connection(request->connection);
    watch_client(request);
}

/* --- libmicrohttpd's callbacks ------------------------------------------------------------ */

static void link_request(struct kl_http *http, struct kl_request *request)
{
    request->next = http->requests;
    if (request->next)
        request->next->prev = request;
    http->requests = request;
}

static void unlink_request(struct kl_http *http, struct kl_request *request)
{
    if (request->next)
        request->next->prev = request->prev;
    if (request->prev)
        request->prev->next = request->next;
    else
        http->requests = request->next;
}

static struct kl_peer peer_of(struct MHD_Connection *connection)
{
    struct ucred cred = { .uid = (uid_t)-1, .gid = (gid_t)-1, .pid = 0 };
    socklen_t len = sizeof(cred);
    getsockopt(connection_fd(connection), SOL_SOCKET, SO_PEERCRED, &cred, &len);
    return (struct kl_peer){ .uid = cred.uid, .gid = cred.gid, .pid = cred.pid };
}

/* The request line is read. */
static void *on_uri(void *data, const char *uri, struct MHD_Connection *connection)
{
    struct kl_http *http = data;
    struct kl_request *request = calloc(1, sizeof(*request));
    if (!request)
        return NULL;
    request->http = http;
    request->connection = connection;
    request->body.max = http->options.max_body;
    request->arena = kilter_arena_new(KL_REQUEST_ARENA_MAX);
    if (!request->arena) {
        free(request);
        return NULL;
    }
    link_request(http, request);
    if (!kl_request_parse_uri(request, uri))
        request->path = KILTER_STR_NONE;
    return request;
}

static void on_completed(void *data, struct MHD_Connection *connection, void **at,
                         enum MHD_RequestTerminationCode code)
{
    struct kl_request *request = *at;
    (void)data;
    (void)connection;
    (void)code;
    if (!request)
        return;
    *at = NULL;
    request->dead = true;
    request->suspended = false;
    handle_close(&request->watch);
    if (kl_request_let_go(request) && request->gone)
        request->gone(request, request->gone_data);
    if (request->response)
        MHD_destroy_response(request->response);
    unlink_request(request->http, request);
    kilter_buf_release(&request->body);
    kilter_buf_release(&request->unsent);
    kilter_arena_free(request->arena);
    free(request);
}

static void on_connection(void *data, struct MHD_Connection *connection, void **socket_data,
                          enum MHD_ConnectionNotificationCode code)
{
    struct kl_http *http = data;
    (void)connection;
    (void)socket_data;
    http->connections += code == MHD_CONNECTION_NOTIFY_STARTED ? 1u : -1u;
}

/* The headers are read: the route, or why there is none. */
static void begin_request(struct kl_request *request, const char *method)
{
    struct kl_http *http = request->http;
    request->peer = peer_of(request->connection);
    request->method = kilter_arena_str(request->arena, kilter_str_c(method));
    if (!request->path.ptr) {
        kl_request_error(request, 400, "badRequest", NULL, NULL, "the request's path is not well-formed");
        return;
    }
    kl_route_find(http, request);
    struct kilter_str length = kl_request_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (!request->response && length.ptr && strtoull(length.ptr, NULL, 10) > http->options.max_body)
        kl_request_error(request, 413, "tooLarge", NULL, NULL, "the body has %s bytes; %zu are allowed", length.ptr,
                         http->options.max_body);
}

/* Keeps a part of the body. What is too long is read a while longer, so that the client gets to see why;
 * false when even that is too much. */
static bool take_body(struct kl_request *request, const char *bytes, size_t len)
{
    if (request->response)
        return true;
    if (request->refused == 0 && kilter_buf_append(&request->body, bytes, len) == 0)
        return true;
    request->refused += len;
    return request->refused <= 4 * request->body.max;
}

static void dispatch(struct kl_request *request)
{
    request->dispatched = true;
    if (request->response || request->dead)
        return;
    if (request->refused) {
        kl_request_error(request, 413, "tooLarge", NULL, NULL,
                         "the body is longer than the %zu bytes that are allowed", request->body.max);
        return;
    }
    request->held = true;
    request->route->handler(request, request->route->data);
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload, size_t *upload_size,
                                  void **at)
{
    struct kl_request *request = *at;
    (void)data;
    (void)url;
    (void)version;
    if (!request || request->dead)
        return MHD_NO;
    if (!request->method.ptr) {
        begin_request(request, method);
        if (request->response && !request->dead)
            return MHD_queue_response(connection, request->status, request->response);
        return request->dead ? MHD_NO : MHD_YES;
    }
    if (*upload_size) {
        bool fine = take_body(request, upload, *upload_size);
        *upload_size = 0;
        return fine ? MHD_YES : MHD_NO;
    }
    if (!request->dispatched)
        dispatch(request);
    if (request->dead)
        return MHD_NO;
    if (request->response)
        return MHD_queue_response(connection, request->status, request->response);
    kl_request_sleep(request);
    return MHD_YES;
}

/* --- the server's life ------------------------------------------------------------------------ */

static void apply_defaults(struct kl_http_options *options)
{
    if (!options->max_body)
        options->max_body = 1u << 20;
    if (!options->max_header)
        options->max_header = 32u << 10;
    if (!options->max_connections)
        options->max_connections = 256;
    if (!options->idle_timeout_s)
        options->idle_timeout_s = 60;
    if (!options->max_unsent)
        options->max_unsent = 4u << 20;
}

static void discard_log(void *data, const char *format, va_list arguments)
{
    (void)data;
    (void)format;
    (void)arguments;
}

static struct MHD_Daemon *start_daemon(struct kl_http *http, int fd)
{
    const struct kl_http_options *options = &http->options;
    return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request,
                            http, MHD_OPTION_EXTERNAL_LOGGER, discard_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
                            MHD_OPTION_URI_LOG_CALLBACK, on_uri, http, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
                            http, MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_CONNECTION_LIMIT,
                            options->max_connections, MHD_OPTION_CONNECTION_TIMEOUT, options->idle_timeout_s,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, options->max_header, MHD_OPTION_STRICT_FOR_CLIENT,
                            1, MHD_OPTION_END);
}

static void remove_socket_file(struct kl_http *http)
{
    struct stat st;
    if (http->socket_path && lstat(http->socket_path, &st) == 0 && st.st_dev == http->socket_device &&
        st.st_ino == http->socket_inode)
        unlink(http->socket_path);
    free(http->socket_path);
    http->socket_path = NULL;
}

static int open_socket(struct kl_http *http, int *ret_fd, struct kilter_error *err)
{
    const struct kl_http_options *options = &http->options;
    struct stat st;
    if (options->listen_fd >= 0) {
        *ret_fd = options->listen_fd;
        return 0;
    }
    int r = kl_http_listen(options, ret_fd, err);
    if (r < 0)
        return r;
    http->socket_path = strdup(options->socket_path);
    if (http->socket_path && lstat(http->socket_path, &st) == 0) {
        http->socket_device = st.st_dev;
        http->socket_inode = st.st_ino;
        return 0;
    }
    unlink(options->socket_path);
    close(*ret_fd);
    return kilter_error_set(err, KILTER_E_NOMEM, "opening socket %s", options->socket_path);
}

int kl_http_new(uv_loop_t *loop, const struct kl_http_options *options, struct kl_http **ret,
                struct kilter_error *err)
{
    struct kl_http *http = calloc(1, sizeof(*http));
    int fd = -1;
    if (!http)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory for the HTTP server");
    http->loop = loop;
    http->options = *options;
    apply_defaults(&http->options);
    int r = open_socket(http, &fd, err);
    if (r == 0) {
        http->daemon = start_daemon(http, fd);
        if (!http->daemon)
            r = kilter_error_set(err, KILTER_E_INTERNAL, "starting the HTTP server on descriptor %d", fd);
    }
    if (r < 0) {
        remove_socket_file(http);
        if (fd >= 0 && options->listen_fd < 0)
            close(fd);
        free(http);
        return r;
    }
    int epoll = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    uv_timer_init(loop, &http->timer);
    http->timer.data = http;
    r = uv_poll_init(loop, &http->poll, epoll);
    http->poll.data = http;
    http->handles = r < 0 ? 1 : 2;
    if (r < 0) {
        kilter_error_set(err, KILTER_E_INTERNAL, "watching the HTTP server: %s", uv_strerror(r));
        kl_http_close(http, NULL, NULL);
        return KILTER_E_INTERNAL;
    }
    uv_poll_start(&http->poll, UV_READABLE, on_ready);
    arm_timer(http);
    *ret = http;
    return 0;
}

unsigned kl_http_connections(const struct kl_http *http)
{
    return http->connections;
}

static void on_own_closed(uv_handle_t *handle)
{
    drop_handle(handle->data);
}

void kl_http_close(struct kl_http *http, void (*closed)(void *data), void *data)
{
    if (!http)
        return;
    http->closed = closed;
    http->closed_data = data;
    remove_socket_file(http);
    for (struct kl_request *request = http->requests; request; request = request->next)
        lose_client(request); /* libmicrohttpd must not stop while a connection is suspended */
    if (http->handles > 1 && uv_is_active((uv_handle_t *)&http->poll)) {
        uv_poll_stop(&http->poll);
        uv_close((uv_handle_t *)&http->poll, on_own_closed);
    }
    uv_timer_stop(&http->timer);
    uv_close((uv_handle_t *)&http->timer, on_own_closed);
    MHD_stop_daemon(http->daemon);
    http->daemon = NULL;
}
