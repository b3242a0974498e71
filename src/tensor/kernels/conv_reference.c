#include "tensor/kernels/blocking.h"
#include "tensor/kernels/conv_parts.h"

/* ---- bands: whole images, or some lines of one image */

ap_conv_parts ap_conv_parts_of(ap_conv_band whole, int64_t width, int64_t limit) {
    const int64_t n = whole.n1 - whole.n0, lines = whole.l1 - whole.l0, pixels = lines * width;
    ap_conv_parts p = {.whole = whole, .images = 1, .lines = lines, .per_image = 1};
    if (pixels <= limit) {
        p.images = pixels > 0 ? limit / pixels : n;
        p.count = p.images > 0 ? ap_quotient_up(n, p.images) : 0;
    } else {
        p.lines = ap_larger(1, limit / width);
        p.per_image = ap_quotient_up(lines, p.lines);
        p.count = n * p.per_image;
    }
    return p;
}

ap_conv_band ap_conv_part_of(const ap_conv_parts *p, int64_t index) {
    const int64_t n0 = p->whole.n0 + index / p->per_image * p->images;
    const int64_t l0 = p->whole.l0 + index % p->per_image * p->lines;
    return (ap_conv_band){n0, ap_smaller(n0 + p->images, p->whole.n1), l0, ap_smaller(l0 + p->lines, p->whole.l1)};
}

/* ---- the definition */

static bool inside(int64_t h, int64_t w, int64_t height, int64_t width) {
    return h >= 0 && h < height && w >= 0 && w < width;
}

float ap_conv_forward_element(const ap_conv *v, const float *x, const float *weights, int64_t n, int64_t i, int64_t j,
                              int64_t o, float sum) {
    const int64_t cg = v->c / v->groups, c0 = o / (v->k / v->groups) * cg;
    for (int64_t p = 0; p < v->r; p++)
        for (int64_t q = 0; q < v->s; q++) {
            const int64_t h = i * v->stride_h + p * ap_conv_dilation_h(v) - v->pad_top,
                          w = j * v->stride_w + q * ap_conv_dilation_w(v) - v->pad_left;
            if (!inside(h, w, v->h, v->w)) continue;
            for (int64_t c = 0; c < cg; c++)
                sum = __builtin_fmaf(x[((n * v->h + h) * v->w + w) * v->c + c0 + c],
                                     weights[((o * cg + c) * v->r + p) * v->s + q], sum);
        }
    return sum;
}

void ap_conv_forward_reference(const ap_conv *v, const float *x, const float *weights, bool accumulate, float *y) {
    for (int64_t n = 0; n < v->n; n++)
        for (int64_t i = 0; i < v->oh; i++)
            for (int64_t j = 0; j < v->ow; j++)
                for (int64_t o = 0; o < v->k; o++) {
                    float *out = y + ((n * v->oh + i) * v->ow + j) * v->k + o;
                    *out = ap_conv_forward_element(v, x, weights, n, i, j, o, accumulate ? *out : 0);
                }
}

int64_t ap_conv_floor_div(int64_t a, int64_t b) {
    return a >= 0 ? a / b : -((-a + b - 1) / b);
}

/* r and q decreasing is i and j increasing. */
float ap_conv_data_element(const ap_conv *v, const float *dy, const float *weights, int64_t n, int64_t h, int64_t w,
                           int64_t c, float sum) {
    const int64_t cg = v->c / v->groups, kg = v->k / v->groups, group = c / cg;
    for (int64_t p = v->r - 1; p >= 0; p--)
        for (int64_t q = v->s - 1; q >= 0; q--) {
            const int64_t i = h + v->pad_top - p * ap_conv_dilation_h(v),
                          j = w + v->pad_left - q * ap_conv_dilation_w(v);
            if (i % v->stride_h || j % v->stride_w || !inside(i / v->stride_h, j / v->stride_w, v->oh, v->ow)) continue;
            for (int64_t o = group * kg; o < (group + 1) * kg; o++)
                sum = __builtin_fmaf(dy[((n * v->oh + i / v->stride_h) * v->ow + j / v->stride_w) * v->k + o],
                                     weights[((o * cg + c % cg) * v->r + p) * v->s + q], sum);
        }
    return sum;
}

void ap_conv_data_gradient_reference(const ap_conv *v, const float *dy, const float *weights, bool accumulate,
                                     float *dx) {
    for (int64_t n = 0; n < v->n; n++)
        for (int64_t h = 0; h < v->h; h++)
            for (int64_t w = 0; w < v->w; w++)
                for (int64_t c = 0; c < v->c; c++) {
                    float *out = dx + ((n * v->h + h) * v->w + w) * v->c + c;
                    *out = ap_conv_data_element(v, dy, weights, n, h, w, c, accumulate ? *out : 0);
                }
}

static float weight_chain(const ap_conv *v, const float *x, const float *dy, ap_conv_band b, int64_t o, int64_t c,
                          int64_t p, int64_t q) {
    float sum = 0;
    for (int64_t n = b.n0; n < b.n1; n++)
        for (int64_t i = b.l0; i < b.l1; i++)
            for (int64_t j = 0; j < v->ow; j++) {
                const int64_t h = i * v->stride_h + p * ap_conv_dilation_h(v) - v->pad_top,
                              w = j * v->stride_w + q * ap_conv_dilation_w(v) - v->pad_left;
                if (h < 0 || h >= v->h) continue;
                const float a = w < 0 || w >= v->w ? 0 : x[((n * v->h + h) * v->w + w) * v->c + c];
                sum = __builtin_fmaf(a, dy[((n * v->oh + i) * v->ow + j) * v->k + o], sum);
            }
    return sum;
}

ap_conv_parts ap_conv_chunks_of(const ap_conv *v) {
    return ap_conv_parts_of((ap_conv_band){0, v->n, 0, v->oh}, v->ow, AP_GEMM_CHUNK);
}

void ap_conv_weights_by_definition(const ap_conv *v, const float *x, const float *dy, int64_t group, bool accumulate,
                                   float *dw) {
    const int64_t cg = v->c / v->groups, kg = v->k / v->groups, size = kg * cg * v->r * v->s;
    const ap_conv_parts chunks = ap_conv_chunks_of(v);
    for (int64_t e = group * size; e < (group + 1) * size; e++) {
        const int64_t q = e % v->s, p = e / v->s % v->r, c = e / v->s / v->r % cg, o = e / v->s / v->r / cg;
        float partial[AP_CONV_LEVELS] = {0};
        int top = -1;
        for (int64_t chunk = 0; chunk < chunks.count; chunk++) {
            partial[++top] = weight_chain(v, x, dy, ap_conv_part_of(&chunks, chunk), o, o / kg * cg + c, p, q);
            for (int64_t bits = chunk; bits & 1; bits >>= 1, top--) partial[top - 1] += partial[top];
        }
        for (; top > 0; top--) partial[top - 1] += partial[top];
        dw[e] = accumulate ? dw[e] + partial[0] : partial[0];
    }
}

void ap_conv_weight_gradient_reference(const ap_conv *v, const float *x, const float *dy, bool accumulate, float *dw) {
    for (int64_t g = 0; g < v->groups; g++) ap_conv_weights_by_definition(v, x, dy, g, accumulate, dw);
}
