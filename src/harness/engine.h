/* The engine: a workload's passes over the shards of a group. Owns parameters, model state, gradients and the input
 * queue of one trial.
 *
 * "Collective" = all ranks of the group, same order. A failure on one rank (unreadable example, out of memory) is
 * carried to the next collective call and returned there by all ranks alike. */
#ifndef AP_HARNESS_ENGINE_H
#define AP_HARNESS_ENGINE_H

#include "parallel/reducer.h"
#include "parallel/row_reducer.h"
#include "submission/submission.h"
#include "workload/workload.h"

typedef struct ap_engine ap_engine;
typedef struct ap_engine_options {
    ap_group *group; /* borrowed, like all of these */
    const ap_problem *problem;
    const ap_dataset *dataset;
    ap_math math;
    uint64_t seed; /* of the trial */
    int64_t global_batch;
    bool (*interrupted)(void); /* asked between the batches of an evaluation; NULL: never */
} ap_engine_options;

/* Declares and initialises parameters and state. Collective. AP_CONFIG if the batch does not fit shards and data. */
ap_status ap_engine_create(const ap_engine_options *options, ap_engine **engine, ap_error *error);
void ap_engine_destroy(ap_engine *engine); /* NULL is fine; not collective */

ap_params *ap_engine_params(ap_engine *engine);
ap_params *ap_engine_state(ap_engine *engine);
bool ap_engine_has_gradient(const ap_engine *engine); /* false before the first loss_and_gradient */
/* Of a table: made at full size at every first call after a loss_and_gradient, in memory that is taken once and logged.
 * NULL: there is none, or no memory. */
float *ap_engine_gradient(ap_engine *engine, int param);
/* The rows of a table's gradient; NULL: not a table, or ap_engine_gradient has been asked for it since the last
 * loss_and_gradient, and then that is the gradient. */
ap_rows *ap_engine_gradient_rows(ap_engine *engine, int param);
int64_t ap_engine_examples(const ap_engine *engine,
                           int split); /* record's splits: 0 train (the evaluated subset), 1 validation, 2 test */

int64_t ap_engine_train_examples(const ap_engine *engine); /* the training set's size at this scale */

/* Starts the input queue at global batch t. Once. Not collective. */
ap_status ap_engine_start(ap_engine *engine, int64_t first_batch, ap_error *error);
/* Passes forward and backward over the first batches, results thrown away: after them the timed step allocates nothing.
 * Before ap_engine_start. Collective. */
ap_status ap_engine_warm_up(ap_engine *engine, ap_error *error);

/* The next batch becomes the current one. Never fails by itself: see "carried" above. Not collective. */
void ap_engine_next_batch(ap_engine *engine);
int64_t ap_engine_batches_drawn(const ap_engine *engine);

/* Loss (summed / n_valid over the global batch) and its gradient at the current parameters, for the current batch.
 * step, call: which random numbers (dropout). Collective. */
ap_status ap_engine_loss_and_gradient(ap_engine *engine, int64_t step, int call, const ap_loss_request *request,
                                      double *loss, ap_error *error);

/* Metrics of the three splits in the workload's order; NaN for a split that is not there. Bits do not depend on the
 * number of ranks. AP_INTERRUPTED on all ranks if `interrupted` says so on one: nothing has changed, it can be done
 * again. Collective. */
ap_status ap_engine_evaluate(ap_engine *engine, double metrics[AP_SPLITS][AP_MAX_METRICS], ap_error *error);

/* Where this rank's time went since creation, warm-up included: for `bench` and `calibrate`. Not collective. */
typedef struct ap_engine_statistics {
    double data_wait_s, passes_s; /* passes: forward and backward of the local shards, progress of the sum included */
    double forward_s;             /* part of passes_s: forward passes and losses */
    double sums_s;                /* sums over shards of loss and counts: where the ranks meet after their passes */
    ap_reducer_statistics reduction; /* without tables */
    ap_row_reducer_statistics tables;
} ap_engine_statistics;
ap_engine_statistics ap_engine_get_statistics(const ap_engine *engine);
/* The most that the tape has held for one shard so far. */
size_t ap_engine_activation_bytes(const ap_engine *engine);

#endif
