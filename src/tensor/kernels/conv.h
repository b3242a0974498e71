/* Two-dimensional convolution, channels last, with a written order of every sum (design decision 1).
 *
 *     x [n, h, w, c]      y [n, oh, ow, k]      weights [k, c/groups, r, s] (as published)
 *     y[n, i, j, o] = sum over (p, q, c) of x[n, i*stride_h + p*dilation_h - pad_top,
 *                                            j*stride_w + q*dilation_w - pad_left, c] w[o, c, p, q]
 *
 * ORDER. One fma chain per element, from +0, or from what is there if `accumulate`:
 *     y[n, i, j, o]   over (p, q, c) increasing
 *     dx[n, h, w, c]  over (i, j, o) increasing, the pixels of y whose window has (h, w) in it
 *     dw[o, c, p, q]  over pixels (n, i, j) increasing, one chain from +0 for each chunk; chunks are whole images, as
 *                     many as have AP_GEMM_CHUNK pixels together; of an image with more, whole lines, as many as have
 *                     that (at least one). Chunks are folded by the binary tree of ap_gemm_long_k, then added to dw if
 *                     `accumulate`.
 * Pixels outside the image do not belong to a chain; only in the weight gradient a pixel beside the image, in a line
 * of it, is a factor +0 that does.
 *
 * No im2col matrix: the window of a pixel is r runs of s*c floats at a fixed distance, which the micro-kernels of
 * ap_gemm walk where they lie, and pixels whose windows leave the image in the same way make up a product of their own
 * (so padding costs nothing; the weight gradient works on a copy with zeros beside the lines). A data gradient with
 * strides is stride_h * stride_w dense ones that write interleaved pixels.
 *
 * WINOGRAD. Where ap_conv_is_winograd() (windows of 3x3, stride 1, no dilation, one group, at least 32 channels on
 * both sides, images that are not tiny; a matter of the extents c, k, h, w and paddings alone) the sums are those of
 * F(2x2, 3x3) (Lavin and Gray 2016), 16 multiplications in place of 36. Tile (n, a, b) has the outputs of lines 2 a, 2
 * a + 1 and columns 2 b, 2 b + 1 and the 4 x 4 inputs d under them, +0 outside the image. All transforms go down the
 * columns first, then along the lines, every sum rounded by itself (winograd.inc has them spelled out):
 *     V = B' d B, U = G g G' of a window g, M[e] = one fma chain from +0 over c of V[e] U[e] at each of 16 positions e,
 *     y = A' M A, added to what is there if `accumulate`
 *     dx: the same of dy and the windows backwards, over o, with tiles of dx
 *     dw = G' S G, S[e] = chains over tiles (n, a, b) of V[e] (A dy A')[e], chunks and tree as above with tiles in
 *     place of pixels and AP_WINOGRAD_CHUNK of them; then added to dw if `accumulate`
 * Coefficients are 1 and 1/2, so errors stay near those of the plain sums. Larger tiles have coefficients up to 21/4
 * and lose digits; they were left out. A number that is not finite spreads over its tile.
 *
 * Threads split outputs. Not collective. */
#ifndef AP_KERNELS_CONV_H
#define AP_KERNELS_CONV_H

#include "tensor/kernels/gemm.h"

typedef struct ap_conv {
    int64_t n, h, w, c;
    int64_t k, r, s; /* output channels, window r x s */
    int64_t stride_h, stride_w;
    int64_t pad_top, pad_left; /* zeros before the image; behind it there are as many as oh and ow need */
    int64_t oh, ow;
    int64_t groups;                 /* divides c and k */
    int64_t dilation_h, dilation_w; /* distance of the window's pixels; 0 means 1 */
} ap_conv;

static inline int64_t ap_conv_dilation_h(const ap_conv *conv) {
    return conv->dilation_h ? conv->dilation_h : 1;
}
static inline int64_t ap_conv_dilation_w(const ap_conv *conv) {
    return conv->dilation_w ? conv->dilation_w : 1;
}

/* None of these can fail: without memory for scratch they are slower and give the same bits. `packed`: from
 * ap_conv_pack, or NULL (packed for the call). With AP_MATH_BLAS windows of 1 x 1 with stride 1 go to OpenBLAS, which
 * does not use `packed`. */
void ap_conv_forward(ap_math math, const ap_conv *conv, const float *x, const float *weights, const float *packed,
                     bool accumulate, float *y);
void ap_conv_data_gradient(ap_math math, const ap_conv *conv, const float *dy, const float *weights,
                           const float *packed, bool accumulate, float *dx);
void ap_conv_weight_gradient(ap_math math, const ap_conv *conv, const float *x, const float *dy, bool accumulate,
                             float *dw);

/* Whether the sums are Winograd's. */
bool ap_conv_is_winograd(const ap_conv *conv);

/* Weights as the forward pass or (backward) the data gradient reads them, once a step. They depend on the extents c, k,
 * r, s, strides, paddings, dilations, groups and on ap_conv_is_winograd() only. Floats needed; the packing, false
 * without memory for scratch. The layout belongs to the ISA in use. */
size_t ap_conv_packed_size(const ap_conv *conv, bool backward);
bool ap_conv_pack(const ap_conv *conv, bool backward, const float *weights, float *packed);

/* The reference twins: the definition as loops over fmaf. */
void ap_conv_forward_reference(const ap_conv *conv, const float *x, const float *weights, bool accumulate, float *y);
void ap_conv_data_gradient_reference(const ap_conv *conv, const float *dy, const float *weights, bool accumulate,
                                     float *dx);
void ap_conv_weight_gradient_reference(const ap_conv *conv, const float *x, const float *dy, bool accumulate,
                                       float *dw);

#endif
