/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Git over https, by libcurl.
 *
 * One transfer at a time, read as it comes: the receiving side pauses when
 * nobody reads. Connections are reused within one kl_fetch. Redirects are
 * followed by hand, for the first request only, at most three, never away from
 * https; a redirect to another host, port or scheme goes on without credentials
 * and client certificate.
 */
#include <ctype.h>
#include <curl/curl.h>

#include "base/clock.h"
#include "git/conn.h"

#define HIGH_WATER (1u << 20) /* bytes received and not read yet, at which receiving pauses */
#define MAX_BUFFER (HIGH_WATER + 2u * CURL_MAX_WRITE_SIZE + 65536u)
#define MAX_REDIRECTS 3
#define ADVERTISEMENT_QUERY "/info/refs?service=git-upload-pack"

struct kl_http {
    struct kl_conn *conn;
    CURLM *multi;
    CURL *easy;
    struct curl_slist *headers;
    char base[2600];  /* the repository's URL, after redirects */
    char host[300];   /* of base, for messages */
    bool same_origin; /* base is where the user pointed: credentials may go there */
    bool running;     /* the easy handle is in the multi handle */
    bool done;        /* the transfer ended, with `result` */
    bool checked;     /* status and content type were looked at */
    bool connected;   /* something of this request was sent */
    bool too_much;    /* max_bytes was reached */
    bool paused;
    CURLcode result;
    uint64_t received;
    int64_t last_ns; /* when something was last received or sent */
    curl_off_t sent;
    struct kilter_buf body; /* the request's */
    struct kilter_buf in;   /* received, from `taken` on not read yet */
    size_t taken;
    const char *expected; /* content type */
    char username[256], password[4096];
    char details[CURL_ERROR_SIZE];
};

static void stop(struct kl_http *http)
{
    if (http->running)
        curl_multi_remove_handle(http->multi, http->easy);
    http->running = false;
    kilter_buf_clear(&http->in);
    http->taken = 0;
}

void kl_http_free(struct kl_http *http)
{
    if (!http)
        return;
    stop(http);
    if (http->easy)
        curl_easy_cleanup(http->easy);
    if (http->multi)
        curl_multi_cleanup(http->multi);
    curl_slist_free_all(http->headers);
    kilter_buf_release(&http->in);
    kilter_buf_release(&http->body);
    explicit_bzero(http->password, sizeof(http->password));
    free(http);
}

/* --- credentials ------------------------------------------------------------------ */
/* A secret as it was meant: without the newline at the end of its file. */
static int copy_secret(struct kl_conn *conn, struct kilter_str secret, const char *what, char *text, size_t size)
{
    secret = kilter_str_trim(secret);
    if (secret.len >= size)
        return kl_conn_fail(conn, KILTER_E_INVALID, "%s is longer than %zu bytes", what, size - 1);
    for (size_t i = 0; i < secret.len; i++)
        if (iscntrl((unsigned char)secret.ptr[i]))
            return kl_conn_fail(conn, KILTER_E_INVALID,
                                "%s holds a line break or another control character; was the right file named?",
                                what);
    snprintf(text, size, "%.*s", KILTER_STR_ARG(secret));
    return 0;
}

static int read_credentials(struct kl_http *http)
{
    const struct kl_git_credentials *given = &http->conn->request->credentials;

    if (given->token.len)
        return copy_secret(http->conn, given->token, "the token", http->password, sizeof(http->password));
    if (copy_secret(http->conn, given->username, "the user name", http->username, sizeof(http->username)) < 0)
        return http->conn->error.code;
    if (given->password.len && !*http->username)
        snprintf(http->username, sizeof(http->username), "git"); /* hosts that take a token as password ignore it */
    return copy_secret(http->conn, given->password, "the password", http->password, sizeof(http->password));
}

static struct curl_blob blob_of(struct kilter_str text)
{
    union {
        const char *in;
        void *out;
    } unqualified = { .in = text.ptr }; /* libcurl only reads it */
    return (struct curl_blob){ .data = unqualified.out, .len = text.len, .flags = CURL_BLOB_NOCOPY };
}

static void set_credentials(struct kl_http *http)
{
    const struct kl_git_credentials *given = &http->conn->request->credentials;

    if (!http->same_origin)
        return;
    if (given->token.len) {
        curl_easy_setopt(http->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        curl_easy_setopt(http->easy, CURLOPT_XOAUTH2_BEARER, http->password);
    } else if (given->password.len || given->username.len) {
        curl_easy_setopt(http->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(http->easy, CURLOPT_USERNAME, http->username);
        curl_easy_setopt(http->easy, CURLOPT_PASSWORD, http->password);
    }
    if (given->certificate.len) {
        struct curl_blob certificate = blob_of(given->certificate);
        struct curl_blob key = blob_of(given->key.len ? given->key : given->certificate);
        curl_easy_setopt(http->easy, CURLOPT_SSLCERT_BLOB, &certificate);
        curl_easy_setopt(http->easy, CURLOPT_SSLCERTTYPE, "PEM");
        curl_easy_setopt(http->easy, CURLOPT_SSLKEY_BLOB, &key);
        curl_easy_setopt(http->easy, CURLOPT_SSLKEYTYPE, "PEM");
    }
}

/* --- callbacks ---------------------------------------------------------------------- */
static size_t on_data(char *bytes, size_t size, size_t count, void *data)
{
    struct kl_http *http = data;
    size_t len = size * count;

    http->last_ns = kl_clock_monotonic_ns();
    if (http->in.len - http->taken > HIGH_WATER) {
        http->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    http->received += len;
    if (http->received > http->conn->max_bytes) {
        http->too_much = true;
        return 0;
    }
    if (http->taken > 0) {
        memmove(http->in.ptr, http->in.ptr + http->taken, http->in.len - http->taken);
        http->in.len -= http->taken;
        http->taken = 0;
    }
    return kilter_buf_append(&http->in, bytes, len) < 0 ? 0 : len;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *data)
{
    struct kl_http *http = data;

    (void)bytes;
    http->last_ns = kl_clock_monotonic_ns();
    return size * count;
}

static int on_progress(void *data, curl_off_t total, curl_off_t now, curl_off_t send_total, curl_off_t sent)
{
    struct kl_http *http = data;

    (void)total;
    (void)now;
    (void)send_total;
    if (sent > http->sent) {
        http->sent = sent;
        http->last_ns = kl_clock_monotonic_ns();
    }
    return 0;
}

static int on_connected(void *data, char *primary_ip, char *local_ip, int primary_port, int local_port)
{
    struct kl_http *http = data;

    (void)primary_ip;
    (void)local_ip;
    (void)primary_port;
    (void)local_port;
    http->connected = true;
    http->last_ns = kl_clock_monotonic_ns();
    return CURL_PREREQFUNC_OK;
}

/* --- what went wrong ------------------------------------------------------------------ */
/* Results of certificate verification, X509_V_ERR_... of OpenSSL's <openssl/x509_vfy.h>. */
enum {
    NOT_YET_VALID = 9,
    HAS_EXPIRED = 10,
    SELF_SIGNED = 18,
    SELF_SIGNED_IN_CHAIN = 19,
    NO_LOCAL_ISSUER = 20,
    UNVERIFIABLE_LEAF = 21,
    REVOKED = 23,
};

static int certificate_failed(struct kl_http *http)
{
    struct kl_conn *conn = http->conn;
    long verdict = 0;

    curl_easy_getinfo(http->easy, CURLINFO_SSL_VERIFYRESULT, &verdict);
    switch (verdict) {
    case HAS_EXPIRED:
        return kl_conn_fail(
            conn, KILTER_E_PERMISSION,
            "%s: the server's certificate has expired; renew it on %s (and see whether this machine's "
            "clock is right)",
            conn->masked, http->host);
    case NOT_YET_VALID:
        return kl_conn_fail(conn, KILTER_E_PERMISSION,
                            "%s: the server's certificate is not valid yet; is this machine's clock right?",
                            conn->masked);
    case REVOKED:
        return kl_conn_fail(conn, KILTER_E_PERMISSION, "%s: the server's certificate was revoked", conn->masked);
    case SELF_SIGNED:
    case SELF_SIGNED_IN_CHAIN:
    case NO_LOCAL_ISSUER:
    case UNVERIFIABLE_LEAF:
        return kl_conn_fail(conn, KILTER_E_PERMISSION,
                            "%s: the server's certificate is signed by an authority that is not trusted; if it is "
                            "yours, give its certificate as ca%s",
                            conn->masked, conn->request->ca.len ? " (another one is given now)" : "");
    default:
        return kl_conn_fail(conn, KILTER_E_PERMISSION, "%s: the server's certificate is refused: %s", conn->masked,
                            *http->details ? http->details : curl_easy_strerror(http->result));
    }
}

static int transfer_failed(struct kl_http *http)
{
    struct kl_conn *conn = http->conn;
    const char *details = *http->details ? http->details : curl_easy_strerror(http->result);

    if (http->too_much)
        return kl_conn_fail(conn, KILTER_E_LIMIT, "%s sends more than %llu bytes at once, which is the limit",
                            conn->masked, (unsigned long long)conn->max_bytes);
    if (strstr(details, "certificate required") || strstr(details, "did not return a certificate"))
        return kl_conn_fail(conn, KILTER_E_PERMISSION,
                            "%s: the server asks for a client certificate; give certificate and key", conn->masked);
    switch (http->result) {
    case CURLE_PEER_FAILED_VERIFICATION:
        return certificate_failed(http);
    case CURLE_COULDNT_RESOLVE_HOST:
        return kl_conn_fail(conn, KILTER_E_NOT_FOUND,
                            "%s: the host name %s does not resolve; is it right, and does "
                            "DNS work here?",
                            conn->masked, http->host);
    case CURLE_COULDNT_RESOLVE_PROXY:
        return kl_conn_fail(conn, KILTER_E_NOT_FOUND, "%s: the proxy's host name does not resolve", conn->masked);
    case CURLE_COULDNT_CONNECT:
        return kl_conn_fail(conn, KILTER_E_IO, "%s: cannot connect: %s", conn->masked, details);
    case CURLE_OPERATION_TIMEDOUT:
        return kl_conn_fail(conn, KILTER_E_TIMEOUT, "%s: cannot connect in time: %s", conn->masked, details);
    case CURLE_SSL_CERTPROBLEM:
        return kl_conn_fail(
            conn, KILTER_E_PERMISSION,
            "%s: the client certificate or its key cannot be used; both must be PEM and belong together",
            conn->masked);
    case CURLE_SSL_CACERT_BADFILE:
        if (!conn->request->ca.len)
            return kl_conn_fail(conn, KILTER_E_PERMISSION,
                                "%s: this machine has no list of authorities that it trusts; install "
                                "ca-certificates, or give the server's authority as ca",
                                conn->masked);
        return kl_conn_fail(conn, KILTER_E_INVALID, "%s: what is given as ca is no certificate in PEM form",
                            conn->masked);
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2_STREAM:
        return kl_conn_fail(conn, KILTER_E_IO,
                            "%s: the connection broke off before all was there; it is tried again", conn->masked);
    default:
        return kl_conn_fail(conn, KILTER_E_IO, "%s: %s", conn->masked, details);
    }
}

static int refused(struct kl_http *http, long code)
{
    struct kl_conn *conn = http->conn;
    const struct kl_git_credentials *given = &conn->request->credentials;
    const char *masked = conn->masked;

    if ((code == 401 || code == 403) && !http->same_origin)
        return kl_conn_fail(
            conn, KILTER_E_PERMISSION,
            "%s redirects to %s, which asks for credentials; they are not sent to another place than "
            "the one that you named: if you trust it, write its URL",
            masked, http->host);
    if (code == 401 && given->token.len)
        return kl_conn_fail(
            conn, KILTER_E_PERMISSION,
            "%s refuses the token; it may have expired or been revoked: make a new one that may read "
            "this repository",
            masked);
    if (code == 401 && given->password.len)
        return kl_conn_fail(
            conn, KILTER_E_PERMISSION,
            "%s refuses user name \"%s\" with its password; check both, and whether they may read this "
            "repository",
            masked, http->username);
    if (code == 401)
        return kl_conn_fail(
            conn, KILTER_E_PERMISSION,
            "%s asks for credentials, and the source has none that fit; give username and password, or "
            "token",
            masked);
    if (code == 403)
        return kl_conn_fail(conn, KILTER_E_PERMISSION, "%s forbids reading this repository%s (HTTP 403)", masked,
                            given->token.len || given->password.len ? " with these credentials" : "");
    if (code == 404 || code == 410)
        return kl_conn_fail(
            conn, KILTER_E_NOT_FOUND,
            "%s: there is no repository%s; some hosts say so, too, of one that the credentials may not "
            "see (HTTP %ld)",
            masked, http->same_origin ? "" : " where it redirects to", code);
    if (code == 407)
        return kl_conn_fail(conn, KILTER_E_PERMISSION,
                            "%s: the proxy asks for credentials; write them into the proxy's URL", masked);
    if (code == 429)
        return kl_conn_fail(conn, KILTER_E_IO, "%s: the server asks to come back later (HTTP 429)", masked);
    if (code >= 500)
        return kl_conn_fail(conn, KILTER_E_IO, "%s: the server fails (HTTP %ld); it is tried again", masked, code);
    return kl_conn_fail(conn, KILTER_E_IO, "%s: unexpected answer, HTTP %ld", masked, code);
}

/* --- running --------------------------------------------------------------------------- */
static int setup(struct kl_http *http, const char *url, bool v2)
{
    struct kl_conn *conn = http->conn;
    CURL *easy = http->easy;

    stop(http);
    curl_easy_reset(easy);
    curl_slist_free_all(http->headers);
    http->headers = NULL;
    http->done = http->checked = http->connected = http->too_much = http->paused = false;
    http->received = 0;
    http->sent = 0;
    http->details[0] = '\0';
    if (v2)
        http->headers = curl_slist_append(http->headers, "Git-Protocol: version=2");
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, strncmp(url, "https:", 6) == 0 ? "https" : "http");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "git/2.0 (kilter)"); /* some hosts look for "git/" */
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, http->details);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, http);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, http);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, http);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, http);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(conn->stall_ns / KL_NS_PER_MS));
    if (conn->request->proxy.len) {
        char proxy[1024];
        if (conn->request->proxy.len >= sizeof(proxy))
            return kl_conn_fail(conn, KILTER_E_INVALID, "the proxy's URL is too long");
        snprintf(proxy, sizeof(proxy), "%.*s", KILTER_STR_ARG(conn->request->proxy));
        curl_easy_setopt(easy, CURLOPT_PROXY, proxy);
    }
    if (conn->request->ca.len) {
        struct curl_blob ca = blob_of(conn->request->ca);
        curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &ca);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    set_credentials(http);
    return 0;
}

static int begin(struct kl_http *http)
{
    curl_easy_setopt(http->easy, CURLOPT_HTTPHEADER, http->headers);
    http->last_ns = kl_clock_monotonic_ns();
    if (curl_multi_add_handle(http->multi, http->easy) != CURLM_OK)
        return kl_conn_fail(http->conn, KILTER_E_NOMEM, "out of memory");
    http->running = true;
    return 0;
}

static size_t unread(const struct kl_http *http)
{
    return http->in.len - http->taken;
}

/* Lets the transfer go on until there is something to read, or it ended. */
static int run(struct kl_http *http)
{
    struct kl_conn *conn = http->conn;

    while (unread(http) == 0 && !http->done) {
        int running, left;
        if (http->paused) {
            http->paused = false;
            curl_easy_pause(http->easy, CURLPAUSE_CONT);
        }
        if (curl_multi_perform(http->multi, &running) != CURLM_OK)
            return kl_conn_fail(conn, KILTER_E_INTERNAL, "%s: libcurl fails", conn->masked);
        for (CURLMsg *message; (message = curl_multi_info_read(http->multi, &left));)
            if (message->msg == CURLMSG_DONE) {
                http->done = true;
                http->result = message->data.result;
            }
        if (unread(http) > 0 || http->done)
            break;
        int status = kl_conn_check_stall(conn, http->last_ns);
        if (status < 0)
            return status;
        if (curl_multi_poll(http->multi, NULL, 0, 100, NULL) != CURLM_OK)
            return kl_conn_fail(conn, KILTER_E_INTERNAL, "%s: libcurl fails", conn->masked);
    }
    return 0;
}

/* Looks at status and content type, once there is something of the answer. */
static int check_answer(struct kl_http *http)
{
    struct kl_conn *conn = http->conn;
    const char *type = NULL;
    long code = 0;

    if (http->done && http->result != CURLE_OK)
        return transfer_failed(http);
    curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &code);
    if (code != 200)
        return refused(http, code);
    curl_easy_getinfo(http->easy, CURLINFO_CONTENT_TYPE, &type);
    if (!type || strncasecmp(type, http->expected, strlen(http->expected)) != 0)
        return kl_conn_fail(conn, KILTER_E_INVALID,
                            "%s answers, but not as a Git server (content type %.60s); is this the URL of a "
                            "repository?",
                            conn->masked, type ? type : "none");
    http->checked = true;
    return 0;
}

int kl_http_read(struct kl_conn *conn, char *bytes, size_t len, size_t *ret_len)
{
    struct kl_http *http = conn->http;
    int status = run(http);

    if (status == 0 && !http->checked)
        status = check_answer(http);
    if (status < 0)
        return status;
    if (unread(http) == 0 && http->result != CURLE_OK)
        return transfer_failed(http);
    if (len > unread(http))
        len = unread(http);
    if (len)
        memcpy(bytes, http->in.ptr + http->taken, len);
    http->taken += len;
    *ret_len = len;
    return 0;
}

/* --- requests ---------------------------------------------------------------------------- */
static uint16_t port_of(const struct kl_git_url *url)
{
    if (url->port)
        return url->port;
    return url->scheme == KL_GIT_HTTPS ? 443 : 80;
}

static bool is_same_origin(const struct kl_git_url *a, const struct kl_git_url *b)
{
    return a->scheme == b->scheme && strcasecmp(a->host, b->host) == 0 && port_of(a) == port_of(b);
}

static int set_base(struct kl_http *http, struct kilter_str base)
{
    struct kl_git_url url;
    char port[8] = "";

    if (kl_git_url_parse(base, &url, NULL) < 0)
        return KILTER_E_INVALID;
    if (url.scheme != KL_GIT_HTTPS && (url.scheme != KL_GIT_HTTP || http->conn->url.scheme != KL_GIT_HTTP ||
                                       (!url.loopback && !http->conn->request->allow_http)))
        return KILTER_E_PERMISSION;
    bool literal = strchr(url.host, ':') != NULL;
    if (url.port)
        snprintf(port, sizeof(port), ":%u", url.port);
    snprintf(http->base, sizeof(http->base), "%s://%s%s%s%s%s", url.scheme == KL_GIT_HTTPS ? "https" : "http",
             literal ? "[" : "", url.host, literal ? "]" : "", port, url.path);
    snprintf(http->host, sizeof(http->host), "%s%s", url.host, port);
    http->same_origin = is_same_origin(&url, &http->conn->url);
    return 0;
}

/* The answer to the first request is a redirect: 1 and the new base, 0 when it is none. */
static int take_redirect(struct kl_http *http, int count)
{
    struct kl_conn *conn = http->conn;
    const char *target = NULL;
    char masked[300];
    long code = 0;

    if (http->done && http->result != CURLE_OK)
        return transfer_failed(http);
    curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &code);
    if (code != 301 && code != 302 && code != 303 && code != 307 && code != 308)
        return 0;
    curl_easy_getinfo(http->easy, CURLINFO_REDIRECT_URL, &target);
    struct kilter_str url = kilter_str_c(target ? target : "");
    kl_git_url_mask(url, masked, sizeof(masked));
    if (count >= MAX_REDIRECTS)
        return kl_conn_fail(conn, KILTER_E_IO, "%s redirects more than %d times, at last to %s", conn->masked,
                            MAX_REDIRECTS, masked);
    if (!kilter_str_ends(url, KILTER_STR(ADVERTISEMENT_QUERY)))
        return kl_conn_fail(conn, KILTER_E_INVALID,
                            "%s redirects to %s, which is no repository's place; is this the URL of a repository?",
                            conn->masked, masked);
    url.len -= strlen(ADVERTISEMENT_QUERY);
    int status = set_base(http, url);
    if (status == KILTER_E_PERMISSION)
        return kl_conn_fail(conn, status, "%s redirects to %s, away from https; this is not followed", conn->masked,
                            masked);
    if (status < 0)
        return kl_conn_fail(conn, status, "%s redirects to %s, which is no URL that can be followed", conn->masked,
                            masked);
    return 1;
}

static int http_new(struct kl_conn *conn)
{
    static bool global;

    if (!global && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return kl_conn_fail(conn, KILTER_E_INTERNAL, "libcurl does not start");
    global = true;
    struct kl_http *http = calloc(1, sizeof(*http));
    if (!http)
        return kl_conn_fail(conn, KILTER_E_NOMEM, "out of memory");
    conn->http = http;
    http->conn = conn;
    http->multi = curl_multi_init();
    http->easy = curl_easy_init();
    http->in = (struct kilter_buf)KILTER_BUF_INIT(MAX_BUFFER);
    http->body = (struct kilter_buf)KILTER_BUF_INIT((size_t)64 << 20);
    if (!http->multi || !http->easy)
        return kl_conn_fail(conn, KILTER_E_NOMEM, "out of memory");
    if (set_base(http, kilter_str_trim(conn->request->url)) < 0)
        return kl_conn_fail(
            conn, KILTER_E_PERMISSION,
            "%s: http:// shows everything to everyone on the way, and is for this machine only; use "
            "https://",
            conn->masked);
    return read_credentials(http);
}

int kl_http_start(struct kl_conn *conn, bool v2)
{
    int status = conn->http ? 0 : http_new(conn);

    for (int redirects = 0; status == 0; redirects++) {
        struct kl_http *http = conn->http;
        char url[sizeof(http->base) + sizeof(ADVERTISEMENT_QUERY)];
        snprintf(url, sizeof(url), "%s" ADVERTISEMENT_QUERY, http->base);
        status = setup(http, url, v2);
        if (status < 0)
            return status;
        http->expected = "application/x-git-upload-pack-advertisement";
        curl_easy_setopt(http->easy, CURLOPT_HTTPGET, 1L);
        curl_easy_setopt(http->easy, CURLOPT_ACCEPT_ENCODING, "");
        status = begin(http);
        if (status == 0)
            status = run(http);
        if (status == 0)
            status = take_redirect(http, redirects);
        if (status <= 0)
            return status;
        status = 0;
    }
    return status;
}

int kl_http_ask(struct kl_conn *conn, struct kilter_str request, bool v2)
{
    struct kl_http *http = conn->http;
    char url[sizeof(http->base) + 32];

    snprintf(url, sizeof(url), "%s/git-upload-pack", http->base);
    int status = setup(http, url, v2);
    if (status < 0)
        return status;
    kilter_buf_clear(&http->body);
    if (kilter_buf_str(&http->body, request) < 0)
        return kl_conn_fail(conn, KILTER_E_LIMIT, "%s: the request is too large", conn->masked);
    http->expected = "application/x-git-upload-pack-result";
    http->headers = curl_slist_append(http->headers, "Content-Type: application/x-git-upload-pack-request");
    http->headers = curl_slist_append(http->headers, "Accept: application/x-git-upload-pack-result");
    http->headers = curl_slist_append(http->headers, "Expect:");
    curl_easy_setopt(http->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(http->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)http->body.len);
    curl_easy_setopt(http->easy, CURLOPT_POSTFIELDS, http->body.ptr ? http->body.ptr : "");
    return begin(http);
}
