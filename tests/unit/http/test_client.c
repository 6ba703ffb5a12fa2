/* SPDX-License-Identifier: Apache-2.0 */
#include "http/fixture.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A server that says one fixed thing and closes. */
struct canned {
    char directory[64];
    char path[128];
    const char *text;
    int fd;
    bool stays; /* keeps the connection open afterwards */
    pthread_t thread;
};

static void *serve(void *data)
{
    struct canned *canned = data;
    char bytes[4096];
    int fd = accept(canned->fd, NULL, NULL);
    (void)!recv(fd, bytes, sizeof(bytes), 0);
    (void)!send(fd, canned->text, strlen(canned->text), MSG_NOSIGNAL);
    if (canned->stays)
        while (recv(fd, bytes, sizeof(bytes), 0) > 0)
            ;
    close(fd);
    return NULL;
}

static void canned_start(struct canned *canned, const char *text, bool stays)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    strcpy(canned->directory, "/tmp/kilter-http-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(canned->directory));
    snprintf(canned->path, sizeof(canned->path), "%s/socket", canned->directory);
    strcpy(address.sun_path, canned->path);
    canned->text = text;
    canned->stays = stays;
    canned->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(canned->fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(canned->fd, 1), 0);
    pthread_create(&canned->thread, NULL, serve, canned);
}

static void canned_stop(struct canned *canned)
{
    pthread_join(canned->thread, NULL);
    close(canned->fd);
    unlink(canned->path);
    rmdir(canned->directory);
}

static int call(const char *path, struct kl_client_response *response, struct kilter_error *err)
{
    struct kl_client_request request = KL_CLIENT_REQUEST_INIT;
    request.socket_path = path;
    request.target = "/";
    request.timeout_ms = 300;
    return kl_client_call(&request, response, err);
}

static int call_canned(const char *text, bool stays, struct kl_client_response *response, struct kilter_error *err)
{
    struct canned canned;
    canned_start(&canned, text, stays);
    int r = call(canned.path, response, err);
    canned_stop(&canned);
    return r;
}

START_TEST(nobody_at_the_socket_is_not_found)
{
    struct kl_client_response response = KL_CLIENT_RESPONSE_INIT;
    struct kilter_error err = KILTER_ERROR_INIT;
    ck_assert_int_eq(call("/tmp/kilter-no-such-socket", &response, &err), KILTER_E_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.message, "/tmp/kilter-no-such-socket"));
}
END_TEST

START_TEST(a_body_by_length_by_chunks_and_to_the_end_is_read)
{
    static const char *const texts[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nhello",
    };
    for (size_t i = 0; i < 3; i++) {
        struct kl_client_response response = KL_CLIENT_RESPONSE_INIT;
        struct kilter_error err = KILTER_ERROR_INIT;
        int r = call_canned(texts[i], i < 2, &response, &err);
        ck_assert_msg(r == 0, "%zu: %s", i, err.message);
        ck_assert_uint_eq(response.status, 200);
        ck_assert_str_eq(response.body.ptr, "hello");
        kl_client_response_release(&response);
    }
}
END_TEST

START_TEST(a_truncated_answer_is_an_error)
{
    static const char *const texts[] = {
        "",
        "HTTP/1.1 200 OK\r\nContent-",
        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n",
    };
    for (size_t i = 0; i < 4; i++) {
        struct kl_client_response response = KL_CLIENT_RESPONSE_INIT;
        struct kilter_error err = KILTER_ERROR_INIT;
        ck_assert_int_eq(call_canned(texts[i], false, &response, &err), KILTER_E_IO);
        ck_assert_ptr_nonnull(strstr(err.message, "in the middle of its answer"));
        kl_client_response_release(&response);
    }
}
END_TEST

START_TEST(what_is_not_http_is_named)
{
    static const char *const texts[] = {
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
    };
    for (size_t i = 0; i < 3; i++) {
        struct kl_client_response response = KL_CLIENT_RESPONSE_INIT;
        struct kilter_error err = KILTER_ERROR_INIT;
        ck_assert_int_eq(call_canned(texts[i], false, &response, &err), KILTER_E_INVALID);
        ck_assert_ptr_nonnull(strstr(err.message, "does not speak HTTP"));
        kl_client_response_release(&response);
    }
}
END_TEST

START_TEST(silence_ends_at_the_timeout)
{
    struct kl_client_response response = KL_CLIENT_RESPONSE_INIT;
    struct kilter_error err = KILTER_ERROR_INIT;
    int64_t begun = fixture_now_ms();
    ck_assert_int_eq(call_canned("HTTP/1.1 200", true, &response, &err), KILTER_E_TIMEOUT);
    ck_assert_int_ge(fixture_now_ms() - begun, 290);
    kl_client_response_release(&response);
}
END_TEST

START_TEST(an_answer_beyond_the_maximum_is_refused)
{
    struct canned canned;
    struct kl_client_request request = KL_CLIENT_REQUEST_INIT;
    struct kl_client_response response = KL_CLIENT_RESPONSE_INIT;
    canned_start(&canned, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false);
    request.socket_path = canned.path;
    request.target = "/";
    request.max_body = 4;
    ck_assert_int_eq(kl_client_call(&request, &response, NULL), KILTER_E_LIMIT);
    kl_client_response_release(&response);
    canned_stop(&canned);
}
END_TEST

START_TEST(a_cancelled_call_ends_at_once)
{
    struct canned canned;
    struct kl_client_request request = KL_CLIENT_REQUEST_INIT;
    struct kl_client_response response = KL_CLIENT_RESPONSE_INIT;
    canned_start(&canned, "", true);
    request.socket_path = canned.path;
    request.target = "/";
    request.cancel_fd = eventfd(1, EFD_CLOEXEC);
    ck_assert_int_eq(kl_client_call(&request, &response, NULL), KILTER_E_CANCELLED);
    close(request.cancel_fd);
    kl_client_response_release(&response);
    canned_stop(&canned);
}
END_TEST

START_TEST(texts_are_encoded_as_one_segment)
{
    struct kilter_buf out = KILTER_BUF_INIT(100);
    kl_client_encode(&out, KILTER_STR("shop@prod/a b?&%\xc3\xa9"));
    ck_assert_str_eq(out.ptr, "shop@prod%2Fa%20b%3F%26%25%C3%A9");
    kilter_buf_release(&out);
}
END_TEST

Suite *suite_client(void)
{
    Suite *suite = suite_create("http client");
    TCase *tcase = tcase_create("calls");
    tcase_add_test(tcase, nobody_at_the_socket_is_not_found);
    tcase_add_test(tcase, a_body_by_length_by_chunks_and_to_the_end_is_read);
    tcase_add_test(tcase, a_truncated_answer_is_an_error);
    tcase_add_test(tcase, what_is_not_http_is_named);
    tcase_add_test(tcase, silence_ends_at_the_timeout);
    tcase_add_test(tcase, an_answer_beyond_the_maximum_is_refused);
    tcase_add_test(tcase, a_cancelled_call_ends_at_once);
    tcase_add_test(tcase, texts_are_encoded_as_one_segment);
    suite_add_tcase(suite, tcase);
    return suite;
}
