/* SPDX-License-Identifier: Apache-2.0 */
#include "http/client.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

#define HEADER_MAX 65536u /* bytes of the status line and the headers */

/* --- the connection ------------------------------------------------------------- */

struct exchange {
    const struct kl_client_request *request;
    struct kl_client_response *response;
    int fd;
    char bytes[16384]; /* received and not yet used: from `at` to `end` */
    size_t at, end;
    struct kilter_buf line;
};

static int open_connection(const char *path, int *ret_fd, struct kilter_error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t len = strlen(path);
    if (len >= sizeof(address.sun_path))
        return kilter_error_set(err, KILTER_E_LIMIT,
                                "the socket's path %s is longer than the %zu bytes that are allowed", path,
                                sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, len + 1);
    KL_CLEANUP(kl_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return kilter_error_errno(err, errno, "making a socket");
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        int code = errno;
        kilter_error_errno(err, code, "connecting to %s", path);
        if (err && code == ECONNREFUSED)
            err->code = KILTER_E_NOT_FOUND;
        return code == ECONNREFUSED ? KILTER_E_NOT_FOUND : err ? err->code : KILTER_E_IO;
    }
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return kilter_error_errno(err, errno, "setting up the connection to %s", path);
    *ret_fd = kl_steal_fd(&fd);
    return 0;
}

/* Waits until the connection can be read or written. */
static int wait_for(const struct exchange *x, short events, struct kilter_error *err)
{
    struct pollfd fds[2] = { { .fd = x->fd, .events = events }, { .fd = x->request->cancel_fd, .events = POLLIN } };
    int64_t end = kl_clock_monotonic_ns() + x->request->timeout_ms * KL_NS_PER_MS;
    for (;;) {
        int64_t left = x->request->timeout_ms < 0 ? -1 : (end - kl_clock_monotonic_ns()) / KL_NS_PER_MS;
        if (x->request->timeout_ms >= 0 && left < 0)
            left = 0;
        int n = poll(fds, 2, (int)left);
        if (n < 0 && errno != EINTR)
            return kilter_error_errno(err, errno, "waiting for the daemon");
        if (n == 0)
            return kilter_error_set(err, KILTER_E_TIMEOUT, "the daemon at %s did not answer within %d ms",
                                    x->request->socket_path, x->request->timeout_ms);
        if (n > 0 && fds[1].revents)
            return kilter_error_set(err, KILTER_E_CANCELLED, "interrupted");
        if (n > 0)
            return 0;
    }
}

/* A server that refuses a body early closes before it has read all: its answer is still there to be read. */
static int send_all(struct exchange *x, struct kilter_str bytes, struct kilter_error *err)
{
    size_t sent = 0;
    while (sent < bytes.len) {
        ssize_t n = send(x->fd, bytes.ptr + sent, bytes.len - sent, MSG_NOSIGNAL);
        if (n > 0) {
            sent += (size_t)n;
        } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            int r = wait_for(x, POLLOUT, err);
            if (r < 0)
                return r;
        } else if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
            return 0;
        } else if (n < 0 && errno != EINTR) {
            return kilter_error_errno(err, errno, "sending to %s", x->request->socket_path);
        }
    }
    return 0;
}

/* Makes bytes[at..end) non-empty; 1 when there are some, 0 at the end of the connection. */
static int receive(struct exchange *x, struct kilter_error *err)
{
    while (x->at == x->end) {
        ssize_t n = recv(x->fd, x->bytes, sizeof(x->bytes), 0);
        x->at = 0;
        x->end = n > 0 ? (size_t)n : 0;
        if (n == 0)
            return 0;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            int r = wait_for(x, POLLIN, err);
            if (r < 0)
                return r;
        } else if (n < 0 && errno != EINTR) {
            return kilter_error_errno(err, errno, "reading from %s", x->request->socket_path);
        }
    }
    return 1;
}

static int cut_short(const struct exchange *x, struct kilter_error *err)
{
    return kilter_error_set(err, KILTER_E_IO, "the daemon at %s closed the connection in the middle of its answer",
                            x->request->socket_path);
}

static int no_http(const struct exchange *x, const char *what, struct kilter_error *err)
{
    return kilter_error_set(err, KILTER_E_INVALID, "what listens at %s does not speak HTTP as kilterd does: %s",
                            x->request->socket_path, what);
}

/* Reads a line of the frame (status, header, chunk size) without its CR LF into `line`. */
static int read_line(struct exchange *x, struct kilter_buf *line, struct kilter_error *err)
{
    kilter_buf_clear(line);
    for (;;) {
        int r = receive(x, err);
        if (r <= 0)
            return r < 0 ? r : cut_short(x, err);
        char c = x->bytes[x->at++];
        if (c == '\n')
            break;
        if (kilter_buf_char(line, c) < 0)
            return no_http(x, "a line is too long", err);
    }
    if (line->len && line->ptr[line->len - 1] == '\r')
        line->ptr[--line->len] = '\0';
    return kilter_buf_append(line, "", 0);
}

/* --- the body -------------------------------------------------------------------- */

static int take_lines(struct exchange *x, struct kilter_str bytes, struct kilter_error *err)
{
    size_t at = 0;
    while (at < bytes.len) {
        ptrdiff_t feed = kilter_str_find(bytes, '\n', at);
        size_t end = feed < 0 ? bytes.len : (size_t)feed;
        if (kilter_buf_append(&x->line, bytes.ptr + at, end - at) < 0)
            return kilter_error_set(err, KILTER_E_LIMIT, "a line of the daemon's answer is too long");
        at = end + 1;
        if (feed < 0)
            break;
        int r = x->request->line(x->request->line_data, kilter_buf_view(&x->line));
        kilter_buf_clear(&x->line);
        if (r != 0)
            return r;
    }
    return 0;
}

static int take(struct exchange *x, struct kilter_str bytes, struct kilter_error *err)
{
    if (x->request->line && x->response->status / 100 == 2)
        return take_lines(x, bytes, err);
    if (kilter_buf_str(&x->response->body, bytes) < 0)
        return kilter_error_set(err, KILTER_E_LIMIT, "the daemon's answer is longer than %zu bytes",
                                x->response->body.max);
    return 0;
}

/* Takes `len` bytes of the body, or all until the connection ends when len is SIZE_MAX. */
static int read_bytes(struct exchange *x, size_t len, struct kilter_error *err)
{
    while (len > 0) {
        int r = receive(x, err);
        if (r == 0 && len == SIZE_MAX)
            return 0;
        if (r <= 0)
            return r < 0 ? r : cut_short(x, err);
        size_t have = x->end - x->at < len ? x->end - x->at : len;
        r = take(x, kilter_str_n(x->bytes + x->at, have), err);
        x->at += have;
        if (len != SIZE_MAX)
            len -= have;
        if (r != 0)
            return r;
    }
    return 0;
}

static int read_chunks(struct exchange *x, struct kilter_buf *line, struct kilter_error *err)
{
    for (;;) {
        char *end;
        int r = read_line(x, line, err);
        if (r < 0)
            return r;
        if (line->len == 0)
            return no_http(x, "a chunk has no size", err);
        unsigned long size = strtoul(line->ptr, &end, 16);
        if (end == line->ptr || size > (1ul << 40))
            return no_http(x, "a chunk's size is wrong", err);
        if (size == 0)
            return 0;
        r = read_bytes(x, size, err);
        if (r == 0)
            r = read_line(x, line, err);
        if (r != 0)
            return r;
    }
}

static int parse_status(struct exchange *x, const struct kilter_buf *line, struct kilter_error *err)
{
    unsigned status;
    if (line->len < 12 || sscanf(line->ptr, "HTTP/1.%*1[01] %3u", &status) != 1 || status < 100)
        return no_http(x, "its answer has no status line", err);
    x->response->status = status;
    return 0;
}

static int read_response(struct exchange *x, struct kilter_buf *line, struct kilter_error *err)
{
    size_t length = SIZE_MAX, header_bytes = 0;
    bool chunked = false;
    int r = read_line(x, line, err);
    if (r == 0)
        r = parse_status(x, line, err);
    while (r == 0 && (r = read_line(x, line, err)) == 0 && line->len > 0) {
        header_bytes += line->len;
        if (header_bytes > HEADER_MAX)
            return no_http(x, "its headers are too long", err);
        if (strncasecmp(line->ptr, "content-length:", 15) == 0)
            length = strtoull(line->ptr + 15, NULL, 10);
        else if (strncasecmp(line->ptr, "transfer-encoding:", 18) == 0)
            chunked = strstr(line->ptr, "chunked") != NULL;
    }
    if (r < 0)
        return r;
    return chunked ? read_chunks(x, line, err) : read_bytes(x, length, err);
}

static int send_request(struct exchange *x, struct kilter_error *err)
{
    const struct kl_client_request *request = x->request;
    struct kilter_buf head = KILTER_BUF_INIT(HEADER_MAX);
    kilter_buf_printf(&head,
                      "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: application/json\r\n",
                      request->method, request->target);
    if (request->body.ptr)
        kilter_buf_printf(&head, "Content-Type: application/json\r\nContent-Length: %zu\r\n", request->body.len);
    else if (strcmp(request->method, "GET") != 0)
        kilter_buf_c(&head, "Content-Length: 0\r\n");
    kilter_buf_c(&head, "\r\n");
    int r = head.failed ? kilter_error_set(err, KILTER_E_LIMIT, "the request is too long") : 0;
    if (r == 0)
        r = send_all(x, kilter_buf_view(&head), err);
    if (r == 0 && request->body.len)
        r = send_all(x, request->body, err);
    kilter_buf_release(&head);
    return r;
}

int kl_client_call(const struct kl_client_request *request, struct kl_client_response *ret,
                   struct kilter_error *err)
{
    struct exchange *x = calloc(1, sizeof(*x));
    if (!x)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    struct kilter_buf line = KILTER_BUF_INIT(HEADER_MAX);
    x->request = request;
    x->response = ret;
    x->line.max = request->max_body ? request->max_body : 16u << 20;
    ret->body.max = request->max_body ? request->max_body : 256u << 20;
    kilter_buf_clear(&ret->body);
    int r = open_connection(request->socket_path, &x->fd, err);
    if (r == 0) {
        r = send_request(x, err);
        if (r == 0)
            r = read_response(x, &line, err);
        close(x->fd);
    }
    kilter_buf_release(&line);
    kilter_buf_release(&x->line);
    free(x);
    return r;
}

void kl_client_response_release(struct kl_client_response *response)
{
    kilter_buf_release(&response->body);
}

int kl_client_encode(struct kilter_buf *out, struct kilter_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                     c == '.' || c == '_' || c == '~' || c == '@';
        int r = plain ? kilter_buf_char(out, (char)c) : kilter_buf_printf(out, "%%%02X", c);
        if (r < 0)
            return r;
    }
    return 0;
}
