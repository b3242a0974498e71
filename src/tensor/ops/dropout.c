/* Inverted dropout (Srivastava et al., JMLR 2014): y = x m, m = 0 with probability `rate`, else 1 / (1 - rate).
 *
 * Element e of the pass's dropout stream decides element e: kept if its uniform number is >= rate. So masks belong to
 * (seed, step, shard, position in the model), never to a rank. */
#include "tensor/ops.h"

typedef struct dropout {
    ap_tensor *x;
    float *mask; /* [size of x] */
} dropout;

static void dropout_backward(ap_tape *tape, ap_tensor *output, void *context) {
    const dropout *op = context;
    bool accumulate;
    float *dx = ap_tape_grad(tape, op->x, &accumulate);
    const float *dy = output->grad;
    if (!dx) return;
    if (accumulate)
        for (int64_t i = 0; i < output->size; i++) dx[i] += dy[i] * op->mask[i];
    else
        for (int64_t i = 0; i < output->size; i++) dx[i] = dy[i] * op->mask[i];
}

ap_tensor *ap_dropout(ap_tape *tape, ap_tensor *x) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x) return NULL;
    const ap_pass *pass = ap_tape_pass(tape);
    float rate = pass->dropout_rate;
    if (!(rate >= 0 && rate < 1))
        return ap_tape_fail_as(tape, AP_SUBMISSION, "dropout: the rate is %g (must be in [0, 1))", (double)rate);
    if (!pass->training || rate == 0) return x;

    size_t n = (size_t)x->size;
    uint64_t first = ap_tape_take_random(tape, n);
    if (n > (1ULL << 34) - first) return ap_tape_fail(tape, "dropout: a pass may use at most 2^34 random numbers");
    ap_tensor *y = ap_tape_tensor(tape, x->rank, x->shape);
    dropout *op = ap_tape_take(tape, sizeof *op);
    float *mask = ap_tape_take(tape, n * sizeof *mask);
    if (!y || !op || !mask) return NULL;
    *op = (dropout){.x = x, .mask = mask};

    ap_random stream = ap_random_stream(pass->seed, AP_RANDOM_DROPOUT, (uint64_t)pass->step, (uint32_t)pass->shard);
    ap_random_fill_uniform(&stream, first, n, 0, 1, mask);
    float scale = 1 / (1 - rate);
    for (size_t i = 0; i < n; i++) mask[i] = mask[i] >= rate ? scale : 0;
    for (size_t i = 0; i < n; i++) y->data[i] = x->data[i] * mask[i];
    ap_tape_record(tape, dropout_backward, y, op, 1, &x);
    return y;
}
