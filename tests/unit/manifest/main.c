/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest_tests.h"

#include <stdlib.h>

int main(void)
{
    Suite *suite = suite_create("manifest");

    add_golden_tests(suite);
    add_model_tests(suite);
    add_include_tests(suite);
    add_secret_tests(suite);
    add_diff_tests(suite);
    add_schema_tests(suite);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
