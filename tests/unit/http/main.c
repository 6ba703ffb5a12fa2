/* SPDX-License-Identifier: Apache-2.0 */
#include "http/fixture.h"

#include <stdlib.h>

int main(void)
{
    SRunner *runner = srunner_create(suite_server());
    srunner_add_suite(runner, suite_socket());
    srunner_add_suite(runner, suite_stream());
    srunner_add_suite(runner, suite_client());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
