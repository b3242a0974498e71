/* algoperf bench update: what a step of every training algorithm costs on a parameter set of the shapes of ResNet-50
 * (25.6 million), gradients given: nanoseconds per parameter, memory, and against what the memory of this machine
 * moves. */
#include "cli/bench.h"
#include "cli/cli.h"

#include "algorithms/algorithms.h"
#include "base/clock.h"
#include "submission/solo_host.h"
#include "tuning/search_space.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the parameters of ResNet-50, in its order: [out, in, k, k] convolutions, each with a scale and a bias */

enum { MOST_PARAMS = 170 };
typedef struct parameters {
    int n;
    int64_t elements, shape[MOST_PARAMS][4];
    ap_param_info info[MOST_PARAMS];
    float *initial[MOST_PARAMS];
} parameters;

static void add(parameters *p, ap_param_type type, int rank, int64_t a, int64_t b, int64_t c, int64_t d) {
    int64_t *shape = p->shape[p->n], size = 1;
    shape[0] = a, shape[1] = b, shape[2] = c, shape[3] = d;
    for (int i = 0; i < rank; i++) size *= shape[i];
    p->info[p->n++] = (ap_param_info){.name = "layer", .type = type, .rank = rank, .shape = shape, .size = size};
    p->elements += size;
}

static void add_convolution(parameters *p, int64_t out, int64_t in, int64_t k) {
    add(p, AP_PARAM_CONV_WEIGHT, 4, out, in, k, k);
    add(p, AP_PARAM_BATCH_NORM_SCALE, 1, out, 0, 0, 0);
    add(p, AP_PARAM_BATCH_NORM_BIAS, 1, out, 0, 0, 0);
}

/* Divides every width by `shrink`. */
static void resnet50(parameters *p, int64_t shrink) {
    static const int blocks[] = {3, 4, 6, 3};
    int64_t in = 64 / shrink;
    add_convolution(p, in, 3, 7);
    for (int s = 0; s < 4; s++)
        for (int b = 0; b < blocks[s]; b++) {
            int64_t width = (64 << s) / shrink;
            add_convolution(p, width, in, 1);
            add_convolution(p, width, width, 3);
            add_convolution(p, 4 * width, width, 1);
            if (b == 0) add_convolution(p, 4 * width, in, 1);
            in = 4 * width;
        }
    add(p, AP_PARAM_WEIGHT, 2, 1000 / shrink, in, 0, 0);
    add(p, AP_PARAM_BIAS, 1, 1000 / shrink, 0, 0, 0);
}

static bool fill(parameters *p) {
    uint32_t x = 1;
    for (int i = 0; i < p->n; i++) {
        p->initial[i] = malloc((size_t)p->info[i].size * sizeof(float));
        if (!p->initial[i]) return false;
        for (int64_t j = 0; j < p->info[i].size; j++)
            p->initial[i][j] = (float)((x = x * 1664525u + 1013904223u) >> 8) / 0x1p24F - 0.5F;
    }
    return true;
}

/* Gradients stay what the first call makes them. */
static double loss(void *context, int64_t step, float *const *value, float *const *gradient) {
    const parameters *p = context;
    for (int i = 0; gradient && step == 0 && i < p->n; i++)
        memcpy(gradient[i], p->initial[i], (size_t)p->info[i].size * sizeof(float));
    (void)value;
    return 1;
}

/* ---- what the memory moves: y = a x + y over an array as large as the parameters, bytes a second */

static double bandwidth(int64_t n) {
    float *x = malloc((size_t)n * sizeof *x), *y = malloc((size_t)n * sizeof *y);
    double best = 0;
    for (int64_t i = 0; x && y && i < n; i++) x[i] = y[i] = (float)(i & 255);
    for (int round = 0; x && y && round < 5; round++) {
        int64_t start = ap_clock_ns();
        for (int64_t i = 0; i < n; i++) y[i] += 0.5F * x[i];
        best = fmax(best, 3 * 4 * (double)n / ap_clock_s(ap_clock_ns() - start));
    }
    free(x);
    free(y);
    return best;
}

/* ---- one algorithm */

/* Steps: enough for every schedule of roots to come round. */
static int steps_of(const char *name, bool quick) {
    bool rare = !strcmp(name, "shampoo_submission");
    bool often = !strcmp(name, "shampoo") || !strcmp(name, "caspr_adaptive") || !strcmp(name, "soap");
    return quick ? 3 : rare ? 100 : often ? 20 : 10;
}

static ap_status point_of(const ap_submission *a, ap_point *point, ap_error *error) {
    ap_points points = {0};
    if (!a->search_space) return ap_point_parse(*a->self_tuning_point, a->name, point, error);
    AP_TRY(ap_search_space_draw(*a->search_space, a->name, 1, &points, error));
    *point = points.point[0];
    free(points.point);
    return AP_OK;
}

static ap_status measure(const ap_submission *a, parameters *p, double bytes_s, bool quick, ap_error *error) {
    ap_workload_info workload = {.name = "",
                                 .variant = "",
                                 .scale = "",
                                 .loss_type = "",
                                 .target_metric = "",
                                 .step_hint = 1000,
                                 .max_runtime_s = 1000,
                                 .eval_period_s = 4,
                                 .params = p->n,
                                 .param = p->info};
    ap_point point = {0};
    AP_TRY(point_of(a, &point, error));
    ap_solo_problem problem = {.workload = &workload,
                               .initial = (const float *const *)p->initial,
                               .loss = loss,
                               .context = p,
                               .hyperparameters = point.n,
                               .name = point.name,
                               .value = point.value,
                               .text = point.text};
    ap_solo *solo = NULL;
    int steps = steps_of(a->name, quick);
    ap_status status = ap_solo_create(&problem, &solo, error);
    if (!status) status = ap_solo_init(solo, a, error);
    if (!status) status = ap_solo_step(solo, a, error); /* touches all memory */
    double best = INFINITY, sum = 0;
    for (int i = 0; !status && i < steps; i++) {
        int64_t start = ap_clock_ns();
        status = ap_solo_step(solo, a, error);
        double s = ap_clock_s(ap_clock_ns() - start);
        best = fmin(best, s);
        sum += s;
    }
    if (!status) {
        /* Least traffic of one pass: parameters and state read and written, gradients read. */
        double n = (double)p->elements, state = (double)ap_solo_state_bytes(solo) / 4 / n;
        double least = 4 * n * (3 + 2 * state);
        printf("%-29s %9.2f %9.2f %8.1f %9.2f %7.0f %%\n", a->name, best / n * 1e9, sum / steps / n * 1e9,
               sum / steps * 1e3, state, 100 * least / best / bytes_s);
        fflush(stdout);
    }
    ap_solo_destroy(solo);
    ap_point_free(&point);
    return status;
}

static ap_status measure_all(const char *only, bool quick, ap_error *error) {
    parameters *p = calloc(1, sizeof *p);
    ap_status status = p ? AP_OK : ap_fail(error, AP_ENVIRONMENT, "out of memory");
    if (!status) resnet50(p, quick ? 8 : 1);
    if (!status && !fill(p)) status = ap_fail(error, AP_ENVIRONMENT, "out of memory for the parameters");
    bool found = false;
    double bytes_s = status ? 0 : bandwidth(p->elements);
    if (!status) {
        printf("%d tensors, %.1f million parameters; one thread; y += a x moves %.1f GB/s\n", p->n,
               (double)p->elements / 1e6, bytes_s / 1e9);
        printf("%-29s %9s %9s %8s %9s %9s\n", "", "best", "mean", "mean", "state", "memory");
        printf("%-29s %9s %9s %8s %9s %9s\n", "algorithm", "ns/param", "ns/param", "ms/step", "floats/p", "bandwidth");
    }
    for (const ap_submission *const *a = ap_algorithms(); !status && *a; a++) {
        if (only && strcmp(only, (*a)->name) != 0) continue;
        found = true;
        status = measure(*a, p, bytes_s, quick, error);
    }
    if (!status && !found) status = ap_fail(error, AP_USAGE, "--algorithm %s: there is none of that name", only);
    for (int i = 0; p && i < p->n; i++) free(p->initial[i]);
    free(p);
    return status;
}

ap_status ap_bench_update(int argc, char **argv, ap_error *error) {
    static const ap_command self = {"bench update", "", "time and memory of a step of every training algorithm", NULL,
                                    false};
    const char *only = NULL, *quick = NULL;
    const ap_flag flags[] = {{"algorithm", "NAME", "only this one", &only},
                             {"quick", NULL, "an eighth of every width and few steps: does it run", &quick},
                             {0}};
    bool helped;
    AP_TRY(ap_bench_parse(&self, argc, argv, flags, &helped, error));
    if (helped) return AP_OK;
    return measure_all(only, quick != NULL, error);
}
