/* base/fmath against the C library in long double (64 bits of mantissa): errors in units of the last place. */
#include "base/fmath.h"
#include "check.h"

#include <math.h>

enum { TRIES = 200000 };

/* xorshift64*: the arguments need no more. */
static double draw(void) {
    static uint64_t state = 88172645463325252u;
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (double)(state * 2685821657736338717u >> 11) * 0x1p-53;
}

static double error_ulp(double got, long double want) {
    int exponent;
    frexpl(want, &exponent);
    if (exponent < -1021) exponent = -1021; /* subnormal: all have the same spacing */
    return (double)(fabsl((long double)got - want) / ldexpl(1, exponent - 53));
}

#define CHECK_ULP(call, want, limit)                                                                                   \
    do {                                                                                                               \
        double ulp_ = error_ulp((call), (want));                                                                       \
        if (!(ulp_ < (limit))) {                                                                                       \
            printf("%s:%d: %s is %.2f ulp off at x = %a\n", __FILE__, __LINE__, #call, ulp_, x);                       \
            ap_check_failures++;                                                                                       \
        }                                                                                                              \
    } while (0)

static void test_cos_and_sin(void) {
    for (int i = 0; i < TRIES; i++) {
        double range = i % 2 ? 1e6 : 10, x = (2 * draw() - 1) * range;
        if (i % 5 == 0) x = rint(draw() * 600000) * 1.5707963267948966; /* next to a zero: all of it cancels */
        CHECK_ULP(ap_f64_cos(x), cosl(x), 1);
        CHECK_ULP(ap_f64_sin(x), sinl(x), 1);
    }
}

static void test_cos_and_sin_at_special_points(void) {
    CHECK(ap_f64_cos(0) == 1 && ap_f64_sin(0) == 0);
    CHECK(ap_f64_cos(-3) == ap_f64_cos(3) && ap_f64_sin(-3) == -ap_f64_sin(3));
    CHECK(isfinite(ap_f64_cos(1e6)) && isnan(ap_f64_cos(1.000001e6)) && isnan(ap_f64_sin(-1e7)));
    CHECK(isnan(ap_f64_cos(NAN)) && isnan(ap_f64_sin(INFINITY)));
}

static void test_exp(void) {
    for (int i = 0; i < TRIES; i++) {
        double x = i % 2 ? 2 * draw() - 1 : draw() * (709.7 + 745) - 745;
        CHECK_ULP(ap_f64_exp(x), expl(x), x < -708 ? 1.5 : 1); /* subnormal results are rounded twice */
    }
    CHECK(ap_f64_exp(0) == 1 && ap_f64_exp(-INFINITY) == 0 && isinf(ap_f64_exp(INFINITY)) && isnan(ap_f64_exp(NAN)));
    CHECK(isinf(ap_f64_exp(709.79)) && isfinite(ap_f64_exp(709.78)) && ap_f64_exp(-745.2) == 0);
    CHECK(ap_f64_exp(-745.0) > 0);
}

static void test_log(void) {
    for (int i = 0; i < TRIES; i++) {
        double x = i % 3 == 0 ? exp((2 * draw() - 1) * 709) : i % 3 == 1 ? 0.5 + draw() : 1 + (draw() - 0.5) * 1e-6;
        if (x != 1) CHECK_ULP(ap_f64_log(x), logl(x), 1);
    }
    double x = 0x1p-1070;
    CHECK_ULP(ap_f64_log(x), logl(x), 1);
    CHECK(ap_f64_log(1) == 0 && isnan(ap_f64_log(-1)) && isnan(ap_f64_log(NAN)));
    CHECK(ap_f64_log(0) == -INFINITY && ap_f64_log(INFINITY) == INFINITY);
}

static void test_pow(void) {
    for (int i = 0; i < TRIES; i++) {
        double x = exp((2 * draw() - 1) * (i % 2 ? 2 : 700)), y = (2 * draw() - 1) * (i % 3 ? 3 : 1000);
        long double want = powl(x, y);
        if (want < 1.7e308L && want > 1e-320L) CHECK_ULP(ap_f64_pow(x, y), want, 3);
    }
    for (int t = 1; t < 2000; t++) { /* moving averages' bias: where schedules use it */
        double x = 0.999;
        CHECK_ULP(ap_f64_pow(x, t), powl(x, t), 1.5);
    }
}

static void test_pow_special_values(void) {
    CHECK(ap_f64_pow(2, 10) == 1024 && ap_f64_pow(7, 0) == 1 && ap_f64_pow(1, 1e300) == 1 && ap_f64_pow(0, 0) == 1);
    CHECK(ap_f64_pow(0, 2) == 0 && isinf(ap_f64_pow(0, -1)) && isnan(ap_f64_pow(-1, 2)));
    CHECK(isinf(ap_f64_pow(INFINITY, 2)) && ap_f64_pow(INFINITY, -2) == 0);
    CHECK(isinf(ap_f64_pow(2, 1e300)) && ap_f64_pow(2, -1e300) == 0 && ap_f64_pow(0.5, 1e300) == 0);
    CHECK(isnan(ap_f64_pow(NAN, 1)) && isnan(ap_f64_pow(2, NAN)));
    CHECK(isinf(ap_f64_pow(2, INFINITY)) && ap_f64_pow(2, -INFINITY) == 0);
}

static void test_powi(void) {
    CHECK(ap_f64_powi(3, 0) == 1 && ap_f64_powi(0, 0) == 1 && ap_f64_powi(-2, 3) == -8 && ap_f64_powi(10, 15) == 1e15);
    for (int64_t n = 1; n < 100000; n = n * 3 + 1) {
        double x = 0.9995;
        CHECK_ULP(ap_f64_powi(x, n), powl(x, (long double)n), (double)n + 1);
    }
}

AP_TEST_MAIN(test_cos_and_sin, test_cos_and_sin_at_special_points, test_exp, test_log, test_pow,
             test_pow_special_values, test_powi)
