/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a manifest: no crash, no hang, and what is refused says why. A
 * manifest that loads means the same when it is loaded again. Includes are off:
 * a fuzzer is not to wander through the file system.
 */
#include <stdio.h>
#include <stdlib.h>

#include "manifest/manifest.h"

struct options {
    struct kilter_str root, secret;
    struct kilter_strs paths;
    int64_t size;
};

static const struct kilter_option rows[] = {
    { "root", KILTER_OPTION_STRING, KILTER_OPTION_ABSOLUTE_PATH, "/", 0, 0, NULL, offsetof(struct options, root),
      "" },
    { "secret", KILTER_OPTION_SECRET, 0, NULL, 0, 0, NULL, offsetof(struct options, secret), "" },
    { "paths", KILTER_OPTION_LIST, 0, NULL, 0, 0, NULL, offsetof(struct options, paths), "" },
    { "size", KILTER_OPTION_SIZE, 0, "1Ki", 1, 1 << 20, NULL, offsetof(struct options, size), "" },
};
static const struct kilter_config_schema schema = { sizeof schema, sizeof rows[0], sizeof(struct options), rows,
                                                    4 };
static const struct kl_plugin_schemas plugin = {
    true, true, true, &schema, &schema, &schema, &schema, "Everything."
};

static const struct kl_plugin_schemas *lookup(void *data, struct kilter_str name, struct kilter_str file)
{
    (void)data;
    (void)file;
    return name.len % 2 ? NULL : &plugin;
}

static void demand(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "manifest: %s\n", what);
    abort();
}

static struct kl_manifest *load(struct kilter_str text)
{
    static const struct kl_host_facts host = {
        KILTER_STR_INIT("edge1"),  KILTER_STR_INIT("01"), KILTER_STR_INIT("x86_64"),
        KILTER_STR_INIT("debian"), { NULL, 0 },           { NULL, 0 }
    };
    struct kl_manifest_options options = { .plugin_lookup = lookup, .host = &host, .no_include = true };
    struct kilter_diags *diags = kilter_diags_new(0);
    struct kilter_buf said = KILTER_BUF_INIT(16 << 20);
    struct kl_manifest *manifest = NULL;

    int rc = kl_manifest_load_text(text, "fuzz/kilter.yaml", &options, &manifest, diags);
    demand((rc == 0) == (manifest != NULL), "a result without a manifest, or the reverse");
    demand((rc == 0) == (kilter_diags_errors(diags) == 0), "refused without an error, or accepted with one");
    kilter_diags_format(&said, diags);
    kilter_buf_release(&said);
    kilter_diags_free(diags);
    return manifest;
}

static void check_same(const struct kl_manifest *a, const struct kl_manifest *b)
{
    struct kl_manifest_diff diff;

    if (kl_manifest_diff(a, b, &diff) < 0)
        return;
    for (size_t i = 0; i < diff.app_count; i++)
        demand(diff.apps[i].moved == KL_MOVED_NOT, "an app moved between two loads of one text");
    demand(!diff.daemon_changed && !diff.plugins_changed, "the daemon moved between two loads of one text");
    kl_manifest_diff_release(&diff);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kilter_str text = kilter_str_n((const char *)data, size);
    struct kl_manifest *first = load(text), *again = first ? load(text) : NULL;

    demand(!first == !again, "accepted once only");
    if (first)
        check_same(first, again);
    kl_manifest_unref(first);
    kl_manifest_unref(again);
    return 0;
}
