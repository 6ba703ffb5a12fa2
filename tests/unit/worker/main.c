/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/harness.h"

#include <stdlib.h>

int main(void)
{
    SRunner *runner = srunner_create(loader_suite());
    srunner_add_suite(runner, config_suite());
    srunner_add_suite(runner, substitute_suite());
    srunner_add_suite(runner, diff_suite());
    srunner_add_suite(runner, render_suite());
    srunner_add_suite(runner, target_suite());
    srunner_add_suite(runner, sandbox_suite());
    srunner_add_suite(runner, process_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
