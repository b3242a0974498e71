/* The sweep: all trials of a job, claimed one after another by the groups of this world (design decision 6). */
#ifndef AP_HARNESS_SWEEP_H
#define AP_HARNESS_SWEEP_H

#include "harness/trial.h"

typedef struct ap_sweep_options {
    const ap_job *job;
    bool reclaim; /* take claims whose owner cannot be known to be gone */
} ap_sweep_options;

typedef struct ap_sweep_summary {
    int trials, verdicts[AP_VERDICTS]; /* of the whole tree; verdicts[AP_VERDICT_RUNNING] = not finished */
    int studies, studies_reached; /* (submission, workload, study) with a trial that reached its validation target */
    bool interrupted;
} ap_sweep_summary;

/* Runs what is left of the sweep. Returns AP_OK, AP_TARGET_NOT_REACHED, the class of the first failed trial in tree
 * order, AP_INTERRUPTED, or an infrastructure failure with its text. Collective over `world`. *broken: a rank is stuck,
 * MPI cannot be used any more and the caller must abort. */
ap_status ap_sweep_run(MPI_Comm world, const ap_sweep_options *options, ap_sweep_summary *summary, bool *broken,
                       ap_error *error);

/* Folder of a trial: RESULTS/SUBMISSION/study_<n>/WORKLOAD/trial_<n + 1>. */
ap_status ap_trial_directory(const ap_job *job, int submission, int study, int workload, int trial, char path[AP_PATH],
                             ap_error *error);

#endif
