/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/wire_tests.h"

#include <stdlib.h>

int main(void)
{
    SRunner *runner = srunner_create(frame_suite());
    srunner_add_suite(runner, codec_suite());
    srunner_add_suite(runner, jobs_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
