/* base/random: published vectors, the key and counter mapping, fills = element access, distributions, permutations. */
#include "base/fmath.h"
#include "base/random.h"
#include "check.h"

static void check_philox(const uint32_t counter[4], const uint32_t key[2], const uint32_t want[4]) {
    uint32_t out[4];
    ap_philox4x32(counter, key, out);
    for (int i = 0; i < 4; i++) CHECK_INT(out[i], want[i]);
}

/* Random123's kat_vectors, lines "philox4x32 10". */
static void test_published_vectors(void) {
    check_philox((uint32_t[]){0, 0, 0, 0}, (uint32_t[]){0, 0},
                 (uint32_t[]){0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    check_philox((uint32_t[]){~0u, ~0u, ~0u, ~0u}, (uint32_t[]){~0u, ~0u},
                 (uint32_t[]){0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    check_philox((uint32_t[]){0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, (uint32_t[]){0xa4093822, 0x299f31d0},
                 (uint32_t[]){0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

/* The mapping of random.h, written out once more. */
static void test_mapping_is_the_documented_one(void) {
    uint64_t seed = 0x1122334455667788u, step = 0xa1b2c3d4e5f607u;
    ap_random stream = ap_random_stream(seed, AP_RANDOM_DROPOUT, step, 0xabcdef);
    for (uint64_t e = ((uint64_t)1 << 34) - 9; e < (uint64_t)1 << 34; e++) {
        uint32_t out[4];
        ap_philox4x32((uint32_t[]){(uint32_t)(e / 4), 0x00abcdef, (uint32_t)step, 3u << 24 | 0xa1b2c3},
                      (uint32_t[]){0x55667788, 0x11223344}, out);
        CHECK_INT(ap_random_bits(&stream, e), out[e % 4]);
    }
}

static void test_every_part_of_the_name_matters(void) {
    ap_random a = ap_random_stream(1, AP_RANDOM_INIT, 2, 3);
    const ap_random others[] = {ap_random_stream(2, AP_RANDOM_INIT, 2, 3),
                                ap_random_stream(1, AP_RANDOM_SHUFFLE, 2, 3),
                                ap_random_stream(1, AP_RANDOM_INIT, 3, 3),
                                ap_random_stream(1, AP_RANDOM_INIT, 2, 4),
                                ap_random_stream(1 + ((uint64_t)1 << 63), AP_RANDOM_INIT, 2, 3),
                                ap_random_stream(1, AP_RANDOM_INIT, 2 + ((uint64_t)1 << 55), 3)};
    for (size_t k = 0; k < sizeof others / sizeof *others; k++) {
        int equal = 0;
        for (uint64_t e = 0; e < 64; e++) equal += ap_random_bits(&a, e) == ap_random_bits(&others[k], e);
        CHECK_INT(equal, 0);
    }
}

static void test_uniform_range_and_exactness(void) {
    ap_random s = ap_random_stream(5, AP_RANDOM_TUNING, 0, 0);
    for (uint64_t e = 0; e < 10000; e++) {
        float u = ap_random_uniform(&s, e);
        CHECK(u >= 0 && u < 1);
        CHECK(u * 0x1p24f == (float)(ap_random_bits(&s, e) >> 8));
    }
}

/* Any cut of a fill into pieces gives the same numbers, and a uniform fill those of element access. */
static void test_fills_do_not_depend_on_cuts(void) {
    enum { N = 301 };
    ap_random s = ap_random_stream(7, AP_RANDOM_INIT, 1, 0);
    float whole[3][N], part[3][N];
    ap_random_fill_uniform(&s, 5, N, -1, 2, whole[0]);
    ap_random_fill_normal(&s, 5, N, 1, 0.5f, whole[1]);
    ap_random_fill_truncated_normal(&s, 5, N, 0.02f, whole[2]);
    for (size_t at = 0, n = 0; at < N; at += n, n = (n + 1) % 7) {
        if (at + n > N) n = N - at;
        ap_random_fill_uniform(&s, 5 + at, n, -1, 2, part[0] + at);
        ap_random_fill_normal(&s, 5 + at, n, 1, 0.5f, part[1] + at);
        ap_random_fill_truncated_normal(&s, 5 + at, n, 0.02f, part[2] + at);
    }
    CHECK(memcmp(whole, part, sizeof whole) == 0);
    for (size_t i = 0; i < N; i++) CHECK(whole[0][i] == fmaf(2, ap_random_uniform(&s, 5 + i), -1));
}

static void test_normal_is_box_muller_on_its_elements(void) {
    ap_random s = ap_random_stream(9, AP_RANDOM_INIT, 0, 0);
    for (uint64_t e = 0; e < 1000; e++) {
        float got;
        ap_random_fill_normal(&s, e, 1, 0, 1, &got);
        double u = (ap_random_bits(&s, 2 * e) + 0.5) / 4294967296.0, v = ap_random_bits(&s, 2 * e + 1) / 4294967296.0;
        CHECK_NEAR(got, sqrt(-2 * log(u)) * cos(2 * M_PI * v), 1e-6);
    }
}

/* Moments of `n` numbers against those of the distribution, in standard errors. */
static void test_moments(void) {
    enum { N = 400000 };
    ap_random s = ap_random_stream(11, AP_RANDOM_INIT, 0, 0);
    float *x = malloc(N * sizeof *x);
    double m = 0, v = 0, fourth = 0;
    ap_random_fill_normal(&s, 0, N, 3, 2, x);
    for (int i = 0; i < N; i++) m += (x[i] - 3) / 2 / N;
    for (int i = 0; i < N; i++) {
        double z = (x[i] - 3) / 2;
        v += z * z / N;
        fourth += z * z * z * z / N;
    }
    CHECK_NEAR(m, 0, 5 / sqrt(N));
    CHECK_NEAR(v, 1, 5 * sqrt(2.0 / N));
    CHECK_NEAR(fourth, 3, 5 * sqrt(96.0 / N));
    /* Truncated at two standard deviations: variance 1 - 4 phi(2) / (2 Phi(2) - 1). */
    ap_random_fill_truncated_normal(&s, 0, N, 0.5f, x);
    double most = 0, tv = 0;
    for (int i = 0; i < N; i++) {
        most = fmax(most, fabs((double)x[i]));
        tv += 4.0 * x[i] * x[i] / N;
    }
    double phi = exp(-2) / sqrt(2 * M_PI);
    CHECK(most <= 1 && most > 0.99);
    CHECK_NEAR(tv, 1 - 4 * phi / erf(sqrt(2)), 0.01);
    free(x);
}

static void check_bijection(const ap_random *s, int64_t n) {
    unsigned char *seen = calloc((size_t)n, 1);
    for (int64_t i = 0; i < n; i++) {
        int64_t p = ap_random_permute(s, n, i);
        if (p < 0 || p >= n || seen[p]) {
            printf("n = %lld: position %lld gives %lld\n", (long long)n, (long long)i, (long long)p);
            ap_check_failures++;
            break;
        }
        seen[p] = 1;
    }
    free(seen);
}

static void test_permutation_is_a_bijection(void) {
    ap_random s = ap_random_stream(3, AP_RANDOM_SHUFFLE, 0, 0);
    for (int64_t n = 1; n <= 300; n++) check_bijection(&s, n);
    const int64_t larger[] = {1023, 1024, 1025, 4095, 9999, 10000, 50000, 65536};
    for (size_t k = 0; k < sizeof larger / sizeof *larger; k++) check_bijection(&s, larger[k]);
}

static void test_permutation_of_the_largest_set(void) {
    ap_random s = ap_random_stream(3, AP_RANDOM_SHUFFLE, 0, 0);
    const int64_t sizes[] = {INT64_MAX, ((int64_t)1 << 62) + 1, 3037000499 * 3037000499, (int64_t)1 << 32};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (int64_t i = 0; i < 100; i++) {
            int64_t p = ap_random_permute(&s, sizes[k], sizes[k] - 1 - i);
            CHECK(p >= 0 && p < sizes[k]);
        }
}

/* All n! orders about equally often over many epochs: chi-square against its 5-sigma bound. */
static void test_all_orders_of_small_sets_are_equally_likely(void) {
    const int factorial[] = {1, 1, 2, 6, 24, 120};
    for (int n = 2; n <= 5; n++) {
        enum { EPOCHS = 24000 };
        int count[3125] = {0}, orders = factorial[n];
        for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
            ap_random s = ap_random_stream(13, AP_RANDOM_SHUFFLE, epoch, 0);
            int64_t code = 0;
            for (int i = 0; i < n; i++) code = code * n + ap_random_permute(&s, n, i);
            count[code]++;
        }
        double expected = (double)EPOCHS / orders, chi = 0;
        int seen = 0;
        for (int i = 0; i < 3125; i++) {
            seen += count[i] > 0;
            if (count[i] > 0) chi += (count[i] - expected) * (count[i] - expected) / expected;
        }
        CHECK_INT(seen, orders);
        CHECK(chi < orders - 1 + 5 * sqrt(2.0 * (orders - 1)) + 5);
    }
}

/* Where example 0 goes, and how far neighbours part, over epochs of a larger set. */
static void test_positions_are_uniform(void) {
    enum { N = 1000, EPOCHS = 20000, CELLS = 20 };
    int place[CELLS] = {0}, distance[CELLS] = {0};
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
        ap_random s = ap_random_stream(17, AP_RANDOM_SHUFFLE, epoch, 0);
        int64_t a = ap_random_permute(&s, N, 0), b = ap_random_permute(&s, N, 1);
        place[a * CELLS / N]++;
        distance[(b - a + N) % N * CELLS / N]++;
    }
    double expected = (double)EPOCHS / CELLS, chi[2] = {0, 0};
    for (int i = 0; i < CELLS; i++) {
        chi[0] += (place[i] - expected) * (place[i] - expected) / expected;
        chi[1] += (distance[i] - expected) * (distance[i] - expected) / expected;
    }
    CHECK(chi[0] < CELLS - 1 + 5 * sqrt(2.0 * (CELLS - 1)));
    CHECK(chi[1] < CELLS - 1 + 5 * sqrt(2.0 * (CELLS - 1)));
}

/* The permutation, written out once more for an n = a b that needs no walk: a = ceil(sqrt n), b = ceil(n / a). */
static void check_permutation(int64_t a, int64_t b, uint32_t rounds) {
    ap_random s = ap_random_stream(21, AP_RANDOM_SHUFFLE, 6, 0);
    for (int64_t i = 0; i < a * b; i++) {
        uint64_t half[2] = {(uint64_t)(i / b), (uint64_t)(i % b)};
        for (uint32_t round = 0; round < rounds; round++) {
            uint32_t out[4], to = round % 2;
            ap_philox4x32((uint32_t[]){(uint32_t)half[1 - to], (232 + round) << 24, 6, 2u << 24}, (uint32_t[]){21, 0},
                          out);
            uint64_t m = (uint64_t)(to ? b : a);
            half[to] = (half[to] + ((uint64_t)out[1] << 32 | out[0]) % m) % m;
        }
        CHECK_INT(ap_random_permute(&s, a * b, i), half[0] * (uint64_t)b + half[1]);
    }
}

static void test_mapping_of_the_permutation(void) {
    check_permutation(4, 3, 24);
    check_permutation(32, 31, 24);
    check_permutation(33, 32, 8);
}

AP_TEST_MAIN(test_published_vectors, test_mapping_is_the_documented_one, test_every_part_of_the_name_matters,
             test_uniform_range_and_exactness, test_fills_do_not_depend_on_cuts,
             test_normal_is_box_muller_on_its_elements, test_moments, test_permutation_is_a_bijection,
             test_permutation_of_the_largest_set, test_all_orders_of_small_sets_are_equally_likely,
             test_positions_are_uniform, test_mapping_of_the_permutation)
