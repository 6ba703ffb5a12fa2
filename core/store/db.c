/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db.h"

#include "base/clock.h"

#include <errno.h>

/* Another program (a backup tool, a shell) may hold the file for a moment. */
#define BUSY_TIMEOUT_MS 5000

int kl_db_open(struct kl_db *db, const char *path, struct kilter_error *err)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int code = sqlite3_open_v2(path, &db->handle, flags, NULL);
    if (code != SQLITE_OK)
        return kl_db_error(db, code, err);
    sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return 0;
}

int kl_db_close(struct kl_db *db, struct kilter_error *err)
{
    for (size_t i = 0; i < db->cached; i++)
        sqlite3_finalize(db->cache[i].statement);
    db->cached = 0;
    if (!db->handle)
        return 0;
    int code = sqlite3_close(db->handle);
    int status = code == SQLITE_OK ? 0 : kl_db_error(db, code, err);
    if (code != SQLITE_OK)
        sqlite3_close_v2(db->handle);
    db->handle = NULL;
    return status;
}

static int io_error(struct kl_db *db, int code, struct kilter_error *err)
{
    int number = db->handle ? sqlite3_system_errno(db->handle) : 0;
    if (number == ENOSPC || number == EDQUOT || code == SQLITE_FULL) {
        kilter_error_errno(err, number ? number : ENOSPC, "writing the store");
        if (err)
            err->sys_errno = ENOSPC;
        return KILTER_E_IO;
    }
    if (number == EROFS || (code & 0xff) == SQLITE_READONLY) {
        int readonly = number ? number : EROFS;
        kilter_error_errno(err, readonly, "writing the store");
        if (err) {
            err->code = KILTER_E_IO;
            err->sys_errno = EROFS;
        }
        return KILTER_E_IO;
    }
    if (number)
        return kilter_error_errno(err, number, "the store's file: %s", sqlite3_errstr(code));
    int status = kilter_error_set(err, KILTER_E_IO, "the store's file: %s (%d)", sqlite3_errstr(code), code);
    if (err)
        err->sys_errno = EIO;
    return status;
}

int kl_db_error(struct kl_db *db, int code, struct kilter_error *err)
{
    const char *text = db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(code);
    if (code == SQLITE_IOERR_NOMEM || code == SQLITE_NOMEM)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory in the store");
    switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_READONLY:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return io_error(db, code, err);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        kilter_error_set(err, KILTER_E_IO, "the store is damaged: %s", text);
        if (err)
            err->sys_errno = EUCLEAN;
        return KILTER_E_IO;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        kilter_error_set(err, KILTER_E_IO, "another program keeps the store's file locked");
        if (err)
            err->sys_errno = EBUSY;
        return KILTER_E_IO;
    case SQLITE_TOOBIG:
        return kilter_error_set(err, KILTER_E_LIMIT, "a text is too large for the store");
    default:
        if (code == SQLITE_CONSTRAINT_FOREIGNKEY)
            return kilter_error_set(err, KILTER_E_NOT_FOUND, "the app is not in the store");
        return kilter_error_set(err, KILTER_E_INTERNAL, "the store: %s (%d)", text, code);
    }
}

int kl_db_script(struct kl_db *db, const char *script, struct kilter_error *err)
{
    int code = sqlite3_exec(db->handle, script, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : kl_db_error(db, code, err);
}

static int prepare(struct kl_db *db, sqlite3_stmt **ret, const char *text, struct kilter_error *err)
{
    for (size_t i = 0; i < db->cached; i++)
        if (db->cache[i].text == text) {
            *ret = db->cache[i].statement;
            return 0;
        }
    if (db->cached == KL_DB_STATEMENTS)
        return kilter_error_set(err, KILTER_E_INTERNAL, "the store has more statements than it keeps");
    int code = sqlite3_prepare_v3(db->handle, text, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);
    if (code != SQLITE_OK)
        return kl_db_error(db, code, err);
    db->cache[db->cached].text = text;
    db->cache[db->cached++].statement = *ret;
    return 0;
}

static int bind_str(sqlite3_stmt *statement, int at, char type, struct kilter_str s)
{
    const char *ptr = s.ptr ? s.ptr : "";
    if (type == 'n' && !s.ptr)
        return sqlite3_bind_null(statement, at);
    if (type == 'b')
        return sqlite3_bind_blob64(statement, at, ptr, s.len, SQLITE_STATIC);
    return sqlite3_bind_text64(statement, at, ptr, s.len, SQLITE_STATIC, SQLITE_UTF8);
}

static int bind(struct kl_db *db, sqlite3_stmt *statement, const char *types, va_list args,
                struct kilter_error *err)
{
    for (int at = 1; types[at - 1]; at++) {
        int code = SQLITE_OK;
        char type = types[at - 1];
        if (type == 'i' || type == 'z') {
            int64_t number = va_arg(args, int64_t);
            code = type == 'z' && number == 0 ? sqlite3_bind_null(statement, at)
                                              : sqlite3_bind_int64(statement, at, number);
        } else {
            code = bind_str(statement, at, type, va_arg(args, struct kilter_str));
        }
        if (code != SQLITE_OK)
            return kl_db_error(db, code, err);
    }
    return 0;
}

static int query(struct kl_db *db, sqlite3_stmt **ret, struct kilter_error *err, const char *text,
                 const char *types, va_list args)
{
    int status = prepare(db, ret, text, err);
    if (status < 0)
        return status;
    status = bind(db, *ret, types, args, err);
    if (status < 0)
        kl_db_done(*ret);
    return status;
}

int kl_db_query(struct kl_db *db, sqlite3_stmt **ret, struct kilter_error *err, const char *text, const char *types,
                ...)
{
    va_list args;
    va_start(args, types);
    int status = query(db, ret, err, text, types, args);
    va_end(args);
    return status;
}

int kl_db_next(struct kl_db *db, sqlite3_stmt *statement, struct kilter_error *err)
{
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        return 1;
    int status = code == SQLITE_DONE ? 0 : kl_db_error(db, code, err);
    kl_db_done(statement);
    return status;
}

void kl_db_done(sqlite3_stmt *statement)
{
    if (!statement)
        return;
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

int kl_db_run(struct kl_db *db, struct kilter_error *err, const char *text, const char *types, ...)
{
    sqlite3_stmt *statement;
    va_list args;
    va_start(args, types);
    int status = query(db, &statement, err, text, types, args);
    va_end(args);
    if (status < 0)
        return status;
    while ((status = kl_db_next(db, statement, err)) > 0)
        ;
    return status;
}

int kl_db_number(struct kl_db *db, int64_t *ret, int64_t otherwise, struct kilter_error *err, const char *text,
                 const char *types, ...)
{
    sqlite3_stmt *statement;
    va_list args;
    va_start(args, types);
    int status = query(db, &statement, err, text, types, args);
    va_end(args);
    if (status < 0)
        return status;
    status = kl_db_next(db, statement, err);
    if (status < 0)
        return status;
    *ret = otherwise;
    if (status > 0) {
        if (sqlite3_column_type(statement, 0) != SQLITE_NULL)
            *ret = sqlite3_column_int64(statement, 0);
        kl_db_done(statement);
    }
    return 0;
}

int kl_db_set_sync(struct kl_db *db, bool full, struct kilter_error *err)
{
    if (db->sync_known && db->full_sync == full)
        return 0;
    db->sync_known = false;
    int status = kl_db_script(db, full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", err);
    db->sync_known = status == 0;
    db->full_sync = full;
    return status;
}

int64_t kl_db_use_time(struct kl_db *db)
{
    int64_t now = kl_clock_wall_ms() * 1000;
    db->last_used_us = now > db->last_used_us ? now : db->last_used_us + 1;
    return db->last_used_us;
}

bool kl_db_text(struct kilter_arena *arena, sqlite3_stmt *statement, int column, struct kilter_str *ret)
{
    /* The pointer before the length: asking for it may convert the value. */
    const void *bytes = sqlite3_column_blob(statement, column);
    size_t len = (size_t)sqlite3_column_bytes(statement, column);
    *ret = kilter_arena_str(arena, kilter_str_n(bytes ? bytes : "", len));
    return ret->ptr != NULL;
}
