/* Scaled dot-product attention of several heads (Vaswani et al. 2017), for each example and head:
 *
 *     S = scale Q K' + bias;  P = softmax of the rows of S;  P~ = P dropped out;  O = P~ V
 *     dV = P~' dO;  dP~ = dO V';  dS = P (dP - D), D = row sums of dO O;  dQ = scale dS K;  dK = scale dS' Q
 *
 * Nothing of size queries x keys is kept: S is made again in backward from the same numbers (per row the maximum and
 * the reciprocal sum are kept), a block of BLOCK query rows at a time, so the working memory is BLOCK x keys of a head.
 *
 * Order of sums: products of matrices are fma chains (gemm.h) over the head's columns, keys, or queries, the latter
 * continued from block to block; the row sums are 16 lanes in float (reduce.h). With `causal` query i sees keys
 * 0 .. i + keys - queries; the others have P = 0. A row that sees nothing, all -inf, has P = 0. Dropout: element
 * ((example heads + head) queries + i) keys + j of the pass's dropout stream, as in dropout.c. */
#include "tensor/kernels/blocking.h"
#include "tensor/kernels/gemm.h"
#include "tensor/kernels/kernel_set.h"
#include "tensor/kernels/reduce.h"
#include "tensor/kernels/vecmath.h"
#include "tensor/ops.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum { BLOCK = 128, WORTH_THREADS = 1 << 18 };

typedef struct attention {
    ap_tensor *q, *k, *v; /* [n, queries, heads d], [n, keys, heads d], [n, keys, heads dv] */
    ap_attention_options options;
    ap_math math;
    int64_t n, queries, keys, d, dv;
    float *top, *share; /* [n, heads, queries]: row maximum, 1 / row sum */
    float rate;         /* of dropout; 0: none */
    uint64_t first;     /* of its stream's elements */
    ap_random stream;
} attention;

/* One example and head, or a pass over all. Gradients that nobody wants are NULL. */
typedef struct task {
    const attention *op;
    float *out;
    const float *dout;
    float *dq, *dk, *dv;
    bool add_q, add_k, add_v;
    atomic_bool failed;
} task;

typedef struct head {
    int64_t index, image, column_qk, column_v; /* index: image heads + head */
    int64_t ld_qk, ld_v;                       /* floats from row to row */
} head;

static head head_of(const attention *op, int64_t index) {
    const int64_t h = index % op->options.heads;
    return (head){index,      index / op->options.heads, h * op->d,
                  h * op->dv, op->options.heads * op->d, op->options.heads * op->dv};
}
static const float *rows_of(const ap_tensor *x, int64_t image, int64_t row, int64_t column) {
    return x->data + (image * x->shape[1] + row) * x->shape[2] + column;
}

/* Keys that query i may see. */
static int64_t visible(const attention *op, int64_t i) {
    if (!op->options.causal) return op->keys;
    const int64_t n = i + 1 + op->keys - op->queries;
    return n < 0 ? 0 : ap_smaller(n, op->keys);
}

/* Scores of query i, in place of the plain products: scaled, with bias, -inf where it cannot see. */
static void finish_scores(const attention *op, const head *h, int64_t i, float *row) {
    const ap_attention_options *o = &op->options;
    const float *bias = o->bias ? o->bias + h->image * o->bias_example + i * o->bias_query : NULL;
    const int64_t seen = visible(op, i);
    for (int64_t j = 0; j < seen; j++) row[j] = bias ? row[j] * o->scale + bias[j] : row[j] * o->scale;
    for (int64_t j = seen; j < op->keys; j++) row[j] = -INFINITY;
}

/* S of rows i0 .. i0 + rows - 1 of a head. */
static void scores(const attention *op, const head *h, int64_t i0, int64_t rows, float *s) {
    ap_gemm(op->math, &(ap_gemm_args){.transpose_b = true,
                                      .m = rows,
                                      .n = op->keys,
                                      .k = op->d,
                                      .a = rows_of(op->q, h->image, i0, h->column_qk),
                                      .lda = h->ld_qk,
                                      .b = rows_of(op->k, h->image, 0, h->column_qk),
                                      .ldb = h->ld_qk,
                                      .c = s,
                                      .ldc = op->keys});
    for (int64_t i = 0; i < rows; i++) finish_scores(op, h, i0 + i, s + i * op->keys);
}

/* S -> P, from the row's maximum and reciprocal sum; with `first` these are found. */
static void probabilities(const attention *op, const head *h, int64_t i0, int64_t rows, bool first, float *s) {
    for (int64_t i = 0; i < rows; i++, s += op->keys) {
        float *top = op->top + h->index * op->queries + i0 + i, *share = op->share + h->index * op->queries + i0 + i;
        const size_t n = (size_t)op->keys;
        if (first) *top = ap_max(n, s);
        const float shift = *top == -INFINITY ? 0 : *top;
        for (size_t j = 0; j < n; j++) s[j] -= shift;
        ap_vexp(n, s, s);
        if (first) *share = *top == -INFINITY ? 0 : 1 / ap_sum(n, s);
        ap_scale_by(n, *share, s);
    }
}

/* 0 or 1 / (1 - rate) for each probability of the rows. */
static void fill_mask(const attention *op, const head *h, int64_t i0, int64_t rows, float *mask) {
    const size_t n = (size_t)(rows * op->keys);
    const uint64_t at = op->first + (uint64_t)((h->index * op->queries + i0) * op->keys);
    const float kept = 1 / (1 - op->rate);
    ap_random_fill_uniform(&op->stream, at, n, 0, 1, mask);
    for (size_t i = 0; i < n; i++) mask[i] = mask[i] >= op->rate ? kept : 0;
}
static void multiply_by(int64_t n, const float *factor, float *x) {
    for (int64_t i = 0; i < n; i++) x[i] *= factor[i];
}

/* Room for three blocks of scores. */
static float *work_of(const attention *op, task *t) {
    float *work = ap_scratch(AP_SCRATCH_IMAGES, (size_t)(3 * ap_smaller(BLOCK, op->queries) * op->keys));
    if (!work) atomic_store(&t->failed, true);
    return work;
}

/* ---- forward */

static void forward_head(int64_t index, void *context) {
    task *t = context;
    const attention *op = t->op;
    const head h = head_of(op, index);
    float *s = work_of(op, t), *mask = s + ap_smaller(BLOCK, op->queries) * op->keys;
    for (int64_t i = 0, rows; s && i < op->queries; i += rows) {
        rows = ap_smaller(BLOCK, op->queries - i);
        scores(op, &h, i, rows, s);
        probabilities(op, &h, i, rows, true, s);
        if (op->rate > 0) {
            fill_mask(op, &h, i, rows, mask);
            multiply_by(rows * op->keys, mask, s);
        }
        ap_gemm(op->math, &(ap_gemm_args){.m = rows,
                                          .n = op->dv,
                                          .k = op->keys,
                                          .a = s,
                                          .lda = op->keys,
                                          .b = rows_of(op->v, h.image, 0, h.column_v),
                                          .ldb = h.ld_v,
                                          .c = t->out + (h.image * op->queries + i) * h.ld_v + h.column_v,
                                          .ldc = h.ld_v});
    }
}

/* ---- backward */

/* dP~ of a block, in place, -> dS scale. */
static void score_gradient(const attention *op, const float *p, const float *mask, const float *dout, const float *out,
                           const head *h, int64_t rows, float *dp) {
    for (int64_t i = 0; i < rows; i++) {
        const float d = ap_dot((size_t)op->dv, dout + i * h->ld_v, out + i * h->ld_v);
        for (int64_t j = i * op->keys; j < (i + 1) * op->keys; j++) {
            const float g = mask ? dp[j] * mask[j] : dp[j];
            dp[j] = op->options.scale * (p[j] * (g - d));
        }
    }
}

/* c (+)= a' b over the block's rows: a [rows, keys], b [rows, columns] */
static void add_over_queries(const attention *op, int64_t rows, const float *a, const float *b, int64_t ld,
                             int64_t columns, bool accumulate, float *c) {
    ap_gemm(op->math, &(ap_gemm_args){.transpose_a = true,
                                      .m = op->keys,
                                      .n = columns,
                                      .k = rows,
                                      .a = a,
                                      .lda = op->keys,
                                      .b = b,
                                      .ldb = ld,
                                      .c = c,
                                      .ldc = ld,
                                      .accumulate = accumulate});
}

static void backward_block(const task *t, const head *h, int64_t i, int64_t rows, float *p, float *mask, float *dp) {
    const attention *op = t->op;
    const int64_t at = (h->image * op->queries + i) * h->ld_v + h->column_v;
    float *dv = t->dv ? t->dv + h->image * op->keys * h->ld_v + h->column_v : NULL;
    float *dk = t->dk ? t->dk + h->image * op->keys * h->ld_qk + h->column_qk : NULL;
    scores(op, h, i, rows, p);
    probabilities(op, h, i, rows, false, p);
    if (op->rate > 0) fill_mask(op, h, i, rows, mask);
    if (dv) {
        const float *dropped = p;
        if (op->rate > 0) {
            memcpy(dp, p, (size_t)(rows * op->keys) * sizeof *dp);
            multiply_by(rows * op->keys, mask, dp);
            dropped = dp;
        }
        add_over_queries(op, rows, dropped, t->dout + at, h->ld_v, op->dv, t->add_v || i > 0, dv);
    }
    if (!dk && !t->dq) return;
    ap_gemm(op->math, &(ap_gemm_args){.transpose_b = true,
                                      .m = rows,
                                      .n = op->keys,
                                      .k = op->dv,
                                      .a = t->dout + at,
                                      .lda = h->ld_v,
                                      .b = rows_of(op->v, h->image, 0, h->column_v),
                                      .ldb = h->ld_v,
                                      .c = dp,
                                      .ldc = op->keys});
    score_gradient(op, p, op->rate > 0 ? mask : NULL, t->dout + at, t->out + at, h, rows, dp);
    if (dk)
        add_over_queries(op, rows, dp, rows_of(op->q, h->image, i, h->column_qk), h->ld_qk, op->d, t->add_k || i > 0,
                         dk);
    if (t->dq)
        ap_gemm(op->math, &(ap_gemm_args){.m = rows,
                                          .n = op->d,
                                          .k = op->keys,
                                          .a = dp,
                                          .lda = op->keys,
                                          .b = rows_of(op->k, h->image, 0, h->column_qk),
                                          .ldb = h->ld_qk,
                                          .c = t->dq + (h->image * op->queries + i) * h->ld_qk + h->column_qk,
                                          .ldc = h->ld_qk,
                                          .accumulate = t->add_q});
}

static void backward_head(int64_t index, void *context) {
    task *t = context;
    const attention *op = t->op;
    const head h = head_of(op, index);
    const int64_t block = ap_smaller(BLOCK, op->queries) * op->keys;
    float *work = work_of(op, t);
    for (int64_t i = 0; work && i < op->queries; i += BLOCK)
        backward_block(t, &h, i, ap_smaller(BLOCK, op->queries - i), work, work + block, work + 2 * block);
}

static void run_heads(ap_tape *tape, task *t, void (*body)(int64_t index, void *context)) {
    const attention *op = t->op;
    const int64_t heads = op->n * op->options.heads;
    const bool worth_it = heads * op->queries * op->keys * (op->d + op->dv) > WORTH_THREADS;
    ap_kernels_for(worth_it ? ap_kernels_threads() : 1, heads, body, t);
    if (atomic_load(&t->failed))
        ap_tape_fail_as(tape, AP_ENVIRONMENT, "out of memory for attention over %lld keys", (long long)op->keys);
}

static void attention_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const attention *op = context;
    task t = {.op = op, .out = y->data, .dout = y->grad};
    t.dq = ap_tape_grad(tape, op->q, &t.add_q);
    t.dk = ap_tape_grad(tape, op->k, &t.add_k);
    t.dv = ap_tape_grad(tape, op->v, &t.add_v);
    run_heads(tape, &t, backward_head);
}

/* ---- the operation */

static bool shapes_fit(ap_tape *tape, const ap_tensor *q, const ap_tensor *k, const ap_tensor *v, int64_t heads) {
    const bool ranks = q->rank == 3 && k->rank == 3 && v->rank == 3;
    if (ranks && heads > 0 && k->shape[0] == q->shape[0] && v->shape[0] == q->shape[0] && k->shape[1] == v->shape[1] &&
        k->shape[2] == q->shape[2] && q->shape[2] % heads == 0 && v->shape[2] % heads == 0)
        return true;
    return ap_tape_fail(tape,
                        "attention: q [n, queries, width], k [n, keys, width], v [n, keys, any] do not fit each "
                        "other or %lld heads",
                        (long long)heads);
}

static const ap_tensor *owner_of(const ap_tensor *x) {
    return x->base ? x->base : x;
}

ap_tensor *ap_attention(ap_tape *tape, ap_tensor *q, ap_tensor *k, ap_tensor *v, const ap_attention_options *options) {
    if (ap_tape_status(tape, NULL) != AP_OK || !q || !k || !v || !shapes_fit(tape, q, k, v, options->heads))
        return NULL;
    if (owner_of(q) == owner_of(k) || owner_of(q) == owner_of(v) || owner_of(k) == owner_of(v))
        return ap_tape_fail(tape,
                            "attention: q, k and v must be different tensors (views of one would share gradients)");
    const ap_pass *pass = ap_tape_pass(tape);
    const int64_t n = q->shape[0], queries = q->shape[1], keys = k->shape[1], rows = n * options->heads * queries;
    ap_tensor *y = ap_tape_tensor(tape, 3, (int64_t[]){n, queries, v->shape[2]});
    attention *op = ap_tape_take(tape, sizeof *op);
    float *statistics = ap_tape_take(tape, (size_t)(2 * rows) * sizeof *statistics);
    if (!y || !op || !statistics) return NULL;
    *op = (attention){.q = q,
                      .k = k,
                      .v = v,
                      .options = *options,
                      .math = ap_tape_math(tape),
                      .n = n,
                      .queries = queries,
                      .keys = keys,
                      .d = q->shape[2] / options->heads,
                      .dv = v->shape[2] / options->heads,
                      .top = statistics,
                      .share = statistics + rows};
    if (options->drop && pass->training && pass->dropout_rate != 0) {
        if (!(pass->dropout_rate > 0 && pass->dropout_rate < 1))
            return ap_tape_fail_as(tape, AP_SUBMISSION, "dropout: the rate is %g (must be in [0, 1))",
                                   (double)pass->dropout_rate);
        op->rate = pass->dropout_rate;
        op->first = ap_tape_take_random(tape, (uint64_t)(rows * keys));
        if ((uint64_t)(rows * keys) > (1ULL << 34) - op->first)
            return ap_tape_fail(tape, "dropout: a pass may use at most 2^34 random numbers");
        op->stream = ap_random_stream(pass->seed, AP_RANDOM_DROPOUT, (uint64_t)pass->step, (uint32_t)pass->shard);
    }
    task t = {.op = op, .out = y->data};
    run_heads(tape, &t, forward_head);
    ap_tape_record(tape, attention_backward, y, op, 3, (ap_tensor *[]){q, k, v});
    return ap_tape_status(tape, NULL) == AP_OK ? y : NULL;
}
