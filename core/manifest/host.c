/* SPDX-License-Identifier: Apache-2.0 */
/* Facts of the host that manifests may mention. */
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "manifest/substitute.h"

static struct kilter_str read_small(struct kilter_arena *arena, const char *path)
{
    char bytes[8192];
    KL_CLEANUP(kl_fclosep) FILE *file = fopen(path, "re");

    if (!file)
        return KILTER_STR_NONE;
    size_t len = fread(bytes, 1, sizeof bytes, file);
    return kilter_arena_str(arena, kilter_str_trim(kilter_str_n(bytes, len)));
}

struct kilter_str kl_os_release_get(struct kilter_str text, const char *key)
{
    size_t key_len = strlen(key);

    while (text.len > 0) {
        ptrdiff_t end = kilter_str_find(text, '\n', 0);
        struct kilter_str line = kilter_str_trim(kilter_str_sub(text, 0, end < 0 ? text.len : (size_t)end));
        text = kilter_str_sub(text, end < 0 ? text.len : (size_t)end + 1, text.len);
        if (!kilter_str_starts(line, kilter_str_c(key)) || line.len <= key_len || line.ptr[key_len] != '=')
            continue;
        struct kilter_str value = kilter_str_sub(line, key_len + 1, line.len);
        if (value.len >= 2 && (value.ptr[0] == '"' || value.ptr[0] == '\'') &&
            value.ptr[value.len - 1] == value.ptr[0])
            value = kilter_str_sub(value, 1, value.len - 2);
        return value;
    }
    return KILTER_STR_NONE;
}

void kl_host_read(struct kilter_arena *arena, struct kl_host_facts *ret)
{
    struct utsname uts;
    struct kilter_str release = read_small(arena, "/etc/os-release");

    if (!release.ptr)
        release = read_small(arena, "/usr/lib/os-release");
    *ret = (struct kl_host_facts){
        .machine_id = read_small(arena, "/etc/machine-id"),
        .os_id = kl_os_release_get(release, "ID"),
        .os_version = kl_os_release_get(release, "VERSION_ID"),
        .os_codename = kl_os_release_get(release, "VERSION_CODENAME"),
    };
    if (uname(&uts) == 0) {
        struct kilter_str node = kilter_str_c(uts.nodename);
        ptrdiff_t dot = kilter_str_find(node, '.', 0);
        ret->name = kilter_arena_str(arena, kilter_str_sub(node, 0, dot < 0 ? node.len : (size_t)dot));
        ret->arch = kilter_arena_str(arena, kilter_str_c(uts.machine));
    }
}
