/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/*
 * jobs.h: what kilterd asks of a worker, and what it gets back.
 *
 * A job is one exchange on the worker's socket (frame.h): JOB with the
 * arguments, DATA for each thing the job works on, START; then from the worker
 * any number of PHASE, LOG, DIAG and ITEM, and one DONE. Every payload is one
 * value (codec.h), a map with the members named here. A worker runs one job at
 * a time. CANCEL may come at any moment and is answered by DONE all the same.
 *
 * JOB   {verb, ...}            arguments of the verb, below
 * DATA  {kind, ...}            "resource", "record" or "change", below
 * START {}
 * PHASE {plugin, callback}     which plugin code runs from now on, so that a
 *                              death can be blamed; {} when none does
 * LOG   {level, message}       level as in plugin.h
 * DIAG  {severity, code, file, line, column, message, hint}
 * ITEM  {kind, ...}            below
 * DONE  {status, message?, ...} status: enum kilter_status
 *
 * Common arguments: `deadlineMs`, how long the worker may take.
 * A plugin argument is {name, file, config?}: file is the shared object's path.
 *
 * describe   {plugin} -> DONE {plugin: descriptor}. descriptor: {name, version, summary, file, abiMinor,
 *            needs: [network, exec, filesystem], config: [option], renderer?: {options: [option], detect: bool},
 *            target?: {options: [option], allow: [option], watch, import: bool}};
 *            option: {name, type, flags, default?, minimum, maximum, choices?, summary}
 *
 * fetch      {url, ref: {kind: branch|tag|semver|name|commit, value}, mirror: dir, credentials?: map with the
 *            resolved values (username, password, token, certificate, key, identity, knownHosts), timeoutMs, stallMs,
 *            proxy?, ca?, allowInsecure?: bool (http:// beyond loopback), known?: commit, pins?: [commit]}
 *            -> ITEM {kind: change, path, before, after}: what differs between `known` and the new commit;
 *               before and after: absent, file, executable, link, directory, submodule. A directory whose set of
 *               (name, type) changed is named with {path, list: true}.
 *            -> DONE {commit, refName, moved: bool, forced: bool, all: bool (no list could be made: everything
 *               may have changed), author, email, time (seconds), subject}
 * maintain   {mirror, pins: [commit]} -> DONE {before, after}: bytes. Repacks, drops what no ref and no pin needs.
 * probe      {url, timeoutMs} -> DONE {healthy: bool, code: HTTP status or 0, message}. One GET of an http or https
 *            URL; healthy: 200 to 299. Redirects are followed on the same host. The message names the URL and says
 *            what is wrong; an URL that does not answer is no failure of the job.
 *
 * render     {plugin, mirror?: dir, commit?, directory?, path, options?, installation, app, inputs?: map of secret
 *            strings, substitute: bool, variables: map, maxResources, maxBytes}
 *            -> ITEM {kind: resource, ...} in the renderer's order
 *            -> ITEM {kind: asked, path, question: blob|exists|list|link, answer: id or "absent"}
 *            -> ITEM {kind: need, url, ref, path}
 *            -> DONE {count, digest: hex of the resources, secret: bool, renderer, version}
 * detect     {plugins: [plugin], mirror.., path} -> DONE {plugin: name} and the asked items
 *
 * Verbs on a target take {plugin, target: name, options, allow, mirror?: dir, commit?, owner}:
 * identity   -> DONE {identity}
 * plan       {mode: sync|destroy, thorough: bool} DATA resource.., record..
 *            -> ITEM {kind: claim, resource: index, claim}
 *            -> ITEM {kind: change, ...}; -> DONE {identity}
 * apply      {} DATA change.. (of one wave), record.. -> ITEM {kind: result, ...}; -> DONE {}
 * health     {} DATA record.. -> ITEM {kind: health, record: index, health, result, message}
 * refresh    {} DATA record.. -> ITEM {kind: attributes, record: index, attributes?, schemaVersion}
 * import     {} DATA resource (one) -> DONE {attributes, schemaVersion}
 * watch      {} DATA record.. -> ITEM {kind: moved, record: index or -1, message} until CANCEL
 *
 * resource {kind: resource, apiVersion, resourceKind, namespace, name, file, line, column, document}
 * record   {kind: record, apiVersion, resourceKind, namespace, name, claims, status, schemaVersion, attributes,
 *           directives?: {noPrune}}
 * change   {kind: change, v: 1, index, verb, flags, apiVersion, resourceKind, namespace, name, movedFrom?, claims,
 *           file, line, column, before?, after?, reason, driftBy?, foreignOwner?, preconditions?, wave, afterChanges?,
 *           effects?, private?, diff?: [{path, before?, after?}] and text?: unified diffs, both made by the host in
 *           the worker with secrets masked, noPrune?: bool, force?: bool}
 * result   {kind: result, change: index, result, message, attributes?, schemaVersion, tainted, retryAfterMs}
 * Enumerations travel as the lower-case words of their names: "create", "owned", "stale"; flags as their number.
 * A change's `index` is its place in the plan, which afterChanges of others name. A result's `change` is the place
 * among the changes of its own job, and afterChanges that are not in that job count as applied.
 * The asked items of a render come for a failed one too: it is worth another try when one of their answers moves.
 * A plugin that breaks the contract ends its job with KILTER_E_INTERNAL and "defect of the plugin NAME: its CALLBACK
 * callback ...".
 */
/* clang-format on */
#ifndef KL_WIRE_JOBS_H
#define KL_WIRE_JOBS_H

#include <kilter/target.h>

/* Words of enumerations, and back. The word of an unknown number is "unknown"; the number of an unknown
 * word is 0. */
const char *kl_verb_word(enum kilter_verb verb);
enum kilter_verb kl_verb_of(struct kilter_str word);
const char *kl_result_word(enum kilter_result_class result);
enum kilter_result_class kl_result_of(struct kilter_str word);
const char *kl_record_status_word(enum kilter_record_status status);
enum kilter_record_status kl_record_status_of(struct kilter_str word);
const char *kl_health_word(enum kilter_health health);
enum kilter_health kl_health_of(struct kilter_str word);

/* Structs of the contract as values, and back. Everything is copied into the arena, but contents, which
 * are carried by id. The readers answer KILTER_E_INVALID for a map of the wrong shape. */
struct kilter_value *kl_resource_value(struct kilter_arena *arena, const struct kilter_resource *resource);
int kl_resource_read(struct kilter_arena *arena, const struct kilter_value *map, struct kilter_resource *ret);
struct kilter_value *kl_record_value(struct kilter_arena *arena, const struct kilter_record *record);
int kl_record_read(struct kilter_arena *arena, const struct kilter_value *map, struct kilter_record *ret);
struct kilter_value *kl_change_value(struct kilter_arena *arena, const struct kilter_change *change);
int kl_change_read(struct kilter_arena *arena, const struct kilter_value *map, struct kilter_change *ret);
struct kilter_value *kl_result_value(struct kilter_arena *arena, const struct kilter_result *result);
int kl_result_read(struct kilter_arena *arena, const struct kilter_value *map, struct kilter_result *ret);

#endif
