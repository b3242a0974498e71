/* Softmax cross-entropy with label smoothing s over rows z of the logits [n, classes], target class t, weight w:
 *
 *     lse  = log sum_j exp(z_j)                              (with the row's maximum taken out first)
 *     loss = w ((1 - s) (lse - z_t) + s (lse - mean_j z_j))
 *     d loss / d z_j = w (exp(z_j - lse) - (1 - s) [j = t] - s / classes)
 *
 * Sums over classes and over examples: 16 lanes in double (reduce.h); log and the row's arithmetic in double, rounded
 * to float once: a loss near 0 keeps its digits. A row of weight 0 is padding: its loss and gradient are exactly 0 and
 * its label is not looked at.
 *
 * With a distribution t over the classes for each row (mixup) in place of a class, q_j = (1 - s) t_j + s / classes:
 *
 *     loss = w sum_j q_j (lse - z_j),   d loss / d z_j = w (exp(z_j - lse) sum q - q_j)
 *
 * Source: AlgoPerf reference code, `loss_fn` of mnist and imagenet. */
#include "base/fmath.h"
#include "tensor/kernels/reduce.h"
#include "tensor/kernels/vecmath.h"
#include "tensor/ops.h"

#include <string.h>

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

/* Room for a loss over n rows of logits, and what backward needs. */
typedef struct rows {
    size_t classes, n;
    float *losses, *shifted, *gradient; /* [n], [classes], [n, classes] */
} rows;

static bool begin(ap_tape *tape, const ap_tensor *logits, rows *r) {
    r->classes = (size_t)logits->shape[logits->rank - 1], r->n = (size_t)logits->size / r->classes;
    r->losses = ap_tape_take(tape, r->n * sizeof(float));
    r->shifted = ap_tape_take(tape, r->classes * sizeof(float));
    r->gradient = ap_tape_take(tape, r->n * r->classes * sizeof(float));
    return r->losses && r->shifted && r->gradient;
}

/* Row i without its maximum, in r->shifted; false for a row of weight 0, whose loss and gradient are 0. */
static bool shift_row(const rows *r, const ap_tensor *logits, size_t i, float weight) {
    const float *z = logits->data + i * r->classes;
    if (weight == 0) {
        r->losses[i] = 0;
        memset(r->gradient + i * r->classes, 0, r->classes * sizeof(float));
        return false;
    }
    const float top = ap_max(r->classes, z);
    for (size_t j = 0; j < r->classes; j++) r->shifted[j] = z[j] - top;
    return true;
}

static ap_loss finish(ap_tape *tape, ap_tensor *logits, const rows *r, const float *weights) {
    if (!ap_tape_record_known(tape, logits, r->gradient)) return (ap_loss){0};
    return (ap_loss){.summed = ap_sum_f64(r->n, r->losses),
                     .n_valid = weights ? ap_sum_f64(r->n, weights) : (double)r->n,
                     .per_example = r->losses,
                     .n = (int64_t)r->n};
}

ap_loss ap_softmax_cross_entropy(ap_tape *tape, ap_tensor *logits, const int64_t *targets, const float *weights,
                                 float label_smoothing) {
    rows r;
    if (!arguments_fit(tape, logits, label_smoothing) || !begin(tape, logits, &r)) return (ap_loss){0};
    for (size_t i = 0; i < r.n; i++) {
        float *row = r.gradient + i * r.classes, weight = weights ? weights[i] : 1;
        if (!shift_row(&r, logits, i, weight)) continue;
        if (targets[i] < 0 || targets[i] >= (int64_t)r.classes) {
            ap_tape_fail_as(tape, AP_DATA,
                            "softmax cross-entropy: example %zu of the shard has label %lld (must be in "
                            "0 .. %zu); check the data set",
                            i, (long long)targets[i], r.classes - 1);
            return (ap_loss){0};
        }
        r.losses[i] =
            (float)((double)weight * row_loss(r.classes, r.shifted, row, targets[i], (double)label_smoothing));
        row_gradient(r.classes, row, targets[i], weight, label_smoothing);
    }
    return finish(tape, logits, &r, weights);
}

/* ---- with distributions */

/* Loss of one row (weight 1); exps becomes the gradient's row. q is summed in double. */
static double soft_row(const rows *r, const float *target, float smoothing, float weight, float *exps) {
    ap_vexp(r->classes, r->shifted, exps);
    const double sum = ap_sum_f64(r->classes, exps), log_sum = ap_f64_log(sum);
    const float off = smoothing / (float)r->classes;
    double loss = 0, mass = 0;
    for (size_t j = 0; j < r->classes; j++) {
        const double q = (double)((1 - smoothing) * target[j] + off);
        mass += q;
        if (q != 0) loss += q * (log_sum - (double)r->shifted[j]); /* a class at -inf without mass does not count */
    }
    const float scale = (float)(mass / sum);
    for (size_t j = 0; j < r->classes; j++) exps[j] = weight * (exps[j] * scale - ((1 - smoothing) * target[j] + off));
    return loss;
}

ap_loss ap_soft_cross_entropy(ap_tape *tape, ap_tensor *logits, const float *targets, const float *weights,
                              float label_smoothing) {
    rows r;
    if (!arguments_fit(tape, logits, label_smoothing) || !begin(tape, logits, &r)) return (ap_loss){0};
    for (size_t i = 0; i < r.n; i++) {
        const float weight = weights ? weights[i] : 1;
        if (!shift_row(&r, logits, i, weight)) continue;
        r.losses[i] = (float)((double)weight * soft_row(&r, targets + i * r.classes, label_smoothing, weight,
                                                        r.gradient + i * r.classes));
    }
    return finish(tape, logits, &r, weights);
}
