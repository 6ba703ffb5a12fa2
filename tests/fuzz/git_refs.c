/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server says about its refs. The input is a script: its first byte
 * chooses the ref that is wanted and how the bytes are cut, the rest is all that
 * the server ever sends.
 */
#include <stdint.h>
#include <stdlib.h>

#include "git/conn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct kilter_str answer;
static size_t piece;

/* The server, in place of http.c, ssh.c and local.c. */
int kl_http_start(struct kl_conn *conn, bool v2)
{
    (void)conn;
    (void)v2;
    return 0;
}

int kl_http_ask(struct kl_conn *conn, struct kilter_str request, bool v2)
{
    (void)conn;
    (void)v2;
    if (request.len < 8 || !kilter_str_ends(request, KILTER_STR("0000")))
        abort();
    return 0;
}

int kl_http_read(struct kl_conn *conn, char *bytes, size_t len, size_t *ret_len)
{
    (void)conn;
    len = len < piece ? len : piece;
    len = len < answer.len ? len : answer.len;
    if (len)
        memcpy(bytes, answer.ptr, len);
    answer = kilter_str_sub(answer, len, answer.len);
    *ret_len = len;
    return 0;
}

int kl_ssh_start(struct kl_conn *conn, bool v2)
{
    return kl_http_start(conn, v2);
}

int kl_ssh_write(struct kl_conn *conn, struct kilter_str request)
{
    return kl_http_ask(conn, request, true);
}

int kl_ssh_read(struct kl_conn *conn, char *bytes, size_t len, size_t *ret_len)
{
    return kl_http_read(conn, bytes, len, ret_len);
}

void kl_ssh_stop(struct kl_conn *conn)
{
    (void)conn;
}

int kl_local_list(struct kl_conn *conn, const char *prefix, bool exact, struct kl_remote_refs *ret)
{
    (void)prefix;
    (void)exact;
    (void)ret;
    return kl_conn_fail(conn, KILTER_E_INTERNAL, "not local");
}

int kl_conn_fail(struct kl_conn *conn, int code, const char *format, ...)
{
    char text[sizeof(conn->error.message)];
    va_list args;

    if (conn->error.code)
        return conn->error.code;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return kilter_error_set(&conn->error, code, "%s", text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        enum kl_fetch_ref kind;
        struct kilter_str ref;
    } wanted[] = {
        { KL_FETCH_BRANCH, KILTER_STR_INIT("main") },
        { KL_FETCH_TAG, KILTER_STR_INIT("v1.0.0") },
        { KL_FETCH_SEMVER, KILTER_STR_INIT(">=1") },
        { KL_FETCH_NAME, KILTER_STR_INIT("HEAD") },
    };
    static bool started;
    struct kl_fetch_request request = { 0 };
    struct kl_conn conn = { .request = &request, .url = { .scheme = KL_GIT_HTTPS }, .masked = "https://host/x" };
    char name[256];
    git_oid commit;

    if (size == 0)
        return 0;
    if (!started)
        started = git_libgit2_init() > 0;
    request.kind = wanted[data[0] % 4].kind;
    request.ref = wanted[data[0] % 4].ref;
    conn.url.scheme = data[0] & 4 ? KL_GIT_SSH : KL_GIT_HTTPS;
    piece = (size_t)(data[0] >> 3) * 7 + 1;
    answer = kilter_str_n((const char *)data + 1, size - 1);
    int status = kl_remote_select(&conn, name, &commit);
    if ((status < 0) != (conn.error.code != 0) ||
        (status == 0 && strncmp(name, "refs/", 5) != 0 && strcmp(name, "HEAD") != 0))
        abort();
    return 0;
}
