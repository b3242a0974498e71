/* Reads the trials of a place of results (tree.h) into the model: read_result.h reads ours, read_logs.h official logs.
 * Not collective; main thread only. */
#ifndef AP_ANALYSIS_READ_TREE_H
#define AP_ANALYSIS_READ_TREE_H

#include "analysis/trials.h"

/* Adds all trials of `root`, a folder of results or a collection, to `trials` (and, without a table, their workloads to
 * `targets`). A damaged result is an error that names the file: a score that silently leaves out trials would be
 * another score. AP_DATA too if there is no trial at all. The caller sorts (ap_trials_sort) after the last root. */
ap_status ap_read_tree(const char *root, ap_targets *targets, ap_trials *trials, ap_error *error);

#endif
