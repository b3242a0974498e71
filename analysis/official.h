/* The official log layout, written from our results, so that the benchmark's own scoring program can read them
 * (leaderboard rules 2; mlcommons/algorithmic-efficiency, logger_utils.py):
 *
 *     DIR/SUBMISSION/STUDY/WORKLOAD_FRAMEWORK/trial_M/eval_measurements.csv   every evaluation, columns in name order
 *                                                     hparams.json            one flat object
 *                                                     meta_data_0.json        workload, machine, provenance
 *                                                     flags_0.json            what was asked for
 *
 * WORKLOAD is the published name of the workload or variant at scale "full", and NAME_SCALE otherwise, so that a small
 * scale is never taken for the published workload. Cells are the shortest decimal text that reads back as the same
 * double; NaN is empty. The parameter digests have no official column and are left out, and so are the losses of the
 * steps. Not collective; main thread only. */
#ifndef AP_ANALYSIS_OFFICIAL_H
#define AP_ANALYSIS_OFFICIAL_H

#include "analysis/result.h"

/* One trial's folder, which is made; its files must not be there (AP_USAGE), each appears whole or not at all. */
ap_status ap_official_write_trial(const char *folder, const char *framework, const ap_result *result, ap_error *error);

/* All trials of the places `roots` (NULL-terminated). `framework`: "jax" or "pytorch"; the official reader wants one of
 * the two suffixes. *trials = how many. */
ap_status ap_official_write(const char *const *roots, const char *directory, const char *framework, size_t *trials,
                            ap_error *error);

#endif
