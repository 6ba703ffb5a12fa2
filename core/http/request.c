/* SPDX-License-Identifier: Apache-2.0 */
#include "http/internal.h"

#include <inttypes.h>
#include <kilter/plugin.h>

struct kilter_arena *kl_request_arena(struct kl_request *request)
{
    return request->arena;
}

static struct kilter_str find_pair(const struct kl_text_pair *pairs, const char *name)
{
    for (; pairs; pairs = pairs->next)
        if (kilter_str_eq_c(pairs->name, name))
            return pairs->value;
    return KILTER_STR_NONE;
}

struct kilter_str kl_request_param(const struct kl_request *request, const char *name)
{
    return find_pair(request->params, name);
}

struct kilter_str kl_request_query(const struct kl_request *request, const char *name)
{
    return find_pair(request->query, name);
}

struct kilter_str kl_request_header(struct kl_request *request, const char *name)
{
    return kilter_str_c(MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name));
}

struct kilter_str kl_request_body(const struct kl_request *request)
{
    return kilter_buf_view(&request->body);
}

struct kl_peer kl_request_peer(const struct kl_request *request)
{
    return request->peer;
}

/* "a=1&b" as pairs, the last first, so that a look-up finds the last one. */
static bool parse_query(struct kl_request *request, struct kilter_str query)
{
    size_t at = 0;
    while (at < query.len) {
        ptrdiff_t and = kilter_str_find(query, '&', at);
        size_t end = and < 0 ? query.len : (size_t) and;
        struct kilter_str part = kilter_str_sub(query, at, end - at);
        at = end + 1;
        if (part.len == 0)
            continue;
        ptrdiff_t equals = kilter_str_find(part, '=', 0);
        size_t name_len = equals < 0 ? part.len : (size_t)equals;
        struct kl_text_pair *pair = kilter_arena_alloc(request->arena, sizeof(*pair));
        if (!pair)
            return false;
        pair->name = kl_uri_decode(request->arena, kilter_str_sub(part, 0, name_len), true);
        pair->value = kl_uri_decode(request->arena, kilter_str_sub(part, name_len + 1, part.len), true);
        if (!pair->name.ptr || !pair->value.ptr || !kilter_str_is_utf8(pair->value))
            return false;
        pair->next = request->query;
        request->query = pair;
    }
    return true;
}

bool kl_request_parse_uri(struct kl_request *request, const char *uri)
{
    struct kilter_str text = kilter_arena_str(request->arena, kilter_str_c(uri));
    if (!text.ptr || text.len == 0 || text.ptr[0] != '/')
        return false;
    ptrdiff_t mark = kilter_str_find(text, '?', 0);
    request->path = mark < 0 ? text : kilter_arena_str(request->arena, kilter_str_sub(text, 0, (size_t)mark));
    if (!request->path.ptr)
        return false;
    return mark < 0 || parse_query(request, kilter_str_sub(text, (size_t)mark + 1, text.len));
}

static int parse_int(struct kilter_str text, int64_t *ret)
{
    int64_t value = 0;
    size_t i = text.len && text.ptr[0] == '-' ? 1 : 0;
    if (i == text.len)
        return KILTER_E_INVALID;
    bool negative = i == 1;
    for (; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, text.ptr[i] - '0', &value))
            return KILTER_E_INVALID;
    }
    *ret = negative ? -value : value;
    return 0;
}

int kl_request_query_int(struct kl_request *request, const char *name, int64_t minimum, int64_t maximum,
                         int64_t otherwise, int64_t *ret)
{
    struct kilter_str text = kl_request_query(request, name);
    int64_t value = otherwise;
    if (text.ptr && (parse_int(text, &value) < 0 || value < minimum || value > maximum)) {
        kl_request_error(request, 400, "badRequest", NULL, NULL,
                         "%s is \"%.*s\"; it must be a whole number from %" PRId64 " to %" PRId64, name,
                         KILTER_STR_ARG(text), minimum, maximum);
        return KILTER_E_INVALID;
    }
    *ret = value;
    return 0;
}

int kl_request_query_bool(struct kl_request *request, const char *name, bool otherwise, bool *ret)
{
    struct kilter_str text = kl_request_query(request, name);
    if (!text.ptr) {
        *ret = otherwise;
    } else if (text.len == 0 || kilter_str_eq_c(text, "true") || kilter_str_eq_c(text, "1")) {
        *ret = true;
    } else if (kilter_str_eq_c(text, "false") || kilter_str_eq_c(text, "0")) {
        *ret = false;
    } else {
        kl_request_error(request, 400, "badRequest", NULL, NULL, "%s is \"%.*s\"; it must be true or false", name,
                         KILTER_STR_ARG(text));
        return KILTER_E_INVALID;
    }
    return 0;
}

int kl_request_query_duration(struct kl_request *request, const char *name, int64_t maximum, int64_t otherwise,
                              int64_t *ret)
{
    struct kilter_str text = kl_request_query(request, name);
    int64_t value = otherwise, seconds;
    char limit[32];
    bool fine = true;
    if (text.ptr && parse_int(text, &seconds) == 0)
        fine = seconds >= 0 && !__builtin_mul_overflow(seconds, INT64_C(1000000000), &value);
    else if (text.ptr)
        fine = kilter_parse_duration(text, &value) == 0;
    if (!fine || value < 0 || value > maximum) {
        kl_request_error(request, 400, "badRequest", NULL, NULL,
                         "%s is \"%.*s\"; it must be a duration like 90s, %s at most", name, KILTER_STR_ARG(text),
                         kilter_format_duration(maximum, limit));
        return KILTER_E_INVALID;
    }
    *ret = value;
    return 0;
}

/* Refuses the first key of `map` that is not in the list. */
static int check_keys(struct kl_request *request, const struct kilter_value *map, const char *const *known)
{
    struct kilter_str names[32];
    size_t count = 0;
    while (known[count] && count < sizeof(names) / sizeof(names[0])) {
        names[count] = kilter_str_c(known[count]);
        count++;
    }
    for (size_t i = 0; i < kilter_map_size(map); i++) {
        struct kilter_str key = kilter_text(kilter_map_key_at(map, i));
        size_t at = 0;
        while (at < count && !kilter_str_eq(names[at], key))
            at++;
        if (at < count)
            continue;
        struct kilter_str nearest = kilter_nearest(key, names, count);
        const char *hint =
            nearest.ptr ? kilter_arena_printf(request->arena, "did you mean \"%.*s\"?", KILTER_STR_ARG(nearest))
                        : NULL;
        kl_request_error(request, 400, "badRequest", hint, NULL, "unknown member \"%.*s\" in the body",
                         KILTER_STR_ARG(key));
        return KILTER_E_INVALID;
    }
    return 0;
}

int kl_request_body_json(struct kl_request *request, const char *const *known, struct kilter_value **ret)
{
    struct kilter_str body = kilter_str_trim(kl_request_body(request));
    struct kilter_value *value = NULL;
    int r = 0;
    if (body.len == 0) {
        value = kilter_map(request->arena);
    } else {
        struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
        options.file = KILTER_STR("request body");
        options.max_bytes = request->http->options.max_body;
        struct kilter_diags *diags = kilter_diags_new(10);
        r = kilter_json_read(request->arena, body, &options, &value, diags);
        if (r < 0)
            kl_request_error(request, 400, "badRequest", NULL, diags, "the body is not well-formed JSON");
        kilter_diags_free(diags);
    }
    if (r < 0)
        return KILTER_E_INVALID;
    if (!value || kilter_type_of(value) != KILTER_MAP) {
        kl_request_error(request, 400, "badRequest", NULL, NULL, "the body must be a JSON object");
        return KILTER_E_INVALID;
    }
    r = known ? check_keys(request, value, known) : 0;
    if (r == 0)
        *ret = value;
    return r;
}

void kl_request_on_gone(struct kl_request *request, void (*gone)(struct kl_request *request, void *data),
                        void *data)
{
    request->gone = gone;
    request->gone_data = data;
}
