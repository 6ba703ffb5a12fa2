/* SPDX-License-Identifier: Apache-2.0 */
/*
 * faulty_vfs.h: SQLite's file layer with a disk that can be watched and broken.
 *
 * Counts what is flushed, lets writes fail, and keeps the "platter": for each
 * file its bytes as of its last flush, which is what a power failure may leave
 * at worst. Usable from any thread.
 */
#ifndef TEST_STORE_FAULTY_VFS_H
#define TEST_STORE_FAULTY_VFS_H

#include <stdbool.h>

/* Makes it the default for files that are opened from now on. */
void faulty_vfs_install(void);
/* Flushes since the last call. */
unsigned faulty_vfs_take_syncs(void);
/* Writes fail with this SQLite code from now on; 0: they work. */
void faulty_vfs_fail_writes(int code);
void faulty_vfs_fail_syncs(int code);
/* Only the next write fails with this code. */
void faulty_vfs_fail_one_write(int code);
/* While held, a flush does not come to its end. */
void faulty_vfs_hold(bool held);
/* From now on each flush copies the file to this directory; NULL: not any more. */
void faulty_vfs_set_platter(const char *directory);

#endif
