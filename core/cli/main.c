/* SPDX-License-Identifier: Apache-2.0 */
/* The program `kilter`. */
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/private.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int cancel_fd = -1;

static void on_signal(int number)
{
    int saved = errno;
    uint64_t one = 1;
    /* The second one ends the program at once, whatever it is doing. */
    signal(number, SIG_DFL);
    if (write(cancel_fd, &one, sizeof(one)) < 0)
        _exit(128 + number);
    errno = saved;
}

/* An interrupt ends a wait, so that a private daemon is ended and its directory removed. */
static void catch_signals(struct kl_cli *cli)
{
    struct sigaction action = { .sa_handler = on_signal };
    cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    cli->cancel_fd = cancel_fd;
    if (cancel_fd < 0)
        return;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

static bool wants_colour(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return !(no && no[0]) && term && strcmp(term, "dumb") != 0;
}

static unsigned terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

int main(int argc, char **argv)
{
    struct kl_cli cli = { .out = stdout, .err = stderr, .cancel_fd = -1 };
    cli.arena = kilter_arena_new(0);
    if (!cli.arena) {
        fputs("kilter: out of memory\n", stderr);
        return KL_EXIT_ERROR;
    }
    cli.terminal = isatty(STDOUT_FILENO);
    cli.colour = cli.terminal && wants_colour();
    cli.columns = cli.terminal ? terminal_columns() : 0;
    cli.now_ms = kl_clock_wall_ms();
    catch_signals(&cli);
    int status = kl_cli_main(&cli, argc, argv);
    kl_private_stop(cli.private_daemon);
    kilter_arena_free(cli.arena);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (errno != EPIPE)
            fputs("kilter: writing the output failed\n", stderr);
        return status == 0 ? KL_EXIT_ERROR : status;
    }
    return status;
}
