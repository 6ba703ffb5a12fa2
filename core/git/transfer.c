/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetching by libgit2, over our two ways. libgit2 speaks the protocol and
 * indexes the pack; every byte goes through http.c or ssh.c.
 */
#include <git2/sys/remote.h>
#include <git2/sys/transport.h>

#include "git/conn.h"

/* --- a subtransport over https: a request and its answer for each stream ---------------- */
struct stream {
    git_smart_subtransport_stream base;
    struct kl_conn *conn;
    struct kilter_buf request;
    bool asked;
};

struct subtransport {
    git_smart_subtransport base;
    struct kl_conn *conn;
    struct stream *stream; /* ssh: one for the whole connection */
};

static struct stream *stream_of(git_smart_subtransport_stream *base)
{
    return (struct stream *)(void *)base;
}

static struct subtransport *subtransport_of(git_smart_subtransport *base)
{
    return (struct subtransport *)(void *)base;
}

/* libgit2 wants an error of its own; ours is kept and says more. */
static int refuse(struct kl_conn *conn)
{
    git_error_set_str(GIT_ERROR_NET, conn->error.message);
    return -1;
}

static int http_stream_read(git_smart_subtransport_stream *base, char *bytes, size_t len, size_t *ret_len)
{
    struct stream *stream = stream_of(base);

    if (!stream->asked && stream->request.len > 0) {
        stream->asked = true;
        if (kl_http_ask(stream->conn, kilter_buf_view(&stream->request), false) < 0)
            return refuse(stream->conn);
    }
    return kl_http_read(stream->conn, bytes, len, ret_len) < 0 ? refuse(stream->conn) : 0;
}

static int http_stream_write(git_smart_subtransport_stream *base, const char *bytes, size_t len)
{
    struct stream *stream = stream_of(base);

    if (kilter_buf_append(&stream->request, bytes, len) == 0)
        return 0;
    kl_conn_fail(stream->conn, KILTER_E_LIMIT, "%s: the negotiation grew too large", stream->conn->masked);
    return refuse(stream->conn);
}

static void stream_free(git_smart_subtransport_stream *base)
{
    struct stream *stream = stream_of(base);
    struct subtransport *subtransport = subtransport_of(base->subtransport);

    if (subtransport->stream == stream)
        subtransport->stream = NULL;
    kilter_buf_release(&stream->request);
    free(stream);
}

static int ssh_stream_read(git_smart_subtransport_stream *base, char *bytes, size_t len, size_t *ret_len)
{
    struct kl_conn *conn = stream_of(base)->conn;
    return kl_ssh_read(conn, bytes, len, ret_len) < 0 ? refuse(conn) : 0;
}

static int ssh_stream_write(git_smart_subtransport_stream *base, const char *bytes, size_t len)
{
    struct kl_conn *conn = stream_of(base)->conn;
    return kl_ssh_write(conn, kilter_str_n(bytes, len)) < 0 ? refuse(conn) : 0;
}

static struct stream *new_stream(struct subtransport *subtransport)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    bool ssh = subtransport->conn->url.scheme == KL_GIT_SSH;

    if (!stream) {
        kl_conn_fail(subtransport->conn, KILTER_E_NOMEM, "out of memory");
        return NULL;
    }
    stream->base.subtransport = &subtransport->base;
    stream->base.read = ssh ? ssh_stream_read : http_stream_read;
    stream->base.write = ssh ? ssh_stream_write : http_stream_write;
    stream->base.free = stream_free;
    stream->conn = subtransport->conn;
    stream->request = (struct kilter_buf)KILTER_BUF_INIT((size_t)64 << 20);
    return stream;
}

static int subtransport_action(git_smart_subtransport_stream **ret, git_smart_subtransport *base, const char *url,
                               git_smart_service_t service)
{
    struct subtransport *subtransport = subtransport_of(base);
    struct kl_conn *conn = subtransport->conn;

    (void)url;
    if (service != GIT_SERVICE_UPLOADPACK_LS && service != GIT_SERVICE_UPLOADPACK) {
        kl_conn_fail(conn, KILTER_E_INTERNAL, "%s: only fetching is meant to happen", conn->masked);
        return refuse(conn);
    }
    if (service == GIT_SERVICE_UPLOADPACK && conn->url.scheme == KL_GIT_SSH && subtransport->stream) {
        *ret = &subtransport->stream->base;
        return 0;
    }
    if (service == GIT_SERVICE_UPLOADPACK_LS && kl_conn_start(conn, false) < 0)
        return refuse(conn);
    struct stream *stream = new_stream(subtransport);
    if (!stream)
        return refuse(conn);
    subtransport->stream = stream;
    *ret = &stream->base;
    return 0;
}

static int subtransport_close(git_smart_subtransport *base)
{
    struct subtransport *subtransport = subtransport_of(base);

    if (subtransport->conn->url.scheme == KL_GIT_SSH)
        kl_ssh_stop(subtransport->conn);
    return 0;
}

static void subtransport_free(git_smart_subtransport *base)
{
    free(subtransport_of(base));
}

static int new_subtransport(git_smart_subtransport **ret, git_transport *owner, void *data)
{
    struct subtransport *subtransport = calloc(1, sizeof(*subtransport));

    (void)owner;
    if (!subtransport)
        return -1;
    subtransport->base.action = subtransport_action;
    subtransport->base.close = subtransport_close;
    subtransport->base.free = subtransport_free;
    subtransport->conn = data;
    *ret = &subtransport->base;
    return 0;
}

static int new_transport(git_transport **ret, git_remote *owner, void *data)
{
    struct kl_conn *conn = data;
    git_smart_subtransport_definition definition = { .callback = new_subtransport,
                                                     .rpc = conn->url.scheme != KL_GIT_SSH,
                                                     .param = conn };
    int status = git_transport_smart(ret, owner, &definition);

    conn->transport = status < 0 ? NULL : *ret;
    return status;
}

/* --- the fetch --------------------------------------------------------------------------- */
static int on_progress(const git_indexer_progress *stats, void *data)
{
    (void)stats;
    return kl_conn_check(data) < 0 ? -1 : 0;
}

static int failed(struct kl_conn *conn)
{
    const git_error *last = git_error_last();
    const char *message = last && last->message ? last->message : "unknown reason";

    if (conn->error.code)
        return conn->error.code;
    if (last && last->klass == GIT_ERROR_OS)
        return kl_conn_fail(conn, KILTER_E_IO, "%s: writing to the mirror failed: %s", conn->masked, message);
    return kl_conn_fail(conn, KILTER_E_IO,
                        "%s: what the server sent is not whole (%s); nothing of it is used, and it is tried again",
                        conn->masked, message);
}

static int download(struct kl_conn *conn, git_remote *remote, git_fetch_options *options, const char *const *specs,
                    size_t count)
{
    char *copies[2] = { NULL, NULL };
    git_strarray list = { .strings = copies, .count = count };

    for (size_t i = 0; i < count; i++)
        memcpy(&copies[i], &specs[i], sizeof(copies[i])); /* libgit2 only reads them */
    return git_remote_download(remote, &list, options) < 0 ? failed(conn) : 0;
}

/* A ref that stands for the commit, so that a server which gives out only what refs name gives it. */
static const char *name_of_commit(git_remote *remote, const git_oid *commit)
{
    const git_remote_head **heads;
    size_t count;

    if (git_remote_ls(&heads, &count, remote) < 0)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (git_oid_equal(&heads[i]->oid, commit) && !strstr(heads[i]->name, "^{}") &&
            strcmp(heads[i]->name, "HEAD") != 0)
            return heads[i]->name;
    return NULL;
}

static int fetch_name(struct kl_conn *conn, git_remote *remote, git_fetch_options *options, const char *name)
{
    char spec[600];
    const char *specs[] = { spec };

    snprintf(spec, sizeof(spec), "+%s:refs/kilter/incoming", name);
    return download(conn, remote, options, specs, 1);
}

/* Every branch and tag: the commit must be in the history of one of them. What nothing needs goes with the next
 * maintain. */
static int fetch_everything(struct kl_conn *conn, git_remote *remote, git_fetch_options *options,
                            struct kl_mirror *mirror)
{
    static const char *const specs[] = { "+refs/heads/*:refs/kilter/all/heads/*",
                                         "+refs/tags/*:refs/kilter/all/tags/*" };

    if (kl_mirror_mark_garbage(mirror->dir, &conn->error) < 0)
        return conn->error.code;
    return download(conn, remote, options, specs, 2);
}

static int fetch_commit(struct kl_conn *conn, git_remote *remote, git_fetch_options *options,
                        struct kl_mirror *mirror, const git_oid *commit)
{
    char hex[KL_OID_HEX + 1];
    const char *name = name_of_commit(remote, commit);
    unsigned capabilities = 0;

    if (name)
        return fetch_name(conn, remote, options, name);
    conn->transport->capabilities(&capabilities, conn->transport);
    if (capabilities & (GIT_REMOTE_CAPABILITY_TIP_OID | GIT_REMOTE_CAPABILITY_REACHABLE_OID)) {
        const char *specs[] = { git_oid_tostr(hex, sizeof(hex), commit) };
        return download(conn, remote, options, specs, 1);
    }
    return fetch_everything(conn, remote, options, mirror);
}

/* The commit that a ref of this connection stands for, now that its objects are here. */
static int commit_of_name(struct kl_conn *conn, git_remote *remote, struct kl_mirror *mirror, const char *name,
                          git_oid *ret)
{
    KL_CLEANUP(kl_git_object_freep) git_object *object = NULL;
    KL_CLEANUP(kl_git_object_freep) git_object *commit = NULL;
    const git_remote_head **heads;
    size_t count;

    if (git_remote_ls(&heads, &count, remote) < 0)
        return failed(conn);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(heads[i]->name, name) != 0)
            continue;
        if (git_object_lookup(&object, mirror->repo, &heads[i]->oid, GIT_OBJECT_ANY) < 0)
            return failed(conn);
        if (git_object_peel(&commit, object, GIT_OBJECT_COMMIT) < 0)
            return kl_conn_fail(conn, KILTER_E_INVALID, "%s of %s names no commit", name, conn->masked);
        *ret = *git_object_id(commit);
        return 0;
    }
    return kl_conn_fail(conn, KILTER_E_NOT_FOUND, "%s vanished from %s while it was fetched; it is tried again",
                        name, conn->masked);
}

int kl_transfer(struct kl_conn *conn, struct kl_mirror *mirror, const char *name, git_oid *commit)
{
    KL_CLEANUP(kl_git_remote_freep) git_remote *remote = NULL;
    git_remote_create_options made;
    git_fetch_options options;
    int status;

    git_remote_create_options_init(&made, GIT_REMOTE_CREATE_OPTIONS_VERSION);
    made.repository = mirror->repo;
    made.flags = GIT_REMOTE_CREATE_SKIP_INSTEADOF | GIT_REMOTE_CREATE_SKIP_DEFAULT_FETCHSPEC;
    if (git_remote_create_with_opts(&remote, conn->url.scheme == KL_GIT_SSH ? "ssh://host/x" : "https://host/x",
                                    &made) < 0)
        return failed(conn);
    git_fetch_options_init(&options, GIT_FETCH_OPTIONS_VERSION);
    options.callbacks.transport = new_transport;
    options.callbacks.payload = conn;
    options.callbacks.transfer_progress = on_progress;
    options.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
    options.update_fetchhead = 0;
    if (git_remote_connect(remote, GIT_DIRECTION_FETCH, &options.callbacks, NULL, NULL) < 0)
        return failed(conn);
    if (*name)
        status = fetch_name(conn, remote, &options, name);
    else
        status = fetch_commit(conn, remote, &options, mirror, commit);
    if (status == 0 && *name)
        status = commit_of_name(conn, remote, mirror, name, commit);
    git_remote_disconnect(remote);
    return status;
}
