/* SPDX-License-Identifier: Apache-2.0 */
#include "http/internal.h"

#include <stdio.h>
#include <stdlib.h>

int kl_request_set_header(struct kl_request *request, const char *name, const char *value)
{
    struct kl_text_pair *pair = kilter_arena_alloc(request->arena, sizeof(*pair));
    if (!pair)
        return KILTER_E_NOMEM;
    pair->name = kilter_arena_str(request->arena, kilter_str_c(name));
    pair->value = kilter_arena_str(request->arena, kilter_str_c(value));
    pair->next = request->headers;
    if (!pair->name.ptr || !pair->value.ptr)
        return KILTER_E_NOMEM;
    request->headers = pair;
    return 0;
}

static void add_headers(struct kl_request *request, struct MHD_Response *response, const char *content_type)
{
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    for (const struct kl_text_pair *pair = request->headers; pair; pair = pair->next)
        MHD_add_response_header(response, pair->name.ptr, pair->value.ptr);
}

/* Hands the answer to libmicrohttpd; NULL closes the connection instead. */
static void answer(struct kl_request *request, unsigned status, struct MHD_Response *response)
{
    if (request->response || request->dead) {
        if (response)
            MHD_destroy_response(response);
        return;
    }
    request->status = status;
    request->response = response;
    request->dead = !response;
    kl_request_wake(request);
}

void kl_request_respond(struct kl_request *request, unsigned status, const char *content_type,
                        struct kilter_str body)
{
    void *bytes = body.len ? (void *)(uintptr_t)body.ptr : (void *)(uintptr_t) "";
    struct MHD_Response *response = MHD_create_response_from_buffer(body.len, bytes, MHD_RESPMEM_MUST_COPY);
    if (response)
        add_headers(request, response, content_type);
    kl_request_let_go(request);
    answer(request, status, response);
}

static const char memory_short[] =
    "{\"error\":{\"code\":\"internal\",\"message\":\"the answer does not fit into memory\"}}\n";

/* Takes the buffer's bytes over. */
static void respond_json(struct kl_request *request, unsigned status, struct kilter_buf *json)
{
    struct MHD_Response *response = NULL;
    if (!json->failed && kilter_buf_char(json, '\n') == 0)
        response = MHD_create_response_from_buffer(json->len, json->ptr, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        kilter_buf_release(json);
        kl_request_respond(request, 500, "application/json", kilter_str_c(memory_short));
        return;
    }
    add_headers(request, response, "application/json");
    kl_request_let_go(request);
    answer(request, status, response);
}

void kl_request_json(struct kl_request *request, unsigned status, const struct kilter_value *value)
{
    struct kilter_buf json = KILTER_BUF_INIT(256u << 20);
    int r = value ? kilter_json_write(&json, value, KILTER_SCHEMA_JSON, KILTER_WRITE_CONTENT) : KILTER_E_NOMEM;
    if (r < 0)
        json.failed = r;
    respond_json(request, status, &json);
}

static int set_text(struct kilter_arena *arena, struct kilter_value *map, const char *key, struct kilter_str text)
{
    return text.len ? kilter_set(arena, map, key, kilter_string(arena, text)) : 0;
}

static struct kilter_value *diag_value(struct kilter_arena *arena, const struct kilter_diag *diag)
{
    static const char *const severities[] = { "error", "error", "warning", "note" };
    struct kilter_value *map = kilter_map(arena);
    unsigned severity = (unsigned)diag->severity < 4 ? (unsigned)diag->severity : 0;
    if (!map || kilter_set(arena, map, "severity", kilter_string_c(arena, severities[severity])) < 0 ||
        set_text(arena, map, "code", diag->code) < 0 || set_text(arena, map, "file", diag->origin.file) < 0)
        return NULL;
    if (diag->origin.line && kilter_set(arena, map, "line", kilter_uint(arena, diag->origin.line)) < 0)
        return NULL;
    if (diag->origin.column && kilter_set(arena, map, "column", kilter_uint(arena, diag->origin.column)) < 0)
        return NULL;
    if (set_text(arena, map, "message", diag->message) < 0 || set_text(arena, map, "hint", diag->hint) < 0)
        return NULL;
    return map;
}

struct kilter_value *kl_http_diags_value(struct kilter_arena *arena, const struct kilter_diags *diags)
{
    struct kilter_value *list = kilter_list(arena);
    size_t count = diags ? kilter_diags_count(diags) : 0;
    for (size_t i = 0; list && i < count; i++) {
        struct kilter_value *item = diag_value(arena, kilter_diags_at(diags, i));
        if (!item || kilter_list_add(arena, list, item) < 0)
            list = NULL;
    }
    return list;
}

void kl_request_error(struct kl_request *request, unsigned status, const char *code, const char *hint,
                      const struct kilter_diags *diags, const char *format, ...)
{
    struct kilter_arena *arena = request->arena;
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);

    struct kilter_value *map = kilter_map(arena), *error = kilter_map(arena);
    int r = map && error ? 0 : KILTER_E_NOMEM;
    if (r == 0)
        r = kilter_set(arena, error, "code", kilter_string_c(arena, code));
    if (r == 0)
        r = kilter_set(arena, error, "message", kilter_string_c(arena, message));
    if (r == 0 && hint)
        r = kilter_set(arena, error, "hint", kilter_string_c(arena, hint));
    if (r == 0 && diags && kilter_diags_count(diags))
        r = kilter_set(arena, error, "diagnostics", kl_http_diags_value(arena, diags));
    if (r == 0)
        r = kilter_set(arena, map, "error", error);
    kl_request_json(request, status, r == 0 ? map : NULL);
}

/* --- streams ------------------------------------------------------------------ */

int kl_request_stream_begin(struct kl_request *request, unsigned status, const char *content_type,
                            struct kilter_error *err)
{
    if (!request->gone)
        return kilter_error_set(err, KILTER_E_INTERNAL, "a stream without a gone callback");
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 32768, kl_request_stream_read, request, NULL);
    if (!response)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory for a stream");
    add_headers(request, response, content_type);
    request->streaming = true;
    request->unsent.max = request->http->options.max_unsent;
    answer(request, status, response);
    return 0;
}

/* Only when that moves less than it frees, so that a slow reader does not cost quadratic time. */
static void forget_sent(struct kl_request *request)
{
    struct kilter_buf *unsent = &request->unsent;
    if (request->sent == 0 || request->sent < unsent->len / 2)
        return;
    memmove(unsent->ptr, unsent->ptr + request->sent, unsent->len - request->sent);
    unsent->len -= request->sent;
    request->sent = 0;
}

int kl_request_stream_write(struct kl_request *request, struct kilter_str bytes)
{
    forget_sent(request);
    int r = kilter_buf_str(&request->unsent, bytes);
    if (r == 0 && bytes.len)
        kl_request_wake(request);
    return r;
}

int kl_request_stream_json(struct kl_request *request, const struct kilter_value *value)
{
    forget_sent(request);
    size_t before = request->unsent.len;
    int r = kilter_json_write(&request->unsent, value, KILTER_SCHEMA_JSON, KILTER_WRITE_CONTENT);
    if (r == 0)
        r = kilter_buf_char(&request->unsent, '\n');
    if (r < 0)
        request->unsent.len = before; /* never half a line */
    kl_request_wake(request);
    return r;
}

void kl_request_stream_end(struct kl_request *request)
{
    request->ended = true;
    kl_request_let_go(request);
    kl_request_wake(request);
}

ssize_t kl_request_stream_read(void *data, uint64_t position, char *bytes, size_t max)
{
    struct kl_request *request = data;
    size_t left = request->unsent.len - request->sent;
    (void)position;
    if (request->dead)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (left == 0 && request->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (left == 0) {
        kl_request_sleep(request);
        return 0;
    }
    if (left > max)
        left = max;
    memcpy(bytes, request->unsent.ptr + request->sent, left);
    request->sent += left;
    if (request->sent == request->unsent.len) {
        request->sent = 0;
        request->unsent.len = 0;
    }
    return (ssize_t)left;
}
