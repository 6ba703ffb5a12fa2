/* SPDX-License-Identifier: Apache-2.0 */
#include "http/fixture.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct fixture fixture;

static void start(void)
{
    fixture_start(&fixture, (struct kl_http_options)KL_HTTP_OPTIONS_INIT);
}

static void stop(void)
{
    fixture_stop(&fixture);
}

#define assert_answer(method, target, body, status, text)                                                          \
    do {                                                                                                           \
        const char *answer;                                                                                        \
        unsigned got = fixture_call(&fixture, method, target, body, &answer);                                      \
        ck_assert_msg(got == (status), "%s %s: %u %s", method, target, got, answer);                               \
        ck_assert_msg(strstr(answer, text) != NULL, "%s %s: %s", method, target, answer);                          \
    } while (0)

START_TEST(a_handler_answers_with_json)
{
    assert_answer("GET", "/hello", NULL, 200, "{\"hello\":\"nobody\"}\n");
    assert_answer("GET", "/hello?name=a%20b+c%26d", NULL, 200, "{\"hello\":\"a b c&d\"}");
    assert_answer("GET", "/hello?name=first&name=last", NULL, 200, "\"last\"");
}
END_TEST

START_TEST(a_path_parameter_is_one_decoded_segment)
{
    assert_answer("GET", "/parts/shop%40prod", NULL, 200, "{\"item\":\"shop@prod\"}");
    assert_answer("GET", "/parts/a%2Fb", NULL, 200, "{\"item\":\"a/b\"}");
    assert_answer("GET", "/parts/a/b", NULL, 404, "\"notFound\"");
    assert_answer("GET", "/parts/", NULL, 404, "\"notFound\"");
    assert_answer("GET", "/parts/a+b", NULL, 200, "{\"item\":\"a+b\"}");
}
END_TEST

START_TEST(a_fixed_segment_wins_over_a_parameter)
{
    assert_answer("GET", "/parts/fixed", NULL, 200, "\"fixed\"");
}
END_TEST

START_TEST(malformed_escapes_are_refused)
{
    assert_answer("GET", "/parts/a%2", NULL, 400, "\"badRequest\"");
    assert_answer("GET", "/parts/a%zz", NULL, 400, "\"badRequest\"");
    assert_answer("GET", "/parts/a%00b", NULL, 400, "\"badRequest\"");
    assert_answer("GET", "/parts/%ff", NULL, 400, "\"badRequest\"");
    assert_answer("GET", "/hello?name=%", NULL, 400, "\"badRequest\"");
}
END_TEST

START_TEST(an_unknown_path_is_404_in_the_error_form)
{
    assert_answer("GET", "/nowhere", NULL, 404,
                  "{\"error\":{\"code\":\"notFound\",\"message\":\"there is nothing at /nowhere\"");
}
END_TEST

START_TEST(a_wrong_method_is_405_and_says_what_is_allowed)
{
    char bytes[4096];
    int fd = fixture_connect(&fixture);
    fixture_send(fd, "DELETE /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    fixture_read(fd, bytes, sizeof(bytes), 8000);
    ck_assert_ptr_nonnull(strstr(bytes, " 405 "));
    ck_assert_ptr_nonnull(strstr(bytes, "Allow: GET"));
    close(fd);
}
END_TEST

START_TEST(head_is_served_by_get)
{
    char bytes[4096];
    int fd = fixture_connect(&fixture);
    fixture_send(fd, "HEAD /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    fixture_read(fd, bytes, sizeof(bytes), 8000);
    ck_assert_ptr_nonnull(strstr(bytes, " 200 "));
    ck_assert_ptr_null(strstr(bytes, "hello\""));
    close(fd);
}
END_TEST

START_TEST(wrong_query_values_are_named_with_what_is_allowed)
{
    assert_answer("GET", "/numbers?limit=5&on&timeout=1m30s", NULL, 200,
                  "{\"limit\":5,\"on\":true,\"timeout\":90000}");
    assert_answer("GET", "/numbers?timeout=2", NULL, 200, "\"timeout\":2000");
    assert_answer("GET", "/numbers?limit=0", NULL, 400,
                  "limit is \\\"0\\\"; it must be a whole number from 1 to 1000");
    assert_answer("GET", "/numbers?limit=99999999999999999999", NULL, 400, "badRequest");
    assert_answer("GET", "/numbers?limit=", NULL, 400, "badRequest");
    assert_answer("GET", "/numbers?on=maybe", NULL, 400, "on is \\\"maybe\\\"; it must be true or false");
    assert_answer("GET", "/numbers?timeout=11m", NULL, 400, "10m at most");
}
END_TEST

START_TEST(the_peer_is_who_the_kernel_says)
{
    char text[64];
    snprintf(text, sizeof(text), "{\"uid\":%d,\"pid\":%d}", (int)getuid(), (int)getpid());
    assert_answer("GET", "/peer", NULL, 200, text);
}
END_TEST

START_TEST(a_body_is_read_and_unknown_members_are_refused_with_the_nearest)
{
    assert_answer("POST", "/echo", "{\"wait\": \"90s\", \"prune\": true}", 200,
                  "{\"wait\":\"90s\",\"prune\":true}");
    assert_answer("POST", "/echo", NULL, 200, "{}");
    assert_answer("POST", "/echo", "{\"prone\": true}", 400, "did you mean \\\"prune\\\"?");
    assert_answer("POST", "/echo", "[1]", 400, "must be a JSON object");
}
END_TEST

START_TEST(a_malformed_body_is_refused_with_its_place)
{
    assert_answer("POST", "/echo", "{\"wait\": \n  nope}", 400, "\"diagnostics\":[{\"severity\":\"error\"");
    assert_answer("POST", "/echo", "{\"wait\": \n  nope}", 400, "\"line\":2");
}
END_TEST

static char *text_of(size_t len)
{
    char *text = malloc(len + 1);
    memset(text, 'x', len);
    text[len] = '\0';
    return text;
}

START_TEST(a_body_up_to_the_limit_is_taken_and_a_longer_one_refused)
{
    char *most = text_of(1 << 20), *more = text_of((1 << 20) + 1), *much = text_of(3 << 20);
    assert_answer("POST", "/size", most, 200, "{\"size\":1048576}");
    assert_answer("POST", "/size", more, 413, "\"tooLarge\"");
    assert_answer("POST", "/size", much, 413, "\"tooLarge\"");
    assert_answer("GET", "/hello", NULL, 200, "hello");
    free(most);
    free(more);
    free(much);
}
END_TEST

START_TEST(a_chunked_body_beyond_the_limit_is_refused_too)
{
    char bytes[4096], *block = text_of(1 << 19);
    int fd = fixture_connect(&fixture);
    fixture_send(fd, "POST /size HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        fixture_send(fd, "80000\r\n");
        fixture_send(fd, block);
        fixture_send(fd, "\r\n");
    }
    fixture_send(fd, "0\r\n\r\n");
    fixture_read(fd, bytes, sizeof(bytes), 8000);
    ck_assert_msg(strstr(bytes, " 413 ") != NULL, "%s", bytes);
    close(fd);
    free(block);
}
END_TEST

START_TEST(headers_beyond_the_limit_are_refused)
{
    char bytes[4096], *value = text_of(40000);
    int fd = fixture_connect(&fixture);
    fixture_send(fd, "GET /hello HTTP/1.1\r\nHost: x\r\nX-Long: ");
    (void)!send(fd, value, strlen(value), MSG_NOSIGNAL);
    (void)!send(fd, "\r\n\r\n", 4, MSG_NOSIGNAL);
    fixture_read(fd, bytes, sizeof(bytes), 8000);
    ck_assert_msg(strstr(bytes, " 431 ") != NULL || bytes[0] == '\0', "%s", bytes);
    assert_answer("GET", "/hello", NULL, 200, "hello");
    close(fd);
    free(value);
}
END_TEST

START_TEST(what_is_not_http_does_no_harm)
{
    static const char *const texts[] = { "\r\n\r\n\r\n",
                                         "GET\r\n\r\n",
                                         "\x16\x03\x01\x02\x00\x01",
                                         "GET / HTTP/9.9\r\n\r\n",
                                         "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
                                         "GET no-slash HTTP/1.1\r\nHost: x\r\n\r\n" };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char bytes[4096];
        int fd = fixture_connect(&fixture);
        fixture_send(fd, texts[i]);
        shutdown(fd, SHUT_WR);
        fixture_read(fd, bytes, sizeof(bytes), 500);
        ck_assert_msg(strstr(bytes, " 200 ") == NULL, "%zu: %s", i, bytes);
        close(fd);
    }
    assert_answer("GET", "/hello", NULL, 200, "hello");
}
END_TEST

START_TEST(a_connection_serves_one_request_after_another)
{
    char bytes[4096];
    int fd = fixture_connect(&fixture);
    for (int i = 0; i < 3; i++) {
        fixture_send(fd, i == 1 ? "GET /later?ms=20 HTTP/1.1\r\nHost: x\r\n\r\n"
                                : "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
        fixture_read_until(fd, bytes, sizeof(bytes), i == 1 ? "late\"}\n" : "nobody\"}\n");
    }
    close(fd);
}
END_TEST

START_TEST(pipelined_requests_are_answered_in_order)
{
    char bytes[8192];
    int fd = fixture_connect(&fixture);
    fixture_send(fd, "GET /later?ms=50 HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    fixture_read_until(fd, bytes, sizeof(bytes), "nobody");
    const char *late = strstr(bytes, "late"), *hello = strstr(bytes, "nobody");
    ck_assert_msg(late && hello && late < hello, "%s", bytes);
    close(fd);
}
END_TEST

START_TEST(a_deferred_request_is_answered_right_at_its_time)
{
    int64_t begun = fixture_now_ms();
    assert_answer("GET", "/later?ms=100", NULL, 200, "late");
    int64_t took = fixture_now_ms() - begun;
    ck_assert_int_ge(took, 95);
    ck_assert_msg(took < 3000, "%lld ms", (long long)took);
    ck_assert_int_eq(atomic_load(&fixture.gone), 0);
}
END_TEST

START_TEST(many_deferred_requests_wait_at_once)
{
    int fds[100];
    char bytes[4096];
    for (int i = 0; i < 100; i++) {
        fds[i] = fixture_connect(&fixture);
        fixture_send(fds[i], "GET /later?ms=200 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    }
    int64_t begun = fixture_now_ms();
    for (int i = 0; i < 100; i++) {
        fixture_read(fds[i], bytes, sizeof(bytes), 8000);
        ck_assert_msg(strstr(bytes, "late") != NULL, "%d: %s", i, bytes);
        close(fds[i]);
    }
    ck_assert_int_lt(fixture_now_ms() - begun, 8000);
}
END_TEST

START_TEST(a_client_that_leaves_a_held_request_is_noticed)
{
    int fd = fixture_connect(&fixture);
    fixture_send(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    poll(NULL, 0, 50);
    ck_assert_int_eq(atomic_load(&fixture.gone), 0);
    close(fd);
    fixture_await(&fixture.gone, 1);
    assert_answer("GET", "/hello", NULL, 200, "hello");
}
END_TEST

START_TEST(a_client_that_only_stopped_sending_still_gets_its_answer)
{
    char bytes[4096];
    int fd = fixture_connect(&fixture);
    fixture_send(fd, "GET /later?ms=150 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    poll(NULL, 0, 30);
    shutdown(fd, SHUT_WR);
    fixture_read(fd, bytes, sizeof(bytes), 8000);
    ck_assert_msg(strstr(bytes, "late") != NULL, "%s", bytes);
    close(fd);
}
END_TEST

START_TEST(held_requests_are_let_go_when_the_server_closes)
{
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = fixture_connect(&fixture);
        fixture_send(fds[i], "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    poll(NULL, 0, 50);
    stop();
    ck_assert_int_eq(atomic_load(&fixture.gone), 3);
    for (int i = 0; i < 3; i++) {
        char bytes[16];
        ck_assert_uint_eq(fixture_read(fds[i], bytes, sizeof(bytes), 1000), 0);
        close(fds[i]);
    }
}
END_TEST

static int64_t cpu_ms(pthread_t thread)
{
    clockid_t clock;
    struct timespec time;
    pthread_getcpuclockid(thread, &clock);
    clock_gettime(clock, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

START_TEST(waiting_costs_no_processor_time)
{
    int fds[10];
    for (int i = 0; i < 10; i++) {
        fds[i] = fixture_connect(&fixture);
        fixture_send(fds[i],
                     i < 5 ? "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n" : "GET /lines HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    shutdown(fds[0], SHUT_WR);
    poll(NULL, 0, 300);
    int64_t before = cpu_ms(fixture.thread);
    poll(NULL, 0, 500);
    ck_assert_int_le(cpu_ms(fixture.thread) - before, 60);
    for (int i = 0; i < 10; i++)
        close(fds[i]);
}
END_TEST

START_TEST(an_answer_larger_than_any_buffer_arrives_whole)
{
    const char *body;
    ck_assert_uint_eq(fixture_call(&fixture, "GET", "/big", NULL, &body), 200);
    ck_assert_uint_eq(strlen(body), 8u << 20);
}
END_TEST

Suite *suite_server(void)
{
    Suite *suite = suite_create("http server");
    TCase *tcase = tcase_create("requests");
    tcase_add_checked_fixture(tcase, start, stop);
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, a_handler_answers_with_json);
    tcase_add_test(tcase, a_path_parameter_is_one_decoded_segment);
    tcase_add_test(tcase, a_fixed_segment_wins_over_a_parameter);
    tcase_add_test(tcase, malformed_escapes_are_refused);
    tcase_add_test(tcase, an_unknown_path_is_404_in_the_error_form);
    tcase_add_test(tcase, a_wrong_method_is_405_and_says_what_is_allowed);
    tcase_add_test(tcase, head_is_served_by_get);
    tcase_add_test(tcase, wrong_query_values_are_named_with_what_is_allowed);
    tcase_add_test(tcase, the_peer_is_who_the_kernel_says);
    tcase_add_test(tcase, a_body_is_read_and_unknown_members_are_refused_with_the_nearest);
    tcase_add_test(tcase, a_malformed_body_is_refused_with_its_place);
    tcase_add_test(tcase, a_body_up_to_the_limit_is_taken_and_a_longer_one_refused);
    tcase_add_test(tcase, a_chunked_body_beyond_the_limit_is_refused_too);
    tcase_add_test(tcase, headers_beyond_the_limit_are_refused);
    tcase_add_test(tcase, what_is_not_http_does_no_harm);
    tcase_add_test(tcase, a_connection_serves_one_request_after_another);
    tcase_add_test(tcase, pipelined_requests_are_answered_in_order);
    tcase_add_test(tcase, a_deferred_request_is_answered_right_at_its_time);
    tcase_add_test(tcase, many_deferred_requests_wait_at_once);
    tcase_add_test(tcase, a_client_that_leaves_a_held_request_is_noticed);
    tcase_add_test(tcase, a_client_that_only_stopped_sending_still_gets_its_answer);
    tcase_add_test(tcase, waiting_costs_no_processor_time);
    tcase_add_test(tcase, an_answer_larger_than_any_buffer_arrives_whole);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("closing");
    tcase_add_checked_fixture(tcase, start, NULL);
    tcase_add_test(tcase, held_requests_are_let_go_when_the_server_closes);
    suite_add_tcase(suite, tcase);
    return suite;
}
