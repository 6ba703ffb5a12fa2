/* SPDX-License-Identifier: Apache-2.0 */
#include "http/internal.h"

#include <stdlib.h>

int kl_http_route(struct kl_http *http, const char *method, const char *pattern, kl_http_handler handler,
                  void *data)
{
    struct kl_route *routes = reallocarray(http->routes, http->route_count + 1, sizeof(*routes));
    if (!routes)
        return KILTER_E_NOMEM;
    http->routes = routes;
    routes[http->route_count++] = (struct kl_route){ method, pattern, handler, data };
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct kilter_str kl_uri_decode(struct kilter_arena *arena, struct kilter_str text, bool plus_is_blank)
{
    char *out = kilter_arena_alloc(arena, text.len + 1);
    size_t len = 0;
    if (!out)
        return KILTER_STR_NONE;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text.ptr[i + 2]) : -1;
            if (low < 0 || (high == 0 && low == 0))
                return KILTER_STR_NONE;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        out[len++] = c;
    }
    return kilter_str_n(out, len);
}

/* The segment that begins at *at; moves *at behind the slash after it. False at the end. */
static bool next_segment(struct kilter_str path, size_t *at, struct kilter_str *ret)
{
    if (*at > path.len)
        return false;
    ptrdiff_t slash = kilter_str_find(path, '/', *at);
    size_t end = slash < 0 ? path.len : (size_t)slash;
    *ret = kilter_str_sub(path, *at, end - *at);
    *at = end + 1;
    return true;
}

static bool is_parameter(struct kilter_str segment)
{
    return segment.len > 2 && segment.ptr[0] == '{' && segment.ptr[segment.len - 1] == '}';
}

/* How well a pattern fits a path: 0 not at all, else greater the earlier its texts match. */
static uint32_t match(const char *pattern_text, struct kilter_str path)
{
    struct kilter_str pattern = kilter_str_c(pattern_text), want, have;
    size_t want_at = 1, have_at = 1;
    uint32_t score = 1;
    for (int i = 0; i < KL_ROUTE_SEGMENTS; i++) {
        bool more = next_segment(pattern, &want_at, &want);
        if (more != next_segment(path, &have_at, &have))
            return 0;
        if (!more)
            return score;
        if (is_parameter(want)) {
            if (have.len == 0)
                return 0;
        } else if (kilter_str_eq(want, have)) {
            score |= UINT32_C(1) << (31 - i);
        } else {
            return 0;
        }
    }
    return 0;
}

static bool fill_parameters(struct kl_request *request)
{
    struct kilter_str pattern = kilter_str_c(request->route->pattern), want, have;
    size_t want_at = 1, have_at = 1;
    while (next_segment(pattern, &want_at, &want) && next_segment(request->path, &have_at, &have)) {
        if (!is_parameter(want))
            continue;
        struct kl_text_pair *pair = kilter_arena_alloc(request->arena, sizeof(*pair));
        if (!pair)
            return false;
        pair->name = kilter_str_sub(want, 1, want.len - 2);
        pair->value = kl_uri_decode(request->arena, have, false);
        pair->next = request->params;
        request->params = pair;
        if (!pair->value.ptr || !kilter_str_is_utf8(pair->value))
            return false;
    }
    return true;
}

static bool method_fits(const struct kl_route *route, struct kilter_str method)
{
    return kilter_str_eq_c(method, route->method) ||
           (kilter_str_eq_c(method, "HEAD") && strcmp(route->method, "GET") == 0);
}

void kl_route_find(struct kl_http *http, struct kl_request *request)
{
    uint32_t best = 0;
    struct kilter_buf allowed = KILTER_BUF_INIT(256);
    for (size_t i = 0; i < http->route_count; i++) {
        const struct kl_route *route = &http->routes[i];
        uint32_t score = match(route->pattern, request->path);
        if (score == 0)
            continue;
        kilter_buf_printf(&allowed, "%s%s", allowed.len ? ", " : "", route->method);
        if (score > best && method_fits(route, request->method)) {
            best = score;
            request->route = route;
        }
    }
    if (request->route && !fill_parameters(request)) {
        request->route = NULL;
        kl_request_error(request, 400, "badRequest", NULL, NULL, "the path is not well-formed: %.*s",
                         KILTER_STR_ARG(request->path));
    } else if (!request->route && allowed.len) {
        kl_request_set_header(request, "Allow", allowed.ptr);
        kl_request_error(request, 405, "methodNotAllowed", NULL, NULL, "%.*s takes %s, not %.*s",
                         KILTER_STR_ARG(request->path), allowed.ptr, KILTER_STR_ARG(request->method));
    } else if (!request->route) {
        kl_request_error(request, 404, "notFound",
                         "the API is described in openapi.yaml; its paths begin with /api/v1/", NULL,
                         "there is nothing at %.*s", KILTER_STR_ARG(request->path));
    }
    kilter_buf_release(&allowed);
}
