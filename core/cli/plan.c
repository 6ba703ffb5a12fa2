/* SPDX-License-Identifier: Apache-2.0 */
/* plan, diff, and apply of a saved plan. */
#include "base/cleanup.h"
#include "cli/act.h"
#include "cli/api.h"
#include "cli/plan_text.h"
#include "cli/private.h"
#include "cli/progress.h"
#include "cli/text.h"

#include <fcntl.h>
#include <kilter/plugin.h>
#include <sys/stat.h>

#define SAVED_VERSION "kilter.dev/v1"
#define SAVED_KIND "SavedPlan"
#define SAVED_MAX (256u << 20) /* bytes of a saved plan */

static int fetch_plan(struct kl_cli *cli, struct kilter_str app, struct kilter_value **ret)
{
    const struct kl_args *args = &cli->args;
    char timeout[32];
    const char *path =
        kl_api_app_path(cli, app, "/plan?refresh=%s%s%s%s&timeout=%s", args->cached ? "false" : "true",
                        args->destroy ? "&destroy=true" : "", args->commit ? "&commit=" : "",
                        args->commit ? kl_api_encode(cli, kilter_str_c(args->commit)) : "",
                        kilter_format_duration(args->timeout_ns ? args->timeout_ns : KL_ACT_TIMEOUT_NS, timeout));
    struct kl_progress *progress = args->cached ? NULL : kl_progress_start(cli, app);
    int r = kl_api_get(cli, path, ret);
    kl_progress_stop(progress);
    return r;
}

/* --- saving ------------------------------------------------------------------------ */

/* The new file is whole or not there: written beside its place and moved. */
static int write_file(struct kl_cli *cli, const char *path, struct kilter_str text)
{
    KL_CLEANUP(kl_freep) char *temporary = NULL;
    if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
        return KILTER_E_NOMEM;
    KL_CLEANUP(kl_closep) int fd = mkostemp(temporary, O_CLOEXEC);
    size_t done = 0;
    bool fine = fd >= 0;
    while (fine && done < text.len) {
        ssize_t n = write(fd, text.ptr + done, text.len - done);
        fine = n > 0 || (n < 0 && errno == EINTR);
        done += n > 0 ? (size_t)n : 0;
    }
    if (fine && rename(temporary, path) == 0)
        return 0;
    kl_cli_complain(cli, "cannot write %s: %s", path, strerror(errno));
    if (fd >= 0)
        unlink(temporary);
    return KILTER_E_IO;
}

static int save_plan(struct kl_cli *cli, struct kilter_value *plan, const char *path)
{
    struct kilter_value *saved = kilter_map(cli->arena);
    struct kilter_buf text = KILTER_BUF_INIT(SAVED_MAX);
    if (!saved || kilter_set(cli->arena, saved, "apiVersion", kilter_string_c(cli->arena, SAVED_VERSION)) < 0 ||
        kilter_set(cli->arena, saved, "kind", kilter_string_c(cli->arena, SAVED_KIND)) < 0 ||
        kilter_set(cli->arena, saved, "plan", plan) < 0)
        return KILTER_E_NOMEM;
    int r = kilter_json_write(&text, saved, KILTER_SCHEMA_JSON, KILTER_WRITE_PRETTY | KILTER_WRITE_CONTENT);
    if (r == 0)
        r = kilter_buf_char(&text, '\n');
    if (r == 0)
        r = write_file(cli, path, kilter_buf_view(&text));
    else
        kl_cli_complain(cli, "the plan is too large to be saved");
    kilter_buf_release(&text);
    return r;
}

static int read_file(struct kl_cli *cli, const char *path, struct kilter_buf *out)
{
    KL_CLEANUP(kl_fclosep) FILE *file = fopen(path, "re");
    char bytes[65536];
    size_t n;
    if (!file) {
        kl_cli_complain(cli, "cannot read %s: %s", path, strerror(errno));
        return KILTER_E_IO;
    }
    while ((n = fread(bytes, 1, sizeof(bytes), file)) > 0)
        if (kilter_buf_append(out, bytes, n) < 0)
            break;
    if (ferror(file) || out->failed) {
        kl_cli_complain(cli, "cannot read %s: %s", path, out->failed ? "it is too long" : strerror(errno));
        return KILTER_E_IO;
    }
    return 0;
}

static int load_plan(struct kl_cli *cli, const char *path, struct kilter_value **ret)
{
    struct kilter_buf text = KILTER_BUF_INIT(SAVED_MAX);
    struct kilter_value *saved = NULL;
    int r = read_file(cli, path, &text);
    if (r == 0) {
        struct kilter_str copy = kilter_arena_str(cli->arena, kilter_str_trim(kilter_buf_view(&text)));
        struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
        options.max_bytes = SAVED_MAX;
        r = kilter_json_read(cli->arena, copy, &options, &saved, NULL);
        const struct kilter_value *plan = kilter_get(saved, "plan");
        if (r < 0 || !kilter_str_eq_c(kilter_get_text(saved, "apiVersion"), SAVED_VERSION) ||
            !kilter_str_eq_c(kilter_get_text(saved, "kind"), SAVED_KIND) || !kilter_get_text(plan, "app").len ||
            !kilter_get_text(plan, "digest").len) {
            kl_cli_complain(cli, "%s is no plan that `kilter plan --out FILE` saved", path);
            r = KILTER_E_INVALID;
        }
    }
    kilter_buf_release(&text);
    if (r == 0)
        *ret = kilter_get(saved, "plan");
    return r;
}

/* --- the verbs ------------------------------------------------------------------------- */

int kl_cli_plan(struct kl_cli *cli)
{
    const struct kl_args *args = &cli->args;
    struct kilter_value *plan = NULL;
    if (args->manifest && kl_private_start(cli, args->manifest, &cli->private_daemon) < 0)
        return 1;
    int r = fetch_plan(cli, kilter_str_c(args->items[0]), &plan);
    if (r == 0 && args->out)
        r = save_plan(cli, plan, args->out);
    if (r == 0 && args->form != KL_FORM_TEXT)
        r = kl_cli_print_value(cli, plan);
    else if (r == 0)
        kl_plan_print(cli, plan, args->verbose);
    if (r < 0)
        return 1;
    if (args->out && args->form == KL_FORM_TEXT)
        fprintf(cli->out, "Saved in %s; to apply exactly this: kilter apply %s\n", args->out, args->out);
    return kl_plan_has_changes(plan) ? 2 : 0;
}

int kl_cli_diff(struct kl_cli *cli)
{
    struct kilter_str app, resource;
    struct kilter_value *plan = NULL;
    kl_api_split(cli->args.items[0], &app, &resource);
    int r = fetch_plan(cli, app, &plan);
    if (r < 0)
        return KL_EXIT_ERROR;
    if (cli->args.form != KL_FORM_TEXT) {
        r = kl_cli_print_value(cli, plan);
        return r < 0 ? KL_EXIT_ERROR : kl_plan_has_changes(plan) ? KL_EXIT_NOT : KL_EXIT_REACHED;
    }
    return kl_plan_print_diff(cli, plan, resource) ? KL_EXIT_NOT : KL_EXIT_REACHED;
}

int kl_cli_apply(struct kl_cli *cli)
{
    struct kilter_value *plan = NULL;
    if (load_plan(cli, cli->args.items[0], &plan) < 0)
        return KL_EXIT_ERROR;
    struct kilter_str app = kilter_get_text(plan, "app");
    struct kilter_value *body = kl_act_body(cli, true);
    if (!body || kl_act_set(cli, body, "digest", kilter_get_text(plan, "digest")) < 0 ||
        kl_act_set(cli, body, "commit", kilter_get_text(kilter_get(plan, "commit"), "id")) < 0)
        return KL_EXIT_ERROR;
    bool destroys = kilter_str_eq_c(kilter_get_text(plan, "mode"), "destroy");
    if (destroys)
        kilter_map_remove(body, KILTER_STR("commit"));
    return kl_act(cli, app, destroys ? "delete" : "approve", body);
}
