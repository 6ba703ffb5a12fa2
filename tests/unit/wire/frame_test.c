/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/frame.h"

#include <stdlib.h>

#include "wire/wire_tests.h"

static struct kilter_buf out;
static struct kl_frame_reader reader;
static struct kilter_error err;

static void set_up(void)
{
    out = (struct kilter_buf)KILTER_BUF_INIT(SIZE_MAX);
    reader = (struct kl_frame_reader)KL_FRAME_READER_INIT;
    err = (struct kilter_error)KILTER_ERROR_INIT;
}

static void tear_down(void)
{
    kilter_buf_release(&out);
    kl_frame_reader_release(&reader);
}

static void expect(enum kl_frame_type type, uint32_t job, const char *payload)
{
    struct kl_frame frame;
    ck_assert_int_eq(kl_frame_next(&reader, &frame, &err), 1);
    ck_assert_int_eq(frame.type, type);
    ck_assert_uint_eq(frame.job, job);
    ck_assert(kilter_str_eq_c(frame.payload, payload));
}

START_TEST(frames_come_out_as_they_went_in_however_the_bytes_are_split)
{
    kl_frame_write(&out, KL_FRAME_HELLO, 0, KILTER_STR("first"));
    kl_frame_write(&out, KL_FRAME_DONE, 0xfedcba98u, KILTER_STR(""));
    kl_frame_write(&out, KL_FRAME_ITEM, 7, KILTER_STR("a longer third one"));
    for (size_t split = 0; split <= out.len; split++) {
        struct kl_frame frame;
        int count = 0;
        ck_assert_int_eq(kl_frame_feed(&reader, out.ptr, split), 0);
        while (kl_frame_next(&reader, &frame, &err) == 1)
            count++;
        ck_assert_int_eq(kl_frame_feed(&reader, out.ptr + split, out.len - split), 0);
        while (kl_frame_next(&reader, &frame, &err) == 1)
            count++;
        ck_assert_int_eq(count, 3);
        ck_assert_int_eq(err.code, 0);
    }
    for (size_t i = 0; i < out.len; i++) /* and a byte at a time */
        ck_assert_int_eq(kl_frame_feed(&reader, out.ptr + i, 1), 0);
    expect(KL_FRAME_HELLO, 0, "first");
    expect(KL_FRAME_DONE, 0xfedcba98u, "");
    expect(KL_FRAME_ITEM, 7, "a longer third one");
}
END_TEST

START_TEST(an_unfinished_frame_is_waited_for)
{
    struct kl_frame frame;
    kl_frame_write(&out, KL_FRAME_LOG, 1, KILTER_STR("payload"));
    for (size_t len = 0; len < out.len; len++) {
        kl_frame_reader_release(&reader);
        ck_assert_int_eq(kl_frame_feed(&reader, out.ptr, len), 0);
        ck_assert_int_eq(kl_frame_next(&reader, &frame, &err), 0);
    }
}
END_TEST

START_TEST(an_unknown_type_is_nonsense)
{
    static const unsigned char types[][4] = { { 0 }, { 11 }, { 1, 1 }, { 1, 0, 0, 1 }, { 255, 255, 255, 255 } };
    unsigned char header[KL_FRAME_HEADER] = { 0 };
    struct kl_frame frame;
    memcpy(header + 4, types[_i], 4);
    ck_assert_int_eq(kl_frame_feed(&reader, header, sizeof header), 0);
    ck_assert_int_eq(kl_frame_next(&reader, &frame, &err), KILTER_E_INVALID);
    ck_assert_ptr_nonnull(strstr(err.message, "unknown type"));
}
END_TEST

START_TEST(a_frame_that_is_too_long_is_refused_by_its_header)
{
    unsigned char header[KL_FRAME_HEADER] = { 1, 0, 0, 1, KL_FRAME_DATA }; /* 16 MiB and one */
    struct kl_frame frame;
    ck_assert_int_eq(kl_frame_feed(&reader, header, sizeof header), 0);
    ck_assert_int_eq(kl_frame_next(&reader, &frame, &err), KILTER_E_INVALID);
    ck_assert_ptr_nonnull(strstr(err.message, "DATA frame of 16777217 bytes"));
}
END_TEST

START_TEST(the_longest_frame_passes_and_a_longer_one_is_not_written)
{
    struct kl_frame frame;
    char *payload = calloc(1, KL_FRAME_MAX + 1);
    ck_assert_int_eq(kl_frame_write(&out, KL_FRAME_DATA, 1, kilter_str_n(payload, KL_FRAME_MAX)), 0);
    for (size_t at = 0; at < out.len; at += 65536)
        ck_assert_int_eq(kl_frame_feed(&reader, out.ptr + at, out.len - at < 65536 ? out.len - at : 65536), 0);
    ck_assert_int_eq(kl_frame_next(&reader, &frame, &err), 1);
    ck_assert_uint_eq(frame.payload.len, KL_FRAME_MAX);
    kilter_buf_clear(&out);
    ck_assert_int_eq(kl_frame_write(&out, KL_FRAME_DATA, 1, kilter_str_n(payload, KL_FRAME_MAX + 1)),
                     KILTER_E_LIMIT);
    ck_assert_uint_eq(out.len, 0);
    free(payload);
}
END_TEST

START_TEST(a_peer_that_only_sends_fills_no_more_than_the_limit)
{
    static char bytes[65536];
    int rc = 0;
    size_t fed = 0;
    for (; rc == 0 && fed < 64u << 20; fed += sizeof bytes)
        rc = kl_frame_feed(&reader, bytes, sizeof bytes);
    ck_assert_int_eq(rc, KILTER_E_LIMIT);
    ck_assert_uint_le(fed, (17u << 20) + 65536);
}
END_TEST

START_TEST(a_long_stream_of_frames_needs_little_memory)
{
    kl_frame_write(&out, KL_FRAME_ITEM, 1, KILTER_STR("0123456789"));
    for (int i = 0; i < 100000; i++) {
        ck_assert_int_eq(kl_frame_feed(&reader, out.ptr, out.len), 0);
        expect(KL_FRAME_ITEM, 1, "0123456789");
    }
    ck_assert_uint_le(reader.buf.cap, 4096);
}
END_TEST

START_TEST(types_have_names)
{
    ck_assert_str_eq(kl_frame_type_name(KL_FRAME_HELLO), "HELLO");
    ck_assert_str_eq(kl_frame_type_name(KL_FRAME_DONE), "DONE");
    ck_assert_str_eq(kl_frame_type_name((enum kl_frame_type)0), "unknown");
    ck_assert_str_eq(kl_frame_type_name((enum kl_frame_type)11), "unknown");
}
END_TEST

Suite *frame_suite(void)
{
    Suite *suite = suite_create("frame");
    TCase *tests = tcase_create("frame");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, frames_come_out_as_they_went_in_however_the_bytes_are_split);
    tcase_add_test(tests, an_unfinished_frame_is_waited_for);
    tcase_add_loop_test(tests, an_unknown_type_is_nonsense, 0, 5);
    tcase_add_test(tests, a_frame_that_is_too_long_is_refused_by_its_header);
    tcase_add_test(tests, the_longest_frame_passes_and_a_longer_one_is_not_written);
    tcase_add_test(tests, a_peer_that_only_sends_fills_no_more_than_the_limit);
    tcase_add_test(tests, a_long_stream_of_frames_needs_little_memory);
    tcase_add_test(tests, types_have_names);
    suite_add_tcase(suite, tests);
    return suite;
}
