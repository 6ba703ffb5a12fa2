/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h: HTTP/1.1 on a unix socket, on the daemon's event loop.
 *
 * A server owns its listening socket, its connections and its requests. All of
 * it, callbacks included, runs on the thread of the loop it was made with;
 * nothing here blocks and nothing is thread-safe.
 *
 * A route's handler gets a request and either answers it before it returns or
 * keeps the pointer and answers later (a deferred request). The pointer and all
 * that was read from it stay valid until the answer is given (for a stream:
 * until kl_request_stream_end), or until the request's `gone` callback returns:
 * exactly one of the two ends the handler's right to it. A handler that keeps
 * a request must therefore set a gone callback with kl_request_on_gone.
 *
 * Every limit is checked before memory is spent: header bytes, body bytes,
 * connections, idle time, and what a stream's slow reader leaves unread.
 */
#ifndef KL_HTTP_SERVER_H
#define KL_HTTP_SERVER_H

#include <kilter/yaml.h>
#include <sys/types.h>
#include <uv.h>

struct kl_http;
struct kl_request;

struct kl_http_options {
    const char *socket_path;  /* created, mode 0660 unless said otherwise; NULL when listen_fd is given */
    const char *group;        /* the socket's group by name; NULL: the process's own */
    mode_t mode;              /* 0: 0660 */
    int listen_fd;            /* a listening unix socket of systemd's, taken over on success; -1: none */
    size_t max_body;          /* bytes; 0: 1 MiB */
    size_t max_header;        /* bytes of the request line and headers together; 0: 32 KiB */
    unsigned max_connections; /* 0: 256 */
    unsigned
        idle_timeout_s; /* a connection that neither sends nor takes bytes; deferred ones do not count. 0: 60 */
    size_t max_unsent;  /* bytes a stream may lag behind; 0: 4 MiB */
};

#define KL_HTTP_OPTIONS_INIT                                                                                       \
    {                                                                                                              \
        NULL, NULL, 0, -1, 0, 0, 0, 0, 0                                                                           \
    }

/* Begins to listen. A socket file that nobody listens on is replaced; one with a live listener is
 * KILTER_E_CONFLICT, anything that is no socket KILTER_E_CONFLICT as well and left alone. */
int kl_http_new(uv_loop_t *loop, const struct kl_http_options *options, struct kl_http **ret,
                struct kilter_error *err);
/* Stops listening, calls the gone callback of every request that is still open, closes all connections,
 * removes the socket file that it made, and calls `closed` (may be NULL) from the loop when the last handle
 * is closed; the server is freed then. Takes NULL. Not to be called from a handler or a gone callback. */
void kl_http_close(struct kl_http *http, void (*closed)(void *data), void *data);
/* Connections open now. */
unsigned kl_http_connections(const struct kl_http *http);

typedef void (*kl_http_handler)(struct kl_request *request, void *data);

/* Adds a route. `pattern` is a path whose segments are texts or {name}, which takes one non-empty segment,
 * percent-decoded after splitting: "/api/v1/apps/{app}/plan". A text wins over a parameter. `method` and
 * `pattern` must live as long as the server. HEAD is served by GET's handler. A path without a route is
 * answered with 404, one with other methods only with 405 and Allow. KILTER_E_NOMEM or KILTER_OK. */
int kl_http_route(struct kl_http *http, const char *method, const char *pattern, kl_http_handler handler,
                  void *data);

/* --- reading a request --------------------------------------------------------
 * Texts are NUL-terminated views that live as long as the request; absent when there is none. */
struct kl_peer {
    uid_t uid;
    gid_t gid;
    pid_t pid;
};

struct kilter_arena *kl_request_arena(struct kl_request *request); /* freed with the request; bounded */
struct kilter_str kl_request_param(const struct kl_request *request, const char *name);
struct kilter_str kl_request_query(const struct kl_request *request, const char *name); /* the last one wins */
struct kilter_str kl_request_header(struct kl_request *request, const char *name);
struct kilter_str kl_request_body(const struct kl_request *request); /* empty when there was none */
/* Who is at the other end, as the kernel says. */
struct kl_peer kl_request_peer(const struct kl_request *request);

/* Readers that answer the request themselves (400, with a message that names the parameter and what is
 * allowed) and return KILTER_E_INVALID when the text is wrong; the handler just returns then. */
/* An integer within limits, or `otherwise` when absent. */
int kl_request_query_int(struct kl_request *request, const char *name, int64_t minimum, int64_t maximum,
                         int64_t otherwise, int64_t *ret);
/* true, false, 1, 0, or nothing after the name (true). */
int kl_request_query_bool(struct kl_request *request, const char *name, bool otherwise, bool *ret);
/* Seconds ("30") or a duration ("1m30s"), in nanoseconds, at most `maximum`. */
int kl_request_query_duration(struct kl_request *request, const char *name, int64_t maximum, int64_t otherwise,
                              int64_t *ret);
/* The body as a JSON map in the request's arena; an empty body is an empty map. `known` is a NULL-terminated
 * list of the keys that may be in it (NULL: any); the nearest one is named for a wrong one. */
int kl_request_body_json(struct kl_request *request, const char *const *known, struct kilter_value **ret);

/* --- waiting --------------------------------------------------------------------
 * The client went away, or the server closes, before the answer: forget the request now. */
void kl_request_on_gone(struct kl_request *request, void (*gone)(struct kl_request *request, void *data),
                        void *data);
/* Calls `late` once after `ms` milliseconds if the request is not answered by then; it should answer.
 * Replaces an earlier deadline; NULL takes it away. */
int kl_request_deadline(struct kl_request *request, uint64_t ms,
                        void (*late)(struct kl_request *request, void *data), void *data);

/* --- answering --------------------------------------------------------------------
 * Each ends the handler's right to the request, whether it succeeded or not: when memory is short the
 * client gets 500 or a closed connection. The bytes are copied. */
void kl_request_respond(struct kl_request *request, unsigned status, const char *content_type,
                        struct kilter_str body);
/* The value as JSON, secrets masked, contents as {$content, size}. */
void kl_request_json(struct kl_request *request, unsigned status, const struct kilter_value *value);
/* {error: {code, message, hint?, diagnostics?: [{severity, code, file, line, column, message, hint}]}}.
 * `code` is a lowerCamelCase word that programs may compare: "notFound". `hint` and `diags` may be NULL. */
void kl_request_error(struct kl_request *request, unsigned status, const char *code, const char *hint,
                      const struct kilter_diags *diags, const char *format, ...) KILTER_PRINTF(6, 7);
/* The diagnostics as a list of such maps, for status answers too. NULL beyond the arena's maximum. */
struct kilter_value *kl_http_diags_value(struct kilter_arena *arena, const struct kilter_diags *diags);
/* Adds a response header to the coming answer. Texts are copied. */
int kl_request_set_header(struct kl_request *request, const char *name, const char *value);

/* --- streams ------------------------------------------------------------------------
 * Begins an answer of unknown length; bytes are sent as they are written. Write and end may be called from
 * anywhere on the loop, until the gone callback. A request whose gone callback was not set cannot stream. */
int kl_request_stream_begin(struct kl_request *request, unsigned status, const char *content_type,
                            struct kilter_error *err);
/* KILTER_E_LIMIT when the reader lags behind by more than max_unsent: end the stream then. */
int kl_request_stream_write(struct kl_request *request, struct kilter_str bytes);
/* One JSON value and a line feed. */
int kl_request_stream_json(struct kl_request *request, const struct kilter_value *value);
void kl_request_stream_end(struct kl_request *request);

#endif
