/* A small problem for the tests of training algorithms: parameters of the shapes that algorithms tell apart, gradients
 * from a formula, and a point for every algorithm. */
#ifndef AP_TESTS_ALGORITHM_PROBLEM_H
#define AP_TESTS_ALGORITHM_PROBLEM_H

#include "algorithms/algorithms.h"
#include "check.h"
#include "submission/solo_host.h"
#include "tuning/search_space.h"

enum { PARAMS = 6, LARGEST = 40003 };
static const int64_t shapes[PARAMS][4] = {{5}, {LARGEST}, {24, 17}, {6, 4, 3, 3}, {50, 8}, {1, 7}};
static const ap_param_info infos[PARAMS] = {
    {.name = "small", .type = AP_PARAM_BIAS, .rank = 1, .shape = shapes[0], .size = 5},
    {.name = "large", .type = AP_PARAM_LAYER_NORM_SCALE, .rank = 1, .shape = shapes[1], .size = LARGEST},
    {.name = "matrix", .type = AP_PARAM_WEIGHT, .rank = 2, .shape = shapes[2], .size = 24 * 17},
    {.name = "conv", .type = AP_PARAM_CONV_WEIGHT, .rank = 4, .shape = shapes[3], .size = 6 * 4 * 3 * 3},
    {.name = "embedding", .type = AP_PARAM_EMBEDDING, .rank = 2, .shape = shapes[4], .size = 50 * 8},
    {.name = "row", .type = AP_PARAM_BATCH_NORM_SCALE, .rank = 2, .shape = shapes[5], .size = 7},
};
static const ap_workload_info workload = {.name = "small",
                                          .variant = "",
                                          .scale = "full",
                                          .loss_type = "none",
                                          .target_metric = "loss",
                                          .step_hint = 50,
                                          .max_runtime_s = 100,
                                          .eval_period_s = 16,
                                          .params = PARAMS,
                                          .param = infos};

static float initial_value(int p, int64_t i) {
    return (float)((i * 37 + p * 11) % 101 - 50) / 64;
}
static float gradient_of(int p, int64_t i, int64_t step, float w) {
    return 0.5F * w + (float)((i * 13 + p * 7 + step * 29) % 97 - 48) / 32;
}
static double formula(void *context, int64_t step, float *const *value, float *const *gradient) {
    (void)context;
    for (int p = 0; gradient && p < PARAMS; p++)
        for (int64_t i = 0; i < infos[p].size; i++) gradient[p][i] = gradient_of(p, i, step, value[p][i]);
    return 1;
}

static ap_solo *solo_for(const ap_point *point, ap_solo_loss *loss, int tables) {
    static float start[PARAMS][LARGEST];
    const float *initial[PARAMS];
    for (int p = 0; p < PARAMS; p++) {
        for (int64_t i = 0; i < infos[p].size; i++) start[p][i] = initial_value(p, i);
        initial[p] = start[p];
    }
    ap_solo_problem problem = {.workload = &workload,
                               .initial = initial,
                               .loss = loss,
                               .tables = tables,
                               .hyperparameters = point->n,
                               .name = point->name,
                               .value = point->value,
                               .text = point->text};
    ap_solo *solo = NULL;
    ap_error error;
    CHECK_INT(ap_solo_create(&problem, &solo, &error), AP_OK);
    return solo;
}

static inline ap_solo *solo_with(const ap_point *point) {
    return solo_for(point, formula, 0);
}

static ap_point point_of(const char *json) {
    ap_point point = {0};
    ap_error error;
    CHECK_INT(ap_point_parse(json, "point", &point, &error), AP_OK);
    return point;
}

static inline void set(ap_point *point, const char *name, double value) {
    for (int i = 0; i < point->n; i++)
        if (!strcmp(point->name[i], name)) {
            point->value[i] = value;
            return;
        }
    int n = point->n++;
    point->name = realloc(point->name, (size_t)point->n * sizeof *point->name);
    point->value = realloc(point->value, (size_t)point->n * sizeof *point->value);
    point->text = realloc(point->text, (size_t)point->n * sizeof *point->text);
    point->name[n] = strdup(name);
    point->value[n] = value;
    point->text[n] = NULL;
}

/* The first of its own points, its self-tuning one if it has no search space; what happens every 20 or 100 steps of a
 * training happens every 3 here. */
static inline ap_point own_point(const ap_submission *a) {
    ap_points points = {0};
    ap_error error;
    ap_point point;
    if (a->search_space) {
        CHECK_INT(ap_search_space_draw(*a->search_space, a->name, 1, &points, &error), AP_OK);
        point = points.point[0];
        free(points.point);
    } else {
        point = point_of(*a->self_tuning_point);
    }
    static const char *const matrices[] = {"shampoo_submission", "shampoo", "caspr_adaptive", "soap"};
    for (int i = 0; i < 4; i++)
        if (!strcmp(a->name, matrices[i])) {
            set(&point, "precondition_frequency", 3);
            if (i > 0 && i < 3) set(&point, "start_preconditioning_step", 4);
            set(&point, "max_preconditioner_dim", 16);
        }
    if (!strcmp(a->name, "single_worker_diloco")) set(&point, "sync_period", 3);
    return point;
}

static inline const ap_submission *algorithm(const char *name) {
    for (const ap_submission *const *a = ap_algorithms(); *a; a++)
        if (!strcmp((*a)->name, name)) return *a;
    printf("no algorithm %s\n", name);
    exit(1);
}

static inline void run(ap_solo *solo, const ap_submission *a, int steps) {
    ap_error error;
    for (int i = 0; i < steps; i++)
        if (ap_solo_step(solo, a, &error) != AP_OK) printf("%s\n", error.text), ap_check_failures++;
}

static inline void init(ap_solo *solo, const ap_submission *a) {
    ap_error error;
    if (ap_solo_init(solo, a, &error) != AP_OK) printf("%s\n", error.text), ap_check_failures++;
}

#endif
