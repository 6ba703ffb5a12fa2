/* SPDX-License-Identifier: Apache-2.0 */
#include "tests.h"

#include <stdlib.h>

void capture_begin(struct capture *capture)
{
    memset(capture, 0, sizeof(*capture));
    setenv("TZ", "UTC", 1);
    capture->cli.out = open_memstream(&capture->out, &capture->out_len);
    capture->cli.err = open_memstream(&capture->err, &capture->err_len);
    capture->cli.arena = kilter_arena_new(0);
    capture->cli.cancel_fd = -1;
    capture->cli.now_ms = INT64_C(1772374200000);
}

void capture_end(struct capture *capture)
{
    fclose(capture->cli.out);
    fclose(capture->cli.err);
}

void capture_free(struct capture *capture)
{
    free(capture->out);
    free(capture->err);
    kilter_arena_free(capture->cli.arena);
}

int capture_run(struct capture *capture, int count, const char *const *words)
{
    char *argv[16] = { NULL };
    for (int i = 0; i < count; i++)
        argv[i] = strdup(words[i]);
    int status = kl_cli_main(&capture->cli, count, argv);
    for (int i = 0; i < count; i++)
        free(argv[i]);
    capture_end(capture);
    return status;
}

int main(void)
{
    SRunner *runner = srunner_create(suite_golden());
    srunner_add_suite(runner, suite_text());
    srunner_add_suite(runner, suite_verbs());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
