#include "cli/run_estimate.h"

#include "base/file.h"
#include "harness/estimate.h"
#include "harness/placement.h"
#include "harness/sweep.h"
#include "harness/tree.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double MiB = 1024.0 * 1024.0;

/* ---- groups */

typedef struct layout {
    int groups, per; /* per: ranks a trial */
    int cpus;        /* of the first host */
    char where[320];
} layout;

static ap_status step_layout(const ap_job *job, int groups, const ap_allocation *a, layout *l, ap_error *error) {
    const ap_job_settings *s = &job->settings;
    ap_plan plan;
    AP_TRY(ap_plan_make(a, (int)s->ranks_per_trial, (int)s->shards, (int)s->threads, groups, &plan, error));
    l->groups = plan.n;
    l->per = plan.place[0].ranks;
    snprintf(l->where, sizeof l->where, "each a world of its own, on %d host%s%s", a->n, a->n == 1 ? "" : "s",
             plan.crowded ? " (more ranks than CPUs)" : "");
    free(plan.place);
    return AP_OK;
}

static ap_status world_layout(const ap_job *job, int ranks, layout *l, ap_error *error) {
    int per = (int)job->settings.ranks_per_trial;
    l->per = per > 0 ? per : ranks;
    if (ranks == 1 && l->per > 1) { /* not started as it will be */
        l->groups = 1;
        snprintf(l->where, sizeof l->where, "with `mpirun -n %d`; -n %d gives two groups, and so on", per, 2 * per);
        return AP_OK;
    }
    if (ranks % l->per)
        return ap_fail(error, AP_ENVIRONMENT,
                       "%d ranks cannot be split into groups of ranks_per_trial = %d: start %d or %d", ranks, l->per,
                       ranks / l->per * l->per, (ranks / l->per + 1) * l->per);
    l->groups = ranks / l->per;
    snprintf(l->where, sizeof l->where, "in one world of %d rank%s", ranks, ranks == 1 ? "" : "s");
    return AP_OK;
}

static ap_status find_layout(const ap_job *job, int ranks, int groups, layout *l, ap_error *error) {
    ap_allocation a;
    AP_TRY(ap_allocation_find(&a, error));
    l->cpus = a.host[0].cpus;
    ap_status status = job->isolation == AP_ISOLATION_STEP ? step_layout(job, groups, &a, l, error)
                                                           : world_layout(job, ranks, l, error);
    ap_allocation_free(&a);
    return status;
}

/* ---- what there is to do */

/* Trials without a verdict; and the sum of their longest times. */
static int left_to_do(const ap_job *job, const ap_trial_list *list, double *sum_s, double *longest_s) {
    unsigned char *finished = calloc((size_t)list->n, 1);
    int left = 0;
    if (finished && ap_verdicts_list(job->settings.results, list->n, finished, NULL))
        memset(finished, 0, (size_t)list->n); /* no tree yet */
    for (int i = 0; i < list->n; i++) {
        if (finished && finished[list->trial[i].index]) continue;
        left++;
        *sum_s += ap_trial_expected_s(&list->trial[i]);
        *longest_s = fmax(*longest_s, ap_trial_expected_s(&list->trial[i]));
    }
    free(finished);
    return left;
}

static void show_work(const ap_job *job, const ap_trial_list *list, const layout *l) {
    double sum_s = 0, longest_s = 0;
    int left = left_to_do(job, list, &sum_s, &longest_s);
    double threads = (double)job->settings.threads, cores = sum_s * l->per * threads / 3600;
    double wall_s = sum_s / l->groups + longest_s * (l->groups - 1) / l->groups;
    printf("%d trial%s, %d without a verdict in %s\n", list->n, list->n == 1 ? "" : "s", left, job->settings.results);
    printf("%d group%s of %d rank%s with %d thread%s each, %s\n", l->groups, l->groups == 1 ? "" : "s", l->per,
           l->per == 1 ? "" : "s", (int)threads, threads == 1 ? "" : "s", l->where);
    printf(
        "by the %s budgets at most %.3g core-hours, %.3g node-hours on nodes of %d CPU%s, %.3g h with these groups\n",
        job->settings.max_runtime_s > 0 ? "job's own"
        : job->budgets                  ? "calibrated"
                                        : "published",
        cores, cores / l->cpus, l->cpus, l->cpus == 1 ? "" : "s", wall_s / 3600);
    if (job->clock == AP_CLOCK_STEPS)
        printf("(clock = \"steps\": a step counts %s seconds, whatever it takes here)\n",
               job->budgets ? "calibrated" : "published");
}

/* ---- what a trial needs */

/* The nearest folder above `results` that is there. */
static ap_status existing_folder(const char *results, char folder[AP_PATH], ap_error *error) {
    AP_TRY(ap_path(folder, error, "%s", results));
    while (!ap_file_exists(folder)) {
        char *slash = strrchr(folder, '/');
        if (!slash) return ap_path(folder, error, ".");
        if (slash == folder) return ap_path(folder, error, "/");
        *slash = '\0';
    }
    return AP_OK;
}

static double step_seconds(const ap_job *job, const ap_job_workload *w, const ap_estimate *e, const layout *l) {
    const ap_scale *scale = &w->problem->scale;
    double budgeted = job->budgets ? scale->max_runtime_s / (double)scale->step_hint : 0;
    return isnan(e->step_s) ? budgeted : fmax(budgeted, e->step_s / l->per);
}

static void show_estimate(const ap_job *job, const ap_job_workload *w, const char *submission, const ap_estimate *e,
                          const layout *l) {
    double step_s = step_seconds(job, w, e, l), write_s = e->checkpoint_s * l->groups;
    printf("\n%s %s, %s: %lld parameters, global batch %lld\n", w->label, w->scale, submission,
           (long long)e->parameters, (long long)e->global_batch);
    printf("  memory a rank   %9.1f MiB: program %.1f, model %.1f, gradients %.1f, optimizer %.1f, ",
           ap_estimate_memory(e) / MiB, e->process_bytes / MiB, e->model_bytes / MiB, e->gradient_bytes / MiB,
           e->optimizer_bytes / MiB);
    if (isnan(e->activation_bytes))
        printf("and activations, not measured at this scale (--measure)\n");
    else
        printf("activations %.1f\n", e->activation_bytes / MiB);
    printf("  a checkpoint    %9.1f MiB: %.2f s to write here\n", e->checkpoint_bytes / MiB, e->checkpoint_s);
    if (step_s > 0) printf("  a step          %9.3f s\n", step_s);
    /* A signal may come just when a checkpoint is begun; then no other is needed. Else: a step, and one checkpoint. */
    printf("  grace needed    %9.0f s after a signal: a step and a checkpoint of %s%s\n",
           ceil(1 + 2 * (step_s + write_s)), l->groups == 1 ? "the group" : "all groups at once, doubled, and a second",
           step_s > 0 ? "" : "; the time of a step is not known and comes on top");
}

ap_status ap_run_estimate(const ap_job *job, int ranks, int groups, bool pass, ap_error *error) {
    ap_trial_list list = {0};
    layout l = {0};
    char folder[AP_PATH];
    AP_TRY(existing_folder(job->settings.results, folder, error));
    AP_TRY(find_layout(job, ranks, groups, &l, error));
    ap_status status = ap_trial_list_make(job, &list, error);
    if (!status) show_work(job, &list, &l);
    double process_bytes = NAN; /* before the first: what later ones find is left over from it */
    for (int w = 0; w < job->workloads; w++)
        for (int s = 0; s < job->submissions && !status; s++) {
            ap_estimate e;
            const ap_job_workload *workload = &job->workload[w];
            bool small = !strcmp(workload->problem->scale.name, "mini");
            status = ap_estimate_make(job, w, s, l.per, pass || small, folder, &e, error);
            if (isnan(process_bytes)) process_bytes = e.process_bytes;
            e.process_bytes = process_bytes;
            if (!status)
                show_estimate(job, workload, job->submission[s].loaded->name, &e, &l);
            else
                ap_context(error, "%s %s", workload->label, job->submission[s].loaded->name);
        }
    ap_trial_list_free(&list);
    return status;
}
