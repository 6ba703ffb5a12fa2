/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char scratch[128];

void scratch_setup(void)
{
    static const char *const variables[][2] = {
        { "GIT_CONFIG_NOSYSTEM", "1" },
        { "GIT_AUTHOR_NAME", "Ana" },
        { "GIT_AUTHOR_EMAIL", "ana@example.com" },
        { "GIT_COMMITTER_NAME", "Ana" },
        { "GIT_COMMITTER_EMAIL", "ana@example.com" },
        { "GIT_CONFIG_GLOBAL", "/dev/null" },
    };

    snprintf(scratch, sizeof(scratch), "/tmp/kilter-git-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(scratch));
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
        setenv(variables[i][0], variables[i][1], 1);
    setenv("HOME", scratch, 1);
}

void scratch_teardown(void)
{
    run("chmod -R u+w . && rm -rf \"$PWD\"");
}

__attribute__((__format__(__printf__, 1, 0))) static FILE *start(const char *format, va_list args)
{
    char command[8192];
    int at = snprintf(command, sizeof(command), "exec 2>/dev/null; cd %s && ", scratch);

    ck_assert_int_lt(vsnprintf(command + at, sizeof(command) - (size_t)at, format, args),
                     (int)sizeof(command) - at);
    FILE *stream = popen(command, "re");
    ck_assert_ptr_nonnull(stream);
    return stream;
}

void run(const char *format, ...)
{
    char rest[4096];
    va_list args;

    va_start(args, format);
    FILE *stream = start(format, args);
    va_end(args);
    while (fread(rest, 1, sizeof(rest), stream) > 0)
        ;
    ck_assert_msg(pclose(stream) == 0, "a command failed: %s", format);
}

void capture(char *text, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    FILE *stream = start(format, args);
    va_end(args);
    size_t len = fread(text, 1, size - 1, stream);
    ck_assert_msg(pclose(stream) == 0, "a command failed: %s", format);
    if (len > 0 && text[len - 1] == '\n')
        len--;
    text[len] = '\0';
}

const char *in_scratch(const char *name)
{
    static char texts[8][512];
    static unsigned next;
    char *text = texts[next++ % 8];

    snprintf(text, sizeof(texts[0]), "%s/%s", scratch, name);
    return text;
}
