/* SPDX-License-Identifier: Apache-2.0 */
/* What a manifest means once it is loaded. */
#include "manifest_tests.h"

#include <stdio.h>
#include <stdlib.h>

#include "manifest/substitute.h"

#define S(literal) KILTER_STR(literal)
#define SECOND INT64_C(1000000000)
#define ck_assert_text(view, literal)                                                                              \
    ck_assert_msg(kilter_str_eq_c(view, literal), "expected \"%s\", found \"%.*s\"", literal, KILTER_STR_ARG(view))

START_TEST(defaults_are_those_of_the_reference)
{
    struct kl_manifest *m = load(HEAD SOURCES TARGETS "apps: {web: {source: infra, path: ./web/, target: etc}}\n");
    const struct kl_app *a = app(m, "web");

    ck_assert_text(m->installation, "acme");
    ck_assert_text(a->path, "web");
    ck_assert_uint_eq(a->renderer.len, 0);
    ck_assert_ptr_null(a->renderer_plugin);
    ck_assert_int_eq(a->source->interval_ns, 60 * SECOND);
    ck_assert_int_eq(a->source->timeout_ns, 300 * SECOND);
    ck_assert_text(a->policy.name, "default");
    ck_assert_int_eq(a->policy.sync, KL_SYNC_AUTO);
    ck_assert_int_eq(a->policy.drift, KL_DRIFT_REPORT);
    ck_assert(!a->policy.prune);
    ck_assert(!a->policy.max_deletes.percent);
    ck_assert_uint_eq(a->policy.max_deletes.value, 10);
    ck_assert_int_eq(a->policy.adopt, KL_ADOPT_IF_EQUAL);
    ck_assert_int_eq(a->policy.on_remove, KL_ON_REMOVE_KEEP);
    ck_assert_int_eq(a->policy.on_unhealthy, KL_ON_UNHEALTHY_KEEP);
    ck_assert_int_eq(a->policy.drift_interval_ns, 300 * SECOND);
    ck_assert_int_eq(a->policy.retry_first_ns, 5 * SECOND);
    ck_assert_int_eq(a->policy.retry_max_ns, 300 * SECOND);
    ck_assert_uint_eq(a->target->concurrency, 4);
    ck_assert_ptr_null(a->target->allow);
    ck_assert_text(m->daemon.state_directory, "/var/lib/kilter");
    ck_assert_text(m->daemon.socket_path, "/run/kilter/kilterd.sock");
    ck_assert_uint_eq(m->daemon.socket_mode, 0660);
    ck_assert_int_eq(m->daemon.log_level, KILTER_LOG_INFO);
    ck_assert_int_eq(m->daemon.worker_memory, INT64_C(1) << 30);
    kl_manifest_unref(m);
}
END_TEST

START_TEST(the_daemons_section_is_taken)
{
    struct kl_manifest *m =
        load("apiVersion: kilter.dev/v1\nkind: Manifest\nmetadata: {name: acme}\nplugins: [yaml]\n"
             "daemon: {stateDirectory: /srv/kilter, logLevel: debug,\n"
             "  socket: {path: /srv/s, group: admin, mode: '0600'},\n"
             "  limits: {workers: 3, concurrency: 9, memory: 256Mi}}\n");

    ck_assert_text(m->daemon.state_directory, "/srv/kilter");
    ck_assert_text(m->daemon.socket_path, "/srv/s");
    ck_assert_text(m->daemon.socket_group, "admin");
    ck_assert_uint_eq(m->daemon.socket_mode, 0600);
    ck_assert_int_eq(m->daemon.log_level, KILTER_LOG_DEBUG);
    ck_assert_uint_eq(m->daemon.workers, 3);
    ck_assert_uint_eq(m->daemon.concurrency, 9);
    ck_assert_int_eq(m->daemon.worker_memory, 256 << 20);
    kl_manifest_unref(m);
}
END_TEST

START_TEST(an_app_exists_once_in_each_of_its_environments)
{
    struct kl_manifest *m = load(HEAD SOURCES TARGETS
                                 "environments: {dev: {}, prod: {}}\n"
                                 "apps:\n"
                                 "  base: {source: infra, path: base, target: cluster, environments: [dev, prod]}\n"
                                 "  web: {source: infra, path: 'env/${env}/web', target: cluster,"
                                 " environments: [dev, prod], dependsOn: [base]}\n"
                                 "  host: {source: infra, path: host, target: etc}\n");

    ck_assert_uint_eq(m->app_count, 5);
    const struct kl_app *web = app(m, "web@prod");
    ck_assert_text(web->base, "web");
    ck_assert_text(web->environment, "prod");
    ck_assert_text(web->path, "env/prod/web");
    ck_assert_uint_eq(web->depends_count, 1);
    ck_assert_ptr_eq(web->depends_on[0], app(m, "base@prod"));
    ck_assert_ptr_eq(app(m, "web@dev")->depends_on[0], app(m, "base@dev"));
    ck_assert_ptr_null(kl_manifest_app(m, S("web")));
    kl_manifest_unref(m);
}
END_TEST

START_TEST(a_target_that_mentions_the_environment_is_one_for_each)
{
    struct kl_manifest *m =
        load(HEAD SOURCES TARGETS "environments: {dev: {}, prod: {}, unused: {}}\n"
                                  "apps:\n"
                                  "  a: {source: infra, path: a, target: cluster, environments: [dev, prod]}\n"
                                  "  b: {source: infra, path: b, target: cluster, environments: [prod]}\n"
                                  "  c: {source: infra, path: c, target: etc, environments: [dev, prod]}\n"
                                  "  d: {source: infra, path: d, target: cluster}\n");

    ck_assert_uint_eq(m->target_count, 4);
    ck_assert_text(kilter_get_text(kl_manifest_target(m, S("cluster@prod"))->options, "context"), "c-prod");
    ck_assert_text(kilter_get_text(kl_manifest_target(m, S("cluster"))->options, "context"), "c-none");
    ck_assert_ptr_eq(app(m, "a@prod")->target, app(m, "b@prod")->target);
    ck_assert_ptr_ne(app(m, "a@dev")->target, app(m, "a@prod")->target);
    ck_assert_text(app(m, "a@dev")->target->environment, "dev");
    ck_assert_ptr_eq(app(m, "c@dev")->target, app(m, "c@prod")->target);
    ck_assert_text(app(m, "c@dev")->target->name, "etc");
    ck_assert_uint_eq(app(m, "c@dev")->target->environment.len, 0);
    kl_manifest_unref(m);
}
END_TEST

START_TEST(an_environment_changes_a_source_and_only_there)
{
    struct kl_manifest *m =
        load(HEAD "sources:\n"
                  "  infra: {url: 'https://git.example.com/i.git', ref: {branch: main}, interval: 2m}\n" TARGETS
                  "environments: {dev: {}, test: {}, prod: {sources: {infra: {ref: {tag: live}}}}}\n"
                  "apps:\n"
                  "  a: {source: infra, path: a, target: etc, environments: [dev, test, prod]}\n");
    const struct kl_source *prod = app(m, "a@prod")->source;

    ck_assert_uint_eq(m->source_count, 2);
    ck_assert_text(prod->name, "infra@prod");
    ck_assert_text(prod->base, "infra");
    ck_assert_int_eq(prod->ref_kind, KL_REF_TAG);
    ck_assert_text(prod->ref, "live");
    ck_assert_int_eq(prod->interval_ns, 120 * SECOND);
    ck_assert_ptr_eq(app(m, "a@dev")->source, app(m, "a@test")->source);
    ck_assert_int_eq(app(m, "a@dev")->source->ref_kind, KL_REF_BRANCH);
    kl_manifest_unref(m);
}
END_TEST

START_TEST(policies_start_from_default_and_an_app_names_the_nearest)
{
    struct kl_manifest *m =
        load(HEAD SOURCES TARGETS
             "policies:\n"
             "  careful: {sync: manual, maxDeletes: '5%'}\n"
             "  default: {drift: correct, retry: {first: 1s}}\n"
             "environments: {dev: {}, prod: {policy: careful}}\n"
             "apps:\n"
             "  a: {source: infra, path: a, target: etc, environments: [dev, prod]}\n"
             "  b: {source: infra, path: b, target: etc, environments: [prod], policy: default}\n"
             "  c: {source: infra, path: c, target: etc, environments: [prod], policy: {prune: true}}\n");
    const struct kl_policy *careful = &app(m, "a@prod")->policy;

    ck_assert_text(careful->name, "careful");
    ck_assert_int_eq(careful->sync, KL_SYNC_MANUAL);
    ck_assert_int_eq(careful->drift, KL_DRIFT_CORRECT);
    ck_assert(careful->max_deletes.percent);
    ck_assert_uint_eq(careful->max_deletes.value, 5);
    ck_assert_int_eq(careful->retry_first_ns, SECOND);
    ck_assert_int_eq(careful->retry_max_ns, 300 * SECOND);
    ck_assert_text(app(m, "a@dev")->policy.name, "default");
    ck_assert_text(app(m, "b@prod")->policy.name, "default");
    ck_assert_text(app(m, "c@prod")->policy.name, "careful+");
    ck_assert_int_eq(app(m, "c@prod")->policy.sync, KL_SYNC_MANUAL);
    ck_assert(app(m, "c@prod")->policy.prune);
    kl_manifest_unref(m);
}
END_TEST

START_TEST(a_percentage_counts_above_five_deletions)
{
    struct kl_policy policy = { .max_deletes = { true, 5 } };

    ck_assert(kl_policy_allows_deletes(&policy, 5, 6));
    ck_assert(!kl_policy_allows_deletes(&policy, 6, 119));
    ck_assert(kl_policy_allows_deletes(&policy, 6, 120));
    policy.max_deletes = (struct kl_delete_limit){ false, 10 };
    ck_assert(kl_policy_allows_deletes(&policy, 10, 10));
    ck_assert(!kl_policy_allows_deletes(&policy, 11, 1000));
}
END_TEST

START_TEST(texts_are_substituted_as_flux_does)
{
    struct kl_manifest *m =
        load(HEAD SOURCES TARGETS
             "apps:\n"
             "  a: {source: infra, path: 'h/${host.name}-${host.osCodename:=sid}/$$x$y/$${env}', target: etc,\n"
             "      renderer: {name: files, modes: {'*': '${host.arch}'}}}\n");
    const struct kl_app *a = app(m, "a");

    ck_assert_text(a->path, "h/edge1-sid/$x$y/${env}");
    ck_assert_text(kilter_get_text(kilter_get(a->renderer_options, "modes"), "*"), "x86_64");
    ck_assert_text(a->renderer, "files");
    ck_assert_ptr_null(kilter_get(a->renderer_options, "name"));
    kl_manifest_unref(m);
}
END_TEST

START_TEST(documents_are_substituted_only_when_asked_and_with_the_apps_variables_first)
{
    struct kl_manifest *m =
        load(HEAD SOURCES TARGETS
             "environments: {prod: {variables: {size: 3, tier: gold}}}\n"
             "apps:\n"
             "  a: {source: infra, path: a, target: etc, environments: [prod], substitute: {size: '${size}0'}}\n"
             "  b: {source: infra, path: b, target: etc, environments: [prod], substitute: true}\n"
             "  c: {source: infra, path: c, target: etc, environments: [prod], substitute: false}\n");
    const struct kilter_value *variables = app(m, "a@prod")->variables;

    ck_assert_text(kilter_get_text(variables, "size"), "30");
    ck_assert_text(kilter_get_text(variables, "tier"), "gold");
    ck_assert_text(kilter_get_text(variables, "env"), "prod");
    ck_assert_text(kilter_get_text(variables, "host.name"), "edge1");
    ck_assert_ptr_null(kilter_get(variables, "host.osCodename"));
    ck_assert_text(kilter_get_text(app(m, "b@prod")->variables, "size"), "3");
    ck_assert(!app(m, "c@prod")->substitute);
    ck_assert_ptr_null(app(m, "c@prod")->variables);
    kl_manifest_unref(m);
}
END_TEST

START_TEST(inputs_are_references_and_secret_unless_said_otherwise)
{
    struct kl_manifest *m =
        load(HEAD SOURCES TARGETS
             "environments: {prod: {}}\n"
             "apps:\n"
             "  a: {source: infra, path: a, target: etc, environments: [prod], inputs:\n"
             "      {PASSWORD: {credential: 'db-${env}'}, REGION: {env: REGION, secret: false}}}\n");
    const struct kl_app *a = app(m, "a@prod");

    ck_assert_uint_eq(a->input_count, 2);
    ck_assert_text(a->inputs[0].name, "PASSWORD");
    ck_assert_int_eq(a->inputs[0].ref.kind, KL_SECRET_CREDENTIAL);
    ck_assert_text(a->inputs[0].ref.value, "db-prod");
    ck_assert(a->inputs[0].secret);
    ck_assert_int_eq(a->inputs[1].ref.kind, KL_SECRET_ENV);
    ck_assert(!a->inputs[1].secret);
    kl_manifest_unref(m);
}
END_TEST

START_TEST(plugins_by_file_have_the_files_name_and_an_absolute_path)
{
    struct kl_manifest *m = load("apiVersion: kilter.dev/v1\nkind: Manifest\nmetadata: {name: acme}\n"
                                 "plugins: [yaml, {file: /opt/dns-zones.so}, {name: x, file: ./y.so}]\n");

    ck_assert_uint_eq(m->plugin_count, 3);
    ck_assert_uint_eq(m->plugins[0].file.len, 0);
    ck_assert_text(m->plugins[1].name, "dns-zones");
    ck_assert_text(m->plugins[1].file, "/opt/dns-zones.so");
    ck_assert_int_eq(m->plugins[2].file.ptr[0], '/');
    ck_assert(kilter_str_ends(m->plugins[2].file, S("/y.so")));
    ck_assert_ptr_eq(kl_manifest_plugin(m, S("x")), &m->plugins[2]);
    kl_manifest_unref(m);
}
END_TEST

START_TEST(an_old_name_is_of_the_same_environment_unless_it_is_said_in_full)
{
    struct kl_manifest *m =
        load(HEAD SOURCES TARGETS
             "environments: {dev: {}, prod: {}}\n"
             "apps:\n"
             "  a: {source: infra, path: a, target: etc, environments: [prod], movedFrom: old}\n"
             "  b: {source: infra, path: b, target: etc, environments: [dev, prod], movedFrom: {prod: b}}\n"
             "  c: {source: infra, path: c, target: etc, movedFrom: older}\n");

    ck_assert_text(app(m, "a@prod")->moved_from, "old@prod");
    ck_assert_text(app(m, "b@prod")->moved_from, "b");
    ck_assert_uint_eq(app(m, "b@dev")->moved_from.len, 0);
    ck_assert_text(app(m, "c")->moved_from, "older");
    kl_manifest_unref(m);
}
END_TEST

START_TEST(an_app_of_an_environment_may_depend_on_one_that_is_outside_of_all)
{
    struct kl_manifest *m =
        load(HEAD SOURCES TARGETS
             "environments: {prod: {}}\n"
             "apps:\n"
             "  a: {source: infra, path: a, target: etc, environments: [prod], dependsOn: [host, host]}\n"
             "  host: {source: infra, path: c, target: etc}\n");

    ck_assert_uint_eq(app(m, "a@prod")->depends_count, 1);
    ck_assert_ptr_eq(app(m, "a@prod")->depends_on[0], app(m, "host"));
    kl_manifest_unref(m);
}
END_TEST

START_TEST(a_name_mistyped_is_answered_with_the_nearest)
{
    struct kl_manifest *m = load(HEAD SOURCES TARGETS "apps: {payments: {source: infra, path: a, target: etc}}\n");

    ck_assert_text(kl_manifest_nearest_app(m, S("paymets")), "payments");
    ck_assert_ptr_null(kl_manifest_nearest_app(m, S("zebra")).ptr);
    kl_manifest_unref(m);
}
END_TEST

START_TEST(a_manifest_lives_as_long_as_someone_keeps_it)
{
    struct kl_manifest *m = load(HEAD SOURCES TARGETS "apps: {web: {source: infra, path: a, target: etc}}\n");
    struct kl_manifest *kept = kl_manifest_ref(m);

    kl_manifest_unref(m);
    ck_assert_text(app(kept, "web")->name, "web");
    kl_manifest_unref(kept);
    kl_manifest_unref(NULL);
}
END_TEST

START_TEST(a_chain_of_ten_thousand_apps_is_no_problem_and_one_more_is_refused)
{
    struct kilter_buf text = KILTER_BUF_INIT(4 << 20);
    kilter_buf_c(&text, HEAD SOURCES TARGETS "apps:\n");
    for (int i = 0; i < 10000; i++)
        kilter_buf_printf(&text, "  a%d: {source: infra, path: a, target: etc, dependsOn: [a%d]}\n", i,
                          i == 9999 ? i - 2 : i + 1);

    char *said = refused(text.ptr); /* the last three make a circle */
    ck_assert_msg(strstr(said, "in a circle: a9997 -> a9998 -> a9999 -> a9997") != NULL, "%s", said);
    free(said);
    kilter_buf_c(&text, "  b: {source: infra, path: a, target: etc}\n");
    said = refused(text.ptr);
    ck_assert_ptr_nonnull(strstr(said, "more than 10000 apps"));
    free(said);
    kilter_buf_release(&text);
}
END_TEST

START_TEST(without_a_lookup_plugins_are_not_looked_at)
{
    struct kl_manifest *m = NULL;
    struct kilter_diags *diags = kilter_diags_new(0);
    const char *text =
        HEAD SOURCES "targets: {etc: {plugin: file, options: {anything: [1]}}}\n"
                     "apps: {web: {source: infra, path: a, target: etc, renderer: {name: files, any: 1}}}\n";

    ck_assert_int_eq(kl_manifest_load_text(kilter_str_c(text), "k.yaml", NULL, &m, diags), 0);
    kl_manifest_unref(m);
    kilter_diags_free(diags);
}
END_TEST

static const struct kl_plugin_schemas *counting_lookup(void *data, struct kilter_str name, struct kilter_str file)
{
    ++*(int *)data;
    return fixture_lookup(NULL, name, file);
}

START_TEST(each_plugin_is_looked_up_once)
{
    int count = 0;
    struct kl_manifest_options options = { .plugin_lookup = counting_lookup, .plugin_data = &count };
    struct kl_manifest *m = NULL;
    const char *text = HEAD SOURCES TARGETS "apps:\n  a: {source: infra, path: a, target: etc, renderer: files}\n"
                                            "  b: {source: infra, path: a, target: etc, renderer: files}\n";

    ck_assert_int_eq(kl_manifest_load_text(kilter_str_c(text), "k.yaml", &options, &m, NULL), 0);
    ck_assert_int_eq(count, 4);
    kl_manifest_unref(m);
}
END_TEST

START_TEST(os_release_is_read_with_and_without_quotes)
{
    struct kilter_str text = S("NAME=\"Debian GNU/Linux\"\nID=debian\nVERSION_ID='12'\nID_LIKE=x\n");

    ck_assert_text(kl_os_release_get(text, "ID"), "debian");
    ck_assert_text(kl_os_release_get(text, "VERSION_ID"), "12");
    ck_assert_text(kl_os_release_get(text, "NAME"), "Debian GNU/Linux");
    ck_assert_ptr_null(kl_os_release_get(text, "VERSION_CODENAME").ptr);
}
END_TEST

/* Without the list of options that the example's own plugins would give. */
START_TEST(the_shared_example_loads)
{
    const char *root = getenv("KILTER_SOURCE_DIR");
    char path[4096];
    struct kl_manifest_options options = { .host = &fixture_host };
    struct kilter_diags *diags = kilter_diags_new(0);
    struct kl_manifest *m = NULL;

    snprintf(path, sizeof path, "%s/../shared/kilter.example.yaml", root ? root : ".");
    FILE *file = fopen(path, "re");
    if (file) {
        fclose(file);
        ck_assert_int_eq(kl_manifest_load(path, &options, &m, diags), 0);
        ck_assert_uint_eq(m->app_count, 8);
        ck_assert_text(app(m, "edge-base")->path, "hosts/edge1");
        ck_assert(m->include_missing); /* its apps.d is not there */
        kl_manifest_unref(m);
    }
    kilter_diags_free(diags);
}
END_TEST

void add_model_tests(Suite *suite)
{
    TCase *tests = tcase_create("model");

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, defaults_are_those_of_the_reference);
    tcase_add_test(tests, the_daemons_section_is_taken);
    tcase_add_test(tests, an_app_exists_once_in_each_of_its_environments);
    tcase_add_test(tests, a_target_that_mentions_the_environment_is_one_for_each);
    tcase_add_test(tests, an_environment_changes_a_source_and_only_there);
    tcase_add_test(tests, policies_start_from_default_and_an_app_names_the_nearest);
    tcase_add_test(tests, a_percentage_counts_above_five_deletions);
    tcase_add_test(tests, texts_are_substituted_as_flux_does);
    tcase_add_test(tests, documents_are_substituted_only_when_asked_and_with_the_apps_variables_first);
    tcase_add_test(tests, inputs_are_references_and_secret_unless_said_otherwise);
    tcase_add_test(tests, plugins_by_file_have_the_files_name_and_an_absolute_path);
    tcase_add_test(tests, an_old_name_is_of_the_same_environment_unless_it_is_said_in_full);
    tcase_add_test(tests, an_app_of_an_environment_may_depend_on_one_that_is_outside_of_all);
    tcase_add_test(tests, a_name_mistyped_is_answered_with_the_nearest);
    tcase_add_test(tests, a_manifest_lives_as_long_as_someone_keeps_it);
    tcase_add_test(tests, a_chain_of_ten_thousand_apps_is_no_problem_and_one_more_is_refused);
    tcase_add_test(tests, without_a_lookup_plugins_are_not_looked_at);
    tcase_add_test(tests, each_plugin_is_looked_up_once);
    tcase_add_test(tests, os_release_is_read_with_and_without_quotes);
    tcase_add_test(tests, the_shared_example_loads);
    suite_add_tcase(suite, tests);
}
