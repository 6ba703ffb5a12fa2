/* SPDX-License-Identifier: Apache-2.0 */
#include "base/paths.h"

#include "base/cleanup.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#define SUFFIX ".so"

/* A NULL-terminated list that grows. */
struct strings {
    char **items;
    size_t count;
};

void kl_paths_free(char **paths)
{
    for (size_t i = 0; paths && paths[i]; i++)
        free(paths[i]);
    free(paths);
}

static void strings_freep(struct strings *list)
{
    kl_paths_free(list->items);
}

static int strings_add(struct strings *list, struct kilter_str text)
{
    char **items = realloc(list->items, (list->count + 2) * sizeof(*items));
    if (!items)
        return KILTER_E_NOMEM;
    list->items = items;
    items[list->count] = text.len ? strndup(text.ptr, text.len) : strdup("");
    items[list->count + 1] = NULL;
    return items[list->count] ? (list->count++, KILTER_OK) : KILTER_E_NOMEM;
}

/* The list as a result: never NULL, also when empty. */
static int strings_steal(struct strings *list, char ***ret)
{
    if (!list->items && !(list->items = calloc(1, sizeof(*list->items))))
        return KILTER_E_NOMEM;
    *ret = kl_steal(list->items);
    return KILTER_OK;
}

static int no_memory(struct kilter_error *err)
{
    return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
}

int kl_program_dir(char **ret_dir, struct kilter_error *err)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (len < 0)
        return kilter_error_errno(err, errno, "finding the running program through /proc/self/exe");
    path[len] = '\0';
    char *slash = strrchr(path, '/');
    if (slash && slash != path)
        *slash = '\0';
    *ret_dir = strdup(path);
    return *ret_dir ? KILTER_OK : no_memory(err);
}

/* "<program's directory>/<relative>[/<name>]", canonical when it exists. */
static int beside_program(const char *relative, const char *name, char **ret_path, struct kilter_error *err)
{
    KL_CLEANUP(kl_freep) char *dir = NULL;
    KL_CLEANUP(kl_freep) char *path = NULL;
    int rc = kl_program_dir(&dir, err);
    if (rc < 0)
        return rc;
    if (asprintf(&path, "%s/%s%s%s", dir, relative, name ? "/" : "", name ? name : "") < 0) {
        path = NULL;
        return no_memory(err);
    }
    char *real = realpath(path, NULL);
    *ret_path = real ? real : kl_steal(path);
    return KILTER_OK;
}

int kl_worker_find(char **ret_path, struct kilter_error *err)
{
    KL_CLEANUP(kl_freep) char *path = NULL;
    const char *named = getenv("KILTER_WORKER");
    if (named && named[0]) {
        path = strdup(named);
        if (!path)
            return no_memory(err);
    } else {
        int rc = beside_program(KILTER_WORKER_DIR_FROM_BIN, "kilter-worker", &path, err);
        if (rc < 0)
            return rc;
    }
    if (access(path, X_OK) < 0)
        return kilter_error_errno(err, errno, "the worker program %s%s cannot be run", path,
                                  named && named[0] ? " (from KILTER_WORKER)" : "");
    *ret_path = kl_steal(path);
    return KILTER_OK;
}

int kl_plugin_dirs(char ***ret_dirs, struct kilter_error *err)
{
    KL_CLEANUP(strings_freep) struct strings dirs = { NULL, 0 };
    const char *named = getenv("KILTER_PLUGIN_PATH");
    struct kilter_str rest = kilter_str_c(named);
    while (rest.len > 0) {
        ptrdiff_t colon = kilter_str_find(rest, ':', 0);
        struct kilter_str dir = colon < 0 ? rest : kilter_str_sub(rest, 0, (size_t)colon);
        if (dir.len > 0 && strings_add(&dirs, dir) < 0)
            return no_memory(err);
        rest = colon < 0 ? KILTER_STR_NONE : kilter_str_sub(rest, (size_t)colon + 1, rest.len);
    }
    if (dirs.count == 0) {
        KL_CLEANUP(kl_freep) char *dir = NULL;
        int rc = beside_program(KILTER_PLUGIN_DIR_FROM_BIN, NULL, &dir, err);
        if (rc < 0)
            return rc;
        if (strings_add(&dirs, kilter_str_c(dir)) < 0)
            return no_memory(err);
    }
    return strings_steal(&dirs, ret_dirs) < 0 ? no_memory(err) : KILTER_OK;
}

static int add_names_of(const char *path, struct strings *names)
{
    KL_CLEANUP(kl_closedirp) DIR *dir = opendir(path);
    if (!dir)
        return KILTER_OK; /* a directory that is not there has no plugins */
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        struct kilter_str name = kilter_str_c(entry->d_name);
        if (!kilter_str_ends(name, KILTER_STR(SUFFIX)) || name.len == strlen(SUFFIX))
            continue;
        if (strings_add(names, kilter_str_sub(name, 0, name.len - strlen(SUFFIX))) < 0)
            return KILTER_E_NOMEM;
    }
    return KILTER_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_unique(struct strings *names)
{
    if (names->count == 0)
        return;
    qsort(names->items, names->count, sizeof(*names->items), compare_names);
    size_t kept = 1;
    for (size_t i = 1; i < names->count; i++) {
        if (strcmp(names->items[i], names->items[kept - 1]) == 0)
            free(names->items[i]);
        else
            names->items[kept++] = names->items[i];
    }
    names->items[kept] = NULL;
    names->count = kept;
}

static int names_in(char **dirs, struct strings *names)
{
    for (size_t i = 0; dirs[i]; i++)
        if (add_names_of(dirs[i], names) < 0)
            return KILTER_E_NOMEM;
    sort_unique(names);
    return KILTER_OK;
}

int kl_plugin_names(char ***ret_names, struct kilter_error *err)
{
    KL_CLEANUP(strings_freep) struct strings dirs = { NULL, 0 };
    KL_CLEANUP(strings_freep) struct strings names = { NULL, 0 };
    int rc = kl_plugin_dirs(&dirs.items, err);
    if (rc < 0)
        return rc;
    if (names_in(dirs.items, &names) < 0 || strings_steal(&names, ret_names) < 0)
        return no_memory(err);
    return KILTER_OK;
}

/* "no plugin 'filse' in /a, /b; did you mean 'files'?" */
static int not_found(struct kilter_str name, char **dirs, struct kilter_error *err)
{
    KL_CLEANUP(strings_freep) struct strings names = { NULL, 0 };
    struct kilter_buf where = KILTER_BUF_INIT(300);
    struct kilter_str candidates[256], nearest;
    size_t count = 0;
    for (size_t i = 0; dirs[i]; i++)
        kilter_buf_printf(&where, "%s%s", i ? ", " : "", dirs[i]);
    if (names_in(dirs, &names) == KILTER_OK)
        for (; count < names.count && count < 256; count++)
            candidates[count] = kilter_str_c(names.items[count]);
    nearest = kilter_nearest(name, candidates, count);
    kilter_error_set(err, KILTER_E_NOT_FOUND, "no plugin '%.*s' in %.*s%s%s%.*s%s", KILTER_STR_ARG(name),
                     KILTER_STR_ARG(kilter_buf_view(&where)), where.failed ? "..." : "",
                     nearest.ptr ? "; did you mean '" : "", KILTER_STR_ARG(nearest), nearest.ptr ? "'?" : "");
    kilter_buf_release(&where);
    return KILTER_E_NOT_FOUND;
}

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

int kl_plugin_find(struct kilter_str name, char **ret_path, struct kilter_error *err)
{
    KL_CLEANUP(strings_freep) struct strings dirs = { NULL, 0 };
    if (kilter_str_find(name, '/', 0) >= 0) {
        KL_CLEANUP(kl_freep) char *path = strndup(name.ptr, name.len);
        if (!path)
            return no_memory(err);
        if (!is_file(path))
            return kilter_error_set(err, KILTER_E_NOT_FOUND, "no plugin at %s", path);
        *ret_path = kl_steal(path);
        return KILTER_OK;
    }
    int rc = kl_plugin_dirs(&dirs.items, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; dirs.items[i]; i++) {
        KL_CLEANUP(kl_freep) char *path = NULL;
        if (asprintf(&path, "%s/%.*s" SUFFIX, dirs.items[i], KILTER_STR_ARG(name)) < 0) {
            path = NULL;
            return no_memory(err);
        }
        if (is_file(path)) {
            *ret_path = kl_steal(path);
            return KILTER_OK;
        }
    }
    return not_found(name, dirs.items, err);
}
