/* Sigmoid cross-entropy of logits z [.., tasks], targets y of the same size, weights w of the same size, smoothing s:
 *
 *     t = (1 - s) y + s / tasks
 *     loss = w (max(z, 0) - z t + log(1 + exp(-|z|))),   d loss / d z = w (sigmoid(z) - t)
 *
 * Each element's arithmetic is in double from exp(-|z|) in float on, rounded to float once: a loss near 0 keeps its
 * digits. Sums: 16 lanes in double (reduce.h). An element of weight 0 is a label that is missing, or padding: its loss
 * and gradient are exactly 0 and its target is not looked at.
 *
 * Source: AlgoPerf reference code, `loss_fn` of ogbg and criteo1tb. */
#include "base/fmath.h"
#include "tensor/kernels/reduce.h"
#include "tensor/kernels/vecmath.h"
#include "tensor/ops.h"

#include <math.h>

/* log(1 + e) for e in [0, 1]; below 1e-5 the series, whose error is e^2 / 3. */
static double log_of_one_plus(double e) {
    return e < 1e-5 ? e - 0.5 * e * e : ap_f64_log(1 + e);
}

/* One element, e = exp(-|z|): its loss, and d loss / d z in *gradient. */
static float element(double z, double e, double t, double weight, float *gradient) {
    const double sigmoid = (z < 0 ? e : 1) / (1 + e);
    *gradient = (float)(weight * (sigmoid - t));
    return (float)(weight * ((z > 0 ? z : 0) - z * t + log_of_one_plus(e)));
}

static bool arguments_fit(ap_tape *tape, const ap_tensor *logits, float smoothing) {
    if (ap_tape_status(tape, NULL) != AP_OK || !logits) return false;
    if (logits->rank < 1 || logits->shape[logits->rank - 1] < 1)
        return ap_tape_fail(tape, "sigmoid cross-entropy: the logits have no tasks");
    if (!(smoothing >= 0 && smoothing < 1))
        return ap_tape_fail_as(tape, AP_SUBMISSION, "sigmoid cross-entropy: label smoothing is %g (must be in [0, 1))",
                               (double)smoothing);
    return true;
}

ap_loss ap_sigmoid_cross_entropy(ap_tape *tape, ap_tensor *logits, const float *targets, const float *weights,
                                 float label_smoothing) {
    if (!arguments_fit(tape, logits, label_smoothing)) return (ap_loss){0};
    const size_t n = (size_t)logits->size;
    const double off = (double)label_smoothing / (double)logits->shape[logits->rank - 1];
    float *losses = ap_tape_take(tape, n * sizeof *losses), *gradient = ap_tape_take(tape, n * sizeof *gradient);
    if (!losses || !gradient) return (ap_loss){0};
    for (size_t i = 0; i < n; i++) losses[i] = -fabsf(logits->data[i]);
    ap_vexp(n, losses, losses);
    for (size_t i = 0; i < n; i++) {
        const float weight = weights ? weights[i] : 1;
        if (weight == 0) {
            losses[i] = gradient[i] = 0;
            continue;
        }
        const double t = (1 - (double)label_smoothing) * (double)targets[i] + off;
        losses[i] = element((double)logits->data[i], (double)losses[i], t, (double)weight, &gradient[i]);
    }
    if (!ap_tape_record_known(tape, logits, gradient)) return (ap_loss){0};
    return (ap_loss){.summed = ap_sum_f64(n, losses),
                     .n_valid = weights ? ap_sum_f64(n, weights) : (double)n,
                     .per_example = losses,
                     .n = (int64_t)n};
}
