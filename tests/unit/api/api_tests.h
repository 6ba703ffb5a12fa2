/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_tests.h: libkilter's suites, and what they share. Each test has a fresh
 * arena and list of diagnostics in `arena` and `diags`.
 */
#ifndef API_TESTS_H
#define API_TESTS_H

#include <check.h>
#include <kilter/kilter.h>

extern struct kilter_arena *arena;
extern struct kilter_diags *diags;

void api_setup(void);
void api_teardown(void);

/* A test case with setup and teardown in it. */
TCase *api_case(Suite *suite, const char *name);

/* Documents of a text that must be right; the first of them. */
struct kilter_value *api_documents(const char *text);
struct kilter_value *api_yaml(const char *text);
struct kilter_value *api_json(const char *text);

/* What the writers make, until the next call. */
const char *api_to_json(const struct kilter_value *value);
const char *api_to_yaml(const struct kilter_value *value);

/* All diagnostics as people see them, until the next call. */
const char *api_diags(void);

#define ck_assert_view_eq(view, text)                                                                              \
    do {                                                                                                           \
        struct kilter_str view_ = (view);                                                                          \
        ck_assert_msg(kilter_str_eq_c(view_, text), "got \"%.*s\", expected \"%s\"", KILTER_STR_ARG(view_), text); \
    } while (0)

Suite *api_base_suite(void);
Suite *api_arena_suite(void);
Suite *api_buf_suite(void);
Suite *api_diag_suite(void);
Suite *api_value_suite(void);
Suite *api_resolve_suite(void);
Suite *api_yaml_read_suite(void);
Suite *api_yaml_write_suite(void);
Suite *api_json_suite(void);
Suite *api_resource_suite(void);
Suite *api_tree_suite(void);
Suite *api_torture_suite(void);
Suite *api_conformance_suite(void);

#endif
