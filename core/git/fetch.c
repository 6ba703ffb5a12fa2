/* SPDX-License-Identifier: Apache-2.0 */
#include "git/fetch.h"

#include <signal.h>

#include "base/clock.h"
#include "git/conn.h"

#define DEFAULT_TIMEOUT_NS (300 * KL_NS_PER_S)
#define DEFAULT_STALL_NS (30 * KL_NS_PER_S)
#define DEFAULT_MAX_BYTES ((uint64_t)4 << 30)

static const char *const ref_words[] = { "", "branch", "tag", "semver", "name", "commit" };

enum kl_fetch_ref kl_fetch_ref_of(struct kilter_str word)
{
    for (int i = KL_FETCH_BRANCH; i <= KL_FETCH_COMMIT; i++)
        if (kilter_str_eq_c(word, ref_words[i]))
            return (enum kl_fetch_ref)i;
    return (enum kl_fetch_ref)0;
}

/* --- the connection -------------------------------------------------------------- */
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

static bool cancelled(struct kl_conn *conn)
{
    return conn->events && conn->events->cancelled && conn->events->cancelled(conn->events->data);
}

int kl_conn_check(struct kl_conn *conn)
{
    if (cancelled(conn))
        return kl_conn_fail(conn, KILTER_E_CANCELLED, "%s: cancelled", conn->masked);
    if (kl_clock_monotonic_ns() >= conn->deadline_ns)
        return kl_conn_fail(conn, KILTER_E_TIMEOUT, "%s: not done in time; a longer timeout may help",
                            conn->masked);
    return 0;
}

int kl_conn_check_stall(struct kl_conn *conn, int64_t since_ns)
{
    int status = kl_conn_check(conn);
    char duration[32];

    if (status == 0 && kl_clock_monotonic_ns() - since_ns >= conn->stall_ns)
        status =
            kl_conn_fail(conn, KILTER_E_TIMEOUT,
                         "%s: the server said nothing for %s; it or the network on the way hangs, and it is tried "
                         "again",
                         conn->masked, kilter_format_duration(conn->stall_ns, duration));
    return status;
}

static int open_conn(struct kl_conn *conn, const struct kl_fetch_request *request,
                     const struct kl_fetch_events *events)
{
    memset(conn, 0, sizeof(*conn));
    conn->request = request;
    conn->events = events;
    kl_git_url_mask(request->url, conn->masked, sizeof(conn->masked));
    conn->deadline_ns = kl_clock_monotonic_ns() +
                        (request->timeout_ms > 0 ? request->timeout_ms * KL_NS_PER_MS : DEFAULT_TIMEOUT_NS);
    conn->stall_ns = request->stall_ms > 0 ? request->stall_ms * KL_NS_PER_MS : DEFAULT_STALL_NS;
    conn->max_bytes = request->max_bytes ? request->max_bytes : DEFAULT_MAX_BYTES;
    if (kl_git_url_parse(request->url, &conn->url, &conn->error) < 0)
        return conn->error.code;
    if (conn->url.scheme == KL_GIT_HTTP && !conn->url.loopback && !request->allow_http)
        return kl_conn_fail(conn, KILTER_E_PERMISSION,
                            "%s: http:// shows everything to everyone on the way; use https://", conn->masked);
    return 0;
}

static void close_conn(struct kl_conn *conn)
{
    kl_ssh_stop(conn);
    kl_http_free(conn->http);
    conn->http = NULL;
}

/* --- facts of the commit ------------------------------------------------------------ */
/* One line of valid UTF-8 without control characters, cut at a character. */
static void copy_line(char *to, size_t size, const char *from)
{
    size_t used = 0;

    for (const char *at = from ? from : ""; *at && *at != '\n' && *at != '\r';) {
        size_t len = (unsigned char)*at < 0x80   ? 1
                     : (unsigned char)*at < 0xe0 ? 2
                     : (unsigned char)*at < 0xf0 ? 3
                                                 : 4;
        bool whole = strnlen(at, len) == len && kilter_str_is_utf8(kilter_str_n(at, len));
        if (!whole || (len == 1 && ((unsigned char)*at < 0x20 || *at == 0x7f)))
            len = 1;
        if (used + len >= size)
            break;
        if (len == 1 && (!whole || (unsigned char)*at < 0x20 || *at == 0x7f))
            to[used] = '?';
        else
            memcpy(to + used, at, len);
        used += len;
        at += len;
    }
    to[used] = '\0';
}

static int read_facts(struct kl_conn *conn, struct kl_mirror *mirror, const git_oid *id,
                      struct kl_fetch_result *result)
{
    KL_CLEANUP(kl_git_commit_freep) git_commit *commit = NULL;

    if (git_commit_lookup(&commit, mirror->repo, id) < 0)
        return kl_conn_fail(conn, KILTER_E_INVALID, "%s: %s is no commit", conn->masked, git_oid_tostr_s(id));
    const git_signature *author = git_commit_author(commit);
    copy_line(result->author, sizeof(result->author), author ? author->name : "");
    copy_line(result->email, sizeof(result->email), author ? author->email : "");
    copy_line(result->subject, sizeof(result->subject), git_commit_summary(commit));
    result->time = git_commit_time(commit);
    git_oid_tostr(result->commit, sizeof(result->commit), id);
    return 0;
}

/* --- what moved ----------------------------------------------------------------------- */
static bool is_rewritten(struct kl_mirror *mirror, const char *known, const char *commit)
{
    git_oid from, to;

    return git_oid_fromstr(&from, known) == 0 && git_oid_fromstr(&to, commit) == 0 &&
           git_graph_descendant_of(mirror->repo, &to, &from) == 0;
}

static bool can_be_rewritten(enum kl_fetch_ref kind)
{
    return kind == KL_FETCH_BRANCH || kind == KL_FETCH_TAG || kind == KL_FETCH_NAME;
}

static int compare(struct kl_conn *conn, struct kl_mirror *mirror, struct kl_fetch_result *result)
{
    const char *known = conn->request->known;
    const struct kl_fetch_events *events = conn->events;

    result->moved = !known || strcmp(known, result->commit) != 0;
    result->all = result->moved;
    if (!result->moved || !known || !kl_mirror_has(mirror, known))
        return 0;
    result->forced = can_be_rewritten(conn->request->kind) && is_rewritten(mirror, known, result->commit);
    if (!events || !events->change)
        return 0;
    int status = kl_mirror_diff(mirror, known, result->commit, 0, events->change, events->data, &conn->error);
    if (status == KILTER_E_LIMIT || status == KILTER_E_IO) { /* no list; everything may have changed */
        conn->error.code = 0;
        return 0;
    }
    result->all = status < 0;
    return status;
}

/* --- the fetch -------------------------------------------------------------------------- */
static int keep_pins(struct kl_conn *conn, struct kl_mirror *mirror)
{
    for (size_t i = 0; i < conn->request->pin_count; i++) {
        int status = kl_mirror_keep(mirror, conn->request->pins[i], &conn->error);
        if (status < 0 && status != KILTER_E_NOT_FOUND)
            return status;
        conn->error.code = 0; /* a commit that is gone cannot be kept; whoever wants it is told then */
    }
    return 0;
}

static int transfer(struct kl_conn *conn, struct kl_mirror *mirror, const char *name, git_oid *commit)
{
    char hex[KL_OID_HEX + 1];
    int status = kl_conn_check(conn);

    if (status < 0)
        return status;
    kl_mirror_drop_broken(mirror); /* else the server is told that we have what we have not */
    if (conn->url.scheme == KL_GIT_FILE)
        status = kl_local_transfer(conn, mirror, commit);
    else
        status = kl_transfer(conn, mirror, name, commit);
    if (status < 0)
        return status;
    git_odb_refresh(mirror->odb);
    git_oid_tostr(hex, sizeof(hex), commit);
    if (kl_mirror_has(mirror, hex))
        return 0;
    if (conn->request->kind == KL_FETCH_COMMIT)
        return kl_conn_fail(conn, KILTER_E_NOT_FOUND, "%s has no commit %s in any branch or tag", conn->masked,
                            hex);
    return kl_conn_fail(conn, KILTER_E_INVALID, "%s: what the ref names is no commit", conn->masked);
}

/* The poll's usual end, without the writer's lock: the caller has this commit, and the mirror has it too. 1 when
 * this was it, 0 when there is more to do. */
static int nothing_moved(struct kl_conn *conn, const char *commit, struct kl_fetch_result *result)
{
    KL_CLEANUP(kl_mirror_closep) struct kl_mirror *mirror = NULL;
    const struct kl_fetch_request *request = conn->request;
    git_oid id;

    if (!request->known || strcmp(request->known, commit) != 0 || request->pin_count > 0 ||
        kl_mirror_open(request->mirror, &mirror, NULL) < 0 || kl_mirror_keep(mirror, commit, NULL) < 0 ||
        git_oid_fromstr(&id, commit) < 0)
        return 0;
    int status = read_facts(conn, mirror, &id, result);
    return status < 0 ? status : 1;
}

static int fetch_locked(struct kl_conn *conn, git_oid *commit, struct kl_fetch_result *result)
{
    KL_CLEANUP(kl_closep) int lock = -1;
    KL_CLEANUP(kl_mirror_closep) struct kl_mirror *mirror = NULL;
    const struct kl_fetch_events *events = conn->events;
    char hex[KL_OID_HEX + 1];
    int status = kl_mirror_lock(conn->request->mirror, conn->deadline_ns, events ? events->cancelled : NULL,
                                events ? events->data : NULL, &lock, &conn->error);

    if (status == 0)
        status = kl_mirror_create_locked(conn->request->mirror, &mirror, &conn->error);
    if (status < 0)
        return status;
    /* What a killed writer left: also after it had everything and was just keeping the commit. */
    kl_mirror_sweep(mirror->dir);
    if (!kl_mirror_has(mirror, git_oid_tostr(hex, sizeof(hex), commit))) {
        status = transfer(conn, mirror, result->ref_name, commit);
        if (status < 0)
            return status;
        result->fetched = true;
    }
    status = kl_mirror_keep(mirror, git_oid_tostr(hex, sizeof(hex), commit), &conn->error);
    if (status == 0)
        status = keep_pins(conn, mirror);
    if (status == 0)
        status = read_facts(conn, mirror, commit, result);
    return status < 0 ? status : compare(conn, mirror, result);
}

static int fetch(struct kl_conn *conn, struct kl_fetch_result *result)
{
    char hex[KL_OID_HEX + 1];
    git_oid commit;
    int status = kl_remote_select(conn, result->ref_name, &commit);

    if (status == 0)
        status = nothing_moved(conn, git_oid_tostr(hex, sizeof(hex), &commit), result);
    if (status == 0)
        return fetch_locked(conn, &commit, result);
    return status < 0 ? status : 0;
}

int kl_fetch(const struct kl_fetch_request *request, struct kl_fetch_result *ret,
             const struct kl_fetch_events *events, struct kilter_error *err)
{
    struct kl_fetch_result result = { 0 };
    struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
    struct kl_conn conn;
    int status = kl_git_init(err);

    if (status < 0)
        return status;
    git_error_clear();
    sigaction(SIGPIPE, &ignore, &before); /* a server that is gone is an error to tell, not a signal to die of */
    status = open_conn(&conn, request, events);
    if (status == 0)
        status = fetch(&conn, &result);
    close_conn(&conn);
    sigaction(SIGPIPE, &before, NULL);
    if (status == 0)
        *ret = result;
    else if (err)
        *err = conn.error;
    return status;
}
