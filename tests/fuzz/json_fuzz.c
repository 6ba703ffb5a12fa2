// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as JSON: what is read is written and read again as the same value, and
 * what the strict reader takes, the YAML writer can print.
 */
#include <kilter/yaml.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void write_and_read_again(struct kilter_arena *arena, const struct kilter_value *value, uint32_t flags)
{
    struct kilter_buf text = KILTER_BUF_INIT(16 << 20);
    struct kilter_value *again = NULL;
    require(kilter_json_write(&text, value, KILTER_SCHEMA_JSON, flags) == 0);
    require(kilter_json_read(arena, kilter_buf_view(&text), NULL, &again, NULL) == 0);
    require(kilter_value_equal(value, again, KILTER_SCHEMA_JSON));
    kilter_buf_release(&text);
}

/* Strings are strings for the YAML reader as well, whatever they look like. */
static void write_as_yaml(struct kilter_arena *arena, const struct kilter_value *value)
{
    struct kilter_buf text = KILTER_BUF_INIT(16 << 20), again = KILTER_BUF_INIT(16 << 20);
    struct kilter_value *documents = NULL;
    int status = kilter_yaml_write(&text, value, KILTER_YAML_KUBECTL, 0);
    require(status == 0 || status == KILTER_E_LIMIT);
    if (status == 0) {
        require(kilter_yaml_read(arena, kilter_buf_view(&text), NULL, &documents, NULL) == 0);
        require(kilter_yaml_write(&again, kilter_list_at(documents, 0), KILTER_YAML_KUBECTL, 0) == 0);
        require(kilter_str_eq(kilter_buf_view(&text), kilter_buf_view(&again)));
    }
    kilter_buf_release(&text);
    kilter_buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kilter_arena *arena = kilter_arena_new(64 << 20);
    struct kilter_diags *diags = kilter_diags_new(0);
    struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
    struct kilter_value *value = NULL;
    options.max_bytes = 64 << 10;
    int status = kilter_json_read(arena, kilter_str_n((const char *)data, size), &options, &value, diags);
    require(status == 0 ? kilter_diags_errors(diags) == 0 : kilter_diags_errors(diags) > 0);
    if (status == 0) {
        write_and_read_again(arena, value, 0);
        write_and_read_again(arena, value, KILTER_WRITE_PRETTY | KILTER_WRITE_SORTED);
        write_as_yaml(arena, value);
    }
    kilter_diags_free(diags);
    kilter_arena_free(arena);
    return 0;
}
