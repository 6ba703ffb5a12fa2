/* SPDX-License-Identifier: Apache-2.0 */
/* From drafts to the manifest's arrays: order, dependencies, cycles, old names. */
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "manifest/load.h"

struct graph {
    struct kl_load *load;
    struct kl_app *apps;      /* sorted by name */
    struct kl_draft **drafts; /* in the same order */
    size_t count;
};

static int by_draft_name(const void *a, const void *b)
{
    const struct kl_draft *const *left = a, *const *right = b;
    return kilter_str_cmp((*left)->app.name, (*right)->app.name);
}

static bool collect_drafts(struct graph *g)
{
    size_t at = 0, count = kl_map_count(&g->load->drafts);
    struct kilter_str key;
    void *value;

    g->drafts = kl_load_alloc(g->load, count * sizeof *g->drafts);
    g->apps = kl_load_alloc(g->load, count * sizeof *g->apps);
    if (!g->drafts || !g->apps)
        return false;
    while (g->count < count && kl_map_next(&g->load->drafts, &at, &key, &value))
        g->drafts[g->count++] = value;
    qsort(g->drafts, g->count, sizeof *g->drafts, by_draft_name);
    for (size_t i = 0; i < g->count; i++)
        g->apps[i] = g->drafts[i]->app;
    return true;
}

/* --- the sources and targets in use ------------------------------------------------------- */
static int by_source_name(const void *a, const void *b)
{
    return kilter_str_cmp(((const struct kl_source *)a)->name, ((const struct kl_source *)b)->name);
}

static int by_target_name(const void *a, const void *b)
{
    return kilter_str_cmp(((const struct kl_target *)a)->name, ((const struct kl_target *)b)->name);
}

static void settle_sources(struct graph *g)
{
    struct kl_manifest *m = g->load->manifest;
    struct kl_source *sources = kl_load_alloc(g->load, kl_map_count(&g->load->source_instances) * sizeof *sources);
    struct kl_map taken = KL_MAP_INIT;
    size_t count = 0;

    for (size_t i = 0; sources && i < g->count; i++) {
        const struct kl_source *source = g->apps[i].source;
        if (!source || kl_map_has(&taken, source->name))
            continue;
        kl_load_put(g->load, &taken, source->name, g);
        if (g->load->report.status)
            break; /* not taken note of, it would be taken twice */
        sources[count++] = *source;
    }
    kl_map_release(&taken, NULL);
    if (!sources)
        return;
    qsort(sources, count, sizeof *sources, by_source_name);
    m->sources = sources;
    m->source_count = count;
    for (size_t i = 0; i < g->count; i++)
        if (g->apps[i].source)
            g->apps[i].source = kl_manifest_source(m, g->apps[i].source->name);
}

static void settle_targets(struct graph *g)
{
    struct kl_manifest *m = g->load->manifest;
    struct kl_target *targets = kl_load_alloc(g->load, kl_map_count(&g->load->target_instances) * sizeof *targets);
    struct kl_map taken = KL_MAP_INIT;
    size_t count = 0;

    for (size_t i = 0; targets && i < g->count; i++) {
        const struct kl_target *target = g->apps[i].target;
        if (!target || kl_map_has(&taken, target->name))
            continue;
        kl_load_put(g->load, &taken, target->name, g);
        if (g->load->report.status)
            break; /* not taken note of, it would be taken twice */
        targets[count++] = *target;
    }
    kl_map_release(&taken, NULL);
    if (!targets)
        return;
    qsort(targets, count, sizeof *targets, by_target_name);
    m->targets = targets;
    m->target_count = count;
    for (size_t i = 0; i < g->count; i++)
        if (g->apps[i].target)
            g->apps[i].target = kl_manifest_target(m, g->apps[i].target->name);
}

/* --- dependsOn ------------------------------------------------------------------------------ */
/* The one of the same environment, or the one that is outside of all. */
static const struct kl_app *dependency(struct graph *g, const struct kl_app *app, const struct kilter_value *name)
{
    struct kl_load *load = g->load;
    char what[200];

    snprintf(what, sizeof what, "app \"%.*s\"", KILTER_STR_ARG(kilter_str_sub(app->base, 0, 100)));
    const struct kl_entry *entry = kl_load_named(load, &load->apps, name, what);
    if (!entry)
        return NULL;
    const struct kl_app *found =
        kl_manifest_app(load->manifest, kl_load_full_name(load, entry->name, app->environment));
    if (!found)
        found = kl_manifest_app(load->manifest, entry->name);
    if (!found && app->environment.len)
        kl_report_add(&load->report, KILTER_ERROR, "manifest.environment", kilter_origin_of(name),
                      "list the environment there too, or depend on something that is in it",
                      "%s depends on \"%.*s\", which is not in environment \"%.*s\"", what,
                      KILTER_STR_ARG(entry->name), KILTER_STR_ARG(app->environment));
    else if (!found)
        kl_report_add(&load->report, KILTER_ERROR, "manifest.environment", kilter_origin_of(name),
                      "a dependency is of the same environment: list environments here too",
                      "%s depends on \"%.*s\", which only exists in environments", what,
                      KILTER_STR_ARG(entry->name));
    return found;
}

static void tie(struct graph *g, size_t index)
{
    struct kl_app *app = &g->apps[index];
    const struct kilter_value *list = g->drafts[index]->depends_on;
    const struct kl_app **depends = kl_load_alloc(g->load, kl_strings_count(list) * sizeof(*depends));
    size_t count = 0;

    for (size_t i = 0; depends && i < kl_strings_count(list); i++) {
        const struct kl_app *found = dependency(g, app, kl_strings_at(list, i));
        bool twice = false;
        for (size_t j = 0; j < count; j++)
            twice = twice || depends[j] == found;
        if (found && !twice)
            depends[count++] = found;
    }
    app->depends_on = depends;
    app->depends_count = depends ? count : 0;
}

/* --- cycles ------------------------------------------------------------------------------------ */
enum mark { UNSEEN = 0, ON_PATH = 1, DONE = 2 };

struct step {
    size_t app, next; /* next: index into its dependencies */
};

static void report_cycle(struct graph *g, const struct step *path, size_t depth, size_t start)
{
    struct kilter_buf text = KILTER_BUF_INIT(65536);
    size_t from = 0;

    while (from < depth && path[from].app != start)
        from++;
    for (size_t i = from; i < depth && text.len < 700; i++)
        kilter_buf_printf(&text, "%.*s -> ", KILTER_STR_ARG(g->apps[path[i].app].base));
    kilter_buf_printf(&text, "%s%.*s", text.len >= 700 ? "... -> " : "", KILTER_STR_ARG(g->apps[start].base));
    kl_report_add(&g->load->report, KILTER_ERROR, "manifest.cycle", g->apps[start].origin,
                  "take one of these out of its \"dependsOn\"", "apps depend on one another in a circle: %s",
                  text.ptr ? text.ptr : "");
    kilter_buf_release(&text);
}

/* Depth first without recursion: a chain may be as long as there are apps. */
static void walk(struct graph *g, unsigned char *marks, struct step *path, size_t root)
{
    size_t depth = 0;

    if (marks[root] != UNSEEN)
        return;
    marks[root] = ON_PATH;
    path[depth++] = (struct step){ root, 0 };
    while (depth > 0) {
        struct step *top = &path[depth - 1];
        if (top->next == g->apps[top->app].depends_count) {
            marks[top->app] = DONE;
            depth--;
            continue;
        }
        size_t to = (size_t)(g->apps[top->app].depends_on[top->next++] - g->apps);
        if (marks[to] == ON_PATH)
            report_cycle(g, path, depth, to);
        if (marks[to] != UNSEEN)
            continue;
        marks[to] = ON_PATH;
        path[depth++] = (struct step){ to, 0 };
    }
}

static void find_cycles(struct graph *g)
{
    KL_CLEANUP(kl_freep) unsigned char *marks = calloc(g->count + 1, 1);
    KL_CLEANUP(kl_freep) struct step *path = calloc(g->count + 1, sizeof *path);

    if (!marks || !path) {
        kl_report_nomem(&g->load->report);
        return;
    }
    for (size_t i = 0; i < g->count; i++)
        walk(g, marks, path, i);
}

/* --- movedFrom ------------------------------------------------------------------------------------ */
static void check_moved(struct graph *g)
{
    struct kl_map claimed = KL_MAP_INIT; /* old name -> the app that says so */

    for (size_t i = 0; i < g->count; i++) {
        struct kl_app *app = &g->apps[i];
        struct kilter_origin at = g->drafts[i]->moved_origin;
        if (app->moved_from.len == 0)
            continue;
        const struct kl_app *there = kl_manifest_app(g->load->manifest, app->moved_from);
        const struct kl_app *other = kl_map_get(&claimed, app->moved_from);
        if (there)
            kl_report_add(&g->load->report, KILTER_ERROR, "manifest.moved", at,
                          there == app ? "take it out" : "take the old app out, or this \"movedFrom\"",
                          "app \"%.*s\" says that it was \"%.*s\", which is still there: at %s",
                          KILTER_STR_ARG(app->name), KILTER_STR_ARG(kilter_str_sub(app->moved_from, 0, 130)),
                          kl_report_place(&g->load->report, there->origin));
        else if (other)
            kl_report_add(&g->load->report, KILTER_ERROR, "manifest.moved", at, "only one can take its things over",
                          "apps \"%.*s\" and \"%.*s\" both say that they were \"%.*s\"",
                          KILTER_STR_ARG(other->name), KILTER_STR_ARG(app->name),
                          KILTER_STR_ARG(kilter_str_sub(app->moved_from, 0, 130)));
        kl_load_put(g->load, &claimed, app->moved_from, app);
    }
    kl_map_release(&claimed, NULL);
}

void kl_load_graph(struct kl_load *load)
{
    struct graph g = { .load = load };

    if (!collect_drafts(&g))
        return;
    load->manifest->apps = g.apps;
    load->manifest->app_count = g.count;
    settle_sources(&g);
    settle_targets(&g);
    for (size_t i = 0; i < g.count; i++)
        tie(&g, i);
    find_cycles(&g);
    check_moved(&g);
    if (load->report.errors == 0 && load->report.status == 0)
        kl_load_digests(load, g.apps, g.count);
}
