/* SPDX-License-Identifier: Apache-2.0 */
#include "store/fixture.h"

#include <stdlib.h>

int main(void)
{
    world_make_base();
    SRunner *runner = srunner_create(suite_open());
    srunner_add_suite(runner, suite_commit());
    srunner_add_suite(runner, suite_rows());
    srunner_add_suite(runner, suite_migrate());
    srunner_add_suite(runner, suite_crash());
    srunner_add_suite(runner, suite_memory());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    world_remove_base();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
