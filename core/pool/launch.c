/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker is started with: its arguments and its environment. */
#include "pool/private.h"

#include <inttypes.h>
#include <stdlib.h>

/* The variables that workers may know. The daemon's own environment may hold the secrets of inputs. */
static const char *const for_all[] = { "PATH",         "LANG",         "LC_ALL",         "LC_CTYPE",
                                       "TZ",           "TMPDIR",       "ASAN_OPTIONS",   "UBSAN_OPTIONS",
                                       "LSAN_OPTIONS", "TSAN_OPTIONS", "LD_LIBRARY_PATH" };
static const char *const for_network[] = {
    "HOME",        "USER",          "LOGNAME",      "SSH_AUTH_SOCK",   "http_proxy",
    "https_proxy", "all_proxy",     "no_proxy",     "HTTPS_PROXY",     "ALL_PROXY",
    "NO_PROXY",    "SSL_CERT_FILE", "SSL_CERT_DIR", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ENVIRONMENT_MAX (COUNT(for_all) + COUNT(for_network) + 2)
#define ARGUMENTS_MAX 80

/* A NULL-terminated array of strings in an arena. */
struct strings {
    struct kilter_arena *arena;
    char **items;
    size_t count, max;
    bool failed;
};

static void add_string(struct strings *list, char *text)
{
    if (!text || !list->items || list->count + 1 >= list->max)
        list->failed = true;
    else
        list->items[list->count++] = text;
}

static void add_option(struct strings *argv, const char *name, char *value)
{
    add_string(argv, kilter_arena_printf(argv->arena, "%s", name));
    add_string(argv, value);
}

static void add_variables(struct strings *env, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *value = getenv(names[i]);
        if (value)
            add_string(env, kilter_arena_printf(env->arena, "%s=%s", names[i], value));
    }
}

static struct strings make_environment(const struct kl_pool *pool, enum kl_role role, struct kilter_arena *arena)
{
    struct strings env = { arena, kilter_arena_calloc(arena, ENVIRONMENT_MAX, sizeof(char *)), 0, ENVIRONMENT_MAX,
                           false };
    add_string(&env, kilter_arena_printf(arena, KL_SPAWN_MARK "=%s", pool->state_id));
    add_variables(&env, for_all, COUNT(for_all));
    if (role == KL_ROLE_FETCH || role == KL_ROLE_APPLY)
        add_variables(&env, for_network, COUNT(for_network));
    return env;
}

static struct strings make_arguments(const struct kl_pool *pool, enum kl_role role, struct kilter_arena *arena)
{
    const struct kl_pool_options *options = &pool->options;
    struct strings argv = { arena, kilter_arena_calloc(arena, ARGUMENTS_MAX, sizeof(char *)), 0, ARGUMENTS_MAX,
                            false };
    add_string(&argv, kilter_arena_printf(arena, "kilter-worker"));
    add_option(&argv, "--role", kilter_arena_printf(arena, "%s", kl_role_name(role)));
    add_option(&argv, "--memory", kilter_arena_printf(arena, "%" PRIu64, options->memory));
    add_option(&argv, "--cpu", kilter_arena_printf(arena, "%u", options->cpu_seconds));
    add_option(&argv, "--files", kilter_arena_printf(arena, "%u", options->files));
    add_option(&argv, "--output", kilter_arena_printf(arena, "%" PRIu64, options->max_bytes));
    for (size_t i = 0; pool->read_dirs && pool->read_dirs[i]; i++)
        add_option(&argv, "--read", kilter_arena_printf(arena, "%s", pool->read_dirs[i]));
    return argv;
}

int kl_worker_spawn(struct kl_worker *worker, struct kilter_error *err)
{
    struct kilter_arena *arena = kilter_arena_new(0);
    if (!arena)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    struct strings argv = make_arguments(worker->pool, worker->role, arena);
    struct strings envp = make_environment(worker->pool, worker->role, arena);
    int rc = argv.failed || envp.failed
                 ? kilter_error_set(err, KILTER_E_LIMIT, "the arguments of a worker do not fit")
                 : kl_spawn(worker->pool->worker_path, argv.items, envp.items, &worker->child, err);
    kilter_arena_free(arena);
    return rc;
}
