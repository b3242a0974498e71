/* Inside kernels/: what the files of the convolution share. conv_reference.c: the definition; conv_axes.c: which pixels
 * a window meets; conv.c: forward pass and data gradient; conv_weights.c: weight gradient; conv_depthwise.c: all three
 * where every channel is a group; conv_winograd.c: all three of most windows of 3x3. */
#ifndef AP_KERNELS_CONV_PARTS_H
#define AP_KERNELS_CONV_PARTS_H

#include "tensor/kernels/conv.h"

/* ---- bands: whole images, or some lines of one image */

typedef struct ap_conv_band {
    int64_t n0, n1, l0, l1;
} ap_conv_band;

/* A band's parts of at most `limit` pixels: of whole height with several images, or lines of one image. */
typedef struct ap_conv_parts {
    ap_conv_band whole;
    int64_t images, lines; /* of a part */
    int64_t per_image, count;
} ap_conv_parts;
ap_conv_parts ap_conv_parts_of(ap_conv_band whole, int64_t width, int64_t limit);
ap_conv_band ap_conv_part_of(const ap_conv_parts *parts, int64_t index);

/* The chunks of the weight gradient's sums, and the levels of their tree at most. */
ap_conv_parts ap_conv_chunks_of(const ap_conv *conv);
enum { AP_CONV_LEVELS = 52 };

/* ---- axes */

/* Output x meets the inputs start + x step + t tap, t < taps; those in 0 .. size - 1 belong to its chain. Of a data
 * gradient: the inputs are dy's, and output x stands for the pixel parity + stride x. */
typedef struct ap_conv_axis {
    int64_t step, start, tap, taps, size;
} ap_conv_axis;
ap_conv_axis ap_conv_forward_line(const ap_conv *conv);
ap_conv_axis ap_conv_forward_column(const ap_conv *conv);
ap_conv_axis ap_conv_data_line(const ap_conv *conv, int64_t parity);
ap_conv_axis ap_conv_data_column(const ap_conv *conv, int64_t parity);

/* Window indices of one axis that a pixel = `parity` (mod stride) meets, in the order of increasing outputs: last, last
 * - hop, ..., `count` of them; from one to the next the output index grows by `out`. */
typedef struct ap_conv_taps {
    int64_t last, hop, count, out;
} ap_conv_taps;
ap_conv_taps ap_conv_taps_of_row(const ap_conv *conv, int64_t parity);
ap_conv_taps ap_conv_taps_of_column(const ap_conv *conv, int64_t parity);

/* Outputs from .. to - 1 with the same taps first .. last - 1 inside, from x on, before `end`. */
typedef struct ap_conv_stretch {
    int64_t from, to, first, last;
} ap_conv_stretch;
ap_conv_stretch ap_conv_stretch_at(const ap_conv_axis *axis, int64_t x, int64_t end);

/* ---- what the micro-kernels see of an image */

/* Rows row0 .. and columns col0 .. of images n0 .. n1 - 1 of x [.., h, w, all channels], `channels` of them: where they
 * lie if they do, else a copy with zeros outside. */
typedef struct ap_conv_view {
    const float *p;
    int64_t image, row, pixel; /* distances */
} ap_conv_view;
typedef struct ap_conv_window {
    const float *x; /* at the first of the channels */
    int64_t h, w, all, channels, row0, rows, col0, columns;
} ap_conv_window;
bool ap_conv_look_at(const ap_conv_window *window, int64_t n0, int64_t n1, ap_conv_view *view);

/* ---- elements by definition: chains that continue `sum` */

float ap_conv_forward_element(const ap_conv *conv, const float *x, const float *weights, int64_t n, int64_t i,
                              int64_t j, int64_t o, float sum);
float ap_conv_data_element(const ap_conv *conv, const float *dy, const float *weights, int64_t n, int64_t h, int64_t w,
                           int64_t c, float sum);
void ap_conv_weights_by_definition(const ap_conv *conv, const float *x, const float *dy, int64_t group, bool accumulate,
                                   float *dw);

/* ---- every channel a group; `packed` and partial weights [r, s, c] */

static inline bool ap_conv_is_depthwise(const ap_conv *conv) {
    return conv->groups > 1 && conv->groups == conv->c && conv->groups == conv->k;
}
void ap_conv_depthwise_forward(const ap_conv *conv, const float *x, const float *packed, bool accumulate, float *y);
void ap_conv_depthwise_data(const ap_conv *conv, const float *dy, const float *packed, bool accumulate, float *dx);
/* False, and dw untouched, without memory. */
bool ap_conv_depthwise_weights(const ap_conv *conv, const float *x, const float *dy, bool accumulate, float *dw);

/* ---- Winograd's form, where ap_conv_is_winograd() */

/* The forward pass, or the data gradient as one: out[.., o] over tiles of 2 x 2 of in and windows weights[o step_out +
 * c step_in + 0 .. 8], mirrored: backwards. */
typedef struct ap_winograd {
    int64_t n, h, w, in;
    int64_t oh, ow, out;
    int64_t pad_top, pad_left; /* may be negative */
    int64_t step_out, step_in;
    bool mirrored;
} ap_winograd;
enum { AP_WINOGRAD_POSITIONS = 16, AP_WINOGRAD_CHUNK = AP_GEMM_CHUNK / 4 /* tiles */ };
ap_winograd ap_winograd_forward(const ap_conv *conv);
ap_winograd ap_winograd_data(const ap_conv *conv);
size_t ap_winograd_packed_size(const ap_winograd *g);
bool ap_winograd_pack(const ap_winograd *g, const float *weights, float *packed);
/* packed NULL: by definition, slowly */
void ap_winograd_run(const ap_winograd *g, int threads, const float *in, const float *weights, const float *packed,
                     bool accumulate, float *out);
/* False, and dw untouched, without memory. */
bool ap_winograd_weights(const ap_conv *conv, const float *x, const float *dy, bool accumulate, float *dw);
ap_conv_parts ap_winograd_chunks_of(const ap_winograd *g); /* bands of lines of tiles */
/* The 2 x 2 outputs of a tile, also those outside; the weight gradient. */
void ap_winograd_tile_by_definition(const ap_winograd *g, const float *in, const float *weights, int64_t index,
                                    int64_t o, float y[4]);
void ap_winograd_weights_by_definition(const ap_conv *conv, const float *x, const float *dy, bool accumulate,
                                       float *dw);

/* [r * s] planes of [c/groups][k/groups] -> [k/groups][c/groups][r][s] */
void ap_conv_to_published(const ap_conv *conv, const float *from, int64_t plane, float *dw);

/* Levels of the tree over `chunks` chunks. */
int ap_conv_levels_for(int64_t chunks);

int64_t ap_conv_floor_div(int64_t a, int64_t b);
int ap_conv_threads(const ap_conv *conv);       /* that its work is worth */
bool ap_conv_is_pointwise(const ap_conv *conv); /* a matrix product over pixels */

#endif
