/* The sweep: all trials of a job, claimed one after another by the groups of this world (design decision 6). */
#ifndef AP_HARNESS_SWEEP_H
#define AP_HARNESS_SWEEP_H

#include "harness/interrupt.h"
#include "harness/trial.h"

typedef struct ap_sweep_options {
    const ap_job *job;
    bool reclaim;      /* take claims whose owner cannot be known to be gone */
    bool wait;         /* when all is done or held by others: wait for what they may leave behind */
    const char *world; /* name given by the launcher that watches this world; NULL: none does */
    int group;         /* with a launcher: the number of this world among its groups: where it begins to look */
} ap_sweep_options;

typedef struct ap_sweep_summary {
    int trials, verdicts[AP_VERDICTS]; /* of the whole tree; verdicts[AP_VERDICT_RUNNING] = not finished */
    int studies, studies_reached; /* (submission, workload, study) with a trial that reached its validation target */
    bool interrupted;
} ap_sweep_summary;

/* Runs what is left of the sweep. With a launcher: AP_OK when nothing is left, and no summary. Returns AP_OK,
 * AP_TARGET_NOT_REACHED, the class of the first failed trial in tree order, AP_INTERRUPTED, or an infrastructure
 * failure with its text. Collective over `world`. *broken: a rank is stuck, MPI cannot be used any more and the caller
 * must abort. */
ap_status ap_sweep_run(MPI_Comm world, const ap_sweep_options *options, ap_sweep_summary *summary, bool *broken,
                       ap_error *error);

/* ---- parts, for who runs a sweep in another way (launch.h) and for tests */
typedef struct ap_trial_list {
    int n;
    ap_trial_spec *trial; /* longest expected first; .index is the number in the tree */
} ap_trial_list;
ap_status ap_trial_list_make(const ap_job *job, ap_trial_list *list, ap_error *error);
void ap_trial_list_free(ap_trial_list *list);

/* Makes the tree or joins it; AP_CONFIG if it is another job's. Not collective. */
ap_status ap_sweep_enter(const ap_job *job, const ap_trial_list *list, ap_error *error);
/* Looks at the whole index again (a stat for each verdict): trials whose result is gone or changed shall run again. */
ap_status ap_sweep_check_verdicts(const ap_job *job, const ap_trial_list *list, ap_error *error);
/* The tree as it is now; the status that a run ends with, with its text. Not collective. */
ap_status ap_sweep_count(const ap_job *job, const ap_trial_list *list, const char *world, ap_sweep_summary *summary,
                         ap_error *error);

/* Folder of a trial: RESULTS/SUBMISSION/study_<n>/WORKLOAD/trial_<n + 1>. */
ap_status ap_trial_directory(const ap_job *job, int submission, int study, int workload, int trial, char path[AP_PATH],
                             ap_error *error);

#endif
