/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest_tests.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEMA(rows, type)                                                                                         \
    {                                                                                                              \
        sizeof(struct kilter_config_schema), sizeof(struct kilter_option), sizeof(struct type), rows,              \
            sizeof(rows) / sizeof(rows)[0]                                                                         \
    }

struct files_options {
    struct kilter_pairs modes;
};
static const struct kilter_option files_rows[] = {
    { "modes", KILTER_OPTION_MAP, 0, NULL, 0, 0, NULL, offsetof(struct files_options, modes), "Modes by glob." },
};
static const struct kilter_config_schema files_schema = SCHEMA(files_rows, files_options);

struct file_options {
    struct kilter_str root;
};
static const struct kilter_option file_rows[] = {
    { "root", KILTER_OPTION_STRING, KILTER_OPTION_REQUIRED | KILTER_OPTION_ABSOLUTE_PATH, NULL, 0, 0, NULL,
      offsetof(struct file_options, root), "Where it begins." },
};
static const struct kilter_config_schema file_schema = SCHEMA(file_rows, file_options);

struct allow_options {
    struct kilter_strs paths;
};
static const struct kilter_option allow_rows[] = {
    { "paths", KILTER_OPTION_LIST, 0, NULL, 0, 0, NULL, offsetof(struct allow_options, paths), "Below these." },
};
static const struct kilter_config_schema allow_schema = SCHEMA(allow_rows, allow_options);

struct cluster_options {
    struct kilter_str kubeconfig, context;
};
static const struct kilter_option cluster_rows[] = {
    { "kubeconfig", KILTER_OPTION_SECRET, 0, NULL, 0, 0, NULL, offsetof(struct cluster_options, kubeconfig),
      "Who we are." },
    { "context", KILTER_OPTION_STRING, 0, NULL, 0, 0, NULL, offsetof(struct cluster_options, context), "Which." },
};
static const struct kilter_config_schema cluster_schema = SCHEMA(cluster_rows, cluster_options);

static const struct kl_plugin_schemas yaml_plugin = { .is_renderer = true, .detects = true };
static const struct kl_plugin_schemas files_plugin = { .is_renderer = true, .renderer = &files_schema };
static const struct kl_plugin_schemas file_plugin = { .is_target = true,
                                                      .target = &file_schema,
                                                      .allow = &allow_schema };
static const struct kl_plugin_schemas cluster_plugin = { .is_target = true, .target = &cluster_schema };

const struct kl_named_schemas fixture_plugins[4] = {
    { "yaml", &yaml_plugin },
    { "files", &files_plugin },
    { "file", &file_plugin },
    { "cluster", &cluster_plugin },
};

const struct kl_plugin_schemas *fixture_lookup(void *data, struct kilter_str name, struct kilter_str file)
{
    (void)data;
    for (size_t i = 0; i < 4 && file.len == 0; i++)
        if (kilter_str_eq_c(name, fixture_plugins[i].name))
            return fixture_plugins[i].schemas;
    return NULL;
}

const struct kl_host_facts fixture_host = {
    KILTER_STR_INIT("edge1"),  KILTER_STR_INIT("0123456789"), KILTER_STR_INIT("x86_64"),
    KILTER_STR_INIT("debian"), KILTER_STR_INIT("12"),         { NULL, 0 },
};

struct kl_manifest_options fixture_options(void)
{
    return (struct kl_manifest_options){ .plugin_lookup = fixture_lookup, .host = &fixture_host };
}

static char *format(struct kilter_diags *diags)
{
    struct kilter_buf text = KILTER_BUF_INIT(1 << 20);

    kilter_buf_c(&text, "");
    ck_assert_int_eq(kilter_diags_format(&text, diags), 0);
    return text.ptr ? text.ptr : strdup("");
}

struct kl_manifest *load(const char *text)
{
    struct kl_manifest_options options = fixture_options();
    struct kilter_diags *diags = kilter_diags_new(0);
    struct kl_manifest *manifest = NULL;

    int rc = kl_manifest_load_text(kilter_str_c(text), "kilter.yaml", &options, &manifest, diags);
    char *said = format(diags);
    ck_assert_msg(rc == 0, "refused: %s", said);
    free(said);
    kilter_diags_free(diags);
    return manifest;
}

char *refused(const char *text)
{
    struct kl_manifest_options options = fixture_options();
    struct kilter_diags *diags = kilter_diags_new(0);
    struct kl_manifest *manifest = NULL;

    ck_assert_int_eq(kl_manifest_load_text(kilter_str_c(text), "kilter.yaml", &options, &manifest, diags),
                     KILTER_E_INVALID);
    ck_assert_ptr_null(manifest);
    char *said = format(diags);
    kilter_diags_free(diags);
    return said;
}

const struct kl_app *app(const struct kl_manifest *manifest, const char *name)
{
    const struct kl_app *found = kl_manifest_app(manifest, kilter_str_c(name));

    ck_assert_msg(found != NULL, "no app %s", name);
    return found;
}

/* --- a directory -------------------------------------------------------------------- */
static char directory[64];

const char *directory_make(void)
{
    strcpy(directory, "/tmp/kilter-manifest-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    return directory;
}

static void remove_tree(const char *path)
{
    DIR *dir = opendir(path);
    char child[4096];

    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        if (unlink(child) < 0)
            remove_tree(child);
    }
    if (dir)
        closedir(dir);
    rmdir(path);
}

void directory_remove(void)
{
    remove_tree(directory);
}

const char *directory_write(const char *name, const char *text)
{
    static char path[4096];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    for (char *slash = path + strlen(directory) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}
