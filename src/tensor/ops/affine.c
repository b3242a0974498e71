/* y = factor x + shift, and y = a + factor b, elementwise, by constants; product and sum are rounded one by one. */
#include "tensor/ops.h"

typedef struct affine {
    ap_tensor *x, *a; /* a: NULL, or what is added */
    float factor;
} affine;

static void affine_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const affine *op = context;
    bool accumulate;
    float *dx = ap_tape_grad(tape, op->x, &accumulate);
    if (dx && accumulate)
        for (int64_t i = 0; i < y->size; i++) dx[i] += op->factor * y->grad[i];
    else if (dx)
        for (int64_t i = 0; i < y->size; i++) dx[i] = op->factor * y->grad[i];
    if (op->a) ap_tape_hand_over(tape, y, op->a);
}

static ap_tensor *begin(ap_tape *tape, ap_tensor *x, affine **op) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x) return NULL;
    ap_tensor *y = ap_tape_tensor(tape, x->rank, x->shape);
    *op = ap_tape_take(tape, sizeof **op);
    return *op ? y : NULL;
}

ap_tensor *ap_scale_shift(ap_tape *tape, ap_tensor *x, float factor, float shift) {
    affine *op;
    ap_tensor *y = begin(tape, x, &op);
    if (!y) return NULL;
    *op = (affine){x, NULL, factor};
    for (int64_t i = 0; i < x->size; i++) y->data[i] = factor * x->data[i] + shift;
    ap_tape_record(tape, affine_backward, y, op, 1, &x);
    return y;
}

ap_tensor *ap_add_scaled(ap_tape *tape, ap_tensor *a, float factor, ap_tensor *b) {
    if (ap_tape_status(tape, NULL) == AP_OK && a && b && a->size != b->size)
        return ap_tape_fail(tape, "add scaled: %lld and %lld elements", (long long)a->size, (long long)b->size);
    affine *op;
    ap_tensor *y = a && b ? begin(tape, a, &op) : NULL;
    if (!y) return NULL;
    *op = (affine){b, a, factor};
    for (int64_t i = 0; i < a->size; i++) y->data[i] = a->data[i] + factor * b->data[i];
    ap_tape_record(tape, affine_backward, y, op, 2, (ap_tensor *[]){a, b});
    return y;
}
