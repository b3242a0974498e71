/* Inverted dropout (Srivastava et al., JMLR 2014): y = x m, m = 0 with probability `rate`, else 1 / (1 - rate).
 * dropout2d (Tompson et al. 2015): one m for each example and channel of x [n, .., c].
 *
 * Element e of the pass's dropout stream decides element e (of dropout2d: channel c of example n is element n channels
 * + c): kept if its uniform number is >= rate. So masks belong to (seed, step, shard, position in the model), never to
 * a rank. */
#include "tensor/ops.h"

typedef struct dropout {
    ap_tensor *x;
    float *mask;                /* of each element, or [examples][channels] */
    int64_t examples, channels; /* examples = 0: of each element */
} dropout;

/* out (+)= in * mask */
static void apply(const dropout *op, const float *in, bool accumulate, float *out) {
    const int64_t n = op->x->size, each = op->examples ? n / op->examples : n, step = op->examples ? op->channels : n;
    for (int64_t i = 0; i < n; i += step) {
        const float *mask = op->examples ? op->mask + i / each * op->channels : op->mask;
        if (accumulate)
            for (int64_t j = 0; j < step; j++) out[i + j] += in[i + j] * mask[j];
        else
            for (int64_t j = 0; j < step; j++) out[i + j] = in[i + j] * mask[j];
    }
}

static void dropout_backward(ap_tape *tape, ap_tensor *output, void *context) {
    const dropout *op = context;
    const float *dy = output->grad;
    bool accumulate;
    float *dx = ap_tape_grad_in_place(tape, output, op->x, &accumulate);
    if (dx) apply(op, dy, accumulate, dx);
}

static ap_tensor *drop(ap_tape *tape, ap_tensor *x, bool channels) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x) return NULL;
    const ap_pass *pass = ap_tape_pass(tape);
    float rate = pass->dropout_rate;
    if (!(rate >= 0 && rate < 1))
        return ap_tape_fail_as(tape, AP_SUBMISSION, "dropout: the rate is %g (must be in [0, 1))", (double)rate);
    if (!pass->training || rate == 0 || x->size == 0) return x;

    dropout *op = ap_tape_take(tape, sizeof *op);
    ap_tensor *y = ap_tape_tensor(tape, x->rank, x->shape);
    if (!y || !op) return NULL;
    *op = (dropout){.x = x, .examples = channels ? x->shape[0] : 0, .channels = channels ? x->shape[x->rank - 1] : 0};
    size_t n = channels ? (size_t)(op->examples * op->channels) : (size_t)x->size;
    uint64_t first = ap_tape_take_random(tape, n);
    if (n > (1ULL << 34) - first) return ap_tape_fail(tape, "dropout: a pass may use at most 2^34 random numbers");
    op->mask = ap_tape_take(tape, n * sizeof *op->mask);
    if (!op->mask) return NULL;

    ap_random stream = ap_random_stream(pass->seed, AP_RANDOM_DROPOUT, (uint64_t)pass->step, (uint32_t)pass->shard);
    ap_random_fill_uniform(&stream, first, n, 0, 1, op->mask);
    float scale = 1 / (1 - rate);
    for (size_t i = 0; i < n; i++) op->mask[i] = op->mask[i] >= rate ? scale : 0;
    apply(op, x->data, false, y->data);
    ap_tape_record(tape, dropout_backward, y, op, 1, &x);
    return y;
}

ap_tensor *ap_dropout(ap_tape *tape, ap_tensor *x) {
    return drop(tape, x, false);
}
ap_tensor *ap_dropout2d(ap_tape *tape, ap_tensor *x) {
    return drop(tape, x, true);
}
