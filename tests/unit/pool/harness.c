/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/paths.h"

#include <signal.h>

struct harness harness;
static char worker[4096], state_id[64];

static unsigned count_descriptors(void)
{
    KL_CLEANUP(kl_closedirp) DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;
    while (readdir(dir))
        count++;
    return count;
}

void harness_init(void)
{
    KL_CLEANUP(kl_freep) char *dir = NULL;
    memset(&harness, 0, sizeof(harness));
    ck_assert_int_eq(kl_program_dir(&dir, NULL), KILTER_OK);
    snprintf(worker, sizeof(worker), "%s/pool-fake-worker", dir);
    snprintf(state_id, sizeof(state_id), "test-%ld", (long)getpid());
    kl_pool_options_init(&harness.options);
    harness.options.worker = worker;
    harness.options.state_id = state_id;
    harness.options.hello_ms = 20000;
    harness.options.cancel_grace_ms = 200;
    harness.options.backoff_ms = 1;
    harness.options.backoff_max_ms = 10;
    harness.options.quarantine_faults = 30;
    harness.options.output = 100000;
    if (!getenv("KILTER_TEST_VERBOSE"))
        kl_log_setup((enum kilter_log_level)0, KL_LOG_TEXT);
}

void harness_open(void)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    /* The first loop of a process opens some that stay. */
    ck_assert_int_eq(uv_loop_init(&harness.loop), 0);
    ck_assert_int_eq(uv_loop_close(&harness.loop), 0);
    harness.descriptors = count_descriptors();
    ck_assert_int_eq(uv_loop_init(&harness.loop), 0);
    ck_assert_int_eq(kl_pool_new(&harness.loop, &harness.options, &harness.pool, &err), KILTER_OK);
}

static void on_closed(void *data)
{
    (void)data;
    harness.closed = true;
}

/* No child of this process is left, dead or alive. */
static void assert_no_children(void)
{
    KL_CLEANUP(kl_fclosep) FILE *file = fopen("/proc/thread-self/children", "re");
    long pid;
    ck_assert_ptr_nonnull(file);
    ck_assert_msg(fscanf(file, "%ld", &pid) != 1, "process %ld is left", pid);
}

void harness_stop(void)
{
    kl_pool_close(harness.pool, 0, on_closed, NULL);
    loop_until(&harness.closed);
    ck_assert_int_eq(uv_loop_close(&harness.loop), 0);
    assert_no_children();
    ck_assert_uint_eq(count_descriptors(), harness.descriptors);
}

static void copy_text(char *to, size_t size, struct kilter_str from)
{
    snprintf(to, size, "%.*s", KILTER_STR_ARG(from));
}

static void on_item(void *data, const struct kilter_value *item, struct kilter_str encoded)
{
    struct seen *seen = data;
    seen->items++;
    seen->raw_items += item == NULL && encoded.len > 0;
    if (kilter_get(item, "child"))
        kilter_get_int(item, "child", &seen->child);
    copy_text(seen->item, sizeof(seen->item), kilter_get_text(item, "name"));
}

static void on_diag(void *data, const struct kilter_diag *diag)
{
    struct seen *seen = data;
    seen->diags++;
    snprintf(seen->last_diag, sizeof(seen->last_diag), "%d %.*s %.*s:%u %.*s", (int)diag->severity,
             KILTER_STR_ARG(diag->code), KILTER_STR_ARG(diag->origin.file), diag->origin.line,
             KILTER_STR_ARG(diag->message));
}

static void on_log(void *data, enum kilter_log_level level, struct kilter_str message)
{
    struct seen *seen = data;
    (void)level;
    seen->logs++;
    copy_text(seen->last_log, sizeof(seen->last_log), message);
    if (getenv("KILTER_TEST_VERBOSE"))
        fprintf(stderr, "log: %.*s\n", KILTER_STR_ARG(message));
}

static void on_done(void *data, const struct kl_job_outcome *outcome)
{
    struct seen *seen = data;
    ck_assert(!seen->done);
    seen->done = true;
    uv_stop(&harness.loop); /* one turn of the loop may else wait for the next timer */
    seen->job = NULL;
    seen->status = outcome->status;
    seen->class = outcome->class;
    seen->fault = outcome->fault;
    seen->quarantined = outcome->quarantined;
    seen->order = ++harness.ended;
    snprintf(seen->message, sizeof(seen->message), "%s", outcome->message);
    kilter_get_int(outcome->done, "pid", &seen->pid);
    copy_text(seen->home, sizeof(seen->home), kilter_get_text(outcome->done, "home"));
    copy_text(seen->secret, sizeof(seen->secret), kilter_get_text(outcome->done, "secret"));
    ck_assert_uint_eq(kilter_diags_count(outcome->diags), seen->diags);
    if (getenv("KILTER_TEST_VERBOSE"))
        fprintf(stderr, "done: %d %s\n", seen->status, seen->message);
}

struct kl_job_spec job_spec(const char *verb)
{
    return (struct kl_job_spec){
        .role = KL_ROLE_RENDER,
        .key = KILTER_STR("k"),
        .plugin = KILTER_STR("fake"),
        .verb = kilter_str_c(verb),
        .deadline_ms = 15000,
        .priority = KL_PRIORITY_COMMIT,
        .handler = { on_item, on_diag, on_log, on_done },
    };
}

void job_submit(struct seen *seen, const struct kl_job_spec *spec)
{
    struct kl_job_spec mine = *spec;
    struct kilter_error err = KILTER_ERROR_INIT;
    memset(seen, 0, sizeof(*seen));
    mine.data = seen;
    ck_assert_msg(kl_pool_submit(harness.pool, &mine, &seen->job, &err) == KILTER_OK, "%s", err.message);
}

void job_wait(struct seen *seen)
{
    loop_until(&seen->done);
}

void loop_until(const bool *flag)
{
    int64_t deadline_ns = kl_clock_monotonic_ns() + 60 * KL_NS_PER_S;
    while (!*flag && kl_clock_monotonic_ns() < deadline_ns)
        uv_run(&harness.loop, UV_RUN_ONCE);
    ck_assert(*flag);
}

struct seen job_run(const char *verb)
{
    struct seen seen;
    struct kl_job_spec spec = job_spec(verb);
    job_submit(&seen, &spec);
    job_wait(&seen);
    return seen;
}

static void on_tick(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

void loop_for(unsigned ms)
{
    uv_timer_t timer;
    bool over = false;
    uv_timer_init(&harness.loop, &timer);
    uv_update_time(&harness.loop);
    timer.data = &over;
    uv_timer_start(&timer, on_tick, ms, 0);
    while (!over)
        uv_run(&harness.loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&harness.loop, UV_RUN_NOWAIT);
}

bool process_exists(int64_t pid)
{
    return pid > 0 && kill((pid_t)pid, 0) == 0;
}

void wait_until_gone(int64_t pid)
{
    for (int i = 0; i < 2000 && process_exists(pid); i++)
        loop_for(5);
    ck_assert_msg(!process_exists(pid), "process %ld is left", (long)pid);
}
