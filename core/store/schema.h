/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema.h: the tables, how they came about step by step, and the opening of
 * the file that holds them.
 *
 * A schema is a list of steps: step n brings a store of version n to version
 * n + 1, version 0 being an empty file. A step that was released is never
 * changed. All functions block; they run before the store's thread does.
 */
#ifndef KL_STORE_SCHEMA_H
#define KL_STORE_SCHEMA_H

#include "store/db.h"

/* In the file's header: says that it is a store of kilter's ("KLTR"). */
#define KL_SCHEMA_APPLICATION_ID 0x4b4c5452

struct kl_schema {
    const char *const *steps;
    uint32_t version; /* how many there are */
};

extern const struct kl_schema kl_schema_current;

/* What an opening found and did. */
struct kl_schema_report {
    bool created;
    bool unclean;
    uint32_t migrated_from;
    char *backup; /* malloc'd, or NULL */
};

/* Opens the store's file for writing, and makes, checks or migrates it first. The caller holds the lock. Marks it
 * as open: kl_schema_close marks it as closed. On failure `db` is closed. */
int kl_schema_open(struct kl_db *db, const char *path, const struct kl_schema *schema,
                   struct kilter_str installation, struct kl_schema_report *ret, struct kilter_error *err);
int kl_schema_close(struct kl_db *db, struct kilter_error *err);

/* Flushes a file's or directory's data to the disk. */
int kl_schema_flush(const char *path, struct kilter_error *err);
/* Flushes the directory that `path` is in. */
int kl_schema_flush_directory(const char *path, struct kilter_error *err);

#endif
