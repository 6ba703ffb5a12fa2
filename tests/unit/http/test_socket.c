/* SPDX-License-Identifier: Apache-2.0 */
#include "http/fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct fixture fixture;
static const struct kl_http_options defaults = KL_HTTP_OPTIONS_INIT;

/* A second server beside the fixture's; its code, and why it did not start. */
static int start_second(const char *path, const char *group, char message[512])
{
    uv_loop_t loop;
    struct kl_http *http = NULL;
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kl_http_options options = defaults;
    options.socket_path = path;
    options.group = group;
    uv_loop_init(&loop);
    int r = kl_http_new(&loop, &options, &http, &err);
    if (r == 0)
        kl_http_close(http, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    snprintf(message, 512, "%s", err.message);
    return r;
}

START_TEST(the_socket_is_for_owner_and_group_only_and_removed_at_the_end)
{
    struct stat st;
    fixture_start(&fixture, defaults);
    ck_assert_int_eq(stat(fixture.path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0660);
    fixture_stop(&fixture);
    ck_assert_int_lt(stat(fixture.path, &st), 0);
}
END_TEST

START_TEST(a_stale_socket_is_replaced)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char directory[] = "/tmp/kilter-http-XXXXXX", message[512];
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", directory);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
    int r = start_second(address.sun_path, NULL, message);
    ck_assert_msg(r == 0, "%s", message);
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

START_TEST(a_socket_with_a_listener_is_left_alone)
{
    char message[512];
    const char *body;
    fixture_start(&fixture, defaults);
    ck_assert_int_eq(start_second(fixture.path, NULL, message), KILTER_E_CONFLICT);
    ck_assert_ptr_nonnull(strstr(message, "another process listens on"));
    ck_assert_uint_eq(fixture_call(&fixture, "GET", "/hello", NULL, &body), 200);
    fixture_stop(&fixture);
}
END_TEST

START_TEST(a_file_that_is_no_socket_is_left_alone)
{
    char path[] = "/tmp/kilter-http-XXXXXX", message[512];
    int fd = mkstemp(path);
    ck_assert_int_eq(start_second(path, NULL, message), KILTER_E_CONFLICT);
    ck_assert_ptr_nonnull(strstr(message, "is no socket"));
    ck_assert_int_eq(access(path, F_OK), 0);
    unlink(path);
    close(fd);
}
END_TEST

START_TEST(a_path_that_is_too_long_is_refused)
{
    char path[300], message[512];
    memset(path, 'p', sizeof(path));
    memcpy(path, "/tmp/", 5);
    path[299] = '\0';
    ck_assert_int_eq(start_second(path, NULL, message), KILTER_E_LIMIT);
}
END_TEST

START_TEST(an_unknown_group_is_named_and_nothing_stays_behind)
{
    char directory[] = "/tmp/kilter-http-XXXXXX", path[128], message[512];
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/socket", directory);
    ck_assert_int_eq(start_second(path, "no-such-group", message), KILTER_E_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(message, "no-such-group"));
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

START_TEST(a_socket_that_was_handed_over_is_served)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct kl_http_options options = defaults;
    const char *body;
    char directory[] = "/tmp/kilter-http-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/handed", directory);
    options.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(bind(options.listen_fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(options.listen_fd, 10), 0);
    fixture_start(&fixture, options);
    ck_assert_int_eq(rename(address.sun_path, fixture.path), 0);
    ck_assert_uint_eq(fixture_call(&fixture, "GET", "/hello", NULL, &body), 200);
    fixture_stop(&fixture);
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

START_TEST(beyond_the_limit_of_connections_newcomers_wait_for_a_place)
{
    struct kl_http_options options = defaults;
    char bytes[4096];
    int fds[4];
    options.max_connections = 3;
    fixture_start(&fixture, options);
    for (int i = 0; i < 4; i++) {
        fds[i] = fixture_connect(&fixture);
        fixture_send(fds[i], i < 3 ? "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"
                                   : "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        poll(NULL, 0, 20);
    }
    ck_assert_uint_eq(fixture_read(fds[3], bytes, sizeof(bytes), 200), 0);
    close(fds[0]);
    fixture_read(fds[3], bytes, sizeof(bytes), 8000);
    ck_assert_msg(strstr(bytes, "nobody") != NULL, "%s", bytes);
    for (int i = 1; i < 4; i++)
        close(fds[i]);
    fixture_stop(&fixture);
}
END_TEST

START_TEST(an_idle_connection_is_closed_and_a_deferred_one_is_not)
{
    struct kl_http_options options = defaults;
    char bytes[4096];
    options.idle_timeout_s = 1;
    fixture_start(&fixture, options);
    int idle = fixture_connect(&fixture), deferred = fixture_connect(&fixture);
    fixture_send(idle, "GET /he");
    fixture_send(deferred, "GET /later?ms=3000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    int64_t begun = fixture_now_ms();
    fixture_read(idle, bytes, sizeof(bytes), 5000);
    ck_assert_int_lt(fixture_now_ms() - begun, 2800);
    fixture_read(deferred, bytes, sizeof(bytes), 5000);
    ck_assert_msg(strstr(bytes, "late") != NULL, "%s", bytes);
    close(idle);
    close(deferred);
    fixture_stop(&fixture);
}
END_TEST

Suite *suite_socket(void)
{
    Suite *suite = suite_create("http socket");
    TCase *tcase = tcase_create("socket");
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, the_socket_is_for_owner_and_group_only_and_removed_at_the_end);
    tcase_add_test(tcase, a_stale_socket_is_replaced);
    tcase_add_test(tcase, a_socket_with_a_listener_is_left_alone);
    tcase_add_test(tcase, a_file_that_is_no_socket_is_left_alone);
    tcase_add_test(tcase, a_path_that_is_too_long_is_refused);
    tcase_add_test(tcase, an_unknown_group_is_named_and_nothing_stays_behind);
    tcase_add_test(tcase, a_socket_that_was_handed_over_is_served);
    tcase_add_test(tcase, beyond_the_limit_of_connections_newcomers_wait_for_a_place);
    tcase_add_test(tcase, an_idle_connection_is_closed_and_a_deferred_one_is_not);
    suite_add_tcase(suite, tcase);
    return suite;
}
