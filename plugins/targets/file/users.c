/* SPDX-License-Identifier: Apache-2.0 */
/*
 * users.c: names of users and groups, looked up once each. A plan of a thousand files asks for the same
 * few again and again, and the system may answer over the network.
 */
#include "file.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOKUP_MAX (1u << 20)

struct name {
    struct name *next;
    struct kilter_str text;
    int64_t id; /* -1: the host does not know it */
};

struct file_names {
    struct kilter_arena *arena;
    struct name *users, *groups;           /* by name */
    struct name *user_texts, *group_texts; /* by number */
};

struct file_names *file_names_new(struct kilter_arena *arena)
{
    struct file_names *names = kilter_arena_alloc(arena, sizeof *names);
    if (names)
        names->arena = arena;
    return names;
}

static void keep(struct file_names *names, struct name **list, struct kilter_str text, int64_t id)
{
    struct name *name = kilter_arena_alloc(names->arena, sizeof *name);
    if (!name)
        return;
    name->text = kilter_arena_str(names->arena, text);
    name->id = id;
    name->next = *list;
    if (name->text.ptr)
        *list = name;
}

static bool is_number(struct kilter_str text, int64_t *ret)
{
    int64_t number = 0;
    if (text.len == 0 || text.len > 10)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        number = number * 10 + (text.ptr[i] - '0');
    }
    *ret = number;
    return number < UINT32_MAX; /* the highest one means "none" to the kernel */
}

/* Calls one of the *_r functions with a buffer that is large enough. `id` and `text` are both in and out:
 * the one that is asked for is -1 or empty. */
static bool look_up(bool group, int64_t *id, char text[256])
{
    bool found = false;
    int failed = ERANGE;
    for (size_t size = 4096; failed == ERANGE && size <= LOOKUP_MAX; size *= 4) {
        char *space = malloc(size);
        struct passwd user, *user_found = NULL;
        struct group grp, *group_found = NULL;
        if (!space)
            return false;
        if (group)
            failed = *id < 0 ? getgrnam_r(text, &grp, space, size, &group_found)
                             : getgrgid_r((gid_t)*id, &grp, space, size, &group_found);
        else
            failed = *id < 0 ? getpwnam_r(text, &user, space, size, &user_found)
                             : getpwuid_r((uid_t)*id, &user, space, size, &user_found);
        found = failed == 0 && (group ? group_found != NULL : user_found != NULL);
        if (found && *id < 0)
            *id = group ? (int64_t)grp.gr_gid : (int64_t)user.pw_uid;
        else if (found)
            snprintf(text, 256, "%s", group ? grp.gr_name : user.pw_name);
        free(space);
    }
    return found;
}

static bool id_of(struct file_names *names, bool group, struct kilter_str text, int64_t *ret)
{
    struct name **list = group ? &names->groups : &names->users;
    char copy[256];
    if (is_number(text, ret))
        return true;
    for (struct name *name = *list; name; name = name->next)
        if (kilter_str_eq(name->text, text)) {
            *ret = name->id;
            return name->id >= 0;
        }
    if (text.len == 0 || text.len >= sizeof copy || memchr(text.ptr, 0, text.len))
        return false;
    snprintf(copy, sizeof copy, "%.*s", KILTER_STR_ARG(text));
    *ret = -1;
    bool found = look_up(group, ret, copy);
    keep(names, list, text, found ? *ret : -1);
    return found;
}

bool file_uid_of(struct file_names *names, struct kilter_str text, int64_t *ret_uid)
{
    return id_of(names, false, text, ret_uid);
}

bool file_gid_of(struct file_names *names, struct kilter_str text, int64_t *ret_gid)
{
    return id_of(names, true, text, ret_gid);
}

static struct kilter_str text_of(struct file_names *names, bool group, uint32_t number)
{
    struct name **list = group ? &names->group_texts : &names->user_texts;
    int64_t id = number;
    char text[256];
    for (struct name *name = *list; name; name = name->next)
        if (name->id == id)
            return name->text;
    if (!look_up(group, &id, text))
        snprintf(text, sizeof text, "%u", number);
    keep(names, list, kilter_str_c(text), number);
    return *list && (*list)->id == id ? (*list)->text : KILTER_STR("?");
}

struct kilter_str file_user_text(struct file_names *names, uint32_t uid)
{
    return text_of(names, false, uid);
}

struct kilter_str file_group_text(struct file_names *names, uint32_t gid)
{
    return text_of(names, true, gid);
}
