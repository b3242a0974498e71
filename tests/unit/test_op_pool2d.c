/* Max, average and global pooling, and the change of layout, against their twins; ties and NaN. */
#include "gradient.h"

typedef struct dims {
    int64_t n, h, w, c;
    int kind; /* 0 max, 1 average, 2 global, 3 channels last */
    int window, stride, pad;
} dims;

static ap_tensor *op(ap_tape *tape, ap_tensor *const *x, const void *user) {
    const dims *d = user;
    switch (d->kind) {
    case 0: return ap_max_pool2d(tape, x[0], d->window, d->stride, d->pad);
    case 1: return ap_average_pool2d(tape, x[0], d->window, d->stride);
    case 2: return ap_global_average_pool(tape, x[0]);
    default: return ap_channels_last(tape, x[0]);
    }
}

static int64_t extent(const dims *d, int64_t size) {
    return (size + 2 * d->pad - d->window) / d->stride + 1;
}

static double largest(const dims *d, const double *x, int64_t n, int64_t row0, int64_t column0, int64_t c) {
    double best = -INFINITY;
    for (int64_t row = row0; row < row0 + d->window; row++)
        for (int64_t column = column0; column < column0 + d->window; column++)
            if (row >= 0 && row < d->h && column >= 0 && column < d->w)
                best = fmax(best, x[((n * d->h + row) * d->w + column) * d->c + c]);
    return best;
}

static void max_twin(const double *const *x, double *y, const void *user) {
    const dims *d = user;
    const int64_t oh = extent(d, d->h), ow = extent(d, d->w);
    for (int64_t i = 0; i < d->n * oh * ow * d->c; i++) {
        const int64_t c = i % d->c, column = i / d->c % ow, row = i / d->c / ow % oh, n = i / d->c / ow / oh;
        y[i] = largest(d, x[0], n, row * d->stride - d->pad, column * d->stride - d->pad, c);
    }
}

/* Windows of h x w = window x stride, side by side. */
static void average_twin(const double *const *x, double *y, const void *user) {
    const dims *d = user;
    const int64_t wh = d->kind == 2 ? d->h : d->window, ww = d->kind == 2 ? d->w : d->stride, oh = d->h / wh,
                  ow = d->w / ww;
    for (int64_t i = 0; i < d->n * oh * ow * d->c; i++) y[i] = 0;
    for (int64_t i = 0; i < d->n * d->h * d->w * d->c; i++) {
        const int64_t c = i % d->c, column = i / d->c % d->w / ww, row = i / d->c / d->w % d->h / wh,
                      n = i / d->c / d->w / d->h;
        if (row < oh && column < ow) y[((n * oh + row) * ow + column) * d->c + c] += x[0][i] / (double)(wh * ww);
    }
}

static void layout_twin(const double *const *x, double *y, const void *user) {
    const dims *d = user; /* x [n, c, h, w], here named n, h, w, c */
    const int64_t pixels = d->w * d->c;
    for (int64_t i = 0; i < d->n * d->h * pixels; i++)
        y[(i / (d->h * pixels) * pixels + i % pixels) * d->h + i / pixels % d->h] = x[0][i];
}

static void check_dims(dims d, int64_t outputs) {
    gradient_check(&(gradient_case){.name = "pool2d",
                                    .inputs = 1,
                                    .input = {{4, {d.n, d.h, d.w, d.c}}},
                                    .range = 1,
                                    .op = op,
                                    .twin = d.kind == 0   ? max_twin
                                            : d.kind == 3 ? layout_twin
                                                          : average_twin,
                                    .outputs = outputs,
                                    .user = &d,
                                    .tolerance = 1e-6});
}

static void test_gradients(void) {
    check_dims((dims){2, 7, 6, 2, 0, 3, 2, 1}, (int64_t)2 * 4 * 3 * 2);
    check_dims((dims){1, 4, 6, 2, 0, 2, 2, 0}, (int64_t)2 * 3 * 2);
    check_dims((dims){2, 5, 7, 3, 1, 2, 2, 0}, (int64_t)2 * 2 * 3 * 3);
    check_dims((dims){1, 8, 8, 2, 1, 4, 4, 0}, (int64_t)2 * 2 * 2);
    check_dims((dims){2, 3, 5, 4, 2, 0, 0, 0}, (int64_t)2 * 4);
    check_dims((dims){2, 3, 4, 5, 3, 0, 0, 0}, (int64_t)2 * 3 * 4 * 5);
    check_dims((dims){2, 1, 4, 5, 3, 0, 0, 0}, (int64_t)2 * 4 * 5);
}

/* The first of equal pixels gets the gradient; a NaN wins. */
static void test_ties_and_nan(void) {
    ap_params *params = ap_params_create();
    ap_params_add(params, "x", 4, (int64_t[]){1, 2, 2, 2}, ap_init_constant(0), NULL);
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    static const float x[8] = {1, 0, 5, NAN, 5, 1, 2, 7}, want[8] = {0, 0, 1, 1, 0, 0, 0, 0}, ones[2] = {1, 1};
    memcpy(ap_params_value(params, 0), x, sizeof x);
    float g[16];
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_tape_begin(tape, &(ap_pass){.wants_grad = true, .gradients = g});
    ap_tensor *y = ap_max_pool2d(tape, ap_tape_param(tape, 0), 2, 2, 0);
    CHECK(y->data[0] == 5 && isnan(y->data[1]));
    gradient_record_root(tape, y, ones);
    CHECK_INT(ap_tape_backward(tape, NULL), AP_OK);
    for (int i = 0; i < 8; i++) CHECK_NEAR(g[i], want[i], 0);
    ap_tape_destroy(tape);
    ap_params_destroy(params);
}

AP_TEST_MAIN(test_gradients, test_ties_and_nan)
