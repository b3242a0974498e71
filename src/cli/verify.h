/* `algoperf verify`: golden numbers of the published implementation against ours. Both functions print a table on
 * stdout and return AP_OK (PASS), AP_NUMERIC (FAIL, out of tolerance) or AP_DATA (the file is damaged or alien). Not
 * collective. */
#ifndef AP_CLI_VERIFY_H
#define AP_CLI_VERIFY_H

#include "workload/workload.h"

/* Loads parameters, state and inputs of a model fixture of `workload` (variant "": what the file says), runs a training
 * pass, its backward and an evaluation pass on one shard, and compares logits, losses, every gradient, updated state,
 * evaluation logits and sums. Layout of the file and tolerances: tests/fixtures/README.md. */
ap_status ap_verify_fixture(const ap_workload *workload, const char *variant, const char *path, ap_math math,
                            ap_error *error);

/* Runs every built-in training algorithm that has a recorded trajectory in `path` (layout of
 * tests/fixtures/optimizers.h5) and the learning-rate schedules there; lists what the file has beyond this program.
 * AP_DATA also when it has nothing of this program. */
ap_status ap_verify_optimizers(const char *path, ap_error *error);

#endif
