/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "git/tree_base.h"

#define MAX_LINKS 40
#define MAX_PATH_BYTES 65536u
#define ABSENT KILTER_STR("absent")

/* --- words -------------------------------------------------------------------- */
static const char *const question_words[] = { "", "blob", "exists", "list", "link" };
static const char *const type_words[] = { "absent", "file", "executable", "directory", "link", "submodule" };

const char *kl_question_word(enum kl_question question)
{
    return question >= KL_ASK_BLOB && question <= KL_ASK_LINK ? question_words[question] : "unknown";
}

enum kl_question kl_question_of(struct kilter_str word)
{
    for (int i = KL_ASK_BLOB; i <= KL_ASK_LINK; i++)
        if (kilter_str_eq_c(word, question_words[i]))
            return (enum kl_question)i;
    return (enum kl_question)0;
}

const char *kl_entry_type_word(enum kilter_entry_type type)
{
    return (unsigned)type <= KILTER_ENTRY_SUBMODULE ? type_words[type] : "unknown";
}

enum kilter_entry_type kl_entry_type_of(struct kilter_str word)
{
    for (int i = KILTER_ENTRY_ABSENT; i <= KILTER_ENTRY_SUBMODULE; i++)
        if (kilter_str_eq_c(word, type_words[i]))
            return (enum kilter_entry_type)i;
    return KILTER_ENTRY_ABSENT;
}

bool kl_asked_moved(enum kl_question question, const struct kl_tree_change *change)
{
    switch (question) {
    case KL_ASK_BLOB:
        return !change->list;
    case KL_ASK_EXISTS:
        return change->before != change->after;
    case KL_ASK_LIST:
        return change->list ||
               (change->before == KILTER_ENTRY_DIRECTORY) != (change->after == KILTER_ENTRY_DIRECTORY);
    case KL_ASK_LINK:
        return change->before == KILTER_ENTRY_LINK || change->after == KILTER_ENTRY_LINK;
    }
    return true;
}

/* --- the record --------------------------------------------------------------- */
static int no_memory(struct kilter_error *err)
{
    return kilter_error_set(err, KILTER_E_NOMEM, "out of memory while reading the tree");
}

static int grow_asked(struct kl_tree_base *base)
{
    if (base->asked_count < base->asked_capacity)
        return 0;
    size_t capacity = base->asked_capacity ? base->asked_capacity * 2 : 64;
    struct kl_asked *grown = reallocarray(base->asked, capacity, sizeof(*grown));
    if (!grown)
        return KILTER_E_NOMEM;
    base->asked = grown;
    base->asked_capacity = capacity;
    return 0;
}

static int record(struct kl_tree_base *base, struct kilter_str path, enum kl_question question,
                  struct kilter_str answer, struct kilter_error *err)
{
    char *key = kilter_arena_alloc(base->asked_arena, path.len + 2);

    if (!key || grow_asked(base) < 0)
        return no_memory(err);
    key[0] = (char)('0' + question);
    if (path.len)
        memcpy(key + 1, path.ptr, path.len);
    struct kilter_str name = kilter_str_n(key, path.len + 1);
    if (kl_map_has(&base->known, name))
        return 0;
    struct kl_asked *asked = &base->asked[base->asked_count];
    asked->path = kilter_str_sub(name, 1, path.len);
    asked->question = question;
    asked->answer = kilter_arena_str(base->asked_arena, answer);
    if (!asked->answer.ptr || kl_map_put(&base->known, name, base, NULL) < 0)
        return no_memory(err);
    base->asked_count++;
    return 0;
}

static int record_type(struct kl_tree_base *base, struct kilter_str path, enum kilter_entry_type type,
                       struct kilter_error *err)
{
    return record(base, path, KL_ASK_EXISTS, kilter_str_c(kl_entry_type_word(type)), err);
}

static struct kl_tree_base *base_of(struct kilter_tree *tree)
{
    return tree->data;
}

size_t kl_tree_asked_count(const struct kilter_tree *tree)
{
    const struct kl_tree_base *base = tree->data;
    return base->asked_count;
}

const struct kl_asked *kl_tree_asked_at(const struct kilter_tree *tree, size_t index)
{
    const struct kl_tree_base *base = tree->data;
    return index < base->asked_count ? &base->asked[index] : NULL;
}

void kl_tree_asked_clear(struct kilter_tree *tree)
{
    struct kl_tree_base *base = base_of(tree);
    kl_map_release(&base->known, NULL);
    kilter_arena_reset(base->asked_arena);
    base->asked_count = 0;
}

/* --- resolving ---------------------------------------------------------------- */
int kl_tree_node(struct kl_tree_base *base, struct kilter_str path, struct kl_node **ret, struct kilter_error *err)
{
    if (path.len == 0) {
        *ret = &base->root;
        return 0;
    }
    struct kl_node *node = kl_map_get(&base->nodes, path);
    if (!node) {
        node = kilter_arena_alloc(base->arena, sizeof(*node));
        if (!node)
            return no_memory(err);
        int status = base->form->look(base, path, node, err);
        if (status < 0)
            return status;
        if (kl_map_put(&base->nodes, path, node, NULL) < 0)
            return no_memory(err);
    }
    *ret = node;
    return 0;
}

enum follow { FOLLOW_NONE, FOLLOW_MIDDLE, FOLLOW_ALL };

/* A walk down a path: `done` is where it stands, `rest` (from `at`) what is still to go. */
struct walk {
    struct kl_tree_base *base;
    enum follow follow;
    bool quiet;             /* records nothing */
    struct kilter_str path; /* as it was asked, for messages */
    struct kilter_buf done, rest;
    size_t at;
    int links;
    char link[160]; /* the last link that was followed, for messages */
    struct kilter_str target;
    struct kl_node *node;
    struct kl_node *stopped_by; /* the node that is no directory, when the path goes on behind one */
};

static void walk_release(struct walk *walk)
{
    kilter_buf_release(&walk->done);
    kilter_buf_release(&walk->rest);
}

static struct kilter_str walk_done(const struct walk *walk)
{
    return kilter_buf_view(&walk->done);
}

static struct kilter_str next_segment(struct walk *walk)
{
    struct kilter_str rest = kilter_buf_view(&walk->rest);

    for (;;) {
        ptrdiff_t slash = kilter_str_find(rest, '/', walk->at);
        size_t end = slash < 0 ? rest.len : (size_t)slash;
        struct kilter_str segment = kilter_str_sub(rest, walk->at, end - walk->at);
        walk->at = end < rest.len ? end + 1 : rest.len;
        if ((segment.len > 0 && !kilter_str_eq_c(segment, ".")) || walk->at >= rest.len)
            return kilter_str_eq_c(segment, ".") ? KILTER_STR("") : segment;
    }
}

static bool more_segments(struct walk *walk)
{
    size_t at = walk->at;
    bool more = next_segment(walk).len > 0;
    walk->at = at;
    return more;
}

static void pop(struct walk *walk)
{
    ptrdiff_t slash = kilter_str_rfind(walk_done(walk), '/');
    walk->done.len = slash < 0 ? 0 : (size_t)slash;
    if (walk->done.ptr)
        walk->done.ptr[walk->done.len] = '\0';
}

static int push(struct walk *walk, struct kilter_str segment, struct kilter_error *err)
{
    if (walk->done.len > 0)
        kilter_buf_char(&walk->done, '/');
    if (kilter_buf_str(&walk->done, segment) < 0)
        return kilter_error_set(err, KILTER_E_LIMIT, "%.60s...: the path is too long", walk->done.ptr);
    return 0;
}

/* Only links have ".." left in them: what callers ask for is normal. */
static int leads_out(const struct walk *walk, struct kilter_error *err)
{
    return kilter_error_set(
        err, KILTER_E_PERMISSION,
        "%.*s: the link %s -> %.*s leads out of the repository; links are followed inside of it "
        "only",
        KILTER_STR_ARG(walk->path), walk->link, KILTER_STR_ARG(walk->target));
}

/* Replaces the link that the walk stands on by its text. */
static int follow_link(struct walk *walk, struct kilter_error *err)
{
    struct kl_tree_base *base = walk->base;
    struct kilter_buf rest = KILTER_BUF_INIT(MAX_PATH_BYTES);
    int status = 0;

    if (!walk->node->target.ptr)
        status = base->form->read_link(base, walk_done(walk), walk->node, err);
    if (status == 0 && !walk->quiet)
        status = record(base, walk_done(walk), KL_ASK_LINK, walk->node->id, err);
    if (status < 0)
        return status;
    snprintf(walk->link, sizeof(walk->link), "%.*s", KILTER_STR_ARG(walk_done(walk)));
    walk->target = walk->node->target;
    if (kilter_str_starts(walk->target, KILTER_STR("/")))
        return leads_out(walk, err);
    if (++walk->links > MAX_LINKS)
        return kilter_error_set(err, KILTER_E_PERMISSION,
                                "%.*s: more than %d links on the way, the last at %.*s; do they lead in a circle?",
                                KILTER_STR_ARG(walk->path), MAX_LINKS, KILTER_STR_ARG(walk_done(walk)));
    pop(walk);
    kilter_buf_str(&rest, walk->target);
    kilter_buf_char(&rest, '/');
    kilter_buf_str(&rest, kilter_str_sub(kilter_buf_view(&walk->rest), walk->at, walk->rest.len));
    if (rest.failed) {
        kilter_buf_release(&rest);
        return kilter_error_set(err, KILTER_E_LIMIT, "%.*s: the links on the way make it too long",
                                KILTER_STR_ARG(walk->path));
    }
    kilter_buf_release(&walk->rest);
    walk->rest = rest;
    walk->at = 0;
    return 0;
}

/* The path goes on behind something that is no directory: nothing can be there. What is asked about is then
 * the whole path, and whether the thing becomes a link that leads elsewhere. */
static int stop_early(struct walk *walk, struct kilter_error *err)
{
    static struct kl_node nothing = { .type = KILTER_ENTRY_ABSENT };
    int status = 0;

    if (!walk->quiet)
        status = record(walk->base, walk_done(walk), KL_ASK_LINK, ABSENT, err);
    walk->stopped_by = walk->node;
    walk->node = &nothing;
    for (struct kilter_str segment = next_segment(walk); segment.len > 0 && status == 0;
         segment = next_segment(walk)) {
        if (kilter_str_eq_c(segment, ".."))
            break;
        status = push(walk, segment, err);
    }
    return status;
}

static int walk_run(struct walk *walk, struct kilter_error *err)
{
    int status = 0;

    walk->node = &walk->base->root;
    for (struct kilter_str segment = next_segment(walk); segment.len > 0 && status == 0;
         segment = next_segment(walk)) {
        if (kilter_str_eq_c(segment, "..")) {
            if (walk->done.len == 0)
                return leads_out(walk, err);
            pop(walk);
            walk->node = NULL;
            continue;
        }
        status = push(walk, segment, err);
        if (status == 0)
            status = kl_tree_node(walk->base, walk_done(walk), &walk->node, err);
        if (status < 0)
            return status;
        bool more = more_segments(walk);
        bool follow = walk->follow == FOLLOW_ALL || (walk->follow == FOLLOW_MIDDLE && more);
        if (walk->node->type == KILTER_ENTRY_LINK && follow)
            status = follow_link(walk, err);
        else if (walk->node->type != KILTER_ENTRY_DIRECTORY && more)
            return stop_early(walk, err);
    }
    if (status == 0 && (!walk->node || walk->node->type == KILTER_ENTRY_LINK || walk->done.len == 0))
        status = kl_tree_node(walk->base, walk_done(walk), &walk->node, err);
    return status;
}

static int walk_path(struct walk *walk, struct kilter_tree *tree, struct kilter_str path, enum follow follow,
                     struct kilter_error *err)
{
    *walk = (struct walk){ .base = base_of(tree),
                           .follow = follow,
                           .path = path,
                           .done = KILTER_BUF_INIT(MAX_PATH_BYTES),
                           .rest = KILTER_BUF_INIT(MAX_PATH_BYTES) };
    if (kilter_buf_str(&walk->rest, path) < 0)
        return kilter_error_set(err, KILTER_E_LIMIT, "%.60s...: the path is too long", path.ptr);
    return walk_run(walk, err);
}

#define CLEANUP_WALK KL_CLEANUP(walk_release)

static int not_there(const struct walk *walk, struct kilter_error *err)
{
    if (walk->node->type == KILTER_ENTRY_SUBMODULE ||
        (walk->stopped_by && walk->stopped_by->type == KILTER_ENTRY_SUBMODULE))
        return kilter_error_set(err, KILTER_E_NOT_FOUND,
                                "%.*s: in a Git submodule, whose content is not part of this repository",
                                KILTER_STR_ARG(walk->path));
    if (walk->links > 0)
        return kilter_error_set(err, KILTER_E_NOT_FOUND, "%.*s: links lead to %.*s, which is not there",
                                KILTER_STR_ARG(walk->path), KILTER_STR_ARG(walk_done(walk)));
    return kilter_error_set(err, KILTER_E_NOT_FOUND, "%.*s: not there", KILTER_STR_ARG(walk->path));
}

/* --- the operations ----------------------------------------------------------- */
static bool is_file(enum kilter_entry_type type)
{
    return type == KILTER_ENTRY_FILE || type == KILTER_ENTRY_EXECUTABLE;
}

static int tree_stat(struct kilter_tree *tree, struct kilter_str path, enum kilter_entry_type *ret_type,
                     struct kilter_error *err)
{
    CLEANUP_WALK struct walk walk;
    int status = walk_path(&walk, tree, path, FOLLOW_MIDDLE, err);

    if (status == 0)
        status = record_type(walk.base, walk_done(&walk), walk.node->type, err);
    if (status == 0)
        *ret_type = walk.node->type;
    return status;
}

static int tree_open(struct kilter_tree *tree, struct kilter_str path, struct kilter_content **ret,
                     struct kilter_error *err)
{
    CLEANUP_WALK struct walk walk;
    struct kilter_content *content;
    int status = walk_path(&walk, tree, path, FOLLOW_ALL, err);

    if (status < 0)
        return status;
    if (!is_file(walk.node->type)) {
        if (walk.node->type == KILTER_ENTRY_ABSENT)
            status = record(walk.base, walk_done(&walk), KL_ASK_BLOB, ABSENT, err);
        else
            status = record_type(walk.base, walk_done(&walk), walk.node->type, err);
        if (status < 0)
            return status;
        if (walk.node->type == KILTER_ENTRY_DIRECTORY)
            return kilter_error_set(err, KILTER_E_CONFLICT, "%.*s: is a directory, not a file",
                                    KILTER_STR_ARG(path));
        return not_there(&walk, err);
    }
    status = walk.base->form->open(walk.base, walk_done(&walk), walk.node, &content, err);
    if (status < 0)
        return status;
    walk.node->id = content->id;
    status = record(walk.base, walk_done(&walk), KL_ASK_BLOB, content->id, err);
    if (status == 0)
        *ret = content;
    return status;
}

static int compare_entries(const void *a, const void *b)
{
    const struct kilter_entry *left = a, *right = b;
    return kilter_str_cmp(left->name, right->name);
}

/* Sorted entries, and the answer of the list question: a hash of names and types. */
static int read_directory(struct kl_tree_base *base, struct kilter_str path, const struct kl_node *node,
                          struct kilter_arena *arena, struct kilter_entry **ret_entries, size_t *ret_count,
                          char ret_answer[2 * KILTER_SHA256_SIZE + 1], struct kilter_error *err)
{
    struct kilter_entry *entries = NULL;
    size_t count = 0;
    uint8_t digest[KILTER_SHA256_SIZE];
    struct kilter_sha256 hash;
    int status = base->form->list(base, path, node, arena, &entries, &count, err);

    if (status < 0)
        return status;
    if (count > 1)
        qsort(entries, count, sizeof(*entries), compare_entries);
    kilter_sha256_init(&hash);
    for (size_t i = 0; i < count; i++) {
        char type = (char)entries[i].type;
        kilter_sha256_update(&hash, entries[i].name.ptr, entries[i].name.len);
        kilter_sha256_update(&hash, "", 1);
        kilter_sha256_update(&hash, &type, 1);
    }
    kilter_sha256_final(&hash, digest);
    kilter_hex(digest, sizeof(digest), ret_answer);
    *ret_entries = entries;
    *ret_count = count;
    return 0;
}

static int tree_list(struct kilter_tree *tree, struct kilter_str path, struct kilter_arena *arena,
                     const struct kilter_entry **ret_entries, size_t *ret_count, struct kilter_error *err)
{
    CLEANUP_WALK struct walk walk;
    char answer[2 * KILTER_SHA256_SIZE + 1];
    struct kilter_entry *entries;
    size_t count;
    int status = walk_path(&walk, tree, path, FOLLOW_ALL, err);

    if (status < 0)
        return status;
    if (walk.node->type != KILTER_ENTRY_DIRECTORY) {
        status = record(walk.base, walk_done(&walk), KL_ASK_LIST, ABSENT, err);
        if (status < 0)
            return status;
        if (is_file(walk.node->type))
            return kilter_error_set(err, KILTER_E_CONFLICT, "%.*s: is a file, not a directory",
                                    KILTER_STR_ARG(path));
        return not_there(&walk, err);
    }
    status = read_directory(walk.base, walk_done(&walk), walk.node, arena, &entries, &count, answer, err);
    if (status == 0)
        status = record(walk.base, walk_done(&walk), KL_ASK_LIST, kilter_str_c(answer), err);
    if (status == 0) {
        *ret_entries = entries;
        *ret_count = count;
    }
    return status;
}

static int tree_read_link(struct kilter_tree *tree, struct kilter_str path, struct kilter_arena *arena,
                          struct kilter_str *ret_target, struct kilter_error *err)
{
    CLEANUP_WALK struct walk walk;
    int status = walk_path(&walk, tree, path, FOLLOW_MIDDLE, err);

    if (status < 0)
        return status;
    if (walk.node->type != KILTER_ENTRY_LINK) {
        status = record(walk.base, walk_done(&walk), KL_ASK_LINK, ABSENT, err);
        if (status == 0)
            status = record_type(walk.base, walk_done(&walk), walk.node->type, err);
        if (status < 0)
            return status;
        if (walk.node->type == KILTER_ENTRY_ABSENT)
            return not_there(&walk, err);
        return kilter_error_set(err, KILTER_E_CONFLICT, "%.*s: is no link", KILTER_STR_ARG(path));
    }
    if (!walk.node->target.ptr)
        status = walk.base->form->read_link(walk.base, walk_done(&walk), walk.node, err);
    if (status == 0)
        status = record(walk.base, walk_done(&walk), KL_ASK_LINK, walk.node->id, err);
    if (status < 0)
        return status;
    struct kilter_str target = kilter_arena_str(arena, walk.node->target);
    if (!target.ptr)
        return no_memory(err);
    *ret_target = target;
    return 0;
}

static int tree_resolve(struct kilter_tree *tree, struct kilter_str path, struct kilter_arena *arena,
                        struct kilter_str *ret_path, struct kilter_error *err)
{
    CLEANUP_WALK struct walk walk;
    int status = walk_path(&walk, tree, path, FOLLOW_ALL, err);

    if (status == 0)
        status = record_type(walk.base, walk_done(&walk), walk.node->type, err);
    if (status < 0)
        return status;
    if (walk.node->type == KILTER_ENTRY_ABSENT)
        return not_there(&walk, err);
    struct kilter_str resolved = kilter_arena_str(arena, walk_done(&walk));
    if (!resolved.ptr)
        return no_memory(err);
    *ret_path = resolved;
    return 0;
}

static const struct kilter_tree_ops tree_ops = {
    .size = sizeof(tree_ops),
    .stat = tree_stat,
    .open = tree_open,
    .list = tree_list,
    .read_link = tree_read_link,
    .resolve = tree_resolve,
};

/* --- answers without a record -------------------------------------------------- */
static int answer_node(struct walk *walk, enum kl_question question, char hash[2 * KILTER_SHA256_SIZE + 1],
                       struct kilter_str *ret, struct kilter_error *err)
{
    struct kl_tree_base *base = walk->base;
    struct kl_node *node = walk->node;
    struct kilter_content *content;
    int status = 0;

    *ret = ABSENT;
    if (question == KL_ASK_EXISTS) {
        *ret = kilter_str_c(kl_entry_type_word(node->type));
    } else if (question == KL_ASK_BLOB && is_file(node->type)) {
        if (!node->id.ptr) {
            status = base->form->open(base, walk_done(walk), node, &content, err);
            if (status == 0)
                node->id = content->id;
        }
        *ret = node->id;
    } else if (question == KL_ASK_LINK && node->type == KILTER_ENTRY_LINK) {
        if (!node->target.ptr)
            status = base->form->read_link(base, walk_done(walk), node, err);
        *ret = node->id;
    } else if (question == KL_ASK_LIST && node->type == KILTER_ENTRY_DIRECTORY) {
        KL_CLEANUP(kl_arena_freep) struct kilter_arena *arena = kilter_arena_new(0);
        struct kilter_entry *entries;
        size_t count;
        if (!arena)
            return no_memory(err);
        status = read_directory(base, walk_done(walk), node, arena, &entries, &count, hash, err);
        *ret = kilter_str_c(hash);
    }
    return status;
}

int kl_tree_answer(struct kilter_tree *tree, struct kilter_str path, enum kl_question question,
                   struct kilter_arena *arena, struct kilter_str *ret_answer, struct kilter_error *err)
{
    CLEANUP_WALK struct walk walk = { .base = base_of(tree),
                                      .follow = FOLLOW_NONE,
                                      .quiet = true,
                                      .path = path,
                                      .done = KILTER_BUF_INIT(MAX_PATH_BYTES),
                                      .rest = KILTER_BUF_INIT(MAX_PATH_BYTES) };
    char hash[2 * KILTER_SHA256_SIZE + 1];
    struct kilter_str answer;
    int status;

    if (kilter_buf_str(&walk.rest, path) < 0)
        return kilter_error_set(err, KILTER_E_LIMIT, "%.60s...: the path is too long", path.ptr);
    status = walk_run(&walk, err);
    if (status == 0)
        status = answer_node(&walk, question, hash, &answer, err);
    if (status < 0)
        return status;
    answer = kilter_arena_str(arena, answer);
    if (!answer.ptr)
        return no_memory(err);
    *ret_answer = answer;
    return 0;
}

/* --- making ------------------------------------------------------------------- */
int kl_tree_base_init(struct kl_tree_base *base, const struct kl_tree_form *form, struct kilter_error *err)
{
    base->tree.ops = &tree_ops;
    base->tree.data = base;
    base->form = form;
    base->root.type = KILTER_ENTRY_DIRECTORY;
    base->arena = kilter_arena_new(0);
    base->asked_arena = kilter_arena_new(0);
    if (!base->arena || !base->asked_arena)
        return no_memory(err);
    return 0;
}

void kl_tree_base_release(struct kl_tree_base *base)
{
    kl_map_release(&base->nodes, NULL);
    kl_map_release(&base->known, NULL);
    kilter_arena_free(base->arena);
    kilter_arena_free(base->asked_arena);
    free(base->asked);
}

void kl_tree_close(struct kilter_tree *tree)
{
    if (tree) {
        struct kl_tree_base *base = base_of(tree);
        base->form->close(base);
    }
}
