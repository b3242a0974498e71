/* Muon's matrix update: momentum, orthogonalised by Newton-Schulz iterations. Jordan et al., "Muon: an optimizer for
 * hidden layers in neural networks" (2024).
 *
 * A parameter [d0, ...] is a matrix of d0 rows and the product of the rest as columns. With X = M / (||M|| + 1e-7),
 * transposed if it has more rows than columns, `steps` times
 *
 *     A = X X',   X = 3.4445 X + (-4.775 A + 2.0315 A A) X
 *
 * then transposed back. The tensors are shared out over the ranks. */
#ifndef AP_ALGORITHMS_ORTHOGONAL_H
#define AP_ALGORITHMS_ORTHOGONAL_H

#include "algorithms/rule.h"

typedef struct ap_muon {
    double rate, weight_decay, beta;
    bool nesterov;
    bool bfloat16;  /* every result of the iteration rounded to bfloat16, as PyTorch computes it */
    bool torch_cpu; /* and as its CPU kernels do: scalars rounded, some products summed in bfloat16 */
    int steps;
    bool (*is_matrix)(const ap_param_info *param); /* which parameters */
    double (*scale)(const ap_param_info *param);   /* factor of the rate */
} ap_muon;

/* State "momentum" of every parameter. m = b m + (1 - b) g, M = m or, with nesterov, b m + (1 - b) g;
 * w -= rate (scale orthogonal(M) + weight_decay w). Gradients are overwritten. */
bool ap_muon_apply(ap_host *host, const ap_muon *muon, float clip);

/* Rank >= 2 and a name without any of `embeddings` (lower case; ends with NULL). */
bool ap_muon_matrix(const ap_param_info *param, const char *const *embeddings);

#endif
