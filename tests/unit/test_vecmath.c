/* Elementary functions against the C library's double functions, and the paths against each other.
 *
 * By default every 251st float and all floats around the places where something changes; with ALGOPERF_TEST_FULL=1
 * every one of the 2^32 (about half an hour). */
#include "check.h"
#include "tensor/kernels/isa.h"
#include "tensor/kernels/vecmath.h"
#include <float.h>
#include <stdbool.h>
#include <stdint.h>

enum { BLOCK = 4096 };

typedef struct function {
    const char *name;
    void (*array)(size_t n, const float *x, float *y);
    double (*exact)(double x);
} function;

static double exact_rsqrt(double x) {
    return 1 / sqrt(x);
}
static double exact_sigmoid(double x) {
    return 1 / (1 + exp(-x));
}
static const function functions[] = {{"exp", ap_vexp, exp},
                                     {"log", ap_vlog, log},
                                     {"tanh", ap_vtanh, tanh},
                                     {"erf", ap_verf, erf},
                                     {"rsqrt", ap_vrsqrt, exact_rsqrt},
                                     {"sigmoid", ap_vsigmoid, exact_sigmoid}};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

static float from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static uint32_t to_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* Distance in units of the last place of the exact value; an infinity counts as 2^128, the next float there would be.
 */
static double ulps(float got, double exact) {
    if (isnan(exact)) return isnan(got) ? 0 : INFINITY;
    if (isnan(got)) return INFINITY;
    if (isinf(exact)) return (double)got == exact ? 0 : INFINITY;
    if (exact == 0) return got == 0 && !signbit(got) == !signbit(exact) ? 0 : INFINITY;
    const int exponent = ilogb(exact) < -126 ? -126 : ilogb(exact);
    const double value = isinf(got) ? copysign(0x1p128, got) : (double)got;
    if (fabs(exact) > 0x1p128) exact = copysign(0x1p128, exact);
    return fabs(value - exact) / ldexp(1, exponent - 23);
}

typedef struct worst {
    double error;
    float at;
    long differences; /* of bits between the paths */
} worst;

static void check_block(const function *f, size_t n, const float *x, worst *w) {
    static float y[BLOCK], z[BLOCK];
    bool have_first = false;
    for (int isa = AP_ISA_COUNT - 1; isa >= 0; isa--) {
        if (!ap_isa_force((ap_isa)isa)) continue;
        f->array(n, x, have_first ? z : y);
        if (have_first)
            for (size_t i = 0; i < n; i++)
                w->differences += to_bits(y[i]) != to_bits(z[i]) && !(isnan(y[i]) && isnan(z[i]));
        have_first = true;
    }
    for (size_t i = 0; i < n; i++) {
        const double error = ulps(y[i], f->exact((double)x[i]));
        if (!(error > w->error)) continue;
        w->error = error;
        w->at = x[i];
    }
}

/* Bit patterns first, first + step, ... up to last. */
static void check_range(const function *f, uint64_t first, uint64_t last, uint64_t step, worst *w) {
    static float x[BLOCK];
    size_t n = 0;
    for (uint64_t bits = first; bits <= last; bits += step) {
        x[n++] = from_bits((uint32_t)bits);
        if (n < BLOCK && bits + step <= last) continue;
        check_block(f, n, x, w);
        n = 0;
    }
}

static void test_two_ulps_everywhere_and_the_same_bits_on_every_path(void) {
    /* Around these, of both signs: zero, the largest subnormal, one, the largest float; where exp, sigmoid and tanh
     * saturate or underflow; where tanh and erf change their formula; where log changes its exponent. */
    static const float edges[] = {0,          0x1p-126f,      1,        FLT_MAX,   88.722839f, 87.336544f,
                                  103.27893f, 103.97208f,     9.0109f,  0.625f,    0.93f,      3.9192059f,
                                  3.95f,      0x1.6a09e6p-1f, 0x1p-24f, 16.635532f};
    const bool full = getenv("ALGOPERF_TEST_FULL") != NULL;
    for (int i = 0; i < FUNCTIONS; i++) {
        worst w = {0};
        check_range(functions + i, 0, UINT32_MAX, full ? 1 : 251, &w);
        for (unsigned e = 0; e < sizeof edges / sizeof *edges; e++)
            for (uint32_t sign = 0; sign <= 0x80000000u && !full; sign += 0x80000000u) {
                const uint32_t magnitude = to_bits(edges[e]), low = magnitude < 3000 ? 0 : magnitude - 3000;
                check_range(functions + i, sign + low, sign + magnitude + 3000, 1, &w);
                if (sign) break;
            }
        printf("%s: at most %.3f ulp (at %.9g, %08x)\n", functions[i].name, w.error, (double)w.at, to_bits(w.at));
        CHECK(w.error <= 2.0);
        CHECK_INT(w.differences, 0);
    }
}

/* C17, Annex F.10. */
static void test_special_values(void) {
    const float inf = INFINITY;
    CHECK(ap_expf(0.0f) == 1 && ap_expf(-0.0f) == 1);
    CHECK(ap_expf(-inf) == 0 && ap_expf(inf) == inf && isnan(ap_expf(NAN)));
    CHECK(ap_logf(1.0f) == 0 && !signbit(ap_logf(1.0f)));
    CHECK(ap_logf(0.0f) == -inf && ap_logf(-0.0f) == -inf && ap_logf(inf) == inf);
    CHECK(isnan(ap_logf(-1.0f)) && isnan(ap_logf(-inf)) && isnan(ap_logf(NAN)));
    CHECK(ap_tanhf(inf) == 1 && ap_tanhf(-inf) == -1 && isnan(ap_tanhf(NAN)));
    CHECK(ap_erff(inf) == 1 && ap_erff(-inf) == -1 && isnan(ap_erff(NAN)));
    CHECK(signbit(ap_tanhf(-0.0f)) && !signbit(ap_tanhf(0.0f)));
    CHECK(signbit(ap_erff(-0.0f)) && !signbit(ap_erff(0.0f)));
    CHECK(ap_rsqrtf(0.0f) == inf && ap_rsqrtf(inf) == 0 && isnan(ap_rsqrtf(-1.0f)) && isnan(ap_rsqrtf(NAN)));
    const float x[3] = {-inf, inf, NAN};
    float y[3];
    ap_vsigmoid(3, x, y);
    CHECK(y[0] == 0 && y[1] == 1 && isnan(y[2]));
}

/* A subnormal result is not flushed: exp(-100) = 2^-144.27 is 26.5 or so smallest floats. */
static void test_gradual_underflow(void) {
    CHECK_NEAR(ap_expf(-100.0f) / 0x1p-149f, exp(-100.0) / 0x1p-149, 0.51);
    CHECK_NEAR(ap_logf(0x1p-149f), -149 * log(2.0), 1e-5);
    CHECK_NEAR(ap_rsqrtf(0x1p-148f), 0x1p74, 0);
}

static void test_every_length_and_in_place(void) {
    enum { MOST = 70 };
    float x[MOST], whole[MOST], y[MOST + 1];
    for (int i = 0; i < MOST; i++) x[i] = 0.37f * (float)(i + 1);
    for (int f = 0; f < FUNCTIONS; f++)
        for (int isa = 0; isa < AP_ISA_COUNT; isa++) {
            if (!ap_isa_force((ap_isa)isa)) continue;
            functions[f].array(MOST, x, whole);
            for (size_t n = 0; n <= MOST; n++) {
                memcpy(y, x, sizeof x);
                y[n] = -7; /* behind the end */
                functions[f].array(n, y, y);
                CHECK(memcmp(y, whole, n * sizeof *y) == 0);
                CHECK(y[n] == -7);
            }
        }
}

static void test_one_value_is_the_array_form(void) {
    const float x = 0.7f;
    float (*const one[])(float) = {ap_expf, ap_logf, ap_tanhf, ap_erff, ap_rsqrtf};
    for (int f = 0; f < 5; f++) {
        float y;
        functions[f].array(1, &x, &y);
        CHECK(to_bits(one[f](x)) == to_bits(y));
    }
}

AP_TEST_MAIN(test_two_ulps_everywhere_and_the_same_bits_on_every_path, test_special_values, test_gradual_underflow,
             test_every_length_and_in_place, test_one_value_is_the_array_form)
