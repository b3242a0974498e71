/* What a job will need, before it runs: for `algoperf run --dry-run`. */
#ifndef AP_HARNESS_ESTIMATE_H
#define AP_HARNESS_ESTIMATE_H

#include "harness/job.h"

/* Of the trials of one submission on one workload. */
typedef struct ap_estimate {
    int64_t global_batch, parameters;
    double model_bytes, optimizer_bytes; /* parameters and state; optimizer state */
    double gradient_bytes;               /* a rank's arrays for the sum over its shards */
    double activation_bytes, step_s;     /* of one shard; of one rank that has all shards. NaN: not measured */
    double process_bytes;                /* program, libraries and data before any trial */
    double checkpoint_bytes;             /* with the record of a whole trial */
    double checkpoint_s;                 /* writing it here, measured: the slower of two */
} ap_estimate;

/* Memory per rank of what is known. */
double ap_estimate_memory(const ap_estimate *estimate);

/* Sets a trial up in this process as a group of its own and throws it away. `ranks` a trial will have. pass: also a few
 * training steps' forward and backward passes, which at full scale can take minutes. Checkpoints are written to a
 * folder made in `folder` and removed. Main thread only; not collective (uses MPI_COMM_SELF). */
ap_status ap_estimate_make(const ap_job *job, int workload, int submission, int ranks, bool pass, const char *folder,
                           ap_estimate *estimate, ap_error *error);

#endif
