/* Linear layer: y[m, out] = x[m, in] w' + b, w [out, in], b [out].
 *
 * Order of sums. y: one fma chain over `in`, started from b (from +0 without bias). dx = dy w: one chain over `out`.
 * dw = dy' x: over m in chunks of AP_GEMM_CHUNK folded by a tree (ap_gemm_long_k). db: the same for columns of dy
 * (ap_column_sums). A further contribution to dx starts its chain from the gradient so far; to dw and db it is added.
 */
#include "tensor/kernels/reduce.h"
#include "tensor/ops.h"

#include <string.h>

typedef struct linear {
    ap_tensor *x, *w, *b; /* b may be NULL */
    int64_t m, in, out;
} linear;

/* A packed weight is made once a step and serves all shards of the rank; it cannot change a bit. The kernels pack a
 * transposed B for themselves in any case, so there it pays from the first use. A plain B they read where it lies for
 * few rows: packing it pays after one use from 29 rows on, below that after 6 to 16 (w [1024, 784], AVX-512). */
enum { ROWS_WORTH_PACKING = 29 };

static const float *packed_weight(ap_tape *tape, const linear *op, bool transpose) {
    if (ap_tape_math(tape) != AP_MATH_ORDERED || op->w->param < 0) return NULL;
    if (!transpose && op->m < ROWS_WORTH_PACKING) return NULL;
    return ap_params_packed(ap_tape_params(tape), op->w->param, transpose);
}

static void linear_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const linear *op = context;
    ap_math math = ap_tape_math(tape);
    bool accumulate;
    float *dw = ap_tape_grad(tape, op->w, &accumulate);
    if (dw)
        ap_gemm_long_k(math, &(ap_gemm_args){.transpose_a = true,
                                             .m = op->out,
                                             .n = op->in,
                                             .k = op->m,
                                             .a = y->grad,
                                             .lda = op->out,
                                             .b = op->x->data,
                                             .ldb = op->in,
                                             .c = dw,
                                             .ldc = op->in,
                                             .accumulate = accumulate});
    float *db = op->b ? ap_tape_grad(tape, op->b, &accumulate) : NULL;
    if (db) ap_column_sums(op->m, op->out, y->grad, op->out, accumulate, db);
    float *dx = ap_tape_grad(tape, op->x, &accumulate);
    if (dx)
        ap_gemm(math, &(ap_gemm_args){.m = op->m,
                                      .n = op->in,
                                      .k = op->out,
                                      .a = y->grad,
                                      .lda = op->out,
                                      .b = op->w->data,
                                      .ldb = op->in,
                                      .packed_b = packed_weight(tape, op, false),
                                      .c = dx,
                                      .ldc = op->in,
                                      .accumulate = accumulate});
}

static bool shapes_fit(ap_tape *tape, const ap_tensor *x, const ap_tensor *w, const ap_tensor *b) {
    if (w->rank != 2 || x->rank < 1 || x->shape[x->rank - 1] != w->shape[1])
        return ap_tape_fail(tape, "linear: x has %lld columns, w is [%lld, %lld] of rank %d (wanted [out, columns])",
                            (long long)(x->rank ? x->shape[x->rank - 1] : 1), (long long)w->shape[0],
                            (long long)w->shape[1], w->rank);
    if (b && (b->rank != 1 || b->size != w->shape[0]))
        return ap_tape_fail(tape, "linear: b has %lld elements, wanted %lld", (long long)b->size,
                            (long long)w->shape[0]);
    return true;
}

ap_tensor *ap_linear(ap_tape *tape, ap_tensor *x, ap_tensor *w, ap_tensor *b) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x || !w || !shapes_fit(tape, x, w, b)) return NULL;
    int64_t out = w->shape[0], in = w->shape[1], shape[AP_MAX_RANK];
    memcpy(shape, x->shape, sizeof shape);
    shape[x->rank - 1] = out;
    ap_tensor *y = ap_tape_tensor(tape, x->rank, shape);
    linear *op = ap_tape_take(tape, sizeof *op);
    if (!y || !op) return NULL;
    *op = (linear){.x = x, .w = w, .b = b, .m = y->size / out, .in = in, .out = out};

    for (int64_t i = 0; b && i < op->m; i++) memcpy(y->data + i * out, b->data, (size_t)out * sizeof(float));
    ap_gemm(ap_tape_math(tape), &(ap_gemm_args){.transpose_b = true,
                                                .m = op->m,
                                                .n = out,
                                                .k = in,
                                                .a = x->data,
                                                .lda = in,
                                                .b = w->data,
                                                .ldb = in,
                                                .packed_b = packed_weight(tape, op, true),
                                                .c = y->data,
                                                .ldc = out,
                                                .accumulate = b != NULL});
    ap_tape_record(tape, linear_backward, y, op, b ? 3 : 2, (ap_tensor *[]){x, w, b});
    return y;
}
