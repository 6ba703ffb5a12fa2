/* SPDX-License-Identifier: Apache-2.0 */
/* The apply job: the changes of one wave go in, one result for each comes out. */
#include "wire/jobs.h"
#include "worker/target.h"

struct apply {
    struct kilter_result_sink sink; /* first: the plugin's pointer is ours */
    struct kl_target_job *t;
    struct kilter_arena *scratch;
    bool *answered;
};

static const char *wrong_result(const struct kilter_result *result)
{
    if (result->result < KILTER_RESULT_DONE || result->result > KILTER_RESULT_SKIPPED)
        return "of an unknown class";
    if (result->message.len > KL_TARGET_MAX_TEXT)
        return "with a message that is too long";
    if (result->retry_after_ns < 0)
        return "with a negative retry time";
    if (result->attributes &&
        (!kl_value_is_bounded(result->attributes) || kilter_type_of(result->attributes) != KILTER_MAP))
        return "with attributes that are no usable map";
    return NULL;
}

static int emit_result(struct kilter_result_sink *sink, const struct kilter_result *result)
{
    struct apply *a = (struct apply *)sink;
    struct kl_target_job *t = a->t;
    if (t->rc < 0)
        return t->rc;
    if (!result || result->size < sizeof *result)
        return kl_target_fail(t, kl_call_defect(&t->call, "gave a result without its members"));
    if (result->change >= t->change_count)
        return kl_target_fail(t, kl_call_defect(&t->call, "gave a result for the change %zu of %zu", result->change,
                                                t->change_count));
    const char *id = kl_target_id_text(t, &t->changes[result->change].id);
    if (a->answered[result->change])
        return kl_target_fail(t, kl_call_defect(&t->call, "gave two results for %s", id));
    const char *what = wrong_result(result);
    if (what)
        return kl_target_fail(t, kl_call_defect(&t->call, "gave a result for %s %s", id, what));

    a->answered[result->change] = true;
    int rc = kl_target_send(t, kl_result_value(a->scratch, result), true); /* recorded, whatever comes next */
    kilter_arena_reset(a->scratch);
    return rc;
}

static int check_complete(struct apply *a)
{
    struct kl_target_job *t = a->t;
    for (size_t i = 0; i < t->change_count; i++)
        if (!a->answered[i])
            return kl_call_defect(&t->call, "gave no result for %s", kl_target_id_text(t, &t->changes[i].id));
    return 0;
}

int kl_target_apply(struct kl_target_job *t, struct kilter_value *done)
{
    (void)done;
    struct apply a = { .sink = { .size = sizeof a.sink, .emit = emit_result },
                       .t = t,
                       .scratch = kilter_arena_new(0),
                       .answered = kilter_arena_calloc(t->job->arena, t->change_count, sizeof(bool)) };
    struct kilter_apply_request request = { .size = sizeof request,
                                            .owner = t->owner,
                                            .changes = t->changes,
                                            .change_count = t->change_count,
                                            .records = t->records,
                                            .record_count = t->record_count };
    int rc = a.scratch && a.answered ? 0 : kilter_error_set(&t->job->error, KILTER_E_NOMEM, "out of memory");
    if (rc == 0 && t->change_count) {
        kl_target_begin(t, "apply");
        rc = kl_target_end(t, t->table->apply(&t->call.call, t->handle, &request, &a.sink));
        if (rc == 0)
            rc = check_complete(&a);
    }
    kilter_arena_free(a.scratch);
    return rc;
}
