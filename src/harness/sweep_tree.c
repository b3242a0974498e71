/* The sweep's view of its result tree: the list of trials, entering, counting. */
#include "harness/sweep.h"

#include "base/log.h"
#include "harness/claim.h"
#include "harness/tree.h"

#include <stdlib.h>
#include <string.h>

/* ---- the list of trials */

ap_status ap_trial_directory(const ap_job *job, int submission, int study, int workload, int trial, char path[AP_PATH],
                             ap_error *error) {
    return ap_path(path, error, "%s/%s/study_%d/%s/trial_%d", job->settings.results,
                   job->submission[submission].loaded->name, study, job->workload[workload].label, trial + 1);
}

/* Longest expected first; among equals the order of the job file, study by study. */
static int longest_first(const void *a, const void *b) {
    const ap_trial_spec *x = a, *y = b;
    double difference = ap_trial_expected_s(y) - ap_trial_expected_s(x);
    if (difference != 0) return difference > 0 ? 1 : -1;
    return x->index - y->index;
}

ap_status ap_trial_list_make(const ap_job *job, ap_trial_list *list, ap_error *error) {
    int64_t n = 0;
    for (int i = 0; i < job->submissions; i++) n += job->settings.studies * job->workloads * ap_job_trials(job, i);
    *list = (ap_trial_list){.trial = calloc((size_t)n, sizeof *list->trial)};
    if (!list->trial) return ap_fail(error, AP_ENVIRONMENT, "out of memory for %lld trials", (long long)n);
    for (int study = 0; study < job->settings.studies; study++)
        for (int w = 0; w < job->workloads; w++)
            for (int i = 0; i < job->submissions; i++)
                for (int k = 0; k < ap_job_trials(job, i); k++) {
                    ap_trial_spec *t = &list->trial[list->n];
                    *t = (ap_trial_spec){
                        .job = job, .submission = i, .study = study, .workload = w, .trial = k, .index = list->n++};
                    AP_TRY(ap_trial_directory(job, i, study, w, k, t->directory, error));
                }
    qsort(list->trial, (size_t)list->n, sizeof *list->trial, longest_first);
    return AP_OK;
}

void ap_trial_list_free(ap_trial_list *list) {
    free(list->trial);
    *list = (ap_trial_list){0};
}

/* ---- one tree, one job */

static ap_status same_job(const ap_job *job, const char *path, ap_error *error) {
    char *there = NULL;
    size_t n = 0;
    AP_TRY(ap_read_file(path, 1 << 24, &there, &n, error));
    ap_status status = AP_OK;
    if (strcmp(there, job->description)) {
        const char *a = there, *b = job->description, *line_a = a, *line_b = b;
        for (; *a && *a == *b; a++, b++)
            if (*a == '\n') line_a = a + 1, line_b = b + 1;
        status = ap_fail(error, AP_CONFIG,
                         "%s belongs to another job: it has \"%.*s\" where this one has \"%.*s\" (see %s); choose "
                         "another `results` folder",
                         job->settings.results, (int)strcspn(line_a, "\n"), line_a, (int)strcspn(line_b, "\n"), line_b,
                         path);
    }
    free(there);
    return status;
}

/* For readers that have no job file. */
static ap_status write_list(const ap_job *job, const ap_trial_list *list, ap_error *error) {
    size_t root = strlen(job->settings.results) + 1;
    ap_tree_list out = {
        .n = list->n, .identity = (char *)(uintptr_t)job->identity, .job_file = (char *)(uintptr_t)job->path};
    out.trial = calloc((size_t)list->n, sizeof *out.trial);
    if (!out.trial) return ap_fail(error, AP_ENVIRONMENT, "out of memory for the list of trials");
    for (int i = 0; i < list->n; i++) {
        const ap_trial_spec *t = &list->trial[i];
        out.trial[t->index] = (ap_tree_trial){.path = (char *)(uintptr_t)t->directory + root,
                                              .submission = job->submission[t->submission].loaded->name,
                                              .workload = (char *)(uintptr_t)job->workload[t->workload].label,
                                              .study = t->study,
                                              .trial = t->trial,
                                              .expected_s = ap_trial_expected_s(t)};
    }
    ap_status status = ap_tree_write_list(job->settings.results, &out, error);
    free(out.trial);
    return status;
}

ap_status ap_sweep_enter(const ap_job *job, const ap_trial_list *list, ap_error *error) {
    char path[AP_PATH];
    bool created = false;
    AP_TRY(ap_path(path, error, "%s/job.txt", job->settings.results));
    if (!ap_file_exists(path)) {
        AP_TRY(ap_make_directories(job->settings.results, error));
        AP_TRY(ap_create_exclusive(path, job->description, strlen(job->description), &created, error));
    }
    if (!created) AP_TRY(same_job(job, path, error));
    AP_TRY(ap_tree_prepare(job->settings.results, error));
    return write_list(job, list, error);
}

ap_status ap_sweep_check_verdicts(const ap_job *job, const ap_trial_list *list, ap_error *error) {
    unsigned char *finished = malloc((size_t)list->n);
    if (!finished) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    ap_status status = ap_verdicts_list(job->settings.results, list->n, finished, error);
    for (int i = 0; !status && i < list->n; i++) {
        const ap_trial_spec *t = &list->trial[i];
        if (finished[t->index]) status = ap_verdict_check(job->settings.results, t->index, t->directory, error);
    }
    free(finished);
    return status;
}

/* ---- the tree as it is now */

/* Trials that others have: they may be at work, or gone without that this host could know. */
static int say_claimed(const ap_job *job, const ap_trial_list *list, const char *world) {
    const ap_claimant by = {.results = job->settings.results, .world = world, .asks = true};
    char first[256] = "";
    int claimed = 0;
    const char *where = "";
    ap_claim_info info;
    unsigned char *held = calloc((size_t)list->n, 1);
    if (!held || ap_claims_list(by.results, list->n, held, NULL)) {
        free(held);
        return 0;
    }
    for (int i = 0; i < list->n; i++) {
        const ap_trial_spec *t = &list->trial[i];
        if (!held[t->index] || !ap_claim_look(&by, t->index, &info) || claimed++) continue;
        ap_claim_owner_text(&info, first);
        where = t->directory;
    }
    free(held);
    if (claimed)
        ap_log(AP_GLOBAL, AP_LOG_WARNING,
               "%d trial%s claimed by other processes, the first (%s) by %s; run again with --wait to take over what "
               "they may leave, or with --reclaim if you know that they are gone",
               claimed, claimed == 1 ? " is" : "s are", where, first);
    return claimed;
}

/* The first failure's class, with its text. */
static ap_status failure_of(const ap_trial_spec *t, const ap_result_summary *r, ap_error *error) {
    if (r->verdict != AP_VERDICT_DIVERGED && r->verdict != AP_VERDICT_FAILED && r->verdict != AP_VERDICT_CRASHED &&
        r->verdict != AP_VERDICT_RULE_VIOLATION)
        return AP_OK;
    ap_status status = r->verdict == AP_VERDICT_DIVERGED  ? AP_NUMERIC
                       : r->verdict == AP_VERDICT_CRASHED ? AP_ENVIRONMENT
                                                          : (r->status ? r->status : AP_SUBMISSION);
    return ap_fail(error, status, "%s: %s: %s", t->directory, ap_verdict_names[r->verdict], r->reason);
}

/* Every trial has its verdict. What is still claimed lost its owner between the verdict and the end, or ends just now;
 * killed processes may have left temp files. */
static void tidy(const ap_job *job, const ap_trial_list *list, const char *world) {
    const char *results = job->settings.results;
    const ap_claimant by = {.results = results, .world = world, .asks = true};
    unsigned char *held = calloc((size_t)list->n, 1);
    if (held && !ap_claims_list(results, list->n, held, NULL))
        for (int i = 0; i < list->n; i++) {
            const ap_trial_spec *t = &list->trial[i];
            ap_claim claim;
            if (!held[t->index] || ap_claim_take(&by, t->index, -1, &claim, NULL) || !claim.taken) continue;
            ap_trial_tidy(t->directory);
            ap_claim_release(results, t->index);
        }
    free(held);
    ap_claims_tidy(&by);
    ap_tree_tidy(results);
}

ap_status ap_sweep_count(const ap_job *job, const ap_trial_list *list, const char *world, ap_sweep_summary *summary,
                         ap_error *error) {
    ap_status first_failure = AP_OK;
    int cells = job->submissions * job->workloads * (int)job->settings.studies;
    bool *reached = calloc((size_t)cells + 1, sizeof *reached);
    if (!reached) return ap_fail(error, AP_ENVIRONMENT, "out of memory");
    summary->trials = list->n;
    summary->studies = cells;
    for (int i = 0; i < list->n; i++) {
        const ap_trial_spec *t = &list->trial[i];
        ap_result_summary r;
        ap_error e;
        ap_status read = ap_verdict_read(job->settings.results, t->index, t->directory, &r, &e);
        if (read == AP_DATA) r = (ap_result_summary){.verdict = AP_VERDICT_RUNNING}; /* it will run again */
        if (read && read != AP_DATA) {
            free(reached);
            return ap_fail(error, read, "%s", e.text);
        }
        summary->verdicts[r.evaluations < 0 ? AP_VERDICT_RUNNING : r.verdict]++;
        if (!first_failure) first_failure = failure_of(t, &r, error);
        bool *cell = &reached[(t->submission * job->workloads + t->workload) * (int)job->settings.studies + t->study];
        if (r.target_reached && !*cell) *cell = true, summary->studies_reached++;
    }
    free(reached);
    int unfinished = summary->verdicts[AP_VERDICT_RUNNING];
    if (unfinished) say_claimed(job, list, world);
    if (!unfinished) tidy(job, list, world);
    if (first_failure) return first_failure;
    if (unfinished == 0 && summary->studies_reached < cells)
        return ap_fail(error, AP_TARGET_NOT_REACHED, "%d of %d studies ended without a trial that reached its target",
                       cells - summary->studies_reached, cells);
    return AP_OK;
}
