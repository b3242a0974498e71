/* Dynamic batching: shards that are filled by the size of their examples (graphs), not by their number alone.
 *
 * RULE. The training examples form one endless stream, epoch after epoch, each in the order of queue.h's permutation,
 * without gaps. It is cut in order: a shard takes examples until the next one would be more than `share` examples, or
 * bring an amount (nodes, edges) above share * per_example. S shards, one after the other, are a global batch. So the
 * batch is a function of (seed, number), as in queue.h; its number of examples varies. Source: jraph.dynamically_batch,
 * as AlgoPerf's ogbg uses it (workloads/README, "ogbg": batching). */
#ifndef AP_DATA_DYNAMIC_BATCH_H
#define AP_DATA_DYNAMIC_BATCH_H

#include "data/dataset.h"

enum { AP_MAX_AMOUNTS = 4 };
typedef struct ap_batch_budget {
    int amounts;
    const char *name[AP_MAX_AMOUNTS]; /* "nodes": for messages */
    int64_t per_example[AP_MAX_AMOUNTS];
    void (*measure)(const ap_example *example, int64_t amounts[AP_MAX_AMOUNTS]);
} ap_batch_budget;

typedef struct ap_dynamic_batch ap_dynamic_batch;
/* Examples 0 .. examples - 1 of the training split. Borrows data set and budget. Memory: share indices, and the amounts
 * of each example, which is read once to know them. */
ap_status ap_dynamic_batch_create(const ap_dataset *dataset, int64_t examples, const ap_batch_budget *budget,
                                  uint64_t seed, int64_t share, ap_dynamic_batch **dynamic, ap_error *error);
void ap_dynamic_batch_destroy(ap_dynamic_batch *dynamic); /* NULL is fine */
/* The examples of the next shard, counted from the stream's beginning: *index [*n], valid until the next call. AP_DATA:
 * an example that is larger than a whole shard may be. */
ap_status ap_dynamic_batch_next(ap_dynamic_batch *dynamic, const int64_t **index, int64_t *n, ap_error *error);

#endif
