/* ap_conv2d and ap_conv2d_transposed against their twins; packed weights of a parameter; wrong shapes. */
#include "gradient.h"

typedef struct dims {
    int64_t n, h, w, c, k, r, s;
    ap_conv2d_options options;
    bool bias;
} dims;

/* 0 means 1: strides and dilations */
static int64_t stride_of(int64_t stride) {
    return stride ? stride : 1;
}
static int64_t out_h(const dims *d) {
    const int64_t window = (d->r - 1) * stride_of(d->options.dilation_h) + 1;
    return (d->h + d->options.pad_top + d->options.pad_bottom - window) / stride_of(d->options.stride_h) + 1;
}
static int64_t out_w(const dims *d) {
    const int64_t window = (d->s - 1) * stride_of(d->options.dilation_w) + 1;
    return (d->w + d->options.pad_left + d->options.pad_right - window) / stride_of(d->options.stride_w) + 1;
}

static ap_tensor *op(ap_tape *tape, ap_tensor *const *x, const void *user) {
    const dims *d = user;
    return ap_conv2d(tape, x[0], x[1], d->bias ? x[2] : NULL, &d->options);
}

/* Scatters every input pixel under every window into the outputs that see it. */
static void twin(const double *const *x, double *y, const void *user) {
    const dims *d = user;
    const int64_t groups = d->options.groups ? d->options.groups : 1, cg = d->c / groups, kg = d->k / groups;
    for (int64_t i = 0; i < d->n * out_h(d) * out_w(d); i++)
        for (int64_t o = 0; o < d->k; o++) {
            const int64_t n = i / (out_h(d) * out_w(d)), row = i / out_w(d) % out_h(d), column = i % out_w(d);
            double sum = d->bias ? x[2][o] : 0;
            for (int64_t p = 0; p < d->r; p++)
                for (int64_t q = 0; q < d->s; q++) {
                    const int64_t h = row * stride_of(d->options.stride_h) + p * stride_of(d->options.dilation_h) -
                                      d->options.pad_top,
                                  w = column * stride_of(d->options.stride_w) + q * stride_of(d->options.dilation_w) -
                                      d->options.pad_left;
                    if (h < 0 || h >= d->h || w < 0 || w >= d->w) continue;
                    for (int64_t c = 0; c < cg; c++)
                        sum += x[0][((n * d->h + h) * d->w + w) * d->c + o / kg * cg + c] *
                               x[1][((o * cg + c) * d->r + p) * d->s + q];
                }
            y[i * d->k + o] = sum;
        }
}

static void check_dims(dims d) {
    const int64_t groups = d.options.groups ? d.options.groups : 1;
    gradient_check(
        &(gradient_case){.name = "conv2d",
                         .inputs = d.bias ? 3 : 2,
                         .input = {{4, {d.n, d.h, d.w, d.c}}, {4, {d.k, d.c / groups, d.r, d.s}}, {1, {d.k}}},
                         .range = 1,
                         .op = op,
                         .twin = twin,
                         .outputs = d.n * out_h(&d) * out_w(&d) * d.k,
                         .user = &d,
                         .tolerance = 1e-5});
}

static void test_gradients(void) {
    check_dims((dims){2, 5, 4, 3, 4, 3, 3, {.pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1}, true});
    check_dims((dims){1, 7, 6, 2, 3, 3, 3, {2, 2, 1, 1, 1, 1, 1, 1, 1}, false});
    check_dims((dims){2, 4, 3, 5, 6, 1, 1, {0}, true});
    check_dims((dims){2, 5, 5, 2, 3, 1, 1, {.stride_h = 2, .stride_w = 2}, false});
    check_dims((dims){1, 6, 8, 2, 5, 3, 4, {.stride_h = 3, .stride_w = 4}, true});
    check_dims((dims){2, 6, 4, 4, 4, 3, 2, {1, 2, 0, 0, 1, 0, 2, 1, 1}, true});
    check_dims((dims){2, 7, 8, 3, 4, 3, 3, {.pad_top = 2, .pad_left = 1, .dilation_h = 2, .dilation_w = 3}, true});
    check_dims((dims){1, 9, 8, 4, 6, 3, 2, {2, 3, 2, 2, 2, 2, 2, 3, 2}, false});
    check_dims((dims){2, 1, 12, 5, 5, 1, 4, {.pad_left = 1, .pad_right = 2, .groups = 5}, true});
    check_dims((dims){1, 5, 6, 3, 3, 3, 3, {2, 1, 1, 2, 1, 2, 3, 1, 2}, true});
}

/* ---- transposed */

static ap_tensor *transposed_op(ap_tape *tape, ap_tensor *const *x, const void *user) {
    const dims *d = user;
    return ap_conv2d_transposed(tape, x[0], x[1], d->bias ? x[2] : NULL, (int)d->options.stride_h);
}

/* PyTorch's definition: every input pixel adds its window to the output. x [n, h, w, k], w [k, c, r, s]. */
static void transposed_twin(const double *const *x, double *y, const void *user) {
    const dims *d = user;
    const int64_t stride = d->options.stride_h, oh = (d->h - 1) * stride + d->r, ow = (d->w - 1) * stride + d->s;
    for (int64_t i = 0; i < d->n * oh * ow * d->c; i++) y[i] = d->bias ? x[2][i % d->c] : 0;
    for (int64_t i = 0; i < d->n * d->h * d->w; i++)
        for (int64_t e = 0; e < d->k * d->c * d->r * d->s; e++) {
            const int64_t q = e % d->s, p = e / d->s % d->r, c = e / d->s / d->r % d->c, o = e / d->s / d->r / d->c;
            const int64_t row = i / d->w % d->h * stride + p, column = i % d->w * stride + q;
            y[((i / (d->h * d->w) * oh + row) * ow + column) * d->c + c] += x[0][i * d->k + o] * x[1][e];
        }
}

static void check_transposed(dims d) {
    const int64_t stride = d.options.stride_h;
    gradient_check(&(gradient_case){.name = "conv2d transposed",
                                    .inputs = d.bias ? 3 : 2,
                                    .input = {{4, {d.n, d.h, d.w, d.k}}, {4, {d.k, d.c, d.r, d.s}}, {1, {d.c}}},
                                    .range = 1,
                                    .op = transposed_op,
                                    .twin = transposed_twin,
                                    .outputs = d.n * ((d.h - 1) * stride + d.r) * ((d.w - 1) * stride + d.s) * d.c,
                                    .user = &d,
                                    .tolerance = 1e-5});
}
static void test_transposed_gradients(void) {
    check_transposed((dims){2, 3, 4, 3, 5, 2, 2, {.stride_h = 2}, false});
    check_transposed((dims){1, 4, 3, 2, 3, 3, 3, {.stride_h = 2}, true});
    check_transposed((dims){1, 3, 2, 4, 2, 2, 3, {.stride_h = 1}, true});
}

static void test_wrong_shapes(void) {
    ap_params *params = ap_params_create();
    ap_params_add(params, "w", 4, (int64_t[]){4, 3, 3, 3}, ap_init_constant(1), NULL);
    ap_params_add(params, "b", 1, (int64_t[]){5}, ap_init_constant(1), NULL);
    CHECK_INT(ap_params_allocate(params, NULL), AP_OK);
    ap_tape *tape = ap_tape_create(params, NULL, AP_MATH_ORDERED);
    ap_error error;
    static const float x[2 * 2 * 3];
    ap_tape_begin(tape, &(ap_pass){0});
    ap_tensor *image = ap_tape_input(tape, x, 4, (int64_t[]){1, 2, 2, 3});
    CHECK(ap_conv2d(tape, image, ap_tape_param(tape, 0), NULL, &(ap_conv2d_options){0}) == NULL);
    CHECK_TEXT((ap_tape_status(tape, &error), error.text), "smaller than the window");
    ap_tape_begin(tape, &(ap_pass){0});
    image = ap_tape_input(tape, x, 4, (int64_t[]){1, 2, 3, 2});
    CHECK(ap_conv2d(tape, image, ap_tape_param(tape, 0), NULL, &(ap_conv2d_options){.pad_top = 1}) == NULL);
    CHECK_TEXT((ap_tape_status(tape, &error), error.text), "2 channels");
    ap_tape_begin(tape, &(ap_pass){0});
    image = ap_tape_input(tape, x, 4, (int64_t[]){1, 2, 2, 3});
    CHECK(ap_conv2d(tape, image, ap_tape_param(tape, 0), ap_tape_param(tape, 1), &(ap_conv2d_options){0}) == NULL);
    CHECK_TEXT((ap_tape_status(tape, &error), error.text), "b has 5 elements");
    ap_tape_destroy(tape);
    ap_params_destroy(params);
}

AP_TEST_MAIN(test_gradients, test_transposed_gradients, test_wrong_shapes)
