/* algoperf run JOB.cfg --dry-run: what would be run, and what it needs. */
#ifndef AP_CLI_RUN_ESTIMATE_H
#define AP_CLI_RUN_ESTIMATE_H

#include "harness/job.h"

/* ranks: of this world (isolation = "world"); groups: asked for by --groups (isolation = "step"), 0 = not. pass: also
 * through full-scale models. Prints; writes nothing that stays. One process. */
ap_status ap_run_estimate(const ap_job *job, int ranks, int groups, bool pass, ap_error *error);

#endif
