/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin.h: what a plugin exports, how it declares its options, and what a
 * call gives it.
 *
 * A plugin is a shared object with one exported function, kilter_plugin_v1,
 * that returns a constant descriptor. The 1 is the ABI's major version: a
 * plugin of another major version is simply not found. Every struct here
 * begins with its own size as its author compiled it, and only ever grows at
 * the end, so that old plugins meet new hosts and the reverse: the host reads
 * no member beyond the smaller of both sizes.
 *
 * Plugins run in worker processes, one call at a time unless the descriptor
 * promises more. A plugin may crash: the reconcile fails with its name and the
 * callback, and nothing else does.
 */
#ifndef KILTER_PLUGIN_H
#define KILTER_PLUGIN_H

#include <kilter/value.h>

KILTER_BEGIN_DECLS

struct kilter_renderer;
struct kilter_target;

/* --- options ----------------------------------------------------------------
 * A plugin's options are one table. The host parses and checks the user's
 * text by it, refuses unknown keys with the nearest name, fills the plugin's
 * struct at `offset`, and prints the reference from it. */
enum kilter_option_type {
    KILTER_OPTION_STRING = 1,   /* struct kilter_str */
    KILTER_OPTION_BOOL = 2,     /* bool */
    KILTER_OPTION_INT = 3,      /* int64_t, within minimum and maximum */
    KILTER_OPTION_DURATION = 4, /* int64_t, nanoseconds: "90s", "1h30m"; limits in nanoseconds */
    KILTER_OPTION_SIZE = 5,     /* int64_t, bytes: "64Ki", "10M"; limits in bytes */
    KILTER_OPTION_ENUM = 6,     /* int32_t, the index in `choices` */
    KILTER_OPTION_MODE = 7,     /* uint32_t, permission bits in octal: "0644" */
    KILTER_OPTION_LIST = 8,     /* struct kilter_strs; one string is a list of one */
    KILTER_OPTION_MAP = 9,      /* struct kilter_pairs, string to string, in source order */
    KILTER_OPTION_SECRET = 10,  /* struct kilter_str; the user names a file, a credential or a variable,
                                 * the core resolves it just before the job */
    KILTER_OPTION_VALUE = 11,   /* const struct kilter_value *, as written */
};

struct kilter_strs {
    const struct kilter_str *items;
    size_t count;
};

struct kilter_pair {
    struct kilter_str key, value;
};

struct kilter_pairs {
    const struct kilter_pair *items;
    size_t count;
};

#define KILTER_OPTION_REQUIRED 1u
#define KILTER_OPTION_ABSOLUTE_PATH 2u /* a string that must begin with '/' */

struct kilter_option {
    const char *name; /* lowerCamelCase */
    enum kilter_option_type type;
    uint32_t flags;
    const char *default_text;   /* as a user would write it; NULL: zero or absent */
    int64_t minimum, maximum;   /* both 0: no limits */
    const char *const *choices; /* KILTER_OPTION_ENUM: NULL-terminated */
    size_t offset;              /* of the member in the plugin's struct */
    const char *summary;        /* one sentence, with the unit */
};

struct kilter_config_schema {
    size_t size;        /* sizeof(struct kilter_config_schema) */
    size_t option_size; /* sizeof(struct kilter_option) */
    size_t struct_size; /* of the struct that is filled */
    const struct kilter_option *options;
    size_t option_count;
};

/* Checks a map of options against a schema; every problem is a diagnostic. NULL `config` is an empty
 * map. `what` names it in messages: "option of target etc". KILTER_E_INVALID when there was one. */
KILTER_API int kilter_config_check(const struct kilter_config_schema *schema, const struct kilter_value *config,
                                   const char *what, struct kilter_diags *diags);
/* Checks, then fills a zeroed struct of schema->struct_size allocated from the arena. */
KILTER_API int kilter_config_fill(const struct kilter_config_schema *schema, const struct kilter_value *config,
                                  const char *what, struct kilter_arena *arena, void **ret_struct,
                                  struct kilter_diags *diags);

/* "90s", "1h30m", "250ms", "2d": a number and a unit (ns, us, ms, s, m, h, d), repeated; "0". Nanoseconds.
 * KILTER_E_INVALID on anything else, and on overflow. */
KILTER_API int kilter_parse_duration(struct kilter_str text, int64_t *ret_ns);
/* The shortest exact form, into at least 32 bytes: "1h30m". Returns `text`. */
KILTER_API const char *kilter_format_duration(int64_t ns, char text[32]);
/* "10", "64Ki", "10M": K, M, G, T decimal, with i binary. Bytes. */
KILTER_API int kilter_parse_size(struct kilter_str text, int64_t *ret_bytes);

/* --- calls ------------------------------------------------------------------ */
enum kilter_log_level { KILTER_LOG_ERROR = 3, KILTER_LOG_WARNING = 4, KILTER_LOG_INFO = 6, KILTER_LOG_DEBUG = 7 };

struct kilter_call;

/* The services of a call. Grows at the end: check `size` before using a newer one. */
struct kilter_host {
    size_t size;
    void (*log)(struct kilter_call *call, enum kilter_log_level level, struct kilter_str message);
    /* Whether to stop soon: superseded, shut down or past the deadline. Cheap; ask it in loops. */
    bool (*cancelled)(struct kilter_call *call);
    /* A content handle for an id that a plan carried (KILTER_E_NOT_FOUND when the mirror lost it).
     * Lives as long as the call. */
    int (*content_open)(struct kilter_call *call, struct kilter_str id, struct kilter_content **ret);
};

/* One call into a plugin. Valid until the callback returns. */
struct kilter_call {
    size_t size;
    const struct kilter_host *host;
    struct kilter_arena *arena; /* lives as long as the call */
    struct kilter_diags *diags; /* what is wrong with the user's input */
    struct kilter_error *error; /* filled by a callback that fails */
    int64_t deadline_ns;        /* CLOCK_MONOTONIC, nanoseconds; 0: none */
    const void *config;         /* the plugin-wide options, filled; NULL without a schema */
    void *host_data;            /* the host's, not the plugin's */
};

KILTER_API void kilter_log(struct kilter_call *call, enum kilter_log_level level, const char *format, ...)
    KILTER_PRINTF(3, 4);

static inline bool kilter_cancelled(struct kilter_call *call)
{
    return call->host->cancelled(call);
}

/* --- descriptor --------------------------------------------------------------- */
/* What a plugin needs of the system. The sandbox is built from it: what is not named is not there. */
#define KILTER_NEED_NETWORK 1u    /* sockets beyond the inherited ones */
#define KILTER_NEED_EXEC 2u       /* running programs */
#define KILTER_NEED_FILESYSTEM 4u /* reading and writing files outside of the tree */

/* What a plugin promises about threads. */
enum kilter_threads {
    KILTER_THREADS_ONE = 0,       /* one call at a time in the process */
    KILTER_THREADS_PER_HANDLE = 1 /* calls on different handles may overlap */
};

struct kilter_plugin {
    size_t size;        /* sizeof(struct kilter_plugin) */
    uint32_t abi_minor; /* KILTER_ABI_MINOR at build: the least libkilter this plugin needs */
    const char *name;   /* lower-case letters, digits and '-' */
    const char *version;
    const char *summary; /* one sentence */
    uint32_t needs;      /* KILTER_NEED_... */
    enum kilter_threads threads;
    const struct kilter_config_schema *config; /* options of `plugins:` entries, or NULL */
    const struct kilter_renderer *renderer;    /* or NULL */
    const struct kilter_target *target;        /* or NULL */
};

/* The one symbol that a plugin exports. */
#ifdef __cplusplus
#define KILTER_PLUGIN_EXPORT extern "C" KILTER_API
#else
#define KILTER_PLUGIN_EXPORT KILTER_API
#endif
KILTER_PLUGIN_EXPORT const struct kilter_plugin *kilter_plugin_v1(void);

KILTER_END_DECLS

#endif
