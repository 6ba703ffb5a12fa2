/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the isolation of plugins costs: the same render in this process, in a
 * worker that is there already, and in a worker that is started for it.
 *
 *     bench-isolation [PLUGIN [ROUNDS [DIRECTORY]]]
 *
 * PLUGIN is a name or a path (yaml). Without a DIRECTORY one is made, with 20
 * files of a few lines. Prints medians and 95th percentiles in microseconds.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/paths.h"
#include "git/tree.h"
#include "pool/pool.h"
#include "worker/render.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#define FILES 20
#define WARM_UP 5 /* rounds that do not count */

struct bench {
    char *plugin;  /* its file */
    char name[64]; /* as it calls itself */
    char directory[PATH_MAX];
    int rounds;
    int64_t *took_ns;
    size_t resources; /* of the last render */
    uv_loop_t loop;
    struct kl_pool *pool;
    struct kilter_arena *arena;
    struct kilter_value *arguments;
    int left;
    int64_t began_ns;
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "bench-isolation: %s: %s\n", what, why);
    exit(1);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The median, after a line about it. */
static double report(struct bench *bench, const char *what)
{
    qsort(bench->took_ns, (size_t)bench->rounds, sizeof(bench->took_ns[0]), compare);
    double median = (double)bench->took_ns[bench->rounds / 2] / 1000;
    double late = (double)bench->took_ns[bench->rounds * 95 / 100] / 1000;
    printf("%-28s %10.1f us %10.1f us\n", what, median, late);
    return median;
}

/* --- in this process ---------------------------------------------------------------------------- */
static int count_resource(void *data, const struct kilter_resource *resource)
{
    (void)resource;
    ((struct bench *)data)->resources++;
    return KILTER_OK;
}

static void render_here(struct bench *bench, struct kl_plugin *plugin)
{
    KL_CLEANUP(kl_arena_freep) struct kilter_arena *arena = kilter_arena_new(0);
    KL_CLEANUP(kl_diags_freep) struct kilter_diags *diags = kilter_diags_new(0);
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kl_render_request request = { .plugin = plugin, .path = KILTER_STR("") };
    const struct kl_render_events events = { .resource = count_resource, .data = bench };
    struct kl_render_result result;
    bench->resources = 0;
    if (kl_tree_open_dir(bench->directory, &request.tree, &err) < 0 ||
        kl_render(&request, NULL, &events, arena, &result, diags, &err) < 0)
        fail("rendering in this process", err.message);
    kl_tree_close(request.tree);
}

static void run_here(struct bench *bench)
{
    struct kl_plugin *plugin;
    struct kilter_error err = KILTER_ERROR_INIT;
    if (kl_plugin_load(bench->plugin, NULL, &plugin, &err) < 0)
        fail("loading the plugin", err.message);
    snprintf(bench->name, sizeof(bench->name), "%s", plugin->table.name);
    for (int i = -WARM_UP; i < bench->rounds; i++) {
        int64_t began_ns = kl_clock_monotonic_ns();
        render_here(bench, plugin);
        if (i >= 0)
            bench->took_ns[i] = kl_clock_monotonic_ns() - began_ns;
    }
    kl_plugin_close(plugin);
}

/* --- in workers ------------------------------------------------------------------------------------ */
static void submit(struct bench *bench);

static void on_item(void *data, const struct kilter_value *item, struct kilter_str encoded)
{
    (void)encoded;
    ((struct bench *)data)->resources += kilter_str_eq_c(kilter_get_text(item, "kind"), "resource");
}

static void on_done(void *data, const struct kl_job_outcome *outcome)
{
    struct bench *bench = data;
    if (outcome->status != KILTER_OK)
        fail("rendering in a worker", outcome->message);
    if (--bench->left < bench->rounds)
        bench->took_ns[bench->left] = kl_clock_monotonic_ns() - bench->began_ns;
    if (bench->left > 0)
        submit(bench);
    else
        kl_pool_close(bench->pool, 0, NULL, NULL);
}

static void submit(struct bench *bench)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kl_job_spec spec = {
        .role = KL_ROLE_RENDER,
        .key = kilter_str_c(bench->plugin),
        .plugin = kilter_str_c(bench->name),
        .verb = KILTER_STR("render"),
        .arguments = bench->arguments,
        .deadline_ms = 60000,
        .handler = { .on_item = on_item, .on_done = on_done },
        .data = bench,
    };
    bench->resources = 0;
    bench->began_ns = kl_clock_monotonic_ns();
    if (kl_pool_submit(bench->pool, &spec, NULL, &err) < 0)
        fail("submitting a job", err.message);
}

/* `jobs_of_worker` 1: a new process for each. */
static void run_in_workers(struct bench *bench, const char *worker, unsigned jobs_of_worker)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kl_pool_options options;
    kl_pool_options_init(&options);
    options.worker = worker;
    options.state_id = "bench-isolation";
    options.jobs_of_worker = jobs_of_worker;
    uv_loop_init(&bench->loop);
    if (kl_pool_new(&bench->loop, &options, &bench->pool, &err) < 0)
        fail("making a pool", err.message);
    bench->left = bench->rounds + WARM_UP;
    submit(bench);
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    uv_loop_close(&bench->loop);
}

/* --- setting up --------------------------------------------------------------------------------------- */
static const char *file_path(const struct bench *bench, int i, char path[PATH_MAX + 16])
{
    snprintf(path, PATH_MAX + 16, "%s/%02d.yaml", bench->directory, i);
    return path;
}

static void make_files(struct bench *bench)
{
    char path[PATH_MAX + 16];
    snprintf(bench->directory, sizeof(bench->directory), "/tmp/kilter-bench-XXXXXX");
    if (!mkdtemp(bench->directory))
        fail("making a directory", strerror(errno));
    for (int i = 0; i < FILES; i++) {
        KL_CLEANUP(kl_fclosep) FILE *file = fopen(file_path(bench, i, path), "we");
        if (!file)
            fail(path, strerror(errno));
        fprintf(file,
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings-%d\n  labels:\n    app: bench\n"
                "data:\n  level: info\n  message: |\n    several words\n    on two lines\n  number: \"%d\"\n",
                i, i);
    }
}

static void remove_files(struct bench *bench)
{
    char path[PATH_MAX + 16];
    for (int i = 0; i < FILES; i++)
        unlink(file_path(bench, i, path));
    rmdir(bench->directory);
}

static void make_arguments(struct bench *bench)
{
    bench->arena = kilter_arena_new(0);
    bench->arguments = kilter_map(bench->arena);
    struct kilter_value *plugin = kilter_map(bench->arena);
    kilter_set(bench->arena, plugin, "name", kilter_string_c(bench->arena, bench->name));
    kilter_set(bench->arena, plugin, "file", kilter_string_c(bench->arena, bench->plugin));
    kilter_set(bench->arena, bench->arguments, "plugin", plugin);
    kilter_set(bench->arena, bench->arguments, "directory", kilter_string_c(bench->arena, bench->directory));
    kilter_set(bench->arena, bench->arguments, "path", kilter_string_c(bench->arena, ""));
}

int main(int argc, char **argv)
{
    struct bench bench = { .rounds = argc > 2 ? atoi(argv[2]) : 500 };
    struct kilter_error err = KILTER_ERROR_INIT;
    KL_CLEANUP(kl_freep) char *worker = NULL;
    bool own_files = argc <= 3;
    if (kl_plugin_find(kilter_str_c(argc > 1 ? argv[1] : "yaml"), &bench.plugin, &err) < 0 ||
        kl_worker_find(&worker, &err) < 0)
        fail("looking for the parts", err.message);
    if (bench.rounds < 1)
        fail(argv[2], "no number of rounds");
    bench.took_ns = calloc((size_t)bench.rounds, sizeof(bench.took_ns[0]));
    if (!bench.took_ns)
        fail("starting", "out of memory");
    if (own_files)
        make_files(&bench);
    else
        snprintf(bench.directory, sizeof(bench.directory), "%s", argv[3]);
    kl_log_setup(KILTER_LOG_WARNING, KL_LOG_TEXT);

    printf("render of %s, %d rounds %16s %13s\n", own_files ? "20 files" : bench.directory, bench.rounds, "median",
           "95%");
    run_here(&bench);
    double here = report(&bench, "in this process");
    make_arguments(&bench);
    run_in_workers(&bench, worker, 1000000);
    double warm = report(&bench, "in a worker that is there");
    run_in_workers(&bench, worker, 1);
    double cold = report(&bench, "in a worker started for it");
    printf("%zu resources; isolation costs %.0f us (%.2f times the render), a new process %.0f us more\n",
           bench.resources, warm - here, warm / here, cold - warm);

    if (own_files)
        remove_files(&bench);
    kilter_arena_free(bench.arena);
    free(bench.took_ns);
    free(bench.plugin);
    return 0;
}
