/* SPDX-License-Identifier: Apache-2.0 */
#include "store/schema.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

/* A store up to this size is checked whenever it is opened: that takes a fraction of a second. */
#define ALWAYS_CHECKED_BYTES (INT64_C(64) << 20)

#define HEADER_SIZE 100 /* sqlite.org/fileformat2.html, 1.3 */

/* What SQLite puts beside the file while it is open. */
static const char *const companions[] = { "-wal", "-shm", "-journal" };

static char *join(const char *path, const char *suffix)
{
    char *joined = NULL;
    return asprintf(&joined, "%s%s", path, suffix) < 0 ? NULL : joined;
}

static int out_of_memory(struct kilter_error *err)
{
    return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
}

int kl_schema_flush(const char *path, struct kilter_error *err)
{
    KL_CLEANUP(kl_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return kilter_error_errno(err, errno, "flushing %s", path);
    return 0;
}

int kl_schema_flush_directory(const char *path, struct kilter_error *err)
{
    const char *slash = strrchr(path, '/');
    KL_CLEANUP(kl_freep) char *directory = NULL;
    if (slash)
        directory = strndup(path, slash == path ? 1 : (size_t)(slash - path));
    else
        directory = strdup(".");
    return directory ? kl_schema_flush(directory, err) : out_of_memory(err);
}

static int damaged(struct kilter_error *err, const char *path, const char *how)
{
    kilter_error_set(
        err, KILTER_E_IO,
        "the store %s is damaged: %s. It was left as it is: put a backup in its place (%s.backup-*), or "
        "move it away to begin with an empty store, which owns nothing",
        path, how, path);
    if (err)
        err->sys_errno = EUCLEAN;
    return KILTER_E_IO;
}

/* Puts the way out into what SQLite said about a damaged file. */
static int explain(struct kilter_error *err, const char *path, int status)
{
    static const char said[] = "the store is damaged: ";
    if (!err || status == 0)
        return status;
    if (err->sys_errno != EUCLEAN)
        return kilter_error_wrap(err, "the store %s", path);
    struct kilter_error cause = *err;
    const char *found = strstr(cause.message, said);
    return damaged(err, path, found ? found + strlen(said) : cause.message);
}

static int64_t size_of(const char *path, const char *suffix)
{
    KL_CLEANUP(kl_freep) char *companion = join(path, suffix);
    struct stat st;
    return companion && stat(companion, &st) == 0 ? (int64_t)st.st_size : -1;
}

/* --- making ---------------------------------------------------------------------------- */

static int create_private(const char *path, struct kilter_error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return kilter_error_errno(err, errno, "creating %s", path);
    close(fd);
    return 0;
}

static void remove_with_companions(const char *path)
{
    unlink(path);
    for (size_t i = 0; i < sizeof(companions) / sizeof(companions[0]); i++) {
        KL_CLEANUP(kl_freep) char *companion = join(path, companions[i]);
        if (companion)
            unlink(companion);
    }
}

static int run_steps(struct kl_db *db, const struct kl_schema *schema, uint32_t from, struct kilter_error *err)
{
    for (uint32_t version = from; version < schema->version; version++) {
        char pragma[48];
        snprintf(pragma, sizeof(pragma), "PRAGMA user_version=%u", version + 1);
        int status = kl_db_script(db, schema->steps[version], err);
        if (status == 0)
            status = kl_db_script(db, pragma, err);
        if (status < 0)
            return kilter_error_wrap(err, "from version %u to %u", version, version + 1);
    }
    return 0;
}

/* A random UUID (RFC 9562, version 4). */
static void make_uuid(char text[37])
{
    uint8_t b[16];
    char hex[33];
    kl_random_bytes(b, sizeof(b));
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    kilter_hex(b, sizeof(b), hex);
    snprintf(text, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

static int fill_new(struct kl_db *db, const struct kl_schema *schema, struct kilter_str installation,
                    struct kilter_error *err)
{
    char lineage[37], pragma[48];
    make_uuid(lineage);
    snprintf(pragma, sizeof(pragma), "PRAGMA application_id=%d", KL_SCHEMA_APPLICATION_ID);
    int status = kl_db_script(db, "BEGIN IMMEDIATE", err);
    if (status == 0)
        status = kl_db_script(db, pragma, err);
    if (status == 0)
        status = run_steps(db, schema, 0, err);
    if (status == 0)
        status = kl_db_run(db, err, "INSERT INTO meta VALUES ('installation', ?), ('lineage', ?), ('open', '0')",
                           "tt", installation, kilter_str_c(lineage));
    if (status == 0)
        status = kl_db_script(db, "COMMIT", err);
    return status;
}

/* Made under another name and renamed, so that a store is never half made: an empty or short file is damage, not a
 * beginning. */
static int create(const char *path, const struct kl_schema *schema, struct kilter_str installation,
                  struct kilter_error *err)
{
    KL_CLEANUP(kl_freep) char *fresh = join(path, ".new");
    if (!fresh)
        return out_of_memory(err);
    remove_with_companions(fresh);
    int status = create_private(fresh, err);
    if (status < 0)
        return status;
    struct kl_db db = { 0 };
    status = kl_db_open(&db, fresh, err);
    if (status == 0)
        status = fill_new(&db, schema, installation, err);
    int closed = kl_db_close(&db, status == 0 ? err : NULL);
    if (status == 0)
        status = closed;
    if (status == 0)
        status = kl_schema_flush(fresh, err);
    if (status == 0 && rename(fresh, path) < 0)
        status = kilter_error_errno(err, errno, "renaming %s", fresh);
    if (status == 0)
        return kl_schema_flush_directory(path, err);
    remove_with_companions(fresh);
    return kilter_error_wrap(err, "making the store %s", path);
}

/* --- looking before SQLite does ------------------------------------------------------------ */

static uint32_t read_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int check_header(const char *path, const uint8_t *header, int64_t size, struct kilter_error *err)
{
    if (memcmp(header, "SQLite format 3", 16) != 0 || read_u32(header + 68) != KL_SCHEMA_APPLICATION_ID)
        return damaged(err, path, "its header is not that of a store of kilter's");
    int64_t page_size = (int64_t)header[16] << 8 | header[17];
    if (page_size == 1)
        page_size = 65536;
    /* With a log beside it the file may be behind its header. */
    if (size_of(path, "-wal") <= 0 && read_u32(header + 28) * page_size > size)
        return damaged(err, path, "it was cut short");
    return 0;
}

/* Reads the header with plain calls, so that a foreign file is not touched. */
static int look(const char *path, int64_t *ret_size, struct kilter_error *err)
{
    KL_CLEANUP(kl_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return kilter_error_errno(err, errno, "the store %s", path);
    if (!S_ISREG(st.st_mode))
        return damaged(err, path, "it is no regular file");
    uint8_t header[HEADER_SIZE];
    ssize_t n = pread(fd, header, sizeof(header), 0);
    if (n < 0)
        return kilter_error_errno(err, errno, "the store %s", path);
    if (n < HEADER_SIZE)
        return damaged(err, path, n == 0 ? "it is empty" : "it was cut short");
    int status = check_header(path, header, st.st_size, err);
    if (status < 0)
        return status;
    if ((st.st_mode & 077) != 0 && fchmod(fd, 0600) < 0)
        return kilter_error_errno(err, errno, "taking other users' access to the store %s", path);
    *ret_size = st.st_size;
    return 0;
}

/* --- checking ------------------------------------------------------------------------------- */

static int check_pages(struct kl_db *db, const char *path, struct kilter_error *err)
{
    sqlite3_stmt *statement;
    int status = kl_db_query(db, &statement, err, "PRAGMA quick_check(1)", "");
    if (status == 0)
        status = kl_db_next(db, statement, err);
    if (status < 0)
        return status;
    const char *text = status > 0 ? (const char *)sqlite3_column_text(statement, 0) : "it cannot be checked";
    if (!text) {
        kl_db_done(statement);
        return out_of_memory(err);
    }
    const char *line = strchr(text, '\n'); /* the first one is a heading, when there are more */
    status = strcmp(text, "ok") == 0 ? 0 : damaged(err, path, line ? line + 1 : text);
    kl_db_done(statement);
    return status;
}

static int check_version(const char *path, const struct kl_schema *schema, int64_t version,
                         struct kilter_error *err)
{
    if (version <= 0)
        return damaged(err, path, "it has no version");
    if (version > schema->version)
        return kilter_error_set(err, KILTER_E_UNSUPPORTED,
                                "the store %s was written by a newer kilter: its tables have version %lld, this "
                                "kilter knows them up to version %u. Install the newer kilter again, or put the "
                                "backup that it made before it migrated (%s.backup-v*) in the store's place",
                                path, (long long)version, schema->version, path);
    return 0;
}

/* --- migrating -------------------------------------------------------------------------------- */

static int back_up(struct kl_db *db, const char *path, uint32_t version, char **ret_path, struct kilter_error *err)
{
    char stamp[32];
    kl_clock_format(kl_clock_wall_ms(), stamp);
    char *to = stamp;
    for (const char *from = stamp; *from; from++)
        if (*from != ':' && *from != '-')
            *to++ = *from;
    *to = '\0';
    KL_CLEANUP(kl_freep) char *copy = NULL;
    if (asprintf(&copy, "%s.backup-v%u-%s", path, version, stamp) < 0) {
        copy = NULL;
        return out_of_memory(err);
    }
    int status = create_private(copy, err);
    if (status < 0)
        return status;
    status = kl_db_run(db, err, "VACUUM INTO ?", "t", kilter_str_c(copy));
    if (status == 0)
        status = kl_schema_flush(copy, err);
    if (status == 0)
        status = kl_schema_flush_directory(copy, err);
    if (status < 0) {
        remove_with_companions(copy);
        return kilter_error_wrap(err, "making the backup %s before migrating", copy);
    }
    *ret_path = kl_steal(copy);
    return 0;
}

static int check_references(struct kl_db *db, struct kilter_error *err)
{
    int64_t broken = 0;
    int status = kl_db_number(db, &broken, 0, err, "SELECT count(*) FROM pragma_foreign_key_check", "");
    if (status == 0 && broken != 0)
        return kilter_error_set(err, KILTER_E_INTERNAL, "%lld rows refer to nothing", (long long)broken);
    return status;
}

static int migrate(struct kl_db *db, const char *path, const struct kl_schema *schema,
                   struct kl_schema_report *report, struct kilter_error *err)
{
    int status = back_up(db, path, report->migrated_from, &report->backup, err);
    if (status < 0)
        return status;
    status = kl_db_script(db, "PRAGMA foreign_keys=OFF; BEGIN IMMEDIATE", err);
    if (status == 0)
        status = run_steps(db, schema, report->migrated_from, err);
    if (status == 0)
        status = check_references(db, err);
    if (status == 0)
        status = kl_db_script(db, "COMMIT", err);
    if (status == 0)
        return kl_db_script(db, "PRAGMA foreign_keys=ON", err);
    kl_db_script(db, "ROLLBACK", NULL);
    return kilter_error_wrap(err, "migrating the store %s (nothing was changed; its backup is %s)", path,
                             report->backup);
}

/* --- opening ------------------------------------------------------------------------------------ */

static int prepare_connection(struct kl_db *db, const char *path, struct kilter_error *err)
{
    if (sqlite3_db_readonly(db->handle, "main") == 1) {
        int number = access(path, W_OK) == 0 ? EROFS : errno;
        return kilter_error_errno(err, number, "the store %s cannot be written", path);
    }
    int status = kl_db_script(db,
                              "PRAGMA foreign_keys=ON; PRAGMA journal_mode=WAL;"
                              "PRAGMA journal_size_limit=16777216",
                              err);
    return status < 0 ? status : kl_db_set_sync(db, true, err);
}

static int open_existing(struct kl_db *db, const char *path, const struct kl_schema *schema,
                         struct kl_schema_report *report, struct kilter_error *err)
{
    int64_t size = 0, version = 0, was_open = 0;
    bool log_left = size_of(path, "-wal") > 0;
    int status = look(path, &size, err);
    if (status < 0)
        return status;
    status = kl_db_open(db, path, err);
    if (status == 0)
        status = kl_db_number(db, &version, 0, err, "PRAGMA user_version", "");
    if (status == 0)
        status = check_version(path, schema, version, err);
    if (status == 0)
        status = prepare_connection(db, path, err);
    if (status == 0)
        status = kl_db_number(db, &was_open, 1, err, "SELECT value = '1' FROM meta WHERE key = 'open'", "");
    if (status < 0)
        return status;
    report->unclean = was_open != 0 || log_left;
    report->migrated_from = (uint32_t)version;
    if (report->unclean || version < schema->version || size <= ALWAYS_CHECKED_BYTES)
        status = check_pages(db, path, err);
    if (status == 0 && version < schema->version)
        status = migrate(db, path, schema, report, err);
    if (status == 0)
        status = kl_db_run(db, err, "INSERT OR REPLACE INTO meta VALUES ('open', '1')", "");
    return status;
}

int kl_schema_open(struct kl_db *db, const char *path, const struct kl_schema *schema,
                   struct kilter_str installation, struct kl_schema_report *ret, struct kilter_error *err)
{
    struct kl_schema_report report = { 0 };
    struct stat st;
    if (lstat(path, &st) < 0) {
        if (errno != ENOENT)
            return kilter_error_errno(err, errno, "the store %s", path);
        if (size_of(path, "-wal") > 0)
            return damaged(err, path, "the file is gone but its log is there");
        int status = create(path, schema, installation, err);
        if (status < 0)
            return status;
        report.created = true;
    }
    int status = open_existing(db, path, schema, &report, err);
    if (status < 0) {
        /* Messages that name the store already are left alone. */
        if (err && !strstr(err->message, path))
            explain(err, path, status);
        free(report.backup);
        kl_db_close(db, NULL);
        return status;
    }
    *ret = report;
    return 0;
}

int kl_schema_close(struct kl_db *db, struct kilter_error *err)
{
    int status = kl_db_set_sync(db, true, err);
    if (status == 0)
        status = kl_db_run(db, err, "UPDATE meta SET value = '0' WHERE key = 'open'", "");
    int closed = kl_db_close(db, status == 0 ? err : NULL);
    return status < 0 ? status : closed;
}
