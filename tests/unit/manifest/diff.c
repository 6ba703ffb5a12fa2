/* SPDX-License-Identifier: Apache-2.0 */
/* Digests and reloads: what is disturbed, and what is not. */
#include "manifest_tests.h"

#include <stdlib.h>

#define WEB "source: infra, path: web, target: etc"
#define BASE HEAD SOURCES TARGETS "apps: {web: {" WEB "}}\n"

/* How the digest of web moves from the base to another text. */
static bool web_moves(const char *text)
{
    struct kl_manifest *before = load(BASE), *after = load(text);
    bool moved = strcmp(app(before, "web")->digest, app(after, "web")->digest) != 0;

    kl_manifest_unref(before);
    kl_manifest_unref(after);
    return moved;
}

START_TEST(comments_order_style_and_other_apps_do_not_disturb_an_app)
{
    ck_assert(!web_moves(BASE));
    ck_assert(
        !web_moves("# comment\n" HEAD
                   "apps:\n  web:\n    target: \"etc\"\n    path: ./web\n    source: infra\n" TARGETS SOURCES));
    ck_assert(!web_moves(HEAD SOURCES TARGETS "apps: {web: {" WEB "}, api: {" WEB "}}\n"));
    ck_assert(!web_moves(HEAD SOURCES TARGETS "apps: {web: {" WEB ", policy: default, suspend: false}}\n"));
    ck_assert(!web_moves(HEAD SOURCES TARGETS "apps: {web: {" WEB ", movedFrom: old}}\n"));
}
END_TEST

START_TEST(a_sources_interval_and_credentials_do_not_disturb_its_apps)
{
    ck_assert(!web_moves(HEAD TARGETS
                         "sources:\n  infra: {url: 'https://git.example.com/infra.git', ref: {branch: main},\n"
                         "    interval: 9m, credentials: {token: {file: /t}}}\n"
                         "apps: {web: {" WEB "}}\n"));
}
END_TEST

START_TEST(whatever_matters_to_an_app_moves_its_digest)
{
    static const char *const texts[] = {
        HEAD SOURCES TARGETS "apps: {web: {source: infra, path: other, target: etc}}\n",
        HEAD SOURCES TARGETS "apps: {web: {source: infra, path: web, target: cluster}}\n",
        HEAD SOURCES TARGETS "apps: {web: {" WEB ", renderer: files}}\n",
        HEAD SOURCES TARGETS "apps: {web: {" WEB ", policy: {prune: true}}}\n",
        HEAD SOURCES TARGETS "policies: {default: {drift: correct}}\napps: {web: {" WEB "}}\n",
        HEAD SOURCES TARGETS "apps: {web: {" WEB ", inputs: {A: {env: A}}}}\n",
        HEAD SOURCES TARGETS "apps: {web: {" WEB ", allowEmpty: true}}\n",
        HEAD SOURCES TARGETS "apps: {web: {" WEB ", suspend: true}}\n",
        HEAD SOURCES TARGETS "apps: {web: {" WEB ", substitute: true}}\n",
        HEAD SOURCES TARGETS "apps: {web: {" WEB ", health: {window: 1s}}}\n",
        HEAD SOURCES TARGETS "apps: {web: {" WEB ", dependsOn: [api]}, api: {" WEB "}}\n",
        HEAD SOURCES "targets: {etc: {plugin: file, options: {root: /mnt}}}\napps: {web: {" WEB "}}\n",
        HEAD SOURCES "targets: {etc: {plugin: file, options: {root: /}, allow: {}}}\napps: {web: {" WEB "}}\n",
        HEAD TARGETS "sources:\n  infra: {url: 'https://git.example.com/infra.git', ref: {tag: main}}\n"
                     "apps: {web: {" WEB "}}\n",
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        ck_assert_msg(web_moves(texts[i]), "text %zu moves nothing", i);
}
END_TEST

START_TEST(the_render_digest_moves_with_what_a_render_takes_and_nothing_else)
{
    struct kl_manifest *a = load(BASE);
    struct kl_manifest *b =
        load(HEAD SOURCES TARGETS "apps: {web: {" WEB ", policy: {prune: true}, suspend: true}}\n");
    struct kl_manifest *c = load(HEAD SOURCES TARGETS "apps: {web: {" WEB ", inputs: {A: {env: A}}}}\n");

    ck_assert_str_eq(app(a, "web")->render_digest, app(b, "web")->render_digest);
    ck_assert_str_ne(app(a, "web")->render_digest, app(c, "web")->render_digest);
    kl_manifest_unref(a);
    kl_manifest_unref(b);
    kl_manifest_unref(c);
}
END_TEST

static const struct kl_manifest_move *move_of(const struct kl_manifest_diff *diff, const char *name)
{
    for (size_t i = 0; i < diff->app_count; i++) {
        const struct kl_app *a = diff->apps[i].after ? diff->apps[i].after : diff->apps[i].before;
        if (kilter_str_eq_c(a->name, name))
            return &diff->apps[i];
    }
    ck_abort_msg("nothing is said of %s", name);
}

START_TEST(a_reload_says_what_is_added_changed_removed_and_renamed)
{
    struct kl_manifest *before =
        load(HEAD SOURCES TARGETS "apps: {same: {" WEB "}, changed: {" WEB "}, gone: {" WEB "}, old: {" WEB "}}\n");
    struct kl_manifest *after =
        load(HEAD SOURCES TARGETS "apps: {same: {" WEB "}, changed: {" WEB ", suspend: true}, added: {" WEB "},\n"
                                  "  new: {source: infra, path: web, target: cluster, movedFrom: old},\n"
                                  "  fresh: {" WEB ", movedFrom: never}}\n");
    struct kl_manifest_diff diff;

    ck_assert_int_eq(kl_manifest_diff(before, after, &diff), 0);
    ck_assert_uint_eq(diff.app_count, 6);
    ck_assert_int_eq(move_of(&diff, "same")->moved, KL_MOVED_NOT);
    ck_assert_int_eq(move_of(&diff, "changed")->moved, KL_MOVED_CHANGED);
    ck_assert_int_eq(move_of(&diff, "added")->moved, KL_MOVED_ADDED);
    ck_assert_int_eq(move_of(&diff, "fresh")->moved, KL_MOVED_ADDED);
    ck_assert_int_eq(move_of(&diff, "gone")->moved, KL_MOVED_REMOVED);
    ck_assert_int_eq(move_of(&diff, "new")->moved, KL_MOVED_RENAMED);
    ck_assert_ptr_eq(move_of(&diff, "new")->before, app(before, "old"));
    ck_assert_ptr_eq(move_of(&diff, "new")->after, app(after, "new"));
    ck_assert_uint_eq(diff.source_count, 1);
    ck_assert_int_eq(diff.sources[0].moved, KL_MOVED_NOT);
    ck_assert_uint_eq(diff.target_count, 2);
    ck_assert(!diff.daemon_changed);
    ck_assert(!diff.plugins_changed);
    kl_manifest_diff_release(&diff);

    ck_assert_int_eq(kl_manifest_diff(NULL, after, &diff), 0);
    ck_assert_uint_eq(diff.app_count, 5);
    for (size_t i = 0; i < diff.app_count; i++)
        ck_assert_int_eq(diff.apps[i].moved, KL_MOVED_ADDED);
    kl_manifest_diff_release(&diff);
    kl_manifest_unref(before);
    kl_manifest_unref(after);
}
END_TEST

START_TEST(a_change_of_the_daemon_or_the_plugins_is_told)
{
    struct kl_manifest *before = load(HEAD SOURCES TARGETS "apps: {web: {" WEB ", renderer: files}}\n");
    struct kl_manifest *after =
        load("apiVersion: kilter.dev/v1\nkind: Manifest\nmetadata: {name: acme}\n"
             "plugins: [yaml, files, file, {name: cluster, file: ./cluster.so}]\n"
             "daemon: {logLevel: debug}\n" SOURCES TARGETS "apps: {web: {" WEB ", renderer: files}}\n");
    struct kl_manifest_diff diff;

    ck_assert_int_eq(kl_manifest_diff(before, after, &diff), 0);
    ck_assert(diff.daemon_changed);
    ck_assert(diff.plugins_changed);
    ck_assert_int_eq(diff.apps[0].moved, KL_MOVED_NOT);
    kl_manifest_diff_release(&diff);
    kl_manifest_unref(before);
    kl_manifest_unref(after);
}
END_TEST

void add_diff_tests(Suite *suite)
{
    TCase *tests = tcase_create("diff");

    tcase_add_test(tests, comments_order_style_and_other_apps_do_not_disturb_an_app);
    tcase_add_test(tests, a_sources_interval_and_credentials_do_not_disturb_its_apps);
    tcase_add_test(tests, whatever_matters_to_an_app_moves_its_digest);
    tcase_add_test(tests, the_render_digest_moves_with_what_a_render_takes_and_nothing_else);
    tcase_add_test(tests, a_reload_says_what_is_added_changed_removed_and_renamed);
    tcase_add_test(tests, a_change_of_the_daemon_or_the_plugins_is_told);
    suite_add_tcase(suite, tests);
}
