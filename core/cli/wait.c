/* SPDX-License-Identifier: Apache-2.0 */
/* wait: until apps reach a state. */
#include "base/clock.h"
#include "cli/api.h"
#include "cli/progress.h"
#include "cli/status.h"
#include "cli/text.h"

#define DEFAULT_NS (INT64_C(300) * KL_NS_PER_S)
#define ROUND_S 30

struct condition {
    const char *word;
    bool (*holds)(const struct kilter_value *app);
};

static bool is_synced(const struct kilter_value *app)
{
    return kilter_str_eq_c(kilter_get_text(app, "sync"), "Synced");
}

static bool is_healthy(const struct kilter_value *app)
{
    return kilter_str_eq_c(kilter_get_text(app, "health"), "Healthy");
}

static bool is_idle(const struct kilter_value *app)
{
    return kilter_str_eq_c(kilter_get_text(app, "phase"), "Idle");
}

/* An app that is being worked on may be ready for the last time. */
static bool is_ready(const struct kilter_value *app)
{
    return kl_app_is_ready(app) && is_idle(app);
}

static const struct condition conditions[] = {
    { "ready", is_ready },
    { "synced", is_synced },
    { "healthy", is_healthy },
    { "idle", is_idle },
};

static const struct condition *find_condition(struct kl_cli *cli)
{
    const char *word = cli->args.condition ? cli->args.condition : "ready";
    for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++)
        if (strcmp(conditions[i].word, word) == 0)
            return &conditions[i];
    kl_cli_complain(cli, "wait: --until is \"%s\"; it must be ready, synced, healthy or idle", word);
    return NULL;
}

/* 1 when it holds, 0 when the time is up, negative on errors. *ret is the app as it was last. */
static int wait_for(struct kl_cli *cli, struct kilter_str name, const struct condition *condition, int64_t end_ns,
                    struct kilter_value **ret)
{
    int64_t revision = 0;
    for (;;) {
        int64_t left = (end_ns - kl_clock_monotonic_ns()) / KL_NS_PER_S;
        int64_t round = left < 0 ? 0 : left > ROUND_S ? ROUND_S : left;
        int r = kl_api_get(
            cli, kl_api_app_path(cli, name, "?waitAfter=%lld&timeout=%llds", (long long)revision, (long long)round),
            ret);
        if (r < 0)
            return r;
        if (condition->holds(*ret))
            return 1;
        if (kl_clock_monotonic_ns() >= end_ns || kilter_get_int(*ret, "revision", &revision) < 0)
            return 0;
    }
}

int kl_cli_wait(struct kl_cli *cli)
{
    const struct kl_args *args = &cli->args;
    const struct condition *condition = find_condition(cli);
    int64_t end = kl_clock_monotonic_ns() + (args->timeout_ns ? args->timeout_ns : DEFAULT_NS);
    struct kilter_value *whole = kilter_map(cli->arena), *items = kilter_list(cli->arena);
    int status = KL_EXIT_REACHED;
    if (!condition || !whole || !items)
        return KL_EXIT_ERROR;
    for (size_t i = 0; i < args->item_count; i++) {
        struct kilter_str name = kilter_str_c(args->items[i]);
        struct kilter_value *app = NULL;
        struct kl_progress *progress = kl_progress_start(cli, name);
        int r = wait_for(cli, name, condition, end, &app);
        kl_progress_stop(progress);
        if (r < 0 || kilter_list_add(cli->arena, items, app) < 0)
            return KL_EXIT_ERROR;
        if (r == 0)
            status = KL_EXIT_NOT;
    }
    cli->now_ms = kl_clock_wall_ms();
    if (args->form == KL_FORM_TEXT)
        kl_status_apps(cli, items);
    else if (kilter_set(cli->arena, whole, "items", items) < 0 || kl_cli_print_value(cli, whole) < 0)
        return KL_EXIT_ERROR;
    return status;
}
