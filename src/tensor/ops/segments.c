/* The sum or mean of the rows of each segment, and the row of each one's segment, which are each other's backward.
 * Order of the sums: kernels/segments.h; the mean divides the sum by the number of rows (of none: 0). Source: Battaglia
 * et al. 2018, "Relational inductive biases, deep learning, and graph networks", algorithm 1 (aggregations). */
#include "tensor/kernels/segments.h"
#include "tensor/ops.h"

const ap_segments *ap_segments_of(ap_tape *tape, int64_t rows, const int64_t *of, int64_t count) {
    if (ap_tape_status(tape, NULL) != AP_OK) return NULL;
    for (int64_t i = 0; i < rows; i++)
        if (of[i] < 0 || of[i] >= count)
            return ap_tape_fail_as(tape, AP_DATA, "row %lld belongs to segment %lld (there are %lld, from 0 on)",
                                   (long long)i, (long long)of[i], (long long)count);
    ap_segments *s = ap_tape_take(tape, sizeof *s);
    int64_t *order = ap_tape_take(tape, (size_t)(rows + count + 1) * sizeof *order);
    if (!s || !order) return NULL;
    ap_segments_sort(rows, of, count, order, order + rows);
    *s = (ap_segments){.rows = rows, .count = count, .of = of, .order = order, .first = order + rows};
    return s;
}

typedef struct segmented {
    ap_tensor *x;
    const ap_segments *segments;
    bool mean;
} segmented;

/* rows[k] /= number of rows of segment k */
static void divide(const ap_segments *s, int64_t columns, float *rows) {
    for (int64_t k = 0; k < s->count; k++) {
        const float n = (float)(s->first[k + 1] - s->first[k]);
        for (int64_t j = 0; n > 1 && j < columns; j++) rows[k * columns + j] /= n;
    }
}

static int64_t columns_of(const ap_tensor *x) {
    return x->shape[0] ? x->size / x->shape[0] : 0;
}

/* y [rows_out, the other dimensions of x], if x has rows_in rows. */
static ap_tensor *begin(ap_tape *tape, ap_tensor *x, const ap_segments *s, int64_t rows_in, int64_t rows_out,
                        segmented **op) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x || !s) return NULL;
    if (x->rank < 1 || x->shape[0] != rows_in)
        return ap_tape_fail(tape, "segments: x has %lld rows (wanted %lld)", (long long)(x->rank ? x->shape[0] : 1),
                            (long long)rows_in);
    int64_t shape[AP_MAX_RANK] = {rows_out};
    for (int i = 1; i < x->rank; i++) shape[i] = x->shape[i];
    ap_tensor *y = ap_tape_tensor(tape, x->rank, shape);
    *op = ap_tape_take(tape, sizeof **op);
    if (!y || !*op) return NULL;
    **op = (segmented){x, s, false};
    return y;
}

static void sum_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const segmented *op = context;
    bool accumulate;
    float *dx = ap_tape_grad(tape, op->x, &accumulate);
    if (!dx) return;
    const int64_t columns = columns_of(op->x);
    if (op->mean) divide(op->segments, columns, y->grad);
    ap_gather_rows_of(op->segments, columns, y->grad, accumulate, dx);
}

static ap_tensor *sum(ap_tape *tape, ap_tensor *x, const ap_segments *segments, bool mean) {
    segmented *op = NULL;
    ap_tensor *y = begin(tape, x, segments, segments ? segments->rows : 0, segments ? segments->count : 0, &op);
    if (!y) return NULL;
    const int64_t columns = columns_of(y);
    ap_segment_sums(segments, columns, x->data, false, y->data);
    op->mean = mean;
    if (mean) divide(segments, columns, y->data);
    ap_tape_record(tape, sum_backward, y, op, 1, &x);
    return y;
}

ap_tensor *ap_segment_sum(ap_tape *tape, ap_tensor *x, const ap_segments *segments) {
    return sum(tape, x, segments, false);
}
ap_tensor *ap_segment_mean(ap_tape *tape, ap_tensor *x, const ap_segments *segments) {
    return sum(tape, x, segments, true);
}

static void gather_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const segmented *op = context;
    bool accumulate;
    float *dx = ap_tape_grad(tape, op->x, &accumulate);
    if (dx) ap_segment_sums(op->segments, columns_of(op->x), y->grad, accumulate, dx);
}

ap_tensor *ap_gather_rows(ap_tape *tape, ap_tensor *x, const ap_segments *segments) {
    segmented *op = NULL;
    ap_tensor *y = begin(tape, x, segments, segments ? segments->count : 0, segments ? segments->rows : 0, &op);
    if (!y) return NULL;
    ap_gather_rows_of(segments, columns_of(x), x->data, false, y->data);
    ap_tape_record(tape, gather_backward, y, op, 1, &x);
    return y;
}
