/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The refs of a remote, asked for by protocol version 2 with a prefix, so that
 * 20,000 refs cost no more than one; servers that only know the older versions
 * list everything, and we take what we need. And the choice among them.
 */
#include "git/conn.h"
#include "git/semver.h"

#define MAX_LISTING ((uint64_t)64 << 20) /* bytes of one listing of refs */
#define MAX_LINE 65520u

/* --- packet lines ---------------------------------------------------------------- */
enum pkt_kind { PKT_DATA, PKT_FLUSH, PKT_DELIM, PKT_END, PKT_EOF };

struct pkt_reader {
    struct kl_conn *conn;
    char bytes[4 + MAX_LINE + 1];
    size_t from, to;
    uint64_t total;
};

/* Makes `len` bytes available at reader->from; false at the end. Negative on failure. */
static int fill(struct pkt_reader *reader, size_t len)
{
    while (reader->to - reader->from < len) {
        size_t got;
        if (reader->from > 0) {
            memmove(reader->bytes, reader->bytes + reader->from, reader->to - reader->from);
            reader->to -= reader->from;
            reader->from = 0;
        }
        int status =
            kl_conn_read(reader->conn, reader->bytes + reader->to, sizeof(reader->bytes) - 1 - reader->to, &got);
        if (status < 0)
            return status;
        if (got == 0)
            return 0;
        reader->to += got;
        reader->total += got;
        if (reader->total > MAX_LISTING)
            return kl_conn_fail(reader->conn, KILTER_E_LIMIT, "%s lists more refs than %llu MiB",
                                reader->conn->masked, (unsigned long long)(MAX_LISTING >> 20));
    }
    return 1;
}

static int nonsense(struct kl_conn *conn)
{
    return kl_conn_fail(conn, KILTER_E_IO,
                        "%s does not speak Git's protocol; is this the URL of a repository, and not of a web page?",
                        conn->masked);
}

static int pkt_length(const char *text)
{
    int length = 0;

    for (int i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdef";
        const char *found =
            text[i] ? strchr(digits, text[i] >= 'A' && text[i] <= 'F' ? text[i] + 32 : text[i]) : NULL;
        if (!found)
            return -1;
        length = length * 16 + (int)(found - digits);
    }
    return length;
}

/* The next line, without its newline; valid until the next call. */
static int pkt_next(struct pkt_reader *reader, enum pkt_kind *ret_kind, struct kilter_str *ret_line)
{
    int status = fill(reader, 4);

    *ret_line = KILTER_STR("");
    if (status <= 0) {
        *ret_kind = PKT_EOF;
        return reader->to > reader->from && status == 0 ? nonsense(reader->conn) : status;
    }
    int length = pkt_length(reader->bytes + reader->from);
    if (length < 0 || length == 3)
        return nonsense(reader->conn);
    if (length < 3) {
        static const enum pkt_kind kinds[] = { PKT_FLUSH, PKT_DELIM, PKT_END };
        reader->from += 4;
        *ret_kind = kinds[length];
        return 0;
    }
    status = fill(reader, (size_t)length);
    if (status <= 0)
        return status < 0 ? status
                          : kl_conn_fail(reader->conn, KILTER_E_IO,
                                         "%s: the connection ended in the middle of the "
                                         "list of refs; it is tried again",
                                         reader->conn->masked);
    struct kilter_str line = kilter_str_n(reader->bytes + reader->from + 4, (size_t)length - 4);
    reader->from += (size_t)length;
    if (kilter_str_ends(line, KILTER_STR("\n")))
        line.len--;
    if (kilter_str_starts(line, KILTER_STR("ERR ")))
        return kl_conn_fail(reader->conn, KILTER_E_NOT_FOUND, "%s: the server says: %.*s", reader->conn->masked,
                            KILTER_STR_ARG(kilter_str_sub(line, 4, 200)));
    *ret_kind = PKT_DATA;
    *ret_line = line;
    return 0;
}

/* --- lists of refs ------------------------------------------------------------------ */
void kl_remote_refs_release(struct kl_remote_refs *refs)
{
    kilter_arena_free(refs->arena);
    free(refs->items);
    memset(refs, 0, sizeof(*refs));
}

int kl_remote_refs_add(struct kl_conn *conn, struct kl_remote_refs *refs, struct kilter_str name, const git_oid *id,
                       const git_oid *peeled)
{
    if (!refs->arena && !(refs->arena = kilter_arena_new(MAX_LISTING * 2)))
        return kl_conn_fail(conn, KILTER_E_NOMEM, "out of memory");
    if (refs->count == refs->capacity) {
        size_t capacity = refs->capacity ? refs->capacity * 2 : 16;
        struct kl_remote_ref *grown = reallocarray(refs->items, capacity, sizeof(*grown));
        if (!grown)
            return kl_conn_fail(conn, KILTER_E_NOMEM, "out of memory");
        refs->items = grown;
        refs->capacity = capacity;
    }
    struct kl_remote_ref *ref = &refs->items[refs->count];
    ref->name = kilter_arena_str(refs->arena, name).ptr;
    ref->id = *id;
    ref->peeled = *peeled;
    if (!ref->name)
        return kl_conn_fail(conn, KILTER_E_NOMEM, "out of memory");
    refs->count++;
    return 0;
}

struct listing {
    struct pkt_reader reader;
    struct kl_conn *conn;
    struct kilter_str prefix;
    bool exact;
    struct kl_remote_refs *refs;
};

static bool wanted(const struct listing *listing, struct kilter_str name)
{
    return listing->exact ? kilter_str_eq(name, listing->prefix) : kilter_str_starts(name, listing->prefix);
}

/* "<id> <name>" with attributes behind (version 2) or capabilities behind a zero byte (version 0). */
static int take_ref(struct listing *listing, struct kilter_str line)
{
    git_oid id, peeled;

    if (line.len < KL_OID_HEX + 2 || line.ptr[KL_OID_HEX] != ' ')
        return nonsense(listing->conn);
    if (kilter_str_starts(line, KILTER_STR("unborn ")))
        return 0;
    if (git_oid_fromstrn(&id, line.ptr, KL_OID_HEX) < 0)
        return nonsense(listing->conn);
    struct kilter_str name = kilter_str_sub(line, KL_OID_HEX + 1, line.len), attributes = KILTER_STR("");
    ptrdiff_t zero = kilter_str_find(name, '\0', 0), blank = kilter_str_find(name, ' ', 0);
    if (zero >= 0) {
        name = kilter_str_sub(name, 0, (size_t)zero);
    } else if (blank >= 0) {
        attributes = kilter_str_sub(name, (size_t)blank, name.len);
        name = kilter_str_sub(name, 0, (size_t)blank);
    }
    peeled = id;
    for (size_t at = 0; at + 8 + KL_OID_HEX <= attributes.len; at++)
        if (memcmp(attributes.ptr + at, " peeled:", 8) == 0)
            git_oid_fromstrn(&peeled, attributes.ptr + at + 8, KL_OID_HEX);
    if (kilter_str_ends(name, KILTER_STR("^{}"))) { /* version 0 says it on a line of its own, right behind */
        struct kl_remote_refs *refs = listing->refs;
        name.len -= 3;
        if (refs->count > 0 && kilter_str_eq_c(name, refs->items[refs->count - 1].name))
            refs->items[refs->count - 1].peeled = id;
        return 0;
    }
    return wanted(listing, name) ? kl_remote_refs_add(listing->conn, listing->refs, name, &id, &peeled) : 0;
}

static int take_refs(struct listing *listing, struct kilter_str first, bool have_first)
{
    enum pkt_kind kind = PKT_DATA;
    int status = 0;

    if (have_first)
        status = take_ref(listing, first);
    while (status == 0) {
        struct kilter_str line;
        status = pkt_next(&listing->reader, &kind, &line);
        if (status == 0 && kind == PKT_FLUSH)
            return 0;
        if (status == 0 && kind == PKT_EOF)
            return kl_conn_fail(listing->conn, KILTER_E_IO,
                                "%s: the connection ended in the middle of the list of refs; it is tried again",
                                listing->conn->masked);
        if (status == 0 && kind == PKT_DATA && !kilter_str_starts(line, KILTER_STR("shallow ")))
            status = take_ref(listing, line);
    }
    return status;
}

static int add_line(struct kilter_buf *out, const char *text, struct kilter_str rest)
{
    return kilter_buf_printf(out, "%04zx%s%.*s\n", strlen(text) + rest.len + 5, text, KILTER_STR_ARG(rest));
}

static int other_hash(struct kl_conn *conn)
{
    return kl_conn_fail(conn, KILTER_E_UNSUPPORTED,
                        "%s: the repository names its objects by SHA-256, which is not supported", conn->masked);
}

static int list_v2(struct listing *listing)
{
    struct kilter_buf request = KILTER_BUF_INIT(8192);
    enum pkt_kind kind = PKT_DATA;
    struct kilter_str line;
    bool names_format = false;
    int status = 0;

    while (status == 0 && kind != PKT_FLUSH) {
        status = pkt_next(&listing->reader, &kind, &line);
        if (status == 0 && kind == PKT_EOF)
            status = nonsense(listing->conn);
        if (status == 0 && kilter_str_eq_c(line, "object-format=sha256"))
            status = other_hash(listing->conn);
        names_format = names_format || kilter_str_eq_c(line, "object-format=sha1");
    }
    if (status < 0)
        return status;
    add_line(&request, "command=ls-refs", KILTER_STR(""));
    if (names_format)
        add_line(&request, "object-format=sha1", KILTER_STR(""));
    kilter_buf_c(&request, "0001");
    add_line(&request, "peel", KILTER_STR(""));
    add_line(&request, "ref-prefix ", listing->prefix);
    kilter_buf_c(&request, "0000");
    status = kl_conn_ask(listing->conn, kilter_buf_view(&request));
    kilter_buf_release(&request);
    return status < 0 ? status : take_refs(listing, line, false);
}

/* An empty repository's version 0 advertisement: no ref, only capabilities on a made-up name. */
static bool is_empty_advertisement(struct kilter_str line)
{
    return line.len > KL_OID_HEX + 16 && memcmp(line.ptr + KL_OID_HEX, " capabilities^{}", 16) == 0;
}

static bool holds(struct kilter_str text, const char *word)
{
    return memmem(text.ptr, text.len, word, strlen(word)) != NULL;
}

static int list(struct listing *listing)
{
    struct kl_conn *conn = listing->conn;
    enum pkt_kind kind;
    struct kilter_str line;
    int status = kl_conn_start(conn, true);

    if (status == 0)
        status = pkt_next(&listing->reader, &kind, &line);
    if (status == 0 && kind == PKT_DATA && kilter_str_starts(line, KILTER_STR("# service="))) {
        status = pkt_next(&listing->reader, &kind, &line); /* the flush behind it */
        if (status == 0 && kind == PKT_FLUSH)
            status = pkt_next(&listing->reader, &kind, &line);
    }
    if (status == 0 && kind == PKT_DATA && kilter_str_eq_c(line, "version 2"))
        return list_v2(listing);
    if (status == 0 && kind == PKT_DATA && kilter_str_eq_c(line, "version 1"))
        status = pkt_next(&listing->reader, &kind, &line);
    if (status < 0)
        return status;
    if (kind == PKT_FLUSH)
        return 0; /* no refs at all */
    if (kind != PKT_DATA)
        return nonsense(conn);
    if (holds(line, "object-format=sha256"))
        return other_hash(conn);
    return take_refs(listing, line, !is_empty_advertisement(line));
}

int kl_remote_list(struct kl_conn *conn, const char *prefix, bool exact, struct kl_remote_refs *ret)
{
    if (conn->url.scheme == KL_GIT_FILE)
        return kl_local_list(conn, prefix, exact, ret);
    KL_CLEANUP(kl_freep) struct listing *listing = calloc(1, sizeof(*listing));
    if (!listing)
        return kl_conn_fail(conn, KILTER_E_NOMEM, "out of memory");
    listing->conn = conn;
    listing->reader.conn = conn;
    listing->prefix = kilter_str_c(prefix);
    listing->exact = exact;
    listing->refs = ret;
    int status = list(listing);
    if (conn->url.scheme == KL_GIT_SSH)
        kl_ssh_stop(conn);
    return status;
}

/* --- choosing ------------------------------------------------------------------------- */
#define CLEANUP_REFS KL_CLEANUP(kl_remote_refs_release)

/* The nearest of the names behind `prefix`, to say "did you mean". */
static void nearest(const struct kl_remote_refs *refs, const char *prefix, const char *word, char *text,
                    size_t size)
{
    KL_CLEANUP(kl_freep) struct kilter_str *names = calloc(refs->count + 1, sizeof(*names));
    size_t count = 0, total = 0;

    *text = '\0';
    for (size_t i = 0; names && i < refs->count; i++)
        if (strncmp(refs->items[i].name, prefix, strlen(prefix)) == 0 && total++ < 5000)
            names[count++] = kilter_str_c(refs->items[i].name + strlen(prefix));
    if (!names || count == 0)
        return;
    struct kilter_str found = kilter_nearest(kilter_str_c(word), names, count);
    if (found.ptr)
        snprintf(text, size, "; did you mean \"%.*s\"?", KILTER_STR_ARG(found));
    else
        snprintf(text, size, "; there %s %zu, such as \"%.*s\"", total == 1 ? "is" : "are", total,
                 KILTER_STR_ARG(names[0]));
}

static int not_there(struct kl_conn *conn, const char *what, const char *prefix, const char *word)
{
    CLEANUP_REFS struct kl_remote_refs all = { 0 };
    char hint[300];
    int status = kl_remote_list(conn, "refs/", false, &all);

    if (status < 0)
        return status;
    if (all.count == 0)
        return kl_conn_fail(conn, KILTER_E_NOT_FOUND, "%s is empty: no commit was pushed to it yet", conn->masked);
    nearest(&all, prefix, word, hint, sizeof(hint));
    return kl_conn_fail(conn, KILTER_E_NOT_FOUND, "%s has no %s \"%s\"%s", conn->masked, what, word, hint);
}

static int select_name(struct kl_conn *conn, const char *what, const char *prefix, const char *word,
                       char ret_name[256], git_oid *ret_commit)
{
    CLEANUP_REFS struct kl_remote_refs refs = { 0 };
    int valid = 0;

    if (snprintf(ret_name, 256, "%s%s", prefix, word) >= 256 || !*word ||
        git_reference_name_is_valid(&valid, ret_name) < 0 || !valid ||
        (!*prefix && strcmp(word, "HEAD") != 0 && strncmp(word, "refs/", 5) != 0))
        return kl_conn_fail(conn, KILTER_E_INVALID, "\"%.200s\" is no name that a %s can have%s", word, what,
                            *prefix ? "" : "; a full name begins with refs/");
    int status = kl_remote_list(conn, ret_name, true, &refs);
    if (status < 0)
        return status;
    if (refs.count == 0)
        return not_there(conn, what, *prefix ? prefix : "", word);
    *ret_commit = refs.items[0].peeled;
    return 0;
}

static int no_version(struct kl_conn *conn, const struct kl_remote_refs *refs, const char *range, size_t versions)
{
    struct kl_semver best = { 0 }, version;
    const char *name = NULL;

    if (refs->count == 0)
        return not_there(conn, "tag within", "refs/tags/", range);
    for (size_t i = 0; i < refs->count; i++) {
        const char *tag = refs->items[i].name + strlen("refs/tags/");
        if (kl_semver_parse(kilter_str_c(tag), &version) == 0 &&
            (!name || kl_semver_compare(&version, &best) > 0)) {
            best = version;
            name = tag;
        }
    }
    if (!name)
        return kl_conn_fail(conn, KILTER_E_NOT_FOUND, "none of the %zu tags of %s is a version such as v1.2.3",
                            refs->count, conn->masked);
    return kl_conn_fail(conn, KILTER_E_NOT_FOUND,
                        "none of the %zu versions of %s is within \"%s\"; the highest is %s%s", versions,
                        conn->masked, range, name,
                        best.prerelease.len ? " (a prerelease counts only when the range names one)" : "");
}

static int select_version(struct kl_conn *conn, const char *text, char ret_name[256], git_oid *ret_commit)
{
    CLEANUP_REFS struct kl_remote_refs refs = { 0 };
    struct kl_semver_range range;
    struct kl_semver best, version;
    const struct kl_remote_ref *found = NULL;
    const char *why;
    size_t at, versions = 0;

    if (kl_semver_range_parse(kilter_str_c(text), &range, &why, &at) < 0)
        return kl_conn_fail(conn, KILTER_E_INVALID, "semver range \"%s\": %s, at character %zu", text, why, at + 1);
    int status = kl_remote_list(conn, "refs/tags/", false, &refs);
    if (status < 0)
        return status;
    for (size_t i = 0; i < refs.count; i++) {
        const struct kl_remote_ref *ref = &refs.items[i];
        if (kl_semver_parse(kilter_str_c(ref->name + strlen("refs/tags/")), &version) < 0)
            continue;
        versions++;
        if (!kl_semver_matches(&range, &version))
            continue;
        /* Of equal ones (v1.2.3 beside 1.2.3, or other build metadata) the name decides, always the same way. */
        int order = found ? kl_semver_compare(&version, &best) : 1;
        if (order > 0 || (order == 0 && strcmp(ref->name, found->name) > 0)) {
            found = ref;
            best = version;
        }
    }
    if (!found)
        return no_version(conn, &refs, text, versions);
    snprintf(ret_name, 256, "%s", found->name);
    *ret_commit = found->peeled;
    return 0;
}

int kl_remote_select(struct kl_conn *conn, char ret_name[256], git_oid *ret_commit)
{
    struct kilter_str ref = conn->request->ref;
    char word[256];

    ret_name[0] = '\0';
    if (ref.len >= sizeof(word) || kilter_str_find(ref, '\0', 0) >= 0)
        return kl_conn_fail(conn, KILTER_E_INVALID, "the ref \"%.60s...\" is too long", ref.ptr);
    snprintf(word, sizeof(word), "%.*s", KILTER_STR_ARG(ref));
    switch (conn->request->kind) {
    case KL_FETCH_BRANCH:
        return select_name(conn, "branch", "refs/heads/", word, ret_name, ret_commit);
    case KL_FETCH_TAG:
        return select_name(conn, "tag", "refs/tags/", word, ret_name, ret_commit);
    case KL_FETCH_NAME:
        return select_name(conn, "ref", "", word, ret_name, ret_commit);
    case KL_FETCH_SEMVER:
        return select_version(conn, word, ret_name, ret_commit);
    case KL_FETCH_COMMIT:
        if (ref.len == KL_OID_HEX && git_oid_fromstrn(ret_commit, word, KL_OID_HEX) == 0)
            return 0;
        return kl_conn_fail(conn, KILTER_E_INVALID, "\"%s\" is no commit: write all %d hexadecimal digits", word,
                            KL_OID_HEX);
    }
    return kl_conn_fail(conn, KILTER_E_INVALID, "unknown kind of ref");
}
