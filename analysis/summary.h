/* The per-trial summary (leaderboard rules 7) and the seconds a step takes. Pure functions over memory; not
 * collective. */
#ifndef AP_ANALYSIS_SUMMARY_H
#define AP_ANALYSIS_SUMMARY_H

#include "analysis/leaderboard.h"

typedef struct ap_trial_summary {
    bool reached;         /* any evaluation reached the validation target */
    double best;          /* smallest or largest validation value; NaN cells are skipped unless the first is one */
    double best_time_s;   /* accumulated_submission_time of its first row; of the first NaN row if there is one, as the
                             official program has it */
    double target_time_s; /* of the first row that reached the target; INFINITY if none */
} ap_trial_summary;

ap_trial_summary ap_trial_summarise(const ap_trial *trial, const ap_target *target);

/* [submissions x targets] median over all evaluations of all trials and studies of (time difference) / (step
 * difference) to the evaluation before, the first one's to 0; NaN if there are none. The caller frees. */
ap_status ap_step_seconds(const ap_trials *trials, const ap_targets *targets, double **step_s, ap_error *error);

/* By how many times a submission's seconds a step differ from the median of the others on that workload, as a factor
 * that is at least 1; 1 if there are no others. From AP_OTHER_UNITS on, steps are not counted in the same unit (some
 * submissions count in units of their own) or the batches differ that much: step scores then say nothing. */
enum { AP_OTHER_UNITS = 10 };
double ap_step_ratio(const ap_leaderboard *board, size_t submission, size_t workload);
/* Is it so on any scored workload? */
bool ap_counts_other_steps(const ap_leaderboard *board, size_t submission);

#endif
