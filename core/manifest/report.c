/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/report.h"

#include <stdio.h>
#include <stdlib.h>

#define SEEN_MAX 20000u /* beyond it nothing is told apart any more, and nobody reads on */

int kl_report_init(struct kl_report *report, struct kilter_arena *arena)
{
    *report = (struct kl_report){ .arena = arena, .kept = kilter_diags_new(0), .scratch = kilter_diags_new(0) };
    if (report->kept && report->scratch)
        return 0;
    kl_report_release(report);
    return KILTER_E_NOMEM;
}

void kl_report_release(struct kl_report *report)
{
    kilter_diags_free(report->scratch);
    kilter_diags_free(report->kept);
    kl_map_release(&report->seen, NULL);
    report->scratch = report->kept = NULL;
}

void kl_report_nomem(struct kl_report *report)
{
    report->status = KILTER_E_NOMEM;
}

/* Whether this was not said before at this place. */
static bool is_news(struct kl_report *report, struct kilter_origin origin, struct kilter_str message)
{
    char key[1400];
    int n = snprintf(key, sizeof key, "%u:%u:%.*s:%.*s", origin.line, origin.column, KILTER_STR_ARG(origin.file),
                     KILTER_STR_ARG(message));
    struct kilter_str text = kilter_str_n(key, n < 0 ? 0 : (size_t)n < sizeof key ? (size_t)n : sizeof key - 1);
    if (kl_map_has(&report->seen, text))
        return false;
    if (kl_map_count(&report->seen) < SEEN_MAX && kl_map_put(&report->seen, text, report, NULL) < 0)
        kl_report_nomem(report);
    return true;
}

static void pass_on(struct kl_report *report, const struct kilter_diag *diag)
{
    if (!is_news(report, diag->origin, diag->message))
        return;
    if (diag->severity == KILTER_ERROR)
        report->errors++;
    kilter_diag_copy(report->kept, diag);
}

void kl_report_add(struct kl_report *report, enum kilter_severity severity, const char *code,
                   struct kilter_origin origin, const char *hint, const char *format, ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (n < 0)
        return;
    struct kilter_diag diag = { .severity = severity,
                                .code = kilter_str_c(code),
                                .origin = origin,
                                .message = kilter_str_c(message),
                                .hint = kilter_str_c(hint) };
    pass_on(report, &diag);
}

void kl_report_flush(struct kl_report *report)
{
    for (size_t i = 0; i < kilter_diags_count(report->scratch); i++)
        pass_on(report, kilter_diags_at(report->scratch, i));
    kilter_diags_clear(report->scratch);
}

struct ranked {
    const struct kilter_diag *diag;
    bool later;  /* not in the first file */
    size_t rank; /* as it was kept */
};

static int by_place(const void *a, const void *b)
{
    const struct ranked *left = a, *right = b;
    const struct kilter_origin *x = &left->diag->origin, *y = &right->diag->origin;

    if (left->later != right->later)
        return left->later ? 1 : -1;
    int order = kilter_str_cmp(x->file, y->file);
    if (order == 0)
        order = (x->line > y->line) - (x->line < y->line);
    if (order == 0)
        order = (x->column > y->column) - (x->column < y->column);
    return order ? order : left->rank > right->rank ? 1 : -1;
}

void kl_report_finish(struct kl_report *report, struct kilter_str first, struct kilter_diags *diags)
{
    size_t count = kilter_diags_count(report->kept);
    struct ranked *ranked = kilter_arena_calloc(report->arena, count, sizeof *ranked);

    for (size_t i = 0; i < count; i++) {
        const struct kilter_diag *diag = kilter_diags_at(report->kept, i);
        if (ranked)
            ranked[i] = (struct ranked){ diag, !kilter_str_eq(diag->origin.file, first), i };
        else
            kilter_diag_copy(diags, diag); /* unsorted is better than not at all */
    }
    if (!ranked || count == 0)
        return;
    qsort(ranked, count, sizeof *ranked, by_place);
    for (size_t i = 0; i < count; i++)
        kilter_diag_copy(diags, ranked[i].diag);
}

const char *kl_report_nearest(struct kl_report *report, struct kilter_str word, const struct kilter_str *names,
                              size_t count, const char *plural)
{
    struct kilter_str near = kilter_nearest(word, names, count);
    if (near.ptr)
        return kilter_arena_printf(report->arena, "did you mean \"%.*s\"?", KILTER_STR_ARG(near));
    if (count == 0)
        return kilter_arena_printf(report->arena, "there are no %s", plural);

    struct kilter_buf text = KILTER_BUF_INIT(4096);
    kilter_buf_printf(&text, "the %s are: ", plural);
    for (size_t i = 0; i < count && text.len < 300; i++)
        kilter_buf_printf(&text, "%s%.*s", i ? ", " : "", KILTER_STR_ARG(names[i]));
    if (text.len >= 300)
        kilter_buf_c(&text, ", ...");
    struct kilter_str hint =
        text.failed ? KILTER_STR_NONE : kilter_arena_str(report->arena, kilter_buf_view(&text));
    kilter_buf_release(&text);
    return hint.ptr;
}

const char *kl_report_place(struct kl_report *report, struct kilter_origin origin)
{
    const char *text =
        kilter_arena_printf(report->arena, "%.*s:%u:%u", KILTER_STR_ARG(origin.file), origin.line, origin.column);
    return text ? text : "elsewhere";
}
