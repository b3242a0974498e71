/* RMS norm over rows x [.., n] with gain g [n] (Zhang & Sennrich 2019), and rows divided by their length:
 *
 *     y_j = x_j r g_j,   r = 1 / sqrt(mean x^2 + eps)
 *     dx_j = r (g_j dy_j - x_j r^2 mean_k(g_k dy_k x_k)),   dg_j = sum over rows of dy_j x_j r
 *
 *     y_j = x_j / |x| + eps                      (finewebedu_lm's norm of queries and keys, PyTorch form)
 *     dx_j = (dy_j - u_j sum_k u_k dy_k) / |x|,  u = x / |x|
 *
 * Row sums: 16 lanes in double (reduce.h), r and 1 / |x| in double, rounded once. dg: columns of a buffer
 * (ap_column_sums). A row of zeros has no direction: 0 / 0, as published. */
#include "tensor/kernels/reduce.h"
#include "tensor/ops.h"

#include <math.h>

typedef struct rows_norm {
    ap_tensor *x, *gain; /* gain NULL: rows by their length */
    int64_t rows, n;
    float *factor; /* [rows] r, or 1 / |x| */
} rows_norm;

static void gain_gradient(ap_tape *tape, const rows_norm *op, const ap_tensor *y) {
    bool accumulate;
    float *dg = ap_tape_grad(tape, op->gain, &accumulate);
    float *product = dg ? ap_tape_take(tape, (size_t)y->size * sizeof *product) : NULL;
    if (!product) return;
    for (int64_t i = 0; i < op->rows; i++)
        for (int64_t j = 0; j < op->n; j++) {
            const int64_t at = i * op->n + j;
            product[at] = y->grad[at] * (op->x->data[at] * op->factor[i]);
        }
    ap_column_sums(op->rows, op->n, product, op->n, accumulate, dg);
}

static void rows_norm_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const rows_norm *op = context;
    const size_t n = (size_t)op->n;
    if (op->gain) gain_gradient(tape, op, y);
    bool accumulate;
    float *dx = ap_tape_grad(tape, op->x, &accumulate);
    float *scaled = dx ? ap_tape_take(tape, n * sizeof *scaled) : NULL;
    if (!scaled) return;
    for (int64_t i = 0; i < op->rows; i++) {
        const float *x = op->x->data + i * op->n, *dy = y->grad + i * op->n, r = op->factor[i];
        for (size_t j = 0; j < n; j++) scaled[j] = op->gain ? op->gain->data[j] * dy[j] : dy[j];
        const double along = ap_dot_f64(n, scaled, x) * (double)r * (double)r;
        const float share = (float)(op->gain ? along / (double)op->n : along);
        float *out = dx + i * op->n;
        for (size_t j = 0; j < n; j++) {
            const float g = r * (scaled[j] - x[j] * share);
            out[j] = accumulate ? out[j] + g : g;
        }
    }
}

static ap_tensor *normalise(ap_tape *tape, ap_tensor *x, ap_tensor *gain, int64_t n, float eps) {
    ap_tensor *y = ap_tape_tensor(tape, x->rank, x->shape);
    rows_norm *op = ap_tape_take(tape, sizeof *op);
    float *factor = ap_tape_take(tape, (size_t)(x->size / n) * sizeof *factor);
    if (!y || !op || !factor) return NULL;
    *op = (rows_norm){x, gain, x->size / n, n, factor};
    for (int64_t i = 0; i < op->rows; i++) {
        const float *in = x->data + i * n;
        const double square = ap_dot_f64((size_t)n, in, in);
        factor[i] = (float)(1 / sqrt(gain ? square / (double)n + (double)eps : square));
        float *out = y->data + i * n;
        if (gain)
            for (int64_t j = 0; j < n; j++) out[j] = in[j] * factor[i] * gain->data[j];
        else
            for (int64_t j = 0; j < n; j++) out[j] = in[j] * factor[i] + eps;
    }
    ap_tape_record(tape, rows_norm_backward, y, op, gain ? 2 : 1, (ap_tensor *[]){x, gain});
    return y;
}

ap_tensor *ap_rms_norm(ap_tape *tape, ap_tensor *x, ap_tensor *gain, float eps) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x || !gain) return NULL;
    if (x->rank < 1 || gain->size < 1 || x->shape[x->rank - 1] != gain->size)
        return ap_tape_fail(tape, "RMS norm: rows of %lld, gains of %lld",
                            (long long)(x->rank ? x->shape[x->rank - 1] : 1), (long long)gain->size);
    return normalise(tape, x, gain, gain->size, eps);
}

ap_tensor *ap_unit_rows(ap_tape *tape, ap_tensor *x, int64_t n, float eps) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x) return NULL;
    if (x->rank < 1 || n < 1 || x->shape[x->rank - 1] % n)
        return ap_tape_fail(tape, "unit rows: %lld columns are no multiple of %lld",
                            (long long)(x->rank ? x->shape[x->rank - 1] : 1), (long long)n);
    return normalise(tape, x, NULL, n, eps);
}
