/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys.h: tables of keys. One row says what a key is called, what it takes, its
 * default and what it means; loading, checking, the hints, the JSON Schema and
 * the reference all come from the row.
 *
 * Tables are constant. A table describes a map of the manifest and fills a
 * struct: each row has the offset of its member.
 */
#ifndef KL_MANIFEST_KEYS_H
#define KL_MANIFEST_KEYS_H

#include "manifest/manifest.h"
#include "manifest/report.h"

enum kl_key_type {
    KL_KEY_STRING = 1, /* struct kilter_str */
    KL_KEY_BOOL,       /* bool */
    KL_KEY_COUNT,      /* uint32_t, within minimum and maximum */
    KL_KEY_DURATION,   /* int64_t, nanoseconds, within minimum and maximum */
    KL_KEY_SIZE,       /* int64_t, bytes, likewise */
    KL_KEY_ENUM,       /* int: the choice's index */
    KL_KEY_MODE,       /* uint32_t */
    KL_KEY_SECRET,     /* struct kl_secret_ref */
    KL_KEY_LIMIT,      /* struct kl_delete_limit */
    KL_KEY_TABLE,      /* the struct of `table`, in place */
    /* From here on the member is a const struct kilter_value *, NULL when absent. */
    KL_KEY_STRINGS,         /* a list of strings, or one string; see kl_strings_at */
    KL_KEY_MAP,             /* a map, whatever is in it: a plugin checks it */
    KL_KEY_VARIABLES,       /* a map from names to strings */
    KL_KEY_MAP_OF,          /* a map from names to maps of `table` */
    KL_KEY_LIST_OF,         /* a list of strings and of maps of `table` */
    KL_KEY_STRING_OR_TABLE, /* one string, or a map of `table` */
    KL_KEY_BOOL_OR_VARIABLES,
    KL_KEY_STRING_OR_VARIABLES,
};

#define KL_KEY_REQUIRED 1u
#define KL_KEY_ABSOLUTE 2u /* a path that begins with '/' */

struct kl_key {
    const char *name;
    enum kl_key_type type;
    uint32_t flags;
    const char *default_text; /* as a user would write it; NULL: none */
    int64_t minimum, maximum; /* both 0: no limits */
    const char *const *choices;
    const struct kl_table *table;
    size_t offset;
    const char *summary;
};

#define KL_TABLE_OPEN 1u        /* other keys are a plugin's */
#define KL_TABLE_EXACTLY_ONE 2u /* of its keys */

struct kl_table {
    const char *name;    /* in the reference and the schema: "app" */
    const char *summary; /* one sentence */
    const struct kl_key *keys;
    size_t count;
    uint32_t flags;
};

/* Sets the members of all rows that have a default. Tables within are gone into. */
void kl_table_defaults(struct kl_report *report, const struct kl_table *table, void *ret_struct);
/* Sets the members of the keys that are there, and reports what is wrong: unknown keys, wrong types, what is out
 * of range, and with `require` what is missing. `what` names the map: "app \"web\"". False when anything was. */
bool kl_table_fill(struct kl_report *report, const struct kl_table *table, const struct kilter_value *map,
                   const char *what, bool require, void *ret_struct);
const struct kl_key *kl_table_key(const struct kl_table *table, struct kilter_str name);

/* What a type expects, in words: "a duration such as 90s or 1h30m". */
const char *kl_key_expects(const struct kl_key *key);
/* As above for a table of the reference, with the words of an enumeration: "`auto` or `manual`". */
void kl_key_takes(const struct kl_key *key, struct kilter_buf *out);
/* What a value is, in words: "a list", "nothing". */
const char *kl_value_is(const struct kilter_value *value);
bool kl_value_is_null(const struct kilter_value *value);
/* A scalar that is not null. */
bool kl_value_is_text(const struct kilter_value *value);

/* Of a KL_KEY_STRINGS member: one string counts as a list of one. */
size_t kl_strings_count(const struct kilter_value *value);
const struct kilter_value *kl_strings_at(const struct kilter_value *value, size_t index);

#endif
