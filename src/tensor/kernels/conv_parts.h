/* Inside kernels/: what the files of the convolution share. conv_reference.c: the definition; conv.c: forward pass and
 * data gradient; conv_weights.c: weight gradient. */
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

int64_t ap_conv_floor_div(int64_t a, int64_t b);
int ap_conv_threads(const ap_conv *conv);       /* that its work is worth */
bool ap_conv_is_pointwise(const ap_conv *conv); /* a matrix product over pixels */

#endif
