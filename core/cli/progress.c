/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include "cli/api.h"
#include "cli/text.h"
#include "http/client.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define FIRST_MS 300 /* what is over sooner shows nothing */

struct kl_progress {
    pthread_t thread;
    int stop_fd;
    char *socket, *path; /* of the app, for waitAfter to be added */
};

static void put_line(const struct kilter_value *app)
{
    struct kilter_str phase = kilter_get_text(app, "phase");
    const struct kilter_value *progress = kilter_get(app, "progress");
    int64_t done = 0, total = 0;
    char counts[64] = "";
    if (kilter_get_int(progress, "total", &total) == 0 && kilter_get_int(progress, "done", &done) == 0)
        snprintf(counts, sizeof(counts), " %lld of %lld", (long long)done, (long long)total);
    fprintf(stderr, "\r\033[K%.*s: %.*s%s", KILTER_STR_ARG(kilter_get_text(app, "name")), KILTER_STR_ARG(phase),
            counts);
}

/* Asks for the app once it moved beyond `revision`; its new revision, negative at the end of it all. */
static int64_t ask(const struct kl_progress *progress, int64_t revision)
{
    struct kl_client_request request = KL_CLIENT_REQUEST_INIT;
    struct kl_client_response response = KL_CLIENT_RESPONSE_INIT;
    struct kilter_value *app = NULL;
    struct kilter_arena *arena = kilter_arena_new(0);
    char *target = NULL;
    int64_t result = -1;
    int written = asprintf(&target, "%s?timeout=60s&waitAfter=%lld", progress->path, (long long)revision);
    request.socket_path = progress->socket;
    request.target = target;
    request.cancel_fd = progress->stop_fd;
    if (written >= 0 && arena && kl_client_call(&request, &response, NULL) == 0 && response.status == 200 &&
        kilter_json_read(arena, kilter_str_trim(kilter_buf_view(&response.body)), NULL, &app, NULL) == 0 &&
        kilter_get_int(app, "revision", &result) == 0)
        put_line(app);
    if (written >= 0)
        free(target);
    kl_client_response_release(&response);
    kilter_arena_free(arena);
    return result;
}

static void *run(void *data)
{
    struct kl_progress *progress = data;
    struct pollfd stop = { .fd = progress->stop_fd, .events = POLLIN };
    int64_t revision = 0;
    if (poll(&stop, 1, FIRST_MS) != 0)
        return NULL;
    while (revision >= 0 && poll(&stop, 1, 0) == 0)
        revision = ask(progress, revision);
    fputs("\r\033[K", stderr);
    return NULL;
}

static void release(struct kl_progress *progress)
{
    if (progress->stop_fd >= 0)
        close(progress->stop_fd);
    free(progress->socket);
    free(progress->path);
    free(progress);
}

struct kl_progress *kl_progress_start(struct kl_cli *cli, struct kilter_str app)
{
    const char *path = kl_api_app_path(cli, app, "%s", "");
    if (!isatty(STDERR_FILENO) || !path)
        return NULL;
    struct kl_progress *progress = calloc(1, sizeof(*progress));
    if (!progress)
        return NULL;
    progress->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    progress->socket = strdup(kl_api_socket(cli));
    progress->path = strdup(path);
    if (progress->stop_fd >= 0 && progress->socket && progress->path &&
        pthread_create(&progress->thread, NULL, run, progress) == 0)
        return progress;
    release(progress);
    return NULL;
}

void kl_progress_stop(struct kl_progress *progress)
{
    uint64_t one = 1;
    if (!progress)
        return;
    if (write(progress->stop_fd, &one, sizeof(one)) == (ssize_t)sizeof(one))
        pthread_join(progress->thread, NULL);
    release(progress);
}
