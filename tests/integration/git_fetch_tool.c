/* SPDX-License-Identifier: Apache-2.0 */
/*
 * git_fetch_tool: kl_fetch and kl_mirror_maintain from the command line, for
 * the git-*.sh tests.
 *
 *     git_fetch_tool fetch URL KIND REF MIRROR [name=value | name@file]...
 *         names: known, username, password, token, certificate, key, identity, knownHosts, ca, proxy,
 *                timeout, stall (ms), max (bytes)
 *     git_fetch_tool maintain MIRROR [PIN]...
 *
 * Prints "name=value" lines and "change BEFORE AFTER PATH" lines. Exit status
 * 1: the message is on standard error, behind the status in words.
 */
#include <stdio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "git/fetch.h"

struct option {
    const char *name;
    struct kilter_str *text;
    int64_t *number;
    const char **pointer;
};

static int print_change(void *data, const struct kl_tree_change *change)
{
    (void)data;
    if (change->list)
        printf("list - - %.*s\n", KILTER_STR_ARG(change->path));
    else
        printf("change %s %s %.*s\n", kl_entry_type_word(change->before), kl_entry_type_word(change->after),
               KILTER_STR_ARG(change->path));
    return 0;
}

static const char *read_file(const char *path)
{
    KL_CLEANUP(kl_fclosep) FILE *file = fopen(path, "re");
    static struct kilter_buf texts[8]; /* as long as the program */
    static size_t count;
    struct kilter_buf *text = &texts[count++ % 8];
    char bytes[4096];
    size_t len;

    if (!file) {
        perror(path);
        exit(2);
    }
    *text = (struct kilter_buf)KILTER_BUF_INIT(1 << 20);
    kilter_buf_c(text, "");
    while ((len = fread(bytes, 1, sizeof(bytes), file)) > 0)
        kilter_buf_append(text, bytes, len);
    return text->ptr;
}

static void take_option(const struct option *options, const char *argument)
{
    size_t len = strcspn(argument, "=@");

    for (; options->name; options++) {
        if (strlen(options->name) != len || strncmp(options->name, argument, len) != 0 || !argument[len])
            continue;
        const char *value = argument[len] == '@' ? read_file(argument + len + 1) : argument + len + 1;
        if (options->text)
            *options->text = kilter_str_c(value);
        else if (options->number)
            *options->number = strtoll(value, NULL, 10);
        else
            *options->pointer = value;
        return;
    }
    fprintf(stderr, "unknown option %s\n", argument);
    exit(2);
}

static int report(int status, const struct kilter_error *err)
{
    fprintf(stderr, "%s: %s\n", kilter_status_text(status), err->message);
    return 1;
}

static int fetch(int argc, char **argv)
{
    struct kl_fetch_request request = { 0 };
    struct kl_fetch_events events = { .change = print_change };
    struct kl_fetch_result result;
    struct kilter_error err = KILTER_ERROR_INIT;
    int64_t max = 0;
    const struct option options[] = {
        { .name = "known", .pointer = &request.known },
        { .name = "username", .text = &request.credentials.username },
        { .name = "password", .text = &request.credentials.password },
        { .name = "token", .text = &request.credentials.token },
        { .name = "certificate", .text = &request.credentials.certificate },
        { .name = "key", .text = &request.credentials.key },
        { .name = "identity", .text = &request.credentials.identity },
        { .name = "knownHosts", .text = &request.credentials.known_hosts },
        { .name = "ca", .text = &request.ca },
        { .name = "proxy", .text = &request.proxy },
        { .name = "timeout", .number = &request.timeout_ms },
        { .name = "stall", .number = &request.stall_ms },
        { .name = "max", .number = &max },
        { .name = NULL },
    };

    request.url = kilter_str_c(argv[0]);
    request.kind = kl_fetch_ref_of(kilter_str_c(argv[1]));
    request.ref = kilter_str_c(argv[2]);
    request.mirror = argv[3];
    for (int i = 4; i < argc; i++)
        take_option(options, argv[i]);
    request.max_bytes = (uint64_t)max;
    int64_t start = kl_clock_monotonic_ns();
    int status = kl_fetch(&request, &result, &events, &err);
    int64_t took = kl_clock_monotonic_ns() - start;
    if (status < 0)
        return report(status, &err);
    printf("commit=%s\nref=%s\nmoved=%d\nforced=%d\nall=%d\nfetched=%d\n", result.commit, result.ref_name,
           result.moved, result.forced, result.all, result.fetched);
    printf("author=%s\nemail=%s\ntime=%lld\nsubject=%s\nmicroseconds=%lld\n", result.author, result.email,
           (long long)result.time, result.subject, (long long)(took / 1000));
    return 0;
}

static int maintain(int argc, char **argv)
{
    struct kl_maintain_result result;
    struct kilter_error err = KILTER_ERROR_INIT;
    const char **pins = calloc((size_t)argc + 1, sizeof(*pins));

    for (int i = 1; pins && i < argc; i++)
        pins[i - 1] = argv[i];
    int status = kl_mirror_maintain(argv[0], pins, (size_t)argc - 1, NULL, NULL, &result, &err);
    free(pins);
    if (status < 0)
        return report(status, &err);
    printf("before=%llu\nafter=%llu\ndropped=%zu\n", (unsigned long long)result.before,
           (unsigned long long)result.after, result.dropped);
    return 0;
}

int main(int argc, char **argv)
{
    int status = 2;

    if (argc >= 6 && strcmp(argv[1], "fetch") == 0)
        status = fetch(argc - 2, argv + 2);
    else if (argc >= 3 && strcmp(argv[1], "maintain") == 0)
        status = maintain(argc - 2, argv + 2);
    else
        fprintf(stderr,
                "usage: git_fetch_tool fetch URL KIND REF MIRROR [name=value]... | maintain MIRROR [PIN]...\n");
    kl_git_shutdown();
    return status;
}
