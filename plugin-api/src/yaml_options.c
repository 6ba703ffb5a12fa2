// SPDX-License-Identifier: Apache-2.0
/* What the readers of YAML and JSON share. */
#include "yaml_options.h"

#include "value.h"

#define DEFAULT_BYTES (UINT64_C(64) << 20)
#define DEFAULT_DEPTH 200
#define DEFAULT_NODES UINT64_C(4000000)
#define DEFAULT_ALIAS_NODES UINT64_C(100000)

struct kilter_parse_options kl_parse_options(const struct kilter_parse_options *given)
{
    struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
    if (given)
        memcpy(&options, given, given->size < sizeof options ? given->size : sizeof options);
    options.size = sizeof options;
    if (!options.first_line)
        options.first_line = 1;
    if (!options.max_bytes)
        options.max_bytes = DEFAULT_BYTES;
    if (!options.max_depth)
        options.max_depth = DEFAULT_DEPTH;
    if (options.max_depth > KL_MAX_DEPTH)
        options.max_depth = KL_MAX_DEPTH;
    if (!options.max_nodes)
        options.max_nodes = DEFAULT_NODES;
    if (!options.max_alias_nodes)
        options.max_alias_nodes = DEFAULT_ALIAS_NODES;
    return options;
}

int kl_check_size(struct kilter_str text, const struct kilter_parse_options *options, const char *code,
                  struct kilter_diags *diags)
{
    if (text.len <= options->max_bytes && text.len < UINT32_MAX)
        return 0;
    struct kilter_origin origin = { options->file, 0, 0 };
    kilter_diag_add(diags, KILTER_ERROR, code, origin, NULL,
                    "the text of %zu bytes is longer than the limit of %llu", text.len,
                    (unsigned long long)options->max_bytes);
    return KILTER_E_LIMIT;
}

struct kilter_origin kl_origin_at(struct kilter_str text, size_t offset, const struct kilter_parse_options *options)
{
    struct kilter_origin origin = { options->file, options->first_line, 1 };
    for (size_t i = 0; i < offset && i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '\n' || (c == '\r' && !(i + 1 < text.len && text.ptr[i + 1] == '\n'))) {
            origin.line++;
            origin.column = 1;
        } else if ((c & 0xc0) != 0x80) {
            origin.column++;
        }
    }
    return origin;
}

void kl_duplicate_key(struct kilter_diags *diags, const char *code, const struct kilter_value *key,
                      const struct kilter_value *first)
{
    struct kilter_str text = kl_text(key);
    int shown = text.len > 100 ? 100 : (int)text.len;
    kilter_diag_add(diags, KILTER_ERROR, code, kilter_origin_of(key), "remove one of the two",
                    "key \"%.*s\" is there twice, first on line %u", shown, text.ptr, first->line);
}
