/* SPDX-License-Identifier: Apache-2.0 */
/* The jobs on a target: what they share, and the small ones. */
#include "wire/jobs.h"
#include "worker/target.h"

/* --- what the jobs share ------------------------------------------------------------------ */
int kl_target_fail(struct kl_target_job *t, int rc)
{
    if (t->rc == 0)
        t->rc = rc;
    return rc;
}

void kl_target_begin(struct kl_target_job *t, const char *callback)
{
    t->rc = 0;
    kl_call_begin(&t->call, callback);
}

int kl_target_end(struct kl_target_job *t, int rc)
{
    if (t->rc == 0)
        return kl_call_end(&t->call, rc);
    kl_job_phase(t->job, NULL, NULL); /* the call's error says what failed in the sink */
    return t->rc;
}

int kl_target_send(struct kl_target_job *t, const struct kilter_value *item, bool now)
{
    int rc = kl_job_item(t->job, item);
    if (rc < 0)
        return kl_target_fail(t, rc);
    if (now)
        kl_job_flush(t->job);
    return 0;
}

const char *kl_target_id_text(struct kl_target_job *t, const struct kilter_id *id)
{
    struct kilter_buf buf = KILTER_BUF_INIT(16384);
    kilter_id_format(&buf, id);
    const char *text = kilter_arena_str(t->job->arena, kilter_buf_view(&buf)).ptr;
    kilter_buf_release(&buf);
    return text ? text : "a resource";
}

struct kilter_str kl_target_id_key(struct kilter_buf *buf, const struct kilter_id *id)
{
    const struct kilter_str parts[] = { kilter_api_group(id->api_version), id->kind, id->name_space, id->name };
    kilter_buf_clear(buf);
    for (size_t i = 0; i < 4; i++) {
        kilter_buf_str(buf, parts[i]);
        kilter_buf_char(buf, '\0');
    }
    return kilter_buf_view(buf);
}

void kl_target_put(struct kilter_arena *arena, struct kilter_value **map, const char *key,
                   struct kilter_value *value)
{
    if (*map && (!value || kilter_set(arena, *map, key, value) < 0))
        *map = NULL;
}

/* --- identity ----------------------------------------------------------------------------------- */
int kl_target_identity(struct kl_target_job *t, struct kilter_value *done)
{
    struct kilter_str identity = KILTER_STR_NONE;
    kl_target_begin(t, "identity");
    int rc = kl_target_end(t, t->table->identity(&t->call.call, t->handle, &identity));
    if (rc < 0)
        return rc;
    if (!identity.ptr || !identity.len || identity.len > KL_TARGET_MAX_CLAIM)
        return kl_call_defect(&t->call, "gave no usable identity");
    rc = kilter_set(t->job->arena, done, "identity", kilter_string(t->job->arena, identity));
    return rc < 0 ? kilter_error_set(&t->job->error, rc, "out of memory") : 0;
}

/* --- health, refresh and watch --------------------------------------------------------------------- */
struct state {
    struct kilter_state_sink sink; /* first: the plugin's pointer is ours */
    struct kl_target_job *t;
    struct kilter_arena *scratch;
    bool *answered;
};

static int wrong_function(struct state *s, const char *name)
{
    return kl_target_fail(s->t, kl_call_defect(&s->t->call, "called the sink's %s", name));
}

static int refuse_health(struct kilter_state_sink *sink, size_t record, enum kilter_health health,
                         enum kilter_result_class result, struct kilter_str message)
{
    (void)record, (void)health, (void)result, (void)message;
    return wrong_function((struct state *)sink, "health");
}

static int refuse_attributes(struct kilter_state_sink *sink, size_t record, const struct kilter_value *attributes,
                             uint32_t schema_version)
{
    (void)record, (void)attributes, (void)schema_version;
    return wrong_function((struct state *)sink, "attributes");
}

static int refuse_moved(struct kilter_state_sink *sink, size_t record, struct kilter_str message)
{
    (void)record, (void)message;
    return wrong_function((struct state *)sink, "moved");
}

/* Marks a record as answered for, when it is there and was not before. */
static int answer(struct state *s, size_t record)
{
    struct kl_target_job *t = s->t;
    if (t->rc < 0)
        return t->rc;
    if (record >= t->record_count)
        return kl_target_fail(t, kl_call_defect(&t->call, "named the record %zu of %zu", record, t->record_count));
    if (s->answered[record])
        return kl_target_fail(
            t, kl_call_defect(&t->call, "answered twice for %s", kl_target_id_text(t, &t->records[record].id)));
    s->answered[record] = true;
    return 0;
}

static struct kilter_value *state_item(struct state *s, const char *kind, struct kilter_value *record)
{
    struct kilter_value *map = kilter_map(s->scratch);
    kl_target_put(s->scratch, &map, "kind", kilter_string_c(s->scratch, kind));
    kl_target_put(s->scratch, &map, "record", record);
    return map;
}

static int send_state(struct state *s, struct kilter_value *map, bool now)
{
    int rc = kl_target_send(s->t, map, now);
    kilter_arena_reset(s->scratch);
    return rc;
}

static int emit_health(struct kilter_state_sink *sink, size_t record, enum kilter_health health,
                       enum kilter_result_class result, struct kilter_str message)
{
    struct state *s = (struct state *)sink;
    int rc = answer(s, record);
    if (rc < 0)
        return rc;
    if (health < KILTER_HEALTHY || health > KILTER_HEALTH_UNKNOWN || result < KILTER_RESULT_DONE ||
        result > KILTER_RESULT_SKIPPED || message.len > KL_TARGET_MAX_TEXT)
        return kl_target_fail(s->t, kl_call_defect(&s->t->call, "gave an unusable state of %s",
                                                   kl_target_id_text(s->t, &s->t->records[record].id)));
    struct kilter_value *map = state_item(s, "health", kilter_uint(s->scratch, record));
    kl_target_put(s->scratch, &map, "health", kilter_string_c(s->scratch, kl_health_word(health)));
    kl_target_put(s->scratch, &map, "result", kilter_string_c(s->scratch, kl_result_word(result)));
    kl_target_put(s->scratch, &map, "message", kilter_string(s->scratch, message.ptr ? message : KILTER_STR("")));
    return send_state(s, map, false);
}

static int emit_attributes(struct kilter_state_sink *sink, size_t record, const struct kilter_value *attributes,
                           uint32_t schema_version)
{
    struct state *s = (struct state *)sink;
    int rc = answer(s, record);
    if (rc < 0)
        return rc;
    if (attributes && (!kl_value_is_bounded(attributes) || kilter_type_of(attributes) != KILTER_MAP))
        return kl_target_fail(s->t, kl_call_defect(&s->t->call, "gave unusable attributes of %s",
                                                   kl_target_id_text(s->t, &s->t->records[record].id)));
    struct kilter_value *map = state_item(s, "attributes", kilter_uint(s->scratch, record));
    if (attributes)
        kl_target_put(s->scratch, &map, "attributes", kilter_value_copy(s->scratch, attributes));
    kl_target_put(s->scratch, &map, "schemaVersion", kilter_uint(s->scratch, schema_version));
    return send_state(s, map, false);
}

static int emit_moved(struct kilter_state_sink *sink, size_t record, struct kilter_str message)
{
    struct state *s = (struct state *)sink;
    struct kl_target_job *t = s->t;
    if (t->rc < 0)
        return t->rc;
    if ((record != SIZE_MAX && record >= t->record_count) || message.len > KL_TARGET_MAX_TEXT)
        return kl_target_fail(t, kl_call_defect(&t->call, "reported a move of a record that is not there"));
    struct kilter_value *map =
        state_item(s, "moved", kilter_int(s->scratch, record == SIZE_MAX ? -1 : (int64_t)record));
    kl_target_put(s->scratch, &map, "message", kilter_string(s->scratch, message.ptr ? message : KILTER_STR("")));
    return send_state(s, map, true);
}

typedef int state_callback(struct kilter_call *call, void *handle, const struct kilter_state_request *request,
                           struct kilter_state_sink *sink);

static int run_state(struct kl_target_job *t, struct state *s, const char *name, state_callback *callback,
                     bool answer_all)
{
    struct kilter_state_request request = {
        .size = sizeof request, .owner = t->owner, .records = t->records, .record_count = t->record_count
    };
    s->t = t;
    s->sink.size = sizeof s->sink;
    s->answered = kilter_arena_calloc(t->job->arena, t->record_count, sizeof(bool));
    s->scratch = kilter_arena_new(0);
    int rc = s->answered && s->scratch ? 0 : kilter_error_set(&t->job->error, KILTER_E_NOMEM, "out of memory");
    if (rc == 0) {
        kl_target_begin(t, name);
        rc = kl_target_end(t, callback(&t->call.call, t->handle, &request, &s->sink));
    }
    for (size_t i = 0; rc == 0 && answer_all && i < t->record_count; i++)
        if (!s->answered[i])
            rc = kl_call_defect(&t->call, "gave no answer for %s", kl_target_id_text(t, &t->records[i].id));
    kilter_arena_free(s->scratch);
    return rc;
}

static int run_health(struct kl_target_job *t, struct kilter_value *done)
{
    (void)done;
    struct state s = { .sink = { 0, emit_health, refuse_attributes, refuse_moved, NULL } };
    return run_state(t, &s, "health", t->table->health, true);
}

static int run_refresh(struct kl_target_job *t, struct kilter_value *done)
{
    (void)done;
    struct state s = { .sink = { 0, refuse_health, emit_attributes, refuse_moved, NULL } };
    return run_state(t, &s, "refresh", t->table->refresh, true);
}

static int run_watch(struct kl_target_job *t, struct kilter_value *done)
{
    (void)done;
    struct state s = { .sink = { 0, refuse_health, refuse_attributes, emit_moved, NULL } };
    if (!t->table->watch)
        return kilter_error_set(&t->job->error, KILTER_E_UNSUPPORTED, "the target %s cannot watch",
                                t->plugin->table.name);
    int rc = run_state(t, &s, "watch", t->table->watch, false);
    int stopped = kl_job_check(t->job);
    return rc == 0 && stopped < 0 ? stopped : rc;
}

/* --- import --------------------------------------------------------------------------------------- */
static int run_import(struct kl_target_job *t, struct kilter_value *done)
{
    const struct kilter_value *attributes = NULL;
    uint32_t version = 0;
    if (!t->table->import)
        return kilter_error_set(&t->job->error, KILTER_E_UNSUPPORTED, "the target %s cannot import",
                                t->plugin->table.name);
    if (t->resource_count != 1)
        return kilter_error_set(&t->job->error, KILTER_E_INVALID, "an import takes one resource");
    kl_target_begin(t, "import");
    int rc = kl_target_end(t, t->table->import(&t->call.call, t->handle, t->resources, &attributes, &version));
    if (rc < 0)
        return rc;
    if (!attributes || !kl_value_is_bounded(attributes) || kilter_type_of(attributes) != KILTER_MAP)
        return kl_call_defect(&t->call, "gave no usable attributes");
    struct kilter_arena *arena = t->job->arena;
    rc = kilter_set(arena, done, "attributes", kilter_value_copy(arena, attributes));
    if (rc == 0)
        rc = kilter_set(arena, done, "schemaVersion", kilter_uint(arena, version));
    return rc < 0 ? kilter_error_set(&t->job->error, rc, "out of memory") : 0;
}

/* --- the job ------------------------------------------------------------------------------------------ */
static const struct {
    const char *name;
    int (*run)(struct kl_target_job *t, struct kilter_value *done);
} verbs[] = {
    { "identity", kl_target_identity },
    { "plan", kl_target_plan },
    { "apply", kl_target_apply },
    { "health", run_health },
    { "refresh", run_refresh },
    { "import", run_import },
    { "watch", run_watch },
};

int kl_job_target(struct kl_job *job)
{
    struct kl_target_job t;
    struct kilter_value *done = kilter_map(job->arena);
    int rc = done ? kl_target_open(job, &t) : KILTER_E_NOMEM;
    if (rc < 0)
        return rc;
    kl_call_init(&t.call, t.plugin, kl_target_config(job->worker), &t.services, job->arena, job->diags,
                 job->deadline_ns, &job->error);
    rc = kl_target_read(&t);
    for (size_t i = 0; rc == 0 && i < sizeof verbs / sizeof verbs[0]; i++) {
        if (!kilter_str_eq_c(job->verb, verbs[i].name))
            continue;
        rc = verbs[i].run(&t, done);
        if (rc == 0)
            kl_job_done(job, 0, done);
        return rc;
    }
    return rc;
}
