/* SPDX-License-Identifier: Apache-2.0 */
/* The plan job: claims, changes, and the checks that a plan is a plan. */
#include "base/map.h"
#include "wire/jobs.h"
#include "worker/diff.h"
#include "worker/target.h"

#include <kilter/yaml.h>

#define REASON_LEFT_ALONE "left alone, because the annotation " KILTER_ANNOTATION_RECONCILE " is disabled"

struct plan {
    struct kilter_plan_sink sink; /* first: the plugin's pointer is ours */
    struct kl_target_job *t;
    enum kilter_plan_mode mode;
    struct kilter_arena *scratch; /* of one change */
    struct kl_map resources;      /* id -> index + 1, of all resources */
    struct kl_map records;        /* id -> index + 1 of its first record */
    bool *resource_seen, *record_seen;
    size_t count;     /* of changes */
    size_t after_end; /* 1 + the highest index that a change comes after */
    struct kilter_buf key;
};

static size_t look_up(struct plan *p, const struct kl_map *map, const struct kilter_id *id)
{
    return (size_t)(uintptr_t)kl_map_get(map, kl_target_id_key(&p->key, id));
}

static int index_ids(struct plan *p)
{
    struct kl_target_job *t = p->t;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < t->resource_count; i++)
        rc = kl_map_put(&p->resources, kl_target_id_key(&p->key, &t->resources[i].id), (void *)(uintptr_t)(i + 1),
                        NULL);
    for (size_t i = 0; rc == 0 && i < t->record_count; i++)
        if (!look_up(p, &p->records, &t->records[i].id))
            rc = kl_map_put(&p->records, kl_target_id_key(&p->key, &t->records[i].id), (void *)(uintptr_t)(i + 1),
                            NULL);
    p->resource_seen = kilter_arena_calloc(t->job->arena, t->resource_count, sizeof(bool));
    p->record_seen = kilter_arena_calloc(t->job->arena, t->record_count, sizeof(bool));
    return rc == 0 && p->resource_seen && p->record_seen
               ? 0
               : kilter_error_set(&t->job->error, KILTER_E_NOMEM, "out of memory");
}

/* --- what a change must be --------------------------------------------------------------- */
static bool is_deposed(const struct plan *p, const struct kilter_id *id)
{
    for (size_t i = 0; i < p->t->record_count; i++)
        if (p->t->records[i].status == KILTER_RECORD_DEPOSED && kilter_id_equal(&p->t->records[i].id, id))
            return true;
    return false;
}

static const char *wrong_texts(const struct kilter_change *change)
{
    if (change->reason.len > KL_TARGET_MAX_TEXT || change->drift_by.len > KL_TARGET_MAX_TEXT ||
        change->foreign_owner.len > KL_TARGET_MAX_TEXT)
        return "a text that is too long";
    if (change->claim_count > KL_TARGET_MAX_CLAIMS || (change->claim_count && !change->claims))
        return "too many claims";
    for (size_t i = 0; i < change->claim_count; i++)
        if (!change->claims[i].len || change->claims[i].len > KL_TARGET_MAX_CLAIM)
            return "an empty or too long claim";
    if (change->effect_count > KL_TARGET_MAX_CLAIMS || (change->effect_count && !change->effects))
        return "too many effects";
    for (size_t i = 0; i < change->effect_count; i++)
        if (change->effects[i].verb < KILTER_EFFECT_RESTART || change->effects[i].verb > KILTER_EFFECT_RUN ||
            change->effects[i].subject.len > KL_TARGET_MAX_TEXT ||
            change->effects[i].cause.len > KL_TARGET_MAX_TEXT)
            return "an effect that is none";
    return NULL;
}

static const char *wrong_values(const struct kilter_change *change)
{
    const struct kilter_value *const values[] = { change->before, change->after, change->preconditions,
                                                  change->private_data };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        if (values[i] && !kl_value_is_bounded(values[i]))
            return "a value that is too deep or too large";
    if ((change->before && kilter_type_of(change->before) != KILTER_MAP) ||
        (change->after && kilter_type_of(change->after) != KILTER_MAP))
        return "a state that is no map";
    if (!change->private_data)
        return NULL;
    struct kilter_buf json = KILTER_BUF_INIT(KILTER_CHANGE_PRIVATE_MAX);
    int rc = kilter_json_write(&json, change->private_data, KILTER_SCHEMA_KUBERNETES,
                               KILTER_WRITE_REVEAL | KILTER_WRITE_CONTENT);
    kilter_buf_release(&json);
    return rc < 0 ? "a private document that is too large" : NULL;
}

static int defect(struct plan *p, const struct kilter_change *change, const char *what)
{
    return kl_target_fail(p->t, kl_call_defect(&p->t->call, "gave a change for %s with %s",
                                               kl_target_id_text(p->t, &change->id), what));
}

static int check_change(struct plan *p, const struct kilter_change *change)
{
    if (change->verb < KILTER_VERB_NONE || change->verb > KILTER_VERB_BLOCKED)
        return defect(p, change, "an unknown verb");
    const char *what = wrong_texts(change);
    if (!what)
        what = wrong_values(change);
    if (!what && change->verb == KILTER_VERB_MOVE && !look_up(p, &p->records, &change->moved_from))
        what = "a move from something that is not recorded";
    if (!what && change->after_count && !change->after_changes)
        what = "changes before it that are not there";
    return what ? defect(p, change, what) : 0;
}

/* A change is for something that is wanted or recorded; and what is wanted is not deleted, whatever a target
 * believes. */
static int check_subject(struct plan *p, const struct kilter_change *change, size_t resource, size_t record)
{
    bool deletes = change->verb == KILTER_VERB_DELETE || change->verb == KILTER_VERB_FORGET;
    if (!resource && !record)
        return defect(p, change, "no resource and no record behind it");
    if (deletes && resource && !is_deposed(p, &change->id))
        return defect(p, change, "the verb delete, though it is wanted");
    return 0;
}

static void mark_seen(struct plan *p, const struct kilter_change *change, size_t resource, size_t record)
{
    size_t moved = change->verb == KILTER_VERB_MOVE ? look_up(p, &p->records, &change->moved_from) : 0;
    if (resource)
        p->resource_seen[resource - 1] = true;
    if (record)
        p->record_seen[record - 1] = true;
    if (moved)
        p->record_seen[moved - 1] = true;
    for (size_t i = 0; i < change->after_count; i++)
        if (change->after_changes[i] >= p->after_end)
            p->after_end = (size_t)change->after_changes[i] + 1;
}

/* --- sending it ------------------------------------------------------------------------------ */
static void put_diff(struct plan *p, struct kilter_value **map, const struct kilter_change *change)
{
    struct kl_diff diff;
    if (kl_diff_make(p->scratch, change->before, change->after, &diff) < 0) {
        *map = NULL;
        return;
    }
    if (diff.fields)
        kl_target_put(p->scratch, map, "diff", diff.fields);
    if (diff.text.ptr)
        kl_target_put(p->scratch, map, "text", kilter_string(p->scratch, diff.text));
}

static int send_change(struct plan *p, const struct kilter_change *change, bool no_prune, bool force)
{
    struct kilter_value *map = kl_change_value(p->scratch, change);
    kl_target_put(p->scratch, &map, "index", kilter_uint(p->scratch, p->count));
    put_diff(p, &map, change);
    if (no_prune)
        kl_target_put(p->scratch, &map, "noPrune", kilter_bool(p->scratch, true));
    if (force)
        kl_target_put(p->scratch, &map, "force", kilter_bool(p->scratch, true));
    p->count++;
    int rc = kl_target_send(p->t, map, false);
    kilter_arena_reset(p->scratch);
    return rc;
}

static int emit_change(struct kilter_plan_sink *sink, const struct kilter_change *given)
{
    struct plan *p = (struct plan *)sink;
    struct kl_target_job *t = p->t;
    if (t->rc < 0)
        return t->rc;
    if (!given || given->size < sizeof *given || !given->id.kind.len || !given->id.name.len ||
        given->id.name.len > KL_TARGET_MAX_CLAIM || given->id.kind.len > 256 || given->id.api_version.len > 512 ||
        given->id.name_space.len > 512)
        return kl_target_fail(t, kl_call_defect(&t->call, "gave a change without a usable id"));

    struct kilter_change change = *given;
    size_t resource = look_up(p, &p->resources, &change.id);
    size_t record = look_up(p, &p->records, &change.id);
    int rc = check_change(p, &change);
    if (rc == 0)
        rc = check_subject(p, &change, resource, record);
    if (rc < 0)
        return rc;
    mark_seen(p, &change, resource, record);

    const struct kilter_directives *directives = resource ? &t->directives[resource - 1] : NULL;
    if (directives && change.wave == 0)
        change.wave = directives->wave;
    if (resource && !change.origin.file.len && !change.origin.line)
        change.origin = t->resources[resource - 1].origin;
    bool no_prune = directives ? directives->no_prune : record && t->record_no_prune[record - 1];
    return send_change(p, &change, no_prune, directives && directives->force);
}

/* --- claims ------------------------------------------------------------------------------------ */
struct claims {
    struct kilter_claim_sink sink; /* first: the plugin's pointer is ours */
    struct kl_target_job *t;
    struct kilter_arena *scratch;
    size_t count;
};

static int emit_claim(struct kilter_claim_sink *sink, size_t resource, struct kilter_str claim)
{
    struct claims *c = (struct claims *)sink;
    struct kl_target_job *t = c->t;
    if (t->rc < 0)
        return t->rc;
    if (resource >= t->resource_count)
        return kl_target_fail(
            t, kl_call_defect(&t->call, "named the resource %zu of %zu", resource, t->resource_count));
    if (!claim.ptr || !claim.len || claim.len > KL_TARGET_MAX_CLAIM)
        return kl_target_fail(t, kl_call_defect(&t->call, "gave an empty or too long claim for %s",
                                                kl_target_id_text(t, &t->resources[resource].id)));
    if (++c->count > KL_TARGET_MAX_CLAIMS + 16 * t->resource_count)
        return kl_target_fail(t, kl_call_defect(&t->call, "gave more than %zu claims", c->count - 1));

    struct kilter_value *map = kilter_map(c->scratch);
    kl_target_put(c->scratch, &map, "kind", kilter_string_c(c->scratch, "claim"));
    kl_target_put(c->scratch, &map, "resource", kilter_uint(c->scratch, resource));
    kl_target_put(c->scratch, &map, "claim", kilter_string(c->scratch, claim));
    int rc = kl_target_send(t, map, false);
    kilter_arena_reset(c->scratch);
    return rc;
}

static int ask_claims(struct plan *p)
{
    struct kl_target_job *t = p->t;
    struct claims c = { .sink = { .size = sizeof c.sink, .emit = emit_claim }, .t = t, .scratch = p->scratch };
    if (!t->resource_count)
        return 0;
    kl_target_begin(t, "claims");
    return kl_target_end(t, t->table->claims(&t->call.call, t->handle, t->resources, t->resource_count, &c.sink));
}

/* --- the plan -------------------------------------------------------------------------------------- */
static bool left_alone(const struct plan *p, const struct kilter_id *id, struct kilter_buf *key)
{
    size_t at = (size_t)(uintptr_t)kl_map_get(&p->resources, kl_target_id_key(key, id));
    return at && p->t->directives[at - 1].no_reconcile;
}

/* What is left alone is not shown to the target: neither as wanted nor as recorded, or it would be pruned. */
static int make_request(struct plan *p, struct kilter_plan_request *ret)
{
    struct kl_target_job *t = p->t;
    struct kilter_resource *resources = kilter_arena_calloc(t->job->arena, t->resource_count, sizeof *resources);
    struct kilter_record *records = kilter_arena_calloc(t->job->arena, t->record_count, sizeof *records);
    bool thorough = false;
    if (!resources || !records)
        return kilter_error_set(&t->job->error, KILTER_E_NOMEM, "out of memory");
    kilter_get_bool(t->job->args, "thorough", &thorough);
    *ret = (struct kilter_plan_request){ .size = sizeof *ret,
                                         .mode = p->mode,
                                         .owner = t->owner,
                                         .resources = resources,
                                         .records = records,
                                         .thorough = thorough };
    for (size_t i = 0; i < t->resource_count; i++)
        if (!t->directives[i].no_reconcile)
            resources[ret->resource_count++] = t->resources[i];
    for (size_t i = 0; i < t->record_count; i++)
        if (!left_alone(p, &t->records[i].id, &p->key))
            records[ret->record_count++] = t->records[i];
    return 0;
}

/* A target that forgets a resource would leave it undone for ever, and nobody would know. */
static int check_complete(struct plan *p)
{
    struct kl_target_job *t = p->t;
    if (p->after_end > p->count)
        return kl_call_defect(&t->call, "gave a change that comes after the change %zu of %zu", p->after_end - 1,
                              p->count);
    for (size_t i = 0; i < t->resource_count; i++)
        if (!p->resource_seen[i] && !t->directives[i].no_reconcile)
            return kl_call_defect(&t->call, "gave no change for %s", kl_target_id_text(t, &t->resources[i].id));
    for (size_t i = 0; i < t->record_count; i++) {
        const struct kilter_id *id = &t->records[i].id;
        size_t first = look_up(p, &p->records, id) - 1;
        if (!p->record_seen[first] && !look_up(p, &p->resources, id))
            return kl_call_defect(&t->call, "gave no change for %s, which is recorded and not wanted",
                                  kl_target_id_text(t, id));
    }
    return 0;
}

static int send_left_alone(struct plan *p)
{
    struct kl_target_job *t = p->t;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < t->resource_count; i++) {
        if (!t->directives[i].no_reconcile)
            continue;
        struct kilter_change change = { .size = sizeof change,
                                        .verb = KILTER_VERB_NONE,
                                        .id = t->resources[i].id,
                                        .origin = t->resources[i].origin,
                                        .reason = KILTER_STR(REASON_LEFT_ALONE),
                                        .wave = t->directives[i].wave };
        size_t record = look_up(p, &p->records, &change.id);
        if (record) {
            change.claims = t->records[record - 1].claims;
            change.claim_count = t->records[record - 1].claim_count;
        }
        rc = send_change(p, &change, t->directives[i].no_prune, t->directives[i].force);
    }
    return rc;
}

static int run_plan(struct plan *p)
{
    struct kl_target_job *t = p->t;
    struct kilter_plan_request request;
    int rc = index_ids(p);
    if (rc == 0)
        rc = ask_claims(p);
    if (rc == 0)
        rc = make_request(p, &request);
    if (rc < 0)
        return rc;
    kl_target_begin(t, "plan");
    rc = kl_target_end(t, t->table->plan(&t->call.call, t->handle, &request, &p->sink));
    if (rc == 0)
        rc = check_complete(p);
    return rc == 0 ? send_left_alone(p) : rc;
}

static int read_mode(struct kl_target_job *t, enum kilter_plan_mode *ret)
{
    struct kilter_str mode = kilter_get_text(t->job->args, "mode");
    *ret = kilter_str_eq_c(mode, "destroy") ? KILTER_PLAN_DESTROY : KILTER_PLAN_SYNC;
    if (*ret == KILTER_PLAN_SYNC && !kilter_str_eq_c(mode, "sync"))
        return kilter_error_set(&t->job->error, KILTER_E_INVALID, "the mode of a plan is sync or destroy");
    if (*ret == KILTER_PLAN_DESTROY && t->resource_count)
        return kilter_error_set(&t->job->error, KILTER_E_INVALID, "a plan that destroys takes no resources");
    return 0;
}

int kl_target_plan(struct kl_target_job *t, struct kilter_value *done)
{
    struct plan p = { .sink = { .size = sizeof p.sink, .emit = emit_change },
                      .t = t,
                      .scratch = kilter_arena_new(0),
                      .key = KILTER_BUF_INIT(1 << 16) };
    int rc = p.scratch ? read_mode(t, &p.mode) : KILTER_E_NOMEM;
    if (rc == 0)
        rc = kl_target_identity(t, done);
    if (rc == 0)
        rc = run_plan(&p);
    kilter_buf_release(&p.key);
    kl_map_release(&p.resources, NULL);
    kl_map_release(&p.records, NULL);
    kilter_arena_free(p.scratch);
    return rc;
}
