/* SPDX-License-Identifier: Apache-2.0 */
/* observe.c: refresh, health and import, which look at single things and change nothing. */
#include "file.h"

static int read_live(struct kilter_call *call, struct file_target *target, const struct file_recorded *recorded,
                     struct file_live *live, struct kilter_error *err)
{
    int code = file_live_read(call, target, recorded->path, live, err);
    /* A parent that is a link or a file now: what was recorded is not at its place. */
    if (code == KILTER_E_CONFLICT)
        live->entry.type = KILTER_FS_ABSENT;
    return code == KILTER_E_CONFLICT ? KILTER_OK : code;
}

static int refresh_one(struct kilter_call *call, struct file_target *target, const struct kilter_record *record,
                       const struct kilter_value **ret)
{
    struct file_recorded recorded;
    struct file_live live;
    struct file_state state;
    *ret = record->attributes;
    file_recorded_read(call->arena, record, &recorded);
    if (!recorded.known)
        return KILTER_OK;
    int code = read_live(call, target, &recorded, &live, call->error);
    *ret = NULL;
    if (code < 0 || live.entry.type == KILTER_FS_ABSENT || live.entry.type == KILTER_FS_SPECIAL)
        return code;
    code = file_live_state(target, &live, &state, call->error);
    if (code < 0)
        return code;
    state.secret = recorded.secret;
    state.shared = recorded.shared;
    state.created = recorded.created;
    state.parents = recorded.parents;
    if (live.entry.type == KILTER_FS_FILE && file_recorded_is(target, &recorded, live.digest))
        state.content_id = recorded.content_id;
    *ret = file_state_attributes(target, call->arena, &state);
    return *ret ? KILTER_OK : kilter_error_set(call->error, KILTER_E_NOMEM, "refreshing: out of memory");
}

int file_refresh(struct kilter_call *call, void *handle, const struct kilter_state_request *request,
                 struct kilter_state_sink *sink)
{
    for (size_t i = 0; i < request->record_count; i++) {
        const struct kilter_value *attributes;
        int code = refresh_one(call, handle, &request->records[i], &attributes);
        if (code == KILTER_OK)
            code = sink->attributes(sink, i, attributes, FILE_SCHEMA_VERSION);
        if (code < 0)
            return code;
    }
    return KILTER_OK;
}

static int judge(struct kilter_call *call, struct file_target *target, const struct kilter_record *record,
                 enum kilter_health *ret, struct kilter_str *ret_message)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct file_recorded recorded;
    struct file_live live;
    uint32_t moved = 0;
    *ret_message = KILTER_STR("");
    *ret = KILTER_HEALTH_UNKNOWN;
    file_recorded_read(call->arena, record, &recorded);
    if (!recorded.known)
        return KILTER_OK;
    int code = read_live(call, target, &recorded, &live, &err);
    *ret = KILTER_MISSING;
    if (code == KILTER_OK && live.entry.type == KILTER_FS_ABSENT)
        return KILTER_OK;
    if (code == KILTER_OK)
        code = file_live_moved(target, &live, &recorded, false, &moved, &err);
    *ret = code < 0 ? KILTER_HEALTH_UNKNOWN : moved ? KILTER_DEGRADED : KILTER_HEALTHY;
    if (code < 0)
        *ret_message = kilter_arena_str(call->arena, kilter_str_c(err.message));
    else if (moved)
        *ret_message = kilter_str_c(kilter_arena_printf(call->arena, "%s differs from what was applied",
                                                        file_differences_text(call->arena, moved)));
    return KILTER_OK;
}

int file_health(struct kilter_call *call, void *handle, const struct kilter_state_request *request,
                struct kilter_state_sink *sink)
{
    for (size_t i = 0; i < request->record_count; i++) {
        enum kilter_health health;
        struct kilter_str message;
        int code = judge(call, handle, &request->records[i], &health, &message);
        if (code == KILTER_OK)
            code = sink->health(sink, i, health, KILTER_RESULT_DONE, message);
        if (code < 0)
            return code;
    }
    return KILTER_OK;
}

int file_import(struct kilter_call *call, void *handle, const struct kilter_resource *resource,
                const struct kilter_value **ret_attributes, uint32_t *ret_schema_version)
{
    struct file_target *target = handle;
    struct file_wanted wanted;
    struct file_live live;
    struct file_state state;
    if (file_wanted_read(call, target, resource, &wanted) < 0)
        return kilter_error_set(call->error, KILTER_E_INVALID, "a resource that target \"file\" cannot take");
    if (wanted.problem)
        return kilter_error_set(call->error, KILTER_E_PERMISSION, "%s", wanted.problem);
    int code = file_live_read(call, target, wanted.path, &live, call->error);
    if (code < 0)
        return code;
    if (live.entry.type == KILTER_FS_ABSENT)
        return kilter_error_set(call->error, KILTER_E_NOT_FOUND, "%.*s is not there", KILTER_STR_ARG(wanted.path));
    if (live.entry.type != wanted.type)
        return kilter_error_set(call->error, KILTER_E_CONFLICT, "%.*s is a %s", KILTER_STR_ARG(wanted.path),
                                kilter_fs_type_name(live.entry.type));
    code = file_live_state(target, &live, &state, call->error);
    if (code < 0)
        return code;
    state.secret = wanted.secret;
    state.shared = wanted.shared;
    *ret_schema_version = FILE_SCHEMA_VERSION;
    *ret_attributes = file_state_attributes(target, call->arena, &state);
    return *ret_attributes ? KILTER_OK : kilter_error_set(call->error, KILTER_E_NOMEM, "importing: out of memory");
}
