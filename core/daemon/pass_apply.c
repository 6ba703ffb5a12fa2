/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applying: intents first and durably, then wave after wave, each result to the store as it comes.
 *
 * What is deleted goes last, and only when everything else succeeded.
 */
#include <kilter/yaml.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/pass.h"
#include "wire/jobs.h"

#define RESULTS_OF_TXN 256 /* results are committed after so many, and at the end of a wave */

static void next_wave(struct kl_pass *pass);

static bool goes_last(const struct kl_planned *planned)
{
    return planned->change.verb == KILTER_VERB_DELETE || planned->change.verb == KILTER_VERB_FORGET;
}

/* Waves in order, what goes away last; the plan's order within a wave. */
static int by_wave(const void *a, const void *b)
{
    const struct kl_planned *x = *(struct kl_planned *const *)a, *y = *(struct kl_planned *const *)b;
    if (goes_last(x) != goes_last(y))
        return goes_last(x) - goes_last(y);
    if (x->change.wave != y->change.wave)
        return x->change.wave < y->change.wave ? -1 : 1;
    return x < y ? -1 : x > y;
}

static bool same_wave(const struct kl_planned *a, const struct kl_planned *b)
{
    return goes_last(a) == goes_last(b) && a->change.wave == b->change.wave;
}

/* --- intents --------------------------------------------------------------------------------- */
static struct kl_owned *owned_of(struct kl_pass *pass, const struct kl_planned *planned)
{
    return kl_map_get(&pass->owned, planned->key);
}

static struct kilter_str directives_json(const struct kl_planned *planned)
{
    return planned->no_prune ? KILTER_STR("{\"noPrune\":true}") : KILTER_STR("{}");
}

/* One claim, one record: what goes has given up what another change takes, as when a file becomes a link. */
static const struct kilter_str *kept_claims(const struct kl_pass *pass, const struct kl_owned *owned,
                                            size_t *ret_count)
{
    struct kilter_str *kept = kilter_arena_calloc(pass->arena, owned->claim_count + 1, sizeof *kept);
    *ret_count = kept ? 0 : owned->claim_count;
    for (size_t i = 0; kept && i < owned->claim_count; i++) {
        const struct kl_owned *taker = kl_map_get(&pass->takers, owned->claims[i]);
        if (!taker || taker == owned || taker->gone)
            kept[(*ret_count)++] = owned->claims[i];
    }
    return kept ? kept : owned->claims;
}

static void put_record(struct kl_pass *pass, struct kl_txn *txn, const struct kl_owned *owned)
{
    size_t claim_count;
    const struct kilter_str *claims = kept_claims(pass, owned, &claim_count);
    struct kl_record_row row = {
        .app = pass->app->id,
        .id = owned->id,
        .claims = claims,
        .claim_count = claim_count,
        .status = owned->status,
        .schema_version = owned->schema_version,
        .attributes = owned->attributes,
        .directives = owned->directives,
        .last_good = kilter_str_c(pass->commit.id),
    };
    kl_txn_put_record(txn, &row);
}

/* The record of a change, made when it has none yet, with the status that says what is about to happen. */
static int intend(struct kl_pass *pass, struct kl_planned *planned, struct kl_txn *txn)
{
    const struct kilter_change *change = &planned->change;
    struct kl_owned *owned = owned_of(pass, planned);
    if (!owned && goes_last(planned))
        return 0; /* nothing that is recorded goes */
    if (!owned) {
        owned = kilter_arena_alloc(pass->arena, sizeof *owned);
        if (!owned)
            return KILTER_E_NOMEM;
        owned->key = planned->key;
        owned->schema_version = 1;
        if (kl_map_put(&pass->owned, owned->key, owned, NULL) < 0)
            return KILTER_E_NOMEM;
    }
    if (change->verb == KILTER_VERB_MOVE) {
        struct kl_owned *old = kl_map_get(&pass->owned, kl_resource_key(pass->arena, &change->moved_from));
        if (old && old != owned) {
            kl_txn_delete_record(txn, pass->app->id, &old->id);
            owned->attributes = old->attributes;
            owned->moved_from = old;
            old->gone = true;
        }
    }
    if (!goes_last(planned)) {
        owned->id = change->id;
        owned->claims = change->claims;
        owned->claim_count = change->claim_count;
        owned->directives = directives_json(planned);
        for (size_t i = 0; i < change->claim_count; i++)
            if (kl_map_put(&pass->takers, change->claims[i], owned, NULL) < 0)
                return KILTER_E_NOMEM;
    }
    owned->status = goes_last(planned) ? KILTER_RECORD_DELETING : KILTER_RECORD_PENDING;
    put_record(pass, txn, owned);
    return 0;
}

static void on_intents(void *data, const struct kilter_error *err, struct kl_txn *txn)
{
    struct kl_pass *pass = data;
    (void)txn;
    if (!err->code) {
        next_wave(pass); /* which takes the intents back when the pass is to stop */
        return;
    }
    if (kl_pass_stops(pass))
        return;
    if (err->code == KILTER_E_CONFLICT) {
        kl_pass_fail(pass, KL_REASON_OWNERSHIP_CONFLICT, true, NULL, NULL, "%s", err->message);
    } else {
        kl_pass_fail(pass, KL_REASON_APPLY_FAILED, true, NULL, NULL,
                     "nothing was applied, because the intent could not be recorded: %s", err->message);
    }
}

/* Those that go come last, when it is known which claims are taken. */
static int intend_all(struct kl_pass *pass, struct kl_txn *txn)
{
    int rc = 0;
    for (int last = 0; last < 2; last++)
        for (size_t i = 0; i < pass->plan->count && rc == 0; i++) {
            struct kl_planned *planned = &pass->plan->changes[i];
            if (planned->disposition != KL_DISPOSE_APPLY || goes_last(planned) != (last == 1))
                continue;
            pass->order[pass->order_count++] = planned;
            rc = intend(pass, planned, txn);
        }
    return rc;
}

void kl_pass_apply_begin(struct kl_pass *pass)
{
    struct kl_app_state *app = pass->app;
    struct kl_txn *txn = kl_txn_new(app->engine->store);
    pass->order = calloc(pass->decision.apply, sizeof *pass->order);
    pass->answered = calloc(pass->decision.apply, sizeof *pass->answered);
    int rc = pass->order && pass->answered ? intend_all(pass, txn) : KILTER_E_NOMEM;
    if (rc < 0) {
        kl_txn_free(txn);
        kl_pass_fail(pass, KL_REASON_APPLY_FAILED, true, NULL, NULL, "out of memory");
        return;
    }
    qsort(pass->order, pass->order_count, sizeof *pass->order, by_wave);
    if (!app->identity[0]) {
        snprintf(app->identity, sizeof app->identity, "%.*s", KILTER_STR_ARG(pass->plan->identity));
        kl_txn_put_app_identity(txn, app->id, pass->plan->identity);
    }
    app->done = 0;
    app->total = pass->order_count;
    kl_app_show(app, KL_PHASE_APPLYING, KL_REASON_NONE, "applying %.12s", pass->commit.id);
    kl_store_commit(app->engine->store, txn, KL_DURABLE, on_intents, pass);
}

/* --- results ------------------------------------------------------------------------------------ */
static struct kl_txn *results_txn(struct kl_pass *pass)
{
    if (!pass->txn)
        pass->txn = kl_txn_new(pass->app->engine->store);
    return pass->txn;
}

static void flush_results(struct kl_pass *pass)
{
    if (!pass->txn)
        return;
    kl_engine_commit(pass->app->engine, pass->txn, KL_DURABLE);
    pass->txn = NULL;
    pass->txn_results = 0;
}

static struct kilter_str attributes_json(struct kl_pass *pass, const struct kilter_value *attributes)
{
    struct kilter_buf text = KILTER_BUF_INIT(4u << 20);
    struct kilter_str copy = KILTER_STR_NONE;
    if (kilter_json_write(&text, attributes, KILTER_SCHEMA_JSON, 0) == 0)
        copy = kilter_arena_str(pass->arena, kilter_buf_view(&text));
    kilter_buf_release(&text);
    return copy;
}

/* The inventory after a change went as planned. */
static void record_done(struct kl_pass *pass, const struct kl_planned *planned, struct kl_owned *owned,
                        const struct kilter_result *result)
{
    struct kl_txn *txn = results_txn(pass);
    if (goes_last(planned)) {
        owned->gone = true;
        kl_txn_delete_record(txn, pass->app->id, &owned->id);
        return;
    }
    owned->status = result->tainted ? KILTER_RECORD_TAINTED : KILTER_RECORD_OWNED;
    if (result->attributes) {
        owned->attributes = attributes_json(pass, result->attributes);
        owned->schema_version = result->schema_version;
    }
    owned->stored = true;
    owned->moved_from = NULL;
    put_record(pass, txn, owned);
}

/* ... and after one that was not even tried: as if nothing had been meant. */
static void record_untried(struct kl_pass *pass, struct kl_owned *owned)
{
    struct kl_txn *txn = results_txn(pass);
    struct kl_owned *moved_from = owned->moved_from;
    owned->moved_from = NULL;
    if (!owned->stored) {
        owned->gone = true;
        kl_txn_delete_record(txn, pass->app->id, &owned->id);
    } else {
        owned->claims = owned->claims_before;
        owned->claim_count = owned->claim_count_before;
        owned->directives = owned->directives_before;
        owned->status = owned->before;
        put_record(pass, txn, owned);
    }
    if (moved_from) {
        moved_from->gone = false;
        put_record(pass, txn, moved_from);
    }
}

/* ... and after one that failed: what is there now is for the next plan to see. */
static void record_failed(struct kl_pass *pass, struct kl_owned *owned, const struct kilter_result *result)
{
    if (result->tainted)
        owned->status = KILTER_RECORD_TAINTED;
    put_record(pass, results_txn(pass), owned);
}

static void note_result(struct kl_pass *pass, const struct kl_planned *planned, const struct kilter_result *result)
{
    bool done = result->result == KILTER_RESULT_DONE || result->result == KILTER_RESULT_UNCHANGED;
    if (done && goes_last(planned)) {
        free(kl_map_remove(&pass->app->notes, planned->key));
        return;
    }
    struct kl_resource_note *note = kl_app_note(pass->app, planned->key);
    if (!note)
        return;
    note->result = result->result;
    snprintf(note->result_message, sizeof note->result_message, "%.*s", KILTER_STR_ARG(result->message));
    if (done)
        note->drift_since_ms = 0;
}

static void count_failure(struct kl_pass *pass, const struct kl_planned *planned,
                          const struct kilter_result *result)
{
    pass->failed += result->result == KILTER_RESULT_TRANSIENT || result->result == KILTER_RESULT_TERMINAL;
    pass->stale += result->result == KILTER_RESULT_STALE;
    pass->blocked_results += result->result == KILTER_RESULT_BLOCKED;
    if (result->retry_after_ns > pass->retry_after_ns)
        pass->retry_after_ns = result->retry_after_ns;
    bool worse = !pass->worst_message[0] ||
                 (result->result == KILTER_RESULT_TERMINAL && pass->worst != KILTER_RESULT_TERMINAL);
    if (!worse || result->result == KILTER_RESULT_SKIPPED)
        return;
    struct kilter_buf id = KILTER_BUF_INIT(1024);
    kilter_id_format(&id, &planned->change.id);
    pass->worst = result->result;
    snprintf(pass->worst_message, sizeof pass->worst_message, "%s: %.*s", id.ptr ? id.ptr : "",
             KILTER_STR_ARG(result->message));
    kilter_buf_release(&id);
}

static void on_result(void *data, const struct kilter_value *item, struct kilter_str encoded)
{
    struct kl_pass *pass = data;
    struct kilter_result result;
    (void)encoded;
    size_t wave_count = pass->wave_end - pass->wave_begin;
    if (!kilter_str_eq_c(kilter_get_text(item, "kind"), "result") ||
        kl_result_read(pass->arena, item, &result) < 0 || result.change >= wave_count ||
        pass->answered[pass->wave_begin + result.change])
        return;
    pass->answered[pass->wave_begin + result.change] = true;
    struct kl_planned *planned = pass->order[pass->wave_begin + result.change];
    struct kl_owned *owned = owned_of(pass, planned);
    note_result(pass, planned, &result);
    switch (result.result) {
    case KILTER_RESULT_DONE:
    case KILTER_RESULT_UNCHANGED:
        if (owned)
            record_done(pass, planned, owned, &result);
        pass->applied++;
        pass->changed_anything |= result.result == KILTER_RESULT_DONE;
        pass->done[planned->change.verb] += result.result == KILTER_RESULT_DONE;
        pass->app->done++;
        kl_engine_touch(pass->app->engine, pass->app);
        break;
    case KILTER_RESULT_STALE:
    case KILTER_RESULT_SKIPPED:
    case KILTER_RESULT_BLOCKED:
        if (owned)
            record_untried(pass, owned);
        count_failure(pass, planned, &result);
        break;
    case KILTER_RESULT_TRANSIENT:
    case KILTER_RESULT_TERMINAL:
        if (owned)
            record_failed(pass, owned, &result);
        count_failure(pass, planned, &result);
        break;
    }
    if (++pass->txn_results >= RESULTS_OF_TXN)
        flush_results(pass);
}

const char *kl_pass_done_text(const struct kl_pass *pass, char *text, size_t size)
{
    static const struct {
        enum kilter_verb verb;
        const char *word;
    } words[] = {
        { KILTER_VERB_CREATE, "created" },   { KILTER_VERB_UPDATE, "updated" }, { KILTER_VERB_REPLACE, "replaced" },
        { KILTER_VERB_DELETE, "deleted" },   { KILTER_VERB_ADOPT, "adopted" },  { KILTER_VERB_MOVE, "moved" },
        { KILTER_VERB_FORGET, "forgotten" },
    };
    struct kilter_buf buf = KILTER_BUF_INIT(size);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (pass->done[words[i].verb])
            kilter_buf_printf(&buf, "%s%zu %s", buf.len ? ", " : "", pass->done[words[i].verb], words[i].word);
    if (buf.len)
        kilter_buf_c(&buf, "; ");
    snprintf(text, size, "%s", buf.len && !buf.failed ? buf.ptr : "");
    kilter_buf_release(&buf);
    return text;
}

/* --- waves ---------------------------------------------------------------------------------------- */
/* Changes that were meant and will not be tried in this pass. */
static void forget_intents(struct kl_pass *pass, size_t from)
{
    for (size_t i = from; i < pass->order_count; i++) {
        struct kl_owned *owned = owned_of(pass, pass->order[i]);
        if (owned && !pass->answered[i])
            record_untried(pass, owned);
    }
    flush_results(pass);
}

static void apply_failed(struct kl_pass *pass)
{
    struct kl_app_state *app = pass->app;
    forget_intents(pass, pass->wave_end);
    app->sync = KL_STATE_OUT_OF_SYNC;
    if (pass->stale && !pass->failed && !pass->blocked_results) {
        kl_pass_fail(pass, KL_REASON_APPLY_FAILED, true, NULL, NULL,
                     "%zu of %zu applied; the rest moved meanwhile: %s", pass->applied, pass->order_count,
                     pass->worst_message);
        return;
    }
    bool transient = pass->worst != KILTER_RESULT_TERMINAL;
    kl_pass_fail(pass, KL_REASON_APPLY_FAILED, transient, NULL, NULL, "%zu of %zu applied; %s", pass->applied,
                 pass->order_count, pass->worst_message);
}

static void on_wave_done(void *data, const struct kl_job_outcome *outcome)
{
    struct kl_pass *pass = data;
    pass->job = NULL;
    flush_results(pass);
    if (outcome->status < 0) {
        /* What was not answered may be half done: its records stay pending, for the next plan to look at. */
        forget_intents(pass, pass->wave_end);
        pass->app->sync = KL_STATE_OUT_OF_SYNC;
        if (pass->cancelled || outcome->status == KILTER_E_CANCELLED) {
            pass->superseded = true;
            kl_pass_stops(pass);
            return;
        }
        kl_pass_fail_job(pass, KL_REASON_APPLY_FAILED, pass->app->def->target->plugin->name.ptr, outcome);
        return;
    }
    pass->wave_begin = pass->wave_end;
    next_wave(pass);
}

static int submit_wave(struct kl_pass *pass, struct kilter_error *err)
{
    static const struct kl_job_handler handler = { .on_item = on_result, .on_done = on_wave_done };
    size_t count = pass->wave_end - pass->wave_begin;
    struct kl_payload *changes = kilter_arena_calloc(pass->arena, count, sizeof *changes);
    if (!changes)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++)
        changes[i].value = pass->order[pass->wave_begin + i]->value;
    return kl_pass_target_job(pass, "apply", changes, count, &handler, err);
}

static void next_wave(struct kl_pass *pass)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    bool clean = !pass->failed && !pass->stale && !pass->blocked_results;
    if (pass->cancelled || pass->superseded || pass->app->engine->draining) {
        pass->wave_end = pass->wave_begin;
        forget_intents(pass, pass->wave_begin);
        kl_pass_stops(pass);
        return;
    }
    if (pass->wave_begin == pass->order_count && clean) {
        kl_pass_step(pass, KL_PHASE_APPLYING, "ok", "%zu of %zu applied", pass->applied, pass->order_count);
        kl_pass_health_begin(pass);
        return;
    }
    if (!clean) {
        apply_failed(pass);
        return;
    }
    pass->wave_end = pass->wave_begin + 1;
    while (pass->wave_end < pass->order_count &&
           same_wave(pass->order[pass->wave_begin], pass->order[pass->wave_end]))
        pass->wave_end++;
    if (submit_wave(pass, &err) < 0) {
        forget_intents(pass, pass->wave_begin);
        kl_pass_fail(pass, KL_REASON_APPLY_FAILED, true, pass->app->def->target->plugin->name.ptr, NULL, "%s",
                     err.message);
    }
}
