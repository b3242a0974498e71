/* The differentiable operations; one file each in ops/, with forward, backward, order of sums and source.
 * All take and return tensors of the tape (see tape.h for errors and ownership). */
#ifndef AP_TENSOR_OPS_H
#define AP_TENSOR_OPS_H

#include "tensor/tape.h"

/* y[.., out] = x[.., in] w' + b;  w [out, in], b [out] or NULL. Leading dimensions of x are kept. (PyTorch nn.Linear.)
 */
ap_tensor *ap_linear(ap_tape *tape, ap_tensor *x, ap_tensor *w, ap_tensor *b);

/* Elementwise. */
ap_tensor *ap_sigmoid(ap_tape *tape, ap_tensor *x);
ap_tensor *ap_relu(ap_tape *tape, ap_tensor *x);

/* Same elements, other shape (no copy of data; gradients flow through). */
ap_tensor *ap_reshape(ap_tape *tape, ap_tensor *x, int rank, const int64_t *shape);

/* Inverted dropout: kept elements divided by 1 - rate. Identity in evaluation mode and for rate 0. Uses
 * pass->dropout_rate; random numbers from the pass's stream. */
ap_tensor *ap_dropout(ap_tape *tape, ap_tensor *x);

/* What a loss tells: sums of this shard; the loss of a batch is summed / n_valid over all shards. */
typedef struct ap_loss {
    double summed;      /* sum over examples of weight * loss, 16-lane order in double */
    double n_valid;     /* sum of the weights, or the number of examples without weights */
    float *per_example; /* [n] in the arena, weighted: weight * loss; NULL after a failure */
    int64_t n;          /* length of per_example, padding included */
} ap_loss;

/* Softmax cross-entropy of logits [n, classes] (leading dimensions count as one) with label smoothing s in [0, 1):
 * target distribution (1 - s) onehot + s / classes. targets [n] in 0 .. classes - 1 (else AP_DATA); weights [n] or
 * NULL; a row of weight 0 is padding and is not looked at. A root of the tape. */
ap_loss ap_softmax_cross_entropy(ap_tape *tape, ap_tensor *logits, const int64_t *targets, const float *weights,
                                 float label_smoothing);

#endif
