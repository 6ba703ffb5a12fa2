/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/tables.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define SECOND INT64_C(1000000000)
#define MINUTE (60 * SECOND)
#define DAY (24 * 60 * MINUTE)
#define MIB (INT64_C(1) << 20)

#define AT(type, member) offsetof(struct type, member)

/* A row: what it takes, its name, flags, default, where it goes, what it means; and with limits, words or a table.
 */
#define KEY(kind, key, flag, fallback, at, text)                                                                   \
    {                                                                                                              \
        key, kind, flag, fallback, 0, 0, NULL, NULL, at, text                                                      \
    }
#define RANGE(kind, key, fallback, low, high, at, text)                                                            \
    {                                                                                                              \
        key, kind, 0, fallback, low, high, NULL, NULL, at, text                                                    \
    }
#define WORDS(key, fallback, words, at, text)                                                                      \
    {                                                                                                              \
        key, KL_KEY_ENUM, 0, fallback, 0, 0, words, NULL, at, text                                                 \
    }
#define NESTED(kind, key, flag, sub, at, text)                                                                     \
    {                                                                                                              \
        key, kind, flag, NULL, 0, 0, NULL, sub, at, text                                                           \
    }
#define DEFINE(variable, word, keys, flags, text)                                                                  \
    const struct kl_table variable = { word, text, keys, COUNT(keys), flags }

/* --- daemon: the tables within fill the one struct ------------------------------------ */
static const struct kl_key socket_keys[] = {
    KEY(KL_KEY_STRING, "path", KL_KEY_ABSOLUTE, "/run/kilter/kilterd.sock", AT(kl_daemon_config, socket_path),
        "Where the daemon listens for the command line."),
    KEY(KL_KEY_STRING, "group", 0, NULL, AT(kl_daemon_config, socket_group),
        "The group that may use the socket; without it the daemon's own group."),
    KEY(KL_KEY_MODE, "mode", 0, "0660", AT(kl_daemon_config, socket_mode), "Permission bits of the socket."),
};
static DEFINE(socket_table, "daemon.socket", socket_keys, 0,
              "The daemon's unix socket. Who may write to it may do everything; the peer's uid is the actor.");

static const struct kl_key limits_keys[] = {
    RANGE(KL_KEY_COUNT, "workers", "0", 0, 256, AT(kl_daemon_config, workers),
          "Worker processes at once; 0: as many as there are processors, at least 2."),
    RANGE(KL_KEY_COUNT, "concurrency", "0", 0, 1024, AT(kl_daemon_config, concurrency),
          "Apps that are rendered at once, and apps that are planned or applied at once; 0: as many as workers."),
    RANGE(KL_KEY_SIZE, "memory", "1Gi", 64 * MIB, 0, AT(kl_daemon_config, worker_memory),
          "Bytes that one worker may use."),
};
static DEFINE(limits_table, "daemon.limits", limits_keys, 0, "What the daemon may use.");

static const char *const log_levels[] = { "error", "warning", "info", "debug", NULL };
static const struct kl_key daemon_keys[] = {
    KEY(KL_KEY_STRING, "stateDirectory", KL_KEY_ABSOLUTE, "/var/lib/kilter", AT(kl_daemon_config, state_directory),
        "Where the store and the mirrors of the sources are."),
    NESTED(KL_KEY_TABLE, "socket", 0, &socket_table, 0, "The daemon's unix socket."),
    WORDS("logLevel", "info", log_levels, AT(kl_daemon_config, log_level),
          "The least important messages that are written."),
    NESTED(KL_KEY_TABLE, "limits", 0, &limits_table, 0, "What the daemon may use."),
};
static DEFINE(daemon_table, "daemon", daemon_keys, 0, "Settings of the daemon itself; a change needs a restart.");

/* --- plugins --------------------------------------------------------------------------- */
static const struct kl_key plugin_keys[] = {
    KEY(KL_KEY_STRING, "name", 0, NULL, AT(kl_raw_plugin, name),
        "The plugin's name; with `file` its default is the file's name without `.so`."),
    KEY(KL_KEY_STRING, "file", 0, NULL, AT(kl_raw_plugin, file),
        "The shared object, relative to this file; without it the plugin path is searched for the name."),
    KEY(KL_KEY_MAP, "config", 0, NULL, AT(kl_raw_plugin, config),
        "Options of the plugin as a whole; `kilter plugin describe` lists them."),
};
DEFINE(kl_table_plugin, "plugin", plugin_keys, 0, "A plugin to load. A name alone is short for `{name: NAME}`.");

/* --- sources --------------------------------------------------------------------------- */
static const struct kl_key ref_keys[] = {
    KEY(KL_KEY_STRING, "branch", 0, NULL, AT(kl_raw_ref, branch), "The tip of a branch."),
    KEY(KL_KEY_STRING, "tag", 0, NULL, AT(kl_raw_ref, tag), "A tag, wherever it is moved."),
    KEY(KL_KEY_STRING, "semver", 0, NULL, AT(kl_raw_ref, semver),
        "The highest of the tags that are versions within a range, such as `>=1.4.0 <2.0.0`."),
    KEY(KL_KEY_STRING, "name", 0, NULL, AT(kl_raw_ref, name), "A full ref, such as `refs/heads/main`, or `HEAD`."),
    KEY(KL_KEY_STRING, "commit", 0, NULL, AT(kl_raw_ref, commit), "One commit, by its 40 hexadecimal digits."),
};
static DEFINE(ref_table, "source.ref", ref_keys, KL_TABLE_EXACTLY_ONE, "What to follow: exactly one of these.");

static const struct kl_key credentials_keys[] = {
    KEY(KL_KEY_STRING, "username", 0, NULL, AT(kl_credentials, username),
        "User name; for https, with `password`, and for ssh when the URL names none."),
    KEY(KL_KEY_SECRET, "password", 0, NULL, AT(kl_credentials, password),
        "https: the password, or an access token."),
    KEY(KL_KEY_SECRET, "token", 0, NULL, AT(kl_credentials, token), "https: a bearer token."),
    KEY(KL_KEY_SECRET, "certificate", 0, NULL, AT(kl_credentials, certificate),
        "https: a client certificate, PEM; with `key`."),
    KEY(KL_KEY_SECRET, "key", 0, NULL, AT(kl_credentials, key), "https: the client certificate's key, PEM."),
    KEY(KL_KEY_SECRET, "identity", 0, NULL, AT(kl_credentials, identity),
        "ssh: a private key; without it what ssh itself is set up with, and its agent."),
    KEY(KL_KEY_SECRET, "knownHosts", 0, NULL, AT(kl_credentials, known_hosts),
        "ssh: the host keys to believe; without it the system's and the user's known_hosts. An unknown host is "
        "always refused."),
};
static DEFINE(credentials_table, "source.credentials", credentials_keys, 0,
              "Who we are. Secrets are named, never written here.");

#define SOURCE_KEYS(need)                                                                                          \
    {                                                                                                              \
        KEY(KL_KEY_STRING, "url", need, NULL, AT(kl_raw_source, url),                                              \
            "The repository: `https://HOST/PATH`, `ssh://USER@HOST/PATH`, `USER@HOST:PATH` or `file:///PATH`. "    \
            "Without credentials in it."),                                                                         \
            NESTED(KL_KEY_TABLE, "ref", need, &ref_table, AT(kl_raw_source, ref),                                  \
                   "What to follow: exactly one of branch, tag, semver, name and commit."),                        \
            RANGE(KL_KEY_DURATION, "interval", "1m", SECOND / 10, 30 * DAY, AT(kl_raw_source, interval_ns),        \
                  "How often to look for new commits; with a jitter of 10%."),                                     \
            RANGE(KL_KEY_DURATION, "timeout", "5m", SECOND, DAY, AT(kl_raw_source, timeout_ns),                    \
                  "How long one look, with its fetch, may take."),                                                 \
            RANGE(KL_KEY_DURATION, "stallTimeout", "30s", SECOND, DAY, AT(kl_raw_source, stall_timeout_ns),        \
                  "How long the server may send nothing."),                                                        \
            NESTED(KL_KEY_TABLE, "credentials", 0, &credentials_table, AT(kl_raw_source, credentials),             \
                   "Who we are; secrets by reference."),                                                           \
            KEY(KL_KEY_STRING, "proxy", 0, NULL, AT(kl_raw_source, proxy),                                         \
                "https: URL of a proxy; without it what the daemon's environment says."),                          \
            KEY(KL_KEY_SECRET, "ca", 0, NULL, AT(kl_raw_source, ca),                                               \
                "https: the authorities to believe, PEM, instead of the system's."),                               \
            KEY(KL_KEY_BOOL, "allowInsecure", 0, "false", AT(kl_raw_source, allow_insecure),                       \
                "Allows `http://`, which anyone on the way can read and change, to other machines too."),          \
            KEY(KL_KEY_MAP, "verify", 0, NULL, AT(kl_raw_source, verify),                                          \
                "Reserved for signatures of commits: refused until kilter can check them."),                       \
    }
static const struct kl_key source_keys[] = SOURCE_KEYS(KL_KEY_REQUIRED);
static const struct kl_key override_keys[] = SOURCE_KEYS(0);
DEFINE(kl_table_source, "source", source_keys, 0, "A Git repository, and what to follow in it.");
DEFINE(kl_table_source_override, "environment.sources", override_keys, 0,
       "What an environment has otherwise in a source: these keys replace the source's own.");

/* --- environments ------------------------------------------------------------------------ */
static const struct kl_key environment_keys[] = {
    KEY(KL_KEY_STRING, "policy", 0, NULL, AT(kl_raw_environment, policy),
        "The policy of apps that name none themselves."),
    NESTED(KL_KEY_MAP_OF, "sources", 0, &kl_table_source_override, AT(kl_raw_environment, sources),
           "Sources that are otherwise here: the keys given replace the source's own."),
    KEY(KL_KEY_VARIABLES, "variables", 0, NULL, AT(kl_raw_environment, variables),
        "More variables for `${...}`, in the manifest and in the documents of apps that substitute."),
};
DEFINE(kl_table_environment, "environment", environment_keys, 0,
       "A stage such as dev or prod. An app that lists it exists once in it: `app@environment`.");

/* --- targets ------------------------------------------------------------------------------ */
static const struct kl_key target_keys[] = {
    KEY(KL_KEY_STRING, "plugin", KL_KEY_REQUIRED, NULL, AT(kl_raw_target, plugin), "The target plugin."),
    KEY(KL_KEY_MAP, "options", 0, NULL, AT(kl_raw_target, options),
        "The plugin's options; `kilter plugin describe` lists them."),
    KEY(KL_KEY_MAP, "allow", 0, NULL, AT(kl_raw_target, allow),
        "Bounds: whatever an app wants beyond them is refused. What they are is the plugin's."),
    RANGE(KL_KEY_COUNT, "concurrency", "4", 1, 256, AT(kl_raw_target, concurrency),
          "Apps that are planned or applied on it at once."),
};
DEFINE(kl_table_target, "target", target_keys, 0,
       "A system to be kept in line. One that mentions `${env}` is one target for each environment in use.");

/* --- policies ------------------------------------------------------------------------------ */
static const struct kl_key retry_keys[] = {
    RANGE(KL_KEY_DURATION, "first", "5s", SECOND / 10, DAY, AT(kl_raw_retry, first_ns),
          "The wait before the first further attempt; it doubles each time."),
    RANGE(KL_KEY_DURATION, "max", "5m", SECOND / 10, 30 * DAY, AT(kl_raw_retry, max_ns), "The longest wait."),
};
static DEFINE(retry_table, "policy.retry", retry_keys, 0, "Further attempts, after transient failures only.");

static const char *const sync_words[] = { "auto", "manual", NULL };
static const char *const drift_words[] = { "report", "correct", "ignore", NULL };
static const char *const adopt_words[] = { "if-equal", "always", "never", NULL };
static const char *const on_remove_words[] = { "keep", "delete", NULL };
static const char *const on_unhealthy_words[] = { "keep", "rollback", NULL };
static const struct kl_key policy_keys[] = {
    WORDS("sync", "auto", sync_words, AT(kl_raw_policy, sync),
          "`manual`: a new commit makes a plan that waits for `kilter approve` or `kilter sync`."),
    WORDS("drift", "report", drift_words, AT(kl_raw_policy, drift),
          "What happens to drift: `correct` puts it back, `report` shows it, `ignore` counts it."),
    KEY(KL_KEY_BOOL, "prune", 0, "false", AT(kl_raw_policy, prune),
        "Whether what left Git is deleted; off: `kilter status` counts what would go."),
    KEY(KL_KEY_LIMIT, "maxDeletes", 0, "10", AT(kl_raw_policy, max_deletes),
        "Deletions in one plan beyond which it waits for a person: a number, or a percentage of what the app owns, "
        "which counts above 5 deletions. Replacements count, and so does the removal of an app."),
    WORDS("adopt", "if-equal", adopt_words, AT(kl_raw_policy, adopt),
          "An unowned thing that is there already: taken when it is equal, `always` (overwritten) or `never`."),
    WORDS("onRemove", "keep", on_remove_words, AT(kl_raw_policy, on_remove),
          "What happens to live things when the app leaves the manifest: kept and forgotten, or `delete`."),
    WORDS("onUnhealthy", "keep", on_unhealthy_words, AT(kl_raw_policy, on_unhealthy),
          "`rollback`: the last good commit comes back, the bad one is remembered until Git moves."),
    RANGE(KL_KEY_DURATION, "driftInterval", "5m", SECOND / 10, 30 * DAY, AT(kl_raw_policy, drift_interval_ns),
          "How often to look for drift; with a jitter of 10%."),
    RANGE(KL_KEY_DURATION, "timeout", "5m", SECOND / 10, DAY, AT(kl_raw_policy, timeout_ns),
          "How long each phase (render, plan, apply, health) may take."),
    NESTED(KL_KEY_TABLE, "retry", 0, &retry_table, AT(kl_raw_policy, retry),
           "Further attempts, after transient failures only."),
};
DEFINE(kl_table_policy, "policy", policy_keys, 0,
       "What may happen without asking. `default` has the values below unless the manifest says otherwise; every "
       "other policy starts from `default`.");

/* --- apps ----------------------------------------------------------------------------------- */
static const struct kl_key renderer_keys[] = {
    KEY(KL_KEY_STRING, "name", KL_KEY_REQUIRED, NULL, AT(kl_raw_renderer, name), "The renderer plugin."),
};
DEFINE(kl_table_renderer, "app.renderer", renderer_keys, KL_TABLE_OPEN,
       "The renderer with options of its own; a name alone is short for `{name: NAME}`.");

static const struct kl_key input_keys[] = {
    KEY(KL_KEY_STRING, "file", 0, NULL, AT(kl_raw_input, file), "An absolute path."),
    KEY(KL_KEY_STRING, "credential", 0, NULL, AT(kl_raw_input, credential),
        "A systemd credential of the daemon's unit (`LoadCredential=`)."),
    KEY(KL_KEY_STRING, "env", 0, NULL, AT(kl_raw_input, env), "A variable of the daemon's environment."),
    KEY(KL_KEY_BOOL, "secret", 0, "true", AT(kl_raw_input, secret),
        "Whether it is masked wherever it would be shown."),
};
DEFINE(kl_table_input, "app.inputs", input_keys, 0,
       "A value from outside of Git: exactly one of file, credential and env.");

static const struct kl_key health_keys[] = {
    RANGE(KL_KEY_DURATION, "window", "0", 0, DAY, AT(kl_health_check, window_ns),
          "How long it must stay healthy after an apply; 0: one look."),
    KEY(KL_KEY_STRING, "http", 0, NULL, AT(kl_health_check, http),
        "A URL that must answer a GET with a status of 200 to 299, once the target says that all is well."),
};
static DEFINE(health_table, "app.health", health_keys, 0,
              "When the app counts as healthy, beside what its target says.");

static const struct kl_key app_keys[] = {
    KEY(KL_KEY_STRING, "source", KL_KEY_REQUIRED, NULL, AT(kl_raw_app, source), "The source it comes from."),
    KEY(KL_KEY_STRING, "path", KL_KEY_REQUIRED, NULL, AT(kl_raw_app, path),
        "What of the source's tree is rendered: a directory or a file; `.` is all of it."),
    NESTED(
        KL_KEY_STRING_OR_TABLE, "renderer", 0, &kl_table_renderer, AT(kl_raw_app, renderer),
        "The renderer plugin, with options: `{name: files, modes: {...}}`. Without it the plugins look at the path "
        "and the surest one is taken."),
    KEY(KL_KEY_STRING, "target", KL_KEY_REQUIRED, NULL, AT(kl_raw_app, target),
        "The target that it is applied to."),
    KEY(KL_KEY_STRINGS, "environments", 0, NULL, AT(kl_raw_app, environments),
        "The environments in which it exists, once in each."),
    NESTED(
        KL_KEY_STRING_OR_TABLE, "policy", 0, &kl_table_policy, AT(kl_raw_app, policy),
        "A policy's name; or a map of what is otherwise than in the environment's policy, or else in `default`."),
    KEY(KL_KEY_STRINGS, "dependsOn", 0, NULL, AT(kl_raw_app, depends_on),
        "Apps, of the same environment, that must be ready before a new commit is applied."),
    NESTED(KL_KEY_MAP_OF, "inputs", 0, &kl_table_input, AT(kl_raw_app, inputs),
           "Values from outside of Git, by reference, for `${...}` in documents of an app that substitutes. They "
           "win over "
           "variables."),
    KEY(KL_KEY_STRING_OR_VARIABLES, "movedFrom", 0, NULL, AT(kl_raw_app, moved_from),
        "The app's old name: ownership is carried over. As a map from environments to full old names, such as "
        "`{prod: web}`, when environments are new."),
    KEY(KL_KEY_BOOL, "allowEmpty", 0, "false", AT(kl_raw_app, allow_empty),
        "Whether a render without any resource may delete what the app owns."),
    KEY(KL_KEY_BOOL, "suspend", 0, "false", AT(kl_raw_app, suspend),
        "Holds the app: nothing is applied until this is taken away."),
    KEY(KL_KEY_BOOL_OR_VARIABLES, "substitute", 0, NULL, AT(kl_raw_app, substitute),
        "Whether `${...}` is substituted in the app's documents too; a map gives more variables for it."),
    NESTED(KL_KEY_TABLE, "health", 0, &health_table, AT(kl_raw_app, health),
           "When the app counts as healthy, beside what its target says."),
};
DEFINE(kl_table_app, "app", app_keys, 0,
       "One path of one source, rendered by one renderer, applied to one target, under one policy.");

/* --- the file ---------------------------------------------------------------------------------- */
static const struct kl_key metadata_keys[] = {
    KEY(KL_KEY_STRING, "name", KL_KEY_REQUIRED, NULL, AT(kl_raw_metadata, name),
        "The name of this installation, part of every mark of ownership. Never give it to another one."),
};
static DEFINE(metadata_table, "metadata", metadata_keys, 0, "What the manifest is called.");

#define SECTION_KEYS                                                                                               \
    KEY(KL_KEY_STRINGS, "include", 0, NULL, AT(kl_raw_file, include),                                              \
        "More files, relative to this one; `*`, `?` and `[...]` match within a name. They may hold sources, "      \
        "environments, targets, policies, apps and includes."),                                                    \
        NESTED(KL_KEY_MAP_OF, "sources", 0, &kl_table_source, AT(kl_raw_file, sources),                            \
               "Git repositories, by name."),                                                                      \
        NESTED(KL_KEY_MAP_OF, "environments", 0, &kl_table_environment, AT(kl_raw_file, environments),             \
               "Stages, by name."),                                                                                \
        NESTED(KL_KEY_MAP_OF, "targets", 0, &kl_table_target, AT(kl_raw_file, targets), "Systems, by name."),      \
        NESTED(KL_KEY_MAP_OF, "policies", 0, &kl_table_policy, AT(kl_raw_file, policies), "Policies, by name."),   \
        NESTED(KL_KEY_MAP_OF, "apps", 0, &kl_table_app, AT(kl_raw_file, apps), "Apps, by name.")

static const struct kl_key manifest_keys[] = {
    KEY(KL_KEY_STRING, "apiVersion", KL_KEY_REQUIRED, NULL, AT(kl_raw_file, api_version), "`kilter.dev/v1`"),
    KEY(KL_KEY_STRING, "kind", KL_KEY_REQUIRED, NULL, AT(kl_raw_file, kind), "`Manifest`"),
    NESTED(KL_KEY_TABLE, "metadata", KL_KEY_REQUIRED, &metadata_table, AT(kl_raw_file, metadata),
           "What the manifest is called."),
    NESTED(KL_KEY_TABLE, "daemon", 0, &daemon_table, AT(kl_raw_file, daemon), "Settings of the daemon itself."),
    NESTED(KL_KEY_LIST_OF, "plugins", KL_KEY_REQUIRED, &kl_table_plugin, AT(kl_raw_file, plugins),
           "The plugins to load: names, or maps for more. Of equally sure renderers the first wins."),
    SECTION_KEYS,
};
DEFINE(kl_table_manifest, "manifest", manifest_keys, 0, "The file that the daemon is started with.");

static const struct kl_key included_keys[] = {
    KEY(KL_KEY_STRING, "apiVersion", 0, NULL, AT(kl_raw_file, api_version), "`kilter.dev/v1`, may be left out."),
    KEY(KL_KEY_STRING, "kind", 0, NULL, AT(kl_raw_file, kind), "`Manifest`, may be left out."),
    SECTION_KEYS,
};
DEFINE(kl_table_included, "included", included_keys, 0,
       "A file that `include` names. A name that is used twice is an error, in whichever files.");

const struct kl_table *const kl_tables[] = {
    &kl_table_manifest,
    &metadata_table,
    &daemon_table,
    &socket_table,
    &limits_table,
    &kl_table_plugin,
    &kl_table_source,
    &ref_table,
    &credentials_table,
    &kl_table_environment,
    &kl_table_target,
    &kl_table_policy,
    &retry_table,
    &kl_table_app,
    &kl_table_renderer,
    &kl_table_input,
    &health_table,
    &kl_table_included,
    NULL,
};
