/* Inside kernels/ (and its benchmark): what every instruction set provides. One translation unit each
 * (kernels_portable.c, kernels_avx2.c, kernels_avx512.c), made from the same bodies (gemm_tile.inc, depthwise.inc,
 * winograd.inc, vecmath.inc, reduce.inc, activation.inc, norm.inc, eigen.inc) over that set's vector layer (simd_*.h).
 * Only those three files are compiled with the set's flags. */
#ifndef AP_KERNELS_KERNEL_SET_H
#define AP_KERNELS_KERNEL_SET_H

#include "tensor/kernels/activation.h"
#include "tensor/kernels/isa.h"
#include <stddef.h>
#include <stdint.h>

/* One tile of C, [rows][columns], columns <= 2 vectors: its chains are continued (or, if first, started at +0) over
 * `runs` runs of k steps and stored. In A a run begins `hop` floats after the one before (the lines of an image under a
 * convolution's window; a plain product is one run), in B skip_b floats after its end. The rows are fixed by the
 * kernel. */
typedef struct ap_gemm_tile {
    int64_t runs, k, hop, skip_b;
    const float *a; /* by_column: a[k*lda + i]; by_row: a[i*lda + k] */
    int64_t lda;
    const float *b; /* b[k*ldb + j] */
    int64_t ldb;
    float *c; /* c[i*ldc + j] */
    int64_t ldc;
    int columns;
    bool first;
    const float *next_c, *next_b; /* what the following tiles touch: prefetched, never read */
} ap_gemm_tile;
typedef void ap_gemm_kernel(const ap_gemm_tile *tile);

enum { AP_GEMM_MAX_ROWS = 14, AP_GEMM_MAX_WIDTH = 32 };
typedef struct ap_gemm_kernels {
    int vector;                                         /* floats */
    int rows;                                           /* tallest tile */
    int width;                                          /* widest tile and packed panel: two vectors */
    ap_gemm_kernel *by_column[2][AP_GEMM_MAX_ROWS + 1]; /* [vectors - 1][rows] */
    ap_gemm_kernel *by_row[2][AP_GEMM_MAX_ROWS + 1];
    /* Packing writes whole vectors: up to vector - 1 floats behind the last element are overwritten.
     * pack_rows:    out[k*stride + i] = row[i][k]        for i < rows <= width, k < count: rows become columns
     * pack_columns: out[k*stride + i] = source[k*ld + i] for i < rows <= width, k < count */
    void (*pack_rows)(int rows, int64_t count, const float *const *row, float *out, int64_t stride);
    void (*pack_columns)(int rows, int64_t count, const float *source, int64_t ld, float *out, int64_t stride);
} ap_gemm_kernels;

/* Channel by channel, for `pixels` of a line: y[t][j] = chain, from +0 or continued, over taps (p, q) of
 * x[t x_pixel + p x_row + q x_column + j] w[p w_row + q w_column + j]. */
typedef struct ap_depthwise {
    int64_t channels, pixels, rows, columns; /* rows x columns taps */
    const float *x;
    int64_t x_pixel, x_row, x_column;
    const float *w;
    int64_t w_row, w_column;
    float *y;
    int64_t y_pixel;
    bool accumulate;
} ap_depthwise;

/* dw[t dw_tap + j] = chain continued over pixels i of x[i x_pixel + t x_tap + j] dy[i dy_pixel + j] */
typedef struct ap_depthwise_weights {
    int64_t channels, pixels, taps;
    const float *x;
    int64_t x_pixel, x_tap;
    const float *dy;
    int64_t dy_pixel;
    float *dw;
    int64_t dw_tap;
} ap_depthwise_weights;

typedef struct ap_kernel_set {
    ap_gemm_kernels gemm;
    void (*depthwise)(const ap_depthwise *d);
    void (*depthwise_weights)(const ap_depthwise_weights *d);
    /* winograd.inc: between squares of pixels or windows and 16 positions at distance `plane`. */
    void (*winograd_input)(int64_t channels, const float *const pixel[16], float *out, int64_t plane, int64_t panel);
    void (*winograd_gradient)(int64_t channels, const float *const pixel[4], float *out, int64_t plane, int64_t panel);
    void (*winograd_output)(int64_t channels, const float *m, int64_t plane, float *const pixel[4], bool accumulate);
    void (*winograd_weights)(int64_t n, const float *g, int64_t window_plane, float *u, int64_t plane);
    void (*winograd_weights_back)(int64_t n, const float *u, int64_t plane, float *g, int64_t window_plane);
    /* vecmath.h */
    void (*exp)(size_t n, const float *x, float *y);
    void (*log)(size_t n, const float *x, float *y);
    void (*tanh)(size_t n, const float *x, float *y);
    void (*erf)(size_t n, const float *x, float *y);
    void (*rsqrt)(size_t n, const float *x, float *y);
    void (*sigmoid)(size_t n, const float *x, float *y);
    /* reduce.h */
    float (*sum)(size_t n, const float *x);
    float (*dot)(size_t n, const float *x, const float *y);
    float (*max)(size_t n, const float *x);
    double (*sum_f64)(size_t n, const float *x);
    double (*dot_f64)(size_t n, const float *x, const float *y);
    /* Adds rows x[0..rows) of width columns (<= AP_COLUMN_STRIP) to sums, in order. */
    void (*add_rows)(int64_t rows, int columns, const float *x, int64_t ld, float *sums);
    void (*add_into)(size_t n, const float *x, float *y);
    void (*scale_by)(size_t n, float a, float *y);
    /* activation.h */
    void (*activate)(ap_activation kind, float slope, size_t n, const float *x, float *y);
    void (*activate_back)(ap_activation kind, float slope, size_t n, const float *known, const float *dy,
                          bool accumulate, float *dx);
    /* norm.inc: rows of channels at distance ld */
    void (*add_moments)(int64_t rows, int64_t columns, const float *x, int64_t ld, double *sum, double *square);
    void (*add_gradient_moments)(int64_t rows, int64_t columns, const float *x, const float *g, int64_t ld,
                                 const float *mean, double *sum, double *product);
    void (*scale_rows)(int64_t rows, int64_t columns, const float *x, int64_t ld, const float *mean, const float *scale,
                       const float *bias, const float *r, float *y);
    void (*gradient_rows)(int64_t rows, int64_t columns, const float *x, const float *g, int64_t ld, const float *mean,
                          const float *a, const float *b, const float *c, bool accumulate, float *dx);
    void (*layer_norm_row)(size_t n, const float *x, const float *scale, const float *bias, float eps, float *y,
                           float *mean, float *rstd);
    void (*layer_norm_row_back)(size_t n, const float *x, const float *dy, const float *scale, float mean, float rstd,
                                bool accumulate, float *dx, float *work);
    void (*add_row_moments)(int64_t rows, int64_t columns, const float *x, const float *dy, int64_t ld,
                            const float *mean, const float *rstd, double *sums, double *products);
    /* eigen.inc. update: a, the lower triangle of [n][ld], gets - v w' - w v', and p = a u. reflect: strip[rows + 1],
     * the first rows of which get - scale u w', and w = next' strip over all. rotate: for p = last down to first, sweep
     * k = 0, 1, 2, 3 turns rows p + k and p + k + 1 of the strip by (cosine, sine) = rotations[p][k].
     * compose: out[16][16] = rows' columns, over n rows of two strips. */
    void (*eigen_update)(int64_t n, int64_t ld, double *a, const double *v, const double *w, const double *u,
                         double *p);
    void (*eigen_reflect)(int64_t rows, double scale, const double *u, const double *next, double *strip, double *w);
    void (*eigen_rotate)(int64_t first, int64_t last, const double *rotations, double *strip);
    void (*eigen_compose)(int64_t n, const double *rows, const double *columns, double *out);
    /* For the benchmark: nothing but independent fma chains. Returns the flops done. */
    double (*burn)(int64_t rounds, float *sink);
} ap_kernel_set;
enum { AP_COLUMN_STRIP = 64, AP_EIGEN_STRIP = 16 };

extern const ap_kernel_set ap_kernels_portable, ap_kernels_avx2, ap_kernels_avx512;

const ap_kernel_set *ap_kernels_of(ap_isa isa);
const ap_kernel_set *ap_kernels_current(void); /* those of ap_isa_current() */

/* Counts m n k fused multiply-adds. */
void ap_kernels_count(double m, double n, double k);

/* body(0 .. count-1), on up to `threads` threads: the only place that starts any. Built without OpenMP: on one. */
void ap_kernels_for(int threads, int64_t count, void (*body)(int64_t index, void *context), void *context);

#endif
