/* What a training step will take on R ranks, from what was measured on one rank and on the links between ranks.
 *
 *     step(R)  = passes of a rank's shards + exposed part of the gradient sum + small messages + update + data / R
 *     passes   = shards / R * time of a shard      (R > shards: the same batch cut finer, R shards of equal work)
 *     the sum  = recursive halving and doubling (reducer.h): stage k = 1 .. log2 R sends 1/2^k of every bucket, twice;
 *                the bucket that starts last is exposed, the others hide behind the last shard's backward pass
 *     small    = two exchanges of some bytes a stage: the sum of losses, the agreement on how the step went
 *
 * Stage k goes to rank r ^ 2^(k-1): within the host while 2^k <= ranks a host, else between hosts. Not in it: noise
 * (the slowest of R ranks), hosts that share a switch, and shards that get so small that kernels slow down. Pure
 * functions. */
#ifndef AP_HARNESS_SCALING_MODEL_H
#define AP_HARNESS_SCALING_MODEL_H

#include <stdint.h>

/* A link: time of an exchange, both ranks sending and receiving `bytes` at once, as a measured table; ascending.
 * Between its points by linear interpolation, beyond the last by its rate. */
enum { AP_LINK_POINTS = 12 };
typedef struct ap_link {
    int n;
    double bytes[AP_LINK_POINTS], seconds[AP_LINK_POINTS];
} ap_link;
double ap_link_time(const ap_link *link, double bytes);
double ap_link_latency(const ap_link *link);       /* s, of the smallest message */
double ap_link_rate(const ap_link *link);          /* bytes/s each way, at the largest */
ap_link ap_link_of(double latency_s, double rate); /* a link that has just these two */

typedef struct ap_scaling_input {
    double shard_s, update_s; /* of one shard's passes; of what every rank does whole */
    double data_s;            /* waiting for the batch, on one rank; R ranks read 1/R each */
    double backward_share;    /* of a shard's passes: while buckets of the last shard become ready */
    int shards, buckets, ranks_per_host;
    double gradient_bytes, last_bucket_bytes;
    ap_link near, far;
} ap_scaling_input;

typedef struct ap_scaling_prediction {
    double passes_s, sum_s, exposed_s, small_s, step_s; /* sum: all of the gradient sum, hidden part too */
    double bytes_sent;                                  /* a rank, a step */
} ap_scaling_prediction;

/* The same global batch on `ranks` ranks (a power of two). */
ap_scaling_prediction ap_scaling_predict(const ap_scaling_input *input, int ranks);
/* The global batch grows with the ranks: each has what one rank was measured with. */
ap_scaling_prediction ap_scaling_predict_weak(const ap_scaling_input *input, int ranks);

/* No allreduce sends less than 2 (R - 1) / R times the bytes (Patarasuk and Yuan, "Bandwidth optimal all-reduce
 * algorithms", JPDC 2009). */
double ap_scaling_bound(double bytes, int ranks);

#endif
