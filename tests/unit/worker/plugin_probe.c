/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin for the tests of the worker: its renderer and target do what their options say. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <kilter/kilter.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* PROBE_NAME and PROBE_NEEDS come from the build. */

/* --- trying what is forbidden ------------------------------------------------------------------ */
static const char *outcome(int rc)
{
    return rc >= 0 ? "allowed" : errno == EPERM || errno == EACCES ? "refused" : "failed";
}

static int try_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    int saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
    return fd;
}

static int try_socket(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
    return fd;
}

static int try_exec(void)
{
    char *const argv[] = { (char *)"true", NULL };
    pid_t pid = fork();
    if (pid == 0) {
        execv("/bin/true", argv);
        _exit(99);
    }
    if (pid < 0)
        return -1;
    int status = 0;
    waitpid(pid, &status, 0);
    errno = EACCES;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

/* Without a fork first: a worker that can be replaced by another program is as bad. Only when it is refused does
 * this return. */
static int try_exec_here(void)
{
    char *const argv[] = { (char *)"true", NULL };
    return execv("/bin/true", argv);
}

static void set(struct kilter_arena *arena, struct kilter_value *map, const char *key, const char *text)
{
    kilter_set(arena, map, key, kilter_string_c(arena, text));
}

static struct kilter_value *document(struct kilter_arena *arena, const char *name, struct kilter_value **ret_spec)
{
    struct kilter_value *map = kilter_map(arena), *metadata = kilter_map(arena), *spec = kilter_map(arena);
    set(arena, map, "apiVersion", "test.kilter.dev/v1");
    set(arena, map, "kind", "Probe");
    set(arena, metadata, "name", name);
    kilter_set(arena, map, "metadata", metadata);
    kilter_set(arena, map, "spec", spec);
    *ret_spec = spec;
    return map;
}

static struct kilter_value *attempts(struct kilter_arena *arena, const char *forbidden, const char *mirror)
{
    struct kilter_value *spec, *map = document(arena, "attempts", &spec);
    set(arena, spec, "readForbidden", outcome(try_open(forbidden, O_RDONLY)));
    set(arena, spec, "readAllowed", mirror[0] ? outcome(try_open(mirror, O_RDONLY)) : "unasked");
    set(arena, spec, "write", outcome(try_open("/tmp/kilter-probe-was-here", O_WRONLY | O_CREAT)));
    set(arena, spec, "inet", outcome(try_socket(AF_INET)));
    set(arena, spec, "unix", outcome(try_socket(AF_UNIX)));
    set(arena, spec, "exec", outcome(try_exec()));
    if (!(PROBE_NEEDS & KILTER_NEED_EXEC))
        set(arena, spec, "execHere", outcome(try_exec_here()));
    set(arena, spec, "killParent", outcome(kill(getppid(), 0)));
    return map;
}

/* --- renderer -------------------------------------------------------------------------------------- */
struct render_options {
    struct kilter_str act, forbidden, mirror;
    int64_t count;
};

static const struct kilter_option render_rows[] = {
    { .name = "act",
      .type = KILTER_OPTION_STRING,
      .flags = KILTER_OPTION_REQUIRED,
      .offset = offsetof(struct render_options, act),
      .summary = "What to do." },
    { .name = "forbidden",
      .type = KILTER_OPTION_STRING,
      .offset = offsetof(struct render_options, forbidden),
      .summary = "A file that must not be read." },
    { .name = "mirror",
      .type = KILTER_OPTION_STRING,
      .offset = offsetof(struct render_options, mirror),
      .summary = "One that may." },
    { .name = "count",
      .type = KILTER_OPTION_INT,
      .default_text = "1",
      .offset = offsetof(struct render_options, count),
      .summary = "How many." },
};

static const struct kilter_config_schema render_schema = {
    sizeof render_schema, sizeof(struct kilter_option), sizeof(struct render_options), render_rows, 4,
};

static int emit(struct kilter_render_sink *sink, struct kilter_value *map, const char *file, uint32_t line)
{
    struct kilter_resource resource = { .size = sizeof resource,
                                        .document = map,
                                        .origin = { kilter_str_c(file), line, 1 } };
    return sink->emit(sink, &resource);
}

static int emit_many(struct kilter_call *call, struct kilter_render_sink *sink, int64_t count)
{
    int rc = 0;
    for (int64_t i = 0; rc == 0 && i < count; i++) {
        struct kilter_value *spec;
        char name[32];
        snprintf(name, sizeof name, "thing-%d", (int)i);
        struct kilter_value *map = document(call->arena, name, &spec);
        set(call->arena, spec, "greeting", "${GREETING:=hello}, ${WHO}");
        set(call->arena, spec, "price", "$$5");
        rc = emit(sink, map, "things.yaml", (uint32_t)i + 1);
    }
    return rc;
}

static int render(struct kilter_call *call, struct kilter_tree *tree, struct kilter_str path, const void *given,
                  struct kilter_render_sink *sink)
{
    const struct render_options *o = given;
    struct kilter_value *spec, *map;
    (void)path;
    if (kilter_str_eq_c(o->act, "attempts"))
        return emit(sink, attempts(call->arena, o->forbidden.ptr, o->mirror.ptr ? o->mirror.ptr : ""), "x", 1);
    if (kilter_str_eq_c(o->act, "many"))
        return emit_many(call, sink, o->count);
    if (kilter_str_eq_c(o->act, "read")) {
        struct kilter_str text;
        int rc = kilter_tree_read(tree, KILTER_STR("motd"), call->arena, 0, &text, call->error);
        if (rc < 0)
            return rc;
        map = document(call->arena, "read", &spec);
        kilter_set(call->arena, spec, "text", kilter_string(call->arena, text));
        return emit(sink, map, "motd", 1);
    }
    if (kilter_str_eq_c(o->act, "twice")) {
        emit(sink, document(call->arena, "one", &spec), "a.yaml", 3);
        return emit(sink, document(call->arena, "one", &spec), "b.yaml", 7);
    }
    if (kilter_str_eq_c(o->act, "sops")) {
        map = document(call->arena, "locked", &spec);
        kilter_set(call->arena, map, "sops", kilter_map(call->arena));
        return emit(sink, map, "locked.yaml", 1);
    }
    if (kilter_str_eq_c(o->act, "knot")) {
        map = document(call->arena, "knot", &spec);
        kilter_set(call->arena, spec, "self", spec);
        return emit(sink, map, "x", 1);
    }
    if (kilter_str_eq_c(o->act, "need"))
        return sink->need(sink, KILTER_STR("https://example.org/base.git"), KILTER_STR("main"), &tree);
    if (kilter_str_eq_c(o->act, "number"))
        return 17;
    if (kilter_str_eq_c(o->act, "fail"))
        return KILTER_E_IO;
    if (kilter_str_eq_c(o->act, "exit"))
        exit(3);
    if (kilter_str_eq_c(o->act, "crash"))
        abort();
    if (kilter_str_eq_c(o->act, "print")) {
        printf("printed by a plugin\n");
        return 0;
    }
    if (kilter_str_eq_c(o->act, "flood")) {
        for (int i = 0; i < 100000; i++)
            kilter_log(call, KILTER_LOG_INFO, "line %d", i);
        return 0;
    }
    if (kilter_str_eq_c(o->act, "tell"))
        return kilter_error_set(call->error, KILTER_E_IO, "the password is hunter22, said the server");
    if (kilter_str_eq_c(o->act, "wait")) {
        kilter_log(call, KILTER_LOG_INFO, "waiting");
        while (!kilter_cancelled(call))
            usleep(1000);
        return kilter_error_set(call->error, KILTER_E_CANCELLED, "as asked");
    }
    if (kilter_str_eq_c(o->act, "hang")) {
        kilter_log(call, KILTER_LOG_INFO, "%d", (int)getpid());
        for (;;)
            pause();
    }
    return kilter_error_set(call->error, KILTER_E_INVALID, "unknown act");
}

static int detect(struct kilter_call *call, struct kilter_tree *tree, struct kilter_str path)
{
    enum kilter_entry_type type = KILTER_ENTRY_ABSENT;
    (void)path;
    kilter_tree_stat(tree, KILTER_STR("motd"), &type, call->error);
    return type == KILTER_ENTRY_FILE ? 5 : 0;
}

static const struct kilter_renderer renderer = {
    .size = sizeof renderer, .options = &render_schema, .detect = detect, .render = render
};

/* --- target ------------------------------------------------------------------------------------------ */
struct target_options {
    struct kilter_str act, password;
};

static const struct kilter_option target_rows[] = {
    { .name = "act",
      .type = KILTER_OPTION_STRING,
      .default_text = "",
      .offset = offsetof(struct target_options, act),
      .summary = "What to do wrong." },
    { .name = "password",
      .type = KILTER_OPTION_SECRET,
      .offset = offsetof(struct target_options, password),
      .summary = "Not to be told." },
};

static const struct kilter_config_schema target_schema = {
    sizeof target_schema, sizeof(struct kilter_option), sizeof(struct target_options), target_rows, 2,
};

static int opened; /* handles so far, to see whether they are kept */
static struct target_options current;

/* A child that leaves the session and the process group, as daemons do, and has a child itself. */
static void spawn(struct kilter_call *call)
{
    pid_t pids[2];
    int pipes[2];
    if (pipe(pipes) < 0)
        return;
    pid_t child = fork();
    if (child == 0) {
        setsid();
        pids[0] = getpid();
        pids[1] = fork();
        if (pids[1] && write(pipes[1], pids, sizeof pids) < 0)
            _exit(1);
        for (;;)
            pause();
    }
    if (child > 0 && read(pipes[0], pids, sizeof pids) == sizeof pids)
        kilter_log(call, KILTER_LOG_INFO, "%d %d", (int)pids[0], (int)pids[1]);
    close(pipes[0]);
    close(pipes[1]);
}

static int target_open(struct kilter_call *call, const void *options, const void *allow, void **ret_handle)
{
    (void)allow;
    memcpy(&current, options, sizeof current);
    opened++;
    if (kilter_str_eq_c(current.act, "spawn"))
        spawn(call);
    *ret_handle = &current;
    return 0;
}

static void target_close(void *handle)
{
    (void)handle;
}

static bool act_is(const char *what)
{
    return kilter_str_eq_c(current.act, what);
}

static int target_identity(struct kilter_call *call, void *handle, struct kilter_str *ret_identity)
{
    (void)handle;
    *ret_identity = kilter_str_c(kilter_arena_printf(call->arena, "probe:%d", opened));
    return 0;
}

static int target_claims(struct kilter_call *call, void *handle, const struct kilter_resource *resources,
                         size_t count, struct kilter_claim_sink *sink)
{
    (void)handle;
    if (act_is("claim-unknown"))
        return sink->emit(sink, count, KILTER_STR("probe:x"));
    for (size_t i = 0; i < count; i++)
        sink->emit(
            sink, i,
            kilter_str_c(kilter_arena_printf(call->arena, "probe:%.*s", KILTER_STR_ARG(resources[i].id.name))));
    return 0;
}

static struct kilter_value *state(struct kilter_call *call, const char *text, uint32_t marks)
{
    struct kilter_value *map = kilter_map(call->arena), *secret = kilter_string_c(call->arena, text);
    set(call->arena, map, "text", text);
    kilter_set_marks(secret, KILTER_VALUE_SECRET | marks);
    kilter_set(call->arena, map, "password", secret);
    return map;
}

static int target_plan(struct kilter_call *call, void *handle, const struct kilter_plan_request *request,
                       struct kilter_plan_sink *sink)
{
    (void)handle;
    if (act_is("exit"))
        exit(0);
    if (act_is("plan-nothing"))
        return 0;
    for (size_t i = 0; i < request->resource_count; i++) {
        struct kilter_change change = { .size = sizeof change,
                                        .verb = KILTER_VERB_UPDATE,
                                        .flags = KILTER_CHANGE_WANTED,
                                        .id = request->resources[i].id,
                                        .reason = KILTER_STR("it differs") };
        uint32_t after = 99;
        change.before = state(call, "one\ntwo\nthree\n", 0);
        change.after = state(call, "one\n2\nthree\n", 0);
        if (act_is("bad-verb"))
            change.verb = (enum kilter_verb)77;
        if (act_is("no-id"))
            change.id.name = KILTER_STR_NONE;
        if (act_is("stranger"))
            change.id.name = KILTER_STR("stranger");
        if (act_is("delete-wanted"))
            change.verb = KILTER_VERB_DELETE;
        if (act_is("after-unknown")) {
            change.after_changes = &after;
            change.after_count = 1;
        }
        if (act_is("huge"))
            change.reason = kilter_str_n(calloc(1, 10 << 20), 10 << 20);
        int rc = sink->emit(sink, &change);
        if (rc < 0 && !act_is("bad-verb")) /* one that goes on after a refusal */
            return rc;
    }
    for (size_t i = 0; i < request->record_count; i++) {
        bool wanted = false;
        for (size_t k = 0; k < request->resource_count; k++)
            wanted |= kilter_id_equal(&request->resources[k].id, &request->records[i].id);
        struct kilter_change change = { .size = sizeof change,
                                        .verb = KILTER_VERB_DELETE,
                                        .id = request->records[i].id,
                                        .reason = KILTER_STR("not wanted any more") };
        if (!wanted && sink->emit(sink, &change) < 0)
            return KILTER_E_INTERNAL;
    }
    return 0;
}

static int target_apply(struct kilter_call *call, void *handle, const struct kilter_apply_request *request,
                        struct kilter_result_sink *sink)
{
    (void)handle;
    for (size_t i = 0; i < request->change_count; i++) {
        struct kilter_result result = { .size = sizeof result, .change = i, .result = KILTER_RESULT_DONE };
        char message[64];
        snprintf(message, sizeof message, "after %zu", request->changes[i].after_count);
        result.message = kilter_str_c(message);
        if (act_is("result-unknown"))
            result.change = request->change_count;
        if (act_is("result-class"))
            result.result = (enum kilter_result_class)0;
        if (act_is("negative-retry"))
            result.retry_after_ns = -1;
        if (act_is("no-result") && i == 1)
            continue;
        sink->emit(sink, &result);
        if (act_is("two-results"))
            sink->emit(sink, &result);
        if (act_is("crash-after-first"))
            abort();
    }
    if (act_is("tell"))
        return kilter_error_set(call->error, KILTER_E_IO, "cannot log in with %.*s",
                                KILTER_STR_ARG(current.password));
    return 0;
}

static int target_refresh(struct kilter_call *call, void *handle, const struct kilter_state_request *request,
                          struct kilter_state_sink *sink)
{
    (void)call, (void)handle;
    for (size_t i = 0; i < request->record_count; i++)
        sink->attributes(sink, i, i ? NULL : request->records[i].attributes, request->records[i].schema_version);
    return 0;
}

static int target_health(struct kilter_call *call, void *handle, const struct kilter_state_request *request,
                         struct kilter_state_sink *sink)
{
    (void)call, (void)handle;
    if (act_is("wrong-sink"))
        return sink->moved(sink, 0, KILTER_STR("?"));
    for (size_t i = 0; i < request->record_count; i++)
        sink->health(sink, i, KILTER_PROGRESSING, KILTER_RESULT_DONE, KILTER_STR("not yet"));
    return 0;
}

static int target_watch(struct kilter_call *call, void *handle, const struct kilter_state_request *request,
                        struct kilter_state_sink *sink)
{
    (void)handle, (void)request;
    sink->moved(sink, SIZE_MAX, KILTER_STR("anything"));
    while (!kilter_cancelled(call))
        usleep(1000);
    return 0;
}

static int target_upgrade(struct kilter_call *call, uint32_t from_version, const struct kilter_value *attributes,
                          const struct kilter_value **ret_attributes, uint32_t *ret_version)
{
    struct kilter_value *copy = kilter_value_copy(call->arena, attributes);
    if (from_version < 2)
        set(call->arena, copy, "upgraded", "yes");
    *ret_attributes = copy;
    *ret_version = 2;
    return 0;
}

static const struct kilter_target target = { .size = sizeof target,
                                             .options = &target_schema,
                                             .open = target_open,
                                             .close = target_close,
                                             .identity = target_identity,
                                             .claims = target_claims,
                                             .plan = target_plan,
                                             .apply = target_apply,
                                             .refresh = target_refresh,
                                             .health = target_health,
                                             .watch = target_watch,
                                             .upgrade_state = target_upgrade };

static const struct kilter_plugin plugin = { .size = sizeof plugin,
                                             .name = PROBE_NAME,
                                             .version = "1.2.3",
                                             .summary = "Does what the tests say.",
                                             .needs = PROBE_NEEDS,
                                             .renderer = &renderer,
                                             .target = &target };

const struct kilter_plugin *kilter_plugin_v1(void)
{
    return &plugin;
}
