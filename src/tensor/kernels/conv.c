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

/* ---- the gather product: forward pass and data gradient */

/* out[image, line, column][j] = sum over taps (p, q) inside, e < channels of
 * in[image, line's p, column's q][e] panels[(p taps + q) channels + e][j]: dense products of the pixels that have the
 * same taps inside, which the micro-kernels read where they lie. */
typedef struct gather {
    ap_conv_axis line, column;
    int64_t images, line0, line1, width; /* outputs */
    int64_t channels;
    const float *in; /* pixel (row0, 0) of the first image */
    int64_t row0, in_image, in_row, in_pixel;
    float *out; /* output (0, 0) of the first image */
    int64_t out_image, out_row, out_pixel;
    const float *panels;
    int64_t columns, first_panel, last_panel;
    bool accumulate;
} gather;

/* Outputs n0 .. n1 - 1, lines, columns of one panel j, taps p0 .. p1 - 1 of the lines'. */
typedef struct piece {
    int64_t n0, n1, p0, p1, j;
    ap_conv_stretch lines, columns;
} piece;

/* A direction that a tile may take. */
typedef struct direction {
    int64_t count, in, out;
} direction;

/* Mean height of the tiles that `count` is cut into. */
static int64_t height_of(const ap_gemm_kernels *kernels, int64_t count) {
    return count / ap_quotient_up(count, kernels->rows);
}

/* Columns if they make tall tiles, else what makes the tallest; it is put last. */
static void choose_direction(const ap_gemm_kernels *kernels, direction d[3]) {
    int best = 2;
    for (int i = 1; i >= 0 && 4 * height_of(kernels, d[2].count) < 3 * kernels->rows; i--)
        if (height_of(kernels, d[i].count) > height_of(kernels, d[best].count)) best = i;
    const direction chosen = d[best];
    d[best] = d[2], d[2] = chosen;
}

/* All tiles of a piece, with the runs that `tile` says. */
static void walk(const ap_gemm_kernels *kernels, const direction d[3], ap_gemm_tile *tile, const float *in,
                 float *out) {
    const int64_t tiles = ap_quotient_up(d[2].count, kernels->rows);
    ap_gemm_kernel *const *kernel = kernels->by_row[tile->columns > kernels->vector];
    tile->lda = d[2].in, tile->ldc = d[2].out;
    for (int64_t i = 0; i < d[0].count; i++)
        for (int64_t k = 0; k < d[1].count; k++)
            for (int64_t t = 0, x = 0, end; t < tiles; t++, x = end) {
                end = ap_cut(d[2].count, tiles, t + 1);
                tile->a = in + i * d[0].in + k * d[1].in + x * d[2].in;
                tile->c = out + i * d[0].out + k * d[1].out + x * d[2].out;
                tile->next_c = t + 1 < tiles ? out + i * d[0].out + k * d[1].out + end * d[2].out
                                             : out + i * d[0].out + (k + 1) * d[1].out;
                kernel[end - x](tile);
                tile->next_b += tile->runs * tile->k * 4;
            }
}

static void clear_piece(const gather *g, const piece *p, int64_t columns) {
    for (int64_t n = p->n0; n < p->n1; n++)
        for (int64_t i = p->lines.from; i < p->lines.to; i++)
            for (int64_t x = p->columns.from; x < p->columns.to; x++)
                memset(g->out + n * g->out_image + i * g->out_row + x * g->out_pixel + p->j, 0,
                       (size_t)columns * sizeof *g->out);
}

/* The taps of a line are one run where they lie side by side, else a run each. */
static void multiply_piece(const ap_gemm_kernels *kernels, const gather *g, const piece *p) {
    const ap_conv_stretch *l = &p->lines, *c = &p->columns;
    const int64_t columns = ap_smaller(g->columns - p->j, kernels->width), taps = c->last - c->first,
                  depth = g->channels * kernels->width, tap = g->column.tap * g->in_pixel;
    direction d[3] = {{p->n1 - p->n0, g->in_image, g->out_image},
                      {l->to - l->from, g->line.step * g->in_row, g->out_row},
                      {c->to - c->from, g->column.step * g->in_pixel, g->out_pixel}};
    choose_direction(kernels, d);
    const bool joined = tap == g->channels;
    const int64_t at = p->n0 * g->in_image + (g->line.start + l->from * g->line.step - g->row0) * g->in_row +
                       (g->column.start + c->from * g->column.step) * g->in_pixel + c->first * tap;
    float *out = g->out + p->n0 * g->out_image + l->from * g->out_row + c->from * g->out_pixel + p->j;
    for (int64_t r = p->p0; r < p->p1; r += joined ? p->p1 - p->p0 : 1) {
        ap_gemm_tile tile = {.runs = joined ? p->p1 - p->p0 : taps,
                             .k = joined ? taps * g->channels : g->channels,
                             .hop = joined ? g->line.tap * g->in_row : tap,
                             .skip_b = joined ? (g->column.taps - taps) * depth : 0,
                             .ldb = kernels->width,
                             .columns = (int)columns,
                             .first = r == l->first && !g->accumulate};
        tile.b =
            g->panels + p->j * g->line.taps * g->column.taps * g->channels + (r * g->column.taps + c->first) * depth;
        tile.next_b = tile.b + g->line.taps * g->column.taps * depth;
        walk(kernels, d, &tile, g->in + at + r * g->line.tap * g->in_row, out);
    }
}

/* A part of the outputs, taps p0 .. p1 - 1 of its lines. */
static void gather_part(const ap_gemm_kernels *kernels, const gather *g, ap_conv_band b, int64_t p0, int64_t p1) {
    for (int64_t panel = g->first_panel; panel < g->last_panel; panel++)
        for (int64_t line = b.l0; line < b.l1;) {
            piece p = {.n0 = b.n0, .n1 = b.n1, .j = panel * kernels->width};
            p.lines = ap_conv_stretch_at(&g->line, line, b.l1);
            p.p0 = ap_larger(p0, p.lines.first), p.p1 = ap_smaller(p1, p.lines.last);
            line = p.lines.to;
            for (int64_t x = 0; x < g->width; x = p.columns.to) {
                p.columns = ap_conv_stretch_at(&g->column, x, g->width);
                const bool empty = p.lines.first == p.lines.last || p.columns.first == p.columns.last;
                if (empty && p0 == 0 && !g->accumulate)
                    clear_piece(g, &p, ap_smaller(g->columns - p.j, kernels->width));
                else if (!empty && p.p0 < p.p1)
                    multiply_piece(kernels, g, &p);
            }
        }
}

/* Rows a multiple of a page apart meet in few sets of the nearest cache: where tiles go down the lines or over the
 * images, those that are needed are copied to a line of cache further apart first, if there is memory. */
static void spread(const ap_gemm_kernels *kernels, gather *g) {
    enum { PAGE = 1024, LINE = 16 };
    const bool narrow = 4 * (g->width - 2) < 3 * kernels->rows;
    const bool lines = g->in_row % PAGE == 0 && g->width <= 4 * kernels->rows,
               images = narrow && g->images > 1 && g->in_image % PAGE == 0;
    if ((!lines && !images) || g->line.taps * g->column.taps < 2 || g->column.tap * g->in_pixel != g->channels) return;
    const int64_t first = g->line.start + g->line0 * g->line.step,
                  last = g->line.start + (g->line1 - 1) * g->line.step + (g->line.taps - 1) * g->line.tap;
    const int64_t row0 = ap_larger(0, first), rows = ap_smaller(last + 1, g->line.size) - row0, row = g->in_row + LINE,
                  image = rows * row + LINE;
    float *to = rows > 0 ? ap_scratch(AP_SCRATCH_IMAGES, (size_t)(g->images * image)) : NULL;
    if (!to) return;
    for (int64_t n = 0; n < g->images; n++)
        for (int64_t i = 0; i < rows; i++)
            memcpy(to + n * image + i * row, g->in + n * g->in_image + (row0 + i) * g->in_row,
                   (size_t)g->in_row * sizeof *to);
    g->in = to, g->row0 = row0, g->in_image = image, g->in_row = row;
}

/* Pixels whose tiles go by while a panel is near: as many images as make tall tiles if they are small. */
static int64_t pixels_near(const ap_gemm_kernels *kernels, const gather *g) {
    const int64_t pixels = (g->line1 - g->line0) * g->width,
                  images = ap_quotient_up(g->images, ap_quotient_up(g->images, kernels->rows));
    return images * pixels <= 4 * TILES_NEAR ? ap_larger(TILES_NEAR, images * pixels) : TILES_NEAR;
}

static void gather_all(const ap_gemm_kernels *kernels, gather *g) {
    const int64_t steps = g->line.taps * g->column.taps * g->channels;
    const int64_t blocks = ap_larger(1, ap_smaller(ap_quotient_up(steps, NEAR), g->line.taps));
    if (g->line0 >= g->line1 || g->width <= 0) return;
    spread(kernels, g);
    const ap_conv_parts parts =
        ap_conv_parts_of((ap_conv_band){0, g->images, g->line0, g->line1}, g->width, pixels_near(kernels, g));
    for (int64_t k = 0; k < blocks; k++)
        for (int64_t i = 0; i < parts.count; i++)
            gather_part(kernels, g, ap_conv_part_of(&parts, i), ap_cut(g->line.taps, blocks, k),
                        ap_cut(g->line.taps, blocks, k + 1));
}

/* ---- packed weights */

static int64_t panels_of(const ap_gemm_kernels *kernels, int64_t columns) {
    return ap_quotient_up(columns, kernels->width);
}

static int64_t group_size(const ap_conv *v, bool backward) {
    const ap_gemm_kernels *kernels = &ap_kernels_current()->gemm;
    const int64_t cg = v->c / v->groups, kg = v->k / v->groups, rows = v->r * v->s * (backward ? kg : cg);
    return rows * panels_of(kernels, backward ? cg : kg) * kernels->width;
}
size_t ap_conv_packed_size(const ap_conv *v, bool backward) {
    if (ap_conv_is_depthwise(v)) return (size_t)(v->r * v->s * v->c);
    if (ap_conv_is_winograd(v)) {
        const ap_winograd g = backward ? ap_winograd_data(v) : ap_winograd_forward(v);
        return ap_winograd_packed_size(&g);
    }
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
            const ap_conv_taps p = ap_conv_taps_of_row(v, a), q = ap_conv_taps_of_column(v, b);
            for (int64_t c = 0; c < cg && p.count && q.count; c += kernels->width)
                for (int64_t t = 0; t < p.count * q.count; t++, packed += kg * kernels->width) {
                    const int64_t tap = (p.last - t / q.count * p.hop) * v->s + q.last - t % q.count * q.hop;
                    kernels->pack_columns((int)ap_smaller(cg - c, kernels->width), kg,
                                          (moved ? moved + tap * kg * cg : weights) + c, cg, packed, kernels->width);
                }
        }
    return true;
}

bool ap_conv_pack(const ap_conv *v, bool backward, const float *weights, float *packed) {
    const int64_t group_weights = v->k / v->groups * (v->c / v->groups) * v->r * v->s, size = group_size(v, backward);
    bool done = true;
    if (ap_conv_is_depthwise(v)) {
        move_window_out(v, weights, 0, v->c, v->c, packed);
        return true;
    }
    if (ap_conv_is_winograd(v)) {
        const ap_winograd g = backward ? ap_winograd_data(v) : ap_winograd_forward(v);
        return ap_winograd_pack(&g, weights, packed);
    }
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
    if (!p->packed) {
        for (int64_t g = 0; g < v->groups; g++)
            forward_by_definition(p, b, g * kg + first * p->kernels->width,
                                  g * kg + ap_smaller(kg, last * p->kernels->width));
        return;
    }
    for (int64_t g = 0; g < v->groups; g++)
        gather_all(p->kernels, &(gather){.line = ap_conv_forward_line(v),
                                         .column = ap_conv_forward_column(v),
                                         .images = b.n1 - b.n0,
                                         .line0 = b.l0,
                                         .line1 = b.l1,
                                         .width = v->ow,
                                         .channels = cg,
                                         .in = p->in + b.n0 * v->h * v->w * v->c + g * cg,
                                         .in_image = v->h * v->w * v->c,
                                         .in_row = v->w * v->c,
                                         .in_pixel = v->c,
                                         .out = p->out + b.n0 * v->oh * v->ow * v->k + g * kg,
                                         .out_image = v->oh * v->ow * v->k,
                                         .out_row = v->ow * v->k,
                                         .out_pixel = v->k,
                                         .panels = p->packed + g * group_size(v, false),
                                         .columns = kg,
                                         .first_panel = first,
                                         .last_panel = last,
                                         .accumulate = p->accumulate});
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
    if (p.packed && ap_conv_is_depthwise(v)) {
        ap_conv_depthwise_forward(v, x, p.packed, accumulate, y);
        return;
    }
    if (ap_conv_is_winograd(v)) {
        const ap_winograd g = ap_winograd_forward(v);
        ap_winograd_run(&g, ap_conv_threads(v), x, weights, p.packed, accumulate, y);
        return;
    }
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

/* One group of a band: for each parity of (h, w) a dense product, over the same dy. */
static void data_parities(const pass *p, ap_conv_band b, int64_t group, int64_t first, int64_t last) {
    const ap_conv *v = p->conv;
    const int64_t cg = v->c / v->groups, kg = v->k / v->groups;
    const float *panels = p->packed + group * group_size(v, true);
    for (int64_t a = 0; a < v->stride_h; a++)
        for (int64_t e = 0; e < v->stride_w; e++) {
            const ap_conv_taps r = ap_conv_taps_of_row(v, a), s = ap_conv_taps_of_column(v, e);
            gather_all(p->kernels,
                       &(gather){.line = ap_conv_data_line(v, a),
                                 .column = ap_conv_data_column(v, e),
                                 .images = b.n1 - b.n0,
                                 .line0 = ap_quotient_up(ap_larger(0, b.l0 - a), v->stride_h),
                                 .line1 = ap_quotient_up(ap_larger(0, b.l1 - a), v->stride_h),
                                 .width = ap_quotient_up(ap_larger(0, v->w - e), v->stride_w),
                                 .channels = kg,
                                 .in = p->in + b.n0 * v->oh * v->ow * v->k + group * kg,
                                 .in_image = v->oh * v->ow * v->k,
                                 .in_row = v->ow * v->k,
                                 .in_pixel = v->k,
                                 .out = p->out + b.n0 * v->h * v->w * v->c + (a * v->w + e) * v->c + group * cg,
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
    const int64_t cg = v->c / v->groups, panels = panels_of(p->kernels, cg);
    const ap_conv_band b = ap_conv_part_of(&p->bands, index / p->panel_parts);
    const int64_t first = ap_cut(panels, p->panel_parts, index % p->panel_parts),
                  last = ap_cut(panels, p->panel_parts, index % p->panel_parts + 1);
    for (int64_t g = 0; g < v->groups; g++) {
        if (p->packed)
            data_parities(p, b, g, first, last);
        else
            data_by_definition(p, b, g * cg + first * p->kernels->width,
                               g * cg + ap_smaller(cg, last * p->kernels->width));
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
    if (p.packed && ap_conv_is_depthwise(v)) {
        ap_conv_depthwise_data(v, dy, p.packed, accumulate, dx);
        return;
    }
    if (ap_conv_is_winograd(v)) {
        const ap_winograd g = ap_winograd_data(v);
        ap_winograd_run(&g, ap_conv_threads(v), dy, weights, p.packed, accumulate, dx);
        return;
    }
    plan(&p, v->h, v->w, panels_of(p.kernels, v->c / v->groups));
    ap_kernels_for(ap_conv_threads(v), p.bands.count * p.panel_parts, data_part, &p);
}
