/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.h: what the parts of the file target share.
 *
 * Three views of one path meet here: what Git wants (struct file_wanted), what
 * was applied last (struct file_recorded) and what is there (struct file_live).
 * All of them live in the arena of a call; only struct file_target outlives it,
 * from open to close, on one thread.
 */
#ifndef FILE_TARGET_H
#define FILE_TARGET_H

#include <kilter/kilter.h>

#define FILE_API_VERSION "file.kilter.dev/v1"
#define FILE_API_GROUP "file.kilter.dev"
#define FILE_MARK "user.kilter.owner"
#define FILE_SCHEMA_VERSION 1u
/* Texts up to here are shown in plans; above, digest and size stand for them. */
#define FILE_TEXT_MAX (256u << 10)
#define FILE_SALT_SIZE 16

struct file_options {
    struct kilter_str root;
};

struct file_allow {
    struct kilter_strs paths; /* items NULL: everything below the root */
};

struct file_names; /* users.c */

struct file_target {
    struct kilter_fs *fs;
    struct kilter_arena *arena; /* lives from open to close */
    struct kilter_strs allowed;
    char machine[KILTER_MACHINE_ID_SIZE];
    struct file_names *names;
};

/* --- maps (maps.c): built without checking each step ----------------------------- */
struct file_map {
    struct kilter_arena *arena;
    struct kilter_value *map; /* NULL once something failed */
};

struct file_map file_map_new(struct kilter_arena *arena);
void file_put(struct file_map *map, const char *key, struct kilter_value *value);
void file_put_text(struct file_map *map, const char *key, struct kilter_str text);
void file_put_int(struct file_map *map, const char *key, int64_t number);
void file_put_uint(struct file_map *map, const char *key, uint64_t number);
void file_put_bool(struct file_map *map, const char *key, bool truth);
void file_put_mode(struct file_map *map, const char *key, uint32_t mode);
void file_put_digest(struct file_map *map, const char *key, const uint8_t digest[KILTER_SHA256_SIZE]);
void file_put_texts(struct file_map *map, const char *key, const struct kilter_str *texts, size_t count);
/* Each answers whether it was there and well-formed. */
bool file_get_uint(const struct kilter_value *map, const char *key, uint64_t *ret);
bool file_get_mode(const struct kilter_value *map, const char *key, uint32_t *ret);
bool file_get_hex(const struct kilter_value *map, const char *key, uint8_t *ret, size_t size);
bool file_get_flag(const struct kilter_value *map, const char *key);
struct kilter_strs file_get_texts(struct kilter_arena *arena, const struct kilter_value *map, const char *key);

/* --- users and groups (users.c), remembered while the target is open ---------------- */
struct file_names *file_names_new(struct kilter_arena *arena);
/* A name or a number. False when this host knows no such user. */
bool file_uid_of(struct file_names *names, struct kilter_str text, int64_t *ret_uid);
bool file_gid_of(struct file_names *names, struct kilter_str text, int64_t *ret_gid);
/* The name, or the number as text. */
struct kilter_str file_user_text(struct file_names *names, uint32_t uid);
struct kilter_str file_group_text(struct file_names *names, uint32_t gid);

/* --- wanted (spec.c) ---------------------------------------------------------------- */
struct file_wanted {
    const struct kilter_resource *resource;
    enum kilter_fs_type type;
    struct kilter_str path;
    bool shared; /* a directory that others use as well: existing ones keep everything, none is claimed */
    bool force;
    int64_t mode, uid, gid;           /* KILTER_FS_KEEP: not said */
    struct kilter_str target;         /* of a link */
    const struct kilter_value *value; /* the content as written: text, base64 text or handle */
    bool encoded;                     /* `value` is base64 */
    struct kilter_str bytes;          /* the content, unless it is a handle */
    struct kilter_content *content;   /* the handle */
    bool secret;
    bool hashed;
    uint8_t digest[KILTER_SHA256_SIZE];
    uint64_t length;
    int32_t wave;
    const char *problem; /* why it cannot be, whatever is there; NULL: it can */
};

/* Reads a resource. What is wrong with the document is a diagnostic and KILTER_E_INVALID; what is wrong
 * with this host (unknown user, path not allowed) is `problem`. */
int file_wanted_read(struct kilter_call *call, struct file_target *target, const struct kilter_resource *resource,
                     struct file_wanted *ret);
/* Digest and length of the wanted content, read at most once. */
int file_wanted_hash(struct file_wanted *wanted, struct kilter_error *err);
bool file_allowed(const struct file_target *target, struct kilter_str path);

/* --- recorded (state.c) --------------------------------------------------------------- */
struct file_recorded {
    const struct kilter_record *record; /* NULL: there is none */
    bool known;                         /* its attributes say what was applied */
    bool unreadable;                    /* they are of a newer schema than ours */
    enum kilter_fs_type type;
    struct kilter_str path, target, content_id;
    bool secret;
    uint8_t digest[KILTER_SHA256_SIZE]; /* of the content; of a secret, its keyed digest */
    uint8_t salt[FILE_SALT_SIZE];
    uint32_t mode, uid, gid;
    bool shared, created;
    struct kilter_strs parents; /* directories that were made for it */
    bool has_stamp;
    struct kilter_fs_entry stamp; /* by which it is known again without reading */
};

void file_recorded_read(struct kilter_arena *arena, const struct kilter_record *record, struct file_recorded *ret);
/* Whether the content with this digest is the recorded one. */
bool file_recorded_is(const struct file_target *target, const struct file_recorded *recorded,
                      const uint8_t digest[KILTER_SHA256_SIZE]);

/* What the attributes of a record are made of. */
struct file_state {
    struct kilter_str path, target, content_id;
    struct kilter_fs_entry entry;
    uint8_t digest[KILTER_SHA256_SIZE];
    bool secret, shared, created;
    struct kilter_strs parents;
};

/* NULL when out of memory. */
const struct kilter_value *file_state_attributes(const struct file_target *target, struct kilter_arena *arena,
                                                 const struct file_state *state);

/* --- live (live.c) ----------------------------------------------------------------------- */
struct file_live {
    struct kilter_str path;
    struct kilter_fs_entry entry;
    bool hashed;
    uint8_t digest[KILTER_SHA256_SIZE];
    struct kilter_str target;
};

/* KILTER_E_CONFLICT when something on the way is in the way. */
int file_live_read(struct kilter_call *call, struct file_target *target, struct kilter_str path,
                   struct file_live *ret, struct kilter_error *err);
int file_live_hash(struct file_target *target, struct file_live *live, struct kilter_error *err);
/* What of the live entry differs from the record: "content and mode", "" when nothing does. */
#define FILE_DIFF_TYPE 1u
#define FILE_DIFF_CONTENT 2u
#define FILE_DIFF_MODE 4u
#define FILE_DIFF_OWNER 8u
#define FILE_DIFF_TARGET 16u
#define FILE_DIFF_PATH 32u
/* Differences of live and recorded. `thorough`: reads the file although its stamp is the recorded one. */
int file_live_moved(struct file_target *target, struct file_live *live, const struct file_recorded *recorded,
                    bool thorough, uint32_t *ret_differences, struct kilter_error *err);
const char *file_differences_text(struct kilter_arena *arena, uint32_t differences);
/* The mark on a file or directory; absent when there is none. `ret_possible`: one could be set. */
struct kilter_str file_live_mark(struct kilter_call *call, struct file_target *target, const struct file_live *live,
                                 bool *ret_possible);
/* The state of a live entry, hashed where it has content. */
int file_live_state(struct file_target *target, struct file_live *live, struct file_state *ret,
                    struct kilter_error *err);
/* What must still be true when a change is applied, and whether it is: KILTER_OK, or KILTER_E_CONFLICT. */
const struct kilter_value *file_preconditions(struct kilter_arena *arena, const struct file_live *live,
                                              bool secret);
int file_precondition_holds(struct file_target *target, const struct kilter_value *preconditions,
                            struct file_live *live, struct kilter_error *err);

/* --- for people and for the apply (show.c) -------------------------------------------------- */
/* The live entry as the `before` of a change; reads small texts. NULL when nothing is there. */
const struct kilter_value *file_show_live(struct kilter_call *call, struct file_target *target,
                                          struct file_live *live, bool secret);
/* The `after` of a change: `entry` has the mode and owner that it will get (or the old one's). Everything
 * that the apply needs of the content is in it, but a handle. */
int file_show_wanted(struct kilter_call *call, struct file_target *target, struct file_wanted *wanted, int64_t mode,
                     int64_t uid, int64_t gid, const struct kilter_value **ret, struct kilter_error *err);

/* --- the callbacks ----------------------------------------------------------------------- */
int file_claim(struct file_target *target, struct kilter_arena *arena, struct kilter_str path,
               struct kilter_str *ret_claim);
int file_plan(struct kilter_call *call, void *handle, const struct kilter_plan_request *request,
              struct kilter_plan_sink *sink);
int file_apply(struct kilter_call *call, void *handle, const struct kilter_apply_request *request,
               struct kilter_result_sink *sink);
int file_refresh(struct kilter_call *call, void *handle, const struct kilter_state_request *request,
                 struct kilter_state_sink *sink);
int file_health(struct kilter_call *call, void *handle, const struct kilter_state_request *request,
                struct kilter_state_sink *sink);
int file_import(struct kilter_call *call, void *handle, const struct kilter_resource *resource,
                const struct kilter_value **ret_attributes, uint32_t *ret_schema_version);

#endif
