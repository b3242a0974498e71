/* y = x + t, t [trailing dimensions of x] repeated over the leading ones: a position table, a probe for every example.
 * dt: columns of dy (ap_column_sums). */
#include "tensor/kernels/reduce.h"
#include "tensor/ops.h"

#include <string.h>

typedef struct broadcast {
    ap_tensor *x, *t; /* x NULL: zeros */
} broadcast;

static void broadcast_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const broadcast *op = context;
    bool accumulate;
    float *dt = ap_tape_grad(tape, op->t, &accumulate);
    if (dt) ap_column_sums(y->size / op->t->size, op->t->size, y->grad, op->t->size, accumulate, dt);
    if (op->x) ap_tape_hand_over(tape, y, op->x);
}

ap_tensor *ap_add_repeated(ap_tape *tape, ap_tensor *x, ap_tensor *t) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x || !t) return NULL;
    if (t->size < 1 || x->size % t->size) return ap_tape_fail(tape, "add repeated: the sizes do not fit");
    ap_tensor *y = ap_tape_tensor(tape, x->rank, x->shape);
    broadcast *op = ap_tape_take(tape, sizeof *op);
    if (!y || !op) return NULL;
    *op = (broadcast){x, t};
    for (int64_t i = 0; i < x->size; i += t->size)
        for (int64_t j = 0; j < t->size; j++) y->data[i + j] = x->data[i + j] + t->data[j];
    ap_tape_record(tape, broadcast_backward, y, op, 2, (ap_tensor *[]){x, t});
    return y;
}

ap_tensor *ap_repeat(ap_tape *tape, ap_tensor *t, int rank, const int64_t *shape) {
    if (ap_tape_status(tape, NULL) != AP_OK || !t) return NULL;
    ap_tensor *y = ap_tape_tensor(tape, rank, shape);
    broadcast *op = ap_tape_take(tape, sizeof *op);
    if (!y || !op) return NULL;
    if (t->size < 1 || y->size % t->size) return ap_tape_fail(tape, "repeat: the sizes do not fit");
    *op = (broadcast){NULL, t};
    for (int64_t i = 0; i < y->size; i += t->size) memcpy(y->data + i, t->data, (size_t)t->size * sizeof *t->data);
    ap_tape_record(tape, broadcast_backward, y, op, 1, &t);
    return y;
}
