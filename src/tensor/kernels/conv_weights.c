/* The weight gradient of convolutions. */
#include "tensor/kernels/blocking.h"
#include "tensor/kernels/conv_parts.h"
#include "tensor/kernels/kernel_set.h"
#include "tensor/kernels/reduce.h"
#include <string.h>

enum {
    PIXELS_NEAR = 512, /* pixels whose operands stay in L2 */
    ROWS_NEAR = 168,   /* rows of packed patches */
    FEW_PANELS = 8,    /* with more panels of k each patch is used often enough to be packed */
    LINE = 28,         /* pixels packed at a time */
    STRIP = 16,        /* packing writes whole vectors: room between tiles */
    MOST_THREADS = 256,
};

/* One group: partial results [r][s * cg][kg], folded chunk by chunk. Taps that lie side by side are one run of the
 * window: with a dilation of the columns each tap is one, else each line. A thread takes rows row0 .. row1 - 1 of a
 * run. */
typedef struct weights_pass {
    const ap_conv *conv;
    const ap_gemm_kernels *kernels;
    const float *x, *dy; /* at the group's first channel */
    float *partial;      /* [levels][runs][run][kg] */
    int64_t size;        /* of one */
    int64_t runs, run;
    int64_t row_parts;
    bool *failed;
} weights_pass;

static ap_conv_window patch_window(const weights_pass *p, ap_conv_band b) {
    const ap_conv *v = p->conv;
    return (ap_conv_window){.x = p->x,
                            .h = v->h,
                            .w = v->w,
                            .all = v->c,
                            .channels = v->c / v->groups,
                            .row0 = b.l0 * v->stride_h - v->pad_top,
                            .rows = (b.l1 - b.l0 - 1) * v->stride_h + (v->r - 1) * ap_conv_dilation_h(v) + 1,
                            .col0 = -v->pad_left,
                            .columns = (v->ow - 1) * v->stride_w + (v->s - 1) * ap_conv_dilation_w(v) + 1};
}

/* A run over the lines of a band that see it inside the image: the others do not belong to its chains. */
typedef struct lines_of_run {
    int64_t first, count; /* of the band's lines */
    const float *in;      /* under the run in the first one's first pixel */
} lines_of_run;

static lines_of_run lines_of(const weights_pass *p, ap_conv_band b, const ap_conv_view *in, int64_t index) {
    const ap_conv *v = p->conv;
    const int64_t each = p->runs / v->r, row = index / each * ap_conv_dilation_h(v) - v->pad_top,
                  column = index % each * ap_conv_dilation_w(v);
    const int64_t from = row < 0 ? ap_quotient_up(-row, v->stride_h) : 0,
                  to = v->h > row ? (v->h - 1 - row) / v->stride_h + 1 : 0;
    lines_of_run l = {.first = ap_larger(from, b.l0) - b.l0};
    l.count = ap_larger(0, ap_smaller(to, b.l1) - b.l0 - l.first);
    if (l.count > 0) l.in = in->p + (l.first * v->stride_h + row + v->pad_top) * in->row + column * in->pixel;
    return l;
}

/* Few panels: the kernel reads patches where they lie, image by image, line by line of pixels. */
static void multiply_lying(const weights_pass *p, ap_conv_band b, const ap_conv_view *in, const lines_of_run *l,
                           const float *packed_dy, int64_t rows, bool first, float *out) {
    const ap_conv *v = p->conv;
    const ap_gemm_kernels *kernels = p->kernels;
    const int64_t kg = v->k / v->groups, lines = b.l1 - b.l0, pixels = (b.n1 - b.n0) * lines * v->ow,
                  tiles = ap_quotient_up(rows, kernels->rows);
    ap_gemm_tile tile = {.runs = l->count,
                         .k = v->ow,
                         .hop = v->stride_h * in->row,
                         .lda = v->stride_w * in->pixel,
                         .ldb = kernels->width,
                         .ldc = kg};
    for (int64_t image = 0; image < b.n1 - b.n0; image++)
        for (int64_t t = 0; t < tiles; t++) {
            const int64_t m = ap_cut(rows, tiles, t), height = ap_cut(rows, tiles, t + 1) - m;
            tile.a = l->in + image * in->image + m;
            tile.first = first && image == 0;
            for (int64_t j = 0; j < kg; j += kernels->width) {
                tile.columns = (int)ap_smaller(kg - j, kernels->width);
                tile.b = packed_dy + j * pixels + (image * lines + l->first) * v->ow * kernels->width;
                tile.c = out + m * kg + j;
                tile.next_c = tile.c + kernels->width;
                tile.next_b = tile.b + pixels * kernels->width;
                kernels->by_column[tile.columns > kernels->vector][height](&tile);
            }
        }
}

/* Rows m .. m + rows - 1 of the patches of all pixels of the lines, as tiles for the kernels. */
static void pack_patches(const weights_pass *p, ap_conv_band b, const ap_conv_view *in, const lines_of_run *l,
                         int64_t m, int64_t rows, float *out) {
    const ap_conv *v = p->conv;
    const int64_t tiles = ap_quotient_up(rows, p->kernels->rows), pixels = (b.n1 - b.n0) * l->count * v->ow;
    int64_t k = 0;
    for (int64_t image = 0; image < b.n1 - b.n0; image++)
        for (int64_t line = 0; line < l->count; line++)
            for (int64_t x = 0, count; x < v->ow; x += count, k += count) {
                const float *source =
                    l->in + image * in->image + line * v->stride_h * in->row + x * v->stride_w * in->pixel + m;
                count = ap_smaller(LINE, v->ow - x);
                for (int64_t t = 0; t < tiles; t++) {
                    const int64_t i = ap_cut(rows, tiles, t), height = ap_cut(rows, tiles, t + 1) - i;
                    p->kernels->pack_columns((int)height, count, source + i, v->stride_w * in->pixel,
                                             out + i * pixels + STRIP * t + k * height, height);
                }
            }
}

/* Many panels: each patch is packed once and used by all of them. */
static void multiply_packed(const weights_pass *p, ap_conv_band b, const ap_conv_view *in, const lines_of_run *l,
                            const float *packed_dy, float *patches, int64_t all_rows, bool first, float *out) {
    const ap_conv *v = p->conv;
    const ap_gemm_kernels *kernels = p->kernels;
    const int64_t kg = v->k / v->groups, lines = b.l1 - b.l0, pixels = (b.n1 - b.n0) * lines * v->ow,
                  seen = (b.n1 - b.n0) * l->count * v->ow, blocks = ap_quotient_up(all_rows, ROWS_NEAR);
    for (int64_t index = 0; index < blocks; index++) {
        const int64_t m = ap_cut(all_rows, blocks, index), rows = ap_cut(all_rows, blocks, index + 1) - m,
                      tiles = ap_quotient_up(rows, kernels->rows);
        pack_patches(p, b, in, l, m, rows, patches);
        for (int64_t j = 0; j < kg; j += kernels->width)
            for (int64_t t = 0; t < tiles; t++) {
                const int64_t i = ap_cut(rows, tiles, t), height = ap_cut(rows, tiles, t + 1) - i;
                float *c = out + (m + i) * kg + j;
                const int columns = (int)ap_smaller(kg - j, kernels->width);
                kernels->by_column[columns > kernels->vector][height](
                    &(ap_gemm_tile){.runs = b.n1 - b.n0,
                                    .k = l->count * v->ow,
                                    .hop = l->count * v->ow * height,
                                    .skip_b = (lines - l->count) * v->ow * kernels->width,
                                    .a = patches + i * seen + STRIP * t,
                                    .lda = height,
                                    .b = packed_dy + j * pixels + l->first * v->ow * kernels->width,
                                    .ldb = kernels->width,
                                    .c = c,
                                    .ldc = kg,
                                    .columns = columns,
                                    .first = first,
                                    .next_c = t + 1 < tiles ? c + height * kg : c + kernels->width,
                                    .next_b = packed_dy + (j + kernels->width) * pixels + t * pixels * 4});
            }
    }
}

/* Rows row0 .. row1 - 1 of a run, over the pixels of a band: [run][kg] at out. */
static void multiply_run(const weights_pass *p, ap_conv_band b, const ap_conv_view *in, int64_t index,
                         const float *packed_dy, float *patches, int64_t row0, int64_t row1, bool first, float *out) {
    const int64_t kg = p->conv->k / p->conv->groups;
    lines_of_run l = lines_of(p, b, in, index);
    out += row0 * kg;
    if (l.count == 0) {
        if (first) memset(out, 0, (size_t)((row1 - row0) * kg) * sizeof *out);
        return;
    }
    l.in += row0;
    if (patches)
        multiply_packed(p, b, in, &l, packed_dy, patches, row1 - row0, first, out);
    else
        multiply_lying(p, b, in, &l, packed_dy, row1 - row0, first, out);
}

/* One chunk's chains. False without memory. */
static bool chunk_rows(const weights_pass *p, ap_conv_band chunk, int64_t row0, int64_t row1, float *out) {
    const ap_conv *v = p->conv;
    const int64_t kg = v->k / v->groups;
    const bool few = kg <= FEW_PANELS * p->kernels->width;
    const ap_conv_parts pieces = ap_conv_parts_of(chunk, v->ow, ap_larger(PIXELS_NEAR, v->ow));
    for (int64_t i = 0; i < pieces.count; i++) {
        const ap_conv_band b = ap_conv_part_of(&pieces, i);
        const ap_conv_window f = patch_window(p, b);
        const int64_t pixels = (b.n1 - b.n0) * (b.l1 - b.l0) * v->ow;
        float *packed_dy = ap_scratch(AP_SCRATCH_B, ap_gemm_packed_size(pixels, kg));
        float *patches = few ? NULL : ap_scratch(AP_SCRATCH_A, (size_t)((ROWS_NEAR + 1) * (pixels + STRIP)));
        ap_conv_view in;
        if (!packed_dy || (!few && !patches) || !ap_conv_look_at(&f, b.n0, b.n1, &in)) return false;
        ap_gemm_pack_b(false, pixels, kg, p->dy + (b.n0 * v->oh + b.l0) * v->ow * v->k, v->k, packed_dy);
        for (int64_t r = 0; r < p->runs; r++)
            multiply_run(p, b, &in, r, packed_dy, patches, row0, row1, i == 0, out + r * p->run * kg);
    }
    return true;
}

/* partial[to] += partial[to + 1], the rows row0 .. row1 - 1 of each line of the window. */
static void merge_rows(const weights_pass *p, int to, int64_t row0, int64_t row1) {
    const ap_conv *v = p->conv;
    const int64_t kg = v->k / v->groups;
    for (int64_t r = 0; r < p->runs; r++) {
        float *a = p->partial + to * p->size + (r * p->run + row0) * kg;
        ap_add_into((size_t)((row1 - row0) * kg), a + p->size, a);
    }
}

static void weights_part(int64_t index, void *context) {
    const weights_pass *p = context;
    const ap_conv *v = p->conv;
    const int64_t row0 = ap_cut(p->run, p->row_parts, index), row1 = ap_cut(p->run, p->row_parts, index + 1);
    const ap_conv_parts chunks = ap_conv_chunks_of(v);
    int top = -1;
    for (int64_t chunk = 0; chunk < chunks.count; chunk++) {
        if (!chunk_rows(p, ap_conv_part_of(&chunks, chunk), row0, row1, p->partial + ++top * p->size)) {
            p->failed[index] = true;
            return;
        }
        for (int64_t bits = chunk; bits & 1; bits >>= 1, top--) merge_rows(p, top - 1, row0, row1);
    }
    for (; top > 0; top--) merge_rows(p, top - 1, row0, row1);
}

int ap_conv_levels_for(int64_t chunks) {
    int levels = 1;
    while (chunks >> levels) levels++;
    return levels;
}

void ap_conv_to_published(const ap_conv *v, const float *from, int64_t plane, float *dw) {
    const ap_gemm_kernels *kernels = &ap_kernels_current()->gemm;
    const int64_t cg = v->c / v->groups, kg = v->k / v->groups, window = v->r * v->s, all = cg * window;
    int64_t e = 0;
    for (; e + kernels->width <= all; e += kernels->width) {
        const float *row[AP_GEMM_MAX_WIDTH];
        for (int i = 0; i < kernels->width; i++) row[i] = from + (e + i) % window * plane + (e + i) / window * kg;
        kernels->pack_rows(kernels->width, kg, row, dw + e, all);
    }
    for (; e < all; e++)
        for (int64_t o = 0; o < kg; o++) dw[o * all + e] = from[e % window * plane + e / window * kg + o];
}

static bool weights_group(const ap_conv *v, const float *x, const float *dy, bool accumulate, float *dw) {
    const bool apart = ap_conv_dilation_w(v) > 1 && v->s > 1;
    const int64_t runs = apart ? v->r * v->s : v->r, run = v->r * v->s * (v->c / v->groups) / runs,
                  size = runs * run * (v->k / v->groups);
    const int levels = ap_conv_levels_for(ap_conv_chunks_of(v).count), threads = ap_conv_threads(v);
    bool failed[MOST_THREADS] = {false};
    weights_pass p = {.conv = v,
                      .kernels = &ap_kernels_current()->gemm,
                      .x = x,
                      .dy = dy,
                      .size = size,
                      .runs = runs,
                      .run = run,
                      .partial = ap_scratch(AP_SCRATCH_TREE, (size_t)(size * levels)),
                      .row_parts = ap_smaller(ap_smaller(threads, MOST_THREADS), run),
                      .failed = failed};
    float *published = accumulate ? ap_scratch(AP_SCRATCH_WEIGHTS, (size_t)size) : dw;
    if (!p.partial || !published) return false;
    ap_kernels_for(threads, p.row_parts, weights_part, &p);
    for (int i = 0; i < p.row_parts; i++)
        if (failed[i]) return false;
    ap_conv_to_published(v, p.partial, v->c / v->groups * (v->k / v->groups), published);
    if (accumulate) ap_add_into((size_t)size, published, dw);
    return true;
}

/* A window of one pixel: chunk by chunk dy' x is dw [k, c] as published. With strides x is thinned out first. */
static bool weights_of_points(ap_math math, const ap_conv *v, const float *x, const float *dy, bool accumulate,
                              float *dw) {
    const ap_conv_parts chunks = ap_conv_chunks_of(v);
    const int64_t size = v->k * v->c;
    const bool thin = !ap_conv_is_pointwise(v);
    float *tree = ap_scratch(AP_SCRATCH_TREE, (size_t)(size * ap_conv_levels_for(chunks.count))),
          *partial[AP_CONV_LEVELS];
    if (!tree) return false;
    for (int i = 0; i < ap_conv_levels_for(chunks.count); i++) partial[i] = i || accumulate ? tree + i * size : dw;
    int top = -1;
    for (int64_t chunk = 0; chunk < chunks.count; chunk++) {
        const ap_conv_band b = ap_conv_part_of(&chunks, chunk);
        const int64_t lines = b.l1 - b.l0, pixels = (b.n1 - b.n0) * lines * v->ow;
        const float *from = x + (b.n0 * v->h + b.l0) * v->w * v->c;
        if (thin) {
            float *out = ap_scratch(AP_SCRATCH_IMAGES, (size_t)(pixels * v->c));
            if (!out) return false;
            from = out;
            for (int64_t n = b.n0; n < b.n1; n++)
                for (int64_t i = b.l0; i < b.l1; i++)
                    for (int64_t j = 0; j < v->ow; j++, out += v->c)
                        memcpy(out, x + ((n * v->h + i * v->stride_h) * v->w + j * v->stride_w) * v->c,
                               (size_t)v->c * sizeof *out);
        }
        ap_gemm(math, &(ap_gemm_args){.transpose_a = true,
                                      .m = v->k,
                                      .n = v->c,
                                      .k = pixels,
                                      .a = dy + (b.n0 * v->oh + b.l0) * v->ow * v->k,
                                      .lda = v->k,
                                      .b = from,
                                      .ldb = v->c,
                                      .c = partial[++top],
                                      .ldc = v->c});
        for (int64_t bits = chunk; bits & 1; bits >>= 1, top--)
            ap_add_into((size_t)size, partial[top], partial[top - 1]);
    }
    for (; top > 0; top--) ap_add_into((size_t)size, partial[top], partial[top - 1]);
    if (accumulate) ap_add_into((size_t)size, partial[0], dw);
    return true;
}

void ap_conv_weight_gradient(ap_math math, const ap_conv *v, const float *x, const float *dy, bool accumulate,
                             float *dw) {
    const int64_t cg = v->c / v->groups, kg = v->k / v->groups;
    const bool points = v->r == 1 && v->s == 1 && v->groups == 1 && v->pad_top == 0 && v->pad_left == 0 &&
                        (v->oh - 1) * v->stride_h < v->h && (v->ow - 1) * v->stride_w < v->w;
    if (v->n == 0 || v->oh == 0 || v->ow == 0) {
        if (!accumulate) memset(dw, 0, (size_t)(v->k * cg * v->r * v->s) * sizeof *dw);
        return;
    }
    if (!points) ap_kernels_count((double)(v->n * v->oh * v->ow), (double)kg, (double)(v->r * v->s * v->c));
    if (ap_conv_is_depthwise(v) && ap_conv_depthwise_weights(v, x, dy, accumulate, dw)) return;
    if (ap_conv_is_winograd(v)) {
        if (!ap_winograd_weights(v, x, dy, accumulate, dw)) ap_winograd_weights_by_definition(v, x, dy, accumulate, dw);
        return;
    }
    for (int64_t g = 0; g < v->groups; g++) {
        const bool done = points
                              ? weights_of_points(math, v, x, dy, accumulate, dw)
                              : weights_group(v, x + g * cg, dy + g * kg, accumulate, dw + g * kg * cg * v->r * v->s);
        if (!done) ap_conv_weights_by_definition(v, x, dy, g, accumulate, dw);
    }
}
