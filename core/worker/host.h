/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.h: the call object that a plugin's callback gets, over services of
 * whoever calls: a worker's job, `kilter render`, or a unit test.
 *
 * A kl_call lives on the caller's stack for one callback or several in a row.
 */
#ifndef KL_WORKER_HOST_H
#define KL_WORKER_HOST_H

#include "worker/loader.h"

/* Each member may be NULL. */
struct kl_services {
    void (*log)(void *data, enum kilter_log_level level, struct kilter_str message);
    bool (*cancelled)(void *data);
    int (*content_open)(void *data, struct kilter_arena *arena, struct kilter_str id, struct kilter_content **ret,
                        struct kilter_error *err);
    /* Plugin code begins; NULL and NULL: it ended. */
    void (*phase)(void *data, const char *plugin, const char *callback);
    void *data;
};

struct kl_call {
    struct kilter_call call; /* first: the plugin's pointer is ours */
    const struct kl_plugin *plugin;
    const struct kl_services *services;
    const char *callback; /* that runs now */
};

/* Prepares a call; `config` is the plugin's filled configuration or NULL, `services` may be NULL. */
void kl_call_init(struct kl_call *call, const struct kl_plugin *plugin, const void *config,
                  const struct kl_services *services, struct kilter_arena *arena, struct kilter_diags *diags,
                  int64_t deadline_ns, struct kilter_error *err);
/* Around every callback: announces it, and clears the error; then takes the announcement back and makes the
 * callback's return a status: positive or unknown numbers are KILTER_E_INTERNAL and the plugin's defect, and a
 * failure without words gets some. */
void kl_call_begin(struct kl_call *call, const char *callback);
int kl_call_end(struct kl_call *call, int rc);
/* The plugin broke the contract: fills the call's error with the plugin, the callback that runs and what it did;
 * KILTER_E_INTERNAL. */
int kl_call_defect(struct kl_call *call, const char *format, ...) KILTER_PRINTF(2, 3);

/* Whether a value that a plugin made can be walked through: no NULL inside, no knot, at most 200 levels and four
 * million nodes. To be asked before anything recursive looks at it. */
bool kl_value_is_bounded(const struct kilter_value *value);

#endif
