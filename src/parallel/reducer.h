/* The gradient sum: one fixed binary tree over shard index, overlapped with the backward pass.
 *
 * Local part: a rank's L shards are folded like a binary counter with log2(L) + 1 gradient arrays. Then, across ranks,
 * recursive halving nearest pair first (r^1, r^2, r^4, ...) and an allgather back: each element is summed in exactly
 * the tree of one rank with all shards, at the cost of a normal allreduce. The sum of a pair is IEEE-commutative, so
 * both sides agree. Parameters are grouped into buckets in reverse order of declaration; a bucket's exchange starts as
 * soon as the last local shard has produced its last gradient.
 *
 * Use, per loss-and-gradient:   begin;  for each local shard s: { tape pass with gradients = shard_buffer(s),
 * parameter_done -> parameter_done, progress -> progress; shard_end(s) };  finish.
 *
 * A rank that fails in between must still call finish, and agree with the others only then: they wait for its part. */
#ifndef AP_PARALLEL_REDUCER_H
#define AP_PARALLEL_REDUCER_H

#include "parallel/group.h"

typedef struct ap_reducer ap_reducer;

/* length: floats of the flat gradient array; offsets[count], ascending: where tensors start (so that buckets end at
 * tensor borders; copied). bucket_bytes: 0 = default (1 MiB). Not collective, but all ranks must pass the same. Borrows
 * the group. AP_ENVIRONMENT: out of memory; AP_CONFIG: a tensor of 2^31 elements or more; AP_BUG: wrong offsets. */
ap_status ap_reducer_create(ap_group *group, int64_t length, int count, const int64_t *offsets, size_t bucket_bytes,
                            ap_reducer **reducer, ap_error *error);
void ap_reducer_destroy(ap_reducer *reducer); /* NULL is fine; not between begin and finish. Not collective */

void ap_reducer_begin(ap_reducer *reducer);
/* The array [length] into which local shard s (0-based, in order) writes its gradient. It holds old values; elements
 * between tensors are zero as long as nobody writes there. */
float *ap_reducer_shard_buffer(ap_reducer *reducer, int s);
/* Tensor `index` of the current shard is final: folds it into the tree, and on the last local shard may start
 * communication. The shard's pass must not touch it any more. */
void ap_reducer_parameter_done(ap_reducer *reducer, int index);
void ap_reducer_progress(ap_reducer *reducer);
/* Shard s is done: folds the tensors that parameter_done did not name. */
void ap_reducer_shard_end(ap_reducer *reducer, int s);
/* Collective. Waits for the rest, multiplies every element by `scale` and gives the sum, same bits on all ranks and for
 * every number of ranks. *sum [length] is the caller's to read and write until the next begin. If shards are missing it
 * takes part in the exchange all the same and returns AP_BUG. Other failures as ap_group_wait. */
ap_status ap_reducer_finish(ap_reducer *reducer, float scale, float **sum, ap_error *error);

/* Since creation: bytes sent by this rank, seconds spent waiting in finish (exposed), and between first start and
 * finish (hidden). And what is cut into buckets, in the order in which they start. For `bench`. */
typedef struct ap_reducer_statistics {
    int64_t bytes_sent, length; /* length: floats of the whole gradient */
    int64_t last_bucket_length; /* floats of the bucket that starts last, which nothing hides */
    int buckets;
    double exposed_s, overlapped_s;
} ap_reducer_statistics;
ap_reducer_statistics ap_reducer_get_statistics(const ap_reducer *reducer);

#endif
