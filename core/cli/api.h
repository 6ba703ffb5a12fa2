/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api.h: asking the daemon.
 *
 * Finds the daemon (its socket, or a private one for --manifest), speaks
 * docs/reference/openapi.yaml to it, and reports what goes wrong in words:
 * after a negative return the user has been told why and what to do.
 */
#ifndef KL_CLI_API_H
#define KL_CLI_API_H

#include "cli/cli.h"

/* GET or POST `path` (already encoded); the answer's value is in the arena. `body` may be NULL. The timeout is
 * that of the daemon's silence; the daemon's own waiting must be shorter. */
int kl_api_get(struct kl_cli *cli, const char *path, struct kilter_value **ret);
int kl_api_post(struct kl_cli *cli, const char *path, const struct kilter_value *body, struct kilter_value **ret);
/* As kl_api_get, quietly: KILTER_E_NOT_FOUND and nothing said when nobody listens. */
int kl_api_try(struct kl_cli *cli, const char *path, struct kilter_value **ret);
/* All pages of a list as one {items: [...]}, at most `limit` items (-1: all). `path` has a query already
 * when `has_query` is set. */
int kl_api_list(struct kl_cli *cli, const char *path, bool has_query, int64_t limit, struct kilter_value **ret);
/* Calls `line` for each JSON value of a stream. */
int kl_api_follow(struct kl_cli *cli, const char *path,
                  int (*line)(struct kl_cli *cli, struct kilter_value *value));

/* "/api/v1/apps/NAME" and then `format`, with the name encoded; in the arena. NULL when out of memory. */
const char *kl_api_app_path(struct kl_cli *cli, struct kilter_str app, const char *format, ...) KILTER_PRINTF(3, 4);
/* A text as a query value, encoded, in the arena. */
const char *kl_api_encode(struct kl_cli *cli, struct kilter_str text);
/* Splits "APP/RESOURCE"; the resource is absent without a slash. */
void kl_api_split(const char *item, struct kilter_str *ret_app, struct kilter_str *ret_resource);

/* The socket that is spoken to: --socket, else $KILTER_SOCKET, else the built-in one. */
const char *kl_api_socket(const struct kl_cli *cli);
/* Prints {error: {...}} as people read it. */
void kl_api_complain(struct kl_cli *cli, const struct kilter_value *error);

#endif
