/* Dynamic batching: shards that are filled by the size of their examples (graphs, sentences), not by their number
 * alone.
 *
 * RULE. The training examples form one endless stream, epoch after epoch, each in the order of queue.h's permutation,
 * without gaps. It is cut in order: a shard takes examples until the next one would be more than `share` examples, or
 * bring an amount (nodes, edges) above share * per_example. S shards, one after the other, are a global batch. So the
 * batch is a function of (seed, number), as in queue.h; its number of examples varies. Source: jraph.dynamically_batch,
 * as AlgoPerf's ogbg uses it (workloads/README, "ogbg": batching).
 *
 * RULE FOR ROWS. With `row` a shard is `share` rows that examples are packed into: an example joins the last row if
 * there every amount stays within row(model), else it begins the next; so does every group-th example of the stream. An
 * example that is larger than a row is left out of the stream. Source: AlgoPerf's wmt (t2t's pack_dataset). */
#ifndef AP_DATA_DYNAMIC_BATCH_H
#define AP_DATA_DYNAMIC_BATCH_H

#include "data/dataset.h"

enum { AP_MAX_AMOUNTS = 4 };
typedef struct ap_batch_budget {
    int amounts;
    const char *name[AP_MAX_AMOUNTS]; /* "nodes": for messages */
    int64_t per_example[AP_MAX_AMOUNTS];
    void (*measure)(const ap_example *example, int64_t amounts[AP_MAX_AMOUNTS]);
    int64_t (*row)(const void *model); /* NULL: the first rule; per_example is then not used */
    int64_t group;
} ap_batch_budget;

typedef struct ap_dynamic_batch ap_dynamic_batch;
/* Examples 0 .. examples - 1 of the training split. Borrows data set and budget. Memory: an index for each example that
 * a shard can have, and the amounts of each example, which is read once to know them. */
ap_status ap_dynamic_batch_create(const ap_dataset *dataset, int64_t examples, const ap_batch_budget *budget,
                                  const void *model, uint64_t seed, int64_t share, ap_dynamic_batch **dynamic,
                                  ap_error *error);
/* The most examples that a shard can have. */
int64_t ap_dynamic_batch_most(const ap_dynamic_batch *dynamic);
void ap_dynamic_batch_destroy(ap_dynamic_batch *dynamic); /* NULL is fine */
/* The examples of the next shard, counted from the stream's beginning: *index [*n], valid until the next call; *first:
 * the place in the stream of the first of them. AP_CONFIG: an example that is larger than a whole shard may be;
 * AP_DATA: all are larger than a row. */
ap_status ap_dynamic_batch_next(ap_dynamic_batch *dynamic, const int64_t **index, int64_t *n, int64_t *first,
                                ap_error *error);

#endif
