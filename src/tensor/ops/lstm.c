/* A bidirectional LSTM layer (Hochreiter & Schmidhuber 1997; PyTorch nn.LSTM) over rows of different lengths. For each
 * direction, with sigma the sigmoid and steps taken from a row's first (forward) or last valid one (backward):
 *
 *     (i, f, g, o) = W_ih x_t + W_hh h_{t-1} + (b_ih + b_hh),     c_t = sigma(f) c_{t-1} + sigma(i) tanh(g)
 *     h_t = sigma(o) tanh(c_t)
 *
 * LAYOUT. Rows are taken longest first, so that the rows that have a step t are a prefix, and valid steps lie packed,
 * step by step: step t's rows are packed rows start[t] .. start[t + 1] - 1. Padding costs nothing. The input's part of
 * the gates is one product for all steps; W_hh is packed once a step of training.
 *
 * Order of sums. Gates: one fma chain from b_ih + b_hh over the input and then over h. dx = dG W_ih: a chain over the
 * gates, forward direction first, continued by the backward one. dh: the chain over the next step's gates continued
 * from dy. dW: over packed rows in chunks (ap_gemm_long_k); db: likewise (ap_column_sums). Products and sums of the
 * cell are rounded one by one. */
#include "tensor/kernels/activation.h"
#include "tensor/kernels/gemm.h"
#include "tensor/kernels/reduce.h"
#include "tensor/ops.h"

#include <string.h>

typedef struct direction {
    bool backward;
    ap_tensor *w_input, *w_hidden, *b_input, *b_hidden;
    float *gates;  /* [packed rows, 4 hidden] after their activations; in backward their gradients */
    float *cell;   /* [packed rows, hidden] c */
    float *squash; /* [packed rows, hidden] tanh(c) */
    float *hidden; /* [packed rows, hidden] h */
} direction;

typedef struct lstm {
    ap_tensor *x;
    int64_t n, steps, in, size; /* size: of hidden */
    int64_t rows, most;         /* packed rows; steps of the longest row */
    const int64_t *row_of;      /* [n] longest first */
    const int64_t *start;       /* [most + 1] */
    float *packed_x;            /* [rows, in] */
    direction direction[2];
} lstm;

static int64_t rows_at(const lstm *op, int64_t t) {
    return op->start[t + 1] - op->start[t];
}

/* ---- packing */

/* Stable, longest first. */
static void sort_by_length(int64_t n, const int64_t *lengths, int64_t *row_of) {
    for (int64_t i = 0; i < n; i++) {
        int64_t at = i;
        for (; at > 0 && lengths[row_of[at - 1]] < lengths[i]; at--) row_of[at] = row_of[at - 1];
        row_of[at] = i;
    }
}

static bool pack(ap_tape *tape, lstm *op, const int64_t *lengths) {
    int64_t *row_of = ap_tape_take(tape, (size_t)op->n * sizeof *row_of);
    int64_t *start = ap_tape_take(tape, (size_t)(op->steps + 1) * sizeof *start);
    if (!row_of || !start) return false;
    sort_by_length(op->n, lengths, row_of);
    op->most = op->n ? lengths[row_of[0]] : 0;
    int64_t active = op->n;
    start[0] = 0;
    for (int64_t t = 0; t < op->most; t++) {
        while (active > 0 && lengths[row_of[active - 1]] <= t) active--;
        start[t + 1] = start[t] + active;
    }
    op->row_of = row_of, op->start = start, op->rows = start[op->most];
    return true;
}

#define EACH_PACKED_ROW(op, t, r)                                                                                      \
    for (int64_t t = 0; t < (op)->most; t++)                                                                           \
        for (int64_t r = 0; r < rows_at(op, t); r++)

static int64_t padded_row(const lstm *op, int64_t t, int64_t r) {
    return op->row_of[r] * op->steps + t;
}

/* ---- forward */

/* One step's packed rows, and those of the step before in this direction (count of them that go on; 0: none). */
typedef struct step {
    int64_t first, rows, before, going_on;
} step;

static step step_of(const lstm *op, bool backward, int64_t t) {
    const int64_t before = backward ? t + 1 : t - 1;
    step s = {.first = op->start[t], .rows = rows_at(op, t)};
    if (before < 0 || before >= op->most) return s;
    s.before = op->start[before];
    s.going_on = rows_at(op, before) < s.rows ? rows_at(op, before) : s.rows;
    return s;
}

static const float *packed_weight(ap_tape *tape, const ap_tensor *w, bool transpose) {
    if (ap_tape_math(tape) != AP_MATH_ORDERED || w->param < 0) return NULL;
    return ap_params_packed(ap_tape_params(tape), w->param, transpose);
}

static void input_gates(ap_tape *tape, const lstm *op, const direction *d) {
    const int64_t gates = 4 * op->size;
    for (int64_t j = 0; j < gates && op->rows; j++) d->gates[j] = d->b_input->data[j] + d->b_hidden->data[j];
    for (int64_t i = 1; i < op->rows; i++) memcpy(d->gates + i * gates, d->gates, (size_t)gates * sizeof(float));
    ap_gemm(ap_tape_math(tape), &(ap_gemm_args){.transpose_b = true,
                                                .m = op->rows,
                                                .n = gates,
                                                .k = op->in,
                                                .a = op->packed_x,
                                                .lda = op->in,
                                                .b = d->w_input->data,
                                                .ldb = op->in,
                                                .packed_b = packed_weight(tape, d->w_input, true),
                                                .c = d->gates,
                                                .ldc = gates,
                                                .accumulate = true});
}

/* Gates of a row before their activations, c before (NULL: 0) -> gates, c, tanh(c), h. */
static void cell_row(size_t size, float *restrict gates, const float *restrict old, float *restrict cell,
                     float *restrict squash, float *restrict hidden) {
    const float *i = gates, *f = gates + size, *g = gates + 2 * size, *o = gates + 3 * size;
    ap_activate(AP_SIGMOID, 0, 2 * size, gates, gates);
    ap_activate(AP_TANH, 0, size, g, gates + 2 * size);
    ap_activate(AP_SIGMOID, 0, size, o, gates + 3 * size);
    for (size_t j = 0; j < size; j++) cell[j] = old ? f[j] * old[j] + i[j] * g[j] : i[j] * g[j];
    ap_activate(AP_TANH, 0, size, cell, squash);
    for (size_t j = 0; j < size; j++) hidden[j] = o[j] * squash[j];
}

static void forward_step(ap_tape *tape, const lstm *op, const direction *d, int64_t t) {
    const int64_t h = op->size;
    const step s = step_of(op, d->backward, t);
    if (s.going_on)
        ap_gemm(ap_tape_math(tape), &(ap_gemm_args){.transpose_b = true,
                                                    .m = s.going_on,
                                                    .n = 4 * h,
                                                    .k = h,
                                                    .a = d->hidden + s.before * h,
                                                    .lda = h,
                                                    .b = d->w_hidden->data,
                                                    .ldb = h,
                                                    .packed_b = packed_weight(tape, d->w_hidden, true),
                                                    .c = d->gates + s.first * 4 * h,
                                                    .ldc = 4 * h,
                                                    .accumulate = true});
    for (int64_t r = 0; r < s.rows; r++) {
        const int64_t at = s.first + r;
        cell_row((size_t)h, d->gates + at * 4 * h, r < s.going_on ? d->cell + (s.before + r) * h : NULL,
                 d->cell + at * h, d->squash + at * h, d->hidden + at * h);
    }
}

static void forward(ap_tape *tape, const lstm *op, const direction *d, int side, ap_tensor *y) {
    const int64_t h = op->size;
    input_gates(tape, op, d);
    for (int64_t i = 0; i < op->most; i++) forward_step(tape, op, d, d->backward ? op->most - 1 - i : i);
    EACH_PACKED_ROW(op, t, r)
    memcpy(y->data + padded_row(op, t, r) * 2 * h + side * h, d->hidden + (op->start[t] + r) * h,
           (size_t)h * sizeof(float));
}

/* ---- backward */

/* Working memory of backward: gradients of h and c of all packed rows, and h of the step before each. */
typedef struct back {
    float *dh, *dc, *before; /* [rows, hidden] */
} back;

/* dh, dc (what came from behind) of a row -> its gates' gradients in place; dc becomes that of the step before. */
static void cell_row_back(size_t size, float *restrict gates, const float *restrict old, const float *restrict squash,
                          const float *restrict dh, float *restrict dc) {
    float *i = gates, *f = gates + size, *g = gates + 2 * size, *o = gates + 3 * size;
    for (size_t j = 0; j < size; j++) {
        const float s = squash[j], d = dc[j] + dh[j] * o[j] * (1 - s * s), keep = f[j], in = i[j], candidate = g[j];
        o[j] = dh[j] * s * (o[j] * (1 - o[j]));
        i[j] = d * candidate * (in * (1 - in));
        g[j] = d * in * (1 - candidate * candidate);
        f[j] = old ? d * old[j] * (keep * (1 - keep)) : 0;
        dc[j] = d * keep;
    }
}

/* Gradients of step t's gates, and from them of h and c of the step before. */
static void backward_step(ap_tape *tape, const lstm *op, const direction *d, const back *b, int64_t t) {
    const int64_t h = op->size;
    const step s = step_of(op, d->backward, t);
    for (int64_t r = 0; r < s.rows; r++) {
        const int64_t at = s.first + r;
        const bool goes_on = r < s.going_on;
        cell_row_back((size_t)h, d->gates + at * 4 * h, goes_on ? d->cell + (s.before + r) * h : NULL,
                      d->squash + at * h, b->dh + at * h, b->dc + at * h);
        float *before = b->before + at * h;
        if (!goes_on) {
            memset(before, 0, (size_t)h * sizeof(float));
            continue;
        }
        memcpy(b->dc + (s.before + r) * h, b->dc + at * h, (size_t)h * sizeof(float));
        memcpy(before, d->hidden + (s.before + r) * h, (size_t)h * sizeof(float));
    }
    if (!s.going_on) return;
    ap_gemm(ap_tape_math(tape), &(ap_gemm_args){.m = s.going_on,
                                                .n = h,
                                                .k = 4 * h,
                                                .a = d->gates + s.first * 4 * h,
                                                .lda = 4 * h,
                                                .b = d->w_hidden->data,
                                                .ldb = h,
                                                .packed_b = packed_weight(tape, d->w_hidden, false),
                                                .c = b->dh + s.before * h,
                                                .ldc = h,
                                                .accumulate = true});
}

static void weight_gradient(ap_tape *tape, const lstm *op, const direction *d, ap_tensor *w, const float *a) {
    bool accumulate;
    float *dw = ap_tape_grad(tape, w, &accumulate);
    if (!dw) return;
    ap_gemm_long_k(ap_tape_math(tape), &(ap_gemm_args){.transpose_a = true,
                                                       .m = 4 * op->size,
                                                       .n = w->shape[1],
                                                       .k = op->rows,
                                                       .a = d->gates,
                                                       .lda = 4 * op->size,
                                                       .b = a,
                                                       .ldb = w->shape[1],
                                                       .c = dw,
                                                       .ldc = w->shape[1],
                                                       .accumulate = accumulate});
}

static void bias_gradient(ap_tape *tape, const lstm *op, const direction *d, ap_tensor *b) {
    bool accumulate;
    float *db = ap_tape_grad(tape, b, &accumulate);
    if (db) ap_column_sums(op->rows, 4 * op->size, d->gates, 4 * op->size, accumulate, db);
}

static void backward(ap_tape *tape, const lstm *op, const direction *d, int side, const float *dy, const back *b,
                     float *packed_dx) {
    const int64_t h = op->size;
    EACH_PACKED_ROW(op, t, r)
    memcpy(b->dh + (op->start[t] + r) * h, dy + padded_row(op, t, r) * 2 * h + side * h, (size_t)h * sizeof(float));
    memset(b->dc, 0, (size_t)(op->rows * h) * sizeof(float));
    for (int64_t i = 0; i < op->most; i++) backward_step(tape, op, d, b, d->backward ? i : op->most - 1 - i);
    weight_gradient(tape, op, d, d->w_input, op->packed_x);
    weight_gradient(tape, op, d, d->w_hidden, b->before);
    bias_gradient(tape, op, d, d->b_input);
    bias_gradient(tape, op, d, d->b_hidden);
    if (packed_dx)
        ap_gemm(ap_tape_math(tape), &(ap_gemm_args){.m = op->rows,
                                                    .n = op->in,
                                                    .k = 4 * h,
                                                    .a = d->gates,
                                                    .lda = 4 * h,
                                                    .b = d->w_input->data,
                                                    .ldb = op->in,
                                                    .packed_b = packed_weight(tape, d->w_input, false),
                                                    .c = packed_dx,
                                                    .ldc = op->in,
                                                    .accumulate = side > 0});
}

static void lstm_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const lstm *op = context;
    const size_t bytes = (size_t)(op->rows * op->size) * sizeof(float);
    const back b = {ap_tape_take(tape, bytes), ap_tape_take(tape, bytes), ap_tape_take(tape, bytes)};
    float *packed_dx = op->x->needs_grad ? ap_tape_take(tape, (size_t)(op->rows * op->in) * sizeof(float)) : NULL;
    if (!b.dh || !b.dc || !b.before || (op->x->needs_grad && !packed_dx)) return;
    for (int side = 0; side < 2; side++) backward(tape, op, &op->direction[side], side, y->grad, &b, packed_dx);
    bool accumulate;
    float *dx = ap_tape_grad(tape, op->x, &accumulate);
    if (!dx) return;
    if (!accumulate) memset(dx, 0, (size_t)op->x->size * sizeof(float));
    EACH_PACKED_ROW(op, t, r)
    ap_add_into((size_t)op->in, packed_dx + (op->start[t] + r) * op->in, dx + padded_row(op, t, r) * op->in);
}

/* ---- the operation */

static bool shapes_fit(ap_tape *tape, const ap_tensor *x, const int64_t *lengths, const ap_lstm_weights *w) {
    if (x->rank != 3) return ap_tape_fail(tape, "LSTM: x has rank %d (wanted [n, steps, in])", x->rank);
    const int64_t hidden = w->w_hidden[0]->shape[1];
    for (int side = 0; side < 2; side++)
        if (w->w_input[side]->rank != 2 || w->w_input[side]->shape[0] != 4 * hidden ||
            w->w_input[side]->shape[1] != x->shape[2] || w->w_hidden[side]->rank != 2 ||
            w->w_hidden[side]->shape[0] != 4 * hidden || w->w_hidden[side]->shape[1] != hidden ||
            w->b_input[side]->size != 4 * hidden || w->b_hidden[side]->size != 4 * hidden)
            return ap_tape_fail(tape, "LSTM: the weights of the %s direction do not fit to %lld inputs, %lld hidden",
                                side ? "backward" : "forward", (long long)x->shape[2], (long long)hidden);
    for (int64_t i = 0; i < x->shape[0]; i++)
        if (lengths[i] < 0 || lengths[i] > x->shape[1])
            return ap_tape_fail_as(tape, AP_DATA,
                                   "LSTM: example %lld of the shard has length %lld (must be in 0 .. %lld)",
                                   (long long)i, (long long)lengths[i], (long long)x->shape[1]);
    return true;
}

static bool take_direction(ap_tape *tape, const lstm *op, int side, const ap_lstm_weights *w, direction *d) {
    const size_t cells = (size_t)(op->rows * op->size);
    *d = (direction){.backward = side == 1,
                     .w_input = w->w_input[side],
                     .w_hidden = w->w_hidden[side],
                     .b_input = w->b_input[side],
                     .b_hidden = w->b_hidden[side],
                     .gates = ap_tape_take(tape, 4 * cells * sizeof(float)),
                     .cell = ap_tape_take(tape, cells * sizeof(float)),
                     .squash = ap_tape_take(tape, cells * sizeof(float)),
                     .hidden = ap_tape_take(tape, cells * sizeof(float))};
    return d->gates && d->cell && d->squash && d->hidden;
}

ap_tensor *ap_lstm_bidirectional(ap_tape *tape, ap_tensor *x, const int64_t *lengths, const ap_lstm_weights *w) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x || !shapes_fit(tape, x, lengths, w)) return NULL;
    const int64_t hidden = w->w_hidden[0]->shape[1];
    ap_tensor *y = ap_tape_tensor(tape, 3, (int64_t[]){x->shape[0], x->shape[1], 2 * hidden});
    lstm *op = ap_tape_take(tape, sizeof *op);
    if (!y || !op) return NULL;
    *op = (lstm){.x = x, .n = x->shape[0], .steps = x->shape[1], .in = x->shape[2], .size = hidden};
    if (!pack(tape, op, lengths)) return NULL;
    op->packed_x = ap_tape_take(tape, (size_t)(op->rows * op->in) * sizeof(float));
    if (!op->packed_x) return NULL;
    EACH_PACKED_ROW(op, t, r)
    memcpy(op->packed_x + (op->start[t] + r) * op->in, x->data + padded_row(op, t, r) * op->in,
           (size_t)op->in * sizeof(float));
    memset(y->data, 0, (size_t)y->size * sizeof(float));
    for (int side = 0; side < 2; side++) {
        direction *d = &op->direction[side];
        if (!take_direction(tape, op, side, w, d)) return NULL;
        forward(tape, op, d, side, y);
    }
    ap_tape_record(tape, lstm_backward, y, op, 9,
                   (ap_tensor *[]){x, w->w_input[0], w->w_input[1], w->w_hidden[0], w->w_hidden[1], w->b_input[0],
                                   w->b_input[1], w->b_hidden[0], w->b_hidden[1]});
    return y;
}
