/* The symmetric eigensolver: bits against its written order, residual and orthogonality on kind and unkind spectra,
 * eigenvalues against LAPACK's and against closed forms, the same bits on every instruction set and with any number of
 * threads. */
#include "check.h"
#include "tensor/kernels/eigen.h"
#include "tensor/kernels/isa.h"
#include <stdbool.h>
#include <stdint.h>

void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w, double *work,
             const int *lwork, int *iwork, const int *liwork, int *info, size_t jobz_length, size_t uplo_length);

static uint32_t state = 1;
static double random_value(void) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return (double)state * 0x1p-31 - 1;
}
static double *numbers(size_t n) {
    return calloc(n + 1, sizeof(double));
}
#define AT(a, i, j) (a)[(size_t)(i) * (size_t)n + (size_t)(j)]

/* ---- the written order, one rotation at a time */

static double lanes(int n, const double *x, const double *y) {
    double lane[8] = {0};
    for (int j = 0; j < n; j++) lane[j % 8] += x[j] * y[j];
    for (int half = 4; half; half /= 2)
        for (int j = 0; j < half; j++) lane[j] += lane[j + half];
    return lane[0];
}

/* x = (I - tau u u') x for every column of z, whose rows are n apart. */
static void twin_reflect(int n, int length, double tau, const double *u, double *z) {
    for (int c = 0; c < n; c++) {
        double w = 0;
        for (int r = 0; r < length; r++) w += u[r] * AT(z, r, c);
        w *= tau;
        for (int r = 0; r < length; r++) AT(z, r, c) -= u[r] * w;
    }
}

static void twin_tridiagonal(int n, double *a, double *d, double *e, double *z) {
    double *tau = numbers((size_t)n), *p = numbers((size_t)n);
    for (int i = n - 1; i >= 1; i--) {
        double *u = &AT(a, i, 0), squares = 0, kept = u[i - 1], product = 0;
        d[i] = u[i], e[i - 1] = kept;
        for (int j = 0; j < i - 1; j++) squares += u[j] * u[j];
        if (squares > 0) {
            double norm = sqrt(squares + kept * kept);
            e[i - 1] = kept > 0 ? -norm : norm;
            u[i - 1] = kept - e[i - 1];
            tau[i] = 1 / (e[i - 1] * (e[i - 1] - kept));
        } else {
            memset(u, 0, (size_t)i * sizeof *u);
        }
        for (int r = 0; r < i; r++) {
            for (int c = 0; c < r; c++) p[c] += AT(a, r, c) * u[r];
            p[r] = lanes(r + 1, &AT(a, r, 0), u);
        }
        for (int j = 0; j < i; j++) product += u[j] * (p[j] *= tau[i]);
        for (int j = 0; j < i; j++) p[j] -= 0.5 * tau[i] * product * u[j];
        for (int r = 0; r < i; r++)
            for (int c = 0; c <= r; c++) AT(a, r, c) = (AT(a, r, c) - u[r] * p[c]) - p[r] * u[c];
    }
    d[0] = a[0];
    for (int i = 0; i < n; i++) AT(z, i, i) = 1;
    for (int i = 2; i < n; i++) twin_reflect(n, i, tau[i], &AT(a, i, 0), z);
    free(tau);
    free(p);
}

static void twin_sweep(int n, int l, int m, double *d, double *e, double *z) {
    double g = (d[l + 1] - d[l]) / (2 * e[l]), r = sqrt(g * g + 1), s = 1, c = 1, p = 0;
    g = d[m] - d[l] + e[l] / (g + (g < 0 ? -r : r));
    for (int i = m - 1; i >= l; i--) {
        double f = s * e[i], b = c * e[i];
        r = e[i + 1] = sqrt(f * f + g * g);
        s = f / r, c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2 * c * b;
        d[i + 1] = g + (p = s * r);
        g = c * r - b;
        for (int k = 0; k < n; k++) { /* columns i and i + 1 */
            double x = AT(z, k, i), y = AT(z, k, i + 1);
            AT(z, k, i + 1) = s * x + c * y;
            AT(z, k, i) = c * x - s * y;
        }
    }
    d[l] -= p, e[l] = g, e[m] = 0;
}

/* For a matrix whose largest element is in [0.5, 1), so that it is not scaled. */
static void twin_eigen(int n, double *a, double *w) {
    double *e = numbers((size_t)n), *z = numbers((size_t)n * (size_t)n), *d = numbers((size_t)n), norm = 0;
    twin_tridiagonal(n, a, d, e, z);
    for (int i = 0; i < n; i++) norm = fmax(norm, fabs(d[i]) + fabs(e[i]) + (i > 0 ? fabs(e[i - 1]) : 0));
    for (int l = 0; l < n; l++)
        for (;;) {
            int m = l;
            while (m < n - 1 && fabs(e[m]) > 0x1p-53 * norm) m++;
            if (m < n - 1) e[m] = 0;
            if (m == l) break;
            twin_sweep(n, l, m, d, e, z);
        }
    for (int i = 0; i < n; i++) { /* rank of eigenvalue i */
        int at = 0;
        for (int j = 0; j < n; j++) at += d[j] < d[i] || (d[j] == d[i] && j < i);
        w[at] = d[i];
        for (int k = 0; k < n; k++) AT(a, at, k) = AT(z, k, i);
    }
    free(d);
    free(e);
    free(z);
}

/* ---- matrices */

typedef void maker(int n, double *a);

static void symmetrise(int n, double *a) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++) AT(a, j, i) = AT(a, i, j);
}
static void make_random(int n, double *a) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) AT(a, i, j) = random_value();
    a[0] = 0.75; /* the largest is in [0.5, 1) */
    for (int i = 0; i < n * n; i++) a[i] = fmin(fmax(a[i], -0.99), 0.99);
    symmetrise(n, a);
}
/* H ... H D H ... H with three random reflections. */
static void with_spectrum(int n, double *a, const double *d) {
    double *u = numbers((size_t)n), *p = numbers((size_t)n);
    memset(a, 0, (size_t)n * (size_t)n * sizeof *a);
    for (int i = 0; i < n; i++) AT(a, i, i) = d[i];
    for (int round = 0; round < 3; round++) {
        double squares = 0;
        for (int i = 0; i < n; i++) u[i] = random_value(), squares += u[i] * u[i];
        for (int side = 0; side < 2; side++) {
            for (int i = 0; i < n; i++) {
                p[i] = 0;
                for (int j = 0; j < n; j++) p[i] += AT(a, i, j) * u[j];
            }
            for (int i = 0; i < n; i++)
                for (int j = 0; j < n; j++) AT(a, i, j) -= 2 / squares * p[i] * u[j];
            for (int i = 0; i < n; i++)
                for (int j = 0; j < i; j++) {
                    double x = AT(a, i, j);
                    AT(a, i, j) = AT(a, j, i), AT(a, j, i) = x;
                }
        }
    }
    symmetrise(n, a);
    free(u);
    free(p);
}
static double pick(int kind, int i, int n) {
    switch (kind) {
    case 0: return pow(10, -16.0 * i / n);           /* graded over sixteen decades */
    case 1: return i < n / 2 ? 1 : 1e-8;             /* two clusters */
    case 2: return i == 0 ? 1 : 1e-12 * (1 + i % 3); /* one that stands out */
    case 3: return 1 + 1e-15 * i;                    /* all but equal */
    case 4: return i % 2 ? -1.0 : 1.0;               /* both signs, degenerate */
    case 5: return i < n / 3 ? 1 + 0.1 * i : 0;      /* singular */
    default: return pow(10, 150 - 300.0 * i / n) * (i % 2 ? 1 : -1);
    }
}
static void make_spectrum(int kind, int n, double *a) {
    double *d = numbers((size_t)n);
    for (int i = 0; i < n; i++) d[i] = pick(kind, i, n);
    with_spectrum(n, a, d);
    free(d);
}
static void make_graded(int n, double *a) {
    make_spectrum(0, n, a);
}
static void make_clusters(int n, double *a) {
    make_spectrum(1, n, a);
}
static void make_one_large(int n, double *a) {
    make_spectrum(2, n, a);
}
static void make_nearly_identity(int n, double *a) {
    make_spectrum(3, n, a);
}
static void make_signs(int n, double *a) {
    make_spectrum(4, n, a);
}
static void make_singular(int n, double *a) {
    make_spectrum(5, n, a);
}
static void make_huge_and_tiny(int n, double *a) {
    make_spectrum(6, n, a);
}
static void make_zero(int n, double *a) {
    memset(a, 0, (size_t)n * (size_t)n * sizeof *a);
}
static void make_identity(int n, double *a) {
    make_zero(n, a);
    for (int i = 0; i < n; i++) AT(a, i, i) = 3;
}
/* Shampoo's statistics of a layer that has seen few gradients, in float32: rank 5, and rounding errors. */
static void make_gram(int n, double *a) {
    float *x = calloc((size_t)n * 5, sizeof *x);
    for (int i = 0; i < 5 * n; i++) x[i] = (float)random_value() * 1e-3F;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            float sum = 0;
            for (int k = 0; k < 5; k++) sum += x[i * 5 + k] * x[j * 5 + k];
            AT(a, i, j) = (double)sum;
        }
    free(x);
}
static void make_subnormal(int n, double *a) {
    for (int i = 0; i < n * n; i++) a[i] = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) AT(a, i, j) = random_value() * 0x1p-1060;
    symmetrise(n, a);
}
static void make_near_overflow(int n, double *a) {
    make_random(n, a);
    for (int i = 0; i < n * n; i++) a[i] *= 0x1p1015;
}
/* Wilkinson's: pairs of eigenvalues that agree to many digits; graded the other way round; an arrow. */
static void make_wilkinson(int n, double *a) {
    make_zero(n, a);
    for (int i = 0; i < n; i++) AT(a, i, i) = fabs(i - (n - 1) / 2.0);
    for (int i = 1; i < n; i++) AT(a, i, i - 1) = AT(a, i - 1, i) = 1;
}
static void make_scaled_rows(int n, double *a) {
    make_random(n, a);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) AT(a, i, j) *= pow(10, -8.0 * (i + j) / n);
}
static void make_arrow(int n, double *a) {
    make_zero(n, a);
    for (int i = 0; i < n; i++) AT(a, i, i) = i / 4 * 0.1, AT(a, 0, i) = AT(a, i, 0) = i % 3 ? 1e-9 : 0.5;
}
/* Blocks that are not coupled. */
static void make_blocks(int n, double *a) {
    make_random(n, a);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            if (i / 5 != j / 5) AT(a, i, j) = 0;
}
static maker *const makers[] = {make_random, make_graded,    make_clusters,      make_one_large, make_nearly_identity,
                                make_signs,  make_singular,  make_huge_and_tiny, make_zero,      make_identity,
                                make_gram,   make_subnormal, make_near_overflow, make_wilkinson, make_scaled_rows,
                                make_arrow,  make_blocks};
enum { MAKERS = sizeof makers / sizeof *makers };

/* ---- what an eigendecomposition must be */

static void lapack(int n, double *a, double *w) {
    int ask = -1, whole, info;
    double size;
    dsyevd_("N", "U", &n, a, &n, w, &size, &ask, &whole, &ask, &info, 1, 1);
    int length = (int)size;
    double *work = malloc((size_t)length * sizeof *work);
    int *integers = malloc((size_t)whole * sizeof *integers);
    dsyevd_("N", "U", &n, a, &n, w, work, &length, integers, &whole, &info, 1, 1);
    CHECK_INT(info, 0);
    free(work);
    free(integers);
}

static double norm_of(int n, const double *a) {
    double largest = 0;
    for (int i = 0; i < n; i++) {
        double sum = 0;
        for (int j = 0; j < n; j++) sum += fabs(AT(a, i, j));
        largest = fmax(largest, sum);
    }
    return largest;
}

/* The largest |A v - w v| over the norm, and |V V' - I|, both in units of 2^-53; all divided by the norm first. */
static void check_decomposition(const char *what, int n, const double *a, const double *v, const double *w) {
    double norm = norm_of(n, a), scale = norm > 0 ? 1 / norm : 1, residual = 0, orthogonal = 0;
    if (!(scale < INFINITY)) scale = 0x1p1000; /* subnormal: their spacing counts instead */
    for (int i = 0; i < n; i++)
        for (int r = 0; r < n; r++) {
            double sum = 0, product = 0;
            for (int j = 0; j < n; j++) sum += AT(a, r, j) * scale * AT(v, i, j), product += AT(v, i, j) * AT(v, r, j);
            residual = fmax(residual, fabs(sum - w[i] * scale * AT(v, i, r)));
            orthogonal = fmax(orthogonal, fabs(product - (i == r)));
        }
    double allowed = (20 + 8 * sqrt(n)) * 0x1p-53;
    if (!(residual <= allowed && orthogonal <= allowed)) {
        printf("%s, n = %d: residual %.3g, orthogonality %.3g (allowed %.3g)\n", what, n, residual, orthogonal,
               allowed);
        ap_check_failures++;
    }
}

static void check_matrix(const char *what, int n, const double *a) {
    size_t size = (size_t)n * (size_t)n;
    double *v = numbers(size), *copy = numbers(size), *w = numbers((size_t)n), *reference = numbers((size_t)n);
    memcpy(v, a, size * sizeof *a);
    memcpy(copy, a, size * sizeof *a);
    for (int i = 0; i < n; i++) /* the upper triangle is not read */
        for (int j = i + 1; j < n; j++) AT(v, i, j) = NAN;
    CHECK(ap_symmetric_eigen(n, v, w));
    check_decomposition(what, n, a, v, w);
    lapack(n, copy, reference);
    double norm = norm_of(n, a);
    for (int i = 0; i < n; i++) {
        CHECK_NEAR(w[i], reference[i], (20 + 4 * sqrt(n)) * 0x1p-53 * norm + 0x1p-1070);
        CHECK(i == 0 || w[i] >= w[i - 1]);
    }
    free(v);
    free(copy);
    free(w);
    free(reference);
}

static void test_spectra(void) {
    static const int sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 130};
    char what[40];
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int k = 0; k < MAKERS; k++) {
            int n = sizes[s];
            double *a = numbers((size_t)n * (size_t)n);
            makers[k](n, a);
            snprintf(what, sizeof what, "matrix %d", k);
            check_matrix(what, n, a);
            free(a);
        }
}

static void test_large(void) {
    static maker *const kinds[] = {make_random, make_gram, make_graded};
    static const int sizes[] = {1024, 600, 301};
    for (int k = 0; k < 3; k++) {
        double *a = numbers((size_t)sizes[k] * (size_t)sizes[k]);
        kinds[k](sizes[k], a);
        check_matrix("large", sizes[k], a);
        free(a);
    }
}

/* The second difference: 2 - 2 cos(k pi / (n + 1)), eigenvectors sin(j k pi / (n + 1)). */
static void test_second_difference(void) {
    enum { n = 50 };
    double a[n * n] = {0}, w[n];
    for (int i = 0; i < n; i++) {
        AT(a, i, i) = 2;
        if (i > 0) AT(a, i, i - 1) = AT(a, i - 1, i) = -1;
    }
    CHECK(ap_symmetric_eigen(n, a, w));
    for (int k = 1; k <= n; k++) {
        double angle = k * 3.14159265358979323846 / (n + 1), sign = AT(a, k - 1, 0) > 0 ? 1 : -1;
        CHECK_NEAR(w[k - 1], 2 - 2 * cos(angle), 1e-14);
        for (int j = 1; j <= n; j++)
            CHECK_NEAR(sign * AT(a, k - 1, j - 1), sqrt(2.0 / (n + 1)) * sin(j * angle), 1e-12);
    }
}

/* ---- bits */

static void test_bits_of_the_written_order(void) {
    static const int sizes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17, 20, 33, 47, 64, 65, 90};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int n = sizes[i];
        size_t size = (size_t)n * (size_t)n;
        double *a = numbers(size), *b = numbers(size), *w = numbers((size_t)n), *twin = numbers((size_t)n);
        make_random(n, a);
        memcpy(b, a, size * sizeof *a);
        CHECK(ap_symmetric_eigen(n, a, w));
        twin_eigen(n, b, twin);
        int64_t different = 0;
        for (size_t j = 0; j < size; j++) different += a[j] != b[j]; /* -0 is 0 */
        for (int j = 0; j < n; j++) different += w[j] != twin[j];
        if (different) printf("n = %d: %lld numbers differ from the written order\n", n, (long long)different);
        CHECK_INT(different, 0);
        free(a);
        free(b);
        free(w);
        free(twin);
    }
}

static void test_instruction_sets_and_threads(void) {
    static const int sizes[] = {1, 2, 3, 6, 13, 16, 29, 32, 77, 130, 200};
    ap_isa before = ap_isa_current();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int k = 0; k < MAKERS; k++) {
            int n = sizes[i];
            size_t size = (size_t)n * (size_t)n;
            double *a = numbers(size), *first = numbers(size), *b = numbers(size), *w = numbers((size_t)n),
                   *v = numbers((size_t)n);
            makers[k](n, a);
            memcpy(first, a, size * sizeof *a);
            CHECK(ap_isa_force(AP_ISA_PORTABLE) && ap_symmetric_eigen(n, first, v));
            for (ap_isa isa = AP_ISA_PORTABLE; isa < AP_ISA_COUNT; isa++)
                for (int threads = 1; threads <= 3; threads += 2) {
                    if (!ap_isa_force(isa)) continue;
                    ap_kernels_set_threads(threads);
                    memcpy(b, a, size * sizeof *a);
                    CHECK(ap_symmetric_eigen(n, b, w));
                    if (memcmp(b, first, size * sizeof *b) || memcmp(w, v, (size_t)n * sizeof *w)) {
                        printf("matrix %d, n = %d: %s, %d threads: other bits\n", k, n, ap_isa_name(isa), threads);
                        ap_check_failures++;
                    }
                }
            free(a);
            free(first);
            free(b);
            free(w);
            free(v);
        }
    ap_kernels_set_threads(1);
    ap_isa_force(before);
}

/* sum_i w[i] v_i v_i', element by element as eigen.h says, on every path. */
static void test_compose(void) {
    static const int sizes[] = {0, 1, 2, 15, 16, 17, 33, 70};
    ap_isa before = ap_isa_current();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int n = sizes[i];
        double *v = numbers((size_t)n * (size_t)n), *w = numbers((size_t)n);
        float *out = calloc((size_t)n * (size_t)n + 1, sizeof *out);
        for (int j = 0; j < n * n; j++) v[j] = random_value();
        for (int j = 0; j < n; j++) w[j] = ldexp(random_value(), j % 40);
        for (ap_isa isa = AP_ISA_PORTABLE; isa < AP_ISA_COUNT; isa++)
            for (int threads = 1; threads <= 2; threads++) {
                if (!ap_isa_force(isa)) continue;
                ap_kernels_set_threads(threads);
                CHECK(ap_symmetric_compose(n, v, w, out));
                int64_t different = 0;
                for (int r = 0; r < n; r++)
                    for (int c = 0; c < n; c++) {
                        double sum = 0;
                        int low = r < c ? r : c, high = r < c ? c : r;
                        for (int k = 0; k < n; k++) sum += w[k] * AT(v, k, high) * AT(v, k, low);
                        different += AT(out, r, c) != (float)sum;
                    }
                CHECK_INT(different, 0);
            }
        free(v);
        free(w);
        free(out);
    }
    ap_kernels_set_threads(1);
    ap_isa_force(before);
}

static void test_what_is_refused(void) {
    double a[9] = {1, 0, 0, 2, 3, 0, 4, 5, 6}, w[3];
    CHECK(ap_symmetric_eigen(0, a, w));
    CHECK(!ap_symmetric_eigen(-1, a, w));
    a[3] = NAN;
    CHECK(!ap_symmetric_eigen(3, a, w));
    a[3] = INFINITY;
    CHECK(!ap_symmetric_eigen(3, a, w));
    a[3] = 2, a[1] = NAN; /* above the diagonal */
    CHECK(ap_symmetric_eigen(3, a, w));
}

AP_TEST_MAIN(test_spectra, test_large, test_second_difference, test_bits_of_the_written_order,
             test_instruction_sets_and_threads, test_compose, test_what_is_refused)
