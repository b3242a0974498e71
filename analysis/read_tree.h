/* Finds the trials of a folder of results. Both layouts are the same tree (design decision 5, leaderboard rules 2):
 *
 *     RESULTS/SUBMISSION/STUDY/WORKLOAD/trial_M/result.h5               ours: read_result.h
 *     RESULTS/SUBMISSION/STUDY/WORKLOAD_FRAMEWORK/trial_M/eval_measurements.csv   official: read_logs.h
 *
 * Every folder at a level counts, whatever its name, except that a trial's must begin with "trial_" and a digit; what
 * is no folder is passed over, and so are names that begin with a dot. A trial folder with neither file (a run that
 * crashed before its first evaluation) is no trial. Not collective; main thread only. */
#ifndef AP_ANALYSIS_READ_TREE_H
#define AP_ANALYSIS_READ_TREE_H

#include "analysis/trials.h"

/* Adds all trials below `root` to `trials` (and, without a table, their workloads to `targets`). A damaged result is
 * an error that names the file: a score that silently leaves out trials would be another score. AP_DATA too if there is
 * no trial at all. The caller sorts (ap_trials_sort) after the last root. */
ap_status ap_read_tree(const char *root, ap_targets *targets, ap_trials *trials, ap_error *error);

#endif
