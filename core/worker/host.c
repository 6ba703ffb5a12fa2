/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/host.h"

#include <stdio.h>

#include "base/clock.h"

#define MAX_LEVELS 200u /* of a value, as the YAML reader allows */
#define MAX_NODES 4000000u

static struct kl_call *of_call(struct kilter_call *call)
{
    return call->host_data;
}

static void host_log(struct kilter_call *call, enum kilter_log_level level, struct kilter_str message)
{
    const struct kl_services *services = of_call(call)->services;
    if (services->log)
        services->log(services->data, level, message);
}

static bool host_cancelled(struct kilter_call *call)
{
    const struct kl_services *services = of_call(call)->services;
    if (call->deadline_ns && kl_clock_monotonic_ns() >= call->deadline_ns)
        return true;
    return services->cancelled && services->cancelled(services->data);
}

static int host_content_open(struct kilter_call *call, struct kilter_str id, struct kilter_content **ret)
{
    const struct kl_services *services = of_call(call)->services;
    if (!services->content_open)
        return kilter_error_set(call->error, KILTER_E_NOT_FOUND, "the content %.*s is not at hand here",
                                KILTER_STR_ARG(id));
    return services->content_open(services->data, call->arena, id, ret, call->error);
}

static const struct kilter_host host_table = { sizeof host_table, host_log, host_cancelled, host_content_open };
static const struct kl_services no_services;

void kl_call_init(struct kl_call *call, const struct kl_plugin *plugin, const void *config,
                  const struct kl_services *services, struct kilter_arena *arena, struct kilter_diags *diags,
                  int64_t deadline_ns, struct kilter_error *err)
{
    *call = (struct kl_call){
        .call = { .size = sizeof call->call,
                  .host = &host_table,
                  .arena = arena,
                  .diags = diags,
                  .error = err,
                  .deadline_ns = deadline_ns,
                  .config = config,
                  .host_data = call },
        .plugin = plugin,
        .services = services ? services : &no_services,
    };
}

void kl_call_begin(struct kl_call *call, const char *callback)
{
    call->callback = callback;
    *call->call.error = (struct kilter_error)KILTER_ERROR_INIT;
    if (call->services->phase)
        call->services->phase(call->services->data, call->plugin->table.name, callback);
}

int kl_call_end(struct kl_call *call, int rc)
{
    struct kilter_error *err = call->call.error;
    err->message[sizeof err->message - 1] = '\0'; /* the plugin had its hands on it */
    if (call->services->phase)
        call->services->phase(call->services->data, NULL, NULL);
    if (rc > 0 || rc < KILTER_E_INTERNAL)
        return kl_call_defect(call, "returned %d, which is no status", rc);
    if (rc < 0 && (err->code != rc || !err->message[0])) {
        char message[sizeof err->message];
        memcpy(message, err->message, sizeof message);
        kilter_error_set(err, rc, "%s", message[0] ? message : kilter_status_text(rc));
    }
    return rc;
}

int kl_call_defect(struct kl_call *call, const char *format, ...)
{
    char what[400];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return kilter_error_set(call->call.error, KILTER_E_INTERNAL, "defect of the plugin %s: its %s callback %s",
                            call->plugin->table.name, call->callback, what);
}

static bool within_bounds(const struct kilter_value *value, unsigned level, size_t *nodes)
{
    if (!value || level > MAX_LEVELS || ++*nodes > MAX_NODES)
        return false;
    enum kilter_type type = kilter_type_of(value);
    for (size_t i = 0; type == KILTER_LIST && i < kilter_list_size(value); i++)
        if (!within_bounds(kilter_list_at(value, i), level + 1, nodes))
            return false;
    for (size_t i = 0; type == KILTER_MAP && i < kilter_map_size(value); i++)
        if (!within_bounds(kilter_map_key_at(value, i), level + 1, nodes) ||
            !within_bounds(kilter_map_at(value, i), level + 1, nodes))
            return false;
    return true;
}

bool kl_value_is_bounded(const struct kilter_value *value)
{
    size_t nodes = 0;
    return within_bounds(value, 1, &nodes);
}
