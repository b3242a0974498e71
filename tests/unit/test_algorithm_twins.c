/* Algorithms without a recorded trajectory against twins: their equations once more, in double, one loop an equation,
 * with an eigensolver of its own (Jacobi's). Also the rules whose recording leaves something out. */
#include "algorithms/algorithms.h"
#include "algorithms/blocks.h"
#include "algorithms/schedule.h"
#include "check.h"
#include "submission/solo_host.h"
#include "tuning/search_space.h"

/* ---- a problem: one matrix and one vector, gradient 0.3 w + noise */

enum { MOST = 80 * 60 };
typedef struct tensors {
    int rows, columns; /* parameter 0; parameter 1 is a vector of `columns` */
} tensors;
static int size_of(const tensors *q, int p) {
    return p == 0 ? q->rows * q->columns : q->columns;
}
static double noise(int p, int64_t i, int64_t step) {
    uint64_t x = (uint64_t)(i + 1) * 0x9E3779B97F4A7C15u ^ (uint64_t)(step + 7) * 0xBF58476D1CE4E5B9u ^ (uint64_t)p;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return (double)((x ^ x >> 31) >> 40) / 0x1p24 - 0.5;
}
static double start_of(int p, int64_t i) {
    return noise(p, i, 1000);
}
static double gradient_at(int p, int64_t i, int64_t step, double w) {
    return 0.3 * w + noise(p, i, step);
}

static int64_t batches; /* LAWA draws several a step: the noise goes by gradients taken */
static double loss(void *context, int64_t step, float *const *value, float *const *gradient) {
    const tensors *q = context;
    (void)step;
    for (int p = 0; p < 2; p++)
        for (int i = 0; i < size_of(q, p); i++) gradient[p][i] = (float)gradient_at(p, i, batches, (double)value[p][i]);
    batches++;
    return 1;
}

static ap_solo *solo_of(const char *name, tensors *q, const ap_point *point, const ap_submission **algorithm) {
    static int64_t shape[2][2];
    static ap_param_info infos[2];
    static ap_workload_info workload;
    static float start[2][MOST];
    const float *initial[2] = {start[0], start[1]};
    shape[0][0] = q->rows, shape[0][1] = shape[1][0] = q->columns;
    infos[0] = (ap_param_info){.name = "matrix", .rank = 2, .shape = shape[0], .size = size_of(q, 0)};
    infos[1] =
        (ap_param_info){.name = "vector", .type = AP_PARAM_BIAS, .rank = 1, .shape = shape[1], .size = size_of(q, 1)};
    workload = (ap_workload_info){
        .name = "twin", .step_hint = 10, .max_runtime_s = 20, .eval_period_s = 16, .params = 2, .param = infos};
    for (int p = 0; p < 2; p++)
        for (int i = 0; i < size_of(q, p); i++) start[p][i] = (float)start_of(p, i);
    ap_solo_problem problem = {.workload = &workload,
                               .initial = initial,
                               .loss = loss,
                               .context = q,
                               .hyperparameters = point->n,
                               .name = point->name,
                               .value = point->value,
                               .text = point->text};
    for (const ap_submission *const *a = ap_algorithms(); *a; a++)
        if (!strcmp((*a)->name, name)) *algorithm = *a;
    ap_solo *solo = NULL;
    ap_error error;
    batches = 0;
    CHECK_INT(ap_solo_create(&problem, &solo, &error), AP_OK);
    CHECK_INT(ap_solo_init(solo, *algorithm, &error), AP_OK);
    return solo;
}

static ap_point point_of(const char *json) {
    ap_point point = {0};
    ap_error error;
    CHECK_INT(ap_point_parse(json, "point", &point, &error), AP_OK);
    return point;
}

/* What a twin computes: one step of both tensors. */
typedef struct twin {
    tensors q;
    double w[2][MOST], g[2][MOST];
} twin;
static void twin_start(twin *t) {
    for (int p = 0; p < 2; p++)
        for (int i = 0; i < size_of(&t->q, p); i++) t->w[p][i] = (double)(float)start_of(p, i);
}
static void twin_gradient(twin *t, int64_t step) {
    for (int p = 0; p < 2; p++)
        for (int i = 0; i < size_of(&t->q, p); i++) t->g[p][i] = gradient_at(p, i, step, t->w[p][i]);
}
static void compare(const char *name, int step, const twin *t, const ap_solo *solo, double tolerance) {
    for (int p = 0; p < 2; p++) {
        double worst = 0;
        for (int i = 0; i < size_of(&t->q, p); i++)
            worst = fmax(worst, fabs((double)ap_solo_value(solo, p)[i] - t->w[p][i]));
        if (worst <= tolerance) continue;
        printf("%s, step %d: the %s is %.2e from its twin's (%.0e allowed)\n", name, step, p ? "vector" : "matrix",
               worst, tolerance);
        ap_check_failures++;
    }
}

/* ---- eigenvectors by Jacobi rotations: a = sum_i w[i] v_i v_i', v_i the rows of v, by rising w */

static void eigen(int n, const double *matrix, double *w, double *v) {
    static double a[MOST];
    memcpy(a, matrix, (size_t)(n * n) * sizeof *a);
    for (int i = 0; i < n * n; i++) v[i] = i % (n + 1) == 0;
    for (int sweep = 0; sweep < 30; sweep++)
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++) {
                if (fabs(a[p * n + q]) < 1e-300) continue;
                double theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
                double t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1));
                double c = 1 / sqrt(t * t + 1), s = t * c;
                for (int k = 0; k < n; k++) {
                    double x = a[k * n + p], y = a[k * n + q];
                    a[k * n + p] = c * x - s * y, a[k * n + q] = s * x + c * y;
                }
                for (int k = 0; k < n; k++) {
                    double x = a[p * n + k], y = a[q * n + k];
                    a[p * n + k] = c * x - s * y, a[q * n + k] = s * x + c * y;
                    x = v[p * n + k], y = v[q * n + k];
                    v[p * n + k] = c * x - s * y, v[q * n + k] = s * x + c * y;
                }
            }
    for (int i = 0; i < n; i++) w[i] = a[i * n + i];
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++)
            if (w[j] < w[i]) {
                double x = w[i];
                w[i] = w[j], w[j] = x;
                for (int k = 0; k < n; k++) x = v[i * n + k], v[i * n + k] = v[j * n + k], v[j * n + k] = x;
            }
}

static void matrix_power(int n, const double *a, double exponent, double relative_epsilon, double *out) {
    static double w[MOST], v[MOST];
    eigen(n, a, w, v);
    double epsilon = relative_epsilon * w[n - 1];
    for (int r = 0; r < n; r++)
        for (int c = 0; c < n; c++) {
            out[r * n + c] = 0;
            for (int i = 0; i < n; i++) out[r * n + c] += pow(w[i] + epsilon, exponent) * v[i * n + r] * v[i * n + c];
        }
}

/* ---- Shampoo (JAX) and CASPR: blocks of at most EDGE, roots every 3 steps, used from step 4 */

enum { EDGE = 48, EVERY = 3, FIRST = 4, BLOCKS = 4 };
typedef struct kronecker {
    int r0, c0, rows, columns;
    double left[EDGE * EDGE], right[EDGE * EDGE], p[EDGE * EDGE], q[EDGE * EDGE];
} kronecker;

static void accumulate(const twin *t, kronecker *k, double beta) {
    for (int i = 0; i < k->rows; i++)
        for (int j = 0; j < k->rows; j++) {
            double sum = 0;
            for (int c = 0; c < k->columns; c++)
                sum +=
                    t->g[0][(k->r0 + i) * t->q.columns + k->c0 + c] * t->g[0][(k->r0 + j) * t->q.columns + k->c0 + c];
            k->left[i * k->rows + j] = beta * k->left[i * k->rows + j] + (1 - beta) * sum;
        }
    for (int i = 0; i < k->columns; i++)
        for (int j = 0; j < k->columns; j++) {
            double sum = 0;
            for (int r = 0; r < k->rows; r++)
                sum +=
                    t->g[0][(k->r0 + r) * t->q.columns + k->c0 + i] * t->g[0][(k->r0 + r) * t->q.columns + k->c0 + j];
            k->right[i * k->columns + j] = beta * k->right[i * k->columns + j] + (1 - beta) * sum;
        }
}

/* y = P x (left) or x Q (right) for a block x[rows][columns]. */
static void apply(const kronecker *k, bool left, const double *x, double *y) {
    for (int i = 0; i < k->rows; i++)
        for (int j = 0; j < k->columns; j++) {
            double sum = 0;
            for (int l = 0; left && l < k->rows; l++) sum += k->p[i * k->rows + l] * x[l * k->columns + j];
            for (int l = 0; !left && l < k->columns; l++) sum += x[i * k->columns + l] * k->q[l * k->columns + j];
            y[i * k->columns + j] = sum;
        }
}

static void direction(const twin *t, const kronecker *k, bool caspr, double *out) {
    static double x[MOST], y[MOST], z[MOST];
    int n = k->rows * k->columns;
    for (int i = 0; i < n; i++) x[i] = t->g[0][(k->r0 + i / k->columns) * t->q.columns + k->c0 + i % k->columns];
    for (int round = 0; round < (caspr ? 2 : 1); round++) {
        apply(k, true, x, y);
        apply(k, false, caspr ? x : y, z);
        for (int i = 0; i < n; i++) x[i] = caspr ? (y[i] + z[i]) / 2 : z[i];
    }
    for (int i = 0; i < n; i++) out[(k->r0 + i / k->columns) * t->q.columns + k->c0 + i % k->columns] = x[i];
}

static double norm_of(int n, const double *x) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i] * x[i];
    return sqrt(sum);
}

static void check_scalable_shampoo(const char *name, bool caspr) {
    static twin t;
    static kronecker block[BLOCKS], vector;
    static double v[2][MOST], graft_m[2][MOST], m[2][MOST], a[MOST], d[MOST];
    enum { STEPS = 9 };
    const double b1 = 0.9, b2 = 0.95, wd = 0.1, rate = 0.02;
    t = (twin){.q = {80, 60}};
    memset(v, 0, sizeof v), memset(graft_m, 0, sizeof graft_m), memset(m, 0, sizeof m);
    ap_point point = point_of("{\"learning_rate\": 0.02, \"beta1\": 0.9, \"beta2\": 0.95, \"weight_decay\": 0.1,"
                              " \"constant_rate\": 1, \"precondition_frequency\": 3, \"max_preconditioner_dim\": 48,"
                              " \"start_preconditioning_step\": 4}");
    const ap_submission *algorithm = NULL;
    ap_solo *solo = solo_of(name, &t.q, &point, &algorithm);
    twin_start(&t);
    for (int i = 0; i < BLOCKS; i++) {
        int r = i / 2, c = i % 2;
        block[i] = (kronecker){.r0 = r * EDGE, .c0 = c * EDGE, .rows = r ? 32 : 48, .columns = c ? 12 : 48};
        for (int j = 0; j < block[i].rows; j++) block[i].left[j * block[i].rows + j] = 1e-6;
        for (int j = 0; j < block[i].columns; j++) block[i].right[j * block[i].columns + j] = 1e-6;
    }
    /* The vector of 60 has two blocks as well, of one factor each. */
    static double vl[2][EDGE * EDGE], vp[2][EDGE * EDGE];
    memset(vl, 0, sizeof vl);
    for (int b = 0; b < 2; b++)
        for (int n = b ? 12 : 48, j = 0; j < n; j++) vl[b][j * n + j] = 1e-6;
    (void)vector;
    for (int step = 0; step < STEPS; step++) {
        ap_error error;
        CHECK_INT(ap_solo_step(solo, algorithm, &error), AP_OK);
        twin_gradient(&t, step);
        for (int i = 0; i < BLOCKS; i++) {
            accumulate(&t, &block[i], b2);
            if (step % EVERY) continue;
            matrix_power(block[i].rows, block[i].left, -0.25, 1e-6, block[i].p);
            matrix_power(block[i].columns, block[i].right, -0.25, 1e-6, block[i].q);
        }
        for (int b = 0; b < 2; b++) {
            int n = b ? 12 : 48, at = b * EDGE;
            for (int i = 0; i < n * n; i++)
                vl[b][i] = b2 * vl[b][i] + (1 - b2) * t.g[1][at + i / n] * t.g[1][at + i % n];
            if (step % EVERY == 0) matrix_power(n, vl[b], -0.5, 1e-6, vp[b]);
        }
        for (int p = 0; p < 2; p++) {
            int n = size_of(&t.q, p);
            double norm = norm_of(n, t.g[p]);
            for (int i = 0; i < n; i++) {
                double scaled = t.g[p][i] / (norm + 1e-16);
                v[p][i] = b2 * v[p][i] + (1 - b2) * scaled * scaled;
                a[i] = scaled / (sqrt(v[p][i]) + 1e-10);
                d[i] = 0;
            }
            for (int i = 0; p == 0 && i < BLOCKS; i++) direction(&t, &block[i], caspr, d);
            for (int b = 0; p == 1 && b < 2; b++)
                for (int nb = b ? 12 : 48, i = 0; i < nb; i++)
                    for (int j = 0; j < nb; j++) d[b * EDGE + i] += vp[b][i * nb + j] * t.g[1][b * EDGE + j];
            double factor = norm_of(n, a) / (norm_of(n, d) + 1e-16);
            for (int i = 0; i < n; i++) {
                double ga = a[i] + wd * t.w[p][i], sh = factor * d[i] + wd * t.w[p][i];
                graft_m[p][i] = b1 * graft_m[p][i] + (1 - b1) * ga;
                m[p][i] = b1 * m[p][i] + (1 - b1) * sh;
                bool shampoo = step >= FIRST;
                t.w[p][i] -= rate * ((1 - b1) * (shampoo ? sh : ga) + b1 * (shampoo ? m : graft_m)[p][i]);
            }
        }
        /* The roots of float32 statistics with an epsilon of 1e-6 amplify their rounding. */
        compare(name, step, &t, solo, 2e-3);
    }
    ap_solo_destroy(solo);
    ap_point_free(&point);
}

static void test_shampoo(void) {
    check_scalable_shampoo("shampoo", false);
}
static void test_caspr_adaptive(void) {
    check_scalable_shampoo("caspr_adaptive", true);
}

/* ---- SOAP: one block of 8 x 8 (64 elements are more than the 12 that merge; square, since the eigenvectors
 * of a matrix that lacks rank are not determined), bases every 2 steps */

static void test_soap(void) {
    static twin t;
    static double left[64], right[64], ql[64], qr[64], m[2][MOST], v[2][MOST], x[MOST], y[MOST], w[MOST];
    enum { R = 8, C = 8, STEPS = 9 };
    const double b1 = 0.9, b2 = 0.95, wd = 0.1, rate = 0.02;
    t = (twin){.q = {R, C}};
    ap_point point = point_of("{\"learning_rate\": 0.02, \"beta1\": 0.9, \"beta2\": 0.95, \"weight_decay\": 0.1,"
                              " \"constant_rate\": 1, \"precondition_frequency\": 2, \"max_preconditioner_dim\": 12}");
    const ap_submission *algorithm = NULL;
    ap_solo *solo = solo_of("soap", &t.q, &point, &algorithm);
    twin_start(&t);
    for (int step = 1; step <= STEPS; step++) {
        ap_error error;
        CHECK_INT(ap_solo_step(solo, algorithm, &error), AP_OK);
        twin_gradient(&t, step - 1);
        double c1 = 1 - pow(b1, step), c2 = 1 - pow(b2, step);
        for (int i = 0; i < R * C; i++) m[0][i] = b1 * m[0][i] + (1 - b1) * t.g[0][i];
        if (step > 1) {
            for (int i = 0; i < R; i++)
                for (int j = 0; j < C; j++) { /* in the bases: x of g, y of m */
                    x[i * C + j] = y[i * C + j] = 0;
                    for (int k = 0; k < R; k++)
                        for (int l = 0; l < C; l++) {
                            x[i * C + j] += ql[i * R + k] * t.g[0][k * C + l] * qr[j * C + l];
                            y[i * C + j] += ql[i * R + k] * m[0][k * C + l] * qr[j * C + l];
                        }
                }
            for (int i = 0; i < R * C; i++) {
                v[0][i] = b2 * v[0][i] + (1 - b2) * x[i] * x[i];
                y[i] = y[i] / c1 / (sqrt(v[0][i] / c2) + 1e-8);
            }
            for (int k = 0; k < R; k++)
                for (int l = 0; l < C; l++) {
                    double d = 0;
                    for (int i = 0; i < R; i++)
                        for (int j = 0; j < C; j++) d += ql[i * R + k] * y[i * C + j] * qr[j * C + l];
                    t.w[0][k * C + l] -= rate * (d + wd * t.w[0][k * C + l]);
                }
        }
        for (int i = 0; i < R * R; i++) {
            double sum = 0;
            for (int c = 0; c < C; c++) sum += t.g[0][i / R * C + c] * t.g[0][i % R * C + c];
            left[i] = b2 * left[i] + (1 - b2) * sum;
        }
        for (int i = 0; i < C * C; i++) {
            double sum = 0;
            for (int r = 0; r < R; r++) sum += t.g[0][r * C + i / C] * t.g[0][r * C + i % C];
            right[i] = b2 * right[i] + (1 - b2) * sum;
        }
        if (step == 1 || step % 2 == 0) eigen(R, left, w, ql), eigen(C, right, w, qr);
        for (int i = 0; i < C; i++) { /* the vector: AdamW */
            m[1][i] = b1 * m[1][i] + (1 - b1) * t.g[1][i];
            v[1][i] = b2 * v[1][i] + (1 - b2) * t.g[1][i] * t.g[1][i];
            t.w[1][i] -= rate * (m[1][i] / c1 / (sqrt(v[1][i] / c2) + 1e-8) + wd * t.w[1][i]);
        }
        compare("soap", step, &t, solo, 2e-4);
    }
    ap_solo_destroy(solo);
    ap_point_free(&point);
}

/* ---- NAdamW and what is around it */

typedef struct moments {
    double m[2][MOST], v[2][MOST];
} moments;

static void nadamw_step(twin *t, moments *s, double rate, double b1, double b2, double wd, int step) {
    for (int p = 0; p < 2; p++)
        for (int i = 0; i < size_of(&t->q, p); i++) {
            double g = t->g[p][i], *m = &s->m[p][i], *v = &s->v[p][i];
            *m = b1 * *m + (1 - b1) * g;
            *v = b2 * *v + (1 - b2) * g * g;
            double n = (b1 * *m + (1 - b1) * g) / (1 - pow(b1, step));
            t->w[p][i] -= rate * (n / (sqrt(*v / (1 - pow(b2, step))) + 1e-8) + wd * t->w[p][i]);
        }
}

static void test_cyclic_lr(void) {
    static twin t;
    static moments s;
    t = (twin){.q = {5, 4}};
    ap_point point =
        point_of("{\"learning_rate\": 0.05, \"one_minus_beta1\": 0.1, \"beta2\": 0.99, \"weight_decay\": 0.1,"
                 " \"warmup_factor\": 0.2, \"cycles\": 2}");
    const ap_submission *algorithm = NULL;
    ap_solo *solo = solo_of("cyclic_lr", &t.q, &point, &algorithm);
    twin_start(&t);
    /* step_hint 10, two cycles of 5, warmup 2 in each: 0, 1/2, then a cosine over 3; the first update at the full rate
     */
    const double pi = 3.14159265358979323846;
    const double want[] = {1, 0.5, 1, 0.5 + cos(pi / 3) / 2, 0.5 + cos(2 * pi / 3) / 2, 0, 0.5, 1};
    for (int step = 1; step <= 8; step++) {
        ap_error error;
        CHECK_INT(ap_solo_step(solo, algorithm, &error), AP_OK);
        twin_gradient(&t, step - 1);
        nadamw_step(&t, &s, 0.05 * want[step - 1], 0.9, 0.99, 0.1, step);
        compare("cyclic_lr", step, &t, solo, 2e-6);
    }
    ap_solo_destroy(solo);
    ap_point_free(&point);
}

/* Ten steps of the first point, then from the initial weights ten of the second, then ceil(0.75 * 10) of the third. */
static void test_nadamw_sequential(void) {
    static twin t;
    static moments s;
    t = (twin){.q = {5, 4}};
    ap_point point =
        point_of("{\"learning_rate\": 0.05, \"one_minus_beta1\": 0.1, \"beta2\": 0.99, \"weight_decay\": 0.1,"
                 " \"warmup_factor\": 0.2}");
    const ap_submission *algorithm = NULL;
    ap_solo *solo = solo_of("nadamw_sequential", &t.q, &point, &algorithm);
    twin_start(&t);
    for (int step = 0; step < 28; step++) {
        ap_error error;
        CHECK_INT(ap_solo_step(solo, algorithm, &error), AP_OK);
        int part = step / 10, local = step % 10, length = part == 2 ? 8 : 10;
        int warmup = part == 0 ? 2 : 0; /* int(0.2 * 10), int(0.02 * 10) and int(0.01 * 8) */
        if (step > 0 && local == 0) {
            twin_start(&t);
            s = (moments){0};
        }
        double rate =
            local < warmup ? local / 2.0 : 0.5 + cos(3.14159265358979323846 * (local - warmup) / (length - warmup)) / 2;
        twin_gradient(&t, step);
        if (part == 2)
            nadamw_step(&t, &s, 0.0023792566965593815 * rate, 1 - 0.01990335215, 0.9632738717172477, 0.3417568278549717,
                        local + 1);
        else if (part == 1)
            nadamw_step(&t, &s, 0.001768509931943289 * rate, 1 - 0.05850208614, 0.9768053375036079, 0.0279513959224539,
                        local + 1);
        else
            nadamw_step(&t, &s, 0.05 * rate, 0.9, 0.99, 0.1, local + 1);
        compare("nadamw_sequential", step, &t, solo, 2e-6);
    }
    ap_solo_destroy(solo);
    ap_point_free(&point);
}

/* Two inner steps a call (0.25 * 16 s / (20 s / 10 steps)), copies from step 1 on every second one: steps 2, 4, ...;
 * the mean of the last two, once there are two. The weights go on from the training's own. */
static void check_lawa(const char *name, const char *extra, int k) {
    static twin t, average;
    static moments s;
    static double copies[16][2][MOST];
    char json[512];
    t = average = (twin){.q = {5, 4}};
    s = (moments){0};
    snprintf(json, sizeof json,
             "{\"learning_rate\": 0.05, \"one_minus_beta1\": 0.1, \"beta2\": 0.99, \"weight_decay\": 0.1,"
             " \"constant_rate\": 1, \"lawa_start_factor\": 0.02, \"lawa_interval_scaling\": 0.11,"
             " \"lawa_inner_steps_frac\": 0.25, %s}",
             extra);
    ap_point point = point_of(json);
    const ap_submission *algorithm = NULL;
    ap_solo *solo = solo_of(name, &t.q, &point, &algorithm);
    twin_start(&t);
    int step = 0, n = 0;
    for (int call = 0; call < 6; call++) {
        ap_error error;
        CHECK_INT(ap_solo_step(solo, algorithm, &error), AP_OK);
        for (int inner = 0; inner < 2; inner++, step++) {
            twin_gradient(&t, step);
            nadamw_step(&t, &s, 0.05, 0.9, 0.99, 0.1, step + 1);
            if (step >= 1 && step % 2 == 0) memcpy(copies[n++], t.w, sizeof t.w);
        }
        for (int p = 0; p < 2; p++)
            for (int i = 0; i < size_of(&t.q, p); i++) {
                average.w[p][i] = n < k ? t.w[p][i] : 0;
                for (int c = n - k; n >= k && c < n; c++) average.w[p][i] += copies[c][p][i] / k;
            }
        compare(name, call, &average, solo, 2e-6);
    }
    ap_solo_destroy(solo);
    ap_point_free(&point);
}

static void test_lawa_queue(void) {
    check_lawa("lawa_queue", "\"k\": 2", 2);
}
static void test_lawa_ema_keeps_the_newest(void) {
    check_lawa("lawa_ema", "\"lawa_beta\": 0.2", 1);
}

/* generalized_adam with preconditioning, which the recording leaves out; nadamp with a square root is the same. */
static void check_nadamw_form(const char *name, const char *extra) {
    static twin t;
    static moments s;
    char json[512];
    t = (twin){.q = {5, 4}};
    s = (moments){0};
    snprintf(json, sizeof json,
             "{\"learning_rate\": 0.05, \"beta1\": 0.9, \"beta2\": 0.99, \"weight_decay\": 0.1,"
             " \"warmup_steps_fraction\": 0.25, \"cosine_decay_fraction\": 0.8, \"nesterov\": true, %s}",
             extra);
    ap_point point = point_of(json);
    const ap_submission *algorithm = NULL;
    ap_solo *solo = solo_of(name, &t.q, &point, &algorithm);
    twin_start(&t);
    for (int step = 0; step < 10; step++) { /* 8 steps: 2 of warmup, 6 of cosine, then 0 */
        ap_error error;
        CHECK_INT(ap_solo_step(solo, algorithm, &error), AP_OK);
        double part = step < 8 ? (step - 2) / 6.0 : 1;
        double rate = step < 2 ? step / 2.0 : 0.5 + cos(3.14159265358979323846 * part) / 2;
        twin_gradient(&t, step);
        nadamw_step(&t, &s, 0.05 * rate, 0.9, 0.99, 0.1, step + 1);
        compare(name, step, &t, solo, 2e-6);
    }
    ap_solo_destroy(solo);
    ap_point_free(&point);
}

static void test_generalized_adam(void) {
    check_nadamw_form("generalized_adam", "\"disable_preconditioning\": false");
}
static void test_nadamp_with_a_square_root(void) {
    check_nadamw_form("nadamp", "\"power\": 2.0");
}

/* ---- a block of three axes, and products of a matrix with itself */

static float *block_scratch(ap_host *host, int slot, int64_t n) {
    static float memory[AP_SCRATCH_SLOTS][64];
    (void)host;
    return n <= 64 ? memory[slot] : NULL;
}
static void block_product(ap_host *host, const ap_matrix_product *product) {
    (void)host;
    ap_submission_matrix_product(AP_MATH_ORDERED, product);
}

/* Element (i, j, k) of a block of 3 x 4 x 5; `axis` of the index replaced by `at`. */
enum { BLOCK_SIZE = 60 };
static const int block_extent[3] = {3, 4, 5};
static int with_axis(int element, int axis, int at) {
    int index[3] = {element / 20, element / 5 % 4, element % 5};
    index[axis] = at;
    return index[0] * 20 + index[1] * 5 + index[2];
}
static int axis_of(int element, int axis) {
    return axis == 0 ? element / 20 : axis == 1 ? element / 5 % 4 : element % 5;
}

/* y = P x along one axis. */
static void along(int axis, const float *matrix, const double *x, double *y) {
    int d = block_extent[axis];
    for (int e = 0; e < BLOCK_SIZE; e++) {
        y[e] = 0;
        for (int i = 0; i < d; i++) y[e] += (double)matrix[i * d + axis_of(e, axis)] * x[with_axis(e, axis, i)];
    }
}

static void test_block_of_three_axes(void) {
    const ap_host_calls calls = {.scratch = block_scratch, .matrix_product = block_product};
    ap_host host = {.call = &calls};
    const ap_block block = {.order = 3, .extent = {3, 4, 5}, .stride = {20, 5, 1}, .size = BLOCK_SIZE, .factors = 50};
    float x[BLOCK_SIZE], out[BLOCK_SIZE], roots[50], factors[50] = {0};
    double sum[BLOCK_SIZE] = {0}, all[BLOCK_SIZE], y[BLOCK_SIZE];
    for (int i = 0; i < BLOCK_SIZE; i++) all[i] = x[i] = (float)((i * 37 % 23) - 11) / 16;
    for (int axis = 0, at = 0; axis < 3; at += block_extent[axis] * block_extent[axis], axis++)
        for (int i = 0, d = block_extent[axis]; i < d; i++)
            for (int j = 0; j < d; j++) roots[at + i * d + j] = (float)(1 + (i + j) * (axis + 2) % 7) / 8;
    CHECK(ap_block_statistics(&host, &block, x, 0, 1, false, factors));
    for (int axis = 0, at = 0; axis < 3; at += block_extent[axis] * block_extent[axis], axis++)
        for (int i = 0, d = block_extent[axis]; i < d; i++)
            for (int j = 0; j < d; j++) {
                double gram = 0;
                for (int e = 0; e < BLOCK_SIZE; e++)
                    if (axis_of(e, axis) == i) gram += (double)x[e] * (double)x[with_axis(e, axis, j)];
                CHECK_NEAR(factors[at + i * d + j], gram, 1e-5);
            }
    CHECK(ap_block_precondition(&host, &block, roots, x, out));
    for (int axis = 0, at = 0; axis < 3; at += block_extent[axis] * block_extent[axis], axis++) {
        along(axis, roots + at, all, y);
        memcpy(all, y, sizeof all);
    }
    for (int e = 0; e < BLOCK_SIZE; e++) CHECK_NEAR(out[e], all[e], 1e-4);
    CHECK(ap_block_precondition_caspr(&host, &block, roots, x, out));
    for (int e = 0; e < BLOCK_SIZE; e++) all[e] = (double)x[e];
    for (int round = 0; round < 3; round++) {
        memset(sum, 0, sizeof sum);
        for (int axis = 0, at = 0; axis < 3; at += block_extent[axis] * block_extent[axis], axis++) {
            along(axis, roots + at, all, y);
            for (int e = 0; e < BLOCK_SIZE; e++) sum[e] += y[e] / 3;
        }
        memcpy(all, sum, sizeof all);
    }
    for (int e = 0; e < BLOCK_SIZE; e++) CHECK_NEAR(out[e], all[e], 1e-4);
}

/* Only a triangle of it is computed: it has the bits of the product of two matrices that are equal. */
static void test_product_of_a_matrix_with_itself(void) {
    enum { N = 200, K = 37 };
    static float a[N * K], b[N * K], c[N * N], whole[N * N];
    for (int i = 0; i < N * K; i++) a[i] = b[i] = sinf((float)i);
    for (int transposed = 0; transposed < 2; transposed++) {
        ap_matrix_product p = {
            .transpose_a = transposed, .transpose_b = !transposed, .m = N, .n = N, .k = K, .a = a, .b = a, .c = c};
        ap_submission_matrix_product(AP_MATH_ORDERED, &p);
        p.b = b;
        p.c = whole;
        ap_submission_matrix_product(AP_MATH_ORDERED, &p);
        CHECK_INT(memcmp(c, whole, sizeof c), 0);
    }
}

AP_TEST_MAIN(test_block_of_three_axes, test_product_of_a_matrix_with_itself, test_shampoo, test_caspr_adaptive,
             test_soap, test_cyclic_lr, test_nadamw_sequential, test_lawa_queue, test_lawa_ema_keeps_the_newest,
             test_generalized_adam, test_nadamp_with_a_square_root)
