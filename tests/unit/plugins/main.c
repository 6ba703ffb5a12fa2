/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <stdlib.h>

int main(void)
{
    Suite *suite = suite_create("plugins");
    suite_add_tcase(suite, fs_case());
    suite_add_tcase(suite, fs_refusals_case());
    suite_add_tcase(suite, file_case());
    suite_add_tcase(suite, file_rules_case());
    suite_add_tcase(suite, file_attacks_case());
    suite_add_tcase(suite, crash_case());
    suite_add_tcase(suite, yaml_case());
    suite_add_tcase(suite, files_case());
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
