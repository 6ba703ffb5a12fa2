/* SPDX-License-Identifier: Apache-2.0 */
#include "base_tests.h"

#include <stdlib.h>

int main(void)
{
    Suite *suite = suite_create("base");
    suite_add_tcase(suite, base_clock_case());
    suite_add_tcase(suite, base_log_case());
    suite_add_tcase(suite, base_map_case());
    suite_add_tcase(suite, base_paths_case());
    suite_add_tcase(suite, base_random_case());
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
