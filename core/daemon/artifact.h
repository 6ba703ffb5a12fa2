/* SPDX-License-Identifier: Apache-2.0 */
/*
 * artifact.h: what a render made, and its place in the store.
 *
 * An artifact is immutable but for the commit that it stands for: a newer one
 * that moves no answer the render was given makes the same resources. It is
 * shared by reference count. Those without secret values are kept in the store
 * together with what was asked, so that a restart renders nothing again that
 * did not change. Loop thread only.
 */
#ifndef KL_DAEMON_ARTIFACT_H
#define KL_DAEMON_ARTIFACT_H

#include "daemon/asked.h"
#include "manifest/manifest.h"
#include "store/store.h"

struct kl_engine;

struct kl_artifact {
    unsigned references;
    char commit[41];
    char render_digest[KL_DIGEST_TEXT];
    char renderer[64], version[64];
    char digest[65];              /* of the resources */
    struct kilter_str *resources; /* encoded (wire/codec.h), each malloc'd */
    size_t count, capacity;
    bool secret;
    bool moved; /* the commit is another one than in the store */
    struct kl_asked_set *asked;
};

struct kl_artifact *kl_artifact_new(void); /* with one reference; NULL when out of memory */
struct kl_artifact *kl_artifact_ref(struct kl_artifact *artifact);
void kl_artifact_unref(struct kl_artifact *artifact); /* takes NULL */
/* Adds a resource (copied). KILTER_E_NOMEM. */
int kl_artifact_add(struct kl_artifact *artifact, struct kilter_str encoded);

/* Puts it into the store as the one of this app; one with secrets takes away what is there instead. */
void kl_artifact_keep(struct kl_artifact *artifact, int64_t app, struct kl_txn *txn);
/* Gives the apps that have none the artifacts that the store kept, as far as they still fit their definition and
 * their wanted commit; then `done`. */
void kl_artifacts_restore(struct kl_engine *engine, void (*done)(void *data), void *data);
/* Puts those whose commit moved, for the end of the daemon. */
void kl_artifacts_save(struct kl_engine *engine);

#endif
