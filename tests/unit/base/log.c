/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base_tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int log_pipe[2];
static char text[65536];

static void setup(void)
{
    ck_assert_int_eq(pipe(log_pipe), 0);
    unsetenv("JOURNAL_STREAM");
    kl_log_setup(KILTER_LOG_INFO, KL_LOG_TEXT);
    kl_log_set_fd(log_pipe[1]);
}

/* What was logged, and how many reads (pipes keep the writes of one moment together, not apart). */
static const char *logged(void)
{
    close(log_pipe[1]);
    size_t len = 0;
    ssize_t n;
    while ((n = read(log_pipe[0], text + len, sizeof(text) - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    close(log_pipe[0]);
    kl_log_set_fd(-1);
    return text;
}

START_TEST(a_record_is_one_line_with_time_and_level)
{
    kl_log(KILTER_LOG_WARNING, "app %s: %d files", "motd", 3);
    kl_log(KILTER_LOG_DEBUG, "not this");
    const char *line = logged();
    ck_assert_str_eq(line + 24, " warning: app motd: 3 files\n");
    ck_assert_int_eq(line[10], 'T');
}
END_TEST

START_TEST(control_characters_and_broken_utf8_never_reach_the_terminal)
{
    kl_log(KILTER_LOG_ERROR, "a\nb\x1b[31m\xff\xc2\x85 \xc3\xa9");
    ck_assert_str_eq(logged() + 24, " error: a\\nb\\x1b[31m\\xff\\xc2\\x85 \xc3\xa9\n");
}
END_TEST

START_TEST(json_records_escape_what_json_must)
{
    kl_log_setup(KILTER_LOG_DEBUG, KL_LOG_JSON);
    kl_log(KILTER_LOG_DEBUG, "say \"hi\"\\\x01\t");
    const char *line = logged();
    ck_assert_ptr_nonnull(strstr(line, "\",\"level\":\"debug\",\"message\":\"say \\\"hi\\\"\\\\\\u0001\\t\"}\n"));
    ck_assert(strncmp(line, "{\"time\":\"2", 10) == 0);
}
END_TEST

START_TEST(under_the_journal_a_record_begins_with_its_priority)
{
    struct stat st;
    char stream[64];
    ck_assert_int_eq(fstat(log_pipe[1], &st), 0);
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    kl_log(KILTER_LOG_WARNING, "hello");
    unsetenv("JOURNAL_STREAM");
    ck_assert_str_eq(logged(), "<4>hello\n");
}
END_TEST

START_TEST(another_process_journal_stream_is_not_ours)
{
    setenv("JOURNAL_STREAM", "1:1", 1);
    kl_log(KILTER_LOG_INFO, "hello");
    unsetenv("JOURNAL_STREAM");
    ck_assert_str_eq(logged() + 24, " info: hello\n");
}
END_TEST

START_TEST(a_very_long_message_is_cut_and_says_so)
{
    char *long_text = malloc(20001);
    memset(long_text, 'x', 20000);
    long_text[20000] = '\0';
    kl_log(KILTER_LOG_INFO, "%s", long_text);
    const char *line = logged();
    ck_assert_ptr_nonnull(strstr(line, "xxx [11808 more bytes cut]\n"));
    free(long_text);
}
END_TEST

START_TEST(level_names_read_back)
{
    enum kilter_log_level level = KILTER_LOG_INFO;
    ck_assert_int_eq(kl_log_level_parse(KILTER_STR("error"), &level), KILTER_OK);
    ck_assert_int_eq(level, KILTER_LOG_ERROR);
    ck_assert_int_eq(kl_log_level_parse(KILTER_STR("loud"), &level), KILTER_E_INVALID);
    ck_assert_str_eq(kl_log_level_name(KILTER_LOG_DEBUG), "debug");
    logged();
}
END_TEST

TCase *base_log_case(void)
{
    TCase *tc = tcase_create("log");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, a_record_is_one_line_with_time_and_level);
    tcase_add_test(tc, control_characters_and_broken_utf8_never_reach_the_terminal);
    tcase_add_test(tc, json_records_escape_what_json_must);
    tcase_add_test(tc, under_the_journal_a_record_begins_with_its_priority);
    tcase_add_test(tc, another_process_journal_stream_is_not_ours);
    tcase_add_test(tc, a_very_long_message_is_cut_and_says_so);
    tcase_add_test(tc, level_names_read_back);
    return tc;
}
