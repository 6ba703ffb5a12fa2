/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleanup.h: owned locals that release themselves at the end of their scope.
 *
 *     KL_CLEANUP(kl_freep) char *path = NULL;
 *     KL_CLEANUP(kl_closep) int fd = open(...);
 *     ...
 *     *ret_path = kl_steal(path);
 *
 * A cleanup function takes a pointer to the variable and copes with its empty
 * value: NULL, or -1 for a descriptor. errno survives all of them.
 */
#ifndef KL_BASE_CLEANUP_H
#define KL_BASE_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <kilter/diag.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define KL_CLEANUP(function) __attribute__((cleanup(function)))

/* The pointer, which the variable then no longer owns. */
#define kl_steal(pointer)                                                                                          \
    __extension__({                                                                                                \
        __auto_type kl_stolen = (pointer);                                                                         \
        (pointer) = NULL;                                                                                          \
        kl_stolen;                                                                                                 \
    })

/* The same for a descriptor. */
static inline int kl_steal_fd(int *fd)
{
    int stolen = *fd;
    *fd = -1;
    return stolen;
}

/* For a variable of any pointer type: free(*pointer). */
static inline void kl_freep(void *variable)
{
    int saved = errno;
    void *pointer;
    memcpy(&pointer, variable, sizeof(pointer));
    free(pointer);
    errno = saved;
}

/* Closes and sets to -1. */
static inline void kl_closep(int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved;
}

static inline void kl_fclosep(FILE **file)
{
    int saved = errno;
    if (*file)
        fclose(*file);
    errno = saved;
}

static inline void kl_closedirp(DIR **dir)
{
    int saved = errno;
    if (*dir)
        closedir(*dir);
    errno = saved;
}

static inline void kl_arena_freep(struct kilter_arena **arena)
{
    kilter_arena_free(*arena);
}

static inline void kl_diags_freep(struct kilter_diags **diags)
{
    kilter_diags_free(*diags);
}

#endif
