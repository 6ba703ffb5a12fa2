/* SPDX-License-Identifier: Apache-2.0 */
#include "store/faulty_vfs.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static sqlite3_vfs *real;
static sqlite3_vfs faulty;
/* The real methods with two replaced. The real layer has a table for files that are locked and one for the others,
 * which write and flush the same way. */
static struct {
    const sqlite3_io_methods *real;
    sqlite3_io_methods faulty;
} tables[4];

static atomic_uint syncs;
static atomic_int write_failure;
static atomic_int sync_failure;
static atomic_int one_write_failure;
static atomic_bool held_up;
static _Atomic(const char *) platter;

/* The file's name lies behind the real layer's struct. */
static const char **name_of(sqlite3_file *file)
{
    return (const char **)(void *)((char *)file + ((real->szOsFile + 15) & ~15));
}

static void copy_to_platter(const char *path, const char *directory)
{
    char to[256], bytes[65536];
    const char *base = strrchr(path, '/');
    snprintf(to, sizeof(to), "%s/%s", directory, base ? base + 1 : path);
    /* Reading through another descriptor would drop SQLite's own POSIX locks when it is closed; for this test
     * nobody else is there to take them. */
    int in = open(path, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t n;
    while (in >= 0 && out >= 0 && (n = read(in, bytes, sizeof(bytes))) > 0)
        if (write(out, bytes, (size_t)n) != n)
            break;
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
}

static int faulty_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 offset)
{
    int failure = atomic_exchange(&one_write_failure, 0);
    if (!failure)
        failure = atomic_load(&write_failure);
    return failure ? failure : tables[0].real->xWrite(file, bytes, len, offset);
}

static int faulty_sync(sqlite3_file *file, int flags)
{
    int failure = atomic_load(&sync_failure);
    if (failure)
        return failure;
    atomic_fetch_add(&syncs, 1);
    while (atomic_load(&held_up))
        usleep(1000);
    int code = tables[0].real->xSync(file, flags);
    const char *directory = atomic_load(&platter);
    if (code == SQLITE_OK && directory && *name_of(file))
        copy_to_platter(*name_of(file), directory);
    return code;
}

static void replace_methods(sqlite3_file *file)
{
    size_t i = 0;
    while (i < sizeof(tables) / sizeof(tables[0]) && tables[i].real && tables[i].real != file->pMethods)
        i++;
    if (i == sizeof(tables) / sizeof(tables[0]))
        return;
    if (!tables[i].real) {
        tables[i].faulty = *file->pMethods;
        tables[i].faulty.xWrite = faulty_write;
        tables[i].faulty.xSync = faulty_sync;
        tables[i].real = file->pMethods;
    }
    file->pMethods = &tables[i].faulty;
}

static int faulty_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *ret_flags)
{
    (void)vfs;
    *name_of(file) = name;
    int code = real->xOpen(real, name, file, flags, ret_flags);
    if (code != SQLITE_OK || !file->pMethods)
        return code;
    replace_methods(file);
    return code;
}

void faulty_vfs_install(void)
{
    real = sqlite3_vfs_find(NULL);
    faulty = *real;
    faulty.zName = "faulty";
    faulty.szOsFile = ((real->szOsFile + 15) & ~15) + (int)sizeof(const char *);
    faulty.xOpen = faulty_open;
    sqlite3_vfs_register(&faulty, 1);
}

unsigned faulty_vfs_take_syncs(void)
{
    return atomic_exchange(&syncs, 0);
}

void faulty_vfs_fail_writes(int code)
{
    atomic_store(&write_failure, code);
}

void faulty_vfs_fail_syncs(int code)
{
    atomic_store(&sync_failure, code);
}

void faulty_vfs_fail_one_write(int code)
{
    atomic_store(&one_write_failure, code);
}

void faulty_vfs_hold(bool held)
{
    atomic_store(&held_up, held);
}

void faulty_vfs_set_platter(const char *directory)
{
    atomic_store(&platter, directory);
}
