/* SPDX-License-Identifier: Apache-2.0 */
#include "http/fixture.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct fixture fixture;

static void start(void)
{
    struct kl_http_options options = KL_HTTP_OPTIONS_INIT;
    options.max_unsent = 1u << 20;
    fixture_start(&fixture, options);
}

static void stop(void)
{
    fixture_stop(&fixture);
}

struct lines {
    int count;
    int64_t at_ms[4];
    int stop_after;
};

static int on_line(void *data, struct kilter_str line)
{
    struct lines *lines = data;
    ck_assert_int_lt(lines->count, 4);
    ck_assert_uint_eq(line.len, strlen("{\"line\":1}"));
    lines->at_ms[lines->count++] = fixture_now_ms();
    return lines->count == lines->stop_after ? 77 : 0;
}

static int follow(struct lines *lines)
{
    struct kl_client_request request = KL_CLIENT_REQUEST_INIT;
    struct kl_client_response response = KL_CLIENT_RESPONSE_INIT;
    request.socket_path = fixture.path;
    request.target = "/lines";
    request.timeout_ms = 5000;
    request.line = on_line;
    request.line_data = lines;
    int r = kl_client_call(&request, &response, NULL);
    kl_client_response_release(&response);
    return r;
}

START_TEST(a_line_arrives_when_it_is_written)
{
    struct lines lines = { 0 };
    ck_assert_int_eq(follow(&lines), 0);
    ck_assert_int_eq(lines.count, 2);
    ck_assert_int_ge(lines.at_ms[1] - lines.at_ms[0], 150);
    ck_assert_int_eq(atomic_load(&fixture.gone), 0);
}
END_TEST

START_TEST(a_reader_that_leaves_is_noticed)
{
    struct lines lines = { .stop_after = 1 };
    ck_assert_int_eq(follow(&lines), 77);
    fixture_await(&fixture.gone, 1);
}
END_TEST

START_TEST(a_reader_that_lags_behind_meets_the_limit)
{
    int fd = fixture_connect(&fixture);
    fixture_send(fd, "GET /flood HTTP/1.1\r\nHost: x\r\n\r\n");
    fixture_await(&fixture.refused, 1);
    close(fd);
}
END_TEST

START_TEST(a_stream_is_cut_when_the_server_closes)
{
    char bytes[4096];
    int fd = fixture_connect(&fixture);
    fixture_send(fd, "GET /lines HTTP/1.1\r\nHost: x\r\n\r\n");
    poll(NULL, 0, 30);
    stop();
    ck_assert_int_eq(atomic_load(&fixture.gone), 1);
    fixture_read(fd, bytes, sizeof(bytes), 1000);
    ck_assert_ptr_nonnull(strstr(bytes, "{\"line\":1}"));
    ck_assert_ptr_null(strstr(bytes, "\r\n0\r\n")); /* the end of a stream that was whole */
    close(fd);
}
END_TEST

Suite *suite_stream(void)
{
    Suite *suite = suite_create("http stream");
    TCase *tcase = tcase_create("streams");
    tcase_add_checked_fixture(tcase, start, stop);
    tcase_add_test(tcase, a_line_arrives_when_it_is_written);
    tcase_add_test(tcase, a_reader_that_leaves_is_noticed);
    tcase_add_test(tcase, a_reader_that_lags_behind_meets_the_limit);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("closing");
    tcase_add_checked_fixture(tcase, start, NULL);
    tcase_add_test(tcase, a_stream_is_cut_when_the_server_closes);
    suite_add_tcase(suite, tcase);
    return suite;
}
