/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/jobs.h"

#define CHANGE_VERSION 1

/* --- words ------------------------------------------------------------------- */
struct word {
    const char *text;
    int number;
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *word_of(const struct word *words, size_t count, int number)
{
    for (size_t i = 0; i < count; i++)
        if (words[i].number == number)
            return words[i].text;
    return "unknown";
}

static int number_of(const struct word *words, size_t count, struct kilter_str text)
{
    for (size_t i = 0; i < count; i++)
        if (kilter_str_eq_c(text, words[i].text))
            return words[i].number;
    return 0;
}

static const struct word verbs[] = {
    { "none", KILTER_VERB_NONE },         { "create", KILTER_VERB_CREATE },   { "update", KILTER_VERB_UPDATE },
    { "replace", KILTER_VERB_REPLACE },   { "delete", KILTER_VERB_DELETE },   { "adopt", KILTER_VERB_ADOPT },
    { "forget", KILTER_VERB_FORGET },     { "move", KILTER_VERB_MOVE },       { "read", KILTER_VERB_READ },
    { "deferred", KILTER_VERB_DEFERRED }, { "blocked", KILTER_VERB_BLOCKED },
};

static const struct word results[] = {
    { "done", KILTER_RESULT_DONE },         { "unchanged", KILTER_RESULT_UNCHANGED },
    { "stale", KILTER_RESULT_STALE },       { "transient", KILTER_RESULT_TRANSIENT },
    { "terminal", KILTER_RESULT_TERMINAL }, { "blocked", KILTER_RESULT_BLOCKED },
    { "skipped", KILTER_RESULT_SKIPPED },
};

static const struct word statuses[] = {
    { "pending", KILTER_RECORD_PENDING },   { "owned", KILTER_RECORD_OWNED },
    { "deleting", KILTER_RECORD_DELETING }, { "tainted", KILTER_RECORD_TAINTED },
    { "deposed", KILTER_RECORD_DEPOSED },
};

static const struct word healths[] = {
    { "healthy", KILTER_HEALTHY },   { "progressing", KILTER_PROGRESSING },
    { "degraded", KILTER_DEGRADED }, { "suspended", KILTER_HEALTH_SUSPENDED },
    { "missing", KILTER_MISSING },   { "unknown", KILTER_HEALTH_UNKNOWN },
};

static const struct word effects[] = {
    { "restart", KILTER_EFFECT_RESTART },
    { "reload", KILTER_EFFECT_RELOAD },
    { "run", KILTER_EFFECT_RUN },
};

const char *kl_verb_word(enum kilter_verb verb)
{
    return word_of(verbs, COUNT(verbs), (int)verb);
}

enum kilter_verb kl_verb_of(struct kilter_str word)
{
    return (enum kilter_verb)number_of(verbs, COUNT(verbs), word);
}

const char *kl_result_word(enum kilter_result_class result)
{
    return word_of(results, COUNT(results), (int)result);
}

enum kilter_result_class kl_result_of(struct kilter_str word)
{
    return (enum kilter_result_class)number_of(results, COUNT(results), word);
}

const char *kl_record_status_word(enum kilter_record_status status)
{
    return word_of(statuses, COUNT(statuses), (int)status);
}

enum kilter_record_status kl_record_status_of(struct kilter_str word)
{
    return (enum kilter_record_status)number_of(statuses, COUNT(statuses), word);
}

const char *kl_health_word(enum kilter_health health)
{
    return word_of(healths, COUNT(healths), (int)health);
}

enum kilter_health kl_health_of(struct kilter_str word)
{
    return (enum kilter_health)number_of(healths, COUNT(healths), word);
}

/* --- making maps --------------------------------------------------------------- */
/* A map under construction. Once something failed the rest does nothing, and the map is NULL. */
struct maker {
    struct kilter_arena *arena;
    struct kilter_value *map;
};

static struct maker make(struct kilter_arena *arena)
{
    return (struct maker){ arena, kilter_map(arena) };
}

static void put(struct maker *m, const char *key, struct kilter_value *value)
{
    if (m->map && (!value || kilter_set(m->arena, m->map, key, value) < 0))
        m->map = NULL;
}

static void put_text(struct maker *m, const char *key, struct kilter_str text)
{
    put(m, key, kilter_string(m->arena, text.ptr ? text : KILTER_STR("")));
}

static void put_some(struct maker *m, const char *key, struct kilter_str text)
{
    if (text.len)
        put_text(m, key, text);
}

static void put_word(struct maker *m, const char *key, const char *word)
{
    put(m, key, kilter_string_c(m->arena, word));
}

static void put_int(struct maker *m, const char *key, int64_t number)
{
    put(m, key, kilter_int(m->arena, number));
}

static void put_copy(struct maker *m, const char *key, const struct kilter_value *value)
{
    if (value)
        put(m, key, kilter_value_copy(m->arena, value));
}

static void put_texts(struct maker *m, const char *key, const struct kilter_str *texts, size_t count)
{
    struct kilter_value *list = kilter_list(m->arena);
    for (size_t i = 0; list && i < count; i++) {
        struct kilter_value *item = kilter_string(m->arena, texts[i]);
        if (!item || kilter_list_add(m->arena, list, item) < 0)
            list = NULL;
    }
    put(m, key, list);
}

static void put_id(struct maker *m, const struct kilter_id *id)
{
    put_text(m, "apiVersion", id->api_version);
    put_text(m, "resourceKind", id->kind);
    put_some(m, "namespace", id->name_space);
    put_text(m, "name", id->name);
}

static void put_origin(struct maker *m, struct kilter_origin origin)
{
    put_some(m, "file", origin.file);
    if (origin.line)
        put_int(m, "line", origin.line);
    if (origin.column)
        put_int(m, "column", origin.column);
}

/* --- reading maps ---------------------------------------------------------------- */
/* A map that is read. The first thing of the wrong shape makes rc KILTER_E_INVALID; the rest reads as absent. */
struct reader {
    struct kilter_arena *arena;
    const struct kilter_value *map;
    int rc;
};

static struct reader open_map(struct kilter_arena *arena, const struct kilter_value *map, const char *kind)
{
    struct reader r = { arena, map, 0 };
    if (!map || kilter_type_of(map) != KILTER_MAP || (kind && !kilter_str_eq_c(kilter_get_text(map, "kind"), kind)))
        r.rc = KILTER_E_INVALID;
    return r;
}

static void fail(struct reader *r, int rc)
{
    if (r->rc == 0)
        r->rc = rc;
}

static struct kilter_str copy_text(struct reader *r, struct kilter_str text)
{
    struct kilter_str copy = kilter_arena_str(r->arena, text);
    if (!copy.ptr)
        fail(r, KILTER_E_NOMEM);
    return copy;
}

static struct kilter_str take_text(struct reader *r, const char *key, bool required)
{
    const struct kilter_value *value = kilter_get(r->map, key);
    if (value && kilter_type_of(value) == KILTER_SCALAR)
        return copy_text(r, kilter_text(value));
    if (value || required)
        fail(r, KILTER_E_INVALID);
    return KILTER_STR("");
}

static int64_t take_int(struct reader *r, const char *key, int64_t minimum, int64_t maximum)
{
    int64_t number = 0;
    int rc = kilter_get_int(r->map, key, &number);
    if (rc == KILTER_E_NOT_FOUND)
        return 0;
    if (rc < 0 || number < minimum || number > maximum)
        fail(r, KILTER_E_INVALID);
    return number;
}

static bool take_bool(struct reader *r, const char *key)
{
    bool value = false;
    int rc = kilter_get_bool(r->map, key, &value);
    if (rc < 0 && rc != KILTER_E_NOT_FOUND)
        fail(r, KILTER_E_INVALID);
    return value;
}

static struct kilter_value *take_copy(struct reader *r, const char *key)
{
    const struct kilter_value *value = kilter_get(r->map, key);
    struct kilter_value *copy = kilter_value_copy(r->arena, value);
    if (value && !copy)
        fail(r, KILTER_E_NOMEM);
    return copy;
}

/* The list at `key`, NULL when there is none or an empty one. */
static const struct kilter_value *take_list(struct reader *r, const char *key)
{
    const struct kilter_value *list = kilter_get(r->map, key);
    if (list && kilter_type_of(list) != KILTER_LIST) {
        fail(r, KILTER_E_INVALID);
        return NULL;
    }
    return kilter_list_size(list) ? list : NULL;
}

static void *take_array(struct reader *r, const struct kilter_value *list, size_t item_size)
{
    void *items = kilter_arena_calloc(r->arena, kilter_list_size(list), item_size);
    if (!items)
        fail(r, KILTER_E_NOMEM);
    return items;
}

static void take_texts(struct reader *r, const char *key, const struct kilter_str **ret, size_t *ret_count)
{
    const struct kilter_value *list = take_list(r, key);
    struct kilter_str *texts = list ? take_array(r, list, sizeof *texts) : NULL;
    if (!texts)
        return;
    for (size_t i = 0; i < kilter_list_size(list); i++) {
        const struct kilter_value *item = kilter_list_at(list, i);
        if (kilter_type_of(item) == KILTER_SCALAR)
            texts[i] = copy_text(r, kilter_text(item));
        else
            fail(r, KILTER_E_INVALID);
    }
    *ret = texts;
    *ret_count = kilter_list_size(list);
}

static void take_id(struct reader *r, struct kilter_id *ret)
{
    ret->api_version = take_text(r, "apiVersion", true);
    ret->kind = take_text(r, "resourceKind", true);
    ret->name_space = take_text(r, "namespace", false);
    ret->name = take_text(r, "name", true);
}

static void take_origin(struct reader *r, struct kilter_origin *ret)
{
    ret->file = take_text(r, "file", false);
    ret->line = (uint32_t)take_int(r, "line", 0, UINT32_MAX);
    ret->column = (uint32_t)take_int(r, "column", 0, UINT32_MAX);
}

/* --- resources and records ------------------------------------------------------- */
struct kilter_value *kl_resource_value(struct kilter_arena *arena, const struct kilter_resource *resource)
{
    struct maker m = make(arena);
    put_word(&m, "kind", "resource");
    put_id(&m, &resource->id);
    put_origin(&m, resource->origin);
    put_copy(&m, "document", resource->document);
    return m.map;
}

int kl_resource_read(struct kilter_arena *arena, const struct kilter_value *map, struct kilter_resource *ret)
{
    struct reader r = open_map(arena, map, "resource");
    struct kilter_resource resource = { .size = sizeof resource };
    take_id(&r, &resource.id);
    take_origin(&r, &resource.origin);
    resource.document = take_copy(&r, "document");
    if (!resource.document || kilter_type_of(resource.document) != KILTER_MAP)
        fail(&r, KILTER_E_INVALID);
    if (r.rc == 0)
        *ret = resource;
    return r.rc;
}

struct kilter_value *kl_record_value(struct kilter_arena *arena, const struct kilter_record *record)
{
    struct maker m = make(arena);
    put_word(&m, "kind", "record");
    put_id(&m, &record->id);
    put_texts(&m, "claims", record->claims, record->claim_count);
    put_word(&m, "status", kl_record_status_word(record->status));
    put_int(&m, "schemaVersion", record->schema_version);
    put_copy(&m, "attributes", record->attributes);
    return m.map;
}

int kl_record_read(struct kilter_arena *arena, const struct kilter_value *map, struct kilter_record *ret)
{
    struct reader r = open_map(arena, map, "record");
    struct kilter_record record = { .size = sizeof record };
    take_id(&r, &record.id);
    take_texts(&r, "claims", &record.claims, &record.claim_count);
    record.status = kl_record_status_of(kilter_get_text(map, "status"));
    if (!record.status)
        fail(&r, KILTER_E_INVALID);
    record.schema_version = (uint32_t)take_int(&r, "schemaVersion", 0, UINT32_MAX);
    record.attributes = take_copy(&r, "attributes");
    if (record.attributes && kilter_type_of(record.attributes) != KILTER_MAP)
        fail(&r, KILTER_E_INVALID);
    if (r.rc == 0)
        *ret = record;
    return r.rc;
}

/* --- changes --------------------------------------------------------------------- */
static void put_moved_from(struct maker *m, const struct kilter_id *id)
{
    if (!id->name.len)
        return;
    struct maker from = make(m->arena);
    put_id(&from, id);
    put(m, "movedFrom", from.map);
}

static void put_after_changes(struct maker *m, const struct kilter_change *change)
{
    if (!change->after_count)
        return;
    struct kilter_value *list = kilter_list(m->arena);
    for (size_t i = 0; list && i < change->after_count; i++) {
        struct kilter_value *item = kilter_uint(m->arena, change->after_changes[i]);
        if (!item || kilter_list_add(m->arena, list, item) < 0)
            list = NULL;
    }
    put(m, "afterChanges", list);
}

static void put_effects(struct maker *m, const struct kilter_change *change)
{
    if (!change->effect_count)
        return;
    struct kilter_value *list = kilter_list(m->arena);
    for (size_t i = 0; list && i < change->effect_count; i++) {
        const struct kilter_effect *effect = &change->effects[i];
        struct maker item = make(m->arena);
        put_word(&item, "verb", word_of(effects, COUNT(effects), (int)effect->verb));
        put_text(&item, "subject", effect->subject);
        put_some(&item, "cause", effect->cause);
        if (!item.map || kilter_list_add(m->arena, list, item.map) < 0)
            list = NULL;
    }
    put(m, "effects", list);
}

struct kilter_value *kl_change_value(struct kilter_arena *arena, const struct kilter_change *change)
{
    struct maker m = make(arena);
    put_word(&m, "kind", "change");
    put_int(&m, "v", CHANGE_VERSION);
    put_word(&m, "verb", kl_verb_word(change->verb));
    put_int(&m, "flags", change->flags);
    put_id(&m, &change->id);
    put_moved_from(&m, &change->moved_from);
    put_texts(&m, "claims", change->claims, change->claim_count);
    put_origin(&m, change->origin);
    put_copy(&m, "before", change->before);
    put_copy(&m, "after", change->after);
    put_text(&m, "reason", change->reason);
    put_some(&m, "driftBy", change->drift_by);
    put_some(&m, "foreignOwner", change->foreign_owner);
    put_copy(&m, "preconditions", change->preconditions);
    put_int(&m, "wave", change->wave);
    put_after_changes(&m, change);
    put_effects(&m, change);
    put_copy(&m, "private", change->private_data);
    return m.map;
}

static void take_moved_from(struct reader *r, struct kilter_id *ret)
{
    const struct kilter_value *from = kilter_get(r->map, "movedFrom");
    if (!from)
        return;
    struct reader inner = open_map(r->arena, from, NULL);
    take_id(&inner, ret);
    fail(r, inner.rc);
}

static void take_after_changes(struct reader *r, struct kilter_change *ret)
{
    const struct kilter_value *list = take_list(r, "afterChanges");
    uint32_t *indices = list ? take_array(r, list, sizeof *indices) : NULL;
    if (!indices)
        return;
    for (size_t i = 0; i < kilter_list_size(list); i++) {
        struct kilter_scalar number;
        if (kilter_resolve(kilter_list_at(list, i), KILTER_SCHEMA_JSON, &number) < 0 || number.kind != KILTER_INT ||
            number.as.integer < 0 || number.as.integer > UINT32_MAX)
            fail(r, KILTER_E_INVALID);
        else
            indices[i] = (uint32_t)number.as.integer;
    }
    ret->after_changes = indices;
    ret->after_count = kilter_list_size(list);
}

static void take_effects(struct reader *r, struct kilter_change *ret)
{
    const struct kilter_value *list = take_list(r, "effects");
    struct kilter_effect *items = list ? take_array(r, list, sizeof *items) : NULL;
    if (!items)
        return;
    for (size_t i = 0; i < kilter_list_size(list); i++) {
        struct reader item = open_map(r->arena, kilter_list_at(list, i), NULL);
        items[i].verb =
            (enum kilter_effect_verb)number_of(effects, COUNT(effects), kilter_get_text(item.map, "verb"));
        if (!items[i].verb)
            fail(&item, KILTER_E_INVALID);
        items[i].subject = take_text(&item, "subject", true);
        items[i].cause = take_text(&item, "cause", false);
        fail(r, item.rc);
    }
    ret->effects = items;
    ret->effect_count = kilter_list_size(list);
}

int kl_change_read(struct kilter_arena *arena, const struct kilter_value *map, struct kilter_change *ret)
{
    struct reader r = open_map(arena, map, "change");
    struct kilter_change change = { .size = sizeof change };
    if (take_int(&r, "v", CHANGE_VERSION, CHANGE_VERSION) != CHANGE_VERSION)
        fail(&r, KILTER_E_INVALID);
    change.verb = kl_verb_of(kilter_get_text(map, "verb"));
    if (!change.verb)
        fail(&r, KILTER_E_INVALID);
    change.flags = (uint32_t)take_int(&r, "flags", 0, UINT32_MAX);
    take_id(&r, &change.id);
    take_moved_from(&r, &change.moved_from);
    take_texts(&r, "claims", &change.claims, &change.claim_count);
    take_origin(&r, &change.origin);
    change.before = take_copy(&r, "before");
    change.after = take_copy(&r, "after");
    change.reason = take_text(&r, "reason", false);
    change.drift_by = take_text(&r, "driftBy", false);
    change.foreign_owner = take_text(&r, "foreignOwner", false);
    change.preconditions = take_copy(&r, "preconditions");
    change.wave = (int32_t)take_int(&r, "wave", INT32_MIN, INT32_MAX);
    take_after_changes(&r, &change);
    take_effects(&r, &change);
    change.private_data = take_copy(&r, "private");
    if (r.rc == 0)
        *ret = change;
    return r.rc;
}

/* --- results --------------------------------------------------------------------- */
struct kilter_value *kl_result_value(struct kilter_arena *arena, const struct kilter_result *result)
{
    struct maker m = make(arena);
    put_word(&m, "kind", "result");
    put(&m, "change", kilter_uint(arena, result->change));
    put_word(&m, "result", kl_result_word(result->result));
    put_text(&m, "message", result->message);
    put_copy(&m, "attributes", result->attributes);
    put_int(&m, "schemaVersion", result->schema_version);
    put(&m, "tainted", kilter_bool(arena, result->tainted));
    put_int(&m, "retryAfterMs", result->retry_after_ns / 1000000 + (result->retry_after_ns % 1000000 > 0));
    return m.map;
}

int kl_result_read(struct kilter_arena *arena, const struct kilter_value *map, struct kilter_result *ret)
{
    struct reader r = open_map(arena, map, "result");
    struct kilter_result result = { .size = sizeof result };
    if (!kilter_get(map, "change"))
        fail(&r, KILTER_E_INVALID);
    result.change = (size_t)take_int(&r, "change", 0, INT64_MAX);
    result.result = kl_result_of(kilter_get_text(map, "result"));
    if (!result.result)
        fail(&r, KILTER_E_INVALID);
    result.message = take_text(&r, "message", false);
    result.attributes = take_copy(&r, "attributes");
    result.schema_version = (uint32_t)take_int(&r, "schemaVersion", 0, UINT32_MAX);
    result.tainted = take_bool(&r, "tainted");
    result.retry_after_ns = take_int(&r, "retryAfterMs", 0, INT64_MAX / 1000000) * 1000000;
    if (r.rc == 0)
        *ret = result;
    return r.rc;
}
