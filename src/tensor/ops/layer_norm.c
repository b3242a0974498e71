/* Layer normalisation (Ba et al. 2016) over the last dimension:
 *
 *     y = z scale + bias,  z = (x - mean) rstd,  rstd = 1 / sqrt(mean of (x - mean)^2 + eps)
 *     dx = rstd (g - mean(g) - z mean(g z)),  g = dy scale
 *
 * Sums over a row: 16 lanes in float (reduce.h), of x, then of squares of the differences. Gradients of scale and bias:
 * one chain of additions in double down the rows. */
#include "tensor/kernels/blocking.h"
#include "tensor/kernels/kernel_set.h"
#include "tensor/ops.h"

#include <stdatomic.h>
#include <string.h>

typedef struct layer_norm {
    ap_tensor *x, *scale, *bias; /* the last two may be NULL */
    int64_t rows, n;
    float *mean, *rstd; /* [rows] */
    float eps;
} layer_norm;

enum { ROWS = 32, STRIP = 256, WORTH_THREADS = 1 << 18 };

static int threads_for(const layer_norm *op) {
    return op->x->size < WORTH_THREADS ? 1 : ap_kernels_threads();
}

typedef struct task {
    const layer_norm *op;
    float *out; /* y, or dx */
    const float *dy;
    bool accumulate;
    double *sums; /* [2][n] */
    atomic_bool failed;
} task;

static void normalise_rows(int64_t index, void *context) {
    const task *t = context;
    const layer_norm *op = t->op;
    for (int64_t i = index * ROWS; i < op->rows && i < (index + 1) * ROWS; i++)
        ap_kernels_current()->layer_norm_row((size_t)op->n, op->x->data + i * op->n, op->scale ? op->scale->data : NULL,
                                             op->bias ? op->bias->data : NULL, op->eps, t->out + i * op->n,
                                             &op->mean[i], &op->rstd[i]);
}

static void gradient_rows(int64_t index, void *context) {
    task *t = context;
    const layer_norm *op = t->op;
    float *work = ap_scratch(AP_SCRATCH_LINES, (size_t)(2 * op->n));
    if (!work) {
        atomic_store(&t->failed, true);
        return;
    }
    for (int64_t i = index * ROWS; i < op->rows && i < (index + 1) * ROWS; i++)
        ap_kernels_current()->layer_norm_row_back((size_t)op->n, op->x->data + i * op->n, t->dy + i * op->n,
                                                  op->scale ? op->scale->data : NULL, op->mean[i], op->rstd[i],
                                                  t->accumulate, t->out + i * op->n, work);
}

static void column_sums(int64_t strip, void *context) {
    const task *t = context;
    const layer_norm *op = t->op;
    const int64_t j = strip * STRIP, columns = ap_smaller(STRIP, op->n - j);
    memset(t->sums + j, 0, (size_t)columns * sizeof *t->sums);
    memset(t->sums + op->n + j, 0, (size_t)columns * sizeof *t->sums);
    for (int64_t i = 0; i < op->rows; i += ROWS)
        ap_kernels_current()->add_row_moments(ap_smaller(ROWS, op->rows - i), columns, op->x->data + i * op->n + j,
                                              t->dy + i * op->n + j, op->n, op->mean + i, op->rstd + i, t->sums + j,
                                              t->sums + op->n + j);
}

static void put_sums(ap_tape *tape, ap_tensor *parameter, int64_t n, const double *sums) {
    bool accumulate;
    float *d = parameter ? ap_tape_grad(tape, parameter, &accumulate) : NULL;
    for (int64_t j = 0; d && j < n; j++) d[j] = accumulate ? d[j] + (float)sums[j] : (float)sums[j];
}

static void layer_norm_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const layer_norm *op = context;
    task t = {.op = op, .dy = y->grad};
    if (op->scale || op->bias) {
        t.sums = ap_tape_take(tape, (size_t)(2 * op->n) * sizeof *t.sums);
        if (!t.sums) return;
        ap_kernels_for(threads_for(op), ap_quotient_up(op->n, STRIP), column_sums, &t);
        put_sums(tape, op->bias, op->n, t.sums);
        put_sums(tape, op->scale, op->n, t.sums + op->n);
    }
    t.out = ap_tape_grad_in_place(tape, y, op->x, &t.accumulate);
    if (t.out) ap_kernels_for(threads_for(op), ap_quotient_up(op->rows, ROWS), gradient_rows, &t);
    if (atomic_load(&t.failed))
        ap_tape_fail_as(tape, AP_ENVIRONMENT, "out of memory for the gradient of a layer norm of %lld columns",
                        (long long)op->n);
}

ap_tensor *ap_layer_norm(ap_tape *tape, ap_tensor *x, ap_tensor *scale, ap_tensor *bias, float eps) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x) return NULL;
    const int64_t n = x->rank ? x->shape[x->rank - 1] : 0;
    if (n < 1 || (scale && scale->size != n) || (bias && bias->size != n))
        return ap_tape_fail(tape, "layer norm: x has %lld columns; scale and bias must have as many", (long long)n);
    ap_tensor *y = ap_tape_tensor(tape, x->rank, x->shape);
    layer_norm *op = ap_tape_take(tape, sizeof *op);
    const int64_t rows = x->size / n;
    float *statistics = ap_tape_take(tape, (size_t)(2 * rows) * sizeof *statistics);
    if (!y || !op || !statistics) return NULL;
    *op = (layer_norm){x, scale, bias, rows, n, statistics, statistics + rows, eps};
    task t = {.op = op, .out = y->data};
    ap_kernels_for(threads_for(op), ap_quotient_up(rows, ROWS), normalise_rows, &t);
    ap_tensor *inputs[3] = {x};
    int count = 1;
    if (scale) inputs[count++] = scale;
    if (bias) inputs[count++] = bias;
    ap_tape_record(tape, layer_norm_backward, y, op, count, inputs);
    return y;
}
