/* Elementwise operations: activations y[i] = f(x[i]) (kernels/activation.h), sums and products of tensors of one shape.
 * No sums over elements; every operation is rounded by itself, in the order written. */
#include "tensor/kernels/activation.h"
#include "tensor/kernels/reduce.h"
#include "tensor/ops.h"

#include <string.h>

static ap_tensor *same_shape(ap_tape *tape, const ap_tensor *x) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x) return NULL;
    return ap_tape_tensor(tape, x->rank, x->shape);
}

/* ---- activations */

typedef struct activated {
    ap_tensor *x;
    ap_activation kind;
    float slope;
} activated;

static void activated_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const activated *op = context;
    const float *dy = y->grad;
    bool accumulate;
    float *dx = ap_tape_grad_in_place(tape, y, op->x, &accumulate);
    if (!dx) return;
    const float *known = ap_activation_knows_from_output(op->kind) ? y->data : op->x->data;
    ap_activate_back(op->kind, op->slope, (size_t)y->size, known, dy, accumulate, dx);
}

ap_tensor *ap_activation_of(ap_tape *tape, ap_tensor *x, ap_activation kind, float slope) {
    if (kind == AP_IDENTITY) return x;
    ap_tensor *y = same_shape(tape, x);
    activated *op = y ? ap_tape_take(tape, sizeof *op) : NULL;
    if (!op) return NULL;
    *op = (activated){x, kind, slope};
    ap_activate(kind, slope, (size_t)x->size, x->data, y->data);
    ap_tape_record(tape, activated_backward, y, op, 1, &x);
    return y;
}

ap_tensor *ap_sigmoid(ap_tape *tape, ap_tensor *x) {
    return ap_activation_of(tape, x, AP_SIGMOID, 0);
}
ap_tensor *ap_relu(ap_tape *tape, ap_tensor *x) {
    return ap_activation_of(tape, x, AP_RELU, 0);
}

/* ---- sums and products */

static bool shapes_are_equal(const ap_tensor *a, const ap_tensor *b) {
    return a->rank == b->rank && memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) == 0;
}

typedef struct pair {
    ap_tensor *a, *b;
} pair;

static void add_to_grad(ap_tape *tape, ap_tensor *x, const float *dy) {
    bool accumulate;
    float *dx = ap_tape_grad(tape, x, &accumulate);
    if (!dx) return;
    if (accumulate)
        ap_add_into((size_t)x->size, dy, dx);
    else
        memcpy(dx, dy, (size_t)x->size * sizeof *dx);
}

static void add_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const pair *op = context;
    add_to_grad(tape, op->b, y->grad);
    ap_tape_hand_over(tape, y, op->a);
}

ap_tensor *ap_add(ap_tape *tape, ap_tensor *a, ap_tensor *b) {
    if (ap_tape_status(tape, NULL) != AP_OK || !a || !b) return NULL;
    if (!shapes_are_equal(a, b)) return ap_tape_fail(tape, "add: the shapes differ");
    ap_tensor *y = same_shape(tape, a);
    pair *op = y ? ap_tape_take(tape, sizeof *op) : NULL;
    if (!op) return NULL;
    *op = (pair){a, b};
    for (int64_t i = 0; i < y->size; i++) y->data[i] = a->data[i] + b->data[i];
    ap_tape_record(tape, add_backward, y, op, 2, (ap_tensor *[]){a, b});
    return y;
}

static void times_to_grad(ap_tape *tape, ap_tensor *x, const float *dy, const float *factor) {
    bool accumulate;
    float *dx = ap_tape_grad(tape, x, &accumulate);
    if (!dx) return;
    if (accumulate)
        for (int64_t i = 0; i < x->size; i++) dx[i] += dy[i] * factor[i];
    else
        for (int64_t i = 0; i < x->size; i++) dx[i] = dy[i] * factor[i];
}

static void multiply_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const pair *op = context;
    times_to_grad(tape, op->a, y->grad, op->b->data);
    times_to_grad(tape, op->b, y->grad, op->a->data);
}

ap_tensor *ap_multiply(ap_tape *tape, ap_tensor *a, ap_tensor *b) {
    if (ap_tape_status(tape, NULL) != AP_OK || !a || !b) return NULL;
    if (!shapes_are_equal(a, b)) return ap_tape_fail(tape, "multiply: the shapes differ");
    ap_tensor *y = same_shape(tape, a);
    pair *op = y ? ap_tape_take(tape, sizeof *op) : NULL;
    if (!op) return NULL;
    *op = (pair){a, b};
    for (int64_t i = 0; i < y->size; i++) y->data[i] = a->data[i] * b->data[i];
    ap_tape_record(tape, multiply_backward, y, op, 2, (ap_tensor *[]){a, b});
    return y;
}
