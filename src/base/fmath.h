/* Double-precision functions of our own for schedules and random numbers: the C library's differ in the last bit
 * between CPUs (its fma variants) and versions. Plain IEEE operations in a written order, no fma: the same bits
 * everywhere. Error below 2 ulp in the stated range. */
#ifndef AP_BASE_FMATH_H
#define AP_BASE_FMATH_H

#include <stdint.h>

double ap_f64_cos(double x); /* |x| <= 1e6; NaN beyond */
double ap_f64_sin(double x);
double ap_f64_exp(double x);
double ap_f64_log(double x);
double ap_f64_pow(double x, double y);   /* x >= 0, else NaN; below 3 ulp */
double ap_f64_powi(double x, int64_t n); /* by squaring; n >= 0; relative error below n 2^-53 */

#endif
