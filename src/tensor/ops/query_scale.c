/* Query scaling: x [.., heads d], s [d] shared by the heads:
 *
 *     y[.., h d + j] = x[.., h d + j] r_j,   r_j = 1.442695041 softplus(s_j)  (1 at s_j = 0)
 *     ds_j = 1.442695041 sigmoid(s_j) sum over rows and heads of dy x
 *
 * The sum over rows and heads is that of the columns of dy x [rows heads, d] (ap_column_sums). softplus and sigmoid in
 * double. Source: AlgoPerf reference code, librispeech_conformer, QueryScaler. */
#include "base/fmath.h"
#include "tensor/kernels/reduce.h"
#include "tensor/ops.h"

static const float PER_DOUBLING = 1.442695041f;

typedef struct query_scale {
    ap_tensor *x, *s;
    float *factor; /* [d] */
} query_scale;

/* log(1 + e^s), stable for either sign. */
static double softplus(double s) {
    const double tail = ap_f64_log(1 + ap_f64_exp(s > 0 ? -s : s));
    return s > 0 ? s + tail : tail;
}
static double sigmoid(double s) {
    return 1 / (1 + ap_f64_exp(-s));
}

static void query_scale_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const query_scale *op = context;
    const int64_t d = op->s->size;
    bool accumulate;
    float *ds = ap_tape_grad(tape, op->s, &accumulate);
    float *product = ds ? ap_tape_take(tape, (size_t)y->size * sizeof *product) : NULL;
    float *sums = product ? ap_tape_take(tape, (size_t)d * sizeof *sums) : NULL;
    if (sums) {
        for (int64_t i = 0; i < y->size; i++) product[i] = y->grad[i] * op->x->data[i];
        ap_column_sums(y->size / d, d, product, d, false, sums);
        for (int64_t j = 0; j < d; j++) {
            const float slope = (float)((double)PER_DOUBLING * sigmoid((double)op->s->data[j]));
            ds[j] = accumulate ? ds[j] + sums[j] * slope : sums[j] * slope;
        }
    }
    float *dx = ap_tape_grad(tape, op->x, &accumulate);
    for (int64_t i = 0; dx && i < y->size; i += d)
        for (int64_t j = 0; j < d; j++) {
            const float g = y->grad[i + j] * op->factor[j];
            dx[i + j] = accumulate ? dx[i + j] + g : g;
        }
}

ap_tensor *ap_query_scale(ap_tape *tape, ap_tensor *x, ap_tensor *s) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x || !s) return NULL;
    const int64_t d = s->size;
    if (x->rank < 1 || d < 1 || x->shape[x->rank - 1] % d)
        return ap_tape_fail(tape, "query scale: %lld columns are no multiple of %lld",
                            (long long)(x->rank ? x->shape[x->rank - 1] : 1), (long long)d);
    ap_tensor *y = ap_tape_tensor(tape, x->rank, x->shape);
    query_scale *op = ap_tape_take(tape, sizeof *op);
    float *factor = ap_tape_take(tape, (size_t)d * sizeof *factor);
    if (!y || !op || !factor) return NULL;
    *op = (query_scale){x, s, factor};
    for (int64_t j = 0; j < d; j++) factor[j] = PER_DOUBLING * (float)softplus((double)s->data[j]);
    for (int64_t i = 0; i < x->size; i += d)
        for (int64_t j = 0; j < d; j++) y->data[i + j] = x->data[i + j] * factor[j];
    ap_tape_record(tape, query_scale_backward, y, op, 2, (ap_tensor *[]){x, s});
    return y;
}
