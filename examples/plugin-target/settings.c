/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings.c: target "settings". Single lines "key = value" of one file that has other owners too: the rest of the
 * file, its comments and order stay as they are. For sysctl.conf, /etc/default/..., and the like.
 *
 *     apiVersion: settings.example.org/v1
 *     kind: Setting
 *     metadata: {name: swappiness}
 *     spec: {key: vm.swappiness, value: "10"}
 *
 * Built out of kilter's tree, against the installed package; docs/guide/plugins.md walks through it.
 */
#include <kilter/kilter.h>

#define API_VERSION "settings.example.org/v1"
#define SCHEMA_VERSION 1u
#define FILE_MAX (1u << 20)

/* --- options and bounds ---------------------------------------------------------------------- */
struct settings_options {
    struct kilter_str root, file;
    bool spaced;
};

struct settings_allow {
    struct kilter_strs keys;
};

static const struct kilter_option option_rows[] = {
    { .name = "root",
      .type = KILTER_OPTION_STRING,
      .flags = KILTER_OPTION_ABSOLUTE_PATH,
      .default_text = "/",
      .offset = offsetof(struct settings_options, root),
      .summary = "The directory that `file` begins at; it must exist." },
    { .name = "file",
      .type = KILTER_OPTION_STRING,
      .flags = KILTER_OPTION_ABSOLUTE_PATH | KILTER_OPTION_REQUIRED,
      .offset = offsetof(struct settings_options, file),
      .summary = "The file that holds the settings; it is made when the first one is." },
    { .name = "spaced",
      .type = KILTER_OPTION_BOOL,
      .default_text = "false",
      .offset = offsetof(struct settings_options, spaced),
      .summary = "Whether lines are written \"key = value\" instead of \"key=value\"." },
};

static const struct kilter_option allow_rows[] = {
    { .name = "keys",
      .type = KILTER_OPTION_LIST,
      .offset = offsetof(struct settings_allow, keys),
      .summary = "Globs of keys that apps may set; without the list, all." },
};

#define SCHEMA(rows, structure)                                                                                    \
    {                                                                                                              \
        sizeof(struct kilter_config_schema), sizeof(struct kilter_option), sizeof(structure), rows,                \
            sizeof(rows) / sizeof *(rows)                                                                          \
    }
static const struct kilter_config_schema options_schema = SCHEMA(option_rows, struct settings_options);
static const struct kilter_config_schema allow_schema = SCHEMA(allow_rows, struct settings_allow);

/* --- the open target: from open to close, between many calls ---------------------------------- */
struct settings {
    struct kilter_arena *arena;
    struct kilter_fs *fs;
    struct kilter_str file;
    struct kilter_strs allowed;
    bool spaced;
    char machine[KILTER_MACHINE_ID_SIZE];
};

static void settings_close(void *handle)
{
    struct settings *target = handle;
    if (!target)
        return;
    struct kilter_arena *arena = target->arena; /* the target lives in it */
    kilter_fs_close(target->fs);
    kilter_arena_free(arena);
}

static int settings_open(struct kilter_call *call, const void *options, const void *allow, void **ret_handle)
{
    const struct settings_options *chosen = options;
    const struct settings_allow *bounds = allow;
    struct kilter_arena *arena = kilter_arena_new(0);
    struct settings *target = arena ? kilter_arena_alloc(arena, sizeof *target) : NULL;
    struct kilter_str *keys = target ? kilter_arena_calloc(arena, bounds->keys.count, sizeof *keys) : NULL;
    if (!keys) {
        kilter_arena_free(arena);
        return kilter_error_set(call->error, KILTER_E_NOMEM, "opening: out of memory");
    }
    target->arena = arena;
    target->spaced = chosen->spaced;
    target->file = kilter_arena_str(arena, chosen->file); /* the options are gone after the call; copies stay */
    for (size_t i = 0; i < bounds->keys.count; i++)
        keys[i] = kilter_arena_str(arena, bounds->keys.items[i]);
    target->allowed = (struct kilter_strs){ bounds->keys.items ? keys : NULL, bounds->keys.count };
    int code = kilter_fs_check_path(target->file, call->error);
    if (code == KILTER_OK)
        code = kilter_fs_open(chosen->root, 0, &target->fs, call->error);
    if (code == KILTER_OK)
        code = kilter_machine_id(target->machine, call->error);
    if (code < 0)
        settings_close(target);
    else
        *ret_handle = target;
    return code;
}

static struct kilter_str place(const struct settings *target, struct kilter_arena *arena, const char *what)
{
    struct kilter_str root = kilter_fs_root(target->fs);
    return kilter_str_c(kilter_arena_printf(arena, "%s:%s:%.*s%.*s", what, target->machine,
                                            KILTER_STR_ARG(kilter_str_sub(root, 0, root.len > 1 ? root.len : 0)),
                                            KILTER_STR_ARG(target->file)));
}

static int settings_identity(struct kilter_call *call, void *handle, struct kilter_str *ret_identity)
{
    *ret_identity = place(handle, call->arena, "settings");
    return ret_identity->ptr ? KILTER_OK : kilter_error_set(call->error, KILTER_E_NOMEM, "out of memory");
}

/* --- the file as text ------------------------------------------------------------------------------ */
struct line {
    struct kilter_str whole; /* with its newline */
    struct kilter_str key, value;
};

/* The line at `*at`, which moves behind it; its key is absent when it is a comment or anything else. */
static bool next_line(struct kilter_str text, size_t *at, struct line *ret)
{
    if (*at >= text.len)
        return false;
    ptrdiff_t newline = kilter_str_find(text, '\n', *at);
    size_t end = newline < 0 ? text.len : (size_t)newline + 1;
    *ret = (struct line){ .whole = kilter_str_sub(text, *at, end - *at) };
    *at = end;
    ptrdiff_t equals = kilter_str_find(ret->whole, '=', 0);
    struct kilter_str key = kilter_str_trim(kilter_str_sub(ret->whole, 0, equals < 0 ? 0 : (size_t)equals));
    if (equals < 0 || key.len == 0 || key.ptr[0] == '#' || key.ptr[0] == ';')
        return true;
    ret->key = key;
    ret->value = kilter_str_trim(kilter_str_sub(ret->whole, (size_t)equals + 1, ret->whole.len));
    return true;
}

/* The value that counts, which is the last one; absent when there is none. */
static struct kilter_str value_of(struct kilter_str text, struct kilter_str key)
{
    struct kilter_str value = KILTER_STR_NONE;
    struct line line;
    for (size_t at = 0; next_line(text, &at, &line);)
        if (line.key.ptr && kilter_str_eq(line.key, key))
            value = line.value;
    return value;
}

/* The text with one key set where it stands first, or at the end; with an absent value, without it. */
static struct kilter_str with_value(const struct settings *target, struct kilter_arena *arena,
                                    struct kilter_str text, struct kilter_str key, struct kilter_str value)
{
    struct kilter_buf out = KILTER_BUF_INIT(FILE_MAX);
    struct line line;
    bool written = value.ptr == NULL;
    for (size_t at = 0; at <= text.len && !out.failed;) {
        bool more = next_line(text, &at, &line), ours = more && line.key.ptr && kilter_str_eq(line.key, key);
        if (!written && (ours || !more)) {
            if (!more && out.len && out.ptr[out.len - 1] != '\n')
                kilter_buf_char(&out, '\n');
            kilter_buf_printf(&out, "%.*s%s%.*s\n", KILTER_STR_ARG(key), target->spaced ? " = " : "=",
                              KILTER_STR_ARG(value));
            written = true;
        }
        if (!more)
            break;
        if (!ours)
            kilter_buf_str(&out, line.whole);
    }
    struct kilter_str kept = out.failed ? KILTER_STR_NONE : kilter_arena_str(arena, kilter_buf_view(&out));
    kilter_buf_release(&out);
    return kept;
}

/* What is there. No file is an empty one, and `ret_entry` says so: the expectation of the write to come. */
static int read_file(struct kilter_call *call, const struct settings *target, struct kilter_str *ret_text,
                     struct kilter_fs_entry *ret_entry)
{
    struct kilter_buf text = KILTER_BUF_INIT(FILE_MAX);
    struct kilter_fs_entry entry = KILTER_FS_ENTRY_INIT;
    int code = kilter_fs_observe(target->fs, target->file, &entry, call->error);
    if (code == KILTER_OK && entry.type != KILTER_FS_ABSENT)
        code = kilter_fs_read(target->fs, target->file, &text, call->error);
    *ret_text = kilter_arena_str(call->arena, kilter_buf_view(&text));
    *ret_entry = entry;
    kilter_buf_release(&text);
    if (code == KILTER_OK && !ret_text->ptr)
        code = kilter_error_set(call->error, KILTER_E_NOMEM, "out of memory");
    return code;
}

/* --- what Git wants ---------------------------------------------------------------------------------- */
struct wanted {
    struct kilter_str key, value;
    const char *obstacle; /* why it must not be, although it is well-formed; NULL: nothing */
};

static bool allowed(const struct settings *target, struct kilter_str key)
{
    for (size_t i = 0; i < target->allowed.count; i++)
        if (kilter_glob_match(target->allowed.items[i], key))
            return true;
    return !target->allowed.items;
}

/* Whether the line that it makes reads as the same again. */
static bool fits(struct wanted wanted)
{
    for (size_t i = 0; i < wanted.key.len; i++)
        if (strchr("=#; \t\r\n", wanted.key.ptr[i])) /* NUL is in it as well */
            return false;
    return wanted.value.len == kilter_str_trim(wanted.value).len && kilter_str_find(wanted.value, '\n', 0) < 0;
}

static int read_wanted(struct kilter_call *call, const struct settings *target,
                       const struct kilter_resource *resource, struct wanted *ret)
{
    const struct kilter_value *spec = kilter_get(resource->document, "spec"), *value = kilter_get(spec, "value");
    const char *wrong = NULL;
    *ret = (struct wanted){ .key = kilter_get_text(spec, "key") };
    if (!kilter_is_null(value, KILTER_SCHEMA_KUBERNETES))
        ret->value = kilter_text(value);
    if (!kilter_str_eq_c(resource->id.api_version, API_VERSION) || !kilter_str_eq_c(resource->id.kind, "Setting"))
        wrong = "this target takes kind Setting of " API_VERSION;
    else if (!ret->key.len || !ret->value.ptr)
        wrong = "spec.key and spec.value are required";
    else if (!fits(*ret))
        wrong = "spec.key or spec.value does not fit into one line";
    if (wrong) {
        kilter_diag_add(call->diags, KILTER_ERROR, "settings.spec", resource->origin, NULL, "%.*s \"%.*s\": %s",
                        KILTER_STR_ARG(resource->id.kind), KILTER_STR_ARG(resource->id.name), wrong);
        return kilter_error_set(call->error, KILTER_E_INVALID, "resources that target \"settings\" cannot take");
    }
    if (!allowed(target, ret->key))
        ret->obstacle = "the target's `allow.keys` does not name this key";
    else if (kilter_marks_of(value) & KILTER_VALUE_SECRET)
        ret->obstacle = "its value is secret, and everybody can read this file";
    return KILTER_OK;
}

static struct kilter_str claim_of(struct kilter_call *call, const struct settings *target, struct kilter_str key)
{
    struct kilter_str file = place(target, call->arena, "setting");
    return kilter_str_c(kilter_arena_printf(call->arena, "%s#%.*s", file.ptr, KILTER_STR_ARG(key)));
}

static int settings_claims(struct kilter_call *call, void *handle, const struct kilter_resource *resources,
                           size_t count, struct kilter_claim_sink *sink)
{
    int code = KILTER_OK;
    for (size_t i = 0; i < count; i++) { /* all of them, so that every problem is said at once */
        struct wanted wanted;
        int one = read_wanted(call, handle, &resources[i], &wanted);
        if (one == KILTER_OK)
            one = sink->emit(sink, i, claim_of(call, handle, wanted.key));
        code = one < 0 ? one : code;
    }
    return code;
}

/* --- plan: wanted, recorded and live meet -------------------------------------------------------------- */
struct planning {
    struct kilter_call *call;
    const struct settings *target;
    const struct kilter_plan_request *request;
    struct kilter_plan_sink *sink;
    struct kilter_str text; /* live */
};

/* {"key": ..., "value": ...}; without the value when it is absent. NULL when out of memory. */
static struct kilter_value *state(struct kilter_arena *arena, struct kilter_str key, struct kilter_str value)
{
    struct kilter_value *map = kilter_map(arena);
    if (!map || kilter_set(arena, map, "key", kilter_string(arena, key)) < 0 ||
        (value.ptr && kilter_set(arena, map, "value", kilter_string(arena, value)) < 0))
        return NULL;
    return map;
}

/* Everything that apply needs is in the change: it may run next week, in another process. */
static int emit_change(struct planning *planning, struct kilter_change *change, struct kilter_str key,
                       struct kilter_str live, struct kilter_str value)
{
    struct kilter_arena *arena = planning->call->arena;
    struct kilter_str claim = claim_of(planning->call, planning->target, key);
    change->size = sizeof *change;
    change->claims = &claim;
    change->claim_count = 1;
    change->before = live.ptr ? state(arena, key, live) : NULL;
    change->after = value.ptr ? state(arena, key, value) : NULL;
    change->preconditions = state(arena, key, live);
    change->private_data = state(arena, key, value);
    if (!claim.ptr || !change->preconditions || !change->private_data)
        return kilter_error_set(planning->call->error, KILTER_E_NOMEM, "planning: out of memory");
    return planning->sink->emit(planning->sink, change);
}

static const struct kilter_record *record_of(const struct planning *planning, const struct kilter_id *id)
{
    for (size_t i = 0; i < planning->request->record_count; i++)
        if (kilter_id_equal(&planning->request->records[i].id, id))
            return &planning->request->records[i];
    return NULL;
}

static int plan_wanted(struct planning *planning, const struct kilter_resource *resource)
{
    struct kilter_change change = { .id = resource->id, .origin = resource->origin, .verb = KILTER_VERB_NONE };
    const struct kilter_record *record = record_of(planning, &resource->id);
    struct wanted wanted;
    int code = read_wanted(planning->call, planning->target, resource, &wanted);
    if (code < 0)
        return code;
    /* What was applied last; absent while that is unknown (never, or the apply was killed). */
    struct kilter_str applied = kilter_get_text(record ? record->attributes : NULL, "value");
    struct kilter_str applied_key = kilter_get_text(record ? record->attributes : NULL, "key");
    struct kilter_str live = value_of(planning->text, wanted.key);
    bool equal = live.ptr && kilter_str_eq(live, wanted.value);
    if (applied.ptr && !kilter_str_eq(applied_key, wanted.key))
        wanted.obstacle = "its key changes; give the resource another name, so that the old line can go";
    if (!applied.ptr || !kilter_str_eq(applied, wanted.value))
        change.flags |= KILTER_CHANGE_WANTED;
    if (applied.ptr && (!live.ptr || !kilter_str_eq(live, applied)))
        change.flags |= KILTER_CHANGE_DRIFTED;
    if (!applied.ptr && live.ptr && !(record && equal))
        change.flags |= KILTER_CHANGE_UNOWNED;
    if (wanted.obstacle) {
        change.verb = KILTER_VERB_BLOCKED;
        change.reason = kilter_str_c(wanted.obstacle);
    } else if (!live.ptr) {
        change.verb = KILTER_VERB_CREATE;
        change.reason = applied.ptr ? KILTER_STR("was removed from the file") : KILTER_STR("is not there yet");
    } else if (!equal) {
        change.verb = KILTER_VERB_UPDATE;
        change.reason = !(change.flags & KILTER_CHANGE_DRIFTED) ? KILTER_STR("Git changes the value")
                        : !(change.flags & KILTER_CHANGE_WANTED)
                            ? KILTER_STR("the value differs from what was applied")
                            : KILTER_STR("Git and somebody else changed the value");
    } else if (change.flags || record->status != KILTER_RECORD_OWNED) {
        /* It is so already: nobody's, or somebody did by hand what Git wants now. Nothing of theirs is undone. */
        change.verb = KILTER_VERB_ADOPT;
        change.flags = (change.flags & ~KILTER_CHANGE_DRIFTED) | KILTER_CHANGE_WANTED;
        change.reason = KILTER_STR("is there as wanted");
    }
    return emit_change(planning, &change, wanted.key, live, wanted.value);
}

/* A record that Git does not want any more. */
static int plan_gone(struct planning *planning, const struct kilter_record *record)
{
    struct kilter_change change = { .id = record->id, .verb = KILTER_VERB_DELETE, .flags = KILTER_CHANGE_WANTED };
    struct kilter_str key = kilter_get_text(record->attributes, "key");
    struct kilter_str applied = kilter_get_text(record->attributes, "value");
    if (!key.ptr && record->claim_count) /* an apply was killed before it said what it did; the claim has the key */
        key = kilter_str_sub(record->claims[0], (size_t)(kilter_str_rfind(record->claims[0], '#') + 1), SIZE_MAX);
    key = key.ptr ? key : KILTER_STR("");
    struct kilter_str live = value_of(planning->text, key);
    change.reason = KILTER_STR("is not in Git any more");
    if (!live.ptr) {
        change.verb = KILTER_VERB_FORGET;
        change.reason = KILTER_STR("is gone already");
    } else if (!allowed(planning->target, key)) {
        change.verb = KILTER_VERB_BLOCKED;
        change.reason = KILTER_STR("the target's `allow.keys` does not name this key");
    } else if (!applied.ptr || !kilter_str_eq(live, applied)) {
        change.flags |= KILTER_CHANGE_DRIFTED;
        change.reason = KILTER_STR("is not in Git any more; the value differs from what was applied");
    }
    return emit_change(planning, &change, key, live, KILTER_STR_NONE);
}

static int settings_plan(struct kilter_call *call, void *handle, const struct kilter_plan_request *request,
                         struct kilter_plan_sink *sink)
{
    struct planning planning = { call, handle, request, sink, KILTER_STR_NONE };
    struct kilter_fs_entry entry;
    int code = read_file(call, handle, &planning.text, &entry);
    for (size_t i = 0; code == KILTER_OK && i < request->resource_count; i++)
        code = plan_wanted(&planning, &request->resources[i]);
    for (size_t i = 0; code == KILTER_OK && i < request->record_count; i++) {
        bool is_wanted = false;
        for (size_t r = 0; r < request->resource_count && !is_wanted; r++)
            is_wanted = kilter_id_equal(&request->resources[r].id, &request->records[i].id);
        if (!is_wanted) /* in KILTER_PLAN_DESTROY no resources are given, so that this is every record */
            code = plan_gone(&planning, &request->records[i]);
    }
    return code;
}

/* --- apply: all changes of the wave are one new file, put in place by one rename -------------------------- */
static bool holds(const struct kilter_change *change, struct kilter_str text)
{
    struct kilter_str then = kilter_get_text(change->preconditions, "value");
    struct kilter_str now = value_of(text, kilter_get_text(change->preconditions, "key"));
    return !then.ptr == !now.ptr && kilter_str_eq(then, now);
}

static bool is_so_already(const struct kilter_change *change, struct kilter_str text)
{
    struct kilter_str value = kilter_get_text(change->private_data, "value");
    struct kilter_str now = value_of(text, kilter_get_text(change->private_data, "key"));
    return change->verb == KILTER_VERB_FORGET || (!value.ptr == !now.ptr && kilter_str_eq(value, now));
}

static enum kilter_result_class write_file(struct kilter_call *call, const struct settings *target,
                                           struct kilter_str text, const struct kilter_fs_entry *expect,
                                           struct kilter_str *ret_message)
{
    struct kilter_fs_op op = KILTER_FS_OP_INIT;
    struct kilter_fs_result result = { .size = sizeof result,
                                       .status = KILTER_E_NOMEM,
                                       .obstacle = KILTER_FS_FAILED };
    struct kilter_fs_batch *batch = kilter_fs_batch_new(target->fs, NULL, NULL);
    size_t index;
    op.path = target->file;
    op.expect = expect; /* compared once more right before the rename: an editor may have been faster */
    op.bytes = text;    /* mode and owner: as they are, 0644 and ours for a new file */
    if (batch && kilter_fs_batch_add(batch, &op, &index) == KILTER_OK &&
        kilter_fs_batch_run(batch, call->error) == KILTER_OK)
        kilter_fs_batch_result(batch, index, &result);
    *ret_message = kilter_arena_str(call->arena, kilter_str_c(result.message ? result.message : "writing failed"));
    kilter_fs_batch_free(batch);
    if (result.status == KILTER_OK)
        return KILTER_RESULT_DONE;
    return result.obstacle == KILTER_FS_STALE                                             ? KILTER_RESULT_STALE
           : result.obstacle == KILTER_FS_FAILED || result.obstacle == KILTER_FS_NO_SPACE ? KILTER_RESULT_TRANSIENT
                                                                                          : KILTER_RESULT_BLOCKED;
}

static int settings_apply(struct kilter_call *call, void *handle, const struct kilter_apply_request *request,
                          struct kilter_result_sink *sink)
{
    const struct settings *target = handle;
    struct kilter_str text, message = KILTER_STR("");
    struct kilter_fs_entry entry;
    int code = read_file(call, target, &text, &entry);
    enum kilter_result_class written = KILTER_RESULT_DONE,
                             *results = kilter_arena_calloc(call->arena, request->change_count, sizeof *results);
    if (code < 0 || !results)
        return code < 0 ? code : kilter_error_set(call->error, KILTER_E_NOMEM, "applying: out of memory");
    struct kilter_str changed = text;
    for (size_t i = 0; i < request->change_count && changed.ptr; i++) {
        const struct kilter_change *change = &request->changes[i];
        struct kilter_str key = kilter_get_text(change->private_data, "key");
        if (is_so_already(change, text))
            results[i] = KILTER_RESULT_UNCHANGED;
        else if (!allowed(target, key))
            results[i] = KILTER_RESULT_TERMINAL;
        else if (!holds(change, text))
            results[i] = KILTER_RESULT_STALE;
        else
            changed = with_value(target, call->arena, changed, key, kilter_get_text(change->private_data, "value"));
    }
    if (!changed.ptr)
        return kilter_error_set(call->error, KILTER_E_LIMIT, "the file would grow beyond %u bytes", FILE_MAX);
    if (!kilter_str_eq(changed, text))
        written = write_file(call, target, changed, &entry, &message);
    for (size_t i = 0; code == KILTER_OK && i < request->change_count; i++) {
        const struct kilter_change *change = &request->changes[i];
        struct kilter_result result = { .size = sizeof result, .change = i, .schema_version = SCHEMA_VERSION };
        result.result = results[i] ? results[i] : written;
        if (result.result == KILTER_RESULT_STALE && results[i])
            result.message = KILTER_STR("the value is not what it was when this was planned");
        else if (result.result == KILTER_RESULT_TERMINAL)
            result.message = KILTER_STR("the target's `allow.keys` does not name this key");
        else if (result.result > KILTER_RESULT_UNCHANGED)
            result.message = message;
        else if (change->verb != KILTER_VERB_DELETE && change->verb != KILTER_VERB_FORGET)
            result.attributes = change->private_data; /* the record from now on: key and value as applied */
        code = sink->emit(sink, &result);
    }
    return code;
}

/* --- looking --------------------------------------------------------------------------------------------- */
static int settings_refresh(struct kilter_call *call, void *handle, const struct kilter_state_request *request,
                            struct kilter_state_sink *sink)
{
    struct kilter_str text;
    struct kilter_fs_entry entry;
    int code = read_file(call, handle, &text, &entry);
    for (size_t i = 0; code == KILTER_OK && i < request->record_count; i++) {
        struct kilter_str key = kilter_get_text(request->records[i].attributes, "key");
        struct kilter_str live = value_of(text, key);
        code = sink->attributes(sink, i, live.ptr ? state(call->arena, key, live) : NULL, SCHEMA_VERSION);
    }
    return code;
}

static int settings_health(struct kilter_call *call, void *handle, const struct kilter_state_request *request,
                           struct kilter_state_sink *sink)
{
    struct kilter_str text;
    struct kilter_fs_entry entry;
    int code = read_file(call, handle, &text, &entry);
    for (size_t i = 0; code == KILTER_OK && i < request->record_count; i++) {
        const struct kilter_value *attributes = request->records[i].attributes;
        struct kilter_str live = value_of(text, kilter_get_text(attributes, "key"));
        bool same = live.ptr && kilter_str_eq(live, kilter_get_text(attributes, "value"));
        code = sink->health(sink, i,
                            !live.ptr ? KILTER_MISSING
                            : same    ? KILTER_HEALTHY
                                      : KILTER_DEGRADED,
                            KILTER_RESULT_DONE, kilter_str_c(live.ptr && !same ? "it has another value" : ""));
    }
    return code;
}

/* --- the descriptor ---------------------------------------------------------------------------------------- */
static const struct kilter_target settings_target = {
    .size = sizeof settings_target,
    .options = &options_schema,
    .allow = &allow_schema,
    .open = settings_open,
    .close = settings_close,
    .identity = settings_identity,
    .claims = settings_claims,
    .plan = settings_plan,
    .apply = settings_apply,
    .refresh = settings_refresh,
    .health = settings_health,
};

static const struct kilter_plugin settings_plugin = {
    .size = sizeof settings_plugin,
    .abi_minor = KILTER_ABI_MINOR,
    .name = "settings",
    .version = "1.0.0",
    .summary = "Manages single \"key = value\" lines of a file that others write to as well.",
    .needs = KILTER_NEED_FILESYSTEM,
    .target = &settings_target,
};

const struct kilter_plugin *kilter_plugin_v1(void)
{
    return &settings_plugin;
}
