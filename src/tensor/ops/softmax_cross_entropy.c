/* Softmax cross-entropy with label smoothing s over rows z of the logits [n, classes], target class t, weight w:
 *
 *     lse  = log sum_j exp(z_j)                              (with the row's maximum taken out first)
 *     loss = w ((1 - s) (lse - z_t) + s (lse - mean_j z_j))
 *     d loss / d z_j = w (exp(z_j - lse) - (1 - s) [j = t] - s / classes)
 *
 * Sums over classes and over examples: 16 lanes in double (reduce.h); log and the row's arithmetic in double, rounded
 * to float once: a loss near 0 keeps its digits. A row of weight 0 is padding: its loss and gradient are exactly 0 and
 * its label is not looked at. Source: AlgoPerf reference code, `loss_fn` of mnist and imagenet. */
#include "base/fmath.h"
#include "tensor/kernels/reduce.h"
#include "tensor/kernels/vecmath.h"
#include "tensor/ops.h"

#include <string.h>

typedef struct cross_entropy {
    ap_tensor *logits;
    float *gradient; /* [n, classes] */
} cross_entropy;

static void cross_entropy_backward(ap_tape *tape, ap_tensor *output, void *context) {
    (void)output; /* a root: d(summed) = 1 */
    const cross_entropy *op = context;
    bool accumulate;
    float *dz = ap_tape_grad(tape, op->logits, &accumulate);
    if (!dz) return;
    if (accumulate)
        ap_add_into((size_t)op->logits->size, op->gradient, dz);
    else
        memcpy(dz, op->gradient, (size_t)op->logits->size * sizeof *dz);
}

/* Loss of one row (weight 1) from its shifted logits; exps [classes] is overwritten by exp(shifted) * inverse sum. */
static double row_loss(size_t classes, const float *shifted, float *exps, int64_t target, double smoothing) {
    ap_vexp(classes, shifted, exps);
    double sum = ap_sum_f64(classes, exps), log_sum = ap_f64_log(sum);
    ap_scale_by(classes, (float)(1 / sum), exps);
    double loss = (1 - smoothing) * (log_sum - (double)shifted[target]);
    /* Without smoothing a class at -inf must not count: 0 * inf is NaN. */
    if (smoothing > 0) loss += smoothing * (log_sum - ap_sum_f64(classes, shifted) / (double)classes);
    return loss;
}

/* softmax -> w (softmax - target distribution), in place */
static void row_gradient(size_t classes, float *softmax, int64_t target, float weight, float smoothing) {
    float off = smoothing / (float)classes;
    softmax[target] -= 1 - smoothing;
    for (size_t j = 0; j < classes; j++) softmax[j] = weight * (softmax[j] - off);
}

static bool arguments_fit(ap_tape *tape, const ap_tensor *logits, float smoothing) {
    if (ap_tape_status(tape, NULL) != AP_OK || !logits) return false;
    if (logits->rank < 1 || logits->shape[logits->rank - 1] < 1)
        return ap_tape_fail(tape, "softmax cross-entropy: the logits have no classes");
    if (!(smoothing >= 0 && smoothing < 1))
        return ap_tape_fail_as(tape, AP_SUBMISSION, "softmax cross-entropy: label smoothing is %g (must be in [0, 1))",
                               (double)smoothing);
    return true;
}

ap_loss ap_softmax_cross_entropy(ap_tape *tape, ap_tensor *logits, const int64_t *targets, const float *weights,
                                 float label_smoothing) {
    if (!arguments_fit(tape, logits, label_smoothing)) return (ap_loss){0};
    size_t classes = (size_t)logits->shape[logits->rank - 1], n = (size_t)logits->size / classes;
    cross_entropy *op = ap_tape_take(tape, sizeof *op);
    float *losses = ap_tape_take(tape, n * sizeof *losses);
    float *shifted = ap_tape_take(tape, classes * sizeof *shifted);
    float *gradient = ap_tape_take(tape, n * classes * sizeof *gradient);
    if (!op || !losses || !shifted || !gradient) return (ap_loss){0};

    for (size_t i = 0; i < n; i++) {
        const float *z = logits->data + i * classes;
        float *row = gradient + i * classes, weight = weights ? weights[i] : 1;
        if (weight == 0) {
            losses[i] = 0;
            memset(row, 0, classes * sizeof *row);
            continue;
        }
        if (targets[i] < 0 || targets[i] >= (int64_t)classes) {
            ap_tape_fail_as(tape, AP_DATA,
                            "softmax cross-entropy: example %zu of the shard has label %lld (must be in "
                            "0 .. %zu); check the data set",
                            i, (long long)targets[i], classes - 1);
            return (ap_loss){0};
        }
        float top = ap_max(classes, z);
        for (size_t j = 0; j < classes; j++) shifted[j] = z[j] - top;
        losses[i] = (float)((double)weight * row_loss(classes, shifted, row, targets[i], (double)label_smoothing));
        row_gradient(classes, row, targets[i], weight, label_smoothing);
    }
    *op = (cross_entropy){.logits = logits, .gradient = gradient};
    ap_tape_record(tape, cross_entropy_backward, NULL, op, 1, &logits);
    return (ap_loss){.summed = ap_sum_f64(n, losses),
                     .n_valid = weights ? ap_sum_f64(n, weights) : (double)n,
                     .per_example = losses,
                     .n = (int64_t)n};
}
