/* x^y in float32 for the rules that take another root than the square: polynomials without branches or fma, which
 * compilers turn into vectors, with the same bits everywhere. Relative error below 3e-7. */
#ifndef AP_ALGORITHMS_POWER_H
#define AP_ALGORITHMS_POWER_H

#include <math.h>
#include <stdint.h>

/* 0 < y <= 1, in two parts: high has 12 bits, so that its product with an exponent is exact. */
typedef struct ap_exponent {
    float high, low, whole;
} ap_exponent;

static inline ap_exponent ap_exponent_of(double y) {
    float high = (float)(rint(y * 0x1p11) * 0x1p-11);
    return (ap_exponent){high, (float)(y - (double)high), (float)y};
}

static inline float ap_power_of_two(int32_t k) { /* -126 ... 127 */
    union {
        uint32_t bits;
        float value;
    } u = {(uint32_t)(k + 127) << 23};
    return u.value;
}

/* x^y; 0, infinities and NaN stay what they are, and so do numbers below 0. x = 2^k m, m in [sqrt(1/2), sqrt(2)):
 * k y = whole + f exactly but for a small part; then 2^(f + y log2 m). log and exp2: polynomials of Cephes (Moshier).
 */
static inline float ap_root(float x, ap_exponent y) {
    union {
        float value;
        uint32_t bits;
    } u = {x};
    const float subnormal = x < 0x1p-126F ? 1.0F : 0.0F;
    u.value = subnormal != 0 ? x * 0x1p24F : x;
    const uint32_t shifted = u.bits + (0x3F800000u - 0x3F3504F3u);
    const float k = (float)((int32_t)(shifted >> 23) - 127) - 24 * subnormal;
    u.bits = (shifted & 0x007FFFFFu) + 0x3F3504F3u;
    const float f = u.value - 1, z = f * f;
    float log = 7.0376836292e-2F * f - 1.1514610310e-1F;
    log = log * f + 1.1676998740e-1F;
    log = log * f - 1.2420140846e-1F;
    log = log * f + 1.4249322787e-1F;
    log = log * f - 1.6668057665e-1F;
    log = log * f + 2.0000714765e-1F;
    log = log * f - 2.4999993993e-1F;
    log = log * f + 3.3333331174e-1F;
    log = f + (f * z * log - 0.5F * z);
    const float rounder = 0x1.8p23F, exact = k * y.high, whole = (exact + rounder) - rounder;
    const float rest = (exact - whole) + (k * y.low + y.whole * (1.44269504088896341F * log));
    const float more = (rest + rounder) - rounder, r = rest - more;
    float power = 1.535336188319500e-4F * r + 1.339887440266574e-3F;
    power = power * r + 9.618437357674640e-3F;
    power = power * r + 5.550332471162809e-2F;
    power = power * r + 2.402264791363012e-1F;
    power = power * r + 6.931472028550421e-1F;
    power = power * r + 1;
    const int32_t n = (int32_t)(whole + more), half = n >> 1;
    power = power * ap_power_of_two(half) * ap_power_of_two(n - half);
    return x > 0 && x < INFINITY ? power : x;
}

/* x^0.24 for x >= 0 from its square root: x^(1/4) x^(-1/100). The small exponent asks little of the logarithm (log2 m
 * to 2e-6, which is 2e-8 in the result), and 0, infinity and NaN come out of the roots. Relative error below 3e-7. */
static inline float ap_root_024(float x, float square_root) {
    union {
        float value;
        uint32_t bits;
    } u = {x};
    const float subnormal = x < 0x1p-126F ? 1.0F : 0.0F;
    u.value = subnormal != 0 ? x * 0x1p24F : x;
    const uint32_t shifted = u.bits + (0x3F800000u - 0x3F3504F3u);
    const float k = (float)((int32_t)(shifted >> 23) - 127) - 24 * subnormal;
    u.bits = (shifted & 0x007FFFFFu) + 0x3F3504F3u;
    const float f = u.value - 1;
    float log = 0.3221534192562103F - 0.20658640563488007F * f;
    log = log * f - 0.3674907684326172F;
    log = log * f + 0.47934815287590027F;
    log = log * f - 0.7211318016052246F;
    log = log * f + 1.4427134990692139F;
    const float e = -0.01F * (k + log * f), rounder = 0x1.8p23F, whole = (e + rounder) - rounder, r = e - whole;
    float power = 1.339887440266574e-3F + 1.535336188319500e-4F * r;
    power = power * r + 9.618437357674640e-3F;
    power = power * r + 5.550332471162809e-2F;
    power = power * r + 2.402264791363012e-1F;
    power = power * r + 6.931472028550421e-1F;
    power = power * r + 1;
    return sqrtf(square_root) * (power * ap_power_of_two((int32_t)whole));
}

#endif
