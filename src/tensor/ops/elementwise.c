/* Elementwise operations: y[i] = f(x[i]); their gradients are written in terms of y, so x need not be kept by others.
 * No sums; every product is rounded by itself, in the order written. */
#include "tensor/kernels/vecmath.h"
#include "tensor/ops.h"

static ap_tensor *same_shape(ap_tape *tape, const ap_tensor *x) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x) return NULL;
    return ap_tape_tensor(tape, x->rank, x->shape);
}

/* dx = dy (y (1 - y)) */
static void sigmoid_backward(ap_tape *tape, ap_tensor *output, void *context) {
    bool accumulate;
    float *dx = ap_tape_grad(tape, context, &accumulate);
    const float *y = output->data, *dy = output->grad;
    if (!dx) return;
    if (accumulate)
        for (int64_t i = 0; i < output->size; i++) dx[i] += dy[i] * (y[i] * (1 - y[i]));
    else
        for (int64_t i = 0; i < output->size; i++) dx[i] = dy[i] * (y[i] * (1 - y[i]));
}

ap_tensor *ap_sigmoid(ap_tape *tape, ap_tensor *x) {
    ap_tensor *y = same_shape(tape, x);
    if (!y) return NULL;
    ap_vsigmoid((size_t)x->size, x->data, y->data);
    ap_tape_record(tape, sigmoid_backward, y, x, 1, &x);
    return y;
}

/* dx = dy where y > 0, else 0; a NaN lets dy through, as in the published implementation. */
static void relu_backward(ap_tape *tape, ap_tensor *output, void *context) {
    bool accumulate;
    float *dx = ap_tape_grad(tape, context, &accumulate);
    const float *y = output->data, *dy = output->grad;
    if (!dx) return;
    if (accumulate)
        for (int64_t i = 0; i < output->size; i++) dx[i] += y[i] <= 0 ? 0 : dy[i];
    else
        for (int64_t i = 0; i < output->size; i++) dx[i] = y[i] <= 0 ? 0 : dy[i];
}

ap_tensor *ap_relu(ap_tape *tape, ap_tensor *x) {
    ap_tensor *y = same_shape(tape, x);
    if (!y) return NULL;
    for (int64_t i = 0; i < x->size; i++) y->data[i] = x->data[i] <= 0 ? 0 : x->data[i]; /* NaN stays NaN */
    ap_tape_record(tape, relu_backward, y, x, 1, &x);
    return y;
}
