/* SPDX-License-Identifier: Apache-2.0 */
/* Apps, each in each of its environments. */
#include <stdio.h>
#include <stdlib.h>

#include <kilter/renderer.h>

#include "manifest/load.h"

/* One app in one environment while it is made. */
struct making {
    struct kl_load *load;
    const struct kl_entry *entry;
    const struct kl_stage *stage;
    const struct kilter_value *value; /* substituted */
    struct kl_raw_app raw;
    struct kl_app *app;
    char what[200];
};

static void problem(const struct making *m, const struct kilter_value *at, const char *code, const char *hint,
                    const char *message)
{
    kl_report_add(&m->load->report, KILTER_ERROR, code, kilter_origin_of(at), hint, "%s: %s", m->what, message);
}

/* --- path ------------------------------------------------------------------------------ */
static void take_path(struct making *m)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    const struct kilter_value *at = kilter_get(m->value, "path");
    struct kilter_str path = m->raw.path;

    if (path.len == 0)
        return;
    if (path.ptr[0] == '/')
        problem(m, at, "manifest.path", "leave the slash out; \".\" is the whole tree",
                "\"path\" begins with a slash, but is one in the source's tree");
    else if (kilter_path_join(m->load->arena, KILTER_STR(""), path, &m->app->path, &err) < 0)
        problem(m, at, "manifest.path", "it counts from the root of the source's tree",
                "\"path\" leads out of the source's tree");
}

/* --- renderer ---------------------------------------------------------------------------- */
/* The options of a renderer are its map without the name. */
static const struct kilter_value *options_of(struct making *m)
{
    struct kilter_value *options = kilter_map(m->load->arena);

    if (options)
        kilter_set_origin(options, kilter_origin_of(m->raw.renderer));
    for (size_t i = 0; options && i < kilter_map_size(m->raw.renderer); i++) {
        const struct kilter_value *key = kilter_map_key_at(m->raw.renderer, i);
        struct kilter_value *copy;
        if (kilter_str_eq_c(kilter_text(key), "name"))
            continue;
        /* The key goes along for its place, which messages name. */
        copy = kilter_value_copy(m->load->arena, key);
        if (!copy || kilter_map_add(m->load->arena, options, copy, kilter_map_at(m->raw.renderer, i)) < 0)
            options = NULL;
    }
    if (!options)
        kl_report_nomem(&m->load->report);
    return options && kilter_map_size(options) ? options : NULL;
}

/* Whether some plugin could be found for a path of which nobody says the renderer. */
static bool anyone_detects(struct kl_load *load)
{
    for (size_t i = 0; i < load->manifest->plugin_count; i++) {
        const struct kl_plugin_schemas *schemas = kl_load_schemas(load, &load->manifest->plugins[i]);
        if (!schemas || (schemas->is_renderer && schemas->detects))
            return true;
    }
    return load->manifest->plugin_count == 0; /* which has been reported */
}

static void take_renderer(struct making *m)
{
    const struct kilter_value *value = m->raw.renderer, *name = value;
    struct kl_raw_renderer raw = { 0 };
    char what[300];

    if (!value) {
        if (!anyone_detects(m->load))
            problem(m, m->entry->key, "manifest.renderer", "name one: renderer: yaml",
                    "no renderer is named, and no plugin listed chooses itself by what is there");
        return;
    }
    if (kilter_type_of(value) == KILTER_MAP) {
        snprintf(what, sizeof what, "\"renderer\" of %s", m->what);
        kl_table_fill(&m->load->report, &kl_table_renderer, value, what, true, &raw);
        m->app->renderer_options = options_of(m);
        name = kilter_get(value, "name");
    }
    m->app->renderer_plugin = kl_load_plugin(m->load, name, m->what);
    if (!m->app->renderer_plugin)
        return;
    m->app->renderer = m->app->renderer_plugin->name;
    const struct kl_plugin_schemas *schemas = kl_load_schemas(m->load, m->app->renderer_plugin);
    snprintf(what, sizeof what, "option of \"renderer\" of %s", m->what);
    if (schemas && !schemas->is_renderer)
        kl_report_add(&m->load->report, KILTER_ERROR, "manifest.plugin", kilter_origin_of(name), NULL,
                      "%s: plugin \"%.*s\" is no renderer", m->what, KILTER_STR_ARG(m->app->renderer));
    else if (schemas)
        kl_load_check_options(m->load, schemas->renderer, m->app->renderer_options, what);
}

/* --- inputs -------------------------------------------------------------------------------- */
static bool is_input_name(struct kilter_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(i > 0 && ((c >= '0' && c <= '9') || c == '-' || c == '.')))
            return false;
    }
    return name.len > 0 && name.len <= 253;
}

/* The reference without what is said about it. */
static struct kilter_value *reference_of(struct kl_load *load, const struct kilter_value *map)
{
    struct kilter_value *reference = kilter_value_copy(load->arena, map);

    if (!reference)
        kl_report_nomem(&load->report);
    else if (kilter_type_of(reference) == KILTER_MAP)
        kilter_map_remove(reference, KILTER_STR("secret"));
    return reference;
}

static void take_input(struct making *m, const struct kilter_value *key, const struct kilter_value *value,
                       struct kl_input *input)
{
    struct kl_raw_input raw = { 0 };
    char what[400];

    snprintf(what, sizeof what, "input \"%.*s\" of %s", KILTER_STR_ARG(kilter_str_sub(kilter_text(key), 0, 63)),
             m->what);
    if (!is_input_name(kilter_text(key)))
        problem(m, key, "manifest.name", "letters, digits, '_', '-' and '.', a letter or '_' first",
                "an input cannot be called so");
    kl_table_defaults(&m->load->report, &kl_table_input, &raw);
    if (kilter_type_of(value) == KILTER_MAP &&
        !kl_table_fill(&m->load->report, &kl_table_input, value, what, true, &raw))
        return;
    struct kilter_value *reference = reference_of(m->load, value);
    if (reference)
        kl_secret_read(reference, what, &input->ref, m->load->report.scratch);
    kl_report_flush(&m->load->report);
    input->name = kilter_arena_str(m->load->arena, kilter_text(key));
    input->secret = raw.secret;
    input->ref.value = kilter_arena_str(m->load->arena, input->ref.value);
}

static void take_inputs(struct making *m)
{
    size_t count = kilter_map_size(m->raw.inputs);
    struct kl_input *inputs = kl_load_alloc(m->load, count * sizeof *inputs);

    for (size_t i = 0; inputs && i < count; i++)
        take_input(m, kilter_map_key_at(m->raw.inputs, i), kilter_map_at(m->raw.inputs, i), &inputs[i]);
    m->app->inputs = inputs;
    m->app->input_count = inputs ? count : 0;
}

/* --- variables of documents --------------------------------------------------------------------- */
static int set_text(struct making *m, struct kilter_value *map, struct kilter_str name, struct kilter_str value)
{
    struct kilter_value *text = kilter_string(m->load->arena, value);
    return text ? kilter_map_set(m->load->arena, map, name, text) : KILTER_E_NOMEM;
}

static void take_substitute(struct making *m)
{
    const struct kilter_value *value = m->raw.substitute;
    struct kilter_scalar scalar;
    int rc = 0;

    m->app->substitute = value && (kilter_type_of(value) == KILTER_MAP ||
                                   (kilter_resolve(value, KILTER_SCHEMA_KUBERNETES, &scalar) == 0 &&
                                    scalar.kind == KILTER_BOOL && scalar.as.boolean));
    if (!m->app->substitute && m->app->input_count)
        kl_report_add(&m->load->report, KILTER_WARNING, "manifest.unused",
                      kilter_origin_of(kilter_get(m->value, "inputs")),
                      "substitute: true puts them in place of ${NAME} in documents",
                      "%s: \"inputs\" are not used, because the app does not substitute", m->what);
    if (!m->app->substitute)
        return;
    struct kilter_value *variables = kilter_map(m->load->arena);
    for (size_t i = 0; variables && rc == 0 && i < m->stage->scope.count; i++) {
        const struct kl_variable *variable = &m->stage->scope.variables[i];
        if (variable->value.ptr)
            rc = set_text(m, variables, variable->name ? kilter_str_c(variable->name) : variable->key,
                          variable->value);
    }
    for (size_t i = 0; variables && rc == 0 && i < kilter_map_size(value); i++)
        rc = set_text(m, variables, kilter_text(kilter_map_key_at(value, i)), kilter_text(kilter_map_at(value, i)));
    if (!variables || rc < 0)
        kl_report_nomem(&m->load->report);
    m->app->variables = variables;
}

/* --- the rest ------------------------------------------------------------------------------------- */
static void take_health(struct making *m)
{
    struct kilter_str http = m->raw.health.http;
    const struct kilter_value *at = kilter_get(kilter_get(m->value, "health"), "http");

    m->app->health = m->raw.health;
    if (http.len == 0)
        return;
    if (!kilter_str_starts(http, KILTER_STR("http://")) && !kilter_str_starts(http, KILTER_STR("https://")))
        problem(m, at, "manifest.url", NULL,
                "\"http\" in \"health\" is no URL: expected http://... or https://...");
    for (size_t i = 0; i < http.len; i++)
        if ((unsigned char)http.ptr[i] <= 0x20 || http.ptr[i] == '@' || http.ptr[i] == 0x7f) {
            problem(m, at, "manifest.url", NULL,
                    "\"http\" in \"health\" holds blanks, control characters or credentials");
            return;
        }
}

/* "old", which is old@environment here; or {prod: old} with the full old name. */
static void take_moved(struct making *m, struct kl_draft *draft)
{
    const struct kilter_value *value = m->raw.moved_from;

    if (!value)
        return;
    draft->moved_origin = kilter_origin_of(value);
    if (kl_value_is_text(value)) {
        m->app->moved_from =
            kl_load_full_name(m->load, kilter_arena_str(m->load->arena, kilter_text(value)), m->stage->name);
        return;
    }
    for (size_t i = 0; i < kilter_map_size(value); i++) {
        const struct kilter_value *key = kilter_map_key_at(value, i);
        if (kl_load_named(m->load, &m->load->environments, key, m->what) &&
            kilter_str_eq(kilter_text(key), m->stage->name)) {
            m->app->moved_from = kilter_arena_str(m->load->arena, kilter_text(kilter_map_at(value, i)));
            draft->moved_origin = kilter_origin_of(kilter_map_at(value, i));
        }
    }
}

static bool too_many(struct kl_load *load)
{
    if (kl_map_count(&load->drafts) < KL_MANIFEST_MAX_APPS)
        return false;
    kl_report_add(&load->report, KILTER_ERROR, "manifest.limit",
                  (struct kilter_origin){ load->manifest->path, 0, 0 }, NULL,
                  "there are more than %u apps, every environment counted", KL_MANIFEST_MAX_APPS);
    return true;
}

static void make(struct kl_load *load, const struct kl_entry *entry, const struct kl_stage *stage)
{
    if (too_many(load))
        return;
    struct kl_draft *draft = kl_load_alloc(load, sizeof *draft);
    struct making m = { .load = load, .entry = entry, .stage = stage, .app = draft ? &draft->app : NULL };

    m.value = kl_load_substitute(load, stage, entry->value);
    if (!draft || !m.value)
        return;
    snprintf(m.what, sizeof m.what, "app \"%.*s\"", KILTER_STR_ARG(kilter_str_sub(entry->name, 0, 100)));
    kl_table_defaults(&load->report, &kl_table_app, &m.raw);
    kl_table_fill(&load->report, &kl_table_app, m.value, m.what, true, &m.raw);
    *m.app = (struct kl_app){ .name = kl_load_full_name(load, entry->name, stage->name),
                              .base = entry->name,
                              .environment = stage->name,
                              .source = kl_load_source(load, kilter_get(m.value, "source"), stage, m.what),
                              .target = kl_load_target(load, kilter_get(m.value, "target"), stage, m.what),
                              .allow_empty = m.raw.allow_empty,
                              .suspend = m.raw.suspend,
                              .path = KILTER_STR(""),
                              .origin = kilter_origin_of(entry->key) };
    take_path(&m);
    take_renderer(&m);
    kl_load_policy(load, m.raw.policy, stage, m.what, &m.app->policy);
    take_inputs(&m);
    take_substitute(&m);
    take_health(&m);
    take_moved(&m, draft);
    draft->depends_on = m.raw.depends_on;
    kl_load_put(load, &load->drafts, m.app->name, draft);
}

/* --- environments ------------------------------------------------------------------------------------ */
static bool make_in(struct kl_load *load, const struct kl_entry *entry, const struct kilter_value *name,
                    const char *what)
{
    struct kl_entry *environment = kl_load_named(load, &load->environments, name, what);
    const struct kl_stage *stage = environment ? kl_load_stage(load, environment->name) : NULL;

    if (!stage)
        return false;
    struct kilter_str full = kl_load_full_name(load, entry->name, stage->name);
    if (kl_map_has(&load->drafts, full))
        kl_report_add(&load->report, KILTER_ERROR, "manifest.duplicate", kilter_origin_of(name), NULL,
                      "%s: environment \"%.*s\" is listed twice", what, KILTER_STR_ARG(stage->name));
    else
        make(load, entry, stage);
    return true;
}

/* Any environment, for looking at an app that is in none: nothing of it will be used. */
static const struct kl_stage *any_stage(struct kl_load *load)
{
    const struct kl_stage *found = kl_load_stage(load, KILTER_STR(""));
    size_t at = 0;
    struct kilter_str key;
    void *value;

    while (kl_map_next(&load->stages, &at, &key, &value))
        found = value;
    return found;
}

static void make_everywhere(struct kl_load *load, const struct kl_entry *entry)
{
    const struct kilter_value *list = kilter_get(entry->value, "environments");
    bool made = false;
    char what[200];

    snprintf(what, sizeof what, "app \"%.*s\"", KILTER_STR_ARG(kilter_str_sub(entry->name, 0, 100)));
    if (!list || kilter_type_of(list) == KILTER_MAP) {
        make(load, entry, kl_load_stage(load, KILTER_STR("")));
        return;
    }
    if (kl_strings_count(list) == 0)
        kl_report_add(&load->report, KILTER_ERROR, "manifest.environment", kilter_origin_of(list),
                      "name some, or leave the key out", "%s: lists no environment, so it would not exist", what);
    for (size_t i = 0; i < kl_strings_count(list); i++)
        made = make_in(load, entry, kl_strings_at(list, i), what) || made;
    if (!made)
        make(load, entry, any_stage(load));
}

void kl_load_apps(struct kl_load *load)
{
    size_t at = 0;
    struct kilter_str key;
    void *value;

    while (load->report.status == 0 && kl_map_next(&load->apps.entries, &at, &key, &value))
        make_everywhere(load, value);
}
