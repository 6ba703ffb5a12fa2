/* SPDX-License-Identifier: Apache-2.0 */
#include "git/url.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Where a user and a password would be: [*ret_from, *ret_to), empty when there is nothing to hide. A plain user of
 * ssh is no secret. */
static void find_secret(struct kilter_str url, size_t *ret_from, size_t *ret_to)
{
    const char *mark = url.len ? memmem(url.ptr, url.len, "://", 3) : NULL;

    *ret_from = *ret_to = 0;
    if (!mark)
        return;
    size_t from = (size_t)(mark - url.ptr) + 3;
    struct kilter_str rest = kilter_str_sub(url, from, url.len);
    ptrdiff_t slash = kilter_str_find(rest, '/', 0);
    struct kilter_str authority = kilter_str_sub(rest, 0, slash < 0 ? rest.len : (size_t)slash);
    ptrdiff_t user_end = kilter_str_rfind(authority, '@'), colon = kilter_str_find(authority, ':', 0);
    bool password = colon >= 0 && colon < user_end;
    if (user_end < 0 || (kilter_str_starts(url, KILTER_STR("ssh://")) && !password))
        return;
    *ret_from = from;
    *ret_to = from + (size_t)user_end;
}

const char *kl_git_url_mask(struct kilter_str url, char *text, size_t size)
{
    size_t used = 0, from, to;

    if (size == 0)
        return text;
    find_secret(url, &from, &to);
    for (size_t at = 0; at < url.len && used + 1 < size; at++) {
        unsigned char c = (unsigned char)url.ptr[at];
        if (at == from && to > from) {
            for (int star = 0; star < 3 && used + 1 < size; star++)
                text[used++] = '*';
            at = to - 1;
            continue;
        }
        if (c == '?') /* a query may hold a token */
            break;
        text[used++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    text[used] = '\0';
    return text;
}

static int refuse(struct kilter_str url, struct kilter_error *err, const char *reason)
{
    char masked[256];
    return kilter_error_set(err, KILTER_E_INVALID, "url \"%s\" %s", kl_git_url_mask(url, masked, sizeof(masked)),
                            reason);
}

static bool has_control(struct kilter_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c < 0x20 || c == 0x7f)
            return true;
    }
    return false;
}

static bool copy(char *to, size_t size, struct kilter_str from)
{
    if (from.len >= size)
        return false;
    if (from.len)
        memcpy(to, from.ptr, from.len);
    to[from.len] = '\0';
    return true;
}

static bool is_loopback(const char *host)
{
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host));
}

/* Letters, digits, '.', '-', '_' and for literal addresses ':' and '%'; never '-' first. */
static bool host_is_sound(struct kilter_str host, bool literal)
{
    if (host.len == 0 || host.ptr[0] == '-')
        return false;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                     c == '-' || c == '_';
        if (!plain && !(literal && (c == ':' || c == '%')))
            return false;
    }
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Percent-decodes; false when it does not fit, is malformed or hides a control character. */
static bool decode(char *to, size_t size, struct kilter_str from)
{
    size_t used = 0;

    for (size_t i = 0; i < from.len; i++) {
        char c = from.ptr[i];
        if (c == '%') {
            if (i + 2 >= from.len || hex_digit(from.ptr[i + 1]) < 0 || hex_digit(from.ptr[i + 2]) < 0)
                return false;
            c = (char)(hex_digit(from.ptr[i + 1]) * 16 + hex_digit(from.ptr[i + 2]));
            i += 2;
        }
        if ((unsigned char)c < 0x20 || c == 0x7f || used + 1 >= size)
            return false;
        to[used++] = c;
    }
    to[used] = '\0';
    return true;
}

static int take_port(struct kilter_str url, struct kilter_str text, struct kl_git_url *ret,
                     struct kilter_error *err)
{
    unsigned port = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || port > 65535)
            return refuse(url, err, "has a port that is no number from 1 to 65535");
        port = port * 10 + (unsigned)(text.ptr[i] - '0');
    }
    if (text.len > 0 && (port == 0 || port > 65535))
        return refuse(url, err, "has a port that is no number from 1 to 65535");
    ret->port = (uint16_t)port;
    return 0;
}

/* HOST, HOST:PORT or [ADDRESS]:PORT. */
static int take_host(struct kilter_str url, struct kilter_str text, struct kl_git_url *ret,
                     struct kilter_error *err)
{
    struct kilter_str host = text, port = KILTER_STR("");
    bool literal = text.len > 0 && text.ptr[0] == '[';

    if (literal) {
        ptrdiff_t end = kilter_str_find(text, ']', 0);
        if (end < 0)
            return refuse(url, err, "has a '[' without a ']'");
        host = kilter_str_sub(text, 1, (size_t)end - 1);
        port = kilter_str_sub(text, (size_t)end + 1, text.len);
        if (port.len > 0 && port.ptr[0] != ':')
            return refuse(url, err, "has something behind the host that is no port");
        port = kilter_str_sub(port, 1, port.len);
    } else {
        ptrdiff_t colon = kilter_str_find(text, ':', 0);
        if (colon >= 0) {
            host = kilter_str_sub(text, 0, (size_t)colon);
            port = kilter_str_sub(text, (size_t)colon + 1, text.len);
        }
    }
    if (!host_is_sound(host, literal) || !copy(ret->host, sizeof(ret->host), host))
        return refuse(url, err,
                      "names no host that could be one: letters, digits, '.', '-' and '_' make a host, "
                      "and it does not begin with '-'");
    ret->loopback = is_loopback(ret->host);
    return take_port(url, port, ret, err);
}

static int take_user(struct kilter_str url, struct kilter_str user, struct kl_git_url *ret,
                     struct kilter_error *err)
{
    if (kilter_str_find(user, ':', 0) >= 0)
        return refuse(url, err, "holds a password; ssh takes a key: name it under credentials, as identity");
    if (user.len == 0 || user.ptr[0] == '-' || !copy(ret->user, sizeof(ret->user), user))
        return refuse(url, err, "has a user that is empty, too long or begins with '-'");
    for (const char *c = ret->user; *c; c++)
        if (strchr(" '\"`$\\;|&<>(){}*?!#%", *c))
            return refuse(url, err, "has a user with characters that no login name has");
    return 0;
}

static int parse_ssh(struct kilter_str url, struct kilter_str rest, struct kl_git_url *ret,
                     struct kilter_error *err)
{
    ptrdiff_t slash = kilter_str_find(rest, '/', 0);
    struct kilter_str authority = kilter_str_sub(rest, 0, slash < 0 ? rest.len : (size_t)slash);
    struct kilter_str path = slash < 0 ? KILTER_STR("") : kilter_str_sub(rest, (size_t)slash, rest.len);
    ptrdiff_t at = kilter_str_rfind(authority, '@');

    if (at >= 0 && take_user(url, kilter_str_sub(authority, 0, (size_t)at), ret, err) < 0)
        return KILTER_E_INVALID;
    if (take_host(url, kilter_str_sub(authority, (size_t)(at + 1), authority.len), ret, err) < 0)
        return KILTER_E_INVALID;
    if (path.len > 1 && path.ptr[1] == '~') /* ssh://host/~user/x is relative to a home, as git has it */
        path = kilter_str_sub(path, 1, path.len);
    if (path.len < 2 || !decode(ret->path, sizeof(ret->path), path))
        return refuse(url, err, "needs a path to a repository, without control characters");
    return 0;
}

/* [USER@]HOST:PATH */
static int parse_scp(struct kilter_str url, size_t colon, struct kl_git_url *ret, struct kilter_error *err)
{
    struct kilter_str authority = kilter_str_sub(url, 0, colon);
    struct kilter_str path = kilter_str_sub(url, colon + 1, url.len);
    ptrdiff_t at = kilter_str_rfind(authority, '@');

    ret->scheme = KL_GIT_SSH;
    if (at >= 0 && take_user(url, kilter_str_sub(authority, 0, (size_t)at), ret, err) < 0)
        return KILTER_E_INVALID;
    if (take_host(url, kilter_str_sub(authority, (size_t)(at + 1), authority.len), ret, err) < 0)
        return KILTER_E_INVALID;
    if (path.len > 0 && path.ptr[0] == ':')
        return refuse(url, err, "names a helper program, which is not run; use https://, ssh:// or file://");
    if (path.len == 0 || path.ptr[0] == '-' || !copy(ret->path, sizeof(ret->path), path))
        return refuse(url, err, "needs a path to a repository that does not begin with '-'");
    return 0;
}

static int parse_http(struct kilter_str url, struct kilter_str rest, struct kl_git_url *ret,
                      struct kilter_error *err)
{
    ptrdiff_t slash = kilter_str_find(rest, '/', 0);
    struct kilter_str authority = kilter_str_sub(rest, 0, slash < 0 ? rest.len : (size_t)slash);
    struct kilter_str path = slash < 0 ? KILTER_STR("") : kilter_str_sub(rest, (size_t)slash, rest.len);

    if (kilter_str_find(authority, '@', 0) >= 0)
        return refuse(url, err,
                      "holds a user or a password; put them under credentials, as username and password "
                      "or token, and take them out of the URL");
    if (take_host(url, authority, ret, err) < 0)
        return KILTER_E_INVALID;
    if (kilter_str_find(path, '?', 0) >= 0 || kilter_str_find(path, '#', 0) >= 0)
        return refuse(url, err, "has a '?' or '#', which no repository's URL has");
    while (path.len > 1 && path.ptr[path.len - 1] == '/')
        path.len--;
    for (size_t i = 0; i < path.len; i++)
        if (path.ptr[i] == ' ' || path.ptr[i] == '\\')
            return refuse(url, err, "has a blank or a backslash; write %20 or %5C");
    if (path.len < 2 || !copy(ret->path, sizeof(ret->path), path))
        return refuse(url, err, "needs a path to a repository");
    return 0;
}

static int parse_file(struct kilter_str url, struct kilter_str rest, struct kl_git_url *ret,
                      struct kilter_error *err)
{
    if (kilter_str_starts(rest, KILTER_STR("localhost/")))
        rest = kilter_str_sub(rest, strlen("localhost"), rest.len);
    if (rest.len < 2 || rest.ptr[0] != '/')
        return refuse(url, err, "needs an absolute path: file:///srv/git/x.git");
    if (!decode(ret->path, sizeof(ret->path), rest))
        return refuse(url, err, "has a path that is too long or wrongly percent-encoded");
    return 0;
}

static int parse_by_scheme(struct kilter_str url, struct kl_git_url *ret, struct kilter_error *err)
{
    static const struct {
        const char *prefix;
        enum kl_git_scheme scheme;
        int (*parse)(struct kilter_str url, struct kilter_str rest, struct kl_git_url *ret,
                     struct kilter_error *err);
    } schemes[] = {
        { "https://", KL_GIT_HTTPS, parse_http }, { "http://", KL_GIT_HTTP, parse_http },
        { "ssh://", KL_GIT_SSH, parse_ssh },      { "git+ssh://", KL_GIT_SSH, parse_ssh },
        { "ssh+git://", KL_GIT_SSH, parse_ssh },  { "file://", KL_GIT_FILE, parse_file },
    };

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = strlen(schemes[i].prefix);
        if (url.len < len || strncasecmp(url.ptr, schemes[i].prefix, len) != 0)
            continue;
        ret->scheme = schemes[i].scheme;
        return schemes[i].parse(url, kilter_str_sub(url, len, url.len), ret, err);
    }
    if (kilter_str_starts(url, KILTER_STR("git://")))
        return refuse(url, err, "uses git://, which proves nothing about who answers; use https:// or ssh://");
    return refuse(url, err, "has a scheme that is not known; use https://, ssh:// or file://");
}

int kl_git_url_parse(struct kilter_str url, struct kl_git_url *ret, struct kilter_error *err)
{
    struct kl_git_url parsed = { 0 };
    ptrdiff_t colon = kilter_str_find(url, ':', 0), slash = kilter_str_find(url, '/', 0);
    int status;

    if (url.len == 0)
        return refuse(url, err, "is empty");
    if (has_control(url))
        return refuse(url, err, "holds control characters");
    if (url.ptr[0] == '-')
        return refuse(url, err, "begins with '-'");
    if (url.ptr[0] == '/') {
        parsed.scheme = KL_GIT_FILE;
        if (!copy(parsed.path, sizeof(parsed.path), url))
            return refuse(url, err, "is too long");
        status = 0;
    } else if (colon >= 0 && kilter_str_starts(kilter_str_sub(url, (size_t)colon, 3), KILTER_STR("://"))) {
        status = parse_by_scheme(url, &parsed, err);
    } else if (url.ptr[0] == '[' || (colon > 0 && (slash < 0 || colon < slash))) {
        if (url.ptr[0] == '[') {
            ptrdiff_t end = kilter_str_find(url, ']', 0);
            colon = end < 0 ? -1 : kilter_str_find(url, ':', (size_t)end);
            if (colon < 0)
                return refuse(url, err, "has a '[' without \"]:\" and a path");
        }
        status = parse_scp(url, (size_t)colon, &parsed, err);
    } else {
        return refuse(url, err,
                      "is no repository's URL; use https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH, "
                      "file:///PATH or an absolute path");
    }
    if (status == 0)
        *ret = parsed;
    return status;
}
