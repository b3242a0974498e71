/* A batch: what one shard of one step hands to the model, as named arrays. Fixtures' inputs have the same names and
 * shapes. */
#ifndef AP_DATA_BATCH_H
#define AP_DATA_BATCH_H

#include "base/h5.h"
#include "base/status.h"
#include "data/dataset.h"

enum { AP_MAX_ARRAYS = 24, AP_ARRAY_MAX_RANK = 5 };
typedef struct ap_array {
    const char *name; /* static text */
    ap_dtype type;    /* AP_F32, AP_I64, AP_I32 or AP_U8 */
    int rank;
    int64_t shape[AP_ARRAY_MAX_RANK];
    int64_t size; /* elements */
    void *data;   /* aligned to 64 */
} ap_array;

typedef struct ap_batch {
    int arrays;
    ap_array array[AP_MAX_ARRAYS];
    int64_t examples;            /* rows of this shard, padding included */
    int64_t real_examples;       /* without padding */
    void *blocks[AP_MAX_ARRAYS]; /* private: memory reused from batch to batch */
    size_t capacity[AP_MAX_ARRAYS];
} ap_batch;

void ap_batch_free(ap_batch *batch);  /* frees the memory, not the struct */
void ap_batch_clear(ap_batch *batch); /* no arrays, memory kept */
/* Adds an array, memory from the batch (reused, not cleared). NULL when out of memory or the shape is absurd. */
void *ap_batch_add(ap_batch *batch, const char *name, ap_dtype type, int rank, const int64_t *shape);
/* NULL: not there. */
const ap_array *ap_batch_find(const ap_batch *batch, const char *name);
const float *ap_batch_f32(const ap_batch *batch, const char *name); /* NULL: not there or another type */
const int64_t *ap_batch_i64(const ap_batch *batch, const char *name);

/* Where a shard's batch comes from; random numbers of augmentation are keyed by it. */
typedef struct ap_collate_key {
    uint64_t seed;
    int64_t step; /* batch number for training, 0 for evaluation */
    int shard;
    bool training;
    int64_t first;  /* with a budget: the first example's place in the stream */
    ap_split split; /* where the examples are from; eval_train: AP_TRAIN */
} ap_collate_key;
/* Makes the model's arrays of `examples` (n of them; rows n..padded_to-1 are padding: zero inputs, weight 0; a
 * `weights` array is present whenever padded_to > n or !training). The caller has
 * cleared the batch. Pure. */
typedef ap_status ap_collate(const void *model, const ap_collate_key *key, int64_t n, const ap_example *examples,
                             int64_t padded_to, ap_batch *batch, ap_error *error);

#endif
