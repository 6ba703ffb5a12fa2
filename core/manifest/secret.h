/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret.h: secrets by reference. A manifest never holds a secret, it names
 * where one is: a file, a variable of the daemon's environment, or a systemd
 * credential. What is behind a reference is read just before the job that
 * needs it and wiped right after. Nothing is kept here; any thread may call.
 */
#ifndef KL_MANIFEST_SECRET_H
#define KL_MANIFEST_SECRET_H

#include <kilter/plugin.h>

enum kl_secret_kind {
    KL_SECRET_NONE = 0, /* nothing was named */
    KL_SECRET_FILE = 1,
    KL_SECRET_ENV = 2,        /* a variable of the daemon's environment */
    KL_SECRET_CREDENTIAL = 3, /* a file in $CREDENTIALS_DIRECTORY (systemd.exec(5), LoadCredential=) */
};

struct kl_secret_ref {
    enum kl_secret_kind kind;
    struct kilter_str value;     /* absolute path, variable or credential name; NUL-terminated */
    struct kilter_origin origin; /* where the manifest names it */
};

#define KL_SECRET_MAX (1u << 20) /* bytes of one secret */

/* Appends what the reference names to `out`: for files and credentials without one trailing newline.
 * A file that others than its owner and group may read is used, with a warning in `diags` (may be NULL).
 * KILTER_E_NOT_FOUND, KILTER_E_PERMISSION, KILTER_E_IO, KILTER_E_LIMIT above KL_SECRET_MAX or the buffer's
 * maximum, KILTER_E_INVALID for what is no regular file or is empty. Messages never hold the secret. */
int kl_secret_resolve(const struct kl_secret_ref *ref, struct kilter_buf *out, struct kilter_diags *diags,
                      struct kilter_error *err);
/* The path behind a file or credential reference, without reading it, into at least PATH_MAX bytes.
 * KILTER_E_UNSUPPORTED for a variable. */
int kl_secret_path(const struct kl_secret_ref *ref, char *ret_path, size_t size, struct kilter_error *err);
/* Overwrites and releases a buffer that held a secret. Takes NULL and empty ones. */
void kl_secret_wipe(struct kilter_buf *buf);

/* Reads {file: ..} or {env: ..} or {credential: ..}; texts are views into the map. Every problem is a
 * diagnostic; a plain text in its place is refused without being repeated. `what` names it in messages.
 * File names must be absolute. KILTER_E_INVALID when there was one. */
int kl_secret_read(const struct kilter_value *map, const char *what, struct kl_secret_ref *ret,
                   struct kilter_diags *diags);

/* Options of a plugin as the job takes them: a copy in which every option that the schema calls
 * KILTER_OPTION_SECRET holds the secret itself, marked secret, in place of the reference. `schema` may be NULL:
 * then it is a plain copy. `config` may be NULL, so is then the result. */
int kl_secret_resolve_config(struct kilter_arena *arena, const struct kilter_config_schema *schema,
                             const struct kilter_value *config, struct kilter_value **ret,
                             struct kilter_diags *diags, struct kilter_error *err);

#endif
