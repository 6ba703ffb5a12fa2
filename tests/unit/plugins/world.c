/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include "wire/codec.h"
#include "wire/jobs.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

const struct kilter_plugin *world_plugin(const char *name)
{
    char file[512];
    const char *build = getenv("KILTER_BUILD_DIR");
    snprintf(file, sizeof file, "%s/%s/%s.so", build ? build : ".", KILTER_TEST_PLUGIN_DIR, name);
    void *module = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    ck_assert_msg(module != NULL, "%s", dlerror());
    const struct kilter_plugin *(*entry)(void);
    *(void **)&entry = dlsym(module, "kilter_plugin_v1");
    ck_assert_ptr_nonnull(entry);
    return entry();
}

/* --- the call ------------------------------------------------------------------------- */
static void log_nothing(struct kilter_call *call, enum kilter_log_level level, struct kilter_str message)
{
    (void)call;
    (void)level;
    (void)message;
}

static bool is_cancelled(struct kilter_call *call)
{
    const struct world *world = call->host_data;
    return world->cancel;
}

static int open_content(struct kilter_call *call, struct kilter_str id, struct kilter_content **ret)
{
    struct world *world = call->host_data;
    for (size_t i = 0; i < world->content_count; i++)
        if (kilter_str_eq(world->contents[i]->id, id)) {
            *ret = world->contents[i];
            return KILTER_OK;
        }
    return KILTER_E_NOT_FOUND;
}

static void open_target(struct world *world, const struct kilter_strs *allowed)
{
    struct {
        struct kilter_str root;
    } options = { kilter_str_c(world->root) };
    if (world->handle)
        world->plugin->target->close(world->handle);
    world->handle = NULL;
    int code = world->plugin->target->open(&world->call, &options, allowed, &world->handle);
    ck_assert_msg(code == KILTER_OK, "%s", world->error.message);
}

void world_reopen(struct world *world, const char *const *allowed)
{
    static struct kilter_str items[16];
    struct kilter_strs list = { NULL, 0 };
    for (; allowed && allowed[list.count]; list.count++)
        items[list.count] = kilter_str_c(allowed[list.count]);
    list.items = allowed ? items : NULL;
    open_target(world, &list);
}

void world_begin(struct world *world)
{
    memset(world, 0, sizeof *world);
    snprintf(world->dir, sizeof world->dir, "/tmp/kilter-plugins-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(world->dir));
    snprintf(world->root, sizeof world->root, "%s/root", world->dir);
    ck_assert_int_eq(mkdir(world->root, 0755), 0);
    world->arena = kilter_arena_new(0);
    world->diags = kilter_diags_new(0);
    world->host = (struct kilter_host){ sizeof world->host, log_nothing, is_cancelled, open_content };
    world->call = (struct kilter_call){
        sizeof world->call, &world->host, world->arena, world->diags, &world->error, 0, NULL, world
    };
    world->owner = "test/app";
    world->plugin = world_plugin("file");
    open_target(world, NULL);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void world_end(struct world *world)
{
    world->plugin->target->close(world->handle);
    for (size_t i = 0; i < world->row_count; i++) {
        struct world_row *row = &world->rows[i];
        free(row->api_version);
        free(row->kind);
        free(row->name);
        free(row->claim);
        free(row->attributes);
    }
    kilter_diags_free(world->diags);
    kilter_arena_free(world->arena);
    nftw(world->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void world_forget(struct world *world)
{
    kilter_arena_reset(world->arena);
    kilter_diags_clear(world->diags);
    world->resource_count = world->change_count = world->content_count = 0;
    world->resources = NULL;
}

/* --- what is wanted -------------------------------------------------------------------- */
static void add_resource(struct world *world, struct kilter_value *document)
{
    if (!world->resources)
        world->resources = kilter_arena_calloc(world->arena, WORLD_MAX, sizeof *world->resources);
    struct kilter_resource *resource = &world->resources[world->resource_count];
    resource->size = sizeof *resource;
    ck_assert_int_eq(kilter_resource_init(resource, document, world->diags), KILTER_OK);
    world->resource_count++;
}

void world_want(struct world *world, const char *yaml)
{
    struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
    struct kilter_value *documents;
    world->resource_count = 0;
    struct kilter_str text = kilter_arena_str(world->arena, kilter_str_c(yaml));
    ck_assert_int_eq(kilter_yaml_read(world->arena, text, &options, &documents, world->diags), KILTER_OK);
    for (size_t i = 0; i < kilter_list_size(documents); i++)
        add_resource(world, kilter_list_at(documents, i));
}

void world_want_handle(struct world *world, const char *name, const char *path, const char *bytes)
{
    struct kilter_arena *arena = world->arena;
    struct kilter_str kept = kilter_arena_str(arena, kilter_str_c(bytes));
    struct kilter_content *content = kilter_content_bytes(arena, kept);
    struct kilter_value *document = kilter_map(arena), *metadata = kilter_map(arena), *spec = kilter_map(arena);
    kilter_set(arena, metadata, "name", kilter_string_c(arena, name));
    kilter_set(arena, spec, "path", kilter_string_c(arena, path));
    kilter_set(arena, spec, "content", kilter_content_value(arena, content));
    kilter_set(arena, document, "apiVersion", kilter_string_c(arena, "file.kilter.dev/v1"));
    kilter_set(arena, document, "kind", kilter_string_c(arena, "File"));
    kilter_set(arena, document, "metadata", metadata);
    kilter_set(arena, document, "spec", spec);
    world->contents[world->content_count++] = content;
    add_resource(world, document);
}

/* --- inventory --------------------------------------------------------------------------- */
static bool row_is(const struct world_row *row, const struct kilter_id *id)
{
    return kilter_str_eq_c(id->kind, row->kind) && kilter_str_eq_c(id->name, row->name);
}

static struct world_row *row_of_id(struct world *world, const struct kilter_id *id, bool make)
{
    for (size_t i = 0; i < world->row_count; i++)
        if (row_is(&world->rows[i], id))
            return &world->rows[i];
    if (!make)
        return NULL;
    ck_assert_uint_lt(world->row_count, WORLD_MAX);
    struct world_row *row = &world->rows[world->row_count++];
    memset(row, 0, sizeof *row);
    row->api_version = strndup(id->api_version.ptr, id->api_version.len);
    row->kind = strndup(id->kind.ptr, id->kind.len);
    row->name = strndup(id->name.ptr, id->name.len);
    return row;
}

static void drop_row(struct world *world, const struct kilter_id *id)
{
    struct world_row *row = row_of_id(world, id, false);
    if (!row)
        return;
    free(row->api_version);
    free(row->kind);
    free(row->name);
    free(row->claim);
    free(row->attributes);
    *row = world->rows[--world->row_count];
}

struct kilter_record *world_records(struct world *world, size_t *ret_count)
{
    struct kilter_record *records = kilter_arena_calloc(world->arena, world->row_count, sizeof *records);
    struct kilter_str *claims = kilter_arena_calloc(world->arena, world->row_count, sizeof *claims);
    for (size_t i = 0; i < world->row_count; i++) {
        struct world_row *row = &world->rows[i];
        struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
        struct kilter_value *attributes = NULL;
        if (row->attributes)
            ck_assert_int_eq(
                kilter_json_read(world->arena, kilter_str_c(row->attributes), &options, &attributes, world->diags),
                KILTER_OK);
        claims[i] = kilter_str_c(row->claim);
        records[i] = (struct kilter_record){
            .size = sizeof *records,
            .id = { kilter_str_c(row->api_version), kilter_str_c(row->kind), KILTER_STR(""),
                    kilter_str_c(row->name) },
            .claims = &claims[i],
            .claim_count = row->claim != NULL,
            .status = row->status,
            .schema_version = 1,
            .attributes = attributes,
        };
    }
    *ret_count = world->row_count;
    return records;
}

/* --- plan ----------------------------------------------------------------------------------- */
/* There and back through the encoding of the wire. */
static struct kilter_value *travel(struct world *world, const struct kilter_value *value)
{
    struct kilter_buf bytes = KILTER_BUF_INIT(16u << 20);
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kilter_value *copy;
    ck_assert_int_eq(kl_value_encode(&bytes, value), KILTER_OK);
    ck_assert_msg(kl_value_decode(world->arena, kilter_buf_view(&bytes), NULL, NULL, &copy, &err) == KILTER_OK,
                  "%s", err.message);
    kilter_buf_release(&bytes);
    return copy;
}

static int take_change(struct kilter_plan_sink *sink, const struct kilter_change *change)
{
    struct world *world = sink->host_data;
    ck_assert_uint_lt(world->change_count, WORLD_MAX);
    struct kilter_value *map = travel(world, kl_change_value(world->arena, change));
    return kl_change_read(world->arena, map, &world->changes[world->change_count++]);
}

static size_t plan(struct world *world, enum kilter_plan_mode mode, bool thorough)
{
    struct kilter_plan_sink sink = { sizeof sink, take_change, world };
    struct kilter_plan_request request = { .size = sizeof request,
                                           .mode = mode,
                                           .owner = kilter_str_c(world->owner),
                                           .resources = world->resources,
                                           .resource_count = mode == KILTER_PLAN_SYNC ? world->resource_count : 0,
                                           .thorough = thorough };
    size_t count = 0;
    request.records = world_records(world, &request.record_count);
    world->change_count = 0;
    memset(world->results, 0, sizeof world->results);
    world->plan_code = world->plugin->target->plan(&world->call, world->handle, &request, &sink);
    for (size_t i = 0; i < world->change_count; i++)
        count += world->changes[i].verb != KILTER_VERB_NONE;
    return count;
}

size_t world_plan(struct world *world, bool thorough)
{
    return plan(world, KILTER_PLAN_SYNC, thorough);
}

size_t world_destroy(struct world *world)
{
    return plan(world, KILTER_PLAN_DESTROY, false);
}

/* --- apply ------------------------------------------------------------------------------------ */
struct wave {
    struct world *world;
    struct kilter_change *changes;
    size_t *indices;
    size_t count;
};

static void record(struct world *world, const struct kilter_change *change, const struct kilter_result *result)
{
    if (result->result > KILTER_RESULT_UNCHANGED || change->verb == KILTER_VERB_NONE)
        return;
    if (change->verb == KILTER_VERB_DELETE || change->verb == KILTER_VERB_FORGET) {
        drop_row(world, &change->id);
        return;
    }
    if (change->verb == KILTER_VERB_MOVE)
        drop_row(world, &change->moved_from);
    struct world_row *row = row_of_id(world, &change->id, true);
    struct kilter_buf json = KILTER_BUF_INIT(1u << 20);
    ck_assert_ptr_nonnull(result->attributes);
    ck_assert_int_eq(kilter_json_write(&json, result->attributes, KILTER_SCHEMA_JSON, 0), KILTER_OK);
    free(row->attributes);
    row->attributes = strdup(json.ptr);
    kilter_buf_release(&json);
    free(row->claim);
    row->claim = change->claim_count ? strndup(change->claims[0].ptr, change->claims[0].len) : NULL;
    row->status = KILTER_RECORD_OWNED;
}

static int take_result(struct kilter_result_sink *sink, const struct kilter_result *result)
{
    struct wave *wave = sink->host_data;
    struct world *world = wave->world;
    size_t index = wave->indices[result->change];
    ck_assert_msg(world->results[index].size == 0, "a second result for change %zu", index);
    struct kilter_value *map = travel(world, kl_result_value(world->arena, result));
    ck_assert_int_eq(kl_result_read(world->arena, map, &world->results[index]), KILTER_OK);
    world->results[index].size = sizeof *result;
    record(world, &world->changes[index], result);
    return KILTER_OK;
}

static int apply_wave(struct world *world, int32_t number)
{
    struct wave wave = { world,
                         kilter_arena_calloc(world->arena, world->change_count, sizeof(struct kilter_change)),
                         kilter_arena_calloc(world->arena, world->change_count, sizeof(size_t)), 0 };
    struct kilter_result_sink sink = { sizeof sink, take_result, &wave };
    struct kilter_apply_request request = { .size = sizeof request, .owner = kilter_str_c(world->owner) };
    for (size_t i = 0; i < world->change_count; i++)
        if (world->changes[i].wave == number && world->changes[i].verb != KILTER_VERB_NONE) {
            wave.indices[wave.count] = i;
            wave.changes[wave.count++] = world->changes[i];
        }
    request.changes = wave.changes;
    request.change_count = wave.count;
    request.records = world_records(world, &request.record_count);
    int code = world->plugin->target->apply(&world->call, world->handle, &request, &sink);
    for (size_t i = 0; code == KILTER_OK && i < wave.count; i++)
        ck_assert_msg(world->results[wave.indices[i]].size != 0, "no result for change %zu", wave.indices[i]);
    return code;
}

void world_apply(struct world *world)
{
    memset(world->results, 0, sizeof world->results);
    world->apply_code = KILTER_OK;
    for (int32_t wave = -1000; wave <= 1001 && world->apply_code == KILTER_OK; wave++) {
        bool any = false;
        for (size_t i = 0; i < world->change_count; i++)
            any |= world->changes[i].wave == wave && world->changes[i].verb != KILTER_VERB_NONE;
        if (any)
            world->apply_code = apply_wave(world, wave);
    }
}

void world_sync(struct world *world, const char *yaml)
{
    world_forget(world);
    world_want(world, yaml);
    world_plan(world, false);
    ck_assert_msg(world->plan_code == KILTER_OK, "%s", world->error.message);
    world_apply(world);
    ck_assert_msg(world->apply_code == KILTER_OK, "%s", world->error.message);
}

void world_mark_pending(struct world *world)
{
    for (size_t i = 0; i < world->change_count; i++) {
        const struct kilter_change *change = &world->changes[i];
        bool removal = change->verb == KILTER_VERB_DELETE || change->verb == KILTER_VERB_FORGET;
        if (change->verb == KILTER_VERB_NONE || change->verb == KILTER_VERB_BLOCKED)
            continue;
        struct world_row *row = row_of_id(world, &change->id, true);
        row->status = removal ? KILTER_RECORD_DELETING : KILTER_RECORD_PENDING;
        if (change->claim_count && !row->claim)
            row->claim = strndup(change->claims[0].ptr, change->claims[0].len);
    }
}

/* --- asking -------------------------------------------------------------------------------------- */
static size_t index_of(struct world *world, const char *name)
{
    for (size_t i = 0; i < world->change_count; i++)
        if (kilter_str_eq_c(world->changes[i].id.name, name))
            return i;
    ck_abort_msg("the plan says nothing of %s", name);
    return 0;
}

const struct kilter_change *world_change(struct world *world, const char *name)
{
    return &world->changes[index_of(world, name)];
}

const struct kilter_result *world_result(struct world *world, const char *name)
{
    return &world->results[index_of(world, name)];
}

struct world_row *world_row_of(struct world *world, const char *name)
{
    for (size_t i = 0; i < world->row_count; i++)
        if (strcmp(world->rows[i].name, name) == 0)
            return &world->rows[i];
    return NULL;
}

/* --- the host's files --------------------------------------------------------------------------------- */
const char *world_path(struct world *world, const char *path)
{
    return kilter_arena_printf(world->arena, "%s/%s", world->root, path);
}

void world_write(struct world *world, const char *path, const char *bytes)
{
    FILE *file = fopen(world_path(world, path), "w");
    ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
    fputs(bytes, file);
    fclose(file);
}

char *world_read(struct world *world, const char *path)
{
    FILE *file = fopen(world_path(world, path), "r");
    if (!file)
        return NULL;
    char *bytes = kilter_arena_alloc(world->arena, 65536);
    size_t len = fread(bytes, 1, 65535, file);
    bytes[len] = '\0';
    fclose(file);
    return bytes;
}

bool world_there(struct world *world, const char *path)
{
    struct stat st;
    return lstat(world_path(world, path), &st) == 0;
}

unsigned int world_mode(struct world *world, const char *path)
{
    struct stat st;
    ck_assert_msg(lstat(world_path(world, path), &st) == 0, "%s: %s", path, strerror(errno));
    return st.st_mode & 07777;
}

static size_t leftovers;

static int count_leftover(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    leftovers += strncmp(path + ftw->base, KILTER_FS_TEMPORARY, sizeof KILTER_FS_TEMPORARY - 1) == 0;
    return 0;
}

size_t world_leftovers(struct world *world)
{
    leftovers = 0;
    nftw(world->root, count_leftover, 16, FTW_PHYS);
    return leftovers;
}
