/* The official log folders: one trial's eval_measurements.csv (leaderboard rules 2). Not collective. */
#ifndef AP_ANALYSIS_READ_LOGS_H
#define AP_ANALYSIS_READ_LOGS_H

#include "analysis/trials.h"

/* Adds the trial to `trials`. A workload that is not in the table of targets is noted and left out, a file of 0 bytes
 * is noted and is no trial. AP_USAGE without a table: these logs do not say what their targets are. */
ap_status ap_read_log(const char *path, const ap_place *place, const ap_targets *targets, ap_trials *trials,
                      ap_error *error);

#endif
