/* One trial's result, as `algoperf run` writes it (design decision 5): a sealed HDF5 file, or its copy in a collection.
 * Not collective; main thread only (libhdf5). */
#ifndef AP_ANALYSIS_READ_RESULT_H
#define AP_ANALYSIS_READ_RESULT_H

#include "analysis/trials.h"
#include "base/h5.h"

/* Adds the trial to `trials`. Results of different scales or data sets are different workloads: the workload's name is
 * its identity, e.g. "mnist mini (fashion-mnist)". Without a table (targets->name is NULL) a workload that is new is
 * added to `targets` with the target its result names, and every later result must name the same. With a table the
 * identity is looked up in it, and then, for scale "full", the plain name; what is not there is noted and left out.
 *
 * `at` (borrowed): the place of the result (ap_tree_open_result), whose digest holds; `path` names it in messages.
 * AP_DATA if it is not what a result is. */
ap_status ap_read_result(hid_t at, const char *path, const ap_place *place, ap_targets *targets, ap_trials *trials,
                         ap_error *error);

#endif
