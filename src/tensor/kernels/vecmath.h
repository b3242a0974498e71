/* Elementary functions of our own, elementwise over arrays: at most 2 ulp, the same bits on every instruction set.
 * Special values follow C's Annex F (exp(-inf) = 0, log(-1) = NaN, ...; the sign and payload of a NaN are not
 * promised). Results below the smallest normal number are rounded to subnormals as IEEE says, no flush. In place (y ==
 * x) is allowed; other overlap is not. */
#ifndef AP_KERNELS_VECMATH_H
#define AP_KERNELS_VECMATH_H

#include <stddef.h>

void ap_vexp(size_t n, const float *x, float *y);
void ap_vlog(size_t n, const float *x, float *y);
void ap_vtanh(size_t n, const float *x, float *y);
void ap_verf(size_t n, const float *x, float *y);
void ap_vrsqrt(size_t n, const float *x, float *y);
void ap_vsigmoid(size_t n, const float *x, float *y); /* 1 / (1 + exp(-x)) */

/* One value, the same bits as the array form. */
float ap_expf(float x);
float ap_logf(float x);
float ap_tanhf(float x);
float ap_erff(float x);
float ap_rsqrtf(float x);

#endif
