/* algoperf list: workloads with scales, targets, variants and options; submissions with their search spaces; and where
 * each comes from. */
#include "cli/cli.h"

#include "algorithms/algorithms.h"
#include "workload/workload.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void print_target(const ap_scale *scale, const char *dataset, const char *variant, double validation,
                         double test) {
    char data[64];
    snprintf(data, sizeof data, "%s%s%s", dataset, *variant ? ", " : "", variant);
    printf("  %-6s %-16s target %-8.6g", scale->name, data, validation);
    if (isnan(test))
        printf(" (no test split)");
    else
        printf(" test %-8.6g", test);
    printf(" budget %g s, evaluation every %g s, step hint %lld, batch %lld\n", scale->max_runtime_s,
           scale->eval_period_s, (long long)scale->step_hint, (long long)scale->batch_size);
}

/* And the variants that have a target of their own. */
static void show_target(void *user, const ap_scale *scale, const char *dataset, double validation, double test) {
    const ap_workload *w = user;
    print_target(scale, dataset, "", validation, test);
    for (const char *const *v = w->variants; v && *v; v++) {
        ap_problem *p;
        if (ap_problem_open(w, scale->name, *v, dataset, NULL, &p, NULL)) continue;
        if (p->validation_target != validation)
            print_target(&p->scale, dataset, *v, p->validation_target, p->test_target);
        ap_problem_close(p);
    }
}

static ap_status show_workload(const ap_workload *w, bool options, ap_error *error) {
    printf("%s: %s\n  from %s\n", w->name, w->summary, w->source);
    AP_TRY(ap_workload_each_target(w, show_target, (void *)w, error));
    printf("  variants:");
    if (!w->variants) printf(" none");
    for (const char *const *v = w->variants; v && *v; v++) printf(" %s", *v);
    printf("\n  metrics:");
    for (int m = 0; m < w->metric_count; m++)
        printf(" %s%s", w->metric_names[m], m == w->target_metric ? " (target)" : "");
    printf("\n");
    if (w->prepare_help) printf("  prepare: %s\n", w->prepare_help);
    if (w->vocabulary_help) printf("  --vocabulary: %s\n", w->vocabulary_help);
    if (options && w->option_count) {
        printf("  options = { ... } in a job file:\n");
        ap_options_help(w->options, w->option_count, stdout);
    }
    return AP_OK;
}

static void show_submission(const ap_submission *s) {
    printf("  %-29s %s\n  %-29s from %s; external tuning: %s; self-tuning: %s\n", s->name, s->summary, "", s->source,
           s->search_space ? "own search space" : "name a search space",
           s->self_tuning_point ? "own point" : "name a point");
}

static int list(int argc, char **argv) {
    char **rest;
    int count;
    bool helped;
    ap_error error;
    const ap_flag flags[] = {{0}};
    if (ap_cli_parse(&ap_command_list, argc, argv, flags, &rest, &count, &helped, &error)) return ap_cli_report(&error);
    if (helped) return AP_OK;
    if (count > 1) {
        ap_fail(&error, AP_USAGE, "algoperf list: one workload at most, not also \"%s\"", rest[1]);
        return ap_cli_report(&error);
    }
    if (count) { /* one workload, with its options */
        const ap_workload *w;
        if (ap_workload_find(rest[0], &w, &error) || show_workload(w, true, &error)) return ap_cli_report(&error);
        return AP_OK;
    }
    printf("Workloads (`algoperf list NAME` shows the options):\n\n");
    for (const ap_workload *const *w = ap_workload_table(); *w; w++) {
        if (show_workload(*w, false, &error)) return ap_cli_report(&error);
        printf("\n");
    }
    printf("Submissions (a shared object of your own: submission = \"./mine.so\"):\n\n");
    for (const ap_submission *const *s = ap_algorithms(); *s; s++) show_submission(*s);
    printf("\nNot here, of all submissions to the benchmark: sinv6 and sinv6_75, a learned optimizer. Its rule is a "
           "network\n"
           "whose pretrained weights are not part of the published code.\n");
    return AP_OK;
}

const ap_command ap_command_list = {"list", "[WORKLOAD]", "show workloads, scales, variants and submissions", list,
                                    false};
