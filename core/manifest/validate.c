/* SPDX-License-Identifier: Apache-2.0 */
/* `kilter validate`. */
#include "manifest/manifest.h"

static void write_count(struct kilter_buf *out, const char *before, size_t count, const char *one, const char *many)
{
    kilter_buf_printf(out, "%s%zu %s", before, count, count == 1 ? one : many);
}

int kl_manifest_validate(const char *path, const struct kl_manifest_options *options, struct kilter_buf *summary,
                         struct kilter_diags *diags)
{
    struct kl_manifest *m = NULL;

    int rc = kl_manifest_load(path, options, &m, diags);
    if (rc < 0)
        return rc;
    kilter_buf_printf(summary, "%s: ", path);
    write_count(summary, "", m->app_count, "app", "apps");
    write_count(summary, ", ", m->source_count, "source", "sources");
    write_count(summary, ", ", m->target_count, "target", "targets");
    if (m->file_count > 1)
        write_count(summary, ", from ", m->file_count, "file", "files");
    kilter_buf_c(summary, "\n");
    kl_manifest_unref(m);
    return summary->failed;
}
