/* The engine's promises that no golden file covers: no allocation in the timed step, model state as the mean over
 * shards, gradients as the tree over shards, carried failures. One rank. */
#include "check.h"

#include "algorithms/algorithms.h"
#include "data/queue.h"
#include "harness/engine.h"
#include "harness/host.h"

#include <malloc.h>
#include <mpi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

/* ---- counting allocations: the linker sends every malloc of the program here (--wrap) */

static atomic_long allocations;
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t alignment, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t alignment, size_t n);
void *__wrap_malloc(size_t n) {
    allocations++;
    return __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size) {
    allocations++;
    return __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t n) {
    allocations++;
    return __real_realloc(p, n);
}
void *__wrap_aligned_alloc(size_t alignment, size_t n) {
    allocations++;
    return __real_aligned_alloc(alignment, n);
}

/* ---- a problem */

typedef struct setting {
    ap_problem *problem;
    ap_dataset *dataset;
    ap_group *group;
    ap_engine *engine;
} setting;

static setting open_setting(const char *name, ap_math math) {
    ap_error error = {0};
    setting s = {0};
    const ap_workload *w;
    CHECK_INT(ap_workload_find(name, &w, &error), AP_OK);
    CHECK_INT(ap_problem_open(w, "mini", "", "synthetic", NULL, &s.problem, &error), AP_OK);
    CHECK_INT(ap_dataset_synthetic(w->generator, s.problem->model, 0, (int64_t[]){512, 64, 64}, &s.dataset, &error),
              AP_OK);
    CHECK_INT(ap_group_create(MPI_COMM_SELF, 8, 0, &s.group, &error), AP_OK);
    ap_engine_options options = {
        .group = s.group, .problem = s.problem, .dataset = s.dataset, .math = math, .seed = 5, .global_batch = 64};
    CHECK_INT(ap_engine_create(&options, &s.engine, &error), AP_OK);
    if (error.status) printf("%s\n", error.text);
    return s;
}

static void close_setting(setting *s) {
    ap_engine_destroy(s->engine);
    ap_group_destroy(s->group);
    ap_dataset_close(s->dataset);
    ap_problem_close(s->problem);
}

static void test_no_allocation_in_the_timed_step(void) {
    ap_error error = {0};
    setting s = open_setting("mnist", AP_MATH_ORDERED);
    const ap_submission *const *table = ap_algorithms();
    for (; *table; table++) {
        ap_points points = {0};
        ap_trial_host *host = NULL;
        if ((*table)->search_space) {
            CHECK_INT(ap_search_space_draw(*(*table)->search_space, (*table)->name, 1, &points, &error), AP_OK);
        } else {
            points.point = calloc(1, sizeof *points.point), points.n = 1;
            CHECK_INT(ap_point_parse(*(*table)->self_tuning_point, "test", points.point, &error), AP_OK);
        }
        ap_host_options options = {.group = s.group,
                                   .engine = s.engine,
                                   .problem = s.problem,
                                   .submission = *table,
                                   .point = points.point,
                                   .seed = 5,
                                   .global_batch = 64,
                                   .threads = 1};
        CHECK_INT(ap_engine_warm_up(s.engine, &error), AP_OK);
        CHECK_INT(ap_trial_host_create(&options, &host, &error), AP_OK);
        CHECK_INT(ap_trial_host_init(host, &error), AP_OK);
        CHECK_INT(ap_engine_start(s.engine, 0, &error), AP_OK);
        for (int i = 0; i < 8; i++) CHECK_INT(ap_trial_host_update(host, &error), AP_OK); /* the queue's ring fills */
        long before = allocations;
        for (int i = 0; i < 20; i++) CHECK_INT(ap_trial_host_update(host, &error), AP_OK);
        if (allocations != before) printf("%s:\n", (*table)->name);
        CHECK_INT(allocations - before, 0);
        CHECK(isfinite(ap_trial_host_loss(host)));
        ap_trial_host_destroy(host);
        ap_points_free(&points);
        close_setting(&s);
        s = open_setting("mnist", AP_MATH_ORDERED);
    }
    close_setting(&s);
}

/* The loss of a batch falls along its own gradient by step * |gradient|^2: the sum over shards, its scale and its sign
 * are right. */
static void test_gradient_is_that_of_the_global_batch(void) {
    ap_error error = {0};
    setting s = open_setting("dummy", AP_MATH_ORDERED);
    CHECK_INT(ap_engine_start(s.engine, 0, &error), AP_OK);
    ap_engine_next_batch(s.engine);
    ap_loss_request request = {0};
    double loss, moved;
    CHECK_INT(ap_engine_loss_and_gradient(s.engine, 0, 0, &request, &loss, &error), AP_OK);
    ap_params *params = ap_engine_params(s.engine);
    double square = 0, step = 1e-2;
    for (int p = 0; p < ap_params_count(params); p++)
        for (int64_t i = 0; i < ap_params_get(params, p)->size; i++) {
            double g = (double)ap_engine_gradient(s.engine, p)[i];
            square += g * g;
            ap_params_value(params, p)[i] -= (float)(step * g);
        }
    ap_params_changed(params);
    request.no_gradient = true;
    CHECK_INT(ap_engine_loss_and_gradient(s.engine, 0, 1, &request, &moved, &error), AP_OK);
    CHECK(square > 1e-3);
    CHECK_NEAR((loss - moved) / (step * square), 1.0, 0.05);
    close_setting(&s);
}

static void test_evaluation_counts_every_example_once(void) {
    ap_error error = {0};
    setting s = open_setting("dummy", AP_MATH_ORDERED);
    double metrics[AP_SPLITS][AP_MAX_METRICS];
    CHECK_INT(ap_engine_evaluate(s.engine, metrics, &error), AP_OK);
    CHECK_INT(ap_engine_examples(s.engine, AP_TRAIN), 256);
    CHECK_INT(ap_engine_examples(s.engine, AP_VALIDATION), 64);
    for (int split = 0; split < AP_SPLITS; split++) {
        double n = (double)ap_engine_examples(s.engine, split), hits = metrics[split][0] * n;
        CHECK_NEAR(hits, rint(hits), 1e-9); /* an accuracy of n examples */
        CHECK(hits >= 0 && hits <= n);
        CHECK(isfinite(metrics[split][1]));
    }
    close_setting(&s);
}

static void test_batch_size_is_checked(void) {
    ap_error error = {0};
    setting s = open_setting("dummy", AP_MATH_ORDERED);
    ap_engine *engine = NULL;
    ap_engine_options options = {
        .group = s.group, .problem = s.problem, .dataset = s.dataset, .seed = 5, .global_batch = 4};
    CHECK_INT(ap_engine_create(&options, &engine, &error), AP_CONFIG);
    CHECK_TEXT(error.text, "batch size 4");
    options.global_batch = 513;
    CHECK_INT(ap_engine_create(&options, &engine, &error), AP_CONFIG);
    close_setting(&s);
}

/* ---- model state: the dummy workload with a running mean of its eight inputs */

enum { FEATURES = 8 };
static const ap_workload *plain;

static ap_status define_with_state(const void *model, ap_params *params, ap_params *state, ap_error *error) {
    AP_TRY(ap_params_add(state, "mean", 1, (int64_t[]){FEATURES}, ap_init_constant(2), error));
    return plain->define(model, params, state, error);
}

static ap_tensor *forward_with_state(const void *model, ap_tape *tape, const ap_batch *batch) {
    float *updated = ap_tape_new_state(tape, 0);
    const float *current = ap_tape_state(tape, 0), *x = ap_batch_f32(batch, "inputs");
    for (int f = 0; updated && f < FEATURES; f++) {
        double sum = 0;
        for (int64_t i = 0; i < batch->examples; i++) sum += (double)x[i * FEATURES + f];
        updated[f] = (float)(0.75 * (double)current[f] + 0.25 * sum / (double)batch->examples);
    }
    return plain->forward(model, tape, batch);
}

/* After a step the state is the mean over shards of what each shard made of it; with shards of equal size that is the
 * update by the mean of the whole batch, computed here from the data set itself. keep_state leaves it alone. */
static void test_state_is_the_mean_over_shards(void) {
    ap_error error = {0};
    setting s = open_setting("dummy", AP_MATH_ORDERED);
    plain = s.problem->workload;
    ap_workload with_state = *plain;
    with_state.define = define_with_state, with_state.forward = forward_with_state;
    ap_engine_destroy(s.engine);
    s.problem->workload = &with_state;
    ap_engine_options options = {
        .group = s.group, .problem = s.problem, .dataset = s.dataset, .seed = 5, .global_batch = 64};
    CHECK_INT(ap_engine_create(&options, &s.engine, &error), AP_OK);
    CHECK_INT(ap_engine_warm_up(s.engine, &error), AP_OK); /* must not touch it */
    CHECK_INT(ap_engine_start(s.engine, 0, &error), AP_OK);
    ap_engine_next_batch(s.engine);

    double mean[FEATURES] = {0}, loss;
    ap_example example = {0};
    for (int64_t i = 0; i < 64; i++) {
        CHECK_INT(ap_dataset_read(s.dataset, AP_TRAIN, ap_queue_index(5, 512, 64, 0, i), &example, &error), AP_OK);
        for (int f = 0; f < FEATURES; f++) mean[f] += (double)((const float *)example.data[0])[f] / 64;
    }
    ap_example_free(&example);
    const float *state = ap_params_value(ap_engine_state(s.engine), 0);
    ap_loss_request request = {.keep_state = true};
    CHECK_INT(ap_engine_loss_and_gradient(s.engine, 0, 0, &request, &loss, &error), AP_OK);
    for (int f = 0; f < FEATURES; f++) CHECK(state[f] == 2);
    request.keep_state = false;
    CHECK_INT(ap_engine_loss_and_gradient(s.engine, 0, 1, &request, &loss, &error), AP_OK);
    for (int f = 0; f < FEATURES; f++) CHECK_NEAR(state[f], 0.75 * 2 + 0.25 * mean[f], 1e-6);

    s.problem->workload = plain;
    close_setting(&s);
}

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    test_gradient_is_that_of_the_global_batch();
    test_evaluation_counts_every_example_once();
    test_batch_size_is_checked();
    test_state_is_the_mean_over_shards();
    test_no_allocation_in_the_timed_step();
    MPI_Finalize();
    if (ap_check_failures) printf("%d checks failed\n", ap_check_failures);
    return ap_check_failures ? 1 : 0;
}
