/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal.h: what the files of the HTTP server share; nobody else includes it.
 *
 * A request's life: made when libmicrohttpd has read the request line; its
 * route is found; its body arrives; the handler is called (`dispatched`). From
 * then on the handler holds it (`held`) until it answers or is told that the
 * client is gone. libmicrohttpd frees it through its completion callback,
 * always after the handler's hold ended.
 */
#ifndef KL_HTTP_INTERNAL_H
#define KL_HTTP_INTERNAL_H

#include "http/server.h"

#include <microhttpd.h>

#define KL_REQUEST_ARENA_MAX (64u << 20) /* bytes; a page of a thousand resources is far below */
#define KL_ROUTE_SEGMENTS 16

struct kl_route {
    const char *method;
    const char *pattern;
    kl_http_handler handler;
    void *data;
};

struct kl_text_pair {
    struct kilter_str name, value;
    struct kl_text_pair *next;
};

struct kl_http {
    uv_loop_t *loop;
    struct MHD_Daemon *daemon;
    struct kl_http_options options;
    char *socket_path;   /* ours to remove, or NULL */
    uv_poll_t poll;      /* libmicrohttpd's epoll */
    uv_timer_t timer;    /* its timeout, and the extra turn after a resume */
    bool again;          /* another turn is due, whatever its timeout says */
    dev_t socket_device; /* of the socket file that was made */
    ino_t socket_inode;
    unsigned handles; /* of the loop that are not closed yet */
    struct kl_route *routes;
    size_t route_count;
    struct kl_request *requests; /* all of them */
    unsigned connections;
    void (*closed)(void *data);
    void *closed_data;
};

/* A loop handle with a life of its own: uv_close ends later than its owner. */
struct kl_http_handle {
    union {
        uv_timer_t timer;
        uv_poll_t poll;
    } as;
    struct kl_http *http;
    struct kl_request *request; /* NULL once it is closing */
};

struct kl_request {
    struct kl_http *http;
    struct kl_request *prev, *next;
    struct MHD_Connection *connection;
    struct kilter_arena *arena;
    struct kilter_str method, path, raw_query;
    struct kl_text_pair *params, *query, *headers; /* headers: of the answer */
    const struct kl_route *route;
    struct kl_peer peer;
    struct kilter_buf body;
    size_t refused; /* bytes beyond max_body that were thrown away */
    bool dispatched, held, suspended, dead;
    void (*gone)(struct kl_request *request, void *data);
    void *gone_data;
    void (*late)(struct kl_request *request, void *data);
    void *late_data;
    struct kl_http_handle *timer, *watch;
    struct MHD_Response *response; /* the answer, once there is one */
    unsigned status;
    bool streaming, ended;
    struct kilter_buf unsent;
    size_t sent; /* bytes of `unsent` that went out */
};

/* server.c */
/* Suspends a request until it is woken, and watches for the client's going away meanwhile. */
void kl_request_sleep(struct kl_request *request);
/* Lets libmicrohttpd look at a suspended request again. */
void kl_request_wake(struct kl_request *request);
/* Ends the handler's hold; true when it was held until now. */
bool kl_request_let_go(struct kl_request *request);

/* answer.c */
/* Bytes for libmicrohttpd to send of a stream; sleeps when there are none. */
ssize_t kl_request_stream_read(void *data, uint64_t position, char *bytes, size_t max);

/* request.c */
/* Splits path and query. False when the text is no valid URI path. */
bool kl_request_parse_uri(struct kl_request *request, const char *uri);

/* route.c */
/* Finds the route and fills the parameters. Without one, answers the request with 404, 405 or 400. */
void kl_route_find(struct kl_http *http, struct kl_request *request);
/* Percent-decodes `text` into the arena; absent when it is malformed or holds a NUL. */
struct kilter_str kl_uri_decode(struct kilter_arena *arena, struct kilter_str text, bool plus_is_blank);

/* listen.c */
int kl_http_listen(const struct kl_http_options *options, int *ret_fd, struct kilter_error *err);

#endif
