/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job `probe`: one look at an URL that says whether an app works.
 *
 * A GET, straight to the host and never through a proxy. Redirects are followed
 * by hand, on the same host only and never away from https. A status of 200 to
 * 299 is healthy; what the body holds does not matter, and no more of it is
 * taken than BODY_MAX. That the URL does not answer as it should is what the
 * job finds out, and not its failure.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/clock.h"
#include "worker/job.h"

#define BODY_MAX 65536u
#define REDIRECTS_MAX 5
#define TIMEOUT_MS 10000

struct probing {
    struct kl_job *job;
    CURL *easy;
    const char *url; /* as it was asked for: what messages name */
    int64_t end_ns;
    int64_t timeout_ms;
    size_t received;
    bool enough; /* of the body */
    char details[CURL_ERROR_SIZE];
};

/* --- the answer -------------------------------------------------------------------------- */
static int answer(struct kl_job *job, bool healthy, long code, const char *message)
{
    struct kilter_value *map = kilter_map(job->arena);
    struct kilter_value *said = kilter_bool(job->arena, healthy), *number = kilter_int(job->arena, code),
                        *text = kilter_string_c(job->arena, message ? message : "");

    if (!map || !said || !number || !text || kilter_set(job->arena, map, "healthy", said) < 0 ||
        kilter_set(job->arena, map, "code", number) < 0 || kilter_set(job->arena, map, "message", text) < 0)
        return kilter_error_set(&job->error, KILTER_E_NOMEM, "out of memory for the answer");
    kl_job_done(job, KILTER_OK, map);
    return KILTER_OK;
}

static const char *what_failed(CURLcode result)
{
    switch (result) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return "its host name does not resolve";
    case CURLE_COULDNT_CONNECT:
        return "cannot connect";
    case CURLE_PEER_FAILED_VERIFICATION:
        return "the server's certificate is refused";
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
        return "the connection ended without an answer";
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        return "what answers there is not HTTP";
    default:
        return "no answer";
    }
}

static int not_reached(struct probing *p, CURLcode result)
{
    const char *details = *p->details ? p->details : curl_easy_strerror(result);
    char message[700];

    if (result == CURLE_OPERATION_TIMEDOUT)
        snprintf(message, sizeof message, "%.300s: no answer within %lld ms", p->url, (long long)p->timeout_ms);
    else
        snprintf(message, sizeof message, "%.300s: %s: %.200s", p->url, what_failed(result), details);
    return answer(p->job, false, 0, message);
}

/* --- one request ---------------------------------------------------------------------------- */
static size_t on_body(char *bytes, size_t size, size_t count, void *data)
{
    struct probing *p = data;

    (void)bytes;
    p->received += size * count;
    p->enough = p->received > BODY_MAX;
    return p->enough ? 0 : size * count;
}

static int on_progress(void *data, curl_off_t total, curl_off_t now, curl_off_t send_total, curl_off_t sent)
{
    struct probing *p = data;

    (void)total;
    (void)now;
    (void)send_total;
    (void)sent;
    return kl_job_stopped(p->job) ? 1 : 0;
}

static bool set_up(struct probing *p)
{
    CURL *easy = p->easy;

    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOPROXY, "*") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_USERAGENT, "kilter") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, p->details) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, p) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_XFERINFODATA, p) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L) == CURLE_OK;
}

static CURLcode request(struct probing *p, const char *url)
{
    int64_t left = (p->end_ns - kl_clock_monotonic_ns()) / KL_NS_PER_MS;

    p->received = 0;
    p->enough = false;
    p->details[0] = '\0';
    if (left <= 0)
        return CURLE_OPERATION_TIMEDOUT;
    if (curl_easy_setopt(p->easy, CURLOPT_URL, url) != CURLE_OK ||
        curl_easy_setopt(p->easy, CURLOPT_TIMEOUT_MS, (long)left) != CURLE_OK)
        return CURLE_OUT_OF_MEMORY;
    CURLcode result = curl_easy_perform(p->easy);
    return result == CURLE_WRITE_ERROR && p->enough ? CURLE_OK : result;
}

/* --- redirects -------------------------------------------------------------------------------- */
/* The scheme and the host of an URL, to be freed with curl_free; both NULL when it is none. */
static void split(const char *url, char **ret_scheme, char **ret_host)
{
    CURLU *parts = curl_url();

    *ret_scheme = *ret_host = NULL;
    if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_SCHEME, ret_scheme, 0) == CURLUE_OK)
        curl_url_get(parts, CURLUPART_HOST, ret_host, 0);
    curl_url_cleanup(parts);
}

/* Why this redirect is not followed, or NULL. */
static const char *refused_redirect(struct kl_job *job, const char *from, const char *to)
{
    char *scheme, *host, *next_scheme, *next_host;
    const char *why = NULL;

    split(from, &scheme, &host);
    split(to, &next_scheme, &next_host);
    if (!scheme || !host || !next_scheme || !next_host)
        why = "redirects to something that is no URL";
    else if (strcasecmp(host, next_host) != 0)
        why =
            kilter_arena_printf(job->arena, "redirects to another host, %.200s, which is not followed", next_host);
    else if (strcasecmp(scheme, "https") == 0 && strcasecmp(next_scheme, "https") != 0)
        why = "redirects away from https, which is not followed";
    curl_free(scheme);
    curl_free(host);
    curl_free(next_scheme);
    curl_free(next_host);
    return why;
}

/* --- the job ------------------------------------------------------------------------------------ */
static int judge(struct probing *p, long code)
{
    char message[400];

    if (code >= 200 && code <= 299)
        return answer(p->job, true, code, NULL);
    snprintf(message, sizeof message, "%.300s answers %ld", p->url, code);
    return answer(p->job, false, code, message);
}

static int probe(struct probing *p)
{
    const char *url = p->url, *next = NULL, *why;
    char message[600];

    for (int i = 0; i <= REDIRECTS_MAX; i++) {
        long code = 0;
        CURLcode result = request(p, url);
        int stopped = kl_job_check(p->job);
        if (stopped < 0)
            return kilter_error_set(&p->job->error, stopped, "the probe of %.300s was stopped", p->url);
        if (result == CURLE_OUT_OF_MEMORY)
            return kilter_error_set(&p->job->error, KILTER_E_NOMEM, "out of memory");
        if (result != CURLE_OK)
            return not_reached(p, result);
        curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &code);
        curl_easy_getinfo(p->easy, CURLINFO_REDIRECT_URL, &next);
        if (!next)
            return judge(p, code);
        if ((why = refused_redirect(p->job, url, next))) {
            snprintf(message, sizeof message, "%.300s answers %ld and %s", p->url, code, why);
            return answer(p->job, false, code, message);
        }
        url = kilter_arena_str(p->job->arena, kilter_str_c(next)).ptr;
        if (!url)
            return kilter_error_set(&p->job->error, KILTER_E_NOMEM, "out of memory");
    }
    snprintf(message, sizeof message, "%.300s redirects more than %d times", p->url, REDIRECTS_MAX);
    return answer(p->job, false, 0, message);
}

int kl_job_probe(struct kl_job *job)
{
    struct probing p = { .job = job, .timeout_ms = kl_job_int(job, "timeoutMs", TIMEOUT_MS) };

    p.url = kl_job_require(job, "url");
    if (!p.url)
        return KILTER_E_INVALID;
    p.end_ns = kl_clock_monotonic_ns() + p.timeout_ms * KL_NS_PER_MS;
    p.easy = curl_easy_init();
    if (!p.easy || !set_up(&p)) {
        curl_easy_cleanup(p.easy);
        return kilter_error_set(&job->error, KILTER_E_NOMEM, "out of memory");
    }
    int rc = probe(&p);
    curl_easy_cleanup(p.easy);
    return rc;
}
