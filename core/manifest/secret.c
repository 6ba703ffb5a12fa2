/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/secret.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/cleanup.h"

static const struct {
    const char *key;
    enum kl_secret_kind kind;
} kinds[] = {
    { "file", KL_SECRET_FILE },
    { "credential", KL_SECRET_CREDENTIAL },
    { "env", KL_SECRET_ENV },
};
#define KIND_COUNT (sizeof(kinds) / sizeof(kinds)[0])

/* --- reading a reference ----------------------------------------------------------- */
static int complain(struct kilter_diags *diags, const struct kilter_value *at, const char *hint, const char *what,
                    const char *problem)
{
    kilter_diag_add(diags, KILTER_ERROR, "manifest.secret", kilter_origin_of(at), hint, "%s %s", what, problem);
    return KILTER_E_INVALID;
}

static bool is_variable(struct kilter_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool digit = c >= '0' && c <= '9';
        if (!(c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (digit && i > 0)))
            return false;
    }
    return name.len > 0;
}

/* As systemd takes them for LoadCredential=: one file name. */
static bool is_credential(struct kilter_str name)
{
    return name.len > 0 && name.len <= NAME_MAX && kilter_str_find(name, '/', 0) < 0 && name.ptr[0] != '.';
}

static int check_value(const struct kilter_value *value, const char *what, const struct kl_secret_ref *ref,
                       struct kilter_diags *diags)
{
    if (kilter_type_of(value) != KILTER_SCALAR || ref->value.len == 0 ||
        kilter_is_null(value, KILTER_SCHEMA_KUBERNETES))
        return complain(diags, value, NULL, what, "names nothing: expected a string");
    if (memchr(ref->value.ptr, '\0', ref->value.len))
        return complain(diags, value, NULL, what, "holds a NUL byte");
    switch (ref->kind) {
    case KL_SECRET_FILE:
        return ref->value.ptr[0] == '/'
                   ? 0
                   : complain(diags, value, "the daemon's working directory is no place to rely on", what,
                              "names a file by a relative path: expected an absolute one");
    case KL_SECRET_ENV:
        return is_variable(ref->value) ? 0
                                       : complain(diags, value, "letters, digits and '_', no digit first", what,
                                                  "names a variable that cannot be one");
    default:
        return is_credential(ref->value)
                   ? 0
                   : complain(diags, value, "use the name given in the unit's LoadCredential=", what,
                              "names a credential that cannot be one");
    }
}

int kl_secret_read(const struct kilter_value *map, const char *what, struct kl_secret_ref *ret,
                   struct kilter_diags *diags)
{
    struct kl_secret_ref ref = { .origin = kilter_origin_of(map) };
    const struct kilter_value *named = NULL;
    size_t count = 0;

    if (!map || kilter_type_of(map) != KILTER_MAP) {
        bool text = map && kilter_type_of(map) == KILTER_SCALAR && !kilter_is_null(map, KILTER_SCHEMA_KUBERNETES);
        return complain(
            diags, map,
            text ? "put it into a file that only the daemon may read and write {file: /PATH/TO/IT}; if it "
                   "was ever committed, change it"
                 : NULL,
            what,
            text ? "is written out; secrets are only named, by {file: PATH}, {credential: NAME} or "
                   "{env: NAME}"
                 : "is no reference: expected {file: PATH}, {credential: NAME} or {env: NAME}");
    }
    for (size_t i = 0; i < KIND_COUNT; i++) {
        const struct kilter_value *value = kilter_get(map, kinds[i].key);
        if (!value)
            continue;
        count++;
        named = value;
        ref.kind = kinds[i].kind;
        ref.value = kilter_text(value);
    }
    if (count != 1 || kilter_map_size(map) != 1)
        return complain(diags, map, NULL, what, "takes exactly one of file, credential and env");
    if (check_value(named, what, &ref, diags) < 0)
        return KILTER_E_INVALID;
    *ret = ref;
    return 0;
}

/* --- resolving it ---------------------------------------------------------------------- */
int kl_secret_path(const struct kl_secret_ref *ref, char *ret_path, size_t size, struct kilter_error *err)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    int n;

    if (ref->kind != KL_SECRET_FILE && ref->kind != KL_SECRET_CREDENTIAL)
        return kilter_error_set(err, KILTER_E_UNSUPPORTED, "a variable of the environment is no file");
    if (ref->kind == KL_SECRET_CREDENTIAL && !directory)
        return kilter_error_set(err, KILTER_E_NOT_FOUND,
                                "credential \"%.*s\": the daemon was given none; LoadCredential= in its unit "
                                "does that",
                                KILTER_STR_ARG(ref->value));
    if (ref->kind == KL_SECRET_FILE)
        n = snprintf(ret_path, size, "%.*s", KILTER_STR_ARG(ref->value));
    else
        n = snprintf(ret_path, size, "%s/%.*s", directory, KILTER_STR_ARG(ref->value));
    if (n < 0 || (size_t)n >= size)
        return kilter_error_set(err, KILTER_E_LIMIT, "the secret's path is too long");
    return 0;
}

static int append_env(const struct kl_secret_ref *ref, struct kilter_buf *out, struct kilter_error *err)
{
    char name[256];

    if (ref->value.len >= sizeof name)
        return kilter_error_set(err, KILTER_E_LIMIT, "the variable's name is too long");
    memcpy(name, ref->value.ptr, ref->value.len);
    name[ref->value.len] = '\0';
    const char *value = getenv(name);
    if (!value)
        return kilter_error_set(err, KILTER_E_NOT_FOUND, "variable %s is not in the daemon's environment", name);
    if (!value[0])
        return kilter_error_set(err, KILTER_E_INVALID, "variable %s is empty", name);
    int rc = strlen(value) > KL_SECRET_MAX ? KILTER_E_LIMIT : kilter_buf_c(out, value);
    return rc ? kilter_error_set(err, rc, "variable %s is longer than a secret may be", name) : 0;
}

/* Opened without blocking, so that a FIFO in a secret's place hangs nobody. */
static int open_secret(const char *path, struct stat *ret_stat, struct kilter_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return kilter_error_errno(err, errno, "cannot open %s", path);
    int rc = 0;
    if (fstat(fd, ret_stat) < 0)
        rc = kilter_error_errno(err, errno, "cannot look at %s", path);
    else if (!S_ISREG(ret_stat->st_mode))
        rc = kilter_error_set(err, KILTER_E_INVALID, "%s is no regular file", path);
    else if (ret_stat->st_size > (off_t)KL_SECRET_MAX)
        rc = kilter_error_set(err, KILTER_E_LIMIT, "%s is longer than a secret may be (%u bytes)", path,
                              KL_SECRET_MAX);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    return fd;
}

/* Into memory that is reserved at once: a buffer that grows leaves copies of the secret behind. */
static int read_secret(int fd, const char *path, size_t size, struct kilter_buf *out, struct kilter_error *err)
{
    size_t len = 0;
    char *bytes = kilter_buf_reserve(out, size + 1);

    if (!bytes)
        return kilter_error_set(err, out->failed, "reading %s", path);
    while (len < size + 1) {
        ssize_t n = read(fd, bytes + len, size + 1 - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return kilter_error_errno(err, errno, "cannot read %s", path);
        if (n == 0)
            break;
        len += (size_t)n;
    }
    if (len > size)
        return kilter_error_set(err, KILTER_E_CONFLICT, "%s grew while it was read", path);
    if (len > 0 && bytes[len - 1] == '\n')
        len--;
    if (len == 0)
        return kilter_error_set(err, KILTER_E_INVALID, "%s is empty", path);
    bytes[len] = '\0';
    out->len += len;
    return 0;
}

int kl_secret_resolve(const struct kl_secret_ref *ref, struct kilter_buf *out, struct kilter_diags *diags,
                      struct kilter_error *err)
{
    char path[PATH_MAX];
    struct stat st;

    if (ref->kind == KL_SECRET_ENV)
        return append_env(ref, out, err);
    int rc = kl_secret_path(ref, path, sizeof path, err);
    if (rc < 0)
        return rc;
    KL_CLEANUP(kl_closep) int fd = open_secret(path, &st, err);
    if (fd < 0)
        return fd;
    if (ref->kind == KL_SECRET_FILE && st.st_mode & S_IROTH)
        kilter_diag_add(diags, KILTER_WARNING, "manifest.secret-mode", ref->origin,
                        "chmod o-rwx it, and give it to the daemon's user", "everybody may read the secret in %s",
                        path);
    return read_secret(fd, path, (size_t)st.st_size, out, err);
}

void kl_secret_wipe(struct kilter_buf *buf)
{
    if (!buf)
        return;
    if (buf->ptr)
        explicit_bzero(buf->ptr, buf->cap);
    kilter_buf_release(buf);
}

/* --- options of a plugin ------------------------------------------------------------------- */
static int resolve_one(struct kilter_arena *arena, const struct kilter_option *option, struct kilter_value *config,
                       struct kilter_diags *diags, struct kilter_error *err)
{
    const struct kilter_value *reference = kilter_get(config, option->name);
    struct kl_secret_ref ref = { 0 };
    struct kilter_buf text = KILTER_BUF_INIT(KL_SECRET_MAX + 1);

    if (kilter_is_null(reference, KILTER_SCHEMA_KUBERNETES))
        return 0;
    if (kl_secret_read(reference, option->name, &ref, diags) < 0)
        return kilter_error_set(err, KILTER_E_INVALID, "option \"%s\" is no reference to a secret", option->name);
    int rc = kl_secret_resolve(&ref, &text, diags, err);
    if (rc == 0) {
        struct kilter_value *secret = kilter_string(arena, kilter_buf_view(&text));
        if (secret)
            kilter_set_marks(secret, KILTER_VALUE_SECRET);
        if (!secret || kilter_set(arena, config, option->name, secret) < 0)
            rc = kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    }
    kl_secret_wipe(&text);
    return rc < 0 ? kilter_error_wrap(err, "option \"%s\"", option->name) : 0;
}

int kl_secret_resolve_config(struct kilter_arena *arena, const struct kilter_config_schema *schema,
                             const struct kilter_value *config, struct kilter_value **ret,
                             struct kilter_diags *diags, struct kilter_error *err)
{
    struct kilter_value *copy = kilter_value_copy(arena, config);

    if (config && !copy)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    for (size_t i = 0; copy && schema && i < schema->option_count; i++) {
        /* Rows have the size that their author compiled, which may be smaller than ours. */
        struct kilter_option option = { 0 };
        size_t size = schema->option_size < sizeof option ? schema->option_size : sizeof option;
        memcpy(&option, (const char *)schema->options + i * schema->option_size, size);
        if (option.type != KILTER_OPTION_SECRET)
            continue;
        int rc = resolve_one(arena, &option, copy, diags, err);
        if (rc < 0)
            return rc;
    }
    *ret = copy;
    return 0;
}
