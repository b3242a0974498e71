/* The differentiable operations; one file each in ops/, with forward, backward, order of sums and source.
 * All take and return tensors of the tape (see tape.h for errors and ownership). */
#ifndef AP_TENSOR_OPS_H
#define AP_TENSOR_OPS_H

#include "tensor/kernels/activation.h"
#include "tensor/kernels/segments.h"
#include "tensor/tape.h"

/* y[.., out] = x[.., in] w' + b;  w [out, in], b [out] or NULL. Leading dimensions of x are kept. (PyTorch nn.Linear.)
 */
ap_tensor *ap_linear(ap_tape *tape, ap_tensor *x, ap_tensor *w, ap_tensor *b);

/* Segments of rows (kernels/segments.h) in the arena: row i belongs to of[i]; `of` is borrowed until backward. AP_DATA
 * if it is not in 0 .. count - 1. */
const ap_segments *ap_segments_of(ap_tape *tape, int64_t rows, const int64_t *of, int64_t count);
/* x [rows, ..] -> [count, ..]: the sum or mean of each segment's rows; 0 without rows. */
ap_tensor *ap_segment_sum(ap_tape *tape, ap_tensor *x, const ap_segments *segments);
ap_tensor *ap_segment_mean(ap_tape *tape, ap_tensor *x, const ap_segments *segments);
/* x [count, ..] -> [rows, ..]: each row's segment. */
ap_tensor *ap_gather_rows(ap_tape *tape, ap_tensor *x, const ap_segments *segments);

/* The linear layer of rows put together from parts, y = concat(parts) w' + b, without putting them together: a part is
 * x [m, columns], or x [count, columns] gathered by `rows` (of m rows). w [out, all columns], b [out] or NULL. */
enum { AP_LINEAR_PARTS = 6 };
typedef struct ap_linear_part {
    ap_tensor *x;
    const ap_segments *rows; /* NULL: as it is */
} ap_linear_part;
ap_tensor *ap_linear_parts(ap_tape *tape, int count, const ap_linear_part *parts, ap_tensor *w, ap_tensor *b);

/* Elementwise. Activations: kernels/activation.h; slope is for AP_LEAKY_RELU, and must be above 0. */
ap_tensor *ap_activation_of(ap_tape *tape, ap_tensor *x, ap_activation kind, float slope);
ap_tensor *ap_sigmoid(ap_tape *tape, ap_tensor *x);
ap_tensor *ap_relu(ap_tape *tape, ap_tensor *x);
ap_tensor *ap_add(ap_tape *tape, ap_tensor *a, ap_tensor *b); /* of one shape */
ap_tensor *ap_multiply(ap_tape *tape, ap_tensor *a, ap_tensor *b);
/* factor x + shift; a + factor b, of one size. */
ap_tensor *ap_scale_shift(ap_tape *tape, ap_tensor *x, float factor, float shift);
ap_tensor *ap_add_scaled(ap_tape *tape, ap_tensor *a, float factor, ap_tensor *b);

/* Images are [n, h, w, c], channels last; parameters keep the published shapes. */

/* [n, c, h, w] -> [n, h, w, c] */
ap_tensor *ap_channels_last(ap_tape *tape, ap_tensor *x);

/* Convolution: y [n, oh, ow, k], w [k, c/groups, r, s], b [k] or NULL. oh = (h + top + bottom - (r - 1) dilation -
 * 1) / stride + 1, ow alike. A stride, groups or dilation of 0 means 1. In one dimension: h = r = 1. (PyTorch
 * nn.Conv2d, nn.Conv1d.) */
typedef struct ap_conv2d_options {
    int64_t stride_h, stride_w, pad_top, pad_left, pad_bottom, pad_right, groups, dilation_h, dilation_w;
} ap_conv2d_options;
ap_tensor *ap_conv2d(ap_tape *tape, ap_tensor *x, ap_tensor *w, ap_tensor *b, const ap_conv2d_options *options);
/* Transposed convolution without padding: x [n, h, w, k], w [k, c, r, s], b [c] or NULL, y [n, (h-1) stride + r, (w-1)
 * stride + s, c]. (PyTorch nn.ConvTranspose2d.) */
ap_tensor *ap_conv2d_transposed(ap_tape *tape, ap_tensor *x, ap_tensor *w, ap_tensor *b, int stride);

/* Pooling: square max windows with padding that never wins; average windows side by side, what does not fill one is
 * left out; the average of all pixels, [n, h, w, c] -> [n, c]. */
ap_tensor *ap_max_pool2d(ap_tape *tape, ap_tensor *x, int window, int stride, int pad);
ap_tensor *ap_average_pool2d(ap_tape *tape, ap_tensor *x, int64_t window_h, int64_t window_w);
ap_tensor *ap_global_average_pool(ap_tape *tape, ap_tensor *x);

/* Adds mirrored rows at the bottom and columns on the right, fewer than there are. */
ap_tensor *ap_reflect_pad(ap_tape *tape, ap_tensor *x, int64_t bottom, int64_t right);

/* Normalisation by channel, the last dimension, fused with what follows: y = f(norm(x) + residual). */
typedef struct ap_norm_options {
    float eps;
    ap_activation activation; /* f; AP_IDENTITY = 0 = none */
    float slope;              /* of AP_LEAKY_RELU */
    ap_tensor *residual;      /* shape of x, or NULL */
} ap_norm_options;
/* State tensors [c] and the weight of the new statistics. */
typedef struct ap_running {
    int mean, variance;
    float momentum;
    bool biased; /* the batch's variance as it is; false: n / (n - 1) of it, as PyTorch does */
} ap_running;
/* Over all rows of x [.., c], of this shard; in evaluation with the running statistics. Updates them unless the pass
 * says not to. AP_CONFIG with fewer than 2 rows in training. */
ap_tensor *ap_batch_norm(ap_tape *tape, ap_tensor *x, ap_tensor *scale, ap_tensor *bias, const ap_running *running,
                         const ap_norm_options *options);
/* x [n, .., c]: over all but the first dimension, for each of `groups` groups of channels; scale, bias [c] or NULL.
 * groups = c: instance norm. */
ap_tensor *ap_group_norm(ap_tape *tape, ap_tensor *x, int64_t groups, ap_tensor *scale, ap_tensor *bias,
                         const ap_norm_options *options);
ap_tensor *ap_instance_norm(ap_tape *tape, ap_tensor *x, const ap_norm_options *options);

/* Same elements, other shape (no copy of data; gradients flow through). */
ap_tensor *ap_reshape(ap_tape *tape, ap_tensor *x, int rank, const int64_t *shape);

/* Inverted dropout: kept elements divided by 1 - rate. Identity in evaluation mode and for rate 0. Uses
 * pass->dropout_rate; random numbers from the pass's stream. */
ap_tensor *ap_dropout(ap_tape *tape, ap_tensor *x);
/* The same for whole channels of an example, x [n, .., c]. (PyTorch nn.Dropout2d.) */
ap_tensor *ap_dropout2d(ap_tape *tape, ap_tensor *x);

/* [.., a], [.., b] -> [.., a + b]; and columns first .. first + count - 1 of the last dimension. Copies. */
ap_tensor *ap_concat(ap_tape *tape, ap_tensor *a, ap_tensor *b);
ap_tensor *ap_slice_last(ap_tape *tape, ap_tensor *x, int64_t first, int64_t count);

/* Sequences without their padding: [n, steps, ..] -> [rows, ..], the first lengths[i] steps of each example one behind
 * the other; and back, padding becomes 0. lengths [n] in 0 .. steps (else AP_DATA), borrowed until backward. */
ap_tensor *ap_pack_rows(ap_tape *tape, ap_tensor *x, const int64_t *lengths);
ap_tensor *ap_unpack_rows(ap_tape *tape, ap_tensor *x, int64_t n, int64_t steps, const int64_t *lengths);
/* f(x) of x [n, steps, ..] where it is no padding, 0 elsewhere. f: one that knows its derivative from its output. */
ap_tensor *ap_activate_rows(ap_tape *tape, ap_tensor *x, const int64_t *lengths, ap_activation kind);

/* Over the last dimension of x [.., n]; scale and bias [n] or NULL. */
ap_tensor *ap_layer_norm(ap_tape *tape, ap_tensor *x, ap_tensor *scale, ap_tensor *bias, float eps);

/* RMS norm over the last dimension with gain [n]. And rows of n numbers (a divisor of the last dimension) divided by
 * their length, eps added behind the division. */
ap_tensor *ap_rms_norm(ap_tape *tape, ap_tensor *x, ap_tensor *gain, float eps);
ap_tensor *ap_unit_rows(ap_tape *tape, ap_tensor *x, int64_t n, float eps);
/* Rotary positions of x [n, steps, heads d]; cosine and sine [at least steps, d / 2], borrowed until backward. */
ap_tensor *ap_rotary(ap_tape *tape, ap_tensor *x, int64_t heads, const float *cosine, const float *sine);
/* s x, s one learned number. */
ap_tensor *ap_scale_learned(ap_tape *tape, ap_tensor *x, ap_tensor *s);

/* Attention of `heads` heads: q [n, queries, heads d], k [n, keys, heads d], v [n, keys, heads dv] -> [n, queries,
 * heads dv]; head h uses columns h d .. of each. q, k, v must be different tensors, not views of one. */
typedef struct ap_attention_options {
    int64_t heads;
    float scale;       /* of the scores, 1 / sqrt(d) as a rule */
    bool causal;       /* query i sees keys 0 .. i + keys - queries only */
    bool drop;         /* dropout of the probabilities with the pass's rate */
    const float *bias; /* added to the scores: bias[example * bias_example + query * bias_query + key], so a stride of 0
                          shares it; -INFINITY hides a key. Borrowed until backward; NULL: none */
    int64_t bias_example, bias_query;
} ap_attention_options;
ap_tensor *ap_attention(ap_tape *tape, ap_tensor *q, ap_tensor *k, ap_tensor *v, const ap_attention_options *options);

/* x [.., heads d] times 1.442695041 softplus(s), s [d] for every head alike. (The conformer's QueryScaler.) */
ap_tensor *ap_query_scale(ap_tape *tape, ap_tensor *x, ap_tensor *s);

/* x + t, and t alone, repeated over the leading dimensions: t has the size of the trailing ones. */
ap_tensor *ap_add_repeated(ap_tape *tape, ap_tensor *x, ap_tensor *t);
ap_tensor *ap_repeat(ap_tape *tape, ap_tensor *t, int rank, const int64_t *shape);

/* Rows of a table that is cut into `tables` parameters of one shape [rows, columns], one behind the other: ids [shape],
 * 0 .. tables rows - 1 (else AP_DATA), borrowed until backward -> [shape.., columns]. Gradients touch only rows that
 * are looked up; for a parameter declared as a table they are lists of rows where the pass takes those. */
ap_tensor *ap_table_lookup(ap_tape *tape, int tables, ap_tensor *const *table, int rank, const int64_t *shape,
                           const int32_t *ids);

/* Inner products of all pairs of the vectors x [n, vectors, d], each with itself too: [n, vectors (vectors + 1) / 2],
 * pairs (0,0), (0,1) .. (1,1), (1,2) ... (DLRM's dot interaction.) */
ap_tensor *ap_dot_interaction(ap_tape *tape, ap_tensor *x);

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
/* The same with a distribution over the classes for each row, targets [n, classes] (mixup): (1 - s) targets + s /
 * classes. They are not checked. */
ap_loss ap_soft_cross_entropy(ap_tape *tape, ap_tensor *logits, const float *targets, const float *weights,
                              float label_smoothing);

/* Sigmoid cross-entropy of logits [.., tasks], independent labels: targets of the same size in [0, 1], smoothed to
 * (1 - s) target + s / tasks; weights of the same size or NULL. An element of weight 0 is a missing label or padding:
 * its target (a NaN, too) is not looked at. per_example and n_valid count elements. A root of the tape. */
ap_loss ap_sigmoid_cross_entropy(ap_tape *tape, ap_tensor *logits, const float *targets, const float *weights,
                                 float label_smoothing);

/* Mean absolute error of x [n, ..] against targets of the same size, borrowed until backward; weights [n] or NULL, a
 * row of weight 0 is padding. A root of the tape. */
ap_loss ap_l1_loss(ap_tape *tape, ap_tensor *x, const float *targets, const float *weights);

/* Connectionist temporal classification of logits [n, frames, classes]; class 0 is the blank. Labels that do not fit
 * into the frames have loss +inf and a gradient of NaN, as published (ops/ctc_loss.c). n_valid is the number of labels
 * without weights, and with them the sum of the weights of the examples that have labels. AP_DATA: a length or a label
 * out of range. A root of the tape. */
typedef struct ap_ctc_targets {
    const int64_t *frames;           /* [n] frames that are no padding */
    const int64_t *labels, *lengths; /* [n, longest] in 1 .. classes - 1, the first lengths[i] of a row count; [n] */
    int64_t longest;
    const float *weights; /* [n] or NULL; an example of weight 0 is not looked at */
} ap_ctc_targets;
ap_loss ap_ctc_loss(ap_tape *tape, ap_tensor *logits, const ap_ctc_targets *targets);

/* A bidirectional LSTM layer over rows of different lengths: x [n, steps, in] -> [n, steps, 2 hidden], forward and
 * backward direction side by side; the backward one starts at a row's last valid step. Outputs at and behind a row's
 * length are 0. Index 0 forward, 1 backward: w_input [4 hidden, in], w_hidden [4 hidden, hidden], b_input and b_hidden
 * [4 hidden], gates i, f, g, o. lengths [n] in 0 .. steps. (PyTorch nn.LSTM(bidirectional=True) on a packed sequence.)
 */
typedef struct ap_lstm_weights {
    ap_tensor *w_input[2], *w_hidden[2], *b_input[2], *b_hidden[2];
} ap_lstm_weights;
ap_tensor *ap_lstm_bidirectional(ap_tape *tape, ap_tensor *x, const int64_t *lengths, const ap_lstm_weights *weights);

#endif
