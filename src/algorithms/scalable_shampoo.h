/* The JAX Shampoo of the paper baseline, and CASPR, which is it with another product of the roots.
 *
 * Anil et al., "Scalable second order optimization for deep learning", arXiv:2002.09018. Blocks (blocks.h) of 1024,
 * axes merged up to 4096; tensors with an axis above 4096 have no preconditioner. Step s = 0, 1, ..., N = ||g|| over
 * the tensor:
 *
 *     L_k = b2 L_k + (1 - b2) G_(k) G_(k)',  1e-6 I at first
 *     every 20 steps:  P_k = (L_k + 1e-6 max(largest eigenvalue, 1e-6) I)^(-1 / (2 o)),  I at first
 *     v = b2 v + (1 - b2) (g / (N + 1e-16))^2,   A = g / (N + 1e-16) / (sqrt(v) + 1e-10)      (grafting)
 *     D = P g ||A|| / (||P g|| + 1e-16) from step 101 on, norms over the tensor;  A before, and without preconditioner
 *     U = D + weight_decay w,   M = b1 M + (1 - b1) U,   w -= h ((1 - b1) U + b1 M)
 *
 * M of A and M of D are kept side by side from the beginning, as published. The published roots come from a coupled
 * Newton iteration; these, of the same matrix, from its eigendecomposition. */
#ifndef AP_ALGORITHMS_SCALABLE_SHAMPOO_H
#define AP_ALGORITHMS_SCALABLE_SHAMPOO_H

#include "algorithms/blocks.h"
#include "algorithms/rule.h"

typedef struct ap_scalable_shampoo {
    ap_rule_schedule *schedule;
    /* out = P x of one block: ap_block_precondition or ap_block_precondition_caspr. */
    bool (*precondition)(ap_host *host, const ap_block *block, const float *roots, const float *x, float *out);
} ap_scalable_shampoo;

int ap_scalable_shampoo_init(ap_host *host);
int ap_scalable_shampoo_update(ap_host *host, const ap_scalable_shampoo *form);

#endif
