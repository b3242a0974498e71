/* [n, c, h, w] -> [n, h, w, c]: from the published layout of images to the engine's. With one channel, a view. */
#include "tensor/ops.h"

/* to[n][i][c] (+)= from[n][c][i], or the other way. */
static void transpose(int64_t n, int64_t c, int64_t pixels, const float *from, bool back, bool accumulate, float *to) {
    for (int64_t image = 0; image < n; image++, from += c * pixels, to += c * pixels)
        for (int64_t i = 0; i < pixels; i++)
            for (int64_t j = 0; j < c; j++) {
                const int64_t last = i * c + j, first = j * pixels + i;
                const float value = from[back ? last : first];
                float *out = to + (back ? first : last);
                *out = accumulate ? *out + value : value;
            }
}

static void channels_last_backward(ap_tape *tape, ap_tensor *y, void *context) {
    ap_tensor *x = context;
    bool accumulate;
    float *dx = ap_tape_grad(tape, x, &accumulate);
    if (dx) transpose(x->shape[0], x->shape[1], x->shape[2] * x->shape[3], y->grad, true, accumulate, dx);
}

ap_tensor *ap_channels_last(ap_tape *tape, ap_tensor *x) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x) return NULL;
    if (x->rank != 4) return ap_tape_fail(tape, "channels last: x has %d dimensions (wanted [n, c, h, w])", x->rank);
    const int64_t shape[4] = {x->shape[0], x->shape[2], x->shape[3], x->shape[1]};
    if (x->shape[1] == 1) return ap_tape_view(tape, x, 4, shape);
    ap_tensor *y = ap_tape_tensor(tape, 4, shape);
    if (!y) return NULL;
    transpose(x->shape[0], x->shape[1], x->shape[2] * x->shape[3], x->data, false, false, y->data);
    ap_tape_record(tape, channels_last_backward, y, x, 1, &x);
    return y;
}
