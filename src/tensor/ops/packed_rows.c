/* Sequences of different lengths: without their padding: x [n, steps, ..] <-> [rows, ..], where example i's first
 * lengths[i] steps follow each other; and with it, activated and set to 0. What works row by row (linear layers, norms,
 * activations, losses) then does no work for padding, and sums over rows do not see it. Copies; no sums. */
#include "tensor/kernels/reduce.h"
#include "tensor/ops.h"

#include <string.h>

typedef struct packed_rows {
    ap_tensor *x;
    int64_t n, steps, width;
    const int64_t *lengths; /* borrowed until backward */
} packed_rows;

/* padded [n, steps, width] -> packed (to_packed), or packed -> padded, adding or copying. */
static void copy_rows(const packed_rows *op, bool to_packed, bool add, const float *from, float *to) {
    int64_t row = 0;
    for (int64_t i = 0; i < op->n; i++) {
        const int64_t padded = i * op->steps * op->width, packed = row * op->width, size = op->lengths[i] * op->width;
        float *out = to + (to_packed ? packed : padded);
        const float *in = from + (to_packed ? padded : packed);
        if (add)
            ap_add_into((size_t)size, in, out);
        else
            memcpy(out, in, (size_t)size * sizeof *out);
        if (!to_packed && !add) memset(out + size, 0, (size_t)(op->steps * op->width - size) * sizeof *out);
        row += op->lengths[i];
    }
}

static void pack_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const packed_rows *op = context;
    bool accumulate;
    float *dx = ap_tape_grad(tape, op->x, &accumulate);
    if (dx) copy_rows(op, false, accumulate, y->grad, dx);
}

static void unpack_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const packed_rows *op = context;
    bool accumulate;
    float *dx = ap_tape_grad(tape, op->x, &accumulate);
    if (dx) copy_rows(op, true, accumulate, y->grad, dx);
}

/* Sum of the lengths; -1 and the sticky error if one is out of range. */
static int64_t count_rows(ap_tape *tape, int64_t n, int64_t steps, const int64_t *lengths) {
    int64_t rows = 0;
    for (int64_t i = 0; i < n; i++) {
        if (lengths[i] < 0 || lengths[i] > steps) {
            ap_tape_fail_as(tape, AP_DATA, "example %lld of the shard has %lld steps (must be in 0 .. %lld)",
                            (long long)i, (long long)lengths[i], (long long)steps);
            return -1;
        }
        rows += lengths[i];
    }
    return rows;
}

ap_tensor *ap_pack_rows(ap_tape *tape, ap_tensor *x, const int64_t *lengths) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x) return NULL;
    if (x->rank < 3) return ap_tape_fail(tape, "pack rows: rank %d (wanted [n, steps, ..])", x->rank);
    const int64_t rows = count_rows(tape, x->shape[0], x->shape[1], lengths);
    if (rows < 0) return NULL;
    int64_t shape[AP_MAX_RANK] = {rows};
    memcpy(shape + 1, x->shape + 2, (size_t)(x->rank - 2) * sizeof *shape);
    ap_tensor *y = ap_tape_tensor(tape, x->rank - 1, shape);
    packed_rows *op = ap_tape_take(tape, sizeof *op);
    if (!y || !op) return NULL;
    *op = (packed_rows){x, x->shape[0], x->shape[1], 1, lengths};
    for (int i = 2; i < x->rank; i++) op->width *= x->shape[i];
    copy_rows(op, true, false, x->data, y->data);
    ap_tape_record(tape, pack_backward, y, op, 1, &x);
    return y;
}

ap_tensor *ap_unpack_rows(ap_tape *tape, ap_tensor *x, int64_t n, int64_t steps, const int64_t *lengths) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x) return NULL;
    const int64_t rows = count_rows(tape, n, steps, lengths);
    if (rows < 0) return NULL;
    if (x->rank < 2 || x->rank == AP_MAX_RANK || x->shape[0] != rows)
        return ap_tape_fail(tape, "unpack rows: %lld rows of rank %d (wanted %lld rows)",
                            (long long)(x->rank ? x->shape[0] : 1), x->rank, (long long)rows);
    int64_t shape[AP_MAX_RANK] = {n, steps};
    memcpy(shape + 2, x->shape + 1, (size_t)(x->rank - 1) * sizeof *shape);
    ap_tensor *y = ap_tape_tensor(tape, x->rank + 1, shape);
    packed_rows *op = ap_tape_take(tape, sizeof *op);
    if (!y || !op) return NULL;
    *op = (packed_rows){x, n, steps, 1, lengths};
    for (int i = 1; i < x->rank; i++) op->width *= x->shape[i];
    copy_rows(op, false, false, x->data, y->data);
    ap_tape_record(tape, unpack_backward, y, op, 1, &x);
    return y;
}

/* ---- activation where there is no padding */

typedef struct activated_rows {
    ap_tensor *x;
    const int64_t *lengths; /* borrowed until backward */
    ap_activation kind;
} activated_rows;

static void activated_rows_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const activated_rows *op = context;
    bool accumulate;
    float *dx = ap_tape_grad(tape, op->x, &accumulate);
    if (!dx) return;
    const int64_t example = y->shape[0] ? y->size / y->shape[0] : 0, width = y->shape[1] ? example / y->shape[1] : 0;
    for (int64_t i = 0; i < y->shape[0]; i++) {
        const int64_t at = i * example, valid = op->lengths[i] * width;
        ap_activate_back(op->kind, 0, (size_t)valid, y->data + at, y->grad + at, accumulate, dx + at);
        if (!accumulate) memset(dx + at + valid, 0, (size_t)(example - valid) * sizeof *dx);
    }
}

ap_tensor *ap_activate_rows(ap_tape *tape, ap_tensor *x, const int64_t *lengths, ap_activation kind) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x) return NULL;
    if (x->rank < 3 || !ap_activation_knows_from_output(kind))
        return ap_tape_fail(tape, "activate rows: rank %d (wanted [n, steps, ..]), or activation %d needs its input",
                            x->rank, (int)kind);
    if (count_rows(tape, x->shape[0], x->shape[1], lengths) < 0) return NULL;
    ap_tensor *y = ap_tape_tensor(tape, x->rank, x->shape);
    activated_rows *op = ap_tape_take(tape, sizeof *op);
    if (!y || !op) return NULL;
    *op = (activated_rows){x, lengths, kind};
    const int64_t example = y->shape[0] ? y->size / y->shape[0] : 0, width = y->shape[1] ? example / y->shape[1] : 0;
    for (int64_t i = 0; i < y->shape[0]; i++) {
        const int64_t at = i * example, valid = lengths[i] * width;
        ap_activate(kind, 0, (size_t)valid, x->data + at, y->data + at);
        memset(y->data + at + valid, 0, (size_t)(example - valid) * sizeof *y->data);
    }
    ap_tape_record(tape, activated_rows_backward, y, op, 1, &x);
    return y;
}
