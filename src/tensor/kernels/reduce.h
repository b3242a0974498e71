/* Sums with a written order.
 *
 * ORDER of a sum over n elements: 16 lanes; lane j adds elements j, j+16, j+32, ... in that order, starting from +0;
 * then the lanes are folded by halves: lane j += lane j+8 (j < 8), then +4, +2, +1. Products are accumulated by fma.
 * The width of the machine's vectors does not matter. */
#ifndef AP_KERNELS_REDUCE_H
#define AP_KERNELS_REDUCE_H

#include <stddef.h>
#include <stdint.h>

float ap_sum(size_t n, const float *x);
float ap_dot(size_t n, const float *x, const float *y);
float ap_max(size_t n, const float *x); /* -inf for n = 0; NaN if any element is NaN */

/* Accumulated in double, same lane order. */
double ap_sum_f64(size_t n, const float *x);
double ap_dot_f64(size_t n, const float *x, const float *y);

/* out[j] (+)= sum over rows i of x[i*ld + j], j < columns: for each column rows in chunks of AP_GEMM_CHUNK, a chain of
 * adds from +0 in each, chunks folded by the tree of ap_gemm_long_k. Threads split columns. */
void ap_column_sums(int64_t rows, int64_t columns, const float *x, int64_t ld, int accumulate, float *out);

/* Elementwise helpers whose order is trivial: y += x, y *= a. */
void ap_add_into(size_t n, const float *x, float *y);
void ap_scale_by(size_t n, float a, float *y);

#endif
