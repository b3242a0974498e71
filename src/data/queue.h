/* Input queue: the training batches of this rank's shards, in a keyed order, read and collated ahead by a thread.
 *
 * ORDER. Training set of N examples, global batch B <= N: an epoch has floor(N/B) batches; batch t is batch b = t mod
 * floor(N/B) of epoch e = t / floor(N/B), and its examples are perm_e(b B), ..., perm_e(b B + B - 1), perm_e =
 * ap_random_permute of stream (seed, AP_RANDOM_SHUFFLE, e, 0) over [0, N). Shard s has examples [floor(s B / S),
 * floor((s+1) B / S)) of the batch. So the batch is a function of (seed, t), never of ranks or calls; resume is: start
 * at t. With a budget the batches are dynamic instead (dynamic_batch.h): shares of floor(B / S) examples at most. */
#ifndef AP_DATA_QUEUE_H
#define AP_DATA_QUEUE_H

#include "data/batch.h"
#include "data/dynamic_batch.h"

typedef struct ap_queue ap_queue;
typedef struct ap_queue_options {
    const ap_dataset *dataset; /* borrowed */
    int64_t examples;          /* N: the first so many of the training split; 0 = all of it */
    ap_collate *collate;
    const void *model;             /* handed to collate; borrowed */
    const ap_batch_budget *budget; /* NULL: none; borrowed */
    uint64_t seed;
    int64_t global_batch;
    int shards, first_shard, local_shards;
    int64_t first_batch; /* t to start at */
    int ahead;           /* batches prefetched, >= 1; default 2 if 0 */
} ap_queue_options;

/* Starts the thread. AP_CONFIG if global_batch is not in [shards, N] . Not collective. */
ap_status ap_queue_create(const ap_queue_options *options, ap_queue **queue, ap_error *error);
void ap_queue_destroy(ap_queue *queue); /* ends the thread; NULL is fine */
/* The next global batch's local shards: *batches [local_shards], valid until the next call. *number = t. Allocates
 * nothing in the steady state. */
ap_status ap_queue_next(ap_queue *queue, const ap_batch **batches, int64_t *number, ap_error *error);
/* Seconds this rank has waited for data since creation. */
double ap_queue_waited_s(const ap_queue *queue);

/* Position of training example i of global batch t (without a budget), for tests: index into the training split. */
int64_t ap_queue_index(uint64_t seed, int64_t examples, int64_t global_batch, int64_t t, int64_t i);

#endif
