/* Dot interaction (Naumov et al., arXiv 1906.00091, as AlgoPerf has it): of the vectors x_0 .. x_{f-1} of an example
 * y_(i,j) = x_i . x_j for i <= j, the upper triangle of the Gram matrix with its diagonal, row by row.
 *
 *     dx_i = sum_j s_ij x_j,  s_ij = s_ji = dy_(i,j) for i < j,  s_ii = 2 dy_(i,i)
 *
 * Order of sums: one fma chain over d, and over j; ap_gemm_batched on blocks of examples. A further contribution to dx
 * starts its chain from the gradient so far. */
#include "tensor/kernels/blocking.h"
#include "tensor/ops.h"

typedef struct interaction {
    ap_tensor *x;
    int64_t n, vectors, d;
} interaction;

enum { BLOCK = 64 }; /* examples at a time: their Gram matrices stay in cache */

/* The scratch is the matrix products' neighbour: they hold the first three pieces. */
static float *gram_block(ap_tape *tape, const interaction *op) {
    float *gram = ap_scratch(AP_SCRATCH_LINES, (size_t)(BLOCK * op->vectors * op->vectors));
    if (!gram) ap_tape_fail_as(tape, AP_ENVIRONMENT, "out of memory for the inner products of %d examples", BLOCK);
    return gram;
}

static void interaction_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const interaction *op = context;
    const int64_t f = op->vectors, d = op->d, pairs = f * (f + 1) / 2;
    bool accumulate;
    float *dx = ap_tape_grad(tape, op->x, &accumulate), *s = dx ? gram_block(tape, op) : NULL;
    if (!s) return;
    for (int64_t first = 0; first < op->n; first += BLOCK) {
        const int64_t count = ap_smaller(BLOCK, op->n - first);
        const float *dy = y->grad + first * pairs;
        for (int64_t e = 0; e < count; e++)
            for (int64_t i = 0; i < f; i++)
                for (int64_t j = i; j < f; j++, dy++)
                    s[(e * f + i) * f + j] = s[(e * f + j) * f + i] = i == j ? 2 * *dy : *dy;
        ap_gemm_batched(ap_tape_math(tape),
                        &(ap_gemm_args){.m = f,
                                        .n = d,
                                        .k = f,
                                        .a = s,
                                        .lda = f,
                                        .b = op->x->data + first * f * d,
                                        .ldb = d,
                                        .c = dx + first * f * d,
                                        .ldc = d,
                                        .accumulate = accumulate},
                        count, f * f, f * d, f * d);
    }
}

ap_tensor *ap_dot_interaction(ap_tape *tape, ap_tensor *x) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x) return NULL;
    if (x->rank != 3)
        return ap_tape_fail(tape, "dot interaction: x has %d dimensions, wanted [n, vectors, d]", x->rank);
    const int64_t n = x->shape[0], f = x->shape[1], d = x->shape[2], pairs = f * (f + 1) / 2;
    ap_tensor *y = ap_tape_tensor(tape, 2, (int64_t[]){n, pairs});
    interaction *op = y ? ap_tape_take(tape, sizeof *op) : NULL;
    if (!op) return NULL;
    *op = (interaction){.x = x, .n = n, .vectors = f, .d = d};
    float *gram = gram_block(tape, op), *out = y->data;
    if (!gram) return NULL;
    for (int64_t first = 0; first < n; first += BLOCK) {
        const int64_t count = ap_smaller(BLOCK, n - first);
        const float *block = x->data + first * f * d;
        ap_gemm_batched(ap_tape_math(tape),
                        &(ap_gemm_args){.transpose_b = true,
                                        .m = f,
                                        .n = f,
                                        .k = d,
                                        .a = block,
                                        .lda = d,
                                        .b = block,
                                        .ldb = d,
                                        .c = gram,
                                        .ldc = f},
                        count, f * d, f * d, f * f);
        for (int64_t e = 0; e < count; e++)
            for (int64_t i = 0; i < f; i++)
                for (int64_t j = i; j < f; j++) *out++ = gram[(e * f + i) * f + j];
    }
    ap_tape_record(tape, interaction_backward, y, op, 1, &x);
    return y;
}
