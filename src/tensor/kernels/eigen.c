#include "tensor/kernels/eigen.h"
#include "tensor/kernels/blocking.h"
#include "tensor/kernels/kernel_set.h"
#include <math.h>
#include <string.h>

enum {
    STRIP = AP_EIGEN_STRIP,
    PAD = 4,    /* rows of zeros before and behind a strip: four sweeps that end at different rows step on them */
    FUSED = 4,  /* sweeps in one pass of eigen_rotate */
    GROUPS = 8, /* passes over a strip while it is in cache */
};

typedef struct solver {
    int64_t n, strips, stride; /* doubles from a strip to the next */
    double *a, *strip, *rotations;
    double *d, *e;           /* the tridiagonal matrix: e[i] between i and i + 1 */
    double *tau, *v, *w, *p; /* reflection i is I - tau[i] u u', u in front of a[i][i] */
    int sweeps;              /* kept in rotations[GROUPS][n + FUSED][FUSED][2] */
    int64_t first[GROUPS], last[GROUPS];
    const ap_kernel_set *kernels;
} solver;

static bool allocate(solver *s) {
    size_t n = (size_t)s->n, strips = (size_t)(s->strips * s->stride);
    size_t rotations = (size_t)GROUPS * FUSED * 2 * (n + FUSED), vectors = 6 * (n + 1);
    double *m = (double *)(void *)ap_scratch(AP_SCRATCH_EIGEN, 2 * (strips + rotations + vectors));
    if (!m) return false;
    memset(m, 0, strips * sizeof *m);
    s->strip = m;
    s->rotations = m + strips;
    double *next = s->rotations + rotations;
    double **const vector[] = {&s->d, &s->e, &s->tau, &s->v, &s->w, &s->p};
    for (int i = 0; i < 6; i++, next += n + 1) *vector[i] = next;
    memset(s->d, 0, vectors * sizeof *m);
    return true;
}

static double *strip_of(const solver *s, int64_t index) {
    return s->strip + index * s->stride + PAD * STRIP;
}

/* ---- a = Q T Q' */

/* Makes a[i][0 .. i-1] the vector u of the reflection that leaves only its last element, e[i-1]; tau 0: none. */
static void make_reflection(solver *s, int64_t i) {
    double *u = s->a + i * s->n, kept = u[i - 1], squares = 0;
    for (int64_t j = 0; j < i - 1; j++) squares += u[j] * u[j];
    s->e[i - 1] = kept;
    s->tau[i] = 0;
    if (squares > 0) {
        double norm = sqrt(squares + kept * kept), left = kept > 0 ? -norm : norm;
        s->e[i - 1] = left;
        u[i - 1] = kept - left;
        s->tau[i] = 1 / (left * (left - kept));
    } else {
        memset(u, 0, (size_t)i * sizeof *u);
    }
}

/* From the last row up. The rank-2 update of a step, -v w' - w v', is made in the pass over the matrix that multiplies
 * it with the next u: one pass a step. */
static void reduce_to_tridiagonal(solver *s) {
    const int64_t n = s->n;
    for (int64_t i = n - 1; i >= 1; i--) {
        double *u = s->a + i * n;
        for (int64_t j = 0; j <= i; j++) u[j] = (u[j] - s->v[i] * s->w[j]) - s->w[i] * s->v[j];
        s->d[i] = u[i];
        make_reflection(s, i);
        s->kernels->eigen_update(i, n, s->a, s->v, s->w, u, s->p);
        double product = 0;
        for (int64_t j = 0; j < i; j++) product += u[j] * (s->p[j] *= s->tau[i]);
        double share = 0.5 * s->tau[i] * product;
        for (int64_t j = 0; j < i; j++) s->v[j] = u[j], s->w[j] = s->p[j] - share * u[j];
    }
    s->d[0] = s->a[0];
}

/* One strip of Q = H(n-1) ... H(2): the identity's, then the reflections that reach its columns. */
static void make_strip(int64_t index, void *context) {
    const solver *s = context;
    const int64_t n = s->n, column = index * STRIP, first = ap_larger(2, column + 1);
    double *strip = strip_of(s, index), w[STRIP] = {0};
    for (int64_t j = 0; j < STRIP && column + j < n; j++) {
        strip[(column + j) * STRIP + j] = 1;
        if (first < n && column + j < first) w[j] = s->a[first * n + column + j];
    }
    for (int64_t i = first; i < n; i++) {
        const double *u = s->a + i * n, *next = i + 1 < n ? u + n : s->v; /* v: zeros by now */
        s->kernels->eigen_reflect(i, s->tau[i], u, next, strip, w);
    }
}

/* Strips of Q become strips of Q', by way of a. */
static void transpose_strips(const solver *s) {
    const int64_t n = s->n;
    for (int64_t c = 0; c < n; c++) {
        const double *column = strip_of(s, c / STRIP) + c % STRIP;
        for (int64_t r = 0; r < n; r++) s->a[c * n + r] = column[r * STRIP];
    }
    for (int64_t c = 0; c < n; c += STRIP) {
        double *strip = strip_of(s, c / STRIP);
        for (int64_t r = 0; r < n; r++)
            memcpy(strip + r * STRIP, s->a + r * n + c, (size_t)ap_smaller(STRIP, n - c) * sizeof *strip);
    }
}

/* ---- T = Z W Z', Z' Q' in place of Q' */

static void rotate_strip(int64_t index, void *context) {
    const solver *s = context;
    for (int g = 0; g * FUSED < s->sweeps; g++)
        s->kernels->eigen_rotate(s->first[g] - (FUSED - 1), s->last[g],
                                 s->rotations + (size_t)(g * (s->n + FUSED) + FUSED - 1) * FUSED * 2,
                                 strip_of(s, index));
}

static void apply_sweeps(solver *s) {
    if (s->sweeps > 0) ap_kernels_for(ap_kernels_threads(), s->strips, rotate_strip, s);
    s->sweeps = 0;
}

/* Where the next sweep, over rows first ... last + 1, keeps its rotations: that of rows i and i + 1 at [i * step]. A
 * sweep follows the one before it a row behind, so in a group sweep k's lies k places earlier. */
enum { ROTATION_STEP = FUSED * 2 };
static double *next_sweep(solver *s, int64_t first, int64_t last) {
    if (s->sweeps == GROUPS * FUSED) apply_sweeps(s);
    int g = s->sweeps / FUSED, k = s->sweeps % FUSED;
    double *group = s->rotations + (size_t)(g * (s->n + FUSED)) * ROTATION_STEP;
    if (k == 0) {
        for (int64_t i = 0; i < (s->n + FUSED) * FUSED; i++) group[2 * i] = 1, group[2 * i + 1] = 0;
        s->first[g] = first;
        s->last[g] = last;
    }
    s->first[g] = ap_smaller(s->first[g], first);
    s->last[g] = ap_larger(s->last[g], last);
    s->sweeps++;
    return group + (FUSED - 1 - k) * ROTATION_STEP + 2 * k;
}

/* sqrt(f^2 + g^2); the matrix is scaled, so only underflow is to be seen to. */
static double length(double f, double g) {
    if (fabs(f) < 0x1p-460 && fabs(g) < 0x1p-460)
        return 0x1p-500 * sqrt(f * 0x1p500 * (f * 0x1p500) + g * 0x1p500 * (g * 0x1p500));
    return sqrt(f * f + g * g);
}

/* One implicit QL sweep over rows l ... m, whose e[m] is 0. */
static void sweep(solver *s, int64_t l, int64_t m) {
    double *d = s->d, *e = s->e, *rotation = next_sweep(s, l, m - 1);
    double g = (d[l + 1] - d[l]) / (2 * e[l]), r = length(g, 1), sine = 1, cosine = 1, p = 0;
    g = d[m] - d[l] + e[l] / (g + (g < 0 ? -r : r));
    for (int64_t i = m - 1; i >= l; i--) {
        double f = sine * e[i], b = cosine * e[i];
        r = length(f, g);
        e[i + 1] = r;
        if (r == 0) { /* the matrix falls apart here */
            d[i + 1] -= p;
            e[m] = 0;
            return;
        }
        sine = f / r;
        cosine = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * sine + 2 * cosine * b;
        p = sine * r;
        d[i + 1] = g + p;
        g = cosine * r - b;
        rotation[i * ROTATION_STEP] = cosine;
        rotation[i * ROTATION_STEP + 1] = sine;
    }
    d[l] -= p;
    e[l] = g;
    e[m] = 0;
}

/* An e of at most 2^-53 times the norm is taken for 0: less than the reduction's own rounding. */
static bool diagonalise(solver *s) {
    const int64_t n = s->n;
    double norm = 0;
    for (int64_t i = 0; i < n; i++) norm = fmax(norm, fabs(s->d[i]) + fabs(s->e[i]) + (i > 0 ? fabs(s->e[i - 1]) : 0));
    int64_t left = 30 * n;
    for (int64_t l = 0; l < n; l++)
        for (;;) {
            int64_t m = l;
            while (m < n - 1 && fabs(s->e[m]) > 0x1p-53 * norm) m++;
            if (m < n - 1) s->e[m] = 0;
            if (m == l) break;
            if (left-- == 0) return false;
            sweep(s, l, m);
        }
    apply_sweeps(s);
    return true;
}

/* ---- the whole */

static bool all_finite(int64_t n, const double *a) {
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0; c <= r; c++)
            if (!isfinite(a[r * n + c])) return false;
    return true;
}

/* By a power of two, so that the largest element is about 1: squares neither overflow nor vanish. */
static int scale_matrix(int64_t n, double *a) {
    double largest = 0;
    int exponent = 0;
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0; c <= r; c++) largest = fmax(largest, fabs(a[r * n + c]));
    frexp(largest, &exponent);
    for (int64_t r = 0; exponent != 0 && r < n; r++)
        for (int64_t c = 0; c <= r; c++) a[r * n + c] = ldexp(a[r * n + c], -exponent);
    return exponent;
}

/* By rising eigenvalue, equal ones in the order in which they were found; w has the order first. */
static void hand_out(const solver *s, int exponent, double *w) {
    const int64_t n = s->n;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = i;
        for (; at > 0 && s->d[(int64_t)w[at - 1]] > s->d[i]; at--) w[at] = w[at - 1];
        w[at] = (double)i;
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t from = (int64_t)w[i];
        for (int64_t c = 0; c < n; c += STRIP)
            memcpy(s->a + i * n + c, strip_of(s, c / STRIP) + from * STRIP,
                   (size_t)ap_smaller(STRIP, n - c) * sizeof *w);
        w[i] = ldexp(s->d[from], exponent);
    }
}

bool ap_symmetric_eigen(int n, double *a, double *w) {
    if (n < 1) return n == 0;
    if (!all_finite(n, a)) return false;
    solver s = {.n = n, .strips = ap_quotient_up(n, STRIP), .a = a, .kernels = ap_kernels_current()};
    s.stride = (n + 2 * PAD) * STRIP;
    if (!allocate(&s)) return false;
    int exponent = scale_matrix(n, a);
    reduce_to_tridiagonal(&s);
    memset(s.v, 0, (size_t)n * sizeof *s.v);
    ap_kernels_for(ap_kernels_threads(), s.strips, make_strip, &s);
    transpose_strips(&s);
    if (!diagonalise(&s)) return false;
    hand_out(&s, exponent, w);
    return true;
}

/* ---- composing */

typedef struct composition {
    int64_t n, strips;
    const double *w;
    double *strip;  /* [strips][n][STRIP] */
    double *scaled; /* the same times w */
    const ap_kernel_set *kernels;
    float *out;
} composition;

static void compose_rows(int64_t index, void *context) {
    const composition *k = context;
    const int64_t n = k->n, rows = index * STRIP;
    double tile[STRIP * STRIP];
    for (int64_t s = 0; s <= index; s++) {
        const int64_t columns = s * STRIP;
        k->kernels->eigen_compose(n, k->scaled + index * n * STRIP, k->strip + s * n * STRIP, tile);
        for (int64_t r = rows; r < n && r < rows + STRIP; r++)
            for (int64_t c = columns; c <= r && c < columns + STRIP; c++)
                k->out[r * n + c] = k->out[c * n + r] = (float)tile[(r - rows) * STRIP + c - columns];
    }
}

bool ap_symmetric_compose(int n_, const double *v, const double *w, float *out) {
    const int64_t n = n_, strips = ap_quotient_up(n, STRIP), size = strips * n * STRIP;
    if (n < 1) return n == 0;
    composition k = {.n = n, .strips = strips, .w = w, .kernels = ap_kernels_current(), .out = out};
    k.strip = (double *)(void *)ap_scratch(AP_SCRATCH_EIGEN, (size_t)(4 * size));
    if (!k.strip) return false;
    k.scaled = k.strip + size;
    for (int64_t s = 0; s < strips; s++)
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < STRIP; j++) {
                double x = s * STRIP + j < n ? v[i * n + s * STRIP + j] : 0;
                k.strip[(s * n + i) * STRIP + j] = x;
                k.scaled[(s * n + i) * STRIP + j] = w[i] * x;
            }
    ap_kernels_for(ap_kernels_threads(), strips, compose_rows, &k);
    return true;
}
