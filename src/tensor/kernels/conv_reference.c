#include "tensor/kernels/blocking.h"
#include "tensor/kernels/conv_parts.h"
#include <string.h>

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

/* ---- Winograd's form by definition: both sides of a square go through the same line of sums, columns first */

static void points(float d[4][4]) {
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < 4; i++) {
            float *a = side ? &d[i][0] : &d[0][i];
            const int step = side ? 1 : 4;
            const float d0 = a[0], d1 = a[step], d2 = a[2 * step], d3 = a[3 * step];
            a[0] = d0 - d2, a[step] = d1 + d2, a[2 * step] = d2 - d1, a[3 * step] = d1 - d3;
        }
}

static void window_at_points(const float g[3][3], float u[4][4]) {
    float t[4][3];
    for (int j = 0; j < 3; j++) {
        const float outer = g[0][j] + g[2][j];
        t[0][j] = g[0][j], t[1][j] = (outer + g[1][j]) / 2, t[2][j] = (outer - g[1][j]) / 2, t[3][j] = g[2][j];
    }
    for (int i = 0; i < 4; i++) {
        const float outer = t[i][0] + t[i][2];
        u[i][0] = t[i][0], u[i][1] = (outer + t[i][1]) / 2, u[i][2] = (outer - t[i][1]) / 2, u[i][3] = t[i][2];
    }
}

/* The 4 x 4 inputs under a tile. */
static void inputs_under(const ap_winograd *g, const float *in, int64_t index, int64_t c, float d[4][4]) {
    const int64_t columns = ap_quotient_up(g->ow, 2), lines = ap_quotient_up(g->oh, 2), n = index / columns / lines;
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            const int64_t h = index / columns % lines * 2 + i - g->pad_top, w = index % columns * 2 + j - g->pad_left;
            d[i][j] = inside(h, w, g->h, g->w) ? in[((n * g->h + h) * g->w + w) * g->in + c] : 0;
        }
}

void ap_winograd_tile_by_definition(const ap_winograd *g, const float *in, const float *weights, int64_t index,
                                    int64_t o, float y[4]) {
    float m[4][4] = {{0}}, t[2][4];
    for (int64_t c = 0; c < g->in; c++) {
        float d[4][4], window[3][3], u[4][4];
        inputs_under(g, in, index, c, d);
        points(d);
        for (int k = 0; k < 9; k++)
            window[k / 3][k % 3] = weights[o * g->step_out + c * g->step_in + (g->mirrored ? 8 - k : k)];
        window_at_points((const float(*)[3])window, u);
        for (int e = 0; e < 16; e++)
            m[e / 4][e % 4] = __builtin_fmaf(d[e / 4][e % 4], u[e / 4][e % 4], m[e / 4][e % 4]);
    }
    for (int j = 0; j < 4; j++) t[0][j] = m[0][j] + m[1][j] + m[2][j], t[1][j] = m[1][j] - m[2][j] - m[3][j];
    for (int i = 0; i < 2; i++) {
        y[2 * i] = t[i][0] + t[i][1] + t[i][2];
        y[2 * i + 1] = t[i][1] - t[i][2] - t[i][3];
    }
}

static void winograd_reference(const ap_winograd *g, const float *in, const float *weights, bool accumulate,
                               float *out) {
    const int64_t columns = ap_quotient_up(g->ow, 2), lines = ap_quotient_up(g->oh, 2);
    for (int64_t index = 0; index < g->n * lines * columns; index++)
        for (int64_t o = 0; o < g->out; o++) {
            float y[4];
            ap_winograd_tile_by_definition(g, in, weights, index, o, y);
            for (int e = 0; e < 4; e++) {
                const int64_t n = index / columns / lines, i = index / columns % lines * 2 + e / 2,
                              j = index % columns * 2 + e % 2;
                float *to = out + ((n * g->oh + i) * g->ow + j) * g->out + o;
                if (i < g->oh && j < g->ow) *to = accumulate ? *to + y[e] : y[e];
            }
        }
}

/* dy's 2 x 2 pixels at the 4 x 4 points: y0, y0 + y1, y0 - y1, -y1 */
static void gradient_at_points(const ap_winograd *g, const float *dy, int64_t index, int64_t o, float d[4][4]) {
    const int64_t columns = ap_quotient_up(g->ow, 2), lines = ap_quotient_up(g->oh, 2), n = index / columns / lines;
    float y[2][2], t[4][2];
    for (int e = 0; e < 4; e++) {
        const int64_t i = index / columns % lines * 2 + e / 2, j = index % columns * 2 + e % 2;
        y[e / 2][e % 2] = i < g->oh && j < g->ow ? dy[((n * g->oh + i) * g->ow + j) * g->out + o] : 0;
    }
    for (int j = 0; j < 2; j++)
        t[0][j] = y[0][j], t[1][j] = y[0][j] + y[1][j], t[2][j] = y[0][j] - y[1][j], t[3][j] = -y[1][j];
    for (int i = 0; i < 4; i++)
        d[i][0] = t[i][0], d[i][1] = t[i][0] + t[i][1], d[i][2] = t[i][0] - t[i][1], d[i][3] = -t[i][1];
}

static void back_to_window(const float u[4][4], float g[3][3]) {
    float t[3][4];
    for (int j = 0; j < 4; j++) {
        const float inner = (u[1][j] + u[2][j]) / 2;
        t[0][j] = u[0][j] + inner, t[1][j] = (u[1][j] - u[2][j]) / 2, t[2][j] = inner + u[3][j];
    }
    for (int i = 0; i < 3; i++) {
        const float inner = (t[i][1] + t[i][2]) / 2;
        g[i][0] = t[i][0] + inner, g[i][1] = (t[i][1] - t[i][2]) / 2, g[i][2] = inner + t[i][3];
    }
}

/* One channel and output channel: the tree of the chunks' chains, at the points. */
static void window_chains(const ap_winograd *g, const float *x, const float *dy, int64_t c, int64_t o, float u[4][4]) {
    const ap_conv_parts chunks = ap_winograd_chunks_of(g);
    const int64_t columns = ap_quotient_up(g->ow, 2), lines = ap_quotient_up(g->oh, 2);
    float partial[AP_CONV_LEVELS][16];
    int top = -1;
    for (int64_t chunk = 0; chunk < chunks.count; chunk++) {
        const ap_conv_band b = ap_conv_part_of(&chunks, chunk);
        memset(partial[++top], 0, sizeof partial[top]);
        for (int64_t index = (b.n0 * lines + b.l0) * columns; index < ((b.n1 - 1) * lines + b.l1) * columns; index++) {
            float d[4][4], e[4][4];
            inputs_under(g, x, index, c, d);
            points(d);
            gradient_at_points(g, dy, index, o, e);
            for (int k = 0; k < 16; k++)
                partial[top][k] = __builtin_fmaf(d[k / 4][k % 4], e[k / 4][k % 4], partial[top][k]);
        }
        for (int64_t bits = chunk; bits & 1; bits >>= 1, top--)
            for (int k = 0; k < 16; k++) partial[top - 1][k] += partial[top][k];
    }
    for (; top > 0; top--)
        for (int k = 0; k < 16; k++) partial[top - 1][k] += partial[top][k];
    memcpy(u, partial[0], sizeof partial[0]);
}

void ap_winograd_weights_by_definition(const ap_conv *v, const float *x, const float *dy, bool accumulate, float *dw) {
    const ap_winograd g = ap_winograd_forward(v);
    for (int64_t o = 0; o < v->k; o++)
        for (int64_t c = 0; c < v->c; c++) {
            float u[4][4], window[3][3], *to = dw + (o * v->c + c) * 9;
            window_chains(&g, x, dy, c, o, u);
            back_to_window((const float(*)[4])u, window);
            for (int k = 0; k < 9; k++) to[k] = accumulate ? to[k] + window[k / 3][k % 3] : window[k / 3][k % 3];
        }
}

/* ---- the twins */

void ap_conv_forward_reference(const ap_conv *v, const float *x, const float *weights, bool accumulate, float *y) {
    if (ap_conv_is_winograd(v)) {
        const ap_winograd g = ap_winograd_forward(v);
        winograd_reference(&g, x, weights, accumulate, y);
        return;
    }
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
    if (ap_conv_is_winograd(v)) {
        const ap_winograd g = ap_winograd_data(v);
        winograd_reference(&g, dy, weights, accumulate, dx);
        return;
    }
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
    if (ap_conv_is_winograd(v)) {
        ap_winograd_weights_by_definition(v, x, dy, accumulate, dw);
        return;
    }
    for (int64_t g = 0; g < v->groups; g++) ap_conv_weights_by_definition(v, x, dy, g, accumulate, dw);
}
