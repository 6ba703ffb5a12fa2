/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/api.h"

#include "cli/private.h"
#include "cli/text.h"
#include "http/client.h"

#include <stdlib.h>

#define SILENCE_MS (15 * 60 * 1000) /* the daemon waits 10 minutes at most */

const char *kl_api_socket(const struct kl_cli *cli)
{
    const char *from_environment = getenv("KILTER_SOCKET");
    if (cli->private_daemon)
        return kl_private_socket(cli->private_daemon);
    if (cli->args.socket)
        return cli->args.socket;
    return from_environment && from_environment[0] ? from_environment : "/run/kilter/kilterd.sock";
}

static void complain_no_daemon(struct kl_cli *cli, const struct kilter_error *err)
{
    const char *socket = kl_api_socket(cli);
    if (err->code == KILTER_E_PERMISSION) {
        kl_cli_complain(cli, "you may not open the daemon's socket %s", socket);
        kl_cli_hint(cli, "use sudo, or join the socket's group (sudo adduser $USER kilter, then log in again)");
        return;
    }
    kl_cli_complain(cli, "no daemon listens at %s", socket);
    kl_cli_hint(cli, "start it with: systemctl start kilterd  (or: kilterd --manifest FILE)");
    kl_cli_hint(cli, "elsewhere? name its socket with --socket PATH or KILTER_SOCKET");
    kl_cli_hint(cli, "no daemon at all? plan and sync also take --manifest FILE");
}

static void complain_transport(struct kl_cli *cli, const struct kilter_error *err)
{
    if (err->code == KILTER_E_NOT_FOUND || err->code == KILTER_E_PERMISSION)
        complain_no_daemon(cli, err);
    else if (err->code != KILTER_E_CANCELLED) /* whoever interrupted it knows */
        kl_cli_complain(cli, "%s", err->message);
}

void kl_api_complain(struct kl_cli *cli, const struct kilter_value *error)
{
    struct kilter_str message = kilter_get_text(error, "message"), hint = kilter_get_text(error, "hint");
    kl_cli_complain(cli, "%.*s",
                    KILTER_STR_ARG(message.len ? message : KILTER_STR("the daemon refused, and did not say why")));
    kl_put_diagnostics(cli->err, kilter_get(error, "diagnostics"), "");
    if (hint.len)
        kl_cli_hint(cli, "%.*s", KILTER_STR_ARG(hint));
}

/* What the daemon sent as a value; complains when it is none or an error. */
static int read_answer(struct kl_cli *cli, const struct kl_client_response *response, struct kilter_value **ret)
{
    struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
    struct kilter_value *value = NULL;
    options.file = KILTER_STR("answer of the daemon");
    options.max_bytes = 256u << 20;
    struct kilter_str text = kilter_str_trim(kilter_buf_view(&response->body));
    /* The texts of a value may be views into what was read. */
    text = kilter_arena_str(cli->arena, text);
    int r = text.ptr ? kilter_json_read(cli->arena, text, &options, &value, NULL) : KILTER_E_NOMEM;
    if (r < 0) {
        kl_cli_complain(cli, "what listens at %s answered %u with something that is not JSON", kl_api_socket(cli),
                        response->status);
        kl_cli_hint(cli, "is it a kilterd of the same version?");
        return KILTER_E_INVALID;
    }
    if (response->status / 100 != 2) {
        kl_api_complain(cli, kilter_get(value, "error"));
        return response->status == 404   ? KILTER_E_NOT_FOUND
               : response->status == 409 ? KILTER_E_CONFLICT
                                         : KILTER_E_INVALID;
    }
    *ret = value;
    return 0;
}

static int call(struct kl_cli *cli, const char *method, const char *path, struct kilter_str body, bool quiet,
                struct kilter_value **ret)
{
    struct kl_client_request request = KL_CLIENT_REQUEST_INIT;
    struct kl_client_response response = KL_CLIENT_RESPONSE_INIT;
    struct kilter_error err = KILTER_ERROR_INIT;
    request.socket_path = kl_api_socket(cli);
    request.method = method;
    request.target = path;
    request.body = body;
    request.timeout_ms = SILENCE_MS;
    request.cancel_fd = cli->cancel_fd;
    int r =
        path ? kl_client_call(&request, &response, &err) : kilter_error_set(&err, KILTER_E_NOMEM, "out of memory");
    if (r < 0 && !(quiet && r == KILTER_E_NOT_FOUND))
        complain_transport(cli, &err);
    if (r == 0)
        r = read_answer(cli, &response, ret);
    kl_client_response_release(&response);
    return r;
}

int kl_api_get(struct kl_cli *cli, const char *path, struct kilter_value **ret)
{
    return call(cli, "GET", path, KILTER_STR_NONE, false, ret);
}

int kl_api_try(struct kl_cli *cli, const char *path, struct kilter_value **ret)
{
    return call(cli, "GET", path, KILTER_STR_NONE, true, ret);
}

int kl_api_post(struct kl_cli *cli, const char *path, const struct kilter_value *body, struct kilter_value **ret)
{
    struct kilter_buf json = KILTER_BUF_INIT(1u << 20);
    int r = body ? kilter_json_write(&json, body, KILTER_SCHEMA_JSON, 0) : kilter_buf_c(&json, "{}");
    if (r < 0)
        kl_cli_complain(cli, "the request is too long");
    else
        r = call(cli, "POST", path, kilter_buf_view(&json), false, ret);
    kilter_buf_release(&json);
    return r;
}

/* Adds the items of a page; false when out of memory. */
static bool add_items(struct kl_cli *cli, struct kilter_value *items, const struct kilter_value *page,
                      int64_t limit)
{
    const struct kilter_value *list = kilter_get(page, "items");
    for (size_t i = 0; i < kilter_list_size(list); i++) {
        if (limit >= 0 && (int64_t)kilter_list_size(items) >= limit)
            return true;
        if (kilter_list_add(cli->arena, items, kilter_list_at(list, i)) < 0)
            return false;
    }
    return true;
}

int kl_api_list(struct kl_cli *cli, const char *path, bool has_query, int64_t limit, struct kilter_value **ret)
{
    struct kilter_value *whole = kilter_map(cli->arena), *items = kilter_list(cli->arena), *page = NULL;
    const char *after = NULL;
    int64_t page_size = limit >= 0 && limit < 1000 ? (limit ? limit : 1) : 1000;
    if (!whole || !items || kilter_set(cli->arena, whole, "items", items) < 0)
        return KILTER_E_NOMEM;
    for (;;) {
        int r = kl_api_get(cli,
                           kilter_arena_printf(cli->arena, "%s%climit=%lld%s%s", path, has_query ? '&' : '?',
                                               (long long)page_size, after ? "&after=" : "", after ? after : ""),
                           &page);
        if (r < 0)
            return r;
        if (!add_items(cli, items, page, limit))
            return KILTER_E_NOMEM;
        struct kilter_str next = kilter_get_text(page, "next");
        if (!next.len || (limit >= 0 && (int64_t)kilter_list_size(items) >= limit))
            break;
        after = kl_api_encode(cli, next);
    }
    if (kilter_get(page, "revision"))
        kilter_set(cli->arena, whole, "revision", kilter_get(page, "revision"));
    *ret = whole;
    return 0;
}

struct follower {
    struct kl_cli *cli;
    int (*line)(struct kl_cli *cli, struct kilter_value *value);
};

/* A line of a stream, in an arena of its own: a stream may go on for days. */
static int on_line(void *data, struct kilter_str line)
{
    struct follower *follower = data;
    struct kl_cli *cli = follower->cli;
    struct kilter_arena *whole = cli->arena;
    struct kilter_value *value = NULL;
    if (kilter_str_trim(line).len == 0)
        return 0;
    cli->arena = kilter_arena_new(0);
    int r = cli->arena ? kilter_json_read(cli->arena, line, NULL, &value, NULL) : KILTER_E_NOMEM;
    if (r == 0)
        r = follower->line(cli, value);
    kilter_arena_free(cli->arena);
    cli->arena = whole;
    return r;
}

int kl_api_follow(struct kl_cli *cli, const char *path, int (*line)(struct kl_cli *cli, struct kilter_value *value))
{
    struct follower follower = { cli, line };
    struct kl_client_request request = KL_CLIENT_REQUEST_INIT;
    struct kl_client_response response = KL_CLIENT_RESPONSE_INIT;
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kilter_value *refusal;
    request.socket_path = kl_api_socket(cli);
    request.target = path;
    request.cancel_fd = cli->cancel_fd;
    request.line = on_line;
    request.line_data = &follower;
    int r = kl_client_call(&request, &response, &err);
    if (r < 0 && err.code)
        complain_transport(cli, &err);
    else if (r == 0 && response.status / 100 != 2)
        r = read_answer(cli, &response, &refusal);
    kl_client_response_release(&response);
    return r;
}

/* --- paths ------------------------------------------------------------------------- */

const char *kl_api_encode(struct kl_cli *cli, struct kilter_str text)
{
    struct kilter_buf out = KILTER_BUF_INIT(65536);
    kl_client_encode(&out, text);
    const char *encoded = out.failed ? NULL : kilter_arena_printf(cli->arena, "%s", out.ptr ? out.ptr : "");
    kilter_buf_release(&out);
    return encoded;
}

const char *kl_api_app_path(struct kl_cli *cli, struct kilter_str app, const char *format, ...)
{
    char rest[4096];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(rest, sizeof(rest), format, arguments);
    va_end(arguments);
    const char *name = kl_api_encode(cli, app);
    if (!name || len < 0 || (size_t)len >= sizeof(rest))
        return NULL;
    return kilter_arena_printf(cli->arena, "/api/v1/apps/%s%s", name, rest);
}

void kl_api_split(const char *item, struct kilter_str *ret_app, struct kilter_str *ret_resource)
{
    const char *slash = strchr(item, '/');
    *ret_app = slash ? kilter_str_n(item, (size_t)(slash - item)) : kilter_str_c(item);
    *ret_resource = slash ? kilter_str_c(slash + 1) : KILTER_STR_NONE;
}
