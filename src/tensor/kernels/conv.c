#include "tensor/kernels/blocking.h"
#include "tensor/kernels/conv_parts.h"
#include "tensor/kernels/kernel_set.h"
#include <string.h>

enum {
    BAND = 1568,      /* output pixels that share one zero-padded copy of their input */
    TILES_NEAR = 256, /* pixels whose tiles go by while one panel of the weights is near */
    NEAR = 1600,      /* steps of k: longer windows are walked in blocks of whole lines */
    WORTH_THREADS = 1 << 20,
};

/* ---- what the micro-kernels see of an image */

static void copy_row(const ap_conv_window *f, const float *row, float *out) {
    const int64_t c = f->channels, from = ap_larger(f->col0, 0), to = ap_smaller(f->col0 + f->columns, f->w);
    const int64_t left = (to > from ? from - f->col0 : f->columns) * c, inside = to > from ? (to - from) * c : 0;
    memset(out, 0, (size_t)left * sizeof *out);
    if (c == f->all) {
        memcpy(out + left, row + from * c, (size_t)inside * sizeof *out);
    } else {
        for (int64_t j = from; j < to; j++) memcpy(out + (j - f->col0) * c, row + j * f->all, (size_t)c * sizeof *out);
    }
    memset(out + left + inside, 0, (size_t)(f->columns * c - left - inside) * sizeof *out);
}

bool ap_conv_look_at(const ap_conv_window *f, int64_t n0, int64_t n1, ap_conv_view *v) {
    const int64_t c = f->channels, pitch = f->columns * c;
    if (f->row0 >= 0 && f->row0 + f->rows <= f->h && f->col0 >= 0 && f->col0 + f->columns <= f->w && c == f->all) {
        *v = (ap_conv_view){f->x + ((n0 * f->h + f->row0) * f->w + f->col0) * c, f->h * f->w * c, f->w * c, c};
        return true;
    }
    float *out = ap_scratch(AP_SCRATCH_IMAGES, (size_t)((n1 - n0) * f->rows * pitch));
    if (!out) return false;
    *v = (ap_conv_view){out, f->rows * pitch, pitch, c};
    for (int64_t n = n0; n < n1; n++)
        for (int64_t row = f->row0; row < f->row0 + f->rows; row++, out += pitch) {
            if (row < 0 || row >= f->h)
                memset(out, 0, (size_t)pitch * sizeof *out);
            else
                copy_row(f, f->x + (n * f->h + row) * f->w * f->all, out);
        }
    return true;
}

/* ---- the gather product: forward pass and data gradient
 * out[image, row, x][j] = sum over t < runs, e < run of in[image, row, x][t * hop + e] panels[t * run + e][j] */

typedef struct gather {
    int64_t images, rows, width; /* output pixels */
    int64_t runs, run, hop;
    const float *in;
    int64_t in_image, in_row, in_pixel;
    float *out;
    int64_t out_image, out_row, out_pixel;
    const float *panels;
    int64_t columns, first_panel, last_panel;
    bool accumulate;
} gather;

/* Lines line0 .. line1 - 1, runs run0 .. run1 - 1. A tile is part of one line, so its pixels lie a fixed distance apart
 * and the kernel reads them where they are. */
static void gather_block(const ap_gemm_kernels *kernels, const gather *g, int64_t line0, int64_t line1, int64_t run0,
                         int64_t run1) {
    const int64_t tiles = ap_quotient_up(g->width, kernels->rows), length = g->runs * g->run * kernels->width;
    ap_gemm_tile tile = {.runs = run1 - run0,
                         .k = g->run,
                         .hop = g->hop,
                         .lda = g->in_pixel,
                         .ldb = kernels->width,
                         .ldc = g->out_pixel,
                         .first = run0 == 0 && !g->accumulate};
    for (int64_t panel = g->first_panel; panel < g->last_panel; panel++) {
        const int64_t j = panel * kernels->width;
        tile.columns = (int)ap_smaller(g->columns - j, kernels->width);
        tile.b = g->panels + panel * length + run0 * g->run * kernels->width;
        tile.next_b = tile.b + length;
        ap_gemm_kernel *const *kernel = kernels->by_row[tile.columns > kernels->vector];
        for (int64_t line = line0; line < line1; line++) {
            const int64_t image = line / g->rows, row = line % g->rows;
            const float *in = g->in + image * g->in_image + row * g->in_row + run0 * g->hop;
            float *out = g->out + image * g->out_image + row * g->out_row + j;
            for (int64_t t = 0, x = 0, end; t < tiles; t++, x = end) {
                end = ap_cut(g->width, tiles, t + 1);
                tile.a = in + x * g->in_pixel;
                tile.c = out + x * g->out_pixel;
                tile.next_c = out + end * g->out_pixel;
                kernel[end - x](&tile);
                tile.next_b += tile.runs * g->run * 4;
            }
        }
    }
}

static void gather_all(const ap_gemm_kernels *kernels, const gather *g) {
    const int64_t lines = g->images * g->rows;
    const int64_t k_blocks = ap_smaller(ap_quotient_up(g->runs * g->run, NEAR), g->runs);
    const int64_t line_blocks = ap_quotient_up(lines * g->width, TILES_NEAR);
    for (int64_t kb = 0; kb < k_blocks; kb++)
        for (int64_t lb = 0; lb < line_blocks; lb++)
            gather_block(kernels, g, ap_cut(lines, line_blocks, lb), ap_cut(lines, line_blocks, lb + 1),
                         ap_cut(g->runs, k_blocks, kb), ap_cut(g->runs, k_blocks, kb + 1));
}

/* ---- packed weights */

static int64_t panels_of(const ap_gemm_kernels *kernels, int64_t columns) {
    return ap_quotient_up(columns, kernels->width);
}

/* Window indices of one axis that an input index = `parity` (mod stride) meets: last, last - stride, ... >= 0. */
typedef struct axis_taps {
    int64_t last, count;
} axis_taps;
static axis_taps taps_of(int64_t size, int64_t stride, int64_t pad, int64_t parity) {
    const int64_t first = (parity + pad) % stride, count = first < size ? (size - 1 - first) / stride + 1 : 0;
    return (axis_taps){first + (count - 1) * stride, count};
}

static int64_t group_size(const ap_conv *v, bool backward) {
    const ap_gemm_kernels *kernels = &ap_kernels_current()->gemm;
    const int64_t cg = v->c / v->groups, kg = v->k / v->groups, rows = v->r * v->s * (backward ? kg : cg);
    return rows * panels_of(kernels, backward ? cg : kg) * kernels->width;
}
size_t ap_conv_packed_size(const ap_conv *v, bool backward) {
    return (size_t)(group_size(v, backward) * v->groups);
}

/* One group's weights [kg, cg, r * s] with the window outside: out[tap * tap_distance + o * cg + c]. */
static void move_window_out(const ap_conv *v, const float *weights, int64_t o0, int64_t o1, int64_t tap_distance,
                            float *out) {
    const int64_t cg = v->c / v->groups, taps = v->r * v->s;
    for (int64_t o = o0; o < o1; o++)
        for (int64_t c = 0; c < cg; c++)
            for (int64_t t = 0; t < taps; t++)
                out[t * tap_distance + (o - o0) * cg + c] = weights[(o * cg + c) * taps + t];
}

/* Panels over output channels, rows (p, q, c). */
static bool pack_forward(const ap_conv *v, const float *weights, float *packed) {
    const ap_gemm_kernels *kernels = &ap_kernels_current()->gemm;
    const int64_t cg = v->c / v->groups, kg = v->k / v->groups, taps = v->r * v->s;
    float *moved = taps == 1 ? NULL : ap_scratch(AP_SCRATCH_LINES, (size_t)(kernels->width * cg * taps));
    if (taps > 1 && !moved) return false;
    for (int64_t o = 0; o < kg; o += kernels->width, packed += taps * cg * kernels->width) {
        const int columns = (int)ap_smaller(kg - o, kernels->width);
        if (moved) move_window_out(v, weights, o, o + columns, columns * cg, moved);
        for (int64_t t = 0; t < taps; t++) {
            const float *row[AP_GEMM_MAX_WIDTH];
            for (int i = 0; i < columns; i++) row[i] = moved ? moved + (t * columns + i) * cg : weights + (o + i) * cg;
            kernels->pack_rows(columns, cg, row, packed + t * cg * kernels->width, kernels->width);
        }
    }
    return true;
}

/* For each parity of (h, w) panels over input channels, rows (i, j, o): the window backwards. */
static bool pack_backward(const ap_conv *v, const float *weights, float *packed) {
    const ap_gemm_kernels *kernels = &ap_kernels_current()->gemm;
    const int64_t cg = v->c / v->groups, kg = v->k / v->groups, all = v->r * v->s;
    float *moved = all == 1 ? NULL : ap_scratch(AP_SCRATCH_LINES, (size_t)(all * kg * cg));
    if (all > 1 && !moved) return false;
    if (moved) move_window_out(v, weights, 0, kg, kg * cg, moved);
    for (int64_t a = 0; a < v->stride_h; a++)
        for (int64_t b = 0; b < v->stride_w; b++) {
            const axis_taps p = taps_of(v->r, v->stride_h, v->pad_top, a),
                            q = taps_of(v->s, v->stride_w, v->pad_left, b);
            for (int64_t c = 0; c < cg && p.count && q.count; c += kernels->width)
                for (int64_t t = 0; t < p.count * q.count; t++, packed += kg * kernels->width) {
                    const int64_t tap =
                        (p.last - t / q.count * v->stride_h) * v->s + q.last - t % q.count * v->stride_w;
                    kernels->pack_columns((int)ap_smaller(cg - c, kernels->width), kg,
                                          (moved ? moved + tap * kg * cg : weights) + c, cg, packed, kernels->width);
                }
        }
    return true;
}

bool ap_conv_pack(const ap_conv *v, bool backward, const float *weights, float *packed) {
    const int64_t group_weights = v->k / v->groups * (v->c / v->groups) * v->r * v->s, size = group_size(v, backward);
    bool done = true;
    for (int64_t g = 0; g < v->groups && done; g++)
        done = backward ? pack_backward(v, weights + g * group_weights, packed + g * size)
                        : pack_forward(v, weights + g * group_weights, packed + g * size);
    return done;
}

/* The packed weights of a call that got none; NULL without memory. */
static const float *pack_now(const ap_conv *v, bool backward, const float *weights) {
    float *packed = ap_scratch(AP_SCRATCH_WEIGHTS, ap_conv_packed_size(v, backward));
    return packed && ap_conv_pack(v, backward, weights, packed) ? packed : NULL;
}

/* ---- work and threads */

/* A pass over the bands of an output. Threads take bands, and parts of the panels where there are few bands. */
typedef struct pass {
    const ap_conv *conv;
    const ap_gemm_kernels *kernels;
    const float *in, *weights, *packed;
    float *out;
    bool accumulate;
    ap_conv_parts bands;
    int64_t panel_parts;
} pass;

int ap_conv_threads(const ap_conv *v) {
    const double work = (double)(v->n * v->oh * v->ow) * (double)(v->k / v->groups) * (double)(v->r * v->s * v->c);
    return work < WORTH_THREADS ? 1 : ap_kernels_threads();
}

static void plan(pass *p, int64_t lines, int64_t width, int64_t panels) {
    const ap_conv *v = p->conv;
    const int threads = ap_conv_threads(v);
    const int64_t each = ap_quotient_up(v->n * lines * width, threads);
    p->bands = ap_conv_parts_of((ap_conv_band){0, v->n, 0, lines}, width, ap_larger(1, ap_smaller(BAND, each)));
    p->panel_parts =
        p->bands.count < threads ? ap_smaller(panels, ap_quotient_up(threads, ap_larger(p->bands.count, 1))) : 1;
}

/* ---- forward */

static void forward_by_definition(const pass *p, ap_conv_band b, int64_t o0, int64_t o1) {
    const ap_conv *v = p->conv;
    for (int64_t n = b.n0; n < b.n1; n++)
        for (int64_t i = b.l0; i < b.l1; i++)
            for (int64_t j = 0; j < v->ow; j++)
                for (int64_t o = o0; o < o1; o++) {
                    float *out = p->out + ((n * v->oh + i) * v->ow + j) * v->k + o;
                    *out = ap_conv_forward_element(v, p->in, p->weights, n, i, j, o, p->accumulate ? *out : 0);
                }
}

static void forward_part(int64_t index, void *context) {
    const pass *p = context;
    const ap_conv *v = p->conv;
    const int64_t cg = v->c / v->groups, kg = v->k / v->groups, panels = panels_of(p->kernels, kg);
    const ap_conv_band b = ap_conv_part_of(&p->bands, index / p->panel_parts);
    const int64_t first = ap_cut(panels, p->panel_parts, index % p->panel_parts),
                  last = ap_cut(panels, p->panel_parts, index % p->panel_parts + 1);
    for (int64_t g = 0; g < v->groups; g++) {
        ap_conv_window f = {.x = p->in + g * cg,
                            .h = v->h,
                            .w = v->w,
                            .all = v->c,
                            .channels = cg,
                            .row0 = b.l0 * v->stride_h - v->pad_top,
                            .rows = (b.l1 - b.l0 - 1) * v->stride_h + v->r,
                            .col0 = -v->pad_left,
                            .columns = (v->ow - 1) * v->stride_w + v->s};
        ap_conv_view in;
        if (!p->packed || !ap_conv_look_at(&f, b.n0, b.n1, &in)) {
            forward_by_definition(p, b, g * kg + first * p->kernels->width,
                                  g * kg + ap_smaller(kg, last * p->kernels->width));
            continue;
        }
        gather_all(p->kernels, &(gather){.images = b.n1 - b.n0,
                                         .rows = b.l1 - b.l0,
                                         .width = v->ow,
                                         .runs = v->r,
                                         .run = v->s * cg,
                                         .hop = in.row,
                                         .in = in.p,
                                         .in_image = in.image,
                                         .in_row = v->stride_h * in.row,
                                         .in_pixel = v->stride_w * in.pixel,
                                         .out = p->out + (b.n0 * v->oh + b.l0) * v->ow * v->k + g * kg,
                                         .out_image = v->oh * v->ow * v->k,
                                         .out_row = v->ow * v->k,
                                         .out_pixel = v->k,
                                         .panels = p->packed + g * group_size(v, false),
                                         .columns = kg,
                                         .first_panel = first,
                                         .last_panel = last,
                                         .accumulate = p->accumulate});
    }
}

static void count(const ap_conv *v) {
    ap_kernels_count((double)(v->n * v->oh * v->ow), (double)(v->k / v->groups), (double)(v->r * v->s * v->c));
}

/* A product over pixels. */
bool ap_conv_is_pointwise(const ap_conv *v) {
    return v->r == 1 && v->s == 1 && v->stride_h == 1 && v->stride_w == 1 && v->groups == 1 && v->pad_top == 0 &&
           v->pad_left == 0 && v->oh == v->h && v->ow == v->w;
}

void ap_conv_forward(ap_math math, const ap_conv *v, const float *x, const float *weights, const float *packed,
                     bool accumulate, float *y) {
    if (ap_conv_is_pointwise(v)) {
        ap_gemm(math, &(ap_gemm_args){.transpose_b = true,
                                      .m = v->n * v->h * v->w,
                                      .n = v->k,
                                      .k = v->c,
                                      .a = x,
                                      .lda = v->c,
                                      .b = weights,
                                      .ldb = v->c,
                                      .packed_b = packed,
                                      .c = y,
                                      .ldc = v->k,
                                      .accumulate = accumulate});
        return;
    }
    count(v);
    pass p = {.conv = v,
              .kernels = &ap_kernels_current()->gemm,
              .in = x,
              .weights = weights,
              .packed = packed ? packed : pack_now(v, false, weights),
              .out = y,
              .accumulate = accumulate};
    plan(&p, v->oh, v->ow, panels_of(p.kernels, v->k / v->groups));
    ap_kernels_for(ap_conv_threads(v), p.bands.count * p.panel_parts, forward_part, &p);
}

/* ---- data gradient */

static void data_by_definition(const pass *p, ap_conv_band b, int64_t c0, int64_t c1) {
    const ap_conv *v = p->conv;
    for (int64_t n = b.n0; n < b.n1; n++)
        for (int64_t h = b.l0; h < b.l1; h++)
            for (int64_t w = 0; w < v->w; w++)
                for (int64_t c = c0; c < c1; c++) {
                    float *out = p->out + ((n * v->h + h) * v->w + w) * v->c + c;
                    *out = ap_conv_data_element(v, p->in, p->weights, n, h, w, c, p->accumulate ? *out : 0);
                }
}

/* Pixels that no window meets. */
static void clear_columns(const pass *p, ap_conv_band b, int64_t c0, int64_t c1) {
    const ap_conv *v = p->conv;
    for (int64_t n = b.n0; n < b.n1; n++)
        for (int64_t i = b.l0 * v->w; i < b.l1 * v->w; i++)
            memset(p->out + (n * v->h * v->w + i) * v->c + c0, 0, (size_t)(c1 - c0) * sizeof(float));
}

/* One group of a band: for each parity of (h, w) a dense product, over the same view of dy. */
static void data_parities(const pass *p, ap_conv_band b, int64_t group, const ap_conv_window *f, const ap_conv_view *in,
                          int64_t first, int64_t last) {
    const ap_conv *v = p->conv;
    const int64_t cg = v->c / v->groups, kg = v->k / v->groups;
    const float *panels = p->packed + group * group_size(v, true);
    for (int64_t a = 0; a < v->stride_h; a++)
        for (int64_t e = 0; e < v->stride_w; e++) {
            const axis_taps r = taps_of(v->r, v->stride_h, v->pad_top, a),
                            s = taps_of(v->s, v->stride_w, v->pad_left, e);
            if (!r.count || !s.count) continue;
            const int64_t h0 = b.l0 + (a - b.l0 % v->stride_h + v->stride_h) % v->stride_h;
            const int64_t row = ap_conv_floor_div(h0 + v->pad_top - r.last, v->stride_h) - f->row0;
            const int64_t column = ap_conv_floor_div(e + v->pad_left - s.last, v->stride_w) - f->col0;
            if (h0 < b.l1 && e < v->w)
                gather_all(p->kernels, &(gather){.images = b.n1 - b.n0,
                                                 .rows = ap_quotient_up(b.l1 - h0, v->stride_h),
                                                 .width = ap_quotient_up(v->w - e, v->stride_w),
                                                 .runs = r.count,
                                                 .run = s.count * kg,
                                                 .hop = in->row,
                                                 .in = in->p + row * in->row + column * in->pixel,
                                                 .in_image = in->image,
                                                 .in_row = in->row,
                                                 .in_pixel = in->pixel,
                                                 .out = p->out + ((b.n0 * v->h + h0) * v->w + e) * v->c + group * cg,
                                                 .out_image = v->h * v->w * v->c,
                                                 .out_row = v->stride_h * v->w * v->c,
                                                 .out_pixel = v->stride_w * v->c,
                                                 .panels = panels,
                                                 .columns = cg,
                                                 .first_panel = first,
                                                 .last_panel = last,
                                                 .accumulate = p->accumulate});
            panels += r.count * s.count * kg * panels_of(p->kernels, cg) * p->kernels->width;
        }
}

static void data_part(int64_t index, void *context) {
    const pass *p = context;
    const ap_conv *v = p->conv;
    const int64_t cg = v->c / v->groups, kg = v->k / v->groups, panels = panels_of(p->kernels, cg);
    const ap_conv_band b = ap_conv_part_of(&p->bands, index / p->panel_parts);
    const int64_t first = ap_cut(panels, p->panel_parts, index % p->panel_parts),
                  last = ap_cut(panels, p->panel_parts, index % p->panel_parts + 1);
    const int64_t row0 = ap_conv_floor_div(b.l0 + v->pad_top - (v->r - 1), v->stride_h),
                  col0 = ap_conv_floor_div(v->pad_left - (v->s - 1), v->stride_w);
    for (int64_t g = 0; g < v->groups; g++) {
        const int64_t c0 = g * cg + first * p->kernels->width, c1 = g * cg + ap_smaller(cg, last * p->kernels->width);
        const ap_conv_window f = {.x = p->in + g * kg,
                                  .h = v->oh,
                                  .w = v->ow,
                                  .all = v->k,
                                  .channels = kg,
                                  .row0 = row0,
                                  .rows = (b.l1 - 1 + v->pad_top) / v->stride_h - row0 + 1,
                                  .col0 = col0,
                                  .columns = (v->w - 1 + v->pad_left) / v->stride_w - col0 + 1};
        ap_conv_view in;
        if (!p->packed || !ap_conv_look_at(&f, b.n0, b.n1, &in)) {
            data_by_definition(p, b, c0, c1);
            continue;
        }
        if (!p->accumulate && (v->r < v->stride_h || v->s < v->stride_w)) clear_columns(p, b, c0, c1);
        data_parities(p, b, g, &f, &in, first, last);
    }
}

void ap_conv_data_gradient(ap_math math, const ap_conv *v, const float *dy, const float *weights, const float *packed,
                           bool accumulate, float *dx) {
    if (ap_conv_is_pointwise(v)) {
        ap_gemm(math, &(ap_gemm_args){.m = v->n * v->h * v->w,
                                      .n = v->c,
                                      .k = v->k,
                                      .a = dy,
                                      .lda = v->k,
                                      .b = weights,
                                      .ldb = v->c,
                                      .packed_b = packed,
                                      .c = dx,
                                      .ldc = v->c,
                                      .accumulate = accumulate});
        return;
    }
    count(v);
    pass p = {.conv = v,
              .kernels = &ap_kernels_current()->gemm,
              .in = dy,
              .weights = weights,
              .packed = packed ? packed : pack_now(v, true, weights),
              .out = dx,
              .accumulate = accumulate};
    plan(&p, v->h, v->w, panels_of(p.kernels, v->c / v->groups));
    ap_kernels_for(ap_conv_threads(v), p.bands.count * p.panel_parts, data_part, &p);
}
