/* Convolutions whose every channel is a group. Vectors are of channels; the sums are those of conv.h. */
#include "tensor/kernels/blocking.h"
#include "tensor/kernels/conv_parts.h"
#include "tensor/kernels/kernel_set.h"
#include "tensor/kernels/reduce.h"

#include <stdatomic.h>
#include <string.h>

enum {
    PIXELS_NEAR = 512, /* of one padded copy */
    LANES = 16,        /* threads take whole vectors of channels */
};

/* ---- forward and data gradient */

/* Lines of outputs, each cut into stretches of pixels with the same taps inside. */
typedef struct pass {
    const ap_conv *conv;
    ap_conv_axis line, column;
    int64_t lines, width; /* outputs */
    const float *in;
    int64_t in_image, in_row;
    const float *w; /* of tap (0, 0) */
    int64_t w_row, w_column;
    float *out; /* output (0, 0) of the first image */
    int64_t out_image, out_row, out_pixel;
    bool accumulate;
} pass;

static void one_line(int64_t index, void *context) {
    const pass *p = context;
    const int64_t c = p->conv->c, n = index / p->lines, i = index % p->lines;
    const ap_conv_stretch line = ap_conv_stretch_at(&p->line, i, i + 1);
    for (int64_t x = 0; x < p->width;) {
        const ap_conv_stretch s = ap_conv_stretch_at(&p->column, x, p->width);
        const int64_t row = p->line.start + i * p->line.step + line.first * p->line.tap,
                      column = p->column.start + x * p->column.step + s.first * p->column.tap;
        const bool empty = line.first == line.last || s.first == s.last;
        ap_kernels_current()->depthwise(
            &(ap_depthwise){.channels = c,
                            .pixels = s.to - s.from,
                            .rows = empty ? 0 : line.last - line.first,
                            .columns = empty ? 0 : s.last - s.first,
                            .x = p->in + n * p->in_image + (empty ? 0 : row * p->in_row + column * c),
                            .x_pixel = p->column.step * c,
                            .x_row = p->line.tap * p->in_row,
                            .x_column = p->column.tap * c,
                            .w = p->w + (empty ? 0 : line.first * p->w_row + s.first * p->w_column),
                            .w_row = p->w_row,
                            .w_column = p->w_column,
                            .y = p->out + n * p->out_image + i * p->out_row + x * p->out_pixel,
                            .y_pixel = p->out_pixel,
                            .accumulate = p->accumulate});
        x = s.to;
    }
}

void ap_conv_depthwise_forward(const ap_conv *v, const float *x, const float *packed, bool accumulate, float *y) {
    pass p = {.conv = v,
              .line = ap_conv_forward_line(v),
              .column = ap_conv_forward_column(v),
              .lines = v->oh,
              .width = v->ow,
              .in = x,
              .in_image = v->h * v->w * v->c,
              .in_row = v->w * v->c,
              .w = packed,
              .w_row = v->s * v->c,
              .w_column = v->c,
              .out = y,
              .out_image = v->oh * v->ow * v->c,
              .out_row = v->ow * v->c,
              .out_pixel = v->c,
              .accumulate = accumulate};
    ap_kernels_for(ap_conv_threads(v), v->n * v->oh, one_line, &p);
}

void ap_conv_depthwise_data(const ap_conv *v, const float *dy, const float *packed, bool accumulate, float *dx) {
    for (int64_t a = 0; a < v->stride_h && a < v->h; a++)
        for (int64_t e = 0; e < v->stride_w && e < v->w; e++) {
            const ap_conv_taps r = ap_conv_taps_of_row(v, a), s = ap_conv_taps_of_column(v, e);
            pass p = {.conv = v,
                      .line = ap_conv_data_line(v, a),
                      .column = ap_conv_data_column(v, e),
                      .lines = ap_quotient_up(v->h - a, v->stride_h),
                      .width = ap_quotient_up(v->w - e, v->stride_w),
                      .in = dy,
                      .in_image = v->oh * v->ow * v->c,
                      .in_row = v->ow * v->c,
                      .w = packed + (r.last * v->s + s.last) * v->c,
                      .w_row = -r.hop * v->s * v->c,
                      .w_column = -s.hop * v->c,
                      .out = dx + (a * v->w + e) * v->c,
                      .out_image = v->h * v->w * v->c,
                      .out_row = v->stride_h * v->w * v->c,
                      .out_pixel = v->stride_w * v->c,
                      .accumulate = accumulate};
            ap_kernels_for(ap_conv_threads(v), v->n * p.lines, one_line, &p);
        }
}

/* ---- weight gradient */

/* A thread takes some channels; partial results are [levels][r][s][c]. */
typedef struct weights_pass {
    const ap_conv *conv;
    const float *x, *dy;
    float *partial;
    int64_t size, parts;
    atomic_bool failed;
} weights_pass;

/* A band of lines under the taps of row r of the window: chains in `out` [s][c] go on. */
static void weights_of_row(const weights_pass *p, ap_conv_band b, const ap_conv_view *in, int64_t r, int64_t c0,
                           int64_t c1, float *out) {
    const ap_conv *v = p->conv;
    for (int64_t n = b.n0; n < b.n1; n++)
        for (int64_t i = b.l0; i < b.l1; i++) {
            const int64_t under = r * ap_conv_dilation_h(v), row = i * v->stride_h + under - v->pad_top;
            if (row < 0 || row >= v->h) continue;
            ap_kernels_current()->depthwise_weights(&(ap_depthwise_weights){
                .channels = c1 - c0,
                .pixels = v->ow,
                .taps = v->s,
                .x = in->p + (n - b.n0) * in->image + ((i - b.l0) * v->stride_h + under) * in->row,
                .x_pixel = v->stride_w * in->pixel,
                .x_tap = ap_conv_dilation_w(v) * in->pixel,
                .dy = p->dy + ((n * v->oh + i) * v->ow) * v->c + c0,
                .dy_pixel = v->c,
                .dw = out,
                .dw_tap = v->c});
        }
}

static bool weights_of_chunk(const weights_pass *p, ap_conv_band chunk, int64_t c0, int64_t c1, float *out) {
    const ap_conv *v = p->conv;
    for (int64_t t = 0; t < v->r * v->s; t++) memset(out + t * v->c + c0, 0, (size_t)(c1 - c0) * sizeof *out);
    const ap_conv_parts pieces = ap_conv_parts_of(chunk, v->ow, ap_larger(PIXELS_NEAR, v->ow));
    for (int64_t i = 0; i < pieces.count; i++) {
        const ap_conv_band b = ap_conv_part_of(&pieces, i);
        const ap_conv_window f = {.x = p->x + c0,
                                  .h = v->h,
                                  .w = v->w,
                                  .all = v->c,
                                  .channels = c1 - c0,
                                  .row0 = b.l0 * v->stride_h - v->pad_top,
                                  .rows = (b.l1 - b.l0 - 1) * v->stride_h + (v->r - 1) * ap_conv_dilation_h(v) + 1,
                                  .col0 = -v->pad_left,
                                  .columns = (v->ow - 1) * v->stride_w + (v->s - 1) * ap_conv_dilation_w(v) + 1};
        ap_conv_view in;
        if (!ap_conv_look_at(&f, b.n0, b.n1, &in)) return false;
        for (int64_t r = 0; r < v->r; r++) weights_of_row(p, b, &in, r, c0, c1, out + r * v->s * v->c + c0);
    }
    return true;
}

static void merge(const weights_pass *p, int to, int64_t c0, int64_t c1) {
    const ap_conv *v = p->conv;
    float *a = p->partial + to * p->size + c0;
    for (int64_t t = 0; t < v->r * v->s; t++, a += v->c) ap_add_into((size_t)(c1 - c0), a + p->size, a);
}

static void weights_part(int64_t index, void *context) {
    weights_pass *p = context;
    const int64_t vectors = ap_quotient_up(p->conv->c, LANES), c0 = ap_cut(vectors, p->parts, index) * LANES,
                  c1 = ap_smaller(p->conv->c, ap_cut(vectors, p->parts, index + 1) * LANES);
    const ap_conv_parts chunks = ap_conv_chunks_of(p->conv);
    int top = -1;
    for (int64_t chunk = 0; chunk < chunks.count && c0 < c1; chunk++) {
        if (!weights_of_chunk(p, ap_conv_part_of(&chunks, chunk), c0, c1, p->partial + ++top * p->size)) {
            atomic_store(&p->failed, true);
            return;
        }
        for (int64_t bits = chunk; bits & 1; bits >>= 1, top--) merge(p, top - 1, c0, c1);
    }
    for (; top > 0; top--) merge(p, top - 1, c0, c1);
}

bool ap_conv_depthwise_weights(const ap_conv *v, const float *x, const float *dy, bool accumulate, float *dw) {
    const int64_t taps = v->r * v->s, size = taps * v->c;
    const int threads = ap_conv_threads(v);
    weights_pass p = {.conv = v,
                      .x = x,
                      .dy = dy,
                      .size = size,
                      .parts = ap_smaller(threads, ap_quotient_up(v->c, LANES)),
                      .partial =
                          ap_scratch(AP_SCRATCH_TREE, (size_t)(size * ap_conv_levels_for(ap_conv_chunks_of(v).count)))};
    if (!p.partial) return false;
    ap_kernels_for(threads, p.parts, weights_part, &p);
    if (atomic_load(&p.failed)) return false;
    for (int64_t c = 0; c < v->c; c++)
        for (int64_t t = 0; t < taps; t++, dw++)
            *dw = accumulate ? *dw + p.partial[t * v->c + c] : p.partial[t * v->c + c];
    return true;
}
