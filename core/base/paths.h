/* SPDX-License-Identifier: Apache-2.0 */
/*
 * paths.h: where the parts of an installation are: the worker and the plugins.
 *
 * They are found relative to the directory of the running program, so that a
 * build tree and an installation under any prefix work alike. KILTER_WORKER
 * names another worker program, KILTER_PLUGIN_PATH other plugin directories (a
 * colon-separated list that takes the built-in one's place). Strings that are
 * returned are the caller's to free.
 */
#ifndef KL_BASE_PATHS_H
#define KL_BASE_PATHS_H

#include <kilter/base.h>

/* The directory of the running program, links resolved, without a slash at its end. */
int kl_program_dir(char **ret_dir, struct kilter_error *err);
/* The kilter-worker program; an error when it is not there or cannot be run. */
int kl_worker_find(char **ret_path, struct kilter_error *err);
/* The plugin directories, the first to be searched first; NULL-terminated, freed by kl_paths_free. */
int kl_plugin_dirs(char ***ret_dirs, struct kilter_error *err);
void kl_paths_free(char **paths);
/* The shared object of a plugin: "<directory>/<name>.so" of the first directory that has it. A name with a
 * slash in it is a path, taken as it is. KILTER_E_NOT_FOUND says where it looked, and the nearest name. */
int kl_plugin_find(struct kilter_str name, char **ret_path, struct kilter_error *err);
/* The names of all plugins found, sorted, each once; NULL-terminated, freed by kl_paths_free. */
int kl_plugin_names(char ***ret_names, struct kilter_error *err);

#endif
