/* Mean absolute error: loss_i = w_i mean_j |x_ij - t_ij| over the elements of example i; d loss_i / d x_ij = w_i
 * sign(x_ij
 * - t_ij) / elements, sign(0) = 0. The mean is a sum of 16 lanes in double (reduce.h) of differences rounded to float.
 * A row of weight 0 is padding: its loss and gradient are 0, whatever it holds. Source: AlgoPerf reference code,
 * fastmri. */
#include "tensor/kernels/reduce.h"
#include "tensor/ops.h"

#include <math.h>
#include <string.h>

typedef struct l1 {
    ap_tensor *x;
    const float *targets, *weights;
    int64_t n, each;
} l1;

static float weight_of(const l1 *op, int64_t i) {
    return op->weights ? op->weights[i] : 1;
}

static void l1_backward(ap_tape *tape, ap_tensor *output, void *context) {
    (void)output; /* a root: d(summed) = 1 */
    const l1 *op = context;
    bool accumulate;
    float *dx = ap_tape_grad(tape, op->x, &accumulate);
    if (!dx) return;
    if (!accumulate) memset(dx, 0, (size_t)op->x->size * sizeof *dx);
    for (int64_t i = 0; i < op->n; i++) {
        const float step = weight_of(op, i) / (float)op->each;
        const float *x = op->x->data + i * op->each, *t = op->targets + i * op->each;
        if (step == 0) continue;
        for (int64_t j = 0; j < op->each; j++) {
            const float sign = (float)((x[j] > t[j]) - (x[j] < t[j])); /* 0 of a NaN, whose loss is NaN */
            dx[i * op->each + j] += step * sign;
        }
    }
}

ap_loss ap_l1_loss(ap_tape *tape, ap_tensor *x, const float *targets, const float *weights) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x) return (ap_loss){0};
    if (x->rank < 2 || x->size == 0) {
        ap_tape_fail(tape, "l1 loss: x must be [examples, ..] and not empty");
        return (ap_loss){0};
    }
    l1 *op = ap_tape_take(tape, sizeof *op);
    const int64_t n = x->shape[0], each = x->size / n;
    float *losses = ap_tape_take(tape, (size_t)n * sizeof *losses),
          *distance = ap_tape_take(tape, (size_t)each * sizeof *distance);
    if (!op || !losses || !distance) return (ap_loss){0};
    *op = (l1){x, targets, weights, n, each};
    for (int64_t i = 0; i < n; i++) {
        losses[i] = 0;
        if (weight_of(op, i) == 0) continue;
        for (int64_t j = 0; j < each; j++) distance[j] = fabsf(x->data[i * each + j] - targets[i * each + j]);
        losses[i] = (float)((double)weight_of(op, i) * (ap_sum_f64((size_t)each, distance) / (double)each));
    }
    ap_tape_record(tape, l1_backward, NULL, op, 1, &x);
    return (ap_loss){.summed = ap_sum_f64((size_t)n, losses),
                     .n_valid = weights ? ap_sum_f64((size_t)n, weights) : (double)n,
                     .per_example = losses,
                     .n = n};
}
