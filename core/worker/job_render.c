/* SPDX-License-Identifier: Apache-2.0 */
/* The jobs about renderers: describe, render and detect. */
#include "git/tree.h"
#include "wire/jobs.h"
#include "worker/render.h"
#include "worker/worker.h"

/* Members are set until one fails; then the map is NULL, which the sender answers for. */
static void put(struct kilter_arena *arena, struct kilter_value **map, const char *key, struct kilter_value *value)
{
    if (*map && (!value || kilter_set(arena, *map, key, value) < 0))
        *map = NULL;
}

static struct kilter_value *item_new(struct kilter_arena *arena, const char *kind)
{
    struct kilter_value *map = kilter_map(arena);
    put(arena, &map, "kind", kilter_string_c(arena, kind));
    return map;
}

static int done(struct kl_job *job, struct kilter_value *map)
{
    if (!map)
        return kilter_error_set(&job->error, KILTER_E_NOMEM, "out of memory for the answer");
    kl_job_done(job, 0, map);
    return 0;
}

/* --- describe ---------------------------------------------------------------------------- */
int kl_job_describe(struct kl_job *job)
{
    struct kl_plugin *plugin;
    int rc = kl_worker_plugin(job, kilter_get(job->args, "plugin"), &plugin);
    if (rc == 0)
        rc = kl_worker_confine(job, 0);
    if (rc < 0)
        return rc;
    struct kilter_value *map = kilter_map(job->arena);
    put(job->arena, &map, "plugin", kl_plugin_describe(plugin, job->arena));
    return done(job, map);
}

/* --- what render and detect share ------------------------------------------------------------ */
static int open_tree(struct kl_job *job, struct kilter_tree **ret)
{
    const char *directory = kl_job_text(job, "directory");
    if (directory)
        return kl_tree_open_dir(directory, ret, &job->error);
    const char *mirror = kl_job_require(job, "mirror");
    const char *commit = mirror ? kl_job_require(job, "commit") : NULL;
    return commit ? kl_tree_open_git(mirror, commit, ret, &job->error) : KILTER_E_INVALID;
}

/* What was asked of the tree counts for a failed render too: it is tried again when one of these moves. */
static int send_asked(struct kl_job *job, struct kilter_tree *tree)
{
    struct kilter_arena *arena = kilter_arena_new(0);
    int rc = arena ? 0 : KILTER_E_NOMEM;
    for (size_t i = 0; rc == 0 && i < kl_tree_asked_count(tree); i++) {
        const struct kl_asked *asked = kl_tree_asked_at(tree, i);
        struct kilter_value *item = item_new(arena, "asked");
        put(arena, &item, "path", kilter_string(arena, asked->path));
        put(arena, &item, "question", kilter_string_c(arena, kl_question_word(asked->question)));
        put(arena, &item, "answer", kilter_string(arena, asked->answer));
        rc = kl_job_item(job, item);
        kilter_arena_reset(arena);
    }
    kilter_arena_free(arena);
    return rc;
}

/* --- render -------------------------------------------------------------------------------------- */
struct rendering {
    struct kl_job *job;
    struct kilter_arena *scratch; /* of one resource */
};

static int on_resource(void *data, const struct kilter_resource *resource)
{
    struct rendering *r = data;
    int rc = kl_job_item(r->job, kl_resource_value(r->scratch, resource));
    kilter_arena_reset(r->scratch);
    return rc;
}

static int on_need(void *data, struct kilter_str url, struct kilter_str ref, struct kilter_tree **ret,
                   struct kilter_error *err)
{
    struct rendering *r = data;
    struct kilter_value *item = item_new(r->scratch, "need");
    (void)ret;
    put(r->scratch, &item, "url", kilter_string(r->scratch, url));
    put(r->scratch, &item, "ref", kilter_string(r->scratch, ref.ptr ? ref : KILTER_STR("")));
    put(r->scratch, &item, "path", kilter_string_c(r->scratch, ""));
    int rc = kl_job_item(r->job, item);
    kilter_arena_reset(r->scratch);
    return rc < 0 ? rc : kilter_error_set(err, KILTER_E_NEED, "%.*s is needed first", KILTER_STR_ARG(url));
}

/* Inputs are secret whether or not they still carry the mark. */
static struct kilter_value *secret_inputs(struct kl_job *job)
{
    struct kilter_value *inputs = kilter_get(job->args, "inputs");
    if (inputs)
        kilter_set_marks(inputs, kilter_marks_of(inputs) | KILTER_VALUE_SECRET);
    kl_job_hide_all(job, job->args, false);
    return inputs;
}

static uint64_t limit_of(struct kl_job *job, const char *key)
{
    int64_t limit = kl_job_int(job, key, 0);
    return limit > 0 ? (uint64_t)limit : 0;
}

static int render(struct kl_job *job, struct kl_plugin *plugin, struct kilter_tree *tree,
                  struct kl_render_result *ret)
{
    bool substitute = false;
    kilter_get_bool(job->args, "substitute", &substitute);
    struct kl_render_request request = {
        .plugin = plugin,
        .config = kilter_get(kilter_get(job->args, "plugin"), "config"),
        .options = kilter_get(job->args, "options"),
        .tree = tree,
        .path = kilter_get(job->args, "path") ? kilter_get_text(job->args, "path") : KILTER_STR(""),
        .substitute = substitute,
        .variables = kilter_get(job->args, "variables"),
        .inputs = secret_inputs(job),
        .max_resources = limit_of(job, "maxResources"),
        .max_bytes = limit_of(job, "maxBytes"),
        .deadline_ns = job->deadline_ns,
    };
    struct rendering r = { job, kilter_arena_new(0) };
    struct kl_render_events events = { on_resource, on_need, &r };
    struct kl_services services = kl_worker_services(job);
    if (!r.scratch)
        return kilter_error_set(&job->error, KILTER_E_NOMEM, "out of memory");
    int rc = kl_render(&request, &services, &events, job->arena, ret, job->diags, &job->error);
    kilter_arena_free(r.scratch);
    return rc;
}

static int done_render(struct kl_job *job, struct kl_plugin *plugin, const struct kl_render_result *result)
{
    struct kilter_value *map = kilter_map(job->arena);
    put(job->arena, &map, "count", kilter_uint(job->arena, result->count));
    put(job->arena, &map, "digest", kilter_string_c(job->arena, result->digest));
    put(job->arena, &map, "secret", kilter_bool(job->arena, result->secret));
    put(job->arena, &map, "renderer", kilter_string_c(job->arena, plugin->table.name));
    put(job->arena, &map, "version", kilter_string_c(job->arena, plugin->table.version));
    return done(job, map);
}

int kl_job_render(struct kl_job *job)
{
    struct kl_plugin *plugin;
    struct kilter_tree *tree = NULL;
    struct kl_render_result result;
    int rc = kl_worker_plugin(job, kilter_get(job->args, "plugin"), &plugin);
    if (rc == 0)
        rc = kl_worker_confine(job, 0);
    if (rc == 0)
        rc = open_tree(job, &tree);
    if (rc < 0)
        return rc;
    rc = render(job, plugin, tree, &result);
    struct kilter_error kept = job->error;
    int asked = send_asked(job, tree);
    if (rc < 0)
        job->error = kept;
    else
        rc = asked;
    if (rc == 0)
        rc = done_render(job, plugin, &result);
    kl_tree_close(tree);
    return rc;
}

/* --- detect ------------------------------------------------------------------------------------------ */
/* Loads them all before the sandbox closes around their directories. */
static int load_all(struct kl_job *job, const struct kilter_value *list, struct kl_plugin **plugins)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < kilter_list_size(list); i++)
        rc = kl_worker_plugin(job, kilter_list_at(list, i), &plugins[i]);
    return rc < 0 ? rc : kl_worker_confine(job, 0);
}

/* The surest one; of equally sure ones the first. */
static int choose(struct kl_job *job, const struct kilter_value *list, struct kl_plugin **plugins,
                  struct kilter_tree *tree, struct kl_plugin **ret)
{
    struct kl_services services = kl_worker_services(job);
    struct kilter_str path = kilter_get(job->args, "path") ? kilter_get_text(job->args, "path") : KILTER_STR("");
    int best = 0;
    for (size_t i = 0; i < kilter_list_size(list); i++) {
        const struct kilter_value *config = kilter_get(kilter_list_at(list, i), "config");
        int score =
            kl_render_detect(plugins[i], config, &services, tree, path, job->arena, job->diags, &job->error);
        if (score < 0)
            return score;
        if (score > best) {
            best = score;
            *ret = plugins[i];
        }
    }
    if (best)
        return 0;
    return kilter_error_set(&job->error, KILTER_E_NOT_FOUND, "no renderer takes the path \"%.*s\": name one",
                            KILTER_STR_ARG(path));
}

int kl_job_detect(struct kl_job *job)
{
    const struct kilter_value *list = kilter_get(job->args, "plugins");
    struct kl_plugin **plugins = kilter_arena_calloc(job->arena, kilter_list_size(list), sizeof(*plugins));
    struct kl_plugin *chosen = NULL;
    struct kilter_tree *tree = NULL;
    if (!plugins)
        return KILTER_E_NOMEM;
    kl_job_hide_all(job, job->args, false);
    int rc = load_all(job, list, plugins);
    if (rc == 0)
        rc = open_tree(job, &tree);
    if (rc < 0)
        return rc;
    rc = choose(job, list, plugins, tree, &chosen);
    struct kilter_error kept = job->error;
    int asked = send_asked(job, tree);
    kl_tree_close(tree);
    job->error = kept;
    if (rc < 0 || asked < 0)
        return rc < 0 ? rc : asked;
    struct kilter_value *map = kilter_map(job->arena);
    put(job->arena, &map, "plugin", kilter_string_c(job->arena, chosen->table.name));
    return done(job, map);
}
