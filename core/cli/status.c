/* SPDX-License-Identifier: Apache-2.0 */
/* status and show: how apps are. */
#include "cli/status.h"

#include "base/clock.h"
#include "cli/api.h"
#include "cli/text.h"

static bool text_is(const struct kilter_value *map, const char *key, const char *word)
{
    return kilter_str_eq_c(kilter_get_text(map, key), word);
}

bool kl_app_is_ready(const struct kilter_value *app)
{
    return text_is(app, "sync", "Synced") && text_is(app, "health", "Healthy") && !text_is(app, "phase", "Failed");
}

/* --- the table of apps ------------------------------------------------------------- */

static void add_app(struct kl_table *table, const struct kilter_value *app)
{
    struct kl_cli *cli = table->cli;
    struct kilter_str sync = kilter_get_text(app, "sync"), health = kilter_get_text(app, "health");
    struct kl_cell *row = kl_table_row(table);
    char *age = kilter_arena_alloc(cli->arena, 32);
    if (!row || !age)
        return;
    kl_text_age(cli, kilter_get_text(app, "since"), age);
    row[0] = (struct kl_cell){ kilter_get_text(app, "name"), KL_BOLD };
    row[1] = (struct kl_cell){ sync, kl_tint_of_state(sync) };
    row[2] = (struct kl_cell){ health, kl_tint_of_state(health) };
    row[3].text = kl_text_commit(kilter_get(app, "commit"));
    row[4].text = kilter_str_c(age);
    row[5].text = kilter_str_c(kl_text_app_state(cli, app));
    bool failed = text_is(app, "phase", "Failed"), waits = text_is(app, "phase", "Waiting");
    row[5].tint = failed                                                               ? KL_RED
                  : waits || kilter_get(app, "pinned") || kilter_get(app, "suspended") ? KL_YELLOW
                                                                                       : KL_PLAIN;
}

void kl_status_apps(struct kl_cli *cli, const struct kilter_value *apps)
{
    static const char *const titles[] = { "APP", "SYNC", "HEALTH", "COMMIT", "SINCE", "STATE", NULL };
    struct kl_table table;
    kl_table_init(&table, cli, titles);
    for (size_t i = 0; i < kilter_list_size(apps); i++)
        add_app(&table, kilter_list_at(apps, i));
    kl_table_print(&table);
    if (table.rows == 0)
        fputs("The manifest has no apps.\n", cli->out);
}

/* --- the lines above it --------------------------------------------------------------- */

static void put_problem(struct kl_cli *cli, const char *what, struct kilter_str name, const char *how,
                        struct kilter_str message)
{
    fprintf(cli->out, "%s! ", kl_tint_on(cli, KL_RED));
    fputs(what, cli->out);
    kl_put_text(cli->out, name);
    fputs(how, cli->out);
    kl_put_text(cli->out, message);
    fprintf(cli->out, "%s\n", kl_tint_off(cli, KL_RED));
}

static void put_reload(struct kl_cli *cli, const struct kilter_value *manifest)
{
    const struct kilter_value *reload = kilter_get(manifest, "reload");
    char clock[32];
    if (!reload)
        return;
    kl_text_clock(cli, kilter_get_text(reload, "time"), clock);
    const char *how = kilter_arena_printf(cli->arena, " was refused at %s, the one of before is in force: ", clock);
    put_problem(cli, "the manifest ", kilter_get_text(manifest, "path"), how ? how : ": ",
                kilter_get_text(reload, "message"));
}

static void put_broken(struct kl_cli *cli, const struct kilter_value *list, const char *what, const char *how)
{
    for (size_t i = 0; i < kilter_list_size(list); i++) {
        const struct kilter_value *item = kilter_list_at(list, i);
        if (text_is(item, "state", "Failed") || text_is(item, "state", "Quarantined"))
            put_problem(cli, what, kilter_get_text(item, "name"),
                        text_is(item, "state", "Quarantined") ? " is quarantined: " : how,
                        kilter_get_text(item, "message"));
    }
}

/* "acme-edge: 5 apps, 4 synced, 1 waiting". */
void kl_status_head(struct kl_cli *cli, const struct kilter_value *status)
{
    static const struct {
        const char *key, *words;
    } counts[] = { { "synced", "synced" }, { "outOfSync", "out of sync" }, { "waiting", "waiting" },
                   { "failed", "failed" }, { "suspended", "suspended" },   { "pinned", "pinned" } };
    const struct kilter_value *apps = kilter_get(status, "apps");
    int64_t count = 0;
    kilter_get_int(apps, "total", &count);
    fputs(kl_tint_on(cli, KL_BOLD), cli->out);
    kl_put_text(cli->out, kilter_get_text(status, "installation"));
    fprintf(cli->out, "%s: %lld app%s", kl_tint_off(cli, KL_BOLD), (long long)count, count == 1 ? "" : "s");
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        if (kilter_get_int(apps, counts[i].key, &count) == 0 && count > 0)
            fprintf(cli->out, ", %lld %s", (long long)count, counts[i].words);
    putc('\n', cli->out);
    put_reload(cli, kilter_get(status, "manifest"));
    put_broken(cli, kilter_get(status, "sources"), "source ", " cannot be fetched: ");
    put_broken(cli, kilter_get(status, "plugins"), "plugin ", " cannot be used: ");
    putc('\n', cli->out);
}

/* --- one app in full ----------------------------------------------------------------------- */

static void put_field(struct kl_cli *cli, const char *name, struct kilter_str text, enum kl_tint tint)
{
    if (!text.len)
        return;
    fprintf(cli->out, "%s%-12s%s%s", kl_tint_on(cli, KL_DIM), name, kl_tint_off(cli, KL_DIM),
            kl_tint_on(cli, tint));
    kl_put_text(cli->out, text);
    fprintf(cli->out, "%s\n", kl_tint_off(cli, tint));
}

static struct kilter_str commit_line(struct kl_cli *cli, const struct kilter_value *commit)
{
    struct kilter_str id = kl_text_commit(commit), subject = kilter_get_text(commit, "subject");
    struct kilter_str author = kilter_get_text(commit, "author");
    char age[32];
    if (!id.len)
        return KILTER_STR_NONE;
    kl_text_age(cli, kilter_get_text(commit, "time"), age);
    return kilter_str_c(kilter_arena_printf(cli->arena, "%.*s %.*s%s%.*s%s%s%s", KILTER_STR_ARG(id),
                                            KILTER_STR_ARG(subject), author.len ? " (" : "", KILTER_STR_ARG(author),
                                            author.len && age[0] ? ", " : "", author.len && age[0] ? age : "",
                                            author.len ? (age[0] ? " ago)" : ")") : ""));
}

static void put_policy(struct kl_cli *cli, const struct kilter_value *policy)
{
    bool prune = false;
    kilter_get_bool(policy, "prune", &prune);
    const char *text = kilter_arena_printf(
        cli->arena, "%.*s: sync %.*s, drift %.*s, prune %s, maxDeletes %.*s, adopt %.*s",
        KILTER_STR_ARG(kilter_get_text(policy, "name")), KILTER_STR_ARG(kilter_get_text(policy, "sync")),
        KILTER_STR_ARG(kilter_get_text(policy, "drift")), prune ? "on" : "off",
        KILTER_STR_ARG(kilter_get_text(policy, "maxDeletes")), KILTER_STR_ARG(kilter_get_text(policy, "adopt")));
    put_field(cli, "Policy", kilter_str_c(text), KL_PLAIN);
}

static void put_last_error(struct kl_cli *cli, const struct kilter_value *error)
{
    struct kilter_str plugin = kilter_get_text(error, "plugin"), callback = kilter_get_text(error, "callback");
    char age[32];
    if (!error)
        return;
    kl_text_age(cli, kilter_get_text(error, "time"), age);
    const char *text = kilter_arena_printf(
        cli->arena, "%s ago%s%.*s%s%.*s: %.*s", age, plugin.len ? ", plugin " : "", KILTER_STR_ARG(plugin),
        callback.len ? ", " : "", KILTER_STR_ARG(callback), KILTER_STR_ARG(kilter_get_text(error, "message")));
    put_field(cli, "Last error", kilter_str_c(text), KL_RED);
    kl_put_diagnostics(cli->out, kilter_get(error, "diagnostics"), "            ");
}

static struct kilter_str join(struct kl_cli *cli, const struct kilter_value *list)
{
    struct kilter_buf out = KILTER_BUF_INIT(65536);
    for (size_t i = 0; i < kilter_list_size(list); i++)
        kilter_buf_printf(&out, "%s%.*s", i ? ", " : "", KILTER_STR_ARG(kilter_text(kilter_list_at(list, i))));
    struct kilter_str text = out.len ? kilter_arena_str(cli->arena, kilter_buf_view(&out)) : KILTER_STR_NONE;
    kilter_buf_release(&out);
    return text;
}

static const char *from_to(struct kl_cli *cli, const struct kilter_value *app)
{
    struct kilter_str path = kilter_get_text(app, "path"), renderer = kilter_get_text(app, "renderer");
    return kilter_arena_printf(
        cli->arena, "%.*s:%.*s%s%.*s%s -> %.*s", KILTER_STR_ARG(kilter_get_text(app, "source")),
        KILTER_STR_ARG(path.len ? path : KILTER_STR("/")), renderer.len ? " (" : "", KILTER_STR_ARG(renderer),
        renderer.len ? ")" : "", KILTER_STR_ARG(kilter_get_text(app, "target")));
}

void kl_status_app(struct kl_cli *cli, const struct kilter_value *app)
{
    struct kilter_str sync = kilter_get_text(app, "sync"), health = kilter_get_text(app, "health");
    struct kilter_str good = kl_text_commit(kilter_get(app, "lastGood")),
                      commit = kl_text_commit(kilter_get(app, "commit"));
    const struct kilter_value *summary = kilter_get(kilter_get(app, "plan"), "summary");
    const char *state = kl_text_app_state(cli, app);
    char text[32];
    put_field(cli, "App", kilter_get_text(app, "name"), KL_BOLD);
    put_field(cli, "From, to", kilter_str_c(from_to(cli, app)), KL_PLAIN);
    put_field(cli, "Sync", sync, kl_tint_of_state(sync));
    put_field(cli, "Health", health, kl_tint_of_state(health));
    put_field(cli, "State", kilter_str_c(state), text_is(app, "phase", "Failed") ? KL_RED : KL_YELLOW);
    kl_text_age(cli, kilter_get_text(app, "since"), text);
    put_field(cli, "Since", kilter_str_c(text), KL_PLAIN);
    put_field(cli, "Commit", commit_line(cli, kilter_get(app, "commit")), KL_PLAIN);
    put_field(cli, "Wanted", commit_line(cli, kilter_get(app, "wantedCommit")), KL_YELLOW);
    if (good.len && !kilter_str_eq(good, commit))
        put_field(cli, "Last good", commit_line(cli, kilter_get(app, "lastGood")), KL_PLAIN);
    put_policy(cli, kilter_get(app, "policy"));
    if (kilter_map_size(summary))
        put_field(cli, "Plan", kilter_str_c(kl_text_summary(cli, summary)), KL_PLAIN);
    put_field(cli, "Depends on", join(cli, kilter_get(app, "dependsOn")), KL_PLAIN);
    put_last_error(cli, kilter_get(app, "lastError"));
    kl_text_age(cli, kilter_get_text(app, "nextAttempt"), text);
    if (text[0])
        put_field(cli, "Next", kilter_str_c(kilter_arena_printf(cli->arena, "in %s", text)), KL_PLAIN);
}

void kl_status_resources(struct kl_cli *cli, const struct kilter_value *resources)
{
    static const char *const titles[] = { "RESOURCE", "SYNC", "HEALTH", "MESSAGE", NULL };
    struct kl_table table;
    kl_table_init(&table, cli, titles);
    for (size_t i = 0; i < kilter_list_size(resources); i++) {
        const struct kilter_value *resource = kilter_list_at(resources, i);
        struct kilter_str sync = kilter_get_text(resource, "sync"), health = kilter_get_text(resource, "health");
        struct kilter_str by = kilter_get_text(resource, "driftBy"), message = kilter_get_text(resource, "message");
        struct kl_cell *row = kl_table_row(&table);
        if (!row)
            return;
        row[0].text = kilter_get_text(resource, "id");
        row[1] = (struct kl_cell){ sync, kl_tint_of_state(sync) };
        row[2] = (struct kl_cell){ health, kl_tint_of_state(health) };
        row[3].text = by.len
                          ? kilter_str_c(kilter_arena_printf(cli->arena, "%.*s%s(by %.*s)", KILTER_STR_ARG(message),
                                                             message.len ? " " : "", KILTER_STR_ARG(by)))
                          : message;
    }
    if (table.rows)
        putc('\n', cli->out);
    kl_table_print(&table);
}

/* --- asking ------------------------------------------------------------------------------------ */

/* The apps that were named, or all, as {revision?, items}. */
static int fetch(struct kl_cli *cli, struct kilter_value **ret)
{
    const struct kl_args *args = &cli->args;
    if (args->item_count == 0)
        return kl_api_list(cli, "/api/v1/apps", false, -1, ret);
    struct kilter_value *whole = kilter_map(cli->arena), *items = kilter_list(cli->arena), *app;
    if (!whole || !items || kilter_set(cli->arena, whole, "items", items) < 0)
        return KILTER_E_NOMEM;
    int result = 0;
    for (size_t i = 0; i < args->item_count; i++) {
        int r = kl_api_get(cli, kl_api_app_path(cli, kilter_str_c(args->items[i]), "%s", ""), &app);
        if (r == 0)
            r = kilter_list_add(cli->arena, items, app);
        result = r < 0 ? r : result;
    }
    *ret = whole;
    return result;
}

static bool all_ready(const struct kilter_value *list)
{
    const struct kilter_value *items = kilter_get(list, "items");
    for (size_t i = 0; i < kilter_list_size(items); i++)
        if (!kl_app_is_ready(kilter_list_at(items, i)))
            return false;
    return true;
}

static int show_status(struct kl_cli *cli, bool *ret_ready)
{
    struct kilter_value *list = NULL, *status = NULL;
    bool text = cli->args.form == KL_FORM_TEXT;
    int r = fetch(cli, &list);
    if (r == 0 && text && cli->args.item_count == 0)
        r = kl_api_get(cli, "/api/v1/status", &status);
    if (r < 0)
        return r;
    if (!text)
        r = kl_cli_print_value(cli, list);
    else if (status)
        kl_status_head(cli, status);
    if (text)
        kl_status_apps(cli, kilter_get(list, "items"));
    *ret_ready = all_ready(list);
    return r;
}

static int show_app(struct kl_cli *cli, bool *ret_ready)
{
    struct kilter_value *app = NULL, *resources = NULL;
    struct kilter_str name = kilter_str_c(cli->args.items[0]);
    int r = kl_api_get(cli, kl_api_app_path(cli, name, "%s", ""), &app);
    if (r == 0)
        r = kl_api_list(cli, kl_api_app_path(cli, name, "/resources"), false, -1, &resources);
    if (r < 0)
        return r;
    *ret_ready = kl_app_is_ready(app);
    if (cli->args.form != KL_FORM_TEXT) {
        r = kilter_set(cli->arena, app, "items", kilter_get(resources, "items"));
        return r < 0 ? r : kl_cli_print_value(cli, app);
    }
    kl_status_app(cli, app);
    kl_status_resources(cli, kilter_get(resources, "items"));
    return 0;
}

/* --- watching ------------------------------------------------------------------------------------- */

/* Waits until something moved after `revision`; the new one in its place. */
static int wait_for_change(struct kl_cli *cli, int64_t *revision)
{
    struct kilter_value *answer = NULL;
    int64_t now = *revision;
    while (now <= *revision) {
        int r = kl_api_get(cli,
                           kilter_arena_printf(cli->arena, "/api/v1/apps?limit=1&waitAfter=%lld&timeout=60s",
                                               (long long)*revision),
                           &answer);
        if (r < 0)
            return r;
        if (kilter_get_int(answer, "revision", &now) < 0)
            return KILTER_E_INVALID;
    }
    *revision = now;
    return 0;
}

static int watch(struct kl_cli *cli, int (*show)(struct kl_cli *cli, bool *ret_ready))
{
    struct kilter_arena *whole = cli->arena;
    int64_t revision = 0; /* always smaller than the daemon's */
    bool ready = false;
    int r = 0;
    /* An arena for each round: this may run for days. The first wait answers at once with the revision, which
     * is asked for before the state so that no change falls between the two. */
    while (r == 0) {
        cli->arena = kilter_arena_new(0);
        r = cli->arena ? wait_for_change(cli, &revision) : KILTER_E_NOMEM;
        if (r == 0 && cli->terminal && cli->args.form == KL_FORM_TEXT)
            fputs("\033[H\033[2J", cli->out);
        if (r == 0) {
            cli->now_ms = kl_clock_wall_ms();
            r = show(cli, &ready);
        }
        fflush(cli->out);
        kilter_arena_free(cli->arena);
    }
    cli->arena = whole;
    return r == KILTER_E_CANCELLED ? 0 : r;
}

static int run(struct kl_cli *cli, int (*show)(struct kl_cli *cli, bool *ret_ready))
{
    bool ready = false;
    int r = cli->args.watch ? watch(cli, show) : show(cli, &ready);
    if (r < 0)
        return KL_EXIT_ERROR;
    return ready || cli->args.watch ? KL_EXIT_REACHED : KL_EXIT_NOT;
}

int kl_cli_status(struct kl_cli *cli)
{
    return run(cli, show_status);
}

int kl_cli_show(struct kl_cli *cli)
{
    return run(cli, show_app);
}
