/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml.h: YAML and JSON in and out of values.
 *
 * Readers never trust their input: bytes, depth, nodes and alias expansion have
 * budgets, and a duplicate key is an error. Problems become diagnostics with
 * file, line and column. Writers are pure: same value, same bytes.
 */
#ifndef KILTER_YAML_H
#define KILTER_YAML_H

#include <kilter/value.h>

KILTER_BEGIN_DECLS

struct kilter_parse_options {
    size_t size;              /* sizeof(struct kilter_parse_options) */
    struct kilter_str file;   /* for origins; must live as long as the arena */
    uint32_t first_line;      /* of the text in its file, 0 means 1 */
    uint64_t max_bytes;       /* of the text; 0: 64 MiB */
    uint32_t max_depth;       /* of lists and maps in one another; 0: 200 */
    uint64_t max_nodes;       /* of one text, aliases expanded; 0: 4,000,000 */
    uint64_t max_alias_nodes; /* nodes that come from expanding aliases; 0: 100,000 */
    uint32_t flags;
};

/* clang-format off */
#define KILTER_PARSE_OPTIONS_INIT { sizeof(struct kilter_parse_options), { NULL, 0 }, 0, 0, 0, 0, 0, 0 }
/* clang-format on */

/* The last of two equal keys wins and nothing is said (kustomization files are read so). */
#define KILTER_PARSE_LAST_KEY_WINS 1u

/* Reads a stream of documents into a list, one item each, empty documents left out. Anchors, aliases
 * and merge keys ("<<", own keys win) are expanded. Accepts a BOM and CRLF.
 * KILTER_E_INVALID (diagnostics added), KILTER_E_LIMIT (likewise) or KILTER_E_NOMEM. */
KILTER_API int kilter_yaml_read(struct kilter_arena *arena, struct kilter_str text,
                                const struct kilter_parse_options *options, struct kilter_value **ret_documents,
                                struct kilter_diags *diags);

/* Reads exactly one JSON text (RFC 8259, strict: no comments, no trailing commas, valid UTF-8 only,
 * lone surrogates refused, duplicate keys refused). Numbers keep their text. */
KILTER_API int kilter_json_read(struct kilter_arena *arena, struct kilter_str text,
                                const struct kilter_parse_options *options, struct kilter_value **ret_value,
                                struct kilter_diags *diags);

/* What stands in for a secret value in all output. */
#define KILTER_MASK "(sensitive value)"

#define KILTER_WRITE_PRETTY 1u  /* JSON: two blanks of indentation, a line each; else compact */
#define KILTER_WRITE_REVEAL 2u  /* write secrets in clear; for a target that applies them, never for people */
#define KILTER_WRITE_SORTED 4u  /* maps sorted by key, as Go's encoders print them */
#define KILTER_WRITE_CONTENT 8u /* write content handles as {"$content": id, "size": n}; else an error */

/* Appends JSON. Plain scalars resolve by `schema`; NaN and infinities are written as strings.
 * Secrets are masked unless KILTER_WRITE_REVEAL. 0 or the buffer's failure, KILTER_E_INVALID for a
 * content value without KILTER_WRITE_CONTENT. */
KILTER_API int kilter_json_write(struct kilter_buf *out, const struct kilter_value *value,
                                 enum kilter_schema schema, uint32_t flags);

enum kilter_yaml_form {
    /* As `kustomize build` prints: sigs.k8s.io/yaml's encoder, keys sorted in its natural order, lists not
     * indented under their key, its choice of quotes, literals and line breaks; styles and tags of the
     * source are lost. Plain text is understood by KILTER_SCHEMA_KUSTOMIZE. */
    KILTER_YAML_KUSTOMIZE = 1,
    /* As `kubectl get -o yaml` prints: the same encoder; plain text by KILTER_SCHEMA_KUBERNETES. */
    KILTER_YAML_KUBECTL = 2,
};

/* Appends one document, without a separator. Flags: KILTER_WRITE_REVEAL, KILTER_WRITE_CONTENT. */
KILTER_API int kilter_yaml_write(struct kilter_buf *out, const struct kilter_value *value,
                                 enum kilter_yaml_form form, uint32_t flags);

KILTER_END_DECLS

#endif
