/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests of what a manifest says: equal when and only when it means the same.
 * Every part goes in with its label and length, so that no two definitions run
 * into the same bytes. The first line of each names the form; a change of what
 * goes in is a change of the form.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <kilter/yaml.h>

#include "base/cleanup.h"
#include "manifest/load.h"

#define VALUE_MAX (64u << 20)

static void put(struct kilter_sha256 *h, const char *label, struct kilter_str text)
{
    char head[96];
    int n = snprintf(head, sizeof head, "%s %zu:", label, text.len);

    kilter_sha256_update(h, head, (size_t)n);
    if (text.len)
        kilter_sha256_update(h, text.ptr, text.len);
    kilter_sha256_update(h, "\n", 1);
}

static void put_int(struct kilter_sha256 *h, const char *label, int64_t number)
{
    char text[32];

    snprintf(text, sizeof text, "%" PRId64, number);
    put(h, label, kilter_str_c(text));
}

static void put_ref(struct kilter_sha256 *h, const char *label, const struct kl_secret_ref *ref)
{
    put_int(h, label, ref->kind);
    put(h, "named", ref->value);
}

/* As JSON with sorted keys: order, comments and style do not count. */
static void put_value(struct kl_load *load, struct kilter_sha256 *h, const char *label,
                      const struct kilter_value *value)
{
    struct kilter_buf text = KILTER_BUF_INIT(VALUE_MAX);

    if (value && kilter_json_write(&text, value, KILTER_SCHEMA_KUBERNETES, KILTER_WRITE_SORTED) < 0)
        kl_report_nomem(&load->report);
    put(h, label, kilter_buf_view(&text));
    kilter_buf_release(&text);
}

static void put_plugin(struct kl_load *load, struct kilter_sha256 *h, const struct kl_manifest_plugin *plugin)
{
    put(h, "plugin", plugin->name);
    put(h, "file", plugin->file);
    put_value(load, h, "config", plugin->config);
}

static void finish(struct kilter_sha256 *h, char ret[KL_DIGEST_TEXT])
{
    uint8_t digest[KILTER_SHA256_SIZE];

    kilter_sha256_final(h, digest);
    kilter_hex(digest, sizeof digest, ret);
}

static void begin(struct kilter_sha256 *h, const char *form)
{
    kilter_sha256_init(h);
    put(h, "form", kilter_str_c(form));
}

void kl_source_digest(struct kl_load *load, struct kl_source *source)
{
    struct kilter_sha256 h;
    const struct kl_credentials *c = &source->credentials;

    (void)load;
    begin(&h, "source 1");
    put(&h, "url", source->url);
    put_int(&h, "ref", source->ref_kind);
    put(&h, "is", source->ref);
    put_int(&h, "interval", source->interval_ns);
    put_int(&h, "timeout", source->timeout_ns);
    put_int(&h, "stall", source->stall_timeout_ns);
    put(&h, "username", c->username);
    put_ref(&h, "password", &c->password);
    put_ref(&h, "token", &c->token);
    put_ref(&h, "certificate", &c->certificate);
    put_ref(&h, "key", &c->key);
    put_ref(&h, "identity", &c->identity);
    put_ref(&h, "knownHosts", &c->known_hosts);
    put(&h, "proxy", source->proxy);
    put_ref(&h, "ca", &source->ca);
    put_int(&h, "insecure", source->allow_insecure);
    finish(&h, source->digest);
}

void kl_target_digest(struct kl_load *load, struct kl_target *target)
{
    struct kilter_sha256 h;

    begin(&h, "target 1");
    put_plugin(load, &h, target->plugin);
    put_value(load, &h, "options", target->options);
    put_int(&h, "bounded", target->allow != NULL);
    put_value(load, &h, "allow", target->allow);
    put_int(&h, "concurrency", target->concurrency);
    finish(&h, target->digest);
}

/* A renderer that is found by looking may be any of the plugins: all of them count then. */
static void put_renderer(struct kl_load *load, struct kilter_sha256 *h, const struct kl_app *app)
{
    put(h, "renderer", app->renderer);
    if (app->renderer_plugin)
        put_plugin(load, h, app->renderer_plugin);
    for (size_t i = 0; !app->renderer_plugin && i < load->manifest->plugin_count; i++)
        put_plugin(load, h, &load->manifest->plugins[i]);
    put_value(load, h, "options", app->renderer_options);
}

static int by_input_name(const void *a, const void *b)
{
    const struct kl_input *const *left = a, *const *right = b;
    return kilter_str_cmp((*left)->name, (*right)->name);
}

static void put_inputs(struct kl_load *load, struct kilter_sha256 *h, const struct kl_app *app)
{
    const struct kl_input **sorted = kl_load_alloc(load, app->input_count * sizeof *sorted);

    for (size_t i = 0; sorted && i < app->input_count; i++)
        sorted[i] = &app->inputs[i];
    if (sorted && app->input_count)
        qsort(sorted, app->input_count, sizeof *sorted, by_input_name);
    for (size_t i = 0; sorted && i < app->input_count; i++) {
        put(h, "input", sorted[i]->name);
        put_ref(h, "from", &sorted[i]->ref);
        put_int(h, "secret", sorted[i]->secret);
    }
}

static void render_digest(struct kl_load *load, struct kl_app *app)
{
    struct kilter_sha256 h;

    begin(&h, "render 1");
    put(&h, "path", app->path);
    put_renderer(load, &h, app);
    put_inputs(load, &h, app);
    put_int(&h, "substitute", app->substitute);
    put_value(load, &h, "variables", app->variables);
    finish(&h, app->render_digest);
}

static void put_policy(struct kilter_sha256 *h, const struct kl_policy *p)
{
    put_int(h, "sync", p->sync);
    put_int(h, "drift", p->drift);
    put_int(h, "prune", p->prune);
    put_int(h, "percent", p->max_deletes.percent);
    put_int(h, "maxDeletes", p->max_deletes.value);
    put_int(h, "adopt", p->adopt);
    put_int(h, "onRemove", p->on_remove);
    put_int(h, "onUnhealthy", p->on_unhealthy);
    put_int(h, "driftInterval", p->drift_interval_ns);
    put_int(h, "timeout", p->timeout_ns);
    put_int(h, "first", p->retry_first_ns);
    put_int(h, "max", p->retry_max_ns);
}

static int by_app_name(const void *a, const void *b)
{
    const struct kl_app *const *left = a, *const *right = b;
    return kilter_str_cmp((*left)->name, (*right)->name);
}

static void put_dependencies(struct kl_load *load, struct kilter_sha256 *h, const struct kl_app *app)
{
    const struct kl_app **sorted = kl_load_alloc(load, app->depends_count * sizeof *sorted);

    if (!sorted)
        return;
    if (app->depends_count) {
        memcpy(sorted, app->depends_on, app->depends_count * sizeof *sorted);
        qsort(sorted, app->depends_count, sizeof *sorted, by_app_name);
    }
    for (size_t i = 0; i < app->depends_count; i++)
        put(h, "dependsOn", sorted[i]->name);
}

static void app_digest(struct kl_load *load, struct kl_app *app)
{
    struct kilter_sha256 h;

    render_digest(load, app);
    begin(&h, "app 1");
    put(&h, "name", app->name);
    put(&h, "source", app->source->name);
    put(&h, "url", app->source->url);
    put_int(&h, "ref", app->source->ref_kind);
    put(&h, "is", app->source->ref);
    put(&h, "render", kilter_str_c(app->render_digest));
    put(&h, "target", app->target->name);
    put(&h, "target is", kilter_str_c(app->target->digest));
    put_policy(&h, &app->policy);
    put_dependencies(load, &h, app);
    put_int(&h, "allowEmpty", app->allow_empty);
    put_int(&h, "suspend", app->suspend);
    put_int(&h, "window", app->health.window_ns);
    put(&h, "http", app->health.http);
    finish(&h, app->digest);
}

static void put_daemon(struct kilter_sha256 *h, const struct kl_daemon_config *d)
{
    put(h, "stateDirectory", d->state_directory);
    put(h, "socket", d->socket_path);
    put(h, "group", d->socket_group);
    put_int(h, "mode", d->socket_mode);
    put_int(h, "logLevel", d->log_level);
    put_int(h, "workers", d->workers);
    put_int(h, "concurrency", d->concurrency);
    put_int(h, "memory", d->worker_memory);
}

void kl_load_digests(struct kl_load *load, struct kl_app *apps, size_t count)
{
    struct kilter_sha256 h;
    struct kl_manifest *m = load->manifest;

    begin(&h, "manifest 1");
    put(&h, "installation", m->installation);
    put_daemon(&h, &m->daemon);
    for (size_t i = 0; i < m->plugin_count; i++)
        put_plugin(load, &h, &m->plugins[i]);
    for (size_t i = 0; i < m->source_count; i++) {
        put(&h, "source", m->sources[i].name);
        put(&h, "is", kilter_str_c(m->sources[i].digest));
    }
    for (size_t i = 0; i < count; i++) {
        app_digest(load, &apps[i]);
        put(&h, "app", kilter_str_c(apps[i].digest));
    }
    finish(&h, m->digest);
}
