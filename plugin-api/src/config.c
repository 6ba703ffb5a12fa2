/* SPDX-License-Identifier: Apache-2.0 */
/* Options of plugins: checked and filled by the plugin's table, durations, sizes, and the log of a call. */
#include <kilter/plugin.h>
#include <kilter/yaml.h>

#include <inttypes.h>
#include <stdio.h>

#define MAX_OPTIONS 256u

/* --- durations and sizes ------------------------------------------------------- */
static const struct unit {
    const char *text;
    int64_t factor;
} durations[] = {
    /* The longer name of two that begin alike comes first. */
    { "ns", 1 },
    { "us", 1000 },
    { "ms", 1000 * 1000 },
    { "s", INT64_C(1000) * 1000 * 1000 },
    { "m", INT64_C(60) * 1000 * 1000 * 1000 },
    { "h", INT64_C(3600) * 1000 * 1000 * 1000 },
    { "d", INT64_C(86400) * 1000 * 1000 * 1000 },
}, sizes[] = {
    { "Ki", INT64_C(1) << 10 }, { "Mi", INT64_C(1) << 20 }, { "Gi", INT64_C(1) << 30 }, { "Ti", INT64_C(1) << 40 },
    { "K", 1000 },              { "M", 1000 * 1000 },       { "G", 1000 * 1000 * 1000 },
    { "T", INT64_C(1000) * 1000 * 1000 * 1000 },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct unit *find_unit(const struct unit *units, size_t count, struct kilter_str text)
{
    for (size_t i = 0; i < count; i++)
        if (kilter_str_starts(text, kilter_str_c(units[i].text)))
            return &units[i];
    return NULL;
}

/* The digits at the front of a text; moves it past them. */
static int take_digits(struct kilter_str *text, int64_t *ret)
{
    int64_t number = 0;
    size_t n = 0;
    for (; n < text->len && text->ptr[n] >= '0' && text->ptr[n] <= '9'; n++)
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, text->ptr[n] - '0', &number))
            return KILTER_E_INVALID;
    if (n == 0)
        return KILTER_E_INVALID;
    *text = kilter_str_sub(*text, n, SIZE_MAX);
    *ret = number;
    return 0;
}

int kilter_parse_duration(struct kilter_str text, int64_t *ret_ns)
{
    int64_t total = 0;
    if (kilter_str_eq_c(text, "0")) {
        *ret_ns = 0;
        return 0;
    }
    if (text.len == 0)
        return KILTER_E_INVALID;
    while (text.len) {
        int64_t number;
        if (take_digits(&text, &number) < 0)
            return KILTER_E_INVALID;
        const struct unit *unit = find_unit(durations, COUNT(durations), text);
        if (!unit || __builtin_mul_overflow(number, unit->factor, &number) ||
            __builtin_add_overflow(total, number, &total))
            return KILTER_E_INVALID;
        text = kilter_str_sub(text, strlen(unit->text), SIZE_MAX);
    }
    *ret_ns = total;
    return 0;
}

const char *kilter_format_duration(int64_t ns, char text[32])
{
    /* The longest one, of INT64_MAX, has 31 characters; with a sign in front it would not fit, and the
     * nanoseconds of a negative one of that size are left out. */
    uint64_t rest = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    size_t len = 0;
    if (ns == 0)
        return strcpy(text, "0s");
    if (ns < 0)
        text[len++] = '-';
    for (size_t i = COUNT(durations); i-- > 0;) {
        uint64_t factor = (uint64_t)durations[i].factor;
        char part[32];
        int n = snprintf(part, sizeof part, "%" PRIu64 "%s", rest / factor, durations[i].text);
        if (rest / factor == 0 || len + (size_t)n >= 32)
            continue;
        memcpy(text + len, part, (size_t)n);
        len += (size_t)n;
        rest %= factor;
    }
    text[len] = '\0';
    return text;
}

int kilter_parse_size(struct kilter_str text, int64_t *ret_bytes)
{
    int64_t number;
    if (take_digits(&text, &number) < 0)
        return KILTER_E_INVALID;
    if (text.len) {
        const struct unit *unit = find_unit(sizes, COUNT(sizes), text);
        if (!unit || strlen(unit->text) != text.len || __builtin_mul_overflow(number, unit->factor, &number))
            return KILTER_E_INVALID;
    }
    *ret_bytes = number;
    return 0;
}

/* --- one option ------------------------------------------------------------------ */
/* Work on one table. `fill` is NULL while only checking; `arena` holds what is made on the way. */
struct config {
    const struct kilter_config_schema *schema;
    const char *what;
    struct kilter_arena *arena;
    struct kilter_diags *diags;
    char *fill;
    int rc; /* the worst so far */
};

/* A row as this libkilter knows it; what the plugin's author did not know is zero. */
static struct kilter_option option_at(const struct kilter_config_schema *schema, size_t index)
{
    struct kilter_option option;
    size_t size = schema->option_size < sizeof option ? schema->option_size : sizeof option;
    memset(&option, 0, sizeof option);
    memcpy(&option, (const char *)schema->options + index * schema->option_size, size);
    return option;
}

static const struct {
    size_t size, align;
    const char *expected;
} members[] = {
    [KILTER_OPTION_STRING] = { sizeof(struct kilter_str), _Alignof(struct kilter_str), "a string" },
    [KILTER_OPTION_BOOL] = { sizeof(bool), _Alignof(bool), "true or false" },
    [KILTER_OPTION_INT] = { sizeof(int64_t), _Alignof(int64_t), "a whole number" },
    [KILTER_OPTION_DURATION] = { sizeof(int64_t), _Alignof(int64_t), "a duration such as 90s or 1h30m" },
    [KILTER_OPTION_SIZE] = { sizeof(int64_t), _Alignof(int64_t), "a size such as 64Ki or 10M" },
    [KILTER_OPTION_ENUM] = { sizeof(int32_t), _Alignof(int32_t), "one of its choices" },
    [KILTER_OPTION_MODE] = { sizeof(uint32_t), _Alignof(uint32_t), "permission bits in octal such as 0644" },
    [KILTER_OPTION_LIST] = { sizeof(struct kilter_strs), _Alignof(struct kilter_strs), "a list of strings" },
    [KILTER_OPTION_MAP] = { sizeof(struct kilter_pairs), _Alignof(struct kilter_pairs), "a map of strings" },
    [KILTER_OPTION_SECRET] = { sizeof(struct kilter_str), _Alignof(struct kilter_str),
                               "a reference to a secret: {file: PATH}, {credential: NAME} or {env: NAME}" },
    [KILTER_OPTION_VALUE] = { sizeof(const struct kilter_value *), _Alignof(const struct kilter_value *),
                              "a value" },
};

static int complain(struct config *c, const char *code, struct kilter_origin origin, const char *hint,
                    const char *format, ...) KILTER_PRINTF(5, 6);

static int complain(struct config *c, const char *code, struct kilter_origin origin, const char *hint,
                    const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    kilter_diag_add(c->diags, KILTER_ERROR, code, origin, hint, "%s", message);
    if (c->rc == 0)
        c->rc = KILTER_E_INVALID;
    return KILTER_E_INVALID;
}

static int out_of_memory(struct config *c)
{
    c->rc = KILTER_E_NOMEM;
    return KILTER_E_NOMEM;
}

static int wrong(struct config *c, const struct kilter_option *option, const struct kilter_value *value)
{
    static const char *const found[] = {
        [KILTER_LIST] = "a list", [KILTER_MAP] = "a map", [KILTER_CONTENT] = "binary content"
    };
    const char *expected = members[option->type].expected;
    struct kilter_origin origin = kilter_origin_of(value);
    if (kilter_type_of(value) != KILTER_SCALAR)
        return complain(c, "config.type", origin, NULL, "%s \"%s\": expected %s, found %s", c->what, option->name,
                        expected, found[kilter_type_of(value)]);
    if (option->type == KILTER_OPTION_SECRET || kilter_marks_of(value) & KILTER_VALUE_SECRET)
        return complain(c, "config.type", origin, NULL, "%s \"%s\": expected %s", c->what, option->name, expected);
    struct kilter_str text = kilter_str_sub(kilter_text(value), 0, 100);
    return complain(c, "config.type", origin, NULL, "%s \"%s\": expected %s, found \"%.*s\"", c->what, option->name,
                    expected, KILTER_STR_ARG(text));
}

static const char *limit_text(enum kilter_option_type type, int64_t number, char text[32])
{
    if (type == KILTER_OPTION_DURATION)
        return kilter_format_duration(number, text);
    snprintf(text, 32, "%" PRId64, number);
    return text;
}

static int check_range(struct config *c, const struct kilter_option *option, const struct kilter_value *value,
                       int64_t number)
{
    char low[32], high[32];
    if ((option->minimum == 0 && option->maximum == 0) || (number >= option->minimum && number <= option->maximum))
        return 0;
    return complain(c, "config.range", kilter_origin_of(value), NULL, "%s \"%s\": %.*s is not within %s and %s",
                    c->what, option->name, KILTER_STR_ARG(kilter_text(value)),
                    limit_text(option->type, option->minimum, low),
                    limit_text(option->type, option->maximum, high));
}

static int parse_number(struct kilter_str text, int64_t *ret)
{
    bool negative = text.len && text.ptr[0] == '-';
    struct kilter_str digits = kilter_str_sub(text, negative, SIZE_MAX);
    if (take_digits(&digits, ret) < 0 || digits.len)
        return KILTER_E_INVALID;
    if (negative)
        *ret = -*ret;
    return 0;
}

static int parse_mode(struct kilter_str text, int64_t *ret)
{
    int64_t mode = 0;
    if (kilter_str_starts(text, KILTER_STR("0o")))
        text = kilter_str_sub(text, 2, SIZE_MAX);
    if (text.len == 0 || text.len > 5)
        return KILTER_E_INVALID;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '7')
            return KILTER_E_INVALID;
        mode = mode * 8 + (text.ptr[i] - '0');
    }
    *ret = mode;
    return mode <= 07777 ? 0 : KILTER_E_INVALID;
}

static int take_number(struct config *c, const struct kilter_option *option, const struct kilter_value *value,
                       int64_t *ret)
{
    struct kilter_str text = kilter_text(value);
    int rc = option->type == KILTER_OPTION_DURATION ? kilter_parse_duration(text, ret)
             : option->type == KILTER_OPTION_SIZE   ? kilter_parse_size(text, ret)
             : option->type == KILTER_OPTION_MODE   ? parse_mode(text, ret)
                                                    : parse_number(text, ret);
    return rc < 0 ? wrong(c, option, value) : check_range(c, option, value, *ret);
}

static int take_choice(struct config *c, const struct kilter_option *option, const struct kilter_value *value,
                       int32_t *ret)
{
    struct kilter_str names[64];
    char list[300] = "", hint[128];
    size_t count = 0, used = 0;
    for (; option->choices[count] && count < 64; count++) {
        names[count] = kilter_str_c(option->choices[count]);
        if (kilter_str_eq(kilter_text(value), names[count])) {
            *ret = (int32_t)count;
            return 0;
        }
        int n = snprintf(list + used, sizeof list - used, "%s%s", count ? ", " : "", option->choices[count]);
        used = used + (size_t)n < sizeof list ? used + (size_t)n : sizeof list - 1;
    }
    if (kilter_type_of(value) != KILTER_SCALAR)
        return wrong(c, option, value);

    struct kilter_str near = kilter_nearest(kilter_text(value), names, count);
    snprintf(hint, sizeof hint, "did you mean \"%.*s\"?", KILTER_STR_ARG(near));
    return complain(c, "config.choice", kilter_origin_of(value), near.ptr ? hint : NULL,
                    "%s \"%s\": \"%.*s\" is none of %s", c->what, option->name,
                    KILTER_STR_ARG(kilter_str_sub(kilter_text(value), 0, 100)), list);
}

static bool is_text(const struct kilter_value *value)
{
    return value && kilter_type_of(value) == KILTER_SCALAR && !kilter_is_null(value, KILTER_SCHEMA_KUBERNETES);
}

static int take_string(struct config *c, const struct kilter_option *option, const struct kilter_value *value,
                       struct kilter_str *ret)
{
    if (!is_text(value))
        return wrong(c, option, value);
    struct kilter_str text = kilter_text(value);
    if (option->flags & KILTER_OPTION_ABSOLUTE_PATH && (text.len == 0 || text.ptr[0] != '/'))
        return complain(c, "config.path", kilter_origin_of(value), NULL,
                        "%s \"%s\": expected an absolute path, found \"%.*s\"", c->what, option->name,
                        KILTER_STR_ARG(kilter_str_sub(text, 0, 200)));
    if (memchr(text.ptr, '\0', text.len))
        return complain(c, "config.type", kilter_origin_of(value), NULL, "%s \"%s\": a NUL byte is not allowed",
                        c->what, option->name);
    *ret = text;
    return 0;
}

static int take_strings(struct config *c, const struct kilter_option *option, const struct kilter_value *value,
                        struct kilter_strs *ret)
{
    bool one = kilter_type_of(value) == KILTER_SCALAR;
    if (!one && kilter_type_of(value) != KILTER_LIST)
        return wrong(c, option, value);
    size_t count = one ? 1 : kilter_list_size(value);
    struct kilter_str *items = kilter_arena_calloc(c->arena, count, sizeof *items);
    if (!items)
        return out_of_memory(c);
    int rc = 0;
    for (size_t i = 0; i < count; i++)
        if (take_string(c, option, one ? value : kilter_list_at(value, i), &items[i]) < 0)
            rc = KILTER_E_INVALID;
    *ret = (struct kilter_strs){ items, count };
    return rc;
}

static int take_pairs(struct config *c, const struct kilter_option *option, const struct kilter_value *value,
                      struct kilter_pairs *ret)
{
    if (kilter_type_of(value) != KILTER_MAP)
        return wrong(c, option, value);
    size_t count = kilter_map_size(value);
    struct kilter_pair *items = kilter_arena_calloc(c->arena, count, sizeof *items);
    if (!items)
        return out_of_memory(c);
    int rc = 0;
    for (size_t i = 0; i < count; i++) {
        items[i].key = kilter_text(kilter_map_key_at(value, i));
        if (take_string(c, option, kilter_map_at(value, i), &items[i].value) < 0)
            rc = KILTER_E_INVALID;
    }
    *ret = (struct kilter_pairs){ items, count };
    return rc;
}

/* A secret is a reference in the manifest, and a marked string once the core resolved it. */
static int take_secret(struct config *c, const struct kilter_option *option, const struct kilter_value *value,
                       struct kilter_str *ret)
{
    if (kilter_type_of(value) == KILTER_SCALAR) {
        if (kilter_marks_of(value) & KILTER_VALUE_SECRET)
            return take_string(c, option, value, ret);
        return complain(c, "config.secret", kilter_origin_of(value), "move it to a file and write {file: PATH}",
                        "%s \"%s\": a secret is not written here but referred to, by {file: PATH}, "
                        "{credential: NAME} or {env: NAME}",
                        c->what, option->name);
    }

    static const char *const places[] = { "file", "credential", "env" };
    size_t named = 0;
    for (size_t i = 0; i < COUNT(places); i++)
        named += is_text(kilter_get(value, places[i]));
    size_t others = kilter_map_size(value) - named - (kilter_get(value, "secret") != NULL);
    if (kilter_type_of(value) != KILTER_MAP || named != 1 || others)
        return wrong(c, option, value);
    if (c->fill)
        return complain(c, "config.secret", kilter_origin_of(value), NULL, "%s \"%s\": the secret was not resolved",
                        c->what, option->name);
    return 0;
}

/* Checks the value and, when filling, stores it in the member. */
static int take_option(struct config *c, const struct kilter_option *option, const struct kilter_value *value)
{
    union {
        struct kilter_str string;
        bool boolean;
        int64_t number;
        int32_t choice;
        uint32_t mode;
        struct kilter_strs strings;
        struct kilter_pairs pairs;
        const struct kilter_value *value;
    } member = { 0 };
    struct kilter_scalar scalar;
    int64_t mode = 0;
    int rc = 0;

    switch (option->type) {
    case KILTER_OPTION_STRING:
        rc = take_string(c, option, value, &member.string);
        break;
    case KILTER_OPTION_BOOL:
        if (kilter_resolve(value, KILTER_SCHEMA_KUBERNETES, &scalar) < 0 || scalar.kind != KILTER_BOOL)
            rc = wrong(c, option, value);
        else
            member.boolean = scalar.as.boolean;
        break;
    case KILTER_OPTION_INT:
    case KILTER_OPTION_DURATION:
    case KILTER_OPTION_SIZE:
        rc = take_number(c, option, value, &member.number);
        break;
    case KILTER_OPTION_MODE:
        rc = take_number(c, option, value, &mode);
        member.mode = (uint32_t)mode;
        break;
    case KILTER_OPTION_ENUM:
        rc = take_choice(c, option, value, &member.choice);
        break;
    case KILTER_OPTION_LIST:
        rc = take_strings(c, option, value, &member.strings);
        break;
    case KILTER_OPTION_MAP:
        rc = take_pairs(c, option, value, &member.pairs);
        break;
    case KILTER_OPTION_SECRET:
        rc = take_secret(c, option, value, &member.string);
        break;
    case KILTER_OPTION_VALUE:
        member.value = value;
        break;
    }
    if (rc == 0 && c->fill)
        memcpy(c->fill + option->offset, &member, members[option->type].size);
    return rc;
}

/* --- the table ---------------------------------------------------------------------- */
static int defect(struct config *c, const char *problem)
{
    return complain(c, "plugin.schema", (struct kilter_origin){ 0 }, "this is a defect of the plugin",
                    "%s: the plugin's table of options is wrong: %s", c->what, problem);
}

static int check_row(struct config *c, const struct kilter_option *option)
{
    if (!option->name || !option->name[0])
        return defect(c, "an option without a name");
    if (option->type < KILTER_OPTION_STRING || option->type > KILTER_OPTION_VALUE)
        return defect(c, "an option of a type that this libkilter does not know");
    if (option->type == KILTER_OPTION_ENUM && (!option->choices || !option->choices[0]))
        return defect(c, "an enumeration without choices");
    if (option->offset > c->schema->struct_size ||
        members[option->type].size > c->schema->struct_size - option->offset)
        return defect(c, "an option's member lies outside of the struct");
    if (option->offset % members[option->type].align)
        return defect(c, "an option's member is not aligned for its type");
    return 0;
}

static int check_table(struct config *c)
{
    const struct kilter_config_schema *schema = c->schema;
    if (schema->size < sizeof *schema || schema->option_size < offsetof(struct kilter_option, summary))
        return defect(c, "its sizes are too small");
    if (schema->option_count > MAX_OPTIONS || (schema->option_count && !schema->options))
        return defect(c, "it is too long, or absent");
    int rc = 0;
    for (size_t i = 0; i < schema->option_count; i++) {
        struct kilter_option option = option_at(schema, i);
        if (check_row(c, &option) < 0)
            rc = KILTER_E_INVALID;
    }
    return rc;
}

static void check_unknown(struct config *c, const struct kilter_value *key)
{
    struct kilter_str names[MAX_OPTIONS];
    char hint[160];
    for (size_t i = 0; i < c->schema->option_count; i++) {
        names[i] = kilter_str_c(option_at(c->schema, i).name);
        if (kilter_str_eq(names[i], kilter_text(key)))
            return;
    }
    struct kilter_str near = kilter_nearest(kilter_text(key), names, c->schema->option_count);
    snprintf(hint, sizeof hint, "did you mean \"%.*s\"?", KILTER_STR_ARG(near));
    complain(c, "config.unknown-key", kilter_origin_of(key), near.ptr ? hint : NULL, "unknown %s: \"%.*s\"",
             c->what, KILTER_STR_ARG(kilter_str_sub(kilter_text(key), 0, 100)));
}

/* The default is text as a user would write it; for the types that are not one scalar, YAML. */
static int take_default(struct config *c, const struct kilter_option *option)
{
    struct kilter_str text = kilter_str_c(option->default_text);
    struct kilter_value *value = NULL;
    if (option->type == KILTER_OPTION_LIST || option->type == KILTER_OPTION_MAP ||
        option->type == KILTER_OPTION_VALUE) {
        struct kilter_parse_options parse = KILTER_PARSE_OPTIONS_INIT;
        struct kilter_value *documents = NULL;
        if (kilter_yaml_read(c->arena, text, &parse, &documents, c->diags) == 0)
            value = kilter_list_at(documents, 0);
    } else if (option->type == KILTER_OPTION_BOOL) {
        value = kilter_plain(c->arena, text);
    } else {
        value = kilter_string(c->arena, text);
        if (value && option->type == KILTER_OPTION_SECRET)
            kilter_set_marks(value, KILTER_VALUE_SECRET);
    }
    return value && take_option(c, option, value) == 0 ? 0 : defect(c, "an option's default is wrong");
}

static void take_all(struct config *c, const struct kilter_value *config)
{
    for (size_t i = 0; i < c->schema->option_count; i++) {
        struct kilter_option option = option_at(c->schema, i);
        const struct kilter_value *value = kilter_get(config, option.name);
        if (!kilter_is_null(value, KILTER_SCHEMA_KUBERNETES))
            take_option(c, &option, value);
        else if (option.flags & KILTER_OPTION_REQUIRED)
            complain(c, "config.required", kilter_origin_of(value ? value : config), NULL,
                     "%s \"%s\" is required: %s", c->what, option.name,
                     option.summary ? option.summary : members[option.type].expected);
        else if (option.default_text)
            take_default(c, &option);
    }
}

static int run(struct config *c, const struct kilter_value *config)
{
    int rc = check_table(c);
    if (rc < 0)
        return rc;
    if (config && kilter_type_of(config) != KILTER_MAP) {
        if (!kilter_is_null(config, KILTER_SCHEMA_KUBERNETES))
            return complain(c, "config.type", kilter_origin_of(config), NULL, "%s: expected a map of options",
                            c->what);
        config = NULL;
    }
    for (size_t i = 0; i < kilter_map_size(config); i++)
        check_unknown(c, kilter_map_key_at(config, i));
    take_all(c, config);
    return c->rc;
}

int kilter_config_check(const struct kilter_config_schema *schema, const struct kilter_value *config,
                        const char *what, struct kilter_diags *diags)
{
    struct kilter_arena *arena = kilter_arena_new(0);
    if (!arena)
        return KILTER_E_NOMEM;
    struct config c = { .schema = schema, .what = what, .arena = arena, .diags = diags };
    int rc = run(&c, config);
    kilter_arena_free(arena);
    return rc;
}

int kilter_config_fill(const struct kilter_config_schema *schema, const struct kilter_value *config,
                       const char *what, struct kilter_arena *arena, void **ret_struct, struct kilter_diags *diags)
{
    struct config c = { .schema = schema, .what = what, .arena = arena, .diags = diags };
    c.fill = kilter_arena_alloc(arena, schema->struct_size);
    if (!c.fill)
        return KILTER_E_NOMEM;
    int rc = run(&c, config);
    if (rc == 0)
        *ret_struct = c.fill;
    return rc;
}

/* --- the log of a call ------------------------------------------------------------------ */
void kilter_log(struct kilter_call *call, enum kilter_log_level level, const char *format, ...)
{
    char message[4096];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (n < 0 || !call->host || !call->host->log)
        return;
    size_t len = (size_t)n < sizeof message ? (size_t)n : sizeof message - 1;
    call->host->log(call, level, kilter_str_n(message, len));
}
