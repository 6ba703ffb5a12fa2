/* SPDX-License-Identifier: Apache-2.0 */
#include "store/internal.h"

#include "base/clock.h"

#include <stdlib.h>

struct kl_txn *kl_txn_new(struct kl_store *store)
{
    struct kl_txn *txn = calloc(1, sizeof(*txn));
    if (!txn)
        return NULL;
    txn->arena = kilter_arena_new(kl_store_max_txn_bytes(store));
    if (!txn->arena) {
        free(txn);
        return NULL;
    }
    return txn;
}

void kl_txn_free(struct kl_txn *txn)
{
    if (!txn)
        return;
    kl_store_let_go(txn);
    kilter_arena_free(txn->arena);
    free(txn);
}

bool kl_txn_empty(const struct kl_txn *txn)
{
    return !txn || (!txn->first && !txn->failed);
}

void kl_txn_keep(struct kl_txn *txn)
{
    kl_store_let_go(txn);
}

/* --- copying into the transaction --------------------------------------------------------- */

static void *allocate(struct kl_txn *txn, size_t size)
{
    if (txn->failed)
        return NULL;
    void *memory = kilter_arena_alloc(txn->arena, size);
    if (!memory)
        txn->failed = KILTER_E_NOMEM;
    txn->bytes += size;
    return memory;
}

/* An absent text stays absent. */
static struct kilter_str copy(struct kl_txn *txn, struct kilter_str s)
{
    if (txn->failed || !s.ptr)
        return KILTER_STR_NONE;
    struct kilter_str copied = kilter_arena_str(txn->arena, s);
    if (!copied.ptr)
        txn->failed = KILTER_E_NOMEM;
    txn->bytes += s.len;
    return copied;
}

static struct kl_op *add(struct kl_txn *txn,
                         int (*run)(struct kl_db *, const struct kl_op *, struct kilter_error *), int64_t app)
{
    struct kl_op *op = txn ? allocate(txn, sizeof(*op)) : NULL;
    if (!op)
        return NULL;
    op->run = run;
    op->app = app;
    if (txn->last)
        txn->last->next = op;
    else
        txn->first = op;
    txn->last = op;
    return op;
}

static struct kl_op *add_text(struct kl_txn *txn,
                              int (*run)(struct kl_db *, const struct kl_op *, struct kilter_error *), int64_t app,
                              struct kilter_str key, struct kilter_str value)
{
    struct kl_op *op = add(txn, run, app);
    if (op) {
        op->key = copy(txn, key);
        op->value = copy(txn, value);
    }
    return op;
}

static int64_t or_now(int64_t ms)
{
    return ms ? ms : kl_clock_wall_ms();
}

/* --- apps ------------------------------------------------------------------------------------ */

void kl_txn_put_app(struct kl_txn *txn, const struct kl_app_row *app)
{
    struct kl_op *op = add(txn, kl_ops_put_app, app->id);
    struct kl_app_row *item = op ? allocate(txn, sizeof(*item)) : NULL;
    if (!item)
        return;
    *item = *app;
    item->name = copy(txn, app->name);
    item->target = copy(txn, app->target);
    item->identity = copy(txn, app->identity);
    item->state = copy(txn, app->state);
    item->created_ms = or_now(app->created_ms);
    op->item = item;
}

void kl_txn_rename_app(struct kl_txn *txn, int64_t app, struct kilter_str name)
{
    add_text(txn, kl_ops_rename_app, app, name, KILTER_STR_NONE);
}

void kl_txn_set_app_removed(struct kl_txn *txn, int64_t app, bool removed)
{
    struct kl_op *op = add(txn, kl_ops_set_app_removed, app);
    if (op)
        op->number = removed;
}

void kl_txn_put_app_state(struct kl_txn *txn, int64_t app, struct kilter_str state)
{
    add_text(txn, kl_ops_put_app_state, app, KILTER_STR_NONE, state);
}

void kl_txn_put_app_identity(struct kl_txn *txn, int64_t app, struct kilter_str identity)
{
    add_text(txn, kl_ops_put_app_identity, app, KILTER_STR_NONE, identity);
}

void kl_txn_delete_app(struct kl_txn *txn, int64_t app)
{
    add(txn, kl_ops_delete_app, app);
}

/* --- inventory --------------------------------------------------------------------------------- */

static void escape_part(struct kilter_buf *out, struct kilter_str part)
{
    for (size_t i = 0; i < part.len; i++) {
        if (part.ptr[i] == '/')
            kilter_buf_c(out, "%2F");
        else if (part.ptr[i] == '%')
            kilter_buf_c(out, "%25");
        else
            kilter_buf_char(out, part.ptr[i]);
    }
    kilter_buf_char(out, '/');
}

int kl_record_key(struct kilter_buf *out, const struct kilter_id *id)
{
    escape_part(out, kilter_api_group(id->api_version));
    escape_part(out, id->kind);
    escape_part(out, id->name_space);
    return kilter_buf_str(out, id->name);
}

static struct kl_op *add_record_op(struct kl_txn *txn,
                                   int (*run)(struct kl_db *, const struct kl_op *, struct kilter_error *),
                                   int64_t app, const struct kilter_id *id)
{
    struct kl_op *op = add(txn, run, app);
    if (!op)
        return NULL;
    struct kilter_buf key = KILTER_BUF_INIT(UINT32_MAX);
    if (kl_record_key(&key, id) == 0)
        op->key = copy(txn, kilter_buf_view(&key));
    else
        txn->failed = key.failed;
    kilter_buf_release(&key);
    return op;
}

static const struct kilter_str *copy_claims(struct kl_txn *txn, const struct kl_record_row *record)
{
    struct kilter_str *claims = allocate(txn, (record->claim_count + 1) * sizeof(*claims));
    for (size_t i = 0; claims && i < record->claim_count; i++)
        claims[i] = copy(txn, record->claims[i]);
    return claims;
}

void kl_txn_put_record(struct kl_txn *txn, const struct kl_record_row *record)
{
    struct kl_op *op = add_record_op(txn, kl_ops_put_record, record->app, &record->id);
    struct kl_record_row *item = op ? allocate(txn, sizeof(*item)) : NULL;
    if (!item)
        return;
    *item = *record;
    item->id.api_version = copy(txn, record->id.api_version);
    item->id.kind = copy(txn, record->id.kind);
    item->id.name_space = copy(txn, record->id.name_space);
    item->id.name = copy(txn, record->id.name);
    item->claims = copy_claims(txn, record);
    item->attributes = copy(txn, record->attributes);
    item->directives = copy(txn, record->directives);
    item->dependencies = copy(txn, record->dependencies);
    item->last_good = copy(txn, record->last_good);
    item->last_bad = copy(txn, record->last_bad);
    item->updated_ms = or_now(record->updated_ms);
    op->item = item;
    op->release = kl_ops_release_record;
}

void kl_txn_put_record_status(struct kl_txn *txn, int64_t app, const struct kilter_id *id,
                              enum kilter_record_status status)
{
    struct kl_op *op = add_record_op(txn, kl_ops_put_record_status, app, id);
    if (op)
        op->number = status;
}

void kl_txn_delete_record(struct kl_txn *txn, int64_t app, const struct kilter_id *id)
{
    struct kl_op *op = add_record_op(txn, kl_ops_delete_record, app, id);
    if (op)
        op->release = kl_ops_release_record;
}

/* --- sources, renders ------------------------------------------------------------------------------ */

void kl_txn_put_source(struct kl_txn *txn, struct kilter_str name, struct kilter_str state)
{
    add_text(txn, kl_ops_put_source, 0, name, state);
}

void kl_txn_delete_source(struct kl_txn *txn, struct kilter_str name)
{
    add_text(txn, kl_ops_delete_source, 0, name, KILTER_STR_NONE);
}

void kl_txn_put_asked(struct kl_txn *txn, const struct kl_asked_row *asked)
{
    struct kl_op *op = add(txn, kl_ops_put_asked, asked->app);
    struct kl_asked_row *item = op ? allocate(txn, sizeof(*item)) : NULL;
    if (!item)
        return;
    item->app = asked->app;
    item->commit = copy(txn, asked->commit);
    item->artifact = copy(txn, asked->artifact);
    item->blob = copy(txn, asked->blob);
    op->item = item;
}

void kl_txn_delete_asked(struct kl_txn *txn, int64_t app)
{
    add(txn, kl_ops_delete_asked, app);
}

void kl_txn_put_artifact(struct kl_txn *txn, const struct kl_artifact_row *artifact, bool secret)
{
    if (secret) {
        kl_txn_delete_artifact(txn, artifact->key);
        return;
    }
    add_text(txn, kl_ops_put_artifact, artifact->app, artifact->key, artifact->blob);
}

void kl_txn_delete_artifact(struct kl_txn *txn, struct kilter_str key)
{
    add_text(txn, kl_ops_delete_artifact, 0, key, KILTER_STR_NONE);
}

/* --- history, events, approvals --------------------------------------------------------------------- */

void kl_txn_put_history(struct kl_txn *txn, const struct kl_history_row *history)
{
    struct kl_op *op = add(txn, kl_ops_put_history, history->app);
    struct kl_history_row *item = op ? allocate(txn, sizeof(*item)) : NULL;
    if (!item)
        return;
    *item = *history;
    item->commit = copy(txn, history->commit);
    item->previous_commit = copy(txn, history->previous_commit);
    item->author = copy(txn, history->author);
    item->subject = copy(txn, history->subject);
    item->trigger = copy(txn, history->trigger);
    item->actor = copy(txn, history->actor);
    item->result = copy(txn, history->result);
    item->reason = copy(txn, history->reason);
    item->counts = copy(txn, history->counts);
    item->plan_digest = copy(txn, history->plan_digest);
    item->message = copy(txn, history->message);
    item->summary = copy(txn, history->summary);
    op->item = item;
}

void kl_txn_add_event(struct kl_txn *txn, const struct kl_event_row *event)
{
    struct kl_op *op = add(txn, kl_ops_add_event, event->app);
    struct kl_event_row *item = op ? allocate(txn, sizeof(*item)) : NULL;
    if (!item)
        return;
    *item = *event;
    item->time_ms = or_now(event->time_ms);
    item->app_name = copy(txn, event->app_name);
    item->kind = copy(txn, event->kind);
    item->actor = copy(txn, event->actor);
    item->commit = copy(txn, event->commit);
    item->author = copy(txn, event->author);
    item->message = copy(txn, event->message);
    item->data = copy(txn, event->data);
    op->item = item;
}

void kl_txn_put_approval(struct kl_txn *txn, const struct kl_approval_row *approval)
{
    struct kl_op *op = add(txn, kl_ops_put_approval, approval->app);
    struct kl_approval_row *item = op ? allocate(txn, sizeof(*item)) : NULL;
    if (!item)
        return;
    *item = *approval;
    item->plan_digest = copy(txn, approval->plan_digest);
    item->commit = copy(txn, approval->commit);
    item->actor = copy(txn, approval->actor);
    item->time_ms = or_now(approval->time_ms);
    op->item = item;
}

void kl_txn_void_approval(struct kl_txn *txn, int64_t app, struct kilter_str plan_digest)
{
    add_text(txn, kl_ops_void_approval, app, plan_digest, KILTER_STR_NONE);
}

void kl_txn_put_pair(struct kl_txn *txn, struct kilter_str key, struct kilter_str value)
{
    add_text(txn, kl_ops_put_pair, 0, key, value);
}
