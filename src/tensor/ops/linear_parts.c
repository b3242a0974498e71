/* A linear layer of a row that is put together from parts, without putting it together:
 *
 *     y[i] = b + sum over parts p of  x_p[of_p[i]] w_p',   w = [w_0 | w_1 | ..], w_p [out, columns of x_p]
 *
 * A part of the edges' kind has a row for each row of y. A gathered part (the node an edge leaves) is multiplied first,
 * once for each of its own rows, and the products are gathered: in a molecule half as many products as edges, and no
 * concatenated matrix (ogbg's edge update: 48 % of the multiplications of the direct form).
 *
 * Order of sums. y[i]: b (without: +0), plus the products of the gathered parts, each one chain over its columns from
 * +0, in the order of the parts; from there one fma chain over the columns of the direct parts, in the order of the
 * parts. Gradients: those of a linear layer (linear.c), part by part, with dy or, for a gathered part, the sums of dy
 * over its rows' segments (kernels/segments.h). */
#include "tensor/kernels/reduce.h"
#include "tensor/kernels/segments.h"
#include "tensor/ops.h"

#include <string.h>

typedef struct linear_parts {
    int count;
    ap_linear_part part[AP_LINEAR_PARTS];
    ap_tensor *w, *b; /* b may be NULL */
    int64_t m, out, in;
} linear_parts;

/* ---- backward */

/* dw_p (+)= dy' x and dx (+)= dy w_p, dy [rows of x, out]. */
static void part_backward(ap_tape *tape, const linear_parts *op, ap_tensor *x, int64_t column, const float *dy,
                          float *dw, bool accumulate_dw) {
    const int64_t rows = x->shape[0], columns = x->shape[1];
    const ap_math math = ap_tape_math(tape);
    bool accumulate;
    if (dw)
        ap_gemm_long_k(math, &(ap_gemm_args){.transpose_a = true,
                                             .m = op->out,
                                             .n = columns,
                                             .k = rows,
                                             .a = dy,
                                             .lda = op->out,
                                             .b = x->data,
                                             .ldb = columns,
                                             .c = dw + column,
                                             .ldc = op->in,
                                             .accumulate = accumulate_dw});
    float *dx = ap_tape_grad(tape, x, &accumulate);
    if (dx)
        ap_gemm(math, &(ap_gemm_args){.m = rows,
                                      .n = columns,
                                      .k = op->out,
                                      .a = dy,
                                      .lda = op->out,
                                      .b = op->w->data + column,
                                      .ldb = op->in,
                                      .c = dx,
                                      .ldc = columns,
                                      .accumulate = accumulate});
}

static void linear_parts_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const linear_parts *op = context;
    bool accumulate;
    float *db = op->b ? ap_tape_grad(tape, op->b, &accumulate) : NULL;
    if (db) ap_column_sums(op->m, op->out, y->grad, op->out, accumulate, db);
    float *dw = ap_tape_grad(tape, op->w, &accumulate);
    int64_t column = 0;
    for (int p = 0; p < op->count; column += op->part[p++].x->shape[1]) {
        ap_tensor *x = op->part[p].x;
        const ap_segments *rows = op->part[p].rows;
        const float *dy = y->grad;
        if (rows) {
            float *sums = ap_tape_take(tape, (size_t)(rows->count * op->out) * sizeof *sums);
            if (!sums) return;
            ap_segment_sums(rows, op->out, y->grad, false, sums);
            dy = sums;
        }
        part_backward(tape, op, x, column, dy, dw, accumulate);
    }
}

/* ---- forward */

/* c (+)= x w_p', w_p the columns of w from `column` on. */
static void multiply(ap_tape *tape, const linear_parts *op, const ap_tensor *x, int64_t column, bool accumulate,
                     float *c) {
    ap_gemm(ap_tape_math(tape), &(ap_gemm_args){.transpose_b = true,
                                                .m = x->shape[0],
                                                .n = op->out,
                                                .k = x->shape[1],
                                                .a = x->data,
                                                .lda = x->shape[1],
                                                .b = op->w->data + column,
                                                .ldb = op->in,
                                                .c = c,
                                                .ldc = op->out,
                                                .accumulate = accumulate});
}

static bool add_gathered(ap_tape *tape, const linear_parts *op, float *y) {
    int64_t column = 0;
    for (int p = 0; p < op->count; column += op->part[p++].x->shape[1]) {
        const ap_segments *rows = op->part[p].rows;
        if (!rows) continue;
        float *products = ap_tape_take(tape, (size_t)(rows->count * op->out) * sizeof *products);
        if (!products) return false;
        multiply(tape, op, op->part[p].x, column, false, products);
        ap_gather_rows_of(rows, op->out, products, true, y);
    }
    return true;
}

static bool parts_fit(ap_tape *tape, const linear_parts *op) {
    int64_t columns = 0;
    for (int p = 0; p < op->count; p++) {
        const ap_tensor *x = op->part[p].x;
        const ap_segments *rows = op->part[p].rows;
        if (x->rank != 2 || (rows ? rows->count != x->shape[0] || rows->rows != op->m : x->shape[0] != op->m))
            return ap_tape_fail(tape, "linear of parts: part %d has %lld rows, which do not make %lld", p,
                                (long long)x->shape[0], (long long)op->m);
        columns += x->shape[1];
    }
    if (op->w->rank != 2 || op->in != columns || (op->b && op->b->size != op->out))
        return ap_tape_fail(tape, "linear of parts: the parts have %lld columns, w [%lld, %lld], b %lld elements",
                            (long long)columns, (long long)op->out, (long long)op->in,
                            (long long)(op->b ? op->b->size : op->out));
    return true;
}

ap_tensor *ap_linear_parts(ap_tape *tape, int count, const ap_linear_part *parts, ap_tensor *w, ap_tensor *b) {
    if (ap_tape_status(tape, NULL) != AP_OK || !w) return NULL;
    if (count < 1 || count > AP_LINEAR_PARTS) return ap_tape_fail(tape, "linear of parts: %d parts", count);
    ap_tensor *inputs[AP_LINEAR_PARTS + 2];
    for (int p = 0; p < count; p++)
        if (!(inputs[p] = parts[p].x)) return NULL;
    linear_parts *op = ap_tape_take(tape, sizeof *op);
    if (!op) return NULL;
    *op = (linear_parts){.count = count, .w = w, .b = b, .out = w->shape[0], .in = w->shape[1]};
    memcpy(op->part, parts, (size_t)count * sizeof *parts);
    op->m = parts[0].rows ? parts[0].rows->rows : parts[0].x->shape[0];
    if (!parts_fit(tape, op)) return NULL;
    ap_tensor *y = ap_tape_tensor(tape, 2, (int64_t[]){op->m, op->out});
    if (!y) return NULL;

    if (!b) memset(y->data, 0, (size_t)y->size * sizeof *y->data);
    for (int64_t i = 0; b && i < op->m; i++) memcpy(y->data + i * op->out, b->data, (size_t)op->out * sizeof(float));
    if (!add_gathered(tape, op, y->data)) return NULL;
    int64_t column = 0;
    for (int p = 0; p < count; column += parts[p++].x->shape[1])
        if (!parts[p].rows) multiply(tape, op, parts[p].x, column, true, y->data);
    inputs[count] = w, inputs[count + 1] = b;
    ap_tape_record(tape, linear_parts_backward, y, op, count + (b ? 2 : 1), inputs);
    return y;
}
