#include "base/fmath.h"

#include <math.h>
#include <string.h>

/* Polynomials and reductions after FreeBSD's msun (fdlibm, Sun Microsystems 1993: k_cos.c, k_sin.c, e_rem_pio2.c,
 * e_exp.c, e_log.c), which states their errors; sqrt, rint and the four operations are exact to the last bit by IEEE
 * 754. */

static uint64_t bits_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double double_of(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* 2^k for -1022 <= k <= 1023. */
static double power_of_two(int k) {
    return double_of((uint64_t)(k + 1023) << 52);
}

/* ---- sums and products with their rounding errors: hi + lo is the exact result */

typedef struct pair {
    double hi, lo;
} pair;

/* Knuth, The Art of Computer Programming 2, 4.2.2, theorem B. */
static pair two_sum(double a, double b) {
    double sum = a + b, b_part = sum - a;
    return (pair){sum, (a - (sum - b_part)) + (b - b_part)};
}

/* Dekker (1971), no fma: halves of 26 bits. */
static pair two_product(double a, double b) {
    const double splitter = 0x1p27 + 1;
    double ca = splitter * a, a_hi = ca - (ca - a), a_lo = a - a_hi;
    double cb = splitter * b, b_hi = cb - (cb - b), b_lo = b - b_hi, product = a * b;
    return (pair){product, a_lo * b_lo - (((product - a_hi * b_hi) - a_lo * b_hi) - a_hi * b_lo)};
}

/* ---- sine and cosine */

/* cos(x + tail), |x| <= pi/4: 1 - x^2/2 + x^4 (C1 + C2 x^2 + ...), the rounding of 1 - x^2/2 given back. */
static double cos_kernel(double x, double tail) {
    const double c1 = 4.16666666666666019037e-02, c2 = -1.38888888888741095749e-03, c3 = 2.48015872894767294178e-05,
                 c4 = -2.75573143513906633035e-07, c5 = 2.08757232129817482790e-09, c6 = -1.13596475577881948265e-11;
    double z = x * x, r = z * (c1 + z * (c2 + z * (c3 + z * (c4 + z * (c5 + z * c6)))));
    double half = 0.5 * z, w = 1.0 - half;
    return w + ((1.0 - w - half) + (z * r - x * tail));
}

/* sin(x + tail), |x| <= pi/4. */
static double sin_kernel(double x, double tail) {
    const double s1 = -1.66666666666666324348e-01, s2 = 8.33333333332248946124e-03, s3 = -1.98412698298579493134e-04,
                 s4 = 2.75573137070700676789e-06, s5 = -2.50507602534068634195e-08, s6 = 1.58969099521155010221e-10;
    double z = x * x, v = z * x, r = s2 + z * (s3 + z * (s4 + z * (s5 + z * s6)));
    return x - ((z * (0.5 * tail - v * r) - tail) - v * s1);
}

/* x = n pi/2 + r.hi + r.lo, |r.hi| <= pi/4; returns n modulo 4. Cody and Waite with pi/2 in three pieces of 33 bits and
 * a tail: |n| < 2^20, so n times a piece is exact, x - n p1 is exact, and the 152 bits leave more than 53 however much
 * cancels for |x| <= 1e6. */
static unsigned reduce(double x, pair *r) {
    const double two_over_pi = 6.36619772367581382433e-01, p1 = 1.57079632673412561417e+00,
                 p2 = 6.07710050630396597660e-11, p3 = 2.02226624871116645580e-21, p3_tail = 8.47842766036889956997e-32;
    double n = rint(x * two_over_pi);
    pair second = two_sum(x - n * p1, -(n * p2)), third = two_sum(second.hi, -(n * p3));
    *r = two_sum(third.hi, third.lo + (second.lo - n * p3_tail));
    return (unsigned)(int64_t)n & 3;
}

static double cos_of_quarters(double x, unsigned quarters) {
    if (!(fabs(x) <= 1e6)) return NAN;
    pair r;
    switch ((reduce(x, &r) + quarters) & 3) {
    case 0: return cos_kernel(r.hi, r.lo);
    case 1: return -sin_kernel(r.hi, r.lo);
    case 2: return -cos_kernel(r.hi, r.lo);
    default: return sin_kernel(r.hi, r.lo);
    }
}

double ap_f64_cos(double x) {
    return cos_of_quarters(x, 0);
}

double ap_f64_sin(double x) {
    return cos_of_quarters(x, 3);
}

/* ---- exponential and logarithm */

/* The first has 21 zero bits at its end: k ln2_hi is exact for every exponent k. */
static const double ln2_hi = 6.93147180369123816490e-01, ln2_lo = 1.90821492927058770002e-10;

double ap_f64_exp(double x) {
    const double p1 = 1.66666666666666019037e-01, p2 = -2.77777777770155933842e-03, p3 = 6.61375632143793436117e-05,
                 p4 = -1.65339022054652515390e-06, p5 = 4.13813679705723846039e-08;
    if (isnan(x)) return x;
    if (x > 7.09782712893383973096e+02) return INFINITY;
    if (x < -7.45133219101941108420e+02) return 0.0;
    int k = (int)rint(x * 1.44269504088896338700e+00);
    double hi = x - k * ln2_hi, lo = k * ln2_lo, r = hi - lo, t = r * r;
    double c = r - t * (p1 + t * (p2 + t * (p3 + t * (p4 + t * p5))));
    double y = 1.0 - ((lo - (r * c) / (2.0 - c)) - hi);
    if (k > 1023) return y * 2.0 * power_of_two(k - 1);
    if (k < -1021) return y * power_of_two(k + 1000) * 0x1p-1000;
    return y * power_of_two(k);
}

/* x = 2^k m with m in [sqrt(1/2), sqrt(2)), for finite x > 0. */
static double split_exponent(double x, int *k) {
    *k = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        *k = -54;
    }
    const uint64_t one = 0x3FF0000000000000u, root_half = 0x3FE6A09E667F3BCDu;
    uint64_t shifted = bits_of(x) + (one - root_half);
    *k += (int)(shifted >> 52) - 1023;
    return double_of((shifted & 0x000FFFFFFFFFFFFFu) + root_half);
}

double ap_f64_log(double x) {
    const double g1 = 6.666666666666735130e-01, g2 = 3.999999999940941908e-01, g3 = 2.857142874366239149e-01,
                 g4 = 2.222219843214978396e-01, g5 = 1.818357216161805012e-01, g6 = 1.531383769920937332e-01,
                 g7 = 1.479819860511658591e-01;
    if (isnan(x) || x < 0) return NAN;
    if (x == 0) return -INFINITY;
    if (isinf(x)) return x;
    int k;
    double f = split_exponent(x, &k) - 1.0, s = f / (2.0 + f), z = s * s, half = 0.5 * f * f;
    double r = z * (g1 + z * (g2 + z * (g3 + z * (g4 + z * (g5 + z * (g6 + z * g7))))));
    return k * ln2_hi - ((half - (s * (half + r) + k * ln2_lo)) - f);
}

/* ---- powers */

/* log(x) to about 2^-64 of itself: log(m) = 2 s (1 + z/3 + z^2/5 + ...), s = (m - 1) / (m + 1), z = s^2 <= 0.0295, with
 * s and z/3 as pairs and the rest plain. */
static pair log_pair(double x) {
    const double third = 0x1.5555555555555p-2, third_lo = 0x1.5555555555555p-56;
    int k;
    double m = split_exponent(x, &k), f = m - 1.0;
    pair divisor = two_sum(m, 1.0);
    double s = f / divisor.hi;
    pair back = two_product(s, divisor.hi);
    double s_lo = (((f - back.hi) - back.lo) - s * divisor.lo) / divisor.hi;
    pair z = two_product(s, s);
    z.lo += 2.0 * s * s_lo;
    pair linear = two_product(z.hi, third);
    linear.lo += z.hi * third_lo + z.lo * third;
    double rest = 0.0;
    for (int i = 25; i >= 5; i -= 2) rest = rest * z.hi + 1.0 / i;
    pair q = two_sum(linear.hi, rest * z.hi * z.hi);
    q.lo += linear.lo;
    pair product = two_product(s, q.hi);
    product.lo += s * q.lo + s_lo * q.hi;
    pair log_m = two_sum(2.0 * s, 2.0 * product.hi), sum = two_sum(k * ln2_hi, log_m.hi);
    return two_sum(sum.hi, sum.lo + (log_m.lo + (2.0 * (s_lo + product.lo) + k * ln2_lo)));
}

double ap_f64_pow(double x, double y) {
    if (isnan(x) || isnan(y) || x < 0) return NAN;
    if (y == 0 || x == 1) return 1.0;
    if (x == 0 || isinf(x)) return (x == 0) == (y > 0) ? 0.0 : INFINITY;
    pair log_x = log_pair(x);
    double about = y * log_x.hi;
    if (fabs(about) > 800.0) return about > 0 ? INFINITY : 0.0;
    pair exponent = two_product(y, log_x.hi);
    double power = ap_f64_exp(exponent.hi);
    return isinf(power) ? power : power + power * (exponent.lo + y * log_x.lo);
}

double ap_f64_powi(double x, int64_t n) {
    double power = 1.0;
    for (; n > 0; n >>= 1, x *= x)
        if (n & 1) power *= x;
    return power;
}
