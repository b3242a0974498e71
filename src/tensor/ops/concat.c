/* Concatenation along the last dimension, [.., a] and [.., b] -> [.., a + b], and a slice of it. Copies. */
#include "tensor/ops.h"

#include <string.h>

/* rows of `count` floats: to[i * to_ld] (+)= from[i * from_ld] */
static void copy_rows(int64_t rows, int64_t count, const float *from, int64_t from_ld, bool accumulate, float *to,
                      int64_t to_ld) {
    for (int64_t i = 0; i < rows; i++, from += from_ld, to += to_ld) {
        if (accumulate)
            for (int64_t j = 0; j < count; j++) to[j] += from[j];
        else
            memcpy(to, from, (size_t)count * sizeof *to);
    }
}

typedef struct concat {
    ap_tensor *a, *b;
} concat;

static int64_t last_of(const ap_tensor *x) {
    return x->shape[x->rank - 1];
}

static void concat_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const concat *op = context;
    const int64_t all = last_of(y), rows = y->size / all, at = last_of(op->a);
    bool accumulate;
    float *da = ap_tape_grad(tape, op->a, &accumulate);
    if (da) copy_rows(rows, at, y->grad, all, accumulate, da, at);
    float *db = ap_tape_grad(tape, op->b, &accumulate);
    if (db) copy_rows(rows, all - at, y->grad + at, all, accumulate, db, all - at);
}

ap_tensor *ap_concat(ap_tape *tape, ap_tensor *a, ap_tensor *b) {
    if (ap_tape_status(tape, NULL) != AP_OK || !a || !b) return NULL;
    if (a->rank < 1 || a->rank != b->rank || memcmp(a->shape, b->shape, (size_t)(a->rank - 1) * sizeof *a->shape) != 0)
        return ap_tape_fail(tape, "concat: all dimensions but the last must be equal");
    int64_t shape[AP_MAX_RANK];
    memcpy(shape, a->shape, sizeof shape);
    shape[a->rank - 1] += last_of(b);
    ap_tensor *y = ap_tape_tensor(tape, a->rank, shape);
    concat *op = ap_tape_take(tape, sizeof *op);
    if (!y || !op) return NULL;
    *op = (concat){a, b};
    const int64_t all = last_of(y), rows = all ? y->size / all : 0;
    copy_rows(rows, last_of(a), a->data, last_of(a), false, y->data, all);
    copy_rows(rows, last_of(b), b->data, last_of(b), false, y->data + last_of(a), all);
    ap_tape_record(tape, concat_backward, y, op, 2, (ap_tensor *[]){a, b});
    return y;
}

typedef struct slice {
    ap_tensor *x;
    int64_t first;
} slice;

static void slice_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const slice *op = context;
    const int64_t all = last_of(op->x), count = last_of(y);
    bool accumulate;
    float *dx = ap_tape_grad(tape, op->x, &accumulate);
    if (!dx) return;
    if (!accumulate) memset(dx, 0, (size_t)op->x->size * sizeof *dx);
    copy_rows(y->size / count, count, y->grad, count, true, dx + op->first, all);
}

ap_tensor *ap_slice_last(ap_tape *tape, ap_tensor *x, int64_t first, int64_t count) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x) return NULL;
    if (x->rank < 1 || first < 0 || count < 1 || first + count > last_of(x))
        return ap_tape_fail(tape, "slice: columns %lld to %lld of %lld", (long long)first,
                            (long long)(first + count - 1), (long long)(x->rank ? last_of(x) : 0));
    int64_t shape[AP_MAX_RANK];
    memcpy(shape, x->shape, sizeof shape);
    shape[x->rank - 1] = count;
    ap_tensor *y = ap_tape_tensor(tape, x->rank, shape);
    slice *op = ap_tape_take(tape, sizeof *op);
    if (!y || !op) return NULL;
    *op = (slice){x, first};
    copy_rows(y->size / count, count, x->data + first, last_of(x), false, y->data, count);
    ap_tape_record(tape, slice_backward, y, op, 1, &x);
    return y;
}
