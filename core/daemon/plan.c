/* SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include <stdlib.h>

#include <kilter/yaml.h>

#include "wire/codec.h"
#include "wire/jobs.h"

#define PLAN_MAX_CHANGES 1000000u

struct kl_plan *kl_plan_new(struct kilter_str commit)
{
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kl_plan *plan = arena ? kilter_arena_alloc(arena, sizeof *plan) : NULL;
    if (!plan) {
        kilter_arena_free(arena);
        return NULL;
    }
    plan->arena = arena;
    plan->commit = kilter_arena_str(arena, commit);
    return plan;
}

void kl_plan_free(struct kl_plan *plan)
{
    if (!plan)
        return;
    free(plan->changes);
    kilter_arena_free(plan->arena);
}

static int grow(struct kl_plan *plan)
{
    if (plan->count < plan->capacity)
        return 0;
    if (plan->count >= PLAN_MAX_CHANGES)
        return KILTER_E_LIMIT;
    size_t capacity = plan->capacity ? plan->capacity * 2 : 16;
    struct kl_planned *changes = realloc(plan->changes, capacity * sizeof *changes);
    if (!changes)
        return KILTER_E_NOMEM;
    plan->changes = changes;
    plan->capacity = capacity;
    return 0;
}

int kl_plan_add(struct kl_plan *plan, struct kilter_str encoded)
{
    int rc = grow(plan);
    if (rc < 0)
        return rc;
    struct kl_planned planned = { .disposition = KL_DISPOSE_NOTHING };
    rc = kl_value_decode(plan->arena, encoded, NULL, NULL, &planned.value, NULL);
    if (rc < 0)
        return rc;
    rc = kl_change_read(plan->arena, planned.value, &planned.change);
    if (rc < 0)
        return rc;
    planned.key = kl_resource_key(plan->arena, &planned.change.id);
    kilter_get_bool(planned.value, "noPrune", &planned.no_prune);
    plan->changes[plan->count++] = planned;
    return 0;
}

int kl_plan_seal(struct kl_plan *plan, struct kilter_str key)
{
    /* Everything that decides what an apply would do, and nothing that differs between two looks at the same
     * state. */
    static const char *const members[] = { "verb",   "flags",  "apiVersion", "resourceKind",  "namespace", "name",
                                           "claims", "before", "after",      "preconditions", "effects" };
    struct kilter_buf text = KILTER_BUF_INIT(SIZE_MAX);
    struct kilter_sha256 sha;
    kilter_sha256_init(&sha);
    kilter_sha256_update(&sha, key.ptr, key.len);
    kilter_sha256_update(&sha, plan->commit.ptr, plan->commit.len);
    int rc = 0;
    for (size_t i = 0; i < plan->count && rc == 0; i++) {
        for (size_t m = 0; m < sizeof members / sizeof members[0] && rc == 0; m++) {
            struct kilter_value *member = kilter_get(plan->changes[i].value, members[m]);
            kilter_buf_clear(&text);
            rc = kilter_buf_printf(&text, "\n%s=", members[m]);
            if (rc == 0 && member)
                rc = kilter_json_write(&text, member, KILTER_SCHEMA_KUBERNETES,
                                       KILTER_WRITE_SORTED | KILTER_WRITE_REVEAL | KILTER_WRITE_CONTENT);
            kilter_sha256_update(&sha, text.ptr, text.len);
        }
    }
    kilter_buf_release(&text);
    uint8_t digest[KILTER_SHA256_SIZE];
    kilter_sha256_final(&sha, digest);
    kilter_hex(digest, sizeof digest, plan->digest);
    return rc;
}

int kl_plan_set_verb(struct kl_plan *plan, struct kl_planned *planned, enum kilter_verb verb)
{
    planned->change.verb = verb;
    return kilter_set(plan->arena, planned->value, "verb", kilter_string_c(plan->arena, kl_verb_word(verb)));
}

bool kl_verb_deletes(enum kilter_verb verb)
{
    return verb == KILTER_VERB_DELETE || verb == KILTER_VERB_REPLACE;
}

bool kl_verb_acts(enum kilter_verb verb)
{
    switch (verb) {
    case KILTER_VERB_CREATE:
    case KILTER_VERB_UPDATE:
    case KILTER_VERB_REPLACE:
    case KILTER_VERB_DELETE:
    case KILTER_VERB_ADOPT:
    case KILTER_VERB_FORGET:
    case KILTER_VERB_MOVE:
    case KILTER_VERB_READ:
        return true;
    case KILTER_VERB_NONE:
    case KILTER_VERB_DEFERRED:
    case KILTER_VERB_BLOCKED:
        return false;
    }
    return false;
}

struct kilter_str kl_resource_key(struct kilter_arena *arena, const struct kilter_id *id)
{
    struct kilter_str group = kilter_api_group(id->api_version);
    char *text = kilter_arena_printf(arena, "%.*s/%.*s/%.*s/%.*s", KILTER_STR_ARG(group), KILTER_STR_ARG(id->kind),
                                     KILTER_STR_ARG(id->name_space), KILTER_STR_ARG(id->name));
    return kilter_str_c(text);
}
