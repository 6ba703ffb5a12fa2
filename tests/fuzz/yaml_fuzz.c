// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as YAML: the reader never fails but by its diagnostics, and what it
 * read is written in both forms and read again as the same value.
 */
#include <kilter/yaml.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct kilter_parse_options limits(void)
{
    struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
    options.file = KILTER_STR("fuzz.yaml");
    options.max_bytes = 64 << 10;
    options.max_nodes = 20000;
    options.max_alias_nodes = 5000;
    return options;
}

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* JSON holds what a document means after its tags and its keys' types are gone; YAML must hold the same. */
static void write_and_read_again(struct kilter_arena *arena, const struct kilter_value *document,
                                 enum kilter_yaml_form form)
{
    enum kilter_schema schema = form == KILTER_YAML_KUBECTL ? KILTER_SCHEMA_KUBERNETES : KILTER_SCHEMA_KUSTOMIZE;
    struct kilter_buf first = KILTER_BUF_INIT(4 << 20), second = KILTER_BUF_INIT(4 << 20);
    struct kilter_value *again = NULL;
    int status = kilter_yaml_write(&first, document, form, 0);
    require(status == 0 || status == KILTER_E_LIMIT);
    if (status == 0) {
        require(kilter_yaml_read(arena, kilter_buf_view(&first), NULL, &again, NULL) == 0);
        require(kilter_list_size(again) == 1);
        again = kilter_list_at(again, 0);
        require(kilter_yaml_write(&second, again, form, 0) == 0);
        if (!kilter_str_eq(kilter_buf_view(&first), kilter_buf_view(&second)))
            require(kilter_value_equal(document, again, schema));
    }
    kilter_buf_clear(&first);
    status = kilter_json_write(&first, document, schema, KILTER_WRITE_PRETTY);
    require(status == 0 || status == KILTER_E_LIMIT);
    if (status == 0)
        require(kilter_json_read(arena, kilter_buf_view(&first), NULL, &again, NULL) == 0);
    kilter_buf_release(&first);
    kilter_buf_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kilter_arena *arena = kilter_arena_new(64 << 20);
    struct kilter_diags *diags = kilter_diags_new(0);
    struct kilter_parse_options options = limits();
    struct kilter_value *documents = NULL;
    struct kilter_buf text = KILTER_BUF_INIT(4 << 20);
    int status = kilter_yaml_read(arena, kilter_str_n((const char *)data, size), &options, &documents, diags);
    require(status == 0 ? kilter_diags_errors(diags) == 0 : kilter_diags_errors(diags) > 0);
    kilter_diags_format(&text, diags);
    for (size_t i = 0; i < kilter_list_size(documents); i++) {
        struct kilter_value *document = kilter_list_at(documents, i);
        struct kilter_value *copy = kilter_value_copy(arena, document);
        require(kilter_value_equal(document, copy, KILTER_SCHEMA_KUBERNETES));
        write_and_read_again(arena, document, KILTER_YAML_KUSTOMIZE);
        write_and_read_again(arena, document, KILTER_YAML_KUBECTL);
    }
    kilter_buf_release(&text);
    kilter_diags_free(diags);
    kilter_arena_free(arena);
    return 0;
}
