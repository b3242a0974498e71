/* Blocks of tensors, and a Kronecker-factored preconditioner for each: what the Shampoo family is made of.
 *
 * A tensor's neighbouring axes are merged, then every axis is cut into pieces of at most `size`; a block is one piece
 * of each axis, of order o with extents d[0] ... d[o-1]. Its factors are o symmetric matrices L_k [d_k][d_k], kept one
 * behind the other (sum d_k^2 elements), statistics in float or double, roots in float. Functions that return bool
 * return false after `fail`. */
#ifndef AP_ALGORITHMS_BLOCKS_H
#define AP_ALGORITHMS_BLOCKS_H

#include "algorithms/share.h"

enum { AP_BLOCK_ORDER = 8 };
typedef struct ap_block {
    int param, order;
    int64_t extent[AP_BLOCK_ORDER], stride[AP_BLOCK_ORDER]; /* strides within the parameter, elements */
    int64_t offset, size;                                   /* first element in the parameter; elements */
    int64_t factors;                                        /* elements of all its factors: sum of squared extents */
    int64_t largest;                                        /* extent of the parameter before merging */
} ap_block;

/* Merging: from the first axis on, a neighbour joins while the product is at most `limit`; axes of 1 vanish. limit 0:
 * the axes stay as they are. */
typedef struct ap_blocks {
    const ap_workload_info *workload;
    int64_t limit, size; /* limit 0: no merging */
    int param, order;
    int64_t extent[AP_BLOCK_ORDER], at[AP_BLOCK_ORDER];
    bool within;
} ap_blocks;
void ap_blocks_begin(ap_blocks *blocks, const ap_workload_info *workload, int64_t limit, int64_t size);
bool ap_blocks_next(ap_blocks *blocks, ap_block *block); /* in order of parameters; false: no more */

/* All blocks in order, those with a preconditioner handed out to the ranks by cost. */
typedef struct ap_walk_options {
    int64_t limit, size; /* as for ap_blocks */
    int64_t too_large;   /* tensors with an axis (before merging) of at least this have no preconditioner */
    int order;           /* nor have blocks of a lower order */
} ap_walk_options;
typedef struct ap_walk {
    ap_walk_options options;
    ap_blocks blocks;
    ap_share share;
    ap_block block;
    bool preconditioned;
    int owner;                         /* of a preconditioned block */
    int64_t factors, elements;         /* of preconditioned blocks in front of this one */
    int64_t all_factors, all_elements; /* up to and with this one */
} ap_walk;
void ap_walk_begin(ap_host *host, const ap_walk_options *options, ap_walk *walk);
bool ap_walk_next(ap_walk *walk);
/* To the end: the totals. */
void ap_walk_count(ap_host *host, const ap_walk_options *options, int64_t *factors, int64_t *elements);
/* In init_optimizer_state: the host is told which rank keeps which part of a state with one entry a factor's element
 * (per_factor) or one a block's element. */
bool ap_walk_keep(ap_host *host, const ap_walk_options *options, const char *state, bool per_factor);
/* all[elements]: every rank gets every block from its owner. */
bool ap_walk_exchange(ap_host *host, const ap_walk_options *options, float *all);

/* A block's elements, row-major without gaps, from and to a tensor shaped like its parameter. */
void ap_block_read(const ap_block *block, const float *tensor, float *out);
void ap_block_write(const ap_block *block, const float *in, float *tensor);

/* The same elements to be read only: where they lie if they lie without gaps, else a copy in scratch slot `slot`. NULL
 * after `fail`. */
const float *ap_block_view(ap_host *host, const ap_block *block, const float *tensor, int slot);

/* L_k = beta L_k + weight G_(k) G_(k)', all axes but k contracted, in float32 products. `factors`: double if wide, else
 * float. Scratch slots 0 and 1. */
bool ap_block_statistics(ap_host *host, const ap_block *block, const float *g, double beta, double weight, bool wide,
                         void *factors);

/* out[size] = x times the roots along every axis; it must not overlap x. Scratch slot 0. */
bool ap_block_precondition(ap_host *host, const ap_block *block, const float *roots, const float *x, float *out);

/* out = ((sum_k P_k) / o)^o x, each P_k along its axis (CASPR); it must not overlap x. Scratch slots 0, 1, 2. */
bool ap_block_precondition_caspr(ap_host *host, const ap_block *block, const float *roots, const float *x, float *out);

/* out = x in the bases of all axes, or back: basis k is [d_k][d_k], its rows the vectors; it must not overlap x.
 * Scratch slot 0. */
bool ap_block_rotate(ap_host *host, const ap_block *block, const float *bases, bool back, const float *x, float *out);

/* out[n][n] = (a + epsilon I)^exponent for a symmetric a[n][n] (used up), eigenvalues shifted up first if the smallest
 * is negative; a diagonal a by its elements. `relative`: epsilon times the largest eigenvalue instead. False without
 * failure: no eigendecomposition, out as before. Scratch slot 2. */
bool ap_matrix_power(ap_host *host, int n, double *a, double exponent, double epsilon, bool relative, float *out);

#endif
