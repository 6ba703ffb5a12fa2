/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/keys.h"

#include <inttypes.h>
#include <stdio.h>

#define MAX_KEYS 64u

bool kl_value_is_null(const struct kilter_value *value)
{
    return kilter_is_null(value, KILTER_SCHEMA_KUBERNETES);
}

bool kl_value_is_text(const struct kilter_value *value)
{
    return value && kilter_type_of(value) == KILTER_SCALAR && !kl_value_is_null(value);
}

const char *kl_value_is(const struct kilter_value *value)
{
    struct kilter_scalar scalar;

    if (kl_value_is_null(value))
        return "nothing";
    if (kilter_type_of(value) == KILTER_LIST)
        return "a list";
    if (kilter_type_of(value) == KILTER_MAP)
        return "a map";
    if (kilter_resolve(value, KILTER_SCHEMA_KUBERNETES, &scalar) < 0)
        return "something that its tag does not fit";
    switch (scalar.kind) {
    case KILTER_BOOL:
        return "true or false";
    case KILTER_INT:
    case KILTER_UINT:
    case KILTER_FLOAT:
        return "a number";
    default:
        return "a string";
    }
}

const char *kl_key_expects(const struct kl_key *key)
{
    switch (key->type) {
    case KL_KEY_STRING:
        return key->flags & KL_KEY_ABSOLUTE ? "an absolute path" : "a string";
    case KL_KEY_BOOL:
        return "true or false";
    case KL_KEY_COUNT:
        return "a whole number";
    case KL_KEY_DURATION:
        return "a duration such as 90s or 1h30m";
    case KL_KEY_SIZE:
        return "a size such as 64Mi or 1G";
    case KL_KEY_ENUM:
        return "one of its words";
    case KL_KEY_MODE:
        return "permission bits in octal such as \"0660\"";
    case KL_KEY_SECRET:
        return "a reference: {file: PATH}, {credential: NAME} or {env: NAME}";
    case KL_KEY_LIMIT:
        return "a number such as 10 or a percentage such as \"5%\"";
    case KL_KEY_STRINGS:
        return "a list of strings";
    case KL_KEY_VARIABLES:
        return "a map from names to strings";
    case KL_KEY_MAP_OF:
        return "a map from names to maps";
    case KL_KEY_LIST_OF:
        return "a list of names or maps";
    case KL_KEY_STRING_OR_TABLE:
        return "a name or a map";
    case KL_KEY_BOOL_OR_VARIABLES:
        return "true, false or a map from names to strings";
    case KL_KEY_STRING_OR_VARIABLES:
        return "a name or a map from names to names";
    case KL_KEY_TABLE:
    case KL_KEY_MAP:
        return "a map";
    }
    return "something else";
}

void kl_key_takes(const struct kl_key *key, struct kilter_buf *out)
{
    size_t count = 0;

    while (key->type == KL_KEY_ENUM && key->choices[count])
        count++;
    for (size_t i = 0; i < count; i++)
        kilter_buf_printf(out, "%s`%s`", i == 0 ? "" : i + 1 == count ? " or " : ", ", key->choices[i]);
    if (count == 0)
        kilter_buf_c(out, kl_key_expects(key));
}

size_t kl_strings_count(const struct kilter_value *value)
{
    if (kl_value_is_null(value))
        return 0;
    return kilter_type_of(value) == KILTER_LIST ? kilter_list_size(value) : 1;
}

const struct kilter_value *kl_strings_at(const struct kilter_value *value, size_t index)
{
    return kilter_type_of(value) == KILTER_LIST ? kilter_list_at(value, index) : value;
}

const struct kl_key *kl_table_key(const struct kl_table *table, struct kilter_str name)
{
    for (size_t i = 0; i < table->count; i++)
        if (kilter_str_eq_c(name, table->keys[i].name))
            return &table->keys[i];
    return NULL;
}

/* --- one value ------------------------------------------------------------------ */
/* What goes with every complaint about one value. */
struct place {
    struct kl_report *report;
    const struct kl_key *key;
    const struct kilter_value *value;
    const char *what;
};

static bool wrong_type(const struct place *p)
{
    kl_report_add(p->report, KILTER_ERROR, "manifest.type", kilter_origin_of(p->value), NULL,
                  "%s: \"%s\" is %s; expected %s", p->what, p->key->name, kl_value_is(p->value),
                  kl_key_expects(p->key));
    return false;
}

static bool wrong_text(const struct place *p)
{
    if (!kl_value_is_text(p->value))
        return wrong_type(p);
    kl_report_add(p->report, KILTER_ERROR, "manifest.type", kilter_origin_of(p->value), NULL,
                  "%s: \"%s\" is \"%.*s\"; expected %s", p->what, p->key->name,
                  KILTER_STR_ARG(kilter_str_sub(kilter_text(p->value), 0, 100)), kl_key_expects(p->key));
    return false;
}

static const char *limit_text(const struct kl_key *key, int64_t value, char text[32])
{
    if (key->type == KL_KEY_DURATION)
        return kilter_format_duration(value, text);
    bool mib = key->type == KL_KEY_SIZE && value % (1 << 20) == 0;
    snprintf(text, 32, "%" PRId64 "%s", mib ? value >> 20 : value, mib ? "Mi" : "");
    return text;
}

static bool within_limits(const struct place *p, int64_t value)
{
    char low[32], high[32];

    if ((p->key->minimum == 0 && p->key->maximum == 0) ||
        (value >= p->key->minimum && (p->key->maximum == 0 || value <= p->key->maximum)))
        return true;
    char limits[80];
    if (p->key->maximum)
        snprintf(limits, sizeof limits, "%s to %s", limit_text(p->key, p->key->minimum, low),
                 limit_text(p->key, p->key->maximum, high));
    else
        snprintf(limits, sizeof limits, "at least %s", limit_text(p->key, p->key->minimum, low));
    kl_report_add(p->report, KILTER_ERROR, "manifest.range", kilter_origin_of(p->value), NULL,
                  "%s: \"%s\" is %.*s; expected %s", p->what, p->key->name,
                  KILTER_STR_ARG(kilter_str_sub(kilter_text(p->value), 0, 100)), limits);
    return false;
}

static bool take_string(const struct place *p, struct kilter_str *ret)
{
    if (!kl_value_is_text(p->value))
        return wrong_type(p);
    struct kilter_str text = kilter_text(p->value);
    if (memchr(text.ptr, '\0', text.len)) {
        kl_report_add(p->report, KILTER_ERROR, "manifest.type", kilter_origin_of(p->value), NULL,
                      "%s: \"%s\" holds a NUL byte", p->what, p->key->name);
        return false;
    }
    if (p->key->flags & KL_KEY_ABSOLUTE && (text.len == 0 || text.ptr[0] != '/'))
        return wrong_text(p);
    if (p->key->flags & KL_KEY_REQUIRED && text.len == 0) {
        kl_report_add(p->report, KILTER_ERROR, "manifest.required", kilter_origin_of(p->value), NULL,
                      "%s: \"%s\" is empty", p->what, p->key->name);
        return false;
    }
    *ret = kilter_arena_str(p->report->arena, text);
    if (!ret->ptr)
        kl_report_nomem(p->report);
    return true;
}

static bool take_bool(const struct place *p, bool *ret)
{
    struct kilter_scalar scalar;

    if (kilter_resolve(p->value, KILTER_SCHEMA_KUBERNETES, &scalar) < 0 || scalar.kind != KILTER_BOOL)
        return wrong_text(p);
    *ret = scalar.as.boolean;
    return true;
}

/* Digits alone, into at most `maximum`. */
static bool read_count(struct kilter_str text, int64_t maximum, int64_t *ret)
{
    int64_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        n = n * 10 + (text.ptr[i] - '0');
        if (n > maximum)
            return false;
    }
    *ret = n;
    return text.len > 0;
}

static bool take_number(const struct place *p, int64_t *ret)
{
    struct kilter_str text = kilter_text(p->value);
    int64_t n = 0;
    bool sound = kl_value_is_text(p->value);

    if (sound && p->key->type == KL_KEY_DURATION)
        sound = kilter_parse_duration(text, &n) == 0;
    else if (sound && p->key->type == KL_KEY_SIZE)
        sound = kilter_parse_size(text, &n) == 0;
    else if (sound)
        sound = read_count(text, UINT32_MAX, &n);
    if (!sound)
        return wrong_text(p);
    if (!within_limits(p, n))
        return false;
    *ret = n;
    return true;
}

static bool take_enum(const struct place *p, int *ret)
{
    struct kilter_str names[MAX_KEYS];
    size_t count = 0;

    if (!kl_value_is_text(p->value))
        return wrong_type(p);
    for (; p->key->choices[count] && count < MAX_KEYS; count++) {
        names[count] = kilter_str_c(p->key->choices[count]);
        if (kilter_str_eq(names[count], kilter_text(p->value))) {
            *ret = (int)count;
            return true;
        }
    }

    struct kilter_buf list = KILTER_BUF_INIT(1024);
    for (size_t i = 0; i < count; i++)
        kilter_buf_printf(&list, "%s%s", i == 0 ? "" : i + 1 == count ? " or " : ", ", p->key->choices[i]);
    kilter_buf_char(&list, '\0');
    struct kilter_str near = kilter_nearest(kilter_text(p->value), names, count);
    const char *hint = near.ptr ? kilter_arena_printf(p->report->arena, "did you mean \"%s\"?", near.ptr) : NULL;
    kl_report_add(p->report, KILTER_ERROR, "manifest.type", kilter_origin_of(p->value), hint,
                  "%s: \"%s\" is \"%.*s\"; expected %s", p->what, p->key->name,
                  KILTER_STR_ARG(kilter_str_sub(kilter_text(p->value), 0, 100)), list.ptr ? list.ptr : "");
    kilter_buf_release(&list);
    return false;
}

static bool take_mode(const struct place *p, uint32_t *ret)
{
    struct kilter_str text = kilter_text(p->value);
    uint32_t mode = 0;

    if (kilter_str_starts(text, KILTER_STR("0o")))
        text = kilter_str_sub(text, 2, text.len);
    if (!kl_value_is_text(p->value) || text.len < 3 || text.len > 5)
        return wrong_text(p);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '7')
            return wrong_text(p);
        mode = mode * 8 + (uint32_t)(text.ptr[i] - '0');
    }
    if (mode > 0777)
        return wrong_text(p);
    *ret = mode;
    return true;
}

static bool take_limit(const struct place *p, struct kl_delete_limit *ret)
{
    struct kilter_str text = kilter_text(p->value);
    bool percent = text.len > 0 && text.ptr[text.len - 1] == '%';
    int64_t n = 0;

    if (!kl_value_is_text(p->value) ||
        !read_count(kilter_str_sub(text, 0, text.len - percent), percent ? 100 : INT32_MAX, &n))
        return wrong_text(p);
    *ret = (struct kl_delete_limit){ percent, (uint32_t)n };
    return true;
}

static bool take_secret(const struct place *p, struct kl_secret_ref *ret)
{
    char what[400];
    snprintf(what, sizeof what, "%s: \"%s\"", p->what, p->key->name);
    int rc = kl_secret_read(p->value, what, ret, p->report->scratch);
    kl_report_flush(p->report);
    if (rc == 0)
        ret->value = kilter_arena_str(p->report->arena, ret->value);
    if (rc == 0 && !ret->value.ptr)
        kl_report_nomem(p->report);
    return rc == 0;
}

/* --- values that hold others ------------------------------------------------------- */
static bool check_strings(const struct place *p)
{
    bool sound = true;

    if (kl_value_is_null(p->value) || kilter_type_of(p->value) == KILTER_MAP)
        return wrong_type(p);
    for (size_t i = 0; i < kl_strings_count(p->value); i++) {
        struct place item = *p;
        struct kilter_str text;
        item.value = kl_strings_at(p->value, i);
        if (kl_value_is_text(item.value)) {
            sound = take_string(&item, &text) && sound;
            continue;
        }
        kl_report_add(p->report, KILTER_ERROR, "manifest.type", kilter_origin_of(item.value), NULL,
                      "%s: an item of \"%s\" is %s; expected a string", p->what, p->key->name,
                      kl_value_is(item.value));
        sound = false;
    }
    return sound;
}

static bool check_map(const struct place *p)
{
    return kl_value_is_null(p->value) || kilter_type_of(p->value) == KILTER_MAP || wrong_type(p);
}

static bool check_variables(const struct place *p)
{
    bool sound = true;

    if (!check_map(p))
        return false;
    for (size_t i = 0; i < kilter_map_size(p->value); i++) {
        const struct kilter_value *item = kilter_map_at(p->value, i);
        if (kl_value_is_text(item))
            continue;
        kl_report_add(p->report, KILTER_ERROR, "manifest.type", kilter_origin_of(item), NULL,
                      "%s: \"%.*s\" in \"%s\" is %s; expected a string", p->what,
                      KILTER_STR_ARG(kilter_str_sub(kilter_text(kilter_map_key_at(p->value, i)), 0, 100)),
                      p->key->name, kl_value_is(item));
        sound = false;
    }
    return sound;
}

/* What is inside is filled by its owner, one by one; here only that it has the shape. */
static bool check_shape(const struct place *p)
{
    enum kilter_type type = kilter_type_of(p->value);

    switch (p->key->type) {
    case KL_KEY_STRINGS:
        return check_strings(p);
    case KL_KEY_VARIABLES:
        return check_variables(p);
    case KL_KEY_MAP:
    case KL_KEY_MAP_OF:
        return check_map(p);
    case KL_KEY_LIST_OF:
        return kl_value_is_null(p->value) || type == KILTER_LIST || wrong_type(p);
    case KL_KEY_STRING_OR_TABLE:
        return kl_value_is_text(p->value) || type == KILTER_MAP || wrong_type(p);
    case KL_KEY_STRING_OR_VARIABLES:
        return kl_value_is_text(p->value) || (type == KILTER_MAP && check_variables(p)) || wrong_type(p);
    default: {
        bool on;
        return type == KILTER_MAP ? check_variables(p) : take_bool(p, &on);
    }
    }
}

static bool take(const struct place *p, bool require, void *member)
{
    int64_t number;
    char what[400];

    switch (p->key->type) {
    case KL_KEY_STRING:
        return take_string(p, member);
    case KL_KEY_BOOL:
        return take_bool(p, member);
    case KL_KEY_ENUM:
        return take_enum(p, member);
    case KL_KEY_MODE:
        return take_mode(p, member);
    case KL_KEY_SECRET:
        return take_secret(p, member);
    case KL_KEY_LIMIT:
        return take_limit(p, member);
    case KL_KEY_COUNT:
        if (!take_number(p, &number))
            return false;
        *(uint32_t *)member = (uint32_t)number;
        return true;
    case KL_KEY_DURATION:
    case KL_KEY_SIZE:
        return take_number(p, member);
    case KL_KEY_TABLE:
        snprintf(what, sizeof what, "\"%s\" of %s", p->key->name, p->what);
        return kl_table_fill(p->report, p->key->table, p->value, what, require, member);
    default:
        if (!check_shape(p))
            return false;
        *(const struct kilter_value **)member = kl_value_is_null(p->value) ? NULL : p->value;
        return true;
    }
}

/* --- the table ----------------------------------------------------------------------- */
static bool check_unknown(struct kl_report *report, const struct kl_table *table, const struct kilter_value *map,
                          const char *what)
{
    struct kilter_str names[MAX_KEYS];
    bool sound = true;

    for (size_t i = 0; i < table->count && i < MAX_KEYS; i++)
        names[i] = kilter_str_c(table->keys[i].name);
    for (size_t i = 0; i < kilter_map_size(map) && !(table->flags & KL_TABLE_OPEN); i++) {
        const struct kilter_value *key = kilter_map_key_at(map, i);
        if (kl_table_key(table, kilter_text(key)))
            continue;
        kl_report_add(report, KILTER_ERROR, "manifest.unknown-key", kilter_origin_of(key),
                      kl_report_nearest(report, kilter_text(key), names, table->count, "keys here"),
                      "unknown key \"%.*s\" in %s", KILTER_STR_ARG(kilter_str_sub(kilter_text(key), 0, 100)), what);
        sound = false;
    }
    return sound;
}

/* "branch, tag and commit" */
static void list_keys(const struct kl_table *table, struct kilter_buf *out)
{
    for (size_t i = 0; i < table->count; i++)
        kilter_buf_printf(out, "%s%s", i == 0 ? "" : i + 1 == table->count ? " and " : ", ", table->keys[i].name);
}

static bool check_exactly_one(struct kl_report *report, const struct kl_table *table,
                              const struct kilter_value *map, const char *what)
{
    struct kilter_buf keys = KILTER_BUF_INIT(1024);
    size_t count = 0;

    for (size_t i = 0; i < table->count; i++)
        count += kilter_get(map, table->keys[i].name) != NULL;
    if (count == 1)
        return true;
    list_keys(table, &keys);
    kl_report_add(report, KILTER_ERROR, "manifest.exactly-one", kilter_origin_of(map), NULL,
                  "%s takes exactly one of %s; it has %s", what, keys.ptr ? keys.ptr : "", count ? "more" : "none");
    kilter_buf_release(&keys);
    return false;
}

bool kl_table_fill(struct kl_report *report, const struct kl_table *table, const struct kilter_value *map,
                   const char *what, bool require, void *ret_struct)
{
    if (!kl_value_is_null(map) && kilter_type_of(map) != KILTER_MAP) {
        kl_report_add(report, KILTER_ERROR, "manifest.type", kilter_origin_of(map), NULL,
                      "%s is %s; expected a map", what, kl_value_is(map));
        return false;
    }
    bool sound = check_unknown(report, table, map, what);
    if (require && table->flags & KL_TABLE_EXACTLY_ONE)
        sound = check_exactly_one(report, table, map, what) && sound;
    for (size_t i = 0; i < table->count; i++) {
        const struct kl_key *key = &table->keys[i];
        struct place p = { report, key, kilter_get(map, key->name), what };
        if (p.value &&
            !(kl_value_is_null(p.value) && key->type > KL_KEY_TABLE && !(key->flags & KL_KEY_REQUIRED))) {
            sound = take(&p, require, (char *)ret_struct + key->offset) && sound;
        } else if (require && key->flags & KL_KEY_REQUIRED) {
            kl_report_add(report, KILTER_ERROR, "manifest.required", kilter_origin_of(map), NULL,
                          "%s has no \"%s\": %s", what, key->name, key->summary);
            sound = false;
        }
    }
    return sound;
}

/* Defaults are texts of ours, read by the code that reads users' texts. */
static void take_default(const struct kl_key *key, struct kl_report *report, void *member)
{
    struct kilter_value *value = key->type == KL_KEY_BOOL
                                     ? kilter_plain(report->arena, kilter_str_c(key->default_text))
                                     : kilter_string_c(report->arena, key->default_text);
    struct place p = { report, key, value, "default" };
    if (key->type == KL_KEY_STRING)
        *(struct kilter_str *)member = kilter_str_c(key->default_text);
    else if (!value || !take(&p, false, member))
        kl_report_nomem(report);
}

void kl_table_defaults(struct kl_report *report, const struct kl_table *table, void *ret_struct)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct kl_key *key = &table->keys[i];
        void *member = (char *)ret_struct + key->offset;
        if (key->type == KL_KEY_TABLE)
            kl_table_defaults(report, key->table, member);
        else if (key->default_text && key->type < KL_KEY_TABLE)
            take_default(key, report, member);
    }
}
