/* Reflection padding of channels-last images at the bottom and on the right: row h + i of y is row h - 2 - i of x, and
 * columns alike (PyTorch nn.functional.pad, mode "reflect"). Backward: contributions to a pixel are added in the order
 * of y's pixels. */
#include "tensor/ops.h"

#include <string.h>

static int64_t mirrored(int64_t i, int64_t n) {
    return i < n ? i : 2 * (n - 1) - i;
}

static int64_t source_of(const ap_tensor *x, const ap_tensor *y, int64_t pixel) {
    const int64_t column = mirrored(pixel % y->shape[2], x->shape[2]),
                  row = mirrored(pixel / y->shape[2] % y->shape[1], x->shape[1]);
    return (pixel / y->shape[2] / y->shape[1] * x->shape[1] + row) * x->shape[2] + column;
}

static void reflect_pad_backward(ap_tape *tape, ap_tensor *y, void *context) {
    ap_tensor *x = context;
    const int64_t c = x->shape[3];
    bool accumulate;
    float *dx = ap_tape_grad(tape, x, &accumulate);
    if (!dx) return;
    if (!accumulate) memset(dx, 0, (size_t)x->size * sizeof *dx);
    for (int64_t i = 0; i < y->size / c; i++) {
        float *to = dx + source_of(x, y, i) * c;
        for (int64_t j = 0; j < c; j++) to[j] += y->grad[i * c + j];
    }
}

ap_tensor *ap_reflect_pad(ap_tape *tape, ap_tensor *x, int64_t bottom, int64_t right) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x) return NULL;
    if (bottom == 0 && right == 0) return x;
    if (x->rank != 4 || bottom < 0 || right < 0 || bottom >= x->shape[1] || right >= x->shape[2])
        return ap_tape_fail(tape, "reflect pad: %lld rows and %lld columns of an image that is not larger",
                            (long long)bottom, (long long)right);
    const int64_t c = x->shape[3];
    ap_tensor *y = ap_tape_tensor(tape, 4, (int64_t[]){x->shape[0], x->shape[1] + bottom, x->shape[2] + right, c});
    if (!y) return NULL;
    for (int64_t i = 0; i < y->size / c; i++)
        memcpy(y->data + i * c, x->data + source_of(x, y, i) * c, (size_t)c * sizeof *y->data);
    ap_tape_record(tape, reflect_pad_backward, y, x, 1, &x);
    return y;
}
