/* One trial: the training loop under the benchmark's clock (design decisions 4 and 5). */
#ifndef AP_HARNESS_TRIAL_H
#define AP_HARNESS_TRIAL_H

#include "base/file.h"
#include "harness/job.h"
#include "harness/record.h"
#include "parallel/group.h"

typedef struct ap_trial_spec {
    const ap_job *job;
    int submission, study, workload, trial; /* indices from 0 */
    int index;                              /* in the tree's list of trials, the same for all jobs on it */
    char directory[AP_PATH];                /* RESULTS/SUBMISSION/study_<n>/WORKLOAD/trial_<n+1>; exists */
} ap_trial_spec;

typedef struct ap_trial_outcome {
    bool interrupted; /* a signal came; a checkpoint is written and there is no verdict yet */
    ap_verdict verdict;
    ap_status status; /* class of a failure; AP_OK for verdicts that are not failures */
    char reason[512];
    int64_t steps, evaluations;
    double submission_time_s, best; /* best validation value of the target metric; NaN: none */
    bool reached;
    ap_buckets buckets; /* this rank's */
    double agreement_s; /* part of the harness bucket: telling each other how the step went, waiting for the slowest
                           rank */
    double data_wait_s, reduction_wait_s; /* parts of the submission bucket; this rank's, this start's */
} ap_trial_outcome;

/* Runs, or goes on with, a trial to its verdict. Collective over the group. Failures that belong to the trial
 * (submission, data, divergence) are recorded, and AP_OK is returned with the verdict; failures of the place it runs at
 * (disk, memory, launch, a stuck rank) are returned, and the trial stays resumable. */
ap_status ap_trial_run(ap_group *group, const ap_trial_spec *spec, ap_trial_outcome *outcome, ap_error *error);

/* Gives a verdict to a trial that is not run: AP_VERDICT_CRASHED or _CANCELLED. Keeps the rows of its last checkpoint.
 * Rank 0 of the group only. */
ap_status ap_trial_close(const ap_trial_spec *spec, ap_verdict verdict, const char *reason, ap_error *error);

/* The longest it may train by the job's budgets, s: the budget, or the step cap at the published seconds a step. */
double ap_trial_expected_s(const ap_trial_spec *spec);
/* Removes what a trial with a verdict does not need any more, its checkpoints and all temp files; says which
 * checkpoints cannot be removed. Only for the holder of the trial's claim. */
void ap_trial_tidy(const char *directory);

#endif
