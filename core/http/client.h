/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h: one HTTP/1.1 exchange over a unix socket, for the command line.
 *
 * Blocking and small on purpose: a connection for each call, no library behind
 * it, nothing to set up. A response's body is bounded; what the server sends
 * beyond, or in a form that is not HTTP, is an error. No state between calls.
 */
#ifndef KL_HTTP_CLIENT_H
#define KL_HTTP_CLIENT_H

#include <kilter/arena.h>

struct kl_client_request {
    const char *socket_path;
    const char *method;
    const char *target;     /* path and query, already encoded */
    struct kilter_str body; /* JSON; absent: none */
    int timeout_ms;         /* between two bytes of the answer; -1: no limit */
    int cancel_fd;          /* readable: give up with KILTER_E_CANCELLED; -1: none */
    size_t max_body;        /* bytes; 0: 256 MiB. Of one line, when there is a line callback */
    /* Called for every line of a 2xx answer as it comes, without its line feed, instead of keeping the
     * body. Another value than 0 ends the call, which returns it. */
    int (*line)(void *data, struct kilter_str line);
    void *line_data;
};

#define KL_CLIENT_REQUEST_INIT                                                                                     \
    {                                                                                                              \
        NULL, "GET", NULL, { NULL, 0 }, -1, -1, 0, NULL, NULL                                                      \
    }

struct kl_client_response {
    unsigned status;
    struct kilter_buf body;
};

#define KL_CLIENT_RESPONSE_INIT                                                                                    \
    {                                                                                                              \
        0, KILTER_BUF_INIT(0)                                                                                      \
    }

/* 0 when an answer of any status arrived. KILTER_E_NOT_FOUND: nobody listens at the socket;
 * KILTER_E_PERMISSION: the socket may not be opened; KILTER_E_TIMEOUT, KILTER_E_CANCELLED, KILTER_E_IO. */
int kl_client_call(const struct kl_client_request *request, struct kl_client_response *ret,
                   struct kilter_error *err);
void kl_client_response_release(struct kl_client_response *response);

/* Appends `text` percent-encoded, so that it is one path segment or one query value. */
int kl_client_encode(struct kilter_buf *out, struct kilter_str text);

#endif
