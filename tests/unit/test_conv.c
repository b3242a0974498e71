/* The convolution kernels against their reference twins, bit for bit: every instruction set, one and several threads,
 * packed or not, overwriting and accumulating. */
#include "check.h"
#include "tensor/kernels/conv.h"
#include "tensor/kernels/isa.h"

#include <stdlib.h>
#include <string.h>

/* h x w, c -> k, window r x s, strides, padding before and behind, groups */
typedef struct shape {
    int64_t n, h, w, c, k, r, s, stride_h, stride_w, top, left, bottom, right, groups;
} shape;

static const shape shapes[] = {
    {1, 5, 5, 3, 4, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {2, 9, 9, 16, 33, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {2, 8, 8, 17, 20, 3, 3, 2, 2, 1, 1, 1, 1, 1},
    {3, 9, 9, 10, 40, 3, 3, 2, 2, 1, 1, 1, 1, 1},
    {2, 14, 14, 64, 30, 1, 1, 1, 1, 0, 0, 0, 0, 1},
    {2, 14, 14, 24, 64, 1, 1, 2, 2, 0, 0, 0, 0, 1},
    {2, 15, 13, 7, 9, 1, 1, 2, 2, 0, 0, 0, 0, 1},
    {2, 31, 31, 3, 64, 7, 7, 2, 2, 3, 3, 3, 3, 1},
    {7, 26, 26, 4, 18, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {1, 7, 7, 100, 64, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {3, 7, 7, 16, 300, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {1, 75, 64, 2, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {2, 66, 64, 3, 2, 1, 1, 1, 1, 0, 0, 0, 0, 1},
    {2, 12, 20, 3, 8, 4, 4, 4, 4, 0, 0, 0, 0, 1},
    {2, 6, 10, 5, 3, 2, 2, 2, 2, 0, 0, 0, 0, 1},
    {2, 11, 8, 1, 6, 3, 3, 2, 2, 0, 0, 1, 1, 1},
    {2, 10, 6, 12, 8, 3, 2, 1, 2, 1, 0, 1, 0, 4},
    {2, 9, 5, 6, 6, 3, 3, 1, 1, 1, 1, 1, 1, 6},
    {2, 1, 40, 8, 8, 1, 5, 1, 1, 0, 2, 0, 2, 8},
    {1, 6, 6, 2, 2, 5, 5, 3, 3, 4, 4, 4, 4, 1},
    {2, 7, 7, 3, 5, 2, 2, 3, 3, 0, 0, 0, 0, 1},
    {0, 4, 4, 2, 2, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1},
    {5, 4, 4, 8, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {1, 80, 90, 2, 2, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {2, 8, 8, 600, 20, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {1, 3, 5000, 1, 2, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    /* images side by side in a tile, lines a page apart, windows larger than the image */
    {17, 4, 4, 64, 40, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {3, 5, 16, 64, 35, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {29, 8, 8, 16, 16, 3, 3, 2, 2, 1, 1, 1, 1, 1},
    {2, 3, 2, 5, 7, 7, 7, 1, 1, 3, 3, 3, 3, 1},
    {2, 3, 3, 2, 3, 3, 3, 1, 1, 5, 6, 5, 6, 1},
    {2, 1, 30, 9, 20, 1, 5, 1, 2, 0, 2, 0, 2, 1},
    /* Winograd's form: odd images, uneven and wide padding, no padding, several chunks */
    {2, 13, 9, 33, 50, 3, 3, 1, 1, 0, 2, 2, 0, 1},
    {3, 6, 8, 32, 32, 3, 3, 1, 1, 0, 0, 0, 0, 1},
    {1, 8, 9, 40, 36, 3, 3, 1, 1, 3, 2, 1, 3, 1},
    {1, 70, 66, 32, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {80, 7, 7, 32, 48, 3, 3, 1, 1, 1, 1, 1, 1, 1},
};

static const struct dilated {
    shape shape;
    int64_t h, w; /* dilations */
} dilated[] = {
    {{2, 9, 11, 6, 20, 3, 3, 1, 1, 2, 3, 2, 3, 1}, 2, 3},      {{2, 12, 10, 5, 33, 3, 2, 2, 3, 1, 0, 2, 1, 1}, 3, 2},
    {{1, 11, 13, 8, 12, 3, 3, 4, 2, 2, 2, 2, 2, 2}, 2, 4},     {{3, 7, 7, 300, 20, 3, 3, 1, 1, 2, 2, 2, 2, 1}, 2, 2},
    {{2, 1, 50, 8, 8, 1, 4, 1, 1, 0, 6, 0, 6, 1}, 1, 4},       {{1, 5, 6, 3, 300, 2, 2, 1, 1, 1, 1, 1, 1, 1}, 3, 5},
    {{2, 6, 7, 70, 70, 3, 3, 1, 1, 1, 1, 1, 1, 70}, 1, 1}, /* every channel a group */
    {{3, 1, 50, 96, 96, 1, 32, 1, 1, 0, 15, 0, 16, 96}, 1, 1}, {{2, 9, 8, 33, 33, 3, 4, 2, 3, 1, 2, 1, 2, 33}, 2, 1},
    {{1, 66, 64, 2, 2, 2, 2, 1, 1, 1, 0, 0, 1, 2}, 3, 5},
};
enum { PLAIN = sizeof shapes / sizeof *shapes, ALL = PLAIN + sizeof dilated / sizeof *dilated };

static int64_t out_of(int64_t size, int64_t window, int64_t dilation, int64_t stride) {
    return (size - (window - 1) * dilation - 1) / stride + 1;
}

static ap_conv conv_of(const shape *t, int64_t dilation_h, int64_t dilation_w) {
    return (ap_conv){.n = t->n,
                     .h = t->h,
                     .w = t->w,
                     .c = t->c,
                     .k = t->k,
                     .r = t->r,
                     .s = t->s,
                     .stride_h = t->stride_h,
                     .stride_w = t->stride_w,
                     .pad_top = t->top,
                     .pad_left = t->left,
                     .oh = out_of(t->h + t->top + t->bottom, t->r, dilation_h, t->stride_h),
                     .ow = out_of(t->w + t->left + t->right, t->s, dilation_w, t->stride_w),
                     .groups = t->groups,
                     .dilation_h = dilation_h,
                     .dilation_w = dilation_w};
}

static float *noise(int64_t n, uint32_t seed) {
    float *p = malloc((size_t)(n ? n : 1) * sizeof *p);
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = (float)(seed >> 8) * 0x1p-24f - 0.5f;
    }
    return p;
}

typedef struct arrays {
    int64_t nx, ny, nw;
    float *x, *w, *dy, *y_want[2], *dx_want[2], *dw_want[2], *out;
} arrays;

static void make(const ap_conv *v, arrays *a) {
    a->nx = v->n * v->h * v->w * v->c, a->ny = v->n * v->oh * v->ow * v->k;
    a->nw = v->k * (v->c / v->groups) * v->r * v->s;
    a->x = noise(a->nx, 1), a->w = noise(a->nw, 2), a->dy = noise(a->ny, 3);
    for (int add = 0; add < 2; add++) {
        a->y_want[add] = noise(a->ny, 4), a->dx_want[add] = noise(a->nx, 5), a->dw_want[add] = noise(a->nw, 6);
        ap_conv_forward_reference(v, a->x, a->w, add, a->y_want[add]);
        ap_conv_data_gradient_reference(v, a->dy, a->w, add, a->dx_want[add]);
        ap_conv_weight_gradient_reference(v, a->x, a->dy, add, a->dw_want[add]);
    }
}
static void release(arrays *a) {
    free(a->x), free(a->w), free(a->dy);
    for (int add = 0; add < 2; add++) free(a->y_want[add]), free(a->dx_want[add]), free(a->dw_want[add]);
}

/* `out` has 64 floats behind its end that nobody may touch. */
static void check_same(const char *what, size_t shape_index, int64_t n, const float *out, const float *want) {
    int64_t wrong = 0;
    for (int64_t i = 0; i < n; i++) wrong += memcmp(&out[i], &want[i], sizeof *out) != 0;
    for (int64_t i = n; i < n + 64; i++) wrong += out[i] != 7;
    CHECK_INT(wrong, 0);
    if (wrong) printf("%s of shape %zu on %s\n", what, shape_index, ap_isa_name(ap_isa_current()));
}
static float *prepared(int64_t n, uint32_t seed) {
    float *p = noise(n + 64, seed);
    for (int64_t i = n; i < n + 64; i++) p[i] = 7;
    return p;
}

static void check_shape(size_t index, const ap_conv *v, const arrays *a, bool packed, bool add) {
    float *forward = malloc((ap_conv_packed_size(v, false) + 64) * sizeof(float)),
          *backward = malloc((ap_conv_packed_size(v, true) + 64) * sizeof(float));
    if (packed) CHECK(ap_conv_pack(v, false, a->w, forward) && ap_conv_pack(v, true, a->w, backward));
    float *y = prepared(a->ny, 4), *dx = prepared(a->nx, 5), *dw = prepared(a->nw, 6);
    ap_conv_forward(AP_MATH_ORDERED, v, a->x, a->w, packed ? forward : NULL, add, y);
    ap_conv_data_gradient(AP_MATH_ORDERED, v, a->dy, a->w, packed ? backward : NULL, add, dx);
    ap_conv_weight_gradient(AP_MATH_ORDERED, v, a->x, a->dy, add, dw);
    check_same("forward", index, a->ny, y, a->y_want[add]);
    check_same("data gradient", index, a->nx, dx, a->dx_want[add]);
    check_same("weight gradient", index, a->nw, dw, a->dw_want[add]);
    free(forward), free(backward), free(y), free(dx), free(dw);
}

static void test_bits(void) {
    ap_isa best = ap_isa_current();
    for (size_t i = 0; i < ALL; i++) {
        const struct dilated *d = i < PLAIN ? NULL : &dilated[i - PLAIN];
        ap_conv v = d ? conv_of(&d->shape, d->h, d->w) : conv_of(&shapes[i], 1, 1);
        arrays a;
        make(&v, &a);
        for (ap_isa isa = AP_ISA_PORTABLE; isa < AP_ISA_COUNT; isa++) {
            if (!ap_isa_force(isa)) continue;
            for (int threads = 1; threads <= 3; threads += 2) {
                ap_kernels_set_threads(threads);
                for (int add = 0; add < 2; add++) check_shape(i, &v, &a, threads == 1, add);
            }
        }
        release(&a);
    }
    ap_kernels_set_threads(1);
    CHECK(ap_isa_force(best));
}

/* The definition itself, against a plain double sum over the window with the weights as published. */
static void test_definition(void) {
    static const float x[2 * 3 * 2] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, w[2 * 2 * 2] = {1, 2, 3, 4, 5, 6, 7, 8};
    /* [1, 2, 3, 2] -> one output channel, window 2 x 2: 1x(x[..,0]) .. by hand */
    ap_conv v = {.n = 1,
                 .h = 2,
                 .w = 3,
                 .c = 2,
                 .k = 1,
                 .r = 2,
                 .s = 2,
                 .stride_h = 1,
                 .stride_w = 1,
                 .oh = 1,
                 .ow = 2,
                 .groups = 1};
    float y[2];
    ap_conv_forward_reference(&v, x, w, false, y);
    /* w[c][p][q]: c = 0: 1 2 / 3 4, c = 1: 5 6 / 7 8; pixels (p, q): (0,0) = 1 2, (0,1) = 3 4, (1,0) = 7 8, (1,1) = 9
     * 10
     */
    CHECK_NEAR(y[0], 1 * 1 + 2 * 3 + 3 * 7 + 4 * 9 + 5 * 2 + 6 * 4 + 7 * 8 + 8 * 10, 0);
    CHECK_NEAR(y[1], 1 * 3 + 2 * 5 + 3 * 9 + 4 * 11 + 5 * 4 + 6 * 6 + 7 * 10 + 8 * 12, 0);
}

/* Winograd's form is the convolution: against sums in double over the window, all three passes. */
static double exact_forward(const ap_conv *v, const arrays *a, int64_t at) {
    const int64_t o = at % v->k, j = at / v->k % v->ow, i = at / v->k / v->ow % v->oh, n = at / v->k / v->ow / v->oh;
    double sum = 0;
    for (int64_t e = 0; e < 9 * v->c; e++) {
        const int64_t h = i + e / 3 % 3 - v->pad_top, w = j + e % 3 - v->pad_left, c = e / 9;
        if (h < 0 || h >= v->h || w < 0 || w >= v->w) continue;
        sum += (double)a->x[((n * v->h + h) * v->w + w) * v->c + c] * (double)a->w[o * v->c * 9 + e];
    }
    return sum;
}
static double exact_data(const ap_conv *v, const arrays *a, int64_t at) {
    const int64_t c = at % v->c, w = at / v->c % v->w, h = at / v->c / v->w % v->h, n = at / v->c / v->w / v->h;
    double sum = 0;
    for (int64_t e = 0; e < 9 * v->k; e++) {
        const int64_t i = h - e / 3 % 3 + v->pad_top, j = w - e % 3 + v->pad_left, o = e / 9;
        if (i < 0 || i >= v->oh || j < 0 || j >= v->ow) continue;
        sum += (double)a->dy[((n * v->oh + i) * v->ow + j) * v->k + o] * (double)a->w[(o * v->c + c) * 9 + e % 9];
    }
    return sum;
}
static double exact_weight(const ap_conv *v, const arrays *a, int64_t at) {
    const int64_t e = at % 9, c = at / 9 % v->c, o = at / 9 / v->c;
    double sum = 0;
    for (int64_t p = 0; p < v->n * v->oh * v->ow; p++) {
        const int64_t h = p / v->ow % v->oh + e / 3 - v->pad_top, w = p % v->ow + e % 3 - v->pad_left;
        if (h < 0 || h >= v->h || w < 0 || w >= v->w) continue;
        sum += (double)a->x[((p / v->ow / v->oh * v->h + h) * v->w + w) * v->c + c] * (double)a->dy[p * v->k + o];
    }
    return sum;
}
static void test_winograd_is_the_convolution(void) {
    static const shape some[] = {{2, 13, 9, 33, 50, 3, 3, 1, 1, 0, 2, 2, 0, 1},
                                 {2, 8, 8, 64, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1}};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        const ap_conv v = conv_of(&some[i], 1, 1);
        arrays a;
        CHECK(ap_conv_is_winograd(&v));
        make(&v, &a);
        for (int64_t at = 0; at < a.ny; at++) CHECK_NEAR(a.y_want[0][at], exact_forward(&v, &a, at), 1e-5);
        for (int64_t at = 0; at < a.nx; at++) CHECK_NEAR(a.dx_want[0][at], exact_data(&v, &a, at), 1e-5);
        for (int64_t at = 0; at < a.nw; at++) CHECK_NEAR(a.dw_want[0][at], exact_weight(&v, &a, at), 1e-5);
        release(&a);
    }
}

/* Of images alone, not of their number: what an example becomes must not depend on those beside it. */
static void test_form_does_not_depend_on_the_batch(void) {
    for (size_t i = 0; i < PLAIN; i++) {
        ap_conv v = conv_of(&shapes[i], 1, 1), one = v;
        one.n = 1;
        CHECK(ap_conv_is_winograd(&v) == ap_conv_is_winograd(&one));
    }
}

static void test_blas_agrees(void) {
    shape points = {2, 7, 9, 12, 20, 1, 1, 1, 1, 0, 0, 0, 0, 1};
    ap_conv v = conv_of(&points, 1, 1);
    arrays a;
    make(&v, &a);
    float *y = noise(a.ny, 4), *dx = noise(a.nx, 5), *dw = noise(a.nw, 6);
    ap_conv_forward(AP_MATH_BLAS, &v, a.x, a.w, NULL, false, y);
    ap_conv_data_gradient(AP_MATH_BLAS, &v, a.dy, a.w, NULL, true, dx);
    ap_conv_weight_gradient(AP_MATH_BLAS, &v, a.x, a.dy, false, dw);
    for (int64_t i = 0; i < a.ny; i++) CHECK_NEAR(y[i], a.y_want[0][i], 1e-5);
    for (int64_t i = 0; i < a.nx; i++) CHECK_NEAR(dx[i], a.dx_want[1][i], 1e-5);
    for (int64_t i = 0; i < a.nw; i++) CHECK_NEAR(dw[i], a.dw_want[0][i], 1e-5);
    free(y), free(dx), free(dw);
    release(&a);
}

AP_TEST_MAIN(test_definition, test_winograd_is_the_convolution, test_form_does_not_depend_on_the_batch, test_bits,
             test_blas_agrees)
