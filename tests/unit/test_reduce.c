/* The sums against their written order, bit for bit on every path. */
#include "check.h"
#include "tensor/kernels/gemm.h"
#include "tensor/kernels/isa.h"
#include "tensor/kernels/reduce.h"
#include <stdbool.h>

enum { MOST = 200 };

static uint32_t state = 1;
static float random_value(void) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return ldexpf((float)(state >> 8) * 0x1p-24f - 0.5f, (int)(state % 17) - 8);
}
static void fill(size_t n, float *x) {
    for (size_t i = 0; i < n; i++) x[i] = random_value();
}
static bool same_float(float x, float y) {
    return memcmp(&x, &y, sizeof x) == 0 || (isnan(x) && isnan(y));
}
static bool same_double(double x, double y) {
    return memcmp(&x, &y, sizeof x) == 0 || (isnan(x) && isnan(y));
}

/* ---- the order, literally: lane j of 16 takes elements j, j + 16, ...; lanes are folded by halves */

static float twin_dot(size_t n, const float *x, const float *y) {
    float lane[16] = {0};
    for (size_t i = 0; i < n; i++) lane[i % 16] = y ? fmaf(x[i], y[i], lane[i % 16]) : lane[i % 16] + x[i];
    for (int half = 8; half >= 1; half /= 2)
        for (int j = 0; j < half; j++) lane[j] += lane[j + half];
    return lane[0];
}
static double twin_dot_f64(size_t n, const float *x, const float *y) {
    double lane[16] = {0};
    for (size_t i = 0; i < n; i++)
        lane[i % 16] = y ? fma((double)x[i], (double)y[i], lane[i % 16]) : lane[i % 16] + (double)x[i];
    for (int half = 8; half >= 1; half /= 2)
        for (int j = 0; j < half; j++) lane[j] += lane[j + half];
    return lane[0];
}

static void check_sums(size_t n, const float *x, const float *y) {
    for (int isa = 0; isa < AP_ISA_COUNT; isa++) {
        if (!ap_isa_force((ap_isa)isa)) continue;
        CHECK(same_float(ap_sum(n, x), twin_dot(n, x, NULL)));
        CHECK(same_float(ap_dot(n, x, y), twin_dot(n, x, y)));
        CHECK(same_double(ap_sum_f64(n, x), twin_dot_f64(n, x, NULL)));
        CHECK(same_double(ap_dot_f64(n, x, y), twin_dot_f64(n, x, y)));
    }
}

static void test_sums_of_every_length(void) {
    float x[MOST] = {0}, y[MOST] = {0};
    for (size_t n = 0; n <= MOST; n++) {
        fill(n, x);
        fill(n, y);
        check_sums(n, x, y);
    }
}

static void test_sums_from_odd_addresses(void) {
    float x[MOST + 3] = {0}, y[MOST + 1] = {0};
    fill(MOST + 3, x);
    fill(MOST + 1, y);
    check_sums(MOST, x + 3, y + 1);
}

static void test_sums_of_special_values(void) {
    float x[MOST] = {0}, y[MOST] = {0};
    fill(MOST, x);
    fill(MOST, y);
    x[77] = INFINITY;
    check_sums(MOST, x, y);
    x[78] = -INFINITY;
    check_sums(MOST, x, y);
    x[78] = NAN;
    check_sums(MOST, x, y);
    /* products that round to -0 leave -0 in a lane; lanes that get no element must not turn it into +0 */
    for (int i = 0; i < MOST; i++) x[i] = 0x1p-140f, y[i] = -0x1p-140f;
    for (size_t n = 0; n < 40; n++) check_sums(n, x, y);
}

/* ---- max */

static void test_max(void) {
    float x[MOST];
    for (size_t n = 1; n <= MOST; n++) {
        fill(n, x);
        float most = x[0];
        for (size_t i = 1; i < n; i++) most = fmaxf(most, x[i]);
        for (int isa = 0; isa < AP_ISA_COUNT; isa++)
            if (ap_isa_force((ap_isa)isa)) CHECK(same_float(ap_max(n, x), most));
    }
}

static void test_max_of_nothing_nan_and_infinity(void) {
    float x[MOST];
    for (int isa = 0; isa < AP_ISA_COUNT; isa++) {
        if (!ap_isa_force((ap_isa)isa)) continue;
        CHECK(ap_max(0, NULL) == -INFINITY);
        for (int at = 0; at < 37; at++) {
            for (int i = 0; i < MOST; i++) x[i] = -INFINITY;
            x[at] = -3;
            CHECK(ap_max(37, x) == -3);
            x[36 - at] = NAN;
            CHECK(isnan(ap_max(37, x)));
        }
    }
}

/* Of +0 and -0 any may be the maximum, but the same on every path. */
static void test_max_of_zeros_has_one_sign(void) {
    float x[40];
    for (size_t n = 1; n <= 40; n++) {
        for (size_t i = 0; i < n; i++) x[i] = random_value() < 0 ? -0.0f : 0.0f;
        ap_isa_force(AP_ISA_PORTABLE);
        const float portable = ap_max(n, x);
        for (int isa = 0; isa < AP_ISA_COUNT; isa++)
            if (ap_isa_force((ap_isa)isa)) CHECK(same_float(ap_max(n, x), portable));
    }
}

/* ---- column sums */

static float twin_column(int64_t rows, const float *x, int64_t ld) {
    if (rows <= AP_GEMM_CHUNK) {
        float sum = 0;
        for (int64_t i = 0; i < rows; i++) sum += x[i * ld];
        return sum;
    }
    int64_t left = AP_GEMM_CHUNK;
    while (2 * left < rows) left *= 2;
    return twin_column(left, x, ld) + twin_column(rows - left, x + left * ld, ld);
}

static void check_columns(int64_t rows, int64_t columns, int threads) {
    const int64_t ld = columns + 3;
    float *x = malloc((size_t)(rows * ld + 1) * sizeof *x), out[MOST + 1];
    fill((size_t)(rows * ld), x);
    ap_kernels_set_threads(threads);
    for (int isa = 0; isa < AP_ISA_COUNT; isa++)
        for (int accumulate = 0; accumulate < 2; accumulate++) {
            if (!ap_isa_force((ap_isa)isa)) continue;
            for (int64_t j = 0; j <= columns; j++) out[j] = 0.1f * (float)j;
            ap_column_sums(rows, columns, x, ld, accumulate, out);
            for (int64_t j = 0; j < columns; j++) {
                const float sum = twin_column(rows, x + j, ld);
                CHECK(same_float(out[j], accumulate ? 0.1f * (float)j + sum : sum));
            }
            CHECK(out[columns] == 0.1f * (float)columns);
        }
    ap_kernels_set_threads(1);
    free(x);
}

static void test_column_sums(void) {
    for (int64_t columns = 0; columns <= MOST; columns += 1 + columns / 5) check_columns(17, columns, 1);
    check_columns(0, 5, 1);
    check_columns(1, 70, 1);
}
static void test_column_sums_of_many_rows_are_a_tree(void) {
    check_columns(AP_GEMM_CHUNK, 3, 1);
    check_columns(AP_GEMM_CHUNK + 1, 3, 1);
    check_columns(3 * AP_GEMM_CHUNK + 5, 2, 1);
    check_columns(7 * AP_GEMM_CHUNK, 2, 1);
}
static void test_column_sums_on_threads(void) {
    for (int threads = 2; threads <= 3; threads++) check_columns(2 * AP_GEMM_CHUNK + 1, 150, threads);
}

/* ---- elementwise */

static void test_add_and_scale(void) {
    float x[MOST], y[MOST + 1], z[MOST + 1];
    for (int isa = 0; isa < AP_ISA_COUNT; isa++)
        for (size_t n = 0; n <= MOST; n += 1 + n / 8) {
            if (!ap_isa_force((ap_isa)isa)) continue;
            fill(MOST, x);
            fill(MOST + 1, y);
            memcpy(z, y, sizeof z);
            for (size_t i = 0; i < n; i++) z[i] += x[i];
            ap_add_into(n, x, y);
            CHECK(memcmp(y, z, sizeof z) == 0);
            for (size_t i = 0; i < n; i++) z[i] *= 0.3f;
            ap_scale_by(n, 0.3f, y);
            CHECK(memcmp(y, z, sizeof z) == 0);
        }
}

AP_TEST_MAIN(test_sums_of_every_length, test_sums_from_odd_addresses, test_sums_of_special_values, test_max,
             test_max_of_nothing_nan_and_infinity, test_max_of_zeros_has_one_sign, test_column_sums,
             test_column_sums_of_many_rows_are_a_tree, test_column_sums_on_threads, test_add_and_scale)
