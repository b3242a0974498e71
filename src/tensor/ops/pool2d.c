/* Pooling of channels-last images.
 *
 * Max: of the pixels of the window that lie in the image; the first largest wins, in row-major order, and gets the
 * gradient (a NaN wins over all before it). Average: the sum over the window, a chain of additions in row-major order,
 * times 1 / pixels; windows that do not fit are left out (floor). Windows of the average do not overlap. */
#include "tensor/ops.h"

#include <math.h>
#include <string.h>

/* ---- max */

typedef struct max_pool {
    ap_tensor *x;
    int32_t *winner; /* [size of y]: pixel of x, row * w + column */
} max_pool;

static void max_pool_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const max_pool *op = context;
    bool accumulate;
    float *dx = ap_tape_grad(tape, op->x, &accumulate);
    if (!dx) return;
    if (!accumulate) memset(dx, 0, (size_t)op->x->size * sizeof *dx);
    const int64_t c = y->shape[3], pixels = y->shape[1] * y->shape[2], image = op->x->shape[1] * op->x->shape[2] * c;
    for (int64_t i = 0; i < y->size / c; i++)
        for (int64_t j = 0; j < c; j++) dx[i / pixels * image + op->winner[i * c + j] * c + j] += y->grad[i * c + j];
}

/* Compiled for several instruction sets: comparisons and copies only, so the bits are the same. */
#define ANY_ISA __attribute__((target_clones("avx512f", "avx2", "default")))

/* One more pixel p, number `at`, under a window of c channels. */
ANY_ISA static void max_pool_take(int64_t c, const float *p, int32_t at, float *y, int32_t *winner) {
    for (int64_t j = 0; j < c; j++) {
        const bool wins = p[j] > y[j] || p[j] != p[j];
        y[j] = wins ? p[j] : y[j];
        winner[j] = wins ? at : winner[j];
    }
}

/* One pixel of y. */
static void max_of_window(const ap_tensor *x, const float *image, int64_t row0, int64_t column0, int window, float *y,
                          int32_t *winner) {
    const int64_t h = x->shape[1], w = x->shape[2], c = x->shape[3];
    bool first = true;
    for (int64_t row = row0 < 0 ? 0 : row0; row < row0 + window && row < h; row++)
        for (int64_t column = column0 < 0 ? 0 : column0; column < column0 + window && column < w; column++) {
            const float *p = image + (row * w + column) * c;
            const int32_t at = (int32_t)(row * w + column);
            if (first) {
                memcpy(y, p, (size_t)c * sizeof *y);
                for (int64_t j = 0; j < c; j++) winner[j] = at;
            } else {
                max_pool_take(c, p, at, y, winner);
            }
            first = false;
        }
}

ap_tensor *ap_max_pool2d(ap_tape *tape, ap_tensor *x, int window, int stride, int pad) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x) return NULL;
    if (x->rank != 4 || pad * 2 > window || x->shape[1] + 2 * pad < window || x->shape[2] + 2 * pad < window)
        return ap_tape_fail(tape, "max pool: x must be [n, h, w, c], at least as large as the window of %d", window);
    const int64_t n = x->shape[0], c = x->shape[3], oh = (x->shape[1] + 2 * pad - window) / stride + 1,
                  ow = (x->shape[2] + 2 * pad - window) / stride + 1;
    ap_tensor *y = ap_tape_tensor(tape, 4, (int64_t[]){n, oh, ow, c});
    max_pool *op = ap_tape_take(tape, sizeof *op);
    if (!y || !op) return NULL;
    *op = (max_pool){x, ap_tape_take(tape, (size_t)y->size * sizeof *op->winner)};
    if (!op->winner) return NULL;
    for (int64_t i = 0; i < n * oh * ow; i++)
        max_of_window(x, x->data + i / (oh * ow) * x->shape[1] * x->shape[2] * c, i / ow % oh * stride - pad,
                      i % ow * stride - pad, window, y->data + i * c, op->winner + i * c);
    ap_tape_record(tape, max_pool_backward, y, op, 1, &x);
    return y;
}

/* ---- average */

typedef struct average_pool {
    ap_tensor *x;
    int64_t window_h, window_w;
} average_pool;

static void average_pool_backward(ap_tape *tape, ap_tensor *y, void *context) {
    const average_pool *op = context;
    bool accumulate;
    float *dx = ap_tape_grad(tape, op->x, &accumulate);
    if (!dx) return;
    const int64_t h = op->x->shape[1], w = op->x->shape[2], c = op->x->shape[3], oh = y->shape[1], ow = y->shape[2];
    const float share = 1 / (float)(op->window_h * op->window_w);
    if (!accumulate) memset(dx, 0, (size_t)op->x->size * sizeof *dx);
    for (int64_t i = 0; i < op->x->size / c; i++) {
        const int64_t row = i / w % h / op->window_h, column = i % w / op->window_w;
        const float *dy = y->grad + ((i / (h * w) * oh + row) * ow + column) * c;
        if (row >= oh || column >= ow) continue;
        for (int64_t j = 0; j < c; j++) dx[i * c + j] += dy[j] * share;
    }
}

ap_tensor *ap_average_pool2d(ap_tape *tape, ap_tensor *x, int64_t window_h, int64_t window_w) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x) return NULL;
    if (x->rank != 4 || x->shape[1] < window_h || x->shape[2] < window_w)
        return ap_tape_fail(tape, "average pool: x must be [n, h, w, c], at least as large as the window %lld x %lld",
                            (long long)window_h, (long long)window_w);
    const int64_t h = x->shape[1], w = x->shape[2], c = x->shape[3], oh = h / window_h, ow = w / window_w;
    ap_tensor *y = ap_tape_tensor(tape, 4, (int64_t[]){x->shape[0], oh, ow, c});
    average_pool *op = ap_tape_take(tape, sizeof *op);
    if (!y || !op) return NULL;
    *op = (average_pool){x, window_h, window_w};
    const float share = 1 / (float)(window_h * window_w);
    for (int64_t i = 0; i < y->size / c; i++) {
        const int64_t row = i / ow % oh * window_h, column = i % ow * window_w;
        const float *image = x->data + i / (oh * ow) * h * w * c;
        float *out = y->data + i * c;
        memset(out, 0, (size_t)c * sizeof *out);
        for (int64_t p = 0; p < window_h * window_w; p++) {
            const float *in = image + ((row + p / window_w) * w + column + p % window_w) * c;
            for (int64_t j = 0; j < c; j++) out[j] += in[j];
        }
        for (int64_t j = 0; j < c; j++) out[j] *= share;
    }
    ap_tape_record(tape, average_pool_backward, y, op, 1, &x);
    return y;
}

/* [n, h, w, c] -> [n, c] */
ap_tensor *ap_global_average_pool(ap_tape *tape, ap_tensor *x) {
    if (ap_tape_status(tape, NULL) != AP_OK || !x) return NULL;
    if (x->rank != 4) return ap_tape_fail(tape, "global average pool: x must be [n, h, w, c]");
    ap_tensor *y = ap_average_pool2d(tape, x, x->shape[1], x->shape[2]);
    return ap_reshape(tape, y, 2, (int64_t[]){x->shape[0], x->shape[3]});
}
