/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixture.h: a server on a loop of its own in a thread, with routes that do
 * what the tests need, and clients that speak to it over real sockets.
 */
#ifndef KL_TEST_HTTP_FIXTURE_H
#define KL_TEST_HTTP_FIXTURE_H

#include "http/client.h"
#include "http/server.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>

struct fixture {
    char directory[64];
    char path[128]; /* of the socket */
    uv_loop_t loop;
    uv_async_t stop;
    struct kl_http *http;
    pthread_t thread;
    atomic_int gone;    /* requests whose client went away */
    atomic_int refused; /* stream writes that met the limit */
    atomic_int closed;
};

/* Starts with the options (socket_path is filled in); fails the test when that fails. */
void fixture_start(struct fixture *fixture, struct kl_http_options options);
/* Closes the server, waits for the loop to run out of handles, removes the directory. */
void fixture_stop(struct fixture *fixture);

/* One call; the body is NUL-terminated and lives until the next one of this thread. Fails the test on errors. */
unsigned fixture_call(struct fixture *fixture, const char *method, const char *target, const char *body,
                      const char **ret_body);
/* A connected socket. */
int fixture_connect(struct fixture *fixture);
/* Sends a text, and reads until the server closes or `ms` passed without a byte; NUL-terminated. */
void fixture_send(int fd, const char *text);
size_t fixture_read(int fd, char *bytes, size_t size, int ms);
/* Reads until `text` is there; five seconds at most. */
void fixture_read_until(int fd, char *bytes, size_t size, const char *text);
/* Waits up to ten seconds for a counter to get to a value. */
void fixture_await(const atomic_int *counter, int value);
int64_t fixture_now_ms(void);

Suite *suite_server(void);
Suite *suite_socket(void);
Suite *suite_stream(void);
Suite *suite_client(void);

#endif
