/* 3x3 convolutions with 16 multiplications for 2 x 2 outputs in place of 36 (Winograd 1980; Lavin and Gray 2016, F(2x2,
 * 3x3)): squares of 4 x 4 inputs, windows and output gradients go to 16 positions (winograd.inc), each of which is a
 * matrix product of its own, over channels or, for the weights, over tiles; the results come back by the transposed
 * transforms. Order of sums: conv.h. A block of tiles at a time, so that what its transforms write is read from cache.
 */
#include "tensor/kernels/blocking.h"
#include "tensor/kernels/conv_parts.h"
#include "tensor/kernels/kernel_set.h"
#include <string.h>

enum {
    POSITIONS = AP_WINOGRAD_POSITIONS,
    WINDOW = 9,
    FEWEST_CHANNELS = 32, /* below, the transforms cost more than the products save */
    LINE = 16,            /* floats of a line of cache */
    LEAST_TILES = 112,    /* of a block, if there are as many: a panel of weights from L3 is used for so many rows, */
    MOST_TILES = 256,     /* and for more where there are more weights (7 x 7, 512 channels: 155 -> 174 GF/s) */
    GRADIENT_TILES = 128, /* at least, in a block of the weight gradient: steps of k before its results are stored */
};

/* ---- which convolutions */

/* Multiplications of a chain's definition along one axis: outputs and taps that meet inside the image. */
static int64_t taps_inside(int64_t outputs, int64_t pad, int64_t size) {
    int64_t count = 0;
    for (int64_t i = 0; i < outputs; i++)
        for (int64_t p = 0; p < 3; p++) count += i + p >= pad && i + p - pad < size;
    return count;
}

bool ap_conv_is_winograd(const ap_conv *v) {
    if (v->r != 3 || v->s != 3 || v->stride_h != 1 || v->stride_w != 1 || v->groups != 1 ||
        ap_conv_dilation_h(v) != 1 || ap_conv_dilation_w(v) != 1 || v->c < FEWEST_CHANNELS || v->k < FEWEST_CHANNELS)
        return false;
    const int64_t tiles = ap_quotient_up(v->oh, 2) * ap_quotient_up(v->ow, 2),
                  taps = taps_inside(v->oh, v->pad_top, v->h) * taps_inside(v->ow, v->pad_left, v->w);
    return 5 * POSITIONS * tiles <= 4 * taps; /* on images of 5 x 5 and below 4 x 4 borders cost too much */
}

ap_winograd ap_winograd_forward(const ap_conv *v) {
    return (ap_winograd){.n = v->n,
                         .h = v->h,
                         .w = v->w,
                         .in = v->c,
                         .oh = v->oh,
                         .ow = v->ow,
                         .out = v->k,
                         .pad_top = v->pad_top,
                         .pad_left = v->pad_left,
                         .step_out = v->c * WINDOW,
                         .step_in = WINDOW};
}

ap_winograd ap_winograd_data(const ap_conv *v) {
    return (ap_winograd){.n = v->n,
                         .h = v->oh,
                         .w = v->ow,
                         .in = v->k,
                         .oh = v->h,
                         .ow = v->w,
                         .out = v->c,
                         .pad_top = 2 - v->pad_top,
                         .pad_left = 2 - v->pad_left,
                         .step_out = WINDOW,
                         .step_in = v->c * WINDOW,
                         .mirrored = true};
}

/* ---- tiles, numbered by image, line and column */

static int64_t tile_columns(const ap_winograd *g) {
    return ap_quotient_up(g->ow, 2);
}
static int64_t tile_lines(const ap_winograd *g) {
    return ap_quotient_up(g->oh, 2);
}

/* The inputs under tile `index`, and its outputs' or their gradient's pixels; `outside` stands for those that are not
 * there. */
static void inputs_of(const ap_winograd *g, const float *x, int64_t index, const float *outside,
                      const float *pixel[16]) {
    const int64_t columns = tile_columns(g), lines = tile_lines(g), n = index / (lines * columns),
                  row = index / columns % lines * 2 - g->pad_top, column = index % columns * 2 - g->pad_left;
    for (int e = 0; e < 16; e++) {
        const int64_t h = row + e / 4, w = column + e % 4;
        const bool inside = h >= 0 && h < g->h && w >= 0 && w < g->w;
        pixel[e] = inside ? x + ((n * g->h + h) * g->w + w) * g->in : outside;
    }
}
static int64_t output_at(const ap_winograd *g, int64_t index, int e) {
    const int64_t columns = tile_columns(g), lines = tile_lines(g), n = index / (lines * columns),
                  row = index / columns % lines * 2 + e / 2, column = index % columns * 2 + e % 2;
    return row < g->oh && column < g->ow ? ((n * g->oh + row) * g->ow + column) * g->out : -1;
}

/* Distances at which sixteen streams do not meet in few sets of a cache: an odd number of lines, and 1 (mod 8) lines.
 */
static int64_t row_floats(int64_t channels) {
    return (ap_quotient_up(channels, LINE) | 1) * LINE;
}
static int64_t plane_floats(int64_t floats) {
    return ((ap_quotient_up(floats, LINE) | 7) + 2) * LINE;
}

/* ---- weights: [16][panel of outputs][in][width] */

static int64_t panels_of(const ap_gemm_kernels *kernels, int64_t channels) {
    return ap_quotient_up(channels, kernels->width);
}
static int64_t weights_plane(const ap_gemm_kernels *kernels, const ap_winograd *g) {
    return plane_floats(panels_of(kernels, g->out) * kernels->width * g->in);
}
size_t ap_winograd_packed_size(const ap_winograd *g) {
    return (size_t)(POSITIONS * weights_plane(&ap_kernels_current()->gemm, g));
}

/* A panel's windows of input channels c .. as [c][window][width]: where those lie side by side (forward), all at once.
 */
static void gather_windows(const ap_winograd *g, const ap_gemm_kernels *kernels, const float *weights, int64_t j,
                           float *window) {
    const int64_t columns = ap_smaller(kernels->width, g->out - j), run = g->mirrored ? 1 : g->in;
    const float *row[AP_GEMM_MAX_WIDTH];
    for (int64_t c = 0; c < g->in; c += run) {
        for (int64_t o = 0; o < columns; o++) row[o] = weights + (j + o) * g->step_out + c * g->step_in;
        kernels->pack_rows((int)columns, run * WINDOW, row, window + c * WINDOW * kernels->width, kernels->width);
    }
}

bool ap_winograd_pack(const ap_winograd *g, const float *weights, float *packed) {
    const ap_kernel_set *set = ap_kernels_current();
    const int64_t width = set->gemm.width, plane = weights_plane(&set->gemm, g), size = WINDOW * width;
    float *windows = ap_scratch(AP_SCRATCH_LINES, (size_t)(g->in * size));
    if (!windows) return false;
    for (int64_t j = 0; j < g->out; j += width) {
        gather_windows(g, &set->gemm, weights, j, windows);
        for (int64_t c = 0; c < g->in; c++) {
            const float *first = windows + c * size + (g->mirrored ? size - width : 0);
            set->winograd_weights(width, first, g->mirrored ? -width : width, packed + j * g->in + c * width, plane);
        }
    }
    return true;
}

/* ---- forward pass and data gradient */

typedef struct pass {
    const ap_winograd *g;
    const ap_kernel_set *set;
    const float *in, *weights, *packed;
    float *out;
    bool accumulate;
    int64_t tiles, blocks;
} pass;

static void by_definition(const pass *p, int64_t first, int64_t last) {
    for (int64_t index = first; index < last; index++)
        for (int64_t o = 0; o < p->g->out; o++) {
            float y[4];
            ap_winograd_tile_by_definition(p->g, p->in, p->weights, index, o, y);
            for (int e = 0; e < 4; e++) {
                const int64_t at = output_at(p->g, index, e);
                if (at >= 0) p->out[at + o] = p->accumulate ? p->out[at + o] + y[e] : y[e];
            }
        }
}

/* m[e] = v[e] times the weights of position e, for rows = tiles of a block. */
static void multiply_block(const pass *p, int64_t rows, const float *v, int64_t v_plane, float *m, int64_t m_plane) {
    const ap_gemm_kernels *kernels = &p->set->gemm;
    const int64_t in = p->g->in, out = p->g->out, ldv = row_floats(in), ldm = row_floats(out),
                  tiles = ap_quotient_up(rows, kernels->rows), plane = weights_plane(kernels, p->g);
    ap_gemm_tile tile = {.runs = 1, .k = in, .lda = ldv, .ldb = kernels->width, .ldc = ldm, .first = true};
    for (int e = 0; e < POSITIONS; e++)
        for (int64_t j = 0; j < out; j += kernels->width) {
            tile.columns = (int)ap_smaller(out - j, kernels->width);
            tile.b = p->packed + e * plane + j * in;
            tile.next_b = tile.b + kernels->width * in;
            for (int64_t t = 0, i = 0, end; t < tiles; t++, i = end) {
                end = ap_cut(rows, tiles, t + 1);
                tile.a = v + e * v_plane + i * ldv;
                tile.c = m + e * m_plane + i * ldm + j;
                tile.next_c = t + 1 < tiles ? tile.c + (end - i) * ldm : m + e * m_plane + j + kernels->width;
                kernels->by_row[tile.columns > kernels->vector][end - i](&tile);
                tile.next_b += in * 4;
            }
        }
}

static void pass_block(int64_t index, void *context) {
    const pass *p = context;
    const ap_winograd *g = p->g;
    const int64_t first = ap_cut(p->tiles, p->blocks, index), last = ap_cut(p->tiles, p->blocks, index + 1),
                  rows = last - first, ldv = row_floats(g->in), ldm = row_floats(g->out),
                  v_plane = plane_floats(rows * ldv), m_plane = plane_floats(rows * ldm);
    float *v = p->packed ? ap_scratch(AP_SCRATCH_IMAGES, (size_t)(POSITIONS * (v_plane + m_plane))) : NULL,
          *zeros = v ? ap_scratch(AP_SCRATCH_LINES, (size_t)g->in) : NULL;
    if (!zeros) {
        by_definition(p, first, last);
        return;
    }
    float *m = v + POSITIONS * v_plane;
    memset(zeros, 0, (size_t)g->in * sizeof *zeros);
    for (int64_t i = 0; i < rows; i++) {
        const float *pixel[16];
        inputs_of(g, p->in, first + i, zeros, pixel);
        p->set->winograd_input(g->in, pixel, v + i * ldv, v_plane, 2 * p->set->gemm.vector);
    }
    multiply_block(p, rows, v, v_plane, m, m_plane);
    for (int64_t i = 0; i < rows; i++) {
        float *pixel[4];
        for (int e = 0; e < 4; e++) {
            const int64_t at = output_at(g, first + i, e);
            pixel[e] = at < 0 ? NULL : p->out + at;
        }
        p->set->winograd_output(g->out, m + i * ldm, m_plane, pixel, p->accumulate);
    }
}

void ap_winograd_run(const ap_winograd *g, int threads, const float *in, const float *weights, const float *packed,
                     bool accumulate, float *out) {
    pass p = {.g = g, .set = ap_kernels_current(), .in = in, .weights = weights, .packed = packed};
    p.out = out, p.accumulate = accumulate, p.tiles = g->n * tile_lines(g) * tile_columns(g);
    const int64_t near = ap_smaller(MOST_TILES, ap_larger(LEAST_TILES, (g->in + g->out) / 4));
    p.blocks = ap_larger(ap_quotient_up(p.tiles, near), ap_smaller(threads, p.tiles));
    ap_kernels_for(threads, p.blocks, pass_block, &p);
}

/* ---- weight gradient */

/* A block of tiles of a chunk: their inputs [16][tiles][row] and output gradients [16][panel][tiles][width]. */
typedef struct weights_pass {
    const ap_winograd *g;
    const ap_kernel_set *set;
    const float *x, *dy, *zeros;
    int64_t first, rows;
    float *v, *d;
    int64_t v_plane, d_plane;
    float *result; /* [16][in][out] at distance result_plane */
    int64_t result_plane;
    bool begins;
    int parts; /* a thread each */
} weights_pass;

static void transform_part(int64_t index, void *context) {
    const weights_pass *p = context;
    const ap_winograd *g = p->g;
    const int64_t width = p->set->gemm.width, ldv = row_floats(g->in);
    for (int64_t i = ap_cut(p->rows, p->parts, index); i < ap_cut(p->rows, p->parts, index + 1); i++) {
        const float *input[16], *output[4];
        inputs_of(g, p->x, p->first + i, p->zeros, input);
        p->set->winograd_input(g->in, input, p->v + i * ldv, p->v_plane, width);
        for (int e = 0; e < 4; e++) {
            const int64_t at = output_at(g, p->first + i, e);
            output[e] = at < 0 ? p->zeros : p->dy + at;
        }
        p->set->winograd_gradient(g->out, output, p->d + i * width, p->d_plane, p->rows * width);
    }
}

static void multiply_position(int64_t e, void *context) {
    const weights_pass *p = context;
    const ap_gemm_kernels *kernels = &p->set->gemm;
    const int64_t in = p->g->in, out = p->g->out, width = kernels->width, tiles = ap_quotient_up(in, kernels->rows);
    ap_gemm_tile tile = {.runs = 1, .k = p->rows, .lda = row_floats(in), .ldb = width, .ldc = out, .first = p->begins};
    for (int64_t j = 0; j < out; j += width) {
        tile.columns = (int)ap_smaller(out - j, width);
        tile.b = p->d + e * p->d_plane + j * p->rows;
        tile.next_b = tile.b + width * p->rows;
        for (int64_t t = 0, i = 0, end; t < tiles; t++, i = end) {
            end = ap_cut(in, tiles, t + 1);
            tile.a = p->v + e * p->v_plane + i;
            tile.c = p->result + e * p->result_plane + i * out + j;
            tile.next_c = t + 1 < tiles ? tile.c + (end - i) * out : tile.c + width;
            kernels->by_column[tile.columns > kernels->vector][end - i](&tile);
            tile.next_b += p->rows * 4;
        }
    }
}

/* One chunk's chains. */
static bool chunk_chains(weights_pass *p, int64_t first, int64_t tiles) {
    const ap_winograd *g = p->g;
    const int64_t width = p->set->gemm.width, channels = g->in + g->out,
                  near = ap_larger(GRADIENT_TILES, ap_smaller(MOST_TILES, channels / 2)),
                  blocks = ap_quotient_up(tiles, near), most = ap_quotient_up(tiles, blocks);
    p->v_plane = plane_floats(most * row_floats(g->in));
    p->d_plane = plane_floats(most * width * panels_of(&p->set->gemm, g->out));
    p->v = ap_scratch(AP_SCRATCH_IMAGES, (size_t)(POSITIONS * (p->v_plane + p->d_plane)));
    if (!p->v) return false;
    p->d = p->v + POSITIONS * p->v_plane;
    for (int64_t b = 0; b < blocks; b++) {
        p->first = first + ap_cut(tiles, blocks, b);
        p->rows = first + ap_cut(tiles, blocks, b + 1) - p->first;
        p->begins = b == 0;
        ap_kernels_for(p->parts, p->parts, transform_part, p);
        ap_kernels_for(p->parts, POSITIONS, multiply_position, p);
    }
    return true;
}

ap_conv_parts ap_winograd_chunks_of(const ap_winograd *g) {
    return ap_conv_parts_of((ap_conv_band){0, g->n, 0, tile_lines(g)}, tile_columns(g), AP_WINOGRAD_CHUNK);
}

/* The chunks' tree in `tree`, levels at distance `size`. */
static bool fold_chunks(weights_pass *p, float *tree, int64_t size) {
    const ap_winograd *g = p->g;
    const ap_conv_parts chunks = ap_winograd_chunks_of(g);
    int top = -1;
    for (int64_t chunk = 0; chunk < chunks.count; chunk++) {
        const ap_conv_band b = ap_conv_part_of(&chunks, chunk);
        p->result = tree + ++top * size;
        if (!chunk_chains(p, (b.n0 * tile_lines(g) + b.l0) * tile_columns(g),
                          (b.n1 - b.n0) * (b.l1 - b.l0) * tile_columns(g)))
            return false;
        for (int64_t bits = chunk; bits & 1; bits >>= 1, top--)
            ap_kernels_current()->add_into((size_t)size, tree + top * size, tree + (top - 1) * size);
    }
    for (; top > 0; top--) ap_kernels_current()->add_into((size_t)size, tree + top * size, tree + (top - 1) * size);
    return true;
}

bool ap_winograd_weights(const ap_conv *v, const float *x, const float *dy, bool accumulate, float *dw) {
    const ap_winograd g = ap_winograd_forward(v);
    const int64_t n = v->c * v->k, plane = plane_floats(n), size = POSITIONS * plane, zeros = ap_larger(v->c, v->k);
    const int levels = ap_conv_levels_for(ap_winograd_chunks_of(&g).count);
    float *tree = ap_scratch(AP_SCRATCH_TREE, (size_t)(size * levels)),
          *outside = ap_scratch(AP_SCRATCH_LINES, (size_t)zeros),
          *window = ap_scratch(AP_SCRATCH_WEIGHTS, (size_t)((accumulate ? 2 : 1) * WINDOW * plane));
    if (!tree || !outside || !window) return false;
    memset(outside, 0, (size_t)zeros * sizeof *outside);
    weights_pass p = {.g = &g, .set = ap_kernels_current(), .x = x, .dy = dy, .zeros = outside};
    p.result_plane = plane, p.parts = ap_conv_threads(v);
    if (!fold_chunks(&p, tree, size)) return false;
    p.set->winograd_weights_back(n, tree, plane, window, plane);
    float *published = accumulate ? window + WINDOW * plane : dw;
    ap_conv_to_published(v, window, plane, published);
    if (accumulate) p.set->add_into((size_t)(n * WINDOW), published, dw);
    return true;
}
